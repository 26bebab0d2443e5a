/* What policies share: groups and drafts, their scores, units that are alike. */
#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

clv_status *clv_group_from_units(
    const clv_problem *problem, const uint32_t *assignment, const uint32_t *stages,
    const char *reason, clv_group *out_group) {
    uint32_t count = problem->costs->workload->num_tasks;
    *out_group = (clv_group){.num_pieces = count, .share = 1, .num_stages = 1, .depth = 1};
    out_group->placements = clv_arena_alloc(problem->arena, count, sizeof(clv_placement));
    out_group->pieces = clv_arena_alloc(problem->arena, count, sizeof(clv_piece));
    if (out_group->placements == NULL || out_group->pieces == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t stage = stages != NULL ? stages[i] : 0;
        bool is_pinned = problem->pins[i] != CLV_NO_INDEX;
        out_group->pieces[i].unit = assignment[i];
        out_group->placements[i] = (clv_placement){
            .first_piece = i,
            .num_pieces = 1,
            .split = -1,
            .stage = stage,
            .reason = is_pinned ? problem->pin_reasons[i] : reason};
        if (stage >= out_group->num_stages) {
            out_group->num_stages = stage + 1;
        }
    }
    return NULL;
}

clv_status *clv_draft_from_units(
    const clv_problem *problem, const uint32_t *assignment, const uint32_t *stages,
    const char *reason, clv_draft *out_draft) {
    *out_draft = (clv_draft){.num_groups = 1};
    out_draft->groups = clv_arena_alloc(problem->arena, 1, sizeof(clv_group));
    if (out_draft->groups == NULL) {
        return NO_MEMORY_HERE();
    }
    return clv_group_from_units(problem, assignment, stages, reason, out_draft->groups);
}

/* --- scores --- */

/* Whether something of a group's is not on the memory where inputs come from and outputs go to. */
static bool is_away(const clv_problem *problem, const clv_group *group) {
    const clv_machine *machine = problem->costs->machine;
    for (uint32_t i = 0; i < group->num_pieces; i++) {
        const clv_unit *unit = &machine->units[group->pieces[i].unit];
        if (unit->memory != clv_machine_home(machine) && unit->overlaps) {
            return true;
        }
    }
    return false;
}

/* Whether the policy is for requests that follow one another: others have one in flight. */
static bool is_for_many(const clv_problem *problem) {
    const char *policy = problem->request->policy;
    return policy == NULL || strcmp(policy, "auto") == 0 || strncmp(policy, "data", 4) == 0 ||
           strncmp(policy, "pipeline", 8) == 0;
}

/* Whether requests are to overlap: those of several stages, and those whose inputs and outputs can
 * be under way while a unit computes, where that is worth it. */
static bool has_stages(const clv_problem *problem, const clv_group *group) {
    const double least_gain = 0.02;
    const bool gains = group->latency_us > group->bound_us * (1 + least_gain);
    return group->num_stages > 1 ||
           (!group->is_serial && gains && is_for_many(problem) && is_away(problem, group));
}

/* Little's law: requests in flight that keep the most loaded resource busy. One more where units
 * have several stages, as requests then wait for one another at the second. */
static uint32_t wanted_depth(const clv_problem *problem, const clv_group *group) {
    if (group->is_serial) {
        return 1;
    }
    if (problem->request->depth > 0) {
        return problem->request->depth;
    }
    if (!has_stages(problem, group) || problem->objective == CLV_LATENCY || group->bound_us <= 0) {
        return 1;
    }
    double depth = ceil(group->latency_us / group->bound_us - 1e-9) + (group->is_folded ? 1 : 0);
    return (uint32_t)fmin(fmax(depth, 1), fmax(2.0 * group->num_stages, 3));
}

static clv_status *measure_group(const clv_problem *problem, clv_group *group) {
    clv_evaluate_begin(problem->ev);
    CLV_TRY(clv_evaluate_loads(problem->ev, group, 1));
    group->bound_us = clv_evaluate_bound(problem->ev, NULL);
    CLV_TRY(clv_evaluate_latency(problem->ev, group, &group->latency_us, NULL));
    group->depth = wanted_depth(problem, group);
    group->period_us = fmax(group->bound_us, group->latency_us / group->depth);
    return NULL;
}

