/* What a group of a plan costs: loads of units, links and memories, latency of one request, bytes
 * held. Every policy and the verifier measure by these, so that plans can be compared.
 *
 * A tensor crosses a link once in each direction however many readers it has behind it. A unit with
 * `overlaps` false is occupied by what it sends (the first hop) and by what it receives (the last).
 * Inputs and outputs of the workload live in the machine's home (clv_machine_home).
 */
#ifndef CLV_PARTITION_EVALUATE_H
#define CLV_PARTITION_EVALUATE_H

#include "partition/plan.h"
#include "partition/shared_weights.h"

/* Bytes that come to a unit at one point of a request, or go (negative). */
typedef struct clv_hold {
    uint32_t unit;
    uint64_t when; /* twice the position in the group's order; odd: after it */
    int64_t bytes;
} clv_hold;

/* Of clv_evaluate_sharing: as they are here between two calls, since groups may have few of many
 * units. */
typedef struct clv_sharing_scratch {
    double *wanted;          /* [num_units]: 0 */
    uint32_t *actor_of_unit; /* [num_units]: CLV_NO_INDEX */
    double *most;            /* [num_memories]: 0 */
    double *share;           /* [num_memories] */
    uint32_t *first_part;    /* [num_memories]: CLV_NO_INDEX */
} clv_sharing_scratch;

typedef struct clv_evaluator {
    const clv_costs *costs;
    /* Loads of units, directions of links, memories and processors, one behind the other, and those
     * that are not 0: groups of few units on machines of many are measured by what they touch. */
    double *load_us;
    uint32_t *loaded, num_loaded;
    double *unit_us;       /* [num_units] a request: compute, launches, transfers that occupy it */
    double *link_us;       /* [2 * num_links] */
    double *memory_us;     /* [num_memories] traffic over bandwidth */
    double *processors_us; /* [num_processors] time of threads over their number */
    uint64_t *held;        /* [num_units] bytes, of clv_evaluate_memory */
    uint32_t *holders, num_holders; /* units whose `held` is not 0 */
    clv_shared_weights weights;     /* of groups that are in `held`, and of those before */
    /* Groups that are there already, beside those at hand, which need not hold what these do of
     * weights; not in `held` themselves. Set by clv_evaluate_beside. */
    const clv_group *groups_before;
    uint32_t num_groups_before;
    /* [num_units]: what a unit was said to hold, as a part of what sums say, when last asked; 1:
     * nobody was. Sums count by it. */
    double *scale;
    uint32_t num_learned; /* times that one has changed */
    bool ignores_limits;  /* everything fits */
    /* That every piece of the group at hand is on: tensors then move only from and to the first
     * unit's. CLV_NO_INDEX: several. */
    uint32_t only_memory;
    double serial_us; /* of clv_evaluate_loads: everything one after another, once */
    uint64_t size;    /* tasks, tensors and reads of tensors: about what a look takes */
    /* scratch */
    double *hop_bytes;      /* [2 * num_links]: of the tensor at hand */
    uint32_t *hops;         /* those that carry it */
    double *hop_arrived_us; /* [2 * num_links]: when */
    uint32_t num_hops;
    double *free_us;                    /* [num_units], then [2 * num_links]: 0 but for `busy` */
    uint32_t *busy, num_busy;           /* indices of free_us */
    uint64_t *memory_held;              /* [num_memories]: 0 */
    uint64_t *asked_bytes;              /* [num_units] */
    uint32_t *position;                 /* [num_tasks]: in the group's order */
    double *arrived_us, *arrived_bytes; /* [num_memories]: of the tensor at hand */
    double *ready_us;                   /* [capacity_pieces]: inputs there, then finished */
    size_t capacity_pieces;
    clv_hold *holds; /* [capacity_holds] */
    size_t capacity_holds, num_holds;
    clv_sharing_scratch sharing;
} clv_evaluator;

clv_status *clv_evaluator_create(const clv_costs *costs, clv_evaluator **out_ev) CLV_CHECKED;
void clv_evaluator_destroy(clv_evaluator *ev);

/* Time of a piece of a task alone on its unit, launch counted. */
double clv_piece_time_us(
    const clv_costs *costs, uint32_t task, const clv_placement *placement, const clv_piece *piece);
/* That puts its operand `input` together, whose producer is placed so: what was cut another way is
 * copied. 0 where the piece was measured with it, where the memory's bandwidth is not known, and
 * where times are not measured: estimates have it in their pieces' fixed share. */
double clv_gather_us(
    const clv_costs *costs, uint32_t task, uint32_t input, const clv_placement *placement,
    const clv_piece *piece, const clv_placement *producer);
/* What getting an operand takes that others on the piece's memory wrote, in `sources`, the
 * producer's pieces; 0 where the piece was measured so, or takes no time itself. */
double clv_exchange_us(
    const clv_costs *costs, uint32_t task, uint32_t input, const clv_placement *placement,
    const clv_piece *piece, const clv_placement *producer, const clv_piece *sources);
