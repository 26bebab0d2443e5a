/* LSTM, GRU and RNN whose W is constant: the product of the input and W does not wait for any step,
 * so a MatMul makes it for all of them at once, in kernels made for that; what is left is a
 * Recurrence. */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"
#include "kernels_cl/recurrent/recurrent.h"

#include <string.h>

clv_status *clv_pass_project_recurrent(clv_graph *graph) CLV_CHECKED;

typedef struct match {
    clv_node_id id;
    const clv_recurrent *op;
    clv_view w, b; /* b: dtype NONE where there is none */
    int64_t rows;  /* of a direction: gates * hidden */
} match;

static bool find_constant(
    const clv_graph *graph, const clv_node *node, size_t index, clv_view *out_view) {
    *out_view = (clv_view){0};
    if (index >= node->num_inputs || node->inputs[index] == CLV_NO_ID) {
        return true;
    }
    const clv_tensor *tensor = &graph->tensors[node->inputs[index]];
    *out_view = (clv_view){tensor->dtype, tensor->shape, tensor->data};
    return tensor->kind == CLV_TENSOR_CONSTANT;
}

static bool find_recurrent(const clv_graph *graph, clv_node_id id, match *out_match) {
    const clv_node *node = &graph->nodes[id];
    if (node->removed || node->op->kernels != &clv_kernels_recurrent ||
        (node->op->flags & CLV_OP_OWN) != 0) {
        return false;
    }
    match m = {.id = id, .op = node->params};
    const bool is_constant = find_constant(graph, node, CLV_RECURRENT_W, &m.w) &&
                             find_constant(graph, node, CLV_RECURRENT_B, &m.b);
    m.rows = clv_recurrent_gates(m.op->kind) * m.op->hidden;
    *out_match = m;
    const clv_shape *x = &graph->tensors[node->inputs[CLV_RECURRENT_X]].shape;
    const double product = (double)(x->dims[0] * x->dims[1]) * (double)(m.op->directions * m.rows);
    return is_constant && clv_shape_elements(&m.w.shape) > 0 && product < (double)CLV_MAX_ELEMENTS;
}

static bool is_reset_last(const match *m) {
    return m->op->kind == RECURRENT_GRU && m->op->linear_before_reset && m->b.data != NULL;
}

/* [input, directions * rows]: W with its columns as rows. */
static void fill_weights(const match *m, float *out) {
    const int64_t columns = m->op->directions * m->rows, input = m->w.shape.dims[2];
    enum { TILE = 16 }; /* rows at once: a line of what is written */
    for (int64_t first = 0; first < columns; first += TILE) {
        const int64_t end = first + TILE < columns ? first + TILE : columns;
        for (int64_t k = 0; k < input; k++) {
            for (int64_t n = first; n < end; n++) {
                memcpy(
                    &out[k * columns + n],
                    (const char *)m->w.data + (size_t)(n * input + k) * sizeof *out, sizeof *out);
            }
        }
    }
}

/* [directions * rows]: those of W and of R, where nothing resets what R's is added to. */
static void fill_bias(const match *m, float *out) {
    for (int64_t n = 0; n < m->op->directions * m->rows; n++) {
        const int64_t at = n / m->rows * 2 * m->rows + n % m->rows;
        const bool is_inner = is_reset_last(m) && n % m->rows >= 2 * m->op->hidden;
        out[n] = (float)clv_load_double(CLV_FLOAT32, m->b.data, at);
        out[n] += is_inner ? 0.0f : (float)clv_load_double(CLV_FLOAT32, m->b.data, at + m->rows);
    }
}

static clv_status *add_filled(
    clv_graph *graph, const match *m, const clv_shape *shape,
    void (*fill)(const match *m, float *out), clv_tensor_id *out_id) {
    float *data = clv_alloc(clv_view_bytes(CLV_FLOAT32, shape));
    if (data == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the weights of a product");
    }
    fill(m, data);
    const clv_view view = {.dtype = CLV_FLOAT32, .shape = *shape, .data = data};
    clv_status *status = clv_graph_add_constant(graph, graph->nodes[m->id].name, &view, out_id);
    clv_free(data);
    return status;
}

