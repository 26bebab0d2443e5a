#include "partition/costs.h"

#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "partition/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool clv_costs_are_measured(const clv_costs *costs) {
    const size_t count = (size_t)costs->workload->num_tasks * costs->num_cells;
    return memchr(costs->origin, CLV_ORIGIN_MEASURED, count) != NULL;
}

void clv_costs_destroy(clv_costs *costs) {
    if (costs != NULL) {
        clv_routes_destroy(costs->routes);
        clv_free(costs->class_of_unit);
        clv_free(costs->unit_of_class);
        clv_free(costs->next_of_class);
        clv_free(costs->kind_of_task);
        clv_free(costs->kind_of_class);
        clv_free(costs->first_of_kind);
        clv_free(costs->classes_by_kind);
        clv_free(costs->column_of_class);
        clv_free(costs->cell_of_class);
        clv_free(costs->lead_of_class);
        clv_free(costs->speed_of_class);
        clv_free(costs->time_us);
        clv_free(costs->traffic_us);
        clv_free(costs->origin);
        clv_free(costs->first_reader);
        clv_free(costs->reader_input);
        clv_free(costs);
    }
}

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for costs")

/* --- classes of units --- */

/* What a unit's times depend on. */
typedef struct class_key {
    uint32_t kind;  /* by order of appearance */
    uint32_t alone; /* one more than the unit, where some task gives a time for that very unit */
    double peak_flops, bandwidth, shared_bandwidth, speed; /* shared: its memory's */
    uint32_t unit;
} class_key;

/* Whether some task gives a time for this very unit, so that it is a class of its own. */
static clv_status *find_named_units(
    const clv_workload *workload, const clv_machine *machine, bool *is_named) {
    clv_name_map units;
    clv_name_map_init(&units);
    clv_status *status = NULL;
    for (uint32_t i = 0; status == NULL && i < machine->num_units; i++) {
        if (!clv_name_map_set(&units, machine->units[i].name, i)) {
            status = NO_MEMORY_HERE();
        }
    }
    for (uint32_t i = 0; status == NULL && i < workload->num_tasks; i++) {
        const clv_task *task = &workload->tasks[i];
        for (uint32_t k = 0; k < task->num_times; k++) {
            const uint32_t *unit = clv_name_map_find(&units, task->times[k].where);
            if (unit != NULL) {
                is_named[*unit] = true;
            }
        }
    }
    clv_name_map_deinit(&units);
    return status;
}

static double own_bandwidth(const clv_machine *machine, const clv_unit *unit) {
    return fmin(unit->bandwidth, machine->memories[unit->memory].bandwidth);
}

static clv_status *fill_keys(const clv_machine *machine, const bool *is_named, class_key *keys) {
    clv_name_map kinds;
    clv_status *status = NULL;
    clv_name_map_init(&kinds);
    for (uint32_t i = 0; i < machine->num_units; i++) {
        const clv_unit *unit = &machine->units[i];
        const uint32_t *known = clv_name_map_find(&kinds, unit->kind);
        keys[i] = (class_key){
            .kind = known != NULL ? *known : (uint32_t)kinds.count,
            .alone = is_named[i] ? i + 1 : 0,
            .peak_flops = unit->peak_flops,
            .bandwidth = own_bandwidth(machine, unit),
            .shared_bandwidth = machine->memories[unit->memory].bandwidth,
            .speed = unit->speed,
            .unit = i};
        if (known == NULL && !clv_name_map_set(&kinds, unit->kind, keys[i].kind)) {
            status = NO_MEMORY_HERE();
            break;
        }
    }
    clv_name_map_deinit(&kinds);
    return status;
}

static int compare_numbers(double a, double b) {
    return (a > b) - (a < b);
}

