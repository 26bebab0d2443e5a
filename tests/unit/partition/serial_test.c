/* Serial plans are as fast as they say they are: against every assignment of small random problems,
 * with what sums over trees once left out or counted twice (data that another unit of the same
 * memory wrote, also through tasks that take no time, and outputs that are read too); and on more
 * sorts of units than are tried together. And what they hold and promise at any depth is that of
 * one request at a time. */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
#include "partition/evaluate.h"
#include "tests/support/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/setting.h"

static clv_plan *plan_serial(const setting *s, const clv_pin *pins, size_t num_pins) {
    clv_plan *out = NULL;
    clv_plan_request request = {.policy = "serial", .pins = pins, .num_pins = num_pins};
    clv_status *status = clv_plan_create(s->costs, &request, &out);
    if (status != NULL) {
        fail_msg("%s", clv_status_message(status));
    }
    return out;
}

/* --- every assignment of small problems --- */

enum { MAX_TASKS = 5, NUM_UNITS = 3 };

static int between(clv_random *random, int low, int high) {
    return low + (int)clv_random_below(random, (uint64_t)(high - low) + 1);
}

/* A tree, or now and then any graph; some tasks take no time, some edges carry outputs. */
static char *draw_workload(clv_random *random, int num_tasks) {
    clv_text text;
    char *out = NULL;
    bool is_tree = between(random, 0, 3) > 0;
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    for (int i = 0; i < num_tasks; i++) {
        bool is_view = i > 0 && between(random, 0, 3) == 0;
        clv_text_add(&text, "%s{\"name\":\"t%d\",\"time_us\":{", i > 0 ? "," : "", i);
        for (int u = 0; u < NUM_UNITS; u++) {
            clv_text_add(
                &text, "%s\"p%d\":%d", u > 0 ? "," : "", u, is_view ? 0 : between(random, 1, 40));
        }
        clv_text_add(&text, "}}");
    }
    clv_text_add(&text, "],\"edges\":[");
    const char *comma = "";
    for (int i = 1; i < num_tasks; i++) {
        int parent = between(random, 0, i - 1);
        for (int k = 0; k < i; k++) {
            if (k == parent || (!is_tree && between(random, 0, 2) == 0)) {
                clv_text_add(
                    &text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":%d}", comma, k, i,
                    10 * between(random, 1, 3));
                comma = ",";
            }
        }
    }
    clv_text_add(&text, "]}");
    clv_status_destroy(clv_text_take(&text, &out));
    clv_text_deinit(&text);
    return out;
}

static double find_least_us(const setting *s) {
    const uint32_t num_tasks = s->workload->num_tasks;
    clv_placement placements[MAX_TASKS];
    clv_piece pieces[MAX_TASKS] = {{0}};
    clv_group group = {
        .placements = placements, .pieces = pieces, .num_pieces = num_tasks, .is_serial = true};
    clv_evaluator *ev;
    double least_us = (double)INFINITY;
    assert_null(clv_evaluator_create(s->costs, &ev));
    for (uint32_t i = 0; i < num_tasks; i++) {
        placements[i] = (clv_placement){.first_piece = i, .num_pieces = 1, .split = -1};
    }
    for (uint32_t at = 0; at < num_tasks;) {
        clv_evaluate_begin(ev);
        assert_null(clv_evaluate_loads(ev, &group, 1));
        least_us = fmin(least_us, ev->serial_us);
        for (at = 0; at < num_tasks && ++pieces[at].unit == NUM_UNITS; at++) {
            pieces[at].unit = 0;
        }
    }
    clv_evaluator_destroy(ev);
    return least_us;
}

static void test_every_assignment(void **state) {
    (void)state;
    static const char *const machines[] = {
        "p0; p1; p2", "p0; p1; p2; link p2 host bw=1M",
        "p0; p1; p2; link p1 host bw=1M; link p2 host bw=2M latency=1us"};
    uint32_t num_exact = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        clv_random random;
        setting s;
        if (!clv_test_is_tried(seed)) {
            continue;
        }
        clv_random_init(&random, seed);
        char *json = draw_workload(&random, between(&random, 2, MAX_TASKS));
        set_up(&s, json, machines[seed % 3]);
        s.machine->memories[s.machine->units[0].memory].exchange =
            between(&random, 0, 2) == 0 ? (double)INFINITY : 1e6 * between(&random, 1, 4);
        for (uint32_t x = 0; x < s.workload->num_tensors; x++) {
            s.workload->tensors[x].is_output |= between(&random, 0, 5) == 0;
        }
        clv_plan *plan = plan_serial(&s, NULL, 0);
        double least_us = find_least_us(&s);
        bool is_exact = strstr(plan->method, "exact") != NULL;
        num_exact += is_exact;
        if (plan->latency_us < least_us * (1 - 1e-9) ||
            (is_exact && plan->latency_us > least_us * (1 + 1e-9))) {
            fail_msg(
                "seed %llu: %s: %g, the best is %g\n%s", (unsigned long long)seed, plan->method,
                plan->latency_us, least_us, json);
        }
        clv_plan_destroy(plan);
        tear_down(&s);
        clv_free(json);
    }
    assert_true(num_exact > 0);
}

