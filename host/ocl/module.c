/* Programs and kernels. A program is built once for all devices of a group and shared by them. */
#include "host/ocl/internal.h"

#include "host/base/cancel.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/ocl/cache.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One kernel at one local size, which is what drivers compile. */
typedef struct compiled {
    char entry[64];
    uint32_t local_size;
} compiled;

struct clv_ocl_module {
    clv_ocl_module *next;
    clv_ocl_group *group;
    size_t num_users;
    cl_program program;
    clv_hash key;
    char name[64];
    compiled *launched; /* in this process, or in the one that wrote the binary */
    size_t num_launched, capacity_launched;
    size_t num_stored; /* of these, the first so many are in the file */
    bool is_complete;  /* the file has all kernels for every local size */
};

/* The line that stands for all kernels in files. */
static const char all_kernels[] = "* 0";

static clv_status *no_module_memory(const clv_program_desc *desc) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the program '%s'", desc->name);
}

/* --- kernels that ran ------------------------------------------------------------------------ */

static bool knows(const clv_ocl_module *module, const char *entry, uint32_t local_size) {
    for (size_t i = 0; i < module->num_launched; i++) {
        if (module->launched[i].local_size == local_size &&
            strcmp(module->launched[i].entry, entry) == 0) {
            return true;
        }
    }
    return false;
}

static void add_launched(clv_ocl_module *module, const char *entry, uint32_t local_size) {
    if (knows(module, entry, local_size) ||
        !clv_array_reserve(
            (void **)&module->launched, &module->capacity_launched, module->num_launched + 1,
            sizeof *module->launched)) {
        return;
    }
    compiled *one = &module->launched[module->num_launched++];
    snprintf(one->entry, sizeof one->entry, "%s", entry);
    one->local_size = local_size;
}

void clv_ocl_module_begin_launch(const clv_ocl_kernel *kernel) {
    pthread_mutex_lock(&kernel->module->group->lock);
}

void clv_ocl_module_end_launch(clv_ocl_kernel *kernel, uint32_t local_size, bool is_done) {
    if (is_done) {
        add_launched(kernel->module, kernel->entry, local_size);
        kernel->noted_local_size = local_size;
    }
    pthread_mutex_unlock(&kernel->module->group->lock);
}

bool clv_ocl_module_has(clv_ocl_kernel *kernel, uint32_t local_size) {
    const clv_ocl_module *module = kernel->module;
    pthread_mutex_lock(&module->group->lock);
    const bool has = module->is_complete || knows(module, kernel->entry, local_size);
    if (has) {
        kernel->noted_local_size = local_size;
    }
    pthread_mutex_unlock(&module->group->lock);
    return has;
}

static void read_stored(clv_ocl_module *module, const clv_ocl_cached *cached) {
    const char *at = cached->kernels, *end = at + cached->kernels_bytes;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        char line[96], entry[64];
        unsigned local_size;
        if (line_end == NULL) {
            break;
        }
        snprintf(line, sizeof line, "%.*s", (int)(line_end - at), at);
        if (strcmp(line, all_kernels) == 0) {
            module->is_complete = true;
        } else if (sscanf(line, "%63s %u", entry, &local_size) == 2) {
            add_launched(module, entry, local_size);
        }
        at = line_end + 1;
    }
    module->num_stored = module->num_launched;
}

/* --- keeping the binary ---------------------------------------------------------------------- */

/* The binary of the group's first device, which serves all of them; NULL: the driver gives none.
 * (OpenCL lets a caller leave out the others, PoCL 3.1 crashes then: they are read and let go.) */
