/* The order family: ArgMax, ArgMin, Hardmax, TopK. Params of its operators are a clv_order. */
#ifndef CLV_KERNELS_ORDER_H
#define CLV_KERNELS_ORDER_H

#include "kernels_cl/kernel.h"

typedef enum clv_order_kind { CLV_ORDER_ARG, CLV_ORDER_HARD, CLV_ORDER_TOPK } clv_order_kind;

typedef struct clv_order {
    clv_order_kind kind;
    int axis, num_axes; /* the axes [axis, axis + num_axes) of the input are one (Hardmax before
                           opset 13); else num_axes is 1 */
    bool takes_smallest, takes_last;
    int64_t k;
} clv_order;

#endif
