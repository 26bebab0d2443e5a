/* What an epilogue adds to a call's reference and splits. */
#include "host/ops/pointwise.h"

/* The epilogue as a call of its own: result, then its operands. */
static clv_status *epilogue_call(
    const clv_call *call, const void *result, clv_arena *arena, clv_call *out_call) {
    size_t first = call->epilogue->first_input, count = call->num_inputs - first;
    clv_view *inputs = clv_arena_alloc(arena, count + 1, sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("an epilogue");
    }
    inputs[0] = call->outputs[0];
    inputs[0].data = result;
    for (size_t i = 0; i < count; i++) {
        inputs[i + 1] = call->inputs[first + i];
    }
    *out_call = (clv_call){
        .op = call->op,
        .name = call->name,
        .params = call->epilogue->expr,
        .inputs = inputs,
        .num_inputs = count + 1,
        .outputs = call->outputs,
        .num_outputs = 1,
    };
    return NULL;
}

clv_status *clv_call_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_call bare = clv_call_bare(call);
    CLV_TRY(call->op->reference(&bare, outputs));
    if (call->epilogue == NULL || outputs[0].data == NULL) {
        return NULL;
    }
    clv_arena arena;
    clv_call after;
    clv_arena_init(&arena, 0);
    /* in place: an element is read before it is written, and by nothing else */
    clv_status *status = epilogue_call(call, outputs[0].data, &arena, &after);
    if (status == NULL) {
        status = clv_pointwise_reference(&after, outputs);
    }
    clv_arena_deinit(&arena);
    return status;
}

clv_status *clv_call_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_call bare = clv_call_bare(call);
    clv_split_list list = {0};
    *out_list = list;
    if (call->op->splits == NULL) {
        return NULL;
    }
    CLV_TRY(call->op->splits(&bare, arena, &list));
    if (call->epilogue == NULL) {
        *out_list = list;
        return NULL;
    }
    size_t kept = 0;
    for (size_t s = 0; s < list.num_splits; s++) {
        clv_split split = list.splits[s];
        if (split.join != CLV_JOIN_PLACE) {
            continue; /* f of a sum is not the sum of f */
        }
        clv_split_input *inputs = clv_arena_alloc(arena, call->num_inputs, sizeof *inputs);
        if (inputs == NULL) {
            return CLV_NO_ARENA("ways to cut an operator");
        }
        for (size_t i = 0; i < call->num_inputs; i++) {
            if (i < bare.num_inputs) {
                inputs[i] = split.inputs[i];
            } else {
                clv_pointwise_need(call, i, split.axis, &inputs[i]);
            }
        }
        split.inputs = inputs;
        list.splits[kept++] = split;
    }
    list.num_splits = kept;
    *out_list = list;
    return NULL;
}
