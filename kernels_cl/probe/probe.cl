/* What a unit reaches at best. An item works on its own part of the buffer, and writes its first
 * vector, so that nothing can be left out.
 *
 * probe_peak   loops * PROBE_SUMS multiply-adds of vectors, PROBE_SUMS of them independent
 * probe_chain  loops multiply-adds, each of what the one before gave: their latency
 * probe_read   loops times all vectors of the part
 * probe_chase  loops loads, each from where the one before says: the latency of memory. The part
 *              holds indices of floats, as bits
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/probe/probe_params.h"
#include "kernels_cl/wide.h"

CLV_WIDE kernel void probe_peak(global float *data, const probe_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    global float *part = CLV_AT(float, data, r.offset[0]) + item * p.stride;
    const clv_fv x = CLV_FV_LOAD(part);
    clv_fv sums[PROBE_SUMS];
#pragma unroll
    for (int i = 0; i < PROBE_SUMS; i++) {
        sums[i] = x + (float)i;
    }
    for (uint k = 0; k < p.loops; k++) {
#pragma unroll
        for (int i = 0; i < PROBE_SUMS; i++) {
            sums[i] = fma(sums[i], x, x);
        }
    }
#pragma unroll
    for (int i = 1; i < PROBE_SUMS; i++) {
        sums[0] += sums[i];
    }
    CLV_FV_STORE(part, sums[0] * 0.0f);
}

CLV_WIDE kernel void probe_chain(global float *data, const probe_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    global float *part = CLV_AT(float, data, r.offset[0]) + item * p.stride;
    const clv_fv x = CLV_FV_LOAD(part);
    clv_fv sum = x;
    for (uint k = 0; k < p.loops; k++) {
        sum = fma(sum, x, x);
    }
    CLV_FV_STORE(part, sum * 0.0f);
}

CLV_WIDE kernel void probe_read(global float *data, const probe_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    global float *part = CLV_AT(float, data, r.offset[0]) + item * p.stride;
    clv_fv sums[PROBE_READS];
#pragma unroll
    for (int i = 0; i < PROBE_READS; i++) {
        sums[i] = (clv_fv)(0.0f);
    }
    for (uint k = 0; k < p.loops; k++) {
        for (uint v = 0; v < p.vectors; v += PROBE_READS) {
#pragma unroll
            for (int i = 0; i < PROBE_READS; i++) {
                sums[i] += CLV_FV_LOAD(part + (v + i) * CLV_WIDTH);
            }
        }
    }
#pragma unroll
    for (int i = 1; i < PROBE_READS; i++) {
        sums[0] += sums[i];
    }
    CLV_FV_STORE(part, sums[0]);
}

kernel void probe_chase(global float *data, const probe_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    global uint *part = CLV_AT(uint, data, r.offset[0]) + item * p.stride;
    uint at = p.first;
    for (uint k = 0; k < p.loops; k++) {
        at = part[at];
    }
    part[1] = at; /* no place of the ring, whose places are lines apart */
}
