/* What a session does with requests and replicas, on the null driver: whom it gives them to, what
 * it lets drivers keep, what it refuses. */
#include "host/base/cancel.h"
#include "host/base/log.h"
#include "host/base/threads.h"
#include "host/exec/session.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { NUM_UNITS = 2, MAX_OPERANDS = 8, NUM_REQUESTS = 6 };

/* --- devices that count, and wait where they are told to --- */

static _Atomic int num_created, num_settled;
static _Atomic uint64_t buffer_bytes; /* of all buffers that were created */
static clv_signal gate;               /* kernels of unit 0 wait until it is 1 */

static const clv_device_vtable *null_vtable;
static clv_device_vtable counting_vtable;

static clv_status *create_program(
    clv_device *device, const clv_program_desc *desc, clv_program **out_program) {
    atomic_fetch_add(&num_created, 1);
    return null_vtable->program_create(device, desc, out_program);
}

static clv_status *create_buffer(clv_device *device, size_t bytes, clv_buffer **out_buffer) {
    atomic_fetch_add(&buffer_bytes, bytes);
    return null_vtable->buffer_create(device, bytes, out_buffer);
}

static void settle_program(clv_program *program) {
    atomic_fetch_add(&num_settled, 1);
    null_vtable->program_settle(program);
}

static void run_gated(const clv_null_launch *launch) {
    clv_signal_wait(&gate, 1, 0);
    clv_hash_find(launch->entry)(launch);
}

static clv_null_function find_gated(const char *entry) {
    return clv_hash_find(entry) != NULL ? run_gated : NULL;
}

/* --- a graph on two cores, a copy each --- */

typedef struct fixture {
    clv_device *devices[NUM_UNITS];
    clv_exec_unit units[NUM_UNITS];
    clv_graph *graph;
    clv_view inputs[MAX_OPERANDS];
    clv_mutable_view outputs[NUM_REQUESTS][MAX_OPERANDS];
    clv_session *session;
    clv_signal ended;
} fixture;

static void *bytes_for(const clv_tensor *tensor) {
    void *data = calloc(1, clv_view_bytes(tensor->dtype, &tensor->shape) + 1);
    assert_non_null(data);
    return data;
}

static void open_units(fixture *f) {
    for (int i = 0; i < NUM_UNITS; i++) {
        const clv_null_options options = {
            .kind = CLV_DEVICE_CORE, .index = i, .find = i == 0 ? find_gated : clv_hash_find};
        assert_ok(clv_null_device_create(&options, &f->devices[i]));
        null_vtable = f->devices[i]->vtable;
        counting_vtable = *null_vtable;
        counting_vtable.buffer_create = create_buffer;
        counting_vtable.program_create = create_program;
        counting_vtable.program_settle = settle_program;
        f->devices[i]->vtable = &counting_vtable;
        f->units[i] = (clv_exec_unit){.devices = &f->devices[i], .num_devices = 1};
        clv_unit_name_init(&f->units[i].name, CLV_UNIT_CORE, 0, i);
    }
}

static void make_fixture(fixture *f) {
    memset(f, 0, sizeof *f);
    atomic_store(&num_created, 0);
    atomic_store(&num_settled, 0);
    atomic_store(&buffer_bytes, 0);
    atomic_store(&gate.value, 0);
    open_units(f);
    const clv_hash_graph_options options = {
        .seed = 7, .num_nodes = 12, .max_bytes = 200, .max_items = 4};
    assert_ok(clv_hash_graph_create(&options, &f->graph));
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        const clv_tensor *t = &f->graph->tensors[f->graph->inputs[i]];
        f->inputs[i] = (clv_view){.dtype = t->dtype, .shape = t->shape, .data = bytes_for(t)};
    }
    for (int n = 0; n < NUM_REQUESTS; n++) {
        for (size_t i = 0; i < f->graph->num_outputs; i++) {
            const clv_tensor *t = &f->graph->tensors[f->graph->outputs[i]];
            f->outputs[n][i] =
                (clv_mutable_view){.dtype = t->dtype, .shape = t->shape, .data = bytes_for(t)};
        }
    }
}

