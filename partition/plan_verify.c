/* Everything that must hold of a plan. */
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>

static const char *task_name(const clv_costs *costs, uint32_t task) {
    return costs->workload->tasks[task].name;
}

/* Shares are of one output, so that all who have one must see it. */
static clv_status *verify_shares(const clv_costs *costs, const clv_group *group, uint32_t task) {
    const clv_placement *p = &group->placements[task];
    const clv_piece *pieces = &group->pieces[p->first_piece];
    const clv_machine *machine = costs->machine;
    for (uint32_t k = 1; k < p->num_pieces; k++) {
        const clv_unit *first = &machine->units[pieces[0].unit];
        const clv_unit *unit = &machine->units[pieces[k].unit];
        if (unit->memory != first->memory) {
            return CLV_ERROR(
                MALFORMED, "task '%s': '%s' and '%s' have shares of it, and no memory in common",
                task_name(costs, task), first->name, unit->name);
        }
    }
    return NULL;
}

typedef struct marks {
    uint64_t *of_unit; /* [num_units]: the number of the placement that used it last */
    uint64_t count;    /* placements looked at */
} marks;

/* Pieces of a split task lie one after another from 0 to the extent, cut at multiples of grain, on
 * a unit each. */
static clv_status *verify_pieces(
    const clv_costs *costs, const clv_group *group, uint32_t task, const clv_task_split *split,
    marks *seen) {
    const clv_placement *p = &group->placements[task];
    int64_t at = 0;
    seen->count++;
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        const clv_piece *piece = &group->pieces[p->first_piece + k];
        bool is_last = k + 1 == p->num_pieces;
        if (piece->begin != at || piece->end <= at || piece->end > split->extent ||
            (!is_last && piece->end % split->grain != 0) ||
            (is_last && piece->end != split->extent)) {
            return CLV_ERROR(
                MALFORMED,
                "task '%s', split '%s': piece %u is %lld to %lld, must go on from %lld, in "
                "multiples of %lld, to %lld in all",
                task_name(costs, task), split->name, k, (long long)piece->begin,
                (long long)piece->end, (long long)at, (long long)split->grain,
                (long long)split->extent);
        }
        if (seen->of_unit[piece->unit] == seen->count) {
            return CLV_ERROR(
                MALFORMED, "task '%s': two pieces on '%s'", task_name(costs, task),
                costs->machine->units[piece->unit].name);
        }
        seen->of_unit[piece->unit] = seen->count;
        at = piece->end;
    }
    return split->join == CLV_TASK_SHARE ? verify_shares(costs, group, task) : NULL;
}

static clv_status *verify_placement(
    const clv_costs *costs, const clv_group *group, uint32_t task, marks *seen) {
    const clv_task *t = &costs->workload->tasks[task];
    const clv_placement *p = &group->placements[task];
    if (p->num_pieces == 0 || p->first_piece > group->num_pieces ||
        p->num_pieces > group->num_pieces - p->first_piece) {
        return CLV_ERROR(MALFORMED, "task '%s' is placed nowhere", t->name);
    }
    if (p->stage >= group->num_stages) {
        return CLV_ERROR(
            MALFORMED, "task '%s' is in stage %u; its replica has %u stage%s, counted from 0",
            t->name, p->stage, group->num_stages, group->num_stages == 1 ? "" : "s");
    }
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        uint32_t unit = group->pieces[p->first_piece + k].unit;
        if (unit >= costs->machine->num_units) {
            return CLV_ERROR(MALFORMED, "task '%s' is on a unit that does not exist", t->name);
        }
        if (isinf(clv_costs_time_us(costs, task, unit))) {
            return CLV_ERROR(
                UNSUPPORTED, "task '%s' cannot run on '%s'", t->name,
                costs->machine->units[unit].name);
        }
    }
    if (p->split < 0) {
        return p->num_pieces == 1
                   ? NULL
                   : CLV_ERROR(
                         MALFORMED, "task '%s' is whole and on %u units", t->name, p->num_pieces);
    }
    if ((uint32_t)p->split >= t->num_splits || t->colocation > 0) {
        return CLV_ERROR(
            MALFORMED, "task '%s' cannot be split%s", t->name,
            t->colocation > 0 ? ": it shares a unit with others" : " that way");
    }
    return verify_pieces(costs, group, task, &t->splits[p->split], seen);
}

