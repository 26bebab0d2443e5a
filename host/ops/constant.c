/* Constant: a value from an attribute. */
#include "host/ops/op.h"

#include <string.h>

/* The params are the value, a clv_view: its data lies in the model or in the graph's arena. */

static clv_status *set_list(
    clv_infer *infer, clv_dtype dtype, int rank, size_t count, const void *elements) {
    clv_view *value = clv_infer_params(infer, sizeof *value);
    if (value == NULL) {
        return CLV_NO_ARENA("a constant");
    }
    *value = (clv_view){.dtype = dtype, .shape = {.rank = rank, .dims = {(int64_t)count}}};
    value->data = clv_arena_copy(infer->arena, elements, count * clv_dtype_bytes(dtype));
    return value->data != NULL ? NULL : CLV_NO_ARENA("a constant");
}

static clv_status *set_tensor(clv_infer *infer, const clv_view *tensor) {
    clv_view *value = clv_infer_params(infer, sizeof *value);
    if (value == NULL) {
        return CLV_NO_ARENA("a constant");
    }
    *value = *tensor;
    if (value->dtype == CLV_DTYPE_NONE || value->data == NULL) {
        return CLV_ERROR(UNSUPPORTED, "attribute 'value' has no data or a type not supported");
    }
    return NULL;
}

static clv_status *set_attr(clv_infer *infer, const clv_attr *attr) {
    static const struct {
        const char *name;
        clv_attr_type type;
    } forms[] = {
        {"value", CLV_ATTR_TENSOR},        {"value_float", CLV_ATTR_FLOAT},
        {"value_floats", CLV_ATTR_FLOATS}, {"value_int", CLV_ATTR_INT},
        {"value_ints", CLV_ATTR_INTS},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(attr->name, forms[i].name) == 0 && attr->type != forms[i].type) {
            return CLV_ERROR(MALFORMED, "attribute '%s' is of the wrong type", attr->name);
        }
    }
    if (strcmp(attr->name, "value") == 0) {
        return set_tensor(infer, attr->value.tensor);
    }
    if (strcmp(attr->name, "value_float") == 0) {
        return set_list(infer, CLV_FLOAT32, 0, 1, &attr->value.f);
    }
    if (strcmp(attr->name, "value_floats") == 0) {
        return set_list(infer, CLV_FLOAT32, 1, attr->count, attr->value.floats);
    }
    if (strcmp(attr->name, "value_int") == 0) {
        return set_list(infer, CLV_INT64, 0, 1, &attr->value.i);
    }
    if (strcmp(attr->name, "value_ints") == 0) {
        return set_list(infer, CLV_INT64, 1, attr->count, attr->value.ints);
    }
    return CLV_ERROR(UNSUPPORTED, "attribute '%s' (only numbers, dense)", attr->name);
}

static clv_status *constant_infer(clv_infer *infer) {
    if (infer->node->num_attrs != 1) {
        return CLV_ERROR(
            MALFORMED, "%zu attributes, needs exactly one value", infer->node->num_attrs);
    }
    CLV_TRY(set_attr(infer, &infer->node->attrs[0]));
    const clv_view *value = infer->params;
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
    if (bytes != 0) {
        memcpy(outputs[0].data, value->data, bytes);
    }
    return NULL;
}

const clv_op_def clv_op_def_Constant = {
    .name = "Constant",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 0,
    .max_inputs = 0,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_FROM_SHAPE,
    .infer = constant_infer,
    .value = constant_value,
    .reference = constant_reference,
    .params_bytes = sizeof(clv_view),
};
