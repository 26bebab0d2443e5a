/* Matrix products: out[batch][m][n] = alpha * sum over k of a[m][k] * b[k][n] + beta * c[m][n].
 *
 * Tile: up to MATMUL_ROWS rows by MATMUL_VECTORS vectors of columns (a panel) in registers, over
 * all of k. a is read one element at a time by any strides and broadcast; b by unit-stride vectors:
 * from rows of b itself, or from panels that matmul_pack or the host laid out one after the other
 * with zeros behind the last column. An item goes through the rows of its span with one panel in
 * cache, and prefetches the next panel meanwhile. Accumulates in float by fma in order of k:
 * relative error about 1e-7 * sqrt(k). Local size 1 on CPUs, 64 on GPUs. No local memory.
 *
 * CLV_HAS(3) alone: panels of constant weights are float16, which every device can load as float;
 * sums are the same as with weights that were rounded so.
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/matmul/matmul_params.h"
#include "kernels_cl/store/activation.h"
#include "kernels_cl/wide.h"

#define PANEL (MATMUL_VECTORS * CLV_WIDTH)

/* What b consists of, and vector `i` of it at `b`. */
#if CLV_ONLY == 3
typedef half matmul_weight;
#define MATMUL_LOAD(b, i) CLV_PASTE(vload_half, CLV_WIDTH)(i, b)
#else
typedef float matmul_weight;
#define MATMUL_LOAD(b, i) CLV_FV_LOAD((b) + (i)*CLV_WIDTH)
#endif

#if CLV_HAS(1)
/* b  [batch] by b_batch, b_row, b_col;  panels  [batch][panels][k][PANEL]
 * An item writes `rows` rows of one panel. */
kernel void matmul_pack(
    global float *b, global float *panels, const matmul_pack_params p, const clv_range r) {
    ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    b = CLV_AT(float, b, r.offset[0]);
    panels = CLV_AT(float, panels, r.offset[1]);
    uint first = (uint)(item % p.blocks) * p.rows, last = min(first + p.rows, p.k);
    ulong panel = item / p.blocks;
    uint column = (uint)(panel % p.panels) * PANEL;
    b += panel / p.panels * p.b_batch + column * p.b_col;
    panels += panel * p.k * PANEL;
    for (uint lane = 0; lane < PANEL; lane++) {
        bool is_inside = column + lane < p.n;
        for (uint k = first; k < last; k++) {
            panels[(ulong)k * PANEL + lane] = is_inside ? b[k * p.b_row + lane * p.b_col] : 0.0f;
        }
    }
}
#endif

/* Stores one row of a tile: columns q .. q + CLV_WIDTH of `out` (and of `c`) from `first` on. */
static void matmul_store(
    global float *out, const global float *c, clv_fv sum, uint q, uint first,
    const matmul_params *p) {
    sum *= p->alpha;
    if (q >= first && q + CLV_WIDTH <= p->n && (!p->has_c || p->c_col == 1)) {
        if (p->has_c) {
            sum = fma((clv_fv)(p->beta), CLV_FV_LOAD(c + q), sum);
        }
        CLV_FV_STORE(out + q, sum);
        return;
    }
    float values[CLV_WIDTH];
    CLV_FV_KEEP(values, sum);
    /* Unrolled, this is in every tile 30 times over: Intel's compiler then takes 22 s, not 0.7. */
    _Pragma("unroll 1") for (uint lane = 0; lane < CLV_WIDTH; lane++) {
        uint column = q + lane;
        if (column >= first && column < p->n) {
            float value = values[lane];
            out[column] = p->has_c ? fma(p->beta, c[column * p->c_col], value) : value;
        }
    }
}

/* Columns of a tile: q .. q + PANEL are computed, those from `first` on kept. */
typedef struct matmul_columns {
    uint q, first;
} matmul_columns;

/* One tile of ROWS rows; a, c and out point at the first of them, b at the panel. For each k, the
 * line at `next` is prefetched (few rows: all that b has), and `next` moves on by p->step. */
