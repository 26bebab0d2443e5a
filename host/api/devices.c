/* What `cleave devices` reports: the units that the OpenCL devices of this machine make. */
#include "host/api/internal.h"
#include "host/api/units.h"
#include "host/base/memory.h"
#include "host/base/threads.h"

#include <stdio.h>
#include <string.h>

enum { SAMPLE_BYTES = 64 << 20 };

/* What one core reads from memory, in GB/s: the best of three sweeps over a buffer larger than
 * most caches. 0: unknown. */
static double measure_core_bandwidth(void) {
    uint64_t *data = clv_alloc(SAMPLE_BYTES);
    if (data == NULL) {
        return 0;
    }
    memset(data, 1, SAMPLE_BYTES); /* pages that were never written are one page of zeros */
    double best_us = 0;
    volatile uint64_t sink = 0;
    for (int sweep = 0; sweep < 3; sweep++) {
        uint64_t sums[8] = {0};
        double start = clv_time_us();
        for (size_t i = 0; i < SAMPLE_BYTES / sizeof *data; i += 8) {
            for (size_t k = 0; k < 8; k++) {
                sums[k] += data[i + k] + (uint64_t)sweep;
            }
        }
        double us = clv_time_us() - start;
        for (size_t k = 0; k < 8; k++) {
            sink = sink + sums[k];
        }
        best_us = sweep == 0 || us < best_us ? us : best_us;
        memset(data, sweep, 64);
    }
    clv_free(data);
    return best_us > 0 ? SAMPLE_BYTES / best_us * 1e-3 : 0;
}

/* Two fused multiply-adds a cycle on every lane of the widest vectors: an upper bound for today's
 * CPUs. */
static double estimate_gflops(const clv_device_info *info, double num_cores) {
    return info->clock_ghz * (double)info->simd_bytes / 4 * 2 * 2 * num_cores;
}

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

/* The device that stands for a unit in the report: its own, or the first core of `cpu`. NULL:
 * none. */
static const clv_device_info *find_info(
    const clv_unit_table *table, const clv_unit_name *name, uint32_t *out_count) {
    const clv_device_info *found = NULL;
    *out_count = 0;
    for (size_t i = 0; i < table->num_infos; i++) {
        if (clv_unit_has_device(name, table->infos[i])) {
            found = found != NULL ? found : table->infos[i];
            ++*out_count;
        }
    }
    return found;
}

static void add_entry(
    cJSON *units, const clv_unit_table *table, const clv_unit_entry *entry, double core_gbs) {
    static const clv_device_info none;
    uint32_t count;
    const clv_device_info *info = find_info(table, &entry->name, &count);
    clv_device_info shown = info != NULL ? *info : none;
    shown.usable = entry->usable;
    snprintf(shown.reason, sizeof shown.reason, "%s", entry->usable ? "" : entry->reason);
    bool is_gang = entry->name.kind == CLV_UNIT_CPU, is_core = entry->name.kind == CLV_UNIT_CORE;
    if (is_gang) {
        shown.compute_units = count;
    }
    cJSON *unit = add_unit(units, entry->name.text, clv_unit_kind_name(entry->name.kind), &shown);
    double num_cores = shown.compute_units;
    add_speed(
        unit, shown.is_cpu ? estimate_gflops(&shown, num_cores) : 0,
        is_gang || is_core ? core_gbs * num_cores : 0);
}

static clv_status *add_units(cJSON *units, const clv_ocl *ocl) {
    clv_unit_table table;
    CLV_TRY(clv_unit_table_init(ocl, &table));
    bool has_core = table.num_entries > 0 && table.entries[0].usable;
    double core_gbs = has_core ? measure_core_bandwidth() : 0;
    for (size_t i = 0; i < table.num_entries; i++) {
        add_entry(units, &table, &table.entries[i], core_gbs);
    }
    clv_unit_table_deinit(&table);
    return NULL;
}

clv_status *clv_report_take(cJSON *json, char **out_text) {
    *out_text = NULL;
    char *text = json != NULL ? cJSON_Print(json) : NULL;
    cJSON_Delete(json);
    if (text == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a report");
    }
    *out_text = clv_strdup(text);
    cJSON_free(text);
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
