/* The proof that a program has no hazards, independent of how its waits were made: what each item
 * knows to be done is followed through everything that the actors do, for as many requests as
 * can touch each other's memory; then all of them go through that memory, and whoever touches bytes
 * must know those who did before. */
#include "host/exec/program.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/exec/hazard.h"
#include <stdlib.h>
#include <string.h>

/* clock[actor]: items of it that are done, counted over requests; for each item, when it begins. */
typedef struct prover {
    const clv_step_program *program;
    uint64_t *clocks; /* [num_requests][num_steps][num_actors] */
    uint64_t *ends;   /* [num_actors][num_actors]: what an actor knew after its last item */
    uint32_t num_requests;
} prover;

static uint64_t *clock_of(const prover *v, uint32_t request, uint32_t step) {
    const clv_step_program *p = v->program;
    return &v->clocks[((size_t)request * p->lowered->num_steps + step) * p->num_actors];
}

static void learn(uint64_t *clock, const uint64_t *other, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        clock[i] = clock[i] > other[i] ? clock[i] : other[i];
    }
}

/* Everything in the order of one request after another; waits point backwards in it. */
static clv_status *follow(prover *v) {
    const clv_step_program *p = v->program;
    for (uint32_t r = 0; r < v->num_requests; r++) {
        for (uint32_t s = 0; s < p->lowered->num_steps; s++) {
            const uint32_t a = p->actor_of_step[s];
            const clv_item *item = &p->actors[a].items[p->item_of_step[s]];
            uint64_t *clock = clock_of(v, r, s), *end = &v->ends[(size_t)a * p->num_actors];
            CLV_TRY(clv_cancel_check());
            for (uint32_t i = 0; i < item->num_waits; i++) {
                const clv_item_wait *wait = &p->waits[item->first_wait + i];
                if (wait->lag > r) {
                    continue;
                }
                const clv_actor *other = &p->actors[wait->actor];
                const uint32_t step = other->items[wait->item].step;
                if (wait->lag == 0 && step >= s) {
                    return CLV_ERROR(
                        INTERNAL, "'%s' waits for '%s', which comes after it",
                        p->lowered->steps[s].name, p->lowered->steps[step].name);
                }
                learn(end, clock_of(v, r - wait->lag, step), p->num_actors);
                const uint64_t done = (uint64_t)(r - wait->lag) * other->num_items + wait->item + 1;
                end[wait->actor] = end[wait->actor] > done ? end[wait->actor] : done;
            }
            memcpy(clock, end, p->num_actors * sizeof *clock);
            if (p->actors[a].num_lanes ==
                1) { /* lanes of one actor are not in step by themselves */
                end[a] = (uint64_t)r * p->actors[a].num_items + p->item_of_step[s] + 1;
            }
        }
    }
    return NULL;
}

static clv_status *check_pair(
    const prover *v, uint32_t earlier, uint32_t earlier_request, uint32_t later,
    uint32_t later_request) {
    const clv_step_program *p = v->program;
    const uint32_t a = p->actor_of_step[earlier];
    const clv_item *first = &p->actors[a].items[p->item_of_step[earlier]];
    const clv_item *second = &p->actors[p->actor_of_step[later]].items[p->item_of_step[later]];
    if (a == p->actor_of_step[later] &&
        (p->actors[a].num_lanes == 1 || (first->is_first_only && second->is_first_only))) {
        return NULL; /* one lane does both, in this order */
    }
    const uint64_t done =
        (uint64_t)earlier_request * p->actors[a].num_items + p->item_of_step[earlier] + 1;
    if (clock_of(v, later_request, later)[a] >= done) {
        return NULL;
    }
    return CLV_ERROR(
        INTERNAL, "nothing orders '%s' and '%s' of %s request, which touch the same memory",
        p->lowered->steps[earlier].name, p->lowered->steps[later].name,
        earlier_request == later_request ? "the same" : "a later");
}

/* --- who touches what ------------------------------------------------------------------------- */

/* Somebody who touches bytes. */
typedef struct visit {
    uint32_t step, request;
    uint32_t count; /* of a writer: shares of one launch, from `step` on */
    uint32_t next;  /* reader of the same bytes; NOBODY: none */
} visit;

/* Bytes that every operand touches as a whole or not at all, of one block. */
typedef struct cell {
    uint64_t block, begin; /* kind and block of storages; up to the next cell's begin */
    visit writer;          /* the last one, or shares of one launch; count 0: none */
    uint32_t readers;      /* since then, of each actor the last ones: index into visits */
} cell;

enum { NOBODY = UINT32_MAX };

