/* Copies of the graph on groups of units; requests in proportion to the groups' speeds. */
#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "partition/deal.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

/* Of the budget, RUN_STEPS: what an inner policy takes for each task, tensor and read (50 us a task
 * on 10,000 tasks and 64 units); UNIT_STEPS: for each task on each unit that is unlike others,
 * where units are many. */
enum { MAX_PLACEMENTS = 4000000, RUN_STEPS = 30, UNIT_STEPS = 1 };
/* Each group of k gets one in INNER_BUDGET * k of the budget, however many numbers of groups are
 * tried: so what is asked for by its count is no better than what is found without one. */
enum { INNER_BUDGET = 32 };

/* Units by group, each group's in order: those of group g are out_units[k] with k from out_first[g]
 * to out_first[g + 1]. */
static void sort_by_group(
    const clv_problem *problem, const uint32_t *group_of, uint32_t num_groups, uint32_t *out_first,
    uint32_t *out_units) {
    for (uint32_t i = 0; i < problem->num_units; i++) {
        out_first[group_of[i] + 2]++;
    }
    for (uint32_t g = 2; g < num_groups + 2; g++) {
        out_first[g] += out_first[g - 1];
    }
    for (uint32_t i = 0; i < problem->num_units; i++) {
        out_units[out_first[group_of[i] + 1]++] = problem->units[i];
    }
}

/* Says of a copy's operators which copy they are in. */
static clv_status *name_copy(
    const clv_problem *problem, uint32_t num_units, uint32_t copy, clv_group *group) {
    const char *before = NULL, *after = NULL;
    const clv_machine *machine = problem->costs->machine;
    bool is_whole = num_units == 1; /* else pins led elsewhere, and maybe more behind them */
    for (uint32_t i = 0; i < group->num_pieces; i++) {
        is_whole = is_whole && group->pieces[i].unit == group->pieces[0].unit;
    }
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        clv_placement *p = &group->placements[i];
        if (problem->pins[i] != CLV_NO_INDEX) {
            continue;
        }
        if (before == NULL || p->reason != before) {
            before = p->reason;
            after = is_whole ? clv_arena_printf(
                                   problem->arena, "copy %u is whole on %s", copy,
                                   machine->units[group->pieces[0].unit].name)
                             : clv_arena_printf(problem->arena, "copy %u: %s", copy, before);
        }
        p->reason = after;
        if (after == NULL) {
            return NO_MEMORY_HERE();
        }
    }
    return NULL;
}

/* One group's draft. With `may_skip` a group that cannot is left out; *refusal says why. */
static clv_status *make_group(
    const clv_problem *problem, const uint32_t *units, uint32_t num_units, bool may_skip,
    clv_draft *draft, clv_status **refusal) {
    bool is_bespoke = problem->costs->machine->bespoke != CLV_BESPOKE_NO;
    clv_policy_level inner = {clv_policy_find(is_bespoke ? "serial" : "single"), 0};
    clv_draft part;
    if (num_units == 0) {
        return CLV_ERROR(USAGE, "there are not enough units of every kind for each copy");
    }
    if (problem->num_inner > 0) {
        inner = problem->inner[0];
    }
    clv_status *status = clv_policy_run(
        problem, inner, problem->inner + 1, problem->num_inner > 0 ? problem->num_inner - 1 : 0,
        units, num_units, &part);
    if (status == NULL) {
        if (part.num_groups == 1) {
            CLV_TRY(name_copy(problem, num_units, draft->num_groups, part.groups));
        }
        memcpy(
            &draft->groups[draft->num_groups], part.groups, part.num_groups * sizeof *part.groups);
        draft->num_groups += part.num_groups;
        draft->method = part.method;
    } else if (may_skip && clv_status_code(status) != CLV_USAGE) {
        *refusal = clv_refusal_join(*refusal, status);
        status = NULL;
    }
    return status;
}

