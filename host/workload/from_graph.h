/* The neutral problem that planners see, made from a graph: each node asked for its cost and its
 * splits. */
#ifndef CLV_WORKLOAD_FROM_GRAPH_H
#define CLV_WORKLOAD_FROM_GRAPH_H

#include "host/ir/graph.h"
#include "host/ops/op.h"
#include "partition/workload.h"

/* One task for each node, in the graph's order and under its name; operators that move no data
 * take no time. Times are not given: they are estimated from flops and bytes, or measured later.
 * Constants are the weights of the tasks that read them.
 *
 * graph         at level SHAPES; not needed afterwards
 * out_workload  verified; carries the graph's hash */
clv_status *clv_workload_from_graph(const clv_graph *graph, clv_workload **out_workload)
    CLV_CHECKED;

/* Slices and concatenations of runs of elements: whoever makes them writes in place, whoever reads
 * them reads there. They take no time. */
bool clv_call_is_in_place(const clv_call *call);

/* Whether units can do shares of its work-items. */
bool clv_call_has_shares(const clv_call *call);

/* clv_call_splits, with a grain of all positions where cutting gives nothing. */
clv_status *clv_call_useful_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list)
    CLV_CHECKED;

#endif
