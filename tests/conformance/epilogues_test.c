/* Random epilogues behind every case of the operators that take them: each variant's store, or the
 * launch that follows it, against the reference; and every split of a call that has one. */
#include "host/base/random.h"
#include "host/ops/pointwise.h"
#include "kernels_cl/elementwise/elementwise.h"
#include "tests/conformance/case.h"
#include "tests/conformance/split_check.h"
#include "tests/support/kernel_runner.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PER_CASE = 3, MAX_INPUTS = 8 };

static const uint32_t unary_ops[] = {
    EW_FLOAT_RELU,     EW_FLOAT_CLIP,      EW_FLOAT_LEAKY_RELU, EW_FLOAT_SIGMOID,
    EW_FLOAT_TANH,     EW_FLOAT_SWISH,     EW_FLOAT_HARD_SWISH, EW_FLOAT_HARD_SIGMOID,
    EW_FLOAT_GELU,     EW_FLOAT_GELU_TANH, EW_FLOAT_ELU,        EW_FLOAT_MISH,
    EW_FLOAT_SOFTPLUS, EW_FLOAT_AFFINE,    EW_FLOAT_ABS,
};

typedef struct drawn {
    clv_epilogue epilogue;
    clv_ew_expr expr;
    clv_view inputs[MAX_INPUTS];
    clv_call call;
    char text[256];
    size_t num_variants; /* that did it in their store */
} drawn;

static const void *make_data(clv_random *random, clv_arena *arena, const clv_shape *shape) {
    float *data = clv_arena_alloc(arena, (size_t)clv_shape_elements(shape) + 1, sizeof *data);
    assert_non_null(data);
    for (int64_t i = 0; i < clv_shape_elements(shape); i++) {
        data[i] = (float)clv_random_normal(random);
    }
    return data;
}

/* One value for each channel, or the output's shape. */
static uint32_t add_operand(drawn *d, clv_random *random, clv_arena *arena, bool is_whole) {
    const clv_shape *out = &d->call.outputs[0].shape;
    int channel = strstr(d->call.op->name, "Conv") != NULL ? 1 : out->rank - 1;
    clv_shape shape = *out;
    for (int i = 0; i < shape.rank && !is_whole; i++) {
        shape.dims[i] = i == channel ? shape.dims[i] : 1;
    }
    size_t at = d->call.num_inputs++;
    d->inputs[at] = (clv_view){.dtype = CLV_FLOAT32, .shape = shape};
    d->inputs[at].data = make_data(random, arena, &shape);
    return (uint32_t)(at - d->epilogue.first_input) + 1;
}

static void draw_steps(drawn *d, clv_random *random, clv_arena *arena) {
    uint32_t now = 0, num_steps = 1 + (uint32_t)clv_random_below(random, 4);
    bool has_whole = false, has_channel = false;
    for (uint32_t s = 0; s < num_steps; s++) {
        bool adds = clv_random_below(random, 2) == 0, is_whole = clv_random_below(random, 2) == 0;
        uint32_t op = unary_ops[clv_random_below(random, sizeof unary_ops / sizeof *unary_ops)];
        if (s != 1 && clv_random_below(random, 3) == 0) { /* on both sides of an activation */
            op = EW_FLOAT_AFFINE;
        }
        if (adds && !(is_whole ? has_whole : has_channel)) {
            *(is_whole ? &has_whole : &has_channel) = true;
            uint32_t other = add_operand(d, random, arena, is_whole);
            bool swaps = clv_random_below(random, 2) == 0;
            now = clv_ew_add(&d->expr, EW_FLOAT_ADD, swaps ? other : now, swaps ? now : other, 0);
        } else {
            now = clv_ew_add(&d->expr, op, now, 0, 0);
            d->expr.steps[s].a =
                op == EW_FLOAT_CLIP ? -0.5f : 0.5f + (float)clv_random_unit(random);
            d->expr.steps[s].b =
                op == EW_FLOAT_AFFINE && clv_random_below(random, 2) == 0 ? 0 : 0.75f;
        }
        size_t length = strlen(d->text);
        snprintf(
            d->text + length, sizeof d->text - length, "%s ",
            clv_ew_op_find(CLV_EW_FLOAT, d->expr.steps[s].op)->name);
    }
}

static void draw(drawn *d, clv_random *random, clv_case_data *data) {
    *d = (drawn){.expr = {.domain = CLV_EW_FLOAT}, .call = data->call};
    size_t own = (size_t)data->call.op->max_inputs;
    memcpy(d->inputs, data->call.inputs, data->call.num_inputs * sizeof d->inputs[0]);
    d->epilogue = (clv_epilogue){.expr = &d->expr, .first_input = (uint32_t)own, .text = d->text};
    d->call.inputs = d->inputs;
    d->call.num_inputs = own;
    draw_steps(d, random, &data->arena);
    d->call.epilogue = &d->epilogue;
}

static double rms(const clv_mutable_view *view) {
    double sum = 0;
    int64_t count = clv_shape_elements(&view->shape);
    for (int64_t i = 0; i < count; i++) {
        double value = clv_load_double(view->dtype, view->data, i);
        sum += value * value;
    }
    return sqrt(sum / (double)(count > 0 ? count : 1));
}

/* How much larger errors of the operator's own result may be, counted by the result's magnitude,
 * where that becomes small: slopes of a chain stay below 4. */
static clv_status *find_growth(
    const clv_call *call, clv_arena *arena, const clv_mutable_view *want, double *out_growth) {
    const clv_call bare = clv_call_bare(call);
    clv_mutable_view *own = NULL;
    CLV_TRY(clv_case_outputs(arena, &bare, &own));
    CLV_TRY(clv_call_reference(&bare, own));
    *out_growth = 1 + 4 * rms(own) / (rms(want) + 1e-30);
    return NULL;
}

