/* Any bytes as JSON: an error or a value, and a value that is printed reads back as the same. */
#include "host/base/json.h"
#include "host/base/memory.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void look_at(const cJSON *json) {
    static const char *const keys[] = {"tasks", "edges", "a"};
    const char *text;
    const cJSON *array;
    double number;
    int64_t integer;
    clv_status_destroy(clv_json_known_keys(json, "x", keys, 3));
    clv_status_destroy(clv_json_get_string(json, "x", "a", &text));
    clv_status_destroy(clv_json_get_array(json, "x", "tasks", &array));
    clv_status_destroy(clv_json_get_number(json, "x", "a", -1e9, 1e9, &number));
    clv_status_destroy(clv_json_get_int(json, "x", "a", INT64_MIN, INT64_MAX, &integer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    cJSON *json;
    clv_status *status = clv_json_parse("fuzz", (const char *)data, bytes, &json);
    if (status != NULL) {
        clv_status_destroy(status);
        return 0;
    }
    look_at(json);
    char *printed = clv_json_print_copy(json, true);
    if (printed != NULL) {
        cJSON *again;
        status = clv_json_parse("printed", printed, strlen(printed), &again);
        if (status != NULL) {
            abort();
        }
        char *twice = clv_json_print_copy(again, true);
        if (twice == NULL || strcmp(printed, twice) != 0) {
            abort();
        }
        clv_free(twice);
        cJSON_Delete(again);
    }
    clv_free(printed);
    cJSON_Delete(json);
    return 0;
}
