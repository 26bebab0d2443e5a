#include "host/base/json.h"
#include "host/base/memory.h"
#include "tests/support/check.h"

static cJSON *parse(const char *text) {
    cJSON *json;
    assert_ok(clv_json_parse("plan 'p.json'", text, strlen(text), &json));
    return json;
}

static void errors_name_line_and_column(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "plan 'p.json': empty"},
        {"{\"a\":\n  tru}", "not valid JSON at line 2, column 3"},
        {"{\"a\": 1,\n\n \"b\" 2}", "at line 3, column 6"},
        {"[1,2", "cut short, at line 1, column 4"},
        {"{} xyz", "not valid JSON at line 1, column 4"},
        {"{}\n\n{}", "at line 3, column 1"},
        {"nul", "line 1"},
        {"\"abc", "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cJSON *json;
        assert_failed(
            MALFORMED, cases[i].part,
            clv_json_parse("plan 'p.json'", cases[i].text, strlen(cases[i].text), &json));
        assert_null(json);
    }
}

static void bytes_past_the_length_are_not_read(void **state) {
    (void)state;
    cJSON *json;
    assert_ok(clv_json_parse("x", "[1]]]]", 3, &json));
    cJSON_Delete(json);
    char *exact = clv_alloc(2); /* a sanitizer would see a read of a third byte */
    memcpy(exact, "[1", 2);
    assert_failed(MALFORMED, "cut short", clv_json_parse("x", exact, 2, &json));
    clv_free(exact);
    assert_failed(MALFORMED, "not valid", clv_json_parse("x", "{}\0{}", 5, &json));
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    enum { DEPTH = 1000000 };
    char *text = clv_alloc(DEPTH);
    memset(text, '[', DEPTH);
    cJSON *json;
    assert_failed(MALFORMED, "line 1", clv_json_parse("x", text, DEPTH, &json));
    clv_free(text);
}

static void getters_check_types_and_ranges(void **state) {
    (void)state;
    cJSON *json =
        parse("{\"s\":\"text\",\"i\":7,\"x\":1.5,\"big\":1e300,\"inf\":1e999,\"a\":[1],\"b\":true,"
              "\"edge\":9007199254740992,\"n\":null}");
    const char *where = "tasks[3]", *text;
    int64_t integer;
    double number;
    const cJSON *array;
    assert_ok(clv_json_get_string(json, where, "s", &text));
    assert_string_equal(text, "text");
    assert_ok(clv_json_get_int(json, where, "i", 0, 7, &integer));
    assert_int_equal(integer, 7);
    assert_ok(clv_json_get_int(json, where, "edge", INT64_MIN, INT64_MAX, &integer));
    assert_int_equal(integer, INT64_C(9007199254740992));
    assert_ok(clv_json_get_number(json, where, "x", 0, 2, &number));
    assert_true(number == 1.5);
    assert_ok(clv_json_get_array(json, where, "a", &array));
    assert_int_equal(cJSON_GetArraySize(array), 1);
    assert_non_null(clv_json_find(json, "b"));
    assert_null(clv_json_find(json, "B"));

    assert_failed(
        MALFORMED, "tasks[3]: 'q' is missing, a string is needed",
        clv_json_get_string(json, where, "q", &text));
    assert_failed(
        MALFORMED, "tasks[3]: 'i' is a number, a string is needed",
        clv_json_get_string(json, where, "i", &text));
    assert_failed(
        MALFORMED, "'n' is null, an array is needed", clv_json_get_array(json, where, "n", &array));
    assert_failed(
        MALFORMED, "'i' is 7, a whole number from 0 to 6 is needed",
        clv_json_get_int(json, where, "i", 0, 6, &integer));
    assert_failed(
        MALFORMED, "'x' is 1.5, a whole number",
        clv_json_get_int(json, where, "x", 0, 9, &integer));
    assert_failed(
        MALFORMED, "'big' is", clv_json_get_int(json, where, "big", 0, INT64_MAX, &integer));
    assert_failed(
        MALFORMED, "'inf' is inf", clv_json_get_number(json, where, "inf", 0, 1e308, &number));
    assert_failed(MALFORMED, "'x' is 1.5", clv_json_get_number(json, where, "x", 2, 3, &number));
    assert_failed(
        MALFORMED, "tasks[3] is an array, an object is needed",
        clv_json_get_number(clv_json_find(json, "a"), where, "x", 2, 3, &number));
    assert_failed(
        MALFORMED, "tasks[3] is missing", clv_json_get_number(NULL, where, "x", 2, 3, &number));
    cJSON_Delete(json);
}