static void free_fixture(fixture *f) {
    clv_session_destroy(f->session);
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        free((void *)f->inputs[i].data);
    }
    for (int n = 0; n < NUM_REQUESTS; n++) {
        for (size_t i = 0; i < f->graph->num_outputs; i++) {
            free(f->outputs[n][i].data);
        }
    }
    clv_graph_destroy(f->graph);
    for (int i = 0; i < NUM_UNITS; i++) {
        assert_int_equal(clv_null_num_objects(f->devices[i]), 0);
        f->devices[i]->vtable->destroy(f->devices[i]);
    }
}

/* depth: of each copy. */
static clv_status *open_copies(
    fixture *f, double first_share, uint32_t depth, const double *latency_us) {
    clv_placement *placements = calloc(f->graph->num_nodes, sizeof *placements);
    clv_piece pieces[NUM_UNITS] = {{.unit = 0}, {.unit = 1}};
    clv_group groups[NUM_UNITS];
    assert_non_null(placements);
    for (size_t i = 0; i < f->graph->num_nodes; i++) {
        placements[i] = (clv_placement){.num_pieces = 1, .split = -1};
    }
    for (int g = 0; g < NUM_UNITS; g++) {
        groups[g] = (clv_group){
            .placements = placements,
            .pieces = &pieces[g],
            .num_pieces = 1,
            .num_stages = 1,
            .share = g == 0 ? first_share : 1 - first_share,
            .depth = depth,
            .period_us = latency_us[g],
            .latency_us = latency_us[g],
        };
    }
    const clv_plan plan = {.groups = groups, .num_groups = NUM_UNITS};
    const clv_session_options options = {.plan = &plan};
    clv_status *status = clv_session_create(f->graph, f->units, NUM_UNITS, &options, &f->session);
    free(placements);
    return status;
}

static clv_status *open_session(fixture *f, double first_share, uint32_t depth) {
    static const double latency_us[NUM_UNITS] = {1, 1};
    return open_copies(f, first_share, depth, latency_us);
}

static void on_done(void *context, clv_status *status) {
    fixture *f = context;
    assert_ok(status);
    clv_signal_add(&f->ended, 1);
}

static void submit(fixture *f, int number) {
    assert_ok(clv_session_submit(
        f->session, f->inputs, f->graph->num_inputs, f->outputs[number], f->graph->num_outputs,
        on_done, f));
}

/* --- facts --- */

/* The copy with nine tenths of the requests is busy: the other one gets them. */
static void test_idle_replica(void **state) {
    (void)state;
    fixture f;
    make_fixture(&f);
    assert_ok(open_session(&f, 0.9, 1));
    submit(&f, 0); /* waits at the gate */
    for (int n = 1; n < NUM_REQUESTS; n++) {
        submit(&f, n);
        clv_signal_wait(&f.ended, (uint32_t)n, 0);
    }
    clv_signal_add(&gate, 1);
    clv_signal_wait(&f.ended, NUM_REQUESTS, 0);
    const clv_session_report *report = clv_session_report_get(f.session);
    assert_int_equal(report->requests, NUM_REQUESTS);
    assert_int_equal(report->units[1].ops, report->units[0].ops * (NUM_REQUESTS - 1));
    free_fixture(&f);
}

/* The other one takes longer than to wait for the first twice: it gets a request when its share
 * says so. It got the second of all, which 53 s were waited for where the first copy took 0.3
 * ms. */
