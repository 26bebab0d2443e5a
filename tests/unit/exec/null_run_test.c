/* The executor on the null driver, with no OpenCL in the program: random graphs on one lane, gangs
 * and queues give the same bytes as going through the nodes one by one; every failure of a driver
 * call or an allocation is reported, leaks nothing, and the next request is right. */
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/exec/session.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"
#include "tests/support/random_plan.h"
#include "tests/support/sample.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

enum { MAX_LANES = 6, MAX_OPERANDS = 8 };

/* --- units ----------------------------------------------------------------------------------- */

typedef struct rig {
    clv_device *devices[MAX_LANES];
    clv_exec_unit unit;
} rig;

/* lanes 0: a device with queues, its threads shuffled by `seed`. */
static void open_rig(rig *r, size_t lanes, uint64_t seed) {
    memset(r, 0, sizeof *r);
    size_t count = lanes == 0 ? 1 : lanes;
    for (size_t i = 0; i < count; i++) {
        const clv_null_options options = {
            .kind = lanes == 0 ? CLV_DEVICE_GPU : CLV_DEVICE_CORE,
            .index = (int)i,
            .find = clv_hash_find,
            .shuffle_seed = seed,
        };
        assert_ok(clv_null_device_create(&options, &r->devices[i]));
    }
    r->unit = (clv_exec_unit){.devices = r->devices, .num_devices = count};
    clv_unit_name_init(
        &r->unit.name,
        lanes == 0   ? CLV_UNIT_GPU
        : lanes == 1 ? CLV_UNIT_CORE
                     : CLV_UNIT_CPU,
        0, 0);
}

static void close_rig(rig *r) {
    for (size_t i = 0; i < r->unit.num_devices; i++) {
        assert_int_equal(clv_null_num_objects(r->devices[i]), 0);
        r->devices[i]->vtable->destroy(r->devices[i]);
    }
}

/* --- graphs and their values ------------------------------------------------------------------ */

typedef struct fixture {
    clv_graph *graph;
    clv_view inputs[MAX_OPERANDS];
    clv_mutable_view wanted[MAX_OPERANDS], outputs[MAX_OPERANDS];
} fixture;

static void *bytes_for(const clv_tensor *tensor) {
    void *data = calloc(1, clv_view_bytes(tensor->dtype, &tensor->shape) + 1);
    assert_non_null(data);
    return data;
}

static void make_fixture(fixture *f, const clv_hash_graph_options *options) {
    memset(f, 0, sizeof *f);
    assert_ok(clv_hash_graph_create(options, &f->graph));
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        const clv_tensor *t = &f->graph->tensors[f->graph->inputs[i]];
        unsigned char *data = bytes_for(t);
        for (int64_t j = 0; j < t->shape.dims[0]; j++) {
            data[j] = (unsigned char)((options->seed + i * 31 + (uint64_t)j * 7) % 250);
        }
        f->inputs[i] = (clv_view){.dtype = t->dtype, .shape = t->shape, .data = data};
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        const clv_tensor *t = &f->graph->tensors[f->graph->outputs[i]];
        f->wanted[i] =
            (clv_mutable_view){.dtype = t->dtype, .shape = t->shape, .data = bytes_for(t)};
        f->outputs[i] = f->wanted[i];
        f->outputs[i].data = bytes_for(t);
    }
    assert_ok(clv_hash_graph_evaluate(f->graph, f->inputs, f->wanted));
}

static void free_fixture(fixture *f) {
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        free((void *)f->inputs[i].data);
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        free(f->wanted[i].data);
        free(f->outputs[i].data);
    }
    clv_graph_destroy(f->graph);
}

static clv_status *run(fixture *f, clv_session *session) {
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        memset(f->outputs[i].data, 0xee, clv_view_bytes(f->outputs[i].dtype, &f->outputs[i].shape));
    }
    return clv_session_run(
        session, f->inputs, f->graph->num_inputs, f->outputs, f->graph->num_outputs);
}

