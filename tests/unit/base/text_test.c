#include "host/base/memory.h"
#include "host/base/text.h"
#include "tests/support/check.h"
#include <locale.h>
#include <stdlib.h>

static void text_grows(void **state) {
    (void)state;
    clv_text text;
    clv_text_init(&text);
    size_t expected = 0;
    for (int i = 0; i < 1000; i++) {
        clv_text_add(&text, "%d,", i);
        expected += i < 10 ? 2 : i < 100 ? 3 : 4;
    }
    assert_int_equal(text.length, expected);
    assert_int_equal(strlen(text.data), expected);
    char *string;
    assert_ok(clv_text_take(&text, &string));
    assert_null(text.data);
    assert_int_equal(strncmp(string, "0,1,2,", 6), 0);
    clv_free(string);
}

static void long_pieces_fit(void **state) {
    (void)state;
    char piece[3000];
    memset(piece, 'y', sizeof piece - 1);
    piece[sizeof piece - 1] = '\0';
    clv_text text;
    clv_text_init(&text);
    clv_text_add(&text, "<%s>", piece);
    clv_text_add_bytes(&text, "a\0b", 3);
    assert_int_equal(text.length, 3004);
    assert_memory_equal(text.data + 3000, ">a\0b", 5);
    clv_text_deinit(&text);
}

static void an_empty_text_can_be_taken(void **state) {
    (void)state;
    clv_text text;
    clv_text_init(&text);
    char *string;
    assert_ok(clv_text_take(&text, &string));
    assert_string_equal(string, "");
    clv_free(string);
}

static void without_memory_take_says_so(void **state) {
    (void)state;
    for (int64_t n = 0; n < 3; n++) {
        clv_text text;
        clv_text_init(&text);
        clv_memory_fail_at(n);
        for (int i = 0; i < 100; i++) {
            clv_text_add(&text, "%s", "some text that is a little longer");
        }
        clv_memory_fail_at(-1);
        assert_true(text.failed);
        char *string;
        assert_failed(NO_MEMORY, "out of host memory", clv_text_take(&text, &string));
        assert_null(string);
        assert_false(text.failed); /* usable again */
        clv_text_deinit(&text);
    }
}

typedef void (*escaper)(clv_text *text, const char *string);

static void check_escaped(escaper escape, const char *from, const char *expected) {
    clv_text text;
    clv_text_init(&text);
    escape(&text, from);
    clv_text_add_bytes(&text, "", 0);
    assert_string_equal(text.data, expected);
    clv_text_deinit(&text);
}

static void json_is_escaped(void **state) {
    (void)state;
    check_escaped(clv_text_add_json, "", "\"\"");
    check_escaped(clv_text_add_json, "a\"b\\c/", "\"a\\\"b\\\\c/\"");
    check_escaped(clv_text_add_json, "\n\t\r\x01\x1f", "\"\\n\\t\\u000d\\u0001\\u001f\"");
    check_escaped(clv_text_add_json, "\x7f\xc2\x9b\xc2\xa0", "\"\\u007f\\u009b\xc2\xa0\"");
    check_escaped(
        clv_text_add_json, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82\"");
}

static void xml_is_escaped(void **state) {
    (void)state;
    check_escaped(clv_text_add_xml, "", "");
    check_escaped(
        clv_text_add_xml, "<a b=\"c\" d='&'>", "&lt;a b=&quot;c&quot; d=&#39;&amp;&#39;&gt;");
    check_escaped(clv_text_add_xml, "x\x01\ny\xff", "x&#xfffd;\ny&#xfffd;");
    check_escaped(clv_text_add_xml, "\xc3\xa9", "\xc3\xa9");
}

static void invalid_utf8_is_replaced(void **state) {
    (void)state;
#define BAD "\\ufffd"
    static const struct {
        const char *from, *expected;
    } cases[] = {
        {"\x80", "\"" BAD "\""},                         /* continuation alone */
        {"\xc3", "\"" BAD "\""},                         /* cut off by the end */
        {"\xe2\x82", "\"" BAD BAD "\""},                 /* the same, three bytes */
        {"\xc3(", "\"" BAD "(\""},                       /* wrong continuation */
        {"\xc0\xaf", "\"" BAD BAD "\""},                 /* overlong '/' */
        {"\xe0\x80\xaf", "\"" BAD BAD BAD "\""},         /* overlong, three bytes */
        {"\xf0\x80\x80\xaf", "\"" BAD BAD BAD BAD "\""}, /* overlong, four bytes */
        {"\xed\xa0\x80", "\"" BAD BAD BAD "\""},         /* surrogate */
        {"\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\""}, /* past U+10FFFF */
        {"\xff\xfe", "\"" BAD BAD "\""},
        {"\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\""},                 /* U+10FFFF is fine */
        {"\xed\x9f\xbf\xee\x80\x80", "\"\xed\x9f\xbf\xee\x80\x80\""}, /* around the surrogates */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_escaped(clv_text_add_json, cases[i].from, cases[i].expected);
    }
    check_escaped(clv_text_add_utf8, "", "");
    check_escaped(clv_text_add_utf8, "a\xff\xc3\xa9\n\xc3", "a\xef\xbf\xbd\xc3\xa9\n\xef\xbf\xbd");
    check_escaped(clv_text_add_utf8, "\xe2\x82\xac", "\xe2\x82\xac");
    check_escaped(clv_text_add_name, "a\x1b[\n\x7f\xc2\x9b\xff\xc3\xa9", "a?[????\xc3\xa9");
}

/* In a locale that writes 1,5 our text still says 1.5. The build makes one, where LOCPATH says, if
 * the system has what it takes. */
static void numbers_do_not_follow_the_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "es_ES.UTF-8"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++) {
        found = setlocale(LC_NUMERIC, names[i]) != NULL;
    }
    if (!found) {
        assert_null(getenv("LOCPATH"));
        skip();
    }
    clv_text text;
    clv_text_init(&text);
    clv_text_add(&text, "%.1f", 1.5);
    double value = 0;
    bool parsed = clv_parse_double("2.5", &value);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(text.data, "1.5");
    assert_true(parsed && value == 2.5);
    clv_text_deinit(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows),
        cmocka_unit_test(long_pieces_fit),
        cmocka_unit_test(an_empty_text_can_be_taken),
        cmocka_unit_test(without_memory_take_says_so),
        cmocka_unit_test(json_is_escaped),
        cmocka_unit_test(xml_is_escaped),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(numbers_do_not_follow_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
