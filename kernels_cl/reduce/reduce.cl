/* Reductions of a dense tensor over any of its axes.
 *
 *     out[k] = finish(combine over r of map(x[k, r]))
 *
 * operands  x; shift: float [num_outputs], for SUM_EXP; out: [num_outputs], where there are several
 *           segments [segments][num_outputs]
 * geometry  an item makes `chunk` outputs from one segment of the reduced elements. Innermost axis
 *           reduced: one output after another, vectors along the axis. Innermost axis kept: `chunk`
 *           outputs next to each other at once, vectors across them
 * error     float sums: blocks of 32 vectors are added up plainly, the blocks by Kahan's method:
 *           about 1e-7 of the sum of the magnitudes, whatever the length
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/reduce/reduce_params.h"
#include "kernels_cl/wide.h"

/* Vectors of outputs that are made at once where the innermost axis is kept. */
#ifndef REDUCE_VECTORS
#define REDUCE_VECTORS 4
#endif
#define REDUCE_LANES (REDUCE_VECTORS * CLV_WIDTH)

enum { REDUCE_BLOCK = 32 };

typedef clv_fv fv;

/* Where element `index` of the given dimensions lies. */
static uint reduce_offset(
    uint index, uint num_dims, private const uint *dims, private const uint *strides) {
    uint offset = 0;
    for (uint d = 0; d < num_dims; d++) {
        const uint quotient = index / dims[d];
        offset += (index - quotient * dims[d]) * strides[d];
        index = quotient;
    }
    return offset;
}

static uint reduce_kept_offset(private const reduce_params *p, uint index) {
    return reduce_offset(index, p->num_kept_dims, p->kept_dims, p->kept_strides);
}

static uint reduce_reduced_offset(private const reduce_params *p, uint index) {
    return reduce_offset(index, p->num_reduced_dims, p->reduced_dims, p->reduced_strides);
}

/* The segment of an item: reduced elements [begin, end). */
static void reduce_segment(private const reduce_params *p, ulong item, uint *begin, uint *end) {
    const ulong first = item / p->num_blocks * p->segment;
    *begin = (uint)first;
    *end = (uint)min(first + p->segment, p->num_reduced);
}

/* --- float --- */

static bool reduce_is_sum(uint op) {
    return op <= REDUCE_SUM_EXP;
}

/* The element that changes nothing once mapped. */
static float reduce_pad(uint op) {
    switch (op) {
    case REDUCE_PROD:
        return 1.0f;
    case REDUCE_SUM_EXP:
    case REDUCE_MAX:
        return -INFINITY;
    case REDUCE_MIN:
        return INFINITY;
    default:
        return 0.0f;
    }
}

static fv reduce_max(fv x, fv y) { /* NaN where either is */
    return x != x || x > y ? x : y;
}

static fv reduce_min(fv x, fv y) {
    return x != x || x < y ? x : y;
}

static fv reduce_step(uint op, fv acc, fv x, fv shift) {
    switch (op) {
    case REDUCE_SUM:
        return acc + x;
    case REDUCE_SUM_ABS:
        return acc + fabs(x);
    case REDUCE_SUM_SQUARE:
        return acc + x * x;
    case REDUCE_SUM_EXP:
        return acc + exp(x - shift);
    case REDUCE_PROD:
        return acc * x;
    case REDUCE_MAX:
        return reduce_max(x, acc);
    default:
        return reduce_min(x, acc);
    }
}

/* Two results put together. */
static float reduce_join(uint op, float a, float b) {
    switch (op) {
    case REDUCE_PROD:
        return a * b;
    case REDUCE_MAX:
        return a != a || a > b ? a : b;
    case REDUCE_MIN:
        return a != a || a < b ? a : b;
    default:
        return a + b;
    }
}

/* A result in the making: sums are total - excess (Kahan), with `part` the open block; others are
 * total. */
typedef struct reduce_state {
    fv total, excess, part;
} reduce_state;

static reduce_state reduce_start(uint op) {
    const fv first = (fv)(op == REDUCE_SUM_EXP ? 0.0f : reduce_pad(op));
    const reduce_state s = {first, (fv)(0.0f), (fv)(0.0f)};
    return s;
}

