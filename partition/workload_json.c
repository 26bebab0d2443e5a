/* Task graphs as JSON files; docs/tasks.md has the schema. */
#include "host/base/json.h"
#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "partition/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WHERE = 96 };
static const double max_bytes = 9007199254740992.0; /* 2^53: exact in a double */

/* An edge as the file has it. Edges of one task with the same bytes carry one tensor. */
typedef struct edge {
    uint32_t from, to; /* in the file's order of tasks */
    uint64_t bytes;
} edge;

typedef struct reader {
    clv_workload *workload;
    const cJSON **items; /* the tasks as JSON, in the file's order */
    clv_name_map names;  /* name to number in the file's order */
    edge *edges;
    uint32_t num_edges, num_tasks;
    uint32_t *position; /* of each task of the file in the workload */
    uint32_t *colocation;
} reader;

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a task graph")

static clv_status *get_number(
    const cJSON *object, const char *where, const char *key, double fallback, double *out_value) {
    *out_value = fallback;
    if (clv_json_find(object, key) == NULL) {
        return NULL;
    }
    return clv_json_get_number(object, where, key, 0, max_bytes, out_value);
}

/* Bytes are whole. */
static clv_status *get_bytes(
    const cJSON *object, const char *where, const char *key, uint64_t *out_bytes) {
    int64_t bytes = 0;
    if (clv_json_find(object, key) != NULL) {
        CLV_TRY(clv_json_get_int(object, where, key, 0, (int64_t)max_bytes, &bytes));
    }
    *out_bytes = (uint64_t)bytes;
    return NULL;
}

static clv_status *get_int(
    const cJSON *object, const char *where, const char *key, int64_t minimum, int64_t fallback,
    int64_t *out_value) {
    *out_value = fallback;
    if (clv_json_find(object, key) == NULL) {
        return NULL;
    }
    return clv_json_get_int(object, where, key, minimum, INT32_MAX, out_value);
}

/* --- tasks --- */

static bool read_origin(const char *word, clv_origin *out_origin) {
    static const char *const words[] = {"none", "estimated", "given", "measured"};
    for (int i = CLV_ORIGIN_ESTIMATED; i <= CLV_ORIGIN_MEASURED; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out_origin = (clv_origin)i;
            return true;
        }
    }
    return false;
}

/* A number, or an object with more about it. */
static clv_status *read_time(
    reader *r, const char *where, const char *unit, const cJSON *value, clv_task_time *out_time) {
    static const char *const keys[] = {"us", "draws", "origin"};
    char place[MAX_WHERE + 32];
    const char *origin = "given";
    snprintf(place, sizeof place, "%s.time_us", where);
    *out_time = (clv_task_time){
        .where = clv_arena_strdup(&r->workload->arena, unit), .origin = CLV_ORIGIN_GIVEN};
    if (out_time->where == NULL) {
        return NO_MEMORY_HERE();
    }
    if (cJSON_IsObject(value)) {
        CLV_TRY(clv_json_known_keys(value, place, keys, sizeof keys / sizeof keys[0]));
        CLV_TRY(get_number(value, place, "draws", 0, &out_time->draws));
        if (clv_json_find(value, "origin") != NULL) {
            CLV_TRY(clv_json_get_string(value, place, "origin", &origin));
        }
        value = clv_json_find(value, "us");
    }
    if (!read_origin(origin, &out_time->origin)) {
        return CLV_ERROR(
            MALFORMED, "%s.origin: '%s' is not estimated, given or measured", place, origin);
    }
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble) || value->valuedouble < 0) {
        return CLV_ERROR(MALFORMED, "%s: a time must be a number of at least 0", place);
    }
    out_time->time_us = value->valuedouble;
    return NULL;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each unit or kind once; there may be many. */
static clv_status *check_names(const cJSON *times, const char *where) {
    size_t count = 0;
    const cJSON *time;
    clv_status *status = NULL;
    const char **names = clv_alloc_zeroed((size_t)cJSON_GetArraySize(times) + 1, sizeof *names);
    if (names == NULL) {
        return NO_MEMORY_HERE();
    }
    cJSON_ArrayForEach(time, times) {
        names[count++] = time->string;
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count && status == NULL; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            status = CLV_ERROR(MALFORMED, "%s.time_us: '%s' stands there twice", where, names[i]);
        }
    }
    clv_free(names);
    return status;
}

