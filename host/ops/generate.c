/* ConstantOfShape, EyeLike, OneHot, Range and Trilu. */
#include "kernels_cl/generate/generate.h"
#include "host/ops/moves.h"
#include "host/ops/pointwise.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

extern const clv_kernel_family clv_kernels_generate;

static clv_status *start(clv_infer *infer, clv_generate_kind kind, clv_generate **out_rule) {
    *out_rule = clv_infer_params(infer, sizeof **out_rule);
    if (*out_rule == NULL) {
        return CLV_NO_ARENA("an operator");
    }
    (*out_rule)->kind = kind;
    return NULL;
}

/* One element as it lies in memory, in the low bits. */
static uint64_t element_bits(clv_dtype dtype, const void *data, int64_t index) {
    size_t bytes = clv_dtype_bytes(dtype);
    unsigned char raw[8];
    memcpy(raw, (const unsigned char *)data + (size_t)index * bytes, bytes);
    clv_dtype same = bytes == 1   ? CLV_UINT8
                     : bytes == 2 ? CLV_UINT16
                     : bytes == 4 ? CLV_UINT32
                                  : CLV_UINT64;
    return (uint64_t)clv_load_int64(same, raw, 0);
}

static void store_bits(const clv_mutable_view *out, int64_t index, uint64_t bits) {
    size_t bytes = clv_dtype_bytes(out->dtype);
    clv_dtype same = bytes == 1   ? CLV_UINT8
                     : bytes == 2 ? CLV_UINT16
                     : bytes == 4 ? CLV_UINT32
                                  : CLV_UINT64;
    clv_store_int64(same, out->data, index, (int64_t)bits);
}

/* The known value of an input of one element. */
static clv_status *get_scalar(const clv_infer *infer, size_t index, clv_view *out_value) {
    CLV_TRY(clv_infer_value(infer, index, out_value));
    if (clv_shape_elements(&out_value->shape) != 1) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "input %zu has the shape %s, must be a scalar", index,
            clv_shape_format(&out_value->shape, text));
    }
    return NULL;
}

/* --- Range --- */

static clv_status *count_floats(double start, double limit, double delta, int64_t *out_count) {
    double count = ceil((limit - start) / delta);
    if (!(count < (double)CLV_MAX_ELEMENTS)) { /* NaN too */
        return CLV_ERROR(MALFORMED, "from %g to %g by %g: %g elements", start, limit, delta, count);
    }
    *out_count = count > 0 ? (int64_t)count : 0;
    return NULL;
}

static clv_status *count_ints(int64_t start, int64_t limit, int64_t delta, int64_t *out_count) {
    bool is_empty = delta > 0 ? start >= limit : start <= limit;
    uint64_t distance =
        delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    uint64_t count = is_empty ? 0 : (distance - 1) / step + 1;
    if (count > (uint64_t)CLV_MAX_ELEMENTS) {
        return CLV_ERROR(
            UNSUPPORTED, "from %" PRId64 " to %" PRId64 " by %" PRId64 ": too many elements", start,
            limit, delta);
    }
    *out_count = (int64_t)count;
    return NULL;
}

static clv_status *infer_range(clv_infer *infer) {
    const uint32_t mask = CLV_BIT(FLOAT32) | CLV_BIT(INT16) | CLV_BIT(INT32) | CLV_BIT(INT64);
    CLV_TRY(clv_infer_dtype(infer, 0, mask));
    clv_view values[3];
    for (size_t i = 0; i < 3; i++) {
        CLV_TRY(clv_pointwise_same_dtype(infer, i));
        CLV_TRY(get_scalar(infer, i, &values[i]));
    }
    clv_dtype dtype = infer->inputs[0].dtype;
    clv_generate *rule = NULL;
    CLV_TRY(start(infer, CLV_GENERATE_RANGE, &rule));
    rule->is_float_range = dtype == CLV_FLOAT32;
    double numbers[3];
    int64_t wholes[3];
    for (int i = 0; i < 3; i++) {
        numbers[i] = clv_load_double(dtype, values[i].data, 0);
        wholes[i] = rule->is_float_range ? 0 : clv_load_int64(dtype, values[i].data, 0);
    }
    if (numbers[2] == 0) {
        return CLV_ERROR(MALFORMED, "delta is 0");
    }
    clv_shape shape = {.rank = 1};
    if (rule->is_float_range) {
        CLV_TRY(count_floats(numbers[0], numbers[1], numbers[2], &shape.dims[0]));
        rule->float_start = (float)numbers[0];
        rule->float_step = (float)numbers[2];
    } else {
        CLV_TRY(count_ints(wholes[0], wholes[1], wholes[2], &shape.dims[0]));
        rule->start = (uint64_t)wholes[0];
        rule->step = (uint64_t)wholes[2];
    }
    clv_infer_output(infer, 0, dtype, &shape);
    return NULL;
}

