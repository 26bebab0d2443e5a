/* The executor on the null driver, with no OpenCL in the program: random graphs on one lane, gangs
 * and queues give the same bytes as going through the nodes one by one; every failure of a driver
 * call or an allocation is reported, leaks nothing, and the next request is right. */
#include "host/base/memory.h"
#include "tests/support/hash_rig.h"
#include "tests/support/sample.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

static const size_t all_lanes[] = {1, 2, 3, 5, 0};
enum { NUM_KINDS = sizeof all_lanes / sizeof all_lanes[0] };

/* --- same results ---------------------------------------------------------------------------- */

static void test_random_graphs(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        if (!clv_test_is_tried(seed)) {
            continue;
        }
        clv_hash_fixture f;
        const clv_hash_graph_options graph_options = {
            .seed = seed,
            .num_nodes = 1 + (uint32_t)(seed * 7 % 40),
            .max_bytes = 300,
            .max_items = 12,
        };
        clv_hash_fixture_init(&f, &graph_options);
        for (size_t i = 0; i < NUM_KINDS; i++) {
            clv_hash_rig r;
            clv_session *session = NULL;
            clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = seed});
            const clv_session_options options = {.profile = seed % 2 == 0};
            assert_ok(clv_session_create(f.graph, &r.unit, 1, &options, &session));
            for (int n = 0; n < 3; n++) {
                assert_ok(clv_hash_run(&f, session));
                clv_hash_check(&f, seed, all_lanes[i]);
            }
            const clv_session_report *report = clv_session_report_get(session);
            assert_int_equal(report->requests, 3);
            for (size_t n = 0; n < report->num_nodes; n++) {
                assert_true(options.profile != isnan(report->nodes[n].time_us));
            }
            clv_session_destroy(session);
            clv_hash_rig_close(&r);
        }
        clv_hash_fixture_deinit(&f);
    }
}

static void test_random_plans(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * CLV_HASH_NUM_KINDS; seed++) {
        if (!clv_test_is_tried(seed)) {
            continue;
        }
        clv_hash_fixture f;
        clv_hash_units r;
        clv_hash_burst b;
        clv_session *session = NULL;
        const clv_hash_graph_options graph_options = {
            .seed = 1 + seed % 60, /* of these none complains */
            .num_nodes = 1 + (uint32_t)((1 + seed % 60) * 7 % 40),
            .max_bytes = 300,
            .max_items = 12,
        };
        clv_hash_fixture_init(&f, &graph_options);
        clv_hash_units_open(
            &r, clv_hash_kinds[seed % CLV_HASH_NUM_KINDS],
            &(clv_hash_manner){.shuffle_seed = seed});
        clv_hash_burst_init(&f, &b);
        for (int schedule = 0; schedule < CLV_HASH_NUM_SCHEDULES; schedule++) {
            assert_ok(clv_hash_session(
                &f, &r, &(clv_hash_session_options){.seed = seed, .schedule = schedule}, &session));
            assert_ok(clv_hash_run(&f, session));
            clv_hash_check(&f, seed, r.num_units);
            clv_hash_burst_run(session, &b);
            assert_int_equal(b.num_failed, 0);
            clv_hash_burst_check(&b, seed);
            assert_ok(clv_hash_run(&f, session));
            clv_hash_check(&f, seed, r.num_units);
            clv_session_destroy(session);
        }
        clv_hash_units_close(&r);
        clv_hash_burst_deinit(&b);
        clv_hash_fixture_deinit(&f);
    }
}

/* Blocks smaller than the arena: several buffers. */
static void test_small_blocks(void **state) {
    (void)state;
    for (uint64_t seed = 100; seed < 110; seed++) {
        clv_hash_fixture f;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 30, .max_bytes = 1000, .max_items = 6};
        clv_hash_fixture_init(&f, &graph_options);
        for (size_t i = 0; i < NUM_KINDS; i++) {
            clv_hash_rig r;
            clv_session *session = NULL;
            clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = seed});
            r.devices[0]->info.max_alloc_bytes = 1088;
            assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &session));
            assert_ok(clv_hash_run(&f, session));
            clv_hash_check(&f, seed, all_lanes[i]);
            clv_session_destroy(session);
            clv_hash_rig_close(&r);
        }
        clv_hash_fixture_deinit(&f);
    }
}

