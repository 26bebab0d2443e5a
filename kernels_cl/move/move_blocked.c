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
    uint32_t input;
    int64_t source, begin, count;
} moved;

/* One launch: parts of one output side by side, rows (one part) or channels. */
static clv_status *emit_parts(
    const clv_call *call, const moved *parts, size_t num_parts, uint32_t output, bool is_rows,
    const clv_traits *traits, const clv_emitter *emitter) {
    const clv_view *out = &call->outputs[output];
    const int64_t block = out->layout.block, channels = out->shape.dims[1];
    const moved *last = &parts[num_parts - 1];
    const int64_t begin = is_rows ? 0 : parts[0].begin;
    const int64_t end = is_rows ? channels : last->begin + last->count;
    move_blocked_params p = {
        .num_parts = (clv_u32)num_parts,
        .first_plane = (clv_u32)(begin / block),
        .first_row = is_rows ? (clv_u32)parts[0].begin : 0,
        .keeps_blocks = is_rows,
    };
    clv_launch launch = {
        .source = &clv_source_move_blocked,
        .entry = "move_blocked",
        .options = clv_width_options(traits),
        .num_args = MOVE_BLOCKED_PARTS + 1,
        .params = &p,
        .params_bytes = sizeof p,
        .local_size = 1,
    };
    for (size_t i = 0; i < MOVE_BLOCKED_PARTS; i++) {
        launch.args[i] = (clv_arg){i < num_parts ? CLV_ARG_INPUT : CLV_ARG_NONE, 0};
        if (i < num_parts) {
            launch.args[i].index = parts[i].input;
            p.parts[i].begin = is_rows ? 0 : (clv_u32)parts[i].begin;
            p.parts[i].end =
                is_rows ? (clv_u32)channels : (clv_u32)(parts[i].begin + parts[i].count);
            p.parts[i].shift = is_rows ? 0 : (clv_i32)(parts[i].source - parts[i].begin);
            p.parts[i].from_row = is_rows ? (clv_u32)parts[i].source : 0;
            clv_blocked_from_view(&call->inputs[parts[i].input], &p.parts[i].from);
        }
    }
    launch.args[MOVE_BLOCKED_PARTS] = (clv_arg){CLV_ARG_OUTPUT, output};
    clv_blocked_from_view(out, &p.to);
    const uint32_t planes = (uint32_t)((end - 1) / block) - p.first_plane + 1;
    const uint32_t rows = is_rows ? (uint32_t)parts[0].count : p.to.height;
    launch.num_items = clv_deal_map(traits, out->shape.dims[0], planes, rows, p.to.row, &p.deal);
    return emitter->launch(emitter->context, &launch);
}

/* Parts along channels share launches, so that a block that several of them lie in is written once;
 * each part of the rows has one. */
static clv_status *emit_concat(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) {
    const clv_move_op *op = call->params;
    const bool is_rows = op->axis == 2;
    moved parts[MOVE_BLOCKED_PARTS];
    size_t num_parts = 0;
    int64_t begin = 0;
    for (uint32_t i = 0; i < call->num_inputs; i++) {
        const int64_t count = call->inputs[i].shape.dims[op->axis];
        parts[num_parts++] = (moved){.input = i, .begin = begin, .count = count};
        begin += count;
        if (is_rows || num_parts == MOVE_BLOCKED_PARTS || i + 1 == call->num_inputs) {
            CLV_TRY(emit_parts(call, parts, num_parts, 0, is_rows, traits, emitter));
            num_parts = 0;
        }
    }
    return NULL;
}

clv_status *clv_move_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_move_op *op = call->params;
    if (op->kind == CLV_MOVE_CONCAT) {
        return emit_concat(call, traits, emitter);
    }
    const bool is_rows = op->kind == CLV_MOVE_SLICE || op->axis == 2;
    for (uint32_t i = 0; i < call->num_outputs; i++) {
        const clv_view *out = &call->outputs[i];
        const moved part = {
            .source = op->kind == CLV_MOVE_SLICE ? op->starts[2] : op->part_starts[i],
            .count = out->shape.dims[is_rows ? 2 : op->axis],
        };
        if (out->dtype != CLV_DTYPE_NONE) {
            CLV_TRY(emit_parts(call, &part, 1, i, is_rows, traits, emitter));
        }
    }
    return NULL;
}
