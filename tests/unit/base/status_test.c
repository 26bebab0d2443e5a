#include "host/base/memory.h"
#include "host/base/status.h"
#include "tests/support/check.h"

static clv_status *fail_inside(void) {
    return CLV_ERROR(MALFORMED, "axis is %d, the input has rank %d", 4, 2);
}

static clv_status *pass_on(void) {
    CLV_TRY(fail_inside());
    return NULL;
}

static clv_status *pass_on_with_cleanup(int *cleaned) {
    clv_status *status;
    CLV_TRY_DONE(pass_on());
done:
    ++*cleaned;
    return status;
}

static void success_is_null(void **state) {
    (void)state;
    assert_int_equal(clv_status_code(NULL), CLV_OK);
    assert_string_equal(clv_status_message(NULL), "");
    assert_string_equal(clv_status_trail(NULL), "");
    assert_null(clv_status_pass(NULL, "file", 1, "what"));
    assert_null(clv_status_prefix(NULL, "prefix"));
    clv_status_destroy(NULL);
}

static void the_trail_names_each_place(void **state) {
    (void)state;
    int cleaned = 0;
    clv_status *status = pass_on_with_cleanup(&cleaned);
    assert_int_equal(cleaned, 1);
    assert_int_equal(clv_status_code(status), CLV_MALFORMED);
    assert_string_equal(clv_status_message(status), "axis is 4, the input has rank 2");
    const char *file = "  at tests/unit/base/status_test.c:";
    const char *line = clv_status_trail(status);
    assert_int_equal(strncmp(line, file, strlen(file)), 0);
    line = strchr(line, '\n') + 1;
    assert_int_equal(strncmp(line, file, strlen(file)), 0);
    const char *expression = "  fail_inside()\n";
    const char *end = strchr(line, '\n') + 1;
    assert_int_equal(strncmp(end - strlen(expression), expression, strlen(expression)), 0);
    assert_non_null(strstr(end, "  pass_on()\n"));
    clv_status_destroy(status);
}

static void a_prefix_stands_before_the_message_a_suffix_behind(void **state) {
    (void)state;
    clv_status *status = clv_status_prefix(fail_inside(), "Softmax '%s'", "probs");
    status = clv_status_prefix(status, "malformed model");
    assert_string_equal(
        clv_status_message(status),
        "malformed model: Softmax 'probs': axis is 4, the input has rank 2");
    status = clv_status_suffix(status, "; %d\nmore", 3);
    assert_non_null(strstr(clv_status_message(status), "the input has rank 2; 3 more"));
    assert_null(clv_status_suffix(NULL, "more"));
    clv_status_destroy(status);
}

static void a_message_is_one_printable_line(void **state) {
    (void)state;
    clv_status *status = CLV_ERROR(USAGE, "a\nb\tc\r\x1b[31m\x7f \xc3\xa9");
    assert_string_equal(clv_status_message(status), "a b c ?[31m? \xc3\xa9");
    clv_status_destroy(status);
    status = clv_status_prefix(CLV_ERROR(USAGE, "x"), "p\nq");
    assert_string_equal(clv_status_message(status), "p q: x");
    clv_status_destroy(status);
}

/* In quotes or not, with spaces or without, before others and behind them. */
static void long_names_are_cut(void **state) {
    (void)state;
    char name[5001], spaced[5001], accents[5002];
    memset(name, 'x', sizeof name - 1);
    memset(spaced, 'y', sizeof spaced - 1);
    for (size_t i = 0; i < sizeof accents - 1; i++) {
        accents[i] = i % 2 == 0 ? '\xc3' : '\xa9';
    }
    name[sizeof name - 1] = spaced[sizeof spaced - 1] = accents[sizeof accents - 1] = '\0';
    for (size_t i = 30; i < sizeof spaced - 1; i += i < 4000 ? 7 : 500) {
        spaced[i] = ' ';
    }
    const char *const formats[] = {
        "no node '%s'", "no node (%s)", "%s", "'%s' reads '%s' twice", "task ('%s'): the others'"};
    const char *const names[] = {name, spaced, accents};
    for (size_t f = 0; f < 5; f++) {
        for (size_t i = f == 1 || f == 2 ? 2 : 0; i < 3; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            clv_status *status = CLV_ERROR(USAGE, formats[f], names[i], names[i]);
#pragma GCC diagnostic pop
            const char *message = clv_status_message(status);
            assert_true(strlen(message) < 240);
            assert_non_null(strstr(message, "..."));
            assert_true(i < 2 || strstr(message, "\xa9...\xc3") != NULL);
            clv_status_destroy(status);
        }
    }
    clv_status *status = clv_status_prefix(CLV_ERROR(USAGE, "bad"), "'%s'", name);
    assert_true(strlen(clv_status_message(status)) < 240);
    assert_non_null(strstr(clv_status_message(status), "...xxxxxxxxxxxxxxxxxxxx': bad"));
    clv_status_destroy(status);
    status = clv_status_suffix(CLV_ERROR(USAGE, "the tasks' units'"), "; not '%s', it's", name);
    assert_true(strlen(clv_status_message(status)) < 240);
    assert_non_null(strstr(clv_status_message(status), "xxxx', it's"));
    clv_status_destroy(status);
}

