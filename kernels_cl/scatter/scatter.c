#include "kernels_cl/scatter/scatter.h"

#include "kernels_cl/move/move.h"

extern const clv_kernel_source clv_source_scatter;

/* Updated elements an item on a CPU: below that, sharing the work costs more than it gains. */
enum { CPU_CHUNK = 4096 };
/* Each owner of keys looks at all indices of its fibre. */
enum { GPU_MAX_OWNERS = 1024 };

static uint32_t type_of(clv_dtype dtype, uint32_t reduction) {
    if (reduction != CLV_SCATTER_NONE) {
        switch (dtype) {
        case CLV_FLOAT32:
            return CLV_SCATTER_F32;
        case CLV_INT32:
            return CLV_SCATTER_I32;
        case CLV_INT64:
            return CLV_SCATTER_I64;
        case CLV_INT8:
            return CLV_SCATTER_I8;
        default:
            return CLV_SCATTER_U8;
        }
    }
    switch (clv_dtype_bytes(dtype)) {
    case 1:
        return CLV_SCATTER_1;
    case 2:
        return CLV_SCATTER_2;
    case 4:
        return CLV_SCATTER_4;
    default:
        return CLV_SCATTER_8;
    }
}

static void add_index(clv_scatter_params *params, int64_t extent, int64_t stride) {
    const uint32_t j = params->num_indices++;
    params->extents[j] = (uint32_t)extent;
    params->index_strides[j] = (uint32_t)stride;
}

/* Fibres run along the axis; there is one for every place of the other axes. */
static void describe_elements(const clv_call *call, clv_scatter_params *params) {
    const clv_scatter_op *op = call->params;
    const clv_shape *data = &call->inputs[0].shape, *indices = &call->inputs[1].shape;
    int64_t strides[CLV_MAX_RANK], list[CLV_MAX_RANK];
    clv_shape_strides(data, strides);
    clv_shape_strides(indices, list);
    params->run = params->num_fibres = 1;
    params->num_steps = (uint32_t)indices->dims[op->axis];
    params->list_step = params->update_step = (uint32_t)list[op->axis];
    add_index(params, data->dims[op->axis], strides[op->axis]);
    for (int i = 0; i < indices->rank; i++) {
        if (i != op->axis) {
            const uint32_t d = params->num_dims++;
            params->dims[d] = (uint32_t)indices->dims[i];
            params->data_strides[d] = (uint32_t)strides[i];
            params->list_strides[d] = params->update_strides[d] = (uint32_t)list[i];
            params->num_fibres *= params->dims[d];
        }
    }
}

/* One fibre: rows of the updates in their order. */
static void describe_nd(const clv_call *call, clv_scatter_params *params) {
    const clv_shape *data = &call->inputs[0].shape, *indices = &call->inputs[1].shape;
    const int last = indices->rank - 1;
    const int num_indices = (int)indices->dims[last];
    int64_t strides[CLV_MAX_RANK];
    clv_shape_strides(data, strides);
    params->num_fibres = 1;
    params->run = (uint32_t)clv_shape_product(data, num_indices, data->rank);
    params->num_steps = (uint32_t)clv_shape_product(indices, 0, last);
    params->list_step = (uint32_t)num_indices;
    params->update_step = params->run;
    for (int j = 0; j < num_indices; j++) {
        add_index(params, data->dims[j], strides[j]);
    }
}

/* Fibres first, then parts of runs, then ranges of keys, until there is work for every lane. */
static uint64_t deal(const clv_call *call, const clv_traits *traits, clv_scatter_params *params) {
    const clv_scatter_op *op = call->params;
    const uint64_t updates = (uint64_t)params->num_fibres * params->num_steps * params->run;
    const uint64_t wanted =
        traits->is_cpu ? 1 + updates / CPU_CHUNK : 512 * ((uint64_t)traits->num_lanes + 1);
    const uint64_t lanes = traits->is_cpu ? traits->num_lanes : GPU_MAX_OWNERS;
    const uint64_t fibre_items = params->num_fibres < wanted ? params->num_fibres : wanted;
    params->fibre_chunk = (uint32_t)((params->num_fibres + fibre_items - 1) / fibre_items);
    const uint64_t fibre_ranges =
        (params->num_fibres + params->fibre_chunk - 1) / params->fibre_chunk;
    const uint64_t min_run = traits->is_cpu ? 64 : 1;
    uint64_t run_items = wanted / fibre_ranges;
    const uint64_t max_run_items = params->run / min_run;
    run_items = run_items < max_run_items ? run_items : max_run_items;
    run_items = run_items == 0 ? 1 : run_items;
    params->run_chunk = (uint32_t)((params->run + run_items - 1) / run_items);
    const uint64_t parts = (params->run + params->run_chunk - 1) / params->run_chunk;
    /* keys are multiples of `unit` below `unit * num_keys` */
    const clv_shape *data = &call->inputs[0].shape;
    const uint64_t unit = op->is_nd ? params->run : params->index_strides[0];
    const uint64_t num_keys = op->is_nd ? (uint64_t)clv_shape_elements(data) / params->run
                                        : (uint64_t)data->dims[op->axis];
    uint64_t owners = wanted / (fibre_ranges * parts);
    owners = owners < lanes ? owners : lanes;
    owners = owners < num_keys ? owners : num_keys;
    owners = owners == 0 ? 1 : owners;
    const uint64_t keys_each = num_keys == 0 ? 1 : (num_keys + owners - 1) / owners;
    params->num_owners = (uint32_t)owners;
    params->owner_span = (uint32_t)(keys_each * unit);
    return owners * parts * fibre_ranges;
}

static clv_status *emit_copy(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) {
    const clv_move_copy copy = {
        .src = {CLV_ARG_INPUT, 0},
        .dst = {CLV_ARG_OUTPUT, 0},
        .element_bytes = clv_dtype_bytes(call->outputs[0].dtype),
        .dims = {{clv_shape_elements(&call->outputs[0].shape), 1, 1}},
        .num_dims = 1,
    };
    return clv_move_emit(&copy, traits, emitter);
}

static clv_status *emit_scatter(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    const clv_scatter_op *op = call->params;
    (void)tunables;
    CLV_TRY(emit_copy(call, traits, emitter));
    if (clv_shape_elements(&call->inputs[2].shape) == 0) {
        return NULL;
    }
    clv_scatter_params params = {
        .type = type_of(call->outputs[0].dtype, op->reduction),
        .reduction = op->reduction,
        .index_bytes = (uint32_t)clv_dtype_bytes(call->inputs[1].dtype),
    };
    if (op->is_nd) {
        describe_nd(call, &params);
    } else {
        describe_elements(call, &params);
    }
    const clv_launch launch = {
        .source = &clv_source_scatter,
        .entry = "scatter",
        .args = {{CLV_ARG_INPUT, 1}, {CLV_ARG_INPUT, 2}, {CLV_ARG_OUTPUT, 0}, {CLV_ARG_ERROR, 0}},
        .num_args = 4,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = deal(call, traits, &params),
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant scatter_variants[] = {{
    .name = "ref",
    .summary = "a copy, then updates in their order by items that own their places",
    .emit = emit_scatter,
}};

const clv_kernel_family clv_kernels_scatter = {
    .name = "scatter",
    .variants = scatter_variants,
    .num_variants = sizeof scatter_variants / sizeof scatter_variants[0],
};
