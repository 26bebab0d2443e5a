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
#include "kernels_cl/elementwise/elementwise_math.h"
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
        scores = ew_exp_negative(scores - base);
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

/* Two vectors of rows of q stand in lanes, so that the first product is that of matmul.cl: single
 * elements of k times a vector of rows, ATTENTION_TILE keys in registers at once; and maximum,
 * exponential and sum need no exchange between lanes. In the second one vectors of v stand in
 * lanes, times single weights of ATTENTION_TILE rows: results are rows as they are stored. */
#define ATTENTION_ROWS (ATTENTION_VECTORS * CLV_WIDTH)
#define ATTENTION_TILE 8

#define ROWS_TAKE(rows, index, vector) \
    CLV_FV_TAKE((rows) + (index)*ATTENTION_ROWS + (vector)*CLV_WIDTH)
#define ROWS_KEEP(rows, index, vector, value) \
    CLV_FV_KEEP((rows) + (index)*ATTENTION_ROWS + (vector)*CLV_WIDTH, value)

/* scores[t] = mask[t] + sum over d < size of k[t][d] * rows[d], for KEYS values of t and the first
 * VECTORS vectors of rows; `most` becomes the largest, NaN aside. */
#define ATTENTION_SCORES(KEYS, VECTORS)                                                    \
    static void attention_scores_##KEYS##_##VECTORS(                                       \
        const global float *k, const float *rows, const global float *mask, float *scores, \
        clv_fv most[ATTENTION_VECTORS], const attention_params *p) {                       \
        clv_fv sums[KEYS][VECTORS];                                                        \
        const ulong row = p->k.row;                                                        \
        _Pragma("unroll") for (int j = 0; j < KEYS; j++) {                                 \
            _Pragma("unroll") for (int i = 0; i < VECTORS; i++) {                          \
                sums[j][i] = !p->has_mask ? (clv_fv)(0.0f)                                 \
                             : p->mask_row == 0                                            \
                                 ? (clv_fv)(mask[j * p->mask_key])                         \
                                 : CLV_FV_LOAD(mask + j * p->mask_key + i * CLV_WIDTH);    \
            }                                                                              \
        }                                                                                  \
        for (uint d = 0; d < p->size; d++) {                                               \
            clv_fv q[VECTORS];                                                             \
            _Pragma("unroll") for (int i = 0; i < VECTORS; i++) {                          \
                q[i] = ROWS_TAKE(rows, d, i);                                              \
            }                                                                              \
            _Pragma("unroll") for (int j = 0; j < KEYS; j++) {                             \
                const clv_fv value = (clv_fv)(k[j * row + d]);                             \
                _Pragma("unroll") for (int i = 0; i < VECTORS; i++) {                      \
                    sums[j][i] = fma(value, q[i], sums[j][i]);                             \
                }                                                                          \
            }                                                                              \
        }                                                                                  \
        _Pragma("unroll") for (int j = 0; j < KEYS; j++) {                                 \
            _Pragma("unroll") for (int i = 0; i < VECTORS; i++) {                          \
                ROWS_KEEP(scores, j, i, sums[j][i]);                                       \
                most[i] = sums[j][i] > most[i] ? sums[j][i] : most[i];                     \
            }                                                                              \
        }                                                                                  \
    }

ATTENTION_SCORES(8, 2)
ATTENTION_SCORES(4, 2)
ATTENTION_SCORES(1, 2)
ATTENTION_SCORES(8, 1)
ATTENTION_SCORES(4, 1)
ATTENTION_SCORES(1, 1)

/* Prefetches `count` rows of `size` elements. */
static void attention_fetch(const global float *from, ulong row, uint count, uint size) {
    for (uint t = 0; t < count; t++) {
        for (uint d = 0; d < size; d += 16) {
            CLV_PREFETCH(from + d);
        }
        from += row;
    }
}

/* The scores of `count` keys. Where `v` is not 0, rows of v, which are wanted next, and keys two
 * tiles ahead are prefetched. */
