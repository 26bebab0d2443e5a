#include "host/exec/step_order.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/exec/hazard.h"
#include <string.h>

enum {
    MAX_ORDERED = 16384, /* steps and storages: bits for all pairs then take 32 MiB */
    NOTHING = UINT32_MAX,
};

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the order of steps");
}

/* --- the order ------------------------------------------------------------------------------- */

/* Somebody who touches a storage; a list from the last one back. */
typedef struct touch {
    const clv_operand *operand;
    uint32_t step, previous;
} touch;

typedef struct builder {
    const clv_lowered *lowered;
    clv_step_order *order;
    touch *touches;
    uint32_t *last;   /* [num_storages]: touch; NOTHING: none */
    uint32_t *marked; /* [num_steps]: by which step + 1 it is waited for already */
    uint32_t *latest; /* [num_units]: its step so far + 1; 0: none */
    uint32_t *fills;  /* [num_steps]: of one that fills, the one before it + 1; 0: none */
    uint32_t last_fill;
    uint32_t num_touches;
    size_t num_before;
} builder;

static bool counts(const clv_lowered *lowered, const clv_operand *o) {
    return o->storage != CLV_NO_STORAGE && o->access != 0 && o->bytes != 0 &&
           lowered->storages[o->storage].kind == CLV_STORAGE_VALUE;
}

static clv_status *add_before(builder *b, uint32_t step, uint32_t earlier) {
    if (earlier == step || b->marked[earlier] == step + 1) {
        return NULL;
    }
    b->marked[earlier] = step + 1;
    if (!clv_array_reserve(
            (void **)&b->order->before, &b->order->capacity_before, b->num_before + 1,
            sizeof *b->order->before)) {
        return no_memory();
    }
    b->order->before[b->num_before++] = earlier;
    return NULL;
}

/* All that conflict, but for those behind one that overwrote everything, or behind all shares of
 * such a launch. */
static clv_status *add_touch(builder *b, uint32_t step, const clv_operand *o) {
    const clv_step *steps = b->lowered->steps, *covering = NULL;
    for (uint32_t at = b->last[o->storage]; at != NOTHING; at = b->touches[at].previous) {
        const clv_operand *other = b->touches[at].operand;
        const clv_step *earlier = &steps[b->touches[at].step];
        if (covering != NULL && !clv_steps_are_shares(covering, earlier)) {
            break; /* those before it come before it */
        }
        const bool overlaps = !clv_steps_are_shares(earlier, &steps[step]) &&
                              other->begin < o->begin + o->bytes &&
                              o->begin < other->begin + other->bytes;
        if (overlaps && ((other->access | o->access) & CLV_WRITES) != 0) {
            CLV_TRY(add_before(b, step, b->touches[at].step));
            const bool covers =
                other->begin <= o->begin && other->begin + other->bytes >= o->begin + o->bytes;
            if (covers && (other->access & CLV_WRITES) != 0 && b->touches[at].step != step) {
                covering = earlier;
            }
        }
    }
    b->touches[b->num_touches] = (touch){o, step, b->last[o->storage]};
    b->last[o->storage] = b->num_touches++;
    return NULL;
}

/* Whoever gets memory comes after it was filled as dead: known once there are fills, which is when
 * memory is planned. */
static clv_status *add_fills(builder *b, uint32_t step) {
    const clv_step *steps = b->lowered->steps;
    for (uint32_t f = b->last_fill; f != 0; f = b->fills[f - 1]) {
        if (clv_steps_conflict(b->lowered, &steps[f - 1], &steps[step])) {
            CLV_TRY(add_before(b, step, f - 1));
        }
    }
    if (steps[step].kind == CLV_STEP_FILL) {
        b->fills[step] = b->last_fill;
        b->last_fill = step + 1;
    }
    return NULL;
}

/* Whose turn it was before. */
static clv_status *add_turn(builder *b, clv_step_turns turns, uint32_t step) {
    const uint32_t unit = turns == CLV_TURNS_UNITS ? b->lowered->steps[step].unit : 0;
    const uint32_t earlier = turns == CLV_TURNS_NONE ? 0 : b->latest[unit];
    b->latest[unit] = step + 1;
    return earlier == 0 ? NULL : add_before(b, step, earlier - 1);
}

