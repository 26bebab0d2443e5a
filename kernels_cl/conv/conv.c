/* The convolution family: Conv and ConvTranspose of one to three spatial axes. conv.cl tells how.
 */
#include "kernels_cl/conv/conv.h"

#include "kernels_cl/conv/conv_blocked.h"
#include "kernels_cl/conv/conv_params.h"
#include "kernels_cl/kernel.h"
#include <string.h>

extern const clv_kernel_source clv_source_conv;

enum { AXES = CLV_MAX_SPATIAL };

/* A call in the terms of conv.cl; entries of arrays are z, y, x. */
typedef struct conv_plan {
    const clv_conv_params *op;
    int64_t batch, group_in, group_out, num_taps;
    int64_t in[AXES], out[AXES];
    int64_t in_phases[AXES], phase_step[AXES], in_step[AXES], lead[AXES], pitch[AXES];
    int64_t out_phases[AXES], out_step[AXES];
    int64_t plane; /* elements of a padded plane, all its phases */
} conv_plan;

static int64_t product(const int64_t values[AXES]) {
    return values[0] * values[1] * values[2];
}

static int64_t gcd(int64_t a, int64_t b) {
    return b == 0 ? a : gcd(b, a % b);
}

/* Where tap k of axis `a` of a transposed convolution comes in: output positions o = j * stride +
 * *out_phase read input position j + *out_shift. */
static void transposed_tap(
    const clv_window *window, int a, int64_t k, int64_t *out_phase, int64_t *out_shift) {
    int64_t stride = window->stride[a], back = k * window->dilation[a] - window->pad_begin[a];
    int64_t phase = back % stride;
    *out_phase = phase < 0 ? phase + stride : phase;
    *out_shift = (*out_phase - back) / stride;
}

static void plan_axis(conv_plan *plan, int a) {
    const clv_window *window = &plan->op->window;
    int64_t stride = window->stride[a], dilation = window->dilation[a], kernel = window->kernel[a];
    if (!plan->op->is_transposed) {
        plan->in_step[a] = stride;
        plan->phase_step[a] = gcd(stride, dilation);
        /* those that a tap reads */
        int64_t phases = stride / plan->phase_step[a];
        int64_t read = (kernel - 1) * (dilation / plan->phase_step[a]) + 1;
        plan->in_phases[a] = phases < read ? phases : read;
        plan->lead[a] = window->pad_begin[a];
        plan->pitch[a] = plan->out[a] + (kernel - 1) * dilation / stride;
        plan->out_phases[a] = plan->out_step[a] = 1;
        return;
    }
    int64_t low, high, phase; /* shifts fall from tap to tap */
    transposed_tap(window, a, 0, &phase, &high);
    transposed_tap(window, a, kernel - 1, &phase, &low);
    plan->in_step[a] = plan->phase_step[a] = plan->in_phases[a] = 1;
    plan->lead[a] = -low;
    plan->pitch[a] = (plan->out[a] + stride - 1) / stride + high - low;
    plan->out_step[a] = stride;
    plan->out_phases[a] = stride < plan->out[a] ? stride : plan->out[a];
}

static void make_plan(const clv_call *call, conv_plan *plan) {
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    *plan = (conv_plan){.op = call->params, .batch = in->dims[0]};
    plan->group_in = in->dims[1] / plan->op->groups;
    plan->group_out = out->dims[1] / plan->op->groups;
    for (int a = 0; a < AXES; a++) {
        int axis = 2 + a - (AXES - plan->op->window.rank);
        plan->in[a] = axis < 2 ? 1 : in->dims[axis];
        plan->out[a] = axis < 2 ? 1 : out->dims[axis];
        plan_axis(plan, a);
    }
    plan->num_taps = plan->group_in == 0 ? 0 : product(plan->op->window.kernel);
}

/* Offset of tap k (z, y, x) in an input plane, and the output phase that it belongs to; -1: it
 * reaches no output. */
