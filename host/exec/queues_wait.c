/* A device with queues: the thread that waits for requests to end, and tells other units what they
 * wait for. And what is asked before a request is said to have ended well. */
#include "host/exec/queues_internal.h"

#include <stdio.h>

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
 * the same. Nobody is asked again who said that all is well. */
static clv_status *find_failure(
    const clv_runner *runner, queue_set *set, const clv_slot *slot, uint32_t count,
    bool *has_failed) {
    const size_t first = at_request(runner, set, slot->number);
    bool are_good = true;
    for (uint32_t i = set->num_good; i < count && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i];
        clv_event *const of_step[] = {
            set->gates[first + step], set->arrivals[first + step], set->events[first + step]};
        for (int k = 0; k < 3; k++) {
            bool is_done = true;
            clv_status *status = clv_event_ask(of_step[k], &is_done, has_failed);
            CLV_TRY(at_step(runner, step, status));
            are_good = are_good && is_done;
        }
        set->num_good = are_good ? i + 1 : set->num_good;
    }
    return NULL;
}

/* Who is to blame where a step ended with `status`, taken. */
static clv_status *at_failed_step(
    const clv_runner *runner, queue_set *set, uint32_t step, const clv_slot *slot,
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
    clv_event *event = clv_queues_event_when_there(runner, set, index, slot, step);
    clv_link_time booked = {0, 0};
    if (leaves_slowly && event != NULL) {
        clv_queues_await_own(runner, set, step, slot);
        booked = clv_executor_book_link(executor, step_at(runner, step));
    }
    if (event != NULL) {
        clv_runner_at(runner, slot, step, CLV_AT_RUNS);
        status = clv_event_wait_for_end(event);
        clv_executor_await_link(executor, step_at(runner, step), booked);
        if (leaves_slowly) {
            clv_queues_note_link(runner, set, slot, step, booked);
        }
        clv_runner_at(runner, slot, step, CLV_AT_NOTHING);
    }
    if (is_paced(runner, set, step)) {
        clv_runner_wait(
            runner, &set->pacer->progress, enqueued_count(set, slot->number, index + 1));
    }
    bool has_failed = false;
    clv_status *failure = find_failure(runner, set, slot, index + 1, &has_failed);
    if (status != NULL || failure != NULL || clv_slot_has_failed(slot) || set->last_failed != 0) {
        await_each(runner, set, slot, index + 1);
    }
    if (status != NULL) { /* before others go on */
        clv_runner_fail(runner, slot, at_failed_step(runner, set, step, slot, status));
    }
    if (failure != NULL) {
        clv_runner_fail(runner, slot, failure);
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

void clv_queues_run_waiter(clv_runner *runner, clv_slot *slot) {
    queue_set *set = runner->state;
    const clv_lowered *lowered = runner->executor->program->lowered;
    set->num_good = 0;
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

/* --- before a request has ended well --------------------------------------------------------- */

/* The first command of a queue that failed, of requests after `request`, as far as it has come. */
static clv_status *look_on(
    const clv_runner *runner, queue_set *set, uint64_t request, uint32_t role) {
    queue_place *at = &set->looked[role];
    *at = at->request <= request ? (queue_place){request + 1, 0} : *at;
    for (;;) {
        const uint32_t now = atomic_load(&set->enqueuer->progress.value);
        if ((int32_t)(now - enqueued_count(set, at->request, at->index)) <= 0) {
            return NULL;
        }
        const uint32_t step = set->order[at->index];
        if (step == NO_STEP) {
            *at = (queue_place){at->request + 1, 0};
            continue;
        }
        const size_t first = at_request(runner, set, at->request);
        clv_event *const of_step[] = {
            set->gates[first + step], set->arrivals[first + step], set->events[first + step]};
        for (int k = 0; k < 3 && role_of(runner, set, step) == role; k++) {
            bool is_done = true, has_failed = false;
            clv_status *status = clv_event_ask(of_step[k], &is_done, &has_failed);
            if (has_failed || (status == NULL && !is_done)) {
                return at_step(runner, step, status);
            }
            clv_status_destroy(status); /* it may be asked again */
        }
        at->index++;
    }
}

clv_status *clv_queues_look_ahead(const clv_runner *enqueuer, const clv_slot *slot) {
    queue_set *set = enqueuer->state;
    pthread_mutex_lock(&set->look_lock);
    const uint64_t settled = atomic_load(&set->settled);
    if (settled >= set->seen_failed && slot->number >= settled) {
        set->seen_failed = 0;
    }
    for (uint32_t role = 0; role < NUM_ROLES && set->seen_failed == 0; role++) {
        clv_status *failure = look_on(enqueuer, set, slot->number, role);
        if (failure != NULL) {
            set->seen_failed = set->looked[role].request + 1;
            snprintf(
                set->seen_failure, sizeof set->seen_failure, "%s", clv_status_message(failure));
        }
        clv_status_destroy(failure);
    }
    clv_status *status = NULL;
    if (set->seen_failed != 0) {
        status = CLV_ERROR(
            DEVICE_FAILED, "%s: in flight with a request that failed: %s",
            enqueuer->executor->prepared->units[enqueuer->unit].name.text, set->seen_failure);
    }
    pthread_mutex_unlock(&set->look_lock);
    return status;
}
