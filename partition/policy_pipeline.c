/* Contiguous stages on units of their own, the most loaded unit or link doing least.
 *
 * First good cuts along several orders of the graph; then all down-closed cuts, where their number
 * is manageable. Where loads depend on which units are neighbours (links beside each other, shared
 * links, shared memory bandwidth), small problems are searched whole.
 */
#include "host/base/memory.h"
#include "host/base/text.h"
#include "partition/pipeline.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline")

enum { MAX_SETS = 100000 };
/* Steps of the walk along orders and over sets, and atoms looked at while sets are listed, for one
 * step of the budget. */
enum { ORDER_STEPS = 40, WALK_STEPS = 300, SET_STEPS = 20 };

/* --- accelerators made for one network: every task has its kind of unit --- */

/* A unit of those that are used, the least loaded that may run the task; CLV_NO_INDEX: none. */
static uint32_t least_loaded(
    const clv_problem *problem, const clv_kind_units *by_kind, uint32_t task, const bool *is_used,
    const double *load_us) {
    uint32_t best = CLV_NO_INDEX, num_units;
    const uint32_t *units = clv_units_of_task(problem, by_kind, task, &num_units);
    for (uint32_t k = 0; k < num_units; k++) {
        uint32_t unit = units[k];
        if ((is_used == NULL || is_used[unit]) && clv_problem_allows(problem, task, unit) &&
            (best == CLV_NO_INDEX || load_us[unit] < load_us[best])) {
            best = unit;
        }
    }
    return best;
}

/* Deals tasks out to the units in use; *out_missing is the first that none of them may run. */
static void deal_tasks(
    const clv_problem *problem, const clv_kind_units *by_kind, const bool *is_used,
    uint32_t *assignment, double *load_us, uint32_t *out_missing) {
    const clv_costs *costs = problem->costs;
    *out_missing = CLV_NO_TASK;
    memset(load_us, 0, costs->machine->num_units * sizeof *load_us);
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        uint32_t first = problem->first_of_colocation[i];
        uint32_t pin = problem->pins[i];
        uint32_t best = first < i             ? assignment[first]
                        : pin != CLV_NO_INDEX ? pin
                                              : least_loaded(problem, by_kind, i, is_used, load_us);
        if (best == CLV_NO_INDEX || (is_used != NULL && !is_used[best])) {
            *out_missing = i;
            return;
        }
        assignment[i] = best;
        load_us[best] += clv_costs_time_us(costs, i, best);
    }
}

/* The unit that would take most off the most loaded one: the first idle one that may run a task of
 * it; else any idle one that may run something. CLV_NO_INDEX: none. */
static uint32_t next_unit(
    const clv_problem *problem, const bool *is_used, const uint32_t *assignment,
    const double *load_us) {
    uint32_t best = CLV_NO_INDEX, from = CLV_NO_INDEX;
    for (uint32_t k = 0; k < problem->num_units; k++) {
        uint32_t unit = problem->units[k];
        for (uint32_t i = 0; !is_used[unit] && i < problem->costs->workload->num_tasks; i++) {
            uint32_t now = assignment[i];
            if (clv_problem_allows(problem, i, unit) &&
                (from == CLV_NO_INDEX || load_us[now] > load_us[from])) {
                best = unit;
                from = now;
            }
        }
    }
    return best;
}

/* At most `count` units: one for each task that none of those before can run, then more for the
 * most loaded. */
static clv_status *deal_to_few(
    const clv_problem *problem, const clv_kind_units *by_kind, uint32_t count, uint32_t *assignment,
    double *load_us) {
    const clv_costs *costs = problem->costs;
    uint32_t num_used = 0, missing;
    bool *is_used = clv_alloc_zeroed(costs->machine->num_units, sizeof *is_used);
    clv_status *status = is_used != NULL ? NULL : NO_MEMORY_HERE();
    while (status == NULL) {
        deal_tasks(problem, by_kind, is_used, assignment, load_us, &missing);
        uint32_t unit = missing == CLV_NO_TASK ? next_unit(problem, is_used, assignment, load_us)
                        : problem->pins[missing] != CLV_NO_INDEX
                            ? problem->pins[missing]
                            : least_loaded(problem, by_kind, missing, NULL, load_us);
        bool is_full = num_used == count;
        if (missing == CLV_NO_TASK && (is_full || unit == CLV_NO_INDEX)) {
            break;
        }
        const clv_task *task = missing != CLV_NO_TASK ? &costs->workload->tasks[missing] : NULL;
        if (is_full && problem->pins[missing] != CLV_NO_INDEX) {
            status = CLV_ERROR(
                USAGE, "task '%s', %s, cannot be there: 'pipeline:%u' has too few stages",
                task->name, problem->pin_reasons[missing], count);
        } else if (unit == CLV_NO_INDEX) {
            status = clv_problem_no_unit(problem);
        } else if (is_full) {
            status = CLV_ERROR(
                UNSUPPORTED,
                "'pipeline:%u' has too few stages: none of its units can run task '%s' (%s)", count,
                task->name, task->type);
        } else {
            is_used[unit] = true;
            num_used++;
        }
    }
    clv_free(is_used);
    return status;
}

