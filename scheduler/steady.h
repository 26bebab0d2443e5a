/* What a plan does once it is under way, as the clock has it: no sum of times has what full buffers
 * hold up, and what comes at a bad moment.
 */
#ifndef CLV_SCHEDULER_STEADY_H
#define CLV_SCHEDULER_STEADY_H

#include "scheduler/schedule.h"

/* The clv_ask_clock of clv_costs. */
clv_status *clv_steady_state(
    const clv_costs *costs, const clv_group *groups, uint32_t num_groups, clv_clock_load load,
    clv_steady *out_steady) CLV_CHECKED;

/* Requests that nobody asked for: enough for a steady state with so many in flight, and steps that
 * take a moment. */
uint32_t clv_steady_requests(uint32_t depth, uint32_t num_tasks);

/* How many requests of a run (NULL: the predicted one) were under way at once, in all groups
 * together. */
clv_status *clv_run_in_flight(const clv_schedule *schedule, const clv_run *run, uint32_t *out_count)
    CLV_CHECKED;

#endif
