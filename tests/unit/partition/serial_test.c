/* Serial plans are as fast as they say they are: against every assignment of small random problems,
 * with what sums over trees once left out or counted twice (data that another unit of the same
 * memory wrote, also through tasks that take no time, and outputs that are read too); and on more
 * sorts of units than are tried together. */
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

typedef struct setting {
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
} setting;

static void set_up(setting *s, const char *json, const char *machine) {
    clv_status *status = clv_workload_parse_json("test", json, strlen(json), &s->workload);
    if (status != NULL) {
        fail_msg("%s: %s", json, clv_status_message(status));
    }
    assert_null(clv_machine_parse_text(machine, &s->machine));
    assert_null(clv_costs_create(s->workload, s->machine, &s->costs));
}

static void tear_down(setting *s) {
    clv_costs_destroy(s->costs);
    clv_machine_destroy(s->machine);
    clv_workload_destroy(s->workload);
}

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
        "p0; p1; p2; link p1 host bw=1M; "
        "link p2 host bw=2M latency=1us"};
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_assignment),
        cmocka_unit_test(test_many_sorts),
        cmocka_unit_test(test_many_pins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