static clv_status *read_times(reader *r, const cJSON *item, const char *where, clv_task *task) {
    const cJSON *times = clv_json_find(item, "time_us"), *time;
    if (times == NULL) {
        return NULL; /* then flops and traffic_bytes count */
    }
    bool is_map = cJSON_IsObject(times);
    uint32_t count = is_map ? (uint32_t)cJSON_GetArraySize(times) : 1;
    clv_task_time *list = clv_arena_alloc(&r->workload->arena, count + 1, sizeof *list);
    if (list == NULL) {
        return NO_MEMORY_HERE();
    }
    task->times = list;
    if (!is_map) {
        task->num_times = 1;
        return read_time(r, where, "*", times, &list[0]);
    }
    cJSON_ArrayForEach(time, times) {
        CLV_TRY(read_time(r, where, time->string, time, &list[task->num_times++]));
    }
    return check_names(times, where);
}

static clv_status *read_dims(
    reader *r, const cJSON *item, const char *where, const int64_t **out_dims, int32_t *out_count) {
    const cJSON *array, *dim;
    *out_count = 0;
    *out_dims = NULL;
    if (clv_json_find(item, "output_dims") == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_array(item, where, "output_dims", &array));
    int64_t *dims =
        clv_arena_alloc(&r->workload->arena, (size_t)cJSON_GetArraySize(array) + 1, sizeof *dims);
    if (dims == NULL) {
        return NO_MEMORY_HERE();
    }
    cJSON_ArrayForEach(dim, array) {
        bool is_good = cJSON_IsNumber(dim) && dim->valuedouble >= 1 &&
                       dim->valuedouble <= max_bytes && dim->valuedouble == floor(dim->valuedouble);
        if (!is_good) {
            return CLV_ERROR(
                MALFORMED, "%s.output_dims: must be whole numbers of at least 1", where);
        }
        dims[(*out_count)++] = (int64_t)dim->valuedouble;
    }
    *out_dims = dims;
    return NULL;
}

static clv_status *read_aliases(reader *r, const cJSON *item, const char *where, clv_task *task) {
    const cJSON *array, *alias;
    if (clv_json_find(item, "aliases") == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_array(item, where, "aliases", &array));
    const char **aliases = clv_arena_alloc(
        &r->workload->arena, (size_t)cJSON_GetArraySize(array) + 1, sizeof *aliases);
    if (aliases == NULL) {
        return NO_MEMORY_HERE();
    }
    task->aliases = aliases;
    cJSON_ArrayForEach(alias, array) {
        if (!cJSON_IsString(alias)) {
            return CLV_ERROR(MALFORMED, "%s.aliases: must be names", where);
        }
        aliases[task->num_aliases] = clv_arena_strdup(&r->workload->arena, alias->valuestring);
        if (aliases[task->num_aliases++] == NULL) {
            return NO_MEMORY_HERE();
        }
    }
    return NULL;
}

static clv_status *read_task(reader *r, const cJSON *item, const char *where, clv_task *task) {
    static const char *const keys[] = {"name",         "type",         "time_us",       "flops",
                                       "memory_bytes", "output_bytes", "traffic_bytes", "splits",
                                       "output_dims",  "aliases"};
    const char *name, *type = "Op";
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "name", &name));
    if (clv_json_find(item, "type") != NULL) {
        CLV_TRY(clv_json_get_string(item, where, "type", &type));
    }
    task->name = clv_arena_strdup(&r->workload->arena, name);
    task->type = clv_arena_strdup(&r->workload->arena, type);
    if (task->name == NULL || task->type == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY(read_aliases(r, item, where, task));
    CLV_TRY(read_times(r, item, where, task));
    CLV_TRY(get_number(item, where, "flops", 0, &task->flops));
    CLV_TRY(get_number(item, where, "traffic_bytes", 0, &task->traffic_bytes));
    return get_bytes(item, where, "memory_bytes", &task->weight_bytes);
}

/* --- order --- */

static int compare_edges(const void *a, const void *b) {
    const edge *x = a, *y = b;
    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1; /* the largest part first: it carries the residency */
    }
    return x->to < y->to ? -1 : x->to > y->to;
}

