/* Every variant of elementwise operators computes the same bits, whatever stands beside an element:
 * so a plan may cut them anywhere, and its pieces may run other variants than the whole. One
 * operation at a time, and chains of them; vectors of either width; numbers of all sizes. */
#include "host/base/random.h"
#include "host/ops/pointwise.h"
#include "tests/conformance/case.h"
#include "tests/support/check.h"
#include "tests/support/kernel_runner.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHANNELS = 40, PIXELS = 6 * 11, COUNT = CHANNELS * PIXELS, OPERANDS = 3, CHAINS = 40 };
/* Element i of a shuffled tensor is element i * STEP % COUNT of the other. */
enum { STEP = 7 };

typedef struct fixture {
    clv_random random;
    clv_test_device *device;
    clv_traits traits;
    float operands[OPERANDS][COUNT], shuffled[OPERANDS][COUNT];
    float plain[COUNT], blocked[COUNT], moved[COUNT];
} fixture;

/* Mostly numbers from 1e-4 to 1e4. */
static float draw(clv_random *random) {
    static const float odd[] = {0,     -0.0f,   1,      2,       INFINITY, -INFINITY, NAN,
                                1e30f, -1e-30f, 1e-40f, -1e-40f, 50000,    -87.2f,    88.715f};
    const uint64_t kind = clv_random_below(random, 20);
    return kind == 0 ? odd[clv_random_below(random, sizeof odd / sizeof *odd)]
                     : (float)(clv_random_normal(random) * pow(10, (double)(kind % 9) - 4));
}

static void draw_operands(fixture *f) {
    for (int k = 0; k < OPERANDS; k++) {
        for (int i = 0; i < COUNT; i++) {
            f->operands[k][i] = draw(&f->random);
        }
        for (int i = 0; i < COUNT; i++) {
            f->shuffled[k][i] = f->operands[k][i * STEP % COUNT];
        }
    }
}

static void run(fixture *f, const clv_call *call, size_t variant, float *out) {
    clv_mutable_view output = {CLV_FLOAT32, call->outputs[0].shape, out};
    clv_test_run run = {
        .call = call,
        .variant = &call->op->kernels->variants[variant],
        .traits = f->traits,
        .seed = 1,
        .outputs = &output,
    };
    assert_ok(clv_test_kernels_run(f->device, &run));
}

static bool is_same(float a, float b) {
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void compare(const fixture *f, const clv_ew_expr *expr) {
    for (int i = 0; i < COUNT; i++) {
        const int from = i * STEP % COUNT;
        const bool is_equal = !f->traits.is_cpu || is_same(f->plain[i], f->blocked[i]);
        if (!is_equal || !is_same(f->moved[i], f->plain[from])) {
            for (uint32_t s = 0; s < expr->num_steps; s++) {
                print_error("%s ", clv_ew_op_find(CLV_EW_FLOAT, expr->steps[s].op)->name);
            }
            fail_msg(
                "element %d: %a, %a in blocks; element %d: %a elsewhere, of %a", i,
                (double)f->plain[i], (double)f->blocked[i], from, (double)f->moved[i],
                (double)f->operands[0][from]);
        }
    }
}

/* Plain and in blocks; then again, plain, with the elements in another order. */
static void try_expression(fixture *f, clv_ew_expr *expr) {
    const clv_view output = {CLV_FLOAT32, {.rank = 4, .dims = {1, CHANNELS, 6, 11}}, NULL, {0}};
    clv_view inputs[OPERANDS];
    const clv_call call = {
        .op = clv_op_find("", "Add"),
        .name = "expression",
        .params = expr,
        .inputs = inputs,
        .num_inputs = OPERANDS,
        .outputs = &output,
        .num_outputs = 1,
    };
    draw_operands(f);
    for (int k = 0; k < OPERANDS; k++) {
        inputs[k] = output;
        inputs[k].data = f->operands[k];
    }
    run(f, &call, 0, f->plain);
    if (f->traits.is_cpu) {
        run(f, &call, 1, f->blocked);
    }
    for (int k = 0; k < OPERANDS; k++) {
        inputs[k].data = f->shuffled[k];
    }
    run(f, &call, 0, f->moved);
    compare(f, expr);
}

static void add_step(fixture *f, clv_ew_expr *expr, uint32_t op, uint32_t x) {
    const uint32_t s = expr->num_steps;
    clv_ew_add(expr, op, x, 1, 2);
    expr->steps[s].a = (float)clv_random_normal(&f->random);
    expr->steps[s].b = (float)clv_random_normal(&f->random);
}

static void try_operations(fixture *f) {
    for (uint32_t op = 0; op < EW_NUM_FLOAT_OPS; op++) {
        clv_ew_expr expr = {.domain = CLV_EW_FLOAT};
        if (clv_ew_op_find(CLV_EW_FLOAT, op)->num_operands > 0) {
            add_step(f, &expr, op, 0);
            try_expression(f, &expr);
        }
    }
    for (int i = 0; i < CHAINS; i++) {
        clv_ew_expr expr = {.domain = CLV_EW_FLOAT};
        for (uint32_t s = 0; s < 2 + (uint32_t)i % 5; s++) {
            const uint32_t op = (uint32_t)clv_random_below(&f->random, EW_NUM_FLOAT_OPS);
            add_step(f, &expr, op, s == 0 ? 0 : CLV_EW_RESULT + s - 1);
        }
        try_expression(f, &expr);
    }
}

static void all_variants_compute_the_same_bits(void **state) {
    (void)state;
    static fixture f;
    clv_test_device **devices = NULL;
    size_t num_devices = 0;
    clv_random_init(&f.random, 1);
    assert_ok(clv_test_devices_open(NULL, &devices, &num_devices));
    for (size_t d = 0; d < num_devices; d++) {
        f.device = devices[d];
        f.traits = clv_test_device_traits(devices[d]);
        for (uint32_t bytes = 64; bytes >= 32; bytes /= 2) {
            f.traits.simd_bytes = bytes;
            try_operations(&f);
        }
        f.traits.is_cpu = false; /* as on a GPU: registers of one vector of four */
        try_operations(&f);
    }
    clv_test_devices_close(devices, num_devices);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_variants_compute_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
