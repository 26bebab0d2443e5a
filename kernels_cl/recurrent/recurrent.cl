/* Recurrent layers, a step of all sequences after the other (ONNX's LSTM, GRU and RNN):
 *
 *     z = x W' + b                      for all steps at once, here or by a matrix product before
 *     LSTM  i, o, f, g = z + h R'       c = f(f) c + f(i) g(g),  h = f(o) h(c)
 *     GRU   u, r, n = z + h R'          n = g(z + (r h) R') or g(z + r (h R' + b)),
 *                                       h = (1 - u) n + u h
 *     RNN   h = f(z + h R')
 *
 * operands  float32; lengths int32. The state is scratch: h before and after a step (by turns), c,
 *           and two rows for a GRU that resets before its product; [directions][batch][hidden] each
 * geometry  recurrent_ref: an item is a sequence in one direction, all steps. recurrent_packed:
 *           some sequences, some blocks of CLV_WIDTH hidden units, some steps; R is packed
 *           [directions][blocks][hidden][gates][CLV_WIDTH]
 * error     that of sums of `hidden` products in float32; it adds up over steps, damped by the
 *           activations
 */
#include "kernels_cl/elementwise/elementwise_math.h"
#include "kernels_cl/recurrent/recurrent_params.h"
#include "kernels_cl/wide.h"
#include "kernels_cl/wide_part.h"

/* --- before and after the steps --------------------------------------------------------------- */

/* z[step][batch][directions * gates * hidden] = x W' + b: an item is a row. */
CLV_WIDE kernel void recurrent_project(
    const global float *x, const global float *w, const global float *b, global float *z,
    const recurrent_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const uint size = p.gates * p.hidden, columns = p.directions * size;
    x = CLV_AT(const float, x, r.offset[0]) + item / p.batch * p.x_step +
        item % p.batch * p.x_batch;
    w = CLV_AT(const float, w, r.offset[1]);
    b = CLV_AT(const float, b, r.offset[2]);
    z = CLV_AT(float, z, r.offset[3]) + item * columns;
    for (uint n = 0; n < columns; n++, w += p.input) {
        clv_fv sum = (clv_fv)(0.0f);
        for (uint k = 0; k < p.input; k += CLV_WIDTH) {
            const uint here = p.input - k;
            sum = fma(clv_load_part(x + k, here, 0.0f), clv_load_part(w + k, here, 0.0f), sum);
        }
        float bias = 0.0f;
        if (p.has_bias) {
            const uint at = n / size * 2 * size + n % size;
            const bool is_reset =
                p.kind == RECURRENT_GRU && p.linear_before_reset && n % size >= 2 * p.hidden;
            bias = b[at] + (is_reset ? 0.0f : b[at + size]);
        }
        z[n] = clv_sum_lanes(sum) + bias;
    }
}

/* The state at first: an item is a sequence in one direction. */
kernel void recurrent_start(
    const global float *h, const global float *c, const global int *lengths, global float *state,
    global uint *error, const recurrent_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const ulong from = item / p.batch * p.s_direction + item % p.batch * p.s_batch;
    const ulong all = (ulong)p.directions * p.batch * p.hidden;
    h = CLV_AT(const float, h, r.offset[0]) + from;
    c = CLV_AT(const float, c, r.offset[1]) + from;
    state = CLV_AT(float, state, r.offset[3]) + item * p.hidden;
    for (uint j = 0; j < p.hidden; j++) {
        state[j] = p.has_h ? h[j] : 0.0f;
        state[2 * all + j] = p.has_c ? c[j] : 0.0f;
    }
    if (p.has_lengths && item < p.batch) {
        const int length = CLV_AT(const int, lengths, r.offset[2])[item];
        if (length < 0 || length > (int)p.steps) {
            *CLV_AT(uint, error, r.offset[4]) = CLV_KERNEL_ERROR_INDEX;
        }
    }
}

kernel void recurrent_end(
    const global float *state, global float *h, global float *c, const recurrent_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const ulong to = item / p.batch * p.s_direction + item % p.batch * p.s_batch;
    const ulong all = (ulong)p.directions * p.batch * p.hidden;
    h = CLV_AT(float, h, r.offset[1]) + to;
    c = CLV_AT(float, c, r.offset[2]) + to;
    state = CLV_AT(const float, state, r.offset[0]) + item * p.hidden;
    for (uint j = 0; j < p.hidden; j++) {
        if (p.has_y_h) {
            h[j] = state[(p.steps & 1) * all + j];
        }
        if (p.has_y_c) {
            c[j] = state[2 * all + j];
        }
    }
}

