/* Softmax and LogSoftmax. https://onnx.ai/onnx/operators/onnx__Softmax.html */
#include "host/ops/floats.h"
#include "host/ops/op.h"
#include "kernels_cl/norm/norm.h"
#include <math.h>

/* Before it, all axes from `axis` (default 1) on were one. */
enum { ONE_AXIS_OPSET = 13 };

static clv_status *infer_common(clv_infer *infer, bool is_log) {
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_BIT(FLOAT32)));
    const clv_shape *shape = &infer->inputs[0].shape;
    clv_softmax_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    params->is_log = is_log;
    params->is_flat = infer->node->opset < ONE_AXIS_OPSET;
    int64_t axis;
    int place;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", params->is_flat ? 1 : -1, &axis));
    if (params->is_flat && axis == shape->rank) {
        place = shape->rank; /* rows of one element */
    } else {
        CLV_TRY(clv_infer_axis(axis, shape->rank, "axis", &place));
    }
    params->axis = place;
    clv_infer_output(infer, 0, CLV_FLOAT32, shape);
    return NULL;
}

static clv_status *softmax_infer(clv_infer *infer) {
    return infer_common(infer, false);
}

static clv_status *log_softmax_infer(clv_infer *infer) {
    return infer_common(infer, true);
}

static void softmax_row(const float *x, float *y, const clv_softmax_shape *shape, bool is_log) {
    double most = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < shape->n; i++) {
        double value = x[i * shape->inner];
        most = value > most ? value : most;
    }
    for (int64_t i = 0; i < shape->n; i++) {
        sum += exp((double)x[i * shape->inner] - most);
    }
    for (int64_t i = 0; i < shape->n; i++) {
        double value = (double)x[i * shape->inner] - most;
        y[i * shape->inner] = (float)(is_log ? value - log(sum) : exp(value) / sum);
    }
}

static clv_status *softmax_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_softmax_params *params = call->params;
    clv_softmax_shape shape;
    clv_floats x;
    clv_softmax_shape_of(call, &shape);
    CLV_TRY(clv_floats_init(&call->inputs[0], &x));
    for (int64_t i = 0; i < shape.outer * shape.inner; i++) {
        int64_t offset = i / shape.inner * shape.n * shape.inner + i % shape.inner;
        softmax_row(
            x.data + offset, (float *)outputs[0].data + offset, &shape, params->is_log != 0);
    }
    clv_floats_deinit(&x);
    return NULL;
}

static void softmax_cost(const clv_call *call, clv_cost *out_cost) {
    clv_cost_default(call, out_cost);
    out_cost->flops *= 15.0; /* an exponential is about 10 */
}

static clv_status *softmax_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    static const char *const names[] = {"batch", "heads", "rows"};
    const clv_softmax_params *params = call->params;
    const clv_shape *shape = &call->outputs[0].shape;
    for (int axis = 0; axis < shape->rank; axis++) {
        bool is_summed = params->is_flat ? axis >= params->axis : axis == params->axis;
        if (is_summed || shape->dims[axis] < 2) {
            continue;
        }
        clv_split *split = NULL;
        CLV_TRY(clv_split_add(
            out_list, arena, call, axis < 3 ? names[axis] : "columns", CLV_JOIN_PLACE, axis,
            shape->dims[axis], &split));
        split->inputs[0].need = CLV_NEED_SLICE;
        split->inputs[0].axis = axis;
    }
    return NULL;
}

static void softmax_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    clv_softmax_params *piece = params;
    (void)call;
    (void)begin;
    (void)end;
    piece->is_of_columns = piece->is_of_columns || split->axis > piece->axis;
}

const clv_op_def clv_op_def_Softmax = {
    .name = "Softmax",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = softmax_infer,
    .reference = softmax_reference,
    .cost = softmax_cost,
    .splits = softmax_splits,
    .cut = softmax_cut,
    .params_bytes = sizeof(clv_softmax_params),
    .kernels = &clv_kernels_softmax,
};

const clv_op_def clv_op_def_LogSoftmax = {
    .name = "LogSoftmax",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = log_softmax_infer,
    .reference = softmax_reference,
    .cost = softmax_cost,
    .splits = softmax_splits,
    .cut = softmax_cut,
    .params_bytes = sizeof(clv_softmax_params),
    .kernels = &clv_kernels_softmax,
};
