/* A channel shuffle (Reshape to [batch, s, channels / s, ...], Transpose of the two, and Reshape
 * back) becomes part of the convolution behind it, which reads its input channels in that order.
 * Convolutions of one channel each and elementwise operators may lie between: they do not care
 * where a channel is, as long as its weights are there too. Only what nothing else reads is
 * changed.
 *
 * This pass is about these operators alone, so it knows them by name, and the params of one. */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"
#include "kernels_cl/conv/conv.h"

#include <string.h>

clv_status *clv_pass_fold_shuffle(clv_graph *graph) CLV_CHECKED;

enum { MAX_BETWEEN = 8 };

typedef struct match {
    clv_node_id moves[3]; /* Reshape, Transpose, Reshape */
    clv_tensor_id from;   /* what is shuffled */
    int64_t parts;        /* s */
    clv_node_id between[MAX_BETWEEN];
    size_t num_between;
    clv_node_id conv;
} match;

/* The one node that reads `id`, as its first input; NO_ID where there is none. */
static clv_node_id only_reader(const clv_graph *graph, const clv_uses *uses, clv_tensor_id id) {
    const clv_node_id reader = clv_uses_only_reader(uses, id);
    bool is_there = reader != CLV_NO_ID && !graph->nodes[reader].removed &&
                    graph->nodes[reader].inputs[0] == id;
    return is_there ? reader : CLV_NO_ID;
}

static bool is_view(const clv_graph *graph, clv_node_id id) {
    return id != CLV_NO_ID && !graph->nodes[id].removed &&
           (graph->nodes[id].op->flags & CLV_OP_VIEW) != 0;
}

static bool swaps_channels(const clv_node *node) {
    const int64_t *perm = NULL;
    size_t count = 0;
    if (node->removed || strcmp(node->op->name, "Transpose") != 0) {
        return false;
    }
    clv_status *status = clv_attr_get_ints(node, "perm", &perm, &count);
    bool fits = status == NULL && count > 2;
    clv_status_destroy(status);
    for (size_t i = 0; fits && i < count; i++) {
        fits = perm[i] == (int64_t)(i == 1 ? 2 : i == 2 ? 1 : i);
    }
    return fits;
}

/* Completes the match up to the second Reshape. */
static bool find_moves(const clv_graph *graph, const clv_uses *uses, clv_node_id id, match *m) {
    const clv_node *node = &graph->nodes[id];
    if (!swaps_channels(node)) {
        return false;
    }
    const clv_tensor *split = &graph->tensors[node->inputs[0]];
    m->moves[0] = split->producer;
    m->moves[1] = id;
    m->moves[2] = only_reader(graph, uses, node->outputs[0]);
    if (!is_view(graph, m->moves[0]) || !is_view(graph, m->moves[2]) ||
        only_reader(graph, uses, node->inputs[0]) != id) {
        return false;
    }
    m->from = graph->nodes[m->moves[0]].inputs[0];
    m->parts = split->shape.dims[1];
    const clv_tensor *from = &graph->tensors[m->from];
    const clv_tensor *to = &graph->tensors[graph->nodes[m->moves[2]].outputs[0]];
    return from->dtype == CLV_FLOAT32 && from->shape.rank >= 3 &&
           clv_shape_equal(&from->shape, &to->shape) && clv_shape_elements(&from->shape) > 0 &&
           from->shape.dims[0] == split->shape.dims[0] &&
           from->shape.dims[1] == m->parts * split->shape.dims[2];
}

static bool is_constant(const clv_graph *graph, const clv_node *node, size_t input) {
    const clv_tensor *tensor = &graph->tensors[node->inputs[input]];
    return tensor->kind == CLV_TENSOR_CONSTANT && tensor->dtype == CLV_FLOAT32;
}

/* A convolution by constants that reads its channels in order. */
static bool is_convolution(const clv_graph *graph, const clv_node *node) {
    return strcmp(node->op->name, "Conv") == 0 && is_constant(graph, node, 1) &&
           (node->num_inputs < 3 || node->inputs[2] == CLV_NO_ID || is_constant(graph, node, 2)) &&
           ((const clv_conv_params *)node->params)->shuffle <= 1;
}

static bool is_depthwise(const clv_graph *graph, const clv_node *node) {
    const clv_conv_params *params = node->params;
    return is_convolution(graph, node) &&
           graph->tensors[node->inputs[0]].shape.dims[1] == params->groups &&
           graph->tensors[node->outputs[0]].shape.dims[1] == params->groups;
}

static bool is_unary(const clv_graph *graph, const clv_node *node) {
    return (node->op->flags & CLV_OP_POINTWISE) != 0 && node->num_inputs == 1 &&
           node->num_outputs == 1 && graph->tensors[node->outputs[0]].dtype == CLV_FLOAT32;
}

/* Completes it by the convolution. */
static bool find_conv(const clv_graph *graph, const clv_uses *uses, match *m) {
    clv_tensor_id id = graph->nodes[m->moves[2]].outputs[0];
    for (m->num_between = 0;;) {
        const clv_node_id reader = only_reader(graph, uses, id);
        const clv_node *node = reader != CLV_NO_ID ? &graph->nodes[reader] : NULL;
        if (node != NULL && (is_depthwise(graph, node) || is_unary(graph, node))) {
            if (m->num_between == MAX_BETWEEN) {
                return false;
            }
            m->between[m->num_between++] = reader;
            id = node->outputs[0];
            continue;
        }
        m->conv = reader;
        return node != NULL && is_convolution(graph, node);
    }
}

