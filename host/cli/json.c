#include "host/cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double cli_json_number(const cJSON *object, const char *key, double fallback) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

double cli_json_rate(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNull(item) ? (double)INFINITY : cli_json_number(object, key, 0);
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

/* Bytes of the UTF-8 sequence at `text`, 0 where it is none. */
static size_t sequence_length(const unsigned char *text) {
    size_t length = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if ((text[0] >= 0x80 && text[0] < 0xc2) || text[0] > 0xf4 ||
        (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f)) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/* Control codes of ASCII, and U+0080 to U+009F. */
static bool is_control(const unsigned char *text) {
    return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] < 0xa0);
}

static void clean_text(char *text, bool for_people) {
    unsigned char *at = (unsigned char *)text;
    while (at != NULL && *at != '\0') {
        size_t length = sequence_length(at);
        bool is_bad = length == 0 || (for_people && is_control(at));
        length = length != 0 ? length : 1;
        if (is_bad) {
            memset(at, '?', length);
        }
        at += length;
    }
}

/* Depth is what the parser and we nest: a few levels. */
static void clean(cJSON *json, bool for_people) {
    for (; json != NULL; json = json->next) {
        if (cJSON_IsString(json)) {
            clean_text(json->valuestring, for_people);
        }
        clean_text(json->string, for_people);
        clean(json->child, for_people);
    }
}

void cli_make_valid(cJSON *json) {
    clean(json, false);
}

void cli_make_printable(cJSON *json) {
    clean(json, true);
}

int cli_parse_report(char *text, cJSON **out_report) {
    *out_report = cJSON_Parse(text);
    cleave_free(text);
    cli_make_printable(*out_report);
    return *out_report != NULL ? 0 : cli_error(6, "out of host memory for the report");
}

int cli_print_json_text(const char *text) {
    printf("%s\n", text);
    return cli_flush();
}

int cli_print_json(cJSON *json) {
    cli_make_valid(json);
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

void cli_format_flops(double flops, char *buffer, size_t capacity) {
    static const char *const units[] = {" FLOP", " kFLOP", " MFLOP", " GFLOP", " TFLOP", " PFLOP"};
    format_scaled(flops, 1000, units, 6, buffer, capacity);
}
