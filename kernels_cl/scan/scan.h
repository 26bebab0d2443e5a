/* The scan family: CumSum, CumProd. Params of its operators are a clv_scan. */
#ifndef CLV_KERNELS_SCAN_H
#define CLV_KERNELS_SCAN_H

#include "kernels_cl/kernel.h"

typedef struct clv_scan {
    int axis;
    bool is_product, is_exclusive, is_reverse;
} clv_scan;

#endif
