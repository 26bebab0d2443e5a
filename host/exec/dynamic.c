/* Lanes that take what is ready, in no fixed order: a thread for each lane of a core, as in
 * lanes.c, and some for each device with queues; what a lane does next is for the ready queue to
 * say. */
#include "host/exec/executor_internal.h"

#include "host/base/memory.h"
#include "host/exec/transfer.h"
#include <string.h>

/* --- one piece of work ----------------------------------------------------------------------- */

static clv_status *launch(
    clv_runner *lane, const clv_work *work, const clv_slot *slot, const uint64_t items[2]) {
    const clv_prepared *prepared = lane->executor->prepared;
    const clv_step *step = &prepared->lowered->steps[work->step];
    const bool is_whole = lane->executor->options.tasks->tasks[work->step].num_chunks == 1;
    clv_kernel *kernel;
    clv_status *status =
        is_whole
            ? clv_prepared_kernel(prepared, work->step, lane->lane, slot->number, &kernel)
            : clv_prepared_chunk(prepared, work->step, lane->lane, slot->number, items, &kernel);
    if (status == NULL && kernel != NULL) {
        status = clv_lane_enqueue(lane, step, kernel, items[1] - items[0]);
    }
    return status == NULL ? NULL : clv_status_prefix(status, "node '%s'", step->name);
}

/* --- a device with queues -------------------------------------------------------------------- */

enum { UPLOAD, COMPUTE, DOWNLOAD, NUM_QUEUES };

static const clv_queue_role roles[NUM_QUEUES] = {
    CLV_QUEUE_UPLOAD, CLV_QUEUE_COMPUTE, CLV_QUEUE_DOWNLOAD};

/* Of one lane. */
typedef struct queue_set {
    clv_queue *queues[NUM_QUEUES];
} queue_set;

static uint32_t role_of(const clv_prepared *prepared, const clv_step *step) {
    switch (step->kind) {
    case CLV_STEP_LAUNCH:
    case CLV_STEP_FILL:
        return COMPUTE;
    case CLV_STEP_INPUT:
        return UPLOAD;
    case CLV_STEP_OUTPUT:
        return DOWNLOAD;
    case CLV_STEP_MOVE:
        break;
    }
    const clv_storage *to = &prepared->lowered->storages[step->operands[0].storage];
    return to->memory == step->memory ? UPLOAD : DOWNLOAD;
}

/* Enqueues a step and waits for it: what it needs is done, so nothing else is waited for; other
 * lanes keep the device at work meanwhile. out_times: NULL where not wanted. After a failure
 * drivers may fail what comes next in the queue until that is finished. */
static clv_status *feed(
    clv_runner *lane, const clv_work *work, const clv_slot *slot, const clv_step *step,
    clv_event_times *out_times) {
    const clv_prepared *prepared = lane->executor->prepared;
    const queue_set *set = lane->state;
    clv_queue *queue = set->queues[role_of(prepared, step)];
    const clv_device_vtable *v = queue->device->vtable;
    clv_event *event = NULL;
    clv_kernel *kernel = NULL;
    clv_status *status = NULL;
    if (step->kind != CLV_STEP_LAUNCH) {
        const clv_transfer transfer = {.prepared = prepared, .step = step, .slot = slot};
        CLV_TRY_DONE(clv_transfer_enqueue(queue, &transfer, &event));
    } else {
        const uint64_t groups = (step->num_items + step->local_size - 1) / step->local_size;
        CLV_TRY_DONE(clv_prepared_kernel(prepared, work->step, lane->lane, slot->number, &kernel));
        CLV_TRY_DONE(v->enqueue_kernel(
            queue, kernel, groups * step->local_size, step->local_size, NULL, 0, &event));
    }
    CLV_TRY_DONE(v->queue_flush(queue));
    CLV_TRY_DONE(v->event_wait(event));
    if (out_times != NULL) {
        CLV_TRY_DONE(v->event_times(event, out_times));
    }
done:
    if (status != NULL) {
        clv_event_wait_and_ignore(event); /* also where finishing the queue is refused */
        status = clv_status_join(status, clv_queue_finish(queue));
    }
    v->event_release(event);
    return status == NULL ? NULL : clv_status_prefix(status, "'%s'", step->name);
}

/* A kernel on a device that is declared slow: by what the device says that it took. */
static clv_status *feed_slowly(
    clv_runner *lane, const clv_work *work, const clv_slot *slot, const clv_step *step,
    double speed) {
    pthread_mutex_t *lock = &lane->executor->paces[lane->unit].kernel_lock;
    const double most_ns = 1e18; /* thirty years */
    clv_event_times times;
    pthread_mutex_lock(lock);
    clv_status *status = feed(lane, work, slot, step, &times);
    if (status == NULL && times.ended_ns > times.started_ns) {
        const double pause_ns = (double)(times.ended_ns - times.started_ns) * (1 / speed - 1);
        clv_executor_sleep_until(
            lane->executor, clv_time_ns() + (uint64_t)(pause_ns < most_ns ? pause_ns : most_ns));
    }
    pthread_mutex_unlock(lock);
    return status;
}

