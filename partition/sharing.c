/* Periods of groups whose units share memories: a clock for launches alone. Every unit of a group
 * does its launches request after request; a stage begins a request when the stages before it have
 * ended it, the first ones when there is room in flight; launches on one memory share its bandwidth
 * as on the virtual clock. Groups that are alike stay in step, and count as one that draws as much
 * as all of them.
 *
 * A task that is split is one launch with a part for each memory; it ends with the last of them.
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

/* What a launch does on one memory. Parts of one launch follow one another. */
typedef struct part {
    double time_us, want; /* alone; the part of its memory's bandwidth that it draws then */
    uint32_t memory;
    uint32_t num_parts; /* of the launch, at its first part; at others 0 */
    /* while it runs */
    bool is_busy;
    double left_us, rate;
    uint32_t crowd;
    uint32_t next; /* that is busy and on the same memory */
} part;

/* A unit's part of a group, or a serial group. */
typedef struct actor {
    size_t first_part;
    uint32_t num_parts; /* of all its launches */
    uint32_t crowd;
    uint32_t requests, at; /* done; the first part of the launch of the next one that it is at */
    uint32_t num_busy;     /* parts of that launch; 0: it has not begun */
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
    clv_sharing_scratch *scratch;
    part *parts;
    size_t num_parts, capacity_parts;
    uint32_t *memories; /* [num_parts] at most: where something runs */
    size_t num_memories;
    actor *actors;
    size_t num_actors, capacity_actors;
    crowd *crowds; /* [num_groups] */
    uint32_t num_crowds;
    uint32_t *crowd_of_group;
    uint32_t *crowd_by_hash; /* [table_mask + 1]: open addressing; NONE: free */
    size_t table_mask;
    uint32_t *first_task; /* [MOST_ACTORS_OF_GROUP]: of each actor of the group at hand */
    uint32_t *next_task;  /* [num_tasks] */
    double now_us;
} sharing;

/* --- whether there is anything to find --- */

/* Into scratch->wanted the most of its memory's bandwidth that any piece draws, by unit. */
static void note_wants(sharing *s, const clv_group *group) {
    const clv_costs *costs = s->ev->costs;
    const clv_machine *machine = costs->machine;
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            const clv_piece *piece = &group->pieces[p->first_piece + k];
            if (isinf(machine->memories[machine->units[piece->unit].memory].bandwidth)) {
                continue;
            }
            double time_us = clv_group_piece_us(costs, group, i, piece);
            double *wanted = &s->scratch->wanted[piece->unit];
            if (time_us > least_time_us) {
                *wanted = fmax(*wanted, clv_piece_traffic_us(costs, i, p, piece) / time_us);
            }
        }
    }
}

/* Whether the units of some memory can want more of it than there is; what they can want at once
 * into scratch->most, by memory. */
static bool can_slow_down(sharing *s, uint32_t num_groups) {
    const clv_machine *machine = s->ev->costs->machine;
    bool is_over = false;
    for (uint32_t g = 0; g < num_groups; g++) {
        note_wants(s, &s->groups[g]);
    }
    for (uint32_t g = 0; g < num_groups; g++) {
        const clv_group *group = &s->groups[g];
        for (uint32_t k = 0; k < group->num_pieces; k++) {
            uint32_t unit = group->pieces[k].unit; /* counted once */
            double *most = &s->scratch->most[machine->units[unit].memory];
            *most += s->scratch->wanted[unit];
            s->scratch->wanted[unit] = 0;
            is_over = is_over || *most > 1 + 1e-9;
        }
    }
    return is_over;
}

static void forget_wants(sharing *s, uint32_t num_groups) {
    const clv_machine *machine = s->ev->costs->machine;
    for (uint32_t g = 0; g < num_groups; g++) {
        for (uint32_t k = 0; k < s->groups[g].num_pieces; k++) {
            uint32_t unit = s->groups[g].pieces[k].unit;
            s->scratch->wanted[unit] = 0;
            s->scratch->most[machine->units[unit].memory] = 0;
        }
    }
}

/* --- what is to be done --- */

