/* The reverse family: ReverseSequence. */
#ifndef CLV_KERNELS_REVERSE_H
#define CLV_KERNELS_REVERSE_H

#include "kernels_cl/kernel.h"

typedef struct clv_reverse {
    int32_t time_axis; /* 0 or 1; the other one is the batch's */
} clv_reverse;

#endif
