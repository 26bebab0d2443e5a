/* The family of LSTM, GRU, RNN and Recurrence. recurrent.cl tells how. */
#include "kernels_cl/recurrent/recurrent.h"

#include "kernels_cl/kernel.h"
#include <math.h>
#include <string.h>

extern const clv_kernel_source clv_source_recurrent;

int64_t clv_recurrent_gates(int32_t kind) {
    return kind == RECURRENT_LSTM ? 4 : kind == RECURRENT_GRU ? 3 : 1;
}

void clv_recurrent_shape_of(const clv_call *call, clv_recurrent_shape *out_shape) {
    const clv_recurrent *op = call->params;
    const clv_shape *x = &call->inputs[CLV_RECURRENT_X].shape;
    const int step_axis = op->batch_first ? 1 : 0;
    clv_recurrent_shape s = {
        .steps = x->dims[step_axis],
        .batch = x->dims[1 - step_axis],
        .hidden = op->hidden,
        .gates = clv_recurrent_gates(op->kind),
        .directions = op->directions,
        .input = op->is_projected ? 0 : x->dims[2],
    };
    const int64_t row = s.directions * s.hidden;
    s.x_step = op->batch_first ? x->dims[2] : s.batch * x->dims[2];
    s.x_batch = op->batch_first ? s.steps * x->dims[2] : x->dims[2];
    s.y_step = op->batch_first ? row : s.batch * row;
    s.y_batch = op->batch_first ? s.steps * row : s.hidden;
    s.y_direction = op->batch_first ? s.hidden : s.batch * s.hidden;
    s.s_batch = op->batch_first ? row : s.hidden;
    s.s_direction = op->batch_first ? s.hidden : s.batch * s.hidden;
    *out_shape = s;
}

static bool has_output(const clv_call *call, size_t index) {
    return index < call->num_outputs && call->outputs[index].dtype != CLV_DTYPE_NONE;
}

static bool is_reset_first(const clv_recurrent *op) {
    return op->kind == RECURRENT_GRU && !op->linear_before_reset;
}

/* Sigmoids and hyperbolic tangents where ONNX has them by default, and nothing beside. */
static bool is_plain(const clv_call *call) {
    const clv_recurrent *op = call->params;
    if (op->kind == RECURRENT_RNN || op->input_forget || op->clip < INFINITY ||
        clv_call_has_input(call, CLV_RECURRENT_P)) {
        return false;
    }
    const int count = op->kind == RECURRENT_LSTM ? 3 : 2;
    for (int d = 0; d < op->directions; d++) {
        for (int i = 0; i < count; i++) {
            if (op->acts[d][i].function != (i == 0 ? RECURRENT_SIGMOID : RECURRENT_TANH)) {
                return false;
            }
        }
    }
    return true;
}

enum { MAX_WIDTH = 16 }; /* lanes of clv_fv */

static void fill_params(
    const clv_call *call, const clv_recurrent_shape *s, recurrent_params *out_params) {
    const clv_recurrent *op = call->params;
    *out_params = (recurrent_params){
        .x_step = (clv_u64)s->x_step,
        .x_batch = (clv_u64)s->x_batch,
        .y_step = (clv_u64)s->y_step,
        .y_batch = (clv_u64)s->y_batch,
        .y_direction = (clv_u64)s->y_direction,
        .s_batch = (clv_u64)s->s_batch,
        .s_direction = (clv_u64)s->s_direction,
        .kind = (clv_u32)op->kind,
        .gates = (clv_u32)s->gates,
        .steps = (clv_u32)s->steps,
        .batch = (clv_u32)s->batch,
        .hidden = (clv_u32)s->hidden,
        .input = (clv_u32)s->input,
        .directions = (clv_u32)s->directions,
        .state_row = (clv_u32)((s->hidden + MAX_WIDTH - 1) / MAX_WIDTH * MAX_WIDTH),
        .is_reverse = (clv_u32)op->is_reverse,
        .linear_before_reset = (clv_u32)op->linear_before_reset,
        .input_forget = (clv_u32)op->input_forget,
        .is_plain = is_plain(call),
        .has_bias = clv_call_has_input(call, CLV_RECURRENT_B),
        .has_lengths = clv_call_has_input(call, CLV_RECURRENT_LENGTHS),
        .has_peepholes = clv_call_has_input(call, CLV_RECURRENT_P),
        .has_h = clv_call_has_input(call, CLV_RECURRENT_H),
        .has_c = clv_call_has_input(call, CLV_RECURRENT_C),
        .has_y = has_output(call, CLV_RECURRENT_Y),
        .has_y_h = has_output(call, CLV_RECURRENT_Y_H),
        .has_y_c = has_output(call, CLV_RECURRENT_Y_C),
        .step_end = (clv_u32)s->steps,
        .phases = RECURRENT_FIRST | (is_reset_first(op) ? RECURRENT_SECOND : 0),
        .clip = op->clip,
    };
    memcpy(out_params->acts, op->acts, sizeof op->acts);
}

