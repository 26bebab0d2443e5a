/* The clock on runs small enough to be followed by hand: shared bandwidth, links, dispatches,
 * crews, chunks; and bounds that are met. */
#include "scheduler/clock.h"
#include "scheduler/period.h"
#include "scheduler/timeline.h"

#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
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
} rig;

typedef struct setting {
    const char *tasks, *machine, *policy, *pin; /* pin: NULL, or the unit that holds everything */
    uint32_t num_requests, depth, num_chunks;
    uint32_t processors, threads; /* that all units are on; of the first one. 0: none */
} setting;

static void share_processors(clv_machine *machine, const setting *s) {
    machine->processors = clv_alloc_zeroed(1, sizeof *machine->processors);
    machine->processors[machine->num_processors++] = (clv_processors){"shared", s->processors};
    for (uint32_t i = 0; i < machine->num_units; i++) {
        machine->units[i].processors = 0;
        machine->units[i].threads = i == 0 ? s->threads : 1;
    }
}

static void set_up(rig *r, const setting *s) {
    clv_pin pin = {".", s->pin};
    clv_plan_request plan = {
        .policy = s->policy, .pins = &pin, .num_pins = s->pin != NULL, .allow_idle = true};
    clv_schedule_request request = {
        .num_requests = s->num_requests > 0 ? s->num_requests : 1,
        .depth = s->depth,
        .num_chunks = s->num_chunks};
    assert_ok(clv_workload_parse_json("test", s->tasks, strlen(s->tasks), &r->workload));
    assert_ok(clv_machine_parse_text(s->machine, &r->machine));
    if (s->processors > 0) {
        share_processors(r->machine, s);
    }
    assert_ok(clv_costs_create(r->workload, r->machine, &r->costs));
    assert_ok(clv_plan_create(r->costs, &plan, &r->plan));
    assert_ok(clv_schedule_create(r->costs, r->plan, &request, &r->schedule));
}

static void tear_down(rig *r) {
    clv_schedule_destroy(r->schedule);
    clv_plan_destroy(r->plan);
    clv_costs_destroy(r->costs);
    clv_machine_destroy(r->machine);
    clv_workload_destroy(r->workload);
}

static clv_run *run(const rig *r, clv_clock_mode mode, double dispatch_us) {
    clv_run *out;
    clv_clock_request request = {.mode = mode, .dispatch_us = dispatch_us};
    assert_ok(clv_clock_run(r->schedule, &request, &out));
    assert_ok(clv_schedule_verify(r->schedule, out, mode == CLV_CLOCK_DYNAMIC));
    return out;
}

/* When the task's last step ended. */
static double end_of(const rig *r, const clv_run *run, const char *task) {
    uint32_t index = clv_workload_find(r->workload, task);
    double end_us = 0;
    for (uint64_t i = 0; i < r->schedule->num_steps; i++) {
        const clv_schedule_step *step = &r->schedule->steps[i];
        if (step->task == index && step->kind != CLV_SCHEDULE_SEND) {
            end_us = fmax(end_us, run->end_us[i]);
        }
    }
    return end_us;
}

static void expect_ends(
    const setting *s, clv_clock_mode mode, double dispatch_us, const char *tasks,
    const double *ends_us) {
    rig r;
    set_up(&r, s);
    clv_run *out = run(&r, mode, dispatch_us);
    for (size_t i = 0; tasks[i] != '\0'; i++) {
        char name[2] = {tasks[i], '\0'};
        double end_us = end_of(&r, out, name);
        if (fabs(end_us - ends_us[i]) > 1e-9) {
            fail_msg("%s ends at %.9g, must end at %.9g", name, end_us, ends_us[i]);
        }
    }
    clv_run_destroy(out);
    tear_down(&r);
}

