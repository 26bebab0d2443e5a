#include "host/ir/graph.h"

#include "host/base/memory.h"
#include <stdio.h>
#include <string.h>

clv_status *clv_graph_create(clv_graph **out_graph) {
    *out_graph = NULL;
    clv_graph *graph = clv_alloc_zeroed(1, sizeof *graph);
    if (graph == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a graph");
    }
    clv_arena_init(&graph->arena, 0);
    graph->name = "";
    graph->producer = "";
    *out_graph = graph;
    return NULL;
}

void clv_graph_destroy(clv_graph *graph) {
    if (graph == NULL) {
        return;
    }
    for (size_t i = graph->num_resources; i > 0; i--) {
        graph->resources[i - 1].destroy(graph->resources[i - 1].object);
    }
    clv_free(graph->resources);
    clv_free(graph->tensors);
    clv_free(graph->nodes);
    clv_name_map_deinit(&graph->names);
    clv_arena_deinit(&graph->arena);
    clv_free(graph);
}

clv_status *clv_graph_take_resource(clv_graph *graph, clv_resource resource) {
    void *resources = graph->resources;
    if (!clv_array_reserve(
            &resources, &graph->capacity_resources, graph->num_resources + 1, sizeof resource)) {
        resource.destroy(resource.object);
        return CLV_ERROR(NO_MEMORY, "out of host memory for a graph");
    }
    graph->resources = resources;
    graph->resources[graph->num_resources++] = resource;
    return NULL;
}

void clv_graph_drop_pages(const clv_graph *graph) {
    for (size_t i = 0; i < graph->num_resources; i++) {
        const clv_resource *resource = &graph->resources[i];
        if (resource->drop_pages != NULL) {
            resource->drop_pages(resource->object);
        }
    }
}

/* An array of strings, each of them copied; entries may be NULL. */
static const char **copy_strings(clv_arena *arena, const char *const *strings, size_t count) {
    const char **copy = clv_arena_alloc(arena, count, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        if (strings[i] == NULL) {
            continue;
        }
        copy[i] = clv_arena_strdup(arena, strings[i]);
        if (copy[i] == NULL) {
            return NULL;
        }
    }
    return copy;
}

clv_status *clv_graph_add_tensor(
    clv_graph *graph, const clv_tensor *tensor, clv_tensor_id *out_id) {
    *out_id = CLV_NO_ID;
    if (graph->num_tensors >= CLV_NO_ID) {
        return CLV_ERROR(UNSUPPORTED, "the graph has more than 2^32 - 2 tensors");
    }
    clv_tensor copy = *tensor;
    copy.producer = CLV_NO_ID;
    copy.name = clv_arena_strdup(&graph->arena, tensor->name);
    if (copy.name == NULL) {
        return CLV_NO_ARENA("a tensor's name");
    }
    if (tensor->dim_names != NULL && tensor->shape.rank >= 0) {
        copy.dim_names = copy_strings(&graph->arena, tensor->dim_names, (size_t)tensor->shape.rank);
        if (copy.dim_names == NULL) {
            return CLV_NO_ARENA("names of dimensions");
        }
    }
    bool is_named = graph->names.count == 0 || clv_name_map_find(&graph->names, copy.name) != NULL;
    void *tensors = graph->tensors;
    if ((!is_named && !clv_name_map_set(&graph->names, copy.name, 2)) ||
        !clv_array_reserve(
            &tensors, &graph->capacity_tensors, graph->num_tensors + 1, sizeof copy)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for tensors");
    }
    graph->tensors = tensors;
    graph->tensors[graph->num_tensors] = copy;
    *out_id = (clv_tensor_id)graph->num_tensors++;
    return NULL;
}

/* Deep, but for the bytes of tensors; false where there is no memory. */
static bool copy_attr(clv_arena *arena, const clv_attr *attr, clv_attr *out_copy) {
    *out_copy = *attr;
    out_copy->name = clv_arena_strdup(arena, attr->name);
    const void *value = out_copy->name;
    switch (attr->type) {
    case CLV_ATTR_STRING:
        value = out_copy->value.string = clv_arena_strdup(arena, attr->value.string);
        break;
    case CLV_ATTR_INTS:
        value = out_copy->value.ints =
            clv_arena_copy(arena, attr->value.ints, attr->count * sizeof(int64_t));
        break;
    case CLV_ATTR_FLOATS:
        value = out_copy->value.floats =
            clv_arena_copy(arena, attr->value.floats, attr->count * sizeof(float));
        break;
    case CLV_ATTR_STRINGS:
        value = out_copy->value.strings = copy_strings(arena, attr->value.strings, attr->count);
        break;
    case CLV_ATTR_TENSOR:
        value = out_copy->value.tensor =
            clv_arena_copy(arena, attr->value.tensor, sizeof(clv_view));
        break;
    case CLV_ATTR_INT:
    case CLV_ATTR_FLOAT:
    case CLV_ATTR_OTHER:
        break;
    }
    return out_copy->name != NULL && value != NULL;
}

