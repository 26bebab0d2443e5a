/* The memory plan on random lifetimes: verified, near its lower bound, within blocks. */
#include "host/exec/memory_plan.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/base/random.h"
#include "tests/support/check.h"
#include "tests/support/sample.h"

#include <stdbool.h>
#include <stdlib.h>

enum { MOST = 200 };

static size_t draw(clv_random *random, clv_memory_piece *pieces, uint64_t max_bytes) {
    size_t count = 1 + clv_random_below(random, MOST);
    uint32_t steps = 1 + (uint32_t)clv_random_below(random, 300);
    bool short_lives = clv_random_below(random, 2) == 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t first = (uint32_t)clv_random_below(random, steps);
        uint32_t most = short_lives && steps - first > 5 ? 5 : steps - first;
        pieces[i] = (clv_memory_piece){
            .name = "piece",
            .bytes = clv_random_below(random, 8) == 0 ? 0 : clv_random_below(random, max_bytes),
            .first_step = first,
            .last_step = first + (uint32_t)clv_random_below(random, most),
        };
    }
    return count;
}

/* Independent of the verifier: every pair, byte by byte in effect. */
static void check_pairs(const clv_memory_piece *pieces, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            const clv_memory_piece *a = &pieces[i], *b = &pieces[j];
            bool at_once = a->first_step <= b->last_step && b->first_step <= a->last_step;
            bool overlap = a->block == b->block && a->offset < b->offset + b->bytes &&
                           b->offset < a->offset + a->bytes;
            assert_false(at_once && overlap && a->bytes != 0 && b->bytes != 0);
        }
    }
}

static void test_random(void **state) {
    (void)state;
    double ratio_sum = 0;
    int num_ratios = 0;
    enum { RUNS = 400 };
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        if (!clv_test_is_tried(seed)) {
            continue;
        }
        clv_memory_piece pieces[MOST];
        clv_memory_plan plan;
        clv_random random;
        clv_random_init(&random, seed);
        size_t count = draw(&random, pieces, 100000);
        bool split = seed % 3 == 0;
        uint64_t limit = split ? 150000 : UINT64_MAX;
        assert_ok(clv_memory_plan_create(pieces, count, limit, &plan));
        assert_ok(clv_memory_plan_verify(pieces, count, &plan));
        check_pairs(pieces, count);
        assert_true(plan.total_bytes >= plan.lower_bound);
        for (size_t i = 0; i < plan.num_blocks; i++) {
            assert_true(plan.block_bytes[i] <= limit);
        }
        if (!split && plan.lower_bound != 0) {
            assert_true(plan.num_blocks == 1);
            ratio_sum += (double)plan.total_bytes / (double)plan.lower_bound;
            num_ratios++;
        }
        clv_memory_plan_deinit(&plan);
    }
    print_message("mean over lower bound: %.4f\n", ratio_sum / num_ratios);
    if (!(ratio_sum / num_ratios < 1.1)) {
        fail_msg("plans take %.3f of the lower bound on average", ratio_sum / num_ratios);
    }
}

/* A chain needs two tensors at a time, however long it is. */
static void test_chain(void **state) {
    (void)state;
    clv_memory_piece pieces[100];
    clv_memory_plan plan;
    for (uint32_t i = 0; i < 100; i++) {
        pieces[i] =
            (clv_memory_piece){.name = "link", .bytes = 1000, .first_step = i, .last_step = i + 1};
    }
    assert_ok(clv_memory_plan_create(pieces, 100, UINT64_MAX, &plan));
    assert_int_equal(plan.total_bytes, 2 * 1024);
    assert_int_equal(plan.lower_bound, 2 * 1024);
    clv_memory_plan_deinit(&plan);
}

/* So long that looking at every two pieces takes a minute. */
static void test_long_chain(void **state) {
    (void)state;
    enum { LENGTH = 100000 };
    clv_memory_piece *pieces = calloc(LENGTH, sizeof *pieces);
    clv_memory_plan plan;
    assert_non_null(pieces);
    for (uint32_t i = 0; i < LENGTH; i++) {
        pieces[i] = (clv_memory_piece){
            .name = "link", .bytes = 1000 + i % 7 * 100, .first_step = i, .last_step = i + 1};
    }
    assert_ok(clv_memory_plan_create(pieces, LENGTH, UINT64_MAX, &plan));
    assert_ok(clv_memory_plan_verify(pieces, LENGTH, &plan));
    assert_true((double)plan.total_bytes <= 1.5 * (double)plan.lower_bound);
    clv_cancel_set(true);
    assert_failed(CANCELLED, "interrupted", clv_memory_plan_verify(pieces, LENGTH, &plan));
    clv_memory_plan_deinit(&plan);
    assert_failed(
        CANCELLED, "interrupted", clv_memory_plan_create(pieces, LENGTH, UINT64_MAX, &plan));
    clv_cancel_set(false);
    free(pieces);
}

