#include "kernels_cl/order/order.h"

#include "kernels_cl/order/order_params.h"

extern const clv_kernel_source clv_source_order;

static clv_status *emit_topk(
    const clv_call *call, order_params *params, clv_launch *launch, const clv_emitter *emitter) {
    const clv_view *values = &call->outputs[0];
    bool has_indices = call->num_outputs > 1 && call->outputs[1].dtype != CLV_DTYPE_NONE;
    const clv_shape *shape =
        values->dtype != CLV_DTYPE_NONE ? &values->shape : &call->outputs[1].shape;
    clv_arg indices = {CLV_ARG_OUTPUT, 1};
    if (!has_indices) {
        indices.kind = CLV_ARG_SCRATCH;
        size_t bytes = (size_t)clv_shape_elements(shape) * sizeof(int64_t);
        CLV_TRY(emitter->scratch(emitter->context, bytes, &indices.index));
    }
    params->writes_values = values->dtype != CLV_DTYPE_NONE;
    launch->entry = "order_topk";
    launch->args[1] = (clv_arg){params->writes_values ? CLV_ARG_OUTPUT : CLV_ARG_NONE, 0};
    launch->args[2] = indices;
    launch->num_args = 3;
    return emitter->launch(emitter->context, launch);
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_order *order = call->params;
    const clv_view *x = &call->inputs[0];
    int end = order->axis + order->num_axes;
    int64_t num_axis = clv_shape_product(&x->shape, order->axis, end);
    int64_t num_inner = clv_shape_product(&x->shape, end, x->shape.rank);
    int64_t num_rows = clv_shape_product(&x->shape, 0, order->axis) * num_inner;
    if (num_rows == 0 || num_axis == 0 || (order->kind == CLV_ORDER_TOPK && order->k == 0)) {
        return NULL;
    }
    /* about 16384 elements an item on a CPU, one row elsewhere */
    uint64_t chunk = traits->is_cpu ? 16384 / (uint64_t)num_axis : 1;
    uint64_t even = (uint64_t)num_rows / (traits->num_lanes * 4 + 1) + 1;
    chunk = chunk > even ? even : chunk < 1 ? 1 : chunk;
    order_params params = {
        .num_rows = (uint32_t)num_rows,
        .num_axis = (uint32_t)num_axis,
        .num_inner = (uint32_t)num_inner,
        .chunk = (uint32_t)chunk,
        .dtype = x->dtype,
        .takes_smallest = order->takes_smallest,
        .takes_last = order->takes_last,
        .nan_first = order->kind != CLV_ORDER_TOPK,
        .is_hard = order->kind == CLV_ORDER_HARD,
        .k = (uint32_t)order->k,
    };
    clv_launch launch = {
        .source = &clv_source_order,
        .entry = "order_arg",
        .args = {{CLV_ARG_INPUT, 0}, {CLV_ARG_OUTPUT, 0}},
        .num_args = 2,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = ((uint64_t)num_rows + chunk - 1) / chunk,
        .local_size = clv_local_size(traits),
    };
    if (order->kind == CLV_ORDER_TOPK) {
        return emit_topk(call, &params, &launch, emitter);
    }
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref",
     .summary = "a scan of each row; TopK by a heap in the output",
     .emit = emit_ref},
};

const clv_kernel_family clv_kernels_order = {
    .name = "order",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0],
};
