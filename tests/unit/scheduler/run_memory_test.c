/* What runs hold, on runs small enough to be followed by hand. */
#include "scheduler/run_memory.h"

#include "scheduler/clock.h"
#include "scheduler/steady.h"

#include "tests/support/check.h"

#include <string.h>

typedef struct rig {
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
    clv_plan *plan;
    clv_schedule *schedule;
} rig;

/* a (10 us) on p, b (30 us) on q. */
static const char *const chain =
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":10},\"memory_bytes\":100,\"output_bytes\":1000}"
    ","
    "{\"name\":\"b\",\"time_us\":{\"q\":30},\"memory_bytes\":7,\"output_bytes\":50}],"
    "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000}]}";

static void set_up(
    rig *r, const char *tasks, const char *machine, const char *policy, uint32_t num_requests,
    uint32_t depth) {
    assert_ok(clv_workload_parse_json("test", tasks, strlen(tasks), &r->workload));
    const char *const kind = "Op"; /* of tasks that do not say */
    clv_machine *pattern;
    assert_ok(clv_machine_parse_text(machine, &pattern));
    assert_ok(clv_machine_instantiate(pattern, &kind, 1, &r->machine));
    clv_machine_destroy(pattern);
    assert_ok(clv_costs_create(r->workload, r->machine, &r->costs));
    clv_plan_request plan = {.policy = policy, .allow_idle = true};
    assert_ok(clv_plan_create(r->costs, &plan, &r->plan));
    clv_schedule_request request = {.num_requests = num_requests, .depth = depth};
    assert_ok(clv_schedule_create(r->costs, r->plan, &request, &r->schedule));
}

static void tear_down(rig *r) {
    clv_schedule_destroy(r->schedule);
    clv_plan_destroy(r->plan);
    clv_costs_destroy(r->costs);
    clv_machine_destroy(r->machine);
    clv_workload_destroy(r->workload);
}

/* What a schedule takes is known before it is made. */
static void many_steps_are_refused(void **state) {
    (void)state;
    rig r;
    clv_schedule *schedule;
    set_up(&r, chain, "p; q", "pipeline", 1, 1);
    clv_schedule_request request = {.num_requests = 1000, .depth = 2, .most_bytes = 100000};
    clv_status *status = clv_schedule_create(r.costs, r.plan, &request, &schedule);
    assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
    assert_non_null(strstr(clv_status_message(status), "1000 requests are"));
    clv_status_destroy(status);
    request.most_bytes = 100000000;
    assert_ok(clv_schedule_create(r.costs, r.plan, &request, &schedule));
    clv_schedule_destroy(schedule);
    tear_down(&r);
}

/* Scratch memory is there while its task runs: by sums, and in a run. */
static void scratch_is_held_while_a_task_runs(void **state) {
    (void)state;
    static const char *const tasks =
        "{\"tasks\":["
        "{\"name\":\"a\",\"time_us\":10,\"memory_bytes\":100,\"scratch_bytes\":5000,"
        "\"output_bytes\":1000},"
        "{\"name\":\"b\",\"time_us\":30,\"memory_bytes\":7,\"scratch_bytes\":300,"
        "\"output_bytes\":50}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000}]}";
    rig r;
    uint64_t held;
    set_up(&r, tasks, "p", "single", 1, 1);
    assert_int_equal(r.plan->memory_bytes[0], 107 + 5000 + 1000);
    assert_ok(clv_run_memory(r.schedule, NULL, &held));
    assert_int_equal(held, 107 + 5000 + 1000);
    tear_down(&r);
}

/* In one memory b reads where a wrote: outputs of a pile up before b, three times as slow. */
static void requests_pile_up(void **state) {
    (void)state;
    rig r;
    uint64_t held[2];
    set_up(&r, chain, "p; q", "pipeline", 4, CLV_DEPTH_UNLIMITED);
    assert_ok(clv_run_memory(r.schedule, NULL, held));
    /* a ends at 10, 20, 30, 40; b has read them at 40, 70, 100, 130: at 39 there are four */
    assert_int_equal(held[0], 100 + 4 * 1000);
    assert_int_equal(held[1], 7 + 50);
    tear_down(&r);
    set_up(&r, chain, "p; q", "pipeline", 4, 2);
    assert_ok(clv_run_memory(r.schedule, NULL, held));
    assert_int_equal(held[0], 100 + 2 * 1000);
    tear_down(&r);
}

