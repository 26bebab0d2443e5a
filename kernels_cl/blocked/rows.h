/* Which rows of which block of channels an item has, of a launch that clv_deal_map dealt. */
#ifndef CLV_KERNELS_BLOCKED_ROWS_H
#define CLV_KERNELS_BLOCKED_ROWS_H

#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/wide.h"

typedef struct clv_rows {
    uint image, plane, y, end;
} clv_rows;

static clv_rows clv_find_rows(ulong item, const clv_row_deal *d) {
    clv_rows at;
    ulong of_image = (ulong)d->planes * d->row_blocks;
    uint rest = (uint)(item % of_image);
    at.image = (uint)(item / of_image);
    at.plane = d->by_rows ? rest % d->planes : rest / d->row_blocks;
    at.y = (d->by_rows ? rest / d->planes : rest % d->row_blocks) * d->rows;
    at.end = min(at.y + d->rows, d->height);
    return at;
}

/* Claims a row that will be written. Kernels that go from row to row claim the next one. */
static void clv_claim_row(const global float *row, const clv_blocked *t) {
    for (uint i = 0; i < t->row; i += CLV_WIDTH) {
        CLV_CLAIM(row + i);
    }
}

#endif
