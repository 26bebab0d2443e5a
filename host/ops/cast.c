/* Cast, CastLike and BitCast. Casts go from any type of dtype.def to any other. From floats to
 * integers: cut towards 0, held within the type's range, NaN gives 0. Among integers: the low bits.
 * To bool: x != 0. */
#include "host/ops/pointwise.h"

static clv_status *infer_cast_to(clv_infer *infer, clv_dtype to) {
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_MASK_MOVABLE));
    clv_dtype from = infer->inputs[0].dtype;
    clv_ew_expr *expr = clv_infer_params(infer, sizeof *expr);
    if (expr == NULL) {
        return CLV_NO_ARENA("Cast");
    }
    bool from_whole = !clv_dtype_is_float(from), to_whole = !clv_dtype_is_float(to);
    bool is_double_to_whole = from == CLV_FLOAT64 && to_whole;
    bool is_whole_to_double = from_whole && to == CLV_FLOAT64;
    bool is_same = from == to && from != CLV_FLOAT32;
    if ((from_whole && to_whole) || is_double_to_whole || is_whole_to_double || is_same) {
        expr->domain = CLV_EW_INT;
        expr->moves_bits = is_same || (from == CLV_FLOAT64 && to == CLV_BOOL);
    }
    if (from == CLV_FLOAT64 && to == CLV_BOOL) { /* any bit but the sign: needs no float64 */
        uint32_t one = clv_ew_add(expr, EW_INT_CONST, 0, 0, 0);
        expr->steps[0].k = 1;
        clv_ew_add(expr, EW_INT_SHIFT_LEFT, 0, one, 0);
    } else {
        clv_ew_add(
            expr, expr->domain == CLV_EW_FLOAT ? (uint32_t)EW_FLOAT_COPY : (uint32_t)EW_INT_COPY, 0,
            0, 0);
    }
    clv_infer_output(infer, 0, to, &infer->inputs[0].shape);
    return NULL;
}

static clv_status *get_target(clv_infer *infer, clv_dtype *out_dtype) {
    int64_t code = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "to", -1, &code));
    if (code <= 0) {
        return CLV_ERROR(MALFORMED, "the attribute 'to' is missing or not a type");
    }
    *out_dtype = code < INT32_MAX ? clv_dtype_from_onnx((int32_t)code) : CLV_DTYPE_NONE;
    if (*out_dtype == CLV_DTYPE_NONE) {
        return CLV_ERROR(UNSUPPORTED, "to is type %lld of ONNX", (long long)code);
    }
    return NULL;
}

static bool keeps_type(const clv_call *call) {
    return call->inputs[0].dtype == call->outputs[0].dtype;
}

static clv_status *infer_cast(clv_infer *infer) {
    clv_dtype to = CLV_DTYPE_NONE;
    CLV_TRY(get_target(infer, &to));
    return infer_cast_to(infer, to);
}

const clv_op_def clv_op_def_Cast = {
    CLV_POINTWISE_FIELDS, .name = "Cast",
    .since_opset = 6,     .min_inputs = 1,
    .max_inputs = 1,      .flags = CLV_OP_POINTWISE,
    .infer = infer_cast,  .is_identity = keeps_type,
};

static clv_status *infer_cast_like(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 1, CLV_MASK_MOVABLE));
    return infer_cast_to(infer, infer->inputs[1].dtype);
}

/* Input 1 is there for its type only: for the rest, CastLike is a call of one input. */
static clv_call without_like(const clv_call *call) {
    clv_call cast = *call;
    cast.num_inputs = 1;
    return cast;
}

static clv_status *cast_like_reference(const clv_call *call, const clv_mutable_view *outputs) {
    clv_call cast = without_like(call);
    return clv_pointwise_reference(&cast, outputs);
}

static void cast_like_cost(const clv_call *call, clv_cost *out_cost) {
    clv_call cast = without_like(call);
    clv_pointwise_cost(&cast, out_cost);
}

static clv_status *cast_like_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    clv_call cast = without_like(call);
    clv_split_list list = {0};
    CLV_TRY(clv_pointwise_splits(&cast, arena, &list));
    for (size_t i = 0; i < list.num_splits; i++) {
        const clv_split *from = &list.splits[i];
        clv_split *split = NULL;
        CLV_TRY(clv_split_add(
            out_list, arena, call, from->name, from->join, from->axis, from->extent, &split));
        split->inputs[0] = from->inputs[0];
    }
    return NULL;
}

const clv_op_def clv_op_def_CastLike = {
    .name = "CastLike",
    .domain = "",
    .since_opset = 15,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_POINTWISE,
    .infer = infer_cast_like,
    .is_identity = keeps_type,
    .reference = cast_like_reference,
    .cost = cast_like_cost,
    .splits = cast_like_splits,
    .params_bytes = sizeof(clv_ew_expr),
    .kernels = &clv_kernels_elementwise,
};

/* The same bits as another type of the same size. */
static clv_status *infer_bit_cast(clv_infer *infer) {
    clv_dtype from = infer->inputs[0].dtype, to = CLV_DTYPE_NONE;
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_MASK_MOVABLE));
    CLV_TRY(get_target(infer, &to));
    if (clv_dtype_bytes(from) != clv_dtype_bytes(to)) {
        return CLV_ERROR(
            MALFORMED, "to is %s, must be as large as the input's %s", clv_dtype_name(to),
            clv_dtype_name(from));
    }
    clv_ew_expr *expr = clv_infer_params(infer, sizeof *expr);
    if (expr == NULL) {
        return CLV_NO_ARENA("BitCast");
    }
    expr->domain = CLV_EW_INT;
    expr->moves_bits = true;
    clv_ew_add(expr, EW_INT_COPY, 0, 0, 0);
    clv_infer_output(infer, 0, to, &infer->inputs[0].shape);
    return NULL;
}

const clv_op_def clv_op_def_BitCast = {
    CLV_POINTWISE_FIELDS,    .name = "BitCast",         .since_opset = 26,
    .min_inputs = 1,         .max_inputs = 1,           .flags = CLV_OP_POINTWISE,
    .infer = infer_bit_cast, .is_identity = keeps_type,
};
