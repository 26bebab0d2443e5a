/* Shared by the files of host/ocl only. */
#ifndef CLV_OCL_INTERNAL_H
#define CLV_OCL_INTERNAL_H

#include "host/base/hash.h"
#include "host/base/threads.h"
#include "host/ocl/hook.h"
#include "host/ocl/ocl.h"
#include <CL/cl.h>

/* --- calls and errors ------------------------------------------------------------------------ */

/* error = function(arguments), unless a test's hook says otherwise. */
#define CLV_CL(error, function, ...)                 \
    do {                                             \
        (error) = clv_ocl_enter(CLV_OCL_##function); \
        if ((error) == CL_SUCCESS) {                 \
            (error) = function(__VA_ARGS__);         \
        }                                            \
    } while (0)

/* object = function(arguments, &error); NULL where it failed. */
#define CLV_CL_NEW(object, error, function, ...)        \
    do {                                                \
        (object) = NULL;                                \
        (error) = clv_ocl_enter(CLV_OCL_##function);    \
        if ((error) == CL_SUCCESS) {                    \
            (object) = function(__VA_ARGS__, &(error)); \
        }                                               \
    } while (0)

/* Releases whatever the hook says: it may watch, not prevent. */
#define CLV_CL_RELEASE(function, object)             \
    do {                                             \
        if ((object) != NULL) {                      \
            (void)clv_ocl_enter(CLV_OCL_##function); \
            (void)function(object);                  \
        }                                            \
    } while (0)

const char *clv_cl_error_name(cl_int error); /* "CL_OUT_OF_RESOURCES", "an unknown error" */

/* For clv_ocl_last_failure; out_unit: the device's name. */
void clv_ocl_note_failure(const clv_device_info *info, char out_unit[32]);
/* "gpu:0: clFinish failed: CL_OUT_OF_RESOURCES (-5)". */
clv_status *clv_cl_failed_with(
    clv_code code, const char *file, int line, const clv_device_info *info, clv_ocl_call call,
    cl_int error) CLV_CHECKED;
/* With DEVICE_FAILED, or NO_MEMORY for errors that mean just that. */
clv_status *clv_cl_failed_at(
    const char *file, int line, const clv_device_info *info, clv_ocl_call call,
    cl_int error) CLV_CHECKED;
#define CLV_CL_FAILED(info, function, error) \
    clv_cl_failed_at(__FILE__, __LINE__, info, CLV_OCL_##function, error)
/* Of calls that runs make: all memory has been allocated by then, and what a driver lacks for
 * itself is a failure of its device. */
#define CLV_CL_RUN_FAILED(info, function, error) \
    clv_cl_failed_with(CLV_DEVICE_FAILED, __FILE__, __LINE__, info, CLV_OCL_##function, error)

/* --- objects --------------------------------------------------------------------------------- */

typedef struct clv_ocl_module
    clv_ocl_module; /* a built program, shared by the devices of a group */

/* Devices in one context: alike, of one platform, so that one binary serves them all. */
typedef struct clv_ocl_group {
    cl_platform_id platform;
    cl_device_id *ids;
    size_t num_ids;
    pthread_mutex_t lock; /* held for everything below */
    bool is_generic;      /* of PoCL, a CPU, and as clv_ocl_is_generic says */
    cl_context context;   /* while num_open > 0 */
    size_t num_open;
    clv_ocl_module *modules;
} clv_ocl_group;

typedef struct clv_ocl_found {
    clv_device_info info;
    cl_device_id id;
    bool is_pocl;
    bool is_turned;       /* launches go along the third dimension: see queue.c */
    clv_ocl_group *group; /* NULL where it cannot be used */
    clv_hash identity;    /* of device, driver, processor: what a binary depends on */
} clv_ocl_found;

struct clv_ocl {
    clv_ocl_found *found;
    size_t num_found, capacity_found;
    clv_ocl_group **groups;
    size_t num_groups, capacity_groups;
    clv_hash environment;
};

/* PoCL's `basic` devices run a command in any thread that enqueues one: what one thread enqueued,
 * another may pick up, and the first returns before it has run. So a core is used by one thread at
 * a time, whatever the number of sessions, through one lock a device and process. */
typedef struct clv_ocl_core_lock {
    pthread_mutex_t mutex;
    cl_device_id id;
    size_t num_users;
    struct clv_ocl_core_lock *next;
} clv_ocl_core_lock;
clv_ocl_core_lock *clv_ocl_core_lock_retain(cl_device_id id); /* NULL: no memory */
void clv_ocl_core_lock_release(clv_ocl_core_lock *lock);

typedef struct clv_ocl_device {
    clv_device base;
    clv_ocl_found *found;
    clv_ocl_group *group;
    cl_context context;
    cl_command_queue service; /* zeroes buffers */
    bool profiling;
    clv_ocl_core_lock *core_lock; /* CORE only */
    pthread_mutex_t gate_lock; /* PoCL: while a gate is opened, and a command enqueued that waits */
} clv_ocl_device;

/* PoCL keeps for each cl_mem which device has its newest content, under a lock, and a launch on
 * another device begins with a migration. Cores that share host memory would hand that back and
 * forth at every launch; so each core has a cl_mem of its own for the same memory. */
typedef struct clv_ocl_alias {
    const clv_ocl_found *found;
    cl_mem memory;
    struct clv_ocl_alias *next;
} clv_ocl_alias;

typedef struct clv_ocl_buffer {
    clv_buffer base;
    cl_mem memory;
    void *block; /* what `host` lies in */
    void *host;
    pthread_mutex_t lock;   /* for `aliases` */
    clv_ocl_alias *aliases; /* of other cores than its device's */
} clv_ocl_buffer;

typedef struct clv_ocl_program {
    clv_program base;
    clv_ocl_module *module;
} clv_ocl_program;

typedef struct clv_ocl_kernel {
    clv_kernel base;
    cl_kernel kernel;
    clv_ocl_module *module;
    char entry[64];
    uint32_t noted_local_size; /* of the last launch that the module knows of */
} clv_ocl_kernel;

typedef struct clv_ocl_queue {
    clv_queue base;
    cl_command_queue queue;
} clv_ocl_queue;

typedef struct clv_ocl_event {
    clv_event base;
    cl_event event;
} clv_ocl_event;

static inline clv_ocl_device *clv_ocl_device_of(clv_device *device) {
    return (clv_ocl_device *)device;
}

/* --- environment (environment.c) ------------------------------------------------------------- */

/* POCL_DEVICES; POCL_WORK_GROUP_SPECIALIZATION, so that kernels are compiled once; and
 * POCL_CACHE_DIR where PoCL's own cache folder cannot be written. */
clv_status *clv_ocl_prepare_environment(void) CLV_CHECKED;
/* Whether PoCL compiles a kernel once, for every local size and number of work-items. */
bool clv_ocl_is_generic(void);
/* Whether a program of this name is in PATH. */
bool clv_ocl_finds_program(const char *name);
/* What the driver's compiler looks at besides the device: processor features, POCL_* variables. */
clv_hash clv_ocl_environment_hash(void);

/* --- ahead.c --------------------------------------------------------------------------------- */

/* Calls build(context, index) for each index below `count` in this or another process, on all
 * processors, with clv_progress; for none where that cannot be. What is to remain of it has to go
 * into files. Returns when all is done. */
typedef void (*clv_ocl_build_function)(void *context, size_t index);
void clv_ocl_build_ahead(clv_ocl_build_function build, void *context, size_t count);

/* --- memory.c, module.c, queue.c: the slots of the vtable ------------------------------------- */

clv_status *clv_ocl_buffer_create(clv_device *device, size_t bytes, clv_buffer **out_buffer)
    CLV_CHECKED;
void clv_ocl_buffer_destroy(clv_buffer *buffer);
void *clv_ocl_buffer_host(clv_buffer *buffer);
/* What a kernel of `device` takes for it. */
clv_status *clv_ocl_buffer_memory(
    clv_ocl_buffer *buffer, const clv_ocl_device *device, cl_mem *out_memory) CLV_CHECKED;

clv_status *clv_ocl_program_create(
    clv_device *device, const clv_program_desc *desc, clv_program **out_program) CLV_CHECKED;
clv_status *clv_ocl_programs_create(
    clv_device *device, const clv_program_desc *descs, size_t count,
    clv_program **out_programs) CLV_CHECKED;
void clv_ocl_program_destroy(clv_program *program);
void clv_ocl_program_settle(clv_program *program);
clv_status *clv_ocl_kernel_create(clv_program *program, const char *entry, clv_kernel **out_kernel)
    CLV_CHECKED;
void clv_ocl_kernel_destroy(clv_kernel *kernel);
clv_status *clv_ocl_kernel_set_buffer(clv_kernel *kernel, uint32_t index, clv_buffer *buffer)
    CLV_CHECKED;
clv_status *clv_ocl_kernel_set_bytes(
    clv_kernel *kernel, uint32_t index, const void *data, size_t bytes) CLV_CHECKED;
/* Around the first launch of a kernel with a local size. Drivers compile then, and not twice where
 * first launches of a group come one after another.
 * Afterwards the module knows that (entry, local size) has run: a binary that was taken before
 * lacks it. */
void clv_ocl_module_begin_launch(const clv_ocl_kernel *kernel);
void clv_ocl_module_end_launch(clv_ocl_kernel *kernel, uint32_t local_size, bool is_done);
/* Whether nothing is compiled and nothing new for the module: another object of the kernel was
 * launched so, or its program came with all kernels. */
bool clv_ocl_module_has(clv_ocl_kernel *kernel, uint32_t local_size);

clv_status *clv_ocl_queue_create(clv_device *device, clv_queue_role role, clv_queue **out_queue)
    CLV_CHECKED;
void clv_ocl_queue_destroy(clv_queue *queue);
clv_status *clv_ocl_enqueue_kernel(
    clv_queue *queue, clv_kernel *kernel, uint64_t global_size, uint32_t local_size,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) CLV_CHECKED;
clv_status *clv_ocl_enqueue_write(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, const void *data,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) CLV_CHECKED;
clv_status *clv_ocl_enqueue_read(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, void *data,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) CLV_CHECKED;
clv_status *clv_ocl_enqueue_copy(
    clv_queue *queue, clv_buffer *from, uint64_t from_offset, clv_buffer *to, uint64_t to_offset,
    size_t bytes, clv_event *const *waits, uint32_t num_waits, clv_event **out_event) CLV_CHECKED;
clv_status *clv_ocl_queue_flush(clv_queue *queue) CLV_CHECKED;
clv_status *clv_ocl_queue_finish(clv_queue *queue) CLV_CHECKED;
clv_status *clv_ocl_gate_create(clv_device *device, clv_event **out_gate) CLV_CHECKED;
clv_status *clv_ocl_gate_open(clv_event *gate) CLV_CHECKED;
clv_status *clv_ocl_event_wait(clv_event *event) CLV_CHECKED;
clv_status *clv_ocl_event_poll(clv_event *event, bool *out_done) CLV_CHECKED;
clv_status *clv_ocl_event_times(clv_event *event, clv_event_times *out_times) CLV_CHECKED;
void clv_ocl_event_release(clv_event *event);

#endif
