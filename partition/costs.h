/* Times of tasks on the units of one machine: the table that every policy works on. */
#ifndef CLV_PARTITION_COSTS_H
#define CLV_PARTITION_COSTS_H

#include "host/machine/machine.h"
#include "partition/workload.h"

#include <math.h>

struct clv_costs;
struct clv_group; /* partition/plan.h */

/* What groups of units do with requests on the clock. */
typedef struct clv_steady {
    double period_us;   /* between results; of one request: its latency */
    double latency_us;  /* of one request alone */
    uint32_t in_flight; /* requests under way at once */
    /* [num_units], of whoever asks: the most that each unit holds at once. NULL: not asked for. */
    uint64_t *memory_bytes;
    uint32_t *requests; /* [num_groups], likewise: how many of the run each group had */
    /* [num_groups], likewise, for many requests: each group's own beside the others; 0 of one that
     * got none. */
    double *group_period_us;
} clv_steady;

typedef enum clv_clock_load {
    CLV_ONE_REQUEST,
    CLV_PLANNED_REQUESTS, /* many, as many in flight in each group as its depth */
    CLV_ALL_REQUESTS,     /* many, as many in flight as buffers allow */
} clv_clock_load;

/* Runs groups, whose shares add up to 1. UNSUPPORTED: a deadlock, with its cycle. NO_MEMORY. */
typedef clv_status *(*clv_ask_clock)(
    const struct clv_costs *costs, const struct clv_group *groups, uint32_t num_groups,
    clv_clock_load load, clv_steady *out_steady);

/* What each unit holds at most, [num_units] bytes, while groups run at their depths: as whoever
 * runs them takes it. NO_MEMORY, UNSUPPORTED. */
typedef clv_status *(*clv_ask_memory)(
    const struct clv_costs *costs, const struct clv_group *groups, uint32_t num_groups,
    uint64_t *out_bytes);

/* Units that are alike for every task (same times, memory bandwidth, ...) share a class: a row for
 * 1,024 equal GPUs.
 *
 * On a bespoke machine a task runs on units of one kind only, and has times for the classes of that
 * kind: ten thousand tasks with a unit each are ten thousand times. Elsewhere all are one kind. */
typedef struct clv_costs {
    const clv_workload *workload; /* borrowed, as is the machine */
    const clv_machine *machine;
    clv_routes *routes;
    uint32_t num_classes;
    uint32_t *class_of_unit; /* [num_units] */
    uint32_t *unit_of_class; /* [num_classes]: the first of each */
    uint32_t *next_of_class; /* [num_classes]: the second; CLV_NO_INDEX: there is one alone */
    uint32_t num_kinds;
    uint32_t *kind_of_task;    /* [num_tasks]; num_kinds: there is no unit of its kind */
    uint32_t *kind_of_class;   /* [num_classes] */
    uint32_t *first_of_kind;   /* [num_kinds + 2] into classes_by_kind */
    uint32_t *classes_by_kind; /* [num_classes], ascending within a kind */
    uint32_t num_columns;      /* classes of the largest kind */
    uint32_t *column_of_class; /* [num_classes] */
    /* Classes of which nothing but the speed differs share a cell: of 65,536 unlike units the
     * tables have one. */
    uint32_t num_cells;      /* of the kind that has most */
    uint32_t *cell_of_class; /* [num_classes] */
    uint32_t *lead_of_class; /* [num_classes]: the slowest class of its cell */
    double *speed_of_class;  /* [num_classes] */
    double *time_us;         /* [num_tasks][num_cells]: alone on such a unit of speed 1, launch not
                           counted; INFINITY: cannot */
    double *traffic_us; /* [num_tasks][num_cells]: its memory traffic at the unit's full bandwidth;
                           of all its time (negative) a part, which was measured with it */
    uint8_t *origin;    /* [num_tasks][num_cells], clv_origin */
    uint32_t *first_reader; /* [num_tensors + 1] into reader_input */
    uint32_t *reader_input; /* by reader of a tensor: which of the reader's inputs it is */
    /* What no sum of times tells: units whose output buffers are full hold one another up, and
     * transfers and memory traffic come when they come. Whoever makes the table sets it, to
     * clv_steady_state of the scheduler. NULL: plans are measured by sums alone. */
    clv_ask_clock ask_clock;
    /* What no sum of tensors tells: how they lie in memory, and what kernels need besides. Whoever
     * can tell sets it; borrowed, with its context. NULL: sums and the clock tell. */
    clv_ask_memory ask_memory;
    const void *memory_context;
} clv_costs;

