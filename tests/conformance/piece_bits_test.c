/* Pieces compute what the whole does, bit by bit: every variant of every operator, and all splits
 * by place, on one lane and on several, wide ones and narrow ones, and as GPUs have it. Not so
 * Einsum: where its last axis has less than half a vector, of a piece as of a whole, it takes
 * vectors along a sum.
 *
 *     TEST [FAMILY [SEED]]      one table of cases, or all; the seed is that of the cuts
 */
#include "tests/conformance/split_check.h"
#include "tests/support/check.h"
#include "tests/support/kernel_runner.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *only_family;
static uint64_t seed = 1;

/* What computes a whole and its pieces. */
typedef struct way {
    clv_test_device *device;
    const clv_variant *variant;
    clv_traits traits;
    bool is_lacking; /* a piece does not fit: then another variant does it (pieces_test.c) */
} way;

static struct { size_t splits, failures; } counts;

enum { WEIGHTS = ~1u }; /* inputs that are constant */

/* Which NaN it is nobody promises. */
static void unite_nans(const clv_mutable_view *output) {
    float *values = output->data;
    for (int64_t i = 0; i < clv_shape_elements(&output->shape); i++) {
        values[i] = isnan(values[i]) ? NAN : values[i];
    }
}

static clv_status *run(void *context, const clv_call *call, const clv_mutable_view *outputs) {
    way *w = context;
    clv_test_run run = {
        .call = call,
        .variant = w->variant,
        .traits = w->traits,
        .constants = WEIGHTS,
        .seed = 1,
        .outputs = (clv_mutable_view *)outputs,
    };
    if (!clv_test_variant_fits(call, WEIGHTS, w->variant, &w->traits)) {
        w->is_lacking = true;
        return CLV_ERROR(USAGE, "'%s' does not fit", w->variant->name);
    }
    CLV_TRY(clv_test_kernels_run(w->device, &run));
    for (size_t i = 0; i < call->num_outputs; i++) {
        if (outputs[i].dtype == CLV_FLOAT32) {
            unite_nans(&outputs[i]);
        }
    }
    return NULL;
}

static clv_status *try_splits(clv_case_data *data, way *w, clv_random *random) {
    const clv_piece_runner runner = {.run = run, .context = w};
    clv_mutable_view *whole = NULL;
    clv_split_list list = {0};
    CLV_TRY(clv_case_outputs(&data->arena, &data->call, &whole));
    CLV_TRY(clv_call_splits(&data->call, &data->arena, &list));
    CLV_TRY(run(w, &data->call, whole));
    for (size_t i = 0; i < list.num_splits; i++) {
        const clv_split *split = &list.splits[i];
        if (split->join != CLV_JOIN_PLACE) {
            continue;
        }
        w->is_lacking = false;
        clv_status *status = clv_case_check_split(data, split, &runner, random, whole);
        if (w->is_lacking) {
            clv_status_destroy(status);
        } else if (status != NULL) {
            return clv_status_prefix(
                status, "'%s' on %u lanes, split '%s'", w->variant->name, w->traits.num_lanes,
                split->name);
        }
        counts.splits++;
    }
    return NULL;
}

/* Where the whole is refused, by its values or for its size, there is nothing to compare. */
static void try_way(clv_case_data *data, way *w, clv_random *random) {
    if (!clv_test_variant_fits(&data->call, WEIGHTS, w->variant, &w->traits)) {
        return;
    }
    clv_status *status = try_splits(data, w, random);
    const clv_code code = clv_status_code(status);
    if (status != NULL && code != CLV_MALFORMED && code != CLV_UNSUPPORTED) {
        char label[256];
        print_error("%s: %s\n", clv_case_label(data->source, label), clv_status_message(status));
        counts.failures++;
    }
    clv_status_destroy(status);
}

static void try_case(const clv_case *source, clv_test_device *device, clv_random *random) {
    clv_case_data data;
    assert_ok(clv_case_init(source, 7, &data));
    assert_ok(clv_case_infer(&data));
    const clv_kernel_family *family = data.call.op->kernels;
    const bool is_asked =
        data.call.op->splits != NULL && family != NULL && strcmp(family->name, "einsum") != 0;
    for (size_t v = 0; is_asked && v < family->num_variants; v++) {
        static const struct {
            bool is_cpu;
            uint32_t simd_bytes, num_lanes;
        } sorts[] = {{true, 64, 1}, {true, 32, 3}, {false, 0, 16}};
        for (size_t i = 0; i < sizeof sorts / sizeof *sorts; i++) {
            way w = {
                .device = device,
                .variant = &family->variants[v],
                .traits = clv_test_device_traits(device),
            };
            w.traits.is_cpu = w.traits.is_cpu && sorts[i].is_cpu;
            w.traits.simd_bytes = sorts[i].simd_bytes;
            w.traits.num_lanes = sorts[i].num_lanes;
            try_way(&data, &w, random);
        }
    }
    clv_case_deinit(&data);
}

static void pieces_compute_what_the_whole_computes(void **state) {
    (void)state;
    clv_test_device **devices = NULL;
    size_t num_devices = 0;
    clv_random random;
    clv_random_init(&random, seed);
    assert_ok(clv_test_devices_open(NULL, &devices, &num_devices));
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        if (only_family != NULL && strcmp(only_family, list->name) != 0) {
            continue;
        }
        for (size_t i = 0; i < list->num_cases; i++) {
            if (list->cases[i].error == CLV_OK) {
                try_case(&list->cases[i], devices[0], &random);
            }
        }
    }
    clv_test_devices_close(devices, num_devices);
    print_message("%zu splits\n", counts.splits);
    assert_int_equal(counts.failures, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_compute_what_the_whole_computes)};
    only_family = argc > 1 && strcmp(argv[1], "all") != 0 ? argv[1] : NULL;
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : seed;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
