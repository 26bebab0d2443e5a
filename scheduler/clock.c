#include "scheduler/clock.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "scheduler/clock_state.h"

#include <math.h>
#include <string.h>

#define NONE CLV_NO_INDEX

/* --- heaps: of step numbers, least first --- */

static bool heap_push(clv_clock_heap *heap, uint32_t value) {
    if (!clv_array_reserve(
            (void **)&heap->items, &heap->capacity, heap->count + 1, sizeof *heap->items)) {
        return false;
    }
    size_t i = heap->count++;
    while (i > 0 && heap->items[(i - 1) / 2] > value) {
        heap->items[i] = heap->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap->items[i] = value;
    return true;
}

static uint32_t heap_pop(clv_clock_heap *heap) {
    uint32_t least = heap->items[0], last = heap->items[--heap->count];
    size_t i = 0;
    for (size_t child = 1; child < heap->count; child = 2 * i + 1) {
        child += child + 1 < heap->count && heap->items[child + 1] < heap->items[child];
        if (heap->items[child] >= last) {
            break;
        }
        heap->items[i] = heap->items[child];
        i = child;
    }
    heap->items[i] = last;
    return least;
}

/* --- slots and resources --- */

static uint32_t unit_limit(const clv_clock *c, const clv_schedule_step *step) {
    uint32_t slots = c->machine->units[step->resources[0]].slots;
    return slots > 0 && clv_schedule_blocks(c->schedule, step) ? slots : UINT32_MAX;
}

static bool has_slot(const clv_clock *c, const clv_schedule_step *step) {
    uint32_t unit = step->resources[0];
    return !step->holds_slot || c->free_slots[unit].count > 0 ||
           c->run->slots_used[unit] < unit_limit(c, step);
}

static void take_slot(clv_clock *c, uint32_t index) {
    const clv_schedule_step *step = &c->schedule->steps[index];
    uint32_t unit = c->run->unit[index];
    if (!step->holds_slot) {
        return;
    }
    clv_clock_heap *free_slots = &c->free_slots[unit];
    c->run->slot[index] = free_slots->count > 0 ? heap_pop(free_slots) : c->run->slots_used[unit]++;
    c->held_bytes[unit] += step->bytes;
    if (c->held_bytes[unit] > c->run->buffer_bytes[unit]) {
        c->run->buffer_bytes[unit] = c->held_bytes[unit];
    }
}

static bool mark(clv_clock *c, uint32_t resource) {
    if (c->is_marked[resource]) {
        return true;
    }
    c->is_marked[resource] = true;
    return heap_push(&c->marked, resource);
}

/* Whose ready queue what this unit or link does stands in. */
static uint32_t queue_of(const clv_clock *c, uint32_t resource) {
    bool is_crew = c->mode == CLV_CLOCK_DYNAMIC && resource < c->machine->num_units;
    return is_crew ? c->schedule->crew_of_unit[resource] : resource;
}

static bool release_slot(clv_clock *c, uint32_t index) {
    const clv_schedule_step *step = &c->schedule->steps[index];
    if (!step->holds_slot) {
        return true;
    }
    uint32_t unit = c->run->unit[index];
    c->held_bytes[unit] -= step->bytes;
    return heap_push(&c->free_slots[unit], c->run->slot[index]) && mark(c, queue_of(c, unit));
}

static bool shares_link(const clv_clock *c, const clv_schedule_step *step) {
    return c->mode == CLV_CLOCK_DYNAMIC && step->kind == CLV_SCHEDULE_SEND;
}

/* --- crews --- */

static bool become_idle(clv_clock *c, uint32_t unit) {
    if (c->mode != CLV_CLOCK_DYNAMIC || c->is_idle[unit]) {
        return true;
    }
    c->is_idle[unit] = true;
    return heap_push(&c->idle[c->schedule->crew_of_unit[unit]], unit);
}

/* The planned unit where it is free, else the first that is; NONE: none is. */
static uint32_t find_idle(clv_clock *c, uint32_t planned) {
    clv_clock_heap *idle = &c->idle[c->schedule->crew_of_unit[planned]];
    if (c->running[planned] == NONE) {
        return planned;
    }
    while (idle->count > 0 && c->running[idle->items[0]] != NONE) {
        c->is_idle[heap_pop(idle)] = false;
    }
    return idle->count > 0 ? idle->items[0] : NONE;
}

/* --- transfers that occupy units too --- */

/* A unit that cannot overlap does its launches and its transfers in one order, that of their
 * numbers. A launch passes a transfer that comes first but has to wait for its link or its other
 * unit, if it is over by then; and if not, on the one of the transfer's two units that has more to
 * do in the run, as long as it is of the same request or the next: it is the other one that stands
 * still until both are free. So no transfer is
 * put off for ever, and what sets the pace waits for nobody. */

static double free_at_us(const clv_clock *c, uint32_t resource) {
    uint32_t step = c->running[resource];
    return step != NONE ? fmax(clv_clock_end_us(c, step), c->now_us) : c->now_us;
}

/* When all that a transfer occupies will be free, and has done what is ready and comes first. */
static double may_start_at_us(const clv_clock *c, uint32_t send, uint32_t from_unit) {
    const clv_schedule_step *step = &c->schedule->steps[send];
    double when_us = c->now_us;
    for (int k = shares_link(c, step) ? 1 : 0; k < CLV_STEP_RESOURCES; k++) {
        uint32_t r = step->resources[k];
        if (r == NONE || r == from_unit) {
            continue;
        }
        double free_us = free_at_us(c, r);
        if (k > 0 && c->ready[r].count > 0 && c->ready[r].items[0] < send) {
            free_us += c->schedule->steps[c->ready[r].items[0]].duration_us;
        }
        when_us = fmax(when_us, free_us);
    }
    return when_us;
}

/* Whether a unit has more to do than the other one of a transfer; false where it has no other. */
static bool has_more_to_do(const clv_clock *c, uint32_t unit, uint32_t send) {
    const clv_schedule_step *step = &c->schedule->steps[send];
    uint32_t other = step->resources[step->resources[1] == unit ? 2 : 1];
    if (other == NONE) {
        return false;
    }
    double own_us = c->work_us[unit], other_us = c->work_us[other];
    return own_us > other_us || (own_us == other_us && unit < other);
}

/* Whether a launch may go before the transfers that wait for its unit. */
static bool may_pass(const clv_clock *c, uint32_t index, uint32_t unit, double duration_us) {
    const clv_clock_heap *joint = &c->joint[unit];
    if (c->mode == CLV_CLOCK_STATIC || joint->count == 0 || joint->items[0] > index) {
        return true;
    }
    uint32_t first = joint->items[0];
    uint32_t ahead = c->ready[c->schedule->steps[first].resources[0]].items[0];
    double when_us = fmax(may_start_at_us(c, first, unit), may_start_at_us(c, ahead, unit));
    bool is_over = c->now_us + duration_us <= when_us;
    uint32_t own = c->schedule->steps[index].request;
    uint32_t oldest = c->schedule->steps[first].request;
    bool is_near = own == oldest || own == c->request_after[oldest];
    return when_us > c->now_us && (is_over || (is_near && has_more_to_do(c, unit, first)));
}

/* Whether a transfer is the first of all that its units could do. */
static bool is_first_of_units(const clv_clock *c, uint32_t send) {
    const clv_schedule_step *step = &c->schedule->steps[send];
    for (int k = 1; c->mode != CLV_CLOCK_STATIC && k < CLV_STEP_RESOURCES; k++) {
        uint32_t unit = step->resources[k];
        if (unit == NONE) {
            continue;
        }
        const clv_clock_heap *ready = &c->ready[unit];
        bool is_behind = ready->count > 0 && ready->items[0] < send &&
                         has_slot(c, &c->schedule->steps[ready->items[0]]);
        if (is_behind || c->joint[unit].items[0] != send) {
            return false;
        }
    }
    return true;
}

static bool join_queues(clv_clock *c, uint32_t send) {
    const clv_schedule_step *step = &c->schedule->steps[send];
    bool ok = true;
    for (int k = 1; c->mode != CLV_CLOCK_STATIC && k < CLV_STEP_RESOURCES; k++) {
        uint32_t unit = step->resources[k];
        ok = ok && (unit == NONE || heap_push(&c->joint[unit], send));
    }
    return ok;
}

static void leave_queues(clv_clock *c, uint32_t send) {
    const clv_schedule_step *step = &c->schedule->steps[send];
    for (int k = 1; c->mode != CLV_CLOCK_STATIC && k < CLV_STEP_RESOURCES; k++) {
        if (step->resources[k] != NONE) {
            heap_pop(&c->joint[step->resources[k]]);
        }
    }
}

/* Units of the transfers that wait for what has just begun on a unit or link may do something else
 * if they have to wait for longer than they thought: those of the first few in a heap. */
static bool mark_units(clv_clock *c, uint32_t resource) {
    enum { FEW = 8 };
    bool ok = true;
    if (!c->has_joint) {
        return true;
    }
    const clv_clock_heap *heap =
        resource < c->machine->num_units ? &c->joint[resource] : &c->ready[resource];
    for (size_t i = 0; i < heap->count && i < FEW; i++) {
        const clv_schedule_step *step = &c->schedule->steps[heap->items[i]];
        for (int k = 1; k < CLV_STEP_RESOURCES; k++) {
            uint32_t unit = step->resources[k];
            ok = ok && (unit == NONE || c->running[unit] != NONE || mark(c, unit));
        }
    }
    return ok;
}

/* Whether all that the step occupies is free, and in STATIC its turn has come. */
static bool can_start(clv_clock *c, uint32_t index) {
    const clv_schedule_step *step = &c->schedule->steps[index];
    if (c->mode == CLV_CLOCK_DYNAMIC && step->kind != CLV_SCHEDULE_SEND) {
        uint32_t unit = find_idle(c, step->resources[0]);
        c->run->unit[index] = unit != NONE ? unit : step->resources[0];
        return unit != NONE && has_slot(c, step) &&
               may_pass(c, index, unit, step->duration_us + c->dispatch_us);
    }
    for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
        uint32_t r = step->resources[k];
        if (r == NONE) {
            continue;
        }
        bool is_shared = k == 0 && shares_link(c, step);
        bool is_turn =
            c->mode != CLV_CLOCK_STATIC || c->schedule->order[c->next_in_order[r]] == index;
        if ((c->running[r] != NONE && !is_shared) || !is_turn) {
            return false;
        }
    }
    return step->kind == CLV_SCHEDULE_SEND
               ? is_first_of_units(c, index)
               : has_slot(c, step) && may_pass(c, index, step->resources[0], step->duration_us);
}

