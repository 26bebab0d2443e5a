/* The family of BatchNormalization, of source norm.cl. */
#include "kernels_cl/kernel.h"
#include "kernels_cl/norm/norm.h"
#include "kernels_cl/norm/norm_params.h"

extern const clv_kernel_source clv_source_norm;

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_batch_norm_params *op = call->params;
    const clv_shape *shape = &call->inputs[0].shape;
    batch_norm_params p = {
        .elements = (clv_u64)clv_shape_elements(shape),
        .channels = shape->rank > 1 ? (clv_u32)shape->dims[1] : 1,
        .inner = shape->rank > 2 ? (clv_u32)clv_shape_product(shape, 2, shape->rank) : 1,
        .epsilon = op->epsilon,
    };
    uint64_t num_items;
    clv_deal(traits, p.elements, 16384, &p.chunk, &num_items);
    clv_launch launch = {
        .source = &clv_source_norm,
        .entry = "batch_norm",
        .options = clv_width_options(traits),
        .args =
            {{CLV_ARG_INPUT, 0},
             {CLV_ARG_INPUT, 1},
             {CLV_ARG_INPUT, 2},
             {CLV_ARG_INPUT, 3},
             {CLV_ARG_INPUT, 4},
             {CLV_ARG_OUTPUT, 0}},
        .num_args = 6,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref", .summary = "any shape: vectors along each channel", .emit = emit_ref},
};

const clv_kernel_family clv_kernels_batch_norm = {
    .name = "batch_norm",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0]};
