/* Parts of wide vectors: the last elements of a row, and sums over lanes. */
#ifndef CLV_KERNELS_WIDE_PART_H
#define CLV_KERNELS_WIDE_PART_H

#include "kernels_cl/wide.h"

#ifdef __OPENCL_VERSION__

/* The first `count` (at least 1) lanes from `from`, `rest` in the others. */
static clv_fv clv_load_part(const global float *from, uint count, float rest) {
    if (count >= CLV_WIDTH) {
        return CLV_FV_LOAD(from);
    }
    float lanes[CLV_WIDTH];
    for (uint i = 0; i < CLV_WIDTH; i++) {
        lanes[i] = i < count ? from[i] : rest;
    }
    return CLV_PASTE(vload, CLV_WIDTH)(0, lanes);
}

/* The first `count` lanes to `to`. */
static void clv_store_part(global float *to, uint count, clv_fv value) {
    if (count >= CLV_WIDTH) {
        CLV_FV_STORE(to, value);
        return;
    }
    float lanes[CLV_WIDTH];
    CLV_FV_KEEP(lanes, value);
    for (uint i = 0; i < count; i++) {
        to[i] = lanes[i];
    }
}

/* Sum and maximum over lanes, by halves: no lane goes through memory. */
static float clv_sum_lanes(clv_fv value) {
#if CLV_WIDTH == 16
    const float8 eight = value.lo + value.hi;
    const float4 four = eight.lo + eight.hi;
#elif CLV_WIDTH == 8
    const float4 four = value.lo + value.hi;
#else
    const float4 four = value;
#endif
    const float2 two = four.lo + four.hi;
    return two.x + two.y;
}

static float clv_max_lanes(clv_fv value) { /* NaN aside; -INFINITY where there is nothing else */
    value = value == value ? value : (clv_fv)(-INFINITY);
#if CLV_WIDTH == 16
    const float8 eight = fmax(value.lo, value.hi);
    const float4 four = fmax(eight.lo, eight.hi);
#elif CLV_WIDTH == 8
    const float4 four = fmax(value.lo, value.hi);
#else
    const float4 four = value;
#endif
    const float2 two = fmax(four.lo, four.hi);
    return fmax(two.x, two.y);
}

#endif
#endif
