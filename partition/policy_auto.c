/* Every policy and the products worth trying; the best for the objective. What comes first in the
 * list wins ties, so that nothing is split for nothing.
 *
 * What is measured is promised no better than it is known: half of the rates promised for two cores
 * were off by some 2 % or more (docs/execution.md, "How well predictions hold"). So plans that
 * promise as much as the best within 2 % are as good, and of these the ones are kept whose units
 * have least to do with one another: what they get of each other goes by how far apart processors
 * are, and where that changes, or several requests do it at once, they have had 5 to 25 % less than
 * was promised (tensor, branch; pipelines up to a tenth). Then come the other objective, again
 * within 2 %, and what is held.
 *
 * What is given or estimated is exact, but a thousandth more requests a second are not worth more
 * to do with one another, or a longer latency: a copy behind a slow link that gets one request of a
 * hundred thousand.
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

/* How much units have to do with one another for a request. */
typedef enum coupling {
    APART,  /* a unit does all of it */
    STAGES, /* each hands it to the next */
    MUTUAL, /* several are at it at once: they wait for one another */
} coupling;

/* unit_of_stage: scratch, [num_stages] of CLV_NO_INDEX. */
static coupling coupling_of_group(
    const clv_problem *problem, const clv_group *group, uint32_t *unit_of_stage) {
    coupling most = APART;
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        const uint32_t unit = group->pieces[p->first_piece].unit;
        uint32_t *other = &unit_of_stage[p->stage];
        if (p->num_pieces > 1 || (*other != CLV_NO_INDEX && *other != unit)) {
            return MUTUAL;
        }
        *other = unit;
        most = unit != group->pieces[group->placements[0].first_piece].unit ? STAGES : most;
    }
    return most;
}

static clv_status *find_coupling(
    const clv_problem *problem, const clv_draft *draft, double *out_coupling) {
    coupling most = APART;
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        const clv_group *group = &draft->groups[g];
        const size_t num_stages = (size_t)group->num_stages + 1;
        uint32_t *units = clv_arena_alloc(problem->arena, num_stages, sizeof *units);
        if (units == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
        }
        for (size_t i = 0; i < num_stages; i++) {
            units[i] = CLV_NO_INDEX;
        }
        const coupling of_group = coupling_of_group(problem, group, units);
        most = of_group > most ? of_group : most;
    }
    *out_coupling = most;
    return NULL;
}

/* Of a request wherever it goes: to the slowest copy. */
static double longest_latency(const clv_draft *draft) {
    double longest_us = draft->latency_us;
    for (uint32_t g = 0; g < draft->num_groups && draft->num_groups > 1; g++) {
        longest_us = fmax(longest_us, draft->groups[g].latency_us);
    }
    return longest_us;
}

/* Those that are best within `error`: by the objective, or by the other one. */
static void keep_best(const clv_problem *problem, drafts *found, bool by_other, double error) {
    double values[MOST_DRAFTS];
    const bool for_latency = problem->objective == CLV_LATENCY;
    for (uint32_t i = 0; i < found->count; i++) {
        const clv_draft *draft = &found->all[i];
        values[i] = for_latency == by_other ? draft->period_us
                    : for_latency           ? draft->latency_us
                                            : longest_latency(draft);
    }
    keep_least(found, values, error);
}

/* Of those that are best within `error`. */
static clv_status *keep_as_good(const clv_problem *problem, drafts *found, double error) {
    double values[MOST_DRAFTS];
    keep_best(problem, found, false, error);
    for (uint32_t i = 0; i < found->count; i++) {
        CLV_TRY(find_coupling(problem, &found->all[i], &values[i]));
    }
    keep_least(found, values, 0);
    keep_best(problem, found, true, error);
    return NULL;
}

static clv_status *keep_smallest(const clv_problem *problem, drafts *found) {
    double values[MOST_DRAFTS];
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
    if (clv_costs_are_measured(problem->costs)) {
        CLV_TRY(keep_as_good(problem, found, measured_error));
        CLV_TRY(keep_smallest(problem, found));
    } else if (problem->objective != CLV_LATENCY) {
        CLV_TRY(keep_as_good(problem, found, least_gain));
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
