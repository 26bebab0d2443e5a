/* Reading JSON (cJSON) from people's files: every getter names the place where something is wrong.
 */
#ifndef CLV_BASE_JSON_H
#define CLV_BASE_JSON_H

#include "status.h"
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* 2^53: whole numbers up to here are exact in JSON (RFC 8259, section 6). */
#define CLV_JSON_MOST_INTEGER INT64_C(9007199254740992)

/* Parses the whole text; MALFORMED gives `what`, line and column. The caller frees with
 * cJSON_Delete. */
clv_status *clv_json_parse(const char *what, const char *text, size_t length, cJSON **out_json)
    CLV_CHECKED;

/* Getters of a member of `object`; `where` is its path for messages ("tasks[3]"). MALFORMED where
 * it is missing or of another type. Numbers must be finite. */
clv_status *clv_json_get_string(
    const cJSON *object, const char *where, const char *key, const char **out_value) CLV_CHECKED;
clv_status *clv_json_get_number(
    const cJSON *object, const char *where, const char *key, double minimum, double maximum,
    double *out_value) CLV_CHECKED;
clv_status *clv_json_get_int(
    const cJSON *object, const char *where, const char *key, int64_t minimum, int64_t maximum,
    int64_t *out_value) CLV_CHECKED;
clv_status *clv_json_get_array(
    const cJSON *object, const char *where, const char *key, const cJSON **out_array) CLV_CHECKED;
/* NULL where there is no such member. */
const cJSON *clv_json_find(const cJSON *object, const char *key);
/* MALFORMED when `object` has a member that is not among `keys` (suggests the nearest). */
clv_status *clv_json_known_keys(
    const cJSON *object, const char *where, const char *const *keys, size_t num_keys) CLV_CHECKED;

/* Prints (indented unless `compact`); NULL when there is no memory. Free with clv_free. */
char *clv_json_print_copy(const cJSON *json, bool compact);

#endif
