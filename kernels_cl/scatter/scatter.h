/* Host side of ScatterElements, Scatter and ScatterND: what the operators keep as params. */
#ifndef CLV_KERNELS_SCATTER_H
#define CLV_KERNELS_SCATTER_H

#include "kernels_cl/kernel.h"
#include "kernels_cl/scatter/scatter_params.h"

/* Extents come from the call's shapes. */
typedef struct clv_scatter_op {
    bool is_nd;
    int axis;           /* not is_nd */
    uint32_t reduction; /* CLV_SCATTER_NONE, ... */
} clv_scatter_op;

#endif
