#include "host/exec/join.h"

#include "host/base/memory.h"
#include <string.h>

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the steps of several memories");
}

/* With a link of its own, or with queues, a unit's memory is not the host's. */
static bool is_apart(const clv_join_unit *unit) {
    return unit->has_link || unit->has_queues;
}

clv_channel clv_channel_of(const clv_piece_move *move, const clv_join_unit *units) {
    const clv_join_unit *from = &units[move->from_unit], *to = &units[move->to_unit];
    return (clv_channel){
        .is_staged = is_apart(from) && is_apart(to),
        .unit = from->has_queues ? move->from_unit : move->to_unit,
    };
}

/* --- at work --------------------------------------------------------------------------------- */

typedef struct joiner {
    const clv_join_request *request;
    clv_joined *out;
    size_t *at;        /* [num_memories]: of a part's steps, the next one */
    bool *is_received; /* [num_moves] */
    uint32_t *staging; /* [num_moves]: the storage in between, or NO_STORAGE */
    size_t num_steps;  /* of all parts */
} joiner;

static const clv_port *port_of(const joiner *j, uint32_t memory, const clv_step *step) {
    const clv_piece_graph *g = &j->request->pieces->memories[memory];
    return step->kind == CLV_STEP_INPUT ? &g->inputs[step->index] : &g->outputs[step->index];
}

/* NULL: the step is no move. */
static const clv_piece_move *move_of(
    const joiner *j, uint32_t memory, const clv_step *step, uint32_t *out_index) {
    if (step->kind != CLV_STEP_INPUT && step->kind != CLV_STEP_OUTPUT) {
        return NULL;
    }
    const clv_port *port = port_of(j, memory, step);
    *out_index = port->index;
    return port->is_move ? &j->request->pieces->moves[port->index] : NULL;
}

static clv_operand operand_of(const joiner *j, uint32_t memory, const clv_operand *operand) {
    clv_operand copy = *operand;
    copy.storage += copy.storage != CLV_NO_STORAGE ? j->out->first_storage[memory] : 0;
    return copy;
}

/* --- storages, programs, blocks -------------------------------------------------------------- */

static clv_status *add_part(joiner *j, uint32_t memory) {
    clv_joined *out = j->out;
    clv_lowered *all = &out->all;
    const clv_lowered *part = &j->request->parts[memory];
    uint32_t index;
    out->first_storage[memory] = (uint32_t)all->num_storages;
    for (size_t i = 0; i < part->num_storages; i++) {
        clv_storage storage = part->storages[i];
        storage.memory = memory;
        storage.piece.block += (uint32_t)all->values.num_blocks;
        CLV_TRY(clv_lowered_add_storage(all, &storage, &index));
    }
    CLV_TRY(clv_memory_plan_append(&all->values, &part->values));
    out->memory_bytes[memory] = clv_lowered_bytes(part);
    for (uint32_t i = 0; i < part->num_units && i < all->num_units; i++) {
        all->unit_bytes[i].values += part->unit_bytes[i].values;
        all->unit_bytes[i].values_bound += part->unit_bytes[i].values_bound;
        all->unit_bytes[i].errors += part->unit_bytes[i].errors;
    }
    return NULL;
}

static clv_status *add_programs(joiner *j) {
    clv_lowered *all = &j->out->all;
    size_t count = 0;
    for (uint32_t m = 0; m < j->out->num_memories; m++) {
        count += j->request->parts[m].num_programs;
    }
    all->programs = clv_alloc_zeroed(count + 1, sizeof *all->programs);
    if (all->programs == NULL) {
        return no_memory();
    }
    for (uint32_t m = 0; m < j->out->num_memories; m++) {
        const clv_lowered *part = &j->request->parts[m];
        for (size_t i = 0; i < part->num_programs; i++) {
            all->programs[all->num_programs++] = part->programs[i];
        }
    }
    return NULL;
}

static uint32_t first_program(const joiner *j, uint32_t memory) {
    size_t count = 0;
    for (uint32_t m = 0; m < memory; m++) {
        count += j->request->parts[m].num_programs;
    }
    return (uint32_t)count;
}

/* --- memory in between ----------------------------------------------------------------------- */

static bool is_same_source(const joiner *j, const clv_piece_move *a, const clv_piece_move *b) {
    const clv_piece_graph *memories = j->request->pieces->memories;
    return a->from_memory == b->from_memory &&
           memories[a->from_memory].graph->outputs[a->from_output] ==
               memories[b->from_memory].graph->outputs[b->from_output];
}

