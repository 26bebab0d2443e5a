/* Every allocation of making a graph, binding it, running all passes over it, evaluating and
 * printing it fails once: the result is NO_MEMORY and nothing is lost (run under a leak checker),
 * and with memory again all is well. */
#include "host/base/memory.h"
#include "host/passes/evaluate.h"
#include "host/passes/passes.h"
#include "tests/support/check.h"
#include "tests/support/graph_text.h"

static const struct {
    const char *text;
} sources[] = {
    /* shapes through arithmetic, constants that fold, large enough for both ways of computing */
    {"input x f32[N,3,4]\ndim N=2\ns = Shape(x)\nconstant i i64[1]{0}\nb = Gather(s, i)\n"
     "constant r i64[1]{-1}\nt = Concat(b, r) axis=0\nf = Reshape(x, t)\n"
     "constant c f32[70000]{1}\nd = Neg(c)\ne = Neg(d)\nm = ReduceSum(e)\ny = Add(f, m)\noutput "
     "y\n"},
    /* identities, views of views, a mask, a normalisation */
    {"input x f32[1,2,4,4]\na = Relu(x)\nu, mask = Dropout(a)\nv = Identity(u)\n"
     "constant w f32[2,2,1,1]\nn = Conv(v, w)\nconstant q f32[2]{1}\n"
     "z = BatchNormalization(n, q, q, q, q)\nconstant s i64[2]{4,8}\np = Reshape(z, s)\n"
     "l = Flatten(p)\ny = Identity(l)\noutput y mask\n"},
    /* a value that is bound, captured where it shapes and computed where it is wanted */
    {"input x f32[6]\ninput k i64[2]\nvalue k i64[2]{2,3}\none = Constant() value_int=0\n"
     "t = Add(k, one)\ny = Reshape(x, t)\nz = Neg(y)\noutput z t\n"},
    /* what is refused must not become another failure */
    {"input x f32[2]\ny = Softmax(x) axis=3\noutput y\n"},
};

static clv_status *on_pass(void *context, const clv_pass *pass, const clv_graph *graph) {
    char *text;
    (void)context;
    (void)pass;
    CLV_TRY(clv_test_graph_show(graph, &text));
    clv_free(text);
    return NULL;
}

static clv_status *evaluate(const clv_graph *graph) {
    static const double zeros[64];
    clv_view inputs[4];
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->inputs[i]];
        const void *data = tensor->data != NULL ? tensor->data : zeros;
        inputs[i] = (clv_view){.dtype = tensor->dtype, .shape = tensor->shape, .data = data};
    }
    return clv_evaluate(graph, inputs, NULL, NULL);
}

static clv_status *do_everything(const char *source) {
    clv_graph *graph;
    CLV_TRY(clv_test_graph_make(source, 1, &graph));
    clv_status *status = clv_graph_sort(graph);
    if (status == NULL) {
        status = clv_passes_run(graph, on_pass, NULL);
    }
    if (status == NULL) {
        status = evaluate(graph);
    }
    clv_graph_destroy(graph);
    return status;
}

static void test_every_allocation(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        clv_status *status = do_everything(sources[i].text);
        clv_code want = clv_status_code(status);
        clv_status_destroy(status);
        int64_t before = clv_memory_count();
        status = do_everything(sources[i].text);
        int64_t count = clv_memory_count() - before;
        assert_int_equal(clv_status_code(status), want);
        clv_status_destroy(status);
        assert_in_range(count, 10, 100000);
        for (int64_t n = 0; n < count; n++) {
            clv_memory_fail_at(n);
            status = do_everything(sources[i].text);
            clv_memory_fail_at(-1);
            clv_code code = clv_status_code(status);
            /* memory may also be missing for words about a refusal: these then stay shorter */
            if (code != CLV_NO_MEMORY && (want == CLV_OK || code != want)) {
                print_error(
                    "source %zu, allocation %lld: %s: %s\n%s", i, (long long)n, clv_code_name(code),
                    clv_status_message(status), clv_status_trail(status));
                clv_status_destroy(status);
                fail();
            }
            clv_status_destroy(status);
        }
        status = do_everything(sources[i].text);
        assert_int_equal(clv_status_code(status), want);
        clv_status_destroy(status);
        print_message("source %zu: %lld allocations\n", i, (long long)count);
    }
}

/* Blocks of an arena hide most of its allocations from the test above: here the graph's arena is
 * full after ever more bytes. */
static void test_every_size_of_arena(void **state) {
    (void)state;
    for (size_t i = 0; i + 1 < sizeof sources / sizeof sources[0]; i++) {
        clv_code code = CLV_NO_MEMORY;
        size_t room = 0;
        for (; code == CLV_NO_MEMORY; room += 16) {
            clv_graph *graph;
            assert_ok(clv_test_graph_make(sources[i].text, 1, &graph));
            graph->arena.limit_bytes = graph->arena.used_bytes + room;
            clv_status *status = clv_passes_run(graph, NULL, NULL);
            code = clv_status_code(status);
            clv_status_destroy(status);
            clv_graph_destroy(graph);
        }
        assert_int_equal(code, CLV_OK);
        assert_true(room > 256);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_every_size_of_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
