#include "host/passes/passes.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "kernels_cl/matmul/matmul.h"
#include "tests/support/check.h"
#include "tests/support/graph_text.h"
#include <stdio.h>

static clv_graph *make(const char *text) {
    clv_graph *graph;
    assert_ok(clv_test_graph_make(text, 1, &graph));
    return graph;
}

static clv_status *run(const char *text) {
    clv_graph *graph = make(text);
    clv_status *status = clv_passes_run(graph, NULL, NULL);
    clv_graph_destroy(graph);
    return status;
}

/* What is left of a graph after all passes. */
static clv_graph *optimise(const char *text) {
    clv_graph *graph = make(text);
    assert_ok(clv_passes_run(graph, NULL, NULL));
    return graph;
}

static size_t count_ops(const clv_graph *graph, const char *op) {
    size_t count = 0;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        count += strcmp(graph->nodes[i].op->name, op) == 0;
    }
    return count;
}

static const clv_tensor *find(const clv_graph *graph, const char *name) {
    clv_tensor_id id = clv_graph_find_tensor(graph, name);
    assert_int_not_equal(id, CLV_NO_ID);
    return &graph->tensors[id];
}

/* --- what inference refuses --- */

typedef struct refusal {
    const char *text;
    clv_code code;
    const char *message;
} refusal;

static const refusal refusals[] = {
    {"input x f32[2,3]\nprobs = Softmax(x) axis=4\noutput probs", CLV_MALFORMED,
     "malformed model: Softmax 'probs': axis is 4, the input has rank 2"},
    {"input x f32[2]\ny = Frobnicate(x)\noutput y", CLV_UNSUPPORTED,
     "unsupported: Frobnicate 'y': there is no such operator"},
    {"input x f32[2]\ny = Relu()\noutput y", CLV_MALFORMED, "Relu 'y': input 0 is missing"},
    {"input x f32[2]\ny = Add(x, _)\noutput y", CLV_MALFORMED, "Add 'y': input 1 is missing"},
    {"input x f32[2]\ny = Relu(x, x)\noutput y", CLV_MALFORMED, "2 inputs, at most 1 are allowed"},
    {"input x f32[2]\ny, z = Relu(x)\noutput y", CLV_MALFORMED, "2 outputs, there must be 1 to 1"},
    {"graph g 2\ninput x f32[2]\ny = Gelu(x)\noutput y", CLV_UNSUPPORTED, "opset 2"},
    {"input x f32[2,3]\ny = Relu(x)\ndeclare y f32[2,4]\noutput y", CLV_MALFORMED,
     "output 'y' has the shape [2,3], the file declares [2,4]"},
    {"input x f32[2,3]\ny = Relu(x)\ndeclare y f32[6]\noutput y", CLV_MALFORMED,
     "the file declares [6]"},
    {"input x f32[2,3]\ny = Relu(x)\ndeclare y f64[2,3]\noutput y", CLV_MALFORMED,
     "output 'y' is float32, the file declares float64"},
    {"input x f32[65536]\ninput y f32[65536,1]\nz = Add(x, y)\noutput z", CLV_UNSUPPORTED,
     "output 'z': it has the shape [65536,65536]: more than 2147483647 elements"},
    {"input x f32[4]\nconstant s i64[1]{3}\ny = Reshape(x, s)\noutput y", CLV_MALFORMED,
     "Reshape 'y'"},
    /* found by computing, not by shapes */
    {"constant x f32[4]\nconstant i i64[1]{9}\ny = Gather(x, i)\nz = Relu(y)\noutput z",
     CLV_MALFORMED, "malformed model: Gather 'y'"},
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const refusal *r = &refusals[i];
        clv_status *status = run(r->text);
        if (clv_status_code(status) != r->code ||
            strstr(clv_status_message(status), r->message) == NULL) {
            print_error(
                "%s\ngave %s: '%s', expected '%s'\n", r->text,
                clv_code_name(clv_status_code(status)), clv_status_message(status), r->message);
            fail();
        }
        clv_status_destroy(status);
    }
}

/* What a file leaves open is no contradiction. */
static void test_declared_shapes_with_gaps(void **state) {
    (void)state;
    assert_ok(run("input x f32[2,3]\ny = Relu(x)\ndeclare y f32[?,3]\noutput y"));
    assert_ok(run("input x f32[2,3]\ny = Relu(x)\ndeclare y f32[rows,columns]\noutput y"));
}

static void test_a_broken_graph_is_refused_at_the_door(void **state) {
    (void)state;
    assert_failed(
        MALFORMED, "'h', which nothing writes", run("input x f32[2]\ny = Add(x, h)\noutput y"));
}

/* --- values --- */

