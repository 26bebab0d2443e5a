#include "host/base/text.h"
#include "tests/support/check.h"
#include <math.h>

static const char *const never_numbers[] = {
    "",    " ",     "x",    "-",    "+",   ".",     "e5",          "1x",       "1 ",
    " 1",  "\t1",   "0x10", "-0x1", "nan", "inf",   "-inf",        "infinity", "1e",
    "1e+", "1.2.3", "--1",  "+-1",  "1,5", "1_000", "\xef\xbc\x91"};

static void int64(void **state) {
    (void)state;
    static const struct {
        const char *word;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"-0", 0},
        {"+7", 7},
        {"007", 7},
        {"-1", -1},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t value = 99;
        assert_true(clv_parse_int64(good[i].word, &value));
        assert_int_equal(value, good[i].value);
    }
    static const char *const bad[] = {
        "9223372036854775808", "-9223372036854775809", "99999999999999999999999", "1.5", "1e3"};
    int64_t value = 99;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(clv_parse_int64(bad[i], &value));
    }
    for (size_t i = 0; i < sizeof never_numbers / sizeof never_numbers[0]; i++) {
        assert_false(clv_parse_int64(never_numbers[i], &value));
    }
    assert_int_equal(value, 99); /* untouched */
}

static void real(void **state) {
    (void)state;
    static const struct {
        const char *word;
        double value;
    } good[] = {
        {"0", 0},
        {"-1.5", -1.5},
        {"+.5", .5},
        {"5.", 5},
        {"1e-3", 1e-3},
        {"1E5", 1e5},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"1e-400", 0}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double value = 99;
        assert_true(clv_parse_double(good[i].word, &value));
        assert_true(value == good[i].value);
    }
    double value = 99;
    assert_false(clv_parse_double("1e309", &value));
    assert_false(clv_parse_double("-1e309", &value));
    for (size_t i = 0; i < sizeof never_numbers / sizeof never_numbers[0]; i++) {
        assert_false(clv_parse_double(never_numbers[i], &value));
        assert_false(clv_parse_rate(never_numbers[i], &value));
        assert_false(clv_parse_time_us(never_numbers[i], &value));
    }
    assert_true(value == 99);
}

static void sizes(void **state) {
    (void)state;
    static const struct {
        const char *word;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"1K", 1024},
        {"256M", UINT64_C(256) << 20},
        {"1.5G", UINT64_C(3) << 29},
        {"2T", UINT64_C(2) << 40},
        {"0.5", 0},
        {"1e3", 1000},
        {"18446744073709551615", UINT64_MAX},
        {"9007199254740993", UINT64_C(9007199254740993)},
        {"16777215T", UINT64_C(16777215) << 40}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t value = 99;
        assert_true(clv_parse_size(good[i].word, &value));
        assert_true(value == good[i].value);
    }
    static const char *const bad[] = {"-1",        "-0",   "-1K",    "18446744073709551616",
                                      "16777216T", "1e20", "1e300T", "K",
                                      "1KB",       "1k",   "1P",     "1 M",
                                      "1MM",       "1.5.M"};
    uint64_t value = 99;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(clv_parse_size(bad[i], &value));
    }
    for (size_t i = 0; i < sizeof never_numbers / sizeof never_numbers[0]; i++) {
        assert_false(clv_parse_size(never_numbers[i], &value));
    }
    assert_true(value == 99);
}

static void rates_and_times(void **state) {
    (void)state;
    double value;
    assert_true(clv_parse_rate("25G", &value) && value == 25e9);
    assert_true(clv_parse_rate("1.5M", &value) && value == 1.5e6);
    assert_true(clv_parse_rate("1e9", &value) && value == 1e9);
    assert_true(clv_parse_rate("30T", &value) && value == 30e12);
    static const char *const bad_rates[] = {"0", "-1G", "1e300T0", "1e308G", "1s", "25Gb"};
    for (size_t i = 0; i < sizeof bad_rates / sizeof bad_rates[0]; i++) {
        assert_false(clv_parse_rate(bad_rates[i], &value));
    }
    assert_true(clv_parse_time_us("10us", &value) && value == 10);
    assert_true(clv_parse_time_us("1.5ms", &value) && value == 1500);
    assert_true(clv_parse_time_us("2s", &value) && value == 2e6);
    assert_true(clv_parse_time_us("0", &value) && value == 0);
    assert_true(clv_parse_time_us("0ms", &value) && value == 0);
    static const char *const bad_times[] = {"-1us",   "1ns", "1m", "1 us",
                                            "1e308s", "us",  "2",  "0.5"};
    for (size_t i = 0; i < sizeof bad_times / sizeof bad_times[0]; i++) {
        assert_false(clv_parse_time_us(bad_times[i], &value));
    }
}

static void check_format(
    void (*format)(char *, size_t, double), double value, const char *expected) {
    char buffer[32];
    format(buffer, sizeof buffer, value);
    assert_string_equal(buffer, expected);
}

static void sizes_for_people(void **state) {
    (void)state;
    check_format(clv_format_bytes, 0, "0 B");
    check_format(clv_format_bytes, 1023, "1023 B");
    check_format(clv_format_bytes, 1024, "1.0 KiB");
    check_format(clv_format_bytes, 256.0 * 1024 * 1024, "256.0 MiB");
    check_format(clv_format_bytes, 1024.0 * 1024 - 1, "1.0 MiB"); /* never "1024.0 KiB" */
    check_format(clv_format_bytes, 0x1p64, "16384.0 PiB");
    check_format(clv_format_count, 1.2e9, "1.2 G");
    check_format(clv_format_count, 999, "999 ");
    check_format(clv_format_count, 999999, "1.0 M");
    char tiny[4];
    clv_format_bytes(tiny, sizeof tiny, 123456);
    assert_int_equal(strlen(tiny), 3); /* cut, terminated */
}

static void nearest_names(void **state) {
    (void)state;
    static const char *const names[] = {"devices", "inspect", "run", "bench", "verify", "list"};
    enum { COUNT = sizeof names / sizeof names[0] };
    static const struct {
        const char *word, *expected;
    } cases[] = {
        {"device", "devices"}, {"inpsect", "inspect"}, {"VERIFY", "verify"}, {"rnu", "run"},
        {"benchmark", NULL},   {"xyzzy", NULL},        {"", NULL},           {"q", NULL},
        {"verifyy", "verify"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *found = clv_nearest(cases[i].word, names, COUNT);
        if (cases[i].expected == NULL) {
            assert_null(found);
        } else {
            assert_non_null(found);
            assert_string_equal(found, cases[i].expected);
        }
    }
    assert_null(clv_nearest("run", names, 0));
    char huge[100000];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_null(clv_nearest(huge, names, COUNT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(int64),
        cmocka_unit_test(real),
        cmocka_unit_test(sizes),
        cmocka_unit_test(rates_and_times),
        cmocka_unit_test(sizes_for_people),
        cmocka_unit_test(nearest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
