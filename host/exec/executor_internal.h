/* What the executor and its runners share. */
#ifndef CLV_EXEC_EXECUTOR_INTERNAL_H
#define CLV_EXEC_EXECUTOR_INTERNAL_H

#include "host/base/threads.h"
#include "host/exec/events.h"
#include "host/exec/executor.h"
#include "host/exec/ready.h"
#include "host/exec/watchdog.h"

/* How long one spins before it sleeps: a sleeper takes some 50 us to wake. Within a request a
 * neighbour is seldom later than that; between requests a core must not burn for long. */
enum {
    CLV_STEP_SPIN_NS = 2000000,
    CLV_IDLE_SPIN_NS = 50000,
    CLV_QUEUE_SPIN_NS = 20000, /* threads that look after a device compute nothing themselves */
    CLV_CROWDED_SPIN_NS = 2000,
};

/* A request in flight. */
typedef struct clv_slot {
    uint64_t number;
    bool is_busy;     /* guarded by the executor's lock */
    clv_view *inputs; /* [num_inputs] */
    clv_mutable_view *outputs;
    clv_item_span *spans;           /* NULL: not wanted; of the record where there is one */
    clv_recorded_request *recorded; /* NULL: not wanted */
    _Atomic uint32_t remaining;     /* runners that are not through */
    atomic_bool has_failed;
    clv_status *status; /* guarded by the executor's lock until remaining is 0 */
    clv_done_function done;
    void *context;
    clv_status **out_status; /* of a caller that waits; instead of done */
    clv_signal finished;     /* low bits of number + 1 */
} clv_slot;

/* The caller's tensor of an INPUT, which is only read, or OUTPUT step. */
static inline char *clv_slot_tensor(const clv_slot *slot, const clv_step *step) {
    return step->kind == CLV_STEP_INPUT ? (char *)(uintptr_t)slot->inputs[step->index].data
                                        : slot->outputs[step->index].data;
}

typedef struct clv_runner clv_runner;
struct clv_runner {
    clv_executor *executor;
    uint32_t unit, actor, lane;
    bool is_last;   /* a request waits for it to be through */
    bool has_stats; /* its times are the unit's */
    bool feeds;     /* with tasks: a device with queues */
    bool is_idle;   /* it has nothing to do in any request, and no thread */
    void (*run)(clv_runner *runner, clv_slot *slot);
    void (*deinit)(clv_runner *runner); /* NULL: nothing to do */
    void *state;
    uint64_t spin_ns;     /* before it sleeps, within a request */
    int processor;        /* that its thread is bound to; -1: any */
    pthread_mutex_t seat; /* held by whoever runs it */
    pthread_t thread;
    bool has_thread;
    _Atomic uint64_t next;  /* request; written by whoever has the seat */
    clv_unit_stats now;     /* of the request at hand; guarded by the seat */
    _Atomic uint64_t at;    /* clv_at, for the watchdog */
    _Atomic uint64_t late;  /* where it was when it took too long; 0: it never did */
    uint32_t index_of_unit; /* among the unit's runners */
    bool has_siblings;
    clv_runner *carrier; /* of who waits for a device with queues: who opens its gates */
    double expected_us;  /* then: of all steps of the device, of all requests in flight */
    pthread_mutex_t stats_lock;
    clv_unit_stats stats; /* of all before it; guarded by its lock */
    clv_signal wanted;    /* 1: its thread is to look for requests; or quit */
    char own_line[64];    /* runners do not share cache lines */
    clv_signal progress;  /* number * (num_items + 1) + items done */
    char other_line[64];
};

/* What a queue has done, for other units: as the progress of a lane. */
typedef struct clv_published {
    char own_line[64];
    clv_signal progress;
    char other_line[64];
} clv_published;

/* What is declared of a unit: when its link is free again, in each direction; and in dynamic runs,
 * a slow device's kernel, of which there is one at a time. */
typedef struct clv_pace {
    pthread_mutex_t link_lock, kernel_lock;
    uint64_t free_ns[2];
} clv_pace;

struct clv_executor {
    clv_executor_options options;
    const clv_prepared *prepared;
    const clv_step_program *program;
    clv_runner *runners;
    uint32_t num_runners, num_last;
    uint32_t *first_runner; /* [num_actors + 1]: lanes of an actor */
    uint32_t num_own;       /* runners from the first on that a waiting caller may do the work of */
    size_t *first_span;     /* [num_actors + 1]; with tasks [num_steps + 1] */
    clv_slot *slots;        /* [depth] */
    clv_published *published;       /* [num_actors]; used of queues */
    clv_pace *paces;                /* [num_units] */
    clv_recorded_request *recorded; /* [num_recorded]: request r is at r mod num_recorded */
    uint32_t num_recorded;
    uint64_t first_recorded;  /* number of a request; guarded by the lock */
    clv_device_clock *clocks; /* [num_actors]; of the first queue of a device */
    uint32_t depth;
    clv_ready *ready; /* with tasks; else NULL */
    clv_watchdog *watchdog;
    uint64_t step_spin_ns, idle_spin_ns;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    _Atomic uint64_t submitted;
    atomic_bool quit, has_told_stuck;
};

/* The request ends with `status` too, which is taken; no step of it does anything from now on. The
 * runner's unit is to blame where a device failed. */
