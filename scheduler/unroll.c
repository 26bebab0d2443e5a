#include "scheduler/unroll.h"

#include "host/base/memory.h"
#include "partition/evaluate.h"

#include <math.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a schedule")
#define NONE CLV_NO_INDEX

/* Sends of one source (a step, or an input of the workload), as a list. */
typedef struct send_entry {
    uint32_t step, tensor, hop, next;
    int32_t axis; /* of the span that it carries */
    double low, high;
} send_entry;

typedef struct unroller {
    const clv_costs *costs;
    const clv_group *group;
    clv_needs *needs;
    uint32_t num_chunks;
    clv_unrolled *out;
    uint32_t *piece_step;  /* [num_pieces]: that has the piece's output: its launch or the join */
    uint32_t *last_launch; /* [num_units]: of this request, where the order is strict */
    uint32_t *first_send;  /* [capacity_lists]: by source step, then by input tensor */
    uint32_t *first_input; /* [num_tensors] */
    size_t capacity_lists;
    send_entry *sends;
    size_t num_sends, capacity_sends;
    size_t barrier_begin, barrier_end; /* serial: the steps that the next one comes after */
} unroller;

void clv_unrolled_deinit(clv_unrolled *unrolled) {
    clv_free(unrolled->steps);
    clv_free(unrolled->waits);
    *unrolled = (clv_unrolled){0};
}

/* --- growing --- */

static clv_status *add_wait(unroller *u, uint32_t step) {
    clv_unrolled *out = u->out;
    if (!clv_array_reserve(
            (void **)&out->waits, &out->capacity_waits, out->num_waits + 1, sizeof *out->waits)) {
        return NO_MEMORY_HERE();
    }
    out->waits[out->num_waits++] = step;
    return NULL;
}

/* Ends the reads of a step: from here on its waits are for order alone. The waits of a step are
 * those since `first`. */
static clv_status *add_step(
    unroller *u, const clv_schedule_step *step, size_t first, bool is_beside, uint32_t *out_step) {
    clv_unrolled *out = u->out;
    size_t index = out->num_steps;
    uint32_t num_reads = (uint32_t)(out->num_waits - first);
    if (u->group->is_serial) {
        if (!is_beside) {
            u->barrier_begin = u->barrier_end;
            u->barrier_end = index;
        }
        for (size_t i = u->barrier_begin; i < u->barrier_end; i++) {
            CLV_TRY(add_wait(u, (uint32_t)i));
        }
    } else if (step->kind == CLV_SCHEDULE_LAUNCH && u->group->order != NULL && step->chunk == 0) {
        uint32_t *last = &u->last_launch[step->resources[0]];
        if (*last != NONE) {
            CLV_TRY(add_wait(u, *last));
        }
        *last = (uint32_t)index;
    }
    size_t lists = u->capacity_lists;
    if (index >= (size_t)INT32_MAX ||
        !clv_array_reserve(
            (void **)&out->steps, &out->capacity_steps, index + 1, sizeof *out->steps) ||
        !clv_array_reserve(
            (void **)&u->first_send, &u->capacity_lists, index + 1, sizeof *u->first_send)) {
        return NO_MEMORY_HERE();
    }
    for (size_t i = lists; i < u->capacity_lists; i++) {
        u->first_send[i] = NONE;
    }
    out->steps[index] = *step;
    out->steps[index].first_wait = first;
    out->steps[index].num_reads = num_reads;
    out->steps[index].num_waits = (uint32_t)(out->num_waits - first);
    out->num_steps++;
    *out_step = (uint32_t)index;
    return NULL;
}

/* --- transfers --- */

typedef struct route {
    uint32_t source; /* step, or NONE for the workload's input */
    uint32_t tensor;
    uint32_t from_unit, to_unit; /* NONE: only the memory is meant */
    uint32_t from_memory, to_memory;
    clv_moved span;
} route;

static void occupy(clv_schedule_step *step, const clv_machine *machine, uint32_t unit) {
    if (unit == NONE || machine->units[unit].overlaps) {
        return;
    }
    for (int i = 1; i < CLV_STEP_RESOURCES; i++) {
        if (step->resources[i] == NONE || step->resources[i] == unit) {
            step->resources[i] = unit;
            return;
        }
    }
}

