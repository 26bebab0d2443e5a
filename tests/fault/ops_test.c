/* Every operator on every conformance case with the n-th allocation failing, for each n that it
 * makes: infer, splits and reference then give NO_MEMORY, nothing is leaked (with the sanitizers),
 * and the next try works. */
#include "host/base/memory.h"
#include "tests/conformance/case.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static clv_status *run_case(clv_case_data *data) {
    clv_split_list list = {0};
    clv_mutable_view *outputs = NULL;
    CLV_TRY(clv_case_infer(data));
    if (data->call.op->splits != NULL) {
        CLV_TRY(data->call.op->splits(&data->call, &data->arena, &list));
    }
    CLV_TRY(clv_case_outputs(&data->arena, &data->call, &outputs));
    return data->call.op->reference(&data->call, outputs);
}

/* The case with allocation n failing; the code that it ends with. */
static clv_code try_failure(const clv_case *source, int64_t n) {
    clv_case_data data;
    clv_status *status = clv_case_init(source, 3, &data);
    if (status == NULL) {
        clv_memory_fail_at(n);
        status = run_case(&data);
        clv_memory_fail_at(-1);
    }
    clv_code code = clv_status_code(status);
    clv_status_destroy(status);
    clv_case_deinit(&data);
    return code;
}

enum { MAX_ALLOCATIONS = 200 };

static void allocations_fail_one_after_the_other(void **state) {
    (void)state;
    size_t num_failures = 0, num_injected = 0;
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        for (size_t i = 0; i < list->num_cases; i++) {
            const clv_case *source = &list->cases[i];
            char label[256];
            int64_t n = 0;
            clv_code code = CLV_NO_MEMORY;
            for (; code == CLV_NO_MEMORY && n < MAX_ALLOCATIONS; n++) {
                code = try_failure(source, n);
                num_injected += code == CLV_NO_MEMORY;
            }
            if (code != source->error) {
                print_error(
                    "%s: allocation %lld failing gives %s\n", clv_case_label(source, label),
                    (long long)n - 1, clv_code_name(code));
                num_failures++;
            }
        }
    }
    print_message("%zu failed allocations\n", num_injected);
    assert_int_equal(num_failures, 0);
    assert_true(num_injected > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(allocations_fail_one_after_the_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