static clv_status *range_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_generate *rule = call->params;
    const clv_mutable_view *out = &outputs[0];
    for (int64_t i = 0, n = clv_shape_elements(&out->shape); i < n; i++) {
        if (rule->is_float_range) {
            double value = (double)rule->float_start + (double)i * (double)rule->float_step;
            clv_store_double(out->dtype, out->data, i, value);
        } else {
            store_bits(out, i, rule->start + (uint64_t)i * rule->step);
        }
    }
    return NULL;
}

/* --- ConstantOfShape --- */

static clv_status *infer_constant_of_shape(clv_infer *infer) {
    const int64_t *dims = NULL;
    size_t rank = 0;
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_BIT(INT64)));
    CLV_TRY(clv_infer_ints(infer, 0, &dims, &rank));
    if (rank > CLV_MAX_RANK) {
        return CLV_ERROR(UNSUPPORTED, "the shape has rank %zu, at most %d", rank, CLV_MAX_RANK);
    }
    clv_shape shape = {.rank = (int32_t)rank};
    for (size_t i = 0; i < rank; i++) {
        shape.dims[i] = dims[i];
    }
    clv_generate *rule = NULL;
    CLV_TRY(start(infer, CLV_GENERATE_RANGE, &rule));
    clv_dtype dtype = CLV_FLOAT32;
    const clv_attr *attr = clv_attr_find(infer->node, "value");
    if (attr != NULL) {
        const clv_view *value = attr->type == CLV_ATTR_TENSOR ? attr->value.tensor : NULL;
        if (value == NULL || clv_shape_elements(&value->shape) != 1) {
            return CLV_ERROR(MALFORMED, "the attribute 'value' must be a tensor of one element");
        }
        dtype = value->dtype;
        rule->start = element_bits(dtype, value->data, 0);
    }
    clv_infer_output(infer, 0, dtype, &shape);
    return NULL;
}

/* Any axis: every piece is the same. */
static clv_status *constant_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *shape = &call->outputs[0].shape;
    for (int axis = 0; axis < shape->rank; axis++) {
        clv_split *split = NULL;
        if (shape->dims[axis] >= 2) {
            CLV_TRY(clv_split_add(
                out_list, arena, call, clv_axis_name(axis), CLV_JOIN_PLACE, axis, shape->dims[axis],
                &split));
        }
    }
    return NULL;
}

/* --- Trilu and EyeLike --- */

static clv_status *infer_trilu(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_MASK_MOVABLE));
    const clv_view *x = &infer->inputs[0];
    if (x->shape.rank < 2) {
        return CLV_ERROR(MALFORMED, "the input has rank %d, needs 2 at least", x->shape.rank);
    }
    int64_t is_upper = 1, k = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "upper", 1, &is_upper));
    if (clv_infer_has(infer, 1)) {
        clv_view value;
        CLV_TRY(clv_infer_dtype(infer, 1, CLV_BIT(INT64)));
        CLV_TRY(get_scalar(infer, 1, &value));
        k = clv_load_int64(CLV_INT64, value.data, 0);
    }
    clv_generate *rule = NULL;
    CLV_TRY(start(infer, CLV_GENERATE_BAND, &rule));
    rule->low = is_upper != 0 ? k : INT64_MIN;
    rule->high = is_upper != 0 ? INT64_MAX : k;
    clv_infer_output(infer, 0, x->dtype, &x->shape);
    return NULL;
}

