/* Expand and Tile: a tensor repeated along axes. */
#include "host/ops/moves.h"
#include "kernels_cl/move/move.h"

extern const clv_kernel_family clv_kernels_move;

static clv_status *kind_params(clv_infer *infer, clv_move_kind kind) {
    clv_move_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = kind;
    return NULL;
}

/* Output element c is input element c[d] % extent[d], axes matched from the last on. */
static clv_status *repeat_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_view *in = &call->inputs[0];
    const int missing = outputs[0].shape.rank - in->shape.rank;
    int64_t coords[CLV_MAX_RANK] = {0}, from[CLV_MAX_RANK], strides[CLV_MAX_RANK], i = 0;
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    clv_shape_strides(&in->shape, strides);
    do {
        for (int d = 0; d < in->shape.rank; d++) {
            from[d] = coords[d + missing] % in->shape.dims[d];
        }
        clv_element_copy(
            outputs[0].data, i++, in->data, clv_coords_offset(from, strides, in->shape.rank),
            clv_dtype_bytes(in->dtype));
    } while (clv_coords_next(&outputs[0].shape, coords));
    return NULL;
}

/* Axes of one extent on both sides are cut alike; where Expand repeats one element, every piece
 * needs that element. */
static clv_status *repeat_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_move_op *op = call->params;
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    for (int axis = 0; axis < out->rank; axis++) {
        const int same = axis - (out->rank - in->rank);
        clv_split *split;
        if (same >= 0 && in->dims[same] == out->dims[axis]) {
            CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, same, &split));
        } else if (op->kind == CLV_MOVE_EXPAND && out->dims[axis] > 1) {
            CLV_TRY(clv_split_add(
                out_list, arena, call, clv_axis_name(axis), CLV_JOIN_PLACE, axis, out->dims[axis],
                &split));
        }
    }
    return NULL;
}

static bool repeat_is_identity(const clv_call *call) {
    return clv_shape_equal(&call->inputs[0].shape, &call->outputs[0].shape);
}

static clv_status *expand_infer(clv_infer *infer) {
    const int64_t *dims;
    size_t count;
    CLV_TRY(clv_infer_ints(infer, 1, &dims, &count));
    if (count > CLV_MAX_RANK) {
        return CLV_ERROR(UNSUPPORTED, "the shape has rank %zu, at most 8 is supported", count);
    }
    clv_shape wanted = {.rank = (int32_t)count}, shape;
    for (size_t i = 0; i < count; i++) {
        if (dims[i] < 0) {
            return CLV_ERROR(MALFORMED, "entry %zu of the shape is %lld", i, (long long)dims[i]);
        }
        wanted.dims[i] = dims[i];
    }
    CLV_TRY(clv_shape_check(&wanted, "the shape to expand to"));
    CLV_TRY(clv_shape_broadcast(&infer->inputs[0].shape, &wanted, &shape));
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return kind_params(infer, CLV_MOVE_EXPAND);
}

static clv_status *tile_infer(clv_infer *infer) {
    const int64_t *repeats;
    size_t count;
    clv_shape shape = infer->inputs[0].shape;
    CLV_TRY(clv_infer_ints(infer, 1, &repeats, &count));
    if (count != (size_t)shape.rank) {
        return CLV_ERROR(
            MALFORMED, "repeats has %zu entries, the input has rank %d", count, (int)shape.rank);
    }
    for (int i = 0; i < shape.rank; i++) {
        if (repeats[i] < 0) {
            return CLV_ERROR(MALFORMED, "entry %d of repeats is %lld", i, (long long)repeats[i]);
        }
        if (__builtin_mul_overflow(shape.dims[i], repeats[i], &shape.dims[i])) {
            return CLV_ERROR(UNSUPPORTED, "the output has too many elements");
        }
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return kind_params(infer, CLV_MOVE_TILE);
}

const clv_op_def clv_op_def_Expand = {
    .name = "Expand",
    .domain = "",
    .since_opset = 8,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1,
    .infer = expand_infer,
    .is_identity = repeat_is_identity,
    .reference = repeat_reference,
    .cost = clv_cost_move,
    .splits = repeat_splits,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};

const clv_op_def clv_op_def_Tile = {
    .name = "Tile",
    .domain = "",
    .since_opset = 6,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1,
    .infer = tile_infer,
    .is_identity = repeat_is_identity,
    .reference = repeat_reference,
    .cost = clv_cost_move,
    .splits = repeat_splits,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};
