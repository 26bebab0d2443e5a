/* A product of one-hot rows and a constant matrix picks rows of the matrix: Equal of indices with
 * 0, 1, 2, ..., as float32, times [symbols][columns] becomes Gather (JAX writes embeddings that
 * way). Indices that are none of the symbols give rows of 0: the matrix gets one such row at its
 * end, and indices are held within -1, which is the last row, and the number of symbols. What is
 * not finite in the matrix would spoil all rows of the product (0 times it is NaN), so then it
 * stays.
 *
 * This pass is about these operators alone, so it knows them by name. */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"

#include <math.h>
#include <string.h>

clv_status *clv_pass_gather_one_hot(clv_graph *graph) CLV_CHECKED;

typedef struct match {
    clv_node_id equal, cast, product;
    clv_tensor_id indices; /* [..., 1] */
    clv_shape shape;       /* of the indices without the last dimension */
    int64_t num_symbols, num_columns;
} match;

static bool is_op(const clv_graph *graph, clv_node_id id, const char *name) {
    return id != CLV_NO_ID && strcmp(graph->nodes[id].op->name, name) == 0;
}

/* Whether the tensor is 0, 1, ..., count - 1 along its last dimension, the only one. */
static bool counts_up(const clv_tensor *tensor, int64_t count) {
    if (tensor->kind != CLV_TENSOR_CONSTANT || clv_shape_elements(&tensor->shape) != count ||
        tensor->shape.rank < 1 || tensor->shape.dims[tensor->shape.rank - 1] != count) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        if (clv_load_int64(tensor->dtype, tensor->data, i) != i) {
            return false;
        }
    }
    return true;
}

static bool is_finite(const clv_tensor *tensor) {
    for (int64_t i = 0; i < clv_shape_elements(&tensor->shape); i++) {
        if (!isfinite(clv_load_double(CLV_FLOAT32, tensor->data, i))) {
            return false;
        }
    }
    return true;
}

/* Completes it by which input of Equal has the indices. */
static bool find_indices(const clv_graph *graph, match *m) {
    const clv_node *equal = &graph->nodes[m->equal];
    const clv_shape *rows = &graph->tensors[equal->outputs[0]].shape;
    for (size_t slot = 0; slot < 2; slot++) {
        const clv_tensor *indices = &graph->tensors[equal->inputs[slot]];
        m->indices = equal->inputs[slot];
        m->shape = indices->shape;
        m->shape.rank--;
        if ((indices->dtype == CLV_INT32 || indices->dtype == CLV_INT64) &&
            clv_shape_elements(&indices->shape) > 0 && indices->shape.rank == rows->rank &&
            indices->shape.rank > 1 && indices->shape.dims[m->shape.rank] == 1 &&
            clv_shape_elements(&indices->shape) * m->num_symbols == clv_shape_elements(rows) &&
            counts_up(&graph->tensors[equal->inputs[1 - slot]], m->num_symbols)) {
            return true;
        }
    }
    return false;
}

static bool find(const clv_graph *graph, const clv_uses *uses, clv_node_id id, match *m) {
    const clv_node *product = &graph->nodes[id];
    if (product->removed || !is_op(graph, id, "MatMul")) {
        return false;
    }
    const clv_tensor *rows = &graph->tensors[product->inputs[0]];
    const clv_tensor *matrix = &graph->tensors[product->inputs[1]];
    m->product = id;
    m->cast = rows->producer;
    if (matrix->kind != CLV_TENSOR_CONSTANT || matrix->dtype != CLV_FLOAT32 ||
        matrix->shape.rank != 2 || clv_shape_elements(&matrix->shape) == 0 ||
        !is_op(graph, m->cast, "Cast") || clv_uses_only_reader(uses, product->inputs[0]) != id) {
        return false;
    }
    const clv_tensor_id truth = graph->nodes[m->cast].inputs[0];
    m->equal = graph->tensors[truth].producer;
    m->num_symbols = matrix->shape.dims[0];
    m->num_columns = matrix->shape.dims[1];
    return is_op(graph, m->equal, "Equal") && clv_uses_only_reader(uses, truth) == m->cast &&
           m->num_symbols < INT32_MAX && find_indices(graph, m) && is_finite(matrix);
}

