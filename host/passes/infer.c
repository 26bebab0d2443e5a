/* Types, exact shapes and known values of every tensor, node after node. */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"

#include <string.h>

clv_status *clv_pass_infer(clv_graph *graph) CLV_CHECKED;

/* Values up to this size are computed while shapes are: shape arithmetic, not tensors. */
enum { MAX_KNOWN_ELEMENTS = 65536 };

static bool is_absent(const clv_node *node, size_t index) {
    return index >= node->num_inputs || node->inputs[index] == CLV_NO_ID;
}

static clv_status *check_node(const clv_node *node) {
    const clv_op_def *op = node->op;
    if (op == NULL) {
        return CLV_ERROR(UNSUPPORTED, "there is no such operator");
    }
    if (node->opset < op->since_opset) {
        return CLV_ERROR(
            UNSUPPORTED, "opset %d; the operator is handled from opset %d on", node->opset,
            op->since_opset);
    }
    for (int i = 0; i < op->min_inputs; i++) {
        if (is_absent(node, (size_t)i)) {
            return CLV_ERROR(MALFORMED, "input %d is missing", i);
        }
    }
    if (op->max_inputs >= 0 && node->num_inputs > (size_t)op->max_inputs) {
        return CLV_ERROR(
            MALFORMED, "%zu inputs, at most %d are allowed", node->num_inputs, op->max_inputs);
    }
    bool is_few = node->num_outputs < (size_t)op->min_outputs;
    if (is_few || (op->max_outputs >= 0 && node->num_outputs > (size_t)op->max_outputs)) {
        return CLV_ERROR(
            MALFORMED, "%zu outputs, there must be %d to %d", node->num_outputs, op->min_outputs,
            op->max_outputs);
    }
    return NULL;
}

/* What inference found against what the file says. */
static clv_status *check_declared(const clv_tensor *tensor) {
    if (tensor->declared_dtype == CLV_DTYPE_NONE) {
        return NULL;
    }
    if (tensor->declared_dtype != tensor->dtype) {
        return CLV_ERROR(
            MALFORMED, "output '%s' is %s, the file declares %s", tensor->name,
            clv_dtype_name(tensor->dtype), clv_dtype_name(tensor->declared_dtype));
    }
    const clv_shape *declared = &tensor->declared_shape, *shape = &tensor->shape;
    bool fits = declared->rank < 0 || declared->rank == shape->rank;
    for (int i = 0; fits && i < declared->rank; i++) {
        fits = declared->dims[i] == CLV_DIM_FREE || declared->dims[i] == shape->dims[i];
    }
    if (!fits) {
        char inferred_text[CLV_SHAPE_TEXT], declared_text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "output '%s' has the shape %s, the file declares %s", tensor->name,
            clv_shape_format(shape, inferred_text), clv_shape_format(declared, declared_text));
    }
    return NULL;
}

static clv_status *set_outputs(clv_graph *graph, const clv_node *node, const clv_infer *infer) {
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] == CLV_NO_ID) {
            continue;
        }
        clv_tensor *tensor = &graph->tensors[node->outputs[i]];
        tensor->dtype = infer->out_dtypes[i];
        tensor->shape = infer->out_shapes[i];
        if (tensor->dtype == CLV_DTYPE_NONE) {
            return CLV_ERROR(MALFORMED, "there is no output %zu", i);
        }
        CLV_TRY(clv_shape_check(&tensor->shape, tensor->name));
        CLV_TRY(check_declared(tensor));
    }
    return NULL;
}

/* Whether the node's outputs can be computed now: small, and of inputs whose values are known. */
static bool is_known(const clv_graph *graph, const clv_node *node, const clv_view *inputs) {
    if (node->op->reference == NULL) {
        return false;
    }
    bool from_shape = (node->op->flags & CLV_OP_FROM_SHAPE) != 0;
    for (size_t i = 0; i < node->num_inputs; i++) {
        bool is_given = inputs[i].dtype == CLV_DTYPE_NONE || inputs[i].data != NULL;
        bool is_small = inputs[i].dtype == CLV_DTYPE_NONE ||
                        clv_shape_elements(&inputs[i].shape) <= MAX_KNOWN_ELEMENTS;
        if (!from_shape && !(is_given && is_small)) {
            return false;
        }
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] != CLV_NO_ID &&
            clv_shape_elements(&graph->tensors[node->outputs[i]].shape) > MAX_KNOWN_ELEMENTS) {
            return false;
        }
    }
    return true;
}

/* A slot whose value became part of the params reads a constant from now on, so that the value's
 * producer can go where nothing else needs it. */
static clv_status *capture_values(clv_graph *graph, clv_node_id id) {
    for (size_t i = 0; i < graph->nodes[id].num_inputs && i < 32; i++) {
        const clv_node *node = &graph->nodes[id];
        if ((node->op->host_inputs >> i & 1) == 0 || node->inputs[i] == CLV_NO_ID) {
            continue;
        }
        const clv_tensor *tensor = &graph->tensors[node->inputs[i]];
        if (tensor->kind == CLV_TENSOR_CONSTANT || tensor->data == NULL) {
            continue;
        }
        clv_view value = {.dtype = tensor->dtype, .shape = tensor->shape, .data = tensor->data};
        clv_tensor_id constant;
        CLV_TRY(clv_graph_add_constant(graph, tensor->name, &value, &constant));
        graph->nodes[id].inputs[i] = constant;
    }
    return NULL;
}

static clv_status *infer_node(clv_graph *graph, clv_node_id id, clv_arena *scratch) {
    const clv_node *node = &graph->nodes[id];
    CLV_TRY(check_node(node));
    clv_view *inputs = clv_arena_alloc(scratch, node->num_inputs, sizeof *inputs);
    clv_infer infer = {
        .arena = &graph->arena,
        .node = node,
        .inputs = inputs,
        .num_inputs = node->num_inputs,
        .num_outputs = node->num_outputs,
        .out_dtypes = clv_arena_alloc(scratch, node->num_outputs, sizeof(clv_dtype)),
        .out_shapes = clv_arena_alloc(scratch, node->num_outputs, sizeof(clv_shape))};
    if (inputs == NULL || infer.out_dtypes == NULL || infer.out_shapes == NULL) {
        return CLV_NO_ARENA("inference");
    }
    for (size_t i = 0; i < node->num_inputs; i++) {
        if (node->inputs[i] != CLV_NO_ID) {
            const clv_tensor *tensor = &graph->tensors[node->inputs[i]];
            inputs[i] =
                (clv_view){.dtype = tensor->dtype, .shape = tensor->shape, .data = tensor->data};
        }
    }
    CLV_TRY(node->op->infer(&infer));
    graph->nodes[id].params = infer.params;
    CLV_TRY(set_outputs(graph, node, &infer));
    CLV_TRY(capture_values(graph, id));
    node = &graph->nodes[id];
    if (is_known(graph, node, inputs)) {
        bool is_constant =
            (node->op->flags & CLV_OP_FROM_SHAPE) || clv_pass_has_constant_inputs(graph, node);
        CLV_TRY(clv_pass_compute(graph, id, is_constant));
    }
    return NULL;
}

clv_status *clv_pass_infer(clv_graph *graph) {
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        clv_arena scratch;
        clv_arena_init(&scratch, 0);
        clv_status *status = infer_node(graph, id, &scratch);
        clv_arena_deinit(&scratch);
        if (status != NULL) {
            return clv_pass_blame(status, &graph->nodes[id]);
        }
    }
    return NULL;
}
