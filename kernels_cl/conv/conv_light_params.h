/* What conv_light.c passes to conv_light.cl. */
#ifndef CLV_KERNELS_CONV_LIGHT_PARAMS_H
#define CLV_KERNELS_CONV_LIGHT_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/store/store_params.h"

/* conv_depthwise: one input channel for each output channel. */
typedef struct conv_depthwise_params {
    clv_blocked in, out, add;
    clv_u32 kernel_y, kernel_x;
    clv_u32 tap_row, tap_x; /* elements from one tap to the next */
    clv_u32 lead_taps;      /* elements from an output position to its first tap, backwards */
    clv_u32 stride_row;     /* elements of input between rows of the output */
    clv_u32 stride_x;       /* elements of input between positions of the output */
    clv_row_deal deal;
    clv_u32 has_bias, has_add;
    clv_f32 low, high;
    clv_act act; /* where there is one, has_add and the clamp are not used */
} conv_depthwise_params;

/* conv_planar: few input channels, each a plane of its own with zeros around. */
typedef struct conv_planar_params {
    clv_u64 in_image;     /* elements */
    clv_u64 weight_block; /* of one block of V vectors of output channels */
    clv_blocked out, add;
    clv_u32 in_plane, in_row;
    clv_u32 channels;
    clv_u32 kernel_y, kernel_x;
    clv_u32 tap_row, tap_x; /* elements from one tap to the next */
    clv_u32 stride_row, stride_x;
    clv_u32 tiles;  /* of a row */
    clv_u32 blocks; /* blocks of V vectors of output channels */
    clv_u32 has_bias, has_add;
    clv_f32 low, high;
    clv_act act;    /* where there is one, has_add and the clamp are not used */
    clv_u32 unused; /* params have no padding: their bytes are a key */
} conv_planar_params;

typedef struct conv_planar_pad_params {
    clv_u32 in_height, in_width, out_height, out_width;
    clv_u32 pad_y, pad_x;
    clv_row_deal deal; /* of the output; a plane is a channel */
} conv_planar_pad_params;

#endif
