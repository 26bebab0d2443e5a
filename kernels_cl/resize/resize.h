/* Host side of Resize and Upsample: which input positions make an output position. */
#ifndef CLV_KERNELS_RESIZE_H
#define CLV_KERNELS_RESIZE_H

#include "kernels_cl/kernel.h"

typedef enum clv_resize_mode {
    CLV_RESIZE_NEAREST,
    CLV_RESIZE_LINEAR,
    CLV_RESIZE_CUBIC
} clv_resize_mode;

typedef enum clv_resize_coordinates {
    CLV_RESIZE_HALF_PIXEL,
    CLV_RESIZE_HALF_PIXEL_SYMMETRIC,
    CLV_RESIZE_PYTORCH_HALF_PIXEL,
    CLV_RESIZE_ALIGN_CORNERS,
    CLV_RESIZE_ASYMMETRIC,
    CLV_RESIZE_TF_HALF_PIXEL_FOR_NN,
    CLV_RESIZE_TF_CROP_AND_RESIZE,
} clv_resize_coordinates;

typedef enum clv_resize_rounding {
    CLV_RESIZE_ROUND_PREFER_FLOOR,
    CLV_RESIZE_ROUND_PREFER_CEIL,
    CLV_RESIZE_FLOOR,
    CLV_RESIZE_CEIL,
    CLV_RESIZE_BEFORE_11, /* operators older than opset 11: floor going up, ceil going down */
} clv_resize_rounding;

/* An axis of the whole operator, and where a piece of it begins (0 for the whole). */
typedef struct clv_resize_axis {
    int64_t in, out;
    double scale;
    double roi_start, roi_end; /* tf_crop_and_resize */
    int64_t in_begin, out_begin;
} clv_resize_axis;

/* Params of Resize and Upsample; flat. */
typedef struct clv_resize_op {
    clv_resize_mode mode;
    clv_resize_coordinates coordinates;
    clv_resize_rounding rounding;
    bool exclude_outside, antialias;
    double cubic_a, extrapolation;
    int rank;
    clv_resize_axis axes[CLV_MAX_RANK];
} clv_resize_op;

/* True where the axis comes out as it went in. */
bool clv_resize_keeps(const clv_resize_op *op, int axis);

/* Input positions that one output position of an axis is made of. */
typedef struct clv_resize_window {
    bool is_outside;      /* the extrapolation value instead */
    int64_t first, count; /* all within the axis; nearest: count 1 */
} clv_resize_window;

/* The most positions that a window of the axis can have. */
int64_t clv_resize_max_taps(const clv_resize_op *op, int axis);

/* The window of output position `at` (of the whole axis). out_weights: [clv_resize_max_taps],
 * filled with `count` weights; positions beyond the edge are added to the edge's. Source: ONNX
 * Resize-19; the arithmetic is in double and in the order of its reference implementation. */
clv_resize_window clv_resize_window_at(
    const clv_resize_op *op, int axis, int64_t at, double *out_weights);

/* The table of an axis of a call: starts (int32 [num_out], -1: outside), then weights (float32
 * [num_out][num_taps]). Windows get one width: they are moved left where they would leave the axis.
 * window_weights: room for [clv_resize_max_taps]. */
void clv_resize_fill_axis(
    const clv_call *call, int axis, int64_t num_taps, double *window_weights, void *out_table);

/* resize_blocked.c */
bool clv_resize_blocked_fits(const clv_call *call, const clv_traits *traits);
bool clv_resize_blocked_pays(const clv_call *call, const clv_traits *traits);
void clv_resize_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
clv_status *clv_resize_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) CLV_CHECKED;

#endif
