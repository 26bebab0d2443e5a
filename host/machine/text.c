/* One line of text into a machine. docs/machines.md has the grammar:
 *
 *     machine  = item { ";" item }
 *     item     = unit | group | memory | hub | link | bespoke
 *     unit     = KIND [ "*" COUNT ] { param }         peak bw mem speed launch overlap buffers
 *     group    = KIND [ "*" COUNT ] "(" machine ")"   names become KIND:I/NAME
 *     memory   = ( "host" | "numa" "*" COUNT ) { param }   bw mem
 *     hub      = "hub" NAME { param }                 a memory without units: a switch
 *     link     = "link" PATTERN PATTERN { param }     bw latency duplex
 *     bespoke  = "bespoke:" ( "type" | "node" ) [ "*" COUNT ] [ "{" param { "," param } "}" ]
 *     param    = NAME "=" VALUE                       each once; a time has a unit, but for 0
 *
 * Units called `core` or `cpu` sit in host memory; a `gpu`, and any unit that a link names, has a
 * memory of its own.
 */
#include "host/base/text.h"
#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/machine/builder.h"
#include "host/machine/pair_map.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 8, MAX_WORD = 256 };

typedef struct parser {
    const char *text;
    size_t at;
    size_t word_at; /* where the last word began */
    size_t item_at; /* and the item at hand */
    clv_machine_builder builder;
    clv_name_map units, memories; /* names so far */
    clv_pair_map links;
} parser;

/* A group being read: what links and units in it refer to. */
typedef struct scope {
    char prefix[MAX_WORD]; /* "node:1/" or "" */
    uint32_t host;         /* memory */
    uint32_t first_unit, first_memory;
    uint32_t num_domains; /* numa memories, dealt to at the end; 0: units stay on `host` */
    uint32_t first_domain;
} scope;

typedef struct params {
    double peak, bandwidth, speed, launch_us, latency_us;
    uint64_t mem;
    uint32_t slots;
    bool overlaps, half_duplex;
    unsigned given; /* bits of param_id */
} params;

typedef enum param_id {
    PARAM_PEAK,
    PARAM_BW,
    PARAM_MEM,
    PARAM_SPEED,
    PARAM_LAUNCH,
    PARAM_OVERLAP,
    PARAM_BUFFERS,
    PARAM_LATENCY,
    PARAM_DUPLEX,
    NUM_PARAMS
} param_id;

static const char *const param_names[NUM_PARAMS] = {
    "peak", "bw", "mem", "speed", "launch", "overlap", "buffers", "latency", "duplex"};
enum {
    UNIT_PARAMS = 1 << PARAM_PEAK | 1 << PARAM_BW | 1 << PARAM_MEM | 1 << PARAM_SPEED |
                  1 << PARAM_LAUNCH | 1 << PARAM_OVERLAP | 1 << PARAM_BUFFERS,
    MEMORY_PARAMS = 1 << PARAM_BW | 1 << PARAM_MEM,
    LINK_PARAMS = 1 << PARAM_BW | 1 << PARAM_LATENCY | 1 << PARAM_DUPLEX,
};

#define FAIL_AT(position, ...) fail_at(p, position, CLV_ERROR(MALFORMED, __VA_ARGS__))

/* Puts the column before the message. */
static clv_status *fail_at(const parser *p, size_t position, clv_status *status) {
    (void)p;
    return clv_status_prefix(status, "machine text, column %zu", position + 1);
}

static void skip_spaces(parser *p) {
    while (isspace((unsigned char)p->text[p->at])) {
        p->at++;
    }
}

static bool take_char(parser *p, char c) {
    skip_spaces(p);
    if (p->text[p->at] != c) {
        return false;
    }
    p->at++;
    return true;
}

static bool is_word_char(char c) {
    return isalnum((unsigned char)c) || strchr("_.:-/", c) != NULL;
}

/* "'x'" for the character at `position`, "the end" where the text ends there. */
static const char *shown(const parser *p, size_t position, char buffer[CLV_SHOWN_CHARACTER + 2]) {
    char character[CLV_SHOWN_CHARACTER];
    if (p->text[position] == '\0') {
        return "the end";
    }
    clv_show_character(p->text + position, character);
    clv_format(buffer, CLV_SHOWN_CHARACTER + 2, "'%s'", character);
    return buffer;
}

/* A word of letters, digits and "_.:-/", with `extra` characters allowed too; MALFORMED if there is
 * none. */
