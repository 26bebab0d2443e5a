/* Pad and CenterCropPad: a border around a tensor, or a part of it. */
#include "host/ops/moves.h"
#include "kernels_cl/move/move.h"

#include <string.h>

extern const clv_kernel_family clv_kernels_move;

static clv_status *read_mode(const clv_infer *infer, uint32_t *out_mode) {
    static const char *const names[] = {
        [CLV_PAD_CONSTANT] = "constant",
        [CLV_PAD_REFLECT] = "reflect",
        [CLV_PAD_EDGE] = "edge",
        [CLV_PAD_WRAP] = "wrap",
    };
    const char *mode;
    CLV_TRY(clv_attr_get_string(infer->node, "mode", "constant", &mode));
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(mode, names[i]) == 0) {
            *out_mode = i;
            return NULL;
        }
    }
    return CLV_ERROR(MALFORMED, "mode is '%s', known are constant, reflect, edge and wrap", mode);
}

/* Where the border's value is: an attribute before opset 11, then input 2. */
static clv_status *read_value(const clv_infer *infer, clv_move_op *op) {
    if (infer->node->opset < 11) {
        float value;
        CLV_TRY(clv_attr_get_float(infer->node, "value", 0, &value));
        op->value = (double)value;
        return NULL;
    }
    op->has_value = clv_infer_has(infer, 2);
    if (op->has_value) {
        const clv_view *value = &infer->inputs[2];
        if (value->dtype != infer->inputs[0].dtype || clv_shape_elements(&value->shape) != 1) {
            char text[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED, "constant_value is %s%s, one %s was expected",
                clv_dtype_name(value->dtype), clv_shape_format(&value->shape, text),
                clv_dtype_name(infer->inputs[0].dtype));
        }
    }
    return NULL;
}

/* Fills op->before and op->after. */
static clv_status *read_pads(const clv_infer *infer, clv_move_op *op) {
    const int rank = infer->inputs[0].shape.rank;
    const int64_t *pads, *axes = NULL;
    size_t num_pads, num_axes = (size_t)rank;
    bool padded[CLV_MAX_RANK];
    if (infer->node->opset < 11) {
        CLV_TRY(clv_attr_get_ints(infer->node, "pads", &pads, &num_pads));
    } else {
        if (!clv_infer_has(infer, 1)) {
            return CLV_ERROR(MALFORMED, "pads are missing");
        }
        CLV_TRY(clv_infer_ints(infer, 1, &pads, &num_pads));
        if (clv_infer_has(infer, 3)) {
            CLV_TRY(clv_infer_ints(infer, 3, &axes, &num_axes));
            CLV_TRY(clv_infer_axes(axes, num_axes, rank, "axes", padded));
        }
    }
    if (num_pads != 2 * num_axes) {
        return CLV_ERROR(
            MALFORMED, "pads has %zu entries, %zu axes need %zu", num_pads, num_axes, 2 * num_axes);
    }
    for (size_t i = 0; i < num_axes; i++) {
        const int64_t axis = axes == NULL ? (int64_t)i : axes[i] < 0 ? axes[i] + rank : axes[i];
        op->before[axis] = pads[i];
        op->after[axis] = pads[i + num_axes];
    }
    return NULL;
}

