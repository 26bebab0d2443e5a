#include "kernels_cl/resize/resize.h"

#include "host/base/memory.h"
#include "kernels_cl/move/move.h"
#include "kernels_cl/resize/resize_params.h"
#include <string.h>

extern const clv_kernel_source clv_source_resize;

/* Output elements an item on a CPU: some ten microseconds of work. */
enum { CPU_CHUNK = 8192 };

/* --- nearest --- */

static void fill_nearest(const clv_call *call, const int64_t args[8], void *out_packed) {
    const clv_resize_op *op = call->params;
    int32_t *table = out_packed;
    (void)args;
    for (int axis = 0; axis < op->rank; axis++) {
        const clv_resize_axis *a = &op->axes[axis];
        for (int64_t i = 0; !clv_resize_keeps(op, axis) && i < call->outputs[0].shape.dims[axis];
             i++) {
            double weight;
            const clv_resize_window window =
                clv_resize_window_at(op, axis, a->out_begin + i, &weight);
            *table++ = window.is_outside ? -1 : (int32_t)(window.first - a->in_begin);
        }
    }
}

/* Axes that stay as they are join the one before where that stays too. */
static uint32_t nearest_dims(const clv_call *call, clv_resize_nearest_params *params) {
    const clv_resize_op *op = call->params;
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    int64_t strides[CLV_MAX_RANK];
    uint32_t table_entries = 0, n = 0;
    clv_shape_strides(in, strides);
    for (int axis = 0; axis < op->rank; axis++) {
        const bool keeps = clv_resize_keeps(op, axis);
        if (n > 0 && keeps && params->tables[n - 1] == CLV_RESIZE_NO_TABLE) {
            params->out_dims[n - 1] *= (uint32_t)out->dims[axis];
            params->src_strides[n - 1] = (int32_t)strides[axis];
            continue;
        }
        params->out_dims[n] = (uint32_t)out->dims[axis];
        params->src_strides[n] = (int32_t)strides[axis];
        params->tables[n++] = keeps ? CLV_RESIZE_NO_TABLE : table_entries;
        table_entries += keeps ? 0 : (uint32_t)out->dims[axis];
    }
    params->num_dims = n;
    return table_entries;
}

