/* Resize (opset 10, 11, 13, 18, 19) and its predecessor Upsample (7, 9). */
#include "kernels_cl/resize/resize.h"
#include "host/ops/moves.h"

#include <math.h>
#include <string.h>

extern const clv_kernel_family clv_kernels_resize;

/* --- attributes --- */

typedef struct named {
    const char *name;
    int value;
} named;

static clv_status *read_choice(
    const clv_infer *infer, const char *attr, const char *fallback, const named *choices,
    size_t num_choices, int *out_value) {
    const char *word;
    CLV_TRY(clv_attr_get_string(infer->node, attr, fallback, &word));
    for (size_t i = 0; i < num_choices; i++) {
        if (strcmp(word, choices[i].name) == 0) {
            *out_value = choices[i].value;
            return NULL;
        }
    }
    return CLV_ERROR(MALFORMED, "attribute %s is '%s', which is not known", attr, word);
}

static clv_status *read_mode(const clv_infer *infer, clv_resize_op *op) {
    static const named modes[] = {
        {"nearest", CLV_RESIZE_NEAREST},
        {"linear", CLV_RESIZE_LINEAR},
        {"bilinear", CLV_RESIZE_LINEAR}, /* Upsample-7's older name */
        {"cubic", CLV_RESIZE_CUBIC},
    };
    int value = 0;
    CLV_TRY(read_choice(infer, "mode", "nearest", modes, sizeof modes / sizeof modes[0], &value));
    op->mode = (clv_resize_mode)value;
    return NULL;
}

static clv_status *read_flag(const clv_infer *infer, const char *attr, bool *out_flag) {
    int64_t value = 0;
    CLV_TRY(clv_attr_get_int(infer->node, attr, 0, &value));
    *out_flag = value != 0;
    return NULL;
}

static clv_status *read_finite(
    const clv_infer *infer, const char *attr, float fallback, double *out_value) {
    float value;
    CLV_TRY(clv_attr_get_float(infer->node, attr, fallback, &value));
    if (!isfinite(value)) {
        return CLV_ERROR(MALFORMED, "attribute %s is %g", attr, (double)value);
    }
    *out_value = (double)value;
    return NULL;
}

/* Resize from opset 11 on. */
static clv_status *read_attributes(const clv_infer *infer, clv_resize_op *op) {
    static const named coordinates[] = {
        {"half_pixel", CLV_RESIZE_HALF_PIXEL},
        {"half_pixel_symmetric", CLV_RESIZE_HALF_PIXEL_SYMMETRIC},
        {"pytorch_half_pixel", CLV_RESIZE_PYTORCH_HALF_PIXEL},
        {"align_corners", CLV_RESIZE_ALIGN_CORNERS},
        {"asymmetric", CLV_RESIZE_ASYMMETRIC},
        {"tf_half_pixel_for_nn", CLV_RESIZE_TF_HALF_PIXEL_FOR_NN},
        {"tf_crop_and_resize", CLV_RESIZE_TF_CROP_AND_RESIZE},
    };
    static const named roundings[] = {
        {"round_prefer_floor", CLV_RESIZE_ROUND_PREFER_FLOOR},
        {"round_prefer_ceil", CLV_RESIZE_ROUND_PREFER_CEIL},
        {"floor", CLV_RESIZE_FLOOR},
        {"ceil", CLV_RESIZE_CEIL},
    };
    int value = 0;
    CLV_TRY(read_choice(
        infer, "coordinate_transformation_mode", "half_pixel", coordinates,
        sizeof coordinates / sizeof coordinates[0], &value));
    op->coordinates = (clv_resize_coordinates)value;
    CLV_TRY(read_choice(
        infer, "nearest_mode", "round_prefer_floor", roundings,
        sizeof roundings / sizeof roundings[0], &value));
    op->rounding = (clv_resize_rounding)value;
    CLV_TRY(read_flag(infer, "exclude_outside", &op->exclude_outside));
    CLV_TRY(read_flag(infer, "antialias", &op->antialias));
    CLV_TRY(read_finite(infer, "cubic_coeff_a", -0.75f, &op->cubic_a));
    CLV_TRY(read_finite(infer, "extrapolation_value", 0, &op->extrapolation));
    if (op->antialias && op->mode == CLV_RESIZE_NEAREST) {
        return CLV_ERROR(MALFORMED, "antialias does not go with mode nearest");
    }
    return NULL;
}

/* --- sizes --- */

