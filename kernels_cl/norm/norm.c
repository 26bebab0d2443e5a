/* The family of normalisations of rows: layer, instance, group and root mean square. */
#include "kernels_cl/norm/norm.h"

#include "kernels_cl/kernel.h"
#include "kernels_cl/norm/norm_params.h"

extern const clv_kernel_source clv_source_norm;

/* Strides of `operand`, right-aligned, over the axes of `shape`; 0 along what is broadcast. */
static void broadcast_strides(
    const clv_shape *operand, const clv_shape *shape, int64_t out_strides[CLV_MAX_RANK]) {
    int64_t stride = 1;
    for (int axis = shape->rank - 1; axis >= 0; axis--) {
        int own = axis - shape->rank + operand->rank;
        bool is_there = own >= 0 && operand->dims[own] != 1;
        out_strides[axis] = is_there ? stride : 0;
        stride *= own >= 0 ? operand->dims[own] : 1;
    }
}

/* True where `operand` holds one element for each of a row, and the same for all rows. */
static bool is_a_row(const clv_shape *operand, const clv_shape *shape, int axis, int64_t n) {
    if (clv_shape_elements(operand) != n) {
        return false;
    }
    for (int i = axis; i < shape->rank; i++) {
        int own = i - shape->rank + operand->rank;
        if ((own >= 0 ? operand->dims[own] : 1) != shape->dims[i]) {
            return false;
        }
    }
    return true;
}

static void set_layer(const clv_call *call, const clv_norm_params *params, clv_norm_shape *shape) {
    const clv_shape *x = &call->inputs[0].shape, *scale = &call->inputs[1].shape;
    bool has_bias = clv_call_has_input(call, 2);
    shape->rows = clv_shape_product(x, 0, params->axis);
    shape->n = clv_shape_product(x, params->axis, x->rank);
    shape->row_mod = shape->run = 1;
    shape->subtracts_mean = params->kind == CLV_NORM_LAYER;
    shape->is_general = !is_a_row(scale, x, params->axis, shape->n) ||
                        (has_bias && !is_a_row(&call->inputs[2].shape, x, params->axis, shape->n));
    broadcast_strides(scale, x, shape->scale_strides);
    if (has_bias) {
        broadcast_strides(&call->inputs[2].shape, x, shape->bias_strides);
    }
}

void clv_norm_shape_of(const clv_call *call, clv_norm_shape *out_shape) {
    const clv_norm_params *params = call->params;
    const clv_shape *x = &call->inputs[0].shape;
    *out_shape = (clv_norm_shape){.input = *x, .subtracts_mean = true};
    if (params->kind == CLV_NORM_LAYER || params->kind == CLV_NORM_RMS) {
        set_layer(call, params, out_shape);
        return;
    }
    int64_t inner = clv_shape_product(x, 2, x->rank), channels = x->dims[1];
    if (params->kind == CLV_NORM_INSTANCE) {
        out_shape->rows = x->dims[0] * channels;
        out_shape->n = out_shape->run = inner;
        out_shape->row_mod = channels;
        out_shape->row_step = 1;
        return;
    }
    int64_t group = channels / params->groups;
    out_shape->rows = x->dims[0] * params->groups;
    out_shape->n = group * inner;
    out_shape->row_mod = params->groups;
    out_shape->row_step = params->scale_per_group ? 1 : group;
    out_shape->run = params->scale_per_group ? out_shape->n : inner;
}

static void fill_params(const clv_call *call, const clv_norm_shape *shape, norm_params *p) {
    const clv_norm_params *op = call->params;
    *p = (norm_params){
        .rows = (clv_u64)shape->rows,
        .n = (clv_u32)shape->n,
        .row_mod = (clv_u32)shape->row_mod,
        .row_step = (clv_u32)shape->row_step,
        .run = (clv_u32)shape->run,
        .subtracts_mean = shape->subtracts_mean,
        .has_bias = clv_call_has_input(call, 2),
        .has_y = call->outputs[0].dtype != CLV_DTYPE_NONE,
        .has_mean = call->num_outputs > 1 && call->outputs[1].dtype != CLV_DTYPE_NONE,
        .has_inverse = call->num_outputs > 2 && call->outputs[2].dtype != CLV_DTYPE_NONE,
        .is_general = shape->is_general,
        .rank = (clv_u32)shape->input.rank,
        .epsilon = op->epsilon,
    };
    for (int i = 0; i < shape->input.rank; i++) {
        p->dims[i] = (clv_u32)shape->input.dims[i];
        p->scale_strides[i] = (clv_u32)shape->scale_strides[i];
        p->bias_strides[i] = (clv_u32)shape->bias_strides[i];
    }
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    clv_norm_shape shape;
    norm_params p;
    clv_norm_shape_of(call, &shape);
    fill_params(call, &shape, &p);
    /* rows of no elements have a mean all the same: NaN, as 0 / 0 is */
    if (shape.rows == 0 || (shape.n == 0 && !p.has_mean && !p.has_inverse)) {
        return NULL;
    }
    clv_launch launch = {
        .source = &clv_source_norm,
        .entry = "norm",
        .options = clv_width_options(traits),
        .args =
            {{CLV_ARG_INPUT, 0},
             {CLV_ARG_INPUT, 1},
             {p.has_bias ? CLV_ARG_INPUT : CLV_ARG_NONE, 2},
             {p.has_y ? CLV_ARG_OUTPUT : CLV_ARG_NONE, 0},
             {p.has_mean ? CLV_ARG_OUTPUT : CLV_ARG_NONE, 1},
             {p.has_inverse ? CLV_ARG_OUTPUT : CLV_ARG_NONE, 2}},
        .num_args = 6,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = clv_deal_lane_rows(traits, p.rows, p.n, &p.rows_per_item),
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref",
     .summary = "any shape: a row at a time, mean, variance and result in three passes",
     .emit = emit_ref},
};

const clv_kernel_family clv_kernels_norm = {
    .name = "norm", .variants = variants, .num_variants = sizeof variants / sizeof variants[0]};