typedef struct bytes_map {
    cell *cells; /* by block and begin */
    size_t num_cells, capacity_cells;
    visit *visits; /* of readers */
    size_t num_visits, capacity_visits;
    uint32_t spare; /* visits that are free */
} bytes_map;

static bool is_touched(const clv_lowered *lowered, const clv_operand *o) {
    return o->storage != CLV_NO_STORAGE && o->access != 0 && o->bytes != 0 &&
           lowered->storages[o->storage].piece.bytes != 0;
}

/* Where an operand's bytes begin in a slot of its storage. */
static cell place_of(const clv_lowered *lowered, const clv_operand *o, uint32_t slot) {
    const clv_storage *s = &lowered->storages[o->storage];
    return (cell){
        .block = (uint64_t)s->kind << 32 | s->piece.block,
        .begin = s->piece.offset + slot * s->stride + o->begin,
        .readers = NOBODY,
    };
}

static int compare_cells(const void *left, const void *right) {
    const cell *a = left, *b = right;
    if (a->block != b->block) {
        return a->block < b->block ? -1 : 1;
    }
    return a->begin < b->begin ? -1 : a->begin > b->begin;
}

/* A cell begins where an operand begins or ends. */
static clv_status *make_cells(const clv_step_program *p, bytes_map *map) {
    const clv_lowered *lowered = p->lowered;
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        for (uint32_t k = 0; k < step->num_operands; k++) {
            const clv_operand *o = &step->operands[k];
            const uint32_t slots = is_touched(lowered, o) ? lowered->storages[o->storage].slots : 0;
            for (uint32_t slot = 0; slot < slots && slot <= p->depth; slot++) {
                if (!clv_array_reserve(
                        (void **)&map->cells, &map->capacity_cells, map->num_cells + 2,
                        sizeof *map->cells)) {
                    return CLV_ERROR(
                        NO_MEMORY, "out of host memory for checking the order of steps");
                }
                cell *c = &map->cells[map->num_cells];
                c[0] = c[1] = place_of(lowered, o, slot);
                c[1].begin += o->bytes;
                map->num_cells += 2;
            }
        }
    }
    if (map->num_cells == 0) {
        return NULL;
    }
    qsort(map->cells, map->num_cells, sizeof *map->cells, compare_cells);
    size_t count = 1;
    for (size_t i = 1; i < map->num_cells; i++) {
        if (compare_cells(&map->cells[count - 1], &map->cells[i]) != 0) {
            map->cells[count++] = map->cells[i];
        }
    }
    map->num_cells = count;
    return NULL;
}

static cell *find_cell(const bytes_map *map, const cell *place) {
    return bsearch(place, map->cells, map->num_cells, sizeof *map->cells, compare_cells);
}

/* One after another in any case: of an actor that is one lane, or where the first lane does both;
 * a request that ended before the other began; the same step. */
static clv_status *check_visit(const prover *v, const visit *earlier, const visit *later) {
    const bool is_same = earlier->step == later->step && earlier->request == later->request;
    if (is_same || later->request - earlier->request >= v->program->depth) {
        return NULL;
    }
    return check_pair(v, earlier->step, earlier->request, later->step, later->request);
}

/* Whoever comes after the second comes after the first as well: they are in order for all. */
static bool is_of_same_lanes(const clv_step_program *p, const visit *a, const visit *b) {
    const uint32_t actor = p->actor_of_step[a->step];
    const clv_item *items = p->actors[actor].items;
    return actor == p->actor_of_step[b->step] && items[p->item_of_step[a->step]].is_first_only ==
                                                     items[p->item_of_step[b->step]].is_first_only;
}

typedef clv_status *cell_action(const prover *v, bytes_map *map, cell *c, const visit *now);

static clv_status *check_read(const prover *v, bytes_map *map, cell *c, const visit *now) {
    (void)map;
    for (uint32_t i = 0; i < c->writer.count; i++) {
        const visit writer = {.step = c->writer.step + i, .request = c->writer.request};
        CLV_TRY(check_visit(v, &writer, now));
    }
    return NULL;
}

static clv_status *check_write(const prover *v, bytes_map *map, cell *c, const visit *now) {
    CLV_TRY(check_read(v, map, c, now));
    for (uint32_t at = c->readers; at != NOBODY; at = map->visits[at].next) {
        CLV_TRY(check_visit(v, &map->visits[at], now));
    }
    return NULL;
}

