/* Attention that is written out becomes one operator for all heads:
 *
 *     scores = scale * (q times k transposed) + mask
 *     y = Softmax(scores) times v
 *
 * The scale may be a product or a quotient, of the scores, of q, of k, or of several of them; the
 * mask may be left out. q, k and v may be [batch, heads, rows, size], or [batch, rows, heads, size]
 * with a Transpose behind them, k also transposed in one step or in two; and so may the result: the
 * operator reads and writes either, and no Transpose is left. What lies between must not be read
 * elsewhere; transposed tensors may.
 *
 * This pass is about these operators alone, so it knows them by name. */
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"

#include <math.h>
#include <string.h>

clv_status *clv_pass_join_attention(clv_graph *graph) CLV_CHECKED;

typedef struct joiner {
    clv_graph *graph;
    clv_uses uses;
} joiner;

enum { MAX_JOINED = 16, NUM_OPERANDS = 3 };

/* q, k or v as the operator takes it. */
typedef struct operand {
    clv_tensor_id id;
    bool by_row;
} operand;

typedef struct match {
    operand operands[NUM_OPERANDS];
    clv_tensor_id mask; /* NO_ID where there is none */
    double scale;
    bool out_by_row;
    clv_node_id joined[MAX_JOINED]; /* read by one another alone; the last one is replaced */
    size_t num_joined;
} match;

static const clv_tensor *tensor_of(const joiner *j, clv_tensor_id id) {
    return &j->graph->tensors[id];
}

/* The node that makes `id` if it is of this type. */
static const clv_node *maker(const joiner *j, clv_tensor_id id, const char *op) {
    if (id == CLV_NO_ID || tensor_of(j, id)->producer == CLV_NO_ID) {
        return NULL;
    }
    const clv_node *node = &j->graph->nodes[tensor_of(j, id)->producer];
    bool fits = !node->removed && strcmp(node->op->name, op) == 0;
    return fits ? node : NULL;
}

static bool is_read_once(const joiner *j, clv_tensor_id id) {
    return j->uses.outputs[id] == 0 && j->uses.offsets[id + 1] - j->uses.offsets[id] == 1;
}

/* The one node that reads `id`, once, if it is of this type. */
static const clv_node *only_reader(const joiner *j, clv_tensor_id id, const char *op) {
    const bool is_one = is_read_once(j, id);
    const clv_node *node = is_one ? &j->graph->nodes[j->uses.nodes[j->uses.offsets[id]]] : NULL;
    return node != NULL && !node->removed && strcmp(node->op->name, op) == 0 ? node : NULL;
}

static bool join(const joiner *j, match *m, const clv_node *node) {
    if (m->num_joined == MAX_JOINED) {
        return false;
    }
    m->joined[m->num_joined++] = (clv_node_id)(node - j->graph->nodes);
    return true;
}

/* `node` transposes by this permutation of its rank. */
static bool transposes(const clv_node *node, const int64_t *perm, size_t rank) {
    const int64_t *values = NULL;
    size_t count = 0;
    clv_status *status = node != NULL ? clv_attr_get_ints(node, "perm", &values, &count) : NULL;
    const bool fits =
        status == NULL && count == rank && memcmp(values, perm, rank * sizeof *perm) == 0;
    clv_status_destroy(status);
    return fits;
}

/* `id` is another tensor times a number: which, and the number. */
static bool is_scaled(
    const joiner *j, clv_tensor_id id, clv_tensor_id *out_from, double *out_factor) {
    const clv_node *mul = maker(j, id, "Mul"), *div = maker(j, id, "Div");
    const clv_node *node = mul != NULL ? mul : div;
    for (size_t i = 0; node != NULL && i < 2; i++) {
        double value;
        clv_tensor_id other = node->inputs[1 - i];
        if ((i == 1 || mul != NULL) && clv_pass_scalar(j->graph, node->inputs[i], &value) &&
            clv_shape_equal(&tensor_of(j, other)->shape, &tensor_of(j, id)->shape) &&
            (mul != NULL || value != 0)) {
            *out_from = other;
            *out_factor = mul != NULL ? value : 1 / value;
            return true;
        }
    }
    return false;
}