/* Launches of more work-items than a device takes at once are cut, wherever that falls. */
static void test_long_launches(void **state) {
    (void)state;
    for (uint64_t seed = 400; seed < 412; seed++) {
        clv_hash_fixture f;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 20, .max_bytes = 300, .max_items = 40};
        clv_hash_fixture_init(&f, &graph_options);
        for (size_t i = 0; i < NUM_KINDS; i++) {
            size_t steps[2];
            const uint64_t least = all_lanes[i] == 0 ? CLV_HASH_LOCAL_SIZE : 1;
            for (int limited = 0; limited < 2; limited++) {
                clv_hash_rig r;
                clv_session *session = NULL;
                clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = seed});
                r.devices[0]->info.max_items = limited != 0 ? least + seed % 7 : 0;
                assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &session));
                assert_ok(clv_hash_run(&f, session));
                clv_hash_check(&f, seed, all_lanes[i]);
                steps[limited] = clv_session_report_get(session)->steps;
                clv_session_destroy(session);
                clv_hash_rig_close(&r);
            }
            assert_true(steps[1] > steps[0]);
        }
        clv_hash_fixture_deinit(&f);
    }
}

/* More items than a launch may have: no fault of ours, nor of the model. */
static void test_too_many_items(void **state) {
    (void)state;
    const clv_hash_graph_options options = {
        .seed = 3, .num_nodes = 10, .max_bytes = 100, .max_items = UINT32_MAX};
    clv_graph *graph = NULL;
    assert_ok(clv_hash_graph_create(&options, &graph));
    for (size_t i = 0; i < NUM_KINDS; i++) {
        clv_hash_rig r;
        clv_session *session = NULL;
        clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = 3});
        assert_failed(
            UNSUPPORTED, "items, at most 2^31 - 1 are possible",
            clv_session_create(graph, &r.unit, 1, NULL, &session));
        clv_hash_rig_close(&r);
    }
    clv_graph_destroy(graph);
}

/* With keep_all every tensor can be read afterwards, and outputs read as they were given. */
static void test_keep_all(void **state) {
    (void)state;
    clv_hash_fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 5, .num_nodes = 25, .max_bytes = 200, .max_items = 4};
    clv_hash_fixture_init(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        clv_hash_rig r;
        clv_session *session = NULL;
        const clv_session_options options = {.keep_all = true};
        size_t num_read = 0, num_constants = 0;
        clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = 5});
        assert_ok(clv_session_create(f.graph, &r.unit, 1, &options, &session));
        assert_ok(clv_hash_run(&f, session));
        for (size_t j = 0; j < f.graph->num_outputs; j++) {
            assert_true(clv_session_has_tensor(session, f.graph->outputs[j]));
            assert_ok(clv_session_read_tensor(session, f.graph->outputs[j], &f.outputs[j]));
        }
        for (clv_tensor_id t = 0; t < f.graph->num_tensors; t++) {
            const clv_tensor *tensor = &f.graph->tensors[t];
            const clv_mutable_view nowhere = {.dtype = tensor->dtype, .shape = tensor->shape};
            if (tensor->data != NULL && clv_view_bytes(tensor->dtype, &tensor->shape) != 0) {
                num_constants++;
                assert_failed(
                    USAGE, "has no memory", clv_session_read_tensor(session, t, &nowhere));
            }
        }
        clv_hash_check(&f, 5, all_lanes[i]);
        for (clv_tensor_id t = 0; t < f.graph->num_tensors; t++) {
            num_read += clv_session_has_tensor(session, t);
        }
        assert_true(num_read > f.graph->num_outputs);
        assert_true(num_constants > 0);
        clv_session_destroy(session);
        clv_hash_rig_close(&r);
    }
    clv_hash_fixture_deinit(&f);
}

/* --- errors ---------------------------------------------------------------------------------- */

static _Atomic int num_queues;
static const clv_device_vtable *null_vtable;

