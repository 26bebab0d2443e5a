/* Every split of every op is exact: split_check.h tells what that means. */
#include "tests/conformance/split_check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static clv_status *try_case(const clv_case *source, clv_random *random, size_t *num_splits) {
    clv_case_data data;
    clv_mutable_view *whole = NULL;
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_case_init(source, 7, &data));
    CLV_TRY_DONE(clv_case_infer(&data));
    CLV_TRY_DONE(clv_case_outputs(&data.arena, &data.call, &whole));
    CLV_TRY_DONE(data.call.op->reference(&data.call, whole));
    CLV_TRY_DONE(clv_case_check_splits(&data, whole, random, num_splits));
done:
    clv_case_deinit(&data);
    return status;
}

static void splits_are_exact(void **state) {
    (void)state;
    size_t num_splits = 0, num_failures = 0;
    clv_random random;
    clv_random_init(&random, 99);
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        for (size_t i = 0; i < list->num_cases; i++) {
            if (list->cases[i].error != CLV_OK) {
                continue;
            }
            char label[256];
            clv_status *status = try_case(&list->cases[i], &random, &num_splits);
            if (status != NULL) {
                print_error(
                    "%s\n    %s\n%s", clv_case_label(&list->cases[i], label),
                    clv_status_message(status), clv_status_trail(status));
                clv_status_destroy(status);
                num_failures++;
            }
        }
    }
    print_message("%zu splits\n", num_splits);
    assert_int_equal(num_failures, 0);
}

/* Which axes can be cut, bit i: axis i. Movers of data cut by fewer put together what others had
 * cut, on one unit. */
static const struct {
    clv_case source;
    uint32_t axes;
} wanted_axes[] = {
    {{"Concat", "f32[2,32,4,5] f32[2,16,4,5]", "axis=1"}, 0xf},
    {{"Concat", "i64[3,3] i64[3,2] i64[3,4]", "axis=-1"}, 0x3},
    {{"Slice", "f32[5,6,7] i64[2]{1,2} i64[2]{5,6} i64[2]{0,2} i64[2]{1,2}"}, 0x7},
    {{"Pad", "f32[2,3,4] i64[6]{0,1,2,0,3,1}"}, 0x7},
    {{"CenterCropPad", "f32[4,9] i64[2]{7,5}"}, 0x3},
    {{"Resize", "f32[1,2,7,9] - f32[4]{1,1,2.2857143,0.5555556}", "mode=linear"}, 0xe},
    {{"MaxPool", "f32[1,4,1,20]", "kernel_shape=[1,3] strides=[1,2]"}, 0xa},
    {{"AveragePool", "f32[2,4,9,9]", "kernel_shape=[3,3] pads=[1,1,1,1]"}, 0x7},
    {{"Conv", "f32[1,3,1,20] f32[4,3,1,5]", "pads=[0,2,0,2]"}, 0xa},
    {{"ConvTranspose", "f32[1,3,1,20] f32[3,4,1,4]", "strides=[1,2]"}, 0xa},
};

/* Bit i: axis i is cut; and by what axis 1 is, 0 where it is not. */
static clv_status *find_splits(const clv_case *source, uint32_t *out_axes, int64_t *out_grain) {
    clv_case_data data;
    clv_split_list list = {0};
    clv_status *status = NULL;
    *out_axes = 0;
    *out_grain = 0;
    CLV_TRY_DONE(clv_case_init(source, 7, &data));
    CLV_TRY_DONE(clv_case_infer(&data));
    CLV_TRY_DONE(clv_call_splits(&data.call, &data.arena, &list));
    for (size_t i = 0; i < list.num_splits; i++) {
        *out_axes |= list.splits[i].axis >= 0 ? 1u << list.splits[i].axis : 0;
        *out_grain = list.splits[i].axis == 1 ? list.splits[i].grain : *out_grain;
    }
done:
    clv_case_deinit(&data);
    return status;
}

static void movers_are_cut_by_all_axes(void **state) {
    (void)state;
    clv_random random;
    clv_random_init(&random, 5);
    for (size_t i = 0; i < sizeof wanted_axes / sizeof *wanted_axes; i++) {
        const clv_case *source = &wanted_axes[i].source;
        uint32_t axes;
        int64_t grain;
        size_t num_splits = 0;
        clv_status *status = find_splits(source, &axes, &grain);
        status = status != NULL ? status : try_case(source, &random, &num_splits);
        if (status != NULL || axes != wanted_axes[i].axes) {
            fail_msg(
                "%s '%s': axes %x are cut, not %x: %s", source->op, source->inputs, axes,
                wanted_axes[i].axes, status != NULL ? clv_status_message(status) : "");
        }
    }
}

/* Where all of a network's maps are cut alike, in whole blocks of channels, pieces need nothing of
 * each other's. */
static const struct {
    clv_case source;
    int64_t grain; /* of axis 1 */
} wanted_grains[] = {
    {{"Conv", "f32[1,8,9,9] f32[48,8,3,3]"}, 16},
    {{"Conv", "f32[1,48,9,9] f32[48,1,3,3]", "group=48"}, 16},
    {{"Conv", "f32[1,64,9,9] f32[64,4,3,3]", "group=16"}, 16},
    {{"Conv", "f32[1,72,9,9] f32[72,24,3,3]", "group=3"}, 24},
    {{"Conv", "f32[1,12,9,9] f32[12,1,3,3]", "group=12"}, 1},
    {{"ConvTranspose", "f32[1,48,9,9] f32[48,1,3,3]", "group=48"}, 16},
    {{"GroupNormalization", "f32[1,64,5,5] f32[64] f32[64]", "num_groups=8"}, 16},
    {{"GroupNormalization", "f32[1,60,5,5] f32[60] f32[60]", "num_groups=3"}, 20},
    {{"InstanceNormalization", "f32[1,40,5,5] f32[40] f32[40]"}, 16},
    {{"BatchNormalization", "f32[1,40,5,5] f32[40] f32[40] f32[40] f32[40]~0.5:1"}, 16},
    {{"Resize", "f32[1,40,7,9] - f32[4]{1,1,2,2}", "mode=linear"}, 16},
    {{"Pad", "f32[1,40,4,5] i64[8]{0,0,1,1,0,0,1,1}"}, 16},
    {{"MaxPool", "f32[1,40,9,9]", "kernel_shape=[3,3]"}, 16},
    {{"Relu", "f32[1,40,9,9]"}, 16},
};

static void maps_are_cut_alike(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wanted_grains / sizeof *wanted_grains; i++) {
        const clv_case *source = &wanted_grains[i].source;
        uint32_t axes;
        int64_t grain;
        clv_status *status = find_splits(source, &axes, &grain);
        if (status != NULL || grain != wanted_grains[i].grain) {
            fail_msg(
                "%s '%s': channels are cut by %lld, not %lld: %s", source->op, source->inputs,
                (long long)grain, (long long)wanted_grains[i].grain,
                status != NULL ? clv_status_message(status) : "");
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_are_exact),
        cmocka_unit_test(movers_are_cut_by_all_axes),
        cmocka_unit_test(maps_are_cut_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
