/* Concat and Split: one tensor as pieces along an axis, put together and taken apart. */
#include "host/ops/moves.h"
#include "kernels_cl/move/move.h"

#include <string.h>

extern const clv_kernel_family clv_kernels_move;

static clv_status *axis_params(
    clv_infer *infer, clv_move_kind kind, int64_t fallback, clv_move_op **out_op) {
    int64_t axis = 0;
    clv_move_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = kind;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", fallback, &axis));
    CLV_TRY(clv_infer_axis(axis, infer->inputs[0].shape.rank, "axis", &op->axis));
    *out_op = op;
    return NULL;
}

/* Copies between `part`, and `whole` from `start` of `axis` on; `into_whole` says which way. */
static void copy_part(
    const clv_shape *whole, void *whole_data, const clv_shape *part, void *part_data, int axis,
    int64_t start, size_t element_bytes, bool into_whole) {
    const int64_t rows = clv_shape_product(part, 0, axis);
    const int64_t run = clv_shape_product(part, axis, part->rank);
    const int64_t inner = clv_shape_product(part, axis + 1, part->rank);
    const int64_t stride = clv_shape_product(whole, axis, whole->rank);
    if (run == 0) {
        return;
    }
    for (int64_t row = 0; row < rows; row++) {
        unsigned char *at =
            (unsigned char *)whole_data + (size_t)(row * stride + start * inner) * element_bytes;
        unsigned char *piece = (unsigned char *)part_data + (size_t)(row * run) * element_bytes;
        memcpy(into_whole ? at : piece, into_whole ? piece : at, (size_t)run * element_bytes);
    }
}

/* --- Concat --- */

static clv_status *concat_infer(clv_infer *infer) {
    clv_move_op *op = NULL;
    /* before opset 4 the attribute had a default */
    if (infer->node->opset >= 4 && clv_attr_find(infer->node, "axis") == NULL) {
        return CLV_ERROR(MALFORMED, "attribute axis is missing");
    }
    CLV_TRY(axis_params(infer, CLV_MOVE_CONCAT, 1, &op));
    clv_shape shape = infer->inputs[0].shape;
    for (size_t i = 1; i < infer->num_inputs; i++) {
        const clv_view *input = &infer->inputs[i];
        clv_shape rest = input->shape;
        if (input->dtype != infer->inputs[0].dtype) {
            return CLV_ERROR(
                MALFORMED, "input %zu is %s, input 0 is %s", i, clv_dtype_name(input->dtype),
                clv_dtype_name(infer->inputs[0].dtype));
        }
        if (rest.rank == shape.rank) {
            rest.dims[op->axis] = shape.dims[op->axis];
        }
        if (!clv_shape_equal(&rest, &shape)) {
            char a[CLV_SHAPE_TEXT], b[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED, "input %zu has shape %s, input 0 has %s; only axis %d may differ", i,
                clv_shape_format(&input->shape, a), clv_shape_format(&infer->inputs[0].shape, b),
                op->axis);
        }
        if (__builtin_add_overflow(
                shape.dims[op->axis], input->shape.dims[op->axis], &shape.dims[op->axis])) {
            return CLV_ERROR(UNSUPPORTED, "the output has too many elements");
        }
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

static clv_status *concat_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_move_op *op = call->params;
    int64_t start = 0;
    for (size_t i = 0; i < call->num_inputs; i++) {
        const clv_view *part = &call->inputs[i];
        copy_part(
            &outputs[0].shape, outputs[0].data, &part->shape, (void *)(uintptr_t)part->data,
            op->axis, start, clv_dtype_bytes(part->dtype), true);
        start += part->shape.dims[op->axis];
    }
    return NULL;
}

/* Positions [begin, end) of the axis that inputs are joined along are some of each of them, or
 * none. */
static void need_parts(const clv_call *call, int axis, clv_split *split) {
    int64_t start = 0;
    for (size_t i = 0; i < call->num_inputs; i++) {
        split->inputs[i].before = start;
        split->inputs[i].after = -start;
        start += call->inputs[i].shape.dims[axis];
    }
}

static clv_status *concat_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_move_op *op = call->params;
    const clv_shape *out = &call->outputs[0].shape;
    for (int axis = 0; axis < out->rank; axis++) {
        clv_split *split = NULL;
        CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        for (size_t i = 1; split != NULL && i < call->num_inputs; i++) {
            split->inputs[i] = split->inputs[0];
        }
        if (split != NULL && axis == op->axis) {
            need_parts(call, axis, split);
        }
        if (split != NULL && axis == 1 && out->rank > 2) {
            split->grain = clv_split_channel_grain(out->dims[1]);
        }
    }
    return NULL;
}

static bool concat_is_identity(const clv_call *call) {
    return call->num_inputs == 1;
}

static bool concat_places_run(const clv_call *call, size_t input, int64_t *out_first) {
    const clv_move_op *op = call->params;
    const clv_shape *out = &call->outputs[0].shape;
    *out_first = 0;
    for (size_t i = 0; i < input; i++) {
        *out_first += clv_shape_elements(&call->inputs[i].shape);
    }
    return clv_shape_product(out, 0, op->axis) == 1;
}

const clv_op_def clv_op_def_Concat = {
    .name = "Concat",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = -1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = concat_infer,
    .is_identity = concat_is_identity,
    .reference = concat_reference,
    .cost = clv_cost_move,
    .splits = concat_splits,
    .places_run = concat_places_run,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};

