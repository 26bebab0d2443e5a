/* The family of MatMul and Gemm. matmul.cl tells how. */
#include "kernels_cl/matmul/matmul.h"

#include "kernels_cl/matmul/matmul_params.h"
#include "kernels_cl/store/store.h"
#include <math.h>
#include <string.h>

extern const clv_kernel_source clv_source_matmul;

/* A channel is a column, so its value is c, unless there is one: then a row that is added to a
 * product of one row is a tensor of its shape. A scale goes into alpha. A vector b makes one column
 * that has no axis. */
static bool match_store(const clv_call *call, clv_store *out_store) {
    const clv_matmul_params *op = call->params;
    bool has_c = op->is_gemm && clv_call_has_input(call, 2) && op->beta != 0.0f;
    int axis = has_c || call->inputs[1].shape.rank == 1 ? CLV_NO_CHANNELS : -1;
    return clv_store_match(call, axis, out_store) && out_store->offset == 0 &&
           (!has_c || out_store->scale == 1);
}

bool clv_matmul_store_fits(const clv_call *call) {
    clv_store store;
    return match_store(call, &store);
}

static bool takes_epilogue(const clv_call *call, const clv_traits *traits) {
    (void)traits;
    return clv_matmul_store_fits(call);
}

enum { MAX_PANEL = MATMUL_VECTORS * 16 };

static int64_t panel_width(const clv_traits *traits) {
    return MATMUL_VECTORS * (int64_t)clv_width(traits);
}

static bool has_half_weights(const clv_call *call) {
    const clv_matmul_params *op = call->params;
    return op->half_weights && call->inputs[1].data != NULL;
}

/* Matrices that b holds: its own, not those of the output. */
static int64_t num_b_matrices(const clv_call *call, const clv_matmul_shape *shape) {
    int64_t matrix = shape->n * shape->k;
    return matrix == 0 ? 0 : clv_shape_elements(&call->inputs[1].shape) / matrix;
}

/* One row of a panel: `count` elements, `step` apart. */
static void copy_row(const char *from, int64_t step, int64_t count, float *to) {
    if (step == 1) {
        memcpy(to, from, (size_t)count * sizeof *to);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        memcpy(to + i, from + (size_t)(i * step) * sizeof *to, sizeof *to);
    }
}

/* A panel of a matrix of b. args: columns of a panel; 1: as float16. */
static void fill_panel(const clv_call *call, const int64_t args[8], int64_t part, void *out_part) {
    clv_matmul_shape shape;
    clv_matmul_shape_of(call, &shape);
    const int64_t width = args[0], panels = (shape.n + width - 1) / width;
    const int64_t matrix = part / panels, panel = part % panels;
    const char *from =
        (const char *)call->inputs[1].data + (size_t)(matrix * shape.n * shape.k) * sizeof(float);
    const int64_t rest = shape.n - panel * width, columns = rest < width ? rest : width;
    for (int64_t k = 0; k < shape.k; k++) {
        const int64_t at = k * shape.b_row + panel * width * shape.b_col;
        float row[MAX_PANEL] = {0};
        float *to = args[1] ? row : (float *)out_part + k * width;
        copy_row(from + (size_t)at * sizeof *to, shape.b_col, columns, to);
        if (!args[1]) {
            memset(to + columns, 0, (size_t)(width - columns) * sizeof *to);
            continue;
        }
        uint16_t *halves = (uint16_t *)out_part + k * width;
        for (int64_t i = 0; i < width; i++) {
            halves[i] = clv_half_from_float(row[i]);
        }
    }
}