static clv_status *infer_eye_like(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_MASK_MOVABLE));
    const clv_view *x = &infer->inputs[0];
    if (x->shape.rank != 2) {
        return CLV_ERROR(MALFORMED, "the input has rank %d, must have 2", x->shape.rank);
    }
    int64_t k = 0, code = clv_dtype_to_onnx(x->dtype);
    CLV_TRY(clv_attr_get_int(infer->node, "k", 0, &k));
    CLV_TRY(clv_attr_get_int(infer->node, "dtype", code, &code));
    clv_dtype dtype =
        code > 0 && code < INT32_MAX ? clv_dtype_from_onnx((int32_t)code) : CLV_DTYPE_NONE;
    if (dtype == CLV_DTYPE_NONE) {
        return CLV_ERROR(UNSUPPORTED, "dtype is type %" PRId64 " of ONNX", code);
    }
    clv_generate *rule = NULL;
    CLV_TRY(start(infer, CLV_GENERATE_EYE, &rule));
    rule->low = rule->high = k;
    unsigned char one[8];
    if (clv_dtype_is_float(dtype)) {
        clv_store_double(dtype, one, 0, 1);
    } else {
        clv_store_int64(dtype, one, 0, 1);
    }
    rule->start = element_bits(dtype, one, 0);
    clv_infer_output(infer, 0, dtype, &x->shape);
    return NULL;
}

static clv_status *band_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_generate *rule = call->params;
    const clv_mutable_view *out = &outputs[0];
    const clv_view *x = &call->inputs[0];
    int64_t num_columns = out->shape.dims[out->shape.rank - 1];
    int64_t num_rows = out->shape.dims[out->shape.rank - 2];
    for (int64_t i = 0, n = clv_shape_elements(&out->shape); i < n; i++) {
        int64_t diagonal = i % num_columns - i / num_columns % num_rows;
        uint64_t bits = 0;
        if (diagonal >= rule->low && diagonal <= rule->high) {
            bits =
                rule->kind == CLV_GENERATE_BAND ? element_bits(x->dtype, x->data, i) : rule->start;
        }
        store_bits(out, i, bits);
    }
    return NULL;
}

/* Axes before the matrices. */
static clv_status *trilu_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *shape = &call->outputs[0].shape;
    for (int axis = 0; axis < shape->rank - 2; axis++) {
        clv_split *split = NULL;
        CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
    }
    return NULL;
}

/* --- OneHot --- */

static clv_status *infer_one_hot(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_MASK_NUMBER));
    CLV_TRY(clv_infer_dtype(infer, 1, CLV_MASK_NUMBER));
    CLV_TRY(clv_infer_dtype(infer, 2, CLV_MASK_MOVABLE));
    const clv_shape *indices = &infer->inputs[0].shape, *values = &infer->inputs[2].shape;
    if (values->rank != 1 || values->dims[0] != 2) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "values has the shape %s, must be [2]", clv_shape_format(values, text));
    }
    if (indices->rank == CLV_MAX_RANK) {
        return CLV_ERROR(
            UNSUPPORTED, "the output has rank %d, at most %d", CLV_MAX_RANK + 1, CLV_MAX_RANK);
    }
    clv_view value;
    CLV_TRY(get_scalar(infer, 1, &value));
    double depth = clv_load_double(value.dtype, value.data, 0);
    if (!(depth >= 1) || depth > (double)CLV_MAX_ELEMENTS) {
        return CLV_ERROR(MALFORMED, "depth is %g", depth);
    }
    int64_t axis = 0;
    clv_generate *rule = NULL;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", -1, &axis));
    CLV_TRY(start(infer, CLV_GENERATE_ONE_HOT, &rule));
    CLV_TRY(clv_infer_axis(axis, indices->rank + 1, "axis", &rule->axis));
    clv_shape shape = {.rank = indices->rank + 1};
    for (int i = 0; i < shape.rank; i++) {
        shape.dims[i] = i == rule->axis ? (int64_t)depth : indices->dims[i - (i > rule->axis)];
    }
    clv_infer_output(infer, 0, infer->inputs[2].dtype, &shape);
    return NULL;
}

