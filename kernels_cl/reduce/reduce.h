/* The reduce family: params of its operators are a clv_reduce. */
#ifndef CLV_KERNELS_REDUCE_H
#define CLV_KERNELS_REDUCE_H

#include "kernels_cl/kernel.h"
#include "kernels_cl/reduce/reduce_params.h"

typedef struct clv_reduce {
    uint32_t op, finish; /* REDUCE_x */
    bool is_log_sum_exp; /* three launches: the maximum, the sum of exponentials, its logarithm */
    uint32_t axes;       /* bit i: axis i of the input is reduced */
    bool keeps_dims;
    clv_shape whole; /* of a piece: the input that it is cut from; else of rank 0 */
} clv_reduce;

/* What a reduction of integers starts as: 0, 1, or the type's smallest or largest value. */
int64_t clv_reduce_identity(uint32_t op, clv_dtype dtype);

#endif
