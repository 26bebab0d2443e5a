/* A node runs the last row of its family's table that fits with plain tensors, or the last one that
 * has layouts of its own; where those that fit were measured, the fastest: here, or else on CPUs
 * like this one, by the table that the library comes with (times of the two are never compared with
 * each other). Which of the two sorts, for
 * all nodes at once, so that kernels and reorders cost least together, is a minimum cut: plain is
 * the source's side, blocks are the sink's. A tensor is reordered once for all that take it
 * otherwise than it is made, so each root adds two nodes: one is with the source if any reader is,
 * and pays where the producer is not; the other is with the sink if any reader is. */
#include "host/exec/choose.h"

#include "host/base/memory.h"
#include "host/base/min_cut.h"
#include "host/ir/layout.h"
#include "kernels_cl/ceilings.h"
#include <math.h>
#include <string.h>

/* Measured times are no better than that; those of another CPU say less. */
static const double least_gain = 0.03, least_shipped_gain = 0.1;

typedef struct chooser {
    const clv_choose_request *request;
    const clv_graph *graph;
    clv_chosen *out;
    clv_way *plain;   /* [num_nodes] */
    clv_way *blocks;  /* [num_nodes]; without a variant: none fits */
    double *plain_us; /* [num_nodes]: that these were measured to take; NAN: not known */
    double *blocks_us;
    bool *is_compared;  /* [num_nodes]: a faster or slower row of the same sort was measured too */
    bool *is_shipped;   /* [num_nodes]: the times are those that the library came with */
    clv_layout *inputs; /* [all operands]: what `blocks` wants */
    clv_layout *outputs;
    size_t *first_input, *first_output; /* [num_nodes + 1] */
} chooser;

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for choosing variants");
}

/* --- what there is to choose from ------------------------------------------------------------ */

static const clv_variant *last_fitting(
    const clv_call *call, const clv_traits *traits, bool has_layouts) {
    const clv_kernel_family *family = call->op->kernels;
    for (size_t i = family->num_variants; i-- > 0;) {
        const clv_variant *variant = &family->variants[i];
        if ((variant->layouts != NULL) == has_layouts && clv_variant_fits(variant, call, traits) &&
            (variant->pays == NULL || variant->pays(call, traits))) {
            return variant;
        }
    }
    return NULL;
}

static double known_us(
    const chooser *c, const clv_call *call, const clv_way *way, bool is_shipped) {
    const clv_known_times *times = c->request->times;
    if (times == NULL || way->variant == NULL) {
        return (double)NAN;
    }
    if (!is_shipped) {
        return times->find(times, call, way, &c->request->traits);
    }
    return times->find_shipped != NULL ? times->find_shipped(times, call, way, &c->request->traits)
                                       : (double)NAN;
}

/* How many times its bytes a tensor takes in blocks of channels, of which the last may be filled in
 * part. */
static double block_growth(const chooser *c, const clv_shape *shape) {
    if (shape->rank < 2 || shape->dims[1] == 0) {
        return 1;
    }
    const int64_t block = clv_width(&c->request->traits), channels = shape->dims[1];
    return (double)((channels + block - 1) / block * block) / (double)channels;
}

/* Of bringing a root to its other layout: both ways of a copy. */
static double reorder_us(const chooser *c, clv_tensor_id root) {
    const clv_tensor *t = &c->graph->tensors[root];
    const clv_layout plain = {0}, some = {.block = (uint8_t)clv_width(&c->request->traits)};
    if (t->shape.rank >= 3 && clv_layout_is_same_memory(&t->shape, &plain, &some)) {
        return 0;
    }
    const clv_ceilings lane = clv_ceilings_of(&c->request->traits);
    const double lanes = c->request->traits.num_lanes != 0 ? c->request->traits.num_lanes : 1;
    /* a line is read before it is written */
    const double ways = 1 + 2 * block_growth(c, &t->shape);
    return lane.launch_us +
           ways * (double)clv_view_bytes(t->dtype, &t->shape) / (lanes * lane.memory_bytes_per_us);
}

/* What a variant wants; plain without one, or where it has no wishes. */
static void find_layouts(const chooser *c, clv_node_id id, const clv_variant *variant) {
    const clv_node *node = &c->graph->nodes[id];
    clv_layout *inputs = &c->inputs[c->first_input[id]];
    clv_layout *outputs = &c->outputs[c->first_output[id]];
    memset(inputs, 0, node->num_inputs * sizeof *inputs);
    memset(outputs, 0, node->num_outputs * sizeof *outputs);
    if (variant != NULL && variant->layouts != NULL) {
        variant->layouts(c->request->calls[id], &c->request->traits, inputs, outputs);
    }
}

