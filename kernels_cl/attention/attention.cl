/* Attention by head:
 *
 *     out[b][h][s] = softmax over t of (scale * q[b][h][s] . k[b][g][t] + mask[b][h][s][t])
 *                    times v[b][g][t],  g = h / group
 *
 * All float32; q, k, v, mask and out by strides, rows unit-stride. No score is written to memory:
 * keys are taken a block at a time, with the largest score so far, the sum of exponentials and the
 * weighted sum of v kept up to date (Milakov and Gimelshein, Online normalizer calculation for
 * softmax, 2018). Errors are those of the separate operators: some 1e-6 of the largest |v|, plus
 * the scores' own absolute error as a relative one. Rows whose scores are all -inf, or that hold
 * NaN or +inf, are NaN, or with nan_is_zero 0. No local memory; local size 1 on CPUs.
 */
#include "kernels_cl/attention/attention_params.h"
#include "kernels_cl/clv.h"
#include "kernels_cl/wide.h"
#include "kernels_cl/wide_part.h"

/* --- a row an item --------------------------------------------------------------------------- */

/* The scores of up to CLV_WIDTH keys; -inf behind `count`. */
static clv_fv attention_scores(
    const global float *q, const global float *k, const global float *mask, uint count,
    const attention_params *p) {
    float lanes[CLV_WIDTH];
    for (uint t = 0; t < CLV_WIDTH; t++) {
        lanes[t] = -INFINITY;
        if (t < count) {
            const global float *key = k + t * p->k.row;
            clv_fv sum = (clv_fv)(0.0f);
            for (uint d = 0; d < p->size; d += CLV_WIDTH) {
                uint here = p->size - d;
                sum =
                    fma(clv_load_part(q + d, here, 0.0f), clv_load_part(key + d, here, 0.0f), sum);
            }
            lanes[t] = clv_sum_lanes(sum) * p->scale;
            lanes[t] += p->has_mask ? mask[t * p->mask_key] : 0.0f;
        }
    }
    return CLV_FV_TAKE(lanes);
}

/* out = out * keep + sum over t of weights[t] * v[t] */
static void attention_add_values(
    global float *out, const global float *v, const float *weights, uint count, float keep,
    const attention_params *p) {
    for (uint d = 0; d < p->value_size; d += CLV_WIDTH) {
        uint here = p->value_size - d;
        clv_fv sum = (clv_fv)(0.0f);
        for (uint t = 0; t < count; t++) {
            sum = fma((clv_fv)(weights[t]), clv_load_part(v + t * p->v.row + d, here, 0.0f), sum);
        }
        if (keep >= 0.0f) {
            sum = fma(clv_load_part(out + d, here, 0.0f), (clv_fv)(keep), sum);
        }
        clv_store_part(out + d, here, sum);
    }
}

/* An item does one row of q of one head. */
CLV_ONCE CLV_WIDE static void attention_item(
    global float *q, global float *k, global float *v, global float *mask, global float *out,
    const attention_params p, const clv_range r, ulong item) {
    uint row = (uint)(item % p.rows), head = (uint)(item / p.rows % p.heads);
    ulong batch = item / p.rows / p.heads;
    uint shared = head / p.group;
    q = CLV_AT(float, q, r.offset[0]) + p.q.first + batch * p.q.batch + head * p.q.head +
        row * p.q.row;
    k = CLV_AT(float, k, r.offset[1]) + p.k.first + batch * p.k.batch + shared * p.k.head;
    v = CLV_AT(float, v, r.offset[2]) + p.v.first + batch * p.v.batch + shared * p.v.head;
    mask = CLV_AT(float, mask, r.offset[3]) + batch * p.mask_batch + head * p.mask_head +
           row * p.mask_row;
    out =
        CLV_AT(float, out, r.offset[4]) + batch * p.out.batch + head * p.out.head + row * p.out.row;
    float most = -INFINITY, total = 0.0f;
    for (uint t = 0; t < p.keys; t += CLV_WIDTH) {
        const uint count = min(p.keys - t, (uint)CLV_WIDTH);
        clv_fv scores = attention_scores(q, k + t * p.k.row, mask + t * p.mask_key, count, &p);
        const float now = fmax(most, clv_max_lanes(scores));
        const float base = now == -INFINITY ? 0.0f : now; /* all masked so far: weights of 0 */
        const float keep = exp(most - base);
        float weights[CLV_WIDTH];
        scores = exp(scores - base);
        CLV_FV_KEEP(weights, scores);
        float sum = 0.0f;
        for (uint i = 0; i < count; i++) {
            sum += weights[i];
        }
        total = total * keep + sum;
        attention_add_values(out, v + t * p.v.row, weights, count, t == 0 ? -1.0f : keep, &p);
        most = now;
    }
    const clv_fv factor = (clv_fv)(1.0f / total);
    const bool is_zero = p.nan_is_zero && !(total > 0.0f);
    for (uint d = 0; d < p.value_size; d += CLV_WIDTH) {
        uint here = p.value_size - d;
        clv_fv value = clv_load_part(out + d, here, 0.0f) * factor;
        clv_store_part(out + d, here, is_zero ? (clv_fv)(0.0f) : value);
    }
}