static clv_status *feed_step(
    clv_runner *lane, const clv_work *work, const clv_slot *slot, const clv_step *step,
    double speed) {
    clv_executor *executor = lane->executor;
    if (step->kind == CLV_STEP_LAUNCH && speed != 1) {
        return feed_slowly(lane, work, slot, step, speed);
    }
    const uint64_t begin_ns = clv_time_ns();
    clv_link_time booked = {0, 0};
    if (step->has_link) {
        booked = clv_executor_book_link(executor, step);
    }
    clv_status *status = feed(lane, work, slot, step, NULL);
    if (status != NULL) {
        clv_executor_leave_link(executor, step, booked);
        return status;
    }
    clv_executor_await_link(executor, step, booked);
    if (step->kind != CLV_STEP_LAUNCH) {
        lane->now.transfer_us += (double)(clv_time_ns() - begin_ns) * 1e-3;
        lane->now.bytes_in += step->kind == CLV_STEP_INPUT ? step->bytes : 0;
        lane->now.bytes_out += step->kind == CLV_STEP_OUTPUT ? step->bytes : 0;
    }
    return NULL;
}

/* --- all kinds ------------------------------------------------------------------------------- */

/* A lane may do several parts of a step: from the first one's begin to the last one's end. */
static void add_span(
    const clv_runner *lane, const clv_work *work, clv_slot *slot, uint64_t begin_ns) {
    clv_item_span *span = &slot->spans[lane->executor->first_span[work->step] + lane->lane];
    span->begin_ns = span->end_ns == 0 ? begin_ns : span->begin_ns;
    span->end_ns = clv_time_ns();
}

static void do_work(clv_runner *lane, const clv_work *work) {
    clv_executor *executor = lane->executor;
    const clv_step_tasks *tasks = executor->options.tasks;
    clv_slot *slot = &executor->slots[work->slot];
    const clv_step *step = &executor->prepared->lowered->steps[work->step];
    const double speed = executor->prepared->units[lane->unit].name.limits.speed;
    const uint64_t begin_ns = clv_time_ns();
    const double moved_us = lane->now.transfer_us;
    uint64_t items[2];
    if (clv_slot_has_failed(slot)) {
        return;
    }
    if (clv_executor_is_cancelled(executor)) {
        clv_runner_fail(lane, slot, CLV_ERROR(CANCELLED, "interrupted"));
        return;
    }
    clv_executor_delay(executor, slot, work->step, work->chunk);
    clv_runner_at(lane, slot, work->step, CLV_AT_RUNS);
    clv_step_task_items(tasks, work->step, (uint32_t[2]){work->chunk, work->end_chunk}, items);
    if (lane->feeds) {
        clv_status *status = feed_step(lane, work, slot, step, speed);
        if (status != NULL) {
            clv_runner_fail(lane, slot, status);
            return;
        }
        lane->now.ops += tasks->tasks[work->step].is_op ? 1 : 0;
    } else if (step->kind != CLV_STEP_LAUNCH) {
        clv_lane_transfer(lane, step, slot, items, work->chunk == 0);
    } else {
        clv_status *status = launch(lane, work, slot, items);
        if (status != NULL) {
            clv_runner_fail(lane, slot, status);
            return;
        }
        if (speed != 1) {
            clv_lane_stretch(executor, begin_ns, speed);
        }
        lane->now.ops += work->chunk == 0 && tasks->tasks[work->step].is_op ? 1 : 0;
    }
    if (slot->spans != NULL) {
        add_span(lane, work, slot, begin_ns);
    }
    lane->now.busy_us += (double)(clv_time_ns() - begin_ns) * 1e-3;
    lane->now.busy_us -= lane->now.transfer_us - moved_us;
}

/* --- what is ready --------------------------------------------------------------------------- */

static void count(clv_runner *lane) {
    pthread_mutex_lock(&lane->stats_lock);
    lane->stats.busy_us += lane->now.busy_us;
    lane->stats.transfer_us += lane->now.transfer_us;
    lane->stats.waited_us += lane->now.waited_us;
    lane->stats.bytes_in += lane->now.bytes_in;
    lane->stats.bytes_out += lane->now.bytes_out;
    lane->stats.ops += lane->now.ops;
    pthread_mutex_unlock(&lane->stats_lock);
    lane->now = (clv_unit_stats){0};
}

/* With the seat: all that there is to do. Returns a ticket to wait with. What was done is counted
 * before anybody can hear of it. */
static uint32_t work_off(clv_runner *lane) {
    clv_executor *executor = lane->executor;
    const uint32_t index = (uint32_t)(lane - executor->runners);
    clv_work works[2];
    const clv_work *done = NULL;
    uint32_t ticket, ended;
    for (uint32_t i = 0;; i ^= 1) {
        const bool has_work =
            clv_ready_next(executor->ready, index, done, &works[i], &ended, &ticket);
        if (ended != CLV_NO_SLOT) {
            clv_executor_leave(executor, &executor->slots[ended]);
        }
        if (!has_work) {
            return ticket;
        }
        do_work(lane, &works[i]);
        clv_runner_check_late(lane, &executor->slots[works[i].slot]);
        count(lane);
        done = &works[i];
    }
}