static unsigned char *binary_copy(const clv_ocl_module *module, size_t *out_bytes) {
    const size_t num_devices = module->group->num_ids;
    const cl_program program = module->program;
    size_t total = 0;
    size_t *sizes = clv_alloc_zeroed(num_devices, sizeof *sizes);
    unsigned char **binaries = clv_alloc_zeroed(num_devices, sizeof *binaries), *all = NULL;
    cl_int error = CL_OUT_OF_HOST_MEMORY;
    if (sizes != NULL && binaries != NULL) {
        CLV_CL(
            error, clGetProgramInfo, program, CL_PROGRAM_BINARY_SIZES, num_devices * sizeof *sizes,
            sizes, NULL);
    }
    for (size_t i = 0; i < num_devices && error == CL_SUCCESS; i++) {
        error = clv_add_size(total, sizes[i], &total) ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    }
    if (error == CL_SUCCESS && sizes[0] != 0 && (all = clv_alloc(total)) != NULL) {
        size_t offset = 0;
        for (size_t i = 0; i < num_devices; i++) {
            binaries[i] = all + offset;
            offset += sizes[i];
        }
        *out_bytes = sizes[0];
        CLV_CL(
            error, clGetProgramInfo, program, CL_PROGRAM_BINARIES, num_devices * sizeof *binaries,
            binaries, NULL);
    }
    clv_free(sizes);
    clv_free(binaries);
    if (error != CL_SUCCESS) {
        clv_log(
            CLV_LOG_DEBUG, "no binary of '%s': %s (%d)", module->name, clv_cl_error_name(error),
            (int)error);
        clv_free(all);
        return NULL;
    }
    return all;
}

/* Into the cache, with the list of what it has compiled. */
static void store(const clv_ocl_module *module, const unsigned char *binary, size_t bytes) {
    clv_text list;
    clv_text_init(&list);
    for (size_t i = 0; i < module->num_launched && !module->is_complete; i++) {
        clv_text_add(&list, "%s %u\n", module->launched[i].entry, module->launched[i].local_size);
    }
    if (module->is_complete) {
        clv_text_add(&list, "%s\n", all_kernels);
    }
    if (!list.failed) {
        clv_ocl_cache_store(module->key, list.data, list.length, binary, bytes);
    }
    clv_text_deinit(&list);
}

/* --- building -------------------------------------------------------------------------------- */

/* DEVICE_FAILED with the head of the log on one line; CANCELLED where a Ctrl-C, which reaches the
 * linkers that drivers start too, is what made them fail. */
static clv_status *build_failed(
    clv_ocl_device *device, const clv_ocl_module *module, cl_int build_error) {
    char log[8192] = "", unit[32];
    cl_int error;
    CLV_TRY(clv_cancel_check());
    CLV_CL(
        error, clGetProgramBuildInfo, module->program, device->found->id, CL_PROGRAM_BUILD_LOG,
        sizeof log - 1, log, NULL);
    if (error != CL_SUCCESS) {
        snprintf(log, sizeof log, "%s", error == CL_INVALID_VALUE ? "(a long log)" : "");
    }
    clv_log(CLV_LOG_DEBUG, "build log of '%s':\n%s", module->name, log);
    size_t length = strlen(log) < 600 ? strlen(log) : 600;
    log[length] = '\0';
    for (size_t i = 0; i < length; i++) {
        log[i] = (unsigned char)log[i] < ' ' ? ' ' : log[i];
    }
    clv_ocl_note_failure(&device->base.info, unit);
    return CLV_ERROR(
        DEVICE_FAILED, "%s: the driver could not build the kernels '%s': %s (%d)%s%s", unit,
        module->name, clv_cl_error_name(build_error), (int)build_error, length != 0 ? ": " : "",
        log);
}

static cl_int build(clv_ocl_module *module, const char *options) {
    cl_int error;
    CLV_CL(
        error, clBuildProgram, module->program, (cl_uint)module->group->num_ids, module->group->ids,
        options, NULL, NULL);
    return error;
}

/* What stands before every source: where launches are turned, kernels find their work-items. */
static const char *head_of(const clv_ocl_device *device) {
    static const char turned[] = "#define CLV_TURNED(d) ((d) == 0 ? 2 : (d) == 2 ? 0 : (d))\n"
                                 "#define get_global_id(d) get_global_id(CLV_TURNED(d))\n"
                                 "#define get_global_size(d) get_global_size(CLV_TURNED(d))\n"
                                 "#define get_global_offset(d) get_global_offset(CLV_TURNED(d))\n"
                                 "#define get_group_id(d) get_group_id(CLV_TURNED(d))\n"
                                 "#define get_num_groups(d) get_num_groups(CLV_TURNED(d))\n"
                                 "#define get_local_id(d) get_local_id(CLV_TURNED(d))\n"
                                 "#define get_local_size(d) get_local_size(CLV_TURNED(d))\n"
                                 "#line 1\n";
    return device->found->is_turned ? turned : "";
}

