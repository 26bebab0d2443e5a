/* Activations behind a store: a row of vectors that was just stored goes through one operation. One
 * copy of this a kernel, outside its unrolled tiles. */
#ifndef CLV_KERNELS_ACTIVATION_H
#define CLV_KERNELS_ACTIVATION_H

#include "kernels_cl/elementwise/elementwise_math.h"
#include "kernels_cl/store/store_params.h"

/* ACT(operation, what it makes of x with the constants a and b) */
#define CLV_ACTIVATIONS(ACT)                    \
    ACT(RELU, x < ZERO ? ZERO : x)              \
    ACT(CLIP, ew_clamp(x, a, b))                \
    ACT(LEAKY_RELU, x < ZERO ? x * a : x)       \
    ACT(SIGMOID, ew_sigmoid(x))                 \
    ACT(TANH, ew_tanh(x))                       \
    ACT(SWISH, ew_swish(x, a))                  \
    ACT(HARD_SWISH, ew_hard_swish(x))           \
    ACT(HARD_SIGMOID, ew_hard_sigmoid(x, a, b)) \
    ACT(GELU, ew_gelu(x))                       \
    ACT(GELU_TANH, ew_gelu_tanh(x))             \
    ACT(ELU, ew_elu(x, a))                      \
    ACT(MISH, ew_mish(x))                       \
    ACT(SOFTPLUS, ew_softplus(x))               \
    ACT(COPY, x)

static clv_fv clv_operation(clv_fv x, const clv_act *act) {
    const float a = act->a, b = act->b;
    switch (act->op) {
#define CLV_ACT_ONE(name, result) \
    case EW_FLOAT_##name:         \
        return result;
        CLV_ACTIVATIONS(CLV_ACT_ONE)
    }
    return x;
}

/* Without what comes before it. */
static clv_fv clv_activate(clv_fv x, const clv_act *act) {
    return clv_operation(x, act) * act->after_scale + act->after_offset;
}

/* Channels of block `plane` of `planes` that are there, where the others may not stay 0. */
static uint clv_act_lanes(const clv_act *act, uint plane, uint planes) {
    return act->last_lanes != 0 && plane + 1 == planes ? act->last_lanes : CLV_WIDTH;
}

/* `count` vectors at `row`, of which `lanes` channels are there; the added tensor's at `add`. */
static void clv_activate_row(
    global float *row, const global float *add, uint count, const clv_act *act, uint lanes) {
    const float a = act->a, b = act->b;
    const uint num_floats = count * CLV_WIDTH;
    switch (act->op) {
#define CLV_ACT_ROW(name, result)                                                     \
    case EW_FLOAT_##name:                                                             \
        for (uint i = 0; i < num_floats; i += CLV_WIDTH) {                            \
            clv_fv x = CLV_FV_LOAD(row + i) * act->before_scale + act->before_offset; \
            x = act->add == 1 ? x + CLV_FV_LOAD(add + i) : x;                         \
            x = (result)*act->after_scale + act->after_offset;                        \
            CLV_FV_STORE(row + i, act->add == 2 ? x + CLV_FV_LOAD(add + i) : x);      \
        }                                                                             \
        break;
        CLV_ACTIVATIONS(CLV_ACT_ROW)
    }
    for (uint i = 0; lanes < CLV_WIDTH && i < num_floats; i += CLV_WIDTH) {
        for (uint lane = lanes; lane < CLV_WIDTH; lane++) {
            row[i + lane] = 0.0f;
        }
    }
}

#endif
