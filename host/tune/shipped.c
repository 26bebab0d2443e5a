#include "host/tune/shipped.h"

#include "host/tune/variant_cost.h"
#include <math.h>

static const clv_shipped_cost costs[] = {
#define COST(key, time_us) {key, time_us},
#include "host/tune/shipped.def"
#undef COST
};

const clv_shipped_table clv_shipped_costs = {costs, sizeof costs / sizeof costs[0]};

/* Whose own cache is of half to twice the size, and whose vectors are as wide, chooses alike. */
static const struct {
    const char *name;
    uint32_t simd_bytes;
    uint64_t cache_bytes;
} classes[] = {
    {"AVX-512", 64, 1 << 20}, /* with AVX2 alone `tune` finds nothing that is faster by 2% */
};
enum { NUM_CLASSES = sizeof classes / sizeof classes[0] };

static size_t class_of(const clv_traits *traits) {
    size_t i = 0;
    while (i < NUM_CLASSES && !(traits->is_cpu && traits->simd_bytes == classes[i].simd_bytes &&
                                traits->cache_bytes >= classes[i].cache_bytes / 2 &&
                                traits->cache_bytes <= classes[i].cache_bytes * 2)) {
        i++;
    }
    return i;
}

const char *clv_shipped_class(const clv_traits *traits) {
    const size_t index = class_of(traits);
    return index < NUM_CLASSES ? classes[index].name : NULL;
}

clv_status *clv_shipped_key(
    const clv_call *call, const clv_way *way, const clv_traits *traits, uint64_t *out_key) {
    const size_t index = class_of(traits);
    const clv_traits typical = {
        .is_cpu = true,
        .has_fp64 = true,
        .simd_bytes = classes[index].simd_bytes,
        .num_lanes = 2,
        .cache_bytes = classes[index].cache_bytes,
        .max_local_size = 1024,
    };
    clv_hash key;
    CLV_TRY(clv_variant_key(clv_hash_string(classes[index].name), call, way, &typical, &key));
    *out_key = key.low;
    return NULL;
}

double clv_shipped_find(const clv_shipped_table *table, uint64_t key) {
    size_t begin = 0, end = table->count;
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        if (table->costs[middle].key < key) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin < table->count && table->costs[begin].key == key
               ? (double)table->costs[begin].time_us
               : (double)NAN;
}
