/* 3x3 convolution at stride 1 by Winograd's minimal filtering F(4x4, 3x3), on blocked tensors.
 *
 *     out = A' [ (G g G') . (B' d B) ] A     d: 6x6 inputs, g: 3x3 weights, out: 4x4 outputs
 *
 * The elementwise products, summed over input channels, are 36 matrix products, one for each point:
 * [tiles x inputs] by [inputs x outputs], with a quarter of the multiplications of the definition.
 *
 * winograd_input    B' d B of every tile into scratch memory [36][input blocks][tiles][B]
 * winograd_RxV      for R tiles and V vectors of outputs all 36 products, R * V sums in registers,
 *                   then A' m A, bias, sum, clamp
 *
 * Weights G g G' are packed [block of V*B outputs][36][inputs][V*B], in double on the host.
 * Error: within 1e-4 of the output's root mean square for normally distributed inputs and weights
 * (points 0, 1, -1, 2, -2; Lavin and Gray, Fast Algorithms for Convolutional Neural Networks,
 * 2015);
 * the tests hold it to that. For CPUs: local size 1; 64 KiB of private memory an item.
 */
#include "kernels_cl/blocked/zeros.h"
#include "kernels_cl/conv/conv_winograd_params.h"
#include "kernels_cl/store/activation.h"
#include "kernels_cl/wide.h"

#define B CLV_WIDTH

/* B' of six values at d[0], d[step], ... */
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

/* Inputs beyond the map's gaps are not memory of the map, and zero. */
static clv_fv load_pixel(const global float *plane, int y, int x, const clv_blocked *t) {
    bool is_inside = y >= 0 && y < (int)t->height && x >= 0 && x < (int)t->width;
    return is_inside ? CLV_FV_LOAD(plane + y * (int)t->row + x * B) : (clv_fv)(0.0f);
}

static void transform_tile(
    const global float *plane, int y, int x, global float *out, const conv_winograd_params *p) {
    clv_fv part[WINOGRAD_POINTS], d[WINOGRAD_IN];
    bool is_inside = y >= 0 && y + WINOGRAD_IN <= (int)p->in.height && x >= 0 &&
                     x + WINOGRAD_IN <= (int)p->in.width;
    if (is_inside) {
        const global float *from = plane + y * (int)p->in.row + x * B;
        _Pragma("unroll") for (int j = 0; j < WINOGRAD_IN; j++) {
            _Pragma("unroll") for (int i = 0; i < WINOGRAD_IN; i++) {
                d[i] = CLV_FV_LOAD(from + i * (int)p->in.row + j * B);
            }
            transform_in(d, part + j, WINOGRAD_IN);
        }
    } else {
        for (int j = 0; j < WINOGRAD_IN; j++) {
            _Pragma("unroll") for (int i = 0; i < WINOGRAD_IN; i++) {
                d[i] = load_pixel(plane, y + i, x + j, &p->in);
            }
            transform_in(d, part + j, WINOGRAD_IN);
        }
    }
    _Pragma("unroll") for (int i = 0; i < WINOGRAD_IN; i++) {
        clv_fv row[WINOGRAD_IN];
        transform_in(part + i * WINOGRAD_IN, row, 1);
        _Pragma("unroll") for (int j = 0; j < WINOGRAD_IN; j++) {
            CLV_FV_STORE(out + (i * WINOGRAD_IN + j) * p->point, row[j]);
        }
    }
}

/* An item does `run` tiles of one block of input channels. */
CLV_TILE kernel void winograd_input(
    global float *in, global float *points, const conv_winograd_params p, const clv_range range) {
    ulong item = range.first + get_global_id(0);
    if (item >= range.end) {
        return;
    }
    uint first = (uint)(item % p.runs) * p.run, end = min(first + p.run, p.count);
    uint plane = (uint)(item / p.runs);
    in = CLV_AT(float, in, range.offset[0]) + p.in.lead + (ulong)plane * p.in.plane;
    points = CLV_AT(float, points, range.offset[1]) + (ulong)plane * p.room * B;
    for (uint t = first; t < end; t++) {
        uint tile = p.first + t, x = tile % p.tiles_x, rest = tile / p.tiles_x;
        uint y = rest % p.tiles_y, image = rest / p.tiles_y;
        transform_tile(
            in + image * p.in.image, (int)(y * WINOGRAD_OUT) - p.pad_y,
            (int)(x * WINOGRAD_OUT) - p.pad_x, points + t * B, &p);
    }
}

