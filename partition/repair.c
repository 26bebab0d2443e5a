/* Placements that fit, where a policy's own search has found none: from the cut of a pipeline, else
 * from everything where it is fastest, single tasks are moved until no unit and no memory holds too
 * much, and then as long as that makes things faster.
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "partition/policy.h"

#include <math.h>
#include <string.h>

/* MOST_MOVES: tries of moves, within the budget. PART: of these, what is scored as a whole.
 * MOST_REFUSED: placements that fit by sums and not on the clock. */
enum { MOST_MOVES = 20000, PART = 10, MOST_REFUSED = 50 };

bool clv_problem_has_limits(const clv_problem *problem) {
    const clv_machine *machine = problem->costs->machine;
    bool is_any = problem->request->num_pins > 0; /* to any units */
    for (uint32_t i = 0; i < problem->num_units && !is_any; i++) {
        const clv_unit *unit = &machine->units[problem->units[i]];
        is_any = unit->limit_bytes != CLV_UNLIMITED ||
                 machine->memories[unit->memory].capacity_bytes != CLV_UNLIMITED;
    }
    return is_any;
}

typedef struct repair {
    const clv_problem *problem;
    clv_draft draft; /* of whole tasks; changed in place */
    uint32_t *best;  /* [num_tasks] units */
    double best_us;  /* INFINITY: none fits yet */
    double now_us;   /* of the last that was scored */
    clv_random random;
    uint64_t moves;
    uint32_t num_refused;
    bool is_serial;
} repair;

static void set_unit(repair *r, uint32_t task, uint32_t unit) {
    const clv_problem *problem = r->problem;
    const clv_workload *workload = problem->costs->workload;
    uint32_t first = problem->first_of_colocation[task];
    r->draft.groups->pieces[task].unit = unit;
    for (uint32_t i = first; workload->tasks[task].colocation > 0 && i < workload->num_tasks; i++) {
        if (problem->first_of_colocation[i] == first) {
            r->draft.groups->pieces[i].unit = unit;
        }
    }
}

/* Bytes too many over all units and memories. */
static clv_status *measure_excess(repair *r, double *out_bytes) {
    uint32_t depth = r->is_serial ? 1 : r->problem->request->depth;
    clv_evaluate_begin(r->problem->ev);
    CLV_TRY(clv_evaluate_memory(r->problem->ev, r->draft.groups, depth > 0 ? depth : 1));
    *out_bytes = clv_evaluate_excess(r->problem->ev);
    return NULL;
}

/* What fits by sums, as a whole draft: INFINITY where the clock refuses it. */
static clv_status *promise(repair *r, double *out_us) {
    const clv_problem *problem = r->problem;
    clv_group *group = r->draft.groups;
    *out_us = (double)INFINITY;
    group->is_serial = r->is_serial;
    clv_status *status = clv_draft_score(problem, &r->draft);
    if (status == NULL) {
        status = clv_draft_clock(problem, &r->draft);
    }
    if (status == NULL) {
        *out_us = problem->objective == CLV_LATENCY ? r->draft.latency_us : r->draft.period_us;
        return NULL;
    }
    bool is_known =
        clv_status_code(status) == CLV_NO_MEMORY || clv_status_code(status) == CLV_UNSUPPORTED;
    if (is_known) {
        clv_status_destroy(status);
        r->num_refused++;
        return NULL;
    }
    return status;
}

static clv_status *keep_if_better(repair *r, bool *out_is_kept) {
    double us;
    CLV_TRY(promise(r, &us));
    r->now_us = us;
    *out_is_kept = us < r->best_us * (1 - 1e-12) || (isinf(r->best_us) && isfinite(us));
    if (*out_is_kept) {
        r->best_us = us;
        for (uint32_t i = 0; i < r->problem->costs->workload->num_tasks; i++) {
            r->best[i] = r->draft.groups->pieces[i].unit;
        }
    }
    return NULL;
}

/* A random task to a random unit; false where there is nothing to move. */
static bool draw_move(repair *r, uint32_t *out_task, uint32_t *out_old) {
    const clv_problem *problem = r->problem;
    *out_task = (uint32_t)clv_random_below(&r->random, problem->costs->workload->num_tasks);
    uint32_t unit = problem->units[clv_random_below(&r->random, problem->num_units)];
    *out_old = r->draft.groups->pieces[*out_task].unit;
    bool is_possible = unit != *out_old && problem->pins[*out_task] == CLV_NO_INDEX &&
                       clv_problem_allows(problem, *out_task, unit);
    if (is_possible) {
        set_unit(r, *out_task, unit);
    }
    return is_possible;
}

static void place_best(repair *r) {
    for (uint32_t i = 0; i < r->problem->costs->workload->num_tasks; i++) {
        r->draft.groups->pieces[i].unit = r->best[i];
    }
}

