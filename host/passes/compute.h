/* Computing a node's outputs on the host while the graph is being rewritten. */
#ifndef CLV_PASSES_COMPUTE_H
#define CLV_PASSES_COMPUTE_H

#include "host/ir/graph.h"

/* Runs the node's reference over the known values of its inputs; the outputs' values are known
 * from then on (arena memory). `is_constant`: they become constants, and the node is removed. */
clv_status *clv_pass_compute(clv_graph *graph, clv_node_id id, bool is_constant) CLV_CHECKED;
/* Whether every input that is there is a constant. */
bool clv_pass_has_constant_inputs(const clv_graph *graph, const clv_node *node);

#endif
