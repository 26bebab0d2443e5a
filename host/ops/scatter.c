/* ScatterElements (also under its old name Scatter) and ScatterND. */
#include "kernels_cl/scatter/scatter.h"
#include "host/ops/moves.h"

#include <inttypes.h>
#include <string.h>

extern const clv_kernel_family clv_kernels_scatter;

static clv_status *read_reduction(const clv_infer *infer, clv_scatter_op *op) {
    static const char *const names[] = {
        [CLV_SCATTER_NONE] = "none", [CLV_SCATTER_ADD] = "add", [CLV_SCATTER_MUL] = "mul",
        [CLV_SCATTER_MAX] = "max",   [CLV_SCATTER_MIN] = "min",
    };
    const char *word;
    CLV_TRY(clv_attr_get_string(infer->node, "reduction", "none", &word));
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(word, names[i]) == 0) {
            op->reduction = i;
            if (i == CLV_SCATTER_NONE) {
                return NULL;
            }
            return clv_infer_dtype(
                infer, 0,
                CLV_BIT(FLOAT32) | CLV_BIT(INT32) | CLV_BIT(INT64) | CLV_BIT(INT8) |
                    CLV_BIT(UINT8));
        }
    }
    return CLV_ERROR(MALFORMED, "reduction is '%s', known are none, add, mul, max and min", word);
}

static clv_status *start(clv_infer *infer, clv_scatter_op **out_op) {
    clv_scatter_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    CLV_TRY(clv_infer_rank(infer, 0, 1, CLV_MAX_RANK));
    CLV_TRY(clv_infer_index_type(infer, 1));
    if (infer->inputs[2].dtype != infer->inputs[0].dtype) {
        return CLV_ERROR(
            MALFORMED, "the updates are %s, the data is %s", clv_dtype_name(infer->inputs[2].dtype),
            clv_dtype_name(infer->inputs[0].dtype));
    }
    CLV_TRY(read_reduction(infer, op));
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &infer->inputs[0].shape);
    *out_op = op;
    return NULL;
}

static clv_status *check_updates(const clv_infer *infer, const clv_shape *wanted) {
    char got_text[CLV_SHAPE_TEXT], wanted_text[CLV_SHAPE_TEXT];
    if (clv_shape_equal(&infer->inputs[2].shape, wanted)) {
        return NULL;
    }
    return CLV_ERROR(
        MALFORMED, "the updates have shape %s, %s was expected",
        clv_shape_format(&infer->inputs[2].shape, got_text), clv_shape_format(wanted, wanted_text));
}

/* Element `from` of the updates into element `to` of the output. */
static void apply(const clv_call *call, const clv_mutable_view *output, int64_t to, int64_t from) {
    const clv_scatter_op *op = call->params;
    const clv_dtype dtype = output->dtype;
    const void *updates = call->inputs[2].data;
    if (op->reduction == CLV_SCATTER_NONE) {
        clv_element_copy(output->data, to, updates, from, clv_dtype_bytes(dtype));
    } else if (clv_dtype_is_float(dtype)) {
        const double a = clv_load_double(dtype, output->data, to);
        const double b = clv_load_double(dtype, updates, from);
        const double results[] = {
            [CLV_SCATTER_ADD] = a + b,
            [CLV_SCATTER_MUL] = a * b,
            [CLV_SCATTER_MAX] = a != a || a > b ? a : b,
            [CLV_SCATTER_MIN] = a != a || a < b ? a : b,
        };
        clv_store_double(dtype, output->data, to, results[op->reduction]);
    } else {
        const int64_t a = clv_load_int64(dtype, output->data, to);
        const int64_t b = clv_load_int64(dtype, updates, from);
        const int64_t results[] = {
            [CLV_SCATTER_ADD] = (int64_t)((uint64_t)a + (uint64_t)b),
            [CLV_SCATTER_MUL] = (int64_t)((uint64_t)a * (uint64_t)b),
            [CLV_SCATTER_MAX] = a > b ? a : b,
            [CLV_SCATTER_MIN] = a < b ? a : b,
        };
        clv_store_int64(dtype, output->data, to, results[op->reduction]);
    }
}

/* Index `at` of input 1 for an axis of `extent`. */
static clv_status *load_index(
    const clv_call *call, int64_t at, int64_t extent, int64_t *out_index) {
    const int64_t index = clv_load_int64(call->inputs[1].dtype, call->inputs[1].data, at);
    if (index < -extent || index >= extent) {
        return CLV_ERROR(
            MALFORMED, "index %" PRId64 " is out of range for an axis of %" PRId64 " elements",
            index, extent);
    }
    *out_index = index < 0 ? index + extent : index;
    return NULL;
}

static void copy_data(const clv_call *call, const clv_mutable_view *output) {
    const size_t bytes = clv_view_bytes(output->dtype, &output->shape);
    if (bytes != 0) {
        memcpy(output->data, call->inputs[0].data, bytes);
    }
}

/* Every update is read, and the places that it goes to are written, beside the copy. */
static void scatter_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_scatter_op *op = call->params;
    clv_cost_default(call, out_cost);
    out_cost->write_bytes += (double)clv_view_bytes(call->inputs[2].dtype, &call->inputs[2].shape);
    out_cost->flops =
        op->reduction == CLV_SCATTER_NONE ? 0 : (double)clv_shape_elements(&call->inputs[2].shape);
}

/* --- ScatterElements --- */

