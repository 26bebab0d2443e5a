/* Finding elements by their order along an axis: the first, and the first k.
 *
 * Elements are compared by keys: 64-bit integers in the order of the element type, with -0 equal to
 * 0 and NaN above everything (nan_first: before everything, whatever is wanted); where the smallest
 * is wanted, their complements. Of equal ones the lower index comes first (takes_last: the higher).
 *
 * geometry  an item does `chunk` rows, one after another
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/order/order_params.h"

static long order_key(const global uchar *x, private const order_params *p, uint index) {
    long key;
    if (p->dtype == CLV_FLOAT32) {
        const float value = ((const global float *)x)[index];
        const int bits = value == 0.0f ? 0 : as_int(value);
        const int nan_key = p->takes_smallest && p->nan_first ? INT_MIN : INT_MAX;
        key = value != value ? nan_key : bits < 0 ? bits ^ INT_MAX : bits;
    } else {
        key = clv_load_long(x, p->dtype, index);
        key = p->dtype == CLV_UINT64 ? as_long(as_ulong(key) ^ 0x8000000000000000ul) : key;
    }
    return p->takes_smallest ? ~key : key;
}

/* operands: x; out int64 [num_rows], or float of the input's shape where is_hard */
CLV_ONCE static void order_arg_item(
    const global uchar *x, global uchar *out, const order_params p, const clv_range r,
    const ulong item) {
    const global uchar *in = x + r.offset[0];
    const uint first = (uint)item * p.chunk, last = min(first + p.chunk, p.num_rows);
    for (uint row = first; row < last; row++) {
        const uint from = row / p.num_inner * p.num_axis * p.num_inner + row % p.num_inner;
        uint best = 0;
        long best_key = order_key(in, &p, from);
        for (uint i = 1; i < p.num_axis; i++) {
            const long key = order_key(in, &p, from + i * p.num_inner);
            if (key > best_key || (key == best_key && p.takes_last)) {
                best = i;
                best_key = key;
            }
        }
        if (p.is_hard) {
            global float *to = CLV_AT(float, out, r.offset[1]) + from;
            for (uint i = 0; i < p.num_axis; i++) {
                to[i * p.num_inner] = i == best ? 1.0f : 0.0f;
            }
        } else {
            CLV_AT(long, out, r.offset[1])[row] = best;
        }
    }
}

kernel void order_arg(
    const global uchar *x, global uchar *out, const order_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        order_arg_item(x, out, p, r, item);
    }
}

/* A row's candidates: input positions along the axis, kept in the row's part of the index output as
 * a heap whose root is the last of them in order. */
typedef struct order_heap {
    const global uchar *x; /* the input */
    uint from;             /* the row's first element */
    global long *at;       /* candidate i is at[i * num_inner] */
} order_heap;

static long order_candidate_key(
    private const order_heap *h, private const order_params *p, long candidate) {
    return order_key(h->x, p, h->from + (uint)candidate * p->num_inner);
}

/* Puts `candidate` at the root of a heap of `size` and lets it sink to where it belongs. */
static void order_sink(
    private const order_heap *h, private const order_params *p, uint size, uint place,
    long candidate) {
    const long key = order_candidate_key(h, p, candidate);
    for (;;) {
        uint child = 2 * place + 1;
        if (child >= size) {
            break;
        }
        long later = h->at[child * p->num_inner];
        long later_key = order_candidate_key(h, p, later);
        if (child + 1 < size) {
            const long other = h->at[(child + 1) * p->num_inner];
            const long other_key = order_candidate_key(h, p, other);
            if (other_key < later_key || (other_key == later_key && other > later)) {
                child++;
                later = other;
                later_key = other_key;
            }
        }
        if (key < later_key || (key == later_key && candidate > later)) {
            break;
        }
        h->at[place * p->num_inner] = later;
        place = child;
    }
    h->at[place * p->num_inner] = candidate;
}

/* operands: x; values [num_outer, k, num_inner] of x's type; indices int64, the same shape.
 *
 * The first k candidates make a heap; each later element that comes before the root replaces it;
 * then the root goes to the back, one after another. */
CLV_ONCE static void order_topk_item(
    const global uchar *x, global uchar *values, global uchar *indices, const order_params p,
    const clv_range r, const ulong item) {
    const uint first = (uint)item * p.chunk, last = min(first + p.chunk, p.num_rows);
    for (uint row = first; row < last; row++) {
        const uint outer = row / p.num_inner, inner = row % p.num_inner;
        const uint to = outer * p.k * p.num_inner + inner;
        const order_heap h = {
            x + r.offset[0], outer * p.num_axis * p.num_inner + inner,
            CLV_AT(long, indices, r.offset[2]) + to};
        for (uint i = 0; i < p.k; i++) {
            h.at[i * p.num_inner] = i;
        }
        for (uint i = p.k / 2; i-- > 0;) {
            order_sink(&h, &p, p.k, i, h.at[i * p.num_inner]);
        }
        for (uint i = p.k; i < p.num_axis; i++) {
            if (order_candidate_key(&h, &p, i) > order_candidate_key(&h, &p, h.at[0])) {
                order_sink(&h, &p, p.k, 0, i);
            }
        }
        for (uint size = p.k - 1; size > 0; size--) {
            const long worst = h.at[0];
            order_sink(&h, &p, size, 0, h.at[size * p.num_inner]);
            h.at[size * p.num_inner] = worst;
        }
        for (uint i = 0; i < p.k && p.writes_values; i++) {
            const uint from = h.from + (uint)h.at[i * p.num_inner] * p.num_inner;
            if (p.dtype == CLV_FLOAT32) {
                CLV_AT(float, values, r.offset[1])
                [to + i * p.num_inner] = ((const global float *)h.x)[from];
            } else {
                clv_store_long(
                    values + r.offset[1], p.dtype, to + i * p.num_inner,
                    clv_load_long(h.x, p.dtype, from));
            }
        }
    }
}

kernel void order_topk(
    const global uchar *x, global uchar *values, global uchar *indices, const order_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        order_topk_item(x, values, indices, p, r, item);
    }
}
