/* A product by a factor for each channel that is not known before (squeeze and excitation) goes
 * into the convolution behind it, which multiplies its weights by it on their way: the map is then
 * read and written once less. For convolutions of one tap, whose kernels know how; behind a product
 * that nothing else reads.
 *
 * This pass is about these operators alone, so it knows them by name, and the params of one. */
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"
#include "kernels_cl/conv/conv.h"

#include <string.h>

clv_status *clv_pass_fold_scale(clv_graph *graph) CLV_CHECKED;

/* Whether `scale` has one element for each channel of an image of `map`, which has more: a product
 * of two of the same shape is an activation (x * sigmoid(x)), or costs next to nothing. */
static bool is_for_channels(const clv_tensor *map, const clv_tensor *scale) {
    bool fits = map->dtype == CLV_FLOAT32 && map->shape.rank >= 3 &&
                scale->kind != CLV_TENSOR_CONSTANT && scale->shape.rank == map->shape.rank &&
                !clv_shape_equal(&map->shape, &scale->shape);
    for (int32_t i = 0; fits && i < map->shape.rank; i++) {
        fits = scale->shape.dims[i] == (i < 2 ? map->shape.dims[i] : 1);
    }
    return fits;
}

static bool takes_scale(const clv_graph *graph, clv_node_id reader, clv_tensor_id input) {
    if (reader == CLV_NO_ID) {
        return false;
    }
    const clv_node *node = &graph->nodes[reader];
    if (node->removed || strcmp(node->op->name, "Conv") != 0 || node->num_inputs > CLV_CONV_SCALE ||
        node->inputs[0] != input || graph->tensors[node->inputs[1]].kind != CLV_TENSOR_CONSTANT) {
        return false;
    }
    const clv_conv_params *params = node->params;
    bool is_one_tap = params->groups == 1 && params->shuffle <= 1;
    for (int32_t a = 0; a < CLV_MAX_SPATIAL; a++) {
        is_one_tap = is_one_tap && params->window.kernel[a] == 1;
    }
    return is_one_tap;
}

static clv_status *fold(
    clv_graph *graph, clv_node_id conv, clv_node_id product, size_t scale_slot) {
    const clv_node *mul = &graph->nodes[product];
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, CLV_CONV_SCALE + 1, sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    CLV_TRY(clv_pass_adopt(graph, conv, product));
    clv_node *node = &graph->nodes[conv];
    inputs[0] = mul->inputs[1 - scale_slot];
    inputs[1] = node->inputs[1];
    inputs[2] = node->num_inputs > 2 ? node->inputs[2] : CLV_NO_ID;
    inputs[CLV_CONV_SCALE] = mul->inputs[scale_slot];
    clv_graph_remove_node(graph, product);
    node->inputs = inputs;
    node->num_inputs = CLV_CONV_SCALE + 1;
    return clv_pass_infer_node(graph, conv);
}

clv_status *clv_pass_fold_scale(clv_graph *graph) {
    clv_uses uses;
    clv_status *status = NULL;
    CLV_TRY(clv_uses_init(graph, &uses));
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        const clv_node *mul = &graph->nodes[id];
        if (mul->removed || strcmp(mul->op->name, "Mul") != 0 || mul->num_inputs != 2) {
            continue;
        }
        for (size_t slot = 0; slot < 2; slot++) {
            const clv_node_id reader = clv_uses_only_reader(&uses, mul->outputs[0]);
            if (is_for_channels(
                    &graph->tensors[mul->inputs[1 - slot]], &graph->tensors[mul->inputs[slot]]) &&
                takes_scale(graph, reader, mul->outputs[0])) {
                status = fold(graph, reader, id, slot);
                break;
            }
        }
    }
    clv_uses_deinit(&uses);
    return status;
}
