#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/machine/builder.h"

#include <math.h>
#include <string.h>

clv_status *clv_machine_create(const char *name, clv_machine **out_machine) {
    *out_machine = NULL;
    clv_machine *machine = clv_alloc_zeroed(1, sizeof *machine);
    if (machine == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a machine");
    }
    clv_arena_init(&machine->arena, 0);
    machine->home = CLV_NO_INDEX;
    machine->name = clv_arena_strdup(&machine->arena, name);
    if (machine->name == NULL) {
        clv_machine_destroy(machine);
        return CLV_NO_ARENA("a machine");
    }
    *out_machine = machine;
    return NULL;
}

void clv_machine_destroy(clv_machine *machine) {
    if (machine != NULL) {
        clv_free(machine->memories);
        clv_free(machine->processors);
        clv_free(machine->units);
        clv_free(machine->links);
        clv_arena_deinit(&machine->arena);
        clv_free(machine);
    }
}

clv_memory clv_memory_default(const char *name) {
    return (clv_memory){
        .name = name,
        .capacity_bytes = CLV_UNLIMITED,
        .bandwidth = (double)INFINITY,
        .exchange = (double)INFINITY};
}

clv_unit clv_unit_default(const char *name, const char *kind) {
    return (clv_unit){
        .name = name,
        .kind = kind,
        .driver = "",
        .limit_bytes = CLV_UNLIMITED,
        .bandwidth = (double)INFINITY,
        .speed = 1,
        .overlaps = true,
        .processors = CLV_NO_INDEX,
        .threads = 1};
}

clv_link clv_link_default(const char *name, uint32_t from, uint32_t to) {
    return (clv_link){.name = name, .ends = {from, to}, .bandwidth = (double)INFINITY};
}

clv_status *clv_machine_builder_init(clv_machine_builder *builder, const char *name) {
    *builder = (clv_machine_builder){0};
    return clv_machine_create(name, &builder->machine);
}

void clv_machine_builder_deinit(clv_machine_builder *builder) {
    clv_machine_destroy(builder->machine);
    *builder = (clv_machine_builder){0};
}

static clv_status *reserve(
    void **data, size_t *capacity, uint32_t count, size_t limit, size_t element_bytes,
    const char *what) {
    if (count >= limit) {
        return CLV_ERROR(MALFORMED, "a machine of more than %zu %s", limit, what);
    }
    if (!clv_array_reserve(data, capacity, (size_t)count + 1, element_bytes)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the %s of a machine", what);
    }
    return NULL;
}

clv_status *clv_machine_add_memory(
    clv_machine_builder *builder, const clv_memory *memory, uint32_t *out_index) {
    clv_machine *machine = builder->machine;
    CLV_TRY(reserve(
        (void **)&machine->memories, &builder->capacity_memories, machine->num_memories,
        CLV_MAX_UNITS, sizeof *memory, "memories"));
    clv_memory copy = *memory;
    copy.name = clv_arena_strdup(&machine->arena, memory->name);
    if (copy.name == NULL) {
        return CLV_NO_ARENA("a memory's name");
    }
    *out_index = machine->num_memories;
    machine->memories[machine->num_memories++] = copy;
    return NULL;
}

clv_status *clv_machine_add_processors(
    clv_machine_builder *builder, const clv_processors *processors, uint32_t *out_index) {
    clv_machine *machine = builder->machine;
    CLV_TRY(reserve(
        (void **)&machine->processors, &builder->capacity_processors, machine->num_processors,
        CLV_MAX_UNITS, sizeof *processors, "groups of processors"));
    clv_processors copy = *processors;
    copy.name = clv_arena_strdup(&machine->arena, processors->name);
    if (copy.name == NULL) {
        return CLV_NO_ARENA("a name of processors");
    }
    *out_index = machine->num_processors;
    machine->processors[machine->num_processors++] = copy;
    return NULL;
}

clv_status *clv_machine_add_unit(
    clv_machine_builder *builder, const clv_unit *unit, uint32_t *out_index) {
    clv_machine *machine = builder->machine;
    CLV_TRY(reserve(
        (void **)&machine->units, &builder->capacity_units, machine->num_units, CLV_MAX_UNITS,
        sizeof *unit, "units"));
    clv_unit copy = *unit;
    copy.name = clv_arena_strdup(&machine->arena, unit->name);
    copy.kind = clv_arena_strdup(&machine->arena, unit->kind);
    copy.driver = clv_arena_strdup(&machine->arena, unit->driver);
    if (copy.name == NULL || copy.kind == NULL || copy.driver == NULL) {
        return CLV_NO_ARENA("a unit's name");
    }
    *out_index = machine->num_units;
    machine->units[machine->num_units++] = copy;
    return NULL;
}

clv_status *clv_machine_add_link(clv_machine_builder *builder, const clv_link *link) {
    clv_machine *machine = builder->machine;
    CLV_TRY(reserve(
        (void **)&machine->links, &builder->capacity_links, machine->num_links, CLV_MAX_LINKS,
        sizeof *link, "links"));
    clv_link copy = *link;
    copy.name = clv_arena_strdup(&machine->arena, link->name);
    if (copy.name == NULL) {
        return CLV_NO_ARENA("a link's name");
    }
    machine->links[machine->num_links++] = copy;
    return NULL;
}

