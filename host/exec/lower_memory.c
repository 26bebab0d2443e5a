/* Slots and lifetimes of storages, places of all but constants, which those of other lists may
 * share (constants.h).
 *
 * What one unit alone touches needs one slot, however many requests are in flight: it works on one
 * at a time, in order; and shares memory with what else that unit alone touches, at other times.
 * What several units of one stage touch needs one slot too: they work on the same request, more or
 * less; and shares memory with what else is the stage's where what those units read and write, and
 * the order of each, keeps them apart already (step_order.h): none waits for another for its memory
 * alone. What crosses stages has a slot for each request that may be between the first and the last
 * of them, and memory of its own. Everything between one slot and the next stays ordered by what
 * steps read and write (program.h), so that none of this is a matter of correctness.
 *
 * Where steps have no fixed order it is one: every request in flight has memory of its own, and in
 * it those share a place whose steps are kept apart by what they read and write (step_order.h).
 */
#include "host/exec/lower_internal.h"

#include "host/base/memory.h"
#include "host/exec/step_order.h"

#define SHARED (UINT32_C(1) << 31) /* of several units, in one stage: its number is added */
#define CROSSING UINT32_MAX        /* of several stages */

/* Who touches a storage. */
typedef struct usage {
    uint32_t unit;  /* the only one; or SHARED and more, or CROSSING */
    uint32_t maker; /* who touches it first */
    uint32_t first_stage, last_stage;
    bool is_used;
    bool is_callers; /* a transfer of the caller's touches it, beside other requests' kernels */
} usage;

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for planning memory");
}

static uint32_t depth_of(const clv_lower_options *options) {
    return options->depth > 1 ? options->depth : 1;
}

/* --- who and when ---------------------------------------------------------------------------- */

static void note_stage(usage *u, uint32_t stage) {
    u->first_stage = stage < u->first_stage ? stage : u->first_stage;
    u->last_stage = stage > u->last_stage ? stage : u->last_stage;
}

static const clv_lower_port *port_of(const clv_lower_options *options, const clv_step *step) {
    const clv_lower_port *ports = step->kind == CLV_STEP_INPUT    ? options->inputs
                                  : step->kind == CLV_STEP_OUTPUT ? options->outputs
                                                                  : NULL;
    return ports != NULL && ports[step->index].is_move ? &ports[step->index] : NULL;
}

/* The stage of a step: its node's; of a move, that of its other end, where another unit is at it.
 * Of a transfer of the caller's, that of what it moves, which is where its unit is: unknown here,
 * so it counts for units only. */
static void note_use(const clv_lower_options *options, const clv_step *step, usage *u) {
    if (!u->is_used) {
        *u = (usage){
            .unit = step->unit, .maker = step->unit, .first_stage = UINT32_MAX, .is_used = true};
    }
    u->unit = u->unit == step->unit ? u->unit : SHARED;
    const clv_lower_port *port = port_of(options, step);
    if (port != NULL) {
        u->unit = SHARED;
        note_stage(u, port->stage);
    } else if (step->kind != CLV_STEP_LAUNCH) {
        u->is_callers = options->callers_overlap;
    } else if (step->kind == CLV_STEP_LAUNCH && options->places != NULL) {
        note_stage(u, options->places[step->index].stage);
    }
}

static void find_lifetimes(const clv_lower_options *options, clv_lowered *out, usage *usages) {
    for (size_t i = 0; i < out->num_storages; i++) {
        clv_memory_piece *piece = &out->storages[i].piece;
        piece->first_step = UINT32_MAX;
        piece->last_step = 0;
    }
    for (size_t i = 0; i < out->num_steps; i++) {
        for (uint32_t j = 0; j < out->steps[i].num_operands; j++) {
            const uint32_t storage = out->steps[i].operands[j].storage;
            if (storage == CLV_NO_STORAGE) {
                continue;
            }
            clv_memory_piece *piece = &out->storages[storage].piece;
            piece->first_step = piece->first_step < i ? piece->first_step : (uint32_t)i;
            piece->last_step = (uint32_t)i;
            note_use(options, &out->steps[i], &usages[storage]);
        }
    }
}

