/* Pieces of memory by when they live: finds those that live at once with one, without looking at
 * all of them. A tree over pieces in the order in which they come to life that holds, for every
 * range of that order, when the last of its pieces in the set dies. */
#ifndef CLV_EXEC_LIFETIMES_H
#define CLV_EXEC_LIFETIMES_H

#include "host/exec/memory_plan.h"
#include <stdbool.h>

typedef struct clv_lifetimes {
    const clv_memory_piece *pieces; /* borrowed */
    uint32_t *by_first;             /* [num_pieces]: indices, by first_step */
    uint32_t *rank;                 /* [num_pieces]: of each piece in it */
    uint64_t *ends;                 /* [2 * num_leaves]: largest last_step + 1; 0: nothing there */
    size_t num_pieces, num_leaves;
} clv_lifetimes;

/* Nothing is in the set at first. NO_MEMORY. */
clv_status *clv_lifetimes_init(
    const clv_memory_piece *pieces, size_t num_pieces, clv_lifetimes *out_lifetimes) CLV_CHECKED;
void clv_lifetimes_deinit(clv_lifetimes *lifetimes);

void clv_lifetimes_clear(clv_lifetimes *lifetimes);
void clv_lifetimes_add(clv_lifetimes *lifetimes, size_t index);
/* Indices of the set's pieces that live at once with `piece`, in the order in which they come to
 * life. False where there are more than `most`: out_indices then holds some of them. */
bool clv_lifetimes_find(
    const clv_lifetimes *lifetimes, const clv_memory_piece *piece, size_t most,
    uint32_t *out_indices, size_t *out_count);

#endif
