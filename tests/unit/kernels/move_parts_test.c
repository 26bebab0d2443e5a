/* Concatenation in blocks of channels: how many launches it takes, each of which all lanes wait
 * for. Nothing is run. */
#include "kernels_cl/move/move.h"
#include "tests/support/check.h"
#include <string.h>

enum { MOST_PARTS = 6, ROWS = 2, CHANNELS = 1 };

static clv_status *count_launch(void *context, const clv_launch *launch) {
    assert_true(launch->num_items > 0);
    ++*(size_t *)context;
    return NULL;
}

static size_t count_launches(int axis, size_t num_parts) {
    const clv_traits traits = {.is_cpu = true, .simd_bytes = 64, .num_lanes = 2};
    const clv_move_op op = {.kind = CLV_MOVE_CONCAT, .axis = axis};
    clv_view inputs[MOST_PARTS],
        output = {.dtype = CLV_FLOAT32, .shape = {.rank = 4, .dims = {1, 10, 14, 14}}};
    for (size_t i = 0; i < num_parts; i++) {
        inputs[i] = output;
    }
    output.shape.dims[axis] *= (int64_t)num_parts;
    const clv_call call = {
        .params = &op,
        .inputs = inputs,
        .num_inputs = num_parts,
        .outputs = &output,
        .num_outputs = 1};
    size_t num_launches = 0;
    const clv_emitter emitter = {.context = &num_launches, .launch = count_launch};
    assert_true(clv_move_blocked_fits(&call, &traits));
    clv_layout layouts[MOST_PARTS] = {{0}};
    clv_move_blocked_layouts(&call, &traits, layouts, &output.layout);
    for (size_t i = 0; i < num_parts; i++) {
        inputs[i].layout = layouts[i];
    }
    assert_ok(clv_move_blocked_emit(&call, &traits, NULL, &emitter));
    return num_launches;
}

static void test_channels_share_launches(void **state) {
    (void)state;
    assert_int_equal(count_launches(CHANNELS, 1), 1);
    assert_int_equal(count_launches(CHANNELS, 2), 1);
    assert_int_equal(count_launches(CHANNELS, 4), 1);
    assert_int_equal(count_launches(CHANNELS, 6), 2);
}

static void test_rows_have_one_each(void **state) {
    (void)state;
    assert_int_equal(count_launches(ROWS, 3), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels_share_launches),
        cmocka_unit_test(test_rows_have_one_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
