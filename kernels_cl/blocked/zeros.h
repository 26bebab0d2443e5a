/* The zeros of a blocked tensor, for kernels that write one (docs/layouts.md). */
#ifndef CLV_KERNELS_BLOCKED_ZEROS_H
#define CLV_KERNELS_BLOCKED_ZEROS_H

#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/wide.h"

/* Zeros behind the last pixel of row y of a plane; behind the last row those of the plane too, and
 * beside row 0 of the tensor's first plane those in front of it. `row`: pixel 0 of the row. */
static void clv_put_zeros(global float *row, uint y, bool is_first_plane, const clv_blocked *t) {
    uint end = t->row + (y + 1 == t->height ? t->gap_rows * t->row : 0);
    for (uint i = t->width * CLV_WIDTH; i < end; i += CLV_WIDTH) {
        CLV_FV_STORE(row + i, (clv_fv)(0.0f));
    }
    if (y == 0 && is_first_plane) {
        for (uint i = 0; i < t->lead; i += CLV_WIDTH) {
            CLV_FV_STORE(row - t->lead + i, (clv_fv)(0.0f));
        }
    }
}

#endif
