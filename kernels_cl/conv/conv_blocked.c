/* The variant `blocked` of Conv: conv_blocked.cl tells how it works. */
#include "kernels_cl/conv/conv_blocked_plan.h"

#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/ceilings.h"
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/conv/conv_blocked_params.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

extern const clv_kernel_source clv_source_conv_blocked;

/* Register tiles: positions by vectors of output channels; entries of conv_blocked.cl. */
typedef struct tile {
    int64_t positions, vectors;
} tile;
static const tile wide_tiles[] = {{28, 1}, {14, 2}, {9, 3}, {7, 3}, {6, 4}, {3, 6}, {1, 8}};
static const tile narrow_tiles[] = {{12, 1}, {6, 2}, {4, 3}, {1, 8}};

enum { MOST_VECTORS = 8 };

/* Padding at most: what a layout's gap can be. */
enum { MOST_GAP = UINT8_MAX };

/* Values of the tunables, in order. */
enum { TILE };
static const int32_t tile_values[] = {0, 1, 2, 3, 4, 5, 6, 7};
const clv_tunable clv_conv_blocked_tunables[CONV_BLOCKED_TUNABLES] = {
    [TILE] =
        {
            .name = "tile",
            .meaning = "register tile: 0 by estimate, else the place in the list of tiles",
            .values = tile_values,
            .num_values = sizeof tile_values / sizeof *tile_values,
        },
};

static int64_t largest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t smallest(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* What a convolution, transposed or not, must be. */
static bool fits(const clv_call *call, const clv_traits *traits) {
    const clv_conv_params *op = call->params;
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    if (!traits->is_cpu || op->window.rank > 2 || call->inputs[1].data == NULL ||
        (clv_call_has_input(call, 2) && call->inputs[2].data == NULL) ||
        !clv_layout_fits(call->inputs[0].dtype, &call->inputs[0].shape, &layout) ||
        !clv_layout_fits(call->outputs[0].dtype, &call->outputs[0].shape, &layout) ||
        !clv_conv_store_fits(call)) {
        return false;
    }
    for (int a = CONV_Y; a <= CONV_X; a++) {
        int64_t begin, end;
        clv_conv_blocked_pads(call, a, &begin, &end);
        if (begin < 0 || begin > MOST_GAP || end > MOST_GAP) {
            return false;
        }
    }
    const double of_taps = (double)layout.block * layout.block * MOST_VECTORS;
    if ((double)op->window.kernel[CONV_Y] * (double)op->window.kernel[CONV_X] * of_taps >
        (double)CLV_MAX_ELEMENTS) {
        return false; /* weights of a block of channels, which a kernel counts in 32 bits */
    }
    if (clv_conv_has_scale(call) && clv_conv_groups_are_mixed(call, layout.block)) {
        return false; /* a list does not tell channels */
    }
    /* depthwise has a variant of its own */
    return op->groups == 1 || call->inputs[0].shape.dims[1] > op->groups ||
           call->outputs[0].shape.dims[1] > op->groups;
}

bool clv_conv_blocked_fits(const clv_call *call, const clv_traits *traits) {
    const clv_conv_params *op = call->params;
    return !op->is_transposed && op->window.stride[CONV_X] <= 2 && fits(call, traits);
}

bool clv_conv_transposed_fits(const clv_call *call, const clv_traits *traits) {
    const clv_conv_params *op = call->params;
    const clv_window *w = &op->window;
    bool has_taps = true; /* in every phase, of which there are few */
    for (int a = CONV_Y; a <= CONV_X; a++) {
        has_taps = has_taps && w->dilation[a] == 1 && w->kernel[a] >= w->stride[a] &&
                   w->stride[a] <= 4 && w->pad_begin[a] >= 0;
    }
    return op->is_transposed && has_taps && fits(call, traits);
}

/* Not where most of a block would be channels that are not there. Gaps are memory, too: up to half
 * of the map. Pieces are run as the whole is, and it may not depend on their extents what fits. */
bool clv_conv_blocked_pays(const clv_call *call, const clv_traits *traits) {
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    clv_layout_extents extents;
    if (call->inputs[0].shape.dims[1] * 2 < layout.block) {
        return false;
    }
    clv_layout_extents_of(&call->inputs[0].shape, &layout, &extents);
    for (int a = CONV_Y; a <= CONV_X; a++) {
        const int64_t most = 16 + (a == CONV_Y ? extents.height : extents.width) / 2;
        int64_t begin, end;
        clv_conv_blocked_pads(call, a, &begin, &end);
        if (begin > most || end > most) {
            return false;
        }
    }
    return true;
}

bool clv_conv_transposed_pays(const clv_call *call, const clv_traits *traits) {
    return call->outputs[0].shape.dims[1] * 2 >= (int64_t)clv_width(traits) &&
           clv_conv_blocked_pays(call, traits);
}

void clv_conv_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    int64_t begin[CONV_AXES], end[CONV_AXES];
    for (int a = CONV_Y; a <= CONV_X; a++) {
        clv_conv_blocked_pads(call, a, &begin[a], &end[a]);
    }
    inputs[0].block = outputs[0].block = (uint8_t)clv_width(traits);
    inputs[0].gap_y = (uint8_t)largest(begin[CONV_Y], largest(end[CONV_Y], 0));
    inputs[0].gap_x = (uint8_t)largest(begin[CONV_X], largest(end[CONV_X], 0));
    if (clv_conv_has_scale(call)) {
        inputs[CLV_CONV_SCALE].block = inputs[0].block;
    }
    clv_conv_store_layouts(call, traits, inputs);
}