/* costs->ask_memory, where it is there and does not find groups that no session would take
 * (*out_is_known). */
clv_status *clv_costs_ask_memory(
    const clv_costs *costs, const struct clv_group *groups, uint32_t num_groups,
    uint64_t *out_bytes, bool *out_is_known) CLV_CHECKED;

/* UNSUPPORTED names a task that no unit can run. */
clv_status *clv_costs_create(
    const clv_workload *workload, const clv_machine *machine, clv_costs **out_costs) CLV_CHECKED;
void clv_costs_destroy(clv_costs *costs);

/* Classes that the task may have a time for; borrowed. */
static inline const uint32_t *clv_costs_classes(
    const clv_costs *costs, uint32_t task, uint32_t *out_count) {
    const uint32_t *first = &costs->first_of_kind[costs->kind_of_task[task]];
    *out_count = first[1] - first[0];
    return costs->classes_by_kind + first[0];
}

/* The place of a task and one of those classes in the tables. */
static inline size_t clv_costs_at(const clv_costs *costs, uint32_t task, uint32_t class) {
    return (size_t)task * costs->num_cells + costs->cell_of_class[class];
}

static inline bool clv_costs_has(const clv_costs *costs, uint32_t task, uint32_t class) {
    return costs->kind_of_task[task] == costs->kind_of_class[class];
}

/* Alone on the unit, speed counted, launch not; INFINITY: cannot. */
static inline double clv_costs_time_us(const clv_costs *costs, uint32_t task, uint32_t unit) {
    uint32_t class = costs->class_of_unit[unit];
    return clv_costs_has(costs, task, class)
               ? costs->time_us[clv_costs_at(costs, task, class)] / costs->speed_of_class[class]
               : (double)INFINITY;
}

/* Of that, how long its memory traffic takes at the unit's full bandwidth. */
static inline double clv_costs_traffic_us(const clv_costs *costs, uint32_t task, uint32_t unit) {
    uint32_t class = costs->class_of_unit[unit];
    double time_us = clv_costs_time_us(costs, task, unit), traffic_us = 0;
    if (clv_costs_has(costs, task, class)) {
        traffic_us = costs->traffic_us[clv_costs_at(costs, task, class)];
        traffic_us = traffic_us < 0 ? -traffic_us * time_us : fmin(traffic_us, time_us);
    }
    return traffic_us;
}

static inline clv_origin clv_costs_origin(const clv_costs *costs, uint32_t task, uint32_t unit) {
    uint32_t class = costs->class_of_unit[unit];
    return clv_costs_has(costs, task, class)
               ? (clv_origin)costs->origin[clv_costs_at(costs, task, class)]
               : CLV_ORIGIN_NONE;
}

/* Whether some time was measured: such a table is as exact as measuring is, others are exact. */
bool clv_costs_are_measured(const clv_costs *costs);

/* Which input of its reader-th consumer a tensor is. */
static inline uint32_t clv_reader_input(const clv_costs *costs, uint32_t tensor, uint32_t reader) {
    return costs->reader_input[costs->first_reader[tensor] + reader];
}

/* Time for `bytes` to go from one unit's memory (CLV_NO_INDEX: the one that holds inputs and
 * outputs) to another's, alone on its links: 0 within a memory, INFINITY where there is no path.
 * Error: NO_MEMORY. */
clv_status *clv_costs_transfer_us(
    const clv_costs *costs, uint32_t from_unit, uint32_t to_unit, double bytes,
    double *out_us) CLV_CHECKED;

#endif
