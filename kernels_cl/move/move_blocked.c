/* The variant `blocked` of the moves: move_blocked.cl tells how it works. */
#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/move/move.h"
#include "kernels_cl/move/move_blocked_params.h"

extern const clv_kernel_source clv_source_move_blocked;

static bool all_fit(const clv_view *views, size_t count, const clv_layout *layout) {
    for (size_t i = 0; i < count; i++) {
        if (views[i].dtype != CLV_DTYPE_NONE &&
            !clv_layout_fits(views[i].dtype, &views[i].shape, layout)) {
            return false;
        }
    }
    return true;
}

bool clv_move_blocked_fits(const clv_call *call, const clv_traits *traits) {
    const clv_move_op *op = call->params;
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    const bool is_concat = op->kind == CLV_MOVE_CONCAT, is_split = op->kind == CLV_MOVE_SPLIT;
    return traits->is_cpu && op->axis == 1 && (is_concat || is_split) &&
           all_fit(call->inputs, is_concat ? call->num_inputs : 1, &layout) &&
           all_fit(call->outputs, call->num_outputs, &layout);
}

void clv_move_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    const clv_move_op *op = call->params;
    const uint8_t block = (uint8_t)clv_width(traits);
    const size_t num_inputs = op->kind == CLV_MOVE_CONCAT ? call->num_inputs : 1;
    for (size_t i = 0; i < num_inputs; i++) {
        inputs[i].block = block;
    }
    for (size_t i = 0; i < call->num_outputs; i++) {
        outputs[i].block = block;
    }
}

/* Channels from `source` of an input to `begin` .. `begin + count` of an output. */
static clv_status *emit_part(
    const clv_call *call, clv_arg from, clv_arg to, const int64_t channels[3],
    const clv_traits *traits, const clv_emitter *emitter) {
    const int64_t source = channels[0], begin = channels[1], count = channels[2];
    const clv_view *out = &call->outputs[to.index];
    const int64_t block = out->layout.block;
    move_blocked_params p = {
        .first_plane = (clv_u32)(begin / block),
        .begin = (clv_u32)begin,
        .end = (clv_u32)(begin + count),
        .shift = (clv_i32)(source - begin),
    };
    clv_blocked_from_view(&call->inputs[from.index], &p.from);
    clv_blocked_from_view(out, &p.to);
    const uint32_t planes = (uint32_t)((begin + count - 1) / block) - p.first_plane + 1;
    const uint64_t num_items =
        clv_deal_map(traits, out->shape.dims[0], planes, p.to.height, p.to.row, &p.deal);
    const clv_launch launch = {
        .source = &clv_source_move_blocked,
        .entry = "move_blocked",
        .options = clv_width_options(traits),
        .args = {from, to},
        .num_args = 2,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}

clv_status *clv_move_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_move_op *op = call->params;
    const bool is_concat = op->kind == CLV_MOVE_CONCAT;
    int64_t start = 0;
    for (uint32_t i = 0; i < (is_concat ? call->num_inputs : call->num_outputs); i++) {
        const clv_view *part = is_concat ? &call->inputs[i] : &call->outputs[i];
        if (part->dtype == CLV_DTYPE_NONE) {
            continue;
        }
        const int64_t count = part->shape.dims[1];
        const int64_t in_concat[3] = {0, start, count};
        const int64_t in_split[3] = {is_concat ? 0 : op->part_starts[i], 0, count};
        const clv_arg from = {CLV_ARG_INPUT, is_concat ? i : 0};
        const clv_arg to = {CLV_ARG_OUTPUT, is_concat ? 0 : i};
        CLV_TRY(emit_part(call, from, to, is_concat ? in_concat : in_split, traits, emitter));
        start += count;
    }
    return NULL;
}
