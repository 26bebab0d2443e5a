/* What the pooling kernels share: taps of windows, and how values are brought together. */
#ifndef CLV_KERNELS_POOL_TERMS_H
#define CLV_KERNELS_POOL_TERMS_H

#include "kernels_cl/pool/pool_params.h"
#include "kernels_cl/wide.h"

/* Taps [low, high) of a window that starts at `start` and lie in [0, extent). */
static void pool_taps(long start, long dilation, long window, long extent, long *low, long *high) {
    *low = *high = 0;
    if (start < 0) {
        *low = dilation == 1 ? -start : (-start + dilation - 1) / dilation;
    }
    if (extent > start) {
        *high = dilation == 1 ? extent - start : (extent - start + dilation - 1) / dilation;
    }
    *high = min(*high, window);
    *low = min(*low, *high);
}

/* The z and y of a window: where it starts, and its taps inside the input. */
typedef struct pool_rows {
    long z, y, z0, z1, y0, y1;
} pool_rows;

/* What an average along `axis` of the window at `start` counts. */
static long pool_count(const pool_params *p, int axis, long start) {
    long low, high;
    if (p->count_include_pad) {
        pool_taps(
            start + p->pad[axis], p->dilation[axis], p->window[axis], p->padded[axis], &low, &high);
    } else {
        pool_taps(start, p->dilation[axis], p->window[axis], p->in[axis], &low, &high);
    }
    return high - low;
}

static clv_fv pool_term(const pool_params *p, clv_fv sum, clv_fv x) {
    switch (p->kind) {
    case POOL_MAX:
        return select(sum, x, x > sum);
    case POOL_AVERAGE:
        return sum + x;
    default:
        x = fabs(x);
        return sum + (p->power == 1   ? x
                      : p->power == 2 ? x * x
                                      : pow(x, (clv_fv)((float)p->power)));
    }
}

static clv_fv pool_end(const pool_params *p, clv_fv sum, clv_fv count) {
    switch (p->kind) {
    case POOL_MAX:
        return sum;
    case POOL_AVERAGE:
        return sum / count;
    default:
        return p->power == 1   ? sum
               : p->power == 2 ? sqrt(sum)
                               : pow(sum, (clv_fv)(1.0f / (float)p->power));
    }
}

#endif