static clv_status *count_queue(clv_device *device, clv_queue_role role, clv_queue **out_queue) {
    atomic_fetch_add(&num_queues, 1);
    return null_vtable->queue_create(device, role, out_queue);
}

/* Error words of a device are read on a queue that stays. */
static void test_queues_stay(void **state) {
    (void)state;
    int num_seen = 0;
    for (uint64_t seed = 200; seed < 230; seed++) {
        clv_hash_fixture f;
        clv_hash_rig r;
        clv_session *session = NULL;
        size_t input;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 12, .max_bytes = 50, .max_items = 4};
        clv_hash_fixture_init(&f, &graph_options);
        clv_hash_rig_open(&r, 0, &(clv_hash_manner){.shuffle_seed = seed});
        null_vtable = r.devices[0]->vtable;
        clv_device_vtable counting = *null_vtable;
        counting.queue_create = count_queue;
        r.devices[0]->vtable = &counting;
        assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &session));
        assert_ok(clv_hash_run(&f, session));
        const int num_before = num_queues;
        assert_ok(clv_hash_run(&f, session));
        assert_ok(clv_hash_run(&f, session));
        assert_int_equal(num_queues, num_before);
        num_seen += clv_hash_graph_complains(f.graph, &input) ? 1 : 0;
        clv_session_destroy(session);
        clv_hash_rig_close(&r);
        clv_hash_fixture_deinit(&f);
    }
    assert_true(num_seen > 0);
}

static void test_forbidden_values(void **state) {
    (void)state;
    int seen = 0;
    for (uint64_t seed = 200; seed < 230; seed++) {
        clv_hash_fixture f;
        size_t input;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 12, .max_bytes = 50, .max_items = 4};
        clv_hash_fixture_init(&f, &graph_options);
        if (!clv_hash_graph_complains(f.graph, &input)) {
            clv_hash_fixture_deinit(&f);
            continue;
        }
        for (size_t i = 0; i < NUM_KINDS; i++) {
            clv_hash_rig r;
            clv_session *session = NULL;
            const clv_session_options options = {.keep_all = true};
            clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = seed});
            assert_ok(clv_session_create(f.graph, &r.unit, 1, &options, &session));
            unsigned char *byte = (unsigned char *)f.inputs[input].data, before = *byte;
            *byte = CLV_HASH_FORBIDDEN;
            clv_status *status = clv_hash_run(&f, session);
            *byte = before;
            if (status != NULL) { /* else nobody needs that node's result */
                seen++;
                assert_failed(MALFORMED, "Hash 'hash", status);
            }
            assert_ok(clv_hash_run(&f, session));
            clv_hash_check(&f, seed, all_lanes[i]);
            clv_session_destroy(session);
            clv_hash_rig_close(&r);
        }
        clv_hash_fixture_deinit(&f);
    }
    assert_true(seen > 10);
}

static void test_operands(void **state) {
    (void)state;
    clv_hash_fixture f;
    clv_hash_rig r;
    clv_session *session = NULL;
    const clv_hash_graph_options graph_options = {
        .seed = 9, .num_nodes = 5, .max_bytes = 50, .max_items = 4};
    clv_hash_fixture_init(&f, &graph_options);
    clv_hash_rig_open(&r, 1, &(clv_hash_manner){.shuffle_seed = 0});
    assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &session));
    assert_failed(
        USAGE, "2 inputs", clv_session_run(session, f.inputs, 2, f.outputs, f.graph->num_outputs));
    clv_view wrong[3] = {f.inputs[0], f.inputs[1], f.inputs[2]};
    wrong[1].dtype = CLV_INT8;
    assert_failed(
        USAGE, "input 't1' is int8",
        clv_session_run(session, wrong, 3, f.outputs, f.graph->num_outputs));
    wrong[1] = f.inputs[1];
    wrong[1].shape.dims[0]++;
    assert_failed(
        USAGE, "input 't1'", clv_session_run(session, wrong, 3, f.outputs, f.graph->num_outputs));
    wrong[1] = f.inputs[1];
    wrong[1].data = NULL;
    assert_failed(
        USAGE, "'t1' has no data",
        clv_session_run(session, wrong, 3, f.outputs, f.graph->num_outputs));
    assert_ok(clv_hash_run(&f, session));
    clv_hash_check(&f, 9, 1);
    clv_session_destroy(session);
    clv_hash_rig_close(&r);
    clv_hash_fixture_deinit(&f);
}