static bool start(clv_clock *c, uint32_t index) {
    const clv_schedule_step *step = &c->schedule->steps[index];
    double duration_us = step->duration_us;
    if (c->mode == CLV_CLOCK_DYNAMIC && step->kind == CLV_SCHEDULE_LAUNCH) {
        duration_us += c->dispatch_us;
    }
    for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
        uint32_t r = clv_run_resource(c->schedule, c->run, index, k);
        if (r != NONE) {
            c->running[r] = index;
            c->next_in_order[r]++;
        }
    }
    take_slot(c, index);
    leave_queues(c, index);
    c->is_ready[index] = false;
    c->run->start_us[index] = c->now_us;
    c->run->end_us[index] = c->now_us + duration_us;
    c->run->started[c->num_started++] = index;
    clv_clock_pace_begin(c, index);
    if (shares_link(c, step) && duration_us > 0) {
        uint32_t pool = c->machine->num_memories + step->resources[0] - c->machine->num_units;
        return clv_clock_share(c, pool, index, 1);
    }
    if (step->traffic_us > 0) {
        uint32_t memory = c->machine->units[step->resources[0]].memory;
        return clv_clock_share(c, memory, index, step->traffic_us / duration_us);
    }
    return clv_clock_add_event(c, index);
}

/* Starts what can start on a marked resource; a link's first step may be waiting for a unit. */
static bool dispatch(clv_clock *c, uint32_t resource) {
    clv_clock_heap *ready = &c->ready[resource];
    while (ready->count > 0) {
        uint32_t step = ready->items[0];
        if (c->mode == CLV_CLOCK_STATIC) {
            step = c->schedule->order[c->next_in_order[resource]];
            if (!c->is_ready[step] || c->schedule->steps[step].resources[0] != resource) {
                return true;
            }
        }
        if (!can_start(c, step)) {
            return true;
        }
        if (c->mode == CLV_CLOCK_STATIC) {
            ready->count--; /* only the number of those that are ready matters */
        } else {
            heap_pop(ready);
        }
        if (!start(c, step) || !mark_units(c, resource)) {
            return false;
        }
    }
    return true;
}