static clv_status *add_part(
    sharing *s, double time_us, double traffic_us, uint32_t memory, uint32_t num_parts) {
    if (!clv_array_reserve(
            (void **)&s->parts, &s->capacity_parts, s->num_parts + 1, sizeof *s->parts)) {
        return NO_MEMORY_HERE();
    }
    s->parts[s->num_parts++] = (part){
        .time_us = time_us, .want = traffic_us / time_us, .memory = memory, .num_parts = num_parts};
    return NULL;
}

/* A launch of one part. */
static clv_status *add_launch(sharing *s, double time_us, uint32_t memory) {
    return time_us > least_time_us ? add_part(s, time_us, 0, memory, 1) : NULL;
}

static clv_status *add_actor(sharing *s, uint32_t crowd_index) {
    if (!clv_array_reserve(
            (void **)&s->actors, &s->capacity_actors, s->num_actors + 1, sizeof *s->actors)) {
        return NO_MEMORY_HERE();
    }
    s->actors[s->num_actors++] = (actor){.first_part = s->num_parts, .crowd = crowd_index};
    return NULL;
}

/* The launch of a task: pieces on one memory are one part of it, as long as the longest. */
static clv_status *add_task(
    sharing *s, const clv_group *group, uint32_t task, double *out_time_us) {
    const clv_costs *costs = s->ev->costs;
    const clv_placement *p = &group->placements[task];
    size_t first = s->num_parts;
    *out_time_us = 0;
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        const clv_piece *piece = &group->pieces[p->first_piece + k];
        uint32_t memory = costs->machine->units[piece->unit].memory;
        double time_us = clv_group_piece_us(costs, group, task, piece);
        double traffic_us = clv_piece_traffic_us(costs, task, p, piece);
        *out_time_us = fmax(*out_time_us, time_us);
        size_t at = first;
        while (at < s->num_parts && s->parts[at].memory != memory) {
            at++;
        }
        if (time_us <= least_time_us) {
            continue;
        }
        if (at == s->num_parts) {
            CLV_TRY(add_part(s, time_us, traffic_us, memory, 0));
            continue;
        }
        part *into = &s->parts[at];
        traffic_us += into->want * into->time_us;
        into->time_us = fmax(into->time_us, time_us);
        into->want = traffic_us / into->time_us;
    }
    if (s->num_parts > first) {
        s->parts[first].num_parts = (uint32_t)(s->num_parts - first);
    }
    return NULL;
}

/* Tasks of a group by actor, in the group's order: s->next_task is the next of the same actor. */
static void list_tasks(sharing *s, const clv_group *group, const crowd *c) {
    for (uint32_t i = s->ev->costs->workload->num_tasks; i-- > 0;) {
        uint32_t task = group->order != NULL ? group->order[i] : i;
        uint32_t unit = group->pieces[group->placements[task].first_piece].unit;
        uint32_t *first = &s->first_task[c->num_actors > 1 ? s->scratch->actor_of_unit[unit] : 0];
        s->next_task[task] = *first;
        *first = task;
    }
}

/* The launches of one actor. Then, with one request in flight, what time a lone actor waits for
 * transfers. */
static clv_status *add_launches(sharing *s, const clv_group *group, crowd *c, uint32_t index) {
    actor *a = &s->actors[c->first_actor + index];
    double sum_us = 0, time_us;
    a->first_part = s->num_parts;
    for (uint32_t task = s->first_task[index]; task != NONE; task = s->next_task[task]) {
        CLV_TRY(add_task(s, group, task, &time_us));
        sum_us += time_us;
    }
    if (c->num_actors == 1 && c->depth == 1) {
        CLV_TRY(add_launch(s, group->latency_us - sum_us, 0));
    }
    if (s->num_parts == a->first_part) {
        CLV_TRY(add_launch(s, 2 * least_time_us, 0));
    }
    a->num_parts = (uint32_t)(s->num_parts - a->first_part);
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
            uint32_t a = s->scratch->actor_of_unit[group->pieces[p->first_piece].unit];
            uint32_t b = s->scratch->actor_of_unit[group->pieces[from->first_piece].unit];
            c->comes_after[(size_t)a * count + b] = a != b;
        }
    }
    if (is_circle(c, s->first_task)) { /* then none waits for another, only for the depth */
        memset(c->comes_after, 0, (size_t)count * count * sizeof *c->comes_after);
    }
    return NULL;
}