/* Factors of channels, which lie side by side either way, and of which none is read that is not
 * there. */
bool clv_conv_takes_plain(const clv_call *call, const clv_traits *traits, size_t input) {
    const clv_conv_params *op = call->params;
    const int64_t channels = call->inputs[0].shape.dims[1];
    return clv_conv_has_scale(call) && input == CLV_CONV_SCALE &&
           (op->groups == 1 || channels % clv_width(traits) == 0);
}

/* Channels of a group's last block of inputs that a kernel goes through. */
static int64_t last_in_of(const clv_call *call, const clv_conv_blocked_plan *plan) {
    const int64_t rest = call->inputs[0].shape.dims[1] - (plan->group_in - 1) * plan->block;
    return plan->groups > 1 || plan->is_mixed ? plan->block : rest;
}

/* Where the weight from channel `in` of its group to channel `out` of all lies, at one tap. */
static int64_t weight_at(const clv_call *call, int64_t in, int64_t out, int64_t tap) {
    const clv_conv_params *op = call->params;
    const int64_t taps = op->window.kernel[CONV_Y] * op->window.kernel[CONV_X];
    const int64_t group_in = call->inputs[0].shape.dims[1] / op->groups;
    const int64_t group_out = call->outputs[0].shape.dims[1] / op->groups;
    const int64_t row = op->is_transposed
                            ? (out / group_out * group_in + in) * group_out + out % group_out
                            : out * group_in + in;
    return row * taps + tap;
}

/* Weights from input channels [in, in_end) to output channels [out, out_end), of which there is
 * room for `width`. */
typedef struct weight_slab {
    int64_t in, in_end, out, out_end, width;
} weight_slab;

/* To [tap][in][width], with zeros between groups and behind the last output. An output's weights
 * lie side by side in the model, and are read so; a slab is little enough for the nearest cache. */
