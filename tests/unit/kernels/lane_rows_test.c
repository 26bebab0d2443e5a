/* Lanes that share rows share them alike in operators that follow one another, so that a row stays
 * with the core that wrote it. Nothing is run, and no tensor is there. */
#include "kernels_cl/attention/attention.h"
#include "kernels_cl/attention/attention_params.h"
#include "kernels_cl/kernel.h"
#include "kernels_cl/matmul/matmul.h"
#include "kernels_cl/matmul/matmul_params.h"
#include "kernels_cl/norm/norm.h"
#include "kernels_cl/norm/norm_params.h"
#include "tests/support/check.h"
#include <string.h>

/* The first launch. */
typedef struct recorder {
    uint64_t num_items;
    union {
        matmul_params matmul;
        attention_params attention;
        norm_params norm;
        softmax_params softmax;
    } params;
} recorder;

static clv_status *launch(void *context, const clv_launch *l) {
    recorder *r = context;
    assert_true(l->params_bytes <= sizeof r->params);
    memcpy(&r->params, l->params, l->params_bytes);
    r->num_items = l->num_items;
    return NULL;
}

static clv_status *scratch(void *context, size_t bytes, uint32_t *out_index) {
    (void)context;
    (void)bytes;
    *out_index = 0;
    return NULL;
}

static clv_status *constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    (void)context;
    (void)packing;
    *out_index = 0;
    return NULL;
}

static recorder emit(
    const clv_kernel_family *family, const char *variant, const clv_call *call, uint32_t lanes) {
    const clv_traits traits = {
        .is_cpu = true, .simd_bytes = 64, .num_lanes = lanes, .cache_bytes = 1 << 20};
    recorder r = {0};
    const clv_emitter emitter = {&r, launch, scratch, constant};
    for (size_t i = 0; i < family->num_variants; i++) {
        if (strcmp(family->variants[i].name, variant) == 0) {
            int32_t tunables[CLV_MAX_TUNABLES];
            const clv_way way = {&family->variants[i], 0};
            clv_way_tunables(&way, tunables);
            assert_ok(way.variant->emit(call, &traits, tunables, &emitter));
            assert_true(r.num_items > 0);
            return r;
        }
    }
    fail_msg("no variant '%s'", variant);
    return r;
}

/* The first item of lane 1. */
static uint64_t second_lane(const recorder *r, uint32_t lanes) {
    return (r->num_items + lanes - 1) / lanes;
}

static uint64_t matmul_rows(int64_t rows, uint32_t lanes) {
    static const float weights[1] = {0};
    const clv_matmul_params params = {.alpha = 1};
    const clv_view inputs[] = {
        {.dtype = CLV_FLOAT32, .shape = {.rank = 2, .dims = {rows, 192}}},
        {.dtype = CLV_FLOAT32, .shape = {.rank = 2, .dims = {192, 576}}, .data = weights}};
    const clv_view output = {.dtype = CLV_FLOAT32, .shape = {.rank = 2, .dims = {rows, 576}}};
    const clv_call call = {
        .params = &params, .inputs = inputs, .num_inputs = 2, .outputs = &output, .num_outputs = 1};
    const recorder r = emit(&clv_kernels_matmul, "ref", &call, lanes);
    const matmul_params *p = &r.params.matmul;
    assert_true(p->columns_first);
    assert_int_equal(second_lane(&r, lanes) % p->panel_blocks, 0);
    return second_lane(&r, lanes) / p->panel_blocks * p->row_span;
}

static uint64_t attention_rows(int64_t rows, uint32_t lanes, bool is_apart) {
    const clv_attention_params params = {.scale = 1};
    const clv_view input = {.dtype = CLV_FLOAT32, .shape = {.rank = 4, .dims = {1, 3, rows, 64}}};
    const clv_view inputs[] = {input, input, input};
    const clv_call call = {
        .params = &params, .inputs = inputs, .num_inputs = 3, .outputs = &input, .num_outputs = 1};
    const recorder r = emit(&clv_kernels_attention, "tile", &call, lanes);
    const attention_params *p = &r.params.attention;
    if (is_apart) {
        assert_int_equal(second_lane(&r, lanes), (uint64_t)p->part_blocks * p->heads);
    }
    return p->part_rows;
}

static uint64_t norm_rows(int64_t rows, uint32_t lanes) {
    const clv_norm_params params = {.kind = CLV_NORM_LAYER, .axis = 1, .epsilon = 1e-5f};
    const clv_view row = {.dtype = CLV_FLOAT32, .shape = {.rank = 1, .dims = {192}}};
    const clv_view all = {.dtype = CLV_FLOAT32, .shape = {.rank = 2, .dims = {rows, 192}}};
    const clv_view inputs[] = {all, row, row};
    const clv_call call = {
        .params = &params, .inputs = inputs, .num_inputs = 3, .outputs = &all, .num_outputs = 1};
    const recorder r = emit(&clv_kernels_norm, "ref", &call, lanes);
    return second_lane(&r, lanes) * r.params.norm.rows_per_item;
}

static uint64_t softmax_rows(int64_t rows, uint32_t lanes) {
    const clv_softmax_params params = {.axis = 1};
    const clv_view all = {.dtype = CLV_FLOAT32, .shape = {.rank = 2, .dims = {rows, 192}}};
    const clv_call call = {
        .params = &params, .inputs = &all, .num_inputs = 1, .outputs = &all, .num_outputs = 1};
    const recorder r = emit(&clv_kernels_softmax, "ref", &call, lanes);
    return second_lane(&r, lanes) * r.params.softmax.rows_per_item;
}

static void test_rows(void **state) {
    (void)state;
    const struct {
        int64_t rows;
        uint32_t lanes;
        uint64_t own;
    } all[] = {{128, 2, 64}, {197, 2, 100}, {199, 2, 100}, {64, 2, 32}, {297, 3, 100}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(matmul_rows(all[i].rows, all[i].lanes), all[i].own);
        assert_int_equal(attention_rows(all[i].rows, all[i].lanes, true), all[i].own);
        assert_int_equal(norm_rows(all[i].rows, all[i].lanes), all[i].own);
        assert_int_equal(softmax_rows(all[i].rows, all[i].lanes), all[i].own);
    }
}

/* Rows that would leave most of another vector idle are shared in whole blocks. */
static void test_few_rows(void **state) {
    (void)state;
    assert_int_equal(attention_rows(66, 2, false), 64);
    const clv_traits traits = {.is_cpu = true, .num_lanes = 7};
    assert_int_equal(clv_rows_of_lane(&traits, 0), 4);
    assert_int_equal(clv_rows_of_lane(&traits, 29), 8);
    uint32_t per_item = 0;
    assert_int_equal(clv_deal_lane_rows(&traits, 1, 10, &per_item), 1);
    assert_int_equal(per_item, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_few_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
