#include "host/device/null_internal.h"

#include "host/base/memory.h"
#include <stdio.h>
#include <string.h>

/* --- faults and counting --------------------------------------------------------------------- */

clv_status *clv_null_may_fail(clv_device *device, const char *call) {
    const char *only = atomic_load(&of(device)->failing_call);
    if (atomic_load(&of(device)->calls_left) >= 0 && (only == NULL || strcmp(only, call) == 0) &&
        atomic_fetch_sub(&of(device)->calls_left, 1) == 0) {
        char unit[32];
        clv_device_unit_name(&device->info, unit);
        return CLV_ERROR(DEVICE_FAILED, "%s: %s failed as it was told to", unit, call);
    }
    return NULL;
}

void clv_null_fail_call_at(clv_device *device, const char *call, int64_t n) {
    atomic_store(&of(device)->calls_left, -1);
    atomic_store(&of(device)->failing_call, call);
    atomic_store(&of(device)->calls_left, n);
}

void clv_null_fail_command_at(clv_device *device, int64_t n) {
    atomic_store(&of(device)->commands_left, n);
}

int64_t clv_null_num_objects(const clv_device *device) {
    return atomic_load(&((const null_device *)device)->num_objects);
}

void *clv_null_new(clv_device *device, size_t bytes) {
    void *object = clv_alloc_zeroed(1, bytes);
    if (object != NULL) {
        atomic_fetch_add(&of(device)->num_objects, 1);
    }
    return object;
}

void clv_null_free(clv_device *device, void *object) {
    atomic_fetch_sub(&of(device)->num_objects, 1);
    clv_free(object);
}

/* --- buffers --------------------------------------------------------------------------------- */

static clv_status *buffer_create(clv_device *device, size_t bytes, clv_buffer **out_buffer) {
    *out_buffer = NULL;
    CLV_TRY(clv_null_may_fail(device, "buffer_create"));
    if (bytes == 0 || bytes > device->info.max_alloc_bytes) {
        return CLV_ERROR(NO_MEMORY, "no memory for a buffer of %zu bytes", bytes);
    }
    null_buffer *buffer = clv_null_new(device, sizeof *buffer);
    if (buffer == NULL) {
        return no_memory("a buffer");
    }
    buffer->base = (clv_buffer){.device = device, .bytes = bytes};
    buffer->memory = clv_alloc_aligned(64, bytes);
    if (buffer->memory == NULL) {
        clv_null_free(device, buffer);
        return no_memory("a buffer");
    }
    memset(buffer->memory, 0, bytes);
    *out_buffer = &buffer->base;
    return NULL;
}

static void buffer_destroy(clv_buffer *buffer) {
    if (buffer != NULL) {
        clv_free(((null_buffer *)buffer)->memory);
        clv_null_free(buffer->device, buffer);
    }
}

static void *buffer_host(clv_buffer *buffer) {
    return buffer->device->info.shares_host_memory ? ((null_buffer *)buffer)->memory : NULL;
}

/* --- programs and kernels -------------------------------------------------------------------- */

static clv_status *program_create(
    clv_device *device, const clv_program_desc *desc, clv_program **out_program) {
    *out_program = NULL;
    CLV_TRY(clv_null_may_fail(device, "program_create"));
    clv_program *program = clv_null_new(device, sizeof *program);
    if (program == NULL) {
        return no_memory(desc->name);
    }
    program->device = device;
    *out_program = program;
    return NULL;
}

static void program_destroy(clv_program *program) {
    if (program != NULL) {
        clv_null_free(program->device, program);
    }
}

static void program_settle(clv_program *program) {
    (void)program; /* nothing is compiled */
}

static clv_status *kernel_create(clv_program *program, const char *entry, clv_kernel **out_kernel) {
    clv_device *device = program->device;
    *out_kernel = NULL;
    CLV_TRY(clv_null_may_fail(device, "kernel_create"));
    clv_null_function function = of(device)->options.find(entry);
    if (function == NULL) {
        return CLV_ERROR(DEVICE_FAILED, "there is no kernel '%s'", entry);
    }
    null_kernel *kernel = clv_null_new(device, sizeof *kernel);
    if (kernel == NULL) {
        return no_memory("a kernel");
    }
    kernel->base.device = device;
    kernel->function = function;
    snprintf(kernel->entry, sizeof kernel->entry, "%s", entry);
    *out_kernel = &kernel->base;
    return NULL;
}

