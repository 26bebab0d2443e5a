/* cmocka with what it needs included before it, and checks of a status. */
#ifndef CLV_TESTS_SUPPORT_CHECK_H
#define CLV_TESTS_SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after these */
#include <cmocka.h>

#include "host/base/status.h"
#include <string.h>

static inline void check_ok(clv_status *status, const char *expr, const char *file, int line) {
    if (status != NULL) {
        print_error(
            "%s failed with %s: %s\n%s", expr, clv_code_name(clv_status_code(status)),
            clv_status_message(status), clv_status_trail(status));
        clv_status_destroy(status);
        _fail(file, line);
    }
}

/* The code, and a part of the message that must be there. Destroys the status. */
static inline void check_failed(
    clv_status *status, clv_code code, const char *part, const char *expr, const char *file,
    int line) {
    if (clv_status_code(status) != code || strstr(clv_status_message(status), part) == NULL) {
        print_error(
            "%s gave %s: '%s', expected %s: '...%s...'\n", expr,
            clv_code_name(clv_status_code(status)), clv_status_message(status), clv_code_name(code),
            part);
        clv_status_destroy(status);
        _fail(file, line);
    }
    clv_status_destroy(status);
}

#define assert_ok(expr) check_ok((expr), #expr, __FILE__, __LINE__)
#define assert_failed(code, part, expr) \
    check_failed((expr), CLV_##code, part, #expr, __FILE__, __LINE__)

#endif