/* An actor for each unit; one for a serial group, and for one whose tasks are split: their pieces
 * run side by side. False: more units than this is for. */
static bool find_units(sharing *s, const clv_group *group, crowd *c) {
    bool is_whole = true;
    for (uint32_t i = 0; i < s->ev->costs->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        uint32_t *actor_of = &s->scratch->actor_of_unit[group->pieces[p->first_piece].unit];
        is_whole = is_whole && p->num_pieces == 1;
        if (*actor_of == NONE) {
            *actor_of = c->num_actors++;
        }
    }
    c->num_actors = group->is_serial || !is_whole ? 1 : c->num_actors;
    return c->num_actors <= MOST_ACTORS_OF_GROUP;
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
        s->scratch->actor_of_unit[group->pieces[i].unit] = NONE;
    }
    return status;
}

static clv_hash hash_crowd(const sharing *s, const crowd *c) {
    uint32_t numbers[] = {c->num_actors, c->depth};
    clv_hash hash = clv_hash_bytes(numbers, sizeof numbers);
    for (uint32_t i = 0; i < c->num_actors; i++) {
        const actor *a = &s->actors[c->first_actor + i];
        for (uint32_t k = 0; k < a->num_parts; k++) {
            const part *p = &s->parts[a->first_part + k];
            double words[] = {p->time_us, p->want, p->memory, p->num_parts, i};
            hash = clv_hash_combine(hash, clv_hash_bytes(words, sizeof words));
        }
    }
    size_t bytes = (size_t)c->num_actors * c->num_actors * sizeof *c->comes_after;
    return clv_hash_combine(hash, clv_hash_bytes(c->comes_after, bytes));
}

/* The place of the crowd with this hash, or where it belongs. */
static uint32_t *find_crowd(const sharing *s, clv_hash hash) {
    size_t at = (size_t)hash.low & s->table_mask;
    for (;; at = (at + 1) & s->table_mask) {
        uint32_t *known = &s->crowd_by_hash[at];
        const crowd *c = *known != NONE ? &s->crowds[*known] : NULL;
        if (c == NULL || (c->hash.low == hash.low && c->hash.high == hash.high)) {
            return known;
        }
    }
}

/* Adds a group: to the crowd of those that are like it, or as a new one. */
static clv_status *add_group(sharing *s, uint32_t group, bool *out_is_fine) {
    size_t num_parts = s->num_parts, num_actors = s->num_actors;
    crowd *c = &s->crowds[s->num_crowds];
    *c = (crowd){.num_groups = 1};
    s->num_crowds++; /* so that it is dropped whatever happens */
    CLV_TRY(add_actors(s, &s->groups[group], c, out_is_fine));
    if (!*out_is_fine) {
        return NULL;
    }
    c->hash = hash_crowd(s, c);
    uint32_t *known = find_crowd(s, c->hash);
    if (*known != NONE) {
        s->crowds[*known].num_groups++;
        s->crowd_of_group[group] = *known;
        s->num_parts = num_parts;
        s->num_actors = num_actors;
        clv_free(c->comes_after);
        s->num_crowds--;
        return NULL;
    }
    *known = s->crowd_of_group[group] = s->num_crowds - 1;
    return NULL;
}

/* Whether two launches are on the same memories. */
static bool is_on_same(const part *a, const part *b) {
    bool is_same = a->num_parts == b->num_parts;
    for (uint32_t i = 0; is_same && i < a->num_parts; i++) {
        is_same = a[i].memory == b[i].memory;
    }
    return is_same;
}

