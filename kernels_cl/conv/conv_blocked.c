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
    for (int a = Y; a <= X; a++) {
        is_in_bounds =
            is_in_bounds && w->pad_begin[a] >= 0 && w->pad_begin[a] <= 16 && w->pad_end[a] <= 16;
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

/* The tile that takes the least time by its shape: as many loads as multiply-adds at once, weights
 * from a core's own cache, and eight sums at least to hide the latency of the multiply-adds. */
static const tile *choose_tile(const blocked_plan *plan, const clv_traits *traits) {
    const clv_ceilings lane = clv_ceilings_of(traits);
    /* multiply-adds while a vector of weights comes */
    const double of_weights =
        (double)plan->block * sizeof(float) * lane.vectors_per_us / lane.own_cache_bytes_per_us;
    const tile *tiles = plan->block == 16 ? wide_tiles : narrow_tiles, *best = NULL;
    size_t count = plan->block == 16 ? sizeof wide_tiles / sizeof *wide_tiles
                                     : sizeof narrow_tiles / sizeof *narrow_tiles;
    double least = INFINITY;
    for (size_t i = 0; i < count; i++) {
        const tile *t = &tiles[i];
        int64_t sums = t->positions * t->vectors, loads = t->positions + t->vectors;
        double slots = (double)largest(largest(sums, loads), 8);
        slots = fmax(slots, of_weights * (double)t->vectors);
        int64_t along = (plan->line + t->positions - 1) / t->positions;
        int64_t blocks = (plan->group_out + t->vectors - 1) / t->vectors;
        slots *= (double)(along * blocks);
        if (slots < least) {
            least = slots;
            best = t;
        }
    }
    return best;
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

/* How the tiles of a map are dealt to items: `run` of them to an item where its weights do not stay
 * in a core's own cache, else one; and `band` items that share the weights of all blocks of outputs
 * while their inputs stay there: all of the map where it fits and is not shared by its rows. */
static void deal_tiles(const blocked_plan *plan, const clv_traits *traits, conv_blocked_params *p) {
    int64_t tiles = (int64_t)p->tiles * p->lines, cache = clv_ceilings_of(traits).cache_bytes;
    int64_t weight_bytes = (int64_t)p->weight_block * (int64_t)sizeof(float);
    int64_t input_bytes = (int64_t)p->weight_input * (int64_t)sizeof(float);
    int64_t run = 1;
    p->chunk = p->group_in;
    if (weight_bytes > cache / 4) {
        int64_t others = plan->in.images * p->groups * p->blocks;
        int64_t most = tiles * others / (4 * (int64_t)traits->num_lanes);
        run = most < CONV_BLOCKED_RUN ? largest(most, 1) : CONV_BLOCKED_RUN;
        run = run < tiles ? run : tiles;
        p->chunk = (clv_u32)(run > 1 ? largest(cache / 8 / input_bytes, 1) : p->group_in);
    }
    int64_t items = (tiles + run - 1) / run, band = items;
    int64_t bytes = plan->in.plane * plan->group_in * (int64_t)sizeof(float);
    if (bytes > cache / 2) {
        band = largest(1, items * (cache / 4) / bytes);
    }
    const double weights = (double)p->weight_group * sizeof(float);
    const double moved = (double)(plan->in.image + plan->out.image) * sizeof(float);
    if (p->groups == 1 && clv_blocked_by_rows(traits, items, weights, moved)) {
        const int64_t lanes = traits->num_lanes;
        const int64_t bands = ((items + band - 1) / band + lanes - 1) / lanes * lanes;
        band = (items + bands - 1) / bands;
    }
    p->run = (clv_u32)run;
    p->band = (clv_u32)band;
    p->bands = (clv_u32)((items + band - 1) / band);
}

static void fill_params(
    const clv_call *call, const blocked_plan *plan, const clv_traits *traits, const tile *t,
    conv_blocked_params *p) {
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
    deal_tiles(plan, traits, p);
}

clv_status *clv_conv_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    blocked_plan plan;
    make_plan(call, &plan);
    const tile *t = choose_tile(&plan, traits);
    clv_arg weights, bias;
    CLV_TRY(emit_weights(call, &plan, t->vectors, emitter, &weights));
    CLV_TRY(clv_conv_emit_bias(call, plan.out.planes * plan.block, emitter, &bias));
    conv_blocked_params p;
    fill_params(call, &plan, traits, t, &p);
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
    clv_launch launch = {
        .source = &clv_source_conv_blocked,
        .entry = "conv_blocked",
        .options = options,
        .args = {{CLV_ARG_INPUT, 0}, weights, bias, store.arg, {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = (uint64_t)plan.in.images * p.groups * p.bands * p.blocks * p.band,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}
