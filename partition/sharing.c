/* Periods of groups whose units share memories: a clock for launches alone. Every unit of a group
 * does its launches request after request; a stage begins a request when the stages before it have
 * ended it, the first ones when there is room in flight; launches on one memory share its bandwidth
 * as on the virtual clock. Groups that are alike stay in step, and count as one that draws as much
 * as all of them.
 *
 * It runs only where units on one memory can want more than there is. Neighbours in long lists of
 * launches are taken together, so that it takes about a million steps at most.
 */
#include "host/base/hash.h"
#include "host/base/memory.h"
#include "partition/evaluate.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for evaluating a plan")
#define NONE CLV_NO_INDEX

/* Requests of every group before it is measured, and while it is. */
enum { WARM_UP = 8, MEASURED = 24, MOST_WORK = 1000000, MOST_ACTORS_OF_GROUP = 256 };
static const double least_time_us = 1e-6;

typedef struct launch {
    double time_us, want; /* alone; the part of its memory's bandwidth that it draws then */
    uint32_t memory;
} launch;

/* A unit's part of a group, or a serial group. */
typedef struct actor {
    size_t first_launch;
    uint32_t num_launches;
    uint32_t crowd;
    uint32_t requests, at; /* done; the launch of the next one that it is at */
    bool is_busy;
    double left_us, rate;
} actor;

/* Groups that are alike. */
typedef struct crowd {
    clv_hash hash;
    uint32_t num_groups, first_actor, num_actors, depth;
    bool *comes_after; /* [num_actors][num_actors] */
    uint32_t requests; /* that all its actors have done */
    double warm_us, end_us;
} crowd;

typedef struct sharing {
    clv_evaluator *ev;
    const clv_group *groups;
    launch *launches;
    size_t num_launches, capacity_launches;
    actor *actors;
    size_t num_actors, capacity_actors;
    crowd *crowds; /* [num_groups] */
    uint32_t num_crowds;
    uint32_t *crowd_of_group;
    uint32_t *actor_of_unit; /* [num_units]: of the group at hand; else NONE */
    uint32_t *first_task;    /* [MOST_ACTORS_OF_GROUP]: of each actor of the group at hand */
    uint32_t *next_task;     /* [num_tasks] */
    double *wanted;          /* [num_units]: most of its memory's bandwidth */
    double *share;           /* [num_memories]: even share of each member; INFINITY: enough */
    double *most;            /* [num_memories]: that can be wanted at once */
    double now_us;
} sharing;

/* --- whether there is anything to find --- */

/* Adds to s->wanted the most of its memory's bandwidth that any piece draws, by unit. */
static void note_wants(sharing *s, const clv_group *group) {
    const clv_costs *costs = s->ev->costs;
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            const clv_piece *piece = &group->pieces[p->first_piece + k];
            double time_us = clv_piece_time_us(costs, i, p, piece);
            double traffic_us = clv_piece_traffic_us(costs, i, p, piece);
            if (time_us > least_time_us) {
                s->wanted[piece->unit] = fmax(s->wanted[piece->unit], traffic_us / time_us);
            }
        }
    }
}

/* Whether the units of some memory can want more of it than there is; most at once, by memory. */
static bool can_slow_down(sharing *s, uint32_t num_groups) {
    const clv_machine *machine = s->ev->costs->machine;
    bool is_over = false, is_shared = false;
    for (uint32_t i = 0; i < machine->num_units; i++) {
        uint32_t memory = machine->units[i].memory;
        is_shared =
            is_shared || (s->most[memory] > 0 && isfinite(machine->memories[memory].bandwidth));
        s->most[memory] = 1;
    }
    for (uint32_t g = 0; is_shared && g < num_groups; g++) {
        note_wants(s, &s->groups[g]);
    }
    memset(s->most, 0, machine->num_memories * sizeof *s->most);
    for (uint32_t i = 0; is_shared && i < machine->num_units; i++) {
        double *most = &s->most[machine->units[i].memory];
        *most += s->wanted[i];
        is_over = is_over || *most > 1 + 1e-9;
    }
    return is_over;
}

/* --- what is to be done --- */

