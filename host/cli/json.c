#include "host/cli/cli.h"

#include <stdlib.h>
#include <string.h>

double cli_json_number(const cJSON *object, const char *key, double fallback) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

const char *cli_json_string(const cJSON *object, const char *key, const char *fallback) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : fallback;
}

bool cli_json_bool(const cJSON *object, const char *key) {
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

const cJSON *cli_json_array(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsArray(item) || cJSON_IsObject(item) ? item : NULL;
}

int cli_print_json_text(const char *text) {
    printf("%s\n", text);
    return cli_flush();
}

int cli_print_json(const cJSON *json) {
    char *text = cJSON_Print(json);
    if (text == NULL) {
        return cli_error(6, "out of host memory for the report");
    }
    int code = cli_print_json_text(text);
    cJSON_free(text);
    return code;
}

void cli_format_shape(const cJSON *shape, char *buffer, size_t capacity) {
    size_t length = 0;
    const cJSON *dim;
    buffer[0] = '\0';
    cJSON_ArrayForEach(dim, shape) {
        const char *separator = length > 0 ? "x" : "";
        int added;
        if (cJSON_IsString(dim)) {
            added =
                snprintf(buffer + length, capacity - length, "%s%s", separator, dim->valuestring);
        } else {
            added =
                snprintf(buffer + length, capacity - length, "%s%.0f", separator, dim->valuedouble);
        }
        if (added < 0 || (size_t)added >= capacity - length) {
            return;
        }
        length += (size_t)added;
    }
    if (length == 0) {
        snprintf(buffer, capacity, "%s", shape != NULL ? "scalar" : "?");
    }
}

static void format_scaled(
    double value, double base, const char *const *units, size_t num_units, char *buffer,
    size_t capacity) {
    size_t unit = 0;
    while (value >= base && unit + 1 < num_units) {
        value /= base;
        unit++;
    }
    snprintf(buffer, capacity, unit == 0 ? "%.0f%s" : "%.1f%s", value, units[unit]);
}

void cli_format_size(double bytes, char *buffer, size_t capacity) {
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    format_scaled(bytes, 1024, units, 5, buffer, capacity);
}

void cli_format_count(double count, char *buffer, size_t capacity) {
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    format_scaled(count, 1000, units, 6, buffer, capacity);
}
