/* Growing text, and reading numbers with units out of text. */
#ifndef CLV_BASE_TEXT_H
#define CLV_BASE_TEXT_H

#include "status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct clv_text {
    char *data; /* always terminated once something was added; NULL before */
    size_t length, capacity;
    bool failed; /* an append found no memory: later appends do nothing */
} clv_text;

void clv_text_init(clv_text *text);
void clv_text_deinit(clv_text *text);
void clv_text_add(clv_text *text, const char *format, ...) CLV_PRINTF(2, 3);
void clv_text_addv(clv_text *text, const char *format, va_list args) CLV_PRINTF(2, 0);
void clv_text_add_bytes(clv_text *text, const char *bytes, size_t length);
/* With the quotes; control codes and invalid UTF-8 are escaped. */
void clv_text_add_json(clv_text *text, const char *string);
/* As it is, but U+FFFD for every byte that is no UTF-8. */
void clv_text_add_utf8(clv_text *text, const char *string);
/* For a line on a terminal: '?' for control codes and bytes that are no UTF-8. */
void clv_text_add_name(clv_text *text, const char *name);
/* Escapes & < > and both quotes. */
void clv_text_add_xml(clv_text *text, const char *string);
/* Hands the bytes over (free with clv_free) and empties the text; NO_MEMORY if an append failed. */
clv_status *clv_text_take(clv_text *text, char **out_string) CLV_CHECKED;

/* The whole of `word` must be the number; false otherwise, or where it is not finite or overflows.
 */
bool clv_parse_int64(const char *word, int64_t *out_value);
bool clv_parse_double(const char *word, double *out_value);
/* "256M", "1.5G", "4096": bytes, suffixes K M G T count in 1024s. Not negative. */
bool clv_parse_size(const char *word, uint64_t *out_bytes);
/* "25G", "200M", "30T", "1e9": per second, suffixes K M G T count in 1000s. Positive. */
bool clv_parse_rate(const char *word, double *out_per_second);
/* "10us", "1.5ms", "2s": in microseconds; only 0 needs no unit. Not negative. */
bool clv_parse_time_us(const char *word, double *out_us);
/* snprintf with a decimal point whatever the program's locale; what does not fit is cut off. */
void clv_format(char *buffer, size_t capacity, const char *format, ...) CLV_PRINTF(3, 4);
/* "256.0 MiB", "1.2 GFLOP": for people. */
void clv_format_bytes(char *buffer, size_t capacity, double bytes);
void clv_format_count(char *buffer, size_t capacity, double count);

enum { CLV_SHOWN_CHARACTER = 8 };
/* The character at `text` (not its end) for a message: UTF-8 whole; control codes and bytes that
 * are no UTF-8 as \x and two digits. */
void clv_show_character(const char *text, char out[CLV_SHOWN_CHARACTER]);

/* The name nearest to `word` by edit distance where it is near enough to suggest, else NULL. */
const char *clv_nearest(const char *word, const char *const *names, size_t num_names);

#endif
