#include "host/base/memory.h"
#include "tests/support/check.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void zero_bytes_give_a_pointer(void **state) {
    (void)state;
    void *blocks[] = {
        clv_alloc(0), clv_alloc_zeroed(0, 8), clv_alloc_zeroed(8, 0), clv_alloc_aligned(64, 0),
        clv_realloc(NULL, 0)};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        assert_non_null(blocks[i]);
        clv_free(blocks[i]);
    }
    clv_free(NULL);
}

static void overflowing_products_are_refused(void **state) {
    (void)state;
    assert_null(clv_alloc_zeroed(SIZE_MAX / 2, 3));
    size_t size = 7;
    assert_false(clv_mul_size(SIZE_MAX / 2 + 1, 2, &size));
    assert_true(clv_mul_size(SIZE_MAX / 2, 2, &size));
    assert_true(size == SIZE_MAX - 1);
    assert_false(clv_add_size(SIZE_MAX, 1, &size));
    assert_true(clv_add_size(SIZE_MAX - 1, 1, &size));
    assert_true(size == SIZE_MAX);
}

static void alignment_is_kept(void **state) {
    (void)state;
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        void *block = clv_alloc_aligned(alignment, 100);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
        clv_free(block);
    }
    assert_null(clv_alloc_aligned(48, 100));
}

static void zeroed_is_zero(void **state) {
    (void)state;
    unsigned char *block = clv_alloc_zeroed(100, 10);
    assert_non_null(block);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(block[i], 0);
    }
    clv_free(block);
}

static void the_nth_allocation_fails_once(void **state) {
    (void)state;
    for (int n = 0; n < 6; n++) {
        clv_memory_fail_at(n);
        void *blocks[6] = {clv_alloc(1),         clv_alloc_zeroed(1, 1), clv_alloc_aligned(16, 1),
                           clv_realloc(NULL, 1), clv_strdup("text"),     clv_alloc(1)};
        for (int i = 0; i < 6; i++) {
            assert_true((blocks[i] == NULL) == (i == n));
            clv_free(blocks[i]);
        }
    }
    clv_memory_fail_at(0);
    clv_memory_fail_at(-1);
    void *block = clv_alloc(1);
    assert_non_null(block);
    clv_free(block);
}

static void allocations_are_counted(void **state) {
    (void)state;
    int64_t before = clv_memory_count();
    clv_free(clv_alloc(1));
    clv_free(clv_realloc(clv_alloc(1), 2));
    assert_int_equal(clv_memory_count() - before, 3);
    assert_null(clv_strdup(NULL));
    assert_int_equal(clv_memory_count() - before, 3);
}

static void a_failed_realloc_leaves_the_block(void **state) {
    (void)state;
    char *block = clv_strdup("kept");
    clv_memory_fail_at(0);
    assert_null(clv_realloc(block, 1000));
    assert_string_equal(block, "kept");
    clv_free(block);
}

static void arrays_grow_and_fail_unchanged(void **state) {
    (void)state;
    void *data = NULL;
    size_t capacity = 0;
    assert_true(clv_array_reserve(&data, &capacity, 0, 4));
    assert_null(data);
    assert_true(clv_array_reserve(&data, &capacity, 1, 4));
    assert_true(capacity >= 1);
    size_t before = capacity;
    assert_true(clv_array_reserve(&data, &capacity, before + 1, 4));
    assert_true(capacity >= 2 * before);

    before = capacity;
    void *old = data;
    clv_memory_fail_at(0);
    assert_false(clv_array_reserve(&data, &capacity, before + 1, 4));
    assert_false(clv_array_reserve(&data, &capacity, SIZE_MAX, 4));
    assert_ptr_equal(data, old);
    assert_true(capacity == before);
    clv_free(data);
}

/* Pages of code come back as they were, also those that are not what is in the file. */
static void code_is_dropped_and_comes_back(void **state) {
    (void)state;
    char path[] = "/tmp/cleave-memory-test-XXXXXX";
    enum { BYTES = 64 << 10 };
    const size_t before = clv_memory_drop_code(1);
    assert_true(before > 0); /* this program's, at least */
    static char content[BYTES];
    memset(content, 'f', sizeof content);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write(fd, content, sizeof content), BYTES);
    char *clean = mmap(NULL, BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (clean == MAP_FAILED) { /* mounted without the right to execute */
        close(fd);
        skip();
    }
    char *changed = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_true(changed != MAP_FAILED);
    changed[BYTES / 2] = 'c';
    assert_int_equal(mprotect(changed, BYTES, PROT_READ | PROT_EXEC), 0);
    assert_int_equal(clean[0], 'f');
    assert_int_equal(clv_memory_drop_code(1), before + BYTES); /* the clean one's */
    assert_int_equal(clean[BYTES - 1], 'f');
    assert_int_equal(changed[BYTES / 2], 'c');
    assert_int_equal(clv_memory_drop_code(SIZE_MAX), 0);
    munmap(clean, BYTES);
    munmap(changed, BYTES);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_bytes_give_a_pointer),
        cmocka_unit_test(overflowing_products_are_refused),
        cmocka_unit_test(alignment_is_kept),
        cmocka_unit_test(zeroed_is_zero),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(allocations_are_counted),
        cmocka_unit_test(a_failed_realloc_leaves_the_block),
        cmocka_unit_test(arrays_grow_and_fail_unchanged),
        cmocka_unit_test(code_is_dropped_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
