/* Normalisations: params of BatchNormalization, of those that normalise rows (layer, instance,
 * group, root mean square), of LRN and of Softmax, as infer() fills them. */
#ifndef CLV_KERNELS_NORM_H
#define CLV_KERNELS_NORM_H

#include "host/ir/call.h"

typedef struct clv_batch_norm_params {
    float epsilon;
} clv_batch_norm_params;

typedef enum clv_norm_kind {
    CLV_NORM_LAYER,
    CLV_NORM_RMS,
    CLV_NORM_INSTANCE,
    CLV_NORM_GROUP,
} clv_norm_kind;

typedef struct clv_norm_params {
    int32_t kind;
    int32_t axis; /* first normalised one, of LAYER and RMS */
    int64_t groups;
    int32_t scale_per_group; /* GROUP: scale and bias are [groups], else [channels] */
    float epsilon;
} clv_norm_params;

/* The input as rows that are normalised each for itself. Scale (and bias alike) of element i of row
 * r is element r % row_mod * row_step + i / run of its operand; where `is_general` it goes by
 * strides over the input's axes. */
typedef struct clv_norm_shape {
    int64_t rows, n;
    int64_t row_mod, row_step, run;
    bool subtracts_mean, is_general;
    clv_shape input;
    int64_t scale_strides[CLV_MAX_RANK], bias_strides[CLV_MAX_RANK];
} clv_norm_shape;

void clv_norm_shape_of(const clv_call *call, clv_norm_shape *out_shape);

typedef struct clv_lrn_params {
    int64_t size;
    float alpha, beta, bias;
    int32_t unused;
} clv_lrn_params;

typedef struct clv_softmax_params {
    int32_t axis;
    int32_t is_flat; /* over all axes from `axis` on (before opset 13), else over `axis` */
    int32_t is_log;
    int32_t is_of_columns; /* a piece of some columns; it may have one alone */
} clv_softmax_params;

/* The input as [outer][n][inner], softmax over n. */
typedef struct clv_softmax_shape {
    int64_t outer, n, inner;
} clv_softmax_shape;

void clv_softmax_shape_of(const clv_call *call, clv_softmax_shape *out_shape);

#endif