#define ATTENTION_ALL_SCORES(VECTORS)                                                              \
    static void attention_all_scores_##VECTORS(                                                    \
        const global float *k, const global float *v, const float *rows, const global float *mask, \
        float *scores, clv_fv most[ATTENTION_VECTORS], uint count, const attention_params *p) {    \
        for (uint t = 0; t < count;) {                                                             \
            const global float *key = k + t * p->k.row, *masked = mask + t * p->mask_key;          \
            float *to = scores + t * ATTENTION_ROWS;                                               \
            if (t + 8 <= count) {                                                                  \
                if (v != 0) {                                                                      \
                    attention_fetch(v + t * p->v.row, p->v.row, 8, p->value_size);                 \
                    attention_fetch(                                                               \
                        key + 16 * p->k.row, p->k.row, t + 24 <= count ? 8 : 0, p->size);          \
                }                                                                                  \
                attention_scores_8_##VECTORS(key, rows, masked, to, most, p);                      \
                t += 8;                                                                            \
            } else if (t + 4 <= count) {                                                           \
                attention_scores_4_##VECTORS(key, rows, masked, to, most, p);                      \
                t += 4;                                                                            \
            } else {                                                                               \
                attention_scores_1_##VECTORS(key, rows, masked, to, most, p);                      \
                t++;                                                                               \
            }                                                                                      \
        }                                                                                          \
    }

ATTENTION_ALL_SCORES(2)
ATTENTION_ALL_SCORES(1)

/* sums[j] = keep[j] * sums[j] + sum over t < keys of weights[t * ATTENTION_ROWS + j] * v[t * row],
 * for ATTENTION_TILE rows j and VECTORS vectors, the first of `count` columns (LOAD: as many as
 * there are). */
#define ATTENTION_VALUES(NAME, VECTORS, LOAD)                                              \
    static void attention_values_##NAME(                                                   \
        const global float *v, ulong row, uint count, const float *weights, uint keys,     \
        const float *keep, float *sums) {                                                  \
        clv_fv all[ATTENTION_TILE][VECTORS];                                               \
        _Pragma("unroll") for (int j = 0; j < ATTENTION_TILE; j++) {                       \
            _Pragma("unroll") for (int i = 0; i < VECTORS; i++) {                          \
                const clv_fv sum = CLV_FV_TAKE(sums + j * ATTENTION_SIZE + i * CLV_WIDTH); \
                all[j][i] = keep != 0 ? sum * keep[j] : (clv_fv)(0.0f);                    \
            }                                                                              \
        }                                                                                  \
        for (uint t = 0; t < keys; t++) {                                                  \
            clv_fv values[VECTORS];                                                        \
            _Pragma("unroll") for (int i = 0; i < VECTORS; i++) {                          \
                values[i] = LOAD(v + i * CLV_WIDTH, count);                                \
            }                                                                              \
            _Pragma("unroll") for (int j = 0; j < ATTENTION_TILE; j++) {                   \
                const clv_fv weight = (clv_fv)(weights[j]);                                \
                _Pragma("unroll") for (int i = 0; i < VECTORS; i++) {                      \
                    all[j][i] = fma(weight, values[i], all[j][i]);                         \
                }                                                                          \
            }                                                                              \
            v += row;                                                                      \
            weights += ATTENTION_ROWS;                                                     \
        }                                                                                  \
        _Pragma("unroll") for (int j = 0; j < ATTENTION_TILE; j++) {                       \
            _Pragma("unroll") for (int i = 0; i < VECTORS; i++) {                          \
                CLV_FV_KEEP(sums + j * ATTENTION_SIZE + i * CLV_WIDTH, all[j][i]);         \
            }                                                                              \
        }                                                                                  \
    }

#define ATTENTION_WHOLE(from, count) CLV_FV_LOAD(from)
#define ATTENTION_PART(from, count) clv_load_part(from, count, 0.0f)
ATTENTION_VALUES(2, 2, ATTENTION_WHOLE)
ATTENTION_VALUES(1, 1, ATTENTION_WHOLE)
ATTENTION_VALUES(part, 1, ATTENTION_PART)

/* Elements of two vectors in turn, of the first and of the second half of each group of four. */
#define ATTENTION_LOW(a, b)                                                                       \
    (float16)(                                                                                    \
        a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5, a.s8, b.s8, a.s9, b.s9, a.sc, b.sc, a.sd, \
        b.sd)
#define ATTENTION_HIGH(a, b)                                                                      \
    (float16)(                                                                                    \
        a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7, a.sa, b.sa, a.sb, b.sb, a.se, b.se, a.sf, \
        b.sf)

