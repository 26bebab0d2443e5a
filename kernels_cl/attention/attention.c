/* The family of HeadAttention. attention.cl tells how. */
#include "kernels_cl/attention/attention.h"

#include "kernels_cl/attention/attention_params.h"
#include "kernels_cl/kernel.h"

extern const clv_kernel_source clv_source_attention;

int clv_attention_row_axis(const clv_shape *shape, bool by_row) {
    return shape->rank != 4 || by_row ? 1 : 2;
}

int clv_attention_head_axis(const clv_shape *shape, bool by_row) {
    return shape->rank == 3 ? -1 : shape->rank == 5 ? 3 : by_row ? 2 : 1;
}

static clv_attention_operand operand_of(const clv_shape *shape, bool by_row, int32_t part) {
    int64_t strides[CLV_MAX_RANK];
    clv_shape_strides(shape, strides);
    int head_axis = clv_attention_head_axis(shape, by_row);
    return (clv_attention_operand){
        .first = shape->rank == 5 ? part * strides[2] : 0,
        .batch = strides[0],
        .head = head_axis < 0 ? 0 : strides[head_axis],
        .row = strides[clv_attention_row_axis(shape, by_row)],
    };
}

static int64_t heads_of(const clv_shape *shape, bool by_row) {
    int axis = clv_attention_head_axis(shape, by_row);
    return axis < 0 ? 1 : shape->dims[axis];
}

/* The mask is broadcast to [batch, heads, rows, keys], or without heads where q has none. */
static void set_mask(const clv_call *call, clv_attention_shape *shape) {
    const clv_shape *mask = &call->inputs[3].shape;
    int64_t strides[CLV_MAX_RANK];
    clv_shape_strides(mask, strides);
    shape->has_mask = true;
    const bool has_heads = call->inputs[0].shape.rank != 3;
    for (int axis = mask->rank - 1, to = 3; axis >= 0 && to >= 0; axis--, to--) {
        to = to == 1 && !has_heads ? 0 : to;
        shape->mask[to] = mask->dims[axis] == 1 ? 0 : strides[axis];
    }
}

void clv_attention_shape_of(const clv_call *call, clv_attention_shape *out_shape) {
    const clv_attention_params *op = call->params;
    const clv_shape *q = &call->inputs[0].shape, *k = &call->inputs[1].shape;
    const clv_shape *v = &call->inputs[2].shape;
    *out_shape = (clv_attention_shape){
        .batch = q->dims[0],
        .heads = heads_of(q, op->q_by_row != 0),
        .rows = q->dims[clv_attention_row_axis(q, op->q_by_row != 0)],
        .keys = k->dims[clv_attention_row_axis(k, op->k_by_row != 0)],
        .size = q->dims[q->rank - 1],
        .value_size = v->dims[v->rank - 1],
        .q = operand_of(q, op->q_by_row != 0, op->q_part),
        .k = operand_of(k, op->k_by_row != 0, op->k_part),
        .v = operand_of(v, op->v_by_row != 0, op->v_part),
        .out = operand_of(&call->outputs[0].shape, op->out_by_row != 0, 0),
    };
    int64_t shared = heads_of(k, op->k_by_row != 0);
    out_shape->group = shared > 0 ? out_shape->heads / shared : 1;
    if (clv_call_has_input(call, 3)) {
        set_mask(call, out_shape);
    }
}

static attention_strides strides_of(const clv_attention_operand *operand) {
    return (attention_strides){
        .first = (clv_u64)operand->first,
        .batch = (clv_u64)operand->batch,
        .head = (clv_u64)operand->head,
        .row = (clv_u64)operand->row,
    };
}

