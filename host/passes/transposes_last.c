/* Operators behind a Transpose that do not care in which order axes stand come before it, so that
 * it meets the one that undoes it: converters of networks with channels last (TensorFlow Lite,
 * Keras) put every convolution between two, and activations, sums, pads, concatenations and means
 * between those. What is left of such a network are the transposes of its inputs and outputs, and
 * activations and sums stand behind convolutions, whose epilogues they become.
 *
 * One walk in topological order: of two transposes the second is put on what the first reads, or,
 * where they undo one another, left out (`alias` says which tensor stands for its output);
 * elementwise operators, reductions, Concat and Pad are put before. A transpose that only moves
 * dimensions of 1 is a Reshape at last, which moves nothing.
 *
 * y = Transpose(x) by `perm` has the dimension perm[i] of x as its dimension i. */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"
#include "kernels_cl/move/move.h"
#include "kernels_cl/reduce/reduce.h"

#include <string.h>

clv_status *clv_pass_transposes_last(clv_graph *graph) CLV_CHECKED;

extern const clv_kernel_family clv_kernels_reduce;

typedef struct order {
    int32_t rank;
    int64_t perm[CLV_MAX_RANK];
} order;

typedef struct mover {
    clv_graph *graph;
    clv_uses uses;
    size_t num_tensors; /* at the start: tensors added later have no alias, and are not in `uses` */
    size_t num_nodes;   /* likewise */
    clv_tensor_id *alias; /* [num_tensors]: CLV_NO_ID, or the tensor to read instead */
    bool is_changed;
} mover;

static clv_tensor_id resolve(const mover *m, clv_tensor_id id) {
    while (id < m->num_tensors && m->alias[id] != CLV_NO_ID) {
        id = m->alias[id];
    }
    return id;
}

static bool is_transpose(const clv_node *node) {
    return !node->removed && strcmp(node->op->name, "Transpose") == 0;
}

static order order_of(const clv_graph *graph, const clv_node *node) {
    const clv_move_op *op = node->params;
    order result = {.rank = graph->tensors[node->outputs[0]].shape.rank};
    for (int32_t i = 0; i < result.rank; i++) {
        result.perm[i] = op->axes[i];
    }
    return result;
}

static bool is_same(const order *a, const order *b) {
    return a->rank == b->rank && memcmp(a->perm, b->perm, (size_t)a->rank * sizeof *a->perm) == 0;
}

static bool changes_nothing(const order *o) {
    for (int32_t i = 0; i < o->rank; i++) {
        if (o->perm[i] != i) {
            return false;
        }
    }
    return true;
}

/* The Transpose that makes a tensor; NULL where there is none. */
static const clv_node *find_transpose(const clv_graph *graph, clv_tensor_id id) {
    const clv_node_id producer = id != CLV_NO_ID ? graph->tensors[id].producer : CLV_NO_ID;
    const bool is_there = producer != CLV_NO_ID && is_transpose(&graph->nodes[producer]);
    return is_there ? &graph->nodes[producer] : NULL;
}

/* The shape before the transpose of what is broadcast to its result behind it. */
static clv_shape shape_before(const order *o, const clv_shape *behind) {
    const int32_t missing = o->rank - behind->rank;
    clv_shape before = {.rank = o->rank};
    for (int32_t i = 0; i < o->rank; i++) {
        before.dims[o->perm[i]] = i >= missing ? behind->dims[i - missing] : 1;
    }
    return before;
}

/* Whether elements lie as before where a tensor of that shape is transposed: only dimensions of 1
 * change places with others. */
static bool keeps_elements(const order *o, const clv_shape *behind) {
    const int32_t missing = o->rank - behind->rank;
    int64_t last = -1;
    for (int32_t i = missing; i < o->rank; i++) {
        if (behind->dims[i - missing] != 1) {
            if (o->perm[i] < last) {
                return false;
            }
            last = o->perm[i];
        }
    }
    return true;
}

/* --- which nodes --- */

static bool is_pointwise(const clv_node *node) {
    return (node->op->flags & CLV_OP_POINTWISE) != 0;
}

static bool is_concat(const clv_node *node) {
    return strcmp(node->op->name, "Concat") == 0;
}

static bool is_pad(const clv_node *node) {
    return strcmp(node->op->name, "Pad") == 0;
}

static bool is_reduction(const clv_node *node) {
    return node->op->kernels == &clv_kernels_reduce && node->params != NULL &&
           ((const clv_reduce *)node->params)->axes != 0;
}

