/* Gather, GatherElements, GatherND. */
#include "kernels_cl/gather/gather.h"
#include "host/ops/moves.h"

#include <string.h>

extern const clv_kernel_family clv_kernels_gather;

static clv_status *start(clv_infer *infer, clv_gather_kind kind, clv_gather_op **out_op) {
    clv_gather_op *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = kind;
    *out_op = op;
    CLV_TRY(clv_infer_rank(infer, 0, 1, CLV_MAX_RANK));
    return clv_infer_index_type(infer, 1);
}

static clv_status *read_axis(const clv_infer *infer, clv_gather_op *op) {
    int64_t axis = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", 0, &axis));
    return clv_infer_axis(axis, infer->inputs[0].shape.rank, "axis", &op->axis);
}

/* Reads index `at` of input 1 for an axis of `extent`; MALFORMED where it is out of range. */
static clv_status *load_index(
    const clv_call *call, int64_t at, int64_t extent, int64_t *out_index) {
    const int64_t index = clv_load_int64(call->inputs[1].dtype, call->inputs[1].data, at);
    if (index < -extent || index >= extent) {
        return CLV_ERROR(
            MALFORMED, "index %lld is out of range for an axis of %lld elements", (long long)index,
            (long long)extent);
    }
    *out_index = index < 0 ? index + extent : index;
    return NULL;
}

/* --- Gather --- */

static clv_status *gather_infer(clv_infer *infer) {
    const clv_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    clv_gather_op *op = NULL;
    CLV_TRY(start(infer, CLV_GATHER_ROWS, &op));
    CLV_TRY(read_axis(infer, op));
    const int rank = data->rank - 1 + indices->rank;
    if (rank > CLV_MAX_RANK) {
        return CLV_ERROR(UNSUPPORTED, "the output has rank %d, at most 8 is supported", rank);
    }
    clv_shape shape = {0};
    for (int i = 0; i < op->axis; i++) {
        shape.dims[shape.rank++] = data->dims[i];
    }
    for (int i = 0; i < indices->rank; i++) {
        shape.dims[shape.rank++] = indices->dims[i];
    }
    for (int i = op->axis + 1; i < data->rank; i++) {
        shape.dims[shape.rank++] = data->dims[i];
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

static clv_status *gather_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_gather_op *op = call->params;
    const clv_shape *data = &call->inputs[0].shape;
    const int64_t extent = data->dims[op->axis];
    const int64_t outer = clv_shape_product(data, 0, op->axis);
    const int64_t num_indices = clv_shape_elements(&call->inputs[1].shape);
    const size_t run = (size_t)clv_shape_product(data, op->axis + 1, data->rank) *
                       clv_dtype_bytes(call->inputs[0].dtype);
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < num_indices; i++) {
            int64_t index = 0;
            CLV_TRY(load_index(call, i, extent, &index));
            memcpy(
                (unsigned char *)outputs[0].data + (size_t)(o * num_indices + i) * run,
                (const unsigned char *)call->inputs[0].data + (size_t)(o * extent + index) * run,
                run);
        }
    }
    return NULL;
}

/* Axes of the data on either side of the picked one; axes of the indices. */
static clv_status *gather_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_gather_op *op = call->params;
    const int num_index_axes = call->inputs[1].shape.rank;
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        const bool of_indices = axis >= op->axis && axis < op->axis + num_index_axes;
        const int data_axis = axis < op->axis ? axis : axis - num_index_axes + 1;
        clv_split *split;
        CLV_TRY(clv_split_add_slice(
            out_list, arena, call, axis, of_indices ? axis - op->axis : data_axis, &split));
        if (split != NULL && of_indices) {
            split->inputs[1] = split->inputs[0];
            split->inputs[0] = (clv_split_input){.need = CLV_NEED_WHOLE};
        }
    }
    return NULL;
}

/* --- GatherElements --- */

static clv_status *gather_elements_infer(clv_infer *infer) {
    const clv_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    clv_gather_op *op = NULL;
    CLV_TRY(start(infer, CLV_GATHER_ELEMENTS, &op));
    CLV_TRY(read_axis(infer, op));
    CLV_TRY(clv_infer_rank(infer, 1, data->rank, data->rank));
    for (int i = 0; i < data->rank; i++) {
        if (i != op->axis && indices->dims[i] > data->dims[i]) {
            return CLV_ERROR(
                MALFORMED, "axis %d of the indices has %lld elements, that of the data has %lld", i,
                (long long)indices->dims[i], (long long)data->dims[i]);
        }
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, indices);
    return NULL;
}

static clv_status *gather_elements_reference(
    const clv_call *call, const clv_mutable_view *outputs) {
    const clv_gather_op *op = call->params;
    const clv_shape *data = &call->inputs[0].shape;
    int64_t coords[CLV_MAX_RANK] = {0}, from[CLV_MAX_RANK], strides[CLV_MAX_RANK], i = 0;
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    clv_shape_strides(data, strides);
    do {
        memcpy(from, coords, sizeof from);
        CLV_TRY(load_index(call, i, data->dims[op->axis], &from[op->axis]));
        clv_element_copy(
            outputs[0].data, i++, call->inputs[0].data,
            clv_coords_offset(from, strides, data->rank), clv_dtype_bytes(outputs[0].dtype));
    } while (clv_coords_next(&outputs[0].shape, coords));
    return NULL;
}

