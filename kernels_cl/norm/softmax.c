/* The family of Softmax and LogSoftmax, of source norm.cl. */
#include "kernels_cl/kernel.h"
#include "kernels_cl/norm/norm.h"
#include "kernels_cl/norm/norm_params.h"

extern const clv_kernel_source clv_source_norm;

void clv_softmax_shape_of(const clv_call *call, clv_softmax_shape *out_shape) {
    const clv_softmax_params *params = call->params;
    const clv_shape *shape = &call->inputs[0].shape;
    int end = params->is_flat ? shape->rank : params->axis + 1;
    *out_shape = (clv_softmax_shape){
        .outer = clv_shape_product(shape, 0, params->axis),
        .n = clv_shape_product(shape, params->axis, end),
        .inner = clv_shape_product(shape, end, shape->rank),
    };
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_softmax_params *op = call->params;
    clv_softmax_shape shape;
    clv_softmax_shape_of(call, &shape);
    if (shape.outer * shape.n * shape.inner == 0) {
        return NULL;
    }
    int64_t width = clv_width(traits);
    softmax_params p = {
        .n = (clv_u32)shape.n,
        .inner = (clv_u32)shape.inner,
        .chunks = (clv_u32)((shape.inner + width - 1) / width),
        .is_log = (clv_u32)op->is_log,
        .by_columns = shape.inner != 1 || op->is_of_columns, /* a piece adds up as the whole does */
    };
    p.rows = (clv_u64)shape.outer * p.chunks;
    uint64_t row = (uint64_t)shape.n * (p.by_columns ? (uint64_t)width : 1);
    clv_launch launch = {
        .source = &clv_source_norm,
        .entry = "softmax",
        .options = clv_width_options(traits),
        .args = {{CLV_ARG_INPUT, 0}, {CLV_ARG_OUTPUT, 0}},
        .num_args = 2,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = clv_deal_lane_rows(traits, p.rows, row, &p.rows_per_item),
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref",
     .summary = "any shape: a row at a time, or a vector of columns; maximum, sum and result in "
                "three passes",
     .emit = emit_ref},
};

const clv_kernel_family clv_kernels_softmax = {
    .name = "softmax", .variants = variants, .num_variants = sizeof variants / sizeof variants[0]};
