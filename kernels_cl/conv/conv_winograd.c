/* The variant `winograd` of Conv: conv_winograd.cl tells how it works. */
#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/conv/conv_blocked.h"
#include "kernels_cl/conv/conv_winograd_params.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

extern const clv_kernel_source clv_source_conv_winograd;

enum { Y = 1, X = 2, TAPS = 3, MIN_CHANNELS = 32, MIN_OUTPUTS = 6 };

/* Register tiles: maps' tiles by vectors of output channels; entries of conv_winograd.cl. */
typedef struct winograd_tile {
    int64_t tiles, vectors;
} winograd_tile;
static const winograd_tile wide_tiles[] = {{28, 1}, {16, 1}, {14, 2}, {9, 3}, {4, 4}};
static const winograd_tile narrow_tiles[] = {{12, 1}, {6, 2}};

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

typedef struct winograd_plan {
    int64_t block, planes_in, planes_out, tiles_y, tiles_x, tiles;
    const winograd_tile *tile;
    double us; /* estimated, on one lane */
} winograd_plan;

/* Time on one lane: products at two multiply-adds a cycle of 3.9 GHz, weights streamed once for
 * each group of tiles, and the transforms' loads and stores. */
static double estimate_us(const winograd_plan *plan, const winograd_tile *t) {
    const double vectors_per_us = 2 * 3900, bytes_per_us = 40e3;
    double groups = (double)divide_up(plan->tiles, t->tiles);
    double blocks = (double)divide_up(plan->planes_out, t->vectors);
    double sums = (double)(t->tiles * t->vectors), loads = (double)(t->tiles + t->vectors);
    double slots = sums > loads ? sums : loads;
    double inputs = (double)(plan->planes_in * plan->block);
    double products = WINOGRAD_POINTS * groups * blocks * slots * inputs / vectors_per_us;
    double weights = WINOGRAD_POINTS * groups * blocks * inputs *
                     (double)(t->vectors * plan->block) * sizeof(float) / bytes_per_us;
    double transforms = (double)(plan->tiles * (plan->planes_in + plan->planes_out)) *
                        WINOGRAD_POINTS * 6 / vectors_per_us;
    return (products > weights ? products : weights) + transforms;
}

static void make_plan(const clv_call *call, int64_t block, winograd_plan *plan) {
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    *plan = (winograd_plan){
        .block = block,
        .planes_in = divide_up(in->dims[1], block),
        .planes_out = divide_up(out->dims[1], block),
        .tiles_y = divide_up(out->dims[2], WINOGRAD_OUT),
        .tiles_x = divide_up(out->dims[3], WINOGRAD_OUT),
        .us = INFINITY,
    };
    plan->tiles = out->dims[0] * plan->tiles_y * plan->tiles_x;
    const winograd_tile *tiles = block == 16 ? wide_tiles : narrow_tiles;
    size_t count = block == 16 ? sizeof wide_tiles / sizeof *wide_tiles
                               : sizeof narrow_tiles / sizeof *narrow_tiles;
    for (size_t i = 0; i < count; i++) {
        double us = estimate_us(plan, &tiles[i]);
        if (us < plan->us) {
            plan->us = us;
            plan->tile = &tiles[i];
        }
    }
}

/* Of the direct sum, by the same measure. */
static double direct_us(const clv_call *call, const winograd_plan *plan) {
    const clv_shape *out = &call->outputs[0].shape;
    double positions = (double)(out->dims[0] * out->dims[2] * out->dims[3]);
    return positions * TAPS * TAPS * (double)(plan->planes_in * plan->block * plan->planes_out) /
           (0.9 * 2 * 3900);
}

