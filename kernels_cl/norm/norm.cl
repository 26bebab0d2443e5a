/* Normalisations over rows, channels and windows of channels. All float32; sums are taken in
 * lanes, blocks of 256 vectors at a time, so that long rows lose no accuracy: relative error
 * about 1e-6. */
#include "kernels_cl/clv.h"
#include "kernels_cl/elementwise/elementwise_math.h"
#include "kernels_cl/norm/norm_params.h"
#include "kernels_cl/wide.h"
#include "kernels_cl/wide_part.h"

#define NORM_BLOCK (256 * CLV_WIDTH)

/* Sums beside each other, so that none waits for the one before. */
#define NORM_SUMS 4

/* y = (x - mean[c]) / sqrt(variance[c] + epsilon) * scale[c] + bias[c]
 * x, y  [batch][channels][inner]; an item does `chunk` elements. */
CLV_ONCE CLV_WIDE static void batch_norm_item(
    global float *x, global float *scale, global float *bias, global float *mean,
    global float *variance, global float *y, const batch_norm_params p, const clv_range r,
    ulong item) {
    x = CLV_AT(float, x, r.offset[0]);
    scale = CLV_AT(float, scale, r.offset[1]);
    bias = CLV_AT(float, bias, r.offset[2]);
    mean = CLV_AT(float, mean, r.offset[3]);
    variance = CLV_AT(float, variance, r.offset[4]);
    y = CLV_AT(float, y, r.offset[5]);
    ulong i = item * p.chunk, end = min(i + p.chunk, p.elements);
    while (i < end) {
        uint c = (uint)(i / p.inner % p.channels);
        ulong run_end = min((i / p.inner + 1) * p.inner, end);
        float factor = scale[c] / sqrt(variance[c] + p.epsilon), middle = mean[c], shift = bias[c];
        for (; i + CLV_WIDTH <= run_end; i += CLV_WIDTH) {
            CLV_FV_STORE(
                y + i, fma(CLV_FV_LOAD(x + i) - middle, (clv_fv)(factor), (clv_fv)(shift)));
        }
        for (; i < run_end; i++) {
            y[i] = fma(x[i] - middle, factor, shift);
        }
    }
}

CLV_WIDE kernel void batch_norm(
    global float *x, global float *scale, global float *bias, global float *mean,
    global float *variance, global float *y, const batch_norm_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        batch_norm_item(x, scale, bias, mean, variance, y, p, r, item);
    }
}

/* The mean of n elements. */
static float norm_mean(const global float *x, uint n) {
    clv_fv total = (clv_fv)(0.0f);
    uint i = 0;
    while (i < n) {
        clv_fv parts[NORM_SUMS];
        _Pragma("unroll") for (int k = 0; k < NORM_SUMS; k++) {
            parts[k] = (clv_fv)(0.0f);
        }
        const uint end = min(i + NORM_BLOCK, n);
        for (; i + NORM_SUMS * CLV_WIDTH <= end; i += NORM_SUMS * CLV_WIDTH) {
            _Pragma("unroll") for (int k = 0; k < NORM_SUMS; k++) {
                parts[k] += CLV_FV_LOAD(x + i + k * CLV_WIDTH);
            }
        }
        for (; i < end; i += CLV_WIDTH) {
            parts[0] += clv_load_part(x + i, end - i, 0.0f);
        }
        total += (parts[0] + parts[1]) + (parts[2] + parts[3]);
    }
    return clv_sum_lanes(total) / (float)n;
}

/* The means of x - middle and of its square over n elements. */
static void norm_moments(
    const global float *x, uint n, float middle, float *out_first, float *out_second) {
    clv_fv first = (clv_fv)(0.0f), second = (clv_fv)(0.0f);
    uint i = 0;
    while (i < n) {
        clv_fv firsts[NORM_SUMS], seconds[NORM_SUMS];
        _Pragma("unroll") for (int k = 0; k < NORM_SUMS; k++) {
            firsts[k] = seconds[k] = (clv_fv)(0.0f);
        }
        const uint end = min(i + NORM_BLOCK, n);
        for (; i + NORM_SUMS * CLV_WIDTH <= end; i += NORM_SUMS * CLV_WIDTH) {
            _Pragma("unroll") for (int k = 0; k < NORM_SUMS; k++) {
                const clv_fv value = CLV_FV_LOAD(x + i + k * CLV_WIDTH) - middle;
                firsts[k] += value;
                seconds[k] = fma(value, value, seconds[k]);
            }
        }
        for (; i < end; i += CLV_WIDTH) {
            const clv_fv value = clv_load_part(x + i, end - i, middle) - middle;
            firsts[0] += value;
            seconds[0] = fma(value, value, seconds[0]);
        }
        first += (firsts[0] + firsts[1]) + (firsts[2] + firsts[3]);
        second += (seconds[0] + seconds[1]) + (seconds[2] + seconds[3]);
    }
    *out_first = clv_sum_lanes(first) / (float)n;
    *out_second = clv_sum_lanes(second) / (float)n;
}

