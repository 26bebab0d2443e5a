#include "scheduler/critical.h"

#include "host/base/memory.h"

#include <math.h>
#include <stdlib.h>

#define NONE CLV_NO_INDEX
#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a critical path")

typedef struct finder {
    const clv_schedule *schedule;
    const clv_run *run;
    clv_cause *causes;
    double slack_us;
    uint32_t *rank;        /* by step: its place in run->started */
    uint32_t *last_reader; /* by step: of its output, the one that ended last, or itself */
    uint32_t *last;        /* by resource: the latest that began there; later by buffer */
    uint64_t *first_slot;  /* [num_units]: of its buffers in `holder` */
    uint32_t *holder;      /* by buffer: the latest output in it */
} finder;

void clv_critical_path_destroy(clv_critical_path *path) {
    if (path != NULL) {
        clv_free(path->causes);
        clv_free(path->steps);
        clv_free(path->step_us);
        clv_free(path);
    }
}

const char *clv_cause_name(clv_cause_kind kind) {
    static const char *const names[] = {"nothing", "dependence", "buffer", "resource", "depth"};
    return kind < CLV_NUM_CAUSES ? names[kind] : "?";
}

/* Takes `before` as the cause of `step` if it ended later than what is known. What must come before
 * by a rule counts even where a measured clock has it end a little after; the rest does not. What
 * did not begin earlier is no cause, so that a path always leads back. */
static void consider(finder *f, uint32_t step, uint32_t before, clv_cause_kind kind, bool is_rule) {
    const double *end_us = f->run->end_us;
    clv_cause *cause = &f->causes[step];
    if (before == NONE || f->rank[before] >= f->rank[step] ||
        (!is_rule && end_us[before] > f->run->start_us[step] + f->slack_us)) {
        return;
    }
    if (cause->before == NONE || end_us[before] > end_us[cause->before] + f->slack_us) {
        *cause = (clv_cause){before, (uint8_t)kind};
    }
}

static void consider_dependences(finder *f, uint32_t index) {
    const clv_schedule_step *step = &f->schedule->steps[index];
    uint32_t num_waits = clv_schedule_num_waits(f->schedule, step, f->run->is_dynamic);
    for (uint32_t k = 0; k < num_waits; k++) {
        clv_cause_kind kind = f->schedule->is_record && k >= step->num_reads ? CLV_CAUSE_BUFFER
                                                                             : CLV_CAUSE_DEPENDENCE;
        consider(f, index, f->schedule->waits[step->first_wait + k], kind, true);
    }
}

static void consider_buffer(finder *f, uint32_t index) {
    const clv_schedule_step *step = &f->schedule->steps[index];
    uint32_t unit = f->run->unit[index], slot = f->run->slot[index];
    if (!step->holds_slot || slot == NONE || slot >= f->run->slots_used[unit]) {
        return;
    }
    uint32_t *holder = &f->holder[f->first_slot[unit] + slot];
    /* an output that nobody reads is free when its step is: that is the unit's */
    if (*holder != NONE && f->last_reader[*holder] != *holder &&
        f->schedule->costs->machine->units[unit].slots > 0 &&
        clv_schedule_blocks(f->schedule, step)) {
        consider(f, index, f->last_reader[*holder], CLV_CAUSE_BUFFER, true);
    }
    *holder = index;
}

static void consider_resources(finder *f, uint32_t index) {
    const clv_schedule_step *step = &f->schedule->steps[index];
    for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
        uint32_t r = step->resources[k];
        if (k == 0 && step->kind != CLV_SCHEDULE_SEND) {
            r = f->run->unit[index];
        }
        if (r != NONE) {
            consider(f, index, f->last[r], CLV_CAUSE_RESOURCE, false);
            f->last[r] = index;
        }
    }
}

