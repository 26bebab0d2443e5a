#include "partition/evaluate.h"

#include "host/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct holding {
    clv_evaluator *ev;
    const clv_group *group;
    const uint32_t *position; /* [num_tasks] in the group's order; NULL: the index */
    uint32_t depth;
} holding;

static uint32_t position_of(const holding *h, uint32_t task) {
    return h->position != NULL ? h->position[task] : task;
}

static uint64_t part_of(uint64_t bytes, double share) {
    return share >= 1 ? bytes : (uint64_t)((double)bytes * share + 0.5);
}

static uint64_t add_capped(uint64_t a, uint64_t b) {
    return a > (uint64_t)INT64_MAX - b ? (uint64_t)INT64_MAX : a + b;
}

void clv_evaluate_hold(clv_evaluator *ev, uint32_t unit, uint64_t bytes) {
    if (ev->held[unit] == 0 && bytes > 0) {
        ev->holders[ev->num_holders++] = unit;
    }
    ev->held[unit] = add_capped(ev->held[unit], bytes);
}

/* Bytes of a tensor's part on a unit from one position to another; and its copies in flight. */
static clv_status *add_hold(
    const holding *h, uint32_t unit, uint64_t bytes, uint32_t begin, uint32_t end,
    uint32_t copies) {
    clv_evaluator *ev = h->ev;
    if (bytes == 0) {
        return NULL;
    }
    if (bytes > (uint64_t)INT64_MAX / 4) {
        bytes = (uint64_t)INT64_MAX / 4;
    }
    if (!clv_array_reserve(
            (void **)&ev->holds, &ev->capacity_holds, ev->num_holds + 2, sizeof *ev->holds)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for evaluating a plan");
    }
    ev->holds[ev->num_holds++] = (clv_hold){unit, 2 * (uint64_t)begin, (int64_t)bytes};
    ev->holds[ev->num_holds++] = (clv_hold){unit, 2 * (uint64_t)end + 1, -(int64_t)bytes};
    for (uint32_t i = 0; i < copies; i++) {
        clv_evaluate_hold(ev, unit, bytes);
    }
    return NULL;
}

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Positions of the first (or last) reader in each memory that has one. */
static void find_readers(
    const holding *h, const clv_task_tensor *tensor, bool is_last, double *positions) {
    const clv_machine *machine = h->ev->costs->machine;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < tensor->num_consumers; i++) {
            const clv_placement *p = &h->group->placements[tensor->consumers[i]];
            double at = position_of(h, tensor->consumers[i]);
            for (uint32_t k = 0; k < p->num_pieces; k++) {
                uint32_t unit = h->group->pieces[p->first_piece + k].unit;
                double *there = &positions[machine->units[unit].memory];
                *there = pass == 0 || (is_last ? at > *there : at < *there) ? at : *there;
            }
        }
    }
}

/* Readers in other memories: the first unit of each memory holds what its memory needs, from when
 * it is made (it comes at once) to its last reader there. */
static clv_status *add_readers(
    const holding *h, uint32_t tensor_index, uint32_t home, uint32_t from_stage) {
    const clv_costs *costs = h->ev->costs;
    const clv_machine *machine = costs->machine;
    const clv_task_tensor *tensor = &costs->workload->tensors[tensor_index];
    uint32_t begin = tensor->producer == CLV_NO_TASK ? 0 : position_of(h, tensor->producer);
    double *largest = h->ev->arrived_bytes;
    double *last = h->ev->arrived_us; /* position of the last reader in a memory */
    find_readers(h, tensor, true, last);
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        uint32_t task = tensor->consumers[i],
                 input = clv_reader_input(h->ev->costs, tensor_index, i);
        const clv_placement *p = &h->group->placements[task];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            const clv_piece *piece = &h->group->pieces[p->first_piece + k];
            uint32_t memory = machine->units[piece->unit].memory;
            double bytes = clv_piece_bytes(costs, task, input, p, piece, NULL, NULL);
            double share = tensor->bytes > 0 ? bytes / (double)tensor->bytes : 1;
            if (memory == home || share <= largest[memory]) {
                continue;
            }
            uint32_t distance = p->stage > from_stage ? p->stage - from_stage : 1;
            CLV_TRY(add_hold(
                h, piece->unit, part_of(tensor->resident, share - largest[memory]), begin,
                (uint32_t)last[memory], smaller(h->depth - 1, distance)));
            largest[memory] = share;
        }
    }
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        const clv_placement *p = &h->group->placements[tensor->consumers[i]];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            largest[machine->units[h->group->pieces[p->first_piece + k].unit].memory] = 0;
        }
    }
    return NULL;
}

