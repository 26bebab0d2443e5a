/* The null driver's objects. For null*.c. */
#ifndef CLV_DEVICE_NULL_INTERNAL_H
#define CLV_DEVICE_NULL_INTERNAL_H

#include "host/device/null.h"

#include <stdatomic.h>

enum { MAX_ARGS = 16 };

typedef struct null_device {
    clv_device base;
    clv_null_options options;
    _Atomic int64_t calls_left;         /* until one fails; negative: none will */
    _Atomic(const char *) failing_call; /* which are counted; NULL: all */
    _Atomic int64_t commands_left;
    _Atomic int64_t num_objects;
} null_device;

typedef struct null_buffer {
    clv_buffer base;
    unsigned char *memory;
} null_buffer;

typedef struct null_argument {
    void *value; /* bytes of ours, or the memory of a buffer */
    size_t bytes;
    bool is_buffer;
} null_argument;

typedef struct null_kernel {
    clv_kernel base;
    clv_null_function function;
    char entry[64];
    null_argument arguments[MAX_ARGS];
    uint32_t num_arguments;
} null_kernel;

static inline null_device *of(clv_device *device) {
    return (null_device *)device;
}

static inline clv_status *no_memory(const char *what) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for %s", what);
}

/* null.c: an error where this call of the device's vtable was told to fail. */
clv_status *clv_null_may_fail(clv_device *device, const char *call) CLV_CHECKED;
/* Zeroed memory of an object that belongs to `device`; NULL where there is none. */
void *clv_null_new(clv_device *device, size_t bytes);
void clv_null_free(clv_device *device, void *object);

/* null_queue.c: these of the vtable. */
clv_status *clv_null_queue_create(clv_device *device, clv_queue_role role, clv_queue **out_queue);
void clv_null_queue_destroy(clv_queue *base);
clv_status *clv_null_enqueue_kernel(
    clv_queue *queue, clv_kernel *base, uint64_t global_size, uint32_t local_size,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event);
clv_status *clv_null_enqueue_write(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, const void *data,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event);
clv_status *clv_null_enqueue_read(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, void *data,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event);
clv_status *clv_null_enqueue_copy(
    clv_queue *queue, clv_buffer *from, uint64_t from_offset, clv_buffer *to, uint64_t to_offset,
    size_t bytes, clv_event *const *waits, uint32_t num_waits, clv_event **out_event);
clv_status *clv_null_queue_flush(clv_queue *queue);
clv_status *clv_null_queue_finish(clv_queue *base);
clv_status *clv_null_gate_create(clv_device *device, clv_event **out_gate);
clv_status *clv_null_gate_open(clv_event *gate);
clv_status *clv_null_event_wait(clv_event *event);
clv_status *clv_null_event_poll(clv_event *event, bool *out_done);
clv_status *clv_null_event_times(clv_event *event, clv_event_times *out_times);
void clv_null_event_release(clv_event *event);

#endif
