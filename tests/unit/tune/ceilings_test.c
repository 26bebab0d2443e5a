/* Whether something else was at work while a unit's ceilings were measured. */
#include "host/tune/ceilings.h"

#include "tests/support/check.h"

static const clv_unit_ceilings calm = {
    .one = {.flops = 250e9, .bandwidth = {400e9, 200e9, 80e9, 30e9}},
    .all = {.flops = 500e9, .bandwidth = {800e9, 400e9, 150e9, 50e9}},
};

static void what_was_calm_is_not_disturbed(void **state) {
    (void)state;
    assert_int_equal(clv_ceilings_disturbed(&calm), CLV_NUM_LEVELS);
    clv_unit_ceilings c = calm;
    c.one.bandwidth[CLV_LEVEL_L2] = 410e9; /* as good as equal */
    c.all.bandwidth[CLV_LEVEL_MEMORY] = 29e9;
    assert_int_equal(clv_ceilings_disturbed(&c), CLV_NUM_LEVELS);
}

static void levels_that_are_not_there_do_not_count(void **state) {
    (void)state;
    const clv_unit_ceilings queues = {
        .one = {.flops = 1e9}, .all = {.flops = 8e9, .bandwidth = {0, 0, 0, 40e9}}};
    assert_int_equal(clv_ceilings_disturbed(&queues), CLV_NUM_LEVELS);
    clv_unit_ceilings c = calm;
    c.one.bandwidth[CLV_LEVEL_L3] = c.all.bandwidth[CLV_LEVEL_L3] = 0;
    assert_int_equal(clv_ceilings_disturbed(&c), CLV_NUM_LEVELS);
    c.all.bandwidth[CLV_LEVEL_L2] = 20e9;
    assert_int_equal(clv_ceilings_disturbed(&c), CLV_LEVEL_L2);
}

static void a_level_slower_than_what_lies_behind_it_was_disturbed(void **state) {
    (void)state;
    clv_unit_ceilings c = calm;
    c.all.bandwidth[CLV_LEVEL_L1] = 25e9;
    assert_int_equal(clv_ceilings_disturbed(&c), CLV_LEVEL_L1);
    c = calm;
    c.one.bandwidth[CLV_LEVEL_L3] = 14e9;
    assert_int_equal(clv_ceilings_disturbed(&c), CLV_LEVEL_L3);
}

static void all_lanes_slower_than_one_were_disturbed(void **state) {
    (void)state;
    clv_unit_ceilings c = calm;
    c.all.bandwidth[CLV_LEVEL_MEMORY] = 20e9;
    assert_int_equal(clv_ceilings_disturbed(&c), CLV_LEVEL_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_calm_is_not_disturbed),
        cmocka_unit_test(levels_that_are_not_there_do_not_count),
        cmocka_unit_test(a_level_slower_than_what_lies_behind_it_was_disturbed),
        cmocka_unit_test(all_lanes_slower_than_one_were_disturbed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
