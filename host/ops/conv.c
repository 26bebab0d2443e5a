/* Conv and ConvTranspose. https://onnx.ai/onnx/operators/onnx__Conv.html */
#include "kernels_cl/conv/conv.h"
#include "host/base/memory.h"
#include "host/ops/conv_reference.h"
#include "host/ops/window.h"
#include "kernels_cl/store/store.h"
#include <string.h>

/* Types and channels of X, W and B. W is [M, C/groups, ...], transposed [C, M/groups, ...]. */
static clv_status *check_channels(
    const clv_infer *infer, bool is_transposed, int64_t groups, int64_t *out_channels) {
    for (size_t i = 0; i < infer->num_inputs; i++) {
        if (i < 2 || clv_infer_has(infer, i)) {
            CLV_TRY(clv_infer_dtype(infer, i, CLV_BIT(FLOAT32)));
        }
    }
    const clv_shape *x = &infer->inputs[0].shape, *w = &infer->inputs[1].shape;
    if (x->rank < 3) {
        return CLV_ERROR(
            MALFORMED, "the input has rank %d, needs batch, channels and spatial axes", x->rank);
    }
    if (w->rank != x->rank) {
        return CLV_ERROR(
            MALFORMED, "the weights have rank %d, the input has rank %d", w->rank, x->rank);
    }
    int64_t out = is_transposed ? w->dims[1] : w->dims[0];
    int64_t in = is_transposed ? w->dims[0] : w->dims[1];
    if (groups < 1 || x->dims[1] % groups != 0 || (!is_transposed && out % groups != 0)) {
        return CLV_ERROR(
            MALFORMED, "group is %lld, does not divide %lld input and %lld output channels",
            (long long)groups, (long long)x->dims[1], (long long)out);
    }
    int64_t needed = is_transposed ? x->dims[1] : x->dims[1] / groups;
    if (in != needed) {
        return CLV_ERROR(
            MALFORMED, "the weights are for %lld input channels, the input has %lld%s",
            (long long)in, (long long)needed, groups > 1 ? " a group" : "");
    }
    if (is_transposed && __builtin_mul_overflow(out, groups, &out)) {
        return CLV_ERROR(MALFORMED, "group is %lld", (long long)groups);
    }
    *out_channels = out;
    if (clv_infer_has(infer, 2)) {
        const clv_shape *b = &infer->inputs[2].shape;
        if (b->rank != 1 || b->dims[0] != out) {
            char text[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED, "the bias is %s, needs [%lld]", clv_shape_format(b, text),
                (long long)out);
        }
    }
    return NULL;
}

static clv_status *infer_common(
    clv_infer *infer, bool is_transposed, clv_conv_params **out_params, clv_shape *out_shape,
    clv_auto_pad *out_auto_pad) {
    clv_conv_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    params->is_transposed = is_transposed;
    params->shuffle = 1;
    CLV_TRY(clv_attr_get_int(infer->node, "group", 1, &params->groups));
    int64_t channels = 0;
    CLV_TRY(check_channels(infer, is_transposed, params->groups, &channels));
    CLV_TRY(clv_window_read(infer, infer->inputs[1].shape.dims + 2, &params->window, out_auto_pad));
    *out_shape = infer->inputs[0].shape;
    out_shape->dims[1] = channels;
    *out_params = params;
    return NULL;
}

/* The factors of input channels, which are not ONNX's. */
static clv_status *check_scale(const clv_infer *infer) {
    if (!clv_infer_has(infer, CLV_CONV_SCALE)) {
        return NULL;
    }
    const clv_shape *x = &infer->inputs[0].shape;
    clv_shape wanted = {.rank = x->rank, .dims = {x->dims[0], x->dims[1]}};
    for (int32_t i = 2; i < wanted.rank; i++) {
        wanted.dims[i] = 1;
    }
    if (!clv_shape_equal(&infer->inputs[CLV_CONV_SCALE].shape, &wanted)) {
        char text[CLV_SHAPE_TEXT], needed[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "the factors of input channels are %s, need %s",
            clv_shape_format(&infer->inputs[CLV_CONV_SCALE].shape, text),
            clv_shape_format(&wanted, needed));
    }
    return NULL;
}

