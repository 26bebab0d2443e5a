/* What einsum.c passes to einsum.cl. Sizes and strides are in elements. */
#ifndef CLV_KERNELS_EINSUM_PARAMS_H
#define CLV_KERNELS_EINSUM_PARAMS_H

#include "kernels_cl/clv.h"

enum { EINSUM_AXES = 16 };

/* out[o] = sum over s of a[o, s] * b[o, s]; o and s run over row-major index spaces. */
typedef struct einsum_params {
    clv_u64 elements, sums;   /* sizes of the two spaces */
    clv_u32 num_out, num_sum; /* their axes, at least one each */
    clv_u32 out[EINSUM_AXES], out_a[EINSUM_AXES], out_b[EINSUM_AXES];
    clv_u32 sum[EINSUM_AXES], sum_a[EINSUM_AXES], sum_b[EINSUM_AXES];
    clv_u32 has_b;
    clv_u32 is_wide;       /* einsum: vectors run along the last axis of s, not of o */
    clv_u32 chunk, chunks; /* einsum: positions of the last axis of o in a cell, such cells a row */
    clv_u32 cells_per_item; /* elements an item of the other kernels */
    clv_u32 dtype;
} einsum_params;

#endif
