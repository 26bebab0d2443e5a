#include "kernels_cl/blocked/blocked.h"

#include "kernels_cl/blocked/reorder_params.h"

extern const clv_kernel_source clv_source_reorder;

void clv_blocked_from_extents(
    const clv_layout_extents *extents, uint32_t gap_rows, clv_blocked *out) {
    *out = (clv_blocked){
        .image = (clv_u64)extents->image,
        .plane = (clv_u32)extents->plane,
        .row = (clv_u32)extents->row,
        .lead = (clv_u32)extents->lead,
        .height = (clv_u32)extents->height,
        .width = (clv_u32)extents->width,
        .gap_rows = gap_rows,
        .planes = (clv_u32)extents->planes,
    };
}

void clv_blocked_from_view(const clv_view *view, clv_blocked *out) {
    clv_layout_extents extents;
    clv_layout_extents_of(&view->shape, &view->layout, &extents);
    clv_blocked_from_extents(&extents, view->layout.gap_y, out);
}

clv_status *clv_reorder_emit(
    const clv_view *from, const clv_view *to, clv_arg from_arg, clv_arg to_arg,
    const clv_traits *traits, const clv_emitter *emitter) {
    bool from_blocked = clv_layout_is_blocked(&from->layout);
    bool to_blocked = clv_layout_is_blocked(&to->layout);
    clv_layout_extents e;
    clv_layout_extents_of(&to->shape, from_blocked ? &from->layout : &to->layout, &e);
    reorder_params p = {
        .channels = (clv_u32)to->shape.dims[1],
        .height = (clv_u32)e.height,
        .width = (clv_u32)e.width,
        .images = (clv_u32)e.images,
    };
    if (from_blocked) {
        clv_blocked_from_view(from, &p.from);
    }
    if (to_blocked) {
        clv_blocked_from_view(to, &p.to);
    }
    uint64_t rows = (uint64_t)(e.images * e.planes * e.height);
    clv_deal_rows(traits, rows, (uint64_t)e.row, &p.rows);
    p.rows = p.rows < p.height ? p.rows : p.height;
    p.row_blocks = (p.height + p.rows - 1) / p.rows;
    clv_launch launch = {
        .source = &clv_source_reorder,
        .entry = !to_blocked    ? "reorder_plain"
                 : from_blocked ? "reorder_gap"
                                : "reorder_block",
        .options = clv_width_options(traits),
        .args = {from_arg, to_arg},
        .num_args = 2,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = (uint64_t)(e.images * e.planes) * p.row_blocks,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}