/* Quotes in a name end it for whoever reads the message: what is behind them are short names. */
static void long_messages_are_cut(void **state) {
    (void)state;
    char name[20001];
    for (size_t i = 0; i < sizeof name - 1; i++) {
        name[i] = "it' is '"[i % 8];
    }
    name[sizeof name - 1] = '\0';
    clv_status *status = CLV_ERROR(USAGE, "no node '%s' in this model", name);
    assert_true(strlen(clv_status_message(status)) <= 4096);
    assert_memory_equal(clv_status_message(status), "no node 'it' is 'it'", 20);
    assert_non_null(strstr(clv_status_message(status), "'' in this model"));
    clv_status_destroy(status);
}

static void join_keeps_the_first(void **state) {
    (void)state;
    assert_null(clv_status_join(NULL, NULL));
    assert_failed(IO, "two", clv_status_join(NULL, CLV_ERROR(IO, "two")));
    assert_failed(USAGE, "one", clv_status_join(CLV_ERROR(USAGE, "one"), NULL));
    assert_failed(USAGE, "one", clv_status_join(CLV_ERROR(USAGE, "one"), CLV_ERROR(IO, "two")));
}

/* A status, passed on and prefixed, while the n-th allocation fails. */
static clv_status *make_with_failure(int64_t n) {
    clv_memory_fail_at(n);
    clv_status *status = clv_status_prefix(fail_inside(), "model '%s'", "m.onnx");
    status = clv_status_pass(status, "a.c", 7, "f()");
    clv_memory_fail_at(-1);
    return status;
}

static void without_memory_the_shared_status_is_given(void **state) {
    (void)state;
    int64_t before = clv_memory_count();
    clv_status_destroy(make_with_failure(-1));
    int64_t needed = clv_memory_count() - before;
    assert_true(needed >= 5);
    int num_shared = 0;
    for (int64_t n = 0; n < needed; n++) {
        clv_status *status = make_with_failure(n);
        assert_non_null(status);
        if (clv_status_code(status) == CLV_NO_MEMORY) {
            num_shared++;
            assert_string_equal(clv_status_message(status), "out of host memory");
            assert_ptr_equal(clv_status_prefix(status, "p"), status);
            assert_ptr_equal(clv_status_pass(status, "a.c", 7, "f()"), status);
            assert_string_equal(clv_status_message(status), "out of host memory");
            assert_string_equal(clv_status_trail(status), "");
        } else {
            assert_int_equal(clv_status_code(status), CLV_MALFORMED);
            assert_non_null(strstr(clv_status_message(status), "axis is 4"));
        }
        clv_status_destroy(status);
    }
    assert_int_equal(num_shared, 2); /* the object, its message */
}

static void the_trail_is_bounded(void **state) {
    (void)state;
    clv_status *status = fail_inside();
    for (int i = 0; i < 100000; i++) {
        status = clv_status_pass(status, "file.c", i, "recurse(node)");
    }
    assert_in_range(strlen(clv_status_trail(status)), 4000, 10000);
    clv_status_destroy(status);
}

static void codes_are_described(void **state) {
    (void)state;
    /* the command line's contract */
    static const int exits[CLV_NUM_CODES] = {
        [CLV_OK] = 0,          [CLV_INTERNAL] = 1,  [CLV_USAGE] = 2,      [CLV_MALFORMED] = 3,
        [CLV_UNSUPPORTED] = 4, [CLV_NO_DEVICE] = 5, [CLV_NO_MEMORY] = 6,  [CLV_DEVICE_FAILED] = 7,
        [CLV_MISMATCH] = 8,    [CLV_IO] = 9,        [CLV_CANCELLED] = 130};
    for (int code = 0; code < CLV_NUM_CODES; code++) {
        assert_int_equal(clv_code_exit((clv_code)code), exits[code]);
        assert_true(strlen(clv_code_name((clv_code)code)) > 1);
        assert_true(strlen(clv_code_meaning((clv_code)code)) > 3);
    }
    assert_string_equal(clv_code_name(CLV_MALFORMED), "MALFORMED");
    assert_string_equal(clv_code_name((clv_code)1000), "INTERNAL");
    assert_failed(INTERNAL, "not a failure", CLV_ERROR(OK, "not a failure"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_is_null),
        cmocka_unit_test(the_trail_names_each_place),
        cmocka_unit_test(a_prefix_stands_before_the_message_a_suffix_behind),
        cmocka_unit_test(a_message_is_one_printable_line),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(join_keeps_the_first),
        cmocka_unit_test(without_memory_the_shared_status_is_given),
        cmocka_unit_test(the_trail_is_bounded),
        cmocka_unit_test(codes_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
