/* LRN: normalisation over neighbouring channels. https://onnx.ai/onnx/operators/onnx__LRN.html */
#include "host/ops/floats.h"
#include "host/ops/op.h"
#include "kernels_cl/norm/norm.h"
#include <math.h>

static clv_status *lrn_infer(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_BIT(FLOAT32)));
    const clv_shape *shape = &infer->inputs[0].shape;
    if (shape->rank < 2) {
        return CLV_ERROR(MALFORMED, "the input has rank %d, needs batch and channels", shape->rank);
    }
    clv_lrn_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    CLV_TRY(clv_attr_get_float(infer->node, "alpha", 1e-4f, &params->alpha));
    CLV_TRY(clv_attr_get_float(infer->node, "beta", 0.75f, &params->beta));
    CLV_TRY(clv_attr_get_float(infer->node, "bias", 1.0f, &params->bias));
    CLV_TRY(clv_attr_get_int(infer->node, "size", 0, &params->size));
    if (params->size < 1) {
        return CLV_ERROR(
            MALFORMED, "size is %lld, must be given and at least 1", (long long)params->size);
    }
    clv_infer_output(infer, 0, CLV_FLOAT32, shape);
    return NULL;
}

static clv_status *lrn_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_lrn_params *params = call->params;
    const clv_shape *shape = &call->inputs[0].shape;
    clv_floats x;
    CLV_TRY(clv_floats_init(&call->inputs[0], &x));
    int64_t channels = shape->dims[1], inner = clv_shape_product(shape, 2, shape->rank);
    int64_t before = (params->size - 1) / 2, after = params->size / 2;
    float *y = outputs[0].data;
    for (int64_t i = 0; i < clv_shape_elements(shape); i++) {
        int64_t c = i / inner % channels;
        int64_t low = c < before ? 0 : c - before;
        int64_t high = after > channels - 1 - c ? channels - 1 : c + after;
        double sum = 0.0;
        for (int64_t k = low; k <= high; k++) {
            double value = x.data[i + (k - c) * inner];
            sum += value * value;
        }
        double base = params->bias + (double)params->alpha / (double)params->size * sum;
        y[i] = (float)((double)x.data[i] / pow(base, params->beta));
    }
    clv_floats_deinit(&x);
    return NULL;
}

static void lrn_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_lrn_params *params = call->params;
    clv_cost_default(call, out_cost);
    out_cost->flops *= 2.0 * (double)params->size + 20.0; /* a power is about 20 */
}

/* All axes but the channels. */
static clv_status *lrn_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *shape = &call->outputs[0].shape;
    for (int axis = 0; axis < shape->rank && axis < 3; axis++) {
        if (axis == 1 || shape->dims[axis] < 2) {
            continue;
        }
        clv_split *split = NULL;
        CLV_TRY(clv_split_add(
            out_list, arena, call, axis == 0 ? "batch" : "rows", CLV_JOIN_PLACE, axis,
            shape->dims[axis], &split));
        split->inputs[0].need = CLV_NEED_SLICE;
        split->inputs[0].axis = axis;
    }
    return NULL;
}

const clv_op_def clv_op_def_LRN = {
    .name = "LRN",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = lrn_infer,
    .reference = lrn_reference,
    .cost = lrn_cost,
    .splits = lrn_splits,
    .kernels = &clv_kernels_lrn,
};