static void pack_slab(
    const clv_call *call, const clv_conv_blocked_plan *plan, const weight_slab *slab, float *to) {
    const clv_conv_params *op = call->params;
    const int64_t across = op->window.kernel[CONV_X], num_in = slab->in_end - slab->in;
    const int64_t group_out = call->outputs[0].shape.dims[1] / op->groups;
    const int64_t group_in = call->inputs[0].shape.dims[1] / op->groups;
    const int64_t step = weight_at(call, 1, 0, 0); /* from an input channel to the next */
    const int64_t num_taps = plan->kernel[CONV_Y] * plan->kernel[CONV_X];
    memset(to, 0, (size_t)(num_taps * num_in * slab->width) * sizeof *to);
    for (int64_t out = slab->out; out < slab->out_end; out++, to++) {
        const int64_t group = out / group_out;
        const int64_t first = largest(slab->in, group * group_in);
        const int64_t last = smallest(slab->in_end, (group + 1) * group_in);
        if (first >= last) {
            continue;
        }
        const int64_t at = weight_at(call, first - group * group_in, out, 0);
        float *row = to + (first - slab->in) * slab->width;
        for (int64_t t = 0; t < num_taps; t++, row += num_in * slab->width) {
            const int64_t y = clv_conv_phase_tap(call, plan, CONV_Y, t / plan->kernel[CONV_X]);
            const int64_t x = clv_conv_phase_tap(call, plan, CONV_X, t % plan->kernel[CONV_X]);
            const char *from =
                (const char *)call->inputs[1].data + sizeof *to * (size_t)(at + y * across + x);
            for (int64_t i = 0; i < last - first; i++) {
                memcpy(row + i * slab->width, from + sizeof *to * (size_t)(i * step), sizeof *to);
            }
        }
    }
}

/* A block of outputs of a group. args: vectors of output channels of a block of weights, phase. */
static void fill_block(const clv_call *call, const int64_t args[8], int64_t part, void *out_part) {
    clv_conv_blocked_plan plan;
    clv_conv_blocked_plan_of(call, args[1], &plan);
    const int64_t block = plan.block, width = args[0] * block;
    const int64_t blocks = (plan.group_out + args[0] - 1) / args[0], g = part / blocks;
    const int64_t of_group = plan.group_out * block, out = g * of_group + part % blocks * width;
    const int64_t there = smallest((g + 1) * of_group, call->outputs[0].shape.dims[1]);
    float *to = out_part;
    for (int64_t c = 0; c < plan.group_in; c++) {
        const int64_t in = (g * plan.group_in + c) * block;
        const weight_slab slab = {in, in + block, out, smallest(out + width, there), width};
        pack_slab(call, &plan, &slab, to);
        to += plan.kernel[CONV_Y] * plan.kernel[CONV_X] * block * width;
    }
}

/* --- groups of any width --------------------------------------------------------------------- */

/* Channels in the list of block k of `width` outputs. */
static int64_t num_listed(const clv_call *call, int64_t width, int64_t k) {
    int64_t begin, end;
    clv_conv_mixed_inputs(call, k * width, (k + 1) * width, &begin, &end);
    return end - begin;
}

/* The longest list, and how long all are together. */
static int64_t longest_list(
    const clv_call *call, const clv_conv_blocked_plan *plan, int64_t vectors, int64_t *out_all) {
    int64_t longest = 0;
    *out_all = 0;
    for (int64_t k = 0; k * vectors < plan->group_out; k++) {
        const int64_t count = num_listed(call, vectors * plan->block, k);
        longest = largest(longest, count);
        *out_all += count;
    }
    return longest;
}

/* args: vectors, phase, the longest list. */
static void fill_listed(const clv_call *call, const int64_t args[8], int64_t part, void *out_part) {
    clv_conv_blocked_plan plan;
    clv_conv_blocked_plan_of(call, args[1], &plan);
    const int64_t width = args[0] * plan.block, out = part * width;
    const int64_t out_end = smallest(out + width, call->outputs[0].shape.dims[1]);
    const int64_t of_channel = plan.kernel[CONV_Y] * plan.kernel[CONV_X] * width;
    int64_t begin, end;
    clv_conv_mixed_inputs(call, out, out_end, &begin, &end);
    float *to = out_part;
    for (int64_t in = begin; in < begin + args[2]; in++, to += of_channel) {
        const weight_slab slab = {in, in + 1, out, out_end, width};
        if (in < end) {
            pack_slab(call, &plan, &slab, to);
        } else {
            memset(to, 0, (size_t)of_channel * sizeof *to);
        }
    }
}

