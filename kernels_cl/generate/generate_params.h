/* Launches of the generate family: tensors made from a rule. */
#ifndef CLV_KERNELS_GENERATE_PARAMS_H
#define CLV_KERNELS_GENERATE_PARAMS_H

#include "kernels_cl/clv.h"

typedef struct generate_range_params {
    clv_u64 start, step; /* integers: start + i * step in 64 bits, cut to the element's size */
    clv_u32 num_elements, chunk;
    clv_f32 float_start, float_step;
    clv_u32 dtype;
    clv_u32 unused; /* params have no padding: their bytes are a key */
} generate_range_params;

typedef struct generate_band_params {
    clv_i64 low, high; /* an element is kept where low <= column - row <= high, else 0 */
    clv_u64 bits;      /* what is kept where there is no input */
    clv_u32 num_elements, chunk;
    clv_u32 num_rows, num_columns;
    clv_u32 dtype; /* integers of the element's size */
    clv_u32 has_input;
} generate_band_params;

typedef struct generate_one_hot_params {
    clv_u32 num_elements, chunk;
    clv_u32 depth, num_inner; /* the output is [num_outer, depth, num_inner] */
    clv_u32 index_dtype;
    clv_u32 dtype; /* integers of the element's size */
} generate_one_hot_params;

#endif
