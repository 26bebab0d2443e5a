/* How recurrent operators are dealt to lanes: who does which sequences, and when all lanes work at
 * each step. Nothing is run. */
#include "kernels_cl/kernel.h"
#include "kernels_cl/recurrent/recurrent.h"
#include "tests/support/check.h"
#include <math.h>
#include <string.h>

typedef struct dealt {
    recurrent_params params; /* of the last launch that makes steps */
    uint64_t num_items;
    uint32_t num_buffers;
} dealt;

static clv_status *launch(void *context, const clv_launch *l) {
    dealt *d = context;
    if (strcmp(l->entry, "recurrent_packed") == 0) {
        assert_int_equal(l->params_bytes, sizeof d->params);
        memcpy(&d->params, l->params, sizeof d->params);
        d->num_items = l->num_items;
    }
    return NULL;
}

static clv_status *scratch(void *context, size_t bytes, uint32_t *out_index) {
    (void)bytes;
    *out_index = ((dealt *)context)->num_buffers++;
    return NULL;
}

static clv_status *constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    (void)packing;
    *out_index = ((dealt *)context)->num_buffers++;
    return NULL;
}

static const clv_variant *find_variant(const char *name) {
    for (size_t i = 0; i < clv_kernels_recurrent.num_variants; i++) {
        if (strcmp(clv_kernels_recurrent.variants[i].name, name) == 0) {
            return &clv_kernels_recurrent.variants[i];
        }
    }
    fail();
    return NULL;
}

/* An LSTM's share of each item by the variant; out_pays: whether `steps` does. */
static dealt deal(
    const char *variant, int32_t directions, int64_t batch, int64_t hidden, uint32_t lanes,
    bool *out_pays) {
    static const float weights[1] = {0};
    const clv_traits traits = {.is_cpu = true, .simd_bytes = 64, .num_lanes = lanes};
    const clv_recurrent params = {
        .hidden = hidden,
        .kind = RECURRENT_LSTM,
        .directions = directions,
        .is_projected = true,
        .clip = INFINITY};
    const int64_t rows = 4 * hidden;
    const clv_view inputs[] = {
        {.dtype = CLV_FLOAT32, .shape = {.rank = 3, .dims = {9, batch, directions * rows}}},
        {.dtype = CLV_DTYPE_NONE},
        {.dtype = CLV_FLOAT32,
         .shape = {.rank = 3, .dims = {directions, rows, hidden}},
         .data = weights}};
    const clv_view output = {
        .dtype = CLV_FLOAT32, .shape = {.rank = 4, .dims = {9, directions, batch, hidden}}};
    const clv_call call = {
        .params = &params, .inputs = inputs, .num_inputs = 3, .outputs = &output, .num_outputs = 1};
    dealt d = {.num_items = 0};
    const clv_emitter emitter = {
        .context = &d, .launch = launch, .scratch = scratch, .constant = constant};
    assert_ok(find_variant(variant)->emit(&call, &traits, NULL, &emitter));
    *out_pays = find_variant("steps")->pays(&call, &traits);
    return d;
}

/* Each lane has sequences while there are as many as lanes, and as few as that allows. */
static void sequences_are_dealt_to_all_lanes(void **state) {
    static const struct {
        int32_t directions;
        int64_t batch;
        uint32_t lanes, items, rows;
    } cases[] = {
        {1, 1, 2, 1, 1}, {1, 2, 2, 2, 1}, {1, 4, 2, 2, 2}, {1, 5, 2, 2, 4},  {1, 8, 2, 2, 4},
        {2, 4, 2, 2, 4}, {2, 4, 4, 4, 2}, {1, 4, 8, 4, 1}, {1, 16, 2, 2, 8}, {1, 4, 1, 1, 4},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool pays;
        const dealt d =
            deal("sequence", cases[i].directions, cases[i].batch, 64, cases[i].lanes, &pays);
        assert_int_equal(d.num_items, cases[i].items);
        assert_int_equal(d.params.rows_per_item, cases[i].rows);
        assert_true(d.params.row_items * d.params.rows_per_item >= cases[i].batch);
        assert_int_equal(d.num_items, (uint64_t)d.params.row_items * (uint64_t)cases[i].directions);
    }
}

/* Lanes meet at each step for large matrices that few sequences share, and only there. */
static void lanes_meet_at_each_step_where_it_pays(void **state) {
    static const struct {
        int32_t directions;
        int64_t batch, hidden;
        uint32_t lanes;
        bool pays;
    } cases[] = {
        {1, 1, 128, 2, false}, {1, 1, 256, 2, true},  {1, 4, 128, 2, false}, {1, 4, 512, 2, true},
        {1, 8, 512, 2, false}, {2, 1, 512, 2, false}, {2, 1, 512, 4, true},  {1, 1, 512, 1, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool pays;
        const dealt d = deal(
            "steps", cases[i].directions, cases[i].batch, cases[i].hidden, cases[i].lanes, &pays);
        assert_int_equal(pays, cases[i].pays);
        assert_int_equal(d.params.step_end - d.params.step_begin, 1);
        assert_true(d.num_items >= cases[i].lanes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_are_dealt_to_all_lanes),
        cmocka_unit_test(lanes_meet_at_each_step_where_it_pays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
