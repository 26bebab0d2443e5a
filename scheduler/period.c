#include "scheduler/period.h"

#include "host/base/memory.h"
#include "partition/evaluate.h"
#include "scheduler/clock.h"
#include "scheduler/run_memory.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for the period of a plan")

/* Runs double from FEWEST requests, and some for each group, until the period changes by no more
 * than `same` or the steps are spent. */
enum { FEWEST = 16, FEWEST_OF_GROUP = 32 };
static const double same = 1e-4;

/* How far a run of so many requests comes, by group. */
typedef struct progress {
    double *end_us;  /* [num_groups]: of its last request */
    uint32_t *count; /* [num_groups]: its requests */
} progress;

typedef struct finder {
    const clv_schedule *schedule;
    clv_clock_request clock;
    uint32_t depth;
    uint64_t steps_left;
    progress before, now;
    double period_us; /* so far; INFINITY: not known */
    double least_us;
} finder;

static void note_progress(const clv_schedule *s, const clv_run *run, progress *p) {
    memset(p->end_us, 0, s->num_groups * sizeof *p->end_us);
    memset(p->count, 0, s->num_groups * sizeof *p->count);
    for (uint32_t r = 0; r < s->num_requests; r++) {
        uint32_t group = s->group_of_request[r];
        p->count[group]++;
        for (uint64_t i = s->first_step[r]; i < s->first_step[r + 1]; i++) {
            p->end_us[group] = fmax(p->end_us[group], run->end_us[i]);
        }
    }
}

/* What a step has to do on every resource and memory, `share` times; a crew shares its work. */
static void add_loads(
    const clv_schedule *s, const clv_schedule_step *step, bool is_dynamic, double share,
    double *load_us) {
    for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
        uint32_t r = step->resources[k];
        if (r < s->costs->machine->num_units && is_dynamic) {
            r = s->crew_of_unit[r];
            load_us[r] += share * step->duration_us / s->crew_size[r];
        } else if (r != CLV_NO_INDEX) {
            load_us[r] += share * step->duration_us;
        }
    }
    if (step->traffic_us > 0) {
        uint32_t memory = s->costs->machine->units[step->resources[0]].memory;
        load_us[s->num_resources + memory] += share * step->traffic_us;
    }
}

/* No period is shorter: the most loaded unit, link or memory has so much to do for a request. */
static clv_status *find_least(const clv_schedule *s, bool is_dynamic, double *out_us) {
    size_t count = (size_t)s->num_resources + s->costs->machine->num_memories;
    double *load_us = clv_alloc_zeroed(count + 1, sizeof *load_us);
    bool *is_seen = clv_alloc_zeroed((size_t)s->num_groups + 1, sizeof *is_seen);
    clv_status *status = load_us != NULL && is_seen != NULL ? NULL : NO_MEMORY_HERE();
    *out_us = 0;
    for (uint32_t r = 0; status == NULL && r < s->num_requests; r++) {
        uint32_t group = s->group_of_request[r];
        for (uint64_t i = s->first_step[r]; !is_seen[group] && i < s->first_step[r + 1]; i++) {
            add_loads(s, &s->steps[i], is_dynamic, s->plan->groups[group].share, load_us);
        }
        is_seen[group] = true;
    }
    for (size_t i = 0; status == NULL && i < count; i++) {
        *out_us = fmax(*out_us, load_us[i]);
    }
    clv_free(load_us);
    clv_free(is_seen);
    return status;
}

/* From the results of one run: those of the second half of each group's, or all of them. */
static clv_status *period_of_run(const clv_schedule *s, const clv_run *run, double *out_us) {
    double *first_us = clv_alloc_zeroed(s->num_groups, sizeof *first_us);
    progress p = {
        .end_us = clv_alloc_zeroed(s->num_groups, sizeof *p.end_us),
        .count = clv_alloc_zeroed(s->num_groups, sizeof *p.count)};
    uint32_t *done = clv_alloc_zeroed(s->num_groups, sizeof *done);
    bool is_fine = first_us != NULL && p.end_us != NULL && p.count != NULL && done != NULL;
    *out_us = 0;
    if (is_fine) {
        note_progress(s, run, &p);
    }
    for (uint32_t r = 0; is_fine && r < s->num_requests; r++) {
        uint32_t group = s->group_of_request[r];
        for (uint64_t i = s->first_step[r];
             done[group] < p.count[group] / 2 && i < s->first_step[r + 1]; i++) {
            first_us[group] = fmax(first_us[group], run->end_us[i]);
        }
        done[group]++;
    }
    for (uint32_t g = 0; is_fine && g < s->num_groups; g++) {
        uint32_t later = p.count[g] - p.count[g] / 2;
        double period_us = later > 0 ? (p.end_us[g] - first_us[g]) / later : 0;
        *out_us = fmax(*out_us, s->plan->groups[g].share * period_us);
    }
    clv_free(first_us);
    clv_free(p.end_us);
    clv_free(p.count);
    clv_free(done);
    return is_fine ? NULL : NO_MEMORY_HERE();
}

static clv_status *check_memory(const clv_schedule *s, const clv_run *run, bool *out_fits) {
    clv_evaluator *ev;
    CLV_TRY(clv_evaluator_create(s->costs, &ev));
    uint32_t num_units = s->costs->machine->num_units;
    uint64_t *bytes = clv_alloc_zeroed(num_units, sizeof *bytes);
    clv_status *status = bytes != NULL ? clv_run_memory(s, run, bytes) : NO_MEMORY_HERE();
    for (uint32_t i = 0; status == NULL && i < num_units; i++) {
        clv_evaluate_hold(ev, i, bytes[i]);
    }
    *out_fits = status == NULL && clv_evaluate_fits(ev);
    clv_free(bytes);
    clv_evaluator_destroy(ev);
    return status;
}

