/* What a group of a plan does once it is under way: the clock's answer where no sum of times has
 * it, as units with few output buffers hold one another up.
 */
#ifndef CLV_SCHEDULER_STEADY_H
#define CLV_SCHEDULER_STEADY_H

#include "scheduler/schedule.h"

/* The clv_ask_clock of clv_costs: one request alone for the latency, then as many as fill every
 * buffer, four times over. */
clv_status *clv_steady_state(
    const clv_costs *costs, const clv_group *group, uint32_t depth,
    clv_steady *out_steady) CLV_CHECKED;

/* How many requests of a run (NULL: the predicted one) were under way at once, in all groups
 * together. */
clv_status *clv_run_in_flight(const clv_schedule *schedule, const clv_run *run, uint32_t *out_count)
    CLV_CHECKED;

#endif
