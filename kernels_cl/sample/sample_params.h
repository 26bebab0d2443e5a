/* What sample.c passes to sample.cl. */
#ifndef CLV_KERNELS_SAMPLE_PARAMS_H
#define CLV_KERNELS_SAMPLE_PARAMS_H

#include "kernels_cl/clv.h"

typedef enum sample_mode { SAMPLE_NEAREST, SAMPLE_LINEAR, SAMPLE_CUBIC } sample_mode;
typedef enum sample_padding { SAMPLE_ZEROS, SAMPLE_BORDER, SAMPLE_REFLECTION } sample_padding;

enum { SAMPLE_AXES = 3, SAMPLE_MOST_TAPS = 16 };

typedef struct sample_params {
    clv_u32 in[SAMPLE_AXES]; /* extents of an input plane: z, y, x */
    clv_u32 axes;            /* of those, from the last on; the others are 1 */
    clv_u32 channels;
    clv_u32 positions;     /* of an output plane */
    clv_u32 chunk, chunks; /* positions of an item, items of an image */
    clv_u32 mode, padding, align_corners;
    clv_u32 unused; /* params have no padding: their bytes are a key */
} sample_params;

#endif