/* args: as fill_listed. */
static void fill_lists(const clv_call *call, const int64_t args[8], void *out_packed) {
    clv_conv_blocked_plan plan;
    clv_conv_blocked_plan_of(call, args[1], &plan);
    const clv_conv_params *op = call->params;
    const int64_t width = args[0] * plan.block;
    clv_u32 *row = out_packed;
    for (int64_t k = 0; k * args[0] < plan.group_out; k++, row += 1 + args[2]) {
        int64_t begin, end;
        clv_conv_mixed_inputs(call, k * width, (k + 1) * width, &begin, &end);
        memset(row, 0, (size_t)(1 + args[2]) * sizeof *row);
        row[0] = (clv_u32)(end - begin);
        for (int64_t c = begin; c < end; c++) {
            const int64_t at = clv_conv_shuffled(op->shuffle, call->inputs[0].shape.dims[1], c);
            row[1 + c - begin] = (clv_u32)(at / plan.block * plan.in.plane + at % plan.block);
        }
    }
}

static clv_status *emit_lists(
    const clv_call *call, const clv_conv_blocked_plan *plan, int64_t phase, int64_t vectors,
    const clv_emitter *emitter, clv_arg *out_table) {
    int64_t all;
    const int64_t longest = longest_list(call, plan, vectors, &all);
    const int64_t blocks = (plan->group_out + vectors - 1) / vectors;
    const clv_packing packing = {
        .bytes = (size_t)(blocks * (1 + longest)) * sizeof(clv_u32),
        .args = {vectors, phase, longest},
        .fill = fill_lists,
    };
    *out_table = (clv_arg){CLV_ARG_CONSTANT, 0};
    return emitter->constant(emitter->context, &packing, &out_table->index);
}

static clv_status *emit_weights(
    const clv_conv_blocked_plan *plan, int64_t phase, const conv_blocked_params *p, int64_t vectors,
    const clv_emitter *emitter, clv_arg *out_weights) {
    const clv_packing packing = {
        .bytes = (size_t)(p->weight_group * p->groups) * sizeof(float),
        .args = {vectors, phase, p->group_in},
        .fill_part = plan->is_mixed ? fill_listed : fill_block,
        .num_parts = (int64_t)p->groups * p->blocks,
    };
    *out_weights = (clv_arg){CLV_ARG_CONSTANT, 0};
    return emitter->constant(emitter->context, &packing, &out_weights->index);
}

static void fill_params(
    const clv_call *call, const clv_conv_blocked_plan *plan, const tile *t,
    conv_blocked_params *p) {
    int64_t tiles = (plan->line + t->positions - 1) / t->positions;
    int64_t blocks = (plan->group_out + t->vectors - 1) / t->vectors;
    int64_t all,
        inputs = plan->is_mixed ? longest_list(call, plan, t->vectors, &all) : plan->group_in;
    int64_t weight_input = t->vectors * plan->block * (plan->is_mixed ? 1 : plan->block) *
                           plan->kernel[CONV_Y] * plan->kernel[CONV_X];
    int64_t weight_block = weight_input * inputs;
    *p = (conv_blocked_params){
        .weight_group = (clv_u64)(blocks * weight_block),
        .weight_block = (clv_u64)weight_block,
        .weight_input = (clv_u32)weight_input,
        .group_in = (clv_u32)inputs,
        .group_out = (clv_u32)plan->group_out,
        .last_in = (clv_u32)last_in_of(call, plan),
        .groups = (clv_u32)plan->groups,
        .kernel_y = (clv_u32)plan->kernel[CONV_Y],
        .kernel_x = (clv_u32)plan->kernel[CONV_X],
        .tap_row = (clv_u32)(plan->dilation[CONV_Y] * plan->in.row),
        .tap_x = (clv_u32)(plan->dilation[CONV_X] * plan->block),
        .lead_taps = (clv_i32)(plan->pad[CONV_Y] * plan->in.row + plan->pad[CONV_X] * plan->block),
        .stride_row = (clv_u32)(plan->stride[CONV_Y] * plan->in.row),
        .line = (clv_u32)plan->line,
        .lines = (clv_u32)plan->lines,
        .tiles = (clv_u32)tiles,
        .blocks = (clv_u32)blocks,
        .is_linear = plan->is_linear,
        .pitch = (clv_u32)plan->pitch,
        .rows = (clv_u32)plan->rows,
        .columns = (clv_u32)plan->columns,
        .step_y = (clv_u32)plan->step[CONV_Y],
        .first_y = (clv_u32)plan->first[CONV_Y],
        .first_x = (clv_u32)plan->first[CONV_X],
        .ends_rows =
            plan->first[CONV_X] + (plan->columns - 1) * plan->step[CONV_X] == plan->out.width - 1,
    };
    clv_blocked_from_extents(&plan->in, call->inputs[0].layout.gap_y, &p->in);
    clv_blocked_from_extents(&plan->out, call->outputs[0].layout.gap_y, &p->out);
}

