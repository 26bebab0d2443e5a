/* Numbers with units out of text and into it, and names that were nearly right. */
#include "host/base/text.h"
#include "host/base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* strtod takes white space, hexadecimal, "inf" and "nan" too: only what looks decimal passes. */
static bool starts_decimal(const char *word) {
    if (*word == '+' || *word == '-') {
        word++;
    }
    if (word[0] == '0' && (word[1] == 'x' || word[1] == 'X')) {
        return false;
    }
    return is_digit(word[0]) || (word[0] == '.' && is_digit(word[1]));
}

/* A finite decimal number at the start of `word`; *out_end is what follows. */
static bool parse_decimal(const char *word, double *out_value, const char **out_end) {
    if (!starts_decimal(word)) {
        return false;
    }
    char *end;
    locale_t locale = clv_c_locale();
    double value = locale != (locale_t)0 ? strtod_l(word, &end, locale) : strtod(word, &end);
    if (end == word || !isfinite(value)) {
        return false;
    }
    *out_value = value;
    *out_end = end;
    return true;
}

bool clv_parse_int64(const char *word, int64_t *out_value) {
    const char *digits = *word == '+' || *word == '-' ? word + 1 : word;
    if (!is_digit(*digits)) {
        return false;
    }
    char *end;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    if (*end != '\0' || errno == ERANGE) {
        return false;
    }
    *out_value = value;
    return true;
}

bool clv_parse_double(const char *word, double *out_value) {
    double value;
    const char *end;
    if (!parse_decimal(word, &value, &end) || *end != '\0') {
        return false;
    }
    *out_value = value;
    return true;
}

/* 0 for "", 1 for K, ... 4 for T; -1 for anything else. */
static int suffix_power(const char *suffix) {
    static const char letters[] = "KMGT";
    if (suffix[0] == '\0') {
        return 0;
    }
    const char *letter = suffix[1] == '\0' ? strchr(letters, suffix[0]) : NULL;
    return letter != NULL ? (int)(letter - letters) + 1 : -1;
}

bool clv_parse_size(const char *word, uint64_t *out_bytes) {
    double value;
    const char *end;
    if (*word == '-' || !parse_decimal(word, &value, &end)) {
        return false;
    }
    int power = suffix_power(end);
    if (power < 0) {
        return false;
    }
    /* Whole numbers are exact, also where a double could not hold them. */
    char *integer_end;
    errno = 0;
    unsigned long long whole = strtoull(word, &integer_end, 10);
    if (integer_end == end) {
        if (errno == ERANGE || whole > UINT64_MAX >> (10 * power)) {
            return false;
        }
        *out_bytes = (uint64_t)whole << (10 * power);
        return true;
    }
    value = ldexp(value, 10 * power);
    if (value >= 0x1p64) {
        return false;
    }
    *out_bytes = (uint64_t)value;
    return true;
}

bool clv_parse_rate(const char *word, double *out_per_second) {
    double value;
    const char *end;
    if (!parse_decimal(word, &value, &end)) {
        return false;
    }
    int power = suffix_power(end);
    if (power < 0) {
        return false;
    }
    value *= pow(1000, power);
    if (!isfinite(value) || value <= 0) {
        return false;
    }
    *out_per_second = value;
    return true;
}

bool clv_parse_time_us(const char *word, double *out_us) {
    static const struct {
        const char *suffix;
        double us;
    } units[] = {{"s", 1e6}, {"ms", 1e3}, {"us", 1}};
    double value;
    const char *end;
    if (!parse_decimal(word, &value, &end) || value < 0) {
        return false;
    }
    if (*end == '\0' && value == 0) {
        *out_us = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].suffix) == 0 && isfinite(value * units[i].us)) {
            *out_us = value * units[i].us;
            return true;
        }
    }
    return false;
}

static void format_scaled(
    char *buffer, size_t capacity, double value, double step, const char *const *units,
    size_t num_units) {
    size_t unit = 0;
    /* what would be printed as 1024.0 or 1000.0 belongs to the next unit */
    while (unit + 1 < num_units && fabs(value) >= step - 0.05) {
        value /= step;
        unit++;
    }
    bool whole = unit == 0 && value == floor(value);
    clv_format(buffer, capacity, "%.*f%s", whole ? 0 : 1, value, units[unit]);
}

void clv_format_bytes(char *buffer, size_t capacity, double bytes) {
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
    format_scaled(buffer, capacity, bytes, 1024, units, sizeof units / sizeof units[0]);
}

void clv_format_count(char *buffer, size_t capacity, double count) {
    static const char *const units[] = {" ", " K", " M", " G", " T", " P"};
    format_scaled(buffer, capacity, count, 1000, units, sizeof units / sizeof units[0]);
}

enum { MAX_NAME = 64 };

static int min_int(int a, int b) {
    return a < b ? a : b;
}

/* Edit distance where a swap of neighbours counts as one, case aside. Longer names than MAX_NAME
 * are compared by their first MAX_NAME letters. */
static int edit_distance(const char *a, const char *b) {
    int rows[3][MAX_NAME + 1];
    int length_a = (int)strnlen(a, MAX_NAME), length_b = (int)strnlen(b, MAX_NAME);
    for (int j = 0; j <= length_b; j++) {
        rows[0][j] = j;
    }
    for (int i = 1; i <= length_a; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= length_b; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            int best = min_int(above[j], row[j - 1]) + 1;
            best = min_int(best, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = min_int(best, above_that[j - 2] + 1);
            }
            row[j] = best;
        }
    }
    return rows[length_a % 3][length_b];
}

const char *clv_nearest(const char *word, const char *const *names, size_t num_names) {
    const char *best = NULL;
    /* About one slip in three letters; more, and the suggestion would be a guess. */
    int best_distance = (int)(strnlen(word, MAX_NAME) + 2) / 3 + 1;
    for (size_t i = 0; i < num_names; i++) {
        int distance = edit_distance(word, names[i]);
        bool nothing_in_common = distance >= (int)strnlen(names[i], MAX_NAME);
        if (distance < best_distance && !nothing_in_common) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}
