/* Gather, GatherElements and GatherND: rows of the input picked by indices that are known only now.
 *
 * The three differ in the shape of a row and in how many indices it takes; the host says so in the
 * params. An index out of range raises CLV_KERNEL_ERROR_INDEX, its row becomes 0. An item does
 * `chunk` output elements in row-major order. No local memory.
 */
#include "kernels_cl/gather/gather_params.h"

#define DEFINE_RUNS(T)                                                            \
    static void run_##T(global T *dst, global const T *src, bool valid, uint n) { \
        uint i = 0;                                                               \
        for (; valid && i + 16 <= n; i += 16) {                                   \
            vstore16(vload16(0, src + i), 0, dst + i);                            \
        }                                                                         \
        for (; i < n; i++) {                                                      \
            dst[i] = valid ? src[i] : (T)0;                                       \
        }                                                                         \
    }

DEFINE_RUNS(uchar)
DEFINE_RUNS(ushort)
DEFINE_RUNS(uint)
DEFINE_RUNS(ulong)

/* n elements from src[from] to dst[to]; zeros where that place is not valid. */
static void gather_run(
    global uchar *dst, uint to, global const uchar *src, uint from, bool valid, uint n,
    uint element_bytes) {
    switch (element_bytes) {
    case 1:
        run_uchar(dst + to, src + from, valid, n);
        break;
    case 2:
        run_ushort((global ushort *)dst + to, (global const ushort *)src + from, valid, n);
        break;
    case 4:
        run_uint((global uint *)dst + to, (global const uint *)src + from, valid, n);
        break;
    default:
        run_ulong((global ulong *)dst + to, (global const ulong *)src + from, valid, n);
        break;
    }
}

CLV_ONCE static void gather_item(
    global uchar *src_buffer, global uchar *index_buffer, global uchar *dst_buffer,
    global uchar *error_buffer, const clv_gather_params p, const clv_range r, const ulong item) {
    global const uchar *src = src_buffer + r.offset[0];
    global const uchar *list = index_buffer + r.offset[1];
    global uchar *dst = dst_buffer + r.offset[2];
    const uint last = p.num_dims - 1;
    uint i = (uint)item * p.chunk;
    const uint end = min(i + p.chunk, p.total);
    while (i < end) {
        uint rest = i / p.run;
        uint column = i - rest * p.run;
        uint outer = rest / p.row_dims[last];
        uint row = rest - outer * p.row_dims[last];
        uint from = row * p.row_strides[last], at = row * p.list_strides[last];
        for (int d = (int)last - 1; d >= 0; d--) {
            const uint next = outer / p.row_dims[d];
            const uint c = outer - next * p.row_dims[d];
            from += c * p.row_strides[d];
            at += c * p.list_strides[d];
            outer = next;
        }
        for (; row < p.row_dims[last] && i < end; row++) {
            const uint n = min(p.run - column, end - i);
            bool valid = true;
            uint key = 0;
            for (uint j = 0; j < p.num_indices; j++) {
                long index = p.index_bytes == 4 ? (long)((global const int *)list)[at + j]
                                                : ((global const long *)list)[at + j];
                index += index < 0 ? (long)p.extents[j] : 0;
                valid = valid && index >= 0 && index < (long)p.extents[j];
                key += (uint)index * p.index_strides[j];
            }
            if (!valid) {
                *CLV_AT(uint, error_buffer, r.offset[3]) = CLV_KERNEL_ERROR_INDEX;
            }
            gather_run(dst, i, src, valid ? from + key + column : 0, valid, n, p.element_bytes);
            from += p.row_strides[last];
            at += p.list_strides[last];
            column = 0;
            i += n;
        }
    }
}

kernel void gather(
    global uchar *src_buffer, global uchar *index_buffer, global uchar *dst_buffer,
    global uchar *error_buffer, const clv_gather_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        gather_item(src_buffer, index_buffer, dst_buffer, error_buffer, p, r, item);
    }
}
