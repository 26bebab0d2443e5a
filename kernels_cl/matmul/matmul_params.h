/* What matmul.c passes to matmul.cl. Sizes and offsets are in elements. */
#ifndef CLV_KERNELS_MATMUL_PARAMS_H
#define CLV_KERNELS_MATMUL_PARAMS_H

#include "kernels_cl/store/store_params.h"

enum { MATMUL_BATCH = 6, MATMUL_ROWS = 8, MATMUL_VECTORS = 2 };

/* matmul and matmul_int */
typedef struct matmul_params {
    clv_u64 a_batch[MATMUL_BATCH], b_batch[MATMUL_BATCH]; /* strides along the batch axes */
    clv_u64 a_row, a_col;
    clv_u64 b_row, b_col; /* b_col: of matmul_int only, the other reads unit strides */
    clv_u64 b_panel;      /* from one block of MATMUL_VECTORS vectors of columns to the next */
    clv_u64 c_row, c_col;
    clv_i64 int_alpha, int_beta;
    clv_u32 batch[MATMUL_BATCH];
    clv_u32 num_batch;
    clv_u32 m, n, k;
    clv_u32 row_blocks, panels, panel_blocks; /* blocks of `row_span` rows, of `tiles` panels */
    clv_u32 row_span, tiles;                  /* rows and panels an item does */
    clv_u32 ahead, step;   /* prefetches of b: so many elements behind the panel's first one, and
                            moving on by so many for each k; 0: of the panel itself, for nothing */
    clv_u32 columns_first; /* consecutive items go along columns (GPUs), else along rows */
    clv_u32 moves_back;    /* b is row-major: the last panel is moved back to end at column n */
    clv_u32 has_c;
    clv_f32 alpha, beta;
    clv_u32 finishes; /* the epilogue has more than alpha and c: add, activation, clamp */
    clv_act act;
    clv_f32 low, high;
    clv_u32 dtype, chunk; /* matmul_int */
    clv_u32 unused;       /* params have no padding: their bytes are a key */
} matmul_params;

/* matmul_pack: b into panels [batch][panels][k][width], zeros behind column n. */
typedef struct matmul_pack_params {
    clv_u64 b_batch, b_row, b_col;
    clv_u32 n, k, panels;
    clv_u32 rows, blocks; /* rows of a panel that an item does, such blocks */
    clv_u32 unused;       /* params have no padding: their bytes are a key */
} matmul_pack_params;

#endif
