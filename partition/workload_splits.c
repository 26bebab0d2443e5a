/* Splits of a task graph's file. */
#include "partition/workload_json.h"

#include "host/base/memory.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

static clv_status *read_split_input(
    const cJSON *item, const char *where, clv_task_split_input *out_input) {
    static const char *const keys[] = {"need", "axis", "num", "den", "before", "after"};
    const char *need;
    int64_t axis;
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "need", &need));
    if (strcmp(need, "whole") == 0) {
        return NULL;
    }
    if (strcmp(need, "slice") != 0) {
        return CLV_ERROR(MALFORMED, "%s.need: '%s' is not whole or slice", where, need);
    }
    out_input->need = CLV_TASK_SLICE;
    CLV_TRY(clv_json_get_int(item, where, "axis", 0, INT32_MAX, &axis));
    out_input->axis = (int32_t)axis;
    CLV_TRY(clv_tasks_get_int(item, where, "num", 1, 1, &out_input->num));
    CLV_TRY(clv_tasks_get_int(item, where, "den", 1, 1, &out_input->den));
    CLV_TRY(
        clv_tasks_get_int(item, where, "before", -CLV_JSON_MOST_INTEGER, 0, &out_input->before));
    return clv_tasks_get_int(item, where, "after", -CLV_JSON_MOST_INTEGER, 0, &out_input->after);
}

/* How a split's inputs name what task reads: by the tensor's name where the file has one. */
static const char *name_of_input(const clv_tasks_reader *r, const clv_task *task, uint32_t input) {
    const uint32_t id = task->inputs[input];
    const clv_task_tensor *tensor = &r->workload->tensors[id];
    return id < r->num_named ? tensor->name : r->workload->tasks[tensor->producer].name;
}

/* Members of a split's "inputs": `names` has the number of each. */
typedef struct input_members {
    clv_name_map names;
    const cJSON **items; /* [names.count] */
    bool *is_read;       /* [names.count] */
} input_members;