/* --- launches --------------------------------------------------------------------------------- */

/* What all launches of a call share. */
typedef struct recurrent_emission {
    const clv_call *call;
    const clv_traits *traits;
    const clv_emitter *emitter;
    clv_recurrent_shape shape;
    recurrent_params params;
    clv_arg z, state;
} emission;

static clv_arg input_arg(const emission *e, uint32_t index) {
    return (clv_arg){clv_call_has_input(e->call, index) ? CLV_ARG_INPUT : CLV_ARG_NONE, index};
}

static clv_arg output_arg(const emission *e, uint32_t index) {
    return (clv_arg){has_output(e->call, index) ? CLV_ARG_OUTPUT : CLV_ARG_NONE, index};
}

static clv_status *emit_one(
    const emission *e, const char *entry, const clv_arg *args, uint32_t num_args,
    uint64_t num_items) {
    clv_launch launch = {
        .source = &clv_source_recurrent,
        .entry = entry,
        .options = clv_width_options(e->traits),
        .num_args = num_args,
        .params = &e->params,
        .params_bytes = sizeof e->params,
        .num_items = num_items,
        .local_size = clv_local_size(e->traits),
    };
    memcpy(launch.args, args, num_args * sizeof *args);
    return e->emitter->launch(e->emitter->context, &launch);
}

static clv_status *add_scratch(const emission *e, int64_t floats, clv_arg *out_arg) {
    out_arg->kind = CLV_ARG_SCRATCH;
    return e->emitter->scratch(
        e->emitter->context, (size_t)floats * sizeof(float), &out_arg->index);
}

/* The product with W where it was not made before, and the state at first. */
static clv_status *emit_start(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter,
    emission *out_emission) {
    const clv_recurrent *op = call->params;
    emission *e = out_emission;
    *e = (emission){.call = call, .traits = traits, .emitter = emitter};
    clv_recurrent_shape_of(call, &e->shape);
    fill_params(call, &e->shape, &e->params);
    const clv_recurrent_shape *s = &e->shape;
    e->z = (clv_arg){CLV_ARG_INPUT, CLV_RECURRENT_X};
    if (!op->is_projected) {
        const int64_t columns = s->directions * s->gates * s->hidden;
        CLV_TRY(add_scratch(e, s->steps * s->batch * columns, &e->z));
        const clv_arg args[] = {
            input_arg(e, CLV_RECURRENT_X), input_arg(e, CLV_RECURRENT_W),
            input_arg(e, CLV_RECURRENT_B), e->z};
        CLV_TRY(emit_one(e, "recurrent_project", args, 4, (uint64_t)(s->steps * s->batch)));
        e->params.x_step = (clv_u64)(s->batch * columns);
        e->params.x_batch = (clv_u64)columns;
    }
    CLV_TRY(add_scratch(e, s->directions * s->batch * (int64_t)e->params.state_row * 5, &e->state));
    const clv_arg args[] = {
        input_arg(e, CLV_RECURRENT_H),
        input_arg(e, CLV_RECURRENT_C),
        input_arg(e, CLV_RECURRENT_LENGTHS),
        e->state,
        {CLV_ARG_ERROR, 0}};
    return emit_one(e, "recurrent_start", args, 5, (uint64_t)(s->directions * s->batch));
}

