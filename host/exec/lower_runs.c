/* Slices and concatenations that move nothing: a tensor whose elements are a run of another's, in
 * the layout that both are in, lies within it. Plain tensors: any run. Channels in blocks: whole
 * blocks of one image. */
#include "host/exec/lower_internal.h"

#include "host/ir/layout.h"

/* --- where a tensor lies in its root --------------------------------------------------------- */

static bool is_whole(const lowering *l, clv_tensor_id tensor, clv_tensor_id root) {
    const clv_tensor *t = &l->graph->tensors[tensor], *r = &l->graph->tensors[root];
    return clv_shape_elements(&t->shape) == clv_shape_elements(&r->shape);
}

/* Blocks before a run that begins with element `first`, of a map that is in blocks. */
static int64_t blocks_before(const clv_tensor *root, const clv_layout *layout, int64_t first) {
    return first / clv_shape_product(&root->shape, 2, root->shape.rank) / layout->block;
}

uint64_t clv_lower_start(const lowering *l, clv_tensor_id tensor) {
    const clv_tensor_id root = l->alias[tensor];
    const clv_tensor *t = &l->graph->tensors[root];
    const clv_layout *home = &l->chosen.home[root];
    const size_t element = clv_dtype_bytes(t->dtype);
    clv_layout_extents extents;
    if (l->first[tensor] == 0) {
        return 0;
    }
    if (!clv_layout_is_blocked(home)) {
        return (uint64_t)l->first[tensor] * element;
    }
    clv_layout_extents_of(&t->shape, home, &extents);
    return (uint64_t)(blocks_before(t, home, l->first[tensor]) * extents.plane) * element;
}

void clv_lower_range(
    const lowering *l, clv_tensor_id tensor, const clv_layout *layout, clv_operand *operand) {
    const clv_tensor_id root = l->alias[tensor];
    const clv_tensor *r = &l->graph->tensors[root], *t = &l->graph->tensors[tensor];
    operand->bytes = l->out->storages[operand->storage].piece.bytes;
    operand->begin = operand->offset = 0;
    if (is_whole(l, tensor, root)) {
        return;
    }
    operand->begin = operand->offset = clv_lower_start(l, tensor);
    operand->bytes = clv_view_bytes(t->dtype, &t->shape);
    if (clv_layout_is_blocked(layout)) {
        const uint64_t element = clv_dtype_bytes(r->dtype);
        clv_layout_extents extents;
        clv_layout_extents_of(&t->shape, layout, &extents);
        operand->begin += (uint64_t)extents.lead * element;
        operand->bytes = (uint64_t)(extents.planes * extents.plane) * element;
    }
}

/* --- which runs are nothing to do ------------------------------------------------------------ */

static clv_tensor_id root_of(const lowering *l, clv_tensor_id tensor, int64_t *out_first) {
    *out_first = 0;
    while (l->alias[tensor] != tensor) {
        *out_first += l->first[tensor];
        tensor = l->alias[tensor];
    }
    return tensor;
}

/* Whether a run of a map is whole blocks of one image, of tensors in the same blocks. */
static bool is_run_of_blocks(
    const lowering *l, clv_tensor_id part, clv_tensor_id whole, int64_t first, uint8_t block) {
    const clv_tensor *p = &l->graph->tensors[part], *w = &l->graph->tensors[whole];
    const int rank = w->shape.rank;
    if (p->shape.rank != rank || rank < 3 || w->shape.dims[0] != 1 || p->shape.dims[0] != 1 ||
        clv_shape_product(&p->shape, 2, rank) != clv_shape_product(&w->shape, 2, rank) ||
        clv_shape_product(&w->shape, 2, rank) == 0) {
        return false;
    }
    for (int i = 2; i < rank; i++) {
        if (p->shape.dims[i] != w->shape.dims[i]) {
            return false;
        }
    }
    const int64_t pixels = clv_shape_product(&w->shape, 2, rank), channels = first / pixels;
    const int64_t end = channels + p->shape.dims[1];
    return channels % block == 0 && (end % block == 0 || end == w->shape.dims[1]);
}

static uint8_t larger(uint8_t a, uint8_t b) {
    return a > b ? a : b;
}