/* --- a cell ----------------------------------------------------------------------------------- */

static clv_fv recurrent_activate(clv_fv x, private const recurrent_params *p, uint d, uint which) {
    const float a = p->acts[d][which].a, b = p->acts[d][which].b;
    const clv_fv zero = (clv_fv)(0.0f), one = (clv_fv)(1.0f);
    if (p->clip < INFINITY && which < 2) { /* gates, not an LSTM's cells */
        x = x > p->clip ? (clv_fv)(p->clip) : x < -p->clip ? (clv_fv)(-p->clip) : x;
    }
    switch (p->acts[d][which].function) {
    case RECURRENT_SIGMOID:
        return ew_sigmoid(x);
    case RECURRENT_TANH:
        return ew_tanh(x);
    case RECURRENT_RELU:
        return x < zero ? zero : x;
    case RECURRENT_AFFINE:
        return x * a + b;
    case RECURRENT_LEAKY_RELU:
        return x < zero ? x * a : x;
    case RECURRENT_THRESHOLDED_RELU:
        return x < (clv_fv)(a) ? zero : x;
    case RECURRENT_SCALED_TANH:
        return a * ew_tanh(b * x);
    case RECURRENT_HARD_SIGMOID:
        return ew_hard_sigmoid(x, a, b);
    case RECURRENT_ELU:
        return ew_elu(x, a);
    case RECURRENT_SOFTSIGN:
        return x / (one + fabs(x));
    default: /* RECURRENT_SOFTPLUS */
        return ew_softplus(x);
    }
}

/* A sequence at a step, in one direction. */
typedef struct recurrent_row {
    const global float *z, *h_from;
    global float *h_to, *c, *extra, *y;
    bool is_live; /* the sequence goes on: else its state stays, and y is 0 */
} recurrent_row;

static recurrent_row recurrent_row_at(
    const global float *z, const global int *lengths, global float *state, global float *y,
    private const recurrent_params *p, uint d, uint b, uint step) {
    recurrent_row row;
    const ulong all = (ulong)p->directions * p->batch * p->hidden;
    const ulong at = ((ulong)d * p->batch + b) * p->hidden;
    uint length = p->steps;
    if (p->has_lengths) {
        length = min((uint)max(lengths[b], 0), length);
    }
    row.is_live = step < length;
    const bool is_back = d == 1 || p->is_reverse;
    const uint t = row.is_live && is_back ? length - 1 - step : step;
    row.z = z + t * p->x_step + b * p->x_batch + (ulong)d * p->gates * p->hidden;
    row.h_from = state + (step & 1) * all + at;
    row.h_to = state + (~step & 1) * all + at;
    row.c = state + 2 * all + at;
    row.extra = state + 3 * all + 2 * at;
    row.y = y + t * p->y_step + b * p->y_batch + d * p->y_direction;
    return row;
}

static void recurrent_put(
    private const recurrent_row *row, private const recurrent_params *p, uint j, clv_fv h) {
    const uint count = p->hidden - j;
    clv_store_part(
        row->h_to + j, count, row->is_live ? h : clv_load_part(row->h_from + j, count, 0.0f));
    if (p->has_y) {
        clv_store_part(row->y + j, count, row->is_live ? h : (clv_fv)(0.0f));
    }
}

static void recurrent_lstm(
    private const recurrent_row *row, private const recurrent_params *p, uint d,
    const global float *peepholes, uint j, const clv_fv *sums) {
    const uint count = p->hidden - j;
    const global float *z = row->z + j;
    const clv_fv before = clv_load_part(row->c + j, count, 0.0f);
    clv_fv gates[4];
    for (uint g = 0; g < 4; g++) {
        gates[g] = sums[g] + clv_load_part(z + g * p->hidden, count, 0.0f);
    }
    peepholes += (ulong)d * 3 * p->hidden + j;
    if (p->has_peepholes) {
        gates[0] = fma(clv_load_part(peepholes, count, 0.0f), before, gates[0]);
        gates[2] = fma(clv_load_part(peepholes + 2 * p->hidden, count, 0.0f), before, gates[2]);
    }
    const clv_fv in = recurrent_activate(gates[0], p, d, 0);
    const clv_fv keep =
        p->input_forget ? (clv_fv)(1.0f) - in : recurrent_activate(gates[2], p, d, 0);
    const clv_fv c = fma(keep, before, in * recurrent_activate(gates[3], p, d, 1));
    if (p->has_peepholes) {
        gates[1] = fma(clv_load_part(peepholes + p->hidden, count, 0.0f), c, gates[1]);
    }
    const clv_fv out = recurrent_activate(gates[1], p, d, 0);
    if (row->is_live) {
        clv_store_part(row->c + j, count, c);
    }
    recurrent_put(row, p, j, out * recurrent_activate(c, p, d, 2));
}

