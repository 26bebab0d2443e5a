/* Networks of maps whose tensors change between plain memory and channels in blocks: random ones on
 * a core and on a gang equal the references, tensor by tensor, and on the gang themselves, bit by
 * bit, where memory of dead tensors is used again; they use both layouts. A core and a gang may
 * choose otherwise, as launches cost a gang more, so last bits differ there. */
#include "host/base/memory.h"
#include "host/exec/session.h"
#include "host/passes/evaluate.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUM_NETS = 12 };

static clv_rig rig;

typedef struct comparison {
    const clv_graph *graph;
    clv_session *session;
    size_t num_tensors;
} comparison;

static clv_status *compare(void *context, clv_tensor_id id, const clv_view *value) {
    comparison *c = context;
    if (!clv_session_has_tensor(c->session, id)) {
        return NULL;
    }
    size_t bytes = clv_view_bytes(value->dtype, &value->shape);
    clv_mutable_view got = {value->dtype, value->shape, clv_alloc(bytes + 1)};
    clv_status *status = clv_session_read_tensor(c->session, id, &got);
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < clv_shape_elements(&value->shape) && status == NULL; i++) {
        double a = clv_load_double(got.dtype, got.data, i);
        double b = clv_load_double(value->dtype, value->data, i);
        largest = fabs(b) > largest ? fabs(b) : largest;
        worst = !(fabs(a - b) <= worst) ? fabs(a - b) : worst;
    }
    if (status == NULL && !(worst <= 3e-5 * largest)) {
        status = CLV_ERROR(
            MISMATCH, "'%s' differs by %g of %g", c->graph->tensors[id].name, worst, largest);
    }
    c->num_tensors++;
    clv_free(got.data);
    return status;
}

static size_t count_blocked(clv_session *session) {
    const clv_session_report *report = clv_session_report_get(session);
    size_t count = 0;
    for (size_t i = 0; i < report->num_nodes; i++) {
        const char *variant = report->nodes[i].variant;
        count += variant != NULL && strcmp(variant, "ref") != 0 ? 1 : 0;
    }
    return count;
}

static void run_on(
    const char *unit_name, clv_graph *graph, const clv_view *inputs, clv_mutable_view *outputs,
    size_t *num_blocked) {
    clv_exec_unit unit;
    clv_session *session = NULL;
    assert_ok(clv_rig_open(&rig, unit_name, false, &unit));
    const clv_session_options options = {.keep_all = true};
    assert_ok(clv_session_create(graph, &unit, 1, &options, &session));
    for (int i = 0; i < 2; i++) { /* the second one finds what the first has left */
        assert_ok(clv_session_run(session, inputs, graph->num_inputs, outputs, graph->num_outputs));
        comparison c = {.graph = graph, .session = session};
        assert_ok(clv_evaluate(graph, inputs, compare, &c));
        assert_true(c.num_tensors > 0);
    }
    *num_blocked += count_blocked(session);
    clv_session_destroy(session);
    clv_rig_close(&unit);
}

/* Not all tensors kept: memory is used again by others, and views are where their inputs are. */
static size_t run_lean(
    const char *unit_name, clv_graph *graph, const clv_view *inputs, clv_mutable_view *outputs) {
    clv_exec_unit unit;
    clv_session *session = NULL;
    assert_ok(clv_rig_open(&rig, unit_name, false, &unit));
    assert_ok(clv_session_create(graph, &unit, 1, NULL, &session));
    for (int i = 0; i < 2; i++) {
        assert_ok(clv_session_run(session, inputs, graph->num_inputs, outputs, graph->num_outputs));
    }
    const size_t num_blocked = count_blocked(session);
    clv_session_destroy(session);
    clv_rig_close(&unit);
    return num_blocked;
}

static void random_networks(void **state) {
    (void)state;
    const char *word = getenv("CLEAVE_TEST_SEED");
    uint64_t first = word != NULL ? strtoull(word, NULL, 10) : 1;
    size_t num_blocked = 0;
    print_message("CLEAVE_TEST_SEED=%llu\n", (unsigned long long)first);
    for (uint64_t seed = first; seed < first + NUM_NETS; seed++) {
        clv_graph *graph = NULL;
        clv_view inputs[4] = {{0}};
        clv_mutable_view one[4], gang[4], lean[4];
        assert_ok(clv_net_random(seed, &graph));
        assert_ok(clv_net_inputs(graph, seed, inputs));
        assert_ok(clv_net_outputs(graph, one));
        assert_ok(clv_net_outputs(graph, gang));
        assert_ok(clv_net_outputs(graph, lean));
        run_on("core:0", graph, inputs, one, &num_blocked);
        run_on("cpu", graph, inputs, gang, &num_blocked);
        run_lean("cpu", graph, inputs, lean);
        for (size_t i = 0; i < graph->num_outputs; i++) {
            size_t bytes = clv_view_bytes(one[i].dtype, &one[i].shape);
            assert_memory_equal(lean[i].data, gang[i].data, bytes);
        }
        clv_net_free_inputs(graph, inputs);
        clv_net_free_outputs(graph, one);
        clv_net_free_outputs(graph, gang);
        clv_net_free_outputs(graph, lean);
        clv_graph_destroy(graph);
    }
    print_message("%zu nodes on channels in blocks\n", num_blocked);
    assert_true(num_blocked > NUM_NETS);
}

/* Factors of channels are taken plain where they cannot be in blocks: behind a view. */
static void factors_of_channels(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    clv_view inputs[4] = {{0}};
    clv_mutable_view outputs[1], lean[1];
    assert_ok(clv_net_scaled(&graph));
    assert_ok(clv_net_inputs(graph, 3, inputs));
    assert_ok(clv_net_outputs(graph, outputs));
    assert_ok(clv_net_outputs(graph, lean));
    for (int i = 0; i < 2; i++) {
        const char *unit = i == 0 ? "core:0" : "cpu";
        size_t num_blocked = 0;
        run_on(unit, graph, inputs, outputs, &num_blocked);
        assert_int_equal(run_lean(unit, graph, inputs, lean), 2);
        const size_t bytes = clv_view_bytes(outputs[0].dtype, &outputs[0].shape);
        assert_memory_equal(lean[0].data, outputs[0].data, bytes);
    }
    clv_net_free_outputs(graph, lean);
    clv_net_free_inputs(graph, inputs);
    clv_net_free_outputs(graph, outputs);
    clv_graph_destroy(graph);
}

static int open_rig(void **state) {
    (void)state;
    clv_status *status = clv_rig_init(&rig, 2, 0);
    if (status != NULL) {
        print_error("%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return -1;
    }
    return 0;
}

static int close_rig(void **state) {
    (void)state;
    clv_rig_deinit(&rig);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_networks),
        cmocka_unit_test(factors_of_channels),
    };
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
