/* Conv and ConvTranspose: their params, as infer() fills them. */
#ifndef CLV_KERNELS_CONV_H
#define CLV_KERNELS_CONV_H

#include "kernels_cl/store/store.h"
#include "kernels_cl/window.h"

typedef struct clv_conv_params {
    clv_window window;
    int64_t groups;
    int64_t shuffle; /* input channel c is clv_conv_shuffled(shuffle, channels, c) of the tensor's;
                        1: none */
    int32_t is_transposed;
    int32_t skip_bias;    /* a piece of a sum that is not its first */
    int32_t is_of_groups; /* a piece of a convolution of several groups; it may have one alone */
    int32_t unused;
} clv_conv_params;

/* Where channel c of a shuffle of `parts` equal runs of channels comes from: the first of each run
 * come first, then the second of each, and so on. */
static inline int64_t clv_conv_shuffled(int64_t parts, int64_t channels, int64_t c) {
    return parts > 1 ? c % parts * (channels / parts) + c / parts : c;
}

/* Input 3 of a Conv: a factor for each input channel of an image, which the input is multiplied by;
 * [batch, channels, 1, ...]. */
enum { CLV_CONV_SCALE = 3 };
static inline bool clv_conv_has_scale(const clv_call *call) {
    return !((const clv_conv_params *)call->params)->is_transposed &&
           clv_call_has_input(call, CLV_CONV_SCALE);
}

/* Whether blocked kernels can do the call's epilogue. */
bool clv_conv_store_fits(const clv_call *call);

#endif