static clv_status *add_table(clv_graph *graph, const match *m, clv_tensor_id *out_id) {
    const clv_tensor matrix = graph->tensors[graph->nodes[m->product].inputs[1]];
    clv_view view = {
        .dtype = CLV_FLOAT32, .shape = {.rank = 2, .dims = {m->num_symbols + 1, m->num_columns}}};
    const size_t bytes = clv_view_bytes(CLV_FLOAT32, &matrix.shape);
    char *data = clv_alloc_zeroed(clv_view_bytes(CLV_FLOAT32, &view.shape), 1);
    if (data == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a matrix with a row more");
    }
    memcpy(data, matrix.data, bytes);
    view.data = data;
    clv_status *status = clv_graph_add_constant(graph, matrix.name, &view, out_id);
    clv_free(data);
    return status;
}

/* A node at the end of the graph that computes a value like the indices, of shape m->shape. */
static clv_status *add_node(
    clv_graph *graph, const match *m, const char *op, int opset, clv_tensor_id *inputs,
    size_t num_inputs, clv_tensor_id *out_id) {
    const clv_tensor indices = graph->tensors[m->indices];
    const clv_node node = {
        .op_type = op, .opset = opset, .inputs = inputs, .num_inputs = num_inputs};
    return clv_pass_add_node(graph, indices.name, indices.dtype, &m->shape, node, out_id);
}

static clv_status *add_number(
    clv_graph *graph, const match *m, int64_t value, clv_tensor_id *out_id) {
    const clv_dtype dtype = graph->tensors[m->indices].dtype;
    int64_t data;
    clv_store_int64(dtype, &data, 0, value);
    const clv_view view = {.dtype = dtype, .data = &data};
    return clv_graph_add_constant(graph, graph->tensors[m->indices].name, &view, out_id);
}

/* The indices without their last dimension, held within -1 and the number of symbols. */
static clv_status *add_indices(clv_graph *graph, const match *m, clv_tensor_id *out_id) {
    const clv_view dims = {
        .dtype = CLV_INT64, .shape = {.rank = 1, .dims = {m->shape.rank}}, .data = m->shape.dims};
    clv_tensor_id view[2] = {m->indices}, clip[3];
    CLV_TRY(clv_graph_add_constant(graph, graph->tensors[m->indices].name, &dims, &view[1]));
    CLV_TRY(add_node(graph, m, "Reshape", 13, view, 2, &clip[0]));
    CLV_TRY(add_number(graph, m, -1, &clip[1]));
    CLV_TRY(add_number(graph, m, m->num_symbols, &clip[2]));
    return add_node(graph, m, "Clip", 13, clip, 3, out_id);
}

static clv_status *replace(clv_graph *graph, const match *m) {
    clv_tensor_id table, indices;
    CLV_TRY(add_table(graph, m, &table));
    CLV_TRY(add_indices(graph, m, &indices));
    CLV_TRY(clv_pass_adopt(graph, m->product, m->cast));
    CLV_TRY(clv_pass_adopt(graph, m->product, m->equal));
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, 2, sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("the inputs of a node");
    }
    inputs[0] = table;
    inputs[1] = indices;
    clv_graph_remove_node(graph, m->cast);
    clv_graph_remove_node(graph, m->equal);
    clv_node *node = &graph->nodes[m->product];
    node->op = clv_op_find("", "Gather");
    node->op_type = "Gather";
    node->opset = 13;
    node->inputs = inputs;
    node->num_inputs = 2;
    return clv_pass_infer_node(graph, m->product);
}

clv_status *clv_pass_gather_one_hot(clv_graph *graph) {
    const size_t num_nodes = graph->num_nodes;
    clv_uses uses;
    clv_status *status = NULL;
    clv_compute_budget budget;
    clv_compute_budget_init(graph, 0x1p26, 1, &budget);
    CLV_TRY(clv_uses_init(graph, &uses));
    for (clv_node_id id = 0; status == NULL && id < num_nodes; id++) {
        match m;
        if (!find(graph, &uses, id, &m)) {
            continue;
        }
        const double bytes = 4.0 * (double)(m.num_symbols + 1) * (double)m.num_columns;
        if (clv_compute_take(&budget, bytes)) {
            status = replace(graph, &m);
        }
    }
    clv_uses_deinit(&uses);
    CLV_TRY(status);
    return graph->num_nodes != num_nodes ? clv_graph_sort(graph) : NULL;
}
