/* What the kernel of gather.cl is told, shared with the host. Strides and offsets count elements.
 */
#ifndef CLV_KERNELS_GATHER_PARAMS_H
#define CLV_KERNELS_GATHER_PARAMS_H

#include "kernels_cl/clv.h"

/* gather: the output is rows of `run` elements. Row c (over row_dims) comes from
 *     sum c[d] * row_strides[d] + sum_j index(j) * index_strides[j]
 * where index(j) = indices[sum c[d] * list_strides[d] + j], plus extents[j] where it is negative.
 */
typedef struct clv_gather_params {
    clv_u32 total; /* elements of the output */
    clv_u32 chunk; /* elements an item */
    clv_u32 element_bytes;
    clv_u32 index_bytes; /* 4 or 8 */
    clv_u32 run;
    clv_u32 num_dims;    /* of rows, at least 1 */
    clv_u32 num_indices; /* that a row takes, 0 to 8 */
    clv_u32 reserved;
    clv_u32 row_dims[8];
    clv_u32 row_strides[8];
    clv_u32 list_strides[8];
    clv_u32 extents[8];
    clv_u32 index_strides[8];
} clv_gather_params;

#endif
