/* What a piece's unit does before the piece and while it reads: get what other units on its memory
 * wrote out of their caches, and put its operands together where they were cut another way than it
 * needs them. Pieces along an axis lie side by side in memory where all axes before it
 * have one position, and what is read along such an axis is a run; everything else is copied.
 */
#include "partition/evaluate.h"

bool clv_axis_is_run(const clv_task_tensor *tensor, int32_t axis) {
    for (int32_t i = 0; i < axis; i++) {
        if (i >= tensor->num_dims || tensor->dims[i] != 1) {
            return false;
        }
    }
    return true;
}

/* Along which a task's output lies in pieces; -1: whole. */
static int32_t made_along(const clv_task *task, const clv_placement *p) {
    const clv_task_split *split =
        p->split >= 0 && p->num_pieces > 1 ? &task->splits[p->split] : NULL;
    return split != NULL && split->join == CLV_TASK_PLACE ? split->axis : -1;
}

static int32_t needed_along(const clv_task *task, const clv_placement *p, uint32_t input) {
    const clv_task_split *split = p->split >= 0 ? &task->splits[p->split] : NULL;
    return split != NULL && split->inputs[input].need == CLV_TASK_SLICE ? split->inputs[input].axis
                                                                        : -1;
}

/* Whether the piece was measured with its operand cut as it is: by the split with the same number,
 * or in shares as well, and whole where there is none. */
static bool is_measured(
    const clv_task *task, const clv_task *producer, const clv_placement *placement,
    const clv_placement *from) {
    if (placement->split < 0) {
        return false;
    }
    const int32_t shares = clv_task_shares(producer);
    if (task->splits[placement->split].join == CLV_TASK_SHARE) {
        return from->split == shares;
    }
    const bool has_it = (uint32_t)placement->split < producer->num_splits;
    return from->split == (has_it && placement->split != shares ? placement->split : -1);
}

/* Estimates have it in them already, but not those of what takes no time. */
static bool is_counted_apart(const clv_costs *costs, uint32_t task, uint32_t unit) {
    return clv_costs_origin(costs, task, unit) == CLV_ORIGIN_MEASURED ||
           clv_costs_time_us(costs, task, unit) == 0;
}

double clv_gather_us(
    const clv_costs *costs, uint32_t task, uint32_t input, const clv_placement *placement,
    const clv_piece *piece, const clv_placement *producer) {
    const clv_task *t = &costs->workload->tasks[task];
    const clv_task_tensor *tensor = &costs->workload->tensors[t->inputs[input]];
    if (tensor->producer == CLV_NO_TASK || (placement->split < 0 && producer->split < 0) ||
        !is_counted_apart(costs, task, piece->unit)) {
        return 0;
    }
    const clv_task *maker = &costs->workload->tasks[tensor->producer];
    const int32_t made = made_along(maker, producer), needed = needed_along(t, placement, input);
    if (made == needed || is_measured(t, maker, placement, producer)) {
        return 0;
    }
    double bytes = 0;
    if (made >= 0 && (needed >= 0 || !clv_axis_is_run(tensor, made))) {
        bytes += (double)tensor->bytes;
    }
    if (needed >= 0 && (made >= 0 || !clv_axis_is_run(tensor, needed))) {
        bytes += clv_piece_bytes(costs, task, input, placement, piece, NULL, NULL);
    }
    const clv_unit *unit = &costs->machine->units[piece->unit];
    const double bandwidth =
        fmin(unit->bandwidth, costs->machine->memories[unit->memory].bandwidth);
    return isinf(bandwidth) ? 0 : 2 * bytes / bandwidth * 1e6 / unit->speed; /* a read, a write */
}

double clv_add_us(const clv_costs *costs, uint32_t unit, double bytes) {
    const clv_unit *u = &costs->machine->units[unit];
    const double bandwidth = fmin(u->bandwidth, costs->machine->memories[u->memory].bandwidth);
    return isinf(bandwidth) ? 0 : 3 * bytes / bandwidth * 1e6 / u->speed;
}

/* Time for so many bytes that other units on its memory wrote. */
static double exchange_us(const clv_costs *costs, uint32_t unit, double bytes) {
    const clv_unit *u = &costs->machine->units[unit];
    const double exchange = costs->machine->memories[u->memory].exchange;
    return isinf(exchange) ? 0 : bytes / exchange * 1e6 / u->speed;
}

static bool is_other_on_memory(const clv_costs *costs, uint32_t unit, uint32_t other) {
    const clv_unit *units = costs->machine->units;
    return unit != other && units[unit].memory == units[other].memory;
}

/* Pieces that hold output: of a SUM the first, where they are added up. */
static uint32_t num_holders(const clv_task *task, const clv_placement *p) {
    return p->split >= 0 && task->splits[p->split].join == CLV_TASK_SUM ? 1 : p->num_pieces;
}