/* 0: the same but for the speed. */
static int compare_cells(const class_key *a, const class_key *b) {
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->alone != b->alone) {
        return a->alone < b->alone ? -1 : 1;
    }
    int order = compare_numbers(a->peak_flops, b->peak_flops);
    order = order != 0 ? order : compare_numbers(a->bandwidth, b->bandwidth);
    return order != 0 ? order : compare_numbers(a->shared_bandwidth, b->shared_bandwidth);
}

/* 0: the same class. */
static int compare_classes(const class_key *a, const class_key *b) {
    int order = compare_cells(a, b);
    return order != 0 ? order : compare_numbers(a->speed, b->speed);
}

static int compare_keys(const void *left, const void *right) {
    const class_key *a = left, *b = right;
    int order = compare_classes(a, b);
    return order != 0 ? order : (a->unit > b->unit) - (a->unit < b->unit);
}

/* Classes are numbered by their first units. `keys` are sorted; class_of_unit is filled with the
 * first unit of each class before it is filled with classes. */
static void number_classes(clv_costs *costs, const class_key *keys) {
    uint32_t num_units = costs->machine->num_units, first = 0;
    for (uint32_t i = 0; i < num_units; i++) {
        first = i > 0 && compare_classes(&keys[i], &keys[i - 1]) == 0 ? first : keys[i].unit;
        costs->class_of_unit[keys[i].unit] = first;
    }
    for (uint32_t i = 0; i < num_units; i++) {
        first = costs->class_of_unit[i];
        costs->class_of_unit[i] = first < i ? costs->class_of_unit[first] : costs->num_classes;
        if (first == i) {
            costs->next_of_class[costs->num_classes] = CLV_NO_INDEX;
            costs->unit_of_class[costs->num_classes++] = i;
        } else if (costs->next_of_class[costs->class_of_unit[i]] == CLV_NO_INDEX) {
            costs->next_of_class[costs->class_of_unit[i]] = i;
        }
    }
}

/* Of sorted keys the first of a cell is its slowest. */
static void find_leads(clv_costs *costs, const class_key *keys) {
    uint32_t lead = 0;
    for (uint32_t i = 0; i < costs->machine->num_units; i++) {
        uint32_t class = costs->class_of_unit[keys[i].unit];
        lead = i > 0 && compare_cells(&keys[i], &keys[i - 1]) == 0 ? lead : class;
        costs->lead_of_class[class] = lead;
        costs->speed_of_class[class] = keys[i].speed;
    }
}

