/* What the graph of a good model looks like. */
#include "load_helpers.h"

#include "host/ops/op.h"
#include <stdio.h>

static void sample_model_becomes_a_graph(void **state) {
    (void)state;
    pb model = onnx_sample_model();
    clv_graph *graph = load_ok(&model);
    assert_string_equal(graph->name, "sample");
    assert_string_equal(graph->producer, "test");
    assert_int_equal(graph->opset, 13);
    assert_int_equal(graph->ir_version, 8);
    assert_int_equal(graph->num_nodes, 5);
    assert_int_equal(graph->num_inputs, 1);
    assert_int_equal(graph->num_outputs, 1);

    const clv_tensor *x = &graph->tensors[graph->inputs[0]];
    assert_string_equal(x->name, "x");
    assert_int_equal(x->kind, CLV_TENSOR_INPUT);
    assert_int_equal(x->dtype, CLV_FLOAT32);
    assert_int_equal(x->shape.rank, 4);
    assert_int_equal(x->shape.dims[0], CLV_DIM_FREE);
    assert_int_equal(x->shape.dims[1], 1);
    assert_string_equal(x->dim_names[0], "N");
    assert_null(x->dim_names[1]);
    assert_string_equal(x->dim_names[2], "x_dim2");

    const clv_tensor *w = tensor_named(graph, "w");
    assert_int_equal(w->kind, CLV_TENSOR_CONSTANT);
    assert_int_equal(w->shape.dims[0], 2);
    assert_true(clv_load_double(w->dtype, w->data, 17) == 2.0);
    assert_true((const uint8_t *)w->data > model.data);
    assert_true((const uint8_t *)w->data < model.data + model.bytes);
    const clv_tensor *b = tensor_named(graph, "b");
    assert_true(clv_load_double(b->dtype, b->data, 0) == -1.25);
    assert_true((const uint8_t *)b->data < model.data + model.bytes);

    const clv_tensor *c = tensor_named(graph, "c");
    assert_int_equal(c->kind, CLV_TENSOR_VALUE);
    assert_int_equal(c->shape.rank, -1);
    assert_int_equal(c->declared_dtype, CLV_FLOAT32);
    assert_int_equal(c->declared_shape.rank, 4);
    assert_int_equal(c->declared_shape.dims[1], 2);
    assert_int_equal(c->declared_shape.dims[0], CLV_DIM_FREE);
    assert_int_equal(tensor_named(graph, "y")->declared_shape.dims[1], 4);
    assert_int_equal(tensor_named(graph, "r")->declared_dtype, CLV_DTYPE_NONE);

    const clv_node *conv = node_named(graph, "conv");
    assert_int_equal(conv->num_inputs, 3);
    const int64_t *pads = NULL;
    size_t count = 0;
    assert_null(clv_attr_get_ints(conv, "pads", &pads, &count));
    assert_int_equal(count, 4);
    assert_int_equal(pads[3], 1);
    const clv_node *constant = node_named(graph, "i"); /* no name: the first output's */
    const clv_attr *value = clv_attr_find(constant, "value");
    assert_int_equal(value->type, CLV_ATTR_TENSOR);
    assert_int_equal(value->value.tensor->dtype, CLV_INT64);
    assert_int_equal(clv_load_int64(CLV_INT64, value->value.tensor->data, 0), 1);
    clv_graph_destroy(graph);
    pb_free(&model);
}

static void nodes_are_sorted(void **state) {
    (void)state;
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "second", "a", "y"));
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "first", "x", "a"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "1"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    pb model = finish(graph);
    clv_graph *loaded = load_ok(&model);
    assert_string_equal(loaded->nodes[0].name, "first");
    assert_string_equal(loaded->nodes[1].name, "second");
    clv_graph_destroy(loaded);
    pb_free(&model);
}

static void equal_node_names_get_numbers(void **state) {
    (void)state;
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "n", "x", "a"));
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "n", "a", "b"));
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "", "b", "n"));
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "n#2", "n", "y"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "1"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    pb model = finish(graph);
    clv_graph *loaded = load_ok(&model);
    assert_string_equal(loaded->nodes[0].name, "n");
    assert_string_equal(loaded->nodes[1].name, "n#2");
    assert_string_equal(loaded->nodes[2].name, "n#3");
    assert_string_equal(loaded->nodes[3].name, "n#2#2");
    clv_graph_destroy(loaded);
    pb_free(&model);
}

