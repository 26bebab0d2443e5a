/* What several runs say: the median of those that are no outliers. */
#include "host/tune/samples.h"

#include "tests/support/check.h"

static clv_measured_cost cost_of(const double *samples, size_t count) {
    double copy[16];
    memcpy(copy, samples, count * sizeof *samples);
    return clv_cost_of_samples(copy, count);
}

static void one_run_is_what_it_is(void **state) {
    (void)state;
    const clv_measured_cost cost = cost_of((double[]){7}, 1);
    assert_true(cost.time_us == 7 && cost.spread_us == 0 && cost.count == 1);
}

static void the_median_and_the_quartiles(void **state) {
    (void)state;
    clv_measured_cost cost = cost_of((double[]){5, 1, 3, 2, 4}, 5);
    assert_true(cost.time_us == 3 && cost.spread_us == 2 && cost.count == 5);
    cost = cost_of((double[]){4, 1, 3, 2}, 4);
    assert_true(cost.time_us == 2.5 && cost.spread_us == 1.5 && cost.count == 4);
}

/* An interrupt in one run moves nothing: neither the median nor the spread. */
static void outliers_do_not_count(void **state) {
    (void)state;
    const clv_measured_cost calm = cost_of((double[]){10, 11, 12, 13, 14}, 5);
    const clv_measured_cost cost = cost_of((double[]){10, 11, 900, 12, 13, 14, 0.5}, 7);
    assert_true(cost.time_us == calm.time_us && cost.spread_us == calm.spread_us);
    assert_int_equal(cost.count, 5);
}

/* What is twice as long in one run of four is so in a quarter of all; an interrupt is not. */
static void a_mean_has_what_is_slow_now_and_then(void **state) {
    (void)state;
    double samples[] = {10, 20, 10, 10};
    clv_measured_cost cost = clv_mean_cost_of_samples(samples, 4, 2);
    assert_true(cost.time_us == 12.5 && cost.spread_us == 2.5 && cost.count == 4);
    double interrupted[] = {900, 10, 10, 10};
    cost = clv_mean_cost_of_samples(interrupted, 4, 2);
    assert_true(cost.time_us == 12.5 && cost.count == 4);
    double one[] = {7};
    assert_true(clv_mean_cost_of_samples(one, 1, 2).time_us == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_run_is_what_it_is),
        cmocka_unit_test(the_median_and_the_quartiles),
        cmocka_unit_test(outliers_do_not_count),
        cmocka_unit_test(a_mean_has_what_is_slow_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
