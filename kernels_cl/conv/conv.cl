/* Convolution of any rank, stride, dilation and grouping, and its transpose, as one loop nest.
 *
 * Input planes are read as long rows: position q = (z * pitch_y + y) * pitch_x + x. Each tap of the
 * kernel is then a constant offset, whatever the rank, and
 *
 *     out[m][q] = bias[m] + sum over channels c and taps t of w[m][c][t] * in[c][q + offset[t]]
 *
 * runs over unit-stride vectors of positions. Padding and strides are brought into that form by
 * conv_pad, which copies the input once: with zeros around it, and for stride s with every s-th
 * element side by side (a phase), so that tap k reads phase k mod s; and times the factor of its
 * channel, if there are any. A transposed convolution needs no zeros between inputs: each phase of
 * the OUTPUT is a convolution with the taps that reach it.
 * Positions q behind the end of a row are computed and dropped.
 *
 * Tile: CONV_ROWS output channels by CONV_VECTORS vectors of positions in registers, over all input
 * channels and taps; 8 x 2 vectors of 16 need 18 of the 32 registers of AVX-512.
 * Accumulates in float by fma, channel by channel: relative error about 1e-7 * sqrt(channels *
 * taps). Local size 1 on CPUs, 64 on GPUs. No local memory.
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/conv/conv_params.h"
#include "kernels_cl/wide.h"

/* Elements [begin, end) of row `row` of a padded plane; `in` and `out` are the planes, `scale` is
 * what elements are multiplied by. */
static void conv_pad_row(
    const global float *in, global float *out, float scale, uint row, uint begin, uint end,
    const conv_pad_params *p) {
    global float *to = out + (ulong)row * p->pitch[2];
    int y = row % p->pitch[1];
    row /= p->pitch[1];
    int z = row % p->pitch[0];
    row /= p->pitch[0];
    uint phase_x = row % p->phases[2];
    row /= p->phases[2];
    uint phase_y = row % p->phases[1], phase_z = row / p->phases[1];
    z = z * (int)p->step[0] + (int)(phase_z * p->phase_step[0]) - p->lead[0];
    y = y * (int)p->step[1] + (int)(phase_y * p->phase_step[1]) - p->lead[1];
    bool is_inside = z >= 0 && z < (int)p->in[0] && y >= 0 && y < (int)p->in[1];
    const global float *from = in + (is_inside ? (z * p->in[1] + y) * p->in[2] : 0);
    int shift = (int)(phase_x * p->phase_step[2]) - p->lead[2];
    uint x = begin;
    if (is_inside && p->step[2] == 1) {
        uint low = (uint)clamp(-shift, (int)begin, (int)end);
        uint high = (uint)clamp((int)p->in[2] - shift, (int)low, (int)end);
        for (; x < low; x++) {
            to[x] = 0.0f;
        }
        for (; x + CLV_WIDTH <= high; x += CLV_WIDTH) {
            CLV_FV_STORE(to + x, CLV_FV_LOAD(from + ((int)x + shift)) * (clv_fv)(scale));
        }
        for (; x < high; x++) {
            to[x] = from[(int)x + shift] * scale;
        }
        is_inside = false; /* zeros from here on */
    }
    for (; x < end; x++) {
        int at = (int)(x * p->step[2]) + shift;
        to[x] = is_inside && at >= 0 && at < (int)p->in[2] ? from[at] * scale : 0.0f;
    }
}

/* in   [planes][in z][in y][in x]
 * scales  [planes], where there are any
 * out  [planes][phases z][phases y][phases x][pitch z][pitch y][pitch x]
 * An item writes a chunk of each of `rows` rows of a plane, which is that of a channel of the input
 * that is shuffled. */
