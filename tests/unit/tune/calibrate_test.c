/* Measuring the steps of random graphs on the null driver: what is measured is found afterwards and
 * not measured again, what depends on another device is not found, and whoever interrupts it loses
 * nothing. */
#include "host/tune/calibrate.h"

#include "host/base/memory.h"
#include "host/device/null.h"
#include "host/tune/step_key.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"
#include <math.h>
#include <stdlib.h>

enum { MAX_LANES = 3, MAX_INPUTS = 8 };

static atomic_bool cancel;
static atomic_int launches_left; /* until somebody interrupts; negative: nobody does */
static clv_null_function real_function[3];

static void count_launch(void) {
    if (atomic_fetch_sub(&launches_left, 1) == 0) {
        atomic_store(&cancel, true);
    }
}

#define COUNTED(index)                                           \
    static void counted_##index(const clv_null_launch *launch) { \
        count_launch();                                          \
        real_function[index](launch);                            \
    }
COUNTED(0)
COUNTED(1)
COUNTED(2)

/* The hash operator's functions, counted. */
static clv_null_function find_counted(const char *entry) {
    static const clv_null_function counted[] = {counted_0, counted_1, counted_2};
    clv_null_function function = clv_hash_find(entry);
    for (size_t i = 0; function != NULL && i < 3; i++) {
        if (real_function[i] == NULL) { /* while nothing runs yet */
            real_function[i] = function;
        }
        if (real_function[i] == function) {
            return counted[i];
        }
    }
    return NULL;
}

typedef struct rig {
    clv_device *devices[MAX_LANES];
    clv_exec_unit unit;
    clv_graph *graph;
    clv_view inputs[MAX_INPUTS];
    clv_cost_db *db;
} rig;

static uint64_t tick_ns; /* of devices that are made; 0: a nanosecond */
static clv_device_vtable fine, coarse;

static clv_status *coarse_times(clv_event *event, clv_event_times *out_times) {
    CLV_TRY(fine.event_times(event, out_times));
    out_times->queued_ns -= out_times->queued_ns % tick_ns;
    out_times->submitted_ns -= out_times->submitted_ns % tick_ns;
    out_times->started_ns -= out_times->started_ns % tick_ns;
    out_times->ended_ns -= out_times->ended_ns % tick_ns;
    return NULL;
}

/* lanes 0: a device with queues. */
static void open_rig(rig *r, size_t lanes, uint64_t seed) {
    const size_t count = lanes == 0 ? 1 : lanes;
    *r = (rig){.unit = {.devices = r->devices, .num_devices = count}};
    atomic_store(&launches_left, -1);
    atomic_store(&cancel, false);
    for (size_t i = 0; i < count; i++) {
        const clv_null_options options = {
            .kind = lanes == 0 ? CLV_DEVICE_GPU : CLV_DEVICE_CORE,
            .index = (int)i,
            .find = find_counted,
        };
        assert_ok(clv_null_device_create(&options, &r->devices[i]));
        if (tick_ns != 0) {
            fine = coarse = *r->devices[i]->vtable;
            coarse.event_times = coarse_times;
            r->devices[i]->vtable = &coarse;
        }
    }
    clv_unit_name_init(
        &r->unit.name,
        lanes == 0   ? CLV_UNIT_GPU
        : lanes == 1 ? CLV_UNIT_CORE
                     : CLV_UNIT_CPU,
        0, 0);
    const clv_hash_graph_options options = {
        .seed = seed, .num_nodes = 12, .max_bytes = 40, .max_items = 6};
    assert_ok(clv_hash_graph_create(&options, &r->graph));
    assert_in_range(r->graph->num_inputs, 0, MAX_INPUTS);
    for (size_t i = 0; i < r->graph->num_inputs; i++) {
        const clv_tensor *t = &r->graph->tensors[r->graph->inputs[i]];
        void *data = malloc(clv_view_bytes(t->dtype, &t->shape) + 1);
        assert_non_null(data); /* values that kernels complain of do no harm */
        memset(data, CLV_HASH_FORBIDDEN, clv_view_bytes(t->dtype, &t->shape));
        r->inputs[i] = (clv_view){.dtype = t->dtype, .shape = t->shape, .data = data};
    }
    assert_ok(clv_cost_db_open(NULL, &r->db));
}