/* The axes that scales, sizes and roi speak of: all, or those of attribute `axes` (opset 18). */
static clv_status *read_axes(
    const clv_infer *infer, int out_axes[CLV_MAX_RANK], size_t *out_count) {
    const int rank = infer->inputs[0].shape.rank;
    const int64_t *axes;
    bool chosen[CLV_MAX_RANK];
    CLV_TRY(clv_attr_get_ints(infer->node, "axes", &axes, out_count));
    if (clv_attr_find(infer->node, "axes") == NULL) {
        *out_count = (size_t)rank;
        for (int i = 0; i < rank; i++) {
            out_axes[i] = i;
        }
        return NULL;
    }
    CLV_TRY(clv_infer_axes(axes, *out_count, rank, "axes", chosen));
    for (size_t i = 0; i < *out_count; i++) {
        out_axes[i] = (int)(axes[i] < 0 ? axes[i] + rank : axes[i]);
    }
    return NULL;
}

/* `count` numbers of input `index`, one for each axis. */
static clv_status *read_numbers(
    const clv_infer *infer, size_t index, const char *what, size_t count, double *out_values) {
    clv_view value;
    CLV_TRY(clv_infer_value(infer, index, &value));
    const int64_t elements = clv_shape_elements(&value.shape);
    if (elements != (int64_t)count) {
        return CLV_ERROR(
            MALFORMED, "%s has %lld entries, %zu were expected", what, (long long)elements, count);
    }
    for (size_t i = 0; i < count; i++) {
        out_values[i] = clv_load_double(value.dtype, value.data, (int64_t)i);
        if (!isfinite(out_values[i])) {
            return CLV_ERROR(MALFORMED, "entry %zu of %s is %g", i, what, out_values[i]);
        }
    }
    return NULL;
}

/* The product in float, as the models' exporters and other engines compute it: 3 * (5/3) is 5. */
static clv_status *scale_axis(clv_resize_axis *axis, double scale) {
    if (!(scale > 0)) {
        return CLV_ERROR(MALFORMED, "a scale is %g, it must be above 0", scale);
    }
    const float size = floorf((float)axis->in * (float)scale);
    if (!(size <= (float)CLV_MAX_ELEMENTS)) {
        return CLV_ERROR(UNSUPPORTED, "the output has too many elements");
    }
    axis->scale = scale;
    axis->out = (int64_t)size;
    return NULL;
}

static clv_status *apply_scales(
    clv_resize_op *op, const int *axes, const double *scales, size_t count) {
    for (size_t i = 0; i < count; i++) {
        CLV_TRY(scale_axis(&op->axes[axes[i]], scales[i]));
    }
    return NULL;
}

static clv_status *apply_sizes(
    const clv_infer *infer, clv_resize_op *op, const int *axes, const double *sizes, size_t count) {
    enum { STRETCH, NOT_LARGER, NOT_SMALLER };
    static const named policies[] = {
        {"stretch", STRETCH}, {"not_larger", NOT_LARGER}, {"not_smaller", NOT_SMALLER}};
    int policy = STRETCH;
    CLV_TRY(read_choice(
        infer, "keep_aspect_ratio_policy", "stretch", policies,
        sizeof policies / sizeof policies[0], &policy));
    double common = policy == NOT_LARGER ? INFINITY : 0;
    for (size_t i = 0; i < count; i++) {
        clv_resize_axis *axis = &op->axes[axes[i]];
        if (sizes[i] < 0 || sizes[i] > (double)CLV_MAX_ELEMENTS) {
            return CLV_ERROR(MALFORMED, "entry %zu of sizes is %g", i, sizes[i]);
        }
        if (axis->in == 0) {
            return CLV_ERROR(MALFORMED, "axis %d has no elements to resize", axes[i]);
        }
        axis->out = (int64_t)sizes[i];
        axis->scale = sizes[i] / (double)axis->in;
        const bool better = policy == NOT_LARGER ? axis->scale < common : axis->scale > common;
        common = better ? axis->scale : common;
    }
    for (size_t i = 0; i < count && policy != STRETCH; i++) {
        clv_resize_axis *axis = &op->axes[axes[i]];
        const double size = floor(common * (double)axis->in + 0.5);
        if (size > (double)CLV_MAX_ELEMENTS) {
            return CLV_ERROR(UNSUPPORTED, "the output has too many elements");
        }
        axis->out = (int64_t)size;
        axis->scale = common;
    }
    return NULL;
}

