/* Recurrent layers, a step of all sequences after the other (ONNX's LSTM, GRU and RNN):
 *
 *     z = x W' + b                      for all steps at once, here or by a matrix product before
 *     LSTM  i, o, f, g = z + h R'       c = f(f) c + f(i) g(g),  h = f(o) h(c)
 *     GRU   u, r, n = z + h R'          n = g(z + (r h) R') or g(z + r (h R' + b)),
 *                                       h = (1 - u) n + u h
 *     RNN   h = f(z + h R')
 *
 * operands  float32; lengths int32. The state is scratch: h before and after a step (by turns), c,
 *           and two rows for a GRU that resets before its product; each is
 *           [directions][batch][hidden], of whole vectors
 * geometry  recurrent_ref: an item is a sequence in one direction, all steps. recurrent_packed:
 *           some sequences, some blocks of CLV_WIDTH hidden units, some steps; R is packed
 *           [directions][blocks][hidden][gates][CLV_WIDTH]. One sequence's sums take as long as R
 *           takes to come from a core's second cache, those of four as their multiply-adds
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
    const ulong all = (ulong)p.directions * p.batch * p.state_row;
    h = CLV_AT(const float, h, r.offset[0]) + from;
    c = CLV_AT(const float, c, r.offset[1]) + from;
    state = CLV_AT(float, state, r.offset[3]) + item * p.state_row;
    for (uint j = 0; j < p.state_row; j++) {
        state[j] = p.has_h && j < p.hidden ? h[j] : 0.0f;
        state[2 * all + j] = p.has_c && j < p.hidden ? c[j] : 0.0f;
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
    const ulong all = (ulong)p.directions * p.batch * p.state_row;
    h = CLV_AT(float, h, r.offset[1]) + to;
    c = CLV_AT(float, c, r.offset[2]) + to;
    state = CLV_AT(const float, state, r.offset[0]) + item * p.state_row;
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

/* `count` lanes of what is not the state's, whose rows are as long as blocks are. */
#if defined(__AVX512F__) && CLV_WIDTH == 16
static clv_fv recurrent_load(const global float *from, uint count) {
    if (count >= CLV_WIDTH) {
        return CLV_FV_LOAD(from);
    }
    const ew_plain rest = __builtin_astype((clv_fv)(0.0f), ew_plain);
    return __builtin_astype(
        __builtin_ia32_loadups512_mask(
            (private const float *)(size_t)from, rest, (ushort)((1u << count) - 1)),
        clv_fv);
}

static void recurrent_store(global float *to, uint count, clv_fv value) {
    if (count >= CLV_WIDTH) {
        CLV_FV_STORE(to, value);
        return;
    }
    __builtin_ia32_storeups512_mask(
        (private float *)(size_t)to, __builtin_astype(value, ew_plain),
        (ushort)((1u << count) - 1));
}
#else
static clv_fv recurrent_load(const global float *from, uint count) {
    return clv_load_part(from, count, 0.0f);
}

static void recurrent_store(global float *to, uint count, clv_fv value) {
    clv_store_part(to, count, value);
}
#endif

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
    const ulong all = (ulong)p->directions * p->batch * p->state_row;
    const ulong at = ((ulong)d * p->batch + b) * p->state_row;
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
    private const recurrent_row *row, private const recurrent_params *p, uint j, uint count,
    clv_fv h) {
    CLV_FV_STORE(row->h_to + j, row->is_live ? h : CLV_FV_LOAD(row->h_from + j));
    if (p->has_y) {
        recurrent_store(row->y + j, count, row->is_live ? h : (clv_fv)(0.0f));
    }
}

