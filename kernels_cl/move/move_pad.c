#include "kernels_cl/move/move.h"

extern const clv_kernel_source clv_source_move;

typedef struct pad_axis {
    int64_t out, in; /* in: what is left of the input */
    int64_t before;  /* >= 0 */
    int64_t src_stride;
} pad_axis;

/* An axis that is left as it is joins the one before it where that is left alone too; with a
 * constant border, any axis may be in front of it: the border is so many whole rows. */
static int join_axes(pad_axis *axes, int num_axes, uint32_t mode) {
    int kept = 0;
    for (int i = 0; i < num_axes; i++) {
        const pad_axis *axis = &axes[i];
        pad_axis *last = kept > 0 ? &axes[kept - 1] : NULL;
        const bool plain = axis->out == axis->in;
        const bool joins = last != NULL && plain &&
                           last->src_stride == axis->src_stride * axis->in &&
                           (mode == CLV_PAD_CONSTANT || last->out == last->in);
        if (joins) {
            *last = (pad_axis){
                last->out * axis->out, last->in * axis->in, last->before * axis->in,
                axis->src_stride};
        } else {
            axes[kept++] = *axis;
        }
    }
    return kept;
}

static void fill_value(const clv_call *call, const int64_t args[8], void *out_packed) {
    const clv_move_op *op = call->params;
    (void)args;
    clv_store_double(call->outputs[0].dtype, out_packed, 0, op->value);
}

clv_status *clv_move_emit_pad(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) {
    const clv_move_op *op = call->params;
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    clv_arg value = {CLV_ARG_NONE, 0};
    if (op->has_value) {
        value = (clv_arg){CLV_ARG_INPUT, 2};
    } else if (op->value != 0) {
        const clv_packing packing = {
            .bytes = clv_dtype_bytes(call->outputs[0].dtype), .fill = fill_value};
        value.kind = CLV_ARG_CONSTANT;
        CLV_TRY(emitter->constant(emitter->context, &packing, &value.index));
    }
    clv_move_pad_params params = {
        .total = (uint32_t)clv_shape_elements(out),
        .element_bytes = (uint32_t)clv_dtype_bytes(call->outputs[0].dtype),
        .mode = op->mode,
        .has_value = value.kind != CLV_ARG_NONE,
    };
    int64_t strides[CLV_MAX_RANK];
    clv_shape_strides(in, strides);
    pad_axis axes[CLV_MAX_RANK + 1] = {{1, 1, 0, 1}}; /* a scalar has one row of one element */
    for (int i = 0; i < in->rank; i++) {
        const int64_t before = op->before[i], after = op->after[i];
        axes[i] = (pad_axis){
            .out = out->dims[i],
            .in = in->dims[i] + (before < 0 ? before : 0) + (after < 0 ? after : 0),
            .before = before < 0 ? 0 : before,
            .src_stride = strides[i],
        };
        axes[i].in = axes[i].in < 0 ? 0 : axes[i].in; /* all of it is cut off, and border too */
        params.src_start += before < 0 ? -before * strides[i] : 0;
    }
    params.num_dims = (uint32_t)join_axes(axes, in->rank > 0 ? in->rank : 1, op->mode);
    for (uint32_t i = 0; i < params.num_dims; i++) {
        params.out_dims[i] = (uint32_t)axes[i].out;
        params.in_dims[i] = (uint32_t)axes[i].in;
        params.before[i] = (int32_t)axes[i].before;
        params.src_strides[i] = (int32_t)axes[i].src_stride;
    }
    uint64_t num_items;
    clv_deal(traits, params.total, CLV_MOVE_CPU_CHUNK, &params.chunk, &num_items);
    const clv_launch launch = {
        .source = &clv_source_move,
        .entry = "move_pad",
        .options = "-DCLV_ONLY=3",
        .args = {{CLV_ARG_INPUT, 0}, value, {CLV_ARG_OUTPUT, 0}},
        .num_args = 3,
        .params = &params,
        .params_bytes = sizeof params,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}
