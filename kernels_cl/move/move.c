#include "kernels_cl/move/move.h"

extern const clv_kernel_source clv_source_move;

/* --- strided copies --- */

static int64_t magnitude(int64_t value) {
    return value < 0 ? -value : value;
}

static void sort_by_destination(clv_move_copy *copy) {
    for (int i = 1; i < copy->num_dims; i++) {
        const clv_move_dim dim = copy->dims[i];
        int at = i;
        for (; at > 0 && copy->dims[at - 1].dst_stride < dim.dst_stride; at--) {
            copy->dims[at] = copy->dims[at - 1];
        }
        copy->dims[at] = dim;
    }
}

/* Drops dimensions of 1, puts the destination's order, joins neighbours that are one run on both
 * sides. False where there is nothing to copy. */
static bool collapse(clv_move_copy *copy) {
    int kept = 0;
    for (int i = 0; i < copy->num_dims; i++) {
        if (copy->dims[i].extent == 0) {
            return false;
        }
        if (copy->dims[i].extent != 1) {
            copy->dims[kept++] = copy->dims[i];
        }
    }
    copy->num_dims = kept;
    sort_by_destination(copy);
    kept = 0;
    for (int i = 0; i < copy->num_dims; i++) {
        const clv_move_dim *dim = &copy->dims[i];
        clv_move_dim *last = kept > 0 ? &copy->dims[kept - 1] : NULL;
        if (last != NULL && last->dst_stride == dim->dst_stride * dim->extent &&
            last->src_stride == dim->src_stride * dim->extent) {
            last->extent *= dim->extent;
            last->src_stride = dim->src_stride;
            last->dst_stride = dim->dst_stride;
        } else {
            copy->dims[kept++] = *dim;
        }
    }
    copy->num_dims = kept;
    return true;
}

/* The dimension with the smallest source stride that is not 0, or -1. */
static int nearest_in_source(const clv_move_copy *copy) {
    int best = -1;
    for (int i = 0; i < copy->num_dims; i++) {
        const int64_t stride = magnitude(copy->dims[i].src_stride);
        if (stride != 0 && (best < 0 || stride < magnitude(copy->dims[best].src_stride))) {
            best = i;
        }
    }
    return best;
}

static void move_to_end(clv_move_copy *copy, int index) {
    const clv_move_dim dim = copy->dims[index];
    for (int i = index; i + 1 < copy->num_dims; i++) {
        copy->dims[i] = copy->dims[i + 1];
    }
    copy->dims[copy->num_dims - 1] = dim;
}

typedef struct move_kernel {
    const char *entry, *options;
    uint32_t params_bytes;
} move_kernel;
static const move_kernel copy_kernel = {"move_copy", "-DCLV_ONLY=1", sizeof(clv_move_copy_params)};
static const move_kernel tiles_kernel = {
    "move_tiles", "-DCLV_ONLY=2", sizeof(clv_move_tiles_params)};