static void reduce_close_block(private reduce_state *s) {
    const fv y = s->part - s->excess;
    const fv t = s->total + y;
    /* once the total is infinite there is nothing to correct, and inf - inf would be NaN */
    s->excess = fabs(t) < (fv)(INFINITY) ? (t - s->total) - y : (fv)(0.0f);
    s->total = t;
    s->part = (fv)(0.0f);
}

static float reduce_finish(private const reduce_params *p, float x, float shift) {
    switch (p->finish) {
    case REDUCE_MEAN:
        return x / (float)p->divisor;
    case REDUCE_SQRT:
        return sqrt(x);
    case REDUCE_LOG:
        return log(x);
    case REDUCE_LOG_SHIFT:
        return log(x) + shift;
    default:
        return x;
    }
}

static fv reduce_load_padded(const global float *from, uint count, float pad) {
    if (count >= CLV_WIDTH) {
        return CLV_FV_LOAD(from);
    }
    float lanes[CLV_WIDTH];
    for (uint i = 0; i < CLV_WIDTH; i++) {
        lanes[i] = i < count ? from[i] : pad;
    }
    return CLV_PASTE(vload, CLV_WIDTH)(0, (private const float *)lanes);
}

#define REDUCE_LOOP(expression)                    \
    for (; i + CLV_WIDTH <= end; i += CLV_WIDTH) { \
        const fv x = CLV_FV_LOAD(from + i);        \
        acc = (expression);                        \
    }

/* `count` elements in a row. */
static void reduce_run(
    private reduce_state *s, uint op, const global float *from, uint count, fv shift) {
    const bool is_sum = reduce_is_sum(op);
    for (uint i = 0; i < count;) {
        const uint end = min(count, i + REDUCE_BLOCK * CLV_WIDTH);
        fv acc = is_sum ? s->part : s->total;
        switch (op) {
        case REDUCE_SUM:
            REDUCE_LOOP(acc + x)
            break;
        case REDUCE_SUM_ABS:
            REDUCE_LOOP(acc + fabs(x))
            break;
        case REDUCE_SUM_SQUARE:
            REDUCE_LOOP(acc + x * x)
            break;
        case REDUCE_MAX:
            REDUCE_LOOP(reduce_max(x, acc))
            break;
        default:
            REDUCE_LOOP(reduce_step(op, acc, x, shift))
        }
        if (i < end) {
            acc =
                reduce_step(op, acc, reduce_load_padded(from + i, end - i, reduce_pad(op)), shift);
            i = end;
        }
        if (is_sum) {
            s->part = acc;
            reduce_close_block(s);
        } else {
            s->total = acc;
        }
    }
}

/* The lanes of one result put together. */
static float reduce_lanes(private const reduce_state *s, uint op) {
    float total[CLV_WIDTH], excess[CLV_WIDTH];
    CLV_FV_KEEP(total, s->total);
    CLV_FV_KEEP(excess, s->excess);
    float x = total[0], correction = excess[0];
    for (uint i = 1; i < CLV_WIDTH; i++) {
        x = reduce_join(op, x, total[i]);
        correction += excess[i];
    }
    return reduce_is_sum(op) ? x - correction : x;
}

/* m of an output, where it is needed: to take it away, or to add it in the end. */
static float reduce_shift(const global float *shift, private const reduce_params *p, uint output) {
    const bool needed = p->op == REDUCE_SUM_EXP || p->finish == REDUCE_LOG_SHIFT;
    const float m = needed ? shift[output] : 0.0f;
    return fabs(m) < INFINITY || m != m ? m : 0.0f;
}

/* A row shorter than a vector, one element after another. */
static float reduce_short_row(
    const global float *from, private const reduce_params *p, uint begin, uint end, float shift) {
    float acc = p->op == REDUCE_SUM_EXP ? 0.0f : reduce_pad(p->op);
    for (uint r = begin; r < end; r++) {
        const float x = from[reduce_reduced_offset(p, r)];
        switch (p->op) {
        case REDUCE_SUM_ABS:
            acc += fabs(x);
            break;
        case REDUCE_SUM_SQUARE:
            acc += x * x;
            break;
        case REDUCE_SUM_EXP:
            acc += exp(x - shift);
            break;
        default:
            acc = reduce_join(p->op, x, acc);
        }
    }
    return acc;
}