static clv_status *build(builder *b, clv_step_turns turns) {
    const clv_lowered *lowered = b->lowered;
    for (size_t i = 0; i < lowered->num_storages; i++) {
        b->last[i] = NOTHING;
    }
    for (uint32_t s = 0; s < lowered->num_steps; s++) {
        CLV_TRY(clv_cancel_check());
        CLV_TRY(add_turn(b, turns, s));
        for (uint32_t k = 0; k < lowered->steps[s].num_operands; k++) {
            if (counts(lowered, &lowered->steps[s].operands[k])) {
                CLV_TRY(add_touch(b, s, &lowered->steps[s].operands[k]));
            }
        }
        CLV_TRY(add_fills(b, s));
        b->order->first[s + 1] = (uint32_t)b->num_before;
    }
    return NULL;
}

clv_status *clv_step_order_create(
    const clv_lowered *lowered, clv_step_turns turns, clv_step_order *out_order) {
    size_t num_operands = 0, num_units = 0;
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const uint32_t unit = lowered->steps[i].unit;
        num_operands += lowered->steps[i].num_operands;
        num_units = unit >= num_units ? (size_t)unit + 1 : num_units;
    }
    *out_order = (clv_step_order){
        .first = clv_alloc_zeroed(lowered->num_steps + 1, sizeof(uint32_t)),
        .num_steps = lowered->num_steps,
    };
    builder b = {
        .lowered = lowered,
        .order = out_order,
        .touches = clv_alloc_zeroed(num_operands + 1, sizeof *b.touches),
        .last = clv_alloc_zeroed(lowered->num_storages + 1, sizeof *b.last),
        .marked = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *b.marked),
        .fills = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *b.fills),
        .latest = clv_alloc_zeroed(num_units + 1, sizeof *b.latest),
    };
    const bool has_memory = out_order->first != NULL && b.touches != NULL && b.last != NULL &&
                            b.marked != NULL && b.latest != NULL && b.fills != NULL;
    clv_status *status = has_memory ? build(&b, turns) : no_memory();
    clv_free(b.touches);
    clv_free(b.last);
    clv_free(b.marked);
    clv_free(b.fills);
    clv_free(b.latest);
    if (status != NULL) {
        clv_step_order_deinit(out_order);
    }
    return status;
}

void clv_step_order_deinit(clv_step_order *order) {
    clv_free(order->first);
    clv_free(order->before);
    *order = (clv_step_order){.num_steps = 0};
}

/* --- storages -------------------------------------------------------------------------------- */

