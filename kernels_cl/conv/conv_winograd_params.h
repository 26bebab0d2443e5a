/* What conv_winograd.c passes to conv_winograd.cl. */
#ifndef CLV_KERNELS_CONV_WINOGRAD_PARAMS_H
#define CLV_KERNELS_CONV_WINOGRAD_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/store/store_params.h"

/* A tile of M x M outputs needs (M + 2) x (M + 2) inputs, and is summed at as many points. */
enum { WINOGRAD_TAPS = 3, WINOGRAD_MOST = 4 };

typedef struct conv_winograd_params {
    clv_blocked in, out, add;
    clv_u64 point;        /* elements of transformed input from one of the points to the next */
    clv_u64 weight_block; /* elements of weights of a block of outputs, all points */
    clv_u64 weight_point; /* of one of its points */
    clv_u32 tiles_x, tiles_y;
    /* All tiles of all images are `parts` of `part` tiles (the last one fewer); a band has `count`
     * tiles of each, from its tile `first` on. `part` and `count` are multiples of R. */
    clv_u32 tiles, parts, part;
    clv_u32 first, count;
    clv_u32 room;    /* scratch memory of a part, in tiles of all points and input blocks */
    clv_u32 last_in; /* channels of the last input block */
    clv_u32 blocks;  /* blocks of V vectors of output channels */
    clv_u32 by_rows; /* input: the blocks of channels of R tiles follow one another */
    clv_i32 pad_y, pad_x;
    clv_u32 has_bias, has_add;
    clv_f32 low, high;
    clv_act act;    /* where there is one, has_add and the clamp are not used */
    clv_u32 unused; /* params have no padding: their bytes are a key */
} conv_winograd_params;

#endif
