/* MaxPool, AveragePool, LpPool and their global kin.
 * https://onnx.ai/onnx/operators/onnx__MaxPool.html and so on. */
#include "kernels_cl/pool/pool.h"
#include "host/ops/pool_reference.h"
#include "host/ops/window.h"

static clv_status *infer_window(clv_infer *infer, clv_pool_params *params, clv_dtype dtype) {
    clv_auto_pad auto_pad;
    int64_t ceil_mode;
    CLV_TRY(clv_window_read(infer, NULL, &params->window, &auto_pad));
    CLV_TRY(clv_attr_get_int(infer->node, "ceil_mode", 0, &ceil_mode));
    clv_shape shape = infer->inputs[0].shape;
    CLV_TRY(clv_window_slide(
        &params->window, auto_pad, ceil_mode != 0, &infer->inputs[0].shape, &shape));
    clv_infer_output(infer, 0, dtype, &shape);
    clv_infer_output(infer, 1, CLV_INT64, &shape);
    return NULL;
}

static clv_status *infer_global(clv_infer *infer, clv_pool_params *params) {
    clv_shape shape = infer->inputs[0].shape;
    if (shape.rank < 3) {
        return CLV_ERROR(
            MALFORMED, "the input has rank %d, needs batch, channels and spatial axes", shape.rank);
    }
    params->is_global = 1;
    for (int i = 2; i < shape.rank; i++) {
        shape.dims[i] = 1;
    }
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    return NULL;
}

static clv_status *make_params(
    clv_infer *infer, clv_pool_kind kind, uint32_t types, clv_pool_params **out_params) {
    CLV_TRY(clv_infer_dtype(infer, 0, types));
    clv_pool_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    params->kind = kind;
    *out_params = params;
    return NULL;
}

static clv_status *read_power(const clv_infer *infer, clv_pool_params *params) {
    int64_t power;
    CLV_TRY(clv_attr_get_int(infer->node, "p", 2, &power));
    if (power < 1 || power > 1000) {
        return CLV_ERROR(MALFORMED, "p is %lld, must be 1 to 1000", (long long)power);
    }
    params->p = (int32_t)power;
    return NULL;
}

static clv_status *max_pool_infer(clv_infer *infer) {
    clv_pool_params *params = NULL;
    uint32_t types = CLV_BIT(FLOAT32) | CLV_BIT(INT8) | CLV_BIT(UINT8);
    CLV_TRY(make_params(infer, CLV_POOL_MAX, types, &params));
    int64_t order;
    CLV_TRY(clv_attr_get_int(infer->node, "storage_order", 0, &order));
    if (order != 0 && order != 1) {
        return CLV_ERROR(MALFORMED, "storage_order is %lld, must be 0 or 1", (long long)order);
    }
    params->is_column_major = (int32_t)order;
    return infer_window(infer, params, infer->inputs[0].dtype);
}

static clv_status *average_pool_infer(clv_infer *infer) {
    clv_pool_params *params = NULL;
    int64_t include;
    CLV_TRY(make_params(infer, CLV_POOL_AVERAGE, CLV_BIT(FLOAT32), &params));
    CLV_TRY(clv_attr_get_int(infer->node, "count_include_pad", 0, &include));
    params->count_include_pad = include != 0;
    return infer_window(infer, params, CLV_FLOAT32);
}

static clv_status *lp_pool_infer(clv_infer *infer) {
    clv_pool_params *params = NULL;
    CLV_TRY(make_params(infer, CLV_POOL_LP, CLV_BIT(FLOAT32), &params));
    CLV_TRY(read_power(infer, params));
    return infer_window(infer, params, CLV_FLOAT32);
}

static clv_status *global_max_infer(clv_infer *infer) {
    clv_pool_params *params = NULL;
    CLV_TRY(make_params(infer, CLV_POOL_MAX, CLV_BIT(FLOAT32), &params));
    return infer_global(infer, params);
}

static clv_status *global_average_infer(clv_infer *infer) {
    clv_pool_params *params = NULL;
    CLV_TRY(make_params(infer, CLV_POOL_AVERAGE, CLV_BIT(FLOAT32), &params));
    return infer_global(infer, params);
}

static clv_status *global_lp_infer(clv_infer *infer) {
    clv_pool_params *params = NULL;
    CLV_TRY(make_params(infer, CLV_POOL_LP, CLV_BIT(FLOAT32), &params));
    CLV_TRY(read_power(infer, params));
    return infer_global(infer, params);
}

static void pool_cost(const clv_call *call, clv_cost *out_cost) {
    clv_pool_shape shape;
    clv_cost_default(call, out_cost);
    clv_pool_shape_of(call, &shape);
    out_cost->flops = (double)shape.planes;
    for (int a = 0; a < CLV_MAX_SPATIAL; a++) {
        out_cost->flops *= (double)shape.out[a] * (double)shape.window.kernel[a];
    }
}

static clv_status *add_split(
    const clv_call *call, clv_arena *arena, clv_split_list *list, const char *name, int axis) {
    const clv_pool_params *params = call->params;
    int64_t extent = call->outputs[0].shape.dims[axis];
    if (extent < 2) {
        return NULL;
    }
    clv_split *split = NULL;
    CLV_TRY(clv_split_add(list, arena, call, name, CLV_JOIN_PLACE, axis, extent, &split));
    if (axis < 2) {
        split->inputs[0].need = CLV_NEED_SLICE;
        split->inputs[0].axis = axis;
        split->grain = axis == 1 ? clv_split_channel_grain(extent) : 1;
    } else {
        clv_window_need(&params->window, axis, &split->inputs[0]);
    }
    return NULL;
}

static clv_status *pool_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_pool_params *params = call->params;
    if (call->num_outputs > 1 && call->outputs[1].dtype != CLV_DTYPE_NONE) {
        return NULL; /* Indices count elements of the whole input */
    }
    CLV_TRY(add_split(call, arena, out_list, "batch", 0));
    CLV_TRY(add_split(call, arena, out_list, "channels", 1));
    const int axis = clv_window_outer_axis(&call->outputs[0].shape);
    return params->is_global
               ? NULL
               : add_split(call, arena, out_list, axis == 2 ? "rows" : "columns", axis);
}

static void pool_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    clv_pool_params *piece = params;
    const clv_shape *in = &call->inputs[0].shape;
    if (split->axis == in->rank - 1) {
        piece->whole_columns = (int32_t)split->extent;
    }
    if (split->axis >= 2) {
        clv_window_cut(&piece->window, split->axis, in->dims[split->axis], begin, end);
    }
}

#define POOL(op_name, outputs, infer_function)   \
    const clv_op_def clv_op_def_##op_name = {    \
        .name = #op_name,                        \
        .domain = "",                            \
        .since_opset = 1,                        \
        .min_inputs = 1,                         \
        .max_inputs = 1,                         \
        .min_outputs = 1,                        \
        .max_outputs = outputs,                  \
        .infer = infer_function,                 \
        .reference = clv_pool_reference,         \
        .cost = pool_cost,                       \
        .splits = pool_splits,                   \
        .cut = pool_cut,                         \
        .params_bytes = sizeof(clv_pool_params), \
        .kernels = &clv_kernels_pool,            \
    }

POOL(MaxPool, 2, max_pool_infer);
POOL(AveragePool, 1, average_pool_infer);
POOL(LpPool, 1, lp_pool_infer);
POOL(GlobalMaxPool, 1, global_max_infer);
POOL(GlobalAveragePool, 1, global_average_infer);
POOL(GlobalLpPool, 1, global_lp_infer);
