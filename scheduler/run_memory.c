#include "scheduler/run_memory.h"

#include "host/base/memory.h"
#include "partition/shared_weights.h"
#include "scheduler/unroll.h"

#include <math.h>
#include <stdlib.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for the memory of a run")

/* Bytes that come to a unit at some time, or go. */
typedef struct change {
    double time_us, bytes;
    uint32_t unit;
} change;

typedef struct keeper {
    const clv_schedule *schedule;
    const clv_run *run;
    double *until_us;   /* [num_steps]: when what the step made was read for the last time */
    uint32_t *where;    /* [num_steps]: the unit that holds it; CLV_NO_INDEX: none. In a dynamic run
                           too the one that was planned: memory is there before anybody runs */
    double *task_bytes; /* [num_tasks] that outputs hold, */
    double *slot_bytes; /* and that steps count for them */
    double *from_us;    /* [num_units]: what was held before does not count */
    change *changes;
    size_t num_changes;
} keeper;

static double piece_share(const clv_task *task, const clv_placement *p, const clv_piece *piece) {
    const clv_task_split *split = p->split >= 0 ? &task->splits[p->split] : NULL;
    if (split == NULL || !split->splits_weights) {
        return 1;
    }
    return (double)(piece->end - piece->begin) / (double)split->extent;
}

static clv_status *add_weights(const clv_schedule *s, double *held) {
    const clv_workload *workload = s->costs->workload;
    clv_shared_weights weights = {.groups = NULL};
    clv_status *status = NULL;
    for (uint32_t g = 0; g < s->plan->num_groups; g++) {
        const clv_group *group = &s->plan->groups[g];
        CLV_TRY_DONE(clv_shared_weights_add(&weights, s->costs, group));
        for (uint32_t i = 0; i < workload->num_tasks; i++) {
            const clv_task *task = &workload->tasks[i];
            const clv_placement *p = &group->placements[i];
            for (uint32_t k = 0; k < p->num_pieces; k++) {
                const clv_piece *piece = &group->pieces[p->first_piece + k];
                if (!clv_shared_weights_has(&weights, s->costs, i, p, piece)) {
                    held[piece->unit] += (double)task->weight_bytes * piece_share(task, p, piece);
                }
            }
        }
    }
done:
    clv_shared_weights_deinit(&weights);
    return status;
}

static void measure_tasks(keeper *k) {
    const clv_workload *workload = k->schedule->costs->workload;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        const clv_task *task = &workload->tasks[i];
        for (uint32_t o = 0; o < task->num_outputs; o++) {
            const clv_task_tensor *tensor = &workload->tensors[task->outputs[o]];
            k->task_bytes[i] += (double)tensor->resident;
            k->slot_bytes[i] += fmax((double)tensor->bytes, (double)tensor->resident);
        }
    }
}

/* Whether the n-th wait of a step is for data that the step reads. */
static bool reads(const clv_schedule *s, const clv_schedule_step *step, uint32_t n) {
    return n < step->num_reads ||
           s->steps[s->waits[step->first_wait + n]].kind == CLV_SCHEDULE_SEND;
}

/* 0 where nothing has run. */
static double end_of(const keeper *k, uint64_t step) {
    return k->run != NULL ? k->run->end_us[step] : 0;
}

/* A copy that came over a link lies with its first reader. */
static void find_readers(keeper *k) {
    const clv_schedule *s = k->schedule;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        bool is_send = step->kind == CLV_SCHEDULE_SEND;
        k->until_us[i] = fmax(k->until_us[i], end_of(k, i));
        k->where[i] = is_send ? k->where[i] : step->resources[0];
        for (uint32_t n = 0; n < step->num_waits; n++) {
            uint32_t before = s->waits[step->first_wait + n];
            if (!reads(s, step, n)) {
                continue;
            }
            k->until_us[before] = fmax(k->until_us[before], end_of(k, i));
            if (!is_send && k->where[before] == CLV_NO_INDEX) {
                k->where[before] = step->resources[0];
            }
        }
    }
}

