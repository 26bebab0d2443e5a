#include "partition/workload.h"

#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/base/name_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *clv_origin_name(clv_origin origin) {
    static const char *const names[] = {"none", "estimated", "given", "measured"};
    return (unsigned)origin <= CLV_ORIGIN_MEASURED ? names[origin] : "none";
}

static double on_line(clv_task_piece a, clv_task_piece b, double share) {
    return a.part + (b.part - a.part) / (b.share - a.share) * (share - a.share);
}

static const char *const join_names[] = {
    [CLV_TASK_PLACE] = "place", [CLV_TASK_SUM] = "sum", [CLV_TASK_SHARE] = "share"};

const char *clv_task_join_name(clv_task_join join) {
    return join_names[join];
}

bool clv_task_join_find(const char *name, clv_task_join *out_join) {
    for (size_t i = 0; i < sizeof join_names / sizeof join_names[0]; i++) {
        if (strcmp(join_names[i], name) == 0) {
            *out_join = (clv_task_join)i;
            return true;
        }
    }
    return false;
}

int32_t clv_task_shares(const clv_task *task) {
    for (uint32_t i = 0; i < task->num_splits; i++) {
        if (task->splits[i].join == CLV_TASK_SHARE) {
            return (int32_t)i;
        }
    }
    return -1;
}

double clv_task_split_part(const clv_task_split *split, double share) {
    const clv_task_piece *measured = split->measured;
    const clv_task_piece whole = {1, 1};
    uint32_t above = 0;
    if (split->num_measured == 0) {
        return split->fixed_share + (1 - split->fixed_share) * share;
    }
    while (above < split->num_measured && measured[above].share <= share) {
        above++;
    }
    if (above > 0) {
        const clv_task_piece next = above < split->num_measured ? measured[above] : whole;
        return share < 1 ? on_line(measured[above - 1], next, share) : 1;
    }
    const clv_task_piece second = split->num_measured > 1 ? measured[1] : whole;
    const double part = on_line(measured[0], second, share);
    /* it takes no less than its share of the smallest, and no more than that one */
    return fmin(fmax(part, measured[0].part * share / measured[0].share), measured[0].part);
}

void clv_workload_destroy(clv_workload *workload) {
    if (workload != NULL) {
        clv_arena_deinit(&workload->arena);
        clv_free(workload);
    }
}

uint32_t clv_workload_find(const clv_workload *workload, const char *name) {
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        if (strcmp(workload->tasks[i].name, name) == 0) {
            return i;
        }
    }
    return CLV_NO_TASK;
}

clv_status *clv_workload_load(const char *path, clv_workload **out_workload) {
    clv_mapped_file file;
    *out_workload = NULL;
    CLV_TRY(clv_file_map(path, &file));
    clv_status *status =
        clv_workload_parse_json(path, (const char *)file.data, file.bytes, out_workload);
    clv_file_unmap(&file);
    return status;
}

/* --- verification --- */

static bool is_count(double value) {
    return isfinite(value) && value >= 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each unit or kind once; there may be many. */
static clv_status *verify_places(const clv_task *task) {
    clv_status *status = NULL;
    if (task->num_times < 2) {
        return NULL;
    }
    const char **names = clv_alloc_zeroed(task->num_times, sizeof *names);
    if (names == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for names");
    }
    for (uint32_t i = 0; i < task->num_times; i++) {
        names[i] = task->times[i].where;
    }
    qsort(names, task->num_times, sizeof *names, compare_names);
    for (uint32_t i = 1; i < task->num_times && status == NULL; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            status = CLV_ERROR(MALFORMED, "task '%s' has two times on '%s'", task->name, names[i]);
        }
    }
    clv_free(names);
    return status;
}

static clv_status *verify_times(const clv_task *task) {
    for (uint32_t i = 0; i < task->num_times; i++) {
        const clv_task_time *time = &task->times[i];
        if (time->where == NULL || time->origin == CLV_ORIGIN_NONE) {
            return CLV_ERROR(MALFORMED, "task '%s': time %u has no unit or origin", task->name, i);
        }
        if (isnan(time->time_us) || time->time_us < 0) {
            return CLV_ERROR(
                MALFORMED, "task '%s': time on '%s' is %g us, must be at least 0", task->name,
                time->where, time->time_us);
        }
        if (!(time->draws >= 0 && time->draws <= 1)) {
            return CLV_ERROR(
                MALFORMED,
                "task '%s': on '%s' it draws %g of the memory's bandwidth, must be 0 .. 1",
                task->name, time->where, time->draws);
        }
    }
    if (!is_count(task->flops) || !is_count(task->traffic_bytes)) {
        return CLV_ERROR(
            MALFORMED, "task '%s': flops (%g) and traffic_bytes (%g) must be at least 0 and finite",
            task->name, task->flops, task->traffic_bytes);
    }
    return verify_places(task);
}

