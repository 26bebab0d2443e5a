/* Which steps of a request must come after which, by what they read and write of each storage: the
 * partial order that holds in whatever order steps run. Storages that lie in the same bytes are not
 * seen here: memory is planned so that only those do whose steps this order keeps apart.
 */
#ifndef CLV_EXEC_STEP_ORDER_H
#define CLV_EXEC_STEP_ORDER_H

#include "host/exec/lower.h"

typedef struct clv_step_order {
    uint32_t *first;  /* [num_steps + 1]: into before */
    uint32_t *before; /* of each step, those that it waits for: all have smaller numbers */
    size_t num_steps, capacity_before;
} clv_step_order;

/* What comes after what beside that. */
typedef enum clv_step_turns {
    CLV_TURNS_NONE,  /* nothing */
    CLV_TURNS_UNITS, /* each step after its unit's one before it in the list */
    CLV_TURNS_ALL,   /* each step after the one before it in the list */
} clv_step_turns;

/* NO_MEMORY. */
clv_status *clv_step_order_create(
    const clv_lowered *lowered, clv_step_turns turns, clv_step_order *out_order) CLV_CHECKED;
void clv_step_order_deinit(clv_step_order *order);

/* For planning memory: of `count` storages (by index into lowered->storages), which are done with
 * before which. *out_before is what clv_memory_order needs; free with clv_free. NULL where there
 * are so many steps that it would take too much. */
clv_status *clv_step_order_storages(
    const clv_step_order *order, const clv_lowered *lowered, const uint32_t *storages, size_t count,
    uint64_t **out_before) CLV_CHECKED;

#endif
