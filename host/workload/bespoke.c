#include "host/workload/bespoke.h"

#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/machine/builder.h"
#include "partition/plan.h"

/* Types or names of tasks in order of appearance, each once. */
static clv_status *list_kinds(
    const clv_workload *workload, bool by_type, const char **kinds, size_t *out_num) {
    clv_name_map seen;
    clv_status *status = NULL;
    *out_num = 0;
    clv_name_map_init(&seen);
    for (uint32_t i = 0; status == NULL && i < workload->num_tasks; i++) {
        const char *kind = by_type ? workload->tasks[i].type : workload->tasks[i].name;
        if (clv_name_map_find(&seen, kind) == NULL) {
            kinds[(*out_num)++] = kind;
            status = clv_name_map_set(&seen, kind, 1)
                         ? NULL
                         : CLV_ERROR(NO_MEMORY, "out of host memory for a machine");
        }
    }
    clv_name_map_deinit(&seen);
    return status;
}

clv_status *clv_machine_for_workload(
    const clv_machine *machine, const clv_workload *workload, const char *policy,
    clv_machine **out_machine) {
    uint32_t copies = 1;
    size_t num_kinds = 0;
    *out_machine = NULL;
    if (machine->pattern_count == 0) {
        return clv_machine_instantiate(machine, NULL, 0, out_machine);
    }
    CLV_TRY(clv_policy_copies(policy, &copies));
    clv_machine pattern = *machine; /* the arena stays with the original */
    uint64_t count = (uint64_t)machine->pattern_count * copies;
    if (count > CLV_MAX_UNITS) {
        return CLV_ERROR(
            USAGE, "policy '%s' asks for %llu units of each kind, at most %d are possible", policy,
            (unsigned long long)count, (int)CLV_MAX_UNITS);
    }
    pattern.pattern_count = (uint32_t)count;
    const char **kinds = clv_alloc_zeroed((size_t)workload->num_tasks + 1, sizeof *kinds);
    if (kinds == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a machine");
    }
    bool by_type = machine->bespoke == CLV_BESPOKE_TYPE;
    clv_status *status = list_kinds(workload, by_type, kinds, &num_kinds);
    if (status == NULL) {
        status = clv_machine_instantiate(&pattern, kinds, num_kinds, out_machine);
    }
    clv_free(kinds);
    return status;
}
