#include "host/machine/unit_name.h"

#include "host/base/memory.h"
#include "host/base/text.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [CLV_UNIT_CPU] = "cpu",
    [CLV_UNIT_CORE] = "core",
    [CLV_UNIT_GPU] = "gpu",
    [CLV_UNIT_CL] = "cl",
};

static const clv_unit_limits no_limits = {
    .speed = 1, .memory_bytes = UINT64_MAX, .link_per_second = INFINITY};

const char *clv_unit_kind_name(clv_unit_kind kind) {
    return kind_names[kind];
}

void clv_unit_name_init(clv_unit_name *name, clv_unit_kind kind, int platform, int index) {
    *name = (clv_unit_name){.kind = kind, .index = index, .limits = no_limits};
    switch (kind) {
    case CLV_UNIT_CPU:
        name->index = 0;
        snprintf(name->text, sizeof name->text, "cpu");
        break;
    case CLV_UNIT_CORE:
    case CLV_UNIT_GPU:
        snprintf(name->text, sizeof name->text, "%s:%d", kind_names[kind], index);
        break;
    case CLV_UNIT_CL:
        name->platform = platform;
        snprintf(name->text, sizeof name->text, "cl:%d.%d", platform, index);
        break;
    }
}

bool clv_unit_limits_any(const clv_unit_limits *limits) {
    return limits->speed != 1 || limits->memory_bytes != UINT64_MAX ||
           !isinf(limits->link_per_second) || limits->latency_us != 0;
}

/* --- words ----------------------------------------------------------------------------------- */

enum { LONGEST_WORD = 96 };

typedef struct reader {
    const clv_unit_entry *entries;
    size_t num_entries;
    clv_unit_name *names;
    size_t num_names, capacity;
} reader;

/* Copies [begin, end) without blanks around it; false where it is too long. */
static bool copy_word(const char *begin, const char *end, char out[LONGEST_WORD]) {
    while (begin < end && *begin == ' ') {
        begin++;
    }
    while (end > begin && end[-1] == ' ') {
        end--;
    }
    size_t length = (size_t)(end - begin);
    if (length >= LONGEST_WORD) {
        return false;
    }
    memcpy(out, begin, length);
    out[length] = '\0';
    return true;
}

/* "0", "17"; no sign, no leading zeros, so that a unit has one name only. */
static bool read_index(const char **at, int *out_index) {
    const char *p = *at;
    long value = 0;
    if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9')) {
        return false;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (*p - '0');
        if (value > INT_MAX) {
            return false;
        }
    }
    *at = p;
    *out_index = (int)value;
    return true;
}

static bool read_name(const char *word, clv_unit_name *out_name) {
    int platform = 0, index = 0;
    clv_unit_kind kind;
    if (strcmp(word, "cpu") == 0) {
        clv_unit_name_init(out_name, CLV_UNIT_CPU, 0, 0);
        return true;
    }
    const char *at = strchr(word, ':');
    if (at == NULL) {
        return false;
    }
    size_t length = (size_t)(at++ - word);
    for (kind = CLV_UNIT_CORE; kind <= CLV_UNIT_CL; kind++) {
        if (strlen(kind_names[kind]) == length && strncmp(word, kind_names[kind], length) == 0) {
            break;
        }
    }
    if (kind > CLV_UNIT_CL || !read_index(&at, &index)) {
        return false;
    }
    if (kind == CLV_UNIT_CL) {
        platform = index;
        if (*at++ != '.' || !read_index(&at, &index)) {
            return false;
        }
    }
    clv_unit_name_init(out_name, kind, platform, index);
    return *at == '\0';
}

/* A limit in the braces behind a name. */
static void write_limit(clv_text *text, size_t begin, const char *word, double value) {
    clv_text_add(text, "%c%s=%.17g", text->length == begin ? '{' : ',', word, value);
}

