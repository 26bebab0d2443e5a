/* Host side of the kernels that move elements: what the operators of the family keep as params, and
 * a strided copy that other families may use.
 */
#ifndef CLV_KERNELS_MOVE_H
#define CLV_KERNELS_MOVE_H

#include "kernels_cl/kernel.h"
#include "kernels_cl/move/move_params.h"

/* Elements an item on a CPU: 64 KiB of floats, some ten microseconds of copying. */
enum { CLV_MOVE_CPU_CHUNK = 16384 };

typedef enum clv_move_kind {
    CLV_MOVE_TRANSPOSE,      /* axes[i]: input axis that output axis i is */
    CLV_MOVE_SLICE,          /* starts[i], steps[i] for every axis */
    CLV_MOVE_EXPAND,         /* NumPy broadcasting to the output's shape */
    CLV_MOVE_TILE,           /* an output dim is a multiple of the input's */
    CLV_MOVE_CONCAT,         /* axis */
    CLV_MOVE_SPLIT,          /* axis, part_starts */
    CLV_MOVE_DEPTH_TO_SPACE, /* block; column_first: CRD, else DCR */
    CLV_MOVE_SPACE_TO_DEPTH, /* block, column_first */
    CLV_MOVE_PAD,            /* mode, before, after, value or has_value */
} clv_move_kind;

/* Params of every operator of the family. Extents come from the call's shapes, so the params hold
 * for a piece along any axis that the operator leaves alone. */
typedef struct clv_move_op {
    clv_move_kind kind;
    int axis;
    int64_t block;
    bool column_first;
    uint32_t mode;  /* CLV_PAD_CONSTANT, ... */
    bool has_value; /* PAD: input 2 is the value of the border, else `value` is */
    double value;
    int axes[CLV_MAX_RANK];
    int64_t starts[CLV_MAX_RANK], steps[CLV_MAX_RANK];
    int64_t before[CLV_MAX_RANK], after[CLV_MAX_RANK]; /* of a border; negative: cut off */
    const int64_t *part_starts; /* SPLIT: [num_outputs], where along `axis` each begins */
} clv_move_op;

/* One dimension of a strided copy; strides in elements. */
typedef struct clv_move_dim {
    int64_t extent, src_stride, dst_stride;
} clv_move_dim;

typedef struct clv_move_copy {
    clv_arg src, dst;
    size_t element_bytes;
    int64_t src_start, dst_start; /* elements */
    clv_move_dim dims[CLV_MOVE_MAX_DIMS];
    int num_dims;
} clv_move_copy;

/* Launches move_copy or move_tiles; nothing where an extent is 0. Source and destination do not
 * overlap, no two elements have one destination. */
clv_status *clv_move_emit(
    const clv_move_copy *copy, const clv_traits *traits, const clv_emitter *emitter) CLV_CHECKED;

/* move_blocked.c */
bool clv_move_blocked_fits(const clv_call *call, const clv_traits *traits);
void clv_move_blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
clv_status *clv_move_blocked_emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) CLV_CHECKED;

/* The launch of CLV_MOVE_PAD (move_pad.c). */
clv_status *clv_move_emit_pad(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) CLV_CHECKED;

#endif