static void test_limits(void **state) {
    (void)state;
    clv_hash_fixture f;
    clv_hash_rig r;
    clv_session *session = NULL;
    const clv_hash_graph_options graph_options = {
        .seed = 9, .num_nodes = 20, .max_bytes = 500, .max_items = 4};
    clv_hash_fixture_init(&f, &graph_options);
    clv_hash_rig_open(&r, 2, &(clv_hash_manner){.shuffle_seed = 0});
    r.unit.name.limits.memory_bytes = 100;
    assert_failed(
        NO_MEMORY, "and may hold 100: ", clv_session_create(f.graph, &r.unit, 1, NULL, &session));
    r.unit.name.limits.memory_bytes = 1 << 20;
    r.devices[0]->info.memory_bytes = 64;
    assert_failed(
        NO_MEMORY,
        "and the device has 64: ", clv_session_create(f.graph, &r.unit, 1, NULL, &session));
    r.devices[0]->info.memory_bytes = 1 << 20;
    r.unit.name.limits.speed = 0.5;
    assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &session));
    assert_ok(clv_hash_run(&f, session));
    clv_hash_check(&f, 9, 2);
    clv_session_destroy(session);
    clv_hash_rig_close(&r);
    clv_hash_fixture_deinit(&f);
}

static void test_cancel(void **state) {
    (void)state;
    clv_hash_fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 9, .num_nodes = 20, .max_bytes = 50, .max_items = 4};
    clv_hash_fixture_init(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        clv_hash_rig r;
        clv_session *session = NULL;
        atomic_bool cancel = true;
        const clv_session_options options = {.cancel = &cancel};
        clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = 3});
        assert_ok(clv_session_create(f.graph, &r.unit, 1, &options, &session));
        assert_failed(CANCELLED, "interrupted", clv_hash_run(&f, session));
        atomic_store(&cancel, false);
        assert_ok(clv_hash_run(&f, session));
        clv_hash_check(&f, 9, all_lanes[i]);
        clv_session_destroy(session);
        clv_hash_rig_close(&r);
    }
    clv_hash_fixture_deinit(&f);
}

/* --- faults ---------------------------------------------------------------------------------- */

/* Makes a session, runs two requests, and looks at what it recorded of them. */
static clv_status *whole_life(clv_hash_fixture *f, clv_hash_rig *r, bool keeps_record) {
    clv_session *session = NULL;
    clv_record *record = NULL;
    const clv_session_options options = {.profile = true, .num_recorded = keeps_record ? 2 : 0};
    CLV_TRY(clv_session_create(f->graph, &r->unit, 1, &options, &session));
    clv_status *status = clv_hash_run(f, session);
    if (status != NULL) { /* the session is as good as before */
        clv_status *again = clv_hash_run(f, session);
        if (again != NULL) {
            print_error("%s\n", clv_status_message(again));
        }
        assert_null(again);
    }
    clv_hash_check(f, 0, r->unit.num_devices);
    if (status == NULL && keeps_record) {
        status = clv_session_record(session, &record);
    }
    clv_record_destroy(record);
    clv_session_destroy(session);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    clv_hash_fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 21, .num_nodes = 10, .max_bytes = 60, .max_items = 5};
    clv_hash_fixture_init(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        clv_hash_rig r;
        clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = 0});
        for (size_t device = 0; device < r.unit.num_devices; device++) {
            for (int commands = 0; commands < 2; commands++) {
                int64_t failures = 0;
                for (int64_t n = 0;; n++) {
                    if (commands != 0) {
                        clv_null_fail_command_at(r.devices[device], n);
                    } else {
                        clv_null_fail_call_at(r.devices[device], NULL, n);
                    }
                    clv_status *status = whole_life(&f, &r, false);
                    clv_null_fail_call_at(r.devices[device], NULL, -1);
                    clv_null_fail_command_at(r.devices[device], -1);
                    if (status == NULL) {
                        break;
                    }
                    failures++;
                    assert_failed(DEVICE_FAILED, "as it was told to", status);
                    assert_int_equal(clv_null_num_objects(r.devices[device]), 0);
                }
                assert_true(failures > (device == 0 ? 3 : commands != 0 ? -1 : 0));
            }
        }
        clv_hash_rig_close(&r);
    }
    clv_hash_fixture_deinit(&f);
}

