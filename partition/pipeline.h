/* What the parts of the pipeline policy share: atoms, sorts of units, the load of a set of atoms
 * kept up to date, lattices of down-closed sets. An atom is tasks that must share a stage:
 * colocated ones, those that can run on one unit only, and all that lies between them.
 *
 * The load of a stage on a unit is taken from the unit and the stage alone: compute, and what its
 * memory's only link carries in and out. That is all there is where every memory hangs on one hub,
 * and a bound below the truth elsewhere but where memories have several links (`is_bound` false).
 */
#ifndef CLV_PARTITION_PIPELINE_H
#define CLV_PARTITION_PIPELINE_H

#include "partition/policy.h"

/* Units that are the same for a stage. */
typedef struct clv_pipe_sort {
    uint32_t first, count; /* of pipe->units */
    uint32_t cost_class;
    double in_latency_us, in_us_per_byte, out_latency_us, out_us_per_byte, launch_us;
    bool overlaps, half_duplex, is_home; /* is_home: holds the workload's inputs and outputs */
    uint64_t limit_bytes;
    uint32_t stride; /* in a vector of numbers of used units */
} clv_pipe_sort;

typedef struct clv_pipe_tensor {
    uint32_t producer;    /* atom, or CLV_NO_INDEX: the workload's input */
    uint32_t num_readers; /* atoms but the producer */
    double bytes, resident;
    bool is_output;
} clv_pipe_tensor;

/* The set at hand. Bytes are whole numbers, so that adding and taking away leaves no rounding. */
typedef struct clv_pipe_set {
    bool *has;             /* [num_atoms] */
    uint32_t *left, *seen; /* [num_tensors]: readers outside; readers inside */
    double in_bytes, out_bytes, in_count, out_count;
    double home_in_bytes, home_out_bytes, home_in_count, home_out_count;
    double weights, touched; /* bytes: weights; tensors made or read */
} clv_pipe_set;

typedef struct clv_pipe {
    const clv_problem *problem; /* &own */
    clv_problem own;            /* with the units that pins name: a pin holds everywhere */
    clv_arena arena;
    uint32_t num_atoms, num_sorts, num_tensors, max_stages;
    uint32_t *atom_of_task; /* [num_tasks]; atoms are in topological order */
    bool *is_back;          /* [num_tasks], folded: on the way back, whose edges order no atoms;
                               NULL: it is not */
    double *time_us;        /* [num_atoms][num_sorts], launches counted */
    double *weights;        /* [num_atoms] */
    double *least_us;       /* [num_atoms]: on the sort that is fastest for it */
    double bound_us;        /* the largest of these: no cut has a smaller load */
    clv_pipe_sort *sorts;
    uint32_t *units;
    clv_pipe_tensor *tensors;
    uint32_t *first_in, *ins;    /* tensors that an atom reads from others */
    uint32_t *first_out, *outs;  /* and makes for others */
    uint32_t *first_next, *next; /* atoms after it, once for each tensor read */
    uint32_t *num_before;        /* [num_atoms], counted the same way */
    bool is_bound;               /* loads are never above the truth */
    bool is_careful;             /* count every tensor against memory, not weights alone */
    clv_pipe_set set;
} clv_pipe;

/* `is_folded`: folded (pipeline_fold.c) if that can be; then is_back is not NULL. */
clv_status *clv_pipe_create(const clv_problem *problem, bool is_folded, clv_pipe **out_pipe)
    CLV_CHECKED;
void clv_pipe_destroy(clv_pipe *pipe);

/* --- folding; pipeline_fold.c --- */

/* Sets is_back where the workload has a way back that is tied to its way there. */
clv_status *clv_pipe_find_back(clv_pipe *pipe) CLV_CHECKED;
/* Puts tasks of the way back that nothing ties (`ring` leads to themselves) to the atom that makes
 * most of what they read, and numbers atoms anew; `number` [num_atoms] is scratch. */
void clv_pipe_attach_back(clv_pipe *pipe, const uint32_t *ring, uint32_t *number);
/* Numbers stages of the way back, so that no edge leads to an earlier one. */
void clv_pipe_number_back(const clv_pipe *pipe, clv_group *group);

