/* Conv and ConvTranspose: their params, as infer() fills them. */
#ifndef CLV_KERNELS_CONV_H
#define CLV_KERNELS_CONV_H

#include "kernels_cl/store/store.h"
#include "kernels_cl/window.h"

typedef struct clv_conv_params {
    clv_window window;
    int64_t groups;
    int32_t is_transposed;
    int32_t skip_bias; /* a piece of a sum that is not its first */
} clv_conv_params;

/* Whether blocked kernels can do the call's epilogue. */
bool clv_conv_store_fits(const clv_call *call);

#endif
