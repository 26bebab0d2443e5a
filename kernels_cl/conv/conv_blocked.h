/* What conv.c's table takes from the files of its variants. */
#ifndef CLV_KERNELS_CONV_BLOCKED_H
#define CLV_KERNELS_CONV_BLOCKED_H

#include "kernels_cl/blocked/blocked.h"
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/store/store.h"

static inline const clv_window *clv_conv_window(const clv_call *call) {
    return &((const clv_conv_params *)call->params)->window;
}

enum { CONV_BLOCKED_TUNABLES = 1 };
extern const clv_tunable clv_conv_blocked_tunables[CONV_BLOCKED_TUNABLES];
bool clv_conv_blocked_fits(const clv_call *call, const clv_traits *traits);
bool clv_conv_transposed_fits(const clv_call *call, const clv_traits *traits);
bool clv_conv_blocked_pays(const clv_call *call, const clv_traits *traits);
bool clv_conv_transposed_pays(const clv_call *call, const clv_traits *traits);
/* Of both. */
void clv_conv_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
bool clv_conv_takes_plain(const clv_call *call, const clv_traits *traits, size_t input);
clv_status *clv_conv_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter);

/* What blocked kernels do with the call's epilogue. */
void clv_conv_store_layouts(const clv_call *call, const clv_traits *traits, clv_layout *inputs);
bool clv_conv_takes_epilogue(const clv_call *call, const clv_traits *traits); /* where it fits */
/* Fields of a kernel's params, and the tensor that is added. */
typedef struct clv_conv_store {
    clv_u32 has_add;
    clv_f32 low, high;
    clv_act act;
    clv_blocked add;
    clv_arg arg;
} clv_conv_store;
/* `out`: of the output, for `add` where there is none. */
clv_conv_store clv_conv_store_of(const clv_call *call, const clv_blocked *out);

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
bool clv_conv_winograd_pays(const clv_call *call, const clv_traits *traits);
bool clv_conv_winograd_2_pays(const clv_call *call, const clv_traits *traits);
void clv_conv_winograd_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
clv_status *clv_conv_winograd_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter);
clv_status *clv_conv_winograd_2_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter);

#endif
