#include "host/passes/bind.h"

#include "host/passes/passes.h"
#include "tests/support/check.h"
#include "tests/support/graph_text.h"

static clv_graph *parse(const char *text) {
    clv_graph *graph;
    assert_ok(clv_test_graph_parse(text, 1, &graph));
    return graph;
}

static const char two_inputs[] = "input a f32[N,3,height]\n"
                                 "input b f32[N,height]\n"
                                 "input c f32[?,4]\n"
                                 "y = Relu(a)\n"
                                 "z = Relu(b)\n"
                                 "u = Relu(c)\n"
                                 "output y z u\n";

static clv_status *bind_dims(clv_graph *graph, const clv_bound_dim *dims, size_t count) {
    return clv_bind_shapes(graph, &(clv_bindings){.dims = dims, .num_dims = count});
}

static clv_status *bind_shape(clv_graph *graph, const char *name, clv_shape shape) {
    const clv_bound_input input = {.name = name, .shape = shape};
    return clv_bind_shapes(graph, &(clv_bindings){.inputs = &input, .num_inputs = 1});
}

static void test_dims_reach_every_input(void **state) {
    (void)state;
    clv_graph *graph = parse(two_inputs);
    assert_failed(
        USAGE, "dimension 'N' of input 'a' is free: give --dim N=SIZE or --shape a=",
        clv_bind_check(graph));
    const clv_bound_dim dims[] = {{"N", 2}, {"height", 5}};
    assert_ok(bind_dims(graph, dims, 2));
    assert_failed(
        USAGE, "dimension 0 of input 'c' is free: give --shape c=", clv_bind_check(graph));
    assert_ok(bind_shape(graph, "c", (clv_shape){.rank = 2, .dims = {7, 4}}));
    assert_ok(clv_bind_check(graph));
    char text[CLV_SHAPE_TEXT];
    assert_string_equal(clv_shape_format(&graph->tensors[graph->inputs[0]].shape, text), "[2,3,5]");
    assert_string_equal(clv_shape_format(&graph->tensors[graph->inputs[1]].shape, text), "[2,5]");
    clv_graph_destroy(graph);
}

/* A shape gives its size to every other input that has a dimension of the same name. */
static void test_shapes_bind_names(void **state) {
    (void)state;
    clv_graph *graph = parse(two_inputs);
    assert_ok(bind_shape(graph, "a", (clv_shape){.rank = 3, .dims = {2, 3, 0}}));
    char text[CLV_SHAPE_TEXT];
    assert_string_equal(clv_shape_format(&graph->tensors[graph->inputs[1]].shape, text), "[2,0]");
    clv_graph_destroy(graph);
}

static void test_wrong_bindings(void **state) {
    (void)state;
    clv_graph *graph = parse(two_inputs);
    const clv_bound_dim unknown = {"heigth", 2}, far = {"channels", 2}, negative = {"N", -1};
    const clv_bound_dim twice[] = {{"N", 2}, {"N", 3}};
    assert_failed(
        USAGE, "no free dimension 'heigth'; did you mean 'height'?", bind_dims(graph, &unknown, 1));
    assert_failed(USAGE, "no free dimension 'channels'", bind_dims(graph, &far, 1));
    assert_failed(USAGE, "-1 is not a size", bind_dims(graph, &negative, 1));
    assert_failed(USAGE, "dimension 'N' is 2 in input 'a' and 3", bind_dims(graph, twice, 2));
    clv_graph_destroy(graph);

    graph = parse(two_inputs);
    assert_failed(
        USAGE, "no input 'A'; did you mean 'a'?", bind_shape(graph, "A", (clv_shape){.rank = 1}));
    assert_failed(
        USAGE, "input 'a' is given the shape [2,3], the model needs [?,3,?]",
        bind_shape(graph, "a", (clv_shape){.rank = 2, .dims = {2, 3}}));
    assert_failed(
        USAGE, "input 'a' is given the shape [2,4,5]",
        bind_shape(graph, "a", (clv_shape){.rank = 3, .dims = {2, 4, 5}}));
    const clv_bound_input typed = {
        .name = "a", .dtype = CLV_INT64, .shape = {.rank = 3, .dims = {2, 3, 5}}};
    assert_failed(
        MALFORMED, "input 'a' is given as int64, the model needs float32",
        clv_bind_shapes(graph, &(clv_bindings){.inputs = &typed, .num_inputs = 1}));
    assert_ok(bind_shape(graph, "a", (clv_shape){.rank = 3, .dims = {2, 3, 5}}));
    assert_failed(
        USAGE, "input 'b' is given the shape [2,6]",
        bind_shape(graph, "b", (clv_shape){.rank = 2, .dims = {2, 6}}));
    clv_graph_destroy(graph);
}

