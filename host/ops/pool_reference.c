#include "host/ops/pool_reference.h"

#include "kernels_cl/pool/pool.h"
#include <math.h>

enum { AXES = CLV_MAX_SPATIAL };

typedef struct pool_work {
    const clv_pool_params *op;
    clv_pool_shape shape;
    clv_dtype dtype;
    const void *in;
} pool_work;

/* What one window gives. */
typedef struct pool_sum {
    double value; /* maximum, or sum of terms */
    int64_t best; /* its position in the plane, z, y, x as one; -1: none yet */
} pool_sum;

/* Taps [low, high) of a window that starts at `start` and lie in [0, extent). */
static void find_taps(
    const clv_window *window, int axis, int64_t start, int64_t extent, int64_t *out_low,
    int64_t *out_high) {
    int64_t step = window->dilation[axis];
    int64_t low = start < 0 ? (-start + step - 1) / step : 0;
    int64_t high = extent > start ? (extent - start + step - 1) / step : 0;
    *out_high = high < window->kernel[axis] ? high : window->kernel[axis];
    *out_low = low < *out_high ? low : *out_high;
}

/* How many elements an average counts. */
static double count_taps(const pool_work *work, const int64_t start[AXES]) {
    const clv_window *window = &work->shape.window;
    double count = 1.0;
    for (int a = 0; a < AXES; a++) {
        int64_t low, high, pad = 0, extent = work->shape.in[a];
        if (work->op->count_include_pad) {
            pad = window->pad_begin[a];
            extent += pad + window->pad_end[a];
        }
        find_taps(window, a, start[a] + pad, extent, &low, &high);
        count *= (double)(high - low);
    }
    return count;
}

static void add_element(const pool_work *work, int64_t plane, int64_t at, pool_sum *sum) {
    int64_t elements = work->shape.in[0] * work->shape.in[1] * work->shape.in[2];
    double value = clv_load_double(work->dtype, work->in, plane * elements + at);
    if (work->op->kind == CLV_POOL_MAX) {
        if (!isnan(value) && (sum->best < 0 || value > sum->value)) { /* NaN is no maximum */
            sum->value = value;
            sum->best = at;
        }
    } else if (work->op->kind == CLV_POOL_AVERAGE) {
        sum->value += value;
    } else {
        sum->value += work->op->p == 2 ? value * value : pow(fabs(value), work->op->p);
    }
}

static void visit_window(
    const pool_work *work, int64_t plane, const int64_t start[AXES], pool_sum *sum) {
    const clv_pool_shape *shape = &work->shape;
    const int64_t *step = shape->window.dilation;
    int64_t low[AXES], high[AXES];
    for (int a = 0; a < AXES; a++) {
        find_taps(&shape->window, a, start[a], shape->in[a], &low[a], &high[a]);
    }
    for (int64_t z = low[0]; z < high[0]; z++) {
        for (int64_t y = low[1]; y < high[1]; y++) {
            for (int64_t x = low[2]; x < high[2]; x++) {
                int64_t row = (start[0] + z * step[0]) * shape->in[1] + start[1] + y * step[1];
                add_element(work, plane, row * shape->in[2] + start[2] + x * step[2], sum);
            }
        }
    }
}

static double finish(const pool_work *work, const int64_t start[AXES], const pool_sum *sum) {
    switch (work->op->kind) {
    case CLV_POOL_MAX:
        if (sum->best < 0) {
            return work->dtype == CLV_FLOAT32 ? -INFINITY : work->dtype == CLV_INT8 ? -128.0 : 0.0;
        }
        return sum->value;
    case CLV_POOL_AVERAGE:
        return sum->value / count_taps(work, start);
    default:
        return pow(sum->value, 1.0 / work->op->p);
    }
}

static int64_t whole_index(const pool_work *work, int64_t plane, int64_t best) {
    const int64_t *in = work->shape.in;
    int64_t elements = in[0] * in[1] * in[2];
    if (best < 0) {
        return 0;
    }
    if (work->op->is_column_major) {
        int64_t x = best % in[2], y = best / in[2] % in[1], z = best / in[2] / in[1];
        best = (x * in[1] + y) * in[0] + z;
    }
    return plane * elements + best;
}

clv_status *clv_pool_reference(const clv_call *call, const clv_mutable_view *outputs) {
    pool_work work = {
        .op = call->params, .dtype = call->inputs[0].dtype, .in = call->inputs[0].data};
    clv_pool_shape_of(call, &work.shape);
    const clv_pool_shape *shape = &work.shape;
    int64_t positions = shape->out[0] * shape->out[1] * shape->out[2];
    for (int64_t i = 0; i < shape->planes * positions; i++) {
        int64_t rest = i, start[AXES];
        for (int a = AXES - 1; a >= 0; a--) {
            start[a] = rest % shape->out[a] * shape->window.stride[a] - shape->window.pad_begin[a];
            rest /= shape->out[a];
        }
        pool_sum sum = {.best = -1};
        visit_window(&work, rest, start, &sum);
        if (outputs[0].data != NULL) {
            clv_store_double(outputs[0].dtype, outputs[0].data, i, finish(&work, start, &sum));
        }
        if (call->num_outputs > 1 && outputs[1].data != NULL) {
            clv_store_int64(CLV_INT64, outputs[1].data, i, whole_index(&work, rest, sum.best));
        }
    }
    return NULL;
}
