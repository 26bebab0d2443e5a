/* Leaves out nodes whose output is their input: Identity, Dropout, casts to the same type,
 * reshapes and transposes that change nothing. What changes nothing is the operator's to say
 * (is_identity). */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/passes.h"

clv_status *clv_pass_simplify(clv_graph *graph) CLV_CHECKED;

static bool is_graph_output(const clv_graph *graph, clv_tensor_id id) {
    for (size_t i = 0; i < graph->num_outputs; i++) {
        if (graph->outputs[i] == id) {
            return true;
        }
    }
    return false;
}

static clv_status *is_identity(
    const clv_graph *graph, const clv_node *node, clv_arena *scratch, bool *out_result) {
    clv_call call;
    *out_result = false;
    if (node->removed || node->op->is_identity == NULL || node->outputs[0] == CLV_NO_ID) {
        return NULL;
    }
    CLV_TRY(clv_call_from_node(graph, node, scratch, &call));
    *out_result = node->op->is_identity(&call);
    return NULL;
}

/* A graph output keeps its name: whoever makes the input writes the output instead. False where
 * that cannot be. */
static bool rename_input(clv_graph *graph, clv_tensor_id input, clv_tensor_id output) {
    clv_tensor *from = &graph->tensors[input];
    if (from->kind != CLV_TENSOR_VALUE || from->producer == CLV_NO_ID ||
        is_graph_output(graph, input)) {
        return false;
    }
    clv_node *producer = &graph->nodes[from->producer];
    for (size_t i = 0; i < producer->num_outputs; i++) {
        if (producer->outputs[i] == input) {
            producer->outputs[i] = output;
        }
    }
    graph->tensors[output].producer = from->producer;
    graph->tensors[output].data = from->data;
    from->producer = CLV_NO_ID;
    clv_graph_replace_uses(graph, input, output);
    return true;
}

static void leave_out(clv_graph *graph, clv_node_id id) {
    clv_tensor_id input = graph->nodes[id].inputs[0], output = graph->nodes[id].outputs[0];
    if (!is_graph_output(graph, output)) {
        clv_graph_remove_node(graph, id);
        clv_graph_replace_uses(graph, output, input);
        return;
    }
    graph->nodes[id].removed = true; /* so that its own input is not renamed */
    if (rename_input(graph, input, output)) {
        return;
    }
    graph->nodes[id].removed = false;
}

clv_status *clv_pass_simplify(clv_graph *graph) {
    clv_status *status = NULL;
    clv_arena scratch;
    clv_arena_init(&scratch, 0);
    for (clv_node_id id = 0; id < graph->num_nodes; id++) {
        bool result;
        CLV_TRY_DONE(is_identity(graph, &graph->nodes[id], &scratch, &result));
        if (result) {
            leave_out(graph, id);
        }
    }
done:
    clv_arena_deinit(&scratch);
    return status;
}
