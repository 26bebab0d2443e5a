#include "host/ops/recurrent_reference.h"

#include "host/base/memory.h"
#include "host/ops/floats.h"
#include "kernels_cl/recurrent/recurrent.h"
#include <math.h>
#include <string.h>

/* One sequence in one direction at a time. */
typedef struct runner {
    const clv_recurrent *op;
    clv_recurrent_shape shape;
    clv_floats in[CLV_RECURRENT_INPUTS];
    float *y, *y_h, *y_c;            /* NULL: not wanted */
    double *h, *next, *c, *z, *sums; /* [hidden], z and sums [gates * hidden] */
    double *room;
} runner;

static double activate(const runner *r, int64_t d, int which, double x) {
    const recurrent_act *act = &r->op->acts[d][which];
    const double a = (double)act->a, b = (double)act->b,
                 clip = which < 2 ? (double)r->op->clip : INFINITY; /* of gates, not cells */
    x = x > clip ? clip : x < -clip ? -clip : x;
    switch (act->function) {
    case RECURRENT_SIGMOID:
        return 1 / (1 + exp(-x));
    case RECURRENT_TANH:
        return tanh(x);
    case RECURRENT_RELU:
        return x < 0 ? 0 : x;
    case RECURRENT_AFFINE:
        return a * x + b;
    case RECURRENT_LEAKY_RELU:
        return x < 0 ? a * x : x;
    case RECURRENT_THRESHOLDED_RELU:
        return x < a ? 0 : x;
    case RECURRENT_SCALED_TANH:
        return a * tanh(b * x);
    case RECURRENT_HARD_SIGMOID:
        x = a * x + b;
        return x < 0 ? 0 : x > 1 ? 1 : x;
    case RECURRENT_ELU:
        return x < 0 ? a * expm1(x) : x;
    case RECURRENT_SOFTSIGN:
        return x / (1 + fabs(x));
    default:
        return (x < 0 ? 0 : x) + log1p(exp(-fabs(x)));
    }
}

/* Whether the bias of R is added behind the reset. */
static bool is_inner(const runner *r, int64_t gate) {
    return r->op->kind == RECURRENT_GRU && r->op->linear_before_reset && gate == 2;
}

/* z = x W' + b */
static void project(const runner *r, int64_t d, const float *x) {
    const clv_recurrent_shape *s = &r->shape;
    const int64_t rows = s->gates * s->hidden;
    const float *w = r->in[CLV_RECURRENT_W].data, *b = r->in[CLV_RECURRENT_B].data;
    for (int64_t i = 0; i < rows; i++) {
        if (r->op->is_projected) {
            r->z[i] = (double)x[d * rows + i];
            continue;
        }
        double sum = 0;
        for (int64_t k = 0; k < s->input; k++) {
            sum += (double)x[k] * (double)w[(d * rows + i) * s->input + k];
        }
        if (b != NULL) {
            sum += (double)b[d * 2 * rows + i];
            sum += is_inner(r, i / s->hidden) ? 0 : (double)b[(d * 2 + 1) * rows + i];
        }
        r->z[i] = sum;
    }
}

/* sums of gates [first, end) = h R' */
static void multiply(const runner *r, int64_t d, const double *h, int64_t first, int64_t end) {
    const clv_recurrent_shape *s = &r->shape;
    const float *weights = r->in[CLV_RECURRENT_R].data + d * s->gates * s->hidden * s->hidden;
    for (int64_t i = first * s->hidden; i < end * s->hidden; i++) {
        double sum = 0;
        for (int64_t k = 0; k < s->hidden; k++) {
            sum += h[k] * (double)weights[i * s->hidden + k];
        }
        r->sums[i] = sum;
    }
}

static void step_lstm(const runner *r, int64_t d) {
    const int64_t n = r->shape.hidden;
    const float *p = r->in[CLV_RECURRENT_P].data;
    multiply(r, d, r->h, 0, 4);
    for (int64_t j = 0; j < n; j++) {
        const float *peep = p != NULL ? p + d * 3 * n + j : NULL;
        double in = r->z[j] + r->sums[j], out = r->z[n + j] + r->sums[n + j];
        double keep = r->z[2 * n + j] + r->sums[2 * n + j];
        const double cell = r->z[3 * n + j] + r->sums[3 * n + j];
        in += peep != NULL ? (double)peep[0] * r->c[j] : 0;
        keep += peep != NULL ? (double)peep[2 * n] * r->c[j] : 0;
        in = activate(r, d, 0, in);
        keep = r->op->input_forget ? 1 - in : activate(r, d, 0, keep);
        r->c[j] = keep * r->c[j] + in * activate(r, d, 1, cell);
        out += peep != NULL ? (double)peep[n] * r->c[j] : 0;
        r->next[j] = activate(r, d, 0, out) * activate(r, d, 2, r->c[j]);
    }
}

