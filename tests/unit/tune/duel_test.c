/* Two ways to run a graph in turns, on the null driver: both are timed, the first one stays for the
 * next time, and failures leave nothing behind. */
#include "host/tune/duel.h"

#include "host/base/memory.h"
#include "host/device/null.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"
#include <math.h>
#include <stdlib.h>

enum { MAX_INPUTS = 8 };

typedef struct rig {
    clv_device *device;
    clv_exec_unit unit;
    clv_graph *graph;
    clv_view inputs[MAX_INPUTS];
    clv_cost_db *db;
    clv_way *ways;
    clv_trial trials[2];
    clv_calibration_request request;
    atomic_bool cancel;
} rig;

static void open_rig(rig *r, clv_device_kind kind) {
    *r = (rig){.unit = {.devices = &r->device, .num_devices = 1}};
    const clv_null_options options = {.kind = kind, .find = clv_hash_find};
    assert_ok(clv_null_device_create(&options, &r->device));
    clv_unit_name_init(&r->unit.name, kind == CLV_DEVICE_CORE ? CLV_UNIT_CORE : CLV_UNIT_GPU, 0, 0);
    const clv_hash_graph_options graph = {
        .seed = 3, .num_nodes = 12, .max_bytes = 40, .max_items = 6};
    assert_ok(clv_hash_graph_create(&graph, &r->graph));
    assert_in_range(r->graph->num_inputs, 0, MAX_INPUTS);
    for (size_t i = 0; i < r->graph->num_inputs; i++) {
        const clv_tensor *t = &r->graph->tensors[r->graph->inputs[i]];
        void *data = calloc(1, clv_view_bytes(t->dtype, &t->shape) + 1);
        assert_non_null(data);
        r->inputs[i] = (clv_view){.dtype = t->dtype, .shape = t->shape, .data = data};
    }
    assert_ok(clv_cost_db_open(NULL, &r->db));
    clv_unit_costs costs;
    assert_ok(
        clv_unit_costs_find(r->graph, &r->device->info, 1, r->db, (clv_cost_setting){0}, &costs));
    r->ways = costs.ways;
    costs.ways = NULL;
    clv_unit_costs_deinit(&costs);
    assert_ok(clv_trial_init(r->graph->num_nodes, &r->trials[0]));
    assert_ok(clv_trial_init(r->graph->num_nodes, &r->trials[1]));
    r->request = (clv_calibration_request){
        .graph = r->graph,
        .unit = &r->unit,
        .inputs = r->inputs,
        .db = r->db,
        .cancel = &r->cancel,
    };
}

static void close_rig(rig *r) {
    assert_int_equal(clv_null_num_objects(r->device), 0);
    r->device->vtable->destroy(r->device);
    for (size_t i = 0; i < r->graph->num_inputs; i++) {
        free((void *)r->inputs[i].data);
    }
    clv_trial_deinit(&r->trials[0]);
    clv_trial_deinit(&r->trials[1]);
    clv_free(r->ways);
    clv_graph_destroy(r->graph);
    clv_cost_db_close(r->db);
}

static void check_trial(const rig *r, const clv_trial *trial) {
    double sum = 0;
    assert_true(trial->num_runs >= 5);
    for (size_t i = 0; i < r->graph->num_nodes; i++) {
        assert_true(trial->ways[i].variant == r->ways[i].variant);
        assert_true(trial->node_us[i] >= trial->own_us[i]);
        sum += trial->node_us[i];
    }
    assert_true(sum > 0 && fabs(sum - trial->total_us) < 1e-6 * sum);
}

static void both_are_timed(void **state) {
    (void)state;
    static const clv_device_kind kinds[] = {CLV_DEVICE_CORE, CLV_DEVICE_GPU};
    for (size_t i = 0; i < 2; i++) {
        rig r;
        clv_duel *duel;
        open_rig(&r, kinds[i]);
        assert_ok(clv_duel_create(&r.request, &duel));
        assert_ok(clv_duel_run(duel, (const clv_way *const[]){r.ways, NULL}, false, r.trials));
        check_trial(&r, &r.trials[0]);
        assert_int_equal(r.trials[1].num_runs, 0);
        assert_ok(clv_duel_run(duel, (const clv_way *const[]){r.ways, r.ways}, false, r.trials));
        check_trial(&r, &r.trials[0]);
        check_trial(&r, &r.trials[1]);
        assert_int_equal(r.trials[0].num_runs, r.trials[1].num_runs);
        clv_duel_destroy(duel);
        close_rig(&r);
    }
}

static void interrupts_end_it(void **state) {
    (void)state;
    rig r;
    clv_duel *duel;
    open_rig(&r, CLV_DEVICE_CORE);
    atomic_store(&r.cancel, true);
    assert_ok(clv_duel_create(&r.request, &duel));
    assert_failed(
        CANCELLED, "interrupted",
        clv_duel_run(duel, (const clv_way *const[]){r.ways, r.ways}, false, r.trials));
    assert_int_equal(r.trials[0].num_runs, 0);
    clv_duel_destroy(duel);
    close_rig(&r);
}

static clv_status *duel_once(rig *r) {
    clv_duel *duel = NULL;
    clv_status *status = clv_duel_create(&r->request, &duel);
    if (status == NULL) {
        status = clv_duel_run(duel, (const clv_way *const[]){r->ways, r->ways}, false, r->trials);
    }
    clv_duel_destroy(duel);
    return status;
}

static void failures_leave_nothing_behind(void **state) {
    (void)state;
    for (int64_t n = 0; n < 400; n += 17) {
        rig r;
        open_rig(&r, CLV_DEVICE_CORE);
        clv_memory_fail_at(n);
        clv_status *status = duel_once(&r);
        clv_memory_fail_at(-1);
        assert_true(status == NULL || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
        close_rig(&r);
    }
    for (int64_t n = 0; n < 60; n += 7) {
        rig r;
        open_rig(&r, CLV_DEVICE_CORE);
        clv_null_fail_call_at(r.device, NULL, n);
        clv_status *status = duel_once(&r);
        clv_null_fail_call_at(r.device, NULL, -1);
        clv_status_destroy(status);
        assert_ok(duel_once(&r));
        close_rig(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_are_timed),
        cmocka_unit_test(interrupts_end_it),
        cmocka_unit_test(failures_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
