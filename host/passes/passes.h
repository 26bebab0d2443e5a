/* Passes: from the graph as read, its sizes bound (bind.h), to the graph that plans are made for.
 * Device-independent. Each is a function from a valid graph to a valid graph.
 */
#ifndef CLV_PASSES_PASSES_H
#define CLV_PASSES_PASSES_H

#include "host/ir/graph.h"

typedef struct clv_pass {
    const char *name, *summary;
    bool joins; /* operators become one */
    clv_status *(*run)(clv_graph *graph);
} clv_pass;

size_t clv_pass_count(void);
const clv_pass *clv_pass_at(size_t index); /* in the order they run */

/* Called after each pass; a failure ends the run. */
typedef clv_status *(*clv_pass_hook)(void *context, const clv_pass *pass, const clv_graph *graph);

/* Runs every pass, the graph compacted after each, and with CLEAVE_VERIFY verified.
 *
 * hook    may be NULL
 * errors  USAGE: a dimension of an input is free (as clv_bind_check); MALFORMED, UNSUPPORTED: the
 *         message names operator and node; NO_MEMORY; CANCELLED. The graph is then good for nothing
 *         but destruction
 */
clv_status *clv_passes_run(clv_graph *graph, clv_pass_hook hook, void *context) CLV_CHECKED;
/* Runs those that do not join operators: for machines with a unit for each type, and for times that
 * are given by operator. */
clv_status *clv_passes_run_apart(clv_graph *graph) CLV_CHECKED;
/* The first pass alone. */
clv_status *clv_passes_infer(clv_graph *graph) CLV_CHECKED;

/* A status of an operator's function with what people need before its message:
 * "malformed model: Softmax 'probs': axis is 4, the input has rank 2". */
clv_status *clv_pass_blame(clv_status *status, const clv_node *node) CLV_CHECKED;

#endif