/* Atoms come in topological order and leave in the opposite one. */
void clv_pipe_add(clv_pipe *pipe, uint32_t atom);
void clv_pipe_remove(clv_pipe *pipe, uint32_t atom);
/* Of the set, whose compute on the sort is `compute_us`; INFINITY where memory does not suffice. */
double clv_pipe_load(const clv_pipe *pipe, uint32_t sort, double compute_us);
/* That no larger set on the sort goes below: compute, and what is received. */
double clv_pipe_least_load(const clv_pipe *pipe, uint32_t sort, double compute_us);

/* Down-closed sets by size, from the empty one to all; edges add one atom. */
typedef struct clv_lattice {
    uint32_t num_sets;
    uint32_t *first_edge; /* [num_sets + 1] */
    uint32_t *edge_atom, *edge_to;
    double *least_us; /* [num_sets]: sum of the atoms' least times */
} clv_lattice;

/* Prefixes of an order. */
clv_status *clv_lattice_from_order(
    const clv_pipe *pipe, const uint32_t *order, clv_lattice *out_lattice) CLV_CHECKED;
/* All of them; *out_is_complete false (and the lattice empty) where there are more than `limit`. */
clv_status *clv_lattice_from_graph(
    const clv_pipe *pipe, uint32_t limit, clv_lattice *out_lattice,
    bool *out_is_complete) CLV_CHECKED;
void clv_lattice_deinit(clv_lattice *lattice);

/* Stages in order: the sort of each and the atoms. */
typedef struct clv_pipe_cut {
    uint32_t num_stages;
    uint32_t *sort;  /* [max_stages] */
    uint32_t *stage; /* [num_atoms] */
    double load_us;  /* of the most loaded stage; INFINITY: none found */
} clv_pipe_cut;

clv_status *clv_pipe_cut_init(const clv_pipe *pipe, clv_pipe_cut *out_cut) CLV_CHECKED;
void clv_pipe_cut_deinit(clv_pipe_cut *cut);

/* The best cut along the lattice that is better than *cut, which it replaces. *steps is counted
 * down; *out_is_complete false where it ran out, or the table would be too large. */
clv_status *clv_pipe_solve(
    clv_pipe *pipe, const clv_lattice *lattice, uint64_t *steps, clv_pipe_cut *cut,
    bool *out_is_complete) CLV_CHECKED;
/* Along one order with the units in several orders: the least threshold under which filling one
 * unit after another succeeds. Improves *cut. */
clv_status *clv_pipe_fill(clv_pipe *pipe, const uint32_t *order, clv_pipe_cut *cut) CLV_CHECKED;

/* --- small problems whole; pipeline_whole.c --- */

/* The period that a draft of one group promises, on the clock where it is clocked; INFINITY: it
 * does not fit, or cannot run. */
clv_status *clv_pipe_promise(const clv_problem *problem, clv_draft *draft, double *out_us)
    CLV_CHECKED;
bool clv_pipe_is_small(const clv_pipe *pipe);
/* NO: not tried. EXACT: by sums none does more than the draft on the clock. BEST: some do, and the
 * clock prefers the draft to the best of them. */
typedef enum clv_pipe_whole {
    CLV_PIPE_WHOLE_NO,
    CLV_PIPE_WHOLE_EXACT,
    CLV_PIPE_WHOLE_BEST
} clv_pipe_whole;

/* Tries every assignment, unless *draft (no groups: there is none yet) does what `least_us` says
 * that none can better. The best replaces *draft. */
clv_status *clv_pipe_search_whole(
    const clv_pipe *pipe, double least_us, clv_draft *draft,
    clv_pipe_whole *out_result) CLV_CHECKED;

enum { CLV_NUM_PIPE_ORDERS = 4 };
/* The which-th topological order of atoms: as given, depth first, breadth first, few live bytes. */
clv_status *clv_pipe_order(const clv_pipe *pipe, uint32_t which, uint32_t *out_order) CLV_CHECKED;

#endif
