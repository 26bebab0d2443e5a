/* An elementwise operator of two operands between a view and one that undoes it does without both,
 * where the other operand is a constant: that is seen the other way instead. So masks of windows
 * stand where other masks of attention do (Swin adds them to scores seen as [batch, windows, heads,
 * rows, keys]). */
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"

clv_status *clv_pass_undo_views(clv_graph *graph) CLV_CHECKED;

static const clv_shape *shape_of(const clv_graph *graph, clv_tensor_id id) {
    return &graph->tensors[id].shape;
}

/* Some axes of two shapes that hold the same elements, as few as do. */
typedef struct axes {
    int32_t first, end;
} axes;

static bool next_axes(const clv_shape *from, const clv_shape *to, axes *a, axes *b) {
    int64_t num_a = 1, num_b = 1;
    a->first = a->end;
    b->first = b->end;
    do {
        if (num_a <= num_b && a->end < from->rank) {
            num_a *= from->dims[a->end++];
        } else if (b->end < to->rank) {
            num_b *= to->dims[b->end++];
        } else {
            return false;
        }
    } while (num_a != num_b);
    return true;
}

/* `operand`, which is broadcast to `to`, as it is broadcast to `from`, another view of the same
 * elements: false where it is repeated along some of the axes that are one there. */
static bool undo_view(
    const clv_shape *from, const clv_shape *to, const clv_shape *operand, clv_shape *out_shape) {
    const int32_t missing = to->rank - operand->rank;
    axes a = {0, 0}, b = {0, 0};
    *out_shape = (clv_shape){.rank = from->rank};
    while (a.end < from->rank || b.end < to->rank) {
        bool is_whole = true, is_one = true;
        if (missing < 0 || !next_axes(from, to, &a, &b)) {
            return false;
        }
        for (int32_t j = b.first; j < b.end; j++) {
            const int64_t dim = j >= missing ? operand->dims[j - missing] : 1;
            is_whole = is_whole && dim == to->dims[j];
            is_one = is_one && dim == 1;
        }
        if (!is_whole && !is_one) {
            return false;
        }
        for (int32_t i = a.first; i < a.end; i++) {
            out_shape->dims[i] = is_whole ? from->dims[i] : 1;
        }
    }
    return true;
}

static bool is_view(const clv_graph *graph, clv_node_id id) {
    return id != CLV_NO_ID && !graph->nodes[id].removed &&
           (graph->nodes[id].op->flags & CLV_OP_VIEW) != 0 && graph->nodes[id].num_outputs == 1;
}

/* Whether input `slot` of the node is a view that its only reader undoes. */
static bool is_between(
    const clv_graph *graph, const clv_uses *uses, const clv_node *node, size_t slot,
    clv_shape *out_operand) {
    const clv_node_id view = graph->tensors[node->inputs[slot]].producer;
    const clv_node_id reader = clv_uses_only_reader(uses, node->outputs[0]);
    const clv_tensor *operand = &graph->tensors[node->inputs[1 - slot]];
    if (!is_view(graph, view) || !is_view(graph, reader) || operand->kind != CLV_TENSOR_CONSTANT) {
        return false;
    }
    const clv_shape *before = shape_of(graph, graph->nodes[view].inputs[0]);
    const clv_shape *within = shape_of(graph, node->inputs[slot]);
    return clv_shape_elements(before) > 0 && graph->nodes[reader].inputs[0] == node->outputs[0] &&
           clv_shape_equal(within, shape_of(graph, node->outputs[0])) &&
           clv_shape_equal(before, shape_of(graph, graph->nodes[reader].outputs[0])) &&
           undo_view(before, within, &operand->shape, out_operand);
}

static clv_status *do_without(
    clv_graph *graph, const clv_uses *uses, clv_node_id id, size_t slot, const clv_shape *shape) {
    clv_node *node = &graph->nodes[id];
    const clv_node_id reader = clv_uses_only_reader(uses, node->outputs[0]);
    const clv_tensor_id seen = node->inputs[slot];
    const clv_node_id view = graph->tensors[seen].producer;
    const clv_tensor_id before = graph->nodes[view].inputs[0];
    const clv_tensor operand = graph->tensors[node->inputs[1 - slot]];
    const clv_view value = {.dtype = operand.dtype, .shape = *shape, .data = operand.data};
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, 2, sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    inputs[slot] = before;
    CLV_TRY(clv_graph_add_constant(graph, operand.name, &value, &inputs[1 - slot]));
    CLV_TRY(clv_pass_adopt(graph, id, reader));
    node = &graph->nodes[id];
    const clv_tensor_id within = node->outputs[0], result = graph->nodes[reader].outputs[0];
    clv_graph_remove_node(graph, reader);
    if (clv_uses_only_reader(uses, seen) == id) {
        clv_graph_remove_node(graph, view);
    }
    graph->tensors[within].producer = CLV_NO_ID;
    graph->tensors[result].producer = id;
    node->inputs = inputs;
    node->outputs[0] = result;
    return clv_pass_infer_node(graph, id);
}

clv_status *clv_pass_undo_views(clv_graph *graph) {
    clv_uses uses;
    clv_status *status = NULL;
    CLV_TRY(clv_uses_init(graph, &uses));
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        const clv_node *node = &graph->nodes[id];
        clv_shape operand;
        if (node->removed || (node->op->flags & CLV_OP_POINTWISE) == 0 || node->num_inputs != 2 ||
            node->num_outputs != 1) {
            continue;
        }
        for (size_t slot = 0; slot < 2; slot++) {
            if (is_between(graph, &uses, node, slot, &operand)) {
                status = do_without(graph, &uses, id, slot, &operand);
                break;
            }
        }
    }
    clv_uses_deinit(&uses);
    return status;
}
