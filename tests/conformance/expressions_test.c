/* Random chains of elementwise operations as one expression: the kernel, one launch, against the
 * reference. The operators' own tables have one or two steps; fused chains have as many as fit. */
#include "host/base/random.h"
#include "host/ops/pointwise.h"
#include "tests/conformance/case.h"
#include "tests/support/kernel_runner.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NUM_EXPRESSIONS = 150 };

/* Operations that keep numbers small, so that float and double stay close. */
static const uint32_t tame_ops[] = {
    EW_FLOAT_COPY,    EW_FLOAT_CONST, EW_FLOAT_AFFINE, EW_FLOAT_ABS,  EW_FLOAT_NEG,
    EW_FLOAT_RELU,    EW_FLOAT_TANH,  EW_FLOAT_ERF,    EW_FLOAT_ADD,  EW_FLOAT_SUB,
    EW_FLOAT_SIGMOID, EW_FLOAT_MIN,   EW_FLOAT_MAX,    EW_FLOAT_CLIP, EW_FLOAT_SOFTSIGN,
};

/* An input of earlier steps or of the call; half of them the newest result, so that chains grow. */
static uint32_t pick_operand(clv_random *random, uint32_t num_inputs, uint32_t num_steps) {
    if (num_steps > 0 && clv_random_below(random, 2) == 0) {
        return CLV_EW_RESULT + num_steps - 1;
    }
    uint32_t at = (uint32_t)clv_random_below(random, num_inputs + num_steps);
    return at < num_inputs ? at : CLV_EW_RESULT + at - num_inputs;
}

static clv_ew_expr make_expression(clv_random *random, clv_ew_domain domain, uint32_t num_inputs) {
    clv_ew_expr expr = {.domain = domain};
    uint32_t num_steps = 1 + (uint32_t)clv_random_below(random, EW_MAX_STEPS);
    for (uint32_t s = 0; s < num_steps; s++) {
        uint32_t op = (uint32_t)clv_random_below(random, EW_NUM_INT_OPS);
        if (domain == CLV_EW_FLOAT) {
            op = tame_ops[clv_random_below(random, sizeof tame_ops / sizeof tame_ops[0])];
        }
        uint32_t x = pick_operand(random, num_inputs, s);
        uint32_t y = pick_operand(random, num_inputs, s);
        clv_ew_add(&expr, op, x, y, pick_operand(random, num_inputs, s));
        expr.steps[s].a = (float)clv_random_unit(random) - 0.7f;
        expr.steps[s].b = (float)clv_random_unit(random);
        expr.steps[s].k = (int64_t)clv_random_next(random) >> clv_random_below(random, 64);
    }
    return expr;
}

/* `out` with some dimensions 1 and some leading ones left out. */
static clv_shape make_input_shape(clv_random *random, const clv_shape *out) {
    clv_shape shape = {.rank = (int32_t)clv_random_below(random, (uint64_t)out->rank + 1)};
    shape.rank = clv_random_below(random, 2) == 0 ? out->rank : shape.rank;
    bool is_whole = clv_random_below(random, 2) == 0;
    for (int i = 0; i < shape.rank; i++) {
        int64_t dim = out->dims[out->rank - shape.rank + i];
        shape.dims[i] = is_whole || clv_random_below(random, 2) == 0 ? dim : 1;
    }
    return shape;
}

static void *make_data(clv_random *random, clv_arena *arena, const clv_view *view) {
    void *data = clv_arena_alloc(arena, clv_view_bytes(view->dtype, &view->shape) + 1, 1);
    assert_non_null(data);
    for (int64_t i = 0; i < clv_shape_elements(&view->shape); i++) {
        if (view->dtype == CLV_FLOAT32) {
            clv_store_double(view->dtype, data, i, clv_random_normal(random));
        } else {
            uint64_t bits = clv_random_next(random) >> clv_random_below(random, 64);
            clv_store_int64(view->dtype, data, i, (int64_t)bits);
        }
    }
    return data;
}

static clv_status *run_expression(
    clv_test_device *device, bool as_gpu, const clv_call *call, clv_arena *arena, uint64_t seed) {
    clv_mutable_view *want = NULL, *got = NULL;
    CLV_TRY(clv_case_outputs(arena, call, &want));
    CLV_TRY(clv_case_outputs(arena, call, &got));
    CLV_TRY(call->op->reference(call, want));
    clv_test_run run = {
        .call = call,
        .variant = &call->op->kernels->variants[0],
        .traits = clv_test_device_traits(device),
        .seed = seed,
        .outputs = got,
    };
    run.traits.is_cpu = run.traits.is_cpu && !as_gpu;
    CLV_TRY(clv_test_kernels_run(device, &run));
    if (run.num_launches != 1) {
        return CLV_ERROR(INTERNAL, "%zu launches", run.num_launches);
    }
    return clv_case_compare("output", &got[0], &want[0], 1e-5, 1e-5);
}