static clv_status *find_classes(clv_costs *costs) {
    const clv_machine *machine = costs->machine;
    clv_status *status = NULL;
    bool *is_named = clv_alloc_zeroed(machine->num_units, sizeof *is_named);
    class_key *keys = clv_alloc_zeroed(machine->num_units, sizeof *keys);
    costs->class_of_unit = clv_alloc_zeroed(machine->num_units, sizeof *costs->class_of_unit);
    costs->unit_of_class = clv_alloc_zeroed(machine->num_units, sizeof *costs->unit_of_class);
    costs->next_of_class = clv_alloc_zeroed(machine->num_units, sizeof *costs->next_of_class);
    costs->lead_of_class = clv_alloc_zeroed(machine->num_units, sizeof *costs->lead_of_class);
    costs->speed_of_class = clv_alloc_zeroed(machine->num_units, sizeof *costs->speed_of_class);
    if (is_named == NULL || keys == NULL || costs->class_of_unit == NULL ||
        costs->unit_of_class == NULL || costs->next_of_class == NULL ||
        costs->lead_of_class == NULL || costs->speed_of_class == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    CLV_TRY_DONE(find_named_units(costs->workload, machine, is_named));
    CLV_TRY_DONE(fill_keys(machine, is_named, keys));
    qsort(keys, machine->num_units, sizeof *keys, compare_keys);
    number_classes(costs, keys);
    find_leads(costs, keys);
done:
    clv_free(is_named);
    clv_free(keys);
    return status;
}

/* --- kinds of tasks --- */

/* On a bespoke machine a unit runs the tasks of its type, or its one task, and nothing else. */
static clv_status *name_kinds(clv_costs *costs) {
    const clv_machine *machine = costs->machine;
    const clv_workload *workload = costs->workload;
    clv_name_map kinds;
    clv_status *status = NULL;
    clv_name_map_init(&kinds);
    for (uint32_t k = 0; k < costs->num_classes; k++) {
        const char *name = machine->units[costs->unit_of_class[k]].kind;
        const uint32_t *known = clv_name_map_find(&kinds, name);
        costs->kind_of_class[k] = known != NULL ? *known : costs->num_kinds++;
        if (!clv_name_map_set(&kinds, name, costs->kind_of_class[k])) {
            status = NO_MEMORY_HERE();
            goto done;
        }
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        const clv_task *task = &workload->tasks[i];
        const uint32_t *kind = clv_name_map_find(
            &kinds, machine->bespoke == CLV_BESPOKE_TYPE ? task->type : task->name);
        costs->kind_of_task[i] = kind != NULL ? *kind : costs->num_kinds;
    }
done:
    clv_name_map_deinit(&kinds);
    return status;
}

static void sort_by_kind(clv_costs *costs) {
    uint32_t *first = costs->first_of_kind;
    for (uint32_t k = 0; k < costs->num_classes; k++) {
        costs->column_of_class[k] = first[costs->kind_of_class[k] + 1]++;
        if (costs->column_of_class[k] >= costs->num_columns) {
            costs->num_columns = costs->column_of_class[k] + 1;
        }
    }
    for (uint32_t i = 0; i <= costs->num_kinds; i++) {
        first[i + 1] += first[i];
    }
    for (uint32_t k = 0; k < costs->num_classes; k++) {
        costs->classes_by_kind[first[costs->kind_of_class[k]] + costs->column_of_class[k]] = k;
    }
}

/* Cells of each kind in the order of their slowest classes. */
static void number_cells(clv_costs *costs, uint32_t *count_of_kind) {
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t k = 0; k < costs->num_classes; k++) {
            uint32_t lead = costs->lead_of_class[k],
                     *count = &count_of_kind[costs->kind_of_class[k]];
            if (pass == 1) {
                costs->cell_of_class[k] = costs->cell_of_class[lead];
            } else if (lead == k) {
                costs->cell_of_class[k] = (*count)++;
                costs->num_cells = *count > costs->num_cells ? *count : costs->num_cells;
            }
        }
    }
}

static clv_status *find_kinds(clv_costs *costs) {
    size_t classes = costs->num_classes;
    costs->kind_of_task =
        clv_alloc_zeroed((size_t)costs->workload->num_tasks + 1, sizeof *costs->kind_of_task);
    costs->kind_of_class = clv_alloc_zeroed(classes, sizeof *costs->kind_of_class);
    costs->first_of_kind = clv_alloc_zeroed(classes + 2, sizeof *costs->first_of_kind);
    costs->classes_by_kind = clv_alloc_zeroed(classes, sizeof *costs->classes_by_kind);
    costs->column_of_class = clv_alloc_zeroed(classes, sizeof *costs->column_of_class);
    costs->cell_of_class = clv_alloc_zeroed(classes, sizeof *costs->cell_of_class);
    if (costs->kind_of_task == NULL || costs->kind_of_class == NULL ||
        costs->first_of_kind == NULL || costs->classes_by_kind == NULL ||
        costs->column_of_class == NULL || costs->cell_of_class == NULL) {
        return NO_MEMORY_HERE();
    }
    if (costs->machine->bespoke != CLV_BESPOKE_NO) {
        CLV_TRY(name_kinds(costs));
    } else {
        costs->num_kinds = 1;
    }
    sort_by_kind(costs);
    uint32_t *count_of_kind = clv_alloc_zeroed((size_t)costs->num_kinds + 1, sizeof(uint32_t));
    if (count_of_kind == NULL) {
        return NO_MEMORY_HERE();
    }
    number_cells(costs, count_of_kind);
    clv_free(count_of_kind);
    return NULL;
}