static void check_outputs(const fixture *f, uint64_t seed, size_t lanes) {
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        size_t bytes = clv_view_bytes(f->wanted[i].dtype, &f->wanted[i].shape);
        if (memcmp(f->outputs[i].data, f->wanted[i].data, bytes) != 0) {
            fail_msg("seed %d, %zu lanes: output %zu differs", (int)seed, lanes, i);
        }
    }
}

static const size_t all_lanes[] = {1, 2, 3, 5, 0};
enum { NUM_KINDS = sizeof all_lanes / sizeof all_lanes[0] };

/* --- same results ---------------------------------------------------------------------------- */

static void test_random_graphs(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        if (!clv_test_is_tried(seed)) {
            continue;
        }
        fixture f;
        const clv_hash_graph_options graph_options = {
            .seed = seed,
            .num_nodes = 1 + (uint32_t)(seed * 7 % 40),
            .max_bytes = 300,
            .max_items = 12,
        };
        make_fixture(&f, &graph_options);
        for (size_t i = 0; i < NUM_KINDS; i++) {
            rig r;
            clv_session *session = NULL;
            open_rig(&r, all_lanes[i], seed);
            const clv_session_options options = {.profile = seed % 2 == 0};
            assert_ok(clv_session_create(f.graph, &r.unit, 1, &options, &session));
            for (int n = 0; n < 3; n++) {
                assert_ok(run(&f, session));
                check_outputs(&f, seed, all_lanes[i]);
            }
            const clv_session_report *report = clv_session_report_get(session);
            assert_int_equal(report->requests, 3);
            for (size_t n = 0; n < report->num_nodes; n++) {
                assert_true(options.profile != isnan(report->nodes[n].time_us));
            }
            clv_session_destroy(session);
            close_rig(&r);
        }
        free_fixture(&f);
    }
}

/* --- plans over several units ----------------------------------------------------------------- */

enum { MAX_UNITS = 4, NUM_REQUESTS = 12 };

/* A letter for each unit: a core (c), one at half the speed (h), a gang of two (g), a device with
 * queues (q), one at half the speed (p), a core (f) or a device with queues (s) behind a link that
 * takes some microseconds. */
typedef struct plan_rig {
    rig rigs[MAX_UNITS];
    clv_exec_unit units[MAX_UNITS];
    uint32_t num_units;
} plan_rig;

static void open_plan_rig(plan_rig *r, const char *kinds, uint64_t seed) {
    r->num_units = (uint32_t)strlen(kinds);
    for (uint32_t i = 0; i < r->num_units; i++) {
        const bool has_queues = strchr("qps", kinds[i]) != NULL;
        open_rig(&r->rigs[i], has_queues ? 0 : kinds[i] == 'g' ? 2 : 1, seed + i);
        r->units[i] = r->rigs[i].unit;
        r->units[i].devices = r->rigs[i].devices;
        r->units[i].name.limits.speed = strchr("hp", kinds[i]) != NULL ? 0.5 : 1;
        if (kinds[i] == 'f' || kinds[i] == 's') {
            r->units[i].name.limits.latency_us = 2;
            r->units[i].name.limits.link_per_second = 2e8;
        }
    }
}

static const char *const all_kinds[] = {"q",   "hc",   "chg", "cq",  "qc",   "qq",  "cf",   "ff",
                                        "fcq", "cs",   "sf",  "cpq", "gqcf", "qpp", "ccqq", "sc",
                                        "ss",  "cffg", "pf",  "fq",  "cccc", "pgs", "gg",   "gcg"};
enum { NUM_PLAN_KINDS = sizeof all_kinds / sizeof all_kinds[0] };

static void close_plan_rig(plan_rig *r) {
    for (uint32_t i = 0; i < r->num_units; i++) {
        close_rig(&r->rigs[i]);
    }
}

/* What requests end with, and where they put their outputs. */
typedef struct burst {
    _Atomic uint32_t num_ended, num_good, num_failed;
    clv_signal ended;
    clv_mutable_view outputs[NUM_REQUESTS][MAX_OPERANDS];
} burst;

