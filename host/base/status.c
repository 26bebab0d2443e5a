#include "host/base/status.h"

#include "host/base/memory.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct clv_status {
    clv_code code;
    char *message;
    char *trail;
};

/* A trail longer than this is not continued: deep recursion must not make errors expensive. */
enum { MAX_TRAIL_BYTES = 8192 };

/* What a failure becomes where there is no memory to describe it. Never written, never freed. */
static clv_status no_memory = {
    .code = CLV_NO_MEMORY, .message = (char[]){"out of host memory"}, .trail = (char[]){""}};

/* A message is one line, and names from files must not reach a terminal as control codes. */
static void make_one_line(char *text) {
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '\n' || byte == '\r' || byte == '\t') {
            *text = ' ';
        } else if (byte < 0x20 || byte == 0x7f) {
            *text = '?';
        }
    }
}

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* Where the last quote is that may close a name; 0: none. */
static size_t last_quote(const char *text) {
    size_t at = strlen(text);
    while (at > 0 && (text[at] != '\'' || is_letter(text[at + 1]))) {
        at--;
    }
    return at;
}

/* Whether a name in quotes begins at `at`. */
static bool opens_name(const char *text, size_t at, size_t last) {
    return text[at] == '\'' && at < last && (at == 0 || !is_letter(text[at - 1]));
}

/* Bytes of the name in quotes that begins at `at`, with them, or else up to the next space or name
 * in quotes; 0 at the end. */
static size_t name_length(const char *text, size_t at, size_t last) {
    size_t end = at + 1;
    if (text[at] == '\0') {
        return 0;
    }
    if (opens_name(text, at, last)) {
        while (text[end] != '\'' || is_letter(text[end + 1])) {
            end++;
        }
        return end + 1 - at;
    }
    while (text[end] != '\0' && text[end] != ' ' && !opens_name(text, end, last)) {
        end++;
    }
    return end - at;
}

/* Writes the first part of `length` bytes and their last to `to`, which is not behind them, with
 * dots between, or all where they are no more than `most`; gives the bytes written. */
static size_t cut(
    char *to, const char *from, size_t length, size_t most, size_t first, size_t rest) {
    if (length <= most) {
        memmove(to, from, length);
        return length;
    }
    while (first > 0 && (from[first] & 0xc0) == 0x80) { /* whole UTF-8 characters */
        first--;
    }
    while (rest > 0 && (from[length - rest] & 0xc0) == 0x80) {
        rest--;
    }
    memmove(to, from, first);
    memcpy(to + first, "...", 3);
    memmove(to + first + 3, from + length - rest, rest);
    return first + 3 + rest;
}

/* Of names longer than a path may well be, the first part and the last, with dots between; then of
 * the whole, where quotes in names or many names make it longer than anybody reads. */
static void cut_names(char *text) {
    size_t to = 0, last = last_quote(text);
    for (size_t at = 0, length; (length = name_length(text, at, last)) > 0; at += length) {
        to += cut(text + to, text + at, length, 240, 61, 21);
    }
    text[cut(text, text, to, 4096, 3000, 1000)] = '\0';
}

/* PREFIX (format, args) and SUFFIX as one string; NULL where there is no memory. */
CLV_PRINTF(2, 0)
static char *join_copy(const char *suffix, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) {
        return NULL;
    }
    size_t suffix_bytes = strlen(suffix) + 1;
    char *text = clv_alloc((size_t)length + suffix_bytes);
    if (text == NULL) {
        return NULL;
    }
    vsnprintf(text, (size_t)length + 1, format, args);
    make_one_line(text);
    cut_names(text);
    memcpy(text + strlen(text), suffix, suffix_bytes);
    return text;
}

/* Appends a line to the trail; without memory for it the trail stays as it was. */
static void add_place(clv_status *status, const char *file, int line, const char *what) {
    size_t old_length = status->trail != NULL ? strlen(status->trail) : 0;
    if (old_length > MAX_TRAIL_BYTES) {
        return;
    }
    const char *gap = what[0] != '\0' ? "  " : "";
    int length = snprintf(NULL, 0, "  at %s:%d%s%s\n", file, line, gap, what);
    if (length < 0) {
        return;
    }
    char *trail = clv_realloc(status->trail, old_length + (size_t)length + 1);
    if (trail == NULL) {
        return;
    }
    snprintf(trail + old_length, (size_t)length + 1, "  at %s:%d%s%s\n", file, line, gap, what);
    status->trail = trail;
}

