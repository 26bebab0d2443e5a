/* Bytes of tensors that pieces need of each other, and what of them crosses to another memory at
 * once. The executor moves just that (host/exec/pieces_span.c has the same rules). */
#include "partition/evaluate.h"

#include "host/base/arena.h"
#include "host/base/memory.h"

#include <stdlib.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for what pieces need")

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
        if (split->join != CLV_TASK_SUM && (axis < 0 || axis == split->axis)) {
            share = fmax(0, fmin(high, end) - fmax(low, begin));
        } else if (split->join != CLV_TASK_SUM) {
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

/* What pieces on a memory need of a tensor and that hangs together. */
typedef struct span {
    uint32_t memory;
    int32_t axis; /* -1: all of it */
    double low, high;
} span;

typedef struct span_list {
    const span *spans; /* by memory, then ascending and apart */
    uint32_t count;
    bool is_known;
} span_list;

struct clv_needs {
    const clv_costs *costs;
    const clv_group *group;
    clv_arena arena;
    span_list *of_tensor; /* [num_tensors]: as they are asked for */
    span *scratch;
    size_t capacity;
};

clv_status *clv_needs_create(
    const clv_costs *costs, const clv_group *group, clv_needs **out_needs) {
    *out_needs = clv_alloc_zeroed(1, sizeof **out_needs);
    if (*out_needs == NULL) {
        return NO_MEMORY_HERE();
    }
    (*out_needs)->costs = costs;
    (*out_needs)->group = group;
    clv_arena_init(&(*out_needs)->arena, 0);
    (*out_needs)->of_tensor =
        clv_alloc_zeroed((size_t)costs->workload->num_tensors + 1, sizeof(span_list));
    if ((*out_needs)->of_tensor == NULL) {
        clv_needs_destroy(*out_needs);
        *out_needs = NULL;
        return NO_MEMORY_HERE();
    }
    return NULL;
}

void clv_needs_destroy(clv_needs *needs) {
    if (needs != NULL) {
        clv_arena_deinit(&needs->arena);
        clv_free(needs->of_tensor);
        clv_free(needs->scratch);
        clv_free(needs);
    }
}

static int compare_spans(const void *left, const void *right) {
    const span *a = left, *b = right;
    if (a->memory != b->memory) {
        return a->memory < b->memory ? -1 : 1;
    }
    return a->low < b->low ? -1 : a->low > b->low;
}

/* Joins those of each memory that overlap or touch, and all where their axes differ; returns how
 * many there are then. */
static uint32_t join_spans(span *spans, size_t count) {
    uint32_t num_joined = 0;
    for (size_t begin = 0, end; begin < count; begin = end) {
        bool is_one_axis = true;
        for (end = begin; end < count && spans[end].memory == spans[begin].memory; end++) {
            is_one_axis = is_one_axis && spans[end].axis == spans[begin].axis;
        }
        if (!is_one_axis) {
            spans[num_joined++] = (span){.memory = spans[begin].memory, .axis = -1, .high = 1};
            continue;
        }
        for (size_t i = begin, first = num_joined; i < end; i++) {
            const span next = spans[i];
            if (next.low >= next.high) {
                continue; /* nothing */
            }
            if (num_joined > first && next.low <= spans[num_joined - 1].high) {
                spans[num_joined - 1].high = fmax(spans[num_joined - 1].high, next.high);
            } else {
                spans[num_joined++] = next;
            }
        }
    }
    return num_joined;
}

static clv_status *find_spans(clv_needs *needs, uint32_t tensor_index) {
    const clv_costs *costs = needs->costs;
    const clv_task_tensor *tensor = &costs->workload->tensors[tensor_index];
    span_list *list = &needs->of_tensor[tensor_index];
    size_t count = 0;
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        const clv_placement *p = &needs->group->placements[tensor->consumers[i]];
        const uint32_t input = clv_reader_input(costs, tensor_index, i);
        if (!clv_array_reserve(
                (void **)&needs->scratch, &needs->capacity, count + p->num_pieces,
                sizeof *needs->scratch)) {
            return NO_MEMORY_HERE();
        }
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            const clv_piece *piece = &needs->group->pieces[p->first_piece + k];
            const clv_moved moved = needed_span(costs, tensor->consumers[i], input, p, piece);
            needs->scratch[count++] = (span){
                .memory = costs->machine->units[piece->unit].memory,
                .axis = moved.axis,
                .low = moved.low,
                .high = moved.high};
        }
    }
    if (count > 0) {
        qsort(needs->scratch, count, sizeof *needs->scratch, compare_spans);
        list->count = join_spans(needs->scratch, count);
        list->spans = clv_arena_copy(&needs->arena, needs->scratch, list->count * sizeof(span));
        if (list->spans == NULL) {
            return NO_MEMORY_HERE();
        }
    }
    list->is_known = true;
    return NULL;
}

/* By what all pieces on a memory need. */
static clv_status *widen(
    clv_needs *needs, uint32_t tensor_index, uint32_t memory, clv_moved *moved) {
    const span_list *list = &needs->of_tensor[tensor_index];
    if (!list->is_known) {
        CLV_TRY(find_spans(needs, tensor_index));
    }
    uint32_t first = 0, end = list->count; /* the first on the memory that does not end before */
    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        const span *s = &list->spans[middle];
        const bool is_before = s->memory < memory || (s->memory == memory && s->high < moved->low);
        first = is_before ? middle + 1 : first;
        end = is_before ? end : middle;
    }
    if (first == list->count || list->spans[first].memory != memory) {
        return NULL;
    }
    const span *joined = &list->spans[first];
    if (joined->axis != moved->axis) {
        moved->low = 0;
        moved->high = 1;
    } else if (joined->low <= moved->high) {
        moved->low = fmin(joined->low, moved->low);
        moved->high = fmax(joined->high, moved->high);
    }
    return NULL;
}

clv_status *clv_moved_of(
    clv_needs *needs, uint32_t task, uint32_t input, const clv_piece *piece,
    const clv_piece *source, clv_moved *out_moved) {
    const clv_costs *costs = needs->costs;
    const clv_group *group = needs->group;
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
    clv_moved moved = needed_span(costs, task, input, placement, piece);
    if (moved.axis >= 0 &&
        (made == NULL || made->join == CLV_TASK_SUM || made->axis == moved.axis)) {
        CLV_TRY(widen(needs, tensor_index, memory, &moved));
    }
    moved.bytes = (moved.high - moved.low) * (double)tensor->bytes;
    if (made != NULL && made->join != CLV_TASK_SUM) {
        const double begin = (double)source->begin / (double)made->extent;
        const double end = (double)source->end / (double)made->extent;
        if (moved.axis < 0 || moved.axis == made->axis) {
            moved.axis = made->axis;
            moved.low = fmax(moved.low, begin);
            moved.high = fmax(moved.low, fmin(moved.high, end));
            moved.bytes = (moved.high - moved.low) * (double)tensor->bytes;
        } else {
            moved.bytes *= end - begin;
        }
    } else if (moved.low <= 0 && moved.high >= 1) {
        moved.axis = -1;
    }
    *out_moved = moved;
    return NULL;
}
