#include "host/exec/program.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/exec/hazard.h"
#include <string.h>

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the order of steps");
}

/* --- actors ---------------------------------------------------------------------------------- */

static clv_actor_role role_of(
    const clv_lowered *lowered, const clv_step *step, const clv_program_unit *unit) {
    if (!unit->has_queues) {
        return CLV_ACTOR_ALL;
    }
    switch (step->kind) {
    case CLV_STEP_LAUNCH:
    case CLV_STEP_FILL:
        return CLV_ACTOR_COMPUTE;
    case CLV_STEP_INPUT:
        return CLV_ACTOR_UPLOAD;
    case CLV_STEP_OUTPUT:
        return CLV_ACTOR_DOWNLOAD;
    case CLV_STEP_MOVE:
        break;
    }
    const bool comes_in = lowered->storages[step->operands[0].storage].memory == step->memory;
    return comes_in ? CLV_ACTOR_UPLOAD : CLV_ACTOR_DOWNLOAD;
}

static bool is_first_only(const clv_step *step) {
    return step->kind == CLV_STEP_LAUNCH ? step->num_items == 1
                                         : step->bytes <= CLV_COPY_ITEM_BYTES;
}

static clv_status *add_actors(
    clv_step_program *p, const clv_program_unit *units, uint32_t num_units) {
    p->actors = clv_alloc_zeroed(3 * (size_t)num_units + 1, sizeof *p->actors);
    if (p->actors == NULL) {
        return no_memory();
    }
    for (uint32_t i = 0; i < num_units; i++) {
        static const clv_actor_role all[] = {CLV_ACTOR_ALL};
        static const clv_actor_role queues[] = {
            CLV_ACTOR_UPLOAD, CLV_ACTOR_COMPUTE, CLV_ACTOR_DOWNLOAD};
        const size_t count = units[i].num_lanes == 0 ? 0 : units[i].has_queues ? 3 : 1;
        for (size_t k = 0; k < count; k++) {
            clv_actor *actor = &p->actors[p->num_actors++];
            *actor = (clv_actor){
                .unit = i,
                .num_lanes = units[i].num_lanes,
                .role = units[i].has_queues ? queues[k] : all[k],
            };
            actor->items = clv_alloc_zeroed(p->lowered->num_steps + 1, sizeof *actor->items);
            if (actor->items == NULL) {
                return no_memory();
            }
        }
    }
    return NULL;
}

static clv_status *add_items(
    clv_step_program *p, const clv_program_unit *units, uint32_t num_units) {
    const clv_lowered *lowered = p->lowered;
    p->actor_of_step = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *p->actor_of_step);
    p->item_of_step = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *p->item_of_step);
    if (p->actor_of_step == NULL || p->item_of_step == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        uint32_t a = 0;
        if (step->unit >= num_units || units[step->unit].num_lanes == 0) {
            return CLV_ERROR(
                INTERNAL, "'%s' is of unit %u, which is not there", step->name, step->unit);
        }
        const clv_actor_role role = role_of(lowered, step, &units[step->unit]);
        while (p->actors[a].unit != step->unit || p->actors[a].role != role) {
            a++;
        }
        clv_actor *actor = &p->actors[a];
        p->actor_of_step[i] = a;
        p->item_of_step[i] = actor->num_items;
        actor->items[actor->num_items++] = (clv_item){
            .step = (uint32_t)i,
            .position = (uint32_t)i,
            .is_first_only = is_first_only(step),
        };
    }
    return NULL;
}

/* --- waits ----------------------------------------------------------------------------------- */

/* What an actor knows that another has done: of request r - lag, items below done[lag]. Whoever has
 * begun a request has done all of those before. */
typedef struct knowledge {
    uint32_t *done; /* [num_actors][depth] */
    uint32_t num_actors, depth;
} knowledge;

static uint32_t *known_of(const knowledge *k, uint32_t actor) {
    return &k->done[(size_t)actor * k->depth];
}

static bool is_known(const knowledge *k, uint32_t actor, uint32_t item, uint32_t lag) {
    const uint32_t *done = known_of(k, actor);
    for (uint32_t i = 0; i < lag; i++) {
        if (done[i] != 0) {
            return true;
        }
    }
    return done[lag] > item;
}

