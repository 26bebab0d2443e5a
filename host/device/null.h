/* A driver without a device: memory is host memory, kernels are C functions that the caller gives,
 * queues are threads. For tests of everything above a driver (also under ThreadSanitizer, with no
 * library in between), and to start a new driver from.
 *
 * As a CORE device it runs a kernel in the thread that enqueues it and shares its memory; otherwise
 * every queue has a thread that takes commands in order, waits for their events and runs them, and
 * the host sees buffers through commands only. All null devices of a process are in one context.
 */
#ifndef CLV_DEVICE_NULL_H
#define CLV_DEVICE_NULL_H

#include "host/device/device.h"

/* One launch: args[i] is the memory of a buffer, or the bytes of a value, as they were set. */
typedef struct clv_null_launch {
    const char *entry;
    void *const *args;
    const size_t *arg_bytes;
    uint32_t num_args;
    uint64_t global_size;
} clv_null_launch;

typedef void (*clv_null_function)(const clv_null_launch *launch);

typedef struct clv_null_options {
    clv_device_kind kind;
    int platform_index, index;
    uint64_t memory_bytes, max_alloc_bytes; /* 0: 1 GiB */
    /* The function for a kernel's name; NULL: there is none, which fails kernel_create. */
    clv_null_function (*find)(const char *entry);
    /* Not 0: queue threads give way at random points, differently for each seed, so that commands
     * which nothing orders are seen in many orders. */
    uint64_t shuffle_seed;
    /* Under a millisecond that every copy of a queue takes longer, so that others are seen that do
     * not wait for it. */
    uint32_t copy_us;
    /* A command fails as soon as one that it waits for has, or one before it in its queue, whatever
     * else it waits for, as in PoCL: its event may end before those of commands before it. */
    bool ends_early;
    /* With ends_early: a command that waits for one that failed says that it is done, as in Intel's
     * runtime; it does nothing, and what is behind it in its queue runs. */
    bool calls_it_done;
    /* Finishing a queue fails each time, and waits for nothing. */
    bool refuses_finish;
} clv_null_options;

clv_status *clv_null_device_create(const clv_null_options *options, clv_device **out_device)
    CLV_CHECKED;

/* The n-th `call` from now (0: the next one), a member of the vtable, fails, once; NULL: of all
 * that can fail; negative: none. */
void clv_null_fail_call_at(clv_device *device, const char *call, int64_t n);
/* The n-th command from now fails when it is run, and so does what waits for its event or
 * is behind it in its queue, until that is finished. */
void clv_null_fail_command_at(clv_device *device, int64_t n);
/* Copies of all null devices that began while another one was at the same bytes, one of the two
 * writing: nothing had ordered them. */
int64_t clv_null_num_clashes(void);
/* Copies of all null devices that had not ended when their queue was destroyed, which waits for
 * them here; with other drivers they may be at the host's memory later. */
int64_t clv_null_num_abandoned(void);
/* Buffers, programs, kernels, queues and events that exist. */
int64_t clv_null_num_objects(const clv_device *device);

#endif
