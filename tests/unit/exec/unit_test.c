#include "host/exec/unit.h"

#include "host/base/memory.h"
#include "tests/support/check.h"

static const clv_device_info infos[] = {
    {.kind = CLV_DEVICE_CL, .platform_index = 0, .device_index = 2, .usable = true},
    {.kind = CLV_DEVICE_CORE, .index = 0, .usable = true, .is_cpu = true, .compute_units = 1},
    {.kind = CLV_DEVICE_GPU, .index = 0, .reason = "no compiler"},
    {.kind = CLV_DEVICE_CORE, .index = 1, .usable = true, .is_cpu = true, .compute_units = 1},
};
static const clv_device_info *const pointers[] = {&infos[0], &infos[1], &infos[2], &infos[3]};

static void test_list(void **state) {
    (void)state;
    static const char *const names[] = {"cpu", "core:0", "core:1", "gpu:0", "cl:0.2"};
    clv_unit_entry *entries = NULL;
    size_t count = 0;
    assert_ok(clv_units_list(pointers, 4, &entries, &count));
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(entries[i].name.text, names[i]);
        assert_true(entries[i].usable == (i != 3));
    }
    assert_string_equal(entries[3].reason, "no compiler");
    clv_free(entries);
}

/* Without PoCL `cpu` is listed and says what it needs. */
static void test_without_cores(void **state) {
    (void)state;
    clv_unit_entry *entries = NULL;
    size_t count = 0;
    assert_ok(clv_units_list(pointers, 1, &entries, &count));
    assert_int_equal(count, 2);
    assert_string_equal(entries[0].name.text, "cpu");
    assert_false(entries[0].usable);
    assert_non_null(strstr(entries[0].reason, "pocl-opencl-icd"));
    clv_free(entries);
    clv_memory_fail_at(0);
    clv_status *status = clv_units_list(pointers, 1, &entries, &count);
    clv_memory_fail_at(-1);
    assert_failed(NO_MEMORY, "units", status);
}

static void test_devices(void **state) {
    (void)state;
    static const int of[][4] = {
        {0, 1, 0, 1}, /* cpu */
        {0, 0, 0, 1}, /* core:1 */
        {0, 0, 1, 0}, /* gpu:0 */
        {1, 0, 0, 0}, /* cl:0.2 */
        {0, 0, 0, 0}, /* cl:1.2 */
    };
    clv_unit_name names[5];
    clv_unit_name_init(&names[0], CLV_UNIT_CPU, 0, 0);
    clv_unit_name_init(&names[1], CLV_UNIT_CORE, 0, 1);
    clv_unit_name_init(&names[2], CLV_UNIT_GPU, 0, 0);
    clv_unit_name_init(&names[3], CLV_UNIT_CL, 0, 2);
    clv_unit_name_init(&names[4], CLV_UNIT_CL, 1, 2);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 4; j++) {
            assert_int_equal(clv_unit_has_device(&names[i], &infos[j]), of[i][j]);
        }
    }
}

static void test_traits(void **state) {
    (void)state;
    clv_device core = {.info = infos[1]}, gpu = {.info = infos[2]};
    clv_device *const devices[] = {&core, &core, &core};
    gpu.info.compute_units = 132;
    gpu.info.max_local_size = 1024;
    clv_device *const gpus[] = {&gpu};
    clv_exec_unit unit = {.devices = devices, .num_devices = 3};
    assert_int_equal(clv_exec_unit_traits(&unit).num_lanes, 3);
    assert_true(clv_exec_unit_traits(&unit).is_cpu);
    unit = (clv_exec_unit){.devices = gpus, .num_devices = 1};
    assert_int_equal(clv_exec_unit_traits(&unit).num_lanes, 132);
    assert_int_equal(clv_exec_unit_traits(&unit).max_local_size, 1024);
    assert_false(clv_exec_unit_traits(&unit).is_cpu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_without_cores),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_traits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
