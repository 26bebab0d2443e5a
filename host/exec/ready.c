#include "host/exec/ready.h"

#include "host/base/memory.h"
#include <string.h>

/* A task that is ready; it stays until its last chunk is taken. */
typedef struct entry {
    uint64_t request;
    uint32_t priority, slot, step, next_chunk;
} entry;

typedef struct pool {
    entry *entries; /* a heap: the first is the one to take */
    uint32_t count;
} pool;

/* Where a lane waits. */
typedef struct seat {
    char own_line[64];
    clv_signal news[2]; /* for the thread; for who sits in its place */
    /* guarded by the lock: */
    bool is_idle, sits, is_at_work;
    uint64_t request; /* that he waits for who sits there */
    char other_line[64];
} seat;

/* A request at work. All guarded by the lock. */
typedef struct slot_state {
    uint32_t *waits;  /* [num_steps]: predecessors that are not done */
    uint32_t *chunks; /* [num_steps]: that are not done */
    uint32_t num_left;
    uint64_t request;
} slot_state;

struct clv_ready {
    const clv_step_tasks *tasks;
    uint32_t *initial_waits, *initial_chunks; /* [num_steps] */
    pthread_mutex_t lock;
    pool *pools;
    seat *seats;           /* [num_lanes] */
    slot_state *slots;     /* [depth] */
    uint32_t *num_at_work; /* [num_crews]: lanes */
    uint32_t sitting;      /* lane that somebody sits in; CLV_NO_SLOT: none */
    _Atomic uint32_t num_busy;
};

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the ready queue");
}

/* --- heaps ----------------------------------------------------------------------------------- */

/* The older request; then what has the longer way before it. */
static bool comes_first(const entry *a, const entry *b) {
    if (a->request != b->request) {
        return a->request < b->request;
    }
    return a->priority < b->priority;
}

static void push(pool *p, entry e) {
    uint32_t at = p->count++;
    while (at > 0 && comes_first(&e, &p->entries[(at - 1) / 2])) {
        p->entries[at] = p->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    p->entries[at] = e;
}

static void drop_first(pool *p) {
    const entry last = p->entries[--p->count];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < p->count; at = child) {
        if (child + 1 < p->count && comes_first(&p->entries[child + 1], &p->entries[child])) {
            child++;
        }
        if (!comes_first(&p->entries[child], &last)) {
            break;
        }
        p->entries[at] = p->entries[child];
    }
    p->entries[at] = last;
}

/* --- with the lock --------------------------------------------------------------------------- */

static void push_task(clv_ready *ready, uint64_t request, uint32_t slot, uint32_t step) {
    const clv_step_task *task = &ready->tasks->tasks[step];
    push(
        &ready->pools[task->pool],
        (entry){.request = request, .priority = task->priority, .slot = slot, .step = step});
}

static void tell(seat *at) {
    at->is_idle = false;
    clv_signal_add(&at->news[at->sits ? 1 : 0], 1);
}

/* With the lock, of who sits there. */
static bool is_through(const clv_ready *ready, const seat *at) {
    const slot_state *slot = &ready->slots[at->request % ready->tasks->depth];
    return at->sits &&
           (slot->request > at->request || (slot->request == at->request && slot->num_left == 0));
}

/* False while other chunks of the task are being done. */
static bool end_work(clv_ready *ready, const clv_work *done, uint32_t *out_ended) {
    const clv_step_tasks *tasks = ready->tasks;
    slot_state *slot = &ready->slots[done->slot];
    const clv_step_task *task = &tasks->tasks[done->step];
    slot->chunks[done->step] -= done->end_chunk - done->chunk;
    if (slot->chunks[done->step] != 0) {
        return false;
    }
    for (uint32_t i = 0; i < task->num_next; i++) {
        const uint32_t next = tasks->next[task->first_next + i];
        if (--slot->waits[next] == 0) {
            push_task(ready, done->request, done->slot, next);
        }
    }
    if (--slot->num_left == 0) {
        *out_ended = done->slot;
        atomic_fetch_sub_explicit(&ready->num_busy, 1, memory_order_relaxed);
        if (ready->sitting != CLV_NO_SLOT && is_through(ready, &ready->seats[ready->sitting])) {
            tell(&ready->seats[ready->sitting]);
        }
    }
    return true;
}

/* Parts of tasks in a pool, up to `most`. */
static uint32_t count_parts(const clv_ready *ready, const pool *p, uint32_t most) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->count && count < most; i++) {
        const entry *e = &p->entries[i];
        count += ready->tasks->tasks[e->step].num_chunks - e->next_chunk;
    }
    return count < most ? count : most;
}

/* Whether a lane does best to leave what there is to the faster ones of its crew: all of it is then
 * done before the lane would be through with one part. They are taken to be half through with what
 * they are at. The fastest lanes leave nothing. */
