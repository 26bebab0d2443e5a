/* ScatterElements and ScatterND, after a copy of the data into the output: updates written to, or
 * reduced into, places that indices name.
 *
 * Several updates may name one place, so that no two items may do updates of the same place, and
 * the updates of a place go in their order: the result is that of one loop over all updates, bit
 * for bit. An item has a range of fibres (which cannot meet), a part of each run, and a range of
 * keys; it looks at every step of its fibres and does those whose key is its own.
 *
 * An index out of range raises CLV_KERNEL_ERROR_INDEX, its update is left out. No local memory.
 */
#include "kernels_cl/scatter/scatter_params.h"

#define DEFINE_STORE(T)                                                    \
    static void store_##T(global T *dst, global const T *update, uint n) { \
        for (uint i = 0; i < n; i++) {                                     \
            dst[i] = update[i];                                            \
        }                                                                  \
    }

/* NaN wins in maximum and minimum whichever side it is on, as in NumPy. */
#define DEFINE_REDUCE(T, U)                                                                 \
    static void reduce_##T(global T *dst, global const T *update, uint n, uint reduction) { \
        for (uint i = 0; i < n; i++) {                                                      \
            const T a = dst[i], b = update[i];                                              \
            switch (reduction) {                                                            \
            case CLV_SCATTER_ADD:                                                           \
                dst[i] = (T)((U)a + (U)b);                                                  \
                break;                                                                      \
            case CLV_SCATTER_MUL:                                                           \
                dst[i] = (T)((U)a * (U)b);                                                  \
                break;                                                                      \
            case CLV_SCATTER_MAX:                                                           \
                dst[i] = a != a || a > b ? a : b;                                           \
                break;                                                                      \
            default:                                                                        \
                dst[i] = a != a || a < b ? a : b;                                           \
                break;                                                                      \
            }                                                                               \
        }                                                                                   \
    }

DEFINE_STORE(uchar)
DEFINE_STORE(ushort)
DEFINE_STORE(uint)
DEFINE_STORE(ulong)
DEFINE_REDUCE(float, float)
DEFINE_REDUCE(int, uint)
DEFINE_REDUCE(long, ulong)
DEFINE_REDUCE(char, uint)
DEFINE_REDUCE(uchar, uint)

static void apply(
    global uchar *dst, uint to, global const uchar *update, uint from, uint n, uint type,
    uint reduction) {
#define STORE(T)                                                         \
    store_##T((global T *)dst + to, (global const T *)update + from, n); \
    break
#define REDUCE(T)                                                                    \
    reduce_##T((global T *)dst + to, (global const T *)update + from, n, reduction); \
    break
    switch (type) {
    case CLV_SCATTER_1:
        STORE(uchar);
    case CLV_SCATTER_2:
        STORE(ushort);
    case CLV_SCATTER_4:
        STORE(uint);
    case CLV_SCATTER_8:
        STORE(ulong);
    case CLV_SCATTER_F32:
        REDUCE(float);
    case CLV_SCATTER_I32:
        REDUCE(int);
    case CLV_SCATTER_I64:
        REDUCE(long);
    case CLV_SCATTER_I8:
        REDUCE(char);
    default:
        REDUCE(uchar);
    }
}

CLV_ONCE static void scatter_item(
    global uchar *index_buffer, global uchar *update_buffer, global uchar *dst_buffer,
    global uchar *error_buffer, const clv_scatter_params p, const clv_range r, const ulong item) {
    global const uchar *list = index_buffer + r.offset[0];
    global const uchar *update = update_buffer + r.offset[1];
    global uchar *dst = dst_buffer + r.offset[2];
    /* owner fastest, then the part of the run, then the fibres */
    const uint parts = (p.run + p.run_chunk - 1) / p.run_chunk;
    const uint owner = (uint)item % p.num_owners;
    const uint rest = (uint)item / p.num_owners;
    const uint column = rest % parts * p.run_chunk;
    const uint columns = min(p.run_chunk, p.run - column);
    const uint first = rest / parts * p.fibre_chunk;
    const uint last = min(first + p.fibre_chunk, p.num_fibres);
    const uint key_begin = owner * p.owner_span;
    for (uint fibre = first; fibre < last; fibre++) {
        uint outer = fibre, to = column, at = 0, from = column;
        for (int d = (int)p.num_dims - 1; d >= 0; d--) {
            const uint next = outer / p.dims[d];
            const uint c = outer - next * p.dims[d];
            to += c * p.data_strides[d];
            at += c * p.list_strides[d];
            from += c * p.update_strides[d];
            outer = next;
        }
        for (uint s = 0; s < p.num_steps; s++, at += p.list_step, from += p.update_step) {
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
            } else if (key - key_begin < p.owner_span) {
                apply(dst, to + key, update, from, columns, p.type, p.reduction);
            }
        }
    }
}

kernel void scatter(
    global uchar *index_buffer, global uchar *update_buffer, global uchar *dst_buffer,
    global uchar *error_buffer, const clv_scatter_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        scatter_item(index_buffer, update_buffer, dst_buffer, error_buffer, p, r, item);
    }
}
