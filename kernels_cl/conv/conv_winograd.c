/* The variants `winograd` and `winograd_2` of Conv: conv_winograd.cl tells how they work. */
#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/ceilings.h"
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/conv/conv_blocked.h"
#include "kernels_cl/conv/conv_winograd_params.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

extern const clv_kernel_source clv_source_conv_winograd;

enum { Y = 1, X = 2, TAPS = WINOGRAD_TAPS, MIN_OUTPUTS = 4 };

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
    int64_t out, points; /* outputs of a tile along an axis, and (out + 2)^2 */
    int64_t block, planes_in, planes_out, tiles_y, tiles_x, tiles;
    int64_t inputs; /* channels */
    int64_t lanes;
    const winograd_tile *tile;
    bool by_rows; /* lanes share the map by its rows, else by output channels */
    double us;    /* estimated, of the lane that has most to do */
} winograd_plan;

/* What one lane reads that another wrote last, in bytes a microsecond: half of what a cache that
 * they share brings; less where they share none. */
static double exchange_of(const clv_ceilings *lane) {
    return lane->shared_cache_bytes_per_us / 2;
}

/* What fitted best the times of 101 convolutions by each way, alone and in networks, of 10 to 512
 * channels: a transform waits for what it loads and stores, and so takes its additions several
 * times over; a second launch, and what it reads that other lanes wrote, takes as long on small
 * maps as the direct sum does. */
static const double transform_adds = 24, second_launch_us = 8;

/* Products, weights from memory once and from the shared cache for each further group of tiles, the
 * transforms' loads and stores, and, by channels, the other lanes' parts of the maps. */
static double estimate_us(
    const clv_ceilings *lane, const winograd_plan *plan, const winograd_tile *t, bool by_rows) {
    const int64_t tiles = by_rows ? divide_up(plan->tiles, plan->lanes) : plan->tiles;
    const int64_t groups = divide_up(tiles, t->tiles);
    const int64_t blocks = divide_up(plan->planes_out, t->vectors);
    const int64_t items = by_rows ? groups * blocks : divide_up(groups * blocks, plan->lanes);
    const double lanes = (double)plan->lanes, points = (double)plan->points;
    const double sums = (double)(t->tiles * t->vectors), loads = (double)(t->tiles + t->vectors);
    const double inputs = (double)plan->inputs;
    const double products =
        points * (double)items * fmax(sums, loads) * inputs / lane->vectors_per_us;
    const double bytes = points * inputs * (double)(t->vectors * plan->block) * sizeof(float) *
                         (double)(by_rows ? blocks : divide_up(blocks, plan->lanes));
    const double weights = bytes / lane->memory_bytes_per_us +
                           (double)(groups - 1) * bytes / lane->shared_cache_bytes_per_us;
    const double vectors = (double)(plan->tiles * (plan->planes_in + plan->planes_out));
    const double transforms = vectors * points * transform_adds / lane->vectors_per_us / lanes;
    const double out = (double)(plan->out * plan->out);
    const double maps = ((double)(plan->tiles * plan->planes_in) * (out + points) +
                         (double)(plan->tiles * plan->planes_out) * out) *
                        (double)plan->block * sizeof(float);
    const double exchange = by_rows ? 0 : maps * (1 - 1 / lanes) / lanes / exchange_of(lane);
    return fmax(products, weights) + transforms + exchange + second_launch_us;
}

static void make_plan(
    const clv_call *call, const clv_traits *traits, int64_t block, int64_t m, winograd_plan *plan) {
    const clv_ceilings lane = clv_ceilings_of(traits);
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    const winograd_tile *tiles = block == 16 ? wide_tiles : narrow_tiles;
    size_t count = block == 16 ? sizeof wide_tiles / sizeof *wide_tiles
                               : sizeof narrow_tiles / sizeof *narrow_tiles;
    *plan = (winograd_plan){
        .out = m,
        .points = (m + 2) * (m + 2),
        .block = block,
        .planes_in = divide_up(in->dims[1], block),
        .inputs = in->dims[1],
        .planes_out = divide_up(out->dims[1], block),
        .tiles_y = divide_up(out->dims[2], m),
        .tiles_x = divide_up(out->dims[3], m),
        .lanes = traits->num_lanes != 0 ? traits->num_lanes : 1,
        .us = INFINITY,
    };
    plan->tiles = out->dims[0] * plan->tiles_y * plan->tiles_x;
    for (size_t i = 0; i < 2 * count; i++) {
        const bool by_rows = i >= count;
        const double us = estimate_us(&lane, plan, &tiles[i % count], by_rows);
        if (us < plan->us && (plan->lanes > 1 || !by_rows)) {
            plan->us = us;
            plan->tile = &tiles[i % count];
            plan->by_rows = by_rows;
        }
    }
}

/* Of the direct sum on one lane, by the same measure. */
static double direct_us(const clv_call *call, const clv_traits *traits, const winograd_plan *plan) {
    const clv_shape *out = &call->outputs[0].shape;
    double positions = (double)(out->dims[0] * out->dims[2] * out->dims[3]);
    return positions * TAPS * TAPS * (double)(plan->inputs * plan->planes_out) /
           (0.9 * clv_ceilings_of(traits).vectors_per_us);
}

