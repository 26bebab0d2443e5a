/* What chains of elementwise operators become: the steps, by name. */
#include "host/passes/evaluate.h"
#include "host/passes/passes.h"
#include "tests/support/check.h"
#include "tests/support/graph_text.h"
#include <math.h>
#include <stdio.h>

typedef struct chain {
    const char *nodes, *steps;
} chain;

#define NUMBERS                                                                                   \
    "constant zero f32[]{0}\nconstant half f32[]{0.5}\nconstant one f32[]{1}\n"                   \
    "constant three f32[]{3}\nconstant six f32[]{6}\nconstant four f32[]{4}\n"                    \
    "constant sixth f32[]{0.1666667}\nconstant most f32[]{3.4028234e38}\n"                        \
    "constant root f32[]{1.4142135}\nconstant eps f32[]{1e-7}\nconstant above f32[]{1.0000002}\n" \
    "constant k f32[]{0.7978845}\nconstant c f32[]{0.044715}\nconstant low f32[]{-6}\n"           \
    "constant high f32[]{600}\n"
#define HARD_SWISH "a = Add(x, three)\nb = Clip(a, zero, six)\nc1 = Mul(x, b)\n"
#define SIGMOID "a = Neg(x)\nb = Exp(a)\nc1 = Add(b, one)\nd = Div(one, c1)\n"

static const chain chains[] = {
    /* constants */
    {"a = Div(x, six)\ny = Floor(a)", "[CONST, DIV, FLOOR]"},
    {"a = Div(x, four)\ny = Floor(a)", "[AFFINE, FLOOR]"},
    {"a = Sub(x, three)\ny = Mul(a, sixth)", "[AFFINE, AFFINE]"},
    {"a = Mul(x, three)\ny = Add(a, six)", "[AFFINE, AFFINE]"},
    {"a = Mul(x, half)\ny = Add(a, six)", "[AFFINE]"},
    {"a = Mul(x, three)\ny = Mul(a, four)", "[AFFINE]"},
    {"a = Mul(x, three)\ny = Mul(a, half)", "[AFFINE, AFFINE]"},
    {"a = Mul(x, three)\ny = Mul(a, six)", "[AFFINE, AFFINE]"},
    /* hard swish */
    {HARD_SWISH "y = Div(c1, six)", "[HARD_SWISH]"},
    {HARD_SWISH "y = Mul(sixth, c1)", "[HARD_SWISH]"},
    {"a = Add(three, x)\nb = Clip(a, zero, six)\nc1 = Div(b, six)\ny = Mul(c1, x)", "[HARD_SWISH]"},
    {"a = Add(x, three)\nb = Relu(a)\nd = Min(b, six)\nf = Mul(x, d)\ny = Mul(f, sixth)",
     "[HARD_SWISH]"},
    {"a = Add(x, three)\nb = Clip(a, zero, most)\nd = Min(b, six)\nf = Mul(x, d)\ny = Mul(f, "
     "sixth)",
     "[HARD_SWISH]"},
    {"a = HardSigmoid(x) alpha=0.1666667 beta=0.5\ny = Mul(a, x)", "[HARD_SWISH]"},
    {HARD_SWISH "d = Clip(c1, low, high)\ny = Div(d, six)",
     "[AFFINE, CLIP, MUL, CLIP, CONST, DIV]"},
    {"a = Add(x, four)\nb = Clip(a, zero, six)\nc1 = Mul(x, b)\ny = Div(c1, six)",
     "[AFFINE, CLIP, MUL, CONST, DIV]"},
    /* a bump of height 1/4 from 300 to 301 beside it */
    {HARD_SWISH "d = Div(c1, six)\nconstant p f32[]{300}\nconstant q f32[]{301}\n"
                "e = Clip(x, p, q)\nf = Sub(e, p)\ng = Sub(e, q)\nh = Mul(f, g)\ny = Sub(d, h)",
     "[CLIP, AFFINE, AFFINE, MUL, HARD_SWISH, SUB]"},
    /* sigmoid, and what is added to it to keep logarithms finite */
    {SIGMOID "y = Log(d)", "[SIGMOID, LOG]"},
    {"a = Mul(x, half)\nb = Tanh(a)\nc1 = Add(b, one)\ny = Mul(c1, half)", "[SIGMOID]"},
    {SIGMOID "e = Add(d, eps)\ny = Log(e)", "[SIGMOID, AFFINE, LOG]"},
    {"a = Mul(x, half)\nb = Tanh(a)\nc1 = Add(b, above)\ny = Mul(c1, half)",
     "[AFFINE, TANH, AFFINE, AFFINE]"},
    {"a = Neg(x)\nb = Exp(a)\nc1 = Add(b, above)\ny = Div(one, c1)",
     "[NEG, EXP, AFFINE, RECIPROCAL]"},
    /* others */
    {SIGMOID "y = Mul(x, d)", "[SWISH]"},
    {"a = Div(x, root)\nb = Erf(a)\nd = Add(b, one)\ne = Mul(x, d)\ny = Mul(e, half)", "[GELU]"},
    {"a = Pow(x, three)\nb = Mul(a, c)\nd = Add(x, b)\ne = Mul(d, k)\nf = Tanh(e)\n"
     "g = Add(f, one)\nh = Mul(x, g)\ny = Mul(h, half)",
     "[GELU_TANH]"},
    {"a = Softplus(x)\nb = Tanh(a)\ny = Mul(x, b)", "[MISH]"},
};

static void test_chains(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        char text[2048];
        clv_graph *graph;
        snprintf(text, sizeof text, "input x f32[2,3]\n" NUMBERS "%s\noutput y\n", chains[i].nodes);
        assert_ok(clv_test_graph_make(text, 1, &graph));
        assert_ok(clv_passes_run(graph, NULL, NULL));
        assert_int_equal(graph->num_nodes, 1);
        if (strcmp(graph->nodes[0].op_type, chains[i].steps) != 0) {
            fail_msg(
                "%s\nis %s, must be %s", chains[i].nodes, graph->nodes[0].op_type, chains[i].steps);
        }
        clv_graph_destroy(graph);
    }
}

typedef struct output {
    clv_tensor_id id;
    float values[2];
} output;

static clv_status *on_tensor(void *context, clv_tensor_id id, const clv_view *value) {
    output *out = context;
    if (id == out->id) {
        memcpy(out->values, value->data, sizeof out->values);
    }
    return NULL;
}

/* Products, quotients and means of -0 are -0. */
static void test_zeros_keep_their_sign(void **state) {
    (void)state;
    static const char *const nodes[] = {"Mul(x, three)", "Div(x, four)", "Mean(x, x)"};
    static const float zeros[2] = {-0.0f, 0};
    const clv_view input = {.dtype = CLV_FLOAT32, .shape = {.rank = 1, .dims = {2}}, .data = zeros};
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        char text[2048];
        clv_graph *graph;
        output out;
        snprintf(
            text, sizeof text, "input x f32[2]\n" NUMBERS "a = %s\ny = Reciprocal(a)\noutput y\n",
            nodes[i]);
        assert_ok(clv_test_graph_make(text, 1, &graph));
        assert_ok(clv_passes_run(graph, NULL, NULL));
        out.id = graph->outputs[0];
        assert_ok(clv_evaluate(graph, &input, on_tensor, &out));
        assert_true(out.values[0] == -INFINITY && out.values[1] == INFINITY);
        clv_graph_destroy(graph);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chains), cmocka_unit_test(test_zeros_keep_their_sign)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
