/* Minimum cuts against trying every one. */
#include "host/base/memory.h"
#include "host/base/min_cut.h"
#include "host/base/random.h"
#include "tests/support/check.h"

enum { MAX_NODES = 9, MAX_EDGES = 30, NUM_GRAPHS = 2000 };

typedef struct edge {
    uint32_t from, to;
    int64_t capacity;
} edge;

static int64_t price(const edge *edges, int count, uint32_t at_sink) {
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        bool is_cut = (at_sink >> edges[i].from & 1) == 0 && (at_sink >> edges[i].to & 1) != 0;
        sum += is_cut ? edges[i].capacity : 0;
    }
    return sum;
}

static void equals_brute_force(void **state) {
    (void)state;
    clv_random random;
    clv_random_init(&random, 1);
    for (int k = 0; k < NUM_GRAPHS; k++) {
        edge edges[MAX_EDGES];
        uint32_t nodes = 2 + (uint32_t)clv_random_below(&random, MAX_NODES - 1);
        int count = (int)clv_random_below(&random, MAX_EDGES + 1);
        clv_min_cut cut;
        assert_ok(clv_min_cut_init(&cut, nodes));
        for (int i = 0; i < count; i++) {
            edges[i].from = (uint32_t)clv_random_below(&random, nodes);
            edges[i].to = (uint32_t)clv_random_below(&random, nodes);
            edges[i].capacity = (int64_t)clv_random_below(&random, 20);
            assert_ok(clv_min_cut_add(&cut, edges[i].from, edges[i].to, edges[i].capacity));
        }
        int64_t least = INT64_MAX;
        for (uint32_t set = 0; set < 1u << nodes; set++) {
            if ((set & 1) == 0 && (set & 2) != 0) {
                int64_t here = price(edges, count, set);
                least = here < least ? here : least;
            }
        }
        assert_int_equal(clv_min_cut_solve(&cut), least);
        uint32_t at_sink = 0;
        for (uint32_t i = 0; i < nodes; i++) {
            at_sink |= clv_min_cut_is_at_sink(&cut, i) ? 1u << i : 0;
        }
        assert_int_equal(at_sink & 3, 2);
        assert_int_equal(price(edges, count, at_sink), least);
        clv_min_cut_deinit(&cut);
    }
}

/* A long chain with a side branch at every node, as big graphs have: quick, not only right. */
static void long_chain(void **state) {
    (void)state;
    enum { LENGTH = 200000 };
    clv_min_cut cut;
    assert_ok(clv_min_cut_init(&cut, LENGTH + 2));
    for (uint32_t i = 0; i < LENGTH; i++) {
        assert_ok(clv_min_cut_add(&cut, CLV_CUT_SOURCE, 2 + i, i % 7));
        assert_ok(clv_min_cut_add(&cut, 2 + i, CLV_CUT_SINK, i % 5));
        if (i > 0) {
            assert_ok(clv_min_cut_add(&cut, 1 + i, 2 + i, 3));
            assert_ok(clv_min_cut_add(&cut, 2 + i, 1 + i, 3));
        }
    }
    assert_true(clv_min_cut_solve(&cut) > 0);
    clv_min_cut_deinit(&cut);
}

static void no_memory(void **state) {
    (void)state;
    for (int64_t n = 0; n < 4; n++) {
        clv_min_cut cut;
        clv_memory_fail_at(n);
        assert_failed(NO_MEMORY, "a cut of 5 nodes", clv_min_cut_init(&cut, 5));
        clv_memory_fail_at(-1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_brute_force),
        cmocka_unit_test(long_chain),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