/* Of a kind that may come before, and with nobody having computed it beforehand. */
static bool is_movable(const clv_graph *graph, const clv_node *node) {
    return !node->removed && node->num_outputs == 1 && node->outputs[0] != CLV_NO_ID &&
           node->params != NULL && graph->tensors[node->outputs[0]].data == NULL &&
           (is_pointwise(node) || is_concat(node) || is_pad(node) || is_reduction(node));
}

/* Whether readers of what a transpose makes are all such that may do without it. */
static bool may_go(const mover *m, clv_tensor_id id) {
    if (id >= m->num_tensors || m->uses.outputs[id] != 0) {
        return false;
    }
    for (uint32_t i = m->uses.offsets[id]; i < m->uses.offsets[id + 1]; i++) {
        const clv_node *reader = &m->graph->nodes[m->uses.nodes[i]];
        if (!reader->removed && !is_transpose(reader) && !is_movable(m->graph, reader)) {
            return false;
        }
    }
    return true;
}

/* What is read by transposes alone. */
static bool is_transposed_next(const mover *m, clv_tensor_id id) {
    bool result = m->uses.outputs[id] == 0 && m->uses.offsets[id] != m->uses.offsets[id + 1];
    for (uint32_t i = m->uses.offsets[id]; result && i < m->uses.offsets[id + 1]; i++) {
        result = is_transpose(&m->graph->nodes[m->uses.nodes[i]]);
    }
    return result;
}

/* Operands that are broadcast and lie the same before: nothing of them has to move. */
static bool can_be_viewed(const clv_graph *graph, clv_tensor_id id, const order *o) {
    const clv_shape *shape = &graph->tensors[id].shape;
    return shape->rank <= o->rank && clv_shape_elements(shape) > 0 && keeps_elements(o, shape);
}

/* Whether node `id` can come before the transposes that it reads, which all have `out_order`, and
 * that leaves no more of them than there are. */
static bool can_move(const mover *m, const clv_node *node, order *out_order) {
    const clv_graph *graph = m->graph;
    const size_t num_read = is_pointwise(node) || is_concat(node) ? node->num_inputs : 1;
    bool is_found = false, is_worth_it = false;
    for (size_t i = 0; i < num_read; i++) {
        const clv_node *transpose = find_transpose(graph, node->inputs[i]);
        if (transpose == NULL) {
            continue;
        }
        const order o = order_of(graph, transpose);
        if (is_found && !is_same(&o, out_order)) {
            return false;
        }
        *out_order = o;
        is_found = true;
        is_worth_it = is_worth_it || may_go(m, node->inputs[i]);
    }
    if (!is_found || (!is_worth_it && !is_transposed_next(m, node->outputs[0])) ||
        (!is_reduction(node) && graph->tensors[node->outputs[0]].shape.rank != out_order->rank)) {
        return false;
    }
    for (size_t i = 0; i < num_read; i++) {
        if (node->inputs[i] != CLV_NO_ID && find_transpose(graph, node->inputs[i]) == NULL &&
            (is_concat(node) || !can_be_viewed(graph, node->inputs[i], out_order))) {
            return false;
        }
    }
    return true;
}

/* --- moving --- */

/* Integers of a node that are input `slot`, or an attribute where it has no such input. */
static clv_status *set_list(
    clv_graph *graph, clv_node_id id, size_t slot, const char *name, const int64_t *values,
    size_t count) {
    if (graph->nodes[id].num_inputs <= slot || graph->nodes[id].inputs[slot] == CLV_NO_ID) {
        return clv_pass_set_ints(graph, id, name, values, count);
    }
    const clv_view value = {
        .dtype = CLV_INT64, .shape = {.rank = 1, .dims = {(int64_t)count}}, .data = values};
    clv_tensor_id constant;
    CLV_TRY(clv_graph_add_constant(graph, name, &value, &constant));
    graph->nodes[id].inputs[slot] = constant;
    return NULL;
}

/* A tensor of the same elements and another shape; a constant or a view. */
static clv_status *add_view(
    clv_graph *graph, clv_tensor_id of, const clv_shape *shape, clv_tensor_id *out_id) {
    const clv_tensor tensor = graph->tensors[of];
    if (tensor.kind == CLV_TENSOR_CONSTANT) {
        const clv_view value = {.dtype = tensor.dtype, .shape = *shape, .data = tensor.data};
        return clv_graph_add_constant(graph, tensor.name, &value, out_id);
    }
    return clv_pass_add_view(graph, of, shape, out_id);
}

