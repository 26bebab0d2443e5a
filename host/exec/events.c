#include "host/exec/executor_internal.h"

#include <time.h>

clv_status *clv_event_wait_for_end(clv_event *event) {
    const clv_device_vtable *v = event->device->vtable;
    clv_status *status = v->event_wait(event);
    for (bool has_ended = status == NULL; !has_ended;) {
        clv_status *ignored = v->event_poll(event, &has_ended);
        if (!has_ended && ignored != NULL) {
            has_ended = true; /* a device that answers no question twice in a row is lost */
        } else if (!has_ended) {
            clv_status_destroy(v->event_wait(event));
        }
        clv_status_destroy(ignored);
    }
    return status;
}

clv_status *clv_event_ask(clv_event *event, bool *out_done, bool *has_failed) {
    const clv_device_vtable *v = event != NULL ? event->device->vtable : NULL;
    *out_done = v == NULL;
    clv_status *status = v != NULL ? v->event_poll(event, out_done) : NULL;
    if (status != NULL && !*has_failed) {
        clv_status *again = v->event_poll(event, out_done);
        *has_failed = again != NULL;
        clv_status_destroy(again);
    }
    return status;
}

void clv_event_wait_and_ignore(clv_event *event) {
    if (event != NULL) {
        clv_status_destroy(clv_event_wait_for_end(event)); /* the waiter is told too */
    }
}

void clv_event_release(clv_event **event) {
    if (*event != NULL) {
        (*event)->device->vtable->event_release(*event);
        *event = NULL;
    }
}

clv_status *clv_queue_finish(clv_queue *queue) {
    clv_status *status = queue->device->vtable->queue_finish(queue);
    if (status != NULL) {
        clv_status_destroy(queue->device->vtable->queue_finish(queue)); /* or the device is lost */
    }
    return status;
}

/* What waits for a gate never ends unless somebody opens it, nor can be taken back, so it is tried
 * until that works; whoever looks after steps that never end hears of it after a second. */
static void keep_opening(const clv_runner *runner, clv_event *gate, clv_status *why) {
    const uint64_t bound_ns = 1000000000, begin_ns = clv_time_ns();
    const long most_ns = 10000000;
    struct timespec pause = {.tv_nsec = 0};
    bool is_told = false;
    for (;;) {
        clv_status *status = gate->device->vtable->gate_open(gate);
        bool is_open = status == NULL;
        clv_status_destroy(status);
        if (!is_open) { /* or it was opened, and the driver denies it */
            clv_status_destroy(gate->device->vtable->event_poll(gate, &is_open));
        }
        if (is_open) {
            break;
        }
        nanosleep(&pause, NULL);
        pause.tv_nsec = pause.tv_nsec < most_ns / 2 ? pause.tv_nsec * 2 + 10000 : most_ns;
        if (!is_told && clv_time_ns() - begin_ns > bound_ns) {
            is_told = true;
            clv_executor_tell_stuck(runner->executor, clv_status_message(why));
        }
    }
    clv_status_destroy(why);
}

void clv_runner_open_gate(
    const clv_runner *runner, clv_slot *slot, uint32_t step, clv_event *gate) {
    clv_status *status = gate != NULL ? gate->device->vtable->gate_open(gate) : NULL;
    if (status != NULL) {
        const clv_lowered *lowered = runner->executor->program->lowered;
        status = clv_status_prefix(status, "'%s'", lowered->steps[step].name);
        clv_status *why = clv_status_create(
            clv_status_code(status), __FILE__, __LINE__, "%s; what waits for it cannot end",
            clv_status_message(status));
        clv_runner_fail(runner, slot, status);
        keep_opening(runner, gate, why);
    }
}
