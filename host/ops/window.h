/* Attributes of sliding windows into a clv_window; extents; halos of pieces. */
#ifndef CLV_OPS_WINDOW_H
#define CLV_OPS_WINDOW_H

#include "host/ops/op.h"
#include "kernels_cl/window.h"

typedef enum clv_auto_pad {
    CLV_PAD_NOTSET,
    CLV_PAD_SAME_UPPER,
    CLV_PAD_SAME_LOWER,
    CLV_PAD_VALID
} clv_auto_pad;

/* Reads kernel_shape, strides, dilations, pads and auto_pad of a node whose input 0 is [N, C, ...]
 * with 1 to 3 spatial axes. `weight_kernel` (or NULL) is the kernel that the weights have, in the
 * order of the spatial axes: kernel_shape may then be missing and must agree. Pads stay 0 unless
 * auto_pad is NOTSET. */
clv_status *clv_window_read(
    const clv_infer *infer, const int64_t *weight_kernel, clv_window *out_window,
    clv_auto_pad *out_auto_pad) CLV_CHECKED;

/* Resolves `auto_pad` into pads of `window` and sets the spatial dims of `out_shape`, whose first
 * two dims and rank the caller sets. MALFORMED where the window is larger than the padded input. */
clv_status *clv_window_slide(
    clv_window *window, clv_auto_pad auto_pad, bool ceil_mode, const clv_shape *in_shape,
    clv_shape *out_shape) CLV_CHECKED;

/* Positions that a window reaches over along entry `axis`: (kernel - 1) * dilation + 1. */
int64_t clv_window_reach(const clv_window *window, int axis);

/* The entry (0..2) of spatial axis `axis` (2 .. rank-1 of the tensor). */
int clv_window_entry(const clv_window *window, int tensor_axis);

/* The spatial axis that windows' outputs are cut along: the first one with more than one position,
 * as its pieces are the longest runs of memory; 2 where there is none. */
int clv_window_outer_axis(const clv_shape *out_shape);

/* The split of output rows (`tensor_axis`, >= 2) for a window that moves over input 0: need of
 * input 0, and what the params of piece [begin, end) become. */
void clv_window_need(const clv_window *window, int tensor_axis, clv_split_input *out_need);
void clv_window_cut(
    clv_window *window, int tensor_axis, int64_t in_extent, int64_t begin, int64_t end);

#endif