static void memory_bound_tasks_slow_each_other_down(void **state) {
    (void)state;
    setting s = {.machine = "core*2; numa*1 bw=1G", .policy = "branch"};
    /* Each would draw all of the memory's 1000 bytes a microsecond: half the speed. */
    s.tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":10,\"traffic_bytes\":10000},"
              "{\"name\":\"b\",\"time_us\":10,\"traffic_bytes\":10000}]}";
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "ab", (double[]){20, 20});
    /* b draws half: both run at 500 until it ends at 10; a has 5 us left, and the memory alone. */
    s.tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":10,\"traffic_bytes\":10000},"
              "{\"name\":\"b\",\"time_us\":10,\"traffic_bytes\":5000}]}";
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "ab", (double[]){15, 10});
    /* b draws a quarter and is not slowed down: a at three quarters has done 7.5 us by then. */
    s.tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":10,\"traffic_bytes\":10000},"
              "{\"name\":\"b\",\"time_us\":10,\"traffic_bytes\":2500}]}";
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "ab", (double[]){12.5, 10});
}

/* a is 10 us on the core, b 4 on the cpu. */
static void threads_share_processors(void **state) {
    (void)state;
    static const clv_clock_mode modes[] = {CLV_CLOCK_LIST, CLV_CLOCK_STATIC, CLV_CLOCK_DYNAMIC};
    setting s = {.machine = "core; cpu; numa*1 bw=1G", .policy = "branch", .threads = 1};
    s.tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"core\":10}},"
              "{\"name\":\"b\",\"time_us\":{\"cpu\":4}}]}";
    for (size_t i = 0; i < 3; i++) {
        s.processors = 2; /* one for each */
        expect_ends(&s, modes[i], 0, "ab", (double[]){10, 4});
        s.processors = 1; /* at half speed until b ends; then a has 6 us left */
        expect_ends(&s, modes[i], 0, "ab", (double[]){14, 8});
    }
    s.processors = s.threads = 2; /* three threads on two processors: two thirds */
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "ab", (double[]){12, 6});
    s.processors = s.threads = 1; /* each would draw all of the memory, at half speed half of it */
    s.tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"core\":10},\"traffic_bytes\":10000},"
              "{\"name\":\"b\",\"time_us\":{\"cpu\":4},\"traffic_bytes\":4000}]}";
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "ab", (double[]){14, 8});
    s.processors = 3; /* two thirds between two units of two threads and one: none is slowed down */
    s.threads = 2;
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "ab", (double[]){14, 8}); /* but by the memory */
}

/* Copies on two units of one processor are no faster than one, and the plan says so; nor is there
 * a bound below that. */
static void plans_count_shared_processors(void **state) {
    (void)state;
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":8}]}",
        .machine = "core*2",
        .policy = "data",
        .num_requests = 64,
        .depth = CLV_DEPTH_OF_PLAN,
        .threads = 1};
    for (s.processors = 1; s.processors <= 2; s.processors++) {
        rig r;
        clv_timeline *timeline;
        const double period_us = 8.0 / s.processors;
        set_up(&r, &s);
        assert_int_equal(r.plan->num_groups, 2);
        assert_ok(clv_timeline_create(r.schedule, NULL, &timeline));
        assert_true(fabs(r.plan->period_us - period_us) < 1e-9);
        assert_true(fabs(timeline->period_us - period_us) < 1e-9);
        assert_true(timeline->bounds.best_us <= timeline->makespan_us * (1 + 1e-12));
        assert_true(fabs(timeline->bounds.processors_us - 64 * period_us) < 1e-9);
        assert_true((strstr(r.plan->limit, "processors shared") != NULL) == (s.processors == 1));
        clv_timeline_destroy(timeline);
        tear_down(&r);
    }
}

/* Four cores draw all of the memory in a and nothing in b: 4 * 10 + 10 us a round, also where the
 * steps for it do not go into rounds. */