static clv_status *read_edges(reader *r, const cJSON *root) {
    static const char *const keys[] = {"from", "to", "bytes"};
    const cJSON *array = NULL, *item;
    bool has_edges = clv_json_find(root, "edges") != NULL;
    if (has_edges) {
        CLV_TRY(clv_json_get_array(root, "task graph", "edges", &array));
    }
    size_t count = has_edges ? (size_t)cJSON_GetArraySize(array) : 0;
    r->edges = clv_alloc_zeroed(count + 1, sizeof *r->edges);
    if (r->edges == NULL) {
        return NO_MEMORY_HERE();
    }
    cJSON_ArrayForEach(item, array) {
        char where[MAX_WHERE];
        const char *words[2];
        edge *e = &r->edges[r->num_edges];
        snprintf(where, sizeof where, "edges[%u]", r->num_edges++);
        CLV_TRY(clv_json_known_keys(item, where, keys, 3));
        for (int i = 0; i < 2; i++) {
            CLV_TRY(clv_json_get_string(item, where, keys[i], &words[i]));
            const uint32_t *task = clv_name_map_find(&r->names, words[i]);
            if (task == NULL) {
                return CLV_ERROR(
                    MALFORMED, "%s.%s: there is no task '%s'", where, keys[i], words[i]);
            }
            *(i == 0 ? &e->from : &e->to) = *task;
        }
        if (e->from == e->to) {
            return CLV_ERROR(MALFORMED, "%s: task '%s' depends on itself", where, words[0]);
        }
        CLV_TRY(get_bytes(item, where, "bytes", &e->bytes));
    }
    return NULL;
}

/* Kahn's algorithm over a heap of file positions: the file's order is kept where it can be. */
typedef struct ready_heap {
    uint32_t *items, count;
} ready_heap;

static void heap_push(ready_heap *heap, uint32_t value) {
    uint32_t at = heap->count++;
    for (; at > 0 && value < heap->items[(at - 1) / 2]; at = (at - 1) / 2) {
        heap->items[at] = heap->items[(at - 1) / 2];
    }
    heap->items[at] = value;
}

static uint32_t heap_pop(ready_heap *heap) {
    uint32_t top = heap->items[0], last = heap->items[--heap->count], at = 0;
    while (2 * at + 1 < heap->count) {
        uint32_t child = 2 * at + 1;
        child += child + 1 < heap->count && heap->items[child + 1] < heap->items[child];
        if (last <= heap->items[child]) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return top;
}

/* Edges are sorted by `from`; `starts` has where each task's begin. */
static clv_status *order_tasks(reader *r) {
    uint32_t *starts = clv_alloc_zeroed((size_t)r->num_tasks + 2, sizeof *starts);
    uint32_t *waits = clv_alloc_zeroed((size_t)r->num_tasks + 1, sizeof *waits);
    ready_heap heap = {.items = clv_alloc_zeroed((size_t)r->num_tasks + 1, sizeof *heap.items)};
    uint32_t num_done = 0;
    clv_status *status = NULL;
    if (starts == NULL || waits == NULL || heap.items == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    for (uint32_t i = 0; i < r->num_edges; i++) {
        starts[r->edges[i].from + 1]++;
        waits[r->edges[i].to]++;
    }
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        starts[i + 1] += starts[i];
        r->position[i] = CLV_NO_TASK;
        if (waits[i] == 0) {
            heap_push(&heap, i);
        }
    }
    while (heap.count > 0) {
        uint32_t task = heap_pop(&heap);
        r->position[task] = num_done++;
        for (uint32_t i = starts[task]; i < starts[task + 1]; i++) {
            if (--waits[r->edges[i].to] == 0) {
                heap_push(&heap, r->edges[i].to);
            }
        }
    }
    for (uint32_t i = 0; num_done < r->num_tasks && i < r->num_tasks; i++) {
        if (r->position[i] == CLV_NO_TASK) {
            status = CLV_ERROR(
                MALFORMED, "the task graph has a cycle through task '%s' or before it",
                r->items[i]->child != NULL ? cJSON_GetObjectItem(r->items[i], "name")->valuestring
                                           : "");
            break;
        }
    }
done:
    clv_free(starts);
    clv_free(waits);
    clv_free(heap.items);
    return status;
}

/* --- tensors --- */

static int compare_ids(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static clv_status *add_consumers(reader *r, const edge *edges, uint32_t count, uint32_t tensor_id) {
    clv_task_tensor *tensor = &r->workload->tensors[tensor_id];
    uint32_t *ids = clv_arena_alloc(&r->workload->arena, (size_t)count + 1, sizeof *ids);
    if (ids == NULL) {
        return NO_MEMORY_HERE();
    }
    tensor->consumers = ids;
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = r->position[edges[i].to];
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || ids[i] != ids[i - 1]) { /* else the same edge twice */
            ids[tensor->num_consumers++] = ids[i];
        }
    }
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        r->workload->tasks[ids[i]].num_inputs++; /* filled in by link_inputs */
    }
    return NULL;
}