/* An optional input counts as left out where it is empty, as models of opset 11 have it. */
static bool is_given(const clv_infer *infer, size_t index) {
    return clv_infer_has(infer, index) && clv_shape_elements(&infer->inputs[index].shape) != 0;
}

static clv_status *read_roi(
    const clv_infer *infer, clv_resize_op *op, const int *axes, size_t count) {
    double roi[2 * CLV_MAX_RANK];
    if (op->coordinates != CLV_RESIZE_TF_CROP_AND_RESIZE) {
        return NULL;
    }
    if (!is_given(infer, 1)) {
        return CLV_ERROR(MALFORMED, "tf_crop_and_resize needs roi, which is missing");
    }
    CLV_TRY(read_numbers(infer, 1, "roi", 2 * count, roi));
    for (size_t i = 0; i < count; i++) {
        op->axes[axes[i]].roi_start = roi[i];
        op->axes[axes[i]].roi_end = roi[i + count];
    }
    return NULL;
}

static clv_status *start(clv_infer *infer, clv_resize_op **out_op) {
    clv_resize_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    const clv_shape *in = &infer->inputs[0].shape;
    op->rank = in->rank;
    for (int i = 0; i < in->rank; i++) {
        op->axes[i] =
            (clv_resize_axis){.in = in->dims[i], .out = in->dims[i], .scale = 1, .roi_end = 1};
    }
    CLV_TRY(read_mode(infer, op));
    *out_op = op;
    return NULL;
}

static clv_status *finish(clv_infer *infer, const clv_resize_op *op) {
    const clv_view *input = &infer->inputs[0];
    clv_shape shape = {.rank = op->rank};
    for (int i = 0; i < op->rank; i++) {
        shape.dims[i] = op->axes[i].out;
        if (op->axes[i].in == 0 && op->axes[i].out != 0) {
            return CLV_ERROR(MALFORMED, "axis %d has no elements to resize", i);
        }
    }
    if (op->mode != CLV_RESIZE_NEAREST && input->dtype != CLV_FLOAT32) {
        return CLV_ERROR(
            UNSUPPORTED, "linear and cubic interpolation of %s", clv_dtype_name(input->dtype));
    }
    clv_infer_output(infer, 0, input->dtype, &shape);
    return NULL;
}

static clv_status *resize_infer(clv_infer *infer) {
    clv_resize_op *op = NULL;
    int axes[CLV_MAX_RANK];
    size_t count = 0;
    double numbers[CLV_MAX_RANK];
    CLV_TRY(start(infer, &op));
    if (infer->node->opset < 11) {
        op->coordinates = CLV_RESIZE_ASYMMETRIC;
        op->rounding = CLV_RESIZE_BEFORE_11;
        if (op->mode == CLV_RESIZE_CUBIC) {
            return CLV_ERROR(MALFORMED, "mode cubic came with opset 11");
        }
        if (!clv_infer_has(infer, 1)) {
            return CLV_ERROR(MALFORMED, "scales are missing");
        }
        CLV_TRY(read_axes(infer, axes, &count));
        CLV_TRY(read_numbers(infer, 1, "scales", count, numbers));
        CLV_TRY(apply_scales(op, axes, numbers, count));
        return finish(infer, op);
    }
    CLV_TRY(read_attributes(infer, op));
    CLV_TRY(read_axes(infer, axes, &count));
    const bool has_scales = is_given(infer, 2), has_sizes = is_given(infer, 3);
    if (has_scales == has_sizes && count != 0) {
        return CLV_ERROR(
            MALFORMED,
            has_sizes ? "both scales and sizes are given" : "neither scales nor sizes are given");
    }
    if (has_sizes) {
        CLV_TRY(read_numbers(infer, 3, "sizes", count, numbers));
        CLV_TRY(apply_sizes(infer, op, axes, numbers, count));
    } else if (has_scales) {
        CLV_TRY(read_numbers(infer, 2, "scales", count, numbers));
        CLV_TRY(apply_scales(op, axes, numbers, count));
    }
    CLV_TRY(read_roi(infer, op, axes, count));
    return finish(infer, op);
}

