/* Sliding windows over one to three spatial axes: what Conv, ConvTranspose and pooling have in
 * their params. */
#ifndef CLV_KERNELS_WINDOW_H
#define CLV_KERNELS_WINDOW_H

#include <stdint.h>

enum { CLV_MAX_SPATIAL = 3 };

/* Entries are z, y, x: spatial axis i of `rank` stands at CLV_MAX_SPATIAL - rank + i, entries in
 * front of it are those of an axis of extent 1 (kernel, stride and dilation 1, no padding).
 * Extents come from the call's shapes. */
typedef struct clv_window {
    int64_t kernel[CLV_MAX_SPATIAL], stride[CLV_MAX_SPATIAL], dilation[CLV_MAX_SPATIAL];
    int64_t pad_begin[CLV_MAX_SPATIAL]; /* of a piece: perhaps negative, what was cut off */
    int64_t pad_end[CLV_MAX_SPATIAL];
    int32_t rank;
    int32_t unused; /* keeps the struct free of padding */
} clv_window;

#endif
