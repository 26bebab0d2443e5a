#include "scheduler/period.h"

#include "host/base/memory.h"
#include "partition/evaluate.h"
#include "scheduler/clock.h"
#include "scheduler/run_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for the period of a plan")

/* Runs double from FEWEST requests, and some for each group, until each group has the same rhythm
 * in two of them; or the period changes by no more than `same` and one of SEARCH of the steps is
 * spent on finding a rhythm; or the steps are spent. The rhythm is that of up to MOST_RHYTHM
 * results that come again and again in the middle half of a run, before which a machine fills and
 * behind which it empties; or of what never pauses in it. It is exact but for rounding. */
enum { FEWEST = 16, FEWEST_OF_GROUP = 32, MOST_RHYTHM = 1024, SEARCH = 32 };
static const double same = 1e-4, rounding = 1e-9;
/* How far results may be from the pace of what never pauses: they come in no rhythm. */
static const double near_pace = 0.01;
static const double same_pace = 1e-6;

/* How far a run of so many requests comes, by group. */
typedef struct progress {
    double *end_us;    /* [num_groups]: of its last request */
    uint32_t *count;   /* [num_groups]: its requests */
    double *rhythm_us; /* [num_groups]: between results, where they come in a rhythm; else 0 */
} progress;

typedef struct finder {
    const clv_schedule *schedule;
    clv_clock_request clock;
    uint32_t depth;
    uint64_t steps_left, search_steps;
    progress before, now;
    double period_us; /* so far; INFINITY: not known */
    double *group_us; /* [num_groups]: then those of groups */
    double least_us;
} finder;

static void note_progress(const clv_schedule *s, const clv_run *run, progress *p) {
    memset(p->end_us, 0, s->num_groups * sizeof *p->end_us);
    memset(p->count, 0, s->num_groups * sizeof *p->count);
    for (uint32_t r = 0; r < s->num_requests; r++) {
        uint32_t group = s->group_of_request[r];
        double start_us, end_us;
        clv_run_request(s, run, r, &start_us, &end_us);
        p->count[group]++;
        p->end_us[group] = fmax(p->end_us[group], end_us);
    }
}

static int compare_us(const void *left, const void *right) {
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* Mean time between `count` results in ascending order that come in a rhythm; 0: they do not. */
static double find_rhythm(const double *result_us, uint32_t count) {
    for (uint32_t length = 1; length <= count / 2 && length <= MOST_RHYTHM; length++) {
        double round_us = result_us[length] - result_us[0];
        uint32_t at = 1;
        while (at + length < count &&
               fabs(result_us[at + length] - result_us[at] - round_us) <= rounding * round_us) {
            at++;
        }
        if (at + length == count) {
            uint32_t whole = (count - 1) / length * length;
            return (result_us[whole] - result_us[0]) / whole;
        }
    }
    return 0;
}

/* What a request of the group takes of the unit or link that it takes most of, if that does nothing
 * else from `from_us` to `to_us`, and at full speed; else 0. */
static clv_status *find_pace(
    const clv_schedule *s, const clv_run *run, uint32_t group, double from_us, double to_us,
    double *out_us) {
    double *work_us = clv_alloc_zeroed((size_t)s->num_resources + 1, sizeof *work_us);
    uint32_t most = 0, first = 0;
    double done_us = 0;
    *out_us = 0;
    if (work_us == NULL) {
        return NO_MEMORY_HERE();
    }
    for (; first < s->num_requests && s->group_of_request[first] != group; first++) {
    }
    for (uint32_t r = first; r < s->num_requests; r++) {
        for (uint64_t i = s->first_step[r];
             s->group_of_request[r] == group && i < s->first_step[r + 1]; i++) {
            const double part_us = fmin(run->end_us[i], to_us) - fmax(run->start_us[i], from_us);
            const double whole_us = run->end_us[i] - run->start_us[i];
            for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
                const uint32_t resource = clv_run_resource(s, run, i, k);
                if (resource != CLV_NO_INDEX && r == first) {
                    work_us[resource] += s->steps[i].duration_us;
                } else if (resource == most && part_us > 0 && whole_us > 0) {
                    done_us += s->steps[i].duration_us * part_us / whole_us;
                }
            }
        }
        for (uint32_t i = 0; r == first && i < s->num_resources; i++) {
            most = work_us[i] > work_us[most] ? i : most;
        }
    }
    *out_us = done_us >= (to_us - from_us) * (1 - rounding) ? work_us[most] : 0;
    clv_free(work_us);
    return NULL;
}

/* Whether units shared a memory's bandwidth, or transfers a link. Parts of a group that run ahead
 * then slow down those behind them, until they have done all requests. */
static bool has_slowed(const clv_schedule *s, const clv_run *run) {
    uint64_t i = 0;
    while (i < s->num_steps && run->end_us[i] - run->start_us[i] - run->dispatch_us <=
                                   s->steps[i].duration_us + rounding * run->end_us[i]) {
        i++;
    }
    return i < s->num_steps;
}

