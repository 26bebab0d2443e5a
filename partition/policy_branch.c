/* Independent operators side by side, for the latency of one request.
 *
 * List scheduling by upward rank with insertion, then local search: tasks move to other units and
 * other places in the order, worse results being taken for a while (simulated annealing with a
 * fixed seed, its steps counted). Never worse than everything on the best unit.
 * source   Topcuoglu, Hariri, Wu, Performance-Effective and Low-Complexity Task Scheduling for
 *          Heterogeneous Computing (IEEE TPDS 2002): HEFT
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "partition/policy.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

enum { MAX_SEARCH = 20000, MAX_UNITS_TRIED = 256, MAX_SEATS_KEPT = 1024 };

typedef struct span {
    double begin_us, end_us;
} span;

typedef struct unit_spans {
    span *spans; /* by begin */
    size_t count, capacity;
} unit_spans;

typedef struct branch {
    const clv_problem *problem;
    const clv_workload *workload;
    double *rank_us;    /* [num_tasks] upward ranks */
    double *finish_us;  /* [num_tasks] */
    double *start_us;   /* [num_tasks] */
    uint32_t *order;    /* [num_tasks] */
    uint32_t *unit;     /* [num_tasks] */
    uint32_t *seat;     /* [num_tasks]: index of `seats`; CLV_NO_INDEX: not placed yet */
    uint32_t *position; /* [num_tasks] */
    /* Units at hand: those that tasks are tried on, by kind of task, then the first one and those
     * that pins name. */
    uint32_t *seats, num_seats, num_tried;
    uint32_t *first_seat, *end_seat; /* [num_kinds + 1] of seats */
    unit_spans *spans;               /* [num_seats] */
    /* [num_seats][num_seats] of a tensor's way; NAN: not looked up yet. NULL: too many */
    double *latency_us, *us_per_byte;
    double mean_us_per_byte, mean_latency_us;
    bool has_limits;
} branch;

/* --- ranks --- */

static clv_status *find_mean_way(branch *b) {
    const clv_problem *problem = b->problem;
    uint32_t count = problem->num_units < 16 ? problem->num_units : 16, pairs = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < count; k++) {
            double none_us, some_us;
            CLV_TRY(clv_costs_transfer_us(
                problem->costs, problem->units[i], problem->units[k], 0, &none_us));
            CLV_TRY(clv_costs_transfer_us(
                problem->costs, problem->units[i], problem->units[k], 1 << 20, &some_us));
            if (i != k && !isinf(none_us)) {
                b->mean_latency_us += none_us;
                b->mean_us_per_byte += (some_us - none_us) / (1 << 20);
                pairs++;
            }
        }
    }
    b->mean_latency_us /= pairs > 0 ? pairs : 1;
    b->mean_us_per_byte /= pairs > 0 ? pairs : 1;
    return NULL;
}

static double mean_time_us(const branch *b, uint32_t task) {
    double sum_us = 0;
    uint32_t count = 0;
    uint32_t kind = b->problem->costs->kind_of_task[task];
    for (uint32_t k = b->first_seat[kind]; k < b->end_seat[kind]; k++) {
        if (clv_problem_allows(b->problem, task, b->seats[k])) {
            sum_us += clv_costs_time_us(b->problem->costs, task, b->seats[k]);
            count++;
        }
    }
    return count > 0 ? sum_us / count : 0;
}

static void find_ranks(branch *b) {
    for (uint32_t i = b->workload->num_tasks; i-- > 0;) {
        const clv_task *task = &b->workload->tasks[i];
        double below_us = 0;
        for (uint32_t y = 0; y < task->num_outputs; y++) {
            const clv_task_tensor *tensor = &b->workload->tensors[task->outputs[y]];
            double way_us = tensor->bytes == 0
                                ? 0
                                : b->mean_latency_us + (double)tensor->bytes * b->mean_us_per_byte;
            for (uint32_t c = 0; c < tensor->num_consumers; c++) {
                below_us = fmax(below_us, way_us + b->rank_us[tensor->consumers[c]]);
            }
        }
        b->rank_us[i] = mean_time_us(b, i) + below_us;
    }
}

