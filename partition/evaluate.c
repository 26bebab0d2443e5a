#include "partition/evaluate.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for evaluating a plan")

void clv_evaluator_destroy(clv_evaluator *ev) {
    if (ev != NULL) {
        clv_free(ev->load_us);
        clv_free(ev->loaded);
        clv_free(ev->held);
        clv_free(ev->holders);
        clv_shared_weights_deinit(&ev->weights);
        clv_free(ev->scale);
        clv_free(ev->asked_bytes);
        clv_free(ev->memory_held);
        clv_free(ev->hop_bytes);
        clv_free(ev->hops);
        clv_free(ev->hop_arrived_us);
        clv_free(ev->free_us);
        clv_free(ev->busy);
        clv_free(ev->position);
        clv_free(ev->ready_us);
        clv_free(ev->arrived_us);
        clv_free(ev->arrived_bytes);
        clv_free(ev->holds);
        clv_free(ev->sharing.wanted);
        clv_free(ev->sharing.actor_of_unit);
        clv_free(ev->sharing.most);
        clv_free(ev->sharing.share);
        clv_free(ev->sharing.first_part);
        clv_free(ev);
    }
}

static bool make_sharing_scratch(clv_evaluator *ev) {
    const clv_machine *machine = ev->costs->machine;
    clv_sharing_scratch *s = &ev->sharing;
    s->wanted = clv_alloc_zeroed(machine->num_units, sizeof *s->wanted);
    s->actor_of_unit = clv_alloc_zeroed(machine->num_units, sizeof *s->actor_of_unit);
    s->most = clv_alloc_zeroed(machine->num_memories, sizeof *s->most);
    s->share = clv_alloc_zeroed(machine->num_memories, sizeof *s->share);
    s->first_part = clv_alloc_zeroed(machine->num_memories, sizeof *s->first_part);
    if (s->wanted == NULL || s->actor_of_unit == NULL || s->most == NULL || s->share == NULL ||
        s->first_part == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < machine->num_units; i++) {
        s->actor_of_unit[i] = CLV_NO_INDEX;
    }
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        s->first_part[i] = CLV_NO_INDEX;
    }
    return true;
}

static bool make_scratch(clv_evaluator *ev) {
    const clv_machine *machine = ev->costs->machine;
    size_t units = machine->num_units, memories = machine->num_memories;
    size_t hops = (size_t)machine->num_links * 2;
    size_t loads = units + hops + memories + machine->num_processors;
    ev->load_us = clv_alloc_zeroed(loads, sizeof *ev->load_us);
    ev->loaded = clv_alloc_zeroed(loads, sizeof *ev->loaded);
    ev->held = clv_alloc_zeroed(units, sizeof *ev->held);
    ev->holders = clv_alloc_zeroed(units, sizeof *ev->holders);
    ev->scale = clv_alloc_zeroed(units, sizeof *ev->scale);
    ev->asked_bytes = clv_alloc_zeroed(units, sizeof *ev->asked_bytes);
    ev->memory_held = clv_alloc_zeroed(memories, sizeof *ev->memory_held);
    ev->hop_bytes = clv_alloc_zeroed(hops + 1, sizeof *ev->hop_bytes);
    ev->hops = clv_alloc_zeroed(hops + 1, sizeof *ev->hops);
    ev->hop_arrived_us = clv_alloc_zeroed(hops + 1, sizeof *ev->hop_arrived_us);
    ev->free_us = clv_alloc_zeroed(units + hops, sizeof *ev->free_us);
    ev->busy = clv_alloc_zeroed(units + hops, sizeof *ev->busy);
    ev->position =
        clv_alloc_zeroed((size_t)ev->costs->workload->num_tasks + 1, sizeof *ev->position);
    ev->arrived_us = clv_alloc_zeroed(memories, sizeof *ev->arrived_us);
    ev->arrived_bytes = clv_alloc_zeroed(memories, sizeof *ev->arrived_bytes);
    if (ev->load_us == NULL || ev->loaded == NULL || ev->held == NULL || ev->holders == NULL ||
        ev->memory_held == NULL || ev->hop_bytes == NULL || ev->hops == NULL ||
        ev->hop_arrived_us == NULL || ev->free_us == NULL || ev->busy == NULL ||
        ev->position == NULL || ev->arrived_us == NULL || ev->arrived_bytes == NULL ||
        ev->scale == NULL || ev->asked_bytes == NULL) {
        return false;
    }
    for (size_t i = 0; i < units; i++) {
        ev->scale[i] = 1;
    }
    ev->unit_us = ev->load_us;
    ev->link_us = ev->unit_us + units;
    ev->memory_us = ev->link_us + hops;
    ev->processors_us = ev->memory_us + memories;
    return true;
}

