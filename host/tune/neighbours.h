/* Units that run a graph over and over while another unit is measured, so that it has no more of
 * what they share (memory, caches) than when all are at work.
 */
#ifndef CLV_TUNE_NEIGHBOURS_H
#define CLV_TUNE_NEIGHBOURS_H

#include "host/exec/unit.h"
#include "host/ir/graph.h"
#include "host/tune/cost_db.h"
#include <stdatomic.h>

typedef struct clv_neighbours clv_neighbours;

typedef struct clv_neighbours_request {
    const clv_graph *graph;
    const clv_exec_unit *const *units; /* [count] */
    size_t count;
    const clv_view *inputs;    /* [graph->num_inputs] */
    const clv_cost_db *db;     /* that variants are chosen by; not used after the start */
    const atomic_bool *cancel; /* NULL: cannot be interrupted */
} clv_neighbours_request;

/* Everything is borrowed. Returns when all of them have run the graph twice and are at it again.
 * Errors as clv_replica_init and clv_executor_run. */
clv_status *clv_neighbours_start(
    const clv_neighbours_request *request, clv_neighbours **out_neighbours) CLV_CHECKED;
/* What failed since, if anything did. NULL is fine. */
clv_status *clv_neighbours_stop(clv_neighbours *neighbours) CLV_CHECKED;

/* Memory for what a graph puts out; [num_outputs], to be dropped in any case. NO_MEMORY. */
clv_status *clv_tune_outputs_init(const clv_graph *graph, clv_mutable_view **out_outputs)
    CLV_CHECKED;
void clv_tune_outputs_deinit(const clv_graph *graph, clv_mutable_view *outputs);

#endif
