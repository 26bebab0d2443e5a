#include "host/base/memory.h"
#include "scheduler/timeline.h"

#include <math.h>

/* What one resource has to do, and what no step of it can begin before, or end later than. */
typedef struct load {
    double work_us, head_us, tail_us;
} load;

typedef struct bounder {
    const clv_schedule *schedule;
    bool is_dynamic;
    double
        *head_us; /* [num_steps]: earliest begin, were every resource there for each step alone */
    double *tail_us; /* [num_steps]: least time from its end to its request's */
    double *end_us;  /* [num_requests]: earliest end */
    load *loads;     /* units, directions of links, memories, processors */
} bounder;

/* With d requests in flight the n-th of a group begins when n - d of them have ended: all of a
 * group are alike, so that these are as early as the first n - d. */
static double earliest_begin(
    const bounder *b, const uint32_t *requests, uint32_t index, uint32_t group) {
    uint32_t depth = b->schedule->depth_of_group[group];
    return index >= depth ? b->end_us[requests[index - depth]] : 0;
}

/* `requests` [count]: those of the group. */
static double find_heads(bounder *b, const uint32_t *requests, uint32_t count, uint32_t group) {
    const clv_schedule *s = b->schedule;
    double longest_us = 0;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t r = requests[n];
        double begin_us = earliest_begin(b, requests, n, group);
        b->end_us[r] = begin_us;
        for (uint64_t i = s->first_step[r]; i < s->first_step[r + 1]; i++) {
            const clv_schedule_step *step = &s->steps[i];
            double start_us = begin_us;
            uint32_t num_waits = clv_schedule_num_waits(s, step, b->is_dynamic);
            for (uint32_t k = 0; k < num_waits; k++) {
                uint32_t before = s->waits[step->first_wait + k];
                start_us = fmax(start_us, b->head_us[before] + s->steps[before].duration_us);
            }
            b->head_us[i] = start_us;
            b->end_us[r] = fmax(b->end_us[r], start_us + step->duration_us);
        }
        longest_us = fmax(longest_us, b->end_us[r]);
    }
    return longest_us;
}

static void find_tails(bounder *b) {
    const clv_schedule *s = b->schedule;
    for (uint64_t i = s->num_steps; i-- > 0;) {
        const clv_schedule_step *step = &s->steps[i];
        double tail_us = b->tail_us[i] + step->duration_us;
        uint32_t num_waits = clv_schedule_num_waits(s, step, b->is_dynamic);
        for (uint32_t k = 0; k < num_waits; k++) {
            double *before = &b->tail_us[s->waits[step->first_wait + k]];
            *before = fmax(*before, tail_us);
        }
    }
}

static void add_work(bounder *b, uint64_t step, uint32_t where, double work_us) {
    load *l = &b->loads[where];
    l->work_us += work_us;
    l->head_us = fmin(l->head_us, b->head_us[step]);
    l->tail_us = fmin(l->tail_us, b->tail_us[step]);
}

static uint32_t num_loads(const clv_schedule *s) {
    const clv_machine *machine = s->costs->machine;
    return s->num_resources + machine->num_memories + machine->num_processors;
}

static void add_processors(bounder *b, uint64_t index) {
    const clv_schedule *s = b->schedule;
    const clv_machine *machine = s->costs->machine;
    const clv_schedule_step *step = &s->steps[index];
    if (clv_step_has_processors(s, step, b->is_dynamic)) {
        const uint32_t unit = step->resources[0];
        add_work(
            b, index, s->num_resources + machine->num_memories + machine->units[unit].processors,
            step->duration_us * clv_machine_processor_share(machine, unit));
    }
}

static void add_loads(bounder *b) {
    const clv_schedule *s = b->schedule;
    const clv_machine *machine = s->costs->machine;
    for (uint32_t i = 0; i < num_loads(s); i++) {
        b->loads[i] = (load){0, (double)INFINITY, (double)INFINITY};
    }
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
            uint32_t r = step->resources[k];
            if (r < machine->num_units && b->is_dynamic) {
                r = s->crew_of_unit[r];
                add_work(b, i, r, step->duration_us / s->crew_size[r]);
            } else if (r != CLV_NO_INDEX) {
                add_work(b, i, r, step->duration_us);
            }
        }
        if (step->traffic_us > 0) {
            uint32_t memory = machine->units[step->resources[0]].memory;
            add_work(b, i, s->num_resources + memory, step->traffic_us);
        }
        add_processors(b, i);
    }
}

static void consider(clv_bounds *bounds, double *kind, double time_us, const char *where) {
    *kind = fmax(*kind, time_us);
    if (time_us > bounds->best_us) {
        bounds->best_us = time_us;
        bounds->where = where;
    }
}

static void consider_loads(const bounder *b, clv_bounds *bounds) {
    const clv_machine *machine = b->schedule->costs->machine;
    for (uint32_t i = 0; i < num_loads(b->schedule); i++) {
        const load *l = &b->loads[i];
        double time_us = l->work_us > 0 ? l->head_us + l->work_us + l->tail_us : 0;
        if (i < machine->num_units) {
            consider(bounds, &bounds->unit_us, time_us, machine->units[i].name);
        } else if (i < b->schedule->num_resources) {
            const clv_link *link = &machine->links[(i - machine->num_units) / 2];
            consider(bounds, &bounds->link_us, time_us, link->name);
        } else if (i < b->schedule->num_resources + machine->num_memories) {
            const clv_memory *memory = &machine->memories[i - b->schedule->num_resources];
            consider(bounds, &bounds->memory_us, time_us, memory->name);
        } else {
            const uint32_t group = i - b->schedule->num_resources - machine->num_memories;
            consider(bounds, &bounds->processors_us, time_us, machine->processors[group].name);
        }
    }
}

clv_status *clv_schedule_bounds(
    const clv_schedule *schedule, bool is_dynamic, clv_bounds *out_bounds) {
    size_t steps = (size_t)schedule->num_steps + 1, requests = schedule->num_requests;
    *out_bounds = (clv_bounds){.where = "nothing"};
    bounder b = {
        .schedule = schedule,
        .is_dynamic = is_dynamic,
        .head_us = clv_alloc_zeroed(steps, sizeof *b.head_us),
        .tail_us = clv_alloc_zeroed(steps, sizeof *b.tail_us),
        .end_us = clv_alloc_zeroed(requests + 1, sizeof *b.end_us),
        .loads = clv_alloc_zeroed((size_t)num_loads(schedule) + 1, sizeof *b.loads)};
    uint32_t *first = clv_alloc_zeroed(requests + schedule->num_groups + (size_t)2, sizeof *first);
    uint32_t *by_group = first + schedule->num_groups + 2;
    clv_status *status = NULL;
    if (b.head_us == NULL || b.tail_us == NULL || b.end_us == NULL || b.loads == NULL ||
        first == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for bounds");
        goto done;
    }
    double longest_us = 0;
    clv_schedule_sort_requests(schedule, first, by_group);
    for (uint32_t g = 0; g < schedule->num_groups; g++) {
        double end_us = find_heads(&b, by_group + first[g], first[g + 1] - first[g], g);
        longest_us = fmax(longest_us, end_us);
    }
    find_tails(&b);
    add_loads(&b);
    consider(out_bounds, &out_bounds->critical_path_us, longest_us, "critical path");
    consider_loads(&b, out_bounds);
done:
    clv_free(b.head_us);
    clv_free(b.tail_us);
    clv_free(b.end_us);
    clv_free(b.loads);
    clv_free(first);
    return status;
}
