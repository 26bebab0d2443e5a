/* Models that are damaged, or made to do harm: each gets an error that names what is wrong. */
#include "load_helpers.h"

#include "host/base/random.h"
#include <stdio.h>
#include <stdlib.h>

/* Loads an exact copy on the heap, so that the sanitizer sees a read past the end. */
static clv_status *load_copy(
    const uint8_t *data, size_t bytes, clv_graph **out_graph, void **copy) {
    *copy = malloc(bytes > 0 ? bytes : 1);
    if (bytes > 0) {
        memcpy(*copy, data, bytes);
    }
    return clv_onnx_load_memory(*copy, bytes, NULL, out_graph);
}

static void every_prefix_is_malformed(void **state) {
    (void)state;
    pb model = onnx_sample_model();
    for (size_t bytes = 0; bytes < model.bytes; bytes++) {
        clv_graph *graph = NULL;
        void *copy = NULL;
        clv_status *status = load_copy(model.data, bytes, &graph, &copy);
        if (clv_status_code(status) != CLV_MALFORMED) {
            fail_msg("prefix of %zu bytes: %s", bytes, clv_status_message(status));
        }
        clv_status_destroy(status);
        free(copy);
    }
    pb_free(&model);
}

/* A flipped model loads or is refused; it never crashes, and what loads passes the verifier. */
static void flipped_bits_do_no_harm(void **state) {
    (void)state;
    enum { NUM_MODELS = 20000 };
    pb model = onnx_sample_model();
    clv_random random;
    clv_random_init(&random, 20240607);
    size_t loaded = 0;
    for (int i = 0; i < NUM_MODELS; i++) {
        uint8_t *data = malloc(model.bytes);
        memcpy(data, model.data, model.bytes);
        uint64_t flips = 1 + clv_random_below(&random, 4);
        for (uint64_t k = 0; k < flips; k++) {
            data[clv_random_below(&random, model.bytes)] ^=
                (uint8_t)(1 << clv_random_below(&random, 8));
        }
        clv_graph *graph = NULL;
        clv_status *status = clv_onnx_load_memory(data, model.bytes, NULL, &graph);
        clv_code code = clv_status_code(status);
        if (code != CLV_OK && code != CLV_MALFORMED && code != CLV_UNSUPPORTED) {
            fail_msg("flip %d: %s", i, clv_status_message(status));
        }
        assert_true((graph != NULL) == (code == CLV_OK));
        loaded += graph != NULL;
        clv_status_destroy(status);
        clv_graph_destroy(graph);
        free(data);
    }
    assert_true(loaded > NUM_MODELS / 20); /* flips in weights and names do not matter */
    assert_true(loaded < NUM_MODELS - NUM_MODELS / 20);
    pb_free(&model);
}

static void single_byte_changes_do_no_harm(void **state) {
    (void)state;
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    pb model = onnx_sample_model();
    for (size_t at = 0; at < model.bytes; at++) {
        uint8_t old = model.data[at];
        for (size_t v = 0; v < sizeof values; v++) {
            model.data[at] = values[v];
            clv_graph *graph = NULL;
            clv_status *status = clv_onnx_load_memory(model.data, model.bytes, NULL, &graph);
            assert_true(clv_status_code(status) != CLV_INTERNAL);
            clv_status_destroy(status);
            clv_graph_destroy(graph);
        }
        model.data[at] = old;
    }
    pb_free(&model);
}

/* --- what the model says of itself */

static pb versions(int64_t ir_version, int64_t opset) {
    pb model = {0}, graph = relu_graph();
    if (ir_version != 0) {
        pb_varint(&model, MODEL_IR_VERSION, (uint64_t)ir_version);
    }
    pb_message(&model, MODEL_GRAPH, graph);
    if (opset != 0) {
        pb_message(&model, MODEL_OPSET, onnx_opset("", opset));
    }
    return model;
}

