/* Each rule of clv_graph_verify, broken in a graph that is good otherwise. */
#include "tests/unit/ir/ir_helpers.h"

typedef struct corruption {
    const char *rule;
    void (*corrupt)(clv_graph *graph);
    const char *message;
} corruption;

static void tensor_without_name(clv_graph *graph) {
    graph->tensors[H].name = "";
}
static void tensor_with_null_name(clv_graph *graph) {
    graph->tensors[H].name = NULL;
}
static void tensors_of_one_name(clv_graph *graph) {
    graph->tensors[H].name = "y";
}
static void node_without_name(clv_graph *graph) {
    graph->nodes[NODE_A].name = "";
}
static void nodes_of_one_name(clv_graph *graph) {
    graph->nodes[NODE_A].name = "b";
}
static void node_without_operator(clv_graph *graph) {
    graph->nodes[NODE_A].op_type = NULL;
}
static void unknown_kind(clv_graph *graph) {
    graph->tensors[H].kind = (clv_tensor_kind)7;
}
static void unknown_type(clv_graph *graph) {
    graph->tensors[H].dtype = CLV_NUM_DTYPES;
}
static void large_rank(clv_graph *graph) {
    graph->tensors[H].shape.rank = 9;
}
static void negative_dimension(clv_graph *graph) {
    graph->tensors[H].shape.dims[0] = -2;
}
static void constant_without_data(clv_graph *graph) {
    graph->tensors[W].data = NULL;
}
static void constant_without_type(clv_graph *graph) {
    graph->tensors[W].dtype = CLV_DTYPE_NONE;
}
static void constant_of_free_shape(clv_graph *graph) {
    graph->tensors[W].shape.dims[0] = CLV_DIM_FREE;
}
static void data_of_unknown_shape(clv_graph *graph) {
    graph->tensors[H].data = small_weights;
    graph->tensors[H].shape.rank = -1;
}
static void input_with_producer(clv_graph *graph) {
    graph->tensors[X].producer = NODE_A;
}
static void producer_out_of_range(clv_graph *graph) {
    graph->tensors[H].producer = 2;
}
static void producer_that_does_not_write(clv_graph *graph) {
    graph->tensors[H].producer = NODE_B;
}
static void producer_not_set(clv_graph *graph) {
    graph->tensors[Z].producer = CLV_NO_ID;
}
static void removed_producer(clv_graph *graph) {
    graph->nodes[NODE_A].removed = true; /* not by clv_graph_remove_node */
}
static void value_that_nothing_writes(clv_graph *graph) {
    clv_graph_remove_node(graph, NODE_A);
}
static void input_out_of_range(clv_graph *graph) {
    graph->nodes[NODE_A].inputs[0] = 5;
}
static void output_out_of_range(clv_graph *graph) {
    graph->nodes[NODE_B].outputs[1] = 5;
    graph->tensors[Z].producer = CLV_NO_ID;
}
static void reader_before_writer(clv_graph *graph) {
    clv_node first = graph->nodes[0];
    graph->nodes[0] = graph->nodes[1];
    graph->nodes[1] = first;
    graph->tensors[H].producer = 1;
    graph->tensors[Y].producer = graph->tensors[Z].producer = 0;
}
static void node_that_reads_itself(clv_graph *graph) {
    graph->nodes[NODE_A].inputs[1] = H;
}
static void two_writers(clv_graph *graph) {
    graph->nodes[NODE_B].outputs[1] = H;
    graph->tensors[Z].producer = CLV_NO_ID;
}
static void written_twice_by_one_node(clv_graph *graph) {
    graph->nodes[NODE_B].outputs[1] = Y;
    graph->tensors[Z].producer = CLV_NO_ID;
}
static void constant_that_is_written(clv_graph *graph) {
    graph->tensors[H].kind = CLV_TENSOR_CONSTANT;
    graph->tensors[H].data = small_weights;
    graph->tensors[H].producer = CLV_NO_ID;
}
static void input_that_is_written(clv_graph *graph) {
    graph->nodes[NODE_B].outputs[1] = X;
    graph->tensors[Z].producer = CLV_NO_ID;
}
static void graph_input_that_is_none(clv_graph *graph) {
    graph->inputs[0] = H;
}
static void graph_input_out_of_range(clv_graph *graph) {
    graph->inputs[0] = CLV_NO_ID;
}
static void graph_input_twice(clv_graph *graph) {
    assert_ok(clv_graph_set_inputs(graph, (clv_tensor_id[]){X, X}, 2));
}
static void input_tensor_not_listed(clv_graph *graph) {
    graph->num_inputs = 0;
}
static void graph_output_out_of_range(clv_graph *graph) {
    graph->outputs[0] = 99;
}
static void graph_output_that_nothing_writes(clv_graph *graph) {
    clv_graph_remove_node(graph, NODE_B);
}

