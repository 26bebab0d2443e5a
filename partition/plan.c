#include "partition/plan.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

enum { DEFAULT_BUDGET = 2000000 };
static const double worthwhile_gain = 1.05;

void clv_plan_destroy(clv_plan *plan) {
    if (plan != NULL) {
        clv_arena_deinit(&plan->arena);
        clv_free(plan);
    }
}

/* --- what is said about a plan --- */

/* The memory that is most asked for, where units that share it slow each other down; else NULL. */
static clv_status *find_shared_memory(
    clv_evaluator *ev, const clv_plan *plan, const char **out_name) {
    const clv_machine *machine = ev->costs->machine;
    bool is_slowed = false;
    uint32_t most = 0;
    double *shared_us = clv_alloc_zeroed(plan->num_groups, sizeof *shared_us);
    clv_status *status = shared_us != NULL
                             ? clv_evaluate_sharing(ev, plan->groups, plan->num_groups, shared_us)
                             : NO_MEMORY_HERE();
    for (uint32_t g = 0; status == NULL && g < plan->num_groups; g++) {
        const clv_group *group = &plan->groups[g];
        double alone_us = fmax(group->bound_us, group->latency_us / group->depth);
        is_slowed = is_slowed ||
                    (!clv_group_blocks(ev->costs, group) && shared_us[g] > alone_us * (1 + 1e-9));
    }
    for (uint32_t i = 1; i < machine->num_memories; i++) {
        most = ev->memory_us[i] > ev->memory_us[most] ? i : most;
    }
    clv_free(shared_us);
    *out_name = is_slowed ? machine->memories[most].name : NULL;
    return status;
}

/* Why nothing is busy all the time. On the clock that is said to be for want of requests only
 * where one or two more in flight gain something. */
static clv_status *find_wait(
    const clv_problem *problem, const clv_plan *plan, const char **out_text) {
    const double least_gain = 1e-3;
    clv_draft draft = {.groups = plan->groups, .num_groups = plan->num_groups};
    clv_plan_depth rows[] = {{.depth = plan->depth + 1}, {.depth = plan->depth + 2}};
    *out_text = plan->depth <= 1 ? "one request at a time" : "requests in flight are too few";
    if (plan->depth <= 1 || plan->objective == CLV_LATENCY) {
        return NULL;
    }
    bool is_serial = true;
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        is_serial = is_serial && plan->groups[g].is_serial;
    }
    if (is_serial) {
        *out_text = "one request at a time in each copy";
        return NULL;
    }
    if (clv_group_blocks(problem->costs, plan->groups)) {
        *out_text = "output buffers are full at times";
        return NULL;
    }
    if (!clv_draft_is_clocked(problem, &draft)) {
        return NULL;
    }
    CLV_TRY(clv_plan_depths(problem->costs, plan, 2, rows));
    if (fmin(rows[0].period_us, rows[1].period_us) > plan->period_us * (1 - least_gain)) {
        *out_text = "steps wait for one another, which more requests in flight do not change";
    }
    return NULL;
}