static clv_status *allocate(finder *f) {
    const clv_schedule *s = f->schedule;
    uint32_t num_units = s->costs->machine->num_units;
    size_t num_steps = (size_t)s->num_steps, num_slots = 0;
    f->first_slot = clv_alloc_zeroed((size_t)num_units + 1, sizeof *f->first_slot);
    if (f->first_slot == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < num_units; i++) {
        f->first_slot[i] = num_slots;
        num_slots += f->run->slots_used[i];
    }
    f->rank = clv_alloc_zeroed(num_steps + 1, sizeof *f->rank);
    f->last_reader = clv_alloc_zeroed(num_steps + 1, sizeof *f->last_reader);
    f->last = clv_alloc_zeroed((size_t)s->num_resources + 1, sizeof *f->last);
    f->holder = clv_alloc_zeroed(num_slots + 1, sizeof *f->holder);
    if (f->rank == NULL || f->last_reader == NULL || f->last == NULL || f->holder == NULL) {
        return NO_MEMORY_HERE();
    }
    for (size_t i = 0; i < num_slots; i++) {
        f->holder[i] = NONE;
    }
    for (uint32_t i = 0; i < s->num_resources; i++) {
        f->last[i] = NONE;
    }
    return NULL;
}

/* Reads of an output in place keep its buffer. */
static void find_readers(finder *f) {
    const clv_schedule *s = f->schedule;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        f->rank[f->run->started[i]] = (uint32_t)i;
        f->last_reader[i] = (uint32_t)i;
    }
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        for (uint32_t k = 0; k < step->num_reads; k++) {
            uint32_t *last = &f->last_reader[s->waits[step->first_wait + k]];
            *last = f->run->end_us[i] > f->run->end_us[*last] ? (uint32_t)i : *last;
        }
    }
}

/* --- depth --- */

typedef struct request_end {
    double end_us;
    uint32_t last_step;
} request_end;

static int compare_ends(const void *left, const void *right) {
    const request_end *a = left, *b = right;
    if (a->end_us != b->end_us) {
        return a->end_us < b->end_us ? -1 : 1;
    }
    return (a->last_step > b->last_step) - (a->last_step < b->last_step);
}

/* The n-th request of a group is let in by the end number n - depth, whoever's it is.
 *
 * requests  [count]: those of the group
 * ends      [count]: scratch */
static void consider_admissions(
    finder *f, uint32_t depth, const uint32_t *requests, uint32_t count, request_end *ends) {
    const clv_schedule *s = f->schedule;
    uint32_t num_ends = 0, index = 0;
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t r = requests[n];
        request_end end = {-1, NONE};
        for (uint64_t i = s->first_step[r]; i < s->first_step[r + 1]; i++) {
            if (f->run->end_us[i] > end.end_us) {
                end = (request_end){f->run->end_us[i], (uint32_t)i};
            }
        }
        if (s->first_step[r] < s->first_step[r + 1]) {
            ends[num_ends++] = end;
        }
    }
    if (num_ends <= depth) {
        return;
    }
    qsort(ends, num_ends, sizeof *ends, compare_ends);
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t r = requests[n];
        for (uint64_t i = s->first_step[r]; index >= depth && i < s->first_step[r + 1]; i++) {
            if (s->is_record || clv_schedule_num_waits(s, &s->steps[i], f->run->is_dynamic) == 0) {
                consider(f, (uint32_t)i, ends[index - depth].last_step, CLV_CAUSE_DEPTH, false);
            }
        }
        index += s->first_step[r] < s->first_step[r + 1] ? 1 : 0;
    }
}

