/* A device with queues: kernels, uploads and downloads go to an in-order queue each as soon as a
 * request is there; events order what one queue needs of another, also across requests.
 * One thread enqueues and never waits for the device, another waits for requests to end. */
#include "host/exec/executor_internal.h"

#include "host/base/memory.h"

enum {
    NUM_ROLES = 3,
    FLUSH_EVERY = 32, /* launches that a driver may hold back before it starts on them */
    NO_STEP = UINT32_MAX,
};

static const clv_queue_role roles[NUM_ROLES] = {
    CLV_QUEUE_UPLOAD, CLV_QUEUE_COMPUTE, CLV_QUEUE_DOWNLOAD}; /* as actors stand */

/* Both runners'. */
typedef struct queue_set {
    clv_queue *queues[NUM_ROLES];
    uint32_t first_actor;
    uint32_t num_steps;
    uint32_t *order;             /* steps of the device */
    clv_event **events;          /* [depth][num_steps]; NULL for those without */
    uint32_t (*last)[NUM_ROLES]; /* [depth]: the last step that each queue was given */
    pthread_mutex_t lock;        /* of the queues: held while a request is enqueued */
    clv_runner *enqueuer;
} queue_set;

static clv_event **events_of(const clv_runner *runner, const queue_set *set, uint64_t request) {
    return &set->events[request % runner->executor->depth * set->num_steps];
}

/* --- enqueuing ------------------------------------------------------------------------------- */

static clv_status *enqueue_step(
    const clv_runner *runner, const queue_set *set, uint32_t role, const clv_item *item,
    const clv_slot *slot, clv_event **out_event) {
    const clv_executor *executor = runner->executor;
    const clv_prepared *prepared = executor->prepared;
    const clv_step *step = &prepared->lowered->steps[item->step];
    clv_queue *queue = set->queues[role];
    const clv_device_vtable *v = queue->device->vtable;
    clv_event *waits[2 * NUM_ROLES];
    uint32_t num_waits = 0;
    for (uint32_t i = 0; i < item->num_waits; i++) {
        const clv_item_wait *wait = &executor->program->waits[item->first_wait + i];
        const clv_item *awaited = &executor->program->actors[wait->actor].items[wait->item];
        if (wait->lag <= slot->number && num_waits < 2 * NUM_ROLES) {
            clv_event *event = events_of(runner, set, slot->number - wait->lag)[awaited->step];
            if (event != NULL) { /* else that request failed before it */
                waits[num_waits++] = event;
            }
        }
    }
    if (step->kind == CLV_STEP_LAUNCH) {
        clv_kernel *kernel;
        CLV_TRY(clv_prepared_kernel(prepared, item->step, 0, slot->number, &kernel));
        uint64_t groups = (step->num_items + step->local_size - 1) / step->local_size;
        return v->enqueue_kernel(
            queue, kernel, groups * step->local_size, step->local_size, waits, num_waits,
            out_event);
    }
    uint64_t offset;
    clv_buffer *buffer =
        clv_prepared_place(prepared, step->operands[0].storage, slot->number, &offset);
    offset += step->operands[0].offset;
    if (step->kind == CLV_STEP_INPUT) {
        return v->enqueue_write(
            queue, buffer, offset, (size_t)step->bytes,
            clv_executor_input(executor, slot, step->index), waits, num_waits, out_event);
    }
    return v->enqueue_read(
        queue, buffer, offset, (size_t)step->bytes,
        clv_executor_output(executor, slot, step->index), waits, num_waits, out_event);
}

static bool is_last_of_queue(const clv_runner *runner, uint32_t actor, const clv_item *item) {
    const clv_actor *a = &runner->executor->program->actors[actor];
    return item == &a->items[a->num_items - 1];
}

static clv_status *enqueue_all(clv_runner *runner, queue_set *set, const clv_slot *slot) {
    clv_executor *executor = runner->executor;
    const clv_step_program *program = executor->program;
    clv_event **events = events_of(runner, set, slot->number);
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i], actor = program->actor_of_step[step];
        const uint32_t role = actor - set->first_actor;
        const clv_item *item = &program->actors[actor].items[program->item_of_step[step]];
        const bool is_last = is_last_of_queue(runner, actor, item);
        const bool has_event = item->is_awaited || is_last || slot->spans != NULL;
        clv_queue *queue = set->queues[role];
        if (clv_executor_is_cancelled(executor)) {
            return CLV_ERROR(CANCELLED, "interrupted");
        }
        clv_status *status =
            enqueue_step(runner, set, role, item, slot, has_event ? &events[step] : NULL);
        if (status != NULL) {
            return clv_status_prefix(status, "'%s'", program->lowered->steps[step].name);
        }
        if (is_last) {
            set->last[slot->number % executor->depth][role] = step;
        }
        if (has_event || i % FLUSH_EVERY == FLUSH_EVERY - 1) {
            CLV_TRY(queue->device->vtable->queue_flush(queue));
        }
    }
    return NULL;
}

