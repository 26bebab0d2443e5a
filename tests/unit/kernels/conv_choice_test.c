/* Which way of a 3x3 convolution pays where nothing was measured, and what is gone through of a
 * last block of channels. Nothing is run. */
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/conv/conv_blocked_params.h"
#include "kernels_cl/conv/conv_winograd_params.h"
#include "tests/support/check.h"
#include <string.h>

typedef struct fixture {
    clv_conv_params params;
    clv_view inputs[2], output;
    clv_call call;
} fixture;

static const clv_traits traits = {
    .is_cpu = true, .simd_bytes = 64, .num_lanes = 2, .cache_bytes = 1 << 20};

/* Of maps of `extent` squared, padded by 1. */
static void make_call(fixture *f, int64_t in, int64_t out, int64_t extent) {
    static const float weights[1] = {0};
    *f = (fixture){
        .params =
            {.window =
                 {.rank = 2,
                  .kernel = {1, 3, 3},
                  .stride = {1, 1, 1},
                  .dilation = {1, 1, 1},
                  .pad_begin = {0, 1, 1},
                  .pad_end = {0, 1, 1}},
             .groups = 1,
             .shuffle = 1},
        .inputs =
            {{.dtype = CLV_FLOAT32, .shape = {.rank = 4, .dims = {1, in, extent, extent}}},
             {.dtype = CLV_FLOAT32,
              .shape = {.rank = 4, .dims = {out, in, 3, 3}},
              .data = weights}},
        .output = {.dtype = CLV_FLOAT32, .shape = {.rank = 4, .dims = {1, out, extent, extent}}},
    };
    f->call = (clv_call){
        .params = &f->params,
        .inputs = f->inputs,
        .num_inputs = 2,
        .outputs = &f->output,
        .num_outputs = 1};
}

/* The last row that fits and pays, as where nothing was measured. */
static const clv_variant *choose(const clv_call *call) {
    for (size_t i = clv_kernels_conv.num_variants; i-- > 0;) {
        const clv_variant *variant = &clv_kernels_conv.variants[i];
        if (clv_variant_fits(variant, call, &traits) &&
            (variant->pays == NULL || variant->pays(call, &traits))) {
            return variant;
        }
    }
    return NULL;
}

static void assert_choice(int64_t in, int64_t out, int64_t extent, const char *name) {
    fixture f;
    make_call(&f, in, out, extent);
    assert_string_equal(choose(&f.call)->name, name);
}

static void test_winograd_where_its_transforms_pay(void **state) {
    (void)state;
    assert_choice(64, 64, 56, "winograd");
    assert_choice(128, 128, 28, "winograd");
    assert_choice(36, 36, 56, "winograd");
    assert_choice(34, 34, 14, "blocked");
    assert_choice(18, 18, 28, "blocked");
    assert_choice(12, 12, 224, "blocked");
    assert_choice(3, 12, 224, "planar");
}

typedef struct recorder {
    clv_u32 last_in;
    bool is_told; /* by the option that makes programs for it */
} recorder;

static clv_status *on_launch(void *context, const clv_launch *launch) {
    recorder *r = context;
    if (strcmp(launch->entry, "conv_blocked") == 0) {
        r->last_in = ((const conv_blocked_params *)launch->params)->last_in;
    } else if (strcmp(launch->entry, "winograd_output") == 0) {
        r->last_in = ((const conv_winograd_params *)launch->params)->last_in;
    }
    r->is_told = strstr(launch->options, "_PARTIAL=1") != NULL;
    return NULL;
}

static clv_status *on_scratch(void *context, size_t bytes, uint32_t *out_index) {
    (void)context;
    assert_true(bytes > 0);
    *out_index = 0;
    return NULL;
}

static clv_status *on_constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    (void)context;
    assert_true(packing->bytes > 0);
    *out_index = 0;
    return NULL;
}

static void check_last(const char *name, int64_t in, clv_u32 want) {
    for (size_t i = 0; i < clv_kernels_conv.num_variants; i++) {
        const clv_variant *variant = &clv_kernels_conv.variants[i];
        if (strcmp(variant->name, name) == 0) {
            fixture f;
            recorder r = {0};
            clv_layout layouts[2] = {{0}};
            int32_t tunables[CLV_MAX_TUNABLES];
            const clv_way way = {variant, 0};
            const clv_emitter emitter = {&r, on_launch, on_scratch, on_constant};
            make_call(&f, in, 16, 28);
            variant->layouts(&f.call, &traits, layouts, &f.output.layout);
            f.inputs[0].layout = layouts[0];
            clv_way_tunables(&way, tunables);
            assert_ok(variant->emit(&f.call, &traits, tunables, &emitter));
            assert_int_equal(r.last_in, want);
            assert_true(r.is_told == (want < 16));
            return;
        }
    }
    fail_msg("no variant '%s'", name);
}

static void test_channels_that_are_not_there_are_left_out(void **state) {
    (void)state;
    static const char *const names[] = {"blocked", "winograd", "winograd_2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        check_last(names[i], 37, 5);
        check_last(names[i], 9, 9);
        check_last(names[i], 32, 16);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_winograd_where_its_transforms_pay),
        cmocka_unit_test(test_channels_that_are_not_there_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
