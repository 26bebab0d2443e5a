/* Pipelines whose transfers wait for one another: plans ask the clock, and say what it says. */
#include "scheduler/steady.h"

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

/* By sums two cuts do the same, and only one of them, with its tasks stage by stage, does so on the
 * clock: transfers occupy two of the units. */
static void test_ties(void **state) {
    (void)state;
    static const char *const tasks =
        "{\"tasks\":[{\"name\":\"t0\",\"time_us\":{\"u0\":3},\"memory_bytes\":41},"
        "{\"name\":\"t1\",\"time_us\":{\"u0\":28,\"u1\":28,\"u2\":4}},"
        "{\"name\":\"t2\",\"time_us\":{\"u0\":30,\"u1\":10,\"u2\":2}},"
        "{\"name\":\"t3\",\"time_us\":{\"u0\":10,\"u1\":9,\"u2\":23},\"memory_bytes\":44},"
        "{\"name\":\"t4\",\"time_us\":{\"u0\":1,\"u1\":28,\"u2\":6}},"
        "{\"name\":\"t5\",\"time_us\":{\"u0\":4,\"u1\":26,\"u2\":7}}],\"edges\":["
        "{\"from\":\"t0\",\"to\":\"t1\",\"bytes\":6},{\"from\":\"t0\",\"to\":\"t2\",\"bytes\":6},"
        "{\"from\":\"t2\",\"to\":\"t4\",\"bytes\":1},{\"from\":\"t3\",\"to\":\"t4\",\"bytes\":7},"
        "{\"from\":\"t1\",\"to\":\"t4\",\"bytes\":5}]}";
    static const char *const policies[] = {"pipeline", "auto"};
    setting s;
    set_up(
        &s, tasks,
        "u0 overlap=no launch=2us; u1 launch=1us mem=14; u2 overlap=no; "
        "link u* u* bw=2M latency=3us duplex=half");
    s.costs->ask_clock = clv_steady_state;
    for (int i = 0; i < 2; i++) {
        clv_plan_request request = {.policy = policies[i]};
        clv_plan *p = plan(&s, &request);
        assert_true(fabs(p->period_us - 29.5) < 1e-6);
        assert_string_equal(p->method, "exact: every assignment was tried");
        assert_non_null(strstr(p->limit, "on u0"));
        clv_plan_destroy(p);
    }
    tear_down(&s);
}

/* Chains whose transfers wait for one another: no order of tasks, nor more requests in flight,
 * reach what sums promise. */
static void test_waits(void **state) {
    (void)state;
    static const char *const head =
        "{\"tasks\":[{\"name\":\"t0\",\"time_us\":{\"u0\":22,\"u1\":2,\"u2\":17}},"
        "{\"name\":\"t1\",\"time_us\":{\"u0\":17,\"u1\":21,\"u2\":12}},"
        "{\"name\":\"t2\",\"time_us\":{\"u0\":1,\"u2\":21}},"
        "{\"name\":\"t3\",\"time_us\":{\"u0\":16,\"u1\":30,\"u2\":15}},"
        "{\"name\":\"t4\",\"time_us\":{\"u0\":27,\"u1\":9},\"memory_bytes\":36}";
    static const char *const edges =
        "],\"edges\":[{\"from\":\"t0\",\"to\":\"t1\",\"bytes\":22},"
        "{\"from\":\"t1\",\"to\":\"t2\",\"bytes\":7},{\"from\":\"t2\",\"to\":\"t3\",\"bytes\":0},"
        "{\"from\":\"t3\",\"to\":\"t4\",\"bytes\":8}";
    static const char *const methods[] = {
        "every assignment was tried by sums, the best of them on the clock",
        "exact over 13 down-closed cuts by sums, which on the clock is slower"};
    for (int is_long = 0; is_long < 2; is_long++) {
        char text[4096];
        size_t n = (size_t)snprintf(text, sizeof text, "%s", head);
        for (int i = 5; i < 12 && is_long == 1; i++) {
            n += (size_t)snprintf(
                text + n, sizeof text - n,
                ",{\"name\":\"t%d\",\"time_us\":{\"u0\":90,\"u1\":0.1,\"u2\":90}}", i);
        }
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", edges);
        for (int i = 5; i < 12 && is_long == 1; i++) {
            n += (size_t)snprintf(
                text + n, sizeof text - n, ",{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":1}", i - 1,
                i);
        }
        snprintf(text + n, sizeof text - n, "]}");
        setting s;
        set_up(
            &s, text,
            "u0 launch=2us; u1; u2 overlap=no launch=2us; hub h; "
            "link u0 h bw=2M latency=3us duplex=half; link u1 h bw=5M duplex=half; "
            "link u2 h bw=5M duplex=half");
        s.costs->ask_clock = clv_steady_state;
        clv_plan_request request = {.policy = "pipeline"};
        clv_plan *p = plan(&s, &request);
        assert_string_equal(p->method, methods[is_long]);
        assert_string_equal(
            p->limit,
            "steps wait for one another, which more requests in flight do not change; most "
            "loaded is u2");
        clv_plan_destroy(p);
        request.depth = 2; /* here they do */
        p = plan(&s, &request);
        assert_non_null(strstr(p->limit, "requests in flight are too few"));
        clv_plan_destroy(p);
        tear_down(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ties), cmocka_unit_test(test_waits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