static void optional_operands_may_be_left_out(void **state) {
    (void)state;
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, onnx_node("Resize", "resize", "x,,s,", "y"));
    pb_message(&graph, GRAPH_NODE, onnx_node("Split", "split", "x", ",z"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "1"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("s", 1, "1"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    pb model = finish(graph);
    clv_graph *loaded = load_ok(&model);
    const clv_node *resize = node_named(loaded, "resize");
    assert_int_equal(resize->num_inputs, 3);
    assert_int_equal(resize->inputs[1], CLV_NO_ID);
    const clv_node *split = node_named(loaded, "split");
    assert_int_equal(split->num_outputs, 2);
    assert_int_equal(split->outputs[0], CLV_NO_ID);
    assert_string_equal(loaded->tensors[split->outputs[1]].name, "z");
    clv_graph_destroy(loaded);
    pb_free(&model);
}

/* Before IR version 4 every initializer was also listed as an input. */
static void initialized_inputs_are_constants(void **state) {
    (void)state;
    static const float one = 1.0f;
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, onnx_node("Add", "add", "x,w", "y"));
    pb_message(&graph, GRAPH_INITIALIZER, onnx_tensor("w", 1, "1", &one, sizeof one));
    pb_message(&graph, GRAPH_INPUT, onnx_value("w", 1, "1"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "1"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    pb model = finish(graph);
    clv_graph *loaded = load_ok(&model);
    assert_int_equal(loaded->num_inputs, 1);
    assert_string_equal(loaded->tensors[loaded->inputs[0]].name, "x");
    assert_int_equal(tensor_named(loaded, "w")->kind, CLV_TENSOR_CONSTANT);
    clv_graph_destroy(loaded);
    pb_free(&model);
}

static void every_kind_of_attribute(void **state) {
    (void)state;
    static const int64_t ints[] = {-1, INT64_C(1) << 40};
    static const float floats[] = {0.5f, -2.0f};
    static const float one = 1.0f;
    pb node = onnx_node("Custom", "n", "x", "y");
    onnx_attr_int(&node, "i", -7);
    onnx_attr_float(&node, "f", 1.5f);
    onnx_attr_string(&node, "s", "text");
    onnx_attr_ints(&node, "is", ints, 2);
    onnx_attr_tensor(&node, "t", onnx_tensor("", 1, "", &one, 4));
    pb packed = {0}, strings = {0}, untyped = {0}, subgraph = {0}, binary = {0};
    pb_string(&packed, ATTR_NAME, "fs");
    pb_varint(&packed, ATTR_TYPE, 6);
    pb_bytes(&packed, ATTR_FLOATS, floats, sizeof floats);
    pb_message(&node, NODE_ATTRIBUTE, packed);
    pb_string(&strings, ATTR_NAME, "ss");
    pb_varint(&strings, ATTR_TYPE, 8);
    pb_string(&strings, ATTR_STRINGS, "a");
    pb_string(&strings, ATTR_STRINGS, "");
    pb_message(&node, NODE_ATTRIBUTE, strings);
    pb_string(&untyped, ATTR_NAME, "u");
    pb_varint(&untyped, ATTR_I, 3);
    pb_message(&node, NODE_ATTRIBUTE, untyped);
    pb untyped_float = {0}, untyped_string = {0}, untyped_strings = {0};
    pb_string(&untyped_float, ATTR_NAME, "uf");
    pb_fixed32(&untyped_float, ATTR_F, &one);
    pb_message(&node, NODE_ATTRIBUTE, untyped_float);
    pb_string(&untyped_string, ATTR_NAME, "us");
    pb_string(&untyped_string, ATTR_S, "word");
    pb_message(&node, NODE_ATTRIBUTE, untyped_string);
    pb_string(&untyped_strings, ATTR_NAME, "uss");
    pb_string(&untyped_strings, ATTR_STRINGS, "word");
    pb_message(&node, NODE_ATTRIBUTE, untyped_strings);
    pb_string(&subgraph, ATTR_NAME, "g");
    pb_varint(&subgraph, ATTR_TYPE, 5);
    pb_message(&subgraph, ATTR_G, relu_graph());
    pb_message(&node, NODE_ATTRIBUTE, subgraph);
    pb_string(&binary, ATTR_NAME, "bin");
    pb_varint(&binary, ATTR_TYPE, 3);
    pb_bytes(&binary, ATTR_S, "a\0b", 3);
    pb_message(&node, NODE_ATTRIBUTE, binary);
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, node);
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "1"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    pb model = finish(graph);
    clv_graph *loaded = load_ok(&model);
    const clv_node *n = node_named(loaded, "n");
    assert_int_equal(n->num_attrs, 13);
    assert_true(clv_attr_find(n, "uf")->value.f == 1.0f);
    assert_string_equal(clv_attr_find(n, "us")->value.string, "word");
    assert_string_equal(clv_attr_find(n, "uss")->value.strings[0], "word");
    int64_t i = 0;
    float f = 0;
    const char *s = NULL;
    assert_null(clv_attr_get_int(n, "i", 0, &i));
    assert_int_equal(i, -7);
    assert_null(clv_attr_get_int(n, "u", 0, &i));
    assert_int_equal(i, 3);
    assert_null(clv_attr_get_float(n, "f", 0, &f));
    assert_true(f == 1.5f);
    assert_null(clv_attr_get_string(n, "s", NULL, &s));
    assert_string_equal(s, "text");
    const clv_attr *is = clv_attr_find(n, "is");
    assert_int_equal(is->count, 2);
    assert_int_equal(is->value.ints[0], -1);
    assert_int_equal(is->value.ints[1], INT64_C(1) << 40);
    const clv_attr *fs = clv_attr_find(n, "fs");
    assert_int_equal(fs->count, 2);
    assert_true(fs->value.floats[1] == -2.0f);
    const clv_attr *ss = clv_attr_find(n, "ss");
    assert_int_equal(ss->count, 2);
    assert_string_equal(ss->value.strings[0], "a");
    assert_string_equal(ss->value.strings[1], "");
    assert_int_equal(clv_attr_find(n, "t")->value.tensor->shape.rank, 0);
    assert_int_equal(clv_attr_find(n, "g")->type, CLV_ATTR_OTHER);
    assert_int_equal(clv_attr_find(n, "bin")->type, CLV_ATTR_OTHER);
    clv_graph_destroy(loaded);
    pb_free(&model);
}

static void unknown_operators_are_kept(void **state) {
    (void)state;
    pb graph = {0};
    pb node = onnx_node("Strange", "s", "x", "y");
    pb_string(&node, NODE_DOMAIN, "com.example");
    pb_message(&graph, GRAPH_NODE, node);
    pb own = onnx_node("Imaginary", "i", "y", "z");
    pb_string(&own, NODE_DOMAIN, "ai.onnx");
    pb_message(&graph, GRAPH_NODE, own);
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "1"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("z", 1, NULL));
    pb model = finish(graph);
    clv_graph *loaded = load_ok(&model);
    assert_string_equal(node_named(loaded, "s")->op_type, "com.example::Strange");
    assert_null(node_named(loaded, "s")->op);
    assert_string_equal(node_named(loaded, "i")->op_type, "Imaginary");
    assert_null(node_named(loaded, "i")->op);
    assert_int_equal(node_named(loaded, "i")->opset, 13);
    clv_graph_destroy(loaded);
    pb_free(&model);
}

/* What newer releases of ONNX add is passed over. */
static void unknown_fields_are_ignored(void **state) {
    (void)state;
    pb node = onnx_node("Relu", "relu", "x", "y");
    pb_string(&node, 9, "metadata");
    pb_varint(&node, 1000, 5);
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, node);
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "1"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    pb_string(&graph, 16, "metadata");
    pb model = finish(graph);
    pb_string(&model, 26, "configuration");
    pb_fixed64(&model, 500, "12345678");
    pb_fixed32(&model, 501, "1234");
    clv_graph *loaded = load_ok(&model);
    assert_int_equal(loaded->num_nodes, 1);
    clv_graph_destroy(loaded);
    pb_free(&model);
}