/* Of a group's results in ascending order; none where requests had not waited for a place before
 * them, or where a run `is_slowed`, and not long enough for a group to have as many in flight as it
 * may for the most part of it. Of very many groups each pace is not looked for. */
static clv_status *note_rhythm(
    const clv_schedule *s, const clv_run *run, uint32_t group, const double *result_us,
    bool is_slowed, progress *p) {
    enum { MOST_PACED = 64 };
    const uint32_t count = p->count[group], from = count / 4, to = from + count / 2;
    p->rhythm_us[group] = 0;
    const bool is_limited = s->request.depth != CLV_DEPTH_UNLIMITED;
    if ((is_slowed && s->depth_of_group[group] > from / 2) ||
        (is_limited && s->depth_of_group[group] > from)) {
        return NULL;
    }
    p->rhythm_us[group] = find_rhythm(result_us + from, to - from + 1);
    if (p->rhythm_us[group] > 0 || to == from || run->is_dynamic || s->num_groups > MOST_PACED) {
        return NULL;
    }
    const double mean_us = (result_us[to] - result_us[from]) / (to - from);
    double pace_us;
    CLV_TRY(find_pace(s, run, group, result_us[from], result_us[to], &pace_us));
    p->rhythm_us[group] = fabs(mean_us - pace_us) <= near_pace * mean_us ? pace_us : 0;
    return NULL;
}

static clv_status *note_rhythms(const clv_schedule *s, const clv_run *run, progress *p) {
    double *result_us = clv_alloc_zeroed((size_t)s->num_requests + 1, sizeof *result_us);
    uint32_t *next = clv_alloc_zeroed((size_t)s->num_groups + 1, sizeof *next);
    bool is_slowed = has_slowed(s, run);
    clv_status *status = result_us != NULL && next != NULL ? NULL : NO_MEMORY_HERE();
    for (uint32_t g = 1; status == NULL && g < s->num_groups; g++) {
        next[g] = next[g - 1] + p->count[g - 1];
    }
    for (uint32_t r = 0; status == NULL && r < s->num_requests; r++) {
        double start_us;
        clv_run_request(s, run, r, &start_us, &result_us[next[s->group_of_request[r]]++]);
    }
    for (uint32_t g = 0; status == NULL && g < s->num_groups; g++) {
        double *own = &result_us[next[g] - p->count[g]];
        qsort(own, p->count[g], sizeof *own, compare_us);
        status = note_rhythm(s, run, g, own, is_slowed, p);
    }
    clv_free(result_us);
    clv_free(next);
    return status;
}

/* What a step has to do on every resource, memory and group of processors, `share` times; a crew
 * shares its work. */
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
    const clv_machine *machine = s->costs->machine;
    if (clv_step_has_processors(s, step, is_dynamic)) {
        uint32_t unit = step->resources[0], group = machine->units[unit].processors;
        load_us[s->num_resources + machine->num_memories + group] +=
            share * step->duration_us * clv_machine_processor_share(machine, unit);
    }
}

/* No period is shorter: the most loaded unit, link, memory or group of processors has so much to do
 * for a request. */
static clv_status *find_least(const clv_schedule *s, bool is_dynamic, double *out_us) {
    size_t count = (size_t)s->num_resources + s->costs->machine->num_memories +
                   s->costs->machine->num_processors;
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
static clv_status *period_of_run(
    const clv_schedule *s, const clv_run *run, double *out_us, double *out_group_us) {
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
        double start_us, end_us;
        clv_run_request(s, run, r, &start_us, &end_us);
        first_us[group] =
            done[group] < p.count[group] / 2 ? fmax(first_us[group], end_us) : first_us[group];
        done[group]++;
    }
    for (uint32_t g = 0; is_fine && g < s->num_groups; g++) {
        uint32_t later = p.count[g] - p.count[g] / 2;
        out_group_us[g] = later > 0 ? (p.end_us[g] - first_us[g]) / later : 0;
        *out_us = fmax(*out_us, s->plan->groups[g].share * out_group_us[g]);
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
        note_progress(s, used, &f->now);
        status = note_rhythms(s, used, &f->now);
    }
    if (status == NULL) {
        double least_us;
        status = find_least(s, used->is_dynamic, &least_us);
        f->least_us = fmax(f->least_us, least_us);
        f->steps_left -= s->num_steps < f->steps_left ? s->num_steps : f->steps_left;
    }
    clv_run_destroy(run);
    clv_schedule_destroy(s);
    return status;
}

/* Whether two runs have the same rhythm, and all groups keep the same pace in it: of those that do
 * not, some end before others, which may then be faster than they were beside them. */