static bool has_bit(const uint64_t *bits, size_t i) {
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

/* rows[s]: the steps that step s comes after. */
static void find_ancestors(const clv_step_order *order, uint64_t *rows, size_t words) {
    for (size_t s = 0; s < order->num_steps; s++) {
        uint64_t *row = &rows[s * words];
        for (uint32_t i = order->first[s]; i < order->first[s + 1]; i++) {
            const uint32_t earlier = order->before[i];
            const uint64_t *other = &rows[earlier * words];
            for (size_t w = 0; w <= earlier / 64; w++) {
                row[w] |= other[w];
            }
            row[earlier / 64] |= UINT64_C(1) << (earlier % 64);
        }
    }
}

typedef struct users {
    uint32_t *first; /* [count + 1] */
    uint32_t *steps; /* that touch each storage */
    uint32_t *last;  /* likewise, but for those that another one comes after, then NOTHING */
} users;

static clv_status *find_users(
    const clv_lowered *lowered, const uint32_t *storages, size_t count, users *u) {
    uint32_t *number = clv_alloc_zeroed(lowered->num_storages + 1, sizeof *number);
    size_t num_uses = 0;
    u->first = clv_alloc_zeroed(count + 2, sizeof *u->first);
    if (number == NULL || u->first == NULL) {
        clv_free(number);
        return no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        number[storages[i]] = (uint32_t)i + 1;
    }
    for (int pass = 0; pass < 2 && (pass == 0 || u->steps != NULL); pass++) {
        for (uint32_t s = 0; s < lowered->num_steps; s++) {
            for (uint32_t k = 0; k < lowered->steps[s].num_operands; k++) {
                const uint32_t storage = lowered->steps[s].operands[k].storage;
                const uint32_t i = storage != CLV_NO_STORAGE ? number[storage] : 0;
                if (i != 0 && pass == 0) {
                    u->first[i + 1]++;
                    num_uses++;
                } else if (i != 0) {
                    u->steps[u->first[i]++] = s;
                }
            }
        }
        for (size_t i = 0; i < count && pass == 0; i++) {
            u->first[i + 1] += u->first[i];
        }
        u->steps = pass == 0 ? clv_alloc_zeroed(num_uses + 1, sizeof *u->steps) : u->steps;
        u->last = pass == 0 ? clv_alloc_zeroed(num_uses + 1, sizeof *u->last) : u->last;
    }
    clv_free(number);
    return u->steps != NULL && u->last != NULL ? NULL : no_memory();
}

static void find_last(users *u, size_t count, const uint64_t *rows, size_t words) {
    for (size_t i = 0; i < count; i++) {
        uint32_t at = u->first[i];
        for (uint32_t a = u->first[i]; a < u->first[i + 1]; a++) {
            bool is_last = true;
            for (uint32_t b = u->first[i]; b < u->first[i + 1] && is_last; b++) {
                is_last = !has_bit(&rows[u->steps[b] * words], u->steps[a]);
            }
            if (is_last) {
                u->last[at++] = u->steps[a];
            }
        }
        for (; at < u->first[i + 1]; at++) {
            u->last[at] = NOTHING;
        }
    }
}

/* What all users of a storage come after. */
static void find_common(
    const users *u, size_t index, const uint64_t *rows, size_t words, uint64_t *common) {
    memset(common, u->first[index] < u->first[index + 1] ? 0xff : 0, words * sizeof *common);
    for (uint32_t a = u->first[index]; a < u->first[index + 1]; a++) {
        for (size_t w = 0; w < words; w++) {
            common[w] &= rows[u->steps[a] * words + w];
        }
    }
}

static bool is_all_in(const users *u, size_t index, const uint64_t *common) {
    bool is_in = u->first[index] < u->first[index + 1];
    for (uint32_t a = u->first[index]; a < u->first[index + 1] && u->last[a] != NOTHING; a++) {
        is_in = is_in && has_bit(common, u->last[a]);
    }
    return is_in;
}

clv_status *clv_step_order_storages(
    const clv_step_order *order, const clv_lowered *lowered, const uint32_t *storages, size_t count,
    uint64_t **out_before) {
    const size_t words = order->num_steps / 64 + 1, row_words = count / 64 + 1;
    users u = {.first = NULL};
    *out_before = NULL;
    if (order->num_steps > MAX_ORDERED || count > MAX_ORDERED) {
        return NULL;
    }
    uint64_t *rows = clv_alloc_zeroed(order->num_steps * words + 1, sizeof *rows);
    uint64_t *common = clv_alloc_zeroed(words, sizeof *common);
    uint64_t *before = clv_alloc_zeroed(count * row_words + 1, sizeof *before);
    clv_status *status = rows != NULL && common != NULL && before != NULL
                             ? find_users(lowered, storages, count, &u)
                             : no_memory();
    if (status == NULL) {
        find_ancestors(order, rows, words);
        find_last(&u, count, rows, words);
    }
    for (size_t j = 0; j < count && status == NULL; j++) {
        find_common(&u, j, rows, words, common);
        for (size_t i = 0; i < count; i++) {
            if (is_all_in(&u, i, common)) {
                before[j * row_words + i / 64] |= UINT64_C(1) << (i % 64);
            }
        }
        status = clv_cancel_check();
    }
    clv_free(rows);
    clv_free(common);
    clv_free(u.first);
    clv_free(u.steps);
    clv_free(u.last);
    if (status != NULL) {
        clv_free(before);
        return status;
    }
    *out_before = before;
    return NULL;
}
