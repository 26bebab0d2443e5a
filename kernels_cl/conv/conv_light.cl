/* Convolutions that read few channels for each output, into blocked tensors (docs/layouts.md).
 *
 * conv_depthwise: out[c][p] = bias[c] + sum over taps t of w[c][t] * in[c][p * stride + t], for a
 * block of B channels at once: bound by loads, so each row of outputs is made in runs of DEPTHWISE
 * positions whose sums stay in registers while the taps go by. Weights [block][ky][kx][B].
 *
 * conv_planar: the first layer. Inputs are planes with zeros around (what conv_pad makes), read one
 * element at a time and broadcast; R positions of a row by V vectors of outputs in registers.
 * Weights [block of V*B outputs][channel][ky][kx][V*B].
 *
 * Accumulate in float by fma in order of taps: relative error about 1e-7 * sqrt(channels * taps).
 * For CPUs: local size 1, no local memory.
 */
#include "kernels_cl/blocked/rows.h"
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/conv/conv_light_params.h"
#include "kernels_cl/store/activation.h"
#include "kernels_cl/wide.h"

#define B CLV_WIDTH
#define DEPTHWISE 14

/* The tile of conv_planar, set when a program is built that is to have it: R positions, V vectors.
 * Without, the program has conv_depthwise alone: compiling what nobody calls takes time too. */

static clv_fv conv_clamp(clv_fv value, float low, float high) {
    value = value < low ? (clv_fv)(low) : value;
    return value > high ? (clv_fv)(high) : value;
}

#ifndef PLANAR_R

/* `count` positions of a row, from the input of the first one on. */
#define DEPTHWISE_RUN(NAME, COUNT, STRIDE)                                                   \
    static void NAME(                                                                        \
        const global float *x, const global float *w, clv_fv start, const global float *add, \
        global float *out, const conv_depthwise_params *p) {                                 \
        clv_fv sums[COUNT];                                                                  \
        _Pragma("unroll") for (int r = 0; r < COUNT; r++) {                                  \
            sums[r] = start;                                                                 \
        }                                                                                    \
        for (uint ky = 0; ky < p->kernel_y; ky++) {                                          \
            const global float *tap = x + ky * p->tap_row;                                   \
            for (uint kx = 0; kx < p->kernel_x; kx++) {                                      \
                clv_fv weight = CLV_FV_LOAD(w);                                              \
                _Pragma("unroll") for (int r = 0; r < COUNT; r++) {                          \
                    sums[r] = fma(CLV_FV_LOAD(tap + r * (STRIDE)), weight, sums[r]);         \
                }                                                                            \
                w += B;                                                                      \
                tap += p->tap_x;                                                             \
            }                                                                                \
        }                                                                                    \
        _Pragma("unroll") for (int r = 0; r < COUNT; r++) {                                  \
            clv_fv value = sums[r];                                                          \
            if (p->has_add) {                                                                \
                value += CLV_FV_LOAD(add + r * B);                                           \
            }                                                                                \
            CLV_FV_STORE(out + r * B, conv_clamp(value, p->low, p->high));                   \
        }                                                                                    \
    }

DEPTHWISE_RUN(depthwise_many, DEPTHWISE, B)
DEPTHWISE_RUN(depthwise_many_s2, DEPTHWISE, 2 * B)
DEPTHWISE_RUN(depthwise_7, 7, p->stride_x)
DEPTHWISE_RUN(depthwise_4, 4, p->stride_x)
DEPTHWISE_RUN(depthwise_2, 2, p->stride_x)
DEPTHWISE_RUN(depthwise_1, 1, 0)

