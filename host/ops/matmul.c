/* MatMul, as NumPy's. https://onnx.ai/onnx/operators/onnx__MatMul.html */
#include "kernels_cl/matmul/matmul.h"
#include "host/ops/matmul_reference.h"

#define TYPES \
    (CLV_BIT(FLOAT32) | CLV_BIT(INT32) | CLV_BIT(INT64) | CLV_BIT(UINT32) | CLV_BIT(UINT64))

static clv_status *matmul_infer(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 0, TYPES));
    CLV_TRY(clv_infer_dtype(infer, 1, 1u << infer->inputs[0].dtype));
    clv_matmul_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    params->alpha = 1.0f;
    const clv_shape *a = &infer->inputs[0].shape, *b = &infer->inputs[1].shape;
    if (a->rank < 1 || b->rank < 1) {
        return CLV_ERROR(MALFORMED, "input %d is a scalar", a->rank < 1 ? 0 : 1);
    }
    int64_t a_inner = a->dims[a->rank - 1], b_inner = b->dims[b->rank > 1 ? b->rank - 2 : 0];
    if (a_inner != b_inner) {
        char a_text[CLV_SHAPE_TEXT], b_text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "inner dimensions differ: %s times %s", clv_shape_format(a, a_text),
            clv_shape_format(b, b_text));
    }
    clv_shape a_batch = *a, b_batch = *b, shape;
    a_batch.rank = a->rank > 2 ? a->rank - 2 : 0;
    b_batch.rank = b->rank > 2 ? b->rank - 2 : 0;
    CLV_TRY(clv_shape_broadcast(&a_batch, &b_batch, &shape));
    if (a->rank > 1) {
        shape.dims[shape.rank++] = a->dims[a->rank - 2];
    }
    if (b->rank > 1) {
        shape.dims[shape.rank++] = b->dims[b->rank - 1];
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

/* Cuts output axis `axis` where `operand` has the extent at `operand_axis`, not 1 or nothing. */
static void slice_operand(
    const clv_call *call, clv_split *split, size_t operand, int operand_axis) {
    const clv_shape *shape = &call->inputs[operand].shape;
    if (operand_axis >= 0 && shape->dims[operand_axis] == split->extent) {
        split->inputs[operand].need = CLV_NEED_SLICE;
        split->inputs[operand].axis = operand_axis;
    }
}

static clv_status *split_batch(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *a = &call->inputs[0].shape, *b = &call->inputs[1].shape;
    const clv_shape *out = &call->outputs[0].shape;
    int num_batch = out->rank - (a->rank > 1) - (b->rank > 1);
    for (int axis = 0; axis < num_batch; axis++) {
        if (out->dims[axis] < 2) {
            continue;
        }
        const char *name = axis == 0 ? "batch" : axis == num_batch - 1 ? "heads" : "inner batch";
        clv_split *split = NULL;
        CLV_TRY(clv_split_add(
            out_list, arena, call, name, CLV_JOIN_PLACE, axis, out->dims[axis], &split));
        slice_operand(call, split, 0, axis - num_batch + a->rank - 2);
        slice_operand(call, split, 1, axis - num_batch + b->rank - 2);
    }
    return NULL;
}

static clv_status *matmul_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *a = &call->inputs[0].shape, *b = &call->inputs[1].shape;
    const clv_shape *out = &call->outputs[0].shape;
    clv_split *split = NULL;
    CLV_TRY(split_batch(call, arena, out_list));
    int columns_axis = out->rank - 1, rows_axis = out->rank - 1 - (b->rank > 1);
    if (b->rank > 1 && out->dims[columns_axis] > 1) {
        CLV_TRY(clv_split_add(
            out_list, arena, call, "columns", CLV_JOIN_PLACE, columns_axis, out->dims[columns_axis],
            &split));
        slice_operand(call, split, 1, b->rank - 1);
    }
    if (a->rank > 1 && out->dims[rows_axis] > 1) {
        CLV_TRY(clv_split_add(
            out_list, arena, call, "rows", CLV_JOIN_PLACE, rows_axis, out->dims[rows_axis],
            &split));
        slice_operand(call, split, 0, a->rank - 2);
    }
    int64_t inner = a->dims[a->rank - 1];
    if (inner > 1) {
        CLV_TRY(clv_split_add(out_list, arena, call, "inner", CLV_JOIN_SUM, -1, inner, &split));
        slice_operand(call, split, 0, a->rank - 1);
        slice_operand(call, split, 1, b->rank > 1 ? b->rank - 2 : 0);
    }
    return NULL;
}

const clv_op_def clv_op_def_MatMul = {
    .name = "MatMul",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = matmul_infer,
    .reference = clv_matmul_reference,
    .cost = clv_matmul_cost,
    .splits = matmul_splits,
    .params_bytes = sizeof(clv_matmul_params),
    .takes_epilogue = clv_matmul_takes_epilogue,
    .streams = clv_matmul_streams,
    .halve = clv_matmul_halve,
    .kernels = &clv_kernels_matmul,
};
