/* What a kernel does with a result before and after it stores it, where its store does more. */
#ifndef CLV_KERNELS_STORE_PARAMS_H
#define CLV_KERNELS_STORE_PARAMS_H

#include "kernels_cl/elementwise/elementwise_params.h"

/* An activation, on values that were just stored and are in the first cache still. */
typedef struct clv_act {
    clv_u32 op;                          /* EW_FLOAT_x; EW_FLOAT_COPY (0): none */
    clv_u32 add;                         /* 1: the added tensor comes before it, 2: behind it */
    clv_f32 a, b;                        /* constants of the operation */
    clv_f32 before_scale, before_offset; /* of what comes in, before anything is added */
    clv_f32 after_scale, after_offset;   /* of the operation's result */
    clv_u32 last_lanes; /* channels of the last block that are there, the others stay 0; 0: all */
    clv_u32 unused;     /* keeps the size even */
} clv_act;

#endif