static bool goes_through_host(const joiner *j, size_t move) {
    return j->request->channels[move].is_staged && j->is_received[move];
}

/* Slots as what crosses stages has them: enough for all receivers. */
static uint32_t slots_of(const joiner *j, const clv_piece_move *source) {
    const clv_pieces *pieces = j->request->pieces;
    uint32_t slots = j->request->any_order ? j->request->depth : 1;
    for (size_t i = 0; i < pieces->num_moves; i++) {
        const clv_piece_move *move = &pieces->moves[i];
        if (goes_through_host(j, i) && is_same_source(j, source, move)) {
            const uint32_t apart = move->to_stage > move->from_stage
                                       ? move->to_stage - move->from_stage
                                       : move->from_stage - move->to_stage;
            slots = apart + 1 > slots ? apart + 1 : slots;
        }
    }
    return slots < j->request->depth ? slots : j->request->depth > 1 ? j->request->depth : 1;
}

/* The storage of a source, for it and all moves of the same. */
static clv_status *add_staging(joiner *j, const clv_piece_move *source) {
    const clv_pieces *pieces = j->request->pieces;
    clv_storage storage = {
        .kind = CLV_STORAGE_VALUE,
        .piece = {.name = source->name, .bytes = source->bytes, .first_step = UINT32_MAX},
        .slots = slots_of(j, source),
        .stride = clv_memory_align(source->bytes),
        .memory = j->out->num_memories,
    };
    uint32_t index = 0;
    CLV_TRY(clv_lowered_add_storage(&j->out->all, &storage, &index));
    for (size_t i = 0; i < pieces->num_moves; i++) {
        if (goes_through_host(j, i) && is_same_source(j, source, &pieces->moves[i])) {
            j->staging[i] = index;
        }
    }
    return NULL;
}

/* Lives over the steps that touch it; with several slots, always. */
static void find_lifetimes(const joiner *j) {
    clv_joined *out = j->out;
    for (uint32_t i = 0; i < out->all.num_steps; i++) {
        const clv_step *step = &out->all.steps[i];
        for (uint32_t k = 0; k < 2 && step->kind == CLV_STEP_MOVE; k++) {
            clv_storage *s = &out->all.storages[step->operands[k].storage];
            if (s->memory == out->num_memories) {
                s->piece.first_step = s->piece.first_step < i ? s->piece.first_step : i;
                s->piece.last_step = i;
                if (s->slots > 1 || j->request->any_order) {
                    s->piece.first_step = 0;
                    s->piece.last_step = (uint32_t)out->all.num_steps - 1;
                }
            }
        }
    }
}

static clv_status *place_staging(joiner *j) {
    clv_joined *out = j->out;
    clv_lowered *all = &out->all;
    clv_memory_piece *pieces = clv_alloc_zeroed(all->num_storages + 1, sizeof *pieces);
    clv_memory_plan plan = {.num_blocks = 0};
    size_t count = 0;
    const bool any_order = j->request->any_order;
    clv_status *status = pieces != NULL ? NULL : no_memory();
    find_lifetimes(j);
    for (size_t i = 0; i < all->num_storages && status == NULL; i++) {
        const clv_storage *s = &all->storages[i];
        if (s->memory == out->num_memories) {
            pieces[count] = s->piece;
            pieces[count++].bytes = any_order ? s->piece.bytes : s->stride * s->slots;
        }
    }
    CLV_TRY_DONE(status);
    CLV_TRY_DONE(clv_memory_plan_create(pieces, count, UINT64_MAX / 2, &plan));
    count = 0;
    for (size_t i = 0; i < all->num_storages; i++) {
        clv_storage *s = &all->storages[i];
        if (s->memory == out->num_memories) {
            s->piece.block = pieces[count].block + (uint32_t)all->values.num_blocks;
            s->piece.offset = pieces[count].offset;
            s->stride = any_order ? plan.block_bytes[pieces[count].block] : s->stride;
            count++;
        }
    }
    if (any_order) {
        clv_memory_plan_repeat(&plan, j->request->depth);
    }
    out->memory_bytes[out->num_memories] = plan.total_bytes;
    CLV_TRY_DONE(clv_memory_plan_append(&all->values, &plan));
done:
    clv_memory_plan_deinit(&plan);
    clv_free(pieces);
    return status;
}

static clv_status *note_blocks(clv_joined *out) {
    const clv_lowered *all = &out->all;
    out->block_memory = clv_alloc_zeroed(all->values.num_blocks + 1, sizeof *out->block_memory);
    if (out->block_memory == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < all->num_storages; i++) {
        const clv_storage *s = &all->storages[i];
        if (s->kind == CLV_STORAGE_VALUE && s->piece.bytes != 0) {
            out->block_memory[s->piece.block] = s->memory;
        }
    }
    return NULL;
}