/* Takes `factor` neighbours at once. */
static void merge_launches(sharing *s, size_t factor) {
    for (size_t i = 0; i < s->num_actors; i++) {
        actor *a = &s->actors[i];
        part *list = &s->parts[a->first_part];
        uint32_t into = 0, count = 0, num_parts;
        size_t index = 0;
        for (uint32_t k = 0; k < a->num_parts; k += num_parts, index++) {
            num_parts = list[k].num_parts;
            if (count == 0 || index % factor == 0 || !is_on_same(&list[into], &list[k])) {
                memmove(&list[count], &list[k], num_parts * sizeof *list);
                into = count;
                count += num_parts;
                continue;
            }
            for (uint32_t m = 0; m < num_parts; m++) {
                part *to = &list[into + m], *from = &list[k + m];
                double drawn_us = to->want * to->time_us + from->want * from->time_us;
                to->time_us += from->time_us;
                to->want = drawn_us / to->time_us;
            }
        }
        a->num_parts = count;
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
        if (a->num_busy > 0 || (a->at == 0 && !may_begin(s, a))) {
            continue;
        }
        part *parts = &s->parts[a->first_part + a->at];
        a->num_busy = parts->num_parts;
        for (uint32_t k = 0; k < a->num_busy; k++) {
            parts[k].is_busy = true;
            parts[k].crowd = a->crowd;
            parts[k].left_us = parts[k].time_us;
        }
    }
}

/* What runs on memories that can be short of bandwidth, by memory. */
static void list_busy(sharing *s) {
    s->num_memories = 0;
    for (size_t i = s->num_actors; i-- > 0;) {
        const actor *a = &s->actors[i];
        uint32_t first = (uint32_t)a->first_part + a->at;
        for (uint32_t k = a->num_busy > 0 ? s->parts[first].num_parts : 0; k-- > 0;) {
            part *p = &s->parts[first + k];
            uint32_t *head = &s->scratch->first_part[p->memory];
            if (!p->is_busy || s->scratch->most[p->memory] <= 1) {
                continue;
            }
            if (*head == NONE) {
                s->memories[s->num_memories++] = p->memory;
            }
            p->next = *head;
            *head = first + k;
        }
    }
}

/* Of what is listed for a memory the even share; INFINITY: there is enough. Max-min fair, as
 * scheduler/clock.c has it. */
static double even_share(const sharing *s, uint32_t memory) {
    double level = 0;
    for (;;) {
        double used = 0, over = 0;
        for (uint32_t i = s->scratch->first_part[memory]; i != NONE; i = s->parts[i].next) {
            const part *p = &s->parts[i];
            double num = s->crowds[p->crowd].num_groups;
            used += p->want <= level ? num * p->want : 0;
            over += p->want > level ? num : 0;
        }
        double next = over > 0 ? (1 - used) / over : (double)INFINITY;
        if (over <= 0 || next <= level) {
            return over <= 0 ? (double)INFINITY : level;
        }
        level = next;
    }
}

static void set_shares(sharing *s) {
    list_busy(s);
    for (size_t i = 0; i < s->num_memories; i++) {
        uint32_t memory = s->memories[i];
        s->scratch->share[memory] = even_share(s, memory);
        s->scratch->first_part[memory] = NONE;
    }
}

/* Until the first part ends; INFINITY: nothing runs. */
static double set_rates(sharing *s) {
    double step_us = (double)INFINITY;
    for (size_t i = 0; i < s->num_actors; i++) {
        const actor *a = &s->actors[i];
        part *parts = &s->parts[a->first_part + a->at];
        for (uint32_t k = 0; a->num_busy > 0 && k < parts->num_parts; k++) {
            part *p = &parts[k];
            bool is_short = s->scratch->most[p->memory] > 1;
            double share = is_short ? s->scratch->share[p->memory] : (double)INFINITY;
            if (p->is_busy) {
                p->rate = p->want > share ? share / p->want : 1;
                step_us = fmin(step_us, p->left_us / p->rate);
            }
        }
    }
    return step_us;
}

