/* From a problem to atoms, tensors between atoms, and sorts of units. */
#include "host/base/hash.h"
#include "host/base/memory.h"
#include "partition/pipeline.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline")

void clv_pipe_destroy(clv_pipe *pipe) {
    if (pipe != NULL) {
        clv_arena_deinit(&pipe->arena);
        clv_free(pipe);
    }
}

/* --- atoms: strongly connected parts once tasks that must share a unit are joined in a ring --- */

typedef struct scc {
    const clv_workload *workload;
    const bool *is_back;         /* of the pipe */
    uint32_t *ring;              /* next task of the same colocation, itself without one */
    uint32_t *index, *low;       /* 0: not seen */
    uint32_t *stack, *path;      /* Tarjan's; the tasks being looked at */
    uint32_t *output, *consumer; /* [num_tasks] where the looking at each has come to */
    uint32_t *part;              /* [num_tasks] */
    uint32_t num_stack, num_path, next_index, num_parts;
} scc;

/* The next task that `task` leads to; the ring comes first. CLV_NO_TASK: no more. */
static uint32_t next_follower(scc *s, uint32_t task) {
    const clv_task *t = &s->workload->tasks[task];
    if (s->output[task] == 0) {
        s->output[task] = 1;
        return s->ring[task];
    }
    if (s->is_back != NULL && s->is_back[task]) {
        return CLV_NO_TASK;
    }
    while (s->output[task] - 1 < t->num_outputs) {
        const clv_task_tensor *tensor = &s->workload->tensors[t->outputs[s->output[task] - 1]];
        while (s->consumer[task] < tensor->num_consumers) {
            uint32_t to = tensor->consumers[s->consumer[task]++];
            if (s->is_back == NULL || !s->is_back[to]) {
                return to;
            }
        }
        s->output[task]++;
        s->consumer[task] = 0;
    }
    return CLV_NO_TASK;
}

static void enter_task(scc *s, uint32_t task) {
    s->index[task] = s->low[task] = ++s->next_index;
    s->stack[s->num_stack++] = task;
    s->path[s->num_path++] = task;
}

static void leave_task(scc *s, uint32_t task) {
    if (s->low[task] == s->index[task]) {
        uint32_t member;
        do {
            member = s->stack[--s->num_stack];
            s->part[member] = s->num_parts;
            s->low[member] = UINT32_MAX; /* done with */
        } while (member != task);
        s->num_parts++;
    }
    s->num_path--;
    if (s->num_path > 0 && s->low[task] < s->low[s->path[s->num_path - 1]]) {
        s->low[s->path[s->num_path - 1]] = s->low[task];
    }
}

static void find_parts(scc *s) {
    for (uint32_t root = 0; root < s->workload->num_tasks; root++) {
        if (s->index[root] != 0) {
            continue;
        }
        enter_task(s, root);
        while (s->num_path > 0) {
            uint32_t task = s->path[s->num_path - 1];
            uint32_t to = next_follower(s, task);
            if (to == CLV_NO_TASK) {
                leave_task(s, task);
            } else if (s->index[to] == 0) {
                enter_task(s, to);
            } else if (s->low[to] != UINT32_MAX && s->index[to] < s->low[task]) {
                s->low[task] = s->index[to];
            }
        }
    }
}

/* The only unit that may run the task, or CLV_NO_INDEX. */
static uint32_t only_unit(const clv_problem *problem, uint32_t task) {
    uint32_t only = problem->pins[task];
    for (uint32_t k = 0; k < problem->num_units && problem->pins[task] == CLV_NO_INDEX; k++) {
        if (clv_problem_allows(problem, task, problem->units[k])) {
            if (only != CLV_NO_INDEX) {
                return CLV_NO_INDEX;
            }
            only = problem->units[k];
        }
    }
    return only;
}

static uint32_t find_root(uint32_t *root, uint32_t task) {
    while (root[task] != task) {
        task = root[task] = root[root[task]];
    }
    return task;
}

/* Tasks that must share a unit (colocated, or runnable on one unit alone) are linked in a ring;
 * false: there are none. `first`: of each unit, scratch. */
