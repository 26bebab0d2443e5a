/* A device as the executor sees it: memory, programs, kernels, queues, events. No OpenCL here:
 * host/ocl implements this interface, and so does the null driver (host memory, no OpenCL library)
 * that tests and new drivers start from.
 *
 * Objects are created by a device and destroyed before it. A device, its buffers, programs and
 * kernels may be used by one thread at a time unless a function says otherwise; different devices
 * are independent, also in one context.
 */
#ifndef CLV_DEVICE_DEVICE_H
#define CLV_DEVICE_DEVICE_H

#include "host/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum clv_device_kind {
    CLV_DEVICE_CORE, /* inline: a kernel runs in the thread that enqueues it; memory is host memory
                      */
    CLV_DEVICE_GPU,
    CLV_DEVICE_CL, /* any other OpenCL device */
} clv_device_kind;

typedef struct clv_device_info {
    clv_device_kind kind;
    int index;                        /* core:INDEX, gpu:INDEX; cl: see below */
    int platform_index, device_index; /* cl:P.D */
    char name[128], vendor[128], platform[128], driver[128], version[128];
    bool usable;
    char reason[256]; /* why not */
    uint32_t compute_units;
    uint64_t memory_bytes, max_alloc_bytes, local_bytes;
    uint32_t base_align_bytes, max_local_size, max_params_bytes;
    uint64_t max_items; /* work-items of one launch; 0: no limit */
    bool is_cpu, has_fp64, has_fp16;
    bool shares_host_memory; /* buffer_host gives a pointer */
    uint32_t simd_bytes;
    double clock_ghz;
} clv_device_info;

typedef struct clv_device clv_device;
typedef struct clv_buffer clv_buffer;
typedef struct clv_program clv_program;
typedef struct clv_kernel clv_kernel;
typedef struct clv_queue clv_queue;
typedef struct clv_event clv_event;

typedef struct clv_program_desc {
    const char *name; /* for messages */
    const char *source;
    size_t source_bytes;
    const char *options; /* never NULL */
} clv_program_desc;

/* Device clock in ns; the same clock for all events of one device. */
typedef struct clv_event_times {
    uint64_t queued_ns, submitted_ns, started_ns, ended_ns;
} clv_event_times;

typedef enum clv_queue_role {
    CLV_QUEUE_COMPUTE,
    CLV_QUEUE_UPLOAD,
    CLV_QUEUE_DOWNLOAD
} clv_queue_role;

typedef struct clv_device_vtable {
    const char *name; /* "opencl", "null" */

    void (*destroy)(clv_device *device);

    /* Memory shared with the host where info.shares_host_memory. NO_MEMORY names the size. Content
     * is zero. */
    clv_status *(*buffer_create)(clv_device *device, size_t bytes, clv_buffer **out_buffer);
    void (*buffer_destroy)(clv_buffer *buffer);
    /* Borrowed until the buffer is destroyed; NULL where the host cannot see it. */
    void *(*buffer_host)(clv_buffer *buffer);

    /* Builds, or takes the binary from the cache. DEVICE_FAILED with the head of the build log. */
    clv_status *(*program_create)(
        clv_device *device, const clv_program_desc *desc, clv_program **out_program);
    /* (optional: one after another by program_create) [count] at once, which drivers may build on
     * several processors, with clv_progress. out_programs: NULL when called; all of them, or
     * an error and all NULL; CANCELLED between builds. */
    clv_status *(*programs_create)(
        clv_device *device, const clv_program_desc *descs, size_t count,
        clv_program **out_programs);
    void (*program_destroy)(clv_program *program);
    /* Called once kernels of the program have run: the driver may write its cache file. Failures
     * are logged only. */
    void (*program_settle)(clv_program *program);

    /* One object a step, so that arguments are set once. */
    clv_status *(*kernel_create)(clv_program *program, const char *entry, clv_kernel **out_kernel);
    void (*kernel_destroy)(clv_kernel *kernel);
    clv_status *(*kernel_set_buffer)(clv_kernel *kernel, uint32_t index, clv_buffer *buffer);
    clv_status *(*kernel_set_bytes)(
        clv_kernel *kernel, uint32_t index, const void *data, size_t bytes);

    /* In-order. On a CORE device there is one kind of queue, used by the thread of its lane only.
     */
    clv_status *(*queue_create)(clv_device *device, clv_queue_role role, clv_queue **out_queue);
    void (*queue_destroy)(clv_queue *queue);

    /* At most info.max_items work-items, in groups of local_size. The device may start more than
     * global_size: kernels do nothing in those beyond their range. `waits`: events of any queue of
     * this device's context; not on CORE devices. out_event: NULL when not wanted; the caller
     * releases it. On a CORE device the kernel has run when this returns. */
    clv_status *(*enqueue_kernel)(
        clv_queue *queue, clv_kernel *kernel, uint64_t global_size, uint32_t local_size,
        clv_event *const *waits, uint32_t num_waits, clv_event **out_event);
    /* Never blocking: `data` stays untouched until the event is done. */
    clv_status *(*enqueue_write)(
        clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, const void *data,
        clv_event *const *waits, uint32_t num_waits, clv_event **out_event);
    clv_status *(*enqueue_read)(
        clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, void *data,
        clv_event *const *waits, uint32_t num_waits, clv_event **out_event);
    clv_status *(*enqueue_copy)(
        clv_queue *queue, clv_buffer *from, uint64_t from_offset, clv_buffer *to,
        uint64_t to_offset, size_t bytes, clv_event *const *waits, uint32_t num_waits,
        clv_event **out_event);
    clv_status *(*queue_flush)(clv_queue *queue);
    clv_status *(*queue_finish)(clv_queue *queue);

    /* An event that gate_open ends, for `waits` of this device; not on CORE devices. Released as
     * any other. */
    clv_status *(*gate_create)(clv_device *device, clv_event **out_gate);
    clv_status *(*gate_open)(clv_event *gate); /* any thread */

    /* Any thread. DEVICE_FAILED names device and OpenCL error. */
    clv_status *(*event_wait)(clv_event *event);
    /* Sets *out_done; a failed command is done and gives DEVICE_FAILED. Any thread. */
    clv_status *(*event_poll)(clv_event *event, bool *out_done);
    clv_status *(*event_times)(clv_event *event, clv_event_times *out_times);
    void (*event_release)(clv_event *event);
} clv_device_vtable;

/* First member of every driver's device; buffers, programs, ... likewise start with a pointer to
 * their device. */
struct clv_device {
    const clv_device_vtable *vtable;
    clv_device_info info;
};
struct clv_buffer {
    clv_device *device;
    size_t bytes;
};
struct clv_program {
    clv_device *device;
};
struct clv_kernel {
    clv_device *device;
};
struct clv_queue {
    clv_device *device;
    clv_queue_role role;
};
struct clv_event {
    clv_device *device;
};

/* The name that people type for a device: "core:0", "gpu:1", "cl:0.2". */
void clv_device_unit_name(const clv_device_info *info, char out_name[32]);

#endif