static bool have_rhythm(const finder *f) {
    double least_us = (double)INFINITY, most_us = 0;
    for (uint32_t g = 0; g < f->schedule->num_groups; g++) {
        double share = f->schedule->plan->groups[g].share, now_us = f->now.rhythm_us[g];
        if (share > 0 &&
            (now_us <= 0 || fabs(now_us - f->before.rhythm_us[g]) > rounding * now_us)) {
            return false;
        }
        least_us = share > 0 ? fmin(least_us, share * now_us) : least_us;
        most_us = fmax(most_us, share * now_us);
    }
    return most_us - least_us <= same_pace * most_us;
}

/* Between two runs, into group_us where it is known; a group that has no more requests in the
 * second cannot be told: INFINITY. */
static double between_runs(finder *f, bool is_exact) {
    double period_us = 0;
    for (uint32_t g = 0; g < f->schedule->num_groups; g++) {
        double share = f->schedule->plan->groups[g].share;
        uint32_t more = f->now.count[g] - f->before.count[g];
        double group_us = is_exact   ? f->now.rhythm_us[g]
                          : more > 0 ? (f->now.end_us[g] - f->before.end_us[g]) / more
                                     : (double)INFINITY;
        if (share > 0) {
            period_us = fmax(period_us, share * group_us);
            f->group_us[g] = isfinite(group_us) ? group_us : f->group_us[g];
        }
    }
    return period_us;
}

/* Whether the last run was so long that most requests of each group waited for a place in it. */
static bool was_full(const finder *f) {
    const clv_schedule *s = f->schedule;
    uint32_t g = 0;
    while (f->depth != CLV_DEPTH_UNLIMITED && g < s->num_groups &&
           (s->plan->groups[g].share <= 0 || f->now.count[g] / 4 >= s->depth_of_group[g])) {
        g++;
    }
    return f->depth == CLV_DEPTH_UNLIMITED || g == s->num_groups;
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
        bool is_exact = !is_first && have_rhythm(f);
        double period_us = is_first ? (double)INFINITY : between_runs(f, is_exact);
        bool is_searched = (double)count * a_request > (double)f->search_steps && was_full(f);
        bool is_steady =
            is_exact || (is_searched && fabs(period_us - f->period_us) <= same * period_us);
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
        both[i]->rhythm_us = clv_alloc_zeroed(groups, sizeof *both[i]->rhythm_us);
        is_fine = is_fine && both[i]->end_us != NULL && both[i]->count != NULL &&
                  both[i]->rhythm_us != NULL;
    }
    clv_status *status = is_fine ? double_runs(f) : NO_MEMORY_HERE();
    for (int i = 0; i < 2; i++) {
        clv_free(both[i]->end_us);
        clv_free(both[i]->count);
        clv_free(both[i]->rhythm_us);
    }
    return status;
}

/* Of a run on the clock. */
static clv_status *find_period(finder *f, const clv_run *run) {
    const clv_schedule *s = f->schedule;
    CLV_TRY(find_least(s, run->is_dynamic, &f->least_us));
    clv_status *status = find(f);
    if (status != NULL && clv_status_code(status) != CLV_UNSUPPORTED) {
        return status;
    }
    clv_status_destroy(status); /* more requests than there are here come to a deadlock */
    if (!isfinite(f->period_us)) {
        CLV_TRY(period_of_run(s, run, &f->period_us, f->group_us));
    }
    f->period_us = fmax(f->period_us, f->least_us);
    f->group_us[0] = s->num_groups == 1 ? f->period_us : f->group_us[0];
    return NULL;
}

clv_status *clv_schedule_period(
    const clv_schedule *schedule, const clv_run *run, uint64_t most_steps, double *out_us,
    double *out_group_us) {
    const clv_run *used = run != NULL ? run : schedule->predicted;
    finder f = {
        .schedule = schedule,
        .clock =
            {.mode = used->is_dynamic ? CLV_CLOCK_DYNAMIC : CLV_CLOCK_LIST,
             .dispatch_us = used->dispatch_us},
        .depth = schedule->request.depth,
        .steps_left = most_steps,
        .search_steps = most_steps / SEARCH,
        .period_us = (double)INFINITY,
        .group_us = clv_alloc_zeroed((size_t)schedule->num_groups + 1, sizeof *f.group_us)};
    clv_status *status = f.group_us != NULL ? NULL : NO_MEMORY_HERE();
    if (schedule->num_steps == 0) {
        f.period_us = 0;
    } else if (status == NULL && used->is_of_clock) {
        status = find_period(&f, used);
    } else if (status == NULL) {
        status = period_of_run(schedule, used, &f.period_us, f.group_us);
    }
    *out_us = status == NULL ? f.period_us : 0;
    if (status == NULL && out_group_us != NULL) {
        memcpy(out_group_us, f.group_us, schedule->num_groups * sizeof *out_group_us);
    }
    clv_free(f.group_us);
    return status;
}
