/* The clock that a device stamps its commands with, as seen from the host's: compared by commands
 * that do nothing, at two moments, between which it is taken to run evenly. */
#ifndef CLV_EXEC_DEVICE_CLOCK_H
#define CLV_EXEC_DEVICE_CLOCK_H

#include "host/device/device.h"

typedef struct clv_clock_sample {
    uint64_t host_ns, device_ns; /* at the same moment, */
    uint64_t uncertainty_ns;     /* give or take so much: half the round trip */
} clv_clock_sample;

typedef struct clv_device_clock {
    clv_clock_sample first, last; /* device_ns 0: not taken */
} clv_device_clock;

/* Of some round trips the shortest. `queue` and `buffer` (of 4 bytes or more) are the device's,
 * opened with profiling, while nothing else is done with them. DEVICE_FAILED. */
clv_status *clv_clock_take(clv_queue *queue, clv_buffer *buffer, clv_clock_sample *out_sample)
    CLV_CHECKED;
/* On the host's clock. By the first sample alone where there is no other; as it is without. */
uint64_t clv_clock_to_host(const clv_device_clock *clock, uint64_t device_ns);
/* By how much the device's clock ran away from the host's between the samples. */
int64_t clv_clock_drift_ns(const clv_device_clock *clock);

#endif
