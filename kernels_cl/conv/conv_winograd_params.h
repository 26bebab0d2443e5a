/* What conv_winograd.c passes to conv_winograd.cl. */
#ifndef CLV_KERNELS_CONV_WINOGRAD_PARAMS_H
#define CLV_KERNELS_CONV_WINOGRAD_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/store/store_params.h"

enum {
    WINOGRAD_OUT = 4, /* outputs of a tile along an axis */
    WINOGRAD_IN = 6,  /* inputs that they need */
    WINOGRAD_POINTS = 36,
};

typedef struct conv_winograd_params {
    clv_blocked in, out, add;
    clv_u64 point;        /* elements of transformed input from one of the 36 points to the next */
    clv_u64 weight_block; /* elements of weights of a block of outputs, all points */
    clv_u64 weight_point; /* of one of its points */
    clv_u32 tiles_x, tiles_y;
    clv_u32 first, count; /* tiles of this band, of all tiles of all images */
    clv_u32 room;         /* tiles that the scratch memory has room for: a multiple of R */
    clv_u32 run, runs;    /* input: tiles of an item, items of a block of channels */
    clv_u32 blocks;       /* output: blocks of V vectors of channels */
    clv_i32 pad_y, pad_x;
    clv_u32 has_bias, has_add;
    clv_f32 low, high;
    clv_act act; /* where there is one, has_add and the clamp are not used */
} conv_winograd_params;

#endif
