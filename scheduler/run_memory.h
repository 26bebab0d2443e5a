/* What a run holds in memory: more requests in flight hold more. */
#ifndef CLV_SCHEDULER_RUN_MEMORY_H
#define CLV_SCHEDULER_RUN_MEMORY_H

#include "scheduler/schedule.h"

/* The most that each unit holds at once: weights of what runs there, its outputs until their last
 * reader has ended, and copies of what came over links, not before requests that are slow at first
 * have ended; or, where depths are limited, what costs->ask_memory says.
 *
 * run        NULL: the predicted one
 * out_bytes  [num_units] */
clv_status *clv_run_memory(const clv_schedule *schedule, const clv_run *run, uint64_t *out_bytes)
    CLV_CHECKED;

/* What units hold at most at their groups' depths in any run, whatever comes first of what is ready
 * and however long it is: io_bytes [num_units], more where that is more. Only for groups with
 * several requests in flight and tensors that move between units within a stage, where no run tells
 * it, and not for those of very many steps. */
clv_status *clv_most_memory(
    const clv_costs *costs, const clv_group *groups, uint32_t num_groups,
    uint64_t *io_bytes) CLV_CHECKED;

#endif
