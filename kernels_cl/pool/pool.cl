/* Pooling: maximum, average or Lp norm of windows that slide over the z, y and x of each plane.
 *
 * Only taps inside the input are visited. `pool` (float32) takes vectors of output positions, or,
 * where an output row is short and the window long (global pooling), vectors along the window.
 * `pool_any` also does int8 and uint8 and Indices, one element at a time. A NaN is never a maximum;
 * a window with nothing in it has maximum -inf (the smallest integer), average NaN. Averages
 * accumulate in float, at most 1024 additions in a row: relative error about 1e-6.
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/pool/pool_terms.h"
#include "kernels_cl/wide.h"
#include "kernels_cl/wide_part.h"

/* from[lane * stride] where that lies in [0, extent) of the row, else `neutral`; `at`: position of
 * lane 0 in the row. */
static clv_fv pool_load(const global float *row, long at, long stride, long extent, float neutral) {
    if (at >= 0 && stride == 1 && at + CLV_WIDTH <= extent) {
        return CLV_FV_LOAD(row + at);
    }
    if (at >= 0 && stride == 2 && at + 2 * CLV_WIDTH <= extent) {
        clv_fv a = CLV_FV_LOAD(row + at), b = CLV_FV_LOAD(row + at + CLV_WIDTH);
        return (clv_fv)(a.even, b.even);
    }
    float values[CLV_WIDTH];
    for (int lane = 0; lane < CLV_WIDTH; lane++) {
        long x = at + lane * stride;
        values[lane] = x >= 0 && x < extent ? row[x] : neutral;
    }
    return CLV_PASTE(vload, CLV_WIDTH)(0, values);
}

/* Output positions [x, x + CLV_WIDTH) of one row. */
static clv_fv pool_vector(
    const global float *plane, const pool_params *p, const pool_rows *w, uint x) {
    float neutral = p->kind == POOL_MAX ? -INFINITY : 0.0f;
    long first = (long)x * p->stride[2] - p->pad[2], last = first + (CLV_WIDTH - 1) * p->stride[2];
    long x0 = 0, x1 = p->window[2], unused;
    bool is_inside = first >= 0 && last + (x1 - 1) * p->dilation[2] < p->in[2];
    if (!is_inside) { /* what any lane can see */
        pool_taps(last, p->dilation[2], p->window[2], p->in[2], &x0, &unused);
        pool_taps(first, p->dilation[2], p->window[2], p->in[2], &unused, &x1);
    }
    clv_fv sum = (clv_fv)(neutral);
    for (long z = w->z0; z < w->z1; z++) {
        for (long y = w->y0; y < w->y1; y++) {
            long row = (w->z + z * p->dilation[0]) * p->in[1] + w->y + y * p->dilation[1];
            const global float *from = plane + row * p->in[2];
            for (long k = x0; k < x1; k++) {
                long at = first + k * p->dilation[2];
                sum = pool_term(p, sum, pool_load(from, at, p->stride[2], p->in[2], neutral));
            }
        }
    }
    if (p->kind != POOL_AVERAGE) {
        return pool_end(p, sum, sum);
    }
    float outer = (float)(pool_count(p, 0, w->z) * pool_count(p, 1, w->y)), counts[CLV_WIDTH];
    for (int lane = 0; lane < CLV_WIDTH; lane++) {
        long count = is_inside ? p->window[2] : pool_count(p, 2, first + lane * p->stride[2]);
        counts[lane] = outer * (float)count;
    }
    return pool_end(p, sum, CLV_PASTE(vload, CLV_WIDTH)(0, counts));
}

/* One row of a window, taps side by side, into `sum`. */
static clv_fv pool_row(const global float *row, long count, const pool_params *p, clv_fv sum) {
    float neutral = p->kind == POOL_MAX ? -INFINITY : 0.0f;
    long k = 0;
    while (k + CLV_WIDTH <= count) {
        clv_fv part = (clv_fv)(neutral);
        for (long end = min(k + 1024 * CLV_WIDTH, count); k + CLV_WIDTH <= end; k += CLV_WIDTH) {
            part = pool_term(p, part, CLV_FV_LOAD(row + k));
        }
        sum = p->kind == POOL_MAX ? select(sum, part, part > sum) : sum + part;
    }
    return k < count ? pool_term(p, sum, pool_load(row + k, 0, 1, count - k, neutral)) : sum;
}

/* One output position, vectors along the window. */
static float pool_wide(
    const global float *plane, const pool_params *p, const pool_rows *w, uint x) {
    float neutral = p->kind == POOL_MAX ? -INFINITY : 0.0f;
    long x0, x1, start = (long)x * p->stride[2] - p->pad[2];
    pool_taps(start, 1, p->window[2], p->in[2], &x0, &x1);
    clv_fv sum = (clv_fv)(neutral);
    for (long z = w->z0; z < w->z1; z++) {
        for (long y = w->y0; y < w->y1; y++) {
            long row = (w->z + z * p->dilation[0]) * p->in[1] + w->y + y * p->dilation[1];
            sum = pool_row(plane + row * p->in[2] + start + x0, x1 - x0, p, sum);
        }
    }
    float total = p->kind == POOL_MAX ? clv_max_lanes(sum) : clv_sum_lanes(sum);
    float count = 1.0f;
    if (p->kind == POOL_AVERAGE) {
        count = (float)(pool_count(p, 0, w->z) * pool_count(p, 1, w->y)) *
                (float)pool_count(p, 2, start);
    }
    return pool_end(p, (clv_fv)(total), (clv_fv)(count)).s0;
}