/* Goes from `id`, as a product reads it, to what the operator can read, through scales and
 * transposes. `is_k`: the product reads it transposed. */
static bool match_operand(
    const joiner *j, clv_tensor_id id, bool is_k, operand *out, double *scale) {
    static const int64_t last_4[] = {0, 1, 3, 2}, last_3[] = {0, 2, 1};
    static const int64_t heads[] = {0, 2, 1, 3}, both[] = {0, 2, 3, 1};
    const int rank = tensor_of(j, id)->shape.rank;
    *out = (operand){.id = id};
    for (;;) {
        clv_tensor_id from;
        double factor;
        const clv_node *transpose = maker(j, out->id, "Transpose");
        if (scale != NULL && is_scaled(j, out->id, &from, &factor)) {
            *scale *= factor;
            out->id = from;
        } else if (is_k && transposes(transpose, rank == 3 ? last_3 : last_4, (size_t)rank)) {
            is_k = false;
            out->id = transpose->inputs[0];
        } else if (is_k && rank == 4 && transposes(transpose, both, 4)) {
            is_k = false;
            out->by_row = true;
            out->id = transpose->inputs[0];
        } else if (!is_k && rank == 4 && !out->by_row && transposes(transpose, heads, 4)) {
            out->by_row = true;
            out->id = transpose->inputs[0];
        } else {
            return !is_k;
        }
    }
}

/* What a mask may be added to: a product, scaled or not, of this shape. */
static bool is_score(const joiner *j, clv_tensor_id id, const clv_shape *shape) {
    clv_tensor_id from;
    double factor;
    return (maker(j, id, "MatMul") != NULL || is_scaled(j, id, &from, &factor)) &&
           clv_shape_equal(&tensor_of(j, id)->shape, shape);
}

/* Through scores, from what Softmax reads to the product of q and k. */
static bool match_scores(const joiner *j, clv_tensor_id id, match *m) {
    const clv_shape *shape = &tensor_of(j, id)->shape;
    for (;;) {
        const clv_node *product = maker(j, id, "MatMul"), *add = maker(j, id, "Add");
        clv_tensor_id from;
        double factor;
        if (!is_read_once(j, id)) {
            return false;
        }
        if (product != NULL) {
            return match_operand(j, product->inputs[0], false, &m->operands[0], &m->scale) &&
                   match_operand(j, product->inputs[1], true, &m->operands[1], &m->scale) &&
                   join(j, m, product);
        }
        if (is_scaled(j, id, &from, &factor)) {
            if (!join(j, m, &j->graph->nodes[tensor_of(j, id)->producer])) {
                return false;
            }
            m->scale *= factor;
            id = from;
            continue;
        }
        if (add == NULL || m->mask != CLV_NO_ID || m->scale != 1) {
            return false; /* a mask that is scaled is another one */
        }
        const size_t i = is_score(j, add->inputs[0], shape) ? 0 : 1;
        m->mask = add->inputs[1 - i];
        id = add->inputs[i];
        if (!is_score(j, id, shape) || !join(j, m, add)) {
            return false;
        }
    }
}

/* The batch and heads of operands: those of q, or for heads of k and v a part of them. */
static bool shapes_fit(const joiner *j, const match *m, const clv_shape *scores) {
    for (size_t i = 0; i < NUM_OPERANDS; i++) {
        const operand *o = &m->operands[i];
        const clv_tensor *tensor = tensor_of(j, o->id);
        if (tensor->dtype != CLV_FLOAT32 || tensor->shape.rank != scores->rank ||
            tensor->shape.dims[0] != scores->dims[0] ||
            (scores->rank == 4 && tensor->shape.dims[o->by_row ? 2 : 1] != scores->dims[1])) {
            return false;
        }
    }
    return scores->dims[scores->rank - 1] > 0 &&
           (m->mask == CLV_NO_ID || tensor_of(j, m->mask)->dtype == CLV_FLOAT32);
}

