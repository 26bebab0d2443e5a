#include "host/passes/evaluate.h"

#include "host/ops/op.h"
#include "host/passes/passes.h"
#include "tests/support/check.h"
#include "tests/support/graph_text.h"

#include <stdio.h>

typedef struct seen {
    const clv_graph *graph;
    char names[256];
    double last; /* element 0 of the tensor seen last */
    const char *stop_at;
} seen;

static clv_status *note(void *context, clv_tensor_id id, const clv_view *value) {
    seen *s = context;
    const clv_tensor *tensor = &s->graph->tensors[id];
    assert_int_equal(value->dtype, tensor->dtype);
    assert_true(clv_shape_equal(&value->shape, &tensor->shape));
    strcat(s->names, tensor->name);
    strcat(s->names, " ");
    s->last = clv_load_double(value->dtype, value->data, 0);
    bool is_last = s->stop_at != NULL && strcmp(tensor->name, s->stop_at) == 0;
    return is_last ? CLV_ERROR(MISMATCH, "stop") : NULL;
}

static clv_graph *infer(const char *text) {
    clv_graph *graph;
    assert_ok(clv_test_graph_make(text, 1, &graph));
    assert_ok(clv_passes_infer(graph));
    return graph;
}

static const char diamond[] = "input x f32[2]\nconstant c f32[2]{10,20}\n"
                              "a = Add(x, c)\nb = Neg(a)\nd = Mul(a, b)\nunused = Relu(x)\n"
                              "output d\n";

static void test_every_tensor_in_order(void **state) {
    (void)state;
    clv_graph *graph = infer(diamond);
    const float x[] = {1, 2};
    const clv_view input = {CLV_FLOAT32, {.rank = 1, .dims = {2}}, x};
    seen s = {.graph = graph, .names = ""};
    assert_ok(clv_evaluate(graph, &input, note, &s));
    assert_string_equal(s.names, "x a b d unused ");
    s = (seen){.graph = graph, .stop_at = "d"};
    assert_failed(MISMATCH, "stop", clv_evaluate(graph, &input, note, &s));
    assert_true(s.last == -121);
    assert_ok(clv_evaluate(graph, &input, NULL, NULL));
    clv_graph_destroy(graph);
}

static void test_wrong_inputs(void **state) {
    (void)state;
    clv_graph *graph = infer(diamond);
    const float x[] = {1, 2};
    const clv_view typed = {CLV_INT32, {.rank = 1, .dims = {2}}, x};
    const clv_view shaped = {CLV_FLOAT32, {.rank = 2, .dims = {1, 2}}, x};
    const clv_view missing = {CLV_FLOAT32, {.rank = 1, .dims = {2}}, NULL};
    assert_failed(USAGE, "input 'x'", clv_evaluate(graph, &typed, NULL, NULL));
    assert_failed(USAGE, "input 'x'", clv_evaluate(graph, &shaped, NULL, NULL));
    assert_failed(USAGE, "input 'x'", clv_evaluate(graph, &missing, NULL, NULL));
    clv_graph_destroy(graph);
}

static void test_forbidden_values_name_the_node(void **state) {
    (void)state;
    clv_graph *graph = infer("input x f32[2]\ninput i i64[1]\ny = Gather(x, i)\noutput y\n");
    const float x[] = {1, 2};
    const int64_t index = 2;
    const clv_view inputs[] = {
        {CLV_FLOAT32, {.rank = 1, .dims = {2}}, x}, {CLV_INT64, {.rank = 1, .dims = {1}}, &index}};
    assert_failed(MALFORMED, "Gather 'y'", clv_evaluate(graph, inputs, NULL, NULL));
    clv_graph_destroy(graph);
}

static clv_status *keep(void *context, clv_tensor_id id, const clv_view *value) {
    (void)id;
    if (value->dtype == CLV_FLOAT32) {
        memcpy(context, value->data, clv_view_bytes(value->dtype, &value->shape));
    }
    return NULL;
}

/* Rows that a product of one-hot rows picks, by Gather once passes have run: indices below 0 and
 * beyond the last pick zeros, as the product does. */
