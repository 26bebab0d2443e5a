/* Contraction of one or two operands over strided index spaces:
 *
 *     out[o] = sum over s of a[o . out_a + s . sum_a] * b[o . out_b + s . sum_b]
 *
 * `einsum` (float32) takes a vector of positions of the last axis of o, or, where that is not
 * made of unit strides and the last axis of s is, a vector of those. Sums are in float by fma, in
 * lanes, EINSUM_BLOCK terms at a time, so that long ones lose no accuracy: relative error about
 * 1e-6. The others do one element after the other; integers wrap. No local memory. */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/einsum/einsum_params.h"
#include "kernels_cl/wide.h"
#include "kernels_cl/wide_part.h"

#define EINSUM_BLOCK 256

/* Offsets in a and b of position `index` of the first `count` axes of a space. */
static void einsum_offsets(
    const uint *extents, const uint *strides_a, const uint *strides_b, int count, ulong index,
    ulong *a, ulong *b) {
    *a = *b = 0;
    for (int axis = count - 1; axis >= 0; axis--) {
        ulong at = index % extents[axis];
        index /= extents[axis];
        *a += at * strides_a[axis];
        *b += at * strides_b[axis];
    }
}

/* Lanes from[lane * stride]; only the first `count` may be read. */
static clv_fv einsum_load(const global float *from, uint stride, uint count) {
    if (stride == 0) {
        return (clv_fv)(*from);
    }
    if (stride == 1 && count >= CLV_WIDTH) {
        return CLV_FV_LOAD(from);
    }
    float lanes[CLV_WIDTH];
    for (uint lane = 0; lane < CLV_WIDTH; lane++) {
        lanes[lane] = from[(ulong)min(lane, count - 1) * stride];
    }
    return CLV_PASTE(vload, CLV_WIDTH)(0, lanes);
}

/* A vector of `count` positions along the last axis of o. */
static clv_fv einsum_vector(
    const global float *a, const global float *b, uint count, const einsum_params *p) {
    uint last = p->num_sum - 1, step_a = p->out_a[p->num_out - 1],
         step_b = p->out_b[p->num_out - 1];
    clv_fv total = (clv_fv)(0.0f), sum = total;
    uint left = EINSUM_BLOCK; /* terms until `sum` is closed */
    for (ulong s = 0; s < p->sums; s += p->sum[last]) {
        ulong at_a, at_b;
        einsum_offsets(p->sum, p->sum_a, p->sum_b, last, s / p->sum[last], &at_a, &at_b);
        const global float *from_a = a + at_a, *from_b = b + at_b;
        for (uint k = 0; k < p->sum[last];) {
            uint end = min(p->sum[last], k + left);
            left -= end - k;
            for (; k < end; k++) {
                clv_fv value = einsum_load(from_a, step_a, count);
                sum = p->has_b ? fma(value, einsum_load(from_b, step_b, count), sum) : sum + value;
                from_a += p->sum_a[last];
                from_b += p->sum_b[last];
            }
            if (left == 0) {
                left = EINSUM_BLOCK;
                total += sum;
                sum = (clv_fv)(0.0f);
            }
        }
    }
    return total + sum;
}

/* One position of o, vectors along the last axis of s. */
static float einsum_dot(const global float *a, const global float *b, const einsum_params *p) {
    uint last = p->num_sum - 1, count = p->sum[last], step_a = p->sum_a[last],
         step_b = p->sum_b[last];
    clv_fv total = (clv_fv)(0.0f), sum = total;
    uint left = EINSUM_BLOCK; /* vectors until `sum` is closed */
    for (ulong s = 0; s < p->sums; s += count) {
        ulong at_a, at_b;
        einsum_offsets(p->sum, p->sum_a, p->sum_b, last, s / count, &at_a, &at_b);
        const global float *from_a = a + at_a, *from_b = b + at_b;
        uint k = 0;
        while (k + CLV_WIDTH <= count) {
            uint terms = min((count - k) / CLV_WIDTH, left);
            left -= terms;
            for (uint end = k + terms * CLV_WIDTH; k < end; k += CLV_WIDTH) {
                clv_fv value = einsum_load(from_a + (ulong)k * step_a, step_a, CLV_WIDTH);
                sum = p->has_b
                          ? fma(value, einsum_load(from_b + (ulong)k * step_b, step_b, CLV_WIDTH),
                                sum)
                          : sum + value;
            }
            if (left == 0) {
                left = EINSUM_BLOCK;
                total += sum;
                sum = (clv_fv)(0.0f);
            }
        }
        float rest = 0.0f;
        for (; k < count; k++) {
            float value = from_a[(ulong)k * step_a];
            rest += p->has_b ? value * from_b[(ulong)k * step_b] : value;
        }
        sum.s0 += rest;
    }
    return clv_sum_lanes(total + sum);
}

