#include "host/ops/moves.h"
#include "kernels_cl/move/move.h"

extern const clv_kernel_family clv_kernels_move;

static clv_status *transpose_infer(clv_infer *infer) {
    const clv_shape *in = &infer->inputs[0].shape;
    const int64_t *perm;
    size_t count = 0;
    CLV_TRY(clv_attr_get_ints(infer->node, "perm", &perm, &count));
    const bool given = clv_attr_find(infer->node, "perm") != NULL;
    if (given && count != (size_t)in->rank) {
        return CLV_ERROR(
            MALFORMED, "perm has %zu entries, the input has rank %d", count, (int)in->rank);
    }
    clv_move_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = CLV_MOVE_TRANSPOSE;
    clv_shape shape = {.rank = in->rank};
    uint32_t seen = 0;
    for (int i = 0; i < in->rank; i++) {
        const int64_t axis = given ? perm[i] : in->rank - 1 - i;
        if (axis < 0 || axis >= in->rank || (seen & (1u << axis)) != 0) {
            return CLV_ERROR(
                MALFORMED, "perm is no permutation of 0 to %d: entry %d is %lld", (int)in->rank - 1,
                i, (long long)axis);
        }
        seen |= 1u << axis;
        op->axes[i] = (int)axis;
        shape.dims[i] = in->dims[axis];
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

static clv_status *transpose_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_move_op *op = call->params;
    const clv_view *in = &call->inputs[0];
    int64_t coords[CLV_MAX_RANK] = {0}, from[CLV_MAX_RANK], strides[CLV_MAX_RANK], i = 0;
    if (clv_shape_elements(&in->shape) == 0) {
        return NULL;
    }
    clv_shape_strides(&in->shape, strides);
    do {
        for (int d = 0; d < in->shape.rank; d++) {
            from[op->axes[d]] = coords[d];
        }
        clv_element_copy(
            outputs[0].data, i++, in->data, clv_coords_offset(from, strides, in->shape.rank),
            clv_dtype_bytes(in->dtype));
    } while (clv_coords_next(&outputs[0].shape, coords));
    return NULL;
}

static clv_status *transpose_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_move_op *op = call->params;
    for (int i = 0; i < call->outputs[0].shape.rank; i++) {
        clv_split *split;
        CLV_TRY(clv_split_add_slice(out_list, arena, call, i, op->axes[i], &split));
    }
    return NULL;
}

static bool transpose_is_identity(const clv_call *call) {
    const clv_move_op *op = call->params;
    for (int i = 0; i < call->outputs[0].shape.rank; i++) {
        if (op->axes[i] != i) {
            return false;
        }
    }
    return true;
}

const clv_op_def clv_op_def_Transpose = {
    .name = "Transpose",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = transpose_infer,
    .is_identity = transpose_is_identity,
    .reference = transpose_reference,
    .cost = clv_cost_move,
    .splits = transpose_splits,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};
