/* The family of LRN, of source norm.cl. */
#include "kernels_cl/kernel.h"
#include "kernels_cl/norm/norm.h"
#include "kernels_cl/norm/norm_params.h"

extern const clv_kernel_source clv_source_norm;

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_lrn_params *op = call->params;
    const clv_shape *shape = &call->inputs[0].shape;
    int64_t widest = shape->dims[1], before = (op->size - 1) / 2, after = op->size / 2;
    lrn_params p = {
        .elements = (clv_u64)clv_shape_elements(shape),
        .channels = (clv_u32)shape->dims[1],
        .inner = (clv_u32)clv_shape_product(shape, 2, shape->rank),
        .before = (clv_u32)(before < widest ? before : widest),
        .after = (clv_u32)(after < widest ? after : widest),
        .factor = (float)((double)op->alpha / (double)op->size),
        .beta = op->beta,
        .bias = op->bias,
    };
    uint64_t num_items;
    clv_deal(traits, p.elements, 4096, &p.chunk, &num_items);
    clv_launch launch = {
        .source = &clv_source_norm,
        .entry = "lrn",
        .options = clv_width_options(traits),
        .args = {{CLV_ARG_INPUT, 0}, {CLV_ARG_OUTPUT, 0}},
        .num_args = 2,
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

const clv_kernel_family clv_kernels_lrn = {
    .name = "lrn", .variants = variants, .num_variants = sizeof variants / sizeof variants[0]};
