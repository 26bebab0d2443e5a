/* Single nodes while a graph is being rewritten: inferring them, and computing them on the host. */
#ifndef CLV_PASSES_COMPUTE_H
#define CLV_PASSES_COMPUTE_H

#include "host/ir/call.h"

/* Checks the node, runs its operator's infer(), sets params and the types and shapes of outputs,
 * which stay what they were where they were known.
 * errors  as of infer(), without the names of operator and node; INTERNAL where a rewritten node
 *          gives another type or shape than readers of its output were made for */
clv_status *clv_pass_infer_node(clv_graph *graph, clv_node_id id) CLV_CHECKED;

/* What one pass may spend on computing values: a small model must not unfold into memory or hours.
 */
typedef struct clv_compute_budget {
    double bytes; /* of results */
    double work;  /* flops and bytes moved: 4e9, some ten seconds of references */
} clv_compute_budget;

/* bytes: `fixed_bytes`, and `growth` times what the graph's constants are. */
void clv_compute_budget_init(
    const clv_graph *graph, double fixed_bytes, double growth, clv_compute_budget *out_budget);
/* Takes what computing `call` costs out of the budget; false where that is more than is left, or
 * more work than `max_work`: then nothing is taken. */
bool clv_compute_charge(clv_compute_budget *budget, const clv_call *call, double max_work);

/* Takes `bytes` out of the budget; false where that is more than is left: then nothing is taken. */
bool clv_compute_take(clv_compute_budget *budget, double bytes);

/* The node as a call, with the data of every input whose value is known; arrays from `scratch`. */
clv_status *clv_compute_call(
    const clv_graph *graph, const clv_node *node, clv_arena *scratch,
    clv_call *out_call) CLV_CHECKED;
/* Whether all inputs that are there have data, or the operator needs none. */
bool clv_compute_is_known(const clv_call *call);
/* Whether every input that is there is a constant. */
bool clv_compute_is_constant(const clv_graph *graph, const clv_node *node);

/* Memory for the value of a tensor; NULL where there is none. */
typedef void *(*clv_compute_allocate)(void *context, clv_tensor_id id, size_t bytes);

/* Runs the reference and sets the data of the outputs in `wanted` (bit i: output i; those beyond 31
 * always). `is_constant`: these become constants. The node stays as it is. */
clv_status *clv_compute_outputs(
    clv_graph *graph, const clv_node *node, const clv_call *call, uint32_t wanted, bool is_constant,
    clv_compute_allocate allocate, void *context) CLV_CHECKED;

#endif