/* Of what a row wants in blocks and nobody can make so: the graph's inputs, which are plain. Rows
 * of one sort differ by that, where one takes plain input beside others (`planar`). */
static double inputs_us(const chooser *c, clv_node_id id, const clv_way *way) {
    const clv_node *node = &c->graph->nodes[id];
    const clv_layout *inputs = &c->inputs[c->first_input[id]];
    double sum = 0;
    find_layouts(c, id, way->variant); /* set_blocks() has the last word */
    for (size_t i = 0; i < node->num_inputs; i++) {
        const clv_tensor_id root =
            node->inputs[i] != CLV_NO_ID ? c->request->alias[node->inputs[i]] : CLV_NO_ID;
        if (root != CLV_NO_ID && clv_layout_is_blocked(&inputs[i]) &&
            c->graph->tensors[root].producer == CLV_NO_ID && c->graph->tensors[root].data == NULL) {
            sum += reorder_us(c, root);
        }
    }
    return sum;
}

/* The fastest row that fits, with its tunables and what only it needs, of those that were measured;
 * the last one unless that was. */
static clv_way fastest(chooser *c, clv_node_id id, bool has_layouts, double *out_us) {
    const clv_call *call = c->request->calls[id];
    const clv_kernel_family *family = call->op->kernels;
    const clv_traits *traits = &c->request->traits;
    const clv_way last = {.variant = last_fitting(call, traits, has_layouts)};
    clv_way best = last;
    *out_us = known_us(c, call, &last, c->is_shipped[id]);
    const double gain = c->is_shipped[id] ? least_shipped_gain : least_gain;
    double best_us = (*out_us + inputs_us(c, id, &last)) * (1 - gain), own_us = *out_us;
    for (size_t i = 0; i < family->num_variants && !isnan(*out_us); i++) {
        clv_way way = {.variant = &family->variants[i]};
        if ((way.variant->layouts != NULL) != has_layouts ||
            !clv_variant_fits(way.variant, call, traits)) {
            continue;
        }
        for (; way.setting < clv_variant_num_settings(way.variant); way.setting++) {
            const bool is_last = way.variant == last.variant && way.setting == 0;
            const double us = is_last ? (double)NAN : known_us(c, call, &way, c->is_shipped[id]);
            c->is_compared[id] = c->is_compared[id] || !isnan(us);
            const double with_us = isnan(us) ? us : us + inputs_us(c, id, &way);
            if (with_us < best_us) {
                best = way;
                best_us = with_us;
                own_us = us;
            }
        }
    }
    *out_us = own_us;
    return best;
}

/* Whether no view that the tensor is read through has another shape than its root. That of the
 * tensor alone would not do: a plan may part views, and pieces compute as the whole does. */
static bool has_shape_of_root(const clv_graph *graph, clv_tensor_id tensor, clv_tensor_id root) {
    const clv_shape *shape = &graph->tensors[root].shape;
    while (tensor != root && clv_shape_equal(&graph->tensors[tensor].shape, shape)) {
        tensor = graph->nodes[graph->tensors[tensor].producer].inputs[0];
    }
    return tensor == root;
}

/* Blocked operands must be whole tensors of their own shape that a request makes; others are plain
 * where the variant takes them so. */
static bool operands_allow(chooser *c, clv_node_id id, const clv_variant *variant) {
    const clv_graph *graph = c->graph;
    const clv_node *node = &graph->nodes[id];
    for (size_t i = 0; i < node->num_inputs; i++) {
        clv_tensor_id tensor = node->inputs[i];
        if (tensor == CLV_NO_ID || !clv_layout_is_blocked(&c->inputs[c->first_input[id] + i])) {
            continue;
        }
        clv_tensor_id root = c->request->alias[tensor];
        if (graph->tensors[root].data == NULL && has_shape_of_root(graph, tensor, root)) {
            continue;
        }
        if (variant->takes_plain == NULL ||
            !variant->takes_plain(c->request->calls[id], &c->request->traits, i)) {
            return false;
        }
        c->inputs[c->first_input[id] + i] = (clv_layout){0};
    }
    return true;
}

/* Whether a variant may take the node's tensors in blocks; its layouts are set then. */
static bool set_blocks(chooser *c, clv_node_id id, clv_way way) {
    find_layouts(c, id, way.variant);
    if (way.variant != NULL && !operands_allow(c, id, way.variant)) {
        way = (clv_way){.variant = NULL};
    }
    c->blocks[id] = way;
    return way.variant != NULL;
}

