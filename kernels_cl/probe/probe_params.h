/* What host/tune/ceilings.c passes to probe.cl. */
#ifndef CLV_KERNELS_PROBE_PARAMS_H
#define CLV_KERNELS_PROBE_PARAMS_H

#include "kernels_cl/clv.h"

typedef struct probe_params {
    clv_u32 stride;  /* floats from an item's part of the buffer to the next one's */
    clv_u32 vectors; /* of a part that are read; a multiple of PROBE_READS */
    clv_u32 loops;
    clv_u32 first; /* of probe_chase: where it begins */
} probe_params;

/* Chains of multiply-adds, and loads, that an item has under way. */
enum { PROBE_SUMS = 12, PROBE_READS = 8 };

#endif