/* One name twice in one input, with two sizes. */
static void test_one_name_two_sizes(void **state) {
    (void)state;
    clv_graph *graph = parse("input a f32[N,N]\ny = Relu(a)\noutput y\n");
    assert_failed(
        USAGE, "dimension 'N'", bind_shape(graph, "a", (clv_shape){.rank = 2, .dims = {2, 3}}));
    clv_graph_destroy(graph);
}

static void test_free_dimensions_stop_the_passes(void **state) {
    (void)state;
    clv_graph *graph = parse(two_inputs);
    assert_failed(USAGE, "--dim N=", clv_passes_run(graph, NULL, NULL));
    clv_graph_destroy(graph);
}

/* k: through arithmetic; s: an input's shape only; d: data only; m: chosen between. */
static const char needs_values[] = "input k i64[2]\n"
                                   "input s f32[4,6]\n"
                                   "input d f32[24]\n"
                                   "input m i64[2]\n"
                                   "shape = Shape(s)\n"
                                   "one = Constant() value_int=1\n"
                                   "sum = Add(k, one)\n"
                                   "sizes = Max(sum, shape, m)\n"
                                   "y = Reshape(d, sizes)\n"
                                   "output y\n";

static void test_needed_inputs(void **state) {
    (void)state;
    clv_graph *graph = parse(needs_values);
    bool needed[4];
    assert_ok(clv_bind_needed(graph, needed));
    assert_true(needed[0] && !needed[1] && !needed[2] && needed[3]);
    const int64_t values[] = {1, 2};
    const clv_bound_input k = {.name = "k", .shape = {.rank = 1, .dims = {2}}, .data = values};
    const clv_bindings bindings = {.inputs = &k, .num_inputs = 1};
    assert_failed(
        UNSUPPORTED, "value of input 'm', which is not known: give it when the session is made",
        clv_bind_values(graph, &bindings));
    clv_graph_destroy(graph);
}

/* Without clv_bind_values, inference says who is missing. */
static void test_inference_names_the_input(void **state) {
    (void)state;
    clv_graph *graph = parse(needs_values);
    assert_failed(
        UNSUPPORTED,
        "unsupported: Reshape 'y': the shape of 'y' depends on the data of input 'k': give it when "
        "the session is made",
        clv_passes_run(graph, NULL, NULL));
    clv_graph_destroy(graph);
}

static clv_hash hash_of(const char *text) {
    clv_graph *graph;
    assert_ok(clv_test_graph_make(text, 1, &graph));
    clv_hash hash = graph->hash;
    clv_graph_destroy(graph);
    return hash;
}

static bool same(clv_hash a, clv_hash b) {
    return a.low == b.low && a.high == b.high;
}

static void test_hash_tells_bindings_apart(void **state) {
    (void)state;
    const char *base = "input x f32[N]\ny = Relu(x)\noutput y\ndim N=3\n";
    const char *other = "input x f32[N]\ny = Relu(x)\noutput y\ndim N=4\n";
    const char *value = "input k i64[1]\ninput x f32[6]\ny = Reshape(x, k)\noutput y\n"
                        "value k i64[1]{6}\n";
    const char *second = "input k i64[1]\ninput x f32[6]\ny = Reshape(x, k)\noutput y\n"
                         "value k i64[1]{-1}\n";
    assert_true(same(hash_of(base), hash_of(base)));
    assert_false(same(hash_of(base), hash_of(other)));
    assert_false(same(hash_of(value), hash_of(second)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dims_reach_every_input),
        cmocka_unit_test(test_shapes_bind_names),
        cmocka_unit_test(test_wrong_bindings),
        cmocka_unit_test(test_one_name_two_sizes),
        cmocka_unit_test(test_free_dimensions_stop_the_passes),
        cmocka_unit_test(test_needed_inputs),
        cmocka_unit_test(test_inference_names_the_input),
        cmocka_unit_test(test_hash_tells_bindings_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