clv_status *clv_machine_builder_take(clv_machine_builder *builder, clv_machine **out_machine) {
    *out_machine = NULL;
    CLV_TRY(clv_machine_verify(builder->machine));
    *out_machine = builder->machine;
    builder->machine = NULL;
    return NULL;
}

uint32_t clv_machine_find_unit(const clv_machine *machine, const char *name) {
    for (uint32_t i = 0; i < machine->num_units; i++) {
        if (strcmp(machine->units[i].name, name) == 0) {
            return i;
        }
    }
    return CLV_NO_INDEX;
}

/* The units that `pattern` stands for, one group a kind. */
static clv_status *add_group(
    clv_machine_builder *builder, const clv_machine *pattern, const char *kind) {
    clv_status *status = NULL;
    clv_text name;
    clv_text_init(&name);
    for (uint32_t i = 0; status == NULL && i < pattern->pattern_count; i++) {
        clv_unit unit = pattern->units[0];
        uint32_t index;
        name.length = 0;
        clv_text_add(&name, "%s:%u", kind, i);
        unit.name = name.failed ? "" : name.data;
        unit.kind = kind;
        status = name.failed ? CLV_ERROR(NO_MEMORY, "out of host memory for a unit's name")
                             : clv_machine_add_unit(builder, &unit, &index);
    }
    clv_text_deinit(&name);
    return status;
}

/* With a link on the pattern, every unit has a memory of its own, and each pair of them that link.
 */
static clv_status *spread_links(clv_machine_builder *builder, const clv_link *pattern) {
    uint32_t num_units = builder->machine->num_units, index;
    for (uint32_t i = 0; i < num_units; i++) {
        clv_memory memory = clv_memory_default(builder->machine->units[i].name);
        CLV_TRY(clv_machine_add_memory(builder, &memory, &index));
        builder->machine->units[i].memory = index;
    }
    for (uint32_t i = 0; i < num_units; i++) {
        for (uint32_t k = i + 1; k < num_units; k++) {
            const char *name = clv_arena_printf(
                &builder->machine->arena, "%s-%s", builder->machine->units[i].name,
                builder->machine->units[k].name);
            if (name == NULL) {
                return CLV_NO_ARENA("a link's name");
            }
            clv_link link = *pattern;
            link.name = name;
            link.ends[0] = builder->machine->units[i].memory;
            link.ends[1] = builder->machine->units[k].memory;
            CLV_TRY(clv_machine_add_link(builder, &link));
        }
    }
    return NULL;
}

static clv_status *copy_processors(clv_machine_builder *builder, const clv_machine *machine) {
    uint32_t index;
    for (uint32_t i = 0; i < machine->num_processors; i++) {
        CLV_TRY(clv_machine_add_processors(builder, &machine->processors[i], &index));
    }
    return NULL;
}

static clv_status *copy_parts(clv_machine_builder *builder, const clv_machine *machine) {
    uint32_t index;
    CLV_TRY(copy_processors(builder, machine));
    builder->machine->home = machine->home;
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        CLV_TRY(clv_machine_add_memory(builder, &machine->memories[i], &index));
    }
    for (uint32_t i = 0; i < machine->num_units; i++) {
        CLV_TRY(clv_machine_add_unit(builder, &machine->units[i], &index));
    }
    for (uint32_t i = 0; i < machine->num_links; i++) {
        CLV_TRY(clv_machine_add_link(builder, &machine->links[i]));
    }
    return NULL;
}

static clv_status *make_groups(
    clv_machine_builder *builder, const clv_machine *pattern, const char *const *kinds,
    size_t num_kinds) {
    uint32_t index;
    bool has_link = pattern->num_links > 0;
    CLV_TRY(copy_processors(builder, pattern));
    if (!has_link) {
        CLV_TRY(clv_machine_add_memory(builder, &pattern->memories[0], &index));
    }
    for (size_t i = 0; i < num_kinds; i++) {
        CLV_TRY(add_group(builder, pattern, kinds[i]));
    }
    return has_link ? spread_links(builder, &pattern->links[0]) : NULL;
}

clv_status *clv_machine_instantiate(
    const clv_machine *machine, const char *const *kinds, size_t num_kinds,
    clv_machine **out_machine) {
    clv_machine_builder builder;
    clv_status *status = NULL;
    *out_machine = NULL;
    CLV_TRY(clv_machine_builder_init(&builder, machine->name));
    builder.machine->bespoke = machine->bespoke;
    if (machine->pattern_count == 0) {
        CLV_TRY_DONE(copy_parts(&builder, machine));
    } else {
        CLV_TRY_DONE(make_groups(&builder, machine, kinds, num_kinds));
    }
    CLV_TRY_DONE(clv_machine_builder_take(&builder, out_machine));
done:
    clv_machine_builder_deinit(&builder);
    return status;
}

clv_status *clv_machine_load(const char *text, clv_machine **out_machine) {
    size_t length = strlen(text);
    *out_machine = NULL;
    if (length < 5 || strcmp(text + length - 5, ".json") != 0) {
        return clv_machine_parse_text(text, out_machine);
    }
    clv_mapped_file file;
    CLV_TRY(clv_file_map(text, &file));
    clv_status *status =
        clv_machine_parse_json(text, (const char *)file.data, file.bytes, out_machine);
    clv_file_unmap(&file);
    return status;
}
