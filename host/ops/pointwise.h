/* What the elementwise operators share: their params are one clv_ew_expr, so one reference, cost
 * and splits serve all of them. */
#ifndef CLV_OPS_POINTWISE_H
#define CLV_OPS_POINTWISE_H

#include "host/ops/op.h"
#include "kernels_cl/elementwise/elementwise.h"

/* Sets of element types. */
enum {
    CLV_MASK_FLOAT = CLV_BIT(FLOAT32),
    CLV_MASK_SIGNED = CLV_BIT(INT8) | CLV_BIT(INT16) | CLV_BIT(INT32) | CLV_BIT(INT64),
    CLV_MASK_UNSIGNED = CLV_BIT(UINT8) | CLV_BIT(UINT16) | CLV_BIT(UINT32) | CLV_BIT(UINT64),
    CLV_MASK_INTEGER = CLV_MASK_SIGNED | CLV_MASK_UNSIGNED,
    CLV_MASK_NUMBER = CLV_MASK_FLOAT | CLV_MASK_INTEGER,
    CLV_MASK_SIGNED_NUMBER = CLV_MASK_FLOAT | CLV_MASK_SIGNED,
    CLV_MASK_BOOL = CLV_BIT(BOOL),
    CLV_MASK_NUMBER_OR_BOOL = CLV_MASK_NUMBER | CLV_MASK_BOOL,
    CLV_MASK_MOVABLE = CLV_MASK_NUMBER | CLV_MASK_BOOL | CLV_BIT(FLOAT16) | CLV_BIT(BFLOAT16) |
                       CLV_BIT(FLOAT64), /* where values are only copied */
};

/* The operations that one operator is for float32, integers, and uint64; CLV_NO_OP: not taken. */
typedef struct clv_pointwise_ops {
    uint32_t of_float, of_int, of_uint64;
} clv_pointwise_ops;
#define CLV_NO_OP UINT32_MAX
#define EW_FLOAT_NONE CLV_NO_OP
#define EW_INT_NONE CLV_NO_OP

/* Zeroed params with one step for inputs of `dtype`, its operands the inputs 0, 1, 2 in order.
 * Refuses other types of input 0 than those in `mask`. */
clv_status *clv_pointwise_start(
    clv_infer *infer, uint32_t mask, const clv_pointwise_ops *ops,
    clv_ew_expr **out_expr) CLV_CHECKED;
/* Output 0: `dtype` and all inputs' shapes broadcast against one another. */
clv_status *clv_pointwise_finish(clv_infer *infer, clv_dtype dtype) CLV_CHECKED;
/* MALFORMED unless input `index` has the type of input 0. */
clv_status *clv_pointwise_same_dtype(const clv_infer *infer, size_t index) CLV_CHECKED;

/* A float expression for one element, in double: what each operand below CLV_EW_RESULT is. */
double clv_pointwise_eval(const clv_ew_expr *expr, const double *operands);

/* Any `splits` input `index` to the part of it that pieces along `axis` of the output need, where
 * it is broadcast to the output. */
void clv_pointwise_need(const clv_call *call, size_t index, int axis, clv_split_input *out_need);

clv_status *clv_pointwise_reference(const clv_call *call, const clv_mutable_view *outputs)
    CLV_CHECKED;
/* flops: those of each operation, from elementwise_ops.def, for each output element. */
void clv_pointwise_cost(const clv_call *call, clv_cost *out_cost);
/* Any axis of the output; inputs are whole where they are repeated along it. */
clv_status *clv_pointwise_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list)
    CLV_CHECKED;

/* The fields that all operators of this kind share. */
#define CLV_POINTWISE_FIELDS                                                                \
    .domain = "", .min_outputs = 1, .max_outputs = 1, .reference = clv_pointwise_reference, \
    .cost = clv_pointwise_cost, .splits = clv_pointwise_splits,                             \
    .params_bytes = sizeof(clv_ew_expr), .kernels = &clv_kernels_elementwise

extern const clv_kernel_family clv_kernels_elementwise;

#endif