/* in   [planes][in z][in y][in x]
 * out  [planes][out z][out y][out x]
 * An item does a chunk of each of `rows` rows of `out`, counted over all planes. */
CLV_ONCE CLV_WIDE static void pool_item(
    global float *in, global float *out, const pool_params p, const clv_range r, ulong item) {
    in = CLV_AT(float, in, r.offset[0]);
    out = CLV_AT(float, out, r.offset[1]);
    uint begin = (uint)(item % p.chunks) * p.chunk, end = min(begin + p.chunk, p.out[2]);
    ulong row = item / p.chunks * p.rows, last_row = min(row + p.rows, p.elements / p.out[2]);
    ulong in_plane = (ulong)p.in[0] * p.in[1] * p.in[2];
    for (; row < last_row; row++) {
        const global float *plane = in + row / p.out[1] / p.out[0] * in_plane;
        global float *to = out + row * p.out[2];
        pool_rows w;
        w.z = (long)(row / p.out[1] % p.out[0]) * p.stride[0] - p.pad[0];
        w.y = (long)(row % p.out[1]) * p.stride[1] - p.pad[1];
        pool_taps(w.z, p.dilation[0], p.window[0], p.in[0], &w.z0, &w.z1);
        pool_taps(w.y, p.dilation[1], p.window[1], p.in[1], &w.y0, &w.y1);
        for (uint x = begin; x < end && p.is_wide; x++) {
            to[x] = pool_wide(plane, &p, &w, x);
        }
        if (p.is_wide) {
            continue;
        }
        for (uint x = begin; x < end; x += CLV_WIDTH) {
            clv_store_part(to + x, end - x, pool_vector(plane, &p, &w, x));
        }
    }
}

CLV_WIDE kernel void pool(
    global float *in, global float *out, const pool_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        pool_item(in, out, p, r, item);
    }
}

/* Element a is larger than element b. */
static bool pool_is_more(const global uchar *in, uint dtype, ulong a, ulong b) {
    if (dtype == CLV_FLOAT32) {
        return ((const global float *)in)[a] > ((const global float *)in)[b];
    }
    return clv_load_long(in, dtype, (uint)a) > clv_load_long(in, dtype, (uint)b);
}

static bool pool_is_nan(const global uchar *in, uint dtype, ulong at) {
    return dtype == CLV_FLOAT32 && isnan(((const global float *)in)[at]);
}

/* Maximum of float32, int8 or uint8, and where it lies: `index` counts elements of the whole input,
 * its planes in row-major or column-major order. An item does `rows` elements of the output. */
CLV_ONCE static void pool_any_item(
    global uchar *in, global uchar *out, global long *index, const pool_params p, const clv_range r,
    ulong item) {
    in = CLV_AT(uchar, in, r.offset[0]);
    out = CLV_AT(uchar, out, r.offset[1]);
    index = CLV_AT(long, index, r.offset[2]);
    ulong in_plane = (ulong)p.in[0] * p.in[1] * p.in[2], end = min((item + 1) * p.rows, p.elements);
    for (ulong i = item * p.rows; i < end; i++) {
        ulong rest = i;
        long low[3], high[3], start[3];
        for (int a = 2; a >= 0; a--) {
            start[a] = (long)(rest % p.out[a]) * p.stride[a] - p.pad[a];
            rest /= p.out[a];
            pool_taps(start[a], p.dilation[a], p.window[a], p.in[a], &low[a], &high[a]);
        }
        bool is_found = false;
        ulong best = 0, best_z = 0, best_y = 0, best_x = 0;
        for (long kz = low[0]; kz < high[0]; kz++) {
            for (long ky = low[1]; ky < high[1]; ky++) {
                for (long kx = low[2]; kx < high[2]; kx++) {
                    ulong z = start[0] + kz * p.dilation[0], y = start[1] + ky * p.dilation[1];
                    ulong x = start[2] + kx * p.dilation[2];
                    ulong at = rest * in_plane + (z * p.in[1] + y) * p.in[2] + x;
                    if (is_found ? pool_is_more(in, p.dtype, at, best)
                                 : !pool_is_nan(in, p.dtype, at)) {
                        is_found = true;
                        best = at;
                        best_z = z;
                        best_y = y;
                        best_x = x;
                    }
                }
            }
        }
        if (p.has_values && p.dtype == CLV_FLOAT32) {
            ((global float *)out)[i] = is_found ? ((const global float *)in)[best] : -INFINITY;
        } else if (p.has_values) {
            long least = p.dtype == CLV_INT8 ? -128 : 0;
            long value = is_found ? clv_load_long(in, p.dtype, (uint)best) : least;
            clv_store_long(out, p.dtype, (uint)i, value);
        }
        if (p.has_index && p.is_column_major && is_found) {
            best = rest * in_plane + (best_x * p.in[1] + best_y) * p.in[0] + best_z;
        }
        if (p.has_index) {
            index[i] = (long)best;
        }
    }
}

kernel void pool_any(
    global uchar *in, global uchar *out, global long *index, const pool_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        pool_any_item(in, out, index, p, r, item);
    }
}