static clv_status *build_source(
    clv_ocl_device *device, clv_ocl_module *module, const clv_program_desc *desc) {
    cl_int error;
    const char *head = head_of(device);
    const char *sources[] = {head, desc->source};
    size_t bytes[] = {strlen(head), desc->source_bytes};
    CLV_CL_NEW(
        module->program, error, clCreateProgramWithSource, device->context, 2, sources, bytes);
    if (error != CL_SUCCESS) {
        return CLV_CL_FAILED(&device->base.info, clCreateProgramWithSource, error);
    }
    error = build(module, desc->options);
    return error != CL_SUCCESS ? build_failed(device, module, error) : NULL;
}

/* False: the driver does not take it (another version of it, say): build from source. */
static bool build_binary(
    clv_ocl_device *device, clv_ocl_module *module, const clv_program_desc *desc,
    const unsigned char *binary, size_t bytes) {
    size_t count = module->group->num_ids;
    const unsigned char **binaries = clv_alloc_zeroed(count, sizeof *binaries);
    size_t *sizes = clv_alloc_zeroed(count, sizeof *sizes);
    cl_int error = CL_OUT_OF_HOST_MEMORY;
    if (binaries != NULL && sizes != NULL) {
        for (size_t i = 0; i < count; i++) {
            binaries[i] = binary;
            sizes[i] = bytes;
        }
        CLV_CL_NEW(
            module->program, error, clCreateProgramWithBinary, device->context, (cl_uint)count,
            module->group->ids, sizes, binaries, NULL);
    }
    clv_free(binaries);
    clv_free(sizes);
    if (error == CL_SUCCESS) {
        error = build(module, desc->options);
    }
    if (error != CL_SUCCESS) {
        clv_log(
            CLV_LOG_DEBUG, "the driver does not take the kept binary of '%s': %s (%d)", desc->name,
            clv_cl_error_name(error), (int)error);
        CLV_CL_RELEASE(clReleaseProgram, module->program);
        module->program = NULL;
    }
    return error == CL_SUCCESS;
}

/* PoCL compiles all kernels of a program when it is asked for its binary. */
static void compile_all(clv_ocl_module *module, double begin) {
    const double middle = clv_time_us();
    size_t bytes = 0;
    unsigned char *binary = binary_copy(module, &bytes);
    if (binary != NULL) {
        module->is_complete = true;
        store(module, binary, bytes);
        clv_free(binary);
    }
    clv_log(
        CLV_LOG_DEBUG, "'%s' built from source in %.0f ms, its kernels compiled in %.0f ms",
        module->name, (middle - begin) * 1e-3, (clv_time_us() - middle) * 1e-3);
}

static clv_status *make(
    clv_ocl_device *device, clv_ocl_module *module, const clv_program_desc *desc) {
    clv_ocl_cached cached;
    if (clv_ocl_cache_find(module->key, &cached)) {
        bool taken = build_binary(device, module, desc, cached.binary, cached.binary_bytes);
        if (taken) {
            read_stored(module, &cached);
        }
        clv_file_unmap(&cached.file);
        if (taken) {
            return NULL;
        }
    }
    const double begin = clv_time_us();
    CLV_TRY(build_source(device, module, desc));
    if (module->group->is_generic) {
        compile_all(module, begin);
    }
    return NULL;
}

static void release_module(clv_ocl_module *module) {
    clv_ocl_group *group = module->group;
    if (--module->num_users > 0) {
        return;
    }
    clv_ocl_module **link = &group->modules;
    while (*link != NULL && *link != module) {
        link = &(*link)->next;
    }
    if (*link == module) {
        *link = module->next;
    }
    CLV_CL_RELEASE(clReleaseProgram, module->program);
    clv_free(module->launched);
    clv_free(module);
}

