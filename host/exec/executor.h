/* Runs the program of a group of units, request after request, up to `depth` of them at once.
 *
 * Every lane of a core has a thread, every device with queues has up to four: one enqueues, one
 * waits for what was enqueued, one for what other units must have done first, one makes time pass
 * where the device is declared slow. Each goes through requests in order. A caller that has to wait
 * for its request anyway does the work of the first lane itself, where nobody is at it.
 *
 * Where steps have no fixed order (options.tasks), every lane takes what is ready: see ready.h.
 *
 * A request that fails goes on to its end without doing anything, so nobody waits for it in vain
 * and its neighbours in flight are not disturbed (but for those behind it in the queues of a
 * device that failed).
 */
#ifndef CLV_EXEC_EXECUTOR_H
#define CLV_EXEC_EXECUTOR_H

#include "host/exec/debug.h"
#include "host/exec/device_clock.h"
#include "host/exec/prepare.h"
#include "host/exec/program.h"
#include "host/exec/tasks.h"
#include "host/exec/watchdog.h"
#include <stdatomic.h>

typedef struct clv_executor clv_executor;

/* What a unit failed with first; NULL: it did not. Destroyed by whoever has it. */
typedef _Atomic(clv_status *) clv_unit_failure;
/* Keeps a copy of the first. Any thread. */
void clv_unit_blame(clv_unit_failure *failure, const clv_status *status);

/* When an item ran on a lane: host clock for lanes, the device's clock for queues; 0, 0: it has no
 * time. */
typedef struct clv_item_span {
    uint64_t begin_ns, end_ns;
    /* Of queues: when the device was told of it; and on the host's clock, when the link that is
     * declared, or the device that is declared slow, began with it and was through (0: neither). */
    uint64_t queued_ns, link_ns, through_ns;
} clv_item_span;

/* A request that was recorded. Host clock. */
typedef struct clv_recorded_request {
    uint64_t number, submitted_ns, ended_ns;
    bool is_whole;        /* it went well */
    clv_item_span *spans; /* of clv_executor_span */
} clv_recorded_request;

typedef struct clv_executor_options {
    const clv_prepared *prepared; /* borrowed, as is the program */
    const clv_step_program *program;
    /* NULL: actors go through their items in order; else steps run as they become ready, and the
     * program has no actors. `prepared` has the tasks' crews. */
    const clv_step_tasks *tasks;
    size_t num_inputs, num_outputs; /* of the caller */
    const atomic_bool *cancel;      /* NULL: cannot be interrupted */
    bool has_spans;                 /* times of every item are wanted */
    uint32_t num_recorded;          /* of how many requests they are kept; 0: none */
    clv_watch_options watch;        /* all 0: nobody looks after steps */
    const double *step_us;          /* [num_steps]: expected of each, 0: not known; NULL likewise */
    clv_unit_failure *failures;     /* [num_units]; NULL: nobody asks */
    bool is_crowded;                /* more lanes than processors: nobody spins for long */
    clv_debug debug;
    /* Called when all is done, before anybody is told, by whoever was last; takes `status`, returns
     * what the request ends with. spans: of clv_executor_span. */
    clv_status *(*finish)(
        void *context, uint64_t number, const clv_mutable_view *outputs, const clv_item_span *spans,
        clv_status *status);
    void *context;
} clv_executor_options;

/* What a unit did so far. */
typedef struct clv_unit_stats {
    double busy_us;     /* kernels, a mean over lanes; of queues: while requests were with them */
    double transfer_us; /* inputs, outputs and moves; of queues beside kernels, both ways added */
    double waited_us;   /* for other lanes and units */
    uint64_t bytes_in, bytes_out;
    uint64_t ops; /* with tasks: operators that it began */
} clv_unit_stats;

/* Called once, by a thread of the executor or by a caller of clv_executor_run that did its work;
 * owns `status`. The thread has other requests to run: it must not submit nor wait for a request.
 */
typedef void (*clv_done_function)(void *context, clv_status *status);

clv_status *clv_executor_create(const clv_executor_options *options, clv_executor **out_executor)
    CLV_CHECKED;
/* Waits for what is in flight. */
void clv_executor_destroy(clv_executor *executor);

/* Any thread; blocks while `depth` requests are in flight. The arrays are copied, what they point
 * to is used until the request is done. */
void clv_executor_submit(
    clv_executor *executor, const clv_view *inputs, const clv_mutable_view *outputs,
    clv_done_function done, void *context);
/* Submits, works, waits. CANCELLED, DEVICE_FAILED naming the node, or what finish() says. */
clv_status *clv_executor_run(
    clv_executor *executor, const clv_view *inputs, const clv_mutable_view *outputs) CLV_CHECKED;
bool clv_executor_has_room(clv_executor *executor);

/* Where an item's times are for a lane: index into spans. */
size_t clv_executor_span(
    const clv_executor *executor, uint32_t actor, uint32_t item, uint32_t lane);
/* While nothing runs, with num_recorded: forgets what was recorded, and compares the devices'
 * clocks with the host's; compares them again. DEVICE_FAILED. */
clv_status *clv_executor_begin_record(clv_executor *executor) CLV_CHECKED;
clv_status *clv_executor_end_record(clv_executor *executor) CLV_CHECKED;
/* Requests since then, and the last of them that were kept: number *out_first to *out_end - 1; NULL
 * for one that was not. Until the next request. */
void clv_executor_recorded_range(
    clv_executor *executor, uint64_t *out_begun, uint64_t *out_first, uint64_t *out_end);
const clv_recorded_request *clv_executor_recorded(const clv_executor *executor, uint64_t number);
/* Of the unit of an actor; NULL: the host's. */
const clv_device_clock *clv_executor_clock(const clv_executor *executor, uint32_t actor);

/* The same of a step, whoever may have run it: *out_count spans from there on, one for each lane;
 * 0, 0 for those that did not. */
size_t clv_executor_step_spans(const clv_executor *executor, uint32_t step, uint32_t *out_count);
/* Adds what a unit did. */
void clv_executor_stats(clv_executor *executor, uint32_t unit, clv_unit_stats *stats);

#endif
