#include "host/base/text.h"

#include "host/base/memory.h"
#include "host/base/utf8.h"
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static locale_t c_locale; /* (locale_t)0 where it could not be made */

static void make_c_locale(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The program may have set a locale that writes 1,5 for 1.5; our files always say 1.5. */
locale_t clv_c_locale(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale;
}

void clv_text_init(clv_text *text) {
    *text = (clv_text){.data = NULL};
}

void clv_text_deinit(clv_text *text) {
    clv_free(text->data);
    clv_text_init(text);
}

/* Room for `length` more bytes and the terminator. */
static bool reserve(clv_text *text, size_t length) {
    size_t needed;
    void *data = text->data;
    if (text->failed || !clv_add_size(text->length, length, &needed) ||
        !clv_add_size(needed, 1, &needed) ||
        !clv_array_reserve(&data, &text->capacity, needed, 1)) {
        text->failed = true;
        return false;
    }
    text->data = data;
    return true;
}

void clv_text_add_bytes(clv_text *text, const char *bytes, size_t length) {
    if (!reserve(text, length)) {
        return;
    }
    if (length != 0) {
        memcpy(text->data + text->length, bytes, length);
    }
    text->length += length;
    text->data[text->length] = '\0';
}

CLV_PRINTF(2, 0)
static void add_formatted(clv_text *text, const char *format, va_list args) {
    if (!reserve(text, 64)) {
        return;
    }
    va_list again;
    va_copy(again, args);
    size_t room = text->capacity - text->length;
    int length = vsnprintf(text->data + text->length, room, format, args);
    if (length >= 0 && (size_t)length >= room && reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
    }
    va_end(again);
    if (length < 0 || text->failed) {
        text->failed = true;
        text->data[text->length] = '\0';
        return;
    }
    text->length += (size_t)length;
}

void clv_text_addv(clv_text *text, const char *format, va_list args) {
    locale_t locale = clv_c_locale();
    locale_t before = locale != (locale_t)0 ? uselocale(locale) : (locale_t)0;
    add_formatted(text, format, args);
    if (before != (locale_t)0) {
        uselocale(before);
    }
}

void clv_text_add(clv_text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    clv_text_addv(text, format, args);
    va_end(args);
}

void clv_format(char *buffer, size_t capacity, const char *format, ...) {
    va_list args;
    locale_t locale = clv_c_locale();
    locale_t before = locale != (locale_t)0 ? uselocale(locale) : (locale_t)0;
    va_start(args, format);
    vsnprintf(buffer, capacity, format, args);
    va_end(args);
    if (before != (locale_t)0) {
        uselocale(before);
    }
}

void clv_text_add_json(clv_text *text, const char *string) {
    clv_text_add_bytes(text, "\"", 1);
    while (*string != '\0') {
        unsigned char byte = (unsigned char)*string;
        size_t length = clv_utf8_length(string);
        if (length == 0) {
            clv_text_add_bytes(text, "\\ufffd", 6);
            length = 1;
        } else if (byte == '"' || byte == '\\') {
            clv_text_add_bytes(text, "\\", 1);
            clv_text_add_bytes(text, string, 1);
        } else if (byte == '\n') {
            clv_text_add_bytes(text, "\\n", 2);
        } else if (byte == '\t') {
            clv_text_add_bytes(text, "\\t", 2);
        } else if (byte < 0x20 || byte == 0x7f) {
            clv_text_add(text, "\\u%04x", byte);
        } else if (byte == 0xc2 && (unsigned char)string[1] < 0xa0) { /* U+0080 to U+009F */
            clv_text_add(text, "\\u%04x", (unsigned char)string[1]);
        } else {
            clv_text_add_bytes(text, string, length);
        }
        string += length;
    }
    clv_text_add_bytes(text, "\"", 1);
}

void clv_text_add_utf8(clv_text *text, const char *string) {
    while (*string != '\0') {
        size_t run = 0, length = 0;
        while (string[run] != '\0' && (length = clv_utf8_length(string + run)) != 0) {
            run += length;
        }
        clv_text_add_bytes(text, string, run);
        string += run;
        if (*string != '\0') {
            clv_text_add_bytes(text, "\xef\xbf\xbd", 3);
            string++;
        }
    }
}

/* Bytes of the character at `text` where a terminal may have it, else 0: controls and no UTF-8. */
static size_t shown_length(const char *text) {
    unsigned char byte = (unsigned char)*text;
    bool is_c1 = byte == 0xc2 && (unsigned char)text[1] < 0xa0;
    return byte >= 0x20 && byte != 0x7f && !is_c1 ? clv_utf8_length(text) : 0;
}

void clv_text_add_name(clv_text *text, const char *name) {
    while (*name != '\0') {
        size_t length = clv_utf8_length(name), shown = shown_length(name);
        clv_text_add_bytes(text, shown != 0 ? name : "?", shown != 0 ? shown : 1);
        name += length != 0 ? length : 1;
    }
}

void clv_show_character(const char *text, char out[CLV_SHOWN_CHARACTER]) {
    size_t length = shown_length(text);
    memcpy(out, text, length);
    out[length] = '\0';
    if (length == 0) {
        clv_format(out, CLV_SHOWN_CHARACTER, "\\x%02x", (unsigned)(unsigned char)*text);
    }
}

static const char *xml_entity(unsigned char byte) {
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default: /* control codes cannot stand in XML 1.0, not even escaped */
        return byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r' ? "&#xfffd;" : NULL;
    }
}

void clv_text_add_xml(clv_text *text, const char *string) {
    while (*string != '\0') {
        size_t length = clv_utf8_length(string);
        const char *entity = length == 0 ? "&#xfffd;" : xml_entity((unsigned char)*string);
        if (entity != NULL) {
            clv_text_add_bytes(text, entity, strlen(entity));
            length = 1;
        } else {
            clv_text_add_bytes(text, string, length);
        }
        string += length;
    }
}

clv_status *clv_text_take(clv_text *text, char **out_string) {
    *out_string = NULL;
    clv_text_add_bytes(text, "", 0); /* an empty text is a valid string too */
    if (text->failed) {
        clv_text_deinit(text);
        return CLV_ERROR(NO_MEMORY, "out of host memory for text");
    }
    *out_string = text->data;
    clv_text_init(text);
    return NULL;
}