clv_status *clv_evaluator_create(const clv_costs *costs, clv_evaluator **out_ev) {
    *out_ev = NULL;
    clv_evaluator *ev = clv_alloc_zeroed(1, sizeof *ev);
    if (ev == NULL) {
        return NO_MEMORY_HERE();
    }
    ev->costs = costs;
    if (!make_scratch(ev) || !make_sharing_scratch(ev)) {
        clv_evaluator_destroy(ev);
        return NO_MEMORY_HERE();
    }
    ev->size = (uint64_t)costs->workload->num_tasks + costs->workload->num_tensors +
               costs->first_reader[costs->workload->num_tensors];
    *out_ev = ev;
    return NULL;
}

/* --- pieces --- */

static double piece_share(
    const clv_costs *costs, uint32_t task, const clv_placement *placement, const clv_piece *piece) {
    if (placement->split < 0) {
        return 1;
    }
    const clv_task_split *split = &costs->workload->tasks[task].splits[placement->split];
    return (double)(piece->end - piece->begin) / (double)split->extent;
}

double clv_piece_time_us(
    const clv_costs *costs, uint32_t task, const clv_placement *placement, const clv_piece *piece) {
    double time_us = clv_costs_time_us(costs, task, piece->unit);
    if (placement->split >= 0) {
        const clv_task_split *split = &costs->workload->tasks[task].splits[placement->split];
        time_us *= clv_task_split_part(split, piece_share(costs, task, placement, piece));
    }
    return time_us + costs->machine->units[piece->unit].launch_us;
}

double clv_piece_traffic_us(
    const clv_costs *costs, uint32_t task, const clv_placement *placement, const clv_piece *piece) {
    const clv_unit *unit = &costs->machine->units[piece->unit];
    double memory = costs->machine->memories[unit->memory].bandwidth;
    if (isinf(memory)) {
        return 0;
    }
    double full_us =
        clv_costs_traffic_us(costs, task, piece->unit) * fmin(unit->bandwidth, memory) / memory;
    return fmin(
        full_us * piece_share(costs, task, placement, piece),
        clv_piece_time_us(costs, task, placement, piece));
}

/* Pieces of a placement that hold output: with SUM the first, where they are added up. */
static uint32_t num_holders(const clv_workload *workload, uint32_t task, const clv_placement *p) {
    bool is_sum = p->split >= 0 && workload->tasks[task].splits[p->split].join == CLV_TASK_SUM;
    return is_sum ? 1 : p->num_pieces;
}

/* --- loads --- */

void clv_evaluate_begin(clv_evaluator *ev) {
    for (uint32_t i = 0; i < ev->num_loaded; i++) {
        ev->load_us[ev->loaded[i]] = 0;
    }
    for (uint32_t i = 0; i < ev->num_holders; i++) {
        ev->held[ev->holders[i]] = 0;
    }
    ev->num_loaded = ev->num_holders = 0;
    clv_shared_weights_begin(&ev->weights);
}

/* `load`: a member of ev->unit_us, ev->link_us, ev->memory_us or ev->processors_us. */
static void add_load(clv_evaluator *ev, double *load, double time_us) {
    if (*load == 0 && time_us > 0) {
        ev->loaded[ev->num_loaded++] = (uint32_t)(load - ev->load_us);
    }
    *load += time_us;
}

