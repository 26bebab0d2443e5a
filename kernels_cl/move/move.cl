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

/* Elements of a and b in turn, the first half and the second half of them. */
#define ZIP(T, a, b, low, high)                                              \
    const T##8 low = (T##8)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3); \
    const T##8 high = (T##8)(a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7)

/* Eight elements at any element's address, in one piece where the compiler can say so. */
#if defined(__clang__)
#define LOAD8(T, p) ((T##8)(*(const global T##8_any *)(p)))
#define STORE8(T, v, p) (*(global T##8_any *)(p) = (v))
typedef uchar uchar8_any __attribute__((ext_vector_type(8), aligned(1)));
typedef ushort ushort8_any __attribute__((ext_vector_type(8), aligned(2)));
typedef uint uint8_any __attribute__((ext_vector_type(8), aligned(4)));
typedef ulong ulong8_any __attribute__((ext_vector_type(8), aligned(8)));
#else
#define LOAD8(T, p) vload8(0, p)
#define STORE8(T, v, p) vstore8(v, 0, p)
#endif

#define DEFINE_LEAVES(T)                                                                     \
    static void move_fill_##T(global T *dst, const T value, uint n) {                        \
        uint i = 0;                                                                          \
        for (; i + 16 <= n; i += 16) {                                                       \
            vstore16((T##16)(value), 0, dst + i);                                            \
        }                                                                                    \
        for (; i < n; i++) {                                                                 \
            dst[i] = value;                                                                  \
        }                                                                                    \
    }                                                                                        \
                                                                                             \
    static void move_run_##T(                                                                \
        global T *dst, int dst_stride, global const T *src, int src_stride, uint n) {        \
        uint i = 0;                                                                          \
        if (dst_stride == 1 && src_stride == 0) {                                            \
            move_fill_##T(dst, src[0], n);                                                   \
            return;                                                                          \
        }                                                                                    \
        if (dst_stride == 1 && src_stride == 1) {                                            \
            for (; i + 16 <= n; i += 16) {                                                   \
                vstore16(vload16(0, src + i), 0, dst + i);                                   \
            }                                                                                \
        } else if (dst_stride == 1 && src_stride == -1) {                                    \
            for (; i + 16 <= n; i += 16) {                                                   \
                vstore16(vload16(0, src - (i + 15)).sfedcba9876543210, 0, dst + i);          \
            }                                                                                \
        }                                                                                    \
        for (; i < n; i++) {                                                                 \
            dst[(int)i * dst_stride] = src[(int)i * src_stride];                             \
        }                                                                                    \
    }                                                                                        \
                                                                                             \
    /* Zipping rows i and i + 4, three times over, turns rows into columns. */               \
    static void move_square_##T(                                                             \
        global T *dst, int dst_stride, global const T *src, int src_stride) {                \
        const T##8 a0 = LOAD8(T, src), a1 = LOAD8(T, src + src_stride);                      \
        const T##8 a2 = LOAD8(T, src + 2 * src_stride), a3 = LOAD8(T, src + 3 * src_stride); \
        const T##8 a4 = LOAD8(T, src + 4 * src_stride), a5 = LOAD8(T, src + 5 * src_stride); \
        const T##8 a6 = LOAD8(T, src + 6 * src_stride), a7 = LOAD8(T, src + 7 * src_stride); \
        ZIP(T, a0, a4, b0, b1);                                                              \
        ZIP(T, a1, a5, b2, b3);                                                              \
        ZIP(T, a2, a6, b4, b5);                                                              \
        ZIP(T, a3, a7, b6, b7);                                                              \
        ZIP(T, b0, b4, c0, c1);                                                              \
        ZIP(T, b1, b5, c2, c3);                                                              \
        ZIP(T, b2, b6, c4, c5);                                                              \
        ZIP(T, b3, b7, c6, c7);                                                              \
        ZIP(T, c0, c4, d0, d1);                                                              \
        ZIP(T, c1, c5, d2, d3);                                                              \
        ZIP(T, c2, c6, d4, d5);                                                              \
        ZIP(T, c3, c7, d6, d7);                                                              \
        STORE8(T, d0, dst);                                                                  \
        STORE8(T, d1, dst + dst_stride);                                                     \
        STORE8(T, d2, dst + 2 * dst_stride);                                                 \
        STORE8(T, d3, dst + 3 * dst_stride);                                                 \
        STORE8(T, d4, dst + 4 * dst_stride);                                                 \
        STORE8(T, d5, dst + 5 * dst_stride);                                                 \
        STORE8(T, d6, dst + 6 * dst_stride);                                                 \
        STORE8(T, d7, dst + 7 * dst_stride);                                                 \
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

/* num_a rows of num_b elements become num_b rows of num_a. */
static void move_block(
    global uchar *dst, int to, int row_to, global const uchar *src, int from, int row_from,
    uint num_a, uint num_b, uint element_bytes) {
    const uint whole_a = num_a / CLV_MOVE_SQUARE * CLV_MOVE_SQUARE;
    const uint whole_b = num_b / CLV_MOVE_SQUARE * CLV_MOVE_SQUARE;
    for (uint x = 0; x < whole_a; x += CLV_MOVE_SQUARE) {
        for (uint y = 0; y < whole_b; y += CLV_MOVE_SQUARE) {
            move_square(
                dst, to + (int)x + (int)y * row_to, row_to, src, from + (int)x * row_from + (int)y,
                row_from, element_bytes);
        }
    }
    /* what the squares left out: rows below them, columns beside them */
    for (uint y = 0; y < num_b; y++) {
        const uint x = y < whole_b ? whole_a : 0;
        move_run(
            dst, to + (int)x + (int)y * row_to, 1, src, from + (int)x * row_from + (int)y, row_from,
            num_a - x, element_bytes);
    }
}

#if CLV_HAS(1)
CLV_ONCE static void move_copy_item(
    global uchar *src_buffer, global uchar *dst_buffer, const clv_move_copy_params p,
    const clv_range r, const ulong item) {
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

kernel void move_copy(
    global uchar *src_buffer, global uchar *dst_buffer, const clv_move_copy_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        move_copy_item(src_buffer, dst_buffer, p, r, item);
    }
}
#endif

#if CLV_HAS(2)
CLV_ONCE static void move_tiles_item(
    global uchar *src_buffer, global uchar *dst_buffer, const clv_move_tiles_params p,
    const clv_range r, const ulong item) {
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
        const uint num_a = min(p.block, p.dims[a] - a_first);
        const uint num_b = min(p.block, p.dims[b] - b_first);
        move_block(
            dst, to + (int)a_first + (int)b_first * row_to, row_to, src,
            from + (int)a_first * row_from + (int)b_first, row_from, num_a, num_b, p.element_bytes);
    }
}

kernel void move_tiles(
    global uchar *src_buffer, global uchar *dst_buffer, const clv_move_tiles_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        move_tiles_item(src_buffer, dst_buffer, p, r, item);
    }
}
#endif

#if CLV_HAS(3)
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

CLV_ONCE static void move_pad_item(
    global uchar *src_buffer, global uchar *value_buffer, global uchar *dst_buffer,
    const clv_move_pad_params p, const clv_range r, const ulong item) {
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

kernel void move_pad(
    global uchar *src_buffer, global uchar *value_buffer, global uchar *dst_buffer,
    const clv_move_pad_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        move_pad_item(src_buffer, value_buffer, dst_buffer, p, r, item);
    }
}
#endif
