/* The reference of MatMul and Gemm. */
#ifndef CLV_OPS_MATMUL_REFERENCE_H
#define CLV_OPS_MATMUL_REFERENCE_H

#include "host/ops/op.h"

/* Float32 accumulates in double; integers wrap. */
clv_status *clv_matmul_reference(const clv_call *call, const clv_mutable_view *outputs) CLV_CHECKED;
/* Two flops a product, and those of alpha, beta and C. */
void clv_matmul_cost(const clv_call *call, clv_cost *out_cost);
bool clv_matmul_takes_epilogue(const clv_call *call);
/* b, where it is constant and of few rows: of a decoder's step, of fully connected layers. */
int clv_matmul_streams(const clv_call *call);
void clv_matmul_halve(void *params);

#endif