/* Names what sets the period. */
static clv_status *find_limit(const clv_problem *problem, clv_plan *plan) {
    clv_evaluator *ev = problem->ev;
    const clv_machine *machine = ev->costs->machine;
    const char *wait;
    uint32_t where;
    const char *shared;
    clv_evaluate_begin(ev);
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        CLV_TRY(clv_evaluate_loads(ev, &plan->groups[g], plan->groups[g].share));
    }
    double bound_us = clv_evaluate_bound(ev, &where);
    bool is_processors =
        where >= machine->num_units + 2 * machine->num_links + machine->num_memories;
    CLV_TRY(find_shared_memory(ev, plan, &shared));
    if (plan->objective != CLV_LATENCY && shared != NULL && bound_us < plan->period_us) {
        plan->limit =
            clv_arena_printf(&plan->arena, "bandwidth of memory %s, which units share", shared);
    } else if (plan->objective == CLV_LATENCY || bound_us < plan->period_us * (1 - 1e-9)) {
        CLV_TRY(find_wait(problem, plan, &wait));
        plan->limit = clv_arena_printf(
            &plan->arena, "%s; most loaded is %s", wait,
            where < machine->num_units ? machine->units[where].name
            : is_processors            ? "a group of processors"
                                       : "a link or memory");
    } else if (where < machine->num_units) {
        uint32_t stage = 0;
        for (uint32_t i = 0; i < ev->costs->workload->num_tasks; i++) {
            const clv_placement *p = &plan->groups[0].placements[i];
            if (plan->groups[0].pieces[p->first_piece].unit == where) {
                stage = p->stage;
                break;
            }
        }
        plan->limit = plan->num_groups == 1 && plan->groups[0].num_stages > 1
                          ? clv_arena_printf(
                                &plan->arena, "stage %u on %s", stage, machine->units[where].name)
                          : clv_arena_printf(&plan->arena, "unit %s", machine->units[where].name);
    } else if (where < machine->num_units + 2 * machine->num_links) {
        uint32_t link = (where - machine->num_units) / 2;
        plan->limit = clv_arena_printf(&plan->arena, "link %s", machine->links[link].name);
    } else {
        uint32_t memory = where - machine->num_units - 2 * machine->num_links;
        plan->limit =
            memory < machine->num_memories
                ? clv_arena_printf(
                      &plan->arena, "bandwidth of memory %s", machine->memories[memory].name)
                : clv_arena_printf(
                      &plan->arena, "processors %s, which units share",
                      machine->processors[memory - machine->num_memories].name);
    }
    return plan->limit != NULL ? NULL : NO_MEMORY_HERE();
}

