/* A device with queues at work: what its threads share. For queues*.c. */
#ifndef CLV_EXEC_QUEUES_INTERNAL_H
#define CLV_EXEC_QUEUES_INTERNAL_H

#include "host/exec/executor_internal.h"

enum {
    NUM_ROLES = 3,
    MAX_WAITS = 64,
    NO_STEP = UINT32_MAX,
};

/* A step of a request, order[index]. */
typedef struct queue_place {
    uint64_t request;
    uint32_t index;
} queue_place;

/* All runners'. */
typedef struct queue_set {
    clv_queue *queues[NUM_ROLES];
    uint32_t first_actor;
    uint32_t num_steps;
    uint32_t *order;      /* steps of the device */
    clv_event **events;   /* [ring][num_steps]; NULL for those without */
    clv_event **gates;    /* likewise: what a command waits for besides */
    clv_event **arrivals; /* likewise: what those wait for too who need what came in over a slow
                             link, or what a slow device made */
    uint32_t (*last)[NUM_ROLES]; /* [depth]: the last step that each queue was given */
    clv_signal gated;            /* low bits of the number of requests whose gates are there */
    atomic_bool needs_finish;    /* a command failed: drivers may fail those behind it until then */
    _Atomic uint64_t settled; /* requests below this have ended, some with commands that failed, as
                                 would what waits for these: nobody does */
    uint32_t num_good;        /* the waiter's: of its request, steps from the first on that are said
                                 to have ended well */
    uint64_t last_failed;     /* request with a command that failed, from 1; 0: none */
    char last_failure[256];
    pthread_mutex_t look_lock; /* guards what those know who look ahead (clv_queues_look_ahead): */
    queue_place looked[NUM_ROLES]; /* of each queue, the first step not known to have ended well */
    uint64_t seen_failed;          /* as last_failed */
    char seen_failure[256];
    clv_runner *enqueuer, *carrier;
    clv_buffer *word; /* that the clock is read by; NULL: it never was */
    double speed;     /* 1: as fast as it is; else: */
    clv_runner *pacer;
    _Atomic uint32_t *took_ns; /* [num_steps]: kernels, when last run; 0: not known */
    clv_event *pause;          /* the enqueuer's: what the next launch waits for; or NULL, */
    uint64_t pause_request;    /* and of which request it is */
    uint64_t free_ns;          /* the pacer's: when the slow device is through with all before; */
    uint64_t seen_ns; /* and its clock: the host's is offset_ns ahead of it, as seen then */
    int64_t offset_ns;
    _Atomic uint64_t link_ns; /* that slow links took, of requests that have not ended */
} queue_set;

/* Requests whose events are kept: threads that are at a request look at events of up to depth - 1
 * before it, while the first one is up to depth - 1 ahead of them. */
static inline uint32_t ring_of(const clv_runner *runner) {
    return 2 * runner->executor->depth;
}

static inline size_t at_request(const clv_runner *runner, const queue_set *set, uint64_t request) {
    return (size_t)(request % ring_of(runner)) * set->num_steps;
}

static inline clv_event **events_of(
    const clv_runner *runner, const queue_set *set, uint64_t request) {
    return &set->events[at_request(runner, set, request)];
}

static inline const clv_item *item_of(const clv_runner *runner, uint32_t step) {
    const clv_step_program *p = runner->executor->program;
    return &p->actors[p->actor_of_step[step]].items[p->item_of_step[step]];
}

static inline const clv_step *step_at(const clv_runner *runner, uint32_t step) {
    return &runner->executor->program->lowered->steps[step];
}

static inline uint32_t role_of(const clv_runner *runner, const queue_set *set, uint32_t step) {
    return runner->executor->program->actor_of_step[step] - set->first_actor;
}

static inline bool is_slow(
    const clv_runner *runner, const queue_set *set, uint32_t step, uint32_t role) {
    return step_at(runner, step)->has_link && role_of(runner, set, step) == role;
}

enum { UPLOAD = 0, DOWNLOAD = 2 };
enum { ENQUEUER, WAITER, CARRIER }; /* who is delayed */

static inline bool is_paced(const clv_runner *runner, const queue_set *set, uint32_t step) {
    return set->speed != 1 && step_at(runner, step)->kind == CLV_STEP_LAUNCH;
}

/* With delays (debug.h) every command has: they end as late as that says. */
static inline bool has_gate(const clv_runner *runner, const queue_set *set, uint32_t step) {
    return runner->executor->options.debug.delays || item_of(runner, step)->is_gated ||
           is_slow(runner, set, step, UPLOAD);
}

/* Steps of a request that were enqueued, of those in `order`; num_steps + 1: whoever enqueues is
 * through with the request. */
static inline uint32_t enqueued_count(const queue_set *set, uint64_t number, uint32_t count) {
    return (uint32_t)(number * ((uint64_t)set->num_steps + 2) + count);
}

static inline uint32_t all_enqueued(const queue_set *set, uint64_t number) {
    return enqueued_count(set, number, set->num_steps + 1);
}

typedef struct wait_list {
    clv_event *events[MAX_WAITS];
    uint32_t count;
} wait_list;

/* What failed at a step, with its name; NULL for NULL. Takes `status`. */
static inline clv_status *at_step(const clv_runner *runner, uint32_t step, clv_status *status) {
    return status == NULL ? NULL : clv_status_prefix(status, "'%s'", step_at(runner, step)->name);
}

/* queues.c: what a step of the device is to wait for, by events; an error where that is too much.
 */
clv_status *clv_queues_find_waits(
    const clv_runner *runner, const queue_set *set, uint32_t step, const clv_slot *slot,
    wait_list *list) CLV_CHECKED;

/* queues_gates.c: the threads that wait for other units, and for a slow device. */
void clv_queues_run_carrier(clv_runner *runner, clv_slot *slot);
void clv_queues_run_pacer(clv_runner *runner, clv_slot *slot);
/* The event of a step, order[index], once it is enqueued; NULL: it never was. */
clv_event *clv_queues_event_when_there(
    clv_runner *runner, queue_set *set, uint32_t index, const clv_slot *slot, uint32_t step);
/* Until what the device itself must have done before a step has been done. */
void clv_queues_await_own(
    const clv_runner *runner, queue_set *set, uint32_t step, const clv_slot *slot);
/* For the record: when a slow link was at a step. */
void clv_queues_note_link(
    const clv_runner *runner, queue_set *set, const clv_slot *slot, uint32_t step,
    clv_link_time booked);

/* queues_wait.c: the thread that waits for requests to end. */
void clv_queues_run_waiter(clv_runner *runner, clv_slot *slot);

#endif