static double bytes_of(const keeper *k, const clv_schedule_step *step) {
    const clv_workload *workload = k->schedule->costs->workload;
    switch (step->kind) {
    case CLV_SCHEDULE_JOIN:
    case CLV_SCHEDULE_LAUNCH: {
        double slot = k->slot_bytes[step->task];
        return slot > 0 ? k->task_bytes[step->task] * ((double)step->bytes / slot) : 0;
    }
    case CLV_SCHEDULE_SEND: {
        const clv_task_tensor *tensor = &workload->tensors[step->tensor];
        double bytes = (double)tensor->bytes;
        return bytes > 0 ? (double)tensor->resident * ((double)step->bytes / bytes) : 0;
    }
    default:
        return 0;
    }
}

static void add_changes(keeper *k, uint64_t step, double bytes, double from_us, double until_us) {
    const uint32_t unit = k->where[step];
    if (bytes > 0 && unit != CLV_NO_INDEX && until_us > from_us) {
        k->changes[k->num_changes++] = (change){from_us, bytes, unit};
        k->changes[k->num_changes++] = (change){until_us, -bytes, unit};
    }
}

/* What a launch needs beside while it runs, as a part of its task's. */
static double scratch_of(const keeper *k, const clv_schedule_step *step) {
    const double slot = k->slot_bytes[step->task];
    const double scratch = (double)k->schedule->costs->workload->tasks[step->task].scratch_bytes;
    return slot > 0 ? scratch * ((double)step->bytes / slot) : scratch;
}

/* What pieces and chunks made lies with them until they are joined, and with the join from then on:
 * sums are made in place. */
static void list_changes(keeper *k) {
    const clv_schedule *s = k->schedule;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        const double start_us = k->run->start_us[i], end_us = k->run->end_us[i];
        const double from_us = step->kind == CLV_SCHEDULE_JOIN ? end_us : start_us;
        add_changes(k, i, bytes_of(k, step), from_us, k->until_us[i]);
        if (step->kind == CLV_SCHEDULE_LAUNCH) {
            add_changes(k, i, scratch_of(k, step), start_us, end_us);
        }
    }
}