/* --- dealing tiles to items ------------------------------------------------------------------ */

/* Starting an item costs that. */
static const double item_us = 0.025;

/* Tiles of an item at most where no sums wait. */
enum { MOST_RUN = 64 };

/* Bytes of a group's input that are read: strides may leave rows and positions out. */
static int64_t input_bytes_of(const clv_conv_blocked_plan *plan) {
    int64_t bytes = plan->in.plane * plan->group_in * (int64_t)sizeof(float);
    for (int a = CONV_Y; a <= CONV_X; a++) {
        const int64_t kernel = plan->kernel[a], stride = plan->stride[a];
        bytes = kernel < stride ? bytes * kernel / stride : bytes;
    }
    return bytes;
}

/* Bands: items that share the weights of all blocks of outputs while their inputs stay in a core's
 * own cache: all of the map where it fits and is not shared by its rows, and else as few as are the
 * same for each lane, since each band reads all of the weights. */
static void choose_bands(
    const clv_conv_blocked_plan *plan, const clv_traits *traits, conv_blocked_params *p) {
    const int64_t tiles = (int64_t)p->tiles * p->lines;
    const int64_t bytes = input_bytes_of(plan), lanes = largest(traits->num_lanes, 1);
    const int64_t cache = clv_ceilings_of(traits).cache_bytes;
    const double weights = (double)p->weight_group * sizeof(float);
    const double moved = (double)(plan->in.image + plan->out.image) * sizeof(float);
    /* where the weights stay there as well, reading them again costs little */
    const int64_t room = weights <= (double)cache / 4 ? cache / 4 : cache / 2;
    int64_t bands = bytes > cache / 2 ? (bytes + room - 1) / room : 1;
    if (bands > 1 || (p->groups == 1 && clv_blocked_by_rows(traits, tiles, weights, moved))) {
        bands = (bands + lanes - 1) / lanes * lanes;
    }
    bands = largest(bands < tiles ? bands : tiles, 1);
    const int64_t of_band = largest((tiles + bands - 1) / bands, 1);
    p->run = (clv_u32)(p->run < of_band ? p->run : of_band);
    p->band = (clv_u32)((of_band + p->run - 1) / p->run);
    p->bands = (clv_u32)((tiles + p->band * p->run - 1) / (p->band * p->run));
}

static uint64_t num_items_of(const clv_conv_blocked_plan *plan, const conv_blocked_params *p) {
    return (uint64_t)plan->in.images * p->groups * p->bands * p->blocks * p->band;
}

/* Input channels that a block of outputs goes through, on average. */
static double inputs_of(const clv_call *call, const clv_conv_blocked_plan *plan, const tile *t) {
    if (plan->is_mixed) {
        int64_t all;
        longest_list(call, plan, t->vectors, &all);
        return (double)all / (double)((plan->group_out + t->vectors - 1) / t->vectors);
    }
    return (double)((plan->group_in - 1) * plan->block + last_in_of(call, plan));
}

