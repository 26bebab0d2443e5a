#include "host/api/units.h"

#include "host/base/env.h"
#include "host/base/memory.h"

#include "host/base/threads.h"
#include <string.h>

clv_status *clv_units_ocl(clv_ocl **out_ocl) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static clv_ocl *found; /* guarded by lock */
    clv_status *status = NULL;
    pthread_mutex_lock(&lock);
    if (found == NULL) {
        status = clv_ocl_create(&found);
    }
    *out_ocl = found;
    pthread_mutex_unlock(&lock);
    return status;
}

clv_status *clv_unit_table_init(const clv_ocl *ocl, clv_unit_table *out_table) {
    *out_table = (clv_unit_table){.num_infos = clv_ocl_num_devices(ocl)};
    out_table->infos = clv_alloc_zeroed(out_table->num_infos + 1, sizeof(clv_device_info *));
    if (out_table->infos == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for devices");
    }
    for (size_t i = 0; i < out_table->num_infos; i++) {
        out_table->infos[i] = clv_ocl_device_info(ocl, i);
    }
    clv_status *status = clv_units_list(
        out_table->infos, out_table->num_infos, &out_table->entries, &out_table->num_entries);
    if (status != NULL) {
        clv_unit_table_deinit(out_table);
    }
    return status;
}

void clv_unit_table_deinit(clv_unit_table *table) {
    clv_free(table->infos);
    clv_free(table->entries);
    *table = (clv_unit_table){0};
}

const char *clv_default_devices(const clv_unit_table *table) {
    const char *wanted = clv_env_get(CLV_ENV_DEVICES);
    if (strcmp(wanted, "cpu") != 0 || table->num_entries == 0 || table->entries[0].usable) {
        return wanted;
    }
    for (size_t i = 0; i < table->num_entries; i++) {
        if (table->entries[i].usable) {
            return table->entries[i].name.text;
        }
    }
    return wanted;
}

clv_status *clv_unit_names(const char *list, clv_unit_name **out_names, size_t *out_num) {
    clv_ocl *ocl = NULL;
    clv_unit_table table = {0};
    clv_status *status = NULL;
    *out_names = NULL;
    *out_num = 0;
    CLV_TRY_DONE(clv_units_ocl(&ocl));
    CLV_TRY_DONE(clv_unit_table_init(ocl, &table));
    CLV_TRY_DONE(clv_unit_list_parse(
        list != NULL ? list : clv_default_devices(&table), table.entries, table.num_entries,
        out_names, out_num));
done:
    clv_unit_table_deinit(&table);
    return status;
}

static clv_status *open_unit(
    clv_ocl *ocl, const clv_unit_table *table, bool profiling, const clv_unit_name *name,
    clv_open_units *units) {
    clv_exec_unit *unit = &units->units[units->num_units];
    *unit = (clv_exec_unit){.name = *name, .devices = units->devices + units->num_devices};
    profiling = profiling || name->limits.speed != 1; /* how long to pause is read off kernels */
    for (size_t i = 0; i < table->num_infos; i++) {
        if (clv_unit_has_device(name, table->infos[i])) {
            CLV_TRY(clv_ocl_open(ocl, i, profiling, &units->devices[units->num_devices]));
            units->num_devices++;
            unit->num_devices++;
        }
    }
    units->num_units++;
    return NULL;
}

clv_status *clv_open_units_init(const char *list, bool profiling, clv_open_units *out_units) {
    clv_ocl *ocl = NULL;
    clv_unit_table table = {0};
    clv_status *status = NULL;
    size_t count = 0;
    *out_units = (clv_open_units){0};
    CLV_TRY_DONE(clv_units_ocl(&ocl));
    CLV_TRY_DONE(clv_unit_table_init(ocl, &table));
    CLV_TRY_DONE(clv_unit_list_parse(
        list != NULL ? list : clv_default_devices(&table), table.entries, table.num_entries,
        &out_units->names, &count));
    out_units->units = clv_alloc_zeroed(count + 1, sizeof *out_units->units);
    out_units->devices = clv_alloc_zeroed(table.num_infos + 1, sizeof *out_units->devices);
    if (out_units->units == NULL || out_units->devices == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for devices");
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        CLV_TRY_DONE(open_unit(ocl, &table, profiling, &out_units->names[i], out_units));
    }
done:
    clv_unit_table_deinit(&table);
    if (status != NULL) {
        clv_open_units_deinit(out_units);
    }
    return status;
}

void clv_open_units_set_exact(clv_open_units *units, bool is_exact) {
    for (size_t i = 0; i < units->num_units; i++) {
        units->units[i].is_exact = is_exact;
    }
}

void clv_open_units_deinit(clv_open_units *units) {
    for (size_t i = 0; i < units->num_devices; i++) {
        units->devices[i]->vtable->destroy(units->devices[i]);
    }
    clv_free(units->devices);
    clv_free(units->units);
    clv_free(units->names);
    *units = (clv_open_units){0};
}