#define MATMUL_TILE(ROWS)                                                             \
    static const global matmul_weight *matmul_tile_##ROWS(                            \
        const global float *a, const global matmul_weight *b, const global float *c,  \
        global float *out, const global matmul_weight *next, matmul_columns at,       \
        const matmul_params *p) {                                                     \
        clv_fv sums[ROWS][MATMUL_VECTORS];                                            \
        _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                            \
            sums[j][0] = sums[j][1] = (clv_fv)(0.0f);                                 \
        }                                                                             \
        for (uint k = 0; k < p->k; k++) {                                             \
            clv_fv b0 = MATMUL_LOAD(b, 0), b1 = MATMUL_LOAD(b, 1);                    \
            _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                        \
                clv_fv value = (clv_fv)(a[j * p->a_row]);                             \
                sums[j][0] = fma(value, b0, sums[j][0]);                              \
                sums[j][1] = fma(value, b1, sums[j][1]);                              \
            }                                                                         \
            a += p->a_col;                                                            \
            b += p->b_row;                                                            \
            CLV_PREFETCH(next);                                                       \
            if (ROWS < MATMUL_ROWS && CLV_WIDTH == 16 && sizeof(matmul_weight) > 2) { \
                CLV_PREFETCH(next + CLV_WIDTH);                                       \
            }                                                                         \
            next += p->step;                                                          \
        }                                                                             \
        _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                            \
            const global float *cj = c + j * p->c_row;                                \
            global float *to = out + (ulong)j * p->n;                                 \
            matmul_store(to, cj, sums[j][0], at.q, at.first, p);                      \
            matmul_store(to, cj, sums[j][1], at.q + CLV_WIDTH, at.first, p);          \
        }                                                                             \
        return next;                                                                  \
    }

MATMUL_TILE(8)
MATMUL_TILE(4)
MATMUL_TILE(2)
MATMUL_TILE(1)

/* The rest of the epilogue, on a vector. */
static clv_fv matmul_finish(clv_fv value, clv_fv add, const matmul_params *p) {
    value = p->act.add == 1 ? value + add : value;
    value = clv_activate(value, &p->act);
    value = p->act.add == 2 ? value + add : value;
    value = value < p->low ? (clv_fv)(p->low) : value;
    return value > p->high ? (clv_fv)(p->high) : value;
}

/* On `count` elements of a row that were just stored. */
static void matmul_finish_row(
    global float *row, const global float *add, uint count, const matmul_params *p) {
    for (uint i = 0; i < count; i += CLV_WIDTH) {
        uint here = min(count - i, (uint)CLV_WIDTH);
        if (here == CLV_WIDTH) {
            const clv_fv more = p->act.add != 0 ? CLV_FV_LOAD(add + i) : (clv_fv)(0.0f);
            CLV_FV_STORE(row + i, matmul_finish(CLV_FV_LOAD(row + i), more, p));
            continue;
        }
        float values[CLV_WIDTH], more[CLV_WIDTH];
        CLV_FV_KEEP(values, (clv_fv)(0.0f));
        CLV_FV_KEEP(more, (clv_fv)(0.0f));
        for (uint lane = 0; lane < here; lane++) {
            values[lane] = row[i + lane];
            more[lane] = p->act.add != 0 ? add[i + lane] : 0.0f;
        }
        const clv_fv result = matmul_finish(CLV_FV_TAKE(values), CLV_FV_TAKE(more), p);
        CLV_FV_KEEP(values, result);
        for (uint lane = 0; lane < here; lane++) {
            row[i + lane] = values[lane];
        }
    }
}

/* Offsets of batch `index` in a and b. */
static void matmul_batch(const matmul_params *p, ulong index, ulong *a, ulong *b) {
    *a = *b = 0;
    for (int i = (int)p->num_batch - 1; i >= 0; i--) {
        ulong at = index % p->batch[i];
        index /= p->batch[i];
        *a += at * p->a_batch[i];
        *b += at * p->b_batch[i];
    }
}

#if CLV_HAS(1) || CLV_ONLY == 3
/* a, b by strides; c [m][n] by strides; out [batch][m][n].
 * An item does up to `row_span` rows by `tiles` panels of one batch, panel by panel. */