/* Position `at` of the indices as a place along the depth; -1 where it is out of range. */
static int64_t load_index(const clv_view *indices, int64_t at, int64_t depth) {
    int64_t index;
    if (indices->dtype == CLV_FLOAT32 || indices->dtype == CLV_UINT64) {
        double value = trunc(clv_load_double(indices->dtype, indices->data, at));
        if (!(value >= -(double)depth && value < (double)depth)) {
            return -1;
        }
        index = (int64_t)value;
    } else {
        index = clv_load_int64(indices->dtype, indices->data, at);
    }
    if (index < -depth || index >= depth) {
        return -1;
    }
    return index < 0 ? index + depth : index;
}

static clv_status *one_hot_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_generate *rule = call->params;
    const clv_mutable_view *out = &outputs[0];
    const clv_view *values = &call->inputs[2];
    int64_t depth = out->shape.dims[rule->axis];
    int64_t inner = clv_shape_product(&out->shape, rule->axis + 1, out->shape.rank);
    uint64_t off = element_bits(values->dtype, values->data, 0);
    uint64_t on = element_bits(values->dtype, values->data, 1);
    for (int64_t i = 0, n = clv_shape_elements(&out->shape); i < n; i++) {
        int64_t at = i / inner / depth * inner + i % inner;
        store_bits(out, i, load_index(&call->inputs[0], at, depth) == i / inner % depth ? on : off);
    }
    return NULL;
}

static clv_status *one_hot_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_generate *rule = call->params;
    const clv_shape *shape = &call->outputs[0].shape;
    for (int axis = 0; axis < shape->rank; axis++) {
        clv_split *split = NULL;
        if (axis != rule->axis) {
            int from = axis - (axis > rule->axis);
            CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, from, &split));
        }
    }
    return NULL;
}

/* --- definitions --- */

#define GENERATE_FIELDS                                                                     \
    .domain = "", .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(clv_generate), \
    .kernels = &clv_kernels_generate

const clv_op_def clv_op_def_ConstantOfShape = {
    GENERATE_FIELDS,
    .name = "ConstantOfShape",
    .since_opset = 9,
    .min_inputs = 1,
    .max_inputs = 1,
    .host_inputs = 1u << 0,
    .infer = infer_constant_of_shape,
    .reference = range_reference,
    .splits = constant_splits,
};

const clv_op_def clv_op_def_EyeLike = {
    GENERATE_FIELDS,
    .name = "EyeLike",
    .since_opset = 9,
    .min_inputs = 1,
    .max_inputs = 1,
    .infer = infer_eye_like,
    .reference = band_reference,
};

const clv_op_def clv_op_def_OneHot = {
    GENERATE_FIELDS,          .name = "OneHot",
    .since_opset = 9,         .min_inputs = 3,
    .max_inputs = 3,          .host_inputs = 1u << 1,
    .infer = infer_one_hot,   .reference = one_hot_reference,
    .splits = one_hot_splits,
};

const clv_op_def clv_op_def_Range = {
    GENERATE_FIELDS,      .name = "Range",
    .since_opset = 11,    .min_inputs = 3,
    .max_inputs = 3,      .host_inputs = 1u << 0 | 1u << 1 | 1u << 2,
    .infer = infer_range, .reference = range_reference,
};

const clv_op_def clv_op_def_Trilu = {
    GENERATE_FIELDS,        .name = "Trilu",
    .since_opset = 14,      .min_inputs = 1,
    .max_inputs = 2,        .host_inputs = 1u << 1,
    .infer = infer_trilu,   .reference = band_reference,
    .splits = trilu_splits,
};