static bool link_rings(
    const clv_problem *problem, uint32_t *ring, uint32_t *root, uint32_t *first) {
    bool is_any = false;
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        uint32_t unit = only_unit(problem, i);
        root[i] = i;
        root[i] = find_root(root, problem->first_of_colocation[i]);
        if (unit != CLV_NO_INDEX && first[unit] > 0) {
            root[find_root(root, i)] = find_root(root, first[unit] - 1);
        } else if (unit != CLV_NO_INDEX) {
            first[unit] = i + 1;
        }
    }
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        ring[i] = i;
    }
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        uint32_t leader = find_root(root, i);
        if (leader != i) {
            ring[i] = ring[leader];
            ring[leader] = i;
            is_any = true;
        }
    }
    return is_any;
}

static clv_status *make_atoms(clv_pipe *pipe) {
    const clv_workload *workload = pipe->problem->costs->workload;
    size_t count = workload->num_tasks;
    uint32_t num_units = pipe->problem->costs->machine->num_units;
    uint32_t *block = clv_alloc_zeroed(count * 9 + num_units, sizeof *block);
    pipe->atom_of_task = clv_arena_alloc(&pipe->arena, count, sizeof(uint32_t));
    if (block == NULL || pipe->atom_of_task == NULL) {
        clv_free(block);
        return NO_MEMORY_HERE();
    }
    scc s = {
        .workload = workload,
        .is_back = pipe->is_back,
        .ring = block,
        .index = block + count,
        .low = block + 2 * count,
        .stack = block + 3 * count,
        .path = block + 4 * count,
        .output = block + 5 * count,
        .consumer = block + 6 * count,
        .part = block + 7 * count};
    bool is_any = link_rings(pipe->problem, s.ring, block + 8 * count, block + 9 * count);
    if (is_any) {
        find_parts(&s); /* numbered in the opposite of topological order */
    }
    pipe->num_atoms = is_any ? s.num_parts : workload->num_tasks;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        pipe->atom_of_task[i] = is_any ? s.num_parts - 1 - s.part[i] : i;
    }
    if (pipe->is_back != NULL) {
        clv_pipe_attach_back(pipe, s.ring, s.index);
    }
    clv_free(block);
    return NULL;
}

/* --- sorts of units --- */

/* The link by which a unit's memory is reached; CLV_NO_INDEX for a hub in the middle, whose links
 * belong to the memories at their other ends. */
static uint32_t own_link(const clv_costs *costs, uint32_t memory, bool *is_bound) {
    const clv_machine *machine = costs->machine;
    const uint32_t *hops, *others;
    uint32_t count = clv_routes_leaving(costs->routes, memory, &hops), best = CLV_NO_INDEX;
    bool is_mesh = false;
    for (uint32_t i = 0; i < count; i++) {
        const clv_link *link = &machine->links[hops[i] / 2];
        uint32_t other = link->ends[1 - hops[i] % 2];
        is_mesh = is_mesh || clv_routes_leaving(costs->routes, other, &others) > 1;
        if (best == CLV_NO_INDEX ||
            clv_link_time_us(link, 1 << 20) < clv_link_time_us(&machine->links[best], 1 << 20)) {
            best = hops[i] / 2;
        }
    }
    if (count > 1 && !is_mesh) {
        return CLV_NO_INDEX;
    }
    *is_bound = *is_bound && count <= 1;
    return best;
}

/* Of sums: what is counted here is more or less by what the evaluator has learned. */
static uint64_t limit_of(const clv_problem *problem, uint32_t unit_index) {
    const clv_machine *machine = problem->costs->machine;
    const clv_unit *unit = &machine->units[unit_index];
    const uint64_t capacity = machine->memories[unit->memory].capacity_bytes;
    const uint64_t limit = unit->limit_bytes < capacity ? unit->limit_bytes : capacity;
    const double scale = problem->ev->scale[unit_index];
    if (problem->ev->ignores_limits) {
        return CLV_UNLIMITED;
    }
    return limit == CLV_UNLIMITED || scale == 1 ? limit : (uint64_t)((double)limit / scale);
}

