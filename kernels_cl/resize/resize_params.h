/* What the kernels of resize.cl are told, shared with the host. */
#ifndef CLV_KERNELS_RESIZE_PARAMS_H
#define CLV_KERNELS_RESIZE_PARAMS_H

#include "kernels_cl/clv.h"

#define CLV_RESIZE_NO_TABLE 0xffffffffu

/* resize_nearest: out[c] = src[sum at(d, c[d]) * src_strides[d]], where at() is c[d] itself or
 * table[tables[d] + c[d]]; an entry of -1 makes it the fill value. */
typedef struct clv_resize_nearest_params {
    clv_u64 fill; /* an element's bits, low bytes */
    clv_u32 total;
    clv_u32 chunk; /* elements an item */
    clv_u32 element_bytes;
    clv_u32 num_dims; /* at least 1; the last has src stride 1 */
    clv_u32 out_dims[8];
    clv_u32 tables[8]; /* CLV_RESIZE_NO_TABLE: c[d] itself */
    clv_i32 src_strides[8];
} clv_resize_nearest_params;

/* resize_axis: [outer, num_in, inner] to [outer, num_out, inner], float32. The table holds starts
 * (int32 [num_out], -1: the fill value), then weights (float32 [num_out][num_taps]). */
typedef struct clv_resize_axis_params {
    clv_u32 total;
    clv_u32 chunk;
    clv_u32 num_in, num_out, inner, num_taps;
    clv_f32 fill;
    clv_u32 reserved;
} clv_resize_axis_params;

#endif