/* What goes makes room for what comes at the same time. */
static int compare_changes(const void *a, const void *b) {
    const change *x = a, *y = b;
    if (x->time_us != y->time_us) {
        return x->time_us < y->time_us ? -1 : 1;
    }
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Until the requests that are slow at first have ended, a group is not yet as it stays. */
static clv_status *find_begins(keeper *k) {
    const clv_schedule *s = k->schedule;
    uint32_t *count = clv_alloc_zeroed((size_t)s->num_groups + 1, sizeof *count);
    double *until_us = clv_alloc_zeroed((size_t)s->num_groups + 1, sizeof *until_us);
    clv_status *status = count != NULL && until_us != NULL ? NULL : NO_MEMORY_HERE();
    for (uint32_t r = 0; status == NULL && r < s->num_requests; r++) {
        const uint32_t g = s->group_of_request[r];
        double start_us, end_us;
        if (count[g]++ < s->slow_of_group[g]) {
            clv_run_request(s, k->run, r, &start_us, &end_us);
            until_us[g] = fmax(until_us[g], end_us);
        }
    }
    for (uint32_t g = 0; status == NULL && g < s->num_groups; g++) {
        const clv_group *group = &s->plan->groups[g];
        for (uint32_t i = 0; i < group->num_pieces; i++) {
            double *from_us = &k->from_us[group->pieces[i].unit];
            *from_us = fmax(*from_us, until_us[g]);
        }
    }
    clv_free(count);
    clv_free(until_us);
    return status;
}

/* Rounding may leave a little less than nothing. */
static uint64_t whole_bytes(double held) {
    return (uint64_t)fmin(fmax(held, 0) + 0.5, 1e18);
}

static clv_status *measure(keeper *k, double *held, uint64_t *out_bytes) {
    uint32_t num_units = k->schedule->costs->machine->num_units;
    CLV_TRY(add_weights(k->schedule, held));
    for (uint32_t i = 0; i < num_units; i++) {
        out_bytes[i] = whole_bytes(held[i]);
    }
    for (uint64_t i = 0; i < k->schedule->num_steps; i++) {
        k->where[i] = CLV_NO_INDEX;
    }
    measure_tasks(k);
    if (k->schedule->request.is_slow_at_first) {
        CLV_TRY(find_begins(k));
    }
    find_readers(k);
    list_changes(k);
    qsort(k->changes, k->num_changes, sizeof *k->changes, compare_changes);
    for (size_t i = 0; i < k->num_changes; i++) {
        const change *c = &k->changes[i];
        held[c->unit] += c->bytes;
        const uint64_t now = whole_bytes(held[c->unit]);
        if (c->time_us >= k->from_us[c->unit] && now > out_bytes[c->unit]) {
            out_bytes[c->unit] = now;
        }
    }
    return NULL;
}

/* By whoever runs groups, where there is somebody who can tell of the depths that the schedule has;
 * *out_is_known: there is. */
static clv_status *ask(const clv_schedule *s, uint64_t *out_bytes, bool *out_is_known) {
    const clv_costs *costs = s->costs;
    uint32_t count = 0;
    *out_is_known = false;
    if (costs->ask_memory == NULL) {
        return NULL;
    }
    clv_group *groups = clv_alloc_zeroed(s->num_groups, sizeof *groups);
    if (groups == NULL) {
        return NO_MEMORY_HERE();
    }
    bool is_limited = true;
    for (uint32_t g = 0; g < s->num_groups; g++) {
        is_limited = is_limited && s->depth_of_group[g] <= CLV_MOST_DEPTH;
        if (s->depth_of_group[g] > 0) {
            groups[count] = s->plan->groups[g];
            groups[count++].depth = s->depth_of_group[g];
        }
    }
    clv_status *status = NULL;
    if (is_limited) {
        status = clv_costs_ask_memory(costs, groups, count, out_bytes, out_is_known);
    }
    clv_free(groups);
    return status;
}

clv_status *clv_run_memory(const clv_schedule *schedule, const clv_run *run, uint64_t *out_bytes) {
    bool is_known;
    CLV_TRY(ask(schedule, out_bytes, &is_known));
    if (is_known) {
        return NULL;
    }
    size_t steps = (size_t)schedule->num_steps + 1;
    size_t tasks = (size_t)schedule->costs->workload->num_tasks + 1;
    keeper k = {.schedule = schedule, .run = run != NULL ? run : schedule->predicted};
    double *held = clv_alloc_zeroed((size_t)schedule->costs->machine->num_units + 1, sizeof *held);
    k.from_us =
        clv_alloc_zeroed((size_t)schedule->costs->machine->num_units + 1, sizeof *k.from_us);
    k.until_us = clv_alloc_zeroed(steps, sizeof *k.until_us);
    k.where = clv_alloc_zeroed(steps, sizeof *k.where);
    k.task_bytes = clv_alloc_zeroed(tasks, sizeof *k.task_bytes);
    k.slot_bytes = clv_alloc_zeroed(tasks, sizeof *k.slot_bytes);
    k.changes = clv_alloc_zeroed(4 * steps, sizeof *k.changes);
    clv_status *status = NULL;
    if (held == NULL || k.from_us == NULL || k.until_us == NULL || k.where == NULL ||
        k.task_bytes == NULL || k.slot_bytes == NULL || k.changes == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    status = measure(&k, held, out_bytes);
done:
    clv_free(held);
    clv_free(k.from_us);
    clv_free(k.until_us);
    clv_free(k.where);
    clv_free(k.task_bytes);
    clv_free(k.slot_bytes);
    clv_free(k.changes);
    return status;
}

/* --- whatever the order --- */

/* What a step of a request brings to a unit: what it makes, or scratch while it runs. */
typedef struct brought {
    uint32_t unit, step;
    double bytes;
    bool is_scratch;
} brought;

/* Those of one request in one group, each unit's together and in the steps' order. */
typedef struct bringer {
    keeper k;
    clv_schedule schedule; /* the request's steps and waits alone */
    uint64_t *before;      /* [num_steps * words]: bits of the steps that have ended before one */
    uint64_t words;
    uint32_t *first_reader, *readers; /* [num_steps + 1] into readers, by step */
    brought *items;
    size_t num_items;
    double *room;      /* [num_items]: bytes that nothing which came later has taken over */
    uint32_t *holders; /* items that have some */
} bringer;

static bool is_before(const bringer *b, uint32_t step, uint32_t later) {
    return (b->before[later * b->words + step / 64] >> (step % 64) & 1) != 0;
}

/* Whether x has gone when y comes, in any order. `is_running`: counting the time while the launch
 * runs that reads x and makes y. */
static bool has_gone(const bringer *b, const brought *x, const brought *y, bool is_running) {
    const uint8_t kind = b->schedule.steps[y->step].kind;
    const bool may_be_same =
        kind == CLV_SCHEDULE_JOIN || (kind == CLV_SCHEDULE_LAUNCH && !is_running);
    const uint32_t first = b->first_reader[x->step], end = b->first_reader[x->step + 1];
    if (x->is_scratch || first == end) {
        return is_before(b, x->step, y->step);
    }
    for (uint32_t i = first; i < end; i++) {
        const uint32_t reader = b->readers[i];
        if (!is_before(b, reader, y->step) && !(may_be_same && reader == y->step)) {
            return false;
        }
    }
    return true;
}

/* No less than what one request holds at once of items[begin, end), a unit's: room passes from what
 * has gone, the latest first, to what comes, and more is needed where that does not suffice.
 * `is_running`: with what is there only while the unit runs a launch. */
static double most_of_one(bringer *b, size_t begin, size_t end, bool is_running) {
    size_t num_holders = 0;
    double sum = 0;
    for (size_t i = begin; i < end; i++) {
        const brought *item = &b->items[i];
        const bool is_read = b->first_reader[item->step] < b->first_reader[item->step + 1];
        double missing = item->bytes;
        if (!is_running && (item->is_scratch || !is_read)) {
            continue;
        }
        for (size_t h = num_holders; h-- > 0 && missing > 0;) {
            const size_t from = b->holders[h];
            const double passed = fmin(b->room[from], missing);
            if (passed > 0 && has_gone(b, &b->items[from], item, is_running)) {
                b->room[from] -= passed;
                missing -= passed;
            }
        }
        size_t kept = 0;
        for (size_t h = 0; h < num_holders; h++) {
            b->holders[kept] = b->holders[h];
            kept += b->room[b->holders[h]] > 0 ? 1 : 0;
        }
        sum += missing;
        b->room[i] = item->bytes;
        b->holders[kept] = (uint32_t)i;
        num_holders = kept + 1;
    }
    return sum;
}

static int compare_brought(const void *a, const void *b) {
    const brought *x = a, *y = b;
    if (x->unit != y->unit) {
        return x->unit < y->unit ? -1 : 1;
    }
    if (x->step != y->step) {
        return x->step < y->step ? -1 : 1;
    }
    return (int)x->is_scratch - (int)y->is_scratch;
}

static void find_before(bringer *b) {
    const clv_schedule *s = &b->schedule;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        uint64_t *bits = &b->before[i * b->words];
        for (uint32_t n = 0; n < step->num_waits; n++) {
            const uint32_t wait = s->waits[step->first_wait + n];
            for (uint64_t w = 0; w < b->words; w++) {
                bits[w] |= b->before[wait * b->words + w];
            }
            bits[wait / 64] |= (uint64_t)1 << (wait % 64);
        }
    }
}

static void list_readers(bringer *b) {
    const clv_schedule *s = &b->schedule;
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < s->num_steps; i++) {
            const clv_schedule_step *step = &s->steps[i];
            for (uint32_t n = 0; n < step->num_waits; n++) {
                const uint32_t wait = s->waits[step->first_wait + n];
                if (!reads(s, step, n)) {
                    continue;
                }
                if (pass == 0) {
                    b->first_reader[wait]++;
                } else {
                    b->readers[--b->first_reader[wait]] = (uint32_t)i;
                }
            }
        }
        for (uint64_t i = 0; pass == 0 && i < s->num_steps; i++) {
            b->first_reader[i + 1] += b->first_reader[i];
        }
    }
}

