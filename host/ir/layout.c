#include "host/ir/layout.h"

#include <string.h>

bool clv_layout_equal(const clv_layout *a, const clv_layout *b) {
    return a->block == b->block && a->gap_y == b->gap_y && a->gap_x == b->gap_x;
}

void clv_layout_extents_of(
    const clv_shape *shape, const clv_layout *layout, clv_layout_extents *out_extents) {
    clv_layout_extents *e = out_extents;
    int64_t block = layout->block;
    *e = (clv_layout_extents){
        .images = shape->dims[0],
        .planes = (shape->dims[1] + block - 1) / block,
        .height = shape->rank == 4 ? shape->dims[2] : 1,
        .width = shape->dims[shape->rank - 1],
    };
    e->row = (e->width + layout->gap_x) * block;
    e->plane = (e->height + layout->gap_y) * e->row;
    e->image = e->planes * e->plane;
    e->lead = layout->gap_y * e->row + layout->gap_x * block;
    e->total = e->lead + e->images * e->image;
}

bool clv_layout_fits(clv_dtype dtype, const clv_shape *shape, const clv_layout *layout) {
    if (dtype != CLV_FLOAT32 || (shape->rank != 3 && shape->rank != 4)) {
        return false;
    }
    double total = layout->block;
    for (int i = 0; i < shape->rank; i++) {
        double extent = (double)shape->dims[i];
        extent = i == 1 ? (extent + layout->block - 1) / layout->block : extent;
        total *= extent + (i >= 2 ? UINT8_MAX : 0);
    }
    return clv_shape_elements(shape) > 0 && total < (double)CLV_MAX_ELEMENTS;
}

size_t clv_layout_bytes(clv_dtype dtype, const clv_shape *shape, const clv_layout *layout) {
    if (!clv_layout_is_blocked(layout)) {
        return clv_view_bytes(dtype, shape);
    }
    clv_layout_extents e;
    clv_layout_extents_of(shape, layout, &e);
    return (size_t)(e.total + CLV_LAYOUT_SLACK * layout->block) * clv_dtype_bytes(dtype);
}

bool clv_layout_is_same_memory(const clv_shape *shape, const clv_layout *a, const clv_layout *b) {
    const clv_layout *blocked = clv_layout_is_blocked(a) ? a : b;
    if (clv_layout_equal(a, b)) {
        return true;
    }
    if (clv_layout_is_blocked(a) && clv_layout_is_blocked(b)) {
        return false;
    }
    return blocked->gap_x == 0 && blocked->gap_y == 0 && shape->dims[1] % blocked->block == 0 &&
           clv_shape_product(shape, 2, shape->rank) == 1;
}

/* Where the row (n, c, y) of channel c begins in blocked memory. */
static int64_t row_offset(
    const clv_layout_extents *e, int64_t block, int64_t n, int64_t c, int64_t y) {
    return e->lead + n * e->image + c / block * e->plane + y * e->row + c % block;
}

void clv_layout_pack(
    const clv_shape *shape, const clv_layout *layout, const void *plain, void *out_blocked) {
    clv_layout_extents e;
    clv_layout_extents_of(shape, layout, &e);
    const float *from = plain;
    float *to = out_blocked;
    memset(to, 0, (size_t)e.total * sizeof *to);
    for (int64_t n = 0; n < e.images; n++) {
        for (int64_t c = 0; c < shape->dims[1]; c++) {
            for (int64_t y = 0; y < e.height; y++) {
                float *row = to + row_offset(&e, layout->block, n, c, y);
                for (int64_t x = 0; x < e.width; x++) {
                    memcpy(&row[x * layout->block], from++, sizeof *from);
                }
            }
        }
    }
}

void clv_layout_unpack(
    const clv_shape *shape, const clv_layout *layout, const void *blocked, void *out_plain) {
    clv_layout_extents e;
    clv_layout_extents_of(shape, layout, &e);
    const float *from = blocked;
    float *to = out_plain;
    for (int64_t n = 0; n < e.images; n++) {
        for (int64_t c = 0; c < shape->dims[1]; c++) {
            for (int64_t y = 0; y < e.height; y++) {
                const float *row = from + row_offset(&e, layout->block, n, c, y);
                for (int64_t x = 0; x < e.width; x++) {
                    memcpy(to++, &row[x * layout->block], sizeof *to);
                }
            }
        }
    }
}