static const char shape_arithmetic[] = "input x f32[2,3,8]\n"
                                       "s = Shape(x)\n"
                                       "constant i i64[1]{0}\n"
                                       "b = Gather(s, i)\n"
                                       "constant rest i64[1]{-1}\n"
                                       "t = Concat(b, rest) axis=0\n"
                                       "r = Relu(x)\n"
                                       "y = Reshape(r, t)\n"
                                       "output y\n";

static void test_shape_arithmetic_leaves_nothing(void **state) {
    (void)state;
    clv_graph *graph = optimise(shape_arithmetic);
    assert_int_equal(graph->num_nodes, 2); /* Relu, Reshape */
    char text[CLV_SHAPE_TEXT];
    assert_string_equal(clv_shape_format(&find(graph, "y")->shape, text), "[2,24]");
    clv_graph_destroy(graph);
}

/* The value of an input that was bound is known, but what is computed from it is a device's to
 * compute where somebody wants it. */
static void test_bound_values_keep_their_nodes(void **state) {
    (void)state;
    clv_graph *graph = optimise("input k i64[2]\n"
                                "input x f32[24]\n"
                                "one = Constant() value_int=1\n"
                                "t = Add(k, one)\n"
                                "u = Mul(t, t)\n"
                                "y = Reshape(x, t)\n"
                                "z = Relu(y)\n"
                                "output z u\n"
                                "value k i64[2]{3,5}\n");
    assert_int_equal(count_ops(graph, "Add"), 1);
    assert_int_equal(count_ops(graph, "Mul"), 1);
    assert_int_equal(find(graph, "u")->kind, CLV_TENSOR_VALUE);
    assert_int_equal(clv_load_int64(CLV_INT64, find(graph, "u")->data, 1), 36);
    const clv_node *reshape = &graph->nodes[find(graph, "y")->producer];
    const clv_tensor *captured = &graph->tensors[reshape->inputs[1]];
    assert_int_equal(captured->kind, CLV_TENSOR_CONSTANT);
    assert_int_equal(clv_load_int64(CLV_INT64, captured->data, 0), 4);
    clv_graph_destroy(graph);
}

/* Where nobody wants them they go, and the bound input is read by no node. */
static void test_bound_values_that_only_shape(void **state) {
    (void)state;
    clv_graph *graph = optimise("input k i64[2]\n"
                                "input x f32[24]\n"
                                "one = Constant() value_int=1\n"
                                "t = Add(k, one)\n"
                                "y = Reshape(x, t)\n"
                                "v = Reshape(x, t)\n"
                                "z = Relu(y)\n"
                                "w = Neg(v)\n"
                                "output z w\n"
                                "value k i64[2]{3,5}\n");
    assert_int_equal(graph->num_nodes, 4);
    assert_int_equal(graph->num_inputs, 2);
    size_t num_constants = 0; /* one for both slots */
    for (size_t i = 0; i < graph->num_tensors; i++) {
        num_constants += graph->tensors[i].kind == CLV_TENSOR_CONSTANT;
    }
    assert_int_equal(num_constants, 1);
    clv_graph_destroy(graph);
}

/* A node whose every input was bound is not a constant: its result is the request's. */
static void test_a_node_of_bound_inputs_stays(void **state) {
    (void)state;
    clv_graph *graph = optimise("input a i64[]\ninput b i64[]\ninput c i64[]\n"
                                "y = Range(a, b, c)\noutput y\n"
                                "value a i64[]{1}\nvalue b i64[]{7}\nvalue c i64[]{2}\n");
    assert_int_equal(count_ops(graph, "Range"), 1);
    assert_int_equal(find(graph, "y")->kind, CLV_TENSOR_VALUE);
    clv_graph_destroy(graph);
}

static void test_inference_can_be_repeated(void **state) {
    (void)state;
    clv_graph *graph = optimise("input k i64[2]\ninput x f32[24]\ny = Reshape(x, k)\n"
                                "z = Relu(y)\noutput z\nvalue k i64[2]{4,6}\n");
    char *before, *after;
    assert_ok(clv_test_graph_show(graph, &before));
    assert_ok(clv_passes_infer(graph));
    assert_ok(clv_test_graph_show(graph, &after));
    assert_string_equal(before, after);
    clv_free(before);
    clv_free(after);
    clv_graph_destroy(graph);
}

/* --- folding --- */

static void test_constants_fold(void **state) {
    (void)state;
    clv_graph *graph = optimise("input x f32[300,300]\n"
                                "constant a f32[300,300]{1,2}\n"
                                "constant b f32[300,1]{10}\n"
                                "c = Add(a, b)\n" /* beyond what inference computes */
                                "d = Mul(c, c)\n"
                                "e = Sub(d, c)\n"
                                "f = Neg(e)\n" /* only leads to others */
                                "g = Add(f, c)\n"
                                "y = Add(x, g)\n"
                                "z = Mul(x, c)\n"
                                "output y z\n");
    assert_int_equal(graph->num_nodes, 2);
    const clv_tensor *c = find(graph, "c"), *g = find(graph, "g");
    assert_int_equal(g->kind, CLV_TENSOR_CONSTANT);
    assert_true(clv_load_double(CLV_FLOAT32, c->data, 3) == 12);
    assert_true(clv_load_double(CLV_FLOAT32, g->data, 3) == -120);
    assert_int_equal(clv_graph_find_tensor(graph, "f"), CLV_NO_ID);
    clv_graph_destroy(graph);
}

