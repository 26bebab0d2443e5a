/* Any bytes as a task graph: an error, or a good graph, that is the same once written and read
 * back, and that a small machine gets a good plan for or is refused. */
#include "host/base/memory.h"
#include "partition/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_plan(const clv_workload *workload) {
    clv_machine *machine = NULL;
    clv_costs *costs = NULL;
    clv_plan *plan = NULL;
    clv_plan_request request = {.policy = "auto", .allow_idle = true, .budget = 1000};
    clv_status *status =
        clv_machine_parse_text("core*2 peak=1G; gpu mem=1M; link gpu host bw=1M", &machine);
    if (status != NULL) {
        abort(); /* not the input's fault */
    }
    status = clv_costs_create(workload, machine, &costs);
    status = status != NULL ? status : clv_plan_create(costs, &request, &plan);
    if (clv_status_code(status) == CLV_INTERNAL || clv_status_code(status) == CLV_MALFORMED) {
        abort(); /* a policy's plan that is none */
    }
    clv_status_destroy(status);
    clv_plan_destroy(plan);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
}

static char *write(const clv_workload *workload) {
    char *text = NULL;
    clv_status *status = clv_workload_format_json(workload, &text);
    if (status != NULL && clv_status_code(status) != CLV_UNSUPPORTED) {
        abort();
    }
    clv_status_destroy(status); /* UNSUPPORTED: names that are no UTF-8 */
    return text;
}

static void check_written(const clv_workload *workload) {
    clv_workload *back = NULL;
    char *once = write(workload);
    if (once != NULL) {
        clv_status *status = clv_workload_parse_json("back", once, strlen(once), &back);
        if (status != NULL) {
            abort(); /* what was written must be read */
        }
        char *twice = write(back);
        if (twice == NULL || strcmp(once, twice) != 0) {
            abort(); /* as the same */
        }
        clv_free(twice);
    }
    clv_free(once);
    clv_workload_destroy(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    clv_workload *workload = NULL;
    clv_status *status = clv_workload_parse_json("fuzz", (const char *)data, bytes, &workload);
    if (status == NULL) {
        status = clv_workload_verify(workload);
        if (status != NULL) {
            abort(); /* what was accepted must be good */
        }
        check_written(workload);
        if (workload->num_tasks <= 64) {
            check_plan(workload);
        }
    }
    clv_status_destroy(status);
    clv_workload_destroy(workload);
    return 0;
}