static clv_status *find_send(
    unroller *u, const route *r, uint32_t hop, uint32_t before, uint32_t *out_step) {
    const clv_machine *machine = u->costs->machine;
    uint32_t list = r->source != NONE ? u->first_send[r->source] : u->first_input[r->tensor];
    for (uint32_t i = list; i != NONE; i = u->sends[i].next) {
        const send_entry *known = &u->sends[i];
        if (known->tensor == r->tensor && known->hop == hop && known->axis == r->span.axis &&
            known->low == r->span.low && known->high == r->span.high) {
            *out_step = known->step;
            return NULL;
        }
    }
    bool is_half = machine->links[hop / 2].half_duplex;
    clv_schedule_step step = {
        .kind = CLV_SCHEDULE_SEND,
        .task = u->costs->workload->tensors[r->tensor].producer,
        .tensor = r->tensor,
        .piece = NONE,
        .resources = {machine->num_units + (is_half ? hop / 2 * 2 : hop), NONE, NONE}};
    step.bytes = (uint64_t)(r->span.bytes + 0.5);
    step.duration_us = clv_link_time_us(&machine->links[hop / 2], r->span.bytes);
    size_t first = u->out->num_waits;
    if (before != NONE) {
        CLV_TRY(add_wait(u, before));
    }
    CLV_TRY(add_step(u, &step, first, false, out_step));
    if (!clv_array_reserve(
            (void **)&u->sends, &u->capacity_sends, u->num_sends + 1, sizeof *u->sends)) {
        return NO_MEMORY_HERE();
    }
    uint32_t *head = r->source != NONE ? &u->first_send[r->source] : &u->first_input[r->tensor];
    u->sends[u->num_sends] = (send_entry){
        .step = *out_step,
        .tensor = r->tensor,
        .hop = hop,
        .next = *head,
        .axis = r->span.axis,
        .low = r->span.low,
        .high = r->span.high};
    *head = (uint32_t)u->num_sends++;
    return NULL;
}

/* The step after which the bytes are there: the last hop, or the source itself. */
static clv_status *bring(unroller *u, const route *r, uint32_t *out_step) {
    const clv_machine *machine = u->costs->machine;
    clv_path path;
    uint32_t before = r->source;
    *out_step = r->source;
    if (r->from_memory == r->to_memory || r->span.bytes <= 0) {
        return NULL;
    }
    CLV_TRY(clv_routes_path(u->costs->routes, r->from_memory, r->to_memory, r->span.bytes, &path));
    if (path.count == CLV_NO_INDEX) {
        return CLV_ERROR(
            UNSUPPORTED, "no link leads from memory '%s' to '%s'",
            machine->memories[r->from_memory].name, machine->memories[r->to_memory].name);
    }
    for (uint32_t i = 0; i < path.count; i++) {
        uint32_t step;
        CLV_TRY(find_send(u, r, path.hops[i], before, &step));
        occupy(&u->out->steps[step], machine, i == 0 ? r->from_unit : NONE);
        occupy(&u->out->steps[step], machine, i + 1 == path.count ? r->to_unit : NONE);
        if (i + 1 == path.count && r->to_unit != NONE) {
            u->out->steps[step].piece = r->to_unit;
        }
        before = step;
    }
    *out_step = before;
    return NULL;
}

/* --- tasks --- */

static const clv_task_split *split_of(const unroller *u, uint32_t task) {
    int32_t split = u->group->placements[task].split;
    return split >= 0 ? &u->costs->workload->tasks[task].splits[split] : NULL;
}

static bool is_sum(const unroller *u, uint32_t task) {
    const clv_task_split *split = split_of(u, task);
    return split != NULL && split->join == CLV_TASK_SUM &&
           u->group->placements[task].num_pieces > 1;
}

/* Within a memory nothing goes anywhere. */
static clv_status *find_span(
    const unroller *u, uint32_t task, uint32_t input, const clv_piece *piece,
    const clv_piece *source, route *r) {
    r->span = (clv_moved){.axis = -1};
    return r->from_memory == r->to_memory
               ? NULL
               : clv_moved_of(u->needs, task, input, piece, source, &r->span);
}

/* What one input needs of all who hold it. `needed` collects steps; the caller turns them to waits,
 * since making a transfer adds waits of its own. */
