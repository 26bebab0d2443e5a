/* The variant `blocked` of Conv: conv_blocked.cl tells how it works. */
#include "kernels_cl/conv/conv_blocked.h"

#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/ceilings.h"
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/conv/conv_blocked_params.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

extern const clv_kernel_source clv_source_conv_blocked;

enum { Y = 1, X = 2 }; /* axes of a window */

/* Register tiles: positions by vectors of output channels; entries of conv_blocked.cl. */
typedef struct tile {
    int64_t positions, vectors;
} tile;
static const tile wide_tiles[] = {{28, 1}, {14, 2}, {9, 3}, {7, 3}, {6, 4}, {3, 6}, {1, 8}};
static const tile narrow_tiles[] = {{12, 1}, {6, 2}, {4, 3}, {1, 8}};

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

static int64_t groups_of(const clv_call *call) {
    return ((const clv_conv_params *)call->params)->groups;
}

static int64_t largest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Groups narrower than a block, as many of them in one as fit: a block of outputs then reads one
 * block of inputs, through weights that are zero between groups. */
static bool groups_share_blocks(const clv_call *call, int64_t block) {
    int64_t groups = groups_of(call);
    int64_t in = call->inputs[0].shape.dims[1] / groups;
    int64_t out = call->outputs[0].shape.dims[1] / groups;
    return groups > 1 && in == out && in > 1 && block % in == 0;
}

bool clv_conv_blocked_fits(const clv_call *call, const clv_traits *traits) {
    const clv_conv_params *op = call->params;
    const clv_window *w = &op->window;
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    bool is_in_bounds = true;
    clv_layout_extents in_extents;
    clv_layout_extents_of(&call->inputs[0].shape, &layout, &in_extents);
    for (int a = Y; a <= X; a++) { /* gaps are memory, too */
        const int64_t extent = a == Y ? in_extents.height : in_extents.width;
        const int64_t most = extent / 2 < MOST_GAP - 16 ? 16 + extent / 2 : MOST_GAP;
        is_in_bounds = is_in_bounds && w->pad_begin[a] >= 0 && w->pad_begin[a] <= most &&
                       w->pad_end[a] <= most;
    }
    int64_t in = call->inputs[0].shape.dims[1], out = call->outputs[0].shape.dims[1];
    return traits->is_cpu && !op->is_transposed && w->rank <= 2 && is_in_bounds &&
           w->stride[X] <= 2 && call->inputs[1].data != NULL &&
           (!clv_call_has_input(call, 2) || call->inputs[2].data != NULL) &&
           (groups_share_blocks(call, layout.block) ||
            (op->groups == 1 && in >= layout.block / 2) ||
            (in / op->groups % layout.block == 0 && out / op->groups % layout.block == 0)) &&
           clv_layout_fits(call->inputs[0].dtype, &call->inputs[0].shape, &layout) &&
           clv_layout_fits(call->outputs[0].dtype, &call->outputs[0].shape, &layout) &&
           clv_conv_store_fits(call, traits);
}

void clv_conv_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    const clv_window *w = clv_conv_window(call);
    inputs[0].block = outputs[0].block = (uint8_t)clv_width(traits);
    inputs[0].gap_y = (uint8_t)largest(w->pad_begin[Y], largest(w->pad_end[Y], 0));
    inputs[0].gap_x = (uint8_t)largest(w->pad_begin[X], largest(w->pad_end[X], 0));
    clv_conv_store_layouts(call, traits, inputs);
}

/* Everything about the operands that the choice of a tile and the params need. */
typedef struct blocked_plan {
    clv_layout_extents in, out;
    int64_t block, groups, group_in, group_out; /* channels of a block; blocks of a group */
    int64_t pitch, line, lines;
    bool is_linear, is_flat; /* flat: rows of both follow one another, one long row */
} blocked_plan;

static void flatten(clv_layout_extents *e) {
    e->width *= e->height;
    e->height = 1;
    e->row = e->plane;
}

static void make_plan(const clv_call *call, blocked_plan *plan) {
    const clv_window *w = clv_conv_window(call);
    const clv_view *in = &call->inputs[0], *out = &call->outputs[0];
    *plan = (blocked_plan){.block = in->layout.block, .groups = groups_of(call)};
    clv_layout_extents_of(&in->shape, &in->layout, &plan->in);
    clv_layout_extents_of(&out->shape, &out->layout, &plan->out);
    if (groups_share_blocks(call, plan->block)) {
        plan->groups = plan->in.planes;
    }
    plan->group_in = plan->in.planes / plan->groups;
    plan->group_out = plan->out.planes / plan->groups;
    bool is_point = w->kernel[Y] == 1 && w->kernel[X] == 1 && w->stride[Y] == 1 &&
                    w->stride[X] == 1 && plan->in.height == plan->out.height &&
                    plan->in.width == plan->out.width;
    plan->is_flat = is_point;
    for (size_t i = 0; i < call->num_inputs; i++) { /* the map that is added as well */
        const clv_layout *layout = &call->inputs[i].layout;
        plan->is_flat = plan->is_flat && layout->gap_y == 0 && layout->gap_x == 0;
    }
    plan->is_flat = plan->is_flat && out->layout.gap_y == 0 && out->layout.gap_x == 0;
    if (plan->is_flat) {
        flatten(&plan->in);
        flatten(&plan->out);
    }
    plan->pitch = plan->in.row / plan->block;
    plan->is_linear = w->stride[Y] == 1 && w->stride[X] == 1 && plan->out.width <= plan->pitch;
    plan->lines = plan->is_linear ? 1 : plan->out.height;
    plan->line =
        plan->is_linear ? (plan->out.height - 1) * plan->pitch + plan->out.width : plan->out.width;
}

