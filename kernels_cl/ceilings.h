/* What one lane of a unit reaches at best: the bounds that every estimate of a kernel's time is
 * made of, where nothing was measured. They come from the class of device, not from clocks that a
 * driver reports: those are what a core promises, not what it runs at, and some change from run to
 * run, while the same call must be given the same kernel each time. */
#ifndef CLV_KERNELS_CEILINGS_H
#define CLV_KERNELS_CEILINGS_H

#include "kernels_cl/kernel.h"

typedef struct clv_ceilings {
    double flops_per_us;              /* float32, a multiply-add being two */
    double vectors_per_us;            /* multiply-adds of vectors of clv_width() floats */
    double own_cache_bytes_per_us;    /* from a core's own cache (L2) */
    double shared_cache_bytes_per_us; /* from the one behind it */
    double memory_bytes_per_us;       /* one lane alone */
    double launch_us;
    int64_t cache_bytes; /* a core's own */
} clv_ceilings;

clv_ceilings clv_ceilings_of(const clv_traits *traits);

#endif
