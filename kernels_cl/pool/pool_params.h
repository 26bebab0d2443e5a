/* What pool.c passes to pool.cl. Arrays are z, y, x. */
#ifndef CLV_KERNELS_POOL_PARAMS_H
#define CLV_KERNELS_POOL_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/clv.h"

/* The values of clv_pool_kind. */
enum { POOL_MAX, POOL_AVERAGE, POOL_LP };

typedef struct pool_params {
    clv_i64 window[3], stride[3], dilation[3], pad[3];
    clv_i64 padded[3]; /* extents of the input with its padding */
    clv_u64 elements;  /* of the output */
    clv_u32 in[3], out[3];
    clv_u32 kind, count_include_pad, power;
    clv_u32 rows, chunk, chunks; /* pool: rows an item does; positions of each, such chunks */
    clv_u32 is_wide;             /* pool: vectors run along the window, not along the output */
    clv_u32 dtype, has_values, has_index,
        is_column_major; /* pool_any; its items do `rows` elements */
    clv_u32 unused;      /* params have no padding: their bytes are a key */
} pool_params;

/* Entries of `window` are as above, z unused; a global window is the whole map. */
typedef struct pool_blocked_params {
    pool_params window;
    clv_blocked from, to;
    clv_row_deal deal;
    clv_u32 channels;
} pool_blocked_params;

#endif