/* --- steps ----------------------------------------------------------------------------------- */

static clv_step *add_step(joiner *j, const clv_step *step, uint32_t memory) {
    clv_step *added = &j->out->all.steps[j->out->all.num_steps++];
    *added = *step;
    added->memory = memory;
    for (uint32_t i = 0; i < step->num_operands; i++) {
        added->operands[i] = operand_of(j, memory, &step->operands[i]);
    }
    return added;
}

static void set_link(const joiner *j, clv_step *step, uint32_t unit, bool leaves) {
    step->has_link = j->request->units[unit].has_link;
    step->link_unit = unit;
    step->leaves = leaves;
}

/* A kernel, or what the caller gives or takes. */
static void add_plain(joiner *j, uint32_t memory, const clv_step *step) {
    clv_step *added = add_step(j, step, memory);
    if (step->kind == CLV_STEP_LAUNCH) {
        added->program += first_program(j, memory);
    } else {
        added->index = port_of(j, memory, step)->index;
        added->runs = port_of(j, memory, step)->runs;
        set_link(j, added, step->unit, step->kind == CLV_STEP_OUTPUT);
    }
}

static clv_operand whole_of(const joiner *j, uint32_t storage, uint32_t access) {
    return (clv_operand){
        .storage = storage,
        .access = access,
        .bytes = j->out->all.storages[storage].piece.bytes,
    };
}

/* Out to host memory, or in from it. */
static void add_staged(joiner *j, uint32_t memory, const clv_step *step, uint32_t move) {
    const bool leaves = step->kind == CLV_STEP_OUTPUT;
    clv_step *added = add_step(j, step, memory);
    added->kind = CLV_STEP_MOVE;
    added->index = move;
    added->num_operands = 2;
    if (leaves) {
        added->operands[1] = added->operands[0];
        added->operands[0] = whole_of(j, j->staging[move], CLV_WRITES);
    } else {
        added->operands[1] = whole_of(j, j->staging[move], CLV_READS);
    }
    set_link(j, added, step->unit, leaves);
}

/* Both ends at once. */
static void add_straight(
    joiner *j, const clv_piece_move *move, const clv_step *from, const clv_step *to,
    uint32_t index) {
    const clv_join_unit *units = j->request->units;
    const uint32_t unit = j->request->channels[index].unit;
    clv_step *added = add_step(j, to, move->to_memory);
    added->kind = CLV_STEP_MOVE;
    added->index = index;
    added->unit = unit;
    added->memory = units[unit].memory;
    added->num_operands = 2;
    added->operands[1] = operand_of(j, move->from_memory, &from->operands[0]);
    const bool leaves = is_apart(&units[move->from_unit]);
    set_link(j, added, leaves ? move->from_unit : move->to_unit, leaves);
}

/* Takes the other end with it: both parts have come to it, as sequences are one order. Where
 * nobody takes what is sent, nothing is. */
static void do_straight(joiner *j, uint32_t memory, const clv_piece_move *move, uint32_t index) {
    const uint32_t other = memory == move->from_memory ? move->to_memory : move->from_memory;
    const clv_lowered *parts = j->request->parts;
    const clv_step *step = &parts[memory].steps[j->at[memory]++];
    uint32_t other_index = 0;
    if (j->at[other] < parts[other].num_steps) {
        const clv_step *partner = &parts[other].steps[j->at[other]];
        if (move_of(j, other, partner, &other_index) == move) {
            j->at[other]++;
            const bool is_from = memory == move->from_memory;
            add_straight(j, move, is_from ? step : partner, is_from ? partner : step, index);
        }
    }
}

static clv_status *do_next(joiner *j, uint32_t memory) {
    const clv_step *step = &j->request->parts[memory].steps[j->at[memory]];
    uint32_t index = 0;
    const clv_piece_move *move = move_of(j, memory, step, &index);
    if (move != NULL && !j->request->channels[index].is_staged) {
        do_straight(j, memory, move, index);
        return NULL;
    }
    j->at[memory]++;
    if (move == NULL) {
        add_plain(j, memory, step);
    } else if (step->kind == CLV_STEP_INPUT) {
        if (j->staging[index] == CLV_NO_STORAGE) {
            return CLV_ERROR(INTERNAL, "'%s' is brought in before it is sent", step->name);
        }
        add_staged(j, memory, step, index);
    } else if (j->is_received[index] && j->staging[index] == CLV_NO_STORAGE) {
        CLV_TRY(add_staging(j, move)); /* else an earlier move took it out already */
        add_staged(j, memory, step, index);
    }
    return NULL;
}