/* Channels of a group's last block of inputs that a kernel goes through: an even number. All of
 * them with the tile that is all rows: compiled for fewer, it came out at half the speed. */
static int64_t last_in_of(const clv_call *call, const blocked_plan *plan, const tile *t) {
    const int64_t rest = call->inputs[0].shape.dims[1] - (plan->group_in - 1) * plan->block;
    const bool is_all = plan->groups > 1 || (t->vectors == 1 && t->positions > 1);
    return is_all ? plan->block : (rest + 1) / 2 * 2;
}

/* A block of outputs of a group. args: vectors of output channels of a block of weights. */
static void fill_block(const clv_call *call, const int64_t args[8], int64_t part, void *out_part) {
    blocked_plan plan;
    make_plan(call, &plan);
    const clv_window *w = clv_conv_window(call);
    int64_t vectors = args[0], block = plan.block, taps = w->kernel[Y] * w->kernel[X];
    int64_t out_channels = call->outputs[0].shape.dims[1];
    int64_t in_channels = call->inputs[0].shape.dims[1];
    int64_t group_out = out_channels / groups_of(call), group_in = in_channels / groups_of(call);
    int64_t blocks = (plan.group_out + vectors - 1) / vectors, width = vectors * block;
    int64_t g = part / blocks, k = part % blocks * width;
    const char *from = call->inputs[1].data;
    float *to = out_part;
    for (int64_t c = 0; c < plan.group_in * block * taps; c++) {
        /* blocks of inputs, then taps, then channels of the block */
        int64_t tap = c / block % taps;
        int64_t in = g * plan.group_in * block + c / (block * taps) * block + c % block;
        for (int64_t j = 0; j < width; j++, to++) {
            int64_t out = g * plan.group_out * block + k + j;
            bool is_there = k + j < plan.group_out * block && out < out_channels &&
                            in < in_channels && out / group_out == in / group_in;
            *to = 0;
            if (is_there) {
                int64_t at = (out * group_in + in % group_in) * taps + tap;
                memcpy(to, from + (size_t)at * sizeof *to, sizeof *to);
            }
        }
    }
}

static clv_status *emit_weights(
    const clv_call *call, const blocked_plan *plan, int64_t vectors, const clv_emitter *emitter,
    clv_arg *out_weights) {
    const clv_window *w = clv_conv_window(call);
    int64_t blocks = (plan->group_out + vectors - 1) / vectors;
    int64_t elements = plan->groups * blocks * vectors * plan->block * plan->group_in *
                       plan->block * w->kernel[Y] * w->kernel[X];
    const clv_packing packing = {
        .bytes = (size_t)elements * sizeof(float),
        .args = {vectors},
        .fill_part = fill_block,
        .num_parts = plan->groups * blocks,
    };
    *out_weights = (clv_arg){CLV_ARG_CONSTANT, 0};
    return emitter->constant(emitter->context, &packing, &out_weights->index);
}

