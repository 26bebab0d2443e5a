/* DepthToSpace (pixel shuffle) and SpaceToDepth: blocks of pixels to channels and back, [N, C, H,
 * W]. */
#include "host/ops/moves.h"
#include "kernels_cl/move/move.h"

#include <string.h>

extern const clv_kernel_family clv_kernels_move;

static clv_status *block_params(clv_infer *infer, clv_move_kind kind, clv_move_op **out_op) {
    const char *mode;
    CLV_TRY(clv_infer_rank(infer, 0, 4, 4));
    clv_move_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = kind;
    CLV_TRY(clv_attr_get_int(infer->node, "blocksize", 0, &op->block));
    if (op->block < 1 || op->block > INT32_MAX) {
        return CLV_ERROR(
            MALFORMED, "blocksize is %lld, at least 1 is needed", (long long)op->block);
    }
    /* SpaceToDepth has the attribute from opset 28 on */
    CLV_TRY(clv_attr_get_string(infer->node, "mode", "DCR", &mode));
    op->column_first = strcmp(mode, "CRD") == 0;
    if (!op->column_first && strcmp(mode, "DCR") != 0) {
        return CLV_ERROR(MALFORMED, "mode is '%s', known are DCR and CRD", mode);
    }
    *out_op = op;
    return NULL;
}

static clv_status *depth_to_space_infer(clv_infer *infer) {
    clv_move_op *op = NULL;
    CLV_TRY(block_params(infer, CLV_MOVE_DEPTH_TO_SPACE, &op));
    clv_shape shape = infer->inputs[0].shape;
    if (shape.dims[1] % (op->block * op->block) != 0) {
        return CLV_ERROR(
            MALFORMED, "%lld channels are no multiple of blocksize %lld squared",
            (long long)shape.dims[1], (long long)op->block);
    }
    shape.dims[1] /= op->block * op->block;
    if (__builtin_mul_overflow(shape.dims[2], op->block, &shape.dims[2]) ||
        __builtin_mul_overflow(shape.dims[3], op->block, &shape.dims[3])) {
        return CLV_ERROR(UNSUPPORTED, "the output has too many elements");
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

static clv_status *space_to_depth_infer(clv_infer *infer) {
    clv_move_op *op = NULL;
    CLV_TRY(block_params(infer, CLV_MOVE_SPACE_TO_DEPTH, &op));
    clv_shape shape = infer->inputs[0].shape;
    if (shape.dims[2] % op->block != 0 || shape.dims[3] % op->block != 0) {
        return CLV_ERROR(
            MALFORMED, "%lld rows and %lld columns are no multiples of blocksize %lld",
            (long long)shape.dims[2], (long long)shape.dims[3], (long long)op->block);
    }
    shape.dims[2] /= op->block;
    shape.dims[3] /= op->block;
    if (__builtin_mul_overflow(shape.dims[1], op->block * op->block, &shape.dims[1])) {
        return CLV_ERROR(UNSUPPORTED, "the output has too many elements");
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

/* Goes over the wide side; its element (n, c, y, x) is (n, channel, y / block, x / block) of the
 * deep one. */
static clv_status *block_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_move_op *op = call->params;
    const bool to_space = op->kind == CLV_MOVE_DEPTH_TO_SPACE;
    const clv_shape *wide = to_space ? &outputs[0].shape : &call->inputs[0].shape;
    const clv_shape *deep = to_space ? &call->inputs[0].shape : &outputs[0].shape;
    const int64_t block = op->block;
    int64_t c[CLV_MAX_RANK] = {0}, strides[CLV_MAX_RANK], i = 0;
    if (clv_shape_elements(wide) == 0) {
        return NULL;
    }
    clv_shape_strides(deep, strides);
    do {
        const int64_t y = c[2] % block, x = c[3] % block;
        const int64_t channel = op->column_first ? (c[1] * block + y) * block + x
                                                 : (y * block + x) * wide->dims[1] + c[1];
        const int64_t at[4] = {c[0], channel, c[2] / block, c[3] / block};
        const int64_t offset = clv_coords_offset(at, strides, 4);
        clv_element_copy(
            outputs[0].data, to_space ? i : offset, call->inputs[0].data, to_space ? offset : i,
            clv_dtype_bytes(outputs[0].dtype));
        i++;
    } while (clv_coords_next(wide, c));
    return NULL;
}

static clv_status *block_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_move_op *op = call->params;
    const bool to_space = op->kind == CLV_MOVE_DEPTH_TO_SPACE;
    static const char *const names[4] = {"batch", "channels", "rows", "columns"};
    static const int axes[4] = {2, 0, 3, 1}; /* rows first: pieces are then few long runs */
    for (int i = 0; i < 4; i++) {
        const int axis = axes[i];
        clv_split *split;
        if (axis == 1 && !op->column_first) {
            continue; /* DCR: a channel's blocks lie apart */
        }
        CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        if (split == NULL) {
            continue;
        }
        split->name = names[axis];
        if (axis == 1 && to_space) {
            split->inputs[0].num = op->block * op->block;
        } else if (axis == 1) {
            split->grain = split->inputs[0].den = op->block * op->block;
        } else if (axis > 1 && to_space) {
            split->grain = split->inputs[0].den = op->block;
        } else if (axis > 1) {
            split->inputs[0].num = op->block;
        }
    }
    return NULL;
}

static bool block_is_identity(const clv_call *call) {
    const clv_move_op *op = call->params;
    return op->block == 1;
}

const clv_op_def clv_op_def_DepthToSpace = {
    .name = "DepthToSpace",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = depth_to_space_infer,
    .is_identity = block_is_identity,
    .reference = block_reference,
    .cost = clv_cost_move,
    .splits = block_splits,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};

const clv_op_def clv_op_def_SpaceToDepth = {
    .name = "SpaceToDepth",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = space_to_depth_infer,
    .is_identity = block_is_identity,
    .reference = block_reference,
    .cost = clv_cost_move,
    .splits = block_splits,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};