/* The node reads what its transposes read. */
static clv_status *read_before(clv_graph *graph, clv_node_id id, const order *o) {
    const clv_node node = graph->nodes[id];
    const size_t num_read = is_pointwise(&node) || is_concat(&node) ? node.num_inputs : 1;
    clv_tensor_id *inputs =
        clv_arena_copy(&graph->arena, node.inputs, node.num_inputs * sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    for (size_t i = 0; i < num_read; i++) {
        const clv_node *transpose = find_transpose(graph, inputs[i]);
        if (transpose != NULL) {
            inputs[i] = transpose->inputs[0];
        } else if (
            inputs[i] != CLV_NO_ID && clv_shape_elements(&graph->tensors[inputs[i]].shape) != 1) {
            const clv_shape shape = shape_before(o, &graph->tensors[inputs[i]].shape);
            CLV_TRY(add_view(graph, inputs[i], &shape, &inputs[i]));
        }
    }
    graph->nodes[id].inputs = inputs;
    return NULL;
}

/* What stands in the node about axes is about those before the transpose. */
static clv_status *turn_axes(clv_graph *graph, clv_node_id id, const order *o) {
    const clv_node *node = &graph->nodes[id];
    const clv_move_op *op = node->params;
    int64_t list[2 * CLV_MAX_RANK];
    size_t count = 0;
    if (is_concat(node)) {
        const clv_attr axis = {.name = "axis", .type = CLV_ATTR_INT, .value.i = o->perm[op->axis]};
        return clv_pass_set_attr(graph, id, &axis);
    }
    if (is_pad(node)) {
        for (int32_t i = 0; i < o->rank; i++) {
            list[o->perm[i]] = op->before[i];
            list[o->rank + o->perm[i]] = op->after[i];
        }
        if (node->num_inputs > 3) {
            graph->nodes[id].inputs[3] = CLV_NO_ID; /* pads of all axes need no list of them */
        }
        return set_list(graph, id, 1, "pads", list, 2 * (size_t)o->rank);
    }
    if (is_reduction(node)) {
        const uint32_t axes = ((const clv_reduce *)node->params)->axes;
        for (int32_t i = 0; i < o->rank; i++) {
            if ((axes >> i & 1) != 0) {
                list[count++] = o->perm[i];
            }
        }
        return count != (size_t)o->rank ? set_list(graph, id, 1, "axes", list, count) : NULL;
    }
    return NULL;
}

/* The transpose that the node's result still needs: of a reduction that drops axes, the rest. */
static order order_behind(const clv_node *node, const order *o) {
    const clv_reduce *reduce = node->params;
    order result = {.rank = 0};
    if (!is_reduction(node) || reduce->keeps_dims) {
        return *o;
    }
    for (int32_t i = 0; i < o->rank; i++) {
        if ((reduce->axes >> i & 1) != 0) {
            continue;
        }
        int64_t place = o->perm[i];
        for (int32_t j = 0; j < o->rank; j++) {
            place -= (reduce->axes >> j & 1) != 0 && o->perm[j] < o->perm[i] ? 1 : 0;
        }
        result.perm[result.rank++] = place;
    }
    return result;
}

static clv_status *add_transpose(
    clv_graph *graph, const char *name, clv_tensor_id from, clv_tensor_id to, const order *o) {
    const clv_attr perm = {
        .name = "perm", .type = CLV_ATTR_INTS, .count = (size_t)o->rank, .value.ints = o->perm};
    const clv_node node = {
        .name = name,
        .op_type = "Transpose",
        .op = clv_op_find("", "Transpose"),
        .opset = graph->opset,
        .attrs = &perm,
        .num_attrs = 1,
        .inputs = &from,
        .num_inputs = 1,
        .outputs = &to,
        .num_outputs = 1,
    };
    clv_node_id id;
    CLV_TRY(clv_graph_add_node(graph, &node, &id));
    return clv_pass_infer_node(graph, id);
}

static clv_status *move(mover *m, clv_node_id id, const order *o) {
    clv_graph *graph = m->graph;
    const clv_tensor_id result = graph->nodes[id].outputs[0];
    const order behind = order_behind(&graph->nodes[id], o);
    m->is_changed = true;
    CLV_TRY(read_before(graph, id, o));
    CLV_TRY(turn_axes(graph, id, o));
    if (changes_nothing(&behind)) {
        return clv_pass_infer_node(graph, id);
    }
    const clv_tensor tensor = graph->tensors[result];
    const clv_shape shape = shape_before(&behind, &tensor.shape);
    clv_tensor_id *made = clv_arena_alloc(&graph->arena, 1, sizeof *made);
    if (made == NULL) {
        return CLV_NO_ARENA("the outputs of a node");
    }
    CLV_TRY(clv_graph_add_value(graph, tensor.name, tensor.dtype, &shape, made));
    graph->nodes[id].outputs = made;
    graph->tensors[*made].producer = id;
    graph->tensors[result].producer = CLV_NO_ID;
    CLV_TRY(clv_pass_infer_node(graph, id));
    return add_transpose(graph, graph->tensors[*made].name, *made, result, &behind);
}

/* A transpose of a transpose is one of what lies below, or nothing. */
static clv_status *merge(mover *m, clv_node_id id) {
    clv_graph *graph = m->graph;
    const clv_node *second = &graph->nodes[id];
    const clv_node *first = find_transpose(graph, second->inputs[0]);
    if (first == NULL) {
        return NULL;
    }
    const order below = order_of(graph, first), above = order_of(graph, second);
    const clv_tensor_id from = first->inputs[0], to = second->outputs[0];
    order both = {.rank = above.rank};
    for (int32_t i = 0; i < above.rank; i++) {
        both.perm[i] = below.perm[above.perm[i]];
    }
    m->is_changed = true;
    if (changes_nothing(&both) && m->uses.outputs[to] == 0) {
        clv_graph_remove_node(graph, id);
        m->alias[to] = from;
        return NULL;
    }
    graph->nodes[id].inputs[0] = from;
    CLV_TRY(clv_pass_set_ints(graph, id, "perm", both.perm, (size_t)both.rank));
    return clv_pass_infer_node(graph, id);
}

static clv_status *visit(mover *m, clv_node_id id) {
    clv_node *node = &m->graph->nodes[id];
    order o;
    for (size_t i = 0; i < node->num_inputs; i++) {
        node->inputs[i] = resolve(m, node->inputs[i]);
    }
    if (node->removed) {
        return NULL;
    }
    if (is_transpose(node)) {
        return merge(m, id);
    }
    return is_movable(m->graph, node) && can_move(m, node, &o) ? move(m, id, &o) : NULL;
}

/* Those that nobody reads any more: epilogues ask who reads a result. */
static clv_status *drop_unread(clv_graph *graph) {
    clv_uses uses;
    CLV_TRY(clv_uses_init(graph, &uses));
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        const clv_node *node = &graph->nodes[id];
        const clv_tensor_id result = node->outputs[0];
        if (is_transpose(node) && uses.outputs[result] == 0 &&
            uses.offsets[result] == uses.offsets[result + 1]) {
            clv_graph_remove_node(graph, id);
        }
    }
    clv_uses_deinit(&uses);
    return NULL;
}

