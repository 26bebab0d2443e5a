/* A timeline: what happened, or would. Spans for each unit and each direction of a link, what they
 * add up to, and how far that is from the best that the plan allows. Pictures are made from it
 * alone.
 */
#ifndef CLV_SCHEDULER_TIMELINE_H
#define CLV_SCHEDULER_TIMELINE_H

#include "scheduler/schedule.h"

typedef struct clv_span {
    double start_us, end_us;
    uint32_t step; /* of the schedule */
    uint32_t slot; /* CLV_NO_INDEX: none */
} clv_span;

typedef struct clv_timeline_row {
    const char *name;  /* of the unit or link; borrowed from the machine */
    uint32_t resource; /* as steps name them: a unit, or num_units + 2 * link + direction */
    bool is_unit;
    uint8_t direction; /* of a link */
    uint64_t first_span, num_spans;
    double busy_us;   /* at least one span */
    double busy;      /* share of the makespan */
    uint32_t buffers; /* of a unit: output buffers used */
    uint64_t bytes;   /* of a unit: most that they held at once */
} clv_timeline_row;

/* No run of this plan, for this number of requests, can be faster than any of these. */
typedef struct clv_bounds {
    double critical_path_us; /* the longest chain of dependences, over requests too where the depth
                                or a serial group makes one wait for another */
    /* Most work, or traffic, on one of them; with the least that must come before its first step,
     * and the least that must come after its last. */
    double unit_us, link_us, memory_us, processors_us;
    double best_us;    /* the largest */
    const char *where; /* "critical path", or the name of what binds; borrowed */
} clv_bounds;

typedef struct clv_timeline {
    clv_span *spans;
    uint64_t num_spans;
    clv_timeline_row *rows; /* units, then directions of links that carried something */
    uint32_t num_rows;
    double makespan_us;
    double period_us;  /* of clv_schedule_period */
    double latency_us; /* of the first request, from its first step to its last */
    double mean_latency_us, max_latency_us;
    double throughput_per_s;
    uint32_t units_used, buffers;
    uint64_t buffer_bytes;
    clv_bounds bounds;
    double distance; /* makespan over bound, minus 1 */
} clv_timeline;

/* `run`: NULL for the predicted one. */
clv_status *clv_timeline_create(
    const clv_schedule *schedule, const clv_run *run, clv_timeline **out_timeline) CLV_CHECKED;
void clv_timeline_destroy(clv_timeline *timeline);
/* `is_dynamic`: of runs in which a crew's units take one another's work. */
clv_status *clv_schedule_bounds(
    const clv_schedule *schedule, bool is_dynamic, clv_bounds *out_bounds) CLV_CHECKED;

#endif
