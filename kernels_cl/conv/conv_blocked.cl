/* Convolution on blocked tensors, direct, at the rate of the multiply-adds.
 *
 *     out[k][p] = bias[k] + sum over channels c and taps t of w[k][c][t] * in[c][p * stride + t]
 *
 * Tile: R positions by V vectors of B output channels in registers, over all input channels and
 * taps: for each channel and tap V loads of weights and R broadcasts of inputs feed R * V fused
 * multiply-adds. Gaps of the input (docs/layouts.md) make every tap a constant offset. At stride 1
 * a tile is any R positions side by side, across rows and the gaps between them, whose results
 * are dropped (linear mode); else R positions of one row (row mode).
 *
 * Weights are packed [group][block of V*B outputs][block of B inputs][ky][kx][B][V*B].
 *
 * CONV_MIXED: groups begin anywhere in blocks. Since an input is a broadcast element, each block of
 * outputs has a list of the channels that it reads, in a table: [block][1 + group_in], first how
 * many, then where each lies, in elements from the image's first. Weights are packed
 * [block of V*B outputs][channel of its list][ky][kx][V*B], zero between groups.
 *
 * Accumulates in float by fma in order of blocks, taps, channels: relative error about
 * 1e-7 * sqrt(channels * taps). For CPUs: local size 1, one item a tile, no local memory.
 */
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/conv/conv_blocked_params.h"
#include "kernels_cl/store/activation.h"
#include "kernels_cl/wide.h"

#define B CLV_WIDTH

/* The tile, set when the program is built: R, V and the stride along a row. */
#ifndef CONV_R
#define CONV_R 14
#define CONV_V 2
#define CONV_S 1
#endif
/* The last block of inputs of a group has fewer channels. One loop goes through those and the
 * others: beside a second one, the sums of some tiles would not stay in registers. */
#ifndef CONV_PARTIAL
#define CONV_PARTIAL 0
#endif
/* Outputs along a row: every CONV_OUT-th. */
#ifndef CONV_OUT
#define CONV_OUT 1
#endif
#define STEP (CONV_OUT * B)
/* Lists of channels; 2: and a window of one tap. */
#ifndef CONV_MIXED
#define CONV_MIXED 0
#endif
/* Each input channel of an image has a factor, which goes into the weights on their way. */
#ifndef CONV_SCALED
#define CONV_SCALED 0
#endif

/* What does not change over a tile. */
typedef struct conv_tile_place {
    global float *out;       /* plane of its first output block, the first position */
    const global float *add; /* likewise */
    uint y, x;               /* its first position; linear mode: x may lie in a gap */
    uint count;              /* positions of it that are in its line */
    uint first_plane;        /* of the image */
    uint planes;             /* output blocks that it stores, up to V */
    bool is_first_plane;
} conv_tile_place;

/* Zeros behind the rows that end in a tile. */
static void conv_end_rows(const conv_tile_place *at, const conv_blocked_params *p) {
    uint y = at->y, x = at->x;
    for (uint left = at->count; left > 0 && y < p->rows; x = 0, y++) {
        const uint here = min(left, p->is_linear ? p->pitch - x : left);
        global float *row = at->out + (ulong)(y * p->step_y) * p->out.row - p->first_x * B;
        for (uint v = 0; v < at->planes && x < p->columns && x + here >= p->columns; v++) {
            clv_put_zeros(
                row + (ulong)v * p->out.plane, p->first_y + y * p->step_y,
                at->is_first_plane && v == 0, &p->out);
        }
        left -= here;
    }
}