static bool leaves_it(
    const clv_ready *ready, const clv_crew_lane *lane, uint32_t crew, const pool *shared) {
    const clv_crews *crews = ready->tasks->crews;
    double speed = 0, parts = 0;
    for (uint32_t i = crews->first_lane[crew]; i < crews->first_lane[crew + 1]; i++) {
        if (crews->lanes[i].speed > lane->speed) {
            speed += crews->lanes[i].speed;
            parts += ready->seats[i].is_at_work ? 0.5 : 0;
        }
    }
    const double enough = speed / lane->speed + 1;
    const uint32_t most = enough < 1e6 ? (uint32_t)enough : 1000000;
    return speed > 0 && (parts + count_parts(ready, shared, most)) / speed <= 1 / lane->speed;
}

/* Lanes that are not at work, but for the one that takes, have other things to take, or the task is
 * shared with them. */
static bool take(clv_ready *ready, const clv_crew_lane *lane, uint32_t crew, clv_work *out_work) {
    pool *shared = &ready->pools[crew];
    pool *own = &ready->pools[ready->tasks->crews->num_crews + lane->unit];
    if (shared->count == 0 && own->count == 0) {
        return false;
    }
    if (own->count == 0 && leaves_it(ready, lane, crew, shared)) {
        return false;
    }
    pool *from = own->count == 0 ||
                         (shared->count != 0 && comes_first(&shared->entries[0], &own->entries[0]))
                     ? shared
                     : own;
    entry *first = &from->entries[0];
    const uint32_t num_chunks = ready->tasks->tasks[first->step].num_chunks;
    const uint32_t others = clv_crew_size(ready->tasks->crews, crew) - 1;
    const uint32_t num_more = shared->count + own->count - 1;
    const bool is_shared =
        others > ready->num_at_work[crew] + num_more || (num_more == 0 && first->next_chunk != 0);
    *out_work = (clv_work){
        .request = first->request,
        .slot = first->slot,
        .step = first->step,
        .chunk = first->next_chunk,
        .end_chunk = is_shared ? first->next_chunk + 1 : num_chunks,
    };
    first->next_chunk = out_work->end_chunk;
    if (first->next_chunk == num_chunks) {
        drop_first(from);
    }
    return true;
}

/* Has as many idle lanes look as there is something for. */
static void wake_idle(clv_ready *ready) {
    const clv_crews *crews = ready->tasks->crews;
    for (uint32_t c = 0; c < crews->num_crews; c++) {
        uint32_t shared = count_parts(ready, &ready->pools[c], clv_crew_size(crews, c));
        for (uint32_t i = crews->first_lane[c]; i < crews->first_lane[c + 1]; i++) {
            const pool *own = &ready->pools[crews->num_crews + crews->lanes[i].unit];
            if (ready->seats[i].is_idle && (shared != 0 || own->count != 0)) {
                shared -= shared != 0 && own->count == 0 ? 1 : 0; /* it may take its own */
                tell(&ready->seats[i]);
            }
        }
    }
}

/* --- for lanes ------------------------------------------------------------------------------- */

bool clv_ready_begin(clv_ready *ready, uint64_t request, uint32_t slot_index) {
    const size_t num_steps = ready->tasks->lowered->num_steps;
    slot_state *slot = &ready->slots[slot_index];
    memcpy(slot->waits, ready->initial_waits, num_steps * sizeof *slot->waits);
    memcpy(slot->chunks, ready->initial_chunks, num_steps * sizeof *slot->chunks);
    pthread_mutex_lock(&ready->lock);
    slot->num_left = (uint32_t)num_steps;
    slot->request = request;
    atomic_fetch_add_explicit(&ready->num_busy, num_steps != 0 ? 1 : 0, memory_order_relaxed);
    for (uint32_t s = 0; s < num_steps; s++) {
        if (ready->initial_waits[s] == 0) {
            push_task(ready, request, slot_index, s);
        }
    }
    wake_idle(ready);
    pthread_mutex_unlock(&ready->lock);
    return num_steps == 0;
}

bool clv_ready_next(
    clv_ready *ready, uint32_t lane, const clv_work *done, clv_work *out_work, uint32_t *out_ended,
    uint32_t *out_ticket) {
    const clv_crews *crews = ready->tasks->crews;
    const clv_crew_lane *own = &crews->lanes[lane];
    seat *at = &ready->seats[lane];
    *out_ended = CLV_NO_SLOT;
    pthread_mutex_lock(&ready->lock);
    const bool has_ended = done != NULL && end_work(ready, done, out_ended);
    const uint32_t crew = crews->crew_of_unit[own->unit];
    ready->num_at_work[crew] -= at->is_at_work ? 1 : 0;
    *out_ticket = atomic_load_explicit(&at->news[at->sits ? 1 : 0].value, memory_order_relaxed);
    const bool has_work = !is_through(ready, at) && take(ready, own, crew, out_work);
    at->is_idle = !has_work;
    at->is_at_work = has_work;
    ready->num_at_work[crew] += has_work ? 1 : 0;
    if (has_ended) {
        wake_idle(ready);
    }
    pthread_mutex_unlock(&ready->lock);
    return has_work;
}