static clv_status *emit_nearest(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) {
    const clv_resize_op *op = call->params;
    clv_resize_nearest_params params = {
        .total = (uint32_t)clv_shape_elements(&call->outputs[0].shape),
        .element_bytes = (uint32_t)clv_dtype_bytes(call->outputs[0].dtype),
    };
    clv_store_double(call->outputs[0].dtype, &params.fill, 0, op->extrapolation);
    const uint32_t table_entries = nearest_dims(call, &params);
    clv_arg table = {CLV_ARG_CONSTANT, 0};
    const clv_packing packing = {
        .bytes = table_entries * sizeof(int32_t),
        .fill = fill_nearest,
    };
    CLV_TRY(emitter->constant(emitter->context, &packing, &table.index));
    uint64_t num_items;
    clv_deal(traits, params.total, CPU_CHUNK, &params.chunk, &num_items);
    const clv_launch launch = {
        .source = &clv_source_resize,
        .entry = "resize_nearest",
        .args = {{CLV_ARG_INPUT, 0}, table, {CLV_ARG_OUTPUT, 0}},
        .num_args = 3,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

/* --- linear and cubic --- */

void clv_resize_fill_axis(
    const clv_call *call, int axis, int64_t num_taps, double *window_weights, void *out_table) {
    const clv_resize_op *op = call->params;
    const clv_resize_axis *a = &op->axes[axis];
    const bool keeps = clv_resize_keeps(op, axis);
    const int64_t num_out = call->outputs[0].shape.dims[axis];
    const int64_t num_in = call->inputs[0].shape.dims[axis];
    int32_t *starts = out_table;
    float *weights = (float *)out_table + num_out;
    memset(weights, 0, (size_t)(num_out * num_taps) * sizeof *weights);
    for (int64_t i = 0; i < num_out; i++) {
        clv_resize_window window = {.first = a->in_begin + i, .count = 1};
        if (!keeps) {
            window = clv_resize_window_at(op, axis, a->out_begin + i, window_weights);
        }
        if (keeps || op->mode == CLV_RESIZE_NEAREST) {
            window_weights[0] = 1;
        }
        if (window.is_outside) {
            starts[i] = -1;
            continue;
        }
        const int64_t first = window.first - a->in_begin;
        const int64_t start = first + num_taps > num_in ? num_in - num_taps : first;
        starts[i] = (int32_t)start;
        for (int64_t t = 0; t < window.count; t++) {
            weights[i * num_taps + first - start + t] = (float)window_weights[t];
        }
    }
}

/* args: axis, taps, words of the table; behind it is room for the weights of one window. */
static void fill_axis(const clv_call *call, const int64_t args[8], void *out_packed) {
    double *window_weights = (double *)((float *)out_packed + args[2]);
    clv_resize_fill_axis(call, (int)args[0], args[1], window_weights, out_packed);
}

static clv_status *emit_axis(
    const clv_call *call, int axis, const clv_shape *in, clv_arg from, clv_arg to,
    const clv_traits *traits, const clv_emitter *emitter) {
    const clv_resize_op *op = call->params;
    const int64_t num_out = call->outputs[0].shape.dims[axis];
    const int64_t max_taps = clv_resize_max_taps(op, axis);
    const int64_t num_taps = max_taps < in->dims[axis] ? max_taps : in->dims[axis];
    clv_resize_axis_params params = {
        .num_in = (uint32_t)in->dims[axis],
        .num_out = (uint32_t)num_out,
        .inner = (uint32_t)clv_shape_product(in, axis + 1, in->rank),
        .num_taps = (uint32_t)num_taps,
        .fill = (float)op->extrapolation,
    };
    params.total = (uint32_t)(clv_shape_product(in, 0, axis) * num_out) * params.inner;
    /* the table, and behind it room for the weights of one window */
    const int64_t table_floats = (num_out * (num_taps + 1) + 1) / 2 * 2;
    const clv_packing packing = {
        .bytes = (size_t)table_floats * sizeof(float) + (size_t)max_taps * sizeof(double),
        .args = {axis, num_taps, table_floats},
        .fill = fill_axis,
    };
    clv_arg table = {CLV_ARG_CONSTANT, 0};
    CLV_TRY(emitter->constant(emitter->context, &packing, &table.index));
    uint64_t num_items;
    clv_deal(traits, params.total, CPU_CHUNK, &params.chunk, &num_items);
    const clv_launch launch = {
        .source = &clv_source_resize,
        .entry = "resize_axis",
        .args = {from, table, to},
        .num_args = 3,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

/* Shrinking axes first, then growing ones: each pass then writes as little as it can. Of equals,
 * the last axis comes last where it shrinks and first where it grows, for it does not use vectors.
 */
static int order_axes(const clv_call *call, int out_axes[CLV_MAX_RANK]) {
    const clv_resize_op *op = call->params;
    int n = 0;
    for (int axis = 0; axis < op->rank; axis++) {
        if (clv_resize_keeps(op, axis)) {
            continue;
        }
        const double scale = op->axes[axis].scale;
        int at = n++;
        for (; at > 0; at--) {
            const double other = op->axes[out_axes[at - 1]].scale;
            if (other < scale || (other == scale && scale < 1)) {
                break;
            }
            out_axes[at] = out_axes[at - 1];
        }
        out_axes[at] = axis;
    }
    return n;
}

static clv_status *emit_weighted(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) {
    int axes[CLV_MAX_RANK];
    const int num_axes = order_axes(call, axes);
    clv_shape shape = call->inputs[0].shape;
    clv_arg from = {CLV_ARG_INPUT, 0};
    for (int i = 0; i < num_axes; i++) {
        const clv_shape in = shape;
        shape.dims[axes[i]] = call->outputs[0].shape.dims[axes[i]];
        clv_arg to = {CLV_ARG_OUTPUT, 0};
        if (i + 1 < num_axes) {
            to.kind = CLV_ARG_SCRATCH;
            CLV_TRY(clv_shape_check(&shape, "an intermediate result"));
            CLV_TRY(
                emitter->scratch(emitter->context, clv_view_bytes(CLV_FLOAT32, &shape), &to.index));
        }
        CLV_TRY(emit_axis(call, axes[i], &in, from, to, traits, emitter));
        from = to;
    }
    return NULL;
}

static clv_status *emit_resize(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    const clv_resize_op *op = call->params;
    (void)tunables;
    bool keeps = true;
    for (int axis = 0; axis < op->rank; axis++) {
        keeps = keeps && clv_resize_keeps(op, axis);
    }
    if (keeps) {
        const clv_move_copy copy = {
            .src = {CLV_ARG_INPUT, 0},
            .dst = {CLV_ARG_OUTPUT, 0},
            .element_bytes = clv_dtype_bytes(call->outputs[0].dtype),
            .dims = {{clv_shape_elements(&call->outputs[0].shape), 1, 1}},
            .num_dims = 1,
        };
        return clv_move_emit(&copy, traits, emitter);
    }
    if (clv_shape_elements(&call->outputs[0].shape) == 0) {
        return NULL;
    }
    return op->mode == CLV_RESIZE_NEAREST ? emit_nearest(call, traits, emitter)
                                          : emit_weighted(call, traits, emitter);
}

static const clv_variant resize_variants[] = {
    {
        .name = "ref",
        .summary = "nearest by index tables; linear and cubic one axis at a time",
        .work_share = 0.02f,
        .move_share = 0.3f,
        .emit = emit_resize,
    },
    {
        .name = "blocked",
        .summary =
            "CPUs, channels in blocks: rows and columns at once, a block of channels a vector",
        .work_share = 0.1f,
        .fits = clv_resize_blocked_fits,
        .pays = clv_resize_blocked_pays,
        .layouts = clv_resize_blocked_layouts,
        .emit = clv_resize_blocked_emit,
    },
};

const clv_kernel_family clv_kernels_resize = {
    .name = "resize",
    .variants = resize_variants,
    .num_variants = sizeof resize_variants / sizeof resize_variants[0],
};
