#include "scheduler/schedule.h"

#include "host/base/memory.h"
#include "partition/evaluate.h"
#include "scheduler/run_memory.h"

#include <math.h>

/* Times are sums in another order; this much of the makespan is rounding. */
static const double rounding = 1e-9;

static clv_status *broken(
    const clv_schedule *s, const char *rule, uint32_t first, uint32_t second) {
    char a[128], b[128];
    clv_schedule_name_step(s, first, a, sizeof a);
    clv_schedule_name_step(s, second, b, sizeof b);
    return CLV_ERROR(INTERNAL, "schedule: %s: %s, %s", rule, a, b);
}

static clv_status *check_steps(const clv_schedule *s, const clv_run *run, double slack) {
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        if (!(run->start_us[i] >= 0) ||
            !(run->end_us[i] - run->start_us[i] >= step->duration_us - slack)) {
            return broken(s, "a step is faster than it can be", (uint32_t)i, (uint32_t)i);
        }
        uint32_t planned = step->resources[0], unit = run->unit[i];
        bool is_planned = step->kind == CLV_SCHEDULE_SEND || unit == planned;
        if (!is_planned &&
            (!run->is_dynamic || s->crew_of_unit[unit] != s->crew_of_unit[planned])) {
            return broken(s, "a step is on another unit", (uint32_t)i, (uint32_t)i);
        }
        uint32_t num_waits = clv_schedule_num_waits(s, step, run->is_dynamic);
        for (uint32_t k = 0; k < num_waits; k++) {
            uint32_t before = s->waits[step->first_wait + k];
            if (before >= i || run->end_us[before] > run->start_us[i] + slack) {
                return broken(
                    s, "a step begins before what it needs has ended", before, (uint32_t)i);
            }
        }
    }
    return NULL;
}

/* One thing at a time on each resource, in the order of beginning. */
static clv_status *check_exclusive(
    const clv_schedule *s, const clv_run *run, bool shares_links, double slack) {
    uint32_t *last = clv_alloc_zeroed((size_t)s->num_resources + 1, sizeof *last);
    clv_status *status =
        last != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for checking a schedule");
    for (uint64_t i = 0; status == NULL && i < s->num_steps; i++) {
        uint32_t step = run->started[i];
        for (int k = 0; status == NULL && k < CLV_STEP_RESOURCES; k++) {
            uint32_t r = clv_run_resource(s, run, step, k);
            bool is_link = r >= s->costs->machine->num_units;
            if (r == CLV_NO_INDEX || (is_link && shares_links)) {
                continue;
            }
            if (last[r] > 0 && run->end_us[last[r] - 1] > run->start_us[step] + slack) {
                status = broken(s, "two steps at once on one resource", last[r] - 1, step);
            }
            last[r] = step + 1;
        }
    }
    clv_free(last);
    return status;
}

/* An output is alive until its last reader has ended. */
static double end_of_life(const clv_run *run, const double *last_read_us, uint32_t step) {
    return fmax(run->end_us[step], last_read_us[step]);
}

static clv_status *check_slot(
    const clv_schedule *s, const clv_run *run, const double *last_read_us, uint32_t *holder,
    const uint64_t *offsets, uint32_t step, double slack) {
    uint32_t unit = run->unit[step], slot = run->slot[step];
    uint32_t slots = s->costs->machine->units[unit].slots;
    bool is_limited = slots > 0 && clv_schedule_blocks(s, &s->steps[step]);
    if (slot >= run->slots_used[unit] || (is_limited && slot >= slots)) {
        return broken(s, "an output is in a buffer that its unit does not have", step, step);
    }
    uint32_t *at = &holder[offsets[unit] + slot];
    if (*at > 0 && end_of_life(run, last_read_us, *at - 1) > run->start_us[step] + slack) {
        return broken(s, "two live outputs share a buffer", *at - 1, step);
    }
    *at = step + 1;
    return NULL;
}

