/* What stands around a convolution along spatial axes becomes its pads, so that no map is copied
 * for it: zeros around its input (Keras pads before convolutions with strides), and edges that are
 * cut off its output (PyTorch writes causal convolutions with pads at both ends and a Slice). Only
 * of what nothing else reads.
 *
 * This pass is about these operators alone, so it knows them by name, and their params. */
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"
#include "kernels_cl/conv/conv.h"
#include "kernels_cl/move/move.h"

#include <string.h>

clv_status *clv_pass_fold_pad(clv_graph *graph) CLV_CHECKED;

enum { NUM_FIXED = 2 }; /* axes before the spatial ones: images and channels */

typedef struct edges {
    int64_t begin[CLV_MAX_SPATIAL], end[CLV_MAX_SPATIAL]; /* by spatial axis; what pads grow by */
} edges;

static bool is_there(const clv_graph *graph, clv_node_id id, const char *op) {
    return id != CLV_NO_ID && !graph->nodes[id].removed &&
           strcmp(graph->nodes[id].op->name, op) == 0;
}

/* The pads of a Conv with those edges; false where one would be cut off more than there is. */
static bool add_edges(const clv_graph *graph, const clv_node *conv, const edges *e, int64_t *pads) {
    const clv_window *window = &((const clv_conv_params *)conv->params)->window;
    const int32_t rank = graph->tensors[conv->inputs[0]].shape.rank - NUM_FIXED;
    for (int32_t a = 0; a < rank; a++) {
        const int32_t at = CLV_MAX_SPATIAL - rank + a;
        pads[a] = window->pad_begin[at] + e->begin[a];
        pads[rank + a] = window->pad_end[at] + e->end[a];
        if (pads[a] < 0 || pads[rank + a] < 0) {
            return false;
        }
    }
    return true;
}

static clv_status *set_pads(clv_graph *graph, clv_node_id id, const int64_t *pads) {
    const clv_attr given = {.name = "auto_pad", .type = CLV_ATTR_STRING, .value.string = "NOTSET"};
    const int32_t rank = graph->tensors[graph->nodes[id].inputs[0]].shape.rank - NUM_FIXED;
    CLV_TRY(clv_pass_set_attr(graph, id, &given));
    CLV_TRY(clv_pass_set_ints(graph, id, "pads", pads, 2 * (size_t)rank));
    return clv_pass_infer_node(graph, id);
}

/* Zeros at the ends of spatial axes alone. */
static bool find_zeros(const clv_graph *graph, const clv_node *pad, edges *out_edges) {
    const clv_move_op *op = pad->params;
    const clv_tensor *x = &graph->tensors[pad->inputs[0]];
    double value = op->value;
    if (op->mode != CLV_PAD_CONSTANT || x->dtype != CLV_FLOAT32 || x->shape.rank <= NUM_FIXED ||
        x->shape.rank > NUM_FIXED + CLV_MAX_SPATIAL ||
        (op->has_value && !clv_pass_scalar(graph, pad->inputs[2], &value)) || value != 0) {
        return false;
    }
    for (int32_t i = 0; i < x->shape.rank; i++) {
        if (op->before[i] < 0 || op->after[i] < 0 ||
            (i < NUM_FIXED && (op->before[i] != 0 || op->after[i] != 0))) {
            return false;
        }
        if (i >= NUM_FIXED) {
            out_edges->begin[i - NUM_FIXED] = op->before[i];
            out_edges->end[i - NUM_FIXED] = op->after[i];
        }
    }
    return true;
}

static clv_status *fold_zeros(clv_graph *graph, const clv_uses *uses, clv_node_id id) {
    const clv_tensor_id padded = graph->nodes[id].outputs[0];
    const clv_node_id reader = clv_uses_only_reader(uses, padded);
    int64_t pads[2 * CLV_MAX_SPATIAL];
    edges e;
    if (!is_there(graph, reader, "Conv") || graph->nodes[reader].inputs[0] != padded ||
        !find_zeros(graph, &graph->nodes[id], &e) ||
        !add_edges(graph, &graph->nodes[reader], &e, pads)) {
        return NULL;
    }
    CLV_TRY(clv_pass_adopt(graph, reader, id));
    graph->nodes[reader].inputs[0] = graph->nodes[id].inputs[0];
    clv_graph_remove_node(graph, id);
    return set_pads(graph, reader, pads);
}

/* A Slice that takes every position of what it leaves of spatial axes, of a Conv's output: so many
 * strides less of the input are to be read. */
static bool find_cut(
    const clv_graph *graph, const clv_node *slice, const clv_node *conv, edges *out_edges) {
    const clv_move_op *op = slice->params;
    const clv_window *window = &((const clv_conv_params *)conv->params)->window;
    const clv_shape *from = &graph->tensors[slice->inputs[0]].shape;
    const clv_shape *to = &graph->tensors[slice->outputs[0]].shape;
    if (clv_shape_elements(to) == 0) {
        return false;
    }
    for (int32_t i = 0; i < from->rank; i++) {
        const int64_t before = op->starts[i], after = from->dims[i] - before - to->dims[i];
        if (op->steps[i] != 1 || (i < NUM_FIXED && (before != 0 || after != 0))) {
            return false;
        }
        if (i >= NUM_FIXED) {
            const int64_t stride = window->stride[CLV_MAX_SPATIAL - from->rank + i];
            out_edges->begin[i - NUM_FIXED] = -before * stride;
            out_edges->end[i - NUM_FIXED] = -after * stride;
        }
    }
    return true;
}

static clv_status *fold_cut(clv_graph *graph, const clv_uses *uses, clv_node_id id) {
    const clv_tensor_id whole = graph->nodes[id].inputs[0], part = graph->nodes[id].outputs[0];
    const clv_node_id maker = graph->tensors[whole].producer;
    int64_t pads[2 * CLV_MAX_SPATIAL];
    edges e;
    if (!is_there(graph, maker, "Conv") || clv_uses_only_reader(uses, whole) != id ||
        !find_cut(graph, &graph->nodes[id], &graph->nodes[maker], &e) ||
        !add_edges(graph, &graph->nodes[maker], &e, pads)) {
        return NULL;
    }
    CLV_TRY(clv_pass_adopt(graph, maker, id));
    clv_graph_remove_node(graph, id);
    graph->nodes[maker].outputs[0] = part;
    graph->tensors[part].producer = maker;
    graph->tensors[whole].producer = CLV_NO_ID;
    return set_pads(graph, maker, pads);
}

clv_status *clv_pass_fold_pad(clv_graph *graph) {
    clv_uses uses;
    clv_status *status = NULL;
    CLV_TRY(clv_uses_init(graph, &uses));
    /* a part has the readers that it had, whoever makes it */
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        if (is_there(graph, id, "Pad")) {
            status = fold_zeros(graph, &uses, id);
        } else if (is_there(graph, id, "Slice")) {
            status = fold_cut(graph, &uses, id);
        }
    }
    clv_uses_deinit(&uses);
    return status;
}