/* Time to add `bytes` that came from another piece to the sum: two reads and a write. */
double clv_add_us(const clv_costs *costs, uint32_t unit, double bytes);
/* Time of a piece of a group's task alone on its unit, with what puts its operands together. */
double clv_group_piece_us(
    const clv_costs *costs, const clv_group *group, uint32_t task, const clv_piece *piece);
/* Of that, how long the unit's memory would take for its traffic at full bandwidth. */
double clv_piece_traffic_us(
    const clv_costs *costs, uint32_t task, const clv_placement *placement, const clv_piece *piece);
/* Bytes of tensor `input` of `task` that its piece needs out of one piece of the producer's; both
 * placements may be whole. `producer` NULL: an input of the workload. */
double clv_piece_bytes(
    const clv_costs *costs, uint32_t task, uint32_t input, const clv_placement *placement,
    const clv_piece *piece, const clv_placement *producer, const clv_piece *source);

/* What goes from one holder of a tensor to a memory at once: positions of an axis, as parts of its
 * extent; axis -1: all that the holder has. */
typedef struct clv_moved {
    int32_t axis;
    double low, high;
    double bytes; /* 0: nothing of it is needed */
} clv_moved;

/* What all pieces of a group need of each tensor, by memory, so that each is looked at once.
 * Borrows costs and group, which stay as they are. */
typedef struct clv_needs clv_needs;
clv_status *clv_needs_create(const clv_costs *costs, const clv_group *group, clv_needs **out_needs)
    CLV_CHECKED;
void clv_needs_destroy(clv_needs *needs);
/* What a piece needs out of one piece of the producer's (as clv_piece_bytes), with what others on
 * its memory need of that and what overlaps or touches it: all of them get it at once. */
clv_status *clv_moved_of(
    clv_needs *needs, uint32_t task, uint32_t input, const clv_piece *piece,
    const clv_piece *source, clv_moved *out_moved) CLV_CHECKED;

/* Whether pieces along an axis lie side by side in memory: all axes before it have one position. */
bool clv_axis_is_run(const clv_task_tensor *tensor, int32_t axis);

/* Loads of nothing. */
void clv_evaluate_begin(clv_evaluator *ev);
/* Adds `share` times the loads of a group. INFINITY where something cannot run or be reached. */
clv_status *clv_evaluate_loads(clv_evaluator *ev, const clv_group *group, double share) CLV_CHECKED;
/* The largest load; *out_where (may be NULL) is its index: units, then directions of links, then
 * memories, then processors. */
double clv_evaluate_bound(const clv_evaluator *ev, uint32_t *out_where);
/* Periods of groups that run at the same time, each as fast as it can, where units on one memory
 * want more bandwidth than it has: into out_us[num_groups]. 0 where nothing is slowed down, or
 * where it is not told: with groups of very many units (sharing.c). Of the groups, depth and
 * latency must be known. */
clv_status *clv_evaluate_sharing(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups, double *out_us) CLV_CHECKED;
/* Of one request alone, in the group's order, on links too; a serial group does one thing after
 * another: what the last clv_evaluate_loads found for it.
 * `out_start_us` [num_tasks] may be NULL. */
clv_status *clv_evaluate_latency(
    clv_evaluator *ev, const clv_group *group, double *out_us, double *out_start_us) CLV_CHECKED;
/* Whether full output buffers may hold the group up, and there is a clock to ask what that does. */
bool clv_group_blocks(const clv_costs *costs, const clv_group *group);
/* Groups that are there already from now on: as before, and some behind them; or none. Borrowed. */
clv_status *clv_evaluate_beside(clv_evaluator *ev, const clv_group *groups, uint32_t num_groups)
    CLV_CHECKED;
/* Adds what the group holds on each unit at `depth` requests in flight to ev->held, beside weights
 * that groups since clv_evaluate_begin hold in the same memory. The group stays until then. */
clv_status *clv_evaluate_memory(clv_evaluator *ev, const clv_group *group, uint32_t depth)
    CLV_CHECKED;
/* Into ev->held, which begins anew, what groups hold at their depths: by costs->ask_memory, where
 * that knows, else by sums. */
clv_status *clv_evaluate_asked(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups,
    bool *out_is_known) CLV_CHECKED;
/* The same for limits alone: where sums are far below all of them, nobody is asked. *out_is_known:
 * clv_evaluate_fits has the last word. */
clv_status *clv_evaluate_for_limits(
    clv_evaluator *ev, const clv_group *groups, uint32_t num_groups,
    bool *out_is_known) CLV_CHECKED;
/* Adds bytes to ev->held. */
void clv_evaluate_hold(clv_evaluator *ev, uint32_t unit, uint64_t bytes);
/* NO_MEMORY where ev->held is over a unit's limit or a memory's capacity. */
clv_status *clv_evaluate_limits(const clv_evaluator *ev) CLV_CHECKED;
bool clv_evaluate_fits(const clv_evaluator *ev);
/* Bytes over limits and capacities, of all units and memories together. */
double clv_evaluate_excess(const clv_evaluator *ev);

#endif
