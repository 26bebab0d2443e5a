/* The variant `blocked` of Resize: resize_blocked.cl tells how it works. */
#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/resize/resize.h"
#include "kernels_cl/resize/resize_blocked_params.h"

extern const clv_kernel_source clv_source_resize_blocked;

enum { MOST_TAPS = 16 }; /* of both axes together; else one axis after the other is better */

static int64_t taps_of(const clv_call *call, int axis) {
    const clv_resize_op *op = call->params;
    const bool is_one = op->mode == CLV_RESIZE_NEAREST || clv_resize_keeps(op, axis);
    const int64_t most = is_one ? 1 : clv_resize_max_taps(op, axis);
    const int64_t extent = call->inputs[0].shape.dims[axis];
    return most < extent ? most : extent;
}

bool clv_resize_blocked_fits(const clv_call *call, const clv_traits *traits) {
    const clv_resize_op *op = call->params;
    const clv_view *in = &call->inputs[0], *out = &call->outputs[0];
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    if (!traits->is_cpu || !clv_layout_fits(in->dtype, &in->shape, &layout) ||
        !clv_layout_fits(out->dtype, &out->shape, &layout)) {
        return false;
    }
    int64_t taps = 1;
    for (int axis = 2; axis < in->shape.rank; axis++) {
        taps *= taps_of(call, axis);
    }
    return clv_resize_keeps(op, 0) && clv_resize_keeps(op, 1) && taps <= MOST_TAPS &&
           op->coordinates != CLV_RESIZE_TF_CROP_AND_RESIZE;
}

bool clv_resize_blocked_pays(const clv_call *call, const clv_traits *traits) {
    return call->inputs[0].shape.dims[1] >= clv_width(traits) / 2;
}

void clv_resize_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    (void)call;
    inputs[0].block = outputs[0].block = (uint8_t)clv_width(traits);
}

/* args: words of both tables; behind them is room for the weights of one window. A map of rank 3
 * has one row. */
static void fill_tables(const clv_call *call, const int64_t args[8], void *out_packed) {
    const clv_shape *out = &call->outputs[0].shape;
    double *weights = (double *)((float *)out_packed + args[0]);
    int64_t columns = 2;
    if (out->rank == 4) {
        clv_resize_fill_axis(call, 2, taps_of(call, 2), weights, out_packed);
        columns = out->dims[2] * (1 + taps_of(call, 2));
    } else {
        *(int32_t *)out_packed = 0;
        ((float *)out_packed)[1] = 1;
    }
    const int last = out->rank - 1;
    clv_resize_fill_axis(call, last, taps_of(call, last), weights, (float *)out_packed + columns);
}

clv_status *clv_resize_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_resize_op *op = call->params;
    const clv_shape *out = &call->outputs[0].shape;
    const int last = out->rank - 1;
    resize_blocked_params p = {
        .taps_y = out->rank == 4 ? (clv_u32)taps_of(call, 2) : 1,
        .taps_x = (clv_u32)taps_of(call, last),
    };
    clv_blocked_from_view(&call->inputs[0], &p.from);
    clv_blocked_from_view(&call->outputs[0], &p.to);
    p.columns = p.to.height * (1 + p.taps_y);
    const int64_t words = ((int64_t)p.columns + (int64_t)p.to.width * (1 + p.taps_x) + 1) / 2 * 2;
    int64_t most = 1;
    for (int axis = 2; axis <= last; axis++) {
        const int64_t taps = clv_resize_max_taps(op, axis);
        most = taps > most ? taps : most;
    }
    const clv_packing packing = {
        .bytes = (size_t)words * sizeof(float) + (size_t)most * sizeof(double),
        .args = {words},
        .fill = fill_tables};
    clv_arg table = {CLV_ARG_CONSTANT, 0};
    CLV_TRY(emitter->constant(emitter->context, &packing, &table.index));
    const uint64_t num_items = clv_deal_map(
        traits, out->dims[0], p.to.planes, p.to.height, (uint64_t)p.to.row * p.taps_y * p.taps_x,
        &p.deal);
    const clv_launch launch = {
        .source = &clv_source_resize_blocked,
        .entry = "resize_blocked",
        .options = clv_width_options(traits),
        .args = {{CLV_ARG_INPUT, 0}, table, {CLV_ARG_OUTPUT, 0}},
        .num_args = 3,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}