static clv_pipe_sort make_sort(clv_pipe *pipe, uint32_t unit_index, uint32_t link_index) {
    const clv_machine *machine = pipe->problem->costs->machine;
    const clv_unit *unit = &machine->units[unit_index];
    clv_pipe_sort sort = {
        .cost_class = pipe->problem->costs->class_of_unit[unit_index],
        .launch_us = unit->launch_us,
        .overlaps = unit->overlaps,
        .is_home = unit->memory == clv_machine_home(machine),
        .limit_bytes = limit_of(pipe->problem, unit_index)};
    if (link_index != CLV_NO_INDEX) {
        const clv_link *link = &machine->links[link_index];
        double per_byte = isinf(link->bandwidth) ? 0 : 1e6 / link->bandwidth;
        sort.half_duplex = link->half_duplex;
        sort.in_latency_us = sort.out_latency_us = link->latency_us;
        sort.in_us_per_byte = sort.out_us_per_byte = per_byte;
    }
    return sort;
}

static bool is_same_sort(const clv_pipe_sort *a, const clv_pipe_sort *b) {
    return a->cost_class == b->cost_class && a->launch_us == b->launch_us &&
           a->overlaps == b->overlaps && a->is_home == b->is_home &&
           a->limit_bytes == b->limit_bytes && a->half_duplex == b->half_duplex &&
           a->in_latency_us == b->in_latency_us && a->in_us_per_byte == b->in_us_per_byte;
}

static bool is_pinned_to(const clv_problem *problem, uint32_t unit) {
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        if (problem->pins[i] == unit) {
            return true;
        }
    }
    return false;
}

/* The sorts so far by hash, with open addressing; CLV_NO_INDEX: a free place. */
typedef struct sort_table {
    uint32_t *sorts;
    size_t mask;
} sort_table;

static size_t hash_sort(const clv_pipe_sort *s) {
    double words[] = {s->cost_class,  s->launch_us,     s->overlaps,      s->is_home, 0,
                      s->half_duplex, s->in_latency_us, s->in_us_per_byte};
    memcpy(&words[4], &s->limit_bytes, sizeof s->limit_bytes);
    return (size_t)clv_hash_bytes(words, sizeof words).low;
}

/* The place of a sort, or of one that is not there yet. */
static uint32_t *find_sort(
    const sort_table *table, const clv_pipe_sort *sorts, const clv_pipe_sort *sort) {
    size_t at = hash_sort(sort) & table->mask;
    while (table->sorts[at] != CLV_NO_INDEX && !is_same_sort(&sorts[table->sorts[at]], sort)) {
        at = (at + 1) & table->mask;
    }
    return &table->sorts[at];
}

/* Sorts of units in the order of their first ones, and by unit; who has pins is one alone. */
static void list_sorts(clv_pipe *pipe, const sort_table *table, uint32_t *sort_of) {
    const clv_problem *problem = pipe->problem;
    const clv_machine *machine = problem->costs->machine;
    bool has_pins = problem->request->num_pins > 0;
    pipe->is_bound = true;
    for (uint32_t i = 0; i < problem->num_units; i++) {
        uint32_t unit = problem->units[i], alone = CLV_NO_INDEX;
        uint32_t link = own_link(problem->costs, machine->units[unit].memory, &pipe->is_bound);
        clv_pipe_sort sort = make_sort(pipe, unit, link);
        bool is_alone = has_pins && is_pinned_to(problem, unit);
        uint32_t *known = is_alone ? &alone : find_sort(table, pipe->sorts, &sort);
        if (*known == CLV_NO_INDEX) {
            *known = pipe->num_sorts;
            pipe->sorts[pipe->num_sorts++] = sort;
        }
        pipe->sorts[*known].count++;
        sort_of[i] = *known;
    }
}