/* A delivery from one memory to another; units CLV_NO_INDEX where only a memory is meant. */
typedef struct delivery {
    uint32_t from_memory, to_memory, from_unit, to_unit;
    double bytes;
} delivery;

static double hop_time_us(const clv_machine *machine, uint32_t hop, double already, double bytes) {
    const clv_link *link = &machine->links[hop / 2];
    return clv_link_time_us(link, bytes) - (already > 0 ? clv_link_time_us(link, already) : 0);
}

static void occupy(clv_evaluator *ev, uint32_t unit, double time_us) {
    if (unit != CLV_NO_INDEX && !ev->costs->machine->units[unit].overlaps) {
        add_load(ev, &ev->unit_us[unit], time_us);
    }
}

/* A hop carries the most that any delivery of the tensor needs of it, once. */
static clv_status *add_delivery(clv_evaluator *ev, const delivery *d, double share) {
    const clv_machine *machine = ev->costs->machine;
    clv_path path;
    if (d->from_memory == d->to_memory || d->bytes <= 0) {
        return NULL;
    }
    CLV_TRY(clv_routes_path(ev->costs->routes, d->from_memory, d->to_memory, d->bytes, &path));
    if (path.count == CLV_NO_INDEX) {
        add_load(ev, &ev->unit_us[0], (double)INFINITY);
        return NULL;
    }
    for (uint32_t i = 0; i < path.count; i++) {
        uint32_t hop = path.hops[i];
        double already = ev->hop_bytes[hop];
        if (already >= d->bytes) {
            continue;
        }
        if (already == 0) {
            ev->hops[ev->num_hops++] = hop;
        }
        double time_us = share * hop_time_us(machine, hop, already, d->bytes);
        ev->hop_bytes[hop] = d->bytes;
        ev->serial_us += time_us / share;
        add_load(ev, &ev->link_us[hop], time_us);
        if (machine->links[hop / 2].half_duplex) {
            add_load(ev, &ev->link_us[hop ^ 1], time_us);
        }
        if (i == 0) {
            occupy(ev, d->from_unit, time_us);
        }
        if (i + 1 == path.count) {
            occupy(ev, d->to_unit, time_us);
        }
    }
    return NULL;
}

static void forget_hops(clv_evaluator *ev) {
    for (uint32_t i = 0; i < ev->num_hops; i++) {
        ev->hop_bytes[ev->hops[i]] = 0;
    }
    ev->num_hops = 0;
}

/* From one holder of a tensor (or the workload's input) to all that read it. */
static clv_status *add_source(
    clv_evaluator *ev, const clv_group *group, uint32_t tensor_index, const clv_piece *source,
    double share) {
    const clv_workload *workload = ev->costs->workload;
    const clv_machine *machine = ev->costs->machine;
    const clv_task_tensor *tensor = &workload->tensors[tensor_index];
    const clv_placement *producer = source != NULL ? &group->placements[tensor->producer] : NULL;
    uint32_t home = clv_machine_home(machine);
    delivery d = {
        .from_memory = source != NULL ? machine->units[source->unit].memory : home,
        .from_unit = source != NULL ? source->unit : CLV_NO_INDEX};
    uint32_t num_readers = d.from_memory == ev->only_memory ? 0 : tensor->num_consumers;
    for (uint32_t i = 0; i < num_readers; i++) {
        uint32_t task = tensor->consumers[i];
        const clv_placement *p = &group->placements[task];
        uint32_t input = clv_reader_input(ev->costs, tensor_index, i);
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            const clv_piece *piece = &group->pieces[p->first_piece + k];
            d.to_unit = piece->unit;
            d.to_memory = machine->units[piece->unit].memory;
            if (d.to_memory != d.from_memory) {
                d.bytes = clv_piece_bytes(ev->costs, task, input, p, piece, producer, source);
                CLV_TRY(add_delivery(ev, &d, share));
            }
        }
    }
    if (tensor->is_output) {
        d.to_unit = CLV_NO_INDEX;
        d.to_memory = home;
        d.bytes = (double)tensor->bytes;
        if (producer != NULL && producer->num_pieces > 1) {
            d.bytes *= piece_share(ev->costs, tensor->producer, producer, source);
        }
        CLV_TRY(add_delivery(ev, &d, share));
    }
    forget_hops(ev);
    return NULL;
}

