#include "host/exec/executor_internal.h"

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

clv_status *clv_event_ask(clv_event *event, bool *has_failed) {
    const clv_device_vtable *v = event != NULL ? event->device->vtable : NULL;
    bool is_done = false;
    clv_status *status = v != NULL ? v->event_poll(event, &is_done) : NULL;
    if (status != NULL && !*has_failed) {
        clv_status *again = v->event_poll(event, &is_done);
        *has_failed = again != NULL;
        clv_status_destroy(again);
    }
    return status;
}

void clv_event_wait_and_ignore(clv_event *event) {
    if (event != NULL) {
        clv_status *ignored = event->device->vtable->event_wait(event); /* the waiter is told too */
        clv_status_destroy(ignored);
    }
}