static void set_slots(
    const clv_lower_options *options, clv_lowered *out, clv_storage *storage, usage *u) {
    const uint32_t depth = depth_of(options);
    const uint32_t last = out->num_steps > 0 ? (uint32_t)out->num_steps - 1 : 0;
    clv_memory_piece *piece = &storage->piece;
    storage->slots = storage->kind == CLV_STORAGE_ERRORS ? depth : 1;
    if (piece->first_step == UINT32_MAX) {
        piece->bytes = 0; /* asked for, and used by no launch */
        piece->first_step = 0;
    } else if (storage->kind != CLV_STORAGE_VALUE || options->keep_all) {
        piece->first_step = storage->kind != CLV_STORAGE_VALUE ? 0 : piece->first_step;
        piece->last_step = last;
    }
    if (storage->kind == CLV_STORAGE_VALUE && options->any_order) {
        storage->slots = depth;
        u->unit = CROSSING;
    } else if (
        storage->kind == CLV_STORAGE_VALUE && depth > 1 && u->first_stage != UINT32_MAX &&
        (u->is_callers || (u->unit == SHARED && u->last_stage > u->first_stage))) {
        const uint32_t wanted = u->last_stage - u->first_stage + 1 + (u->is_callers ? 1 : 0);
        storage->slots = wanted < depth ? wanted : depth;
        u->unit = CROSSING;
        piece->first_step = 0;
        piece->last_step = last;
    } else if (u->unit == SHARED && depth > 1 && u->first_stage != UINT32_MAX) {
        u->unit += u->first_stage; /* stages are at different requests */
    }
    storage->stride = storage->kind == CLV_STORAGE_ERRORS ? clv_lowered_error_stride(out)
                                                          : clv_memory_align(piece->bytes);
}

/* --- places ---------------------------------------------------------------------------------- */

static bool is_of(const clv_storage *s, const usage *u, uint32_t unit) {
    return s->kind == CLV_STORAGE_VALUE && u->unit == unit;
}

/* Places share what steps keep apart: by what they read and write, and where steps have a fixed
 * order by that of each unit. Where they have none, this is one request's memory, which `depth`
 * requests have side by side. */
static clv_status *plan_by_steps(
    const clv_lowered *out, const clv_lower_options *options, const uint32_t *storages,
    clv_memory_piece *pieces, size_t count, clv_memory_plan *plan) {
    const clv_step_turns turns = !options->any_order  ? CLV_TURNS_UNITS
                                 : options->is_serial ? CLV_TURNS_ALL
                                                      : CLV_TURNS_NONE;
    const uint64_t most = options->max_block_bytes / (options->any_order ? depth_of(options) : 1);
    clv_step_order steps;
    uint64_t *before = NULL;
    CLV_TRY(clv_step_order_create(out, turns, &steps));
    clv_status *status =
        options->keep_all ? NULL : clv_step_order_storages(&steps, out, storages, count, &before);
    clv_step_order_deinit(&steps);
    if (status == NULL && before == NULL && !options->any_order) { /* too many to be told apart */
        status = clv_memory_plan_create(pieces, count, most, plan);
    } else if (status == NULL) {
        const clv_memory_order order = {.before = before, .words = count / 64 + 1};
        status = clv_memory_plan_create_unordered(pieces, count, &order, most, plan);
    }
    clv_free(before);
    return status;
}

/* Places the values of one unit in blocks of their own. */
static clv_status *plan_some(
    clv_lowered *out, const clv_lower_options *options, const usage *usages, uint32_t unit,
    clv_memory_plan *whole) {
    clv_memory_piece *pieces = clv_alloc_zeroed(out->num_storages + 1, sizeof *pieces);
    uint32_t *storages = clv_alloc_zeroed(out->num_storages + 1, sizeof *storages);
    clv_memory_plan plan = {.num_blocks = 0};
    clv_status *status = NULL;
    const bool any_order = options->any_order;
    size_t count = 0;
    CLV_TRY_DONE(pieces != NULL && storages != NULL ? NULL : no_memory());
    for (size_t i = 0; i < out->num_storages; i++) {
        const clv_storage *s = &out->storages[i];
        if (is_of(s, &usages[i], unit)) {
            pieces[count] = s->piece;
            pieces[count].bytes =
                s->slots > 1 && !any_order ? s->stride * s->slots : s->piece.bytes;
            storages[count++] = (uint32_t)i;
        }
    }
    if (any_order || (unit >= SHARED && unit != CROSSING)) {
        CLV_TRY_DONE(plan_by_steps(out, options, storages, pieces, count, &plan));
    } else {
        CLV_TRY_DONE(clv_memory_plan_create(pieces, count, options->max_block_bytes, &plan));
    }
#ifdef CLEAVE_VERIFY
    if (!any_order) {
        CLV_TRY_DONE(clv_memory_plan_verify(pieces, count, &plan));
    }
#endif
    for (size_t i = 0; i < count; i++) {
        clv_storage *s = &out->storages[storages[i]];
        s->piece.block = pieces[i].block + (uint32_t)whole->num_blocks;
        s->piece.offset = pieces[i].offset;
        s->stride =
            any_order && pieces[i].bytes != 0 ? plan.block_bytes[pieces[i].block] : s->stride;
    }
    if (any_order) {
        clv_memory_plan_repeat(&plan, depth_of(options));
    }
    CLV_TRY_DONE(clv_memory_plan_append(whole, &plan));
done:
    clv_memory_plan_deinit(&plan);
    clv_free(pieces);
    clv_free(storages);
    return status;
}