/* One random expression on every device, as it is and with the small registers of a GPU. */
static void try_expression(
    clv_random *random, clv_test_device **devices, size_t num_devices, size_t *num_skipped) {
    static const clv_dtype dtypes[] = {CLV_INT64, CLV_INT32, CLV_UINT8, CLV_BOOL, CLV_INT16};
    clv_arena arena;
    clv_arena_init(&arena, 0);
    clv_ew_domain domain = clv_random_below(random, 2) == 0 ? CLV_EW_FLOAT : CLV_EW_INT;
    uint32_t num_inputs = 1 + (uint32_t)clv_random_below(random, EW_MAX_OPERANDS);
    clv_view inputs[EW_MAX_OPERANDS] = {{0}}, output = {.shape = {.rank = 3}};
    for (int i = 0; i < output.shape.rank; i++) {
        output.shape.dims[i] = 1 + (int64_t)clv_random_below(random, i == 2 ? 90 : 8);
    }
    output.dtype = domain == CLV_EW_FLOAT ? CLV_FLOAT32 : dtypes[clv_random_below(random, 5)];
    for (uint32_t k = 0; k < num_inputs; k++) {
        bool is_float = domain == CLV_EW_FLOAT && clv_random_below(random, 4) != 0;
        inputs[k].dtype = is_float ? CLV_FLOAT32 : dtypes[clv_random_below(random, 5)];
        inputs[k].shape = make_input_shape(random, &output.shape);
        if (domain == CLV_EW_FLOAT && !is_float) {
            inputs[k].dtype = CLV_BOOL;
        }
        inputs[k].data = make_data(random, &arena, &inputs[k]);
    }
    clv_ew_expr expr = make_expression(random, domain, num_inputs);
    clv_call call = {
        .op = clv_op_find("", "Add"),
        .name = "expression",
        .params = &expr,
        .inputs = inputs,
        .num_inputs = num_inputs,
        .outputs = &output,
        .num_outputs = 1,
    };
    uint64_t seed = clv_random_next(random);
    if (!clv_ew_expr_fits(&expr)) {
        ++*num_skipped;
    }
    for (size_t d = 0; d < num_devices && clv_ew_expr_fits(&expr); d++) {
        clv_status *status = run_expression(devices[d], false, &call, &arena, seed);
        if (status == NULL && d == 0) {
            status = run_expression(devices[d], true, &call, &arena, seed);
        }
        if (status != NULL) {
            print_error("%s: %s\n", clv_test_device_name(devices[d]), clv_status_message(status));
            for (uint32_t s = 0; s < expr.num_steps; s++) {
                const clv_ew_expr_step *step = &expr.steps[s];
                print_error(
                    "  %u: %s %u %u %u\n", s, clv_ew_op_find(domain, step->op)->name,
                    step->operands[0], step->operands[1], step->operands[2]);
            }
        }
        assert_null(status);
    }
    clv_arena_deinit(&arena);
}

static void chains_are_one_launch_and_right(void **state) {
    (void)state;
    const char *word = getenv("CLEAVE_TEST_SEED");
    uint64_t seed = word != NULL ? strtoull(word, NULL, 10) : 1;
    print_message("CLEAVE_TEST_SEED=%llu\n", (unsigned long long)seed);
    clv_random random;
    clv_random_init(&random, seed);
    clv_test_device **devices = NULL;
    size_t num_devices = 0, num_skipped = 0;
    assert_null(clv_test_devices_open(NULL, &devices, &num_devices));
    for (int i = 0; i < NUM_EXPRESSIONS; i++) {
        try_expression(&random, devices, num_devices, &num_skipped);
    }
    clv_test_devices_close(devices, num_devices);
    print_message("%d expressions, %zu need too many registers\n", NUM_EXPRESSIONS, num_skipped);
    assert_true(num_skipped < NUM_EXPRESSIONS / 2);
}

/* Five inputs that are all needed to the end, and more results than there are registers left. */
static void too_much_at_once_does_not_fit(void **state) {
    (void)state;
    clv_ew_expr expr = {.domain = CLV_EW_FLOAT};
    uint32_t results[4];
    for (uint32_t k = 0; k < 4; k++) {
        results[k] = clv_ew_add(&expr, EW_FLOAT_EXP, k, 0, 0);
    }
    uint32_t sum = clv_ew_add(&expr, EW_FLOAT_ADD, results[0], results[1], 0);
    for (uint32_t k = 0; k < 5; k++) {
        sum = clv_ew_add(&expr, EW_FLOAT_ADD, sum, k, 0);
    }
    sum = clv_ew_add(&expr, EW_FLOAT_ADD, sum, results[2], 0);
    clv_ew_add(&expr, EW_FLOAT_ADD, sum, results[3], 0);
    assert_false(clv_ew_expr_fits(&expr));

    clv_ew_expr six = {.domain = CLV_EW_FLOAT};
    clv_ew_add(&six, EW_FLOAT_ADD, 0, 5, 0);
    assert_false(clv_ew_expr_fits(&six));
    clv_ew_expr chain = {.domain = CLV_EW_INT};
    sum = 0;
    for (uint32_t s = 0; s < EW_MAX_STEPS; s++) {
        sum = clv_ew_add(&chain, EW_INT_MUL, sum, s % 5, 0);
    }
    assert_true(clv_ew_expr_fits(&chain));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_are_one_launch_and_right),
        cmocka_unit_test(too_much_at_once_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