static clv_status *emit_pack(
    const clv_call *call, const clv_matmul_shape *shape, const clv_traits *traits,
    const clv_emitter *emitter, size_t bytes, clv_arg *out_arg) {
    out_arg->kind = CLV_ARG_SCRATCH;
    CLV_TRY(emitter->scratch(emitter->context, bytes, &out_arg->index));
    int64_t width = panel_width(traits);
    matmul_pack_params p = {
        .b_batch = (clv_u64)(shape->n * shape->k),
        .b_row = (clv_u64)shape->b_row,
        .b_col = (clv_u64)shape->b_col,
        .n = (clv_u32)shape->n,
        .k = (clv_u32)shape->k,
        .panels = (clv_u32)((shape->n + width - 1) / width),
        .rows = traits->is_cpu ? 256 : 1,
    };
    p.blocks = (p.k + p.rows - 1) / p.rows;
    char options[CLV_OPTIONS_BYTES];
    clv_launch launch = {
        .source = &clv_source_matmul,
        .entry = "matmul_pack",
        .options = clv_only_options(traits, 1, options),
        .args = {{CLV_ARG_INPUT, 1}, *out_arg},
        .num_args = 2,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = (uint64_t)num_b_matrices(call, shape) * p.panels * p.blocks,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

/* Where the kernel reads b: itself where its rows hold whole panels, else panels made of it. */
static clv_status *emit_b(
    const clv_call *call, const clv_matmul_shape *shape, const clv_traits *traits,
    const clv_emitter *emitter, matmul_params *p, clv_arg *out_arg) {
    int64_t width = panel_width(traits), panels = (shape->n + width - 1) / width;
    *out_arg = (clv_arg){CLV_ARG_INPUT, 1};
    if (call->inputs[1].data == NULL && shape->b_col == 1 && shape->n >= width) {
        p->b_row = (clv_u64)shape->b_row;
        p->b_panel = (clv_u64)width;
        p->moves_back = 1;
        return NULL;
    }
    int64_t matrix = panels * width * shape->k;
    const bool is_half = has_half_weights(call);
    const size_t element = is_half ? sizeof(uint16_t) : sizeof(float);
    size_t bytes = (size_t)(num_b_matrices(call, shape) * matrix) * element;
    p->b_row = (clv_u64)width;
    p->b_panel = (clv_u64)(width * shape->k);
    for (int i = 0; i < shape->num_batch && shape->k > 0; i++) {
        p->b_batch[i] = (clv_u64)(shape->b_batch[i] / (shape->n * shape->k) * matrix);
    }
    if (bytes == 0) { /* k is 0: nothing is read */
        *out_arg = (clv_arg){CLV_ARG_NONE, 0};
        return NULL;
    }
    if (call->inputs[1].data == NULL) {
        return emit_pack(call, shape, traits, emitter, bytes, out_arg);
    }
    const clv_packing packing = {
        .bytes = bytes,
        .args = {width, is_half},
        .fill_part = fill_panel,
        .num_parts = num_b_matrices(call, shape) * panels,
    };
    out_arg->kind = CLV_ARG_CONSTANT;
    return emitter->constant(emitter->context, &packing, &out_arg->index);
}

static void fill_params(const clv_call *call, const clv_matmul_shape *shape, matmul_params *p) {
    const clv_matmul_params *op = call->params;
    bool is_float = call->outputs[0].dtype == CLV_FLOAT32;
    *p = (matmul_params){
        .a_row = (clv_u64)shape->a_row,
        .a_col = (clv_u64)shape->a_col,
        .b_row = (clv_u64)shape->b_row,
        .b_col = (clv_u64)shape->b_col,
        .c_row = (clv_u64)shape->c_row,
        .c_col = (clv_u64)shape->c_col,
        .int_alpha = is_float ? 0 : (clv_i64)op->alpha,
        .int_beta = is_float ? 0 : (clv_i64)op->beta,
        .num_batch = (clv_u32)shape->num_batch,
        .m = (clv_u32)shape->m,
        .n = (clv_u32)shape->n,
        .k = (clv_u32)shape->k,
        .has_c = shape->has_c,
        .alpha = op->alpha,
        .beta = op->beta,
        .dtype = call->outputs[0].dtype,
    };
    for (int i = 0; i < shape->num_batch; i++) {
        p->batch[i] = (clv_u32)shape->batch[i];
        p->a_batch[i] = (clv_u64)shape->a_batch[i];
        p->b_batch[i] = (clv_u64)shape->b_batch[i];
    }
}

/* What an item does at most, and how many bytes ahead b is prefetched where few rows only stream
 * it. */
enum { MAX_ROW_SPAN = 256, STREAM_AHEAD = 4096 };

/* From so many rows a lane on, products take longer than weights to come from memory. */
enum { ROWS_OF_LANE = 32 };

/* Whether lanes share rows and not columns: each then reads all of the weights, which are
 * prefetched, but nothing that another lane wrote, in this operator and in those of rows that
 * follow it (attention, normalisation, residual sums). Not where the last lane would have less than
 * seven eighths of the others' rows to do. */
static bool by_rows(const clv_matmul_shape *shape, const clv_traits *traits) {
    const int64_t lanes = (int64_t)traits->num_lanes;
    if (!traits->is_cpu || lanes <= 1 || shape->num_batch != 0 || shape->m < ROWS_OF_LANE * lanes) {
        return false;
    }
    const int64_t own = (int64_t)clv_rows_of_lane(traits, (uint64_t)shape->m);
    return (own * lanes - shape->m) * 8 <= own;
}

/* How many rows an item does: as many as let eight items a lane be, since they share a panel. */
static uint64_t row_span(
    const clv_matmul_shape *shape, const clv_traits *traits, uint64_t other_items) {
    const uint64_t tiles = (uint64_t)(shape->m + MATMUL_ROWS - 1) / MATMUL_ROWS;
    if (!traits->is_cpu) {
        return MATMUL_ROWS;
    }
    if (by_rows(shape, traits)) { /* in spans of whole tiles where there are several */
        const uint64_t own = clv_rows_of_lane(traits, (uint64_t)shape->m);
        const uint64_t spans = (own + MAX_ROW_SPAN - 1) / MAX_ROW_SPAN;
        const uint64_t unit = spans == 1 ? 4 : MATMUL_ROWS;
        return ((own + spans - 1) / spans + unit - 1) / unit * unit;
    }
    const uint64_t even = tiles * other_items / (8 * (uint64_t)traits->num_lanes + 1) + 1;
    const uint64_t most = MAX_ROW_SPAN / MATMUL_ROWS;
    return clv_even_tiles(tiles, even < most ? even : most) * MATMUL_ROWS;
}

/* Deals rows and panels to items; returns the number of items. */
static uint64_t deal_panels(
    const clv_matmul_shape *shape, const clv_traits *traits, size_t b_element, matmul_params *p) {
    const uint64_t width = (uint64_t)panel_width(traits);
    uint64_t others = 1;
    for (int i = 0; i < shape->num_batch; i++) {
        others *= (uint64_t)shape->batch[i];
    }
    p->panels = (clv_u32)(((uint64_t)shape->n + width - 1) / width);
    p->row_span = (clv_u32)row_span(shape, traits, p->panels * others);
    p->row_blocks = (p->m + p->row_span - 1) / p->row_span;
    p->columns_first = !traits->is_cpu || by_rows(shape, traits);
    p->tiles = 1;
    others *= p->row_blocks;
    if (traits->is_cpu) {
        /* about 10 us of work on a fast core, but eight items a lane where there is that much */
        uint64_t rows = p->m < p->row_span ? p->m : p->row_span;
        uint64_t work = rows * width * p->k + 1, tiles = 1000000 / work + 1;
        uint64_t even = p->panels * others / (8 * (uint64_t)traits->num_lanes + 1) + 1;
        tiles = tiles < even ? tiles : even;
        p->tiles = (clv_u32)clv_even_tiles(p->panels, tiles);
    }
    if (traits->is_cpu && !p->moves_back) { /* b lies in the order in which it is read */
        p->step = (clv_u32)((width * MATMUL_ROWS + p->row_span - 1) / p->row_span);
        p->ahead = p->m <= MATMUL_ROWS ? STREAM_AHEAD / (clv_u32)b_element : (clv_u32)p->b_panel;
    }
    p->panel_blocks = (p->panels + p->tiles - 1) / p->tiles;
    return others * p->panel_blocks;
}

static void set_store(const clv_call *call, matmul_params *p, clv_arg *c, clv_arg *add) {
    clv_store store;
    if (!match_store(call, &store)) {
        return; /* another launch does it */
    }
    p->alpha *= store.scale;
    if (store.channel_input >= 0) {
        *c = (clv_arg){CLV_ARG_INPUT, (uint32_t)store.channel_input};
        p->has_c = 1;
        p->beta = 1;
        p->c_row = 0;
        p->c_col = 1;
    }
    if (store.add_input >= 0) {
        *add = (clv_arg){CLV_ARG_INPUT, (uint32_t)store.add_input};
    }
    p->act = store.act;
    p->low = store.low;
    p->high = store.high;
    p->finishes = store.act.op != EW_FLOAT_COPY || store.add_input >= 0 || store.low != -INFINITY ||
                  store.high != INFINITY;
}

/* Of the tiles that most rows are in: matmul.cl takes 8 while it can, then 4, 2, 1. */
static uint32_t tile_rows(int64_t m) {
    uint32_t rows = MATMUL_ROWS;
    while (rows > 1 && rows > m) {
        rows /= 2;
    }
    return rows;
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    uint64_t elements = (uint64_t)clv_shape_elements(&call->outputs[0].shape), num_items = 0;
    if (elements == 0) {
        return NULL;
    }
    clv_matmul_shape shape;
    clv_matmul_shape_of(call, &shape);
    matmul_params p;
    fill_params(call, &shape, &p);
    bool is_float = call->outputs[0].dtype == CLV_FLOAT32;
    clv_arg b = {CLV_ARG_INPUT, 1};
    if (is_float) {
        CLV_TRY(emit_b(call, &shape, traits, emitter, &p, &b));
        num_items = deal_panels(
            &shape, traits, has_half_weights(call) ? sizeof(uint16_t) : sizeof(float), &p);
    } else {
        clv_deal(traits, elements, 256, &p.chunk, &num_items);
    }
    clv_arg c = {p.has_c ? CLV_ARG_INPUT : CLV_ARG_NONE, 2}, add = {CLV_ARG_NONE, 0};
    set_store(call, &p, &c, &add);
    char options[CLV_OPTIONS_BYTES];
    const int kernels = !is_float ? 2 : has_half_weights(call) ? 3 : 1;
    clv_launch launch = {
        .source = &clv_source_matmul,
        .entry = is_float ? "matmul" : "matmul_int",
        .num_sums = is_float ? MATMUL_VECTORS * tile_rows(shape.m) : 0,
        .options = clv_only_options(traits, kernels, options),
        .args = {{CLV_ARG_INPUT, 0}, b, c, add, {CLV_ARG_OUTPUT, 0}},
        .num_args = 5,
        .params = &p,
        .params_bytes = sizeof p,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {
        .name = "ref",
        .summary = "any shape: 8 rows by two vectors of columns in registers; constant weights and "
                   "what has no unit-stride rows is laid out in panels first, and prefetched; "
                   "weights as float16 where that is wanted",
        .takes_epilogue = takes_epilogue,
        .emit = emit_ref,
    },
};

const clv_kernel_family clv_kernels_matmul = {
    .name = "matmul", .variants = variants, .num_variants = sizeof variants / sizeof variants[0]};
