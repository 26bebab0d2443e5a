#include "host/api/needs.h"

#include "host/api/calibrate.h"
#include "host/api/units.h"
#include "host/base/memory.h"
#include "host/exec/replica.h"
#include "host/tune/variant_cost.h"
#include "partition/plan.h"
#include <string.h>

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for what units hold");
}

static clv_status *describe(
    const clv_unit_table *table, const clv_unit_name *names, size_t num_names, bool is_exact,
    clv_needs *needs) {
    const size_t most = num_names * table->num_infos + 1;
    size_t count = 0;
    needs->units = clv_alloc_zeroed(num_names + 1, sizeof *needs->units);
    needs->devices = clv_alloc_zeroed(most, sizeof *needs->devices);
    needs->device_list = clv_alloc_zeroed(most, sizeof(clv_device *));
    if (needs->units == NULL || needs->devices == NULL || needs->device_list == NULL) {
        return no_memory();
    }
    for (size_t u = 0; u < num_names; u++) {
        clv_exec_unit *unit = &needs->units[needs->num_units++];
        *unit = (clv_exec_unit){
            .name = names[u], .devices = needs->device_list + count, .is_exact = is_exact};
        for (size_t i = 0; i < table->num_infos; i++) {
            if (clv_unit_has_device(&names[u], table->infos[i])) {
                needs->devices[count] = (clv_device){.info = *table->infos[i]};
                needs->device_list[count] = &needs->devices[count];
                count++;
                unit->num_devices++;
            }
        }
    }
    return NULL;
}

static clv_status *describe_all(const cleave_options *options, clv_needs *needs) {
    clv_ocl *ocl = NULL;
    clv_unit_table table;
    clv_unit_name *names = NULL;
    size_t num_names = 0;
    CLV_TRY(clv_units_ocl(&ocl));
    CLV_TRY(clv_unit_table_init(ocl, &table));
    clv_status *status = clv_unit_names(options->devices, &names, &num_names);
    if (status == NULL) {
        status = describe(&table, names, num_names, options->exact, needs);
    }
    clv_free(names);
    clv_unit_table_deinit(&table);
    return status;
}

clv_status *clv_needs_init(
    const clv_graph *graph, const cleave_options *options, clv_needs *out_needs) {
    *out_needs = (clv_needs){
        .graph = graph,
        .is_dynamic = options->schedule != NULL && strcmp(options->schedule, "dynamic") == 0,
        .keep_all = options->keep_tensors,
    };
    CLV_TRY(describe_all(options, out_needs));
    if (clv_is_calibrating(options)) {
        CLV_TRY(clv_user_costs_open(&out_needs->db));
    }
    out_needs->times = clv_cost_db_known_times(out_needs->db);
    return NULL;
}

void clv_needs_deinit(clv_needs *needs) {
    clv_cost_db_close(needs->db);
    clv_free(needs->units);
    clv_free(needs->devices);
    clv_free(needs->device_list);
    *needs = (clv_needs){.graph = NULL};
}

clv_status *clv_needs_ask(
    const clv_costs *costs, const clv_group *groups, uint32_t num_groups, uint64_t *out_bytes) {
    const clv_needs *needs = costs->memory_context;
    const clv_replica_options options = {
        .graph = needs->graph,
        .units = needs->units,
        .num_units = needs->num_units,
        .keep_all = needs->keep_all,
        .is_dynamic = needs->is_dynamic,
        .times = &needs->times,
    };
    return clv_replicas_needs(&options, groups, num_groups, out_bytes);
}
