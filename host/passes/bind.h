/* Giving a graph its sizes: free dimensions by name, inputs by shape, and inputs whose values
 * shapes depend on. */
#ifndef CLV_PASSES_BIND_H
#define CLV_PASSES_BIND_H

#include "host/ir/graph.h"

typedef struct clv_bound_dim {
    const char *name;
    int64_t size;
} clv_bound_dim;

/* An input's shape; `data` too where its value is known (then it lives as long as the graph, or is
 * copied by clv_bind_values). */
typedef struct clv_bound_input {
    const char *name;
    clv_dtype dtype; /* NONE: as the model has it */
    clv_shape shape;
    const void *data;
} clv_bound_input;

typedef struct clv_bindings {
    const clv_bound_dim *dims;
    size_t num_dims;
    const clv_bound_input *inputs;
    size_t num_inputs;
} clv_bindings;

/* Sets the shapes of graph inputs; a dimension that shares its name with others gives them its
 * size. Dimensions that nothing binds stay free.
 *
 * errors  USAGE: no such dimension or input (suggests the nearest), a size below 0, contradictions
 *          (both sides named) */
clv_status *clv_bind_shapes(clv_graph *graph, const clv_bindings *bindings) CLV_CHECKED;
/* USAGE names the first input dimension that is still free, and the flag that binds it. */
clv_status *clv_bind_check(const clv_graph *graph) CLV_CHECKED;

/* Which graph inputs shapes depend on, through whatever lies between: their values must be known
 * before inference.
 * out_needed  [num_inputs] */
clv_status *clv_bind_needed(const clv_graph *graph, bool *out_needed) CLV_CHECKED;
/* Gives needed inputs the value of their binding (copied). UNSUPPORTED names an input that is
 * needed and has none. The graph's hash takes in the values, and the shapes. */
clv_status *clv_bind_values(clv_graph *graph, const clv_bindings *bindings) CLV_CHECKED;

/* The name of the first graph input without a known value that the value of tensor `id` depends on,
 * NULL where there is none; borrowed from the graph. */
clv_status *clv_bind_find_source(const clv_graph *graph, clv_tensor_id id, const char **out_name)
    CLV_CHECKED;

#endif