bool clv_conv_winograd_fits(const clv_call *call, const clv_traits *traits) {
    const clv_conv_params *op = call->params;
    const clv_window *w = &op->window;
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    bool is_window = w->rank == 2;
    for (int a = Y; a <= X; a++) {
        is_window = is_window && w->kernel[a] == TAPS && w->stride[a] == 1 && w->dilation[a] == 1 &&
                    w->pad_begin[a] >= -64 && w->pad_begin[a] <= 2 && w->pad_end[a] <= 2;
    }
    if (!is_window || op->groups != 1 || in->dims[1] < MIN_CHANNELS ||
        out->dims[1] < MIN_CHANNELS / 2 || out->dims[2] < MIN_OUTPUTS ||
        out->dims[3] < MIN_OUTPUTS || !clv_conv_blocked_fits(call, traits)) {
        return false;
    }
    winograd_plan plan;
    make_plan(call, clv_width(traits), &plan);
    return plan.us < direct_us(call, &plan);
}

void clv_conv_winograd_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    inputs[0].block = outputs[0].block = (uint8_t)clv_width(traits);
    clv_conv_store_layouts(call, traits, inputs);
}

/* --- weights --------------------------------------------------------------------------------- */

static void transform_weights(const float g[TAPS * TAPS], double out[WINOGRAD_POINTS]) {
    static const double G[WINOGRAD_IN][TAPS] = {
        {1.0 / 4, 0, 0},
        {-1.0 / 6, -1.0 / 6, -1.0 / 6},
        {-1.0 / 6, 1.0 / 6, -1.0 / 6},
        {1.0 / 24, 1.0 / 12, 1.0 / 6},
        {1.0 / 24, -1.0 / 12, 1.0 / 6},
        {0, 0, 1}};
    for (int i = 0; i < WINOGRAD_IN; i++) {
        double half[TAPS];
        for (int k = 0; k < TAPS; k++) {
            half[k] = G[i][0] * g[k] + G[i][1] * g[TAPS + k] + G[i][2] * g[2 * TAPS + k];
        }
        for (int j = 0; j < WINOGRAD_IN; j++) {
            out[i * WINOGRAD_IN + j] = half[0] * G[j][0] + half[1] * G[j][1] + half[2] * G[j][2];
        }
    }
}

/* args: channels of a block of outputs, the block. */
static void fill_weights(const clv_call *call, const int64_t args[8], void *out_packed) {
    int64_t width = args[0], block = args[1];
    int64_t inputs = call->inputs[0].shape.dims[1], outputs = call->outputs[0].shape.dims[1];
    int64_t rows = divide_up(inputs, block) * block, blocks = divide_up(outputs, width);
    float *to = out_packed;
    memset(out_packed, 0, (size_t)(blocks * width * rows * WINOGRAD_POINTS) * sizeof *to);
    for (int64_t k = 0; k < outputs; k++) {
        for (int64_t c = 0; c < inputs; c++) {
            float g[TAPS * TAPS];
            double points[WINOGRAD_POINTS];
            memcpy(
                g, (const char *)call->inputs[1].data + (size_t)(k * inputs + c) * sizeof g,
                sizeof g);
            transform_weights(g, points);
            float *at = to + k / width * (WINOGRAD_POINTS * rows * width) + c * width + k % width;
            for (int f = 0; f < WINOGRAD_POINTS; f++) {
                at[f * rows * width] = (float)points[f];
            }
        }
    }
}

/* --- launches -------------------------------------------------------------------------------- */