/* Bytes that a storage takes by itself. */
static double bytes_of(const clv_storage *s) {
    return (double)(clv_memory_align(s->piece.bytes) * s->slots);
}

static uint64_t part_of(uint64_t bytes, double part, double whole) {
    return part >= whole ? bytes : (uint64_t)(part / whole * (double)bytes);
}

/* Deals the bytes of a plan to those who make what is in it, in proportion to that. */
static void charge(
    clv_lowered *out, const usage *usages, uint32_t unit, uint64_t total_bytes, uint64_t bound) {
    double sum = 0;
    for (size_t i = 0; i < out->num_storages; i++) {
        const clv_storage *s = &out->storages[i];
        const bool counts = is_of(s, &usages[i], unit) && usages[i].is_used;
        sum += counts ? bytes_of(s) : 0;
    }
    double before = 0;
    for (size_t i = 0; i < out->num_storages && sum > 0; i++) {
        const clv_storage *s = &out->storages[i];
        if (!is_of(s, &usages[i], unit) || !usages[i].is_used) {
            continue;
        }
        const double after = before + bytes_of(s); /* whole numbers: exact */
        clv_unit_bytes *bytes = &out->unit_bytes[usages[i].maker];
        bytes->values += part_of(total_bytes, after, sum) - part_of(total_bytes, before, sum);
        bytes->values_bound += part_of(bound, after, sum) - part_of(bound, before, sum);
        before = after;
    }
}

static clv_status *plan_class(
    clv_lowered *out, const clv_lower_options *options, const usage *usages, uint32_t unit) {
    clv_memory_plan *plan = &out->values;
    const uint64_t before = plan->total_bytes, bound_before = plan->lower_bound;
    CLV_TRY(plan_some(out, options, usages, unit, plan));
    charge(out, usages, unit, plan->total_bytes - before, plan->lower_bound - bound_before);
    return NULL;
}

/* Those that have memory of several units. */
static uint32_t count_stages(const clv_lowered *out, const usage *usages) {
    uint32_t count = 0;
    for (size_t i = 0; i < out->num_storages; i++) {
        const uint32_t unit = usages[i].unit;
        if (unit >= SHARED && unit != CROSSING && unit - SHARED >= count) {
            count = unit - SHARED + 1;
        }
    }
    return count;
}

static clv_status *plan_all(
    clv_lowered *out, const clv_lower_options *options, const usage *usages) {
    for (size_t i = 0; i < out->num_steps; i++) {
        const uint32_t unit = out->steps[i].unit;
        out->num_units = unit >= out->num_units ? unit + 1 : out->num_units;
    }
    const uint32_t last = options->default_unit;
    out->num_units = last >= out->num_units ? last + 1 : out->num_units;
    out->unit_bytes = clv_alloc_zeroed(out->num_units, sizeof *out->unit_bytes);
    if (out->unit_bytes == NULL) {
        return no_memory();
    }
    for (uint32_t unit = 0; unit < out->num_units; unit++) {
        CLV_TRY(plan_class(out, options, usages, unit));
    }
    for (uint32_t stage = 0; stage < count_stages(out, usages); stage++) {
        CLV_TRY(plan_class(out, options, usages, SHARED + stage));
    }
    CLV_TRY(plan_class(out, options, usages, CROSSING));
    out->unit_bytes[last].errors = clv_lowered_error_bytes(out);
    return NULL;
}

clv_status *clv_lower_plan_memory(clv_lowered *out, const clv_lower_options *options) {
    usage *usages = clv_alloc_zeroed(out->num_storages + 1, sizeof *usages);
    if (usages == NULL) {
        return no_memory();
    }
    find_lifetimes(options, out, usages);
    for (size_t i = 0; i < out->num_storages; i++) {
        set_slots(options, out, &out->storages[i], &usages[i]);
    }
    clv_status *status = plan_all(out, options, usages);
    clv_free(usages);
    return status;
}