bool clv_conv_winograd_fits(const clv_call *call, const clv_traits *traits) {
    const clv_conv_params *op = call->params;
    const clv_window *w = &op->window;
    bool is_window = w->rank == 2;
    for (int a = Y; a <= X; a++) {
        is_window = is_window && w->kernel[a] == TAPS && w->stride[a] == 1 && w->dilation[a] == 1 &&
                    w->pad_begin[a] <= 2 && w->pad_end[a] <= 2;
    }
    return is_window && op->groups == 1 && op->shuffle <= 1 && !clv_conv_has_scale(call) &&
           clv_conv_blocked_fits(call, traits);
}

/* Whether tiles of m x m are the fastest of all: on one lane, so that units of a class compute
 * alike, however many cores they have. */
static bool pays(const clv_call *call, const clv_traits *traits, int64_t m) {
    const clv_shape *out = &call->outputs[0].shape;
    clv_traits one = *traits;
    winograd_plan plan, other;
    one.num_lanes = 1;
    make_plan(call, &one, clv_width(traits), m, &plan);
    make_plan(call, &one, clv_width(traits), 6 - m, &other);
    return out->dims[2] >= MIN_OUTPUTS && out->dims[3] >= MIN_OUTPUTS && plan.us <= other.us &&
           plan.us < direct_us(call, traits, &plan);
}

bool clv_conv_winograd_pays(const clv_call *call, const clv_traits *traits) {
    return pays(call, traits, 4);
}

bool clv_conv_winograd_2_pays(const clv_call *call, const clv_traits *traits) {
    return pays(call, traits, 2);
}

void clv_conv_winograd_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    inputs[0].block = outputs[0].block = (uint8_t)clv_width(traits);
    clv_conv_store_layouts(call, traits, inputs);
}

/* --- weights --------------------------------------------------------------------------------- */

/* Kernels of so many output channels are transformed side by side. */
enum { SIDE = 16, MOST_POINTS = WINOGRAD_MOST + 2 };

/* Three values of each become m + 2 by the matrix G. Its rows are scale * (1, p, p^2) for the
 * points p of the method, which are 0, 1, -1, (2, -2,) and infinity. */
static void transform_line(const double *from[TAPS], int64_t m, double to[MOST_POINTS][SIDE]) {
    static const double scales[2][WINOGRAD_MOST / 2] = {{1.0 / 2}, {-1.0 / 6, 1.0 / 24}};
    const double first = m == 2 ? 1 : 1.0 / 4;
    for (int64_t j = 0; j < SIDE; j++) {
        to[0][j] = first * from[0][j];
        to[m + 1][j] = from[2][j];
    }
    for (int64_t p = 1; p <= m / 2; p++) {
        const double scale = scales[m / 2 - 1][p - 1], point = (double)p;
        for (int64_t j = 0; j < SIDE; j++) {
            const double even = scale * (from[0][j] + point * point * from[2][j]);
            const double odd = scale * point * from[1][j];
            to[2 * p - 1][j] = even + odd;
            to[2 * p][j] = even - odd;
        }
    }
}

/* G g G^T of `count` kernels: point f of the j-th to out[f * step + j]. */
static void transform_weights(
    const double g[TAPS][TAPS][SIDE], int64_t m, int64_t count, int64_t step, float *out) {
    double half[TAPS][MOST_POINTS][SIDE], points[MOST_POINTS][SIDE];
    for (int64_t x = 0; x < TAPS; x++) {
        transform_line((const double *[]){g[0][x], g[1][x], g[2][x]}, m, half[x]);
    }
    for (int64_t y = 0; y < m + 2; y++) {
        transform_line((const double *[]){half[0][y], half[1][y], half[2][y]}, m, points);
        for (int64_t x = 0; x < m + 2; x++, out += step) {
            for (int64_t j = 0; j < count; j++) {
                out[j] = (float)points[x][j];
            }
        }
    }
}

/* A block of outputs. args: channels of it, outputs of a tile along an axis. */
static void fill_block(const clv_call *call, const int64_t args[8], int64_t part, void *out_part) {
    int64_t width = args[0], m = args[1];
    int64_t inputs = call->inputs[0].shape.dims[1], outputs = call->outputs[0].shape.dims[1];
    for (int64_t begin = 0; begin < width; begin += SIDE) {
        const int64_t k = part * width + begin, wide = width - begin < SIDE ? width - begin : SIDE;
        for (int64_t c = 0; c < inputs; c++) {
            double g[TAPS][TAPS][SIDE] = {0};
            for (int64_t j = 0; j < wide && k + j < outputs; j++) {
                float from[TAPS][TAPS];
                memcpy(
                    from,
                    (const char *)call->inputs[1].data +
                        (size_t)((k + j) * inputs + c) * sizeof from,
                    sizeof from);
                for (int64_t t = 0; t < TAPS * TAPS; t++) {
                    g[t / TAPS][t % TAPS][j] = from[t / TAPS][t % TAPS];
                }
            }
            transform_weights(
                (const double(*)[TAPS][SIDE])g, m, wide, inputs * width,
                (float *)out_part + c * width + begin);
        }
    }
}

