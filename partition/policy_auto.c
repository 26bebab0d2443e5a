/* Every policy and the products worth trying; the best for the objective. What comes first in the
 * list wins ties, so that nothing is split for nothing. */
#include "host/base/memory.h"
#include "partition/policy.h"

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

static clv_status *try_policy(
    const clv_problem *problem, const char *text, clv_draft *best, clv_status **refusal) {
    clv_policy_spec spec;
    clv_draft draft;
    CLV_TRY(clv_policy_parse(text, &spec));
    clv_status *failure = make_draft(problem, &spec, &draft);
    if (failure == NULL && (best->groups == NULL || clv_draft_is_better(problem, &draft, best))) {
        if (draft.policy == NULL) {
            draft.policy = clv_policy_format(problem->arena, spec.levels, spec.num_levels);
        }
        if (draft.policy == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
        }
        *best = draft;
    }
    *refusal = clv_refusal_join(*refusal, failure);
    return NULL;
}

/* On few units, what can be asked for by its count too: sums may prefer another count than the
 * clock does. */
static clv_status *try_counts(const clv_problem *problem, clv_draft *best, clv_status **refusal) {
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
            CLV_TRY(try_policy(problem, text, best, refusal));
        }
    }
    return NULL;
}

clv_status *clv_policy_make_auto(const clv_problem *problem, clv_draft *out_draft) {
    static const char *const candidates[] = {"single",        "serial",      "tensor",
                                             "branch",        "pipeline",    "data",
                                             "data/pipeline", "data/tensor", "data/branch"};
    clv_status *status = NULL, *refusal = NULL;
    bool has_choice = problem->num_units > 1;
    bool is_clocked = false;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        bool is_product = strchr(candidates[i], '/') != NULL;
        /* A product takes whole requests apart: by sums nothing for the latency of one. */
        bool is_useless = is_product && problem->objective == CLV_LATENCY && !is_clocked;
        if ((has_choice || i == 0) && !is_useless) {
            CLV_TRY_DONE(try_policy(problem, candidates[i], out_draft, &refusal));
        }
        is_clocked = out_draft->groups != NULL && clv_draft_is_clocked(problem, out_draft);
    }
    if (is_clocked) {
        CLV_TRY_DONE(try_counts(problem, out_draft, &refusal));
    }
    if (out_draft->groups == NULL) {
        status = refusal;
        refusal = NULL;
    }
done:
    clv_status_destroy(refusal);
    return status;
}