CLV_WIDE kernel void attention(
    global float *q, global float *k, global float *v, global float *mask, global float *out,
    const attention_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        attention_item(q, k, v, mask, out, p, r, item);
    }
}

/* --- tiles ----------------------------------------------------------------------------------- */

/* Two vectors of rows of q stand in lanes, so that both products are those of matmul.cl: single
 * elements of k (or v) times a vector of rows, ATTENTION_TILE keys (or columns of v) in registers
 * at once; and maximum, exponential and sum need no exchange between lanes. */
#define ATTENTION_ROWS (ATTENTION_VECTORS * CLV_WIDTH)
#define ATTENTION_TILE 8

#define ROWS_TAKE(rows, index, vector) \
    CLV_FV_TAKE((rows) + (index)*ATTENTION_ROWS + (vector)*CLV_WIDTH)
#define ROWS_KEEP(rows, index, vector, value) \
    CLV_FV_KEEP((rows) + (index)*ATTENTION_ROWS + (vector)*CLV_WIDTH, value)

/* to[j] (+)= sum over i < n of from[j * row + i * column] * rows[i], for ROWS values of j. */
#define ATTENTION_PRODUCT(ROWS)                                                                  \
    static void attention_product_##ROWS(                                                        \
        const global float *from, ulong row, ulong column, const float *rows, uint n, bool adds, \
        float *to) {                                                                             \
        clv_fv sums[ROWS][ATTENTION_VECTORS];                                                    \
        _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                                       \
            sums[j][0] = adds ? ROWS_TAKE(to, j, 0) : (clv_fv)(0.0f);                            \
            sums[j][1] = adds ? ROWS_TAKE(to, j, 1) : (clv_fv)(0.0f);                            \
        }                                                                                        \
        for (uint i = 0; i < n; i++) {                                                           \
            const clv_fv first = ROWS_TAKE(rows, i, 0), second = ROWS_TAKE(rows, i, 1);          \
            _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                                   \
                const clv_fv value = (clv_fv)(from[j * row]);                                    \
                sums[j][0] = fma(value, first, sums[j][0]);                                      \
                sums[j][1] = fma(value, second, sums[j][1]);                                     \
            }                                                                                    \
            from += column;                                                                      \
        }                                                                                        \
        _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                                       \
            ROWS_KEEP(to, j, 0, sums[j][0]);                                                     \
            ROWS_KEEP(to, j, 1, sums[j][1]);                                                     \
        }                                                                                        \
    }

ATTENTION_PRODUCT(8)
ATTENTION_PRODUCT(1)

/* Adds the mask to the scores of `count` keys, and takes the largest. */
static void attention_mask_scores(
    float *scores, const global float *mask, uint count, clv_fv most[ATTENTION_VECTORS],
    const attention_params *p) {
    for (uint t = 0; t < count; t++) {
        for (int i = 0; i < ATTENTION_VECTORS; i++) {
            clv_fv value = ROWS_TAKE(scores, t, i);
            if (p->has_mask) {
                value += p->mask_row == 0 ? (clv_fv)(mask[t * p->mask_key])
                                          : CLV_FV_LOAD(mask + t * p->mask_key + i * CLV_WIDTH);
                ROWS_KEEP(scores, t, i, value);
            }
            most[i] = select(most[i], value, value > most[i]);
        }
    }
}

