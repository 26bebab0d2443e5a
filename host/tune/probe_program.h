/* The kernels of kernels_cl/probe, with which a unit's ceilings and links are measured. */
#ifndef CLV_TUNE_PROBE_PROGRAM_H
#define CLV_TUNE_PROBE_PROGRAM_H

#include "host/exec/unit.h"

enum { CLV_PROBE_GPU_ITEMS = 1 << 16 }; /* of a device with many narrow lanes */

/* For the unit's width of vectors, on one of its devices; the caller destroys it. */
clv_status *clv_probe_program_create(
    const clv_exec_unit *unit, clv_device *device, clv_program **out_program) CLV_CHECKED;

#endif
