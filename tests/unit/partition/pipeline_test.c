/* The pipeline policy: published placement problems with known optima, pins, memory, colocation. */
#include "host/base/memory.h"
#include "partition/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/setting.h"

static clv_plan *plan(const setting *s, const clv_plan_request *request) {
    clv_plan *out = NULL;
    clv_status *status = clv_plan_create(s->costs, request, &out);
    if (status != NULL) {
        fail_msg("%s", clv_status_message(status));
    }
    assert_null(clv_plan_verify(s->costs, out));
    return out;
}

static void expect_failure(
    const setting *s, const clv_plan_request *request, clv_code code, const char *text) {
    clv_plan *out = NULL;
    clv_status *status = clv_plan_create(s->costs, request, &out);
    assert_null(out);
    assert_int_equal(clv_status_code(status), code);
    if (strstr(clv_status_message(status), text) == NULL) {
        fail_msg("'%s' does not say '%s'", clv_status_message(status), text);
    }
    clv_status_destroy(status);
}

static void check_published(const char *name, int num_gpus, double optimum_us) {
    char path[512], machine[256];
    setting s;
    snprintf(path, sizeof path, "%s/placement/%s.tasks.json", CLEAVE_TEST_DATA, name);
    snprintf(
        machine, sizeof machine,
        "core*1; gpu*%d mem=17185374208 overlap=no; link gpu* host bw=1G latency=0", num_gpus);
    set_up_workload(&s, clv_workload_load(path, &s.workload), machine);
    clv_plan_request request = {.policy = "pipeline", .allow_idle = true};
    clv_plan *p = plan(&s, &request);
    assert_true(fabs(p->period_us / optimum_us - 1) < 1e-3);
    assert_non_null(strstr(p->method, "exact"));
    clv_plan_destroy(p);
    tear_down(&s);
}

static void test_published(void **state) {
    (void)state;
    check_published("bert24_inference", 6, 17789.906);
    check_published("resnet50_inference", 6, 33774.666);
    check_published("op_bert_l-3_inference", 3, 27918.568);
}