/* Behind a link b has a copy, from the begin of the transfer on, and a's goes when it has left. */
static void copies_lie_with_the_reader(void **state) {
    (void)state;
    rig r;
    uint64_t held[2];
    set_up(&r, chain, "p; q; link p q bw=1G", "pipeline", 4, CLV_DEPTH_UNLIMITED);
    assert_ok(clv_run_memory(r.schedule, NULL, held));
    /* the transfer takes 1 us: copies are there at 10, 20, 30, 40, read by 41, 71, 101, 131 */
    assert_int_equal(held[0], 100 + 2 * 1000); /* the last one leaves while the next is made */
    assert_int_equal(held[1], 7 + 4 * 1000 + 50);
    tear_down(&r);
}

static const char *const alone =
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":10,\"memory_bytes\":100,\"output_bytes\":8}]}";

/* Of one memory, the first group's; else, and on functional units, each has its own. */
static void replicas_share_weights_of_a_memory(void **state) {
    (void)state;
    static const struct {
        const char *machine;
        uint64_t held[2];
    } cases[] = {
        {"core*2", {108, 8}},
        {"core*2; link core* host bw=1G", {108, 108}},
        {"bespoke:type*2", {108, 108}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig r;
        uint64_t held[2];
        set_up(&r, alone, cases[i].machine, "data:2", 6, CLV_DEPTH_UNLIMITED);
        assert_ok(clv_run_memory(r.schedule, NULL, held));
        for (int u = 0; u < 2; u++) {
            assert_int_equal(held[u], cases[i].held[u]);
            assert_int_equal(r.plan->memory_bytes[u], cases[i].held[u]);
        }
        tear_down(&r);
    }
}

/* What copies hold is held against limits together: weights once, of whoever has them first. By
 * sums and on the clock. */
static void replicas_share_weights_under_limits(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        uint32_t num_units;
        uint64_t capacity, first_limit, last_limit;
        bool fits;
    } cases[] = {
        {"data:2", 2, 116, CLV_UNLIMITED, CLV_UNLIMITED, true},
        {"data:2", 2, 115, CLV_UNLIMITED, CLV_UNLIMITED, false},
        {"data:2", 2, CLV_UNLIMITED, 108, 8, true},
        {"data:2", 2, CLV_UNLIMITED, 108, 7, false},
        {"data:2", 2, CLV_UNLIMITED, 107, 8, false},
        {"data:4", 4, 132, CLV_UNLIMITED, 8, true},
        {"data:4", 4, 131, CLV_UNLIMITED, 8, false},
        {"data:2/tensor", 4, 116, CLV_UNLIMITED, CLV_UNLIMITED, true},
        {"data:2/pipeline", 4, 116, CLV_UNLIMITED, CLV_UNLIMITED, true},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        rig r;
        clv_plan *plan = NULL;
        const size_t n = i / 2;
        set_up(&r, alone, cases[n].num_units == 2 ? "core*2" : "core*4", "single", 1, 1);
        r.costs->ask_clock = i % 2 == 0 ? NULL : clv_steady_state;
        r.machine->memories[0].capacity_bytes = cases[n].capacity;
        r.machine->units[0].limit_bytes = cases[n].first_limit;
        r.machine->units[cases[n].num_units - 1].limit_bytes = cases[n].last_limit;
        clv_plan_request request = {.policy = cases[n].policy, .allow_idle = true};
        clv_status *status = clv_plan_create(r.costs, &request, &plan);
        assert_int_equal(clv_status_code(status), cases[n].fits ? CLV_OK : CLV_NO_MEMORY);
        clv_status_destroy(status);
        if (plan != NULL) {
            assert_ok(clv_plan_verify(r.costs, plan));
        }
        clv_plan_destroy(plan);
        tear_down(&r);
    }
}

/* Chunks of a hold a part of its output each, in the unit's memory that a is planned for, until b
 * has read all of it. */
static void chunks_hold_their_parts(void **state) {
    (void)state;
    static const char *const tasks =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":40,\"output_bytes\":1000,"
        "\"splits\":[{\"name\":\"rows\",\"extent\":4}]},"
        "{\"name\":\"b\",\"time_us\":30,\"output_bytes\":50}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000}]}";
    rig r;
    clv_run *run = NULL;
    uint64_t held[2];
    set_up(&r, tasks, "core*2", "branch", 1, 1);
    assert_ok(clv_run_memory(r.schedule, NULL, held));
    assert_int_equal(held[0] + held[1], 1050);
    clv_schedule_destroy(r.schedule);
    const clv_schedule_request request = {.num_requests = 1, .depth = 1, .num_chunks = 4};
    const clv_clock_request clock = {.mode = CLV_CLOCK_DYNAMIC};
    assert_ok(clv_schedule_create(r.costs, r.plan, &request, &r.schedule));
    assert_ok(clv_clock_run(r.schedule, &clock, &run));
    assert_ok(clv_run_memory(r.schedule, run, held));
    assert_int_equal(run->unit[1] + run->unit[0], 1); /* both were at it */
    assert_int_equal(held[0], 1050);
    assert_int_equal(held[1], 0);
    clv_run_destroy(run);
    tear_down(&r);
}

