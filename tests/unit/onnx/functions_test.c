/* Model-local functions: what a call becomes, and calls that cannot be. */
#include "load_helpers.h"

#include <stdio.h>

static pb in_domain(pb node, const char *domain) {
    pb_string(&node, NODE_DOMAIN, domain);
    return node;
}

static pb call(const char *function, const char *name, const char *inputs, const char *outputs) {
    return in_domain(onnx_node(function, name, inputs, outputs), "local");
}

/* A model whose graph is one node from "x" to "y". */
static pb model_around(pb node) {
    pb graph = {0}, model = {0};
    pb_message(&graph, GRAPH_NODE, node);
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "N,3"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    onnx_model(&model, 17, &graph);
    pb_message(&model, MODEL_OPSET, onnx_opset("local", 1));
    return model;
}

/* double_plus(a, b) = (a + a) + b */
static pb double_plus(void) {
    pb function = onnx_function("local", "DoublePlus", "a,b", "c", 15);
    pb_message(&function, FUNCTION_NODE, onnx_node("Add", "twice", "a,a", "t"));
    pb_message(&function, FUNCTION_NODE, onnx_node("Add", "", "t,b", "c"));
    return function;
}

static void calls_are_replaced_by_bodies(void **state) {
    (void)state;
    pb model = model_around(call("DoublePlus", "first", "x,x", "y"));
    pb_message(&model, MODEL_FUNCTION, double_plus());
    clv_graph *graph = load_ok(&model);
    assert_int_equal(graph->num_nodes, 2);
    const clv_node *twice = node_named(graph, "first/twice");
    const clv_node *last = node_named(graph, "first/c");
    assert_string_equal(twice->op_type, "Add");
    assert_int_equal(twice->opset, 15); /* the function's own */
    assert_int_equal(twice->inputs[0], graph->inputs[0]);
    assert_string_equal(graph->tensors[twice->outputs[0]].name, "first/t");
    assert_int_equal(last->inputs[0], twice->outputs[0]);
    assert_int_equal(last->outputs[0], graph->outputs[0]);
    assert_string_equal(graph->tensors[last->outputs[0]].name, "y");
    clv_graph_destroy(graph);
    pb_free(&model);
}