/* The activation, on a tile that was stored. */
static void conv_activate(const conv_tile_place *at, const conv_blocked_params *p) {
    uint y = at->y, x = at->x;
    for (uint left = at->count; left > 0 && y < p->rows;) {
        uint pitch = p->is_linear ? p->pitch : x + left;
        uint here = min(left, pitch - x);
        for (uint v = 0; v < at->planes && x < p->columns; v++) {
            global float *to =
                at->out + (ulong)v * p->out.plane + (ulong)(y * p->step_y) * p->out.row + x * STEP;
            const global float *add =
                at->add + (ulong)v * p->add.plane + (ulong)(y * p->step_y) * p->add.row + x * STEP;
            const uint count = min(here, p->columns - x);
            const uint lanes = clv_act_lanes(&p->act, at->first_plane + v, p->out.planes);
#if CONV_OUT == 1
            clv_activate_row(to, add, count, &p->act, lanes);
#else
            for (uint i = 0; i < count; i++) {
                clv_activate_row(to + i * STEP, add + i * STEP, 1, &p->act, lanes);
            }
#endif
        }
        left -= here;
        x = 0;
        y++;
    }
}

#define SUMS (CONV_R * CONV_V)

/* Sums of a tile begin with the bias. */
static void conv_begin(clv_fv *sums, const global float *bias, uint planes, bool has_bias) {
#pragma unroll
    for (int v = 0; v < CONV_V; v++) {
        clv_fv start = (clv_fv)(0.0f);
        if (has_bias && v < planes) {
            start = CLV_FV_LOAD(bias + v * B);
        }
#pragma unroll
        for (int r = 0; r < CONV_R; r++) {
            sums[r * CONV_V + v] = start;
        }
    }
}

static void conv_save(const clv_fv *sums, float *saved) {
#pragma unroll
    for (int i = 0; i < SUMS; i++) {
        *(private clv_fv *)(saved + i * B) = sums[i];
    }
}

static void conv_resume(clv_fv *sums, const float *saved) {
#pragma unroll
    for (int i = 0; i < SUMS; i++) {
        sums[i] = *(const private clv_fv *)(saved + i * B);
    }
}

/* Input channel i of a block, at one tap. scale: factors of the block's channels. */
static void conv_channel(
    clv_fv *sums, const global float *x, const global float *w, const global float *scale, int i) {
    clv_fv weight[CONV_V];
#pragma unroll
    for (int v = 0; v < CONV_V; v++) {
        weight[v] = CLV_FV_LOAD(w + (i * CONV_V + v) * B);
#if CONV_SCALED
        weight[v] *= (clv_fv)(scale[i]);
#endif
    }
#pragma unroll
    for (int r = 0; r < CONV_R; r++) {
        clv_fv value = (clv_fv)(x[r * (CONV_S * B) + i]);
#pragma unroll
        for (int v = 0; v < CONV_V; v++) {
            sums[r * CONV_V + v] = fma(value, weight[v], sums[r * CONV_V + v]);
        }
    }
}

#if CONV_MIXED
/* Channels of a list. Unrolled, the sums of what is left over would not stay in registers. */
static void conv_listed(
    clv_fv *sums, const global float *x, const global float *w, const global uint *channels,
    uint count, const conv_blocked_params *p) {
#pragma unroll 1
    for (uint k = 0; k < count; k++) {
        const global float *from = x + channels[k];
#if CONV_MIXED == 2
        conv_channel(sums, from, w, 0, 0);
        w += CONV_V * B;
#else
        for (uint ky = 0; ky < p->kernel_y; ky++) {
            for (uint kx = 0; kx < p->kernel_x; kx++, w += CONV_V * B) {
                conv_channel(sums, from + ky * p->tap_row + kx * p->tap_x, w, 0, 0);
            }
        }
#endif
    }
}
#else
/* One tap of `count` channels of a block. */
static void conv_tap(
    clv_fv *sums, const global float *x, const global float *w, const global float *scale,
    uint count) {
#if CONV_PARTIAL
#pragma unroll 1
    for (uint i = 0; i < count; i++) {
        conv_channel(sums, x, w, scale, i);
    }
#else
#pragma unroll 2
    for (int i = 0; i < B; i++) {
        conv_channel(sums, x, w, scale, i);
    }
#endif
}