typedef struct step_list {
    uint32_t *steps;
    size_t count, capacity;
} step_list;

static clv_status *list_add(step_list *list, uint32_t step) {
    if (step == NONE) {
        return NULL;
    }
    for (size_t i = 0; i < list->count && list->count <= 16; i++) {
        if (list->steps[i] == step) {
            return NULL;
        }
    }
    if (!clv_array_reserve(
            (void **)&list->steps, &list->capacity, list->count + 1, sizeof *list->steps)) {
        return NO_MEMORY_HERE();
    }
    list->steps[list->count++] = step;
    return NULL;
}

static clv_status *need_input(
    unroller *u, uint32_t task, uint32_t input, const clv_piece *piece, step_list *needed) {
    const clv_workload *workload = u->costs->workload;
    const clv_machine *machine = u->costs->machine;
    uint32_t tensor = workload->tasks[task].inputs[input];
    uint32_t producer = workload->tensors[tensor].producer, step;
    route r = {
        .source = NONE,
        .tensor = tensor,
        .from_unit = NONE,
        .to_unit = piece->unit,
        .from_memory = clv_machine_home(machine),
        .to_memory = machine->units[piece->unit].memory};
    const clv_placement *placement = &u->group->placements[task];
    if (producer == CLV_NO_TASK) {
        CLV_TRY(find_span(u, task, input, piece, NULL, &r));
        CLV_TRY(bring(u, &r, &step));
        return list_add(needed, step);
    }
    const clv_placement *from = &u->group->placements[producer];
    uint32_t holders = is_sum(u, producer) ? 1 : from->num_pieces;
    for (uint32_t k = 0; k < holders; k++) {
        const clv_piece *source = &u->group->pieces[from->first_piece + k];
        if (clv_piece_bytes(u->costs, task, input, placement, piece, from, source) <= 0 &&
            workload->tensors[tensor].bytes > 0) {
            continue;
        }
        r.source = u->piece_step[from->first_piece + k];
        r.from_unit = source->unit;
        r.from_memory = machine->units[source->unit].memory;
        CLV_TRY(find_span(u, task, input, piece, source, &r));
        CLV_TRY(bring(u, &r, &step));
        CLV_TRY(list_add(needed, step));
    }
    return NULL;
}

static clv_status *add_waits(unroller *u, const step_list *list, size_t *out_first) {
    *out_first = u->out->num_waits;
    for (size_t i = 0; i < list->count; i++) {
        CLV_TRY(add_wait(u, list->steps[i]));
    }
    return NULL;
}

static double share_of(const unroller *u, uint32_t task, const clv_piece *piece) {
    const clv_task_split *split = split_of(u, task);
    return split != NULL ? (double)(piece->end - piece->begin) / (double)split->extent : 1;
}

static void set_launch_time(
    const unroller *u, uint32_t task, const clv_piece *piece, clv_schedule_step *step) {
    const clv_placement *placement = &u->group->placements[task];
    step->duration_us = clv_group_piece_us(u->costs, u->group, task, piece);
    step->traffic_us = clv_piece_traffic_us(u->costs, task, placement, piece);
}

static uint64_t output_bytes(const clv_workload *workload, uint32_t task) {
    double bytes = 0;
    for (uint32_t o = 0; o < workload->tasks[task].num_outputs; o++) {
        const clv_task_tensor *tensor = &workload->tensors[workload->tasks[task].outputs[o]];
        bytes +=
            fmax((double)tensor->bytes, (double)tensor->resident); /* read by nobody: 0 cross */
    }
    return bytes < 1e18 ? (uint64_t)bytes : (uint64_t)1e18;
}

