#include "host/exec/unit.h"

#include "host/base/memory.h"
#include <unistd.h>

bool clv_unit_has_device(const clv_unit_name *name, const clv_device_info *info) {
    switch (name->kind) {
    case CLV_UNIT_CPU:
        return info->kind == CLV_DEVICE_CORE;
    case CLV_UNIT_CORE:
        return info->kind == CLV_DEVICE_CORE && info->index == name->index;
    case CLV_UNIT_GPU:
        return info->kind == CLV_DEVICE_GPU && info->index == name->index;
    case CLV_UNIT_CL:
        return info->kind == CLV_DEVICE_CL && info->platform_index == name->platform &&
               info->device_index == name->index;
    }
    return false;
}

static void add_device(clv_unit_entry *entry, const clv_device_info *info) {
    static const clv_unit_kind kinds[] = {
        [CLV_DEVICE_CORE] = CLV_UNIT_CORE,
        [CLV_DEVICE_GPU] = CLV_UNIT_GPU,
        [CLV_DEVICE_CL] = CLV_UNIT_CL,
    };
    bool cl = info->kind == CLV_DEVICE_CL;
    clv_unit_name_init(
        &entry->name, kinds[info->kind], info->platform_index,
        cl ? info->device_index : info->index);
    entry->usable = info->usable;
    entry->reason = info->usable ? NULL : info->reason;
}

clv_status *clv_units_list(
    const clv_device_info *const *infos, size_t num_infos, clv_unit_entry **out_entries,
    size_t *out_num) {
    static const clv_device_kind order[] = {CLV_DEVICE_CORE, CLV_DEVICE_GPU, CLV_DEVICE_CL};
    *out_entries = NULL;
    *out_num = 0;
    clv_unit_entry *entries = clv_alloc_zeroed(num_infos + 1, sizeof *entries);
    if (entries == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the list of units");
    }
    size_t count = 1;
    clv_unit_name_init(&entries[0].name, CLV_UNIT_CPU, 0, 0);
    entries[0].reason = "it needs PoCL's `basic` devices (Debian, Ubuntu: apt-get install "
                        "pocl-opencl-icd), and no POCL_DEVICES that leaves them out";
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
        for (size_t i = 0; i < num_infos; i++) {
            if (infos[i]->kind == order[k]) {
                add_device(&entries[count++], infos[i]);
                /* a gang is what its cores are */
                if (order[k] == CLV_DEVICE_CORE && !entries[0].usable) {
                    entries[0].usable = infos[i]->usable;
                    entries[0].reason = infos[i]->usable ? NULL : infos[i]->reason;
                }
            }
        }
    }
    *out_entries = entries;
    *out_num = count;
    return NULL;
}

clv_traits clv_unit_traits(const clv_device_info *info, size_t num_devices) {
    bool lanes = info->kind == CLV_DEVICE_CORE;
    long cache_bytes = info->is_cpu ? sysconf(_SC_LEVEL2_CACHE_SIZE) : 0;
    return (clv_traits){
        .is_cpu = info->is_cpu,
        .has_fp64 = info->has_fp64,
        .has_fp16 = info->has_fp16,
        .simd_bytes = info->simd_bytes,
        .num_lanes = lanes ? (uint32_t)num_devices : info->compute_units,
        .cache_bytes = cache_bytes > 0 ? (uint64_t)cache_bytes : 0,
        .local_bytes = info->local_bytes,
        .max_local_size = info->max_local_size,
    };
}

clv_traits clv_exec_unit_traits(const clv_exec_unit *unit) {
    clv_traits traits = clv_unit_traits(&unit->devices[0]->info, unit->num_devices);
    traits.is_exact = unit->is_exact;
    return traits;
}
