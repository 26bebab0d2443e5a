/* Launches of the scan family. The input is [num_outer, num_axis, num_inner]; a row is one line
 * along the axis. */
#ifndef CLV_KERNELS_SCAN_PARAMS_H
#define CLV_KERNELS_SCAN_PARAMS_H

#include "kernels_cl/clv.h"

typedef struct scan_params {
    clv_u32 num_rows, num_axis, num_inner;
    clv_u32 chunk; /* rows an item */
    clv_u32 dtype;
    clv_u32 is_product, is_exclusive, is_reverse;
} scan_params;

#endif
