/* What conv.c's table takes from the files of its variants. */
#ifndef CLV_KERNELS_CONV_BLOCKED_H
#define CLV_KERNELS_CONV_BLOCKED_H

#include "kernels_cl/kernel.h"

bool clv_conv_blocked_fits(const clv_call *call, const clv_traits *traits);
void clv_conv_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
clv_status *clv_conv_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter);

/* The bias as `channels` floats with zeros behind it; NONE where there is none. */
clv_status *clv_conv_emit_bias(
    const clv_call *call, int64_t channels, const clv_emitter *emitter, clv_arg *out_bias);

/* conv_light.c */
bool clv_conv_depthwise_fits(const clv_call *call, const clv_traits *traits);
void clv_conv_depthwise_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
clv_status *clv_conv_depthwise_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter);
bool clv_conv_planar_fits(const clv_call *call, const clv_traits *traits);
void clv_conv_planar_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
clv_status *clv_conv_planar_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter);

/* conv_winograd.c */
bool clv_conv_winograd_fits(const clv_call *call, const clv_traits *traits);
void clv_conv_winograd_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
clv_status *clv_conv_winograd_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter);

#endif
