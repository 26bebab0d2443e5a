/* Pieces of an operator can run what the whole can: every variant that fits a case fits each of its
 * pieces, from one grain to all but one, for CPUs of either width and for GPUs. Else a piece would
 * compute other last bits than the whole. Left out are sums across pieces, which are not exact
 * anyway; what moves values and computes none, and what computes each element by itself, by the
 * same expression in every variant (elementwise_bits_test.c); and pieces that read nothing but
 * padding. What they compute is compared by piece_bits_test.c. */
#include "kernels_cl/kernel.h"
#include "tests/conformance/case.h"
#include "tests/support/kernel_runner.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const clv_traits sorts[] = {
    {.is_cpu = true, .has_fp64 = true, .simd_bytes = 64, .num_lanes = 1, .cache_bytes = 1 << 20},
    {.is_cpu = true, .has_fp64 = true, .simd_bytes = 32, .num_lanes = 2, .cache_bytes = 1 << 18},
    {.has_fp64 = true, .num_lanes = 16, .local_bytes = 48 << 10, .max_local_size = 1024},
};

static struct { size_t pieces, failures; } counts;

/* What fits the whole but not the piece. */
static void compare_fits(
    const clv_case_data *data, const clv_split *split, const clv_call *piece, int64_t begin,
    int64_t end) {
    const uint32_t weights = ~1u;
    const clv_kernel_family *family = data->call.op->kernels;
    for (size_t v = 0; v < family->num_variants; v++) {
        for (size_t k = 0; k < 2 * sizeof sorts / sizeof *sorts; k++) {
            const uint32_t constants = k % 2 == 0 ? weights : data->known;
            const clv_variant *variant = &family->variants[v];
            if (clv_test_variant_fits(&data->call, constants, variant, &sorts[k / 2]) &&
                !clv_test_variant_fits(piece, constants, variant, &sorts[k / 2])) {
                char label[256];
                print_error(
                    "%s: '%s' fits, but not %s %lld to %lld of %lld\n",
                    clv_case_label(data->source, label), variant->name, split->name,
                    (long long)begin, (long long)end, (long long)split->extent);
                counts.failures++;
                return;
            }
        }
    }
}

static bool reads_nothing(const clv_call *piece) {
    return piece->num_inputs > 0 && clv_shape_elements(&piece->inputs[0].shape) == 0;
}

static clv_status *try_piece(
    clv_case_data *data, const clv_split *split, int64_t begin, int64_t end) {
    clv_call piece;
    end = end < split->extent ? end : split->extent;
    if (begin >= end) {
        return NULL;
    }
    CLV_TRY(clv_call_cut(&data->call, split, begin, end, &data->arena, &piece));
    clv_view *inputs = (clv_view *)piece.inputs;
    for (size_t i = 0; i < piece.num_inputs; i++) {
        inputs[i].data = data->inputs[i].data; /* whether there are some is all that is asked */
    }
    if (!reads_nothing(&piece)) {
        compare_fits(data, split, &piece, begin, end);
        counts.pieces++;
    }
    return NULL;
}

static clv_status *try_case(const clv_case *source) {
    clv_case_data data;
    clv_split_list list = {0};
    clv_cost cost = {0};
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_case_init(source, 7, &data));
    CLV_TRY_DONE(clv_case_infer(&data));
    if (data.call.op->splits != NULL && data.call.op->kernels != NULL &&
        strcmp(data.call.op->kernels->name, "elementwise") != 0) {
        clv_call_cost(&data.call, &cost);
        CLV_TRY_DONE(clv_call_splits(&data.call, &data.arena, &list));
    }
    for (size_t i = 0; i < list.num_splits && cost.flops > 0; i++) {
        const clv_split *split = &list.splits[i];
        for (int64_t at = 0; at < split->extent && split->join == CLV_JOIN_PLACE;
             at += split->grain) {
            CLV_TRY_DONE(try_piece(&data, split, at, at + split->grain));
            CLV_TRY_DONE(try_piece(&data, split, 0, at));
            CLV_TRY_DONE(try_piece(&data, split, at, split->extent));
        }
    }
done:
    clv_case_deinit(&data);
    return status;
}

static void pieces_run_what_the_whole_runs(void **state) {
    (void)state;
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        for (size_t i = 0; i < list->num_cases; i++) {
            clv_status *status = list->cases[i].error == CLV_OK ? try_case(&list->cases[i]) : NULL;
            if (status != NULL) {
                fail_msg("%s", clv_status_message(status));
            }
        }
    }
    print_message("%zu pieces\n", counts.pieces);
    assert_int_equal(counts.failures, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_run_what_the_whole_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