static void fill_params(
    const clv_call *call, const clv_attention_shape *shape, attention_params *p) {
    const clv_attention_params *op = call->params;
    *p = (attention_params){
        .q = strides_of(&shape->q),
        .k = strides_of(&shape->k),
        .v = strides_of(&shape->v),
        .out = strides_of(&shape->out),
        .mask_batch = (clv_u64)shape->mask[0],
        .mask_head = (clv_u64)shape->mask[1],
        .mask_row = (clv_u64)shape->mask[2],
        .mask_key = (clv_u64)shape->mask[3],
        .heads = (clv_u32)shape->heads,
        .group = (clv_u32)shape->group,
        .rows = (clv_u32)shape->rows,
        .keys = (clv_u32)shape->keys,
        .size = (clv_u32)shape->size,
        .value_size = (clv_u32)shape->value_size,
        .has_mask = shape->has_mask,
        .nan_is_zero = (clv_u32)op->nan_is_zero,
        .scale = op->scale,
    };
}

static clv_status *emit_attention(
    const clv_traits *traits, const clv_emitter *emitter, const char *entry,
    const attention_params *p, clv_arg mask, uint64_t num_items) {
    clv_launch launch = {
        .source = &clv_source_attention,
        .entry = entry,
        .options = clv_width_options(traits),
        .args =
            {{CLV_ARG_INPUT, 0}, {CLV_ARG_INPUT, 1}, {CLV_ARG_INPUT, 2}, mask, {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = p,
        .params_bytes = sizeof *p,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    clv_attention_shape shape;
    attention_params p;
    if (clv_shape_elements(&call->outputs[0].shape) == 0) {
        return NULL;
    }
    clv_attention_shape_of(call, &shape);
    fill_params(call, &shape, &p);
    const clv_arg mask = {p.has_mask ? CLV_ARG_INPUT : CLV_ARG_NONE, 3};
    const uint64_t num_items = (uint64_t)(shape.batch * shape.heads * shape.rows);
    return emit_attention(traits, emitter, "attention", &p, mask, num_items);
}

/* --- tiles ----------------------------------------------------------------------------------- */

static int64_t block_rows(const clv_traits *traits) {
    return ATTENTION_VECTORS * (int64_t)clv_width(traits);
}

static bool tile_fits(const clv_call *call, const clv_traits *traits) {
    clv_attention_shape shape;
    clv_attention_shape_of(call, &shape);
    return traits->is_cpu && shape.size <= ATTENTION_SIZE && shape.value_size <= ATTENTION_SIZE;
}

static bool tile_pays(const clv_call *call, const clv_traits *traits) {
    clv_attention_shape shape;
    clv_attention_shape_of(call, &shape);
    return shape.rows >= block_rows(traits) / 4;
}

/* Each lane's rows apart, as the operators around share them, where vectors of rows are about as
 * full then; else in whole blocks. */
static void deal_rows(
    const clv_attention_shape *shape, const clv_traits *traits, attention_params *p) {
    const int64_t block = block_rows(traits), vector = block / ATTENTION_VECTORS;
    const int64_t lanes = traits->num_lanes != 0 ? traits->num_lanes : 1;
    int64_t own = (int64_t)clv_rows_of_lane(traits, (uint64_t)shape->rows);
    const int64_t vectors = (own + vector - 1) / vector * lanes;
    if (shape->batch > 1 || vectors * 8 > (shape->rows + vector - 1) / vector * 9) {
        const int64_t blocks = (shape->rows + block - 1) / block;
        own = (blocks + lanes - 1) / lanes * block;
    }
    const int64_t whole = shape->rows / own, rest = shape->rows % own;
    p->part_rows = (clv_u32)own;
    p->part_blocks = (clv_u32)((own + block - 1) / block);
    p->row_blocks = (clv_u32)(whole * p->part_blocks + (rest + block - 1) / block);
}

/* A constant mask up to this size is turned once, when a session is made. */
enum { CONSTANT_MASK_BYTES = 1 << 20 };

/* args: planes, rows, keys, padded rows. */
static void fill_mask(const clv_call *call, const int64_t args[8], void *out_packed) {
    const int64_t rows = args[1], keys = args[2], padded = args[3];
    float *to = out_packed;
    for (int64_t plane = 0; plane < args[0]; plane++) {
        for (int64_t t = 0; t < keys; t++, to += padded) {
            for (int64_t row = 0; row < padded; row++) {
                const int64_t at = (plane * rows + row) * keys + t;
                to[row] = row < rows ? (float)clv_load_double(CLV_FLOAT32, call->inputs[3].data, at)
                                     : 0.0f;
            }
        }
    }
}

static clv_status *turn_mask(
    const clv_traits *traits, const clv_emitter *emitter, const attention_mask_params *params,
    uint64_t planes, size_t bytes, clv_arg *out_arg) {
    out_arg->kind = CLV_ARG_SCRATCH;
    CLV_TRY(emitter->scratch(emitter->context, bytes, &out_arg->index));
    const clv_launch launch = {
        .source = &clv_source_attention,
        .entry = "attention_mask",
        .options = clv_width_options(traits),
        .args = {{CLV_ARG_INPUT, 3}, *out_arg},
        .num_args = 2,
        .params = params,
        .params_bytes = sizeof *params,
        .num_items = planes * params->row_blocks,
        .local_size = 1,
    };
    return emitter->launch(emitter->context, &launch);
}

/* A mask that differs from row to row, with its rows side by side: a vector of them is a load. */
static clv_status *emit_mask(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter, attention_params *p,
    clv_arg *out_arg) {
    *out_arg = (clv_arg){p->has_mask ? CLV_ARG_INPUT : CLV_ARG_NONE, 3};
    if (!p->has_mask || p->mask_row == 0) {
        return NULL;
    }
    const clv_view *mask = &call->inputs[3];
    const uint64_t planes = (uint64_t)clv_shape_product(&mask->shape, 0, mask->shape.rank - 2);
    /* a part's last block may reach beyond its rows, and the last one's beyond all */
    const uint64_t block = (uint64_t)block_rows(traits), blocks = (p->rows + block - 1) / block + 1;
    const uint64_t step = blocks * block;
    const uint64_t keys = p->mask_key != 0 ? p->keys : 1, plane = p->mask_row * p->rows;
    const size_t bytes = (size_t)(planes * keys * step) * sizeof(float);
    const attention_mask_params params = {
        .rows = p->rows,
        .keys = (clv_u32)keys,
        .padded_rows = (clv_u32)step,
        .row_blocks = (clv_u32)blocks,
    };
    p->mask_batch = p->mask_batch / plane * keys * step;
    p->mask_head = p->mask_head / plane * keys * step;
    p->mask_row = 1;
    p->mask_key = p->mask_key != 0 ? step : 0;
    if (mask->data == NULL || bytes > CONSTANT_MASK_BYTES) {
        return turn_mask(traits, emitter, &params, planes, bytes, out_arg);
    }
    const clv_packing packing = {
        .bytes = bytes,
        .args = {(int64_t)planes, p->rows, (int64_t)keys, (int64_t)step},
        .fill = fill_mask};
    out_arg->kind = CLV_ARG_CONSTANT;
    return emitter->constant(emitter->context, &packing, &out_arg->index);
}

static clv_status *emit_tile(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    clv_attention_shape shape;
    attention_params p;
    clv_arg mask;
    if (clv_shape_elements(&call->outputs[0].shape) == 0) {
        return NULL;
    }
    clv_attention_shape_of(call, &shape);
    fill_params(call, &shape, &p);
    deal_rows(&shape, traits, &p);
    CLV_TRY(emit_mask(call, traits, emitter, &p, &mask));
    const uint64_t num_items = (uint64_t)(shape.batch * shape.heads) * p.row_blocks;
    return emit_attention(traits, emitter, "attention_tile", &p, mask, num_items);
}

static const clv_variant variants[] = {
    {.name = "ref", .summary = "any shape: a row of q an item", .emit = emit_ref},
    {.name = "tile",
     .summary =
         "CPUs, from half a vector of rows on, rows of at most 128: two vectors of rows of q "
         "an item, scores in private memory",
     .fits = tile_fits,
     .pays = tile_pays,
     .emit = emit_tile},
};

const clv_kernel_family clv_kernels_attention = {
    .name = "attention",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0]};