/* The tensors of one task: one for each distinct number of bytes; a task without edges makes an
 * output. */
static clv_status *add_tensors(reader *r, uint32_t file_task, const edge *edges, uint32_t count) {
    char where[MAX_WHERE];
    clv_workload *workload = r->workload;
    uint32_t task_id = r->position[file_task], first = workload->num_tensors;
    clv_task *task = &workload->tasks[task_id];
    const int64_t *dims;
    int32_t rank;
    uint64_t resident = 0;
    snprintf(where, sizeof where, "tasks[%u]", file_task);
    CLV_TRY(get_bytes(r->items[file_task], where, "output_bytes", &resident));
    CLV_TRY(read_dims(r, r->items[file_task], where, &dims, &rank));
    uint32_t begin = 0;
    do {
        uint32_t end = begin;
        while (end < count && edges[end].bytes == edges[begin].bytes) {
            end++;
        }
        uint32_t id = workload->num_tensors++;
        clv_task_tensor *tensor = &workload->tensors[id];
        *tensor = (clv_task_tensor){
            .name = id == first
                        ? task->name
                        : clv_arena_printf(&workload->arena, "%s#%u", task->name, id - first + 1),
            .bytes = count > 0 ? edges[begin].bytes : 0,
            .resident = id == first ? resident : 0,
            .producer = task_id,
            .is_output = count == 0,
            .num_dims = rank,
            .dims = dims};
        if (tensor->name == NULL) {
            return NO_MEMORY_HERE();
        }
        CLV_TRY(add_consumers(r, edges + begin, end - begin, id));
        begin = end;
    } while (begin < count);
    task->num_outputs = workload->num_tensors - first;
    uint32_t *outputs = clv_arena_alloc(&workload->arena, task->num_outputs + 1, sizeof *outputs);
    if (outputs == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < task->num_outputs; i++) {
        outputs[i] = first + i;
    }
    task->outputs = outputs;
    return NULL;
}

/* Inputs of every task, from the consumers of every tensor. */
static clv_status *link_inputs(clv_workload *workload) {
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        clv_task *task = &workload->tasks[i];
        task->inputs = clv_arena_alloc(&workload->arena, task->num_inputs + 1, sizeof(uint32_t));
        if (task->inputs == NULL) {
            return NO_MEMORY_HERE();
        }
        task->num_inputs = 0;
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        const clv_task_tensor *tensor = &workload->tensors[i];
        for (uint32_t k = 0; k < tensor->num_consumers; k++) {
            clv_task *task = &workload->tasks[tensor->consumers[k]];
            ((uint32_t *)task->inputs)[task->num_inputs++] = i;
        }
    }
    return NULL;
}

static clv_status *make_tensors(reader *r) {
    size_t most = (size_t)r->num_edges + r->num_tasks + 1;
    r->workload->tensors = clv_arena_alloc(&r->workload->arena, most, sizeof(clv_task_tensor));
    if (r->workload->tensors == NULL) {
        return NO_MEMORY_HERE();
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        uint32_t begin = at;
        while (at < r->num_edges && r->edges[at].from == i) {
            at++;
        }
        CLV_TRY(add_tensors(r, i, r->edges + begin, at - begin));
    }
    return link_inputs(r->workload);
}

/* --- splits --- */

