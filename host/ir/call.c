#include "host/ir/call.h"

/* shapes: of what is left out, or NULL */
static clv_status *views_of(
    const clv_graph *graph, const clv_tensor_id *ids, size_t count, const clv_shape *shapes,
    clv_arena *arena, const clv_view **out_views) {
    clv_view *views = clv_arena_alloc(arena, count, sizeof *views);
    if (views == NULL) {
        return CLV_NO_ARENA("the operands of a node");
    }
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == CLV_NO_ID) {
            views[i].shape = shapes != NULL ? shapes[i] : views[i].shape;
            continue; /* zeroed: type NONE */
        }
        const clv_tensor *tensor = &graph->tensors[ids[i]];
        bool constant = tensor->kind == CLV_TENSOR_CONSTANT;
        views[i] = (clv_view){
            .dtype = tensor->dtype,
            .shape = tensor->shape,
            .data = constant ? tensor->data : NULL,
        };
    }
    *out_views = views;
    return NULL;
}

clv_status *clv_call_from_node(
    const clv_graph *graph, const clv_node *node, clv_arena *arena, clv_call *out_call) {
    clv_call call = {
        .op = node->op,
        .name = node->name,
        .params = node->params,
        .epilogue = node->epilogue,
        .num_inputs = node->num_inputs,
        .num_outputs = node->num_outputs,
    };
    CLV_TRY(views_of(graph, node->inputs, node->num_inputs, NULL, arena, &call.inputs));
    CLV_TRY(views_of(
        graph, node->outputs, node->num_outputs, node->output_shapes, arena, &call.outputs));
    *out_call = call;
    return NULL;
}