static void numbers_are_those_of_json(void **state) {
    (void)state;
    static const char *const good[] = {
        "0", "-0", "10", "[1.5e+3,-0.25E-2,1e5]", "{\"01\":\"\\\"01\"}"};
    static const char *const bad[] = {"01", "-01", "[1, 007]", "{\"a\":1.}", "1.e5", "1e"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cJSON_Delete(parse(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cJSON *json;
        assert_failed(
            MALFORMED, "not valid JSON", clv_json_parse("x", bad[i], strlen(bad[i]), &json));
        assert_null(json);
    }
    cJSON *json;
    assert_failed(MALFORMED, "at line 2, column 3", clv_json_parse("x", "[1,\n  007 ]", 11, &json));
}

static void strings_are_those_of_json(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"{\"a\xff\": 1}", "a string that is not UTF-8, at line 1, column 4"},
        {"[1,\n \"\xc3\"]", "not UTF-8, at line 2, column 3"},  /* cut short */
        {"[\"\xc0\x80\"]", "not UTF-8, at line 1, column 3"},   /* overlong */
        {"\"\xed\xa0\x80\"", "not UTF-8, at line 1, column 2"}, /* a surrogate */
        {"[\"a\\u0000b\"]", "\\u0000 in a string, at line 1, column 4"},
        {"[\"a\\\\\\u0000\"]", "\\u0000 in a string, at line 1, column 6"},
        {"[\"a\nb\"]", "a control character in a string, at line 1, column 4"},
        {"[1,\v2]", "not valid JSON at line 1, column 4"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cJSON *json;
        assert_failed(
            MALFORMED, bad[i].part, clv_json_parse("x", bad[i].text, strlen(bad[i].text), &json));
        assert_null(json);
    }
    cJSON *json;
    assert_failed(MALFORMED, "a control character", clv_json_parse("x", "\"a\0b\"", 5, &json));
    json =
        parse("\xef\xbb\xbf[\"\\\\u0000\", \"\\u0001\\\"\xc3\xa9\x7f\", \"\\ud83d\\ude00\"]\r\n");
    assert_string_equal(cJSON_GetArrayItem(json, 0)->valuestring, "\\u0000");
    assert_string_equal(cJSON_GetArrayItem(json, 1)->valuestring, "\x01\"\xc3\xa9\x7f");
    assert_string_equal(cJSON_GetArrayItem(json, 2)->valuestring, "\xf0\x9f\x98\x80");
    cJSON_Delete(json);
}

static void unknown_and_repeated_members_are_refused(void **state) {
    (void)state;
    static const char *const keys[] = {"tasks", "edges"};
    cJSON *json = parse("{\"tasks\":[],\"edgse\":[]}");
    assert_failed(
        MALFORMED, "plan: unknown member 'edgse'; did you mean 'edges'?",
        clv_json_known_keys(json, "plan", keys, 2));
    cJSON_Delete(json);
    json = parse("{\"zzz\":1}");
    assert_failed(MALFORMED, "unknown member 'zzz'", clv_json_known_keys(json, "plan", keys, 2));
    assert_failed(MALFORMED, "unknown", clv_json_known_keys(json, "plan", NULL, 0));
    cJSON_Delete(json);
    json = parse("{\"tasks\":1,\"edges\":2,\"tasks\":3}");
    assert_failed(
        MALFORMED, "'tasks' stands there twice", clv_json_known_keys(json, "plan", keys, 2));
    cJSON_Delete(json);
    json = parse("{\"edges\":2}");
    assert_ok(clv_json_known_keys(json, "plan", keys, 2));
    assert_failed(
        MALFORMED, "a number", clv_json_known_keys(clv_json_find(json, "edges"), "e", keys, 2));
    cJSON_Delete(json);
}

/* With cJSON on our allocator, every allocation of it fails once. */
static void lack_of_memory_is_not_bad_syntax(void **state) {
    (void)state;
    cJSON_Hooks hooks = {.malloc_fn = clv_alloc, .free_fn = clv_free};
    cJSON_InitHooks(&hooks);
    const char *text = "{\"a\":[1,2,{\"b\":\"c\"}]}";
    int64_t before = clv_memory_count();
    cJSON_Delete(parse(text));
    int64_t needed = clv_memory_count() - before;
    assert_true(needed > 5);
    for (int64_t n = 0; n < needed; n++) {
        cJSON *json;
        clv_memory_fail_at(n);
        clv_status *status = clv_json_parse("x", text, strlen(text), &json);
        clv_memory_fail_at(-1);
        assert_failed(NO_MEMORY, "out of host memory", status);
        assert_null(json);
    }
    cJSON *json = parse(text);
    bool printed = false;
    for (int64_t n = 0; !printed && n < 100; n++) {
        clv_memory_fail_at(n);
        char *copy = clv_json_print_copy(json, true);
        clv_memory_fail_at(-1);
        printed = copy != NULL;
        if (printed) {
            assert_true(n > 0);
            assert_string_equal(copy, text);
        }
        clv_free(copy);
    }
    assert_true(printed);
    cJSON_Delete(json);
    cJSON_InitHooks(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(bytes_past_the_length_are_not_read),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(getters_check_types_and_ranges),
        cmocka_unit_test(numbers_are_those_of_json),
        cmocka_unit_test(strings_are_those_of_json),
        cmocka_unit_test(unknown_and_repeated_members_are_refused),
        cmocka_unit_test(lack_of_memory_is_not_bad_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