/* Whether lanes of one actor may see an earlier item of it unfinished. */
static bool is_own_business(const clv_actor *actor, const clv_item *earlier, const clv_item *item) {
    return actor->num_lanes == 1 || (earlier->is_first_only && item->is_first_only);
}

typedef struct waiter {
    clv_step_program *program;
    const bool *is_shared; /* [num_steps]: touches what others touch */
    uint32_t own;          /* the actor that waits */
    bool counts;           /* false: learns what a request leaves behind for the next one */
    knowledge known;
} waiter;

static clv_status *add_wait(waiter *w, clv_item *item, clv_item_wait wait) {
    clv_step_program *p = w->program;
    if (!clv_array_reserve(
            (void **)&p->waits, &p->capacity_waits, p->num_waits + 1, sizeof *p->waits)) {
        return no_memory();
    }
    p->waits[p->num_waits++] = wait;
    item->num_waits++;
    if (w->counts) {
        clv_item *awaited = &p->actors[wait.actor].items[wait.item];
        const bool is_other_unit = p->actors[wait.actor].unit != p->actors[w->own].unit;
        awaited->is_awaited = true;
        awaited->is_published = awaited->is_published || is_other_unit;
        item->is_gated = item->is_gated || is_other_unit;
    }
    uint32_t *done = known_of(&w->known, wait.actor);
    done[wait.lag] = done[wait.lag] > wait.item ? done[wait.lag] : wait.item + 1;
    return NULL;
}

/* Items of an actor before a position. */
static uint32_t count_before(const clv_actor *actor, uint32_t position) {
    uint32_t low = 0, high = actor->num_items;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (actor->items[middle].position < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Of the items that come later in a request, which are awaited of an earlier one, those below this
 * are known to be done: all where something of this request is, or where one of them ends another
 * request. */
static uint32_t known_later(const waiter *w, uint32_t actor) {
    const uint32_t *done = known_of(&w->known, actor);
    return w->program->depth == 1 || done[0] != 0 ? UINT32_MAX : done[1];
}

/* Waits of one item for one actor; from its last item on: one wait stands for all before. */
static clv_status *wait_for_actor(waiter *w, uint32_t own, clv_item *item, uint32_t other) {
    clv_step_program *p = w->program;
    const clv_actor *actor = &p->actors[other];
    const clv_step *step = &p->lowered->steps[item->step];
    const uint32_t num_before = count_before(actor, item->position);
    for (uint32_t i = actor->num_items; i-- > 0;) {
        if (i >= num_before && i < known_later(w, other)) {
            i = num_before;
            continue;
        }
        const clv_item *earlier = &actor->items[i];
        if (!w->is_shared[earlier->step] ||
            (own == other && is_own_business(actor, earlier, item))) {
            continue; /* an item of several lanes waits for itself, of an earlier request, too */
        }
        const clv_step *before = &p->lowered->steps[earlier->step];
        const bool is_before =
            earlier->position < item->position && !clv_steps_are_shares(before, step);
        if (is_before && is_known(&w->known, other, i, 0)) {
            break; /* and so is everything before it, of this request and earlier ones */
        }
        const uint32_t lag = is_before ? 0 : clv_steps_lag(p->lowered, before, step);
        if (lag >= p->depth || is_known(&w->known, other, i, lag)) {
            continue;
        }
        if (!is_before || clv_steps_conflict(p->lowered, before, step)) {
            CLV_TRY(add_wait(w, item, (clv_item_wait){.actor = other, .item = i, .lag = lag}));
        }
    }
    return NULL;
}

static clv_status *wait_of_actor(waiter *w, uint32_t own) {
    clv_step_program *p = w->program;
    clv_actor *actor = &p->actors[own];
    for (uint32_t i = 0; i < actor->num_items; i++) {
        clv_item *item = &actor->items[i];
        const size_t first = p->num_waits;
        item->first_wait = (uint32_t)first;
        item->num_waits = 0;
        CLV_TRY(clv_cancel_check());
        for (uint32_t other = 0; other < p->num_actors && w->is_shared[item->step]; other++) {
            if (other != own || actor->num_lanes > 1) {
                CLV_TRY(wait_for_actor(w, own, item, other));
            }
        }
        if (!w->counts) {
            p->num_waits = first;
        }
    }
    return NULL;
}

/* The next request begins with what this one has learnt, a request later. */
static void carry_over(knowledge *k) {
    for (uint32_t a = 0; a < k->num_actors; a++) {
        uint32_t *done = known_of(k, a);
        const uint32_t last = done[0];
        memset(done, 0, k->depth * sizeof *done);
        if (k->depth > 1) {
            done[1] = last;
        }
    }
}

static clv_status *add_waits(waiter *w) {
    clv_step_program *p = w->program;
    const size_t bytes = (size_t)p->num_actors * p->depth * sizeof *w->known.done;
    for (uint32_t own = 0; own < p->num_actors; own++) {
        memset(w->known.done, 0, bytes);
        w->own = own;
        w->counts = false;
        CLV_TRY(wait_of_actor(w, own));
        carry_over(&w->known);
        w->counts = true;
        CLV_TRY(wait_of_actor(w, own));
    }
    return NULL;
}

/* Steps that touch something which another actor, or another lane of theirs, touches too. */
static clv_status *find_shared(const clv_step_program *p, bool *is_shared) {
    const clv_lowered *lowered = p->lowered;
    enum { NOBODY = 0, SEVERAL = -1 };
    int64_t *user = clv_alloc_zeroed(
        lowered->values.num_blocks + 1, sizeof *user); /* of blocks: the actor + 1 */
    if (user == NULL) {
        return no_memory();
    }
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < lowered->num_steps; i++) {
            const clv_step *step = &lowered->steps[i];
            const int64_t own = (int64_t)p->actor_of_step[i] + 1;
            for (uint32_t j = 0; j < step->num_operands; j++) {
                const clv_operand *o = &step->operands[j];
                if (o->storage == CLV_NO_STORAGE || o->access == 0 ||
                    lowered->storages[o->storage].kind != CLV_STORAGE_VALUE ||
                    lowered->storages[o->storage].piece.bytes == 0) {
                    continue;
                }
                int64_t *at = &user[lowered->storages[o->storage].piece.block];
                if (pass == 0) {
                    const bool is_gang = p->actors[own - 1].num_lanes > 1;
                    *at = !is_gang && (*at == NOBODY || *at == own) ? own : SEVERAL;
                } else {
                    is_shared[i] = is_shared[i] || *at == SEVERAL;
                }
            }
        }
    }
    clv_free(user);
    return NULL;
}