static clv_status *add_launch(sharing *s, double time_us, double traffic_us, uint32_t memory) {
    if (time_us <= least_time_us) {
        return NULL;
    }
    if (!clv_array_reserve(
            (void **)&s->launches, &s->capacity_launches, s->num_launches + 1,
            sizeof *s->launches)) {
        return NO_MEMORY_HERE();
    }
    s->launches[s->num_launches++] = (launch){time_us, traffic_us / time_us, memory};
    return NULL;
}

static clv_status *add_actor(sharing *s, uint32_t crowd_index) {
    if (!clv_array_reserve(
            (void **)&s->actors, &s->capacity_actors, s->num_actors + 1, sizeof *s->actors)) {
        return NO_MEMORY_HERE();
    }
    s->actors[s->num_actors++] = (actor){.first_launch = s->num_launches, .crowd = crowd_index};
    return NULL;
}

/* Tasks of a group by actor, in the group's order: s->next_task is the next of the same actor. */
static void list_tasks(sharing *s, const clv_group *group, const crowd *c) {
    for (uint32_t i = s->ev->costs->workload->num_tasks; i-- > 0;) {
        uint32_t task = group->order != NULL ? group->order[i] : i;
        uint32_t unit = group->pieces[group->placements[task].first_piece].unit;
        uint32_t *first = &s->first_task[c->num_actors > 1 ? s->actor_of_unit[unit] : 0];
        s->next_task[task] = *first;
        *first = task;
    }
}

/* The launches of one actor. Then, with one request in flight, what time a lone actor waits for
 * transfers. */
static clv_status *add_launches(sharing *s, const clv_group *group, crowd *c, uint32_t index) {
    const clv_costs *costs = s->ev->costs;
    actor *a = &s->actors[c->first_actor + index];
    double sum_us = 0;
    a->first_launch = s->num_launches;
    for (uint32_t task = s->first_task[index]; task != NONE; task = s->next_task[task]) {
        const clv_placement *p = &group->placements[task];
        const clv_piece *pieces = &group->pieces[p->first_piece];
        double time_us = 0, traffic_us = 0;
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            time_us = fmax(time_us, clv_piece_time_us(costs, task, p, &pieces[k]));
            traffic_us += clv_piece_traffic_us(costs, task, p, &pieces[k]);
        }
        sum_us += time_us;
        CLV_TRY(add_launch(s, time_us, traffic_us, costs->machine->units[pieces->unit].memory));
    }
    if (c->num_actors == 1 && c->depth == 1) {
        CLV_TRY(add_launch(s, group->latency_us - sum_us, 0, 0));
    }
    if (s->num_launches == a->first_launch) {
        CLV_TRY(add_launch(s, 2 * least_time_us, 0, 0));
    }
    a->num_launches = (uint32_t)(s->num_launches - a->first_launch);
    return NULL;
}

/* Whether actors come after one another in a circle: some are left when those that nothing is
 * before have gone, and those after them, ... */
static bool is_circle(const crowd *c, uint32_t *num_before) {
    uint32_t count = c->num_actors, num_gone = 0;
    for (uint32_t a = 0; a < count; a++) {
        num_before[a] = 0;
        for (uint32_t b = 0; b < count; b++) {
            num_before[a] += c->comes_after[(size_t)a * count + b];
        }
    }
    for (bool has_changed = true; has_changed;) {
        has_changed = false;
        for (uint32_t b = 0; b < count; b++) {
            if (num_before[b] != 0) {
                continue;
            }
            num_before[b] = NONE;
            num_gone++;
            has_changed = true;
            for (uint32_t a = 0; a < count; a++) {
                num_before[a] -= c->comes_after[(size_t)a * count + b];
            }
        }
    }
    return num_gone < count;
}

/* Which actors of the group read what others write. */
static clv_status *find_order(sharing *s, const clv_group *group, crowd *c) {
    const clv_workload *workload = s->ev->costs->workload;
    uint32_t count = c->num_actors;
    c->comes_after = clv_alloc_zeroed((size_t)count * count + 1, sizeof *c->comes_after);
    if (c->comes_after == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; count > 1 && i < workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        for (uint32_t k = 0; k < workload->tasks[i].num_inputs; k++) {
            uint32_t producer = workload->tensors[workload->tasks[i].inputs[k]].producer;
            if (producer == CLV_NO_TASK) {
                continue;
            }
            const clv_placement *from = &group->placements[producer];
            uint32_t a = s->actor_of_unit[group->pieces[p->first_piece].unit];
            uint32_t b = s->actor_of_unit[group->pieces[from->first_piece].unit];
            c->comes_after[(size_t)a * count + b] = a != b;
        }
    }
    if (is_circle(c, s->first_task)) { /* then none waits for another, only for the depth */
        memset(c->comes_after, 0, (size_t)count * count * sizeof *c->comes_after);
    }
    return NULL;
}