/* --- running --- */

static bool make_ready(clv_clock *c, uint32_t step) {
    uint32_t resource = queue_of(c, c->schedule->steps[step].resources[0]);
    c->is_ready[step] = true;
    return heap_push(&c->ready[resource], step) && join_queues(c, step) && mark(c, resource);
}

/* Lets the next request of a group in. */
static bool admit(clv_clock *c, uint32_t group) {
    const clv_schedule *s = c->schedule;
    uint32_t request = c->next_request[group];
    if (request == NONE) {
        return true;
    }
    c->next_request[group] = c->request_after[request];
    for (uint64_t i = s->first_step[request]; i < s->first_step[request + 1]; i++) {
        if (clv_schedule_num_waits(s, &s->steps[i], c->mode == CLV_CLOCK_DYNAMIC) == 0) {
            c->pending[i] = 0;
            if (!make_ready(c, (uint32_t)i)) {
                return false;
            }
        }
    }
    return true;
}

/* A unit that has become free may do its part of a transfer. */
static bool mark_next_send(clv_clock *c, uint32_t unit) {
    if (!c->has_joint || unit >= c->machine->num_units) {
        return true;
    }
    if (c->mode == CLV_CLOCK_STATIC) { /* whose turn it is */
        const clv_schedule *s = c->schedule;
        uint64_t next = c->next_in_order[unit];
        return next >= s->order_offsets[unit + 1] || mark(c, s->steps[s->order[next]].resources[0]);
    }
    const clv_clock_heap *joint = &c->joint[unit];
    return joint->count == 0 || mark(c, c->schedule->steps[joint->items[0]].resources[0]);
}