static clv_status *deal_out(const clv_problem *problem, clv_draft *out_draft) {
    const clv_costs *costs = problem->costs;
    uint32_t count = costs->workload->num_tasks, missing = CLV_NO_TASK;
    uint32_t *assignment = clv_alloc_zeroed((size_t)count * 2, sizeof *assignment);
    double *load_us = clv_alloc_zeroed(costs->machine->num_units, sizeof *load_us);
    clv_kind_units by_kind;
    clv_status *status = NULL;
    if (assignment == NULL || load_us == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    CLV_TRY_DONE(clv_units_by_kind(problem, &by_kind));
    if (problem->level.count > 0) {
        CLV_TRY_DONE(deal_to_few(problem, &by_kind, problem->level.count, assignment, load_us));
    } else {
        deal_tasks(problem, &by_kind, NULL, assignment, load_us, &missing);
    }
    if (missing != CLV_NO_TASK) {
        status = clv_problem_no_unit(problem);
        goto done;
    }
    for (uint32_t i = 0; i < count; i++) {
        assignment[count + i] = i;
    }
    CLV_TRY_DONE(clv_draft_from_units(
        problem, assignment, assignment + count, "its kind of unit", out_draft));
    out_draft->method = "each task on the least loaded unit of its kind";
done:
    clv_free(assignment);
    clv_free(load_us);
    return status;
}

/* --- from a cut to a draft --- */

/* Stages take the units of their sort in order. */
static clv_status *draft_cut(const clv_pipe *pipe, const clv_pipe_cut *cut, clv_draft *out_draft) {
    uint32_t count = pipe->problem->costs->workload->num_tasks;
    uint32_t *assignment = clv_alloc_zeroed((size_t)count * 2, sizeof *assignment);
    uint32_t *unit_of_stage = clv_alloc_zeroed((size_t)cut->num_stages + 1, sizeof *unit_of_stage);
    uint32_t *taken = clv_alloc_zeroed(pipe->num_sorts, sizeof *taken);
    clv_status *status = NULL;
    if (assignment == NULL || unit_of_stage == NULL || taken == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    for (uint32_t s = 0; s < cut->num_stages; s++) {
        uint32_t sort = cut->sort[s];
        unit_of_stage[s] = pipe->units[pipe->sorts[sort].first + taken[sort]++];
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t stage = cut->stage[pipe->atom_of_task[i]];
        assignment[i] = unit_of_stage[stage];
        assignment[count + i] = stage;
    }
    CLV_TRY_DONE(clv_draft_from_units(
        pipe->problem, assignment, assignment + count, "keeps the most loaded stage small",
        out_draft));
done:
    clv_free(assignment);
    clv_free(unit_of_stage);
    clv_free(taken);
    return status;
}

/* The draft's true load, INFINITY where memory does not suffice. */
static clv_status *true_load(
    const clv_problem *problem, const clv_draft *draft, double *out_load_us) {
    clv_evaluate_begin(problem->ev);
    CLV_TRY(clv_evaluate_memory(
        problem->ev, draft->groups, problem->request->depth > 0 ? problem->request->depth : 1));
    bool fits = clv_evaluate_fits(problem->ev);
    CLV_TRY(clv_evaluate_loads(problem->ev, draft->groups, 1));
    *out_load_us = fits ? clv_evaluate_bound(problem->ev, NULL) : (double)INFINITY;
    return NULL;
}

/* --- the whole --- */

typedef struct search {
    uint32_t num_sets;   /* of the lattice that was searched whole */
    bool is_exact;       /* over all down-closed sets */
    bool is_least;       /* the longest of what must be in one stage sets the load */
    bool is_chain_exact; /* over each order */
} search;

/* Whether each atom of the order needs the one before it, so that there is no other order. */
static bool is_chain(const clv_pipe *pipe, const uint32_t *order) {
    for (uint32_t i = 0; i + 1 < pipe->num_atoms; i++) {
        bool is_next = false;
        for (uint32_t k = pipe->first_next[order[i]]; k < pipe->first_next[order[i] + 1]; k++) {
            is_next = is_next || pipe->next[k] == order[i + 1];
        }
        if (!is_next) {
            return false;
        }
    }
    return true;
}

static clv_status *search_orders(clv_pipe *pipe, uint64_t *steps, clv_pipe_cut *cut, search *out) {
    clv_lattice lattice = {0};
    clv_status *status = NULL;
    size_t count = pipe->num_atoms;
    uint32_t *orders = clv_alloc_zeroed(count * CLV_NUM_PIPE_ORDERS, sizeof *orders);
    if (orders == NULL) {
        return NO_MEMORY_HERE();
    }
    out->is_chain_exact = true;
    for (uint32_t which = 0; which < CLV_NUM_PIPE_ORDERS; which++) {
        uint32_t *order = orders + which * count;
        bool is_complete, is_known = false;
        CLV_TRY_DONE(clv_pipe_order(pipe, which, order));
        for (uint32_t k = 0; k < which && !is_known; k++) {
            is_known = memcmp(orders + k * count, order, count * sizeof *order) == 0;
        }
        if (is_known) {
            continue;
        }
        CLV_TRY_DONE(clv_pipe_fill(pipe, order, cut));
        CLV_TRY_DONE(clv_lattice_from_order(pipe, order, &lattice));
        CLV_TRY_DONE(clv_pipe_solve(pipe, &lattice, steps, cut, &is_complete));
        clv_lattice_deinit(&lattice);
        out->is_chain_exact = out->is_chain_exact && is_complete;
    }
    if (is_chain(pipe, orders)) {
        out->is_exact = out->is_chain_exact;
        out->num_sets = pipe->num_atoms + 1;
    }
done:
    clv_lattice_deinit(&lattice);
    clv_free(orders);
    return status;
}

static clv_status *search_cuts(clv_pipe *pipe, clv_pipe_cut *cut, search *out) {
    clv_lattice lattice = {0};
    bool is_complete;
    uint64_t steps = pipe->problem->budget * ORDER_STEPS;
    uint64_t limit = pipe->problem->budget * SET_STEPS / pipe->num_atoms + 1;
    *out = (search){0};
    CLV_TRY(search_orders(pipe, &steps, cut, out));
    out->is_least = cut->load_us <= pipe->bound_us;
    out->is_exact = out->is_exact || out->is_least;
    if (out->num_sets > 0 || out->is_least) {
        return NULL;
    }
    CLV_TRY(clv_lattice_from_graph(
        pipe, limit < MAX_SETS ? (uint32_t)limit : MAX_SETS, &lattice, &is_complete));
    if (!is_complete) {
        return NULL;
    }
    steps = pipe->problem->budget * WALK_STEPS;
    clv_status *status = clv_pipe_solve(pipe, &lattice, &steps, cut, &out->is_exact);
    out->num_sets = lattice.num_sets;
    clv_lattice_deinit(&lattice);
    return status;
}

/* Cuts by local loads; where memory then turns out short, once more counting every tensor. */
static clv_status *cut_and_check(
    clv_pipe *pipe, search *out, clv_draft *out_draft, double *out_load_us, bool *out_is_best) {
    clv_pipe_cut cut;
    clv_status *status = NULL;
    *out_load_us = (double)INFINITY;
    *out_is_best = false;
    for (int pass = 0; pass < 2; pass++) {
        clv_draft draft;
        double load_us = (double)INFINITY;
        pipe->is_careful = pass == 1;
        CLV_TRY(clv_pipe_cut_init(pipe, &cut));
        CLV_TRY_DONE(search_cuts(pipe, &cut, out));
        if (isfinite(cut.load_us)) {
            CLV_TRY_DONE(draft_cut(pipe, &cut, &draft));
            CLV_TRY_DONE(true_load(pipe->problem, &draft, &load_us));
        }
        if (isfinite(load_us)) {
            *out_draft = draft;
            *out_load_us = load_us;
            *out_is_best =
                pass == 0 && out->is_exact && pipe->is_bound && load_us <= cut.load_us * (1 + 1e-9);
            break;
        }
        clv_pipe_cut_deinit(&cut);
    }
done:
    clv_pipe_cut_deinit(&cut);
    return status;
}

static clv_status *describe(
    const clv_pipe *pipe, const search *s, bool is_best, clv_pipe_whole whole, clv_draft *draft) {
    clv_arena *arena = pipe->problem->arena;
    draft->is_exact_by_sums = whole == CLV_PIPE_WHOLE_NO && is_best;
    if (whole == CLV_PIPE_WHOLE_EXACT) {
        draft->method = "exact: every assignment was tried";
    } else if (whole == CLV_PIPE_WHOLE_BEST) {
        draft->method = "every assignment was tried by sums, the best of them on the clock";
    } else if (is_best && s->is_least) {
        draft->method = "exact: what must be in one stage takes as long";
    } else if (is_best) {
        draft->method = clv_arena_printf(arena, "exact over %u down-closed cuts", s->num_sets);
    } else if (s->is_exact && s->num_sets > 0) {
        draft->method = clv_arena_printf(
            arena,
            "best over %u down-closed cuts by the loads of single stages; links or memories "
            "are shared",
            s->num_sets);
    } else if (s->is_chain_exact) {
        draft->method = clv_arena_printf(
            arena, "best of %d linear orders, each cut exactly", (int)CLV_NUM_PIPE_ORDERS);
    } else {
        draft->method = clv_arena_printf(
            arena, "best of %d linear orders, units filled one after another",
            (int)CLV_NUM_PIPE_ORDERS);
    }
    return draft->method != NULL ? NULL : NO_MEMORY_HERE();
}

/* --- why there is none --- */

/* "core:0, core:1 and 6 more" */
static clv_status *name_units(const clv_pipe *pipe, clv_text *text) {
    enum { MOST_NAMES = 4 };
    uint32_t count = 0;
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        for (uint32_t i = 0; i < pipe->sorts[k].count; i++, count++) {
            const char *name =
                pipe->problem->costs->machine->units[pipe->units[pipe->sorts[k].first + i]].name;
            if (count < MOST_NAMES) {
                clv_text_add(text, "%s%s", count > 0 ? ", " : "", name);
            }
        }
    }
    if (count > MOST_NAMES) {
        clv_text_add(text, " and %u more", count - MOST_NAMES);
    }
    return text->data != NULL ? NULL : NO_MEMORY_HERE();
}

/* All units together cannot hold the weights: NULL where they can. */
static clv_status *no_room_for_weights(const clv_pipe *pipe) {
    double weights = 0, limits = 0;
    clv_text text;
    for (uint32_t i = 0; i < pipe->num_atoms; i++) {
        weights += pipe->weights[i];
    }
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        limits += (double)pipe->sorts[k].limit_bytes * pipe->sorts[k].count;
    }
    if (weights <= limits) {
        return NULL;
    }
    clv_text_init(&text);
    clv_status *status = name_units(pipe, &text);
    if (status == NULL) {
        status = CLV_ERROR(
            NO_MEMORY,
            "'%s' has %.0f bytes of weights and the units may hold %.0f (%s): %.0f are missing",
            pipe->problem->costs->workload->name, weights, limits, text.data, weights - limits);
    }
    clv_text_deinit(&text);
    return status;
}