static void periods_are_of_whole_rounds(void **state) {
    (void)state;
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":10,\"traffic_bytes\":10000},"
                 "{\"name\":\"b\",\"time_us\":10}],\"edges\":[{\"from\":\"a\",\"to\":\"b\","
                 "\"bytes\":1}]}",
        .machine = "core*4; numa*1 bw=1G",
        .policy = "data",
        .num_requests = 1};
    rig r;
    set_up(&r, &s);
    for (uint64_t steps = 60; steps <= 60000; steps *= 10) {
        double period_us;
        assert_ok(clv_schedule_period(r.schedule, NULL, steps, &period_us, NULL));
        assert_true(fabs(period_us - 50.0 / 4) < 1e-9);
    }
    assert_true(fabs(r.plan->period_us - 50.0 / 4) < 1e-9);
    tear_down(&r);
}

/* --- against the definition of max-min fair shares --- */

enum { NUM_CHAINS = 40, CHAIN_LENGTH = 5 };

typedef struct chains {
    double time_us[NUM_CHAINS][CHAIN_LENGTH], want[NUM_CHAINS][CHAIN_LENGTH];
    double end_us[NUM_CHAINS][CHAIN_LENGTH];
} chains;

/* The share s at which min(want, s) of all that run adds up to 1: found by halving. */
static double find_share(const double *wants, size_t count) {
    double low = 0, high = 1;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2, sum = 0;
        for (size_t k = 0; k < count; k++) {
            sum += fmin(wants[k], middle);
        }
        *(sum > 1 ? &high : &low) = middle;
    }
    return high;
}

static void run_chains(chains *c) {
    double left_us[NUM_CHAINS], now_us = 0;
    size_t at[NUM_CHAINS] = {0};
    for (size_t i = 0; i < NUM_CHAINS; i++) {
        left_us[i] = c->time_us[i][0];
    }
    for (;;) {
        double wants[NUM_CHAINS], step_us = (double)INFINITY;
        size_t running[NUM_CHAINS], count = 0;
        for (size_t i = 0; i < NUM_CHAINS; i++) {
            if (at[i] < CHAIN_LENGTH) {
                wants[count] = c->want[i][at[i]];
                running[count++] = i;
            }
        }
        double share = find_share(wants, count);
        for (size_t k = 0; k < count; k++) {
            step_us = fmin(step_us, left_us[running[k]] / fmin(1, share / wants[k]));
        }
        if (count == 0) {
            return;
        }
        now_us += step_us;
        for (size_t k = 0; k < count; k++) {
            size_t i = running[k];
            left_us[i] -= step_us * fmin(1, share / wants[k]);
            if (left_us[i] < 1e-9) {
                c->end_us[i][at[i]++] = now_us;
                left_us[i] = at[i] < CHAIN_LENGTH ? c->time_us[i][at[i]] : 0;
            }
        }
    }
}

static void expect_chains(chains *c, const clv_text *tasks) {
    clv_text machine;
    clv_text_init(&machine);
    for (int i = 0; i < NUM_CHAINS; i++) {
        clv_text_add(&machine, "x%d; ", i);
    }
    clv_text_add(&machine, "host bw=1G");
    setting s = {.tasks = tasks->data, .machine = machine.data, .policy = "branch"};
    rig r;
    set_up(&r, &s);
    clv_run *out = run(&r, CLV_CLOCK_STATIC, 0);
    run_chains(c);
    for (int i = 0; i < NUM_CHAINS; i++) {
        for (int k = 0; k < CHAIN_LENGTH; k++) {
            char name[32];
            snprintf(name, sizeof name, "t%d_%d", i, k);
            double end_us = end_of(&r, out, name);
            if (fabs(end_us - c->end_us[i][k]) > 1e-9 * c->end_us[i][k]) {
                fail_msg("%s ends at %.12g, must end at %.12g", name, end_us, c->end_us[i][k]);
            }
        }
    }
    clv_run_destroy(out);
    tear_down(&r);
    clv_text_deinit(&machine);
}