static clv_status *make_sorts(clv_pipe *pipe) {
    const clv_problem *problem = pipe->problem;
    size_t most = (size_t)problem->costs->machine->num_units;
    uint32_t num_units = problem->num_units, at = 0;
    sort_table table = {.mask = 1};
    while (table.mask < 2 * (size_t)num_units) {
        table.mask = 2 * table.mask + 1;
    }
    table.sorts = clv_arena_alloc(&pipe->arena, table.mask + 1, sizeof *table.sorts);
    uint32_t *sort_of = clv_arena_alloc(&pipe->arena, most, sizeof *sort_of);
    uint32_t *next = clv_arena_alloc(&pipe->arena, most, sizeof *next);
    pipe->units = clv_arena_alloc(&pipe->arena, most, sizeof *pipe->units);
    pipe->sorts = clv_arena_alloc(&pipe->arena, most, sizeof *pipe->sorts);
    if (table.sorts == NULL || sort_of == NULL || next == NULL || pipe->units == NULL ||
        pipe->sorts == NULL) {
        return NO_MEMORY_HERE();
    }
    memset(table.sorts, 0xff, (table.mask + 1) * sizeof *table.sorts); /* CLV_NO_INDEX */
    list_sorts(pipe, &table, sort_of);
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        pipe->sorts[k].first = next[k] = at;
        at += pipe->sorts[k].count;
    }
    for (uint32_t i = 0; i < num_units; i++) {
        pipe->units[next[sort_of[i]]++] = problem->units[i];
    }
    pipe->max_stages = num_units < pipe->num_atoms ? num_units : pipe->num_atoms;
    if (problem->level.count > 0 && problem->level.count < pipe->max_stages) {
        pipe->max_stages = problem->level.count;
    }
    return NULL;
}

/* --- times and tensors --- */

static clv_status *make_times(clv_pipe *pipe) {
    const clv_problem *problem = pipe->problem;
    const clv_workload *workload = problem->costs->workload;
    size_t atoms = pipe->num_atoms, sorts = pipe->num_sorts;
    pipe->time_us = clv_arena_alloc(&pipe->arena, atoms * sorts, sizeof(double));
    pipe->least_us = clv_arena_alloc(&pipe->arena, atoms, sizeof(double));
    pipe->weights = clv_arena_alloc(&pipe->arena, atoms, sizeof(double));
    if (pipe->time_us == NULL || pipe->least_us == NULL || pipe->weights == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        size_t atom = pipe->atom_of_task[i];
        pipe->weights[atom] += (double)workload->tasks[i].weight_bytes;
        for (size_t k = 0; k < sorts; k++) {
            uint32_t unit = pipe->units[pipe->sorts[k].first];
            bool is_allowed = problem->pins[i] == CLV_NO_INDEX || problem->pins[i] == unit;
            pipe->time_us[atom * sorts + k] +=
                is_allowed ? clv_costs_time_us(problem->costs, i, unit) + pipe->sorts[k].launch_us
                           : (double)INFINITY;
        }
    }
    return NULL;
}

/* Lists in two passes: counts, then the lists themselves. */
typedef struct csr {
    uint32_t *first, *items;
} csr;

static void add_to(csr *list, bool is_counting, uint32_t atom, uint32_t item) {
    if (is_counting) {
        list->first[atom + 1]++;
    } else {
        list->items[list->first[atom]++] = item;
    }
}

static bool finish_counts(clv_arena *arena, csr *list, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        list->first[i + 1] += list->first[i];
    }
    list->items = clv_arena_alloc(arena, (size_t)list->first[count] + 1, sizeof *list->items);
    return list->items != NULL;
}

static void finish_items(csr *list, uint32_t count) {
    for (uint32_t i = count; i > 0; i--) {
        list->first[i] = list->first[i - 1];
    }
    list->first[0] = 0;
}