/* Leaves a node with the one variant that is wanted of it, where that fits. */
static void keep_wanted(chooser *c, clv_node_id id) {
    const clv_way none = {.variant = NULL};
    const clv_way wanted = c->request->wanted != NULL ? c->request->wanted[id] : none;
    const clv_call *call = c->request->calls[id];
    if (wanted.variant == NULL || !clv_variant_fits(wanted.variant, call, &c->request->traits)) {
        return;
    }
    if (wanted.variant->layouts == NULL) {
        c->plain[id] = wanted;
        c->blocks[id] = none;
        return;
    }
    const clv_way before = c->blocks[id];
    if (set_blocks(c, id, wanted)) {
        c->plain[id] = none;
    } else {
        set_blocks(c, id, before);
    }
}

/* The fastest plain and the fastest blocked one, by the times of one source. */
static void find_fastest(chooser *c, clv_node_id id, bool is_shipped) {
    const clv_call *call = c->request->calls[id];
    c->is_shipped[id] = is_shipped;
    c->is_compared[id] = false;
    c->plain[id] = fastest(c, id, false, &c->plain_us[id]);
    if (!set_blocks(c, id, fastest(c, id, true, &c->blocks_us[id]))) {
        const clv_way last = {.variant = last_fitting(call, &c->request->traits, true)};
        c->blocks_us[id] = known_us(c, call, &last, is_shipped);
        set_blocks(c, id, last);
    }
}

/* Whether times say which of the two sorts is the faster, or, where there is one, which row. */
static bool is_decided(const chooser *c, clv_node_id id) {
    const bool has_plain = c->plain[id].variant != NULL, has_blocks = c->blocks[id].variant != NULL;
    const bool knows_plain = !isnan(c->plain_us[id]), knows_blocks = !isnan(c->blocks_us[id]);
    return has_plain && has_blocks ? knows_plain && knows_blocks
                                   : c->is_compared[id] && (has_plain ? knows_plain : knows_blocks);
}

/* Whether times say anything: of the two sorts, or of rows of one. */
static bool is_known(const chooser *c, clv_node_id id) {
    return c->is_compared[id] || (!isnan(c->plain_us[id]) && !isnan(c->blocks_us[id]));
}

static void find_variants(chooser *c, clv_node_id id) {
    const clv_call *call = c->request->calls[id];
    if (call == NULL || call->op->kernels == NULL) {
        return;
    }
    find_fastest(c, id, false);
    if (c->request->times != NULL && !is_known(c, id)) {
        find_fastest(c, id, true);
        if (!is_known(c, id)) {
            find_fastest(c, id, false);
        }
    }
    keep_wanted(c, id);
}

/* --- what a choice costs --------------------------------------------------------------------- */

/* Whether its inputs can be written in its place, or its outputs read where they lie. */
static bool moves_nothing(const chooser *c, clv_node_id id, bool blocked) {
    const clv_call *call = c->request->calls[id];
    const bool places = call->op->places_run != NULL;
    if (!places && call->op->takes_run == NULL) {
        return false;
    }
    const clv_shape *whole = places ? &call->outputs[0].shape : &call->inputs[0].shape;
    const size_t count = places ? call->num_inputs : call->num_outputs;
    const int64_t block = clv_width(&c->request->traits) * clv_shape_product(whole, 2, whole->rank);
    for (size_t i = 0; i < count; i++) {
        int64_t first = 0;
        const bool is_run =
            places ? call->op->places_run(call, i, &first) : call->op->takes_run(call, i, &first);
        if (!is_run || (blocked && first % block != 0)) {
            return false;
        }
    }
    return true;
}

/* Of inputs in blocks nothing is known here; outputs are most of what blocks make larger. */
static double moved_bytes(const chooser *c, clv_node_id id, bool blocked, const clv_cost *cost) {
    const bool writes = blocked && clv_layout_is_blocked(&c->outputs[c->first_output[id]]);
    const clv_shape *shape = &c->request->calls[id]->outputs[0].shape;
    return cost->read_bytes + cost->write_bytes * (writes ? block_growth(c, shape) : 1);
}

