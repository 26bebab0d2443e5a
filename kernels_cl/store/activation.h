/* Activations behind a store: a row of vectors that was just stored goes through one operation. One
 * copy of this a kernel, outside its unrolled tiles. */
#ifndef CLV_KERNELS_ACTIVATION_H
#define CLV_KERNELS_ACTIVATION_H

#include "kernels_cl/elementwise/elementwise_math.h"
#include "kernels_cl/store/store_params.h"

static clv_fv clv_operation(clv_fv x, const clv_act *act) {
    const float a = act->a, b = act->b;
    switch (act->op) {
    case EW_FLOAT_RELU:
        return x < ZERO ? ZERO : x;
    case EW_FLOAT_CLIP:
        return ew_clamp(x, a, b);
    case EW_FLOAT_LEAKY_RELU:
        return x < ZERO ? x * a : x;
    case EW_FLOAT_SIGMOID:
        return ONE / (ONE + exp(-x));
    case EW_FLOAT_TANH:
        return tanh(x);
    case EW_FLOAT_SWISH:
        return x / (ONE + exp(x * -a));
    case EW_FLOAT_HARD_SWISH:
        return x * ew_clamp(x / 6.0f + 0.5f, 0.0f, 1.0f);
    case EW_FLOAT_HARD_SIGMOID:
        return ew_clamp(x * a + b, 0.0f, 1.0f);
    case EW_FLOAT_GELU:
        return ew_gelu(x);
    case EW_FLOAT_GELU_TANH:
        return ew_gelu_tanh(x);
    case EW_FLOAT_ELU:
        return x < ZERO ? expm1(x) * a : x;
    case EW_FLOAT_MISH:
        return ew_mish(x);
    case EW_FLOAT_SOFTPLUS:
        return ew_max(x, ZERO) + log1p(exp(-fabs(x)));
    default:
        return x;
    }
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
    for (uint i = 0; i < count; i++) {
        clv_fv value = CLV_FV_LOAD(row + i * CLV_WIDTH) * act->before_scale + act->before_offset;
        if (act->add == 1) {
            value += CLV_FV_LOAD(add + i * CLV_WIDTH);
        }
        value = clv_activate(value, act);
        if (act->add == 2) {
            value += CLV_FV_LOAD(add + i * CLV_WIDTH);
        }
        CLV_FV_STORE(row + i * CLV_WIDTH, value);
        for (uint lane = lanes; lane < CLV_WIDTH; lane++) {
            row[i * CLV_WIDTH + lane] = 0.0f;
        }
    }
}

#endif
