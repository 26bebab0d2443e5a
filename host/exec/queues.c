/* A device with queues: kernels, uploads and downloads go to an in-order queue each as soon as a
 * request is there; events order what one queue needs of another, also across requests.
 *
 * Four threads: one enqueues and never waits for the device; another waits for requests to end,
 * and tells other units what they wait for; the third waits for other units. A command that needs
 * what another unit does waits for a *gate*, an event that the third thread ends.
 *
 * A link that is declared slow is kept by the host: what comes in over it counts as there once the
 * link would be through, which is a gate too; what leaves over it is told of no sooner.
 *
 * So is a device that is declared slow, by the fourth thread: what a kernel makes is there once the
 * slow device would have made it, and the next kernel waits for that. */
#include "host/exec/executor_internal.h"

#include "host/base/memory.h"
#include "host/exec/transfer.h"
#include <stdio.h>

enum {
    NUM_ROLES = 3,
    FLUSH_EVERY = 32, /* launches that a driver may hold back before it starts on them */
    MAX_WAITS = 64,
    PAUSE_NS = 200000, /* least pause of a slow device: a gate's opening is felt some 50 us later */
    HOP_NS = 100000,   /* a kernel that begins so late after a pause was kept by its gate alone */
    NO_STEP = UINT32_MAX,
};

static const clv_queue_role roles[NUM_ROLES] = {
    CLV_QUEUE_UPLOAD, CLV_QUEUE_COMPUTE, CLV_QUEUE_DOWNLOAD}; /* as actors stand */

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
    uint64_t last_failed;     /* request with a command that failed, from 1; 0: none */
    char last_failure[256];
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
static uint32_t ring_of(const clv_runner *runner) {
    return 2 * runner->executor->depth;
}

static size_t at_request(const clv_runner *runner, const queue_set *set, uint64_t request) {
    return (size_t)(request % ring_of(runner)) * set->num_steps;
}

static clv_event **events_of(const clv_runner *runner, const queue_set *set, uint64_t request) {
    return &set->events[at_request(runner, set, request)];
}

static const clv_item *item_of(const clv_runner *runner, uint32_t step) {
    const clv_step_program *p = runner->executor->program;
    return &p->actors[p->actor_of_step[step]].items[p->item_of_step[step]];
}

static const clv_step *step_at(const clv_runner *runner, uint32_t step) {
    return &runner->executor->program->lowered->steps[step];
}

static uint32_t role_of(const clv_runner *runner, const queue_set *set, uint32_t step) {
    return runner->executor->program->actor_of_step[step] - set->first_actor;
}

static bool is_slow(const clv_runner *runner, const queue_set *set, uint32_t step, uint32_t role) {
    return step_at(runner, step)->has_link && role_of(runner, set, step) == role;
}

enum { UPLOAD = 0, DOWNLOAD = 2 };
enum { ENQUEUER, WAITER, CARRIER }; /* who is delayed */

static bool is_paced(const clv_runner *runner, const queue_set *set, uint32_t step) {
    return set->speed != 1 && step_at(runner, step)->kind == CLV_STEP_LAUNCH;
}

/* With delays (debug.h) every command has: they end as late as that says. */
static bool has_gate(const clv_runner *runner, const queue_set *set, uint32_t step) {
    return runner->executor->options.debug.delays || item_of(runner, step)->is_gated ||
           is_slow(runner, set, step, UPLOAD);
}

/* Steps of a request that were enqueued, of those in `order`; num_steps + 1: whoever enqueues is
 * through with the request. */
static uint32_t enqueued_count(const queue_set *set, uint64_t number, uint32_t count) {
    return (uint32_t)(number * ((uint64_t)set->num_steps + 2) + count);
}

static uint32_t all_enqueued(const queue_set *set, uint64_t number) {
    return enqueued_count(set, number, set->num_steps + 1);
}

/* --- enqueuing ------------------------------------------------------------------------------- */

typedef struct wait_list {
    clv_event *events[MAX_WAITS];
    uint32_t count;
} wait_list;

static clv_status *add_wait(wait_list *list, clv_event *event) {
    if (event == NULL) {
        return NULL; /* that request failed before it */
    }
    if (list->count == MAX_WAITS) {
        return CLV_ERROR(INTERNAL, "a step waits for more than %d events", (int)MAX_WAITS);
    }
    list->events[list->count++] = event;
    return NULL;
}