/* The best cut were there memory enough; INFINITY load: there is none. */
static clv_status *cut_without_limits(clv_pipe *pipe, clv_pipe_cut *cut) {
    search s;
    pipe->is_careful = false;
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        pipe->sorts[k].limit_bytes = CLV_UNLIMITED;
    }
    return search_cuts(pipe, cut, &s);
}

static clv_status *can_cut(const clv_problem *problem, bool *out_can) {
    clv_pipe *pipe;
    clv_pipe_cut cut = {0};
    *out_can = false;
    clv_status *status = clv_pipe_create(problem, false, &pipe);
    if (status == NULL) {
        status = clv_pipe_cut_init(pipe, &cut);
    }
    if (status == NULL) {
        status = cut_without_limits(pipe, &cut);
        *out_can = status == NULL && isfinite(cut.load_us);
    } else if (clv_status_code(status) != CLV_NO_MEMORY) {
        clv_status_destroy(status);
        status = NULL;
    }
    clv_pipe_cut_deinit(&cut);
    clv_pipe_destroy(pipe);
    return status;
}

/* The first of the pins without which there is a cut; else the first of all. `pins` is scratch. */
static clv_status *find_bad_pin(const clv_problem *problem, uint32_t *pins, uint32_t *out_task) {
    enum { MOST_TRIED = 16 };
    uint32_t count = problem->costs->workload->num_tasks, num_tried = 0;
    clv_problem freed = *problem;
    bool can = false;
    *out_task = CLV_NO_TASK;
    freed.pins = pins;
    for (uint32_t i = 0; i < count && !can && num_tried < MOST_TRIED; i++) {
        bool is_first = problem->pins[i] != CLV_NO_INDEX;
        for (uint32_t k = 0; k < i && is_first; k++) {
            is_first = problem->pin_reasons[k] != problem->pin_reasons[i];
        }
        if (!is_first) {
            continue;
        }
        for (uint32_t k = 0; k < count; k++) {
            bool is_it = problem->pin_reasons[k] == problem->pin_reasons[i];
            pins[k] = is_it ? CLV_NO_INDEX : problem->pins[k];
        }
        CLV_TRY(can_cut(&freed, &can));
        *out_task = can || *out_task == CLV_NO_TASK ? i : *out_task;
        num_tried++;
    }
    return NULL;
}

