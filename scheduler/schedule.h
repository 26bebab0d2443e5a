/* A schedule: when. For each unit and each direction of a link an ordered list of steps with
 * predicted times, dependences and buffer slots.
 *
 * A plan is unrolled into `num_requests` requests (each of one of the plan's groups). For endless
 * replay the steady state repeats with `period`: request r + period does what request r did, later.
 */
#ifndef CLV_SCHEDULER_SCHEDULE_H
#define CLV_SCHEDULER_SCHEDULE_H

#include "partition/plan.h"

typedef enum clv_schedule_step_kind {
    CLV_SCHEDULE_LAUNCH, /* a piece of a task on its unit */
    CLV_SCHEDULE_SEND,   /* a tensor (or part) over one hop of its path */
    CLV_SCHEDULE_JOIN,   /* adding the pieces of a SUM split, or gathering, on a unit */
} clv_schedule_step_kind;

typedef struct clv_schedule_step {
    clv_schedule_step_kind kind;
    uint32_t request;
    uint32_t task;                  /* LAUNCH, JOIN */
    uint32_t piece;                 /* of the group's pieces */
    uint32_t tensor;                /* SEND: what moves */
    uint32_t resource;              /* unit, or num_units + 2 * link + direction */
    uint64_t bytes;                 /* SEND */
    double duration_us, traffic_us; /* alone */
    double start_us, end_us;        /* predicted */
    uint32_t first_wait, num_waits; /* of `waits`: steps that must have ended */
    uint32_t slot; /* LAUNCH: the output buffer that it writes, among those of its unit */
} clv_schedule_step;

typedef struct clv_schedule {
    clv_arena arena;
    const clv_costs *costs; /* borrowed, as is the plan */
    const clv_plan *plan;
    uint32_t num_requests, depth;
    clv_schedule_step *steps; /* sorted by request, then topologically */
    uint64_t num_steps;
    uint32_t *waits;
    uint64_t num_waits;
    uint32_t num_resources;
    uint64_t *order_offsets; /* [num_resources + 1] into `order` */
    uint32_t *order;         /* steps of each resource in the order they run there */
    double makespan_us;
} clv_schedule;

#endif