static clv_status *find_waits(
    const clv_runner *runner, const queue_set *set, uint32_t step, const clv_slot *slot,
    wait_list *list) {
    const clv_step_program *program = runner->executor->program;
    const clv_item *item = item_of(runner, step);
    list->count = 0;
    if (is_paced(runner, set, step)) {
        CLV_TRY(add_wait(list, set->pause));
    }
    for (uint32_t i = 0; i < item->num_waits; i++) {
        const clv_item_wait *wait = &program->waits[item->first_wait + i];
        const clv_actor *actor = &program->actors[wait->actor];
        const bool is_own = wait->lag <= slot->number && actor->unit == runner->unit;
        if (is_own && slot->number - wait->lag >= atomic_load(&set->settled)) {
            const size_t at =
                at_request(runner, set, slot->number - wait->lag) + actor->items[wait->item].step;
            CLV_TRY(add_wait(list, set->events[at]));
            CLV_TRY(add_wait(list, set->arrivals[at]));
        }
    }
    return add_wait(list, set->gates[at_request(runner, set, slot->number) + step]);
}

static clv_status *enqueue_step(
    const clv_runner *runner, const queue_set *set, uint32_t index, const clv_slot *slot,
    clv_event **out_event) {
    const clv_step *step = step_at(runner, index);
    clv_queue *queue = set->queues[role_of(runner, set, index)];
    wait_list waits;
    CLV_TRY(find_waits(runner, set, index, slot, &waits));
    if (step->kind != CLV_STEP_LAUNCH) {
        const clv_transfer transfer = {
            .prepared = runner->executor->prepared,
            .step = step,
            .slot = slot,
            .waits = waits.events,
            .num_waits = waits.count,
        };
        return clv_transfer_enqueue(queue, &transfer, out_event);
    }
    clv_kernel *kernel;
    CLV_TRY(clv_prepared_kernel(runner->executor->prepared, index, 0, slot->number, &kernel));
    uint64_t groups = (step->num_items + step->local_size - 1) / step->local_size;
    return queue->device->vtable->enqueue_kernel(
        queue, kernel, groups * step->local_size, step->local_size, waits.events, waits.count,
        out_event);
}

static bool is_last_of_queue(const clv_runner *runner, uint32_t step) {
    const clv_step_program *p = runner->executor->program;
    const clv_actor *actor = &p->actors[p->actor_of_step[step]];
    return p->item_of_step[step] == actor->num_items - 1;
}

/* What failed at a step, with its name; NULL for NULL. Takes `status`. */
static clv_status *at_step(const clv_runner *runner, uint32_t step, clv_status *status) {
    return status == NULL ? NULL : clv_status_prefix(status, "'%s'", step_at(runner, step)->name);
}

/* Whether somebody looks at its event; at those of transfers where a request fails. */
static bool has_event(
    const clv_runner *runner, const queue_set *set, uint32_t step, const clv_slot *slot) {
    return item_of(runner, step)->is_awaited || is_last_of_queue(runner, step) ||
           step_at(runner, step)->kind != CLV_STEP_LAUNCH || slot->spans != NULL ||
           is_paced(runner, set, step);
}

/* What the next launch waits for, once this one is enqueued. */
static void note_pause(
    const clv_runner *runner, queue_set *set, uint32_t step, const clv_slot *slot) {
    if (is_paced(runner, set, step)) {
        set->pause = set->arrivals[at_request(runner, set, slot->number) + step];
        set->pause_request = slot->number;
    }
}

static clv_status *enqueue_all(clv_runner *runner, queue_set *set, const clv_slot *slot) {
    clv_executor *executor = runner->executor;
    clv_event **events = events_of(runner, set, slot->number);
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i], role = role_of(runner, set, step);
        const bool is_watched = has_event(runner, set, step, slot);
        clv_queue *queue = set->queues[role];
        clv_runner_at(runner, slot, step, CLV_AT_RUNS);
        if (clv_executor_is_cancelled(executor)) {
            return CLV_ERROR(CANCELLED, "interrupted");
        }
        clv_executor_delay(executor, slot, step, ENQUEUER);
        clv_status *status =
            enqueue_step(runner, set, step, slot, is_watched ? &events[step] : NULL);
        CLV_TRY(at_step(runner, step, status));
        note_pause(runner, set, step, slot);
        if (is_last_of_queue(runner, step)) {
            set->last[slot->number % executor->depth][role] = step;
        }
        if (is_watched || i % FLUSH_EVERY == FLUSH_EVERY - 1) {
            status = queue->device->vtable->queue_flush(queue);
        }
        /* also after a failure: who opens the step's gates must not wait for its end */
        clv_signal_set(&runner->progress, enqueued_count(set, slot->number, i + 1));
        CLV_TRY(at_step(runner, step, status));
    }
    return NULL;
}

