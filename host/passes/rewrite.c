#include "host/passes/rewrite.h"

clv_status *clv_pass_adopt(clv_graph *graph, clv_node_id into, clv_node_id from) {
    clv_node *node = &graph->nodes[into];
    const clv_node *other = &graph->nodes[from];
    size_t count = node->num_origins + other->num_origins + 1, at = 0;
    const char **names = clv_arena_alloc(&graph->arena, count, sizeof *names);
    if (names == NULL) {
        return CLV_NO_ARENA("names of fused nodes");
    }
    for (size_t i = 0; i < node->num_origins; i++) {
        names[at++] = node->origins[i];
    }
    names[at++] = other->name;
    for (size_t i = 0; i < other->num_origins; i++) {
        names[at++] = other->origins[i];
    }
    node->origins = names;
    node->num_origins = count;
    return NULL;
}

bool clv_pass_scalar(const clv_graph *graph, clv_tensor_id id, double *out_value) {
    if (id == CLV_NO_ID) {
        return false;
    }
    const clv_tensor *tensor = &graph->tensors[id];
    if (tensor->kind != CLV_TENSOR_CONSTANT || tensor->dtype != CLV_FLOAT32 ||
        clv_shape_elements(&tensor->shape) != 1) {
        return false;
    }
    *out_value = clv_load_double(CLV_FLOAT32, tensor->data, 0);
    return true;
}