/* Goes on to the next end of a part; false: nothing runs. */
static bool advance(sharing *s) {
    set_shares(s);
    double step_us = set_rates(s);
    if (isinf(step_us)) {
        return false;
    }
    s->now_us += step_us;
    for (size_t i = 0; i < s->num_actors; i++) {
        actor *a = &s->actors[i];
        part *parts = &s->parts[a->first_part + a->at];
        uint32_t was_busy = a->num_busy;
        for (uint32_t k = 0; was_busy > 0 && k < parts->num_parts; k++) {
            part *p = &parts[k];
            if (p->is_busy) {
                p->is_busy = p->left_us / p->rate > step_us * (1 + 1e-12);
                p->left_us -= p->rate * step_us;
                a->num_busy -= !p->is_busy;
            }
        }
        if (was_busy > 0 && a->num_busy == 0) {
            a->at = a->at + parts->num_parts < a->num_parts ? a->at + parts->num_parts : 0;
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
static clv_status *run(sharing *s) {
    uint64_t parts_at_once = 0; /* at most */
    for (size_t i = 0; i < s->num_actors; i++) {
        const actor *a = &s->actors[i];
        uint32_t most = 0;
        for (uint32_t k = 0; k < a->num_parts; k++) {
            uint32_t count = s->parts[a->first_part + k].num_parts;
            most = count > most ? count : most;
        }
        parts_at_once += most;
    }
    uint64_t steps = MOST_WORK / parts_at_once;
    uint64_t wanted = (WARM_UP + MEASURED + 8) * (uint64_t)s->num_parts;
    if (wanted > steps) {
        merge_launches(s, (size_t)(wanted / (steps + 1) + 1));
    }
    s->memories = clv_alloc_zeroed((size_t)parts_at_once + 1, sizeof *s->memories);
    if (s->memories == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint64_t i = 0; i < 4 * steps && !is_measured(s); i++) {
        begin_all(s);
        if (!advance(s)) {
            break;
        }
    }
    return NULL;
}

/* --- together --- */

static clv_status *add_groups(sharing *s, uint32_t num_groups, bool *out_is_needed) {
    size_t tasks = s->ev->costs->workload->num_tasks;
    s->crowds = clv_alloc_zeroed(num_groups + (size_t)1, sizeof *s->crowds);
    s->crowd_of_group = clv_alloc_zeroed(num_groups, sizeof *s->crowd_of_group);
    s->table_mask = 1;
    while (s->table_mask < 2 * (size_t)num_groups) {
        s->table_mask = 2 * s->table_mask + 1;
    }
    s->crowd_by_hash = clv_alloc((s->table_mask + 1) * sizeof *s->crowd_by_hash);
    s->first_task = clv_alloc_zeroed(MOST_ACTORS_OF_GROUP, sizeof *s->first_task);
    s->next_task = clv_alloc_zeroed(tasks + 1, sizeof *s->next_task);
    if (s->crowds == NULL || s->crowd_of_group == NULL || s->first_task == NULL ||
        s->next_task == NULL || s->crowd_by_hash == NULL) {
        return NO_MEMORY_HERE();
    }
    memset(s->crowd_by_hash, 0xff, (s->table_mask + 1) * sizeof *s->crowd_by_hash); /* NONE */
    for (uint32_t g = 0; *out_is_needed && g < num_groups; g++) {
        CLV_TRY(add_group(s, g, out_is_needed));
    }
    return NULL;
}

static void drop(sharing *s, uint32_t num_groups) {
    forget_wants(s, num_groups);
    for (uint32_t i = 0; s->crowds != NULL && i < s->num_crowds; i++) {
        clv_free(s->crowds[i].comes_after);
    }
    clv_free(s->parts);
    clv_free(s->memories);
    clv_free(s->actors);
    clv_free(s->crowds);
    clv_free(s->crowd_of_group);
    clv_free(s->crowd_by_hash);
    clv_free(s->first_task);
    clv_free(s->next_task);
}

clv_status *clv_evaluate_sharing(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, double *out_us) {
    sharing s = {.ev = ev, .groups = groups, .scratch = &ev->sharing};
    bool is_needed = can_slow_down(&s, num_groups);
    clv_status *status = is_needed ? add_groups(&s, num_groups, &is_needed) : NULL;
    memset(out_us, 0, num_groups * sizeof *out_us);
    if (status == NULL && is_needed) {
        status = run(&s);
    }
    for (uint32_t g = 0; status == NULL && is_needed && g < num_groups; g++) {
        const crowd *c = &s.crowds[s.crowd_of_group[g]];
        uint32_t first = c->depth + WARM_UP;
        if (c->requests > first) {
            out_us[g] = (c->end_us - c->warm_us) / (c->requests - first);
        }
    }
    drop(&s, num_groups);
    return status;
}
