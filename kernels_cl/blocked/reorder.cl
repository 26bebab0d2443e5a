/* Between layouts (docs/layouts.md): plain [images][channels][height][width] to blocked, blocked to
 * plain, and blocked with one gap to blocked with another. An item does `rows` rows of one block of
 * channels. Moves bits; no arithmetic.
 */
#include "kernels_cl/blocked/reorder_params.h"
#include "kernels_cl/blocked/rows.h"
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/wide.h"

#define B CLV_WIDTH

CLV_ONCE CLV_WIDE static void reorder_block_item(
    global float *from, global float *to, const reorder_params p, const clv_range r, ulong item) {
    clv_rows at = clv_find_rows(item, &p.deal);
    ulong size = (ulong)p.height * p.width;
    uint count = min((uint)B, p.channels - at.plane * B);
    from = CLV_AT(float, from, r.offset[0]) + ((ulong)at.image * p.channels + at.plane * B) * size;
    to = CLV_AT(float, to, r.offset[1]) + p.to.lead + at.image * p.to.image +
         (ulong)at.plane * p.to.plane;
    for (; at.y < at.end; at.y++) {
        const global float *row = from + (ulong)at.y * p.width;
        global float *out = to + at.y * p.to.row;
        for (uint x = 0; x < p.width; x++) {
            if (count == B) {
                for (uint i = 0; i < B; i++) {
                    out[x * B + i] = row[i * size + x];
                }
            } else {
                for (uint i = 0; i < B; i++) {
                    out[x * B + i] = i < count ? row[i * size + x] : 0.0f;
                }
            }
        }
        clv_put_zeros(out, at.y, at.image == 0 && at.plane == 0, &p.to);
    }
}

CLV_WIDE kernel void reorder_block(
    global float *from, global float *to, const reorder_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        reorder_block_item(from, to, p, r, item);
    }
}

CLV_ONCE CLV_WIDE static void reorder_plain_item(
    global float *from, global float *to, const reorder_params p, const clv_range r, ulong item) {
    clv_rows at = clv_find_rows(item, &p.deal);
    ulong size = (ulong)p.height * p.width;
    uint count = min((uint)B, p.channels - at.plane * B);
    from = CLV_AT(float, from, r.offset[0]) + p.from.lead + at.image * p.from.image +
           (ulong)at.plane * p.from.plane;
    to = CLV_AT(float, to, r.offset[1]) + ((ulong)at.image * p.channels + at.plane * B) * size;
    for (; at.y < at.end; at.y++) {
        const global float *row = from + at.y * p.from.row;
        global float *out = to + (ulong)at.y * p.width;
        for (uint i = 0; i < count; i++) {
            for (uint x = 0; x < p.width; x++) {
                out[i * size + x] = row[x * B + i];
            }
        }
    }
}

CLV_WIDE kernel void reorder_plain(
    global float *from, global float *to, const reorder_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        reorder_plain_item(from, to, p, r, item);
    }
}

CLV_ONCE CLV_WIDE static void reorder_gap_item(
    global float *from, global float *to, const reorder_params p, const clv_range r, ulong item) {
    clv_rows at = clv_find_rows(item, &p.deal);
    from = CLV_AT(float, from, r.offset[0]) + p.from.lead + at.image * p.from.image +
           (ulong)at.plane * p.from.plane;
    to = CLV_AT(float, to, r.offset[1]) + p.to.lead + at.image * p.to.image +
         (ulong)at.plane * p.to.plane;
    for (; at.y < at.end; at.y++) {
        for (uint x = 0; x < p.width * B; x += B) {
            CLV_FV_STORE(to + at.y * p.to.row + x, CLV_FV_LOAD(from + at.y * p.from.row + x));
        }
        clv_put_zeros(to + at.y * p.to.row, at.y, at.image == 0 && at.plane == 0, &p.to);
    }
}

CLV_WIDE kernel void reorder_gap(
    global float *from, global float *to, const reorder_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        reorder_gap_item(from, to, p, r, item);
    }
}
