/* Dead code: nodes whose outputs nobody reads.
 *
 * A slot whose value went into the params of its node (host_inputs) reads a constant from here on:
 * the value as it was known to inference. So what computed the value can go where nothing else
 * needs it, inference of the node can be repeated, and no device computes shapes. This is the last
 * pass, for to `fold` a node with such a constant would look like one of constants alone, though
 * its value came from an input. */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/passes.h"

clv_status *clv_pass_dce(clv_graph *graph) CLV_CHECKED;

/* The constant for tensor `id`, made at its first use. */
static clv_status *capture(clv_graph *graph, clv_tensor_id id, clv_tensor_id *constant) {
    if (*constant != CLV_NO_ID) {
        return NULL;
    }
    const clv_tensor *tensor = &graph->tensors[id];
    CLV_TRY(clv_graph_add_value(graph, tensor->name, tensor->dtype, &tensor->shape, constant));
    clv_tensor *added = &graph->tensors[*constant];
    added->kind = CLV_TENSOR_CONSTANT;
    added->data = graph->tensors[id].data; /* it lives as long as the graph */
    return NULL;
}

/* constants  [num_tensors at the start], CLV_NO_ID at first */
static clv_status *capture_values(clv_graph *graph, clv_tensor_id *constants) {
    for (size_t n = 0; n < graph->num_nodes; n++) {
        const clv_node *node = &graph->nodes[n];
        for (size_t i = 0; !node->removed && i < node->num_inputs && i < 32; i++) {
            clv_tensor_id id = node->inputs[i];
            if ((node->op->host_inputs >> i & 1) == 0 || id == CLV_NO_ID) {
                continue;
            }
            const clv_tensor *tensor = &graph->tensors[id];
            if (tensor->kind != CLV_TENSOR_CONSTANT && tensor->data != NULL) {
                CLV_TRY(capture(graph, id, &constants[id]));
                node->inputs[i] = constants[id];
            }
        }
    }
    return NULL;
}

static void remove_dead(clv_graph *graph, bool *is_needed) {
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
}

clv_status *clv_pass_dce(clv_graph *graph) {
    clv_status *status = NULL;
    bool *is_needed = NULL;
    clv_tensor_id *constants = clv_alloc(graph->num_tensors * sizeof *constants);
    if (constants == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for removing dead nodes");
        goto done;
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        constants[i] = CLV_NO_ID;
    }
    CLV_TRY_DONE(capture_values(graph, constants));
    is_needed = clv_alloc_zeroed(graph->num_tensors, sizeof *is_needed);
    if (is_needed == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for removing dead nodes");
        goto done;
    }
    remove_dead(graph, is_needed);
done:
    clv_free(constants);
    clv_free(is_needed);
    return status;
}
