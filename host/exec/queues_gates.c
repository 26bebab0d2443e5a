/* A device with queues: the thread that waits for other units, and the one that makes a slow device
 * slow. Both open gates. */
#include "host/exec/queues_internal.h"

/* a kernel that begins so late after a pause was kept by its gate alone */
enum { HOP_NS = 100000 };

/* --- other units ----------------------------------------------------------------------------- */

/* The event of a step once it is enqueued; NULL: it never was. */
clv_event *clv_queues_event_when_there(
    clv_runner *runner, queue_set *set, uint32_t index, const clv_slot *slot, uint32_t step) {
    const uint32_t count = enqueued_count(set, slot->number, index + 1);
    clv_runner_wait(runner, &set->enqueuer->progress, count);
    return events_of(runner, set, slot->number)[step];
}

/* Until what the device itself must have done before a step has been done. */
void clv_queues_await_own(
    const clv_runner *runner, queue_set *set, uint32_t step, const clv_slot *slot) {
    wait_list waits;
    clv_status *status = clv_queues_find_waits(runner, set, step, slot, &waits);
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

void clv_queues_note_link(
    const clv_runner *runner, queue_set *set, const clv_slot *slot, uint32_t step,
    clv_link_time booked) {
    note_pace(runner, slot, step, booked);
    atomic_fetch_add_explicit(&set->link_ns, booked.end_ns - booked.begin_ns, memory_order_relaxed);
}

/* What comes in over a slow link is there when the link is through. */
static void bring_in(
    clv_runner *runner, queue_set *set, uint32_t index, clv_slot *slot, clv_event *gate) {
    const uint32_t step = set->order[index];
    clv_event *event = clv_queues_event_when_there(runner, set, index, slot, step);
    clv_queues_await_own(runner, set, step, slot);
    const clv_link_time booked = clv_executor_book_link(runner->executor, step_at(runner, step));
    clv_runner_open_gate(runner, slot, step, gate);
    clv_event_wait_and_ignore(event);
    clv_executor_await_link(runner->executor, step_at(runner, step), booked);
    clv_queues_note_link(runner, set, slot, step, booked);
    clv_runner_open_gate(
        runner, slot, step, set->arrivals[at_request(runner, set, slot->number) + step]);
}

void clv_queues_run_carrier(clv_runner *runner, clv_slot *slot) {
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
void clv_queues_run_pacer(clv_runner *runner, clv_slot *slot) {
    queue_set *set = runner->state;
    uint32_t first = 0;
    clv_runner_wait(runner, &set->gated, (uint32_t)slot->number + 1);
    for (uint32_t i = 0; i < set->num_steps && set->order[i] != NO_STEP; i++) {
        const uint32_t step = set->order[i];
        clv_event *pause = set->arrivals[at_request(runner, set, slot->number) + step];
        if (!is_paced(runner, set, step) || pause == NULL) {
            continue;
        }
        if (clv_queues_event_when_there(runner, set, i, slot, step) != NULL) {
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
