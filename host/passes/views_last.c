/* An elementwise operator behind a view that only adds or leaves out dimensions of 1 comes before
 * it, so that it can become the epilogue of what makes the tensor (TensorFlow writes convolutions
 * along one axis as Unsqueeze, Conv, Squeeze, Add, an activation; PyTorch's GPT-2 every product as
 * Reshape, Gemm, Reshape, Add). What else it reads gets the dimensions that the view takes away.
 * Views that then follow one another are one, or none. */
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/program.h"
#include "host/passes/rewrite.h"

#include <string.h>

clv_status *clv_pass_views_last(clv_graph *graph) CLV_CHECKED;
clv_status *clv_pass_simplify(clv_graph *graph) CLV_CHECKED;

static const clv_shape *shape_of(const clv_graph *graph, clv_tensor_id id) {
    return &graph->tensors[id].shape;
}

/* The shape before the view of what is broadcast to `to` behind it; false where dimensions other
 * than 1 are not the same in `from` and `to`. */
static bool undo_view(
    const clv_shape *from, const clv_shape *to, const clv_shape *operand, clv_shape *out_shape) {
    const int32_t missing = to->rank - operand->rank;
    int32_t j = 0;
    *out_shape = (clv_shape){.rank = from->rank};
    if (missing < 0) {
        return false;
    }
    for (int32_t i = 0; i < from->rank; i++) {
        out_shape->dims[i] = 1;
        if (from->dims[i] == 1) {
            continue;
        }
        while (j < to->rank && to->dims[j] == 1) {
            j++;
        }
        if (j == to->rank || to->dims[j] != from->dims[i]) {
            return false;
        }
        out_shape->dims[i] = j >= missing ? operand->dims[j - missing] : 1;
        j++;
    }
    while (j < to->rank && to->dims[j] == 1) {
        j++;
    }
    return j == to->rank;
}

/* A view of its first input by constants, with nothing else to give. */
static bool is_view(const clv_graph *graph, clv_node_id id) {
    if (id == CLV_NO_ID || (graph->nodes[id].op->flags & CLV_OP_VIEW) == 0 ||
        graph->nodes[id].num_outputs != 1) {
        return false;
    }
    const clv_node *node = &graph->nodes[id];
    for (size_t i = 1; i < node->num_inputs; i++) {
        if (node->inputs[i] != CLV_NO_ID &&
            graph->tensors[node->inputs[i]].kind != CLV_TENSOR_CONSTANT) {
            return false;
        }
    }
    return true;
}

/* The view that makes input `slot`, if the node can come before it; CLV_NO_ID otherwise. */
static clv_node_id find_view(
    const clv_graph *graph, const clv_uses *uses, clv_node_id id,
    const clv_pointwise_program *program, uint32_t slot) {
    const clv_tensor_id behind = program->inputs[slot];
    const clv_node_id view = graph->tensors[behind].producer;
    if (!is_view(graph, view) || clv_uses_only_reader(uses, behind) != id ||
        !clv_shape_equal(shape_of(graph, behind), shape_of(graph, graph->nodes[id].outputs[0]))) {
        return CLV_NO_ID;
    }
    const clv_tensor_id before = graph->nodes[view].inputs[0];
    const clv_node_id maker = graph->tensors[before].producer;
    if (maker == CLV_NO_ID || graph->nodes[maker].op->takes_epilogue == NULL ||
        clv_uses_only_reader(uses, before) != view || graph->tensors[before].dtype != CLV_FLOAT32) {
        return CLV_NO_ID;
    }
    for (uint32_t i = 0; i < program->num_inputs; i++) {
        clv_shape shape;
        const clv_tensor *operand = &graph->tensors[program->inputs[i]];
        if (!undo_view(shape_of(graph, before), shape_of(graph, behind), &operand->shape, &shape)) {
            return CLV_NO_ID;
        }
    }
    return view;
}

/* What node `id` computes is computed of what goes into the view, and the view is of its result. */
static clv_status *swap(
    clv_graph *graph, clv_node_id id, clv_node_id view, const clv_pointwise_program *program,
    uint32_t slot) {
    clv_pointwise_program moved = *program;
    const clv_tensor_id behind = program->inputs[slot], before = graph->nodes[view].inputs[0];
    const clv_tensor_id result = graph->nodes[id].outputs[0];
    const clv_shape from = *shape_of(graph, before), to = *shape_of(graph, behind);
    for (uint32_t i = 0; i < program->num_inputs; i++) {
        if (i == slot) {
            moved.inputs[i] = before;
            continue;
        }
        const clv_tensor operand = graph->tensors[program->inputs[i]];
        clv_view value = {.dtype = operand.dtype, .data = operand.data};
        undo_view(&from, &to, &operand.shape, &value.shape);
        CLV_TRY(
            operand.kind == CLV_TENSOR_CONSTANT
                ? clv_graph_add_constant(graph, operand.name, &value, &moved.inputs[i])
                : clv_pass_add_view(graph, program->inputs[i], &value.shape, &moved.inputs[i]));
    }
    clv_tensor_id *ids = clv_arena_alloc(&graph->arena, 2, sizeof *ids);
    clv_tensor_id *inputs = clv_arena_copy(
        &graph->arena, graph->nodes[view].inputs, graph->nodes[view].num_inputs * sizeof *inputs);
    if (ids == NULL || inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    CLV_TRY(clv_graph_add_value(graph, graph->tensors[result].name, CLV_FLOAT32, &from, &ids[0]));
    CLV_TRY(clv_program_put(graph, id, &moved));
    graph->nodes[id].output_shapes = clv_arena_copy(&graph->arena, &from, sizeof from);
    graph->nodes[id].outputs = &ids[0];
    graph->tensors[ids[0]].producer = id;
    ids[1] = result;
    inputs[0] = ids[0];
    graph->nodes[view].inputs = inputs;
    graph->nodes[view].outputs = &ids[1];
    graph->tensors[result].producer = view;
    graph->tensors[behind].producer = CLV_NO_ID;
    return graph->nodes[id].output_shapes != NULL ? clv_pass_infer_node(graph, view)
                                                  : CLV_NO_ARENA("shapes of a node");
}

clv_status *clv_pass_views_last(clv_graph *graph) {
    clv_uses uses;
    clv_status *status = NULL;
    bool is_changed = false;
    CLV_TRY(clv_uses_init(graph, &uses));
    /* new tensors are read once and not asked about: of a chain the first node alone moves */
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        clv_pointwise_program program;
        if (!clv_program_of_node(graph, &graph->nodes[id], &program) ||
            graph->tensors[graph->nodes[id].outputs[0]].dtype != CLV_FLOAT32) {
            continue;
        }
        for (uint32_t slot = 0; slot < program.num_inputs; slot++) {
            const clv_node_id view = find_view(graph, &uses, id, &program, slot);
            if (view != CLV_NO_ID) {
                is_changed = true;
                status = swap(graph, id, view, &program, slot);
                break;
            }
        }
    }
    clv_uses_deinit(&uses);
    CLV_TRY(status);
    if (!is_changed) {
        return NULL;
    }
    CLV_TRY(clv_graph_sort(graph));
    return clv_pass_simplify(graph); /* a Squeeze may now stand before an Unsqueeze */
}
