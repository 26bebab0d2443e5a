/* Bytes of tensors that pieces need of each other, and what of them crosses to another memory at
 * once. The executor moves just that (host/exec/pieces_span.c has the same rules). */
#include "partition/evaluate.h"

/* Positions `low` to `high` of the tensor's axis that a piece needs, as parts of its extent; false:
 * the whole tensor. As clv_split_slice has it. */
static bool needed_range(
    const clv_task_tensor *tensor, const clv_task_split *split, const clv_task_split_input *input,
    const clv_piece *piece, double *out_low, double *out_high) {
    double num = (double)input->num, den = (double)input->den;
    double extent = tensor->num_dims > input->axis ? (double)tensor->dims[input->axis]
                                                   : ceil((double)split->extent * num / den);
    double low = floor((double)piece->begin * num / den) - (double)input->before;
    double high = floor((double)piece->end * num / den) + (double)input->after;
    if (extent <= 0) {
        return false;
    }
    *out_low = fmin(fmax(low, 0), extent) / extent;
    *out_high = fmin(fmax(high, 0), extent) / extent;
    return true;
}

double clv_piece_bytes(
    const clv_costs *costs, uint32_t task, uint32_t input, const clv_placement *placement,
    const clv_piece *piece, const clv_placement *producer, const clv_piece *source) {
    const clv_workload *workload = costs->workload;
    const clv_task *reader = &workload->tasks[task];
    const clv_task_tensor *tensor = &workload->tensors[reader->inputs[input]];
    double low = 0, high = 1;
    int32_t axis = -1;
    if (placement->split >= 0) {
        const clv_task_split *split = &reader->splits[placement->split];
        const clv_task_split_input *need = &split->inputs[input];
        if (need->need == CLV_TASK_SLICE && needed_range(tensor, split, need, piece, &low, &high)) {
            axis = need->axis;
        }
    }
    double share = high > low ? high - low : 0;
    if (producer != NULL && producer->split >= 0) {
        const clv_task_split *split = &workload->tasks[tensor->producer].splits[producer->split];
        double extent = (double)split->extent;
        double begin = (double)source->begin / extent, end = (double)source->end / extent;
        if (split->join == CLV_TASK_PLACE && (axis < 0 || axis == split->axis)) {
            share = fmax(0, fmin(high, end) - fmax(low, begin));
        } else if (split->join == CLV_TASK_PLACE) {
            share *= end - begin;
        }
    }
    return share * (double)tensor->bytes;
}

/* --- what goes at once ----------------------------------------------------------------------- */

/* Of what the caller gives, positions that lie in too many runs are not taken apart. */
static bool is_taken_whole(const clv_task_tensor *tensor, int32_t axis) {
    double runs = 1;
    for (int32_t i = 0; i < axis && i < tensor->num_dims; i++) {
        runs *= (double)tensor->dims[i];
    }
    return tensor->producer == CLV_NO_TASK && runs > CLV_MOST_RUNS;
}

static clv_moved needed_span(
    const clv_costs *costs, uint32_t task, uint32_t input, const clv_placement *placement,
    const clv_piece *piece) {
    const clv_task *reader = &costs->workload->tasks[task];
    const clv_task_tensor *tensor = &costs->workload->tensors[reader->inputs[input]];
    clv_moved span = {.axis = -1, .low = 0, .high = 1};
    if (placement->split >= 0 && placement->num_pieces > 1) {
        const clv_task_split *split = &reader->splits[placement->split];
        const clv_task_split_input *need = &split->inputs[input];
        if (need->need == CLV_TASK_SLICE && !is_taken_whole(tensor, need->axis) &&
            needed_range(tensor, split, need, piece, &span.low, &span.high)) {
            span.axis = span.low > 0 || span.high < 1 ? need->axis : -1;
        }
    }
    return span;
}

static bool include(clv_moved *span, const clv_moved *other) {
    const bool all = other->axis != span->axis;
    const double low = all ? 0 : fmin(other->low, span->low);
    const double high = all ? 1 : fmax(other->high, span->high);
    const bool touches =
        all || (other->low < other->high && other->low <= span->high && other->high >= span->low);
    if (!touches || (low == span->low && high == span->high)) {
        return false;
    }
    span->low = low;
    span->high = high;
    return true;
}

/* By what all pieces on a memory need. */
static void widen(
    const clv_costs *costs, const clv_group *group, uint32_t tensor_index, uint32_t memory,
    clv_moved *span) {
    const clv_workload *workload = costs->workload;
    const clv_task_tensor *tensor = &workload->tensors[tensor_index];
    bool has_grown = true;
    while (has_grown && (span->low > 0 || span->high < 1)) {
        has_grown = false;
        for (uint32_t i = 0; i < tensor->num_consumers; i++) {
            const uint32_t task = tensor->consumers[i];
            const clv_placement *p = &group->placements[task];
            uint32_t input = 0;
            while (workload->tasks[task].inputs[input] != tensor_index) {
                input++;
            }
            for (uint32_t k = 0; k < p->num_pieces; k++) {
                const clv_piece *piece = &group->pieces[p->first_piece + k];
                if (costs->machine->units[piece->unit].memory == memory) {
                    const clv_moved other = needed_span(costs, task, input, p, piece);
                    has_grown = include(span, &other) || has_grown;
                }
            }
        }
    }
}

clv_moved clv_moved_of(
    const clv_costs *costs, const clv_group *group, uint32_t task, uint32_t input,
    const clv_piece *piece, const clv_piece *source) {
    const clv_workload *workload = costs->workload;
    const uint32_t tensor_index = workload->tasks[task].inputs[input];
    const clv_task_tensor *tensor = &workload->tensors[tensor_index];
    const uint32_t memory = costs->machine->units[piece->unit].memory;
    const clv_placement *placement = &group->placements[task];
    const clv_placement *producer =
        tensor->producer != CLV_NO_TASK ? &group->placements[tensor->producer] : NULL;
    const clv_task_split *made =
        producer != NULL && producer->split >= 0 && producer->num_pieces > 1
            ? &workload->tasks[tensor->producer].splits[producer->split]
            : NULL;
    clv_moved span = needed_span(costs, task, input, placement, piece);
    if (span.axis >= 0 && (made == NULL || made->join == CLV_TASK_SUM || made->axis == span.axis)) {
        widen(costs, group, tensor_index, memory, &span);
    }
    span.bytes = (span.high - span.low) * (double)tensor->bytes;
    if (made != NULL && made->join == CLV_TASK_PLACE) {
        const double begin = (double)source->begin / (double)made->extent;
        const double end = (double)source->end / (double)made->extent;
        if (span.axis < 0 || span.axis == made->axis) {
            span.axis = made->axis;
            span.low = fmax(span.low, begin);
            span.high = fmax(span.low, fmin(span.high, end));
            span.bytes = (span.high - span.low) * (double)tensor->bytes;
        } else {
            span.bytes *= end - begin;
        }
    } else if (span.low <= 0 && span.high >= 1) {
        span.axis = -1;
    }
    return span;
}