static bool finish(clv_clock *c, uint32_t index) {
    const clv_schedule *s = c->schedule;
    const clv_schedule_step *step = &s->steps[index];
    bool ok = true;
    clv_clock_pace_end(c, index);
    for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
        uint32_t r = clv_run_resource(s, c->run, index, k);
        if (r != NONE) {
            c->running[r] = NONE;
            ok = ok && mark(c, queue_of(c, r));
            ok = ok && (r >= c->machine->num_units || become_idle(c, r));
            ok = ok && mark_next_send(c, r);
        }
    }
    for (uint64_t i = c->first_after[index]; i < c->first_after[index + 1]; i++) {
        uint32_t after = c->after[i];
        if (--c->pending[after] == 0) {
            ok = ok && make_ready(c, after);
        }
    }
    for (uint32_t i = 0; i < step->num_reads; i++) {
        uint32_t source = s->waits[step->first_wait + i];
        if (--c->readers[source] == 0) {
            ok = ok && release_slot(c, source);
        }
    }
    if (c->readers[index] == 0) {
        ok = ok && release_slot(c, index);
    }
    if (--c->left_in_request[step->request] == 0) {
        ok = ok && admit(c, s->group_of_request[step->request]);
    }
    return ok;
}

static bool dispatch_all(clv_clock *c) {
    while (c->marked.count > 0) {
        uint32_t resource = heap_pop(&c->marked);
        c->is_marked[resource] = false;
        if (!dispatch(c, resource)) {
            return false;
        }
    }
    return clv_clock_set_shares(c);
}

static bool run_all(clv_clock *c) {
    bool ok = true;
    for (uint32_t i = 0; ok && i < c->machine->num_units; i++) {
        ok = become_idle(c, i);
    }
    for (uint32_t g = 0; ok && g < c->schedule->num_groups; g++) {
        for (uint32_t d = 0; ok && d < c->schedule->depth_of_group[g]; d++) {
            ok = admit(c, g);
            if (c->next_request[g] == NONE) {
                break;
            }
        }
    }
    ok = ok && dispatch_all(c);
    while (ok && isfinite(clv_clock_next_us(c)) && !clv_cancel_is_set()) {
        uint32_t step;
        c->now_us = clv_clock_next_us(c);
        while (ok && clv_clock_next_us(c) <= c->now_us) {
            ok = clv_clock_take_ended(c, &step) && finish(c, step);
        }
        ok = ok && dispatch_all(c);
    }
    c->run->makespan_us = c->now_us;
    return ok;
}

clv_status *clv_clock_run(
    const clv_schedule *schedule, const clv_clock_request *request, clv_run **out_run) {
    clv_clock clock = {
        .schedule = schedule,
        .machine = schedule->costs->machine,
        .mode = request->mode,
        .dispatch_us = request->dispatch_us};
    *out_run = NULL;
    clv_status *status = clv_clock_prepare(&clock);
    if (status == NULL && !run_all(&clock)) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for the clock");
    }
    if (status == NULL) {
        status = clv_cancel_check();
    }
    if (status == NULL && clock.num_started < schedule->num_steps) {
        status = clv_clock_deadlock(&clock);
    }
    if (status == NULL) {
        clock.run->is_dynamic = clock.mode == CLV_CLOCK_DYNAMIC;
        clock.run->dispatch_us = clock.run->is_dynamic ? clock.dispatch_us : 0;
        clock.run->is_of_clock = true;
        *out_run = clock.run;
        clock.run = NULL;
    }
    clv_clock_deinit(&clock);
    return status;
}