static clv_status *check_slots(const clv_schedule *s, const clv_run *run, double slack) {
    uint32_t num_units = s->costs->machine->num_units;
    double *last_read_us = clv_alloc_zeroed((size_t)s->num_steps + 1, sizeof *last_read_us);
    uint64_t *offsets = clv_alloc_zeroed((size_t)num_units + 1, sizeof *offsets);
    for (uint32_t i = 0; offsets != NULL && i < num_units; i++) {
        offsets[i + 1] = offsets[i] + run->slots_used[i];
    }
    uint32_t *holder =
        offsets != NULL ? clv_alloc_zeroed((size_t)offsets[num_units] + 1, sizeof *holder) : NULL;
    clv_status *status = NULL;
    if (last_read_us == NULL || holder == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for checking a schedule");
    }
    for (uint64_t i = 0; status == NULL && i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        for (uint32_t k = 0; k < step->num_reads; k++) {
            double *last = &last_read_us[s->waits[step->first_wait + k]];
            *last = fmax(*last, run->end_us[i]);
        }
    }
    for (uint64_t i = 0; status == NULL && i < s->num_steps; i++) {
        uint32_t step = run->started[i];
        if (s->steps[step].holds_slot) {
            status = check_slot(s, run, last_read_us, holder, offsets, step, slack);
        }
    }
    clv_free(last_read_us);
    clv_free(offsets);
    clv_free(holder);
    return status;
}

/* Requests of a group begin in order, and the one `depth` before has ended by then. */
static clv_status *check_depth(const clv_schedule *s, const clv_run *run, double slack) {
    double *ends = clv_alloc_zeroed(s->num_requests, sizeof *ends);
    uint32_t *kept = clv_alloc_zeroed(s->num_requests, sizeof *kept);
    clv_status *status = ends != NULL && kept != NULL
                             ? NULL
                             : CLV_ERROR(NO_MEMORY, "out of host memory for checking a schedule");
    for (uint32_t g = 0; status == NULL && g < s->num_groups; g++) {
        uint32_t count = 0, depth = s->depth_of_group[g];
        for (uint32_t r = 0; status == NULL && r < s->num_requests; r++) {
            double start = (double)INFINITY, end = 0;
            if (s->group_of_request[r] != g) {
                continue;
            }
            for (uint64_t i = s->first_step[r]; i < s->first_step[r + 1]; i++) {
                start = fmin(start, run->start_us[i]);
                end = fmax(end, run->end_us[i]);
            }
            /* At most depth - 1 of those before it are still in flight. */
            uint32_t in_flight = 0, live = 0;
            for (uint32_t k = 0; k < count; k++) {
                if (ends[kept[k]] > start + slack) {
                    in_flight++;
                    kept[live++] = kept[k];
                }
            }
            count = live;
            kept[count++] = r;
            ends[r] = end;
            if (in_flight >= depth && end > start) {
                status = CLV_ERROR(
                    INTERNAL, "schedule: request %u begins with %u in flight, the depth is %u", r,
                    in_flight, depth);
            }
        }
    }
    clv_free(ends);
    clv_free(kept);
    return status;
}

static bool has_limits(const clv_machine *machine) {
    bool is_any = false;
    for (uint32_t i = 0; i < machine->num_units; i++) {
        is_any = is_any || machine->units[i].limit_bytes != CLV_UNLIMITED ||
                 machine->memories[machine->units[i].memory].capacity_bytes != CLV_UNLIMITED;
    }
    return is_any;
}

static clv_status *check_memory(const clv_schedule *s, const clv_run *run) {
    uint32_t num_units = s->costs->machine->num_units;
    clv_evaluator *ev = NULL;
    clv_status *status = NULL;
    if (!has_limits(s->costs->machine)) {
        return NULL;
    }
    uint64_t *held = clv_alloc_zeroed(num_units, sizeof *held);
    if (held == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for checking a schedule");
    }
    CLV_TRY_DONE(clv_evaluator_create(s->costs, &ev));
    CLV_TRY_DONE(clv_run_memory(s, run, held));
    for (uint32_t i = 0; i < num_units; i++) {
        clv_evaluate_hold(ev, i, held[i]);
    }
    status = clv_evaluate_limits(ev);
done:
    clv_evaluator_destroy(ev);
    clv_free(held);
    return status;
}

clv_status *clv_schedule_verify(
    const clv_schedule *schedule, const clv_run *run, bool shares_links) {
    run = run != NULL ? run : schedule->predicted;
    double slack = run->makespan_us * rounding;
    CLV_TRY(check_steps(schedule, run, slack));
    CLV_TRY(check_exclusive(schedule, run, shares_links, slack));
    CLV_TRY(check_slots(schedule, run, slack));
    CLV_TRY(check_depth(schedule, run, slack));
    return check_memory(schedule, run);
}