static double node_us(const chooser *c, clv_node_id id, bool blocked) {
    if (moves_nothing(c, id, blocked)) {
        return 0;
    }
    if (!isnan(c->plain_us[id]) && !isnan(c->blocks_us[id])) {
        return blocked ? c->blocks_us[id] : c->plain_us[id];
    }
    const clv_traits *traits = &c->request->traits;
    const clv_variant *variant = (blocked ? c->blocks[id] : c->plain[id]).variant;
    clv_cost cost;
    clv_call_cost(c->request->calls[id], &cost);
    const clv_ceilings lane = clv_ceilings_of(traits);
    const double lanes = traits->num_lanes != 0 ? traits->num_lanes : 1;
    const double work_share = variant->work_share > 0 ? variant->work_share : 0.3;
    const double move_share = variant->move_share > 0 ? variant->move_share : 1;
    const double factor =
        variant->work_factor != NULL ? variant->work_factor(c->request->calls[id], traits) : 1;
    const double work_us = cost.flops * factor / (lanes * lane.flops_per_us * work_share);
    const double move_us =
        moved_bytes(c, id, blocked, &cost) / (lanes * lane.memory_bytes_per_us * move_share);
    return lane.launch_us + (work_us > move_us ? work_us : move_us);
}

static bool reads_blocked(const chooser *c, clv_node_id id, size_t slot) {
    return c->out->is_blocked[id] && clv_layout_is_blocked(&c->inputs[c->first_input[id] + slot]);
}

static bool writes_blocked(const chooser *c, clv_tensor_id tensor) {
    clv_node_id id = c->graph->tensors[tensor].producer;
    if (id == CLV_NO_ID || !c->out->is_blocked[id]) {
        return false;
    }
    const clv_node *node = &c->graph->nodes[id];
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] == tensor) {
            return clv_layout_is_blocked(&c->outputs[c->first_output[id] + i]);
        }
    }
    return false;
}

static void count_reads(chooser *c, clv_node_id id) {
    const clv_node *node = &c->graph->nodes[id];
    for (size_t i = 0; i < node->num_inputs && c->request->calls[id] != NULL; i++) {
        if (node->inputs[i] != CLV_NO_ID) {
            clv_tensor_id root = c->request->alias[node->inputs[i]];
            uint32_t *readers =
                reads_blocked(c, id, i) ? c->out->blocked_readers : c->out->plain_readers;
            readers[root]++;
        }
    }
}

/* --- the labels ------------------------------------------------------------------------------ */

static int64_t picoseconds(double us) {
    return us < 1e12 ? (int64_t)(us * 1e6) + 1 : (int64_t)1e18;
}

static uint32_t cut_node(clv_node_id id) {
    return 2 + id;
}

/* Of a root's two nodes the one that goes with plain readers, or with readers of blocks. */
static uint32_t cut_reader(const chooser *c, clv_tensor_id root, bool blocked) {
    return (uint32_t)(2 + c->graph->num_nodes + 2 * (size_t)root + blocked);
}

/* Who decides how a root is made: a node, or nobody (then it is plain). */
static uint32_t cut_producer(const chooser *c, clv_tensor_id root) {
    clv_node_id id = c->graph->tensors[root].producer;
    const clv_node *node = id != CLV_NO_ID ? &c->graph->nodes[id] : NULL;
    for (size_t i = 0; node != NULL && c->blocks[id].variant != NULL && i < node->num_outputs;
         i++) {
        if (node->outputs[i] == root) {
            return clv_layout_is_blocked(&c->outputs[c->first_output[id] + i]) ? cut_node(id)
                                                                               : CLV_CUT_SOURCE;
        }
    }
    return CLV_CUT_SOURCE;
}

static clv_status *cut_reads(const chooser *c, clv_node_id id, clv_min_cut *cut) {
    const clv_node *node = &c->graph->nodes[id];
    for (size_t i = 0; i < node->num_inputs; i++) {
        const clv_tensor_id root =
            node->inputs[i] != CLV_NO_ID ? c->request->alias[node->inputs[i]] : CLV_NO_ID;
        if (root == CLV_NO_ID || c->graph->tensors[root].data != NULL) {
            continue;
        }
        bool can_block = c->blocks[id].variant != NULL &&
                         clv_layout_is_blocked(&c->inputs[c->first_input[id] + i]);
        uint32_t reader = can_block ? cut_node(id) : CLV_CUT_SOURCE;
        CLV_TRY(clv_min_cut_add(cut, reader, cut_reader(c, root, false), CLV_CUT_NEVER));
        if (can_block) {
            CLV_TRY(clv_min_cut_add(cut, cut_reader(c, root, true), reader, CLV_CUT_NEVER));
        }
    }
    return NULL;
}

