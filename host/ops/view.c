/* Reshape, Flatten, Squeeze, Unsqueeze: the same elements in the same order under another shape. */
#include "host/ops/moves.h"

#include <string.h>

/* Sets output 0 to the type of input 0 and `shape`, once their sizes are known to agree. */
static clv_status *set_output(clv_infer *infer, const clv_shape *shape) {
    const clv_view *input = &infer->inputs[0];
    char from[CLV_SHAPE_TEXT], to[CLV_SHAPE_TEXT];
    CLV_TRY(clv_shape_check(shape, "the new shape"));
    if (clv_shape_elements(shape) != clv_shape_elements(&input->shape)) {
        return CLV_ERROR(
            MALFORMED, "the input of shape %s cannot take the shape %s",
            clv_shape_format(&input->shape, from), clv_shape_format(shape, to));
    }
    clv_infer_output(infer, 0, input->dtype, shape);
    return NULL;
}

static clv_status *view_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const size_t bytes = clv_view_bytes(outputs[0].dtype, &outputs[0].shape);
    if (bytes != 0) {
        memcpy(outputs[0].data, call->inputs[0].data, bytes);
    }
    return NULL;
}

static void view_cost(const clv_call *call, clv_cost *out_cost) {
    (void)call;
    *out_cost = (clv_cost){0};
}

static bool view_is_identity(const clv_call *call) {
    return clv_shape_equal(&call->inputs[0].shape, &call->outputs[0].shape);
}

/* An output axis can be cut where an input axis starts at the same place (the same number of
 * elements behind the axes before it is what decides) and one extent divides the other. */
static clv_status *view_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    if (clv_shape_elements(out) == 0) {
        return NULL;
    }
    int64_t in_before = 1, out_before = 1;
    for (int i = 0, j = 0; i < in->rank && j < out->rank;) {
        const int64_t from = in->dims[i], to = out->dims[j];
        if (in_before == out_before && from > 1 && to > 1) {
            const int64_t small = from < to ? from : to;
            clv_split *split = NULL;
            if (from % small == 0 && to % small == 0) {
                CLV_TRY(clv_split_add_slice(out_list, arena, call, j, i, &split));
                split->grain = to / small;
                split->inputs[0].num = from / small;
                split->inputs[0].den = to / small;
            }
        }
        /* on with the side that is behind; both where they agree */
        const int64_t in_next = in_before * from, out_next = out_before * to;
        if (in_next <= out_next) {
            in_before = in_next;
            i++;
        }
        if (out_next <= in_next) {
            out_before = out_next;
            j++;
        }
    }
    return NULL;
}

static clv_status *reshape_infer(clv_infer *infer) {
    const clv_shape *in = &infer->inputs[0].shape;
    const int64_t *dims;
    size_t count = 0;
    int64_t allow_zero = 0;
    CLV_TRY(clv_infer_ints(infer, 1, &dims, &count));
    CLV_TRY(clv_attr_get_int(infer->node, "allowzero", 0, &allow_zero));
    if (count > CLV_MAX_RANK) {
        return CLV_ERROR(UNSUPPORTED, "the new shape has rank %zu, at most 8 is supported", count);
    }
    clv_shape shape = {.rank = (int32_t)count};
    int rest_axis = -1;
    int64_t product = 1;
    for (int i = 0; i < shape.rank; i++) {
        shape.dims[i] = dims[i];
        if (dims[i] == -1) {
            if (rest_axis >= 0) {
                return CLV_ERROR(MALFORMED, "the new shape has -1 at %d and at %d", rest_axis, i);
            }
            rest_axis = i;
            continue;
        }
        if (dims[i] == 0 && allow_zero == 0) {
            if (i >= in->rank) {
                return CLV_ERROR(
                    MALFORMED, "the new shape copies dimension %d, the input has rank %d", i,
                    (int)in->rank);
            }
            shape.dims[i] = in->dims[i];
        }
        if (shape.dims[i] < 0) {
            return CLV_ERROR(
                MALFORMED, "dimension %d of the new shape is %lld", i, (long long)dims[i]);
        }
        if (__builtin_mul_overflow(product, shape.dims[i], &product)) {
            return CLV_ERROR(UNSUPPORTED, "the new shape has too many elements");
        }
    }
    if (rest_axis >= 0) {
        const int64_t elements = clv_shape_elements(in);
        if (product == 0 || elements % product != 0) {
            char text[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED,
                "-1 in the new shape has no value: the input has shape %s, the other "
                "dimensions have %lld elements",
                clv_shape_format(in, text), (long long)product);
        }
        shape.dims[rest_axis] = elements / product;
    }
    return set_output(infer, &shape);
}

