/* Concatenation, Split and Slice along channels or rows of tensors whose channels lie in blocks
 * (docs/layouts.md): channels `begin` .. `end` of some rows of `to` are `from`'s, `shift` further
 * on. An item does some rows of one block of `to`. Where channels begin within a block, those
 * before them are kept (an earlier launch wrote them) and those after them become zero (a later one
 * may write them). Moves bits; no arithmetic. For CPUs: local size 1.
 */
#include "kernels_cl/blocked/rows.h"
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/move/move_blocked_params.h"
#include "kernels_cl/wide.h"

#define B CLV_WIDTH

/* Lanes first .. last of `to` from the lanes `turn` further on, some of them of the next block. */
static void move_lanes(
    const global float *from, uint next_block, global float *to, uint first, uint last, uint turn) {
    float lanes[B];
    for (uint i = 0; i < B; i++) {
        const uint at = i + turn;
        lanes[i] = i < first   ? to[i]
                   : i >= last ? 0.0f
                   : at < B    ? from[at]
                               : from[next_block + at - B];
    }
    for (uint i = 0; i < B; i++) {
        to[i] = lanes[i];
    }
}

CLV_TILE kernel void move_blocked(
    global float *from, global float *to, const move_blocked_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const clv_rows at = clv_find_rows(item, &p.deal);
    const uint plane = p.first_plane + at.plane, channel = plane * B;
    const uint first = p.begin > channel ? p.begin - channel : 0;
    const uint last = min((uint)B, p.end - channel);
    /* floor of where lane 0 comes from, which may lie in front of the first block */
    const int source = (int)channel + p.shift;
    const int block = source >= 0 ? source / B : -((B - 1 - source) / B);
    const uint turn = (uint)(source - block * B);
    from = CLV_AT(float, from, r.offset[0]) + p.from.lead + at.image * p.from.image +
           (long)block * (long)p.from.plane;
    to = CLV_AT(float, to, r.offset[1]) + p.to.lead + at.image * p.to.image +
         (ulong)plane * p.to.plane;
    const bool is_whole = p.keeps_blocks || (turn == 0 && first == 0 && last == B);
    from += (ulong)p.from_row * p.from.row;
    clv_claim_row(to + (ulong)(p.first_row + at.y) * p.to.row, &p.to);
    for (uint i = at.y; i < at.end; i++) {
        const uint y = p.first_row + i;
        const global float *in = from + (long)i * p.from.row;
        global float *out = to + (ulong)y * p.to.row;
        clv_claim_row(out + p.to.row, &p.to);
        for (uint x = 0; x < p.to.width; x++) {
            if (is_whole) {
                CLV_FV_STORE(out + x * B, CLV_FV_LOAD(in + x * B));
            } else {
                move_lanes(in + x * B, p.from.plane, out + x * B, first, last, turn);
            }
        }
        clv_put_zeros(out, y, at.image == 0 && plane == 0, &p.to);
    }
}
