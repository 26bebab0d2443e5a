/* What the clock keeps while it runs; its parts share it. */
#ifndef CLV_SCHEDULER_CLOCK_STATE_H
#define CLV_SCHEDULER_CLOCK_STATE_H

#include "scheduler/clock.h"

typedef struct clv_clock_heap {
    uint32_t *items;
    size_t count, capacity;
} clv_clock_heap;

/* Running steps that share a memory's bandwidth, or a link. */
typedef struct clv_clock_pool {
    uint32_t *members;
    size_t count, capacity;
    bool is_stale;
} clv_clock_pool;

typedef struct clv_clock {
    const clv_schedule *schedule;
    const clv_machine *machine;
    clv_clock_mode mode;
    double dispatch_us, now_us;
    clv_run *run;
    uint64_t num_started;
    bool has_joint; /* some step occupies several resources */
    /* by step */
    uint32_t *pending, *readers, *event_of_step, *pool_of_step, *place_in_pool;
    uint64_t *first_after;
    uint32_t *after;
    bool *is_ready; /* and not started; pending is 0 from then on */
    double *left_us, *updated_us, *rate, *want;
    /* by resource */
    uint32_t *running; /* step, or CLV_NO_INDEX */
    uint64_t *next_in_order;
    clv_clock_heap *ready;
    bool *is_marked;
    /* by unit */
    double *work_us;       /* of all its steps, where some occupy several resources */
    clv_clock_heap *joint; /* transfers that are ready and occupy it too */
    clv_clock_heap *free_slots;
    clv_clock_heap *idle; /* DYNAMIC, by the first unit of a crew: units that may be free */
    bool *is_idle;        /* is in `idle` */
    uint64_t *held_bytes;
    /* by group, by request */
    uint32_t *next_request, *request_after;
    uint64_t *left_in_request;
    clv_clock_pool *pools; /* memories, then directions of links */
    uint32_t num_pools;
    uint32_t *events;
    size_t num_events;
    clv_clock_heap marked, stale;
} clv_clock;

clv_status *clv_clock_prepare(clv_clock *clock) CLV_CHECKED;
void clv_clock_deinit(clv_clock *clock);
/* What waits for what, where nothing runs and steps are left. */
clv_status *clv_clock_deadlock(const clv_clock *clock) CLV_CHECKED;

#endif