/* sums: of u, r and n in the only phase, or of u and r in the first and n in the second. */
static void recurrent_gru(
    private const recurrent_row *row, private const recurrent_params *p, uint d,
    const global float *bias, uint j, uint phase, const clv_fv *sums) {
    const uint count = p->hidden - j;
    const global float *z = row->z + j;
    const clv_fv before = clv_load_part(row->h_from + j, count, 0.0f);
    clv_fv update, n = clv_load_part(z + 2 * p->hidden, count, 0.0f);
    if (phase == RECURRENT_FIRST) {
        update = recurrent_activate(sums[0] + clv_load_part(z, count, 0.0f), p, d, 0);
        const clv_fv reset =
            recurrent_activate(sums[1] + clv_load_part(z + p->hidden, count, 0.0f), p, d, 0);
        if (!p->linear_before_reset) {
            clv_store_part(row->extra + j, count, update);
            clv_store_part(row->extra + p->hidden + j, count, reset * before);
            return;
        }
        clv_fv inner = sums[2];
        if (p->has_bias) {
            inner += clv_load_part(bias + ((ulong)d * 6 + 5) * p->hidden + j, count, 0.0f);
        }
        n = fma(reset, inner, n);
    } else {
        update = clv_load_part(row->extra + j, count, 0.0f);
        n += sums[0];
    }
    n = recurrent_activate(n, p, d, 1);
    recurrent_put(row, p, j, fma(update, before - n, n));
}

/* Units from j on, one block of them, of a sequence; sums: h R' of each gate. */
static void recurrent_cell(
    private const recurrent_row *row, private const recurrent_params *p, uint d,
    const global float *bias, const global float *peepholes, uint j, uint phase,
    const clv_fv *sums) {
    if (p->kind == RECURRENT_LSTM) {
        recurrent_lstm(row, p, d, peepholes, j, sums);
    } else if (p->kind == RECURRENT_GRU) {
        recurrent_gru(row, p, d, bias, j, phase, sums);
    } else {
        const clv_fv z = clv_load_part(row->z + j, p->hidden - j, 0.0f);
        recurrent_put(row, p, j, recurrent_activate(sums[0] + z, p, d, 0));
    }
}

/* --- all steps of a sequence ------------------------------------------------------------------ */

/* Of CLV_WIDTH units at most, w the row of R of the first. */
static clv_fv recurrent_dots(
    const global float *h, const global float *w, uint hidden, uint count) {
    float lanes[CLV_WIDTH];
    for (uint i = 0; i < CLV_WIDTH; i++) {
        clv_fv sum = (clv_fv)(0.0f);
        for (uint k = 0; i < count && k < hidden; k += CLV_WIDTH) {
            const clv_fv value = clv_load_part(h + k, hidden - k, 0.0f);
            sum = fma(value, clv_load_part(w + (ulong)i * hidden + k, hidden - k, 0.0f), sum);
        }
        lanes[i] = clv_sum_lanes(sum);
    }
    return CLV_FV_TAKE(lanes);
}

CLV_ONCE CLV_WIDE static void recurrent_ref_item(
    const global float *z, const global float *weights, const global float *bias,
    const global int *lengths, const global float *peepholes, global float *state, global float *y,
    const recurrent_params p, const clv_range r, const ulong item) {
    const uint d = (uint)(item / p.batch), b = (uint)(item % p.batch);
    z = CLV_AT(const float, z, r.offset[0]);
    weights = CLV_AT(const float, weights, r.offset[1]) + (ulong)d * p.gates * p.hidden * p.hidden;
    bias = CLV_AT(const float, bias, r.offset[2]);
    lengths = CLV_AT(const int, lengths, r.offset[3]);
    peepholes = CLV_AT(const float, peepholes, r.offset[4]);
    state = CLV_AT(float, state, r.offset[5]);
    y = CLV_AT(float, y, r.offset[6]);
    for (uint step = 0; step < p.steps; step++) {
        const recurrent_row row = recurrent_row_at(z, lengths, state, y, &p, d, b, step);
        for (uint phase = RECURRENT_FIRST; phase <= RECURRENT_SECOND; phase++) {
            if ((p.phases & phase) == 0) {
                continue;
            }
            const bool is_second = phase == RECURRENT_SECOND;
            const global float *h = is_second ? row.extra + p.hidden : row.h_from;
            const uint first = is_second ? 2 : 0;
            const uint end = p.phases == RECURRENT_FIRST || is_second ? p.gates : 2;
            for (uint j = 0; j < p.hidden; j += CLV_WIDTH) {
                clv_fv sums[4];
                for (uint g = first; g < end; g++) {
                    const global float *w = weights + ((ulong)g * p.hidden + j) * p.hidden;
                    sums[g - first] = recurrent_dots(h, w, p.hidden, p.hidden - j);
                }
                recurrent_cell(&row, &p, d, bias, peepholes, j, phase, sums);
            }
        }
    }
}

