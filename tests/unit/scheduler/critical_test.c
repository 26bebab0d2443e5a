/* What steps wait for, on runs small enough to be followed by hand. */
#include "scheduler/critical.h"

#include "host/base/memory.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct rig {
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
    clv_plan *plan;
    clv_schedule *schedule;
    clv_critical_path *path;
} rig;

static void set_up(
    rig *r, const char *tasks, const char *machine, const char *policy, uint32_t num_requests,
    uint32_t depth) {
    static const char *const kinds[] = {"a", "b"};
    clv_machine *pattern;
    assert_ok(clv_workload_parse_json("test", tasks, strlen(tasks), &r->workload));
    assert_ok(clv_machine_parse_text(machine, &pattern));
    assert_ok(clv_machine_instantiate(pattern, kinds, 2, &r->machine));
    clv_machine_destroy(pattern);
    assert_ok(clv_costs_create(r->workload, r->machine, &r->costs));
    clv_plan_request plan = {.policy = policy, .allow_idle = true};
    assert_ok(clv_plan_create(r->costs, &plan, &r->plan));
    clv_schedule_request request = {.num_requests = num_requests, .depth = depth};
    assert_ok(clv_schedule_create(r->costs, r->plan, &request, &r->schedule));
    assert_ok(clv_critical_path_create(r->schedule, NULL, &r->path));
}

static void tear_down(rig *r) {
    clv_critical_path_destroy(r->path);
    clv_schedule_destroy(r->schedule);
    clv_plan_destroy(r->plan);
    clv_costs_destroy(r->costs);
    clv_machine_destroy(r->machine);
    clv_workload_destroy(r->workload);
}

/* "b 1 buffer a 0; ...": every step, what it waited for, and whose end that was. */
static void assert_causes(const rig *r, const char *expected) {
    char text[1024] = "";
    for (uint32_t i = 0; i < r->schedule->num_steps; i++) {
        char name[64], before[64] = "the beginning", line[256];
        const clv_cause *cause = &r->path->causes[i];
        clv_schedule_name_step(r->schedule, i, name, sizeof name);
        if (cause->before != CLV_NO_INDEX) {
            clv_schedule_name_step(r->schedule, cause->before, before, sizeof before);
        }
        snprintf(
            line, sizeof line, "%s: %s: %s\n", name, clv_cause_name((clv_cause_kind)cause->kind),
            before);
        strncat(text, line, sizeof text - strlen(text) - 1);
    }
    assert_string_equal(text, expected);
}

#define CHAIN(time_a, time_b)                                                                 \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":" time_a "},{\"name\":\"b\",\"time_us\":" time_b \
    "}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000000}]}"

static void single_buffers_block(void **state) {
    (void)state;
    rig r;
    set_up(&r, CHAIN("10", "30"), "bespoke:node", "pipeline", 3, CLV_DEPTH_UNLIMITED);
    assert_causes(
        &r, "a of request 0: nothing: the beginning\n"
            "b of request 0: dependence: a of request 0\n"
            "a of request 1: buffer: b of request 0\n"
            "b of request 1: dependence: a of request 1\n"
            "a of request 2: buffer: b of request 1\n"
            "b of request 2: dependence: a of request 2\n");
    assert_int_equal(r.path->num_steps, 6);
    assert_int_equal(r.path->num_causes[CLV_CAUSE_BUFFER], 2);
    assert_int_equal(r.path->num_causes[CLV_CAUSE_DEPENDENCE], 3);
    assert_true(r.path->busy_us == 120 && r.path->idle_us == 0);
    tear_down(&r);
}

static void double_buffers_leave_the_slower_unit(void **state) {
    (void)state;
    rig r;
    set_up(&r, CHAIN("10", "30"), "bespoke:node{buffers=2}", "pipeline", 3, CLV_DEPTH_UNLIMITED);
    assert_causes(
        &r, "a of request 0: nothing: the beginning\n"
            "b of request 0: dependence: a of request 0\n"
            "a of request 1: resource: a of request 0\n"
            "b of request 1: resource: b of request 0\n"
            "a of request 2: buffer: b of request 0\n"
            "b of request 2: resource: b of request 1\n");
    assert_int_equal(r.path->num_steps, 4);
    assert_true(r.path->busy_us == 100);
    tear_down(&r);
}

static void depth_lets_requests_in(void **state) {
    (void)state;
    rig r;
    set_up(&r, CHAIN("10", "30"), "bespoke:node{buffers=inf}", "pipeline", 2, 1);
    assert_causes(
        &r, "a of request 0: nothing: the beginning\n"
            "b of request 0: dependence: a of request 0\n"
            "a of request 1: depth: b of request 0\n"
            "b of request 1: dependence: a of request 1\n");
    tear_down(&r);
}

static void transfers_are_on_the_path(void **state) {
    (void)state;
    rig r;
    set_up(
        &r, CHAIN("10", "30"), "bespoke:node{buffers=inf}; link * * bw=10G", "pipeline", 2,
        CLV_DEPTH_UNLIMITED);
    double in_links_us = 0;
    for (uint64_t i = 0; i < r.path->num_steps; i++) {
        const clv_schedule_step *step = &r.schedule->steps[r.path->steps[i]];
        in_links_us += step->kind == CLV_SCHEDULE_SEND ? step->duration_us : 0;
    }
    assert_true(r.path->num_steps > 3 && in_links_us >= 100);
    assert_true(fabs(r.path->busy_us - r.schedule->predicted->makespan_us) < 1e-6);
    tear_down(&r);
}

/* A measured run has gaps, and a clock that is not exact. */
static void measured_runs_have_gaps(void **state) {
    (void)state;
    rig r;
    set_up(&r, CHAIN("10", "30"), "bespoke:node{buffers=2}", "pipeline", 1, CLV_DEPTH_UNLIMITED);
    clv_run *run = r.schedule->predicted;
    clv_critical_path_destroy(r.path);
    run->start_us[1] += 5;
    run->end_us[1] += 5;
    run->makespan_us += 5;
    assert_ok(clv_critical_path_create(r.schedule, run, &r.path));
    assert_int_equal(r.path->num_steps, 2);
    assert_true(r.path->busy_us == 40 && r.path->idle_us == 5);
    clv_critical_path_destroy(r.path);
    run->start_us[1] -= 5.5; /* half a microsecond before what it needs has ended */
    assert_ok(clv_critical_path_create(r.schedule, run, &r.path));
    assert_int_equal(r.path->causes[1].kind, CLV_CAUSE_DEPENDENCE);
    assert_true(r.path->idle_us == 0);
    tear_down(&r);
}

static void out_of_memory(void **state) {
    (void)state;
    rig r;
    set_up(&r, CHAIN("10", "30"), "bespoke:node", "pipeline", 2, 1);
    clv_critical_path *path;
    clv_status *status;
    int64_t n = 0;
    do {
        clv_memory_fail_at(n++);
        status = clv_critical_path_create(r.schedule, NULL, &path);
        clv_memory_fail_at(-1);
        if (status != NULL) {
            assert_null(path);
            assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
            clv_status_destroy(status);
        }
    } while (status != NULL && n < 100);
    assert_true(n > 5 && n < 100);
    clv_critical_path_destroy(path);
    tear_down(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_buffers_block),
        cmocka_unit_test(double_buffers_leave_the_slower_unit),
        cmocka_unit_test(depth_lets_requests_in),
        cmocka_unit_test(transfers_are_on_the_path),
        cmocka_unit_test(measured_runs_have_gaps),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
