/* Random workloads with all that one can hold, written as task graphs and read back: the same,
 * field by field and bit by bit, and the text the same once more.
 *
 *     TEST [SEED [NUM_CASES]]      a failure prints the seed
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "partition/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TASKS = 12, MOST_TENSORS = 40 };

typedef struct maker {
    clv_random random;
    clv_workload *workload;
} maker;

static void *get(maker *m, size_t count, size_t bytes) {
    void *memory = clv_arena_alloc(&m->workload->arena, count + 1, bytes);
    if (memory == NULL) {
        exit(2);
    }
    return memory;
}

static uint32_t below(maker *m, uint32_t bound) {
    return (uint32_t)clv_random_below(&m->random, bound);
}

static bool is_rare(maker *m) {
    return below(m, 4) == 0;
}

/* Of every size, with all digits, and whole ones. */
static double draw_number(maker *m) {
    const double unit = clv_random_unit(&m->random);
    switch (below(m, 5)) {
    case 0:
        return 0;
    case 1:
        return unit;
    case 2:
        return (double)below(m, 1000000);
    case 3:
        return ldexp(unit, (int)below(m, 1800) - 900);
    default:
        return ldexp(unit, -1060); /* denormal */
    }
}

static int64_t draw_whole(maker *m) {
    return (int64_t)(clv_random_next(&m->random) >> (11 + below(m, 53)));
}

/* Unlike all others of its sort, with what JSON must escape. */
static const char *draw_name(maker *m, const char *sort, uint32_t id) {
    static const char *const parts[] = {"", "\"", "\\", "\n", "é", "\x01", "/", "#2", "*"};
    char *name = get(m, 64, 1);
    snprintf(name, 64, "%s%s%u%s", parts[below(m, 9)], sort, (unsigned)id, parts[below(m, 9)]);
    return name;
}

static void draw_times(maker *m, clv_task *task) {
    static const char *const places[] = {"*", "core", "gpu:1", "", "p1"};
    const uint32_t count = below(m, 6), first = below(m, 5);
    clv_task_time *times = get(m, count, sizeof *times);
    for (uint32_t i = 0; i < count; i++) {
        times[i] = (clv_task_time){
            .where = places[(first + i) % 5],
            .time_us = is_rare(m) ? INFINITY : draw_number(m),
            .origin = is_rare(m) ? (clv_origin)(1 + below(m, 3)) : CLV_ORIGIN_GIVEN,
            .draws = is_rare(m) ? clv_random_unit(&m->random) : 0};
    }
    task->times = times;
    task->num_times = count;
}

static void draw_pieces(maker *m, clv_task_split *split) {
    clv_task_piece *pieces = get(m, 3, sizeof *pieces);
    double share = 0, part = 0;
    split->num_measured = is_rare(m) ? 1 + below(m, 3) : 0;
    split->measured = pieces;
    for (uint32_t i = 0; i < split->num_measured; i++) {
        share += 1e-3 + 0.3 * clv_random_unit(&m->random);
        part += 1e-9 + clv_random_unit(&m->random);
        pieces[i] = (clv_task_piece){.share = share, .part = part};
    }
}

static void draw_split(maker *m, const clv_task *task, clv_task_split *split) {
    const clv_workload *workload = m->workload;
    const clv_task_tensor *output = &workload->tensors[task->outputs[0]];
    clv_task_split_input *inputs = get(m, task->num_inputs, sizeof *inputs);
    *split = (clv_task_split){
        .name = draw_name(m, "by", (uint32_t)(split - task->splits)),
        .join = is_rare(m) ? CLV_TASK_SUM : CLV_TASK_PLACE,
        .extent = 1 + draw_whole(m) / 2,
        .fixed_share = is_rare(m) ? 900 * clv_random_unit(&m->random) : 0,
        .splits_weights = is_rare(m),
        .inputs = inputs};
    if (split->join == CLV_TASK_SUM) {
        split->axis = -1;
    } else if (output->num_dims == 0) {
        split->axis = (int32_t)below(m, 100);
    } else {
        split->axis = (int32_t)below(m, (uint32_t)output->num_dims);
        split->extent = output->dims[split->axis];
    }
    split->grain = is_rare(m) ? 1 + draw_whole(m) % split->extent : 1;
    draw_pieces(m, split);
    for (uint32_t i = 0; i < task->num_inputs; i++) {
        const clv_task_tensor *tensor = &workload->tensors[task->inputs[i]];
        inputs[i] = (clv_task_split_input){.num = 1, .den = 1};
        if (is_rare(m)) {
            continue;
        }
        inputs[i].need = CLV_TASK_SLICE;
        inputs[i].axis = (int32_t)below(m, tensor->num_dims > 0 ? (uint32_t)tensor->num_dims : 100);
        if (is_rare(m)) {
            inputs[i].num = 1 + draw_whole(m) / 2;
            inputs[i].den = 1 + draw_whole(m) / 2;
            inputs[i].before = draw_whole(m) - draw_whole(m);
            inputs[i].after = draw_whole(m) - draw_whole(m);
        }
    }
}

