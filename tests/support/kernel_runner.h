/* Runs one call's kernels on an OpenCL device by the ABI of kernels_cl/kernel.h, with no executor
 * in between: every operand in a buffer of its own between guard bytes, at an odd offset; every
 * launch cut into ranges that run in shuffled order. For tests of kernels; slow on purpose.
 */
#ifndef CLV_TESTS_SUPPORT_KERNEL_RUNNER_H
#define CLV_TESTS_SUPPORT_KERNEL_RUNNER_H

#include "host/ops/op.h"

typedef struct clv_test_device clv_test_device;

/* Every device of every platform. PoCL is asked for its `basic` and its `pthread` device unless
 * POCL_DEVICES is set, so this comes before any other use of OpenCL. `filter`: keeps devices whose
 * name contains it; NULL: all. No device at all is NO_DEVICE. */
clv_status *clv_test_devices_open(
    const char *filter, clv_test_device ***out_devices, size_t *out_num_devices) CLV_CHECKED;
void clv_test_devices_close(clv_test_device **devices, size_t num_devices);

/* "basic (Portable Computing Language)"; borrowed. */
const char *clv_test_device_name(const clv_test_device *device);
/* What the executor would tell variants about this device. */
clv_traits clv_test_device_traits(const clv_test_device *device);

typedef struct clv_test_run {
    const clv_call *call; /* every input with data; outputs' data unused */
    const clv_variant *variant;
    clv_traits traits;
    uint32_t setting;          /* of the variant's tunables */
    uint32_t constants;        /* bit i: input i's value is shown to emit() */
    uint64_t seed;             /* of offsets, ranges and their order */
    clv_mutable_view *outputs; /* [call->num_outputs], filled; data of clv_view_bytes each */
    size_t num_launches;       /* filled */
} clv_test_run;

/* Whether the variant takes the call where only `constants` are known. */
bool clv_test_variant_fits(
    const clv_call *call, uint32_t constants, const clv_variant *variant, const clv_traits *traits);

/* MALFORMED where a kernel reports a forbidden input value; INTERNAL where a kernel breaks the ABI
 * (writes outside its outputs, changes an input), names kernel and operand; DEVICE_FAILED with
 * the OpenCL error. */
clv_status *clv_test_kernels_run(clv_test_device *device, clv_test_run *run) CLV_CHECKED;

#endif