/* Names inside two calls, and names of the graph that look like them, stay apart. */
static void names_stay_unique(void **state) {
    (void)state;
    pb graph = {0}, model = {0};
    pb_message(&graph, GRAPH_NODE, call("DoublePlus", "same", "x,x", "u"));
    pb_message(&graph, GRAPH_NODE, call("DoublePlus", "same", "u,x", "v"));
    pb_message(&graph, GRAPH_NODE, onnx_node("Add", "same/twice", "v,x", "same/t"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "3"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("same/t", 1, NULL));
    onnx_model(&model, 17, &graph);
    pb_message(&model, MODEL_FUNCTION, double_plus());
    clv_graph *loaded = load_ok(&model);
    assert_int_equal(loaded->num_nodes, 5);
    tensor_named(loaded, "same/t");
    tensor_named(loaded, "same/t#2");
    tensor_named(loaded, "same/t#3");
    node_named(loaded, "same/twice");
    node_named(loaded, "same/twice#2");
    node_named(loaded, "same/twice#3");
    clv_graph_destroy(loaded);
    pb_free(&model);
}

static void functions_may_call_functions(void **state) {
    (void)state;
    pb outer = onnx_function("local", "Outer", "p", "q", 17);
    pb_message(&outer, FUNCTION_NODE, call("DoublePlus", "inner", "p,p", "m"));
    pb_message(&outer, FUNCTION_NODE, onnx_node("Relu", "relu", "m", "q"));
    pb model = model_around(call("Outer", "o", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, outer);
    pb_message(&model, MODEL_FUNCTION, double_plus());
    clv_graph *graph = load_ok(&model);
    assert_int_equal(graph->num_nodes, 3);
    node_named(graph, "o/inner/twice");
    tensor_named(graph, "o/inner/t");
    tensor_named(graph, "o/m");
    assert_int_equal(node_named(graph, "o/relu")->opset, 17);
    clv_graph_destroy(graph);
    pb_free(&model);
}

/* leaky(a; alpha, beta = 0.5): an attribute of the call, a default, one that nobody gives. */
static pb leaky(void) {
    pb function = onnx_function("local", "Leaky", "a", "c", 17), fallback = {0};
    pb_string(&function, FUNCTION_ATTRIBUTE, "alpha");
    pb_string(&function, FUNCTION_ATTRIBUTE, "gamma");
    pb_string(&fallback, ATTR_NAME, "beta");
    pb_varint(&fallback, ATTR_TYPE, 1);
    const float half = 0.5f;
    pb_fixed32(&fallback, ATTR_F, &half);
    pb_message(&function, FUNCTION_ATTRIBUTE_PROTO, fallback);
    pb first = onnx_node("LeakyRelu", "first", "a", "b");
    onnx_attr_reference(&first, "alpha", 1, "alpha");
    pb_message(&function, FUNCTION_NODE, first);
    pb second = onnx_node("HardSigmoid", "second", "b", "c");
    onnx_attr_reference(&second, "alpha", 1, "beta");
    onnx_attr_reference(&second, "beta", 1, "gamma");
    pb_message(&function, FUNCTION_NODE, second);
    return function;
}

static void attribute_references_are_resolved(void **state) {
    (void)state;
    for (int given = 0; given < 2; given++) {
        pb node = call("Leaky", "l", "x", "y");
        onnx_attr_float(&node, "alpha", 0.125f);
        if (given) {
            onnx_attr_float(&node, "beta", 0.75f);
        }
        pb model = model_around(node);
        pb_message(&model, MODEL_FUNCTION, leaky());
        clv_graph *graph = load_ok(&model);
        const clv_node *first = node_named(graph, "l/first");
        const clv_node *second = node_named(graph, "l/second");
        assert_true(clv_attr_find(first, "alpha")->value.f == 0.125f);
        assert_true(clv_attr_find(second, "alpha")->value.f == (given ? 0.75f : 0.5f));
        assert_null(clv_attr_find(second, "beta"));
        clv_graph_destroy(graph);
        pb_free(&model);
    }
}

/* An attribute handed through two functions. */
static void references_pass_through_calls(void **state) {
    (void)state;
    pb outer = onnx_function("local", "Outer", "a", "c", 17);
    pb_string(&outer, FUNCTION_ATTRIBUTE, "slope");
    pb inner = call("Leaky", "i", "a", "c");
    onnx_attr_reference(&inner, "alpha", 1, "slope");
    pb_message(&outer, FUNCTION_NODE, inner);
    pb node = call("Outer", "o", "x", "y");
    onnx_attr_float(&node, "slope", 0.25f);
    pb model = model_around(node);
    pb_message(&model, MODEL_FUNCTION, leaky());
    pb_message(&model, MODEL_FUNCTION, outer);
    clv_graph *graph = load_ok(&model);
    assert_true(clv_attr_find(node_named(graph, "o/i/first"), "alpha")->value.f == 0.25f);
    clv_graph_destroy(graph);
    pb_free(&model);
}

static void overloads_are_told_apart(void **state) {
    (void)state;
    pb plain = onnx_function("local", "F", "a", "c", 17);
    pb_message(&plain, FUNCTION_NODE, onnx_node("Relu", "n", "a", "c"));
    pb other = onnx_function("local", "F", "a", "c", 17);
    pb_message(&other, FUNCTION_NODE, onnx_node("Tanh", "n", "a", "c"));
    pb_string(&other, FUNCTION_OVERLOAD, "second");
    pb node = call("F", "f", "x", "y");
    pb_string(&node, NODE_OVERLOAD, "second");
    pb model = model_around(node);
    pb_message(&model, MODEL_FUNCTION, plain);
    pb_message(&model, MODEL_FUNCTION, other);
    clv_graph *graph = load_ok(&model);
    assert_string_equal(node_named(graph, "f/n")->op_type, "Tanh");
    clv_graph_destroy(graph);
    pb_free(&model);
}

static void optional_operands_of_functions(void **state) {
    (void)state;
    pb function = onnx_function("local", "F", "a,low,high", "c,d", 17);
    pb_message(&function, FUNCTION_NODE, onnx_node("Clip", "clip", "a,low,high", "c"));
    pb_message(&function, FUNCTION_NODE, onnx_node("Relu", "relu", "a", "d"));
    pb model = model_around(call("F", "f", "x,,x", "y"));
    pb_message(&model, MODEL_FUNCTION, function);
    clv_graph *graph = load_ok(&model);
    const clv_node *clip = node_named(graph, "f/clip");
    assert_int_equal(clip->num_inputs, 3);
    assert_int_equal(clip->inputs[1], CLV_NO_ID);
    assert_int_equal(clip->inputs[2], graph->inputs[0]);
    tensor_named(graph, "f/d"); /* an output that the call does not want */
    clv_graph_destroy(graph);
    pb_free(&model);
}

/* An output that is an input, and one value handed out twice. */
static void outputs_without_a_node_get_an_identity(void **state) {
    (void)state;
    pb function = onnx_function("local", "F", "a", "a,c,c", 17), graph = {0}, model = {0};
    pb_message(&function, FUNCTION_NODE, onnx_node("Relu", "relu", "a", "c"));
    pb_message(&graph, GRAPH_NODE, call("F", "f", "x", "p,q,r"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "3"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("p", 1, NULL));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("q", 1, NULL));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("r", 1, NULL));
    onnx_model(&model, 17, &graph);
    pb_message(&model, MODEL_FUNCTION, function);
    clv_graph *loaded = load_ok(&model);
    assert_int_equal(loaded->num_nodes, 3);
    const clv_tensor *p = tensor_named(loaded, "p"), *q = tensor_named(loaded, "q");
    const clv_tensor *r = tensor_named(loaded, "r");
    assert_string_equal(loaded->nodes[p->producer].op_type, "Identity");
    assert_int_equal(loaded->nodes[p->producer].inputs[0], loaded->inputs[0]);
    assert_string_equal(loaded->nodes[q->producer].op_type, "Relu");
    assert_string_equal(loaded->nodes[r->producer].op_type, "Identity");
    assert_int_equal(loaded->nodes[r->producer].inputs[0], q - loaded->tensors);
    clv_graph_destroy(loaded);
    pb_free(&model);
}

/* --- what cannot be */

static void recursion_is_refused(void **state) {
    (void)state;
    pb itself = onnx_function("local", "F", "a", "c", 17);
    pb_message(&itself, FUNCTION_NODE, call("F", "again", "a", "c"));
    pb model = model_around(call("F", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, itself);
    load_fails(&model, CLV_MALFORMED, "function 'local::F' calls itself");

    pb ping = onnx_function("local", "Ping", "a", "c", 17);
    pb_message(&ping, FUNCTION_NODE, call("Pong", "n", "a", "c"));
    pb pong = onnx_function("local", "Pong", "a", "c", 17);
    pb_message(&pong, FUNCTION_NODE, call("Ping", "n", "a", "c"));
    model = model_around(call("Ping", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, ping);
    pb_message(&model, MODEL_FUNCTION, pong);
    load_fails(&model, CLV_MALFORMED, "calls itself");
}

/* A chain of `levels` functions, each of which calls the next `width` times. */
static pb chain(int levels, int width, const char *leaf) {
    pb model = model_around(call("F0", "f", "x", "y"));
    for (int i = 0; i < levels; i++) {
        char name[16], next[16];
        snprintf(name, sizeof name, "F%d", i);
        snprintf(next, sizeof next, "F%d", i + 1);
        pb function = onnx_function("local", name, "a", "c", 17);
        for (int k = 0; k < width; k++) {
            char output[16];
            snprintf(output, sizeof output, "t%d", k);
            const char *out = k == 0 ? "c" : output;
            pb node = i + 1 < levels ? call(next, "n", "a", out) : onnx_node(leaf, "n", "a", out);
            pb_message(&function, FUNCTION_NODE, node);
        }
        pb_message(&model, MODEL_FUNCTION, function);
    }
    return model;
}

static void deep_calls_are_bounded(void **state) {
    (void)state;
    pb model = chain(90, 1, "Relu");
    clv_graph *graph = load_ok(&model);
    assert_int_equal(graph->num_nodes, 1);
    clv_graph_destroy(graph);
    pb_free(&model);
    model = chain(5000, 1, "Relu");
    load_fails(&model, CLV_UNSUPPORTED, "nested more than");
}

/* A billion laughs: 2^40 nodes in a file of a few kilobytes. */
static void exponential_growth_is_bounded(void **state) {
    (void)state;
    pb model = chain(40, 2, "Relu");
    const clv_onnx_options options = {.num_nodes = 2000};
    clv_graph *graph = NULL;
    expect_failure(
        clv_onnx_load_memory(model.data, model.bytes, &options, &graph), CLV_UNSUPPORTED,
        "unfold into more than the 2000 nodes");
    pb_free(&model);
    /* The same with bodies that hold calls only, down to an empty one. */
    model = model_around(call("F0", "f", "x", "y"));
    for (int i = 0; i < 40; i++) {
        char name[16], next[16];
        snprintf(name, sizeof name, "F%d", i);
        snprintf(next, sizeof next, "F%d", i + 1);
        pb function = onnx_function("local", name, "a", "a", 17);
        if (i < 39) {
            pb_message(&function, FUNCTION_NODE, call(next, "n", "a", "t"));
            pb_message(&function, FUNCTION_NODE, call(next, "n", "a", "u"));
        }
        pb_message(&model, MODEL_FUNCTION, function);
    }
    expect_failure(
        clv_onnx_load_memory(model.data, model.bytes, &options, &graph), CLV_UNSUPPORTED,
        "unfold into more than");
    pb_free(&model);
}

/* A long name or a large attribute counts, too: each call would copy it. */
static void large_bodies_are_bounded(void **state) {
    (void)state;
    static char name[20001];
    static int64_t ints[20000];
    memset(name, 'n', sizeof name - 1);
    for (int kind = 0; kind < 2; kind++) {
        pb function = onnx_function("local", "F", "a", "c", 17);
        pb node = onnx_node("Relu", kind == 0 ? name : "n", "a", "c");
        if (kind == 1) {
            onnx_attr_ints(&node, "consumed_inputs", ints, 20000);
        }
        pb_message(&function, FUNCTION_NODE, node);
        pb graph = {0}, model = {0};
        for (int i = 0; i < 100; i++) {
            char output[16];
            snprintf(output, sizeof output, "y%d", i);
            pb_message(&graph, GRAPH_NODE, call("F", "f", "x", output));
        }
        pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "3"));
        pb_message(&graph, GRAPH_OUTPUT, onnx_value("y1", 1, NULL));
        onnx_model(&model, 17, &graph);
        pb_message(&model, MODEL_FUNCTION, function);
        const clv_onnx_options options = {.num_nodes = 2000};
        clv_graph *loaded = NULL;
        expect_failure(
            clv_onnx_load_memory(model.data, model.bytes, &options, &loaded), CLV_UNSUPPORTED,
            "unfold into more than");
        pb_free(&model);
    }
}

static void wrong_functions_are_refused(void **state) {
    (void)state;
    pb model = model_around(call("DoublePlus", "f", "x,x,x", "y"));
    pb_message(&model, MODEL_FUNCTION, double_plus());
    load_fails(&model, CLV_MALFORMED, "DoublePlus 'f': in function 'local::DoublePlus': has 3");

    model = model_around(call("DoublePlus", "f", "x,x", "y,z"));
    pb_message(&model, MODEL_FUNCTION, double_plus());
    load_fails(&model, CLV_MALFORMED, "has 2 outputs");

    model = model_around(call("DoublePlus", "f", "x,x", "y"));
    pb_message(&model, MODEL_FUNCTION, double_plus());
    pb_message(&model, MODEL_FUNCTION, double_plus());
    load_fails(&model, CLV_MALFORMED, "'local::DoublePlus' is defined twice");

    pb empty = onnx_function("local", "F", "a", "c", 17);
    model = model_around(call("F", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, empty);
    load_fails(&model, CLV_MALFORMED, "output 'c' has no value");

    pb absent = onnx_function("local", "F", "a,b", "b", 17);
    model = model_around(call("F", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, absent);
    load_fails(&model, CLV_MALFORMED, "output 'b' has no value");

    pb outside = onnx_function("local", "F", "a", "c", 17);
    pb_message(&outside, FUNCTION_NODE, onnx_node("Add", "n", "a,x", "c"));
    model = model_around(call("F", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, outside);
    load_fails(&model, CLV_MALFORMED, "'x', is no"); /* a body does not see the caller's names */

    pb twice = onnx_function("local", "F", "a,a", "c", 17);
    model = model_around(call("F", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, twice);
    load_fails(&model, CLV_MALFORMED, "two inputs of the function are named 'a'");

    pb shadow = onnx_function("local", "F", "a", "c", 17);
    pb_message(&shadow, FUNCTION_NODE, onnx_node("Relu", "n", "a", "a"));
    model = model_around(call("F", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, shadow);
    load_fails(&model, CLV_MALFORMED, "'a', an output of node 'n', is defined already");

    pb old = onnx_function("local", "F", "a", "c", 6);
    pb_message(&old, FUNCTION_NODE, onnx_node("Relu", "n", "a", "c"));
    model = model_around(call("F", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, old);
    load_fails(&model, CLV_UNSUPPORTED, "the function uses ONNX opset 6");

    pb unnamed = onnx_function("local", "", "a", "c", 17);
    model = model_around(call("F", "f", "x", "y"));
    pb_message(&model, MODEL_FUNCTION, unnamed);
    load_fails(&model, CLV_MALFORMED, "function 0 has no name");
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    pb node = call("Leaky", "l", "x", "y");
    onnx_attr_float(&node, "alpha", 0.125f);
    pb model = model_around(node);
    pb_message(&model, MODEL_FUNCTION, leaky());
    bool done = false;
    for (int64_t n = 0; !done; n++) {
        clv_graph *graph = NULL;
        clv_memory_fail_at(n);
        clv_status *status = clv_onnx_load_memory(model.data, model.bytes, NULL, &graph);
        clv_memory_fail_at(-1);
        done = status == NULL;
        assert_true(done || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
        clv_graph_destroy(graph);
    }
    pb_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_replaced_by_bodies),
        cmocka_unit_test(names_stay_unique),
        cmocka_unit_test(functions_may_call_functions),
        cmocka_unit_test(attribute_references_are_resolved),
        cmocka_unit_test(references_pass_through_calls),
        cmocka_unit_test(overloads_are_told_apart),
        cmocka_unit_test(optional_operands_of_functions),
        cmocka_unit_test(outputs_without_a_node_get_an_identity),
        cmocka_unit_test(recursion_is_refused),
        cmocka_unit_test(deep_calls_are_bounded),
        cmocka_unit_test(exponential_growth_is_bounded),
        cmocka_unit_test(large_bodies_are_bounded),
        cmocka_unit_test(wrong_functions_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