static clv_status *take_word(parser *p, const char *extra, const char *what, char word[MAX_WORD]) {
    skip_spaces(p);
    size_t begin = p->at, length;
    p->word_at = begin;
    while (p->text[p->at] != '\0' &&
           (is_word_char(p->text[p->at]) || strchr(extra, p->text[p->at]) != NULL)) {
        p->at++;
    }
    length = p->at - begin;
    if (length == 0) {
        char buffer[CLV_SHOWN_CHARACTER + 2];
        if (p->text[begin] == '\0') {
            return FAIL_AT(begin, "the text ends where %s was expected", what);
        }
        return FAIL_AT(begin, "%s where %s was expected", shown(p, begin, buffer), what);
    }
    if (length >= MAX_WORD) {
        return FAIL_AT(begin, "a word of more than %d characters", MAX_WORD - 1);
    }
    memcpy(word, p->text + begin, length);
    word[length] = '\0';
    return NULL;
}

static clv_status *take_count(parser *p, uint32_t *out_count) {
    char word[MAX_WORD];
    *out_count = 1;
    if (!take_char(p, '*')) {
        return NULL;
    }
    CLV_TRY(take_word(p, "", "a count", word));
    int64_t count;
    if (!clv_parse_int64(word, &count) || count < 1 || count > CLV_MAX_UNITS) {
        return FAIL_AT(p->word_at, "'%s' is not a count from 1 to %d", word, CLV_MAX_UNITS);
    }
    *out_count = (uint32_t)count;
    return NULL;
}

static bool parse_words(const char *value, const char *yes, const char *no, bool *out) {
    *out = strcmp(value, yes) == 0;
    return *out || strcmp(value, no) == 0;
}

static bool parse_slots(const char *value, uint32_t *out_slots) {
    int64_t count;
    *out_slots = 0;
    if (strcmp(value, "inf") == 0) {
        return true;
    }
    if (!clv_parse_int64(value, &count) || count < 1 || count > 1000000) {
        return false;
    }
    *out_slots = (uint32_t)count;
    return true;
}

static bool parse_bandwidth(const char *value, double *out) {
    *out = (double)INFINITY;
    return strcmp(value, "inf") == 0 || clv_parse_rate(value, out);
}

static bool set_param(params *values, param_id id, const char *value) {
    switch (id) {
    case PARAM_PEAK:
        return clv_parse_rate(value, &values->peak);
    case PARAM_BW:
        return parse_bandwidth(value, &values->bandwidth);
    case PARAM_MEM:
        return clv_parse_size(value, &values->mem);
    case PARAM_SPEED:
        return clv_parse_double(value, &values->speed) && values->speed > 0;
    case PARAM_LAUNCH:
        return clv_parse_time_us(value, &values->launch_us);
    case PARAM_OVERLAP:
        return parse_words(value, "yes", "no", &values->overlaps);
    case PARAM_BUFFERS:
        return parse_slots(value, &values->slots);
    case PARAM_LATENCY:
        return clv_parse_time_us(value, &values->latency_us);
    case PARAM_DUPLEX:
        return parse_words(value, "half", "full", &values->half_duplex);
    default:
        return false;
    }
}

