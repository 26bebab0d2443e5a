#include "name_map.h"

#include "hash.h"
#include "memory.h"
#include <string.h>

struct clv_name_entry {
    const char *name; /* NULL: free */
    uint64_t hash;
    uint32_t value;
};

void clv_name_map_init(clv_name_map *map) {
    *map = (clv_name_map){0};
}

void clv_name_map_deinit(clv_name_map *map) {
    clv_free(map->entries);
    *map = (clv_name_map){0};
}

/* Where `name` is, or would be put; the table has a free entry. */
static clv_name_entry *find_entry(
    clv_name_entry *entries, size_t capacity, const char *name, uint64_t hash) {
    size_t at = (size_t)hash & (capacity - 1);
    while (entries[at].name != NULL &&
           (entries[at].hash != hash || strcmp(entries[at].name, name) != 0)) {
        at = (at + 1) & (capacity - 1);
    }
    return &entries[at];
}

uint32_t *clv_name_map_find(const clv_name_map *map, const char *name) {
    if (map->count == 0) {
        return NULL;
    }
    uint64_t hash = clv_hash_string(name).low;
    clv_name_entry *entry = find_entry(map->entries, map->capacity, name, hash);
    return entry->name != NULL ? &entry->value : NULL;
}

static bool grow(clv_name_map *map) {
    size_t capacity = map->capacity == 0 ? 16 : map->capacity * 2;
    clv_name_entry *entries = clv_alloc_zeroed(capacity, sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        const clv_name_entry *old = &map->entries[i];
        if (old->name != NULL) {
            *find_entry(entries, capacity, old->name, old->hash) = *old;
        }
    }
    clv_free(map->entries);
    map->entries = entries;
    map->capacity = capacity;
    return true;
}

bool clv_name_map_set(clv_name_map *map, const char *name, uint32_t value) {
    /* At most half full, so that probes stay short and a free entry always exists. */
    if (map->count >= map->capacity / 2 && !grow(map)) {
        return false;
    }
    uint64_t hash = clv_hash_string(name).low;
    clv_name_entry *entry = find_entry(map->entries, map->capacity, name, hash);
    if (entry->name == NULL) {
        map->count++;
        entry->name = name;
        entry->hash = hash;
    }
    entry->value = value;
    return true;
}

/* The value kept with a name is the number to try next, so that many equal names stay cheap. */
const char *clv_name_map_make_unique(clv_name_map *map, clv_arena *arena, const char *base) {
    uint32_t *next = clv_name_map_find(map, base);
    if (next == NULL) {
        char *name = clv_arena_strdup(arena, base);
        return name != NULL && clv_name_map_set(map, name, 2) ? name : NULL;
    }
    for (uint32_t number = *next;; number++) {
        char *name = clv_arena_printf(arena, "%s#%u", base, (unsigned)number);
        if (name == NULL) {
            return NULL;
        }
        if (clv_name_map_find(map, name) == NULL) {
            *next = number + 1;
            return clv_name_map_set(map, name, 2) ? name : NULL;
        }
    }
}
