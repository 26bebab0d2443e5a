/* What the kernels of move.cl are told, shared with the host. Sizes, strides and offsets count
 * elements of `element_bytes` (1, 2, 4 or 8) bytes. */
#ifndef CLV_KERNELS_MOVE_PARAMS_H
#define CLV_KERNELS_MOVE_PARAMS_H

#include "kernels_cl/clv.h"

/* Dimensions of a strided copy: a Tile of rank 8 has a repeat and an extent for each. */
#define CLV_MOVE_MAX_DIMS 16
/* Side of the square of elements that move_tiles turns round in registers. */
#define CLV_MOVE_SQUARE 8

/* move_copy: dst[dst_start + sum c*dst_strides] = src[src_start + sum c*src_strides] for all c. */
typedef struct clv_move_copy_params {
    clv_i64 src_start, dst_start;
    clv_u32 total; /* product of dims */
    clv_u32 chunk; /* elements an item */
    clv_u32 element_bytes;
    clv_u32 num_dims; /* at least 2 */
    clv_u32 dims[CLV_MOVE_MAX_DIMS];
    clv_i32 src_strides[CLV_MOVE_MAX_DIMS]; /* negative and 0 too */
    clv_i32 dst_strides[CLV_MOVE_MAX_DIMS];
} clv_move_copy_params;

/* move_tiles: the same, where the last dimension (b) has src stride 1 and the one before (a) has
 * dst stride 1. Those two are cut into blocks of `block` x `block`; an item does `chunk` of them.
 */
typedef struct clv_move_tiles_params {
    clv_i64 src_start, dst_start;
    clv_u32 num_blocks; /* outer dims x blocks of a x blocks of b */
    clv_u32 chunk;
    clv_u32 element_bytes;
    clv_u32 num_dims;
    clv_u32 block; /* a multiple of CLV_MOVE_SQUARE */
    clv_u32 blocks_a, blocks_b;
    clv_u32 reserved;
    clv_u32 dims[CLV_MOVE_MAX_DIMS];
    clv_i32 src_strides[CLV_MOVE_MAX_DIMS];
    clv_i32 dst_strides[CLV_MOVE_MAX_DIMS];
} clv_move_tiles_params;

#define CLV_PAD_CONSTANT 0
#define CLV_PAD_REFLECT 1
#define CLV_PAD_EDGE 2
#define CLV_PAD_WRAP 3

/* move_pad: out[c] = src[src_start + sum map(c[d] - before[d], in_dims[d]) * src_strides[d]] */
typedef struct clv_move_pad_params {
    clv_i64 src_start;
    clv_u32 total; /* elements of the output */
    clv_u32 chunk;
    clv_u32 element_bytes;
    clv_u32 num_dims; /* at least 1 */
    clv_u32 mode;
    clv_u32 has_value; /* else the constant is 0 */
    clv_u32 out_dims[8];
    clv_u32 in_dims[8];
    clv_i32 before[8]; /* elements put in front, >= 0 */
    clv_i32 src_strides[8];
} clv_move_pad_params;

#endif
