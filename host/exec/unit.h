/* The units of this machine, from its devices: `cpu`, every core, every GPU, every other OpenCL
 * device; and a unit with its devices opened, ready to run something.
 */
#ifndef CLV_EXEC_UNIT_H
#define CLV_EXEC_UNIT_H

#include "host/device/device.h"
#include "host/machine/unit_name.h"
#include "kernels_cl/kernel.h"

/* A unit whose devices are open. The devices outlive whatever uses the unit. */
typedef struct clv_exec_unit {
    clv_unit_name name;
    clv_device *const *devices; /* cpu: one for each core, in order; else one. Of one context */
    size_t num_devices;
    bool is_exact; /* runs variants alone that are as accurate as ref */
} clv_exec_unit;

/* Every unit that could be named, in the order in which they are listed: cpu, cores, GPUs, others.
 * Where PoCL is missing, `cpu` is there and cannot be used. Free with clv_free; `infos` must live
 * as long. */
clv_status *clv_units_list(
    const clv_device_info *const *infos, size_t num_infos, clv_unit_entry **out_entries,
    size_t *out_num) CLV_CHECKED;

/* Whether device `info` is (one of those) of unit `name`. */
bool clv_unit_has_device(const clv_unit_name *name, const clv_device_info *info);

/* What variants may know of a unit. */
clv_traits clv_exec_unit_traits(const clv_exec_unit *unit);
/* The same of a unit whose devices are not open: `num_devices` that are like `info`. */
clv_traits clv_unit_traits(const clv_device_info *info, size_t num_devices);

#endif
