/* Tensors made from a rule: ranges and constants, bands of matrices, one-hot vectors.
 *
 * geometry  an item does `chunk` elements of the output
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/generate/generate_params.h"

/* out[i] = start + i * step; a constant where the step is 0. operands: out */
kernel void generate_range(global uchar *out, const generate_range_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const uint begin = (uint)item * p.chunk, end = min(begin + p.chunk, p.num_elements);
    global uchar *to = out + r.offset[0];
    if (p.dtype == CLV_FLOAT32) {
        for (uint i = begin; i < end; i++) {
            ((global float *)to)[i] = fma((float)i, p.float_step, p.float_start);
        }
        return;
    }
    for (uint i = begin; i < end; i++) {
        clv_store_long(to, p.dtype, i, as_long(p.start + i * p.step));
    }
}

/* The band low <= column - row <= high of matrices, the rest 0. operands: x (or none), out */
CLV_ONCE static void generate_band_item(
    const global uchar *x, global uchar *out, const generate_band_params p, const clv_range r,
    const ulong item) {
    const uint begin = (uint)item * p.chunk, end = min(begin + p.chunk, p.num_elements);
    uint column = begin % p.num_columns, row = begin / p.num_columns % p.num_rows;
    for (uint i = begin; i < end; i++) {
        const long diagonal = (long)column - (long)row;
        long value = 0;
        if (diagonal >= p.low && diagonal <= p.high) {
            value = p.has_input ? clv_load_long(x + r.offset[0], p.dtype, i) : as_long(p.bits);
        }
        clv_store_long(out + r.offset[1], p.dtype, i, value);
        if (++column == p.num_columns) {
            column = 0;
            row = row + 1 == p.num_rows ? 0 : row + 1;
        }
    }
}

kernel void generate_band(
    const global uchar *x, global uchar *out, const generate_band_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        generate_band_item(x, out, p, r, item);
    }
}

/* out[o, d, i] = values[d == indices[o, i]]; an index below 0 counts from the end, one out of range
 * matches nothing. operands: indices, values [2], out */
CLV_ONCE static void generate_one_hot_item(
    const global uchar *indices, const global uchar *values, global uchar *out,
    const generate_one_hot_params p, const clv_range r, const ulong item) {
    const uint begin = (uint)item * p.chunk, end = min(begin + p.chunk, p.num_elements);
    const global uchar *in = indices + r.offset[0];
    const long off = clv_load_long(values + r.offset[1], p.dtype, 0);
    const long on = clv_load_long(values + r.offset[1], p.dtype, 1);
    for (uint i = begin; i < end; i++) {
        const uint inner = i % p.num_inner, rest = i / p.num_inner;
        const uint at = rest / p.depth * p.num_inner + inner;
        long index;
        if (p.index_dtype == CLV_FLOAT32) {
            const float value = ((const global float *)in)[at];
            index = value != value ? LONG_MIN : convert_long_sat(value);
        } else {
            index = clv_load_long(in, p.index_dtype, at);
            /* a uint64 of 2^63 and more is out of range, not negative */
            index = p.index_dtype == CLV_UINT64 && index < 0 ? LONG_MAX : index;
        }
        index = index < 0 ? index + p.depth : index;
        clv_store_long(out + r.offset[2], p.dtype, i, index == rest % p.depth ? on : off);
    }
}

kernel void generate_one_hot(
    const global uchar *indices, const global uchar *values, global uchar *out,
    const generate_one_hot_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        generate_one_hot_item(indices, values, out, p, r, item);
    }
}
