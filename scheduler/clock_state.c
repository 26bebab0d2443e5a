#include "scheduler/clock_state.h"

#include "host/base/memory.h"
#include "host/base/text.h"

#define NONE CLV_NO_INDEX

void clv_clock_deinit(clv_clock *c) {
    void *blocks[] = {c->pending,       c->readers,         c->event_of_step, c->pool_of_step,
                      c->place_in_pool, c->after,           c->first_after,   c->is_ready,
                      c->is_limited,    c->virtual_end,     c->want,          c->running,
                      c->next_in_order, c->is_marked,       c->held_bytes,    c->next_request,
                      c->request_after, c->left_in_request, c->events.items,  c->marked.items,
                      c->stale.items,   c->is_idle,         c->work_us};
    for (uint32_t i = 0; c->ready != NULL && i < c->schedule->num_resources; i++) {
        clv_free(c->ready[i].items);
    }
    for (uint32_t i = 0; c->free_slots != NULL && i < c->machine->num_units; i++) {
        clv_free(c->free_slots[i].items);
    }
    for (uint32_t i = 0; c->idle != NULL && i < c->machine->num_units; i++) {
        clv_free(c->idle[i].items);
    }
    for (uint32_t i = 0; c->joint != NULL && i < c->machine->num_units; i++) {
        clv_free(c->joint[i].items);
    }
    for (uint32_t i = 0; c->pools != NULL && i < c->num_pools; i++) {
        clv_free(c->pools[i].free.items);
        clv_free(c->pools[i].limited.items);
        clv_free(c->pools[i].ends.items);
    }
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        clv_free(blocks[i]);
    }
    clv_free(c->ready);
    clv_free(c->free_slots);
    clv_free(c->idle);
    clv_free(c->joint);
    clv_free(c->pools);
    clv_clock_pace_deinit(c);
    clv_run_destroy(c->run);
}

static bool new_array(void *out_array, size_t count, size_t element_bytes) {
    void **array = out_array;
    *array = clv_alloc_zeroed(count + 1, element_bytes);
    return *array != NULL;
}

#define NEW(array, count) new_array(&(array), count, sizeof *(array))

static bool allocate_run(clv_clock *c) {
    size_t steps = (size_t)c->schedule->num_steps, units = c->machine->num_units;
    c->run = clv_alloc_zeroed(1, sizeof *c->run);
    if (c->run == NULL) {
        return false;
    }
    c->run->num_steps = steps;
    return NEW(c->run->start_us, steps) && NEW(c->run->end_us, steps) && NEW(c->run->unit, steps) &&
           NEW(c->run->slot, steps) && NEW(c->run->started, steps) &&
           NEW(c->run->slots_used, units) && NEW(c->run->buffer_bytes, units);
}

static bool allocate(clv_clock *c) {
    const clv_schedule *s = c->schedule;
    size_t steps = (size_t)s->num_steps, resources = s->num_resources;
    c->num_pools = c->machine->num_memories + 2 * c->machine->num_links;
    return allocate_run(c) && NEW(c->pending, steps) && NEW(c->readers, steps) &&
           NEW(c->event_of_step, steps + c->num_pools) && NEW(c->pool_of_step, steps) &&
           NEW(c->place_in_pool, steps) && NEW(c->first_after, steps + 1) &&
           NEW(c->after, (size_t)s->num_waits) && NEW(c->is_ready, steps) &&
           NEW(c->is_limited, steps) && NEW(c->virtual_end, steps) && NEW(c->want, steps) &&
           NEW(c->running, resources) && NEW(c->next_in_order, resources) &&
           NEW(c->ready, resources) && NEW(c->is_marked, resources) &&
           NEW(c->free_slots, c->machine->num_units) && NEW(c->idle, c->machine->num_units) &&
           NEW(c->is_idle, c->machine->num_units) && NEW(c->joint, c->machine->num_units) &&
           NEW(c->work_us, c->machine->num_units) && NEW(c->held_bytes, c->machine->num_units) &&
           NEW(c->next_request, s->num_groups) && NEW(c->request_after, s->num_requests) &&
           NEW(c->left_in_request, s->num_requests) && NEW(c->pools, c->num_pools) &&
           clv_clock_pace_init(c);
}

/* Who waits for each step, from who each step waits for. */
static void link_steps(clv_clock *c) {
    const clv_schedule *s = c->schedule;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        uint32_t num_waits = clv_schedule_num_waits(s, step, c->mode == CLV_CLOCK_DYNAMIC);
        c->pending[i] = num_waits > 0 ? num_waits : 1; /* being let in */
        c->run->slot[i] = NONE;
        c->run->unit[i] = step->resources[0];
        c->left_in_request[step->request]++;
        c->has_joint = c->has_joint || step->resources[1] != NONE;
        for (uint32_t k = 0; k < num_waits; k++) {
            uint32_t before = s->waits[step->first_wait + k];
            c->first_after[before + 2]++;
            c->readers[before] += k < step->num_reads;
        }
    }
    for (uint64_t i = 2; i < s->num_steps + 2; i++) {
        c->first_after[i] += c->first_after[i - 1];
    }
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        uint32_t num_waits = clv_schedule_num_waits(s, step, c->mode == CLV_CLOCK_DYNAMIC);
        for (uint32_t k = 0; k < num_waits; k++) {
            c->after[c->first_after[s->waits[step->first_wait + k] + 1]++] = (uint32_t)i;
        }
    }
}