static clv_status *fill_cut(const chooser *c, clv_min_cut *cut) {
    for (size_t i = 0; i < c->graph->num_nodes; i++) {
        const clv_node_id id = (clv_node_id)i;
        if (c->request->calls[i] == NULL) {
            continue;
        }
        /* with the sink it pays for blocks, with the source for plain */
        if (c->blocks[i].variant != NULL) {
            CLV_TRY(clv_min_cut_add(
                cut, CLV_CUT_SOURCE, cut_node(id), picoseconds(node_us(c, id, true))));
            CLV_TRY(clv_min_cut_add(
                cut, cut_node(id), CLV_CUT_SINK,
                c->plain[i].variant != NULL ? picoseconds(node_us(c, id, false)) : CLV_CUT_NEVER));
        }
        CLV_TRY(cut_reads(c, id, cut));
    }
    for (size_t i = 0; i < c->graph->num_outputs; i++) {
        const clv_tensor_id root = c->request->alias[c->graph->outputs[i]];
        CLV_TRY(clv_min_cut_add(cut, CLV_CUT_SOURCE, cut_reader(c, root, false), CLV_CUT_NEVER));
    }
    for (size_t i = 0; i < c->graph->num_tensors; i++) {
        const clv_tensor_id root = (clv_tensor_id)i;
        if (c->request->alias[i] == root && c->graph->tensors[i].data == NULL) {
            const int64_t cost = picoseconds(reorder_us(c, root));
            const uint32_t producer = cut_producer(c, root);
            CLV_TRY(clv_min_cut_add(cut, cut_reader(c, root, false), producer, cost));
            CLV_TRY(clv_min_cut_add(cut, producer, cut_reader(c, root, true), cost));
        }
    }
    return NULL;
}

static clv_status *label(chooser *c) {
    clv_min_cut cut;
    CLV_TRY(clv_min_cut_init(&cut, 2 + c->graph->num_nodes + 2 * c->graph->num_tensors));
    clv_status *status = fill_cut(c, &cut);
    if (status == NULL) {
        clv_min_cut_solve(&cut);
    }
    for (size_t i = 0; i < c->graph->num_nodes && status == NULL; i++) {
        c->out->is_blocked[i] =
            c->blocks[i].variant != NULL && clv_min_cut_is_at_sink(&cut, cut_node((clv_node_id)i));
        count_reads(c, (clv_node_id)i);
    }
    clv_min_cut_deinit(&cut);
    return status;
}

/* --- the result ------------------------------------------------------------------------------ */

static uint8_t larger(uint8_t a, uint8_t b) {
    return a > b ? a : b;
}

/* A root's gaps are the largest that any of its readers needs. */
static void set_layouts(chooser *c) {
    const clv_graph *graph = c->graph;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->num_inputs && c->out->is_blocked[i]; k++) {
            if (node->inputs[k] != CLV_NO_ID && reads_blocked(c, (clv_node_id)i, k)) {
                const clv_layout *wish = &c->inputs[c->first_input[i] + k];
                clv_layout *layout = &c->out->blocked[c->request->alias[node->inputs[k]]];
                layout->block = wish->block;
                layout->gap_y = larger(layout->gap_y, wish->gap_y);
                layout->gap_x = larger(layout->gap_x, wish->gap_x);
            }
        }
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        if (writes_blocked(c, (clv_tensor_id)i)) {
            c->out->blocked[i].block = (uint8_t)clv_width(&c->request->traits);
            c->out->home[i] = c->out->blocked[i];
        }
    }
}

static void set_reasons(chooser *c) {
    for (size_t i = 0; i < c->graph->num_nodes; i++) {
        const bool blocked = c->out->is_blocked[i];
        const bool decided = is_decided(c, (clv_node_id)i);
        const bool shipped = c->is_shipped[i] && !isnan(blocked ? c->blocks_us[i] : c->plain_us[i]);
        const bool has_both = c->blocks[i].variant != NULL && c->plain[i].variant != NULL;
        c->out->ways[i] = blocked ? c->blocks[i] : c->plain[i];
        c->out->origins[i] = shipped    ? "shipped"
                             : decided  ? "measured"
                             : has_both ? "estimated"
                                        : "fallback";
        c->out->reasons[i] = shipped ? "shipped table: the fastest on CPUs like this one, reorders "
                                       "counted"
                             : decided ? "measured: the fastest that fits, reorders counted"
                             : blocked ? "channels in blocks: the last of the table that fits"
                             : c->blocks[i].variant != NULL
                                 ? "plain: reorders would cost more"
                                 : "the last of the family's table that fits";
    }
}