/* Chunks of a launch, each ready with it; then a step of no time that stands for all of them. */
static clv_status *add_launch(
    unroller *u, clv_schedule_step *step, const step_list *needed, bool is_beside,
    uint32_t *out_step) {
    const clv_task *task = &u->costs->workload->tasks[step->task];
    size_t first;
    uint32_t chunks = u->num_chunks;
    const clv_unit *unit = &u->costs->machine->units[step->resources[0]];
    if (chunks < 2 || task->num_splits == 0 || unit->slots > 0 || u->group->is_serial) {
        CLV_TRY(add_waits(u, needed, &first));
        return add_step(u, step, first, is_beside, out_step);
    }
    const clv_task_split *split = &task->splits[0];
    int64_t most = split->extent / (split->grain > 0 ? split->grain : 1);
    chunks = most < chunks ? (most > 1 ? (uint32_t)most : 1) : chunks;
    clv_schedule_step chunk = *step;
    chunk.duration_us *= clv_task_split_part(split, 1.0 / chunks);
    chunk.traffic_us = fmin(step->traffic_us / chunks, chunk.duration_us);
    chunk.holds_slot = false;
    uint32_t first_chunk = (uint32_t)u->out->num_steps;
    for (uint32_t i = 0; i < chunks; i++) {
        uint32_t index;
        chunk.chunk = (uint16_t)i;
        chunk.bytes = step->bytes / chunks + (i < step->bytes % chunks ? 1 : 0);
        CLV_TRY(add_waits(u, needed, &first));
        CLV_TRY(add_step(u, &chunk, first, is_beside || i > 0, &index));
    }
    step->kind = CLV_SCHEDULE_JOIN;
    step->duration_us = step->traffic_us = 0;
    first = u->out->num_waits;
    for (uint32_t i = 0; i < chunks; i++) {
        CLV_TRY(add_wait(u, first_chunk + i));
    }
    return add_step(u, step, first, false, out_step);
}

static double add_time_us(const clv_costs *costs, uint32_t unit, double bytes) {
    const clv_unit *u = &costs->machine->units[unit];
    double bandwidth = fmin(u->bandwidth, costs->machine->memories[u->memory].bandwidth);
    return isinf(bandwidth) ? 0 : 3 * bytes / bandwidth * 1e6 / u->speed; /* two reads, a write */
}

/* Partial sums go to the first piece's unit, which adds them. */
static clv_status *add_join(unroller *u, uint32_t task, step_list *needed) {
    const clv_workload *workload = u->costs->workload;
    const clv_machine *machine = u->costs->machine;
    const clv_placement *p = &u->group->placements[task];
    const clv_piece *pieces = &u->group->pieces[p->first_piece];
    uint32_t *piece_step = &u->piece_step[p->first_piece], step;
    clv_schedule_step join = {
        .kind = CLV_SCHEDULE_JOIN,
        .holds_slot = true,
        .task = task,
        .tensor = NONE,
        .piece = p->first_piece,
        .bytes = output_bytes(workload, task),
        .resources = {pieces[0].unit, NONE, NONE}};
    size_t first;
    needed->count = 0;
    CLV_TRY(list_add(needed, piece_step[0]));
    for (uint32_t k = 1; k < p->num_pieces; k++) {
        for (uint32_t o = 0; o < workload->tasks[task].num_outputs; o++) {
            uint32_t tensor = workload->tasks[task].outputs[o];
            route r = {
                .source = piece_step[k],
                .tensor = tensor,
                .from_unit = pieces[k].unit,
                .to_unit = pieces[0].unit,
                .from_memory = machine->units[pieces[k].unit].memory,
                .to_memory = machine->units[pieces[0].unit].memory,
                .span = {.axis = -1, .high = 1, .bytes = (double)workload->tensors[tensor].bytes}};
            CLV_TRY(bring(u, &r, &step));
            CLV_TRY(list_add(needed, step));
            join.duration_us += add_time_us(u->costs, pieces[0].unit, r.span.bytes);
        }
    }
    CLV_TRY(add_waits(u, needed, &first));
    return add_step(u, &join, first, false, &piece_step[0]);
}