/* Blocks of channels c0 .. c1 of a group of `group_in`. */
static void conv_blocks(
    clv_fv *sums, const global float *x, const global float *w, const global float *scale, uint c0,
    uint c1, const conv_blocked_params *p) {
    for (uint c = c0; c < c1; c++, x += p->in.plane, scale += CONV_SCALED * p->scale_plane) {
        const uint count = c + 1 == p->group_in ? p->last_in : B;
        for (uint ky = 0; ky < p->kernel_y; ky++) {
            for (uint kx = 0; kx < p->kernel_x; kx++, w += B * B * CONV_V) {
                conv_tap(sums, x + ky * p->tap_row + kx * p->tap_x, w, scale, count);
            }
        }
    }
}
#endif

/* Claims what a tile will be stored to. */
static void conv_claim(const conv_tile_place *at, const conv_blocked_params *p) {
    const global float *to = at->out + at->y * p->step_y * p->out.row + at->x * STEP;
    for (uint v = 0; v < at->planes; v++, to += p->out.plane) {
#pragma unroll
        for (int r = 0; r < CONV_R; r++) {
            CLV_CLAIM(to + r * STEP);
        }
    }
}

/* Stores a tile that lies in one row as a whole. */
static void conv_store(clv_fv *sums, const conv_tile_place *at, const conv_blocked_params *p) {
#pragma unroll
    for (int v = 0; v < CONV_V; v++) {
        global float *to =
            at->out + (ulong)v * p->out.plane + at->y * p->step_y * p->out.row + at->x * STEP;
        const global float *from =
            at->add + (ulong)v * p->add.plane + at->y * p->step_y * p->add.row + at->x * STEP;
        if (p->has_add) {
#pragma unroll
            for (int r = 0; r < CONV_R; r++) {
                sums[r * CONV_V + v] += CLV_FV_LOAD(from + r * STEP);
            }
        }
#pragma unroll
        for (int r = 0; r < CONV_R; r++) {
            clv_fv value = sums[r * CONV_V + v];
            value = value < p->low ? (clv_fv)(p->low) : value;
            value = value > p->high ? (clv_fv)(p->high) : value;
            CLV_FV_STORE(to + r * STEP, value);
        }
    }
}

/* Stores a tile that crosses rows or is cut off. */
static void conv_store_cut(
    const clv_fv *sums, const conv_tile_place *at, const conv_blocked_params *p) {
    uint y = at->y, x = at->x;
#pragma unroll
    for (int r = 0; r < CONV_R; r++) {
        if (r < at->count && x < p->columns && y < p->rows) {
            global float *to = at->out + (ulong)(y * p->step_y) * p->out.row + x * STEP;
            const global float *from = at->add + (ulong)(y * p->step_y) * p->add.row + x * STEP;
#pragma unroll
            for (int v = 0; v < CONV_V; v++) {
                if (v < at->planes) {
                    clv_fv value = sums[r * CONV_V + v];
                    if (p->has_add) {
                        value += CLV_FV_LOAD(from + (ulong)v * p->add.plane);
                    }
                    value = value < p->low ? (clv_fv)(p->low) : value;
                    value = value > p->high ? (clv_fv)(p->high) : value;
                    CLV_FV_STORE(to + (ulong)v * p->out.plane, value);
                }
            }
        }
        x++;
        if (p->is_linear && x == p->pitch) {
            x = 0;
            y++;
        }
    }
}

/* Brings a tile's sums to where they go. */
static void conv_finish(clv_fv *sums, const conv_tile_place *at, const conv_blocked_params *p) {
    if (at->x + CONV_R > p->columns || at->planes != CONV_V || at->count != CONV_R) {
        conv_store_cut(sums, at, p);
    } else {
        conv_store(sums, at, p);
    }
    if (p->ends_rows && at->x + at->count >= p->columns) {
        conv_end_rows(at, p);
    }
    if (p->act.op != EW_FLOAT_COPY) {
        conv_activate(at, p);
    }
}

/* An item does `run` tiles of one block of outputs. Where the weights of a block are more than a
 * core's cache holds, they are taken `chunk` blocks of inputs at a time through all of its tiles,
 * whose sums wait in memory meanwhile. */
