/* Networks of maps whose tensors change between plain memory and channels in blocks: random ones on
 * a core and on a gang equal the references, tensor by tensor, and each other bit by bit; they use
 * both layouts; and `choose` keeps to what it promises. */
#include "host/base/memory.h"
#include "host/exec/session.h"
#include "host/passes/evaluate.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUM_NETS = 12, MAX_MAPS = 16, NUM_STEPS = 9 };

static clv_rig rig;

typedef struct map {
    clv_tensor_id id;
    int64_t channels, height, width;
} map;

typedef struct maker {
    clv_net net;
    map maps[MAX_MAPS];
    size_t num_maps;
    int count;
} maker;

static int64_t draw(maker *m, int64_t low, int64_t high) {
    return low + (int64_t)clv_random_below(&m->net.random, (uint64_t)(high - low + 1));
}

static const char *name_of(maker *m, char buffer[24], const char *what) {
    snprintf(buffer, 24, "%s%d", what, m->count++ % 1000);
    return buffer;
}

static void keep(maker *m, clv_tensor_id id, int64_t channels, int64_t height, int64_t width) {
    m->maps[m->num_maps++] = (map){id, channels, height, width};
}

static void add_conv(maker *m, map in) {
    static const int64_t channels[] = {5, 16, 24, 32, 64};
    char name[24], weight[24], attrs[96];
    int64_t outputs = channels[draw(m, 0, 4)], kernel = draw(m, 0, 2) == 0 ? 1 : 3, groups = 1;
    int64_t stride = draw(m, 0, 3) == 0 ? 2 : 1, pad = kernel / 2;
    if (draw(m, 0, 3) == 0) {
        groups = outputs = in.channels;
    }
    clv_tensor_id w = clv_net_weight(
        &m->net, name_of(m, weight, "w"), DIMS(outputs, in.channels / groups, kernel, kernel));
    snprintf(
        attrs, sizeof attrs, "group=%d pads=%d,%d,%d,%d strides=%d,%d", (int)groups, (int)pad,
        (int)pad, (int)pad, (int)pad, (int)stride, (int)stride);
    clv_tensor_id id =
        clv_net_node(&m->net, "Conv", name_of(m, name, "conv"), IDS(in.id, w), attrs);
    keep(m, id, outputs, (in.height - 1) / stride + 1, (in.width - 1) / stride + 1);
}

static void add_other(maker *m, map in) {
    char name[24];
    const map *mate = NULL;
    for (size_t i = 0; i < m->num_maps; i++) {
        const map *other = &m->maps[i];
        bool fits = other->height == in.height && other->width == in.width && other->id != in.id;
        mate = fits && other->channels == in.channels ? other : mate;
    }
    switch (draw(m, 0, 4)) {
    case 0:
        keep(
            m, clv_net_node(&m->net, "Sigmoid", name_of(m, name, "act"), IDS(in.id), ""),
            in.channels, in.height, in.width);
        return;
    case 1:
        keep(
            m,
            clv_net_node(
                &m->net, "MaxPool", name_of(m, name, "pool"), IDS(in.id),
                "kernel_shape=3,3 pads=1,1,1,1"),
            in.channels, in.height, in.width);
        return;
    case 2:
        keep(
            m,
            clv_net_node(
                &m->net, "Concat", name_of(m, name, "cat"),
                IDS(in.id, mate != NULL ? mate->id : in.id), "axis=1"),
            2 * in.channels, in.height, in.width);
        return;
    case 3:
        keep(
            m,
            clv_net_node(
                &m->net, "Transpose", name_of(m, name, "turn"), IDS(in.id), "perm=0,1,3,2"),
            in.channels, in.width, in.height);
        return;
    default:
        keep(
            m,
            clv_net_node(
                &m->net, "Add", name_of(m, name, "sum"),
                IDS(in.id, mate != NULL ? mate->id : in.id), ""),
            in.channels, in.height, in.width);
    }
}

/* Nodes read what came lately, so that most of them end in the outputs. */
static clv_status *make_net(uint64_t seed, clv_graph **out_graph) {
    maker m = {.num_maps = 0};
    clv_net_init(&m.net, seed);
    int64_t channels = draw(&m, 0, 1) == 0 ? 3 : 16, height = draw(&m, 1, 15);
    int64_t width = draw(&m, 1, 15), images = draw(&m, 1, 2);
    clv_tensor_id in =
        clv_net_input(&m.net, "in", CLV_FLOAT32, DIMS(images, channels, height, width));
    keep(&m, in, channels, height, width);
    for (int i = 0; i < NUM_STEPS; i++) {
        map from = m.maps[m.num_maps - 1 - (size_t)draw(&m, 0, m.num_maps > 2 ? 1 : 0)];
        if (draw(&m, 0, 1) == 0 || from.channels > 200) {
            add_conv(&m, from);
        } else {
            add_other(&m, from);
        }
    }
    clv_net_output(&m.net, m.maps[m.num_maps - 1].id);
    clv_net_output(&m.net, m.maps[m.num_maps - 2].id);
    return clv_net_finish(&m.net, out_graph);
}

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

/* Not all tensors kept: memory is used again by others. */
static void run_lean(
    const char *unit_name, clv_graph *graph, const clv_view *inputs, clv_mutable_view *outputs) {
    clv_exec_unit unit;
    clv_session *session = NULL;
    assert_ok(clv_rig_open(&rig, unit_name, false, &unit));
    assert_ok(clv_session_create(graph, &unit, 1, NULL, &session));
    for (int i = 0; i < 2; i++) {
        assert_ok(clv_session_run(session, inputs, graph->num_inputs, outputs, graph->num_outputs));
    }
    clv_session_destroy(session);
    clv_rig_close(&unit);
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
        assert_ok(make_net(seed, &graph));
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_networks)};
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