void clv_ready_wait(clv_ready *ready, uint32_t lane, bool sits, uint32_t ticket, uint64_t spin_ns) {
    clv_signal_wait(&ready->seats[lane].news[sits ? 1 : 0], ticket + 1, spin_ns);
}

void clv_ready_wake(clv_ready *ready, uint32_t lane) {
    clv_signal_add(&ready->seats[lane].news[0], 1);
}

void clv_ready_sit(clv_ready *ready, uint32_t lane, uint64_t request) {
    seat *at = &ready->seats[lane];
    pthread_mutex_lock(&ready->lock);
    at->is_idle = false;
    at->sits = true;
    at->request = request;
    ready->sitting = lane;
    pthread_mutex_unlock(&ready->lock);
}

bool clv_ready_is_through(clv_ready *ready, uint32_t lane) {
    pthread_mutex_lock(&ready->lock);
    const bool is = is_through(ready, &ready->seats[lane]);
    pthread_mutex_unlock(&ready->lock);
    return is;
}

/* Its thread may be waiting, with a ticket from before. */
void clv_ready_rise(clv_ready *ready, uint32_t lane) {
    pthread_mutex_lock(&ready->lock);
    ready->seats[lane].sits = false;
    ready->seats[lane].is_idle = true;
    ready->sitting = CLV_NO_SLOT;
    wake_idle(ready);
    pthread_mutex_unlock(&ready->lock);
}

bool clv_ready_is_busy(clv_ready *ready) {
    return atomic_load_explicit(&ready->num_busy, memory_order_relaxed) != 0;
}

/* --- making and ending it -------------------------------------------------------------------- */

static clv_status *create_parts(clv_ready *ready) {
    const clv_step_tasks *tasks = ready->tasks;
    const size_t num_steps = tasks->lowered->num_steps;
    const uint32_t num_lanes = tasks->crews->first_lane[tasks->crews->num_crews];
    ready->initial_waits = clv_alloc_zeroed(num_steps + 1, sizeof(uint32_t));
    ready->initial_chunks = clv_alloc_zeroed(num_steps + 1, sizeof(uint32_t));
    ready->pools = clv_alloc_zeroed((size_t)tasks->num_pools + 1, sizeof *ready->pools);
    ready->num_at_work = clv_alloc_zeroed((size_t)tasks->crews->num_crews + 1, sizeof(uint32_t));
    ready->seats = clv_alloc_zeroed((size_t)num_lanes + 1, sizeof *ready->seats);
    ready->slots = clv_alloc_zeroed(tasks->depth, sizeof *ready->slots);
    if (ready->initial_waits == NULL || ready->initial_chunks == NULL || ready->pools == NULL ||
        ready->seats == NULL || ready->num_at_work == NULL || ready->slots == NULL) {
        return no_memory();
    }
    for (size_t s = 0; s < num_steps; s++) {
        ready->initial_waits[s] = tasks->tasks[s].num_waits;
        ready->initial_chunks[s] = tasks->tasks[s].num_chunks;
    }
    for (uint32_t i = 0; i < tasks->num_pools; i++) {
        pool *p = &ready->pools[i];
        p->entries =
            clv_alloc_zeroed((size_t)tasks->pool_size[i] * tasks->depth + 1, sizeof *p->entries);
        if (p->entries == NULL) {
            return no_memory();
        }
    }
    for (uint32_t i = 0; i < tasks->depth; i++) {
        ready->slots[i].waits = clv_alloc_zeroed(num_steps + 1, sizeof(uint32_t));
        ready->slots[i].chunks = clv_alloc_zeroed(num_steps + 1, sizeof(uint32_t));
        if (ready->slots[i].waits == NULL || ready->slots[i].chunks == NULL) {
            return no_memory();
        }
    }
    return NULL;
}

clv_status *clv_ready_create(const clv_step_tasks *tasks, clv_ready **out_ready) {
    *out_ready = NULL;
    clv_ready *ready = clv_alloc_zeroed(1, sizeof *ready);
    if (ready == NULL) {
        return no_memory();
    }
    ready->tasks = tasks;
    ready->sitting = CLV_NO_SLOT;
    pthread_mutex_init(&ready->lock, NULL);
    clv_status *status = create_parts(ready);
    if (status != NULL) {
        clv_ready_destroy(ready);
        return status;
    }
    *out_ready = ready;
    return NULL;
}

void clv_ready_destroy(clv_ready *ready) {
    if (ready == NULL) {
        return;
    }
    for (uint32_t i = 0; ready->pools != NULL && i < ready->tasks->num_pools; i++) {
        clv_free(ready->pools[i].entries);
    }
    for (uint32_t i = 0; ready->slots != NULL && i < ready->tasks->depth; i++) {
        clv_free(ready->slots[i].waits);
        clv_free(ready->slots[i].chunks);
    }
    clv_free(ready->initial_waits);
    clv_free(ready->initial_chunks);
    clv_free(ready->pools);
    clv_free(ready->num_at_work);
    clv_free(ready->seats);
    clv_free(ready->slots);
    pthread_mutex_destroy(&ready->lock);
    clv_free(ready);
}