/* The 4x4 outputs of one tile and one vector of channels, from its 36 sums `stride` apart. */
static void finish_tile(
    const float *sums, uint stride, clv_fv bias, uint y, uint x, global float *out,
    const global float *add, bool is_first_plane, const conv_winograd_params *p) {
    clv_fv part[WINOGRAD_OUT * WINOGRAD_IN], m[WINOGRAD_IN], row[WINOGRAD_OUT];
    _Pragma("unroll") for (int j = 0; j < WINOGRAD_IN; j++) {
        _Pragma("unroll") for (int i = 0; i < WINOGRAD_IN; i++) {
            m[i] = *(const clv_fv *)(sums + (i * WINOGRAD_IN + j) * stride);
        }
        transform_out(m, part + j, WINOGRAD_IN);
    }
    uint rows = min((uint)WINOGRAD_OUT, p->out.height - y);
    uint columns = min((uint)WINOGRAD_OUT, p->out.width - x);
    _Pragma("unroll") for (int i = 0; i < WINOGRAD_OUT; i++) {
        transform_out(part + i * WINOGRAD_IN, row, 1);
        if (i < rows) {
            global float *to = out + (y + i) * p->out.row;
            _Pragma("unroll") for (int j = 0; j < WINOGRAD_OUT; j++) {
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
            if (x + WINOGRAD_OUT >= p->out.width) {
                clv_put_zeros(to, y + i, is_first_plane, &p->out);
            }
        }
    }
    for (uint i = 0; p->act.op != EW_FLOAT_COPY && i < rows; i++) {
        clv_activate_row(
            out + (y + i) * p->out.row + x * B, add + (y + i) * p->add.row + x * B, columns,
            &p->act);
    }
}

/* An item does R tiles of one block of V vectors of output channels. */
#define WINOGRAD(R, V)                                                                            \
    CLV_TILE kernel void winograd_##R##x##V(                                                      \
        global float *points, global float *weights, global float *bias, global float *add,       \
        global float *out, const conv_winograd_params p, const clv_range range) {                 \
        ulong item = range.first + get_global_id(0);                                              \
        if (item >= range.end) {                                                                  \
            return;                                                                               \
        }                                                                                         \
        uint groups = (p.count + R - 1) / R;                                                      \
        uint first = (uint)(item % groups) * R, block = (uint)(item / groups);                    \
        float sums[WINOGRAD_POINTS * R * V * B] __attribute__((aligned(64)));                     \
        points = CLV_AT(float, points, range.offset[0]) + first * B;                              \
        weights = CLV_AT(float, weights, range.offset[1]) + block * p.weight_block;               \
        for (uint f = 0; f < WINOGRAD_POINTS; f++) {                                              \
            const global float *x = points + f * p.point, *w = weights + f * p.weight_point;      \
            clv_fv s[R * V];                                                                      \
            _Pragma("unroll") for (int i = 0; i < R * V; i++) {                                   \
                s[i] = (clv_fv)(0.0f);                                                            \
            }                                                                                     \
            for (uint c = 0; c < p.in.planes; c++) {                                              \
                _Pragma("unroll 2") for (int i = 0; i < B; i++) {                                 \
                    clv_fv weight[V];                                                             \
                    _Pragma("unroll") for (int v = 0; v < V; v++) {                               \
                        weight[v] = CLV_FV_LOAD(w + (i * V + v) * B);                             \
                    }                                                                             \
                    _Pragma("unroll") for (int r = 0; r < R; r++) {                               \
                        clv_fv value = (clv_fv)(x[r * B + i]);                                    \
                        _Pragma("unroll") for (int v = 0; v < V; v++) {                           \
                            s[r * V + v] = fma(value, weight[v], s[r * V + v]);                   \
                        }                                                                         \
                    }                                                                             \
                }                                                                                 \
                x += p.room * B;                                                                  \
                w += B * B * V;                                                                   \
            }                                                                                     \
            _Pragma("unroll") for (int i = 0; i < R * V; i++) {                                   \
                *(private clv_fv *)(sums + (f * (R * V) + i) * B) = s[i];                         \
            }                                                                                     \
        }                                                                                         \
        uint end = min((uint)R, p.count - first);                                                 \
        for (uint r = 0; r < end; r++) {                                                          \
            uint tile = p.first + first + r, x = tile % p.tiles_x, rest = tile / p.tiles_x;       \
            uint y = rest % p.tiles_y, image = rest / p.tiles_y;                                  \
            for (uint v = 0; v < V && block * V + v < p.out.planes; v++) {                        \
                uint plane = block * V + v;                                                       \
                clv_fv start = (clv_fv)(0.0f);                                                    \
                if (p.has_bias) {                                                                 \
                    start = CLV_FV_LOAD(CLV_AT(float, bias, range.offset[2]) + plane * B);        \
                }                                                                                 \
                finish_tile(                                                                      \
                    sums + (r * V + v) * B, R * V * B, start, y * WINOGRAD_OUT, x * WINOGRAD_OUT, \
                    CLV_AT(float, out, range.offset[4]) + p.out.lead + image * p.out.image +      \
                        (ulong)plane * p.out.plane,                                               \
                    CLV_AT(float, add, range.offset[3]) + p.add.lead + image * p.add.image +      \
                        (ulong)plane * p.add.plane,                                               \
                    image == 0 && plane == 0, &p);                                                \
            }                                                                                     \
        }                                                                                         \
    }

#if CLV_WIDTH == 16
WINOGRAD(28, 1)
WINOGRAD(16, 1)
WINOGRAD(14, 2)
WINOGRAD(9, 3)
WINOGRAD(4, 4)
#else
WINOGRAD(12, 1)
WINOGRAD(6, 2)
#endif