/* A few bytes that would become 128 MiB stay a node. */
static void test_growth_is_not_folded(void **state) {
    (void)state;
    clv_graph *graph = optimise("input x f32[1]\nconstant s i64[2]{32,1048576}\n"
                                "a = ConstantOfShape(s)\ny = Add(x, a)\noutput y\n");
    assert_int_equal(count_ops(graph, "ConstantOfShape"), 1);
    clv_graph_destroy(graph);
}

/* Many results, each small enough alone: together they are bounded too. */
static void test_folding_has_a_budget(void **state) {
    (void)state;
    enum { COUNT = 60 };
    clv_text text;
    clv_text_init(&text);
    clv_text_add(&text, "constant s i64[1]{4194304}\n");
    for (int i = 0; i < COUNT; i++) {
        clv_text_add(&text, "c%d = ConstantOfShape(s)\n", i);
    }
    clv_text_add(&text, "output");
    for (int i = 0; i < COUNT; i++) {
        clv_text_add(&text, " c%d", i);
    }
    char *string;
    assert_ok(clv_text_take(&text, &string));
    clv_graph *graph = optimise(string);
    assert_in_range(graph->num_nodes, COUNT - 16, COUNT - 1); /* 16 MiB each, 256 MiB for all */
    clv_graph_destroy(graph);
    clv_free(string);
}

/* Work that a device should do: an outer product summed up, 2^36 multiplications for one number. */
static void test_long_work_is_not_folded(void **state) {
    (void)state;
    clv_graph *graph = optimise("input x f32[1]\n"
                                "constant a f32[4096,4096]{1}\n"
                                "m = MatMul(a, a)\n"
                                "y = Add(x, m)\noutput y\n");
    assert_int_equal(count_ops(graph, "MatMul"), 1);
    clv_graph_destroy(graph);
}

/* The bytes of a Constant node are used where they lie. */
static void test_constant_nodes_are_not_copied(void **state) {
    (void)state;
    clv_graph *graph = make("input x f32[100000]\nc = Constant() value=f32[100000]{1,2}\n"
                            "y = Add(x, c)\noutput y\n");
    const void *data = graph->nodes[0].attrs[0].value.tensor->data;
    size_t before = graph->arena.used_bytes;
    assert_ok(clv_passes_run(graph, NULL, NULL));
    assert_ptr_equal(find(graph, "c")->data, data);
    assert_true(graph->arena.used_bytes - before < 100000);
    clv_graph_destroy(graph);
}

/* --- simplifying --- */

typedef struct simplification {
    const char *text;
    size_t num_nodes; /* left */
} simplification;