/* Whether a slow device pauses after a launch: where it has been quick for long enough (`quick_ns`,
 * updated) to be worth a gate, where that is not known, and where others see what it made. */
static bool needs_pause(
    const clv_runner *runner, const queue_set *set, uint32_t step, double *quick_ns) {
    const uint32_t took_ns = atomic_load_explicit(&set->took_ns[step], memory_order_relaxed);
    *quick_ns += took_ns;
    const bool needs = took_ns == 0 || *quick_ns * (1 / set->speed - 1) >= PAUSE_NS ||
                       item_of(runner, step)->is_awaited || is_last_of_queue(runner, step);
    *quick_ns = needs ? 0 : *quick_ns;
    return needs;
}

/* The gates of a request; they are opened whatever becomes of it. */
static clv_status *create_gates(clv_runner *runner, queue_set *set, const clv_slot *slot) {
    clv_device *device = set->queues[0]->device;
    const size_t first = at_request(runner, set, slot->number);
    double quick_ns = 0;
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i];
        clv_status *status = NULL;
        if (has_gate(runner, set, step)) {
            status = device->vtable->gate_create(device, &set->gates[first + step]);
        }
        const bool pauses =
            is_paced(runner, set, step) && needs_pause(runner, set, step, &quick_ns);
        if (status == NULL && (pauses || is_slow(runner, set, step, UPLOAD))) {
            status = device->vtable->gate_create(device, &set->arrivals[first + step]);
        }
        CLV_TRY(at_step(runner, step, status));
    }
    return NULL;
}

/* After a failure: what was enqueued has ended, and drivers take commands again. Other units and
 * the other threads go on meanwhile, so gates are opened. A driver that refuses may have waited for
 * nothing: then it is each command that somebody looks at. With the enqueuer's seat. */
static void finish_queues(const clv_runner *enqueuer, queue_set *set) {
    bool is_finished = true;
    for (int role = 0; role < NUM_ROLES; role++) {
        clv_status *status = clv_queue_finish(set->queues[role]);
        is_finished = is_finished && status == NULL;
        clv_status_destroy(status); /* failed already */
    }
    const size_t count = (size_t)ring_of(enqueuer) * set->num_steps;
    for (size_t i = 0; i < count && !is_finished; i++) {
        clv_event_wait_and_ignore(set->events[i]);
    }
}

static void release_events(const clv_runner *runner, queue_set *set, uint64_t request) {
    const size_t first = at_request(runner, set, request);
    for (size_t i = first; i < first + set->num_steps; i++) {
        clv_event_release(&set->events[i]);
        clv_event_release(&set->gates[i]);
        clv_event_release(&set->arrivals[i]);
    }
}

/* That one was too short is no failure. */
static bool has_failed_pause(const queue_set *set) {
    bool is_done = false;
    clv_status *status =
        set->pause != NULL ? set->pause->device->vtable->event_poll(set->pause, &is_done) : NULL;
    clv_status_destroy(status);
    return status != NULL;
}

/* What is enqueued from request `number` on waits for nothing before it: not of its device, nor of
 * other units where what should have waited for those never was enqueued or ended too soon. */
static void settle(const clv_runner *enqueuer, queue_set *set, uint64_t number) {
    if (!set->carrier->is_idle && number > 0) {
        clv_signal_wait(&set->carrier->progress, all_enqueued(set, number - 1), 0);
    }
    finish_queues(enqueuer, set);
    set->pause = NULL;
    atomic_store(&set->settled, number);
}