/* Chains of tasks, each on its own unit of one memory, that want from nothing to all of it. */
static void shares_are_max_min_fair(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        clv_random random;
        clv_text text;
        chains c;
        clv_random_init(&random, seed);
        clv_text_init(&text);
        clv_text_add(&text, "{\"tasks\":[");
        for (int i = 0; i < NUM_CHAINS; i++) {
            for (int k = 0; k < CHAIN_LENGTH; k++) {
                int time_us = 10 + (int)clv_random_below(&random, 100);
                int most = seed % 3 == 0 ? 1000 : seed % 3 == 1 ? 30 : 60;
                int bytes = 1 + (int)clv_random_below(&random, (uint64_t)most);
                c.time_us[i][k] = time_us;
                c.want[i][k] = bytes / 1000.0;
                clv_text_add(
                    &text, "%s{\"name\":\"t%d_%d\",\"time_us\":{\"x%d\":%d},\"traffic_bytes\":%d}",
                    i + k > 0 ? "," : "", i, k, i, time_us, bytes * time_us);
            }
        }
        clv_text_add(&text, "],\"edges\":[");
        for (int i = 0; i < NUM_CHAINS; i++) {
            for (int k = 1; k < CHAIN_LENGTH; k++) {
                clv_text_add(
                    &text, "%s{\"from\":\"t%d_%d\",\"to\":\"t%d_%d\",\"bytes\":1}",
                    i > 0 || k > 1 ? "," : "", i, k - 1, i, k);
            }
        }
        clv_text_add(&text, "]}");
        expect_chains(&c, &text);
        clv_text_deinit(&text);
    }
}

/* Each request to the unit that would be done with it first, of many unequal ones. */
static void requests_are_dealt_in_proportion(void **state) {
    (void)state;
    enum { NUM_UNITS = 300, NUM_REQUESTS = 2000 };
    char machine[NUM_UNITS * 24];
    uint32_t count[NUM_UNITS] = {0};
    size_t length = 0;
    for (int i = 0; i < NUM_UNITS; i++) {
        length += (size_t)snprintf(
            machine + length, sizeof machine - length, "%sx%d speed=%d", i > 0 ? "; " : "", i,
            1 + i * 29 % 7);
    }
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":420}]}",
        .machine = machine,
        .policy = "data",
        .num_requests = NUM_REQUESTS};
    rig r;
    set_up(&r, &s);
    for (uint32_t i = 0; i < NUM_REQUESTS; i++) {
        uint32_t first = 0;
        for (uint32_t g = 1; g < r.schedule->num_groups; g++) {
            double when = (count[g] + 1.0) / r.plan->groups[g].share;
            double least = (count[first] + 1.0) / r.plan->groups[first].share;
            first = when < least * (1 - 1e-8) ? g : first;
        }
        assert_int_equal(r.schedule->group_of_request[i], first);
        count[first]++;
    }
    tear_down(&r);
}

/* Cores with a quarter of a and of b each, two on each memory, which two cores want twice in a and
 * not at all in b: 2 * 10 + 10 us. Three cores: where there are two, 2 * 14 + 14 us. */
static void split_tasks_share_several_memories(void **state) {
    (void)state;
#define ROWS(extent) \
    "\"output_dims\":[" extent "],\"splits\":[{\"name\":\"rows\",\"axis\":0,\"extent\":" extent
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":40,\"traffic_bytes\":40000," ROWS(
            "64") "}]},{\"name\":\"b\",\"time_us\":40," ROWS("64") ",\"inputs\":{\"a\":{\"need\":"
                                                                   "\"slice\",\"axis\":0}}}]}],"
                                                                   "\"edges\":[{\"from\":\"a\","
                                                                   "\"to\":\"b\",\"bytes\":64}]}",
        .machine = "core*4; numa*2 bw=1G",
        .policy = "tensor",
        .num_requests = 16};
    rig r;
    double period_us;
    set_up(&r, &s);
    assert_int_equal(r.plan->groups[0].num_pieces, 8);
    assert_ok(clv_schedule_period(r.schedule, NULL, 60000, &period_us, NULL));
    assert_true(fabs(period_us - 30) < 1e-9);
    assert_true(fabs(r.plan->period_us - 30) < 1e-9);
    tear_down(&r);
    s.tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":42,\"traffic_bytes\":42000," ROWS(
        "63") "}]},{\"name\":\"b\",\"time_us\":42," ROWS("63") ",\"inputs\":{\"a\":{\"need\":"
                                                               "\"slice\",\"axis\":0}}}]}],"
                                                               "\"edges\":[{\"from\":\"a\",\"to\":"
                                                               "\"b\",\"bytes\":63}]}";
    s.machine = "core*3; numa*2 bw=1G";
    set_up(&r, &s);
    assert_int_equal(r.plan->groups[0].num_pieces, 6);
    assert_ok(clv_schedule_period(r.schedule, NULL, 60000, &period_us, NULL));
    assert_true(fabs(period_us - 42) < 1e-9);
    assert_true(fabs(r.plan->period_us - 42) < 1e-9);
    tear_down(&r);