static clv_status *ask(
    const clv_problem *problem, const clv_group *group, uint32_t depth, clv_steady *out_steady) {
    clv_group alone = *group;
    alone.share = 1;
    alone.depth = depth > 0 ? depth : group->depth;
    return problem->costs->ask_clock(
        problem->costs, &alone, 1,
        depth == 0   ? CLV_ALL_REQUESTS
        : depth == 1 ? CLV_ONE_REQUEST
                     : CLV_PLANNED_REQUESTS,
        out_steady);
}

/* As many requests as the buffers admit; where that deadlocks and fewer may be tried, the group's
 * depth, half of it, and so on. *out_depth is 0 where nothing had to be lowered. */
static clv_status *ask_unlimited(
    const clv_problem *problem, const clv_group *group, clv_steady *out_steady,
    uint32_t *out_depth) {
    clv_status *status = ask(problem, group, 0, out_steady);
    *out_depth = 0;
    for (uint32_t depth = group->depth; problem->may_choose_depth && depth > 0; depth /= 2) {
        if (clv_status_code(status) != CLV_UNSUPPORTED) {
            return status;
        }
        clv_status_destroy(status);
        *out_depth = depth;
        status = ask(problem, group, depth, out_steady);
    }
    return status;
}

/* Period, latency and depth where full buffers hold units up; `depth` 0: the fewest requests in
 * flight that do as well as all that the buffers admit, by Little's law. */
static clv_status *measure_blocking(const clv_problem *problem, uint32_t depth, clv_group *group) {
    clv_steady steady = {0}, fewer = {0};
    if (!clv_group_blocks(problem->costs, group)) {
        return NULL;
    }
    if (depth > 0) {
        CLV_TRY(ask(problem, group, depth, &steady));
    } else {
        CLV_TRY(ask_unlimited(problem, group, &steady, &depth));
    }
    if (depth == 0) {
        depth = (uint32_t)ceil(steady.latency_us / fmax(steady.period_us, 1e-12) - 1e-9);
        depth = depth > 0 ? depth : 1;
        clv_status *status = ask(problem, group, depth, &fewer);
        bool is_as_good = status == NULL && fewer.period_us <= steady.period_us * (1 + 1e-9);
        if (clv_status_code(status) != CLV_UNSUPPORTED) {
            CLV_TRY(status);
        }
        clv_status_destroy(status);
        depth = is_as_good ? depth : steady.in_flight;
    }
    group->period_us = fmax(steady.period_us, group->bound_us);
    group->latency_us = steady.latency_us;
    group->depth = depth > 0 ? depth : 1;
    return NULL;
}

/* Lowers depths that were not asked for until memory suffices. */
static clv_status *fit_depths(const clv_problem *problem, clv_draft *draft, bool *out_is_lower) {
    *out_is_lower = false;
    for (;;) {
        bool can_lower = false;
        clv_evaluate_begin(problem->ev);
        for (uint32_t g = 0; g < draft->num_groups; g++) {
            CLV_TRY(clv_evaluate_memory(problem->ev, &draft->groups[g], draft->groups[g].depth));
            can_lower = can_lower || draft->groups[g].depth > 1;
        }
        if (!clv_evaluate_fits(problem->ev) && problem->costs->ask_memory != NULL) {
            bool is_known; /* sums may be too large */
            CLV_TRY(clv_evaluate_asked(problem->ev, draft->groups, draft->num_groups, &is_known));
        }
        if (clv_evaluate_fits(problem->ev) || !can_lower || problem->request->depth > 0) {
            return clv_evaluate_limits(problem->ev);
        }
        for (uint32_t g = 0; g < draft->num_groups; g++) {
            clv_group *group = &draft->groups[g];
            uint32_t depth = group->depth;
            group->depth = depth > 8 ? depth - depth / 4 : depth > 1 ? depth - 1 : 1;
            group->period_us = fmax(group->bound_us, group->latency_us / group->depth);
            *out_is_lower = true;
        }
    }
}