/* A draft of `num_groups` groups; group_of [num_units]. */
static clv_status *make_groups(
    const clv_problem *problem, const uint32_t *group_of, uint32_t num_groups, bool may_skip,
    clv_draft *out_draft) {
    clv_status *status = NULL, *refusal = NULL;
    clv_evaluator *ev = problem->ev;
    const clv_group *before = ev->groups_before;
    const uint32_t num_before = ev->num_groups_before;
    uint32_t *units = clv_alloc_zeroed(problem->num_units, sizeof *units);
    uint32_t *first = clv_alloc_zeroed((size_t)num_groups + 2, sizeof *first);
    *out_draft = (clv_draft){0};
    out_draft->groups = clv_arena_alloc(problem->arena, num_groups, sizeof(clv_group));
    if (units == NULL || first == NULL || out_draft->groups == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    clv_plan_request request = *problem->request;
    clv_problem own = *problem;
    own.request = &request;
    own.budget = problem->budget / INNER_BUDGET / num_groups + 1;
    sort_by_group(problem, group_of, num_groups, first, units);
    for (uint32_t g = 0; g < num_groups; g++) {
        request.depth = clv_depth_of_group(problem->request->depth, num_groups, g);
        CLV_TRY_DONE(clv_evaluate_beside(ev, out_draft->groups, out_draft->num_groups));
        CLV_TRY_DONE(clv_cancel_check());
        CLV_TRY_DONE(make_group(
            &own, units + first[g], first[g + 1] - first[g], may_skip, out_draft, &refusal));
    }
    CLV_TRY_DONE(clv_evaluate_beside(ev, before, num_before));
    if (out_draft->num_groups == 0) {
        status = refusal;
        refusal = NULL;
        goto done;
    }
    CLV_TRY_DONE(clv_draft_score(problem, out_draft));
    clv_policy_level levels[CLV_MAX_POLICY_LEVELS] = {
        {clv_policy_find("data"), out_draft->num_groups}};
    memcpy(levels + 1, problem->inner, problem->num_inner * sizeof *levels);
    out_draft->policy = clv_policy_format(problem->arena, levels, 1 + problem->num_inner);
    if (problem->num_inner > 0 && out_draft->method != NULL) {
        out_draft->method = clv_arena_printf(problem->arena, "in each copy: %s", out_draft->method);
    }
    if (out_draft->policy == NULL || (problem->num_inner > 0 && out_draft->method == NULL)) {
        status = NO_MEMORY_HERE();
    }
done:
    status = clv_status_join(status, clv_evaluate_beside(ev, before, num_before));
    clv_status_destroy(refusal);
    clv_free(units);
    clv_free(first);
    return status;
}

/* --- how many groups --- */

/* What a task that not every unit can run says against so many groups; NULL: nothing. */
static clv_status *check_count(const clv_dealer *dealer, uint32_t num_groups) {
    const clv_problem *all = dealer->problem;
    const clv_machine *machine = all->costs->machine;
    uint32_t count = all->costs->workload->num_tasks;
    if (num_groups <= dealer->num_units) {
        return NULL;
    }
    for (uint32_t k = 0, kept = 0; k < all->num_units; k++) {
        uint32_t unit = all->units[k];
        if (kept < dealer->num_units && dealer->units[kept] == unit) {
            kept++;
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (all->pins[i] == CLV_NO_INDEX && !clv_problem_allows(all, i, unit)) {
                return CLV_ERROR(
                    UNSUPPORTED,
                    "data:%u needs as many units that can run a copy or a part of one, there are "
                    "%u: task '%s' cannot run on '%s'",
                    num_groups, dealer->num_units, all->costs->workload->tasks[i].name,
                    machine->units[unit].name);
            }
        }
    }
    return NULL;
}

/* Whether a draft is on fewer units than another or, where they are as many, has the first of those
 * that one has and the other not. */
static clv_status *is_on_less(
    const clv_problem *problem, const clv_draft *draft, const clv_draft *other, bool *out_is) {
    const uint32_t num_units = problem->costs->machine->num_units;
    const clv_draft *drafts[2] = {draft, other};
    uint32_t counts[2] = {0}, first = num_units;
    uint8_t *uses = clv_alloc_zeroed(num_units, 1);
    if (uses == NULL) {
        return NO_MEMORY_HERE();
    }
    for (int d = 0; d < 2; d++) {
        for (uint32_t g = 0; g < drafts[d]->num_groups; g++) {
            const clv_group *group = &drafts[d]->groups[g];
            for (uint32_t i = 0; i < group->num_pieces; i++) {
                uint8_t *by = &uses[group->pieces[i].unit];
                counts[d] += (*by & 1 << d) == 0;
                *by |= (uint8_t)(1 << d);
            }
        }
    }
    for (uint32_t i = num_units; i-- > 0;) {
        first = uses[i] == 1 || uses[i] == 2 ? i : first;
    }
    *out_is =
        counts[0] != counts[1] ? counts[0] < counts[1] : first < num_units && uses[first] == 1;
    clv_free(uses);
    return NULL;
}

/* Whether to take a draft rather than the best so far: where it is as good by `is_on_less`, of as
 * many copies. */
static clv_status *is_preferred(
    const clv_problem *problem, const clv_draft *draft, const clv_draft *best, bool *out_is) {
    *out_is = best->groups == NULL || clv_draft_is_better(problem, draft, best);
    return *out_is || best->num_groups != draft->num_groups ||
                   clv_draft_is_better(problem, best, draft)
               ? NULL
               : is_on_less(problem, draft, best, out_is);
}

/* The best of the ways to deal the units to `num_groups` groups, of which *out_deals differ;
 * *refusal where none works. */
static clv_status *try_deals(
    const clv_dealer *dealer, const clv_problem *part, uint32_t num_groups, clv_draft *best,
    clv_status **refusal, uint32_t *out_deals) {
    clv_status *status = NULL;
    bool is_bespoke = part->costs->machine->bespoke != CLV_BESPOKE_NO;
    bool may_skip = part->level.count == 0 && part->num_inner == 0;
    bool is_same = num_groups == part->num_units || num_groups == 1; /* however they are dealt */
    size_t bytes = part->num_units * sizeof(uint32_t);
    uint32_t num_deals = 0,
             *deals = clv_alloc_zeroed(part->num_units, CLV_NUM_DEALS * sizeof *deals);
    if (deals == NULL) {
        return NO_MEMORY_HERE();
    }
    for (int deal = is_bespoke ? CLV_DEAL_KINDS : 0; deal < CLV_NUM_DEALS; deal++) {
        clv_draft draft;
        uint32_t *group_of = &deals[(size_t)num_deals * part->num_units];
        bool is_new = true;
        CLV_TRY_DONE(clv_deal_units(dealer, (clv_deal)deal, num_groups, group_of));
        for (uint32_t i = 0; i < num_deals; i++) {
            is_new = is_new && memcmp(group_of, &deals[(size_t)i * part->num_units], bytes) != 0;
        }
        if (!is_new) {
            continue;
        }
        clv_status *failure = make_groups(part, group_of, num_groups, may_skip, &draft);
        if (failure == NULL) {
            bool is_best;
            CLV_TRY_DONE(is_preferred(part, &draft, best, &is_best));
            *best = is_best ? draft : *best;
        }
        *refusal = clv_refusal_join(*refusal, failure);
        num_deals++;
        if (is_same) {
            break;
        }
    }
done:
    *out_deals = num_deals;
    clv_free(deals);
    return status;
}

static clv_status *try_count(
    const clv_dealer *dealer, const clv_problem *part, uint32_t num_groups, clv_draft *best,
    clv_status **refusal, uint32_t *out_deals) {
    *out_deals = 0;
    uint32_t count = part->costs->workload->num_tasks;
    clv_status *failure = check_count(dealer, num_groups);
    if (failure == NULL && (uint64_t)num_groups * count > MAX_PLACEMENTS) {
        failure = CLV_ERROR(
            USAGE, "data:%u copies of %u tasks are more than a plan may have (%u)", num_groups,
            count, (unsigned)MAX_PLACEMENTS);
    }
    if (failure != NULL) {
        *refusal = clv_refusal_join(*refusal, failure);
        return NULL;
    }
    return try_deals(dealer, part, num_groups, best, refusal, out_deals);
}

/* A pinned task is on its unit in every copy, and copies have units of their own: so pins leave one
 * copy. NULL: no pin says anything against so many. */
static clv_status *check_pins(const clv_problem *problem, uint32_t num_groups) {
    const clv_costs *costs = problem->costs;
    uint32_t i = clv_problem_find_pinned(problem);
    if (num_groups <= 1 || i == CLV_NO_TASK) {
        return NULL;
    }
    clv_policy_level levels[CLV_MAX_POLICY_LEVELS] = {{clv_policy_find("data"), num_groups}};
    memcpy(levels + 1, problem->inner, problem->num_inner * sizeof *levels);
    const char *policy = clv_policy_format(problem->arena, levels, 1 + problem->num_inner);
    if (policy == NULL) {
        return NO_MEMORY_HERE();
    }
    return CLV_ERROR(
        USAGE,
        "task '%s', %s, would be on '%s' in each of %u copies under policy '%s': copies of the "
        "whole have units of their own; use pipeline or auto, or data without a count",
        costs->workload->tasks[i].name, problem->pin_reasons[i],
        costs->machine->units[problem->pins[i]].name, num_groups, policy);
}

/* Each has a request in flight of its own: no more than may be. */
static uint32_t most_copies(const clv_problem *problem, uint32_t wanted) {
    uint32_t depth = problem->request->depth;
    return depth > 0 && depth < wanted ? depth : wanted;
}

/* How many there are at most where no count was asked for. */
static uint32_t most_free_copies(const clv_problem *problem, uint32_t num_units) {
    return clv_problem_find_pinned(problem) != CLV_NO_TASK ? 1 : most_copies(problem, num_units);
}

/* Steps of one way to deal the units to so many groups: each runs an inner policy, and all of them
 * look at all tasks on their units, of those that are alike at one. */
static double steps_of_deal(const clv_problem *part, uint32_t num_groups) {
    const clv_costs *costs = part->costs;
    const double num_tasks = costs->workload->num_tasks;
    return (double)RUN_STEPS * num_groups * (double)part->ev->size + part->num_units +
           UNIT_STEPS * num_tasks * fmin(part->num_units, costs->num_classes);
}

/* Numbers of groups from 2 on while the budget lasts, for two ways to deal units at least; one
 * group where that is better or no other works. */
static clv_status *try_counts(
    const clv_dealer *dealer, const clv_problem *part, clv_draft *best, clv_status **refusal) {
    enum { OFTEN = 2 };
    double left = (double)part->budget + 4.0 * RUN_STEPS * (double)part->ev->size;
    uint32_t num_deals;
    const uint32_t most = most_free_copies(part, part->num_units);
    for (uint32_t k = 2; k <= most; k = k < 8 ? k + 1 : k * 2) {
        const double steps = steps_of_deal(part, k);
        if (OFTEN * steps > left) {
            break;
        }
        CLV_TRY(try_count(dealer, part, k, best, refusal, &num_deals));
        left -= steps * num_deals;
    }
    bool has_others = best->groups != NULL && part->num_inner == 0;
    return has_others ? NULL : try_count(dealer, part, 1, best, refusal, &num_deals);
}

/* Whether a copy is on one unit that runs all of it. */
static bool is_on_one(const clv_problem *problem) {
    const clv_policy_level *inner = problem->inner;
    if (problem->num_inner == 0) {
        return problem->costs->machine->bespoke == CLV_BESPOKE_NO;
    }
    return inner[0].policy == clv_policy_find("single") ||
           (inner[0].count == 1 && !inner[0].policy->holds_another);
}

clv_status *clv_policy_make_data(const clv_problem *problem, clv_draft *out_draft) {
    clv_status *refusal = NULL, *status = NULL;
    clv_problem part = *problem;
    clv_dealer dealer;
    uint32_t num_deals;
    if (problem->level.count > problem->num_units) {
        return CLV_ERROR(
            USAGE, "data:%u needs as many units, there are %u", problem->level.count,
            problem->num_units);
    }
    CLV_TRY_DONE(clv_dealer_init(problem, is_on_one(problem), &dealer));
    part.units = dealer.units;
    part.num_units = dealer.num_units;
    if (problem->level.count > 0) {
        uint32_t count = most_copies(problem, problem->level.count);
        CLV_TRY_DONE(check_pins(problem, count));
        CLV_TRY_DONE(try_count(&dealer, &part, count, out_draft, &refusal, &num_deals));
    } else if (problem->num_inner == 0 && problem->costs->machine->bespoke == CLV_BESPOKE_NO) {
        uint32_t count = most_free_copies(problem, dealer.num_units);
        CLV_TRY_DONE(try_count(&dealer, &part, count, out_draft, &refusal, &num_deals));
    }
    if (problem->level.count == 0 && out_draft->groups == NULL) {
        CLV_TRY_DONE(try_counts(&dealer, &part, out_draft, &refusal));
    }
    if (out_draft->groups == NULL) {
        status = refusal;
        refusal = NULL;
    }
done:
    clv_dealer_deinit(&dealer);
    clv_status_destroy(refusal);
    return status;
}