/* The memory whose next step comes first; NO_INDEX: all are through. */
static uint32_t next_memory(const joiner *j) {
    uint32_t best = CLV_NO_INDEX, least = UINT32_MAX;
    for (uint32_t m = 0; m < j->out->num_memories; m++) {
        const clv_lowered *part = &j->request->parts[m];
        if (j->at[m] < part->num_steps &&
            (best == CLV_NO_INDEX || part->steps[j->at[m]].sequence < least)) {
            best = m;
            least = part->steps[j->at[m]].sequence;
        }
    }
    return best;
}

static void find_received(joiner *j) {
    for (uint32_t m = 0; m < j->out->num_memories; m++) {
        const clv_lowered *part = &j->request->parts[m];
        for (size_t i = 0; i < part->num_steps; i++) {
            uint32_t index = 0;
            if (part->steps[i].kind == CLV_STEP_INPUT &&
                move_of(j, m, &part->steps[i], &index) != NULL) {
                j->is_received[index] = true;
            }
        }
    }
}

/* --- all of it ------------------------------------------------------------------------------- */

static clv_status *allocate(joiner *j) {
    const clv_join_request *request = j->request;
    const uint32_t num_memories = request->pieces->num_memories;
    const size_t num_moves = request->pieces->num_moves;
    clv_joined *out = j->out;
    clv_lowered *all = &out->all;
    for (uint32_t m = 0; m < num_memories; m++) {
        j->num_steps += request->parts[m].num_steps;
    }
    j->at = clv_alloc_zeroed(num_memories + 1, sizeof *j->at);
    j->is_received = clv_alloc_zeroed(num_moves + 1, sizeof *j->is_received);
    j->staging = clv_alloc_zeroed(num_moves + 1, sizeof *j->staging);
    out->first_storage = clv_alloc_zeroed(num_memories + 1, sizeof *out->first_storage);
    out->memory_bytes = clv_alloc_zeroed(num_memories + 1, sizeof *out->memory_bytes);
    out->memory_of_unit = clv_alloc_zeroed(request->num_units + 1, sizeof *out->memory_of_unit);
    all->steps = clv_alloc_zeroed(j->num_steps + 1, sizeof *all->steps);
    all->unit_bytes = clv_alloc_zeroed(request->num_units + 1, sizeof *all->unit_bytes);
    if (j->at == NULL || j->is_received == NULL || j->staging == NULL ||
        out->first_storage == NULL || out->memory_bytes == NULL || out->memory_of_unit == NULL ||
        all->steps == NULL || all->unit_bytes == NULL) {
        return no_memory();
    }
    out->num_memories = num_memories;
    out->num_units = all->num_units = request->num_units;
    for (size_t i = 0; i < num_moves; i++) {
        j->staging[i] = CLV_NO_STORAGE;
    }
    for (uint32_t i = 0; i < request->num_units; i++) {
        out->memory_of_unit[i] = request->units[i].memory;
    }
    return NULL;
}

static clv_status *join(joiner *j) {
    clv_joined *out = j->out;
    CLV_TRY(allocate(j));
    for (uint32_t m = 0; m < out->num_memories; m++) {
        CLV_TRY(add_part(j, m));
    }
    CLV_TRY(add_programs(j));
    find_received(j);
    for (uint32_t m; (m = next_memory(j)) != CLV_NO_INDEX;) {
        CLV_TRY(do_next(j, m));
    }
    CLV_TRY(place_staging(j));
    return note_blocks(out);
}

clv_status *clv_lower_join(const clv_join_request *request, clv_joined *out_joined) {
    *out_joined = (clv_joined){.all = {.graph = request->parts[0].graph}};
    clv_arena_init(&out_joined->all.arena, 0);
    joiner j = {.request = request, .out = out_joined};
    clv_status *status = join(&j);
    clv_free(j.at);
    clv_free(j.is_received);
    clv_free(j.staging);
    if (status != NULL) {
        clv_joined_deinit(out_joined);
    }
    return status;
}

void clv_joined_deinit(clv_joined *joined) {
    clv_lowered_deinit(&joined->all);
    clv_free(joined->first_storage);
    clv_free(joined->memory_of_unit);
    clv_free(joined->block_memory);
    clv_free(joined->memory_bytes);
    *joined = (clv_joined){.num_memories = 0};
}