/* Partial sums go to the first piece's unit, which adds them. */
static clv_status *add_partial_sums(
    clv_evaluator *ev, const clv_group *group, uint32_t task, double share) {
    const clv_workload *workload = ev->costs->workload;
    const clv_machine *machine = ev->costs->machine;
    const clv_placement *p = &group->placements[task];
    const clv_piece *pieces = &group->pieces[p->first_piece];
    for (uint32_t o = 0; o < workload->tasks[task].num_outputs; o++) {
        double bytes = (double)workload->tensors[workload->tasks[task].outputs[o]].bytes;
        for (uint32_t k = 1; k < p->num_pieces; k++) {
            delivery d = {
                .from_unit = pieces[k].unit,
                .to_unit = pieces[0].unit,
                .from_memory = machine->units[pieces[k].unit].memory,
                .to_memory = machine->units[pieces[0].unit].memory,
                .bytes = bytes};
            CLV_TRY(add_delivery(ev, &d, share));
            forget_hops(ev);
            double add_us = clv_add_us(ev->costs, pieces[0].unit, bytes);
            add_load(ev, &ev->unit_us[pieces[0].unit], share * add_us);
            ev->serial_us += add_us;
        }
    }
    return NULL;
}

static clv_status *add_task(
    clv_evaluator *ev, const clv_group *group, uint32_t task, double share) {
    const clv_costs *costs = ev->costs;
    const clv_workload *workload = costs->workload;
    const clv_placement *p = &group->placements[task];
    double longest_us = 0;
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        const clv_piece *piece = &group->pieces[p->first_piece + k];
        const clv_unit *unit = &costs->machine->units[piece->unit];
        double time_us = clv_group_piece_us(costs, group, task, piece);
        longest_us = fmax(longest_us, time_us);
        add_load(ev, &ev->unit_us[piece->unit], share * time_us);
        if (unit->processors != CLV_NO_INDEX) {
            add_load(
                ev, &ev->processors_us[unit->processors],
                share * time_us * clv_machine_processor_share(costs->machine, piece->unit));
        }
        add_load(
            ev, &ev->memory_us[unit->memory], share * clv_piece_traffic_us(costs, task, p, piece));
    }
    ev->serial_us += longest_us;
    uint32_t holders = num_holders(workload, task, p);
    if (holders < p->num_pieces) {
        CLV_TRY(add_partial_sums(ev, group, task, share));
    }
    for (uint32_t o = 0; o < workload->tasks[task].num_outputs; o++) {
        for (uint32_t k = 0; k < holders; k++) {
            CLV_TRY(add_source(
                ev, group, workload->tasks[task].outputs[o], &group->pieces[p->first_piece + k],
                share));
        }
    }
    return NULL;
}

static uint32_t find_only_memory(const clv_evaluator *ev, const clv_group *group) {
    uint32_t only = CLV_NO_INDEX;
    for (uint32_t i = 0; i < ev->costs->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            uint32_t unit = group->pieces[p->first_piece + k].unit;
            uint32_t memory = ev->costs->machine->units[unit].memory;
            if (only != CLV_NO_INDEX && memory != only) {
                return CLV_NO_INDEX;
            }
            only = memory;
        }
    }
    return only;
}

clv_status *clv_evaluate_loads(clv_evaluator *ev, const clv_group *group, double share) {
    const clv_workload *workload = ev->costs->workload;
    ev->serial_us = 0;
    ev->only_memory = find_only_memory(ev, group);
    CLV_TRY(clv_cancel_check()); /* every policy comes by here now and then */
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        CLV_TRY(add_task(ev, group, i, share));
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        if (workload->tensors[i].producer == CLV_NO_TASK) {
            CLV_TRY(add_source(ev, group, i, NULL, share));
        }
    }
    return NULL;
}

