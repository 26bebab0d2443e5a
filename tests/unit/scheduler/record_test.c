/* Where time went and what a run waited for, on records small enough to be followed by hand; and
 * that it always adds up. */
#include "scheduler/record.h"

#include "host/base/memory.h"
#include "host/base/random.h"
#include "scheduler/critical.h"
#include "scheduler/timeline.h"
#include "tests/support/check.h"

#include <math.h>
#include <string.h>

#define NOBODY CLV_NO_INDEX
#define COUNT(array) (sizeof(array) / sizeof *(array))

static double sum_of(const clv_account *a) {
    return a->busy_us + a->transfer_us + a->data_us + a->buffer_us + a->place_us + a->overhead_us +
           a->idle_us;
}

static void assert_account(const clv_account *got, const clv_account *wanted) {
    assert_true(fabs(got->busy_us - wanted->busy_us) < 1e-9);
    assert_true(fabs(got->transfer_us - wanted->transfer_us) < 1e-9);
    assert_true(fabs(got->data_us - wanted->data_us) < 1e-9);
    assert_true(fabs(got->buffer_us - wanted->buffer_us) < 1e-9);
    assert_true(fabs(got->place_us - wanted->place_us) < 1e-9);
    assert_true(fabs(got->overhead_us - wanted->overhead_us) < 1e-9);
    assert_true(fabs(got->idle_us - wanted->idle_us) < 1e-9);
    assert_true(fabs(got->hidden_us - wanted->hidden_us) < 1e-9);
}

/* --- a pipeline of two with one buffer between them, two requests in flight --- */

static clv_record_wait pipe_waits[] = {
    {.step = 1, .lag = 1, .is_data = false}, /* a: b of the request before reads the buffer */
    {.step = 0, .lag = 0, .is_data = true},  /* b: what a makes */
};
static clv_record_step pipe_steps[] = {
    {.kind = CLV_SCHEDULE_LAUNCH,
     .unit = 0,
     .num_lanes = 1,
     .task = 0,
     .name = "a",
     .first_time = 0,
     .first_wait = 0,
     .num_waits = 1},
    {.kind = CLV_SCHEDULE_LAUNCH,
     .unit = 1,
     .num_lanes = 1,
     .task = 1,
     .name = "b",
     .first_time = 1,
     .first_wait = 1,
     .num_waits = 1},
    {.kind = CLV_SCHEDULE_SEND,
     .unit = 1,
     .num_lanes = 1,
     .task = CLV_NO_TASK,
     .name = "out",
     .from_unit = 1,
     .to_unit = NOBODY,
     .bytes = 8,
     .first_time = 2},
};
static clv_record_group pipe_groups[] = {
    {.num_steps = 3, .num_times = 3, .depth = 2, .num_requests = 3}};
static clv_record_request pipe_requests[] = {
    {.number = 7, .submitted_us = 0, .ended_us = 45, .first_time = 0},
    {.number = 8, .submitted_us = 0, .ended_us = 88, .first_time = 3},
    {.number = 9, .submitted_us = 46, .ended_us = 130, .first_time = 6}};
static clv_record_time pipe_times[] = {{2, 12},  {13, 43}, {43, 45},  {44, 54},  {55, 85},
                                       {85, 88}, {86, 96}, {97, 127}, {127, 130}};

static const clv_record pipe_record = {
    .num_units = 2,
    .steps = pipe_steps,
    .num_steps = 3,
    .waits = pipe_waits,
    .num_waits = 2,
    .groups = pipe_groups,
    .num_groups = 1,
    .requests = pipe_requests,
    .num_requests = 3,
    .times = pipe_times,
    .wall_us = 130};

static void whose_it_waited_for(void **state) {
    (void)state;
    clv_accounts *accounts;
    assert_ok(clv_accounts_create(&pipe_record, &accounts));
    /* 2 until it began, 12 to 43 and 54 to 85 for b to be through with the buffer, a
     * microsecond each to notice, nothing to do from 96 on */
    const clv_account first = {.busy_us = 30, .buffer_us = 62, .overhead_us = 4, .idle_us = 34};
    /* a's ends at 12, 54 and 96, of which it stood still from 0, 45 and 88 on */
    const clv_account second = {.busy_us = 90, .transfer_us = 8, .data_us = 29, .overhead_us = 3};
    assert_account(&accounts->units[0], &first);
    assert_account(&accounts->units[1], &second);
    const double data_us[] = {0, 0, 29, 0}, buffer_us[] = {0, 62, 0, 0};
    for (int i = 0; i < 4; i++) {
        assert_true(fabs(accounts->data_us[i] - data_us[i]) < 1e-9);
        assert_true(fabs(accounts->buffer_us[i] - buffer_us[i]) < 1e-9);
    }
    assert_true(fabs(accounts->wall_us - 130) < 1e-9);
    clv_accounts_destroy(accounts);
}