/* A run of so many requests, into f->now. */
static clv_status *run_longer(finder *f, uint32_t num_requests, bool *out_fits) {
    clv_schedule_request request = f->schedule->request;
    clv_schedule *s = NULL;
    clv_run *run = NULL;
    *out_fits = true;
    request.num_requests = num_requests;
    request.depth = f->depth;
    CLV_TRY(clv_schedule_create(f->schedule->costs, f->schedule->plan, &request, &s));
    clv_status *status =
        f->clock.mode == CLV_CLOCK_DYNAMIC ? clv_clock_run(s, &f->clock, &run) : NULL;
    const clv_run *used = run != NULL ? run : s->predicted;
    if (status == NULL && f->depth == CLV_DEPTH_UNLIMITED) {
        status = check_memory(s, used, out_fits);
    }
    if (status == NULL) {
        double least_us;
        status = find_least(s, used->is_dynamic, &least_us);
        f->least_us = fmax(f->least_us, least_us);
        note_progress(s, used, &f->now);
        f->steps_left -= s->num_steps < f->steps_left ? s->num_steps : f->steps_left;
    }
    clv_run_destroy(run);
    clv_schedule_destroy(s);
    return status;
}

/* Between two runs; a group that has no more requests in the second cannot be told. */
static double between_runs(const finder *f) {
    double period_us = 0;
    for (uint32_t g = 0; g < f->schedule->num_groups; g++) {
        double share = f->schedule->plan->groups[g].share;
        uint32_t more = f->now.count[g] - f->before.count[g];
        if (more > 0) {
            period_us = fmax(period_us, share * (f->now.end_us[g] - f->before.end_us[g]) / more);
        } else if (share > 0) {
            return (double)INFINITY;
        }
    }
    return period_us;
}

/* Period from runs of n, 2n, 4n ... requests; INFINITY where there are not steps enough for two. */
static clv_status *double_runs(finder *f) {
    const clv_schedule *s = f->schedule;
    double a_request = (double)s->num_steps / s->num_requests + 1;
    double wanted = fmax(FEWEST, (double)FEWEST_OF_GROUP * s->num_groups);
    uint32_t count = (uint32_t)fmin(wanted, (double)f->steps_left / 3 / a_request);
    bool is_first = true;
    if (count > s->num_groups) { /* groups alike end together: a tail of some would be faster */
        count -= count % s->num_groups;
    }
    while (count > 0 && (double)count * a_request <= (double)f->steps_left) {
        bool fits;
        CLV_TRY(run_longer(f, count, &fits));
        if (!fits) { /* begins anew with the plan's depth */
            f->depth = CLV_DEPTH_OF_PLAN;
            f->period_us = (double)INFINITY;
            is_first = true;
            continue;
        }
        double period_us = is_first ? (double)INFINITY : between_runs(f);
        bool is_steady = fabs(period_us - f->period_us) <= same * period_us;
        f->period_us = isfinite(period_us) ? period_us : f->period_us;
        if (!is_first && is_steady) {
            break;
        }
        progress swapped = f->before;
        f->before = f->now;
        f->now = swapped;
        is_first = false;
        if (count > UINT32_MAX / 2) {
            break;
        }
        count *= 2;
    }
    return NULL;
}

static clv_status *find(finder *f) {
    uint32_t groups = f->schedule->num_groups;
    progress *both[] = {&f->before, &f->now};
    bool is_fine = true;
    for (int i = 0; i < 2; i++) {
        both[i]->end_us = clv_alloc_zeroed(groups, sizeof *both[i]->end_us);
        both[i]->count = clv_alloc_zeroed(groups, sizeof *both[i]->count);
        is_fine = is_fine && both[i]->end_us != NULL && both[i]->count != NULL;
    }
    clv_status *status = is_fine ? double_runs(f) : NO_MEMORY_HERE();
    for (int i = 0; i < 2; i++) {
        clv_free(both[i]->end_us);
        clv_free(both[i]->count);
    }
    return status;
}

clv_status *clv_schedule_period(
    const clv_schedule *schedule, const clv_run *run, uint64_t most_steps, double *out_us) {
    const clv_run *used = run != NULL ? run : schedule->predicted;
    finder f = {
        .schedule = schedule,
        .clock =
            {.mode = used->is_dynamic ? CLV_CLOCK_DYNAMIC : CLV_CLOCK_LIST,
             .dispatch_us = used->dispatch_us},
        .depth = schedule->request.depth,
        .steps_left = most_steps,
        .period_us = (double)INFINITY};
    *out_us = 0;
    if (schedule->num_steps == 0) {
        return NULL;
    }
    if (!used->is_of_clock) {
        return period_of_run(schedule, used, out_us);
    }
    CLV_TRY(find_least(schedule, used->is_dynamic, &f.least_us));
    clv_status *status = find(&f);
    if (status != NULL && clv_status_code(status) != CLV_UNSUPPORTED) {
        return status;
    }
    clv_status_destroy(status); /* more requests than there are here come to a deadlock */
    if (!isfinite(f.period_us)) {
        CLV_TRY(period_of_run(schedule, used, &f.period_us));
    }
    *out_us = fmax(f.period_us, f.least_us);
    return NULL;
}