static clv_status *conv_infer(clv_infer *infer) {
    clv_conv_params *params = NULL;
    clv_shape shape;
    clv_auto_pad auto_pad;
    CLV_TRY(infer_common(infer, false, &params, &shape, &auto_pad));
    CLV_TRY(clv_attr_get_int(infer->node, "shuffle", 1, &params->shuffle)); /* not of ONNX */
    if (params->shuffle < 1 || infer->inputs[0].shape.dims[1] % params->shuffle != 0) {
        return CLV_ERROR(
            MALFORMED, "shuffle is %lld, does not divide %lld input channels",
            (long long)params->shuffle, (long long)infer->inputs[0].shape.dims[1]);
    }
    CLV_TRY(check_scale(infer));
    CLV_TRY(clv_window_slide(&params->window, auto_pad, false, &infer->inputs[0].shape, &shape));
    clv_infer_output(infer, 0, CLV_FLOAT32, &shape);
    return NULL;
}

/* Attribute `name` of ConvTranspose, one entry a spatial axis (output_shape of old models also
 * holds batch and channels in front). NULL where it is missing. */
static clv_status *read_extents(
    const clv_infer *infer, const char *name, int rank, int64_t minimum,
    const int64_t **out_values) {
    size_t count = 0;
    CLV_TRY(clv_attr_get_ints(infer->node, name, out_values, &count));
    if (*out_values == NULL) {
        return NULL;
    }
    if (count == (size_t)rank + 2 && strcmp(name, "output_shape") == 0) {
        *out_values += 2;
    } else if (count != (size_t)rank) {
        return CLV_ERROR(
            MALFORMED, "%s has %zu entries, the input has %d spatial axes", name, count, rank);
    }
    for (int i = 0; i < rank; i++) {
        if ((*out_values)[i] < minimum || (*out_values)[i] > CLV_MAX_ELEMENTS) {
            return CLV_ERROR(MALFORMED, "%s[%d] is %lld", name, i, (long long)(*out_values)[i]);
        }
    }
    return NULL;
}

/* Pads and output extent along one axis. `wanted`: the given output extent, or -1. */
static clv_status *transposed_axis(
    clv_window *window, int axis, clv_auto_pad auto_pad, int64_t in, int64_t output_padding,
    int64_t wanted, int64_t *out_extent) {
    int64_t stride = window->stride[axis];
    if (output_padding > 0 && output_padding >= stride &&
        output_padding >= window->dilation[axis]) {
        return CLV_ERROR(
            MALFORMED, "output_padding is %lld, must be less than stride %lld or dilation %lld",
            (long long)output_padding, (long long)stride, (long long)window->dilation[axis]);
    }
    int64_t full = stride * (in - 1) + output_padding + clv_window_reach(window, axis);
    bool is_same = auto_pad == CLV_PAD_SAME_UPPER || auto_pad == CLV_PAD_SAME_LOWER;
    if (wanted < 0 && !is_same) {
        *out_extent = full - window->pad_begin[axis] - window->pad_end[axis];
    } else {
        *out_extent = wanted >= 0 ? wanted : in * stride;
        int64_t total = full > *out_extent ? full - *out_extent : 0, half = total / 2;
        window->pad_begin[axis] = auto_pad == CLV_PAD_SAME_UPPER ? half : total - half;
        window->pad_end[axis] = total - window->pad_begin[axis];
    }
    if (*out_extent < 1) {
        return CLV_ERROR(
            MALFORMED, "the output has extent %lld along spatial axis %d", (long long)*out_extent,
            axis - CLV_MAX_SPATIAL + window->rank);
    }
    return NULL;
}

