/* Times that were measured, for the tasks of a workload and their pieces. */
#ifndef CLV_WORKLOAD_MEASURED_H
#define CLV_WORKLOAD_MEASURED_H

#include "partition/workload.h"

/* Adds a time to every task that has one: its time on a unit or kind of unit. Tasks whose time is
 * given keep to that; units that are not named keep their estimates.
 *
 * where    name or kind of a unit; copied
 * time_us  [num_tasks]; NAN: not known
 * draws    [num_tasks], as clv_task_time, NAN: not known; NULL: of none
 * errors   NO_MEMORY */
clv_status *clv_workload_add_measured(
    clv_workload *workload, const char *where, const double *time_us,
    const double *draws) CLV_CHECKED;

/* Adds what a piece of each task was measured to take to what is known of others; of the same piece
 * the longest counts.
 *
 * split   of each task that has that many; UINT32_MAX: its shares
 * pieces  [num_tasks]; a share or part of NAN, of 0, or a share of 1: none
 * errors  NO_MEMORY */
clv_status *clv_workload_add_pieces(
    clv_workload *workload, uint32_t split, const clv_task_piece *pieces) CLV_CHECKED;

#endif