/* After a failure: nothing may touch the caller's memory once the request has ended. */
static void finish_queues(queue_set *set) {
    for (int role = 0; role < NUM_ROLES; role++) {
        clv_queue *queue = set->queues[role];
        clv_status *ignored = queue->device->vtable->queue_finish(queue); /* failed already */
        clv_status_destroy(ignored);
    }
}

static void release_events(const clv_runner *runner, queue_set *set, uint64_t request) {
    clv_event **events = events_of(runner, set, request);
    for (uint32_t i = 0; i < set->num_steps; i++) {
        if (events[i] != NULL) {
            events[i]->device->vtable->event_release(events[i]);
            events[i] = NULL;
        }
    }
}

static void run_enqueuer(clv_runner *runner, clv_slot *slot) {
    queue_set *set = runner->state;
    release_events(runner, set, slot->number); /* of the request that had the slot before */
    for (int role = 0; role < NUM_ROLES; role++) {
        set->last[slot->number % runner->executor->depth][role] = NO_STEP;
    }
    pthread_mutex_lock(&set->lock);
    clv_status *status = enqueue_all(runner, set, slot);
    if (status != NULL) {
        clv_executor_fail(runner->executor, slot, status);
        finish_queues(set);
    }
    pthread_mutex_unlock(&set->lock);
    clv_signal_set(&runner->progress, (uint32_t)slot->number + 1);
}

/* --- waiting --------------------------------------------------------------------------------- */

static clv_status *read_spans(clv_runner *runner, queue_set *set, clv_slot *slot) {
    const clv_executor *executor = runner->executor;
    const clv_step_program *program = executor->program;
    clv_event **events = events_of(runner, set, slot->number);
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i];
        clv_event_times times;
        CLV_TRY(events[step]->device->vtable->event_times(events[step], &times));
        const size_t at = clv_executor_span(
            executor, program->actor_of_step[step], program->item_of_step[step], 0);
        slot->spans[at] = (clv_item_span){.begin_ns = times.started_ns, .end_ns = times.ended_ns};
        if (program->lowered->steps[step].kind != CLV_STEP_LAUNCH) {
            runner->now.transfer_us += (double)(times.ended_ns - times.started_ns) * 1e-3;
        }
    }
    return NULL;
}

static void run_waiter(clv_runner *runner, clv_slot *slot) {
    queue_set *set = runner->state;
    clv_executor *executor = runner->executor;
    const clv_lowered *lowered = executor->program->lowered;
    clv_runner_wait(runner, &set->enqueuer->progress, (uint32_t)slot->number + 1);
    runner->now.waited_us = 0; /* the device works from the beginning on */
    const uint32_t *last = set->last[slot->number % executor->depth];
    clv_status *status = NULL;
    for (int role = 0; role < NUM_ROLES; role++) {
        if (last[role] != NO_STEP) {
            clv_event *event = events_of(runner, set, slot->number)[last[role]];
            status = clv_status_join(status, event->device->vtable->event_wait(event));
        }
    }
    if (status == NULL && slot->spans != NULL && !clv_slot_has_failed(slot)) {
        status = read_spans(runner, set, slot);
    }
    if (status != NULL) {
        clv_executor_fail(executor, slot, status);
        pthread_mutex_lock(&set->lock);
        finish_queues(set);
        pthread_mutex_unlock(&set->lock);
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
    for (uint32_t i = 0; set->events != NULL && i < enqueuer->executor->depth; i++) {
        release_events(enqueuer, set, i);
    }
    for (int role = 0; role < NUM_ROLES; role++) {
        clv_queue *queue = set->queues[role];
        if (queue != NULL) {
            queue->device->vtable->queue_destroy(queue);
        }
    }
    pthread_mutex_destroy(&set->lock);
    clv_free(set->events);
    clv_free(set->order);
    clv_free(set->last);
    clv_free(set);
}

static clv_status *make(clv_executor *executor, queue_set *set, uint32_t unit) {
    const clv_lowered *lowered = executor->program->lowered;
    clv_device *device = executor->prepared->units[unit].devices[0];
    set->num_steps = (uint32_t)lowered->num_steps;
    set->events =
        clv_alloc_zeroed((size_t)executor->depth * set->num_steps + 1, sizeof(clv_event *));
    set->order = clv_alloc_zeroed((size_t)set->num_steps + 1, sizeof *set->order);
    set->last = clv_alloc_zeroed(executor->depth, sizeof *set->last);
    if (set->events == NULL || set->order == NULL || set->last == NULL) {
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
    pthread_mutex_init(&set->lock, NULL);
    set->first_actor = actor;
    set->enqueuer = &runners[0];
    for (int i = 0; i < 2; i++) {
        runners[i].unit = a->unit;
        runners[i].actor = actor;
        runners[i].state = set;
        runners[i].run = i == 0 ? run_enqueuer : run_waiter;
        runners[i].is_last = i == 1;
    }
    runners[0].deinit = deinit;
    return make(executor, set, a->unit);
}