/* Partial sums of other memories come to the first piece, which adds them. */
static clv_status *add_partial_sums(const holding *h, uint32_t tensor_index) {
    const clv_workload *workload = h->ev->costs->workload;
    const clv_machine *machine = h->ev->costs->machine;
    const clv_task_tensor *tensor = &workload->tensors[tensor_index];
    const clv_placement *p = &h->group->placements[tensor->producer];
    const clv_piece *pieces = &h->group->pieces[p->first_piece];
    uint32_t at = position_of(h, tensor->producer);
    if (p->split < 0 || workload->tasks[tensor->producer].splits[p->split].join != CLV_TASK_SUM) {
        return NULL;
    }
    for (uint32_t k = 1; k < p->num_pieces; k++) {
        if (machine->units[pieces[k].unit].memory != machine->units[pieces[0].unit].memory) {
            CLV_TRY(add_hold(h, pieces[0].unit, tensor->resident, at, at, 0));
        }
    }
    return NULL;
}

/* Where a tensor is made: held there until its last reader in that memory, and until others have
 * it; what leaves has a second copy while the next request runs. */
static clv_status *add_made(const holding *h, uint32_t tensor_index) {
    const clv_workload *workload = h->ev->costs->workload;
    const clv_machine *machine = h->ev->costs->machine;
    const clv_task_tensor *tensor = &workload->tensors[tensor_index];
    if (tensor->resident == 0) {
        return NULL;
    }
    if (tensor->producer == CLV_NO_TASK) {
        return add_readers(h, tensor_index, clv_machine_home(machine), 0);
    }
    const clv_placement *p = &h->group->placements[tensor->producer];
    CLV_TRY(add_partial_sums(h, tensor_index));
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        const clv_piece *piece = &h->group->pieces[p->first_piece + k];
        uint32_t memory = machine->units[piece->unit].memory;
        uint32_t last = position_of(h, tensor->producer);
        double *first = h->ev->arrived_us, sent = 0;
        bool leaves = tensor->is_output && memory != clv_machine_home(machine);
        find_readers(h, tensor, false, first);
        for (uint32_t c = 0; c < tensor->num_consumers; c++) {
            const clv_placement *reader = &h->group->placements[tensor->consumers[c]];
            uint32_t at = position_of(h, tensor->consumers[c]);
            bool is_here = false;
            for (uint32_t q = 0; q < reader->num_pieces; q++) {
                uint32_t unit = h->group->pieces[reader->first_piece + q].unit;
                is_here = is_here || machine->units[unit].memory == memory;
                sent = fmax(sent, first[machine->units[unit].memory]);
            }
            leaves = leaves || !is_here;
            last = is_here && at > last ? at : last;
        }
        last = leaves && sent > last ? (uint32_t)sent : last;
        const clv_task_split *split =
            p->split >= 0 ? &workload->tasks[tensor->producer].splits[p->split] : NULL;
        double share = split != NULL && split->join != CLV_TASK_SUM
                           ? (double)(piece->end - piece->begin) / (double)split->extent
                           : 1;
        CLV_TRY(add_hold(
            h, piece->unit, part_of(tensor->resident, share), position_of(h, tensor->producer),
            last, leaves ? smaller(h->depth - 1, 1) : 0));
    }
    return add_readers(
        h, tensor_index, machine->units[h->group->pieces[p->first_piece].unit].memory, p->stage);
}