/* An actor for each unit; one for a serial group, and for one whose tasks are split over units of
 * one memory: their pieces run side by side. False: neither, or more units than this is for. */
static bool find_units(sharing *s, const clv_group *group, crowd *c) {
    const clv_machine *machine = s->ev->costs->machine;
    uint32_t memory = machine->units[group->pieces[0].unit].memory;
    bool is_whole = true, is_one_memory = true;
    for (uint32_t i = 0; i < s->ev->costs->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        uint32_t unit = group->pieces[p->first_piece].unit;
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            uint32_t other = group->pieces[p->first_piece + k].unit;
            is_one_memory = is_one_memory && machine->units[other].memory == memory;
        }
        is_whole = is_whole && p->num_pieces == 1;
        if (s->actor_of_unit[unit] == NONE) {
            s->actor_of_unit[unit] = c->num_actors++;
        }
    }
    c->num_actors = group->is_serial || !is_whole ? 1 : c->num_actors;
    return (is_whole || is_one_memory) && c->num_actors <= MOST_ACTORS_OF_GROUP;
}

static clv_status *add_actors(sharing *s, const clv_group *group, crowd *c, bool *out_is_fine) {
    c->first_actor = (uint32_t)s->num_actors;
    c->depth = group->is_serial ? 1 : group->depth;
    *out_is_fine = find_units(s, group, c);
    clv_status *status = NULL;
    for (uint32_t i = 0; *out_is_fine && status == NULL && i < c->num_actors; i++) {
        s->first_task[i] = NONE;
        status = add_actor(s, (uint32_t)(c - s->crowds));
    }
    if (*out_is_fine && status == NULL) {
        list_tasks(s, group, c);
    }
    for (uint32_t i = 0; *out_is_fine && status == NULL && i < c->num_actors; i++) {
        status = add_launches(s, group, c, i);
    }
    if (*out_is_fine && status == NULL) {
        status = find_order(s, group, c);
    }
    for (uint32_t i = 0; i < group->num_pieces; i++) {
        s->actor_of_unit[group->pieces[i].unit] = NONE;
    }
    return status;
}

static clv_hash hash_crowd(const sharing *s, const crowd *c) {
    uint32_t numbers[] = {c->num_actors, c->depth};
    clv_hash hash = clv_hash_bytes(numbers, sizeof numbers);
    for (uint32_t i = 0; i < c->num_actors; i++) {
        const actor *a = &s->actors[c->first_actor + i];
        for (uint32_t k = 0; k < a->num_launches; k++) {
            const launch *l = &s->launches[a->first_launch + k];
            double words[] = {l->time_us, l->want, l->memory, i};
            hash = clv_hash_combine(hash, clv_hash_bytes(words, sizeof words));
        }
    }
    size_t bytes = (size_t)c->num_actors * c->num_actors * sizeof *c->comes_after;
    return clv_hash_combine(hash, clv_hash_bytes(c->comes_after, bytes));
}

/* Adds a group: to the crowd of those that are like it, or as a new one. */
static clv_status *add_group(sharing *s, uint32_t group, bool *out_is_fine) {
    size_t num_launches = s->num_launches, num_actors = s->num_actors;
    crowd *c = &s->crowds[s->num_crowds];
    *c = (crowd){.num_groups = 1};
    s->num_crowds++; /* so that it is dropped whatever happens */
    CLV_TRY(add_actors(s, &s->groups[group], c, out_is_fine));
    if (!*out_is_fine) {
        return NULL;
    }
    c->hash = hash_crowd(s, c);
    for (uint32_t i = 0; i + 1 < s->num_crowds; i++) {
        crowd *other = &s->crowds[i];
        if (other->hash.low == c->hash.low && other->hash.high == c->hash.high) {
            other->num_groups++;
            s->crowd_of_group[group] = i;
            s->num_launches = num_launches;
            s->num_actors = num_actors;
            clv_free(c->comes_after);
            s->num_crowds--;
            return NULL;
        }
    }
    s->crowd_of_group[group] = s->num_crowds - 1;
    return NULL;
}

