/* Values of maps at positions of a grid (ONNX's GridSample):
 *
 *     out[n][c][p] = x[n][c] at grid[n][p], -1 and 1 being the borders of x
 *
 * operands  x [n][channels][in], grid [n][positions][axes] with x first, out; float32
 * geometry  an item does `chunk` positions of all channels of an image
 * error     that of sums of as many products as there are taps: one, 2 or 4 along each axis
 */
#include "kernels_cl/sample/sample_params.h"

/* Taps along one axis: where, -1 for a 0, and by which factor. */
typedef struct sample_line {
    int count, at[4];
    float factor[4];
} sample_line;

/* x as if mirrored at both ends, again and again. */
static float sample_reflect(float x, float low, float high) {
    const float range = high - low;
    if (x >= low && x <= high) {
        return x;
    }
    if (!(range > 0.0f)) {
        return low;
    }
    const float beyond = x < low ? low - x : x - high, times = floor(beyond / range);
    const float rest = beyond - times * range;
    const bool is_even = fmod(times, 2.0f) == 0.0f;
    return (x < low) == is_even ? low + rest : high - rest;
}

static int sample_index(int i, int extent, float low, float high, uint padding) {
    if (i >= 0 && i < extent) {
        return i;
    }
    if (padding == SAMPLE_ZEROS) {
        return -1;
    }
    if (padding == SAMPLE_REFLECTION) {
        i = (int)sample_reflect((float)i, low, high);
    }
    return clamp(i, 0, extent - 1);
}

static float sample_cubic(float x) { /* |x| <= 2 */
    const float a = -0.75f;
    x = fabs(x);
    return x <= 1.0f ? ((a + 2.0f) * x - (a + 3.0f)) * x * x + 1.0f
                     : ((a * x - 5.0f * a) * x + 8.0f * a) * x - 4.0f * a;
}

static sample_line sample_line_at(float x, int extent, private const sample_params *p) {
    const float last = (float)(extent - 1);
    const float low = p->align_corners ? 0.0f : -0.5f, high = p->align_corners ? last : last + 0.5f;
    sample_line line;
    x = p->align_corners ? (x + 1.0f) * 0.5f * last : ((x + 1.0f) * (float)extent - 1.0f) * 0.5f;
    x = fmin(fmax(x, -1e9f), 1e9f); /* NaN is far away, too */
    x = p->mode == SAMPLE_NEAREST ? rint(x) : x;
    if (p->padding == SAMPLE_BORDER && p->mode != SAMPLE_CUBIC) { /* whose taps are clamped alone */
        x = clamp(x, 0.0f, last);
    } else if (p->padding == SAMPLE_REFLECTION) {
        x = sample_reflect(x, low, high);
    }
    line.count = p->mode == SAMPLE_NEAREST ? 1 : p->mode == SAMPLE_LINEAR ? 2 : 4;
    const float first = floor(x) - (p->mode == SAMPLE_CUBIC ? 1.0f : 0.0f);
    for (int i = 0; i < line.count; i++) {
        const float away = x - (first + (float)i);
        line.factor[i] = p->mode == SAMPLE_NEAREST  ? 1.0f
                         : p->mode == SAMPLE_LINEAR ? 1.0f - fabs(away)
                                                    : sample_cubic(away);
        line.at[i] = sample_index((int)first + i, extent, low, high, p->padding);
    }
    return line;
}

kernel void sample(
    const global float *x, const global float *grid, global float *out, const sample_params p,
    const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const ulong image = item / p.chunks;
    const uint begin = (uint)(item % p.chunks) * p.chunk, end = min(begin + p.chunk, p.positions);
    const uint plane = p.in[0] * p.in[1] * p.in[2];
    x = CLV_AT(const float, x, r.offset[0]) + image * p.channels * plane;
    grid = CLV_AT(const float, grid, r.offset[1]) + image * p.positions * p.axes;
    out = CLV_AT(float, out, r.offset[2]) + image * p.channels * p.positions;
    for (uint position = begin; position < end; position++) {
        uint at[SAMPLE_MOST_TAPS];
        float factors[SAMPLE_MOST_TAPS];
        sample_line lines[SAMPLE_AXES];
        int taps = 0;
        for (uint axis = 0; axis < SAMPLE_AXES; axis++) {
            lines[axis].count = 1;
            lines[axis].at[0] = 0;
            lines[axis].factor[0] = 1.0f;
        }
        for (uint axis = 0; axis < p.axes; axis++) {
            const uint to = SAMPLE_AXES - 1 - axis;
            lines[to] = sample_line_at(grid[(ulong)position * p.axes + axis], (int)p.in[to], &p);
        }
        for (int z = 0; z < lines[0].count; z++) {
            for (int y = 0; y < lines[1].count; y++) {
                for (int i = 0; i < lines[2].count; i++) {
                    if (lines[0].at[z] < 0 || lines[1].at[y] < 0 || lines[2].at[i] < 0) {
                        continue;
                    }
                    at[taps] = ((uint)lines[0].at[z] * p.in[1] + (uint)lines[1].at[y]) * p.in[2] +
                               (uint)lines[2].at[i];
                    factors[taps++] = lines[0].factor[z] * lines[1].factor[y] * lines[2].factor[i];
                }
            }
        }
        for (uint c = 0; c < p.channels; c++) {
            const global float *from = x + (ulong)c * plane;
            float sum = 0.0f;
            for (int i = 0; i < taps; i++) {
                sum = fma(factors[i], from[at[i]], sum);
            }
            out[(ulong)c * p.positions + position] = sum;
        }
    }
}
