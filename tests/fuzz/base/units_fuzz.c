/* Any text as numbers with units, and through the escapers: what comes out is in range, and valid
 * UTF-8 without control codes. */
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/base/utf8.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool holds) {
    if (!holds) {
        abort();
    }
}

static void check_escaped(const char *word, void (*escape)(clv_text *, const char *)) {
    clv_text text;
    clv_text_init(&text);
    escape(&text, word);
    for (const char *at = text.length != 0 ? text.data : ""; *at != '\0';) {
        size_t length = clv_utf8_length(at);
        check(length != 0);
        at += length;
    }
    clv_text_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char *word = clv_alloc(bytes + 1);
    check(word != NULL);
    memcpy(word, data, bytes);
    word[bytes] = '\0';
    double number;
    int64_t integer;
    uint64_t size;
    if (clv_parse_double(word, &number)) {
        check(isfinite(number));
    }
    if (clv_parse_rate(word, &number)) {
        check(isfinite(number) && number > 0);
    }
    if (clv_parse_time_us(word, &number)) {
        check(isfinite(number) && number >= 0);
    }
    if (clv_parse_int64(word, &integer)) {
        check(clv_parse_double(word, &number));
    }
    clv_parse_size(word, &size);
    static const char *const names[] = {"devices", "inspect", "run"};
    clv_nearest(word, names, 3);
    check_escaped(word, clv_text_add_json);
    check_escaped(word, clv_text_add_xml);
    clv_free(word);
    return 0;
}