/* --- many sorts of units --- */

enum { NUM_SORTS = 70 };

/* Two tasks, each with another unit where it is fastest; the last unit is the best single one. */
static void set_up_many(setting *s) {
    clv_text text;
    char *json = NULL, *line = NULL;
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    for (int i = 0; i < 2; i++) {
        clv_text_add(&text, "%s{\"name\":\"%s\",\"time_us\":{", i > 0 ? "," : "", i ? "b" : "a");
        for (int u = 0; u < NUM_SORTS; u++) {
            int last_us = i == 0 ? 900 : 1;
            int us = u == NUM_SORTS - 1 ? last_us : i == 0 ? 100 + u : 1000 - u;
            clv_text_add(&text, "%s\"u%d\":%d", u > 0 ? "," : "", u, us);
        }
        clv_text_add(&text, "}}");
    }
    clv_text_add(&text, "],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":10}]}");
    assert_null(clv_text_take(&text, &json));
    for (int u = 0; u < NUM_SORTS; u++) {
        clv_text_add(&text, "u%d; ", u);
    }
    clv_text_add(&text, "link u* u* bw=1G");
    assert_null(clv_text_take(&text, &line));
    set_up(s, json, line);
    clv_text_deinit(&text);
    clv_free(json);
    clv_free(line);
}

static void test_many_sorts(void **state) {
    (void)state;
    setting s;
    set_up_many(&s);
    clv_plan *p = plan_serial(&s, NULL, 0);
    assert_true(fabs(p->latency_us - 101.01) < 0.005); /* 10 bytes between */
    assert_null(strstr(p->method, "exact"));
    assert_non_null(strstr(p->method, "64 of 70 sorts"));
    clv_plan_destroy(p);
    const clv_pin pin = {"^a$", "u67"};
    p = plan_serial(&s, &pin, 1);
    assert_true(fabs(p->latency_us - 168) < 0.1);
    assert_null(strstr(p->method, "exact"));
    clv_plan_destroy(p);
    tear_down(&s);
}

/* Pins that name more units than are tried together. */
static void test_many_pins(void **state) {
    (void)state;
    enum { NUM_PINS = 66 };
    setting s;
    clv_text text;
    clv_pin pins[NUM_PINS];
    char names[NUM_PINS][2][16], *json = NULL, *line = NULL;
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[{\"name\":\"free\",\"time_us\":{\"*\":9,\"u69\":2}}");
    for (int i = 0; i < NUM_PINS; i++) {
        snprintf(names[i][0], sizeof names[i][0], "^t%d$", i);
        snprintf(names[i][1], sizeof names[i][1], "u%d", i);
        pins[i] = (clv_pin){names[i][0], names[i][1]};
        clv_text_add(&text, ",{\"name\":\"t%d\",\"time_us\":{\"*\":5,\"u%d\":1}}", i, i);
    }
    clv_text_add(&text, "]}");
    assert_null(clv_text_take(&text, &json));
    for (int u = 0; u < NUM_SORTS; u++) {
        clv_text_add(&text, "u%d; ", u);
    }
    clv_text_add(&text, "link u* u* bw=1G");
    assert_null(clv_text_take(&text, &line));
    set_up(&s, json, line);
    clv_plan *p = plan_serial(&s, pins, NUM_PINS);
    assert_true(fabs(p->latency_us - (NUM_PINS + 2)) < 1e-9);
    assert_null(strstr(p->method, "exact"));
    clv_plan_destroy(p);
    tear_down(&s);
    clv_text_deinit(&text);
    clv_free(json);
    clv_free(line);
}

/* --- requests in flight --- */

static clv_plan *plan_at(const setting *s, const char *policy, uint32_t depth) {
    clv_plan *out = NULL;
    clv_plan_request request = {.policy = policy, .depth = depth, .allow_idle = true};
    clv_status *status = clv_plan_create(s->costs, &request, &out);
    if (status != NULL) {
        fail_msg("%s, depth %u: %s", policy, depth, clv_status_message(status));
    }
    return out;
}

static const char *const chain =
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p1\":10,\"p2\":20}},"
    "{\"name\":\"b\",\"time_us\":{\"p1\":20,\"p2\":10}},"
    "{\"name\":\"c\",\"time_us\":{\"p1\":10,\"p2\":20}}],\"edges\":["
    "{\"from\":\"a\",\"to\":\"b\",\"bytes\":400},{\"from\":\"b\",\"to\":\"c\",\"bytes\":400}]}";

/* What does one thing after another has one request in flight, whatever was asked for; no plan has
 * more than that. */
static void test_depths(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        uint32_t asked, depth;
    } rows[] = {
        {"single", 4, 4},      {"serial", 4, 1},   {"data/serial", 4, 2}, {"data", 4, 4},
        {"data", 1, 1},        {"data:2", 1, 1},   {"auto", 1, 1},        {"data:2/pipeline", 1, 1},
        {"data/serial", 1, 1}, {"pipeline", 3, 3}, {"auto", 2, 2}};
    setting s;
    set_up(&s, chain, "p1; p2; link p1 p2 bw=1G");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clv_plan *p = plan_at(&s, rows[i].policy, rows[i].asked);
        uint32_t depth = 0;
        for (uint32_t g = 0; g < p->num_groups; g++) {
            const clv_group *group = &p->groups[g];
            assert_true(!group->is_serial || group->depth == 1);
            assert_true(group->period_us >= group->latency_us / group->depth * (1 - 1e-9));
            depth += group->depth;
        }
        if (p->depth != rows[i].depth || depth != p->depth) {
            fail_msg("%s at %u: %u, %u", rows[i].policy, rows[i].asked, p->depth, depth);
        }
        clv_plan_destroy(p);
    }
    tear_down(&s);
}

