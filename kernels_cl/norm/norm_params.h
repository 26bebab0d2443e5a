/* What the files of this folder pass to norm.cl. Sizes in elements. */
#ifndef CLV_KERNELS_NORM_PARAMS_H
#define CLV_KERNELS_NORM_PARAMS_H

#include "kernels_cl/clv.h"

enum { NORM_RANK = 8 };

typedef struct batch_norm_params {
    clv_u64 elements;
    clv_u32 channels, inner; /* the input is [batch][channels][inner] */
    clv_u32 chunk;
    clv_f32 epsilon;
} batch_norm_params;

typedef struct norm_params {
    clv_u64 rows;
    clv_u32 n, row_mod, row_step, run;
    clv_u32 rows_per_item;
    clv_u32 subtracts_mean, has_bias, has_y, has_mean, has_inverse;
    clv_u32 is_general, rank; /* then scale and bias go by strides over the input's axes */
    clv_u32 dims[NORM_RANK], scale_strides[NORM_RANK], bias_strides[NORM_RANK];
    clv_f32 epsilon;
    clv_u32 unused; /* params have no padding: their bytes are a key */
} norm_params;

typedef struct lrn_params {
    clv_u64 elements;
    clv_u32 channels, inner;
    clv_u32 before, after; /* channels on either side that the window takes in */
    clv_u32 chunk;
    clv_f32 factor, beta, bias; /* factor: alpha / size */
} lrn_params;

typedef struct softmax_params {
    clv_u64 rows; /* vectors along n: outer, or outer * chunks by columns */
    clv_u32 n, inner;
    clv_u32 chunks; /* of one vector of `inner` */
    clv_u32 rows_per_item;
    clv_u32 is_log;
    clv_u32 by_columns; /* else inner is 1 */
} softmax_params;

#endif