static clv_status *emit_launch(
    const clv_move_copy *copy, const clv_traits *traits, const clv_emitter *emitter,
    const move_kernel *kernel, const void *params, uint64_t num_items) {
    const clv_launch launch = {
        .source = &clv_source_move,
        .entry = kernel->entry,
        .options = kernel->options,
        .args = {copy->src, copy->dst},
        .num_args = 2,
        .params = params,
        .params_bytes = kernel->params_bytes,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static clv_status *emit_strided(
    const clv_move_copy *copy, const clv_traits *traits, const clv_emitter *emitter) {
    clv_move_copy_params params = {
        .src_start = copy->src_start,
        .dst_start = copy->dst_start,
        .element_bytes = (uint32_t)copy->element_bytes,
        .total = 1,
    };
    /* the kernel has two inner loops: outer dimensions of 1 make up for missing ones */
    const int missing = copy->num_dims < 2 ? 2 - copy->num_dims : 0;
    params.num_dims = (uint32_t)(copy->num_dims + missing);
    for (int i = 0; i < missing; i++) {
        params.dims[i] = 1;
    }
    for (int i = 0; i < copy->num_dims; i++) {
        params.dims[missing + i] = (uint32_t)copy->dims[i].extent;
        params.src_strides[missing + i] = (int32_t)copy->dims[i].src_stride;
        params.dst_strides[missing + i] = (int32_t)copy->dims[i].dst_stride;
        params.total *= (uint32_t)copy->dims[i].extent;
    }
    if (copy->num_dims == 0) { /* one element: strides do not matter, but the run is contiguous */
        params.src_strides[1] = params.dst_strides[1] = 1;
    }
    uint64_t num_items;
    clv_deal(traits, params.total, CLV_MOVE_CPU_CHUNK, &params.chunk, &num_items);
    return emit_launch(copy, traits, emitter, &copy_kernel, &params, num_items);
}

static clv_status *emit_tiles(
    const clv_move_copy *copy, const clv_traits *traits, const clv_emitter *emitter) {
    const int a = copy->num_dims - 2, b = a + 1;
    clv_move_tiles_params params = {
        .src_start = copy->src_start,
        .dst_start = copy->dst_start,
        .element_bytes = (uint32_t)copy->element_bytes,
        .num_dims = (uint32_t)copy->num_dims,
        .num_blocks = 1,
        .chunk = 1,
        .block = CLV_MOVE_SQUARE,
    };
    if (traits->is_cpu) { /* a cache line of 64 bytes a row: whole lines on both sides */
        params.block = (uint32_t)(64 / copy->element_bytes);
    }
    for (int i = 0; i < copy->num_dims; i++) {
        params.dims[i] = (uint32_t)copy->dims[i].extent;
        params.src_strides[i] = (int32_t)copy->dims[i].src_stride;
        params.dst_strides[i] = (int32_t)copy->dims[i].dst_stride;
        params.num_blocks *= i < a ? params.dims[i] : 1;
    }
    params.blocks_a = (params.dims[a] + params.block - 1) / params.block;
    params.blocks_b = (params.dims[b] + params.block - 1) / params.block;
    params.num_blocks *= params.blocks_a * params.blocks_b;
    const uint32_t block_elements = params.block * params.block;
    uint64_t num_items = params.num_blocks;
    if (traits->is_cpu) {
        uint32_t chunk;
        clv_deal(
            traits, (uint64_t)params.num_blocks * block_elements, CLV_MOVE_CPU_CHUNK, &chunk,
            &num_items);
        params.chunk = (chunk + block_elements - 1) / block_elements;
        num_items = (params.num_blocks + params.chunk - 1) / params.chunk;
    }
    return emit_launch(copy, traits, emitter, &tiles_kernel, &params, num_items);
}

clv_status *clv_move_emit(
    const clv_move_copy *copy, const clv_traits *traits, const clv_emitter *emitter) {
    clv_move_copy plan = *copy;
    if (!collapse(&plan)) {
        return NULL;
    }
    const int a = plan.num_dims - 1, b = nearest_in_source(&plan);
    if (b < 0 || b == a) {
        return emit_strided(&plan, traits, emitter);
    }
    const clv_move_dim dim_a = plan.dims[a], dim_b = plan.dims[b];
    if (dim_a.extent >= CLV_MOVE_SQUARE && dim_b.extent >= CLV_MOVE_SQUARE &&
        dim_a.dst_stride == 1 && dim_a.src_stride != 0 && dim_b.src_stride == 1) {
        move_to_end(&plan, b);
        return emit_tiles(&plan, traits, emitter);
    }
    if (dim_b.extent > dim_a.extent) {
        move_to_end(&plan, b); /* the longer run in the inner loop */
    }
    return emit_strided(&plan, traits, emitter);
}

/* --- operators as strided copies --- */

static void strides_of(const clv_view *view, int64_t out_strides[CLV_MAX_RANK]) {
    clv_shape_strides(&view->shape, out_strides);
}

static void add_dim(clv_move_copy *copy, int64_t extent, int64_t src_stride, int64_t dst_stride) {
    copy->dims[copy->num_dims++] = (clv_move_dim){extent, src_stride, dst_stride};
}

static clv_move_copy copy_between(
    const clv_call *call, uint32_t input_index, uint32_t output_index) {
    return (clv_move_copy){
        .src = {CLV_ARG_INPUT, input_index},
        .dst = {CLV_ARG_OUTPUT, output_index},
        .element_bytes = clv_dtype_bytes(call->outputs[output_index].dtype),
    };
}

/* One output element for one input element or several: Transpose, Slice, Expand, Tile. */
static clv_move_copy copy_of_axes(const clv_call *call, const clv_move_op *op) {
    clv_move_copy copy = copy_between(call, 0, 0);
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    int64_t src[CLV_MAX_RANK], dst[CLV_MAX_RANK];
    strides_of(&call->inputs[0], src);
    strides_of(&call->outputs[0], dst);
    for (int i = 0; i < out->rank; i++) {
        int64_t extent = out->dims[i];
        const int same = i - (out->rank - in->rank); /* Expand: the input's axis, perhaps none */
        switch (op->kind) {
        case CLV_MOVE_TRANSPOSE:
            add_dim(&copy, extent, src[op->axes[i]], dst[i]);
            break;
        case CLV_MOVE_SLICE:
            copy.src_start += extent == 0 ? 0 : op->starts[i] * src[i];
            add_dim(&copy, extent, extent < 2 ? 0 : op->steps[i] * src[i], dst[i]);
            break;
        case CLV_MOVE_EXPAND:
            add_dim(&copy, extent, same < 0 || in->dims[same] == 1 ? 0 : src[same], dst[i]);
            break;
        default: /* Tile */
            if (in->dims[i] == 0) {
                add_dim(&copy, 0, 0, 0);
                break;
            }
            add_dim(&copy, extent / in->dims[i], 0, dst[i] * in->dims[i]);
            add_dim(&copy, in->dims[i], src[i], dst[i]);
        }
    }
    return copy;
}

/* The part of the joined side at `start` of `axis`, and all of the other side. */
static clv_status *emit_join(
    const clv_call *call, const clv_move_op *op, uint32_t index, int64_t start,
    const clv_traits *traits, const clv_emitter *emitter) {
    const bool concat = op->kind == CLV_MOVE_CONCAT;
    clv_move_copy copy = copy_between(call, concat ? index : 0, concat ? 0 : index);
    const clv_view *src_view = &call->inputs[copy.src.index];
    const clv_view *dst_view = &call->outputs[copy.dst.index];
    const clv_shape *part = concat ? &src_view->shape : &dst_view->shape;
    int64_t src[CLV_MAX_RANK], dst[CLV_MAX_RANK];
    strides_of(src_view, src);
    strides_of(dst_view, dst);
    for (int i = 0; i < part->rank; i++) {
        add_dim(&copy, part->dims[i], src[i], dst[i]);
    }
    if (concat) {
        copy.dst_start = start * dst[op->axis];
    } else {
        copy.src_start = start * src[op->axis];
    }
    return clv_move_emit(&copy, traits, emitter);
}

static clv_status *emit_joins(
    const clv_call *call, const clv_move_op *op, const clv_traits *traits,
    const clv_emitter *emitter) {
    const bool concat = op->kind == CLV_MOVE_CONCAT;
    const size_t num_parts = concat ? call->num_inputs : call->num_outputs;
    int64_t start = 0;
    for (size_t i = 0; i < num_parts; i++) {
        const clv_view *part = concat ? &call->inputs[i] : &call->outputs[i];
        if (concat || part->dtype != CLV_DTYPE_NONE) {
            const int64_t at = concat ? start : op->part_starts[i];
            CLV_TRY(emit_join(call, op, (uint32_t)i, at, traits, emitter));
        }
        start += concat ? part->shape.dims[op->axis] : 0;
    }
    return NULL;
}

/* [N, C, H, W] with C (or, going back, H and W) split by the block; in the order of the output. */
static clv_move_copy copy_of_blocks(const clv_call *call, const clv_move_op *op) {
    clv_move_copy copy = copy_between(call, 0, 0);
    const bool to_space = op->kind == CLV_MOVE_DEPTH_TO_SPACE;
    const clv_shape *deep = to_space ? &call->inputs[0].shape : &call->outputs[0].shape;
    const int64_t block = op->block;
    const int64_t channels = deep->dims[1] / (block * block);
    const int64_t rows = deep->dims[2], columns = deep->dims[3];
    /* strides of (n, c, block row, block column, h, w) on the deep and on the wide side */
    const int64_t plane = rows * columns;
    const bool column_first = op->column_first;
    const int64_t deep_c = column_first ? block * block * plane : plane;
    const int64_t deep_y = (column_first ? block : block * channels) * plane;
    const int64_t deep_x = (column_first ? 1 : channels) * plane;
    const int64_t wide_plane = plane * block * block, wide_row = columns * block;
    const int64_t extents[6] = {deep->dims[0], channels, block, block, rows, columns};
    const int64_t deep_strides[6] = {deep->dims[1] * plane, deep_c, deep_y, deep_x, columns, 1};
    const int64_t wide_strides[6] = {channels * wide_plane, wide_plane, wide_row, 1,
                                     wide_row * block,      block};
    for (int i = 0; i < 6; i++) {
        add_dim(
            &copy, extents[i], to_space ? deep_strides[i] : wide_strides[i],
            to_space ? wide_strides[i] : deep_strides[i]);
    }
    return copy;
}

static clv_status *emit_move(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_move_op *op = call->params;
    clv_move_copy copy;
    switch (op->kind) {
    case CLV_MOVE_CONCAT:
    case CLV_MOVE_SPLIT:
        return emit_joins(call, op, traits, emitter);
    case CLV_MOVE_DEPTH_TO_SPACE:
    case CLV_MOVE_SPACE_TO_DEPTH:
        copy = copy_of_blocks(call, op);
        break;
    case CLV_MOVE_PAD:
        return clv_move_emit_pad(call, traits, emitter);
    default:
        copy = copy_of_axes(call, op);
    }
    return clv_move_emit(&copy, traits, emitter);
}

static const clv_variant move_variants[] = {
    {
        .name = "ref",
        .summary = "strided copy with collapsed dimensions; transposes in squares of 8 x 8",
        .emit = emit_move,
    },
    {
        .name = "blocked",
        .summary =
            "CPUs, channels in blocks: Concat and Split along channels or rows, Slice of rows",
        .fits = clv_move_blocked_fits,
        .layouts = clv_move_blocked_layouts,
        .emit = clv_move_blocked_emit,
    },
};

const clv_kernel_family clv_kernels_move = {
    .name = "move",
    .variants = move_variants,
    .num_variants = sizeof move_variants / sizeof move_variants[0],
};
