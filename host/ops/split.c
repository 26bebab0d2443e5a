#include "host/ops/op.h"

#include <string.h>

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

void clv_split_slice(
    const clv_split_input *need, int64_t begin, int64_t end, int64_t extent, int64_t *out_begin,
    int64_t *out_end) {
    if (need->need == CLV_NEED_WHOLE) {
        *out_begin = 0;
        *out_end = extent;
        return;
    }
    *out_begin = clamp(begin * need->num / need->den - need->before, 0, extent);
    *out_end = clamp(end * need->num / need->den + need->after, *out_begin, extent);
}

clv_status *clv_call_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, clv_arena *arena,
    clv_call *out_piece) {
    clv_view *inputs = clv_arena_copy(arena, call->inputs, call->num_inputs * sizeof *inputs);
    clv_view *outputs = clv_arena_copy(arena, call->outputs, call->num_outputs * sizeof *outputs);
    if (inputs == NULL || outputs == NULL) {
        return CLV_NO_ARENA("a piece of an operator");
    }
    for (size_t i = 0; i < call->num_inputs; i++) {
        const clv_split_input *need = &split->inputs[i];
        if (inputs[i].dtype != CLV_DTYPE_NONE && need->need == CLV_NEED_SLICE) {
            int64_t *extent = &inputs[i].shape.dims[need->axis];
            int64_t from, to;
            clv_split_slice(need, begin, end, *extent, &from, &to);
            *extent = to - from;
            inputs[i].data = NULL;
        }
    }
    for (size_t i = 0; i < call->num_outputs; i++) {
        outputs[i].data = NULL;
        if (outputs[i].dtype != CLV_DTYPE_NONE && split->join == CLV_JOIN_PLACE) {
            outputs[i].shape.dims[split->axis] = end - begin;
        }
    }
    *out_piece = *call;
    out_piece->inputs = inputs;
    out_piece->outputs = outputs;
    if (call->op->cut != NULL) {
        void *params = clv_arena_copy(arena, call->params, call->op->params_bytes);
        if (params == NULL) {
            return CLV_NO_ARENA("a piece of an operator");
        }
        call->op->cut(call, split, begin, end, params);
        out_piece->params = params;
    }
    return NULL;
}