static void kernel_destroy(clv_kernel *base) {
    if (base == NULL) {
        return;
    }
    null_kernel *kernel = (null_kernel *)base;
    for (uint32_t i = 0; i < kernel->num_arguments; i++) {
        if (!kernel->arguments[i].is_buffer) {
            clv_free(kernel->arguments[i].value);
        }
    }
    clv_null_free(base->device, kernel);
}

static clv_status *set_argument(clv_kernel *base, uint32_t index, null_argument argument) {
    null_kernel *kernel = (null_kernel *)base;
    if (index >= MAX_ARGS) {
        return CLV_ERROR(DEVICE_FAILED, "a kernel with more than %d arguments", MAX_ARGS);
    }
    null_argument *slot = &kernel->arguments[index];
    if (!slot->is_buffer) {
        clv_free(slot->value);
    }
    *slot = argument;
    kernel->num_arguments = index >= kernel->num_arguments ? index + 1 : kernel->num_arguments;
    return NULL;
}

static clv_status *kernel_set_buffer(clv_kernel *kernel, uint32_t index, clv_buffer *buffer) {
    CLV_TRY(clv_null_may_fail(kernel->device, "kernel_set_buffer"));
    return set_argument(
        kernel, index,
        (null_argument){
            .value = ((null_buffer *)buffer)->memory, .bytes = buffer->bytes, .is_buffer = true});
}

static clv_status *kernel_set_bytes(
    clv_kernel *kernel, uint32_t index, const void *data, size_t bytes) {
    CLV_TRY(clv_null_may_fail(kernel->device, "kernel_set_bytes"));
    void *copy = clv_alloc(bytes + 1);
    if (copy == NULL) {
        return no_memory("a kernel's argument");
    }
    memcpy(copy, data, bytes);
    clv_status *status =
        set_argument(kernel, index, (null_argument){.value = copy, .bytes = bytes});
    if (status != NULL) {
        clv_free(copy);
    }
    return status;
}

/* --- the device ------------------------------------------------------------------------------ */

static void destroy(clv_device *device) {
    clv_free(device);
}

static const clv_device_vtable vtable = {
    .name = "null",
    .destroy = destroy,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .buffer_host = buffer_host,
    .program_create = program_create,
    .program_destroy = program_destroy,
    .program_settle = program_settle,
    .kernel_create = kernel_create,
    .kernel_destroy = kernel_destroy,
    .kernel_set_buffer = kernel_set_buffer,
    .kernel_set_bytes = kernel_set_bytes,
    .queue_create = clv_null_queue_create,
    .queue_destroy = clv_null_queue_destroy,
    .enqueue_kernel = clv_null_enqueue_kernel,
    .enqueue_write = clv_null_enqueue_write,
    .enqueue_read = clv_null_enqueue_read,
    .enqueue_copy = clv_null_enqueue_copy,
    .queue_flush = clv_null_queue_flush,
    .queue_finish = clv_null_queue_finish,
    .gate_create = clv_null_gate_create,
    .gate_open = clv_null_gate_open,
    .event_wait = clv_null_event_wait,
    .event_poll = clv_null_event_poll,
    .event_times = clv_null_event_times,
    .event_release = clv_null_event_release,
};

clv_status *clv_null_device_create(const clv_null_options *options, clv_device **out_device) {
    const uint64_t enough = UINT64_C(1) << 30;
    *out_device = NULL;
    null_device *device = clv_alloc_zeroed(1, sizeof *device);
    if (device == NULL) {
        return no_memory("a device");
    }
    bool core = options->kind == CLV_DEVICE_CORE;
    device->base.vtable = &vtable;
    device->base.info = (clv_device_info){
        .kind = options->kind,
        .index = options->index,
        .platform_index = options->platform_index,
        .device_index = options->index,
        .name = "null",
        .platform = "null",
        .usable = true,
        .compute_units = 1,
        .memory_bytes = options->memory_bytes != 0 ? options->memory_bytes : enough,
        .max_alloc_bytes = options->max_alloc_bytes != 0 ? options->max_alloc_bytes : enough,
        .local_bytes = 32768,
        .base_align_bytes = 64,
        .max_local_size = 256,
        .max_params_bytes = 1024,
        .is_cpu = options->kind != CLV_DEVICE_GPU,
        .has_fp64 = true,
        .shares_host_memory = core,
    };
    device->options = *options;
    device->calls_left = -1;
    device->commands_left = -1;
    *out_device = &device->base;
    return NULL;
}