/* Once it says that it is through, the request may end, and the slot be another's. */
static void run_enqueuer(clv_runner *runner, clv_slot *slot) {
    queue_set *set = runner->state;
    const uint32_t all = all_enqueued(set, slot->number);
    release_events(runner, set, slot->number); /* of a request that is long gone */
    if (set->pause_request + ring_of(runner) <= slot->number || has_failed_pause(set)) {
        set->pause = NULL;
    }
    for (int role = 0; role < NUM_ROLES; role++) {
        set->last[slot->number % runner->executor->depth][role] = NO_STEP;
    }
    clv_status *status = create_gates(runner, set, slot);
    clv_signal_set(&set->gated, (uint32_t)slot->number + 1);
    if (atomic_exchange(&set->needs_finish, false)) {
        settle(runner, set, slot->number);
    }
    if (status == NULL) {
        status = enqueue_all(runner, set, slot);
    }
    if (status != NULL) {
        clv_runner_fail(runner, slot, status);
        clv_runner_check_late(runner, slot);
        finish_queues(runner, set);
        clv_signal_set(&runner->progress, all - 1); /* no more of it comes, and others go on */
        settle(runner, set, slot->number + 1);
    }
    clv_runner_check_late(runner, slot);
    clv_signal_set(&runner->progress, all);
}

/* --- other units ----------------------------------------------------------------------------- */

/* The event of a step once it is enqueued; NULL: it never was. */
static clv_event *event_when_there(
    clv_runner *runner, queue_set *set, uint32_t index, const clv_slot *slot, uint32_t step) {
    const uint32_t count = enqueued_count(set, slot->number, index + 1);
    clv_runner_wait(runner, &set->enqueuer->progress, count);
    return events_of(runner, set, slot->number)[step];
}

/* Until what the device itself must have done before a step has been done. */
static void await_own(
    const clv_runner *runner, queue_set *set, uint32_t step, const clv_slot *slot) {
    wait_list waits;
    clv_status *status = find_waits(runner, set, step, slot, &waits);
    const clv_event *gate = set->gates[at_request(runner, set, slot->number) + step];
    for (uint32_t i = 0; i < waits.count && status == NULL; i++) {
        if (waits.events[i] != gate) {
            clv_event_wait_and_ignore(waits.events[i]);
        }
    }
    clv_status_destroy(status); /* who enqueues it is told as well */
}

/* For the record: when a slow link, or a slow device, was at it. */
static void note_pace(
    const clv_runner *runner, const clv_slot *slot, uint32_t step, clv_link_time booked) {
    const clv_step_program *program = runner->executor->program;
    if (slot->spans != NULL) {
        const uint32_t actor = program->actor_of_step[step], item = program->item_of_step[step];
        clv_item_span *span = &slot->spans[clv_executor_span(runner->executor, actor, item, 0)];
        span->link_ns = booked.begin_ns;
        span->through_ns = booked.end_ns;
    }
}

static void note_link(
    const clv_runner *runner, queue_set *set, const clv_slot *slot, uint32_t step,
    clv_link_time booked) {
    note_pace(runner, slot, step, booked);
    atomic_fetch_add_explicit(&set->link_ns, booked.end_ns - booked.begin_ns, memory_order_relaxed);
}

/* What comes in over a slow link is there when the link is through. */
static void bring_in(
    clv_runner *runner, queue_set *set, uint32_t index, clv_slot *slot, clv_event *gate) {
    const uint32_t step = set->order[index];
    clv_event *event = event_when_there(runner, set, index, slot, step);
    await_own(runner, set, step, slot);
    const clv_link_time booked = clv_executor_book_link(runner->executor, step_at(runner, step));
    clv_runner_open_gate(runner, slot, step, gate);
    clv_event_wait_and_ignore(event);
    clv_executor_await_link(runner->executor, step_at(runner, step), booked);
    note_link(runner, set, slot, step, booked);
    clv_runner_open_gate(
        runner, slot, step, set->arrivals[at_request(runner, set, slot->number) + step]);
}

static void run_carrier(clv_runner *runner, clv_slot *slot) {
    queue_set *set = runner->state;
    clv_runner_wait(runner, &set->gated, (uint32_t)slot->number + 1);
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i];
        clv_event *gate = set->gates[at_request(runner, set, slot->number) + step];
        if (!has_gate(runner, set, step)) {
            continue;
        }
        clv_runner_at(runner, slot, step, CLV_AT_WAITS);
        clv_runner_await(runner, item_of(runner, step), slot, true);
        clv_runner_at(runner, slot, step, CLV_AT_NOTHING);
        clv_executor_delay(runner->executor, slot, step, CARRIER);
        if (is_slow(runner, set, step, UPLOAD)) {
            bring_in(runner, set, i, slot, gate);
        } else {
            clv_runner_open_gate(runner, slot, step, gate);
        }
    }
    clv_signal_set(&runner->progress, all_enqueued(set, slot->number));
}