static void on_done(void *context, clv_status *status) {
    burst *b = context;
    atomic_fetch_add(status == NULL ? &b->num_good : &b->num_failed, 1);
    if (status != NULL) {
        assert_int_equal(clv_status_code(status), CLV_DEVICE_FAILED);
    }
    clv_status_destroy(status);
    clv_signal_add(&b->ended, 1);
}

static void init_burst(const fixture *f, burst *b) {
    memset(b, 0, sizeof *b);
    for (int n = 0; n < NUM_REQUESTS; n++) {
        for (size_t i = 0; i < f->graph->num_outputs; i++) {
            const clv_tensor *t = &f->graph->tensors[f->graph->outputs[i]];
            b->outputs[n][i] =
                (clv_mutable_view){.dtype = t->dtype, .shape = t->shape, .data = bytes_for(t)};
        }
    }
}

static void free_burst(const fixture *f, burst *b) {
    for (int n = 0; n < NUM_REQUESTS; n++) {
        for (size_t i = 0; i < f->graph->num_outputs; i++) {
            free(b->outputs[n][i].data);
        }
    }
}

static void run_burst(const fixture *f, clv_session *session, burst *b) {
    atomic_store(&b->ended.value, 0);
    for (int n = 0; n < NUM_REQUESTS; n++) {
        assert_ok(clv_session_submit(
            session, f->inputs, f->graph->num_inputs, b->outputs[n], f->graph->num_outputs, on_done,
            b));
    }
    clv_signal_wait(&b->ended, NUM_REQUESTS, 0);
}

static void check_burst(const fixture *f, const burst *b, uint64_t seed) {
    for (int n = 0; n < NUM_REQUESTS; n++) {
        for (size_t i = 0; i < f->graph->num_outputs; i++) {
            const size_t bytes = clv_view_bytes(f->wanted[i].dtype, &f->wanted[i].shape);
            if (memcmp(b->outputs[n][i].data, f->wanted[i].data, bytes) != 0) {
                fail_msg("seed %d: request %d, output %zu differs", (int)seed, n, i);
            }
        }
    }
}

/* How a plan is run: 0 in its order, 1 as steps become ready, 2 those in many pieces. */
enum { NUM_SCHEDULES = 3 };

static clv_status *make_planned(
    const fixture *f, const plan_rig *r, uint64_t seed, int schedule, clv_session **out_session) {
    clv_plan *plan = NULL;
    const clv_random_plan_options drawn = {
        .seed = seed,
        .num_units = r->num_units,
        .depth = 1 + (uint32_t)(seed % 4),
        .is_pipeline = seed % 3 == 0,
    };
    CLV_TRY(clv_random_plan(f->graph, &drawn, &plan));
    const clv_session_options options = {
        .plan = plan,
        .profile = seed % 5 == 0,
        .is_dynamic = schedule != 0,
        .chunk_us = schedule == 2 ? 1e-9 : 0,
    };
    clv_status *status =
        clv_session_create(f->graph, r->units, r->num_units, &options, out_session);
    clv_plan_destroy(plan);
    return status;
}

static void test_random_plans(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * NUM_PLAN_KINDS; seed++) {
        if (!clv_test_is_tried(seed)) {
            continue;
        }
        fixture f;
        plan_rig r;
        burst b;
        clv_session *session = NULL;
        const clv_hash_graph_options graph_options = {
            .seed = 1 + seed % 60, /* of these none complains */
            .num_nodes = 1 + (uint32_t)((1 + seed % 60) * 7 % 40),
            .max_bytes = 300,
            .max_items = 12,
        };
        make_fixture(&f, &graph_options);
        open_plan_rig(&r, all_kinds[seed % NUM_PLAN_KINDS], seed);
        init_burst(&f, &b);
        for (int schedule = 0; schedule < NUM_SCHEDULES; schedule++) {
            assert_ok(make_planned(&f, &r, seed, schedule, &session));
            assert_ok(run(&f, session));
            check_outputs(&f, seed, r.num_units);
            run_burst(&f, session, &b);
            assert_int_equal(b.num_failed, 0);
            check_burst(&f, &b, seed);
            assert_ok(run(&f, session));
            check_outputs(&f, seed, r.num_units);
            clv_session_destroy(session);
        }
        close_plan_rig(&r);
        free_burst(&f, &b);
        free_fixture(&f);
    }
}

