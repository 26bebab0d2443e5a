/* Blocked layouts: sizes, where elements lie, and the zeros around them. */
#include "host/ir/layout.h"
#include "tests/support/check.h"
#include <stdlib.h>
#include <string.h>

static const clv_layout plain;

static void extents_are_as_documented(void **state) {
    (void)state;
    const clv_shape shape = {.rank = 4, .dims = {2, 20, 3, 5}};
    const clv_layout layout = {.block = 16, .gap_y = 1, .gap_x = 2};
    clv_layout_extents e;
    clv_layout_extents_of(&shape, &layout, &e);
    assert_int_equal(e.planes, 2);
    assert_int_equal(e.row, (5 + 2) * 16);
    assert_int_equal(e.plane, (3 + 1) * e.row);
    assert_int_equal(e.image, 2 * e.plane);
    assert_int_equal(e.lead, e.row + 2 * 16);
    assert_int_equal(e.total, e.lead + 2 * e.image);
    assert_int_equal(
        clv_layout_bytes(CLV_FLOAT32, &shape, &layout),
        (size_t)(e.total + CLV_LAYOUT_SLACK * 16) * sizeof(float));
    assert_int_equal(clv_layout_bytes(CLV_FLOAT32, &shape, &plain), 2 * 20 * 3 * 5 * 4);
}

/* Every element comes back, and everything else is zero. */
static void pack_and_unpack(void **state) {
    (void)state;
    static const clv_shape shapes[] = {
        {.rank = 4, .dims = {2, 20, 3, 5}},
        {.rank = 4, .dims = {1, 1, 1, 1}},
        {.rank = 4, .dims = {3, 16, 2, 1}},
        {.rank = 3, .dims = {2, 9, 7}},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (int gap = 0; gap < 3; gap++) {
            const clv_layout layout = {
                .block = gap == 1 ? 8 : 16, .gap_y = (uint8_t)gap, .gap_x = (uint8_t)(2 - gap)};
            size_t count = (size_t)clv_shape_elements(&shapes[s]);
            clv_layout_extents e;
            clv_layout_extents_of(&shapes[s], &layout, &e);
            float *from = calloc(count, sizeof *from), *back = calloc(count, sizeof *back);
            float *blocked = malloc(clv_layout_bytes(CLV_FLOAT32, &shapes[s], &layout));
            assert_non_null(from);
            assert_non_null(back);
            assert_non_null(blocked);
            for (size_t i = 0; i < count; i++) {
                from[i] = (float)(i + 1);
            }
            memset(blocked, 0xff, clv_layout_bytes(CLV_FLOAT32, &shapes[s], &layout));
            clv_layout_pack(&shapes[s], &layout, from, blocked);
            clv_layout_unpack(&shapes[s], &layout, blocked, back);
            assert_memory_equal(from, back, count * sizeof *from);
            size_t num_elements = 0;
            for (int64_t i = 0; i < e.total; i++) {
                num_elements += blocked[i] != 0 ? 1 : 0;
            }
            assert_int_equal(num_elements, count);
            free(from);
            free(back);
            free(blocked);
        }
    }
}

static void what_can_be_blocked(void **state) {
    (void)state;
    const clv_layout layout = {.block = 16, .gap_y = 1, .gap_x = 1};
    const clv_shape map = {.rank = 4, .dims = {1, 3, 8, 8}};
    const clv_shape matrix = {.rank = 2, .dims = {4, 4}}, empty = {.rank = 4, .dims = {1, 3, 0, 8}};
    const clv_shape large = {.rank = 4, .dims = {1, 1, 16384, 16384}};
    assert_true(clv_layout_fits(CLV_FLOAT32, &map, &layout));
    assert_false(clv_layout_fits(CLV_UINT8, &map, &layout));
    assert_false(clv_layout_fits(CLV_FLOAT32, &matrix, &layout));
    assert_false(clv_layout_fits(CLV_FLOAT32, &empty, &layout));
    assert_false(clv_layout_fits(CLV_FLOAT32, &large, &layout)); /* sixteen times as large */
}

static void the_same_memory(void **state) {
    (void)state;
    const clv_layout tight = {.block = 16}, gap = {.block = 16, .gap_x = 1}, other = {.block = 8};
    const clv_shape point = {.rank = 4, .dims = {2, 32, 1, 1}};
    const clv_shape odd = {.rank = 4, .dims = {2, 30, 1, 1}}, map = {.rank = 3, .dims = {1, 32, 2}};
    assert_true(clv_layout_is_same_memory(&map, &plain, &plain));
    assert_true(clv_layout_is_same_memory(&map, &gap, &gap));
    assert_true(clv_layout_is_same_memory(&point, &plain, &tight));
    assert_true(clv_layout_is_same_memory(&point, &tight, &plain));
    assert_false(clv_layout_is_same_memory(&point, &plain, &gap));
    assert_false(clv_layout_is_same_memory(&odd, &plain, &tight));
    assert_false(clv_layout_is_same_memory(&map, &plain, &tight));
    assert_false(clv_layout_is_same_memory(&map, &tight, &other));
    assert_false(clv_layout_is_same_memory(&map, &tight, &gap));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extents_are_as_documented),
        cmocka_unit_test(pack_and_unpack),
        cmocka_unit_test(what_can_be_blocked),
        cmocka_unit_test(the_same_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