static clv_status *emit_steps(
    const emission *e, const char *entry, clv_arg weights, uint64_t num_items) {
    const clv_arg args[] = {
        e->z,
        weights,
        input_arg(e, CLV_RECURRENT_B),
        input_arg(e, CLV_RECURRENT_LENGTHS),
        input_arg(e, CLV_RECURRENT_P),
        e->state,
        output_arg(e, CLV_RECURRENT_Y)};
    return emit_one(e, entry, args, 7, num_items);
}

static clv_status *emit_end(const emission *e) {
    if (!e->params.has_y_h && !e->params.has_y_c) {
        return NULL;
    }
    const clv_arg args[] = {
        e->state, output_arg(e, CLV_RECURRENT_Y_H), output_arg(e, CLV_RECURRENT_Y_C)};
    return emit_one(e, "recurrent_end", args, 3, (uint64_t)(e->shape.directions * e->shape.batch));
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    emission e;
    CLV_TRY(emit_start(call, traits, emitter, &e));
    const uint64_t items = (uint64_t)(e.shape.directions * e.shape.batch);
    CLV_TRY(emit_steps(&e, "recurrent_ref", input_arg(&e, CLV_RECURRENT_R), items));
    return emit_end(&e);
}

/* --- packed weights --------------------------------------------------------------------------- */

enum { MAX_LAUNCHES = 4096 };

static bool packed_fits(const clv_call *call, const clv_traits *traits) {
    return traits->is_cpu && call->inputs[CLV_RECURRENT_R].data != NULL;
}

static bool steps_fits(const clv_call *call, const clv_traits *traits) {
    clv_recurrent_shape s;
    clv_recurrent_shape_of(call, &s);
    const int64_t phases = is_reset_first(call->params) ? 2 : 1;
    return packed_fits(call, traits) && s.steps <= MAX_LAUNCHES / phases;
}

static int64_t items_of_direction(const clv_recurrent_shape *s, int64_t lanes) {
    return (lanes + s->directions - 1) / s->directions;
}

/* Sequences of an item, of `wanted` items a direction: whole tiles while there are enough of them,
 * then fewer, since lanes that wait gain nothing. */
static int64_t rows_of_item(const clv_recurrent_shape *s, int64_t wanted) {
    const int64_t tiles = (s->batch + RECURRENT_ROWS - 1) / RECURRENT_ROWS;
    const int64_t rows = (tiles + wanted - 1) / wanted * RECURRENT_ROWS;
    return tiles >= wanted && rows < s->batch ? rows : (s->batch + wanted - 1) / wanted;
}

/* What a lane takes for a step of so many sequences, in those whose sums would take as long: R
 * comes from a core's cache no faster than for three of them. */
static double rows_of_time(double sequences) {
    return fmax(sequences, 3);
}

/* All lanes at each step, where that saves more than waiting for each other takes: some 200
 * thousand multiply-adds, 1.6 us. Measured on two cores: LSTM and GRU of 128 to 512 units, 1 to 8
 * sequences. */
static bool steps_pays(const clv_call *call, const clv_traits *traits) {
    clv_recurrent_shape s;
    clv_recurrent_shape_of(call, &s);
    const int64_t lanes = traits->num_lanes > 0 ? traits->num_lanes : 1;
    const int64_t rows = s.batch > 0 ? rows_of_item(&s, items_of_direction(&s, lanes)) : 1;
    const int64_t items = s.directions * ((s.batch + rows - 1) / rows);
    const double apart = (double)((items + lanes - 1) / lanes) * rows_of_time((double)rows);
    const double joint = (double)s.directions / (double)lanes * rows_of_time((double)s.batch);
    const double work = (double)(s.gates * s.hidden) * (double)s.hidden;
    return work * (apart - joint) > (is_reset_first(call->params) ? 400e3 : 200e3);
}

/* [directions][blocks][hidden][gates][width]; args: blocks, hidden, gates, width. A block a part.
 */