static const simplification simplifications[] = {
    {"input x f32[2,3]\na = Relu(x)\nb = Identity(a)\ny = Softmax(b)\noutput y", 2},
    {"input x f32[2,3]\na = Relu(x)\nb = Dropout(a)\ny = Softmax(b)\noutput y", 2},
    {"input x f32[2,3]\na = Cast(x) to=1\ny = Softmax(a)\noutput y", 1},
    {"input x f32[2,3]\ninput z f32[1]\na = CastLike(x, z)\ny = Softmax(a)\noutput y", 1},
    {"input x f32[2,3]\na = Max(x)\ny = Softmax(a)\noutput y", 1},
    {"input x f32[2,3]\na = Transpose(x) perm=[0,1]\ny = Softmax(a)\noutput y", 1},
    {"input x f32[2,3]\na = Concat(x) axis=0\ny = Softmax(a)\noutput y", 1},
    {"input x f32[2,3]\na = Flatten(x) axis=1\ny = Softmax(a)\noutput y", 1},
    {"input x f32[2,3]\nconstant s i64[2]{2,3}\na = Expand(x, s)\ny = Softmax(a)\noutput y", 1},
    {"input x f32[2,3]\nconstant p i64[4]{0}\na = Pad(x, p)\ny = Softmax(a)\noutput y", 1},
    {"input x f32[2,3]\nconstant r i64[2]{1}\na = Tile(x, r)\ny = Softmax(a)\noutput y", 1},
    /* a chain of nothing */
    {"input x f32[2,3]\na = Identity(x)\nb = Identity(a)\nc = Identity(b)\ny = Softmax(c)\noutput "
     "y",
     1},
    /* the output keeps its name: who makes the input writes it */
    {"input x f32[2,3]\na = Relu(x)\ny = Identity(a)\nz = Softmax(a)\noutput y z", 2},
    {"input x f32[2,3]\na = Relu(x)\nb = Identity(a)\ny = Identity(b)\noutput y", 1},
    /* where it cannot be: an input or another output under a second name */
    {"input x f32[2,3]\ny = Identity(x)\noutput y", 1},
    {"input x f32[2,3]\na = Relu(x)\ny = Identity(a)\noutput a y", 2},
    {"input x f32[2,3]\na = Relu(x)\ny = Identity(a)\nz = Identity(a)\noutput y z", 2},
    /* views of views; and those that come to nothing */
    {"input x f32[2,3]\nconstant s i64[1]{6}\nconstant t i64[2]{3,2}\na = Reshape(x, s)\n"
     "b = Reshape(a, t)\ny = Softmax(b)\noutput y",
     2},
    {"input x f32[2,3]\nconstant s i64[1]{6}\nconstant t i64[2]{2,3}\na = Reshape(x, s)\n"
     "b = Reshape(a, t)\ny = Softmax(b)\noutput y",
     1},
    {"input x f32[2,3,4]\na = Flatten(x) axis=2\nb = Flatten(a) axis=0\ny = Softmax(b)\noutput y",
     2},
    /* the one in between is wanted as well */
    {"input x f32[2,3]\nconstant s i64[1]{6}\nconstant t i64[2]{2,3}\na = Reshape(x, s)\n"
     "b = Reshape(a, t)\ny = Softmax(b)\nz = Softmax(a)\noutput y z",
     3},
    /* what lies below the views is renamed between them */
    {"input x f32[2,3]\nconstant s i64[1]{6}\nconstant t i64[2]{3,2}\na = Relu(x)\n"
     "b = Reshape(a, s)\ny = Identity(a)\nc = Reshape(b, t)\nz = Softmax(c)\noutput y z",
     3},
    /* nothing to leave out */
    {"input x f32[2,3]\na = Transpose(x) perm=[1,0]\nb = Transpose(a) perm=[0,1]\ny = Softmax(b)\n"
     "output y",
     2},
    {"input x f32[2,3]\na = Cast(x) to=7\ny = Neg(a)\noutput y", 2},
};

static void test_simplify(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof simplifications / sizeof simplifications[0]; i++) {
        const simplification *s = &simplifications[i];
        clv_graph *graph = optimise(s->text);
        if (graph->num_nodes != s->num_nodes) {
            char *left;
            assert_ok(clv_test_graph_show(graph, &left));
            print_error("%s\nleft %zu nodes:\n%s", s->text, graph->num_nodes, left);
            fail();
        }
        assert_string_equal(
            graph->tensors[graph->outputs[0]].name, strstr(s->text, "output a") ? "a" : "y");
        clv_graph_destroy(graph);
    }
}

/* A view that is merged keeps its shape, also where dimensions are 0. */
static void test_merged_views_keep_their_shape(void **state) {
    (void)state;
    clv_graph *graph = optimise("input x f32[0,4,3]\n"
                                "a = Flatten(x) axis=1\nb = Flatten(a) axis=0\ny = Neg(b)\n"
                                "output y\n");
    char text[CLV_SHAPE_TEXT];
    const clv_node *view = &graph->nodes[find(graph, "b")->producer];
    assert_string_equal(view->op->name, "Reshape");
    assert_string_equal(clv_shape_format(&find(graph, "b")->shape, text), "[1,0]");
    clv_graph_destroy(graph);
}

/* The mask of a Dropout is known, and the rest of it nothing. */
static void test_dropout_with_its_mask(void **state) {
    (void)state;
    clv_graph *graph = optimise("input x f32[2,3]\na = Relu(x)\nb, mask = Dropout(a)\n"
                                "y = Softmax(b)\noutput y mask\n");
    assert_int_equal(graph->num_nodes, 2);
    const clv_tensor *mask = find(graph, "mask");
    assert_int_equal(mask->kind, CLV_TENSOR_CONSTANT);
    assert_int_equal(mask->dtype, CLV_BOOL);
    assert_int_equal(clv_load_int64(CLV_BOOL, mask->data, 5), 1);
    clv_graph_destroy(graph);
}

/* --- batch normalisation --- */

#define NORM \
    "constant s f32[4]~0.5:2\nconstant b f32[4]\nconstant m f32[4]\nconstant v f32[4]~0.1:3\n"

typedef struct norm_case {
    const char *text;
    enum { FOLDED, SPELLED_OUT, LEFT } becomes;
} norm_case;

