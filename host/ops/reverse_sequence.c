/* ReverseSequence. https://onnx.ai/onnx/operators/onnx__ReverseSequence.html */
#include "kernels_cl/reverse/reverse.h"

#include "host/ops/moves.h"
#include "host/ops/pointwise.h"

static clv_status *reverse_sequence_infer(clv_infer *infer) {
    int64_t batch_axis, time_axis;
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_MASK_MOVABLE));
    CLV_TRY(clv_infer_dtype(infer, 1, CLV_BIT(INT64)));
    CLV_TRY(clv_infer_rank(infer, 0, 2, CLV_MAX_RANK));
    CLV_TRY(clv_attr_get_int(infer->node, "batch_axis", 1, &batch_axis));
    CLV_TRY(clv_attr_get_int(infer->node, "time_axis", 0, &time_axis));
    if (batch_axis < 0 || batch_axis > 1 || time_axis != 1 - batch_axis) {
        return CLV_ERROR(
            MALFORMED, "time_axis is %lld and batch_axis %lld, must be 0 and 1 or 1 and 0",
            (long long)time_axis, (long long)batch_axis);
    }
    const clv_shape *x = &infer->inputs[0].shape, *lengths = &infer->inputs[1].shape;
    if (lengths->rank != 1 || lengths->dims[0] != x->dims[batch_axis]) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "sequence_lens is %s, needs [%lld]", clv_shape_format(lengths, text),
            (long long)x->dims[batch_axis]);
    }
    clv_reverse *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->time_axis = (int32_t)time_axis;
    clv_infer_output(infer, 0, infer->inputs[0].dtype, x);
    return NULL;
}

static clv_status *reverse_sequence_reference(
    const clv_call *call, const clv_mutable_view *outputs) {
    const clv_reverse *op = call->params;
    const clv_view *x = &call->inputs[0];
    const int64_t inner = clv_shape_product(&x->shape, 2, x->shape.rank);
    const int64_t second = x->shape.dims[1], steps = x->shape.dims[op->time_axis];
    const size_t bytes = clv_dtype_bytes(x->dtype);
    for (int64_t i = 0; i < clv_shape_elements(&x->shape); i++) {
        const int64_t a = i / inner / second, b = i / inner % second;
        const int64_t t = op->time_axis == 0 ? a : b, sequence = op->time_axis == 0 ? b : a;
        const int64_t length = clv_load_int64(CLV_INT64, call->inputs[1].data, sequence);
        if (length < 0 || length > steps) {
            return CLV_ERROR(
                MALFORMED, "sequence_lens[%lld] is %lld, the input has %lld steps",
                (long long)sequence, (long long)length, (long long)steps);
        }
        const int64_t u = t < length ? length - 1 - t : t;
        const int64_t row = op->time_axis == 0 ? u * second + b : a * second + u;
        clv_element_copy(outputs[0].data, i, x->data, row * inner + i % inner, bytes);
    }
    return NULL;
}

/* Any axis but that of time. */
static clv_status *reverse_sequence_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_reverse *op = call->params;
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        clv_split *split = NULL;
        if (axis == op->time_axis || call->outputs[0].shape.dims[axis] < 2) {
            continue;
        }
        CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        if (axis < 2) {
            split->inputs[1].need = CLV_NEED_SLICE;
            split->inputs[1].axis = 0;
        }
    }
    return NULL;
}

const clv_op_def clv_op_def_ReverseSequence = {
    .name = "ReverseSequence",
    .domain = "",
    .since_opset = 10,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = reverse_sequence_infer,
    .reference = reverse_sequence_reference,
    .cost = clv_cost_move,
    .splits = reverse_sequence_splits,
    .params_bytes = sizeof(clv_reverse),
    .kernels = &clv_kernels_reverse,
};
