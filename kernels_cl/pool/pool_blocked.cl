/* Pooling on blocked tensors (docs/layouts.md): maximum, average or Lp norm of windows that slide
 * over the y and x of each plane; a vector is one position of a block of channels. Only taps inside
 * the map are visited; windows that are inside as a whole go four positions at a time. Averages add
 * up row by row: relative error about 1e-7 * (rows + columns). For CPUs: local size 1.
 */
#include "kernels_cl/blocked/lanes.h"
#include "kernels_cl/blocked/rows.h"
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/pool/pool_terms.h"

#define B CLV_WIDTH
#define RUN 4

/* One output position: taps [y0, y1) by [x0, x1); `from`: tap 0, 0. */
static clv_fv pool_position(
    const global float *from, const pool_blocked_params *p, long y0, long y1, long x0, long x1) {
    clv_fv sum = (clv_fv)(p->window.kind == POOL_MAX ? -INFINITY : 0.0f);
    long step_y = p->window.dilation[1] * p->from.row, step_x = p->window.dilation[2] * B;
    for (long y = y0; y < y1; y++) {
        clv_fv part = (clv_fv)(p->window.kind == POOL_MAX ? -INFINITY : 0.0f);
        for (long x = x0; x < x1; x++) {
            part = pool_term(&p->window, part, CLV_FV_LOAD(from + y * step_y + x * step_x));
        }
        sum = p->window.kind == POOL_MAX ? select(sum, part, part > sum) : sum + part;
    }
    return sum;
}

/* RUN positions side by side whose windows have the taps [y0, y1) by all of x. */
static void pool_run(
    const global float *from, const pool_blocked_params *p, long y0, long y1, clv_fv *sums) {
    long step_y = p->window.dilation[1] * p->from.row, step_x = p->window.dilation[2] * B;
    long stride = p->window.stride[2] * B;
    _Pragma("unroll") for (int r = 0; r < RUN; r++) {
        sums[r] = (clv_fv)(p->window.kind == POOL_MAX ? -INFINITY : 0.0f);
    }
    for (long y = y0; y < y1; y++) {
        const global float *tap = from + y * step_y;
        for (long x = 0; x < p->window.window[2]; x++, tap += step_x) {
            if (p->window.kind == POOL_MAX) {
                _Pragma("unroll") for (int r = 0; r < RUN; r++) {
                    clv_fv value = CLV_FV_LOAD(tap + r * stride);
                    sums[r] = select(sums[r], value, value > sums[r]);
                }
            } else {
                _Pragma("unroll") for (int r = 0; r < RUN; r++) {
                    sums[r] = pool_term(&p->window, sums[r], CLV_FV_LOAD(tap + r * stride));
                }
            }
        }
    }
}

/* Stores a value; the lanes that fill up the last block stay zero. */
static void pool_put(global float *to, clv_fv value, uint channels) {
    CLV_FV_STORE(to, clv_first_lanes(value, channels));
}

static void pool_blocked_row(
    const global float *plane, global float *row, uint y, uint channels,
    const pool_blocked_params *p) {
    const pool_params *w = &p->window;
    long first_y = (long)y * w->stride[1] - w->pad[1], y0, y1, x0, x1;
    pool_taps(first_y, w->dilation[1], w->window[1], w->in[1], &y0, &y1);
    float count_y = (float)pool_count(w, 1, first_y);
    for (uint x = 0; x < p->to.width;) {
        long first = (long)x * w->stride[2] - w->pad[2];
        long last = first + (RUN - 1) * w->stride[2] + (w->window[2] - 1) * w->dilation[2];
        const global float *from = plane + first_y * (long)p->from.row + first * B;
        if (first >= 0 && last < (long)w->in[2] && x + RUN <= p->to.width) {
            clv_fv sums[RUN];
            pool_run(from, p, y0, y1, sums);
            clv_fv count = (clv_fv)(count_y * (float)w->window[2]);
            _Pragma("unroll") for (int r = 0; r < RUN; r++) {
                pool_put(row + (x + r) * B, pool_end(w, sums[r], count), channels);
            }
            x += RUN;
            continue;
        }
        pool_taps(first, w->dilation[2], w->window[2], w->in[2], &x0, &x1);
        clv_fv count = (clv_fv)(count_y * (float)pool_count(w, 2, first));
        clv_fv sum = pool_position(from, p, y0, y1, x0, x1);
        pool_put(row + x * B, pool_end(w, sum, count), channels);
        x++;
    }
}

/* An item does `rows` rows of one block of channels of one image. */
CLV_ONCE CLV_WIDE static void pool_blocked_item(
    global float *in, global float *out, const pool_blocked_params p, const clv_range r,
    ulong item) {
    const clv_rows at = clv_find_rows(item, &p.deal);
    const uint plane = at.plane, image = at.image;
    in = CLV_AT(float, in, r.offset[0]) + p.from.lead + image * p.from.image +
         (ulong)plane * p.from.plane;
    out = CLV_AT(float, out, r.offset[1]) + p.to.lead + image * p.to.image +
          (ulong)plane * p.to.plane;
    clv_claim_row(out + at.y * p.to.row, &p.to);
    for (uint y = at.y; y < at.end; y++) {
        global float *row = out + y * p.to.row;
        clv_claim_row(row + p.to.row, &p.to);
        pool_blocked_row(in, row, y, p.channels - plane * B, &p);
        clv_put_zeros(row, y, image == 0 && plane == 0, &p.to);
    }
}

CLV_TILE kernel void pool_blocked(
    global float *in, global float *out, const pool_blocked_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        pool_blocked_item(in, out, p, r, item);
    }
}