/* A constant whose positions along `axis` are put where a shuffle of as many channels takes them
 * from: what was at j is where channel j comes from. */
static clv_status *unshuffle(
    clv_graph *graph, clv_tensor_id id, int32_t axis, int64_t parts, clv_tensor_id *out_id) {
    const clv_tensor tensor = graph->tensors[id];
    const int64_t channels = tensor.shape.dims[axis];
    const size_t inner = (size_t)clv_shape_product(&tensor.shape, axis + 1, tensor.shape.rank);
    const int64_t outer = clv_shape_product(&tensor.shape, 0, axis);
    float *data = clv_alloc(clv_view_bytes(CLV_FLOAT32, &tensor.shape) + 1);
    if (data == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for weights in another order");
    }
    for (int64_t i = 0; i < outer; i++) {
        for (int64_t j = 0; j < channels; j++) {
            const int64_t to = i * channels + clv_conv_shuffled(parts, channels, j);
            memcpy(
                data + (size_t)to * inner,
                (const char *)tensor.data + (size_t)(i * channels + j) * inner * sizeof *data,
                inner * sizeof *data);
        }
    }
    const clv_view view = {.dtype = CLV_FLOAT32, .shape = tensor.shape, .data = data};
    clv_status *status = clv_graph_add_constant(graph, tensor.name, &view, out_id);
    clv_free(data);
    return status;
}

/* Constant inputs 1 to `end`, which have a place for each input channel along `axis`. */
static clv_status *unshuffle_inputs(
    clv_graph *graph, clv_node_id id, size_t end, int32_t axis, int64_t parts) {
    const clv_node *node = &graph->nodes[id];
    clv_tensor_id *inputs =
        clv_arena_copy(&graph->arena, node->inputs, node->num_inputs * sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    for (size_t i = 1; i < end && i < node->num_inputs; i++) {
        if (inputs[i] != CLV_NO_ID) {
            CLV_TRY(unshuffle(graph, inputs[i], axis, parts, &inputs[i]));
            node = &graph->nodes[id];
        }
    }
    graph->nodes[id].inputs = inputs;
    return NULL;
}

static clv_status *set_shuffle(clv_graph *graph, clv_node_id id, int64_t parts) {
    clv_node *node = &graph->nodes[id];
    clv_attr *attrs = clv_arena_alloc(&graph->arena, node->num_attrs + 1, sizeof *attrs);
    if (attrs == NULL) {
        return CLV_NO_ARENA("attributes of a node");
    }
    size_t count = 0;
    for (size_t i = 0; i < node->num_attrs; i++) {
        if (strcmp(node->attrs[i].name, "shuffle") != 0) {
            attrs[count++] = node->attrs[i];
        }
    }
    attrs[count++] = (clv_attr){.name = "shuffle", .type = CLV_ATTR_INT, .value.i = parts};
    node->attrs = attrs;
    node->num_attrs = count;
    return clv_pass_infer_node(graph, id);
}

static double bytes_of(const clv_graph *graph, const match *m) {
    double bytes = 0;
    for (size_t i = 0; i <= m->num_between; i++) {
        const clv_node *node = &graph->nodes[i < m->num_between ? m->between[i] : m->conv];
        if (node->num_inputs > 1) {
            const clv_shape *shape = &graph->tensors[node->inputs[1]].shape;
            bytes += (double)clv_view_bytes(CLV_FLOAT32, shape);
        }
    }
    return bytes;
}

/* What a node between makes is no longer what the model has under that name. */
static clv_status *rename_output(clv_graph *graph, clv_node_id id) {
    clv_tensor *tensor = &graph->tensors[graph->nodes[id].outputs[0]];
    tensor->name = clv_arena_printf(&graph->arena, "%s/before_shuffle", tensor->name);
    return tensor->name != NULL ? NULL : CLV_NO_ARENA("names");
}

static clv_status *fold(clv_graph *graph, const match *m) {
    const clv_node_id first = m->num_between != 0 ? m->between[0] : m->conv;
    clv_tensor_id *inputs = clv_arena_copy(
        &graph->arena, graph->nodes[first].inputs, graph->nodes[first].num_inputs * sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    inputs[0] = m->from;
    graph->nodes[first].inputs = inputs;
    for (size_t i = 0; i < 3; i++) {
        CLV_TRY(clv_pass_adopt(graph, m->conv, m->moves[i]));
        clv_graph_remove_node(graph, m->moves[i]);
    }
    for (size_t i = 0; i < m->num_between; i++) {
        CLV_TRY(rename_output(graph, m->between[i]));
        if (graph->nodes[m->between[i]].num_inputs > 1) {
            CLV_TRY(unshuffle_inputs(graph, m->between[i], 3, 0, m->parts));
        }
    }
    if (((const clv_conv_params *)graph->nodes[m->conv].params)->groups == 1) {
        return unshuffle_inputs(graph, m->conv, 2, 1, m->parts);
    }
    return set_shuffle(graph, m->conv, m->parts);
}

clv_status *clv_pass_fold_shuffle(clv_graph *graph) {
    clv_uses uses;
    clv_status *status = NULL;
    clv_compute_budget budget;
    clv_compute_budget_init(graph, 0x1p26, 1, &budget);
    CLV_TRY(clv_uses_init(graph, &uses));
    /* `from` gets another reader in the place of one: what would ask for it is not found */
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        match m;
        if (find_moves(graph, &uses, id, &m) && find_conv(graph, &uses, &m) &&
            clv_compute_take(&budget, bytes_of(graph, &m))) {
            status = fold(graph, &m);
        }
    }
    clv_uses_deinit(&uses);
    return status;
}
