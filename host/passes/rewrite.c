#include "host/passes/rewrite.h"

#include "host/ops/op.h"
#include "host/passes/compute.h"

#include <string.h>

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

clv_status *clv_pass_add_node(
    clv_graph *graph, const char *name, clv_dtype dtype, const clv_shape *shape, clv_node node,
    clv_tensor_id *out_id) {
    clv_node_id id;
    CLV_TRY(clv_graph_add_value(graph, name, dtype, shape, out_id));
    node.name = graph->tensors[*out_id].name;
    node.op = clv_op_find("", node.op_type);
    node.outputs = out_id;
    node.num_outputs = 1;
    CLV_TRY(clv_graph_add_node(graph, &node, &id));
    return clv_pass_infer_node(graph, id);
}

/* The opset is the first that has allowzero: dimensions of 0 are what they say. */
static const clv_attr allow_zero = {.name = "allowzero", .type = CLV_ATTR_INT, .value.i = 1};
enum { RESHAPE_OPSET = 14 };

static clv_status *add_dims(
    clv_graph *graph, const char *name, const clv_shape *shape, clv_tensor_id *out_id) {
    const clv_shape rank = {.rank = 1, .dims = {shape->rank}};
    const clv_view value = {.dtype = CLV_INT64, .shape = rank, .data = shape->dims};
    return clv_graph_add_constant(graph, name, &value, out_id);
}

clv_status *clv_pass_add_view(
    clv_graph *graph, clv_tensor_id of, const clv_shape *shape, clv_tensor_id *out_id) {
    const char *name = graph->tensors[of].name;
    clv_tensor_id inputs[2] = {of};
    CLV_TRY(add_dims(graph, name, shape, &inputs[1]));
    const clv_node node = {
        .op_type = "Reshape",
        .opset = RESHAPE_OPSET,
        .attrs = &allow_zero,
        .num_attrs = 1,
        .inputs = inputs,
        .num_inputs = 2,
    };
    return clv_pass_add_node(graph, name, graph->tensors[of].dtype, shape, node, out_id);
}

clv_status *clv_pass_make_view(clv_graph *graph, clv_node_id id, clv_tensor_id input) {
    const clv_tensor output = graph->tensors[graph->nodes[id].outputs[0]];
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, 2, sizeof *inputs);
    const char *name = clv_arena_printf(&graph->arena, "%s.shape", output.name);
    if (inputs == NULL || name == NULL) {
        return CLV_NO_ARENA("a view");
    }
    inputs[0] = input;
    CLV_TRY(add_dims(graph, name, &output.shape, &inputs[1]));
    clv_node *node = &graph->nodes[id];
    node->op = clv_op_find("", "Reshape");
    node->op_type = node->op->name;
    node->opset = node->opset < RESHAPE_OPSET ? RESHAPE_OPSET : node->opset;
    node->attrs = &allow_zero;
    node->num_attrs = 1;
    node->inputs = inputs;
    node->num_inputs = 2;
    node->num_outputs = 1;
    return clv_pass_infer_node(graph, id);
}

clv_status *clv_pass_set_attr(clv_graph *graph, clv_node_id id, const clv_attr *attr) {
    clv_node *node = &graph->nodes[id];
    clv_attr *attrs = clv_arena_alloc(&graph->arena, node->num_attrs + 1, sizeof *attrs);
    size_t count = 0;
    if (attrs == NULL) {
        return CLV_NO_ARENA("attributes of a node");
    }
    for (size_t i = 0; i < node->num_attrs; i++) {
        if (strcmp(node->attrs[i].name, attr->name) != 0) {
            attrs[count++] = node->attrs[i];
        }
    }
    attrs[count++] = *attr;
    node->attrs = attrs;
    node->num_attrs = count;
    return NULL;
}

clv_status *clv_pass_set_ints(
    clv_graph *graph, clv_node_id id, const char *name, const int64_t *values, size_t count) {
    clv_attr attr = {.name = name, .type = CLV_ATTR_INTS, .count = count};
    attr.value.ints = clv_arena_copy(&graph->arena, values, count * sizeof *values);
    return attr.value.ints != NULL ? clv_pass_set_attr(graph, id, &attr)
                                   : CLV_NO_ARENA("attributes of a node");
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