/* Moves that never hold more than before, and now and then one that does, until all fits. */
static clv_status *walk_until_it_fits(repair *r) {
    double excess = 0, first;
    CLV_TRY(measure_excess(r, &excess));
    first = excess;
    for (uint64_t i = 0; i < r->moves && r->num_refused < MOST_REFUSED; i++) {
        uint32_t task, old;
        double now = 0;
        bool is_kept = false;
        if (excess == 0) {
            CLV_TRY(keep_if_better(r, &is_kept));
        }
        if (excess == 0 && isfinite(r->now_us)) {
            return NULL;
        }
        if (!draw_move(r, &task, &old)) {
            continue;
        }
        CLV_TRY(measure_excess(r, &now));
        double heat = 0.1 * first * (1 - (double)i / (double)r->moves);
        double chance = heat > 0 ? exp((excess - now) / heat) : 0;
        if (now > excess && clv_random_unit(&r->random) >= chance) {
            set_unit(r, task, old);
        } else {
            excess = now;
        }
    }
    return NULL;
}

/* From the best, moves that keep it fitting: those that make it faster, and, as long as there is
 * `heat` (of the best, less and less), now and then one that makes it slower. */
static clv_status *improve(repair *r, uint64_t moves, double heat) {
    double now_us = r->best_us;
    place_best(r);
    for (uint64_t i = 0; i < moves && r->num_refused < MOST_REFUSED; i++) {
        uint32_t task, old;
        double excess = 0;
        bool is_kept = false;
        if (!draw_move(r, &task, &old)) {
            continue;
        }
        CLV_TRY(measure_excess(r, &excess));
        if (excess == 0) {
            CLV_TRY(keep_if_better(r, &is_kept));
        }
        double heat_us = heat * r->best_us * (1 - (double)i / (double)moves);
        double chance = heat_us > 0 && excess == 0 ? exp((now_us - r->now_us) / heat_us) : 0;
        if (is_kept || (chance > 0 && clv_random_unit(&r->random) < chance)) {
            now_us = r->now_us;
        } else {
            set_unit(r, task, old);
        }
    }
    return NULL;
}

/* Each task where it and its colocation are fastest; false: one can be nowhere. */
static bool place_fastest(repair *r) {
    const clv_problem *problem = r->problem;
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        uint32_t best = problem->pins[i];
        for (uint32_t k = 0; k < problem->num_units && problem->pins[i] == CLV_NO_INDEX; k++) {
            uint32_t unit = problem->units[k];
            if (clv_problem_allows(problem, i, unit) &&
                (best == CLV_NO_INDEX ||
                 clv_problem_atom_us(problem, i, unit) < clv_problem_atom_us(problem, i, best))) {
                best = unit;
            }
        }
        if (best == CLV_NO_INDEX) {
            return false;
        }
        r->draft.groups->pieces[i].unit = best;
    }
    return true;
}

/* What another policy makes, if it makes something. */
static void start_from(repair *r, const char *policy) {
    clv_policy_level level = {clv_policy_find(policy), 0};
    clv_problem part = *r->problem;
    clv_draft made;
    part.objective = CLV_THROUGHPUT;
    part.budget = r->problem->budget / 4 + 1;
    clv_status *status = clv_policy_run(&part, level, NULL, 0, part.units, part.num_units, &made);
    for (uint32_t i = 0; status == NULL && i < part.costs->workload->num_tasks; i++) {
        r->draft.groups->pieces[i].unit = made.groups[0].pieces[i].unit;
    }
    clv_status_destroy(status);
}

/* One unit that fits is what all moves must gain upon; else from the cut of a pipeline, else from
 * everything where it is fastest, to what fits. */
static clv_status *find_first(repair *r) {
    double excess = 0;
    bool is_kept;
    start_from(r, "single");
    CLV_TRY(measure_excess(r, &excess));
    if (excess == 0) {
        CLV_TRY(keep_if_better(r, &is_kept));
    }
    place_fastest(r);
    start_from(r, "pipeline");
    return walk_until_it_fits(r);
}

/* *draft becomes a placement of whole tasks that fits; unchanged where none is found. */
static clv_status *find_fit(repair *r, clv_draft *draft, bool *out_is_found) {
    const clv_problem *problem = r->problem;
    uint32_t count = problem->costs->workload->num_tasks;
    uint64_t moves = problem->budget / (1 + problem->ev->size);
    *out_is_found = false;
    r->moves = moves < MOST_MOVES ? moves : MOST_MOVES;
    r->best_us = (double)INFINITY;
    clv_random_init(&r->random, 1);
    r->best = clv_arena_alloc(problem->arena, count, sizeof *r->best);
    if (r->best == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
    }
    memset(r->best, 0, count * sizeof *r->best);
    CLV_TRY(clv_draft_from_units(problem, r->best, NULL, "fits here", &r->draft));
    if (!place_fastest(r)) {
        return NULL;
    }
    CLV_TRY(find_first(r));
    if (isinf(r->best_us)) {
        return NULL;
    }
    bool is_thorough = r->moves / PART / 2 >= (uint64_t)count * problem->num_units;
    uint64_t hot = is_thorough ? r->moves / PART / 2 : 0;
    CLV_TRY(improve(r, hot, 0.1));
    CLV_TRY(improve(r, r->moves / PART - hot, 0));
    place_best(r);
    r->draft.method = "whole tasks moved until all fits, then while that is faster";
    *draft = r->draft;
    CLV_TRY(clv_draft_score(problem, draft));
    *out_is_found = true;
    return clv_draft_clock(problem, draft);
}

