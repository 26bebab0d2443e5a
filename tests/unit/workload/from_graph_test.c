/* A small network as a workload: tasks, tensors, weights, splits. */
#include "host/exec/footprint.h"
#include "host/exec/lower.h"
#include "host/ops/op.h"
#include "host/passes/passes.h"
#include "host/workload/from_graph.h"
#include "tests/support/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static clv_tensor_id add_tensor(
    clv_graph *graph, const char *name, clv_tensor_kind kind, clv_shape shape, const void *data) {
    clv_tensor tensor = {
        .name = name,
        .kind = kind,
        .dtype = CLV_FLOAT32,
        .shape = shape,
        .data = data,
        .producer = CLV_NO_ID};
    if (kind == CLV_TENSOR_VALUE) {
        tensor.dtype = CLV_DTYPE_NONE;
        tensor.shape.rank = -1;
    }
    clv_tensor_id id;
    assert_ok(clv_graph_add_tensor(graph, &tensor, &id));
    return id;
}

static void add_node(
    clv_graph *graph, const char *type, clv_tensor_id *inputs, size_t num_inputs,
    clv_tensor_id output) {
    clv_node node = {
        .name = type,
        .op_type = type,
        .op = clv_op_find("", type),
        .opset = 17,
        .inputs = inputs,
        .num_inputs = num_inputs,
        .outputs = &output,
        .num_outputs = 1};
    clv_node_id id;
    assert_ok(clv_graph_add_node(graph, &node, &id));
    graph->tensors[output].producer = id;
}

/* x [1,4,8,8] -> Conv 3x3 without padding to 6 channels -> Mul by itself -> Flatten */
static clv_graph *make_graph(void) {
    static const float weights[6 * 4 * 3 * 3] = {1};
    static clv_tensor_id input, output;
    clv_graph *graph = NULL;
    assert_ok(clv_graph_create(&graph));
    input = add_tensor(graph, "x", CLV_TENSOR_INPUT, (clv_shape){4, {1, 4, 8, 8}}, NULL);
    clv_tensor_id w =
        add_tensor(graph, "w", CLV_TENSOR_CONSTANT, (clv_shape){4, {6, 4, 3, 3}}, weights);
    clv_tensor_id conv = add_tensor(graph, "conv", CLV_TENSOR_VALUE, (clv_shape){0}, NULL);
    clv_tensor_id square = add_tensor(graph, "square", CLV_TENSOR_VALUE, (clv_shape){0}, NULL);
    output = add_tensor(graph, "flat", CLV_TENSOR_VALUE, (clv_shape){0}, NULL);
    add_node(graph, "Conv", (clv_tensor_id[]){input, w}, 2, conv);
    add_node(graph, "Mul", (clv_tensor_id[]){conv, conv}, 2, square);
    add_node(graph, "Flatten", (clv_tensor_id[]){square}, 1, output);
    graph->inputs = &input;
    graph->num_inputs = 1;
    graph->outputs = &output;
    graph->num_outputs = 1;
    assert_ok(clv_passes_infer(graph));
    return graph;
}

static void test_small_network(void **state) {
    (void)state;
    clv_graph *graph = make_graph();
    clv_workload *workload = NULL;
    assert_ok(clv_workload_from_graph(graph, &workload));
    clv_graph_destroy(graph);
    assert_int_equal(workload->num_tasks, 3);
    assert_int_equal(workload->num_tensors, 4); /* the weights are no tensor of it */
    const clv_task *conv = &workload->tasks[0], *mul = &workload->tasks[1];
    assert_string_equal(conv->name, "Conv");
    assert_int_equal(conv->num_inputs, 1);
    assert_int_equal(conv->weight_bytes, 6 * 4 * 3 * 3 * 4);
    assert_true(conv->flops >= 2.0 * 6 * 4 * 9 * 36);
    assert_int_equal(mul->num_inputs, 1); /* read twice, needed once */
    assert_true(workload->tasks[2].times[0].time_us == 0);
    const clv_task_tensor *out = &workload->tensors[workload->tasks[2].outputs[0]];
    assert_true(out->is_output);
    assert_int_equal(out->bytes, 6 * 36 * 4);
    assert_int_equal(out->resident, 0);
    clv_workload_destroy(workload);
}

static void test_splits(void **state) {
    (void)state;
    clv_graph *graph = make_graph();
    clv_workload *workload = NULL;
    assert_ok(clv_workload_from_graph(graph, &workload));
    clv_graph_destroy(graph);
    bool has_channels = false, has_rows = false;
    for (uint32_t i = 0; i < workload->tasks[0].num_splits; i++) {
        const clv_task_split *split = &workload->tasks[0].splits[i];
        if (split->join == CLV_TASK_PLACE && split->axis == 1) {
            has_channels = true;
            assert_true(split->splits_weights);
            assert_int_equal(split->extent, 6);
            assert_int_equal(split->inputs[0].need, CLV_TASK_WHOLE);
        }
        if (split->join == CLV_TASK_PLACE && split->axis == 2) {
            has_rows = true;
            assert_false(split->splits_weights);
            assert_int_equal(split->inputs[0].need, CLV_TASK_SLICE);
            /* rows b .. e of a 3x3 window need rows b .. e + 2 */
            assert_int_equal(split->inputs[0].before, 0);
            assert_int_equal(split->inputs[0].after, 2);
        }
    }
    assert_true(has_channels && has_rows);
    const int32_t shares = clv_task_shares(&workload->tasks[0]);
    assert_true(shares >= 0); /* all weights once, all of the input for everybody */
    assert_true(workload->tasks[0].splits[shares].splits_weights);
    assert_int_equal(workload->tasks[0].splits[shares].inputs[0].need, CLV_TASK_WHOLE);
    for (int32_t i = 0; i < clv_task_shares(&workload->tasks[1]); i++) {
        /* both slots of the product agree */
        assert_int_equal(workload->tasks[1].splits[i].inputs[0].need, CLV_TASK_SLICE);
    }
    clv_workload_destroy(workload);
}

/* What tasks and tensors hold is what kernels take: together, all that one unit does. */
static void test_footprint(void **state) {
    (void)state;
    const clv_traits core = clv_plain_core_traits();
    clv_graph *graph = make_graph();
    clv_workload *workload = NULL;
    clv_lowered lowered;
    assert_ok(clv_workload_from_graph(graph, &workload));
    const uint64_t plain = workload->tasks[0].weight_bytes;
    assert_ok(clv_workload_set_footprint(graph, &core, NULL, workload));
    assert_ok(clv_lower(
        graph, &(clv_lower_options){.traits = core, .max_block_bytes = UINT64_MAX / 4}, &lowered));
    uint64_t weights = 0, values = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        weights += workload->tasks[i].weight_bytes;
        values += workload->tasks[i].scratch_bytes;
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        values += workload->tensors[i].resident;
    }
    uint64_t stored = 0, packed = 0;
    for (size_t i = 0; i < lowered.num_storages; i++) {
        const clv_storage *s = &lowered.storages[i];
        *(s->kind == CLV_STORAGE_CONSTANT ? &packed : &stored) += clv_memory_align(s->piece.bytes);
    }
    assert_true(workload->tasks[0].weight_bytes > plain); /* six channels in blocks of eight */
    assert_int_equal(weights, packed);
    assert_int_equal(values, stored);
    const clv_task_tensor *out = &workload->tensors[workload->tasks[2].outputs[0]];
    assert_int_equal(out->resident, 0); /* a view */
    clv_lowered_deinit(&lowered);
    clv_workload_destroy(workload);
    clv_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_network),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_footprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
