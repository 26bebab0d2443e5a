/* MatMul and Gemm: their params, as infer() fills them, and a call's matrices. */
#ifndef CLV_KERNELS_MATMUL_H
#define CLV_KERNELS_MATMUL_H

#include "host/ir/call.h"

typedef struct clv_matmul_params {
    float alpha, beta; /* 1 and 0 for MatMul */
    int32_t is_gemm, trans_a, trans_b;
    int32_t half_weights; /* b is constant, and kept as float16 */
    int32_t skip_c;       /* a piece of a sum that is not its first */
} clv_matmul_params;

enum { CLV_MATMUL_BATCH = CLV_MAX_RANK - 2 };

/* out[batch][m][n] = alpha * sum over k of a[batch][m][k] * b[batch][k][n] + beta * c[m][n].
 * Strides in elements; 0 along what is broadcast. Batch axes are merged where they can be, into m
 * too. */
typedef struct clv_matmul_shape {
    int64_t m, n, k;
    int64_t a_row, a_col, b_row, b_col;
    int64_t c_row, c_col;
    bool has_c;
    int num_batch;
    int64_t batch[CLV_MATMUL_BATCH], a_batch[CLV_MATMUL_BATCH], b_batch[CLV_MATMUL_BATCH];
} clv_matmul_shape;

/* Whether the kernels do the call's epilogue in their stores. */
bool clv_matmul_store_fits(const clv_call *call);

void clv_matmul_shape_of(const clv_call *call, clv_matmul_shape *out_shape);

#endif