static void list_brought(bringer *b) {
    const clv_schedule *s = &b->schedule;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        const double bytes = bytes_of(&b->k, step);
        if (bytes > 0 && b->k.where[i] != CLV_NO_INDEX) {
            b->items[b->num_items++] = (brought){b->k.where[i], (uint32_t)i, bytes, false};
        }
        const double scratch = step->kind == CLV_SCHEDULE_LAUNCH ? scratch_of(&b->k, step) : 0;
        if (scratch > 0) {
            b->items[b->num_items++] = (brought){step->resources[0], (uint32_t)i, scratch, true};
        }
    }
    qsort(b->items, b->num_items, sizeof *b->items, compare_brought);
}

/* Adds to `held` [num_units]. A unit runs one launch at a time: of all requests but one it holds
 * what waits. */
static void add_most(bringer *b, uint32_t depth, double *held) {
    find_before(b);
    list_readers(b);
    find_readers(&b->k);
    list_brought(b);
    for (size_t begin = 0, end; begin < b->num_items; begin = end) {
        const uint32_t unit = b->items[begin].unit;
        end = begin;
        while (end < b->num_items && b->items[end].unit == unit) {
            end++;
        }
        const double waiting = most_of_one(b, begin, end, false);
        held[unit] += fmax(waiting, most_of_one(b, begin, end, true)) + (depth - 1.0) * waiting;
    }
    add_weights(&b->schedule, held);
}