/* The last word as a parameter's name: one of those allowed, not given before. */
static clv_status *find_param(
    const parser *p, unsigned allowed, const params *values, const char *name, int *out_id) {
    const char *known[NUM_PARAMS];
    size_t count = 0;
    *out_id = 0;
    while (*out_id < NUM_PARAMS && strcmp(param_names[*out_id], name) != 0) {
        ++*out_id;
    }
    if (*out_id < NUM_PARAMS && (allowed >> *out_id & 1) != 0) {
        return (values->given >> *out_id & 1) == 0
                   ? NULL
                   : FAIL_AT(p->word_at, "'%s' stands there twice", name);
    }
    for (int i = 0; i < NUM_PARAMS; i++) {
        if (allowed >> i & 1) {
            known[count++] = param_names[i];
        }
    }
    const char *nearest = clv_nearest(name, known, count);
    return FAIL_AT(
        p->word_at, "no parameter '%s' here%s%s%s", name, nearest != NULL ? "; did you mean '" : "",
        nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

static clv_status *take_param(parser *p, unsigned allowed, params *values) {
    static const char *const needed[NUM_PARAMS] = {
        [PARAM_PEAK] = "a rate above 0 such as 200G",
        [PARAM_BW] = "a rate above 0 such as 25G, or inf",
        [PARAM_MEM] = "a size such as 8G",
        [PARAM_SPEED] = "a number above 0",
        [PARAM_LAUNCH] = "a time such as 2us",
        [PARAM_OVERLAP] = "yes or no",
        [PARAM_BUFFERS] = "a count from 1 to 1000000, or inf",
        [PARAM_LATENCY] = "a time such as 10us",
        [PARAM_DUPLEX] = "full or half"};
    char name[MAX_WORD], value[MAX_WORD];
    int id;
    CLV_TRY(take_word(p, "", "a parameter", name));
    CLV_TRY(find_param(p, allowed, values, name, &id));
    if (!take_char(p, '=')) {
        char buffer[CLV_SHOWN_CHARACTER + 2];
        return FAIL_AT(p->at, "%s where '=' was expected", shown(p, p->at, buffer));
    }
    CLV_TRY(take_word(p, "+", "a value", value));
    if (!set_param(values, (param_id)id, value)) {
        return FAIL_AT(
            p->word_at, "'%s' is no value for '%s', which is %s", value, name, needed[id]);
    }
    values->given |= 1u << id;
    return NULL;
}

static clv_status *take_params(parser *p, unsigned allowed, params *values) {
    *values =
        (params){.bandwidth = (double)INFINITY, .speed = 1, .mem = CLV_UNLIMITED, .overlaps = true};
    for (;;) {
        skip_spaces(p);
        char c = p->text[p->at];
        if (c == '\0' || c == ';' || c == ')') {
            return NULL;
        }
        CLV_TRY(take_param(p, allowed, values));
    }
}

static const char *join_name(parser *p, const scope *in, const char *kind, int64_t index) {
    clv_arena *arena = &p->builder.machine->arena;
    return index < 0 ? clv_arena_printf(arena, "%s%s", in->prefix, kind)
                     : clv_arena_printf(arena, "%s%s:%lld", in->prefix, kind, (long long)index);
}

/* Once in `names`. */
static clv_status *add_name(
    const parser *p, clv_name_map *names, const char *what, const char *name) {
    if (name == NULL) {
        return CLV_NO_ARENA("a name");
    }
    if (clv_name_map_find(names, name) != NULL) {
        return FAIL_AT(p->item_at, "a second %s named '%s'", what, name);
    }
    return clv_name_map_set(names, name, 0) ? NULL
                                            : CLV_ERROR(NO_MEMORY, "out of host memory for names");
}

static clv_status *add_memory(
    parser *p, const char *name, const params *values, uint32_t *out_index) {
    CLV_TRY(add_name(p, &p->memories, "memory", name));
    clv_memory memory = clv_memory_default(name);
    if (values != NULL) {
        memory.bandwidth = values->bandwidth;
        memory.capacity_bytes = values->mem;
    }
    return clv_machine_add_memory(&p->builder, &memory, out_index);
}

/* How many units of this kind the scope has already, so that "core*2; core*2" makes core:0 to
 * core:3. */
static uint32_t count_kind(const parser *p, const scope *in, const char *kind) {
    const clv_machine *machine = p->builder.machine;
    uint32_t count = 0;
    for (uint32_t i = in->first_unit; i < machine->num_units; i++) {
        count += strcmp(machine->units[i].kind, kind) == 0;
    }
    return count;
}

static clv_status *add_units(
    parser *p, const scope *in, const char *kind, uint32_t count, bool is_counted,
    const params *values) {
    uint32_t first = count_kind(p, in, kind), index;
    /* A word without a count is its own name ("p1"), but for the kinds that are always numbered. */
    bool is_numbered = is_counted || strcmp(kind, "core") == 0 || strcmp(kind, "gpu") == 0;
    bool has_own_memory = strcmp(kind, "gpu") == 0;
    for (uint32_t i = 0; i < count; i++) {
        const char *name = join_name(p, in, kind, is_numbered ? (int64_t)first + i : -1);
        CLV_TRY(add_name(p, &p->units, "unit", name));
        clv_unit unit = clv_unit_default(name, kind);
        unit.peak_flops = values->peak;
        unit.bandwidth = values->bandwidth;
        unit.limit_bytes = values->mem;
        unit.speed = values->speed;
        unit.launch_us = values->launch_us;
        unit.overlaps = values->overlaps;
        unit.slots = values->slots;
        unit.memory = in->host;
        if (has_own_memory) {
            CLV_TRY(add_memory(p, name, NULL, &unit.memory));
            p->builder.machine->memories[unit.memory].capacity_bytes = values->mem;
            p->builder.machine->memories[unit.memory].bandwidth = values->bandwidth;
        }
        clv_status *status = clv_machine_add_unit(&p->builder, &unit, &index);
        if (clv_status_code(status) == CLV_MALFORMED) {
            return fail_at(p, p->item_at, status);
        }
        CLV_TRY(status);
    }
    return NULL;
}

/* '*' matches any run of characters but '/'. On a mismatch the last '*' takes one more: an earlier
 * one never needs to, as what the last could not pass, it could not either. */
static bool matches_glob(const char *pattern, const char *name) {
    const char *after_star = NULL, *retry = NULL;
    while (*pattern != '\0' || *name != '\0') {
        if (*pattern == '*') {
            after_star = ++pattern;
            retry = name;
        } else if (*pattern != '\0' && *pattern == *name) {
            pattern++;
            name++;
        } else if (after_star != NULL && *retry != '\0' && *retry != '/') {
            pattern = after_star;
            name = ++retry;
        } else {
            return false;
        }
    }
    return true;
}

/* Whether a link's pattern names a unit, group or memory: a glob on its name, or its kind ("gpu"
 * for every gpu:I). */
static bool matches(const char *pattern, const char *name) {
    size_t length = strlen(pattern);
    bool is_kind = strncmp(pattern, name, length) == 0 && name[length] == ':' &&
                   strpbrk(name + length, "/*") == NULL;
    return is_kind || matches_glob(pattern, name);
}

/* The memories of a scope that a link's pattern names: of units, of groups (their host memory),
 * hubs, `host`. Marks them; units that share the scope's host memory get one of their own. */
static clv_status *mark_memories(
    parser *p, const scope *in, const char *pattern, size_t position, bool *marks,
    size_t *out_count) {
    clv_machine *machine = p->builder.machine;
    size_t prefix = strlen(in->prefix);
    *out_count = 0;
    for (uint32_t i = in->first_memory; i < machine->num_memories; i++) {
        const char *name = machine->memories[i].name + prefix;
        const char *slash = strchr(name, '/');
        bool is_group = slash != NULL && strcmp(slash, "/host") == 0;
        char group[MAX_WORD];
        if (is_group && (size_t)(slash - name) < sizeof group) {
            memcpy(group, name, (size_t)(slash - name));
            group[slash - name] = '\0';
            name = group;
        }
        if (!marks[i] && matches(pattern, name)) {
            marks[i] = true;
            ++*out_count;
        }
    }
    if (*out_count == 0) {
        return FAIL_AT(position, "link: '%s' names no unit, group or memory before it", pattern);
    }
    return NULL;
}

/* Units in host memory that a link names move to memories of their own. */
static clv_status *part_units(parser *p, const scope *in, const char *pattern) {
    clv_machine *machine = p->builder.machine;
    size_t prefix = strlen(in->prefix);
    for (uint32_t i = in->first_unit; i < machine->num_units; i++) {
        clv_unit *unit = &machine->units[i];
        if (unit->memory == in->host && matches(pattern, unit->name + prefix)) {
            uint32_t memory;
            CLV_TRY(add_memory(p, unit->name, NULL, &memory));
            machine->memories[memory].capacity_bytes = unit->limit_bytes;
            unit->memory = memory;
        }
    }
    return NULL;
}

static void set_values(clv_link *link, const params *values) {
    link->bandwidth = values->bandwidth;
    link->latency_us = values->latency_us;
    link->half_duplex = values->half_duplex;
}

/* A link that an earlier statement made takes the new values. */
static clv_status *add_pair(parser *p, uint32_t from, uint32_t to, const params *values) {
    clv_machine *machine = p->builder.machine;
    uint32_t found = clv_pair_map_find(&p->links, from, to);
    if (found != CLV_NO_INDEX) {
        set_values(&machine->links[found], values);
        return NULL;
    }
    const char *name = clv_arena_printf(
        &machine->arena, "%s-%s", machine->memories[from].name, machine->memories[to].name);
    if (name == NULL) {
        return CLV_NO_ARENA("a link's name");
    }
    if (!clv_pair_map_add(&p->links, from, to, machine->num_links)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for links");
    }
    clv_link link = clv_link_default(name, from, to);
    set_values(&link, values);
    return clv_machine_add_link(&p->builder, &link);
}

/* numa*N: N memories of their own, joined with one another and with the scope's host memory. */
static clv_status *add_domains(parser *p, scope *in, uint32_t count, const params *values) {
    uint64_t num_links = (uint64_t)count * (count + 1) / 2;
    if (num_links > CLV_MAX_LINKS) {
        return FAIL_AT(
            p->item_at, "numa: %llu pairs of memories, %d links are the most a machine has",
            (unsigned long long)num_links, (int)CLV_MAX_LINKS);
    }
    in->first_domain = p->builder.machine->num_memories;
    in->num_domains = count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index;
        CLV_TRY(add_memory(p, join_name(p, in, "numa", i), values, &index));
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = i; k < count; k++) {
            uint32_t from = k == i ? in->host : in->first_domain + i;
            CLV_TRY(add_pair(p, from, in->first_domain + k, values));
        }
    }
    return NULL;
}

