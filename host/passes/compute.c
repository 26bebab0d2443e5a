#include "host/passes/compute.h"

#include "host/ops/op.h"

bool clv_pass_has_constant_inputs(const clv_graph *graph, const clv_node *node) {
    for (size_t i = 0; i < node->num_inputs; i++) {
        if (node->inputs[i] != CLV_NO_ID &&
            graph->tensors[node->inputs[i]].kind != CLV_TENSOR_CONSTANT) {
            return false;
        }
    }
    return true;
}

clv_status *clv_pass_compute(clv_graph *graph, clv_node_id id, bool is_constant) {
    clv_arena arena;
    clv_call call;
    clv_arena_init(&arena, 0);
    clv_status *status = NULL;
    const clv_node *node = &graph->nodes[id];
    CLV_TRY_DONE(clv_call_from_node(graph, node, &arena, &call));
    clv_view *inputs = (clv_view *)call.inputs; /* made by the line above, in our arena */
    for (size_t i = 0; i < call.num_inputs; i++) {
        inputs[i].data = node->inputs[i] != CLV_NO_ID ? graph->tensors[node->inputs[i]].data : NULL;
    }
    clv_mutable_view *outputs = clv_arena_alloc(&arena, node->num_outputs, sizeof *outputs);
    if (outputs == NULL) {
        status = CLV_NO_ARENA("the value of a node");
        goto done;
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        const clv_view *view = &call.outputs[i];
        outputs[i] = (clv_mutable_view){.dtype = view->dtype, .shape = view->shape};
        if (view->dtype != CLV_DTYPE_NONE) {
            outputs[i].data =
                clv_arena_alloc(&graph->arena, clv_view_bytes(view->dtype, &view->shape), 1);
            if (outputs[i].data == NULL) {
                status = CLV_NO_ARENA("the value of a node");
                goto done;
            }
        }
    }
    CLV_TRY_DONE(node->op->reference(&call, outputs));
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] != CLV_NO_ID) {
            clv_tensor *tensor = &graph->tensors[node->outputs[i]];
            tensor->data = outputs[i].data;
            if (is_constant) {
                tensor->kind = CLV_TENSOR_CONSTANT;
            }
        }
    }
    if (is_constant) {
        clv_graph_remove_node(graph, id);
    }
done:
    clv_arena_deinit(&arena);
    return status;
}
