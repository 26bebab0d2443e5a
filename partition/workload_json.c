/* Task graphs from JSON files; docs/tasks.md has the schema. */
#include "partition/workload_json.h"

#include "host/base/memory.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

clv_status *clv_tasks_get_number(
    const cJSON *object, const char *where, const char *key, double fallback, double *out_value) {
    *out_value = fallback;
    if (clv_json_find(object, key) == NULL) {
        return NULL;
    }
    return clv_json_get_number(object, where, key, 0, DBL_MAX, out_value);
}

clv_status *clv_tasks_get_int(
    const cJSON *object, const char *where, const char *key, int64_t minimum, int64_t fallback,
    int64_t *out_value) {
    *out_value = fallback;
    if (clv_json_find(object, key) == NULL) {
        return NULL;
    }
    return clv_json_get_int(object, where, key, minimum, CLV_JSON_MOST_INTEGER, out_value);
}

clv_status *clv_tasks_get_bool(
    const cJSON *object, const char *where, const char *key, bool fallback, bool *out_value) {
    const cJSON *item = clv_json_find(object, key);
    *out_value = item == NULL ? fallback : cJSON_IsTrue(item);
    return item == NULL || cJSON_IsBool(item)
               ? NULL
               : CLV_ERROR(MALFORMED, "%s.%s: must be true or false", where, key);
}

clv_status *clv_tasks_get_list(
    clv_tasks_reader *r, const cJSON *object, const char *where, const char *key,
    size_t element_bytes, const cJSON **out_array, void **out_elements) {
    *out_array = NULL;
    *out_elements = NULL;
    if (clv_json_find(object, key) == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_array(object, where, key, out_array));
    *out_elements = clv_arena_alloc(
        &r->workload->arena, (size_t)cJSON_GetArraySize(*out_array) + 1, element_bytes);
    return *out_elements != NULL ? NULL : CLV_TASKS_NO_MEMORY();
}

static clv_status *copy_string(clv_tasks_reader *r, const char *string, const char **out_copy) {
    *out_copy = clv_arena_strdup(&r->workload->arena, string);
    return *out_copy != NULL ? NULL : CLV_TASKS_NO_MEMORY();
}

/* --- tasks --- */

static bool read_origin(const char *word, clv_origin *out_origin) {
    for (int i = CLV_ORIGIN_ESTIMATED; i <= CLV_ORIGIN_MEASURED; i++) {
        if (strcmp(word, clv_origin_name((clv_origin)i)) == 0) {
            *out_origin = (clv_origin)i;
            return true;
        }
    }
    return false;
}

/* A number, null where it cannot run, or an object with more about it. */
static clv_status *read_time(
    clv_tasks_reader *r, const char *task_place, const char *unit, const cJSON *value,
    clv_task_time *out_time) {
    static const char *const keys[] = {"us", "draws", "origin"};
    char where[CLV_TASKS_WHERE + 32];
    const char *origin = "given";
    snprintf(where, sizeof where, "%s.time_us", task_place);
    *out_time = (clv_task_time){.time_us = INFINITY, .origin = CLV_ORIGIN_GIVEN};
    CLV_TRY(copy_string(r, unit, &out_time->where));
    if (cJSON_IsObject(value)) {
        CLV_TRY(clv_json_known_keys(value, where, keys, sizeof keys / sizeof keys[0]));
        CLV_TRY(clv_tasks_get_number(value, where, "draws", 0, &out_time->draws));
        if (clv_json_find(value, "origin") != NULL) {
            CLV_TRY(clv_json_get_string(value, where, "origin", &origin));
        }
        value = clv_json_find(value, "us");
    }
    if (!read_origin(origin, &out_time->origin)) {
        return CLV_ERROR(
            MALFORMED, "%s.origin: '%s' is not estimated, given or measured", where, origin);
    }
    if (cJSON_IsNull(value)) {
        return NULL;
    }
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble) || value->valuedouble < 0) {
        return CLV_ERROR(MALFORMED, "%s: a time must be a number of at least 0, or null", where);
    }
    out_time->time_us = value->valuedouble;
    return NULL;
}