/* Of a run to look at a plan by, a slow copy beside a fast one has no request; it will hold what
 * one takes. */
static void a_slow_copy_holds_a_request(void **state) {
    (void)state;
    static const char *const tasks =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":10,\"q\":9000},\"memory_bytes\":100,"
        "\"output_bytes\":1000},{\"name\":\"b\",\"time_us\":{\"p\":5,\"q\":9000},\"memory_bytes\":"
        "7,"
        "\"output_bytes\":50}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000}]}";
    rig r;
    clv_plan *plan;
    set_up(&r, tasks, "p; q", "data:2", 1, 1);
    r.costs->ask_clock = clv_steady_state;
    clv_plan_request request = {.policy = "data:2"};
    assert_ok(clv_plan_create(r.costs, &request, &plan));
    assert_int_equal(plan->memory_bytes[0], 107 + 1050);
    assert_int_equal(plan->memory_bytes[1], 1050); /* the weights are there */
    clv_plan_destroy(plan);
    tear_down(&r);
}

/* b is a little slower than a: with eight in flight all of them wait for it in the end, after 160
 * requests. A plan has that from the beginning, and none is made that a long run would not fit. */
static void what_piles_up_in_a_long_run_is_planned(void **state) {
    (void)state;
    static const char *const tasks =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":10},\"memory_bytes\":100,"
        "\"output_bytes\":1000},{\"name\":\"b\",\"time_us\":{\"q\":10.5},\"memory_bytes\":7,"
        "\"output_bytes\":50}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000}]}";
    rig r;
    clv_plan *plan;
    uint64_t held[2];
    set_up(&r, tasks, "p mem=5000; q", "pipeline", 40, 8);
    r.costs->ask_clock = clv_steady_state;
    assert_ok(clv_run_memory(r.schedule, NULL, held));
    assert_true(held[0] < 100 + 6 * 1000);
    clv_plan_request request = {.policy = "pipeline", .depth = 8};
    clv_status *status = clv_plan_create(r.costs, &request, &plan);
    assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
    assert_non_null(strstr(clv_status_message(status), "would hold 8100 bytes"));
    clv_status_destroy(status);
    request.depth = 4;
    assert_ok(clv_plan_create(r.costs, &request, &plan));
    assert_int_equal(plan->memory_bytes[0], 100 + 4 * 1000);
    assert_int_equal(plan->memory_bytes[1], 7 + 50);
    clv_plan_destroy(plan);
    tear_down(&r);
}

/* p waits for q within a request: of three in flight all may have run ahead of q, or of p's second
 * task, and one runs. */
static void most_is_told_in_any_order(void **state) {
    (void)state;
    static const char *const tasks =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":10},\"memory_bytes\":100,"
        "\"output_bytes\":1000},{\"name\":\"b\",\"time_us\":{\"q\":21},\"memory_bytes\":7,"
        "\"output_bytes\":50},{\"name\":\"c\",\"time_us\":{\"p\":10},\"output_bytes\":8,"
        "\"scratch_bytes\":300}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000},"
        "{\"from\":\"b\",\"to\":\"c\",\"bytes\":50}]}";
    rig r;
    uint64_t most[2] = {0, 1000}, held[2];
    set_up(&r, tasks, "p; q", "branch", 60, 3);
    r.plan->groups[0].depth = 3;
    assert_ok(clv_run_memory(r.schedule, NULL, held));
    assert_ok(clv_most_memory(r.costs, r.plan->groups, 1, most));
    /* what a made goes before c comes, which holds less */
    assert_int_equal(most[0], 100 + 3 * 1000);
    assert_int_equal(most[1], 1000); /* more than 7 + 3 * 50 */
    assert_true(held[0] <= most[0] && held[1] <= 7 + 3 * 50);
    most[1] = 0;
    assert_ok(clv_most_memory(r.costs, r.plan->groups, 1, most));
    assert_int_equal(most[1], 7 + 3 * 50);
    tear_down(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_steps_are_refused),
        cmocka_unit_test(scratch_is_held_while_a_task_runs),
        cmocka_unit_test(requests_pile_up),
        cmocka_unit_test(copies_lie_with_the_reader),
        cmocka_unit_test(replicas_share_weights_of_a_memory),
        cmocka_unit_test(replicas_share_weights_under_limits),
        cmocka_unit_test(chunks_hold_their_parts),
        cmocka_unit_test(a_slow_copy_holds_a_request),
        cmocka_unit_test(what_piles_up_in_a_long_run_is_planned),
        cmocka_unit_test(most_is_told_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