/* --- launches -------------------------------------------------------------------------------- */

static clv_status *emit_band(
    const winograd_plan *plan, const clv_arg args[4], const conv_winograd_params *p,
    const clv_emitter *emitter) {
    const uint64_t groups = (uint64_t)p->parts * p->count / (uint64_t)plan->tile->tiles;
    char options[128];
    snprintf(
        options, sizeof options, "-DCLV_WIDTH=%d -DWINOGRAD_M=%d -DWINOGRAD_R=%d -DWINOGRAD_V=%d%s",
        (int)plan->block, (int)plan->out, (int)plan->tile->tiles, (int)plan->tile->vectors,
        p->last_in < plan->block ? " -DWINOGRAD_PARTIAL=1" : "");
    const clv_launch input = {
        .source = &clv_source_conv_winograd,
        .entry = "winograd_input",
        .options = options,
        .args = {{CLV_ARG_INPUT, 0}, args[0]},
        .num_args = 2,
        .params = p,
        .params_bytes = sizeof *p,
        .num_items = groups * (uint64_t)plan->planes_in,
        .local_size = 1,
    };
    CLV_TRY(emitter->launch(emitter->context, &input));
    const clv_launch output = {
        .source = &clv_source_conv_winograd,
        .entry = "winograd_output",
        .num_sums = (uint32_t)(plan->tile->tiles * plan->tile->vectors),
        .options = options,
        .args = {args[0], args[1], args[2], args[3], {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = p,
        .params_bytes = sizeof *p,
        .num_items = groups * p->blocks,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &output);
}

/* Parts: one for each lane where they share the map by rows. Bands: so many tiles that what they
 * become stays in the cores' own caches. */
static void choose_bands(
    const clv_traits *traits, const winograd_plan *plan, conv_winograd_params *p) {
    const int64_t cache = clv_ceilings_of(traits).cache_bytes;
    const int64_t run = plan->tile->tiles, all = divide_up(plan->tiles, run);
    p->by_rows = plan->by_rows;
    p->parts = (clv_u32)(plan->by_rows ? plan->lanes : 1);
    const int64_t of_part = divide_up(all, p->parts);
    const int64_t bytes =
        plan->points * plan->planes_in * plan->block * run * (int64_t)sizeof(float);
    int64_t most = cache * (plan->by_rows ? 1 : plan->lanes) / 2 / bytes;
    most = most < 1 ? 1 : most;
    const int64_t of_band = divide_up(of_part, divide_up(of_part, most)); /* even bands */
    p->tiles = (clv_u32)plan->tiles;
    p->part = (clv_u32)(of_part * run);
    p->count = (clv_u32)(of_band * run);
    p->room = (clv_u32)(plan->points * plan->planes_in * of_band * run);
}

static clv_status *emit(
    const clv_call *call, const clv_traits *traits, int64_t m, const clv_emitter *emitter) {
    const clv_window *w = clv_conv_window(call);
    winograd_plan plan;
    make_plan(call, traits, call->inputs[0].layout.block, m, &plan);
    const int64_t width = plan.tile->vectors * plan.block;
    conv_winograd_params p = {
        .weight_block = (clv_u64)(plan.points * plan.inputs * width),
        .weight_point = (clv_u64)(plan.inputs * width),
        .tiles_x = (clv_u32)plan.tiles_x,
        .tiles_y = (clv_u32)plan.tiles_y,
        .last_in = (clv_u32)(plan.inputs - (plan.planes_in - 1) * plan.block),
        .blocks = (clv_u32)divide_up(plan.planes_out, plan.tile->vectors),
        .pad_y = (clv_i32)w->pad_begin[Y],
        .pad_x = (clv_i32)w->pad_begin[X],
    };
    choose_bands(traits, &plan, &p);
    p.point = (clv_u64)(plan.planes_in * plan.block) * p.count;
    clv_blocked_from_view(&call->inputs[0], &p.in);
    clv_blocked_from_view(&call->outputs[0], &p.out);
    clv_arg args[4] = {{CLV_ARG_SCRATCH, 0}, {CLV_ARG_CONSTANT, 0}};
    CLV_TRY(emitter->scratch(
        emitter->context, p.parts * (size_t)plan.points * (size_t)p.point * sizeof(float),
        &args[0].index));
    const clv_packing packing = {
        .bytes = (size_t)(p.blocks * p.weight_block) * sizeof(float),
        .args = {width, plan.out},
        .fill_part = fill_block,
        .num_parts = p.blocks,
    };
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
    for (; p.first < p.part; p.first += p.count) {
        CLV_TRY(emit_band(&plan, args, &p, emitter));
    }
    return NULL;
}

clv_status *clv_conv_winograd_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    return emit(call, traits, 4, emitter);
}

clv_status *clv_conv_winograd_2_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    return emit(call, traits, 2, emitter);
}
