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

bool clv_blocked_by_rows(
    const clv_traits *traits, int64_t rows, double weight_bytes, double moved_bytes) {
    const int64_t lanes = traits->num_lanes;
    return lanes > 1 && rows >= 6 * lanes && 2 * weight_bytes <= moved_bytes;
}

uint64_t clv_deal_map(
    const clv_traits *traits, int64_t images, uint32_t planes, uint32_t height, uint64_t row_work,
    clv_row_deal *out_deal) {
    clv_row_deal deal = {.planes = planes, .height = height};
    deal.by_rows = clv_blocked_by_rows(traits, height, 0, 1);
    clv_deal_rows(traits, (uint64_t)images * planes * height, row_work, &deal.rows);
    if (deal.by_rows) { /* no block has rows of two lanes */
        const uint32_t of_lane = (height + traits->num_lanes - 1) / traits->num_lanes;
        const uint32_t blocks = (of_lane + deal.rows - 1) / deal.rows;
        deal.rows = (of_lane + blocks - 1) / blocks;
    }
    deal.rows = deal.rows < height ? deal.rows : height;
    deal.row_blocks = (height + deal.rows - 1) / deal.rows;
    *out_deal = deal;
    return (uint64_t)images * planes * deal.row_blocks;
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
    };
    if (from_blocked) {
        clv_blocked_from_view(from, &p.from);
    }
    if (to_blocked) {
        clv_blocked_from_view(to, &p.to);
    }
    uint64_t num_items = clv_deal_map(
        traits, e.images, (uint32_t)e.planes, (uint32_t)e.height, (uint64_t)e.row, &p.deal);
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
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}
