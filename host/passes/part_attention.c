/* Attention reads q, k and v where one product wrote them all, so that nothing takes them apart:
 *
 *     [batch, rows, parts * heads * size], Split by its last axis, each part seen as heads; or
 *     [batch, rows, parts, heads, size], Transposed to have its parts first (or as it is), of which
 *     one is taken by Gather, or by Split and a view
 *
 * become part `part` of [batch, rows, parts, heads, size] (HeadAttention of rank 5).
 *
 * This pass is about these operators alone, so it knows them by name. */
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"

#include <string.h>

clv_status *clv_pass_part_attention(clv_graph *graph) CLV_CHECKED;

enum { NUM_OPERANDS = 3 };

/* An operand as a part of `whole`, of rank 5, or seen as that shape. */
typedef struct part {
    clv_tensor_id whole;
    clv_shape shape;
    int64_t index;
    bool is_there;
} part;

static const clv_shape *shape_of(const clv_graph *graph, clv_tensor_id id) {
    return &graph->tensors[id].shape;
}

static const clv_node *producer_of(const clv_graph *graph, clv_tensor_id id) {
    const clv_node_id producer = graph->tensors[id].producer;
    return producer != CLV_NO_ID && !graph->nodes[producer].removed ? &graph->nodes[producer]
                                                                    : NULL;
}

static bool is_op(const clv_node *node, const char *op) {
    return node != NULL && strcmp(node->op->name, op) == 0;
}

/* Below one view, if any. */
static clv_tensor_id below_view(const clv_graph *graph, clv_tensor_id id) {
    const clv_node *node = producer_of(graph, id);
    return node != NULL && (node->op->flags & CLV_OP_VIEW) != 0 ? node->inputs[0] : id;
}

/* `id` is one of the equal parts that a Split makes along axis `axis`: which, and of what. */
static bool is_split(
    const clv_graph *graph, clv_tensor_id id, int axis, clv_tensor_id *out_from,
    int64_t *out_index) {
    const clv_node *node = producer_of(graph, id);
    if (!is_op(node, "Split")) {
        return false;
    }
    const clv_shape *shape = shape_of(graph, id), *from = shape_of(graph, node->inputs[0]);
    int64_t at = 0, value = 0;
    clv_status *status = clv_attr_get_int(node, "axis", 0, &value);
    const bool is_axis = status == NULL && (value == axis || value + from->rank == axis);
    clv_status_destroy(status);
    if (!is_axis || shape->dims[axis] == 0 || from->dims[axis] % shape->dims[axis] != 0) {
        return false;
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] == id) {
            *out_from = node->inputs[0];
            *out_index = at / shape->dims[axis];
            return at % shape->dims[axis] == 0;
        }
        at += node->output_shapes[i].dims[axis];
    }
    return false;
}

/* `id` is another tensor at one index of axis `axis`, which it has no more. */
static bool is_selected(
    const clv_graph *graph, clv_tensor_id id, int axis, clv_tensor_id *out_from,
    int64_t *out_index) {
    const clv_node *node = producer_of(graph, id);
    const clv_shape *shape = shape_of(graph, id);
    if (is_op(node, "Gather")) {
        const clv_tensor *index = &graph->tensors[node->inputs[1]];
        const clv_shape *from = shape_of(graph, node->inputs[0]);
        int64_t value = 0;
        clv_status *status = clv_attr_get_int(node, "axis", 0, &value);
        const bool is_axis = status == NULL && (value == axis || value + from->rank == axis);
        clv_status_destroy(status);
        if (!is_axis || index->kind != CLV_TENSOR_CONSTANT || index->shape.rank != 0) {
            return false;
        }
        value = clv_load_int64(index->dtype, index->data, 0);
        *out_index = value < 0 ? value + from->dims[axis] : value;
        *out_from = node->inputs[0];
        return *out_index >= 0 && *out_index < from->dims[axis];
    }
    const clv_tensor_id piece = below_view(graph, id);
    clv_shape wanted = *shape;
    if (wanted.rank == CLV_MAX_RANK || piece == id) {
        return false;
    }
    memmove(
        &wanted.dims[axis + 1], &wanted.dims[axis],
        (size_t)(wanted.rank - axis) * sizeof wanted.dims[0]);
    wanted.dims[axis] = 1;
    wanted.rank++;
    return clv_shape_equal(shape_of(graph, piece), &wanted) &&
           is_split(graph, piece, axis, out_from, out_index);
}

/* What Transposes to `id` by this permutation; NO_ID. */
static clv_tensor_id before_transpose(
    const clv_graph *graph, clv_tensor_id id, const int64_t perm[5]) {
    const clv_node *node = producer_of(graph, id);
    const int64_t *values = NULL;
    size_t count = 0;
    if (!is_op(node, "Transpose")) {
        return CLV_NO_ID;
    }
    clv_status *status = clv_attr_get_ints(node, "perm", &values, &count);
    const bool fits = status == NULL && count == 5 && memcmp(values, perm, 5 * sizeof *perm) == 0;
    clv_status_destroy(status);
    return fits ? node->inputs[0] : CLV_NO_ID;
}