static void hash_follows_content(void **state) {
    (void)state;
    pb model = onnx_sample_model(), same = onnx_sample_model();
    clv_graph *a = load_ok(&model), *b = load_ok(&same);
    assert_true(a->hash.low == b->hash.low && a->hash.high == b->hash.high);
    clv_graph_destroy(b);
    /* Another weight: same structure, another model. */
    size_t at = (size_t)((const uint8_t *)tensor_named(a, "w")->data - model.data);
    same.data[at] ^= 1;
    b = load_ok(&same);
    assert_true(a->hash.low != b->hash.low || a->hash.high != b->hash.high);
    clv_graph_destroy(a);
    clv_graph_destroy(b);
    pb_free(&model);
    pb_free(&same);
}

/* Large weights are sampled: begin, middle and end. */
static void hash_samples_large_weights(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    static const size_t changed[] = {0, COUNT / 2, COUNT - 1};
    static float weights[COUNT];
    clv_hash hashes[4];
    for (int i = 0; i < 4; i++) {
        if (i > 0) {
            weights[changed[i - 1]] = 1.0f;
        }
        pb graph = {0};
        pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "relu", "w", "y"));
        pb_message(
            &graph, GRAPH_INITIALIZER, onnx_tensor("w", 1, "100000", weights, sizeof weights));
        pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
        pb model = {0};
        onnx_model(&model, 13, &graph);
        clv_graph *loaded = load_ok(&model);
        hashes[i] = loaded->hash;
        clv_graph_destroy(loaded);
        pb_free(&model);
        for (int k = 0; k < i; k++) {
            assert_true(hashes[k].low != hashes[i].low);
        }
    }
}

