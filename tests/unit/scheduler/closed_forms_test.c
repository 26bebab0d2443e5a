/* The textbook's timelines meet their closed forms, on machines made for one network, and on the
 * verifier. */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
#include "scheduler/clock.h"
#include "scheduler/period.h"
#include "scheduler/steady.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void ok(clv_status *status) {
    if (status != NULL) {
        fail_msg("%s\n%s", clv_status_message(status), clv_status_trail(status));
    }
}

enum { MAX_TASKS = 8, MAX_UNITS = 32 };

/* A chain on a machine, with a plan of one group for each of `copies` sets of units. */
typedef struct rig {
    clv_workload *workload;
    clv_machine *pattern, *machine;
    clv_costs *costs;
    clv_plan plan;
    clv_group groups[4];
    clv_placement placements[4][MAX_TASKS];
    clv_piece pieces[4][MAX_TASKS];
} rig;

static clv_workload *make_chain(const double *times, const char *const *types, int count) {
    clv_text text;
    clv_workload *workload;
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    for (int i = 0; i < count; i++) {
        clv_text_add(
            &text, "%s{\"name\":\"t%d\",\"type\":\"%s\",\"time_us\":%.17g}", i > 0 ? "," : "", i,
            types[i], times[i]);
    }
    clv_text_add(&text, "],\"edges\":[");
    for (int i = 1; i < count; i++) {
        clv_text_add(
            &text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":64}", i > 1 ? "," : "", i - 1, i);
    }
    clv_text_add(&text, "]}");
    ok(clv_workload_parse_json("chain", text.data, text.length, &workload));
    clv_text_deinit(&text);
    return workload;
}

static void set_up(
    rig *r, const char *machine, const double *times, const char *const *types, int count,
    uint32_t copies, bool is_serial) {
    memset(r, 0, sizeof *r);
    const char *kinds[MAX_TASKS];
    size_t num_kinds = 0;
    r->workload = make_chain(times, types, count);
    ok(clv_machine_parse_text(machine, &r->pattern));
    bool by_type = r->pattern->bespoke == CLV_BESPOKE_TYPE;
    for (int i = 0; i < count; i++) {
        const char *kind = by_type ? r->workload->tasks[i].type : r->workload->tasks[i].name;
        size_t k = 0;
        while (k < num_kinds && strcmp(kinds[k], kind) != 0) {
            k++;
        }
        kinds[k] = kind;
        num_kinds = k == num_kinds ? k + 1 : num_kinds;
    }
    ok(clv_machine_instantiate(r->pattern, kinds, num_kinds, &r->machine));
    ok(clv_costs_create(r->workload, r->machine, &r->costs));
    for (uint32_t g = 0; g < copies; g++) {
        for (int i = 0; i < count; i++) {
            char name[64];
            snprintf(
                name, sizeof name, "%s:%u",
                by_type ? r->workload->tasks[i].type : r->workload->tasks[i].name, g);
            r->pieces[g][i].unit = clv_machine_find_unit(r->machine, name);
            assert_int_not_equal(r->pieces[g][i].unit, CLV_NO_INDEX);
            r->placements[g][i] =
                (clv_placement){.first_piece = (uint32_t)i, .num_pieces = 1, .split = -1};
        }
        r->groups[g] = (clv_group){
            .placements = r->placements[g],
            .pieces = r->pieces[g],
            .num_pieces = (uint32_t)count,
            .num_stages = 1,
            .is_serial = is_serial,
            .share = 1.0 / copies,
            .depth = 1};
    }
    r->plan = (clv_plan){.groups = r->groups, .num_groups = copies, .depth = copies};
}

static void tear_down(rig *r) {
    clv_costs_destroy(r->costs);
    clv_machine_destroy(r->machine);
    clv_machine_destroy(r->pattern);
    clv_workload_destroy(r->workload);
}

/* Makespan; the schedule verifies, and its replay is the same to the bit. */
static double makespan(rig *r, uint32_t num_requests) {
    clv_schedule_request request = {.num_requests = num_requests, .depth = CLV_DEPTH_UNLIMITED};
    clv_schedule *schedule;
    clv_run *run;
    ok(clv_schedule_create(r->costs, &r->plan, &request, &schedule));
    ok(clv_schedule_verify(schedule, NULL, false));
    ok(clv_clock_run(schedule, &(clv_clock_request){.mode = CLV_CLOCK_STATIC}, &run));
    ok(clv_schedule_verify(schedule, run, false));
    for (uint64_t i = 0; i < schedule->num_steps; i++) {
        assert_true(run->start_us[i] == schedule->predicted->start_us[i]);
        assert_true(run->end_us[i] == schedule->predicted->end_us[i]);
    }
    double result = run->makespan_us;
    clv_run_destroy(run);
    clv_schedule_destroy(schedule);
    return result;
}

