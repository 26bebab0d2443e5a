/* Epilogues that kernels do in their stores:
 *
 *     inner = scale * result + offset + channel + add
 *     out = clamp(after_scale * act(inner) + after_offset, low, high)
 *
 * or with `add` behind the activation, any part left out. */
#ifndef CLV_KERNELS_STORE_H
#define CLV_KERNELS_STORE_H

#include "kernels_cl/kernel.h"
#include "kernels_cl/store/store_params.h"

typedef struct clv_store {
    float scale, offset;
    int channel_input; /* input of the call with one value for each channel; -1: none */
    int add_input;     /* of the output's shape; -1: none */
    bool adds_last;    /* behind the activation */
    clv_act act;       /* with scale and offset of both sides */
    float low, high;   /* -INFINITY and INFINITY: no clamp */
} clv_store;

enum { CLV_NO_CHANNELS = CLV_MAX_RANK };

/* Whether the call's epilogue is of this kind; a call without one is. `channel_axis` of the output;
 * negative: from the end; CLV_NO_CHANNELS: it has none. */
bool clv_store_match(const clv_call *call, int channel_axis, clv_store *out_store);

/* What becomes of a zero. */
bool clv_store_keeps_zero(const clv_store *store);

#endif
