/* What the operators that move elements share: walking coordinates, costs without arithmetic,
 * splits along axes that an operator leaves alone. For files of this folder.
 */
#ifndef CLV_OPS_MOVES_H
#define CLV_OPS_MOVES_H

#include "host/ops/op.h"

/* Steps `coords` through `shape`, last axis fastest; false after the last. Start at all 0 and only
 * where the shape has elements. */
bool clv_coords_next(const clv_shape *shape, int64_t coords[CLV_MAX_RANK]);

/* sum coords[i] * strides[i] over `rank` axes. */
int64_t clv_coords_offset(const int64_t *coords, const int64_t *strides, int rank);

/* Copies element `from` of `src` to element `to` of `dst`; both of `element_bytes`. */
void clv_element_copy(void *dst, int64_t to, const void *src, int64_t from, size_t element_bytes);

/* Every element of the outputs is read once and written once; no arithmetic. */
void clv_cost_move(const clv_call *call, clv_cost *out_cost);

/* "axis 0", ... */
const char *clv_axis_name(int axis);

/* A split of output 0 along `axis`, where piece [begin, end) needs the same positions of axis
 * `input_axis` of input 0 and all of the others. Nothing where there are fewer than two positions.
 */
clv_status *clv_split_add_slice(
    clv_split_list *list, clv_arena *arena, const clv_call *call, int axis, int input_axis,
    clv_split **out_split) CLV_CHECKED;

/* Marks the axes that `values` names, negative ones counted from the end. MALFORMED where one is
 * out of range or named twice; `what` names the list. */
clv_status *clv_infer_axes(
    const int64_t *values, size_t count, int rank, const char *what,
    bool out_has[CLV_MAX_RANK]) CLV_CHECKED;

/* Rank of input `index` is at least `minimum` and at most `maximum`. */
clv_status *clv_infer_rank(const clv_infer *infer, size_t index, int minimum, int maximum)
    CLV_CHECKED;

/* MALFORMED unless input `index` is int32 or int64. */
clv_status *clv_infer_index_type(const clv_infer *infer, size_t index) CLV_CHECKED;

#endif
