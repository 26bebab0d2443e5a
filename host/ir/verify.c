#include "host/ir/graph.h"

#include "host/base/memory.h"
#include <stdlib.h>
#include <string.h>

/* --- names ------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static clv_status *check_unique(const char **names, size_t count, const char *what) {
    if (count > 1) {
        qsort(names, count, sizeof *names, compare_names);
    }
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            return CLV_ERROR(MALFORMED, "two %ss are named '%s'", what, names[i]);
        }
    }
    return NULL;
}

static clv_status *check_names(const clv_graph *graph) {
    clv_status *status = NULL;
    size_t num_tensors = 0, num_nodes = 0;
    const char **tensors = clv_alloc_zeroed(graph->num_tensors, sizeof *tensors);
    const char **nodes = clv_alloc_zeroed(graph->num_nodes, sizeof *nodes);
    if (tensors == NULL || nodes == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for checking a graph");
        goto done;
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        const char *name = graph->tensors[i].name;
        if (name == NULL || name[0] == '\0') {
            status = CLV_ERROR(MALFORMED, "tensor %zu has no name", i);
            goto done;
        }
        tensors[num_tensors++] = name;
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        if (node->removed) {
            continue;
        }
        if (node->name == NULL || node->name[0] == '\0') {
            status = CLV_ERROR(MALFORMED, "node %zu has no name", i);
            goto done;
        }
        if (node->op_type == NULL) {
            status = CLV_ERROR(MALFORMED, "node '%s' has no operator", node->name);
            goto done;
        }
        nodes[num_nodes++] = node->name;
    }
    CLV_TRY_DONE(check_unique(tensors, num_tensors, "tensor"));
    CLV_TRY_DONE(check_unique(nodes, num_nodes, "node"));
done:
    clv_free(tensors);
    clv_free(nodes);
    return status;
}

/* --- tensors --- */

static const char *kind_name(const clv_tensor *tensor) {
    return tensor->kind == CLV_TENSOR_INPUT ? "an input" : "a constant";
}

/* writers  [num_tensors], CLV_NO_ID at first: the node that writes each tensor */
static clv_status *find_writers(const clv_graph *graph, size_t index, clv_node_id *writers) {
    const clv_node *node = &graph->nodes[index];
    for (size_t i = 0; !node->removed && i < node->num_outputs; i++) {
        clv_tensor_id id = node->outputs[i];
        if (id == CLV_NO_ID) {
            continue;
        }
        if (id >= graph->num_tensors) {
            return CLV_ERROR(
                MALFORMED, "node '%s' writes tensor %u, which is not there", node->name,
                (unsigned)id);
        }
        const clv_tensor *tensor = &graph->tensors[id];
        if (tensor->kind != CLV_TENSOR_VALUE) {
            return CLV_ERROR(
                MALFORMED, "node '%s' writes tensor '%s', which is %s", node->name, tensor->name,
                kind_name(tensor));
        }
        if (writers[id] == index) {
            return CLV_ERROR(
                MALFORMED, "node '%s' writes tensor '%s' twice", node->name, tensor->name);
        }
        if (writers[id] != CLV_NO_ID) {
            return CLV_ERROR(
                MALFORMED, "tensor '%s' is written by node '%s' and by node '%s'", tensor->name,
                graph->nodes[writers[id]].name, node->name);
        }
        writers[id] = (clv_node_id)index;
    }
    return NULL;
}

static clv_status *check_producer(
    const clv_graph *graph, const clv_tensor *tensor, clv_node_id writer) {
    if (tensor->producer == writer) {
        return NULL; /* none, too: a VALUE then has no reader (check_read) */
    }
    if (tensor->kind != CLV_TENSOR_VALUE) {
        return CLV_ERROR(
            MALFORMED, "tensor '%s' is %s and has a producer", tensor->name, kind_name(tensor));
    }
    if (tensor->producer == CLV_NO_ID) {
        return CLV_ERROR(
            MALFORMED, "node '%s' writes tensor '%s', which has no producer",
            graph->nodes[writer].name, tensor->name);
    }
    if (tensor->producer >= graph->num_nodes || graph->nodes[tensor->producer].removed) {
        return CLV_ERROR(MALFORMED, "the producer of tensor '%s' is no node", tensor->name);
    }
    return CLV_ERROR(
        MALFORMED, "tensor '%s' names node '%s' as its producer, which does not write it",
        tensor->name, graph->nodes[tensor->producer].name);
}

static clv_status *check_shape_fields(const clv_tensor *tensor) {
    if ((unsigned)tensor->kind > CLV_TENSOR_CONSTANT || (unsigned)tensor->dtype >= CLV_NUM_DTYPES) {
        return CLV_ERROR(MALFORMED, "tensor '%s' is of no known kind or type", tensor->name);
    }
    if (tensor->shape.rank < -1 || tensor->shape.rank > CLV_MAX_RANK) {
        return CLV_ERROR(
            MALFORMED, "tensor '%s' has rank %d", tensor->name, (int)tensor->shape.rank);
    }
    for (int i = 0; i < tensor->shape.rank; i++) {
        if (tensor->shape.dims[i] < CLV_DIM_FREE) {
            char text[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED, "tensor '%s' has the shape %s", tensor->name,
                clv_shape_format(&tensor->shape, text));
        }
    }
    return NULL;
}