/* Stages along edges do not go back. A unit may serve several. */
static clv_status *verify_stages(const clv_costs *costs, const clv_group *group) {
    const clv_workload *workload = costs->workload;
    if (costs->machine->bespoke != CLV_BESPOKE_NO) {
        return NULL; /* a functional unit serves every stage that has its type */
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        for (uint32_t k = 0; k < workload->tasks[i].num_inputs; k++) {
            uint32_t producer = workload->tensors[workload->tasks[i].inputs[k]].producer;
            if (producer != CLV_NO_TASK &&
                group->placements[producer].stage > group->placements[i].stage) {
                return CLV_ERROR(
                    MALFORMED, "task '%s' is in stage %u, before '%s' in stage %u",
                    task_name(costs, i), group->placements[i].stage, task_name(costs, producer),
                    group->placements[producer].stage);
            }
        }
    }
    return NULL;
}

static clv_status *verify_colocations(const clv_costs *costs, const clv_group *group) {
    const clv_workload *workload = costs->workload;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        uint32_t id = workload->tasks[i].colocation;
        largest = id > largest ? id : largest;
    }
    uint32_t *first = clv_alloc_zeroed((size_t)largest + 1, sizeof *first);
    clv_status *status =
        first != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for checking a plan");
    for (uint32_t i = 0; status == NULL && i < workload->num_tasks; i++) {
        uint32_t id = workload->tasks[i].colocation;
        if (id == 0) {
            continue;
        }
        if (first[id] == 0) {
            first[id] = i + 1;
            continue;
        }
        uint32_t a = group->pieces[group->placements[first[id] - 1].first_piece].unit;
        uint32_t b = group->pieces[group->placements[i].first_piece].unit;
        if (a != b) {
            status = CLV_ERROR(
                MALFORMED, "tasks '%s' and '%s' must share a unit and are on '%s' and '%s'",
                task_name(costs, first[id] - 1), task_name(costs, i), costs->machine->units[a].name,
                costs->machine->units[b].name);
        }
    }
    clv_free(first);
    return status;
}

/* The order has every task once, producers first. */
static clv_status *verify_order(const clv_costs *costs, const clv_group *group) {
    const clv_workload *workload = costs->workload;
    if (group->order == NULL) {
        return NULL;
    }
    uint32_t *position = clv_alloc_zeroed(workload->num_tasks, sizeof *position);
    clv_status *status =
        position != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for checking a plan");
    for (uint32_t i = 0; status == NULL && i < workload->num_tasks; i++) {
        uint32_t task = group->order[i];
        if (task >= workload->num_tasks || position[task] != 0) {
            status = CLV_ERROR(MALFORMED, "the plan's order of tasks is not one of all tasks");
            break;
        }
        position[task] = i + 1;
        for (uint32_t k = 0; status == NULL && k < workload->tasks[task].num_inputs; k++) {
            uint32_t producer = workload->tensors[workload->tasks[task].inputs[k]].producer;
            if (producer != CLV_NO_TASK && position[producer] == 0) {
                status = CLV_ERROR(
                    MALFORMED, "the plan's order has task '%s' before '%s', which it needs",
                    task_name(costs, task), task_name(costs, producer));
            }
        }
    }
    clv_free(position);
    return status;
}

static bool has_declared_limits(const clv_machine *machine) {
    bool is_any = false;
    for (uint32_t i = 0; i < machine->num_units; i++) {
        is_any = is_any || machine->units[i].limit_bytes != CLV_UNLIMITED;
    }
    return is_any;
}