static clv_status *upsample_infer(clv_infer *infer) {
    clv_resize_op *op = NULL;
    int axes[CLV_MAX_RANK];
    double scales[CLV_MAX_RANK];
    const size_t rank = (size_t)infer->inputs[0].shape.rank;
    CLV_TRY(start(infer, &op));
    op->coordinates = CLV_RESIZE_ASYMMETRIC;
    op->rounding = CLV_RESIZE_BEFORE_11;
    if (op->mode == CLV_RESIZE_CUBIC) {
        return CLV_ERROR(MALFORMED, "mode is cubic, Upsample knows nearest and linear");
    }
    if (infer->node->opset < 9) {
        const float *values;
        size_t count = 0;
        CLV_TRY(clv_attr_get_floats(infer->node, "scales", &values, &count));
        if (count != rank) {
            return CLV_ERROR(MALFORMED, "scales has %zu entries, %zu were expected", count, rank);
        }
        for (size_t i = 0; i < count; i++) {
            scales[i] = (double)values[i];
        }
    } else {
        if (!clv_infer_has(infer, 1)) {
            return CLV_ERROR(MALFORMED, "scales are missing");
        }
        CLV_TRY(read_numbers(infer, 1, "scales", rank, scales));
    }
    for (size_t i = 0; i < rank; i++) {
        axes[i] = (int)i;
    }
    CLV_TRY(apply_scales(op, axes, scales, rank));
    return finish(infer, op);
}

/* --- reference --- */

/* Windows of every output position of every axis. */
typedef struct windows {
    clv_resize_window *windows[CLV_MAX_RANK]; /* [out] */
    double *weights[CLV_MAX_RANK];            /* [out][max_taps] */
    int64_t max_taps[CLV_MAX_RANK];
} windows;

static clv_status *windows_init(const clv_call *call, clv_arena *arena, windows *out_windows) {
    const clv_resize_op *op = call->params;
    for (int axis = 0; axis < op->rank; axis++) {
        const size_t out = (size_t)call->outputs[0].shape.dims[axis];
        const int64_t taps = clv_resize_max_taps(op, axis);
        clv_resize_window *at = clv_arena_alloc(arena, out, sizeof *at);
        double *weights = clv_arena_alloc(arena, out, (size_t)taps * sizeof *weights);
        if (at == NULL || weights == NULL) {
            return CLV_NO_ARENA("the weights of a resize");
        }
        for (size_t i = 0; i < out; i++) {
            const clv_resize_axis *a = &op->axes[axis];
            at[i] = (clv_resize_window){.first = (int64_t)i, .count = 1};
            weights[i * (size_t)taps] = 1;
            if (!clv_resize_keeps(op, axis)) {
                at[i] = clv_resize_window_at(
                    op, axis, a->out_begin + (int64_t)i, weights + i * (size_t)taps);
                at[i].first -= a->in_begin;
            }
        }
        out_windows->windows[axis] = at;
        out_windows->weights[axis] = weights;
        out_windows->max_taps[axis] = taps;
    }
    return NULL;
}

/* One output element: the sum over the box of input positions that its windows span. */
static void resize_element(
    const clv_call *call, const windows *w, const int64_t *coords, const int64_t *strides,
    const clv_mutable_view *output, int64_t index) {
    const clv_resize_op *op = call->params;
    const clv_view *in = &call->inputs[0];
    clv_shape box = {.rank = op->rank};
    int64_t first = 0, tap[CLV_MAX_RANK] = {0};
    for (int d = 0; d < op->rank; d++) {
        const clv_resize_window *window = &w->windows[d][coords[d]];
        if (window->is_outside) {
            clv_store_double(output->dtype, output->data, index, op->extrapolation);
            return;
        }
        box.dims[d] = window->count;
        first += window->first * strides[d];
    }
    if (op->mode == CLV_RESIZE_NEAREST) {
        clv_element_copy(output->data, index, in->data, first, clv_dtype_bytes(in->dtype));
        return;
    }
    double sum = 0;
    do {
        double weight = 1;
        for (int d = 0; d < op->rank; d++) {
            weight *= w->weights[d][coords[d] * w->max_taps[d] + tap[d]];
        }
        sum += weight * clv_load_double(
                            in->dtype, in->data, first + clv_coords_offset(tap, strides, op->rank));
    } while (clv_coords_next(&box, tap));
    clv_store_double(output->dtype, output->data, index, sum);
}

