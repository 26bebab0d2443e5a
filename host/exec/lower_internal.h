/* A lowering at work. For lower*.c. */
#ifndef CLV_EXEC_LOWER_INTERNAL_H
#define CLV_EXEC_LOWER_INTERNAL_H

#include "host/exec/choose.h"
#include "host/exec/lower.h"

/* Nodes are visited last to first: a node is needed when a launch of a later one reads what it
 * writes, which only its emit() can tell (a packed weight is not read as it stands). */
typedef struct lowering {
    const clv_graph *graph;
    const clv_lower_options *options;
    clv_lowered *out;
    clv_tensor_id *alias; /* out->tensor_root */
    int64_t *first;       /* out->tensor_first */
    bool *runs_nothing;   /* [num_nodes]: what it makes is where it must be already */
    bool *needed;         /* [num_tensors]: its bytes are read on the device; of aliases the root */
    const clv_call **calls; /* [num_nodes]; NULL: runs nothing */
    uint32_t num_launches;  /* that are done in shares */
    clv_chosen chosen;
    uint32_t *other_storage; /* [num_tensors]: a root in the layout that is not its home's */
    clv_step *steps;         /* launches: of the last node first, each node's in order */
    size_t num_steps, capacity_steps;
    size_t *first_step; /* [num_nodes]: in `steps`; choices[node].num_launches of them */
    /* of the node that emits */
    uint32_t node;
    const clv_call *call;
    uint32_t num_scratches, num_constants;
    uint32_t scratches[CLV_MAX_ARGS * 4], constants[CLV_MAX_ARGS * 4];
    /* where a reorder is emitted: what it reads and what it writes */
    bool is_reorder, is_input;
    size_t *first_input_step; /* [num_inputs + 1]: reorders of inputs, in `steps` */
    uint32_t reorder_from, reorder_to;
} lowering;

/* lower_shares.c: the steps of a launch of l->node: of one unit, or of each that has a share of it.
 */
clv_status *clv_lower_add_launch(lowering *l, clv_step *step, uint64_t num_items) CLV_CHECKED;
/* What a node's kernels are made for: as many lanes as it has shares, or would have if all were as
 * small as the smallest. */
clv_traits clv_lower_traits(const lowering *l, clv_node_id node);

/* lower_runs.c: tensors that are runs of others' elements lie within them. After variants and
 * layouts are chosen. */
void clv_lower_find_runs(lowering *l);
/* Bytes from the beginning of its root's memory to a tensor's, as the root lies there. */
uint64_t clv_lower_start(const lowering *l, clv_tensor_id tensor);
/* Fills offset, begin and bytes of an operand whose storage is the tensor's in `layout`. */
void clv_lower_range(
    const lowering *l, clv_tensor_id tensor, const clv_layout *layout, clv_operand *operand);

/* lower_memory.c: slots and lifetimes of all storages, places of all but constants. */
clv_status *clv_lower_plan_memory(clv_lowered *out, const clv_lower_options *options) CLV_CHECKED;

#endif
