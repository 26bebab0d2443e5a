#include "scheduler/steady.h"

#include "host/base/memory.h"
#include "scheduler/period.h"
#include "scheduler/run_memory.h"

#include <math.h>
#include <stdlib.h>

/* Requests for a steady state, and steps that take a moment; for the period some 30 ms. */
enum { FEWEST_REQUESTS = 16, MOST_REQUESTS = 256, MOST_RUN_STEPS = 1000000, MOST_STEPS = 100000 };

/* --- requests in flight --- */

typedef struct moment {
    double time_us;
    uint32_t group;
    int32_t change;
} moment;

static int compare_moments(const void *a, const void *b) {
    const moment *x = a, *y = b;
    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    if (x->time_us != y->time_us) {
        return x->time_us < y->time_us ? -1 : 1;
    }
    return x->change - y->change; /* what ends makes room for what begins */
}

/* When requests began and ended, group by group. Returns how many moments. */
static size_t list_moments(const clv_schedule *s, const clv_run *run, moment *moments) {
    size_t count = 0;
    for (uint32_t r = 0; r < s->num_requests; r++) {
        double start_us, end_us;
        clv_run_request(s, run, r, &start_us, &end_us);
        if (start_us < end_us) {
            moments[count++] = (moment){start_us, s->group_of_request[r], 1};
            moments[count++] = (moment){end_us, s->group_of_request[r], -1};
        }
    }
    qsort(moments, count, sizeof *moments, compare_moments);
    return count;
}

clv_status *clv_run_in_flight(
    const clv_schedule *schedule, const clv_run *run, uint32_t *out_count) {
    moment *moments = clv_alloc_zeroed(2 * (size_t)schedule->num_requests, sizeof *moments);
    *out_count = 0;
    if (moments == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for requests in flight");
    }
    size_t count = list_moments(schedule, run != NULL ? run : schedule->predicted, moments);
    uint32_t total = schedule->num_groups; /* one in each, if it is idle all the time */
    int32_t now = 0, most = 1;
    for (size_t i = 0; i < count; i++) {
        bool is_first = i == 0 || moments[i].group != moments[i - 1].group;
        now = is_first ? moments[i].change : now + moments[i].change;
        most = is_first ? 1 : most;
        total += now > most;
        most = now > most ? now : most;
    }
    clv_free(moments);
    *out_count = total;
    return NULL;
}

/* --- the steady state --- */

uint32_t clv_steady_requests(uint32_t depth, uint32_t num_tasks) {
    double wanted = fmin(fmax(4.0 * depth, FEWEST_REQUESTS), MOST_REQUESTS);
    double most = (double)MOST_RUN_STEPS / (num_tasks + 1.0);
    return (uint32_t)fmax(fmin(wanted, most), fmin(2.0 * depth + 2, MOST_REQUESTS));
}

/* What whoever asked wants to know of a run beside its times. */
static clv_status *tell_more(const clv_schedule *schedule, clv_steady *out) {
    for (uint32_t r = 0; r < schedule->num_requests && out->requests != NULL; r++) {
        out->requests[schedule->group_of_request[r]] += 1;
    }
    return out->memory_bytes != NULL ? clv_run_memory(schedule, NULL, out->memory_bytes) : NULL;
}

/* A run; *io_requests becomes what more in flight than was thought need, and then nothing else is
 * measured. */
static clv_status *run_requests(
    const clv_costs *costs, const clv_plan *plan, clv_schedule_request request,
    uint32_t *io_requests, clv_steady *out) {
    clv_schedule *schedule;
    request.num_requests = *io_requests;
    CLV_TRY(clv_schedule_create(costs, plan, &request, &schedule));
    clv_status *status = clv_run_in_flight(schedule, NULL, &out->in_flight);
    if (out->in_flight > plan->depth && out->in_flight < request.num_requests) {
        uint32_t wanted = clv_steady_requests(out->in_flight, costs->workload->num_tasks);
        *io_requests = wanted > *io_requests ? wanted : *io_requests;
    }
    bool is_last = *io_requests == request.num_requests;
    if (status == NULL && is_last) {
        status =
            clv_schedule_period(schedule, NULL, MOST_STEPS, &out->period_us, out->group_period_us);
    }
    if (status == NULL && is_last) {
        status = tell_more(schedule, out);
    }
    clv_schedule_destroy(schedule);
    return status;
}