static void close_rig(rig *r) {
    for (size_t i = 0; i < r->unit.num_devices; i++) {
        assert_int_equal(clv_null_num_objects(r->devices[i]), 0);
        r->devices[i]->vtable->destroy(r->devices[i]);
    }
    for (size_t i = 0; i < r->graph->num_inputs; i++) {
        free((void *)r->inputs[i].data);
    }
    clv_graph_destroy(r->graph);
    clv_cost_db_close(r->db);
}

static clv_status *calibrate(rig *r, uint32_t *out_num_measured) {
    const clv_calibration_request request = {
        .graph = r->graph,
        .unit = &r->unit,
        .inputs = r->inputs,
        .db = r->db,
        .cancel = &cancel,
    };
    return clv_calibrate(&request, out_num_measured);
}

static clv_unit_costs find(const rig *r, const clv_device_info *info) {
    clv_unit_costs costs;
    assert_ok(clv_unit_costs_find(
        r->graph, info, r->unit.num_devices, r->db, (clv_cost_setting){0}, &costs));
    return costs;
}

static void check_costs(const rig *r, bool is_known) {
    clv_unit_costs costs = find(r, &r->devices[0]->info);
    assert_true(costs.num_steps > 0);
    assert_int_equal(costs.num_known, is_known ? costs.num_steps : 0);
    for (size_t i = 0; i < r->graph->num_nodes; i++) {
        if (costs.node_launches[i] == 0) {
            assert_true(costs.node_us[i] == 0);
        } else {
            assert_int_equal(isnan(costs.node_us[i]), !is_known);
            assert_true(!is_known || costs.node_us[i] >= 0);
        }
    }
    clv_unit_costs_deinit(&costs);
}

static void what_is_measured_is_found(void **state) {
    (void)state;
    static const size_t all_lanes[] = {1, 3, 0};
    for (uint64_t seed = 0; seed < 6; seed++) {
        rig r;
        uint32_t num_measured;
        open_rig(&r, all_lanes[seed % 3], seed);
        check_costs(&r, false);
        assert_ok(calibrate(&r, &num_measured));
        check_costs(&r, true);
        clv_unit_costs costs = find(&r, &r.devices[0]->info);
        assert_int_equal(num_measured, costs.num_steps);
        clv_unit_costs_deinit(&costs);
        assert_true(clv_cost_db_num_entries(r.db) > num_measured); /* and variants */
        assert_ok(calibrate(&r, &num_measured));                   /* nothing is left to do */
        assert_int_equal(num_measured, 0);
        close_rig(&r);
    }
}

/* What a clock is too coarse for takes a tick, not nothing; what it has no time of is not known. */
static void clocks_may_be_coarse(void **state) {
    (void)state;
    static const uint64_t ticks_ns[] = {1000000, 1000000000, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        rig r;
        uint32_t num_measured;
        tick_ns = ticks_ns[i];
        open_rig(&r, 0, 2);
        assert_ok(calibrate(&r, &num_measured));
        check_costs(&r, i < 2);
        clv_unit_costs costs = find(&r, &r.devices[0]->info);
        for (size_t n = 0; n < r.graph->num_nodes && i < 2; n++) {
            assert_true(costs.node_launches[n] == 0 || costs.node_us[n] > 0);
        }
        clv_unit_costs_deinit(&costs);
        close_rig(&r);
    }
    tick_ns = 0;
}

