/* The variants `depthwise` and `planar` of Conv: conv_light.cl tells how they work. */
#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/conv/conv_blocked.h"
#include "kernels_cl/conv/conv_light_params.h"
#include <stdio.h>
#include <string.h>

extern const clv_kernel_source clv_source_conv_light;

enum {
    Y = 1,
    X = 2,
    MAX_PLANAR_CHANNELS = 8,
    MAX_PLANAR_POSITIONS = 14,  /* of a row in a tile */
    MAX_PLANAR_EXTRA = 1 << 20, /* elements of padding beyond four times the input */
};

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* What both variants ask of a call. */
static bool is_light(const clv_call *call, const clv_traits *traits) {
    const clv_conv_params *op = call->params;
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    return traits->is_cpu && !op->is_transposed && op->shuffle <= 1 && !clv_conv_has_scale(call) &&
           op->window.rank <= 2 && call->inputs[1].data != NULL &&
           (!clv_call_has_input(call, 2) || call->inputs[2].data != NULL) &&
           clv_layout_fits(call->inputs[0].dtype, &call->inputs[0].shape, &layout) &&
           clv_layout_fits(call->outputs[0].dtype, &call->outputs[0].shape, &layout) &&
           clv_conv_store_fits(call);
}

/* --- depthwise ------------------------------------------------------------------------------- */

/* One channel alone as well: a piece of a depthwise convolution may be no more, and is run as the
 * whole is. */
bool clv_conv_depthwise_fits(const clv_call *call, const clv_traits *traits) {
    const clv_window *w = clv_conv_window(call);
    int64_t groups = ((const clv_conv_params *)call->params)->groups;
    bool is_padded = true;
    for (int a = Y; a <= X; a++) {
        is_padded =
            is_padded && w->pad_begin[a] >= 0 && w->pad_begin[a] <= 16 && w->pad_end[a] <= 16;
    }
    return is_light(call, traits) && is_padded && groups == call->inputs[0].shape.dims[1] &&
           groups == call->outputs[0].shape.dims[1];
}

void clv_conv_depthwise_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    clv_conv_blocked_layouts(call, traits, inputs, outputs);
}

/* args: the block. Weights [channels][1][taps] to [blocks][taps][block]. */
static void fill_depthwise(const clv_call *call, const int64_t args[8], void *out_packed) {
    const clv_window *w = clv_conv_window(call);
    int64_t taps = w->kernel[Y] * w->kernel[X], channels = call->outputs[0].shape.dims[1];
    int64_t block = args[0], blocks = (channels + block - 1) / block;
    float *to = out_packed;
    memset(out_packed, 0, (size_t)(blocks * taps * block) * sizeof *to);
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t t = 0; t < taps; t++) {
            const char *from =
                (const char *)call->inputs[1].data + (size_t)(c * taps + t) * sizeof *to;
            memcpy(&to[(c / block * taps + t) * block + c % block], from, sizeof *to);
        }
    }
}