static int compare_holds(const void *left, const void *right) {
    const clv_hold *a = left, *b = right;
    if (a->unit != b->unit) {
        return a->unit < b->unit ? -1 : 1;
    }
    if (a->when != b->when) {
        return a->when < b->when ? -1 : 1;
    }
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static void add_peaks(clv_evaluator *ev) {
    if (ev->num_holds > 0) {
        qsort(ev->holds, ev->num_holds, sizeof *ev->holds, compare_holds);
    }
    for (size_t i = 0; i < ev->num_holds;) {
        uint32_t unit = ev->holds[i].unit;
        uint64_t now = 0, peak = 0;
        for (; i < ev->num_holds && ev->holds[i].unit == unit; i++) {
            int64_t bytes = ev->holds[i].bytes;
            const uint64_t gone = bytes < 0 ? (uint64_t)-bytes : 0;
            now = bytes < 0 ? now - (gone < now ? gone : now) : add_capped(now, (uint64_t)bytes);
            peak = now > peak ? now : peak;
        }
        clv_evaluate_hold(ev, unit, peak);
    }
}

static uint64_t most_of(uint64_t bytes) {
    return bytes > (uint64_t)INT64_MAX / 4 ? INT64_MAX / 4 : bytes;
}

/* Weights, which stay, and scratch memory, while the task runs. */
static clv_status *add_task(const holding *h, uint32_t task_index) {
    clv_evaluator *ev = h->ev;
    const clv_group *group = h->group;
    const uint32_t at = position_of(h, task_index);
    const clv_task *task = &ev->costs->workload->tasks[task_index];
    const clv_placement *p = &group->placements[task_index];
    const clv_task_split *split = p->split >= 0 ? &task->splits[p->split] : NULL;
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        const clv_piece *piece = &group->pieces[p->first_piece + k];
        const double share =
            split != NULL ? (double)(piece->end - piece->begin) / (double)split->extent : 1;
        const bool is_cut = split != NULL && split->splits_weights;
        const uint64_t bytes = part_of(task->weight_bytes, is_cut ? share : 1);
        if (bytes > 0 && !clv_shared_weights_has(&ev->weights, ev->costs, task_index, p, piece)) {
            clv_evaluate_hold(ev, piece->unit, most_of(bytes));
        }
        CLV_TRY(add_hold(h, piece->unit, part_of(task->scratch_bytes, share), at, at, 0));
    }
    return NULL;
}

/* What the group holds by sums alone. */
static clv_status *add_sums(clv_evaluator *ev, const clv_group *group, uint32_t depth) {
    const clv_workload *workload = ev->costs->workload;
    holding h = {.ev = ev, .group = group, .depth = depth > 0 ? depth : 1};
    uint32_t *position = NULL;
    clv_status *status = NULL;
    CLV_TRY(clv_shared_weights_add(&ev->weights, ev->costs, group));
    if (group->order != NULL) {
        position = clv_alloc_zeroed(workload->num_tasks, sizeof *position);
        if (position == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for evaluating a plan");
        }
        for (uint32_t i = 0; i < workload->num_tasks; i++) {
            position[group->order[i]] = i;
        }
        h.position = position;
    }
    ev->num_holds = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        CLV_TRY_DONE(add_task(&h, i));
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        CLV_TRY_DONE(add_made(&h, i));
    }
    add_peaks(ev);
done:
    clv_free(position);
    return status;
}

clv_status *clv_evaluate_beside(clv_evaluator *ev, const clv_group *groups, uint32_t num_groups) {
    ev->groups_before = groups;
    ev->num_groups_before = num_groups;
    return clv_shared_weights_keep(&ev->weights, ev->costs, groups, num_groups);
}

clv_status *clv_evaluate_memory(clv_evaluator *ev, const clv_group *group, uint32_t depth) {
    const uint32_t before =
        ev->num_holders; /* units are of one group: those that follow are ours */
    CLV_TRY(add_sums(ev, group, depth));
    for (uint32_t i = before; i < ev->num_holders; i++) {
        const uint32_t unit = ev->holders[i];
        const double bytes = (double)ev->held[unit] * ev->scale[unit];
        if (ev->scale[unit] != 1) {
            ev->held[unit] = bytes < (double)INT64_MAX ? (uint64_t)ceil(bytes) : INT64_MAX;
        }
    }
    return NULL;
}

