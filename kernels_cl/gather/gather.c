#include "kernels_cl/gather/gather.h"

#include "kernels_cl/gather/gather_params.h"

extern const clv_kernel_source clv_source_gather;

/* Elements an item on a CPU: some ten microseconds of copying. */
enum { CPU_CHUNK = 8192 };

static void add_row_dim(
    clv_gather_params *params, int64_t extent, int64_t row_stride, int64_t list_stride) {
    const uint32_t d = params->num_dims++;
    params->row_dims[d] = (uint32_t)extent;
    params->row_strides[d] = (uint32_t)row_stride;
    params->list_strides[d] = (uint32_t)list_stride;
}

static void add_index(clv_gather_params *params, int64_t extent, int64_t stride) {
    const uint32_t j = params->num_indices++;
    params->extents[j] = (uint32_t)extent;
    params->index_strides[j] = (uint32_t)stride;
}

static void describe_rows(const clv_call *call, clv_gather_params *params) {
    const clv_gather_op *op = call->params;
    const clv_shape *data = &call->inputs[0].shape, *indices = &call->inputs[1].shape;
    int64_t strides[CLV_MAX_RANK], list[CLV_MAX_RANK];
    clv_shape_strides(data, strides);
    clv_shape_strides(indices, list);
    if (op->kind == CLV_GATHER_ROWS) {
        params->run = (uint32_t)clv_shape_product(data, op->axis + 1, data->rank);
        add_row_dim(
            params, clv_shape_product(data, 0, op->axis),
            clv_shape_product(data, op->axis, data->rank), 0);
        add_row_dim(params, clv_shape_elements(indices), 0, 1);
        add_index(params, data->dims[op->axis], strides[op->axis]);
        return;
    }
    if (op->kind == CLV_GATHER_ELEMENTS) {
        params->run = 1;
        for (int d = 0; d < indices->rank; d++) {
            add_row_dim(params, indices->dims[d], d == op->axis ? 0 : strides[d], list[d]);
        }
        add_index(params, data->dims[op->axis], strides[op->axis]);
        return;
    }
    const int batch_dims = op->batch_dims, last = indices->rank - 1;
    const int num_indices = (int)indices->dims[last];
    params->run = (uint32_t)clv_shape_product(data, batch_dims + num_indices, data->rank);
    add_row_dim(
        params, clv_shape_product(data, 0, batch_dims),
        clv_shape_product(data, batch_dims, data->rank),
        clv_shape_product(indices, batch_dims, indices->rank));
    add_row_dim(params, clv_shape_product(indices, batch_dims, last), 0, num_indices);
    for (int j = 0; j < num_indices; j++) {
        add_index(params, data->dims[batch_dims + j], strides[batch_dims + j]);
    }
}

static clv_status *emit_gather(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    clv_gather_params params = {
        .total = (uint32_t)clv_shape_elements(&call->outputs[0].shape),
        .element_bytes = (uint32_t)clv_dtype_bytes(call->outputs[0].dtype),
        .index_bytes = (uint32_t)clv_dtype_bytes(call->inputs[1].dtype),
    };
    describe_rows(call, &params);
    uint64_t num_items;
    clv_deal(traits, params.total, CPU_CHUNK, &params.chunk, &num_items);
    const clv_launch launch = {
        .source = &clv_source_gather,
        .entry = "gather",
        .args = {{CLV_ARG_INPUT, 0}, {CLV_ARG_INPUT, 1}, {CLV_ARG_OUTPUT, 0}, {CLV_ARG_ERROR, 0}},
        .num_args = 4,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant gather_variants[] = {{
    .name = "ref",
    .summary = "rows picked by indices, checked on the device",
    .emit = emit_gather,
}};

const clv_kernel_family clv_kernels_gather = {
    .name = "gather",
    .variants = gather_variants,
    .num_variants = sizeof gather_variants / sizeof gather_variants[0],
};
