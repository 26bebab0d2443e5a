#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/machine/machine.h"

#include <math.h>

/* "not negative and a number"; infinity is allowed where `may_be_infinite`. */
static clv_status *check_number(
    const char *what, const char *name, const char *field, double value, bool may_be_zero,
    bool may_be_infinite) {
    bool is_good = !isnan(value) && (value > 0 || (may_be_zero && value == 0)) &&
                   (may_be_infinite || !isinf(value));
    if (is_good) {
        return NULL;
    }
    return CLV_ERROR(
        MALFORMED, "%s '%s': %s is %g, must be %s%s", what, name, field, value,
        may_be_zero ? "at least 0" : "above 0", may_be_infinite ? "" : " and finite");
}

static clv_status *check_name(clv_name_map *names, const char *what, const char *name) {
    if (name == NULL || name[0] == '\0') {
        return CLV_ERROR(MALFORMED, "a %s has no name", what);
    }
    if (clv_name_map_find(names, name) != NULL) {
        return CLV_ERROR(MALFORMED, "a second %s named '%s'", what, name);
    }
    if (!clv_name_map_set(names, name, 0)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for names");
    }
    return NULL;
}

static clv_status *check_memories(const clv_machine *machine, clv_name_map *names) {
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        const clv_memory *memory = &machine->memories[i];
        CLV_TRY(check_name(names, "memory", memory->name));
        CLV_TRY(check_number("memory", memory->name, "bandwidth", memory->bandwidth, false, true));
        CLV_TRY(check_number("memory", memory->name, "exchange", memory->exchange, false, true));
    }
    return NULL;
}

static clv_status *check_processors(const clv_machine *machine, clv_name_map *names) {
    for (uint32_t i = 0; i < machine->num_processors; i++) {
        const clv_processors *processors = &machine->processors[i];
        CLV_TRY(check_name(names, "group of processors", processors->name));
        if (processors->count == 0) {
            return CLV_ERROR(
                MALFORMED, "processors '%s': count is 0, must be at least 1", processors->name);
        }
    }
    return NULL;
}

static clv_status *check_threads(const clv_machine *machine, const clv_unit *unit) {
    if (unit->threads == 0) {
        return CLV_ERROR(MALFORMED, "unit '%s': threads is 0, must be at least 1", unit->name);
    }
    if (unit->processors == CLV_NO_INDEX) {
        return NULL;
    }
    if (unit->processors >= machine->num_processors) {
        return CLV_ERROR(
            MALFORMED, "unit '%s': processors %u, the machine has %u groups of them", unit->name,
            unit->processors, machine->num_processors);
    }
    const clv_processors *processors = &machine->processors[unit->processors];
    return unit->threads <= processors->count
               ? NULL
               : CLV_ERROR(
                     MALFORMED, "unit '%s': threads is %u, processors '%s' are %u", unit->name,
                     unit->threads, processors->name, processors->count);
}

static clv_status *check_units(const clv_machine *machine, clv_name_map *names) {
    if (machine->num_units == 0) {
        return CLV_ERROR(MALFORMED, "machine '%s' has no units", machine->name);
    }
    for (uint32_t i = 0; i < machine->num_units; i++) {
        const clv_unit *unit = &machine->units[i];
        CLV_TRY(check_name(names, "unit", unit->name));
        if (unit->kind == NULL || unit->kind[0] == '\0') {
            return CLV_ERROR(MALFORMED, "unit '%s' has no kind", unit->name);
        }
        if (unit->memory >= machine->num_memories) {
            return CLV_ERROR(
                MALFORMED, "unit '%s': memory %u, the machine has %u", unit->name, unit->memory,
                machine->num_memories);
        }
        CLV_TRY(check_number("unit", unit->name, "peak_flops", unit->peak_flops, true, true));
        CLV_TRY(check_number("unit", unit->name, "bandwidth", unit->bandwidth, false, true));
        CLV_TRY(check_number("unit", unit->name, "speed", unit->speed, false, false));
        CLV_TRY(check_number("unit", unit->name, "launch_us", unit->launch_us, true, false));
        CLV_TRY(check_threads(machine, unit));
    }
    return NULL;
}