/* --- asking --- */

enum { MOST_SCALE = 16 };

/* Remembers how what a unit holds and what sums say of it compare. */
static void learn(clv_evaluator *ev, uint32_t unit, uint64_t asked_bytes) {
    const double least = 1.0 / MOST_SCALE, most = MOST_SCALE, same = 1e-3;
    const uint64_t sum = ev->held[unit];
    const double scale =
        sum > 0 ? fmin(fmax((double)asked_bytes / (double)sum, least), most) : ev->scale[unit];
    ev->num_learned += fabs(scale - ev->scale[unit]) > same * scale ? 1 : 0;
    ev->scale[unit] = scale;
}

static clv_status *sum_groups(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, bool is_scaled) {
    clv_evaluate_begin(ev);
    for (uint32_t g = 0; g < num_groups; g++) {
        CLV_TRY((is_scaled ? clv_evaluate_memory : add_sums)(ev, &groups[g], groups[g].depth));
    }
    return NULL;
}

static void hold_asked(clv_evaluator *ev) {
    clv_evaluate_begin(ev);
    for (uint32_t i = 0; i < ev->costs->machine->num_units; i++) {
        clv_evaluate_hold(ev, i, ev->asked_bytes[i]);
    }
}

/* Groups as if there were no others. */
static clv_status *ask_alone(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, bool *out_is_known) {
    const clv_costs *costs = ev->costs;
    CLV_TRY(sum_groups(ev, groups, num_groups, costs->ask_memory == NULL));
    if (costs->ask_memory == NULL) {
        return NULL;
    }
    CLV_TRY(clv_costs_ask_memory(costs, groups, num_groups, ev->asked_bytes, out_is_known));
    if (!*out_is_known) { /* sums it is */
        return NULL;
    }
    for (uint32_t i = 0; i < costs->machine->num_units; i++) {
        learn(ev, i, ev->asked_bytes[i]);
    }
    hold_asked(ev);
    return NULL;
}

/* All of them, which share what they can; then those before are taken off again. */
static clv_status *ask_beside(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, bool *out_is_known) {
    const uint32_t num_before = ev->num_groups_before;
    clv_group *all = clv_alloc_zeroed((size_t)num_before + num_groups, sizeof *all);
    if (all == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for evaluating a plan");
    }
    memcpy(all, ev->groups_before, num_before * sizeof *all);
    memcpy(all + num_before, groups, num_groups * sizeof *all);
    clv_status *status = clv_costs_ask_memory(
        ev->costs, all, num_before + num_groups, ev->asked_bytes, out_is_known);
    clv_free(all);
    for (uint32_t g = 0; g < num_before; g++) {
        for (uint32_t i = 0; i < ev->groups_before[g].num_pieces; i++) {
            ev->asked_bytes[ev->groups_before[g].pieces[i].unit] = 0;
        }
    }
    if (status == NULL && *out_is_known) {
        hold_asked(ev);
    }
    return status;
}

clv_status *clv_evaluate_asked(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, bool *out_is_known) {
    const uint32_t num_before = ev->num_groups_before;
    *out_is_known = false;
    ev->weights.ignores_kept = true;
    clv_status *status = ask_alone(ev, groups, num_groups, out_is_known);
    ev->weights.ignores_kept = false;
    CLV_TRY(status);
    if (num_before == 0 || clv_evaluate_fits(ev)) { /* most do: asking for all takes long */
        return NULL;
    }
    return *out_is_known ? ask_beside(ev, groups, num_groups, out_is_known)
                         : sum_groups(ev, groups, num_groups, true);
}

/* --- limits --- */

static uint64_t unit_limit(const clv_machine *machine, uint32_t unit) {
    uint64_t capacity = machine->memories[machine->units[unit].memory].capacity_bytes;
    uint64_t limit = machine->units[unit].limit_bytes;
    return limit < capacity ? limit : capacity;
}

