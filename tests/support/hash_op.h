/* An operator whose kernels are C functions for the null driver, and random graphs of it. Every
 * item of a launch reads all input bytes and writes its share of the output bytes as a hash of
 * those and its number: whatever runs too early, too late, twice or not at all changes the
 * result, and ThreadSanitizer sees every race.
 *
 * Beside plain hashing, nodes have packed constants, scratch memory between two launches, views,
 * several outputs and error words. */
#ifndef CLV_TESTS_SUPPORT_HASH_OP_H
#define CLV_TESTS_SUPPORT_HASH_OP_H

#include "host/device/null.h"
#include "host/ir/graph.h"

/* For clv_null_options.find. */
clv_null_function clv_hash_find(const char *entry);

typedef struct clv_hash_graph_options {
    uint64_t seed;
    uint32_t num_nodes;
    uint32_t max_bytes; /* of a tensor */
    uint32_t max_items; /* of a launch */
} clv_hash_graph_options;

/* A valid graph (types uint8, rank 1) of inputs, constants and so many nodes; outputs are some of
 * everything. */
clv_status *clv_hash_graph_create(const clv_hash_graph_options *options, clv_graph **out_graph)
    CLV_CHECKED;

/* What a run must give: by the same functions, node by node. outputs: [num_outputs], with data. */
clv_status *clv_hash_graph_evaluate(
    const clv_graph *graph, const clv_view *inputs, const clv_mutable_view *outputs) CLV_CHECKED;

/* An input byte at the beginning of a node with an error word that makes it complain. */
enum {
    CLV_HASH_FORBIDDEN = 255,
    CLV_HASH_LOCAL_SIZE = 4, /* of its launches where the unit is no CPU */
};
/* Whether the graph has a node that looks at its first input, a graph input, for that byte. */
bool clv_hash_graph_complains(const clv_graph *graph, size_t *out_input);

#endif