static clv_status *run_variants(
    drawn *d, clv_case_data *data, clv_test_device *device, uint64_t seed,
    const clv_mutable_view *want) {
    const clv_kernel_family *family = d->call.op->kernels;
    double growth = 1;
    CLV_TRY(find_growth(&d->call, &data->arena, want, &growth));
    for (size_t v = 0; v < family->num_variants; v++) {
        clv_mutable_view *got = NULL;
        clv_test_run run = {
            .call = &d->call,
            .variant = &family->variants[v],
            .traits = clv_test_device_traits(device),
            .constants = ~1u,
            .seed = seed,
        };
        for (size_t i = d->epilogue.first_input; i < d->call.num_inputs; i++) {
            bool is_whole = clv_shape_equal(&d->inputs[i].shape, &d->call.outputs[0].shape);
            run.constants &= is_whole ? ~(1u << i) : ~0u;
        }
        if (!clv_test_variant_fits(&d->call, run.constants, run.variant, &run.traits)) {
            continue;
        }
        CLV_TRY(clv_case_outputs(&data->arena, &d->call, &got));
        run.outputs = got;
        CLV_TRY(clv_status_prefix(clv_test_kernels_run(device, &run), "%s", run.variant->name));
        double error = (double)run.variant->error;
        double slack = error != 0 ? error : data->source->atol != 0 ? data->source->atol : 2e-5;
        CLV_TRY(clv_status_prefix(
            clv_case_compare("output", &got[0], &want[0], 2e-5, slack * growth), "%s",
            run.variant->name));
        d->num_variants += run.variant->takes_epilogue != NULL &&
                           run.variant->takes_epilogue(&d->call, &run.traits);
    }
    return NULL;
}

static size_t try_case(
    const clv_case *source, clv_random *random, clv_test_device **devices, size_t num_devices) {
    clv_case_data data;
    size_t num_native = 0;
    clv_status *status = clv_case_init(source, 1, &data);
    if (status == NULL) {
        status = clv_case_infer(&data);
    }
    for (int i = 0; status == NULL && i < PER_CASE; i++) {
        drawn d;
        clv_mutable_view *want = NULL;
        if (data.call.op->takes_epilogue == NULL || data.call.outputs[0].dtype != CLV_FLOAT32) {
            break;
        }
        draw(&d, random, &data);
        uint64_t seed = clv_random_next(random);
        status = clv_case_outputs(&data.arena, &d.call, &want);
        if (status == NULL) {
            status = clv_call_reference(&d.call, want);
        }
        for (size_t k = 0; status == NULL && k < num_devices; k++) {
            status = run_variants(&d, &data, devices[k], seed, want);
        }
        num_native += d.num_variants;
        if (status != NULL) {
            char label[256];
            print_error("%s then %s\n", clv_case_label(source, label), d.text);
        }
    }
    if (status != NULL) {
        print_error("%s\n", clv_status_message(status));
    }
    assert_null(status);
    clv_case_deinit(&data);
    return num_native;
}

static void stores_and_launches_agree(void **state) {
    (void)state;
    const char *word = getenv("CLEAVE_TEST_SEED");
    uint64_t seed = word != NULL ? strtoull(word, NULL, 10) : 1;
    print_message("CLEAVE_TEST_SEED=%llu\n", (unsigned long long)seed);
    clv_random random;
    clv_random_init(&random, seed);
    clv_test_device **devices = NULL;
    size_t num_devices = 0, num_native = 0;
    assert_null(clv_test_devices_open(NULL, &devices, &num_devices));
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        for (size_t i = 0; i < list->num_cases; i++) {
            const clv_op_def *op = clv_op_find("", list->cases[i].op);
            if (list->cases[i].error == CLV_OK && op != NULL && op->takes_epilogue != NULL) {
                num_native += try_case(&list->cases[i], &random, devices, num_devices);
            }
        }
    }
    clv_test_devices_close(devices, num_devices);
    print_message("%zu runs with the epilogue in the store\n", num_native);
    assert_true(num_native > 60);
}

/* Pieces joined are the whole; sums are not among them. */
static void pieces_have_their_part(void **state) {
    (void)state;
    static const clv_case cases[] = {
        {"Conv", "f32[2,4,6,7] f32[6,4,3,3] f32[6]", "pads=[1,1,1,1]"},
        {"MatMul", "f32[2,5,8] f32[8,6]"},
        {"Gemm", "f32[5,8] f32[6,8] f32[6]", "transB=1"},
        {"Gemm", "f32[1,8] f32[6,8] f32[6]", "transB=1"},
    };
    clv_random random;
    clv_random_init(&random, 7);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clv_case_data data;
        assert_null(clv_case_init(&cases[i], 1, &data));
        assert_null(clv_case_infer(&data));
        for (int k = 0; k < 8; k++) {
            drawn d;
            size_t num_splits = 0;
            clv_mutable_view *whole = NULL;
            draw(&d, &random, &data);
            clv_case_data with = data;
            with.call = d.call;
            with.inputs = d.inputs;
            assert_null(clv_case_outputs(&with.arena, &d.call, &whole));
            assert_null(clv_call_reference(&d.call, whole));
            clv_status *status = clv_case_check_splits(&with, whole, &random, &num_splits);
            data.arena = with.arena;
            if (status != NULL) {
                print_error("%s then %s: %s\n", cases[i].op, d.text, clv_status_message(status));
            }
            assert_null(status);
            assert_true(num_splits > 0);
        }
        clv_case_deinit(&data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_and_launches_agree),
        cmocka_unit_test(pieces_have_their_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
