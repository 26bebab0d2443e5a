/* Unary maths and activations: unary.def, and two whose attributes are of another kind. */
#include "host/ops/pointwise.h"

#include <string.h>

typedef struct attr_names {
    const char *names[2]; /* NULL: no such constant */
    float fallbacks[2];
} attr_names;

typedef struct unary_row {
    clv_pointwise_ops ops;
    uint32_t mask;
    bool gives_bool;
    attr_names attrs;
} unary_row;

#define SAME false
#define BOOL true
#define NO_ATTRS        \
    {                   \
        {NULL, NULL}, { \
            0, 0        \
        }               \
    }
#define ATTRS(name_a, fallback_a, name_b, fallback_b) \
    {                                                 \
        {name_a, name_b}, {                           \
            (fallback_a), (fallback_b)                \
        }                                             \
    }

static clv_status *infer_unary(clv_infer *infer, const unary_row *row) {
    clv_ew_expr *expr = NULL;
    CLV_TRY(clv_pointwise_start(infer, row->mask, &row->ops, &expr));
    float values[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        if (row->attrs.names[i] != NULL) {
            CLV_TRY(clv_attr_get_float(
                infer->node, row->attrs.names[i], row->attrs.fallbacks[i], &values[i]));
        }
    }
    expr->steps[0].a = values[0];
    expr->steps[0].b = values[1];
    return clv_pointwise_finish(infer, row->gives_bool ? CLV_BOOL : infer->inputs[0].dtype);
}

#define UNARY(op, since, float_op, int_op, uint64_op, types, out, attributes) \
    static clv_status *infer_##op(clv_infer *infer) {                         \
        static const unary_row row = {                                        \
            {EW_FLOAT_##float_op, EW_INT_##int_op, EW_INT_##uint64_op},       \
            CLV_MASK_##types,                                                 \
            out,                                                              \
            attributes};                                                      \
        return infer_unary(infer, &row);                                      \
    }
#include "host/ops/unary.def"
#undef UNARY

#define UNARY(op, since, float_op, int_op, uint64_op, types, out, attributes) \
    const clv_op_def clv_op_def_##op = {                                      \
        CLV_POINTWISE_FIELDS, .name = #op,     .since_opset = since,          \
        .min_inputs = 1,      .max_inputs = 1, .flags = CLV_OP_POINTWISE,     \
        .infer = infer_##op,                                                  \
    };
#include "host/ops/unary.def"
#undef UNARY

static clv_status *infer_gelu(clv_infer *infer) {
    const char *word = NULL;
    CLV_TRY(clv_attr_get_string(infer->node, "approximate", "none", &word));
    bool is_tanh = strcmp(word, "tanh") == 0;
    if (!is_tanh && strcmp(word, "none") != 0) {
        return CLV_ERROR(MALFORMED, "approximate is '%s', must be none or tanh", word);
    }
    clv_pointwise_ops ops = {is_tanh ? EW_FLOAT_GELU_TANH : EW_FLOAT_GELU, CLV_NO_OP, CLV_NO_OP};
    clv_ew_expr *expr = NULL;
    CLV_TRY(clv_pointwise_start(infer, CLV_MASK_FLOAT, &ops, &expr));
    return clv_pointwise_finish(infer, infer->inputs[0].dtype);
}

const clv_op_def clv_op_def_Gelu = {
    CLV_POINTWISE_FIELDS, .name = "Gelu",  .since_opset = 20,
    .min_inputs = 1,      .max_inputs = 1, .flags = CLV_OP_POINTWISE,
    .infer = infer_gelu,
};

static clv_status *infer_is_inf(clv_infer *infer) {
    static const clv_pointwise_ops ops = {EW_FLOAT_IS_INF, CLV_NO_OP, CLV_NO_OP};
    int64_t negative = 0, positive = 0;
    clv_ew_expr *expr = NULL;
    CLV_TRY(clv_pointwise_start(infer, CLV_MASK_FLOAT, &ops, &expr));
    CLV_TRY(clv_attr_get_int(infer->node, "detect_negative", 1, &negative));
    CLV_TRY(clv_attr_get_int(infer->node, "detect_positive", 1, &positive));
    expr->steps[0].a = negative != 0;
    expr->steps[0].b = positive != 0;
    return clv_pointwise_finish(infer, CLV_BOOL);
}

const clv_op_def clv_op_def_IsInf = {
    CLV_POINTWISE_FIELDS, .name = "IsInf",           .since_opset = 10,     .min_inputs = 1,
    .max_inputs = 1,      .flags = CLV_OP_POINTWISE, .infer = infer_is_inf,
};