static void reduce_rows(
    const global float *x, const global float *shift, global float *out,
    private const reduce_params *p, ulong item) {
    uint begin, end;
    reduce_segment(p, item, &begin, &end);
    const uint block = (uint)(item % p->num_blocks), segment = (uint)(item / p->num_blocks);
    const uint first = block * p->chunk;
    const uint last = (uint)min((ulong)first + p->chunk, p->num_outputs);
    const uint row = p->reduced_dims[0];
    for (uint o = first; o < last; o++) {
        const global float *from = x + reduce_kept_offset(p, o);
        const float m = reduce_shift(shift, p, o);
        if (end - begin < CLV_WIDTH) {
            const float short_row = reduce_short_row(from, p, begin, end, m);
            out[segment * p->num_outputs + o] = reduce_finish(p, short_row, m);
            continue;
        }
        reduce_state s = reduce_start(p->op);
        for (uint r = begin; r < end;) {
            const uint run = min(end - r, row - r % row);
            reduce_run(&s, p->op, from + reduce_reduced_offset(p, r), run, (fv)(m));
            r += run;
        }
        out[segment * p->num_outputs + o] = reduce_finish(p, reduce_lanes(&s, p->op), m);
    }
}

/* Outputs [first, first + count), which lie next to each other in the input too. */
static void reduce_columns(
    const global float *x, const global float *shift, global float *out,
    private const reduce_params *p, uint begin, uint end, uint first, uint count) {
    reduce_state states[REDUCE_VECTORS];
    fv shifts[REDUCE_VECTORS];
    const uint num_vectors = (count + CLV_WIDTH - 1) / CLV_WIDTH;
    for (uint v = 0; v < num_vectors; v++) {
        float m[CLV_WIDTH];
        for (uint i = 0; i < CLV_WIDTH; i++) {
            const uint at = v * CLV_WIDTH + i;
            m[i] = at < count ? reduce_shift(shift, p, first + at) : 0.0f;
        }
        shifts[v] = CLV_PASTE(vload, CLV_WIDTH)(0, (private const float *)m);
        states[v] = reduce_start(p->op);
    }
    const global float *from = x + reduce_kept_offset(p, first);
    const bool is_sum = reduce_is_sum(p->op);
    for (uint r = begin; r < end; r++) {
        const global float *row = from + reduce_reduced_offset(p, r);
        for (uint v = 0; v < num_vectors; v++) {
            const fv value = reduce_load_padded(row + v * CLV_WIDTH, count - v * CLV_WIDTH, 0.0f);
            private fv *acc = is_sum ? &states[v].part : &states[v].total;
            *acc = reduce_step(p->op, *acc, value, shifts[v]);
        }
        if (is_sum && ((r - begin) % REDUCE_BLOCK == REDUCE_BLOCK - 1 || r + 1 == end)) {
            for (uint v = 0; v < num_vectors; v++) {
                reduce_close_block(&states[v]);
            }
        }
    }
    for (uint v = 0; v < num_vectors; v++) {
        float result[CLV_WIDTH], m[CLV_WIDTH];
        CLV_FV_KEEP(result, states[v].total - states[v].excess);
        CLV_FV_KEEP(m, shifts[v]);
        for (uint i = 0; i < CLV_WIDTH && v * CLV_WIDTH + i < count; i++) {
            out[first + v * CLV_WIDTH + i] = reduce_finish(p, result[i], m[i]);
        }
    }
}

#if CLV_HAS(1)
CLV_ONCE CLV_WIDE static void reduce_f32_item(
    const global uchar *x, const global uchar *shift, global uchar *out, const reduce_params p,
    const clv_range r, const ulong item) {
    const global float *in = CLV_AT(const float, x, r.offset[0]);
    const global float *shifts = CLV_AT(const float, shift, r.offset[1]);
    global float *to = CLV_AT(float, out, r.offset[2]);
    if (p.is_inner_reduced) {
        reduce_rows(in, shifts, to, &p, item);
        return;
    }
    uint begin, end;
    reduce_segment(&p, item, &begin, &end);
    const uint inner = p.kept_dims[0], blocks_a_row = (inner + p.chunk - 1) / p.chunk;
    const uint block = (uint)(item % p.num_blocks), at = block % blocks_a_row * p.chunk;
    const uint row = block / blocks_a_row * inner, stop = min(inner, at + p.chunk);
    to += item / p.num_blocks * p.num_outputs;
    for (uint c = at; c < stop; c += REDUCE_LANES) {
        reduce_columns(in, shifts, to, &p, begin, end, row + c, min((uint)REDUCE_LANES, stop - c));
    }
}

