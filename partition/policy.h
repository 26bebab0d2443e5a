/* What a policy is: a function from a problem (costs, the units it may use, pins) to a draft of a
 * plan. One file each, listed in policies.def.
 */
#ifndef CLV_PARTITION_POLICY_H
#define CLV_PARTITION_POLICY_H

#include "partition/evaluate.h"

typedef struct clv_problem clv_problem;

/* Groups with every placement filled in; in the problem's arena. */
typedef struct clv_draft {
    clv_group *groups;
    uint32_t num_groups;
    const char *method;
    bool is_exact_by_sums; /* which the clock may not reach */
    const char *policy;    /* canonical; NULL: as asked */
    /* Found by clv_draft_score: */
    uint32_t depth;
    double period_us, latency_us;
} clv_draft;

typedef struct clv_policy {
    clv_policy_info info;
    bool takes_count, holds_another;
    clv_status *(*make)(const clv_problem *problem, clv_draft *out_draft);
} clv_policy;

enum { CLV_MAX_POLICY_LEVELS = 4 };

typedef struct clv_policy_level {
    const clv_policy *policy;
    uint32_t count; /* 0: not said */
} clv_policy_level;

typedef struct clv_policy_spec {
    clv_policy_level levels[CLV_MAX_POLICY_LEVELS]; /* outermost first */
    uint32_t num_levels;
} clv_policy_spec;

struct clv_problem {
    const clv_costs *costs;
    clv_evaluator *ev;
    clv_arena *arena;
    const uint32_t *units; /* that may be used, in order of priority */
    uint32_t num_units;
    const uint32_t *pins; /* [num_tasks]: the unit, or CLV_NO_INDEX; same throughout a colocation */
    const char *const *pin_reasons;      /* [num_tasks] */
    const uint32_t *first_of_colocation; /* [num_tasks]: first task of its colocation, or itself */
    const double *atom_us;  /* [num_tasks][num_cells], as costs: of a colocation, at its first */
    clv_policy_level level; /* of this policy */
    const clv_policy_level *inner; /* of those that it holds */
    uint32_t num_inner;
    clv_objective objective;
    const clv_plan_request *request;
    uint64_t budget; /* steps */
    /* auto, which may choose: has fewer requests in flight where full buffers would deadlock, and
     * as many as gain something under every policy that it tries. Else such a draft is refused, and
     * depths are their policy's. */
    bool may_choose_depth;
    /* Of the problem of all units, as clv_problem_has_limits has it, also where a part of it is for
     * some: for what is asked once for each of many units. */
    bool any_limits;
};

/* USAGE, with the nearest name. */
clv_status *clv_policy_parse(const char *text, clv_policy_spec *out_spec) CLV_CHECKED;
char *clv_policy_format(clv_arena *arena, const clv_policy_level *levels, uint32_t num_levels);
const clv_policy *clv_policy_find(const char *name);

/* Whether a task may be on a unit: it can run there, so can its colocation, no pin forbids it. */
bool clv_problem_allows(const clv_problem *problem, uint32_t task, uint32_t unit);
/* The first task that a pin places; CLV_NO_TASK: none. */
uint32_t clv_problem_find_pinned(const clv_problem *problem);
/* UNSUPPORTED: the first task that no unit of the problem may run, and why. */
clv_status *clv_problem_no_unit(const clv_problem *problem) CLV_CHECKED;
/* The first `count` units, those that pins name before others; [num_units of the machine].
 * USAGE where pins name more. */
clv_status *clv_problem_first_units(const clv_problem *problem, uint32_t count, uint32_t *out_units)
    CLV_CHECKED;
/* Time of a task's colocation on a unit; INFINITY: cannot. */
double clv_problem_atom_us(const clv_problem *problem, uint32_t task, uint32_t unit);
/* Reads pins and colocations. USAGE: a pin that cannot be kept. */
clv_status *clv_problem_read_pins(clv_problem *problem) CLV_CHECKED;

/* A group with every task whole on assignment[task] in stage stage[task] (NULL: 0). */
clv_status *clv_group_from_units(
    const clv_problem *problem, const uint32_t *assignment, const uint32_t *stages,
    const char *reason, clv_group *out_group) CLV_CHECKED;
/* A draft of one group. */
clv_status *clv_draft_from_units(
    const clv_problem *problem, const uint32_t *assignment, const uint32_t *stages,
    const char *reason, clv_draft *out_draft) CLV_CHECKED;
/* Whether a unit that may be used, or its memory, has a limit. */
bool clv_problem_has_limits(const clv_problem *problem);
/* The draft of a policy, scored and measured on the clock; where all that it tried holds too much
 * and it may place tasks anywhere (serial, tensor, branch), a placement that fits is looked for
 * (repair.c). NO_MEMORY: none was found. */
clv_status *clv_draft_make(
    const clv_problem *problem, const clv_policy_spec *spec, clv_draft *out_draft) CLV_CHECKED;
/* Of `depth` requests in flight those in group g of several: at least one, since there are no more
 * groups than requests; 0 for 0: not said. */
