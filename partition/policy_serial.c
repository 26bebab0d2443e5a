/* One task at a time, each where the whole is fastest: the sum of the tasks' times and of every
 * tensor's way to each memory that reads it.
 *
 * By dynamic programming where tasks form a forest (every tensor read by one task, every task
 * reading one): exact where its sum, which counts nothing that need not be, is what the plan takes.
 * On small problems every assignment is tried. Else the forest of each task's largest input is
 * solved, and improved by moving single tasks and runs of neighbours.
 */
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

enum { MAX_ASSIGNMENTS = 30000, MOST_REFUSED = 300 };

typedef struct serial {
    const clv_problem *problem;
    const clv_workload *workload;
    clv_unit_choice choice;
    const uint32_t *labels; /* units to choose from, [num_labels] */
    uint32_t num_labels;
    uint32_t *first_line; /* [num_labels * num_labels + 1] into lines: a tensor's ways */
    clv_path_line *lines;
    size_t capacity_lines;
    double *exchange_us;              /* [num_labels][num_labels] a byte that another unit wrote */
    double *own_us;                   /* [num_tasks][num_labels], at the first of a colocation */
    double *message_us;               /* [num_tasks][num_labels]: least cost of the tree below */
    uint32_t *parent, *parent_tensor; /* [num_tasks] */
    uint32_t *reader;                 /* [num_tasks]: of the parent's tensor, in the colocation */
    uint32_t *label;                  /* [num_tasks] chosen, at the first of a colocation */
    uint32_t *assignment;             /* [num_tasks] scratch for drafts */
    bool has_limits;                  /* of memory */
    uint32_t num_refused;             /* by the clock, of what sums let pass */
    bool is_refused;                  /* something faster holds too much */
    bool has_ways;                    /* some unit is not on the first one's memory */
    bool is_forest;
    double forest_us; /* the least sum; of a forest no plan on these units takes less */
} serial;

static double way_us(const serial *s, uint32_t from, uint32_t to, uint64_t bytes) {
    size_t at = (size_t)from * s->num_labels + to;
    double us = bytes == 0 ? 0 : (double)INFINITY;
    for (uint32_t i = s->first_line[at]; i < s->first_line[at + 1]; i++) {
        us = fmin(us, s->lines[i].latency_us + (double)bytes * s->lines[i].us_per_byte);
    }
    return us;
}

/* What getting a byte takes that another unit on its memory wrote. */
static double exchange_us_per_byte(const clv_machine *machine, uint32_t from, uint32_t to) {
    const clv_unit *unit = &machine->units[to];
    const double exchange = machine->memories[unit->memory].exchange;
    bool is_needed = from != to && machine->units[from].memory == unit->memory;
    return is_needed && isfinite(exchange) ? 1e6 / exchange / unit->speed : 0;
}

static clv_status *fill_ways(serial *s) {
    const clv_costs *costs = s->problem->costs;
    const clv_unit *units = costs->machine->units;
    for (uint32_t at = 0; at < s->num_labels * s->num_labels; at++) {
        uint32_t from = s->labels[at / s->num_labels], to = s->labels[at % s->num_labels];
        uint32_t first = s->first_line[at], count;
        if (!clv_array_reserve(
                (void **)&s->lines, &s->capacity_lines, first + (size_t)CLV_MOST_PATHS,
                sizeof *s->lines)) {
            return NO_MEMORY_HERE();
        }
        CLV_TRY(clv_routes_lines(
            costs->routes, units[from].memory, units[to].memory, s->lines + first, &count));
        s->first_line[at + 1] = first + count;
        s->exchange_us[at] = exchange_us_per_byte(costs->machine, from, to);
        s->has_ways = s->has_ways || units[from].memory != clv_machine_home(costs->machine);
    }
    return NULL;
}