double clv_evaluate_bound(const clv_evaluator *ev, uint32_t *out_where) {
    double bound = 0;
    uint32_t where = 0;
    for (uint32_t i = 0; i < ev->num_loaded; i++) {
        uint32_t at = ev->loaded[i];
        if (ev->load_us[at] > bound || (ev->load_us[at] == bound && at < where)) {
            bound = ev->load_us[at];
            where = at;
        }
    }
    if (out_where != NULL) {
        *out_where = where;
    }
    return bound;
}

/* --- latency --- */

typedef struct clock_walk {
    clv_evaluator *ev;
    const clv_group *group;
    double end_us; /* of everything so far */
} clock_walk;

static void note_hop(clv_evaluator *ev, uint32_t hop, double bytes, double arrived_us) {
    if (ev->hop_bytes[hop] == 0) {
        ev->hops[ev->num_hops++] = hop;
    }
    ev->hop_bytes[hop] = bytes;
    ev->hop_arrived_us[hop] = arrived_us;
}

/* A unit, or num_units + a hop. */
static void occupy_until(clv_evaluator *ev, uint32_t at, double time_us) {
    if (ev->free_us[at] == 0 && time_us > 0) {
        ev->busy[ev->num_busy++] = at;
    }
    ev->free_us[at] = time_us;
}

/* When `bytes` that are ready at `ready_us` have come; units that cannot overlap are occupied by
 * their end of it. */
static clv_status *carry(
    clock_walk *w, const delivery *d, double ready_us, double *out_arrival_us) {
    const clv_costs *costs = w->ev->costs;
    clv_path path;
    *out_arrival_us = ready_us;
    if (d->from_memory == d->to_memory || d->bytes <= 0) {
        return NULL;
    }
    CLV_TRY(clv_routes_path(costs->routes, d->from_memory, d->to_memory, d->bytes, &path));
    if (path.count == CLV_NO_INDEX) {
        *out_arrival_us = (double)INFINITY;
        return NULL;
    }
    for (uint32_t i = 0; i < path.count; i++) {
        double time_us = clv_link_time_us(&costs->machine->links[path.hops[i] / 2], d->bytes);
        if (w->ev->hop_bytes[path.hops[i]] >= d->bytes) { /* on the way to another memory */
            *out_arrival_us = w->ev->hop_arrived_us[path.hops[i]];
            continue;
        }
        uint32_t ends[2] = {
            i == 0 ? d->from_unit : CLV_NO_INDEX, i + 1 == path.count ? d->to_unit : CLV_NO_INDEX};
        for (int k = 0; k < 2; k++) {
            if (ends[k] != CLV_NO_INDEX && !costs->machine->units[ends[k]].overlaps) {
                *out_arrival_us = fmax(*out_arrival_us, w->ev->free_us[ends[k]]);
            }
        }
        const clv_link *link = &costs->machine->links[path.hops[i] / 2];
        uint32_t link_at =
            costs->machine->num_units + (link->half_duplex ? path.hops[i] / 2 * 2 : path.hops[i]);
        *out_arrival_us = fmax(*out_arrival_us, w->ev->free_us[link_at]) + time_us;
        occupy_until(w->ev, link_at, *out_arrival_us);
        note_hop(w->ev, path.hops[i], d->bytes, *out_arrival_us);
        for (int k = 0; k < 2; k++) {
            if (ends[k] != CLV_NO_INDEX && !costs->machine->units[ends[k]].overlaps) {
                occupy_until(w->ev, ends[k], *out_arrival_us);
            }
        }
    }
    return NULL;
}