/* Periods, shares in proportion to speed; `shared_us` is scratch. */
static clv_status *score_together(const clv_problem *problem, clv_draft *draft, double *shared_us) {
    double rate = 0;
    draft->latency_us = (double)INFINITY;
    draft->depth = 0;
    CLV_TRY(clv_evaluate_sharing(problem->ev, draft->groups, draft->num_groups, shared_us));
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        clv_group *group = &draft->groups[g];
        group->period_us = fmax(group->period_us, shared_us[g]);
        draft->latency_us = fmin(draft->latency_us, group->latency_us);
        draft->depth += group->depth;
        rate += 1 / fmax(group->period_us, 1e-12);
    }
    clv_evaluate_begin(problem->ev);
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        clv_group *group = &draft->groups[g];
        group->share = 1 / fmax(group->period_us, 1e-12) / rate;
        CLV_TRY(clv_evaluate_loads(problem->ev, group, group->share));
    }
    double alone_us = draft->num_groups == 1 ? draft->groups[0].period_us : 1 / rate;
    draft->period_us = fmax(clv_evaluate_bound(problem->ev, NULL), alone_us);
    return NULL;
}

/* One group by itself; its depth is its part of what was asked for. */
static clv_status *score_alone(const clv_problem *problem, clv_draft *draft, uint32_t g) {
    clv_group *group = &draft->groups[g];
    uint32_t asked = problem->request->depth;
    CLV_TRY(measure_group(problem, group));
    if (asked > 0 && !group->is_serial) {
        group->depth = clv_depth_of_group(asked, draft->num_groups, g);
        group->period_us = fmax(group->bound_us, group->latency_us / group->depth);
    }
    if (!isfinite(group->bound_us) || !isfinite(group->latency_us)) {
        return CLV_ERROR(
            UNSUPPORTED, "a task is on a unit that cannot run it, or its times add up to more "
                         "than can be counted");
    }
    bool is_limited = asked > 0 || problem->objective == CLV_LATENCY;
    return measure_blocking(problem, is_limited ? group->depth : 0, group);
}

clv_status *clv_refusal_join(clv_status *first, clv_status *second) {
    bool is_memory =
        clv_status_code(first) == CLV_UNSUPPORTED && clv_status_code(second) == CLV_NO_MEMORY;
    return is_memory ? clv_status_join(second, first) : clv_status_join(first, second);
}

clv_status *clv_draft_score(const clv_problem *problem, clv_draft *draft) {
    bool is_lower;
    if (problem->request->depth > 0 && draft->num_groups > problem->request->depth) {
        return CLV_ERROR(
            USAGE, "%u copies have a request in flight each, and only %u may be", draft->num_groups,
            problem->request->depth);
    }
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        CLV_TRY(score_alone(problem, draft, g));
    }
    CLV_TRY(fit_depths(problem, draft, &is_lower));
    for (uint32_t g = 0; is_lower && g < draft->num_groups; g++) {
        CLV_TRY(measure_blocking(problem, draft->groups[g].depth, &draft->groups[g]));
    }
    double *shared_us = clv_alloc_zeroed(draft->num_groups, sizeof *shared_us);
    if (shared_us == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_status *status = score_together(problem, draft, shared_us);
    clv_free(shared_us);
    return status;
}

/* --- on the clock --- */

bool clv_draft_is_clocked(const clv_problem *problem, const clv_draft *draft) {
    enum { PARTS = 40 }; /* of the budget, for one run */
    double steps = 0, depth = 0;
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        steps = fmax(steps, draft->groups[g].num_pieces);
        depth += draft->groups[g].depth;
    }
    steps *= fmin(fmax(4 * depth, 16), 256); /* about as many requests */
    return problem->costs->ask_clock != NULL && steps <= (double)problem->budget / PARTS;
}