static clv_status *read_split_input(
    reader *r, const cJSON *item, const char *where, clv_task_split_input *out_input) {
    static const char *const keys[] = {"need", "axis", "num", "den", "before", "after"};
    const char *need;
    int64_t axis;
    (void)r;
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "need", &need));
    if (strcmp(need, "whole") == 0) {
        return NULL;
    }
    if (strcmp(need, "slice") != 0) {
        return CLV_ERROR(MALFORMED, "%s.need: '%s' is not whole or slice", where, need);
    }
    out_input->need = CLV_TASK_SLICE;
    CLV_TRY(clv_json_get_int(item, where, "axis", 0, 63, &axis));
    out_input->axis = (int32_t)axis;
    CLV_TRY(get_int(item, where, "num", 1, 1, &out_input->num));
    CLV_TRY(get_int(item, where, "den", 1, 1, &out_input->den));
    CLV_TRY(get_int(item, where, "before", 0, 0, &out_input->before));
    return get_int(item, where, "after", -INT32_MAX, 0, &out_input->after);
}

/* "inputs": {"producer": {...}}; a producer that is not named is needed whole. */
static clv_status *read_split_inputs(
    reader *r, const clv_task *task, const cJSON *map, const char *where,
    clv_task_split_input *inputs) {
    const cJSON *item;
    for (uint32_t i = 0; i < task->num_inputs; i++) {
        inputs[i] = (clv_task_split_input){.num = 1, .den = 1};
    }
    if (map != NULL && !cJSON_IsObject(map)) {
        return CLV_ERROR(MALFORMED, "%s.inputs: must be an object", where);
    }
    cJSON_ArrayForEach(item, map) {
        bool is_known = false;
        if (cJSON_GetObjectItemCaseSensitive(map, item->string) != item) {
            return CLV_ERROR(MALFORMED, "%s.inputs: '%s' stands there twice", where, item->string);
        }
        for (uint32_t i = 0; i < task->num_inputs; i++) {
            const clv_task_tensor *tensor = &r->workload->tensors[task->inputs[i]];
            if (strcmp(r->workload->tasks[tensor->producer].name, item->string) == 0) {
                CLV_TRY(read_split_input(r, item, where, &inputs[i]));
                is_known = true;
            }
        }
        if (!is_known) {
            return CLV_ERROR(
                MALFORMED, "%s.inputs: no edge leads from '%s' to '%s'", where, item->string,
                task->name);
        }
    }
    return NULL;
}

/* "measured": [{"share": 0.5, "part": 0.6}]; what they must be is verified with the rest. */
static clv_status *read_pieces(
    reader *r, const cJSON *item, const char *where, clv_task_split *split) {
    static const char *const keys[] = {"share", "part"};
    const cJSON *array, *piece;
    if (clv_json_find(item, "measured") == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_array(item, where, "measured", &array));
    clv_task_piece *pieces =
        clv_arena_alloc(&r->workload->arena, (size_t)cJSON_GetArraySize(array) + 1, sizeof *pieces);
    if (pieces == NULL) {
        return NO_MEMORY_HERE();
    }
    split->measured = pieces;
    cJSON_ArrayForEach(piece, array) {
        char place[MAX_WHERE + 32];
        clv_task_piece *out = &pieces[split->num_measured];
        snprintf(place, sizeof place, "%s.measured[%u]", where, split->num_measured++);
        CLV_TRY(clv_json_known_keys(piece, place, keys, 2));
        CLV_TRY(clv_json_get_number(piece, place, "share", 0, 1, &out->share));
        CLV_TRY(clv_json_get_number(piece, place, "part", 0, max_bytes, &out->part));
    }
    return NULL;
}

/* A cut of the output has as many positions as the output, where its dimensions are given. */
static clv_status *check_extent(
    const reader *r, const clv_task *task, const clv_task_split *split, const char *where) {
    const clv_task_tensor *output = &r->workload->tensors[task->outputs[0]];
    if (split->axis < 0 || output->num_dims == 0) {
        return NULL;
    }
    if (split->axis >= output->num_dims) {
        return CLV_ERROR(
            MALFORMED, "%s.axis is %d, the output_dims of task '%s' have %d", where, split->axis,
            task->name, output->num_dims);
    }
    if (split->extent != output->dims[split->axis]) {
        return CLV_ERROR(
            MALFORMED,
            "%s.extent is %lld, output_dims[%d] of task '%s' is %lld: they must be equal", where,
            (long long)split->extent, split->axis, task->name,
            (long long)output->dims[split->axis]);
    }
    return NULL;
}

