/* The steps of one request in one group of a plan: what schedule.c repeats for every request. */
#ifndef CLV_SCHEDULER_UNROLL_H
#define CLV_SCHEDULER_UNROLL_H

#include "scheduler/schedule.h"

typedef struct clv_unrolled {
    clv_schedule_step *steps; /* waits are numbers of steps of this request */
    size_t num_steps, capacity_steps;
    uint32_t *waits;
    size_t num_waits, capacity_waits;
} clv_unrolled;

/* scratch_of_unit: [num_units], all CLV_NO_INDEX, as it is afterwards: one for many groups, since a
 * group may have few of many units. */
clv_status *clv_unroll_group(
    const clv_costs *costs, const clv_group *group, uint32_t num_chunks, uint32_t *scratch_of_unit,
    clv_unrolled *out_unrolled) CLV_CHECKED;
void clv_unrolled_deinit(clv_unrolled *unrolled);

#endif
