/* Types, exact shapes and known values of every tensor, node after node.
 *
 * A value is known where it follows from constants, from shapes, or from inputs that were bound by
 * value. What follows from constants and shapes alone becomes a constant at once, and its node
 * goes. What depends on a bound input is known to whoever infers shapes from it, but its node
 * stays: should a kernel need the tensor, a device computes it. */
#include "host/ops/op.h"
#include "host/passes/bind.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"

#include <string.h>

clv_status *clv_pass_infer(clv_graph *graph) CLV_CHECKED;

/* Values up to this size, at up to this work, are computed while shapes are: shape arithmetic, not
 * tensors. Constants beyond it are left to `fold`. */
enum { MAX_KNOWN_ELEMENTS = 65536 };
static const double max_known_work = 1e8, max_known_bytes = 0x1p26;

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

/* What readers of the tensor were inferred for stays: a pass that rewrites the node may not change
 * it. */
static clv_status *check_same(const clv_tensor *tensor, clv_dtype dtype, const clv_shape *shape) {
    if (tensor->dtype == CLV_DTYPE_NONE ||
        (tensor->dtype == dtype && clv_shape_equal(&tensor->shape, shape))) {
        return NULL;
    }
    char before[CLV_SHAPE_TEXT], now[CLV_SHAPE_TEXT];
    return CLV_ERROR(
        INTERNAL, "output '%s' was %s %s and became %s %s", tensor->name,
        clv_dtype_name(tensor->dtype), clv_shape_format(&tensor->shape, before),
        clv_dtype_name(dtype), clv_shape_format(shape, now));
}

static clv_status *set_outputs(clv_graph *graph, const clv_node *node, const clv_infer *infer) {
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] == CLV_NO_ID) {
            continue;
        }
        clv_tensor *tensor = &graph->tensors[node->outputs[i]];
        CLV_TRY(clv_status_prefix(
            check_same(tensor, infer->out_dtypes[i], &infer->out_shapes[i]), "node '%s'",
            node->name));
        tensor->dtype = infer->out_dtypes[i];
        tensor->shape = infer->out_shapes[i];
        if (tensor->dtype == CLV_DTYPE_NONE) {
            return CLV_ERROR(INTERNAL, "infer() gave output %zu no type", i);
        }
        CLV_TRY(
            clv_status_prefix(clv_shape_check(&tensor->shape, "it"), "output '%s'", tensor->name));
        CLV_TRY(check_declared(tensor));
    }
    return NULL;
}

/* Slots whose values become params need them now. */
static clv_status *check_host_inputs(const clv_graph *graph, const clv_node *node) {
    for (size_t i = 0; i < node->num_inputs && i < 32; i++) {
        bool is_host = (node->op->host_inputs >> i & 1) != 0 && node->inputs[i] != CLV_NO_ID;
        if (!is_host || graph->tensors[node->inputs[i]].data != NULL) {
            continue;
        }
        const char *tensor = graph->tensors[node->inputs[i]].name, *source;
        CLV_TRY(clv_bind_find_source(graph, node->inputs[i], &source));
        if (source == NULL) {
            return CLV_ERROR(
                UNSUPPORTED,
                "shapes depend on the value of '%s', which is too much to compute here", tensor);
        }
        return CLV_ERROR(
            UNSUPPORTED,
            "the shape of '%s' depends on the data of input '%s': give it when the session is made "
            "(--input %s=FILE)",
            node->outputs[0] != CLV_NO_ID ? graph->tensors[node->outputs[0]].name : node->name,
            source, source);
    }
    return NULL;
}

static clv_status *run_infer(clv_graph *graph, clv_node_id id, clv_arena *scratch) {
    const clv_node *node = &graph->nodes[id];
    clv_view *inputs = clv_arena_alloc(scratch, node->num_inputs, sizeof *inputs);
    clv_infer infer = {
        .arena = &graph->arena,
        .node = node,
        .inputs = inputs,
        .num_inputs = node->num_inputs,
        .num_outputs = node->num_outputs,
        .out_dtypes = clv_arena_alloc(scratch, node->num_outputs, sizeof(clv_dtype)),
        .out_shapes = clv_arena_alloc(scratch, node->num_outputs, sizeof(clv_shape)),
    };
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
    const clv_shape *shapes =
        clv_arena_copy(&graph->arena, infer.out_shapes, node->num_outputs * sizeof *shapes);
    if (shapes == NULL) {
        return CLV_NO_ARENA("shapes");
    }
    graph->nodes[id].params = infer.params;
    graph->nodes[id].output_shapes = shapes;
    return set_outputs(graph, node, &infer);
}