static clv_status *ask_all(
    const clv_problem *problem, const clv_draft *draft, clv_clock_load load, clv_steady *out) {
    return problem->costs->ask_clock(problem->costs, draft->groups, draft->num_groups, load, out);
}

static bool is_deeper(const clv_problem *problem, const clv_group *group, bool all) {
    return !group->is_serial && (has_stages(problem, group) || all);
}

static void add_depth(const clv_problem *problem, clv_draft *draft, bool all, int by) {
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        int more = is_deeper(problem, &draft->groups[g], all) ? by : 0;
        draft->groups[g].depth = (uint32_t)((int)draft->groups[g].depth + more);
        draft->depth = (uint32_t)((int)draft->depth + more);
    }
}

/* One request more in flight in each group with stages, or in `all` that are not serial, as long as
 * memory suffices. */
static clv_status *deepen(
    const clv_problem *problem, clv_draft *draft, bool all, bool *out_is_deeper) {
    uint32_t before = draft->depth;
    add_depth(problem, draft, all, 1);
    *out_is_deeper = draft->depth > before;
    clv_evaluate_begin(problem->ev);
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        const clv_group *group = &draft->groups[g];
        CLV_TRY(clv_evaluate_memory(problem->ev, group, group->depth));
    }
    if (*out_is_deeper && !clv_evaluate_fits(problem->ev)) {
        add_depth(problem, draft, all, -1);
        *out_is_deeper = false;
    }
    return NULL;
}

/* Deepens until the period is near `least_us`; keeps the best on the way. `group_us` [num_groups]
 * is scratch. */
static clv_status *deepen_to(
    const clv_problem *problem, clv_draft *draft, bool all, double least_us, clv_steady *steady,
    double *group_us) {
    enum { MOST_TRIED = 8 };
    int since_best = 0;
    for (int i = 0; i < MOST_TRIED && steady->period_us > least_us; i++) {
        clv_steady deeper = {.group_period_us = group_us};
        bool is_changed;
        CLV_TRY(deepen(problem, draft, all, &is_changed));
        if (!is_changed) {
            break;
        }
        CLV_TRY(ask_all(problem, draft, CLV_PLANNED_REQUESTS, &deeper));
        since_best++;
        if (deeper.period_us < steady->period_us) {
            deeper.group_period_us = steady->group_period_us;
            *steady = deeper;
            memcpy(steady->group_period_us, group_us, draft->num_groups * sizeof *group_us);
            since_best = 0;
        }
    }
    add_depth(problem, draft, all, -since_best);
    return NULL;
}

/* Little's law counts sums of times; where transfers come at a bad moment, a few requests more keep
 * the most loaded part busy. */
static clv_status *find_depth(
    const clv_problem *problem, clv_draft *draft, clv_steady *steady, double *group_us) {
    clv_steady most = {0};
    clv_status *status = ask_all(problem, draft, CLV_ALL_REQUESTS, &most);
    if (clv_status_code(status) == CLV_UNSUPPORTED) { /* all would deadlock; the depth does not */
        clv_status_destroy(status);
        return NULL;
    }
    CLV_TRY(status);
    double least_us = most.period_us * 1.001;
    CLV_TRY(deepen_to(problem, draft, false, least_us, steady, group_us));
    return problem->may_choose_depth ? deepen_to(problem, draft, true, least_us, steady, group_us)
                                     : NULL;
}

/* A run's memory: of each unit the most of it and of what is in `most_bytes`. */
static clv_status *hold_of_run(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups, clv_clock_load load,
    uint64_t *most_bytes, uint32_t *requests) {
    uint32_t num_units = problem->costs->machine->num_units;
    clv_steady steady = {
        .memory_bytes = clv_alloc_zeroed(num_units, sizeof(uint64_t)), .requests = requests};
    if (steady.memory_bytes == NULL) {
        return NO_MEMORY_HERE();
    }
    memset(requests, 0, num_groups * sizeof *requests);
    clv_status *status =
        problem->costs->ask_clock(problem->costs, groups, num_groups, load, &steady);
    for (uint32_t i = 0; status == NULL && i < num_units; i++) {
        uint64_t bytes = steady.memory_bytes[i];
        most_bytes[i] = bytes > most_bytes[i] ? bytes : most_bytes[i];
    }
    clv_free(steady.memory_bytes);
    return status;
}