clv_status *clv_conv_depthwise_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_window *w = clv_conv_window(call);
    int64_t taps = w->kernel[Y] * w->kernel[X], block = call->inputs[0].layout.block;
    conv_depthwise_params p = {0};
    clv_blocked_from_view(&call->inputs[0], &p.in);
    clv_blocked_from_view(&call->outputs[0], &p.out);
    p.kernel_y = (clv_u32)w->kernel[Y];
    p.kernel_x = (clv_u32)w->kernel[X];
    p.tap_row = (clv_u32)w->dilation[Y] * p.in.row;
    p.tap_x = (clv_u32)(w->dilation[X] * block);
    p.lead_taps = (clv_u32)w->pad_begin[Y] * p.in.row + (clv_u32)(w->pad_begin[X] * block);
    p.stride_row = (clv_u32)w->stride[Y] * p.in.row;
    p.stride_x = (clv_u32)(w->stride[X] * block);
    const uint64_t num_items = clv_deal_map(
        traits, call->outputs[0].shape.dims[0], p.out.planes, p.out.height,
        (uint64_t)p.out.row * (uint64_t)taps / 4 + 1, &p.deal);
    const clv_packing packing = {
        .bytes = (size_t)(p.out.planes * taps * block) * sizeof(float),
        .args = {block},
        .fill = fill_depthwise};
    clv_arg weights = {CLV_ARG_CONSTANT, 0}, bias;
    CLV_TRY(emitter->constant(emitter->context, &packing, &weights.index));
    CLV_TRY(clv_conv_emit_bias(call, p.out.planes * block, emitter, &bias));
    p.has_bias = bias.kind != CLV_ARG_NONE;
    const clv_conv_store store = clv_conv_store_of(call, &p.out);
    p.add = store.add;
    p.has_add = store.has_add;
    p.low = store.low;
    p.high = store.high;
    p.act = store.act;
    const clv_launch launch = {
        .source = &clv_source_conv_light,
        .entry = "conv_depthwise",
        .options = clv_width_options(traits),
        .args = {{CLV_ARG_INPUT, 0}, weights, bias, store.arg, {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}

/* --- planar ---------------------------------------------------------------------------------- */

/* Extents of a padded plane, Y and X, whose rows are read as if outputs were `wide` across.
 * Kernels, dilations, strides and pads are at most 2^30 and extents 2^31 - 1: these fit. */
static void planar_extents(const clv_call *call, int64_t wide, int64_t out_extents[3]) {
    const clv_window *w = clv_conv_window(call);
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    for (int a = Y; a <= X; a++) {
        int axis = in->rank - 1 - (X - a);
        int64_t extent = axis < 2 ? 1 : in->dims[axis];
        int64_t positions = a == X ? wide : axis < 2 ? 1 : out->dims[axis];
        int64_t last = (positions - 1) * w->stride[a] + (w->kernel[a] - 1) * w->dilation[a] + 1;
        out_extents[a] = larger(last, extent + larger(w->pad_begin[a], 0));
    }
}

bool clv_conv_planar_fits(const clv_call *call, const clv_traits *traits) {
    const clv_conv_params *op = call->params;
    const clv_shape *in = &call->inputs[0].shape;
    if (!is_light(call, traits) || op->groups != 1 || in->dims[1] >= MAX_PLANAR_CHANNELS) {
        return false;
    }
    /* the copy with its padding: indices of 32 bits, and not many times the input */
    int64_t extents[3];
    planar_extents(
        call, call->outputs[0].shape.dims[in->rank - 1] + MAX_PLANAR_POSITIONS - 1, extents);
    double elements =
        (double)in->dims[0] * (double)in->dims[1] * (double)extents[Y] * (double)extents[X];
    double most = 4.0 * (double)clv_shape_elements(in) + MAX_PLANAR_EXTRA;
    return elements <= most && elements <= (double)CLV_MAX_ELEMENTS;
}

void clv_conv_planar_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    outputs[0].block = (uint8_t)clv_width(traits);
    clv_conv_store_layouts(call, traits, inputs);
}

/* The register tile whose rounding up of rows and blocks wastes least. */
static void choose_planar_tile(
    const clv_blocked *out, int64_t block, int64_t *out_positions, int64_t *out_vectors) {
    static const int64_t wide[][2] = {{14, 2}, {12, 2}, {8, 3}, {6, 4}};
    static const int64_t narrow[][2] = {{6, 2}, {4, 3}};
    const int64_t(*tiles)[2] = block == 16 ? wide : narrow;
    size_t count = block == 16 ? sizeof wide / sizeof *wide : sizeof narrow / sizeof *narrow;
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t along = (out->width + tiles[i][0] - 1) / tiles[i][0];
        int64_t blocks = (out->planes + tiles[i][1] - 1) / tiles[i][1];
        int64_t sums = along * blocks * tiles[i][0] * tiles[i][1];
        if (sums < least) {
            least = sums;
            *out_positions = tiles[i][0];
            *out_vectors = tiles[i][1];
        }
    }
}

/* args: vectors of a block of outputs, the block. [outputs][channels][taps] to
 * [blocks of outputs][channels][taps][vectors * block]. */
static void fill_planar(const clv_call *call, const int64_t args[8], void *out_packed) {
    const clv_window *w = clv_conv_window(call);
    int64_t taps = w->kernel[Y] * w->kernel[X], width = args[0] * args[1];
    int64_t channels = call->inputs[0].shape.dims[1], outputs = call->outputs[0].shape.dims[1];
    float *to = out_packed;
    for (int64_t k = 0; k < outputs; k += width) {
        for (int64_t c = 0; c < channels * taps; c++) {
            for (int64_t j = 0; j < width; j++, to++) {
                *to = 0;
                if (k + j < outputs) {
                    size_t at = (size_t)((k + j) * channels * taps + c) * sizeof *to;
                    memcpy(to, (const char *)call->inputs[1].data + at, sizeof *to);
                }
            }
        }
    }
}

enum { PLANAR_OPTIONS = 64 };