static void test_slow_replica(void **state) {
    (void)state;
    static const double latency_us[NUM_UNITS] = {10, 30};
    fixture f;
    make_fixture(&f);
    assert_ok(open_copies(&f, 0.75, 1, latency_us));
    clv_signal_add(&gate, 1);
    for (int n = 0; n < NUM_REQUESTS; n++) {
        submit(&f, n);
    }
    clv_signal_wait(&f.ended, NUM_REQUESTS, 0);
    const clv_session_report *report = clv_session_report_get(f.session);
    const uint64_t first_ops = report->units[0].ops, other_ops = report->units[1].ops;
    const uint64_t ops = (first_ops + other_ops) / NUM_REQUESTS;
    assert_int_equal(report->requests, NUM_REQUESTS);
    assert_int_equal(first_ops, ops * (NUM_REQUESTS - NUM_REQUESTS / 4));
    free_fixture(&f);
}

/* Programs that only submit: what drivers compiled is kept too, once for each copy that ran, and
 * the first request's time is known. */
static void test_settled_once(void **state) {
    (void)state;
    fixture f;
    make_fixture(&f);
    clv_signal_add(&gate, 1);
    assert_ok(open_session(&f, 0.5, 2));
    assert_true(isnan(clv_session_report_get(f.session)->first_us));
    for (int n = 0; n < NUM_REQUESTS; n++) {
        assert_int_equal(num_settled, n < 2 ? n * num_created / NUM_UNITS : num_created);
        submit(&f, n);
        clv_signal_wait(&f.ended, (uint32_t)n + 1, 0);
    }
    assert_true(num_created > 0);
    assert_int_equal(num_settled, num_created);
    assert_true(clv_session_report_get(f.session)->first_us >= 0);
    free_fixture(&f);
}

