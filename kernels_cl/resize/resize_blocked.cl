/* Resize of rows and columns of tensors with channels in blocks (docs/layouts.md):
 *
 *     out[y][x] = sum over ty, tx of wy[y][ty] * wx[x][tx] * in[starts_y[y] + ty][starts_x[x] + tx]
 *
 * for a block of channels at once; nearest has one tap of weight 1 along each axis. An item does
 * some rows of one block. In float; relative error about 1e-7 * taps. For CPUs: local size 1.
 */
#include "kernels_cl/blocked/rows.h"
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/resize/resize_blocked_params.h"
#include "kernels_cl/wide.h"

#define B CLV_WIDTH

CLV_TILE kernel void resize_blocked(
    global float *from, global float *table, global float *to, const resize_blocked_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const clv_rows at = clv_find_rows(item, &p.deal);
    const global int *starts_y = CLV_AT(const int, table, r.offset[1]);
    const global float *weights_y = (const global float *)(starts_y + p.to.height);
    const global int *starts_x = starts_y + p.columns;
    const global float *weights_x = (const global float *)(starts_x + p.to.width);
    from = CLV_AT(float, from, r.offset[0]) + p.from.lead + at.image * p.from.image +
           (ulong)at.plane * p.from.plane;
    to = CLV_AT(float, to, r.offset[2]) + p.to.lead + at.image * p.to.image +
         (ulong)at.plane * p.to.plane;
    clv_claim_row(to + (ulong)at.y * p.to.row, &p.to);
    for (uint y = at.y; y < at.end; y++) {
        const global float *rows = from + (ulong)starts_y[y] * p.from.row;
        global float *out = to + (ulong)y * p.to.row;
        clv_claim_row(out + p.to.row, &p.to);
        for (uint x = 0; x < p.to.width; x++) {
            const global float *pixel = rows + starts_x[x] * B;
            clv_fv sum = (clv_fv)(0.0f);
            for (uint ty = 0; ty < p.taps_y; ty++) {
                const float wy = weights_y[y * p.taps_y + ty];
                for (uint tx = 0; tx < p.taps_x; tx++) {
                    const float w = wy * weights_x[x * p.taps_x + tx];
                    sum += w * CLV_FV_LOAD(pixel + ty * p.from.row + tx * B);
                }
            }
            CLV_FV_STORE(out + x * B, sum);
        }
        clv_put_zeros(out, y, at.image == 0 && at.plane == 0, &p.to);
    }
}
