/* Events of the clock, and running steps that share a memory's bandwidth or a link.
 *
 * Shares are max-min fair: who wants no more than an even share of what the others leave draws what
 * it wants and runs at its own pace (`free`); all others draw that even share (`limited`). What
 * these have left to draw goes down at one pace for all, so that they end in an order that no
 * change of the share changes: the virtual time of the pool is what each of them has drawn since
 * the first began, and each has a virtual time at which it ends. A step that begins or ends moves
 * only those whose want the even share passes, and one event, the next end of what is limited.
 */
#include "host/base/memory.h"
#include "scheduler/clock_state.h"

#include <math.h>

#define NONE CLV_NO_INDEX

/* Wants are added up as whole numbers, which leave nothing behind when they are taken away. So that
 * wants that add up to 1 but for rounding are not too much, they are counted a little smaller. */
static const double one = 1152921504606846976.0; /* 2^60 */
static const uint64_t whole = (uint64_t)1 << 60;
static const double less = 1 - 1e-13;

static uint64_t exact_of(double want) {
    return (uint64_t)(fmin(want, 1) * one);
}

static uint64_t count_of(double want) {
    return (uint64_t)(fmin(want, 1) * one * less);
}

/* --- queues: heaps whose items know their places --- */

typedef bool (*is_before)(const clv_clock *c, uint32_t a, uint32_t b);

/* By when they end, ties by number: steps, and pools by their first limited step. */
static double event_us(const clv_clock *c, uint32_t event) {
    uint64_t steps = c->schedule->num_steps;
    return event < steps ? c->run->end_us[event] : c->pools[event - steps].next_us;
}

static bool ends_before(const clv_clock *c, uint32_t a, uint32_t b) {
    double x = event_us(c, a), y = event_us(c, b);
    return x < y || (x == y && a < b);
}

static bool has_drawn_before(const clv_clock *c, uint32_t a, uint32_t b) {
    double x = c->virtual_end[a], y = c->virtual_end[b];
    return x < y || (x == y && a < b);
}

static bool wants_less(const clv_clock *c, uint32_t a, uint32_t b) {
    return c->want[a] < c->want[b] || (c->want[a] == c->want[b] && a < b);
}

static bool wants_more(const clv_clock *c, uint32_t a, uint32_t b) {
    return wants_less(c, b, a);
}

static inline void set_place(clv_clock_queue *q, uint32_t *places, size_t i, uint32_t item) {
    q->items[i] = item;
    places[item] = (uint32_t)i;
}

