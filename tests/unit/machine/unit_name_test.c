#include "host/machine/unit_name.h"

#include "host/base/memory.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>

/* cpu, four cores, a GPU, a GPU that cannot be used, one other device. */
static clv_unit_entry entries[8];

static int make_entries(void **state) {
    (void)state;
    clv_unit_name_init(&entries[0].name, CLV_UNIT_CPU, 0, 0);
    for (int i = 0; i < 4; i++) {
        clv_unit_name_init(&entries[1 + i].name, CLV_UNIT_CORE, 0, i);
    }
    clv_unit_name_init(&entries[5].name, CLV_UNIT_GPU, 0, 0);
    clv_unit_name_init(&entries[6].name, CLV_UNIT_GPU, 0, 1);
    clv_unit_name_init(&entries[7].name, CLV_UNIT_CL, 1, 0);
    for (int i = 0; i < 8; i++) {
        entries[i].usable = i != 6;
    }
    entries[6].reason = "it has no compiler";
    return 0;
}

static clv_status *parse(const char *list, clv_unit_name **out_names, size_t *out_num) {
    return clv_unit_list_parse(list, entries, 8, out_names, out_num);
}

static void check_names(const char *list, const char *expected) {
    clv_unit_name *names = NULL;
    size_t count = 0;
    char got[256] = "";
    assert_ok(parse(list, &names, &count));
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(got);
        snprintf(got + used, sizeof got - used, "%s%s", i == 0 ? "" : " ", names[i].text);
    }
    assert_string_equal(got, expected);
    clv_free(names);
}

static void test_lists(void **state) {
    (void)state;
    check_names("cpu", "cpu");
    check_names("core:3", "core:3");
    check_names("gpu:0,core:1", "gpu:0 core:1");
    check_names(" core:1 , cl:1.0 ", "core:1 cl:1.0");
    check_names("all", "core:0 core:1 core:2 core:3 gpu:0");
    check_names("cpu,gpu:0,cl:1.0", "cpu gpu:0 cl:1.0");
    check_names("all{speed=0.5},cl:1.0", "core:0 core:1 core:2 core:3 gpu:0 cl:1.0");
}

static void test_limits(void **state) {
    (void)state;
    clv_unit_name *names = NULL;
    size_t count = 0;
    assert_ok(parse("core:0,core:1{speed=0.5,mem=256M,link=2G,latency=20us}", &names, &count));
    assert_int_equal(count, 2);
    assert_false(clv_unit_limits_any(&names[0].limits));
    assert_true(clv_unit_limits_any(&names[1].limits));
    assert_string_equal(names[1].text, "core:1");
    assert_true(names[1].limits.speed == 0.5);
    assert_int_equal(names[1].limits.memory_bytes, 256 << 20);
    assert_true(fabs(names[1].limits.link_per_second - 2e9) < 1);
    assert_true(fabs(names[1].limits.latency_us - 20) < 1e-9);
    clv_free(names);
    assert_ok(parse("core:0{ mem=1G , speed=1 }", &names, &count));
    assert_int_equal(names[0].limits.memory_bytes, 1 << 30);
    clv_free(names);
    assert_ok(parse("core:0{}", &names, &count));
    assert_false(clv_unit_limits_any(&names[0].limits));
    clv_free(names);
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *list, *message;
        clv_code code;
    } cases[] = {
        {"", "empty name", CLV_USAGE},
        {"core:0,", "empty name", CLV_USAGE},
        {",core:0", "empty name", CLV_USAGE},
        {"core:0,core:0", "'core:0' is named twice", CLV_USAGE},
        {"all,core:2", "'core:2' is named twice", CLV_USAGE},
        {"cpu,core:0", "same silicon", CLV_USAGE},
        {"core:0,gpu:0,cpu", "same silicon", CLV_USAGE},
        {"cpu,all", "same silicon", CLV_USAGE},
        {"core:9", "there are cpu, core:0, core:1", CLV_NO_DEVICE},
        {"gpu:7", "did you mean 'gpu:", CLV_NO_DEVICE},
        {"cuda:0", "no device 'cuda:0'", CLV_NO_DEVICE},
        {"cor:1", "did you mean 'core:1'", CLV_NO_DEVICE},
        {"core", "no device 'core'", CLV_NO_DEVICE},
        {"core:", "no device", CLV_NO_DEVICE},
        {"core:01", "no device", CLV_NO_DEVICE},
        {"core:-1", "no device", CLV_NO_DEVICE},
        {"core:0x1", "no device", CLV_NO_DEVICE},
        {"core:99999999999999999999", "no device", CLV_NO_DEVICE},
        {"cl:1", "no device", CLV_NO_DEVICE},
        {"cl:1.0.0", "no device", CLV_NO_DEVICE},
        {"cl:0.0", "no device", CLV_NO_DEVICE},
        {"CPU", "did you mean 'cpu'", CLV_NO_DEVICE},
        {"gpu:1", "'gpu:1' cannot be used: it has no compiler", CLV_NO_DEVICE},
        {"core:0{speed=0.5", "braces", CLV_USAGE},
        {"core:0{speed=0.5}}", "braces", CLV_USAGE},
        {"core:0{speed=0.5}x", "braces", CLV_USAGE},
        {"core:0{speed}", "NAME=VALUE", CLV_USAGE},
        {"core:0{speed=1,mem=1G,speed=1}", "'core:0': speed stands there twice", CLV_USAGE},
        {"core:0{latency=20}", "latency is '20', needed is a time such as 20us", CLV_USAGE},
        {"core:0{speed=0}", "speed is '0', needed is a number above 0", CLV_USAGE},
        {"core:0{speed=2}", "speed is '2'", CLV_USAGE},
        {"core:0{speed=nan}", "speed is 'nan'", CLV_USAGE},
        {"core:0{mem=lots}", "mem is 'lots', needed is a size", CLV_USAGE},
        {"core:0{mem=-1}", "mem is '-1'", CLV_USAGE},
        {"core:0{link=0}", "link is '0', needed is bytes per second", CLV_USAGE},
        {"core:0{latency=-1us}", "latency is '-1us', needed is a time", CLV_USAGE},
        {"core:0{sped=1}", "did you mean 'speed'", CLV_USAGE},
        {"core:0{,}", "NAME=VALUE", CLV_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_unit_name *names = NULL;
        size_t count = 0;
        clv_status *status = parse(cases[i].list, &names, &count);
        if (clv_status_code(status) != cases[i].code ||
            strstr(clv_status_message(status), cases[i].message) == NULL) {
            fail_msg("'%s' gave '%s'", cases[i].list, clv_status_message(status));
        }
        assert_null(names);
        clv_status_destroy(status);
    }
}