static clv_status *check_links(const clv_machine *machine, clv_name_map *names) {
    for (uint32_t i = 0; i < machine->num_links; i++) {
        const clv_link *link = &machine->links[i];
        CLV_TRY(check_name(names, "link", link->name));
        for (int end = 0; end < 2; end++) {
            if (link->ends[end] >= machine->num_memories) {
                return CLV_ERROR(
                    MALFORMED, "link '%s': memory %u, the machine has %u", link->name,
                    link->ends[end], machine->num_memories);
            }
        }
        if (link->ends[0] == link->ends[1]) {
            return CLV_ERROR(
                MALFORMED, "link '%s' joins memory '%s' with itself", link->name,
                machine->memories[link->ends[0]].name);
        }
        CLV_TRY(check_number("link", link->name, "bandwidth", link->bandwidth, false, true));
        CLV_TRY(check_number("link", link->name, "latency_us", link->latency_us, true, false));
    }
    return NULL;
}

static uint32_t find_root(uint32_t *parents, uint32_t index) {
    while (parents[index] != index) {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    return index;
}

static clv_status *check_reachable(const clv_machine *machine) {
    if (machine->home != CLV_NO_INDEX && machine->home >= machine->num_memories) {
        return CLV_ERROR(
            MALFORMED, "memory %u is to hold inputs and outputs, there are %u", machine->home,
            machine->num_memories);
    }
    uint32_t *parents = clv_alloc_zeroed(machine->num_memories, sizeof *parents);
    if (parents == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a machine");
    }
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        parents[i] = i;
    }
    for (uint32_t i = 0; i < machine->num_links; i++) {
        uint32_t from = find_root(parents, machine->links[i].ends[0]);
        parents[from] = find_root(parents, machine->links[i].ends[1]);
    }
    clv_status *status = NULL;
    const uint32_t home = clv_machine_home(machine);
    uint32_t first = find_root(parents, home);
    for (uint32_t i = 0; status == NULL && i < machine->num_units; i++) {
        if (find_root(parents, machine->units[i].memory) != first) {
            status = CLV_ERROR(
                MALFORMED, "unit '%s' is reached by no link from '%s'", machine->units[i].name,
                machine->home == CLV_NO_INDEX ? machine->units[0].name
                                              : machine->memories[home].name);
        }
    }
    clv_free(parents);
    return status;
}

/* Only a bespoke machine has a pattern, and that is one unit. (One that was made of its pattern has
 * none any more.) */
static clv_status *check_pattern(const clv_machine *machine) {
    if (machine->pattern_count == 0) {
        return NULL;
    }
    if (machine->bespoke == CLV_BESPOKE_NO) {
        return CLV_ERROR(
            MALFORMED, "pattern_count is %u, bespoke must be type or node for that",
            machine->pattern_count);
    }
    return machine->num_units == 1
               ? NULL
               : CLV_ERROR(
                     MALFORMED, "pattern_count is %u, which is of one unit, here are %u",
                     machine->pattern_count, machine->num_units);
}

clv_status *clv_machine_verify(const clv_machine *machine) {
    clv_status *status = NULL;
    clv_name_map memories, processors, units, links;
    clv_name_map_init(&memories);
    clv_name_map_init(&processors);
    clv_name_map_init(&units);
    clv_name_map_init(&links);
    CLV_TRY_DONE(check_memories(machine, &memories));
    CLV_TRY_DONE(check_processors(machine, &processors));
    CLV_TRY_DONE(check_units(machine, &units));
    CLV_TRY_DONE(check_links(machine, &links));
    CLV_TRY_DONE(check_pattern(machine));
    CLV_TRY_DONE(check_reachable(machine));
done:
    clv_name_map_deinit(&memories);
    clv_name_map_deinit(&processors);
    clv_name_map_deinit(&units);
    clv_name_map_deinit(&links);
    return status;
}