/* Time of the lane that has most to do: each takes as many items. */
static double estimate_us(
    const clv_call *call, const clv_conv_blocked_plan *plan, const clv_traits *traits,
    const tile *t, const conv_blocked_params *p) {
    const clv_ceilings lane = clv_ceilings_of(traits);
    const int64_t lanes = largest(traits->num_lanes, 1);
    const int64_t items = ((int64_t)num_items_of(plan, p) + lanes - 1) / lanes;
    const int64_t all = (int64_t)p->tiles * p->lines, of_band = (int64_t)p->band * p->run;
    const int64_t rest = items % p->band * p->run;
    const int64_t tiles =
        items / p->band * (of_band < all ? of_band : all) + (rest < all ? rest : all);
    /* as many loads as multiply-adds at once, and eight sums at least to hide their latency, while
     * a core's own cache brings the weights */
    const double weights = (double)(t->vectors * plan->block) * sizeof(float);
    const int64_t work = t->positions * t->vectors + (clv_conv_has_scale(call) ? t->vectors : 0);
    const double sums = (double)largest(largest(work, t->positions + t->vectors), 8);
    const double row_us = fmax(sums / lane.vectors_per_us, weights / lane.own_cache_bytes_per_us);
    const double channels = inputs_of(call, plan, t);
    const double rows = channels * (double)(p->kernel_y * p->kernel_x);
    /* weights that do not stay come from the cache behind it once a band, or once an item */
    const double bytes = (double)p->weight_block * sizeof(float);
    const bool waits = bytes > (double)lane.cache_bytes / 4;
    const bool stays = (double)p->weight_group * sizeof(float) < (double)lane.cache_bytes / 2;
    const double passes = (double)(waits ? items : (items + p->band - 1) / p->band);
    const double stream_us = stays ? 0 : passes * bytes / lane.shared_cache_bytes_per_us;
    return fmax((double)tiles * rows * row_us, stream_us) + (double)items * item_us;
}

/* How many tiles an item does: sums of those that go through a part of the weights wait. */
static double deal_tiles(
    const clv_call *call, const clv_conv_blocked_plan *plan, const clv_traits *traits,
    const tile *t, conv_blocked_params *p) {
    const int64_t tiles = (int64_t)p->tiles * p->lines;
    const int64_t cache = clv_ceilings_of(traits).cache_bytes;
    const int64_t input_bytes = (int64_t)p->weight_input * (int64_t)sizeof(float);
    const bool waits = (int64_t)p->weight_block * (int64_t)sizeof(float) > cache / 4;
    const int64_t most = waits ? CONV_BLOCKED_RUN : MOST_RUN;
    conv_blocked_params best = *p;
    double least = INFINITY;
    for (int64_t run = 1; run == 1 || (run <= most && run <= tiles);
         run += run < 8 ? 1 : run / 8 * 2) {
        p->run = (clv_u32)run;
        choose_bands(plan, traits, p);
        p->chunk = waits && p->run > 1 ? (clv_u32)largest(cache / 8 / input_bytes, 1) : p->group_in;
        const double us = estimate_us(call, plan, traits, t, p);
        if (us < least) {
            least = us;
            best = *p;
        }
    }
    *p = best;
    return least;
}

/* The tile that takes the least time by its shape, or the one that is wanted (from 1 on), and how
 * its tiles are dealt. */
static const tile *choose_tile(
    const clv_call *call, const clv_conv_blocked_plan *plan, const clv_traits *traits,
    int32_t wanted, conv_blocked_params *out_params) {
    const tile *tiles = plan->block == 16 ? wide_tiles : narrow_tiles, *best = NULL;
    size_t count = plan->block == 16 ? sizeof wide_tiles / sizeof *wide_tiles
                                     : sizeof narrow_tiles / sizeof *narrow_tiles;
    double least = INFINITY;
    const bool is_wanted = wanted > 0 && (size_t)wanted <= count;
    const size_t first = is_wanted ? (size_t)wanted - 1 : 0;
    clv_conv_blocked_plan by_rows =
        *plan; /* wide gaps are more than what a row's last tile leaves idle */
    by_rows.is_linear = false;
    by_rows.lines = plan->rows;
    by_rows.line = plan->columns;
    for (size_t i = first; i < (is_wanted ? first + 1 : count); i++) {
        for (int mode = 0; mode < (plan->is_linear && !plan->is_flat ? 2 : 1); mode++) {
            conv_blocked_params p;
            fill_params(call, mode == 0 ? plan : &by_rows, &tiles[i], &p);
            const double us = deal_tiles(call, plan, traits, &tiles[i], &p);
            if (us < least) {
                least = us;
                best = &tiles[i];
                *out_params = p;
            }
        }
    }
    return best;
}

