/* Clip and Where. */
#include "host/ops/pointwise.h"

#include <float.h>

/* A bound that is an input: a scalar, or one element in one dimension, as some exporters write it.
 */
static clv_status *check_bound(const clv_infer *infer, size_t index) {
    CLV_TRY(clv_pointwise_same_dtype(infer, index));
    const clv_shape *shape = &infer->inputs[index].shape;
    if (shape->rank > 1 || clv_shape_elements(shape) != 1) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "%s has shape %s, must be a scalar", index == 1 ? "min" : "max",
            clv_shape_format(shape, text));
    }
    return NULL;
}

/* min(max(x, low), high): `high` wins where they cross; NaN stays. */
static clv_status *infer_clip(clv_infer *infer) {
    static const clv_pointwise_ops copies = {EW_FLOAT_COPY, EW_INT_COPY, EW_INT_COPY};
    clv_dtype dtype = infer->inputs[0].dtype;
    bool is_float = dtype == CLV_FLOAT32, is_uint64 = dtype == CLV_UINT64;
    bool has_inputs = infer->node->opset >= 11;
    clv_ew_expr *expr = NULL;
    CLV_TRY(
        clv_pointwise_start(infer, has_inputs ? CLV_MASK_NUMBER : CLV_MASK_FLOAT, &copies, &expr));
    clv_infer_output(infer, 0, dtype, &infer->inputs[0].shape);
    if (!has_inputs) {
        if (infer->num_inputs > 1) {
            return CLV_ERROR(MALFORMED, "%zu inputs, has 1 before opset 11", infer->num_inputs);
        }
        expr->steps[0].op = EW_FLOAT_CLIP;
        CLV_TRY(clv_attr_get_float(infer->node, "min", -FLT_MAX, &expr->steps[0].a));
        return clv_attr_get_float(infer->node, "max", FLT_MAX, &expr->steps[0].b);
    }
    if (clv_attr_find(infer->node, "min") != NULL || clv_attr_find(infer->node, "max") != NULL) {
        return CLV_ERROR(
            MALFORMED, "min or max is an attribute, must be an input from opset 11 on");
    }
    uint32_t lower = is_float ? EW_FLOAT_MAX : is_uint64 ? EW_INT_UMAX : EW_INT_MAX;
    uint32_t upper = is_float ? EW_FLOAT_MIN : is_uint64 ? EW_INT_UMIN : EW_INT_MIN;
    uint32_t result = CLV_EW_RESULT;
    if (clv_infer_has(infer, 1)) {
        CLV_TRY(check_bound(infer, 1));
        result = clv_ew_add(expr, lower, result, 1, 0);
    }
    if (clv_infer_has(infer, 2)) {
        CLV_TRY(check_bound(infer, 2));
        clv_ew_add(expr, upper, result, 2, 0);
    }
    return NULL;
}

const clv_op_def clv_op_def_Clip = {
    CLV_POINTWISE_FIELDS, .name = "Clip",  .since_opset = 6,
    .min_inputs = 1,      .max_inputs = 3, .flags = CLV_OP_POINTWISE,
    .infer = infer_clip,
};

static clv_status *infer_where(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_MASK_BOOL));
    CLV_TRY(clv_infer_dtype(infer, 1, CLV_MASK_MOVABLE));
    clv_dtype dtype = infer->inputs[1].dtype;
    if (infer->inputs[2].dtype != dtype) {
        return CLV_ERROR(
            MALFORMED, "input 2 is %s, input 1 is %s", clv_dtype_name(infer->inputs[2].dtype),
            clv_dtype_name(dtype));
    }
    clv_ew_expr *expr = clv_infer_params(infer, sizeof *expr);
    if (expr == NULL) {
        return CLV_NO_ARENA("Where");
    }
    bool is_float = dtype == CLV_FLOAT32;
    expr->domain = is_float ? CLV_EW_FLOAT : CLV_EW_INT;
    expr->moves_bits = !is_float;
    clv_ew_add(expr, is_float ? EW_FLOAT_SELECT : EW_INT_SELECT, 0, 1, 2);
    return clv_pointwise_finish(infer, dtype);
}

const clv_op_def clv_op_def_Where = {
    CLV_POINTWISE_FIELDS, .name = "Where",           .since_opset = 9,     .min_inputs = 3,
    .max_inputs = 3,      .flags = CLV_OP_POINTWISE, .infer = infer_where,
};
