/* Tensors of a task graph's file: those that edges name, and those of edges that name none. */
#include "partition/workload_json.h"

#include "host/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

typedef clv_tasks_reader reader;

static clv_status *read_dims(
    reader *r, const cJSON *item, const char *where, const char *key, clv_task_tensor *tensor) {
    const cJSON *array, *dim;
    void *elements;
    CLV_TRY(clv_tasks_get_list(r, item, where, key, sizeof(int64_t), &array, &elements));
    int64_t *dims = elements;
    tensor->dims = dims;
    cJSON_ArrayForEach(dim, array) {
        double value = cJSON_IsNumber(dim) ? dim->valuedouble : -1;
        if (!(value >= 0 && value <= (double)CLV_JSON_MOST_INTEGER) ||
            value != (double)(int64_t)value) {
            return CLV_ERROR(MALFORMED, "%s.%s: must be whole numbers of at least 0", where, key);
        }
        dims[tensor->num_dims++] = (int64_t)value;
    }
    return NULL;
}

static int compare_ids(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* `ids` of tasks, in the workload's arena, are put in order, each once. */
static void set_consumers(reader *r, uint32_t *ids, uint32_t count, clv_task_tensor *tensor) {
    if (count > 1) {
        qsort(ids, count, sizeof *ids, compare_ids);
    }
    tensor->consumers = ids;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || ids[i] != ids[tensor->num_consumers - 1]) { /* else the same edge twice */
            ids[tensor->num_consumers++] = ids[i];
        }
    }
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        r->workload->tasks[ids[i]].num_inputs++; /* filled in by link_tasks */
    }
}

/* --- that edges name --- */