static clv_hash key_of(const clv_ocl_device *device, const clv_program_desc *desc) {
    clv_hash key = clv_hash_combine(
        clv_hash_bytes(desc->source, desc->source_bytes), clv_hash_string(desc->options));
    key = clv_hash_combine(key, clv_hash_string(head_of(device)));
    return clv_hash_combine(key, device->found->identity);
}

static clv_ocl_module *find_module(const clv_ocl_group *group, clv_hash key) {
    clv_ocl_module *module = group->modules;
    while (module != NULL && (module->key.low != key.low || module->key.high != key.high)) {
        module = module->next;
    }
    return module;
}

/* With the group locked. */
static clv_status *find_or_make(
    clv_ocl_device *device, const clv_program_desc *desc, clv_ocl_module **out_module) {
    clv_ocl_group *group = device->group;
    const clv_hash key = key_of(device, desc);
    clv_ocl_module *module = find_module(group, key);
    if (module != NULL) {
        module->num_users++;
        *out_module = module;
        return NULL;
    }
    module = clv_alloc_zeroed(1, sizeof *module);
    if (module == NULL) {
        return no_module_memory(desc);
    }
    module->group = group;
    module->num_users = 1;
    module->key = key;
    snprintf(module->name, sizeof module->name, "%s", desc->name);
    clv_status *status = make(device, module, desc);
    if (status != NULL) {
        release_module(module);
        return status;
    }
    module->next = group->modules;
    group->modules = module;
    *out_module = module;
    return NULL;
}

clv_status *clv_ocl_program_create(
    clv_device *base, const clv_program_desc *desc, clv_program **out_program) {
    clv_ocl_device *device = clv_ocl_device_of(base);
    *out_program = NULL;
    clv_ocl_program *program = clv_alloc_zeroed(1, sizeof *program);
    if (program == NULL) {
        return no_module_memory(desc);
    }
    program->base.device = base;
    pthread_mutex_lock(&device->group->lock);
    clv_status *status = find_or_make(device, desc, &program->module);
    pthread_mutex_unlock(&device->group->lock);
    if (status != NULL) {
        clv_free(program);
        return status;
    }
    *out_program = &program->base;
    return NULL;
}

static bool is_to_build(const clv_ocl_device *device, const clv_program_desc *desc) {
    clv_ocl_group *group = device->group;
    const clv_hash key = key_of(device, desc);
    pthread_mutex_lock(&group->lock);
    const bool is_there = !group->is_generic || find_module(group, key) != NULL;
    pthread_mutex_unlock(&group->lock);
    clv_ocl_cached cached;
    if (is_there || !clv_ocl_cache_find(key, &cached)) {
        return !is_there;
    }
    clv_file_unmap(&cached.file);
    return false;
}

typedef struct building {
    clv_device *device;
    const clv_program_desc **descs; /* those that have to be built */
    size_t count;
} building;

/* What takes longest comes first, so that processes end together: it goes about with the length of
 * the source. */
static int compare_work(const void *a, const void *b) {
    const clv_program_desc *x = *(const clv_program_desc *const *)a;
    const clv_program_desc *y = *(const clv_program_desc *const *)b;
    return (x->source_bytes < y->source_bytes) - (x->source_bytes > y->source_bytes);
}

/* Failures come again, and are told, when the program is created. */
static void build_ahead(void *context, size_t index) {
    const building *b = context;
    clv_program *program = NULL;
    clv_status_destroy(clv_ocl_program_create(b->device, b->descs[index], &program));
    clv_ocl_program_destroy(program);
}

