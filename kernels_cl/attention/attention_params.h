/* What attention.c passes to attention.cl. Sizes and strides are in elements. */
#ifndef CLV_KERNELS_ATTENTION_PARAMS_H
#define CLV_KERNELS_ATTENTION_PARAMS_H

#include "kernels_cl/clv.h"

/* attention_tile: longest rows of q, k and v, and how many keys are in private memory at once. */
enum { ATTENTION_SIZE = 128, ATTENTION_KEYS = 128, ATTENTION_VECTORS = 2 };

typedef struct attention_strides {
    clv_u64 first, batch, head, row;
} attention_strides;

typedef struct attention_params {
    attention_strides q, k, v, out;
    clv_u64 mask_batch, mask_head, mask_row, mask_key;
    clv_u32 heads, group;
    clv_u32 rows, keys, size, value_size;
    clv_u32 part_rows, part_blocks; /* attention_tile: rows of a lane, and items of a head there */
    clv_u32 row_blocks;             /* attention_tile: items of a head */
    clv_u32 has_mask, nan_is_zero;
    clv_f32 scale;
} attention_params;

/* attention_mask: the mask with keys and rows exchanged, [planes][keys][padded_rows] */
typedef struct attention_mask_params {
    clv_u32 rows, keys, padded_rows;
    clv_u32 row_blocks;
} attention_mask_params;

#endif