/* Pairs of different memories, one of `left` and one of `right` [count]; each pair once. */
static uint64_t count_pairs(const bool *left, const bool *right, uint32_t count) {
    uint64_t num_left = 0, num_right = 0, num_both = 0;
    for (uint32_t i = 0; i < count; i++) {
        num_left += left[i] ? 1 : 0;
        num_right += right[i] ? 1 : 0;
        num_both += left[i] && right[i] ? 1 : 0;
    }
    return num_left * num_right - num_both * (num_both + 1) / 2;
}

/* Of `left` and `right` [num_memories], where marked. */
static clv_status *add_pairs(
    parser *p, const bool *left, const bool *right, size_t position, const params *values) {
    uint32_t count = p->builder.machine->num_memories;
    uint64_t num_pairs = count_pairs(left, right, count);
    if (num_pairs == 0) {
        return FAIL_AT(position, "link: both ends are the same memory");
    }
    if (num_pairs > CLV_MAX_LINKS) {
        return FAIL_AT(
            position, "link: %llu pairs of memories, %d links are the most a machine has",
            (unsigned long long)num_pairs, (int)CLV_MAX_LINKS);
    }
    uint32_t *rights = clv_alloc_zeroed(count, sizeof *rights), num_right = 0;
    if (rights == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for links");
    }
    for (uint32_t i = 0; i < count; i++) {
        rights[num_right] = i;
        num_right += right[i] ? 1 : 0;
    }
    clv_status *status = NULL;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t r = 0; left[i] && r < num_right; r++) {
            uint32_t k = rights[r];
            bool is_twice = left[k] && right[i] && k < i; /* that pair has had its turn */
            if (i != k && !is_twice) {
                CLV_TRY_DONE(add_pair(p, i, k, values));
            }
        }
    }