/* Waiting while requests are at work is waiting for others. */
static void wait_for_work(clv_runner *lane, uint32_t ticket, bool is_caller) {
    clv_executor *executor = lane->executor;
    const uint32_t index = (uint32_t)(lane - executor->runners);
    const bool is_busy = clv_ready_is_busy(executor->ready);
    const double begin_us = clv_time_us();
    clv_ready_wait(
        executor->ready, index, is_caller, ticket,
        is_busy ? executor->step_spin_ns : executor->idle_spin_ns);
    if (is_busy) {
        pthread_mutex_lock(&lane->stats_lock);
        lane->stats.waited_us += clv_time_us() - begin_us;
        pthread_mutex_unlock(&lane->stats_lock);
    }
}

void *clv_dynamic_thread(void *argument) {
    clv_runner *lane = argument;
    clv_executor *executor = lane->executor;
    while (!atomic_load(&executor->quit)) {
        pthread_mutex_lock(&lane->seat);
        const uint32_t ticket = work_off(lane);
        pthread_mutex_unlock(&lane->seat);
        if (!atomic_load(&executor->quit)) {
            wait_for_work(lane, ticket, false);
        }
    }
    return NULL;
}

/* --- for callers ----------------------------------------------------------------------------- */

void clv_dynamic_begin(clv_executor *executor, clv_slot *slot) {
    const clv_step_tasks *tasks = executor->options.tasks;
    if (slot->spans != NULL) {
        const size_t count = executor->first_span[tasks->lowered->num_steps];
        memset(slot->spans, 0, count * sizeof *slot->spans);
    }
    const uint32_t index = (uint32_t)(slot - executor->slots);
    if (clv_ready_begin(executor->ready, slot->number, index)) {
        clv_executor_leave(executor, slot);
    }
}

bool clv_dynamic_sit(clv_executor *executor, uint64_t number) {
    if (executor->num_runners == 0 || pthread_mutex_trylock(&executor->runners[0].seat) != 0) {
        return false;
    }
    clv_ready_sit(executor->ready, 0, number);
    return true;
}

void clv_dynamic_work(clv_executor *executor) {
    clv_runner *lane = &executor->runners[0];
    clv_thread_move_to(executor->num_runners > 1 ? lane->processor : -1);
    for (uint32_t ticket; !clv_ready_is_through(executor->ready, 0);) {
        ticket = work_off(lane);
        if (!clv_ready_is_through(executor->ready, 0)) {
            wait_for_work(lane, ticket, true);
        }
    }
    clv_ready_rise(executor->ready, 0);
    pthread_mutex_unlock(&lane->seat);
}

/* --- making them ----------------------------------------------------------------------------- */

static void destroy_queue(clv_queue *queue) {
    if (queue != NULL) {
        queue->device->vtable->queue_destroy(queue);
    }
}

static void deinit(clv_runner *lane) {
    if (!lane->feeds) {
        destroy_queue(lane->state);
        return;
    }
    queue_set *set = lane->state;
    for (int i = 0; set != NULL && i < NUM_QUEUES; i++) {
        destroy_queue(set->queues[i]);
    }
    clv_free(set);
}

static clv_status *create_queues(clv_runner *lane, clv_device *device) {
    if (!lane->feeds) {
        clv_queue *queue = NULL;
        CLV_TRY(device->vtable->queue_create(device, CLV_QUEUE_COMPUTE, &queue));
        lane->state = queue;
        return NULL;
    }
    queue_set *set = lane->state = clv_alloc_zeroed(1, sizeof *set);
    if (set == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the queues of a device");
    }
    for (int i = 0; i < NUM_QUEUES; i++) {
        CLV_TRY(device->vtable->queue_create(device, roles[i], &set->queues[i]));
    }
    return NULL;
}

clv_status *clv_dynamic_init(clv_executor *executor) {
    const clv_crews *crews = executor->options.tasks->crews;
    for (uint32_t c = 0; c < crews->num_crews; c++) {
        for (uint32_t i = crews->first_lane[c]; i < crews->first_lane[c + 1]; i++) {
            clv_runner *lane = &executor->runners[i];
            lane->unit = crews->lanes[i].unit;
            clv_device *device =
                executor->prepared->units[lane->unit].devices[crews->lanes[i].device];
            lane->lane = i - crews->first_lane[c];
            lane->has_stats = true;
            lane->deinit = deinit;
            lane->feeds = crews->lanes[i].has_queues;
            lane->processor = executor->options.is_crowded || lane->feeds
                                  ? -1
                                  : clv_processor_at(device->info.index);
            CLV_TRY(create_queues(lane, device));
        }
    }
    return NULL;
}
