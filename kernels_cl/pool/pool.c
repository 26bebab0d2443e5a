/* The pooling family. pool.cl tells how. */
#include "kernels_cl/pool/pool.h"

#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/pool/pool_params.h"

extern const clv_kernel_source clv_source_pool, clv_source_pool_blocked;

enum { AXES = CLV_MAX_SPATIAL };

void clv_pool_shape_of(const clv_call *call, clv_pool_shape *out_shape) {
    const clv_pool_params *params = call->params;
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    *out_shape =
        (clv_pool_shape){.planes = in->dims[0] * in->dims[1], .in = {1, 1, 1}, .out = {1, 1, 1}};
    if (params->is_global) {
        clv_window window = {
            .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .rank = 1};
        out_shape->in[2] = window.kernel[2] = clv_shape_product(in, 2, in->rank);
        out_shape->window = window;
        return;
    }
    out_shape->window = params->window;
    for (int i = 2; i < in->rank; i++) {
        out_shape->in[AXES - params->window.rank + i - 2] = in->dims[i];
        out_shape->out[AXES - params->window.rank + i - 2] = out->dims[i];
    }
}

static void fill_params(const clv_call *call, const clv_pool_shape *shape, pool_params *p) {
    const clv_pool_params *op = call->params;
    *p = (pool_params){
        .kind = (clv_u32)op->kind,
        .count_include_pad = (clv_u32)op->count_include_pad,
        .power = (clv_u32)op->p,
        .dtype = call->inputs[0].dtype,
        .is_column_major = (clv_u32)op->is_column_major,
        .has_values = call->outputs[0].dtype != CLV_DTYPE_NONE,
        .has_index = call->num_outputs > 1 && call->outputs[1].dtype != CLV_DTYPE_NONE,
    };
    p->elements = (clv_u64)shape->planes;
    for (int a = 0; a < AXES; a++) {
        p->window[a] = shape->window.kernel[a];
        p->stride[a] = shape->window.stride[a];
        p->dilation[a] = shape->window.dilation[a];
        p->pad[a] = shape->window.pad_begin[a];
        p->padded[a] = shape->in[a] + shape->window.pad_begin[a] + shape->window.pad_end[a];
        p->in[a] = (clv_u32)shape->in[a];
        p->out[a] = (clv_u32)shape->out[a];
        p->elements *= (clv_u64)shape->out[a];
    }
}

/* Rows and chunks of an item of `pool`; returns the number of items. A piece adds up as the whole
 * does. */
static uint64_t deal_chunks(const clv_call *call, const clv_traits *traits, pool_params *p) {
    const clv_pool_params *op = call->params;
    const clv_u32 columns = op->whole_columns != 0 ? (clv_u32)op->whole_columns : p->out[2];
    p->is_wide = columns < 4 && p->dilation[2] == 1 && p->window[2] >= clv_width(traits);
    p->chunk = traits->is_cpu ? p->out[2] : p->is_wide ? 1 : clv_width(traits);
    p->chunks = (p->out[2] + p->chunk - 1) / p->chunk;
    uint64_t taps = p->out[2]; /* at most the elements of output times input */
    for (int a = 0; a < AXES; a++) {
        taps *= (uint64_t)(p->window[a] < p->in[a] ? p->window[a] : p->in[a]);
    }
    return clv_deal_rows(traits, p->elements / p->out[2], taps, &p->rows) * p->chunks;
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    clv_pool_shape shape;
    pool_params p;
    clv_pool_shape_of(call, &shape);
    fill_params(call, &shape, &p);
    if (p.elements == 0) {
        return NULL;
    }
    bool is_simple = p.dtype == CLV_FLOAT32 && !p.has_index;
    uint64_t num_items = 0;
    if (is_simple) {
        num_items = deal_chunks(call, traits, &p);
    } else {
        clv_deal(traits, p.elements, 512, &p.rows, &num_items);
    }
    clv_launch launch = {
        .source = &clv_source_pool,
        .entry = is_simple ? "pool" : "pool_any",
        .options = clv_width_options(traits),
        .args =
            {{CLV_ARG_INPUT, 0},
             {p.has_values ? CLV_ARG_OUTPUT : CLV_ARG_NONE, 0},
             {p.has_index ? CLV_ARG_OUTPUT : CLV_ARG_NONE, 1}},
        .num_args = is_simple ? 2 : 3,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

/* --- channels in blocks ---------------------------------------------------------------------- */

static bool blocked_fits(const clv_call *call, const clv_traits *traits) {
    const clv_view *in = &call->inputs[0], *out = &call->outputs[0];
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    bool has_index = call->num_outputs > 1 && call->outputs[1].dtype != CLV_DTYPE_NONE;
    return traits->is_cpu && !has_index && out->dtype != CLV_DTYPE_NONE &&
           clv_layout_fits(in->dtype, &in->shape, &layout) &&
           clv_layout_fits(out->dtype, &out->shape, &layout);
}

static bool blocked_pays(const clv_call *call, const clv_traits *traits) {
    return call->inputs[0].shape.dims[1] >= clv_width(traits) / 2;
}

static void blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    (void)call;
    inputs[0].block = outputs[0].block = (uint8_t)clv_width(traits);
}

static clv_status *emit_blocked(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_shape *in = &call->inputs[0].shape;
    clv_pool_shape shape;
    pool_blocked_params p = {.channels = (clv_u32)in->dims[1]};
    clv_pool_shape_of(call, &shape);
    if (((const clv_pool_params *)call->params)->is_global) {
        shape.window.kernel[1] = shape.in[1] = in->rank == 4 ? in->dims[2] : 1;
        shape.window.kernel[2] = shape.in[2] = in->dims[in->rank - 1];
    }
    fill_params(call, &shape, &p.window);
    clv_blocked_from_view(&call->inputs[0], &p.from);
    clv_blocked_from_view(&call->outputs[0], &p.to);
    uint64_t work = (uint64_t)p.to.row * (uint64_t)shape.window.kernel[1] *
                    (uint64_t)shape.window.kernel[2] / 4;
    const uint64_t num_items =
        clv_deal_map(traits, in->dims[0], p.to.planes, p.to.height, work, &p.deal);
    const clv_launch launch = {
        .source = &clv_source_pool_blocked,
        .entry = "pool_blocked",
        .options = clv_width_options(traits),
        .args = {{CLV_ARG_INPUT, 0}, {CLV_ARG_OUTPUT, 0}},
        .num_args = 2,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {
        .name = "ref",
        .summary =
            "any window: vectors of output positions, or along the window for global pooling",
        .work_share = 0.02f,
        .move_share = 0.2f,
        .emit = emit_ref,
    },
    {
        .name = "blocked",
        .summary = "CPUs, channels in blocks: a vector is one position of a block of channels",
        .work_share = 0.1f,
        .fits = blocked_fits,
        .pays = blocked_pays,
        .layouts = blocked_layouts,
        .emit = emit_blocked,
    },
};

const clv_kernel_family clv_kernels_pool = {
    .name = "pool", .variants = variants, .num_variants = sizeof variants / sizeof variants[0]};