static int compare_ids(uint32_t a, uint32_t b, double key_a, double key_b) {
    if (key_a != key_b) {
        return key_a < key_b ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

/* Merge sort of `ids` by key, ties by id. */
static void sort_ids(uint32_t *ids, uint32_t *scratch, uint32_t count, const double *keys) {
    if (count < 2) {
        return;
    }
    uint32_t half = count / 2, a = 0, b = half;
    sort_ids(ids, scratch, half, keys);
    sort_ids(ids + half, scratch, count - half, keys);
    for (uint32_t i = 0; i < count; i++) {
        bool take_a =
            b == count || (a < half && compare_ids(ids[a], ids[b], keys[ids[a]], keys[ids[b]]) < 0);
        scratch[i] = take_a ? ids[a++] : ids[b++];
    }
    memcpy(ids, scratch, count * sizeof *ids);
}

/* --- insertion --- */

/* The first gap of the unit from `ready_us` on that is long enough; its place. */
static double find_gap(const unit_spans *u, double ready_us, double time_us, size_t *out_at) {
    size_t low = 0, high = u->count;
    while (low < high) { /* the first span that ends after ready_us */
        size_t middle = low + (high - low) / 2;
        if (u->spans[middle].end_us <= ready_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    double start_us = ready_us;
    for (; low < u->count; low++) {
        if (u->spans[low].begin_us >= start_us + time_us) {
            break;
        }
        start_us = fmax(start_us, u->spans[low].end_us);
    }
    *out_at = low;
    return start_us;
}

static clv_status *insert_span(unit_spans *u, size_t at, double begin_us, double end_us) {
    if (!clv_array_reserve((void **)&u->spans, &u->capacity, u->count + 1, sizeof *u->spans)) {
        return NO_MEMORY_HERE();
    }
    memmove(&u->spans[at + 1], &u->spans[at], (u->count - at) * sizeof *u->spans);
    u->spans[at] = (span){begin_us, end_us};
    u->count++;
    return NULL;
}

static clv_status *measure_way(
    const branch *b, uint32_t from, uint32_t to, double *out_latency_us, double *out_us_per_byte) {
    const double megabyte = 1 << 20;
    const clv_costs *costs = b->problem->costs;
    double some_us;
    CLV_TRY(clv_costs_transfer_us(costs, b->seats[from], b->seats[to], 0, out_latency_us));
    CLV_TRY(clv_costs_transfer_us(costs, b->seats[from], b->seats[to], megabyte, &some_us));
    *out_us_per_byte = isinf(*out_latency_us) ? 0 : (some_us - *out_latency_us) / megabyte;
    return NULL;
}

/* From one unit's memory to another's; units by their seats. */
static clv_status *find_way(
    const branch *b, uint32_t from, uint32_t to, double bytes, double *out_us) {
    double latency_us = 0, us_per_byte = 0;
    if (b->latency_us == NULL) {
        CLV_TRY(measure_way(b, from, to, &latency_us, &us_per_byte));
    } else {
        size_t at = (size_t)from * b->num_seats + to;
        if (isnan(b->latency_us[at])) {
            CLV_TRY(measure_way(b, from, to, &b->latency_us[at], &b->us_per_byte[at]));
        }
        latency_us = b->latency_us[at];
        us_per_byte = b->us_per_byte[at];
    }
    *out_us = latency_us + bytes * us_per_byte;
    return NULL;
}

static uint32_t find_seat(const branch *b, uint32_t unit) {
    uint32_t seat = 0;
    while (seat < b->num_seats && b->seats[seat] != unit) {
        seat++;
    }
    return seat;
}

/* `seats` has room for all. */
static clv_status *list_seats(branch *b) {
    const clv_problem *problem = b->problem;
    clv_kind_units by_kind;
    CLV_TRY(clv_units_by_kind(problem, &by_kind));
    for (uint32_t kind = 0; kind < problem->costs->num_kinds; kind++) {
        uint32_t begin = by_kind.first[kind], count = by_kind.first[kind + 1] - begin;
        count = count < MAX_UNITS_TRIED ? count : MAX_UNITS_TRIED;
        b->first_seat[kind] = b->num_seats;
        memcpy(b->seats + b->num_seats, by_kind.units + begin, count * sizeof *b->seats);
        b->num_seats += count;
        b->end_seat[kind] = b->num_seats;
    }
    b->num_tried = b->num_seats;
    if (find_seat(b, 0) == b->num_seats) {
        b->seats[b->num_seats++] = 0;
    }
    for (uint32_t i = 0; problem->request->num_pins > 0 && i < b->workload->num_tasks; i++) {
        if (problem->pins[i] != CLV_NO_INDEX && find_seat(b, problem->pins[i]) == b->num_seats) {
            b->seats[b->num_seats++] = problem->pins[i];
        }
    }
    return NULL;
}

/* When the task's inputs can be at `unit`. */
static clv_status *find_ready(
    const branch *b, uint32_t task, uint32_t seat, uint32_t home, double *out_us) {
    *out_us = 0;
    for (uint32_t i = 0; i < b->workload->tasks[task].num_inputs; i++) {
        const clv_task_tensor *tensor = &b->workload->tensors[b->workload->tasks[task].inputs[i]];
        bool is_input = tensor->producer == CLV_NO_TASK;
        double way_us = 0;
        if (tensor->bytes > 0) {
            CLV_TRY(find_way(
                b, is_input ? home : b->seat[tensor->producer], seat, (double)tensor->bytes,
                &way_us));
        }
        *out_us = fmax(*out_us, way_us + (is_input ? 0 : b->finish_us[tensor->producer]));
    }
    return NULL;
}

static clv_status *place_task(branch *b, uint32_t task, uint32_t home) {
    const clv_problem *problem = b->problem;
    uint32_t first = problem->first_of_colocation[task];
    uint32_t pinned = b->seat[first], best = CLV_NO_INDEX;
    double best_finish_us = (double)INFINITY, best_start_us = 0;
    size_t best_at = 0;
    if (pinned == CLV_NO_INDEX && problem->pins[task] != CLV_NO_INDEX) {
        pinned = find_seat(b, problem->pins[task]);
    }
    uint32_t kind = problem->costs->kind_of_task[task];
    uint32_t begin = pinned != CLV_NO_INDEX ? pinned : b->first_seat[kind];
    uint32_t end = pinned != CLV_NO_INDEX ? pinned + 1 : b->end_seat[kind];
    for (uint32_t seat = begin; seat < end; seat++) {
        uint32_t unit = b->seats[seat];
        double ready_us;
        size_t at;
        if (!clv_problem_allows(problem, task, unit)) {
            continue;
        }
        CLV_TRY(find_ready(b, task, seat, home, &ready_us));
        double time_us = clv_costs_time_us(problem->costs, task, unit) +
                         problem->costs->machine->units[unit].launch_us;
        double start_us = find_gap(&b->spans[seat], ready_us, time_us, &at);
        if (best == CLV_NO_INDEX || start_us + time_us < best_finish_us) {
            best = seat;
            best_start_us = start_us;
            best_finish_us = start_us + time_us;
            best_at = at;
        }
    }
    if (best == CLV_NO_INDEX) {
        return clv_problem_no_unit(problem);
    }
    b->unit[task] = b->unit[first] = b->seats[best];
    b->seat[task] = b->seat[first] = best;
    b->start_us[task] = best_start_us;
    b->finish_us[task] = best_finish_us;
    return insert_span(&b->spans[best], best_at, best_start_us, best_finish_us);
}

static clv_status *list_schedule(branch *b) {
    uint32_t count = b->workload->num_tasks, home = find_seat(b, 0);
    CLV_TRY(find_mean_way(b));
    find_ranks(b);
    for (uint32_t i = 0; i < count; i++) {
        b->order[i] = i;
        b->unit[i] = b->seat[i] = CLV_NO_INDEX;
        b->rank_us[i] = -b->rank_us[i];
    }
    sort_ids(b->order, b->position, count, b->rank_us);
    for (uint32_t i = 0; i < count; i++) {
        CLV_TRY(place_task(b, b->order[i], home));
    }
    for (uint32_t i = 0; i < count; i++) {
        b->order[i] = i;
    }
    sort_ids(b->order, b->position, count, b->start_us);
    return NULL;
}

/* --- local search --- */

typedef struct walk {
    branch *b;
    clv_draft draft; /* whole tasks, its order b->order; changed in place */
    clv_random random;
    double now_us, best_us;
    uint32_t *best_unit, *best_order;
} walk;

static clv_status *measure(walk *w, double *out_us) {
    clv_group *group = w->draft.groups;
    clv_evaluator *ev = w->b->problem->ev;
    if (w->b->has_limits) {
        uint32_t depth = w->b->problem->request->depth;
        clv_evaluate_begin(ev);
        CLV_TRY(clv_evaluate_memory(ev, group, depth > 0 ? depth : 1));
        if (!clv_evaluate_fits(ev)) {
            *out_us = (double)INFINITY;
            return NULL;
        }
    }
    return clv_evaluate_latency(ev, group, out_us, NULL);
}

static void set_unit(walk *w, uint32_t task, uint32_t unit) {
    const clv_problem *problem = w->b->problem;
    uint32_t first = problem->first_of_colocation[task];
    w->draft.groups->pieces[task].unit = unit;
    for (uint32_t i = first;
         w->b->workload->tasks[task].colocation > 0 && i < w->b->workload->num_tasks; i++) {
        if (problem->first_of_colocation[i] == first) {
            w->draft.groups->pieces[i].unit = unit;
        }
    }
}

/* Moves order[from] to `to`, those between closing up. */
static void move_in_order(uint32_t *order, uint32_t *position, uint32_t from, uint32_t to) {
    uint32_t task = order[from];
    for (; from < to; from++) {
        order[from] = order[from + 1];
        position[order[from]] = from;
    }
    for (; from > to; from--) {
        order[from] = order[from - 1];
        position[order[from]] = from;
    }
    order[to] = task;
    position[task] = to;
}

/* A random place for the task between its producers and its consumers. */
static uint32_t draw_place(walk *w, uint32_t task) {
    const branch *b = w->b;
    const clv_task *t = &b->workload->tasks[task];
    uint32_t low = 0, high = b->workload->num_tasks - 1;
    for (uint32_t i = 0; i < t->num_inputs; i++) {
        uint32_t producer = b->workload->tensors[t->inputs[i]].producer;
        if (producer != CLV_NO_TASK && b->position[producer] + 1 > low) {
            low = b->position[producer] + 1;
        }
    }
    for (uint32_t y = 0; y < t->num_outputs; y++) {
        const clv_task_tensor *tensor = &b->workload->tensors[t->outputs[y]];
        for (uint32_t c = 0; c < tensor->num_consumers; c++) {
            uint32_t at = b->position[tensor->consumers[c]];
            high = at - 1 < high ? at - 1 : high;
        }
    }
    return low + (uint32_t)clv_random_below(&w->random, (uint64_t)high - low + 1);
}

/* One random move; kept when it is better, or not much worse than `heat_us`. */
static clv_status *try_move(walk *w, double heat_us) {
    branch *b = w->b;
    const clv_problem *problem = b->problem;
    uint32_t count = b->workload->num_tasks;
    uint32_t task = (uint32_t)clv_random_below(&w->random, count);
    uint32_t old_unit = w->draft.groups->pieces[task].unit, old_place = b->position[task];
    uint64_t kind = clv_random_below(&w->random, 3);
    double us;
    if (kind != 0) {
        uint32_t unit = problem->units[clv_random_below(&w->random, problem->num_units)];
        if (unit == old_unit || !clv_problem_allows(problem, task, unit)) {
            return NULL;
        }
        set_unit(w, task, unit);
    }
    if (kind != 1) {
        move_in_order(b->order, b->position, old_place, draw_place(w, task));
    }
    CLV_TRY(measure(w, &us));
    double chance = heat_us > 0 ? exp((w->now_us - us) / heat_us) : 0;
    if (us <= w->now_us || clv_random_unit(&w->random) < chance) {
        w->now_us = us;
        if (us < w->best_us) {
            w->best_us = us;
            memcpy(w->best_order, b->order, count * sizeof *b->order);
            for (uint32_t i = 0; i < count; i++) {
                w->best_unit[i] = w->draft.groups->pieces[i].unit;
            }
        }
        return NULL;
    }
    set_unit(w, task, old_unit);
    move_in_order(b->order, b->position, b->position[task], old_place);
    return NULL;
}

/* From the units and the order that the walk has. `heat`: what is first taken to be not much worse,
 * as a part of the best. */
static clv_status *anneal(walk *w, uint64_t steps, double heat) {
    branch *b = w->b;
    uint32_t count = b->workload->num_tasks;
    for (uint32_t i = 0; i < count; i++) {
        b->position[b->order[i]] = i;
    }
    CLV_TRY(measure(w, &w->now_us));
    if (w->now_us < w->best_us) {
        w->best_us = w->now_us;
        memcpy(w->best_order, b->order, count * sizeof *b->order);
        for (uint32_t i = 0; i < count; i++) {
            w->best_unit[i] = w->draft.groups->pieces[i].unit;
        }
    }
    for (uint64_t i = 0; i < steps && isfinite(w->now_us); i++) {
        double part = (double)i / (double)steps;
        CLV_TRY(try_move(w, heat * w->best_us * (1 - part) * (1 - part)));
    }
    return NULL;
}

/* Where the last placement that was tried holds too much. */
static clv_status *no_room(const branch *b, const clv_group *group) {
    clv_evaluator *ev = b->problem->ev;
    uint32_t depth = b->problem->request->depth;
    clv_evaluate_begin(ev);
    CLV_TRY(clv_evaluate_memory(ev, group, depth > 0 ? depth : 1));
    clv_status *status = clv_evaluate_limits(ev);
    if (status == NULL) {
        return CLV_ERROR(
            UNSUPPORTED, "no placement of '%s' that was tried can run", b->workload->name);
    }
    return clv_status_prefix(
        status, "no placement of '%s' that was tried fits; one of them", b->workload->name);
}

static clv_status *search(branch *b, const clv_draft *simple, clv_draft *out_draft) {
    const clv_problem *problem = b->problem;
    uint32_t count = b->workload->num_tasks;
    uint64_t cost = 1 + problem->ev->size / 6;
    uint64_t steps = problem->budget / cost < MAX_SEARCH ? problem->budget / cost : MAX_SEARCH;
    walk w = {.b = b, .best_us = (double)INFINITY};
    uint32_t *best_order = clv_arena_alloc(problem->arena, count, sizeof *best_order);
    uint32_t *best_unit = clv_arena_alloc(problem->arena, count, sizeof *best_unit);
    if (best_order == NULL || best_unit == NULL) {
        return NO_MEMORY_HERE();
    }
    w.best_order = best_order;
    w.best_unit = best_unit;
    clv_random_init(&w.random, 1);
    steps = count < 2 || problem->num_units < 2 ? 0 : count <= 64 ? steps : steps / 4 + 1;
    CLV_TRY(clv_draft_from_units(problem, b->unit, NULL, "", &w.draft));
    w.draft.groups->order = b->order;
    double heat = 0.2 / sqrt((double)count);
    CLV_TRY(anneal(&w, steps / 4, heat));
    if (simple->groups != NULL) { /* and from the best of one task at a time */
        for (uint32_t i = 0; i < count; i++) {
            w.draft.groups->pieces[i].unit = simple->groups[0].pieces[i].unit;
            b->order[i] = i;
        }
        CLV_TRY(anneal(&w, steps / 4, heat));
    }
    for (int i = 1; i <= 2; i++) { /* once more from where that ended, hotter */
        CLV_TRY(anneal(&w, steps / 4, heat * 4 / i));
    }
    if (!isfinite(w.best_us)) {
        return no_room(b, w.draft.groups);
    }
    CLV_TRY(clv_draft_from_units(
        problem, w.best_unit, NULL, "finishes earliest here, branches side by side", out_draft));
    out_draft->groups->order = w.best_order;
    out_draft->method = "list scheduling by rank with insertion, then annealing";
    return NULL;
}

static bool is_limited(const clv_machine *machine, uint32_t unit) {
    return machine->units[unit].limit_bytes != CLV_UNLIMITED ||
           machine->memories[machine->units[unit].memory].capacity_bytes != CLV_UNLIMITED;
}

/* Of the units that tasks may be on. */
static bool has_limits(const branch *b) {
    const clv_machine *machine = b->problem->costs->machine;
    bool is_any = false;
    for (uint32_t i = 0; i < b->problem->num_units && !is_any; i++) {
        is_any = is_limited(machine, b->problem->units[i]);
    }
    for (uint32_t i = b->num_tried; i < b->num_seats && !is_any; i++) {
        is_any = is_limited(machine, b->seats[i]);
    }
    return is_any;
}

/* Everything on one unit, or serial: NULL groups where neither is possible. */
static void find_simple(const clv_problem *problem, clv_draft *out_draft) {
    const char *names[] = {"serial", "single"};
    *out_draft = (clv_draft){0};
    for (int i = 0; i < 2 && out_draft->groups == NULL; i++) {
        clv_policy_level level = {clv_policy_find(names[i]), 0};
        clv_problem part = *problem;
        part.budget = problem->budget / 8 + 1;
        clv_status *status =
            clv_policy_run(&part, level, NULL, 0, problem->units, problem->num_units, out_draft);
        if (status != NULL) {
            clv_status_destroy(status);
            out_draft->groups = NULL;
        }
    }
}

static clv_status *create_branch(branch *b) {
    const clv_problem *problem = b->problem;
    size_t count = b->workload->num_tasks;
    size_t num_kinds = problem->costs->num_kinds;
    b->seats = clv_alloc_zeroed(
        problem->num_units + 1 + problem->request->num_pins + 2 * (num_kinds + 1),
        sizeof *b->seats);
    b->rank_us = clv_alloc_zeroed(count * 3, sizeof *b->rank_us);
    b->order = clv_arena_alloc(problem->arena, count, sizeof *b->order);
    b->unit = clv_arena_alloc(problem->arena, count, sizeof *b->unit);
    b->seat = clv_alloc_zeroed(count * 2, sizeof *b->seat);
    if (b->seats == NULL || b->rank_us == NULL || b->order == NULL || b->unit == NULL ||
        b->seat == NULL) {
        return NO_MEMORY_HERE();
    }
    b->position = b->seat + count;
    b->finish_us = b->rank_us + count;
    b->start_us = b->finish_us + count;
    b->first_seat = b->seats + problem->num_units + 1 + problem->request->num_pins;
    b->end_seat = b->first_seat + num_kinds + 1;
    CLV_TRY(list_seats(b));
    b->has_limits = !b->problem->ev->ignores_limits && has_limits(b);
    size_t pairs = (size_t)b->num_seats * b->num_seats;
    bool is_kept = b->num_seats <= MAX_SEATS_KEPT;
    b->spans = clv_alloc_zeroed(b->num_seats, sizeof *b->spans);
    b->latency_us = is_kept ? clv_alloc_zeroed(pairs * 2, sizeof *b->latency_us) : NULL;
    if (b->spans == NULL || (is_kept && b->latency_us == NULL)) {
        return NO_MEMORY_HERE();
    }
    if (!is_kept) {
        return NULL;
    }
    b->us_per_byte = b->latency_us + pairs;
    for (size_t i = 0; i < pairs; i++) {
        b->latency_us[i] = (double)NAN;
    }
    return NULL;
}

clv_status *clv_policy_make_branch(const clv_problem *problem, clv_draft *out_draft) {
    clv_problem part = *problem;
    branch b = {.problem = &part, .workload = problem->costs->workload};
    clv_status *status = NULL;
    clv_draft simple;
    if (problem->level.count > 0 && problem->level.count < part.num_units) {
        uint32_t *units =
            clv_arena_alloc(problem->arena, problem->costs->machine->num_units, sizeof *units);
        if (units == NULL) {
            return NO_MEMORY_HERE();
        }
        CLV_TRY(clv_problem_first_units(problem, problem->level.count, units));
        part.units = units;
        part.num_units = problem->level.count;
    }
    CLV_TRY_DONE(create_branch(&b));
    find_simple(&part, &simple);
    CLV_TRY_DONE(list_schedule(&b));
    CLV_TRY_DONE(search(&b, &simple, out_draft));
done:
    for (uint32_t i = 0; b.spans != NULL && i < b.num_seats; i++) {
        clv_free(b.spans[i].spans);
    }
    clv_free(b.spans);
    clv_free(b.latency_us);
    clv_free(b.rank_us);
    clv_free(b.seat);
    clv_free(b.seats);
    return status;
}