static const corruption corruptions[] = {
    {"tensor names", tensor_without_name, "tensor 2 has no name"},
    {"tensor names", tensor_with_null_name, "tensor 2 has no name"},
    {"unique tensor names", tensors_of_one_name, "two tensors are named 'y'"},
    {"node names", node_without_name, "node 0 has no name"},
    {"unique node names", nodes_of_one_name, "two nodes are named 'b'"},
    {"operator names", node_without_operator, "node 'a' has no operator"},
    {"kinds", unknown_kind, "tensor 'h' is of no known kind"},
    {"types", unknown_type, "tensor 'h' is of no known kind or type"},
    {"ranks", large_rank, "tensor 'h' has rank 9"},
    {"dimensions", negative_dimension, "tensor 'h' has the shape [-2]"},
    {"constants have data", constant_without_data, "constant 'w' has no data"},
    {"constants have a type", constant_without_type, "tensor 'w' has no type"},
    {"constants have a shape", constant_of_free_shape, "tensor 'w': it has the shape [?]"},
    {"data has a shape", data_of_unknown_shape, "tensor 'h': it has"},
    {"inputs have no producer", input_with_producer, "tensor 'x' is an input and has a producer"},
    {"producers exist", producer_out_of_range, "the producer of tensor 'h' is no node"},
    {"producers write", producer_that_does_not_write, "node 'b' as its producer"},
    {"producers are set", producer_not_set, "node 'b' writes tensor 'z', which has no producer"},
    {"producers are there", removed_producer, "the producer of tensor 'h' is no node"},
    {"what is read is written", value_that_nothing_writes, "'h', which nothing writes"},
    {"input ids", input_out_of_range, "node 'a': it reads tensor 5"},
    {"output ids", output_out_of_range, "node 'b' writes tensor 5"},
    {"order", reader_before_writer, "'h', which node 'a' after it writes"},
    {"order", node_that_reads_itself, "'h', which node 'a' after it writes"},
    {"one writer", two_writers, "tensor 'h' is written by node 'a' and by node 'b'"},
    {"one writer", written_twice_by_one_node, "writes tensor 'y' twice"},
    {"constants are not written", constant_that_is_written, "'h', which is a constant"},
    {"inputs are not written", input_that_is_written, "'x', which is an input"},
    {"graph inputs", graph_input_that_is_none, "graph input 0 is no input tensor"},
    {"graph inputs", graph_input_out_of_range, "graph input 0 is no input tensor"},
    {"graph inputs once", graph_input_twice, "tensor 'x' is a graph input twice"},
    {"all inputs listed", input_tensor_not_listed,
     "tensor 'x' is an input, but none of the graph's"},
    {"graph outputs", graph_output_out_of_range, "graph output 0: it reads tensor 99"},
    {"graph outputs", graph_output_that_nothing_writes, "'y', which nothing writes"},
};

static void test_each_corruption_is_found(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof corruptions / sizeof corruptions[0]; i++) {
        print_message("%s\n", corruptions[i].rule);
        clv_graph *graph = make_small_graph();
        assert_ok(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
        corruptions[i].corrupt(graph);
        assert_failed(
            MALFORMED, corruptions[i].message, clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
        clv_graph_destroy(graph);
    }
}

/* What is not known before inference is no fault of structure, but one of shapes. */
static void test_shapes_level_asks_for_more(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    assert_failed(
        MALFORMED, "node 'a' is of the unknown operator 'Add'",
        clv_graph_verify(graph, CLV_VERIFY_SHAPES));
    graph->nodes[NODE_A].op = graph->nodes[NODE_B].op = (const clv_op_def *)small_weights;
    assert_ok(clv_graph_verify(graph, CLV_VERIFY_SHAPES));

    graph->tensors[H].shape.rank = -1;
    assert_ok(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    assert_failed(MALFORMED, "tensor 'h'", clv_graph_verify(graph, CLV_VERIFY_SHAPES));
    graph->tensors[H].shape = (clv_shape){.rank = 1, .dims = {CLV_DIM_FREE}};
    assert_ok(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    assert_failed(MALFORMED, "not known", clv_graph_verify(graph, CLV_VERIFY_SHAPES));
    graph->tensors[H].shape.dims[0] = CLV_MAX_ELEMENTS + 1;
    assert_failed(UNSUPPORTED, "more than", clv_graph_verify(graph, CLV_VERIFY_SHAPES));
    graph->tensors[H].shape.dims[0] = 2;
    graph->tensors[H].dtype = CLV_DTYPE_NONE;
    assert_failed(MALFORMED, "'h' has no type", clv_graph_verify(graph, CLV_VERIFY_SHAPES));
    clv_graph_destroy(graph);
}

static void test_operands_may_be_left_out(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    graph->nodes[NODE_A].inputs[1] = CLV_NO_ID;
    graph->nodes[NODE_B].outputs[1] = CLV_NO_ID;
    graph->tensors[Z].producer = CLV_NO_ID;
    assert_ok(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    clv_graph_destroy(graph);
}

/* A removed node is not looked at, and its name is free again. */
static void test_removed_nodes_do_not_count(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    clv_tensor_id e = add_test_tensor(graph, "e", CLV_TENSOR_VALUE, NULL);
    clv_node_id node = add_test_node(graph, "a", "Relu", (clv_tensor_id[]){H}, 1, &e, 1);
    assert_failed(MALFORMED, "'a'", clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    clv_graph_remove_node(graph, node);
    assert_ok(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    clv_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_corruption_is_found),
        cmocka_unit_test(test_shapes_level_asks_for_more),
        cmocka_unit_test(test_operands_may_be_left_out),
        cmocka_unit_test(test_removed_nodes_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