static const norm_case norm_cases[] = {
    {NORM "input x f32[1,3,5,5]\nconstant w f32[4,3,3,3]\nc = Conv(x, w)\n"
          "y = BatchNormalization(c, s, b, m, v)\noutput y",
     FOLDED},
    {NORM "input x f32[1,3,5,5]\nconstant w f32[4,3,3,3]\nconstant bias f32[4]\n"
          "c = Conv(x, w, bias)\ny = BatchNormalization(c, s, b, m, v) epsilon=0.01\noutput y",
     FOLDED},
    {NORM "input x f32[1,4,5]\nconstant w f32[4,2,3]\nc = ConvTranspose(x, w) group=2\n"
          "y = BatchNormalization(c, s, b, m, v)\noutput y",
     FOLDED},
    {NORM "input x f32[1,2,5,5]\nc = Concat(x, x) axis=1\n"
          "n = BatchNormalization(c, s, b, m, v)\ny = Relu(n)\noutput y",
     SPELLED_OUT},
    {NORM "input x f32[3,4]\ny = BatchNormalization(x, s, b, m, v)\noutput y", SPELLED_OUT},
    /* the convolution's own output is wanted */
    {NORM "input x f32[1,3,5,5]\nconstant w f32[4,3,3,3]\nc = Conv(x, w)\n"
          "y = BatchNormalization(c, s, b, m, v)\noutput y c",
     SPELLED_OUT},
    {NORM "input x f32[1,3,5,5]\nconstant w f32[4,3,3,3]\nc = Conv(x, w)\n"
          "n = BatchNormalization(c, s, b, m, v)\ny = Add(n, c)\noutput y",
     SPELLED_OUT},
    /* weights or statistics that a request brings */
    {NORM "input x f32[1,3,5,5]\ninput w f32[4,3,3,3]\nc = Conv(x, w)\n"
          "y = BatchNormalization(c, s, b, m, v)\noutput y",
     SPELLED_OUT},
    {NORM "input x f32[1,3,5,5]\ninput q f32[4]\nconstant w f32[4,3,3,3]\nc = Conv(x, w)\n"
          "y = BatchNormalization(c, s, b, q, v)\noutput y",
     LEFT},
    /* no channels */
    {"constant s f32[0]\ninput x f32[1,4,5,5]\nconstant w f32[4,0,3,3]\nc = ConvTranspose(x, w)\n"
     "y = BatchNormalization(c, s, s, s, s)\noutput y",
     LEFT},
    /* a variance that gives no finite factor */
    {NORM "input x f32[1,3,5,5]\nconstant w f32[4,3,3,3]\nconstant u f32[4]{-1}\nc = Conv(x, w)\n"
          "y = BatchNormalization(c, s, b, m, u)\noutput y",
     LEFT},
};

static void test_fold_batchnorm(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof norm_cases / sizeof norm_cases[0]; i++) {
        clv_graph *graph = optimise(norm_cases[i].text);
        size_t num_left = norm_cases[i].becomes == LEFT;
        assert_int_equal(count_ops(graph, "BatchNormalization"), num_left);
        if (norm_cases[i].becomes == FOLDED) {
            const clv_node *conv = &graph->nodes[0];
            assert_int_equal(conv->num_origins, 1);
            assert_string_equal(conv->origins[0], "y");
            assert_string_equal(conv->name, "c");
            assert_string_equal(graph->tensors[conv->outputs[0]].name, "y");
            assert_int_equal(conv->num_inputs, 3);
        }
        clv_graph_destroy(graph);
    }
}

/* --- constants of one element whose rank is above the value's --- */

/* Where `y` would be one operator but for the shape that a constant gives it. */
static const char *const lifted[] = {
    "input x f32[2,8]\nconstant e f32[1,1,1]{0.1}\nq = Mul(x, x)\nconstant a i64[1]{-1}\n"
    "v = ReduceMean(q, a) keepdims=1\ns = Add(v, e)\nr = Sqrt(s)\ny = Div(x, r)\n"
    "z = Transpose(y) perm=[0,2,1]\noutput z\n",
    "input x f32[2,8]\nconstant e f32[]{0.1}\nconstant p f32[1,1,1]{2}\nq = Pow(x, p)\n"
    "constant a i64[1]{-1}\nv = ReduceMean(q, a) keepdims=1\ns = Add(v, e)\nr = Sqrt(s)\n"
    "i = Reciprocal(r)\ny = Mul(i, x)\nz = Transpose(y) perm=[0,2,1]\noutput z\n",
    "input x f32[2,8]\nconstant e f32[1]{0.1}\nconstant o f32[1,1,1]{1}\nq = Mul(x, x)\n"
    "constant a i64[1]{-1}\nv = ReduceMean(q, a) keepdims=1\ns = Add(v, e)\nr = Sqrt(s)\n"
    "i = Div(o, r)\ny = Mul(i, x)\nz = Transpose(y) perm=[0,2,1]\noutput z\n",
    "input q f32[1,2,8,4]\ninput k f32[1,2,4,8]\ninput v f32[1,2,8,4]\np = MatMul(q, k)\n"
    "w = Softmax(p) axis=-1\nn = IsNaN(w)\nconstant z f32[1,1,1,1,1]{0}\nf = Where(n, z, w)\n"
    "y = MatMul(f, v)\no = Transpose(y) perm=[4,3,2,1,0]\noutput o\n",
    "input q f32[1,2,8,4]\ninput k f32[1,2,4,8]\ninput v f32[1,2,8,4]\np = MatMul(q, k)\n"
    "constant c f32[1,1,1,1,1]{0.5}\ns = Mul(p, c)\nw = Softmax(s) axis=-1\n"
    "y = MatMul(w, v)\no = Transpose(y) perm=[4,3,2,1,0]\noutput o\n",
};

