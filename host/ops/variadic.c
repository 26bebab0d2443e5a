/* Max, Mean, Min, Sum: one operation folded over any number of inputs. */
#include "host/ops/pointwise.h"

static clv_status *infer_variadic(
    clv_infer *infer, uint32_t mask, const clv_pointwise_ops *ops, clv_ew_expr **out_expr) {
    CLV_TRY(clv_pointwise_start(infer, mask, ops, out_expr));
    (*out_expr)->folds = true;
    for (size_t i = 1; i < infer->num_inputs; i++) {
        CLV_TRY(clv_pointwise_same_dtype(infer, i));
    }
    return clv_pointwise_finish(infer, infer->inputs[0].dtype);
}

static clv_status *infer_max(clv_infer *infer) {
    static const clv_pointwise_ops ops = {EW_FLOAT_MAX, EW_INT_MAX, EW_INT_UMAX};
    clv_ew_expr *expr = NULL;
    return infer_variadic(infer, CLV_MASK_NUMBER, &ops, &expr);
}

static clv_status *infer_min(clv_infer *infer) {
    static const clv_pointwise_ops ops = {EW_FLOAT_MIN, EW_INT_MIN, EW_INT_UMIN};
    clv_ew_expr *expr = NULL;
    return infer_variadic(infer, CLV_MASK_NUMBER, &ops, &expr);
}

static const clv_pointwise_ops sum_ops = {EW_FLOAT_ADD, CLV_NO_OP, CLV_NO_OP};

static clv_status *infer_sum(clv_infer *infer) {
    clv_ew_expr *expr = NULL;
    return infer_variadic(infer, CLV_MASK_FLOAT, &sum_ops, &expr);
}

/* A product with the reciprocal of 7 makes 13.000001 of seven times 13: only that of a power of two
 * is the quotient to the last bit. */
static clv_status *infer_mean(clv_infer *infer) {
    const size_t count = infer->num_inputs;
    clv_ew_expr *expr = NULL;
    CLV_TRY(infer_variadic(infer, CLV_MASK_FLOAT, &sum_ops, &expr));
    if ((count & (count - 1)) == 0) {
        clv_ew_add(expr, EW_FLOAT_AFFINE, CLV_EW_RESULT, 0, 0);
        expr->steps[1].a = 1.0f / (float)count;
        expr->steps[1].b = -0.0f; /* a zero keeps its sign */
        return NULL;
    }
    const uint32_t divisor = clv_ew_add(expr, EW_FLOAT_CONST, 0, 0, 0);
    expr->steps[1].a = (float)count;
    clv_ew_add(expr, EW_FLOAT_DIV, CLV_EW_RESULT, divisor, 0);
    return NULL;
}

static bool has_one_input(const clv_call *call) {
    return call->num_inputs == 1;
}

#define VARIADIC(op, function, extra_flags)                              \
    const clv_op_def clv_op_def_##op = {                                 \
        CLV_POINTWISE_FIELDS, .name = #op,                               \
        .since_opset = 6,     .min_inputs = 1,                           \
        .max_inputs = -1,     .flags = CLV_OP_POINTWISE | (extra_flags), \
        .infer = function,    .is_identity = has_one_input,              \
    };
VARIADIC(Max, infer_max, CLV_OP_COMMUTES)
VARIADIC(Mean, infer_mean, CLV_OP_COMMUTES)
VARIADIC(Min, infer_min, CLV_OP_COMMUTES)
VARIADIC(Sum, infer_sum, CLV_OP_COMMUTES)
