#include "host/ops/conv_reference.h"

#include "host/base/memory.h"
#include "host/ops/floats.h"
#include "host/ops/multiply_add.h"
#include "kernels_cl/conv/conv.h"
#include <string.h>

enum { AXES = CLV_MAX_SPATIAL, ROWS = CLV_SUM_ROWS, BLOCK = 512 };

/* A call with its extents; arrays are z, y, x. */
typedef struct conv_work {
    const clv_conv_params *op;
    const float *x, *w, *bias, *scale; /* the last two: NULL where there is none */
    float *y;
    int64_t batch, groups, group_in, group_out, taps;
    int64_t in[AXES], out[AXES];
    double *sums; /* [ROWS][BLOCK rounded up to rows], or one output plane */
} conv_work;

static int64_t product(const int64_t values[AXES]) {
    return values[0] * values[1] * values[2];
}

/* The positions o in [0, out) with 0 <= o * stride + shift < in. */
static void valid_range(
    int64_t out, int64_t in, int64_t stride, int64_t shift, int64_t *out_low, int64_t *out_high) {
    int64_t low = shift < 0 ? (-shift + stride - 1) / stride : 0;
    int64_t high = in - shift > 0 ? (in - shift + stride - 1) / stride : 0;
    *out_high = high < out ? high : out;
    *out_low = low < *out_high ? low : *out_high;
}

/* Adds tap k of one input plane to output rows [first, first + num) (z and y as one). */
static void add_tap(
    conv_work *work, const float *plane, const int64_t k[AXES], int64_t first, int64_t num,
    int64_t pitch, const double weights[ROWS]) {
    const clv_window *window = &work->op->window;
    int64_t shift[AXES], low, high;
    for (int a = 0; a < AXES; a++) {
        shift[a] = k[a] * window->dilation[a] - window->pad_begin[a];
    }
    valid_range(work->out[2], work->in[2], window->stride[2], shift[2], &low, &high);
    for (int64_t row = 0; row < num && low < high; row++) {
        int64_t z = (first + row) / work->out[1] * window->stride[0] + shift[0];
        int64_t y = (first + row) % work->out[1] * window->stride[1] + shift[1];
        if (z < 0 || z >= work->in[0] || y < 0 || y >= work->in[1]) {
            continue;
        }
        const float *x = plane + (z * work->in[1] + y) * work->in[2];
        clv_multiply_add(
            work->sums + row * work->out[2] + low, pitch, x + low * window->stride[2] + shift[2],
            window->stride[2], high - low, weights);
    }
}

static void next_index(const int64_t extents[AXES], int64_t index[AXES]) {
    for (int a = AXES - 1; a >= 0 && ++index[a] == extents[a]; a--) {
        index[a] = 0;
    }
}

/* Up to ROWS output channels from `m` on, output rows [first, first + num), of one image and group.
 */
static void conv_block(
    conv_work *work, int64_t image, int64_t group, int64_t m, int64_t first, int64_t num) {
    int64_t count = num * work->out[2], in_plane = product(work->in);
    int64_t channel = group * work->group_out + m;
    int64_t rows = work->group_out - m < ROWS ? work->group_out - m : ROWS;
    for (int64_t j = 0; j < ROWS; j++) {
        double start = work->bias != NULL && j < rows ? work->bias[channel + j] : 0.0;
        for (int64_t i = 0; i < count; i++) {
            work->sums[j * count + i] = start;
        }
    }
    const int64_t in_channels = work->groups * work->group_in;
    const float *x = work->x + image * in_channels * in_plane;
    const float *w = work->w + channel * work->group_in * work->taps;
    for (int64_t c = 0; c < work->group_in; c++) {
        int64_t k[AXES] = {0};
        const int64_t from =
            clv_conv_shuffled(work->op->shuffle, in_channels, group * work->group_in + c);
        const double factor = work->scale != NULL ? work->scale[image * in_channels + from] : 1;
        for (int64_t t = 0; t < work->taps; t++, next_index(work->op->window.kernel, k)) {
            double weights[ROWS] = {0};
            for (int64_t j = 0; j < rows; j++) {
                weights[j] = w[(j * work->group_in + c) * work->taps + t] * factor;
            }
            add_tap(work, x + from * in_plane, k, first, num, count, weights);
        }
    }
    int64_t out_plane = product(work->out);
    float *y = work->y + (image * work->groups * work->group_out + channel) * out_plane +
               first * work->out[2];
    for (int64_t j = 0; j < rows; j++) {
        for (int64_t i = 0; i < count; i++) {
            y[j * out_plane + i] = (float)work->sums[j * count + i];
        }
    }
}

static void conv_all(conv_work *work, int64_t rows_per_block) {
    int64_t rows = work->out[0] * work->out[1];
    for (int64_t i = 0; i < work->batch * work->groups; i++) {
        for (int64_t first = 0; first < rows; first += rows_per_block) {
            int64_t num = rows - first < rows_per_block ? rows - first : rows_per_block;
            for (int64_t m = 0; m < work->group_out; m += ROWS) {
                conv_block(work, i / work->groups, i % work->groups, m, first, num);
            }
        }
    }
}