static clv_status *read_split(
    reader *r, const clv_task *task, const cJSON *item, const char *where, clv_task_split *split) {
    static const char *const keys[] = {"name",           "join",   "axis",
                                       "extent",         "grain",  "fixed_share",
                                       "splits_weights", "inputs", "measured"};
    const char *name, *join = "place";
    int64_t axis;
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "name", &name));
    if (clv_json_find(item, "join") != NULL) {
        CLV_TRY(clv_json_get_string(item, where, "join", &join));
    }
    bool is_sum = strcmp(join, "sum") == 0;
    if (!is_sum && strcmp(join, "place") != 0) {
        return CLV_ERROR(MALFORMED, "%s.join: '%s' is not place or sum", where, join);
    }
    split->join = is_sum ? CLV_TASK_SUM : CLV_TASK_PLACE;
    split->name = clv_arena_strdup(&r->workload->arena, name);
    CLV_TRY(get_int(item, where, "axis", 0, 0, &axis));
    split->axis = is_sum ? -1 : (int32_t)axis;
    CLV_TRY(clv_json_get_int(item, where, "extent", 1, INT32_MAX, &split->extent));
    CLV_TRY(get_int(item, where, "grain", 1, 1, &split->grain));
    CLV_TRY(get_number(item, where, "fixed_share", 0, &split->fixed_share));
    const cJSON *splits_weights = clv_json_find(item, "splits_weights");
    if (splits_weights != NULL && !cJSON_IsBool(splits_weights)) {
        return CLV_ERROR(MALFORMED, "%s.splits_weights: must be true or false", where);
    }
    split->splits_weights = cJSON_IsTrue(splits_weights);
    CLV_TRY(check_extent(r, task, split, where));
    CLV_TRY(read_pieces(r, item, where, split));
    clv_task_split_input *inputs =
        clv_arena_alloc(&r->workload->arena, task->num_inputs + 1, sizeof *inputs);
    if (inputs == NULL || split->name == NULL) {
        return NO_MEMORY_HERE();
    }
    split->inputs = inputs;
    return read_split_inputs(r, task, clv_json_find(item, "inputs"), where, inputs);
}

static clv_status *read_splits(reader *r, uint32_t file_task) {
    clv_task *task = &r->workload->tasks[r->position[file_task]];
    const cJSON *array, *item, *owner = r->items[file_task];
    char where[MAX_WHERE];
    snprintf(where, sizeof where, "tasks[%u]", file_task);
    if (clv_json_find(owner, "splits") == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_array(owner, where, "splits", &array));
    clv_task_split *splits =
        clv_arena_alloc(&r->workload->arena, (size_t)cJSON_GetArraySize(array) + 1, sizeof *splits);
    if (splits == NULL) {
        return NO_MEMORY_HERE();
    }
    task->splits = splits;
    cJSON_ArrayForEach(item, array) {
        snprintf(where, sizeof where, "tasks[%u].splits[%u]", file_task, task->num_splits);
        CLV_TRY(read_split(r, task, item, where, &splits[task->num_splits++]));
    }
    return NULL;
}

/* --- the whole --- */

static clv_status *list_tasks(reader *r, const cJSON *root) {
    const cJSON *array, *item;
    CLV_TRY(clv_json_get_array(root, "task graph", "tasks", &array));
    size_t count = (size_t)cJSON_GetArraySize(array);
    r->items = clv_alloc_zeroed(count + 1, sizeof *r->items);
    r->position = clv_alloc_zeroed(count + 1, sizeof *r->position);
    r->colocation = clv_alloc_zeroed(count + 1, sizeof *r->colocation);
    if (r->items == NULL || r->position == NULL || r->colocation == NULL) {
        return NO_MEMORY_HERE();
    }
    cJSON_ArrayForEach(item, array) {
        char where[MAX_WHERE];
        const char *name;
        snprintf(where, sizeof where, "tasks[%u]", r->num_tasks);
        if (!cJSON_IsObject(item)) {
            return CLV_ERROR(MALFORMED, "%s: must be an object", where);
        }
        CLV_TRY(clv_json_get_string(item, where, "name", &name));
        if (clv_name_map_find(&r->names, name) != NULL) {
            return CLV_ERROR(MALFORMED, "%s: a second task named '%s'", where, name);
        }
        if (!clv_name_map_set(&r->names, name, r->num_tasks)) {
            return NO_MEMORY_HERE();
        }
        r->items[r->num_tasks++] = item;
    }
    return NULL;
}