static void test_rows_of_any_index(void **state) {
    (void)state;
    const char *text = "input x i32[5,1]\nconstant s i32[3]{0,1,2}\n"
                       "constant w f32[3,2]{1,2,3,4,5,6}\ne = Equal(x, s)\nf = Cast(e) to=1\n"
                       "g = MatMul(f, w)\noutput g\n";
    const float want[10] = {3, 4, 0, 0, 0, 0, 5, 6};
    const int32_t x[] = {1, -1, 3, 2, INT32_MIN};
    const clv_view input = {CLV_INT32, {.rank = 2, .dims = {5, 1}}, x};
    float rows[15]; /* the one-hot rows have more */
    clv_graph *graph = infer(text);
    assert_ok(clv_evaluate(graph, &input, keep, rows));
    assert_memory_equal(rows, want, sizeof want);
    memset(rows, 0, sizeof rows);
    assert_ok(clv_passes_run(graph, NULL, NULL));
    assert_ok(clv_evaluate(graph, &input, keep, rows));
    assert_memory_equal(rows, want, sizeof want);
    for (size_t i = 0; i < graph->num_nodes; i++) {
        assert_string_not_equal(graph->nodes[i].op->name, "MatMul");
    }
    clv_graph_destroy(graph);
}

/* What is computed before a view instead of behind it is the same. */
static void test_activations_before_views(void **state) {
    (void)state;
    const char *text = "input x f32[1,4,6]\nconstant w f32[3,4,3,1]\nconstant b f32[3,1]{1,2,3}\n"
                       "constant axis i64[1]{3}\nu = Unsqueeze(x, axis)\nc = Conv(u, w)\n"
                       "s = Squeeze(c, axis)\na = Add(b, s)\ny = Tanh(a)\n"
                       "constant w2 f32[2,3,2,1]\nv = Unsqueeze(y, axis)\nd = Conv(v, w2)\n"
                       "t = Squeeze(d, axis)\nz = Relu(t)\noutput z\n";
    float x[24], want[24], got[24];
    for (int i = 0; i < 24; i++) {
        x[i] = (float)(i % 5) * 0.25f - 0.5f;
    }
    const clv_view input = {CLV_FLOAT32, {.rank = 3, .dims = {1, 4, 6}}, x};
    clv_graph *graph = infer(text);
    assert_ok(clv_evaluate(graph, &input, keep, want));
    assert_ok(clv_passes_run(graph, NULL, NULL));
    /* Unsqueeze, each Conv with what is behind it, Squeeze: no view between the two */
    assert_int_equal(graph->num_nodes, 4);
    assert_ok(clv_evaluate(graph, &input, keep, got));
    for (int i = 0; i < 6; i++) {
        assert_float_equal(want[i], got[i], 1e-6);
    }
    clv_graph_destroy(graph);
}

/* A graph of one input of [2,3,4,5], after all passes, which leave what it computes. */
static clv_graph *pass(const char *text, double tolerance) {
    float x[120], want[1024], got[1024];
    for (int i = 0; i < 120; i++) {
        x[i] = (float)(i * 7 % 31) * 0.25f - 2;
    }
    const clv_view input = {CLV_FLOAT32, {.rank = 4, .dims = {2, 3, 4, 5}}, x};
    clv_graph *graph = infer(text);
    assert_ok(clv_evaluate(graph, &input, keep, want));
    assert_ok(clv_passes_run(graph, NULL, NULL));
    const clv_tensor *y = &graph->tensors[graph->outputs[0]];
    assert_ok(clv_evaluate(graph, &input, keep, got));
    for (int64_t i = 0; i < clv_shape_elements(&y->shape); i++) {
        assert_float_equal(want[i], got[i], tolerance);
    }
    return graph;
}

