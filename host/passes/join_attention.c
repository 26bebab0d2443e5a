/* Attention that is written out becomes one operator for all heads:
 *
 *     scores = scale * (q times k transposed) + mask
 *     y = Softmax(scores) times v
 *
 * The scale may be a product or a quotient, of the scores, of q, of k, or of several of them. There
 * may be no mask, or several, added or by Where with a fill that no score changes. q, k and v may
 * be [batch, heads, rows, size], or [batch, rows, heads, size] with a Transpose behind them, k also
 * transposed in one step or in two; and so may the result: the operator reads and writes either,
 * and no Transpose is left. Heads of k and v may be repeated by Unsqueeze, Expand and Reshape: the
 * operator shares them. What Softmax gives may have its NaN replaced by 0. What lies between must
 * not be read elsewhere; transposed and repeated tensors may.
 *
 * This pass is about these operators alone, so it knows them by name. */
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"

#include <math.h>
#include <string.h>

clv_status *clv_pass_join_attention(clv_graph *graph) CLV_CHECKED;
clv_status *clv_pass_fold(clv_graph *graph) CLV_CHECKED;

typedef struct joiner {
    clv_graph *graph;
    clv_uses uses;
} joiner;

enum { MAX_JOINED = 16, MAX_MASKS = 4, NUM_OPERANDS = 3 };

/* A fill so low that a score added to it changes nothing. */
static const double lowest_fill = -1e30;

/* q, k or v as the operator takes it. */
typedef struct operand {
    clv_tensor_id id;
    bool by_row;
} operand;

typedef struct match {
    operand operands[NUM_OPERANDS];
    clv_node_id masks[MAX_MASKS]; /* Add and Where of scores, from the outermost on */
    size_t slots[MAX_MASKS];      /* which input the scores are */
    size_t num_masks;
    double scale;
    bool out_by_row, nan_is_zero;
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
    return clv_uses_only_reader(&j->uses, id) != CLV_NO_ID;
}

/* The one node that reads `id`, once, if it is of this type. */
static const clv_node *only_reader(const joiner *j, clv_tensor_id id, const char *op) {
    const clv_node_id reader = clv_uses_only_reader(&j->uses, id);
    const clv_node *node = reader != CLV_NO_ID ? &j->graph->nodes[reader] : NULL;
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

/* `id` is [batch, heads, rows, size] with each head of another tensor several times in a row. */
static bool is_repeated(const joiner *j, clv_tensor_id id, clv_tensor_id *out_from) {
    const clv_node *reshape = maker(j, id, "Reshape");
    const clv_node *expand = reshape != NULL ? maker(j, reshape->inputs[0], "Expand") : NULL;
    const clv_tensor *thin = expand != NULL ? tensor_of(j, expand->inputs[0]) : NULL;
    if (thin == NULL || thin->producer == CLV_NO_ID) {
        return false;
    }
    const clv_node *view = &j->graph->nodes[thin->producer];
    const clv_shape *wide = &tensor_of(j, expand->outputs[0])->shape;
    const clv_shape *result = &tensor_of(j, id)->shape;
    if (view->removed || (view->op->flags & CLV_OP_VIEW) == 0 || wide->rank != 5 ||
        thin->shape.rank != 5 || result->rank != 4) {
        return false;
    }
    const int64_t *w = wide->dims;
    const clv_shape expected_thin = {.rank = 5, .dims = {w[0], w[1], 1, w[3], w[4]}};
    const clv_shape from = {.rank = 4, .dims = {w[0], w[1], w[3], w[4]}};
    const clv_shape expected = {.rank = 4, .dims = {w[0], w[1] * w[2], w[3], w[4]}};
    *out_from = view->inputs[0];
    return clv_shape_equal(&thin->shape, &expected_thin) && clv_shape_equal(result, &expected) &&
           clv_shape_equal(&tensor_of(j, *out_from)->shape, &from);
}

/* Goes from `id`, as a product reads it, to what the operator can read, through scales and
 * transposes, and repeated heads. `is_k`: the product reads it transposed. */
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
        } else if (!is_k && !out->by_row && is_repeated(j, out->id, &from)) {
            out->id = from;
        } else if (!is_k && rank == 4 && !out->by_row && transposes(transpose, heads, 4)) {
            out->by_row = true;
            out->id = transpose->inputs[0];
        } else {
            return !is_k;
        }
    }
}

/* What a mask may be put on: a product, scaled or not, or one with a mask already. */
static bool is_score(const joiner *j, clv_tensor_id id, const clv_shape *shape) {
    clv_tensor_id from;
    double factor;
    return (maker(j, id, "MatMul") != NULL || maker(j, id, "Add") != NULL ||
            maker(j, id, "Where") != NULL || is_scaled(j, id, &from, &factor)) &&
           clv_shape_equal(&tensor_of(j, id)->shape, shape);
}

