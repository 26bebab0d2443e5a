/* Dead code: nodes whose outputs nobody reads. */
#include "host/base/memory.h"
#include "host/passes/passes.h"

clv_status *clv_pass_dce(clv_graph *graph) CLV_CHECKED;

clv_status *clv_pass_dce(clv_graph *graph) {
    bool *is_needed = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *is_needed);
    if (is_needed == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for dead code elimination");
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        is_needed[graph->outputs[i]] = true;
    }
    for (clv_node_id id = (clv_node_id)graph->num_nodes; id-- > 0;) {
        const clv_node *node = &graph->nodes[id];
        bool is_used = false;
        for (size_t i = 0; i < node->num_outputs; i++) {
            is_used = is_used || (node->outputs[i] != CLV_NO_ID && is_needed[node->outputs[i]]);
        }
        if (!is_used) {
            clv_graph_remove_node(graph, id);
            continue;
        }
        for (size_t i = 0; i < node->num_inputs; i++) {
            if (node->inputs[i] != CLV_NO_ID) {
                is_needed[node->inputs[i]] = true;
            }
        }
    }
    clv_free(is_needed);
    return NULL;
}
