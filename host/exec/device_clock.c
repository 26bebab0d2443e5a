#include "host/exec/device_clock.h"

#include "host/base/threads.h"

enum { ROUND_TRIPS = 16 };

clv_status *clv_clock_take(clv_queue *queue, clv_buffer *buffer, clv_clock_sample *out_sample) {
    const clv_device_vtable *v = queue->device->vtable;
    static const uint32_t word = 0;
    *out_sample = (clv_clock_sample){.uncertainty_ns = UINT64_MAX};
    for (int i = 0; i < ROUND_TRIPS; i++) {
        clv_event *event = NULL;
        clv_event_times times;
        const uint64_t before_ns = clv_time_ns();
        CLV_TRY(v->enqueue_write(queue, buffer, 0, sizeof word, &word, NULL, 0, &event));
        clv_status *status = v->queue_flush(queue);
        status = clv_status_join(status, v->event_wait(event));
        const uint64_t after_ns = clv_time_ns();
        if (status == NULL) {
            status = v->event_times(event, &times);
        }
        v->event_release(event);
        CLV_TRY(status);
        const uint64_t half_ns = (after_ns - before_ns + 1) / 2;
        if (half_ns < out_sample->uncertainty_ns) {
            *out_sample = (clv_clock_sample){before_ns + half_ns, times.ended_ns, half_ns};
        }
    }
    return NULL;
}

static int64_t offset_ns(const clv_clock_sample *sample) {
    return (int64_t)(sample->host_ns - sample->device_ns);
}

int64_t clv_clock_drift_ns(const clv_device_clock *clock) {
    return clock->first.device_ns == 0 || clock->last.device_ns == 0
               ? 0
               : offset_ns(&clock->first) - offset_ns(&clock->last);
}

uint64_t clv_clock_to_host(const clv_device_clock *clock, uint64_t device_ns) {
    const clv_clock_sample *first = &clock->first, *last = &clock->last;
    if (first->device_ns == 0) {
        return device_ns;
    }
    double since = 0;
    if (last->device_ns > first->device_ns) {
        const double length = (double)(last->device_ns - first->device_ns);
        since = (double)(int64_t)(device_ns - first->device_ns) / length;
        since = since < 0 ? 0 : since > 1 ? 1 : since;
    }
    const double moved = (double)clv_clock_drift_ns(clock) * since;
    return device_ns + (uint64_t)(offset_ns(first) - (int64_t)moved);
}
