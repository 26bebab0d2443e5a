/* Constant folding: whatever depends on constants alone is computed once, here. */
#include "host/base/cancel.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"

clv_status *clv_pass_fold(clv_graph *graph) CLV_CHECKED;

/* A result over this size, and over four times its inputs', is not kept: it costs less to compute
 * than to hold. */
enum { MAX_GROWN_BYTES = 64 << 20, MAX_GROWTH = 4 };

static size_t bytes_of(const clv_graph *graph, const clv_tensor_id *ids, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] != CLV_NO_ID) {
            const clv_tensor *tensor = &graph->tensors[ids[i]];
            bytes += clv_view_bytes(tensor->dtype, &tensor->shape);
        }
    }
    return bytes;
}

clv_status *clv_pass_fold(clv_graph *graph) {
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        const clv_node *node = &graph->nodes[id];
        if (node->removed || node->op->reference == NULL ||
            !clv_pass_has_constant_inputs(graph, node)) {
            continue;
        }
        size_t in_bytes = bytes_of(graph, node->inputs, node->num_inputs);
        size_t out_bytes = bytes_of(graph, node->outputs, node->num_outputs);
        if (out_bytes > MAX_GROWN_BYTES && out_bytes / MAX_GROWTH > in_bytes) {
            continue;
        }
        CLV_TRY(clv_cancel_check());
        clv_status *status = clv_pass_compute(graph, id, true);
        if (status != NULL) {
            return clv_pass_blame(status, &graph->nodes[id]);
        }
    }
    return NULL;
}