static void draw_task(maker *m, uint32_t id, uint32_t num_tasks) {
    clv_task *task = &m->workload->tasks[id];
    const char **aliases = get(m, 2, sizeof *aliases);
    *task = (clv_task){
        .name = draw_name(m, "task", id),
        .type = draw_name(m, "Type", below(m, 3)),
        .aliases = aliases,
        .num_aliases = is_rare(m) ? below(m, 3) : 0,
        .flops = draw_number(m),
        .traffic_bytes = draw_number(m),
        .weight_bytes = (uint64_t)draw_whole(m),
        .scratch_bytes = (uint64_t)draw_whole(m),
        .inputs = get(m, MOST_TENSORS, sizeof(uint32_t)),
        .outputs = get(m, MOST_TENSORS, sizeof(uint32_t))};
    for (uint32_t i = 0; i < task->num_aliases; i++) {
        aliases[i] = draw_name(m, "alias", id * 2 + i);
    }
    draw_times(m, task);
    if (is_rare(m)) { /* with one before it, or one that has its own number since */
        const uint32_t other = below(m, num_tasks) % (id + 1);
        clv_task *first = &m->workload->tasks[other];
        first->colocation = first->colocation != 0 ? first->colocation : other + 1;
        task->colocation = first->colocation;
    }
}

/* Made by a task, the whole's input, or, the first ones, one of each task. */
static void draw_tensor(maker *m, uint32_t id, const uint32_t *order, uint32_t num_tasks) {
    clv_workload *workload = m->workload;
    clv_task_tensor *tensor = &workload->tensors[id];
    uint32_t *consumers = get(m, num_tasks, sizeof *consumers);
    int64_t *dims = get(m, 3, sizeof *dims);
    const uint32_t any = below(m, num_tasks + 2);
    const uint32_t producer = order[id] != CLV_NO_TASK ? order[id]
                              : any < num_tasks        ? any
                                                       : CLV_NO_TASK;
    *tensor = (clv_task_tensor){
        .name = draw_name(m, "tensor", id),
        .bytes = (uint64_t)draw_whole(m),
        .resident = (uint64_t)draw_whole(m),
        .producer = producer,
        .consumers = consumers,
        .is_output = is_rare(m),
        .num_dims = (int32_t)below(m, 4),
        .dims = dims};
    for (int32_t i = 0; i < tensor->num_dims; i++) {
        dims[i] = 1 + draw_whole(m) / 2;
    }
    for (uint32_t t = producer == CLV_NO_TASK ? 0 : producer + 1; t < num_tasks; t++) {
        clv_task *reader = &workload->tasks[t];
        if (is_rare(m)) {
            consumers[tensor->num_consumers++] = t;
            ((uint32_t *)reader->inputs)[reader->num_inputs++] = id;
        }
    }
    if (producer != CLV_NO_TASK) {
        clv_task *maker_task = &workload->tasks[producer];
        ((uint32_t *)maker_task->outputs)[maker_task->num_outputs++] = id;
    }
}

static clv_workload *draw_workload(uint64_t seed) {
    maker m = {.workload = clv_alloc_zeroed(1, sizeof *m.workload)};
    uint32_t order[MOST_TENSORS];
    if (m.workload == NULL) {
        exit(2);
    }
    clv_random_init(&m.random, seed);
    clv_workload *workload = m.workload;
    clv_arena_init(&workload->arena, 0);
    workload->name = draw_name(&m, "network", 0);
    workload->hash = clv_hash_bytes(&seed, sizeof seed);
    workload->num_tasks = 1 + below(&m, MOST_TASKS);
    workload->num_tensors = workload->num_tasks + below(&m, MOST_TENSORS - workload->num_tasks + 1);
    workload->tasks = get(&m, workload->num_tasks, sizeof *workload->tasks);
    workload->tensors = get(&m, workload->num_tensors, sizeof *workload->tensors);
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        draw_task(&m, i, workload->num_tasks);
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) { /* one of each task, anywhere */
        const uint32_t other = below(&m, i + 1);
        order[i] = order[other];
        order[other] = i < workload->num_tasks ? i : CLV_NO_TASK;
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        draw_tensor(&m, i, order, workload->num_tasks);
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        clv_task *task = &workload->tasks[i];
        clv_task_split *splits = get(&m, 2, sizeof *splits);
        task->splits = splits;
        task->num_splits = below(&m, 3);
        for (uint32_t k = 0; k < task->num_splits; k++) {
            draw_split(&m, task, &splits[k]);
        }
    }
    return workload;
}

