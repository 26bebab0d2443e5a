#include "host/ops/moves.h"
#include "kernels_cl/move/move.h"

extern const clv_kernel_family clv_kernels_move;

typedef struct slice_lists {
    const int64_t *starts, *ends, *axes, *steps; /* axes, steps: NULL for the default */
    size_t count;
} slice_lists;

/* Attributes before opset 10, inputs from then on. */
static clv_status *get_lists(const clv_infer *infer, slice_lists *out_lists) {
    size_t num_ends = 0, num_axes = 0, num_steps = 0;
    slice_lists lists = {0};
    if (infer->node->opset < 10) {
        CLV_TRY(clv_attr_get_ints(infer->node, "starts", &lists.starts, &lists.count));
        CLV_TRY(clv_attr_get_ints(infer->node, "ends", &lists.ends, &num_ends));
        CLV_TRY(clv_attr_get_ints(infer->node, "axes", &lists.axes, &num_axes));
        if (clv_attr_find(infer->node, "axes") == NULL) {
            lists.axes = NULL;
        }
    } else {
        if (!clv_infer_has(infer, 1) || !clv_infer_has(infer, 2)) {
            return CLV_ERROR(MALFORMED, "starts and ends are missing");
        }
        CLV_TRY(clv_infer_ints(infer, 1, &lists.starts, &lists.count));
        CLV_TRY(clv_infer_ints(infer, 2, &lists.ends, &num_ends));
        if (clv_infer_has(infer, 3)) {
            CLV_TRY(clv_infer_ints(infer, 3, &lists.axes, &num_axes));
        }
        if (clv_infer_has(infer, 4)) {
            CLV_TRY(clv_infer_ints(infer, 4, &lists.steps, &num_steps));
        }
    }
    if (num_ends != lists.count || (lists.axes != NULL && num_axes != lists.count) ||
        (lists.steps != NULL && num_steps != lists.count)) {
        return CLV_ERROR(MALFORMED, "starts, ends, axes and steps are of different length");
    }
    *out_lists = lists;
    return NULL;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* First index and number of elements of NumPy's start:end:step on an axis of `extent`. */
static void resolve(
    int64_t extent, int64_t start, int64_t end, int64_t step, int64_t *out_start,
    int64_t *out_count) {
    start += start < 0 ? extent : 0;
    end += end < 0 ? extent : 0;
    *out_start = *out_count = 0;
    if (extent == 0) {
        return;
    }
    if (step > 0) {
        start = clamp(start, 0, extent);
        end = clamp(end, 0, extent);
        if (end > start) {
            *out_start = start;
            *out_count = 1 + (end - start - 1) / step;
        }
    } else {
        start = clamp(start, 0, extent - 1);
        end = clamp(end, -1, extent - 1);
        if (start > end) {
            *out_start = start;
            *out_count = 1 + (start - end - 1) / -step;
        }
    }
}

static clv_status *slice_infer(clv_infer *infer) {
    const clv_shape *in = &infer->inputs[0].shape;
    slice_lists lists = {0};
    CLV_TRY(get_lists(infer, &lists));
    if (lists.axes == NULL && lists.count > (size_t)in->rank) {
        return CLV_ERROR(
            MALFORMED, "starts has %zu entries, the input has rank %d", lists.count, (int)in->rank);
    }
    bool sliced[CLV_MAX_RANK];
    if (lists.axes != NULL) {
        CLV_TRY(clv_infer_axes(lists.axes, lists.count, in->rank, "axes", sliced));
    }
    clv_move_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = CLV_MOVE_SLICE;
    clv_shape shape = *in;
    for (int i = 0; i < in->rank; i++) {
        op->steps[i] = 1;
    }
    for (size_t i = 0; i < lists.count; i++) {
        int64_t axis = lists.axes == NULL ? (int64_t)i : lists.axes[i];
        axis += axis < 0 ? in->rank : 0;
        int64_t step = lists.steps == NULL ? 1 : lists.steps[i];
        if (step == 0) {
            return CLV_ERROR(MALFORMED, "the step of axis %lld is 0", (long long)axis);
        }
        step = step == INT64_MIN ? -INT64_MAX : step;
        resolve(
            in->dims[axis], lists.starts[i], lists.ends[i], step, &op->starts[axis],
            &shape.dims[axis]);
        op->steps[axis] = step;
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

static clv_status *slice_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_move_op *op = call->params;
    const clv_view *in = &call->inputs[0];
    int64_t coords[CLV_MAX_RANK] = {0}, from[CLV_MAX_RANK], strides[CLV_MAX_RANK], i = 0;
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    clv_shape_strides(&in->shape, strides);
    do {
        for (int d = 0; d < in->shape.rank; d++) {
            from[d] = op->starts[d] + (coords[d] == 0 ? 0 : coords[d] * op->steps[d]);
        }
        clv_element_copy(
            outputs[0].data, i++, in->data, clv_coords_offset(from, strides, in->shape.rank),
            clv_dtype_bytes(in->dtype));
    } while (clv_coords_next(&outputs[0].shape, coords));
    return NULL;
}

static bool is_whole_axis(const clv_call *call, int axis) {
    const clv_move_op *op = call->params;
    return call->outputs[0].shape.dims[axis] == call->inputs[0].shape.dims[axis] &&
           op->starts[axis] == 0 && op->steps[axis] == 1;
}

/* Along an axis that is walked forwards, positions begin .. end - 1 are those from start + begin *
 * step to start + (end - 1) * step of the input. */
static clv_status *slice_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_move_op *op = call->params;
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        const int64_t start = op->starts[axis], step = op->steps[axis];
        clv_split *split = NULL;
        if (step > 0) {
            CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        }
        if (split != NULL && !is_whole_axis(call, axis)) {
            split->inputs[0].num = step;
            split->inputs[0].before = -start;
            split->inputs[0].after = start - step + 1;
        }
    }
    return NULL;
}

/* What a piece has of the input starts with its first position. */
static void slice_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    clv_move_op *piece = params;
    (void)call;
    (void)begin;
    (void)end;
    piece->starts[split->axis] = 0;
}

static bool slice_is_identity(const clv_call *call) {
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        if (!is_whole_axis(call, axis)) {
            return false;
        }
    }
    return true;
}

/* Whole below some axis, one position above it, steps of 1. */
static bool slice_takes_run(const clv_call *call, size_t output, int64_t *out_first) {
    const clv_move_op *op = call->params;
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[output].shape;
    int64_t strides[CLV_MAX_RANK];
    int axis = out->rank;
    clv_shape_strides(in, strides);
    *out_first = 0;
    while (axis > 0 && is_whole_axis(call, axis - 1)) {
        axis--;
    }
    for (int i = 0; i < axis; i++) {
        if (op->steps[i] != 1 || (i + 1 < axis && out->dims[i] != 1)) {
            return false;
        }
        *out_first += op->starts[i] * strides[i];
    }
    return true;
}

const clv_op_def clv_op_def_Slice = {
    .name = "Slice",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 5,
    .min_outputs = 1,
    .max_outputs = 1,
    .host_inputs = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4,
    .infer = slice_infer,
    .is_identity = slice_is_identity,
    .reference = slice_reference,
    .cost = clv_cost_move,
    .splits = slice_splits,
    .cut = slice_cut,
    .takes_run = slice_takes_run,
    .params_bytes = sizeof(clv_move_op),
    .kernels = &clv_kernels_move,
};