/* `ids` ascend: a tensor may have as many consumers as there are tasks, and each asks. */
static bool contains(const uint32_t *ids, uint32_t count, uint32_t id) {
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (ids[middle] < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && ids[low] == id;
}

/* Of inputs and outputs that are this task's. */
static bool is_ascending(const uint32_t *ids, uint32_t i, uint32_t most) {
    return ids[i] < most && (i == 0 || ids[i] > ids[i - 1]);
}

static clv_status *verify_edges(const clv_workload *workload, uint32_t index) {
    const clv_task *task = &workload->tasks[index];
    for (uint32_t i = 0; i < task->num_inputs; i++) {
        if (!is_ascending(task->inputs, i, workload->num_tensors)) {
            return CLV_ERROR(
                MALFORMED, "task '%s': its inputs are no tensors in their order", task->name);
        }
        const clv_task_tensor *tensor = &workload->tensors[task->inputs[i]];
        if (tensor->producer != CLV_NO_TASK && tensor->producer >= index) {
            return CLV_ERROR(
                MALFORMED, "task '%s' comes before the task that makes its input '%s'", task->name,
                tensor->name);
        }
        if (!contains(tensor->consumers, tensor->num_consumers, index)) {
            return CLV_ERROR(
                MALFORMED, "tensor '%s' does not know its consumer '%s'", tensor->name, task->name);
        }
    }
    for (uint32_t i = 0; i < task->num_outputs; i++) {
        if (!is_ascending(task->outputs, i, workload->num_tensors) ||
            workload->tensors[task->outputs[i]].producer != index) {
            return CLV_ERROR(
                MALFORMED, "task '%s': output %u is not a tensor that it makes, in their order",
                task->name, i);
        }
    }
    return task->num_outputs > 0 ? NULL
                                 : CLV_ERROR(MALFORMED, "task '%s' has no output", task->name);
}

static clv_status *verify_split_input(
    const clv_workload *workload, const clv_task *task, const clv_task_split *split, uint32_t i) {
    const clv_task_split_input *input = &split->inputs[i];
    if (input->need == CLV_TASK_WHOLE) {
        return NULL;
    }
    const clv_task_tensor *tensor = &workload->tensors[task->inputs[i]];
    bool is_good = input->axis >= 0 && input->num >= 1 && input->den >= 1 &&
                   (tensor->num_dims == 0 || input->axis < tensor->num_dims);
    if (!is_good) {
        return CLV_ERROR(
            MALFORMED, "task '%s', split '%s': input '%s' is cut along axis %d by %lld/%lld",
            task->name, split->name, tensor->name, input->axis, (long long)input->num,
            (long long)input->den);
    }
    return NULL;
}

static clv_status *verify_pieces(const clv_task *task, const clv_task_split *split) {
    for (uint32_t i = 0; i < split->num_measured; i++) {
        const clv_task_piece *piece = &split->measured[i];
        if (!(piece->share > 0 && piece->share < 1) || !(piece->part > 0) || isinf(piece->part)) {
            return CLV_ERROR(
                MALFORMED,
                "task '%s', split '%s': a measured piece with a share of %g takes %g of the "
                "whole's time; shares must be above 0 and below 1, parts above 0 and finite",
                task->name, split->name, piece->share, piece->part);
        }
        if (i > 0 && (piece->share <= piece[-1].share || piece->part < piece[-1].part)) {
            return CLV_ERROR(
                MALFORMED,
                "task '%s', split '%s': a measured piece with a share of %g takes %g of the "
                "whole's time, after one of %g that takes %g; shares must ascend, and parts not "
                "fall",
                task->name, split->name, piece->share, piece->part, piece[-1].share,
                piece[-1].part);
        }
    }
    return NULL;
}

/* Plan files name a task's splits. */
static clv_status *verify_split_names(const clv_task *task) {
    clv_status *status = NULL;
    clv_name_map names;
    clv_name_map_init(&names);
    for (uint32_t i = 0; status == NULL && i < task->num_splits; i++) {
        const char *name = task->splits[i].name;
        if (clv_name_map_find(&names, name) != NULL) {
            status = CLV_ERROR(MALFORMED, "task '%s': two splits are named '%s'", task->name, name);
        } else if (!clv_name_map_set(&names, name, i)) {
            status = CLV_ERROR(NO_MEMORY, "out of host memory for names");
        }
    }
    clv_name_map_deinit(&names);
    return status;
}

static clv_status *verify_splits(const clv_workload *workload, const clv_task *task) {
    CLV_TRY(verify_split_names(task));
    for (uint32_t i = 0; i < task->num_splits; i++) {
        const clv_task_split *split = &task->splits[i];
        bool is_good = split->extent >= 1 && split->grain >= 1 && split->grain <= split->extent &&
                       split->fixed_share >= 0 && split->fixed_share <= CLV_MOST_FIXED_SHARE &&
                       (split->axis >= 0) == (split->join == CLV_TASK_PLACE);
        if (!is_good) {
            return CLV_ERROR(
                MALFORMED,
                "task '%s', split '%s': extent %lld, grain %lld, fixed_share %g, axis %d",
                task->name, split->name, (long long)split->extent, (long long)split->grain,
                split->fixed_share, split->axis);
        }
        CLV_TRY(verify_pieces(task, split));
        for (uint32_t k = 0; k < task->num_inputs; k++) {
            CLV_TRY(verify_split_input(workload, task, split, k));
        }
    }
    return NULL;
}

static clv_status *verify_tensor(const clv_workload *workload, const clv_task_tensor *tensor) {
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        if (!is_ascending(tensor->consumers, i, workload->num_tasks)) {
            return CLV_ERROR(
                MALFORMED, "tensor '%s': its consumers are not in order", tensor->name);
        }
    }
    for (int32_t i = 0; i < tensor->num_dims; i++) {
        if (tensor->dims[i] < 0) {
            return CLV_ERROR(
                MALFORMED, "tensor '%s': dimension %d is %lld", tensor->name, i,
                (long long)tensor->dims[i]);
        }
    }
    return NULL;
}

