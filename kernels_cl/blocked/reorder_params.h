/* What blocked.c passes to reorder.cl. */
#ifndef CLV_KERNELS_BLOCKED_REORDER_PARAMS_H
#define CLV_KERNELS_BLOCKED_REORDER_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"

typedef struct reorder_params {
    clv_blocked from, to; /* the blocked sides; the other one is not used */
    clv_row_deal deal;
    clv_u32 channels, height, width;
} reorder_params;

#endif
