/* Kernels that move elements without looking at them. An element is an unsigned integer of its
 * size, 1, 2, 4 or 8 bytes: the loops over dimensions are written once, the innermost runs four
 * times.
 *
 * move_copy   any strided copy: an item does `chunk` elements in the order of dims (last fastest).
 *             Runs that are contiguous on both sides are copied as vectors of 16.
 * move_tiles  a transpose: source and destination are contiguous along different dimensions. A
 * square of 8 x 8 elements is read as rows and written as columns, so that both sides move whole
 *             vectors; squares are done in blocks whose lines fit a core's first cache.
 * move_pad    Pad in all its modes: each output row is left border, middle, right border.
 *
 * Offsets within a tensor fit 32 bits. No local memory; nothing beyond OpenCL C 1.2.
 */
#include "kernels_cl/move/move_params.h"

#define DEFINE_LEAVES(T)                                                                       \
    static void move_run_##T(                                                                  \
        global T *dst, int dst_stride, global const T *src, int src_stride, uint n) {          \
        uint i = 0;                                                                            \
        if (dst_stride == 1 && src_stride == 1) {                                              \
            for (; i + 16 <= n; i += 16) {                                                     \
                vstore16(vload16(0, src + i), 0, dst + i);                                     \
            }                                                                                  \
            for (; i < n; i++) {                                                               \
                dst[i] = src[i];                                                               \
            }                                                                                  \
        } else {                                                                               \
            for (; i < n; i++) {                                                               \
                dst[(int)i * dst_stride] = src[(int)i * src_stride];                           \
            }                                                                                  \
        }                                                                                      \
    }                                                                                          \
                                                                                               \
    static void move_fill_##T(global T *dst, const T value, uint n) {                          \
        uint i = 0;                                                                            \
        for (; i + 16 <= n; i += 16) {                                                         \
            vstore16((T##16)(value), 0, dst + i);                                              \
        }                                                                                      \
        for (; i < n; i++) {                                                                   \
            dst[i] = value;                                                                    \
        }                                                                                      \
    }                                                                                          \
                                                                                               \
    static void move_square_##T(                                                               \
        global T *dst, int dst_stride, global const T *src, int src_stride) {                  \
        const T##8 r0 = vload8(0, src), r1 = vload8(0, src + src_stride);                      \
        const T##8 r2 = vload8(0, src + 2 * src_stride), r3 = vload8(0, src + 3 * src_stride); \
        const T##8 r4 = vload8(0, src + 4 * src_stride), r5 = vload8(0, src + 5 * src_stride); \
        const T##8 r6 = vload8(0, src + 6 * src_stride), r7 = vload8(0, src + 7 * src_stride); \
        vstore8((T##8)(r0.s0, r1.s0, r2.s0, r3.s0, r4.s0, r5.s0, r6.s0, r7.s0), 0, dst);       \
        dst += dst_stride;                                                                     \
        vstore8((T##8)(r0.s1, r1.s1, r2.s1, r3.s1, r4.s1, r5.s1, r6.s1, r7.s1), 0, dst);       \
        dst += dst_stride;                                                                     \
        vstore8((T##8)(r0.s2, r1.s2, r2.s2, r3.s2, r4.s2, r5.s2, r6.s2, r7.s2), 0, dst);       \
        dst += dst_stride;                                                                     \
        vstore8((T##8)(r0.s3, r1.s3, r2.s3, r3.s3, r4.s3, r5.s3, r6.s3, r7.s3), 0, dst);       \
        dst += dst_stride;                                                                     \
        vstore8((T##8)(r0.s4, r1.s4, r2.s4, r3.s4, r4.s4, r5.s4, r6.s4, r7.s4), 0, dst);       \
        dst += dst_stride;                                                                     \
        vstore8((T##8)(r0.s5, r1.s5, r2.s5, r3.s5, r4.s5, r5.s5, r6.s5, r7.s5), 0, dst);       \
        dst += dst_stride;                                                                     \
        vstore8((T##8)(r0.s6, r1.s6, r2.s6, r3.s6, r4.s6, r5.s6, r6.s6, r7.s6), 0, dst);       \
        dst += dst_stride;                                                                     \
        vstore8((T##8)(r0.s7, r1.s7, r2.s7, r3.s7, r4.s7, r5.s7, r6.s7, r7.s7), 0, dst);       \
    }

DEFINE_LEAVES(uchar)
DEFINE_LEAVES(ushort)
DEFINE_LEAVES(uint)
DEFINE_LEAVES(ulong)

#define FOR_SIZE(element_bytes, CALL) \
    do {                              \
        switch (element_bytes) {      \
        case 1:                       \
            CALL(uchar);              \
            break;                    \
        case 2:                       \
            CALL(ushort);             \
            break;                    \
        case 4:                       \
            CALL(uint);               \
            break;                    \
        default:                      \
            CALL(ulong);              \
            break;                    \
        }                             \
    } while (0)

/* n elements from src[from], src[from + src_stride], ... to dst[to], dst[to + dst_stride], ... */
static void move_run(
    global uchar *dst, int to, int dst_stride, global const uchar *src, int from, int src_stride,
    uint n, uint element_bytes) {
#define CALL(T) \
    move_run_##T((global T *)dst + to, dst_stride, (global const T *)src + from, src_stride, n)
    FOR_SIZE(element_bytes, CALL);
#undef CALL
}

/* n times the element at *value, or 0 where has_value is 0. */
static void move_fill(
    global uchar *dst, int to, global const uchar *value, uint has_value, uint n,
    uint element_bytes) {
#define CALL(T) \
    move_fill_##T((global T *)dst + to, has_value != 0 ? *(global const T *)value : (T)0, n)
    FOR_SIZE(element_bytes, CALL);
#undef CALL
}

/* 8 rows at src_stride become 8 columns at dst_stride. */
static void move_square(
    global uchar *dst, int to, int dst_stride, global const uchar *src, int from, int src_stride,
    uint element_bytes) {
#define CALL(T) \
    move_square_##T((global T *)dst + to, dst_stride, (global const T *)src + from, src_stride)
    FOR_SIZE(element_bytes, CALL);
#undef CALL
}

kernel void move_copy(
    global uchar *src_buffer, global uchar *dst_buffer, const clv_move_copy_params p,
    const clv_range r) {
    const ulong item = r.first + get_global_id(0);
    if (item >= r.end) {
        return;
    }
    global const uchar *src = src_buffer + r.offset[0] + p.src_start * p.element_bytes;
    global uchar *dst = dst_buffer + r.offset[1] + p.dst_start * p.element_bytes;
    const int inner = (int)p.num_dims - 1, middle = inner - 1;
    const uint inner_n = p.dims[inner], middle_n = p.dims[middle];
    const int inner_from = p.src_strides[inner], inner_to = p.dst_strides[inner];
    uint i = (uint)item * p.chunk;
    const uint end = min(i + p.chunk, p.total);
    while (i < end) {
        const uint rows = i / inner_n;
        uint column = i - rows * inner_n;
        uint outer = rows / middle_n;
        uint row = rows - outer * middle_n;
        int from = (int)row * p.src_strides[middle], to = (int)row * p.dst_strides[middle];
        for (int d = middle - 1; d >= 0; d--) {
            const uint next = outer / p.dims[d];
            const int c = (int)(outer - next * p.dims[d]);
            from += c * p.src_strides[d];
            to += c * p.dst_strides[d];
            outer = next;
        }
        for (; row < middle_n && i < end; row++) {
            const uint n = min(inner_n - column, end - i);
            move_run(
                dst, to + (int)column * inner_to, inner_to, src, from + (int)column * inner_from,
                inner_from, n, p.element_bytes);
            from += p.src_strides[middle];
            to += p.dst_strides[middle];
            column = 0;
            i += n;
        }
    }
}

kernel void move_tiles(
    global uchar *src_buffer, global uchar *dst_buffer, const clv_move_tiles_params p,
    const clv_range r) {
    const ulong item = r.first + get_global_id(0);
    if (item >= r.end) {
        return;
    }
    global const uchar *src = src_buffer + r.offset[0] + p.src_start * p.element_bytes;
    global uchar *dst = dst_buffer + r.offset[1] + p.dst_start * p.element_bytes;
    const int b = (int)p.num_dims - 1, a = b - 1;
    const int row_from = p.src_strides[a], row_to = p.dst_strides[b];
    const uint end = min((uint)(item + 1) * p.chunk, p.num_blocks);
    for (uint i = (uint)item * p.chunk; i < end; i++) {
        const uint rest = i / p.blocks_b;
        uint outer = rest / p.blocks_a;
        const uint b_first = (i - rest * p.blocks_b) * p.block;
        const uint a_first = (rest - outer * p.blocks_a) * p.block;
        int from = 0, to = 0;
        for (int d = a - 1; d >= 0; d--) {
            const uint next = outer / p.dims[d];
            const int c = (int)(outer - next * p.dims[d]);
            from += c * p.src_strides[d];
            to += c * p.dst_strides[d];
            outer = next;
        }
        const uint a_end = min(a_first + p.block, p.dims[a]);
        const uint b_end = min(b_first + p.block, p.dims[b]);
        for (uint x = a_first; x < a_end; x += CLV_MOVE_SQUARE) {
            for (uint y = b_first; y < b_end; y += CLV_MOVE_SQUARE) {
                const int square_from = from + (int)x * row_from + (int)y;
                const int square_to = to + (int)x + (int)y * row_to;
                const uint num_a = a_end - x, num_b = b_end - y;
                if (num_a >= CLV_MOVE_SQUARE && num_b >= CLV_MOVE_SQUARE) {
                    move_square(
                        dst, square_to, row_to, src, square_from, row_from, p.element_bytes);
                    continue;
                }
                for (uint k = 0; k < min(num_b, (uint)CLV_MOVE_SQUARE); k++) {
                    move_run(
                        dst, square_to + (int)k * row_to, 1, src, square_from + (int)k, row_from,
                        min(num_a, (uint)CLV_MOVE_SQUARE), p.element_bytes);
                }
            }
        }
    }
}

static int move_wrap(int i, int n) {
    const int m = i % n;
    return m < 0 ? m + n : m;
}

/* Where position i of a padded axis comes from, -1: nowhere. n: extent of the input, 0 in mode
 * constant only. */
static int move_pad_map(int i, int n, uint mode) {
    if (i >= 0 && i < n) {
        return i;
    }
    switch (mode) {
    case CLV_PAD_REFLECT:
        if (n > 1) {
            const int m = move_wrap(i, 2 * (n - 1));
            return m < n ? m : 2 * (n - 1) - m;
        }
        return 0;
    case CLV_PAD_EDGE:
        return i < 0 ? 0 : n - 1;
    case CLV_PAD_WRAP:
        return move_wrap(i, n);
    default:
        return -1;
    }
}

kernel void move_pad(
    global uchar *src_buffer, global uchar *value_buffer, global uchar *dst_buffer,
    const clv_move_pad_params p, const clv_range r) {
    const ulong item = r.first + get_global_id(0);
    if (item >= r.end) {
        return;
    }
    global const uchar *src = src_buffer + r.offset[0] + p.src_start * p.element_bytes;
    global const uchar *value = value_buffer + r.offset[1];
    global uchar *dst = dst_buffer + r.offset[2];
    const int inner = (int)p.num_dims - 1;
    const uint inner_n = p.out_dims[inner];
    const int middle = (int)p.in_dims[inner];
    uint i = (uint)item * p.chunk;
    const uint end = min(i + p.chunk, p.total);
    while (i < end) {
        uint rest = i / inner_n;
        const uint column = i - rest * inner_n;
        const uint n = min(inner_n - column, end - i);
        int to = (int)i, from = 0;
        bool inside = true;
        for (int d = inner - 1; d >= 0; d--) {
            const uint next = rest / p.out_dims[d];
            const int c = (int)(rest - next * p.out_dims[d]) - p.before[d];
            const int m = move_pad_map(c, (int)p.in_dims[d], p.mode);
            inside = inside && m >= 0;
            from += m * p.src_strides[d];
            rest = next;
        }
        i += n;
        if (!inside) {
            move_fill(dst, to, value, p.has_value, n, p.element_bytes);
            continue;
        }
        int c = (int)column - p.before[inner]; /* 0: the first element of the middle */
        const int last = c + (int)n;
        while (c < last) {
            const int m = move_pad_map(c, middle, p.mode);
            int run = 1;
            if (c >= 0 && c < middle) {
                run = min(middle, last) - c;
            } else if (p.mode == CLV_PAD_CONSTANT) {
                run = (c < 0 ? min(0, last) : last) - c;
            }
            if (m >= 0) {
                move_run(dst, to, 1, src, from + m, 1, (uint)run, p.element_bytes);
            } else {
                move_fill(dst, to, value, p.has_value, (uint)run, p.element_bytes);
            }
            to += run;
            c += run;
        }
    }
}
