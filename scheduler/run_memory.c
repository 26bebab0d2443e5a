#include "scheduler/run_memory.h"

#include "host/base/memory.h"

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

static void add_weights(const clv_schedule *s, double *held) {
    const clv_workload *workload = s->costs->workload;
    for (uint32_t g = 0; g < s->plan->num_groups; g++) {
        const clv_group *group = &s->plan->groups[g];
        for (uint32_t i = 0; i < workload->num_tasks; i++) {
            const clv_task *task = &workload->tasks[i];
            const clv_placement *p = &group->placements[i];
            for (uint32_t k = 0; k < p->num_pieces; k++) {
                const clv_piece *piece = &group->pieces[p->first_piece + k];
                held[piece->unit] += (double)task->weight_bytes * piece_share(task, p, piece);
            }
        }
    }
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

/* A copy that came over a link lies with its first reader. */
static void find_readers(keeper *k) {
    const clv_schedule *s = k->schedule;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        bool is_send = step->kind == CLV_SCHEDULE_SEND;
        k->until_us[i] = fmax(k->until_us[i], k->run->end_us[i]);
        k->where[i] = is_send ? k->where[i] : step->resources[0];
        for (uint32_t n = 0; n < step->num_waits; n++) {
            uint32_t before = s->waits[step->first_wait + n];
            if (!reads(s, step, n)) {
                continue;
            }
            k->until_us[before] = fmax(k->until_us[before], k->run->end_us[i]);
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
    add_weights(k->schedule, held);
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
    clv_status *status = is_limited ? costs->ask_memory(costs, groups, count, out_bytes) : NULL;
    *out_is_known = is_limited && status == NULL;
    clv_free(groups);
    if (clv_status_code(status) == CLV_UNSUPPORTED) { /* as a session will say */
        clv_status_destroy(status);
        status = NULL;
    }
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
