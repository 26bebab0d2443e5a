#include "host/base/memory.h"
#include "scheduler/timeline.h"

#include <math.h>

static void consider(clv_bounds *bounds, double *kind, double time_us, const char *where) {
    *kind = fmax(*kind, time_us);
    if (time_us > bounds->best_us) {
        bounds->best_us = time_us;
        bounds->where = where;
    }
}

/* Ends of steps if every resource were there for each of them alone; with a depth of 1 a request
 * begins when the one before it in its group has ended. */
static clv_status *find_critical_path(const clv_schedule *s, clv_bounds *bounds) {
    double *end_us = clv_alloc_zeroed((size_t)s->num_steps + 1, sizeof *end_us);
    double *group_us = clv_alloc_zeroed((size_t)s->num_groups + 1, sizeof *group_us);
    if (end_us == NULL || group_us == NULL) {
        clv_free(end_us);
        clv_free(group_us);
        return CLV_ERROR(NO_MEMORY, "out of host memory for bounds");
    }
    double longest_us = 0;
    for (uint32_t r = 0; r < s->num_requests; r++) {
        uint32_t group = s->group_of_request[r];
        double begin_us = s->depth_of_group[group] == 1 ? group_us[group] : 0;
        for (uint64_t i = s->first_step[r]; i < s->first_step[r + 1]; i++) {
            const clv_schedule_step *step = &s->steps[i];
            double start_us = begin_us;
            for (uint32_t k = 0; k < step->num_waits; k++) {
                start_us = fmax(start_us, end_us[s->waits[step->first_wait + k]]);
            }
            end_us[i] = start_us + step->duration_us;
            group_us[group] = fmax(group_us[group], end_us[i]);
            longest_us = fmax(longest_us, end_us[i]);
        }
    }
    consider(bounds, &bounds->critical_path_us, longest_us, "critical path");
    clv_free(end_us);
    clv_free(group_us);
    return NULL;
}

clv_status *clv_schedule_bounds(const clv_schedule *schedule, clv_bounds *out_bounds) {
    const clv_machine *machine = schedule->costs->machine;
    size_t count = (size_t)schedule->num_resources + machine->num_memories;
    double *load_us = clv_alloc_zeroed(count, sizeof *load_us);
    *out_bounds = (clv_bounds){.where = "nothing"};
    if (load_us == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for bounds");
    }
    for (uint64_t i = 0; i < schedule->num_steps; i++) {
        const clv_schedule_step *step = &schedule->steps[i];
        for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
            if (step->resources[k] != CLV_NO_INDEX) {
                load_us[step->resources[k]] += step->duration_us;
            }
        }
        if (step->traffic_us > 0) {
            uint32_t memory = machine->units[step->resources[0]].memory;
            load_us[schedule->num_resources + memory] += step->traffic_us;
        }
    }
    for (uint32_t i = 0; i < machine->num_units; i++) {
        consider(out_bounds, &out_bounds->unit_us, load_us[i], machine->units[i].name);
    }
    for (uint32_t i = 0; i < 2 * machine->num_links; i++) {
        double time_us = load_us[machine->num_units + i];
        consider(out_bounds, &out_bounds->link_us, time_us, machine->links[i / 2].name);
    }
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        double time_us = load_us[schedule->num_resources + i];
        consider(out_bounds, &out_bounds->memory_us, time_us, machine->memories[i].name);
    }
    clv_free(load_us);
    return find_critical_path(schedule, out_bounds);
}