/* *value becomes what an operator makes of it and a constant. */
static clv_status *add_operator(
    clv_graph *graph, const match *m, const char *op, clv_tensor_id constant,
    clv_tensor_id *value) {
    clv_shape shape = graph->tensors[*value].shape;
    clv_tensor_id inputs[] = {*value, constant};
    shape.dims[2] = m->op->directions * m->rows;
    const char *name = clv_arena_printf(&graph->arena, "%s/%s", graph->nodes[m->id].name, op);
    if (name == NULL) {
        return CLV_NO_ARENA("names");
    }
    const clv_node node = {.op_type = op, .opset = 14, .inputs = inputs, .num_inputs = 2};
    return clv_pass_add_node(graph, name, CLV_FLOAT32, &shape, node, value);
}

/* Outputs that nobody reads are left out: states and Y have their axes at different places, so an
 * operator with Y alone can be cut. */
static void drop_outputs(clv_graph *graph, const clv_uses *uses, clv_node *node) {
    size_t count = 0;
    for (size_t i = 0; i < node->num_outputs; i++) {
        const clv_tensor_id id = node->outputs[i];
        if (id == CLV_NO_ID) {
            continue;
        }
        if (uses->offsets[id] == uses->offsets[id + 1] && uses->outputs[id] == 0) {
            graph->tensors[id].producer = CLV_NO_ID;
            node->outputs[i] = CLV_NO_ID;
        } else {
            count = i + 1;
        }
    }
    node->num_outputs = count > 0 ? count : node->num_outputs;
}

static clv_status *replace(
    clv_graph *graph, const clv_uses *uses, const match *m, clv_tensor_id product) {
    static const char *const kinds[] = {"LSTM", "GRU", "RNN"};
    clv_node *node = &graph->nodes[m->id];
    clv_tensor_id *inputs =
        clv_arena_copy(&graph->arena, node->inputs, node->num_inputs * sizeof *inputs);
    clv_attr *attrs = clv_arena_alloc(&graph->arena, node->num_attrs + 1, sizeof *attrs);
    if (inputs == NULL || attrs == NULL) {
        return CLV_NO_ARENA("a recurrent operator");
    }
    inputs[CLV_RECURRENT_X] = product;
    inputs[CLV_RECURRENT_W] = CLV_NO_ID;
    if (node->num_inputs > CLV_RECURRENT_B && !is_reset_last(m)) {
        inputs[CLV_RECURRENT_B] = CLV_NO_ID;
    }
    attrs[0] =
        (clv_attr){.name = "kind", .type = CLV_ATTR_STRING, .value.string = kinds[m->op->kind]};
    if (node->num_attrs > 0) {
        memcpy(attrs + 1, node->attrs, node->num_attrs * sizeof *attrs);
    }
    node->attrs = attrs;
    node->num_attrs++;
    node->inputs = inputs;
    node->op = clv_op_find("", "Recurrence");
    node->op_type = node->op->name;
    drop_outputs(graph, uses, node);
    return clv_pass_infer_node(graph, m->id);
}

static clv_status *project(clv_graph *graph, const clv_uses *uses, const match *m) {
    const int64_t columns = m->op->directions * m->rows;
    const clv_shape shape = {.rank = 2, .dims = {m->w.shape.dims[2], columns}};
    clv_tensor_id value = graph->nodes[m->id].inputs[CLV_RECURRENT_X], constant;
    CLV_TRY(add_filled(graph, m, &shape, fill_weights, &constant));
    CLV_TRY(add_operator(graph, m, "MatMul", constant, &value));
    if (m->b.data != NULL) {
        const clv_shape line = {.rank = 1, .dims = {columns}};
        CLV_TRY(add_filled(graph, m, &line, fill_bias, &constant));
        CLV_TRY(add_operator(graph, m, "Add", constant, &value));
    }
    return replace(graph, uses, m, value);
}

clv_status *clv_pass_project_recurrent(clv_graph *graph) {
    const size_t num_nodes = graph->num_nodes;
    clv_uses uses;
    clv_status *status = NULL;
    CLV_TRY(clv_uses_init(graph, &uses)); /* of tensors that were there, which stay as they are */
    for (clv_node_id id = 0; status == NULL && id < num_nodes; id++) {
        match m;
        if (find_recurrent(graph, id, &m)) {
            status = project(graph, &uses, &m);
        }
    }
    clv_uses_deinit(&uses);
    CLV_TRY(status);
    return graph->num_nodes != num_nodes ? clv_graph_sort(graph) : NULL;
}