static const char *const types[MAX_TASKS] = {"Conv", "Relu", "Conv", "Relu",
                                             "Conv", "Relu", "Conv", "Shuffle"};

/* Whole microseconds, so that sums are exact. */
static int draw_chain(clv_random *random, double *times) {
    int count = 2 + (int)clv_random_below(random, MAX_TASKS - 1);
    for (int i = 0; i < count; i++) {
        times[i] = 1 + (double)clv_random_below(random, 50);
    }
    return count;
}

static double sum(const double *times, int count) {
    double result = 0;
    for (int i = 0; i < count; i++) {
        result += times[i];
    }
    return result;
}

static double largest(const double *times, int count) {
    double result = 0;
    for (int i = 0; i < count; i++) {
        result = fmax(result, times[i]);
    }
    return result;
}

static void serial_is_the_sum_for_each_request(void **state) {
    (void)state;
    clv_random random;
    clv_random_init(&random, 1);
    for (int round = 0; round < 50; round++) {
        double times[MAX_TASKS];
        int count = draw_chain(&random, times);
        uint32_t requests = 1 + (uint32_t)clv_random_below(&random, 20);
        rig r;
        set_up(&r, "bespoke:type", times, types, count, 1, true);
        assert_true(makespan(&r, requests) == requests * sum(times, count));
        tear_down(&r);
    }
}

static void double_buffers_run_at_the_slowest_task(void **state) {
    (void)state;
    clv_random random;
    clv_random_init(&random, 2);
    for (int round = 0; round < 50; round++) {
        double times[MAX_TASKS];
        int count = draw_chain(&random, times);
        uint32_t requests = 1 + (uint32_t)clv_random_below(&random, 20);
        rig r;
        set_up(&r, "bespoke:node{buffers=2}", times, types, count, 1, false);
        assert_true(
            makespan(&r, requests) == sum(times, count) + (requests - 1) * largest(times, count));
        tear_down(&r);
    }
}

static void single_buffers_run_at_the_slowest_pair(void **state) {
    (void)state;
    clv_random random;
    clv_random_init(&random, 3);
    for (int round = 0; round < 50; round++) {
        double times[MAX_TASKS], pair = 0;
        int count = draw_chain(&random, times);
        for (int i = 1; i < count; i++) {
            pair = fmax(pair, times[i - 1] + times[i]);
        }
        rig r;
        set_up(&r, "bespoke:node{buffers=1}", times, types, count, 1, false);
        assert_true(makespan(&r, 60) - makespan(&r, 59) == pair);
        tear_down(&r);
    }
}

static void a_unit_for_each_type_runs_at_the_largest_sum_of_a_type(void **state) {
    (void)state;
    const double chains[][6] = {{5, 1, 7, 1, 3, 2}, {1, 9, 1, 9, 2, 8}, {4, 4, 4, 4, 4, 4}};
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        double conv = chains[i][0] + chains[i][2] + chains[i][4];
        double relu = chains[i][1] + chains[i][3] + chains[i][5];
        double period = fmax(conv, relu);
        rig r;
        set_up(&r, "bespoke:type{buffers=inf}", chains[i], types, 6, 1, false);
        double total = makespan(&r, 400);
        assert_true(total >= 400 * period);
        assert_true(total <= 400 * period + 2 * sum(chains[i], 6));
        tear_down(&r);
    }
}

/* What the clock says of a plan with every request in flight. */
static double period(rig *r) {
    clv_schedule_request request = {.num_requests = 1, .depth = CLV_DEPTH_UNLIMITED};
    clv_schedule *schedule;
    double period_us;
    ok(clv_schedule_create(r->costs, &r->plan, &request, &schedule));
    ok(clv_schedule_period(schedule, NULL, 100000, &period_us, NULL));
    clv_schedule_destroy(schedule);
    return period_us;
}

static void expect_period(
    const char *machine, const double *times, const char *const *kinds, int count, uint32_t copies,
    bool is_serial, double needed_us) {
    rig r;
    set_up(&r, machine, times, kinds, count, copies, is_serial);
    double got_us = period(&r);
    if (fabs(got_us - needed_us) > 1e-9 * needed_us) {
        for (int i = 0; i < count; i++) {
            printf("%s %.9g\n", kinds[i], times[i]);
        }
        fail_msg("%s: period %.12g, closed form %.12g", machine, got_us, needed_us);
    }
    tear_down(&r);
}

