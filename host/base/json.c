#include "host/base/json.h"

#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/base/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* `why` says what is wrong at `offset`; "" where nothing is known of it. */
static clv_status *syntax_error(
    const char *what, const char *text, size_t offset, size_t length, const char *why) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset; i++) {
        column++;
        if (text[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return CLV_ERROR(
        MALFORMED, "%s%s%s%s at line %zu, column %zu", what != NULL ? what : "",
        what != NULL ? ": " : "",
        offset + 1 >= length && why[0] == '\0' ? "not valid JSON, or cut short," : "not valid JSON",
        why, line, column);
}

static size_t num_digits(const char *text, size_t length) {
    size_t count = 0;
    while (count < length && text[count] >= '0' && text[count] <= '9') {
        count++;
    }
    return count;
}

/* Bytes of the number at `text` by RFC 8259, section 6; 0 where it is none. */
static size_t number_length(const char *text, size_t length) {
    size_t at = length > 0 && text[0] == '-' ? 1 : 0, digits = num_digits(text + at, length - at);
    if (digits == 0 || (digits > 1 && text[at] == '0')) {
        return 0;
    }
    at += digits;
    if (at < length && text[at] == '.') {
        digits = num_digits(text + at + 1, length - at - 1);
        at += digits > 0 ? digits + 1 : 0;
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        size_t sign = at + 1 < length && (text[at + 1] == '+' || text[at + 1] == '-') ? 1 : 0;
        digits = num_digits(text + at + 1 + sign, length - at - 1 - sign);
        at += digits > 0 ? digits + 1 + sign : 0;
    }
    return at;
}

/* Bytes of the character at `text` inside of a string, of which cJSON takes more than RFC 8259,
 * sections 7 and 8.1, and names here cannot hold U+0000; 0 where it is none of these. */
static size_t character_length(const char *text, size_t length, const char **out_why) {
    if ((unsigned char)text[0] < 0x20) {
        *out_why = ", a control character in a string,";
        return 0;
    }
    if (text[0] == '\\') {
        *out_why = ", \\u0000 in a string,";
        return length < 6 || memcmp(text + 1, "u0000", 5) != 0 ? 2 : 0;
    }
    *out_why = ", a string that is not UTF-8,";
    return clv_utf8_length(text);
}

/* Where in text that cJSON takes something stands that JSON does not know: numbers (01, 1., -01),
 * characters of strings, control characters; `length` where nothing does. A string's closing quote
 * keeps reads of its characters inside of the text. */
static size_t find_bad(const char *text, size_t length, const char **out_why) {
    bool is_string = false;
    for (size_t i = 0, step = 1; i < length; i += step) {
        char c = text[i];
        step = 1;
        *out_why = "";
        if (is_string && c != '"') {
            step = character_length(text + i, length - i, out_why);
        } else if (c == '"') {
            is_string = !is_string;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            step = number_length(text + i, length - i);
            size_t end = i + step;
            if (end < length && !is_space(text[end]) && strchr(",]}", text[end]) == NULL) {
                step = 0;
            }
        } else if ((unsigned char)c < 0x20 && !is_space(c)) {
            step = 0;
        }
        if (step == 0) {
            return i;
        }
    }
    return length;
}

/* cJSON keeps its last error in a global: one thread parses at a time. errno tells lack of memory
 * from bad syntax, which cJSON does not. */
static cJSON *parse(const char *text, size_t length, const char **out_end, int *out_error) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    errno = 0;
    cJSON *json = cJSON_ParseWithLengthOpts(text, length, out_end, false);
    *out_error = json == NULL ? errno : 0;
    pthread_mutex_unlock(&lock);
    return json;
}

clv_status *clv_json_parse(const char *what, const char *text, size_t length, cJSON **out_json) {
    *out_json = NULL;
    if (length == 0) {
        return CLV_ERROR(
            MALFORMED, "%s%sempty, JSON is needed", what != NULL ? what : "",
            what != NULL ? ": " : "");
    }
    const char *end = text;
    int error;
    cJSON *json = parse(text, length, &end, &error);
    if (json == NULL && error == ENOMEM) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for %zu bytes of JSON", length);
    }
    size_t offset = end != NULL && end >= text ? (size_t)(end - text) : 0;
    if (json == NULL) {
        return syntax_error(what, text, offset, length, "");
    }
    while (offset < length && is_space(text[offset])) {
        offset++;
    }
    const char *why = "";
    if (offset == length) {
        offset = find_bad(text, length, &why);
    }
    if (offset < length) {
        cJSON_Delete(json);
        return syntax_error(what, text, offset, length, why);
    }
    *out_json = json;
    return NULL;
}