/* --- a slow device --------------------------------------------------------------------------- */

/* The least that the host was ever ahead of a command's end when it heard of it; clocks run apart
 * by some 20 in a million. */
static void compare_clocks(queue_set *set, uint64_t ended_ns) {
    const uint64_t now_ns = clv_time_ns();
    const int64_t offset_ns = (int64_t)(now_ns - ended_ns);
    const int64_t known_ns = set->offset_ns + (int64_t)((now_ns - set->seen_ns) / 50000);
    set->offset_ns = set->seen_ns != 0 && known_ns < offset_ns ? known_ns : offset_ns;
    set->seen_ns = now_ns;
}

/* When the slow device would have begun with a kernel and been through. */
static clv_status *stretch(
    clv_runner *runner, queue_set *set, clv_slot *slot, uint32_t step, const clv_event *event) {
    const double most_ns = 1e18; /* thirty years */
    clv_event_times times;
    CLV_TRY(event->device->vtable->event_times((clv_event *)event, &times));
    const uint64_t took_ns =
        times.ended_ns > times.started_ns ? times.ended_ns - times.started_ns : 1;
    const uint64_t began_ns = times.started_ns + (uint64_t)set->offset_ns;
    const bool waited = began_ns > set->free_ns + HOP_NS;
    const double slow_ns = (double)took_ns / set->speed;
    clv_link_time at = {waited ? began_ns : set->free_ns, 0};
    at.end_ns = at.begin_ns + (uint64_t)(slow_ns < most_ns ? slow_ns : most_ns);
    at.end_ns = at.end_ns > began_ns + took_ns ? at.end_ns : began_ns + took_ns;
    set->free_ns = at.end_ns;
    atomic_store_explicit(
        &set->took_ns[step], took_ns < UINT32_MAX ? (uint32_t)took_ns : UINT32_MAX,
        memory_order_relaxed);
    note_pace(runner, slot, step, at);
    return NULL;
}

/* Kernels order[first] to order[last] have ended, or failed, which others are told. */
static clv_status *stretch_all(
    clv_runner *runner, queue_set *set, clv_slot *slot, uint32_t first, uint32_t last) {
    clv_event **events = events_of(runner, set, slot->number);
    clv_event *event = events[set->order[last]];
    clv_event_times times;
    clv_status *status = event->device->vtable->event_wait(event);
    if (status != NULL || clv_slot_has_failed(slot)) {
        clv_status_destroy(status);
        return NULL;
    }
    status = event->device->vtable->event_times(event, &times);
    CLV_TRY(at_step(runner, set->order[last], status));
    compare_clocks(set, times.ended_ns);
    for (uint32_t i = first; i <= last; i++) {
        const uint32_t step = set->order[i];
        if (is_paced(runner, set, step)) {
            CLV_TRY(at_step(runner, step, stretch(runner, set, slot, step, events[step])));
        }
    }
    return NULL;
}

/* Opens what waits for a slow device's kernels when that would be through with them. */
static void run_pacer(clv_runner *runner, clv_slot *slot) {
    queue_set *set = runner->state;
    uint32_t first = 0;
    clv_runner_wait(runner, &set->gated, (uint32_t)slot->number + 1);
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i];
        clv_event *pause = set->arrivals[at_request(runner, set, slot->number) + step];
        if (!is_paced(runner, set, step) || pause == NULL) {
            continue;
        }
        if (event_when_there(runner, set, i, slot, step) != NULL) {
            clv_status *status = stretch_all(runner, set, slot, first, i);
            if (status != NULL) {
                clv_runner_fail(runner, slot, status);
            }
            clv_executor_sleep_until(runner->executor, set->free_ns);
            const uint64_t now_ns = clv_time_ns(); /* before it only where the run is cancelled */
            set->free_ns = set->free_ns < now_ns ? set->free_ns : now_ns;
        }
        clv_runner_open_gate(runner, slot, step, pause);
        clv_signal_set(&runner->progress, enqueued_count(set, slot->number, i + 1));
        first = i + 1;
    }
    clv_signal_set(&runner->progress, all_enqueued(set, slot->number));
}

