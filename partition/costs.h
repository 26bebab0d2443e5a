/* Times of tasks on the units of one machine: the table that every policy works on. */
#ifndef CLV_PARTITION_COSTS_H
#define CLV_PARTITION_COSTS_H

#include "host/machine/machine.h"
#include "partition/workload.h"

struct clv_costs;
struct clv_group; /* partition/plan.h */

/* What a group of units does with many requests, by itself. */
typedef struct clv_steady {
    double period_us;   /* between results */
    double latency_us;  /* of one request alone */
    uint32_t in_flight; /* requests under way at once */
} clv_steady;

/* Runs a group with at most `depth` requests in flight (0: as many as its buffers allow).
 * UNSUPPORTED: a deadlock, with its cycle. NO_MEMORY. */
typedef clv_status *(*clv_ask_clock)(
    const struct clv_costs *costs, const struct clv_group *group, uint32_t depth,
    clv_steady *out_steady);

/* Units that are alike for every task (same times, memory bandwidth, ...) share a class: a row for
 * 1,024 equal GPUs. */
typedef struct clv_costs {
    const clv_workload *workload; /* borrowed, as is the machine */
    const clv_machine *machine;
    clv_routes *routes;
    uint32_t num_classes;
    uint32_t *class_of_unit; /* [num_units] */
    uint32_t *unit_of_class; /* [num_classes]: the first of each */
    double *time_us;    /* [num_tasks][num_classes]: alone on the unit, speed counted, launch not;
                           INFINITY: cannot */
    double *traffic_us; /* [num_tasks][num_classes]: its memory traffic at the unit's full
                           bandwidth; <= time */
    uint8_t *origin;    /* [num_tasks][num_classes], clv_origin */
    /* How units whose output buffers are full hold one another up, which no sum of times tells.
     * Whoever makes the table sets it, to clv_steady_state of the scheduler. NULL: plans are
     * measured as if there were buffers enough. */
    clv_ask_clock ask_clock;
} clv_costs;

/* UNSUPPORTED names a task that no unit can run. */
clv_status *clv_costs_create(
    const clv_workload *workload, const clv_machine *machine, clv_costs **out_costs) CLV_CHECKED;
void clv_costs_destroy(clv_costs *costs);

static inline double clv_costs_time_us(const clv_costs *costs, uint32_t task, uint32_t unit) {
    return costs->time_us[(size_t)task * costs->num_classes + costs->class_of_unit[unit]];
}
/* Time for `bytes` to go from one unit's memory to another's, alone on its links: 0 within a
 * memory, INFINITY where there is no path. Error: NO_MEMORY. */
clv_status *clv_costs_transfer_us(
    const clv_costs *costs, uint32_t from_unit, uint32_t to_unit, double bytes,
    double *out_us) CLV_CHECKED;

#endif
