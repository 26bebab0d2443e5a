/* Machines as JSON files; docs/machines.md has the schema. */
#include "host/base/json.h"
#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/machine/builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WHERE = 64 };

static const char *const bespoke_words[] = {"no", "type", "node"};

/* A finite number that may be left out. */
static clv_status *get_number(
    const cJSON *object, const char *where, const char *key, double minimum, double fallback,
    double *out_value) {
    *out_value = fallback;
    return clv_json_find(object, key) == NULL
               ? NULL
               : clv_json_get_number(object, where, key, minimum, 1e300, out_value);
}

/* A limit: where it is left out or the word "inf" there is none. */
static clv_status *get_limit(
    const cJSON *object, const char *where, const char *key, double minimum, double *out_value) {
    const cJSON *item = clv_json_find(object, key);
    *out_value = (double)INFINITY;
    return item == NULL || (cJSON_IsString(item) && strcmp(item->valuestring, "inf") == 0)
               ? NULL
               : clv_json_get_number(object, where, key, minimum, 1e300, out_value);
}

static clv_status *get_size(
    const cJSON *object, const char *where, const char *key, uint64_t *out_value) {
    double value;
    CLV_TRY(get_limit(object, where, key, 0, &value));
    if (!isinf(value) && value > (double)CLV_JSON_MOST_INTEGER) {
        return CLV_ERROR(MALFORMED, "%s.%s: %g is beyond 2^53 bytes", where, key, value);
    }
    *out_value = isinf(value) ? CLV_UNLIMITED : (uint64_t)value;
    return NULL;
}

static clv_status *get_bool(
    const cJSON *object, const char *where, const char *key, bool fallback, bool *out_value) {
    const cJSON *item = clv_json_find(object, key);
    *out_value = fallback;
    if (item == NULL) {
        return NULL;
    }
    if (!cJSON_IsBool(item)) {
        return CLV_ERROR(MALFORMED, "%s.%s: must be true or false", where, key);
    }
    *out_value = cJSON_IsTrue(item);
    return NULL;
}

/* What others refer to, by name. */
typedef struct names_so_far {
    clv_name_map memories, processors;
} names_so_far;

static clv_status *get_index(
    const cJSON *object, const char *where, const char *key, const clv_name_map *names,
    const char *what, uint32_t *out_index) {
    const char *name;
    CLV_TRY(clv_json_get_string(object, where, key, &name));
    const uint32_t *index = clv_name_map_find(names, name);
    if (index == NULL) {
        return CLV_ERROR(MALFORMED, "%s.%s: there is no %s '%s'", where, key, what, name);
    }
    *out_index = *index;
    return NULL;
}

static clv_status *get_memory_index(
    const cJSON *object, const char *where, const char *key, const names_so_far *names,
    uint32_t *out_index) {
    return get_index(object, where, key, &names->memories, "memory", out_index);
}

static clv_status *keep_name(clv_name_map *names, const char *name, uint32_t index) {
    return clv_name_map_set(names, name, index)
               ? NULL
               : CLV_ERROR(NO_MEMORY, "out of host memory for names");
}

/* A whole number from 1 on. */
static clv_status *get_count(
    const cJSON *object, const char *where, const char *key, uint32_t *out_value) {
    int64_t value;
    CLV_TRY(clv_json_get_int(object, where, key, 1, CLV_MAX_UNITS, &value));
    *out_value = (uint32_t)value;
    return NULL;
}

static clv_status *read_memory(
    clv_machine_builder *builder, const cJSON *item, const char *where, names_so_far *names) {
    static const char *const keys[] = {"name", "capacity_bytes", "bandwidth", "exchange"};
    const char *name;
    uint32_t index;
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "name", &name));
    clv_memory memory = clv_memory_default(name);
    CLV_TRY(get_size(item, where, "capacity_bytes", &memory.capacity_bytes));
    CLV_TRY(get_limit(item, where, "bandwidth", 0, &memory.bandwidth));
    CLV_TRY(get_limit(item, where, "exchange", 0, &memory.exchange));
    CLV_TRY(clv_machine_add_memory(builder, &memory, &index));
    return keep_name(&names->memories, builder->machine->memories[index].name, index);
}