static void recurrent_lstm(
    private const recurrent_row *row, private const recurrent_params *p, uint d,
    const global float *peepholes, uint j, const clv_fv *sums) {
    const uint count = p->hidden - j;
    const global float *z = row->z + j;
    const clv_fv before = CLV_FV_LOAD(row->c + j);
    clv_fv gates[4];
    for (uint g = 0; g < 4; g++) {
        gates[g] = sums[g] + recurrent_load(z + g * p->hidden, count);
    }
    peepholes += (ulong)d * 3 * p->hidden + j;
    if (p->has_peepholes) {
        gates[0] = fma(recurrent_load(peepholes, count), before, gates[0]);
        gates[2] = fma(recurrent_load(peepholes + 2 * p->hidden, count), before, gates[2]);
    }
    const clv_fv in = recurrent_activate(gates[0], p, d, 0);
    const clv_fv keep =
        p->input_forget ? (clv_fv)(1.0f) - in : recurrent_activate(gates[2], p, d, 0);
    const clv_fv c = fma(keep, before, in * recurrent_activate(gates[3], p, d, 1));
    if (p->has_peepholes) {
        gates[1] = fma(recurrent_load(peepholes + p->hidden, count), c, gates[1]);
    }
    const clv_fv out = recurrent_activate(gates[1], p, d, 0);
    if (row->is_live) {
        CLV_FV_STORE(row->c + j, c);
    }
    recurrent_put(row, p, j, count, out * recurrent_activate(c, p, d, 2));
}

static clv_fv recurrent_gate(clv_fv x, private const recurrent_params *p, uint d) {
    return p->is_plain ? ew_sigmoid(x) : recurrent_activate(x, p, d, 0);
}

/* sums: of u, r and n in the only phase, or of u and r in the first and n in the second. */
static void recurrent_gru(
    private const recurrent_row *row, private const recurrent_params *p, uint d,
    const global float *bias, uint j, uint phase, const clv_fv *sums) {
    const uint count = p->hidden - j;
    const global float *z = row->z + j;
    const clv_fv before = CLV_FV_LOAD(row->h_from + j);
    clv_fv update, n = recurrent_load(z + 2 * p->hidden, count);
    if (phase == RECURRENT_FIRST) {
        update = recurrent_gate(sums[0] + recurrent_load(z, count), p, d);
        const clv_fv reset = recurrent_gate(sums[1] + recurrent_load(z + p->hidden, count), p, d);
        if (!p->linear_before_reset) {
            CLV_FV_STORE(row->extra + j, update);
            CLV_FV_STORE(row->extra + p->state_row + j, reset * before);
            return;
        }
        clv_fv inner = sums[2];
        if (p->has_bias) {
            inner += recurrent_load(bias + ((ulong)d * 6 + 5) * p->hidden + j, count);
        }
        n = fma(reset, inner, n);
    } else {
        update = CLV_FV_LOAD(row->extra + j);
        n += sums[0];
    }
    n = p->is_plain ? ew_tanh(n) : recurrent_activate(n, p, d, 1);
    recurrent_put(row, p, j, count, fma(update, before - n, n));
}

/* An LSTM's cell with the activations that ONNX has by default: exponentials side by side, and a
 * quotient for each product of two activations. `count` is of the lanes, a constant where all of
 * them are there. */
static void recurrent_plain_lstm(
    private const recurrent_row *row, private const recurrent_params *p, uint j, uint count,
    const clv_fv *sums) {
    const global float *z = row->z + j;
    const clv_fv before = CLV_FV_LOAD(row->c + j), one = (clv_fv)(1.0f);
    const clv_fv in = ew_exp_part(-(sums[0] + recurrent_load(z, count)));
    const clv_fv out = ew_exp_part(-(sums[1] + recurrent_load(z + p->hidden, count)));
    const clv_fv keep = ew_exp_part(-(sums[2] + recurrent_load(z + 2 * p->hidden, count)));
    const clv_fv x = sums[3] + recurrent_load(z + 3 * p->hidden, count);
    const clv_fv t = ew_expm1_negative(-2.0f * fabs(x));
    const clv_fv c = before / (one + keep) + copysign(t, x) / ((one + in) * (t + 2.0f));
    if (row->is_live) {
        CLV_FV_STORE(row->c + j, c);
    }
    const clv_fv e = ew_expm1_negative(-2.0f * fabs(c));
    recurrent_put(row, p, j, count, copysign(e, c) / ((one + out) * (e + 2.0f)));
}