/* No cut puts tasks where they can be: because of a pin, or for what units can run. */
static clv_status *no_cut(const clv_pipe *pipe) {
    const clv_problem *problem = pipe->problem;
    const clv_workload *workload = problem->costs->workload;
    uint32_t *pins = clv_alloc_zeroed(workload->num_tasks, sizeof *pins), task;
    if (pins == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_status *status = find_bad_pin(problem, pins, &task);
    clv_free(pins);
    CLV_TRY(status);
    if (task != CLV_NO_TASK) {
        return CLV_ERROR(
            USAGE,
            "task '%s', %s, cannot be there in a pipeline of at most %u stages: no cut has all "
            "pinned tasks on their units, each unit with one stage",
            workload->tasks[task].name, problem->pin_reasons[task], pipe->max_stages);
    }
    for (uint32_t i = 1; i < workload->num_tasks; i++) { /* where it cannot go on with one unit */
        const double *times = &pipe->time_us[(size_t)pipe->atom_of_task[i] * pipe->num_sorts];
        const double *first = &pipe->time_us[(size_t)pipe->atom_of_task[0] * pipe->num_sorts];
        bool are_apart = true;
        for (uint32_t k = 0; k < pipe->num_sorts; k++) {
            are_apart = are_apart && (isinf(times[k]) || isinf(first[k]));
        }
        if (are_apart) {
            return CLV_ERROR(
                UNSUPPORTED,
                "no cut into at most %u stages has every task on a unit that can run it: task "
                "'%s' (%s) needs another unit than '%s' (%s)",
                pipe->max_stages, workload->tasks[i].name, workload->tasks[i].type,
                workload->tasks[0].name, workload->tasks[0].type);
        }
    }
    return CLV_ERROR(
        UNSUPPORTED,
        "no cut into at most %u stages has every task on a unit that can run it, from task '%s' on",
        pipe->max_stages, workload->tasks[0].name);
}

/* Says what stands in the way: pins, units that cannot run tasks, or memory, how much of it and
 * where. Limits are gone afterwards. */
static clv_status *refuse(clv_pipe *pipe) {
    const clv_problem *problem = pipe->problem;
    uint32_t depth = problem->request->depth;
    clv_pipe_cut cut = {0};
    clv_draft draft;
    clv_status *room = no_room_for_weights(pipe), *status = NULL;
    CLV_TRY_DONE(clv_pipe_cut_init(pipe, &cut));
    CLV_TRY_DONE(cut_without_limits(pipe, &cut));
    if (isinf(cut.load_us)) {
        status = no_cut(pipe);
        goto done;
    }
    if (room != NULL) {
        status = room;
        room = NULL;
        goto done;
    }
    CLV_TRY_DONE(draft_cut(pipe, &cut, &draft));
    clv_evaluate_begin(problem->ev);
    CLV_TRY_DONE(clv_evaluate_memory(problem->ev, draft.groups, depth > 0 ? depth : 1));
    status = clv_evaluate_limits(problem->ev);
    status =
        status != NULL
            ? clv_status_prefix(
                  status, "no cut of '%s' that was tried fits; the most even one",
                  problem->costs->workload->name)
            : CLV_ERROR(UNSUPPORTED, "no cut of '%s' was found", problem->costs->workload->name);
done:
    clv_status_destroy(room);
    clv_pipe_cut_deinit(&cut);
    return status;
}

/* One pipe; *out_load_us is INFINITY where it has no cut. */
static clv_status *cut_pipe(clv_pipe *pipe, clv_draft *out_draft, double *out_load_us) {
    search s;
    bool is_best;
    CLV_TRY(cut_and_check(pipe, &s, out_draft, out_load_us, &is_best));
    clv_pipe_whole whole = CLV_PIPE_WHOLE_NO;
    if (clv_pipe_is_small(pipe)) {
        CLV_TRY(clv_pipe_search_whole(
            pipe, is_best ? *out_load_us : -(double)INFINITY, out_draft, &whole));
    }
    if (isinf(*out_load_us) && out_draft->groups == NULL) {
        return NULL;
    }
    CLV_TRY(true_load(pipe->problem, out_draft, out_load_us));
    return describe(pipe, &s, is_best, whole, out_draft);
}

/* Whether `a` does more than `b`, which need not be there. */
static clv_status *is_better_promise(
    const clv_problem *problem, clv_draft *a, clv_draft *b, bool *out_is_better) {
    double a_us, b_us = (double)INFINITY;
    CLV_TRY(clv_pipe_promise(problem, a, &a_us));
    if (b->groups != NULL) {
        CLV_TRY(clv_pipe_promise(problem, b, &b_us));
    }
    *out_is_better = a_us < b_us * (1 - 1e-9);
    return NULL;
}

/* Where the graph goes there and back again, a folded cut if that is better than *draft. */
static clv_status *try_folded(const clv_problem *problem, clv_draft *draft) {
    clv_pipe *pipe;
    clv_draft folded = {0};
    double load_us;
    bool is_better = false;
    clv_status *status = clv_pipe_create(problem, true, &pipe);
    if (clv_status_code(status) == CLV_UNSUPPORTED || clv_status_code(status) == CLV_USAGE) {
        clv_status_destroy(status);
        return NULL;
    }
    CLV_TRY(status);
    if (pipe->is_back != NULL) {
        CLV_TRY_DONE(cut_pipe(pipe, &folded, &load_us));
    }
    if (folded.groups != NULL) {
        clv_pipe_number_back(pipe, folded.groups);
        CLV_TRY_DONE(is_better_promise(problem, &folded, draft, &is_better));
    }
    if (is_better) {
        folded.method = clv_arena_printf(
            problem->arena, "%s; each unit with a part of the way there and of the way back",
            folded.method);
        status = folded.method != NULL ? NULL : NO_MEMORY_HERE();
        *draft = folded;
    }
done:
    clv_pipe_destroy(pipe);
    return status;
}

clv_status *clv_policy_make_pipeline(const clv_problem *problem, clv_draft *out_draft) {
    clv_pipe *pipe;
    double load_us = (double)INFINITY;
    if (problem->costs->machine->bespoke != CLV_BESPOKE_NO) {
        return deal_out(problem, out_draft);
    }
    *out_draft = (clv_draft){0};
    clv_status *refusal = clv_pipe_create(problem, false, &pipe);
    if (refusal == NULL) {
        refusal = cut_pipe(pipe, out_draft, &load_us);
    }
    if (refusal == NULL && out_draft->groups == NULL) {
        refusal = refuse(pipe);
    }
    clv_pipe_destroy(pipe);
    if (clv_status_code(refusal) == CLV_NO_MEMORY && out_draft->groups != NULL) {
        return refusal;
    }
    clv_status *status = try_folded(problem, out_draft);
    if (status == NULL && out_draft->groups == NULL) {
        return refusal;
    }
    clv_status_destroy(refusal);
    return status;
}
