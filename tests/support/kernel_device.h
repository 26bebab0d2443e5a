/* The OpenCL side of kernel_runner.h: a device with its context, queue and built programs. */
#ifndef CLV_TESTS_SUPPORT_KERNEL_DEVICE_H
#define CLV_TESTS_SUPPORT_KERNEL_DEVICE_H

#include "tests/support/kernel_runner.h"
#include <CL/cl.h>

enum { CLV_TEST_MAX_PROGRAMS = 256 };

struct clv_test_device {
    char name[256];
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    clv_traits traits;
    bool checks_bounds; /* Oclgrind: buffers end where the operand ends */
    struct {
        const clv_kernel_source *source;
        char *options;
        cl_program program;
    } programs[CLV_TEST_MAX_PROGRAMS];
    size_t num_programs;
};

/* The launch's kernel, its program built at first use. The caller releases it. */
clv_status *clv_test_kernel_create(
    clv_test_device *device, const clv_launch *launch, cl_kernel *out_kernel) CLV_CHECKED;

#define CLV_TRY_CL(expr)                                                                   \
    do {                                                                                   \
        cl_int try_error_ = (expr);                                                        \
        if (try_error_ != CL_SUCCESS) {                                                    \
            return CLV_ERROR(DEVICE_FAILED, "%s gave OpenCL error %d", #expr, try_error_); \
        }                                                                                  \
    } while (0)

#endif
