/* Every policy and the products worth trying; the best for the objective. What comes first in the
 * list wins ties, so that nothing is split for nothing.
 *
 * What is measured is promised no better than it is known: half of the rates promised for two cores
 * were off by 2.3 % or more (docs/execution.md, "How well predictions hold"). So plans that promise
 * as much as the best within 2 % are as good: of those the ones that are better by the other
 * objective are kept, again within 2 %, and of these the one that holds least is taken. But none
 * that cuts operators where the best does not: what pieces get of one another goes by how far apart
 * processors are, and where that changes they have had 5 to 15 % less than was promised.
 *
 * What is given or estimated is exact, but a thousandth more requests a second are not worth a
 * longer latency: a copy behind a slow link that gets one request of a hundred thousand.
 */
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>
#include <string.h>

/* What the policy makes by itself, then with as many requests in flight as gain something; where
 * full buffers deadlock, with fewer. */
static clv_status *make_draft(
    const clv_problem *problem, const clv_policy_spec *spec, clv_draft *out_draft) {
    clv_problem own = *problem;
    own.may_choose_depth = false;
    clv_status *failure = clv_draft_make(&own, spec, out_draft);
    if (failure == NULL && problem->may_choose_depth && problem->objective != CLV_LATENCY) {
        return clv_draft_clock(problem, out_draft);
    }
    if (clv_status_code(failure) == CLV_UNSUPPORTED && problem->may_choose_depth) {
        clv_status_destroy(failure);
        failure = clv_draft_make(problem, spec, out_draft);
    }
    return failure;
}

enum { MOST_DRAFTS = 32 };
static const double measured_error = 0.02, least_gain = 0.001;

/* Those that can be had, in the order in which they were tried. */
typedef struct drafts {
    clv_draft all[MOST_DRAFTS];
    uint32_t count;
} drafts;

static clv_status *try_policy(
    const clv_problem *problem, const char *text, drafts *found, clv_status **refusal) {
    clv_policy_spec spec;
    clv_draft draft;
    CLV_TRY(clv_policy_parse(text, &spec));
    clv_status *failure = make_draft(problem, &spec, &draft);
    if (failure == NULL && draft.policy == NULL) {
        draft.policy = clv_policy_format(problem->arena, spec.levels, spec.num_levels);
        if (draft.policy == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
        }
    }
    if (failure == NULL && found->count == MOST_DRAFTS) {
        return CLV_ERROR(INTERNAL, "auto tries more than %d policies", (int)MOST_DRAFTS);
    }
    if (failure == NULL) {
        found->all[found->count++] = draft;
    }
    *refusal = clv_refusal_join(*refusal, failure);
    return NULL;
}

/* On few units, what can be asked for by its count too: sums may prefer another count than the
 * clock does. */
static clv_status *try_counts(const clv_problem *problem, drafts *found, clv_status **refusal) {
    enum { MOST_UNITS = 4 };
    static const char *const policies[] = {"tensor", "branch", "pipeline", "data"};
    static const char *const inner[] = {"", "", "", "", "/pipeline", "/tensor", "/branch"};
    for (uint32_t k = 2; problem->num_units <= MOST_UNITS && k < problem->num_units; k++) {
        for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
            char *text =
                clv_arena_printf(problem->arena, "%s:%u%s", policies[i < 3 ? i : 3], k, inner[i]);
            if (text == NULL) {
                return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
            }
            CLV_TRY(try_policy(problem, text, found, refusal));
        }
    }
    return NULL;
}

static clv_status *add_held(const clv_problem *problem, const clv_draft *draft, double *out_bytes) {
    CLV_TRY(clv_draft_hold(problem, draft));
    *out_bytes = 0;
    for (uint32_t i = 0; i < problem->ev->num_holders; i++) {
        *out_bytes += (double)problem->ev->held[problem->ev->holders[i]];
    }
    return NULL;
}