/* Times of tasks, and of the ways of inputs and outputs from and to where they live. */
static clv_status *fill_own(serial *s) {
    const clv_problem *problem = s->problem;
    for (uint32_t i = 0; i < s->workload->num_tasks; i++) {
        const clv_task *task = &s->workload->tasks[i];
        double *own = &s->own_us[(size_t)problem->first_of_colocation[i] * s->num_labels];
        for (uint32_t k = 0; k < s->num_labels; k++) {
            uint32_t unit = s->labels[k];
            double way;
            own[k] += clv_problem_allows(problem, i, unit)
                          ? clv_costs_time_us(problem->costs, i, unit) +
                                problem->costs->machine->units[unit].launch_us
                          : (double)INFINITY;
            for (uint32_t x = 0; x < task->num_inputs; x++) {
                const clv_task_tensor *tensor = &s->workload->tensors[task->inputs[x]];
                if (tensor->producer == CLV_NO_TASK && tensor->bytes > 0) {
                    CLV_TRY(clv_costs_transfer_us(
                        problem->costs, CLV_NO_INDEX, unit, (double)tensor->bytes, &way));
                    own[k] += way;
                }
            }
            for (uint32_t y = 0; y < task->num_outputs; y++) {
                const clv_task_tensor *tensor = &s->workload->tensors[task->outputs[y]];
                if (tensor->is_output && tensor->bytes > 0) {
                    CLV_TRY(clv_costs_transfer_us(
                        problem->costs, unit, CLV_NO_INDEX, (double)tensor->bytes, &way));
                    own[k] += way;
                }
            }
        }
    }
    return NULL;
}

/* --- the forest --- */

static void find_parents(serial *s) {
    const uint32_t *first = s->problem->first_of_colocation;
    s->is_forest = true;
    for (uint32_t i = 0; i < s->workload->num_tasks; i++) {
        s->parent[i] = CLV_NO_TASK;
    }
    for (uint32_t x = 0; x < s->workload->num_tensors; x++) {
        const clv_task_tensor *tensor = &s->workload->tensors[x];
        uint32_t readers = 0;
        bool is_sent = tensor->is_output && s->has_ways; /* home, on links that readers share */
        for (uint32_t i = 0; i < tensor->num_consumers && tensor->bytes > 0; i++) {
            uint32_t child = first[tensor->consumers[i]];
            uint32_t from = tensor->producer == CLV_NO_TASK ? CLV_NO_TASK : first[tensor->producer];
            if (from == child) {
                continue;
            }
            s->is_forest = s->is_forest && ++readers == 1 && !is_sent;
            if (from == CLV_NO_TASK) {
                continue;
            }
            s->is_forest = s->is_forest && s->parent[child] == CLV_NO_TASK && from < child;
            bool is_larger = s->parent[child] == CLV_NO_TASK ||
                             s->workload->tensors[s->parent_tensor[child]].bytes < tensor->bytes;
            if (from < child && is_larger) {
                s->parent[child] = from;
                s->parent_tensor[child] = x;
                s->reader[child] = tensor->consumers[i];
            }
        }
    }
}

static bool takes_no_time(const serial *s, uint32_t task, uint32_t label) {
    return clv_costs_time_us(s->problem->costs, task, s->labels[label]) == 0;
}

/* What getting the parent's tensor takes. What one who takes no time has, others wrote: who did is
 * not known here. */
static double edge_us(const serial *s, uint32_t child, uint32_t above, uint32_t label) {
    const clv_task_tensor *tensor = &s->workload->tensors[s->parent_tensor[child]];
    double us = way_us(s, above, label, tensor->bytes);
    double exchange = s->exchange_us[(size_t)above * s->num_labels + label];
    if (exchange > 0 && !takes_no_time(s, tensor->producer, above) &&
        !takes_no_time(s, s->reader[child], label)) {
        us += exchange * (double)tensor->bytes;
    }
    return us;
}

/* The label of `child` that is best below a parent with label `above`. */
static uint32_t best_below(const serial *s, uint32_t child, uint32_t above, double *out_us) {
    const double *mine = &s->message_us[(size_t)child * s->num_labels];
    uint32_t best = 0;
    *out_us = (double)INFINITY;
    for (uint32_t k = 0; k < s->num_labels; k++) {
        double us = mine[k] + edge_us(s, child, above, k);
        if (us < *out_us) {
            *out_us = us;
            best = k;
        }
    }
    return best;
}