/* Scatters one input plane, times the weights of one output channel, into its plane of sums. */
static void transposed_plane(conv_work *work, const float *plane, const float *w) {
    const clv_window *window = &work->op->window;
    int64_t k[AXES] = {0};
    for (int64_t t = 0; t < work->taps; t++, next_index(window->kernel, k)) {
        int64_t shift[AXES];
        for (int a = 0; a < AXES; a++) {
            shift[a] = k[a] * window->dilation[a] - window->pad_begin[a];
        }
        for (int64_t row = 0; row < work->in[0] * work->in[1]; row++) {
            int64_t z = row / work->in[1] * window->stride[0] + shift[0];
            int64_t y = row % work->in[1] * window->stride[1] + shift[1];
            if (z < 0 || z >= work->out[0] || y < 0 || y >= work->out[1]) {
                continue;
            }
            int64_t low, high;
            valid_range(work->in[2], work->out[2], window->stride[2], shift[2], &low, &high);
            double *sums = work->sums + (z * work->out[1] + y) * work->out[2];
            for (int64_t i = low; i < high; i++) {
                sums[i * window->stride[2] + shift[2]] +=
                    (double)w[t] * (double)plane[row * work->in[2] + i];
            }
        }
    }
}

static void transposed_all(conv_work *work) {
    int64_t in_plane = product(work->in), out_plane = product(work->out);
    int64_t channels = work->groups * work->group_out;
    for (int64_t i = 0; i < work->batch * channels; i++) {
        int64_t image = i / channels, channel = i % channels;
        int64_t group = channel / work->group_out, m = channel % work->group_out;
        for (int64_t j = 0; j < out_plane; j++) {
            work->sums[j] = work->bias != NULL ? work->bias[channel] : 0.0;
        }
        for (int64_t c = group * work->group_in; c < (group + 1) * work->group_in; c++) {
            transposed_plane(
                work, work->x + (image * work->groups * work->group_in + c) * in_plane,
                work->w + (c * work->group_out + m) * work->taps);
        }
        for (int64_t j = 0; j < out_plane; j++) {
            work->y[i * out_plane + j] = (float)work->sums[j];
        }
    }
}

static void fill_extents(const clv_call *call, conv_work *work) {
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    const clv_window *window = &work->op->window;
    work->batch = in->dims[0];
    work->groups = work->op->groups;
    work->group_in = in->dims[1] / work->groups;
    work->group_out = out->dims[1] / work->groups;
    work->taps = product(window->kernel);
    for (int a = 0; a < AXES; a++) {
        int axis = 2 + a - (AXES - window->rank);
        work->in[a] = axis < 2 ? 1 : in->dims[axis];
        work->out[a] = axis < 2 ? 1 : out->dims[axis];
    }
    /* a kernel of one tap without padding sees a plane as one row */
    bool is_flat = work->taps == 1;
    for (int a = 0; a < AXES; a++) {
        is_flat = is_flat && window->stride[a] == 1 && window->pad_begin[a] == 0 &&
                  work->in[a] == work->out[a];
    }
    if (is_flat) {
        work->in[2] = work->out[2] = product(work->in);
        work->in[0] = work->in[1] = work->out[0] = work->out[1] = 1;
    }
}

clv_status *clv_conv_reference(const clv_call *call, const clv_mutable_view *outputs) {
    clv_status *status = NULL;
    clv_floats x = {0}, w = {0}, bias = {0}, scale = {0};
    conv_work work = {.op = call->params, .y = outputs[0].data};
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    fill_extents(call, &work);
    int64_t rows = work.out[2] < BLOCK ? BLOCK / work.out[2] : 1;
    int64_t sums = work.op->is_transposed ? product(work.out) : ROWS * rows * work.out[2];
    CLV_TRY_DONE(clv_floats_init(&call->inputs[0], &x));
    CLV_TRY_DONE(clv_floats_init(&call->inputs[1], &w));
    if (clv_call_has_input(call, 2) && !work.op->skip_bias) {
        CLV_TRY_DONE(clv_floats_init(&call->inputs[2], &bias));
    }
    if (clv_conv_has_scale(call)) {
        CLV_TRY_DONE(clv_floats_init(&call->inputs[CLV_CONV_SCALE], &scale));
    }
    work.sums = clv_alloc((size_t)sums * sizeof *work.sums);
    if (work.sums == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for the sums of a convolution");
        goto done;
    }
    work.x = x.data;
    work.w = w.data;
    work.bias = bias.data;
    work.scale = scale.data;
    if (work.op->is_transposed) {
        transposed_all(&work);
    } else {
        conv_all(&work, rows);
    }
done:
    clv_floats_deinit(&x);
    clv_floats_deinit(&w);
    clv_floats_deinit(&bias);
    clv_floats_deinit(&scale);
    clv_free(work.sums);
    return status;
}