/* Each allocation of a load fails once: an out-of-memory status, nothing leaked, the next load
 * works. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    pb model = onnx_sample_model();
    int64_t before = clv_memory_count();
    clv_graph_destroy(load_ok(&model));
    int64_t count = clv_memory_count() - before;
    assert_true(count > 10);
    for (int64_t n = 0; n < count; n++) {
        clv_graph *graph = NULL;
        clv_memory_fail_at(n);
        clv_status *status = clv_onnx_load_memory(model.data, model.bytes, NULL, &graph);
        clv_memory_fail_at(-1);
        assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
        assert_null(graph);
        clv_status_destroy(status);
    }
    clv_graph_destroy(load_ok(&model));
    pb_free(&model);
}

/* --- what is cleave's own ---  */

/* A file of one node with `num_inputs` inputs, and the attribute where it has a name. */
static pb node_file(const clv_op_def *op, size_t num_inputs, const char *attribute) {
    clv_text inputs;
    clv_text_init(&inputs);
    for (size_t i = 0; i < num_inputs; i++) {
        clv_text_add(&inputs, "%sx", i > 0 ? "," : "");
    }
    char *names = NULL;
    assert_null(clv_text_take(&inputs, &names));
    pb node = onnx_node(op->name, "node", names, "y");
    clv_free(names);
    if (attribute != NULL) {
        onnx_attr_int(&node, attribute, 1);
    }
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, node);
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "N"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    return finish(graph);
}

static void no_file_has_what_passes_add(void **state) {
    (void)state;
    static const char *const own[] = {"shuffle", "q_by_row", "v_part",   "nan_is_zero",
                                      "folded",  "epilogue", "half",     "skip_bias",
                                      "Axis",    "axi",      "axis axes"};
    for (size_t i = 0; i < clv_op_count(); i++) {
        const clv_op_def *op = clv_op_at(i);
        for (size_t k = 0; k < sizeof own / sizeof own[0]; k++) {
            char wanted[64];
            (void)snprintf(
                wanted, sizeof wanted, "attribute '%s' is none of %s's", own[k], op->name);
            pb model = node_file(op, (size_t)op->min_inputs, own[k]);
            if ((op->flags & CLV_OP_OWN) == 0) {
                load_fails(&model, CLV_MALFORMED, wanted);
                continue;
            }
            clv_graph *graph = load_ok(&model); /* an operator that is not known */
            assert_null(node_named(graph, "node")->op);
            clv_graph_destroy(graph);
            pb_free(&model);
        }
        if (op->num_own_inputs > 0) {
            pb model = node_file(op, (size_t)op->max_inputs, NULL);
            load_fails(&model, CLV_MALFORMED, "4 inputs, at most 3 are allowed");
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_model_becomes_a_graph),
        cmocka_unit_test(nodes_are_sorted),
        cmocka_unit_test(equal_node_names_get_numbers),
        cmocka_unit_test(optional_operands_may_be_left_out),
        cmocka_unit_test(initialized_inputs_are_constants),
        cmocka_unit_test(every_kind_of_attribute),
        cmocka_unit_test(unknown_operators_are_kept),
        cmocka_unit_test(unknown_fields_are_ignored),
        cmocka_unit_test(hash_follows_content),
        cmocka_unit_test(hash_samples_large_weights),
        cmocka_unit_test(no_file_has_what_passes_add),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