/* The output's shape from op->before and op->after, each checked. */
static clv_status *pad_output(clv_infer *infer, const clv_move_op *op) {
    clv_shape shape = infer->inputs[0].shape;
    for (int i = 0; i < shape.rank; i++) {
        const int64_t before = op->before[i], after = op->after[i], limit = CLV_MAX_ELEMENTS;
        if (before < -limit || before > limit || after < -limit || after > limit) {
            return CLV_ERROR(
                UNSUPPORTED, "pads of axis %d are %lld and %lld, the limit is 2^31 - 1", i,
                (long long)before, (long long)after);
        }
        const int64_t kept = shape.dims[i] + (before < 0 ? before : 0) + (after < 0 ? after : 0);
        /* a constant border may be cut into as well */
        if (shape.dims[i] + before + after < 0 || (kept < 0 && op->mode != CLV_PAD_CONSTANT)) {
            return CLV_ERROR(
                MALFORMED, "pads of axis %d cut off more than its %lld elements", i,
                (long long)shape.dims[i]);
        }
        if (kept == 0 && op->mode != CLV_PAD_CONSTANT && (before > 0 || after > 0)) {
            return CLV_ERROR(MALFORMED, "axis %d has no elements to fill the border from", i);
        }
        shape.dims[i] += before + after;
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

static clv_status *pad_infer(clv_infer *infer) {
    clv_move_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = CLV_MOVE_PAD;
    CLV_TRY(read_mode(infer, &op->mode));
    CLV_TRY(read_value(infer, op));
    CLV_TRY(read_pads(infer, op));
    return pad_output(infer, op);
}

static clv_status *center_crop_pad_infer(clv_infer *infer) {
    const clv_shape *in = &infer->inputs[0].shape;
    const int64_t *sizes, *axes;
    size_t num_sizes, num_axes;
    bool chosen[CLV_MAX_RANK];
    clv_move_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = CLV_MOVE_PAD;
    CLV_TRY(clv_infer_ints(infer, 1, &sizes, &num_sizes));
    CLV_TRY(clv_attr_get_ints(infer->node, "axes", &axes, &num_axes));
    const bool given = clv_attr_find(infer->node, "axes") != NULL;
    CLV_TRY(clv_infer_axes(axes, num_axes, in->rank, "axes", chosen));
    if (num_sizes != (given ? num_axes : (size_t)in->rank)) {
        return CLV_ERROR(
            MALFORMED, "shape has %zu entries for %zu axes", num_sizes,
            given ? num_axes : (size_t)in->rank);
    }
    for (size_t i = 0; i < num_sizes; i++) {
        const int64_t named = given ? axes[i] : (int64_t)i;
        const int64_t axis = named < 0 ? named + in->rank : named;
        if (sizes[i] < 0 || sizes[i] > CLV_MAX_ELEMENTS) {
            return CLV_ERROR(MALFORMED, "entry %zu of shape is %lld", i, (long long)sizes[i]);
        }
        const int64_t grown = sizes[i] - in->dims[axis]; /* division rounds towards 0 both ways */
        op->before[axis] = grown / 2;
        op->after[axis] = grown - op->before[axis];
    }
    return pad_output(infer, op);
}

/* The input position for output position `i` of an axis whose kept elements are [first, first + n)
 * of the input, `before` of border in front; -1: the constant. */
static int64_t source_of(int64_t i, int64_t before, int64_t first, int64_t n, uint32_t mode) {
    int64_t at = i - before;
    if (mode == CLV_PAD_CONSTANT) {
        return at < 0 || at >= n ? -1 : first + at;
    }
    if (mode == CLV_PAD_EDGE) {
        at = at < 0 ? 0 : at;
        return first + (at >= n ? n - 1 : at);
    }
    if (mode == CLV_PAD_WRAP) {
        at %= n;
        return first + (at < 0 ? at + n : at);
    }
    /* about the first element, about the last, ... */
    const int64_t period = n == 1 ? 1 : 2 * (n - 1);
    at %= period;
    at += at < 0 ? period : 0;
    return first + (at < n ? at : period - at);
}

static clv_status *pad_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_move_op *op = call->params;
    const clv_view *in = &call->inputs[0];
    const size_t element_bytes = clv_dtype_bytes(in->dtype);
    int64_t coords[CLV_MAX_RANK] = {0}, from[CLV_MAX_RANK], strides[CLV_MAX_RANK], i = 0;
    unsigned char value[8] = {0};
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    if (op->has_value) {
        memcpy(value, call->inputs[2].data, element_bytes);
    } else {
        clv_store_double(in->dtype, value, 0, op->value);
    }
    clv_shape_strides(&in->shape, strides);
    do {
        bool inside = true;
        for (int d = 0; d < in->shape.rank; d++) {
            const int64_t before = op->before[d], after = op->after[d];
            const int64_t first = before < 0 ? -before : 0;
            const int64_t kept = in->shape.dims[d] - first + (after < 0 ? after : 0);
            from[d] = source_of(coords[d], before < 0 ? 0 : before, first, kept, op->mode);
            inside = inside && from[d] >= 0;
        }
        if (inside) {
            clv_element_copy(
                outputs[0].data, i++, in->data, clv_coords_offset(from, strides, in->shape.rank),
                element_bytes);
        } else {
            clv_element_copy(outputs[0].data, i++, value, 0, element_bytes);
        }
    } while (clv_coords_next(&outputs[0].shape, coords));
    return NULL;
}

/* A border of one value may be cut too: position i is position i - before of the input. */
static clv_status *pad_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_move_op *op = call->params;
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        clv_split *split = NULL;
        const bool is_padded = op->before[axis] != 0 || op->after[axis] != 0;
        if (!is_padded || op->mode == CLV_PAD_CONSTANT) {
            CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        }
        if (split != NULL && axis == 1 && !is_padded) {
            split->grain = clv_split_channel_grain(split->extent);
        }
        if (split != NULL && is_padded) {
            split->inputs[0].before = op->before[axis];
            split->inputs[0].after = -op->before[axis];
        }
    }
    return NULL;
}

/* The border that a piece has itself. */
static void pad_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    clv_move_op *piece = params;
    const int axis = split->axis;
    int64_t from, to;
    clv_split_slice(&split->inputs[0], begin, end, call->inputs[0].shape.dims[axis], &from, &to);
    const int64_t before = piece->before[axis] - begin;
    piece->before[axis] = before < 0 ? 0 : before < end - begin ? before : end - begin;
    piece->after[axis] = end - begin - piece->before[axis] - (to - from);
}

static bool pad_is_identity(const clv_call *call) {
    const clv_move_op *op = call->params;
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        if (op->before[axis] != 0 || op->after[axis] != 0) {
            return false;
        }
    }
    return true;
}

const clv_op_def clv_op_def_CenterCropPad = {
    .name = "CenterCropPad",
    .domain = "",
    .since_opset = 18,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1,
    .infer = center_crop_pad_infer,
    .is_identity = pad_is_identity,
    .reference = pad_reference,
    .cost = clv_cost_move,
    .splits = pad_splits,
    .cut = pad_cut,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};

const clv_op_def clv_op_def_Pad = {
    .name = "Pad",
    .domain = "",
    .since_opset = 2,
    .min_inputs = 1,
    .max_inputs = 4,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1 | 1u << 3,
    .infer = pad_infer,
    .is_identity = pad_is_identity,
    .reference = pad_reference,
    .cost = clv_cost_move,
    .splits = pad_splits,
    .cut = pad_cut,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};