/* Whatever comes before transposes gives the same; those that are left move something. */
static void test_what_comes_before_transposes(void **state) {
    (void)state;
    static const struct {
        const char *text; /* what is made of t, x [2,3,4,5] with channels last */
        size_t num_left;  /* transposes */
    } cases[] = {
        {"y = Relu(t)\n", 1},
        {"a = Relu(t)\ny = Transpose(a) perm=[0,3,1,2]\n", 0},
        {"a = Add(t, c)\nb = Mul(s, a)\ny = Transpose(b) perm=[0,3,1,2]\n", 0},
        {"a = Relu(t)\nb = Add(a, t)\ny = Transpose(b) perm=[3,0,1,2]\n", 1},
        {"a = Concat(t, r, t) axis=-1\ny = Transpose(a) perm=[0,3,1,2]\n", 0},
        {"a = Concat(t, r) axis=1\ny = Sigmoid(a)\n", 1},
        {"a = Pad(t, p)\ny = Transpose(a) perm=[0,3,1,2]\n", 0},
        {"a = Pad(t, q, _, axes)\ny = Transpose(a) perm=[0,3,1,2]\n", 0},
        {"y = ReduceMean(t, axes) keepdims=0\n", 0},
        {"y = ReduceMax(t, last) keepdims=0\n", 0},
        {"a = ReduceSum(t, axes)\ny = Mul(a, t)\n", 1},
        {"y = ReduceSum(t, first) keepdims=0\n", 1},
        {"y = ReduceSum(t) keepdims=0\n", 0},
        {"a = Softmax(t) axis=3\nb = Relu(t)\ny = Add(a, b)\n", 1},
        {"a = ReduceMean(t, axes)\nb = Mul(t, a)\nd = Sub(b, k)\ny = Transpose(d) perm=[0,3,1,2]\n",
         0},
        {"a = Add(t, wide)\ny = Transpose(a) perm=[0,3,1,2]\n", 2},
    };
    const char *head = "input x f32[2,3,4,5]\nconstant c f32[3]{1,2,3}\nconstant s f32[]{2}\n"
                       "constant k f32[1,1,1,3]{3,1,2}\nconstant p i64[8]{0,1,0,0,0,0,2,1}\n"
                       "constant q i64[4]{1,0,0,2}\nconstant axes i64[2]{1,2}\n"
                       "constant last i64[1]{-1}\nconstant first i64[1]{1}\n"
                       "constant wide f32[4,1,3]\n"
                       "t = Transpose(x) perm=[0,2,3,1]\nn = Neg(x)\n"
                       "r = Transpose(n) perm=[0,2,3,1]\noutput y\n";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", head, cases[i].text);
        clv_graph *graph = pass(text, 1e-5);
        size_t num_left = 0;
        for (size_t j = 0; j < graph->num_nodes; j++) {
            num_left += strcmp(graph->nodes[j].op->name, "Transpose") == 0 ? 1 : 0;
        }
        assert_int_equal(num_left, cases[i].num_left);
        clv_graph_destroy(graph);
    }
}

/* Convolutions with what stands around them in their pads give the same. */
static void test_pads_of_convolutions(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t num_nodes;
    } cases[] = {
        {"c = Conv(x, w) pads=[2,2,2,2]\ny = Slice(c, zero, ends, axes)\n", 1},
        {"c = Conv(x, w) pads=[1,2,1,2] strides=[1,2]\ny = Slice(c, one, ends, last)\n", 1},
        {"c = Conv(x, w) strides=[2,1] auto_pad=\"SAME_LOWER\"\ny = Slice(c, one, ends, last)\n",
         1},
        {"a = Pad(x, p)\ny = Conv(a, w) strides=[2,2]\n", 1},
        {"a = Pad(x, p)\ny = Conv(a, w) strides=[3,2] auto_pad=\"SAME_UPPER\"\n", 1},
        {"a = Pad(x, p)\nc = Conv(a, w) pads=[0,1,1,0]\ny = Slice(c, one, ends, last)\n", 1},
        {"a = Pad(x, p, f)\ny = Conv(a, w)\n", 2},
    };
    const char *head = "input x f32[2,3,4,5]\nconstant w f32[2,3,3,3]\nconstant f f32[]{2}\n"
                       "constant p i64[8]{0,0,0,1,0,0,2,1}\nconstant zero i64[2]{0,1}\n"
                       "constant one i64[1]{1}\nconstant last i64[1]{3}\n"
                       "constant axes i64[2]{2,3}\noutput y\n";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        const bool is_two = strstr(cases[i].text, "axes") != NULL;
        snprintf(
            text, sizeof text, "%sconstant ends i64[%s]{%s}\n%s", head, is_two ? "2" : "1",
            is_two ? "-2,-1" : "-1", cases[i].text);
        clv_graph *graph = pass(text, 1e-4);
        assert_int_equal(graph->num_nodes, cases[i].num_nodes);
        clv_graph_destroy(graph);
    }
}

/* Tensors without elements, and a graph whose output is its input. */
static void test_empty_tensors(void **state) {
    (void)state;
    clv_graph *graph = infer("input x f32[0,3]\ny = Neg(x)\nz = ReduceSum(y)\noutput z x\n");
    const clv_view input = {CLV_FLOAT32, {.rank = 2, .dims = {0, 3}}, NULL};
    assert_ok(clv_evaluate(graph, &input, NULL, NULL));
    clv_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_tensor_in_order),
        cmocka_unit_test(test_wrong_inputs),
        cmocka_unit_test(test_forbidden_values_name_the_node),
        cmocka_unit_test(test_rows_of_any_index),
        cmocka_unit_test(test_activations_before_views),
        cmocka_unit_test(test_what_comes_before_transposes),
        cmocka_unit_test(test_pads_of_convolutions),
        cmocka_unit_test(test_empty_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
