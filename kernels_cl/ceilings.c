#include "kernels_cl/ceilings.h"

/* Clocks of today's cores under load; two multiply-adds a cycle, as all of them have since 2013. */
static const double cycles_per_us = 3900, adds_per_cycle = 2;

clv_ceilings clv_ceilings_of(const clv_traits *traits) {
    const double lane_bytes = traits->simd_bytes != 0 ? traits->simd_bytes : 16;
    const double floats_per_us = cycles_per_us * adds_per_cycle * lane_bytes / sizeof(float);
    return (clv_ceilings){
        .flops_per_us = 2 * floats_per_us,
        .vectors_per_us = floats_per_us / clv_width(traits),
        .own_cache_bytes_per_us = 190e3,
        .shared_cache_bytes_per_us = 60e3,
        .memory_bytes_per_us = 35e3,
        .launch_us = 1,
        .cache_bytes = traits->cache_bytes != 0 ? (int64_t)traits->cache_bytes : 512 << 10,
    };
}