/* An item does `cells_per_item` cells: `chunk` positions of the last axis of o each. */
CLV_ONCE CLV_WIDE static void einsum_item(
    global float *a, global float *b, global float *out, const einsum_params p, const clv_range r,
    ulong item) {
    a = CLV_AT(float, a, r.offset[0]);
    b = CLV_AT(float, b, r.offset[1]);
    out = CLV_AT(float, out, r.offset[2]);
    uint last = p.num_out - 1, extent = p.out[last];
    ulong cell = item * p.cells_per_item;
    ulong end = min(cell + p.cells_per_item, p.elements / extent * p.chunks);
    for (; cell < end; cell++) {
        ulong row = cell / p.chunks, at_a, at_b;
        uint x = (uint)(cell % p.chunks) * p.chunk, last_x = min(x + p.chunk, extent);
        einsum_offsets(p.out, p.out_a, p.out_b, last, row, &at_a, &at_b);
        global float *to = out + row * extent;
        while (x < last_x) {
            const global float *from_a = a + at_a + (ulong)x * p.out_a[last];
            const global float *from_b = b + at_b + (ulong)x * p.out_b[last];
            if (p.is_wide) {
                to[x++] = einsum_dot(from_a, from_b, &p);
                continue;
            }
            clv_store_part(to + x, last_x - x, einsum_vector(from_a, from_b, last_x - x, &p));
            x += CLV_WIDTH;
        }
    }
}

CLV_WIDE kernel void einsum(
    global float *a, global float *b, global float *out, const einsum_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        einsum_item(a, b, out, p, r, item);
    }
}

/* int32 and int64. An item does `cells_per_item` elements. */
CLV_ONCE static void einsum_int_item(
    global uchar *a, global uchar *b, global uchar *out, const einsum_params p, const clv_range r,
    ulong item) {
    a = CLV_AT(uchar, a, r.offset[0]);
    b = CLV_AT(uchar, b, r.offset[1]);
    out = CLV_AT(uchar, out, r.offset[2]);
    ulong end = min((item + 1) * p.cells_per_item, p.elements);
    for (ulong i = item * p.cells_per_item; i < end; i++) {
        ulong out_a, out_b, sum_a, sum_b, sum = 0;
        einsum_offsets(p.out, p.out_a, p.out_b, p.num_out, i, &out_a, &out_b);
        for (ulong s = 0; s < p.sums; s++) {
            einsum_offsets(p.sum, p.sum_a, p.sum_b, p.num_sum, s, &sum_a, &sum_b);
            ulong value = (ulong)clv_load_long(a, p.dtype, (uint)(out_a + sum_a));
            sum +=
                p.has_b ? value * (ulong)clv_load_long(b, p.dtype, (uint)(out_b + sum_b)) : value;
        }
        clv_store_long(out, p.dtype, (uint)i, (long)sum);
    }
}

kernel void einsum_int(
    global uchar *a, global uchar *b, global uchar *out, const einsum_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        einsum_int_item(a, b, out, p, r, item);
    }
}

#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
CLV_ONCE static void einsum_f64_item(
    global double *a, global double *b, global double *out, const einsum_params p,
    const clv_range r, ulong item) {
    a = CLV_AT(double, a, r.offset[0]);
    b = CLV_AT(double, b, r.offset[1]);
    out = CLV_AT(double, out, r.offset[2]);
    ulong end = min((item + 1) * p.cells_per_item, p.elements);
    for (ulong i = item * p.cells_per_item; i < end; i++) {
        ulong out_a, out_b, sum_a, sum_b;
        double sum = 0.0;
        einsum_offsets(p.out, p.out_a, p.out_b, p.num_out, i, &out_a, &out_b);
        for (ulong s = 0; s < p.sums; s++) {
            einsum_offsets(p.sum, p.sum_a, p.sum_b, p.num_sum, s, &sum_a, &sum_b);
            double value = a[out_a + sum_a];
            sum += p.has_b ? value * b[out_b + sum_b] : value;
        }
        out[i] = sum;
    }
}

kernel void einsum_f64(
    global double *a, global double *b, global double *out, const einsum_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        einsum_f64_item(a, b, out, p, r, item);
    }
}
#endif
