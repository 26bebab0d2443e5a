/* 3x3 convolution at stride 1 by Winograd's minimal filtering F(M x M, 3x3), M = 2 or 4, on blocked
 * tensors.
 *
 *     out = A' [ (G g G') . (B' d B) ] A    d: M+2 x M+2 inputs, g: 3x3 weights, out: M x M
 *
 * The elementwise products, summed over input channels, are (M+2)^2 matrix products, one for each
 * point: [tiles x inputs] by [inputs x outputs], with 4/9 (M = 2) or 1/4 (M = 4) of the
 * multiplications of the definition, and 16/9 or 4 times its weights.
 *
 * winograd_input    B' d B of every tile, [parts][points][input blocks][tiles][B] in scratch memory
 * winograd_output   for R tiles and V vectors of outputs the products of all points, R * V sums in
 *                   registers, then A' m A, bias, sum, clamp
 *
 * Weights G g G' are packed [block of V*B outputs][points][inputs][V*B], in double on the host.
 * Error: within 1e-4 of the output's root mean square for normally distributed inputs and weights
 * (points 0, 1, -1, and 2, -2 for M = 4; Lavin and Gray, Fast Algorithms for Convolutional Neural
 * Networks, 2015); the tests hold it to that. For CPUs: local size 1; 64 KiB of private memory an
 * item. A program for each -DWINOGRAD_M, _R and _V.
 */
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/conv/conv_winograd_params.h"
#include "kernels_cl/store/activation.h"
#include "kernels_cl/wide.h"

#define B CLV_WIDTH
#define M WINOGRAD_M
#define R WINOGRAD_R
#define V WINOGRAD_V
#define SPAN (M + 2)
#define POINTS (SPAN * SPAN)
/* The last block of inputs has fewer channels; see CONV_PARTIAL of conv_blocked.cl. */
#ifndef WINOGRAD_PARTIAL
#define WINOGRAD_PARTIAL 0
#endif

/* How far before it is used a weight is asked for, in floats: 60 steps of 8 cycles. */
#define AHEAD 2048

