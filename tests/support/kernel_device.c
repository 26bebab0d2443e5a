#include "tests/support/kernel_device.h"

#include "host/base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PoCL may have been told to compile for a processor that is older than this one. */
static uint32_t simd_bytes(const char *device_name) {
#if defined(__x86_64__)
    if (strstr(device_name, "-haswell-") != NULL) {
        return 32;
    }
    return __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx2") ? 32 : 16;
#else
    (void)device_name;
    return 0;
#endif
}

static clv_status *fill_traits(clv_test_device *device) {
    cl_device_type type = 0;
    cl_device_fp_config doubles = 0;
    cl_uint units = 0;
    cl_ulong local_bytes = 0;
    size_t local_size = 0;
    char extensions[16384] = "";
    CLV_TRY_CL(clGetDeviceInfo(device->device, CL_DEVICE_TYPE, sizeof type, &type, NULL));
    CLV_TRY_CL(
        clGetDeviceInfo(device->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL));
    CLV_TRY_CL(clGetDeviceInfo(
        device->device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local_bytes, &local_bytes, NULL));
    CLV_TRY_CL(clGetDeviceInfo(
        device->device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof local_size, &local_size, NULL));
    CLV_TRY_CL(clGetDeviceInfo(
        device->device, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof doubles, &doubles, NULL));
    CLV_TRY_CL(clGetDeviceInfo(
        device->device, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL));
    bool is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    device->traits = (clv_traits){
        .is_cpu = is_cpu,
        .has_fp64 = doubles != 0,
        .has_fp16 = strstr(extensions, "cl_khr_fp16") != NULL,
        .simd_bytes = is_cpu ? simd_bytes(device->name) : 0,
        .num_lanes = units,
        .cache_bytes = is_cpu ? 1 << 20 : 0,
        .local_bytes = local_bytes,
        .max_local_size = (uint32_t)local_size,
    };
    return NULL;
}

static clv_status *open_device(
    cl_platform_id platform, cl_device_id id, clv_test_device **out_device) {
    clv_test_device *device = clv_alloc_zeroed(1, sizeof *device);
    if (device == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a test device");
    }
    char name[128] = "", vendor[96] = "";
    clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof name - 1, name, NULL);
    clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof vendor - 1, vendor, NULL);
    snprintf(device->name, sizeof device->name, "%s (%s)", name, vendor);
    device->device = id;
    device->checks_bounds = strstr(device->name, "Oclgrind") != NULL;
    *out_device = device;
    CLV_TRY(fill_traits(device));
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    cl_int error = CL_SUCCESS;
    device->context = clCreateContext(properties, 1, &id, NULL, NULL, &error);
    CLV_TRY_CL(error);
    device->queue = clCreateCommandQueue(device->context, id, 0, &error);
    CLV_TRY_CL(error);
    return NULL;
}

static void close_device(clv_test_device *device) {
    if (device == NULL) {
        return;
    }
    for (size_t i = 0; i < device->num_programs; i++) {
        clReleaseProgram(device->programs[i].program);
        clv_free(device->programs[i].options);
    }
    if (device->queue != NULL) {
        clReleaseCommandQueue(device->queue);
    }
    if (device->context != NULL) {
        clReleaseContext(device->context);
    }
    clv_free(device);
}

void clv_test_devices_close(clv_test_device **devices, size_t num_devices) {
    for (size_t i = 0; i < num_devices; i++) {
        close_device(devices[i]);
    }
    clv_free(devices);
}

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 64 };

clv_status *clv_test_devices_open(
    const char *filter, clv_test_device ***out_devices, size_t *out_num_devices) {
    *out_devices = NULL;
    *out_num_devices = 0;
    setenv("POCL_DEVICES", "basic pthread", 0);
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint num_platforms = 0;
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &num_platforms) != CL_SUCCESS) {
        return CLV_ERROR(NO_DEVICE, "no OpenCL platform");
    }
    clv_test_device **devices = clv_alloc_zeroed(MAX_DEVICES, sizeof *devices);
    if (devices == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for test devices");
    }
    size_t num = 0;
    for (cl_uint p = 0; p < num_platforms && p < MAX_PLATFORMS; p++) {
        cl_device_id ids[MAX_DEVICES];
        cl_uint num_ids = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &num_ids) != 0) {
            continue;
        }
        for (cl_uint d = 0; d < num_ids && num < MAX_DEVICES; d++) {
            clv_status *status = open_device(platforms[p], ids[d], &devices[num]);
            if (status != NULL) {
                clv_test_devices_close(devices, num + 1);
                return status;
            }
            if (filter == NULL || strstr(devices[num]->name, filter) != NULL) {
                num++;
            } else {
                close_device(devices[num]);
                devices[num] = NULL;
            }
        }
    }
    if (num == 0) {
        clv_free(devices);
        return CLV_ERROR(NO_DEVICE, "no OpenCL device matches '%s'", filter != NULL ? filter : "");
    }
    *out_devices = devices;
    *out_num_devices = num;
    return NULL;
}

const char *clv_test_device_name(const clv_test_device *device) {
    return device->name;
}

clv_traits clv_test_device_traits(const clv_test_device *device) {
    return device->traits;
}

static clv_status *build_program(
    clv_test_device *device, const clv_kernel_source *source, const char *options,
    cl_program *out_program) {
    cl_int error = CL_SUCCESS;
    const char *text = source->text;
    size_t bytes = source->bytes;
    cl_program program = clCreateProgramWithSource(device->context, 1, &text, &bytes, &error);
    CLV_TRY_CL(error);
    char all_options[1024];
    /* Oclgrind lacks some of the intrinsics that its own optimiser makes (llvm.abs.i64). */
    const char *plain = device->checks_bounds ? " -cl-opt-disable" : "";
    snprintf(all_options, sizeof all_options, "-cl-std=CL1.2%s %s", plain, options);
    error = clBuildProgram(program, 1, &device->device, all_options, NULL, NULL);
    if (error != CL_SUCCESS) {
        char log[8192] = "";
        clGetProgramBuildInfo(
            program, device->device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
        clReleaseProgram(program);
        fprintf(stderr, "%s.cl (%s):\n%s\n", source->name, options, log);
        return CLV_ERROR(
            INTERNAL, "%s.cl does not build (%s), OpenCL error %d", source->name, options, error);
    }
    *out_program = program;
    return NULL;
}

clv_status *clv_test_kernel_create(
    clv_test_device *device, const clv_launch *launch, cl_kernel *out_kernel) {
    const char *options = launch->options != NULL ? launch->options : "";
    cl_program program = NULL;
    for (size_t i = 0; i < device->num_programs; i++) {
        if (device->programs[i].source == launch->source &&
            strcmp(device->programs[i].options, options) == 0) {
            program = device->programs[i].program;
        }
    }
    if (program == NULL) {
        if (device->num_programs == CLV_TEST_MAX_PROGRAMS) {
            return CLV_ERROR(INTERNAL, "more than %d programs", CLV_TEST_MAX_PROGRAMS);
        }
        CLV_TRY(build_program(device, launch->source, options, &program));
        size_t slot = device->num_programs++;
        device->programs[slot].source = launch->source;
        device->programs[slot].options = clv_strdup(options);
        device->programs[slot].program = program;
    }
    cl_int error = CL_SUCCESS;
    *out_kernel = clCreateKernel(program, launch->entry, &error);
    if (error != CL_SUCCESS) {
        return CLV_ERROR(
            INTERNAL, "%s.cl: no kernel '%s' (OpenCL error %d)", launch->source->name,
            launch->entry, error);
    }
    return NULL;
}