/* Takes `factor` neighbours at once. */
static void merge_launches(sharing *s, size_t factor) {
    for (size_t i = 0; i < s->num_actors; i++) {
        actor *a = &s->actors[i];
        launch *list = &s->launches[a->first_launch];
        uint32_t count = 0;
        for (uint32_t k = 0; k < a->num_launches; k++) {
            launch *into = &list[count > 0 ? count - 1 : 0];
            bool is_new = count == 0 || k % factor == 0 || into->memory != list[k].memory;
            if (is_new) {
                list[count++] = list[k];
                continue;
            }
            double time_us = into->time_us + list[k].time_us;
            double drawn_us = into->want * into->time_us + list[k].want * list[k].time_us;
            *into = (launch){time_us, drawn_us / time_us, into->memory};
        }
        a->num_launches = count;
    }
}

/* --- the clock --- */

static bool may_begin(const sharing *s, const actor *a) {
    const crowd *c = &s->crowds[a->crowd];
    uint32_t own = (uint32_t)(a - s->actors) - c->first_actor;
    if (a->requests >= c->requests + c->depth) {
        return false;
    }
    for (uint32_t i = 0; i < c->num_actors; i++) {
        if (c->comes_after[(size_t)own * c->num_actors + i] &&
            s->actors[c->first_actor + i].requests <= a->requests) {
            return false;
        }
    }
    return true;
}

static void count_requests(sharing *s, crowd *c) {
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < c->num_actors; i++) {
        uint32_t done = s->actors[c->first_actor + i].requests;
        least = done < least ? done : least;
    }
    if (least > c->requests) {
        c->requests = least;
        c->end_us = s->now_us;
        c->warm_us = least == c->depth + WARM_UP ? s->now_us : c->warm_us;
    }
}

static void begin_all(sharing *s) {
    for (size_t i = 0; i < s->num_actors; i++) {
        actor *a = &s->actors[i];
        if (!a->is_busy && (a->at > 0 || may_begin(s, a))) {
            a->is_busy = true;
            a->left_us = s->launches[a->first_launch + a->at].time_us;
        }
    }
}

/* Max-min fair, as scheduler/clock.c has it. */
static void set_share(sharing *s, uint32_t memory) {
    double level = 0;
    for (;;) {
        double used = 0, over = 0;
        for (size_t i = 0; i < s->num_actors; i++) {
            const actor *a = &s->actors[i];
            const launch *l = &s->launches[a->first_launch + a->at];
            double num = s->crowds[a->crowd].num_groups;
            if (a->is_busy && l->memory == memory) {
                used += l->want <= level ? num * l->want : 0;
                over += l->want > level ? num : 0;
            }
        }
        double next = over > 0 ? (1 - used) / over : (double)INFINITY;
        if (over <= 0 || next <= level) {
            s->share[memory] = over <= 0 ? (double)INFINITY : level;
            return;
        }
        level = next;
    }
}

/* Goes on to the next end of a launch; false: nothing runs. */
static bool advance(sharing *s) {
    double step_us = (double)INFINITY;
    for (uint32_t m = 0; m < s->ev->costs->machine->num_memories; m++) {
        if (s->most[m] > 1) {
            set_share(s, m);
        } else {
            s->share[m] = (double)INFINITY;
        }
    }
    for (size_t i = 0; i < s->num_actors; i++) {
        actor *a = &s->actors[i];
        const launch *l = &s->launches[a->first_launch + a->at];
        if (a->is_busy) {
            double share = s->share[l->memory];
            a->rate = l->want > share ? share / l->want : 1;
            step_us = fmin(step_us, a->left_us / a->rate);
        }
    }
    if (isinf(step_us)) {
        return false;
    }
    s->now_us += step_us;
    for (size_t i = 0; i < s->num_actors; i++) {
        actor *a = &s->actors[i];
        if (!a->is_busy) {
            continue;
        }
        a->is_busy = a->left_us / a->rate > step_us * (1 + 1e-12);
        a->left_us -= a->rate * step_us;
        if (!a->is_busy) {
            a->at = a->at + 1 < a->num_launches ? a->at + 1 : 0;
            a->requests += a->at == 0;
            count_requests(s, &s->crowds[a->crowd]);
        }
    }
    return true;
}