CLV_WIDE kernel void reduce_f32(
    const global uchar *x, const global uchar *shift, global uchar *out, const reduce_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        reduce_f32_item(x, shift, out, p, r, item);
    }
}
#endif

/* --- integers --- */

static long reduce_int_step(uint op, long acc, long x) {
    switch (op) {
    case REDUCE_SUM:
        return as_long(as_ulong(acc) + as_ulong(x));
    case REDUCE_SUM_ABS:
        return as_long(as_ulong(acc) + abs(x));
    case REDUCE_SUM_SQUARE:
        return as_long(as_ulong(acc) + as_ulong(x) * as_ulong(x));
    case REDUCE_PROD:
        return as_long(as_ulong(acc) * as_ulong(x));
    case REDUCE_MAX:
        return max(acc, x);
    case REDUCE_MIN:
        return min(acc, x);
    case REDUCE_UMAX:
        return as_long(max(as_ulong(acc), as_ulong(x)));
    default:
        return as_long(min(as_ulong(acc), as_ulong(x)));
    }
}

static long reduce_int_finish(private const reduce_params *p, long x) {
    if (p->finish == REDUCE_PLAIN || p->divisor == 0) {
        return x;
    }
    return p->finish == REDUCE_UMEAN ? as_long(as_ulong(x) / p->divisor) : x / (long)p->divisor;
}

#if CLV_HAS(2)
enum { REDUCE_LONGS = 64 };

CLV_ONCE static void reduce_i64_item(
    const global uchar *x, const global uchar *shift, global uchar *out, const reduce_params p,
    const clv_range r, const ulong item) {
    const global uchar *in = x + r.offset[0];
    global uchar *to = out + r.offset[2];
    uint begin, end;
    reduce_segment(&p, item, &begin, &end);
    const uint block = (uint)(item % p.num_blocks);
    const uint inner = p.is_inner_reduced ? (uint)p.num_outputs : p.kept_dims[0];
    const uint blocks_a_row = (inner + p.chunk - 1) / p.chunk;
    const uint at = block % blocks_a_row * p.chunk, row = block / blocks_a_row * inner;
    const uint out_first = (uint)(item / p.num_blocks * p.num_outputs);
    const uint stop = row + min(inner, at + p.chunk);
    long values[REDUCE_LONGS], results[REDUCE_LONGS];
    for (uint o = row + at; o < stop;) {
        const uint num = p.is_inner_reduced ? 1 : min((uint)REDUCE_LONGS, stop - o);
        const uint from = reduce_kept_offset(&p, o);
        for (uint i = 0; i < num; i++) {
            results[i] = p.identity;
        }
        for (uint e = begin; e < end;) {
            const uint run = !p.is_inner_reduced
                                 ? 1
                                 : min(min(end - e, p.reduced_dims[0] - e % p.reduced_dims[0]),
                                       (uint)REDUCE_LONGS);
            clv_load_longs(
                values, in, p.in_dtype, from + reduce_reduced_offset(&p, e),
                p.is_inner_reduced ? run : num);
            for (uint i = 0; i < (p.is_inner_reduced ? run : num); i++) {
                const uint k = p.is_inner_reduced ? 0 : i;
                results[k] = reduce_int_step(p.op, results[k], values[i]);
            }
            e += run;
        }
        for (uint i = 0; i < num; i++) {
            results[i] = reduce_int_finish(&p, results[i]);
        }
        clv_store_longs(to, p.out_dtype, out_first + o, results, num);
        o += num;
    }
}

kernel void reduce_i64(
    const global uchar *x, const global uchar *shift, global uchar *out, const reduce_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        reduce_i64_item(x, shift, out, p, r, item);
    }
}
#endif
