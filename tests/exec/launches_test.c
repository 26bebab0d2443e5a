/* What computes tensors: every case of the conformance tables as a graph of one node, run by the
 * executor on the null driver, whose kernels count that they were started and do nothing else.
 * A result that does not follow from shapes and constants comes from at least one launch; an
 * operator that is a view has none, and hands its input's bytes on. */
#include "host/device/null.h"
#include "host/exec/session.h"
#include "host/passes/passes.h"
#include "tests/conformance/case.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>

enum { MAX_OPERANDS = 32 };

static uint32_t num_started; /* a CORE device runs kernels in the thread that asks for them */

static void start(const clv_null_launch *launch) {
    assert_non_null(launch->entry);
    num_started++;
}

static clv_null_function find_kernel(const char *entry) {
    (void)entry;
    return start;
}

typedef struct rig {
    clv_device *device;
    clv_exec_unit unit;
} rig;

static void open_rig(rig *r) {
    const clv_null_options options = {.kind = CLV_DEVICE_CORE, .find = find_kernel};
    memset(r, 0, sizeof *r);
    assert_ok(clv_null_device_create(&options, &r->device));
    r->unit = (clv_exec_unit){.devices = &r->device, .num_devices = 1};
    clv_unit_name_init(&r->unit.name, CLV_UNIT_CORE, 0, 0);
}

/* The case as a graph: inputs whose value is known are constants, the others the graph's own. */
static clv_graph *make_graph(clv_case_data *data, clv_view *out_inputs) {
    clv_graph *graph = NULL;
    clv_node node = data->node;
    clv_tensor_id inputs[MAX_OPERANDS], outputs[MAX_OPERANDS], given[MAX_OPERANDS];
    clv_tensor_id wanted[MAX_OPERANDS];
    size_t num_given = 0, num_wanted = 0;
    assert_ok(clv_graph_create(&graph));
    graph->opset = node.opset;
    for (size_t i = 0; i < node.num_inputs; i++) {
        const clv_view *view = &data->inputs[i];
        char name[24];
        snprintf(name, sizeof name, "x%zu", i);
        inputs[i] = CLV_NO_ID;
        if (view->dtype != CLV_DTYPE_NONE && (data->known >> i & 1) != 0) {
            assert_ok(clv_graph_add_constant(graph, name, view, &inputs[i]));
        } else if (view->dtype != CLV_DTYPE_NONE) {
            const clv_tensor tensor = {
                .name = name,
                .kind = CLV_TENSOR_INPUT,
                .dtype = view->dtype,
                .shape = view->shape,
                .producer = CLV_NO_ID};
            assert_ok(clv_graph_add_tensor(graph, &tensor, &inputs[i]));
            out_inputs[num_given] = *view;
            given[num_given++] = inputs[i];
        }
    }
    const clv_shape unknown = {.rank = -1};
    for (size_t i = 0; i < node.num_outputs; i++) {
        outputs[i] = CLV_NO_ID;
        if (node.outputs[i] != CLV_NO_ID) {
            assert_ok(clv_graph_add_value(graph, "y", CLV_DTYPE_NONE, &unknown, &outputs[i]));
            wanted[num_wanted++] = outputs[i];
        }
    }
    node.inputs = inputs;
    node.outputs = outputs;
    assert_ok(clv_graph_add_node(graph, &node, &(clv_node_id){0}));
    assert_ok(clv_graph_set_inputs(graph, given, num_given));
    assert_ok(clv_graph_set_outputs(graph, wanted, num_wanted));
    assert_ok(clv_passes_infer(graph));
    return graph;
}

/* Whether the case must be computed: an output with elements that nothing knows beforehand. */
static bool needs_device(const clv_graph *graph) {
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_tensor *output = &graph->tensors[graph->outputs[i]];
        if (output->data == NULL && clv_shape_elements(&output->shape) > 0) {
            return true;
        }
    }
    return false;
}