/* `id` is scores with a mask: takes it in, and goes on to the scores. */
static bool match_mask(const joiner *j, clv_tensor_id *id, const clv_shape *shape, match *m) {
    const clv_node *add = maker(j, *id, "Add"), *where = maker(j, *id, "Where");
    const clv_node *node = add != NULL ? add : where;
    if (node == NULL || m->num_masks == MAX_MASKS || m->scale != 1) {
        return false; /* a mask that is scaled is another one */
    }
    const size_t first = add != NULL ? 0 : 1;
    for (size_t slot = first; slot < first + 2; slot++) {
        const clv_tensor_id other = node->inputs[2 * first + 1 - slot];
        double fill;
        if (is_score(j, node->inputs[slot], shape) &&
            (where == NULL || (clv_pass_scalar(j->graph, other, &fill) && fill <= lowest_fill))) {
            m->masks[m->num_masks] = (clv_node_id)(node - j->graph->nodes);
            m->slots[m->num_masks++] = slot;
            *id = node->inputs[slot];
            return true;
        }
    }
    return false;
}

/* Through scores, from what Softmax reads to the product of q and k. */
static bool match_scores(const joiner *j, clv_tensor_id id, match *m) {
    const clv_shape *shape = &tensor_of(j, id)->shape;
    for (;;) {
        const clv_node *product = maker(j, id, "MatMul");
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
        } else if (!match_mask(j, &id, shape, m)) {
            return false;
        }
    }
}

/* The batch and heads of operands: those of q, or for heads of k and v a part of them. */
static bool shapes_fit(const joiner *j, const match *m, const clv_shape *scores) {
    int64_t heads[NUM_OPERANDS] = {1, 1, 1};
    for (size_t i = 0; i < NUM_OPERANDS; i++) {
        const operand *o = &m->operands[i];
        const clv_tensor *tensor = tensor_of(j, o->id);
        if (tensor->dtype != CLV_FLOAT32 || tensor->shape.rank != scores->rank ||
            tensor->shape.dims[0] != scores->dims[0]) {
            return false;
        }
        heads[i] = scores->rank == 4 ? tensor->shape.dims[o->by_row ? 2 : 1] : 1;
    }
    return scores->dims[scores->rank - 1] > 0 && heads[1] == heads[2] && heads[1] > 0 &&
           heads[0] % heads[1] == 0 && (scores->rank == 3 || heads[0] == scores->dims[1]);
}

/* The product that reads what Softmax gives, as it is or with 0 for NaN. */
static const clv_node *find_product(const joiner *j, clv_tensor_id *weights, match *m) {
    const clv_node *product = only_reader(j, *weights, "MatMul");
    const uint32_t first = j->uses.offsets[*weights];
    if (product != NULL || j->uses.outputs[*weights] != 0 ||
        j->uses.offsets[*weights + 1] - first != 2) {
        return product;
    }
    for (uint32_t i = first; i < first + 2; i++) {
        const clv_node *test = &j->graph->nodes[j->uses.nodes[i]];
        const clv_node *where =
            strcmp(test->op->name, "IsNaN") == 0 ? only_reader(j, test->outputs[0], "Where") : NULL;
        double value;
        if (where != NULL && where->inputs[0] == test->outputs[0] && where->inputs[2] == *weights &&
            clv_pass_scalar(j->graph, where->inputs[1], &value) && value == 0 &&
            clv_shape_equal(
                &tensor_of(j, where->outputs[0])->shape, &tensor_of(j, *weights)->shape) &&
            join(j, m, test) && join(j, m, where)) {
            *weights = where->outputs[0];
            m->nan_is_zero = true;
            return only_reader(j, *weights, "MatMul");
        }
    }
    return NULL;
}

static bool match_softmax(const joiner *j, const clv_node *softmax, match *m) {
    static const int64_t heads[] = {0, 2, 1, 3};
    const clv_shape *shape = &tensor_of(j, softmax->inputs[0])->shape;
    int64_t axis = -1;
    clv_status *status = clv_attr_get_int(softmax, "axis", softmax->opset < 13 ? 1 : -1, &axis);
    clv_status_destroy(status);
    *m = (match){.scale = 1};
    if (status != NULL || (shape->rank != 3 && shape->rank != 4) ||
        (axis != -1 && axis != shape->rank - 1)) {
        return false;
    }
    clv_tensor_id weights = softmax->outputs[0];
    const clv_node *product = find_product(j, &weights, m);
    if (product == NULL || product->inputs[0] != weights ||
        !match_operand(j, product->inputs[1], false, &m->operands[2], NULL) ||
        !match_scores(j, softmax->inputs[0], m) || !shapes_fit(j, m, shape) ||
        !isfinite((float)m->scale)) {
        return false;
    }
    const clv_node *transpose = only_reader(j, product->outputs[0], "Transpose");
    m->out_by_row = transposes(transpose, heads, 4);
    return join(j, m, softmax) && join(j, m, product) && (!m->out_by_row || join(j, m, transpose));
}

/* A constant 0, for a mask where there is nothing to mask. */
static clv_status *make_zero(clv_graph *graph, clv_tensor_id *out_id) {
    static const float zero = 0;
    const clv_view view = {.dtype = CLV_FLOAT32, .shape = {.rank = 0}, .data = &zero};
    return clv_graph_add_constant(graph, "zero", &view, out_id);
}

