#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "host/base/memory.h"
#include "host/base/name_map.h"
#include <stdio.h>

enum { NUM_NAMES = 1000 };

static void names_are_found_with_their_values(void **state) {
    (void)state;
    static char names[NUM_NAMES][16];
    clv_name_map map;
    clv_name_map_init(&map);
    assert_null(clv_name_map_find(&map, "name0"));
    for (uint32_t i = 0; i < NUM_NAMES; i++) {
        snprintf(names[i], sizeof names[i], "name%u", (unsigned)i);
        assert_true(clv_name_map_set(&map, names[i], i));
    }
    assert_int_equal(map.count, NUM_NAMES);
    for (uint32_t i = 0; i < NUM_NAMES; i++) {
        char copy[16];
        snprintf(copy, sizeof copy, "name%u", (unsigned)i);
        uint32_t *value = clv_name_map_find(&map, copy);
        assert_non_null(value);
        assert_int_equal(*value, i);
    }
    assert_null(clv_name_map_find(&map, "name1000"));
    assert_null(clv_name_map_find(&map, ""));
    assert_true(clv_name_map_set(&map, "name7", 70)); /* replaces */
    assert_int_equal(map.count, NUM_NAMES);
    assert_int_equal(*clv_name_map_find(&map, "name7"), 70);
    assert_true(clv_name_map_set(&map, "", 5));
    assert_int_equal(*clv_name_map_find(&map, ""), 5);
    clv_name_map_deinit(&map);
}

static void unique_names_are_numbered(void **state) {
    (void)state;
    clv_name_map map;
    clv_arena arena;
    clv_name_map_init(&map);
    clv_arena_init(&arena, 0);
    assert_string_equal(clv_name_map_make_unique(&map, &arena, "a"), "a");
    assert_string_equal(clv_name_map_make_unique(&map, &arena, "a#3"), "a#3");
    assert_string_equal(clv_name_map_make_unique(&map, &arena, "a"), "a#2");
    assert_string_equal(clv_name_map_make_unique(&map, &arena, "a"), "a#4"); /* #3 is taken */
    assert_string_equal(clv_name_map_make_unique(&map, &arena, "a#2"), "a#2#2");
    clv_name_map_deinit(&map);
    clv_arena_deinit(&arena);
}

static void failed_growth_changes_nothing(void **state) {
    (void)state;
    static char names[64][8];
    clv_name_map map;
    clv_name_map_init(&map);
    for (uint32_t i = 0; i < 64; i++) {
        snprintf(names[i], sizeof names[i], "n%u", (unsigned)i);
        size_t count = map.count;
        clv_memory_fail_at(0);
        bool added = clv_name_map_set(&map, names[i], i);
        clv_memory_fail_at(-1);
        if (!added) {
            assert_int_equal(map.count, count);
            assert_null(clv_name_map_find(&map, names[i]));
            assert_true(clv_name_map_set(&map, names[i], i));
        }
        for (uint32_t k = 0; k <= i; k++) {
            assert_int_equal(*clv_name_map_find(&map, names[k]), k);
        }
    }
    clv_name_map_deinit(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_with_their_values),
        cmocka_unit_test(unique_names_are_numbered),
        cmocka_unit_test(failed_growth_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
