#include "partition/shared_weights.h"

#include "host/base/memory.h"
#include <string.h>

/* Weights that lie in a memory. */
struct clv_weights_entry {
    uint32_t task, memory; /* the memory is one more than its number; 0: the entry is free */
    int32_t split;         /* -1: whole */
    uint32_t group;        /* the first that has it */
    int64_t begin, end;
};

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the weights of a plan");
}

void clv_shared_weights_deinit(clv_shared_weights *weights) {
    clv_free(weights->groups);
    clv_free(weights->entries);
    clv_free(weights->num_units);
    *weights = (clv_shared_weights){.groups = NULL};
}

/* --- the list -------------------------------------------------------------------------------- */

/* One piece has everything: it is the whole. */
static clv_weights_entry entry_of(
    const clv_costs *costs, uint32_t task, const clv_placement *p, const clv_piece *piece) {
    const bool is_cut = p->split >= 0 && p->num_pieces > 1;
    return (clv_weights_entry){
        .task = task,
        .memory = costs->machine->units[piece->unit].memory + 1,
        .split = is_cut ? p->split : -1,
        .begin = is_cut ? piece->begin : 0,
        .end = is_cut ? piece->end : 0,
    };
}

static bool is_same(const clv_weights_entry *a, const clv_weights_entry *b) {
    return a->task == b->task && a->memory == b->memory && a->split == b->split &&
           a->begin == b->begin && a->end == b->end;
}

/* Where it is, or would be. */
static clv_weights_entry *place_of(const clv_shared_weights *w, const clv_weights_entry *entry) {
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = ((uint64_t)entry->task << 32 | entry->memory) * factor;
    hash = (hash ^ hash >> 29 ^ (uint64_t)entry->begin) * factor;
    hash = (hash ^ hash >> 29 ^ (uint64_t)entry->end ^ (uint64_t)entry->split << 32) * factor;
    size_t at = (size_t)(hash >> 20) & (w->capacity - 1);
    while (w->entries[at].memory != 0 && !is_same(&w->entries[at], entry)) {
        at = (at + 1) & (w->capacity - 1);
    }
    return &w->entries[at];
}

static clv_status *make_room(clv_shared_weights *w, size_t more) {
    clv_shared_weights larger = *w;
    if (2 * (w->count + more) <= w->capacity) {
        return NULL;
    }
    larger.capacity = 64;
    while (larger.capacity < 2 * (w->count + more)) {
        larger.capacity *= 2;
    }
    larger.entries = clv_alloc_zeroed(larger.capacity, sizeof *larger.entries);
    if (larger.entries == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < w->capacity; i++) {
        if (w->entries[i].memory != 0) {
            *place_of(&larger, &w->entries[i]) = w->entries[i];
        }
    }
    clv_free(w->entries);
    *w = larger;
    return NULL;
}

static clv_status *list(clv_shared_weights *w, const clv_costs *costs, const clv_group *group) {
    CLV_TRY(make_room(w, group->num_pieces));
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            clv_weights_entry entry = entry_of(costs, i, p, &group->pieces[p->first_piece + k]);
            clv_weights_entry *place = place_of(w, &entry);
            if (place->memory == 0 && w->num_units[entry.memory - 1] > 1) {
                entry.group = w->num_listed;
                *place = entry;
                w->count++;
            }
        }
    }
    return NULL;
}

/* --- groups ---------------------------------------------------------------------------------- */

static void forget_entries(clv_shared_weights *w) {
    if (w->count > 0) {
        memset(w->entries, 0, w->capacity * sizeof *w->entries);
    }
    w->num_listed = 0;
    w->count = 0;
}

void clv_shared_weights_begin(clv_shared_weights *weights) {
    weights->num_groups = weights->num_kept;
    if (weights->num_listed > weights->num_kept) { /* single ones cannot be taken out */
        forget_entries(weights);
    }
}

static clv_status *count_units(clv_shared_weights *w, const clv_machine *machine) {
    if (w->num_units != NULL) {
        return NULL;
    }
    w->num_units = clv_alloc_zeroed(machine->num_memories, sizeof *w->num_units);
    if (w->num_units == NULL) {
        return no_memory();
    }
    for (uint32_t i = 0; i < machine->num_units; i++) {
        w->num_units[machine->units[i].memory]++;
    }
    return NULL;
}

clv_status *clv_shared_weights_add(
    clv_shared_weights *weights, const clv_costs *costs, const clv_group *group) {
    if (!clv_array_reserve(
            (void **)&weights->groups, &weights->capacity_groups, weights->num_groups + 1,
            sizeof(clv_group *))) {
        return no_memory();
    }
    weights->groups[weights->num_groups++] = group;
    if (weights->num_groups == 1 || costs->machine->bespoke != CLV_BESPOKE_NO) {
        return NULL;
    }
    CLV_TRY(count_units(weights, costs->machine));
    while (weights->num_listed + 1 < weights->num_groups) {
        CLV_TRY(list(weights, costs, weights->groups[weights->num_listed]));
        weights->num_listed++;
    }
    return NULL;
}

clv_status *clv_shared_weights_keep(
    clv_shared_weights *weights, const clv_costs *costs, const clv_group *groups,
    uint32_t num_groups) {
    const bool has_others = weights->num_kept > 0 && weights->groups[0] != groups;
    if (num_groups < weights->num_kept || has_others) {
        weights->num_kept = 0;
        forget_entries(weights);
    }
    clv_shared_weights_begin(weights);
    while (weights->num_kept < num_groups) {
        CLV_TRY(clv_shared_weights_add(weights, costs, &groups[weights->num_kept]));
        weights->num_kept++;
    }
    return NULL;
}

bool clv_shared_weights_has(
    const clv_shared_weights *weights, const clv_costs *costs, uint32_t task,
    const clv_placement *placement, const clv_piece *piece) {
    const clv_weights_entry entry = entry_of(costs, task, placement, piece);
    if (weights->count == 0) {
        return false;
    }
    const clv_weights_entry *place = place_of(weights, &entry);
    return place->memory != 0 && !(weights->ignores_kept && place->group < weights->num_kept);
}
