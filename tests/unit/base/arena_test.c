#include "host/base/arena.h"
#include "host/base/memory.h"
#include "host/base/random.h"
#include "tests/support/check.h"

static void blocks_are_zeroed_aligned_and_apart(void **state) {
    (void)state;
    clv_arena arena;
    clv_arena_init(&arena, 0);
    enum { COUNT = 3000 };
    static struct {
        unsigned char *data;
        size_t bytes;
    } blocks[COUNT];
    clv_random random;
    clv_random_init(&random, 1);
    for (int i = 0; i < COUNT; i++) {
        bool large = clv_random_below(&random, 100) == 0;
        size_t bytes = (size_t)clv_random_below(&random, large ? 3000000 : 200);
        unsigned char *data = clv_arena_alloc(&arena, bytes, 1);
        assert_non_null(data);
        assert_int_equal((uintptr_t)data % 16, 0);
        for (size_t j = 0; j < bytes; j += large ? 997 : 1) {
            assert_int_equal(data[j], 0);
        }
        memset(data, i % 251 + 1, bytes);
        blocks[i].data = data;
        blocks[i].bytes = bytes;
    }
    for (int i = 0; i < COUNT; i++) { /* no later block wrote into an earlier one */
        for (size_t j = 0; j < blocks[i].bytes; j += 61) {
            assert_int_equal(blocks[i].data[j], i % 251 + 1);
        }
    }
    clv_arena_deinit(&arena);
    assert_int_equal(arena.used_bytes, 0);
}

static void the_limit_holds(void **state) {
    (void)state;
    clv_arena arena;
    clv_arena_init(&arena, 64);
    assert_non_null(clv_arena_alloc(&arena, 3, 16));
    assert_null(clv_arena_alloc(&arena, 17, 1));
    assert_non_null(clv_arena_alloc(&arena, 16, 1)); /* a refusal takes nothing */
    assert_null(clv_arena_alloc(&arena, 0, 1));
    assert_int_equal(arena.used_bytes, 64);
    clv_arena_deinit(&arena);
    assert_non_null(clv_arena_alloc(&arena, 64, 1)); /* usable again, under the same limit */
    assert_null(clv_arena_alloc(&arena, 1, 1));
    clv_arena_deinit(&arena);
}

static void overflowing_sizes_are_refused(void **state) {
    (void)state;
    clv_arena arena;
    clv_arena_init(&arena, 0);
    assert_null(clv_arena_alloc(&arena, SIZE_MAX, 2));
    assert_null(clv_arena_alloc(&arena, SIZE_MAX, 1));
    assert_null(clv_arena_alloc(&arena, SIZE_MAX - 16, 1));
    assert_null(clv_arena_strndup(&arena, "x", SIZE_MAX));
    assert_non_null(clv_arena_alloc(&arena, 1, 1));
    assert_null(clv_arena_alloc(&arena, SIZE_MAX - 30, 1));
    clv_arena_deinit(&arena);
}

static void a_failed_allocation_changes_nothing(void **state) {
    (void)state;
    clv_arena arena;
    clv_arena_init(&arena, 0);
    clv_memory_fail_at(0);
    assert_null(clv_arena_strdup(&arena, "text"));
    assert_int_equal(arena.used_bytes, 0);
    char *text = clv_arena_strdup(&arena, "text");
    size_t used = arena.used_bytes;
    clv_memory_fail_at(0);
    assert_null(clv_arena_alloc(&arena, 1, 1000000));
    assert_int_equal(arena.used_bytes, used);
    assert_string_equal(text, "text");
    assert_failed(NO_MEMORY, "out of host memory for names", CLV_NO_ARENA("names"));
    clv_arena_deinit(&arena);
}

static void text_is_copied(void **state) {
    (void)state;
    clv_arena arena;
    clv_arena_init(&arena, 0);
    assert_string_equal(clv_arena_strdup(&arena, ""), "");
    assert_string_equal(clv_arena_strndup(&arena, "abcdef", 3), "abc");
    assert_string_equal(clv_arena_strndup(&arena, "", 0), "");
    assert_string_equal(clv_arena_printf(&arena, "%s#%d", "node", 2), "node#2");
    char long_text[5001];
    memset(long_text, 'x', 5000);
    long_text[5000] = '\0';
    assert_string_equal(clv_arena_printf(&arena, "%s", long_text), long_text);
    assert_non_null(clv_arena_copy(&arena, NULL, 0));
    clv_arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_aligned_and_apart),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(overflowing_sizes_are_refused),
        cmocka_unit_test(a_failed_allocation_changes_nothing),
        cmocka_unit_test(text_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