static void test_constants_that_lift_the_rank(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof lifted / sizeof lifted[0]; i++) {
        clv_graph *graph = optimise(lifted[i]);
        assert_int_equal(count_ops(graph, "LayerNormalization"), 0);
        assert_int_equal(count_ops(graph, "RMSNormalization"), 0);
        assert_int_equal(count_ops(graph, "HeadAttention"), 0);
        assert_int_equal(graph->tensors[graph->outputs[0]].shape.rank, i < 3 ? 3 : 5);
        clv_graph_destroy(graph);
    }
}

/* What readers of a tensor were inferred for does not change behind their backs. */
static void test_inference_keeps_shapes(void **state) {
    (void)state;
    clv_graph *graph = make("input x f32[2,3]\ny = Relu(x)\nz = Neg(y)\noutput z\n");
    assert_ok(clv_passes_infer(graph));
    graph->tensors[graph->inputs[0]].shape.dims[0] = 4;
    assert_failed(
        INTERNAL, "pass 'infer': Relu 'y': node 'y': output 'y' was float32 [2,3] and became",
        clv_passes_infer(graph));
    clv_graph_destroy(graph);
}

/* A factor and a sum for each channel are not taken for the offset of a layer's normalisation. */
static void test_norms_of_norms(void **state) {
    (void)state;
    clv_graph *graph = optimise(
        NORM "input x f32[3,4]\nconstant e f32[]{0.001}\nconstant a i64[1]{-1}\n"
             "mu = ReduceMean(x, a)\n"
             "d = Sub(x, mu)\nq = Mul(d, d)\nr = ReduceMean(q, a)\nf = Add(r, e)\n"
             "g = Sqrt(f)\nn = Div(d, g)\ny = BatchNormalization(n, s, b, m, v)\noutput y");
    assert_int_equal(graph->num_nodes, 2);
    assert_string_equal(graph->nodes[0].op->name, "LayerNormalization");
    assert_true(graph->nodes[0].num_inputs < 3 || graph->nodes[0].inputs[2] == CLV_NO_ID);
    assert_int_equal(graph->nodes[1].num_inputs, 3);
    clv_graph_destroy(graph);
}

static void test_sums_become_biases(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_bias;
    } cases[] = {
        {NORM "input x f32[1,3,5,5]\nconstant w f32[4,3,3,3]\nconstant e f32[4,1,1]\n"
              "c = Conv(x, w)\na = Add(e, c)\ny = BatchNormalization(a, s, b, m, v)\noutput y",
         true},
        {"input x f32[1,2,6]\nconstant w f32[2,4,3]\nconstant e f32[1,4,1]\n"
         "c = ConvTranspose(x, w)\ny = Add(c, e)\noutput y",
         true},
        /* one for each column; a convolution that is read twice, or has a bias */
        {"input x f32[1,3,6,6]\nconstant w f32[4,3,3,3]\nconstant e f32[4]\n"
         "c = Conv(x, w)\ny = Add(c, e)\noutput y",
         false},
        {"input x f32[1,3,6,6]\nconstant w f32[4,3,3,3]\nconstant e f32[4,1,1]\n"
         "c = Conv(x, w)\ny = Add(c, e)\noutput y c",
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_graph *graph = optimise(cases[i].text);
        size_t num_biased = 0;
        for (size_t k = 0; k < graph->num_nodes; k++) {
            const clv_node *node = &graph->nodes[k];
            num_biased += node->num_inputs == 3 && node->inputs[2] != CLV_NO_ID &&
                          node->epilogue == NULL && strncmp(node->op->name, "Conv", 4) == 0;
        }
        assert_int_equal(num_biased, cases[i].is_bias);
        assert_true(!cases[i].is_bias || graph->num_nodes == 1);
        clv_graph_destroy(graph);
    }
}

