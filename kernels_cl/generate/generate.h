/* The generate family: ConstantOfShape, EyeLike, OneHot, Range, Trilu. Params of its operators are
 * a clv_generate. */
#ifndef CLV_KERNELS_GENERATE_H
#define CLV_KERNELS_GENERATE_H

#include "kernels_cl/kernel.h"

typedef enum clv_generate_kind {
    CLV_GENERATE_RANGE,   /* start + i * step; start alone for a constant of any type */
    CLV_GENERATE_BAND,    /* of input 0 */
    CLV_GENERATE_EYE,     /* `start` along a diagonal; input 0 gives the shape only */
    CLV_GENERATE_ONE_HOT, /* indices, depth, values */
} clv_generate_kind;

typedef struct clv_generate {
    clv_generate_kind kind;
    bool is_float_range;
    float float_start, float_step;
    uint64_t start, step; /* integers; or one element's bits */
    int64_t low, high;    /* diagonals that are kept: column - row */
    int axis;             /* ONE_HOT: of the output */
} clv_generate;

#endif