/* Whether a group had too few requests for as many in flight as its depth. */
static bool has_rare(const clv_group *groups, uint32_t num_groups, const uint32_t *requests) {
    for (uint32_t g = 0; g < num_groups; g++) {
        if (requests[g] <= groups[g].depth) {
            return true;
        }
    }
    return false;
}

/* Slow copies beside fast ones have few requests of a run: another one, dealt by depths, fills
 * them too. Where even that has too few (it is no longer than others), sums say what is held, as
 * they do anyway. */
static clv_status *fill_rare(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups, uint64_t *most_bytes,
    uint32_t *requests) {
    clv_group *even = clv_alloc_zeroed(num_groups, sizeof *even);
    double depth = 0;
    if (even == NULL) {
        return NO_MEMORY_HERE();
    }
    memcpy(even, groups, num_groups * sizeof *even);
    for (uint32_t g = 0; g < num_groups; g++) {
        depth += groups[g].depth;
    }
    for (uint32_t g = 0; g < num_groups; g++) {
        even[g].share = groups[g].depth / depth;
    }
    clv_status *status =
        hold_of_run(problem, even, num_groups, CLV_PLANNED_REQUESTS, most_bytes, requests);
    if (clv_status_code(status) == CLV_UNSUPPORTED) { /* a deadlock */
        clv_status_destroy(status);
        status = NULL;
    }
    clv_free(even);
    return status;
}

static clv_status *sum_memory(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups) {
    clv_evaluate_begin(problem->ev);
    for (uint32_t g = 0; g < num_groups; g++) {
        CLV_TRY(clv_evaluate_memory(problem->ev, &groups[g], groups[g].depth));
    }
    return NULL;
}

/* What the run holds and what sums say, whichever is more: searches and checks of plan files go by
 * sums, and a plan fits into what it is said to hold.
 *
 * bytes  [num_units]: what else was found to be held, used up */
static clv_status *hold_at_least_sums(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups, uint64_t *bytes) {
    clv_evaluator *ev = problem->ev;
    const uint32_t num_units = problem->costs->machine->num_units;
    CLV_TRY(sum_memory(problem, groups, num_groups));
    for (uint32_t i = 0; i < num_units; i++) {
        const uint64_t held = ev->held[i];
        clv_evaluate_hold(ev, i, bytes[i] > held ? bytes[i] - held : 0);
    }
    return NULL;
}

/* Takes off what of a run's memory are weights that groups before have there already. */
static clv_status *take_off_lent(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups, uint64_t *bytes) {
    clv_evaluator *ev = problem->ev;
    const uint32_t num_units = problem->costs->machine->num_units;
    uint64_t *alone_bytes = ev->asked_bytes;
    if (ev->num_groups_before == 0) {
        return NULL;
    }
    ev->weights.ignores_kept = true;
    clv_status *status = sum_memory(problem, groups, num_groups);
    ev->weights.ignores_kept = false;
    CLV_TRY(status);
    memcpy(alone_bytes, ev->held, num_units * sizeof *alone_bytes);
    CLV_TRY(sum_memory(problem, groups, num_groups));
    for (uint32_t i = 0; i < num_units; i++) {
        const uint64_t lent = alone_bytes[i] - ev->held[i];
        bytes[i] -= lent < bytes[i] ? lent : bytes[i];
    }
    return NULL;
}

