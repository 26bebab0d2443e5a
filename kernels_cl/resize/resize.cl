/* Resize and Upsample. Which input positions an output position is made of, and with which weights,
 * is worked out on the host, axis by axis, and handed over as tables.
 *
 * resize_nearest  any element of 1, 2, 4 or 8 bytes, all axes at once: one load, one store.
 * resize_axis     linear and cubic, one axis a launch (the interpolations are separable):
 *                     out[o, y, i] = sum_t weights[y][t] * in[o, starts[y] + t, i]
 *                 so the cost grows with the sum of the axes' taps, not their product. Along an
 * axis with elements behind it (inner > 1) 16 of those go at once.
 *
 * An item does `chunk` output elements in row-major order. No local memory.
 */
#include "kernels_cl/resize/resize_params.h"

#define DEFINE_GATHER_RUN(T)                                                                   \
    static void gather_run_##T(                                                                \
        global T *dst, global const T *src, global const int *table, ulong fill, uint n) {     \
        for (uint i = 0; i < n; i++) {                                                         \
            const int at = table[i];                                                           \
            dst[i] = at < 0 ? (T)fill : src[at];                                               \
        }                                                                                      \
    }                                                                                          \
                                                                                               \
    static void copy_run_##T(global T *dst, global const T *src, uint n) {                     \
        uint i = 0;                                                                            \
        for (; i + 16 <= n; i += 16) {                                                         \
            vstore16(vload16(0, src + i), 0, dst + i);                                         \
        }                                                                                      \
        for (; i < n; i++) {                                                                   \
            dst[i] = src[i];                                                                   \
        }                                                                                      \
    }                                                                                          \
                                                                                               \
    static void fill_run_##T(global T *dst, ulong fill, uint n) {                              \
        for (uint i = 0; i < n; i++) {                                                         \
            dst[i] = (T)fill;                                                                  \
        }                                                                                      \
    }                                                                                          \
                                                                                               \
    /* n elements of a row; from < 0: of fill; table NULL: neighbours of src[from + column] */ \
    static void nearest_run_##T(                                                               \
        global T *dst, global const T *src, int from, uint column, global const int *table,    \
        ulong fill, uint n) {                                                                  \
        if (from < 0) {                                                                        \
            fill_run_##T(dst, fill, n);                                                        \
        } else if (table == 0) {                                                               \
            copy_run_##T(dst, src + from + column, n);                                         \
        } else {                                                                               \
            gather_run_##T(dst, src + from, table + column, fill, n);                          \
        }                                                                                      \
    }

DEFINE_GATHER_RUN(uchar)
DEFINE_GATHER_RUN(ushort)
DEFINE_GATHER_RUN(uint)
DEFINE_GATHER_RUN(ulong)

CLV_ONCE static void resize_nearest_item(
    global uchar *src_buffer, global uchar *table_buffer, global uchar *dst_buffer,
    const clv_resize_nearest_params p, const clv_range r, const ulong item) {
    global const uchar *src = src_buffer + r.offset[0];
    global const int *tables = CLV_AT(int, table_buffer, r.offset[1]);
    global uchar *dst = dst_buffer + r.offset[2];
    const int inner = (int)p.num_dims - 1;
    const uint inner_n = p.out_dims[inner];
    global const int *inner_table =
        p.tables[inner] == CLV_RESIZE_NO_TABLE ? 0 : tables + p.tables[inner];
    uint i = (uint)item * p.chunk;
    const uint end = min(i + p.chunk, p.total);
    while (i < end) {
        uint rest = i / inner_n;
        const uint column = i - rest * inner_n;
        const uint n = min(inner_n - column, end - i);
        int from = 0;
        for (int d = inner - 1; d >= 0; d--) {
            const uint next = rest / p.out_dims[d];
            int c = (int)(rest - next * p.out_dims[d]);
            if (p.tables[d] != CLV_RESIZE_NO_TABLE) {
                c = tables[p.tables[d] + (uint)c];
            }
            from = c < 0 || from < 0 ? -1 : from + c * p.src_strides[d];
            rest = next;
        }
        switch (p.element_bytes) {
        case 1:
            nearest_run_uchar(dst + i, src, from, column, inner_table, p.fill, n);
            break;
        case 2:
            nearest_run_ushort(
                (global ushort *)dst + i, (global const ushort *)src, from, column, inner_table,
                p.fill, n);
            break;
        case 4:
            nearest_run_uint(
                (global uint *)dst + i, (global const uint *)src, from, column, inner_table, p.fill,
                n);
            break;
        default:
            nearest_run_ulong(
                (global ulong *)dst + i, (global const ulong *)src, from, column, inner_table,
                p.fill, n);
            break;
        }
        i += n;
    }
}

kernel void resize_nearest(
    global uchar *src_buffer, global uchar *table_buffer, global uchar *dst_buffer,
    const clv_resize_nearest_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        resize_nearest_item(src_buffer, table_buffer, dst_buffer, p, r, item);
    }
}

CLV_ONCE static void resize_axis_item(
    global uchar *src_buffer, global uchar *table_buffer, global uchar *dst_buffer,
    const clv_resize_axis_params p, const clv_range r, const ulong item) {
    global const float *src = CLV_AT(const float, src_buffer, r.offset[0]);
    global const int *starts = CLV_AT(const int, table_buffer, r.offset[1]);
    global const float *weights = (global const float *)(starts + p.num_out);
    global float *dst = CLV_AT(float, dst_buffer, r.offset[2]);
    uint i = (uint)item * p.chunk;
    const uint end = min(i + p.chunk, p.total);
    if (p.inner == 1) {
        uint outer = i / p.num_out;
        uint x = i - outer * p.num_out;
        global const float *row = src + outer * p.num_in;
        for (; i < end; i++) {
            float sum = p.fill;
            if (starts[x] >= 0) {
                global const float *from = row + starts[x];
                global const float *w = weights + x * p.num_taps;
                sum = 0;
                for (uint t = 0; t < p.num_taps; t++) {
                    sum += w[t] * from[t];
                }
            }
            dst[i] = sum;
            if (++x == p.num_out) {
                x = 0;
                row += p.num_in;
            }
        }
        return;
    }
    while (i < end) {
        const uint rows = i / p.inner;
        const uint column = i - rows * p.inner;
        const uint n = min(p.inner - column, end - i);
        const uint outer = rows / p.num_out;
        const uint y = rows - outer * p.num_out;
        const int start = starts[y];
        global const float *from =
            src + (outer * p.num_in + (uint)max(start, 0)) * p.inner + column;
        global const float *w = weights + y * p.num_taps;
        const uint num_taps = start < 0 ? 0 : p.num_taps;
        const float first = start < 0 ? p.fill : 0.0f;
        uint k = 0;
        for (; k + 16 <= n; k += 16) {
            float16 sum = (float16)(first);
            for (uint t = 0; t < num_taps; t++) {
                sum += w[t] * vload16(0, from + t * p.inner + k);
            }
            vstore16(sum, 0, dst + i + k);
        }
        for (; k < n; k++) {
            float sum = first;
            for (uint t = 0; t < num_taps; t++) {
                sum += w[t] * from[t * p.inner + k];
            }
            dst[i + k] = sum;
        }
        i += n;
    }
}

kernel void resize_axis(
    global uchar *src_buffer, global uchar *table_buffer, global uchar *dst_buffer,
    const clv_resize_axis_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        resize_axis_item(src_buffer, table_buffer, dst_buffer, p, r, item);
    }
}
