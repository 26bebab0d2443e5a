#include "kernels_cl/resize/resize.h"

#include <math.h>

bool clv_resize_keeps(const clv_resize_op *op, int axis) {
    const clv_resize_axis *a = &op->axes[axis];
    const bool cropped =
        op->coordinates == CLV_RESIZE_TF_CROP_AND_RESIZE && (a->roi_start != 0 || a->roi_end != 1);
    return a->in == a->out && a->scale == 1 && !cropped;
}

/* A step of arithmetic. Where the nearest position is wanted, a last digit decides between two
 * neighbours: there the steps are those of float, as in the engines that models were tested with.
 */
static double step(const clv_resize_op *op, double value) {
    return op->mode == CLV_RESIZE_NEAREST ? (double)(float)value : value;
}

/* Where output position `at` lies on the input axis. */
static double original(const clv_resize_op *op, const clv_resize_axis *a, int64_t at) {
    const double x = (double)at, in_last = (double)(a->in - 1);
    const double scale = step(op, a->scale);
    switch (op->coordinates) {
    case CLV_RESIZE_HALF_PIXEL_SYMMETRIC: {
        /* the output's length before it was made whole, in the middle of what it became */
        const double length = step(op, scale * (double)a->in);
        const double adjustment = step(op, (double)a->out / length);
        const double offset = step(op, (double)a->in / 2 * step(op, 1 - adjustment));
        return step(op, offset + step(op, step(op, (x + 0.5) / scale) - 0.5));
    }
    case CLV_RESIZE_PYTORCH_HALF_PIXEL:
        return a->out > 1 ? step(op, step(op, (x + 0.5) / scale) - 0.5) : 0;
    case CLV_RESIZE_ALIGN_CORNERS: {
        /* ONNX's reference takes the length before it was made whole, unlike its text */
        const double last = step(op, a->scale * (double)a->in - 1);
        return last == 0 || a->out == 1 ? 0 : step(op, step(op, x * in_last) / last);
    }
    case CLV_RESIZE_ASYMMETRIC:
        return step(op, x / scale);
    case CLV_RESIZE_TF_HALF_PIXEL_FOR_NN:
        return step(op, (x + 0.5) / scale);
    case CLV_RESIZE_TF_CROP_AND_RESIZE: {
        const double extent = step(op, a->roi_end - a->roi_start);
        if (a->out <= 1) {
            return step(op, 0.5 * (a->roi_start + a->roi_end) * in_last);
        }
        const double offset =
            step(op, step(op, step(op, x * extent) * in_last) / (double)(a->out - 1));
        return step(op, step(op, a->roi_start * in_last) + offset);
    }
    default:
        return step(op, step(op, (x + 0.5) / scale) - 0.5);
    }
}

/* A tie that rounding errors have moved a little is still a tie (1e-6: as in ONNX Runtime). */
static double rounded(clv_resize_rounding rounding, double x, double scale) {
    const double tie = 0.5 + 1e-6;
    switch (rounding) {
    case CLV_RESIZE_ROUND_PREFER_FLOOR:
        return ceil(x - tie);
    case CLV_RESIZE_ROUND_PREFER_CEIL:
        return floor(x + tie);
    case CLV_RESIZE_CEIL:
        return ceil(x);
    case CLV_RESIZE_BEFORE_11:
        return scale < 1 ? ceil(x) : floor(x);
    default:
        return floor(x);
    }
}

/* Half the width of the filter, in input positions. */
static double radius(const clv_resize_op *op, const clv_resize_axis *a) {
    const double support = op->mode == CLV_RESIZE_CUBIC ? 2 : 1;
    return op->antialias && a->scale < 1 ? support / a->scale : support;
}

static double filter(const clv_resize_op *op, double distance) {
    const double d = fabs(distance), a = op->cubic_a;
    if (op->mode == CLV_RESIZE_LINEAR) {
        return d < 1 ? 1 - d : 0;
    }
    if (d <= 1) {
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    }
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

int64_t clv_resize_max_taps(const clv_resize_op *op, int axis) {
    const clv_resize_axis *a = &op->axes[axis];
    if (op->mode == CLV_RESIZE_NEAREST) {
        return 1;
    }
    /* an open interval of that length holds no more whole numbers */
    const double width = ceil(2 * radius(op, a));
    return width < (double)a->in ? (int64_t)width : a->in;
}

static int64_t clamp(double value, int64_t low, int64_t high) {
    return value < (double)low ? low : value > (double)high ? high : (int64_t)value;
}

clv_resize_window clv_resize_window_at(
    const clv_resize_op *op, int axis, int64_t at, double *out_weights) {
    const clv_resize_axis *a = &op->axes[axis];
    const int64_t last = a->in - 1;
    const double x = original(op, a, at);
    if (op->coordinates == CLV_RESIZE_TF_CROP_AND_RESIZE && !(x >= 0 && x <= (double)last)) {
        return (clv_resize_window){.is_outside = true};
    }
    if (op->mode == CLV_RESIZE_NEAREST) {
        out_weights[0] = 1;
        return (clv_resize_window){
            .first = clamp(rounded(op->rounding, x, a->scale), 0, last), .count = 1};
    }
    /* positions within the filter, which may lie beyond the edges; those at its very end weigh 0 */
    const double reach = radius(op, a);
    const double low = floor(x - reach) + 1, high = ceil(x + reach) - 1;
    const clv_resize_window window = {
        .first = clamp(low, 0, last),
        .count = clamp(high, 0, last) - clamp(low, 0, last) + 1,
    };
    double sum = 0;
    for (int64_t i = 0; i < window.count; i++) {
        out_weights[i] = 0;
    }
    const double shrink = (op->mode == CLV_RESIZE_CUBIC ? 2 : 1) / reach;
    for (double k = low; k <= high; k++) {
        const bool outside = k < 0 || k > (double)last;
        if (!(outside && op->exclude_outside)) {
            const double weight = filter(op, (k - x) * shrink);
            out_weights[clamp(k, window.first, window.first + window.count - 1) - window.first] +=
                weight;
            sum += weight;
        }
    }
    if ((op->exclude_outside || op->antialias) && sum != 0) {
        for (int64_t i = 0; i < window.count; i++) {
            out_weights[i] /= sum;
        }
    }
    return window;
}
