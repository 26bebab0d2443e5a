#include "tests/support/cl_shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* guarded by it */
static clv_shim_fault the_fault = {.call = CLV_OCL_NUM_CALLS};
static int64_t num_calls;
static bool has_failed;
static int64_t num_objects;
static clv_shim_record *records;
static size_t num_records, capacity_records;
static bool is_recording;
static uint64_t num_threads;

static _Thread_local uint64_t this_thread;

void clv_shim_set_fault(const clv_shim_fault *fault) {
    pthread_mutex_lock(&lock);
    the_fault = fault != NULL ? *fault : (clv_shim_fault){.call = CLV_OCL_NUM_CALLS};
    num_calls = 0;
    has_failed = false;
    pthread_mutex_unlock(&lock);
}

bool clv_shim_has_failed(void) {
    pthread_mutex_lock(&lock);
    const bool result = has_failed;
    pthread_mutex_unlock(&lock);
    return result;
}

int64_t clv_shim_num_calls(void) {
    pthread_mutex_lock(&lock);
    const int64_t result = num_calls;
    pthread_mutex_unlock(&lock);
    return result;
}

int64_t clv_shim_num_objects(void) {
    pthread_mutex_lock(&lock);
    const int64_t result = num_objects;
    pthread_mutex_unlock(&lock);
    return result;
}

bool clv_shim_start(size_t capacity) {
    pthread_mutex_lock(&lock);
    free(records);
    records = calloc(capacity, sizeof *records);
    capacity_records = records != NULL ? capacity : 0;
    num_records = 0;
    is_recording = records != NULL;
    const bool result = is_recording;
    pthread_mutex_unlock(&lock);
    return result;
}

const clv_shim_record *clv_shim_stop(size_t *out_num) {
    pthread_mutex_lock(&lock);
    is_recording = false;
    *out_num = num_records;
    const clv_shim_record *result = num_records <= capacity_records ? records : NULL;
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- around a call --------------------------------------------------------------------------- */

static void *functions[CLV_OCL_NUM_CALLS];

/* The library is not among what the program is linked with: nothing needs it but this. */
static void find_functions(void) {
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    for (int i = 0; i < CLV_OCL_NUM_CALLS; i++) {
        functions[i] = library != NULL ? dlsym(library, clv_ocl_call_name((clv_ocl_call)i)) : NULL;
        if (functions[i] == NULL) {
            fprintf(stderr, "no %s in libOpenCL.so.1\n", clv_ocl_call_name((clv_ocl_call)i));
            abort();
        }
    }
}

/* The library's function. */
static void *find(clv_ocl_call call) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_functions);
    return functions[call];
}

#define NEXT(function) ((__typeof__(&function))find(CLV_OCL_##function))

/* 0, or the error that this call shall give. */
static cl_int fault_of(clv_ocl_call call) {
    cl_int error = CL_SUCCESS;
    pthread_mutex_lock(&lock);
    if (the_fault.call == call) {
        const bool fails = num_calls == the_fault.at || (the_fault.stays && has_failed);
        has_failed = has_failed || fails;
        error = fails ? the_fault.error : CL_SUCCESS;
        num_calls++;
        if (fails && the_fault.then != NULL) {
            the_fault = *the_fault.then;
            num_calls = 0;
            has_failed = false;
        }
    }
    const bool hangs = error != CL_SUCCESS && the_fault.hangs;
    pthread_mutex_unlock(&lock);
    while (hangs) {
        pause();
    }
    return error;
}

/* Calls that return no object are counted with `made` 0. Records stand in the order in which calls
 * end. */
static void keep(clv_shim_record *record, int made) {
    pthread_mutex_lock(&lock);
    if (this_thread == 0) {
        this_thread = ++num_threads;
    }
    record->thread = this_thread;
    num_objects += made;
    if (is_recording) {
        if (num_records < capacity_records) {
            records[num_records] = *record;
        }
        num_records++;
    }
    pthread_mutex_unlock(&lock);
}

/* --- the functions: those that make objects -------------------------------------------------- */

#define MAKES(type, function, parameters, ...)                                  \
    type function parameters {                                                  \
        clv_shim_record record = {                                              \
            .call = CLV_OCL_##function, .error = fault_of(CLV_OCL_##function)}; \
        type made = NULL;                                                       \
        if (record.error == CL_SUCCESS) {                                       \
            made = NEXT(function)(__VA_ARGS__, &record.error);                  \
        }                                                                       \
        if (errcode_ret != NULL) {                                              \
            *errcode_ret = record.error;                                        \
        }                                                                       \
        record.object = made;                                                   \
        keep(&record, made != NULL ? 1 : 0);                                    \
        return made;                                                            \
    }

typedef void(CL_CALLBACK *context_notify)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *build_notify)(cl_program, void *);