static void test_allocation_failures(void **state) {
    (void)state;
    clv_hash_fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 22, .num_nodes = 8, .max_bytes = 60, .max_items = 5};
    clv_hash_fixture_init(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        clv_hash_rig r;
        clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = 0});
        for (int64_t n = 0;; n++) {
            if (!clv_test_is_tried((uint64_t)n)) {
                continue;
            }
            int64_t before = clv_memory_count();
            clv_memory_fail_at(n);
            clv_status *status = whole_life(&f, &r, true);
            clv_memory_fail_at(-1);
            bool reached = clv_memory_count() - before > n;
            if (status != NULL) {
                assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
            }
            clv_status_destroy(status);
            if (!reached) {
                assert_true(n > 20);
                break;
            }
        }
        clv_hash_rig_close(&r);
    }
    clv_hash_fixture_deinit(&f);
}

/* --- many callers ---------------------------------------------------------------------------- */

typedef struct caller {
    clv_hash_fixture *f;
    clv_session *session;
    pthread_t thread;
    int wrong;
} caller;

static void *call_often(void *argument) {
    caller *c = argument;
    clv_mutable_view outputs[CLV_HASH_MAX_OPERANDS];
    for (size_t i = 0; i < c->f->graph->num_outputs; i++) {
        outputs[i] = c->f->wanted[i];
        outputs[i].data = calloc(1, clv_view_bytes(outputs[i].dtype, &outputs[i].shape) + 1);
    }
    for (int n = 0; n < 20; n++) {
        clv_status *status = clv_session_run(
            c->session, c->f->inputs, c->f->graph->num_inputs, outputs, c->f->graph->num_outputs);
        c->wrong += status != NULL;
        clv_status_destroy(status);
        for (size_t i = 0; i < c->f->graph->num_outputs; i++) {
            size_t bytes = clv_view_bytes(outputs[i].dtype, &outputs[i].shape);
            c->wrong += memcmp(outputs[i].data, c->f->wanted[i].data, bytes) != 0;
        }
    }
    for (size_t i = 0; i < c->f->graph->num_outputs; i++) {
        free(outputs[i].data);
    }
    return NULL;
}

/* Threads share two sessions, which share devices. */
static void test_threads(void **state) {
    (void)state;
    clv_hash_fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 23, .num_nodes = 15, .max_bytes = 100, .max_items = 6};
    clv_hash_fixture_init(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        enum { NUM_CALLERS = 4 };
        clv_hash_rig r;
        clv_session *sessions[2] = {NULL};
        caller callers[NUM_CALLERS];
        clv_hash_rig_open(&r, all_lanes[i], &(clv_hash_manner){.shuffle_seed = 23});
        for (int j = 0; j < 2; j++) {
            assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &sessions[j]));
        }
        for (int j = 0; j < NUM_CALLERS; j++) {
            callers[j] = (caller){.f = &f, .session = sessions[j % 2]};
            assert_int_equal(pthread_create(&callers[j].thread, NULL, call_often, &callers[j]), 0);
        }
        for (int j = 0; j < NUM_CALLERS; j++) {
            pthread_join(callers[j].thread, NULL);
            assert_int_equal(callers[j].wrong, 0);
        }
        assert_int_equal(clv_session_report_get(sessions[0])->requests, NUM_CALLERS / 2 * 20);
        clv_session_destroy(sessions[0]);
        clv_session_destroy(sessions[1]);
        clv_hash_rig_close(&r);
    }
    clv_hash_fixture_deinit(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_random_plans),
        cmocka_unit_test(test_small_blocks),
        cmocka_unit_test(test_long_launches),
        cmocka_unit_test(test_too_many_items),
        cmocka_unit_test(test_keep_all),
        cmocka_unit_test(test_forbidden_values),
        cmocka_unit_test(test_queues_stay),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