/* --- waiting --------------------------------------------------------------------------------- */

static clv_status *read_spans(clv_runner *runner, queue_set *set, clv_slot *slot) {
    const clv_executor *executor = runner->executor;
    const clv_step_program *program = executor->program;
    clv_event **events = events_of(runner, set, slot->number);
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i];
        clv_event_times times;
        clv_status *status = events[step]->device->vtable->event_times(events[step], &times);
        CLV_TRY(at_step(runner, step, status));
        const size_t at = clv_executor_span(
            executor, program->actor_of_step[step], program->item_of_step[step], 0);
        clv_item_span *span = &slot->spans[at]; /* who keeps links writes the rest of it */
        span->begin_ns = times.started_ns;
        span->end_ns = times.ended_ns;
        span->queued_ns = times.queued_ns;
        const clv_step *s = step_at(runner, step);
        if (s->kind != CLV_STEP_LAUNCH && !s->has_link) { /* a link's time is taken otherwise */
            runner->now.transfer_us += (double)(times.ended_ns - times.started_ns) * 1e-3;
        }
    }
    return NULL;
}

/* The first gate or command of a request that failed, of its first `count` steps, which are
 * enqueued; steps before it may have no event. A driver may run what is behind it in its queue all
 * the same. */
static clv_status *find_failure(
    const clv_runner *runner, const queue_set *set, const clv_slot *slot, uint32_t count,
    bool *has_failed) {
    const size_t first = at_request(runner, set, slot->number);
    for (uint32_t i = 0; i < count && i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i];
        clv_event *const of_step[] = {
            set->gates[first + step], set->arrivals[first + step], set->events[first + step]};
        for (int k = 0; k < 3; k++) {
            CLV_TRY(at_step(runner, step, clv_event_ask(of_step[k], has_failed)));
        }
    }
    return NULL;
}

/* Who is to blame where a step ended with `status`, taken. */
static clv_status *at_failed_step(
    const clv_runner *runner, const queue_set *set, uint32_t step, const clv_slot *slot,
    clv_status *status) {
    bool has_failed = false;
    const uint32_t enqueued =
        atomic_load(&set->enqueuer->progress.value) - enqueued_count(set, slot->number, 0);
    clv_status *failure = find_failure(runner, set, slot, enqueued, &has_failed);
    if (failure == NULL) {
        return at_step(runner, step, status);
    }
    clv_status_destroy(status);
    return failure;
}

/* Until none of the first `count` steps is at any memory that others see: where one failed, drivers
 * end at once what waits for it (PoCL fails it, Intel's says that it is done), while what is before
 * that in its queue still runs. */
static void await_each(
    const clv_runner *runner, const queue_set *set, const clv_slot *slot, uint32_t count) {
    clv_event **events = events_of(runner, set, slot->number);
    for (uint32_t i = 0; i < count && set->order[i] != NO_STEP; i++) {
        clv_event_wait_and_ignore(events[set->order[i]]);
    }
}

/* Waits for a step and tells other units of it. */
static void follow(clv_runner *runner, queue_set *set, uint32_t index, clv_slot *slot) {
    clv_executor *executor = runner->executor;
    const clv_step_program *program = executor->program;
    const uint32_t step = set->order[index], actor = program->actor_of_step[step];
    const bool leaves_slowly = is_slow(runner, set, step, DOWNLOAD);
    const bool is_published = item_of(runner, step)->is_published;
    clv_status *status = NULL;
    if (!is_published && !leaves_slowly) {
        return;
    }
    clv_event *event = event_when_there(runner, set, index, slot, step);
    clv_link_time booked = {0, 0};
    if (leaves_slowly && event != NULL) {
        await_own(runner, set, step, slot);
        booked = clv_executor_book_link(executor, step_at(runner, step));
    }
    if (event != NULL) {
        clv_runner_at(runner, slot, step, CLV_AT_RUNS);
        status = clv_event_wait_for_end(event);
        clv_executor_await_link(executor, step_at(runner, step), booked);
        if (leaves_slowly) {
            note_link(runner, set, slot, step, booked);
        }
        clv_runner_at(runner, slot, step, CLV_AT_NOTHING);
    }
    if (is_paced(runner, set, step)) {
        clv_runner_wait(
            runner, &set->pacer->progress, enqueued_count(set, slot->number, index + 1));
    }
    if (status != NULL || clv_slot_has_failed(slot) || set->last_failed != 0) {
        await_each(runner, set, slot, index + 1);
    }
    if (status != NULL) { /* before others go on */
        clv_runner_fail(runner, slot, at_failed_step(runner, set, step, slot, status));
    }
    if (is_published) {
        clv_executor_delay(executor, slot, step, WAITER);
        const uint32_t item = program->item_of_step[step];
        clv_signal_set(
            &executor->published[actor].progress,
            clv_actor_count(&program->actors[actor], slot->number, item + 1));
    }
}

