/* Epilogues of convolutions on blocked tensors: bias, sum with a map, clamp or activation. */
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/conv/conv_blocked.h"
#include <math.h>
#include <string.h>

enum { CHANNEL_AXIS = 1 };

/* Scaling comes before a channel's value here, which goes into the bias. */
static bool match(const clv_call *call, clv_store *out_store) {
    return clv_store_match(call, CHANNEL_AXIS, out_store) &&
           (out_store->channel_input < 0 || (out_store->scale == 1 && out_store->offset == 0));
}

bool clv_conv_store_fits(const clv_call *call) {
    clv_store store;
    return match(call, &store) &&
           (store.channel_input < 0 || call->inputs[store.channel_input].data != NULL);
}

void clv_conv_store_layouts(const clv_call *call, const clv_traits *traits, clv_layout *inputs) {
    clv_store store;
    if (clv_store_match(call, CHANNEL_AXIS, &store) && store.add_input >= 0) {
        inputs[store.add_input].block = (uint8_t)clv_width(traits);
    }
}

bool clv_conv_takes_epilogue(const clv_call *call, const clv_traits *traits) {
    (void)call;
    (void)traits;
    return true;
}

clv_conv_store clv_conv_store_of(const clv_call *call, const clv_blocked *out) {
    clv_store store;
    match(call, &store);
    clv_conv_store s = {
        .low = -INFINITY,
        .high = INFINITY,
        .act = store.act,
        .add = *out,
        .arg.kind = CLV_ARG_NONE};
    const int64_t rest = call->outputs[0].shape.dims[CHANNEL_AXIS] % call->outputs[0].layout.block;
    s.act.before_scale = store.scale;
    s.act.before_offset = store.offset;
    s.act.last_lanes = clv_store_keeps_zero(&store) ? 0 : (clv_u32)rest;
    const bool needs_more = store.scale != 1 || store.offset != 0 || s.act.last_lanes != 0;
    if (s.act.op == EW_FLOAT_COPY && needs_more) { /* the clamp as an operation behind the sum */
        s.act.op = EW_FLOAT_CLIP;
        s.act.a = store.low;
        s.act.b = store.high;
    }
    if (store.add_input >= 0) {
        s.arg = (clv_arg){CLV_ARG_INPUT, (uint32_t)store.add_input};
        clv_blocked_from_view(&call->inputs[store.add_input], &s.add);
    }
    if (s.act.op == EW_FLOAT_COPY) {
        s.has_add = store.add_input >= 0;
        s.low = store.low;
        s.high = store.high;
    }
    return s;
}

static bool has_bias(const clv_call *call) {
    return clv_call_has_input(call, 2) && !((const clv_conv_params *)call->params)->skip_bias;
}

/* args: channels with those that fill up the last block; the input that is added, or -1. */
static void fill_bias(const clv_call *call, const int64_t args[8], void *out_packed) {
    float *to = out_packed;
    memset(to, 0, (size_t)args[0] * sizeof *to);
    for (int64_t c = 0; c < call->outputs[0].shape.dims[CHANNEL_AXIS]; c++) {
        double value = 0;
        if (has_bias(call)) {
            value += clv_load_double(CLV_FLOAT32, call->inputs[2].data, c);
        }
        if (args[1] >= 0) {
            value += clv_load_double(CLV_FLOAT32, call->inputs[args[1]].data, c);
        }
        to[c] = (float)value;
    }
}

clv_status *clv_conv_emit_bias(
    const clv_call *call, int64_t channels, const clv_emitter *emitter, clv_arg *out_bias) {
    clv_store store;
    clv_store_match(call, CHANNEL_AXIS, &store);
    *out_bias = (clv_arg){CLV_ARG_NONE, 0};
    if (!has_bias(call) && store.channel_input < 0) {
        return NULL;
    }
    const clv_packing packing = {
        .bytes = (size_t)channels * sizeof(float),
        .args = {channels, store.channel_input},
        .fill = fill_bias};
    out_bias->kind = CLV_ARG_CONSTANT;
    return emitter->constant(emitter->context, &packing, &out_bias->index);
}
