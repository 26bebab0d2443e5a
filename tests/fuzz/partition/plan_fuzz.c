/* Any bytes as a plan of a small task graph: an error, or a plan that is written and read back. */
#include "host/base/memory.h"
#include "partition/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const tasks =
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":10,\"output_dims\":[8],\"output_bytes\":8,\"splits\":"
    "[{\"name\":\"rows\",\"axis\":0,\"extent\":8}]},{\"name\":\"b\",\"time_us\":9}],\"edges\":[{"
    "\"from\":\"a\",\"to\":\"b\",\"bytes\":8}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    clv_workload *workload = NULL;
    clv_machine *machine = NULL;
    clv_costs *costs = NULL;
    clv_plan *plan = NULL, *again = NULL;
    char *text = NULL;
    clv_status *status = clv_workload_parse_json("fuzz", tasks, strlen(tasks), &workload);
    status = status != NULL ? status : clv_machine_parse_text("core*2 mem=1M", &machine);
    status = status != NULL ? status : clv_costs_create(workload, machine, &costs);
    if (status != NULL) {
        abort(); /* not the input's fault */
    }
    status = clv_plan_parse_json(costs, "fuzz", (const char *)data, bytes, 0, &plan);
    if (status == NULL) {
        status = clv_plan_format_json(costs, plan, &text);
        status = status != NULL ? status
                                : clv_plan_parse_json(costs, "fuzz", text, strlen(text), 0, &again);
        if (status != NULL) {
            abort(); /* what was accepted once must read back */
        }
    }
    clv_status_destroy(status);
    clv_free(text);
    clv_plan_destroy(plan);
    clv_plan_destroy(again);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
    return 0;
}