static clv_status *over_limit(const char *what, const char *name, uint64_t held, uint64_t limit) {
    const unsigned long long missing = held - limit;
    return CLV_ERROR(
        NO_MEMORY, "%s '%s' would hold %llu bytes and may hold %llu: %llu %s missing", what, name,
        (unsigned long long)held, (unsigned long long)limit, missing, missing == 1 ? "is" : "are");
}

/* The first unit that holds too much, then the first memory; CLV_NO_INDEX: none. */
static void find_over(const clv_evaluator *ev, uint32_t *out_unit, uint32_t *out_memory) {
    const clv_machine *machine = ev->costs->machine;
    *out_unit = *out_memory = CLV_NO_INDEX;
    for (uint32_t i = 0; i < ev->num_holders; i++) {
        uint32_t unit = ev->holders[i], memory = machine->units[unit].memory;
        ev->memory_held[memory] = add_capped(ev->memory_held[memory], ev->held[unit]);
        if (ev->held[unit] > unit_limit(machine, unit) && unit < *out_unit) {
            *out_unit = unit;
        }
        if (ev->memory_held[memory] > machine->memories[memory].capacity_bytes &&
            memory < *out_memory) {
            *out_memory = memory;
        }
    }
}

static void forget_memories(const clv_evaluator *ev) {
    for (uint32_t i = 0; i < ev->num_holders; i++) {
        ev->memory_held[ev->costs->machine->units[ev->holders[i]].memory] = 0;
    }
}

clv_status *clv_evaluate_limits(const clv_evaluator *ev) {
    const clv_machine *machine = ev->costs->machine;
    clv_status *status = NULL;
    uint32_t unit, memory;
    if (ev->ignores_limits) {
        return NULL;
    }
    find_over(ev, &unit, &memory);
    if (unit != CLV_NO_INDEX) {
        status = over_limit(
            "unit", machine->units[unit].name, ev->held[unit], unit_limit(machine, unit));
    } else if (memory != CLV_NO_INDEX) {
        status = over_limit(
            "memory", machine->memories[memory].name, ev->memory_held[memory],
            machine->memories[memory].capacity_bytes);
    }
    forget_memories(ev);
    return status;
}

/* Whether there is room for several times as much everywhere. */
static bool is_far_below(const clv_evaluator *ev) {
    const clv_machine *machine = ev->costs->machine;
    uint64_t sum = 0, least = UINT64_MAX;
    for (uint32_t i = 0; i < ev->num_holders; i++) {
        const uint64_t limit = unit_limit(machine, ev->holders[i]);
        sum = add_capped(sum, ev->held[ev->holders[i]]);
        least = limit < least ? limit : least;
    }
    return sum <= least / MOST_SCALE;
}

clv_status *clv_evaluate_for_limits(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, bool *out_is_known) {
    *out_is_known = false;
    CLV_TRY(sum_groups(ev, groups, num_groups, true));
    if (ev->costs->ask_memory == NULL) {
        return NULL;
    }
    *out_is_known = is_far_below(ev);
    return *out_is_known ? NULL : clv_evaluate_asked(ev, groups, num_groups, out_is_known);
}

bool clv_evaluate_fits(const clv_evaluator *ev) {
    return ev->ignores_limits || clv_evaluate_excess(ev) <= 0;
}

double clv_evaluate_excess(const clv_evaluator *ev) {
    const clv_machine *machine = ev->costs->machine;
    double excess = 0;
    for (uint32_t i = 0; i < ev->num_holders; i++) {
        uint32_t unit = ev->holders[i], memory = machine->units[unit].memory;
        uint64_t limit = unit_limit(machine, unit), held = ev->held[unit];
        ev->memory_held[memory] = add_capped(ev->memory_held[memory], held);
        excess += held > limit ? (double)(held - limit) : 0;
    }
    for (uint32_t i = 0; i < ev->num_holders; i++) {
        uint32_t memory = machine->units[ev->holders[i]].memory;
        uint64_t limit = machine->memories[memory].capacity_bytes, held = ev->memory_held[memory];
        excess += held > limit ? (double)(held - limit) : 0;
        ev->memory_held[memory] = 0;
    }
    return excess;
}
