/* Units on the same processors.
 *
 * Threads of all units that compute on a group of processors get an even share of these: where
 * there are more threads than processors, all launches there go on at one pace, processors over
 * threads. It changes when a launch begins or ends. What a step draws of its memory's bandwidth is
 * less by as much. Transfers take no processor.
 */
#include "host/base/memory.h"
#include "scheduler/clock_state.h"

#include <math.h>

#define NONE CLV_NO_INDEX

typedef struct clv_clock_pace {
    /* by group of processors */
    bool *is_scarce; /* more threads than processors, if all units are at work */
    bool *is_stale;
    uint32_t *num_threads; /* of what runs */
    uint32_t *stale, num_stale;
    uint32_t *first_unit, *units; /* of group g: units[first_unit[g]] .. units[first_unit[g + 1]] */
    double *pace;                 /* [num_steps]: of what runs there */
} clv_clock_pace;

/* The units of each group, and whether they can be too many. */
static bool list_units(clv_clock_pace *pace, const clv_machine *machine) {
    bool is_any_scarce = false;
    for (uint32_t i = 0; i < machine->num_units; i++) {
        if (machine->units[i].processors != NONE) {
            pace->first_unit[machine->units[i].processors + 2]++;
        }
    }
    for (uint32_t g = 2; g < machine->num_processors + 2; g++) {
        pace->first_unit[g] += pace->first_unit[g - 1];
    }
    for (uint32_t i = 0; i < machine->num_units; i++) {
        const uint32_t group = machine->units[i].processors;
        if (group != NONE) {
            pace->units[pace->first_unit[group + 1]++] = i;
        }
    }
    for (uint32_t g = 0; g < machine->num_processors; g++) {
        uint64_t num_threads = 0;
        for (uint32_t i = pace->first_unit[g]; i < pace->first_unit[g + 1]; i++) {
            num_threads += machine->units[pace->units[i]].threads;
        }
        pace->is_scarce[g] = num_threads > machine->processors[g].count;
        is_any_scarce = is_any_scarce || pace->is_scarce[g];
    }
    return is_any_scarce;
}

bool clv_clock_pace_init(clv_clock *c) {
    const clv_machine *machine = c->machine;
    const size_t groups = machine->num_processors;
    if (groups == 0) {
        return true;
    }
    clv_clock_pace *pace = c->pace = clv_alloc_zeroed(1, sizeof *pace);
    if (pace == NULL) {
        return false;
    }
    pace->is_scarce = clv_alloc_zeroed(groups, sizeof *pace->is_scarce);
    pace->is_stale = clv_alloc_zeroed(groups, sizeof *pace->is_stale);
    pace->num_threads = clv_alloc_zeroed(groups, sizeof *pace->num_threads);
    pace->stale = clv_alloc_zeroed(groups, sizeof *pace->stale);
    pace->first_unit = clv_alloc_zeroed(groups + 2, sizeof *pace->first_unit);
    pace->units = clv_alloc_zeroed((size_t)machine->num_units + 1, sizeof *pace->units);
    pace->pace = clv_alloc_zeroed((size_t)c->schedule->num_steps + 1, sizeof *pace->pace);
    if (pace->is_scarce == NULL || pace->is_stale == NULL || pace->num_threads == NULL ||
        pace->stale == NULL || pace->first_unit == NULL || pace->units == NULL ||
        pace->pace == NULL) {
        return false;
    }
    if (!list_units(pace, machine)) {
        clv_clock_pace_deinit(c);
    }
    return true;
}

void clv_clock_pace_deinit(clv_clock *c) {
    if (c->pace != NULL) {
        clv_free(c->pace->is_scarce);
        clv_free(c->pace->is_stale);
        clv_free(c->pace->num_threads);
        clv_free(c->pace->stale);
        clv_free(c->pace->first_unit);
        clv_free(c->pace->units);
        clv_free(c->pace->pace);
        clv_free(c->pace);
        c->pace = NULL;
    }
}

/* The processors that a step needs and may have to share; NONE: there are none. */
static uint32_t group_of(const clv_clock *c, uint32_t step) {
    if (c->pace == NULL || c->schedule->steps[step].kind == CLV_SCHEDULE_SEND) {
        return NONE;
    }
    const uint32_t group = c->machine->units[c->run->unit[step]].processors;
    return group != NONE && c->pace->is_scarce[group] ? group : NONE;
}

static void make_stale(clv_clock_pace *pace, uint32_t group) {
    if (!pace->is_stale[group]) {
        pace->is_stale[group] = true;
        pace->stale[pace->num_stale++] = group;
    }
}

void clv_clock_pace_begin(clv_clock *c, uint32_t step) {
    const uint32_t group = group_of(c, step);
    if (group != NONE) {
        c->pace->pace[step] = 1;
        c->pace->num_threads[group] += c->machine->units[c->run->unit[step]].threads;
        make_stale(c->pace, group);
    }
}

void clv_clock_pace_end(clv_clock *c, uint32_t step) {
    const uint32_t group = group_of(c, step);
    if (group != NONE) {
        c->pace->num_threads[group] -= c->machine->units[c->run->unit[step]].threads;
        make_stale(c->pace, group);
    }
}

bool clv_clock_set_paces(clv_clock *c) {
    clv_clock_pace *pace = c->pace;
    bool ok = true;
    while (ok && pace != NULL && pace->num_stale > 0) {
        const uint32_t group = pace->stale[--pace->num_stale];
        const double threads = fmax(pace->num_threads[group], 1);
        const double now = fmin(c->machine->processors[group].count / threads, 1);
        pace->is_stale[group] = false;
        for (uint32_t i = pace->first_unit[group]; ok && i < pace->first_unit[group + 1]; i++) {
            const uint32_t step = c->running[pace->units[i]];
            if (step != NONE && group_of(c, step) == group && pace->pace[step] != now) {
                ok = clv_clock_quicken(c, step, now / pace->pace[step]);
                pace->pace[step] = now;
            }
        }
    }
    return ok;
}
