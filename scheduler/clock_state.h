/* What the clock keeps while it runs; its parts share it. */
#ifndef CLV_SCHEDULER_CLOCK_STATE_H
#define CLV_SCHEDULER_CLOCK_STATE_H

#include "scheduler/clock.h"

typedef struct clv_clock_heap {
    uint32_t *items;
    size_t count, capacity;
} clv_clock_heap;

/* Items of a queue know their places in it: arrays of clv_clock. */
typedef clv_clock_heap clv_clock_queue;

/* Running steps that share a memory's bandwidth, or a link: clock_share.c. */
typedef struct clv_clock_pool {
    clv_clock_queue free;    /* steps that draw what they want, most first */
    clv_clock_queue limited; /* and those that draw an even share of the rest, least first */
    clv_clock_queue ends;    /* the limited ones by what they end at */
    uint64_t num_exact, num_counted; /* wants of those that are free */
    double share;                    /* of each that is limited */
    double drawn; /* at updated_us, by each since the first began: microseconds of all */
    double updated_us;
    double next_us; /* when the first that is limited ends */
    bool is_event;  /* next_us is among the events */
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
    uint32_t *pending, *readers, *pool_of_step, *place_in_pool;
    uint32_t *event_of_step; /* and by pool: place in `events`, or in its pool's `ends` */
    uint64_t *first_after;
    uint32_t *after;
    bool *is_ready; /* and not started; pending is 0 from then on */
    bool *is_limited;
    double *want;        /* of its pool, alone */
    double *virtual_end; /* limited: what its pool has drawn when it ends */
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
    /* Groups of processors that have fewer of them than threads: clock_pace.c. NULL: none */
    struct clv_clock_pace *pace;
    clv_clock_pool *pools; /* memories, then directions of links */
    uint32_t num_pools;
    clv_clock_queue events; /* running steps, and num_steps + pool */
    clv_clock_heap marked;
    clv_clock_heap stale; /* pools, in any order */
} clv_clock;

clv_status *clv_clock_prepare(clv_clock *clock) CLV_CHECKED;
void clv_clock_deinit(clv_clock *clock);
/* What waits for what, where nothing runs and steps are left. */
clv_status *clv_clock_deadlock(const clv_clock *clock) CLV_CHECKED;

/* What runs; false: out of memory. */

/* A step that has begun and ends at run->end_us, with all that it wants. */
bool clv_clock_add_event(clv_clock *clock, uint32_t step);
/* Or one that wants that part (over 0, 1 at most) of a pool. */
bool clv_clock_share(clv_clock *clock, uint32_t pool, uint32_t step, double want);
/* A running step goes on `factor` times as fast as it would by itself until now, and draws as many
 * times as much. */
bool clv_clock_quicken(clv_clock *clock, uint32_t step, double factor);
/* To be called when all that begins now has begun. */
bool clv_clock_set_shares(clv_clock *clock);
/* INFINITY: nothing runs. */
double clv_clock_next_us(const clv_clock *clock);
/* One that ends at clv_clock_next_us, which is now. */
bool clv_clock_take_ended(clv_clock *clock, uint32_t *out_step);
/* When a running step will end as things are. */
double clv_clock_end_us(const clv_clock *clock, uint32_t step);

/* Launches on processors that units share: told of each that begins or ends. */
bool clv_clock_pace_init(clv_clock *clock);
void clv_clock_pace_deinit(clv_clock *clock);
void clv_clock_pace_begin(clv_clock *clock, uint32_t step);
void clv_clock_pace_end(clv_clock *clock, uint32_t step);
/* And, when all that begins now has begun, how fast they go on; false: out of memory. */
bool clv_clock_set_paces(clv_clock *clock);

#endif