CLV_ONCE CLV_WIDE static void matmul_item(
    global float *a, global matmul_weight *b, global float *c, global float *add, global float *out,
    const matmul_params p, const clv_range r, ulong item) {
    uint inner = p.columns_first ? p.panel_blocks : p.row_blocks;
    uint outer = p.columns_first ? p.row_blocks : p.panel_blocks;
    uint low = (uint)(item % inner);
    ulong batch = item / inner;
    uint high = (uint)(batch % outer);
    batch /= outer;
    const uint row = (p.columns_first ? high : low) * p.row_span;
    uint panel = (p.columns_first ? low : high) * p.tiles;
    const uint last_row = min(row + p.row_span, p.m), last_panel = min(panel + p.tiles, p.panels);
    ulong a_offset, b_offset;
    matmul_batch(&p, batch, &a_offset, &b_offset);
    a = CLV_AT(float, a, r.offset[0]) + a_offset;
    b = CLV_AT(matmul_weight, b, r.offset[1]) + b_offset;
    c = CLV_AT(float, c, r.offset[2]);
    add = CLV_AT(float, add, r.offset[3]) + batch * p.m * p.n;
    out = CLV_AT(float, out, r.offset[4]) + batch * p.m * p.n;
    for (; panel < last_panel; panel++) {
        matmul_columns at = {.first = panel * PANEL};
        at.q = p.moves_back ? min(at.first, p.n - PANEL) : at.first;
        const global matmul_weight *from = b + panel * p.b_panel - (at.first - at.q);
        const global matmul_weight *next = from + p.ahead;
        for (uint m = row; m < last_row;) {
            const global float *from_a = a + m * p.a_row, *from_c = c + m * p.c_row;
            global float *to = out + (ulong)m * p.n;
            if (m + 8 <= last_row) {
                next = matmul_tile_8(from_a, from, from_c, to, next, at, &p);
                m += 8;
            } else if (m + 4 <= last_row) {
                next = matmul_tile_4(from_a, from, from_c, to, next, at, &p);
                m += 4;
            } else if (m + 2 <= last_row) {
                next = matmul_tile_2(from_a, from, from_c, to, next, at, &p);
                m += 2;
            } else {
                next = matmul_tile_1(from_a, from, from_c, to, next, at, &p);
                m += 1;
            }
        }
        const uint count = min(p.n - at.first, (uint)PANEL);
        for (uint m = row; p.finishes && m < last_row; m++) {
            const ulong first = (ulong)m * p.n + at.first;
            matmul_finish_row(out + first, add + first, count, &p);
        }
    }
}

CLV_WIDE kernel void matmul(
    global float *a, global matmul_weight *b, global float *c, global float *add, global float *out,
    const matmul_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        matmul_item(a, b, c, add, out, p, r, item);
    }
}
#endif

#if CLV_HAS(2)
/* The same for int32, int64, uint32 and uint64, wrapping; any strides; an item does `chunk`
 * elements of out. */
kernel void matmul_int(
    global uchar *a, global uchar *b, global uchar *c, global uchar *add, global uchar *out,
    const matmul_params p, const clv_range r) {
    ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    a = CLV_AT(uchar, a, r.offset[0]);
    b = CLV_AT(uchar, b, r.offset[1]);
    c = CLV_AT(uchar, c, r.offset[2]);
    out = CLV_AT(uchar, out, r.offset[4]);
    ulong matrix = (ulong)p.m * p.n, elements = matrix;
    for (uint i = 0; i < p.num_batch; i++) {
        elements *= p.batch[i];
    }
    ulong end = min((item + 1) * p.chunk, elements);
    for (ulong i = item * p.chunk; i < end; i++) {
        uint column = (uint)(i % p.n), row = (uint)(i / p.n % p.m);
        ulong at_a, at_b, sum = 0;
        matmul_batch(&p, i / matrix, &at_a, &at_b);
        at_a += row * p.a_row;
        at_b += column * p.b_col;
        for (uint k = 0; k < p.k; k++) {
            sum += (ulong)clv_load_long(a, p.dtype, (uint)at_a) *
                   (ulong)clv_load_long(b, p.dtype, (uint)at_b);
            at_a += p.a_col;
            at_b += p.b_row;
        }
        sum *= (ulong)p.int_alpha;
        if (p.has_c) {
            uint at_c = (uint)(row * p.c_row + column * p.c_col);
            sum += (ulong)p.int_beta * (ulong)clv_load_long(c, p.dtype, at_c);
        }
        clv_store_long(out, p.dtype, (uint)i, (long)sum);
    }
}
#endif