/* What tasks say of tensors has been compared with these: so they are as many. */
static clv_status *verify_ends(const clv_workload *workload) {
    uint64_t read = 0, written = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        read += workload->tasks[i].num_inputs;
        written += workload->tasks[i].num_outputs;
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        read -= workload->tensors[i].num_consumers;
        written -= workload->tensors[i].producer != CLV_NO_TASK;
    }
    return read == 0 && written == 0
               ? NULL
               : CLV_ERROR(
                     MALFORMED, "a tensor of '%s' has a task that does not know it",
                     workload->name);
}

static clv_status *verify_colocation(const clv_workload *workload, uint32_t index) {
    const clv_task *task = &workload->tasks[index];
    const uint32_t first = task->colocation - 1;
    if (task->colocation != 0 &&
        (first > index || workload->tasks[first].colocation != task->colocation)) {
        return CLV_ERROR(
            MALFORMED, "task '%s': its colocation %u is not that of its first task", task->name,
            task->colocation);
    }
    return NULL;
}

/* `names` has all that came before. */
static clv_status *add_name(clv_name_map *names, const char *name, const char *what, uint32_t id) {
    if (name == NULL || name[0] == '\0') {
        return CLV_ERROR(MALFORMED, "%s %u has no name", what, id);
    }
    if (clv_name_map_find(names, name) != NULL) {
        return CLV_ERROR(MALFORMED, "two %ss are named '%s'", what, name);
    }
    return clv_name_map_set(names, name, id) ? NULL
                                             : CLV_ERROR(NO_MEMORY, "out of host memory for names");
}

/* Aliases after the names of all tasks. */
static clv_status *verify_aliases(const clv_workload *workload, clv_name_map *names) {
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        const clv_task *task = &workload->tasks[i];
        for (uint32_t k = 0; k < task->num_aliases; k++) {
            const char *alias = task->aliases[k];
            const uint32_t *taken = clv_name_map_find(names, alias);
            if (alias[0] == '\0') {
                return CLV_ERROR(MALFORMED, "task '%s' has an alias without a name", task->name);
            }
            if (taken != NULL) {
                const char *owner = workload->tasks[*taken].name;
                return CLV_ERROR(
                    MALFORMED, "task '%s': its alias '%s' is %s of task '%s' too", task->name,
                    alias, strcmp(owner, alias) == 0 ? "the name" : "an alias", owner);
            }
            if (!clv_name_map_set(names, alias, i)) {
                return CLV_ERROR(NO_MEMORY, "out of host memory for names");
            }
        }
    }
    return NULL;
}

static clv_status *verify_names(const clv_workload *workload) {
    clv_status *status = NULL;
    clv_name_map tasks, tensors;
    clv_name_map_init(&tasks);
    clv_name_map_init(&tensors);
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        CLV_TRY_DONE(add_name(&tasks, workload->tasks[i].name, "task", i));
    }
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        CLV_TRY_DONE(add_name(&tensors, workload->tensors[i].name, "tensor", i));
    }
    status = verify_aliases(workload, &tasks);
done:
    clv_name_map_deinit(&tasks);
    clv_name_map_deinit(&tensors);
    return status;
}

clv_status *clv_workload_verify(const clv_workload *workload) {
    if (workload->num_tasks == 0) {
        return CLV_ERROR(MALFORMED, "'%s' has no tasks", workload->name);
    }
    CLV_TRY(verify_names(workload));
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        CLV_TRY(verify_tensor(workload, &workload->tensors[i]));
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        const clv_task *task = &workload->tasks[i];
        CLV_TRY(verify_times(task));
        CLV_TRY(verify_edges(workload, i));
        CLV_TRY(verify_splits(workload, task));
        CLV_TRY(verify_colocation(workload, i));
    }
    return verify_ends(workload);
}