static clv_status *gather_elements_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_gather_op *op = call->params;
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        clv_split *split;
        CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        if (split != NULL) {
            split->inputs[1] = split->inputs[0];
            split->inputs[0].need = axis == op->axis ? CLV_NEED_WHOLE : CLV_NEED_SLICE;
        }
    }
    return NULL;
}

/* --- GatherND --- */

static clv_status *gather_nd_infer(clv_infer *infer) {
    const clv_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    clv_gather_op *op = NULL;
    int64_t batch_dims = 0;
    CLV_TRY(start(infer, CLV_GATHER_ND, &op));
    CLV_TRY(clv_infer_rank(infer, 1, 1, CLV_MAX_RANK));
    CLV_TRY(clv_attr_get_int(infer->node, "batch_dims", 0, &batch_dims));
    const int last = indices->rank - 1;
    const int64_t num_indices = indices->dims[last];
    if (batch_dims < 0 || batch_dims > last || batch_dims >= data->rank) {
        return CLV_ERROR(
            MALFORMED, "batch_dims is %lld, the data has rank %d and the indices have %d",
            (long long)batch_dims, (int)data->rank, (int)indices->rank);
    }
    if (num_indices < 1 || num_indices > data->rank - batch_dims) {
        return CLV_ERROR(
            MALFORMED, "an index has %lld entries, 1 to %lld are possible", (long long)num_indices,
            (long long)(data->rank - batch_dims));
    }
    op->batch_dims = (int)batch_dims;
    for (int i = 0; i < op->batch_dims; i++) {
        if (data->dims[i] != indices->dims[i]) {
            return CLV_ERROR(
                MALFORMED, "batch axis %d has %lld elements in the data, %lld in the indices", i,
                (long long)data->dims[i], (long long)indices->dims[i]);
        }
    }
    const int first_inner = (int)(batch_dims + num_indices);
    if (last + data->rank - first_inner > CLV_MAX_RANK) {
        return CLV_ERROR(
            UNSUPPORTED, "the output has rank %d, at most 8 is supported",
            last + data->rank - first_inner);
    }
    clv_shape shape = {.rank = last};
    memcpy(shape.dims, indices->dims, (size_t)last * sizeof shape.dims[0]);
    for (int i = first_inner; i < data->rank; i++) {
        shape.dims[shape.rank++] = data->dims[i];
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

static clv_status *gather_nd_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_gather_op *op = call->params;
    const clv_shape *data = &call->inputs[0].shape, *indices = &call->inputs[1].shape;
    const int last = indices->rank - 1, batch_dims = op->batch_dims;
    const int64_t num_indices = indices->dims[last];
    const int64_t num_rows = clv_shape_product(indices, 0, last);
    const int64_t rows_a_batch = clv_shape_product(indices, batch_dims, last);
    const int64_t batch_elements = clv_shape_product(data, batch_dims, data->rank);
    const size_t element_bytes = clv_dtype_bytes(outputs[0].dtype);
    const size_t run =
        (size_t)clv_shape_product(data, batch_dims + (int)num_indices, data->rank) * element_bytes;
    int64_t strides[CLV_MAX_RANK];
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    clv_shape_strides(data, strides);
    for (int64_t row = 0; row < num_rows; row++) {
        int64_t from = row / rows_a_batch * batch_elements;
        for (int64_t j = 0; j < num_indices; j++) {
            int64_t index = 0;
            CLV_TRY(load_index(call, row * num_indices + j, data->dims[batch_dims + j], &index));
            from += index * strides[batch_dims + j];
        }
        memcpy(
            (unsigned char *)outputs[0].data + (size_t)row * run,
            (const unsigned char *)call->inputs[0].data + (size_t)from * element_bytes, run);
    }
    return NULL;
}

/* Batch axes cut both inputs, other axes of the indices cut those, axes behind the picked ones cut
 * the data. */
static clv_status *gather_nd_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_gather_op *op = call->params;
    const clv_shape *indices = &call->inputs[1].shape;
    const int last = indices->rank - 1;
    const int inner_shift = op->batch_dims + (int)indices->dims[last] - last;
    for (int axis = 0; axis < call->outputs[0].shape.rank; axis++) {
        clv_split *split;
        CLV_TRY(clv_split_add_slice(
            out_list, arena, call, axis, axis < last ? axis : axis + inner_shift, &split));
        if (split == NULL || axis >= last) {
            continue;
        }
        split->inputs[1] = split->inputs[0];
        if (axis >= op->batch_dims) {
            split->inputs[0] = (clv_split_input){.need = CLV_NEED_WHOLE};
        }
    }
    return NULL;
}

const clv_op_def clv_op_def_Gather = {
    .name = "Gather",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = gather_infer,
    .reference = gather_reference,
    .cost = clv_cost_move,
    .splits = gather_splits,
    .params_bytes = sizeof(clv_gather_op),
    .kernels = &clv_kernels_gather,
};

const clv_op_def clv_op_def_GatherElements = {
    .name = "GatherElements",
    .domain = "",
    .since_opset = 11,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = gather_elements_infer,
    .reference = gather_elements_reference,
    .cost = clv_cost_move,
    .splits = gather_elements_splits,
    .params_bytes = sizeof(clv_gather_op),
    .kernels = &clv_kernels_gather,
};

const clv_op_def clv_op_def_GatherND = {
    .name = "GatherND",
    .domain = "",
    .since_opset = 11,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = gather_nd_infer,
    .reference = gather_nd_reference,
    .cost = clv_cost_move,
    .splits = gather_nd_splits,
    .params_bytes = sizeof(clv_gather_op),
    .kernels = &clv_kernels_gather,
};