static clv_status *find_admissions(finder *f) {
    const clv_schedule *s = f->schedule;
    request_end *ends = clv_alloc_zeroed((size_t)s->num_requests + 1, sizeof *ends);
    uint32_t *first = clv_alloc_zeroed((size_t)s->num_groups + 2, sizeof *first);
    uint32_t *by_group = clv_alloc_zeroed((size_t)s->num_requests + 1, sizeof *by_group);
    clv_status *status =
        ends != NULL && first != NULL && by_group != NULL ? NULL : NO_MEMORY_HERE();
    if (status == NULL) {
        clv_schedule_sort_requests(s, first, by_group);
    }
    for (uint32_t g = 0; status == NULL && g < s->num_groups; g++) {
        consider_admissions(
            f, s->depth_of_group[g], by_group + first[g], first[g + 1] - first[g], ends);
    }
    clv_free(ends);
    clv_free(first);
    clv_free(by_group);
    return status;
}

static clv_status *find_causes(finder *f) {
    const clv_schedule *s = f->schedule;
    CLV_TRY(allocate(f));
    find_readers(f);
    for (uint64_t i = 0; i < s->num_steps; i++) {
        f->causes[i] = (clv_cause){NONE, CLV_CAUSE_NOTHING};
    }
    for (uint64_t i = 0; i < s->num_steps; i++) {
        uint32_t step = f->run->started[i];
        consider_dependences(f, step);
        consider_buffer(f, step);
        consider_resources(f, step);
    }
    return find_admissions(f);
}

/* --- the path --- */

/* Steps of what was executed may begin, and end, before what they waited for has ended: clocks
 * differ, and parts of a step may go on while others wait. No moment counts twice. */
static void share_out(const clv_run *run, clv_critical_path *path) {
    double until_us = 0;
    for (uint64_t i = 0; i < path->num_steps; i++) {
        const uint32_t step = path->steps[i];
        const double begin_us = fmax(run->start_us[step], until_us);
        path->idle_us += begin_us - until_us;
        until_us = fmax(run->end_us[step], begin_us);
        path->step_us[i] = until_us - begin_us;
        path->busy_us += path->step_us[i];
    }
}

static clv_status *walk_back(const finder *f, clv_critical_path *path) {
    const clv_run *run = f->run;
    uint32_t last = NONE;
    for (uint64_t i = 0; i < run->num_steps; i++) {
        uint32_t step = run->started[i];
        if (last == NONE || run->end_us[step] > run->end_us[last]) {
            last = step;
        }
    }
    for (uint32_t step = last; step != NONE; step = path->causes[step].before) {
        path->num_steps++;
    }
    path->steps = clv_alloc(((size_t)path->num_steps + 1) * sizeof *path->steps);
    path->step_us = clv_alloc(((size_t)path->num_steps + 1) * sizeof *path->step_us);
    if (path->steps == NULL || path->step_us == NULL) {
        return NO_MEMORY_HERE();
    }
    uint64_t at = path->num_steps;
    for (uint32_t step = last; step != NONE; step = path->causes[step].before) {
        path->steps[--at] = step;
        path->num_causes[path->causes[step].kind]++;
    }
    share_out(run, path);
    return NULL;
}

clv_status *clv_critical_path_create(
    const clv_schedule *schedule, const clv_run *run, clv_critical_path **out_path) {
    finder f = {.schedule = schedule, .run = run != NULL ? run : schedule->predicted};
    *out_path = NULL;
    clv_critical_path *path = clv_alloc_zeroed(1, sizeof *path);
    if (path == NULL) {
        return NO_MEMORY_HERE();
    }
    f.slack_us = f.run->makespan_us * 1e-9; /* times are sums in another order */
    path->causes = clv_alloc(((size_t)schedule->num_steps + 1) * sizeof *path->causes);
    f.causes = path->causes;
    clv_status *status = path->causes != NULL ? find_causes(&f) : NO_MEMORY_HERE();
    if (status == NULL) {
        status = walk_back(&f, path);
    }
    clv_free(f.rank);
    clv_free(f.last_reader);
    clv_free(f.last);
    clv_free(f.first_slot);
    clv_free(f.holder);
    if (status != NULL) {
        clv_critical_path_destroy(path);
        return status;
    }
    *out_path = path;
    return NULL;
}