static clv_status *emit_band(
    const clv_traits *traits, const winograd_plan *plan, const clv_arg args[4],
    conv_winograd_params *p, const clv_emitter *emitter) {
    int64_t groups = divide_up(p->count, plan->tile->tiles);
    p->run = (clv_u32)plan->tile->tiles;
    p->runs = (clv_u32)groups;
    const clv_launch input = {
        .source = &clv_source_conv_winograd,
        .entry = "winograd_input",
        .options = clv_width_options(traits),
        .args = {{CLV_ARG_INPUT, 0}, args[0]},
        .num_args = 2,
        .params = p,
        .params_bytes = sizeof *p,
        .num_items = (uint64_t)(groups * plan->planes_in),
        .local_size = 1,
    };
    CLV_TRY(emitter->launch(emitter->context, &input));
    char entry[32];
    snprintf(
        entry, sizeof entry, "winograd_%dx%d", (int)plan->tile->tiles, (int)plan->tile->vectors);
    const clv_launch output = {
        .source = &clv_source_conv_winograd,
        .entry = entry,
        .options = clv_width_options(traits),
        .args = {args[0], args[1], args[2], args[3], {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = p,
        .params_bytes = sizeof *p,
        .num_items = (uint64_t)groups * p->blocks,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &output);
}

/* Tiles of a band: so many that what they become stays in the cores' own caches, in whole groups
 * for every lane. */
static int64_t choose_band(const winograd_plan *plan, const clv_traits *traits) {
    int64_t cache = traits->cache_bytes != 0 ? (int64_t)traits->cache_bytes : 512 << 10;
    int64_t lanes = traits->num_lanes != 0 ? traits->num_lanes : 1;
    int64_t tile_bytes = WINOGRAD_POINTS * plan->planes_in * plan->block * (int64_t)sizeof(float);
    int64_t groups = cache * lanes / 2 / (tile_bytes * plan->tile->tiles);
    groups = groups / lanes * lanes;
    groups = groups < lanes ? lanes : groups;
    int64_t all = divide_up(plan->tiles, plan->tile->tiles);
    int64_t bands = divide_up(all, groups);
    groups = divide_up(divide_up(all, bands), lanes) * lanes; /* even bands */
    return groups * plan->tile->tiles;
}

clv_status *clv_conv_winograd_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_window *w = clv_conv_window(call);
    winograd_plan plan;
    make_plan(call, call->inputs[0].layout.block, &plan);
    int64_t band = choose_band(&plan, traits), all = divide_up(plan.tiles, plan.tile->tiles);
    band = band < all * plan.tile->tiles ? band : all * plan.tile->tiles;
    int64_t rows = plan.planes_in * plan.block, width = plan.tile->vectors * plan.block;
    conv_winograd_params p = {
        .point = (clv_u64)(rows * band),
        .weight_block = (clv_u64)(WINOGRAD_POINTS * rows * width),
        .weight_point = (clv_u64)(rows * width),
        .tiles_x = (clv_u32)plan.tiles_x,
        .tiles_y = (clv_u32)plan.tiles_y,
        .room = (clv_u32)band,
        .blocks = (clv_u32)divide_up(plan.planes_out, plan.tile->vectors),
        .pad_y = (clv_i32)w->pad_begin[Y],
        .pad_x = (clv_i32)w->pad_begin[X],
    };
    clv_blocked_from_view(&call->inputs[0], &p.in);
    clv_blocked_from_view(&call->outputs[0], &p.out);
    clv_arg args[4] = {{CLV_ARG_SCRATCH, 0}, {CLV_ARG_CONSTANT, 0}};
    CLV_TRY(emitter->scratch(
        emitter->context, (size_t)(WINOGRAD_POINTS * p.point) * sizeof(float), &args[0].index));
    const clv_packing packing = {
        .bytes = (size_t)(p.blocks * p.weight_block) * sizeof(float),
        .args = {width, plan.block},
        .fill = fill_weights};
    CLV_TRY(emitter->constant(emitter->context, &packing, &args[1].index));
    CLV_TRY(clv_conv_emit_bias(call, plan.planes_out * plan.block, emitter, &args[2]));
    p.has_bias = args[2].kind != CLV_ARG_NONE;
    const clv_conv_store store = clv_conv_store_of(call, &p.out);
    p.add = store.add;
    p.has_add = store.has_add;
    p.low = store.low;
    p.high = store.high;
    p.act = store.act;
    args[3] = store.arg;
    for (int64_t first = 0; first < plan.tiles; first += band) {
        p.first = (clv_u32)first;
        p.count = (clv_u32)(plan.tiles - first < band ? plan.tiles - first : band);
        CLV_TRY(emit_band(traits, &plan, args, &p, emitter));
    }
    return NULL;
}
