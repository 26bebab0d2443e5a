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

static float clv_sum_lanes(clv_fv value) {
    float lanes[CLV_WIDTH];
    CLV_FV_KEEP(lanes, value);
    for (uint step = CLV_WIDTH / 2; step > 0; step /= 2) {
        for (uint i = 0; i < step; i++) {
            lanes[i] += lanes[i + step];
        }
    }
    return lanes[0];
}

static float clv_max_lanes(clv_fv value) {
    float lanes[CLV_WIDTH], most = -INFINITY;
    CLV_FV_KEEP(lanes, value);
    for (uint i = 0; i < CLV_WIDTH; i++) {
        most = lanes[i] > most ? lanes[i] : most;
    }
    return most;
}

#endif
#endif