/* What each unit has to do, planned. */
static void add_work(clv_clock *c) {
    const clv_schedule *s = c->schedule;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        for (int k = 0; k < CLV_STEP_RESOURCES; k++) {
            uint32_t r = s->steps[i].resources[k];
            if (r < c->machine->num_units) {
                c->work_us[r] += s->steps[i].duration_us;
            }
        }
    }
}

clv_status *clv_clock_prepare(clv_clock *c) {
    const clv_schedule *s = c->schedule;
    if (!allocate(c)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the clock");
    }
    link_steps(c);
    if (c->has_joint) {
        add_work(c);
    }
    for (uint32_t i = 0; i < s->num_resources; i++) {
        c->running[i] = NONE;
        c->next_in_order[i] = s->order_offsets != NULL ? s->order_offsets[i] : 0;
    }
    for (uint32_t g = 0; g < s->num_groups; g++) {
        c->next_request[g] = NONE;
    }
    for (uint32_t r = s->num_requests; r-- > 0;) {
        uint32_t group = s->group_of_request[r];
        c->request_after[r] = c->next_request[group];
        c->next_request[group] = r;
    }
    return NULL;
}

/* --- deadlocks --- */

static bool has_started(const clv_clock *c, uint32_t step) {
    return c->pending[step] == 0 && !c->is_ready[step];
}

/* A step that this one, which has not started, waits for. Where it is ready its unit's buffers are
 * full: then a reader of one of them. */
static uint32_t find_blocker(const clv_clock *c, uint32_t index, uint32_t *out_held) {
    const clv_schedule *s = c->schedule;
    const clv_schedule_step *step = &s->steps[index];
    *out_held = NONE;
    uint32_t num_waits = clv_schedule_num_waits(s, step, c->mode == CLV_CLOCK_DYNAMIC);
    for (uint32_t k = 0; k < num_waits; k++) {
        uint32_t before = s->waits[step->first_wait + k];
        if (!has_started(c, before)) {
            return before;
        }
    }
    for (uint64_t i = 0; i < c->num_started; i++) {
        uint32_t holder = c->run->started[i];
        const clv_schedule_step *h = &s->steps[holder];
        if (!h->holds_slot || h->resources[0] != step->resources[0] || c->readers[holder] == 0) {
            continue;
        }
        for (uint64_t k = c->first_after[holder]; k < c->first_after[holder + 1]; k++) {
            uint32_t reader = c->after[k];
            if (!has_started(c, reader)) {
                *out_held = holder;
                return reader;
            }
        }
    }
    return NONE;
}

clv_status *clv_clock_deadlock(const clv_clock *c) {
    const clv_schedule *s = c->schedule;
    bool *seen = clv_alloc_zeroed((size_t)s->num_steps, sizeof *seen);
    clv_text text;
    clv_text_init(&text);
    uint32_t at = NONE, held;
    for (uint64_t i = 0; i < s->num_steps && at == NONE; i++) {
        at = c->is_ready[i] && s->steps[i].holds_slot ? (uint32_t)i : NONE;
    }
    if (seen == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the clock");
    }
    while (at != NONE && !seen[at]) { /* until the way closes: then it is the cycle */
        seen[at] = true;
        at = find_blocker(c, at, &held);
    }
    uint32_t first = at;
    for (int lines = 0; at != NONE && lines < 32 && (lines == 0 || at != first); lines++) {
        char name[128], other[128];
        uint32_t next = find_blocker(c, at, &held);
        clv_schedule_name_step(s, at, name, sizeof name);
        if (held != NONE) {
            clv_schedule_name_step(s, held, other, sizeof other);
            clv_text_add(
                &text, "%s%s waits for a free buffer of %s, which holds %s", lines > 0 ? "; " : "",
                name, c->machine->units[s->steps[at].resources[0]].name, other);
        } else if (next != NONE) {
            clv_schedule_name_step(s, next, other, sizeof other);
            clv_text_add(&text, "%s%s waits for %s", lines > 0 ? "; " : "", name, other);
        }
        at = next;
    }
    clv_status *status = CLV_ERROR(
        UNSUPPORTED, "deadlock after %.9g us with %llu of %llu steps done: %s", c->now_us,
        (unsigned long long)c->num_started, (unsigned long long)s->num_steps,
        text.data != NULL ? text.data : "");
    clv_text_deinit(&text);
    clv_free(seen);
    return status;
}
