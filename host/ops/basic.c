/* Operators that compute nothing: Constant, Identity, Dropout (as in inference), Shape and Size. */
#include "host/ops/moves.h"

#include <string.h>

enum {
    MASK_ANY_FLOAT = CLV_BIT(FLOAT32) | CLV_BIT(FLOAT64) | CLV_BIT(FLOAT16) | CLV_BIT(BFLOAT16)
};

/* --- Constant --- */

static const clv_shape scalar = {.rank = 0};

static clv_status *set_value(
    clv_view *value, clv_dtype dtype, const void *data, size_t count, bool is_list) {
    *value = (clv_view){.dtype = dtype, .shape = scalar, .data = data};
    if (is_list) {
        value->shape.rank = 1;
        value->shape.dims[0] = (int64_t)count;
    }
    return NULL;
}

static clv_status *read_constant(const clv_attr *attr, clv_view *value) {
    switch (attr->type) {
    case CLV_ATTR_TENSOR:
        *value = *attr->value.tensor;
        return NULL;
    case CLV_ATTR_FLOAT:
        return set_value(value, CLV_FLOAT32, &attr->value.f, 1, false);
    case CLV_ATTR_INT:
        return set_value(value, CLV_INT64, &attr->value.i, 1, false);
    case CLV_ATTR_FLOATS:
        return set_value(value, CLV_FLOAT32, attr->value.floats, attr->count, true);
    case CLV_ATTR_INTS:
        return set_value(value, CLV_INT64, attr->value.ints, attr->count, true);
    default:
        return CLV_ERROR(
            UNSUPPORTED, "attribute '%s': strings and sparse tensors are not supported",
            attr->name);
    }
}

static clv_status *constant_infer(clv_infer *infer) {
    static const char *const names[] = {"value",         "value_float", "value_floats",
                                        "value_int",     "value_ints",  "value_string",
                                        "value_strings", "sparse_value"};
    const clv_attr *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const clv_attr *attr = clv_attr_find(infer->node, names[i]);
        if (attr != NULL && found != NULL) {
            return CLV_ERROR(MALFORMED, "both '%s' and '%s' are given", found->name, attr->name);
        }
        found = attr != NULL ? attr : found;
    }
    if (found == NULL) {
        return CLV_ERROR(MALFORMED, "no value is given");
    }
    clv_view *value = clv_infer_params(infer, sizeof *value);
    if (value == NULL) {
        return CLV_NO_ARENA("a constant");
    }
    CLV_TRY(read_constant(found, value));
    clv_infer_output(infer, 0, value->dtype, &value->shape);
    return NULL;
}

static const void *constant_value(const clv_call *call) {
    const clv_view *value = call->params;
    return value->data;
}

static clv_status *constant_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_view *value = call->params;
    size_t bytes = clv_view_bytes(value->dtype, &value->shape);
    if (bytes > 0) {
        memcpy(outputs[0].data, value->data, bytes);
    }
    return NULL;
}

const clv_op_def clv_op_def_Constant = {
    .name = "Constant",
    .domain = "",
    .since_opset = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_FROM_SHAPE,
    .infer = constant_infer,
    .value = constant_value,
    .reference = constant_reference,
    .params_bytes = sizeof(clv_view),
};

/* --- Identity --- */

static clv_status *identity_infer(clv_infer *infer) {
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &infer->inputs[0].shape);
    return NULL;
}

static clv_status *identity_reference(const clv_call *call, const clv_mutable_view *outputs) {
    size_t bytes = clv_view_bytes(outputs[0].dtype, &outputs[0].shape);
    if (bytes > 0) {
        memcpy(outputs[0].data, call->inputs[0].data, bytes);
    }
    return NULL;
}

static bool is_alone(const clv_call *call) {
    return call->num_outputs < 2 || call->outputs[1].dtype == CLV_DTYPE_NONE;
}

static void no_cost(const clv_call *call, clv_cost *out_cost) {
    (void)call;
    *out_cost = (clv_cost){0};
}

static clv_status *identity_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    for (int i = 0; i < call->outputs[0].shape.rank; i++) {
        clv_split *split = NULL;
        if (call->outputs[0].shape.dims[i] > 1) {
            CLV_TRY(clv_split_add_slice(out_list, arena, call, i, i, &split));
        }
    }
    return NULL;
}

const clv_op_def clv_op_def_Identity = {
    .name = "Identity",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_VIEW,
    .infer = identity_infer,
    .is_identity = is_alone,
    .reference = identity_reference,
    .cost = no_cost,
    .splits = identity_splits,
};

/* --- Dropout --- */

