/* Units that a plan gives no work, where that is not allowed: why. */
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

clv_status *clv_hold_groups(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups, bool is_clocked) {
    if (is_clocked) {
        return clv_clock_memory(problem, groups, num_groups);
    }
    bool is_known;
    return clv_evaluate_asked(problem->ev, groups, num_groups, &is_known);
}

/* What work is at least. */
typedef enum least_kind { A_COPY, A_PIECE, AN_OPERATOR } least_kind;

typedef struct least {
    least_kind kind;
    bool can_run;         /* anything at all */
    double bytes;         /* that the unit would hold */
    const char *obstacle; /* what the clock says against it; NULL: nothing */
} least;

static least_kind find_kind(const clv_policy_spec *spec) {
    least_kind kind = AN_OPERATOR;
    for (uint32_t i = 0; i < spec->num_levels; i++) {
        kind = strcmp(spec->levels[i].policy->info.name, "tensor") == 0 ? A_PIECE : kind;
    }
    bool is_data = strcmp(spec->levels[0].policy->info.name, "data") == 0;
    return is_data && spec->num_levels == 1 ? A_COPY : kind;
}

/* A whole copy with as few requests in flight as it could have. */
static clv_status *find_least_copy(
    const clv_problem *problem, const clv_plan *plan, uint32_t unit, least *out) {
    const clv_workload *workload = problem->costs->workload;
    clv_group group;
    uint32_t *units = clv_arena_alloc(problem->arena, workload->num_tasks, sizeof *units);
    if (units == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        if (!clv_problem_allows(problem, i, unit)) {
            out->can_run = false; /* no copy could be there, whatever it may hold */
            return NULL;
        }
        units[i] = unit;
    }
    out->can_run = true;
    CLV_TRY(clv_group_from_units(problem, units, NULL, "", &group));
    const uint32_t asked = problem->request->depth;
    group.depth = plan->groups[0].depth;
    group.is_serial = plan->groups[0].is_serial;
    for (uint32_t g = 1; g < plan->num_groups; g++) {
        group.depth = plan->groups[g].depth < group.depth ? plan->groups[g].depth : group.depth;
    }
    if (asked > 0) { /* its part, were it one of the copies */
        group.depth = asked > plan->num_groups ? asked / (plan->num_groups + 1) : 1;
        group.is_serial = group.depth == 1;
    }
    clv_draft draft = {.groups = &group, .num_groups = 1};
    clv_status *failure =
        clv_hold_groups(problem, &group, 1, clv_draft_is_clocked(problem, &draft));
    out->bytes = failure == NULL ? (double)problem->ev->held[unit] : 0;
    if (failure != NULL) {
        out->obstacle = clv_arena_strdup(problem->arena, clv_status_message(failure));
    }
    clv_status_destroy(failure);
    return NULL;
}

/* The smallest part of a task's weights and of what it writes, `written`, that a piece holds. */
static double find_least_piece(const clv_task *task, double written) {
    const double weights = (double)task->weight_bytes;
    double bytes = weights + written;
    for (uint32_t i = 0; i < task->num_splits; i++) {
        const clv_task_split *split = &task->splits[i];
        const int64_t grain = split->grain > 0 ? split->grain : 1;
        const double share = fmin((double)grain / (double)split->extent, 1);
        bytes = fmin(
            bytes, weights * (split->splits_weights ? share : 1) +
                       written * (split->join == CLV_TASK_PLACE ? share : 1));
    }
    return bytes;
}

/* A task, or a piece of one, of those that it can run: its weights and what it writes. */
static clv_status *find_least_task(const clv_problem *problem, uint32_t unit, least *out) {
    const clv_workload *workload = problem->costs->workload;
    double *written = clv_alloc_zeroed(workload->num_tasks, sizeof *written);
    if (written == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        const clv_task_tensor *tensor = &workload->tensors[i];
        if (tensor->producer != CLV_NO_TASK) {
            written[tensor->producer] += (double)tensor->resident;
        }
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        const clv_task *task = &workload->tasks[i];
        if (clv_problem_allows(problem, i, unit)) {
            double bytes = out->kind == A_PIECE ? find_least_piece(task, written[i])
                                                : (double)task->weight_bytes + written[i];
            out->bytes = out->can_run ? fmin(out->bytes, bytes) : bytes;
            out->can_run = true;
        }
    }
    clv_free(written);
    return NULL;
}