done:
    clv_free(rights);
    return status;
}

static clv_status *parse_link(parser *p, const scope *in) {
    char left[MAX_WORD], right[MAX_WORD];
    params values;
    CLV_TRY(take_word(p, "*", "a unit or memory", left));
    size_t left_at = p->word_at;
    CLV_TRY(take_word(p, "*", "a unit or memory", right));
    size_t right_at = p->word_at;
    CLV_TRY(take_params(p, LINK_PARAMS, &values));
    CLV_TRY(part_units(p, in, left));
    CLV_TRY(part_units(p, in, right));
    size_t count = p->builder.machine->num_memories;
    bool *marks = clv_alloc_zeroed(count * 2, sizeof *marks);
    if (marks == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for links");
    }
    size_t num_left, num_right;
    clv_status *status = mark_memories(p, in, left, left_at, marks, &num_left);
    if (status == NULL) {
        status = mark_memories(p, in, right, right_at, marks + count, &num_right);
    }
    if (status == NULL) {
        status = add_pairs(p, marks, marks + count, right_at, &values);
    }
    clv_free(marks);
    return status;
}

static clv_status *parse_machine(parser *p, scope *in, int depth);

static clv_status *parse_group(
    parser *p, const scope *in, const char *kind, uint32_t count, int depth) {
    size_t begin = p->at, item_at = p->item_at;
    if (depth >= MAX_DEPTH) {
        return FAIL_AT(item_at, "groups nested deeper than %d", MAX_DEPTH);
    }
    for (uint32_t i = 0; i < count; i++) {
        scope inner = {
            .first_unit = p->builder.machine->num_units,
            .first_memory = p->builder.machine->num_memories};
        int length = snprintf(inner.prefix, MAX_WORD, "%s%s:%u/", in->prefix, kind, i);
        if (length >= MAX_WORD) {
            return FAIL_AT(item_at, "group names longer than %d characters", MAX_WORD - 1);
        }
        p->at = begin;
        p->item_at = item_at;
        CLV_TRY(add_memory(p, join_name(p, &inner, "host", -1), NULL, &inner.host));
        CLV_TRY(parse_machine(p, &inner, depth + 1));
        if (!take_char(p, ')')) {
            char buffer[CLV_SHOWN_CHARACTER + 2];
            return FAIL_AT(p->at, "%s where ')' was expected", shown(p, p->at, buffer));
        }
    }
    return NULL;
}

