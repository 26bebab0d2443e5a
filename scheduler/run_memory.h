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

#endif
