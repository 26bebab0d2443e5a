/* HeadAttention: its params, as infer() fills them, and a call's operands by strides. */
#ifndef CLV_KERNELS_ATTENTION_H
#define CLV_KERNELS_ATTENTION_H

#include "host/ir/call.h"

/* Where an operand of rank 4 has its rows: 0: [batch, heads, rows, size], 1: [batch, rows, heads,
 * size]. One of rank 3 is [batch, rows, size], with one head. One of rank 5 is part `part` of
 * [batch, rows, parts, heads, size]: what one product made for q, k and v. */
typedef struct clv_attention_params {
    float scale;
    int32_t q_by_row, k_by_row, v_by_row, out_by_row;
    int32_t q_part, k_part, v_part;
    int32_t nan_is_zero; /* weights that are NaN are 0: rows with nothing but masked keys */
} clv_attention_params;

/* Elements from one batch, head and row to the next, and before the first one; along a row they lie
 * side by side. */
typedef struct clv_attention_operand {
    int64_t first, batch, head, row;
} clv_attention_operand;

/* out[b][h][s] = softmax over t of (scale * q[b][h][s] . k[b][h / group][t] + mask[b][h][s][t])
 *                times v[b][h / group][t] */
typedef struct clv_attention_shape {
    int64_t batch, heads, group; /* group: heads of q that share one of k and v */
    int64_t rows, keys, size, value_size;
    clv_attention_operand q, k, v, out;
    int64_t mask[4]; /* strides along b, h, s, t; 0 where it is repeated */
    bool has_mask;
} clv_attention_shape;

/* The axis of rows or heads of an operand; -1: it has no heads. */
int clv_attention_row_axis(const clv_shape *shape, bool by_row);
int clv_attention_head_axis(const clv_shape *shape, bool by_row);

void clv_attention_shape_of(const clv_call *call, clv_attention_shape *out_shape);

#endif
