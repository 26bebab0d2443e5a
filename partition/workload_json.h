/* What the files that read and write task graphs share. */
#ifndef CLV_PARTITION_WORKLOAD_JSON_H
#define CLV_PARTITION_WORKLOAD_JSON_H

#include "host/base/json.h"
#include "host/base/name_map.h"
#include "partition/workload.h"

#define CLV_TASKS_NO_MEMORY() CLV_ERROR(NO_MEMORY, "out of host memory for a task graph")

enum { CLV_TASKS_WHERE = 96 }; /* characters of a place in the file, for messages */

/* An edge between tasks as the file has it. Those of one task that name no tensor and have the same
 * bytes carry one tensor. */
typedef struct clv_tasks_edge {
    uint32_t from, to; /* in the file's order of tasks */
    uint64_t bytes;
    bool is_named;
} clv_tasks_edge;

/* An edge that names its tensor, which has no other. */
typedef struct clv_tasks_tensor {
    const cJSON *item;
    uint32_t from; /* in the file's order; CLV_NO_TASK: an input of the whole */
} clv_tasks_tensor;

typedef struct clv_tasks_reader {
    clv_workload *workload; /* its first tensors are the named ones */
    const cJSON **items;    /* the tasks as JSON, in the file's order */
    clv_name_map names;     /* name to number in the file's order */
    clv_name_map taken;     /* names of tensors */
    clv_tasks_edge *edges;
    clv_tasks_tensor *named;
    uint32_t num_edges, num_tasks, num_named;
    uint32_t *position; /* of each task of the file in the workload */
    uint32_t *group;    /* [num_tasks], for colocations */
} clv_tasks_reader;

/* Members that may be left out. Numbers are at least 0 and finite. */
clv_status *clv_tasks_get_number(
    const cJSON *object, const char *where, const char *key, double fallback,
    double *out_value) CLV_CHECKED;
clv_status *clv_tasks_get_int(
    const cJSON *object, const char *where, const char *key, int64_t minimum, int64_t fallback,
    int64_t *out_value) CLV_CHECKED;
clv_status *clv_tasks_get_bool(
    const cJSON *object, const char *where, const char *key, bool fallback,
    bool *out_value) CLV_CHECKED;
/* The array, and zeroed room for its elements in the workload; both NULL where it is left out. */
clv_status *clv_tasks_get_list(
    clv_tasks_reader *r, const cJSON *object, const char *where, const char *key,
    size_t element_bytes, const cJSON **out_array, void **out_elements) CLV_CHECKED;

/* All tensors, and the inputs and outputs of all tasks, which stand in their order. */
clv_status *clv_tasks_make_tensors(clv_tasks_reader *r) CLV_CHECKED;
/* Member "splits" of a task whose inputs and outputs are there. */
clv_status *clv_tasks_read_splits(clv_tasks_reader *r, uint32_t file_task) CLV_CHECKED;

#endif
