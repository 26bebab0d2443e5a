/* Steps that do not end, on the null driver: whoever is at one is reported once, with what all
 * others are at and wait for; with a limit the request fails when it ends at last, and the next one
 * is right. No clock is looked at: a kernel is held until the watchdog has spoken. */
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/exec/session.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"
#include "tests/support/random_plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPERANDS = 8, MAX_UNITS = 3, MESSAGE = 2000 };

/* --- kernels that are held ------------------------------------------------------------------- */

static _Atomic int64_t launches_left; /* until one is held; negative: none is */
static clv_signal released;

static void run_held(const clv_null_launch *launch) {
    if (atomic_fetch_sub(&launches_left, 1) == 0) {
        clv_signal_wait(&released, 1, 0);
    }
    clv_hash_find(launch->entry)(launch);
}

static clv_null_function find(const char *entry) {
    return clv_hash_find(entry) != NULL ? run_held : NULL;
}

/* --- what the watchdog says ------------------------------------------------------------------ */

static clv_signal told;
static char said[MESSAGE];
static atomic_bool listens; /* to the next message; others may come on a busy machine */

static void on_stuck(void *context, const char *message) {
    if (atomic_exchange(&listens, false)) {
        snprintf(context, MESSAGE, "%s", message);
        clv_signal_add(&told, 1);
    }
}

static _Atomic int num_no_warnings;

static void on_log(void *context, clv_log_level level, const char *message) {
    atomic_fetch_add(&num_no_warnings, level != CLV_LOG_WARNING ? 1 : 0);
    on_stuck(context, message);
}

/* --- units and a graph ----------------------------------------------------------------------- */

typedef struct fixture {
    clv_device *devices[MAX_UNITS];
    clv_exec_unit units[MAX_UNITS];
    uint32_t num_units;
    clv_graph *graph;
    clv_view inputs[MAX_OPERANDS];
    clv_mutable_view wanted[MAX_OPERANDS], outputs[MAX_OPERANDS];
    clv_session *session;
} fixture;

static clv_mutable_view make_view(const clv_tensor *t) {
    void *data = calloc(1, clv_view_bytes(t->dtype, &t->shape) + 1);
    assert_non_null(data);
    return (clv_mutable_view){.dtype = t->dtype, .shape = t->shape, .data = data};
}

/* c: a core; q: a device with queues. */
static void open_fixture(fixture *f, const char *kinds) {
    memset(f, 0, sizeof *f);
    f->num_units = (uint32_t)strlen(kinds);
    for (uint32_t i = 0; i < f->num_units; i++) {
        const bool has_queues = kinds[i] == 'q';
        const clv_null_options options = {
            .kind = has_queues ? CLV_DEVICE_GPU : CLV_DEVICE_CORE, .index = (int)i, .find = find};
        assert_ok(clv_null_device_create(&options, &f->devices[i]));
        f->units[i] = (clv_exec_unit){.devices = &f->devices[i], .num_devices = 1};
        clv_unit_name_init(&f->units[i].name, has_queues ? CLV_UNIT_GPU : CLV_UNIT_CORE, 0, (int)i);
    }
    const clv_hash_graph_options options = {
        .seed = 4, .num_nodes = 16, .max_bytes = 100, .max_items = 6};
    assert_ok(clv_hash_graph_create(&options, &f->graph));
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        const clv_mutable_view view = make_view(&f->graph->tensors[f->graph->inputs[i]]);
        f->inputs[i] = (clv_view){.dtype = view.dtype, .shape = view.shape, .data = view.data};
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        f->wanted[i] = make_view(&f->graph->tensors[f->graph->outputs[i]]);
        f->outputs[i] = make_view(&f->graph->tensors[f->graph->outputs[i]]);
    }
    assert_ok(clv_hash_graph_evaluate(f->graph, f->inputs, f->wanted));
}

static void close_fixture(fixture *f) {
    clv_session_destroy(f->session);
    for (uint32_t i = 0; i < f->num_units; i++) {
        assert_int_equal(clv_null_num_objects(f->devices[i]), 0);
        f->devices[i]->vtable->destroy(f->devices[i]);
    }
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        free((void *)f->inputs[i].data);
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        free(f->wanted[i].data);
        free(f->outputs[i].data);
    }
    clv_graph_destroy(f->graph);
}