/* Both in blocks, with gaps that are large enough for the readers of both. */
static void share_gaps(lowering *l, clv_tensor_id part, clv_tensor_id whole) {
    clv_layout *home = &l->chosen.home[whole], *blocked = &l->chosen.blocked[whole];
    const clv_layout *other = &l->chosen.blocked[part];
    blocked->block = other->block;
    blocked->gap_y = larger(blocked->gap_y, other->gap_y);
    blocked->gap_x = larger(blocked->gap_x, other->gap_x);
    *home = *blocked;
}

/* Output `output` of a node as a run of its input. */
static bool can_take(lowering *l, const clv_node *node, const clv_call *call, size_t output) {
    int64_t first, before;
    const clv_tensor_id part = node->outputs[output], root = root_of(l, node->inputs[0], &before);
    if (l->graph->tensors[root].data != NULL || !node->op->takes_run(call, output, &first)) {
        return false;
    }
    if (!clv_layout_is_blocked(&l->chosen.home[root])) {
        return l->chosen.blocked_readers[part] == 0;
    }
    return l->chosen.plain_readers[part] == 0 && l->chosen.blocked_readers[part] != 0 &&
           is_run_of_blocks(l, part, root, before + first, l->chosen.home[root].block);
}

static bool take_runs(lowering *l, const clv_node *node, const clv_call *call) {
    if (node->op->takes_run == NULL) {
        return false;
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] != CLV_NO_ID && !can_take(l, node, call, i)) {
            return false;
        }
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        int64_t before;
        const clv_tensor_id part = node->outputs[i];
        if (part != CLV_NO_ID && node->op->takes_run(call, i, &l->first[part])) {
            l->alias[part] = node->inputs[0];
            const clv_tensor_id root = root_of(l, part, &before);
            if (clv_layout_is_blocked(&l->chosen.home[root])) {
                share_gaps(l, part, root);
            }
        }
    }
    return true;
}

/* Input `input` of a node as a run of its output: it must be made by a node that writes nothing
 * else there, and be read as it lies. */
static bool can_place(
    lowering *l, const clv_node *node, const clv_call *call, size_t input, bool blocked) {
    int64_t first, before;
    const uint32_t own_plain_reads = l->chosen.is_blocked[node - l->graph->nodes] ? 0 : 1;
    const clv_tensor_id whole = node->outputs[0];
    const clv_tensor_id root = root_of(l, node->inputs[input], &before);
    const clv_tensor *t = &l->graph->tensors[root];
    if (t->kind != CLV_TENSOR_VALUE || t->data != NULL || root == whole ||
        !is_whole(l, node->inputs[input], root) || !node->op->places_run(call, input, &first)) {
        return false;
    }
    for (size_t i = 0; i < input; i++) {
        if (root_of(l, node->inputs[i], &before) == root) {
            return false; /* once in two places */
        }
    }
    if (!blocked) {
        return !clv_layout_is_blocked(&l->chosen.home[root]) &&
               l->chosen.blocked_readers[root] == 0;
    }
    return root == node->inputs[input] && clv_layout_is_blocked(&l->chosen.home[root]) &&
           l->chosen.plain_readers[root] == own_plain_reads &&
           is_run_of_blocks(l, root, whole, first, l->chosen.home[root].block);
}

static bool place_runs(lowering *l, const clv_node *node, const clv_call *call) {
    int64_t before;
    if (node->op->places_run == NULL || node->num_outputs != 1 || node->num_inputs == 0) {
        return false;
    }
    const clv_tensor_id whole = node->outputs[0];
    const clv_tensor_id some = root_of(l, node->inputs[0], &before);
    const bool blocked = clv_layout_is_blocked(&l->chosen.home[some]);
    for (size_t i = 0; i < node->num_inputs; i++) {
        if (node->inputs[i] == CLV_NO_ID || !can_place(l, node, call, i, blocked)) {
            return false;
        }
    }
    for (size_t i = 0; i < node->num_inputs; i++) {
        const clv_tensor_id root = root_of(l, node->inputs[i], &before);
        if (node->op->places_run(call, i, &l->first[root])) {
            if (blocked) {
                share_gaps(l, root, whole);
            }
            l->alias[root] = whole;
        }
    }
    return true;
}

void clv_lower_find_runs(lowering *l) {
    const clv_graph *graph = l->graph;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_call *call = l->calls[i];
        if (call != NULL) {
            l->runs_nothing[i] =
                take_runs(l, &graph->nodes[i], call) || place_runs(l, &graph->nodes[i], call);
        }
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        int64_t first;
        l->alias[i] = root_of(l, (clv_tensor_id)i, &first);
        l->first[i] = first;
    }
}
