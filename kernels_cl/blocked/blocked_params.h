/* Blocked tensors in kernels (docs/layouts.md): where a position lies, and the zeros around rows
 * and planes. B = CLV_WIDTH channels lie side by side. Distances are in elements. */
#ifndef CLV_KERNELS_BLOCKED_BLOCKED_PARAMS_H
#define CLV_KERNELS_BLOCKED_BLOCKED_PARAMS_H

#include "kernels_cl/clv.h"

typedef struct clv_blocked {
    clv_u64 image; /* from one image to the next */
    clv_u32 plane; /* from one block of channels to the next, its gap counted */
    clv_u32 row;   /* from one row to the next, its gap counted */
    clv_u32 lead;  /* in front of the first plane */
    clv_u32 height, width;
    clv_u32 gap_rows; /* zero rows behind a plane */
    clv_u32 planes;   /* blocks of channels of an image */
    clv_u32 unused;
} clv_blocked;

/* Items of `rows` rows of one block of channels, of every image. */
typedef struct clv_row_deal {
    clv_u32 planes, height;
    clv_u32 rows, row_blocks; /* of an item; items of a plane */
    clv_u32 by_rows; /* the same rows of all blocks follow one another, not a block's rows */
} clv_row_deal;

#endif