static void fill_params(
    const clv_call *call, const blocked_plan *plan, const tile *t, conv_blocked_params *p) {
    const clv_window *w = clv_conv_window(call);
    int64_t tiles = (plan->line + t->positions - 1) / t->positions;
    int64_t blocks = (plan->group_out + t->vectors - 1) / t->vectors;
    int64_t weight_input = t->vectors * plan->block * plan->block * w->kernel[Y] * w->kernel[X];
    int64_t weight_block = weight_input * plan->group_in;
    *p = (conv_blocked_params){
        .weight_group = (clv_u64)(blocks * weight_block),
        .weight_block = (clv_u64)weight_block,
        .weight_input = (clv_u32)weight_input,
        .group_in = (clv_u32)plan->group_in,
        .group_out = (clv_u32)plan->group_out,
        .groups = (clv_u32)plan->groups,
        .kernel_y = (clv_u32)w->kernel[Y],
        .kernel_x = (clv_u32)w->kernel[X],
        .tap_row = (clv_u32)(w->dilation[Y] * plan->in.row),
        .tap_x = (clv_u32)(w->dilation[X] * plan->block),
        .lead_taps = (clv_u32)(w->pad_begin[Y] * plan->in.row + w->pad_begin[X] * plan->block),
        .stride_row = (clv_u32)(w->stride[Y] * plan->in.row),
        .line = (clv_u32)plan->line,
        .lines = (clv_u32)plan->lines,
        .tiles = (clv_u32)tiles,
        .blocks = (clv_u32)blocks,
        .is_linear = plan->is_linear,
        .pitch = (clv_u32)plan->pitch,
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
static int64_t input_bytes_of(const clv_call *call, const blocked_plan *plan) {
    const clv_window *w = clv_conv_window(call);
    int64_t bytes = plan->in.plane * plan->group_in * (int64_t)sizeof(float);
    for (int a = Y; a <= X; a++) {
        bytes = w->kernel[a] < w->stride[a] ? bytes * w->kernel[a] / w->stride[a] : bytes;
    }
    return bytes;
}

/* Bands: items that share the weights of all blocks of outputs while their inputs stay in a core's
 * own cache: all of the map where it fits and is not shared by its rows, and else as few as are the
 * same for each lane, since each band reads all of the weights. */
static void choose_bands(
    const clv_call *call, const blocked_plan *plan, const clv_traits *traits,
    conv_blocked_params *p) {
    const int64_t tiles = (int64_t)p->tiles * p->lines;
    const int64_t bytes = input_bytes_of(call, plan), lanes = largest(traits->num_lanes, 1);
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

static uint64_t num_items_of(const blocked_plan *plan, const conv_blocked_params *p) {
    return (uint64_t)plan->in.images * p->groups * p->bands * p->blocks * p->band;
}

/* Time of the lane that has most to do: each takes as many items. */
static double estimate_us(
    const clv_call *call, const blocked_plan *plan, const clv_traits *traits, const tile *t,
    const conv_blocked_params *p) {
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
    const double sums =
        (double)largest(largest(t->positions * t->vectors, t->positions + t->vectors), 8);
    const double row_us = fmax(sums / lane.vectors_per_us, weights / lane.own_cache_bytes_per_us);
    const double channels =
        (double)((plan->group_in - 1) * plan->block + last_in_of(call, plan, t));
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
    const clv_call *call, const blocked_plan *plan, const clv_traits *traits, const tile *t,
    conv_blocked_params *p) {
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
        choose_bands(call, plan, traits, p);
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
    const clv_call *call, const blocked_plan *plan, const clv_traits *traits, int32_t wanted,
    conv_blocked_params *out_params) {
    const tile *tiles = plan->block == 16 ? wide_tiles : narrow_tiles, *best = NULL;
    size_t count = plan->block == 16 ? sizeof wide_tiles / sizeof *wide_tiles
                                     : sizeof narrow_tiles / sizeof *narrow_tiles;
    double least = INFINITY;
    const bool is_wanted = wanted > 0 && (size_t)wanted <= count;
    const size_t first = is_wanted ? (size_t)wanted - 1 : 0;
    blocked_plan by_rows = *plan; /* wide gaps are more than what a row's last tile leaves idle */
    by_rows.is_linear = false;
    by_rows.lines = plan->out.height;
    by_rows.line = plan->out.width;
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

clv_status *clv_conv_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    blocked_plan plan;
    make_plan(call, &plan);
    conv_blocked_params p;
    const tile *t = choose_tile(call, &plan, traits, tunables[TILE], &p);
    clv_arg weights, bias;
    CLV_TRY(emit_weights(call, &plan, t->vectors, emitter, &weights));
    CLV_TRY(clv_conv_emit_bias(call, plan.out.planes * plan.block, emitter, &bias));
    p.has_bias = bias.kind != CLV_ARG_NONE;
    const clv_conv_store store = clv_conv_store_of(call, &p.out);
    p.add = store.add;
    p.has_add = store.has_add;
    p.low = store.low;
    p.high = store.high;
    p.act = store.act;
    char options[96];
    snprintf(
        options, sizeof options, "-DCLV_WIDTH=%d -DCONV_R=%d -DCONV_V=%d -DCONV_S=%d",
        (int)plan.block, (int)t->positions, (int)t->vectors,
        clv_conv_window(call)->stride[X] == 2 ? 2 : 1);
    const int64_t last_in = last_in_of(call, &plan, t);
    if (last_in < plan.block) {
        const size_t length = strlen(options);
        snprintf(options + length, sizeof options - length, " -DCONV_LAST=%d", (int)last_in);
    }
    clv_launch launch = {
        .source = &clv_source_conv_blocked,
        .entry = "conv_blocked",
        .num_sums = (uint32_t)(t->positions * t->vectors),
        .options = options,
        .args = {{CLV_ARG_INPUT, 0}, weights, bias, store.arg, {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items_of(&plan, &p),
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}