clv_status *clv_status_create(clv_code code, const char *file, int line, const char *format, ...) {
    clv_status *status = clv_alloc_zeroed(1, sizeof *status);
    if (status == NULL) {
        return &no_memory;
    }
    /* A failure with the code for success is a fault of the caller's. */
    status->code = code > CLV_OK && code < CLV_NUM_CODES ? code : CLV_INTERNAL;
    va_list args;
    va_start(args, format);
    status->message = join_copy("", format, args);
    va_end(args);
    if (status->message == NULL) {
        clv_free(status);
        return &no_memory;
    }
    add_place(status, file, line, "");
    return status;
}

clv_status *clv_status_copy(const clv_status *status) {
    return status == NULL ? NULL
                          : clv_status_create(
                                status->code, __FILE__, __LINE__, "%s", clv_status_message(status));
}

void clv_status_destroy(clv_status *status) {
    if (status == NULL || status == &no_memory) {
        return;
    }
    clv_free(status->message);
    clv_free(status->trail);
    clv_free(status);
}

clv_code clv_status_code(const clv_status *status) {
    return status != NULL ? status->code : CLV_OK;
}

const char *clv_status_message(const clv_status *status) {
    return status != NULL ? status->message : "";
}

const char *clv_status_trail(const clv_status *status) {
    return status != NULL && status->trail != NULL ? status->trail : "";
}

clv_status *clv_status_pass(clv_status *status, const char *file, int line, const char *what) {
    if (status != NULL && status != &no_memory) {
        add_place(status, file, line, what);
    }
    return status;
}

clv_status *clv_status_prefix(clv_status *status, const char *format, ...) {
    if (status == NULL || status == &no_memory) {
        return status;
    }
    size_t bytes = strlen(status->message) + sizeof ": ";
    char *suffix = clv_alloc(bytes);
    if (suffix == NULL) {
        return status;
    }
    snprintf(suffix, bytes, ": %s", status->message);
    va_list args;
    va_start(args, format);
    char *message = join_copy(suffix, format, args);
    va_end(args);
    clv_free(suffix);
    if (message != NULL) {
        clv_free(status->message);
        status->message = message;
    }
    return status;
}

clv_status *clv_status_suffix(clv_status *status, const char *format, ...) {
    if (status == NULL || status == &no_memory) {
        return status;
    }
    va_list args;
    va_start(args, format);
    char *suffix = join_copy("", format, args);
    va_end(args);
    if (suffix == NULL) {
        return status;
    }
    const size_t length = strlen(status->message), suffix_bytes = strlen(suffix) + 1;
    char *message = clv_realloc(status->message, length + suffix_bytes);
    if (message != NULL) {
        memcpy(message + length, suffix, suffix_bytes);
        status->message = message;
    }
    clv_free(suffix);
    return status;
}

clv_status *clv_status_join(clv_status *first, clv_status *second) {
    if (first == NULL) {
        return second;
    }
    clv_status_destroy(second);
    return first;
}

typedef struct code_info {
    const char *name, *meaning;
    int exit;
} code_info;

static const code_info codes[CLV_NUM_CODES] = {
#define STATUS(status_name, exit_code, text) \
    [CLV_##status_name] = {.name = #status_name, .meaning = text, .exit = exit_code},
#include "host/base/status.def"
#undef STATUS
};

static const code_info *find_code(clv_code code) {
    bool known = (unsigned)code < CLV_NUM_CODES;
    return &codes[known ? code : CLV_INTERNAL];
}

const char *clv_code_name(clv_code code) {
    return find_code(code)->name;
}

const char *clv_code_meaning(clv_code code) {
    return find_code(code)->meaning;
}

int clv_code_exit(clv_code code) {
    return find_code(code)->exit;
}