static void solve_forest(serial *s) {
    uint32_t count = s->workload->num_tasks, labels = s->num_labels;
    memcpy(s->message_us, s->own_us, (size_t)count * labels * sizeof *s->message_us);
    for (uint32_t i = count; i-- > 0;) {
        for (uint32_t k = 0; s->parent[i] != CLV_NO_TASK && k < labels; k++) {
            double us;
            best_below(s, i, k, &us);
            s->message_us[(size_t)s->parent[i] * labels + k] += us;
        }
    }
    s->forest_us = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double *mine = &s->message_us[(size_t)i * labels];
        double us;
        s->label[i] = 0;
        if (s->parent[i] != CLV_NO_TASK) {
            s->label[i] = best_below(s, i, s->label[s->parent[i]], &us);
        } else {
            for (uint32_t k = 1; k < labels; k++) {
                s->label[i] = mine[k] < mine[s->label[i]] ? k : s->label[i];
            }
            s->forest_us += mine[s->label[i]];
        }
    }
}

/* --- drafts --- */

/* By sums and then, where they say yes and it is not too much, by whoever can tell or in a run on
 * the clock, which has the last word. */
static clv_status *check_fit(serial *s, const clv_draft *draft, bool *out_fits) {
    clv_evaluate_begin(s->problem->ev);
    CLV_TRY(clv_evaluate_memory(s->problem->ev, draft->groups, 1));
    *out_fits = clv_evaluate_fits(s->problem->ev);
    if (s->has_limits && *out_fits && s->num_refused < MOST_REFUSED) {
        CLV_TRY(clv_draft_hold(s->problem, draft));
        *out_fits = clv_evaluate_fits(s->problem->ev);
        s->num_refused += *out_fits ? 0 : 1;
    }
    return NULL;
}

/* Keeps a draft that fits where it is better; its time is INFINITY where it does not fit. */
static clv_status *keep_if_better(
    serial *s, clv_draft *draft, clv_draft *best, clv_status **refusal, double *out_us) {
    bool fits = false;
    *out_us = (double)INFINITY;
    clv_status *failure = clv_draft_score(s->problem, draft);
    if (failure == NULL) {
        CLV_TRY(check_fit(s, draft, &fits));
    }
    if (failure == NULL && !fits) {
        failure = clv_evaluate_limits(s->problem->ev);
    }
    if (failure == NULL) {
        *out_us = draft->latency_us;
        if (best->groups == NULL || clv_draft_is_better(s->problem, draft, best)) {
            *best = *draft;
        }
    }
    *refusal = clv_refusal_join(*refusal, failure);
    return NULL;
}

static clv_status *try_labels(serial *s, clv_draft *best, clv_status **refusal, double *out_us) {
    clv_draft draft;
    *out_us = (double)INFINITY;
    for (uint32_t i = 0; i < s->workload->num_tasks; i++) {
        s->assignment[i] = s->labels[s->label[s->problem->first_of_colocation[i]]];
        if (!clv_problem_allows(s->problem, i, s->assignment[i])) {
            return NULL;
        }
    }
    CLV_TRY(clv_draft_from_units(
        s->problem, s->assignment, NULL, "makes the whole fastest, transfers counted", &draft));
    draft.groups[0].is_serial = true;
    return keep_if_better(s, &draft, best, refusal, out_us);
}

/* All on one label where that is possible, else each such task where it is fastest. */
static void label_all(serial *s, uint32_t label) {
    for (uint32_t i = 0; i < s->workload->num_tasks; i++) {
        const double *own = &s->own_us[(size_t)i * s->num_labels];
        s->label[i] = label < s->num_labels ? label : 0;
        for (uint32_t k = 0; k < s->num_labels; k++) {
            bool must_move = label == s->num_labels || isinf(own[label]);
            s->label[i] = must_move && own[k] < own[s->label[i]] ? k : s->label[i];
        }
    }
}

/* --- moves, measured on the whole: the truth, links shared by readers and all --- */

static clv_status *measure(serial *s, const clv_draft *draft, double *out_us) {
    clv_evaluate_begin(s->problem->ev);
    CLV_TRY(clv_evaluate_loads(s->problem->ev, draft->groups, 1));
    *out_us = s->problem->ev->serial_us;
    return NULL;
}

