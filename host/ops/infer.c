/* What infer() functions share. Messages start at what is wrong: the caller adds operator and node.
 */
#include "host/base/memory.h"
#include "host/ops/op.h"

#include <inttypes.h>

void *clv_infer_params(clv_infer *infer, size_t bytes) {
    void *params = clv_arena_alloc(infer->arena, bytes, 1);
    infer->params = params;
    return params;
}

void clv_infer_output(clv_infer *infer, size_t index, clv_dtype dtype, const clv_shape *shape) {
    if (index < infer->num_outputs) {
        infer->out_dtypes[index] = dtype;
        infer->out_shapes[index] = *shape;
    }
}

bool clv_infer_has(const clv_infer *infer, size_t index) {
    return index < infer->num_inputs && infer->inputs[index].dtype != CLV_DTYPE_NONE;
}

static clv_status *check_has(const clv_infer *infer, size_t index) {
    if (!clv_infer_has(infer, index)) {
        return CLV_ERROR(MALFORMED, "input %zu is missing", index);
    }
    return NULL;
}

clv_status *clv_infer_value(const clv_infer *infer, size_t index, clv_view *out_value) {
    CLV_TRY(check_has(infer, index));
    if (infer->inputs[index].data == NULL) {
        return CLV_ERROR(
            UNSUPPORTED,
            "the value of input %zu is not known: it must be constant, follow from shapes, or be "
            "given when the session is made",
            index);
    }
    *out_value = infer->inputs[index];
    return NULL;
}

clv_status *clv_infer_ints(
    const clv_infer *infer, size_t index, const int64_t **out_values, size_t *out_count) {
    clv_view value;
    CLV_TRY(clv_infer_value(infer, index, &value));
    if (value.dtype != CLV_INT64 && value.dtype != CLV_INT32) {
        return CLV_ERROR(
            MALFORMED, "input %zu is %s, it must be int64 or int32", index,
            clv_dtype_name(value.dtype));
    }
    if (value.shape.rank > 1) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "input %zu has the shape %s, it must be a list", index,
            clv_shape_format(&value.shape, text));
    }
    size_t count = (size_t)clv_shape_elements(&value.shape);
    int64_t *values = clv_arena_alloc(infer->arena, count, sizeof *values);
    if (values == NULL) {
        return CLV_NO_ARENA("the value of an input");
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = clv_load_int64(value.dtype, value.data, (int64_t)i);
    }
    *out_values = values;
    *out_count = count;
    return NULL;
}

clv_status *clv_infer_axis(int64_t axis, int rank, const char *what, int *out_axis) {
    if (axis < -rank || axis >= rank) {
        return CLV_ERROR(MALFORMED, "%s is %" PRId64 ", the input has rank %d", what, axis, rank);
    }
    *out_axis = (int)(axis < 0 ? axis + rank : axis);
    return NULL;
}

clv_status *clv_infer_dtype(const clv_infer *infer, size_t index, uint32_t mask) {
    CLV_TRY(check_has(infer, index));
    clv_dtype dtype = infer->inputs[index].dtype;
    if ((mask >> dtype & 1) != 0) {
        return NULL;
    }
    clv_text text;
    clv_text_init(&text);
    for (int i = 1; i < CLV_NUM_DTYPES; i++) {
        if ((mask >> i & 1) != 0) {
            clv_text_add(&text, "%s%s", text.length == 0 ? "" : ", ", clv_dtype_name((clv_dtype)i));
        }
    }
    char *types;
    CLV_TRY(clv_text_take(&text, &types));
    clv_status *status = CLV_ERROR(
        UNSUPPORTED, "input %zu is %s, cleave takes %s there", index, clv_dtype_name(dtype), types);
    clv_free(types);
    return status;
}