/* --- times --- */

/* The times of one task by what they are for. Classes and kinds are looked up once for each time
 * that is given, not compared with all of them. */
typedef struct task_times {
    clv_name_map class_of_name, kind_of_name; /* of the first units of classes */
    uint32_t *kind_of_class;                  /* here of all machines, by order of appearance */
    const clv_task_time **of_class, **of_kind, *of_all; /* NULL: the task has none */
    /* Given times say where a task can run at all; what was measured on some units leaves others
     * as they are. */
    bool is_restricted;
} task_times;

static void task_times_deinit(task_times *times) {
    clv_name_map_deinit(&times->class_of_name);
    clv_name_map_deinit(&times->kind_of_name);
    clv_free(times->kind_of_class);
    clv_free(times->of_class);
    clv_free(times->of_kind);
}

static clv_status *task_times_init(const clv_costs *costs, task_times *times) {
    clv_name_map_init(&times->class_of_name);
    clv_name_map_init(&times->kind_of_name);
    times->of_all = NULL;
    times->kind_of_class = clv_alloc_zeroed(costs->num_classes, sizeof *times->kind_of_class);
    times->of_class = clv_alloc_zeroed(costs->num_classes, sizeof *times->of_class);
    times->of_kind = clv_alloc_zeroed(costs->num_classes, sizeof *times->of_kind);
    bool fits = times->kind_of_class != NULL && times->of_class != NULL && times->of_kind != NULL;
    for (uint32_t k = 0; fits && k < costs->num_classes; k++) {
        const clv_unit *unit = &costs->machine->units[costs->unit_of_class[k]];
        const uint32_t *kind = clv_name_map_find(&times->kind_of_name, unit->kind);
        times->kind_of_class[k] = kind != NULL ? *kind : (uint32_t)times->kind_of_name.count;
        fits = clv_name_map_set(&times->class_of_name, unit->name, k) &&
               (kind != NULL ||
                clv_name_map_set(&times->kind_of_name, unit->kind, times->kind_of_class[k]));
    }
    return fits ? NULL : NO_MEMORY_HERE();
}

/* Puts the task's times where find_time looks for them, or takes them away again. */
static void set_task_times(task_times *times, const clv_task *task, bool is_there) {
    times->is_restricted = false;
    for (uint32_t i = 0; i < task->num_times; i++) {
        const char *where = task->times[i].where;
        times->is_restricted |= task->times[i].origin != CLV_ORIGIN_MEASURED;
        const clv_task_time *time = is_there ? &task->times[i] : NULL;
        if (strcmp(where, "*") == 0) {
            times->of_all = time;
            continue;
        }
        const uint32_t *class = clv_name_map_find(&times->class_of_name, where);
        const uint32_t *kind = clv_name_map_find(&times->kind_of_name, where);
        if (class != NULL) {
            times->of_class[*class] = time;
        }
        if (kind != NULL) {
            times->of_kind[*kind] = time;
        }
    }
}

/* The most exact time that the task has for a class: by its unit's name, by its kind, for all.
 * NULL: none. */
static const clv_task_time *find_time(const task_times *times, uint32_t class) {
    const clv_task_time *by_kind = times->of_kind[times->kind_of_class[class]];
    return times->of_class[class] != NULL ? times->of_class[class]
           : by_kind != NULL              ? by_kind
                                          : times->of_all;
}

static double roofline_us(const clv_unit *unit, const clv_task *task, double bandwidth) {
    double compute = task->flops > 0 ? task->flops / unit->peak_flops * 1e6 : 0;
    double memory = isinf(bandwidth) ? 0 : task->traffic_bytes / bandwidth * 1e6;
    return fmax(compute, memory);
}

