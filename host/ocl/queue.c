/* Queues, commands and events. */
#include "host/ocl/internal.h"

#include "host/base/memory.h"
#include <time.h>

enum { MAX_WAITS = 64 };

clv_status *clv_ocl_queue_create(clv_device *base, clv_queue_role role, clv_queue **out_queue) {
    clv_ocl_device *device = clv_ocl_device_of(base);
    *out_queue = NULL;
    clv_ocl_queue *queue = clv_alloc_zeroed(1, sizeof *queue);
    if (queue == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a queue");
    }
    queue->base = (clv_queue){.device = base, .role = role};
    cl_int error;
    CLV_CL_NEW(
        queue->queue, error, clCreateCommandQueue, device->context, device->found->id,
        device->profiling ? CL_QUEUE_PROFILING_ENABLE : 0);
    if (error != CL_SUCCESS) {
        clv_free(queue);
        return CLV_CL_FAILED(&base->info, clCreateCommandQueue, error);
    }
    *out_queue = &queue->base;
    return NULL;
}

void clv_ocl_queue_destroy(clv_queue *base) {
    if (base == NULL) {
        return;
    }
    clv_ocl_queue *queue = (clv_ocl_queue *)base;
    CLV_CL_RELEASE(clReleaseCommandQueue, queue->queue);
    clv_free(queue);
}

/* What a command needs around the OpenCL call itself. */
typedef struct command {
    cl_event waits[MAX_WAITS];
    cl_uint num_waits;
    const cl_event *wait_list; /* NULL where there are none, as OpenCL wants it */
    clv_ocl_event *event;      /* NULL where not wanted */
    cl_event *event_slot;
} command;

static clv_status *begin(
    command *out_command, clv_queue *queue, clv_event *const *waits, uint32_t num_waits,
    clv_event **out_event) {
    if (num_waits > MAX_WAITS) {
        return CLV_ERROR(INTERNAL, "a command waits for %u events", num_waits);
    }
    for (uint32_t i = 0; i < num_waits; i++) {
        out_command->waits[i] = ((clv_ocl_event *)waits[i])->event;
    }
    out_command->num_waits = num_waits;
    out_command->wait_list = num_waits != 0 ? out_command->waits : NULL;
    out_command->event = NULL;
    out_command->event_slot = NULL;
    if (out_event != NULL) {
        *out_event = NULL;
        clv_ocl_event *event = clv_alloc_zeroed(1, sizeof *event);
        if (event == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for an event");
        }
        event->base.device = queue->device;
        out_command->event = event;
        out_command->event_slot = &event->event;
    }
    return NULL;
}

/* Hands the event over, or reports that the call failed. */
static clv_status *end(
    command *done, clv_queue *queue, clv_ocl_call call, cl_int error, clv_event **out_event) {
    if (error != CL_SUCCESS) {
        clv_free(done->event);
        return clv_cl_failed_with(
            CLV_DEVICE_FAILED, __FILE__, __LINE__, &queue->device->info, call, error);
    }
    if (out_event != NULL) {
        *out_event = &done->event->base;
    }
    return NULL;
}

static cl_command_queue raw(clv_queue *queue) {
    return ((clv_ocl_queue *)queue)->queue;
}

static cl_mem memory_of(clv_buffer *buffer) {
    return ((clv_ocl_buffer *)buffer)->memory;
}

static bool has_failed(cl_event event) {
    cl_int error, state = CL_QUEUED;
    CLV_CL(
        error, clGetEventInfo, event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state,
        NULL);
    return error == CL_SUCCESS && state < 0;
}

static bool is_held(const clv_queue *queue) {
    return clv_ocl_device_of(queue->device)->found->is_pocl &&
           queue->device->info.kind != CLV_DEVICE_CORE;
}

/* PoCL (3.1) never ends a command that is enqueued when what it waits for has failed already, nor
 * what is behind it in its queue, nor a call that waits for one of them; a command that is there
 * when that fails it fails too. So such a command is refused, and as nothing but a gate fails there
 * by itself, gates change while nothing is enqueued only. That also keeps apart what takes locks of
 * PoCL in either order: failing commands, and putting one behind another. end_wait after
 * CL_SUCCESS. */
static cl_int begin_wait(const clv_queue *queue, const command *now) {
    clv_ocl_device *device = clv_ocl_device_of(queue->device);
    if (!is_held(queue)) {
        return CL_SUCCESS;
    }
    pthread_mutex_lock(&device->gate_lock);
    for (cl_uint i = 0; i < now->num_waits; i++) {
        if (has_failed(now->waits[i])) {
            pthread_mutex_unlock(&device->gate_lock);
            return CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
        }
    }
    return CL_SUCCESS;
}

static void end_wait(const clv_queue *queue) {
    if (is_held(queue)) {
        pthread_mutex_unlock(&clv_ocl_device_of(queue->device)->gate_lock);
    }
}

