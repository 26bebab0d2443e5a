/* The period of a plan: how much longer a long run takes for one request more, in the limit
 * (makespan of 2n requests - makespan of n) / n. It belongs to the plan, its depth and the way it
 * is run, not to the number of requests of the run at hand.
 *
 * Requests are dealt to the groups of a plan by their shares, so it is the largest of the groups'
 * own periods times their shares. It is found in as many steps as one grants: where they are fewer
 * than a group needs to become steady, it is as near as that allows.
 */
#ifndef CLV_SCHEDULER_PERIOD_H
#define CLV_SCHEDULER_PERIOD_H

#include "scheduler/schedule.h"

/* Of the schedule that `run` is a run of (NULL: the predicted one). With every request in flight
 * where memory suffices for a long run of that, else with the plan's depth. Of a measured run it is
 * what its own results say. `out_group_us` [num_groups] (NULL: not asked for) are the groups' own
 * periods beside each other; 0 of those that had no request. NO_MEMORY, CANCELLED. */
clv_status *clv_schedule_period(
    const clv_schedule *schedule, const clv_run *run, uint64_t most_steps, double *out_us,
    double *out_group_us) CLV_CHECKED;

#endif
