#include "host/ops/moves.h"

#include <string.h>

bool clv_coords_next(const clv_shape *shape, int64_t coords[CLV_MAX_RANK]) {
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (++coords[i] < shape->dims[i]) {
            return true;
        }
        coords[i] = 0;
    }
    return false;
}

int64_t clv_coords_offset(const int64_t *coords, const int64_t *strides, int rank) {
    int64_t offset = 0;
    for (int i = 0; i < rank; i++) {
        offset += coords[i] * strides[i];
    }
    return offset;
}

void clv_element_copy(void *dst, int64_t to, const void *src, int64_t from, size_t element_bytes) {
    memcpy(
        (unsigned char *)dst + (size_t)to * element_bytes,
        (const unsigned char *)src + (size_t)from * element_bytes, element_bytes);
}

void clv_cost_move(const clv_call *call, clv_cost *out_cost) {
    double input_bytes = 0, constant_bytes = 0;
    *out_cost = (clv_cost){0};
    for (size_t i = 0; i < call->num_outputs; i++) {
        if (call->outputs[i].dtype != CLV_DTYPE_NONE) {
            out_cost->write_bytes +=
                (double)clv_view_bytes(call->outputs[i].dtype, &call->outputs[i].shape);
        }
    }
    for (size_t i = 0; i < call->num_inputs; i++) {
        if (clv_call_has_input(call, i)) {
            const double bytes =
                (double)clv_view_bytes(call->inputs[i].dtype, &call->inputs[i].shape);
            input_bytes += bytes;
            constant_bytes += call->inputs[i].data != NULL ? bytes : 0;
        }
    }
    out_cost->read_bytes =
        input_bytes < out_cost->write_bytes ? input_bytes : out_cost->write_bytes;
    out_cost->weight_bytes =
        constant_bytes < out_cost->read_bytes ? constant_bytes : out_cost->read_bytes;
}

const char *clv_axis_name(int axis) {
    static const char *const names[CLV_MAX_RANK] = {"axis 0", "axis 1", "axis 2", "axis 3",
                                                    "axis 4", "axis 5", "axis 6", "axis 7"};
    return names[axis];
}

clv_status *clv_split_add_slice(
    clv_split_list *list, clv_arena *arena, const clv_call *call, int axis, int input_axis,
    clv_split **out_split) {
    const int64_t extent = call->outputs[0].shape.dims[axis];
    *out_split = NULL;
    if (extent < 2) {
        return NULL;
    }
    CLV_TRY(clv_split_add(
        list, arena, call, clv_axis_name(axis), CLV_JOIN_PLACE, axis, extent, out_split));
    (*out_split)->inputs[0] =
        (clv_split_input){.need = CLV_NEED_SLICE, .axis = input_axis, .num = 1, .den = 1};
    return NULL;
}

clv_status *clv_infer_axes(
    const int64_t *values, size_t count, int rank, const char *what, bool out_has[CLV_MAX_RANK]) {
    memset(out_has, 0, CLV_MAX_RANK * sizeof *out_has);
    for (size_t i = 0; i < count; i++) {
        int axis;
        CLV_TRY(clv_infer_axis(values[i], rank, what, &axis));
        if (out_has[axis]) {
            return CLV_ERROR(MALFORMED, "%s has axis %d twice", what, axis);
        }
        out_has[axis] = true;
    }
    return NULL;
}

clv_status *clv_infer_rank(const clv_infer *infer, size_t index, int minimum, int maximum) {
    const clv_shape *shape = &infer->inputs[index].shape;
    if (shape->rank >= minimum && shape->rank <= maximum) {
        return NULL;
    }
    char text[CLV_SHAPE_TEXT];
    if (minimum == maximum) {
        return CLV_ERROR(
            MALFORMED, "input %zu has shape %s, rank %d was expected", index,
            clv_shape_format(shape, text), minimum);
    }
    return CLV_ERROR(
        MALFORMED, "input %zu has shape %s, a rank of %d to %d was expected", index,
        clv_shape_format(shape, text), minimum, maximum);
}

clv_status *clv_infer_index_type(const clv_infer *infer, size_t index) {
    return clv_infer_dtype(infer, index, CLV_BIT(INT32) | CLV_BIT(INT64));
}