static clv_status *find_memory(const clv_problem *problem, clv_plan *plan) {
    uint32_t num_units = problem->costs->machine->num_units;
    clv_draft draft = {.groups = plan->groups, .num_groups = plan->num_groups};
    plan->memory_bytes = clv_arena_alloc(&plan->arena, num_units, sizeof *plan->memory_bytes);
    if (plan->memory_bytes == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY(clv_hold_groups(
        problem, plan->groups, plan->num_groups, clv_draft_is_clocked(problem, &draft)));
    memcpy(plan->memory_bytes, problem->ev->held, num_units * sizeof *plan->memory_bytes);
    return NULL;
}

/* The best single unit without pins, depth 1: what the plan is compared with. */
static clv_status *find_best_single(const clv_problem *problem, clv_plan *plan) {
    clv_plan_request request = {.objective = plan->objective, .has_objective = true};
    clv_problem free_problem = *problem;
    clv_draft draft = {0};
    free_problem.request = &request;
    free_problem.objective = plan->objective;
    plan->best_single_unit = CLV_NO_INDEX;
    CLV_TRY(clv_problem_read_pins(&free_problem));
    clv_policy_level single = {clv_policy_find("single"), 0};
    clv_status *status =
        clv_policy_run(&free_problem, single, NULL, 0, problem->units, problem->num_units, &draft);
    if (status != NULL) {
        clv_status_destroy(status);
        return NULL;
    }
    plan->best_single_unit = draft.groups[0].pieces[0].unit;
    plan->best_single_period_us = draft.period_us;
    plan->best_single_latency_us = draft.latency_us;
    double ours = plan->objective == CLV_LATENCY ? plan->latency_us : plan->period_us;
    double theirs = plan->objective == CLV_LATENCY ? draft.latency_us : draft.period_us;
    plan->gain = ours > 0 ? theirs / ours : 1;
    plan->worth_it = plan->gain >= worthwhile_gain;
    return NULL;
}

/* Policies try much that may fail, and take what does not. That the user has had enough, or that
 * the host ran out of memory meanwhile, is said by this: `failures` was clv_memory_failures()
 * before. */
static clv_status *own_up(clv_status *status, uint64_t failures) {
    clv_status *reason = clv_cancel_check();
    if (reason == NULL && clv_memory_failures() > failures) {
        reason = NO_MEMORY_HERE();
    }
    if (reason == NULL) {
        return status;
    }
    clv_status_destroy(status);
    return reason;
}

/* --- making --- */

/* Shares are for tensor alone; under another policy they would be ignored. */
static clv_status *check_shares(const clv_plan_request *request, const clv_policy_spec *spec) {
    bool is_tensor = request->tensor_shares == NULL;
    for (uint32_t i = 0; i < spec->num_levels; i++) {
        is_tensor = is_tensor || strcmp(spec->levels[i].policy->info.name, "tensor") == 0;
    }
    return is_tensor ? NULL
                     : CLV_ERROR(
                           USAGE,
                           "--tensor-split is for policy 'tensor' and products that hold it, not "
                           "for '%s'",
                           request->policy);
}

static clv_objective default_objective(const clv_policy_spec *spec) {
    const char *name = spec->levels[0].policy->info.name;
    bool is_throughput =
        strcmp(name, "pipeline") == 0 || strcmp(name, "data") == 0 || strcmp(name, "auto") == 0;
    return is_throughput ? CLV_THROUGHPUT : CLV_LATENCY;
}

/* All units, for a problem over the whole machine. */
static clv_status *list_units(const clv_costs *costs, clv_arena *arena, uint32_t **out_units) {
    *out_units = clv_arena_alloc(arena, costs->machine->num_units, sizeof **out_units);
    for (uint32_t i = 0; *out_units != NULL && i < costs->machine->num_units; i++) {
        (*out_units)[i] = i;
    }
    return *out_units != NULL ? NULL : NO_MEMORY_HERE();
}

/* The period of a group by itself; where buffers hold units up, its latency too. */
static clv_status *find_period(
    const clv_costs *costs, clv_group *group, uint32_t depth, double *out_period_us) {
    clv_steady steady = {0};
    if (clv_group_blocks(costs, group)) {
        clv_group alone = *group;
        alone.share = 1;
        alone.depth = depth;
        CLV_TRY(costs->ask_clock(
            costs, &alone, 1, depth == 1 ? CLV_ONE_REQUEST : CLV_PLANNED_REQUESTS, &steady));
        group->latency_us = steady.latency_us;
        *out_period_us = fmax(group->bound_us, steady.period_us);
        return NULL;
    }
    *out_period_us = fmax(group->bound_us, group->latency_us / depth);
    return NULL;
}

/* The load of a group that is most of one by itself, and the latency of one request. */
static clv_status *measure_alone(clv_evaluator *ev, clv_group *group) {
    clv_evaluate_begin(ev);
    CLV_TRY(clv_evaluate_loads(ev, group, 1));
    group->bound_us = clv_evaluate_bound(ev, NULL);
    return clv_evaluate_latency(ev, group, &group->latency_us, NULL);
}

static clv_status *measure_groups(clv_evaluator *ev, clv_plan *plan, double *shared_us) {
    double slowest_us = 0;
    plan->latency_us = (double)INFINITY;
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        clv_group *group = &plan->groups[g];
        CLV_TRY(measure_alone(ev, group));
        CLV_TRY(find_period(ev->costs, group, group->depth, &group->period_us));
        plan->latency_us = fmin(plan->latency_us, group->latency_us);
        plan->depth += group->depth;
    }
    CLV_TRY(clv_evaluate_sharing(ev, plan->groups, plan->num_groups, shared_us));
    clv_evaluate_begin(ev);
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        clv_group *group = &plan->groups[g];
        group->period_us = fmax(group->period_us, shared_us[g]);
        slowest_us = fmax(slowest_us, group->share * group->period_us);
        CLV_TRY(clv_evaluate_loads(ev, group, group->share));
    }
    plan->period_us = fmax(clv_evaluate_bound(ev, NULL), slowest_us);
    return NULL;
}

/* The plan's numbers as the clock has them, at its depth. */
static clv_status *measure_on_clock(const clv_problem *problem, clv_plan *plan) {
    clv_draft draft = {
        .groups = plan->groups,
        .num_groups = plan->num_groups,
        .depth = plan->depth,
        .period_us = plan->period_us,
        .latency_us = plan->latency_us};
    CLV_TRY(clv_draft_clock(problem, &draft));
    plan->period_us = draft.period_us;
    plan->latency_us = draft.latency_us;
    return NULL;
}

