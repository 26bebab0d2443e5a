/* Platforms, devices, and what they can do. */
#include "host/ocl/internal.h"

#include "host/base/log.h"
#include "host/base/memory.h"
#include <stdio.h>
#include <string.h>

enum {
    LONGEST = 256,
    /* PoCL may compile kernels so that they are good for so many work-items alone. */
    POCL_MAX_ITEMS = 65534,
};

static const char *platform_text(cl_platform_id id, cl_platform_info what, char out[LONGEST]) {
    cl_int error;
    out[0] = '\0';
    CLV_CL(error, clGetPlatformInfo, id, what, LONGEST - 1, out, NULL);
    out[error == CL_SUCCESS ? LONGEST - 1 : 0] = '\0';
    return out;
}

static void device_text(cl_device_id id, cl_device_info what, char *out, size_t capacity) {
    char text[1024] = "";
    cl_int error;
    CLV_CL(error, clGetDeviceInfo, id, what, sizeof text - 1, text, NULL);
    const char *begin = error == CL_SUCCESS ? text + strspn(text, " ") : "";
    snprintf(out, capacity, "%.*s", (int)capacity - 1, begin);
    for (size_t length = strlen(out); length > 0 && out[length - 1] == ' '; length--) {
        out[length - 1] = '\0';
    }
}

/* Fixed-size values; 0 where the device does not say. */
static uint64_t device_number(cl_device_id id, cl_device_info what, size_t bytes) {
    union {
        cl_uint u32;
        cl_ulong u64;
    } value = {.u64 = 0};
    cl_int error;
    CLV_CL(error, clGetDeviceInfo, id, what, bytes, &value, NULL);
    if (error != CL_SUCCESS) {
        return 0;
    }
    return bytes == sizeof(cl_uint) ? value.u32 : value.u64;
}
#define NUMBER32(id, what) ((uint32_t)device_number(id, what, sizeof(cl_uint)))
#define NUMBER64(id, what) device_number(id, what, sizeof(cl_ulong))
#define NUMBERZ(id, what) device_number(id, what, sizeof(size_t))

static uint32_t host_simd_bytes(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx") ? 32 : 16;
#elif defined(__aarch64__)
    return 16;
#else
    return 0;
#endif
}

/* What the device's code may use: PoCL compiles for a CPU that is in its devices' names, an older
 * one than the host's where POCL_KERNELLIB_NAME says so. */
static uint32_t simd_bytes_of(const clv_ocl_found *found) {
    static const struct {
        const char *cpu;
        uint32_t bytes;
    } known[] = {
        {"-haswell-", 32},     {"-bdver1-", 32}, {"-ivybridge-", 32},
        {"-sandybridge-", 32}, {"-penryn-", 16}, {"-core2-", 16},
    };
    const uint32_t host = host_simd_bytes();
    for (size_t i = 0; i < sizeof known / sizeof known[0] && found->is_pocl; i++) {
        if (strstr(found->info.name, known[i].cpu) != NULL && known[i].bytes < host) {
            return known[i].bytes;
        }
    }
    return host;
}

/* Names of PoCL's one-core device: "basic-..." until 4.0, "cpu-minimal-..." since. */
static bool is_pocl_core(const clv_device_info *info) {
    return strncmp(info->name, "basic", 5) == 0 || strncmp(info->name, "cpu-minimal", 11) == 0;
}

static void say_unusable(clv_device_info *info, const char *reason) {
    if (info->usable) {
        info->usable = false;
        snprintf(info->reason, sizeof info->reason, "%s", reason);
    }
}

static void judge(clv_device_info *info, cl_device_id id) {
    int major = 0, minor = 0;
    info->usable = true;
    if (NUMBER32(id, CL_DEVICE_AVAILABLE) == 0) {
        say_unusable(info, "the driver says that it is not available");
    }
    if (NUMBER32(id, CL_DEVICE_COMPILER_AVAILABLE) == 0) {
        say_unusable(info, "the driver has no compiler");
    }
    if (sscanf(info->version, "OpenCL %d.%d", &major, &minor) != 2 || major * 10 + minor < 12) {
        char reason[sizeof info->reason];
        snprintf(reason, sizeof reason, "it has '%.100s', needed is OpenCL 1.2", info->version);
        say_unusable(info, reason);
    }
    if (NUMBER32(id, CL_DEVICE_ENDIAN_LITTLE) == 0) {
        say_unusable(info, "it is not little-endian");
    }
    if (info->max_params_bytes < 1024) {
        say_unusable(info, "kernel arguments are limited to less than 1024 bytes");
    }
    if (info->max_alloc_bytes == 0 || info->memory_bytes == 0 || info->compute_units == 0) {
        say_unusable(info, "it reports no memory or no compute units");
    }
}