/* Outputs of the workload go to the memory that holds them. */
static clv_status *send_outputs(unroller *u, uint32_t task) {
    const clv_workload *workload = u->costs->workload;
    const clv_machine *machine = u->costs->machine;
    const clv_placement *p = &u->group->placements[task];
    uint32_t holders = is_sum(u, task) ? 1 : p->num_pieces, step;
    for (uint32_t o = 0; o < workload->tasks[task].num_outputs; o++) {
        uint32_t tensor = workload->tasks[task].outputs[o];
        for (uint32_t k = 0; workload->tensors[tensor].is_output && k < holders; k++) {
            const clv_piece *piece = &u->group->pieces[p->first_piece + k];
            const clv_task_split *split = holders > 1 ? split_of(u, task) : NULL;
            clv_moved span = {.axis = -1, .high = 1};
            if (split != NULL) {
                span.axis = split->axis;
                span.low = (double)piece->begin / (double)split->extent;
                span.high = (double)piece->end / (double)split->extent;
            }
            span.bytes = (span.high - span.low) * (double)workload->tensors[tensor].bytes;
            route r = {
                .source = u->piece_step[p->first_piece + k],
                .tensor = tensor,
                .from_unit = piece->unit,
                .to_unit = NONE,
                .from_memory = machine->units[piece->unit].memory,
                .to_memory = clv_machine_home(machine),
                .span = span};
            CLV_TRY(bring(u, &r, &step));
        }
    }
    return NULL;
}

static clv_status *add_piece(unroller *u, uint32_t task, uint32_t k, step_list *needed) {
    const clv_workload *workload = u->costs->workload;
    const clv_placement *p = &u->group->placements[task];
    const clv_piece *piece = &u->group->pieces[p->first_piece + k];
    needed->count = 0;
    for (uint32_t i = 0; i < workload->tasks[task].num_inputs; i++) {
        CLV_TRY(need_input(u, task, i, piece, needed));
    }
    bool sum = is_sum(u, task);
    clv_schedule_step step = {
        .kind = CLV_SCHEDULE_LAUNCH,
        .holds_slot = !sum,
        .task = task,
        .tensor = NONE,
        .piece = p->first_piece + k,
        .resources = {piece->unit, NONE, NONE}};
    double share = sum ? 1 : share_of(u, task, piece);
    step.bytes = (uint64_t)((double)output_bytes(workload, task) * share);
    set_launch_time(u, task, piece, &step);
    if (isinf(step.duration_us)) {
        return CLV_ERROR(
            UNSUPPORTED, "the plan puts task '%s' on unit '%s', which cannot run it",
            workload->tasks[task].name, u->costs->machine->units[piece->unit].name);
    }
    return add_launch(u, &step, needed, k > 0, &u->piece_step[p->first_piece + k]);
}

static clv_status *unroll_tasks(unroller *u, step_list *needed) {
    for (uint32_t i = 0; i < u->costs->workload->num_tasks; i++) {
        uint32_t task = u->group->order != NULL ? u->group->order[i] : i;
        for (uint32_t k = 0; k < u->group->placements[task].num_pieces; k++) {
            CLV_TRY(add_piece(u, task, k, needed));
        }
        if (is_sum(u, task)) {
            CLV_TRY(add_join(u, task, needed));
        }
        CLV_TRY(send_outputs(u, task));
    }
    return NULL;
}

static uint32_t *new_indices(size_t count) {
    uint32_t *indices = clv_alloc((count + 1) * sizeof *indices);
    for (size_t i = 0; indices != NULL && i <= count; i++) {
        indices[i] = NONE;
    }
    return indices;
}

clv_status *clv_unroll_group(
    const clv_costs *costs, const clv_group *group, uint32_t num_chunks, uint32_t *scratch_of_unit,
    clv_unrolled *out_unrolled) {
    *out_unrolled = (clv_unrolled){0};
    unroller u = {
        .costs = costs,
        .group = group,
        .num_chunks = num_chunks,
        .out = out_unrolled,
        .piece_step = new_indices(group->num_pieces),
        .last_launch = scratch_of_unit,
        .first_input = new_indices(costs->workload->num_tensors)};
    step_list needed = {0};
    clv_status *status = clv_needs_create(costs, group, &u.needs);
    if (status == NULL) {
        status = u.piece_step != NULL && u.first_input != NULL ? unroll_tasks(&u, &needed)
                                                               : NO_MEMORY_HERE();
    }
    clv_needs_destroy(u.needs);
    for (size_t i = 0; i < group->num_pieces; i++) {
        scratch_of_unit[group->pieces[i].unit] = NONE;
    }
    clv_free(needed.steps);
    clv_free(u.piece_step);
    clv_free(u.first_input);
    clv_free(u.first_send);
    clv_free(u.sends);
    if (status != NULL) {
        clv_unrolled_deinit(out_unrolled);
    }
    return status;
}