static void relabel(serial *s, clv_draft *draft, uint32_t first, uint32_t label) {
    s->label[first] = label;
    for (uint32_t i = first; i < s->workload->num_tasks; i++) {
        if (s->problem->first_of_colocation[i] == first) {
            draft->groups[0].pieces[i].unit = s->labels[label];
        }
        if (s->workload->tasks[first].colocation == 0) {
            break;
        }
    }
}

/* Moves single tasks, then runs of 2, 4, ... neighbours in order, while that helps. */
static clv_status *improve(serial *s, const clv_draft *best, clv_draft *draft) {
    uint32_t count = s->workload->num_tasks;
    uint64_t tries = s->problem->budget / (3 * s->problem->ev->size);
    double best_us = 0, us = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t unit = best->groups[0].pieces[i].unit, k = 0;
        while (s->labels[k] != unit) {
            k++;
        }
        s->label[i] = k;
        draft->groups[0].pieces[i].unit = unit;
    }
    CLV_TRY(measure(s, draft, &best_us));
    uint32_t *old = s->assignment;
    for (uint32_t length = 1; length <= count && tries > 0; length *= 2) {
        for (uint32_t begin = 0; begin + length <= count && tries > 0; begin++) {
            for (uint32_t k = 0; k < s->num_labels && tries > 0; k++, tries--) {
                memcpy(old, s->label, count * sizeof *old);
                bool is_possible = true;
                for (uint32_t i = begin; i < begin + length; i++) {
                    uint32_t first = s->problem->first_of_colocation[i];
                    is_possible =
                        is_possible && !isinf(s->own_us[(size_t)first * s->num_labels + k]);
                }
                for (uint32_t i = begin; is_possible && i < begin + length; i++) {
                    relabel(s, draft, s->problem->first_of_colocation[i], k);
                }
                if (!is_possible) {
                    continue;
                }
                CLV_TRY(measure(s, draft, &us));
                bool fits = false;
                if (us < best_us * (1 - 1e-12)) {
                    CLV_TRY(check_fit(s, draft, &fits));
                }
                if (fits) {
                    best_us = us;
                    continue;
                }
                for (uint32_t i = begin; i < begin + length; i++) {
                    uint32_t first = s->problem->first_of_colocation[i];
                    relabel(s, draft, first, old[first]);
                }
            }
        }
    }
    return NULL;
}

/* Every assignment. */
static clv_status *enumerate(serial *s, clv_draft *draft) {
    uint32_t count = s->workload->num_tasks;
    double best_us = (double)INFINITY, us = 0;
    uint32_t *best = s->assignment;
    memset(s->label, 0, count * sizeof *s->label);
    for (;;) {
        bool is_possible = true;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t first = s->problem->first_of_colocation[i];
            draft->groups[0].pieces[i].unit = s->labels[s->label[first]];
            is_possible =
                is_possible && !isinf(s->own_us[(size_t)first * s->num_labels + s->label[first]]);
        }
        if (is_possible) {
            bool fits = false;
            CLV_TRY(measure(s, draft, &us));
            if (us < best_us) {
                CLV_TRY(check_fit(s, draft, &fits));
                s->is_refused = s->is_refused || !fits;
            }
            if (fits) {
                best_us = us;
                memcpy(best, s->label, count * sizeof *best);
            }
        }
        uint32_t at = 0;
        while (at < count &&
               (s->problem->first_of_colocation[at] != at || ++s->label[at] == s->num_labels)) {
            s->label[at++] = 0;
        }
        if (at == count) {
            break;
        }
    }
    memcpy(s->label, best, count * sizeof *best);
    return NULL;
}

/* How the plan was found, and what it was chosen from where that is not all that there is. */
static clv_status *name_method(
    const serial *s, const char *method, const char *exact, const char **out) {
    bool has_room = !s->is_refused || s->num_labels >= s->problem->num_units;
    *out = method;
    if (s->choice.num_sorts > s->num_labels) {
        *out = clv_arena_printf(
            s->problem->arena, "%s, on %u of %u sorts of units", method, s->num_labels,
            s->choice.num_sorts);
    } else if (exact != NULL && (!s->choice.is_complete || !has_room)) {
        *out = clv_arena_printf(s->problem->arena, "%s, on one unit of each sort", method);
    } else if (exact != NULL) {
        *out = exact;
    }
    return *out != NULL ? NULL : NO_MEMORY_HERE();
}