static clv_status *allocate(chooser *c) {
    size_t nodes = c->graph->num_nodes + 1, tensors = c->graph->num_tensors + 1;
    size_t num_inputs = 0, num_outputs = 0;
    c->first_input = clv_alloc_zeroed(nodes, sizeof *c->first_input);
    c->first_output = clv_alloc_zeroed(nodes, sizeof *c->first_output);
    c->plain = clv_alloc_zeroed(nodes, sizeof *c->plain);
    c->blocks = clv_alloc_zeroed(nodes, sizeof *c->blocks);
    c->out->plain_readers = clv_alloc_zeroed(tensors, sizeof *c->out->plain_readers);
    c->out->blocked_readers = clv_alloc_zeroed(tensors, sizeof *c->out->blocked_readers);
    c->out->ways = clv_alloc_zeroed(nodes, sizeof *c->out->ways);
    c->out->reasons = clv_alloc_zeroed(nodes, sizeof *c->out->reasons);
    c->out->origins = clv_alloc_zeroed(nodes, sizeof *c->out->origins);
    c->plain_us = clv_alloc_zeroed(nodes, sizeof *c->plain_us);
    c->blocks_us = clv_alloc_zeroed(nodes, sizeof *c->blocks_us);
    c->is_compared = clv_alloc_zeroed(nodes, sizeof *c->is_compared);
    c->is_shipped = clv_alloc_zeroed(nodes, sizeof *c->is_shipped);
    c->out->is_blocked = clv_alloc_zeroed(nodes, sizeof *c->out->is_blocked);
    c->out->home = clv_alloc_zeroed(tensors, sizeof *c->out->home);
    c->out->blocked = clv_alloc_zeroed(tensors, sizeof *c->out->blocked);
    if (c->first_input == NULL || c->first_output == NULL || c->plain == NULL ||
        c->blocks == NULL || c->out->plain_readers == NULL || c->out->blocked_readers == NULL ||
        c->out->ways == NULL || c->out->reasons == NULL || c->out->is_blocked == NULL ||
        c->out->home == NULL || c->out->blocked == NULL || c->out->origins == NULL ||
        c->plain_us == NULL || c->blocks_us == NULL || c->is_compared == NULL ||
        c->is_shipped == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < c->graph->num_nodes; i++) {
        c->plain_us[i] = c->blocks_us[i] = (double)NAN;
        c->first_input[i] = num_inputs;
        c->first_output[i] = num_outputs;
        num_inputs += c->graph->nodes[i].num_inputs;
        num_outputs += c->graph->nodes[i].num_outputs;
    }
    c->inputs = clv_alloc_zeroed(num_inputs + 1, sizeof *c->inputs);
    c->outputs = clv_alloc_zeroed(num_outputs + 1, sizeof *c->outputs);
    return c->inputs != NULL && c->outputs != NULL ? NULL : no_memory();
}

clv_status *clv_choose(const clv_choose_request *request, clv_chosen *out_chosen) {
    *out_chosen = (clv_chosen){0};
    chooser c = {.request = request, .graph = request->graph, .out = out_chosen};
    clv_status *status = allocate(&c);
    if (status == NULL) {
        for (size_t i = 0; i < c.graph->num_nodes; i++) {
            find_variants(&c, (clv_node_id)i);
        }
        status = label(&c);
    }
    if (status == NULL) {
        for (size_t i = 0; i < c.graph->num_outputs; i++) {
            out_chosen->plain_readers[request->alias[c.graph->outputs[i]]]++;
        }
        set_layouts(&c);
        set_reasons(&c);
    }
    clv_free(c.first_input);
    clv_free(c.first_output);
    clv_free(c.plain);
    clv_free(c.blocks);
    clv_free(c.inputs);
    clv_free(c.outputs);
    clv_free(c.plain_us);
    clv_free(c.blocks_us);
    clv_free(c.is_compared);
    clv_free(c.is_shipped);
    if (status != NULL) {
        clv_chosen_deinit(out_chosen);
    }
    return status;
}

void clv_chosen_deinit(clv_chosen *chosen) {
    clv_free(chosen->ways);
    clv_free(chosen->reasons);
    clv_free(chosen->origins);
    clv_free(chosen->is_blocked);
    clv_free(chosen->home);
    clv_free(chosen->blocked);
    clv_free(chosen->plain_readers);
    clv_free(chosen->blocked_readers);
    *chosen = (clv_chosen){0};
}
