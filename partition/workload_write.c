/* Task graphs as JSON files (docs/tasks.md). Every tensor is an edge that names it. */
#include "partition/workload_json.h"

#include "host/base/json_writer.h"
#include "host/base/memory.h"
#include "host/base/utf8.h"

#include <math.h>
#include <string.h>

enum { LINES = 2 }; /* tasks and edges begin lines, what they hold does not */

/* --- what JSON can hold --- */

static bool is_utf8(const char *name) {
    size_t length = 1;
    while (*name != '\0' && length > 0) {
        length = clv_utf8_length(name);
        name += length;
    }
    return length > 0;
}

static clv_status *check_name(const char *name, const char *what) {
    return is_utf8(name)
               ? NULL
               : CLV_ERROR(UNSUPPORTED, "%s '%s' is no UTF-8, as a file must have it", what, name);
}

static clv_status *check_whole(int64_t value, const char *what, const char *name) {
    return value <= CLV_JSON_MOST_INTEGER && value >= -CLV_JSON_MOST_INTEGER
               ? NULL
               : CLV_ERROR(
                     UNSUPPORTED, "%s of '%s' is %lld, a file can have up to 2^53", what, name,
                     (long long)value);
}

static clv_status *check_bytes(uint64_t bytes, const char *what, const char *name) {
    return check_whole(bytes < INT64_MAX ? (int64_t)bytes : INT64_MAX, what, name);
}

static clv_status *check_split(const clv_task *task, const clv_task_split *split) {
    CLV_TRY(check_name(split->name, "a split's name"));
    CLV_TRY(check_whole(split->extent, "the extent of a split", task->name));
    for (uint32_t i = 0; i < task->num_inputs; i++) {
        const clv_task_split_input *input = &split->inputs[i];
        const int64_t numbers[] = {input->num, input->den, input->before, input->after};
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            CLV_TRY(check_whole(numbers[k], "an input of a split", task->name));
        }
    }
    return NULL;
}

static clv_status *check_task(const clv_task *task) {
    CLV_TRY(check_name(task->name, "a task's name"));
    CLV_TRY(check_name(task->type, "a task's type"));
    CLV_TRY(check_bytes(task->weight_bytes, "memory_bytes", task->name));
    CLV_TRY(check_bytes(task->scratch_bytes, "scratch_bytes", task->name));
    for (uint32_t i = 0; i < task->num_aliases; i++) {
        CLV_TRY(check_name(task->aliases[i], "an alias"));
    }
    for (uint32_t i = 0; i < task->num_times; i++) {
        CLV_TRY(check_name(task->times[i].where, "a unit's name"));
    }
    for (uint32_t i = 0; i < task->num_splits; i++) {
        CLV_TRY(check_split(task, &task->splits[i]));
    }
    return NULL;
}

static clv_status *check_tensor(const clv_task_tensor *tensor) {
    CLV_TRY(check_name(tensor->name, "a tensor's name"));
    CLV_TRY(check_bytes(tensor->bytes, "bytes", tensor->name));
    CLV_TRY(check_bytes(tensor->resident, "memory_bytes", tensor->name));
    for (int32_t i = 0; i < tensor->num_dims; i++) {
        CLV_TRY(check_whole(tensor->dims[i], "a dimension", tensor->name));
    }
    return NULL;
}

static clv_status *check(const clv_workload *workload) {
    CLV_TRY(check_name(workload->name, "the name"));
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        CLV_TRY(check_task(&workload->tasks[i]));
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        CLV_TRY(check_tensor(&workload->tensors[i]));
    }
    return NULL;
}

/* --- tasks --- */

/* What is left out where it has its default. */
static void add_number(clv_json_writer *w, const char *key, double value, double fallback) {
    if (value != fallback) {
        clv_json_add_number(w, key, value);
    }
}

static void add_us(clv_json_writer *w, const char *key, double time_us) {
    if (isinf(time_us)) {
        clv_json_add_null(w, key);
    } else {
        clv_json_add_number(w, key, time_us);
    }
}