static bool is_small(const serial *s) {
    double assignments = 1;
    for (uint32_t i = 0; i < s->workload->num_tasks && assignments <= MAX_ASSIGNMENTS; i++) {
        assignments *= s->problem->first_of_colocation[i] == i ? s->num_labels : 1;
    }
    return assignments <= MAX_ASSIGNMENTS;
}

static clv_status *search(serial *s, clv_draft *out_draft, clv_status **refusal) {
    clv_draft draft;
    double us;
    for (uint32_t k = 0; k <= s->num_labels; k++) {
        label_all(s, k);
        CLV_TRY(try_labels(s, out_draft, refusal, &us));
    }
    find_parents(s);
    solve_forest(s);
    CLV_TRY(try_labels(s, out_draft, refusal, &us));
    if (s->is_forest && us <= s->forest_us * (1 + 1e-9)) {
        return name_method(
            s, "best over a forest of tasks", "exact over a forest of tasks", &out_draft->method);
    }
    memset(s->assignment, 0, s->workload->num_tasks * sizeof *s->assignment);
    CLV_TRY(clv_draft_from_units(s->problem, s->assignment, NULL, "", &draft));
    draft.groups[0].is_serial = true;
    if (is_small(s)) {
        CLV_TRY(enumerate(s, &draft));
        CLV_TRY(try_labels(s, out_draft, refusal, &us));
        return name_method(
            s, "every assignment was tried", "exact: every assignment was tried",
            &out_draft->method);
    }
    if (out_draft->groups != NULL && s->num_labels > 1) {
        CLV_TRY(improve(s, out_draft, &draft));
        CLV_TRY(try_labels(s, out_draft, refusal, &us));
    }
    return name_method(
        s, "forest of the largest inputs, improved by moving runs of tasks", NULL,
        &out_draft->method);
}

/* --- more units than can be tried together --- */

/* When a task can end on a unit, the ways of its inputs counted; `assignment` of those before. */
static clv_status *measure_unit(
    const clv_problem *problem, const uint32_t *assignment, uint32_t task, uint32_t unit,
    double *out_us) {
    const clv_workload *workload = problem->costs->workload;
    *out_us = clv_costs_time_us(problem->costs, task, unit);
    for (uint32_t x = 0; x < workload->tasks[task].num_inputs; x++) {
        const clv_task_tensor *tensor = &workload->tensors[workload->tasks[task].inputs[x]];
        uint32_t from =
            tensor->producer == CLV_NO_TASK ? CLV_NO_INDEX : assignment[tensor->producer];
        double way_us = 0;
        if (tensor->bytes > 0) {
            CLV_TRY(
                clv_costs_transfer_us(problem->costs, from, unit, (double)tensor->bytes, &way_us));
        }
        *out_us += way_us;
    }
    return NULL;
}

/* Each task in turn on the unit of its kind where it and its inputs' ways take least. */
static clv_status *deal_out(const clv_problem *problem, clv_draft *out_draft) {
    uint32_t count = problem->costs->workload->num_tasks;
    uint32_t *assignment = clv_arena_alloc(problem->arena, count, sizeof *assignment);
    clv_kind_units by_kind;
    if (assignment == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY(clv_units_by_kind(problem, &by_kind));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t num_units, first = problem->first_of_colocation[i];
        const uint32_t *units = clv_units_of_task(problem, &by_kind, i, &num_units);
        double best_us = (double)INFINITY;
        assignment[i] = first < i ? assignment[first] : problem->pins[i];
        uint32_t best = assignment[i];
        for (uint32_t k = 0; k < num_units && assignment[i] == CLV_NO_INDEX; k++) {
            double us = (double)INFINITY;
            if (clv_problem_allows(problem, i, units[k])) {
                CLV_TRY(measure_unit(problem, assignment, i, units[k], &us));
            }
            if (us < best_us) {
                best_us = us;
                best = units[k];
            }
        }
        assignment[i] = best;
        if (best == CLV_NO_INDEX) {
            return clv_problem_no_unit(problem);
        }
    }
    const char *reason = problem->costs->machine->bespoke != CLV_BESPOKE_NO
                             ? "its kind of unit"
                             : "it and the ways of its inputs take least";
    CLV_TRY(clv_draft_from_units(problem, assignment, NULL, reason, out_draft));
    out_draft->groups[0].is_serial = true;
    out_draft->method = "each task where it and the ways of its inputs take least";
    return clv_draft_score(problem, out_draft);
}