CLV_ONCE CLV_WIDE static void conv_blocked_item(
    global float *in, global float *weights, global float *bias, global float *add,
    global float *out,
#if CONV_MIXED
    global uint *table,
#elif CONV_SCALED
    global float *scales,
#endif
    const conv_blocked_params p, const clv_range range, ulong item) {
    uint in_band = (uint)(item % p.band);
    item /= p.band;
    uint block = (uint)(item % p.blocks);
    item /= p.blocks;
    uint first = ((uint)(item % p.bands) * p.band + in_band) * p.run;
    item /= p.bands;
    uint group = (uint)(item % p.groups), image = (uint)(item / p.groups);
    uint end = min(first + p.run, p.tiles * p.lines);
    uint plane = group * p.group_out + block * CONV_V;
    conv_tile_place at;
    at.planes = min((uint)CONV_V, p.group_out - block * CONV_V);
    at.first_plane = plane;
    at.is_first_plane = image == 0 && plane == 0;
    at.out = CLV_AT(float, out, range.offset[4]) + p.out.lead + image * p.out.image +
             (ulong)plane * p.out.plane + p.first_y * p.out.row + p.first_x * B;
    at.add = CLV_AT(float, add, range.offset[3]) + p.add.lead + image * p.add.image +
             (ulong)plane * p.add.plane + p.first_y * p.add.row + p.first_x * B;
    in = CLV_AT(float, in, range.offset[0]) + p.in.lead + image * p.in.image +
         (ulong)group * p.group_in * p.in.plane;
    const global float *w_chunk =
        CLV_AT(float, weights, range.offset[1]) + group * p.weight_group + block * p.weight_block;
    bias = CLV_AT(float, bias, range.offset[2]) + plane * B;
    float waiting[CONV_BLOCKED_RUN * SUMS * B] __attribute__((aligned(64)));
#if CONV_MIXED
    const global uint *channels =
        CLV_AT(uint, table, range.offset[5]) + (ulong)block * (1 + p.group_in);
    const uint num_inputs = *channels++;
#else
    const uint num_inputs = p.group_in;
    const global float *scale = 0;
#if CONV_SCALED
    scale = CLV_AT(float, scales, range.offset[5]) + p.scale_lead + image * p.scale_image +
            group * p.group_in * p.scale_plane;
#endif
#endif
    for (uint c0 = 0; c0 < num_inputs; c0 += p.chunk) {
        uint c1 = min(c0 + p.chunk, num_inputs);
        for (uint tile = first; tile < end; tile++) {
            float *saved = waiting + (p.chunk < num_inputs ? tile - first : 0) * (SUMS * B);
            uint line = tile / p.tiles, q = tile % p.tiles * CONV_R;
            const global float *x = in + line * p.stride_row + q * (CONV_S * B) - p.lead_taps;
            at.y = p.is_linear ? q / p.pitch : line;
            at.x = p.is_linear ? q % p.pitch : q;
            at.count = min((uint)CONV_R, p.line - q);
            clv_fv sums[SUMS];
            conv_claim(&at, &p);
            conv_begin(sums, bias, at.planes, p.has_bias);
            if (c0 != 0) {
                conv_resume(sums, saved);
            }
#if CONV_MIXED
            conv_listed(sums, x, w_chunk, channels + c0, c1 - c0, &p);
#else
            conv_blocks(
                sums, x + (ulong)c0 * p.in.plane, w_chunk, scale + CONV_SCALED * c0 * p.scale_plane,
                c0, c1, &p);
#endif
            if (c1 < num_inputs) {
                conv_save(sums, saved);
            } else {
                conv_finish(sums, &at, &p);
            }
        }
        w_chunk += (ulong)(c1 - c0) * p.weight_input;
    }
}

CLV_TILE kernel void conv_blocked(
    global float *in, global float *weights, global float *bias, global float *add,
    global float *out,
#if CONV_MIXED
    global uint *table,
#elif CONV_SCALED
    global float *scales,
#endif
    const conv_blocked_params p, const clv_range range) {
    const ulong item = CLV_ITEM(range);
    if (item < range.end) {
        conv_blocked_item(
            in, weights, bias, add, out,
#if CONV_MIXED
            table,
#elif CONV_SCALED
            scales,
#endif
            p, range, item);
    }
}
