/* Random task graphs on machines with shared memories and links, under every policy: schedules
 * verify, replay as predicted, and no run beats its lower bound. */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
#include "scheduler/clock.h"
#include "scheduler/critical.h"
#include "scheduler/timeline.h"
#include "tests/support/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const machines[] = {
    "core*4 bw=40G; numa*1 bw=60G",
    "core*2 bw=40G; numa*1 bw=50G; gpu*2 bw=2T; link gpu* host bw=2G latency=3us",
    "p1; p2 overlap=no; p3 speed=0.5; link p* p* bw=1G latency=1us",
    "p1; p2; p3; link p* p* bw=1G duplex=half",
    "p1 mem=60000; p2 mem=90000; p3 mem=40000; link p* host bw=1G",
    "p*3 mem=50000 overlap=no; link p* host bw=1G latency=2us",
};
static const char *const policies[] = {"single", "serial", "pipeline", "tensor",
                                       "data",   "branch", "auto",     "data:2/pipeline"};

static clv_workload *draw_workload(clv_random *random) {
    clv_text text;
    clv_workload *workload;
    uint32_t count = 2 + (uint32_t)clv_random_below(random, 10);
    bool is_first = true;
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    for (uint32_t i = 0; i < count; i++) {
        clv_text_add(
            &text,
            "%s{\"name\":\"t%u\",\"time_us\":%u,\"traffic_bytes\":%u,\"output_dims\":[64],"
            "\"memory_bytes\":%u,\"output_bytes\":%u,"
            "\"splits\":[{\"name\":\"rows\",\"axis\":0,\"extent\":64,\"join\":\"%s\"}]}",
            i > 0 ? "," : "", i, 1 + (uint32_t)clv_random_below(random, 100),
            (uint32_t)clv_random_below(random, 4000000), (uint32_t)clv_random_below(random, 10000),
            1000 * (1 + i), clv_random_below(random, 3) == 0 ? "sum" : "place");
    }
    clv_text_add(&text, "],\"edges\":[");
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (clv_random_below(random, 3) == 0) {
                clv_text_add(
                    &text, "%s{\"from\":\"t%u\",\"to\":\"t%u\",\"bytes\":%u}", is_first ? "" : ",",
                    k, i, 1000 * (1 + k));
                is_first = false;
            }
        }
    }
    clv_text_add(&text, "]}");
    clv_status *status = clv_workload_parse_json("random", text.data, text.length, &workload);
    clv_text_deinit(&text);
    if (status != NULL) {
        fail_msg("%s", clv_status_message(status));
    }
    return workload;
}

/* On the virtual clock nothing waits without a cause: every step begins when its cause ends, or
 * with the run, and the critical path has no gaps from the beginning to the end. */
static clv_status *check_causes(const clv_schedule *schedule, const clv_run *run) {
    clv_critical_path *path;
    double slack_us = run->makespan_us * 1e-9;
    CLV_TRY(clv_critical_path_create(schedule, run, &path));
    for (uint64_t i = 0; i < schedule->num_steps; i++) {
        const clv_cause *cause = &path->causes[i];
        assert_int_equal(cause->before == CLV_NO_INDEX, cause->kind == CLV_CAUSE_NOTHING);
        double end_us = cause->before != CLV_NO_INDEX ? run->end_us[cause->before] : 0;
        assert_true(fabs(run->start_us[i] - end_us) <= slack_us);
    }
    assert_true(fabs(path->busy_us - run->makespan_us) <= slack_us * (double)path->num_steps);
    assert_true(path->idle_us <= slack_us * (double)path->num_steps);
    for (uint64_t i = 1; i < path->num_steps; i++) {
        assert_int_equal(path->causes[path->steps[i]].before, path->steps[i - 1]);
    }
    clv_critical_path_destroy(path);
    return NULL;
}

static clv_status *check_run(const clv_schedule *schedule, clv_clock_mode mode) {
    clv_clock_request request = {.mode = mode, .dispatch_us = 0.5};
    bool is_dynamic = mode == CLV_CLOCK_DYNAMIC;
    clv_run *run;
    clv_timeline *timeline;
    CLV_TRY(clv_clock_run(schedule, &request, &run));
    clv_status *status = clv_schedule_verify(schedule, run, is_dynamic);
    for (uint64_t i = 0; status == NULL && !is_dynamic && i < schedule->num_steps; i++) {
        assert_true(fabs(run->start_us[i] - schedule->predicted->start_us[i]) <= 1e-6);
    }
    if (status == NULL) {
        status = check_causes(schedule, run);
    }
    if (status == NULL) {
        status = clv_timeline_create(schedule, run, &timeline);
    }
    if (status == NULL) {
        assert_true(timeline->distance >= -1e-9);
        assert_true(timeline->latency_us <= timeline->makespan_us);
        for (uint32_t i = 0; i < timeline->num_rows; i++) {
            assert_true(timeline->rows[i].busy <= 1 + 1e-9);
        }
        clv_timeline_destroy(timeline);
    }
    clv_run_destroy(run);
    return status;
}

static uint32_t num_over_limits;

static clv_status *check_plan(const clv_costs *costs, const clv_plan *plan, clv_random *random) {
    clv_schedule_request request = {
        .num_requests = 1 + (uint32_t)clv_random_below(random, 12),
        .depth = (uint32_t)clv_random_below(random, 4),
        .num_chunks = (uint32_t)clv_random_below(random, 4)};
    clv_schedule *schedule;
    CLV_TRY(clv_schedule_create(costs, plan, &request, &schedule));
    clv_status *status = clv_schedule_verify(schedule, NULL, false);
    if (status == NULL) {
        status = check_run(schedule, CLV_CLOCK_STATIC);
    }
    if (status == NULL) {
        status = check_run(schedule, CLV_CLOCK_DYNAMIC);
    }
    clv_schedule_destroy(schedule);
    if (clv_status_code(status) == CLV_NO_MEMORY) { /* more in flight, or in parts, than planned */
        clv_status_destroy(status);
        status = NULL;
        num_over_limits++;
    }
    return status;
}

static void check_seed(uint64_t seed) {
    clv_random random;
    clv_random_init(&random, seed);
    clv_workload *workload = draw_workload(&random);
    clv_machine *machine;
    clv_costs *costs = NULL;
    clv_plan *plan = NULL;
    clv_plan_request request = {
        .policy = policies[clv_random_below(&random, sizeof policies / sizeof policies[0])],
        .allow_idle = true,
        .budget = 2000};
    const char *text = machines[clv_random_below(&random, sizeof machines / sizeof machines[0])];
    clv_status *status = clv_machine_parse_text(text, &machine);
    status = status != NULL ? status : clv_costs_create(workload, machine, &costs);
    status = status != NULL ? status : clv_plan_create(costs, &request, &plan);
    if (clv_status_code(status) == CLV_NO_MEMORY) { /* too little of it, or in the wrong place */
        clv_status_destroy(status);
        status = NULL;
    } else {
        status = status != NULL ? status : check_plan(costs, plan, &random);
    }
    if (status != NULL) {
        fail_msg(
            "seed %llu, %s on '%s': %s", (unsigned long long)seed, request.policy, text,
            clv_status_message(status));
    }
    clv_plan_destroy(plan);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
}

static void runs_hold_and_beat_no_bound(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        if (clv_test_is_tried(seed)) {
            check_seed(seed);
        }
    }
    assert_true(num_over_limits < 60); /* a plan's memory is close to what its runs hold */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_hold_and_beat_no_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