/* What knows of every unit, and of no unit together with all others. */
static clv_status *try_all_units(serial *s, clv_draft *best, clv_status **refusal) {
    const clv_problem *problem = s->problem;
    const clv_policy_level single = {clv_policy_find("single"), 0};
    const uint64_t looks = (uint64_t)s->workload->num_tasks * problem->num_units;
    double us;
    for (int i = 0; i < 2; i++) {
        clv_draft draft = {0};
        if (i == 0 ? s->num_labels > 0 : s->num_labels > 0 && looks > problem->budget) {
            continue; /* the best single one is among the chosen */
        }
        clv_status *failure =
            i == 0 ? clv_policy_run(
                         problem, single, NULL, 0, problem->units, problem->num_units, &draft)
                   : deal_out(problem, &draft);
        if (failure == NULL) {
            CLV_TRY(keep_if_better(s, &draft, best, refusal, &us));
        }
        *refusal = clv_refusal_join(*refusal, failure);
    }
    return NULL;
}

static clv_status *make_tables(serial *s, clv_arena *arena) {
    size_t count = s->workload->num_tasks, labels = s->num_labels;
    s->first_line = clv_arena_alloc(arena, labels * labels + 1, sizeof(uint32_t));
    s->exchange_us = clv_arena_alloc(arena, labels * labels, sizeof(double));
    s->own_us = clv_arena_alloc(arena, count * labels, sizeof(double));
    s->message_us = clv_arena_alloc(arena, count * labels, sizeof(double));
    s->parent = clv_arena_alloc(arena, count, sizeof(uint32_t));
    s->parent_tensor = clv_arena_alloc(arena, count, sizeof(uint32_t));
    s->reader = clv_arena_alloc(arena, count, sizeof(uint32_t));
    s->label = clv_arena_alloc(arena, count, sizeof(uint32_t));
    s->assignment = clv_arena_alloc(arena, count, sizeof(uint32_t));
    if (s->first_line == NULL || s->exchange_us == NULL || s->own_us == NULL ||
        s->message_us == NULL || s->parent == NULL || s->parent_tensor == NULL ||
        s->reader == NULL || s->label == NULL || s->assignment == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY(fill_ways(s));
    return fill_own(s);
}

clv_status *clv_policy_make_serial(const clv_problem *problem, clv_draft *out_draft) {
    serial s = {
        .problem = problem,
        .workload = problem->costs->workload,
        .has_limits = !problem->ev->ignores_limits && clv_problem_has_limits(problem)};
    clv_status *status = NULL, *refusal = NULL;
    clv_arena arena;
    CLV_TRY(clv_choose_units(problem, &s.choice));
    s.labels = s.choice.units;
    s.num_labels = s.choice.count;
    bool is_cut = s.choice.num_sorts > s.choice.count;
    if (is_cut && problem->costs->machine->bespoke != CLV_BESPOKE_NO) {
        return deal_out(problem, out_draft);
    }
    clv_arena_init(&arena, 0);
    CLV_TRY_DONE(make_tables(&s, &arena));
    if (s.num_labels > 0) {
        CLV_TRY_DONE(search(&s, out_draft, &refusal));
    }
    if (is_cut) {
        CLV_TRY_DONE(try_all_units(&s, out_draft, &refusal));
    }
    if (out_draft->groups == NULL) {
        status = refusal != NULL ? refusal : clv_problem_no_unit(problem);
        refusal = NULL;
    }
done:
    clv_free(s.lines);
    clv_status_destroy(refusal);
    clv_arena_deinit(&arena);
    return status;
}