/* Runs the graph once; returns what the report says of its node. */
static uint32_t run_graph(const clv_graph *graph, const rig *r, const clv_view *inputs) {
    clv_mutable_view outputs[MAX_OPERANDS];
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->outputs[i]];
        void *bytes = calloc(1, clv_view_bytes(tensor->dtype, &tensor->shape) + 1);
        assert_non_null(bytes);
        outputs[i] = (clv_mutable_view){tensor->dtype, tensor->shape, bytes};
    }
    clv_session *session = NULL;
    assert_ok(clv_session_create(graph, &r->unit, 1, NULL, &session));
    num_started = 0;
    assert_ok(clv_session_run(session, inputs, graph->num_inputs, outputs, graph->num_outputs));
    const clv_session_report *report = clv_session_report_get(session);
    /* a node whose outputs are all known is gone */
    uint32_t launches = report->num_nodes == 1 ? report->nodes[0].launches : 0;
    /* what brings an input to the layout of its reader belongs to no node */
    assert_in_range(num_started, launches, launches + (launches != 0 ? graph->num_inputs : 0));
    clv_session_destroy(session);
    if (needs_device(graph) && (graph->nodes[0].op->flags & CLV_OP_VIEW) != 0) {
        size_t bytes = clv_view_bytes(outputs[0].dtype, &outputs[0].shape);
        assert_memory_equal(outputs[0].data, inputs[0].data, bytes);
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        free(outputs[i].data);
    }
    return launches;
}

/* Returns whether the case had to be computed. */
static bool check_case(const clv_case *source, const rig *r) {
    clv_case_data data;
    clv_view inputs[MAX_OPERANDS];
    char label[256];
    assert_ok(clv_case_init(source, 1, &data));
    clv_graph *graph = make_graph(&data, inputs);
    const clv_op_def *op = data.node.op;
    bool follows_from_shapes = (op->flags & (CLV_OP_VIEW | CLV_OP_FROM_SHAPE)) != 0;
    bool is_needed = needs_device(graph);
    if (!is_needed && graph->num_inputs > 0 && !follows_from_shapes) {
        /* known before any request, though an input is not: only where nothing is in it */
        for (size_t i = 0; i < graph->num_outputs; i++) {
            const clv_tensor *output = &graph->tensors[graph->outputs[i]];
            if (clv_shape_elements(&output->shape) != 0) {
                fail_msg("%s: known without its input", clv_case_label(source, label));
            }
        }
    }
    uint32_t launches = run_graph(graph, r, inputs);
    bool may_lie_there = op->takes_run != NULL || op->places_run != NULL;
    bool is_right =
        is_needed && !follows_from_shapes ? launches > 0 || may_lie_there : launches == 0;
    if (!is_right) {
        fail_msg("%s: %u launches", clv_case_label(source, label), launches);
    }
    clv_graph_destroy(graph);
    clv_case_deinit(&data);
    return is_needed;
}

static void every_result_is_computed_by_kernels(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    size_t num_ops = clv_op_count(), num_cases = 0;
    bool *computed = calloc(num_ops, sizeof *computed);
    assert_non_null(computed);
    for (size_t i = 0; i < clv_case_list_count(); i++) {
        const clv_case_list *list = clv_case_list_at(i);
        for (size_t k = 0; k < list->num_cases; k++) {
            if (list->cases[k].error != CLV_OK) {
                continue;
            }
            bool is_needed = check_case(&list->cases[k], &r);
            for (size_t o = 0; o < num_ops; o++) {
                if (strcmp(clv_op_at(o)->name, list->cases[k].op) == 0) {
                    computed[o] = computed[o] || is_needed;
                }
            }
            num_cases++;
        }
    }
    for (size_t o = 0; o < num_ops; o++) {
        const clv_op_def *op = clv_op_at(o);
        bool is_data = op->max_inputs < 0 || op->max_inputs > 31 ||
                       (op->host_inputs + 1) >> op->max_inputs == 0; /* of requests */
        if (op->kernels != NULL && is_data && !computed[o]) {
            fail_msg("no case of %s reaches a kernel", op->name);
        }
    }
    print_message("%zu cases\n", num_cases);
    free(computed);
    assert_int_equal(clv_null_num_objects(r.device), 0);
    r.device->vtable->destroy(r.device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_is_computed_by_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