CLV_WIDE kernel void recurrent_ref(
    const global float *z, const global float *weights, const global float *bias,
    const global int *lengths, const global float *peepholes, global float *state, global float *y,
    const recurrent_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        recurrent_ref_item(z, weights, bias, lengths, peepholes, state, y, p, r, item);
    }
}

/* --- packed weights --------------------------------------------------------------------------- */

/* sums[row][gate] of ROWS sequences: h R', CHAINS sums each that do not wait for each other. The
 * order in which they are added is that of one sequence alone. */
#define RECURRENT_SUMS(GATES, CHAINS, ROWS)                                                \
    static void recurrent_sums_##GATES##_##ROWS(                                           \
        const global float *w, uint step, const global float *const *h, uint hidden,       \
        clv_fv *out) {                                                                     \
        clv_fv sums[ROWS][CHAINS][GATES];                                                  \
        _Pragma("unroll") for (int i = 0; i < ROWS; i++) {                                 \
            _Pragma("unroll") for (int c = 0; c < CHAINS; c++) {                           \
                _Pragma("unroll") for (int g = 0; g < GATES; g++) {                        \
                    sums[i][c][g] = (clv_fv)(0.0f);                                        \
                }                                                                          \
            }                                                                              \
        }                                                                                  \
        uint k = 0;                                                                        \
        for (; k + CHAINS <= hidden; k += CHAINS) {                                        \
            _Pragma("unroll") for (int c = 0; c < CHAINS; c++, w += step) {                \
                _Pragma("unroll") for (int g = 0; g < GATES; g++) {                        \
                    const clv_fv weight = CLV_FV_LOAD(w + g * CLV_WIDTH);                  \
                    _Pragma("unroll") for (int i = 0; i < ROWS; i++) {                     \
                        sums[i][c][g] = fma((clv_fv)(h[i][k + c]), weight, sums[i][c][g]); \
                    }                                                                      \
                }                                                                          \
            }                                                                              \
        }                                                                                  \
        for (; k < hidden; k++, w += step) {                                               \
            _Pragma("unroll") for (int g = 0; g < GATES; g++) {                            \
                const clv_fv weight = CLV_FV_LOAD(w + g * CLV_WIDTH);                      \
                _Pragma("unroll") for (int i = 0; i < ROWS; i++) {                         \
                    sums[i][0][g] = fma((clv_fv)(h[i][k]), weight, sums[i][0][g]);         \
                }                                                                          \
            }                                                                              \
        }                                                                                  \
        _Pragma("unroll") for (int i = 0; i < ROWS; i++) {                                 \
            _Pragma("unroll") for (int g = 0; g < GATES; g++) {                            \
                clv_fv sum = sums[i][0][g];                                                \
                _Pragma("unroll") for (int c = 1; c < CHAINS; c++) {                       \
                    sum += sums[i][c][g];                                                  \
                }                                                                          \
                out[i * 4 + g] = sum;                                                      \
            }                                                                              \
        }                                                                                  \
    }
RECURRENT_SUMS(1, 4, 1)
RECURRENT_SUMS(1, 4, 2)
RECURRENT_SUMS(1, 4, 4)
RECURRENT_SUMS(2, 2, 1)
RECURRENT_SUMS(2, 2, 2)
RECURRENT_SUMS(2, 2, 4)
RECURRENT_SUMS(3, 1, 1)
RECURRENT_SUMS(3, 1, 2)
RECURRENT_SUMS(3, 1, 4)
RECURRENT_SUMS(4, 1, 1)
RECURRENT_SUMS(4, 1, 2)
RECURRENT_SUMS(4, 1, 4)

#define RECURRENT_CASE(GATES, ROWS)                               \
    case GATES * 8 + ROWS:                                        \
        recurrent_sums_##GATES##_##ROWS(w, step, h, hidden, out); \
        break;