/* A chain whose steps need their input, their output and a slightly larger copy of the input, with
 * something small that stays: largest first would need a third slot. */
static void test_copies(void **state) {
    (void)state;
    enum { LENGTH = 10, COUNT = 3 * LENGTH + 1 };
    clv_memory_piece pieces[COUNT];
    clv_memory_plan plan;
    pieces[0] = (clv_memory_piece){.name = "stays", .bytes = 1000, .last_step = 3 * LENGTH};
    for (uint32_t i = 0; i + 1 < COUNT; i++) {
        const uint64_t bytes = i % 3 == 0 ? 130048 : 128000;
        pieces[i + 1] =
            (clv_memory_piece){.name = "link", .bytes = bytes, .first_step = i, .last_step = i + 1};
    }
    assert_ok(clv_memory_plan_create(pieces, COUNT, UINT64_MAX, &plan));
    assert_ok(clv_memory_plan_verify(pieces, COUNT, &plan));
    assert_true((double)plan.total_bytes <= 1.02 * (double)plan.lower_bound);
    clv_memory_plan_deinit(&plan);
}

static void test_errors(void **state) {
    (void)state;
    clv_memory_plan plan;
    clv_memory_piece huge = {.name = "huge", .bytes = 1 << 20};
    assert_failed(
        NO_MEMORY, "'huge' takes 1.0 MiB, the device gives at most 1.0 KiB",
        clv_memory_plan_create(&huge, 1, 1024, &plan));
    clv_memory_piece many[3];
    for (int i = 0; i < 3; i++) {
        many[i] = (clv_memory_piece){.name = "many", .bytes = UINT64_MAX / 5};
    }
    assert_failed(NO_MEMORY, "too large", clv_memory_plan_create(many, 3, UINT64_MAX, &plan));
    assert_ok(clv_memory_plan_create(NULL, 0, 1024, &plan));
    assert_int_equal(plan.num_blocks, 0);
    assert_int_equal(plan.total_bytes, 0);
    clv_memory_plan_deinit(&plan);
}

/* The verifier sees what is wrong with a plan. */
static void test_verify(void **state) {
    (void)state;
    uint64_t block = 4096;
    const clv_memory_plan plan = {.block_bytes = &block, .num_blocks = 1, .total_bytes = block};
    clv_memory_piece pieces[2] = {
        {.name = "a", .bytes = 128, .first_step = 0, .last_step = 4},
        {.name = "b", .bytes = 128, .first_step = 4, .last_step = 5, .offset = 64},
    };
    assert_failed(INTERNAL, "overlap", clv_memory_plan_verify(pieces, 2, &plan));
    pieces[1].first_step = 5;
    assert_ok(clv_memory_plan_verify(pieces, 2, &plan));
    pieces[1].offset = 4096 - 64;
    assert_failed(INTERNAL, "'b' is outside", clv_memory_plan_verify(pieces, 2, &plan));
    pieces[1].offset = 32;
    assert_failed(INTERNAL, "'b' is outside", clv_memory_plan_verify(pieces, 2, &plan));
    pieces[1].offset = 0;
    pieces[1].last_step = 3;
    assert_failed(INTERNAL, "'b' ends before", clv_memory_plan_verify(pieces, 2, &plan));
}

static void test_allocation_failures(void **state) {
    (void)state;
    clv_memory_piece pieces[MOST];
    clv_random random;
    clv_random_init(&random, 7);
    size_t count = draw(&random, pieces, 1000);
    for (int64_t n = 0;; n++) {
        clv_memory_plan plan;
        int64_t before = clv_memory_count();
        clv_memory_fail_at(n);
        clv_status *status = clv_memory_plan_create(pieces, count, 4096, &plan);
        clv_memory_fail_at(-1);
        bool reached = clv_memory_count() - before > n;
        assert_int_equal(clv_status_code(status), reached ? CLV_NO_MEMORY : CLV_OK);
        clv_status_destroy(status);
        clv_memory_plan_deinit(&plan);
        if (!reached) {
            assert_true(n >= 3);
            break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),     cmocka_unit_test(test_chain),
        cmocka_unit_test(test_copies),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_verify),     cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
