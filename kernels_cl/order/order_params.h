/* Launches of the order family. The input is [num_outer, num_axis, num_inner]; a row is one line
 * along the axis, rows counted over outer, then inner positions. */
#ifndef CLV_KERNELS_ORDER_PARAMS_H
#define CLV_KERNELS_ORDER_PARAMS_H

#include "kernels_cl/clv.h"

typedef struct order_params {
    clv_u32 num_rows, num_axis, num_inner;
    clv_u32 chunk; /* rows an item */
    clv_u32 dtype;
    clv_u32 takes_smallest, takes_last;
    clv_u32 nan_first; /* NaN comes before everything, whatever is wanted; else it is the largest */
    clv_u32 is_hard;   /* order_arg: writes zeros and a one along the axis instead of the index */
    clv_u32 k, writes_values; /* order_topk */
} order_params;

#endif
