/* Convolutions as large as tensors can be: a variant that fits tells its kernel numbers that hold
 * what they should. Nothing is run, and no tensor is there. */
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/conv/conv_blocked_params.h"
#include "kernels_cl/conv/conv_winograd_params.h"
#include "tests/support/check.h"
#include <string.h>

typedef struct recorder {
    uint32_t num_buffers;
    size_t num_launches;
} recorder;

static void check_blocked(const clv_blocked *b) {
    assert_true(b->image == (clv_u64)b->plane * b->planes);
    assert_true(b->plane == (clv_u64)b->row * (b->height + b->gap_rows));
    assert_true(b->image <= INT32_MAX);
    assert_true(b->lead <= b->image);
}

static clv_status *launch(void *context, const clv_launch *l) {
    recorder *r = context;
    r->num_launches++;
    assert_true(l->num_items > 0 && l->num_items <= INT32_MAX);
    if (strcmp(l->source->name, "conv_blocked") == 0) {
        conv_blocked_params p;
        assert_int_equal(l->params_bytes, sizeof p);
        memcpy(&p, l->params, sizeof p);
        check_blocked(&p.in);
        check_blocked(&p.out);
        assert_true(p.weight_block == (clv_u64)p.weight_input * p.group_in);
        assert_true(p.weight_group == p.weight_block * p.blocks);
    } else if (strcmp(l->source->name, "conv_winograd") == 0) {
        conv_winograd_params p;
        assert_int_equal(l->params_bytes, sizeof p);
        memcpy(&p, l->params, sizeof p);
        check_blocked(&p.in);
        check_blocked(&p.out);
        assert_true((clv_u64)p.tiles <= (clv_u64)p.part * p.parts);
    }
    return NULL;
}

static clv_status *scratch(void *context, size_t bytes, uint32_t *out_index) {
    recorder *r = context;
    assert_true(bytes < (size_t)1 << 40);
    *out_index = r->num_buffers++;
    return NULL;
}

static clv_status *constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    recorder *r = context;
    assert_true(packing->bytes < (size_t)1 << 40);
    assert_true(packing->fill_part == NULL || packing->bytes % (size_t)packing->num_parts == 0);
    *out_index = r->num_buffers++;
    return NULL;
}

typedef struct edge {
    int64_t in, out, height, width, kernel_y, kernel_x, pad;
} edge;

/* Which variants fit, as bits. */
static uint32_t emit_all(const edge *e) {
    static const float weights[1] = {0};
    const clv_traits traits = {
        .is_cpu = true, .simd_bytes = 64, .num_lanes = 2, .cache_bytes = 1 << 20};
    const clv_conv_params params = {
        .window =
            {.rank = 2,
             .kernel = {1, e->kernel_y, e->kernel_x},
             .stride = {1, 1, 1},
             .dilation = {1, 1, 1},
             .pad_begin = {0, e->pad, e->pad},
             .pad_end = {0, e->pad, e->pad}},
        .groups = 1,
        .shuffle = 1,
    };
    const clv_view plain[] = {
        {.dtype = CLV_FLOAT32, .shape = {.rank = 4, .dims = {1, e->in, e->height, e->width}}},
        {.dtype = CLV_FLOAT32,
         .shape = {.rank = 4, .dims = {e->out, e->in, e->kernel_y, e->kernel_x}},
         .data = weights}};
    const clv_view out = {
        .dtype = CLV_FLOAT32,
        .shape = {
            .rank = 4,
            .dims = {
                1, e->out, e->height + 2 * e->pad - e->kernel_y + 1,
                e->width + 2 * e->pad - e->kernel_x + 1}}};
    uint32_t fitting = 0;
    for (size_t i = 0; i < clv_kernels_conv.num_variants; i++) {
        const clv_variant *variant = &clv_kernels_conv.variants[i];
        clv_view inputs[2], output = out;
        memcpy(inputs, plain, sizeof plain);
        const clv_call call = {
            .params = &params,
            .inputs = inputs,
            .num_inputs = 2,
            .outputs = &output,
            .num_outputs = 1};
        if (!clv_variant_fits(variant, &call, &traits)) {
            continue;
        }
        fitting |= 1u << i;
        if (variant->layouts != NULL) {
            clv_layout layouts[2] = {{0}};
            variant->layouts(&call, &traits, layouts, &output.layout);
            inputs[0].layout = layouts[0];
        }
        int32_t tunables[CLV_MAX_TUNABLES];
        recorder r = {0};
        const clv_emitter emitter = {&r, launch, scratch, constant};
        const clv_way way = {variant, 0};
        clv_way_tunables(&way, tunables);
        assert_ok(variant->emit(&call, &traits, tunables, &emitter));
        assert_true(r.num_launches > 0);
    }
    return fitting;
}

static uint32_t variant_named(const char *name) {
    for (size_t i = 0; i < clv_kernels_conv.num_variants; i++) {
        if (strcmp(clv_kernels_conv.variants[i].name, name) == 0) {
            return 1u << i;
        }
    }
    fail_msg("no variant '%s'", name);
    return 0;
}

static void test_edges(void **state) {
    (void)state;
    const uint32_t blocked = variant_named("blocked");
    /* weights of one block of channels at all taps: 2^31 elements with the widest tile */
    assert_true((emit_all(&(edge){16, 16, 1500, 1500, 1000, 1000, 0}) & blocked) != 0);
    assert_true((emit_all(&(edge){16, 16, 4200, 4200, 4096, 4096, 0}) & blocked) == 0);
    assert_true((emit_all(&(edge){16, 16, 1500, 2500, 1024, 1024, 0}) & blocked) == 0);
    assert_true((emit_all(&(edge){16, 128, 3000, 1500, 2100, 1000, 0}) & blocked) == 0);
    /* maps with their gaps: below and above 2^31 elements */
    assert_true((emit_all(&(edge){16, 16, 7900, 7900, 3, 3, 1}) & blocked) != 0);
    assert_true((emit_all(&(edge){16, 16, 11500, 11500, 3, 3, 1}) & blocked) == 0);
    assert_true((emit_all(&(edge){3, 16, 11300, 11300, 7, 7, 3}) & 1) != 0);
    assert_true((emit_all(&(edge){2000000000, 1, 1, 1, 1, 1, 0}) & blocked) == 0);
    assert_true((emit_all(&(edge){1, 100000, 100, 200, 1, 1, 0}) & 1) != 0);
    (void)emit_all(&(edge){16, 16, 1, 120000000, 1, 3, 0});
    (void)emit_all(&(edge){64, 64, 2000, 16000, 3, 3, 1});
    (void)emit_all(&(edge){3, 32, 8000, 8000, 3, 3, 1});
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
