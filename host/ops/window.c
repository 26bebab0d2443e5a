#include "host/ops/window.h"

#include <string.h>

/* Larger kernels, strides, pads than this fit no tensor, and sums of a few products stay in
 * int64. */
#define MAX_EXTENT (INT64_C(1) << 30)

/* Copies attribute `name` ([rank], each minimum..2^30) to entries of `out_values`; leaves them as
 * they are where it is missing. */
static clv_status *read_list(
    const clv_infer *infer, const char *name, int rank, int64_t minimum, int64_t *out_values,
    bool *out_is_there) {
    const int64_t *values = NULL;
    size_t count = 0;
    CLV_TRY(clv_attr_get_ints(infer->node, name, &values, &count));
    *out_is_there = values != NULL;
    if (values == NULL) {
        return NULL;
    }
    if (count != (size_t)rank) {
        return CLV_ERROR(
            MALFORMED, "%s has %zu entries, the input has %d spatial axes", name, count, rank);
    }
    for (int i = 0; i < rank; i++) {
        if (values[i] < minimum) {
            return CLV_ERROR(
                MALFORMED, "%s[%d] is %lld, must be at least %lld", name, i, (long long)values[i],
                (long long)minimum);
        }
        if (values[i] > MAX_EXTENT) {
            return CLV_ERROR(
                UNSUPPORTED, "%s[%d] is %lld, over 2^30", name, i, (long long)values[i]);
        }
        out_values[CLV_MAX_SPATIAL - rank + i] = values[i];
    }
    return NULL;
}

static clv_status *read_pads(const clv_infer *infer, int rank, clv_window *window) {
    const int64_t *pads = NULL;
    size_t count = 0;
    CLV_TRY(clv_attr_get_ints(infer->node, "pads", &pads, &count));
    if (pads == NULL) {
        return NULL;
    }
    if (count != 2 * (size_t)rank) {
        return CLV_ERROR(
            MALFORMED, "pads has %zu entries, needs %d for %d spatial axes", count, 2 * rank, rank);
    }
    for (size_t i = 0; i < count; i++) {
        if (pads[i] < 0 || pads[i] > MAX_EXTENT) {
            return CLV_ERROR(
                MALFORMED, "pads[%zu] is %lld, must be 0 to 2^30", i, (long long)pads[i]);
        }
    }
    for (int i = 0; i < rank; i++) {
        window->pad_begin[CLV_MAX_SPATIAL - rank + i] = pads[i];
        window->pad_end[CLV_MAX_SPATIAL - rank + i] = pads[rank + i];
    }
    return NULL;
}

static clv_status *read_auto_pad(const clv_infer *infer, clv_auto_pad *out_auto_pad) {
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *word = NULL;
    CLV_TRY(clv_attr_get_string(infer->node, "auto_pad", "NOTSET", &word));
    for (int i = 0; i < 4; i++) {
        if (strcmp(word, names[i]) == 0) {
            *out_auto_pad = (clv_auto_pad)i;
            return NULL;
        }
    }
    return CLV_ERROR(
        MALFORMED, "auto_pad is '%s', must be NOTSET, SAME_UPPER, SAME_LOWER or VALID", word);
}

static clv_status *read_kernel(
    const clv_infer *infer, int rank, const int64_t *weight_kernel, clv_window *window) {
    bool is_there = false;
    CLV_TRY(read_list(infer, "kernel_shape", rank, 1, window->kernel, &is_there));
    if (weight_kernel == NULL) {
        return is_there ? NULL : CLV_ERROR(MALFORMED, "kernel_shape is missing");
    }
    for (int i = 0; i < rank; i++) {
        int64_t *kernel = &window->kernel[CLV_MAX_SPATIAL - rank + i];
        if (is_there && *kernel != weight_kernel[i]) {
            return CLV_ERROR(
                MALFORMED, "kernel_shape[%d] is %lld, the weights have %lld", i, (long long)*kernel,
                (long long)weight_kernel[i]);
        }
        if (weight_kernel[i] < 1 || weight_kernel[i] > MAX_EXTENT) {
            return CLV_ERROR(
                MALFORMED, "the weights' kernel is %lld along spatial axis %d",
                (long long)weight_kernel[i], i);
        }
        *kernel = weight_kernel[i];
    }
    return NULL;
}