void clv_unit_name_write(const clv_unit_name *name, clv_text *text) {
    const clv_unit_limits *limits = &name->limits;
    clv_text_add(text, "%s", name->text);
    const size_t begin = text->length;
    if (limits->speed != 1) {
        write_limit(text, begin, "speed", limits->speed);
    }
    if (limits->memory_bytes != UINT64_MAX) {
        write_limit(text, begin, "mem", (double)limits->memory_bytes);
    }
    if (!isinf(limits->link_per_second)) {
        write_limit(text, begin, "link", limits->link_per_second);
    }
    if (limits->latency_us != 0) {
        write_limit(text, begin, "latency", limits->latency_us);
        clv_text_add(text, "us");
    }
    if (text->length != begin) {
        clv_text_add(text, "}");
    }
}

/* --- limits ---------------------------------------------------------------------------------- */

/* `given`: bits of the limits read so far. */
static clv_status *read_limit(
    const char *unit, char *word, unsigned *given, clv_unit_limits *limits) {
    static const char *const keys[] = {"speed", "mem", "link", "latency"};
    char *value = strchr(word, '=');
    if (value == NULL) {
        return CLV_ERROR(USAGE, "limits of '%s': '%s' is not of the form NAME=VALUE", unit, word);
    }
    *value++ = '\0';
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        unsigned bit = strcmp(word, keys[i]) == 0 ? 1u << i : 0;
        if (*given & bit) {
            return CLV_ERROR(USAGE, "limits of '%s': %s stands there twice", unit, word);
        }
        *given |= bit;
    }
    bool good;
    if (strcmp(word, "speed") == 0) {
        good = clv_parse_double(value, &limits->speed) && limits->speed > 0 && limits->speed <= 1;
    } else if (strcmp(word, "mem") == 0) {
        good = clv_parse_size(value, &limits->memory_bytes);
    } else if (strcmp(word, "link") == 0) {
        good = clv_parse_rate(value, &limits->link_per_second);
    } else if (strcmp(word, "latency") == 0) {
        good = clv_parse_time_us(value, &limits->latency_us);
    } else {
        const char *nearest = clv_nearest(word, keys, sizeof keys / sizeof keys[0]);
        return CLV_ERROR(
            USAGE, "limits of '%s': there is no '%s' (speed, mem, link, latency)%s%s%s", unit, word,
            nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
            nearest != NULL ? "'?" : "");
    }
    if (!good) {
        return CLV_ERROR(
            USAGE, "limits of '%s': %s is '%s', needed is %s", unit, word, value,
            word[0] == 's'   ? "a number above 0 and at most 1"
            : word[0] == 'm' ? "a size such as 256M"
            : word[1] == 'i' ? "bytes per second such as 2G"
                             : "a time such as 20us");
    }
    return NULL;
}

/* Between the braces. */
static clv_status *read_limits(
    const char *unit, const char *begin, const char *end, clv_unit_limits *limits) {
    unsigned given = 0;
    for (bool is_more = begin < end; is_more;) { /* an empty word is no limit */
        const char *comma = memchr(begin, ',', (size_t)(end - begin));
        const char *stop = comma != NULL ? comma : end;
        char word[LONGEST_WORD];
        if (!copy_word(begin, stop, word)) {
            return CLV_ERROR(USAGE, "limits of '%s': a value is too long", unit);
        }
        CLV_TRY(read_limit(unit, word, &given, limits));
        is_more = comma != NULL;
        begin = comma != NULL ? comma + 1 : end;
    }
    return NULL;
}

/* --- units ----------------------------------------------------------------------------------- */