/* Chains of any types, with times of a microsecond, of parts of it and of thousands of it. */
static void periods_are_the_closed_forms(void **state) {
    (void)state;
    static const char *const names[] = {"Conv", "Relu", "Shuffle"};
    clv_random random;
    clv_random_init(&random, 5);
    for (int round = 0; round < 200; round++) {
        double times[MAX_TASKS], of_type[3] = {0}, pair = 0;
        const char *kinds[MAX_TASKS];
        int count = draw_chain(&random, times);
        double factor = round % 3 == 0 ? 1 : round % 3 == 1 ? 1 / 3.0 : 1234.5;
        for (int i = 0; i < count; i++) {
            size_t type = (size_t)clv_random_below(&random, 3);
            times[i] *= factor;
            kinds[i] = names[type];
            of_type[type] += times[i];
            pair = fmax(pair, i > 0 ? times[i - 1] + times[i] : 0);
        }
        double whole = sum(times, count), most = largest(times, count);
        expect_period("bespoke:type", times, kinds, count, 1, true, whole);
        expect_period("bespoke:type*3", times, kinds, count, 3, true, whole / 3);
        expect_period("bespoke:node{buffers=1}", times, kinds, count, 1, false, pair);
        expect_period("bespoke:node{buffers=2}", times, kinds, count, 1, false, most);
        expect_period("bespoke:node*2{buffers=2}", times, kinds, count, 2, false, most / 2);
        expect_period(
            "bespoke:type{buffers=inf}", times, kinds, count, 1, false, largest(of_type, 3));
    }
}

/* A chain of 80 units of 1 us with 50 requests in flight: they wait for one another, 80 us each,
 * not for the units, whose pace the first 50 results have. */
static void fewer_in_flight_than_units_set_the_pace(void **state) {
    (void)state;
    enum { UNITS = 80, DEPTH = 50 };
    clv_text text;
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
    clv_plan *plan;
    clv_schedule *schedule;
    double period_us;
    clv_text_init(&text);
    for (int i = 0; i < UNITS; i++) {
        clv_text_add(&text, "%s{\"name\":\"t%d\",\"time_us\":1}", i > 0 ? "," : "{\"tasks\":[", i);
    }
    for (int i = 1; i < UNITS; i++) {
        clv_text_add(
            &text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":8}", i > 1 ? "," : "],\"edges\":[",
            i - 1, i);
    }
    clv_text_add(&text, "]}");
    ok(clv_workload_parse_json("chain", text.data, text.length, &workload));
    ok(clv_machine_parse_text("p*80", &machine));
    ok(clv_costs_create(workload, machine, &costs));
    clv_plan_request wanted = {.policy = "pipeline"};
    ok(clv_plan_create(costs, &wanted, &plan));
    clv_schedule_request request = {.num_requests = 4 * DEPTH, .depth = DEPTH};
    ok(clv_schedule_create(costs, plan, &request, &schedule));
    ok(clv_schedule_period(schedule, NULL, 1000000, &period_us, NULL));
    assert_true(fabs(period_us - (double)UNITS / DEPTH) < 1e-9);
    clv_schedule_destroy(schedule);
    clv_plan_destroy(plan);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
    clv_text_deinit(&text);
}

/* One unit runs a task and its reader, which needs a second buffer while it reads the first. */
static void shared_units_with_few_buffers_deadlock(void **state) {
    (void)state;
    const double times[] = {5, 7, 1};
    const char *const convs[] = {"Conv", "Conv", "Relu"};
    rig r;
    set_up(&r, "bespoke:type{buffers=1}", times, convs, 3, 1, false);
    clv_schedule_request request = {.num_requests = 8, .depth = CLV_DEPTH_UNLIMITED};
    clv_schedule *schedule;
    clv_status *status = clv_schedule_create(r.costs, &r.plan, &request, &schedule);
    assert_int_equal(clv_status_code(status), CLV_UNSUPPORTED);
    assert_null(schedule);
    assert_string_equal(
        clv_status_message(status),
        "deadlock after 5 us with 1 of 24 steps done: t1 of request 0 waits for a free buffer of "
        "Conv:0, which holds t0 of request 0");
    clv_status_destroy(status);
    r.groups[0].is_serial = true; /* slots never block */
    assert_true(makespan(&r, 8) == 8 * 13.0);
    tear_down(&r);
    set_up(&r, "bespoke:type{buffers=3}", times, convs, 3, 1, false);
    assert_true(makespan(&r, 8) >= 8 * 12.0);
    tear_down(&r);
}

static void replicas_run_in_waves(void **state) {
    (void)state;
    const double times[] = {5, 1, 7, 2};
    for (uint32_t copies = 1; copies <= 4; copies++) {
        char machine[32];
        snprintf(machine, sizeof machine, "bespoke:type*%u", copies);
        rig r;
        set_up(&r, machine, times, types, 4, copies, true);
        for (uint32_t requests = 1; requests <= 13; requests++) {
            uint32_t waves = (requests + copies - 1) / copies;
            assert_true(makespan(&r, requests) == waves * 15.0);
        }
        tear_down(&r);
    }
}

