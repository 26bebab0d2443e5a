/* The neutral problem: what the partitioner, the scheduler and the clock see of a model. Tasks with
 * times, tensors with bytes, and the ways a task may be split. Made from a graph (host/workload) or
 * read from a task-graph file.
 *
 * Everything is in flat arrays with ids, so that 10^5 tasks are no trouble. Immutable once made;
 * belongs to nobody in particular: partitioning and scheduling are pure functions over it.
 */
#ifndef CLV_PARTITION_WORKLOAD_H
#define CLV_PARTITION_WORKLOAD_H

#include "host/base/arena.h"
#include "host/base/hash.h"
#include <stdbool.h>
#include <stdint.h>

#define CLV_NO_TASK UINT32_MAX

/* Where a number comes from; the later, the better. */
typedef enum clv_origin {
    CLV_ORIGIN_NONE,      /* the unit cannot run the task */
    CLV_ORIGIN_ESTIMATED, /* from flops, bytes and the unit's roofline */
    CLV_ORIGIN_GIVEN,     /* by a file */
    CLV_ORIGIN_MEASURED,
} clv_origin;

const char *clv_origin_name(clv_origin origin); /* "measured"; "none" */

/* A time that is known for a unit, a kind of unit, or all ("*"); the most exact one counts. */
typedef struct clv_task_time {
    const char *where; /* unit name, kind, or "*" */
    double time_us;    /* INFINITY: cannot run there */
    clv_origin origin; /* not NONE */
    /* Part of its memory's bandwidth that it draws there while it runs: with as many others as draw
     * the rest it is not slowed down. 0: as traffic_bytes say */
    double draws;
} clv_task_time;

/* What a piece of a task needs of one of its input tensors. */
typedef enum clv_task_need {
    CLV_TASK_WHOLE,
    CLV_TASK_SLICE, /* along `axis`: [begin * num / den - before, end * num / den + after), clipped
                       to its extent */
} clv_task_need;

typedef struct clv_task_split_input {
    clv_task_need need;
    int32_t axis;          /* of the tensor that is read */
    int64_t num, den;      /* 1, 1 where positions agree */
    int64_t before, after; /* halo, in positions of `axis` */
} clv_task_split_input;

typedef enum clv_task_join {
    CLV_TASK_PLACE, /* pieces of the output lie side by side along `axis` */
    CLV_TASK_SUM,   /* every piece has the output's full size; they are added */
    CLV_TASK_SHARE, /* units of one memory do so much each of the whole's work, all in the one
                       output; any may write anywhere in it */
} clv_task_join;

enum { CLV_MOST_FIXED_SHARE = 1000 };

/* A piece that was measured: so much of the positions takes so much of the whole's time. */
typedef struct clv_task_piece {
    double share, part; /* above 0; share below 1 */
} clv_task_piece;

/* A way to cut a task: positions 0 .. extent along `axis` of its output, shared out in multiples of
 * `grain`. The time of a piece is fixed_share of the whole's time plus its share of the rest, which
 * is negative where pieces take longer than the whole. Where pieces were measured, what lies
 * between two of them, or one and the whole, lies on the line between, and smaller ones on the line
 * through the two smallest, but not above the smallest's time, nor below their share of it. */
typedef struct clv_task_split {
    const char *name; /* "output channels", "rows", "batch" */
    clv_task_join join;
    int32_t axis; /* of the output; -1 with SUM and SHARE */
    int64_t extent, grain;
    double fixed_share;             /* 0 .. CLV_MOST_FIXED_SHARE */
    bool splits_weights;            /* a piece holds its share of the weights, else all of them */
    const clv_task_piece *measured; /* by share, ascending; parts never fall */
    uint32_t num_measured;
    const clv_task_split_input *inputs; /* [num_inputs of the task] */
} clv_task_split;

typedef struct clv_task {
    const char *name, *type;
    const char *const *aliases; /* names of what was fused into it, which nothing else has; pins
                                   match these too */
    uint32_t num_aliases;
    const clv_task_time *times; /* each unit or kind once */
    uint32_t num_times;
    double flops;         /* for estimates; 0 with given times */
    double traffic_bytes; /* moved between its memory and it: shares the memory's bandwidth */
    uint64_t weight_bytes;
    uint64_t scratch_bytes; /* that it needs besides while it runs; a piece its share of it */
    const uint32_t *inputs; /* tensors, ascending; a tensor read twice stands once */
    uint32_t num_inputs;
    const uint32_t *outputs; /* ascending; one at least */
    uint32_t num_outputs;
    const clv_task_split *splits;
    uint32_t num_splits;
    uint32_t
        colocation; /* tasks with the same number share a unit: 1 + the first of them; 0: free */
} clv_task;

typedef struct clv_task_tensor {
    const char *name;          /* unique */
    uint64_t bytes;            /* that cross a link when it moves */
    uint64_t resident;         /* that it holds in memory while it lives (0: does not count) */
    uint32_t producer;         /* CLV_NO_TASK: an input of the workload */
    const uint32_t *consumers; /* tasks, ascending */
    uint32_t num_consumers;
    bool is_output;   /* of the workload */
    int32_t num_dims; /* of `dims`; 0 where splits do not matter */
    const int64_t *dims;
} clv_task_tensor;

typedef struct clv_workload {
    clv_arena arena;
    const char *name;
    clv_hash hash;   /* ties plan files to it */
    clv_task *tasks; /* in topological order */
    uint32_t num_tasks;
    clv_task_tensor *tensors;
    uint32_t num_tensors;
} clv_workload;

const char *clv_task_join_name(clv_task_join join);
bool clv_task_join_find(const char *name, clv_task_join *out_join);
/* The first of its splits with SHARE; -1: none. */
int32_t clv_task_shares(const clv_task *task);
/* What a piece with `share` of the positions takes, as a part of the whole's time. */
double clv_task_split_part(const clv_task_split *split, double share);

void clv_workload_destroy(clv_workload *workload);
/* Everything above: ids, order, producers and consumers agree, numbers finite and not negative,
 * names unique, splits fit. MALFORMED names the task or tensor. */
clv_status *clv_workload_verify(const clv_workload *workload) CLV_CHECKED;
/* FILE.tasks.json; docs/tasks.md has the schema. `what` names it in messages, and the workload
 * where the file does not. The result is verified. */
clv_status *clv_workload_parse_json(
    const char *what, const char *json, size_t length, clv_workload **out_workload) CLV_CHECKED;
clv_status *clv_workload_load(const char *path, clv_workload **out_workload) CLV_CHECKED;
/* Such a file, of which the same workload is read back, to the bit. Free with clv_free.
 * UNSUPPORTED: a name that is no UTF-8, or a whole number above 2^53, which JSON cannot hold. */
clv_status *clv_workload_format_json(const clv_workload *workload, char **out_json) CLV_CHECKED;
uint32_t clv_workload_find(
    const clv_workload *workload, const char *name); /* task, or CLV_NO_TASK */

#endif