/* Memory, and that the numbers are those of the loads. */
static clv_status *verify_numbers(const clv_costs *costs, const clv_plan *plan) {
    clv_evaluator *ev;
    clv_status *status = NULL;
    bool is_known;
    CLV_TRY(clv_evaluator_create(costs, &ev));
    clv_evaluate_begin(ev);
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        CLV_TRY_DONE(clv_evaluate_loads(ev, &plan->groups[g], plan->groups[g].share));
    }
    double bound_us = clv_evaluate_bound(ev, NULL);
    if (plan->period_us < bound_us * (1 - 1e-9) || !isfinite(plan->period_us) ||
        !isfinite(plan->latency_us)) {
        status = CLV_ERROR(
            MALFORMED, "the plan promises a period of %g us; its most loaded part needs %g",
            plan->period_us, bound_us);
        goto done;
    }
    CLV_TRY_DONE(
        (has_declared_limits(costs->machine) ? clv_evaluate_asked : clv_evaluate_for_limits)(
            ev, plan->groups, plan->num_groups, &is_known));
    CLV_TRY_DONE(clv_evaluate_limits(ev));
done:
    clv_evaluator_destroy(ev);
    return status;
}

/* Copies of the graph have units of their own. */
static clv_status *verify_units(const clv_costs *costs, const clv_plan *plan) {
    uint32_t *group_of = clv_alloc_zeroed(costs->machine->num_units, sizeof *group_of);
    clv_status *status =
        group_of != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for checking a plan");
    for (uint32_t g = 0; status == NULL && g < plan->num_groups; g++) {
        for (uint32_t i = 0; status == NULL && i < plan->groups[g].num_pieces; i++) {
            uint32_t unit = plan->groups[g].pieces[i].unit;
            if (group_of[unit] != 0 && group_of[unit] != g + 1) {
                status = CLV_ERROR(
                    MALFORMED, "unit '%s' is in replicas %u and %u; each has units of its own",
                    costs->machine->units[unit].name, group_of[unit] - 1, g);
            }
            group_of[unit] = g + 1;
        }
    }
    clv_free(group_of);
    return status;
}

static clv_status *verify_placements(const clv_costs *costs, const clv_plan *plan) {
    marks seen = {clv_alloc_zeroed(costs->machine->num_units, sizeof *seen.of_unit), 0};
    clv_status *status = seen.of_unit != NULL
                             ? NULL
                             : CLV_ERROR(NO_MEMORY, "out of host memory for checking a plan");
    for (uint32_t g = 0; status == NULL && g < plan->num_groups; g++) {
        for (uint32_t i = 0; status == NULL && i < costs->workload->num_tasks; i++) {
            status = verify_placement(costs, &plan->groups[g], i, &seen);
        }
    }
    clv_free(seen.of_unit);
    return status;
}

clv_status *clv_plan_structure_verify(const clv_costs *costs, const clv_plan *plan) {
    double share = 0;
    if (plan->num_groups == 0) {
        return CLV_ERROR(MALFORMED, "the plan has no groups");
    }
    CLV_TRY(verify_placements(costs, plan));
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        const clv_group *group = &plan->groups[g];
        share += group->share;
        if (!(group->share >= 0) || group->depth == 0) {
            return CLV_ERROR(
                MALFORMED, "group %u: share %g, depth %u", g, group->share, group->depth);
        }
        if (group->is_serial && group->depth > 1) {
            return CLV_ERROR(
                MALFORMED,
                "replicas[%u] is serial, and its depth is %u: it has one request in flight", g,
                group->depth);
        }
        CLV_TRY(verify_stages(costs, group));
        CLV_TRY(verify_colocations(costs, group));
        CLV_TRY(verify_order(costs, group));
    }
    if (!(fabs(share - 1) < 1e-6)) {
        return CLV_ERROR(MALFORMED, "the groups' shares add up to %g, must be 1", share);
    }
    return verify_units(costs, plan);
}

clv_status *clv_plan_verify(const clv_costs *costs, const clv_plan *plan) {
    CLV_TRY(clv_plan_structure_verify(costs, plan));
    return verify_numbers(costs, plan);
}
