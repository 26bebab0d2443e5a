/* Opening and closing devices. */
#include "host/ocl/internal.h"

#include "host/base/memory.h"

/* --- one user at a time of a core ------------------------------------------------------------ */

static pthread_mutex_t core_locks_lock = PTHREAD_MUTEX_INITIALIZER;
static clv_ocl_core_lock *core_locks;

clv_ocl_core_lock *clv_ocl_core_lock_retain(cl_device_id id) {
    pthread_mutex_lock(&core_locks_lock);
    clv_ocl_core_lock *lock = core_locks;
    while (lock != NULL && lock->id != id) {
        lock = lock->next;
    }
    if (lock == NULL && (lock = clv_alloc_zeroed(1, sizeof *lock)) != NULL) {
        lock->id = id;
        pthread_mutex_init(&lock->mutex, NULL);
        lock->next = core_locks;
        core_locks = lock;
    }
    if (lock != NULL) {
        lock->num_users++;
    }
    pthread_mutex_unlock(&core_locks_lock);
    return lock;
}

void clv_ocl_core_lock_release(clv_ocl_core_lock *lock) {
    if (lock == NULL) {
        return;
    }
    pthread_mutex_lock(&core_locks_lock);
    if (--lock->num_users == 0) {
        clv_ocl_core_lock **link = &core_locks;
        while (*link != lock) {
            link = &(*link)->next;
        }
        *link = lock->next;
        pthread_mutex_destroy(&lock->mutex);
        clv_free(lock);
    }
    pthread_mutex_unlock(&core_locks_lock);
}

/* --- the context of a group ------------------------------------------------------------------ */

/* Drivers load their compiler, of which kept binaries need nothing: PoCL's has 50 MB resident. */
static void drop_compilers(void) {
    enum { LARGE = 4 << 20 };
    static atomic_bool is_done;
    if (!atomic_exchange(&is_done, true)) {
        (void)clv_memory_drop_code(LARGE);
    }
}

static clv_status *enter_group(const clv_ocl_found *found) {
    clv_ocl_group *group = found->group;
    clv_status *status = NULL;
    pthread_mutex_lock(&group->lock);
    if (group->num_open == 0) {
        const cl_context_properties properties[] = {
            CL_CONTEXT_PLATFORM, (cl_context_properties)group->platform, 0};
        cl_int error;
        CLV_CL_NEW(
            group->context, error, clCreateContext, properties, (cl_uint)group->num_ids, group->ids,
            NULL, NULL);
        if (error != CL_SUCCESS) {
            status = CLV_CL_FAILED(&found->info, clCreateContext, error);
        }
        drop_compilers();
    }
    group->num_open += status == NULL ? 1 : 0;
    pthread_mutex_unlock(&group->lock);
    return status;
}

static void leave_group(clv_ocl_group *group) {
    pthread_mutex_lock(&group->lock);
    if (--group->num_open == 0) {
        CLV_CL_RELEASE(clReleaseContext, group->context);
        group->context = NULL;
    }
    pthread_mutex_unlock(&group->lock);
}

/* --- devices --------------------------------------------------------------------------------- */

static void destroy(clv_device *base) {
    if (base == NULL) {
        return;
    }
    clv_ocl_device *device = clv_ocl_device_of(base);
    CLV_CL_RELEASE(clReleaseCommandQueue, device->service);
    clv_ocl_core_lock_release(device->core_lock);
    pthread_mutex_destroy(&device->gate_lock);
    if (device->context != NULL) {
        leave_group(device->group);
    }
    clv_free(device);
}

static const clv_device_vtable vtable = {
    .name = "opencl",
    .destroy = destroy,
    .buffer_create = clv_ocl_buffer_create,
    .buffer_destroy = clv_ocl_buffer_destroy,
    .buffer_host = clv_ocl_buffer_host,
    .program_create = clv_ocl_program_create,
    .programs_create = clv_ocl_programs_create,
    .program_destroy = clv_ocl_program_destroy,
    .program_settle = clv_ocl_program_settle,
    .kernel_create = clv_ocl_kernel_create,
    .kernel_destroy = clv_ocl_kernel_destroy,
    .kernel_set_buffer = clv_ocl_kernel_set_buffer,
    .kernel_set_bytes = clv_ocl_kernel_set_bytes,
    .queue_create = clv_ocl_queue_create,
    .queue_destroy = clv_ocl_queue_destroy,
    .enqueue_kernel = clv_ocl_enqueue_kernel,
    .enqueue_write = clv_ocl_enqueue_write,
    .enqueue_read = clv_ocl_enqueue_read,
    .enqueue_copy = clv_ocl_enqueue_copy,
    .queue_flush = clv_ocl_queue_flush,
    .queue_finish = clv_ocl_queue_finish,
    .gate_create = clv_ocl_gate_create,
    .gate_open = clv_ocl_gate_open,
    .event_wait = clv_ocl_event_wait,
    .event_poll = clv_ocl_event_poll,
    .event_times = clv_ocl_event_times,
    .event_release = clv_ocl_event_release,
};

static clv_status *open_device(clv_ocl_device *device, clv_ocl_found *found) {
    CLV_TRY(enter_group(found));
    device->context = found->group->context;
    if (found->info.kind == CLV_DEVICE_CORE) {
        device->core_lock = clv_ocl_core_lock_retain(found->id);
        if (device->core_lock == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for a device");
        }
    }
    cl_int error;
    CLV_CL_NEW(device->service, error, clCreateCommandQueue, device->context, found->id, 0);
    if (error != CL_SUCCESS) {
        return CLV_CL_FAILED(&found->info, clCreateCommandQueue, error);
    }
    return NULL;
}

clv_status *clv_ocl_open(clv_ocl *ocl, size_t index, bool profiling, clv_device **out_device) {
    *out_device = NULL;
    if (index >= ocl->num_found) {
        return CLV_ERROR(NO_DEVICE, "there are %zu devices, not %zu", ocl->num_found, index + 1);
    }
    clv_ocl_found *found = &ocl->found[index];
    if (!found->info.usable) {
        char unit[32];
        clv_device_unit_name(&found->info, unit);
        return CLV_ERROR(
            NO_DEVICE, "%s (%s) cannot be used: %s", unit, found->info.name, found->info.reason);
    }
    clv_ocl_device *device = clv_alloc_zeroed(1, sizeof *device);
    if (device == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a device");
    }
    pthread_mutex_init(&device->gate_lock, NULL);
    device->base = (clv_device){.vtable = &vtable, .info = found->info};
    device->found = found;
    device->group = found->group;
    device->profiling = profiling;
    clv_status *status = open_device(device, found);
    if (status != NULL) {
        destroy(&device->base);
        return status;
    }
    *out_device = &device->base;
    return NULL;
}