/* PoCL 3.1 keeps what it has loaded of kernels in a list, with an entry for every local size and,
 * for every widest dimension that is larger than those before, another. A launch takes the first
 * entry that is wide enough, and when it is done, lets go of the first of its local size: of
 * another one, if a launch in another thread has put that in front meanwhile, and an assertion
 * (found->ref_count > 0) ends the process sooner or later. What the third dimension has of groups,
 * it does not count: so launches go along that, all are equally wide, and there is one entry. */
static cl_int launch(
    clv_queue *queue, const clv_ocl_kernel *kernel, size_t global, size_t local,
    const command *now) {
    clv_ocl_device *device = clv_ocl_device_of(queue->device);
    cl_int error = begin_wait(queue, now);
    if (error != CL_SUCCESS) {
        return error;
    }
    if (device->core_lock != NULL) {
        pthread_mutex_lock(&device->core_lock->mutex);
    }
    const bool is_turned = device->found->is_turned;
    const size_t globals[] = {is_turned ? 1 : global, 1, global};
    const size_t locals[] = {is_turned ? 1 : local, 1, local};
    CLV_CL(
        error, clEnqueueNDRangeKernel, raw(queue), kernel->kernel, is_turned ? 3 : 1, NULL, globals,
        locals, now->num_waits, now->wait_list, now->event_slot);
    if (device->core_lock != NULL) {
        pthread_mutex_unlock(&device->core_lock->mutex);
    }
    end_wait(queue);
    return error;
}

/* A kernel that the driver may have to compile: one such launch of a group at a time. */
static cl_int launch_new(
    clv_queue *queue, clv_ocl_kernel *kernel, size_t global, size_t local, const command *now) {
    clv_ocl_module_begin_launch(kernel);
    const cl_int error = launch(queue, kernel, global, local, now);
    clv_ocl_module_end_launch(kernel, (uint32_t)local, error == CL_SUCCESS);
    return error;
}

clv_status *clv_ocl_enqueue_kernel(
    clv_queue *queue, clv_kernel *base, uint64_t global_size, uint32_t local_size,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    clv_ocl_kernel *kernel = (clv_ocl_kernel *)base;
    const uint64_t most = queue->device->info.max_items;
    command now;
    if (most != 0 && global_size > most) {
        return CLV_ERROR(
            INTERNAL, "kernel '%s': a launch of %llu work-items, at most %llu are possible",
            kernel->entry, (unsigned long long)global_size, (unsigned long long)most);
    }
    CLV_TRY(begin(&now, queue, waits, num_waits, out_event));
    const bool is_new =
        kernel->noted_local_size != local_size && !clv_ocl_module_has(kernel, local_size);
    const size_t global = (size_t)global_size;
    cl_int error = is_new ? launch_new(queue, kernel, global, local_size, &now)
                          : launch(queue, kernel, global, local_size, &now);
    return end(&now, queue, CLV_OCL_clEnqueueNDRangeKernel, error, out_event);
}

clv_status *clv_ocl_enqueue_write(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, const void *data,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    command now;
    CLV_TRY(begin(&now, queue, waits, num_waits, out_event));
    cl_int error = begin_wait(queue, &now);
    if (error == CL_SUCCESS) {
        CLV_CL(
            error, clEnqueueWriteBuffer, raw(queue), memory_of(buffer), CL_FALSE, (size_t)offset,
            bytes, data, now.num_waits, now.wait_list, now.event_slot);
        end_wait(queue);
    }
    return end(&now, queue, CLV_OCL_clEnqueueWriteBuffer, error, out_event);
}

clv_status *clv_ocl_enqueue_read(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, void *data,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    command now;
    CLV_TRY(begin(&now, queue, waits, num_waits, out_event));
    cl_int error = begin_wait(queue, &now);
    if (error == CL_SUCCESS) {
        CLV_CL(
            error, clEnqueueReadBuffer, raw(queue), memory_of(buffer), CL_FALSE, (size_t)offset,
            bytes, data, now.num_waits, now.wait_list, now.event_slot);
        end_wait(queue);
    }
    return end(&now, queue, CLV_OCL_clEnqueueReadBuffer, error, out_event);
}

clv_status *clv_ocl_enqueue_copy(
    clv_queue *queue, clv_buffer *from, uint64_t from_offset, clv_buffer *to, uint64_t to_offset,
    size_t bytes, clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    command now;
    CLV_TRY(begin(&now, queue, waits, num_waits, out_event));
    cl_int error = begin_wait(queue, &now);
    if (error == CL_SUCCESS) {
        CLV_CL(
            error, clEnqueueCopyBuffer, raw(queue), memory_of(from), memory_of(to),
            (size_t)from_offset, (size_t)to_offset, bytes, now.num_waits, now.wait_list,
            now.event_slot);
        end_wait(queue);
    }
    return end(&now, queue, CLV_OCL_clEnqueueCopyBuffer, error, out_event);
}

clv_status *clv_ocl_queue_flush(clv_queue *queue) {
    cl_int error;
    CLV_CL(error, clFlush, raw(queue));
    return error != CL_SUCCESS ? CLV_CL_RUN_FAILED(&queue->device->info, clFlush, error) : NULL;
}