/* A limit slows nothing down here, and no budget is too small to be measured. */
static void limits_play_no_part(void **state) {
    (void)state;
    rig r;
    uint32_t num_measured;
    open_rig(&r, 1, 3);
    r.unit.name.limits = (clv_unit_limits){.speed = 1e-9, .memory_bytes = 1, .latency_us = 1e9};
    assert_ok(calibrate(&r, &num_measured));
    check_costs(&r, true);
    close_rig(&r);
}

static void another_device_is_another_matter(void **state) {
    (void)state;
    rig r;
    uint32_t num_measured;
    open_rig(&r, 1, 4);
    assert_ok(calibrate(&r, &num_measured));
    const clv_device_info info = r.devices[0]->info;
    clv_device_info others[4] = {info, info, info, info};
    strcpy(others[0].driver, "9.9");
    strcpy(others[1].name, "another");
    strcpy(others[2].version, "OpenCL 9");
    others[3].kind = CLV_DEVICE_CL;
    for (size_t i = 0; i < 4; i++) {
        clv_unit_costs costs = find(&r, &others[i]);
        assert_int_equal(costs.num_known, 0);
        clv_unit_costs_deinit(&costs);
    }
    clv_hash one = clv_unit_key(&info, 1), two = clv_unit_key(&info, 2);
    assert_true(one.low != two.low);
    close_rig(&r);
}

/* Interrupted before there is enough of anything, nothing is kept; after that, everything. */
static void an_interrupt_keeps_what_was_measured(void **state) {
    (void)state;
    rig r;
    uint32_t num_measured;
    open_rig(&r, 1, 5);
    clv_unit_costs costs = find(&r, &r.devices[0]->info);
    int num_launches = 0;
    for (size_t i = 0; i < r.graph->num_nodes; i++) {
        num_launches += (int)costs.node_launches[i];
    }
    clv_unit_costs_deinit(&costs);
    atomic_store(&launches_left, num_launches * 4 + 1); /* two runs before, two that count */
    assert_failed(CANCELLED, "interrupted", calibrate(&r, &num_measured));
    assert_int_equal(num_measured, 0);
    check_costs(&r, false);
    atomic_store(&cancel, false);
    atomic_store(&launches_left, num_launches * 5 + 1);
    assert_failed(CANCELLED, "interrupted", calibrate(&r, &num_measured));
    assert_true(num_measured > 0);
    check_costs(&r, true);
    close_rig(&r);
}

