/* What `cleave devices` reports: the units that the OpenCL devices of this machine make. */
#include "host/api/internal.h"
#include "host/api/machine.h"
#include "host/base/memory.h"

#include <stdio.h>
#include <string.h>

static cJSON *add_unit(
    cJSON *units, const char *name, const char *kind, const clv_device_info *info) {
    cJSON *unit = cJSON_CreateObject();
    cJSON_AddStringToObject(unit, "name", name);
    cJSON_AddStringToObject(unit, "kind", kind);
    cJSON_AddStringToObject(unit, "device", info->name);
    cJSON_AddStringToObject(unit, "platform", info->platform);
    cJSON_AddStringToObject(unit, "driver", info->driver);
    cJSON_AddBoolToObject(unit, "usable", info->usable);
    if (!info->usable) {
        cJSON_AddStringToObject(unit, "reason", info->reason);
    }
    cJSON_AddNumberToObject(unit, "compute_units", info->compute_units);
    cJSON_AddNumberToObject(unit, "memory_bytes", (double)info->memory_bytes);
    cJSON_AddItemToArray(units, unit);
    return unit;
}

static void add_speed(cJSON *unit, double gflops, double gbs) {
    if (gflops > 0) {
        cJSON_AddNumberToObject(unit, "peak_gflops", gflops);
        cJSON_AddStringToObject(unit, "peak_origin", "estimated");
    }
    if (gbs > 0) {
        cJSON_AddNumberToObject(unit, "bandwidth_gbs", gbs);
        cJSON_AddStringToObject(unit, "bandwidth_origin", "measured");
    }
}

static void add_entry(cJSON *units, const clv_unit_table *table, const clv_unit_entry *entry) {
    static const clv_device_info none;
    uint32_t count;
    const clv_device_info *info = clv_unit_info(table, &entry->name, &count);
    clv_device_info shown = info != NULL ? *info : none;
    clv_unit_speed speed = clv_unit_speed_of(table, &entry->name);
    shown.usable = entry->usable;
    shown.compute_units = speed.num_cores;
    snprintf(shown.reason, sizeof shown.reason, "%s", entry->usable ? "" : entry->reason);
    cJSON *unit = add_unit(units, entry->name.text, clv_unit_kind_name(entry->name.kind), &shown);
    add_speed(unit, speed.peak_flops / 1e9, speed.bandwidth / 1e9);
}

static clv_status *add_units(cJSON *units, const clv_ocl *ocl) {
    clv_unit_table table;
    CLV_TRY(clv_unit_table_init(ocl, &table));
    for (size_t i = 0; i < table.num_entries; i++) {
        add_entry(units, &table, &table.entries[i]);
    }
    clv_unit_table_deinit(&table);
    return NULL;
}

clv_status *clv_report_take(cJSON *json, char **out_text) {
    *out_text = json != NULL ? clv_json_print_copy(json, false) : NULL;
    cJSON_Delete(json);
    return *out_text != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for a report");
}

bool clv_report_add_shape(
    cJSON *object, const char *key, const clv_shape *shape, const char *const *dim_names) {
    cJSON *array = cJSON_AddArrayToObject(object, key);
    for (int i = 0; array != NULL && i < shape->rank; i++) {
        const char *name = dim_names != NULL ? dim_names[i] : NULL;
        cJSON *item = shape->dims[i] >= 0 ? cJSON_CreateNumber((double)shape->dims[i])
                                          : cJSON_CreateString(name != NULL ? name : "?");
        cJSON_AddItemToArray(array, item);
    }
    return array != NULL;
}

cleave_status *cleave_devices_report(char **out_json) {
    clv_ocl *ocl = NULL;
    *out_json = NULL;
    clv_status *status = clv_units_ocl(&ocl);
    if (status != NULL) {
        return public_status(status);
    }
    cJSON *report = cJSON_CreateObject();
    status = add_units(cJSON_AddArrayToObject(report, "units"), ocl);
    if (status != NULL) {
        cJSON_Delete(report);
        return public_status(status);
    }
    return public_status(clv_report_take(report, out_json));
}