clv_status *clv_ocl_queue_finish(clv_queue *queue) {
    cl_int error;
    CLV_CL(error, clFinish, raw(queue));
    return error != CL_SUCCESS ? CLV_CL_RUN_FAILED(&queue->device->info, clFinish, error) : NULL;
}

clv_status *clv_ocl_gate_create(clv_device *base, clv_event **out_gate) {
    *out_gate = NULL;
    clv_ocl_event *gate = clv_alloc_zeroed(1, sizeof *gate);
    if (gate == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for an event");
    }
    gate->base.device = base;
    cl_int error;
    CLV_CL_NEW(gate->event, error, clCreateUserEvent, clv_ocl_device_of(base)->context);
    if (error != CL_SUCCESS) {
        clv_free(gate);
        return CLV_CL_RUN_FAILED(&base->info, clCreateUserEvent, error);
    }
    *out_gate = &gate->base;
    return NULL;
}

clv_status *clv_ocl_gate_open(clv_event *gate) {
    clv_ocl_device *device = clv_ocl_device_of(gate->device);
    cl_int error;
    pthread_mutex_lock(&device->gate_lock);
    CLV_CL(error, clSetUserEventStatus, ((clv_ocl_event *)gate)->event, CL_COMPLETE);
    pthread_mutex_unlock(&device->gate_lock);
    return error != CL_SUCCESS ? CLV_CL_RUN_FAILED(&gate->device->info, clSetUserEventStatus, error)
                               : NULL;
}

/* CL_COMPLETE, another state, or the negative error that ended the command. */
static clv_status *read_state(clv_event *base, cl_int *out_state) {
    cl_int error;
    CLV_CL(
        error, clGetEventInfo, ((clv_ocl_event *)base)->event, CL_EVENT_COMMAND_EXECUTION_STATUS,
        sizeof *out_state, out_state, NULL);
    return error != CL_SUCCESS ? CLV_CL_RUN_FAILED(&base->device->info, clGetEventInfo, error)
                               : NULL;
}

static clv_status *command_failed(const clv_event *event, cl_int error) {
    char unit[32];
    clv_ocl_note_failure(&event->device->info, unit);
    return CLV_ERROR(
        DEVICE_FAILED, "%s: a command failed: %s (%d)", unit, clv_cl_error_name(error), (int)error);
}

clv_status *clv_ocl_event_poll(clv_event *event, bool *out_done) {
    cl_int state = CL_QUEUED;
    CLV_TRY(read_state(event, &state));
    *out_done = state <= CL_COMPLETE;
    return state < CL_COMPLETE ? command_failed(event, state) : NULL;
}

/* GPU drivers burn a core while they wait: look, and sleep a little longer each time. */
static clv_status *poll_until_done(clv_event *event) {
    const uint64_t spin_ns = 50000;
    struct timespec pause = {.tv_nsec = 10000};
    uint64_t start = clv_time_ns();
    for (;;) {
        bool done = false;
        CLV_TRY(clv_ocl_event_poll(event, &done));
        if (done) {
            return NULL;
        }
        if (clv_time_ns() - start > spin_ns) {
            nanosleep(&pause, NULL);
            pause.tv_nsec = pause.tv_nsec < 200000 ? pause.tv_nsec * 3 / 2 : 200000;
        }
    }
}

clv_status *clv_ocl_event_wait(clv_event *event) {
    if (event->device->info.kind == CLV_DEVICE_GPU) {
        return poll_until_done(event);
    }
    cl_int error;
    CLV_CL(error, clWaitForEvents, 1, &((clv_ocl_event *)event)->event);
    cl_int state = CL_COMPLETE;
    clv_status *status = read_state(event, &state);
    if (status == NULL && state < CL_COMPLETE) {
        return command_failed(event, state); /* says more than what the wait gave */
    }
    if (status == NULL && error != CL_SUCCESS) {
        return CLV_CL_RUN_FAILED(&event->device->info, clWaitForEvents, error);
    }
    return status;
}

clv_status *clv_ocl_event_times(clv_event *base, clv_event_times *out_times) {
    static const cl_profiling_info what[] = {
        CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT, CL_PROFILING_COMMAND_START,
        CL_PROFILING_COMMAND_END};
    uint64_t *const times[] = {
        &out_times->queued_ns, &out_times->submitted_ns, &out_times->started_ns,
        &out_times->ended_ns};
    for (size_t i = 0; i < sizeof what / sizeof what[0]; i++) {
        cl_ulong time = 0;
        cl_int error;
        CLV_CL(
            error, clGetEventProfilingInfo, ((clv_ocl_event *)base)->event, what[i], sizeof time,
            &time, NULL);
        if (error != CL_SUCCESS) {
            return CLV_CL_RUN_FAILED(&base->device->info, clGetEventProfilingInfo, error);
        }
        *times[i] = time;
    }
    return NULL;
}

void clv_ocl_event_release(clv_event *base) {
    if (base == NULL) {
        return;
    }
    clv_ocl_event *event = (clv_ocl_event *)base;
    CLV_CL_RELEASE(clReleaseEvent, event->event);
    clv_free(event);
}
