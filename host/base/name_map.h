/* A map from names to numbers (ids, counters). Names are borrowed: they must outlive the map. */
#ifndef CLV_BASE_NAME_MAP_H
#define CLV_BASE_NAME_MAP_H

#include "arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct clv_name_entry clv_name_entry;

typedef struct clv_name_map {
    clv_name_entry *entries; /* open addressing */
    size_t capacity, count;
} clv_name_map;

void clv_name_map_init(clv_name_map *map);
void clv_name_map_deinit(clv_name_map *map);

/* The value of `name`, good until the next set; NULL where there is none. */
uint32_t *clv_name_map_find(const clv_name_map *map, const char *name);
/* Adds or replaces; false when there is no memory. */
bool clv_name_map_set(clv_name_map *map, const char *name, uint32_t value);

/* `base` where the map has no such name, else the first free one of "BASE#2", "BASE#3", ...; the
 * result is in the map from then on and lives in `arena`. NULL when there is no memory. */
const char *clv_name_map_make_unique(clv_name_map *map, clv_arena *arena, const char *base);

#endif