void clv_runner_fail(const clv_runner *runner, clv_slot *slot, clv_status *status);
/* What a runner has done took longer than it may: the request fails. */
void clv_runner_check_late(clv_runner *runner, clv_slot *slot);
/* Something never ends: whom the options name is told, or the log, once for the executor. */
void clv_executor_tell_stuck(clv_executor *executor, const char *message);
/* A runner that is_last is through with a request. */
void clv_executor_leave(clv_executor *executor, clv_slot *slot);
/* Waits, and counts the time. */
void clv_runner_wait(clv_runner *runner, clv_signal *signal, uint32_t value);
bool clv_executor_is_cancelled(const clv_executor *executor);
/* Waits until what an item waits for has been done; only_others: of other units alone. */
void clv_runner_await(
    clv_runner *runner, const clv_item *item, const clv_slot *slot, bool only_others);
/* Books the step's link from now on, or from when it is free; when that begins and is over. */
typedef struct clv_link_time {
    uint64_t begin_ns, end_ns;
} clv_link_time;
clv_link_time clv_executor_book_link(clv_executor *executor, const clv_step *step);
/* The step is done with its link, or will not be done: what is left of the booking is others'. */
void clv_executor_leave_link(clv_executor *executor, const clv_step *step, clv_link_time booked);
/* Until the link is through, or the run is cancelled; then leaves it. */
void clv_executor_await_link(clv_executor *executor, const clv_step *step, clv_link_time booked);
/* Until then, by the clock of clv_time_ns; cancelling ends it. */
void clv_executor_sleep_until(const clv_executor *executor, uint64_t end_ns);
/* For debugging: `who` comes to a step later. */
static inline void clv_executor_delay(
    const clv_executor *executor, const clv_slot *slot, uint32_t step, uint32_t who) {
    if (executor->options.debug.delays) {
        const uint64_t ns = clv_debug_delay_ns(&executor->options.debug, slot->number, step, who);
        clv_executor_sleep_until(executor, clv_time_ns() + ns);
    }
}
/* Counter of a request in which an actor has done its items before `item`. */
static inline uint32_t clv_actor_count(const clv_actor *actor, uint64_t number, uint32_t item) {
    return (uint32_t)(number * ((uint64_t)actor->num_items + 1) + item);
}
static inline void clv_runner_at(
    clv_runner *runner, const clv_slot *slot, uint32_t step, unsigned state) {
    atomic_store_explicit(&runner->at, clv_at(slot->number, step, state), memory_order_relaxed);
}
static inline bool clv_slot_has_failed(const clv_slot *slot) {
    return atomic_load_explicit(&slot->has_failed, memory_order_relaxed);
}

/* lanes.c: threads of cores. One runner for each lane of actor `actor`. */
clv_status *clv_lanes_init(clv_executor *executor, uint32_t actor, clv_runner *runners) CLV_CHECKED;
/* What a lane does: bytes [0] to [1] of a transfer (is_first: of those who share it), a launch;
 * and making time pass for a unit that is declared slow. */
void clv_lane_transfer(
    clv_runner *lane, const clv_step *step, const clv_slot *slot, const uint64_t bytes[2],
    bool is_first);
void clv_lane_stretch(const clv_executor *executor, uint64_t begin_ns, double speed);
clv_status *clv_lane_enqueue(
    const clv_runner *lane, const clv_step *step, clv_kernel *kernel,
    uint64_t num_items) CLV_CHECKED;
/* dynamic.c: lanes that take what is ready. A runner for each lane of all crews. */
clv_status *clv_dynamic_init(clv_executor *executor) CLV_CHECKED;
void *clv_dynamic_thread(void *runner);
void clv_dynamic_begin(clv_executor *executor, clv_slot *slot);
/* Takes the place of the first lane's thread for request `number`, where nobody else has it; then
 * works as that until the request is done, and leaves it. */
bool clv_dynamic_sit(clv_executor *executor, uint64_t number);
void clv_dynamic_work(clv_executor *executor);
/* queues*.c: a device with queues: CLV_QUEUE_RUNNERS runners, for all three actors from `actor` on.
 */
enum { CLV_QUEUE_RUNNERS = 4 };
clv_status *clv_queues_init(clv_executor *executor, uint32_t actor, clv_runner *runners)
    CLV_CHECKED;
/* Before a request is said to have ended well: an error where a command of a later one has failed
 * by now. Some drivers (Intel's) end what waits for that at once and run what is behind it in its
 * queue, which should have waited too: memory that the request used may have been overwritten. */
clv_status *clv_queues_look_ahead(const clv_runner *enqueuer, const clv_slot *slot) CLV_CHECKED;
/* Compares the device's clock with the host's. While nothing runs. */
clv_status *clv_queues_take_clock(clv_runner *enqueuer, clv_clock_sample *out_sample) CLV_CHECKED;

/* events.c: opens a gate of a step, NULL: none, of a device with queues. A failure is that of the
 * request; returns once the gate is open all the same. */
void clv_runner_open_gate(const clv_runner *runner, clv_slot *slot, uint32_t step, clv_event *gate);

/* executor_record.c: what is kept of requests. */
clv_status *clv_executor_record_init(clv_executor *executor, size_t num_spans) CLV_CHECKED;
void clv_executor_record_deinit(clv_executor *executor);
/* A request begins, with the lock, and has ended. */
void clv_executor_record_submit(clv_executor *executor, clv_slot *slot);
void clv_executor_record_leave(clv_slot *slot, bool is_whole);

#endif