/* Carries one holder's part of a tensor to its readers, each memory once. */
static clv_status *push_source(
    clock_walk *w, uint32_t tensor_index, const clv_piece *source, double ready_us) {
    const clv_evaluator *ev = w->ev;
    const clv_workload *workload = ev->costs->workload;
    const clv_machine *machine = ev->costs->machine;
    const clv_task_tensor *tensor = &workload->tensors[tensor_index];
    const clv_placement *producer = source != NULL ? &w->group->placements[tensor->producer] : NULL;
    delivery d = {
        .from_memory =
            source != NULL ? machine->units[source->unit].memory : clv_machine_home(machine),
        .from_unit = source != NULL ? source->unit : CLV_NO_INDEX};
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        uint32_t task = tensor->consumers[i];
        const clv_placement *p = &w->group->placements[task];
        uint32_t input = clv_reader_input(ev->costs, tensor_index, i);
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            uint32_t piece_index = p->first_piece + k;
            const clv_piece *piece = &w->group->pieces[piece_index];
            double arrival_us = ready_us;
            d.to_unit = piece->unit;
            d.to_memory = machine->units[piece->unit].memory;
            d.bytes = clv_piece_bytes(ev->costs, task, input, p, piece, producer, source);
            if (d.bytes > 0 && d.to_memory != d.from_memory) {
                if (ev->arrived_bytes[d.to_memory] < d.bytes) {
                    CLV_TRY(carry(w, &d, ready_us, &ev->arrived_us[d.to_memory]));
                    ev->arrived_bytes[d.to_memory] = d.bytes;
                }
                arrival_us = ev->arrived_us[d.to_memory];
            }
            ev->ready_us[piece_index] = fmax(ev->ready_us[piece_index], arrival_us);
        }
    }
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        const clv_placement *p = &w->group->placements[tensor->consumers[i]];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            uint32_t unit = w->group->pieces[p->first_piece + k].unit;
            ev->arrived_bytes[machine->units[unit].memory] = 0;
        }
    }
    if (tensor->is_output) {
        double arrival_us;
        d.to_unit = CLV_NO_INDEX;
        d.to_memory = clv_machine_home(machine);
        d.bytes = (double)tensor->bytes;
        if (producer != NULL && producer->num_pieces > 1) {
            d.bytes *= piece_share(ev->costs, tensor->producer, producer, source);
        }
        CLV_TRY(carry(w, &d, ready_us, &arrival_us));
        w->end_us = fmax(w->end_us, arrival_us);
    }
    forget_hops(w->ev);
    return NULL;
}

/* Runs the pieces of a task; finish times of pieces into ev->ready_us. With SUM the first piece's
 * is that of the sum. */
static clv_status *run_task(clock_walk *w, uint32_t task, double *out_start_us) {
    clv_evaluator *ev = w->ev;
    const clv_workload *workload = ev->costs->workload;
    const clv_machine *machine = ev->costs->machine;
    const clv_placement *p = &w->group->placements[task];
    const clv_piece *pieces = &w->group->pieces[p->first_piece];
    double *ready_us = &ev->ready_us[p->first_piece];
    *out_start_us = (double)INFINITY;
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        double start_us = fmax(ready_us[k], ev->free_us[pieces[k].unit]);
        *out_start_us = fmin(*out_start_us, start_us);
        ready_us[k] = start_us + clv_group_piece_us(ev->costs, w->group, task, &pieces[k]);
        occupy_until(ev, pieces[k].unit, ready_us[k]);
        w->end_us = fmax(w->end_us, ready_us[k]);
    }
    if (num_holders(workload, task, p) == p->num_pieces) {
        return NULL;
    }
    for (uint32_t o = 0; o < workload->tasks[task].num_outputs; o++) {
        double bytes = (double)workload->tensors[workload->tasks[task].outputs[o]].bytes;
        for (uint32_t k = 1; k < p->num_pieces; k++) {
            delivery d = {
                .from_unit = pieces[k].unit,
                .to_unit = pieces[0].unit,
                .from_memory = machine->units[pieces[k].unit].memory,
                .to_memory = machine->units[pieces[0].unit].memory,
                .bytes = bytes};
            double arrival_us;
            CLV_TRY(carry(w, &d, ready_us[k], &arrival_us));
            forget_hops(w->ev);
            ready_us[0] =
                fmax(ready_us[0], arrival_us) + clv_add_us(ev->costs, pieces[0].unit, bytes);
        }
    }
    occupy_until(ev, pieces[0].unit, fmax(ev->free_us[pieces[0].unit], ready_us[0]));
    w->end_us = fmax(w->end_us, ready_us[0]);
    return NULL;
}