/* Where not even its smallest part is too much for the unit's memory. */
static const char *why_idle(
    const clv_problem *problem, const clv_policy_spec *spec, uint32_t index, const least *work) {
    const clv_unit *unit = &problem->costs->machine->units[index];
    const bool is_limited =
        unit->limit_bytes < problem->costs->machine->memories[unit->memory].capacity_bytes;
    const clv_policy_level *level = &spec->levels[0];
    bool is_pinned = level->policy == clv_policy_find("data") && level->count == 0 &&
                     clv_problem_find_pinned(problem) != CLV_NO_TASK;
    if (is_pinned) {
        return "copies of the whole have units of their own, so pins leave one copy; use "
               "pipeline or auto, leave the unit out";
    }
    if (work->obstacle != NULL) {
        return work->obstacle;
    }
    if (work->can_run && problem->request->tensor_shares != NULL) {
        return problem->request->tensor_shares[index] > 0
                   ? "its share is too small for a piece; give it a larger one, leave it out"
                   : "its share is 0; leave it out";
    }
    return work->can_run ? is_limited ? "it makes nothing faster there with the memory that it may "
                                        "use; leave it out"
                                      : "it makes nothing faster there; leave it out"
           : work->kind == A_COPY ? "it cannot run all operators, or pins keep some elsewhere; "
                                    "leave it out"
                                  : "it can run no operator, or pins keep them elsewhere; leave it "
                                    "out";
}

/* Why a unit has no work: its memory, where that holds no work at all, else that it cannot run it
 * or is too slow. */
static clv_status *refuse(
    const clv_problem *problem, const clv_policy_spec *spec, const clv_plan *plan, uint32_t index) {
    static const char *const names[] = {
        [A_COPY] = "a copy of the model",
        [A_PIECE] = "the smallest piece of an operator",
        [AN_OPERATOR] = "the smallest whole operator"};
    const clv_machine *machine = problem->costs->machine;
    const clv_unit *unit = &machine->units[index];
    const uint64_t capacity = machine->memories[unit->memory].capacity_bytes;
    const uint64_t limit = unit->limit_bytes < capacity ? unit->limit_bytes : capacity;
    const char *policy = problem->request->policy;
    least work = {.kind = find_kind(spec)};
    CLV_TRY(
        work.kind == A_COPY ? find_least_copy(problem, plan, index, &work)
                            : find_least_task(problem, index, &work));
    if (work.bytes > (double)limit) {
        return CLV_ERROR(
            USAGE,
            "unit '%s' would get no work under policy '%s': %s would hold at least %.0f bytes "
            "there, and it may hold %llu; give it more memory, leave it out, or allow idle units",
            unit->name, policy, names[work.kind], ceil(work.bytes), (unsigned long long)limit);
    }
    return CLV_ERROR(
        USAGE, "unit '%s' would get no work under policy '%s': %s, or allow idle units", unit->name,
        policy, why_idle(problem, spec, index, &work));
}

clv_status *clv_plan_check_idle(
    const clv_problem *problem, const clv_policy_spec *spec, const clv_plan *plan) {
    const clv_machine *machine = problem->costs->machine;
    const char *name = spec->levels[0].policy->info.name;
    /* each copy has a request in flight, and no more may be */
    uint32_t depth = problem->request->depth, count = spec->levels[0].count;
    bool is_shallow =
        strcmp(name, "data") == 0 && plan->num_groups == depth && (count == 0 || count > depth);
    bool may_idle = strcmp(name, "single") == 0 || strcmp(name, "serial") == 0 ||
                    strcmp(name, "auto") == 0 || problem->request->allow_idle;
    if (may_idle || is_shallow) {
        return NULL;
    }
    bool *has_work = clv_alloc_zeroed(machine->num_units, sizeof *has_work);
    if (has_work == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        for (uint32_t i = 0; i < plan->groups[g].num_pieces; i++) {
            has_work[plan->groups[g].pieces[i].unit] = true;
        }
    }
    clv_status *status = NULL;
    for (uint32_t i = 0; status == NULL && i < machine->num_units; i++) {
        if (!has_work[i]) {
            status = refuse(problem, spec, plan, i);
        }
    }
    clv_free(has_work);
    return status;
}
