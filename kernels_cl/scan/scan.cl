/* Running sums and products along an axis: out[i] is the sum of x[0 .. i], of x[i ..] where
 * reverse; without x[i] where exclusive.
 *
 * operands  x, out: the same shape, float32 or any integers (which wrap)
 * geometry  an item does `chunk` rows, one after another
 * error     sums carry what rounding lost (Kahan): about an ulp of the sum of the magnitudes
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/scan/scan_params.h"

static void scan_floats(
    const global float *x, global float *out, private const scan_params *p, uint first, int step) {
    float total = p->is_product ? 1.0f : 0.0f, excess = 0.0f;
    uint at = first;
    for (uint i = 0; i < p->num_axis; i++, at += step) {
        const float before = total, value = x[at];
        if (p->is_product) {
            total *= value;
        } else {
            const float y = value - excess;
            total = before + y;
            excess = fabs(total) < INFINITY ? (total - before) - y : 0.0f;
        }
        out[at] = p->is_exclusive ? before : total;
    }
}

static void scan_ints(
    const global uchar *x, global uchar *out, private const scan_params *p, uint first, int step) {
    ulong total = p->is_product ? 1 : 0;
    uint at = first;
    for (uint i = 0; i < p->num_axis; i++, at += step) {
        const ulong before = total, value = as_ulong(clv_load_long(x, p->dtype, at));
        total = p->is_product ? before * value : before + value;
        clv_store_long(out, p->dtype, at, as_long(p->is_exclusive ? before : total));
    }
}

kernel void scan(const global uchar *x, global uchar *out, const scan_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const uint begin = (uint)item * p.chunk, end = min(begin + p.chunk, p.num_rows);
    const int step = p.is_reverse ? -(int)p.num_inner : (int)p.num_inner;
    for (uint row = begin; row < end; row++) {
        uint first = row / p.num_inner * p.num_axis * p.num_inner + row % p.num_inner;
        first += p.is_reverse ? (p.num_axis - 1) * p.num_inner : 0;
        if (p.dtype == CLV_FLOAT32) {
            scan_floats(
                CLV_AT(const float, x, r.offset[0]), CLV_AT(float, out, r.offset[1]), &p, first,
                step);
        } else {
            scan_ints(x + r.offset[0], out + r.offset[1], &p, first, step);
        }
    }
}
