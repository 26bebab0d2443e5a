#include "kernels_cl/conv/conv_blocked_plan.h"

#include "kernels_cl/conv/conv.h"

static int64_t largest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* One group alone is run as the groups of the whole are: sums are in that order. */
static bool has_groups(const clv_conv_params *op) {
    return op->groups > 1 || op->is_of_groups;
}

bool clv_conv_groups_share_blocks(const clv_call *call, int64_t block) {
    const clv_conv_params *op = call->params;
    int64_t in = call->inputs[0].shape.dims[1] / op->groups;
    int64_t out = call->outputs[0].shape.dims[1] / op->groups;
    return has_groups(op) && op->shuffle <= 1 && in == out && in > 1 && block % in == 0;
}

bool clv_conv_groups_are_mixed(const clv_call *call, int64_t block) {
    const clv_conv_params *op = call->params;
    const int64_t in = call->inputs[0].shape.dims[1] / op->groups;
    const int64_t out = call->outputs[0].shape.dims[1] / op->groups;
    return op->shuffle > 1 || (has_groups(op) && (in % block != 0 || out % block != 0) &&
                               !clv_conv_groups_share_blocks(call, block));
}

void clv_conv_mixed_inputs(
    const clv_call *call, int64_t begin, int64_t end, int64_t *out_begin, int64_t *out_end) {
    const int64_t groups = ((const clv_conv_params *)call->params)->groups;
    const int64_t channels = call->outputs[0].shape.dims[1], out = channels / groups;
    const int64_t in = call->inputs[0].shape.dims[1] / groups;
    const int64_t last = (end < channels ? end : channels) - 1;
    *out_begin = begin / out * in;
    *out_end = (last / out + 1) * in;
}

static bool is_transposed(const clv_call *call) {
    return ((const clv_conv_params *)call->params)->is_transposed != 0;
}

/* Extent of the shape along an axis of the window. */
static int64_t extent_of(const clv_shape *shape, int axis) {
    int32_t at = shape->rank - CONV_AXES + axis;
    return at < 2 ? 1 : shape->dims[at];
}

static int64_t phases_of(const clv_call *call, int axis) {
    int64_t stride = clv_conv_window(call)->stride[axis];
    int64_t extent = extent_of(&call->outputs[0].shape, axis);
    return !is_transposed(call) ? 1 : stride < extent ? stride : extent;
}

int64_t clv_conv_num_phases(const clv_call *call) {
    return phases_of(call, CONV_Y) * phases_of(call, CONV_X);
}

/* The first tap that reaches outputs of a phase. */
static int64_t first_tap(const clv_window *w, int axis, int64_t phase) {
    return (phase + w->pad_begin[axis]) % w->stride[axis];
}

static void plan_axis(const clv_call *call, int axis, int64_t phase, clv_conv_blocked_plan *plan) {
    const clv_window *w = clv_conv_window(call);
    plan->first[axis] = 0;
    plan->step[axis] = 1;
    if (!is_transposed(call)) {
        plan->kernel[axis] = w->kernel[axis];
        plan->dilation[axis] = w->dilation[axis];
        plan->stride[axis] = w->stride[axis];
        plan->pad[axis] = w->pad_begin[axis];
        return;
    }
    const int64_t stride = w->stride[axis], tap = first_tap(w, axis, phase);
    plan->kernel[axis] = (w->kernel[axis] - tap + stride - 1) / stride;
    plan->dilation[axis] = plan->stride[axis] = 1;
    const int64_t last = tap + (plan->kernel[axis] - 1) * stride;
    plan->pad[axis] = (last - w->pad_begin[axis] - phase) / stride;
    plan->first[axis] = phase;
    plan->step[axis] = stride;
}

static int64_t positions_of(const clv_call *call, int axis, int64_t phase, int64_t step) {
    return (extent_of(&call->outputs[0].shape, axis) - phase + step - 1) / step;
}

