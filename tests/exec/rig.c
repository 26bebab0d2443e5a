#include "tests/exec/rig.h"

#include "host/base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

clv_status *clv_rig_init(clv_rig *rig, int cores, int threaded) {
    char number[16];
    memset(rig, 0, sizeof *rig);
    snprintf(rig->cache_folder, sizeof rig->cache_folder, "/tmp/cleave-exec-test-XXXXXX");
    if (mkdtemp(rig->cache_folder) == NULL) {
        return CLV_ERROR(IO, "no folder for the test");
    }
    setenv("CLEAVE_CACHE_DIR", rig->cache_folder, 1);
    snprintf(number, sizeof number, "%d", cores);
    setenv("CLEAVE_CORES", number, 1);
    snprintf(number, sizeof number, "%d", threaded);
    setenv("CLEAVE_POCL_THREADED", number, 1);
    CLV_TRY(clv_ocl_create(&rig->ocl));
    size_t count = clv_ocl_num_devices(rig->ocl);
    const clv_device_info **infos = clv_alloc_zeroed(count, sizeof *infos);
    if (infos == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory");
    }
    for (size_t i = 0; i < count; i++) {
        infos[i] = clv_ocl_device_info(rig->ocl, i);
    }
    clv_status *status = clv_units_list(infos, count, &rig->entries, &rig->num_entries);
    clv_free(infos);
    return status;
}

void clv_rig_deinit(clv_rig *rig) {
    char command[128];
    clv_ocl_destroy(rig->ocl);
    clv_free(rig->entries);
    snprintf(command, sizeof command, "rm -rf '%s'", rig->cache_folder);
    if (rig->cache_folder[0] != '\0' && system(command) != 0) {
        fprintf(stderr, "%s stays\n", rig->cache_folder);
    }
    memset(rig, 0, sizeof *rig);
}

clv_status *clv_rig_open(clv_rig *rig, const char *name, bool profiling, clv_exec_unit *out_unit) {
    clv_unit_name *names = NULL;
    size_t num_names = 0, count = clv_ocl_num_devices(rig->ocl);
    memset(out_unit, 0, sizeof *out_unit);
    CLV_TRY(clv_unit_list_parse(name, rig->entries, rig->num_entries, &names, &num_names));
    clv_device **devices = clv_alloc_zeroed(count, sizeof(clv_device *));
    clv_status *status = devices != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory");
    out_unit->name = names[0];
    out_unit->devices = devices;
    for (size_t i = 0; i < count && status == NULL; i++) {
        if (clv_unit_has_device(&names[0], clv_ocl_device_info(rig->ocl, i))) {
            status = clv_ocl_open(rig->ocl, i, profiling, &devices[out_unit->num_devices]);
            out_unit->num_devices += status == NULL ? 1 : 0;
        }
    }
    clv_free(names);
    if (status != NULL) {
        clv_rig_close(out_unit);
    }
    return status;
}

bool clv_rig_resolve(const clv_rig *rig, const char *name, char *out_text, size_t capacity) {
    const bool is_other = strncmp(name, "other", 5) == 0;
    const char *brace = strchr(name, '{');
    int skip = strncmp(name, "threaded#2", 10) == 0 ? 1 : 0;
    if (!is_other && strncmp(name, "threaded", 8) != 0) {
        snprintf(out_text, capacity, "%s", name);
        return true;
    }
    for (size_t i = 0; i < rig->num_entries; i++) {
        const clv_unit_entry *e = &rig->entries[i];
        const bool fits =
            e->name.kind == CLV_UNIT_CL && e->usable && clv_rig_is_pocl(rig, e) != is_other;
        if (fits && skip-- == 0) {
            snprintf(out_text, capacity, "%s%s", e->name.text, brace != NULL ? brace : "");
            return true;
        }
    }
    return false;
}

void clv_rig_close(clv_exec_unit *unit) {
    for (size_t i = 0; i < unit->num_devices; i++) {
        unit->devices[i]->vtable->destroy(unit->devices[i]);
    }
    clv_free((void *)unit->devices);
    memset(unit, 0, sizeof *unit);
}

bool clv_rig_is_pocl(const clv_rig *rig, const clv_unit_entry *entry) {
    for (size_t i = 0; i < clv_ocl_num_devices(rig->ocl); i++) {
        const clv_device_info *info = clv_ocl_device_info(rig->ocl, i);
        if (clv_unit_has_device(&entry->name, info)) {
            return strcmp(info->platform, "Portable Computing Language") == 0;
        }
    }
    return false;
}

const char *clv_rig_first(const clv_rig *rig, clv_unit_kind kind) {
    for (size_t i = 0; i < rig->num_entries; i++) {
        if (rig->entries[i].name.kind == kind && rig->entries[i].usable) {
            return rig->entries[i].name.text;
        }
    }
    return "";
}