/* The node `id`, which put a mask on scores, puts it on `rest` instead, another mask or 0; its
 * result is a tensor of its own, since it means something else now. */
static clv_status *move_mask(clv_graph *graph, clv_node_id id, size_t slot, clv_tensor_id rest) {
    clv_node *node = &graph->nodes[id];
    clv_shape shape = graph->tensors[rest].shape;
    clv_tensor_id result;
    for (size_t i = 0; i < node->num_inputs; i++) {
        if (i != slot) {
            CLV_TRY(clv_shape_broadcast(&shape, &graph->tensors[node->inputs[i]].shape, &shape));
        }
    }
    CLV_TRY(clv_graph_add_value(
        graph, graph->tensors[node->outputs[0]].name, CLV_FLOAT32, &shape, &result));
    node->inputs[slot] = rest;
    graph->tensors[node->outputs[0]].producer = CLV_NO_ID;
    node->outputs[0] = result;
    graph->tensors[result].producer = id;
    return clv_pass_infer_node(graph, id);
}

/* One mask of all, from the innermost on; NO_ID where there is none. */
static clv_status *join_masks(clv_graph *graph, const match *m, clv_tensor_id *out_mask) {
    *out_mask = CLV_NO_ID;
    for (size_t i = m->num_masks; i-- > 0;) {
        const clv_node *node = &graph->nodes[m->masks[i]];
        const bool is_add = node->num_inputs == 2;
        if (*out_mask == CLV_NO_ID && is_add) {
            *out_mask = node->inputs[1 - m->slots[i]];
            clv_graph_remove_node(graph, m->masks[i]);
            continue;
        }
        if (*out_mask == CLV_NO_ID) {
            CLV_TRY(make_zero(graph, out_mask));
        }
        CLV_TRY(move_mask(graph, m->masks[i], m->slots[i], *out_mask));
        *out_mask = graph->nodes[m->masks[i]].outputs[0];
    }
    return NULL;
}

static clv_status *make_attrs(
    clv_graph *graph, const match *m, clv_attr **out_attrs, size_t *out_count) {
    static const char *const names[] = {
        "q_by_row", "k_by_row", "v_by_row", "out_by_row", "nan_is_zero"};
    const bool flags[] = {
        m->operands[0].by_row, m->operands[1].by_row, m->operands[2].by_row, m->out_by_row,
        m->nan_is_zero};
    const size_t num_flags = sizeof flags / sizeof flags[0];
    clv_attr *attrs = clv_arena_alloc(&graph->arena, num_flags + 1, sizeof *attrs);
    if (attrs == NULL) {
        return CLV_NO_ARENA("attention");
    }
    *out_count = 0;
    for (size_t i = 0; i < num_flags; i++) {
        if (flags[i]) {
            attrs[(*out_count)++] =
                (clv_attr){.name = names[i], .type = CLV_ATTR_INT, .value.i = 1};
        }
    }
    attrs[(*out_count)++] =
        (clv_attr){.name = "scale", .type = CLV_ATTR_FLOAT, .value.f = (float)m->scale};
    *out_attrs = attrs;
    return NULL;
}

static clv_status *replace(joiner *j, const match *m) {
    clv_graph *graph = j->graph;
    const clv_node_id last = m->joined[m->num_joined - 1];
    clv_attr *attrs = NULL;
    size_t num_attrs = 0;
    clv_tensor_id mask;
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, NUM_OPERANDS + 1, sizeof *inputs);
    if (inputs == NULL) {
        return CLV_NO_ARENA("attention");
    }
    CLV_TRY(make_attrs(graph, m, &attrs, &num_attrs));
    for (size_t i = 0; i < m->num_masks; i++) {
        const bool goes = i + 1 == m->num_masks && graph->nodes[m->masks[i]].num_inputs == 2;
        CLV_TRY(goes ? clv_pass_adopt(graph, last, m->masks[i]) : NULL);
    }
    CLV_TRY(join_masks(graph, m, &mask));
    for (size_t i = 0; i < NUM_OPERANDS; i++) {
        inputs[i] = m->operands[i].id;
    }
    inputs[NUM_OPERANDS] = mask;
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
    node->num_inputs = mask != CLV_NO_ID ? NUM_OPERANDS + 1 : NUM_OPERANDS;
    return clv_pass_infer_node(graph, last);
}

clv_status *clv_pass_join_attention(clv_graph *graph) {
    joiner j = {.graph = graph};
    clv_status *status = NULL;
    size_t num_masks = 0;
    CLV_TRY(clv_uses_init(graph, &j.uses));
    /* Nodes of one match are not part of another: each has its own Softmax between. */
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        const clv_node *node = &graph->nodes[id];
        match m;
        if (!node->removed && strcmp(node->op->name, "Softmax") == 0 &&
            match_softmax(&j, node, &m)) {
            status = replace(&j, &m);
            num_masks += m.num_masks;
        }
    }
    clv_uses_deinit(&j.uses);
    /* masks that do not depend on scores any more may be constants */
    return status == NULL && num_masks != 0 ? clv_pass_fold(graph) : status;
}