static clv_status *prepare_walk(clock_walk *w) {
    clv_evaluator *ev = w->ev;
    const clv_workload *workload = ev->costs->workload;
    if (!clv_array_reserve(
            (void **)&ev->ready_us, &ev->capacity_pieces, w->group->num_pieces + (size_t)1,
            sizeof *ev->ready_us)) {
        return NO_MEMORY_HERE();
    }
    memset(ev->ready_us, 0, w->group->num_pieces * sizeof *ev->ready_us);
    for (uint32_t i = 0; i < ev->num_busy; i++) {
        ev->free_us[ev->busy[i]] = 0;
    }
    ev->num_busy = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        ev->position[w->group->order != NULL ? w->group->order[i] : i] = i;
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        if (workload->tensors[i].producer == CLV_NO_TASK) {
            CLV_TRY(push_source(w, i, NULL, 0));
        }
    }
    return NULL;
}

/* The position of the first of a tensor's readers. */
static uint64_t first_reader(const clv_evaluator *ev, uint32_t tensor) {
    const clv_task_tensor *t = &ev->costs->workload->tensors[tensor];
    uint64_t first = UINT32_MAX;
    for (uint32_t i = 0; i < t->num_consumers; i++) {
        first = ev->position[t->consumers[i]] < first ? ev->position[t->consumers[i]] : first;
    }
    return first;
}

/* Sends what a task has made: first what is read first, while there are few. */
static clv_status *push_outputs(clock_walk *w, uint32_t task) {
    enum { FEW = 32 };
    const clv_workload *workload = w->ev->costs->workload;
    const clv_task *t = &workload->tasks[task];
    const clv_placement *p = &w->group->placements[task];
    uint32_t order[FEW];
    uint64_t keys[FEW];
    bool is_sorted = t->num_outputs > 1 && t->num_outputs <= FEW;
    for (uint32_t o = 0; is_sorted && o < t->num_outputs; o++) {
        uint64_t key = first_reader(w->ev, t->outputs[o]);
        uint32_t at = o;
        for (; at > 0 && keys[at - 1] > key; at--) {
            keys[at] = keys[at - 1];
            order[at] = order[at - 1];
        }
        keys[at] = key;
        order[at] = t->outputs[o];
    }
    for (uint32_t o = 0; o < t->num_outputs; o++) {
        uint32_t tensor = is_sorted ? order[o] : t->outputs[o];
        for (uint32_t k = 0; k < num_holders(workload, task, p); k++) {
            CLV_TRY(push_source(
                w, tensor, &w->group->pieces[p->first_piece + k],
                w->ev->ready_us[p->first_piece + k]));
        }
    }
    return NULL;
}

clv_status *clv_evaluate_latency(
    clv_evaluator *ev, const clv_group *group, double *out_us, double *out_start_us) {
    const clv_workload *workload = ev->costs->workload;
    clock_walk w = {.ev = ev, .group = group};
    if (group->is_serial) {
        *out_us = ev->serial_us;
        return NULL;
    }
    CLV_TRY(prepare_walk(&w));
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        uint32_t task = group->order != NULL ? group->order[i] : i;
        double start_us;
        CLV_TRY(run_task(&w, task, &start_us));
        if (out_start_us != NULL) {
            out_start_us[task] = start_us;
        }
        CLV_TRY(push_outputs(&w, task));
    }
    *out_us = w.end_us;
    return NULL;
}

bool clv_group_blocks(const clv_costs *costs, const clv_group *group) {
    bool has_slots = false;
    for (uint32_t i = 0; i < group->num_pieces && !has_slots; i++) {
        has_slots = costs->machine->units[group->pieces[i].unit].slots > 0;
    }
    return has_slots && !group->is_serial && costs->ask_clock != NULL;
}