static inline uint32_t clv_depth_of_group(uint32_t depth, uint32_t num_groups, uint32_t g) {
    return depth / num_groups + (g < depth % num_groups ? 1 : 0);
}

/* Of two reasons why there is no plan, either NULL, the one to tell: the first, but memory rather
 * than what a unit cannot run, since with more of it there were a plan. Takes both. */
clv_status *clv_refusal_join(clv_status *first, clv_status *second);

/* Shares, depth, period and latency. NO_MEMORY where it does not fit. */
clv_status *clv_draft_score(const clv_problem *problem, clv_draft *draft) CLV_CHECKED;
/* Whether plans of this size are measured on the clock too. */
bool clv_draft_is_clocked(const clv_problem *problem, const clv_draft *draft);
/* Period and latency of a scored draft on the clock, where it is clocked; its depth grows where
 * that gains something and memory allows, and shrinks where the run holds more than was thought.
 * NO_MEMORY: too much at any depth. */
clv_status *clv_draft_clock(const clv_problem *problem, clv_draft *draft) CLV_CHECKED;
/* Into the problem's evaluator what a scored draft holds, for limits: by whoever can tell, else in
 * a run where it is clocked, else by sums. */
clv_status *clv_draft_hold(const clv_problem *problem, const clv_draft *draft) CLV_CHECKED;
/* NO_MEMORY where a draft holds too much at its depth, as clv_draft_hold has it. */
clv_status *clv_draft_check_fit(const clv_problem *problem, const clv_draft *draft) CLV_CHECKED;
/* What clocked groups hold in a run with as many requests in flight as their depths say, into the
 * problem's evaluator. */
clv_status *clv_clock_memory(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups) CLV_CHECKED;
/* By the problem's objective, ties by the other one. */
bool clv_draft_is_better(const clv_problem *problem, const clv_draft *a, const clv_draft *b);

/* The problem's units by the kind of task that they run (clv_costs; one kind but on a bespoke
 * machine), in order; in the problem's arena. */
typedef struct clv_kind_units {
    uint32_t *first; /* [num_kinds + 2] into units */
    uint32_t *units; /* [num_units] */
} clv_kind_units;

clv_status *clv_units_by_kind(const clv_problem *problem, clv_kind_units *out_units) CLV_CHECKED;
/* Those of a task's kind; borrowed. */
static inline const uint32_t *clv_units_of_task(
    const clv_problem *problem, const clv_kind_units *by_kind, uint32_t task, uint32_t *out_count) {
    const uint32_t *first = &by_kind->first[problem->costs->kind_of_task[task]];
    *out_count = first[1] - first[0];
    return by_kind->units + first[0];
}

/* One unit of every sort that differs for planning (times, way to inputs and outputs, limits),
 * in order; [num_units] at most. */
clv_status *clv_distinct_units(const clv_problem *problem, uint32_t *out_units, uint32_t *out_count)
    CLV_CHECKED;

/* Units for policies that try every unit with every other. */
enum { CLV_MOST_CHOSEN_UNITS = 64 };

typedef struct clv_unit_choice {
    uint32_t units[CLV_MOST_CHOSEN_UNITS]; /* one of each sort, those that pins name too */
    uint32_t count;                        /* 0: pins name as many as can be or more */
    uint32_t num_sorts; /* those of pins counted; more than `count`: some are left out, those on
                         * which least is gained */
    /* Each other unit that may be used has one among these that does all that it does, no slower;
     * where memory has room. */
    bool is_complete;
} clv_unit_choice;

clv_status *clv_choose_units(const clv_problem *problem, clv_unit_choice *out_choice) CLV_CHECKED;

/* Into the evaluator: what groups hold at their depths, in a run where `is_clocked`. */
clv_status *clv_hold_groups(
    const clv_problem *problem, const clv_group *groups, uint32_t num_groups,
    bool is_clocked) CLV_CHECKED;
/* USAGE: a unit of the machine that gets no work, where that is not allowed, and why. */
clv_status *clv_plan_check_idle(
    const clv_problem *problem, const clv_policy_spec *spec, const clv_plan *plan) CLV_CHECKED;
/* Numbers of a plan whose groups, shares and depths are known. */
clv_status *clv_plan_measure(const clv_costs *costs, clv_plan *plan) CLV_CHECKED;
/* What clv_plan_verify proves, but for numbers and memory. */
clv_status *clv_plan_structure_verify(const clv_costs *costs, const clv_plan *plan) CLV_CHECKED;

/* Runs `policy` on the same problem with other units. */
clv_status *clv_policy_run(
    const clv_problem *problem, clv_policy_level level, const clv_policy_level *inner,
    uint32_t num_inner, const uint32_t *units, uint32_t num_units,
    clv_draft *out_draft) CLV_CHECKED;

#define POLICY(name, takes_count, holds_another, description) \
    clv_status *clv_policy_make_##name(const clv_problem *problem, clv_draft *out_draft);
#include "partition/policies.def"
#undef POLICY

#endif