/* An item does `rows` rows of one block of channels of one image. */
CLV_ONCE CLV_WIDE static void conv_depthwise_item(
    global float *in, global float *weights, global float *bias, global float *add,
    global float *out, const conv_depthwise_params p, const clv_range range, ulong item) {
    const clv_rows at = clv_find_rows(item, &p.deal);
    const uint plane = at.plane, image = at.image;
    const global float *w =
        CLV_AT(float, weights, range.offset[1]) + plane * p.kernel_y * p.kernel_x * B;
    clv_fv start = (clv_fv)(0.0f);
    if (p.has_bias) {
        start = CLV_FV_LOAD(CLV_AT(float, bias, range.offset[2]) + plane * B);
    }
    in = CLV_AT(float, in, range.offset[0]) + p.in.lead + image * p.in.image +
         (ulong)plane * p.in.plane - p.lead_taps;
    add = CLV_AT(float, add, range.offset[3]) + p.add.lead + image * p.add.image +
          (ulong)plane * p.add.plane;
    out = CLV_AT(float, out, range.offset[4]) + p.out.lead + image * p.out.image +
          (ulong)plane * p.out.plane;
    clv_claim_row(out + at.y * p.out.row, &p.out);
    for (uint y = at.y; y < at.end; y++) {
        const global float *x_row = in + y * p.stride_row, *add_row = add + y * p.add.row;
        global float *row = out + y * p.out.row;
        clv_claim_row(row + p.out.row, &p.out);
        uint x = 0;
        if (p.stride_x == B) {
            for (; x + DEPTHWISE <= p.out.width; x += DEPTHWISE) {
                depthwise_many(x_row + x * B, w, start, add_row + x * B, row + x * B, &p);
            }
        } else if (p.stride_x == 2 * B) {
            for (; x + DEPTHWISE <= p.out.width; x += DEPTHWISE) {
                depthwise_many_s2(x_row + x * 2 * B, w, start, add_row + x * B, row + x * B, &p);
            }
        }
        /* what is left: the sums of a run wait for one another, so the fewer runs the better */
        for (uint count; x < p.out.width; x += count) {
            const uint left = p.out.width - x;
            const global float *from = x_row + x * p.stride_x, *sum = add_row + x * B;
            count = left >= 7 ? 7 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            if (count == 7) {
                depthwise_7(from, w, start, sum, row + x * B, &p);
            } else if (count == 4) {
                depthwise_4(from, w, start, sum, row + x * B, &p);
            } else if (count == 2) {
                depthwise_2(from, w, start, sum, row + x * B, &p);
            } else {
                depthwise_1(from, w, start, sum, row + x * B, &p);
            }
        }
        if (p.act.op != EW_FLOAT_COPY) {
            clv_activate_row(
                row, add_row, p.out.width, &p.act, clv_act_lanes(&p.act, plane, p.out.planes));
        }
        clv_put_zeros(row, y, image == 0 && plane == 0, &p.out);
    }
}

CLV_TILE kernel void conv_depthwise(
    global float *in, global float *weights, global float *bias, global float *add,
    global float *out, const conv_depthwise_params p, const clv_range range) {
    const ulong item = CLV_ITEM(range);
    if (item < range.end) {
        conv_depthwise_item(in, weights, bias, add, out, p, range, item);
    }
}

#else

/* in [planes][in_height][in_width], out [planes][out_height][out_width] with zeros around.
 * An item does `rows` rows of one plane of out. */
CLV_TILE kernel void conv_planar_pad(
    global float *in, global float *out, const conv_planar_pad_params p, const clv_range range) {
    ulong item = CLV_ITEM(range);
    if (item >= range.end) {
        return;
    }
    const clv_rows at = clv_find_rows(item, &p.deal);
    ulong plane = (ulong)at.image * p.deal.planes + at.plane;
    in = CLV_AT(float, in, range.offset[0]) + plane * p.in_height * p.in_width;
    out = CLV_AT(float, out, range.offset[1]) + plane * p.out_height * p.out_width;
    for (uint y = at.y; y < at.end; y++) {
        global float *row = out + y * p.out_width;
        bool is_inside = y >= p.pad_y && y < p.pad_y + p.in_height;
        const global float *from = in + (is_inside ? (y - p.pad_y) * p.in_width : 0);
        uint width = is_inside ? p.in_width : 0, x = 0, first = is_inside ? p.pad_x : 0;
        for (uint i = 0; i < first; i++) {
            row[i] = 0.0f;
        }
        for (; x + CLV_WIDTH <= width; x += CLV_WIDTH) {
            CLV_FV_STORE(row + first + x, CLV_FV_LOAD(from + x));
        }
        for (; x < width; x++) {
            row[first + x] = from[x];
        }
        for (x += first; x < p.out_width; x++) {
            row[x] = 0.0f;
        }
    }
}

#define R PLANAR_R
#define V PLANAR_V

/* Where a tile is stored: its position in the first of its planes. */
typedef struct planar_place {
    global float *out;
    const global float *add;
    uint y, x, count;         /* positions from x on that are in the row */
    uint first_plane, planes; /* of an image; that it has, up to V */
    bool is_first_image;
} planar_place;