/* Offset of element `index` of the input in an operand that broadcasts to it. */
static uint norm_offset(const norm_params *p, const uint *strides, ulong index) {
    uint offset = 0;
    for (int axis = (int)p->rank - 1; axis >= 0; axis--) {
        offset += (uint)(index % p->dims[axis]) * strides[axis];
        index /= p->dims[axis];
    }
    return offset;
}

/* y = ((x - middle) - rest) * inverse * scale + bias: the mean is middle + rest, so that a mean far
 * larger than the deviation costs no digits. */
static void norm_row(
    const global float *x, const global float *scale, const global float *bias, global float *y,
    ulong row, float middle, float rest, float inverse, const norm_params *p) {
    uint first = (uint)(row % p->row_mod) * p->row_step;
    if (p->is_general) {
        for (uint i = 0; i < p->n; i++) {
            float factor = inverse * scale[norm_offset(p, p->scale_strides, row * p->n + i)];
            float shift =
                p->has_bias ? bias[norm_offset(p, p->bias_strides, row * p->n + i)] : 0.0f;
            y[i] = fma(x[i] - middle - rest, factor, shift);
        }
        return;
    }
    if (p->run == 1) {
        uint i = 0;
        for (; i + CLV_WIDTH <= p->n; i += CLV_WIDTH) {
            const clv_fv factor = CLV_FV_LOAD(scale + first + i) * inverse;
            const clv_fv shift = p->has_bias ? CLV_FV_LOAD(bias + first + i) : (clv_fv)(0.0f);
            CLV_FV_STORE(y + i, fma(CLV_FV_LOAD(x + i) - middle - rest, factor, shift));
        }
        if (i < p->n) {
            uint count = p->n - i;
            clv_fv factor = clv_load_part(scale + first + i, count, 0.0f) * inverse;
            clv_fv shift =
                p->has_bias ? clv_load_part(bias + first + i, count, 0.0f) : (clv_fv)(0.0f);
            clv_fv value = clv_load_part(x + i, count, 0.0f) - middle - rest;
            clv_store_part(y + i, count, fma(value, factor, shift));
        }
        return;
    }
    for (uint start = 0; start < p->n; start += p->run, first++) {
        clv_fv factor = (clv_fv)(inverse * scale[first]);
        clv_fv shift = (clv_fv)(p->has_bias ? bias[first] : 0.0f);
        for (uint i = start; i < start + p->run; i += CLV_WIDTH) {
            uint count = start + p->run - i;
            clv_fv value = clv_load_part(x + i, count, 0.0f) - middle - rest;
            clv_store_part(y + i, count, fma(value, factor, shift));
        }
    }
}

/* y = (x - mean) / sqrt(variance + epsilon) * scale + bias over each row of x, [rows][n]; without
 * the mean: x / sqrt(mean of squares + epsilon) * scale. mean and inverse: [rows], inverse is
 * 1 / sqrt(...). An item does `rows_per_item` rows. */
CLV_ONCE CLV_WIDE static void norm_item(
    global float *x, global float *scale, global float *bias, global float *y, global float *mean,
    global float *inverse, const norm_params p, const clv_range r, ulong item) {
    x = CLV_AT(float, x, r.offset[0]);
    scale = CLV_AT(float, scale, r.offset[1]);
    bias = CLV_AT(float, bias, r.offset[2]);
    y = CLV_AT(float, y, r.offset[3]);
    mean = CLV_AT(float, mean, r.offset[4]);
    inverse = CLV_AT(float, inverse, r.offset[5]);
    ulong row = item * p.rows_per_item, end = min(row + p.rows_per_item, p.rows);
    for (; row < end; row++) {
        const global float *from = x + row * p.n;
        float middle = p.subtracts_mean ? norm_mean(from, p.n) : 0.0f, rest, square;
        norm_moments(from, p.n, middle, &rest, &square);
        rest = p.subtracts_mean ? rest : 0.0f;
        float factor = 1.0f / sqrt(fma(-rest, rest, square) + p.epsilon);
        if (p.has_y) {
            norm_row(from, scale, bias, y + row * p.n, row, middle, rest, factor, &p);
        }
        if (p.has_mean) {
            mean[row] = middle + rest;
        }
        if (p.has_inverse) {
            inverse[row] = factor;
        }
    }
}

CLV_WIDE kernel void norm(
    global float *x, global float *scale, global float *bias, global float *y, global float *mean,
    global float *inverse, const norm_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        norm_item(x, scale, bias, y, mean, inverse, p, r, item);
    }
}

/* y = x / (bias + factor * sum of x^2 over channels c - before .. c + after) ^ beta
 * x, y  [batch][channels][inner]; an item does `chunk` elements. */