static bool match_softmax(const joiner *j, const clv_node *softmax, match *m) {
    static const int64_t heads[] = {0, 2, 1, 3};
    const clv_shape *shape = &tensor_of(j, softmax->inputs[0])->shape;
    int64_t axis = -1;
    clv_status *status = clv_attr_get_int(softmax, "axis", softmax->opset < 13 ? 1 : -1, &axis);
    clv_status_destroy(status);
    *m = (match){.mask = CLV_NO_ID, .scale = 1};
    if (status != NULL || (shape->rank != 3 && shape->rank != 4) ||
        (axis != -1 && axis != shape->rank - 1)) {
        return false;
    }
    const clv_node *product = only_reader(j, softmax->outputs[0], "MatMul");
    if (product == NULL || product->inputs[0] != softmax->outputs[0] ||
        !match_operand(j, product->inputs[1], false, &m->operands[2], NULL) ||
        !match_scores(j, softmax->inputs[0], m) || !shapes_fit(j, m, shape) ||
        !isfinite((float)m->scale)) {
        return false;
    }
    const clv_node *transpose = only_reader(j, product->outputs[0], "Transpose");
    m->out_by_row = transposes(transpose, heads, 4);
    return join(j, m, softmax) && join(j, m, product) && (!m->out_by_row || join(j, m, transpose));
}

static clv_status *replace(joiner *j, const match *m) {
    clv_graph *graph = j->graph;
    const clv_node_id last = m->joined[m->num_joined - 1];
    const bool by_row[] = {
        m->operands[0].by_row, m->operands[1].by_row, m->operands[2].by_row, m->out_by_row};
    static const char *const names[] = {"q_by_row", "k_by_row", "v_by_row", "out_by_row"};
    size_t num_attrs = 0;
    clv_attr *attrs = clv_arena_alloc(&graph->arena, 5, sizeof *attrs);
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, NUM_OPERANDS + 1, sizeof *inputs);
    if (attrs == NULL || inputs == NULL) {
        return CLV_NO_ARENA("attention");
    }
    for (size_t i = 0; i < sizeof by_row / sizeof by_row[0]; i++) {
        if (by_row[i]) {
            attrs[num_attrs++] = (clv_attr){.name = names[i], .type = CLV_ATTR_INT, .value.i = 1};
        }
    }
    attrs[num_attrs++] =
        (clv_attr){.name = "scale", .type = CLV_ATTR_FLOAT, .value.f = (float)m->scale};
    for (size_t i = 0; i < NUM_OPERANDS; i++) {
        inputs[i] = m->operands[i].id;
    }
    inputs[NUM_OPERANDS] = m->mask;
    for (size_t i = 0; i + 1 < m->num_joined; i++) {
        CLV_TRY(clv_pass_adopt(graph, last, m->joined[i]));
        clv_graph_remove_node(graph, m->joined[i]);
    }
    clv_node *node = &graph->nodes[last];
    node->op = clv_op_find("", "HeadAttention");
    node->op_type = node->op->name;
    node->attrs = attrs;
    node->num_attrs = num_attrs;
    node->inputs = inputs;
    node->num_inputs = m->mask != CLV_NO_ID ? NUM_OPERANDS + 1 : NUM_OPERANDS;
    return clv_pass_infer_node(graph, last);
}

clv_status *clv_pass_join_attention(clv_graph *graph) {
    joiner j = {.graph = graph};
    clv_status *status = NULL;
    CLV_TRY(clv_uses_init(graph, &j.uses));
    /* Nodes of one match are not part of another: each has its own Softmax between. */
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        const clv_node *node = &graph->nodes[id];
        match m;
        if (!node->removed && strcmp(node->op->name, "Softmax") == 0 &&
            match_softmax(&j, node, &m)) {
            status = replace(&j, &m);
        }
    }
    clv_uses_deinit(&j.uses);
    return status;
}