static void write_time(clv_json_writer *w, const char *key, const clv_task_time *time) {
    if (time->origin == CLV_ORIGIN_GIVEN && time->draws == 0) {
        add_us(w, key, time->time_us);
        return;
    }
    clv_json_open_object(w, key);
    add_us(w, "us", time->time_us);
    add_number(w, "draws", time->draws, 0);
    if (time->origin != CLV_ORIGIN_GIVEN) {
        clv_json_add_string(w, "origin", clv_origin_name(time->origin));
    }
    clv_json_close(w);
}

static void write_times(clv_json_writer *w, const clv_task *task) {
    const clv_task_time *first = task->times;
    if (task->num_times == 1 && strcmp(first->where, "*") == 0 &&
        first->origin == CLV_ORIGIN_GIVEN && first->draws == 0) {
        add_us(w, "time_us", first->time_us);
    } else if (task->num_times > 0) {
        clv_json_open_object(w, "time_us");
        for (uint32_t i = 0; i < task->num_times; i++) {
            write_time(w, task->times[i].where, &task->times[i]);
        }
        clv_json_close(w);
    }
}

/* Inputs that are needed whole are not named. */
static void write_split_inputs(
    clv_json_writer *w, const clv_workload *workload, const clv_task *task,
    const clv_task_split *split) {
    bool is_open = false;
    for (uint32_t i = 0; i < task->num_inputs; i++) {
        const clv_task_split_input *input = &split->inputs[i];
        if (input->need == CLV_TASK_WHOLE) {
            continue;
        }
        if (!is_open) {
            clv_json_open_object(w, "inputs");
            is_open = true;
        }
        clv_json_open_object(w, workload->tensors[task->inputs[i]].name);
        clv_json_add_string(w, "need", "slice");
        clv_json_add_number(w, "axis", input->axis);
        add_number(w, "num", (double)input->num, 1);
        add_number(w, "den", (double)input->den, 1);
        add_number(w, "before", (double)input->before, 0);
        add_number(w, "after", (double)input->after, 0);
        clv_json_close(w);
    }
    if (is_open) {
        clv_json_close(w);
    }
}

static void write_split(
    clv_json_writer *w, const clv_workload *workload, const clv_task *task,
    const clv_task_split *split) {
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "name", split->name);
    if (split->join != CLV_TASK_PLACE) {
        clv_json_add_string(w, "join", clv_task_join_name(split->join));
    } else {
        clv_json_add_number(w, "axis", split->axis);
    }
    clv_json_add_number(w, "extent", (double)split->extent);
    add_number(w, "grain", (double)split->grain, 1);
    add_number(w, "fixed_share", split->fixed_share, 0);
    if (split->splits_weights) {
        clv_json_add_bool(w, "splits_weights", true);
    }
    if (split->num_measured > 0) {
        clv_json_open_array(w, "measured");
        for (uint32_t i = 0; i < split->num_measured; i++) {
            clv_json_open_object(w, NULL);
            clv_json_add_number(w, "share", split->measured[i].share);
            clv_json_add_number(w, "part", split->measured[i].part);
            clv_json_close(w);
        }
        clv_json_close(w);
    }
    write_split_inputs(w, workload, task, split);
    clv_json_close(w);
}

static void write_task(clv_json_writer *w, const clv_workload *workload, const clv_task *task) {
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "name", task->name);
    clv_json_add_string(w, "type", task->type);
    if (task->num_aliases > 0) {
        clv_json_open_array(w, "aliases");
        for (uint32_t i = 0; i < task->num_aliases; i++) {
            clv_json_add_string(w, NULL, task->aliases[i]);
        }
        clv_json_close(w);
    }
    write_times(w, task);
    add_number(w, "flops", task->flops, 0);
    add_number(w, "traffic_bytes", task->traffic_bytes, 0);
    add_number(w, "memory_bytes", (double)task->weight_bytes, 0);
    add_number(w, "scratch_bytes", (double)task->scratch_bytes, 0);
    if (task->num_splits > 0) {
        clv_json_open_array(w, "splits");
        for (uint32_t i = 0; i < task->num_splits; i++) {
            write_split(w, workload, task, &task->splits[i]);
        }
        clv_json_close(w);
    }
    clv_json_close(w);
}