static clv_status *parse_host(parser *p, const scope *in) {
    params values;
    CLV_TRY(take_params(p, MEMORY_PARAMS, &values));
    clv_memory *memory = &p->builder.machine->memories[in->host];
    if (values.given & 1u << PARAM_BW) {
        memory->bandwidth = values.bandwidth;
    }
    if (values.given & 1u << PARAM_MEM) {
        memory->capacity_bytes = values.mem;
    }
    return NULL;
}

static clv_status *parse_hub(parser *p, const scope *in) {
    char name[MAX_WORD];
    params values;
    uint32_t index;
    CLV_TRY(take_word(p, "", "the hub's name", name));
    CLV_TRY(take_params(p, MEMORY_PARAMS, &values));
    return add_memory(p, join_name(p, in, name, -1), &values, &index);
}

static clv_status *parse_item(parser *p, scope *in, int depth) {
    char word[MAX_WORD];
    uint32_t count;
    params values;
    CLV_TRY(take_word(p, "", "a unit, a group or a link", word));
    p->item_at = p->word_at;
    if (strcmp(word, "link") == 0) {
        return parse_link(p, in);
    }
    if (strcmp(word, "host") == 0) {
        return parse_host(p, in);
    }
    if (strcmp(word, "hub") == 0) {
        return parse_hub(p, in);
    }
    if (strncmp(word, "bespoke:", 8) == 0) {
        return FAIL_AT(
            p->word_at, "'%s': a bespoke machine has no other units, and stands first", word);
    }
    if (strcmp(word, "bespoke") == 0) {
        return FAIL_AT(
            p->word_at, "'%s': a bespoke machine is 'bespoke:type' or 'bespoke:node'", word);
    }
    if (strchr(word, '/') != NULL || strchr(word, ':') != NULL) {
        return FAIL_AT(p->word_at, "'%s': a kind has no ':' or '/'", word);
    }
    skip_spaces(p);
    bool is_counted = p->text[p->at] == '*';
    CLV_TRY(take_count(p, &count));
    if (take_char(p, '(')) {
        return parse_group(p, in, word, count, depth);
    }
    if (strcmp(word, "numa") == 0) {
        CLV_TRY(take_params(p, MEMORY_PARAMS, &values));
        return add_domains(p, in, count, &values);
    }
    CLV_TRY(take_params(p, UNIT_PARAMS, &values));
    return add_units(p, in, word, count, is_counted, &values);
}

/* At a scope's end its domains get the units on its host memory in even shares, in order. */
static void deal_units(const parser *p, const scope *in) {
    clv_machine *machine = p->builder.machine;
    uint64_t num_dealt = 0, next = 0;
    for (uint32_t i = in->first_unit; i < machine->num_units; i++) {
        num_dealt += machine->units[i].memory == in->host;
    }
    for (uint32_t i = in->first_unit; in->num_domains > 0 && i < machine->num_units; i++) {
        if (machine->units[i].memory == in->host) {
            machine->units[i].memory =
                in->first_domain + (uint32_t)(next++ * in->num_domains / num_dealt);
        }
    }
}

static clv_status *parse_machine(parser *p, scope *in, int depth) {
    for (;;) {
        skip_spaces(p);
        if (p->text[p->at] == '\0' || p->text[p->at] == ')') {
            break; /* a trailing ';' is fine */
        }
        CLV_TRY(parse_item(p, in, depth));
        if (!take_char(p, ';')) {
            break;
        }
    }
    deal_units(p, in);
    return NULL;
}

/* What follows a bespoke machine's units: links between all of them; a later one replaces an
 * earlier. */