#undef ROWS
}

/* a and b on p (1 us each), their readers c and d on q; 10 us a transfer. */
static const char *const two_ways =
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":1}},{\"name\":\"b\",\"time_us\":{\"p\":1}},"
    "{\"name\":\"c\",\"time_us\":{\"q\":1}},{\"name\":\"d\",\"time_us\":{\"q\":1}}],"
    "\"edges\":[{\"from\":\"a\",\"to\":\"c\",\"bytes\":10},"
    "{\"from\":\"b\",\"to\":\"d\",\"bytes\":10}]}";

static void transfers_share_a_link(void **state) {
    (void)state;
    setting s = {.tasks = two_ways, .machine = "p; q; link p q bw=1M", .policy = "branch"};
    /* One after the other: 1 to 11, 11 to 21. */
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "abcd", (double[]){1, 2, 12, 22});
    /* a's has 9 left when b's begins at 2, both at half speed: a's ends at 20, b's at 21. */
    expect_ends(&s, CLV_CLOCK_DYNAMIC, 0, "abcd", (double[]){1, 2, 21, 22});
    /* p is busy while it sends: a to 1, b to 2, sends to 12 and 22. */
    s.machine = "p overlap=no; q; link p q bw=1M";
    rig r;
    set_up(&r, &s);
    clv_run *out = run(&r, CLV_CLOCK_STATIC, 0);
    assert_true(out->makespan_us == 23); /* whichever comes first, p has 22 us to do, then d 1 */
    clv_run_destroy(out);
    tear_down(&r);
}

/* p has 2 us and a transfer of 4 for each request, q has 10: a transfer is due before what p could
 * do for later requests, else q would have nothing to do until p has done all of that (100 us). */
static void transfers_are_not_put_off(void **state) {
    (void)state;
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":2}},"
                 "{\"name\":\"b\",\"time_us\":{\"q\":10}}],"
                 "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":4}]}",
        .machine = "p overlap=no; q; link p host bw=1M",
        .policy = "pipeline",
        .num_requests = 8,
        .depth = CLV_DEPTH_UNLIMITED};
    static const clv_clock_mode modes[] = {CLV_CLOCK_LIST, CLV_CLOCK_STATIC, CLV_CLOCK_DYNAMIC};
    rig r;
    set_up(&r, &s);
    for (int i = 0; i < 3; i++) {
        clv_run *out = run(&r, modes[i], 0);
        assert_true(out->makespan_us == 2 + 4 + 8 * 10);
        clv_run_destroy(out);
    }
    tear_down(&r);
}

/* core:0 and core:1 share the link, which is busy until 11 when core:1's transfer is ready at 2:
 * core:1 has time for e, but not for f, which would keep it until 22. */
static void there_is_time_while_a_link_is_busy(void **state) {
    (void)state;
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"core:0\":1}},"
                 "{\"name\":\"b\",\"time_us\":{\"core:1\":2}},"
                 "{\"name\":\"c\",\"time_us\":{\"q\":1}},{\"name\":\"d\",\"time_us\":{\"q\":1}},"
                 "{\"name\":\"e\",\"time_us\":{\"core:1\":5}},"
                 "{\"name\":\"f\",\"time_us\":{\"core:1\":20}}],"
                 "\"edges\":[{\"from\":\"a\",\"to\":\"c\",\"bytes\":10},"
                 "{\"from\":\"b\",\"to\":\"d\",\"bytes\":10}]}",
        .machine = "core*2 overlap=no; q; link host q bw=1M",
        .policy = "pipeline"};
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "abcdef", (double[]){1, 2, 12, 22, 7, 41});
}