CLV_WIDE kernel void conv_pad(
    global float *in, global float *scales, global float *out, const conv_pad_params p,
    const clv_range r) {
    ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    in = CLV_AT(float, in, r.offset[0]);
    out = CLV_AT(float, out, r.offset[2]);
    uint begin = (uint)(item % p.chunks) * p.chunk, end = min(begin + p.chunk, p.pitch[2]);
    ulong rest = item / p.chunks;
    uint num_rows = p.phases[0] * p.phases[1] * p.phases[2] * p.pitch[0] * p.pitch[1];
    uint row = (uint)(rest % p.blocks) * p.rows, last_row = min(row + p.rows, num_rows);
    ulong plane = rest / p.blocks;
    ulong from = plane;
    if (p.shuffle > 1) {
        const uint c = (uint)(plane % p.channels);
        from += (ulong)(c % p.shuffle * (p.channels / p.shuffle) + c / p.shuffle) - c;
    }
    const float scale = p.has_scale ? CLV_AT(float, scales, r.offset[1])[from] : 1.0f;
    in += from * ((ulong)p.in[0] * p.in[1] * p.in[2]);
    out += plane * ((ulong)num_rows * p.pitch[2]);
    for (; row < last_row; row++) {
        conv_pad_row(in, out, scale, row, begin, end, &p);
    }
}

/* Where a tile goes and what of it is stored. */
typedef struct conv_place {
    uint q, first; /* its first position; positions below `first` are another tile's */
    uint size[3];  /* output positions of this phase: z, y, x */
    uint offset;   /* of the phase in the output plane */
} conv_place;

static uint conv_offset(const conv_params *p, const conv_place *at, uint x, uint y, uint z) {
    return at->offset + (z * p->out_step[0] * p->out_y + y * p->out_step[1]) * p->out_x +
           x * p->out_step[2];
}

/* Stores `rows` channels of the vector of positions that starts at q. */
static void conv_store(
    global float *out, const float *values, uint rows, uint q, const conv_place *at,
    const conv_params *p) {
    uint x = q % p->pitch_x, y = q / p->pitch_x % p->pitch_y, z = q / p->pitch_x / p->pitch_y;
    bool is_row = x + CLV_WIDTH <= at->size[2] && y < at->size[1] && p->out_step[2] == 1;
    bool is_line = p->is_linear && q + CLV_WIDTH <= p->out_plane;
    if (q >= at->first && z < at->size[0] && (is_row || is_line)) {
        global float *to = out + conv_offset(p, at, x, y, z);
        for (uint j = 0; j < rows; j++) {
            for (uint lane = 0; lane < CLV_WIDTH; lane++) {
                to[(ulong)j * p->out_plane + lane] = values[j * CLV_WIDTH + lane];
            }
        }
        return;
    }
    for (uint lane = 0; lane < CLV_WIDTH && z < at->size[0]; lane++) {
        if (q + lane >= at->first && x < at->size[2] && y < at->size[1]) {
            uint offset = conv_offset(p, at, x, y, z);
            for (uint j = 0; j < rows; j++) {
                out[(ulong)j * p->out_plane + offset] = values[j * CLV_WIDTH + lane];
            }
        }
        x++;
        if (x == p->pitch_x) {
            x = 0;
            y++;
        }
        if (y == p->pitch_y) {
            y = 0;
            z++;
        }
    }
}

/* One tile of ROWS output channels; in, w, bias and out point at the first of them. */
#define CONV_TILE(ROWS)                                                                  \
    static void conv_tile_##ROWS(                                                        \
        const global float *in, const global float *w, const global float *bias,         \
        global float *out, const global uint *taps, uint num_taps, const conv_place *at, \
        const conv_params *p) {                                                          \
        clv_fv sums[ROWS][CONV_VECTORS];                                                 \
        _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                               \
            float start = p->has_bias ? bias[j] : 0.0f;                                  \
            _Pragma("unroll") for (int v = 0; v < CONV_VECTORS; v++) {                   \
                sums[j][v] = (clv_fv)(start);                                            \
            }                                                                            \
        }                                                                                \
        in += at->q;                                                                     \
        for (uint c = 0; c < p->group_in; c++) {                                         \
            for (uint t = 0; t < num_taps; t++) {                                        \
                const global float *x = in + taps[2 * t];                                \
                const global float *k = w + taps[2 * t + 1];                             \
                clv_fv x0 = CLV_FV_LOAD(x), x1 = CLV_FV_LOAD(x + CLV_WIDTH);             \
                _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                       \
                    clv_fv weight = (clv_fv)(k[j * p->weight_row]);                      \
                    sums[j][0] = fma(weight, x0, sums[j][0]);                            \
                    sums[j][1] = fma(weight, x1, sums[j][1]);                            \
                }                                                                        \
            }                                                                            \
            in += p->in_plane;                                                           \
            w += p->weight_channel;                                                      \
        }                                                                                \
        float values[ROWS * CLV_WIDTH];                                                  \
        _Pragma("unroll") for (int v = 0; v < CONV_VECTORS; v++) {                       \
            _Pragma("unroll") for (int j = 0; j < ROWS; j++) {                           \
                CLV_FV_KEEP(values + j * CLV_WIDTH, sums[j][v]);                         \
            }                                                                            \
            conv_store(out, values, ROWS, at->q + v * CLV_WIDTH, at, p);                 \
        }                                                                                \
    }

