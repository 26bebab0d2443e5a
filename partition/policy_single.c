/* Everything on one unit: the first of those on which it is fastest. */
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>

/* The first task that a unit cannot run, or CLV_NO_TASK. Pinned tasks are elsewhere. */
static uint32_t find_obstacle(const clv_problem *problem, uint32_t unit) {
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        if (problem->pins[i] == CLV_NO_INDEX && !clv_problem_allows(problem, i, unit)) {
            return i;
        }
    }
    return CLV_NO_TASK;
}

static clv_status *try_unit(
    const clv_problem *problem, uint32_t unit, uint32_t *assignment, clv_draft *out_draft) {
    const clv_costs *costs = problem->costs;
    uint32_t obstacle = find_obstacle(problem, unit);
    if (obstacle != CLV_NO_TASK) {
        return CLV_ERROR(
            UNSUPPORTED, "no single unit can run everything: task '%s' cannot run on '%s'",
            costs->workload->tasks[obstacle].name, costs->machine->units[unit].name);
    }
    bool is_whole = true;
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        assignment[i] = problem->pins[i] != CLV_NO_INDEX ? problem->pins[i] : unit;
        is_whole = is_whole && assignment[i] == unit;
    }
    const char *reason = is_whole ? "everything is on the best single unit"
                                  : "everything that no pin names is on the best single unit";
    CLV_TRY(clv_draft_from_units(problem, assignment, NULL, reason, out_draft));
    /* requests that were asked for move data while others compute */
    out_draft->groups[0].is_serial = problem->request->depth <= 1;
    CLV_TRY(clv_draft_score(problem, out_draft));
    return clv_draft_check_fit(problem, out_draft);
}

clv_status *clv_policy_make_single(const clv_problem *problem, clv_draft *out_draft) {
    uint32_t *units = clv_alloc_zeroed(problem->num_units, sizeof *units);
    uint32_t *assignment =
        clv_alloc_zeroed(problem->costs->workload->num_tasks, sizeof *assignment);
    uint32_t num_units = 0;
    bool is_found = false;
    clv_status *status = NULL, *refusal = NULL;
    if (units == NULL || assignment == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
        goto done;
    }
    CLV_TRY_DONE(clv_distinct_units(problem, units, &num_units));
    for (uint32_t i = 0; i < num_units; i++) {
        clv_draft draft;
        clv_status *failure = try_unit(problem, units[i], assignment, &draft);
        if (failure == NULL && (!is_found || clv_draft_is_better(problem, &draft, out_draft))) {
            *out_draft = draft;
            is_found = true;
        }
        refusal = clv_refusal_join(refusal, failure);
    }
    out_draft->method = "every unit was tried";
done:
    clv_free(units);
    clv_free(assignment);
    if (status == NULL && !is_found) {
        return refusal;
    }
    clv_status_destroy(refusal);
    return status;
}