/* Sums of R positions by V vectors over all channels and taps. */
static void planar_sums(
    clv_fv *sums, const global float *in, const global float *w, const conv_planar_params *p) {
    for (uint c = 0; c < p->channels; c++) {
        const global float *row = in + (ulong)c * p->in_plane;
        for (uint ky = 0; ky < p->kernel_y; ky++) {
            const global float *tap = row;
            for (uint kx = 0; kx < p->kernel_x; kx++) {
                clv_fv weight[V];
#pragma unroll
                for (int v = 0; v < V; v++) {
                    weight[v] = CLV_FV_LOAD(w + v * B);
                }
                const global float *at = tap;
#pragma unroll
                for (int r = 0; r < R; r++) {
                    clv_fv value = (clv_fv)(*at);
#pragma unroll
                    for (int v = 0; v < V; v++) {
                        sums[r * V + v] = fma(value, weight[v], sums[r * V + v]);
                    }
                    at += p->stride_x;
                }
                w += V * B;
                tap += p->tap_x;
            }
            row += p->tap_row;
        }
    }
}

static void planar_store(const clv_fv *sums, const planar_place *at, const conv_planar_params *p) {
#pragma unroll
    for (int v = 0; v < V; v++) {
        if (v < at->planes) {
            global float *to = at->out + (ulong)v * p->out.plane;
            const global float *from = at->add + (ulong)v * p->add.plane;
#pragma unroll
            for (int r = 0; r < R; r++) {
                if (r < at->count) {
                    clv_fv value = sums[r * V + v];
                    if (p->has_add) {
                        value += CLV_FV_LOAD(from + r * B);
                    }
                    CLV_FV_STORE(to + r * B, conv_clamp(value, p->low, p->high));
                }
            }
            if (at->x + R >= p->out.width) {
                clv_put_zeros(
                    to - at->x * B, at->y, at->is_first_image && at->first_plane + v == 0, &p->out);
            }
        }
    }
    for (uint v = 0; p->act.op != EW_FLOAT_COPY && v < at->planes; v++) {
        clv_activate_row(
            at->out + (ulong)v * p->out.plane, at->add + (ulong)v * p->add.plane, at->count,
            &p->act, clv_act_lanes(&p->act, at->first_plane + v, p->out.planes));
    }
}

/* An item does one tile of a row, for one block of V vectors of output channels. */
CLV_ONCE CLV_WIDE static void conv_planar_item(
    global float *in, global float *weights, global float *bias, global float *add,
    global float *out, const conv_planar_params p, const clv_range range, ulong item) {
    planar_place at;
    at.x = (uint)(item % p.tiles) * R;
    item /= p.tiles;
    const uint block = (uint)(item % p.blocks);
    item /= p.blocks;
    at.y = (uint)(item % p.out.height);
    const uint image = (uint)(item / p.out.height);
    at.first_plane = block * V;
    at.planes = min((uint)V, p.out.planes - at.first_plane);
    at.count = min((uint)R, p.out.width - at.x);
    at.is_first_image = image == 0;
    at.out = CLV_AT(float, out, range.offset[4]) + p.out.lead + image * p.out.image +
             (ulong)at.first_plane * p.out.plane + at.y * p.out.row + at.x * B;
    at.add = CLV_AT(float, add, range.offset[3]) + p.add.lead + image * p.add.image +
             (ulong)at.first_plane * p.add.plane + at.y * p.add.row + at.x * B;
    bias = CLV_AT(float, bias, range.offset[2]) + at.first_plane * B;
    for (uint v = 0; v < at.planes; v++) {
        for (uint r = 0; r < R; r++) {
            CLV_CLAIM(at.out + v * p.out.plane + r * B);
        }
    }
    clv_fv sums[R * V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        clv_fv start = (clv_fv)(0.0f);
        if (p.has_bias && v < at.planes) {
            start = CLV_FV_LOAD(bias + v * B);
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            sums[r * V + v] = start;
        }
    }
    planar_sums(
        sums,
        CLV_AT(float, in, range.offset[0]) + image * p.in_image + at.y * p.stride_row +
            at.x * p.stride_x,
        CLV_AT(float, weights, range.offset[1]) + block * p.weight_block, &p);
    planar_store(sums, &at, &p);
}

CLV_TILE kernel void conv_planar(
    global float *in, global float *weights, global float *bias, global float *add,
    global float *out, const conv_planar_params p, const clv_range range) {
    const ulong item = CLV_ITEM(range);
    if (item < range.end) {
        conv_planar_item(in, weights, bias, add, out, p, range, item);
    }
}

#endif