static int64_t tap_offset(const conv_plan *plan, const int64_t k[AXES], int64_t *out_phase) {
    int64_t phase_offset = 0, offset = 0, all_phases = 0;
    bool is_used = true;
    for (int a = 0; a < AXES; a++) {
        int64_t position, phase = 0, out_phase_a = 0;
        if (plan->op->is_transposed) {
            int64_t shift;
            transposed_tap(&plan->op->window, a, k[a], &out_phase_a, &shift);
            position = shift + plan->lead[a];
            is_used = is_used && out_phase_a < plan->out_phases[a];
        } else {
            int64_t at = k[a] * plan->op->window.dilation[a];
            position = at / plan->in_step[a];
            phase = at % plan->in_step[a] / plan->phase_step[a];
        }
        phase_offset = phase_offset * plan->in_phases[a] + phase;
        offset = offset * plan->pitch[a] + position;
        all_phases = all_phases * plan->out_phases[a] + out_phase_a;
    }
    *out_phase = is_used ? all_phases : -1;
    return phase_offset * product(plan->pitch) + offset;
}

static int64_t phase_positions(const conv_plan *plan, int a, int64_t phase) {
    return (plan->out[a] - phase + plan->out_step[a] - 1) / plan->out_step[a];
}

static void next_index(const int64_t extents[AXES], int64_t index[AXES]) {
    for (int a = AXES - 1; a >= 0 && ++index[a] == extents[a]; a--) {
        index[a] = 0;
    }
}

static void fill_table(const clv_call *call, const int64_t args[8], void *out_packed) {
    (void)args;
    clv_u32 *table = out_packed;
    conv_plan plan;
    make_plan(call, &plan);
    int64_t num_phases = product(plan.out_phases), phase = 0;
    clv_u32 *taps = table + num_phases * CONV_PHASE_WORDS;
    memset(table, 0, (size_t)num_phases * CONV_PHASE_WORDS * sizeof *table);
    int64_t k[AXES] = {0};
    for (int64_t t = 0; t < plan.num_taps; t++, next_index(plan.op->window.kernel, k)) {
        tap_offset(&plan, k, &phase);
        if (phase >= 0) {
            table[phase * CONV_PHASE_WORDS + CONV_PHASE_NUM_TAPS]++;
        }
    }
    clv_u32 first = 0;
    int64_t r[AXES] = {0};
    for (int64_t i = 0; i < num_phases; i++, next_index(plan.out_phases, r)) {
        clv_u32 *words = table + i * CONV_PHASE_WORDS;
        words[CONV_PHASE_TAP] = first;
        first += words[CONV_PHASE_NUM_TAPS];
        words[CONV_PHASE_NUM_TAPS] = 0; /* counted again below */
        words[CONV_PHASE_Z] = (clv_u32)phase_positions(&plan, 0, r[0]);
        words[CONV_PHASE_Y] = (clv_u32)phase_positions(&plan, 1, r[1]);
        words[CONV_PHASE_X] = (clv_u32)phase_positions(&plan, 2, r[2]);
        words[CONV_PHASE_OFFSET] = (clv_u32)((r[0] * plan.out[1] + r[1]) * plan.out[2] + r[2]);
    }
    memset(k, 0, sizeof k);
    for (int64_t t = 0; t < plan.num_taps; t++, next_index(plan.op->window.kernel, k)) {
        int64_t offset = tap_offset(&plan, k, &phase);
        if (phase >= 0) {
            clv_u32 *words = table + phase * CONV_PHASE_WORDS;
            clv_u32 *tap = taps + 2 * (words[CONV_PHASE_TAP] + words[CONV_PHASE_NUM_TAPS]++);
            tap[0] = (clv_u32)offset;
            tap[1] = (clv_u32)t;
        }
    }
}

/* True where the input itself is what conv_pad would make, and no tile reads behind a plane. */
static bool reads_input(const clv_call *call, const conv_plan *plan, const clv_traits *traits) {
    int64_t positions = 0;
    if (plan->op->shuffle > 1 || clv_conv_has_scale(call)) {
        return false;
    }
    for (int a = 0; a < AXES; a++) {
        if (plan->in_step[a] != 1 || plan->lead[a] != 0 || plan->pitch[a] != plan->in[a]) {
            return false;
        }
        int64_t fewest = phase_positions(plan, a, plan->out_phases[a] - 1);
        positions = positions * plan->pitch[a] + (fewest - 1);
    }
    return positions + 1 >= CONV_VECTORS * (int64_t)clv_width(traits);
}

/* Sets the elements of a padded plane; UNSUPPORTED where the padded input has more than a tensor
 * may. */