clv_status *clv_pass_infer_node(clv_graph *graph, clv_node_id id) {
    CLV_TRY(check_node(&graph->nodes[id]));
    CLV_TRY(check_host_inputs(graph, &graph->nodes[id]));
    clv_arena scratch;
    clv_arena_init(&scratch, 0);
    clv_status *status = run_infer(graph, id, &scratch);
    clv_arena_deinit(&scratch);
    return status;
}

static void *allocate_in_arena(void *context, clv_tensor_id id, size_t bytes) {
    (void)id;
    clv_graph *graph = context;
    return clv_arena_alloc(&graph->arena, bytes, 1);
}

static bool is_small(const clv_call *call, uint32_t wanted) {
    for (size_t i = 0; i < call->num_outputs; i++) {
        bool is_wanted = i >= 32 || (wanted >> i & 1) != 0;
        if (is_wanted && call->outputs[i].dtype != CLV_DTYPE_NONE &&
            clv_shape_elements(&call->outputs[i].shape) > MAX_KNOWN_ELEMENTS) {
            return false;
        }
    }
    return true;
}

/* Outputs that follow from the shapes of inputs alone (a Dropout's mask) become constants, whatever
 * their size, and the node goes on without them. */
static clv_status *split_off(
    clv_graph *graph, clv_node *node, const clv_call *call, clv_compute_budget *budget) {
    uint32_t found = 0;
    for (size_t i = 0; i < node->num_outputs && i < 32; i++) {
        if ((node->op->shape_outputs >> i & 1) != 0 && node->outputs[i] != CLV_NO_ID) {
            found |= 1u << i;
        }
    }
    if (found == 0) {
        return NULL;
    }
    if (!clv_compute_charge(budget, call, budget->work)) {
        return CLV_ERROR(UNSUPPORTED, "its outputs beside the first are too large");
    }
    CLV_TRY(clv_compute_outputs(graph, node, call, found, true, allocate_in_arena, graph));
    for (size_t i = 0; i < node->num_outputs && i < 32; i++) {
        if ((found >> i & 1) != 0) {
            node->outputs[i] = CLV_NO_ID;
        }
    }
    return NULL;
}

static clv_status *find_values(
    clv_graph *graph, clv_node_id id, clv_arena *scratch, clv_compute_budget *budget) {
    clv_node *node = &graph->nodes[id];
    clv_call call;
    CLV_TRY(clv_compute_call(graph, node, scratch, &call));
    if (node->op->value != NULL) {
        clv_tensor *tensor = &graph->tensors[node->outputs[0]];
        tensor->data = node->op->value(&call);
        tensor->kind = CLV_TENSOR_CONSTANT;
        clv_graph_remove_node(graph, id);
        return NULL;
    }
    if (node->op->shape_outputs != 0) {
        CLV_TRY(split_off(graph, node, &call, budget));
        CLV_TRY(clv_compute_call(graph, node, scratch, &call));
    }
    if (!clv_compute_is_known(&call) || !is_small(&call, UINT32_MAX) ||
        !clv_compute_charge(budget, &call, max_known_work)) {
        return NULL;
    }
    bool from_shape = (node->op->flags & CLV_OP_FROM_SHAPE) != 0;
    bool is_constant = from_shape || clv_compute_is_constant(graph, node);
    CLV_TRY(
        clv_compute_outputs(graph, node, &call, UINT32_MAX, is_constant, allocate_in_arena, graph));
    if (is_constant) {
        clv_graph_remove_node(graph, id);
    }
    return NULL;
}

clv_status *clv_pass_infer(clv_graph *graph) {
    clv_compute_budget budget;
    CLV_TRY(clv_bind_check(graph));
    clv_compute_budget_init(graph, max_known_bytes, 0, &budget);
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        clv_status *status = clv_pass_infer_node(graph, id);
        if (status == NULL) {
            clv_arena scratch;
            clv_arena_init(&scratch, 0);
            status = find_values(graph, id, &scratch, &budget);
            clv_arena_deinit(&scratch);
        }
        if (status != NULL) {
            return clv_pass_blame(status, &graph->nodes[id]);
        }
    }
    return NULL;
}