/* Commands of requests that were enqueued behind one that failed, before the queues were finished,
 * may have failed for that, and not all of them have events. */
static clv_status *check_before(const clv_runner *runner, queue_set *set, const clv_slot *slot) {
    const uint64_t settled = atomic_load(&set->settled);
    if (settled >= set->last_failed && slot->number >= settled) {
        set->last_failed = 0; /* nothing that comes is behind it any more */
    }
    if (set->last_failed == 0) {
        return NULL;
    }
    return CLV_ERROR(
        DEVICE_FAILED, "%s: in its queues behind a request that failed: %s",
        runner->executor->prepared->units[runner->unit].name.text, set->last_failure);
}

/* All that the request has enqueued, once it has ended. */
static clv_status *wait_for_all(clv_runner *runner, queue_set *set, const clv_slot *slot) {
    const uint32_t *last = set->last[slot->number % runner->executor->depth];
    clv_status *status = NULL;
    for (int role = 0; role < NUM_ROLES; role++) {
        if (last[role] != NO_STEP) {
            clv_event *event = events_of(runner, set, slot->number)[last[role]];
            clv_runner_at(runner, slot, last[role], CLV_AT_RUNS);
            status =
                clv_status_join(status, at_step(runner, last[role], clv_event_wait_for_end(event)));
        }
    }
    bool has_failed = false;
    clv_status *failure = find_failure(runner, set, slot, set->num_steps, &has_failed);
    if (failure != NULL) {
        clv_status_destroy(status);
        status = failure;
    }
    status = clv_status_join(status, check_before(runner, set, slot));
    if (status != NULL || clv_slot_has_failed(slot)) { /* or not all of it was enqueued */
        await_each(runner, set, slot, set->num_steps);
    }
    if (has_failed) {
        set->last_failed = slot->number + 1;
        snprintf(set->last_failure, sizeof set->last_failure, "%s", clv_status_message(failure));
    }
    return status;
}

static void run_waiter(clv_runner *runner, clv_slot *slot) {
    queue_set *set = runner->state;
    const clv_lowered *lowered = runner->executor->program->lowered;
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        follow(runner, set, i, slot);
    }
    clv_runner_wait(runner, &set->enqueuer->progress, all_enqueued(set, slot->number));
    runner->now.waited_us = 0; /* the device works from the beginning on */
    runner->now.transfer_us += (double)atomic_exchange(&set->link_ns, 0) * 1e-3;
    clv_status *status = wait_for_all(runner, set, slot);
    if (status == NULL && slot->spans != NULL && !clv_slot_has_failed(slot)) {
        status = read_spans(runner, set, slot);
    }
    if (status != NULL) {
        clv_runner_fail(runner, slot, status);
        atomic_store(&set->needs_finish, true);
        return;
    }
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const clv_step *step = &lowered->steps[set->order[i]];
        runner->now.bytes_in += step->kind == CLV_STEP_INPUT ? step->bytes : 0;
        runner->now.bytes_out += step->kind == CLV_STEP_OUTPUT ? step->bytes : 0;
    }
}

/* --- making and ending them ------------------------------------------------------------------ */