static const char *const chain =
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":10,\"memory_bytes\":100,\"output_bytes\":8},"
    "{\"name\":\"b\",\"time_us\":20,\"memory_bytes\":100,\"output_bytes\":8},"
    "{\"name\":\"c\",\"time_us\":30,\"memory_bytes\":100}],"
    "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":4},{\"from\":\"b\",\"to\":\"c\",\"bytes\":4}"
    "]}";

static void test_chain(void **state) {
    (void)state;
    setting s;
    set_up(&s, chain, "core*2");
    clv_plan_request request = {.policy = "pipeline"};
    clv_plan *p = plan(&s, &request);
    assert_true(fabs(p->period_us - 30) < 1e-9);
    assert_true(fabs(p->latency_us - 60) < 1e-9);
    assert_int_equal(p->depth, 2);
    assert_int_equal(p->groups[0].num_stages, 2);
    assert_true(fabs(p->gain - 2) < 1e-9);
    assert_true(p->worth_it);
    assert_non_null(strstr(p->limit, "stage"));
    clv_plan_depth rows[3] = {{.depth = 1}, {.depth = 2}, {.depth = 9}}; /* no others are run */
    assert_null(clv_plan_depths(s.costs, p, 3, rows));
    assert_true(fabs(rows[0].period_us - 60) < 1e-9);
    assert_true(fabs(rows[1].period_us - 30) < 1e-9);
    assert_true(fabs(rows[2].period_us - 30) < 1e-9);
    assert_int_equal(rows[2].depth, 9);
    assert_true(rows[1].memory_bytes >= rows[0].memory_bytes);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* Layers of 30, 60, 45 and 75 us there and back: two units do best with two each (90, 120), and pay
 * 5 us for the activations that cross the cut and 5 us for the gradients. */
static void test_training(void **state) {
    (void)state;
    static const char *const layers =
        "{\"tasks\":[{\"name\":\"f0\",\"time_us\":10},{\"name\":\"f1\",\"time_us\":20},"
        "{\"name\":\"f2\",\"time_us\":15},{\"name\":\"f3\",\"time_us\":25},"
        "{\"name\":\"loss\",\"time_us\":0},"
        "{\"name\":\"b3\",\"time_us\":50},{\"name\":\"b2\",\"time_us\":30},"
        "{\"name\":\"b1\",\"time_us\":40},{\"name\":\"b0\",\"time_us\":20}],\"edges\":["
        "{\"from\":\"f0\",\"to\":\"f1\",\"bytes\":5},{\"from\":\"f1\",\"to\":\"f2\",\"bytes\":5},"
        "{\"from\":\"f2\",\"to\":\"f3\",\"bytes\":5},{\"from\":\"f3\",\"to\":\"loss\",\"bytes\":5},"
        "{\"from\":\"loss\",\"to\":\"b3\",\"bytes\":5},{\"from\":\"b3\",\"to\":\"b2\",\"bytes\":5},"
        "{\"from\":\"b2\",\"to\":\"b1\",\"bytes\":5},{\"from\":\"b1\",\"to\":\"b0\",\"bytes\":5}],"
        "\"colocate\":[[\"f0\",\"b0\"],[\"f1\",\"b1\"],[\"f2\",\"b2\"],[\"f3\",\"b3\"]]}";
    setting s;
    set_up(&s, layers, "p; q; link p q bw=1M");
    clv_plan_request request = {.policy = "pipeline"};
    clv_plan *p = plan(&s, &request);
    assert_true(p->groups[0].is_folded);
    assert_true(fabs(p->period_us - 120) < 1e-9);
    assert_int_equal(p->groups[0].num_stages, 3);
    clv_plan_destroy(p);
    tear_down(&s);
    set_up(&s, layers, "p overlap=no; q overlap=no; link p q bw=1M");
    p = plan(&s, &request);
    assert_true(fabs(p->period_us - 130) < 1e-9);
    clv_plan_destroy(p);
    tear_down(&s);
}

static void test_pins(void **state) {
    (void)state;
    setting s;
    set_up(&s, chain, "core*3");
    clv_pin pins[] = {{"a|b", "core:1"}, {"^b$", "core:2"}};
    clv_plan_request request = {
        .policy = "pipeline", .pins = pins, .num_pins = 2, .allow_idle = true};
    clv_plan *p = plan(&s, &request);
    const clv_group *group = &p->groups[0];
    assert_int_equal(group->pieces[group->placements[0].first_piece].unit, 1);
    assert_int_equal(group->pieces[group->placements[1].first_piece].unit, 2);
    assert_non_null(strstr(group->placements[1].reason, "^b$=core:2"));
    clv_plan_destroy(p);
    pins[1].unit = "core:9";
    expect_failure(&s, &request, CLV_USAGE, "core:9");
    pins[1] = (clv_pin){"(", "core:0"};
    expect_failure(&s, &request, CLV_USAGE, "pin '(=core:0'");
    pins[1] = (clv_pin){"nothing", "core:0"};
    expect_failure(&s, &request, CLV_USAGE, "matches no task");
    tear_down(&s);
}

static void test_memory(void **state) {
    (void)state;
    setting s;
    set_up(&s, chain, "gpu*2 mem=220; link gpu* gpu* bw=1M");
    clv_plan_request request = {.policy = "single"};
    expect_failure(&s, &request, CLV_NO_MEMORY, "are missing");
    request.policy = "pipeline";
    clv_plan *p = plan(&s, &request);
    assert_int_equal(p->best_single_unit, CLV_NO_INDEX);
    clv_plan_destroy(p);
    tear_down(&s);
    set_up(&s, chain, "gpu*2 mem=120; link gpu* gpu* bw=1M");
    expect_failure(&s, &request, CLV_NO_MEMORY, "60 are missing");
    tear_down(&s);
}

static void test_text(void **state) {
    (void)state;
    setting s;
    set_up(&s, chain, "core*2");
    clv_plan_request request = {.policy = "pipelin"};
    expect_failure(&s, &request, CLV_USAGE, "did you mean 'pipeline'");
    request.policy = "single:2";
    expect_failure(&s, &request, CLV_USAGE, "takes no count");
    request.policy = "pipeline:0";
    expect_failure(&s, &request, CLV_USAGE, "count");
    request.policy = "pipeline/single";
    expect_failure(&s, &request, CLV_USAGE, "cannot hold");
    request.policy = "pipeline:1";
    expect_failure(&s, &request, CLV_USAGE, "no work");
    request.allow_idle = true;
    clv_plan *p = plan(&s, &request);
    assert_string_equal(p->policy, "pipeline:1");
    assert_true(fabs(p->period_us - 60) < 1e-9);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* Every allocation on the way to a plan may fail; nothing is leaked (the sanitizer's part). */
static void test_no_memory(void **state) {
    (void)state;
    setting s;
    set_up(&s, chain, "core*2");
    clv_plan_request request = {.policy = "pipeline"};
    int failures = 0;
    for (int n = 0;; n++) {
        clv_plan *out = NULL;
        clv_memory_fail_at(n);
        clv_status *status = clv_plan_create(s.costs, &request, &out);
        clv_memory_fail_at(-1);
        if (status == NULL) {
            clv_plan_destroy(out);
            if (failures > 20) {
                break;
            }
            continue;
        }
        failures++;
        assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
        assert_null(out);
        clv_status_destroy(status);
        assert_true(n < 10000);
    }
    tear_down(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_chain),
        cmocka_unit_test(test_pins),      cmocka_unit_test(test_memory),
        cmocka_unit_test(test_text),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
