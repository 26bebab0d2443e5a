#include "scheduler/steady.h"

#include "host/base/memory.h"
#include "scheduler/period.h"

#include <math.h>
#include <stdlib.h>

/* Requests for a steady state, and steps that take a moment (some 30 ms). */
enum { FEWEST_REQUESTS = 16, MOST_REQUESTS = 256, MOST_STEPS = 100000 };

/* --- requests in flight --- */

typedef struct moment {
    double time_us;
    int32_t change;
} moment;

static int compare_moments(const void *a, const void *b) {
    const moment *x = a, *y = b;
    if (x->time_us != y->time_us) {
        return x->time_us < y->time_us ? -1 : 1;
    }
    return x->change - y->change; /* what ends makes room for what begins */
}

static uint32_t count_in_flight(
    const clv_schedule *s, const clv_run *run, uint32_t group, moment *moments) {
    size_t count = 0;
    for (uint32_t r = 0; r < s->num_requests; r++) {
        double start_us = (double)INFINITY, end_us = 0;
        for (uint64_t i = s->first_step[r]; i < s->first_step[r + 1]; i++) {
            start_us = fmin(start_us, run->start_us[i]);
            end_us = fmax(end_us, run->end_us[i]);
        }
        if (s->group_of_request[r] == group && start_us < end_us) {
            moments[count++] = (moment){start_us, 1};
            moments[count++] = (moment){end_us, -1};
        }
    }
    qsort(moments, count, sizeof *moments, compare_moments);
    int32_t now = 0, most = 1;
    for (size_t i = 0; i < count; i++) {
        now += moments[i].change;
        most = now > most ? now : most;
    }
    return (uint32_t)most;
}

clv_status *clv_run_in_flight(
    const clv_schedule *schedule, const clv_run *run, uint32_t *out_count) {
    moment *moments = clv_alloc_zeroed(2 * (size_t)schedule->num_requests, sizeof *moments);
    *out_count = 0;
    if (moments == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for requests in flight");
    }
    for (uint32_t g = 0; g < schedule->num_groups; g++) {
        *out_count +=
            count_in_flight(schedule, run != NULL ? run : schedule->predicted, g, moments);
    }
    clv_free(moments);
    return NULL;
}

/* --- the steady state --- */

/* `out`: in flight, and the time of all; with `wants_period` the period. */
static clv_status *run_requests(
    const clv_costs *costs, const clv_group *group, clv_schedule_request request, bool wants_period,
    clv_steady *out) {
    clv_group alone = *group;
    alone.share = 1;
    clv_plan plan = {.groups = &alone, .num_groups = 1, .depth = alone.depth};
    clv_schedule *schedule;
    CLV_TRY(clv_schedule_create(costs, &plan, &request, &schedule));
    out->latency_us = schedule->predicted->makespan_us;
    clv_status *status = clv_run_in_flight(schedule, NULL, &out->in_flight);
    if (status == NULL && wants_period) {
        status = clv_schedule_period(schedule, NULL, MOST_STEPS, &out->period_us);
    }
    clv_schedule_destroy(schedule);
    return status;
}

clv_status *clv_steady_state(
    const clv_costs *costs, const clv_group *group, uint32_t depth, clv_steady *out_steady) {
    uint32_t most = MOST_STEPS / (costs->workload->num_tasks + 1);
    most = most > MOST_REQUESTS ? MOST_REQUESTS : most < FEWEST_REQUESTS ? FEWEST_REQUESTS : most;
    CLV_TRY(run_requests(
        costs, group, (clv_schedule_request){.num_requests = 1, .depth = 1}, false, out_steady));
    out_steady->period_us = out_steady->latency_us;
    if (depth == 1) { /* one after another is as often as one takes */
        return NULL;
    }
    clv_steady many = {.in_flight = 0};
    clv_schedule_request request = {
        .num_requests = FEWEST_REQUESTS, .depth = depth > 0 ? depth : CLV_DEPTH_UNLIMITED};
    for (bool is_enough = false; !is_enough;) {
        CLV_TRY(run_requests(costs, group, request, false, &many));
        uint32_t wanted = 4 * many.in_flight < most ? 4 * many.in_flight : most;
        is_enough = wanted <= request.num_requests;
        request.num_requests = is_enough ? request.num_requests : wanted;
    }
    out_steady->in_flight = many.in_flight;
    request.num_requests = 1;
    CLV_TRY(run_requests(costs, group, request, true, &many));
    out_steady->period_us = many.period_us;
    return NULL;
}
