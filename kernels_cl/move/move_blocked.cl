/* Concatenation, Split and Slice along channels or rows of tensors whose channels lie in blocks
 * (docs/layouts.md): some rows of `to` are made of parts, each some channels of a tensor. An item
 * does some rows of one block of `to`, one part after another: where a part begins within a block,
 * the channels before it are kept (the part before it, or an earlier launch, wrote them), and those
 * behind its end become zero. Moves bits; no arithmetic. For CPUs: local size 1.
 *
 * Where channels move within blocks, a block of `to` is made of two blocks of the tensor:
 *
 *     lane i   from[turn + i]   while turn + i < B, else   next[turn + i - B]
 *
 * Both are a vector load each, from where lane 0 would lie; the lanes that are of other positions
 * are left out.
 */
#include "kernels_cl/blocked/lanes.h"
#include "kernels_cl/blocked/rows.h"
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/move/move_blocked_params.h"
#include "kernels_cl/wide.h"

#define B CLV_WIDTH

/* What a part has to do with a block of `to`. */
typedef struct block_part {
    const global float *from, *next; /* where lane 0 would lie, by the two blocks; a row's start */
    uint row;
    int first, last; /* lanes of it */
    int turned;      /* lanes from this one on are of `next` */
    bool is_whole;
    bool has_no_left; /* the first pixel has no other in front of it, which `from` would read */
} block_part;

static block_part find_part(
    const global float *from, const move_blocked_part *part, const move_blocked_params *p,
    uint image, uint plane, uint y) {
    const uint channel = plane * B;
    /* floor of where lane 0 comes from, which may lie in front of the first block */
    const int source = (int)channel + part->shift;
    const int block = source >= 0 ? source / B : -((B - 1 - source) / B);
    const int turn = source - block * B;
    block_part at;
    at.first = part->begin > channel ? (int)(part->begin - channel) : 0;
    at.last = (int)min((uint)B, part->end - channel);
    at.turned = B - turn;
    at.is_whole = p->keeps_blocks || (turn == 0 && at.first == 0 && at.last == B);
    at.row = part->from.row;
    from += part->from.lead + image * part->from.image + (ulong)(part->from_row + y) * at.row;
    at.from = from + (long)block * (long)part->from.plane + turn;
    at.next = at.from + part->from.plane - B;
    /* Of a block that has no lane of the part nothing is read: there may be none. */
    at.has_no_left = block < 0;
    if (block < 0) {
        at.from = at.next;
    } else if (at.last <= at.turned) {
        at.next = at.from;
    }
    return at;
}

/* One pixel, lane by lane. */
static void move_lanes(const block_part *part, global float *to) {
    for (int i = 0; i < B; i++) {
        const float kept = i < part->first ? to[i] : 0.0f;
        const bool is_part = i >= part->first && i < part->last;
        to[i] = is_part ? (i < part->turned ? part->from[i] : part->next[i]) : kept;
    }
}

static void move_row(const block_part *part, global float *to, uint width) {
    if (part->is_whole) {
        for (uint x = 0; x < width; x++) {
            CLV_FV_STORE(to + x * B, CLV_FV_LOAD(part->from + x * B));
        }
        return;
    }
    const clv_iv lane = CLV_LANES;
    const clv_iv is_next = lane >= part->turned, is_kept = lane < part->first;
    const clv_iv is_part = lane >= part->first && lane < part->last;
    const bool keeps = part->first > 0;
    uint x = 0;
    if (part->has_no_left) {
        move_lanes(part, to);
        x = 1;
    }
    for (; x < width; x++) {
        const clv_fv here = CLV_FV_LOAD(part->from + x * B);
        const clv_fv there = CLV_FV_LOAD(part->next + x * B);
        clv_fv rest = (clv_fv)(0.0f);
        if (keeps) {
            rest = is_kept ? CLV_FV_LOAD(to + x * B) : rest;
        }
        CLV_FV_STORE(to + x * B, is_part ? (is_next ? there : here) : rest);
    }
}

CLV_TILE kernel void move_blocked(
    global float *from0, global float *from1, global float *from2, global float *from3,
    global float *to, const move_blocked_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const global float *from[MOVE_BLOCKED_PARTS] = {
        CLV_AT(float, from0, r.offset[0]),
        CLV_AT(float, from1, r.offset[1]),
        CLV_AT(float, from2, r.offset[2]),
        CLV_AT(float, from3, r.offset[3]),
    };
    const clv_rows at = clv_find_rows(item, &p.deal);
    const uint plane = p.first_plane + at.plane;
    to = CLV_AT(float, to, r.offset[4]) + p.to.lead + at.image * p.to.image +
         (ulong)plane * p.to.plane;
    block_part parts[MOVE_BLOCKED_PARTS];
    uint num_parts = 0;
    for (uint i = 0; i < p.num_parts; i++) {
        const move_blocked_part *part = &p.parts[i];
        if (part->begin < (plane + 1) * B && part->end > plane * B) {
            parts[num_parts++] = find_part(from[i], part, &p, at.image, plane, at.y);
        }
    }
    clv_claim_row(to + (ulong)(p.first_row + at.y) * p.to.row, &p.to);
    for (uint i = at.y; i < at.end; i++) {
        const uint y = p.first_row + i;
        global float *out = to + (ulong)y * p.to.row;
        clv_claim_row(out + p.to.row, &p.to);
        for (uint k = 0; k < num_parts; k++) {
            move_row(&parts[k], out, p.to.width);
            parts[k].from += parts[k].row;
            parts[k].next += parts[k].row;
        }
        clv_put_zeros(out, y, at.image == 0 && plane == 0, &p.to);
    }
}