/* A call that fails in the middle of requests in flight: that request fails, the others and those
 * after them are right. */
static void test_plan_faults(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * NUM_PLAN_KINDS; seed++) {
        if (!clv_test_is_tried(seed)) {
            continue;
        }
        fixture f;
        plan_rig r;
        burst b;
        clv_session *session = NULL;
        const clv_hash_graph_options graph_options = {
            .seed = seed + 300, .num_nodes = 20, .max_bytes = 100, .max_items = 8};
        make_fixture(&f, &graph_options);
        open_plan_rig(&r, all_kinds[seed % NUM_PLAN_KINDS], seed);
        init_burst(&f, &b);
        clv_device *device = r.rigs[seed % r.num_units].devices[0];
        for (int schedule = 0; schedule < NUM_SCHEDULES; schedule++) {
            atomic_store(&b.num_good, 0);
            atomic_store(&b.num_failed, 0);
            assert_ok(make_planned(&f, &r, seed, schedule, &session));
            clv_null_fail_call_at(device, (int64_t)seed * 3);
            run_burst(&f, session, &b);
            assert_true(b.num_failed <= 1);
            assert_int_equal(b.num_good + b.num_failed, NUM_REQUESTS);
            clv_null_fail_call_at(device, -1);
            clv_null_fail_command_at(device, (int64_t)seed * 2); /* fails what is behind it too */
            run_burst(&f, session, &b);
            clv_null_fail_command_at(device, -1);
            run_burst(&f, session, &b);
            check_burst(&f, &b, seed);
            clv_session_destroy(session);
        }
        close_plan_rig(&r);
        free_burst(&f, &b);
        free_fixture(&f);
    }
}

/* Blocks smaller than the arena: several buffers. */
static void test_small_blocks(void **state) {
    (void)state;
    for (uint64_t seed = 100; seed < 110; seed++) {
        fixture f;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 30, .max_bytes = 1000, .max_items = 6};
        make_fixture(&f, &graph_options);
        for (size_t i = 0; i < NUM_KINDS; i++) {
            rig r;
            clv_session *session = NULL;
            open_rig(&r, all_lanes[i], seed);
            r.devices[0]->info.max_alloc_bytes = 1088;
            assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &session));
            assert_ok(run(&f, session));
            check_outputs(&f, seed, all_lanes[i]);
            clv_session_destroy(session);
            close_rig(&r);
        }
        free_fixture(&f);
    }
}

/* Launches of more work-items than a device takes at once are cut, wherever that falls. */
static void test_long_launches(void **state) {
    (void)state;
    for (uint64_t seed = 400; seed < 412; seed++) {
        fixture f;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 20, .max_bytes = 300, .max_items = 40};
        make_fixture(&f, &graph_options);
        for (size_t i = 0; i < NUM_KINDS; i++) {
            size_t steps[2];
            const uint64_t least = all_lanes[i] == 0 ? CLV_HASH_LOCAL_SIZE : 1;
            for (int limited = 0; limited < 2; limited++) {
                rig r;
                clv_session *session = NULL;
                open_rig(&r, all_lanes[i], seed);
                r.devices[0]->info.max_items = limited != 0 ? least + seed % 7 : 0;
                assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &session));
                assert_ok(run(&f, session));
                check_outputs(&f, seed, all_lanes[i]);
                steps[limited] = clv_session_report_get(session)->steps;
                clv_session_destroy(session);
                close_rig(&r);
            }
            assert_true(steps[1] > steps[0]);
        }
        free_fixture(&f);
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
        rig r;
        clv_session *session = NULL;
        open_rig(&r, all_lanes[i], 3);
        assert_failed(
            UNSUPPORTED, "items, at most 2^31 - 1 are possible",
            clv_session_create(graph, &r.unit, 1, NULL, &session));
        close_rig(&r);
    }
    clv_graph_destroy(graph);
}

