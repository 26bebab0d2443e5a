/* BatchNormalization behind a convolution becomes part of it: with k = scale / sqrt(variance +
 * epsilon), the weights of an output channel are multiplied by its k, and its bias becomes (bias -
 * mean) * k + B. A constant for each channel that is added behind a convolution becomes its bias
 * first. What is left of normalisation (behind a concatenation, say) becomes x * k + (B - mean * k)
 * by a pass of its own, behind those that know operators by name, and joins with elementwise
 * neighbours. In double, rounded once.
 *
 * This pass is about these operators alone, so it knows them by name, and the params of one. */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/program.h"
#include "host/passes/rewrite.h"
#include "kernels_cl/norm/norm.h"

#include <math.h>
#include <string.h>

clv_status *clv_pass_fold_batchnorm(clv_graph *graph) CLV_CHECKED;
clv_status *clv_pass_spell_batchnorm(clv_graph *graph) CLV_CHECKED;

enum { SCALE = 1, OFFSET = 2, MEAN = 3, VARIANCE = 4 };

/* A normalisation and the convolution whose output it takes, if any. */
typedef struct match {
    clv_node_id conv, norm;
    int64_t num_channels;
    const clv_tensor *weights, *bias; /* bias NULL: none */
    bool is_transposed;
    double epsilon;
} match;

static const clv_tensor *constant_input(
    const clv_graph *graph, const clv_node *node, size_t index) {
    if (index >= node->num_inputs || node->inputs[index] == CLV_NO_ID) {
        return NULL;
    }
    const clv_tensor *tensor = &graph->tensors[node->inputs[index]];
    bool is_constant = tensor->kind == CLV_TENSOR_CONSTANT && tensor->dtype == CLV_FLOAT32;
    return is_constant ? tensor : NULL;
}

static bool is_used_once(const clv_uses *uses, clv_tensor_id id) {
    return clv_uses_only_reader(uses, id) != CLV_NO_ID;
}

static bool is_transposed(const clv_node *node) {
    return strcmp(node->op->name, "ConvTranspose") == 0;
}

static bool is_convolution(const clv_node *node) {
    return !node->removed && node->num_inputs <= 3 &&
           (is_transposed(node) || strcmp(node->op->name, "Conv") == 0);
}

static bool has_norm_constants(const clv_graph *graph, const match *m) {
    for (size_t i = SCALE; i <= VARIANCE; i++) {
        const clv_tensor *tensor = constant_input(graph, &graph->nodes[m->norm], i);
        if (tensor == NULL || clv_shape_elements(&tensor->shape) != m->num_channels) {
            return false;
        }
    }
    return true;
}

static double load(const clv_tensor *tensor, int64_t index) {
    return tensor != NULL ? clv_load_double(CLV_FLOAT32, tensor->data, index) : 0;
}

/* The factor k of an output channel. */
static double factor_of(const clv_graph *graph, const match *m, int64_t channel) {
    const clv_node *norm = &graph->nodes[m->norm];
    double variance = load(&graph->tensors[norm->inputs[VARIANCE]], channel);
    return load(&graph->tensors[norm->inputs[SCALE]], channel) / sqrt(variance + m->epsilon);
}

/* A variance of 0 (or below) that epsilon does not lift: left to the operator itself. */
static bool has_finite_factors(const clv_graph *graph, const match *m) {
    for (int64_t i = 0; i < m->num_channels; i++) {
        if (!isfinite(factor_of(graph, m, i))) {
            return false;
        }
    }
    return true;
}

/* A normalisation by constants. */
static bool find_norm(const clv_graph *graph, clv_node_id norm, match *m) {
    const clv_node *node = &graph->nodes[norm];
    if (node->removed || strcmp(node->op->name, "BatchNormalization") != 0) {
        return false;
    }
    const clv_shape *shape = &graph->tensors[node->inputs[0]].shape;
    const clv_batch_norm_params *params = node->params;
    *m = (match){
        .conv = CLV_NO_ID,
        .norm = norm,
        .num_channels = shape->rank > 1 ? shape->dims[1] : 1,
        .epsilon = (double)params->epsilon};
    return m->num_channels > 0 && has_norm_constants(graph, m) && has_finite_factors(graph, m);
}

/* Completes the match by the convolution. */
static bool find_conv(const clv_graph *graph, const clv_uses *uses, match *m) {
    const clv_node *node = &graph->nodes[m->norm];
    clv_tensor_id input = node->inputs[0];
    clv_node_id producer = graph->tensors[input].producer;
    if (producer == CLV_NO_ID || !is_used_once(uses, input)) {
        return false;
    }
    const clv_node *conv = &graph->nodes[producer];
    if (!is_convolution(conv)) {
        return false;
    }
    m->conv = producer;
    m->weights = constant_input(graph, conv, 1);
    m->bias = constant_input(graph, conv, 2);
    m->is_transposed = is_transposed(conv);
    bool has_bias = conv->num_inputs > 2 && conv->inputs[2] != CLV_NO_ID;
    return m->weights != NULL && (!has_bias || m->bias != NULL);
}

