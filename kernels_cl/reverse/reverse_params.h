/* What reverse.c passes to reverse.cl. */
#ifndef CLV_KERNELS_REVERSE_PARAMS_H
#define CLV_KERNELS_REVERSE_PARAMS_H

#include "kernels_cl/clv.h"

typedef struct reverse_params {
    clv_u32 rows;   /* of the first two axes */
    clv_u32 second; /* extent of the second axis */
    clv_u32 steps, time_axis;
    clv_u32 inner;      /* elements of a row */
    clv_u32 word_bytes; /* of an element: 1, 2, 4 or 8 */
    clv_u32 rows_per_item;
    clv_u32 unused; /* params have no padding: their bytes are a key */
} reverse_params;

#endif