static clv_status *list_members(const cJSON *map, const char *where, input_members *members) {
    const size_t count = map != NULL ? (size_t)cJSON_GetArraySize(map) : 0;
    const cJSON *item;
    uint32_t index = 0;
    members->items = clv_alloc_zeroed(count + 1, sizeof *members->items);
    members->is_read = clv_alloc_zeroed(count + 1, sizeof *members->is_read);
    if (members->items == NULL || members->is_read == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    cJSON_ArrayForEach(item, map) {
        if (clv_name_map_find(&members->names, item->string) != NULL) {
            return CLV_ERROR(MALFORMED, "%s.inputs: '%s' stands there twice", where, item->string);
        }
        if (!clv_name_map_set(&members->names, item->string, index)) {
            return CLV_TASKS_NO_MEMORY();
        }
        members->items[index++] = item;
    }
    return NULL;
}

/* One member may name several inputs: a task can read several tensors of one producer. */
static clv_status *match_members(
    const clv_tasks_reader *r, const clv_task *task, const char *where, input_members *members,
    clv_task_split_input *out_inputs) {
    for (uint32_t i = 0; i < task->num_inputs; i++) {
        const uint32_t *found = clv_name_map_find(&members->names, name_of_input(r, task, i));
        if (found != NULL) {
            CLV_TRY(read_split_input(members->items[*found], where, &out_inputs[i]));
            members->is_read[*found] = true;
        }
    }
    for (uint32_t i = 0; i < members->names.count; i++) {
        if (!members->is_read[i]) {
            return CLV_ERROR(
                MALFORMED, "%s.inputs: no edge leads from '%s' to '%s'", where,
                members->items[i]->string, task->name);
        }
    }
    return NULL;
}

/* "inputs": {"producer": {...}}; what is not named is needed whole. */
static clv_status *read_split_inputs(
    clv_tasks_reader *r, const clv_task *task, const cJSON *owner, const char *where,
    clv_task_split *split) {
    const cJSON *map = clv_json_find(owner, "inputs");
    clv_task_split_input *inputs =
        clv_arena_alloc(&r->workload->arena, (size_t)task->num_inputs + 1, sizeof *inputs);
    if (inputs == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    split->inputs = inputs;
    for (uint32_t i = 0; i < task->num_inputs; i++) {
        inputs[i] = (clv_task_split_input){.num = 1, .den = 1};
    }
    if (map != NULL && !cJSON_IsObject(map)) {
        return CLV_ERROR(MALFORMED, "%s.inputs: must be an object", where);
    }
    input_members members = {.items = NULL};
    clv_name_map_init(&members.names);
    clv_status *status = list_members(map, where, &members);
    if (status == NULL) {
        status = match_members(r, task, where, &members, inputs);
    }
    clv_name_map_deinit(&members.names);
    clv_free(members.items);
    clv_free(members.is_read);
    return status;
}

/* "measured": [{"share": 0.5, "part": 0.6}]; what they must be is verified with the rest. */
static clv_status *read_pieces(
    clv_tasks_reader *r, const cJSON *item, const char *where, clv_task_split *split) {
    static const char *const keys[] = {"share", "part"};
    const cJSON *array, *piece;
    void *elements;
    CLV_TRY(
        clv_tasks_get_list(r, item, where, "measured", sizeof *split->measured, &array, &elements));
    clv_task_piece *pieces = elements;
    split->measured = pieces;
    cJSON_ArrayForEach(piece, array) {
        char place[CLV_TASKS_WHERE + 32];
        clv_task_piece *out = &pieces[split->num_measured];
        snprintf(place, sizeof place, "%s.measured[%u]", where, split->num_measured++);
        CLV_TRY(clv_json_known_keys(piece, place, keys, 2));
        CLV_TRY(clv_json_get_number(piece, place, "share", 0, 1, &out->share));
        CLV_TRY(clv_json_get_number(piece, place, "part", 0, DBL_MAX, &out->part));
    }
    return NULL;
}

/* A cut of the output has as many positions as the output, where its dimensions are given. */
static clv_status *check_extent(
    const clv_tasks_reader *r, const clv_task *task, const clv_task_split *split,
    const char *where) {
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
    clv_tasks_reader *r, const clv_task *task, const cJSON *item, const char *where,
    clv_task_split *split) {
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
    if (!clv_task_join_find(join, &split->join)) {
        return CLV_ERROR(MALFORMED, "%s.join: '%s' is not place, sum or share", where, join);
    }
    split->name = clv_arena_strdup(&r->workload->arena, name);
    CLV_TRY(clv_tasks_get_int(item, where, "axis", 0, 0, &axis));
    split->axis = split->join != CLV_TASK_PLACE ? -1 : axis < INT32_MAX ? (int32_t)axis : INT32_MAX;
    CLV_TRY(clv_json_get_int(item, where, "extent", 1, CLV_JSON_MOST_INTEGER, &split->extent));
    CLV_TRY(clv_tasks_get_int(item, where, "grain", 1, 1, &split->grain));
    CLV_TRY(clv_tasks_get_number(item, where, "fixed_share", 0, &split->fixed_share));
    CLV_TRY(clv_tasks_get_bool(item, where, "splits_weights", false, &split->splits_weights));
    if (split->name == NULL) {
        return CLV_TASKS_NO_MEMORY();
    }
    CLV_TRY(check_extent(r, task, split, where));
    CLV_TRY(read_pieces(r, item, where, split));
    return read_split_inputs(r, task, item, where, split);
}

clv_status *clv_tasks_read_splits(clv_tasks_reader *r, uint32_t file_task) {
    clv_task *task = &r->workload->tasks[r->position[file_task]];
    const cJSON *array, *item;
    char where[CLV_TASKS_WHERE];
    void *elements;
    snprintf(where, sizeof where, "tasks[%u]", file_task);
    CLV_TRY(clv_tasks_get_list(
        r, r->items[file_task], where, "splits", sizeof *task->splits, &array, &elements));
    clv_task_split *splits = elements;
    task->splits = splits;
    cJSON_ArrayForEach(item, array) {
        snprintf(where, sizeof where, "tasks[%u].splits[%u]", file_task, task->num_splits);
        CLV_TRY(read_split(r, task, item, where, &splits[task->num_splits++]));
    }
    return NULL;
}
