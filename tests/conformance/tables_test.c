/* Every operator and every kernel family is whole, and has cases. */
#include "tests/conformance/case.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MIN_CASES = 3, MIN_REFUSED = 1 };

static void count_cases(const char *op, size_t *out_accepted, size_t *out_refused) {
    *out_accepted = *out_refused = 0;
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        for (size_t i = 0; i < list->num_cases; i++) {
            if (strcmp(list->cases[i].op, op) == 0) {
                size_t *count = list->cases[i].error == CLV_OK ? out_accepted : out_refused;
                (*count)++;
            }
        }
    }
}

static void ops_are_sorted_and_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < clv_op_count(); i++) {
        const clv_op_def *op = clv_op_at(i);
        print_message("%s\n", op->name);
        assert_non_null(op->domain);
        assert_true(i == 0 || strcmp(clv_op_at(i - 1)->name, op->name) < 0);
        assert_ptr_equal(clv_op_find("", op->name), op);
        assert_ptr_equal(clv_op_find("ai.onnx", op->name), op);
        assert_true(op->since_opset >= 1);
        assert_true(op->min_inputs >= 0 && op->min_outputs >= 1);
        assert_true(op->max_inputs < 0 || op->max_inputs >= op->min_inputs);
        assert_true(op->max_outputs < 0 || op->max_outputs >= op->min_outputs);
        assert_non_null(op->infer);
        assert_non_null(op->reference);
        bool moves_nothing = (op->flags & (CLV_OP_VIEW | CLV_OP_FROM_SHAPE)) != 0;
        assert_true(op->kernels != NULL || moves_nothing);
        assert_true(op->cut == NULL || (op->splits != NULL && op->params_bytes > 0));
    }
}

static void every_op_has_cases(void **state) {
    (void)state;
    size_t num_missing = 0;
    for (size_t i = 0; i < clv_op_count(); i++) {
        size_t accepted = 0, refused = 0;
        count_cases(clv_op_at(i)->name, &accepted, &refused);
        if (accepted < MIN_CASES || refused < MIN_REFUSED) {
            print_error(
                "%s has %zu cases (needs %d) and %zu refused ones (needs %d)\n", clv_op_at(i)->name,
                accepted, MIN_CASES, refused, MIN_REFUSED);
            num_missing++;
        }
    }
    assert_int_equal(num_missing, 0);
}

static void every_refusal_has_a_message(void **state) {
    (void)state;
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        for (size_t i = 0; i < list->num_cases; i++) {
            const clv_case *source = &list->cases[i];
            assert_true((source->error != CLV_OK) == (source->message != NULL));
        }
    }
}

static void families_start_with_ref(void **state) {
    (void)state;
    for (size_t f = 0; f < clv_kernel_family_count(); f++) {
        const clv_kernel_family *family = clv_kernel_family_at(f);
        assert_true(family->num_variants >= 1);
        assert_string_equal(family->variants[0].name, "ref");
        assert_null(family->variants[0].fits);
        for (size_t v = 0; v < family->num_variants; v++) {
            assert_non_null(family->variants[v].emit);
            assert_non_null(family->variants[v].summary);
            for (size_t w = 0; w < v; w++) {
                assert_string_not_equal(family->variants[v].name, family->variants[w].name);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_are_sorted_and_whole),
        cmocka_unit_test(every_op_has_cases),
        cmocka_unit_test(every_refusal_has_a_message),
        cmocka_unit_test(families_start_with_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