static clv_status *scatter_elements_infer(clv_infer *infer) {
    const clv_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    clv_scatter_op *op = NULL;
    int64_t axis = 0;
    CLV_TRY(start(infer, &op));
    CLV_TRY(clv_attr_get_int(infer->node, "axis", 0, &axis));
    CLV_TRY(clv_infer_axis(axis, data->rank, "axis", &op->axis));
    CLV_TRY(clv_infer_rank(infer, 1, data->rank, data->rank));
    for (int i = 0; i < data->rank; i++) {
        if (i != op->axis && indices->dims[i] > data->dims[i]) {
            return CLV_ERROR(
                MALFORMED,
                "axis %d of the indices has %" PRId64 " elements, that of the data has "
                "%" PRId64,
                i, indices->dims[i], data->dims[i]);
        }
    }
    return check_updates(infer, indices);
}

static clv_status *scatter_elements_reference(
    const clv_call *call, const clv_mutable_view *outputs) {
    const clv_scatter_op *op = call->params;
    const clv_shape *data = &call->inputs[0].shape, *indices = &call->inputs[1].shape;
    int64_t coords[CLV_MAX_RANK] = {0}, to[CLV_MAX_RANK], strides[CLV_MAX_RANK], i = 0;
    copy_data(call, &outputs[0]);
    if (clv_shape_elements(indices) == 0) {
        return NULL;
    }
    clv_shape_strides(data, strides);
    do {
        memcpy(to, coords, sizeof to);
        CLV_TRY(load_index(call, i, data->dims[op->axis], &to[op->axis]));
        apply(call, &outputs[0], clv_coords_offset(to, strides, data->rank), i++);
    } while (clv_coords_next(indices, coords));
    return NULL;
}

/* Axes but the scattered one, where updates are as wide as the data. */
static clv_status *scatter_elements_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_scatter_op *op = call->params;
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        clv_split *split;
        if (axis == op->axis ||
            call->inputs[1].shape.dims[axis] != call->inputs[0].shape.dims[axis]) {
            continue;
        }
        CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        if (split != NULL) {
            split->inputs[1] = split->inputs[2] = split->inputs[0];
        }
    }
    return NULL;
}

/* --- ScatterND --- */

static clv_status *scatter_nd_infer(clv_infer *infer) {
    const clv_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    clv_scatter_op *op = NULL;
    CLV_TRY(start(infer, &op));
    op->is_nd = true;
    CLV_TRY(clv_infer_rank(infer, 1, 1, CLV_MAX_RANK));
    const int last = indices->rank - 1;
    const int64_t num_indices = indices->dims[last];
    if (num_indices < 1 || num_indices > data->rank) {
        return CLV_ERROR(
            MALFORMED, "an index has %" PRId64 " entries, 1 to %d are possible", num_indices,
            (int)data->rank);
    }
    clv_shape wanted = {.rank = last};
    memcpy(wanted.dims, indices->dims, (size_t)last * sizeof wanted.dims[0]);
    if (last + data->rank - num_indices > CLV_MAX_RANK) {
        return CLV_ERROR(UNSUPPORTED, "the updates have a rank above 8");
    }
    for (int i = (int)num_indices; i < data->rank; i++) {
        wanted.dims[wanted.rank++] = data->dims[i];
    }
    return check_updates(infer, &wanted);
}

static clv_status *scatter_nd_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_shape *data = &call->inputs[0].shape, *indices = &call->inputs[1].shape;
    const int last = indices->rank - 1;
    const int64_t num_indices = indices->dims[last];
    const int64_t num_rows = clv_shape_product(indices, 0, last);
    const int64_t run = clv_shape_product(data, (int)num_indices, data->rank);
    int64_t strides[CLV_MAX_RANK];
    copy_data(call, &outputs[0]);
    if (clv_shape_elements(&call->inputs[2].shape) == 0) {
        return NULL;
    }
    clv_shape_strides(data, strides);
    for (int64_t row = 0; row < num_rows; row++) {
        int64_t to = 0;
        for (int64_t j = 0; j < num_indices; j++) {
            int64_t index = 0;
            CLV_TRY(load_index(call, row * num_indices + j, data->dims[j], &index));
            to += index * strides[j];
        }
        for (int64_t i = 0; i < run; i++) {
            apply(call, &outputs[0], to + i, row * run + i);
        }
    }
    return NULL;
}

/* Axes behind those that an index names. */
static clv_status *scatter_nd_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *indices = &call->inputs[1].shape;
    const int last = indices->rank - 1, num_indices = (int)indices->dims[last];
    for (int axis = num_indices; axis < call->outputs[0].shape.rank; axis++) {
        clv_split *split;
        CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        if (split != NULL) {
            split->inputs[2] = split->inputs[0];
            split->inputs[2].axis = last + axis - num_indices;
        }
    }
    return NULL;
}

const clv_op_def clv_op_def_Scatter = {
    .name = "Scatter",
    .domain = "",
    .since_opset = 9,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = scatter_elements_infer,
    .reference = scatter_elements_reference,
    .cost = scatter_cost,
    .splits = scatter_elements_splits,
    .params_bytes = sizeof(clv_scatter_op),
    .kernels = &clv_kernels_scatter,
};

const clv_op_def clv_op_def_ScatterElements = {
    .name = "ScatterElements",
    .domain = "",
    .since_opset = 11,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = scatter_elements_infer,
    .reference = scatter_elements_reference,
    .cost = scatter_cost,
    .splits = scatter_elements_splits,
    .params_bytes = sizeof(clv_scatter_op),
    .kernels = &clv_kernels_scatter,
};

const clv_op_def clv_op_def_ScatterND = {
    .name = "ScatterND",
    .domain = "",
    .since_opset = 11,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = scatter_nd_infer,
    .reference = scatter_nd_reference,
    .cost = scatter_cost,
    .splits = scatter_nd_splits,
    .params_bytes = sizeof(clv_scatter_op),
    .kernels = &clv_kernels_scatter,
};