static void versions_are_checked(void **state) {
    (void)state;
    const struct {
        int64_t ir_version, opset;
        clv_code code;
        const char *text;
    } cases[] = {
        {0, 13, CLV_MALFORMED, "ir_version"},
        {-5, 13, CLV_MALFORMED, "ir_version"},
        {1 << 20, 13, CLV_MALFORMED, "ir_version"},
        {2, 13, CLV_UNSUPPORTED, "ir_version 2 is too old"},
        {8, 0, CLV_MALFORMED, "imports no operator set"},
        {8, 6, CLV_UNSUPPORTED, "opset 6, which is too old"},
        {8, 29, CLV_UNSUPPORTED, "opset 29, which is too new"},
        {8, -1, CLV_MALFORMED, "version -1"},
        {8, INT64_MAX, CLV_MALFORMED, "version 9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pb model = versions(cases[i].ir_version, cases[i].opset);
        load_fails(&model, cases[i].code, cases[i].text);
    }
    static const int64_t good[][2] = {{3, 7}, {8, 28}, {14, 28}, {20, 13}};
    for (size_t i = 0; i < 4; i++) {
        pb model = versions(good[i][0], good[i][1]);
        clv_graph_destroy(load_ok(&model));
        pb_free(&model);
    }
    pb twice = versions(8, 13);
    pb_message(&twice, MODEL_OPSET, onnx_opset("ai.onnx", 14));
    load_fails(&twice, CLV_MALFORMED, "versions 13 and 14");
    pb no_graph = {0};
    pb_varint(&no_graph, MODEL_IR_VERSION, 8);
    pb_message(&no_graph, MODEL_OPSET, onnx_opset("", 13));
    load_fails(&no_graph, CLV_MALFORMED, "no graph");
    pb other_domain = {0};
    pb_varint(&other_domain, MODEL_IR_VERSION, 8);
    pb_message(&other_domain, MODEL_GRAPH, relu_graph());
    pb_message(&other_domain, MODEL_OPSET, onnx_opset("com.example", 1));
    load_fails(&other_domain, CLV_MALFORMED, "imports no version of ONNX's own");
    pb picture = {0};
    pb_append(&picture, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    load_fails(&picture, CLV_MALFORMED, "not a valid ONNX file");
}

/* --- the graph */

static void add_node(pb *graph, pb node) {
    pb_message(graph, GRAPH_NODE, node);
}

static void cycle(pb *graph) {
    add_node(graph, onnx_node("Add", "p", "x,b", "a"));
    add_node(graph, onnx_node("Relu", "q", "a", "b"));
}

static void self_cycle(pb *graph) {
    add_node(graph, onnx_node("Add", "p", "x,a", "a"));
}

static void missing_input(pb *graph) {
    add_node(graph, onnx_node("Relu", "p", "nowhere", "a"));
}

static void two_writers(pb *graph) {
    add_node(graph, onnx_node("Relu", "p", "x", "a"));
    add_node(graph, onnx_node("Relu", "q", "x", "a"));
}

static void two_outputs_of_one(pb *graph) {
    add_node(graph, onnx_node("Split", "p", "x", "a,a"));
}

static void writes_an_input(pb *graph) {
    add_node(graph, onnx_node("Relu", "p", "x", "x"));
}

static void writes_an_initializer(pb *graph) {
    static const float one = 1.0f;
    pb_message(graph, GRAPH_INITIALIZER, onnx_tensor("w", 1, "1", &one, 4));
    add_node(graph, onnx_node("Relu", "p", "x", "w"));
}

static void no_outputs(pb *graph) {
    add_node(graph, onnx_node("Relu", "p", "x", ""));
}

static void no_op_type(pb *graph) {
    add_node(graph, onnx_node("", "p", "x", "a"));
}

static void second_output(pb *graph) {
    pb_message(graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
}

static void output_from_nowhere(pb *graph) {
    pb_message(graph, GRAPH_OUTPUT, onnx_value("nowhere", 1, NULL));
}

static void unnamed_output(pb *graph) {
    pb_message(graph, GRAPH_OUTPUT, onnx_value("", 1, NULL));
}

static void second_input(pb *graph) {
    pb_message(graph, GRAPH_INPUT, onnx_value("x", 1, "1"));
}

static void unnamed_input(pb *graph) {
    pb_message(graph, GRAPH_INPUT, onnx_value("", 1, "1"));
}

static void untyped_input(pb *graph) {
    pb value = {0};
    pb_string(&value, 1, "z");
    pb_message(graph, GRAPH_INPUT, value);
}

static void type_zero(pb *graph) {
    pb_message(graph, GRAPH_INPUT, onnx_value("z", 0, "1"));
}

static void type_absurd(pb *graph) {
    pb_message(graph, GRAPH_INPUT, onnx_value("z", 777, "1"));
}

static void type_string(pb *graph) {
    pb_message(graph, GRAPH_INPUT, onnx_value("z", 8, "1"));
}

static void type_float8(pb *graph) {
    pb_message(graph, GRAPH_OUTPUT, onnx_value("x", 17, "1"));
}

static void sequence(pb *graph) {
    pb value = {0}, type = {0}, inner = {0};
    pb_string(&value, 1, "z");
    pb_message(&type, 4, inner);
    pb_message(&value, 2, type);
    pb_message(graph, GRAPH_INPUT, value);
}

static void optional_output(pb *graph) {
    pb value = {0}, type = {0}, inner = {0};
    pb_string(&value, 1, "x");
    pb_message(&type, 9, inner);
    pb_message(&value, 2, type);
    pb_message(graph, GRAPH_OUTPUT, value);
}

static void negative_dim(pb *graph) {
    pb_message(graph, GRAPH_INPUT, onnx_value("z", 1, "1,-3"));
}

static void negative_value_dim(pb *graph) {
    pb_message(graph, GRAPH_VALUE_INFO, onnx_value("y", 1, "1,-3"));
}

static void huge_dims(pb *graph) {
    pb_message(
        graph, GRAPH_INPUT, onnx_value("z", 1, "4611686018427387904,4611686018427387904,16"));
}

static void rank_nine(pb *graph) {
    pb_message(graph, GRAPH_INPUT, onnx_value("z", 1, "1,1,1,1,1,1,1,1,1"));
}

static void sparse(pb *graph) {
    pb initializer = {0};
    pb_message(&initializer, 1, onnx_tensor_head("weights", 1, "1"));
    pb_message(graph, GRAPH_SPARSE_INITIALIZER, initializer);
}

static void reference_outside(pb *graph) {
    pb node = onnx_node("LeakyRelu", "p", "x", "a");
    onnx_attr_reference(&node, "alpha", 1, "beta");
    add_node(graph, node);
}

static void attribute_twice(pb *graph) {
    pb node = onnx_node("LeakyRelu", "p", "x", "a");
    onnx_attr_float(&node, "alpha", 1);
    onnx_attr_float(&node, "alpha", 2);
    add_node(graph, node);
}

static void attribute_unnamed(pb *graph) {
    pb node = onnx_node("LeakyRelu", "p", "x", "a");
    onnx_attr_float(&node, "", 1);
    add_node(graph, node);
}

static void attribute_without_tensor(pb *graph) {
    pb node = onnx_node("Constant", "p", "", "a"), attr = {0};
    pb_string(&attr, ATTR_NAME, "value");
    pb_varint(&attr, ATTR_TYPE, 4);
    pb_message(&node, NODE_ATTRIBUTE, attr);
    add_node(graph, node);
}

static void zero_in_name(pb *graph) {
    pb node = onnx_node("Relu", "p", "x", "a");
    pb_bytes(&node, NODE_OUTPUT, "a\0b", 3);
    add_node(graph, node);
}

static void wrong_wire_type(pb *graph) {
    pb node = onnx_node("Relu", "p", "x", "a");
    pb_varint(&node, NODE_NAME, 5);
    add_node(graph, node);
}

static void group_wire_type(pb *graph) {
    pb_tag(graph, GRAPH_NODE, 3);
}

static void field_zero(pb *graph) {
    pb_varint(graph, 0, 1);
}

static void long_varint(pb *graph) {
    pb_append(graph, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
}

static void length_past_the_end(pb *graph) {
    pb_tag(graph, GRAPH_NODE, 2);
    pb_raw_varint(graph, UINT64_MAX);
}

static void initialized_input_of_other_type(pb *graph) {
    static const float one = 1.0f;
    pb_message(graph, GRAPH_INITIALIZER, onnx_tensor("w", 1, "1", &one, 4));
    pb_message(graph, GRAPH_INPUT, onnx_value("w", 7, "1"));
}

static void initialized_input_of_other_shape(pb *graph) {
    static const float one = 1.0f;
    pb_message(graph, GRAPH_INITIALIZER, onnx_tensor("w", 1, "1", &one, 4));
    pb_message(graph, GRAPH_INPUT, onnx_value("w", 1, "2"));
}

static void initializer_twice(pb *graph) {
    static const float one = 1.0f;
    pb_message(graph, GRAPH_INITIALIZER, onnx_tensor("w", 1, "1", &one, 4));
    pb_message(graph, GRAPH_INITIALIZER, onnx_tensor("w", 1, "1", &one, 4));
}

static void initializer_unnamed(pb *graph) {
    static const float one = 1.0f;
    pb_message(graph, GRAPH_INITIALIZER, onnx_tensor("", 1, "1", &one, 4));
}

static void graphs_are_checked(void **state) {
    (void)state;
    static const struct {
        void (*damage)(pb *graph);
        clv_code code;
        const char *text;
    } cases[] = {
        {cycle, CLV_MALFORMED, "cycle"},
        {self_cycle, CLV_MALFORMED, "cycle"},
        {missing_input, CLV_MALFORMED, "Relu 'p': input 0, 'nowhere', is no graph input"},
        {two_writers, CLV_MALFORMED, "'a', an output of node 'q', is defined already"},
        {two_outputs_of_one, CLV_MALFORMED, "'a', an output of node 'p', is defined already"},
        {writes_an_input, CLV_MALFORMED, "'x', an output of node 'p'"},
        {writes_an_initializer, CLV_MALFORMED, "'w', an output of node 'p'"},
        {no_outputs, CLV_MALFORMED, "(Relu 'p') has no outputs"},
        {no_op_type, CLV_MALFORMED, "node 1 has no operator type"},
        {second_output, CLV_MALFORMED, "graph output 'y' is listed twice"},
        {output_from_nowhere, CLV_MALFORMED, "graph output 'nowhere'"},
        {unnamed_output, CLV_MALFORMED, "a graph output has no name"},
        {second_input, CLV_MALFORMED, "two graph inputs are named 'x'"},
        {unnamed_input, CLV_MALFORMED, "a graph input has no name"},
        {untyped_input, CLV_MALFORMED, "input 'z' has no type"},
        {type_zero, CLV_MALFORMED, "input 'z' has no type"},
        {type_absurd, CLV_MALFORMED, "element type 777"},
        {type_string, CLV_UNSUPPORTED, "input 'z': element type string"},
        {type_float8, CLV_UNSUPPORTED, "output 'x': element type float8e4m3fn"},
        {sequence, CLV_UNSUPPORTED, "input 'z' is a sequence"},
        {optional_output, CLV_UNSUPPORTED, "output 'x' is an optional"},
        {negative_dim, CLV_MALFORMED, "dimension 1 of 'z' is -3"},
        {negative_value_dim, CLV_MALFORMED, "dimension 1 of 'y' is -3"},
        {huge_dims, CLV_UNSUPPORTED, "z"},
        {rank_nine, CLV_UNSUPPORTED, "'z' has rank 9"},
        {sparse, CLV_UNSUPPORTED, "'weights' is sparse"},
        {reference_outside, CLV_MALFORMED, "'alpha' refers to 'beta'"},
        {attribute_twice, CLV_MALFORMED, "LeakyRelu 'p': attribute 'alpha' is given twice"},
        {attribute_unnamed, CLV_MALFORMED, "attribute 0 has no name"},
        {attribute_without_tensor, CLV_MALFORMED, "attribute 'value' has no tensor"},
        {zero_in_name, CLV_MALFORMED, "zero byte"},
        {wrong_wire_type, CLV_MALFORMED, "NodeProto.name"},
        {group_wire_type, CLV_MALFORMED, "wire type 3"},
        {field_zero, CLV_MALFORMED, "not the start of a field"},
        {long_varint, CLV_MALFORMED, "not the start of a field"},
        {length_past_the_end, CLV_MALFORMED, "GraphProto.node"},
        {initialized_input_of_other_type, CLV_MALFORMED, "input 'w' is declared as int64 [1]"},
        {initialized_input_of_other_shape, CLV_MALFORMED, "input 'w' is declared as float32 [2]"},
        {initializer_twice, CLV_MALFORMED, "two initializers are named 'w'"},
        {initializer_unnamed, CLV_MALFORMED, "an initializer has no name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pb graph = relu_graph();
        cases[i].damage(&graph);
        pb model = finish(graph);
        load_fails(&model, cases[i].code, cases[i].text);
    }
}

static void a_graph_needs_outputs(void **state) {
    (void)state;
    pb empty = {0};
    pb model = finish(empty);
    load_fails(&model, CLV_MALFORMED, "no outputs");
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "relu", "x", "y"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "N,3"));
    model = finish(graph);
    load_fails(&model, CLV_MALFORMED, "no outputs");
}

static void messages_given_twice_are_refused(void **state) {
    (void)state;
    pb model = finish(relu_graph());
    pb_message(&model, MODEL_GRAPH, relu_graph());
    load_fails(&model, CLV_MALFORMED, "ModelProto.graph is given twice");
}

/* --- depth and amplification */

/* Types of sequences of sequences ...: each level is two messages. */
static pb nested_type(int levels) {
    pb type = {0};
    for (int i = 0; i < levels; i++) {
        pb sequence_type = {0}, outer = {0};
        pb_message(&sequence_type, 1, type);
        pb_message(&outer, 4, sequence_type);
        type = outer;
    }
    return type;
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    static const int levels[] = {20, 60, 3000};
    for (size_t i = 0; i < 3; i++) {
        pb graph = relu_graph(), value = {0};
        pb_string(&value, 1, "z");
        pb_message(&value, 2, nested_type(levels[i]));
        pb_message(&graph, GRAPH_INPUT, value);
        pb model = finish(graph);
        if (i == 0) {
            load_fails(&model, CLV_UNSUPPORTED, "is a sequence");
        } else {
            load_fails(&model, CLV_MALFORMED, "nested more than");
        }
    }
    /* Graphs in attributes of nodes of graphs ... */
    pb graph = relu_graph();
    for (int i = 0; i < 200; i++) {
        pb node = onnx_node("If", "if", "x", "z"), attr = {0}, outer = relu_graph();
        pb_string(&attr, ATTR_NAME, "then_branch");
        pb_varint(&attr, ATTR_TYPE, 5);
        pb_message(&attr, ATTR_G, graph);
        pb_message(&node, NODE_ATTRIBUTE, attr);
        pb_message(&outer, GRAPH_NODE, node);
        graph = outer;
    }
    pb model = finish(graph);
    load_fails(&model, CLV_MALFORMED, "nested more than");
}

/* Two bytes in the file for an empty message take hundreds in memory. */
static void small_files_do_not_take_much_memory(void **state) {
    (void)state;
    enum { NUM_NODES = 200000 };
    pb node = onnx_node("Relu", "n", "x", "a"), graph = relu_graph();
    for (int i = 0; i < NUM_NODES; i++) {
        pb_bytes(&node, NODE_ATTRIBUTE, "", 0);
    }
    pb_message(&graph, GRAPH_NODE, node);
    pb model = finish(graph);
    const clv_onnx_options options = {.structure_bytes = 10 << 20};
    clv_graph *loaded = NULL;
    expect_failure(
        clv_onnx_load_memory(model.data, model.bytes, &options, &loaded), CLV_UNSUPPORTED,
        "memory");
    const clv_onnx_options tiny = {.structure_bytes = 1000};
    expect_failure(
        clv_onnx_load_memory(model.data, model.bytes, &tiny, &loaded), CLV_UNSUPPORTED,
        "more than 1000 bytes");
    pb_free(&model);
}

/* Many equal names, none of them costing a search through all before it. */
static void many_equal_names_stay_cheap(void **state) {
    (void)state;
    enum { NUM_NODES = 50000 };
    pb graph = relu_graph();
    for (int i = 0; i < NUM_NODES; i++) {
        char output[16];
        snprintf(output, sizeof output, "v%d", i);
        pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "same", "x", output));
    }
    pb model = finish(graph);
    clv_graph *loaded = load_ok(&model);
    assert_int_equal(loaded->num_nodes, NUM_NODES + 1);
    assert_non_null(node_named(loaded, "same#50000"));
    clv_graph_destroy(loaded);
    pb_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_prefix_is_malformed),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(single_byte_changes_do_no_harm),
        cmocka_unit_test(versions_are_checked),
        cmocka_unit_test(graphs_are_checked),
        cmocka_unit_test(a_graph_needs_outputs),
        cmocka_unit_test(messages_given_twice_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(small_files_do_not_take_much_memory),
        cmocka_unit_test(many_equal_names_stay_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
