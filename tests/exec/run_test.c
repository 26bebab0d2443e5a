/* Graphs on every kind of unit: one core, gangs of two and three, a device with queues. Outputs
 * equal the references of the operators, and each other bit by bit where the driver is the same. */
#include "host/base/memory.h"
#include "host/passes/evaluate.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>

enum { MAX_OPERANDS = 8 };

static clv_rig rig;

/* What the references say of the outputs. */
typedef struct expected {
    const clv_graph *graph;
    clv_mutable_view outputs[MAX_OPERANDS];
} expected;

static clv_status *keep_output(void *context, clv_tensor_id id, const clv_view *value) {
    expected *e = context;
    for (size_t i = 0; i < e->graph->num_outputs; i++) {
        if (e->graph->outputs[i] == id) {
            memcpy(e->outputs[i].data, value->data, clv_view_bytes(value->dtype, &value->shape));
        }
    }
    return NULL;
}

static void check_close(const clv_mutable_view *got, const clv_mutable_view *wanted) {
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < clv_shape_elements(&wanted->shape); i++) {
        double a = clv_load_double(got->dtype, got->data, i);
        double b = clv_load_double(wanted->dtype, wanted->data, i);
        largest = fabs(b) > largest ? fabs(b) : largest;
        worst = !(fabs(a - b) <= worst) ? fabs(a - b) : worst;
    }
    if (!(worst <= 1e-5 * largest)) {
        fail_msg("differs by %g of %g", worst, largest);
    }
}

typedef struct fixture {
    clv_graph *graph;
    clv_view inputs[MAX_OPERANDS];
    expected wanted;
} fixture;

static void make_fixture(fixture *f, clv_graph *graph, uint64_t seed) {
    memset(f, 0, sizeof *f);
    f->graph = graph;
    f->wanted.graph = graph;
    assert_ok(clv_net_inputs(graph, seed, f->inputs));
    assert_ok(clv_net_outputs(graph, f->wanted.outputs));
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_tensor *t = &graph->tensors[graph->outputs[i]];
        if (t->data != NULL) {
            memcpy(f->wanted.outputs[i].data, t->data, clv_view_bytes(t->dtype, &t->shape));
        }
    }
    assert_ok(clv_evaluate(graph, f->inputs, keep_output, &f->wanted));
}

static void free_fixture(fixture *f) {
    clv_net_free_inputs(f->graph, f->inputs);
    clv_net_free_outputs(f->graph, f->wanted.outputs);
    clv_graph_destroy(f->graph);
}

/* Runs twice, so that what the first run left behind would show. */
static void run_on(fixture *f, const char *unit_name, bool profile, clv_mutable_view *out_outputs) {
    clv_exec_unit unit;
    clv_session *session = NULL;
    assert_ok(clv_rig_open(&rig, unit_name, profile, &unit));
    const clv_session_options options = {.profile = profile};
    assert_ok(clv_session_create(f->graph, &unit, 1, &options, &session));
    assert_ok(clv_net_outputs(f->graph, out_outputs));
    for (int i = 0; i < 2; i++) {
        assert_ok(clv_session_run(
            session, f->inputs, f->graph->num_inputs, out_outputs, f->graph->num_outputs));
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        check_close(&out_outputs[i], &f->wanted.outputs[i]);
    }
    const clv_session_report *report = clv_session_report_get(session);
    assert_int_equal(report->requests, 2);
    assert_string_equal(report->units[0].name, unit_name);
    assert_true(report->units[0].busy_us > 0);
    for (size_t i = 0; i < report->num_nodes && profile; i++) {
        assert_true(report->nodes[i].launches == 0 || report->nodes[i].time_us >= 0);
    }
    clv_session_reset_times(session);
    report = clv_session_report_get(session);
    for (size_t i = 0; i < report->num_nodes; i++) {
        assert_true(isnan(report->nodes[i].time_us));
    }
    clv_session_destroy(session);
    clv_rig_close(&unit);
}

static void check_same(const fixture *f, clv_mutable_view *a, clv_mutable_view *b) {
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        assert_memory_equal(a[i].data, b[i].data, clv_view_bytes(a[i].dtype, &a[i].shape));
    }
}

static void compare_units(clv_graph *graph, uint64_t seed) {
    fixture f;
    clv_mutable_view one[MAX_OPERANDS], gang[MAX_OPERANDS], queued[MAX_OPERANDS];
    make_fixture(&f, graph, seed);
    run_on(&f, "core:0", false, one);
    run_on(&f, "cpu", true, gang);
    check_same(&f, one, gang);
    clv_net_free_outputs(graph, gang);
    run_on(&f, "core:2", true, gang);
    check_same(&f, one, gang);
    int num_queued = 0;
    for (size_t i = 0; i < rig.num_entries; i++) {
        const clv_unit_entry *entry = &rig.entries[i];
        bool has_queues = entry->name.kind == CLV_UNIT_CL || entry->name.kind == CLV_UNIT_GPU;
        for (int profile = 0; profile < 2 && has_queues && entry->usable; profile++) {
            run_on(&f, entry->name.text, profile != 0, queued);
            clv_net_free_outputs(graph, queued);
            num_queued++;
        }
    }
    assert_true(num_queued >= 2);
    clv_net_free_outputs(graph, gang);
    clv_net_free_outputs(graph, one);
    free_fixture(&f);
}

