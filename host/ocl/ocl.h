/* OpenCL behind host/device/device.h: finds the devices of this machine and opens them.
 *
 * Needs OpenCL 1.2 of the loader and of a device, nothing newer. PoCL is asked, before the first
 * OpenCL call of the process and unless POCL_DEVICES is set, for one `basic` device a core
 * (CLEAVE_CORES) and CLEAVE_POCL_THREADED `pthread` devices; where the process used OpenCL before,
 * PoCL has what it has.
 *
 * Compiled kernels are kept in the user's cache folder (host/ocl/cache.h).
 */
#ifndef CLV_OCL_OCL_H
#define CLV_OCL_OCL_H

#include "host/device/device.h"

typedef struct clv_ocl clv_ocl; /* what was found */

/* Not to be called while other threads change the environment. NO_DEVICE where there is no OpenCL
 * platform: says what to install. USAGE for an environment variable that makes no sense. */
clv_status *clv_ocl_create(clv_ocl **out_ocl) CLV_CHECKED;
/* After every device that was opened from it. */
void clv_ocl_destroy(clv_ocl *ocl);

/* Every device of every platform, also those that cannot be used. */
size_t clv_ocl_num_devices(const clv_ocl *ocl);
const clv_device_info *clv_ocl_device_info(const clv_ocl *ocl, size_t index);

/* Any thread. A device may be opened any number of times; its queues, kernels and buffers are then
 * separate, its context and programs are shared. `profiling`: its events have times. NO_DEVICE with
 * the reason where it cannot be used. */
clv_status *clv_ocl_open(clv_ocl *ocl, size_t index, bool profiling, clv_device **out_device)
    CLV_CHECKED;

/* The last OpenCL call of a device, or command on it, that failed in this process. Any thread. */
typedef struct clv_ocl_failure {
    uint64_t count; /* of them so far */
    char unit[32];  /* the device: "core:1", "cl:0.2" */
} clv_ocl_failure;
clv_ocl_failure clv_ocl_last_failure(void);

#endif
