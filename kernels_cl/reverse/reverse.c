#include "kernels_cl/reverse/reverse.h"

#include "kernels_cl/reverse/reverse_params.h"

extern const clv_kernel_source clv_source_reverse;

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_reverse *op = call->params;
    const clv_view *x = &call->inputs[0];
    if (clv_shape_elements(&x->shape) == 0) {
        return NULL;
    }
    reverse_params params = {
        .rows = (clv_u32)(x->shape.dims[0] * x->shape.dims[1]),
        .second = (clv_u32)x->shape.dims[1],
        .steps = (clv_u32)x->shape.dims[op->time_axis],
        .time_axis = (clv_u32)op->time_axis,
        .inner = (clv_u32)clv_shape_product(&x->shape, 2, x->shape.rank),
        .word_bytes = (clv_u32)clv_dtype_bytes(x->dtype),
    };
    const uint64_t num_items =
        clv_deal_rows(traits, params.rows, params.inner, &params.rows_per_item);
    const clv_launch launch = {
        .source = &clv_source_reverse,
        .entry = "reverse",
        .args = {{CLV_ARG_INPUT, 0}, {CLV_ARG_INPUT, 1}, {CLV_ARG_OUTPUT, 0}, {CLV_ARG_ERROR, 0}},
        .num_args = 4,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref", .summary = "step after step", .emit = emit_ref},
};

const clv_kernel_family clv_kernels_reverse = {
    .name = "reverse",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0],
};