static clv_status *conv_transpose_infer(clv_infer *infer) {
    clv_conv_params *params = NULL;
    clv_shape shape;
    clv_auto_pad auto_pad;
    CLV_TRY(infer_common(infer, true, &params, &shape, &auto_pad));
    const int64_t *padding = NULL, *wanted = NULL;
    int rank = params->window.rank;
    CLV_TRY(read_extents(infer, "output_padding", rank, 0, &padding));
    CLV_TRY(read_extents(infer, "output_shape", rank, 1, &wanted));
    for (int i = 0; i < rank; i++) {
        int axis = clv_window_entry(&params->window, i + 2);
        CLV_TRY(transposed_axis(
            &params->window, axis, auto_pad, shape.dims[i + 2], padding != NULL ? padding[i] : 0,
            wanted != NULL ? wanted[i] : -1, &shape.dims[i + 2]));
    }
    clv_infer_output(infer, 0, CLV_FLOAT32, &shape);
    return NULL;
}

static void conv_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_conv_params *params = call->params;
    clv_cost_default(call, out_cost);
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    /* each weight meets each position of the smaller grid: the output's, or transposed the input's
     */
    const clv_shape *grid = params->is_transposed ? in : out;
    double positions = (double)grid->dims[0];
    for (int i = 2; i < grid->rank; i++) {
        positions *= (double)grid->dims[i];
    }
    out_cost->flops = 2.0 * positions * (double)clv_shape_elements(&call->inputs[1].shape);
    if (clv_call_has_input(call, 2)) {
        out_cost->flops += (double)clv_shape_elements(out);
    }
}

/* Output channels, in whole groups where there are several; not where what a group reads lies
 * apart. */
static clv_status *split_channels(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_conv_params *params = call->params;
    int64_t in = call->inputs[0].shape.dims[1], out = call->outputs[0].shape.dims[1];
    if (out < 2 || params->shuffle > 1) {
        return NULL;
    }
    clv_split *split = NULL;
    CLV_TRY(
        clv_split_add(out_list, arena, call, "output channels", CLV_JOIN_PLACE, 1, out, &split));
    split->grain = params->groups == 1 ? clv_split_channel_grain(out)
                                       : clv_split_group_grain(out, params->groups);
    clv_split_input slice = {.need = CLV_NEED_SLICE, .axis = 0, .num = 1, .den = 1};
    clv_split_input in_channels = {.need = CLV_NEED_SLICE, .axis = 1, .num = in, .den = out};
    if (params->groups > 1) {
        split->inputs[0] = in_channels;
    }
    if (params->groups > 1 && clv_conv_has_scale(call)) {
        split->inputs[CLV_CONV_SCALE] = in_channels;
    }
    split->inputs[1] = slice;
    if (params->is_transposed && params->groups > 1) {
        split->inputs[1] = in_channels;
        split->inputs[1].axis = 0;
    } else if (params->is_transposed) {
        split->inputs[1].axis = 1;
    }
    if (clv_call_has_input(call, 2)) {
        split->inputs[2] = slice;
    }
    return NULL;
}

static int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b != 0 && a < 0);
}

/* Rows of a transposed convolution, at multiples of the stride: row o reads input rows
 * ceil((o + pad - reach + 1) / stride) .. floor((o + pad) / stride). The end of the last piece may
 * be no multiple. */
static void transposed_need(const clv_window *window, clv_split *split) {
    int axis = clv_window_entry(window, split->axis);
    int64_t stride = window->stride[axis], pad = window->pad_begin[axis];
    split->grain = stride;
    split->inputs[0] = (clv_split_input){
        .need = CLV_NEED_SLICE,
        .axis = split->axis,
        .num = 1,
        .den = stride,
        .before = floor_divide(clv_window_reach(window, axis) - 1 - pad, stride),
        .after = floor_divide(pad + stride - 2, stride) + 1,
    };
}

static clv_status *split_rows(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_conv_params *params = call->params;
    const int axis = clv_window_outer_axis(&call->outputs[0].shape);
    const int64_t rows = call->outputs[0].shape.dims[axis];
    if (rows < 2) {
        return NULL;
    }
    clv_split *split = NULL;
    CLV_TRY(clv_split_add(
        out_list, arena, call, axis == 2 ? "rows" : "columns", CLV_JOIN_PLACE, axis, rows, &split));
    if (params->is_transposed) {
        transposed_need(&params->window, split);
    } else {
        clv_window_need(&params->window, axis, &split->inputs[0]);
        const clv_window *w = &params->window;
        enum { TILE = 4 }; /* rows of Winograd's tiles, which pieces share with the whole */
        if (w->rank == 2 && w->kernel[1] == 3 && w->kernel[2] == 3 && w->stride[1] == 1 &&
            w->stride[2] == 1) {
            split->grain = rows < TILE ? rows : TILE;
        }
    }
    return NULL;
}