CONV_TILE(8)
CONV_TILE(4)
CONV_TILE(1)

/* in       [batch][groups * group_in][in_plane]: the input, or what conv_pad made of it
 * weights  by weight_group, weight_row, weight_channel and the taps' second words
 * bias     [groups * group_out]
 * table    see conv_params.h
 * out      [batch][groups * group_out][out_plane]
 * An item does up to CONV_ROWS output channels by `tiles` tiles of positions of one phase. */
CLV_ONCE CLV_WIDE static void conv_item(
    global float *in, global float *weights, global float *bias, global uint *table,
    global float *out, const conv_params p, const clv_range r, ulong item) {
    in = CLV_AT(float, in, r.offset[0]);
    weights = CLV_AT(float, weights, r.offset[1]);
    bias = CLV_AT(float, bias, r.offset[2]);
    table = CLV_AT(uint, table, r.offset[3]);
    out = CLV_AT(float, out, r.offset[4]);
    uint inner = p.tiles_first ? p.num_tile_blocks : p.num_row_blocks;
    uint outer = p.tiles_first ? p.num_row_blocks : p.num_tile_blocks;
    uint low = (uint)(item % inner);
    ulong rest = item / inner;
    uint high = (uint)(rest % outer);
    rest /= outer;
    uint row = (p.tiles_first ? high : low) * CONV_ROWS;
    uint tile = (p.tiles_first ? low : high) * p.tiles, end = tile + p.tiles;
    const global uint *phase = table + (uint)(rest % p.num_phases) * CONV_PHASE_WORDS;
    rest /= p.num_phases;
    uint group = (uint)(rest % p.groups);
    ulong image = rest / p.groups;

    conv_place at;
    at.size[0] = phase[CONV_PHASE_Z];
    at.size[1] = phase[CONV_PHASE_Y];
    at.size[2] = phase[CONV_PHASE_X];
    at.offset = phase[CONV_PHASE_OFFSET];
    if (at.size[0] == 0 || at.size[1] == 0 || at.size[2] == 0) {
        return;
    }
    const uint width = CONV_VECTORS * CLV_WIDTH;
    uint positions = ((at.size[0] - 1) * p.pitch_y + at.size[1] - 1) * p.pitch_x + at.size[2];
    const global uint *taps = table + p.num_phases * CONV_PHASE_WORDS + 2 * phase[CONV_PHASE_TAP];
    uint num_taps = phase[CONV_PHASE_NUM_TAPS];
    in += image * p.in_batch + (ulong)group * p.group_in * p.in_plane;
    out += image * p.out_batch + (ulong)group * p.group_out * p.out_plane;
    weights += group * p.weight_group;
    bias += group * p.group_out;
    uint last_row = min(row + CONV_ROWS, p.group_out);
    for (; tile < end && tile * width < positions; tile++) {
        at.first = tile * width;
        /* the last tile is moved back so that it reads nothing behind the plane */
        at.q = min(at.first, positions > width ? positions - width : 0);
        for (uint m = row; m < last_row;) {
            const global float *w = weights + m * p.weight_row;
            global float *to = out + (ulong)m * p.out_plane;
            if (m + 8 <= last_row) {
                conv_tile_8(in, w, bias + m, to, taps, num_taps, &at, &p);
                m += 8;
            } else if (m + 4 <= last_row) {
                conv_tile_4(in, w, bias + m, to, taps, num_taps, &at, &p);
                m += 4;
            } else {
                conv_tile_1(in, w, bias + m, to, taps, num_taps, &at, &p);
                m += 1;
            }
        }
    }
}

CLV_WIDE kernel void conv(
    global float *in, global float *weights, global float *bias, global uint *table,
    global float *out, const conv_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item < r.end) {
        conv_item(in, weights, bias, table, out, p, r, item);
    }
}