static clv_status *read_processors(
    clv_machine_builder *builder, const cJSON *item, const char *where, names_so_far *names) {
    static const char *const keys[] = {"name", "count"};
    clv_processors processors;
    uint32_t index;
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "name", &processors.name));
    CLV_TRY(get_count(item, where, "count", &processors.count));
    CLV_TRY(clv_machine_add_processors(builder, &processors, &index));
    return keep_name(&names->processors, builder->machine->processors[index].name, index);
}

static clv_status *read_unit(
    clv_machine_builder *builder, const cJSON *item, const char *where, names_so_far *names) {
    static const char *const keys[] = {
        "name",  "kind",      "driver",   "memory", "limit_bytes", "peak_flops", "bandwidth",
        "speed", "launch_us", "overlaps", "slots",  "processors",  "threads"};
    const char *name, *kind;
    double slots;
    uint32_t index;
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "name", &name));
    CLV_TRY(clv_json_get_string(item, where, "kind", &kind));
    clv_unit unit = clv_unit_default(name, kind);
    if (clv_json_find(item, "driver") != NULL) {
        CLV_TRY(clv_json_get_string(item, where, "driver", &unit.driver));
    }
    CLV_TRY(get_memory_index(item, where, "memory", names, &unit.memory));
    CLV_TRY(get_size(item, where, "limit_bytes", &unit.limit_bytes));
    CLV_TRY(get_number(item, where, "peak_flops", 0, 0, &unit.peak_flops));
    CLV_TRY(get_limit(item, where, "bandwidth", 0, &unit.bandwidth));
    CLV_TRY(get_number(item, where, "speed", 0, 1, &unit.speed));
    CLV_TRY(get_number(item, where, "launch_us", 0, 0, &unit.launch_us));
    CLV_TRY(get_bool(item, where, "overlaps", true, &unit.overlaps));
    CLV_TRY(get_limit(item, where, "slots", 1, &slots));
    if (!isinf(slots) && (slots > 1000000 || slots != floor(slots))) {
        return CLV_ERROR(
            MALFORMED, "%s.slots: %g is not a whole number up to 1000000", where, slots);
    }
    unit.slots = isinf(slots) ? 0 : (uint32_t)slots;
    if (clv_json_find(item, "processors") != NULL) {
        CLV_TRY(get_index(
            item, where, "processors", &names->processors, "group of processors",
            &unit.processors));
    }
    if (clv_json_find(item, "threads") != NULL) {
        CLV_TRY(get_count(item, where, "threads", &unit.threads));
    }
    return clv_machine_add_unit(builder, &unit, &index);
}

static clv_status *read_link(
    clv_machine_builder *builder, const cJSON *item, const char *where, names_so_far *names) {
    static const char *const keys[] = {"name",      "from",       "to",
                                       "bandwidth", "latency_us", "half_duplex"};
    const char *name;
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "name", &name));
    clv_link link = clv_link_default(name, 0, 0);
    CLV_TRY(get_memory_index(item, where, "from", names, &link.ends[0]));
    CLV_TRY(get_memory_index(item, where, "to", names, &link.ends[1]));
    CLV_TRY(get_limit(item, where, "bandwidth", 0, &link.bandwidth));
    CLV_TRY(get_number(item, where, "latency_us", 0, 0, &link.latency_us));
    CLV_TRY(get_bool(item, where, "half_duplex", false, &link.half_duplex));
    return clv_machine_add_link(builder, &link);
}

typedef clv_status *(*read_item)(
    clv_machine_builder *builder, const cJSON *item, const char *where, names_so_far *names);

static clv_status *read_items(
    clv_machine_builder *builder, const cJSON *root, const char *key, bool is_needed,
    names_so_far *names, read_item read) {
    const cJSON *array, *item;
    if (!is_needed && clv_json_find(root, key) == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_array(root, "machine", key, &array));
    unsigned index = 0;
    cJSON_ArrayForEach(item, array) {
        char where[MAX_WHERE];
        snprintf(where, sizeof where, "%s[%u]", key, index++);
        if (!cJSON_IsObject(item)) {
            return CLV_ERROR(MALFORMED, "%s: must be an object", where);
        }
        CLV_TRY(read(builder, item, where, names));
    }
    return NULL;
}

