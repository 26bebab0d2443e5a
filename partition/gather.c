/* What a piece's unit does before the piece: put its operands together where they were cut another
 * way than it needs them. Pieces along an axis lie side by side in memory where all axes before it
 * have one position, and what is read along such an axis is a run; everything else is copied.
 */
#include "partition/evaluate.h"

static bool is_run(const clv_task_tensor *tensor, int32_t axis) {
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

/* Whether the piece was measured with its operand cut as it is: by the same split, or whole where
 * there is none. */
static bool is_measured(
    const clv_task *producer, const clv_placement *placement, const clv_placement *from) {
    const int32_t usual = (uint32_t)placement->split < producer->num_splits ? placement->split : -1;
    return placement->split >= 0 && from->split == usual;
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
    if (made == needed || is_measured(maker, placement, producer)) {
        return 0;
    }
    double bytes = 0;
    if (made >= 0 && (needed >= 0 || !is_run(tensor, made))) {
        bytes += (double)tensor->bytes;
    }
    if (needed >= 0 && (made >= 0 || !is_run(tensor, needed))) {
        bytes += clv_piece_bytes(costs, task, input, placement, piece, NULL, NULL);
    }
    const clv_unit *unit = &costs->machine->units[piece->unit];
    const double bandwidth =
        fmin(unit->bandwidth, costs->machine->memories[unit->memory].bandwidth);
    return isinf(bandwidth) ? 0 : 2 * bytes / bandwidth * 1e6 / unit->speed; /* a read, a write */
}

double clv_group_piece_us(
    const clv_costs *costs, const clv_group *group, uint32_t task, const clv_piece *piece) {
    const clv_task *t = &costs->workload->tasks[task];
    const clv_placement *p = &group->placements[task];
    double time_us = clv_piece_time_us(costs, task, p, piece);
    for (uint32_t i = 0; i < t->num_inputs; i++) {
        const uint32_t producer = costs->workload->tensors[t->inputs[i]].producer;
        if (producer != CLV_NO_TASK) {
            time_us += clv_gather_us(costs, task, i, p, piece, &group->placements[producer]);
        }
    }
    return time_us;
}
