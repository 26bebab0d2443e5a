/* Binary arithmetic, comparisons and logic: binary.def, and those with attributes or types of their
 * own. Integers: a quotient by 0 is 0, overflow wraps (kernels_cl/elementwise/elementwise_int.h).
 */
#include "host/ops/pointwise.h"

#include <string.h>

typedef struct binary_row {
    clv_pointwise_ops ops;
    uint32_t mask;
    bool gives_bool;
} binary_row;

static clv_status *infer_binary(clv_infer *infer, const binary_row *row) {
    clv_ew_expr *expr = NULL;
    CLV_TRY(clv_pointwise_start(infer, row->mask, &row->ops, &expr));
    CLV_TRY(clv_pointwise_same_dtype(infer, 1));
    return clv_pointwise_finish(infer, row->gives_bool ? CLV_BOOL : infer->inputs[0].dtype);
}

#define SAME false
#define BOOL true
#define BINARY(op, since, float_op, int_op, uint64_op, types, out, extra_flags)                 \
    static clv_status *infer_##op(clv_infer *infer) {                                           \
        static const binary_row row = {                                                         \
            {EW_FLOAT_##float_op, EW_INT_##int_op, EW_INT_##uint64_op}, CLV_MASK_##types, out}; \
        return infer_binary(infer, &row);                                                       \
    }
#include "host/ops/binary.def"
#undef BINARY

#define BINARY_DEF(op, since, function, extra_flags)                                      \
    const clv_op_def clv_op_def_##op = {                                                  \
        CLV_POINTWISE_FIELDS, .name = #op,     .since_opset = since,                      \
        .min_inputs = 2,      .max_inputs = 2, .flags = CLV_OP_POINTWISE | (extra_flags), \
        .infer = function,                                                                \
    };
#define BINARY(op, since, float_op, int_op, uint64_op, types, out, extra_flags) \
    BINARY_DEF(op, since, infer_##op, extra_flags)
#include "host/ops/binary.def"
#undef BINARY

static clv_status *infer_bit_shift(clv_infer *infer) {
    const char *direction = NULL;
    CLV_TRY(clv_attr_get_string(infer->node, "direction", "", &direction));
    bool is_left = strcmp(direction, "LEFT") == 0;
    if (!is_left && strcmp(direction, "RIGHT") != 0) {
        return CLV_ERROR(MALFORMED, "direction is '%s', must be LEFT or RIGHT", direction);
    }
    binary_row row = {
        {CLV_NO_OP, is_left ? EW_INT_SHIFT_LEFT : EW_INT_SHIFT_RIGHT,
         is_left ? EW_INT_SHIFT_LEFT : EW_INT_USHIFT_RIGHT},
        CLV_MASK_INTEGER,
        false};
    return infer_binary(infer, &row);
}
BINARY_DEF(BitShift, 11, infer_bit_shift, 0)

static clv_status *infer_mod(clv_infer *infer) {
    int64_t truncates = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "fmod", 0, &truncates));
    if (truncates != 0 && truncates != 1) {
        return CLV_ERROR(MALFORMED, "fmod is %lld, must be 0 or 1", (long long)truncates);
    }
    if (truncates == 0 && infer->inputs[0].dtype == CLV_FLOAT32 && infer->node->opset < 28) {
        return CLV_ERROR(MALFORMED, "fmod is 0, must be 1 for float32 before opset 28");
    }
    static const binary_row floors = {
        {EW_FLOAT_FLOOR_MOD, EW_INT_MOD, EW_INT_UREM}, CLV_MASK_NUMBER, false};
    static const binary_row cuts = {
        {EW_FLOAT_FMOD, EW_INT_REM, EW_INT_UREM}, CLV_MASK_NUMBER, false};
    return infer_binary(infer, truncates != 0 ? &cuts : &floors);
}
BINARY_DEF(Mod, 10, infer_mod, 0)

static clv_status *infer_prelu(clv_infer *infer) {
    static const binary_row row = {
        {EW_FLOAT_PRELU, EW_INT_PRELU, EW_INT_COPY}, CLV_MASK_NUMBER, false};
    CLV_TRY(infer_binary(infer, &row));
    if (!clv_shape_equal(&infer->out_shapes[0], &infer->inputs[0].shape)) {
        char slope[CLV_SHAPE_TEXT], input[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "the slope %s cannot be broadcast to the input %s",
            clv_shape_format(&infer->inputs[1].shape, slope),
            clv_shape_format(&infer->inputs[0].shape, input));
    }
    return NULL;
}
BINARY_DEF(PRelu, 7, infer_prelu, 0)

/* Exponents that are known and whole need no pow(): x, x^2 and x^3 are products. */
static bool is_small_power(const clv_infer *infer, int *out_power) {
    const clv_view *exponent = &infer->inputs[1];
    if (exponent->data == NULL || clv_shape_elements(&exponent->shape) != 1) {
        return false;
    }
    double value = clv_load_double(exponent->dtype, exponent->data, 0);
    *out_power = value == 1 ? 1 : value == 2 ? 2 : value == 3 ? 3 : 0;
    return *out_power != 0;
}

/* The base gives the output's type, the exponent may have any other. */
static clv_status *infer_pow(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 1, CLV_MASK_NUMBER));
    clv_dtype base = infer->inputs[0].dtype, exponent = infer->inputs[1].dtype;
    if (infer->node->opset < 12) {
        CLV_TRY(clv_pointwise_same_dtype(infer, 1));
    }
    uint32_t of_int = exponent == CLV_UINT64 ? EW_INT_UPOW : EW_INT_POW;
    clv_pointwise_ops ops = {EW_FLOAT_POW, of_int, of_int};
    clv_ew_expr *expr = NULL;
    CLV_TRY(clv_pointwise_start(infer, CLV_MASK_NUMBER, &ops, &expr));
    int power = 0;
    if (base != CLV_FLOAT32 && exponent == CLV_FLOAT32) {
        expr->domain = CLV_EW_FLOAT;
        expr->steps[0].op = EW_FLOAT_POW_WHOLE;
    } else if (is_small_power(infer, &power)) {
        bool is_float = base == CLV_FLOAT32;
        uint32_t copy = is_float ? EW_FLOAT_COPY : EW_INT_COPY;
        uint32_t mul = is_float ? EW_FLOAT_MUL : EW_INT_MUL;
        expr->num_steps = 0;
        uint32_t result = clv_ew_add(expr, power == 1 ? copy : mul, 0, 0, 0);
        if (power == 3) {
            clv_ew_add(expr, mul, result, 0, 0);
        }
    }
    return clv_pointwise_finish(infer, base);
}
BINARY_DEF(Pow, 7, infer_pow, 0)
