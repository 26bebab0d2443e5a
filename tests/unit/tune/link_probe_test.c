/* What a link takes: the line through its times; and that measuring one leaves nothing behind,
 * whichever call fails. On the null driver. */
#include "host/base/memory.h"
#include "host/device/null.h"
#include "host/tune/link_probe.h"
#include "kernels_cl/probe/probe_params.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

static void check_line(
    const double *us, size_t count, double wanted_latency_us, double wanted_bandwidth) {
    static const double bytes[] = {1000, 10000, 1000000};
    double latency_us, bandwidth;
    clv_link_fit(bytes, us, count, &latency_us, &bandwidth);
    assert_true(fabs(latency_us - wanted_latency_us) <= 1e-9 * (1 + wanted_latency_us));
    assert_true(
        bandwidth == wanted_bandwidth ||
        fabs(bandwidth - wanted_bandwidth) <= 1e-9 * wanted_bandwidth);
}

static void test_line(void **state) {
    (void)state;
    check_line((const double[]){6, 15, 1005}, 3, 5, 1e9);
    check_line((const double[]){7, 7, 7}, 3, 7, (double)INFINITY);
    /* small ones so quick that the line would begin below 0: it goes through 0 */
    check_line((const double[]){1, 20}, 2, 0, 1e6 * (1e6 + 2.5e5) / (1e3 + 5e2));
    /* large ones quicker than small ones: all take the same */
    check_line(
        (const double[]){4, 2}, 2, (1 / 4.0 + 1 / 2.0) / (1 / 16.0 + 1 / 4.0), (double)INFINITY);
}

static _Atomic uint64_t num_loops;

/* As long as it is told. */
static void run_probe(const clv_null_launch *launch) {
    probe_params params;
    memcpy(&params, launch->args[1], sizeof params);
    for (uint32_t i = 0; i < params.loops; i++) {
        atomic_fetch_add(&num_loops, 1);
    }
}

static clv_null_function find(const char *entry) {
    return strcmp(entry, "probe_peak") == 0 ? run_probe : NULL;
}

static clv_device *open_unit(clv_null_options options, clv_exec_unit *unit) {
    static clv_device *device;
    options.kind = CLV_DEVICE_GPU;
    options.find = find;
    assert_ok(clv_null_device_create(&options, &device));
    *unit = (clv_exec_unit){.devices = &device, .num_devices = 1};
    clv_unit_name_init(&unit->name, CLV_UNIT_GPU, 0, 0);
    return device;
}

static void test_probe(void **state) {
    (void)state;
    clv_exec_unit unit;
    clv_device *device = open_unit((clv_null_options){.copy_us = 0}, &unit);
    double latency_us, bandwidth, hidden;
    assert_ok(clv_link_probe(&unit, &latency_us, &bandwidth));
    assert_true(latency_us >= 0 && bandwidth > 0);
    assert_ok(clv_link_probe_hidden(&unit, &hidden));
    assert_true(hidden >= 0 && hidden <= 1);
    assert_true(atomic_load(&num_loops) > 0);
    for (int64_t n = 0; n < 40; n++) {
        clv_null_fail_call_at(device, NULL, n);
        clv_status *status = n % 2 == 0 ? clv_link_probe(&unit, &latency_us, &bandwidth)
                                        : clv_link_probe_hidden(&unit, &hidden);
        assert_non_null(status);
        clv_status_destroy(status);
        assert_int_equal(clv_null_num_objects(device), 0);
    }
    clv_null_fail_call_at(device, NULL, -1);
    device->vtable->destroy(device);
}

/* Where a call fails and queues cannot be finished either, no copy is at its memory afterwards. */
static void test_unfinished(void **state) {
    (void)state;
    static const char *const calls[] = {
        "enqueue_write", "enqueue_read", "enqueue_kernel", "queue_flush", "event_wait"};
    clv_exec_unit unit;
    clv_device *device =
        open_unit((clv_null_options){.copy_us = 500, .refuses_finish = true}, &unit);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (int64_t n = 0; n < 3; n++) {
            double latency_us, bandwidth, hidden;
            clv_null_fail_call_at(device, calls[i], n);
            clv_status *status = clv_link_probe_hidden(&unit, &hidden);
            assert_non_null(status);
            clv_status_destroy(status);
            assert_int_equal(clv_null_num_abandoned(), 0);
            clv_null_fail_call_at(device, calls[i], n);
            clv_status_destroy(clv_link_probe(&unit, &latency_us, &bandwidth));
            assert_int_equal(clv_null_num_abandoned(), 0);
            assert_int_equal(clv_null_num_objects(device), 0);
        }
    }
    clv_null_fail_call_at(device, NULL, -1);
    device->vtable->destroy(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_unfinished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