static void fill_weights(const clv_graph *graph, const match *m, float *out) {
    const clv_shape *shape = &m->weights->shape;
    int64_t inner = clv_shape_product(shape, 2, shape->rank);
    int64_t outer = shape->dims[0], columns = shape->dims[1];
    /* ConvTranspose has [input channels][channels of a group]: rows of group g make its channels */
    int64_t rows_per_group = m->is_transposed ? outer / (m->num_channels / columns) : 1;
    for (int64_t row = 0; row < outer; row++) {
        for (int64_t column = 0; column < columns; column++) {
            int64_t channel = m->is_transposed ? row / rows_per_group * columns + column : row;
            double factor = factor_of(graph, m, channel);
            int64_t at = (row * columns + column) * inner;
            for (int64_t i = 0; i < inner; i++) {
                out[at + i] = (float)(load(m->weights, at + i) * factor);
            }
        }
    }
}

static void fill_factors(const clv_graph *graph, const match *m, float *out) {
    for (int64_t i = 0; i < m->num_channels; i++) {
        out[i] = (float)factor_of(graph, m, i);
    }
}

/* Without a convolution: of one whose bias is 0. */
static void fill_bias(const clv_graph *graph, const match *m, float *out) {
    const clv_node *norm = &graph->nodes[m->norm];
    for (int64_t i = 0; i < m->num_channels; i++) {
        double mean = load(&graph->tensors[norm->inputs[MEAN]], i);
        double offset = load(&graph->tensors[norm->inputs[OFFSET]], i);
        out[i] = (float)((load(m->bias, i) - mean) * factor_of(graph, m, i) + offset);
    }
}

static clv_status *add_filled(
    clv_graph *graph, const match *m, const char *name, const clv_shape *shape,
    void (*fill)(const clv_graph *graph, const match *m, float *out), clv_tensor_id *out_id) {
    float *data = clv_alloc(clv_view_bytes(CLV_FLOAT32, shape) + 1);
    if (data == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for folded weights");
    }
    fill(graph, m, data);
    clv_view view = {.dtype = CLV_FLOAT32, .shape = *shape, .data = data};
    clv_status *status = clv_graph_add_constant(graph, name, &view, out_id);
    clv_free(data);
    return status;
}

/* The convolution gets weights and a bias, and writes what the node behind it wrote. */
static clv_status *replace(
    clv_graph *graph, clv_node_id conv_id, clv_node_id behind, clv_tensor_id weights,
    clv_tensor_id bias) {
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, 3, sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    CLV_TRY(clv_pass_adopt(graph, conv_id, behind));
    clv_node *conv = &graph->nodes[conv_id];
    clv_tensor_id output = graph->nodes[behind].outputs[0];
    inputs[0] = conv->inputs[0];
    inputs[1] = weights;
    inputs[2] = bias;
    conv->inputs = inputs;
    conv->num_inputs = 3;
    clv_graph_remove_node(graph, behind);
    graph->tensors[conv->outputs[0]].producer = CLV_NO_ID;
    conv->outputs[0] = output;
    graph->tensors[output].producer = conv_id;
    return NULL;
}

static clv_status *fold(clv_graph *graph, const match *m) {
    clv_tensor_id weights, bias;
    clv_shape bias_shape = {.rank = 1, .dims = {m->num_channels}};
    match copy = *m; /* adding tensors moves those that it points to */
    clv_tensor weights_tensor = *m->weights, bias_tensor;
    copy.weights = &weights_tensor;
    if (m->bias != NULL) {
        bias_tensor = *m->bias;
        copy.bias = &bias_tensor;
    }
    CLV_TRY(add_filled(
        graph, &copy, weights_tensor.name, &weights_tensor.shape, fill_weights, &weights));
    CLV_TRY(add_filled(graph, &copy, graph->nodes[m->norm].name, &bias_shape, fill_bias, &bias));
    return replace(graph, m->conv, m->norm, weights, bias);
}

