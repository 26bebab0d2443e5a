/* Everything on one unit: the first of those on which it is fastest. */
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>
#include <string.h>

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

/* The units to try: without pins one of each sort, since the others do as well. Tasks that pins
 * place may be nearer to one of those that are alike, so then all are tried, while the budget has
 * steps for so many. */
static clv_status *list_units(const clv_problem *problem, uint32_t *units, uint32_t *out_count) {
    const bool has_pins = clv_problem_find_pinned(problem) != CLV_NO_TASK;
    if (has_pins && problem->num_units <= problem->budget / (problem->ev->size + 1)) {
        memcpy(units, problem->units, problem->num_units * sizeof *units);
        *out_count = problem->num_units;
        return NULL;
    }
    return clv_distinct_units(problem, units, out_count);
}

/* The units' sums of times, which no period and no latency goes below. */
static void sum_times(
    const clv_problem *problem, const uint32_t *units, uint32_t num_units, double *out_us) {
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        for (uint32_t k = 0; k < num_units && problem->pins[i] == CLV_NO_INDEX; k++) {
            out_us[k] += clv_costs_time_us(problem->costs, i, units[k]);
        }
    }
}

typedef struct trial {
    const clv_problem *problem;
    uint32_t *assignment; /* [num_tasks] */
    clv_draft best;       /* but for its groups */
    uint32_t unit;        /* it is on; CLV_NO_INDEX: there is none yet */
    clv_status *refusal;
} trial;

/* A draft of each of very many units is more than there is memory for: it goes again. */
static clv_draft try_briefly(trial *t, uint32_t unit, clv_status **out_refusal) {
    clv_draft draft = {0};
    clv_problem part = *t->problem;
    clv_arena arena;
    clv_arena_init(&arena, 0);
    part.arena = &arena;
    *out_refusal = try_unit(&part, unit, t->assignment, &draft);
    clv_arena_deinit(&arena);
    draft.groups = NULL;
    return draft;
}

/* In the order of units, but what its times alone make worse than one that is known is left out. */
static void try_units(trial *t, const uint32_t *units, uint32_t num_units, const double *least_us) {
    const double rounding = 1e-9;
    const bool by_latency = t->problem->objective == CLV_LATENCY;
    double known_us = (double)INFINITY;
    uint32_t first = 0;
    for (uint32_t k = 1; k < num_units; k++) {
        first = least_us[k] < least_us[first] ? k : first;
    }
    for (uint32_t i = 0; i <= num_units; i++) {
        const uint32_t k = i == 0 ? first : i - 1;
        if (least_us[k] * (1 - rounding) > known_us) {
            continue;
        }
        clv_status *failure;
        clv_draft draft = try_briefly(t, units[k], &failure);
        if (failure == NULL) {
            known_us = fmin(known_us, by_latency ? draft.latency_us : draft.period_us);
        }
        if (i == 0) { /* comes again */
            clv_status_destroy(failure);
            continue;
        }
        if (failure == NULL &&
            (t->unit == CLV_NO_INDEX || clv_draft_is_better(t->problem, &draft, &t->best))) {
            t->best = draft;
            t->unit = units[k];
        }
        t->refusal = clv_refusal_join(t->refusal, failure);
    }
}

clv_status *clv_policy_make_single(const clv_problem *problem, clv_draft *out_draft) {
    trial t = {.problem = problem, .unit = CLV_NO_INDEX};
    uint32_t num_units = 0, *units = clv_alloc_zeroed(problem->num_units, sizeof *units);
    double *least_us = clv_alloc_zeroed(problem->num_units, sizeof *least_us);
    clv_status *status = NULL;
    t.assignment = clv_alloc_zeroed(problem->costs->workload->num_tasks, sizeof *t.assignment);
    if (units == NULL || least_us == NULL || t.assignment == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
        goto done;
    }
    CLV_TRY_DONE(list_units(problem, units, &num_units));
    if (num_units == 1) {
        t.unit = units[0];
    } else {
        sum_times(problem, units, num_units, least_us);
        try_units(&t, units, num_units, least_us);
    }
    if (t.unit != CLV_NO_INDEX) {
        CLV_TRY_DONE(try_unit(problem, t.unit, t.assignment, out_draft));
        out_draft->method = "every unit was tried";
    } else {
        status = t.refusal;
        t.refusal = NULL;
    }
done:
    clv_free(units);
    clv_free(least_us);
    clv_free(t.assignment);
    clv_status_destroy(t.refusal);
    return status;
}