/* What units hold in a long run, to what they hold in a short one: where one stage is a little
 * slower than those before it, these run ahead of it until as many requests are in flight as may
 * be. */
static clv_status *add_backlog(
    const clv_costs *costs, const clv_plan *plan, clv_schedule_request request, clv_steady *out) {
    const uint32_t num_units = costs->machine->num_units;
    const double requests = 2.0 * plan->depth + request.num_requests;
    uint64_t *bytes = clv_alloc_zeroed((size_t)num_units + 1, sizeof *bytes);
    clv_schedule *schedule = NULL;
    clv_status *status = NULL;
    if (bytes == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the memory of a run");
    }
    request.is_slow_at_first = true;
    request.num_requests =
        (uint32_t)fmin(requests, (double)MOST_RUN_STEPS / (costs->workload->num_tasks + 1.0) + 1);
    CLV_TRY_DONE(clv_schedule_create(costs, plan, &request, &schedule));
    CLV_TRY_DONE(clv_run_memory(schedule, NULL, bytes));
    for (uint32_t i = 0; i < num_units; i++) {
        out->memory_bytes[i] = bytes[i] > out->memory_bytes[i] ? bytes[i] : out->memory_bytes[i];
    }
done:
    if (clv_status_code(status) == CLV_UNSUPPORTED) { /* so it deadlocks, where it else does not */
        clv_status_destroy(status);
        status = NULL;
    }
    clv_schedule_destroy(schedule);
    clv_free(bytes);
    return status;
}

static clv_status *run_one(
    const clv_costs *costs, const clv_plan *plan, bool is_last, clv_steady *out) {
    clv_schedule_request request = {.num_requests = 1, .depth = CLV_DEPTH_OF_PLAN};
    clv_schedule *schedule;
    clv_status *status = NULL;
    CLV_TRY(clv_schedule_create(costs, plan, &request, &schedule));
    out->period_us = out->latency_us = schedule->predicted->makespan_us;
    out->in_flight = 1;
    if (is_last) {
        status = tell_more(schedule, out);
    }
    clv_schedule_destroy(schedule);
    return status;
}

clv_status *clv_steady_state(
    const clv_costs *costs, const clv_group *groups, uint32_t num_groups, clv_clock_load load,
    clv_steady *out_steady) {
    clv_plan plan = {.groups = (clv_group *)groups, .num_groups = num_groups};
    clv_schedule_request request = {
        .depth = load == CLV_ALL_REQUESTS ? CLV_DEPTH_UNLIMITED : CLV_DEPTH_OF_PLAN};
    CLV_TRY(run_one(costs, &plan, load == CLV_ONE_REQUEST, out_steady));
    for (uint32_t g = 0; g < num_groups; g++) {
        plan.depth += groups[g].depth;
    }
    uint32_t wanted =
        load == CLV_ONE_REQUEST ? 0 : clv_steady_requests(plan.depth, costs->workload->num_tasks);
    while (wanted > 0) {
        uint32_t num_requests = wanted;
        CLV_TRY(run_requests(costs, &plan, request, &wanted, out_steady));
        wanted = wanted > num_requests ? wanted : 0;
        request.num_requests = num_requests;
    }
    if (load != CLV_PLANNED_REQUESTS || out_steady->memory_bytes == NULL) {
        return NULL;
    }
    CLV_TRY(add_backlog(costs, &plan, request, out_steady));
    return clv_most_memory(costs, groups, num_groups, out_steady->memory_bytes);
}