/* Convolutions that share one large weight do not multiply it without bounds. */
static void test_shared_weights_are_bounded(void **state) {
    (void)state;
    enum { COUNT = 40 };
    clv_text text;
    clv_text_init(&text);
    clv_text_add(
        &text, "input x f32[1,1024,1,1]\nconstant w f32[1024,1024,1,1]{1}\n"
               "constant q f32[1024]{1}\n");
    for (int i = 0; i < COUNT; i++) {
        clv_text_add(
            &text, "c%d = Conv(x, w)\nn%d = BatchNormalization(c%d, q, q, q, q)\n", i, i, i);
    }
    clv_text_add(&text, "y = Sum(n0");
    for (int i = 1; i < COUNT; i++) {
        clv_text_add(&text, ", n%d", i);
    }
    clv_text_add(&text, ")\noutput y\n");
    char *string;
    assert_ok(clv_text_take(&text, &string));
    clv_graph *graph = optimise(string);
    size_t num_folded = 0;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        num_folded +=
            strcmp(graph->nodes[i].op->name, "Conv") == 0 && graph->nodes[i].num_inputs == 3;
    }
    /* 4 MiB each: 64 MiB, and as much again as the weights are */
    assert_int_equal(num_folded, 17);
    clv_graph_destroy(graph);
    clv_free(string);
}

/* --- running passes --- */

/* One node with very many outputs: work in proportion to them, not to their square. */
static void test_a_node_of_many_outputs(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    clv_graph *graph;
    assert_ok(clv_graph_create(&graph));
    clv_tensor_id *outputs = clv_alloc_zeroed(COUNT, sizeof *outputs);
    clv_tensor_id *named = clv_alloc_zeroed(COUNT, sizeof *named), x;
    clv_tensor input = {
        .name = "x",
        .kind = CLV_TENSOR_INPUT,
        .dtype = CLV_FLOAT32,
        .shape = {.rank = 1, .dims = {COUNT}}};
    assert_non_null(outputs);
    assert_non_null(named);
    assert_ok(clv_graph_add_tensor(graph, &input, &x));
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        clv_tensor value = {.name = name, .shape.rank = -1};
        snprintf(name, sizeof name, "s%d", i);
        assert_ok(clv_graph_add_tensor(graph, &value, &outputs[i]));
        snprintf(name, sizeof name, "y%d", i);
        assert_ok(clv_graph_add_tensor(graph, &value, &named[i]));
    }
    clv_node split = {
        .name = "split",
        .op_type = "Split",
        .op = clv_op_find("", "Split"),
        .opset = 13,
        .inputs = &x,
        .num_inputs = 1,
        .outputs = outputs,
        .num_outputs = COUNT};
    clv_node_id id;
    assert_ok(clv_graph_add_node(graph, &split, &id));
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d", i);
        clv_node identity = {
            .name = name,
            .op_type = "Identity",
            .op = clv_op_find("", "Identity"),
            .opset = 13,
            .inputs = &outputs[i],
            .num_inputs = 1,
            .outputs = &named[i],
            .num_outputs = 1};
        assert_ok(clv_graph_add_node(graph, &identity, &id));
    }
    assert_ok(clv_graph_set_inputs(graph, &x, 1));
    assert_ok(clv_graph_set_outputs(graph, named, COUNT));
    assert_ok(clv_passes_run(graph, NULL, NULL));
    assert_int_equal(graph->num_nodes, 1);
    assert_string_equal(graph->tensors[graph->nodes[0].outputs[COUNT - 1]].name, "y99999");
    clv_free(outputs);
    clv_free(named);
    clv_graph_destroy(graph);
}

static const clv_node *node_of(const clv_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->num_nodes; i++) {
        if (strcmp(graph->nodes[i].name, name) == 0) {
            return &graph->nodes[i];
        }
    }
    fail_msg("no node '%s'", name);
    return NULL;
}

/* Those that few rows are multiplied with, in numbers that half precision has. */
static void test_half_weights(void **state) {
    (void)state;
    const char *text = "input x f32[8,128]\ninput y f32[9,128]\ninput d f32[128,64]\n"
                       "constant w f32[128,64]\nconstant small f32[128,63]\n"
                       "constant t f32[64,128]\nconstant far f32[128,64]{1,2,-70000}\n"
                       "few = MatMul(x, w)\nmany = MatMul(y, w)\ncached = MatMul(x, small)\n"
                       "gemm = Gemm(x, t) transB=1\nloud = MatMul(x, far)\n"
                       "given = MatMul(x, d)\noutput few many cached gemm loud given\n";
    static const char *const names[] = {"few", "many", "cached", "gemm", "loud", "given"};
    for (int is_wanted = 0; is_wanted < 2; is_wanted++) {
        clv_graph *graph = make(text);
        graph->half_weights = is_wanted != 0;
        assert_ok(clv_passes_run(graph, NULL, NULL));
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            const clv_node *node = node_of(graph, names[i]);
            const bool is_half = is_wanted && (i == 0 || i == 3), is_told = is_half || i == 4;
            clv_cost cost;
            assert_ok(clv_node_cost(graph, node, &cost));
            assert_int_equal(((const clv_matmul_params *)node->params)->half_weights, is_half);
            const double weights = i == 5 ? 0 : i == 2 ? 128 * 63 : 128 * 64;
            assert_true(cost.weight_bytes == weights * (is_half ? 2 : 4));
            assert_int_equal(node->note != NULL, is_wanted && is_told);
            assert_true(node->note == NULL || strstr(node->note, is_half ? "half" : "float32"));
        }
        clv_graph_destroy(graph);
    }
}