clv_status *clv_window_read(
    const clv_infer *infer, const int64_t *weight_kernel, clv_window *out_window,
    clv_auto_pad *out_auto_pad) {
    int rank = infer->inputs[0].shape.rank - 2;
    if (rank < 1) {
        return CLV_ERROR(
            MALFORMED, "the input has rank %d, needs batch, channels and spatial axes", rank + 2);
    }
    if (rank > CLV_MAX_SPATIAL) {
        return CLV_ERROR(
            UNSUPPORTED, "the input has %d spatial axes, at most %d are supported", rank,
            CLV_MAX_SPATIAL);
    }
    *out_window = (clv_window){.rank = rank};
    for (int i = 0; i < CLV_MAX_SPATIAL; i++) {
        out_window->kernel[i] = out_window->stride[i] = out_window->dilation[i] = 1;
    }
    bool is_there = false;
    CLV_TRY(read_kernel(infer, rank, weight_kernel, out_window));
    CLV_TRY(read_list(infer, "strides", rank, 1, out_window->stride, &is_there));
    CLV_TRY(read_list(infer, "dilations", rank, 1, out_window->dilation, &is_there));
    CLV_TRY(read_auto_pad(infer, out_auto_pad));
    if (*out_auto_pad == CLV_PAD_NOTSET) {
        CLV_TRY(read_pads(infer, rank, out_window));
    }
    return NULL;
}

int64_t clv_window_reach(const clv_window *window, int axis) {
    return (window->kernel[axis] - 1) * window->dilation[axis] + 1;
}

int clv_window_entry(const clv_window *window, int tensor_axis) {
    return CLV_MAX_SPATIAL - window->rank + tensor_axis - 2;
}

static void pad_same(clv_window *window, int axis, clv_auto_pad auto_pad, int64_t extent) {
    int64_t stride = window->stride[axis];
    int64_t positions = (extent + stride - 1) / stride;
    int64_t total = (positions - 1) * stride + clv_window_reach(window, axis) - extent;
    total = total > 0 ? total : 0;
    int64_t half = total / 2;
    window->pad_begin[axis] = auto_pad == CLV_PAD_SAME_UPPER ? half : total - half;
    window->pad_end[axis] = total - window->pad_begin[axis];
}

clv_status *clv_window_slide(
    clv_window *window, clv_auto_pad auto_pad, bool ceil_mode, const clv_shape *in_shape,
    clv_shape *out_shape) {
    for (int i = 2; i < in_shape->rank; i++) {
        int axis = clv_window_entry(window, i);
        int64_t extent = in_shape->dims[i], stride = window->stride[axis];
        if (auto_pad == CLV_PAD_SAME_UPPER || auto_pad == CLV_PAD_SAME_LOWER) {
            pad_same(window, axis, auto_pad, extent);
        }
        int64_t padded = extent + window->pad_begin[axis] + window->pad_end[axis];
        int64_t reach = clv_window_reach(window, axis);
        if (reach > padded) {
            return CLV_ERROR(
                MALFORMED,
                "the kernel reaches over %lld positions of spatial axis %d, the input has %lld "
                "with its padding",
                (long long)reach, i - 2, (long long)padded);
        }
        int64_t steps = padded - reach;
        int64_t count = (ceil_mode ? (steps + stride - 1) / stride : steps / stride) + 1;
        /* a window must not start in the padding behind the input */
        if (ceil_mode && (count - 1) * stride >= extent + window->pad_begin[axis]) {
            count--;
        }
        out_shape->dims[i] = count;
    }
    return NULL;
}

int clv_window_outer_axis(const clv_shape *out_shape) {
    for (int axis = 2; axis < out_shape->rank; axis++) {
        if (out_shape->dims[axis] > 1) {
            return axis;
        }
    }
    return 2;
}

void clv_window_need(const clv_window *window, int tensor_axis, clv_split_input *out_need) {
    int axis = clv_window_entry(window, tensor_axis);
    *out_need = (clv_split_input){
        .need = CLV_NEED_SLICE,
        .axis = tensor_axis,
        .num = window->stride[axis],
        .den = 1,
        .before = window->pad_begin[axis],
        .after = clv_window_reach(window, axis) - window->stride[axis] - window->pad_begin[axis],
    };
}

void clv_window_cut(
    clv_window *window, int tensor_axis, int64_t in_extent, int64_t begin, int64_t end) {
    int axis = clv_window_entry(window, tensor_axis);
    clv_split_input need;
    int64_t from, to;
    clv_window_need(window, tensor_axis, &need);
    clv_split_slice(&need, begin, end, in_extent, &from, &to);
    int64_t first = begin * window->stride[axis] - window->pad_begin[axis];
    window->pad_begin[axis] = from - first;
    window->pad_end[axis] = to == in_extent ? window->pad_end[axis] : 0;
}