static clv_status *read_head(clv_machine_builder *builder, const cJSON *root) {
    static const char *const keys[] = {"format",        "name",     "bespoke",
                                       "pattern_count", "memories", "processors",
                                       "units",         "links",    "home"};
    const char *format, *word;
    int64_t count;
    CLV_TRY(clv_json_known_keys(root, "machine", keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(root, "machine", "format", &format));
    if (strcmp(format, "cleave-machine-1") != 0) {
        return CLV_ERROR(
            MALFORMED, "machine.format is '%s', this program reads 'cleave-machine-1'", format);
    }
    if (clv_json_find(root, "name") != NULL) {
        CLV_TRY(clv_json_get_string(root, "machine", "name", &word));
        builder->machine->name = clv_arena_strdup(&builder->machine->arena, word);
        if (builder->machine->name == NULL) {
            return CLV_NO_ARENA("a machine's name");
        }
    }
    if (clv_json_find(root, "bespoke") != NULL) {
        CLV_TRY(clv_json_get_string(root, "machine", "bespoke", &word));
        size_t i = 0;
        while (i < 3 && strcmp(bespoke_words[i], word) != 0) {
            i++;
        }
        if (i == 3) {
            return CLV_ERROR(MALFORMED, "machine.bespoke: '%s' is not no, type or node", word);
        }
        builder->machine->bespoke = (clv_bespoke)i;
    }
    if (clv_json_find(root, "pattern_count") != NULL) {
        CLV_TRY(clv_json_get_int(root, "machine", "pattern_count", 0, CLV_MAX_UNITS, &count));
        builder->machine->pattern_count = (uint32_t)count;
    }
    return NULL;
}

clv_status *clv_machine_parse_json(
    const char *what, const char *json, size_t length, clv_machine **out_machine) {
    clv_machine_builder builder;
    names_so_far names;
    cJSON *root = NULL;
    clv_status *status = NULL;
    *out_machine = NULL;
    CLV_TRY(clv_machine_builder_init(&builder, what));
    clv_name_map_init(&names.memories);
    clv_name_map_init(&names.processors);
    CLV_TRY_DONE(clv_json_parse(NULL, json, length, &root));
    if (!cJSON_IsObject(root)) {
        status = CLV_ERROR(MALFORMED, "a machine must be a JSON object");
        goto done;
    }
    CLV_TRY_DONE(read_head(&builder, root));
    CLV_TRY_DONE(read_items(&builder, root, "memories", true, &names, read_memory));
    CLV_TRY_DONE(read_items(&builder, root, "processors", false, &names, read_processors));
    CLV_TRY_DONE(read_items(&builder, root, "units", true, &names, read_unit));
    CLV_TRY_DONE(read_items(&builder, root, "links", false, &names, read_link));
    if (clv_json_find(root, "home") != NULL) {
        CLV_TRY_DONE(get_memory_index(root, "machine", "home", &names, &builder.machine->home));
    }
    CLV_TRY_DONE(clv_machine_builder_take(&builder, out_machine));
done:
    clv_machine_builder_deinit(&builder);
    clv_name_map_deinit(&names.memories);
    clv_name_map_deinit(&names.processors);
    cJSON_Delete(root);
    return status == NULL ? NULL : clv_status_prefix(status, "machine '%s'", what);
}

/* Infinity is left out: that is what a missing number means. */
static bool add_number(cJSON *object, const char *key, double value) {
    return isinf(value) || cJSON_AddNumberToObject(object, key, value) != NULL;
}

static bool add_size(cJSON *object, const char *key, uint64_t value) {
    return value == CLV_UNLIMITED || cJSON_AddNumberToObject(object, key, (double)value) != NULL;
}

static bool write_memories(cJSON *array, const clv_machine *machine) {
    bool is_good = true;
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        const clv_memory *memory = &machine->memories[i];
        cJSON *item = cJSON_CreateObject();
        is_good = is_good && cJSON_AddItemToArray(array, item) &&
                  cJSON_AddStringToObject(item, "name", memory->name) != NULL &&
                  add_size(item, "capacity_bytes", memory->capacity_bytes) &&
                  add_number(item, "bandwidth", memory->bandwidth) &&
                  (isinf(memory->exchange) || add_number(item, "exchange", memory->exchange));
    }
    return is_good;
}