static clv_status *check_typed(const clv_tensor *tensor) {
    if (tensor->dtype == CLV_DTYPE_NONE) {
        return CLV_ERROR(MALFORMED, "tensor '%s' has no type", tensor->name);
    }
    return clv_status_prefix(clv_shape_check(&tensor->shape, "it"), "tensor '%s'", tensor->name);
}

static clv_status *check_tensor(const clv_tensor *tensor, clv_verify_level level) {
    CLV_TRY(check_shape_fields(tensor));
    bool constant = tensor->kind == CLV_TENSOR_CONSTANT;
    if (constant && tensor->data == NULL) {
        return CLV_ERROR(MALFORMED, "constant '%s' has no data", tensor->name);
    }
    if (constant || tensor->data != NULL || level == CLV_VERIFY_SHAPES) {
        CLV_TRY(check_typed(tensor));
    }
    return NULL;
}

static clv_status *check_tensors(const clv_graph *graph, clv_verify_level level) {
    clv_status *status = NULL;
    clv_node_id *writers = clv_alloc(graph->num_tensors * sizeof *writers);
    if (writers == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for checking a graph");
        goto done;
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        CLV_TRY_DONE(check_tensor(&graph->tensors[i], level));
        writers[i] = CLV_NO_ID;
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        CLV_TRY_DONE(find_writers(graph, i, writers));
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        CLV_TRY_DONE(check_producer(graph, &graph->tensors[i], writers[i]));
    }
done:
    clv_free(writers);
    return status;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* `reader`: "node 'x'" or "the graph", for messages. */
static clv_status *check_read(
    const clv_graph *graph, clv_tensor_id id, size_t before, const char *reader) {
    if (id >= graph->num_tensors) {
        return CLV_ERROR(MALFORMED, "%s reads tensor %u, which is not there", reader, (unsigned)id);
    }
    const clv_tensor *tensor = &graph->tensors[id];
    if (tensor->kind != CLV_TENSOR_VALUE) {
        return NULL;
    }
    if (tensor->producer == CLV_NO_ID) {
        return CLV_ERROR(
            MALFORMED, "%s reads tensor '%s', which nothing writes", reader, tensor->name);
    }
    if (tensor->producer >= before) {
        return CLV_ERROR(
            MALFORMED, "%s reads tensor '%s', which node '%s' after it writes", reader,
            tensor->name, graph->nodes[tensor->producer].name);
    }
    return NULL;
}

static clv_status *check_node(const clv_graph *graph, size_t index, clv_verify_level level) {
    const clv_node *node = &graph->nodes[index];
    if (node->removed) {
        return NULL;
    }
    for (size_t i = 0; i < node->num_inputs; i++) {
        if (node->inputs[i] != CLV_NO_ID) {
            CLV_TRY(clv_status_prefix(
                check_read(graph, node->inputs[i], index, "it"), "node '%s'", node->name));
        }
    }
    if (level == CLV_VERIFY_SHAPES && node->op == NULL) {
        return CLV_ERROR(
            MALFORMED, "node '%s' is of the unknown operator '%s'", node->name, node->op_type);
    }
    return NULL;
}

/* --- the graph's own lists -------------------------------------------------------------------- */

static clv_status *check_listed(const clv_graph *graph, bool *is_listed) {
    for (size_t i = 0; i < graph->num_inputs; i++) {
        clv_tensor_id id = graph->inputs[i];
        if (id >= graph->num_tensors || graph->tensors[id].kind != CLV_TENSOR_INPUT) {
            return CLV_ERROR(MALFORMED, "graph input %zu is no input tensor", i);
        }
        if (is_listed[id]) {
            return CLV_ERROR(
                MALFORMED, "tensor '%s' is a graph input twice", graph->tensors[id].name);
        }
        is_listed[id] = true;
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        if (graph->tensors[i].kind == CLV_TENSOR_INPUT && !is_listed[i]) {
            return CLV_ERROR(
                MALFORMED, "tensor '%s' is an input, but none of the graph's",
                graph->tensors[i].name);
        }
    }
    return NULL;
}

static clv_status *check_inputs(const clv_graph *graph) {
    bool *is_listed = clv_alloc_zeroed(graph->num_tensors, sizeof *is_listed);
    if (is_listed == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for checking a graph");
    }
    clv_status *status = check_listed(graph, is_listed);
    clv_free(is_listed);
    return status;
}

clv_status *clv_graph_verify(const clv_graph *graph, clv_verify_level level) {
    CLV_TRY(check_names(graph));
    CLV_TRY(check_inputs(graph));
    CLV_TRY(check_tensors(graph, level));
    for (size_t i = 0; i < graph->num_nodes; i++) {
        CLV_TRY(check_node(graph, i, level));
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        CLV_TRY(clv_status_prefix(
            check_read(graph, graph->outputs[i], graph->num_nodes, "it"), "graph output %zu", i));
    }
    return NULL;
}