static bool is_on_one_unit(const clv_group *group, const clv_placement *a, const clv_placement *b) {
    return a->num_pieces == 1 && b->num_pieces == 1 &&
           group->pieces[a->first_piece].unit == group->pieces[b->first_piece].unit;
}

/* Whether tensors move within a stage: then units wait for one another between their tasks of a
 * request, and runs that begin otherwise may settle otherwise, after any number of requests. Where
 * each stage waits for those before it alone, requests pile up at the slowest. */
static bool has_moves_in_stages(const clv_group *group, const clv_workload *workload) {
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        const clv_task_tensor *tensor = &workload->tensors[i];
        if (tensor->producer == CLV_NO_TASK) {
            continue;
        }
        const clv_placement *from = &group->placements[tensor->producer];
        for (uint32_t c = 0; c < tensor->num_consumers; c++) {
            const clv_placement *to = &group->placements[tensor->consumers[c]];
            if (from->stage >= to->stage && !is_on_one_unit(group, from, to)) {
                return true;
            }
        }
    }
    return false;
}

static clv_status *alloc_bringer(const clv_costs *costs, bringer *b) {
    const size_t steps = (size_t)b->schedule.num_steps + 1;
    const size_t tasks = (size_t)costs->workload->num_tasks + 1;
    b->words = (b->schedule.num_steps + 63) / 64;
    b->k.until_us = clv_alloc_zeroed(steps, sizeof *b->k.until_us);
    b->k.where = clv_alloc_zeroed(steps, sizeof *b->k.where);
    b->k.task_bytes = clv_alloc_zeroed(tasks, sizeof *b->k.task_bytes);
    b->k.slot_bytes = clv_alloc_zeroed(tasks, sizeof *b->k.slot_bytes);
    b->before = clv_alloc_zeroed(steps * ((size_t)b->words + 1), sizeof *b->before);
    b->first_reader = clv_alloc_zeroed(steps + 1, sizeof *b->first_reader);
    b->readers = clv_alloc_zeroed((size_t)b->schedule.num_waits + 1, sizeof *b->readers);
    b->items = clv_alloc_zeroed(2 * steps, sizeof *b->items);
    b->holders = clv_alloc_zeroed(2 * steps, sizeof *b->holders);
    b->room = clv_alloc_zeroed(2 * steps, sizeof *b->room);
    if (b->k.until_us == NULL || b->k.where == NULL || b->k.task_bytes == NULL ||
        b->k.slot_bytes == NULL || b->before == NULL || b->first_reader == NULL ||
        b->readers == NULL || b->items == NULL || b->holders == NULL || b->room == NULL) {
        return NO_MEMORY_HERE();
    }
    for (size_t i = 0; i < steps; i++) {
        b->k.where[i] = CLV_NO_INDEX;
    }
    return NULL;
}

