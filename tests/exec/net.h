/* Small graphs written in C, for tests of what runs them. */
#ifndef CLV_TESTS_EXEC_NET_H
#define CLV_TESTS_EXEC_NET_H

#include "host/base/random.h"
#include "host/ir/graph.h"

typedef struct clv_net {
    clv_graph *graph;
    clv_random random;
    clv_status *status; /* the first failure; everything after it does nothing */
} clv_net;

void clv_net_init(clv_net *net, uint64_t seed);

/* dims ends with 0. Weights are normal, divided by the square root of their fan-in. */
clv_tensor_id clv_net_input(clv_net *net, const char *name, clv_dtype dtype, const int64_t *dims);
clv_tensor_id clv_net_weight(clv_net *net, const char *name, const int64_t *dims);
clv_tensor_id clv_net_ints(clv_net *net, const char *name, const int64_t *values, size_t count);
/* One output. inputs ends with CLV_NO_ID; attrs: "axis=1 pads=1,1,1,1", or "". */
clv_tensor_id clv_net_node(
    clv_net *net, const char *op, const char *name, const clv_tensor_id *inputs, const char *attrs);
void clv_net_output(clv_net *net, clv_tensor_id tensor);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__, 0})
#define IDS(...) ((const clv_tensor_id[]){__VA_ARGS__, CLV_NO_ID})

/* Runs all passes and hands the graph over. */
clv_status *clv_net_finish(clv_net *net, clv_graph **out_graph) CLV_CHECKED;

/* Values of all inputs (normal, or integers from 0 to 3), one allocation each. */
clv_status *clv_net_inputs(const clv_graph *graph, uint64_t seed, clv_view *out_inputs) CLV_CHECKED;
clv_status *clv_net_outputs(const clv_graph *graph, clv_mutable_view *out_outputs) CLV_CHECKED;
void clv_net_free_inputs(const clv_graph *graph, clv_view *inputs);
void clv_net_free_outputs(const clv_graph *graph, clv_mutable_view *outputs);

/* Example graphs: a network with branches, a residual and a constant output; one as
 * SqueezeNet is; one where a kernel can find an index that is out of range; a long chain of tiny
 * operators; any maps, through convolutions and others, in plain memory or in blocks. */
clv_status *clv_net_small(clv_graph **out_graph) CLV_CHECKED;
clv_status *clv_net_fire(clv_graph **out_graph) CLV_CHECKED;
/* Convolutions along one axis as TensorFlow writes them: between views that add a dimension of 1
 * and leave it out. */
clv_status *clv_net_lines(clv_graph **out_graph) CLV_CHECKED;
/* Convolutions of maps whose channels are scaled by factors that lie in a matrix, as Keras writes
 * squeeze and excitation, of 40 and 32 channels. */
clv_status *clv_net_scaled(clv_graph **out_graph) CLV_CHECKED;
clv_status *clv_net_gather(clv_graph **out_graph) CLV_CHECKED;
clv_status *clv_net_random(uint64_t seed, clv_graph **out_graph) CLV_CHECKED;
/* A decoder's step with `rows` rows, weights in half precision: matrix products of drawn sizes, one
 * with its weights transposed, one of two matrices. is_rounded: half precision holds the weights as
 * they are. */
clv_status *clv_net_step(uint64_t seed, int64_t rows, bool is_rounded, clv_graph **out_graph)
    CLV_CHECKED;
clv_status *clv_net_chain(size_t length, int64_t elements, clv_graph **out_graph) CLV_CHECKED;

#endif