/* --- the rest --- */

static void write_tensor(
    clv_json_writer *w, const clv_workload *workload, const clv_task_tensor *tensor) {
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "tensor", tensor->name);
    if (tensor->producer != CLV_NO_TASK) {
        clv_json_add_string(w, "from", workload->tasks[tensor->producer].name);
    }
    if (tensor->num_consumers > 0) {
        clv_json_open_array(w, "to");
        for (uint32_t i = 0; i < tensor->num_consumers; i++) {
            clv_json_add_string(w, NULL, workload->tasks[tensor->consumers[i]].name);
        }
        clv_json_close(w);
    }
    add_number(w, "bytes", (double)tensor->bytes, 0);
    add_number(w, "memory_bytes", (double)tensor->resident, 0);
    if (tensor->num_dims > 0) {
        clv_json_open_array(w, "dims");
        for (int32_t i = 0; i < tensor->num_dims; i++) {
            clv_json_add_number(w, NULL, (double)tensor->dims[i]);
        }
        clv_json_close(w);
    }
    if (tensor->is_output != (tensor->num_consumers == 0)) {
        clv_json_add_bool(w, "output", tensor->is_output);
    }
    clv_json_close(w);
}

/* One for each colocation, which has the number of its first task. */
static clv_status *write_colocations(clv_json_writer *w, const clv_workload *workload) {
    bool is_open = false;
    uint32_t *next = clv_alloc_zeroed((size_t)workload->num_tasks + 1, sizeof *next), *last;
    last = clv_alloc_zeroed((size_t)workload->num_tasks + 1, sizeof *last);
    for (uint32_t i = 0; next != NULL && last != NULL && i < workload->num_tasks; i++) {
        const uint32_t number = workload->tasks[i].colocation;
        next[i] = CLV_NO_TASK;
        if (number > 0 && number - 1 < i) {
            next[last[number - 1]] = i;
        }
        last[number > 0 ? number - 1 : i] = i;
    }
    for (uint32_t i = 0; next != NULL && last != NULL && i < workload->num_tasks; i++) {
        if (workload->tasks[i].colocation != i + 1) {
            continue;
        }
        if (!is_open) {
            clv_json_open_array(w, "colocate");
            is_open = true;
        }
        clv_json_open_array(w, NULL);
        for (uint32_t task = i; task != CLV_NO_TASK; task = next[task]) {
            clv_json_add_string(w, NULL, workload->tasks[task].name);
        }
        clv_json_close(w);
    }
    if (is_open) {
        clv_json_close(w);
    }
    clv_status *status = next != NULL && last != NULL ? NULL : CLV_TASKS_NO_MEMORY();
    clv_free(next);
    clv_free(last);
    return status;
}

clv_status *clv_workload_format_json(const clv_workload *workload, char **out_json) {
    char hash[33];
    clv_json_writer w;
    *out_json = NULL;
    CLV_TRY(check(workload));
    clv_hash_format(workload->hash, hash);
    clv_json_begin(&w, LINES);
    clv_json_add_string(&w, "name", workload->name);
    clv_json_add_string(&w, "hash", hash);
    clv_json_open_array(&w, "tasks");
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        write_task(&w, workload, &workload->tasks[i]);
    }
    clv_json_close(&w);
    clv_json_open_array(&w, "edges");
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        write_tensor(&w, workload, &workload->tensors[i]);
    }
    clv_json_close(&w);
    clv_status *status = write_colocations(&w, workload);
    if (status == NULL) {
        status = clv_json_take(&w, out_json);
    }
    clv_json_deinit(&w);
    return status;
}