static void test_small(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_ok(clv_net_small(&graph));
    compare_units(graph, 10);
}

static void test_chain(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_ok(clv_net_chain(40, 50000, &graph));
    compare_units(graph, 11);
}

/* Weights in half precision that are there in it already: nothing else is rounded. */
static void test_half_weights(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_ok(clv_net_step(1, 3, true, &graph));
    compare_units(graph, 12);
    for (int64_t rows = 1; rows <= 8; rows++) {
        fixture f;
        clv_mutable_view outputs[MAX_OPERANDS];
        assert_ok(clv_net_step(1 + (uint64_t)rows, rows, true, &graph));
        make_fixture(&f, graph, 13);
        run_on(&f, "core:0", false, outputs);
        clv_net_free_outputs(graph, outputs);
        free_fixture(&f);
    }
}

/* Others are rounded: |error| is at most 2^-11 of the sum of |x| |w|. */
static void test_error_of_half_weights(void **state) {
    (void)state;
    fixture f;
    clv_graph *graph = NULL;
    clv_exec_unit unit;
    clv_session *session = NULL;
    clv_mutable_view outputs[MAX_OPERANDS];
    assert_ok(clv_net_step(3, 2, false, &graph));
    make_fixture(&f, graph, 14);
    assert_ok(clv_rig_open(&rig, "core:0", false, &unit));
    assert_ok(clv_session_create(graph, &unit, 1, NULL, &session));
    assert_ok(clv_net_outputs(graph, outputs));
    assert_ok(clv_session_run(session, f.inputs, graph->num_inputs, outputs, graph->num_outputs));
    const float *x = f.inputs[0].data, *w = NULL, *got = outputs[1].data;
    const float *wanted = f.wanted.outputs[1].data;
    w = graph->tensors[clv_graph_find_tensor(graph, "both")].data;
    const clv_shape *a = &f.inputs[0].shape, *b = &outputs[1].shape;
    const int64_t num_k = a->dims[2], num_n = b->dims[2];
    double worst = 0;
    for (int64_t i = 0; i < clv_shape_elements(b); i++) {
        const int64_t row = i / num_n, matrix = row / b->dims[1];
        double sum = 0;
        for (int64_t k = 0; k < num_k; k++) {
            sum += fabs((double)x[row * num_k + k]) *
                   fabs((double)w[(matrix * num_k + k) * num_n + i % num_n]);
        }
        const double error = fabs((double)got[i] - (double)wanted[i]);
        assert_true(error <= sum * 0x1p-11 * 1.01);
        worst = error / sum > worst ? error / sum : worst;
    }
    assert_true(worst > 0x1p-15); /* they were rounded, some of them */
    clv_session_destroy(session);
    clv_rig_close(&unit);
    clv_net_free_outputs(graph, outputs);
    free_fixture(&f);
}

/* An index out of range fails the request with the node's name; the next one is right again. */
static void forbidden_value(const char *unit_name) {
    fixture f;
    clv_graph *graph = NULL;
    clv_exec_unit unit;
    clv_session *session = NULL;
    clv_mutable_view outputs[MAX_OPERANDS];
    assert_ok(clv_net_gather(&graph));
    make_fixture(&f, graph, 12);
    assert_ok(clv_rig_open(&rig, unit_name, false, &unit));
    assert_ok(clv_session_create(graph, &unit, 1, NULL, &session));
    assert_ok(clv_net_outputs(graph, outputs));
    const int64_t wrong[5] = {0, 1, 9, 2, 3};
    clv_view bad = f.inputs[0];
    bad.data = wrong;
    for (int i = 0; i < 2; i++) {
        assert_failed(
            MALFORMED, "'lookup': an index is out of range",
            clv_session_run(session, &bad, 1, outputs, 1));
        assert_ok(clv_session_run(session, f.inputs, 1, outputs, 1));
        check_close(&outputs[0], &f.wanted.outputs[0]);
    }
    clv_session_destroy(session);
    clv_rig_close(&unit);
    clv_net_free_outputs(graph, outputs);
    free_fixture(&f);
}

static void test_forbidden_value(void **state) {
    (void)state;
    forbidden_value("core:0");
    forbidden_value("cpu");
    forbidden_value(clv_rig_first(&rig, CLV_UNIT_CL));
}

static int create(void **state) {
    (void)state;
    clv_status *status = clv_rig_init(&rig, 3, 1);
    if (status != NULL) {
        print_error("%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return -1;
    }
    return 0;
}

static int destroy(void **state) {
    (void)state;
    clv_rig_deinit(&rig);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),           cmocka_unit_test(test_chain),
        cmocka_unit_test(test_half_weights),    cmocka_unit_test(test_error_of_half_weights),
        cmocka_unit_test(test_forbidden_value),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