static clv_status *split_batch(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    int64_t batch = call->outputs[0].shape.dims[0];
    if (batch < 2) {
        return NULL;
    }
    clv_split *split = NULL;
    CLV_TRY(clv_split_add(out_list, arena, call, "batch", CLV_JOIN_PLACE, 0, batch, &split));
    split->inputs[0] = (clv_split_input){.need = CLV_NEED_SLICE, .axis = 0, .num = 1, .den = 1};
    if (clv_conv_has_scale(call)) {
        split->inputs[CLV_CONV_SCALE] = split->inputs[0];
    }
    return NULL;
}

static clv_status *split_sum(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_conv_params *params = call->params;
    int64_t channels = call->inputs[0].shape.dims[1];
    if (params->groups != 1 || params->shuffle > 1 || channels < 2) {
        return NULL;
    }
    clv_split *split = NULL;
    CLV_TRY(
        clv_split_add(out_list, arena, call, "input channels", CLV_JOIN_SUM, -1, channels, &split));
    split->inputs[0] = (clv_split_input){.need = CLV_NEED_SLICE, .axis = 1, .num = 1, .den = 1};
    split->inputs[1] = split->inputs[0];
    split->inputs[1].axis = params->is_transposed ? 0 : 1;
    if (clv_conv_has_scale(call)) {
        split->inputs[CLV_CONV_SCALE] = split->inputs[0];
    }
    return NULL;
}

static clv_status *conv_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    CLV_TRY(split_batch(call, arena, out_list));
    /* pieces of channels lie side by side and need no halos: first where moves cost nothing */
    CLV_TRY(split_channels(call, arena, out_list));
    CLV_TRY(split_rows(call, arena, out_list));
    return split_sum(call, arena, out_list);
}

static void conv_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    clv_conv_params *piece = params;
    const int cut_axis = split->axis < 2 ? 2 : split->axis;
    const int64_t rows = call->inputs[0].shape.dims[cut_axis];
    if (split->join == CLV_JOIN_SUM) {
        piece->skip_bias = piece->skip_bias || begin > 0;
    } else if (split->axis == 1 && piece->groups > 1) {
        piece->groups = (end - begin) / (split->extent / piece->groups);
        piece->is_of_groups = true;
    } else if (split->axis >= 2 && piece->is_transposed) {
        int axis = clv_window_entry(&piece->window, cut_axis);
        int64_t from, to;
        clv_split_slice(&split->inputs[0], begin, end, rows, &from, &to);
        piece->window.pad_begin[axis] += begin - piece->window.stride[axis] * from;
    } else if (split->axis >= 2) {
        clv_window_cut(&piece->window, cut_axis, rows, begin, end);
    }
}

const clv_op_def clv_op_def_Conv = {
    .name = "Conv",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 2,
    .max_inputs = 4,
    .num_own_inputs = 1, /* CLV_CONV_SCALE */
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = conv_infer,
    .reference = clv_conv_reference,
    .cost = conv_cost,
    .splits = conv_splits,
    .cut = conv_cut,
    .params_bytes = sizeof(clv_conv_params),
    .takes_epilogue = clv_conv_store_fits,
    .kernels = &clv_kernels_conv,
};

const clv_op_def clv_op_def_ConvTranspose = {
    .name = "ConvTranspose",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = conv_transpose_infer,
    .reference = clv_conv_reference,
    .cost = conv_cost,
    .splits = conv_splits,
    .cut = conv_cut,
    .params_bytes = sizeof(clv_conv_params),
    .takes_epilogue = clv_conv_store_fits,
    .kernels = &clv_kernels_conv,
};