static bool is_measured(const sharing *s) {
    for (uint32_t i = 0; i < s->num_crowds; i++) {
        if (s->crowds[i].requests < s->crowds[i].depth + WARM_UP + MEASURED) {
            return false;
        }
    }
    return true;
}

/* Stops early where some groups are so much faster than others that it takes too long. */
static void run(sharing *s) {
    uint64_t steps = MOST_WORK / s->num_actors;
    uint64_t wanted = (WARM_UP + MEASURED + 8) * (uint64_t)s->num_launches;
    if (wanted > steps) {
        merge_launches(s, (size_t)(wanted / (steps + 1) + 1));
    }
    for (uint64_t i = 0; i < 4 * steps && !is_measured(s); i++) {
        begin_all(s);
        if (!advance(s)) {
            return;
        }
    }
}

/* --- together --- */

static clv_status *allocate(sharing *s, uint32_t num_groups) {
    const clv_machine *machine = s->ev->costs->machine;
    size_t tasks = s->ev->costs->workload->num_tasks;
    s->wanted = clv_alloc_zeroed(machine->num_units, sizeof *s->wanted);
    s->most = clv_alloc_zeroed(machine->num_memories, sizeof *s->most);
    s->share = clv_alloc_zeroed(machine->num_memories, sizeof *s->share);
    s->crowds = clv_alloc_zeroed(num_groups + (size_t)1, sizeof *s->crowds);
    s->crowd_of_group = clv_alloc_zeroed(num_groups, sizeof *s->crowd_of_group);
    s->actor_of_unit = clv_alloc_zeroed(machine->num_units, sizeof *s->actor_of_unit);
    s->first_task = clv_alloc_zeroed(MOST_ACTORS_OF_GROUP, sizeof *s->first_task);
    s->next_task = clv_alloc_zeroed(tasks + 1, sizeof *s->next_task);
    return s->wanted != NULL && s->most != NULL && s->share != NULL && s->crowds != NULL &&
                   s->crowd_of_group != NULL && s->actor_of_unit != NULL && s->first_task != NULL &&
                   s->next_task != NULL
               ? NULL
               : NO_MEMORY_HERE();
}

static clv_status *prepare(sharing *s, uint32_t num_groups, bool *out_is_needed) {
    CLV_TRY(allocate(s, num_groups));
    *out_is_needed = can_slow_down(s, num_groups);
    for (uint32_t i = 0; *out_is_needed && i < s->ev->costs->machine->num_units; i++) {
        s->actor_of_unit[i] = NONE;
    }
    for (uint32_t g = 0; *out_is_needed && g < num_groups; g++) {
        CLV_TRY(add_group(s, g, out_is_needed));
    }
    return NULL;
}

static void drop(sharing *s) {
    for (uint32_t i = 0; s->crowds != NULL && i < s->num_crowds; i++) {
        clv_free(s->crowds[i].comes_after);
    }
    clv_free(s->launches);
    clv_free(s->actors);
    clv_free(s->crowds);
    clv_free(s->crowd_of_group);
    clv_free(s->actor_of_unit);
    clv_free(s->first_task);
    clv_free(s->next_task);
    clv_free(s->wanted);
    clv_free(s->share);
    clv_free(s->most);
}

clv_status *clv_evaluate_sharing(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, double *out_us) {
    sharing s = {.ev = ev, .groups = groups};
    bool is_needed = false;
    clv_status *status = prepare(&s, num_groups, &is_needed);
    memset(out_us, 0, num_groups * sizeof *out_us);
    if (status == NULL && is_needed) {
        run(&s);
        for (uint32_t g = 0; g < num_groups; g++) {
            const crowd *c = &s.crowds[s.crowd_of_group[g]];
            uint32_t first = c->depth + WARM_UP;
            if (c->requests > first) {
                out_us[g] = (c->end_us - c->warm_us) / (c->requests - first);
            }
        }
    }
    drop(&s);
    return status;
}
