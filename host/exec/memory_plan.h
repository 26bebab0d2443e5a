/* Where things lie in device memory: pieces that live over ranges of steps get places in a few
 * blocks, so that no two that live at once overlap. Pure: no device.
 */
#ifndef CLV_EXEC_MEMORY_PLAN_H
#define CLV_EXEC_MEMORY_PLAN_H

#include "host/base/status.h"
#include <stddef.h>
#include <stdint.h>

enum { CLV_MEMORY_ALIGN = 64 }; /* of every piece: a cache line, and the widest vector load */

static inline uint64_t clv_memory_align(uint64_t bytes) {
    return (bytes + CLV_MEMORY_ALIGN - 1) / CLV_MEMORY_ALIGN * CLV_MEMORY_ALIGN;
}

typedef struct clv_memory_piece {
    const char *name;               /* for messages */
    uint64_t bytes;                 /* 0: takes no place */
    uint32_t first_step, last_step; /* lives from the one to the other, both included */
    uint32_t block;                 /* filled: which block, and where in it */
    uint64_t offset;
} clv_memory_piece;

typedef struct clv_memory_plan {
    uint64_t *block_bytes; /* free with clv_free */
    size_t num_blocks;
    uint64_t total_bytes; /* of all blocks */
    uint64_t lower_bound; /* the largest sum of pieces that live at one step: no plan needs less */
} clv_memory_plan;

/* Fills block and offset of every piece. Pieces are placed by size, the largest first, each where
 * it leaves the smallest gap; close to the lower bound on networks (Pisarchyk and Lee, Efficient
 * Memory Management for Deep Neural Net Inference, 2020, section 5.2). Where that is above the
 * bound, they are also placed as they come to life (those that live long before the others), by
 * their sizes and by rounded ones, and the smallest plan is taken.
 *
 * max_block_bytes  what one buffer of the device may have
 * errors           NO_MEMORY where one piece is larger than that: names it
 */
clv_status *clv_memory_plan_create(
    clv_memory_piece *pieces, size_t num_pieces, uint64_t max_block_bytes,
    clv_memory_plan *out_plan) CLV_CHECKED;
void clv_memory_plan_deinit(clv_memory_plan *plan);

/* Which pieces are done with before which, where steps have no fixed order: piece i before piece j
 * is bit i of row j. Two pieces neither of which is before the other may live at once. */
typedef struct clv_memory_order {
    const uint64_t *before; /* [num_pieces][words]; NULL: no piece is before another */
    size_t words;           /* num_pieces / 64 + 1 */
} clv_memory_order;

/* The same by such an order, whatever the pieces' steps are: those only say which to place first,
 * and the lower bound, which is that of the order of steps. */
clv_status *clv_memory_plan_create_unordered(
    clv_memory_piece *pieces, size_t num_pieces, const clv_memory_order *order,
    uint64_t max_block_bytes, clv_memory_plan *out_plan) CLV_CHECKED;

/* Makes every block `copies` times as large. */
void clv_memory_plan_repeat(clv_memory_plan *plan, uint32_t copies);
/* Adds the blocks of `part` behind those of `whole`. NO_MEMORY. */
clv_status *clv_memory_plan_append(clv_memory_plan *whole, const clv_memory_plan *part) CLV_CHECKED;

/* INTERNAL where two pieces that live at once overlap, or one is outside its block or misaligned:
 * names them. */
clv_status *clv_memory_plan_verify(
    const clv_memory_piece *pieces, size_t num_pieces, const clv_memory_plan *plan) CLV_CHECKED;

#endif
