/* The proof that tasks have no hazards in any order that a ready queue can produce. Knows bytes and
 * dependences only, not how either was made: collects, cell of bytes by cell, which steps must come
 * after which, and then looks whether a way of dependences leads from the one to the other. */
#include "host/exec/tasks.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include <stdlib.h>
#include <string.h>

enum { NOBODY = UINT32_MAX, COLUMNS = 4096 };

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for checking the tasks of a request");
}

/* Bytes that a step touches, in the first slot. */
typedef struct span {
    uint64_t block, begin, end; /* block: with the storage's kind */
    uint32_t step;
    bool writes;
} span;

typedef struct pair {
    uint32_t earlier, later;
} pair;

typedef struct prover {
    const clv_step_tasks *tasks;
    span *spans;
    size_t num_spans, capacity_spans;
    pair *pairs; /* that must be in order */
    size_t num_pairs, capacity_pairs;
} prover;

/* --- requests -------------------------------------------------------------------------------- */

/* Each request in flight has a slot of its own: slots lie one behind the other, as far apart in
 * every storage of a block as the block's storages reach. */
static clv_status *check_slots(const clv_step_tasks *t, const clv_operand *o, uint64_t *strides) {
    const clv_storage *s = &t->lowered->storages[o->storage];
    if (t->depth == 1 || (o->access & CLV_WRITES) == 0) {
        return NULL;
    }
    if (s->kind != CLV_STORAGE_VALUE || s->slots < t->depth) {
        return CLV_ERROR(
            INTERNAL, "'%s' has memory for %u requests, %u may be in flight", s->piece.name,
            s->slots, t->depth);
    }
    uint64_t *stride = &strides[s->piece.block];
    *stride = *stride == 0 ? s->stride : *stride;
    if (*stride != s->stride || s->piece.offset + o->begin + o->bytes > s->stride) {
        return CLV_ERROR(
            INTERNAL, "'%s' of one request and other tensors of the next share memory",
            s->piece.name);
    }
    return NULL;
}

/* --- pairs ----------------------------------------------------------------------------------- */

static clv_status *add_spans(prover *v, uint64_t *strides) {
    const clv_lowered *lowered = v->tasks->lowered;
    for (uint32_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        for (uint32_t k = 0; k < step->num_operands; k++) {
            const clv_operand *o = &step->operands[k];
            if (o->storage == CLV_NO_STORAGE || o->access == 0 || o->bytes == 0 ||
                lowered->storages[o->storage].piece.bytes == 0) {
                continue;
            }
            const clv_storage *s = &lowered->storages[o->storage];
            CLV_TRY(check_slots(v->tasks, o, strides));
            if (!clv_array_reserve(
                    (void **)&v->spans, &v->capacity_spans, v->num_spans + 1, sizeof *v->spans)) {
                return no_memory();
            }
            const uint64_t begin = s->piece.offset + o->begin;
            v->spans[v->num_spans++] = (span){
                .block = (uint64_t)s->kind << 32 | s->piece.block,
                .begin = begin,
                .end = begin + o->bytes,
                .step = i,
                .writes = (o->access & CLV_WRITES) != 0,
            };
        }
    }
    return NULL;
}

static clv_status *need_order(prover *v, uint32_t earlier, uint32_t later) {
    if (earlier == NOBODY || earlier == later) {
        return NULL;
    }
    if (!clv_array_reserve(
            (void **)&v->pairs, &v->capacity_pairs, v->num_pairs + 1, sizeof *v->pairs)) {
        return no_memory();
    }
    v->pairs[v->num_pairs++] = (pair){earlier, later};
    return NULL;
}

/* By where they begin; of equal ones as steps stand, what is read before what is written. */
static int compare_spans(const void *left, const void *right) {
    const span *a = left, *b = right;
    if (a->block != b->block) {
        return a->block < b->block ? -1 : 1;
    }
    return a->begin < b->begin ? -1 : a->begin > b->begin;
}

static int compare_steps(const void *left, const void *right) {
    const span *a = left, *b = right;
    if (a->step != b->step) {
        return a->step < b->step ? -1 : 1;
    }
    return (int)a->writes - (int)b->writes;
}

/* Those who touch one cell, as steps stand: who touches it comes after the last who wrote it, and
 * who writes it after all who read that. */
static clv_status *visit_cell(prover *v, const span *visitors, size_t count) {
    uint32_t writer = NOBODY;
    size_t first_reader = 0;
    for (size_t i = 0; i < count; i++) {
        CLV_TRY(need_order(v, writer, visitors[i].step));
        if (visitors[i].writes) {
            for (size_t k = first_reader; k < i; k++) {
                CLV_TRY(need_order(v, visitors[k].step, visitors[i].step));
            }
            writer = visitors[i].step;
            first_reader = i + 1;
        }
    }
    return NULL;
}

/* Goes along the bytes with those that touch them: a cell ends where one of these begins or ends.
 */