/* The same of a GRU that resets behind its product: n = t / (t + 2), u = 1 / (1 + e). */
static void recurrent_plain_gru(
    private const recurrent_row *row, private const recurrent_params *p, const global float *bias,
    uint j, uint count, const clv_fv *sums) {
    const global float *z = row->z + j;
    const clv_fv before = CLV_FV_LOAD(row->h_from + j), one = (clv_fv)(1.0f);
    const clv_fv reset = ew_exp_part(-(sums[1] + recurrent_load(z + p->hidden, count)));
    const clv_fv update = sums[0] + recurrent_load(z, count), least = (clv_fv)(-80.0f);
    clv_fv inner = sums[2];
    if (p->has_bias) {
        inner += recurrent_load(bias + j, count);
    }
    const clv_fv x = recurrent_load(z + 2 * p->hidden, count) + inner / (one + reset);
    const clv_fv t = ew_expm1_negative(-2.0f * fabs(x));
    const clv_fv e = ew_exp_part(-(update < least ? least : update)); /* e (t + 2) is finite */
    const clv_fv h = fma(e, copysign(t, x), before * (t + 2.0f));
    recurrent_put(row, p, j, count, h / ((one + e) * (t + 2.0f)));
}

static void recurrent_any_cell(
    private const recurrent_row *row, private const recurrent_params *p, uint d,
    const global float *bias, const global float *peepholes, uint j, uint phase,
    const clv_fv *sums) {
    if (p->kind == RECURRENT_LSTM) {
        recurrent_lstm(row, p, d, peepholes, j, sums);
    } else if (p->kind == RECURRENT_GRU) {
        recurrent_gru(row, p, d, bias, j, phase, sums);
    } else {
        const clv_fv z = recurrent_load(row->z + j, p->hidden - j);
        recurrent_put(row, p, j, p->hidden - j, recurrent_activate(sums[0] + z, p, d, 0));
    }
}

static void recurrent_plain_cell(
    private const recurrent_row *row, private const recurrent_params *p, uint d,
    const global float *bias, uint j, uint count, const clv_fv *sums) {
    if (p->kind == RECURRENT_LSTM) {
        recurrent_plain_lstm(row, p, j, count, sums);
    } else {
        recurrent_plain_gru(row, p, bias + ((ulong)d * 6 + 5) * p->hidden, j, count, sums);
    }
}

