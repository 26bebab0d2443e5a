/* Where it is wanted (graph->half_weights), weights that are read once for each request are kept in
 * half precision: reading them is what their operators take their time for, and half as many bytes
 * take half of it. Operators say which of their inputs that is (`streams`); a tensor that half
 * precision cannot hold stays as it is. Notes on the nodes tell. */
#include "host/base/log.h"
#include "host/ops/op.h"
#include "host/passes/passes.h"

clv_status *clv_pass_half_weights(clv_graph *graph) CLV_CHECKED;

static clv_status *add_note(clv_graph *graph, clv_node *node, const char *note) {
    node->note =
        node->note == NULL ? note : clv_arena_printf(&graph->arena, "%s; %s", node->note, note);
    return node->note != NULL ? NULL : CLV_NO_ARENA("a note");
}

static clv_status *halve(clv_graph *graph, clv_node *node, const clv_view *weights) {
    if (!clv_half_holds(weights->data, clv_shape_elements(&weights->shape))) {
        clv_log(
            CLV_LOG_WARNING,
            "%s '%s' keeps its weights in float32: some are beyond 65504, which half precision "
            "cannot hold",
            node->op_type, node->name);
        return add_note(graph, node, "weights in float32: some are beyond half precision");
    }
    void *params = clv_arena_copy(&graph->arena, node->params, node->op->params_bytes);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    node->op->halve(params);
    node->params = params;
    return add_note(graph, node, "weights in half precision");
}

clv_status *clv_pass_half_weights(clv_graph *graph) {
    clv_arena arena;
    clv_status *status = NULL;
    clv_arena_init(&arena, 0);
    for (size_t i = 0; graph->half_weights && i < graph->num_nodes; i++) {
        clv_node *node = &graph->nodes[i];
        if (node->removed || node->op->streams == NULL) {
            continue;
        }
        clv_call call;
        CLV_TRY_DONE(clv_call_from_node(graph, node, &arena, &call));
        const int index = node->op->streams(&call);
        CLV_TRY_DONE(index >= 0 ? halve(graph, node, &call.inputs[index]) : NULL);
    }
done:
    clv_arena_deinit(&arena);
    return status;
}