static void free_bringer(bringer *b) {
    clv_free(b->k.until_us);
    clv_free(b->k.where);
    clv_free(b->k.task_bytes);
    clv_free(b->k.slot_bytes);
    clv_free(b->before);
    clv_free(b->first_reader);
    clv_free(b->readers);
    clv_free(b->items);
    clv_free(b->holders);
    clv_free(b->room);
}

static clv_status *add_group(
    const clv_costs *costs, const clv_group *group, uint32_t *scratch_of_unit, double *held) {
    enum { MOST_STEPS = 16384 }; /* whose bits take 32 MiB */
    const clv_plan plan = {.groups = (clv_group *)group, .num_groups = 1};
    clv_unrolled u = {0};
    bringer b = {0};
    clv_status *status = clv_unroll_group(costs, group, 1, scratch_of_unit, &u);
    if (status == NULL && u.num_steps <= MOST_STEPS) {
        b.schedule = (clv_schedule){
            .costs = costs,
            .plan = &plan,
            .steps = u.steps,
            .num_steps = u.num_steps,
            .waits = u.waits,
            .num_waits = u.num_waits};
        b.k.schedule = &b.schedule;
        status = alloc_bringer(costs, &b);
        if (status == NULL) {
            measure_tasks(&b.k);
            add_most(&b, group->depth, held);
        }
        free_bringer(&b);
    }
    clv_unrolled_deinit(&u);
    return status;
}

clv_status *clv_most_memory(
    const clv_costs *costs, const clv_group *groups, uint32_t num_groups, uint64_t *io_bytes) {
    const uint32_t num_units = costs->machine->num_units;
    double *held = clv_alloc_zeroed((size_t)num_units + 1, sizeof *held);
    uint32_t *scratch = clv_alloc_zeroed((size_t)num_units + 1, sizeof *scratch);
    clv_status *status = held != NULL && scratch != NULL ? NULL : NO_MEMORY_HERE();
    for (uint32_t i = 0; status == NULL && i < num_units; i++) {
        scratch[i] = CLV_NO_INDEX;
    }
    for (uint32_t g = 0; status == NULL && g < num_groups; g++) {
        if (groups[g].depth > 1 && has_moves_in_stages(&groups[g], costs->workload)) {
            status = add_group(costs, &groups[g], scratch, held);
        }
    }
    for (uint32_t i = 0; status == NULL && i < num_units; i++) {
        const uint64_t bytes = whole_bytes(held[i]);
        io_bytes[i] = bytes > io_bytes[i] ? bytes : io_bytes[i];
    }
    clv_free(held);
    clv_free(scratch);
    return status;
}
