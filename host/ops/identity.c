/* Identity, and Dropout, which does nothing when a network is not being trained. */
#include "host/ops/op.h"

#include <string.h>

static bool always_identity(const clv_call *call) {
    return call->num_outputs < 2 || call->outputs[1].dtype == CLV_DTYPE_NONE;
}

static clv_status *copy_reference(const clv_call *call, const clv_mutable_view *outputs) {
    size_t bytes = clv_view_bytes(outputs[0].dtype, &outputs[0].shape);
    if (outputs[0].dtype != CLV_DTYPE_NONE && bytes != 0) {
        memcpy(outputs[0].data, call->inputs[0].data, bytes);
    }
    return NULL;
}

/* Every axis, in step with the input. */
static clv_status *same_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *shape = &call->outputs[0].shape;
    for (int axis = 0; axis < shape->rank; axis++) {
        clv_split *split = NULL;
        CLV_TRY(clv_split_add(
            out_list, arena, call, "positions", CLV_JOIN_PLACE, axis, shape->dims[axis], &split));
        split->inputs[0] =
            (clv_split_input){.need = CLV_NEED_SLICE, .axis = axis, .num = 1, .den = 1};
    }
    return NULL;
}

static clv_status *identity_infer(clv_infer *infer) {
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &infer->inputs[0].shape);
    return NULL;
}

const clv_op_def clv_op_def_Identity = {
    .name = "Identity",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_VIEW,
    .infer = identity_infer,
    .is_identity = always_identity,
    .reference = copy_reference,
    .splits = same_splits,
};

/* --- Dropout --- */

/* One element that says whether something is dropped; `fallback` where the input is left out. */
static clv_status *get_scalar(
    const clv_infer *infer, size_t index, double fallback, double *out_value) {
    *out_value = fallback;
    if (!clv_infer_has(infer, index)) {
        return NULL;
    }
    clv_view value;
    CLV_TRY(clv_infer_value(infer, index, &value));
    if (clv_shape_elements(&value.shape) != 1) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "input %zu has the shape %s, it must be a scalar", index,
            clv_shape_format(&value.shape, text));
    }
    *out_value = clv_load_double(value.dtype, value.data, 0);
    return NULL;
}

static clv_status *dropout_infer(clv_infer *infer) {
    double ratio, training;
    CLV_TRY(clv_infer_dtype(
        infer, 0, CLV_BIT(FLOAT32) | CLV_BIT(FLOAT64) | CLV_BIT(FLOAT16) | CLV_BIT(BFLOAT16)));
    CLV_TRY(get_scalar(infer, 1, 0.5, &ratio));
    CLV_TRY(get_scalar(infer, 2, 0, &training));
    if (!(ratio >= 0 && ratio < 1)) {
        return CLV_ERROR(MALFORMED, "the ratio is %g, it must be at least 0 and below 1", ratio);
    }
    if (training != 0 && ratio != 0) {
        return CLV_ERROR(UNSUPPORTED, "training_mode is set: cleave only runs inference");
    }
    const clv_view *input = &infer->inputs[0];
    clv_infer_output(infer, 0, input->dtype, &input->shape);
    clv_infer_output(infer, 1, infer->node->opset < 10 ? input->dtype : CLV_BOOL, &input->shape);
    return NULL;
}

static clv_status *dropout_reference(const clv_call *call, const clv_mutable_view *outputs) {
    CLV_TRY(copy_reference(call, outputs));
    if (call->num_outputs < 2 || outputs[1].dtype == CLV_DTYPE_NONE) {
        return NULL;
    }
    int64_t elements = clv_shape_elements(&outputs[1].shape);
    for (int64_t i = 0; i < elements; i++) {
        clv_store_int64(outputs[1].dtype, outputs[1].data, i, 1); /* everything is kept */
    }
    return NULL;
}

const clv_op_def clv_op_def_Dropout = {
    .name = "Dropout",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 2,
    .host_inputs = 1u << 1 | 1u << 2,
    .flags = CLV_OP_VIEW,
    .shape_outputs = 1u << 1,
    .infer = dropout_infer,
    .is_identity = always_identity,
    .reference = dropout_reference,
    .splits = same_splits,
};