/* Whether a policy places tasks as freely as a repair does. */
static bool may_repair(const clv_problem *problem, const clv_policy_spec *spec) {
    const char *name = spec->levels[0].policy->info.name;
    bool is_free =
        strcmp(name, "serial") == 0 || strcmp(name, "tensor") == 0 || strcmp(name, "branch") == 0;
    return is_free && problem->num_units > 1 && problem->request->tensor_shares == NULL &&
           problem->costs->machine->bespoke == CLV_BESPOKE_NO && clv_problem_has_limits(problem);
}

static clv_status *make(
    const clv_problem *problem, const clv_policy_spec *spec, clv_draft *out_draft) {
    CLV_TRY(clv_policy_run(
        problem, spec->levels[0], spec->levels + 1, spec->num_levels - 1, problem->units,
        problem->num_units, out_draft));
    CLV_TRY(clv_draft_score(problem, out_draft));
    return clv_draft_clock(problem, out_draft);
}

/* Where what seemed to fit by sums was refused, once more: sums have learned from that. */
static clv_status *make_anew(
    const clv_problem *problem, const clv_policy_spec *spec, clv_draft *out_draft) {
    enum { MOST_TRIED = 4 };
    clv_status *status = NULL;
    for (int i = 0; i < MOST_TRIED; i++) {
        const uint32_t before = problem->ev->num_learned;
        clv_status_destroy(status);
        status = make(problem, spec, out_draft);
        if (clv_status_code(status) != CLV_NO_MEMORY || problem->ev->num_learned == before) {
            break;
        }
    }
    return status;
}

/* What the policy makes without limits, held against them as it is, then with fewer requests in
 * flight: sums, by which searches go, may say more than it holds. NULL status: it fits. */
static clv_status *make_unlimited(
    const clv_problem *problem, const clv_policy_spec *spec, clv_draft *out_draft) {
    clv_problem unlimited = *problem;
    const bool ignored_before = problem->ev->ignores_limits;
    unlimited.any_limits = false;
    problem->ev->ignores_limits = true;
    clv_status *status = make(&unlimited, spec, out_draft);
    problem->ev->ignores_limits = ignored_before;
    CLV_TRY(status);
    status = clv_draft_check_fit(problem, out_draft);
    if (clv_status_code(status) == CLV_NO_MEMORY && out_draft->depth > 1) {
        clv_status_destroy(status);
        CLV_TRY(clv_draft_score(problem, out_draft));
        status = clv_draft_clock(problem, out_draft);
    }
    return status;
}

clv_status *clv_draft_make(
    const clv_problem *problem, const clv_policy_spec *spec, clv_draft *out_draft) {
    clv_problem part = *problem;
    repair r = {.problem = &part, .is_serial = spec->levels[0].policy == clv_policy_find("serial")};
    bool is_found = false;
    const uint64_t failures = clv_memory_failures();
    clv_status *refusal = make_anew(problem, spec, out_draft);
    const bool is_hosts = clv_memory_failures() != failures; /* that no other placement mends */
    /* auto has done so for each of its policies */
    const bool is_auto = spec->levels[0].policy == clv_policy_find("auto");
    if (clv_status_code(refusal) == CLV_NO_MEMORY && !is_hosts && !is_auto &&
        problem->costs->ask_memory != NULL) {
        clv_status *still = make_unlimited(problem, spec, out_draft);
        if (still == NULL || clv_status_code(still) == CLV_CANCELLED) {
            clv_status_destroy(refusal);
            return still;
        }
        clv_status_destroy(still);
    }
    if (clv_status_code(refusal) != CLV_NO_MEMORY || is_hosts || !may_repair(problem, spec)) {
        return refusal;
    }
    uint32_t most = spec->levels[0].count;
    if (most > 0 && most < problem->num_units) {
        uint32_t *units =
            clv_arena_alloc(problem->arena, problem->costs->machine->num_units, sizeof *units);
        if (units == NULL) {
            return refusal;
        }
        clv_status_destroy(clv_problem_first_units(problem, most, units)); /* pins were kept */
        part.units = units;
        part.num_units = most;
    }
    clv_status *status = find_fit(&r, out_draft, &is_found);
    if (status == NULL && !is_found) {
        return refusal;
    }
    clv_status_destroy(refusal);
    return status;
}