static clv_status *resize_reference(const clv_call *call, const clv_mutable_view *outputs) {
    int64_t coords[CLV_MAX_RANK] = {0}, strides[CLV_MAX_RANK], i = 0;
    windows w;
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    clv_arena arena;
    clv_arena_init(&arena, 0);
    clv_status *status = windows_init(call, &arena, &w);
    if (status == NULL) {
        clv_shape_strides(&call->inputs[0].shape, strides);
        do {
            resize_element(call, &w, coords, strides, &outputs[0], i++);
        } while (clv_coords_next(&outputs[0].shape, coords));
    }
    clv_arena_deinit(&arena);
    return status;
}

/* --- cost and splits --- */

static void resize_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_resize_op *op = call->params;
    const double elements = (double)clv_shape_elements(&call->outputs[0].shape);
    clv_cost_move(call, out_cost);
    for (int axis = 0; axis < op->rank && op->mode != CLV_RESIZE_NEAREST; axis++) {
        out_cost->flops +=
            clv_resize_keeps(op, axis) ? 0 : 2 * elements * (double)clv_resize_max_taps(op, axis);
    }
}

static int64_t greatest_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Piece [begin, end) of an axis starts at input position begin * num / den, rounded down; how far
 * windows reach beyond that on either side is read off the windows themselves. */
static clv_status *measure_halo(
    const clv_resize_op *op, int axis, clv_arena *arena, clv_split *split) {
    clv_split_input *need = &split->inputs[0];
    double *weights =
        clv_arena_alloc(arena, (size_t)clv_resize_max_taps(op, axis), sizeof *weights);
    if (weights == NULL) {
        return CLV_NO_ARENA("the weights of a resize");
    }
    need->before = need->after = INT64_MIN;
    for (int64_t i = 0; i < op->axes[axis].out; i++) {
        const clv_resize_window window = clv_resize_window_at(op, axis, i, weights);
        if (window.is_outside) { /* reads nothing */
            continue;
        }
        const int64_t before = i * need->num / need->den - window.first;
        const int64_t after = window.first + window.count - (i + 1) * need->num / need->den;
        need->before = before > need->before ? before : need->before;
        need->after = after > need->after ? after : need->after;
    }
    if (need->before == INT64_MIN) {
        need->before = need->after = 0;
    }
    return NULL;
}

static clv_status *resize_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_resize_op *op = call->params;
    for (int axis = 0; axis < op->rank; axis++) {
        const clv_resize_axis *a = &op->axes[axis];
        clv_split *split = NULL;
        if (clv_resize_keeps(op, axis) || call->outputs[0].shape.dims[axis] == a->out) {
            CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        }
        if (split != NULL && axis == 1 && clv_resize_keeps(op, axis)) {
            split->grain = clv_split_channel_grain(split->extent);
        }
        if (split != NULL && !clv_resize_keeps(op, axis) && a->in > 0) {
            const int64_t divisor = greatest_divisor(a->in, a->out);
            split->inputs[0].num = a->in / divisor;
            split->inputs[0].den = a->out / divisor;
            CLV_TRY(measure_halo(op, axis, arena, split));
        }
    }
    return NULL;
}

static void resize_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    clv_resize_op *op = params;
    clv_resize_axis *axis = &op->axes[split->axis];
    int64_t from, to;
    clv_split_slice(
        &split->inputs[0], begin, end, call->inputs[0].shape.dims[split->axis], &from, &to);
    axis->in_begin = from;
    axis->out_begin = begin;
}

static bool resize_is_identity(const clv_call *call) {
    const clv_resize_op *op = call->params;
    for (int axis = 0; axis < op->rank; axis++) {
        if (!clv_resize_keeps(op, axis)) {
            return false;
        }
    }
    return true;
}

const clv_op_def clv_op_def_Resize = {
    .name = "Resize",
    .domain = "",
    .since_opset = 10,
    .min_inputs = 1,
    .max_inputs = 4,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1 | 1u << 2 | 1u << 3,
    .infer = resize_infer,
    .is_identity = resize_is_identity,
    .reference = resize_reference,
    .cost = resize_cost,
    .splits = resize_splits,
    .cut = resize_cut,
    .params_bytes = sizeof(clv_resize_op),
    .kernels = &clv_kernels_resize,
};

const clv_op_def clv_op_def_Upsample = {
    .name = "Upsample",
    .domain = "",
    .since_opset = 7,
    .min_inputs = 1,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1,
    .infer = upsample_infer,
    .is_identity = resize_is_identity,
    .reference = resize_reference,
    .cost = resize_cost,
    .splits = resize_splits,
    .cut = resize_cut,
    .params_bytes = sizeof(clv_resize_op),
    .kernels = &clv_kernels_resize,
};