static void flatten(clv_layout_extents *e) {
    e->width *= e->height;
    e->height = 1;
    e->row = e->plane;
}

void clv_conv_blocked_plan_of(const clv_call *call, int64_t phase, clv_conv_blocked_plan *plan) {
    const clv_view *in = &call->inputs[0], *out = &call->outputs[0];
    const int64_t across = phases_of(call, CONV_X);
    *plan = (clv_conv_blocked_plan){
        .block = in->layout.block, .groups = ((const clv_conv_params *)call->params)->groups};
    clv_layout_extents_of(&in->shape, &in->layout, &plan->in);
    clv_layout_extents_of(&out->shape, &out->layout, &plan->out);
    if (clv_conv_groups_share_blocks(call, plan->block)) {
        plan->groups = plan->in.planes;
    }
    plan->is_mixed = clv_conv_groups_are_mixed(call, plan->block);
    if (plan->is_mixed) {
        plan->groups = 1;
    }
    plan->group_in = plan->in.planes / plan->groups;
    plan->group_out = plan->out.planes / plan->groups;
    plan_axis(call, CONV_Y, phase / across, plan);
    plan_axis(call, CONV_X, phase % across, plan);
    plan->is_flat = plan->in.height == plan->out.height && plan->in.width == plan->out.width;
    for (int a = CONV_Y; a <= CONV_X; a++) {
        plan->is_flat =
            plan->is_flat && plan->kernel[a] == 1 && plan->stride[a] == 1 && plan->step[a] == 1;
    }
    for (size_t i = 0; i < call->num_inputs; i++) { /* the map that is added as well */
        const clv_layout *layout = &call->inputs[i].layout;
        plan->is_flat = plan->is_flat && layout->gap_y == 0 && layout->gap_x == 0;
    }
    plan->is_flat = plan->is_flat && out->layout.gap_y == 0 && out->layout.gap_x == 0;
    if (plan->is_flat) {
        flatten(&plan->in);
        flatten(&plan->out);
        plan->rows = 1;
        plan->columns = plan->out.width;
    } else {
        plan->rows = positions_of(call, CONV_Y, plan->first[CONV_Y], plan->step[CONV_Y]);
        plan->columns = positions_of(call, CONV_X, plan->first[CONV_X], plan->step[CONV_X]);
    }
    plan->pitch = plan->in.row / plan->block;
    plan->is_linear =
        plan->stride[CONV_Y] == 1 && plan->stride[CONV_X] == 1 && plan->columns <= plan->pitch;
    plan->lines = plan->is_linear ? 1 : plan->rows;
    plan->line = plan->is_linear ? (plan->rows - 1) * plan->pitch + plan->columns : plan->columns;
}

int64_t clv_conv_phase_tap(
    const clv_call *call, const clv_conv_blocked_plan *plan, int axis, int64_t k) {
    if (!is_transposed(call)) {
        return k;
    }
    const clv_window *w = clv_conv_window(call);
    return first_tap(w, axis, plan->first[axis]) + (plan->kernel[axis] - 1 - k) * w->stride[axis];
}

void clv_conv_blocked_pads(const clv_call *call, int axis, int64_t *out_begin, int64_t *out_end) {
    const clv_window *w = clv_conv_window(call);
    *out_begin = w->pad_begin[axis];
    *out_end = w->pad_end[axis];
    if (!is_transposed(call)) {
        return;
    }
    *out_begin = *out_end = 0;
    for (int64_t phase = 0; phase < phases_of(call, axis); phase++) {
        clv_conv_blocked_plan plan;
        plan_axis(call, axis, phase, &plan);
        const int64_t positions = positions_of(call, axis, phase, plan.step[axis]);
        const int64_t end = positions - 1 - plan.pad[axis] + plan.kernel[axis] - 1;
        *out_begin = largest(*out_begin, plan.pad[axis]);
        *out_end = largest(*out_end, end - (extent_of(&call->inputs[0].shape, axis) - 1));
    }
}