static clv_status *read_times(
    clv_tasks_reader *r, const cJSON *item, const char *where, clv_task *task) {
    const cJSON *times = clv_json_find(item, "time_us"), *time;
    if (times == NULL) {
        return NULL; /* then flops and traffic_bytes count */
    }
    bool is_map = cJSON_IsObject(times);
    uint32_t count = is_map ? (uint32_t)cJSON_GetArraySize(times) : 1;
    clv_task_time *list = clv_arena_alloc(&r->workload->arena, count + 1, sizeof *list);
    if (list == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    task->times = list;
    if (!is_map) {
        task->num_times = 1;
        return read_time(r, where, "*", times, &list[0]);
    }
    if (count == 0) {
        return CLV_ERROR(
            MALFORMED,
            "%s.time_us names no unit, none could run the task; left out, its time is estimated",
            where);
    }
    cJSON_ArrayForEach(time, times) {
        CLV_TRY(read_time(r, where, time->string, time, &list[task->num_times++]));
    }
    return NULL;
}

static clv_status *read_aliases(
    clv_tasks_reader *r, const cJSON *item, const char *where, clv_task *task) {
    const cJSON *array, *alias;
    void *elements;
    CLV_TRY(clv_tasks_get_list(r, item, where, "aliases", sizeof(char *), &array, &elements));
    const char **aliases = elements;
    task->aliases = aliases;
    cJSON_ArrayForEach(alias, array) {
        if (!cJSON_IsString(alias)) {
            return CLV_ERROR(MALFORMED, "%s.aliases: must be names", where);
        }
        CLV_TRY(copy_string(r, alias->valuestring, &aliases[task->num_aliases++]));
    }
    return NULL;
}

static clv_status *read_task(
    clv_tasks_reader *r, const cJSON *item, const char *where, clv_task *task) {
    static const char *const keys[] = {"name",         "type",         "time_us",       "flops",
                                       "memory_bytes", "output_bytes", "traffic_bytes", "splits",
                                       "output_dims",  "aliases",      "scratch_bytes"};
    const char *name, *type = "Op";
    int64_t weight_bytes, scratch_bytes;
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "name", &name));
    if (clv_json_find(item, "type") != NULL) {
        CLV_TRY(clv_json_get_string(item, where, "type", &type));
    }
    CLV_TRY(copy_string(r, name, &task->name));
    CLV_TRY(copy_string(r, type, &task->type));
    CLV_TRY(read_aliases(r, item, where, task));
    CLV_TRY(read_times(r, item, where, task));
    CLV_TRY(clv_tasks_get_number(item, where, "flops", 0, &task->flops));
    CLV_TRY(clv_tasks_get_number(item, where, "traffic_bytes", 0, &task->traffic_bytes));
    CLV_TRY(clv_tasks_get_int(item, where, "memory_bytes", 0, 0, &weight_bytes));
    CLV_TRY(clv_tasks_get_int(item, where, "scratch_bytes", 0, 0, &scratch_bytes));
    task->weight_bytes = (uint64_t)weight_bytes;
    task->scratch_bytes = (uint64_t)scratch_bytes;
    return NULL;
}

/* --- order --- */

static int compare_edges(const void *a, const void *b) {
    const clv_tasks_edge *x = a, *y = b;
    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    if (x->is_named != y->is_named) {
        return x->is_named ? -1 : 1;
    }
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1; /* the largest part first: it carries the residency */
    }
    return x->to < y->to ? -1 : x->to > y->to;
}

static clv_status *find_task(
    const clv_tasks_reader *r, const char *where, const cJSON *name, uint32_t *out_task) {
    const uint32_t *task =
        cJSON_IsString(name) ? clv_name_map_find(&r->names, name->valuestring) : NULL;
    if (task == NULL) {
        return CLV_ERROR(
            MALFORMED, "%s: there is no task '%s'", where,
            cJSON_IsString(name) ? name->valuestring : "?");
    }
    *out_task = *task;
    return NULL;
}

static clv_status *add_edge(
    clv_tasks_reader *r, const char *where, const clv_tasks_edge *edge, const cJSON *to) {
    char place[CLV_TASKS_WHERE + 8];
    clv_tasks_edge *e = &r->edges[r->num_edges++];
    *e = *edge;
    snprintf(place, sizeof place, "%s.to", where);
    CLV_TRY(find_task(r, place, to, &e->to));
    if (e->from == e->to) {
        return CLV_ERROR(MALFORMED, "%s: task '%s' depends on itself", where, to->valuestring);
    }
    return NULL;
}