static void list_tensors(clv_pipe *pipe, bool is_counting, csr *ins, csr *outs, uint32_t *mark) {
    const clv_workload *workload = pipe->problem->costs->workload;
    memset(mark, 0, pipe->num_atoms * sizeof *mark);
    for (uint32_t x = 0; x < workload->num_tensors; x++) {
        const clv_task_tensor *tensor = &workload->tensors[x];
        clv_pipe_tensor *out = &pipe->tensors[x];
        *out = (clv_pipe_tensor){
            .producer = tensor->producer == CLV_NO_TASK ? CLV_NO_INDEX
                                                        : pipe->atom_of_task[tensor->producer],
            .bytes = (double)tensor->bytes,
            .resident = (double)tensor->resident,
            .is_output = tensor->is_output && tensor->bytes > 0};
        for (uint32_t i = 0; tensor->bytes > 0 && i < tensor->num_consumers; i++) {
            uint32_t reader = pipe->atom_of_task[tensor->consumers[i]];
            if (reader != out->producer && mark[reader] != x + 1) {
                mark[reader] = x + 1;
                out->num_readers++;
                add_to(ins, is_counting, reader, x);
            }
        }
        if (out->producer != CLV_NO_INDEX && (out->num_readers > 0 || out->is_output)) {
            add_to(outs, is_counting, out->producer, x);
        }
    }
}

/* An atom that follows another by several tensors stands there, and counts, as many times. */
static void list_next(clv_pipe *pipe, bool is_counting, csr *next) {
    const clv_workload *workload = pipe->problem->costs->workload;
    memset(pipe->num_before, 0, pipe->num_atoms * sizeof *pipe->num_before);
    for (uint32_t x = 0; x < workload->num_tensors; x++) {
        const clv_task_tensor *tensor = &workload->tensors[x];
        uint32_t from = pipe->tensors[x].producer;
        for (uint32_t i = 0; from != CLV_NO_INDEX && i < tensor->num_consumers; i++) {
            uint32_t to = pipe->atom_of_task[tensor->consumers[i]];
            if (to != from && (pipe->is_back == NULL || !pipe->is_back[tensor->consumers[i]])) {
                add_to(next, is_counting, from, to);
                pipe->num_before[to]++;
            }
        }
    }
}

static clv_status *make_lists(clv_pipe *pipe) {
    size_t atoms = pipe->num_atoms;
    csr lists[3];
    pipe->num_tensors = pipe->problem->costs->workload->num_tensors;
    pipe->tensors =
        clv_arena_alloc(&pipe->arena, (size_t)pipe->num_tensors + 1, sizeof *pipe->tensors);
    pipe->num_before = clv_arena_alloc(&pipe->arena, atoms, sizeof(uint32_t));
    uint32_t *mark = clv_arena_alloc(&pipe->arena, atoms, sizeof *mark);
    for (int i = 0; i < 3; i++) {
        lists[i].first = clv_arena_alloc(&pipe->arena, atoms + 2, sizeof(uint32_t));
        if (lists[i].first == NULL) {
            return NO_MEMORY_HERE();
        }
    }
    if (pipe->tensors == NULL || pipe->num_before == NULL || mark == NULL) {
        return NO_MEMORY_HERE();
    }
    for (int pass = 0; pass < 2; pass++) {
        list_tensors(pipe, pass == 0, &lists[0], &lists[1], mark);
        list_next(pipe, pass == 0, &lists[2]);
        for (int i = 0; pass == 0 && i < 3; i++) {
            if (!finish_counts(&pipe->arena, &lists[i], pipe->num_atoms)) {
                return NO_MEMORY_HERE();
            }
        }
    }
    for (int i = 0; i < 3; i++) {
        finish_items(&lists[i], pipe->num_atoms);
    }
    pipe->first_in = lists[0].first;
    pipe->ins = lists[0].items;
    pipe->first_out = lists[1].first;
    pipe->outs = lists[1].items;
    pipe->first_next = lists[2].first;
    pipe->next = lists[2].items;
    return NULL;
}