double clv_exchange_us(
    const clv_costs *costs, uint32_t task, uint32_t input, const clv_placement *placement,
    const clv_piece *piece, const clv_placement *producer, const clv_piece *sources) {
    const clv_task *t = &costs->workload->tasks[task];
    const clv_task_tensor *tensor = &costs->workload->tensors[t->inputs[input]];
    const uint32_t memory = costs->machine->units[piece->unit].memory;
    double bytes = 0;
    if (isinf(costs->machine->memories[memory].exchange) || tensor->producer == CLV_NO_TASK ||
        clv_costs_time_us(costs, task, piece->unit) == 0) {
        return 0;
    }
    const clv_task *maker = &costs->workload->tasks[tensor->producer];
    if (is_measured(t, maker, placement, producer)) {
        return 0;
    }
    for (uint32_t i = 0; i < num_holders(maker, producer); i++) {
        if (is_other_on_memory(costs, piece->unit, sources[i].unit)) {
            bytes += clv_piece_bytes(costs, task, input, placement, piece, producer, &sources[i]);
        }
    }
    return exchange_us(costs, piece->unit, bytes);
}

/* The part of a tensor that other units on a unit's memory wrote. Who takes no time wrote nothing:
 * then it is that of what he has. */
static double part_of_others(
    const clv_costs *costs, const clv_group *group, uint32_t tensor, uint32_t unit, int depth) {
    const clv_workload *workload = costs->workload;
    const uint32_t producer = workload->tensors[tensor].producer;
    double part = 0, bytes = 0;
    if (producer == CLV_NO_TASK || depth == 0) {
        return 0;
    }
    const clv_task *task = &workload->tasks[producer];
    const clv_placement *p = &group->placements[producer];
    const clv_piece *pieces = &group->pieces[p->first_piece];
    if (p->split < 0 && clv_costs_time_us(costs, producer, pieces[0].unit) == 0) {
        for (uint32_t i = 0; i < task->num_inputs; i++) {
            const double size = (double)workload->tensors[task->inputs[i]].bytes;
            part += size * part_of_others(costs, group, task->inputs[i], unit, depth - 1);
            bytes += size;
        }
        return bytes > 0 ? part / bytes : 0;
    }
    for (uint32_t i = 0; i < num_holders(task, p); i++) {
        const double share = num_holders(task, p) == 1 ? 1
                                                       : (double)(pieces[i].end - pieces[i].begin) /
                                                             (double)task->splits[p->split].extent;
        part += is_other_on_memory(costs, unit, pieces[i].unit) ? share : 0;
    }
    return part;
}

/* The same in a plan, where it is known who wrote what one who takes no time has. */
static double exchange_in_group_us(
    const clv_costs *costs, const clv_group *group, uint32_t task, uint32_t input,
    const clv_piece *piece) {
    enum { MOST_IN_A_ROW = 8 };
    const clv_placement *p = &group->placements[task];
    const uint32_t tensor = costs->workload->tasks[task].inputs[input];
    const uint32_t producer = costs->workload->tensors[tensor].producer;
    const clv_placement *from = &group->placements[producer];
    const clv_piece *sources = &group->pieces[from->first_piece];
    if (from->split >= 0 || clv_costs_time_us(costs, producer, sources[0].unit) > 0) {
        return clv_exchange_us(costs, task, input, p, piece, from, sources);
    }
    if (clv_costs_time_us(costs, task, piece->unit) == 0 ||
        is_measured(&costs->workload->tasks[task], &costs->workload->tasks[producer], p, from)) {
        return 0;
    }
    return exchange_us(
        costs, piece->unit,
        clv_piece_bytes(costs, task, input, p, piece, NULL, NULL) *
            part_of_others(costs, group, tensor, piece->unit, MOST_IN_A_ROW));
}

double clv_group_piece_us(
    const clv_costs *costs, const clv_group *group, uint32_t task, const clv_piece *piece) {
    const clv_task *t = &costs->workload->tasks[task];
    const clv_placement *p = &group->placements[task];
    double time_us = clv_piece_time_us(costs, task, p, piece);
    const uint32_t memory = costs->machine->units[piece->unit].memory;
    const bool has_exchange = !isinf(costs->machine->memories[memory].exchange);
    for (uint32_t i = 0; i < t->num_inputs; i++) {
        const uint32_t producer = costs->workload->tensors[t->inputs[i]].producer;
        if (producer != CLV_NO_TASK) {
            time_us += clv_gather_us(costs, task, i, p, piece, &group->placements[producer]);
            time_us += has_exchange ? exchange_in_group_us(costs, group, task, i, piece) : 0;
        }
    }
    return time_us;
}