/* Leaves those whose value [count] is no more than `error` above the least. */
static void keep_least(drafts *found, const double *values, double error) {
    double least = (double)INFINITY;
    uint32_t count = 0;
    for (uint32_t i = 0; i < found->count; i++) {
        least = fmin(least, values[i]);
    }
    for (uint32_t i = 0; i < found->count; i++) {
        if (values[i] <= least * (1 + error)) {
            found->all[count++] = found->all[i];
        }
    }
    found->count = count;
}

static bool has_cuts(const clv_problem *problem, const clv_draft *draft) {
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
            if (draft->groups[g].placements[i].num_pieces > 1) {
                return true;
            }
        }
    }
    return false;
}

/* Of a request wherever it goes: to the slowest copy. */
static double longest_latency(const clv_draft *draft) {
    double longest_us = draft->latency_us;
    for (uint32_t g = 0; g < draft->num_groups && draft->num_groups > 1; g++) {
        longest_us = fmax(longest_us, draft->groups[g].latency_us);
    }
    return longest_us;
}

/* Those that are best by the objective within `error`, and of these by the other one. */
static void keep_best(const clv_problem *problem, drafts *found, double error) {
    double values[MOST_DRAFTS];
    const bool for_latency = problem->objective == CLV_LATENCY;
    for (int k = 0; k < 2; k++) {
        const bool by_latency = for_latency == (k == 0);
        for (uint32_t i = 0; i < found->count; i++) {
            const clv_draft *draft = &found->all[i];
            values[i] = !by_latency   ? draft->period_us
                        : for_latency ? draft->latency_us
                                      : longest_latency(draft);
        }
        keep_least(found, values, error);
    }
}

static clv_status *choose_measured(
    const clv_problem *problem, const clv_draft *best, drafts *found) {
    double values[MOST_DRAFTS];
    const bool may_cut = has_cuts(problem, best);
    for (uint32_t i = 0; i < found->count; i++) {
        values[i] = !may_cut && has_cuts(problem, &found->all[i]);
    }
    keep_least(found, values, 0);
    keep_best(problem, found, measured_error);
    for (uint32_t i = 0; i < found->count && found->count > 1; i++) {
        CLV_TRY(add_held(problem, &found->all[i], &values[i]));
    }
    if (found->count > 1) {
        keep_least(found, values, 0);
    }
    return NULL;
}

static void find_best(const clv_problem *problem, const drafts *found, clv_draft *out_draft) {
    *out_draft = found->all[0];
    for (uint32_t i = 1; i < found->count; i++) {
        if (clv_draft_is_better(problem, &found->all[i], out_draft)) {
            *out_draft = found->all[i];
        }
    }
}

static clv_status *choose(const clv_problem *problem, drafts *found, clv_draft *out_draft) {
    find_best(problem, found, out_draft);
    if (clv_costs_are_measured(problem->costs)) {
        CLV_TRY(choose_measured(problem, out_draft, found));
    } else if (problem->objective != CLV_LATENCY) {
        keep_best(problem, found, least_gain);
    }
    find_best(problem, found, out_draft);
    return NULL;
}

clv_status *clv_policy_make_auto(const clv_problem *problem, clv_draft *out_draft) {
    static const char *const candidates[] = {"single",        "serial",      "tensor",
                                             "branch",        "pipeline",    "data",
                                             "data/pipeline", "data/tensor", "data/branch"};
    clv_status *status = NULL, *refusal = NULL;
    drafts found = {.count = 0};
    bool has_choice = problem->num_units > 1;
    bool is_clocked = false;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        bool is_product = strchr(candidates[i], '/') != NULL;
        /* A product takes whole requests apart: by sums nothing for the latency of one. */
        bool is_useless = is_product && problem->objective == CLV_LATENCY && !is_clocked;
        if ((has_choice || i == 0) && !is_useless) {
            CLV_TRY_DONE(try_policy(problem, candidates[i], &found, &refusal));
        }
        is_clocked = found.count > 0 && clv_draft_is_clocked(problem, &found.all[0]);
    }
    if (is_clocked) {
        CLV_TRY_DONE(try_counts(problem, &found, &refusal));
    }
    if (found.count == 0) {
        status = refusal;
        refusal = NULL;
    } else {
        status = choose(problem, &found, out_draft);
    }
done:
    clv_status_destroy(refusal);
    return status;
}
