#include "host/workload/measured.h"

#include <math.h>
#include <string.h>

static bool is_given(const clv_task *task) {
    for (uint32_t i = 0; i < task->num_times; i++) {
        if (task->times[i].origin != CLV_ORIGIN_MEASURED) {
            return true;
        }
    }
    return false;
}

clv_status *clv_workload_add_measured(
    clv_workload *workload, const char *where, const double *time_us, const double *draws) {
    clv_arena *arena = &workload->arena;
    const char *name = clv_arena_strdup(arena, where);
    if (name == NULL) {
        return CLV_NO_ARENA("measured times");
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        clv_task *task = &workload->tasks[i];
        if (isnan(time_us[i]) || is_given(task)) {
            continue;
        }
        clv_task_time *times = clv_arena_alloc(arena, (size_t)task->num_times + 1, sizeof *times);
        if (times == NULL) {
            return CLV_NO_ARENA("measured times");
        }
        if (task->num_times != 0) {
            memcpy(times, task->times, task->num_times * sizeof *times);
        }
        times[task->num_times] = (clv_task_time){
            .where = name,
            .time_us = time_us[i],
            .origin = CLV_ORIGIN_MEASURED,
            .draws = draws != NULL && draws[i] > 0 ? draws[i] : 0,
        };
        task->times = times;
        task->num_times++;
    }
    return NULL;
}

clv_status *clv_workload_set_fixed_shares(
    clv_workload *workload, uint32_t split, const double *shares) {
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        clv_task *task = &workload->tasks[i];
        if (split >= task->num_splits || isnan(shares[i])) {
            continue;
        }
        clv_task_split *splits =
            clv_arena_copy(&workload->arena, task->splits, task->num_splits * sizeof *splits);
        if (splits == NULL) {
            return CLV_NO_ARENA("measured pieces");
        }
        splits[split].fixed_share = shares[i];
        task->splits = splits;
    }
    return NULL;
}