static void fill_cost(
    clv_costs *costs, const task_times *times, uint32_t task_index, uint32_t class) {
    const clv_task *task = &costs->workload->tasks[task_index];
    const clv_machine *machine = costs->machine;
    const clv_unit *unit = &machine->units[costs->unit_of_class[class]];
    size_t at = clv_costs_at(costs, task_index, class);
    double bandwidth = own_bandwidth(machine, unit);
    double traffic_us = isinf(bandwidth) ? 0 : task->traffic_bytes / bandwidth * 1e6;
    const clv_task_time *given = find_time(times, class);
    double time_us = (double)INFINITY;
    clv_origin origin = CLV_ORIGIN_NONE;
    if (given != NULL) {
        time_us = given->time_us;
        origin = given->origin;
    } else if (!times->is_restricted && unit->peak_flops > 0) {
        time_us = roofline_us(unit, task, bandwidth);
        origin = CLV_ORIGIN_ESTIMATED;
    }
    if (isinf(time_us)) {
        origin = CLV_ORIGIN_NONE;
    }
    costs->time_us[at] = time_us;
    costs->traffic_us[at] = traffic_us;
    if (given != NULL && given->draws > 0 && isfinite(time_us) &&
        isfinite(machine->memories[unit->memory].bandwidth)) {
        costs->traffic_us[at] =
            -given->draws * machine->memories[unit->memory].bandwidth / bandwidth;
    }
    costs->origin[at] = (uint8_t)origin;
}

/* Far below what a double holds, so that many requests on slow units can be added up, and far above
 * any time. */
static const double most_us = 1e280;

static clv_status *add_time(
    const clv_costs *costs, uint32_t task, uint32_t class, double *longest_us) {
    double us = clv_costs_time_us(costs, task, costs->unit_of_class[class]);
    if (costs->origin[clv_costs_at(costs, task, class)] == CLV_ORIGIN_NONE) {
        return NULL;
    }
    *longest_us = fmax(*longest_us, us);
    return us <= most_us
               ? NULL
               : CLV_ERROR(
                     MALFORMED, "task '%s' takes %g us on '%s', at most %g can be counted",
                     costs->workload->tasks[task].name, us,
                     costs->machine->units[costs->unit_of_class[class]].name, most_us);
}

/* Fills the task's costs; `out_longest_us` is the longest. */
static clv_status *fill_task(
    clv_costs *costs, const task_times *times, uint32_t index, double *out_longest_us) {
    bool can_run = false;
    uint32_t count;
    const uint32_t *classes = clv_costs_classes(costs, index, &count);
    *out_longest_us = 0;
    for (uint32_t k = 0; k < count; k++) {
        if (costs->lead_of_class[classes[k]] != classes[k]) {
            continue;
        }
        fill_cost(costs, times, index, classes[k]);
        CLV_TRY(add_time(costs, index, classes[k], out_longest_us));
        can_run = can_run || !isinf(costs->time_us[clv_costs_at(costs, index, classes[k])]);
    }
    const clv_task *task = &costs->workload->tasks[index];
    return can_run ? NULL
                   : CLV_ERROR(
                         UNSUPPORTED, "task '%s' (%s) can run on no unit of the machine: %s",
                         task->name, task->type,
                         task->num_times > 0
                             ? "its times name none of them, by name or kind"
                             : "no time is given, and the units have no peak to estimate with; "
                               "they need one (peak=200G), or the operators times");
}

static clv_status *fill_costs(clv_costs *costs) {
    const clv_workload *workload = costs->workload;
    task_times times;
    double total_us = 0, longest_us;
    clv_status *status = task_times_init(costs, &times);
    for (uint32_t i = 0; status == NULL && i < workload->num_tasks; i++) {
        set_task_times(&times, &workload->tasks[i], true);
        status = fill_task(costs, &times, i, &longest_us);
        set_task_times(&times, &workload->tasks[i], false);
        total_us += longest_us;
        if (status == NULL && total_us > most_us) {
            status = CLV_ERROR(
                MALFORMED,
                "the times of task '%s' and those before it add up to %g us, at most %g "
                "can be counted",
                workload->tasks[i].name, total_us, most_us);
        }
    }
    task_times_deinit(&times);
    return status;
}