static void describe(cl_platform_id platform, clv_hash environment, clv_ocl_found *found) {
    clv_device_info *info = &found->info;
    cl_device_id id = found->id;
    char text[LONGEST], extensions[16384] = "";
    snprintf(
        info->platform, sizeof info->platform, "%.127s",
        platform_text(platform, CL_PLATFORM_NAME, text));
    device_text(id, CL_DEVICE_NAME, info->name, sizeof info->name);
    device_text(id, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    device_text(id, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    device_text(id, CL_DEVICE_VERSION, info->version, sizeof info->version);
    cl_int error;
    CLV_CL(
        error, clGetDeviceInfo, id, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL);
    uint64_t type = NUMBER64(id, CL_DEVICE_TYPE);
    bool gpu = (type & CL_DEVICE_TYPE_GPU) != 0, cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    found->is_pocl = strcmp(info->platform, "Portable Computing Language") == 0;
    info->is_cpu = cpu && !gpu; /* simulators say that they are everything */
    info->kind = gpu && !cpu                            ? CLV_DEVICE_GPU
                 : found->is_pocl && is_pocl_core(info) ? CLV_DEVICE_CORE
                                                        : CLV_DEVICE_CL;
    info->shares_host_memory = info->kind == CLV_DEVICE_CORE;
    info->compute_units = NUMBER32(id, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->memory_bytes = NUMBER64(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->max_alloc_bytes = NUMBER64(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    info->local_bytes = NUMBER64(id, CL_DEVICE_LOCAL_MEM_SIZE);
    info->base_align_bytes = NUMBER32(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
    info->max_local_size = (uint32_t)NUMBERZ(id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    found->is_turned = found->is_pocl && info->is_cpu;
    info->max_items = found->is_turned ? POCL_MAX_ITEMS : 0;
    info->max_params_bytes = (uint32_t)NUMBERZ(id, CL_DEVICE_MAX_PARAMETER_SIZE);
    info->has_fp64 = NUMBER64(id, CL_DEVICE_DOUBLE_FP_CONFIG) != 0;
    info->has_fp16 = error == CL_SUCCESS && strstr(extensions, "cl_khr_fp16") != NULL;
    info->clock_ghz = NUMBER32(id, CL_DEVICE_MAX_CLOCK_FREQUENCY) * 1e-3;
    info->simd_bytes = info->is_cpu ? simd_bytes_of(found) : 0;
    judge(info, id);
    if (found->is_pocl && info->is_cpu && !clv_ocl_finds_program("ld")) {
        say_unusable(
            info, "PoCL links kernels with `ld`, which is not in PATH, and would end the process "
                  "(Debian, Ubuntu: apt-get install binutils)");
    }

    clv_hash hash = environment;
    hash =
        clv_hash_combine(hash, clv_hash_string(platform_text(platform, CL_PLATFORM_VERSION, text)));
    hash = clv_hash_combine(hash, clv_hash_string(info->platform));
    hash = clv_hash_combine(hash, clv_hash_string(info->name));
    hash = clv_hash_combine(hash, clv_hash_string(info->vendor));
    hash = clv_hash_combine(hash, clv_hash_string(info->driver));
    found->identity = clv_hash_combine(hash, clv_hash_string(info->version));
}

/* The group that takes `found`: devices alike, of one platform; every GPU has one of its own,
 * because drivers for several GPUs in one context differ too much. */
static clv_status *join_group(clv_ocl *ocl, cl_platform_id platform, clv_ocl_found *found) {
    clv_ocl_group *group = NULL;
    for (size_t i = 0; i < ocl->num_found && found->info.kind != CLV_DEVICE_GPU; i++) {
        const clv_ocl_found *other = &ocl->found[i];
        if (other->group != NULL && other->group->platform == platform &&
            other->info.kind == found->info.kind &&
            memcmp(&other->identity, &found->identity, sizeof other->identity) == 0) {
            group = other->group;
        }
    }
    if (group == NULL) {
        if (!clv_array_reserve(
                (void **)&ocl->groups, &ocl->capacity_groups, ocl->num_groups + 1,
                sizeof(clv_ocl_group *)) ||
            (group = clv_alloc_zeroed(1, sizeof *group)) == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for the list of devices");
        }
        group->platform = platform;
        group->is_generic = found->is_pocl && found->info.is_cpu && clv_ocl_is_generic();
        pthread_mutex_init(&group->lock, NULL);
        ocl->groups[ocl->num_groups++] = group;
    }
    cl_device_id *ids = clv_realloc(group->ids, (group->num_ids + 1) * sizeof *ids);
    if (ids == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the list of devices");
    }
    group->ids = ids;
    group->ids[group->num_ids++] = found->id;
    found->group = group;
    return NULL;
}

/* core:N and gpu:N count over all platforms. */
static void number(const clv_ocl *ocl, clv_device_info *info) {
    for (size_t i = 0; i < ocl->num_found && info->kind != CLV_DEVICE_CL; i++) {
        info->index += ocl->found[i].info.kind == info->kind ? 1 : 0;
    }
}

static clv_status *add_device(
    clv_ocl *ocl, cl_platform_id platform, cl_device_id id, int platform_index, int device_index) {
    if (!clv_array_reserve(
            (void **)&ocl->found, &ocl->capacity_found, ocl->num_found + 1, sizeof *ocl->found)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the list of devices");
    }
    clv_ocl_found *found = &ocl->found[ocl->num_found];
    memset(found, 0, sizeof *found);
    found->id = id;
    found->info.platform_index = platform_index;
    found->info.device_index = device_index;
    describe(platform, ocl->environment, found);
    number(ocl, &found->info);
    if (found->info.usable) {
        CLV_TRY(join_group(ocl, platform, found));
    }
    ocl->num_found++;
    return NULL;
}

static clv_status *add_platform(clv_ocl *ocl, cl_platform_id platform, int index) {
    cl_uint count = 0;
    cl_int error;
    CLV_CL(error, clGetDeviceIDs, platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count);
    cl_device_id *ids = NULL;
    if (error == CL_SUCCESS && count > 0) {
        ids = clv_alloc_zeroed(count, sizeof *ids);
        if (ids == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for the list of devices");
        }
        CLV_CL(error, clGetDeviceIDs, platform, CL_DEVICE_TYPE_ALL, count, ids, NULL);
    }
    clv_status *status = NULL;
    if (error != CL_SUCCESS) {
        char name[LONGEST];
        clv_log(
            error == CL_DEVICE_NOT_FOUND ? CLV_LOG_DEBUG : CLV_LOG_INFO,
            "the OpenCL platform '%s' has no devices: %s (%d)",
            platform_text(platform, CL_PLATFORM_NAME, name), clv_cl_error_name(error), (int)error);
        count = 0;
    }
    for (cl_uint i = 0; i < count && status == NULL; i++) {
        status = add_device(ocl, platform, ids[i], index, (int)i);
    }
    clv_free(ids);
    return status;
}

static clv_status *discover(clv_ocl *ocl) {
    cl_uint count = 0;
    cl_int error;
    CLV_CL(error, clGetPlatformIDs, 0, NULL, &count);
    if (error != CL_SUCCESS || count == 0) {
        return CLV_ERROR(
            NO_DEVICE,
            "no OpenCL platform found (%s): install an OpenCL driver; for the CPU that is PoCL "
            "(Debian, Ubuntu: apt-get install pocl-opencl-icd)",
            error != CL_SUCCESS ? clv_cl_error_name(error) : "none is registered");
    }
    cl_platform_id *platforms = clv_alloc_zeroed(count, sizeof(cl_platform_id));
    if (platforms == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the list of platforms");
    }
    CLV_CL(error, clGetPlatformIDs, count, platforms, NULL);
    clv_status *status = error != CL_SUCCESS ? CLV_CL_FAILED(NULL, clGetPlatformIDs, error) : NULL;
    for (cl_uint i = 0; i < count && status == NULL; i++) {
        status = add_platform(ocl, platforms[i], (int)i);
    }
    clv_free(platforms);
    return status;
}

clv_status *clv_ocl_create(clv_ocl **out_ocl) {
    *out_ocl = NULL;
    CLV_TRY(clv_ocl_prepare_environment());
    clv_ocl *ocl = clv_alloc_zeroed(1, sizeof *ocl);
    if (ocl == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the list of devices");
    }
    ocl->environment = clv_ocl_environment_hash();
    clv_status *status = discover(ocl);
    if (status != NULL) {
        clv_ocl_destroy(ocl);
        return status;
    }
    *out_ocl = ocl;
    return NULL;
}

void clv_ocl_destroy(clv_ocl *ocl) {
    if (ocl == NULL) {
        return;
    }
    for (size_t i = 0; i < ocl->num_groups; i++) {
        pthread_mutex_destroy(&ocl->groups[i]->lock);
        clv_free(ocl->groups[i]->ids);
        clv_free(ocl->groups[i]);
    }
    clv_free(ocl->groups);
    clv_free(ocl->found);
    clv_free(ocl);
}

size_t clv_ocl_num_devices(const clv_ocl *ocl) {
    return ocl->num_found;
}

const clv_device_info *clv_ocl_device_info(const clv_ocl *ocl, size_t index) {
    return index < ocl->num_found ? &ocl->found[index].info : NULL;
}
