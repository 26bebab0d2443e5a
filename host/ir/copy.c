/* A graph that may be changed while the one it comes from stays as it is. */
#include "host/base/memory.h"
#include "host/ir/graph.h"

#include <string.h>

/* A copy of `count` elements with room for one more; counts as grown memory of the graph. */
static void *copy_array(const void *data, size_t count, size_t element_bytes) {
    void *copy = clv_alloc_zeroed(count + 1, element_bytes);
    if (copy != NULL && count > 0) {
        memcpy(copy, data, count * element_bytes);
    }
    return copy;
}

static clv_status *copy_ids(clv_graph *graph, clv_tensor_id **ids, size_t count) {
    clv_tensor_id *copy = clv_arena_alloc(&graph->arena, count, sizeof *copy);
    if (copy == NULL) {
        return CLV_NO_ARENA("a copy of a graph");
    }
    if (count > 0) {
        memcpy(copy, *ids, count * sizeof *copy);
    }
    *ids = copy;
    return NULL;
}

static clv_status *copy_parts(const clv_graph *source, clv_graph *graph) {
    graph->tensors = copy_array(source->tensors, source->num_tensors, sizeof *source->tensors);
    graph->nodes = copy_array(source->nodes, source->num_nodes, sizeof *source->nodes);
    if (graph->tensors == NULL || graph->nodes == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a copy of a graph");
    }
    graph->num_tensors = source->num_tensors;
    graph->capacity_tensors = source->num_tensors + 1;
    graph->num_nodes = source->num_nodes;
    graph->capacity_nodes = source->num_nodes + 1;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        clv_node *node = &graph->nodes[i];
        CLV_TRY(copy_ids(graph, &node->inputs, node->num_inputs));
        CLV_TRY(copy_ids(graph, &node->outputs, node->num_outputs));
    }
    graph->inputs = source->inputs;
    graph->outputs = source->outputs;
    CLV_TRY(copy_ids(graph, &graph->inputs, source->num_inputs));
    CLV_TRY(copy_ids(graph, &graph->outputs, source->num_outputs));
    graph->num_inputs = source->num_inputs;
    graph->num_outputs = source->num_outputs;
    return NULL;
}

clv_status *clv_graph_copy(const clv_graph *source, clv_graph **out_graph) {
    clv_graph *graph = NULL;
    *out_graph = NULL;
    CLV_TRY(clv_graph_create(&graph));
    graph->name = source->name;
    graph->producer = source->producer;
    graph->ir_version = source->ir_version;
    graph->opset = source->opset;
    graph->half_weights = source->half_weights;
    graph->hash = source->hash;
    clv_status *status = copy_parts(source, graph);
    if (status != NULL) {
        clv_graph_destroy(graph);
        return status;
    }
    *out_graph = graph;
    return NULL;
}