#if WINOGRAD_M == 4
/* B' of six values at d[0], d[1], ..., to out[0], out[step], ... */
static void transform_in(const clv_fv *d, clv_fv *out, int step) {
    clv_fv a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1];
    clv_fv c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
    out[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    out[step] = a + b;
    out[2 * step] = a - b;
    out[3 * step] = c + e;
    out[4 * step] = c - e;
    out[5 * step] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

/* A' of six values to four. */
static void transform_out(const clv_fv *m, clv_fv *out, int step) {
    clv_fv a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    out[0] = m[0] + a + c;
    out[step] = b + 2.0f * d;
    out[2 * step] = a + 4.0f * c;
    out[3 * step] = b + 8.0f * d + m[5];
}
#else
static void transform_in(const clv_fv *d, clv_fv *out, int step) {
    out[0] = d[0] - d[2];
    out[step] = d[1] + d[2];
    out[2 * step] = d[2] - d[1];
    out[3 * step] = d[1] - d[3];
}

static void transform_out(const clv_fv *m, clv_fv *out, int step) {
    out[0] = m[0] + m[1] + m[2];
    out[step] = m[1] - m[2] - m[3];
}
#endif

/* Inputs beyond the map's gaps are not memory of the map, and zero. */
static clv_fv load_pixel(const global float *plane, int y, int x, const clv_blocked *t) {
    bool is_inside = y >= 0 && y < (int)t->height && x >= 0 && x < (int)t->width;
    return is_inside ? CLV_FV_LOAD(plane + y * (int)t->row + x * B) : (clv_fv)(0.0f);
}

static void transform_tile(
    const global float *plane, int y, int x, global float *out, const conv_winograd_params *p) {
    clv_fv part[POINTS], d[SPAN];
    bool is_inside =
        y >= 0 && y + SPAN <= (int)p->in.height && x >= 0 && x + SPAN <= (int)p->in.width;
    if (is_inside) {
        const global float *from = plane + y * (int)p->in.row + x * B;
        _Pragma("unroll") for (int j = 0; j < SPAN; j++) {
            _Pragma("unroll") for (int i = 0; i < SPAN; i++) {
                d[i] = CLV_FV_LOAD(from + i * (int)p->in.row + j * B);
            }
            transform_in(d, part + j, SPAN);
        }
    } else {
        for (int j = 0; j < SPAN; j++) {
            _Pragma("unroll") for (int i = 0; i < SPAN; i++) {
                d[i] = load_pixel(plane, y + i, x + j, &p->in);
            }
            transform_in(d, part + j, SPAN);
        }
    }
    _Pragma("unroll") for (int i = 0; i < SPAN; i++) {
        clv_fv row[SPAN];
        transform_in(part + i * SPAN, row, 1);
        _Pragma("unroll") for (int j = 0; j < SPAN; j++) {
            CLV_FV_STORE(out + (i * SPAN + j) * p->point, row[j]);
        }
    }
}

typedef struct some_tiles {
    uint at, first, count; /* in scratch memory, at its first point; of all tiles; at most R */
} some_tiles;

/* The `group`-th R tiles of a band. */
static some_tiles find_tiles(uint group, const conv_winograd_params *p) {
    uint of_part = p->count / R, part = group / of_part, at = p->first + group % of_part * R;
    some_tiles some = {part * p->room + group % of_part * R, part * p->part + at, 0};
    if (at < p->part && some.first < p->tiles) {
        some.count = min((uint)R, p->tiles - some.first);
    }
    return some;
}

/* An item does R tiles of one block of input channels. */
CLV_ONCE CLV_WIDE static void winograd_input_item(
    global float *in, global float *points, const conv_winograd_params p, const clv_range range,
    ulong item) {
    uint groups = p.parts * (p.count / R), planes = p.in.planes;
    uint plane = (uint)(p.by_rows ? item % planes : item / groups);
    some_tiles some = find_tiles((uint)(p.by_rows ? item / planes : item % groups), &p);
    in = CLV_AT(float, in, range.offset[0]) + p.in.lead + (ulong)plane * p.in.plane;
    points = CLV_AT(float, points, range.offset[1]) + ((ulong)plane * p.count + some.at) * B;
    for (uint t = 0; t < some.count; t++) {
        for (uint f = 0; f < POINTS && t + 1 < some.count; f++) {
            CLV_CLAIM(points + (t + 1) * B + f * p.point);
        }
        uint tile = some.first + t, x = tile % p.tiles_x, rest = tile / p.tiles_x;
        uint y = rest % p.tiles_y, image = rest / p.tiles_y;
        transform_tile(
            in + image * p.in.image, (int)(y * M) - p.pad_y, (int)(x * M) - p.pad_x, points + t * B,
            &p);
    }
}

CLV_TILE kernel void winograd_input(
    global float *in, global float *points, const conv_winograd_params p, const clv_range range) {
    const ulong item = CLV_ITEM(range);
    if (item < range.end) {
        winograd_input_item(in, points, p, range, item);
    }
}

/* The M x M outputs of one tile and one vector of channels, from its sums `stride` apart. */
static void finish_tile(
    const float *sums, uint stride, clv_fv bias, uint y, uint x, global float *out,
    const global float *add, uint plane, bool is_first_image, const conv_winograd_params *p) {
    clv_fv part[M * SPAN], m[SPAN], row[M];
    _Pragma("unroll") for (int j = 0; j < SPAN; j++) {
        _Pragma("unroll") for (int i = 0; i < SPAN; i++) {
            m[i] = *(const clv_fv *)(sums + (i * SPAN + j) * stride);
        }
        transform_out(m, part + j, SPAN);
    }
    uint rows = min((uint)M, p->out.height - y);
    uint columns = min((uint)M, p->out.width - x);
    _Pragma("unroll") for (int i = 0; i < M; i++) {
        transform_out(part + i * SPAN, row, 1);
        if (i < rows) {
            global float *to = out + (y + i) * p->out.row;
            _Pragma("unroll") for (int j = 0; j < M; j++) {
                if (j < columns) {
                    clv_fv value = row[j] + bias;
                    if (p->has_add) {
                        value += CLV_FV_LOAD(add + (y + i) * p->add.row + (x + j) * B);
                    }
                    value = value < p->low ? (clv_fv)(p->low) : value;
                    value = value > p->high ? (clv_fv)(p->high) : value;
                    CLV_FV_STORE(to + (x + j) * B, value);
                }
            }
            if (x + M >= p->out.width) {
                clv_put_zeros(to, y + i, is_first_image && plane == 0, &p->out);
            }
        }
    }
    for (uint i = 0; p->act.op != EW_FLOAT_COPY && i < rows; i++) {
        clv_activate_row(
            out + (y + i) * p->out.row + x * B, add + (y + i) * p->add.row + x * B, columns,
            &p->act, clv_act_lanes(&p->act, plane, p->out.planes));
    }
}

/* Input channel i of a block, at one point. */
static void multiply_channel(const global float *x, const global float *w, clv_fv *s, int i) {
    clv_fv weight[V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        CLV_PREFETCH(w + AHEAD + (i * V + v) * B);
        weight[v] = CLV_FV_LOAD(w + (i * V + v) * B);
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
        clv_fv value = (clv_fv)(x[r * B + i]);
#pragma unroll
        for (int v = 0; v < V; v++) {
            s[r * V + v] = fma(value, weight[v], s[r * V + v]);
        }
    }
}

/* The sums of R tiles and V vectors of outputs at one point. */
static void multiply(
    const global float *x, const global float *w, float *sums, const conv_winograd_params *p) {
    clv_fv s[R * V];
#pragma unroll
    for (int i = 0; i < R * V; i++) {
        s[i] = (clv_fv)(0.0f);
    }
    for (uint c = 0; c < p->in.planes; c++) {
#if WINOGRAD_PARTIAL
        const uint channels = c + 1 == p->in.planes ? p->last_in : B;
#pragma unroll 1
        for (uint i = 0; i < channels; i++) {
            multiply_channel(x, w, s, i);
        }
#else
#pragma unroll 2
        for (int i = 0; i < B; i++) {
            multiply_channel(x, w, s, i);
        }
#endif
        x += p->count * B;
        w += B * B * V;
    }
#pragma unroll
    for (int i = 0; i < R * V; i++) {
        *(private clv_fv *)(sums + i * B) = s[i];
    }
}

static void claim_tiles(
    const some_tiles *some, uint block, const global float *out, const conv_winograd_params *p) {
    for (uint r = 0; r < some->count; r++) {
        uint tile = some->first + r, x = tile % p->tiles_x, rest = tile / p->tiles_x;
        uint y = rest % p->tiles_y, image = rest / p->tiles_y;
        const global float *to = out + p->out.lead + image * p->out.image +
                                 (ulong)block * V * p->out.plane + y * M * p->out.row + x * M * B;
        for (uint v = 0; v < V && block * V + v < p->out.planes; v++, to += p->out.plane) {
            for (uint i = 0; i < M; i++) {
                for (uint j = 0; j < M; j++) {
                    CLV_CLAIM(to + i * p->out.row + j * B);
                }
            }
        }
    }
}

/* An item does R tiles of one block of V vectors of output channels. */
CLV_ONCE CLV_WIDE static void winograd_output_item(
    global float *points, global float *weights, global float *bias, global float *add,
    global float *out, const conv_winograd_params p, const clv_range range, ulong item) {
    uint of_part = p.count / R, block = (uint)(item / of_part % p.blocks);
    uint part = (uint)(item / ((ulong)of_part * p.blocks));
    some_tiles some = find_tiles(part * of_part + (uint)(item % of_part), &p);
    if (some.count == 0) {
        return;
    }
    float sums[POINTS * R * V * B] __attribute__((aligned(64)));
    claim_tiles(&some, block, CLV_AT(float, out, range.offset[4]), &p);
    points = CLV_AT(float, points, range.offset[0]) + (ulong)some.at * B;
    weights = CLV_AT(float, weights, range.offset[1]) + block * p.weight_block;
    for (uint f = 0; f < POINTS; f++) {
        multiply(points + f * p.point, weights + f * p.weight_point, sums + f * (R * V * B), &p);
    }
    for (uint r = 0; r < some.count; r++) {
        uint tile = some.first + r, x = tile % p.tiles_x, rest = tile / p.tiles_x;
        uint y = rest % p.tiles_y, image = rest / p.tiles_y;
        for (uint v = 0; v < V && block * V + v < p.out.planes; v++) {
            uint plane = block * V + v;
            clv_fv start = (clv_fv)(0.0f);
            if (p.has_bias) {
                start = CLV_FV_LOAD(CLV_AT(float, bias, range.offset[2]) + plane * B);
            }
            finish_tile(
                sums + (r * V + v) * B, R * V * B, start, y * M, x * M,
                CLV_AT(float, out, range.offset[4]) + p.out.lead + image * p.out.image +
                    (ulong)plane * p.out.plane,
                CLV_AT(float, add, range.offset[3]) + p.add.lead + image * p.add.image +
                    (ulong)plane * p.add.plane,
                plane, image == 0, &p);
        }
    }
}

CLV_TILE kernel void winograd_output(
    global float *points, global float *weights, global float *bias, global float *add,
    global float *out, const conv_winograd_params p, const clv_range range) {
    const ulong item = CLV_ITEM(range);
    if (item < range.end) {
        winograd_output_item(points, weights, bias, add, out, p, range, item);
    }
}