/* Four vectors of four groups of four: in each group rows become columns. */
static void attention_turn(float16 x[4]) {
    const float16 a = x[0], b = x[1], c = x[2], d = x[3];
    const float16 ac = ATTENTION_LOW(a, c), bd = ATTENTION_LOW(b, d);
    const float16 e = ATTENTION_HIGH(a, c), f = ATTENTION_HIGH(b, d);
    x[0] = ATTENTION_LOW(ac, bd);
    x[1] = ATTENTION_HIGH(ac, bd);
    x[2] = ATTENTION_LOW(e, f);
    x[3] = ATTENTION_HIGH(e, f);
}

/* Rows of q as columns, scaled; 0 behind the last. */
static void attention_take_rows(
    const global float *q, uint count, const attention_params *p, float *rows) {
    for (uint row = 0; row < ATTENTION_ROWS; row += 4) {
        float *to = rows + row;
        uint d = 0;
        for (; row + 4 <= count && d + 16 <= p->size; d += 16) {
            float16 x[4];
            _Pragma("unroll") for (int i = 0; i < 4; i++) {
                x[i] = vload16(0, q + (row + i) * p->q.row + d) * p->scale;
            }
            attention_turn(x);
            _Pragma("unroll") for (int i = 0; i < 4; i++) {
                vstore4(x[i].s0123, 0, to + (d + i) * ATTENTION_ROWS);
                vstore4(x[i].s4567, 0, to + (d + 4 + i) * ATTENTION_ROWS);
                vstore4(x[i].s89ab, 0, to + (d + 8 + i) * ATTENTION_ROWS);
                vstore4(x[i].scdef, 0, to + (d + 12 + i) * ATTENTION_ROWS);
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

/* Adds the products of a block's weights with its rows of v; keep: what is kept of earlier sums of
 * each row, or 0. */
static void attention_add_block(
    const global float *v, const float *weights, uint keys, uint rows, const float *keep,
    float *sums, const attention_params *p) {
    for (uint d = 0; d < p->value_size;) {
        const uint rest = p->value_size - d, num = rest >= 2 * CLV_WIDTH ? 2 : 1;
        for (uint row = 0; row < rows; row += ATTENTION_TILE) {
            const float *from = weights + row, *kept = keep != 0 ? keep + row : 0;
            float *to = sums + row * ATTENTION_SIZE + d;
            if (num == 2) {
                attention_values_2(v + d, p->v.row, rest, from, keys, kept, to);
            } else if (rest >= CLV_WIDTH) {
                attention_values_1(v + d, p->v.row, rest, from, keys, kept, to);
            } else {
                attention_values_part(v + d, p->v.row, rest, from, keys, kept, to);
            }
        }
        d += num * CLV_WIDTH;
    }
}

static void attention_put_rows(
    const float *sums, const clv_fv total[ATTENTION_VECTORS], uint count, const attention_params *p,
    global float *out) {
    float totals[ATTENTION_ROWS];
    for (int i = 0; i < ATTENTION_VECTORS; i++) {
        CLV_FV_KEEP(totals + i * CLV_WIDTH, total[i]);
    }
    for (uint row = 0; row < count; row++, sums += ATTENTION_SIZE, out += p->out.row) {
        const float factor = 1.0f / totals[row];
        const bool is_zero = p->nan_is_zero && !(totals[row] > 0.0f);
        for (uint d = 0; d < p->value_size; d += CLV_WIDTH) {
            const clv_fv value = CLV_FV_TAKE(sums + d) * factor;
            clv_store_part(out + d, p->value_size - d, is_zero ? (clv_fv)(0.0f) : value);
        }
    }
}

/* A block of keys: scores become weights in `scores`; what was summed shrinks where a larger score
 * has come. */
static void attention_block(
    const global float *k, const global float *v, const global float *mask, uint count,
    uint num_rows, const float *rows, clv_fv most[ATTENTION_VECTORS],
    clv_fv total[ATTENTION_VECTORS], float *sums, bool is_first, bool fetches,
    const attention_params *p) {
    float scores[ATTENTION_KEYS * ATTENTION_ROWS], keep[ATTENTION_ROWS];
    clv_fv before[ATTENTION_VECTORS] = {most[0], most[1]};
    const int num_vectors = num_rows > CLV_WIDTH ? 2 : 1;
    if (num_vectors == 2) {
        attention_all_scores_2(k, fetches ? v : 0, rows, mask, scores, most, count, p);
    } else {
        attention_all_scores_1(k, fetches ? v : 0, rows, mask, scores, most, count, p);
    }
    clv_fv base[ATTENTION_VECTORS], sum[ATTENTION_VECTORS];
    _Pragma("unroll") for (int i = 0; i < ATTENTION_VECTORS; i++) {
        base[i] = most[i] == -INFINITY ? (clv_fv)(0.0f) : most[i];
        sum[i] = (clv_fv)(0.0f);
    }
    for (uint t = 0; t < count; t++) {
        for (int i = 0; i < num_vectors; i++) {
            const clv_fv weight = ew_exp_negative(ROWS_TAKE(scores, t, i) - base[i]);
            ROWS_KEEP(scores, t, i, weight);
            sum[i] += weight;
        }
    }
    _Pragma("unroll") for (int i = 0; i < ATTENTION_VECTORS; i++) {
        const clv_fv kept = ew_exp_negative(before[i] - base[i]);
        total[i] = fma(total[i], kept, sum[i]);
        CLV_FV_KEEP(keep + i * CLV_WIDTH, kept);
    }
    attention_add_block(v, scores, count, num_rows, is_first ? 0 : keep, sums, p);
}

typedef struct attention_at {
    uint row, count, head;
    bool is_first; /* block of a head in a part: its keys may have been written by another lane */
} attention_at;

/* Items of a batch go through heads, and in each through the blocks of one part of the rows, then
 * through the next part: a lane has the same rows as in the operators before and behind, which
 * share them likewise, and keys of a head stay in its cache for all blocks of a part. */
static attention_at attention_find(uint item, const attention_params *p) {
    const uint part = item / (p->part_blocks * p->heads), before = part * p->part_blocks;
    const uint here = min(p->part_blocks, p->row_blocks - before), rest = item - before * p->heads;
    const uint row = part * p->part_rows + rest % here * ATTENTION_ROWS;
    const uint end = min((part + 1) * p->part_rows, p->rows);
    return (attention_at){
        .row = row,
        .count = min(end - row, (uint)ATTENTION_ROWS),
        .head = rest / here,
        .is_first = rest % here == 0};
}

/* An item does up to ATTENTION_ROWS rows of q of one head. Where the mask has rows (mask_row is not
 * 0) it is what attention_mask made. */
CLV_ONCE CLV_WIDE static void attention_tile_item(
    global float *q, global float *k, global float *v, global float *mask, global float *out,
    const attention_params p, const clv_range r, ulong item) {
    const ulong batch = item / p.row_blocks / p.heads;
    const attention_at at = attention_find((uint)(item - batch * p.row_blocks * p.heads), &p);
    const uint row = at.row, count = at.count, head = at.head, shared = head / p.group;
    q = CLV_AT(float, q, r.offset[0]) + p.q.first + batch * p.q.batch + head * p.q.head +
        row * p.q.row;
    k = CLV_AT(float, k, r.offset[1]) + p.k.first + batch * p.k.batch + shared * p.k.head;
    v = CLV_AT(float, v, r.offset[2]) + p.v.first + batch * p.v.batch + shared * p.v.head;
    mask = CLV_AT(float, mask, r.offset[3]) + batch * p.mask_batch + head * p.mask_head +
           row * p.mask_row;
    out =
        CLV_AT(float, out, r.offset[4]) + batch * p.out.batch + head * p.out.head + row * p.out.row;
    float rows[ATTENTION_SIZE * ATTENTION_ROWS], sums[ATTENTION_ROWS * ATTENTION_SIZE];
    clv_fv most[ATTENTION_VECTORS] = {(clv_fv)(-INFINITY), (clv_fv)(-INFINITY)};
    clv_fv total[ATTENTION_VECTORS] = {(clv_fv)(0.0f), (clv_fv)(0.0f)};
    attention_take_rows(q, count, &p, rows);
    for (uint t = 0; t < p.keys; t += ATTENTION_KEYS) {
        attention_block(
            k + t * p.k.row, v + t * p.v.row, mask + t * p.mask_key,
            min(p.keys - t, (uint)ATTENTION_KEYS), count, rows, most, total, sums, t == 0,
            at.is_first, &p);
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