/* The one element of an optional input; `fallback` where it is left out. */
static clv_status *get_scalar(
    const clv_infer *infer, size_t index, double fallback, double *out_value) {
    *out_value = fallback;
    if (!clv_infer_has(infer, index)) {
        return NULL;
    }
    clv_view value;
    CLV_TRY(clv_infer_value(infer, index, &value));
    if (clv_shape_elements(&value.shape) != 1) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "input %zu has the shape %s, must be a scalar", index,
            clv_shape_format(&value.shape, text));
    }
    *out_value = clv_load_double(value.dtype, value.data, 0);
    return NULL;
}

/* Inputs: data, ratio, training_mode. Without training all is kept; with it, and a ratio of 0, too.
 */
static clv_status *dropout_infer(clv_infer *infer) {
    double ratio, training;
    CLV_TRY(clv_infer_dtype(infer, 0, MASK_ANY_FLOAT));
    if (clv_infer_has(infer, 2) && infer->inputs[2].dtype != CLV_BOOL) {
        return CLV_ERROR(MALFORMED, "training_mode must be one bool");
    }
    CLV_TRY(get_scalar(infer, 1, 0.5, &ratio));
    CLV_TRY(get_scalar(infer, 2, 0, &training));
    if (!(ratio >= 0 && ratio < 1)) {
        return CLV_ERROR(MALFORMED, "the ratio is %g, must be at least 0 and below 1", ratio);
    }
    if (training != 0 && ratio != 0) {
        return CLV_ERROR(UNSUPPORTED, "training_mode is true: cleave runs inference");
    }
    clv_dtype mask = infer->node->opset < 10 ? infer->inputs[0].dtype : CLV_BOOL;
    clv_infer_output(infer, 1, mask, &infer->inputs[0].shape);
    return identity_infer(infer);
}

/* The mask tells what is kept: everything. */
static clv_status *dropout_reference(const clv_call *call, const clv_mutable_view *outputs) {
    if (outputs[0].dtype != CLV_DTYPE_NONE) {
        CLV_TRY(identity_reference(call, outputs));
    }
    if (call->num_outputs > 1 && outputs[1].dtype != CLV_DTYPE_NONE) {
        int64_t elements = clv_shape_elements(&outputs[1].shape);
        for (int64_t i = 0; i < elements; i++) {
            clv_store_int64(outputs[1].dtype, outputs[1].data, i, 1);
        }
    }
    return NULL;
}

const clv_op_def clv_op_def_Dropout = {
    .name = "Dropout",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 2,
    .host_inputs = 1u << 1 | 1u << 2,
    .flags = CLV_OP_VIEW,
    .shape_outputs = 1u << 1,
    .infer = dropout_infer,
    .is_identity = is_alone,
    .reference = dropout_reference,
    .cost = no_cost,
    .splits = identity_splits,
};

/* --- Shape, Size --- */

static int64_t clamp_axis(int64_t axis, int rank) {
    axis = axis < 0 ? axis + rank : axis;
    return axis < 0 ? 0 : axis > rank ? rank : axis;
}

typedef struct shape_params {
    int64_t start, end;
} shape_params;

static clv_status *shape_infer(clv_infer *infer) {
    int rank = infer->inputs[0].shape.rank;
    shape_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("the params of a Shape");
    }
    CLV_TRY(clv_attr_get_int(infer->node, "start", 0, &params->start));
    CLV_TRY(clv_attr_get_int(infer->node, "end", rank, &params->end));
    params->start = clamp_axis(params->start, rank);
    params->end = clamp_axis(params->end, rank);
    int64_t count = params->end > params->start ? params->end - params->start : 0;
    clv_infer_output(infer, 0, CLV_INT64, &(clv_shape){.rank = 1, .dims = {count}});
    return NULL;
}

static clv_status *shape_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const shape_params *params = call->params;
    for (int64_t i = params->start; i < params->end; i++) {
        clv_store_int64(
            CLV_INT64, outputs[0].data, i - params->start, call->inputs[0].shape.dims[i]);
    }
    return NULL;
}

const clv_op_def clv_op_def_Shape = {
    .name = "Shape",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_FROM_SHAPE,
    .infer = shape_infer,
    .reference = shape_reference,
    .cost = no_cost,
    .params_bytes = sizeof(shape_params),
};

static clv_status *size_infer(clv_infer *infer) {
    clv_infer_output(infer, 0, CLV_INT64, &scalar);
    return NULL;
}

static clv_status *size_reference(const clv_call *call, const clv_mutable_view *outputs) {
    clv_store_int64(CLV_INT64, outputs[0].data, 0, clv_shape_elements(&call->inputs[0].shape));
    return NULL;
}

const clv_op_def clv_op_def_Size = {
    .name = "Size",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_FROM_SHAPE,
    .infer = size_infer,
    .reference = size_reference,
    .cost = no_cost,
};
