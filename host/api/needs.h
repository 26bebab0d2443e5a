/* What units of this machine hold for a plan: asked of the same lowering that a session makes. */
#ifndef CLV_API_NEEDS_H
#define CLV_API_NEEDS_H

#include "cleave/cleave.h"
#include "host/exec/choose.h"
#include "host/exec/unit.h"
#include "host/tune/cost_db.h"
#include "partition/costs.h"

/* Units as descriptions: their devices are not open. */
typedef struct clv_needs {
    const clv_graph *graph; /* borrowed */
    clv_exec_unit *units;   /* [num_units], as the machine has them */
    uint32_t num_units;
    clv_device *devices; /* of all units, for their info alone */
    clv_device **device_list;
    clv_cost_db *db; /* what variants are chosen by; NULL: not by measurements */
    clv_known_times times;
    bool is_dynamic, keep_all;
} clv_needs;

/* graph    after all passes, as the workload was made of it; must live as long
 * options  devices, exact, schedule, keep_tensors, and whether costs are measured
 * errors   as of clv_unit_list_parse; NO_MEMORY. clv_needs_deinit in any case */
clv_status *clv_needs_init(
    const clv_graph *graph, const cleave_options *options, clv_needs *out_needs) CLV_CHECKED;
void clv_needs_deinit(clv_needs *needs);

/* For costs->ask_memory, with a clv_needs for its context. */
clv_status *clv_needs_ask(
    const clv_costs *costs, const struct clv_group *groups, uint32_t num_groups,
    uint64_t *out_bytes) CLV_CHECKED;

#endif
