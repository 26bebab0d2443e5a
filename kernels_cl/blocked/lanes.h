/* Lanes of a block of channels, of which the last block of a tensor may have fewer. */
#ifndef CLV_KERNELS_BLOCKED_LANES_H
#define CLV_KERNELS_BLOCKED_LANES_H

#include "kernels_cl/wide.h"

/* The number of each lane. */
#if CLV_WIDTH == 16
#define CLV_LANES ((clv_iv)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#elif CLV_WIDTH == 8
#define CLV_LANES ((clv_iv)(0, 1, 2, 3, 4, 5, 6, 7))
#else
#define CLV_LANES ((clv_iv)(0, 1, 2, 3))
#endif

/* The first `count` lanes of a vector, and zeros. */
static clv_fv clv_first_lanes(clv_fv value, uint count) {
    return CLV_LANES < (clv_iv)((int)min(count, (uint)CLV_WIDTH)) ? value : (clv_fv)(0.0f);
}

#endif
