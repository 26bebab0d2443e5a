/* What rate is said of requests that began and ended so. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "host/cli/rate.h"

static void check(cli_span *spans, size_t count, size_t depth, double per_s) {
    const double got = cli_steady_rate(spans, count, depth);
    if (!(fabs(got - per_s) <= 1e-9 * per_s)) {
        fail_msg("%zu requests, depth %zu: %.12g, not %.12g", count, depth, got, per_s);
    }
}

static void few(void **state) {
    (void)state;
    /* Two copies, 250 ms a request: 8 a second, however many the last round has. */
    cli_span copies[] = {{0, 250}, {0, 250}, {250, 500}, {250, 500}, {500, 750}, {500, 750}};
    for (size_t count = 2; count <= 6; count++) {
        check(copies, count, 2, 8);
    }
    /* One ahead of the other, in any order. */
    cli_span drifted[] = {{100, 350}, {0, 250}, {350, 600}, {250, 500}, {500, 750}};
    check(drifted, 5, 2, (4 + 100 / 250.0) / 0.6);
    /* Two stages of 125 ms: 8 a second once both have something to do. */
    cli_span stages[] = {{0, 250}, {0, 375}, {250, 500}, {375, 625}, {500, 750}, {625, 875}};
    check(stages, 6, 2, 8);
    /* One at a time: as many as there were, over the time that they took. */
    cli_span alone[] = {{0, 90}, {100, 200}, {200, 310}};
    check(alone, 3, 1, 3 / 0.31);
    check(alone, 1, 1, 1 / 0.09);
    check(alone, 0, 1, 0);
}

/* 100 requests, one a millisecond, but for a pause. */
static void many(void **state) {
    (void)state;
    cli_span spans[100];
    for (int i = 0; i < 100; i++) {
        const double at_ms = i + (i >= 50 ? 40 : 0);
        spans[99 - i] = (cli_span){at_ms, at_ms + 1};
    }
    check(spans, 100, 1, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(few), cmocka_unit_test(many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
