#include "partition/costs.h"

#include "host/base/memory.h"
#include "host/base/name_map.h"

#include <math.h>
#include <string.h>

void clv_costs_destroy(clv_costs *costs) {
    if (costs != NULL) {
        clv_routes_destroy(costs->routes);
        clv_free(costs->class_of_unit);
        clv_free(costs->unit_of_class);
        clv_free(costs->time_us);
        clv_free(costs->traffic_us);
        clv_free(costs->origin);
        clv_free(costs);
    }
}

/* Whether some task gives a time for this very unit, so that it is a class of its own. */
static clv_status *find_named_units(
    const clv_workload *workload, const clv_machine *machine, bool *is_named) {
    clv_name_map units;
    clv_name_map_init(&units);
    clv_status *status = NULL;
    for (uint32_t i = 0; status == NULL && i < machine->num_units; i++) {
        if (!clv_name_map_set(&units, machine->units[i].name, i)) {
            status = CLV_ERROR(NO_MEMORY, "out of host memory for costs");
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

static bool are_alike(const clv_unit *a, const clv_unit *b) {
    return strcmp(a->kind, b->kind) == 0 && a->peak_flops == b->peak_flops &&
           a->bandwidth == b->bandwidth && a->speed == b->speed;
}

static clv_status *find_classes(clv_costs *costs) {
    const clv_machine *machine = costs->machine;
    bool *is_named = clv_alloc_zeroed(machine->num_units, sizeof *is_named);
    costs->class_of_unit = clv_alloc_zeroed(machine->num_units, sizeof *costs->class_of_unit);
    costs->unit_of_class = clv_alloc_zeroed(machine->num_units, sizeof *costs->unit_of_class);
    clv_status *status =
        is_named != NULL && costs->class_of_unit != NULL && costs->unit_of_class != NULL
            ? find_named_units(costs->workload, machine, is_named)
            : CLV_ERROR(NO_MEMORY, "out of host memory for costs");
    for (uint32_t i = 0; status == NULL && i < machine->num_units; i++) {
        uint32_t class = costs->num_classes;
        for (uint32_t k = 0; !is_named[i] && k < costs->num_classes; k++) {
            uint32_t other = costs->unit_of_class[k];
            if (!is_named[other] && are_alike(&machine->units[i], &machine->units[other])) {
                class = k;
                break;
            }
        }
        if (class == costs->num_classes) {
            costs->unit_of_class[costs->num_classes++] = i;
        }
        costs->class_of_unit[i] = class;
    }
    clv_free(is_named);
    return status;
}

/* The most exact time that the task has for a unit: by its name, by its kind, for all. NULL: none.
 */
static const clv_task_time *find_time(const clv_task *task, const clv_unit *unit) {
    const clv_task_time *best = NULL;
    int best_rank = 0;
    for (uint32_t i = 0; i < task->num_times; i++) {
        const char *where = task->times[i].where;
        int rank = strcmp(where, unit->name) == 0   ? 3
                   : strcmp(where, unit->kind) == 0 ? 2
                   : strcmp(where, "*") == 0        ? 1
                                                    : 0;
        if (rank > best_rank) {
            best_rank = rank;
            best = &task->times[i];
        }
    }
    return best;
}

/* On a bespoke machine a unit runs the tasks of its type, or its one task, and nothing else. */
static bool may_run(const clv_machine *machine, const clv_unit *unit, const clv_task *task) {
    switch (machine->bespoke) {
    case CLV_BESPOKE_TYPE:
        return strcmp(unit->kind, task->type) == 0;
    case CLV_BESPOKE_NODE:
        return strcmp(unit->kind, task->name) == 0;
    default:
        return true;
    }
}

static double roofline_us(const clv_unit *unit, const clv_task *task, double bandwidth) {
    double compute = task->flops > 0 ? task->flops / unit->peak_flops * 1e6 : 0;
    double memory = isinf(bandwidth) ? 0 : task->traffic_bytes / bandwidth * 1e6;
    return fmax(compute, memory);
}

/* Given times say where a task can run at all; what was measured on some units leaves others as
 * they are. */
static bool is_restricted(const clv_task *task) {
    for (uint32_t i = 0; i < task->num_times; i++) {
        if (task->times[i].origin != CLV_ORIGIN_MEASURED) {
            return true;
        }
    }
    return false;
}

static void fill_cost(clv_costs *costs, uint32_t task_index, uint32_t class) {
    const clv_task *task = &costs->workload->tasks[task_index];
    const clv_machine *machine = costs->machine;
    const clv_unit *unit = &machine->units[costs->unit_of_class[class]];
    size_t at = (size_t)task_index * costs->num_classes + class;
    double bandwidth = fmin(unit->bandwidth, machine->memories[unit->memory].bandwidth);
    double traffic_us = isinf(bandwidth) ? 0 : task->traffic_bytes / bandwidth * 1e6;
    const clv_task_time *given = find_time(task, unit);
    double time_us = (double)INFINITY;
    clv_origin origin = CLV_ORIGIN_NONE;
    if (may_run(machine, unit, task)) {
        if (given != NULL) {
            time_us = given->time_us;
            origin = given->origin;
        } else if (!is_restricted(task) && unit->peak_flops > 0) {
            time_us = roofline_us(unit, task, bandwidth);
            origin = CLV_ORIGIN_ESTIMATED;
        }
    }
    if (isinf(time_us)) {
        origin = CLV_ORIGIN_NONE;
    }
    costs->time_us[at] = time_us / unit->speed;
    costs->traffic_us[at] = fmin(traffic_us, costs->time_us[at]);
    costs->origin[at] = (uint8_t)origin;
}

static clv_status *fill_costs(clv_costs *costs) {
    const clv_workload *workload = costs->workload;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        bool can_run = false;
        for (uint32_t k = 0; k < costs->num_classes; k++) {
            fill_cost(costs, i, k);
            can_run = can_run || !isinf(costs->time_us[(size_t)i * costs->num_classes + k]);
        }
        if (!can_run) {
            const clv_task *task = &workload->tasks[i];
            return CLV_ERROR(
                UNSUPPORTED, "task '%s' (%s) can run on no unit of the machine: %s", task->name,
                task->type,
                task->num_times > 0
                    ? "its times name none of them, by name or kind"
                    : "no time is given, and the units have no peak to estimate with");
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
        return CLV_ERROR(NO_MEMORY, "out of host memory for costs");
    }
    costs->workload = workload;
    costs->machine = machine;
    CLV_TRY_DONE(clv_routes_create(machine, &costs->routes));
    CLV_TRY_DONE(find_classes(costs));
    size_t count = (size_t)workload->num_tasks * costs->num_classes + 1;
    costs->time_us = clv_alloc_zeroed(count, sizeof *costs->time_us);
    costs->traffic_us = clv_alloc_zeroed(count, sizeof *costs->traffic_us);
    costs->origin = clv_alloc_zeroed(count, sizeof *costs->origin);
    if (costs->time_us == NULL || costs->traffic_us == NULL || costs->origin == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for costs");
        goto done;
    }
    CLV_TRY_DONE(fill_costs(costs));
    *out_costs = costs;
    return NULL;
done:
    clv_costs_destroy(costs);
    return status;
}

clv_status *clv_costs_transfer_us(
    const clv_costs *costs, uint32_t from_unit, uint32_t to_unit, double bytes, double *out_us) {
    const clv_machine *machine = costs->machine;
    const uint32_t *hops;
    uint32_t scratch[CLV_SHORT_PATH], count;
    *out_us = 0;
    CLV_TRY(clv_routes_path(
        costs->routes, machine->units[from_unit].memory, machine->units[to_unit].memory, scratch,
        &hops, &count));
    if (count == CLV_NO_INDEX) {
        *out_us = (double)INFINITY;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        *out_us += clv_link_time_us(&machine->links[hops[i] / 2], bytes);
    }
    return NULL;
}