static clv_status *visit_all(prover *v) {
    span *live = clv_alloc_zeroed(v->num_spans + 1, sizeof *live);
    span *sorted = clv_alloc_zeroed(v->num_spans + 1, sizeof *sorted);
    clv_status *status = live != NULL && sorted != NULL ? NULL : no_memory();
    size_t num_live = 0;
    if (v->num_spans != 0) {
        qsort(v->spans, v->num_spans, sizeof *v->spans, compare_spans);
    }
    for (size_t i = 0; i < v->num_spans && status == NULL;) {
        const span *s = &v->spans[i];
        const bool is_new = num_live == 0 || live[0].block != s->block;
        uint64_t at = is_new ? s->begin : UINT64_MAX;
        num_live = is_new ? 0 : num_live;
        for (size_t k = 0; k < num_live; k++) { /* the next place where anything changes */
            at = live[k].end < at ? live[k].end : at;
        }
        at = s->begin < at ? s->begin : at;
        size_t kept = 0;
        for (size_t k = 0; k < num_live; k++) {
            live[kept] = live[k];
            kept += live[k].end > at ? 1 : 0;
        }
        num_live = kept;
        for (; i < v->num_spans && v->spans[i].block == s->block && v->spans[i].begin == at; i++) {
            live[num_live++] = v->spans[i];
        }
        memcpy(sorted, live, num_live * sizeof *live);
        qsort(sorted, num_live, sizeof *sorted, compare_steps);
        status = visit_cell(v, sorted, num_live);
    }
    clv_free(live);
    clv_free(sorted);
    return status;
}

/* --- ways ------------------------------------------------------------------------------------ */

static int compare_pairs(const void *left, const void *right) {
    const pair *a = left, *b = right;
    if (a->earlier != b->earlier) {
        return a->earlier < b->earlier ? -1 : 1;
    }
    return a->later < b->later ? -1 : a->later > b->later;
}

/* rows[s]: which of steps [first, first + COLUMNS) lead to step s. */
static void find_ways(const clv_step_tasks *t, uint32_t first, uint64_t *rows) {
    enum { WORDS = COLUMNS / 64 };
    const uint32_t num_steps = (uint32_t)t->lowered->num_steps;
    memset(rows, 0, (size_t)num_steps * WORDS * sizeof *rows);
    for (uint32_t s = first; s < num_steps; s++) {
        const clv_step_task *task = &t->tasks[s];
        const uint64_t *row = &rows[(size_t)s * WORDS];
        for (uint32_t i = 0; i < task->num_next; i++) {
            uint64_t *next = &rows[(size_t)t->next[task->first_next + i] * WORDS];
            for (uint32_t w = 0; w < WORDS; w++) {
                next[w] |= row[w];
            }
            if (s - first < COLUMNS) {
                next[(s - first) / 64] |= UINT64_C(1) << (s - first) % 64;
            }
        }
    }
}

static clv_status *check_pairs(const prover *v) {
    const clv_step_tasks *t = v->tasks;
    const uint32_t num_steps = (uint32_t)t->lowered->num_steps;
    uint64_t *rows = clv_alloc_zeroed((size_t)num_steps * COLUMNS / 64 + 1, sizeof *rows);
    clv_status *status = rows != NULL ? NULL : no_memory();
    size_t at = 0;
    if (v->num_pairs != 0) {
        qsort(v->pairs, v->num_pairs, sizeof *v->pairs, compare_pairs);
    }
    for (uint32_t first = 0; first < num_steps && status == NULL; first += COLUMNS) {
        find_ways(t, first, rows);
        for (; at < v->num_pairs && v->pairs[at].earlier - first < COLUMNS && status == NULL;
             at++) {
            const uint32_t bit = v->pairs[at].earlier - first, later = v->pairs[at].later;
            if ((rows[(size_t)later * (COLUMNS / 64) + bit / 64] >> bit % 64 & 1) == 0) {
                status = CLV_ERROR(
                    INTERNAL, "nothing orders '%s' and '%s', which touch the same memory",
                    t->lowered->steps[v->pairs[at].earlier].name, t->lowered->steps[later].name);
            }
        }
        if (status == NULL) {
            status = clv_cancel_check();
        }
    }
    clv_free(rows);
    return status;
}

/* A task waits for as many as say that it does, all of which stand before it: nobody waits in vain,
 * nor in a circle. */
static clv_status *check_counts(const clv_step_tasks *t) {
    const size_t num_steps = t->lowered->num_steps;
    uint32_t *counts = clv_alloc_zeroed(num_steps + 1, sizeof *counts);
    clv_status *status = counts != NULL ? NULL : no_memory();
    for (uint32_t s = 0; s < num_steps && status == NULL; s++) {
        for (uint32_t i = 0; i < t->tasks[s].num_next && status == NULL; i++) {
            const uint32_t next = t->next[t->tasks[s].first_next + i];
            if (next <= s || next >= num_steps) {
                status = CLV_ERROR(
                    INTERNAL, "'%s' waits for '%s', which comes after it",
                    t->lowered->steps[next].name, t->lowered->steps[s].name);
            } else {
                counts[next]++;
            }
        }
    }
    for (uint32_t s = 0; s < num_steps && status == NULL; s++) {
        if (counts[s] != t->tasks[s].num_waits) {
            status = CLV_ERROR(
                INTERNAL, "'%s' waits for %u steps, %u tell it", t->lowered->steps[s].name,
                t->tasks[s].num_waits, counts[s]);
        }
    }
    clv_free(counts);
    return status;
}

clv_status *clv_step_tasks_verify(const clv_step_tasks *tasks) {
    prover v = {.tasks = tasks};
    uint64_t *strides = clv_alloc_zeroed(tasks->lowered->values.num_blocks + 1, sizeof *strides);
    clv_status *status = strides != NULL ? check_counts(tasks) : no_memory();
    if (status == NULL) {
        status = add_spans(&v, strides);
    }
    if (status == NULL) {
        status = visit_all(&v);
    }
    if (status == NULL) {
        status = check_pairs(&v);
    }
    clv_free(strides);
    clv_free(v.spans);
    clv_free(v.pairs);
    return status;
}