static void fill_block(const clv_call *call, const int64_t args[8], int64_t part, void *out_part) {
    const int64_t blocks = args[0], hidden = args[1], gates = args[2], width = args[3];
    const char *r = call->inputs[CLV_RECURRENT_R].data;
    const int64_t direction = part / blocks, first = part % blocks * width;
    float *to = out_part;
    for (int64_t k = 0; k < hidden; k++) {
        for (int64_t g = 0; g < gates; g++) {
            for (int64_t lane = 0; lane < width; lane++, to++) {
                const int64_t row = (direction * gates + g) * hidden + first + lane;
                *to = 0;
                if (first + lane < hidden) {
                    memcpy(to, r + (size_t)(row * hidden + k) * sizeof *to, sizeof *to);
                }
            }
        }
    }
}

static clv_status *pack_weights(const emission *e, clv_arg *out_weights) {
    const clv_recurrent_shape *s = &e->shape;
    const int64_t width = (int64_t)clv_width(e->traits), blocks = (s->hidden + width - 1) / width;
    const int64_t parts = s->directions * blocks;
    const clv_packing packing = {
        .bytes = (size_t)(parts * s->hidden * s->gates * width) * sizeof(float),
        .args = {blocks, s->hidden, s->gates, width},
        .fill_part = fill_block,
        .num_parts = parts,
    };
    out_weights->kind = CLV_ARG_CONSTANT;
    return e->emitter->constant(e->emitter->context, &packing, &out_weights->index);
}

/* Deals sequences, then blocks, until each lane has something to do. Returns the items. */
static uint64_t deal(emission *e, bool by_blocks) {
    const clv_recurrent_shape *s = &e->shape;
    recurrent_params *p = &e->params;
    const int64_t width = (int64_t)clv_width(e->traits), blocks = (s->hidden + width - 1) / width;
    const int64_t lanes = e->traits->num_lanes > 0 ? e->traits->num_lanes : 1;
    const int64_t wanted = by_blocks ? items_of_direction(s, lanes) : 1;
    p->block_items = (clv_u32)(wanted < blocks ? wanted : blocks);
    p->blocks_per_item = (clv_u32)((blocks + p->block_items - 1) / p->block_items);
    p->block_items = (clv_u32)((blocks + p->blocks_per_item - 1) / p->blocks_per_item);
    const int64_t so_far = s->directions * p->block_items;
    p->rows_per_item = (clv_u32)rows_of_item(s, (lanes + so_far - 1) / so_far);
    p->row_items = (clv_u32)((s->batch + p->rows_per_item - 1) / p->rows_per_item);
    return (uint64_t)so_far * p->row_items;
}

static clv_status *emit_sequence(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    emission e;
    clv_arg weights;
    CLV_TRY(emit_start(call, traits, emitter, &e));
    if (e.shape.batch > 0) {
        const uint64_t num_items = deal(&e, false);
        CLV_TRY(pack_weights(&e, &weights));
        CLV_TRY(emit_steps(&e, "recurrent_packed", weights, num_items));
    }
    return emit_end(&e);
}

static clv_status *emit_each_step(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    emission e;
    clv_arg weights;
    CLV_TRY(emit_start(call, traits, emitter, &e));
    if (e.shape.batch > 0) {
        const uint64_t num_items = deal(&e, true);
        const uint32_t phases = e.params.phases;
        CLV_TRY(pack_weights(&e, &weights));
        for (uint32_t step = 0; step < e.params.steps; step++) {
            e.params.step_begin = step;
            e.params.step_end = step + 1;
            for (uint32_t phase = RECURRENT_FIRST; phase <= RECURRENT_SECOND; phase++) {
                e.params.phases = phase;
                CLV_TRY(
                    (phases & phase) != 0 ? emit_steps(&e, "recurrent_packed", weights, num_items)
                                          : NULL);
            }
        }
    }
    return emit_end(&e);
}

static const clv_variant variants[] = {
    {.name = "ref", .summary = "any shape: a sequence an item", .emit = emit_ref},
    {.name = "sequence",
     .summary = "CPUs, constant weights, packed: sequences an item, all steps of them",
     .fits = packed_fits,
     .emit = emit_sequence},
    {.name = "steps",
     .summary = "CPUs, constant weights, packed: blocks of hidden units an item, a launch for each "
                "step",
     .fits = steps_fits,
     .pays = steps_pays,
     .emit = emit_each_step},
};

const clv_kernel_family clv_kernels_recurrent = {
    .name = "recurrent",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0]};