/* Of [batch, rows, parts, heads, size], as the operand has it. */
static bool match_selected(const clv_graph *graph, clv_tensor_id id, bool by_row, part *out_part) {
    static const int64_t heads_first[] = {2, 0, 3, 1, 4}, rows_first[] = {2, 0, 1, 3, 4};
    clv_tensor_id from;
    if (is_selected(graph, id, 0, &from, &out_part->index)) {
        out_part->whole = before_transpose(graph, from, by_row ? rows_first : heads_first);
    } else if (by_row && is_selected(graph, id, 2, &from, &out_part->index)) {
        out_part->whole = from;
    } else {
        return false;
    }
    if (out_part->whole == CLV_NO_ID || shape_of(graph, out_part->whole)->rank != 5) {
        return false;
    }
    out_part->shape = *shape_of(graph, out_part->whole);
    return true;
}

/* Of [batch, rows, parts * heads * size], split, and then seen as heads. */
static bool match_split(const clv_graph *graph, clv_tensor_id id, bool by_row, part *out_part) {
    const clv_tensor_id piece = below_view(graph, id);
    const clv_shape *heads = shape_of(graph, id), *flat = shape_of(graph, piece);
    if (!by_row || heads->rank != 4 || flat->rank != 3 || flat->dims[0] != heads->dims[0] ||
        flat->dims[1] != heads->dims[1] ||
        !is_split(graph, piece, 2, &out_part->whole, &out_part->index)) {
        return false;
    }
    const int64_t parts = shape_of(graph, out_part->whole)->dims[2] / flat->dims[2];
    out_part->shape = (clv_shape){
        .rank = 5, .dims = {heads->dims[0], heads->dims[1], parts, heads->dims[2], heads->dims[3]}};
    return true;
}

static clv_status *add_parts(clv_graph *graph, clv_node_id id, const part parts[NUM_OPERANDS]) {
    static const char *const names[] = {"q_part", "k_part", "v_part"};
    clv_node *node = &graph->nodes[id];
    clv_tensor_id *inputs =
        clv_arena_copy(&graph->arena, node->inputs, node->num_inputs * sizeof *inputs);
    clv_attr *attrs = clv_arena_alloc(&graph->arena, node->num_attrs + NUM_OPERANDS, sizeof *attrs);
    size_t count = 0;
    if (inputs == NULL || attrs == NULL) {
        return CLV_NO_ARENA("attention");
    }
    for (size_t i = 0; i < NUM_OPERANDS; i++) {
        const part *p = &parts[i];
        if (!p->is_there) {
            continue;
        }
        clv_tensor_id view = p->whole;
        for (size_t k = 0; k < i; k++) {
            const bool is_same = parts[k].is_there && parts[k].whole == p->whole &&
                                 clv_shape_equal(&parts[k].shape, &p->shape);
            view = is_same ? inputs[k] : view;
        }
        if (!clv_shape_equal(shape_of(graph, view), &p->shape)) {
            CLV_TRY(clv_pass_add_view(graph, p->whole, &p->shape, &view));
        }
        inputs[i] = view;
        attrs[count++] = (clv_attr){.name = names[i], .type = CLV_ATTR_INT, .value.i = p->index};
    }
    node = &graph->nodes[id];
    memcpy(attrs + count, node->attrs, node->num_attrs * sizeof *attrs);
    node->attrs = attrs;
    node->num_attrs += count;
    node->inputs = inputs;
    return clv_pass_infer_node(graph, id);
}

clv_status *clv_pass_part_attention(clv_graph *graph) {
    static const char *const flags[] = {"q_by_row", "k_by_row", "v_by_row"};
    const size_t num_nodes = graph->num_nodes;
    for (clv_node_id id = 0; id < num_nodes; id++) {
        const clv_node *node = &graph->nodes[id];
        part parts[NUM_OPERANDS] = {{.is_there = false}};
        bool is_any = false;
        if (node->removed || strcmp(node->op->name, "HeadAttention") != 0) {
            continue;
        }
        for (size_t i = 0; i < NUM_OPERANDS; i++) {
            int64_t by_row;
            CLV_TRY(clv_attr_get_int(node, flags[i], 0, &by_row));
            parts[i].is_there = match_selected(graph, node->inputs[i], by_row != 0, &parts[i]) ||
                                match_split(graph, node->inputs[i], by_row != 0, &parts[i]);
            is_any = is_any || parts[i].is_there;
        }
        CLV_TRY(is_any ? add_parts(graph, id, parts) : NULL);
    }
    return graph->num_nodes != num_nodes ? clv_graph_sort(graph) : NULL;
}
