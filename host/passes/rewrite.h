/* What passes that join nodes share. */
#ifndef CLV_PASSES_REWRITE_H
#define CLV_PASSES_REWRITE_H

#include "host/ir/graph.h"

/* Node `into` answers to the names of `from` as well. */
clv_status *clv_pass_adopt(clv_graph *graph, clv_node_id into, clv_node_id from) CLV_CHECKED;

/* Appends `node`, given but for its output and name, and infers it: out_id is a new value of that
 * type and shape, named after it, as the node is. */
clv_status *clv_pass_add_node(
    clv_graph *graph, const char *name, clv_dtype dtype, const clv_shape *shape, clv_node node,
    clv_tensor_id *out_id) CLV_CHECKED;

/* The node has `attr` from now on, in the place of one of that name. What it points to is kept. */
clv_status *clv_pass_set_attr(clv_graph *graph, clv_node_id id, const clv_attr *attr) CLV_CHECKED;
/* Integers, which are copied. */
clv_status *clv_pass_set_ints(
    clv_graph *graph, clv_node_id id, const char *name, const int64_t *values,
    size_t count) CLV_CHECKED;

/* A new value: the elements of `of` in another shape, by a Reshape at the end of the graph. */
clv_status *clv_pass_add_view(
    clv_graph *graph, clv_tensor_id of, const clv_shape *shape, clv_tensor_id *out_id) CLV_CHECKED;

/* Whatever the node was, it becomes the Reshape of `input` to the shape that its output has. */
clv_status *clv_pass_make_view(clv_graph *graph, clv_node_id id, clv_tensor_id input) CLV_CHECKED;

/* A constant that holds one element's worth of float32: its value; false for anything else. */
bool clv_pass_scalar(const clv_graph *graph, clv_tensor_id id, double *out_value);

#endif