static clv_status *add_named(reader *r, const clv_tasks_tensor *named) {
    char where[CLV_TASKS_WHERE];
    const char *name;
    const cJSON *to = clv_json_find(named->item, "to"), *one;
    clv_workload *workload = r->workload;
    clv_task_tensor *tensor = &workload->tensors[workload->num_tensors++];
    uint32_t count = 0, most = cJSON_IsArray(to) ? (uint32_t)cJSON_GetArraySize(to) : 1;
    int64_t bytes, resident;
    CLV_TRY(clv_json_get_string(named->item, "edge", "tensor", &name));
    snprintf(where, sizeof where, "tensor '%.64s'", name);
    if (name[0] == '\0' || clv_name_map_find(&r->taken, name) != NULL) {
        return CLV_ERROR(
            MALFORMED, "%s: %s", where, name[0] == '\0' ? "a name is needed" : "is there twice");
    }
    *tensor =
        (clv_task_tensor){.name = clv_name_map_make_unique(&r->taken, &workload->arena, name)};
    CLV_TRY(clv_tasks_get_int(named->item, where, "bytes", 0, 0, &bytes));
    CLV_TRY(clv_tasks_get_int(named->item, where, "memory_bytes", 0, 0, &resident));
    CLV_TRY(clv_tasks_get_bool(
        named->item, where, "output", to == NULL || most == 0, &tensor->is_output));
    CLV_TRY(read_dims(r, named->item, where, "dims", tensor));
    uint32_t *ids = clv_arena_alloc(&workload->arena, (size_t)most + 1, sizeof *ids);
    if (tensor->name == NULL || ids == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    tensor->bytes = (uint64_t)bytes;
    tensor->resident = (uint64_t)resident;
    tensor->producer = named->from == CLV_NO_TASK ? CLV_NO_TASK : r->position[named->from];
    if (named->from != CLV_NO_TASK) {
        workload->tasks[tensor->producer].num_outputs++;
    }
    if (cJSON_IsString(to)) {
        ids[count++] = r->position[*clv_name_map_find(&r->names, to->valuestring)];
    }
    for (one = cJSON_IsArray(to) ? to->child : NULL; one != NULL; one = one->next) {
        ids[count++] = r->position[*clv_name_map_find(&r->names, one->valuestring)];
    }
    set_consumers(r, ids, count, tensor);
    return NULL;
}

/* --- of edges that name none --- */

/* What a task says of its tensors without names, where it has none. */
static clv_status *refuse_outputs(const cJSON *item, const char *where, const clv_task *task) {
    static const char *const keys[] = {"output_bytes", "output_dims"};
    for (int i = 0; i < 2; i++) {
        if (clv_json_find(item, keys[i]) != NULL) {
            return CLV_ERROR(
                MALFORMED, "%s.%s: edges name all tensors of task '%s', and say that of each",
                where, keys[i], task->name);
        }
    }
    return NULL;
}

/* One for each distinct number of bytes; a task without edges makes an output. `edges`: the task's,
 * that name no tensor. */
static clv_status *add_unnamed(
    reader *r, uint32_t file_task, const clv_tasks_edge *edges, uint32_t count) {
    char where[CLV_TASKS_WHERE];
    clv_workload *workload = r->workload;
    clv_task *task = &workload->tasks[r->position[file_task]];
    const cJSON *item = r->items[file_task];
    clv_task_tensor all = {.producer = r->position[file_task], .is_output = count == 0};
    int64_t resident = 0;
    snprintf(where, sizeof where, "tasks[%u]", file_task);
    if (count == 0 && task->num_outputs > 0) {
        return refuse_outputs(item, where, task);
    }
    CLV_TRY(clv_tasks_get_int(item, where, "output_bytes", 0, 0, &resident));
    CLV_TRY(read_dims(r, item, where, "output_dims", &all));
    uint32_t begin = 0;
    do {
        uint32_t end = begin;
        while (end < count && edges[end].bytes == edges[begin].bytes) {
            end++;
        }
        clv_task_tensor *tensor = &workload->tensors[workload->num_tensors++];
        uint32_t *ids = clv_arena_alloc(&workload->arena, (size_t)(end - begin) + 1, sizeof *ids);
        *tensor = all;
        tensor->name = clv_name_map_make_unique(&r->taken, &workload->arena, task->name);
        tensor->bytes = count > 0 ? edges[begin].bytes : 0;
        tensor->resident = begin == 0 ? (uint64_t)resident : 0;
        if (tensor->name == NULL || ids == NULL) {
            return CLV_TASKS_NO_MEMORY();
        }
        for (uint32_t i = begin; i < end; i++) {
            ids[i - begin] = r->position[edges[i].to];
        }
        set_consumers(r, ids, end - begin, tensor);
        task->num_outputs++;
        begin = end;
    } while (begin < count);
    return NULL;
}

/* --- all --- */

/* Inputs and outputs of every task, in the order of the tensors. */
static clv_status *link_tasks(clv_workload *workload) {
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        clv_task *task = &workload->tasks[i];
        task->inputs =
            clv_arena_alloc(&workload->arena, (size_t)task->num_inputs + 1, sizeof *task->inputs);
        task->outputs =
            clv_arena_alloc(&workload->arena, (size_t)task->num_outputs + 1, sizeof *task->outputs);
        if (task->inputs == NULL || task->outputs == NULL) {
            return CLV_TASKS_NO_MEMORY();
        }
        task->num_inputs = task->num_outputs = 0;
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        const clv_task_tensor *tensor = &workload->tensors[i];
        for (uint32_t k = 0; k < tensor->num_consumers; k++) {
            clv_task *task = &workload->tasks[tensor->consumers[k]];
            ((uint32_t *)task->inputs)[task->num_inputs++] = i;
        }
        if (tensor->producer != CLV_NO_TASK) {
            clv_task *task = &workload->tasks[tensor->producer];
            ((uint32_t *)task->outputs)[task->num_outputs++] = i;
        }
    }
    return NULL;
}

clv_status *clv_tasks_make_tensors(clv_tasks_reader *r) {
    const size_t most = (size_t)r->num_named + r->num_edges + r->num_tasks + 1;
    r->workload->tensors = clv_arena_alloc(&r->workload->arena, most, sizeof(clv_task_tensor));
    if (r->workload->tensors == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    for (uint32_t i = 0; i < r->num_named; i++) {
        CLV_TRY(add_named(r, &r->named[i]));
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < r->num_tasks; i++) {
        while (at < r->num_edges && r->edges[at].from == i && r->edges[at].is_named) {
            at++;
        }
        uint32_t begin = at;
        while (at < r->num_edges && r->edges[at].from == i) {
            at++;
        }
        CLV_TRY(add_unnamed(r, i, r->edges + begin, at - begin));
    }
    return link_tasks(r->workload);
}