/* "to" may be a list, or left out, where "tensor" names what goes there. */
static clv_status *read_edge(clv_tasks_reader *r, const cJSON *item, const char *where) {
    static const char *const keys[] = {"from",   "to",           "bytes", "tensor",
                                       "output", "memory_bytes", "dims"};
    char place[CLV_TASKS_WHERE + 8];
    const char *word;
    const cJSON *from = clv_json_find(item, "from"), *to = clv_json_find(item, "to"), *one;
    const bool is_named = clv_json_find(item, "tensor") != NULL;
    clv_tasks_edge edge = {.from = CLV_NO_TASK, .is_named = is_named};
    int64_t bytes;
    CLV_TRY(clv_json_known_keys(item, where, keys, is_named ? 7 : 3));
    if (from != NULL || !is_named) {
        CLV_TRY(clv_json_get_string(item, where, "from", &word));
        snprintf(place, sizeof place, "%s.from", where);
        CLV_TRY(find_task(r, place, from, &edge.from));
    }
    CLV_TRY(clv_tasks_get_int(item, where, "bytes", 0, 0, &bytes));
    edge.bytes = (uint64_t)bytes;
    if (is_named) {
        r->named[r->num_named++] = (clv_tasks_tensor){.item = item, .from = edge.from};
    }
    if (is_named && cJSON_IsArray(to)) {
        cJSON_ArrayForEach(one, to) {
            CLV_TRY(add_edge(r, where, &edge, one));
        }
        return NULL;
    }
    if (is_named && to == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_string(item, where, "to", &word));
    return add_edge(r, where, &edge, to);
}

