#include "kernels_cl/sample/sample.h"

#include "kernels_cl/kernel.h"

extern const clv_kernel_source clv_source_sample;

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_sample *op = call->params;
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    if (clv_shape_elements(out) == 0) {
        return NULL;
    }
    const uint64_t positions = (uint64_t)clv_shape_product(out, 2, out->rank);
    const uint64_t images = (uint64_t)in->dims[0], channels = (uint64_t)in->dims[1];
    /* about 8192 elements an item on a CPU, one position elsewhere */
    uint64_t chunk = traits->is_cpu ? 8192 / channels : 1;
    const uint64_t even = images * positions / (traits->num_lanes * 4 + 1) + 1;
    chunk = chunk > even ? even : chunk < 1 ? 1 : chunk;
    chunk = chunk < positions ? chunk : positions;
    sample_params params = {
        .axes = (clv_u32)in->rank - 2,
        .channels = (clv_u32)channels,
        .positions = (clv_u32)positions,
        .chunk = (clv_u32)chunk,
        .chunks = (clv_u32)((positions + chunk - 1) / chunk),
        .mode = (clv_u32)op->mode,
        .padding = (clv_u32)op->padding,
        .align_corners = (clv_u32)op->align_corners,
    };
    for (int i = 0; i < SAMPLE_AXES; i++) {
        const int axis = in->rank - SAMPLE_AXES + i;
        params.in[i] = axis < 2 ? 1 : (clv_u32)in->dims[axis];
    }
    const clv_launch launch = {
        .source = &clv_source_sample,
        .entry = "sample",
        .args = {{CLV_ARG_INPUT, 0}, {CLV_ARG_INPUT, 1}, {CLV_ARG_OUTPUT, 0}},
        .num_args = 3,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = images * params.chunks,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref", .summary = "position after position, all channels of each", .emit = emit_ref},
};

const clv_kernel_family clv_kernels_sample = {
    .name = "sample",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0],
};