static clv_status *note_read(const prover *v, bytes_map *map, cell *c, const visit *now) {
    uint32_t at = c->readers;
    while (at != NOBODY && !is_of_same_lanes(v->program, &map->visits[at], now)) {
        at = map->visits[at].next;
    }
    if (at != NOBODY) {
        map->visits[at].step = now->step;
        map->visits[at].request = now->request;
        return NULL;
    }
    if (map->spare != NOBODY) {
        at = map->spare;
        map->spare = map->visits[at].next;
    } else if (clv_array_reserve(
                   (void **)&map->visits, &map->capacity_visits, map->num_visits + 1,
                   sizeof *map->visits)) {
        at = (uint32_t)map->num_visits++;
    } else {
        return CLV_ERROR(NO_MEMORY, "out of host memory for checking the order of steps");
    }
    map->visits[at] = (visit){.step = now->step, .request = now->request, .next = c->readers};
    c->readers = at;
    return NULL;
}

static clv_status *note_write(const prover *v, bytes_map *map, cell *c, const visit *now) {
    (void)v;
    while (c->readers != NOBODY) {
        visit *reader = &map->visits[c->readers];
        const uint32_t next = reader->next;
        reader->next = map->spare;
        map->spare = c->readers;
        c->readers = next;
    }
    c->writer = *now;
    return NULL;
}

/* All cells that a step touches with `access`. */
static clv_status *touch(
    const prover *v, bytes_map *map, const visit *now, uint32_t access, cell_action *action) {
    const clv_lowered *lowered = v->program->lowered;
    const clv_step *step = &lowered->steps[now->step];
    for (uint32_t k = 0; k < step->num_operands; k++) {
        const clv_operand *o = &step->operands[k];
        if (!is_touched(lowered, o) || (o->access & access) == 0) {
            continue;
        }
        const uint32_t slot = now->request % lowered->storages[o->storage].slots;
        const cell place = place_of(lowered, o, slot);
        for (cell *c = find_cell(map, &place); c->begin < place.begin + o->bytes; c++) {
            CLV_TRY(action(v, map, c, now));
        }
    }
    return NULL;
}

/* A step, or all shares of a launch at once: any of them may come first. What they write is noted
 * before what they read: as readers they would stand for readers before them. */
static clv_status *touch_all(const prover *v, bytes_map *map, const visit *now) {
    visit one = *now;
    for (one.step = now->step; one.step < now->step + now->count; one.step++) {
        CLV_TRY(touch(v, map, &one, CLV_WRITES, check_write));
        CLV_TRY(touch(v, map, &one, CLV_READS, check_read));
    }
    CLV_TRY(touch(v, map, now, CLV_WRITES, note_write));
    for (one.step = now->step; one.step < now->step + now->count; one.step++) {
        CLV_TRY(touch(v, map, &one, CLV_READS, note_read));
    }
    return NULL;
}

/* A step and those behind it that are shares of the same launch. */
static uint32_t count_shares(const clv_lowered *lowered, uint32_t step) {
    uint32_t count = 1;
    while (step + count < lowered->num_steps &&
           clv_steps_are_shares(&lowered->steps[step], &lowered->steps[step + count])) {
        count++;
    }
    return count;
}

/* Request after request in memory: who touches bytes must come after whoever wrote them last, and
 * who writes after those who read that. It then comes after all before them, as being in order is
 * handed on: knowing of an item is knowing what that knew. */
static clv_status *check_all(const prover *v, bytes_map *map) {
    const clv_lowered *lowered = v->program->lowered;
    CLV_TRY(make_cells(v->program, map));
    for (uint32_t r = 0; r < v->num_requests; r++) {
        visit now = {.request = r, .next = NOBODY};
        for (; now.step < lowered->num_steps; now.step += now.count) {
            CLV_TRY(clv_cancel_check());
            now.count = count_shares(lowered, now.step);
            CLV_TRY(touch_all(v, map, &now));
        }
    }
    return NULL;
}

clv_status *clv_step_program_verify(const clv_step_program *program) {
    const size_t num_steps = program->lowered->num_steps, num_actors = program->num_actors;
    prover v = {.program = program, .num_requests = program->depth + 1};
    v.clocks =
        clv_alloc_zeroed((size_t)v.num_requests * num_steps * num_actors + 1, sizeof *v.clocks);
    v.ends = clv_alloc_zeroed(num_actors * num_actors + 1, sizeof *v.ends);
    clv_status *status =
        v.clocks != NULL && v.ends != NULL
            ? follow(&v)
            : CLV_ERROR(NO_MEMORY, "out of host memory for checking the order of steps");
    bytes_map map = {.spare = NOBODY};
    if (status == NULL) {
        status = check_all(&v, &map);
    }
    clv_free(map.cells);
    clv_free(map.visits);
    clv_free(v.clocks);
    clv_free(v.ends);
    return status;
}
