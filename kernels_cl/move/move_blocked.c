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

/* Rows, of all columns and channels of all images. */
static bool is_slice_of_rows(const clv_call *call, const clv_move_op *op) {
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    for (int i = 0; i < in->rank; i++) {
        const bool is_all = op->starts[i] == 0 && out->dims[i] == in->dims[i];
        if (i == 2 ? op->steps[i] != 1 : !is_all || (out->dims[i] > 1 && op->steps[i] != 1)) {
            return false;
        }
    }
    return in->rank == 4;
}

bool clv_move_blocked_fits(const clv_call *call, const clv_traits *traits) {
    const clv_move_op *op = call->params;
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    const bool is_concat = op->kind == CLV_MOVE_CONCAT, is_split = op->kind == CLV_MOVE_SPLIT;
    const bool is_along =
        op->kind == CLV_MOVE_SLICE
            ? is_slice_of_rows(call, op)
            : (is_concat || is_split) &&
                  (op->axis == 1 || (op->axis == 2 && call->inputs[0].shape.rank == 4));
    return traits->is_cpu && is_along &&
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

/* A part of an input that becomes a part of an output: `count` rows, or channels, from `source` on,
 * at `begin`. */
typedef struct moved {
    clv_arg from, to;
    bool is_rows;
    int64_t source, begin, count;
} moved;

static clv_status *emit_part(
    const clv_call *call, const moved *part, const clv_traits *traits, const clv_emitter *emitter) {
    const clv_view *out = &call->outputs[part->to.index];
    const int64_t block = out->layout.block, channels = out->shape.dims[1];
    const int64_t begin = part->is_rows ? 0 : part->begin;
    const int64_t end = part->is_rows ? channels : part->begin + part->count;
    move_blocked_params p = {
        .first_plane = (clv_u32)(begin / block),
        .begin = (clv_u32)begin,
        .end = (clv_u32)end,
        .shift = part->is_rows ? 0 : (clv_i32)(part->source - begin),
        .first_row = part->is_rows ? (clv_u32)part->begin : 0,
        .from_row = part->is_rows ? (clv_u32)part->source : 0,
        .keeps_blocks = part->is_rows,
    };
    clv_blocked_from_view(&call->inputs[part->from.index], &p.from);
    clv_blocked_from_view(out, &p.to);
    const uint32_t planes = (uint32_t)((end - 1) / block) - p.first_plane + 1;
    const uint32_t rows = part->is_rows ? (uint32_t)part->count : p.to.height;
    const uint64_t num_items =
        clv_deal_map(traits, out->shape.dims[0], planes, rows, p.to.row, &p.deal);
    const clv_launch launch = {
        .source = &clv_source_move_blocked,
        .entry = "move_blocked",
        .options = clv_width_options(traits),
        .args = {part->from, part->to},
        .num_args = 2,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}

static clv_status *emit_slice(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) {
    const clv_move_op *op = call->params;
    const moved rows = {
        .from = {CLV_ARG_INPUT, 0},
        .to = {CLV_ARG_OUTPUT, 0},
        .is_rows = true,
        .source = op->starts[2],
        .count = call->outputs[0].shape.dims[2],
    };
    return emit_part(call, &rows, traits, emitter);
}

clv_status *clv_move_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_move_op *op = call->params;
    const bool is_concat = op->kind == CLV_MOVE_CONCAT;
    int64_t start = 0;
    if (op->kind == CLV_MOVE_SLICE) {
        return emit_slice(call, traits, emitter);
    }
    for (uint32_t i = 0; i < (is_concat ? call->num_inputs : call->num_outputs); i++) {
        const clv_view *view = is_concat ? &call->inputs[i] : &call->outputs[i];
        if (view->dtype == CLV_DTYPE_NONE) {
            continue;
        }
        const moved one = {
            .from = {CLV_ARG_INPUT, is_concat ? i : 0},
            .to = {CLV_ARG_OUTPUT, is_concat ? 0 : i},
            .is_rows = op->axis == 2,
            .source = is_concat ? 0 : op->part_starts[i],
            .begin = is_concat ? start : 0,
            .count = view->shape.dims[op->axis],
        };
        CLV_TRY(emit_part(call, &one, traits, emitter));
        start += one.count;
    }
    return NULL;
}
