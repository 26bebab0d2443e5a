/* Host side of Gather, GatherElements and GatherND: what the operators keep as params. */
#ifndef CLV_KERNELS_GATHER_H
#define CLV_KERNELS_GATHER_H

#include "kernels_cl/kernel.h"

typedef enum clv_gather_kind {
    CLV_GATHER_ROWS,     /* Gather: axis */
    CLV_GATHER_ELEMENTS, /* GatherElements: axis */
    CLV_GATHER_ND,       /* batch_dims */
} clv_gather_kind;

/* Extents come from the call's shapes. */
typedef struct clv_gather_op {
    clv_gather_kind kind;
    int axis;
    int batch_dims;
} clv_gather_op;

#endif
