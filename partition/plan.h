/* A plan: where everything runs. Data; made by a policy (policies.def), by hand, or read from a
 * file.
 *
 * A plan has groups of units that each serve whole requests (replicas of data parallelism; one
 * group without it). In a group every task is placed: on one unit, or split in pieces over several.
 * Stages number the parts of a pipeline.
 */
#ifndef CLV_PARTITION_PLAN_H
#define CLV_PARTITION_PLAN_H

#include "partition/costs.h"

/* Requests in flight, of all groups together: as a request, in a plan and in its file; also the
 * most that a number on the command line may be. */
enum { CLV_MOST_DEPTH = 1000000000 };

/* Of what the caller gives, a memory gets the positions that it needs, and what it makes goes to
 * the caller from there, where these are at most so many runs of bytes; else all of it goes. */
enum { CLV_MOST_RUNS = 64 };

typedef enum clv_objective { CLV_THROUGHPUT, CLV_LATENCY } clv_objective;

typedef struct clv_piece {
    uint32_t unit;
    int64_t begin, end; /* positions of the split's axis; 0, 0 where the task is whole */
} clv_piece;

typedef struct clv_placement {
    uint32_t first_piece, num_pieces; /* of group->pieces */
    int32_t split;                    /* index of the task's splits; -1: whole */
    uint32_t stage;
    const char *reason; /* "fastest here", "pinned by 'conv.*=gpu:0'", "keeps the cut small", ... */
} clv_placement;

/* How the reason of a placement begins that a pin asked for, also in plan files: nobody else takes
 * such a task in a dynamic run. */
#define CLV_PINNED_REASON "pinned by "

typedef struct clv_group {
    clv_placement *placements; /* [num_tasks] */
    clv_piece *pieces;
    uint32_t num_pieces, num_stages;
    /* [num_tasks]: tasks by priority, topological: each unit runs its own in this order. NULL: by
     * index. */
    uint32_t *order;
    bool is_serial;               /* one task or transfer at a time */
    bool is_folded;               /* a unit has several stages: parts of the way there and back */
    double share;                 /* of the requests; groups' shares add up to 1 */
    uint32_t depth;               /* requests in flight in it */
    double bound_us;              /* its most loaded unit, link or memory, a request */
    double period_us, latency_us; /* predicted, alone: period = max(bound, latency / depth) */
} clv_group;

typedef struct clv_plan {
    clv_arena arena;
    const char *policy; /* canonical: "data:2/pipeline:3" */
    clv_objective objective;
    clv_hash workload_hash;
    clv_group *groups;
    uint32_t num_groups;
    uint32_t depth;            /* requests in flight that it is meant for */
    double period_us;          /* predicted time between results in the steady state */
    double latency_us;         /* predicted, of one request alone */
    uint64_t *memory_bytes;    /* [num_units]: room it needs at `depth`: no less than a run holds */
    uint32_t best_single_unit; /* CLV_NO_INDEX: none can hold and run it */
    double best_single_period_us, best_single_latency_us;
    /* Over the best single unit, by the objective; 0: no single unit can hold and run it. It is
     * worth it from 1.05 on: a prediction is no better than that. */
    double gain;
    bool worth_it;
    const char *limit;  /* what keeps it from being faster: "stage 2 on gpu:1", "link gpu:0-host",
                           "memory of host" */
    const char *method; /* "exact over 812 down-closed cuts", "best of 8 linear orders" */
} clv_plan;

/* A pin: tasks whose name or alias the regular expression matches (POSIX extended, anywhere) run on
 * `unit`. */
typedef struct clv_pin {
    const char *pattern, *unit;
} clv_pin;

typedef struct clv_plan_request {
    const char *policy; /* as typed */
    clv_objective objective;
    bool has_objective; /* else the policy's own default */
    const clv_pin *pins;
    size_t num_pins;
    const double
        *tensor_shares; /* --tensor-split, one for each unit of the machine, for policy tensor
                           and products that hold it; NULL: in proportion to speed */
    size_t num_tensor_shares;
    uint32_t depth; /* 0: the plan's choice; at most CLV_MOST_DEPTH */
    bool allow_idle;
    /* Of searches, in steps (about a microsecond each), so that the result does not depend on the
     * machine's speed; 0: 2 million. */
    uint64_t budget;
} clv_plan_request;

/* USAGE: unknown policy, pin that cannot be kept, idle unit. UNSUPPORTED: a task that no unit can
 * run. NO_MEMORY: what cannot be held says how much is missing and where. Same input, same plan, to
 * the byte. */
clv_status *clv_plan_create(
    const clv_costs *costs, const clv_plan_request *request, clv_plan **out_plan) CLV_CHECKED;
/* Adds to a refusal, which says that memory does not hold what was asked for, what it would hold,
 * as a user would ask for it; takes it. request->policy NULL: something else than a policy. */
clv_status *clv_plan_advise(
    clv_status *status, const clv_costs *costs, const clv_plan_request *request) CLV_CHECKED;
void clv_plan_destroy(clv_plan *plan);
/* Everything that must hold of a plan on its machine and workload: complete, pieces cover each
 * split, units can run their tasks, each is in one group, colocations hold, memory fits, stages
 * monotonous along edges, numbers as predicted. MALFORMED; NO_MEMORY. */
clv_status *clv_plan_verify(const clv_costs *costs, const clv_plan *plan) CLV_CHECKED;

/* --- what a plan costs at other depths --- */

typedef struct clv_plan_depth {
    uint32_t depth;
    double period_us;
    uint64_t memory_bytes; /* of all units */
    bool fits;             /* within every memory limit */
} clv_plan_depth;

/* Deals `depth` requests in flight to groups in proportion to those that they were planned with, so
 * that as many as the plan has are where the plan has them; parts of one go to those that end them
 * soonest by their latencies and bounds. 0 for some where there are few, and never more than one
 * for a serial group. */
clv_status *clv_deal_depth(
    const clv_group *groups, uint32_t num_groups, uint32_t depth, uint32_t *out_depths) CLV_CHECKED;
/* The same for a plan, which need not have been measured, and which then has that depth: groups
 * that get none are left out, the others' shares add up to 1 again. What was measured of it is to
 * be measured again. NO_MEMORY. */
clv_status *clv_plan_deal(const clv_costs *costs, clv_plan *plan, uint32_t depth) CLV_CHECKED;
/* Fills in rows of the depths that they name: each is a run on the clock. */
clv_status *clv_plan_depths(
    const clv_costs *costs, const clv_plan *plan, uint32_t num_rows,
    clv_plan_depth *rows) CLV_CHECKED;

/* --- policies --- */

typedef struct clv_policy_info {
    const char *name, *description;
} clv_policy_info;

size_t clv_policy_count(void);
const clv_policy_info *clv_policy_get(size_t index);
/* Copies of every functional unit that a policy on a bespoke machine needs: K of "data:K/...". */
clv_status *clv_policy_copies(const char *policy, uint32_t *out_copies) CLV_CHECKED;

/* --- files --- */

/* docs/plans.md. Reading checks the hash, units and drivers, and verifies; for `depth` requests in
 * flight, dealt as by clv_plan_deal, where that is not 0. */
clv_status *clv_plan_format_json(const clv_costs *costs, const clv_plan *plan, char **out_json)
    CLV_CHECKED;
clv_status *clv_plan_parse_json(
    const clv_costs *costs, const char *what, const char *json, size_t length, uint32_t depth,
    clv_plan **out_plan) CLV_CHECKED;

#endif