/* Where no element changes its place, it is a view. */
static clv_status *view(mover *m, clv_node_id id) {
    clv_graph *graph = m->graph;
    if (!is_transpose(&graph->nodes[id])) {
        return NULL;
    }
    const order o = order_of(graph, &graph->nodes[id]);
    const clv_shape *shape = &graph->tensors[graph->nodes[id].outputs[0]].shape;
    if (clv_shape_elements(shape) == 0 || !keeps_elements(&o, shape)) {
        return NULL;
    }
    return clv_pass_make_view(graph, id, graph->nodes[id].inputs[0]);
}

clv_status *clv_pass_transposes_last(clv_graph *graph) {
    clv_status *status = NULL;
    mover m = {
        .graph = graph,
        .num_tensors = graph->num_tensors,
        .num_nodes = graph->num_nodes,
        .alias = clv_alloc((graph->num_tensors + 1) * sizeof *m.alias),
    };
    if (m.alias == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for transposes");
    }
    for (size_t i = 0; i < m.num_tensors; i++) {
        m.alias[i] = CLV_NO_ID;
    }
    CLV_TRY_DONE(clv_uses_init(graph, &m.uses));
    for (clv_node_id id = 0; id < m.num_nodes; id++) {
        CLV_TRY_DONE(visit(&m, id));
    }
    CLV_TRY_DONE(drop_unread(graph));
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        CLV_TRY_DONE(view(&m, id));
    }
    CLV_TRY_DONE(m.is_changed ? clv_graph_sort(graph) : NULL);
done:
    clv_uses_deinit(&m.uses);
    clv_free(m.alias);
    return status;
}
