/* Einsum: its params, as infer() fills them, and a call's index space. */
#ifndef CLV_KERNELS_EINSUM_H
#define CLV_KERNELS_EINSUM_H

#include "host/ir/call.h"

enum { CLV_EINSUM_INPUTS = 16, CLV_EINSUM_LABELS = 16 };

/* Axes carry labels 0 .. num_labels-1; axes that an ellipsis stands for have labels like any
 * other. */
typedef struct clv_einsum_params {
    int32_t num_labels, out_rank;
    int8_t labels[CLV_EINSUM_INPUTS][CLV_MAX_RANK]; /* of each axis of each input */
    int8_t out_labels[CLV_MAX_RANK];
} clv_einsum_params;

/* Extents of labels: an axis of extent 1 goes along with any extent. */
void clv_einsum_extents(const clv_call *call, int64_t out_extents[CLV_EINSUM_LABELS]);

/* Strides of input `index` by label, in elements: 0 where it has not the label or extent 1 there; a
 * label that stands twice (a diagonal) adds up. */
void clv_einsum_strides(const clv_call *call, size_t index, int64_t out_strides[CLV_EINSUM_LABELS]);

#endif
