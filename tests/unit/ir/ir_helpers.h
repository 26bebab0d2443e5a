/* A small graph: x (input), w (constant); a: h = Add(x, w); b: y = Relu(h), z; output y. */
#ifndef CLV_TESTS_IR_HELPERS_H
#define CLV_TESTS_IR_HELPERS_H

#include "host/ir/graph.h"
#include "tests/support/check.h"

enum { X, W, H, Y, Z };  /* tensors */
enum { NODE_A, NODE_B }; /* nodes */

static const float small_weights[2] = {1, 2};

static inline clv_tensor_id add_test_tensor(
    clv_graph *graph, const char *name, clv_tensor_kind kind, const void *data) {
    clv_tensor_id id;
    clv_tensor tensor = {
        .name = name,
        .kind = kind,
        .dtype = CLV_FLOAT32,
        .shape = {.rank = 1, .dims = {2}},
        .data = data,
    };
    assert_ok(clv_graph_add_tensor(graph, &tensor, &id));
    return id;
}

static inline clv_node_id add_test_node(
    clv_graph *graph, const char *name, const char *op_type, const clv_tensor_id *inputs,
    size_t num_inputs, const clv_tensor_id *outputs, size_t num_outputs) {
    clv_node_id id;
    clv_node node = {
        .name = name,
        .op_type = op_type,
        .opset = 21,
        .inputs = (clv_tensor_id *)inputs, /* copied */
        .num_inputs = num_inputs,
        .outputs = (clv_tensor_id *)outputs,
        .num_outputs = num_outputs,
    };
    assert_ok(clv_graph_add_node(graph, &node, &id));
    return id;
}

static inline clv_graph *make_small_graph(void) {
    clv_graph *graph;
    assert_ok(clv_graph_create(&graph));
    graph->name = "small";
    graph->opset = 21;
    add_test_tensor(graph, "x", CLV_TENSOR_INPUT, NULL);
    add_test_tensor(graph, "w", CLV_TENSOR_CONSTANT, small_weights);
    add_test_tensor(graph, "h", CLV_TENSOR_VALUE, NULL);
    add_test_tensor(graph, "y", CLV_TENSOR_VALUE, NULL);
    add_test_tensor(graph, "z", CLV_TENSOR_VALUE, NULL);
    const clv_tensor_id x = X, y = Y;
    add_test_node(graph, "a", "Add", (clv_tensor_id[]){X, W}, 2, (clv_tensor_id[]){H}, 1);
    add_test_node(graph, "b", "Relu", (clv_tensor_id[]){H}, 1, (clv_tensor_id[]){Y, Z}, 2);
    assert_ok(clv_graph_set_inputs(graph, &x, 1));
    assert_ok(clv_graph_set_outputs(graph, &y, 1));
    return graph;
}

#endif