static void open_session(fixture *f, bool is_dynamic, const clv_watch_options *watch) {
    clv_plan *plan = NULL;
    const clv_random_plan_options drawn = {
        .seed = 5, .num_units = f->num_units, .depth = 2, .is_pipeline = true};
    assert_ok(clv_random_plan(f->graph, &drawn, &plan));
    const clv_session_options options = {.plan = plan, .is_dynamic = is_dynamic, .watch = *watch};
    atomic_store(&launches_left, -1);
    assert_ok(clv_session_create(f->graph, f->units, f->num_units, &options, &f->session));
    clv_plan_destroy(plan);
}

static clv_signal ended;
static clv_status *end_status;

static void on_done(void *context, clv_status *status) {
    (void)context;
    end_status = status;
    clv_signal_add(&ended, 1);
}

/* A request whose launch number `at` is held until the watchdog has spoken. */
static clv_status *run_held_at(fixture *f, int64_t at) {
    const uint32_t num_told = told.value, num_ended = ended.value;
    atomic_store(&listens, true);
    atomic_store(&released.value, 0);
    atomic_store(&launches_left, at);
    assert_ok(clv_session_submit(
        f->session, f->inputs, f->graph->num_inputs, f->outputs, f->graph->num_outputs, on_done,
        NULL));
    clv_signal_wait(&told, num_told + 1, 0);
    clv_signal_set(&released, 1);
    clv_signal_wait(&ended, num_ended + 1, 0);
    return end_status;
}

static void check_outputs(const fixture *f) {
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        const size_t bytes = clv_view_bytes(f->wanted[i].dtype, &f->wanted[i].shape);
        assert_memory_equal(f->outputs[i].data, f->wanted[i].data, bytes);
    }
}

/* A node of the graph, in quotes, is what the message is about. */
static void check_said(const fixture *f) {
    const char *quote = strchr(said, '\'');
    bool is_known = false;
    for (size_t i = 0; quote != NULL && i < f->graph->num_nodes + f->graph->num_tensors; i++) {
        const char *name = i < f->graph->num_nodes
                               ? f->graph->nodes[i].name
                               : f->graph->tensors[i - f->graph->num_nodes].name;
        is_known = is_known || strncmp(quote + 1, name, strlen(name)) == 0;
    }
    if (!is_known || strstr(said, "has not ended") == NULL || strstr(said, "request") == NULL) {
        fail_msg("'%s'", said);
    }
    for (uint32_t i = 0; i < f->num_units; i++) {
        assert_non_null(strstr(said, f->units[i].name.text));
    }
}

static const char *const all_kinds[] = {"c", "cc", "q", "cq", "qqc"};
enum { NUM_KINDS = sizeof all_kinds / sizeof all_kinds[0] };

/* --------------------------------------------------------------------------------------------- */

static void test_reports(void **state) {
    (void)state;
    const clv_watch_options watch = {.factor = 1, .least_us = 20000};
    clv_log_set_sink(on_log, said, CLV_LOG_WARNING);
    for (int i = 0; i < 2 * NUM_KINDS; i++) {
        fixture f;
        open_fixture(&f, all_kinds[i / 2]);
        open_session(&f, i % 2 != 0, &watch);
        for (int64_t at = 0; at < 10; at += 4) {
            assert_ok(run_held_at(&f, at));
            check_said(&f);
            check_outputs(&f);
        }
        close_fixture(&f);
    }
    clv_log_set_sink(NULL, NULL, CLV_LOG_WARNING);
    assert_int_equal(num_no_warnings, 0);
}

static void test_timeout(void **state) {
    (void)state;
    const clv_watch_options watch = {.timeout_us = 4e5, .on_stuck = on_stuck, .context = said};
    for (int i = 0; i < 2 * NUM_KINDS; i += 3) {
        fixture f;
        open_fixture(&f, all_kinds[i / 2]);
        open_session(&f, i % 2 != 0, &watch);
        assert_failed(DEVICE_FAILED, "it took longer than 0.4 s", run_held_at(&f, 3));
        check_said(&f);
        assert_ok(clv_session_run(
            f.session, f.inputs, f.graph->num_inputs, f.outputs, f.graph->num_outputs));
        check_outputs(&f);
        close_fixture(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