MAKES(
    cl_context, clCreateContext,
    (const cl_context_properties *properties, cl_uint num, const cl_device_id *devices,
     context_notify notify, void *data, cl_int *errcode_ret),
    properties, num, devices, notify, data)
MAKES(
    cl_command_queue, clCreateCommandQueue,
    (cl_context context, cl_device_id device, cl_command_queue_properties properties,
     cl_int *errcode_ret),
    context, device, properties)
MAKES(
    cl_mem, clCreateBuffer,
    (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *errcode_ret), context,
    flags, size, host)
MAKES(
    cl_program, clCreateProgramWithSource,
    (cl_context context, cl_uint count, const char **strings, const size_t *lengths,
     cl_int *errcode_ret),
    context, count, strings, lengths)
MAKES(
    cl_program, clCreateProgramWithBinary,
    (cl_context context, cl_uint num, const cl_device_id *devices, const size_t *lengths,
     const unsigned char **binaries, cl_int *states, cl_int *errcode_ret),
    context, num, devices, lengths, binaries, states)
MAKES(
    cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *errcode_ret), program,
    name)
MAKES(cl_event, clCreateUserEvent, (cl_context context, cl_int *errcode_ret), context)

/* --- those that release them ----------------------------------------------------------------- */

#define RELEASES(type, function)                                                 \
    cl_int function(type object) {                                               \
        clv_shim_record record = {.call = CLV_OCL_##function, .object = object}; \
        record.error = NEXT(function)(object);                                   \
        keep(&record, record.error == CL_SUCCESS ? -1 : 0);                      \
        return record.error;                                                     \
    }

RELEASES(cl_context, clReleaseContext)
RELEASES(cl_command_queue, clReleaseCommandQueue)
RELEASES(cl_mem, clReleaseMemObject)
RELEASES(cl_program, clReleaseProgram)
RELEASES(cl_kernel, clReleaseKernel)
RELEASES(cl_event, clReleaseEvent)

/* --- commands -------------------------------------------------------------------------------- */

static clv_shim_record command(
    clv_ocl_call call, void *object, cl_uint num_waits, const cl_event *waits) {
    clv_shim_record record = {
        .call = call, .object = object, .num_waits = num_waits, .error = fault_of(call)};
    for (cl_uint i = 0; i < num_waits && i < CLV_SHIM_MAX_WAITS; i++) {
        record.waits[i] = waits[i];
    }
    return record;
}

static cl_int keep_command(clv_shim_record *record, const cl_event *event) {
    const bool made = record->error == CL_SUCCESS && event != NULL;
    record->event = made ? *event : NULL;
    keep(record, made ? 1 : 0);
    return record->error;
}

cl_int clEnqueueNDRangeKernel(
    cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
    const size_t *global, const size_t *local, cl_uint num_waits, const cl_event *waits,
    cl_event *event) {
    clv_shim_record record = command(CLV_OCL_clEnqueueNDRangeKernel, queue, num_waits, waits);
    if (record.error == CL_SUCCESS) {
        record.error = NEXT(clEnqueueNDRangeKernel)(
            queue, kernel, dims, offset, global, local, num_waits, waits, event);
    }
    return keep_command(&record, event);
}

cl_int clEnqueueWriteBuffer(
    cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t size,
    const void *data, cl_uint num_waits, const cl_event *waits, cl_event *event) {
    clv_shim_record record = command(CLV_OCL_clEnqueueWriteBuffer, queue, num_waits, waits);
    record.is_blocking = blocking;
    record.data = (void *)data;
    if (record.error == CL_SUCCESS) {
        record.error = NEXT(clEnqueueWriteBuffer)(
            queue, buffer, blocking, offset, size, data, num_waits, waits, event);
    }
    return keep_command(&record, event);
}

cl_int clEnqueueReadBuffer(
    cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t size, void *data,
    cl_uint num_waits, const cl_event *waits, cl_event *event) {
    clv_shim_record record = command(CLV_OCL_clEnqueueReadBuffer, queue, num_waits, waits);
    record.is_blocking = blocking;
    record.data = data;
    if (record.error == CL_SUCCESS) {
        record.error = NEXT(clEnqueueReadBuffer)(
            queue, buffer, blocking, offset, size, data, num_waits, waits, event);
    }
    return keep_command(&record, event);
}

cl_int clEnqueueCopyBuffer(
    cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
    size_t size, cl_uint num_waits, const cl_event *waits, cl_event *event) {
    clv_shim_record record = command(CLV_OCL_clEnqueueCopyBuffer, queue, num_waits, waits);
    if (record.error == CL_SUCCESS) {
        record.error = NEXT(clEnqueueCopyBuffer)(
            queue, from, to, from_offset, to_offset, size, num_waits, waits, event);
    }
    return keep_command(&record, event);
}

cl_int clEnqueueFillBuffer(
    cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_size, size_t offset,
    size_t size, cl_uint num_waits, const cl_event *waits, cl_event *event) {
    clv_shim_record record = command(CLV_OCL_clEnqueueFillBuffer, queue, num_waits, waits);
    if (record.error == CL_SUCCESS) {
        record.error = NEXT(clEnqueueFillBuffer)(
            queue, buffer, pattern, pattern_size, offset, size, num_waits, waits, event);
    }
    return keep_command(&record, event);
}

/* --- what blocks ----------------------------------------------------------------------------- */

cl_int clFinish(cl_command_queue queue) {
    clv_shim_record record = command(CLV_OCL_clFinish, queue, 0, NULL);
    record.is_blocking = true;
    if (record.error == CL_SUCCESS) {
        record.error = NEXT(clFinish)(queue);
    }
    return keep_command(&record, NULL);
}

cl_int clWaitForEvents(cl_uint num, const cl_event *events) {
    clv_shim_record record = command(CLV_OCL_clWaitForEvents, NULL, num, events);
    record.is_blocking = true;
    if (record.error == CL_SUCCESS) {
        record.error = NEXT(clWaitForEvents)(num, events);
    }
    return keep_command(&record, NULL);
}

/* --- the rest -------------------------------------------------------------------------------- */

#define FORWARDS(function, parameters, first, ...)                                    \
    cl_int function parameters {                                                      \
        clv_shim_record record = command(CLV_OCL_##function, (void *)first, 0, NULL); \
        if (record.error == CL_SUCCESS) {                                             \
            record.error = NEXT(function)(__VA_ARGS__);                               \
        }                                                                             \
        return keep_command(&record, NULL);                                           \
    }

FORWARDS(
    clGetPlatformIDs, (cl_uint num, cl_platform_id *ids, cl_uint *out_num), ids, num, ids, out_num)
FORWARDS(
    clGetPlatformInfo,
    (cl_platform_id platform, cl_platform_info name, size_t size, void *value, size_t *out_size),
    platform, platform, name, size, value, out_size)
FORWARDS(
    clGetDeviceIDs,
    (cl_platform_id platform, cl_device_type type, cl_uint num, cl_device_id *ids,
     cl_uint *out_num),
    platform, platform, type, num, ids, out_num)
FORWARDS(
    clGetDeviceInfo,
    (cl_device_id device, cl_device_info name, size_t size, void *value, size_t *out_size), device,
    device, name, size, value, out_size)
FORWARDS(
    clBuildProgram,
    (cl_program program, cl_uint num, const cl_device_id *devices, const char *options,
     build_notify notify, void *data),
    program, program, num, devices, options, notify, data)
FORWARDS(
    clGetProgramBuildInfo,
    (cl_program program, cl_device_id device, cl_program_build_info name, size_t size, void *value,
     size_t *out_size),
    program, program, device, name, size, value, out_size)
FORWARDS(
    clGetProgramInfo,
    (cl_program program, cl_program_info name, size_t size, void *value, size_t *out_size), program,
    program, name, size, value, out_size)
FORWARDS(
    clSetKernelArg, (cl_kernel kernel, cl_uint index, size_t size, const void *value), kernel,
    kernel, index, size, value)
FORWARDS(clFlush, (cl_command_queue queue), queue, queue)
FORWARDS(
    clGetEventInfo,
    (cl_event event, cl_event_info name, size_t size, void *value, size_t *out_size), event, event,
    name, size, value, out_size)
FORWARDS(
    clGetEventProfilingInfo,
    (cl_event event, cl_profiling_info name, size_t size, void *value, size_t *out_size), event,
    event, name, size, value, out_size)

cl_int clSetUserEventStatus(cl_event event, cl_int state) {
    clv_shim_record record = command(CLV_OCL_clSetUserEventStatus, event, 0, NULL);
    if (record.error == CL_SUCCESS || the_fault.passes) {
        record.error = NEXT(clSetUserEventStatus)(event, record.error < 0 ? record.error : state);
    }
    return keep_command(&record, NULL);
}