static void step_gru(const runner *r, int64_t d) {
    const int64_t n = r->shape.hidden;
    const float *b = r->in[CLV_RECURRENT_B].data;
    const bool is_linear = r->op->linear_before_reset != 0;
    multiply(r, d, r->h, 0, is_linear ? 3 : 2);
    for (int64_t j = 0; j < n; j++) { /* next: the reset state */
        r->next[j] = activate(r, d, 0, r->z[n + j] + r->sums[n + j]) * (is_linear ? 1 : r->h[j]);
    }
    if (!is_linear) {
        multiply(r, d, r->next, 2, 3);
    }
    for (int64_t j = 0; j < n; j++) {
        const double update = activate(r, d, 0, r->z[j] + r->sums[j]);
        double inner = r->sums[2 * n + j];
        if (is_linear) {
            inner += b != NULL ? (double)b[(d * 6 + 5) * n + j] : 0;
            inner *= r->next[j];
        }
        const double value = activate(r, d, 1, r->z[2 * n + j] + inner);
        r->next[j] = (1 - update) * value + update * r->h[j];
    }
}

static void step_rnn(const runner *r, int64_t d) {
    multiply(r, d, r->h, 0, 1);
    for (int64_t j = 0; j < r->shape.hidden; j++) {
        r->next[j] = activate(r, d, 0, r->z[j] + r->sums[j]);
    }
}

static void load_state(const float *from, int64_t count, double *out) {
    for (int64_t j = 0; j < count; j++) {
        out[j] = from != NULL ? (double)from[j] : 0;
    }
}

static void store_state(const double *from, int64_t count, float *to) {
    for (int64_t j = 0; to != NULL && j < count; j++) {
        to[j] = (float)from[j];
    }
}

static void run_sequence(const runner *r, int64_t d, int64_t b, int64_t length) {
    const clv_recurrent_shape *s = &r->shape;
    const bool is_back = d == 1 || r->op->is_reverse;
    const int64_t at = d * s->s_direction + b * s->s_batch;
    const float *h = r->in[CLV_RECURRENT_H].data, *c = r->in[CLV_RECURRENT_C].data;
    load_state(h != NULL ? h + at : NULL, s->hidden, r->h);
    load_state(c != NULL ? c + at : NULL, s->hidden, r->c);
    for (int64_t step = 0; step < s->steps; step++) {
        const bool is_live = step < length;
        const int64_t t = is_live && is_back ? length - 1 - step : step;
        float *y = r->y != NULL ? r->y + t * s->y_step + b * s->y_batch + d * s->y_direction : NULL;
        memset(r->next, 0, (size_t)s->hidden * sizeof *r->next);
        if (is_live) {
            project(r, d, r->in[CLV_RECURRENT_X].data + t * s->x_step + b * s->x_batch);
            if (r->op->kind == RECURRENT_LSTM) {
                step_lstm(r, d);
            } else if (r->op->kind == RECURRENT_GRU) {
                step_gru(r, d);
            } else {
                step_rnn(r, d);
            }
            memcpy(r->h, r->next, (size_t)s->hidden * sizeof *r->h);
        }
        store_state(r->next, s->hidden, y);
    }
    store_state(r->h, s->hidden, r->y_h != NULL ? r->y_h + at : NULL);
    store_state(r->c, s->hidden, r->y_c != NULL ? r->y_c + at : NULL);
}

static clv_status *run_all(const clv_call *call, const runner *r) {
    const clv_recurrent_shape *s = &r->shape;
    for (int64_t b = 0; b < s->batch; b++) {
        int64_t length = s->steps;
        if (clv_call_has_input(call, CLV_RECURRENT_LENGTHS)) {
            length = clv_load_int64(CLV_INT32, call->inputs[CLV_RECURRENT_LENGTHS].data, b);
            if (length < 0 || length > s->steps) {
                return CLV_ERROR(
                    MALFORMED, "sequence_lens[%lld] is %lld, the input has %lld steps",
                    (long long)b, (long long)length, (long long)s->steps);
            }
        }
        for (int64_t d = 0; d < s->directions; d++) {
            run_sequence(r, d, b, length);
        }
    }
    return NULL;
}

clv_status *clv_recurrent_reference(const clv_call *call, const clv_mutable_view *outputs) {
    runner r = {.op = call->params};
    clv_status *status = NULL;
    float **const wanted[] = {&r.y, &r.y_h, &r.y_c};
    clv_recurrent_shape_of(call, &r.shape);
    const size_t n = (size_t)r.shape.hidden, gates = (size_t)r.shape.gates;
    for (size_t i = 0; i < call->num_outputs; i++) {
        *wanted[i] = outputs[i].dtype != CLV_DTYPE_NONE ? outputs[i].data : NULL;
    }
    for (size_t i = 0; i < CLV_RECURRENT_INPUTS; i++) {
        const bool is_floats = clv_call_has_input(call, i) && i != CLV_RECURRENT_LENGTHS;
        CLV_TRY_DONE(clv_floats_init(is_floats ? &call->inputs[i] : NULL, &r.in[i]));
    }
    r.room = clv_alloc_zeroed(n * (3 + 2 * gates), sizeof *r.room);
    if (r.room == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for the state of a recurrent operator");
        goto done;
    }
    r.h = r.room;
    r.next = r.h + n;
    r.c = r.next + n;
    r.z = r.c + n;
    r.sums = r.z + gates * n;
    status = run_all(call, &r);
done:
    clv_free(r.room);
    for (size_t i = 0; i < CLV_RECURRENT_INPUTS; i++) {
        clv_floats_deinit(&r.in[i]);
    }
    return status;
}