/* A plan's period, or NAN where it is refused for a deadlock. */
static double planned_period(rig *r, const char *policy) {
    clv_plan_request request = {.policy = policy, .has_objective = true, .allow_idle = true};
    clv_plan *plan;
    r->costs->ask_clock = clv_steady_state;
    clv_status *status = clv_plan_create(r->costs, &request, &plan);
    if (status != NULL) {
        assert_int_equal(clv_status_code(status), CLV_UNSUPPORTED);
        assert_non_null(strstr(clv_status_message(status), "deadlock after"));
        clv_status_destroy(status);
        return (double)NAN;
    }
    double result = plan->period_us;
    clv_schedule_request run = {.num_requests = 60, .depth = CLV_DEPTH_OF_PLAN};
    clv_schedule *schedule;
    ok(clv_schedule_create(r->costs, plan, &run, &schedule));
    clv_schedule_destroy(schedule);
    clv_plan_destroy(plan);
    return result;
}

static void plans_count_what_full_buffers_hold_up(void **state) {
    (void)state;
    clv_random random;
    clv_random_init(&random, 4);
    for (int round = 0; round < 50; round++) {
        double times[MAX_TASKS], pair = 0;
        int count = draw_chain(&random, times);
        for (int i = 1; i < count; i++) {
            pair = fmax(pair, times[i - 1] + times[i]);
        }
        rig r;
        set_up(&r, "bespoke:node{buffers=1}", times, types, count, 1, false);
        assert_true(planned_period(&r, "pipeline") == pair);
        assert_true(planned_period(&r, "serial") == sum(times, count));
        assert_true(planned_period(&r, "auto") == pair);
        tear_down(&r);
        set_up(&r, "bespoke:node{buffers=2}", times, types, count, 1, false);
        assert_true(planned_period(&r, "pipeline") == largest(times, count));
        assert_true(planned_period(&r, "auto") == largest(times, count));
        tear_down(&r);
    }
}

static void plans_do_not_deadlock(void **state) {
    (void)state;
    const double times[] = {5, 7, 1};
    const char *const convs[] = {"Conv", "Conv", "Relu"};
    rig r;
    set_up(&r, "bespoke:type{buffers=1}", times, convs, 3, 1, false);
    assert_true(isnan(planned_period(&r, "pipeline")));
    assert_true(isnan(planned_period(&r, "branch")));
    assert_true(planned_period(&r, "serial") == 13);
    assert_true(planned_period(&r, "auto") == 13);
    tear_down(&r);
    set_up(&r, "bespoke:type*2{buffers=1}", times, convs, 3, 1, false); /* a copy each */
    assert_true(planned_period(&r, "data") == 6.5);
    assert_true(planned_period(&r, "auto") <= 6.5);
    tear_down(&r);
}

static void the_verifier_finds_what_is_broken(void **state) {
    (void)state;
    const double times[] = {5, 3};
    rig r;
    set_up(&r, "bespoke:node{buffers=2}", times, types, 2, 1, false);
    clv_schedule_request request = {.num_requests = 3, .depth = CLV_DEPTH_UNLIMITED};
    clv_schedule *schedule;
    ok(clv_schedule_create(r.costs, &r.plan, &request, &schedule));
    clv_run *run = schedule->predicted;
    double start = run->start_us[1];
    run->start_us[1] = 1; /* before its input has ended */
    clv_status *status = clv_schedule_verify(schedule, NULL, false);
    assert_int_equal(clv_status_code(status), CLV_INTERNAL);
    clv_status_destroy(status);
    run->start_us[1] = start;
    run->slot[2] = 2; /* there are two */
    status = clv_schedule_verify(schedule, NULL, false);
    assert_int_equal(clv_status_code(status), CLV_INTERNAL);
    clv_status_destroy(status);
    clv_schedule_destroy(schedule);
    tear_down(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serial_is_the_sum_for_each_request),
        cmocka_unit_test(double_buffers_run_at_the_slowest_task),
        cmocka_unit_test(single_buffers_run_at_the_slowest_pair),
        cmocka_unit_test(a_unit_for_each_type_runs_at_the_largest_sum_of_a_type),
        cmocka_unit_test(periods_are_the_closed_forms),
        cmocka_unit_test(fewer_in_flight_than_units_set_the_pace),
        cmocka_unit_test(shared_units_with_few_buffers_deadlock),
        cmocka_unit_test(replicas_run_in_waves),
        cmocka_unit_test(plans_count_what_full_buffers_hold_up),
        cmocka_unit_test(plans_do_not_deadlock),
        cmocka_unit_test(the_verifier_finds_what_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
