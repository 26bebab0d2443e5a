/* What recurrent.c passes to recurrent.cl. Sizes and strides are in elements. */
#ifndef CLV_KERNELS_RECURRENT_PARAMS_H
#define CLV_KERNELS_RECURRENT_PARAMS_H

#include "kernels_cl/clv.h"

typedef enum recurrent_kind { RECURRENT_LSTM, RECURRENT_GRU, RECURRENT_RNN } recurrent_kind;

typedef enum recurrent_function {
    RECURRENT_SIGMOID,
    RECURRENT_TANH,
    RECURRENT_RELU,
    RECURRENT_AFFINE,           /* a x + b */
    RECURRENT_LEAKY_RELU,       /* a x below 0 */
    RECURRENT_THRESHOLDED_RELU, /* 0 below a */
    RECURRENT_SCALED_TANH,      /* a tanh(b x) */
    RECURRENT_HARD_SIGMOID,     /* a x + b within 0 .. 1 */
    RECURRENT_ELU,              /* a (e^x - 1) below 0 */
    RECURRENT_SOFTSIGN,
    RECURRENT_SOFTPLUS,
} recurrent_function;

typedef struct recurrent_act {
    clv_u32 function; /* recurrent_function */
    clv_f32 a, b;
} recurrent_act;

/* GRU's candidate waits for all of r where it is reset before its product. */
enum { RECURRENT_FIRST = 1, RECURRENT_SECOND = 2 };
enum { RECURRENT_ROWS = 4 };   /* sequences in registers at once, at most */
enum { RECURRENT_CHUNK = 16 }; /* sequences that share a block's weights while these are in cache */

typedef struct recurrent_params {
    clv_u64 x_step, x_batch;
    clv_u64 y_step, y_batch, y_direction;
    clv_u64 s_batch, s_direction;
    clv_u32 kind, gates;
    clv_u32 steps, batch, hidden, input, directions;
    clv_u32 state_row; /* hidden, rounded up to whole vectors */
    clv_u32 is_reverse, linear_before_reset, input_forget;
    clv_u32 is_plain; /* an LSTM or a GRU with ONNX's defaults */
    clv_u32 has_bias, has_lengths, has_peepholes, has_y;
    clv_u32 has_h, has_c, has_y_h, has_y_c;
    clv_u32 step_begin, step_end, phases; /* of this launch: RECURRENT_FIRST, _SECOND */
    clv_u32 rows_per_item, row_items; /* sequences an item, and items for those of a direction */
    clv_u32 blocks_per_item, block_items; /* blocks of hidden units an item, and items for all */
    clv_f32 clip;
    recurrent_act acts[2][3];
} recurrent_params;

#endif
