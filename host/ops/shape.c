/* Shape and Size: what is known of a tensor without its elements. */
#include "host/ops/op.h"

typedef struct shape_params {
    int begin, end; /* the dimensions that Shape gives */
} shape_params;

/* A dimension's index of opset 15: negative ones count from the end, and both ends are clipped. */
static clv_status *get_bound(
    const clv_infer *infer, const char *name, int fallback, int *out_bound) {
    int rank = infer->inputs[0].shape.rank;
    int64_t bound;
    CLV_TRY(clv_attr_get_int(infer->node, name, fallback, &bound));
    bound = bound < 0 ? bound + rank : bound;
    *out_bound = bound < 0 ? 0 : bound > rank ? rank : (int)bound;
    return NULL;
}

static clv_status *shape_infer(clv_infer *infer) {
    shape_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("an operator");
    }
    params->begin = 0;
    params->end = infer->inputs[0].shape.rank;
    if (infer->node->opset >= 15) {
        CLV_TRY(get_bound(infer, "start", params->begin, &params->begin));
        CLV_TRY(get_bound(infer, "end", params->end, &params->end));
    }
    if (params->end < params->begin) {
        params->end = params->begin;
    }
    clv_shape shape = {.rank = 1, .dims = {params->end - params->begin}};
    clv_infer_output(infer, 0, CLV_INT64, &shape);
    return NULL;
}

static clv_status *shape_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const shape_params *params = call->params;
    for (int i = params->begin; i < params->end; i++) {
        clv_store_int64(
            CLV_INT64, outputs[0].data, i - params->begin, call->inputs[0].shape.dims[i]);
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
    .params_bytes = sizeof(shape_params),
};

static clv_status *size_infer(clv_infer *infer) {
    clv_infer_output(infer, 0, CLV_INT64, &(clv_shape){.rank = 0});
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
};