/* Serial plans were refused, or others taken, as if they had the requests in flight that were asked
 * for. */
static void test_serial_memory(void **state) {
    (void)state;
    setting s;
    set_up(&s, chain, "p1 mem=900; p2 mem=900; link p* p* bw=1G");
    clv_plan *one = plan_at(&s, "serial", 1), *many = plan_at(&s, "serial", 5);
    assert_true(one->latency_us < 35);
    assert_true(many->latency_us == one->latency_us && many->period_us == one->period_us);
    assert_memory_equal(many->memory_bytes, one->memory_bytes, 2 * sizeof *one->memory_bytes);
    clv_plan_destroy(one);
    clv_plan_destroy(many);
    tear_down(&s);
}

/* Memory was not told where no single unit could run everything either; copies were refused for
 * memory where fewer fit, and made where one was faster. */
static void test_counts_of_copies(void **state) {
    (void)state;
    setting s;
    clv_plan *p;
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":3},\"memory_bytes\":20},"
        "{\"name\":\"b\",\"time_us\":{\"q\":3},\"memory_bytes\":20}],\"edges\":[]}",
        "p mem=10; q mem=10; link p q bw=1G");
    static const char *const refused[] = {"auto", "data/pipeline"};
    for (size_t i = 0; i < 2; i++) {
        clv_plan_request request = {.policy = refused[i]};
        clv_status *status = clv_plan_create(s.costs, &request, &p);
        assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
        clv_status_destroy(status);
    }
    tear_down(&s);
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":27,\"q\":3}},"
        "{\"name\":\"b\",\"time_us\":{\"p\":7,\"q\":29}}],\"edges\":[]}",
        "p; q; link p q bw=1G");
    p = plan_at(&s, "data/pipeline", 0);
    assert_int_equal(p->num_groups, 1);
    assert_true(p->period_us < 7.001);
    clv_plan_destroy(p);
    tear_down(&s);
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":3,\"memory_bytes\":20},"
        "{\"name\":\"b\",\"time_us\":3,\"memory_bytes\":10}],\"edges\":[]}",
        "p mem=35; q mem=35; link p q bw=1G");
    const clv_pin pin = {.pattern = "^a$", .unit = "p"};
    clv_plan_request request = {.policy = "data", .pins = &pin, .num_pins = 1, .allow_idle = true};
    assert_null(clv_plan_create(s.costs, &request, &p));
    assert_int_equal(p->num_groups, 1);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* Depths that a plan may have, its file may have; a serial one in a file has one. */
static void test_depths_in_files(void **state) {
    (void)state;
    static const uint32_t depths[] = {2, 2000000, CLV_MOST_DEPTH};
    setting s;
    clv_plan *again, *p;
    char *json;
    set_up(&s, chain, "p1; p2; link p1 p2 bw=1G");
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        p = plan_at(&s, "pipeline", depths[i]);
        assert_int_equal(p->depth, depths[i]);
        assert_null(clv_plan_format_json(s.costs, p, &json));
        assert_null(clv_plan_parse_json(s.costs, "test", json, strlen(json), 0, &again));
        assert_int_equal(again->depth, depths[i]);
        clv_plan_destroy(again);
        clv_plan_destroy(p);
        clv_free(json);
    }
    clv_plan_request request = {.policy = "pipeline", .depth = CLV_MOST_DEPTH + 1U};
    clv_status *status = clv_plan_create(s.costs, &request, &p);
    assert_int_equal(clv_status_code(status), CLV_USAGE);
    clv_status_destroy(status);
    p = plan_at(&s, "serial", 1);
    p->groups[0].depth = p->depth = 3;
    assert_null(clv_plan_format_json(s.costs, p, &json));
    status = clv_plan_parse_json(s.costs, "test", json, strlen(json), 0, &again);
    assert_int_equal(clv_status_code(status), CLV_MALFORMED);
    assert_non_null(strstr(clv_status_message(status), "serial"));
    clv_status_destroy(status);
    clv_plan_destroy(p);
    clv_free(json);
    tear_down(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_assignment), cmocka_unit_test(test_many_sorts),
        cmocka_unit_test(test_many_pins),        cmocka_unit_test(test_depths),
        cmocka_unit_test(test_counts_of_copies), cmocka_unit_test(test_serial_memory),
        cmocka_unit_test(test_depths_in_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