static void planar_options(
    int64_t block, int64_t positions, int64_t vectors, char out_options[PLANAR_OPTIONS]) {
    snprintf(
        out_options, PLANAR_OPTIONS, "-DCLV_WIDTH=%d -DPLANAR_R=%d -DPLANAR_V=%d", (int)block,
        (int)positions, (int)vectors);
}

/* The input with zeros around, wide enough for the last tile of a row. */
static clv_status *emit_planar_pad(
    const clv_call *call, const clv_traits *traits, int64_t positions, const char *options,
    const clv_emitter *emitter, conv_planar_params *out_params, clv_arg *out_arg) {
    const clv_window *w = clv_conv_window(call);
    const clv_shape *in = &call->inputs[0].shape;
    int64_t wide = (out_params->out.width + positions - 1) / positions * positions, extents[3];
    planar_extents(call, wide, extents);
    conv_planar_pad_params p = {
        .in_height = (clv_u32)(in->rank == 4 ? in->dims[2] : 1),
        .in_width = (clv_u32)in->dims[in->rank - 1],
        .pad_y = (clv_u32)larger(w->pad_begin[Y], 0),
        .pad_x = (clv_u32)larger(w->pad_begin[X], 0),
        .out_height = (clv_u32)extents[Y],
        .out_width = (clv_u32)extents[X],
    };
    out_params->in_row = p.out_width;
    out_params->in_plane = p.out_width * p.out_height;
    out_params->in_image = (clv_u64)out_params->in_plane * (clv_u64)in->dims[1];
    uint64_t planes = (uint64_t)(in->dims[0] * in->dims[1]);
    *out_arg = (clv_arg){CLV_ARG_SCRATCH, 0};
    CLV_TRY(emitter->scratch(
        emitter->context, (size_t)(planes * out_params->in_plane) * sizeof(float),
        &out_arg->index));
    const uint64_t num_items = clv_deal_map(
        traits, in->dims[0], (uint32_t)in->dims[1], p.out_height, p.out_width, &p.deal);
    const clv_launch launch = {
        .source = &clv_source_conv_light,
        .entry = "conv_planar_pad",
        .options = options,
        .args = {{CLV_ARG_INPUT, 0}, *out_arg},
        .num_args = 2,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}

clv_status *clv_conv_planar_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_window *w = clv_conv_window(call);
    int64_t block = call->outputs[0].layout.block, positions = 0, vectors = 0;
    int64_t channels = call->inputs[0].shape.dims[1], taps = w->kernel[Y] * w->kernel[X];
    conv_planar_params p = {0};
    clv_blocked_from_view(&call->outputs[0], &p.out);
    choose_planar_tile(&p.out, block, &positions, &vectors);
    clv_arg in, weights = {CLV_ARG_CONSTANT, 0}, bias;
    char options[PLANAR_OPTIONS];
    planar_options(block, positions, vectors, options);
    CLV_TRY(emit_planar_pad(call, traits, positions, options, emitter, &p, &in));
    p.channels = (clv_u32)channels;
    p.kernel_y = (clv_u32)w->kernel[Y];
    p.kernel_x = (clv_u32)w->kernel[X];
    p.tap_row = (clv_u32)w->dilation[Y] * p.in_row;
    p.tap_x = (clv_u32)w->dilation[X];
    p.stride_row = (clv_u32)w->stride[Y] * p.in_row;
    p.stride_x = (clv_u32)w->stride[X];
    p.tiles = (clv_u32)((p.out.width + positions - 1) / positions);
    p.blocks = (clv_u32)((p.out.planes + vectors - 1) / vectors);
    p.weight_block = (clv_u64)(channels * taps * vectors * block);
    const clv_packing packing = {
        .bytes = (size_t)(p.blocks * p.weight_block) * sizeof(float),
        .args = {vectors, block},
        .fill = fill_planar};
    CLV_TRY(emitter->constant(emitter->context, &packing, &weights.index));
    CLV_TRY(clv_conv_emit_bias(call, p.out.planes * block, emitter, &bias));
    p.has_bias = bias.kind != CLV_ARG_NONE;
    const clv_conv_store store = clv_conv_store_of(call, &p.out);
    p.add = store.add;
    p.has_add = store.has_add;
    p.low = store.low;
    p.high = store.high;
    p.act = store.act;
    const clv_launch launch = {
        .source = &clv_source_conv_light,
        .entry = "conv_planar",
        .num_sums = (uint32_t)(positions * vectors),
        .options = options,
        .args = {in, weights, bias, store.arg, {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = (uint64_t)call->outputs[0].shape.dims[0] * p.out.height * p.blocks * p.tiles,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}