static clv_status *flatten_infer(clv_infer *infer) {
    const clv_shape *in = &infer->inputs[0].shape;
    int64_t value = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", 1, &value));
    /* unlike elsewhere, the rank itself is an axis too */
    if (value < -in->rank || value > in->rank) {
        return CLV_ERROR(
            MALFORMED, "axis is %lld, the input has rank %d", (long long)value, (int)in->rank);
    }
    const int axis = (int)(value < 0 ? value + in->rank : value);
    const clv_shape shape = {
        .rank = 2, .dims = {clv_shape_product(in, 0, axis), clv_shape_product(in, axis, in->rank)}};
    return set_output(infer, &shape);
}

/* The axes of Squeeze and Unsqueeze: an attribute before opset 13, then input 1. */
static clv_status *get_axes(
    const clv_infer *infer, const int64_t **out_axes, size_t *out_count, bool *out_given) {
    if (infer->node->opset >= 13) {
        *out_axes = NULL;
        *out_count = 0;
        *out_given = clv_infer_has(infer, 1);
        return *out_given ? clv_infer_ints(infer, 1, out_axes, out_count) : NULL;
    }
    *out_given = clv_attr_find(infer->node, "axes") != NULL;
    return clv_attr_get_ints(infer->node, "axes", out_axes, out_count);
}

static clv_status *squeeze_infer(clv_infer *infer) {
    const clv_shape *in = &infer->inputs[0].shape;
    const int64_t *axes;
    size_t count = 0;
    bool given, squeezed[CLV_MAX_RANK];
    CLV_TRY(get_axes(infer, &axes, &count, &given));
    CLV_TRY(clv_infer_axes(axes, count, in->rank, "axes", squeezed));
    clv_shape shape = {0};
    for (int i = 0; i < in->rank; i++) {
        if (given && squeezed[i] && in->dims[i] != 1) {
            return CLV_ERROR(
                MALFORMED, "axis %d has %lld elements, only an axis of 1 can be squeezed", i,
                (long long)in->dims[i]);
        }
        if (given ? !squeezed[i] : in->dims[i] != 1) {
            shape.dims[shape.rank++] = in->dims[i];
        }
    }
    return set_output(infer, &shape);
}

static clv_status *unsqueeze_infer(clv_infer *infer) {
    const clv_shape *in = &infer->inputs[0].shape;
    const int64_t *axes;
    size_t count = 0;
    bool given, added[CLV_MAX_RANK];
    CLV_TRY(get_axes(infer, &axes, &count, &given));
    if (!given) {
        return CLV_ERROR(MALFORMED, "axes are missing");
    }
    if (count > (size_t)(CLV_MAX_RANK - in->rank)) {
        return CLV_ERROR(
            UNSUPPORTED, "the output has rank %zu, at most 8 is supported", in->rank + count);
    }
    clv_shape shape = {.rank = in->rank + (int32_t)count};
    CLV_TRY(clv_infer_axes(axes, count, shape.rank, "axes", added));
    for (int i = 0, j = 0; i < shape.rank; i++) {
        shape.dims[i] = added[i] ? 1 : in->dims[j++];
    }
    return set_output(infer, &shape);
}

const clv_op_def clv_op_def_Flatten = {
    .name = "Flatten",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_VIEW,
    .infer = flatten_infer,
    .is_identity = view_is_identity,
    .reference = view_reference,
    .cost = view_cost,
    .splits = view_splits,
};

const clv_op_def clv_op_def_Reshape = {
    .name = "Reshape",
    .domain = "",
    .since_opset = 5,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1,
    .flags = CLV_OP_VIEW,
    .infer = reshape_infer,
    .is_identity = view_is_identity,
    .reference = view_reference,
    .cost = view_cost,
    .splits = view_splits,
};

const clv_op_def clv_op_def_Squeeze = {
    .name = "Squeeze",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1,
    .flags = CLV_OP_VIEW,
    .infer = squeeze_infer,
    .is_identity = view_is_identity,
    .reference = view_reference,
    .cost = view_cost,
    .splits = view_splits,
};

const clv_op_def clv_op_def_Unsqueeze = {
    .name = "Unsqueeze",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1,
    .flags = CLV_OP_VIEW,
    .infer = unsqueeze_infer,
    .is_identity = view_is_identity,
    .reference = view_reference,
    .cost = view_cost,
    .splits = view_splits,
};
