#include "host/base/json_writer.h"

#include "host/base/json.h"

#include <math.h>

static void begin_member(clv_json_writer *w, const char *key) {
    bool is_line = w->level <= w->lines;
    clv_text_add(&w->text, "%s", w->has_member[w->level] ? is_line ? "," : ", " : "");
    if (is_line) {
        clv_text_add(&w->text, "\n%*s", (int)(2 * w->level), "");
    }
    w->has_member[w->level] = true;
    if (key != NULL) {
        clv_text_add_json(&w->text, key);
        clv_text_add(&w->text, ": ");
    }
}

static void open_level(clv_json_writer *w, char opener, char closer) {
    if (w->level + 1 >= CLV_JSON_LEVELS) {
        w->text.failed = true;
        return;
    }
    clv_text_add(&w->text, "%c", opener);
    w->level++;
    w->closers[w->level] = closer;
    w->has_member[w->level] = false;
}

void clv_json_begin(clv_json_writer *writer, uint32_t lines) {
    *writer = (clv_json_writer){.lines = lines};
    clv_text_init(&writer->text);
    open_level(writer, '{', '}');
}

void clv_json_deinit(clv_json_writer *writer) {
    clv_text_deinit(&writer->text);
}

void clv_json_open_object(clv_json_writer *writer, const char *key) {
    begin_member(writer, key);
    open_level(writer, '{', '}');
}

void clv_json_open_array(clv_json_writer *writer, const char *key) {
    begin_member(writer, key);
    open_level(writer, '[', ']');
}

void clv_json_close(clv_json_writer *writer) {
    if (writer->level == 0) {
        writer->text.failed = true;
        return;
    }
    bool is_line = writer->level <= writer->lines && writer->has_member[writer->level];
    char closer = writer->closers[writer->level--];
    if (is_line) {
        clv_text_add(&writer->text, "\n%*s", (int)(2 * writer->level), "");
    }
    clv_text_add(&writer->text, "%c", closer);
}

void clv_json_add_string(clv_json_writer *writer, const char *key, const char *value) {
    begin_member(writer, key);
    clv_text_add_json(&writer->text, value != NULL ? value : "");
}

void clv_json_add_number(clv_json_writer *writer, const char *key, double value) {
    if (key != NULL && !isfinite(value)) {
        return;
    }
    begin_member(writer, key);
    if (!isfinite(value)) {
        clv_text_add(&writer->text, "null");
    } else if (fabs(value) < (double)CLV_JSON_MOST_INTEGER && value == floor(value)) {
        clv_text_add(&writer->text, "%.0f", value);
    } else {
        char digits[40]; /* as few as are read back as the same; 17 always are */
        double back = 0;
        for (int count = 15; count <= 17; count++) {
            clv_format(digits, sizeof digits, "%.*g", count, value);
            if (clv_parse_double(digits, &back) && back == value) {
                break;
            }
        }
        clv_text_add(&writer->text, "%s", digits);
    }
}

void clv_json_add_rate(clv_json_writer *writer, const char *key, double per_second) {
    if (!isinf(per_second)) {
        clv_json_add_number(writer, key, per_second);
        return;
    }
    clv_json_add_null(writer, key);
}

void clv_json_add_null(clv_json_writer *writer, const char *key) {
    begin_member(writer, key);
    clv_text_add(&writer->text, "null");
}

void clv_json_add_bool(clv_json_writer *writer, const char *key, bool value) {
    begin_member(writer, key);
    clv_text_add(&writer->text, "%s", value ? "true" : "false");
}

clv_status *clv_json_take(clv_json_writer *writer, char **out_json) {
    while (writer->level > 0) {
        clv_json_close(writer);
    }
    clv_text_add(&writer->text, "\n");
    return clv_text_take(&writer->text, out_json);
}
