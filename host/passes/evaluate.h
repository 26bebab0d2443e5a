/* A whole graph by the references of its operators, on the host: what outputs must be. */
#ifndef CLV_PASSES_EVALUATE_H
#define CLV_PASSES_EVALUATE_H

#include "host/ir/graph.h"

/* Called with each tensor as it is computed (graph inputs first); the data is there until it
 * returns. A failure ends the evaluation. */
typedef clv_status *(*clv_evaluate_hook)(void *context, clv_tensor_id id, const clv_view *value);

/* inputs  [num_inputs of the graph], as the graph has them in type and shape (USAGE otherwise)
 * hook    gets every tensor, constants aside
 * errors  those of references (MALFORMED: a forbidden input value; names the node); UNSUPPORTED;
 *          NO_MEMORY; CANCELLED */
clv_status *clv_evaluate(
    const clv_graph *graph, const clv_view *inputs, clv_evaluate_hook hook,
    void *context) CLV_CHECKED;

#endif
