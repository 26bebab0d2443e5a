/* What a call that can fail returns: NULL for success, else an object with a code, one message that
 * names the thing, and a trail of the places it came through.
 *
 * The caller owns a status that it receives and destroys it or returns it. A function that owns two
 * or more things has one `done:` label. The library never aborts, prints or exits.
 */
#ifndef CLV_BASE_STATUS_H
#define CLV_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

typedef enum clv_code {
#define STATUS(name, exit, meaning) CLV_##name,
#include "status.def"
#undef STATUS
    CLV_NUM_CODES
} clv_code;

typedef struct clv_status clv_status;

#define CLV_CHECKED __attribute__((warn_unused_result))
#define CLV_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* A new failure. Names in it of hundreds of characters are cut. Out of memory while making one
 * gives a shared out-of-memory status, never NULL. */
clv_status *clv_status_create(clv_code code, const char *file, int line, const char *format, ...)
    CLV_PRINTF(4, 5) CLV_CHECKED;

/* One with the same code and message, of this place; NULL of NULL. */
clv_status *clv_status_copy(const clv_status *status) CLV_CHECKED;

/* NULL is fine. */
void clv_status_destroy(clv_status *status);

/* CLV_OK for NULL. */
clv_code clv_status_code(const clv_status *status);

/* One line without a newline; "" for NULL. Borrowed until the status is destroyed. */
const char *clv_status_message(const clv_status *status);

/* Lines "  at file:line  expression\n", innermost first; "" for NULL. Borrowed. */
const char *clv_status_trail(const clv_status *status);

/* Adds a place to the trail; returns `status`. */
clv_status *clv_status_pass(clv_status *status, const char *file, int line, const char *what)
    CLV_CHECKED;

/* Puts "PREFIX: " before the message ("malformed model 'x.onnx': ..."); returns `status`. */
clv_status *clv_status_prefix(clv_status *status, const char *format, ...)
    CLV_PRINTF(2, 3) CLV_CHECKED;

/* Puts it behind the message; returns `status`. */
clv_status *clv_status_suffix(clv_status *status, const char *format, ...)
    CLV_PRINTF(2, 3) CLV_CHECKED;

/* Keeps `first` where both failed (and destroys `second`), else whichever failed. */
clv_status *clv_status_join(clv_status *first, clv_status *second) CLV_CHECKED;

const char *clv_code_name(clv_code code);    /* "MALFORMED" */
const char *clv_code_meaning(clv_code code); /* as in status.def */
int clv_code_exit(clv_code code);

#define CLV_ERROR(code, ...) clv_status_create(CLV_##code, __FILE__, __LINE__, __VA_ARGS__)

/* Returns early from a function that owns nothing. */
#define CLV_TRY(expr)                                                       \
    do {                                                                    \
        clv_status *try_status_ = (expr);                                   \
        if (try_status_ != NULL) {                                          \
            return clv_status_pass(try_status_, __FILE__, __LINE__, #expr); \
        }                                                                   \
    } while (0)

/* Goes to `done:` with `status` set, in a function that owns two or more things. */
#define CLV_TRY_DONE(expr)                                               \
    do {                                                                 \
        status = (expr);                                                 \
        if (status != NULL) {                                            \
            status = clv_status_pass(status, __FILE__, __LINE__, #expr); \
            goto done;                                                   \
        }                                                                \
    } while (0)

#endif
