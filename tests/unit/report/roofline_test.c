/* Operators under ceilings that are given. */
#include "host/report/roofline.h"

#include "host/base/memory.h"
#include "tests/support/check.h"
#include <string.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

/* Two lanes: 100 GFLOP/s, and 400, 200, 100, 20 GB/s from L1, L2, L3 and memory. */
static clv_roofline_unit two_lanes(void) {
    return (clv_roofline_unit){
        .name = "a <unit>",
        .ceilings = {
            .num_lanes = 2,
            .width = 16,
            .one = {.flops = 50e9, .bandwidth = {200e9, 100e9, 50e9, 15e9}},
            .all = {.flops = 100e9, .bandwidth = {400e9, 200e9, 100e9, 20e9}},
            .level_bytes = {64 * KIB, 2 * MIB, 32 * MIB, UINT64_MAX},
            .launch_us = 1,
            .chain_ns = 2,
            .memory_ns = 100,
        }};
}

static void what_binds(void **state) {
    (void)state;
    clv_roofline_unit unit = two_lanes();
    clv_roofline_op ops[] = {
        {.flops = 1e9, .bytes = 1 * MIB},                            /* 10 ms of operations */
        {.flops = 1e5, .bytes = 1 * MIB},                            /* from L2 */
        {.flops = 1e6, .bytes = 16 * MIB},                           /* from L3 */
        {.flops = 1e6, .bytes = 64 * MIB},                           /* from memory */
        {.flops = 1e6, .bytes = 8 * MIB, .weight_bytes = 8 * MIB},   /* all weights: 48 MiB */
        {.flops = 9e6, .bytes = 40 * MIB, .weight_bytes = 40 * MIB}, /* likewise */
        {.flops = 100, .bytes = 4 * KIB, .launches = 2},
    };
    enum { NUM_OPS = sizeof ops / sizeof ops[0] };
    static const char *const bounds[NUM_OPS] = {"compute", "L2",     "L3",    "memory",
                                                "memory",  "memory", "launch"};
    const double least_us[NUM_OPS] = {
        1e4, 1 * MIB / 200e3, 16 * MIB / 100e3, 64 * MIB / 20e3, 8 * MIB / 20e3, 40 * MIB / 20e3,
        2};
    clv_roofline r = {.units = &unit, .num_units = 1, .ops = ops, .num_ops = NUM_OPS};
    clv_roofline_place(&r);
    assert_true(unit.weight_bytes == 48.0 * MIB);
    for (int i = 0; i < NUM_OPS; i++) {
        assert_string_equal(ops[i].bound, bounds[i]);
        assert_float_equal(ops[i].least_us, least_us[i], 1e-6 * least_us[i]);
        assert_float_equal(ops[i].needed, 50e9 / 32 * 2e-9, 1e-6);
    }
    assert_float_equal(ops[0].intensity, 1e9 / MIB, 1e-3);
}

/* A unit without L1 to L3 has everything from memory. */
static void levels_that_are_not_there(void **state) {
    (void)state;
    clv_roofline_unit unit = two_lanes();
    memset(unit.ceilings.all.bandwidth, 0, 3 * sizeof(double));
    assert_int_equal(clv_level_of(&unit.ceilings, 1), CLV_LEVEL_MEMORY);
}

static void the_page_escapes_names(void **state) {
    (void)state;
    clv_roofline_unit unit = two_lanes();
    clv_roofline_op ops[] = {
        {.node = "<script>",
         .op = "Conv",
         .variant = "ref",
         .flops = 1e6,
         .bytes = 1e5,
         .time_us = 100,
         .num_sums = 16},
        {.node = "none", .op = "Reshape", .flops = 0, .bytes = 0, .time_us = 1},
    };
    clv_roofline r = {.title = "a & b", .units = &unit, .num_units = 1, .ops = ops, .num_ops = 2};
    char *page = NULL;
    clv_roofline_place(&r);
    assert_ok(clv_roofline_page(&r, &page));
    assert_null(strstr(page, "<script>"));
    assert_non_null(strstr(page, "&lt;script&gt;"));
    assert_non_null(strstr(page, "a &amp; b"));
    assert_non_null(strstr(page, "a &lt;unit&gt;"));
    assert_non_null(strstr(page, "16 of 4"));
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "inf"));
    clv_free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_binds),
        cmocka_unit_test(levels_that_are_not_there),
        cmocka_unit_test(the_page_escapes_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