/* rows: 1, 2 or 4 */
static void recurrent_sums(
    const global float *w, uint step, uint gates, uint rows, const global float *const *h,
    uint hidden, clv_fv *out) {
    switch (gates * 8 + rows) {
        RECURRENT_CASE(1, 1)
        RECURRENT_CASE(1, 2)
        RECURRENT_CASE(1, 4)
        RECURRENT_CASE(2, 1)
        RECURRENT_CASE(2, 2)
        RECURRENT_CASE(2, 4)
        RECURRENT_CASE(3, 1)
        RECURRENT_CASE(3, 2)
        RECURRENT_CASE(3, 4)
        RECURRENT_CASE(4, 1)
        RECURRENT_CASE(4, 2)
        RECURRENT_CASE(4, 4)
    }
}

/* Sequences whose sums are in registers at once, of `left`: 16 sums of 32 registers. */
static uint recurrent_rows(uint left) {
    return CLV_WIDTH == 16 && left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* One phase of one step: sequences [begin, end) of direction d, blocks [first, last). */
static void recurrent_phase(
    const global float *z, const global float *weights, const global float *bias,
    const global int *lengths, const global float *peepholes, global float *state, global float *y,
    private const recurrent_params *p, uint d, uint begin, uint end, uint first, uint last,
    uint step, uint phase) {
    const bool is_second = phase == RECURRENT_SECOND;
    const bool is_reset = p->kind == RECURRENT_GRU && !p->linear_before_reset;
    const uint gates = is_second ? 1 : is_reset ? 2 : p->gates;
    const uint width = p->gates * CLV_WIDTH;
    for (uint b = begin, rows; b < end; b += rows) {
        rows = recurrent_rows(end - b);
        recurrent_row row[RECURRENT_ROWS];
        const global float *h[RECURRENT_ROWS];
        for (uint i = 0; i < rows; i++) {
            row[i] = recurrent_row_at(z, lengths, state, y, p, d, b + i, step);
            h[i] = is_second ? row[i].extra + p->hidden : row[i].h_from;
        }
        for (uint block = first; block < last; block++) {
            clv_fv sums[RECURRENT_ROWS * 4];
            const global float *w =
                weights + (ulong)block * p->hidden * width + (is_second ? 2 * CLV_WIDTH : 0);
            recurrent_sums(w, width, gates, rows, h, p->hidden, sums);
            for (uint i = 0; i < rows; i++) {
                recurrent_cell(
                    &row[i], p, d, bias, peepholes, block * CLV_WIDTH, phase, sums + i * 4);
            }
        }
    }
}

CLV_ONCE CLV_WIDE static void recurrent_packed_item(
    const global float *z, const global float *weights, const global float *bias,
    const global int *lengths, const global float *peepholes, global float *state, global float *y,
    const recurrent_params p, const clv_range r, const ulong item) {
    const uint blocks = (p.hidden + CLV_WIDTH - 1) / CLV_WIDTH;
    const uint d = (uint)(item / p.block_items / p.row_items);
    const uint begin = (uint)(item / p.block_items % p.row_items) * p.rows_per_item;
    const uint first = (uint)(item % p.block_items) * p.blocks_per_item;
    const uint end = min(begin + p.rows_per_item, p.batch);
    const uint last = min(first + p.blocks_per_item, blocks);
    z = CLV_AT(const float, z, r.offset[0]);
    weights = CLV_AT(const float, weights, r.offset[1]) +
              (ulong)d * blocks * p.hidden * p.gates * CLV_WIDTH;
    bias = CLV_AT(const float, bias, r.offset[2]);
    lengths = CLV_AT(const int, lengths, r.offset[3]);
    peepholes = CLV_AT(const float, peepholes, r.offset[4]);
    state = CLV_AT(float, state, r.offset[5]);
    y = CLV_AT(float, y, r.offset[6]);
    for (uint step = p.step_begin; step < p.step_end; step++) {
        for (uint phase = RECURRENT_FIRST; phase <= RECURRENT_SECOND; phase++) {
            if ((p.phases & phase) != 0) {
                recurrent_phase(
                    z, weights, bias, lengths, peepholes, state, y, &p, d, begin, end, first, last,
                    step, phase);
            }
        }
    }
}

CLV_TILE kernel void recurrent_packed(
    const global float *z, const global float *weights, const global float *bias,
    const global int *lengths, const global float *peepholes, global float *state, global float *y,
    const recurrent_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        recurrent_packed_item(z, weights, bias, lengths, peepholes, state, y, p, r, item);
    }
}