/* Tasks that must be in one stage have no unit together: pinned ones are named first. */
static clv_status *no_unit_for(const clv_pipe *pipe, uint32_t atom) {
    const clv_problem *problem = pipe->problem;
    const clv_workload *workload = problem->costs->workload;
    uint32_t first = CLV_NO_TASK, pinned = CLV_NO_TASK;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        if (pipe->atom_of_task[i] == atom) {
            first = first == CLV_NO_TASK ? i : first;
            pinned = pinned == CLV_NO_TASK && problem->pins[i] != CLV_NO_INDEX ? i : pinned;
        }
    }
    for (uint32_t i = 0; i < workload->num_tasks && pinned != CLV_NO_TASK; i++) {
        if (pipe->atom_of_task[i] != atom ||
            clv_problem_allows(problem, i, problem->pins[pinned])) {
            continue;
        }
        return CLV_ERROR(
            USAGE,
            "task '%s', %s, cannot be there in a pipeline: '%s'%s%s lies between tasks of that "
            "stage, and is not for '%s'",
            workload->tasks[pinned].name, problem->pin_reasons[pinned], workload->tasks[i].name,
            problem->pins[i] != CLV_NO_INDEX ? ", " : "",
            problem->pins[i] != CLV_NO_INDEX ? problem->pin_reasons[i] : "",
            problem->costs->machine->units[problem->pins[pinned]].name);
    }
    return CLV_ERROR(
        UNSUPPORTED,
        "no unit that may be used can run task '%s' (%s) and those that must be in one stage with "
        "it (they share a unit, or lie between such tasks)",
        workload->tasks[first].name, workload->tasks[first].type);
}

static clv_status *find_least_times(clv_pipe *pipe) {
    for (uint32_t atom = 0; atom < pipe->num_atoms; atom++) {
        double least_us = (double)INFINITY;
        for (uint32_t k = 0; k < pipe->num_sorts; k++) {
            least_us = fmin(least_us, pipe->time_us[(size_t)atom * pipe->num_sorts + k]);
        }
        pipe->least_us[atom] = least_us;
        pipe->bound_us = fmax(pipe->bound_us, least_us);
        if (isinf(least_us)) {
            return no_unit_for(pipe, atom);
        }
    }
    return NULL;
}

/* The problem with the units that pins name but it does not have. */
static clv_status *add_pinned_units(clv_pipe *pipe) {
    const clv_problem *problem = pipe->problem;
    const clv_machine *machine = problem->costs->machine;
    uint32_t *units = clv_arena_alloc(&pipe->arena, machine->num_units, sizeof *units);
    bool *is_there = clv_arena_alloc(&pipe->arena, machine->num_units, sizeof *is_there);
    if (units == NULL || is_there == NULL) {
        return NO_MEMORY_HERE();
    }
    pipe->own = *problem;
    pipe->own.units = units;
    for (uint32_t k = 0; k < problem->num_units; k++) {
        units[k] = problem->units[k];
        is_there[units[k]] = true;
    }
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        uint32_t unit = problem->pins[i];
        if (unit != CLV_NO_INDEX && !is_there[unit]) {
            is_there[unit] = true;
            units[pipe->own.num_units++] = unit;
        }
    }
    pipe->problem = &pipe->own;
    return NULL;
}

clv_status *clv_pipe_create(const clv_problem *problem, bool is_folded, clv_pipe **out_pipe) {
    clv_status *status = NULL;
    *out_pipe = NULL;
    clv_pipe *pipe = clv_alloc_zeroed(1, sizeof *pipe);
    if (pipe == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_arena_init(&pipe->arena, 0);
    pipe->problem = problem;
    CLV_TRY_DONE(add_pinned_units(pipe));
    if (is_folded) {
        CLV_TRY_DONE(clv_pipe_find_back(pipe));
    }
    CLV_TRY_DONE(make_atoms(pipe));
    CLV_TRY_DONE(make_sorts(pipe));
    CLV_TRY_DONE(make_times(pipe));
    CLV_TRY_DONE(make_lists(pipe));
    CLV_TRY_DONE(find_least_times(pipe));
    pipe->set.has = clv_arena_alloc(&pipe->arena, pipe->num_atoms, sizeof(bool));
    pipe->set.left = clv_arena_alloc(&pipe->arena, (size_t)pipe->num_tensors + 1, sizeof(uint32_t));
    pipe->set.seen = clv_arena_alloc(&pipe->arena, (size_t)pipe->num_tensors + 1, sizeof(uint32_t));
    if (pipe->set.has == NULL || pipe->set.left == NULL || pipe->set.seen == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    *out_pipe = pipe;
    return NULL;
done:
    clv_pipe_destroy(pipe);
    return status;
}
