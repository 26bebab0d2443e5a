#include "pair_map.h"

#include "host/base/memory.h"
#include "host/machine/machine.h"

struct clv_pair_entry {
    uint32_t low, high; /* memories, low < high; both 0: free */
    uint32_t link;
};

void clv_pair_map_deinit(clv_pair_map *map) {
    clv_free(map->entries);
    *map = (clv_pair_map){0};
}

/* Where the pair is, or would be put; the table has a free entry. */
static clv_pair_entry *find_entry(
    clv_pair_entry *entries, size_t capacity, uint32_t low, uint32_t high) {
    uint64_t mixed = ((uint64_t)high << 32 | low) * 0x9E3779B97F4A7C15u; /* Fibonacci hashing */
    size_t at = (size_t)(mixed >> 32) & (capacity - 1);
    while (entries[at].high != 0 && (entries[at].low != low || entries[at].high != high)) {
        at = (at + 1) & (capacity - 1);
    }
    return &entries[at];
}

uint32_t clv_pair_map_find(const clv_pair_map *map, uint32_t a, uint32_t b) {
    if (map->count == 0) {
        return CLV_NO_INDEX;
    }
    const clv_pair_entry *entry =
        find_entry(map->entries, map->capacity, a < b ? a : b, a < b ? b : a);
    return entry->high != 0 ? entry->link : CLV_NO_INDEX;
}

static bool grow(clv_pair_map *map) {
    size_t capacity = map->capacity == 0 ? 16 : map->capacity * 2;
    clv_pair_entry *entries = clv_alloc_zeroed(capacity, sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        const clv_pair_entry *old = &map->entries[i];
        if (old->high != 0) {
            *find_entry(entries, capacity, old->low, old->high) = *old;
        }
    }
    clv_free(map->entries);
    map->entries = entries;
    map->capacity = capacity;
    return true;
}

bool clv_pair_map_add(clv_pair_map *map, uint32_t a, uint32_t b, uint32_t link) {
    /* At most half full, so that probes stay short and a free entry always exists. */
    if (map->count >= map->capacity / 2 && !grow(map)) {
        return false;
    }
    uint32_t low = a < b ? a : b, high = a < b ? b : a;
    *find_entry(map->entries, map->capacity, low, high) =
        (clv_pair_entry){.low = low, .high = high, .link = link};
    map->count++;
    return true;
}