typedef struct rig {
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
    clv_plan *plan;
    clv_schedule *predicted, *executed;
} rig;

static void set_up_on(rig *r, const clv_record *record, const char *machine) {
    static const char tasks[] =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":10},{\"name\":\"b\",\"time_us\":40}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000}]}";
    assert_ok(clv_workload_parse_json("test", tasks, strlen(tasks), &r->workload));
    assert_ok(clv_machine_parse_text(machine, &r->machine));
    assert_ok(clv_costs_create(r->workload, r->machine, &r->costs));
    clv_plan_request plan = {.policy = "pipeline"};
    assert_ok(clv_plan_create(r->costs, &plan, &r->plan));
    clv_schedule_request request = {.num_requests = record->num_requests, .depth = 2};
    assert_ok(clv_schedule_create(r->costs, r->plan, &request, &r->predicted));
    assert_ok(clv_record_schedule(record, r->costs, r->plan, NULL, &r->executed));
}

static void set_up(rig *r, const clv_record *record) {
    set_up_on(r, record, "core*2");
}

static void tear_down(rig *r) {
    clv_schedule_destroy(r->executed);
    clv_schedule_destroy(r->predicted);
    clv_plan_destroy(r->plan);
    clv_costs_destroy(r->costs);
    clv_machine_destroy(r->machine);
    clv_workload_destroy(r->workload);
}

static void the_critical_path(void **state) {
    (void)state;
    rig r;
    clv_critical_path *path;
    clv_timeline *timeline;
    set_up(&r, &pipe_record);
    assert_ok(clv_critical_path_create(r.executed, NULL, &path));
    /* out 2, b 2, a 2, b 1, a 1, b 0, a 0, from the end */
    static const uint32_t steps[] = {0, 1, 3, 4, 6, 7, 8};
    static const clv_cause_kind causes[] = {
        CLV_CAUSE_NOTHING, CLV_CAUSE_DEPENDENCE, CLV_CAUSE_BUFFER,  CLV_CAUSE_DEPENDENCE,
        CLV_CAUSE_BUFFER,  CLV_CAUSE_DEPENDENCE, CLV_CAUSE_RESOURCE};
    assert_int_equal(path->num_steps, COUNT(steps));
    for (size_t i = 0; i < COUNT(steps); i++) {
        assert_int_equal(path->steps[i], steps[i]);
        assert_int_equal(path->causes[steps[i]].kind, causes[i]);
    }
    assert_true(fabs(path->busy_us - 123) < 1e-9); /* 3 * 10 + 3 * 30 + 3 */
    assert_true(fabs(path->idle_us - 7) < 1e-9);   /* 2 at the beginning, 1 before the other five */
    assert_ok(clv_timeline_create(r.executed, NULL, &timeline));
    assert_true(fabs(timeline->makespan_us - 130) < 1e-9);
    assert_true(fabs(timeline->rows[0].busy_us - 30) < 1e-9);
    assert_true(fabs(timeline->rows[1].busy_us - 98) < 1e-9);
    assert_int_equal(timeline->num_rows, 2); /* the host's memory: no link */
    clv_timeline_destroy(timeline);
    clv_critical_path_destroy(path);
    tear_down(&r);
}

/* In dynamic runs parts of a step go on after another one began that needs the others, and after it
 * ended: a path that took longer than the run was found, as that time counted twice. */
static void no_moment_counts_twice(void **state) {
    (void)state;
    rig r;
    clv_critical_path *path;
    clv_record record = pipe_record;
    clv_record_time times[COUNT(pipe_times)];
    memcpy(times, pipe_times, sizeof times);
    times[6].end_us = 128; /* a 2, beyond 127, where b 2 ends */
    record.times = times;
    set_up(&r, &record);
    assert_ok(clv_critical_path_create(r.executed, NULL, &path));
    assert_true(fabs(path->busy_us + path->idle_us - 130) < 1e-9);
    double sum_us = 0;
    for (uint64_t i = 0; i < path->num_steps; i++) {
        sum_us += path->step_us[i];
    }
    assert_true(fabs(sum_us - path->busy_us) < 1e-9);
    clv_critical_path_destroy(path);
    tear_down(&r);
}

/* A core that copies over its link itself does nothing else meanwhile: its copies, which were rows
 * of the link alone, seemed to wait for one another only, however long ago those had ended. */