/* a on p to c on q, b on q to d on p, at the same time. */
static void directions_of_a_link(void **state) {
    (void)state;
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":1}},{\"name\":\"b\",\"time_us\":{"
                 "\"q\":1}},{\"name\":\"c\",\"time_us\":{\"q\":1}},{\"name\":\"d\",\"time_us\":{"
                 "\"p\":1}}],\"edges\":[{\"from\":\"a\",\"to\":\"c\",\"bytes\":10},"
                 "{\"from\":\"b\",\"to\":\"d\",\"bytes\":10}]}",
        .machine = "p; q; link p q bw=1M",
        .policy = "branch"};
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "abcd", (double[]){1, 1, 12, 12});
    s.machine = "p; q; link p q bw=1M duplex=half";
    expect_ends(&s, CLV_CLOCK_STATIC, 0, "abcd", (double[]){1, 1, 12, 22});
    expect_ends(&s, CLV_CLOCK_DYNAMIC, 0, "abcd", (double[]){1, 1, 22, 22});
}

static const char *const four =
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":10},{\"name\":\"b\",\"time_us\":10},"
    "{\"name\":\"c\",\"time_us\":10},{\"name\":\"d\",\"time_us\":10}]}";

/* Whoever is free takes what is ready, for the price of a dispatch; a pin is the plan's alone. */
static void crews_take_what_is_ready(void **state) {
    (void)state;
    setting s = {.tasks = four, .machine = "core*3", .policy = "branch", .pin = "core:0"};
    expect_ends(&s, CLV_CLOCK_STATIC, 1, "abcd", (double[]){10, 20, 30, 40});
    expect_ends(&s, CLV_CLOCK_DYNAMIC, 1, "abcd", (double[]){11, 11, 11, 22});
    s.machine = "p; q; r"; /* not alike: each for itself */
    s.pin = "p";
    expect_ends(&s, CLV_CLOCK_DYNAMIC, 1, "abcd", (double[]){11, 22, 33, 44});
}

/* 40 us in four chunks on four cores; with a fixed part of a tenth each chunk takes 4 + 9. */
static void chunks_are_shared_out(void **state) {
    (void)state;
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":40,\"output_dims\":[4],\"splits\":[{"
                 "\"name\":\"rows\",\"axis\":0,\"extent\":4}]}]}",
        .machine = "core*4",
        .policy = "branch",
        .pin = "core:0",
        .num_chunks = 4};
    expect_ends(&s, CLV_CLOCK_STATIC, 1, "a", (double[]){40});
    expect_ends(&s, CLV_CLOCK_DYNAMIC, 1, "a", (double[]){11});
    s.tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":40,\"output_dims\":[4],\"splits\":[{"
              "\"name\":\"rows\",\"axis\":0,\"extent\":4,\"fixed_share\":0.1}]}]}";
    expect_ends(&s, CLV_CLOCK_DYNAMIC, 1, "a", (double[]){14});
}

/* The bound of a pipeline counts filling and draining: it is the closed form. */
static void bounds_are_met(void **state) {
    (void)state;
    static const struct {
        const char *machine, *policy;
        double bound_us;
    } cases[] = {
        {"p; q; r", "pipeline", 5 + 7 * 20 + 3},
        {"p; q; r", "serial", 7 * 28},
    };
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":5}},{\"name\":\"b\",\"time_us\":{"
                 "\"q\":20}},{\"name\":\"c\",\"time_us\":{\"r\":3}}],\"edges\":[{\"from\":\"a\","
                 "\"to\":\"b\",\"bytes\":1},{\"from\":\"b\",\"to\":\"c\",\"bytes\":1}]}",
        .num_requests = 7};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig r;
        clv_timeline *timeline;
        s.machine = cases[i].machine;
        s.policy = cases[i].policy;
        s.depth = i == 0 ? CLV_DEPTH_UNLIMITED : CLV_DEPTH_OF_PLAN;
        set_up(&r, &s);
        assert_ok(clv_timeline_create(r.schedule, NULL, &timeline));
        assert_true(fabs(timeline->bounds.best_us - cases[i].bound_us) < 1e-9);
        assert_true(fabs(timeline->distance) < 1e-12);
        clv_timeline_destroy(timeline);
        tear_down(&r);
    }
}

