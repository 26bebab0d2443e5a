/* What lanes reach by their class. */
#include "kernels_cl/ceilings.h"
#include "tests/support/check.h"
#include <math.h>

static void check_width(uint32_t simd_bytes, double vectors_per_cycle) {
    const clv_traits traits = {.is_cpu = true, .simd_bytes = simd_bytes, .num_lanes = 2};
    const clv_ceilings lane = clv_ceilings_of(&traits);
    const double cycles_per_us = lane.flops_per_us / (4 * simd_bytes / (double)sizeof(float));
    assert_true(cycles_per_us > 1e3 && cycles_per_us < 1e4);
    assert_true(fabs(lane.vectors_per_us / cycles_per_us - vectors_per_cycle) < 1e-9);
}

/* A vector of the kernels is as wide as the lane's or several of them. */
static void test_vectors(void **state) {
    (void)state;
    check_width(64, 2);
    check_width(32, 2);
    check_width(16, 1);
}

static void test_memory(void **state) {
    (void)state;
    const clv_traits traits = {.is_cpu = true, .simd_bytes = 32, .cache_bytes = 1 << 21};
    const clv_traits unknown = {.is_cpu = true};
    const clv_ceilings lane = clv_ceilings_of(&traits), other = clv_ceilings_of(&unknown);
    assert_true(lane.own_cache_bytes_per_us > lane.shared_cache_bytes_per_us);
    assert_true(lane.shared_cache_bytes_per_us > lane.memory_bytes_per_us);
    assert_int_equal(lane.cache_bytes, 1 << 21);
    assert_true(other.cache_bytes > 0 && other.flops_per_us > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
