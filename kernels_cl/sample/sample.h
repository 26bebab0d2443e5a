/* The sample family: GridSample. */
#ifndef CLV_KERNELS_SAMPLE_H
#define CLV_KERNELS_SAMPLE_H

#include "host/ir/call.h"
#include "kernels_cl/sample/sample_params.h"

typedef struct clv_sample {
    int32_t mode, padding; /* sample_mode, sample_padding */
    int32_t align_corners;
} clv_sample;

#endif
