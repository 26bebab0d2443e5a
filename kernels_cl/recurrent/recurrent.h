/* The recurrent family: LSTM, GRU, RNN, and Recurrence, which is any of them behind the product of
 * its input and weights. Their params, and a call's operands by strides. */
#ifndef CLV_KERNELS_RECURRENT_H
#define CLV_KERNELS_RECURRENT_H

#include "host/ir/call.h"
#include "kernels_cl/recurrent/recurrent_params.h"

/* Inputs, in the order of LSTM. Recurrence leaves W out, and its X is the product already, [steps,
 * batch, directions * gates * hidden], with all biases but the one that GRU resets: B is then there
 * for that one alone. */
enum {
    CLV_RECURRENT_X,
    CLV_RECURRENT_W,       /* [directions, gates * hidden, input] */
    CLV_RECURRENT_R,       /* [directions, gates * hidden, hidden] */
    CLV_RECURRENT_B,       /* [directions, 2 * gates * hidden]: of W, then of R */
    CLV_RECURRENT_LENGTHS, /* [batch], int32 */
    CLV_RECURRENT_H,       /* at first: [directions, batch, hidden], or batch before directions */
    CLV_RECURRENT_C,       /* the same of an LSTM's cells */
    CLV_RECURRENT_P,       /* peepholes [directions, 3 * hidden], of i, o and f */
    CLV_RECURRENT_INPUTS,
};

/* Outputs: Y [steps, directions, batch, hidden], and H and C at the end. */
enum { CLV_RECURRENT_Y, CLV_RECURRENT_Y_H, CLV_RECURRENT_Y_C };

typedef struct clv_recurrent {
    int64_t hidden;
    int32_t kind; /* recurrent_kind */
    int32_t directions;
    int32_t is_reverse;  /* the first direction starts at the end of each sequence */
    int32_t batch_first; /* X is [batch, steps, ...], Y [batch, steps, directions, hidden] */
    int32_t linear_before_reset, input_forget;
    int32_t is_projected; /* Recurrence */
    float clip;           /* of what the activations of gates are given, INFINITY: none */
    recurrent_act acts[2][3];
} clv_recurrent;

typedef struct clv_recurrent_shape {
    int64_t steps, batch, hidden, gates, directions;
    int64_t input;           /* columns of W; 0 where projected */
    int64_t x_step, x_batch; /* elements from one step of X to the next, ... */
    int64_t y_step, y_batch, y_direction;
    int64_t s_batch, s_direction; /* of H and C, at first and at the end */
} clv_recurrent_shape;

void clv_recurrent_shape_of(const clv_call *call, clv_recurrent_shape *out_shape);
int64_t clv_recurrent_gates(int32_t kind);

#endif
