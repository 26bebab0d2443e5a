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
#include "host/exec/queues_internal.h"

#include "host/base/memory.h"
#include "host/exec/transfer.h"

enum { FLUSH_EVERY = 32 }; /* launches that a driver may hold back before it starts on them */

/* least pause of a slow device: a gate's opening is felt some 50 us later */
enum { PAUSE_NS = 200000 };

static const clv_queue_role roles[NUM_ROLES] = {
    CLV_QUEUE_UPLOAD, CLV_QUEUE_COMPUTE, CLV_QUEUE_DOWNLOAD}; /* as actors stand */

/* --- enqueuing ------------------------------------------------------------------------------- */

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

clv_status *clv_queues_find_waits(
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
    CLV_TRY(clv_queues_find_waits(runner, set, index, slot, &waits));
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
    pthread_mutex_destroy(&set->look_lock);
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
    pthread_mutex_init(&set->look_lock, NULL);
    set->first_actor = actor;
    set->enqueuer = &runners[0];
    set->carrier = &runners[2];
    set->pacer = &runners[3];
    static void (*const runs[CLV_QUEUE_RUNNERS])(clv_runner *, clv_slot *) = {
        run_enqueuer, clv_queues_run_waiter, clv_queues_run_carrier, clv_queues_run_pacer};
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