/* The normalisation becomes an elementwise expression with a factor and a sum for each channel. */
static clv_status *spell_out(clv_graph *graph, const match *m) {
    const clv_node *before = &graph->nodes[m->norm];
    int32_t rank = graph->tensors[before->inputs[0]].shape.rank;
    clv_shape shape = {.rank = rank > 1 ? rank - 1 : 1, .dims = {m->num_channels}};
    for (int32_t i = 1; i < shape.rank; i++) {
        shape.dims[i] = 1;
    }
    clv_tensor_id factors, offsets;
    CLV_TRY(add_filled(
        graph, m, graph->tensors[before->inputs[SCALE]].name, &shape, fill_factors, &factors));
    CLV_TRY(add_filled(
        graph, m, graph->tensors[before->inputs[OFFSET]].name, &shape, fill_bias, &offsets));
    clv_node *node = &graph->nodes[m->norm];
    clv_pointwise_program program = {
        .expr = {.domain = CLV_EW_FLOAT},
        .inputs = {node->inputs[0], factors, offsets},
        .num_inputs = 3};
    clv_ew_expr *expr = &program.expr;
    clv_ew_add(expr, EW_FLOAT_ADD, clv_ew_add(expr, EW_FLOAT_MUL, 0, 1, 0), 2, 0);
    node->op = clv_op_find("", "Add");
    node->num_outputs = 1;
    return clv_program_put(graph, m->norm, &program);
}

/* --- sums behind convolutions --- */

static bool is_for_channels(const clv_tensor *constant, const clv_shape *shape) {
    const int32_t first = constant->shape.rank - (shape->rank - 1); /* axis of the channels */
    if (first < 0 || clv_shape_elements(&constant->shape) != shape->dims[1]) {
        return false;
    }
    return constant->shape.dims[first] == shape->dims[1];
}

/* The convolution without a bias whose output the node adds a constant for each channel to. */
static clv_node_id find_biased(
    const clv_graph *graph, const clv_uses *uses, clv_node_id id, const clv_tensor **out_bias) {
    const clv_node *node = &graph->nodes[id];
    if (node->removed || strcmp(node->op->name, "Add") != 0 || node->num_inputs != 2) {
        return CLV_NO_ID;
    }
    for (size_t i = 0; i < 2; i++) {
        const clv_tensor *value = &graph->tensors[node->inputs[i]];
        const clv_tensor *constant = constant_input(graph, node, 1 - i);
        if (constant == NULL || value->producer == CLV_NO_ID ||
            !is_used_once(uses, node->inputs[i]) || value->shape.rank < 3 ||
            !clv_shape_equal(&value->shape, &graph->tensors[node->outputs[0]].shape) ||
            !is_for_channels(constant, &value->shape)) {
            continue;
        }
        const clv_node *conv = &graph->nodes[value->producer];
        if (is_convolution(conv) && (conv->num_inputs < 3 || conv->inputs[2] == CLV_NO_ID)) {
            *out_bias = constant;
            return value->producer;
        }
    }
    return CLV_NO_ID;
}

/* The convolution gets the constant as its bias, and writes what the node wrote. */
static clv_status *take_bias(
    clv_graph *graph, clv_node_id conv, clv_node_id sum, const clv_tensor *bias) {
    const clv_view view = {
        .dtype = CLV_FLOAT32,
        .shape = {.rank = 1, .dims = {clv_shape_elements(&bias->shape)}},
        .data = bias->data};
    clv_tensor_id id;
    CLV_TRY(clv_graph_add_constant(graph, bias->name, &view, &id));
    CLV_TRY(replace(graph, conv, sum, graph->nodes[conv].inputs[1], id));
    return NULL;
}

clv_status *clv_pass_fold_batchnorm(clv_graph *graph) {
    clv_uses uses;
    clv_status *status = NULL;
    clv_compute_budget budget;
    clv_compute_budget_init(graph, 0x1p26, 1, &budget);
    CLV_TRY(clv_uses_init(graph, &uses));
    /* Folding changes no reader of a tensor that was there, so the uses stay right; new tensors
     * are not asked about. */
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        match found;
        const clv_tensor *bias;
        clv_node_id conv = find_biased(graph, &uses, id, &bias);
        if (conv != CLV_NO_ID) {
            status = take_bias(graph, conv, id, bias);
            continue;
        }
        if (!find_norm(graph, id, &found) || !find_conv(graph, &uses, &found)) {
            continue;
        }
        /* Convolutions may share their weights, normalised ones do not. */
        double bytes = (double)clv_view_bytes(CLV_FLOAT32, &found.weights->shape);
        if (clv_compute_take(&budget, bytes)) {
            status = fold(graph, &found);
        }
    }
    clv_uses_deinit(&uses);
    return status;
}

clv_status *clv_pass_spell_batchnorm(clv_graph *graph) {
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        match found;
        if (find_norm(graph, id, &found)) {
            CLV_TRY(spell_out(graph, &found));
        }
    }
    return NULL;
}