static void copies_over_a_link(void **state) {
    (void)state;
    rig r;
    clv_critical_path *path;
    /* out 2, b 2, a 2, b 1, a 1, b 0, a 0, from the end: as without a link */
    static const uint32_t steps[] = {0, 1, 3, 4, 6, 7, 8};
    set_up_on(&r, &pipe_record, "core; far; link far host bw=1G");
    assert_ok(clv_critical_path_create(r.executed, NULL, &path));
    assert_int_equal(r.executed->steps[8].resources[1], 1);
    assert_int_equal(path->num_steps, COUNT(steps));
    for (size_t i = 0; i < COUNT(steps); i++) {
        assert_int_equal(path->steps[i], steps[i]);
    }
    assert_true(fabs(path->busy_us - 123) < 1e-9 && fabs(path->idle_us - 7) < 1e-9);
    clv_critical_path_destroy(path);
    tear_down(&r);
}

static void errors_of_steps(void **state) {
    (void)state;
    rig r;
    clv_step_error *errors;
    size_t count;
    double alone_us[3];
    set_up(&r, &pipe_record);
    assert_ok(clv_record_errors(&pipe_record, r.predicted, &errors, &count, alone_us));
    assert_int_equal(count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(errors[i].task, i);
        assert_int_equal(errors[i].unit, i);
        assert_true(fabs(errors[i].predicted_us - (i == 0 ? 10 : 40)) < 1e-9);
        assert_true(fabs(errors[i].measured_us - (i == 0 ? 10 : 30)) < 1e-9);
    }
    assert_true(fabs(alone_us[1] - 40) < 1e-9 && alone_us[2] >= 0 && alone_us[2] <= 0);
    clv_free(errors);
    tear_down(&r);
}

/* --- other ways to wait --- */

/* One unit, one request at a time; the second one is asked for 8 after the first has ended. */
static void nobody_asks(void **state) {
    (void)state;
    clv_record_step step = {.unit = 0, .num_lanes = 1, .name = "a"};
    clv_record_group group = {.num_steps = 1, .num_times = 1, .depth = 1, .num_requests = 2};
    clv_record_request requests[] = {
        {.number = 0, .submitted_us = 0, .ended_us = 12, .first_time = 0},
        {.number = 1, .submitted_us = 20, .ended_us = 31, .first_time = 1}};
    clv_record_time times[] = {{1, 11}, {21, 31}};
    const clv_record record = {
        .num_units = 2,
        .steps = &step,
        .num_steps = 1,
        .groups = &group,
        .num_groups = 1,
        .requests = requests,
        .num_requests = 2,
        .times = times,
        .wall_us = 31};
    clv_accounts *accounts;
    assert_ok(clv_accounts_create(&record, &accounts));
    const clv_account first = {.busy_us = 20, .place_us = 1, .overhead_us = 2, .idle_us = 8};
    const clv_account none = {.idle_us = 31};
    assert_account(&accounts->units[0], &first);
    assert_account(&accounts->units[1], &none);
    clv_accounts_destroy(accounts);
}

/* A device brings in [0, 10] what the kernel [10, 20] reads, and [12, 18] the next one's; of a
 * request that began before what is looked at only the rest counts. */
static void transfers_beside_kernels(void **state) {
    (void)state;
    clv_record_wait wait = {.step = 0, .is_data = true};
    clv_record_step steps[] = {
        {.kind = CLV_SCHEDULE_SEND, .num_lanes = 1, .name = "x", .from_unit = NOBODY},
        {.kind = CLV_SCHEDULE_LAUNCH,
         .num_lanes = 1,
         .name = "a",
         .first_time = 1,
         .num_waits = 1}};
    clv_record_group group = {.num_steps = 2, .num_times = 2, .depth = 2, .num_requests = 2};
    clv_record_request requests[] = {
        {.number = 0, .submitted_us = -5, .ended_us = 20, .first_time = 0},
        {.number = 1, .submitted_us = 0, .ended_us = 32, .first_time = 2}};
    clv_record_time times[] = {{-4, 10}, {10, 20}, {12, 18}, {22, 32}};
    const clv_record record = {
        .num_units = 1,
        .steps = steps,
        .num_steps = 2,
        .waits = &wait,
        .num_waits = 1,
        .groups = &group,
        .num_groups = 1,
        .requests = requests,
        .num_requests = 2,
        .times = times,
        .wall_us = 32};
    clv_accounts *accounts;
    assert_ok(clv_accounts_create(&record, &accounts));
    const clv_account wanted = {.busy_us = 20, .transfer_us = 10, .overhead_us = 2, .hidden_us = 6};
    assert_account(&accounts->units[0], &wanted);
    clv_accounts_destroy(accounts);
}

static void impossible_times(void **state) {
    (void)state;
    static const struct {
        clv_record_time time, wanted;
        uint32_t count;
    } cases[] = {
        {{12, 18}, {12, 18}, 0},    {{18, 12}, {18, 18}, 1}, /* ended before it began */
        {{5, 15}, {10, 15}, 1},     {{12, 40}, {12, 20}, 1}, /* before it was queued; yet to come */
        {{-90, -80}, {10, 10}, 2},  {{50, 60}, {20, 20}, 2},
        {{9.8, 20.2}, {10, 20}, 0}, /* as well as the clocks are known */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        clv_record_time time = cases[i].time;
        assert_int_equal(clv_record_clamp(&time, 10, 20, 0.5), cases[i].count);
        assert_true(fabs(time.start_us - cases[i].wanted.start_us) < 1e-9);
        assert_true(fabs(time.end_us - cases[i].wanted.end_us) < 1e-9);
    }
}

