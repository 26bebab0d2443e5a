/* Which rate between cores plans go on with, whatever single measurements say. */
#include "host/api/probe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct script {
    double rates[25];
    size_t num_taken;
} script;

static double next_rate(void *argument) {
    script *s = argument;
    assert_true(s->num_taken < 25);
    return s->rates[s->num_taken++];
}

static void check_known(
    double known, script s, double expected, size_t num_taken, bool expected_known) {
    bool is_known;
    const double rate = clv_probe_settle(known, next_rate, &s, &is_known);
    assert_true(rate == expected);
    assert_int_equal(s.num_taken, num_taken);
    assert_int_equal(is_known, expected_known);
}

static void check(double known, script s, double expected, size_t num_taken) {
    check_known(known, s, expected, num_taken, true);
}

static void test_first(void **state) {
    (void)state;
    check(0, (script){{7, 9, 1, 8, 30}}, 8, 5);
    check(0, (script){{INFINITY, INFINITY, INFINITY, 8, INFINITY}}, INFINITY, 5);
    check_known(0, (script){{7, 0}}, 0, 2, false);
    /* measurements that do not agree are followed by others */
    check(0, (script){{1, 8, 8, 40, INFINITY, 8, 9, 7, 8, 9}}, 8, 10);
    check_known(
        0, (script){{1, 8,  40, 1, 40, 8, 8, 1, 40, 8, 1,  40, 8,
                     1, 40, 8,  1, 40, 8, 8, 1, 1,  8, 40, 40}},
        8, 25, false);
}

static void test_known_stays(void **state) {
    (void)state;
    check(8, (script){{4}}, 8, 1);
    check(8, (script){{15}}, 8, 1);
    check(8, (script){{1, INFINITY, 9}}, 8, 3);       /* one of them is as ever */
    check(8, (script){{1, 1, INFINITY, 1, 1}}, 8, 5); /* they disagree */
    check(8, (script){{1, 0}}, 8, 2);
    check(INFINITY, (script){{INFINITY}}, INFINITY, 1);
    check(INFINITY, (script){{8, INFINITY}}, INFINITY, 2);
}

static void test_processors_moved(void **state) {
    (void)state;
    check(8, (script){{2, 2.2, 1.8, 2.1, 1.9}}, 2, 5);
    check(2, (script){{7, 9, 8, 7.5, 8.5}}, 8, 5);
    check(INFINITY, (script){{7, 9, 8, 7.5, 8.5}}, 8, 5);
    check(8, (script){{INFINITY, INFINITY, INFINITY, INFINITY, INFINITY}}, INFINITY, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_known_stays),
        cmocka_unit_test(test_processors_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