CLV_ONCE CLV_WIDE static void lrn_item(
    global float *x, global float *y, const lrn_params p, const clv_range r, ulong item) {
    x = CLV_AT(float, x, r.offset[0]);
    y = CLV_AT(float, y, r.offset[1]);
    ulong i = item * p.chunk, end = min(i + p.chunk, p.elements);
    while (i < end) {
        uint c = (uint)(i / p.inner % p.channels);
        ulong run_end = min((i / p.inner + 1) * p.inner, end);
        uint before = min(p.before, c), after = min(p.after, p.channels - 1 - c);
        for (; i < run_end; i += CLV_WIDTH) {
            uint count = (uint)min(run_end - i, (ulong)CLV_WIDTH);
            const global float *from = x + i - (ulong)before * p.inner;
            clv_fv sum = (clv_fv)(0.0f);
            for (uint k = 0; k <= before + after; k++, from += p.inner) {
                clv_fv value = clv_load_part(from, count, 0.0f);
                sum = fma(value, value, sum);
            }
            clv_fv base = fma(sum, (clv_fv)(p.factor), (clv_fv)(p.bias));
            clv_fv value = clv_load_part(x + i, count, 0.0f);
            clv_store_part(y + i, count, value / pow(base, (clv_fv)(p.beta)));
        }
        i = run_end;
    }
}

CLV_WIDE kernel void lrn(global float *x, global float *y, const lrn_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        lrn_item(x, y, p, r, item);
    }
}

/* One row of n elements side by side. */
static void softmax_row(const global float *x, global float *y, const softmax_params *p) {
    clv_fv lanes = (clv_fv)(-INFINITY);
    for (uint i = 0; i < p->n; i += CLV_WIDTH) {
        clv_fv value = clv_load_part(x + i, p->n - i, -INFINITY);
        lanes = select(lanes, value, value > lanes);
    }
    float most = clv_max_lanes(lanes);
    clv_fv total = (clv_fv)(0.0f);
    uint i = 0;
    while (i < p->n) {
        clv_fv part = (clv_fv)(0.0f);
        for (uint end = min(i + NORM_BLOCK, p->n); i < end; i += CLV_WIDTH) {
            uint count = p->n - i;
            clv_fv value = clv_load_part(x + i, count, most) - most;
            clv_fv power = ew_exp_negative(value);
            if (!p->is_log) {
                clv_store_part(y + i, count, power);
            }
            if (count <
                CLV_WIDTH) { /* lanes behind the row are exp(0), or NaN where most is not finite */
                float kept[CLV_WIDTH];
                CLV_FV_KEEP(kept, power);
                for (uint lane = count; lane < CLV_WIDTH; lane++) {
                    kept[lane] = 0.0f;
                }
                power = CLV_PASTE(vload, CLV_WIDTH)(0, kept);
            }
            part += power;
        }
        total += part;
    }
    float sum = clv_sum_lanes(total), factor = 1.0f / sum, shift = log(sum);
    for (uint k = 0; k < p->n; k += CLV_WIDTH) {
        uint count = p->n - k;
        clv_fv value = p->is_log ? (clv_load_part(x + k, count, 0.0f) - most) - shift
                                 : clv_load_part(y + k, count, 0.0f) * factor;
        clv_store_part(y + k, count, value);
    }
}

/* `count` columns of n elements that lie `inner` apart. */
static void softmax_columns(
    const global float *x, global float *y, uint count, const softmax_params *p) {
    clv_fv most = (clv_fv)(-INFINITY), total = (clv_fv)(0.0f);
    ulong inner = p->inner;
    for (uint i = 0; i < p->n; i++) {
        clv_fv value = clv_load_part(x + i * inner, count, 0.0f);
        most = select(most, value, value > most);
    }
    uint i = 0;
    while (i < p->n) {
        clv_fv part = (clv_fv)(0.0f);
        for (uint end = min(i + 256, p->n); i < end; i++) {
            clv_fv power = ew_exp_negative(clv_load_part(x + i * inner, count, 0.0f) - most);
            if (!p->is_log) {
                clv_store_part(y + i * inner, count, power);
            }
            part += power;
        }
        total += part;
    }
    clv_fv factor = 1.0f / total, shift = log(total);
    for (uint k = 0; k < p->n; k++) {
        clv_fv value = p->is_log ? (clv_load_part(x + k * inner, count, 0.0f) - most) - shift
                                 : clv_load_part(y + k * inner, count, 0.0f) * factor;
        clv_store_part(y + k * inner, count, value);
    }
}

/* y = exp(x - max) / sum of exp(x - max), or x - max - log(sum), along n of [outer][n][inner].
 * An item does `rows_per_item` rows: of n elements, or of `chunks` vectors of columns a plane. */
CLV_ONCE CLV_WIDE static void softmax_item(
    global float *x, global float *y, const softmax_params p, const clv_range r, ulong item) {
    x = CLV_AT(float, x, r.offset[0]);
    y = CLV_AT(float, y, r.offset[1]);
    ulong row = item * p.rows_per_item, end = min(row + p.rows_per_item, p.rows);
    for (; row < end; row++) {
        if (!p.by_columns) {
            softmax_row(x + row * p.n, y + row * p.n, &p);
            continue;
        }
        uint column = (uint)(row % p.chunks) * CLV_WIDTH;
        ulong offset = row / p.chunks * p.n * p.inner + column;
        softmax_columns(x + offset, y + offset, min(p.inner - column, (uint)CLV_WIDTH), &p);
    }
}

CLV_WIDE kernel void softmax(
    global float *x, global float *y, const softmax_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        softmax_item(x, y, p, r, item);
    }
}