/* Whatever the times, they add up: also where steps are not in the order of what they wait for, as
 * clocks of two devices may have it. */
static void it_adds_up(void **state) {
    (void)state;
    enum { STEPS = 6, REQUESTS = 5, UNITS = 3 };
    for (uint64_t seed = 1; seed <= 200; seed++) {
        clv_random random;
        clv_random_init(&random, seed);
        clv_record_step steps[STEPS] = {{0}};
        clv_record_wait waits[STEPS];
        clv_record_time times[STEPS * REQUESTS];
        clv_record_request requests[REQUESTS];
        clv_record_group group = {
            .num_steps = STEPS, .num_times = STEPS, .depth = 2, .num_requests = REQUESTS};
        double at_us[UNITS] = {0}, wall_us = 0;
        for (uint32_t i = 0; i < STEPS; i++) {
            waits[i] = (clv_record_wait){
                (uint32_t)clv_random_below(&random, STEPS), (uint32_t)clv_random_below(&random, 3),
                clv_random_below(&random, 2) == 0};
            steps[i] = (clv_record_step){
                .kind = clv_random_below(&random, 2) == 0 ? CLV_SCHEDULE_LAUNCH : CLV_SCHEDULE_SEND,
                .unit = (uint32_t)clv_random_below(&random, UNITS),
                .num_lanes = 1,
                .name = "s",
                .first_time = i,
                .first_wait = i,
                .num_waits = 1};
        }
        for (uint32_t r = 0; r < REQUESTS; r++) {
            requests[r] = (clv_record_request){
                .number = 2 * r,
                .first_time = (size_t)r * STEPS,
                .submitted_us = (double)clv_random_below(&random, 400) - 100};
            for (uint32_t i = 0; i < STEPS; i++) {
                double *at = &at_us[steps[i].unit];
                const double start_us = *at + (double)clv_random_below(&random, 20) - 5;
                *at = start_us + (double)clv_random_below(&random, 30);
                times[r * STEPS + i] = (clv_record_time){start_us, *at};
                wall_us = fmax(wall_us, *at);
            }
            requests[r].ended_us = wall_us;
        }
        const clv_record record = {
            .num_units = UNITS,
            .steps = steps,
            .num_steps = STEPS,
            .waits = waits,
            .num_waits = STEPS,
            .groups = &group,
            .num_groups = 1,
            .requests = requests,
            .num_requests = REQUESTS,
            .times = times,
            .wall_us = wall_us};
        clv_accounts *accounts;
        assert_ok(clv_accounts_create(&record, &accounts));
        for (uint32_t u = 0; u < UNITS; u++) {
            assert_true(fabs(sum_of(&accounts->units[u]) - wall_us) < 1e-6);
        }
        clv_accounts_destroy(accounts);
    }
}

/* The n-th allocation fails: said, and nothing is left. */
static void out_of_memory(void **state) {
    (void)state;
    rig r;
    set_up(&r, &pipe_record);
    for (int what = 0; what < 3; what++) {
        clv_status *status;
        int64_t n = 0;
        do {
            clv_accounts *accounts = NULL;
            clv_schedule *schedule = NULL;
            clv_step_error *errors = NULL;
            size_t count;
            clv_memory_fail_at(n++);
            if (what == 0) {
                status = clv_accounts_create(&pipe_record, &accounts);
            } else if (what == 1) {
                status = clv_record_schedule(&pipe_record, r.costs, r.plan, NULL, &schedule);
            } else {
                status = clv_record_errors(&pipe_record, r.predicted, &errors, &count, NULL);
            }
            clv_memory_fail_at(-1);
            if (status != NULL) {
                assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
                assert_true(accounts == NULL && schedule == NULL);
                clv_status_destroy(status);
            }
            clv_free(errors);
            clv_schedule_destroy(schedule);
            clv_accounts_destroy(accounts);
        } while (status != NULL && n < 100);
        assert_true(n > 4 && n < 100);
    }
    tear_down(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_it_waited_for),
        cmocka_unit_test(the_critical_path),
        cmocka_unit_test(no_moment_counts_twice),
        cmocka_unit_test(copies_over_a_link),
        cmocka_unit_test(errors_of_steps),
        cmocka_unit_test(nobody_asks),
        cmocka_unit_test(transfers_beside_kernels),
        cmocka_unit_test(impossible_times),
        cmocka_unit_test(it_adds_up),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