static uint64_t cpu_ns(void) {
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A session that nobody asks anything takes no processor's time: threads spin for a while, then
 * sleep. Counted is the time of all threads, however long the machine took. */
static void test_idle_threads_sleep(void **state) {
    (void)state;
    const struct timespec pause = {.tv_nsec = 60000000};
    const uint64_t enough_ns = 20000000; /* some spin for 2 ms at the end of a request */
    fixture f;
    make_fixture(&f);
    clv_signal_add(&gate, 1);
    assert_ok(open_session(&f, 0.5, 2));
    for (int n = 0; n < NUM_REQUESTS; n++) {
        submit(&f, n);
    }
    clv_signal_wait(&f.ended, NUM_REQUESTS, 0);
    const uint64_t begin_ns = cpu_ns();
    assert_int_equal(nanosleep(&pause, NULL), 0);
    assert_true(cpu_ns() - begin_ns < enough_ns);
    free_fixture(&f);
}

static void test_depth_too_large(void **state) {
    (void)state;
    fixture f;
    make_fixture(&f);
    assert_failed(USAGE, "1025 requests in flight", open_session(&f, 0.5, CLV_MAX_DEPTH + 1));
    assert_ok(open_session(&f, 0.5, CLV_MAX_DEPTH));
    assert_int_equal(clv_session_depth(f.session), 2 * CLV_MAX_DEPTH);
    free_fixture(&f);
}

/* Each of two copies fits, both together do not: told before the second one is allocated. */
static void test_memory_of_all_replicas(void **state) {
    (void)state;
    fixture f;
    make_fixture(&f);
    assert_ok(open_session(&f, 0.5, 1));
    const clv_session_report *report = clv_session_report_get(f.session);
    const uint64_t needed = report->units[0].memory_bytes + report->units[1].memory_bytes;
    assert_true(report->units[0].memory_bytes > 0 && report->units[1].memory_bytes > 0);
    clv_session_destroy(f.session);
    f.devices[0]->info.memory_bytes = f.devices[1]->info.memory_bytes = needed - 1;
    assert_failed(NO_MEMORY, "beside other replicas", open_session(&f, 0.5, 1));
    f.devices[0]->info.memory_bytes = f.devices[1]->info.memory_bytes = needed;
    assert_ok(open_session(&f, 0.5, 1));
    free_fixture(&f);
}

static void on_packed(void *context, const char *what, double done, double total) {
    double *packed = context;
    *packed = strcmp(what, "packing weights") == 0 && done == total ? total : *packed;
}

/* Opens a session of one copy on the second unit, or of two: bytes of its buffers, and of weights
 * that were packed for the last of the copies. */
static uint64_t measure_copies(fixture *f, bool has_two, double *out_packed) {
    atomic_store(&buffer_bytes, 0);
    *out_packed = 0;
    clv_progress_set_sink(on_packed, out_packed);
    assert_ok(
        has_two ? open_session(f, 0.5, 1)
                : clv_session_create(f->graph, &f->units[1], 1, NULL, &f->session));
    clv_progress_set_sink(NULL, NULL);
    return atomic_load(&buffer_bytes);
}

/* Weights of two copies in one memory lie there once, are packed once, and count once. */
static void test_weights_of_copies(void **state) {
    (void)state;
    fixture f;
    double packed;
    make_fixture(&f);
    const uint64_t one = measure_copies(&f, false, &packed);
    const clv_unit_report alone = clv_session_report_get(f.session)->units[0];
    assert_int_equal(one, alone.memory_bytes);
    assert_true(packed > 0 && alone.weight_bytes > 0);
    const double all = packed;
    clv_session_destroy(f.session);
    const uint64_t two = measure_copies(&f, true, &packed);
    const clv_unit_report *units = clv_session_report_get(f.session)->units;
    assert_true(packed == all);
    assert_int_equal(two, 2 * one - alone.weight_bytes);
    assert_int_equal(units[0].weight_bytes, alone.weight_bytes);
    assert_int_equal(units[0].memory_bytes, one);
    assert_int_equal(units[1].weight_bytes, 0);
    assert_int_equal(units[1].memory_bytes, two - one);
    clv_signal_add(&gate, 1);
    for (int n = 0; n < NUM_REQUESTS; n++) {
        submit(&f, n);
    }
    clv_signal_wait(&f.ended, NUM_REQUESTS, 0);
    assert_int_equal(clv_session_report_get(f.session)->requests, NUM_REQUESTS);
    clv_mutable_view *expected = f.outputs[0];
    for (int n = 1; n < NUM_REQUESTS; n++) { /* of both copies */
        for (size_t i = 0; i < f.graph->num_outputs; i++) {
            const size_t bytes = clv_view_bytes(expected[i].dtype, &expected[i].shape);
            assert_memory_equal(f.outputs[n][i].data, expected[i].data, bytes);
        }
    }
    assert_ok(clv_hash_graph_evaluate(f.graph, f.inputs, f.outputs[0]));
    for (size_t i = 0; i < f.graph->num_outputs; i++) {
        const size_t bytes = clv_view_bytes(expected[i].dtype, &expected[i].shape);
        assert_memory_equal(f.outputs[1][i].data, expected[i].data, bytes);
    }
    free_fixture(&f);
}

/* Any call of making the second copy fails: what the first one made for both goes once. */
static void test_failed_copies(void **state) {
    (void)state;
    fixture f;
    bool is_done = false;
    make_fixture(&f);
    for (int64_t n = 0; !is_done; n++) {
        clv_null_fail_call_at(f.devices[1], NULL, n);
        clv_status *status = open_session(&f, 0.5, 1);
        is_done = status == NULL;
        clv_status_destroy(status);
        for (int i = 0; i < NUM_UNITS && !is_done; i++) {
            assert_int_equal(clv_null_num_objects(f.devices[i]), 0);
        }
    }
    clv_null_fail_call_at(f.devices[1], NULL, -1);
    free_fixture(&f);
}

/* Units behind links have memories of their own in a plan, and share the host's in fact. */
static void test_memory_of_all_units(void **state) {
    (void)state;
    fixture f;
    make_fixture(&f);
    f.units[1].name.limits.latency_us = 1;
    clv_placement *placements = calloc(f.graph->num_nodes, sizeof *placements);
    clv_piece pieces[NUM_UNITS] = {{.unit = 0}, {.unit = 1}};
    assert_non_null(placements);
    for (size_t i = 0; i < f.graph->num_nodes; i++) {
        const bool is_second = i >= f.graph->num_nodes / 2;
        placements[i] = (clv_placement){
            .first_piece = is_second, .num_pieces = 1, .split = -1, .stage = is_second};
    }
    clv_group group = {
        .placements = placements,
        .pieces = pieces,
        .num_pieces = NUM_UNITS,
        .num_stages = 2,
        .share = 1,
        .depth = 1,
    };
    const clv_plan plan = {.groups = &group, .num_groups = 1};
    const clv_session_options options = {.plan = &plan};
    assert_ok(clv_session_create(f.graph, f.units, NUM_UNITS, &options, &f.session));
    const clv_session_report *report = clv_session_report_get(f.session);
    const uint64_t first = report->units[0].memory_bytes, second = report->units[1].memory_bytes;
    assert_true(first > 0 && second > 0);
    clv_session_destroy(f.session);
    f.devices[0]->info.memory_bytes = f.devices[1]->info.memory_bytes = first + second - 1;
    clv_status *status = clv_session_create(f.graph, f.units, NUM_UNITS, &options, &f.session);
    assert_failed(NO_MEMORY, "beside other units", status);
    f.devices[0]->info.memory_bytes = f.devices[1]->info.memory_bytes = 2 * (first + second);
    assert_ok(clv_session_create(f.graph, f.units, NUM_UNITS, &options, &f.session));
    free(placements);
    free_fixture(&f);
}

/* --- making it: told of as it goes, and ended when the user has had enough --- */

typedef struct watch {
    const char *what; /* that is cancelled when it has begun; NULL: nothing */
    int num_told;
    double done[2], total[2]; /* last of kernels, and of weights */
    bool goes_back;
} watch;

static void on_progress(void *context, const char *what, double done, double total) {
    watch *w = context;
    static const char *const words[] = {"compiling kernels", "packing weights"};
    for (int i = 0; i < 2; i++) {
        if (strcmp(what, words[i]) == 0) {
            w->num_told++;
            w->goes_back = w->goes_back || done > total || (done < w->done[i] && done != 0);
            w->done[i] = done;
            w->total[i] = total;
        }
    }
    if (w->what != NULL && strcmp(what, w->what) == 0) {
        clv_cancel_set(true);
    }
}

static void test_progress(void **state) {
    (void)state;
    fixture f;
    watch w = {.what = NULL};
    make_fixture(&f);
    clv_progress_set_sink(on_progress, &w);
    assert_ok(open_session(&f, 0.5, 1));
    clv_progress_set_sink(NULL, NULL);
    assert_true(w.num_told >= 4 && !w.goes_back);
    for (int i = 0; i < 2; i++) {
        assert_true(w.total[i] > 0 && w.done[i] == w.total[i]);
    }
    free_fixture(&f);
}

static void test_cancelled_making(void **state) {
    (void)state;
    static const char *const words[] = {"compiling kernels", "packing weights"};
    for (int i = 0; i < 2; i++) {
        fixture f;
        watch w = {.what = words[i]};
        make_fixture(&f);
        clv_progress_set_sink(on_progress, &w);
        assert_failed(CANCELLED, "interrupted", open_session(&f, 0.5, 1));
        clv_progress_set_sink(NULL, NULL);
        clv_cancel_set(false);
        assert_int_equal(num_created, 0); /* looks before the first one */
        assert_ok(open_session(&f, 0.5, 1));
        free_fixture(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settled_once),        cmocka_unit_test(test_depth_too_large),
        cmocka_unit_test(test_idle_threads_sleep),  cmocka_unit_test(test_slow_replica),
        cmocka_unit_test(test_idle_replica),        cmocka_unit_test(test_memory_of_all_replicas),
        cmocka_unit_test(test_memory_of_all_units), cmocka_unit_test(test_progress),
        cmocka_unit_test(test_cancelled_making),    cmocka_unit_test(test_weights_of_copies),
        cmocka_unit_test(test_failed_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