clv_status *clv_ocl_programs_create(
    clv_device *base, const clv_program_desc *descs, size_t count, clv_program **out_programs) {
    building b = {.device = base, .descs = clv_alloc_zeroed(count + 1, sizeof *b.descs)};
    if (b.descs == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for %zu programs", count);
    }
    for (size_t i = 0; i < count; i++) {
        if (is_to_build(clv_ocl_device_of(base), &descs[i])) {
            b.descs[b.count++] = &descs[i];
        }
    }
    qsort(b.descs, b.count, sizeof *b.descs, compare_work);
    clv_ocl_build_ahead(build_ahead, &b, b.count);
    clv_free(b.descs);
    clv_status *status = NULL;
    size_t num_made = 0;
    for (; num_made < count && status == NULL; num_made++) {
        status = clv_cancel_check(); /* building one may take a second */
        if (status == NULL) {
            status = clv_ocl_program_create(base, &descs[num_made], &out_programs[num_made]);
        }
        clv_progress("compiling kernels", (double)num_made + 1, (double)count);
    }
    while (status != NULL && num_made-- > 0) {
        clv_ocl_program_destroy(out_programs[num_made]);
        out_programs[num_made] = NULL;
    }
    return status;
}

void clv_ocl_program_destroy(clv_program *base) {
    if (base == NULL) {
        return;
    }
    clv_ocl_program *program = (clv_ocl_program *)base;
    clv_ocl_group *group = program->module->group;
    pthread_mutex_lock(&group->lock);
    release_module(program->module);
    pthread_mutex_unlock(&group->lock);
    clv_free(program);
}

void clv_ocl_program_settle(clv_program *base) {
    clv_ocl_module *module = ((clv_ocl_program *)base)->module;
    clv_ocl_group *group = module->group;
    pthread_mutex_lock(&group->lock);
    if (!module->is_complete && module->num_launched > module->num_stored &&
        clv_ocl_cache_is_kept()) {
        size_t bytes = 0;
        unsigned char *binary = binary_copy(module, &bytes);
        if (binary != NULL) {
            store(module, binary, bytes);
        }
        module->num_stored = module->num_launched; /* tried: not again for the same kernels */
        clv_free(binary);
    }
    pthread_mutex_unlock(&group->lock);
}

/* --- kernels --------------------------------------------------------------------------------- */

clv_status *clv_ocl_kernel_create(clv_program *base, const char *entry, clv_kernel **out_kernel) {
    clv_ocl_program *program = (clv_ocl_program *)base;
    *out_kernel = NULL;
    clv_ocl_kernel *kernel = clv_alloc_zeroed(1, sizeof *kernel);
    if (kernel == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the kernel '%s'", entry);
    }
    kernel->base.device = base->device;
    kernel->module = program->module;
    snprintf(kernel->entry, sizeof kernel->entry, "%s", entry);
    cl_int error;
    CLV_CL_NEW(kernel->kernel, error, clCreateKernel, program->module->program, entry);
    if (error != CL_SUCCESS) {
        clv_free(kernel);
        return clv_status_prefix(
            CLV_CL_FAILED(&base->device->info, clCreateKernel, error), "kernel '%s'", entry);
    }
    *out_kernel = &kernel->base;
    return NULL;
}

void clv_ocl_kernel_destroy(clv_kernel *base) {
    if (base == NULL) {
        return;
    }
    clv_ocl_kernel *kernel = (clv_ocl_kernel *)base;
    CLV_CL_RELEASE(clReleaseKernel, kernel->kernel);
    clv_free(kernel);
}

static clv_status *set_argument(
    clv_ocl_kernel *kernel, uint32_t index, size_t bytes, const void *value) {
    cl_int error;
    CLV_CL(error, clSetKernelArg, kernel->kernel, index, bytes, value);
    if (error != CL_SUCCESS) {
        return clv_status_prefix(
            CLV_CL_RUN_FAILED(&kernel->base.device->info, clSetKernelArg, error),
            "kernel '%s', argument %u of %zu bytes", kernel->entry, index, bytes);
    }
    return NULL;
}

clv_status *clv_ocl_kernel_set_buffer(clv_kernel *base, uint32_t index, clv_buffer *buffer) {
    cl_mem memory;
    CLV_TRY(
        clv_ocl_buffer_memory((clv_ocl_buffer *)buffer, clv_ocl_device_of(base->device), &memory));
    return set_argument((clv_ocl_kernel *)base, index, sizeof memory, &memory);
}

clv_status *clv_ocl_kernel_set_bytes(
    clv_kernel *base, uint32_t index, const void *data, size_t bytes) {
    return set_argument((clv_ocl_kernel *)base, index, bytes, data);
}