/* No text crashes it, however long or odd. */
static void test_odd_texts(void **state) {
    (void)state;
    char text[600];
    memset(text, '{', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    clv_unit_name *names = NULL;
    size_t count = 0;
    assert_failed(USAGE, "", parse(text, &names, &count));
    memset(text, 'a', sizeof text - 1);
    assert_failed(USAGE, "too long", parse(text, &names, &count));
    memcpy(text, "core:0{", 7);
    text[598] = '}';
    assert_failed(USAGE, "too long", parse(text, &names, &count));
}

static void test_none(void **state) {
    (void)state;
    clv_unit_name *names = NULL;
    size_t count = 0;
    assert_failed(
        NO_DEVICE, "no core and no GPU", clv_unit_list_parse("all", entries, 1, &names, &count));
    assert_failed(NO_DEVICE, "there are none", clv_unit_list_parse("cpu", NULL, 0, &names, &count));
}

static void test_allocation_failures(void **state) {
    (void)state;
    for (int64_t n = 0;; n++) {
        clv_unit_name *names = NULL;
        size_t count = 0;
        int64_t before = clv_memory_count();
        clv_memory_fail_at(n);
        clv_status *status = parse("all", &names, &count);
        clv_memory_fail_at(-1);
        bool reached = clv_memory_count() - before > n;
        assert_int_equal(clv_status_code(status), reached ? CLV_NO_MEMORY : CLV_OK);
        clv_status_destroy(status);
        clv_free(names);
        if (!reached) {
            assert_true(n > 0);
            break;
        }
    }
}

/* What is written is read as it was. */
static void test_writing(void **state) {
    (void)state;
    static const char *const lists[] = {
        "core:0", "gpu:0{mem=1G}", "core:1{speed=0.3,link=1.7G}", "cl:1.0{latency=0.1us}",
        "core:1{speed=0.5,mem=256M,link=2G,latency=20us}"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        clv_unit_name *before = NULL, *after = NULL;
        size_t count = 0;
        clv_text text;
        clv_text_init(&text);
        assert_ok(parse(lists[i], &before, &count));
        clv_unit_name_write(&before[0], &text);
        assert_ok(parse(text.data, &after, &count));
        assert_int_equal(count, 1);
        assert_string_equal(before[0].text, after[0].text);
        assert_memory_equal(&before[0].limits, &after[0].limits, sizeof after[0].limits);
        clv_text_deinit(&text);
        clv_free(before);
        clv_free(after);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_odd_texts),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, make_entries, NULL);
}