/* On a map of one position x sigmoid(x) is an activation of the convolution before it, not a factor
 * for each channel of the one behind it: that took a launch more. */
static void test_an_activation_is_no_scale(void **state) {
    (void)state;
    clv_graph *graph = optimise("input x f32[1,4,1,1]\nconstant w f32[4,4,1,1]\n"
                                "a = Conv(x, w)\ns = Sigmoid(a)\nm = Mul(a, s)\n"
                                "y = Conv(m, w)\noutput y\n");
    assert_int_equal(graph->num_nodes, 2);
    assert_string_equal(graph->tensors[graph->nodes[0].outputs[0]].name, "m");
    clv_graph_destroy(graph);
}

static void test_dead_nodes_go(void **state) {
    (void)state;
    clv_graph *graph = optimise("input x f32[2]\nconstant c f32[2]\na = Add(x, c)\nb = Neg(a)\n"
                                "y = Relu(x)\noutput y\n");
    assert_int_equal(graph->num_nodes, 1);
    assert_int_equal(clv_graph_find_tensor(graph, "c"), CLV_NO_ID);
    clv_graph_destroy(graph);
}

static void test_a_graph_of_no_nodes(void **state) {
    (void)state;
    clv_graph *graph = optimise("input x f32[2]\noutput x\n");
    assert_int_equal(graph->num_nodes, 0);
    clv_graph_destroy(graph);
}

typedef struct seen {
    char names[256];
    size_t stop_after;
} seen;

static clv_status *note(void *context, const clv_pass *pass, const clv_graph *graph) {
    seen *s = context;
    assert_non_null(graph);
    assert_true(strlen(pass->summary) > 0);
    strcat(s->names, pass->name);
    strcat(s->names, " ");
    return s->stop_after-- == 0 ? CLV_ERROR(CANCELLED, "enough") : NULL;
}

static void test_hook_sees_every_pass(void **state) {
    (void)state;
    clv_graph *graph = make(shape_arithmetic);
    seen s = {.stop_after = 99};
    assert_ok(clv_passes_run(graph, note, &s));
    assert_string_equal(
        s.names,
        "infer fold simplify gather_one_hot fold_batchnorm fold_shuffle fold_scale undo_views "
        "join_norm join_attention part_attention project_recurrent spell_batchnorm transposes_last "
        "fold_pad join_pointwise views_last epilogue half_weights dce ");
    clv_graph_destroy(graph);
    graph = make(shape_arithmetic);
    s = (seen){.stop_after = 1};
    assert_failed(CANCELLED, "enough", clv_passes_run(graph, note, &s));
    assert_string_equal(s.names, "infer fold ");
    clv_graph_destroy(graph);
    assert_null(clv_pass_at(clv_pass_count()));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_declared_shapes_with_gaps),
        cmocka_unit_test(test_a_broken_graph_is_refused_at_the_door),
        cmocka_unit_test(test_shape_arithmetic_leaves_nothing),
        cmocka_unit_test(test_bound_values_keep_their_nodes),
        cmocka_unit_test(test_bound_values_that_only_shape),
        cmocka_unit_test(test_a_node_of_bound_inputs_stays),
        cmocka_unit_test(test_inference_can_be_repeated),
        cmocka_unit_test(test_constants_fold),
        cmocka_unit_test(test_growth_is_not_folded),
        cmocka_unit_test(test_folding_has_a_budget),
        cmocka_unit_test(test_long_work_is_not_folded),
        cmocka_unit_test(test_constant_nodes_are_not_copied),
        cmocka_unit_test(test_simplify),
        cmocka_unit_test(test_merged_views_keep_their_shape),
        cmocka_unit_test(test_dropout_with_its_mask),
        cmocka_unit_test(test_fold_batchnorm),
        cmocka_unit_test(test_constants_that_lift_the_rank),
        cmocka_unit_test(test_inference_keeps_shapes),
        cmocka_unit_test(test_norms_of_norms),
        cmocka_unit_test(test_sums_become_biases),
        cmocka_unit_test(test_shared_weights_are_bounded),
        cmocka_unit_test(test_a_node_of_many_outputs),
        cmocka_unit_test(test_an_activation_is_no_scale),
        cmocka_unit_test(test_dead_nodes_go),
        cmocka_unit_test(test_a_graph_of_no_nodes),
        cmocka_unit_test(test_half_weights),
        cmocka_unit_test(test_hook_sees_every_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