static void failures_leave_nothing_behind(void **state) {
    (void)state;
    for (int64_t n = 0; n < 400; n += 7) {
        rig r;
        uint32_t num_measured;
        open_rig(&r, 1, 6);
        clv_memory_fail_at(n);
        clv_status *status = calibrate(&r, &num_measured);
        clv_memory_fail_at(-1);
        assert_true(status == NULL || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
        close_rig(&r);
    }
    for (int64_t n = 0; n < 60; n += 3) {
        rig r;
        uint32_t num_measured;
        open_rig(&r, 1, 6);
        clv_null_fail_call_at(r.devices[0], NULL, n);
        clv_status *status = calibrate(&r, &num_measured);
        clv_null_fail_call_at(r.devices[0], NULL, -1);
        clv_status_destroy(status);
        assert_ok(calibrate(&r, &num_measured));
        check_costs(&r, true);
        close_rig(&r);
    }
}

/* The rig's lanes as units of their own: the first, and those beside it. */
typedef struct beside_rig {
    clv_exec_unit units[MAX_LANES];
    const clv_exec_unit *others[MAX_LANES];
    clv_calibration_request request;
} beside_rig;

static void put_beside(rig *r, beside_rig *b) {
    const uint32_t num_beside = (uint32_t)r->unit.num_devices - 1;
    for (uint32_t i = 0; i <= num_beside; i++) {
        b->units[i] = (clv_exec_unit){.devices = &r->unit.devices[i], .num_devices = 1};
        clv_unit_name_init(&b->units[i].name, CLV_UNIT_CORE, 0, (int)i);
        b->others[i] = &b->units[i + (i < num_beside)];
    }
    b->request = (clv_calibration_request){
        .graph = r->graph,
        .unit = &b->units[0],
        .inputs = r->inputs,
        .db = r->db,
        .setting = {.num_beside = num_beside},
        .beside = b->others,
        .cancel = &cancel,
    };
}

static void check_setting(const rig *r, clv_cost_setting setting, bool is_known) {
    clv_unit_costs costs;
    assert_ok(clv_unit_costs_find(r->graph, &r->devices[0]->info, 1, r->db, setting, &costs));
    assert_true(costs.num_steps > 0);
    assert_int_equal(costs.num_known, is_known ? costs.num_steps : 0);
    clv_unit_costs_deinit(&costs);
}

/* With one neighbour, with two and alone: none stands for another. */
static void what_it_takes_beside_others_is_another_matter(void **state) {
    (void)state;
    for (uint32_t num_beside = 1; num_beside < MAX_LANES; num_beside++) {
        rig r;
        beside_rig b;
        uint32_t num_measured;
        open_rig(&r, num_beside + 1, 7);
        put_beside(&r, &b);
        assert_ok(clv_calibrate(&b.request, &num_measured));
        assert_true(num_measured > 0);
        assert_int_equal(clv_cost_db_num_entries(r.db), num_measured); /* and no variants */
        check_setting(&r, b.request.setting, true);
        check_setting(&r, (clv_cost_setting){.num_beside = 3 - num_beside}, false);
        check_setting(&r, (clv_cost_setting){0}, false);
        check_setting(&r, (clv_cost_setting){.cut = {.split = 1}, .num_beside = num_beside}, false);
        clv_cost_setting nearer = b.request.setting; /* cores that share a cache share more */
        nearer.exchange = 256e9;
        check_setting(&r, nearer, false);
        assert_ok(clv_calibrate(&b.request, &num_measured));
        assert_int_equal(num_measured, 0);
        b.request.setting.num_beside = 0;
        assert_ok(clv_calibrate(&b.request, &num_measured));
        check_setting(&r, (clv_cost_setting){0}, true);
        close_rig(&r);
    }
}

/* Whichever unit it is, and when everybody is interrupted. */
static void failing_neighbours_are_reported(void **state) {
    (void)state;
    for (int64_t n = 0; n < 60; n += 3) {
        rig r;
        beside_rig b;
        uint32_t num_measured;
        open_rig(&r, 2, 6);
        put_beside(&r, &b);
        clv_null_fail_call_at(r.devices[1], NULL, n);
        clv_status *status = clv_calibrate(&b.request, &num_measured);
        assert_true(status != NULL || n > 20);
        clv_status_destroy(status);
        clv_null_fail_call_at(r.devices[1], NULL, -1);
        assert_ok(clv_calibrate(&b.request, &num_measured));
        check_setting(&r, b.request.setting, true);
        close_rig(&r);
    }
    rig r;
    beside_rig b;
    uint32_t num_measured;
    open_rig(&r, 2, 6);
    put_beside(&r, &b);
    atomic_store(&launches_left, 100);
    assert_failed(CANCELLED, "interrupted", clv_calibrate(&b.request, &num_measured));
    close_rig(&r);
    for (int64_t n = 0; n < 600; n += 13) {
        open_rig(&r, 2, 6);
        put_beside(&r, &b);
        clv_memory_fail_at(n);
        clv_status *status = clv_calibrate(&b.request, &num_measured);
        clv_memory_fail_at(-1);
        assert_true(status == NULL || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
        close_rig(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_measured_is_found),
        cmocka_unit_test(clocks_may_be_coarse),
        cmocka_unit_test(limits_play_no_part),
        cmocka_unit_test(another_device_is_another_matter),
        cmocka_unit_test(an_interrupt_keeps_what_was_measured),
        cmocka_unit_test(failures_leave_nothing_behind),
        cmocka_unit_test(what_it_takes_beside_others_is_another_matter),
        cmocka_unit_test(failing_neighbours_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
