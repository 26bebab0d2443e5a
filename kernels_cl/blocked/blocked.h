/* Blocked tensors for the host side of kernel families; docs/layouts.md. */
#ifndef CLV_KERNELS_BLOCKED_BLOCKED_H
#define CLV_KERNELS_BLOCKED_BLOCKED_H

#include "host/ir/layout.h"
#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/kernel.h"

/* What kernels are told of a blocked operand. */
void clv_blocked_from_view(const clv_view *view, clv_blocked *out);
void clv_blocked_from_extents(
    const clv_layout_extents *extents, uint32_t gap_rows, clv_blocked *out);

/* Launches what brings a tensor from one layout to another one; at least one of them is blocked.
 * `from` and `to` are of one shape; the operands are what the emitter knows as these args. */
clv_status *clv_reorder_emit(
    const clv_view *from, const clv_view *to, clv_arg from_arg, clv_arg to_arg,
    const clv_traits *traits, const clv_emitter *emitter);

#endif