/* Four rows of four as four columns. */
static void attention_turn(float4 x[4]) {
    const float4 a = x[0], b = x[1], c = x[2], d = x[3];
    x[0] = (float4)(a.x, b.x, c.x, d.x);
    x[1] = (float4)(a.y, b.y, c.y, d.y);
    x[2] = (float4)(a.z, b.z, c.z, d.z);
    x[3] = (float4)(a.w, b.w, c.w, d.w);
}

/* Rows of q as columns, scaled; 0 behind the last. */
static void attention_take_rows(
    const global float *q, uint count, const attention_params *p, float *rows) {
    for (uint row = 0; row < ATTENTION_ROWS; row += 4) {
        float *to = rows + row;
        uint d = 0;
        for (; row + 4 <= count && d + 4 <= p->size; d += 4) {
            float4 x[4];
            for (int i = 0; i < 4; i++) {
                x[i] = vload4(0, q + (row + i) * p->q.row + d) * p->scale;
            }
            attention_turn(x);
            for (int i = 0; i < 4; i++) {
                vstore4(x[i], 0, to + (d + i) * ATTENTION_ROWS);
            }
        }
        for (; d < p->size; d++) {
            for (uint i = 0; i < 4; i++) {
                to[d * ATTENTION_ROWS + i] =
                    row + i < count ? q[(row + i) * p->q.row + d] * p->scale : 0.0f;
            }
        }
    }
}

static void attention_put_rows(
    float *rows, const clv_fv total[ATTENTION_VECTORS], uint count, const attention_params *p,
    global float *out) {
    for (int i = 0; i < ATTENTION_VECTORS; i++) {
        const clv_fv factor = 1.0f / total[i];
        for (uint d = 0; d < p->value_size; d++) {
            clv_fv value = ROWS_TAKE(rows, d, i) * factor;
            if (p->nan_is_zero) {
                value = total[i] > (clv_fv)(0.0f) ? value : (clv_fv)(0.0f);
            }
            ROWS_KEEP(rows, d, i, value);
        }
    }
    for (uint row = 0; row < count; row += 4) {
        const float *from = rows + row;
        uint d = 0;
        for (; row + 4 <= count && d + 4 <= p->value_size; d += 4) {
            float4 x[4];
            for (int i = 0; i < 4; i++) {
                x[i] = vload4(0, from + (d + i) * ATTENTION_ROWS);
            }
            attention_turn(x);
            for (int i = 0; i < 4; i++) {
                vstore4(x[i], 0, out + (row + i) * p->out.row + d);
            }
        }
        for (; d < p->value_size; d++) {
            for (uint i = 0; i < 4 && row + i < count; i++) {
                out[(row + i) * p->out.row + d] = from[d * ATTENTION_ROWS + i];
            }
        }
    }
}

/* A block of keys: scores become weights in `scores`; what was summed shrinks where a larger score
 * has come. */
static void attention_block(
    const global float *k, const global float *v, const global float *mask, uint count,
    const float *rows, clv_fv most[ATTENTION_VECTORS], clv_fv total[ATTENTION_VECTORS], float *sums,
    bool is_first, const attention_params *p) {
    float scores[ATTENTION_KEYS * ATTENTION_ROWS];
    uint t = 0, d = 0;
    for (; t + ATTENTION_TILE <= count; t += ATTENTION_TILE) {
        attention_product_8(
            k + t * p->k.row, p->k.row, 1, rows, p->size, false, scores + t * ATTENTION_ROWS);
    }
    for (; t < count; t++) {
        attention_product_1(
            k + t * p->k.row, p->k.row, 1, rows, p->size, false, scores + t * ATTENTION_ROWS);
    }
    clv_fv before[ATTENTION_VECTORS] = {most[0], most[1]};
    attention_mask_scores(scores, mask, count, most, p);
    for (int i = 0; i < ATTENTION_VECTORS; i++) {
        const clv_fv base = most[i] == -INFINITY ? (clv_fv)(0.0f) : most[i];
        const clv_fv keep = exp(before[i] - base);
        clv_fv sum = (clv_fv)(0.0f);
        for (t = 0; t < count; t++) {
            const clv_fv weight = exp(ROWS_TAKE(scores, t, i) - base);
            ROWS_KEEP(scores, t, i, weight);
            sum += weight;
        }
        total[i] = fma(total[i], keep, sum);
        for (d = 0; d < p->value_size && !is_first; d++) {
            ROWS_KEEP(sums, d, i, ROWS_TAKE(sums, d, i) * keep);
        }
    }
    for (d = 0; d + ATTENTION_TILE <= p->value_size; d += ATTENTION_TILE) {
        attention_product_8(
            v + d, 1, p->v.row, scores, count, !is_first, sums + d * ATTENTION_ROWS);
    }
    for (; d < p->value_size; d++) {
        attention_product_1(
            v + d, 1, p->v.row, scores, count, !is_first, sums + d * ATTENTION_ROWS);
    }
}