static clv_status *parse_bespoke_links(parser *p, uint32_t host) {
    uint32_t other = CLV_NO_INDEX;
    while (take_char(p, ';')) {
        char word[MAX_WORD];
        params values;
        skip_spaces(p);
        if (p->text[p->at] == '\0') {
            return NULL; /* a trailing ';' is fine */
        }
        CLV_TRY(take_word(p, "*", "'link * *'", word));
        if (strcmp(word, "link") != 0) {
            return FAIL_AT(
                p->word_at,
                "'%s' after a bespoke machine, whose units come from the model: only 'link * *' "
                "and its parameters may follow",
                word);
        }
        for (int end = 0; end < 2; end++) {
            CLV_TRY(take_word(p, "*", "'*'", word));
            if (strcmp(word, "*") != 0) {
                return FAIL_AT(
                    p->word_at, "'%s': links of a bespoke machine join all units, '*' and '*'",
                    word);
            }
        }
        CLV_TRY(take_params(p, LINK_PARAMS, &values));
        if (other == CLV_NO_INDEX) {
            CLV_TRY(add_memory(p, "far", NULL, &other));
        }
        CLV_TRY(add_pair(p, host, other, &values));
    }
    return NULL;
}

/* bespoke:type*2{buffers=2,peak=10G}; link * * bw=10G */
static clv_status *parse_bespoke(parser *p) {
    char word[MAX_WORD];
    clv_machine *machine = p->builder.machine;
    params values = {
        .bandwidth = (double)INFINITY,
        .speed = 1,
        .mem = CLV_UNLIMITED,
        .overlaps = true,
        .slots = 1};
    CLV_TRY(take_word(p, "", "'bespoke:type' or 'bespoke:node'", word));
    p->item_at = p->word_at;
    if (strcmp(word, "bespoke:type") == 0) {
        machine->bespoke = CLV_BESPOKE_TYPE;
    } else if (strcmp(word, "bespoke:node") == 0) {
        machine->bespoke = CLV_BESPOKE_NODE;
    } else {
        return FAIL_AT(
            p->word_at, "'%s': a bespoke machine is 'bespoke:type' or 'bespoke:node'", word);
    }
    CLV_TRY(take_count(p, &machine->pattern_count));
    if (take_char(p, '{')) {
        do {
            CLV_TRY(take_param(p, UNIT_PARAMS, &values));
        } while (take_char(p, ','));
        if (!take_char(p, '}')) {
            char buffer[CLV_SHOWN_CHARACTER + 2];
            return FAIL_AT(p->at, "%s where '}' was expected", shown(p, p->at, buffer));
        }
    }
    scope in = {.prefix = ""};
    CLV_TRY(add_memory(p, "host", NULL, &in.host));
    CLV_TRY(add_units(p, &in, "unit", 1, false, &values));
    return parse_bespoke_links(p, in.host);
}

clv_status *clv_machine_parse_text(const char *text, clv_machine **out_machine) {
    parser parsed = {.text = text}, *p = &parsed;
    clv_status *status = NULL;
    *out_machine = NULL;
    skip_spaces(p);
    char name[64]; /* the text itself, as far as it fits */
    const char *rest = strlen(text + p->at) < sizeof name ? "" : "...";
    clv_format(name, sizeof name, "%.*s%s", (int)sizeof name - 4, text + p->at, rest);
    CLV_TRY(clv_machine_builder_init(&p->builder, name));
    clv_name_map_init(&p->units);
    clv_name_map_init(&p->memories);
    if (strncmp(text + p->at, "bespoke:", 8) == 0) {
        CLV_TRY_DONE(parse_bespoke(p));
    } else {
        scope outer = {.prefix = ""};
        CLV_TRY_DONE(add_memory(p, "host", NULL, &outer.host));
        CLV_TRY_DONE(parse_machine(p, &outer, 0));
    }
    skip_spaces(p);
    if (text[p->at] != '\0') {
        char buffer[CLV_SHOWN_CHARACTER + 2];
        CLV_TRY_DONE(FAIL_AT(p->at, "%s was not expected here", shown(p, p->at, buffer)));
    }
    CLV_TRY_DONE(clv_machine_builder_take(&p->builder, out_machine));
done:
    clv_name_map_deinit(&p->units);
    clv_name_map_deinit(&p->memories);
    clv_pair_map_deinit(&p->links);
    clv_machine_builder_deinit(&p->builder);
    return status;
}
