/* The table of costs that the library comes with fits the kernels that it comes with. */
#include "host/ops/op.h"
#include "host/passes/passes.h"
#include "host/tune/shipped.h"
#include "tests/support/check.h"
#include "tests/support/graph_text.h"
#include <math.h>
#include <string.h>

static const clv_traits wide = {
    .is_cpu = true, .simd_bytes = 64, .num_lanes = 4, .cache_bytes = 1 << 20};
static void costs_are_in_order(void **state) {
    (void)state;
    assert_true(clv_shipped_costs.count > 100);
    for (size_t i = 0; i < clv_shipped_costs.count; i++) {
        const clv_shipped_cost *cost = &clv_shipped_costs.costs[i];
        assert_true(isfinite(cost->time_us) && cost->time_us > 0);
        assert_true(i == 0 || cost[-1].key < cost->key);
        assert_true((double)cost->time_us == clv_shipped_find(&clv_shipped_costs, cost->key));
    }
    const uint64_t most = clv_shipped_costs.costs[clv_shipped_costs.count - 1].key;
    assert_true(isnan(clv_shipped_find(&clv_shipped_costs, most + 1)));
    const clv_shipped_table none = {.count = 0};
    assert_true(isnan(clv_shipped_find(&none, most)));
}

/* Operators of networks that the table was made of, by every kernel that much is in it of. */
static const struct {
    const char *text, *variant;
} probes[] = {
    {"input x f32[1,64,56,56]\nconstant w f32[64,64,3,3]\nconstant b f32[64]\n"
     "a = Conv(x, w, b) pads=[1,1,1,1]\ny = Relu(a)\noutput y\n",
     "blocked"},
    {"input x f32[1,64,56,56]\nconstant w f32[64,64,3,3]\nconstant b f32[64]\n"
     "a = Conv(x, w, b) pads=[1,1,1,1]\ny = Relu(a)\noutput y\n",
     "winograd"},
    {"input x f32[1,64,56,56]\nconstant w f32[64,64,3,3]\nconstant b f32[64]\n"
     "a = Conv(x, w, b) pads=[1,1,1,1]\ny = Relu(a)\noutput y\n",
     "winograd_2"},
    {"input x f32[1,256,56,56]\nconstant w f32[64,256,1,1]\nconstant b f32[64]\n"
     "a = Conv(x, w, b)\ny = Relu(a)\noutput y\n",
     "blocked"},
    {"input x f32[1,64,96,96]\nconstant w f32[64,32,2,2]\nconstant b f32[32]\n"
     "y = ConvTranspose(x, w, b) strides=[2,2]\noutput y\n",
     "transposed"},
};

static const clv_variant *find_variant(const clv_kernel_family *family, const char *name) {
    for (size_t i = 0; i < family->num_variants; i++) {
        if (strcmp(family->variants[i].name, name) == 0) {
            return &family->variants[i];
        }
    }
    return NULL;
}

static void check_probe(size_t index, const clv_traits *traits) {
    clv_graph *graph;
    clv_arena arena;
    clv_call call;
    uint64_t key;
    assert_ok(clv_test_graph_make(probes[index].text, 1, &graph));
    assert_ok(clv_passes_run(graph, NULL, NULL));
    clv_arena_init(&arena, 0);
    assert_ok(clv_call_from_node(graph, &graph->nodes[0], &arena, &call));
    const clv_way way = {.variant = find_variant(call.op->kernels, probes[index].variant)};
    assert_non_null(way.variant);
    assert_ok(clv_shipped_key(&call, &way, traits, &key));
    if (isnan(clv_shipped_find(&clv_shipped_costs, key))) {
        fail_msg(
            "%s: no cost of %s for probe %zu: the kernels are others than those that "
            "host/tune/shipped.def was made with; CONTRIBUTING.md says how it is remade",
            clv_shipped_class(traits), probes[index].variant, index);
    }
    clv_arena_deinit(&arena);
    clv_graph_destroy(graph);
}

static void costs_are_of_the_kernels_as_they_are(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        check_probe(i, &wide);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_are_in_order),
        cmocka_unit_test(costs_are_of_the_kernels_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