/* The item at i is not where it belongs. */
static inline void settle(
    const clv_clock *c, clv_clock_queue *q, is_before before, uint32_t *places, size_t i) {
    uint32_t item = q->items[i];
    while (i > 0 && before(c, item, q->items[(i - 1) / 2])) {
        set_place(q, places, i, q->items[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (size_t child = 2 * i + 1; child < q->count; child = 2 * i + 1) {
        if (child + 1 < q->count && before(c, q->items[child + 1], q->items[child])) {
            child++;
        }
        if (!before(c, q->items[child], item)) {
            break;
        }
        set_place(q, places, i, q->items[child]);
        i = child;
    }
    set_place(q, places, i, item);
}

static inline bool add(
    const clv_clock *c, clv_clock_queue *q, is_before before, uint32_t *places, uint32_t item) {
    if (!clv_array_reserve((void **)&q->items, &q->capacity, q->count + 1, sizeof *q->items)) {
        return false;
    }
    q->items[q->count++] = item;
    settle(c, q, before, places, q->count - 1);
    return true;
}

static inline void take_out(
    const clv_clock *c, clv_clock_queue *q, is_before before, uint32_t *places, uint32_t item) {
    size_t i = places[item];
    uint32_t last = q->items[--q->count];
    if (i < q->count) {
        q->items[i] = last;
        settle(c, q, before, places, i);
    }
}

/* --- pools --- */

static bool make_stale(clv_clock *c, uint32_t pool) {
    if (c->pools[pool].is_stale) {
        return true;
    }
    if (!clv_array_reserve(
            (void **)&c->stale.items, &c->stale.capacity, c->stale.count + 1,
            sizeof *c->stale.items)) {
        return false;
    }
    c->pools[pool].is_stale = true;
    c->stale.items[c->stale.count++] = pool;
    return true;
}

static void advance(const clv_clock *c, clv_clock_pool *pool) {
    pool->drawn += pool->share * (c->now_us - pool->updated_us);
    pool->updated_us = c->now_us;
}

/* Limited until the share is known. */
bool clv_clock_share(clv_clock *c, uint32_t pool_index, uint32_t step, double want) {
    clv_clock_pool *pool = &c->pools[pool_index];
    advance(c, pool);
    c->want[step] = want;
    c->pool_of_step[step] = pool_index;
    c->is_limited[step] = true;
    c->virtual_end[step] = pool->drawn + want * (c->run->end_us[step] - c->now_us);
    return add(c, &pool->limited, wants_less, c->place_in_pool, step) &&
           add(c, &pool->ends, has_drawn_before, c->event_of_step, step) &&
           make_stale(c, pool_index);
}

static bool set_free(clv_clock *c, clv_clock_pool *pool, uint32_t step) {
    take_out(c, &pool->limited, wants_less, c->place_in_pool, step);
    take_out(c, &pool->ends, has_drawn_before, c->event_of_step, step);
    c->is_limited[step] = false;
    if (c->run->start_us[step] < c->now_us) { /* else its end is known better */
        double left = fmax(c->virtual_end[step] - pool->drawn, 0);
        c->run->end_us[step] = c->now_us + left / c->want[step];
    }
    pool->num_exact += exact_of(c->want[step]);
    pool->num_counted += count_of(c->want[step]);
    return add(c, &pool->free, wants_more, c->place_in_pool, step) &&
           add(c, &c->events, ends_before, c->event_of_step, step);
}

static bool set_limited(clv_clock *c, clv_clock_pool *pool, uint32_t step) {
    take_out(c, &pool->free, wants_more, c->place_in_pool, step);
    take_out(c, &c->events, ends_before, c->event_of_step, step);
    c->is_limited[step] = true;
    pool->num_exact -= exact_of(c->want[step]);
    pool->num_counted -= count_of(c->want[step]);
    double left_us = fmax(c->run->end_us[step] - c->now_us, 0);
    c->virtual_end[step] = pool->drawn + c->want[step] * left_us;
    return add(c, &pool->limited, wants_less, c->place_in_pool, step) &&
           add(c, &pool->ends, has_drawn_before, c->event_of_step, step);
}

/* The even share of those that are limited, as count_of has it. */
static uint64_t level_of(const clv_clock_pool *pool) {
    uint64_t room = pool->num_counted < whole ? whole - pool->num_counted : 0;
    return pool->limited.count > 0 ? room / pool->limited.count : UINT64_MAX;
}

static bool set_share(clv_clock *c, uint32_t pool_index) {
    clv_clock_pool *pool = &c->pools[pool_index];
    uint32_t event = (uint32_t)c->schedule->num_steps + pool_index;
    bool ok = true;
    advance(c, pool);
    while (ok && pool->free.count > 0 && count_of(c->want[pool->free.items[0]]) > level_of(pool)) {
        ok = set_limited(c, pool, pool->free.items[0]);
    }
    while (ok && pool->limited.count > 0 &&
           count_of(c->want[pool->limited.items[0]]) <= level_of(pool)) {
        ok = set_free(c, pool, pool->limited.items[0]);
    }
    pool->is_stale = false;
    if (!ok || pool->limited.count == 0) {
        pool->share = pool->drawn = 0;
        if (pool->is_event) {
            take_out(c, &c->events, ends_before, c->event_of_step, event);
            pool->is_event = false;
        }
        return ok;
    }
    double room = pool->num_exact < whole ? (double)(whole - pool->num_exact)
                                          : (double)(whole - pool->num_counted);
    pool->share = room / one / (double)pool->limited.count;
    double left = fmax(c->virtual_end[pool->ends.items[0]] - pool->drawn, 0);
    pool->next_us = c->now_us + left / pool->share;
    if (pool->is_event) {
        settle(c, &c->events, ends_before, c->event_of_step, c->event_of_step[event]);
        return true;
    }
    pool->is_event = true;
    return add(c, &c->events, ends_before, c->event_of_step, event);
}

static void leave_pool(clv_clock *c, clv_clock_pool *pool, uint32_t step) {
    if (c->is_limited[step]) {
        take_out(c, &pool->limited, wants_less, c->place_in_pool, step);
        take_out(c, &pool->ends, has_drawn_before, c->event_of_step, step);
        c->is_limited[step] = false;
        return;
    }
    take_out(c, &pool->free, wants_more, c->place_in_pool, step);
    take_out(c, &c->events, ends_before, c->event_of_step, step);
    pool->num_exact -= exact_of(c->want[step]);
    pool->num_counted -= count_of(c->want[step]);
}

bool clv_clock_quicken(clv_clock *c, uint32_t step, double factor) {
    uint32_t pool_index = c->pool_of_step[step];
    double left_us = c->run->end_us[step] - c->now_us;
    if (pool_index == NONE) {
        c->run->end_us[step] = c->now_us + fmax(left_us, 0) / factor;
        settle(c, &c->events, ends_before, c->event_of_step, c->event_of_step[step]);
        return true;
    }
    clv_clock_pool *pool = &c->pools[pool_index];
    advance(c, pool);
    if (c->is_limited[step] && c->run->start_us[step] < c->now_us) {
        left_us = (c->virtual_end[step] - pool->drawn) / c->want[step];
    }
    leave_pool(c, pool, step);
    c->run->end_us[step] = c->now_us + fmax(left_us, 0) / factor;
    return clv_clock_share(c, pool_index, step, c->want[step] * factor);
}

bool clv_clock_set_shares(clv_clock *c) {
    bool ok = clv_clock_set_paces(c);
    while (ok && c->stale.count > 0) {
        ok = set_share(c, c->stale.items[--c->stale.count]);
    }
    return ok;
}

/* --- events --- */

bool clv_clock_add_event(clv_clock *c, uint32_t step) {
    c->pool_of_step[step] = NONE;
    return add(c, &c->events, ends_before, c->event_of_step, step);
}

double clv_clock_end_us(const clv_clock *c, uint32_t step) {
    if (!c->is_limited[step] || c->run->start_us[step] == c->now_us) {
        return c->run->end_us[step];
    }
    const clv_clock_pool *pool = &c->pools[c->pool_of_step[step]];
    double drawn = pool->drawn + pool->share * (c->now_us - pool->updated_us);
    return c->now_us + (c->virtual_end[step] - drawn) / pool->share;
}

double clv_clock_next_us(const clv_clock *c) {
    return c->events.count > 0 ? event_us(c, c->events.items[0]) : (double)INFINITY;
}

/* Those of a pool that end with its first. */
static bool end_limited(clv_clock *c, uint32_t pool_index, uint32_t *out_step) {
    clv_clock_pool *pool = &c->pools[pool_index];
    uint32_t step = pool->ends.items[0];
    pool->drawn = fmax(pool->drawn, c->virtual_end[step]);
    pool->updated_us = c->now_us;
    take_out(c, &pool->ends, has_drawn_before, c->event_of_step, step);
    take_out(c, &pool->limited, wants_less, c->place_in_pool, step);
    c->is_limited[step] = false;
    c->run->end_us[step] = c->now_us;
    if (pool->ends.count == 0 || c->virtual_end[pool->ends.items[0]] > pool->drawn) {
        uint32_t event = (uint32_t)c->schedule->num_steps + pool_index;
        take_out(c, &c->events, ends_before, c->event_of_step, event);
        pool->is_event = false;
    }
    *out_step = step;
    return make_stale(c, pool_index);
}

bool clv_clock_take_ended(clv_clock *c, uint32_t *out_step) {
    uint32_t event = c->events.items[0];
    uint64_t steps = c->schedule->num_steps;
    if (event >= steps) {
        return end_limited(c, (uint32_t)(event - steps), out_step);
    }
    *out_step = event;
    take_out(c, &c->events, ends_before, c->event_of_step, event);
    uint32_t pool_index = c->pool_of_step[event];
    if (pool_index == NONE) {
        return true;
    }
    clv_clock_pool *pool = &c->pools[pool_index];
    take_out(c, &pool->free, wants_more, c->place_in_pool, event);
    pool->num_exact -= exact_of(c->want[event]);
    pool->num_counted -= count_of(c->want[event]);
    return make_stale(c, pool_index);
}