static void deinit(clv_runner *enqueuer) {
    queue_set *set = enqueuer->state;
    if (atomic_load(&set->needs_finish)) {
        finish_queues(enqueuer, set);
    }
    const bool has_events = set->events != NULL && set->gates != NULL && set->arrivals != NULL;
    for (uint32_t i = 0; has_events && i < ring_of(enqueuer); i++) {
        release_events(enqueuer, set, i);
    }
    for (int role = 0; role < NUM_ROLES; role++) {
        clv_queue *queue = set->queues[role];
        if (queue != NULL) {
            queue->device->vtable->queue_destroy(queue);
        }
    }
    if (set->word != NULL) {
        set->word->device->vtable->buffer_destroy(set->word);
    }
    clv_free(set->events);
    clv_free(set->gates);
    clv_free(set->arrivals);
    clv_free(set->order);
    clv_free(set->last);
    clv_free(set->took_ns);
    clv_free(set);
}

static clv_status *make(clv_executor *executor, queue_set *set, uint32_t unit) {
    const clv_lowered *lowered = executor->program->lowered;
    clv_device *device = executor->prepared->units[unit].devices[0];
    set->num_steps = (uint32_t)lowered->num_steps;
    const size_t count_events = (size_t)ring_of(set->enqueuer) * set->num_steps + 1;
    set->events = clv_alloc_zeroed(count_events, sizeof(clv_event *));
    set->gates = clv_alloc_zeroed(count_events, sizeof(clv_event *));
    set->arrivals = clv_alloc_zeroed(count_events, sizeof(clv_event *));
    set->order = clv_alloc_zeroed((size_t)set->num_steps + 1, sizeof *set->order);
    set->last = clv_alloc_zeroed(executor->depth, sizeof *set->last);
    set->took_ns = clv_alloc_zeroed((size_t)set->num_steps + 1, sizeof *set->took_ns);
    set->speed = executor->prepared->units[unit].name.limits.speed;
    if (set->events == NULL || set->gates == NULL || set->arrivals == NULL || set->order == NULL ||
        set->last == NULL || set->took_ns == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->num_steps; i++) {
        if (lowered->steps[i].unit == unit) {
            set->order[count++] = i;
        }
    }
    set->order[count] = NO_STEP;
    for (int role = 0; role < NUM_ROLES; role++) {
        CLV_TRY(device->vtable->queue_create(device, roles[role], &set->queues[role]));
    }
    return NULL;
}

clv_status *clv_queues_init(clv_executor *executor, uint32_t actor, clv_runner *runners) {
    const clv_actor *a = &executor->program->actors[actor];
    queue_set *set = clv_alloc_zeroed(1, sizeof *set);
    if (set == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    set->first_actor = actor;
    set->enqueuer = &runners[0];
    set->carrier = &runners[2];
    set->pacer = &runners[3];
    static void (*const runs[CLV_QUEUE_RUNNERS])(clv_runner *, clv_slot *) = {
        run_enqueuer, run_waiter, run_carrier, run_pacer};
    for (int i = 0; i < CLV_QUEUE_RUNNERS; i++) {
        runners[i].unit = a->unit;
        runners[i].spin_ns = executor->options.is_crowded ? CLV_CROWDED_SPIN_NS : CLV_QUEUE_SPIN_NS;
        runners[i].actor = actor;
        runners[i].state = set;
        runners[i].run = runs[i];
        runners[i].is_last = i != 0;
        runners[i].has_stats = i == 1;
    }
    runners[0].deinit = deinit;
    CLV_TRY(make(executor, set, a->unit));
    bool has_gates = false, has_pauses = false;
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        has_gates = has_gates || has_gate(&runners[0], set, set->order[i]);
        has_pauses = has_pauses || is_paced(&runners[0], set, set->order[i]);
    }
    const double *step_us = executor->options.step_us;
    for (uint32_t i = 0; step_us != NULL && i < set->num_steps && set->order[i] != NO_STEP; i++) {
        runners[1].expected_us += step_us[set->order[i]] * executor->depth;
    }
    runners[1].carrier = &runners[2];
    runners[2].is_idle = !has_gates;
    runners[2].is_last = has_gates;
    runners[3].is_idle = !has_pauses;
    runners[3].is_last = has_pauses;
    return NULL;
}

clv_status *clv_queues_take_clock(clv_runner *enqueuer, clv_clock_sample *out_sample) {
    queue_set *set = enqueuer->state;
    clv_device *device = set->queues[UPLOAD]->device;
    enum { WORD_BYTES = 64 };
    if (set->word == NULL) {
        CLV_TRY(device->vtable->buffer_create(device, WORD_BYTES, &set->word));
    }
    return clv_clock_take(set->queues[UPLOAD], set->word, out_sample);
}
