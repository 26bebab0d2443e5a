/* A map from pairs of memories, in either order, to links. */
#ifndef CLV_MACHINE_PAIR_MAP_H
#define CLV_MACHINE_PAIR_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct clv_pair_entry clv_pair_entry;

/* All zeros: empty. */
typedef struct clv_pair_map {
    clv_pair_entry *entries; /* open addressing */
    size_t capacity, count;
} clv_pair_map;

void clv_pair_map_deinit(clv_pair_map *map);
/* The link of the pair `a`, `b`, which differ; CLV_NO_INDEX where there is none. */
uint32_t clv_pair_map_find(const clv_pair_map *map, uint32_t a, uint32_t b);
/* A pair that is not there yet; false when there is no memory. */
bool clv_pair_map_add(clv_pair_map *map, uint32_t a, uint32_t b, uint32_t link);

#endif