static uint32_t find_root(uint32_t *parents, uint32_t i) {
    while (parents[i] != i) {
        parents[i] = parents[parents[i]];
        i = parents[i];
    }
    return i;
}

/* Groups that share a task are one group. Numbers count from 1 in the file's order. */
static clv_status *read_colocation(reader *r, const cJSON *root) {
    const cJSON *groups, *group, *item;
    uint32_t index = 0;
    if (clv_json_find(root, "colocate") == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_array(root, "task graph", "colocate", &groups));
    uint32_t *parents = r->colocation;
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        parents[i] = i;
    }
    cJSON_ArrayForEach(group, groups) {
        const uint32_t *first = NULL;
        if (!cJSON_IsArray(group)) {
            return CLV_ERROR(MALFORMED, "colocate[%u]: must be an array of tasks' names", index);
        }
        cJSON_ArrayForEach(item, group) {
            const uint32_t *task =
                cJSON_IsString(item) ? clv_name_map_find(&r->names, item->valuestring) : NULL;
            if (task == NULL) {
                return CLV_ERROR(
                    MALFORMED, "colocate[%u]: there is no task '%s'", index,
                    cJSON_IsString(item) ? item->valuestring : "?");
            }
            if (first != NULL) {
                uint32_t a = find_root(parents, *first), b = find_root(parents, *task);
                parents[a > b ? a : b] = a < b ? a : b;
            }
            first = task;
        }
        index++;
    }
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        uint32_t root_task = find_root(parents, i);
        if (root_task != i) {
            r->workload->tasks[r->position[i]].colocation = root_task + 1;
            r->workload->tasks[r->position[root_task]].colocation = root_task + 1;
        }
    }
    return NULL;
}

static clv_status *read_root(reader *r, const cJSON *root) {
    static const char *const keys[] = {"tasks", "edges", "colocate", "name"};
    if (!cJSON_IsObject(root)) {
        return CLV_ERROR(MALFORMED, "a task graph must be a JSON object");
    }
    CLV_TRY(clv_json_known_keys(root, "task graph", keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(list_tasks(r, root));
    CLV_TRY(read_edges(r, root));
    if (r->num_edges > 1) {
        qsort(r->edges, r->num_edges, sizeof *r->edges, compare_edges);
    }
    CLV_TRY(order_tasks(r));
    clv_workload *workload = r->workload;
    workload->tasks = clv_arena_alloc(&workload->arena, (size_t)r->num_tasks + 1, sizeof(clv_task));
    if (workload->tasks == NULL) {
        return NO_MEMORY_HERE();
    }
    workload->num_tasks = r->num_tasks;
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        char where[MAX_WHERE];
        snprintf(where, sizeof where, "tasks[%u]", i);
        CLV_TRY(read_task(r, r->items[i], where, &workload->tasks[r->position[i]]));
    }
    CLV_TRY(make_tensors(r));
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        CLV_TRY(read_splits(r, i));
    }
    return read_colocation(r, root);
}

clv_status *clv_workload_parse_json(
    const char *what, const char *json, size_t length, clv_workload **out_workload) {
    reader r = {.workload = clv_alloc_zeroed(1, sizeof *r.workload)};
    cJSON *root = NULL;
    clv_status *status = NULL;
    *out_workload = NULL;
    clv_name_map_init(&r.names);
    if (r.workload == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_arena_init(&r.workload->arena, 0);
    r.workload->hash = clv_hash_bytes(json, length);
    r.workload->name = clv_arena_strdup(&r.workload->arena, what);
    if (r.workload->name == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    CLV_TRY_DONE(clv_json_parse(NULL, json, length, &root));
    CLV_TRY_DONE(read_root(&r, root));
    CLV_TRY_DONE(clv_workload_verify(r.workload));
    *out_workload = r.workload;
    r.workload = NULL;
done:
    clv_workload_destroy(r.workload);
    clv_name_map_deinit(&r.names);
    clv_free(r.items);
    clv_free(r.position);
    clv_free(r.colocation);
    clv_free(r.edges);
    cJSON_Delete(root);
    return status == NULL ? NULL : clv_status_prefix(status, "task graph '%s'", what);
}
