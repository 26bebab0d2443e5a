#include "kernels_cl/generate/generate.h"

#include "kernels_cl/generate/generate_params.h"

extern const clv_kernel_source clv_source_generate;

/* Elements are moved by their bits. */
static uint32_t bits_dtype(clv_dtype dtype) {
    switch (clv_dtype_bytes(dtype)) {
    case 1:
        return CLV_UINT8;
    case 2:
        return CLV_UINT16;
    case 4:
        return CLV_UINT32;
    default:
        return CLV_UINT64;
    }
}

static clv_status *emit_range(
    const clv_call *call, clv_launch *launch, uint32_t chunk, const clv_emitter *emitter) {
    const clv_generate *rule = call->params;
    const clv_view *out = &call->outputs[0];
    generate_range_params params = {
        .start = rule->start,
        .step = rule->step,
        .num_elements = (uint32_t)clv_shape_elements(&out->shape),
        .chunk = chunk,
        .float_start = rule->float_start,
        .float_step = rule->float_step,
        .dtype = rule->is_float_range ? (uint32_t)CLV_FLOAT32 : bits_dtype(out->dtype),
    };
    launch->entry = "generate_range";
    launch->args[0] = (clv_arg){CLV_ARG_OUTPUT, 0};
    launch->num_args = 1;
    launch->params = &params;
    launch->params_bytes = sizeof params;
    return emitter->launch(emitter->context, launch);
}

static clv_status *emit_band(
    const clv_call *call, clv_launch *launch, uint32_t chunk, const clv_emitter *emitter) {
    const clv_generate *rule = call->params;
    const clv_view *out = &call->outputs[0];
    bool has_input = rule->kind == CLV_GENERATE_BAND;
    generate_band_params params = {
        .low = rule->low,
        .high = rule->high,
        .bits = rule->start,
        .num_elements = (uint32_t)clv_shape_elements(&out->shape),
        .chunk = chunk,
        .num_rows = (uint32_t)out->shape.dims[out->shape.rank - 2],
        .num_columns = (uint32_t)out->shape.dims[out->shape.rank - 1],
        .dtype = bits_dtype(out->dtype),
        .has_input = has_input,
    };
    launch->entry = "generate_band";
    launch->args[0] = (clv_arg){has_input ? CLV_ARG_INPUT : CLV_ARG_NONE, 0};
    launch->args[1] = (clv_arg){CLV_ARG_OUTPUT, 0};
    launch->num_args = 2;
    launch->params = &params;
    launch->params_bytes = sizeof params;
    return emitter->launch(emitter->context, launch);
}

static clv_status *emit_one_hot(
    const clv_call *call, clv_launch *launch, uint32_t chunk, const clv_emitter *emitter) {
    const clv_generate *rule = call->params;
    const clv_view *out = &call->outputs[0];
    generate_one_hot_params params = {
        .num_elements = (uint32_t)clv_shape_elements(&out->shape),
        .chunk = chunk,
        .depth = (uint32_t)out->shape.dims[rule->axis],
        .num_inner = (uint32_t)clv_shape_product(&out->shape, rule->axis + 1, out->shape.rank),
        .index_dtype = call->inputs[0].dtype,
        .dtype = bits_dtype(out->dtype),
    };
    launch->entry = "generate_one_hot";
    launch->args[0] = (clv_arg){CLV_ARG_INPUT, 0};
    launch->args[1] = (clv_arg){CLV_ARG_INPUT, 2};
    launch->args[2] = (clv_arg){CLV_ARG_OUTPUT, 0};
    launch->num_args = 3;
    launch->params = &params;
    launch->params_bytes = sizeof params;
    return emitter->launch(emitter->context, launch);
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_generate *rule = call->params;
    uint64_t elements = (uint64_t)clv_shape_elements(&call->outputs[0].shape);
    if (elements == 0) {
        return NULL;
    }
    clv_launch launch = {
        .source = &clv_source_generate,
        .local_size = clv_local_size(traits),
    };
    uint32_t chunk = 0;
    clv_deal(traits, elements, 8192, &chunk, &launch.num_items);
    switch (rule->kind) {
    case CLV_GENERATE_RANGE:
        return emit_range(call, &launch, chunk, emitter);
    case CLV_GENERATE_ONE_HOT:
        return emit_one_hot(call, &launch, chunk, emitter);
    default:
        return emit_band(call, &launch, chunk, emitter);
    }
}

static const clv_variant variants[] = {
    {.name = "ref", .summary = "a rule for each element", .emit = emit_ref},
};

const clv_kernel_family clv_kernels_generate = {
    .name = "generate",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0],
};