/* --- comparing --- */

#define SAME(member)                                          \
    do {                                                      \
        if (a->member != b->member) {                         \
            printf("'%s' differs in " #member "\n", a->name); \
            return false;                                     \
        }                                                     \
    } while (0)
#define SAME_TEXT(member)                                                      \
    do {                                                                       \
        if (strcmp(a->member, b->member) != 0) {                               \
            printf("'%s' is not '%s' in " #member "\n", a->member, b->member); \
            return false;                                                      \
        }                                                                      \
    } while (0)
#define SAME_LIST(member, count)                             \
    do {                                                     \
        SAME(count);                                         \
        for (int64_t at = 0; at < (int64_t)a->count; at++) { \
            SAME(member[at]);                                \
        }                                                    \
    } while (0)

static bool is_same_split(const clv_task_split *a, const clv_task_split *b, uint32_t num_inputs) {
    SAME_TEXT(name);
    SAME(join);
    SAME(axis);
    SAME(extent);
    SAME(grain);
    SAME(fixed_share);
    SAME(splits_weights);
    SAME(num_measured);
    for (uint32_t i = 0; i < a->num_measured; i++) {
        SAME(measured[i].share);
        SAME(measured[i].part);
    }
    for (uint32_t i = 0; i < num_inputs; i++) {
        SAME(inputs[i].need);
        if (a->inputs[i].need == CLV_TASK_SLICE) { /* else the rest says nothing */
            SAME(inputs[i].axis);
            SAME(inputs[i].num);
            SAME(inputs[i].den);
            SAME(inputs[i].before);
            SAME(inputs[i].after);
        }
    }
    return true;
}

static bool is_same_task(const clv_task *a, const clv_task *b) {
    SAME_TEXT(name);
    SAME_TEXT(type);
    SAME(num_aliases);
    for (uint32_t i = 0; i < a->num_aliases; i++) {
        SAME_TEXT(aliases[i]);
    }
    SAME(num_times);
    for (uint32_t i = 0; i < a->num_times; i++) {
        SAME_TEXT(times[i].where);
        SAME(times[i].time_us);
        SAME(times[i].origin);
        SAME(times[i].draws);
    }
    SAME(flops);
    SAME(traffic_bytes);
    SAME(weight_bytes);
    SAME(scratch_bytes);
    SAME_LIST(inputs, num_inputs);
    SAME_LIST(outputs, num_outputs);
    SAME(colocation);
    SAME(num_splits);
    for (uint32_t i = 0; i < a->num_splits; i++) {
        if (!is_same_split(&a->splits[i], &b->splits[i], a->num_inputs)) {
            return false;
        }
    }
    return true;
}

static bool is_same_tensor(const clv_task_tensor *a, const clv_task_tensor *b) {
    SAME_TEXT(name);
    SAME(bytes);
    SAME(resident);
    SAME(producer);
    SAME_LIST(consumers, num_consumers);
    SAME(is_output);
    SAME_LIST(dims, num_dims);
    return true;
}

static bool is_same(const clv_workload *a, const clv_workload *b) {
    SAME_TEXT(name);
    SAME(hash.low);
    SAME(hash.high);
    SAME(num_tasks);
    SAME(num_tensors);
    for (uint32_t i = 0; i < a->num_tasks; i++) {
        if (!is_same_task(&a->tasks[i], &b->tasks[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < a->num_tensors; i++) {
        if (!is_same_tensor(&a->tensors[i], &b->tensors[i])) {
            return false;
        }
    }
    return true;
}

static bool is_good(clv_status *status) {
    if (status != NULL) {
        printf("%s\n", clv_status_message(status));
        clv_status_destroy(status);
    }
    return status == NULL;
}

static bool check_case(uint64_t seed) {
    clv_workload *drawn = draw_workload(seed), *back = NULL;
    char *once = NULL, *twice = NULL;
    bool passes = is_good(clv_workload_verify(drawn)) &&
                  is_good(clv_workload_format_json(drawn, &once)) &&
                  is_good(clv_workload_parse_json("back", once, strlen(once), &back)) &&
                  is_same(drawn, back) && is_good(clv_workload_format_json(back, &twice));
    if (passes && strcmp(once, twice) != 0) {
        printf("the text differs\n");
        passes = false;
    }
    clv_free(once);
    clv_free(twice);
    clv_workload_destroy(drawn);
    clv_workload_destroy(back);
    return passes;
}

int main(int argc, char **argv) {
    const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    const uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 400;
    for (uint64_t i = 0; i < count; i++) {
        if (!check_case(first + i)) {
            printf("seed %llu\n", (unsigned long long)(first + i));
            return 1;
        }
    }
    printf("%llu workloads\n", (unsigned long long)count);
    return 0;
}
