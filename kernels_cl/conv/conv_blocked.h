/* What conv.c's table takes from conv_blocked.c. */
#ifndef CLV_KERNELS_CONV_BLOCKED_H
#define CLV_KERNELS_CONV_BLOCKED_H

#include "kernels_cl/kernel.h"

bool clv_conv_blocked_fits(const clv_call *call, const clv_traits *traits);
void clv_conv_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
clv_status *clv_conv_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter);

#endif
