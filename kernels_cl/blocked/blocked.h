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

/* Whether lanes had better share a map by its rows, each reading all of the weights, than by
 * channels, each reading all of the input. By rows, what a lane reads is what it wrote itself
 * before, most of it, which is worth much where cores are far from one another. `rows` can be dealt
 * out, of the smallest kind; bytes of weights, and of inputs and outputs together. */
bool clv_blocked_by_rows(
    const clv_traits *traits, int64_t rows, double weight_bytes, double moved_bytes);

/* Deals the rows of maps of `planes` blocks of channels, of kernels that read no weights to speak
 * of: `row_work` elements a row, as clv_deal_rows() counts. Returns the number of items. */
uint64_t clv_deal_map(
    const clv_traits *traits, int64_t images, uint32_t planes, uint32_t height, uint64_t row_work,
    clv_row_deal *out_deal);

/* Launches what brings a tensor from one layout to another one; at least one of them is blocked.
 * `from` and `to` are of one shape; the operands are what the emitter knows as these args. */
clv_status *clv_reorder_emit(
    const clv_view *from, const clv_view *to, clv_arg from_arg, clv_arg to_arg,
    const clv_traits *traits, const clv_emitter *emitter);

#endif
