/* What the kernel of scatter.cl is told, shared with the host. Strides and offsets count elements.
 */
#ifndef CLV_KERNELS_SCATTER_PARAMS_H
#define CLV_KERNELS_SCATTER_PARAMS_H

#include "kernels_cl/clv.h"

/* Element types; without a reduction only the size matters. */
#define CLV_SCATTER_1 0
#define CLV_SCATTER_2 1
#define CLV_SCATTER_4 2
#define CLV_SCATTER_8 3
#define CLV_SCATTER_F32 4
#define CLV_SCATTER_I32 5
#define CLV_SCATTER_I64 6
#define CLV_SCATTER_I8 7
#define CLV_SCATTER_U8 8

#define CLV_SCATTER_NONE 0
#define CLV_SCATTER_ADD 1
#define CLV_SCATTER_MUL 2
#define CLV_SCATTER_MAX 3
#define CLV_SCATTER_MIN 4

/* Updates come in independent fibres (over `dims`), each a sequence of `num_steps` runs of `run`
 * elements. Step s of fibre c goes to
 *     sum c[d] * data_strides[d] + key,   key = sum_j index(j) * index_strides[j]
 * where index(j) = indices[sum c[d] * list_strides[d] + s * list_step + j]. */
typedef struct clv_scatter_params {
    clv_u32 type, reduction;
    clv_u32 index_bytes; /* 4 or 8 */
    clv_u32 num_dims;
    clv_u32 num_fibres, fibre_chunk; /* of an item */
    clv_u32 num_steps, list_step, update_step;
    clv_u32 num_indices;
    clv_u32 run, run_chunk; /* of an item */
    clv_u32 num_owners;     /* items that share a fibre and a part of its runs, each with */
    clv_u32 owner_span;     /* the keys from owner * owner_span on */
    clv_u32 dims[8];
    clv_u32 data_strides[8];
    clv_u32 list_strides[8];
    clv_u32 update_strides[8];
    clv_u32 extents[8];
    clv_u32 index_strides[8];
} clv_scatter_params;

#endif
