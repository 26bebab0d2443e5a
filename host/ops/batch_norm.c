/* BatchNormalization with given statistics.
 * https://onnx.ai/onnx/operators/onnx__BatchNormalization.html */
#include "host/ops/floats.h"
#include "host/ops/op.h"
#include "kernels_cl/norm/norm.h"
#include <math.h>

static int64_t num_channels(const clv_shape *shape) {
    return shape->rank > 1 ? shape->dims[1] : 1;
}

/* Training, which opset 14 asks for by an attribute and older ones by more outputs. */
static clv_status *check_mode(const clv_infer *infer) {
    int64_t training, spatial;
    CLV_TRY(clv_attr_get_int(infer->node, "training_mode", 0, &training));
    CLV_TRY(clv_attr_get_int(infer->node, "spatial", 1, &spatial));
    if (training != 0) {
        return CLV_ERROR(
            UNSUPPORTED, "training_mode is %lld, cleave normalises by given statistics only",
            (long long)training);
    }
    if (spatial != 1) {
        return CLV_ERROR(
            UNSUPPORTED, "spatial is %lld, cleave has statistics for each channel only",
            (long long)spatial);
    }
    for (size_t i = 1; i < infer->num_outputs; i++) {
        if (infer->node->outputs[i] != CLV_NO_ID) {
            return CLV_ERROR(UNSUPPORTED, "output %zu is one of training", i);
        }
    }
    return NULL;
}

static clv_status *batch_norm_infer(clv_infer *infer) {
    static const char *const names[] = {"X", "scale", "B", "mean", "var"};
    CLV_TRY(check_mode(infer));
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_BIT(FLOAT32)));
    const clv_shape *shape = &infer->inputs[0].shape;
    if (shape->rank < 1) {
        return CLV_ERROR(MALFORMED, "X is a scalar");
    }
    for (size_t i = 1; i < 5; i++) {
        CLV_TRY(clv_infer_dtype(infer, i, CLV_BIT(FLOAT32)));
        const clv_shape *own = &infer->inputs[i].shape;
        if (own->rank != 1 || own->dims[0] != num_channels(shape)) {
            char text[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED, "%s is %s, needs [%lld]", names[i], clv_shape_format(own, text),
                (long long)num_channels(shape));
        }
    }
    clv_batch_norm_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    CLV_TRY(clv_attr_get_float(infer->node, "epsilon", 1e-5f, &params->epsilon));
    for (size_t i = 0; i < infer->num_outputs; i++) {
        clv_infer_output(infer, i, CLV_FLOAT32, i == 0 ? shape : &infer->inputs[1].shape);
    }
    return NULL;
}

static clv_status *batch_norm_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_batch_norm_params *params = call->params;
    const clv_shape *shape = &call->inputs[0].shape;
    clv_status *status = NULL;
    clv_floats x[5] = {{0}};
    for (size_t i = 0; i < 5; i++) {
        CLV_TRY_DONE(clv_floats_init(&call->inputs[i], &x[i]));
    }
    int64_t channels = num_channels(shape), elements = clv_shape_elements(shape);
    int64_t inner = shape->rank > 2 ? clv_shape_product(shape, 2, shape->rank) : 1;
    float *y = outputs[0].data;
    for (int64_t i = 0; i < elements; i++) {
        int64_t c = i / inner % channels;
        double deviation = sqrt((double)x[4].data[c] + (double)params->epsilon);
        double value = ((double)x[0].data[i] - (double)x[3].data[c]) / deviation;
        y[i] = (float)(value * (double)x[1].data[c] + (double)x[2].data[c]);
    }
done:
    for (size_t i = 0; i < 5; i++) {
        clv_floats_deinit(&x[i]);
    }
    return status;
}

static void batch_norm_cost(const clv_call *call, clv_cost *out_cost) {
    clv_cost_default(call, out_cost);
    out_cost->flops *= 3.0;
}

static clv_status *batch_norm_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    static const char *const names[] = {"batch", "channels", "rows"};
    const clv_shape *shape = &call->outputs[0].shape;
    for (int axis = 0; axis < shape->rank && axis < 3; axis++) {
        if (shape->dims[axis] < 2) {
            continue;
        }
        clv_split *split = NULL;
        CLV_TRY(clv_split_add(
            out_list, arena, call, names[axis], CLV_JOIN_PLACE, axis, shape->dims[axis], &split));
        split->grain = axis == 1 ? clv_split_channel_grain(split->extent) : 1;
        split->inputs[0].need = CLV_NEED_SLICE;
        split->inputs[0].axis = axis;
        for (size_t i = 1; i < 5 && axis == 1; i++) {
            split->inputs[i].need = CLV_NEED_SLICE;
        }
    }
    return NULL;
}

const clv_op_def clv_op_def_BatchNormalization = {
    .name = "BatchNormalization",
    .domain = "",
    .since_opset = 7,
    .min_inputs = 5,
    .max_inputs = 5,
    .min_outputs = 1,
    .max_outputs = 5,
    .infer = batch_norm_infer,
    .reference = batch_norm_reference,
    .cost = batch_norm_cost,
    .splits = batch_norm_splits,
    .kernels = &clv_kernels_batch_norm,
};