static bool copy_node(clv_arena *arena, const clv_node *node, clv_node *out_copy) {
    *out_copy = *node;
    clv_attr *attrs = clv_arena_alloc(arena, node->num_attrs, sizeof *attrs);
    if (attrs == NULL) {
        return false;
    }
    for (size_t i = 0; i < node->num_attrs; i++) {
        if (!copy_attr(arena, &node->attrs[i], &attrs[i])) {
            return false;
        }
    }
    out_copy->attrs = attrs;
    out_copy->name = clv_arena_strdup(arena, node->name);
    out_copy->op_type = clv_arena_strdup(arena, node->op_type);
    out_copy->inputs = clv_arena_copy(arena, node->inputs, node->num_inputs * sizeof *node->inputs);
    out_copy->outputs =
        clv_arena_copy(arena, node->outputs, node->num_outputs * sizeof *node->outputs);
    out_copy->origins = copy_strings(arena, node->origins, node->num_origins);
    return out_copy->name != NULL && out_copy->op_type != NULL && out_copy->inputs != NULL &&
           out_copy->outputs != NULL && out_copy->origins != NULL;
}

/* Each output that is a VALUE without producer gets this one; the second writer of a tensor is left
 * for verify to find. */
static void link_outputs(clv_graph *graph, clv_node_id id) {
    const clv_node *node = &graph->nodes[id];
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] < graph->num_tensors) {
            clv_tensor *tensor = &graph->tensors[node->outputs[i]];
            if (tensor->kind == CLV_TENSOR_VALUE && tensor->producer == CLV_NO_ID) {
                tensor->producer = id;
            }
        }
    }
}

clv_status *clv_graph_add_node(clv_graph *graph, const clv_node *node, clv_node_id *out_id) {
    *out_id = CLV_NO_ID;
    if (graph->num_nodes >= CLV_NO_ID) {
        return CLV_ERROR(UNSUPPORTED, "the graph has more than 2^32 - 2 nodes");
    }
    clv_node copy;
    if (!copy_node(&graph->arena, node, &copy)) {
        return CLV_NO_ARENA("a node");
    }
    void *nodes = graph->nodes;
    if (!clv_array_reserve(&nodes, &graph->capacity_nodes, graph->num_nodes + 1, sizeof copy)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for nodes");
    }
    graph->nodes = nodes;
    graph->nodes[graph->num_nodes] = copy;
    *out_id = (clv_node_id)graph->num_nodes++;
    link_outputs(graph, *out_id);
    return NULL;
}

clv_status *clv_graph_set_inputs(clv_graph *graph, const clv_tensor_id *ids, size_t count) {
    clv_tensor_id *copy = clv_arena_copy(&graph->arena, ids, count * sizeof *ids);
    if (copy == NULL) {
        return CLV_NO_ARENA("graph inputs");
    }
    graph->inputs = copy;
    graph->num_inputs = count;
    return NULL;
}

clv_status *clv_graph_set_outputs(clv_graph *graph, const clv_tensor_id *ids, size_t count) {
    clv_tensor_id *copy = clv_arena_copy(&graph->arena, ids, count * sizeof *ids);
    if (copy == NULL) {
        return CLV_NO_ARENA("graph outputs");
    }
    graph->outputs = copy;
    graph->num_outputs = count;
    return NULL;
}

/* "BASE", "BASE#2", ...: one that no tensor has. NULL: no memory. */
static const char *fresh_name(clv_graph *graph, const char *base_name) {
    if (graph->names.count == 0) {
        for (size_t i = 0; i < graph->num_tensors; i++) {
            if (!clv_name_map_set(&graph->names, graph->tensors[i].name, 2)) {
                clv_name_map_deinit(&graph->names);
                return NULL;
            }
        }
    }
    return clv_name_map_make_unique(&graph->names, &graph->arena, base_name);
}

clv_status *clv_graph_add_value(
    clv_graph *graph, const char *base_name, clv_dtype dtype, const clv_shape *shape,
    clv_tensor_id *out_id) {
    *out_id = CLV_NO_ID;
    clv_tensor tensor = {
        .name = fresh_name(graph, base_name),
        .kind = CLV_TENSOR_VALUE,
        .dtype = dtype,
        .shape = *shape,
    };
    if (tensor.name == NULL) {
        return CLV_NO_ARENA("a tensor's name");
    }
    return clv_graph_add_tensor(graph, &tensor, out_id);
}

clv_status *clv_graph_add_constant(
    clv_graph *graph, const char *base_name, const clv_view *value, clv_tensor_id *out_id) {
    *out_id = CLV_NO_ID;
    size_t bytes = clv_view_bytes(value->dtype, &value->shape);
    clv_tensor tensor = {
        .name = fresh_name(graph, base_name),
        .kind = CLV_TENSOR_CONSTANT,
        .dtype = value->dtype,
        .shape = value->shape,
        .data = clv_arena_copy(&graph->arena, value->data, bytes),
    };
    if (tensor.name == NULL || tensor.data == NULL) {
        return CLV_NO_ARENA("a constant");
    }
    return clv_graph_add_tensor(graph, &tensor, out_id);
}

clv_tensor_id clv_graph_find_tensor(const clv_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->num_tensors; i++) {
        if (strcmp(graph->tensors[i].name, name) == 0) {
            return (clv_tensor_id)i;
        }
    }
    return CLV_NO_ID;
}