/* Units from j on, one block of them, of a sequence; sums: h R' of each gate. */
static void recurrent_cell(
    private const recurrent_row *row, private const recurrent_params *p, uint d,
    const global float *bias, const global float *peepholes, uint j, uint phase,
    const clv_fv *sums) {
    const bool is_two = p->kind == RECURRENT_GRU && !p->linear_before_reset; /* phases */
    if (!p->is_plain || is_two) {
        recurrent_any_cell(row, p, d, bias, peepholes, j, phase, sums);
    } else if (p->hidden - j >= CLV_WIDTH) {
        recurrent_plain_cell(row, p, d, bias, j, CLV_WIDTH, sums);
    } else {
        recurrent_plain_cell(row, p, d, bias, j, p->hidden - j, sums);
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
            const global float *h = is_second ? row.extra + p.state_row : row.h_from;
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

/* R of a block, and which way to go: `to` is 1, or -1 from the last row on. */
typedef struct recurrent_weights {
    const global float *w; /* of the first row to be taken */
    long step;             /* to the next one */
    long at, to;           /* the first row, and how the next one is numbered */
    long apart;            /* from one block to the next */
    uint hidden;
} recurrent_weights;

/* Rows of R of all blocks, times what the sequences' states have there. */
#define RECURRENT_ADD(GATES, ROWS, BLOCKS, CHAIN)                               \
    _Pragma("unroll") for (int n = 0; n < BLOCKS; n++) {                        \
        _Pragma("unroll") for (int g = 0; g < GATES; g++) {                     \
            const clv_fv weight = CLV_FV_LOAD(w + n * r.apart + g * CLV_WIDTH); \
            _Pragma("unroll") for (int i = 0; i < ROWS; i++) {                  \
                clv_fv *const sum = &sums[i][n][CHAIN][g];                      \
                *sum = fma((clv_fv)(h[i][at]), weight, *sum);                   \
            }                                                                   \
        }                                                                       \
    }

/* out[row][block][gate]: h R' of ROWS sequences and BLOCKS blocks, `apart` from each other, CHAINS
 * sums each that do not wait for each other. The order in which they are added is the same for all
 * numbers of rows and blocks. */
#define RECURRENT_SUMS(GATES, CHAINS, ROWS, BLOCKS)                                       \
    static void recurrent_sums_##GATES##_##ROWS##_##BLOCKS(                               \
        const recurrent_weights r, const global float *const *h, clv_fv *out) {           \
        clv_fv sums[ROWS][BLOCKS][CHAINS][GATES];                                         \
        _Pragma("unroll") for (int i = 0; i < ROWS * BLOCKS * CHAINS * GATES; i++) {      \
            (&sums[0][0][0][0])[i] = (clv_fv)(0.0f);                                      \
        }                                                                                 \
        const global float *w = r.w;                                                      \
        long at = r.at;                                                                   \
        uint k = 0;                                                                       \
        for (; k + CHAINS <= r.hidden; k += CHAINS) {                                     \
            _Pragma("unroll") for (int c = 0; c < CHAINS; c++, w += r.step, at += r.to) { \
                RECURRENT_ADD(GATES, ROWS, BLOCKS, c)                                     \
            }                                                                             \
        }                                                                                 \
        for (; k < r.hidden; k++, w += r.step, at += r.to) {                              \
            RECURRENT_ADD(GATES, ROWS, BLOCKS, 0)                                         \
        }                                                                                 \
        _Pragma("unroll") for (int i = 0; i < ROWS * BLOCKS; i++) {                       \
            _Pragma("unroll") for (int g = 0; g < GATES; g++) {                           \
                clv_fv sum = sums[i / BLOCKS][i % BLOCKS][0][g];                          \
                _Pragma("unroll") for (int c = 1; c < CHAINS; c++) {                      \
                    sum += sums[i / BLOCKS][i % BLOCKS][c][g];                            \
                }                                                                         \
                out[i * 4 + g] = sum;                                                     \
            }                                                                             \
        }                                                                                 \
    }
RECURRENT_SUMS(1, 4, 1, 1)
RECURRENT_SUMS(1, 4, 1, 2)
RECURRENT_SUMS(1, 4, 2, 1)
RECURRENT_SUMS(1, 4, 4, 1)
RECURRENT_SUMS(2, 2, 1, 1)
RECURRENT_SUMS(2, 2, 1, 2)
RECURRENT_SUMS(2, 2, 2, 1)
RECURRENT_SUMS(2, 2, 4, 1)
RECURRENT_SUMS(3, 1, 1, 1)
RECURRENT_SUMS(3, 1, 1, 2)
RECURRENT_SUMS(3, 1, 2, 1)
RECURRENT_SUMS(3, 1, 4, 1)
RECURRENT_SUMS(4, 1, 1, 1)
RECURRENT_SUMS(4, 1, 1, 2)
RECURRENT_SUMS(4, 1, 2, 1)
RECURRENT_SUMS(4, 1, 4, 1)

#define RECURRENT_CASE(GATES, ROWS, BLOCKS)                    \
    case (GATES * 8 + ROWS) * 2 + BLOCKS - 1:                  \
        recurrent_sums_##GATES##_##ROWS##_##BLOCKS(r, h, out); \
        break;
#define RECURRENT_CASES(GATES)  \
    RECURRENT_CASE(GATES, 1, 1) \
    RECURRENT_CASE(GATES, 1, 2) \
    RECURRENT_CASE(GATES, 2, 1) \
    RECURRENT_CASE(GATES, 4, 1)

/* One sequence and 1 or 2 blocks, or 2 or 4 sequences and a block. */
static void recurrent_sums(
    const recurrent_weights r, uint gates, uint rows, uint blocks, const global float *const *h,
    clv_fv *out) {
    switch ((gates * 8 + rows) * 2 + blocks - 1) {
        RECURRENT_CASES(1)
        RECURRENT_CASES(2)
        RECURRENT_CASES(3)
        RECURRENT_CASES(4)
    }
}

/* Sequences whose sums are in registers at once, of `left`: 16 sums of 32 registers. */
static uint recurrent_rows(uint left) {
    return CLV_WIDTH == 16 && left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* What cells read and write beside weights and state, while sums are made: far apart lines, which
 * the hardware does not see coming. */
static void recurrent_fetch(
    private const recurrent_row *row, private const recurrent_params *p, uint j) {
    for (uint g = 0; g < p->gates; g++) {
        CLV_PREFETCH(row->z + g * p->hidden + j);
    }
    if (p->has_y) {
        CLV_CLAIM(row->y + j);
    }
}

/* One phase of one step: sequences [begin, end) of direction d, blocks [first, last). A block's
 * weights are read once for some tiles of sequences; every other step goes through all of them
 * backwards, beginning with those that the step before left in the caches. */
static void recurrent_phase(
    const global float *z, const global float *weights, const global float *bias,
    const global int *lengths, const global float *peepholes, global float *state, global float *y,
    private const recurrent_params *p, uint d, uint begin, uint end, uint first, uint last,
    uint step, uint phase) {
    const bool is_second = phase == RECURRENT_SECOND, is_back = (step & 1) != 0;
    const bool is_reset = p->kind == RECURRENT_GRU && !p->linear_before_reset;
    const uint gates = is_second ? 1 : is_reset ? 2 : p->gates, count = end - begin;
    const long width = p->gates * CLV_WIDTH, all = p->hidden * width, to = is_back ? -1 : 1;
    recurrent_row row[RECURRENT_CHUNK];
    const global float *h[RECURRENT_CHUNK];
    for (uint i = 0; i < count; i++) {
        row[i] = recurrent_row_at(z, lengths, state, y, p, d, begin + i, step);
        h[i] = is_second ? row[i].extra + p->state_row : row[i].h_from;
    }
    weights += (is_second ? 2 * CLV_WIDTH : 0) + (is_back ? all - width : 0);
    recurrent_weights r = {weights, to * width, is_back ? p->hidden - 1 : 0,
                           to,      to * all,   p->hidden};
    for (uint n = 0, blocks; n < last - first; n += blocks) {
        const uint block = is_back ? last - 1 - n : first + n;
        blocks = count == 1 && n + 1 < last - first ? 2 : 1;
        r.w = weights + block * all;
        for (uint b = 0, rows; b < count; b += rows) {
            clv_fv sums[RECURRENT_ROWS * 4];
            rows = recurrent_rows(count - b);
            for (uint i = b; i < b + rows && count > 1; i++) {
                recurrent_fetch(&row[i], p, block * CLV_WIDTH);
            }
            recurrent_sums(r, gates, rows, blocks, h + b, sums);
            for (uint i = 0; i < rows * blocks; i++) {
                const uint j = (uint)(block + to * (i % blocks)) * CLV_WIDTH;
                recurrent_cell(&row[b + i / blocks], p, d, bias, peepholes, j, phase, sums + i * 4);
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
            for (uint b = begin; b < end && (p.phases & phase) != 0; b += RECURRENT_CHUNK) {
                recurrent_phase(
                    z, weights, bias, lengths, peepholes, state, y, &p, d, b,
                    min(b + RECURRENT_CHUNK, end), first, last, step, phase);
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