/* Consumers of a tensor ascend, so going over the tasks meets them in order. */
static clv_status *find_reader_inputs(clv_costs *costs) {
    const clv_workload *workload = costs->workload;
    uint64_t num_reads = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        num_reads += workload->tasks[i].num_inputs;
    }
    costs->first_reader =
        clv_alloc_zeroed((size_t)workload->num_tensors + 2, sizeof *costs->first_reader);
    costs->reader_input = clv_alloc_zeroed((size_t)num_reads + 1, sizeof *costs->reader_input);
    if (num_reads > UINT32_MAX || costs->first_reader == NULL || costs->reader_input == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t x = 0; x < workload->num_tensors; x++) { /* one behind: the loop below fills */
        costs->first_reader[x + 2] =
            costs->first_reader[x + 1] + workload->tensors[x].num_consumers;
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        for (uint32_t k = 0; k < workload->tasks[i].num_inputs; k++) {
            costs->reader_input[costs->first_reader[workload->tasks[i].inputs[k] + 1]++] = k;
        }
    }
    return NULL;
}

clv_status *clv_costs_create(
    const clv_workload *workload, const clv_machine *machine, clv_costs **out_costs) {
    clv_status *status = NULL;
    *out_costs = NULL;
    clv_costs *costs = clv_alloc_zeroed(1, sizeof *costs);
    if (costs == NULL) {
        return NO_MEMORY_HERE();
    }
    costs->workload = workload;
    costs->machine = machine;
    CLV_TRY_DONE(clv_routes_create(machine, &costs->routes));
    CLV_TRY_DONE(find_classes(costs));
    CLV_TRY_DONE(find_kinds(costs));
    CLV_TRY_DONE(find_reader_inputs(costs));
    size_t count = (size_t)workload->num_tasks * costs->num_cells + 1;
    costs->time_us = clv_alloc_zeroed(count, sizeof *costs->time_us);
    costs->traffic_us = clv_alloc_zeroed(count, sizeof *costs->traffic_us);
    costs->origin = clv_alloc_zeroed(count, sizeof *costs->origin);
    if (costs->time_us == NULL || costs->traffic_us == NULL || costs->origin == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    CLV_TRY_DONE(fill_costs(costs));
    *out_costs = costs;
    return NULL;
done:
    clv_costs_destroy(costs);
    return status;
}

static uint32_t memory_of(const clv_machine *machine, uint32_t unit) {
    return unit != CLV_NO_INDEX ? machine->units[unit].memory : clv_machine_home(machine);
}

clv_status *clv_costs_transfer_us(
    const clv_costs *costs, uint32_t from_unit, uint32_t to_unit, double bytes, double *out_us) {
    const clv_machine *machine = costs->machine;
    clv_path path;
    *out_us = 0;
    CLV_TRY(clv_routes_path(
        costs->routes, memory_of(machine, from_unit), memory_of(machine, to_unit), bytes, &path));
    if (path.count == CLV_NO_INDEX) {
        *out_us = (double)INFINITY;
        return NULL;
    }
    for (uint32_t i = 0; i < path.count; i++) {
        *out_us += clv_link_time_us(&machine->links[path.hops[i] / 2], bytes);
    }
    return NULL;
}

clv_status *clv_costs_ask_memory(
    const clv_costs *costs, const clv_group *groups, uint32_t num_groups, uint64_t *out_bytes,
    bool *out_is_known) {
    *out_is_known = false;
    if (costs->ask_memory == NULL) {
        return NULL;
    }
    clv_status *status = costs->ask_memory(costs, groups, num_groups, out_bytes);
    *out_is_known = status == NULL;
    if (clv_status_code(status) == CLV_UNSUPPORTED) { /* as a session will say */
        clv_status_destroy(status);
        return NULL;
    }
    return status;
}