static bool write_processors(cJSON *root, const clv_machine *machine) {
    cJSON *array = machine->num_processors > 0 ? cJSON_AddArrayToObject(root, "processors") : NULL;
    bool is_good = machine->num_processors == 0 || array != NULL;
    for (uint32_t i = 0; is_good && i < machine->num_processors; i++) {
        const clv_processors *processors = &machine->processors[i];
        cJSON *item = cJSON_CreateObject();
        is_good = cJSON_AddItemToArray(array, item) &&
                  cJSON_AddStringToObject(item, "name", processors->name) != NULL &&
                  cJSON_AddNumberToObject(item, "count", processors->count) != NULL;
    }
    return is_good;
}

static bool write_threads(cJSON *item, const clv_machine *machine, const clv_unit *unit) {
    const bool has_any = unit->processors != CLV_NO_INDEX;
    return (!has_any ||
            cJSON_AddStringToObject(
                item, "processors", machine->processors[unit->processors].name) != NULL) &&
           (unit->threads == 1 || cJSON_AddNumberToObject(item, "threads", unit->threads) != NULL);
}

static bool write_units(cJSON *array, const clv_machine *machine) {
    bool is_good = true;
    for (uint32_t i = 0; i < machine->num_units; i++) {
        const clv_unit *unit = &machine->units[i];
        cJSON *item = cJSON_CreateObject();
        is_good =
            is_good && cJSON_AddItemToArray(array, item) &&
            cJSON_AddStringToObject(item, "name", unit->name) != NULL &&
            cJSON_AddStringToObject(item, "kind", unit->kind) != NULL &&
            cJSON_AddStringToObject(item, "driver", unit->driver) != NULL &&
            cJSON_AddStringToObject(item, "memory", machine->memories[unit->memory].name) != NULL &&
            add_size(item, "limit_bytes", unit->limit_bytes) &&
            cJSON_AddNumberToObject(item, "peak_flops", unit->peak_flops) != NULL &&
            add_number(item, "bandwidth", unit->bandwidth) &&
            cJSON_AddNumberToObject(item, "speed", unit->speed) != NULL &&
            cJSON_AddNumberToObject(item, "launch_us", unit->launch_us) != NULL &&
            cJSON_AddBoolToObject(item, "overlaps", unit->overlaps) != NULL &&
            (unit->slots == 0 || cJSON_AddNumberToObject(item, "slots", unit->slots) != NULL) &&
            write_threads(item, machine, unit);
    }
    return is_good;
}

static bool write_links(cJSON *array, const clv_machine *machine) {
    bool is_good = true;
    for (uint32_t i = 0; i < machine->num_links; i++) {
        const clv_link *link = &machine->links[i];
        cJSON *item = cJSON_CreateObject();
        is_good =
            is_good && cJSON_AddItemToArray(array, item) &&
            cJSON_AddStringToObject(item, "name", link->name) != NULL &&
            cJSON_AddStringToObject(item, "from", machine->memories[link->ends[0]].name) != NULL &&
            cJSON_AddStringToObject(item, "to", machine->memories[link->ends[1]].name) != NULL &&
            add_number(item, "bandwidth", link->bandwidth) &&
            cJSON_AddNumberToObject(item, "latency_us", link->latency_us) != NULL &&
            cJSON_AddBoolToObject(item, "half_duplex", link->half_duplex) != NULL;
    }
    return is_good;
}

clv_status *clv_machine_format_json(const clv_machine *machine, char **out_json) {
    *out_json = NULL;
    cJSON *root = cJSON_CreateObject();
    bool is_good =
        root != NULL && cJSON_AddStringToObject(root, "format", "cleave-machine-1") != NULL &&
        cJSON_AddStringToObject(root, "name", machine->name) != NULL &&
        cJSON_AddStringToObject(root, "bespoke", bespoke_words[machine->bespoke]) != NULL &&
        (machine->pattern_count == 0 ||
         cJSON_AddNumberToObject(root, "pattern_count", machine->pattern_count) != NULL) &&
        (machine->home == CLV_NO_INDEX ||
         cJSON_AddStringToObject(root, "home", machine->memories[machine->home].name) != NULL) &&
        write_memories(cJSON_AddArrayToObject(root, "memories"), machine) &&
        write_processors(root, machine) &&
        write_units(cJSON_AddArrayToObject(root, "units"), machine) &&
        write_links(cJSON_AddArrayToObject(root, "links"), machine);
    *out_json = is_good ? clv_json_print_copy(root, false) : NULL;
    cJSON_Delete(root);
    return *out_json != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for a machine file");
}
