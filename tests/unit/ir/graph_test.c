#include "tests/unit/ir/ir_helpers.h"

#include "host/base/memory.h"
#include "host/ir/call.h"
#include <stdio.h>

static char *show(const clv_graph *graph) {
    clv_text text;
    char *string;
    clv_text_init(&text);
    clv_graph_print(graph, &text);
    assert_ok(clv_text_take(&text, &string));
    return string;
}

static void assert_shows(const clv_graph *graph, const char *want) {
    char *got = show(graph);
    assert_string_equal(got, want);
    clv_free(got);
}

static void test_print(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    assert_shows(
        graph, "graph \"small\" opset 21\n"
               "input x: float32[2]\n"
               "constant w: float32[2] = {1,2}\n"
               "a = Add(x, w) -> h: float32[2]\n"
               "b = Relu(h) -> y: float32[2], z: float32[2]\n"
               "output y\n");
    clv_graph_destroy(graph);
}

/* Every kind of attribute, free dimensions, odd names, long lists, what is not known. */
static void test_print_everything(void **state) {
    (void)state;
    clv_graph *graph;
    assert_ok(clv_graph_create(&graph));
    const char *const dim_names[] = {NULL, "height", NULL};
    clv_tensor input = {
        .name = "in put\n",
        .kind = CLV_TENSOR_INPUT,
        .dtype = CLV_FLOAT16,
        .shape = {.rank = 3, .dims = {1, CLV_DIM_FREE, CLV_DIM_FREE}},
        .dim_names = (const char **)dim_names,
    };
    clv_tensor value = {.name = "v", .shape.rank = -1};
    clv_tensor_id ids[2];
    assert_ok(clv_graph_add_tensor(graph, &input, &ids[0]));
    assert_ok(clv_graph_add_tensor(graph, &value, &ids[1]));
    int64_t ints[20] = {3, -1};
    const float floats[] = {0.1f, 1e30f};
    const char *const strings[] = {"a", "\"b\""};
    const uint8_t bytes[] = {1, 0};
    const clv_view tensor = {CLV_BOOL, {.rank = 1, .dims = {2}}, bytes};
    const clv_attr attrs[] = {
        {.name = "i", .type = CLV_ATTR_INT, .value.i = INT64_MIN},
        {.name = "f", .type = CLV_ATTR_FLOAT, .value.f = -0.0f},
        {.name = "s", .type = CLV_ATTR_STRING, .value.string = "x\ty"},
        {.name = "is", .type = CLV_ATTR_INTS, .count = 20, .value.ints = ints},
        {.name = "fs", .type = CLV_ATTR_FLOATS, .count = 2, .value.floats = floats},
        {.name = "ss", .type = CLV_ATTR_STRINGS, .count = 2, .value.strings = strings},
        {.name = "t", .type = CLV_ATTR_TENSOR, .value.tensor = &tensor},
        {.name = "o", .type = CLV_ATTR_OTHER},
    };
    const char *origins[] = {"n1", "n2"};
    clv_tensor_id inputs[] = {ids[0], CLV_NO_ID, 77};
    clv_node node = {
        .name = "n",
        .op_type = "dom::Op",
        .attrs = attrs,
        .num_attrs = sizeof attrs / sizeof attrs[0],
        .inputs = inputs,
        .num_inputs = 3,
        .outputs = &ids[1],
        .num_outputs = 1,
        .origins = origins,
        .num_origins = 2,
    };
    clv_node_id id;
    assert_ok(clv_graph_add_node(graph, &node, &id));
    assert_ok(clv_graph_set_inputs(graph, &ids[0], 1));
    clv_graph_remove_node(graph, id);
    memset(ints, 0, sizeof ints); /* the graph has copies */
    origins[0] = "changed";
    assert_shows(
        graph,
        "graph \"\" opset 0\n"
        "input \"in put\\n\": float16[1,height=?,?]\n"
        "n = dom::Op(\"in put\\n\", _, _) {i=-9223372036854775808, f=-0, s=\"x\\ty\", "
        "is={3,-1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,... (4 more)}, fs={0.100000001,1.00000002e+30}, "
        "ss={\"a\",\"\\\"b\\\"\"}, t=bool[2] = {1,0}, o=(not read)} -> v: none[...] from n1, n2 "
        "(removed)\n");
    clv_graph_destroy(graph);
}

