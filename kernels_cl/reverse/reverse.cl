/* The first elements of sequences in reverse (ONNX's ReverseSequence):
 *
 *     out[t] = x[t < length ? length - 1 - t : t]    of each sequence of a batch
 *
 * operands  x, out: [steps, batch, ...] or [batch, steps, ...], elements of 1, 2, 4 or 8 bytes;
 *           lengths int64 [batch]. A length that is out of range raises CLV_KERNEL_ERROR_INDEX
 * geometry  an item does some rows, each one step of one sequence
 */
#include "kernels_cl/reverse/reverse_params.h"

#define REVERSE_COPY(type)                                      \
    {                                                           \
        const global type *here = (const global type *)from;    \
        global type *there = (global type *)to;                 \
        for (uint i = 0; i < p.inner; i++) {                    \
            there[(ulong)row * p.inner + i] = here[source + i]; \
        }                                                       \
        break;                                                  \
    }

kernel void reverse(
    const global uchar *x, const global long *lengths, global uchar *out, global uint *error,
    const reverse_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const uint begin = (uint)item * p.rows_per_item, end = min(begin + p.rows_per_item, p.rows);
    const global uchar *from = x + r.offset[0];
    global uchar *to = out + r.offset[2];
    lengths = CLV_AT(const long, lengths, r.offset[1]);
    for (uint row = begin; row < end; row++) {
        const uint a = row / p.second, b = row % p.second;
        const uint t = p.time_axis == 0 ? a : b;
        const long length = lengths[p.time_axis == 0 ? b : a];
        if (length < 0 || length > (long)p.steps) {
            *CLV_AT(uint, error, r.offset[3]) = CLV_KERNEL_ERROR_INDEX;
        }
        const uint there = (uint)clamp(length, 0L, (long)p.steps);
        const uint u = t < there ? there - 1 - t : t;
        const ulong source =
            (ulong)(p.time_axis == 0 ? u * p.second + b : a * p.second + u) * p.inner;
        switch (p.word_bytes) {
        case 1:
            REVERSE_COPY(uchar)
        case 2:
            REVERSE_COPY(ushort)
        case 4:
            REVERSE_COPY(uint)
        default:
            REVERSE_COPY(ulong)
        }
    }
}