clv_status *clv_step_program_create(
    const clv_lowered *lowered, const clv_program_unit *units, uint32_t num_units, uint32_t depth,
    clv_step_program *out_program) {
    *out_program = (clv_step_program){.lowered = lowered, .depth = depth > 1 ? depth : 1};
    clv_step_program *p = out_program;
    clv_status *status = NULL;
    bool *is_shared = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *is_shared);
    waiter w = {.program = p, .is_shared = is_shared};
    CLV_TRY_DONE(is_shared != NULL ? NULL : no_memory());
    CLV_TRY_DONE(add_actors(p, units, num_units));
    CLV_TRY_DONE(add_items(p, units, num_units));
    CLV_TRY_DONE(find_shared(p, is_shared));
    w.known = (knowledge){
        .done = clv_alloc_zeroed((size_t)p->num_actors * p->depth + 1, sizeof *w.known.done),
        .num_actors = p->num_actors,
        .depth = p->depth,
    };
    CLV_TRY_DONE(w.known.done != NULL ? add_waits(&w) : no_memory());
done:
    clv_free(w.known.done);
    clv_free(is_shared);
    if (status != NULL) {
        clv_step_program_deinit(p);
    }
    return status;
}

void clv_step_program_deinit(clv_step_program *program) {
    for (uint32_t i = 0; i < program->num_actors; i++) {
        clv_free(program->actors[i].items);
    }
    clv_free(program->actors);
    clv_free(program->actor_of_step);
    clv_free(program->item_of_step);
    clv_free(program->waits);
    *program = (clv_step_program){.lowered = NULL};
}
