/* Buffers. Those of PoCL's cores are host memory of ours (CL_MEM_USE_HOST_PTR), so nothing is
 * copied. Not those of other CPU drivers: Intel's runtime 2026.4 goes on using such memory after
 * clReleaseMemObject has returned. */
#include "host/ocl/internal.h"

#include "host/base/memory.h"
#include "host/base/text.h"
#include <string.h>
#include <sys/mman.h>

/* Zeroed by the system when touched, so a large buffer costs nothing until it is used, and its
 * pages come to the memory node of the core that uses them first. */
static bool create_block(clv_ocl_buffer *buffer, size_t bytes) {
    enum { PAGE = 4096, HUGE_PAGE = 2 << 20 };
    size_t alignment = bytes >= 2 * (size_t)HUGE_PAGE ? HUGE_PAGE : PAGE;
    size_t padded;
    if (!clv_add_size(bytes, alignment - 1 + PAGE, &padded)) {
        return false;
    }
    buffer->block = clv_alloc_zeroed(padded, 1);
    if (buffer->block == NULL) {
        return false;
    }
    buffer->host = (void *)(((uintptr_t)buffer->block + alignment - 1) / alignment * alignment);
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE) {
        (void)madvise(buffer->host, bytes / PAGE * PAGE, MADV_HUGEPAGE); /* a wish, not a need */
    }
#endif
    return true;
}

static clv_status *no_memory(const clv_device_info *info, size_t bytes, const char *why) {
    char unit[32], text[32];
    clv_device_unit_name(info, unit);
    clv_format_bytes(text, sizeof text, (double)bytes);
    return CLV_ERROR(
        NO_MEMORY, "%s: no memory for a buffer of %s (%zu bytes): %s", unit, text, bytes, why);
}

/* Drivers of GPUs say CL_OUT_OF_RESOURCES where memory is short, as others do for other reasons. */
static clv_status *out_of_memory_or(
    const clv_device_info *info, size_t bytes, clv_ocl_call call, cl_int error) {
    char unit[32];
    if (error != CL_OUT_OF_RESOURCES) {
        return clv_cl_failed_at(__FILE__, __LINE__, info, call, error);
    }
    clv_ocl_note_failure(info, unit);
    return no_memory(info, bytes, "CL_OUT_OF_RESOURCES (-5)");
}

/* Zeroing also makes drivers that allocate at first use do it now. */
static clv_status *zero(clv_ocl_device *device, clv_ocl_buffer *buffer) {
    static const cl_uchar nothing = 0;
    const clv_device_info *info = &device->base.info;
    const size_t bytes = buffer->base.bytes;
    cl_int error;
    CLV_CL(
        error, clEnqueueFillBuffer, device->service, buffer->memory, &nothing, sizeof nothing, 0,
        bytes, 0, NULL, NULL);
    if (error != CL_SUCCESS) {
        return out_of_memory_or(info, bytes, CLV_OCL_clEnqueueFillBuffer, error);
    }
    CLV_CL(error, clFinish, device->service);
    if (error != CL_SUCCESS) {
        return out_of_memory_or(info, bytes, CLV_OCL_clFinish, error);
    }
    return NULL;
}

clv_status *clv_ocl_buffer_create(clv_device *base, size_t bytes, clv_buffer **out_buffer) {
    clv_ocl_device *device = clv_ocl_device_of(base);
    const clv_device_info *info = &base->info;
    *out_buffer = NULL;
    if (bytes == 0 || bytes > info->max_alloc_bytes) {
        return no_memory(info, bytes, bytes == 0 ? "it is empty" : "more than one buffer may have");
    }
    clv_ocl_buffer *buffer = clv_alloc_zeroed(1, sizeof *buffer);
    if (buffer == NULL) {
        return no_memory(info, sizeof *buffer, "out of host memory");
    }
    buffer->base = (clv_buffer){.device = base, .bytes = bytes};
    pthread_mutex_init(&buffer->lock, NULL);
    if (info->shares_host_memory && !create_block(buffer, bytes)) {
        pthread_mutex_destroy(&buffer->lock);
        clv_free(buffer);
        return no_memory(info, bytes, "out of host memory");
    }
    cl_mem_flags flags = CL_MEM_READ_WRITE | (buffer->host != NULL ? CL_MEM_USE_HOST_PTR : 0);
    cl_int error;
    CLV_CL_NEW(buffer->memory, error, clCreateBuffer, device->context, flags, bytes, buffer->host);
    clv_status *status = NULL;
    if (error != CL_SUCCESS) {
        status = out_of_memory_or(info, bytes, CLV_OCL_clCreateBuffer, error);
    } else if (buffer->host == NULL) {
        status = zero(device, buffer);
    }
    if (status != NULL) {
        clv_ocl_buffer_destroy(&buffer->base);
        return status;
    }
    *out_buffer = &buffer->base;
    return NULL;
}

void clv_ocl_buffer_destroy(clv_buffer *base) {
    if (base == NULL) {
        return;
    }
    clv_ocl_buffer *buffer = (clv_ocl_buffer *)base;
    while (buffer->aliases != NULL) {
        clv_ocl_alias *alias = buffer->aliases;
        buffer->aliases = alias->next;
        CLV_CL_RELEASE(clReleaseMemObject, alias->memory);
        clv_free(alias);
    }
    CLV_CL_RELEASE(clReleaseMemObject, buffer->memory);
    pthread_mutex_destroy(&buffer->lock);
    clv_free(buffer->block);
    clv_free(buffer);
}

static clv_status *add_alias(clv_ocl_buffer *buffer, const clv_ocl_device *device) {
    clv_ocl_alias *alias = clv_alloc_zeroed(1, sizeof *alias);
    if (alias == NULL) {
        return no_memory(&device->base.info, sizeof *alias, "out of host memory");
    }
    cl_int error;
    alias->found = device->found;
    CLV_CL_NEW(
        alias->memory, error, clCreateBuffer, device->context,
        CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, buffer->base.bytes, buffer->host);
    if (error != CL_SUCCESS) {
        clv_free(alias);
        return CLV_CL_FAILED(&device->base.info, clCreateBuffer, error);
    }
    alias->next = buffer->aliases;
    buffer->aliases = alias;
    return NULL;
}

clv_status *clv_ocl_buffer_memory(
    clv_ocl_buffer *buffer, const clv_ocl_device *device, cl_mem *out_memory) {
    clv_status *status = NULL;
    *out_memory = buffer->memory;
    if (buffer->host == NULL || clv_ocl_device_of(buffer->base.device)->found == device->found) {
        return NULL;
    }
    pthread_mutex_lock(&buffer->lock);
    const clv_ocl_alias *alias = buffer->aliases;
    while (alias != NULL && alias->found != device->found) {
        alias = alias->next;
    }
    if (alias == NULL) {
        status = add_alias(buffer, device);
        alias = buffer->aliases;
    }
    if (status == NULL) {
        *out_memory = alias->memory;
    }
    pthread_mutex_unlock(&buffer->lock);
    return status;
}

void *clv_ocl_buffer_host(clv_buffer *base) {
    return ((clv_ocl_buffer *)base)->host;
}