static const char *type_name(const cJSON *item) {
    switch (item->type & 0xff) {
    case cJSON_False:
    case cJSON_True:
        return "a boolean";
    case cJSON_NULL:
        return "null";
    case cJSON_Number:
        return "a number";
    case cJSON_String:
        return "a string";
    case cJSON_Array:
        return "an array";
    default:
        return "an object";
    }
}

/* The member, which must be of this type ("a string"). */
static clv_status *get_member(
    const cJSON *object, const char *where, const char *key, const char *type,
    const cJSON **out_item) {
    *out_item = NULL;
    if (!cJSON_IsObject(object)) {
        return CLV_ERROR(
            MALFORMED, "%s is %s, an object is needed", where,
            object != NULL ? type_name(object) : "missing");
    }
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item == NULL) {
        return CLV_ERROR(MALFORMED, "%s: '%s' is missing, %s is needed", where, key, type);
    }
    if (strcmp(type_name(item), type) != 0) {
        return CLV_ERROR(
            MALFORMED, "%s: '%s' is %s, %s is needed", where, key, type_name(item), type);
    }
    *out_item = item;
    return NULL;
}

clv_status *clv_json_get_string(
    const cJSON *object, const char *where, const char *key, const char **out_value) {
    *out_value = NULL;
    const cJSON *item;
    CLV_TRY(get_member(object, where, key, "a string", &item));
    *out_value = item->valuestring;
    return NULL;
}

clv_status *clv_json_get_number(
    const cJSON *object, const char *where, const char *key, double minimum, double maximum,
    double *out_value) {
    const cJSON *item;
    CLV_TRY(get_member(object, where, key, "a number", &item));
    double value = item->valuedouble;
    if (!isfinite(value) || value < minimum || value > maximum) {
        return CLV_ERROR(
            MALFORMED, "%s: '%s' is %g, a number from %g to %g is needed", where, key, value,
            minimum, maximum);
    }
    *out_value = value;
    return NULL;
}

clv_status *clv_json_get_int(
    const cJSON *object, const char *where, const char *key, int64_t minimum, int64_t maximum,
    int64_t *out_value) {
    const cJSON *item;
    CLV_TRY(get_member(object, where, key, "a number", &item));
    double value = item->valuedouble;
    bool exact =
        isfinite(value) && fabs(value) <= (double)CLV_JSON_MOST_INTEGER && value == floor(value);
    if (!exact || (int64_t)value < minimum || (int64_t)value > maximum) {
        return CLV_ERROR(
            MALFORMED,
            "%s: '%s' is %.17g, a whole number from %" PRId64 " to %" PRId64 " is needed", where,
            key, value, minimum, maximum);
    }
    *out_value = (int64_t)value;
    return NULL;
}

clv_status *clv_json_get_array(
    const cJSON *object, const char *where, const char *key, const cJSON **out_array) {
    return get_member(object, where, key, "an array", out_array);
}

const cJSON *clv_json_find(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool is_among(const char *name, const char *const *keys, size_t num_keys) {
    for (size_t i = 0; i < num_keys; i++) {
        if (strcmp(name, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

clv_status *clv_json_known_keys(
    const cJSON *object, const char *where, const char *const *keys, size_t num_keys) {
    if (!cJSON_IsObject(object)) {
        return CLV_ERROR(
            MALFORMED, "%s is %s, an object is needed", where,
            object != NULL ? type_name(object) : "missing");
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, object) {
        if (!is_among(item->string, keys, num_keys)) {
            const char *nearest = clv_nearest(item->string, keys, num_keys);
            return CLV_ERROR(
                MALFORMED, "%s: unknown member '%s'%s%s%s", where, item->string,
                nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                nearest != NULL ? "'?" : "");
        }
        /* the first of that name: members are few, since all so far are known and unlike */
        if (cJSON_GetObjectItemCaseSensitive(object, item->string) != item) {
            return CLV_ERROR(MALFORMED, "%s: '%s' stands there twice", where, item->string);
        }
    }
    return NULL;
}

char *clv_json_print_copy(const cJSON *json, bool compact) {
    char *printed = compact ? cJSON_PrintUnformatted(json) : cJSON_Print(json);
    if (printed == NULL) {
        return NULL;
    }
    clv_text text;
    clv_text_init(&text);
    clv_text_add_utf8(&text, printed);
    cJSON_free(printed);
    char *copy = NULL;
    clv_status_destroy(clv_text_take(&text, &copy));
    return copy;
}