/* With keep_all every tensor can be read afterwards, and outputs read as they were given. */
static void test_keep_all(void **state) {
    (void)state;
    fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 5, .num_nodes = 25, .max_bytes = 200, .max_items = 4};
    make_fixture(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        rig r;
        clv_session *session = NULL;
        const clv_session_options options = {.keep_all = true};
        size_t num_read = 0, num_constants = 0;
        open_rig(&r, all_lanes[i], 5);
        assert_ok(clv_session_create(f.graph, &r.unit, 1, &options, &session));
        assert_ok(run(&f, session));
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
        check_outputs(&f, 5, all_lanes[i]);
        for (clv_tensor_id t = 0; t < f.graph->num_tensors; t++) {
            num_read += clv_session_has_tensor(session, t);
        }
        assert_true(num_read > f.graph->num_outputs);
        assert_true(num_constants > 0);
        clv_session_destroy(session);
        close_rig(&r);
    }
    free_fixture(&f);
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
        fixture f;
        rig r;
        clv_session *session = NULL;
        size_t input;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 12, .max_bytes = 50, .max_items = 4};
        make_fixture(&f, &graph_options);
        open_rig(&r, 0, seed);
        null_vtable = r.devices[0]->vtable;
        clv_device_vtable counting = *null_vtable;
        counting.queue_create = count_queue;
        r.devices[0]->vtable = &counting;
        assert_ok(clv_session_create(f.graph, &r.unit, 1, NULL, &session));
        assert_ok(run(&f, session));
        const int num_before = num_queues;
        assert_ok(run(&f, session));
        assert_ok(run(&f, session));
        assert_int_equal(num_queues, num_before);
        num_seen += clv_hash_graph_complains(f.graph, &input) ? 1 : 0;
        clv_session_destroy(session);
        close_rig(&r);
        free_fixture(&f);
    }
    assert_true(num_seen > 0);
}

static void test_forbidden_values(void **state) {
    (void)state;
    int seen = 0;
    for (uint64_t seed = 200; seed < 230; seed++) {
        fixture f;
        size_t input;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 12, .max_bytes = 50, .max_items = 4};
        make_fixture(&f, &graph_options);
        if (!clv_hash_graph_complains(f.graph, &input)) {
            free_fixture(&f);
            continue;
        }
        for (size_t i = 0; i < NUM_KINDS; i++) {
            rig r;
            clv_session *session = NULL;
            const clv_session_options options = {.keep_all = true};
            open_rig(&r, all_lanes[i], seed);
            assert_ok(clv_session_create(f.graph, &r.unit, 1, &options, &session));
            unsigned char *byte = (unsigned char *)f.inputs[input].data, before = *byte;
            *byte = CLV_HASH_FORBIDDEN;
            clv_status *status = run(&f, session);
            *byte = before;
            if (status != NULL) { /* else nobody needs that node's result */
                seen++;
                assert_failed(MALFORMED, "Hash 'hash", status);
            }
            assert_ok(run(&f, session));
            check_outputs(&f, seed, all_lanes[i]);
            clv_session_destroy(session);
            close_rig(&r);
        }
        free_fixture(&f);
    }
    assert_true(seen > 10);
}

static void test_operands(void **state) {
    (void)state;
    fixture f;
    rig r;
    clv_session *session = NULL;
    const clv_hash_graph_options graph_options = {
        .seed = 9, .num_nodes = 5, .max_bytes = 50, .max_items = 4};
    make_fixture(&f, &graph_options);
    open_rig(&r, 1, 0);
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
    assert_ok(run(&f, session));
    check_outputs(&f, 9, 1);
    clv_session_destroy(session);
    close_rig(&r);
    free_fixture(&f);
}

static void test_limits(void **state) {
    (void)state;
    fixture f;
    rig r;
    clv_session *session = NULL;
    const clv_hash_graph_options graph_options = {
        .seed = 9, .num_nodes = 20, .max_bytes = 500, .max_items = 4};
    make_fixture(&f, &graph_options);
    open_rig(&r, 2, 0);
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
    assert_ok(run(&f, session));
    check_outputs(&f, 9, 2);
    clv_session_destroy(session);
    close_rig(&r);
    free_fixture(&f);
}

