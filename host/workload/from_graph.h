/* The neutral problem that planners see, made from a graph: each node asked for its cost and its
 * splits. */
#ifndef CLV_WORKLOAD_FROM_GRAPH_H
#define CLV_WORKLOAD_FROM_GRAPH_H

#include "host/ir/graph.h"
#include "kernels_cl/kernel.h"
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
 * them reads there. They take no time and are never cut. */
bool clv_call_is_in_place(const clv_call *call);

#endif
