/* Writing JSON, member by member. Nothing fails until it is taken: an append that finds no memory
 * is remembered. Objects and arrays of the outer levels take lines of their own.
 */
#ifndef CLV_BASE_JSON_WRITER_H
#define CLV_BASE_JSON_WRITER_H

#include "host/base/text.h"

enum { CLV_JSON_LEVELS = 32 };

typedef struct clv_json_writer {
    clv_text text;
    uint32_t level;
    uint32_t lines; /* levels whose members begin lines */
    char closers[CLV_JSON_LEVELS];
    bool has_member[CLV_JSON_LEVELS];
} clv_json_writer;

/* Begins with the outermost object; `lines`: how many levels get lines for their members. */
void clv_json_begin(clv_json_writer *writer, uint32_t lines);
void clv_json_deinit(clv_json_writer *writer);

/* `key` is NULL in arrays. */
void clv_json_open_object(clv_json_writer *writer, const char *key);
void clv_json_open_array(clv_json_writer *writer, const char *key);
void clv_json_close(clv_json_writer *writer);
void clv_json_add_string(clv_json_writer *writer, const char *key, const char *value);
/* What is not finite is left out (in arrays: null). */
void clv_json_add_number(clv_json_writer *writer, const char *key, double value);
/* A number of results a second, null where nothing bounds it: what they take no time for. */
void clv_json_add_rate(clv_json_writer *writer, const char *key, double per_second);
void clv_json_add_null(clv_json_writer *writer, const char *key);
void clv_json_add_bool(clv_json_writer *writer, const char *key, bool value);

/* Closes what is open and hands the text over; NO_MEMORY where an append failed. Free with
 * clv_free. */
clv_status *clv_json_take(clv_json_writer *writer, char **out_json) CLV_CHECKED;

#endif