static void test_cancel(void **state) {
    (void)state;
    fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 9, .num_nodes = 20, .max_bytes = 50, .max_items = 4};
    make_fixture(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        rig r;
        clv_session *session = NULL;
        atomic_bool cancel = true;
        const clv_session_options options = {.cancel = &cancel};
        open_rig(&r, all_lanes[i], 3);
        assert_ok(clv_session_create(f.graph, &r.unit, 1, &options, &session));
        assert_failed(CANCELLED, "interrupted", run(&f, session));
        atomic_store(&cancel, false);
        assert_ok(run(&f, session));
        check_outputs(&f, 9, all_lanes[i]);
        clv_session_destroy(session);
        close_rig(&r);
    }
    free_fixture(&f);
}

/* --- faults ---------------------------------------------------------------------------------- */

/* Makes a session, runs two requests, and looks at what it recorded of them. */
static clv_status *whole_life(fixture *f, rig *r, bool keeps_record) {
    clv_session *session = NULL;
    clv_record *record = NULL;
    const clv_session_options options = {.profile = true, .num_recorded = keeps_record ? 2 : 0};
    CLV_TRY(clv_session_create(f->graph, &r->unit, 1, &options, &session));
    clv_status *status = run(f, session);
    if (status != NULL) { /* the session is as good as before */
        clv_status *again = run(f, session);
        if (again != NULL) {
            print_error("%s\n", clv_status_message(again));
        }
        assert_null(again);
    }
    check_outputs(f, 0, r->unit.num_devices);
    if (status == NULL && keeps_record) {
        status = clv_session_record(session, &record);
    }
    clv_record_destroy(record);
    clv_session_destroy(session);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 21, .num_nodes = 10, .max_bytes = 60, .max_items = 5};
    make_fixture(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        rig r;
        open_rig(&r, all_lanes[i], 0);
        for (size_t device = 0; device < r.unit.num_devices; device++) {
            for (int commands = 0; commands < 2; commands++) {
                int64_t failures = 0;
                for (int64_t n = 0;; n++) {
                    if (commands != 0) {
                        clv_null_fail_command_at(r.devices[device], n);
                    } else {
                        clv_null_fail_call_at(r.devices[device], n);
                    }
                    clv_status *status = whole_life(&f, &r, false);
                    clv_null_fail_call_at(r.devices[device], -1);
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
        close_rig(&r);
    }
    free_fixture(&f);
}

static void test_allocation_failures(void **state) {
    (void)state;
    fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 22, .num_nodes = 8, .max_bytes = 60, .max_items = 5};
    make_fixture(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        rig r;
        open_rig(&r, all_lanes[i], 0);
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
        close_rig(&r);
    }
    free_fixture(&f);
}

/* --- many callers ---------------------------------------------------------------------------- */

typedef struct caller {
    fixture *f;
    clv_session *session;
    pthread_t thread;
    int wrong;
} caller;

static void *call_often(void *argument) {
    caller *c = argument;
    clv_mutable_view outputs[MAX_OPERANDS];
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
    fixture f;
    const clv_hash_graph_options graph_options = {
        .seed = 23, .num_nodes = 15, .max_bytes = 100, .max_items = 6};
    make_fixture(&f, &graph_options);
    for (size_t i = 0; i < NUM_KINDS; i++) {
        enum { NUM_CALLERS = 4 };
        rig r;
        clv_session *sessions[2] = {NULL};
        caller callers[NUM_CALLERS];
        open_rig(&r, all_lanes[i], 23);
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
        close_rig(&r);
    }
    free_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs), cmocka_unit_test(test_random_plans),
        cmocka_unit_test(test_plan_faults),   cmocka_unit_test(test_small_blocks),
        cmocka_unit_test(test_long_launches), cmocka_unit_test(test_too_many_items),
        cmocka_unit_test(test_keep_all),      cmocka_unit_test(test_forbidden_values),
        cmocka_unit_test(test_queues_stay),   cmocka_unit_test(test_operands),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_faults),        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