clv_status *clv_plan_measure(const clv_costs *costs, clv_plan *plan) {
    uint64_t failures = clv_memory_failures();
    clv_plan_request request = {.objective = plan->objective, .has_objective = true};
    clv_problem problem = {
        .costs = costs,
        .arena = &plan->arena,
        .num_units = costs->machine->num_units,
        .objective = plan->objective,
        .request = &request,
        .budget = DEFAULT_BUDGET};
    uint32_t *units;
    clv_evaluator *ev;
    clv_status *status = NULL;
    double *shared_us = clv_arena_alloc(&plan->arena, plan->num_groups, sizeof *shared_us);
    if (shared_us == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY(list_units(costs, &plan->arena, &units));
    CLV_TRY(clv_evaluator_create(costs, &ev));
    problem.units = units;
    problem.ev = ev;
    problem.any_limits = clv_problem_has_limits(&problem);
    CLV_TRY_DONE(measure_groups(ev, plan, shared_us));
    request.depth = plan->depth;
    CLV_TRY_DONE(measure_on_clock(&problem, plan));
    CLV_TRY_DONE(find_memory(&problem, plan));
    CLV_TRY_DONE(find_limit(&problem, plan));
    status = find_best_single(&problem, plan);
done:
    clv_evaluator_destroy(ev);
    return own_up(status, failures);
}

static clv_status *say_method(const clv_problem *problem, const clv_draft *draft, clv_plan *plan) {
    const double same = 1e-3;
    plan->method = draft->method != NULL ? draft->method : "";
    const clv_group *group = &draft->groups[0];
    double sums_us = fmax(group->bound_us, group->latency_us / group->depth);
    if (draft->is_exact_by_sums && plan->objective != CLV_LATENCY &&
        clv_draft_is_clocked(problem, draft) && draft->period_us > sums_us * (1 + same)) {
        plan->method = clv_arena_printf(
            &plan->arena, "%s by sums, which on the clock is slower", plan->method);
    }
    return plan->method != NULL ? NULL : NO_MEMORY_HERE();
}

static clv_status *fill_plan(
    const clv_problem *problem, const clv_policy_spec *spec, const clv_draft *draft,
    clv_plan *plan) {
    plan->groups = draft->groups;
    plan->num_groups = draft->num_groups;
    plan->depth = draft->depth;
    plan->period_us = draft->period_us;
    plan->latency_us = draft->latency_us;
    CLV_TRY(say_method(problem, draft, plan));
    plan->policy = draft->policy != NULL
                       ? draft->policy
                       : clv_policy_format(&plan->arena, spec->levels, spec->num_levels);
    if (plan->policy == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY(find_memory(problem, plan));
    CLV_TRY(find_limit(problem, plan));
    CLV_TRY(clv_plan_check_idle(problem, spec, plan));
    return find_best_single(problem, plan);
}

/* What was made with depths of its own, with the requests in flight that were asked for: the draft
 * where it is better or there is no other. */
static clv_status *try_at_depth(
    const clv_problem *problem, clv_draft *own, bool has_other, clv_draft *draft) {
    clv_status *status = clv_draft_score(problem, own);
    if (status == NULL) {
        status = clv_draft_clock(problem, own);
    }
    if (status == NULL && (!has_other || clv_draft_is_better(problem, own, draft))) {
        *draft = *own;
    }
    return status;
}

/* The draft for a depth that was asked for: that which chooses this depth by itself, or the better
 * of what is found for the depth and of what another was chosen for. */
static clv_status *make_at_depth(
    const clv_problem *problem, const clv_policy_spec *spec, clv_draft *out_draft) {
    clv_plan_request request = *problem->request;
    clv_problem part = *problem;
    clv_draft own;
    request.depth = 0;
    part.request = &request;
    part.may_choose_depth = spec->levels[0].policy == clv_policy_find("auto");
    clv_status *failure = clv_draft_make(&part, spec, &own);
    if (failure == NULL && own.depth == problem->request->depth) {
        *out_draft = own;
        return NULL;
    }
    clv_status *status = clv_draft_make(problem, spec, out_draft);
    if (failure == NULL) {
        bool has_other = status == NULL;
        failure = try_at_depth(problem, &own, has_other, out_draft);
        if (failure == NULL) {
            clv_status_destroy(status);
            status = NULL;
        }
    }
    clv_status_destroy(failure);
    return status;
}

static clv_status *make_plan(
    const clv_costs *costs, const clv_plan_request *request, clv_evaluator *ev, clv_plan *plan) {
    clv_policy_spec spec;
    clv_draft draft;
    uint32_t num_units = costs->machine->num_units;
    if (request->depth > CLV_MOST_DEPTH) {
        return CLV_ERROR(
            USAGE, "%u requests in flight, at most %d can be", request->depth, CLV_MOST_DEPTH);
    }
    CLV_TRY(clv_policy_parse(request->policy, &spec));
    CLV_TRY(check_shares(request, &spec));
    uint32_t *units;
    CLV_TRY(list_units(costs, &plan->arena, &units));
    plan->objective = request->has_objective ? request->objective : default_objective(&spec);
    plan->workload_hash = costs->workload->hash;
    clv_problem problem = {
        .costs = costs,
        .ev = ev,
        .arena = &plan->arena,
        .units = units,
        .num_units = num_units,
        .objective = plan->objective,
        .request = request,
        .budget = request->budget > 0 ? request->budget : DEFAULT_BUDGET,
        .may_choose_depth =
            request->depth == 0 && spec.levels[0].policy == clv_policy_find("auto")};
    problem.any_limits = clv_problem_has_limits(&problem);
    CLV_TRY(clv_problem_read_pins(&problem));
    CLV_TRY(
        request->depth > 0 ? make_at_depth(&problem, &spec, &draft)
                           : clv_draft_make(&problem, &spec, &draft));
    CLV_TRY(fill_plan(&problem, &spec, &draft, plan));
    return clv_plan_verify(costs, plan);
}

static clv_status *create(
    const clv_costs *costs, const clv_plan_request *request, clv_plan **out_plan) {
    clv_status *status = NULL;
    clv_evaluator *ev = NULL;
    *out_plan = NULL;
    clv_plan *plan = clv_alloc_zeroed(1, sizeof *plan);
    if (plan == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_arena_init(&plan->arena, 0);
    CLV_TRY_DONE(clv_evaluator_create(costs, &ev));
    CLV_TRY_DONE(make_plan(costs, request, ev, plan));
    *out_plan = plan;
    plan = NULL;
done:
    clv_evaluator_destroy(ev);
    clv_plan_destroy(plan);
    return status;
}

clv_status *clv_plan_advise(
    clv_status *status, const clv_costs *costs, const clv_plan_request *request) {
    if (request->policy != NULL && strcmp(request->policy, "auto") == 0 && request->depth == 0) {
        return clv_status_suffix(status, "; no plan was found that fits"); /* all were tried */
    }
    clv_plan_request other = *request;
    other.policy = "auto";
    other.depth = 0;
    other.tensor_shares = NULL;
    other.num_tensor_shares = 0;
    clv_plan *found, *same;
    clv_status_destroy(create(costs, &other, &found));
    if (found == NULL) {
        return clv_status_suffix(status, "; no other plan was found that fits");
    }
    other.policy = found->policy;
    other.depth = found->depth;
    other.objective = found->objective;
    other.has_objective = true;
    clv_status *refusal = create(costs, &other, &same);
    bool is_idle = clv_status_code(refusal) == CLV_USAGE && !other.allow_idle;
    if (is_idle) {
        other.allow_idle = true;
        clv_status_destroy(refusal);
        refusal = create(costs, &other, &same);
    }
    status = refusal != NULL ? clv_status_suffix(status, "; what fits: --policy auto")
                             : clv_status_suffix(
                                   status, "; what fits: --policy %s --depth %u%s", found->policy,
                                   found->depth, is_idle ? " --allow-idle" : "");
    clv_status_destroy(refusal);
    clv_plan_destroy(same);
    clv_plan_destroy(found);
    return status;
}

clv_status *clv_plan_create(
    const clv_costs *costs, const clv_plan_request *request, clv_plan **out_plan) {
    uint64_t failures = clv_memory_failures();
    clv_status *status = own_up(create(costs, request, out_plan), failures);
    if (status != NULL) {
        clv_plan_destroy(*out_plan);
        *out_plan = NULL;
    }
    /* Not for want of the host's own memory. */
    if (clv_status_code(status) == CLV_NO_MEMORY && clv_memory_failures() == failures) {
        status = clv_plan_advise(status, costs, request);
    }
    return status;
}

/* --- other depths --- */

/* A period that ends in a deadlock is INFINITY. Takes `status`. */
static clv_status *or_deadlock(clv_status *status, double *period_us) {
    if (clv_status_code(status) == CLV_UNSUPPORTED) {
        clv_status_destroy(status);
        *period_us = (double)INFINITY;
        return NULL;
    }
    return status;
}

/* When a group would end one request more, were all its requests there at once. */
typedef struct next_end {
    double end_us;
    uint32_t group;
} next_end;

static int compare_ends(const void *left, const void *right) {
    const next_end *a = left, *b = right;
    if (a->end_us != b->end_us) {
        return a->end_us < b->end_us ? -1 : 1;
    }
    return a->group < b->group ? -1 : 1;
}

clv_status *clv_deal_depth(
    const clv_group *groups, uint32_t num_groups, uint32_t depth, uint32_t *out_depths) {
    uint64_t total = 0, num_serial = 0, left;
    uint32_t num_ends = 0;
    for (uint32_t g = 0; g < num_groups; g++) {
        total += groups[g].depth;
        num_serial += groups[g].is_serial;
    }
    bool is_more = depth > total; /* all else is for those that are not serial */
    if (is_more) {
        total -= num_serial;
        depth -= (uint32_t)num_serial;
    }
    next_end *ends = clv_alloc_zeroed(num_groups, sizeof *ends);
    if (ends == NULL) {
        return NO_MEMORY_HERE();
    }
    left = total > 0 ? depth : 0;
    for (uint32_t g = 0; g < num_groups; g++) {
        const clv_group *group = &groups[g];
        bool is_dealt = total > 0 && !(is_more && group->is_serial);
        uint64_t parts = is_dealt ? (uint64_t)group->depth * depth : 0; /* of total */
        out_depths[g] = is_dealt ? (uint32_t)(parts / total) : is_more && group->is_serial;
        left -= is_dealt ? out_depths[g] : 0;
        if (is_dealt && parts % total > 0) {
            ends[num_ends++] = (next_end){group->latency_us + out_depths[g] * group->bound_us, g};
        }
    }
    if (left > 0) {
        qsort(ends, num_ends, sizeof *ends, compare_ends);
    }
    /* More groups have a part of one than parts are left. */
    for (uint32_t i = 0; i < left; i++) {
        out_depths[ends[i].group]++;
    }
    clv_free(ends);
    return NULL;
}

/* Groups with as many requests in flight as `depth` has for each; those that have none are left
 * out. `depths` is scratch. */
static clv_status *deal_depth(
    const clv_plan *plan, uint32_t depth, uint32_t *depths, clv_group *out_groups,
    uint32_t *out_count) {
    uint32_t count = 0;
    CLV_TRY(clv_deal_depth(plan->groups, plan->num_groups, depth, depths));
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        if (depths[g] > 0) {
            out_groups[count] = plan->groups[g];
            out_groups[count++].depth = depths[g];
        }
    }
    *out_count = count;
    return NULL;
}

clv_status *clv_plan_deal(const clv_costs *costs, clv_plan *plan, uint32_t depth) {
    double share = 0;
    clv_evaluator *ev = NULL;
    clv_status *status = NULL;
    uint32_t *depths = clv_alloc_zeroed(plan->num_groups, sizeof *depths);
    if (depths == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY_DONE(clv_evaluator_create(costs, &ev));
    for (uint32_t g = 0; g < plan->num_groups && plan->num_groups > 1; g++) {
        CLV_TRY_DONE(measure_alone(ev, &plan->groups[g]));
    }
    CLV_TRY_DONE(deal_depth(plan, depth, depths, plan->groups, &plan->num_groups));
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        share += plan->groups[g].share;
    }
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        clv_group *group = &plan->groups[g];
        group->share = share > 0 ? group->share / share : 1.0 / plan->num_groups;
    }
done:
    clv_evaluator_destroy(ev);
    clv_free(depths);
    return status;
}

/* The period by sums, at least row->period_us. */
static clv_status *sum_period(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, double *shared_us,
    clv_plan_depth *row) {
    double rate = 0;
    CLV_TRY(clv_evaluate_sharing(ev, groups, num_groups, shared_us));
    for (uint32_t g = 0; g < num_groups; g++) {
        double alone_us;
        clv_group copy = groups[g];
        CLV_TRY(or_deadlock(find_period(ev->costs, &copy, copy.depth, &alone_us), &alone_us));
        rate += 1 / fmax(fmax(alone_us, shared_us[g]), 1e-12);
    }
    row->period_us = fmax(row->period_us, 1 / rate);
    return NULL;
}

static clv_status *fill_depth(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups, double *shared_us,
    clv_plan_depth *row) {
    clv_draft draft = {.groups = (clv_group *)groups, .num_groups = num_groups};
    double share = 0;
    for (uint32_t g = 0; g < num_groups; g++) {
        share += groups[g].share;
    }
    bool is_clocked = share > 1 - 1e-6 && clv_draft_is_clocked(problem, &draft);
    CLV_TRY(sum_period(problem->ev, groups, num_groups, shared_us, row));
    if (is_clocked && isfinite(row->period_us)) {
        clv_steady steady = {0};
        clv_status *status = problem->costs->ask_clock(
            problem->costs, groups, num_groups, CLV_PLANNED_REQUESTS, &steady);
        row->period_us = steady.period_us;
        CLV_TRY(or_deadlock(status, &row->period_us));
    }
    if (isinf(row->period_us)) { /* a deadlock: there is no such run */
        return NULL;
    }
    CLV_TRY(clv_hold_groups(problem, groups, num_groups, is_clocked));
    row->fits = clv_evaluate_fits(problem->ev);
    for (uint32_t i = 0; i < problem->costs->machine->num_units; i++) {
        row->memory_bytes += problem->ev->held[i];
    }
    return NULL;
}

clv_status *clv_plan_depths(
    const clv_costs *costs, const clv_plan *plan, uint32_t num_rows, clv_plan_depth *rows) {
    clv_evaluator *ev = NULL;
    clv_problem problem = {.costs = costs, .objective = plan->objective, .budget = DEFAULT_BUDGET};
    uint64_t failures = clv_memory_failures();
    clv_status *status = NULL;
    clv_group *groups = clv_alloc_zeroed(plan->num_groups, sizeof *groups);
    double *shared_us = clv_alloc_zeroed(plan->num_groups, sizeof *shared_us);
    uint32_t *depths = clv_alloc_zeroed(plan->num_groups, sizeof *depths);
    if (groups == NULL || shared_us == NULL || depths == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    CLV_TRY_DONE(clv_evaluator_create(costs, &ev));
    problem.ev = ev;
    clv_evaluate_begin(ev);
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        CLV_TRY_DONE(clv_evaluate_loads(ev, &plan->groups[g], plan->groups[g].share));
    }
    double bound_us = clv_evaluate_bound(ev, NULL);
    for (uint32_t i = 0; i < num_rows; i++) {
        clv_plan_depth *row = &rows[i];
        uint32_t num_groups;
        CLV_TRY_DONE(deal_depth(plan, row->depth, depths, groups, &num_groups));
        *row = (clv_plan_depth){.depth = row->depth, .period_us = bound_us};
        CLV_TRY_DONE(fill_depth(&problem, groups, num_groups, shared_us, row));
    }
done:
    clv_free(groups);
    clv_free(depths);
    clv_free(shared_us);
    clv_evaluator_destroy(ev);
    return own_up(status, failures);
}