/* --- Split --- */

/* `sizes` where the model gives none: equal parts; from opset 18 on the last may be smaller. */
static clv_status *equal_sizes(const clv_infer *infer, int64_t extent, int64_t *sizes) {
    const int64_t num_parts = (int64_t)infer->num_outputs;
    if (infer->node->opset >= 18) {
        int64_t wanted = 0;
        CLV_TRY(clv_attr_get_int(infer->node, "num_outputs", num_parts, &wanted));
        if (wanted != num_parts) {
            return CLV_ERROR(
                MALFORMED, "num_outputs is %lld, the node has %lld outputs", (long long)wanted,
                (long long)num_parts);
        }
    }
    const int64_t size = extent / num_parts + (extent % num_parts != 0);
    const int64_t last = extent - size * (num_parts - 1);
    if (last < 0 || (last != size && infer->node->opset < 18)) {
        return CLV_ERROR(
            MALFORMED, "an axis of %lld elements cannot be split into %lld equal parts",
            (long long)extent, (long long)num_parts);
    }
    for (int64_t i = 0; i < num_parts; i++) {
        sizes[i] = i == num_parts - 1 ? last : size;
    }
    return NULL;
}

static clv_status *given_sizes(
    const clv_infer *infer, int64_t extent, const int64_t *given, size_t count, int64_t *sizes) {
    if (count != infer->num_outputs) {
        return CLV_ERROR(
            MALFORMED, "split has %zu entries, the node has %zu outputs", count,
            infer->num_outputs);
    }
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (given[i] < 0 || __builtin_add_overflow(sum, given[i], &sum)) {
            return CLV_ERROR(MALFORMED, "entry %zu of split is %lld", i, (long long)given[i]);
        }
        sizes[i] = given[i];
    }
    if (sum != extent) {
        return CLV_ERROR(
            MALFORMED, "the entries of split sum up to %lld, the axis has %lld elements",
            (long long)sum, (long long)extent);
    }
    return NULL;
}

static clv_status *split_infer(clv_infer *infer) {
    clv_move_op *op = NULL;
    CLV_TRY(axis_params(infer, CLV_MOVE_SPLIT, 0, &op));
    const int64_t extent = infer->inputs[0].shape.dims[op->axis];
    int64_t *sizes = clv_arena_alloc(infer->arena, infer->num_outputs, sizeof *sizes);
    int64_t *starts = clv_arena_alloc(infer->arena, infer->num_outputs, sizeof *starts);
    if (sizes == NULL || starts == NULL) {
        return CLV_NO_ARENA("params");
    }
    const int64_t *given = NULL;
    size_t count = 0;
    bool has_sizes;
    if (infer->node->opset >= 13) {
        has_sizes = clv_infer_has(infer, 1);
        if (has_sizes) {
            CLV_TRY(clv_infer_ints(infer, 1, &given, &count));
        }
    } else {
        has_sizes = clv_attr_find(infer->node, "split") != NULL;
        CLV_TRY(clv_attr_get_ints(infer->node, "split", &given, &count));
    }
    if (has_sizes) {
        CLV_TRY(given_sizes(infer, extent, given, count, sizes));
    } else {
        CLV_TRY(equal_sizes(infer, extent, sizes));
    }
    clv_shape shape = infer->inputs[0].shape;
    for (size_t i = 0; i < infer->num_outputs; i++) {
        starts[i] = i == 0 ? 0 : starts[i - 1] + sizes[i - 1];
        shape.dims[op->axis] = sizes[i];
        clv_infer_output(infer, i, infer->inputs[0].dtype, &shape);
    }
    op->part_starts = starts;
    return NULL;
}

static clv_status *split_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_move_op *op = call->params;
    const clv_view *in = &call->inputs[0];
    for (size_t i = 0; i < call->num_outputs; i++) {
        if (call->outputs[i].dtype != CLV_DTYPE_NONE) {
            copy_part(
                &in->shape, (void *)(uintptr_t)in->data, &outputs[i].shape, outputs[i].data,
                op->axis, op->part_starts[i], clv_dtype_bytes(in->dtype), false);
        }
    }
    return NULL;
}

/* Every axis but the one that is taken apart: input 1 stays whole, it holds sizes along that. */
static clv_status *split_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_move_op *op = call->params;
    for (int axis = 0; axis < call->inputs[0].shape.rank; axis++) {
        clv_split *split = NULL;
        if (axis != op->axis && call->outputs[0].dtype != CLV_DTYPE_NONE) {
            CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        }
    }
    return NULL;
}

static bool split_is_identity(const clv_call *call) {
    return call->num_outputs == 1;
}

static bool split_takes_run(const clv_call *call, size_t output, int64_t *out_first) {
    const clv_move_op *op = call->params;
    const clv_shape *in = &call->inputs[0].shape;
    *out_first = op->part_starts[output] * clv_shape_product(in, op->axis + 1, in->rank);
    return clv_shape_product(in, 0, op->axis) == 1;
}

const clv_op_def clv_op_def_Split = {
    .name = "Split",
    .domain = "",
    .since_opset = 2,
    .min_inputs = 1,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = -1,
    .host_inputs = 1u << 1,
    .infer = split_infer,
    .is_identity = split_is_identity,
    .reference = split_reference,
    .cost = clv_cost_move,
    .splits = split_splits,
    .takes_run = split_takes_run,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};
