/* How a tensor lies in device memory (docs/layouts.md): plain, or with channels in blocks. */
#ifndef CLV_IR_LAYOUT_H
#define CLV_IR_LAYOUT_H

#include "host/ir/tensor.h"

/* A blocked map [N, C, H, W] (or [N, C, W]) in elements. */
typedef struct clv_layout_extents {
    int64_t images, planes;    /* planes: blocks of channels of an image */
    int64_t height, width;     /* without gaps */
    int64_t row, plane, image; /* distances, gaps counted */
    int64_t lead;              /* zeros in front of the first plane */
    int64_t total;             /* lead and all images */
} clv_layout_extents;

/* What a kernel may read, and never write, behind the last image: a register tile at stride 2. */
enum { CLV_LAYOUT_SLACK = 64 }; /* positions */

static inline bool clv_layout_is_blocked(const clv_layout *layout) {
    return layout->block != 0;
}
bool clv_layout_equal(const clv_layout *a, const clv_layout *b);
/* Whether a tensor can be blocked: float32, rank 3 or 4, and indices that fit. */
bool clv_layout_fits(clv_dtype dtype, const clv_shape *shape, const clv_layout *layout);
/* Of a tensor that can be. */
void clv_layout_extents_of(
    const clv_shape *shape, const clv_layout *layout, clv_layout_extents *out_extents);
/* Device memory of a tensor in its layout, slack counted. */
size_t clv_layout_bytes(clv_dtype dtype, const clv_shape *shape, const clv_layout *layout);
/* True where both layouts put every element at the same place and neither has zeros around: maps of
 * one position whose channels fill their blocks. */
bool clv_layout_is_same_memory(const clv_shape *shape, const clv_layout *a, const clv_layout *b);

/* Host copies between plain and blocked memory (clv_layout_bytes); pack writes the zeros too. */
void clv_layout_pack(
    const clv_shape *shape, const clv_layout *layout, const void *plain, void *out_blocked);
void clv_layout_unpack(
    const clv_shape *shape, const clv_layout *layout, const void *blocked, void *out_plain);

#endif