/* An item does ATTENTION_ROWS rows of q of one head. Where the mask has rows (mask_row is not 0) it
 * is what attention_mask made. */
CLV_ONCE CLV_WIDE static void attention_tile_item(
    global float *q, global float *k, global float *v, global float *mask, global float *out,
    const attention_params p, const clv_range r, ulong item) {
    uint row = (uint)(item % p.row_blocks) * ATTENTION_ROWS;
    uint head = (uint)(item / p.row_blocks % p.heads), shared = head / p.group;
    ulong batch = item / p.row_blocks / p.heads;
    const uint count = min(p.rows - row, (uint)ATTENTION_ROWS);
    q = CLV_AT(float, q, r.offset[0]) + p.q.first + batch * p.q.batch + head * p.q.head +
        row * p.q.row;
    k = CLV_AT(float, k, r.offset[1]) + p.k.first + batch * p.k.batch + shared * p.k.head;
    v = CLV_AT(float, v, r.offset[2]) + p.v.first + batch * p.v.batch + shared * p.v.head;
    mask = CLV_AT(float, mask, r.offset[3]) + batch * p.mask_batch + head * p.mask_head +
           row * p.mask_row;
    out =
        CLV_AT(float, out, r.offset[4]) + batch * p.out.batch + head * p.out.head + row * p.out.row;
    float rows[ATTENTION_SIZE * ATTENTION_ROWS], sums[ATTENTION_SIZE * ATTENTION_ROWS];
    clv_fv most[ATTENTION_VECTORS] = {(clv_fv)(-INFINITY), (clv_fv)(-INFINITY)};
    clv_fv total[ATTENTION_VECTORS] = {(clv_fv)(0.0f), (clv_fv)(0.0f)};
    attention_take_rows(q, count, &p, rows);
    for (uint t = 0; t < p.keys; t += ATTENTION_KEYS) {
        attention_block(
            k + t * p.k.row, v + t * p.v.row, mask + t * p.mask_key,
            min(p.keys - t, (uint)ATTENTION_KEYS), rows, most, total, sums, t == 0, &p);
    }
    attention_put_rows(sums, total, count, &p, out);
}

CLV_TILE kernel void attention_tile(
    global float *q, global float *k, global float *v, global float *mask, global float *out,
    const attention_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        attention_tile_item(q, k, v, mask, out, p, r, item);
    }
}

/* mask [planes][rows][keys], keys by mask_key; to [planes][keys][padded_rows], 0 behind the last
 * row. An item does ATTENTION_ROWS rows of one plane. */
kernel void attention_mask(
    global float *mask, global float *to, const attention_mask_params p, const clv_range r) {
    ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    uint first = (uint)(item % p.row_blocks) * ATTENTION_ROWS;
    ulong plane = item / p.row_blocks;
    mask = CLV_AT(float, mask, r.offset[0]) + plane * p.rows * p.keys;
    to = CLV_AT(float, to, r.offset[1]) + plane * p.keys * p.padded_rows;
    for (uint row = first; row < first + ATTENTION_ROWS; row++) {
        for (uint t = 0; t < p.keys; t++) {
            to[(ulong)t * p.padded_rows + row] =
                row < p.rows ? mask[(ulong)row * p.keys + t] : 0.0f;
        }
    }
}