static clv_status *read_edges(clv_tasks_reader *r, const cJSON *root) {
    const cJSON *array = NULL, *item;
    size_t count = 0, num_edges = 0;
    if (clv_json_find(root, "edges") != NULL) {
        CLV_TRY(clv_json_get_array(root, "task graph", "edges", &array));
    }
    cJSON_ArrayForEach(item, array) {
        const cJSON *to = clv_json_find(item, "to");
        num_edges += cJSON_IsArray(to) ? (size_t)cJSON_GetArraySize(to) : 1;
        count++;
    }
    r->edges = clv_alloc_zeroed(num_edges + 1, sizeof *r->edges);
    r->named = clv_alloc_zeroed(count + 1, sizeof *r->named);
    if (r->edges == NULL || r->named == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    count = 0;
    cJSON_ArrayForEach(item, array) {
        char where[CLV_TASKS_WHERE];
        snprintf(where, sizeof where, "edges[%zu]", count++);
        CLV_TRY(read_edge(r, item, where));
    }
    if (r->num_edges > 1) {
        qsort(r->edges, r->num_edges, sizeof *r->edges, compare_edges);
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

/* Edges are sorted by `from`, those without one last; `starts` has where each task's begin. */
static clv_status *order_tasks(clv_tasks_reader *r) {
    uint32_t *starts = clv_alloc_zeroed((size_t)r->num_tasks + 2, sizeof *starts);
    uint32_t *waits = clv_alloc_zeroed((size_t)r->num_tasks + 1, sizeof *waits);
    ready_heap heap = {.items = clv_alloc_zeroed((size_t)r->num_tasks + 1, sizeof *heap.items)};
    uint32_t num_done = 0;
    clv_status *status = NULL;
    if (starts == NULL || waits == NULL || heap.items == NULL) {
        status = CLV_TASKS_NO_MEMORY();
        goto done;
    }
    for (uint32_t i = 0; i < r->num_edges && r->edges[i].from != CLV_NO_TASK; i++) {
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
            const char *name = cJSON_GetStringValue(clv_json_find(r->items[i], "name"));
            status = CLV_ERROR(
                MALFORMED, "the task graph has a cycle through task '%s' or before it",
                name != NULL ? name : "");
            break;
        }
    }
done:
    clv_free(starts);
    clv_free(waits);
    clv_free(heap.items);
    return status;
}

/* --- the whole --- */

static clv_status *list_tasks(clv_tasks_reader *r, const cJSON *root) {
    const cJSON *array, *item;
    CLV_TRY(clv_json_get_array(root, "task graph", "tasks", &array));
    size_t count = (size_t)cJSON_GetArraySize(array);
    r->items = clv_alloc_zeroed(count + 1, sizeof *r->items);
    r->position = clv_alloc_zeroed(count + 1, sizeof *r->position);
    r->group = clv_alloc_zeroed(count + 1, sizeof *r->group);
    if (r->items == NULL || r->position == NULL || r->group == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    cJSON_ArrayForEach(item, array) {
        char where[CLV_TASKS_WHERE];
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
            return CLV_TASKS_NO_MEMORY();
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

/* Groups that share a task are one group, which has the number of its first task in the workload,
 * counted from 1. */
static clv_status *read_colocation(clv_tasks_reader *r, const cJSON *root) {
    const cJSON *groups = NULL, *group, *item;
    uint32_t *parents = r->group, index = 0;
    if (clv_json_find(root, "colocate") != NULL) {
        CLV_TRY(clv_json_get_array(root, "task graph", "colocate", &groups));
    }
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        parents[i] = CLV_NO_TASK;
    }
    cJSON_ArrayForEach(group, groups) {
        char where[CLV_TASKS_WHERE];
        uint32_t first = CLV_NO_TASK, task = 0;
        snprintf(where, sizeof where, "colocate[%u]", index++);
        if (!cJSON_IsArray(group)) {
            return CLV_ERROR(MALFORMED, "%s: must be an array of tasks' names", where);
        }
        cJSON_ArrayForEach(item, group) {
            CLV_TRY(find_task(r, where, item, &task));
            task = r->position[task];
            parents[task] = parents[task] == CLV_NO_TASK ? task : parents[task];
            first = first == CLV_NO_TASK ? task : first;
            uint32_t a = find_root(parents, first), b = find_root(parents, task);
            parents[a > b ? a : b] = a < b ? a : b;
        }
    }
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        bool is_free = parents[i] == CLV_NO_TASK;
        r->workload->tasks[i].colocation = is_free ? 0 : find_root(parents, i) + 1;
    }
    return NULL;
}

/* What a file that was written says of where it is from. */
static clv_status *read_identity(clv_tasks_reader *r, const cJSON *root) {
    const char *word;
    if (clv_json_find(root, "name") != NULL) {
        CLV_TRY(clv_json_get_string(root, "task graph", "name", &word));
        CLV_TRY(copy_string(r, word, &r->workload->name));
    }
    if (clv_json_find(root, "hash") != NULL) {
        CLV_TRY(clv_json_get_string(root, "task graph", "hash", &word));
        if (!clv_hash_parse(word, &r->workload->hash)) {
            return CLV_ERROR(MALFORMED, "task graph.hash: '%s' is not 32 hexadecimal digits", word);
        }
    }
    return NULL;
}

static clv_status *read_root(clv_tasks_reader *r, const cJSON *root) {
    static const char *const keys[] = {"tasks", "edges", "colocate", "name", "hash"};
    if (!cJSON_IsObject(root)) {
        return CLV_ERROR(MALFORMED, "a task graph must be a JSON object");
    }
    CLV_TRY(clv_json_known_keys(root, "task graph", keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(read_identity(r, root));
    CLV_TRY(list_tasks(r, root));
    CLV_TRY(read_edges(r, root));
    CLV_TRY(order_tasks(r));
    clv_workload *workload = r->workload;
    workload->tasks = clv_arena_alloc(&workload->arena, (size_t)r->num_tasks + 1, sizeof(clv_task));
    if (workload->tasks == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    workload->num_tasks = r->num_tasks;
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        char where[CLV_TASKS_WHERE];
        snprintf(where, sizeof where, "tasks[%u]", i);
        CLV_TRY(read_task(r, r->items[i], where, &workload->tasks[r->position[i]]));
    }
    CLV_TRY(clv_tasks_make_tensors(r));
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        CLV_TRY(clv_tasks_read_splits(r, i));
    }
    return read_colocation(r, root);
}

clv_status *clv_workload_parse_json(
    const char *what, const char *json, size_t length, clv_workload **out_workload) {
    clv_tasks_reader r = {.workload = clv_alloc_zeroed(1, sizeof *r.workload)};
    cJSON *root = NULL;
    clv_status *status = NULL;
    *out_workload = NULL;
    clv_name_map_init(&r.names);
    clv_name_map_init(&r.taken);
    if (r.workload == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    clv_arena_init(&r.workload->arena, 0);
    r.workload->hash = clv_hash_bytes(json, length);
    r.workload->name = clv_arena_strdup(&r.workload->arena, what);
    if (r.workload->name == NULL) {
        status = CLV_TASKS_NO_MEMORY();
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
    clv_name_map_deinit(&r.taken);
    clv_free(r.items);
    clv_free(r.position);
    clv_free(r.group);
    clv_free(r.edges);
    clv_free(r.named);
    cJSON_Delete(root);
    return status == NULL ? NULL : clv_status_prefix(status, "task graph '%s'", what);
}
