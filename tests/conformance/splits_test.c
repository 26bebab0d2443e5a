/* Every split of every op is exact: split_check.h tells what that means. */
#include "tests/conformance/split_check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static clv_status *try_case(const clv_case *source, clv_random *random, size_t *num_splits) {
    clv_case_data data;
    clv_mutable_view *whole = NULL;
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_case_init(source, 7, &data));
    CLV_TRY_DONE(clv_case_infer(&data));
    CLV_TRY_DONE(clv_case_outputs(&data.arena, &data.call, &whole));
    CLV_TRY_DONE(data.call.op->reference(&data.call, whole));
    CLV_TRY_DONE(clv_case_check_splits(&data, whole, random, num_splits));
done:
    clv_case_deinit(&data);
    return status;
}

static void splits_are_exact(void **state) {
    (void)state;
    size_t num_splits = 0, num_failures = 0;
    clv_random random;
    clv_random_init(&random, 99);
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        for (size_t i = 0; i < list->num_cases; i++) {
            if (list->cases[i].error != CLV_OK) {
                continue;
            }
            char label[256];
            clv_status *status = try_case(&list->cases[i], &random, &num_splits);
            if (status != NULL) {
                print_error(
                    "%s\n    %s\n%s", clv_case_label(&list->cases[i], label),
                    clv_status_message(status), clv_status_trail(status));
                clv_status_destroy(status);
                num_failures++;
            }
        }
    }
    print_message("%zu splits\n", num_splits);
    assert_int_equal(num_failures, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(splits_are_exact)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
