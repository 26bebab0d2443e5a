/* Pooling over windows and over whole planes: params, as infer() fills them. */
#ifndef CLV_KERNELS_POOL_H
#define CLV_KERNELS_POOL_H

#include "host/ir/call.h"
#include "kernels_cl/window.h"

typedef enum clv_pool_kind {
    CLV_POOL_MAX,
    CLV_POOL_AVERAGE,
    CLV_POOL_LP, /* (sum of |x|^p)^(1/p) */
} clv_pool_kind;

typedef struct clv_pool_params {
    clv_window window; /* unused where is_global */
    int32_t kind;
    int32_t is_global; /* one window over all spatial axes */
    int32_t count_include_pad;
    int32_t is_column_major; /* of Indices */
    int32_t p;
    int32_t whole_columns; /* of a piece of columns: outputs of a row of the whole; else 0 */
} clv_pool_params;

/* A call's planes and windows, z, y, x; a global window is one row. */
typedef struct clv_pool_shape {
    int64_t planes;
    int64_t in[CLV_MAX_SPATIAL], out[CLV_MAX_SPATIAL];
    clv_window window;
} clv_pool_shape;

void clv_pool_shape_of(const clv_call *call, clv_pool_shape *out_shape);

#endif