clv_status *clv_clock_memory(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups) {
    uint32_t num_units = problem->costs->machine->num_units;
    bool is_one = num_groups == 1 && groups[0].depth == 1;
    uint64_t *most_bytes = clv_alloc_zeroed(num_units, sizeof *most_bytes);
    uint32_t *requests = clv_alloc_zeroed(num_groups, sizeof *requests);
    clv_status *status = NULL;
    bool is_known = false;
    if (most_bytes == NULL || requests == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    if (problem->costs->ask_memory != NULL) {
        CLV_TRY_DONE(clv_evaluate_asked(problem->ev, groups, num_groups, &is_known));
    }
    if (is_known) {
        goto done;
    }
    CLV_TRY_DONE(hold_of_run(
        problem, groups, num_groups, is_one ? CLV_ONE_REQUEST : CLV_PLANNED_REQUESTS, most_bytes,
        requests));
    if (num_groups > 1 && has_rare(groups, num_groups, requests)) {
        CLV_TRY_DONE(fill_rare(problem, groups, num_groups, most_bytes, requests));
    }
    CLV_TRY_DONE(take_off_lent(problem, groups, num_groups, most_bytes));
    CLV_TRY_DONE(hold_at_least_sums(problem, groups, num_groups, most_bytes));
done:
    clv_free(most_bytes);
    clv_free(requests);
    return status;
}

clv_status *clv_draft_hold(const clv_problem *problem, const clv_draft *draft) {
    bool is_known;
    CLV_TRY(clv_evaluate_for_limits(problem->ev, draft->groups, draft->num_groups, &is_known));
    return is_known || !clv_draft_is_clocked(problem, draft)
               ? NULL
               : clv_clock_memory(problem, draft->groups, draft->num_groups);
}

clv_status *clv_draft_check_fit(const clv_problem *problem, const clv_draft *draft) {
    if (!problem->any_limits) {
        return NULL;
    }
    CLV_TRY(clv_draft_hold(problem, draft));
    return clv_evaluate_limits(problem->ev);
}

/* Fewer requests in flight until the run's memory suffices; NO_MEMORY where one each is too much,
 * or the depth was asked for. */
static clv_status *fit_on_clock(
    const clv_problem *problem, clv_draft *draft, bool *out_is_changed) {
    *out_is_changed = false;
    for (;;) {
        uint32_t before = draft->depth;
        CLV_TRY(clv_draft_hold(problem, draft));
        if (clv_evaluate_fits(problem->ev)) {
            return NULL;
        }
        for (uint32_t g = 0; g < draft->num_groups && problem->request->depth == 0; g++) {
            uint32_t less = draft->groups[g].depth > 1 ? 1 : 0;
            draft->groups[g].depth -= less;
            draft->depth -= less;
        }
        if (draft->depth == before) {
            return clv_evaluate_limits(problem->ev);
        }
        *out_is_changed = true;
    }
}

/* Into `group_us` [2 * num_groups], each group's by itself, then scratch. */
static clv_status *run_on_clock(const clv_problem *problem, clv_draft *draft, double *group_us) {
    bool is_latency = problem->objective == CLV_LATENCY, is_changed;
    clv_steady one = {0}, many = {.group_period_us = group_us};
    CLV_TRY(ask_all(problem, draft, CLV_ONE_REQUEST, &one));
    draft->latency_us = one.latency_us;
    if (!is_latency) {
        CLV_TRY(ask_all(problem, draft, CLV_PLANNED_REQUESTS, &many));
        if (problem->request->depth == 0) {
            CLV_TRY(find_depth(problem, draft, &many, group_us + draft->num_groups));
        }
    }
    CLV_TRY(fit_on_clock(problem, draft, &is_changed));
    if (is_latency && draft->depth == 1) {
        draft->period_us = group_us[0] = one.latency_us;
        return NULL;
    }
    if (is_latency || is_changed) {
        CLV_TRY(ask_all(problem, draft, CLV_PLANNED_REQUESTS, &many));
    }
    clv_evaluate_begin(problem->ev);
    for (uint32_t g = 0; g < draft->num_groups; g++) {
        CLV_TRY(clv_evaluate_loads(problem->ev, &draft->groups[g], draft->groups[g].share));
    }
    draft->period_us = fmax(many.period_us, clv_evaluate_bound(problem->ev, NULL));
    group_us[0] = draft->num_groups == 1 ? draft->period_us : group_us[0];
    return NULL;
}

clv_status *clv_draft_clock(const clv_problem *problem, clv_draft *draft) {
    if (!clv_draft_is_clocked(problem, draft)) {
        return problem->costs->ask_memory != NULL ? clv_draft_check_fit(problem, draft) : NULL;
    }
    double *group_us = clv_alloc_zeroed(2 * (size_t)draft->num_groups, sizeof *group_us);
    clv_status *status =
        group_us != NULL ? run_on_clock(problem, draft, group_us) : NO_MEMORY_HERE();
    for (uint32_t g = 0; status == NULL && g < draft->num_groups; g++) {
        clv_group *group = &draft->groups[g];
        group->period_us = group_us[g] > 0 ? group_us[g] : group->period_us;
    }
    clv_free(group_us);
    return status;
}

/* --- comparing --- */

bool clv_draft_is_better(const clv_problem *problem, const clv_draft *a, const clv_draft *b) {
    bool by_latency = problem->objective == CLV_LATENCY;
    double first_a = by_latency ? a->latency_us : a->period_us;
    double first_b = by_latency ? b->latency_us : b->period_us;
    if (fabs(first_a - first_b) > 1e-12 * fmax(first_a, first_b)) { /* else the same, rounded */
        return first_a < first_b;
    }
    return by_latency ? a->period_us < b->period_us : a->latency_us < b->latency_us;
}

/* --- units that are alike --- */

static clv_status *are_alike(
    const clv_problem *problem, uint32_t a, uint32_t b, bool *out_are_alike) {
    const clv_costs *costs = problem->costs;
    const clv_machine *machine = costs->machine;
    const clv_unit *x = &machine->units[a], *y = &machine->units[b];
    const clv_memory *mx = &machine->memories[x->memory], *my = &machine->memories[y->memory];
    *out_are_alike = costs->class_of_unit[a] == costs->class_of_unit[b] &&
                     x->limit_bytes == y->limit_bytes && x->launch_us == y->launch_us &&
                     x->overlaps == y->overlaps && mx->capacity_bytes == my->capacity_bytes &&
                     mx->bandwidth == my->bandwidth;
    for (uint32_t i = 0; *out_are_alike && x->memory != y->memory && i < 4; i++) {
        double there_us, here_us, bytes = i % 2 == 0 ? 1 : 1 << 20;
        if (i < 2) {
            CLV_TRY(clv_costs_transfer_us(costs, CLV_NO_INDEX, a, bytes, &here_us));
            CLV_TRY(clv_costs_transfer_us(costs, CLV_NO_INDEX, b, bytes, &there_us));
        } else {
            CLV_TRY(clv_costs_transfer_us(costs, a, CLV_NO_INDEX, bytes, &here_us));
            CLV_TRY(clv_costs_transfer_us(costs, b, CLV_NO_INDEX, bytes, &there_us));
        }
        *out_are_alike = here_us == there_us;
    }
    return NULL;
}

clv_status *clv_units_by_kind(const clv_problem *problem, clv_kind_units *out_units) {
    const clv_costs *costs = problem->costs;
    uint32_t *first = clv_arena_alloc(problem->arena, (size_t)costs->num_kinds + 3, sizeof *first);
    out_units->first = first;
    out_units->units = clv_arena_alloc(problem->arena, problem->num_units, sizeof *first);
    if (first == NULL || out_units->units == NULL) {
        return NO_MEMORY_HERE();
    }
    memset(first, 0, ((size_t)costs->num_kinds + 3) * sizeof *first);
    for (uint32_t i = 0; i < problem->num_units; i++) {
        first[costs->kind_of_class[costs->class_of_unit[problem->units[i]]] + 2]++;
    }
    for (uint32_t k = 0; k <= costs->num_kinds; k++) {
        first[k + 2] += first[k + 1];
    }
    for (uint32_t i = 0; i < problem->num_units; i++) {
        uint32_t kind = costs->kind_of_class[costs->class_of_unit[problem->units[i]]];
        out_units->units[first[kind + 1]++] = problem->units[i];
    }
    return NULL;
}

/* Compares with those of the same class alone: `heads` [num_classes] 1 + the last one found of
 * each, `nexts` [num_units] 1 + the one found before. */
static clv_status *find_distinct(
    const clv_problem *problem, uint32_t *heads, uint32_t *nexts, uint32_t *out_units,
    uint32_t *out_count) {
    for (uint32_t i = 0; i < problem->num_units; i++) {
        uint32_t *head = &heads[problem->costs->class_of_unit[problem->units[i]]];
        bool is_known = false;
        CLV_TRY(clv_cancel_check());
        for (uint32_t k = *head; k > 0 && !is_known; k = nexts[k - 1]) {
            CLV_TRY(are_alike(problem, problem->units[i], out_units[k - 1], &is_known));
        }
        if (!is_known) {
            out_units[(*out_count)++] = problem->units[i];
            nexts[*out_count - 1] = *head;
            *head = *out_count;
        }
    }
    return NULL;
}

clv_status *clv_distinct_units(
    const clv_problem *problem, uint32_t *out_units, uint32_t *out_count) {
    size_t classes = problem->costs->num_classes;
    *out_count = 0;
    if (problem->num_units == 1) {
        out_units[(*out_count)++] = problem->units[0];
        return NULL;
    }
    uint32_t *heads = clv_alloc_zeroed(classes + problem->num_units, sizeof *heads);
    if (heads == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_status *status = find_distinct(problem, heads, heads + classes, out_units, out_count);
    clv_free(heads);
    return status;
}

/* --- units that may be used --- */

clv_status *clv_problem_no_unit(const clv_problem *problem) {
    const clv_costs *costs = problem->costs;
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        bool can_run = problem->pins[i] != CLV_NO_INDEX;
        for (uint32_t k = 0; k < problem->num_units && !can_run; k++) {
            can_run = clv_problem_allows(problem, i, problem->units[k]);
        }
        if (!can_run) {
            return CLV_ERROR(
                UNSUPPORTED, "no unit that may be used can run task '%s' (%s): there are '%s'%s",
                costs->workload->tasks[i].name, costs->workload->tasks[i].type,
                costs->machine->units[problem->units[0]].name,
                problem->num_units > 1 ? " and others" : "");
        }
    }
    return CLV_ERROR(UNSUPPORTED, "no assignment of tasks to the units that may be used was found");
}

static bool has_unit(const uint32_t *units, uint32_t count, uint32_t unit) {
    bool is_there = false;
    for (uint32_t i = 0; i < count && !is_there; i++) {
        is_there = units[i] == unit;
    }
    return is_there;
}

clv_status *clv_problem_first_units(
    const clv_problem *problem, uint32_t count, uint32_t *out_units) {
    const clv_workload *workload = problem->costs->workload;
    uint32_t num = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        uint32_t unit = problem->pins[i];
        if (unit == CLV_NO_INDEX || has_unit(out_units, num, unit)) {
            continue;
        }
        if (num == count) {
            return CLV_ERROR(
                USAGE,
                "task '%s', %s, cannot be there: policy '%s:%u' uses %u unit%s, and pins name more",
                workload->tasks[i].name, problem->pin_reasons[i], problem->level.policy->info.name,
                problem->level.count, count, count == 1 ? "" : "s");
        }
        out_units[num++] = unit;
    }
    for (uint32_t k = 0; k < problem->num_units && num < count; k++) {
        if (!has_unit(out_units, num, problem->units[k])) {
            out_units[num++] = problem->units[k];
        }
    }
    return NULL;
}

clv_status *clv_policy_run(
    const clv_problem *problem, clv_policy_level level, const clv_policy_level *inner,
    uint32_t num_inner, const uint32_t *units, uint32_t num_units, clv_draft *out_draft) {
    clv_problem part = *problem;
    part.level = level;
    part.inner = inner;
    part.num_inner = num_inner;
    part.units = units;
    part.num_units = num_units;
    *out_draft = (clv_draft){0};
    CLV_TRY(clv_cancel_check());
    return level.policy->make(&part, out_draft);
}
