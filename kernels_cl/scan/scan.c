#include "kernels_cl/scan/scan.h"

#include "kernels_cl/scan/scan_params.h"

extern const clv_kernel_source clv_source_scan;

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_scan *scan = call->params;
    const clv_view *x = &call->inputs[0];
    int64_t num_axis = x->shape.dims[scan->axis];
    int64_t num_inner = clv_shape_product(&x->shape, scan->axis + 1, x->shape.rank);
    int64_t num_rows = clv_shape_product(&x->shape, 0, scan->axis) * num_inner;
    if (num_rows == 0 || num_axis == 0) {
        return NULL;
    }
    /* about 4096 elements an item on a CPU (each waits for the one before), one row elsewhere */
    uint64_t chunk = traits->is_cpu ? 4096 / (uint64_t)num_axis : 1;
    uint64_t even = (uint64_t)num_rows / (traits->num_lanes * 4 + 1) + 1;
    chunk = chunk > even ? even : chunk < 1 ? 1 : chunk;
    scan_params params = {
        .num_rows = (uint32_t)num_rows,
        .num_axis = (uint32_t)num_axis,
        .num_inner = (uint32_t)num_inner,
        .chunk = (uint32_t)chunk,
        .dtype = x->dtype,
        .is_product = scan->is_product,
        .is_exclusive = scan->is_exclusive,
        .is_reverse = scan->is_reverse,
    };
    clv_launch launch = {
        .source = &clv_source_scan,
        .entry = "scan",
        .args = {{CLV_ARG_INPUT, 0}, {CLV_ARG_OUTPUT, 0}},
        .num_args = 2,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = ((uint64_t)num_rows + chunk - 1) / chunk,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref", .summary = "row after row", .emit = emit_ref},
};

const clv_kernel_family clv_kernels_scan = {
    .name = "scan",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0],
};