static clv_status *check_plane(conv_plan *plan) {
    int64_t channels = plan->op->groups * plan->group_in, all;
    bool fits = true;
    plan->plane = 1;
    for (int a = 0; a < AXES; a++) {
        int64_t extent = plan->in_phases[a] * plan->pitch[a];
        fits = fits && plan->lead[a] <= INT32_MAX && plan->lead[a] >= -INT32_MAX &&
               plan->in[a] + plan->lead[a] <= INT32_MAX &&
               !__builtin_mul_overflow(plan->plane, extent, &plan->plane);
    }
    fits = fits && !__builtin_mul_overflow(plan->plane, channels, &all) &&
           !__builtin_mul_overflow(all, plan->batch, &all) && all <= CLV_MAX_ELEMENTS &&
           plan->plane <= CLV_MAX_ELEMENTS;
    return fits ? NULL
                : CLV_ERROR(
                      UNSUPPORTED, "the input with its padding has more than 2^31 - 1 elements");
}

static clv_status *emit_pad(
    const clv_call *call, const conv_plan *plan, const clv_traits *traits,
    const clv_emitter *emitter, clv_arg *out_arg) {
    int64_t planes = plan->batch * plan->op->groups * plan->group_in;
    /* behind the last plane: what the last tile of a plane smaller than a tile reads and drops */
    size_t bytes = ((size_t)(planes * plan->plane) + CONV_VECTORS * 16) * sizeof(float);
    out_arg->kind = CLV_ARG_SCRATCH;
    CLV_TRY(emitter->scratch(emitter->context, bytes, &out_arg->index));
    conv_pad_params p = {
        .rows = 1,
        .chunk = 4,
        .channels = (clv_u32)(plan->op->groups * plan->group_in),
        .shuffle = (clv_u32)plan->op->shuffle,
        .has_scale = clv_conv_has_scale(call),
    };
    for (int a = 0; a < AXES; a++) {
        p.in[a] = (clv_u32)plan->in[a];
        p.pitch[a] = (clv_u32)plan->pitch[a];
        p.phases[a] = (clv_u32)plan->in_phases[a];
        p.step[a] = (clv_u32)plan->in_step[a];
        p.phase_step[a] = (clv_u32)plan->phase_step[a];
        p.lead[a] = (clv_i32)plan->lead[a];
    }
    if (traits->is_cpu) {
        p.chunk = p.pitch[2];
        p.rows = p.pitch[2] < 4096 ? 4096 / p.pitch[2] : 1;
    }
    clv_u32 num_rows = (clv_u32)(plan->plane / plan->pitch[2]);
    p.blocks = (num_rows + p.rows - 1) / p.rows;
    p.chunks = (p.pitch[2] + p.chunk - 1) / p.chunk;
    clv_launch launch = {
        .source = &clv_source_conv,
        .entry = "conv_pad",
        .options = clv_width_options(traits),
        .args =
            {{CLV_ARG_INPUT, 0},
             {p.has_scale ? CLV_ARG_INPUT : CLV_ARG_NONE, CLV_CONV_SCALE},
             *out_arg},
        .num_args = 3,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = (uint64_t)planes * p.blocks * p.chunks,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static void fill_params(const clv_call *call, const conv_plan *plan, conv_params *p) {
    int64_t groups = plan->op->groups, out_plane = product(plan->out);
    *p = (conv_params){
        .in_batch = (clv_u64)(groups * plan->group_in * plan->plane),
        .out_batch = (clv_u64)(groups * plan->group_out * out_plane),
        .weight_row = (clv_u64)(plan->group_in * plan->num_taps),
        .weight_channel = (clv_u64)plan->num_taps,
        .weight_group = (clv_u64)(plan->group_out * plan->group_in * plan->num_taps),
        .in_plane = (clv_u32)plan->plane,
        .out_plane = (clv_u32)out_plane,
        .group_in = (clv_u32)plan->group_in,
        .group_out = (clv_u32)plan->group_out,
        .groups = (clv_u32)groups,
        .pitch_y = (clv_u32)plan->pitch[1],
        .pitch_x = (clv_u32)plan->pitch[2],
        .out_y = (clv_u32)plan->out[1],
        .out_x = (clv_u32)plan->out[2],
        .num_phases = (clv_u32)product(plan->out_phases),
        .is_linear = plan->pitch[1] == plan->out[1] && plan->pitch[2] == plan->out[2],
        .has_bias = clv_call_has_input(call, 2) && !plan->op->skip_bias,
    };
    if (plan->op->is_transposed) { /* weights are [in][out][taps] */
        p->weight_row = (clv_u64)plan->num_taps;
        p->weight_channel = (clv_u64)(plan->group_out * plan->num_taps);
    }
    for (int a = 0; a < AXES; a++) {
        p->out_step[a] = (clv_u32)plan->out_step[a];
        p->is_linear = p->is_linear && plan->out_step[a] == 1;
    }
}

/* Positions of a tile. */
static int64_t tile_width(const clv_traits *traits) {
    return CONV_VECTORS * (int64_t)clv_width(traits);
}

/* Tiles of a phase that has most positions. */
static int64_t count_tiles(const conv_plan *plan, const clv_traits *traits) {
    int64_t most = (phase_positions(plan, 0, 0) - 1) * plan->pitch[1];
    most = (most + phase_positions(plan, 1, 0) - 1) * plan->pitch[2] + phase_positions(plan, 2, 0);
    return (most + tile_width(traits) - 1) / tile_width(traits);
}

static double ref_work_factor(const clv_call *call, const clv_traits *traits) {
    if (clv_shape_elements(&call->outputs[0].shape) == 0) {
        return 1;
    }
    conv_plan plan;
    make_plan(call, &plan);
    const int64_t rows = (plan.group_out + CONV_ROWS - 1) / CONV_ROWS * CONV_ROWS;
    const int64_t computed = count_tiles(&plan, traits) * tile_width(traits);
    const int64_t wanted =
        phase_positions(&plan, 0, 0) * phase_positions(&plan, 1, 0) * phase_positions(&plan, 2, 0);
    return (double)rows / (double)plan.group_out * ((double)computed / (double)wanted);
}

/* Of variants whose outputs are in blocks of channels. */
static double blocks_work_factor(const clv_call *call, const clv_traits *traits) {
    const clv_shape *shape = &call->outputs[0].shape;
    if (clv_shape_elements(shape) == 0) {
        return 1;
    }
    const int64_t block = clv_width(traits), channels = shape->dims[1];
    return (double)((channels + block - 1) / block * block) / (double)channels;
}

/* Deals tiles to items; returns the number of items. */
static uint64_t deal_tiles(const conv_plan *plan, const clv_traits *traits, conv_params *p) {
    int64_t width = tile_width(traits);
    uint64_t num_tiles = (uint64_t)count_tiles(plan, traits);
    p->num_row_blocks = (clv_u32)((plan->group_out + CONV_ROWS - 1) / CONV_ROWS);
    p->tiles_first = !traits->is_cpu;
    p->tiles = 1;
    uint64_t others =
        (uint64_t)(plan->batch * plan->op->groups) * p->num_phases * p->num_row_blocks;
    if (traits->is_cpu) {
        /* about 10 us of work on a fast core, but eight items a lane where there is that much */
        int64_t rows = plan->group_out < CONV_ROWS ? plan->group_out : CONV_ROWS;
        int64_t work = rows * width * plan->group_in * plan->num_taps + 1;
        uint64_t tiles = (uint64_t)(1000000 / work + 1);
        uint64_t even = num_tiles * others / (8 * (uint64_t)traits->num_lanes + 1) + 1;
        tiles = tiles < even ? tiles : even;
        p->tiles = (clv_u32)clv_even_tiles(num_tiles, tiles);
    }
    p->num_tile_blocks = (clv_u32)((num_tiles + p->tiles - 1) / p->tiles);
    return others * p->num_tile_blocks;
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    if (clv_shape_elements(&call->outputs[0].shape) == 0) {
        return NULL;
    }
    conv_plan plan;
    make_plan(call, &plan);
    CLV_TRY(check_plane(&plan));
    clv_arg in = {CLV_ARG_INPUT, 0};
    if (!reads_input(call, &plan, traits)) {
        CLV_TRY(emit_pad(call, &plan, traits, emitter, &in));
    }
    int64_t words = product(plan.out_phases) * CONV_PHASE_WORDS + 2 * plan.num_taps;
    clv_packing packing = {.bytes = (size_t)words * sizeof(clv_u32), .fill = fill_table};
    clv_arg table = {CLV_ARG_CONSTANT, 0};
    CLV_TRY(emitter->constant(emitter->context, &packing, &table.index));
    conv_params p;
    fill_params(call, &plan, &p);
    clv_arg bias = {p.has_bias ? CLV_ARG_INPUT : CLV_ARG_NONE, 2};
    clv_launch launch = {
        .source = &clv_source_conv,
        .entry = "conv",
        .options = clv_width_options(traits),
        .args = {in, {CLV_ARG_INPUT, 1}, bias, table, {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = deal_tiles(&plan, traits, &p),
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

/* Winograd's error is within 1e-4 for up to 512 input channels and grows with their root beyond:
 * 1.3e-4 for 1024, 1.8e-4 for 2048 (F(4x4, 3x3); within 6e-6 of the root). */
static const clv_variant variants[] = {
    {
        .name = "ref",
        .summary = "any shape: 8 output channels by two vectors of positions in registers, after a "
                   "copy of the input with its padding",
        .work_factor = ref_work_factor,
        .emit = emit_ref,
    },
    {
        .name = "blocked",
        .summary = "CPUs, channels in blocks: register tiles of positions by output channels; "
                   "groups that share a block share infinities and NaN too",
        .tunables = clv_conv_blocked_tunables,
        .num_tunables = CONV_BLOCKED_TUNABLES,
        .work_share = 0.9f,
        .work_factor = blocks_work_factor,
        .fits = clv_conv_blocked_fits,
        .pays = clv_conv_blocked_pays,
        .takes_epilogue = clv_conv_takes_epilogue,
        .layouts = clv_conv_blocked_layouts,
        .takes_plain = clv_conv_takes_plain,
        .emit = clv_conv_blocked_emit,
    },
    {
        .name = "transposed",
        .summary = "CPUs, channels in blocks: as `blocked`, once for each phase of the stride",
        .tunables = clv_conv_blocked_tunables,
        .num_tunables = CONV_BLOCKED_TUNABLES,
        .work_share = 0.9f,
        .work_factor = blocks_work_factor,
        .fits = clv_conv_transposed_fits,
        .pays = clv_conv_transposed_pays,
        .takes_epilogue = clv_conv_takes_epilogue,
        .layouts = clv_conv_blocked_layouts,
        .emit = clv_conv_blocked_emit,
    },
    {
        .name = "depthwise",
        .summary = "CPUs, channels in blocks: one input channel for each output channel",
        .work_share = 0.4f,
        .work_factor = blocks_work_factor,
        .fits = clv_conv_depthwise_fits,
        .takes_epilogue = clv_conv_takes_epilogue,
        .layouts = clv_conv_depthwise_layouts,
        .emit = clv_conv_depthwise_emit,
    },
    {
        .name = "planar",
        .summary = "CPUs, few input channels (first layers): plain in, channels in blocks out",
        .work_share = 0.7f,
        .work_factor = blocks_work_factor,
        .fits = clv_conv_planar_fits,
        .takes_epilogue = clv_conv_takes_epilogue,
        .layouts = clv_conv_planar_layouts,
        .emit = clv_conv_planar_emit,
    },
    {
        .name = "winograd_2",
        .summary = "CPUs, channels in blocks, 3x3 at stride 1: F(2x2, 3x3), 4/9 of the "
                   "multiplications with 16/9 of the weights; outputs of a tile share infinities "
                   "and NaN",
        .error = 1e-4f,
        .work_share = 1.5f,
        .work_factor = blocks_work_factor,
        .fits = clv_conv_winograd_fits,
        .pays = clv_conv_winograd_2_pays,
        .takes_epilogue = clv_conv_takes_epilogue,
        .layouts = clv_conv_winograd_layouts,
        .emit = clv_conv_winograd_2_emit,
    },
    {
        .name = "winograd",
        .summary =
            "CPUs, channels in blocks, 3x3 at stride 1: F(4x4, 3x3), a quarter of the "
            "multiplications with four times the weights; outputs of a tile share infinities "
            "and NaN",
        .error = 1e-4f,
        .work_share = 2,
        .work_factor = blocks_work_factor,
        .fits = clv_conv_winograd_fits,
        .pays = clv_conv_winograd_pays,
        .takes_epilogue = clv_conv_takes_epilogue,
        .layouts = clv_conv_winograd_layouts,
        .emit = clv_conv_winograd_emit,
    },
};

const clv_kernel_family clv_kernels_conv = {
    .name = "conv", .variants = variants, .num_variants = sizeof variants / sizeof variants[0]};