/* With two in flight every other request waits for the one two before it. */
static void depth_is_in_the_bound(void **state) {
    (void)state;
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":6}},{\"name\":\"b\",\"time_us\":{"
                 "\"q\":6}},{\"name\":\"c\",\"time_us\":{\"r\":6}}],\"edges\":[{\"from\":\"a\","
                 "\"to\":\"b\",\"bytes\":1},{\"from\":\"b\",\"to\":\"c\",\"bytes\":1}]}",
        .machine = "p; q; r",
        .policy = "pipeline",
        .num_requests = 6,
        .depth = 2};
    rig r;
    clv_timeline *timeline;
    set_up(&r, &s);
    assert_ok(clv_timeline_create(r.schedule, NULL, &timeline));
    assert_true(timeline->bounds.critical_path_us == 3 * 18);
    assert_true(timeline->makespan_us == 3 * 18 + 6);
    clv_timeline_destroy(timeline);
    tear_down(&r);
}

/* Requests pile up before a slow task: what they hold is more than there is. */
static void limits_are_verified(void **state) {
    (void)state;
    setting s = {
        .tasks = "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":10},\"memory_bytes\":100,"
                 "\"output_bytes\":1000},{\"name\":\"b\",\"time_us\":{\"q\":30}}],"
                 "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000}]}",
        .machine = "p mem=2500; q mem=9000; link p q bw=1G",
        .policy = "pipeline",
        .num_requests = 8,
        .depth = 2};
    rig r;
    set_up(&r, &s);
    assert_ok(clv_schedule_verify(r.schedule, NULL, false));
    tear_down(&r);
    s.machine = "p mem=2500; q mem=3500; link p q bw=1G";
    s.depth = CLV_DEPTH_UNLIMITED;
    set_up(&r, &s);
    /* b takes 30 us for each of what comes at 11, 21, ...: at 61 six came, two are done with */
    assert_failed(NO_MEMORY, "unit 'q' would", clv_schedule_verify(r.schedule, NULL, false));
    tear_down(&r);
}

/* A step on a unit that the plan does not have it on, of a run that is not dynamic. */
static void other_units_are_found(void **state) {
    (void)state;
    setting s = {.tasks = four, .machine = "core*3", .policy = "branch", .pin = "core:0"};
    rig r;
    set_up(&r, &s);
    r.schedule->predicted->unit[2] = 1;
    assert_failed(
        INTERNAL, "a step is on another unit", clv_schedule_verify(r.schedule, NULL, false));
    tear_down(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_bound_tasks_slow_each_other_down),
        cmocka_unit_test(threads_share_processors),
        cmocka_unit_test(plans_count_shared_processors),
        cmocka_unit_test(shares_are_max_min_fair),
        cmocka_unit_test(periods_are_of_whole_rounds),
        cmocka_unit_test(split_tasks_share_several_memories),
        cmocka_unit_test(requests_are_dealt_in_proportion),
        cmocka_unit_test(transfers_share_a_link),
        cmocka_unit_test(transfers_are_not_put_off),
        cmocka_unit_test(there_is_time_while_a_link_is_busy),
        cmocka_unit_test(directions_of_a_link),
        cmocka_unit_test(crews_take_what_is_ready),
        cmocka_unit_test(chunks_are_shared_out),
        cmocka_unit_test(bounds_are_met),
        cmocka_unit_test(depth_is_in_the_bound),
        cmocka_unit_test(limits_are_verified),
        cmocka_unit_test(other_units_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
