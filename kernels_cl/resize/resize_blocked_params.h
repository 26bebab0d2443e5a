/* What resize_blocked.c passes to resize_blocked.cl. */
#ifndef CLV_KERNELS_RESIZE_BLOCKED_PARAMS_H
#define CLV_KERNELS_RESIZE_BLOCKED_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"

/* The table holds for rows, then from word `columns` on for columns: starts (int32, one an output
 * position), then weights (float32, [positions][taps]). */
typedef struct resize_blocked_params {
    clv_blocked from, to;
    clv_row_deal deal;
    clv_u32 taps_y, taps_x;
    clv_u32 columns;
} resize_blocked_params;

#endif
