/* What the tests of host/io share. */
#ifndef TESTS_UNIT_IO_IO_HELPERS_H
#define TESTS_UNIT_IO_IO_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "host/base/memory.h"
#include "host/io/formats.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* `status` has this code and its message holds `text`; destroys it. */
static inline void expect_failure(clv_status *status, clv_code code, const char *text) {
    if (clv_status_code(status) != code || strstr(clv_status_message(status), text) == NULL) {
        fail_msg(
            "wanted %s with '%s', got %s: %s", clv_code_name(code), text,
            clv_code_name(clv_status_code(status)), clv_status_message(status));
    }
    clv_status_destroy(status);
}

static inline void expect_ok(clv_status *status) {
    if (status != NULL) {
        fail_msg("%s\n%s", clv_status_message(status), clv_status_trail(status));
    }
}

static inline clv_wanted wanted(clv_dtype dtype, int rank, const int64_t *dims) {
    clv_wanted w = {.name = "x", .dtype = dtype, .shape.rank = rank};
    for (int i = 0; i < rank; i++) {
        w.shape.dims[i] = dims[i];
    }
    return w;
}
#define WANTED(dtype, rank, ...) wanted(dtype, rank, (const int64_t[]){__VA_ARGS__})

static inline void assert_shape(const clv_shape *shape, int rank, const int64_t *dims) {
    assert_int_equal(shape->rank, rank);
    for (int i = 0; i < rank; i++) {
        assert_int_equal(shape->dims[i], dims[i]);
    }
}
#define ASSERT_SHAPE(value, rank, ...) \
    assert_shape(&(value)->shape, rank, (const int64_t[]){__VA_ARGS__})

/* A folder of its own for a test program. */
static inline int make_folder(void **state) {
    static char folder[] = "/tmp/cleave-io-XXXXXX";
    *state = mkdtemp(folder);
    return *state == NULL;
}

static inline int remove_folder(void **state) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
    return system(command);
}

static inline const char *path_in(void **state, const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", (const char *)*state, name);
    return path;
}

#endif