/* "; there are cpu, core:0, core:1", and the nearest of them. */
static clv_status *no_such_unit(const reader *r, const char *word) {
    enum { MOST = 24 };
    const char *names[256], *nearest = NULL;
    size_t count = r->num_entries < 256 ? r->num_entries : 256;
    clv_text list;
    clv_text_init(&list);
    for (size_t i = 0; i < count; i++) {
        names[i] = r->entries[i].name.text;
        if (i < MOST) {
            clv_text_add(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
        }
    }
    if (r->num_entries > MOST) {
        clv_text_add(&list, ", ... (%zu in all)", r->num_entries);
    }
    nearest = clv_nearest(word, names, count);
    clv_status *status = clv_status_create(
        CLV_NO_DEVICE, __FILE__, __LINE__, "no device '%s'; there are %s%s%s%s", word,
        list.data != NULL ? list.data : "none", nearest != NULL ? "; did you mean '" : "",
        nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    clv_text_deinit(&list);
    return status;
}

static clv_status *add_name(reader *r, const clv_unit_name *name) {
    for (size_t i = 0; i < r->num_names; i++) {
        const clv_unit_name *other = &r->names[i];
        if (strcmp(other->text, name->text) == 0) {
            return CLV_ERROR(USAGE, "the unit '%s' is named twice", name->text);
        }
        if ((other->kind == CLV_UNIT_CPU && name->kind == CLV_UNIT_CORE) ||
            (other->kind == CLV_UNIT_CORE && name->kind == CLV_UNIT_CPU)) {
            return CLV_ERROR(
                USAGE, "'%s' and '%s' are on the same silicon: name one or the other", other->text,
                name->text);
        }
    }
    if (!clv_array_reserve((void **)&r->names, &r->capacity, r->num_names + 1, sizeof *r->names)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the list of units");
    }
    r->names[r->num_names++] = *name;
    return NULL;
}

/* Every usable core and GPU. */
static clv_status *add_all(reader *r, const clv_unit_limits *limits) {
    bool any = false;
    for (size_t i = 0; i < r->num_entries; i++) {
        clv_unit_name name = r->entries[i].name;
        name.limits = *limits;
        if (r->entries[i].usable && (name.kind == CLV_UNIT_CORE || name.kind == CLV_UNIT_GPU)) {
            any = true;
            CLV_TRY(add_name(r, &name));
        }
    }
    return any ? NULL : CLV_ERROR(NO_DEVICE, "'all': there is no core and no GPU that can be used");
}

static clv_status *add_unit(reader *r, const char *word, const clv_unit_limits *limits) {
    if (strcmp(word, "all") == 0) {
        return add_all(r, limits);
    }
    clv_unit_name name;
    if (!read_name(word, &name)) {
        return no_such_unit(r, word);
    }
    name.limits = *limits;
    for (size_t i = 0; i < r->num_entries; i++) {
        const clv_unit_entry *entry = &r->entries[i];
        if (strcmp(entry->name.text, name.text) == 0) {
            return entry->usable ? add_name(r, &name)
                                 : CLV_ERROR(
                                       NO_DEVICE, "'%s' cannot be used: %s", name.text,
                                       entry->reason != NULL ? entry->reason : "unknown");
        }
    }
    return no_such_unit(r, word);
}

/* The end of one unit's text: a comma outside braces, or the end of the list. */
static const char *unit_end(const char *begin) {
    const char *at = begin;
    for (bool inside = false; *at != '\0' && (inside || *at != ','); at++) {
        inside = *at == '{' ? true : *at == '}' ? false : inside;
    }
    return at;
}

static clv_status *read_unit(reader *r, const char *begin, const char *end) {
    char word[LONGEST_WORD];
    clv_unit_limits limits = no_limits;
    const char *brace = memchr(begin, '{', (size_t)(end - begin));
    if (!copy_word(begin, brace != NULL ? brace : end, word)) {
        return CLV_ERROR(USAGE, "the name of a unit is too long: '%.20s...'", begin);
    }
    if (word[0] == '\0') {
        return CLV_ERROR(USAGE, "the list of units has an empty name");
    }
    if (brace != NULL) {
        while (end > brace && end[-1] == ' ') {
            end--;
        }
        if (end[-1] != '}' || memchr(brace, '}', (size_t)(end - brace)) != end - 1) {
            return CLV_ERROR(USAGE, "limits of '%s': the braces do not match", word);
        }
        CLV_TRY(read_limits(word, brace + 1, end - 1, &limits));
    }
    return add_unit(r, word, &limits);
}

clv_status *clv_unit_list_parse(
    const char *list, const clv_unit_entry *entries, size_t num_entries, clv_unit_name **out_names,
    size_t *out_num) {
    reader r = {.entries = entries, .num_entries = num_entries};
    *out_names = NULL;
    *out_num = 0;
    clv_status *status = NULL;
    for (const char *at = list; status == NULL; at++) {
        const char *end = unit_end(at);
        status = read_unit(&r, at, end);
        at = end;
        if (*at == '\0') {
            break;
        }
    }
    if (status != NULL) {
        clv_free(r.names);
        return status;
    }
    *out_names = r.names;
    *out_num = r.num_names;
    return NULL;
}