static void test_sort_keeps_a_good_order(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    char *before = show(graph);
    assert_ok(clv_graph_sort(graph));
    assert_shows(graph, before);
    clv_free(before);
    clv_graph_destroy(graph);
}

static void test_sort_puts_writers_first(void **state) {
    (void)state;
    clv_graph *graph;
    assert_ok(clv_graph_create(&graph));
    clv_tensor_id t[4];
    for (int i = 0; i < 4; i++) {
        const char name[] = {"t0123"[i + 1], '\0'};
        t[i] = add_test_tensor(graph, name, CLV_TENSOR_VALUE, NULL);
    }
    add_test_node(graph, "last", "Op", (clv_tensor_id[]){t[2], t[1]}, 2, &t[3], 1);
    add_test_node(graph, "middle", "Op", (clv_tensor_id[]){t[0], t[0]}, 2, &t[2], 1);
    add_test_node(graph, "first", "Op", NULL, 0, &t[0], 1);
    add_test_node(graph, "second", "Op", NULL, 0, &t[1], 1);
    assert_ok(clv_graph_set_outputs(graph, &t[3], 1));
    assert_failed(MALFORMED, "after it", clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    assert_ok(clv_graph_sort(graph));
    assert_ok(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    const char *const want[] = {"first", "middle", "second", "last"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(graph->nodes[i].name, want[i]);
    }
    clv_graph_destroy(graph);
}

static void test_sort_names_a_cycle(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    graph->nodes[NODE_A].inputs[1] = Y;
    assert_failed(MALFORMED, "the graph has a cycle: 'b' -> 'a' -> 'b'", clv_graph_sort(graph));
    graph->nodes[NODE_A].inputs[1] = H;
    assert_failed(MALFORMED, "the graph has a cycle: 'a' -> 'a'", clv_graph_sort(graph));
    clv_graph_destroy(graph);
}

/* A chain long enough that a recursive walk would run out of stack, backwards; then closed. */
static void test_sort_of_a_long_chain(void **state) {
    (void)state;
    enum { LENGTH = 200000 };
    clv_graph *graph;
    assert_ok(clv_graph_create(&graph));
    char name[32];
    for (int i = 0; i <= LENGTH; i++) {
        snprintf(name, sizeof name, "t%d", i);
        add_test_tensor(graph, name, CLV_TENSOR_VALUE, NULL);
    }
    for (int i = LENGTH; i > 0; i--) {
        clv_tensor_id input = (clv_tensor_id)i - 1, output = (clv_tensor_id)i;
        snprintf(name, sizeof name, "n%d", i);
        add_test_node(graph, name, "Op", &input, 1, &output, 1);
    }
    clv_tensor_id zero = 0;
    add_test_node(graph, "n0", "Op", NULL, 0, &zero, 1);
    assert_ok(clv_graph_sort(graph));
    assert_ok(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    assert_string_equal(graph->nodes[0].name, "n0");
    assert_string_equal(graph->nodes[LENGTH].name, "n200000");
    graph->nodes[1].inputs[0] = LENGTH;
    assert_failed(MALFORMED, "(199992 more)", clv_graph_sort(graph));
    clv_graph_destroy(graph);
}

static void test_compact_drops_what_is_not_needed(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    clv_tensor_id e = add_test_tensor(graph, "e", CLV_TENSOR_VALUE, NULL);
    add_test_tensor(graph, "unread", CLV_TENSOR_CONSTANT, small_weights);
    clv_node_id node = add_test_node(graph, "c", "Relu", (clv_tensor_id[]){X}, 1, &e, 1);
    clv_graph_replace_uses(graph, H, X);
    clv_graph_remove_node(graph, NODE_A);
    assert_int_equal(graph->tensors[H].producer, CLV_NO_ID);
    assert_ok(clv_graph_compact(graph));
    assert_int_equal(graph->num_nodes, 2);
    assert_true(node == 2); /* it was */
    assert_shows(
        graph, "graph \"small\" opset 21\n"
               "input x: float32[2]\n"
               "b = Relu(x) -> y: float32[2], z: float32[2]\n"
               "c = Relu(x) -> e: float32[2]\n"
               "output y\n");
    assert_int_equal(graph->num_tensors, 4); /* x, y, z, e */
    assert_int_equal(graph->tensors[clv_graph_find_tensor(graph, "e")].producer, 1);
    assert_ok(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    clv_graph_destroy(graph);
}

static void test_replace_uses_reaches_outputs(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    clv_graph_replace_uses(graph, Y, H);
    assert_int_equal(graph->outputs[0], H);
    assert_int_equal(graph->nodes[NODE_B].outputs[0], Y); /* writers stay */
    clv_graph_destroy(graph);
}

static void test_uses(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    graph->nodes[NODE_A].inputs[1] = X;
    assert_ok(clv_graph_set_outputs(graph, (clv_tensor_id[]){Y, H, Y}, 3));
    clv_uses uses;
    assert_ok(clv_uses_init(graph, &uses));
    const uint32_t want_offsets[] = {0, 2, 2, 3, 3, 3};
    const uint32_t want_outputs[] = {0, 0, 1, 2, 0};
    assert_memory_equal(uses.offsets, want_offsets, sizeof want_offsets);
    assert_memory_equal(uses.outputs, want_outputs, sizeof want_outputs);
    assert_int_equal(uses.nodes[0], NODE_A);
    assert_int_equal(uses.nodes[1], NODE_A);
    assert_int_equal(uses.nodes[2], NODE_B);
    clv_uses_deinit(&uses);
    clv_graph_destroy(graph);
}

static void test_fresh_names(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    clv_shape shape = {.rank = 1, .dims = {2}};
    clv_view view = {CLV_FLOAT32, shape, small_weights};
    clv_tensor_id a, b, c;
    assert_ok(clv_graph_add_value(graph, "new", CLV_INT64, &shape, &a));
    assert_ok(clv_graph_add_value(graph, "new", CLV_INT64, &shape, &b));
    assert_ok(clv_graph_add_constant(graph, "new", &view, &c));
    assert_string_equal(graph->tensors[a].name, "new");
    assert_string_equal(graph->tensors[b].name, "new#2");
    assert_string_equal(graph->tensors[c].name, "new#3");
    assert_ptr_not_equal(graph->tensors[c].data, small_weights);
    assert_memory_equal(graph->tensors[c].data, small_weights, sizeof small_weights);
    assert_int_equal(clv_graph_find_tensor(graph, "new#2"), b);
    assert_int_equal(clv_graph_find_tensor(graph, "none"), CLV_NO_ID);
    clv_graph_destroy(graph);
}

static void test_call_sees_constants_only(void **state) {
    (void)state;
    clv_graph *graph = make_small_graph();
    clv_arena arena;
    clv_call call;
    clv_arena_init(&arena, 0);
    graph->tensors[X].data = small_weights; /* bound: known, but no constant */
    graph->nodes[NODE_B].outputs[1] = CLV_NO_ID;
    assert_ok(clv_call_from_node(graph, &graph->nodes[NODE_A], &arena, &call));
    assert_null(call.inputs[0].data);
    assert_ptr_equal(call.inputs[1].data, small_weights);
    assert_true(clv_call_has_input(&call, 1));
    assert_false(clv_call_has_input(&call, 2));
    assert_string_equal(call.name, "a");
    assert_ok(clv_call_from_node(graph, &graph->nodes[NODE_B], &arena, &call));
    assert_int_equal(call.num_outputs, 2);
    assert_int_equal(call.outputs[1].dtype, CLV_DTYPE_NONE);
    clv_arena_deinit(&arena);
    clv_graph_destroy(graph);
}

static char resource_log[8];
static void log_destroy(void *object) {
    strncat(resource_log, object, 1);
}
static void log_drop(void *object) {
    (void)object;
    strncat(resource_log, "-", 2);
}

static void test_resources(void **state) {
    (void)state;
    char a[] = "a", b[] = "b", c[] = "c";
    clv_graph *graph;
    resource_log[0] = '\0';
    assert_ok(clv_graph_create(&graph));
    assert_ok(clv_graph_take_resource(graph, (clv_resource){a, log_destroy, log_drop}));
    assert_ok(clv_graph_take_resource(graph, (clv_resource){b, log_destroy, NULL}));
    clv_graph_drop_pages(graph);
    assert_string_equal(resource_log, "-");
    clv_graph_destroy(graph);
    assert_string_equal(resource_log, "-ba");

    resource_log[0] = '\0'; /* taken also where there is no memory */
    assert_ok(clv_graph_create(&graph));
    clv_memory_fail_at(0);
    assert_failed(
        NO_MEMORY, "", clv_graph_take_resource(graph, (clv_resource){c, log_destroy, NULL}));
    clv_memory_fail_at(-1);
    assert_string_equal(resource_log, "c");
    clv_graph_destroy(graph);
}

static void test_attributes(void **state) {
    (void)state;
    const int64_t list[] = {4, 5};
    const clv_attr attrs[] = {
        {.name = "i", .type = CLV_ATTR_INT, .value.i = 7},
        {.name = "is", .type = CLV_ATTR_INTS, .count = 2, .value.ints = list},
        {.name = "s", .type = CLV_ATTR_STRING, .value.string = "word"},
        {.name = "f", .type = CLV_ATTR_FLOAT, .value.f = 0.5f},
    };
    const clv_node node = {.attrs = attrs, .num_attrs = 4};
    int64_t i;
    float f;
    const char *s;
    const int64_t *ints;
    const float *floats;
    size_t count;
    assert_ok(clv_attr_get_int(&node, "i", 3, &i));
    assert_int_equal(i, 7);
    assert_ok(clv_attr_get_int(&node, "missing", 3, &i));
    assert_int_equal(i, 3);
    assert_failed(
        MALFORMED, "attribute 'is' is a list of integers, it must be an integer",
        clv_attr_get_int(&node, "is", 3, &i));
    assert_ok(clv_attr_get_float(&node, "f", 1, &f));
    assert_true(f == 0.5f);
    assert_ok(clv_attr_get_string(&node, "s", "other", &s));
    assert_string_equal(s, "word");
    assert_ok(clv_attr_get_string(&node, "missing", "other", &s));
    assert_string_equal(s, "other");
    assert_ok(clv_attr_get_ints(&node, "is", &ints, &count));
    assert_int_equal(count, 2);
    assert_int_equal(ints[1], 5);
    assert_ok(clv_attr_get_floats(&node, "missing", &floats, &count));
    assert_null(floats);
    assert_int_equal(count, 0);
    assert_failed(MALFORMED, "'s' is a string", clv_attr_get_floats(&node, "s", &floats, &count));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_print_everything),
        cmocka_unit_test(test_sort_keeps_a_good_order),
        cmocka_unit_test(test_sort_puts_writers_first),
        cmocka_unit_test(test_sort_names_a_cycle),
        cmocka_unit_test(test_sort_of_a_long_chain),
        cmocka_unit_test(test_compact_drops_what_is_not_needed),
        cmocka_unit_test(test_replace_uses_reaches_outputs),
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_fresh_names),
        cmocka_unit_test(test_call_sees_constants_only),
        cmocka_unit_test(test_resources),
        cmocka_unit_test(test_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