enum { CONV_OPTIONS = 128 };

static void add_option(char options[CONV_OPTIONS], const char *name, int64_t value) {
    const size_t length = strlen(options);
    snprintf(options + length, CONV_OPTIONS - length, " -D%s=%d", name, (int)value);
}

static void write_options(
    const clv_call *call, const clv_conv_blocked_plan *plan, const tile *t,
    char out_options[CONV_OPTIONS]) {
    snprintf(out_options, CONV_OPTIONS, "-DCLV_WIDTH=%d", (int)plan->block);
    add_option(out_options, "CONV_R", t->positions);
    add_option(out_options, "CONV_V", t->vectors);
    add_option(out_options, "CONV_S", plan->stride[CONV_X] == 2 ? 2 : 1);
    if (last_in_of(call, plan) < plan->block) {
        add_option(out_options, "CONV_PARTIAL", 1);
    }
    if (plan->step[CONV_X] > 1) {
        add_option(out_options, "CONV_OUT", plan->step[CONV_X]);
    }
    if (plan->is_mixed) {
        const bool is_point = plan->kernel[CONV_Y] == 1 && plan->kernel[CONV_X] == 1;
        add_option(out_options, "CONV_MIXED", is_point ? 2 : 1);
    }
    if (clv_conv_has_scale(call)) {
        add_option(out_options, "CONV_SCALED", 1);
    }
}

static void place_scale(const clv_call *call, int64_t block, conv_blocked_params *p) {
    const clv_view *view = &call->inputs[CLV_CONV_SCALE];
    if (!clv_layout_is_blocked(&view->layout)) {
        p->scale_lead = 0;
        p->scale_image = (clv_u32)view->shape.dims[1];
        p->scale_plane = (clv_u32)block;
        return;
    }
    clv_layout_extents extents;
    clv_layout_extents_of(&view->shape, &view->layout, &extents);
    p->scale_lead = (clv_u32)extents.lead;
    p->scale_image = (clv_u32)extents.image;
    p->scale_plane = (clv_u32)extents.plane;
}

static clv_status *emit_phase(
    const clv_call *call, int64_t phase, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    clv_conv_blocked_plan plan;
    clv_conv_blocked_plan_of(call, phase, &plan);
    conv_blocked_params p;
    const tile *t = choose_tile(call, &plan, traits, tunables[TILE], &p);
    clv_arg weights, bias, more = {CLV_ARG_NONE, 0}; /* the table, or factors */
    CLV_TRY(emit_weights(&plan, phase, &p, t->vectors, emitter, &weights));
    CLV_TRY(clv_conv_emit_bias(call, plan.out.planes * plan.block, emitter, &bias));
    if (plan.is_mixed) {
        CLV_TRY(emit_lists(call, &plan, phase, t->vectors, emitter, &more));
    } else if (clv_conv_has_scale(call)) {
        more = (clv_arg){CLV_ARG_INPUT, CLV_CONV_SCALE};
        place_scale(call, plan.block, &p);
    }
    p.has_bias = bias.kind != CLV_ARG_NONE;
    const clv_conv_store store = clv_conv_store_of(call, &p.out);
    p.add = store.add;
    p.has_add = store.has_add;
    p.low = store.low;
    p.high = store.high;
    p.act = store.act;
    char options[CONV_OPTIONS];
    write_options(call, &plan, t, options);
    clv_launch launch = {
        .source = &clv_source_conv_blocked,
        .entry = "conv_blocked",
        .num_sums = (uint32_t)(t->positions * t->vectors),
        .options = options,
        .args = {{CLV_ARG_INPUT, 0}, weights, bias, store.arg, {CLV_ARG_OUTPUT, 0}, more},
        .num_args = more.kind != CLV_ARG_NONE ? 6 : 5,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items_of(&plan, &p),
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}

clv_status *clv_conv_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    for (int64_t phase = 0; phase < clv_conv_num_phases(call); phase++) {
        CLV_TRY(emit_phase(call, phase, traits, tunables, emitter));
    }
    return NULL;
}
