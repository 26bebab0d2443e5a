/* Layer and RMS normalisation over the last axis, written out in elementwise operators and means,
 * become the operators that they are:
 *
 *     d = x - mean(x)                  (RMS: d is x)
 *     n = d / sqrt(mean(d * d) + epsilon)
 *     y = n * scale + offset           (scale and offset constants along the last axis, if any)
 *
 * The square may be a power or a product, the quotient a product with a reciprocal or with a power
 * of -1/2, the root a power of 1/2, and d may be made twice. What lies between must not be read
 * elsewhere. Constants of one element may have any rank, as long as the result has the rank of x.
 *
 * This pass is about these operators alone, so it knows them by name. */
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"

#include <math.h>
#include <string.h>

clv_status *clv_pass_join_norm(clv_graph *graph) CLV_CHECKED;

typedef struct joiner {
    clv_graph *graph;
    clv_uses uses;
} joiner;

enum { MAX_JOINED = 12 };

typedef struct match {
    clv_tensor_id x, scale, offset; /* scale, offset: NO_ID where there is none */
    double epsilon;
    bool is_rms;
    clv_node_id joined[MAX_JOINED]; /* nodes that are part of it; the last one is replaced */
    size_t num_joined;
} match;

/* The node that makes `id` if it is of this type. */
static clv_node *maker(const joiner *j, clv_tensor_id id, const char *op) {
    if (id == CLV_NO_ID || j->graph->tensors[id].producer == CLV_NO_ID) {
        return NULL;
    }
    clv_node *node = &j->graph->nodes[j->graph->tensors[id].producer];
    bool fits = !node->removed && strcmp(node->op->name, op) == 0 && node->op->domain[0] == '\0';
    return fits ? node : NULL;
}

static bool join(const joiner *j, match *m, const clv_node *node) {
    if (m->num_joined == MAX_JOINED) {
        return false;
    }
    m->joined[m->num_joined++] = (clv_node_id)(node - j->graph->nodes);
    return true;
}

/* `node` has a constant of one value beside another operand: which, and the value. */
static bool with_constant(
    const joiner *j, const clv_node *node, clv_tensor_id *out_other, double *out_value) {
    for (size_t i = 0; i < 2 && node->num_inputs == 2; i++) {
        if (clv_pass_scalar(j->graph, node->inputs[i], out_value)) {
            *out_other = node->inputs[1 - i];
            return true;
        }
    }
    return false;
}

/* x to a constant power. */
static clv_node *power_of(const joiner *j, clv_tensor_id id, double power) {
    clv_node *node = maker(j, id, "Pow");
    double value = 0;
    bool fits = node != NULL && clv_pass_scalar(j->graph, node->inputs[1], &value) &&
                fabs(value - power) < 1e-12;
    return fits ? node : NULL;
}

/* The mean over the last axis, which stays as one: told by shapes. */
static clv_node *mean_of(const joiner *j, clv_tensor_id id) {
    clv_node *node = maker(j, id, "ReduceMean");
    if (node == NULL) {
        return NULL;
    }
    clv_shape want = j->graph->tensors[node->inputs[0]].shape;
    if (want.rank < 1 || want.dims[want.rank - 1] < 2) {
        return NULL;
    }
    want.dims[want.rank - 1] = 1;
    return clv_shape_equal(&want, &j->graph->tensors[id].shape) ? node : NULL;
}

/* d is x - mean(x). */
static bool match_difference(const joiner *j, clv_tensor_id d, clv_tensor_id *out_x, match *m) {
    const clv_node *sub = maker(j, d, "Sub");
    const clv_node *mean = sub != NULL ? mean_of(j, sub->inputs[1]) : NULL;
    if (mean == NULL || mean->inputs[0] != sub->inputs[0]) {
        return false;
    }
    *out_x = sub->inputs[0];
    return join(j, m, sub) && join(j, m, mean);
}

/* `id` is sqrt(mean(d * d) + epsilon), or with `inverse` one through that. */
static bool match_root(
    const joiner *j, clv_tensor_id id, bool inverse, clv_tensor_id *out_d, match *m) {
    const clv_node *root = NULL;
    if (inverse) {
        root = power_of(j, id, -0.5);
        const clv_node *turned = root == NULL ? maker(j, id, "Reciprocal") : NULL;
        const clv_node *quotient = root == NULL ? maker(j, id, "Div") : NULL;
        double one = 0;
        if (quotient != NULL && clv_pass_scalar(j->graph, quotient->inputs[0], &one) && one == 1) {
            turned = quotient;
        }
        if (turned != NULL) {
            id = turned->inputs[turned == quotient ? 1 : 0];
            if (!join(j, m, turned)) {
                return false;
            }
        } else if (root == NULL) {
            return false;
        }
    }
    root = root != NULL ? root : maker(j, id, "Sqrt");
    root = root != NULL ? root : power_of(j, id, 0.5);
    const clv_node *sum = root != NULL ? maker(j, root->inputs[0], "Add") : NULL;
    clv_tensor_id variance = CLV_NO_ID;
    if (sum == NULL || !with_constant(j, sum, &variance, &m->epsilon)) {
        return false;
    }
    const clv_node *mean = mean_of(j, variance);
    const clv_node *square = mean != NULL ? power_of(j, mean->inputs[0], 2) : NULL;
    if (mean != NULL && square == NULL) {
        square = maker(j, mean->inputs[0], "Mul");
        square = square != NULL && square->inputs[0] == square->inputs[1] ? square : NULL;
    }
    if (square == NULL) {
        return false;
    }
    *out_d = square->inputs[0];
    return join(j, m, root) && join(j, m, sum) && join(j, m, mean) && join(j, m, square);
}

/* `node` is the quotient n. */
static bool match_quotient(const joiner *j, const clv_node *node, match *m) {
    bool is_div = strcmp(node->op->name, "Div") == 0, is_mul = strcmp(node->op->name, "Mul") == 0;
    for (size_t i = 0; i < (is_mul ? 2u : is_div ? 1u : 0u); i++) {
        *m = (match){.scale = CLV_NO_ID, .offset = CLV_NO_ID};
        clv_tensor_id squared = CLV_NO_ID, d = node->inputs[i], x = CLV_NO_ID, again = CLV_NO_ID;
        if (!match_root(j, node->inputs[1 - i], is_mul, &squared, m)) {
            continue;
        }
        m->is_rms = !match_difference(j, d, &x, m);
        if (m->is_rms) {
            x = d;
        } else if (squared != d && match_difference(j, squared, &again, m) && again == x) {
            squared = d;
        }
        m->x = x;
        if (squared == d && m->epsilon >= 0) {
            return join(j, m, node);
        }
    }
    return false;
}

static bool is_joined(const match *m, clv_node_id id) {
    for (size_t i = 0; i < m->num_joined; i++) {
        if (m->joined[i] == id) {
            return true;
        }
    }
    return false;
}

/* The one node that reads `id`, or NULL. */
static clv_node *only_reader(const joiner *j, clv_tensor_id id) {
    const clv_node_id reader = clv_uses_only_reader(&j->uses, id);
    return reader != CLV_NO_ID ? &j->graph->nodes[reader] : NULL;
}

/* Takes in `op` of `id` with a constant along the last axis. */
static clv_tensor_id take_vector(
    const joiner *j, clv_tensor_id *id, const char *op, int64_t columns, match *m) {
    clv_node *node = only_reader(j, *id);
    if (node == NULL || node->removed || strcmp(node->op->name, op) != 0 ||
        !clv_shape_equal(
            &j->graph->tensors[node->outputs[0]].shape, &j->graph->tensors[*id].shape)) {
        return CLV_NO_ID;
    }
    clv_tensor_id other = node->inputs[node->inputs[0] == *id ? 1 : 0];
    const clv_tensor *tensor = &j->graph->tensors[other];
    bool fits = tensor->kind == CLV_TENSOR_CONSTANT && tensor->dtype == CLV_FLOAT32 &&
                tensor->shape.rank > 0 && tensor->shape.dims[tensor->shape.rank - 1] == columns &&
                clv_shape_elements(&tensor->shape) == columns;
    if (!fits || !join(j, m, node)) {
        return CLV_NO_ID;
    }
    *id = node->outputs[0];
    return other;
}

/* What lies between is read by its own nodes only. */
static bool is_closed(const joiner *j, const match *m, clv_tensor_id result) {
    for (size_t i = 0; i < m->num_joined; i++) {
        clv_tensor_id id = j->graph->nodes[m->joined[i]].outputs[0];
        if (id == result) {
            continue;
        }
        bool inside = j->uses.outputs[id] == 0;
        for (uint32_t k = j->uses.offsets[id]; k < j->uses.offsets[id + 1]; k++) {
            inside = inside && is_joined(m, j->uses.nodes[k]);
        }
        if (!inside) {
            return false;
        }
    }
    return true;
}

/* A vector of the last axis, as the operators take it: `from` without leading ones, or ones. */
static clv_status *make_vector(
    clv_graph *graph, clv_tensor_id from, int64_t columns, clv_tensor_id *out_id) {
    clv_arena scratch;
    clv_view view = {.dtype = CLV_FLOAT32, .shape = {.rank = 1, .dims = {columns}}};
    if (from != CLV_NO_ID && graph->tensors[from].shape.rank == 1) {
        *out_id = from;
        return NULL;
    }
    clv_arena_init(&scratch, 0);
    float *ones = clv_arena_alloc(&scratch, (size_t)columns, sizeof *ones);
    clv_status *status = ones != NULL ? NULL : CLV_NO_ARENA("a scale");
    for (int64_t i = 0; i < columns && status == NULL; i++) {
        ones[i] = 1;
    }
    if (status == NULL) {
        view.data = from != CLV_NO_ID ? graph->tensors[from].data : ones;
        status = clv_graph_add_constant(
            graph, from != CLV_NO_ID ? graph->tensors[from].name : "ones", &view, out_id);
    }
    clv_arena_deinit(&scratch);
    return status;
}

static clv_status *replace(joiner *j, const match *m) {
    clv_graph *graph = j->graph;
    const clv_shape *shape = &graph->tensors[m->x].shape;
    int64_t columns = shape->dims[shape->rank - 1];
    clv_node_id last = m->joined[m->num_joined - 1];
    clv_tensor_id scale = CLV_NO_ID, offset = CLV_NO_ID;
    CLV_TRY(make_vector(graph, m->scale, columns, &scale));
    if (m->offset != CLV_NO_ID) {
        CLV_TRY(make_vector(graph, m->offset, columns, &offset));
    }
    clv_attr *attrs = clv_arena_alloc(&graph->arena, 2, sizeof *attrs);
    clv_tensor_id *inputs = clv_arena_alloc(&graph->arena, 3, sizeof *inputs);
    if (attrs == NULL || inputs == NULL) {
        return CLV_NO_ARENA("a normalisation");
    }
    attrs[0] = (clv_attr){.name = "axis", .type = CLV_ATTR_INT, .value.i = -1};
    attrs[1] = (clv_attr){.name = "epsilon", .type = CLV_ATTR_FLOAT, .value.f = (float)m->epsilon};
    inputs[0] = m->x;
    inputs[1] = scale;
    inputs[2] = offset;
    for (size_t i = 0; i + 1 < m->num_joined; i++) {
        if (!graph->nodes[m->joined[i]].removed) { /* d may have been found twice */
            CLV_TRY(clv_pass_adopt(graph, last, m->joined[i]));
            clv_graph_remove_node(graph, m->joined[i]);
        }
    }
    clv_node *node = &graph->nodes[last];
    node->op = clv_op_find("", m->is_rms ? "RMSNormalization" : "LayerNormalization");
    node->op_type = node->op->name;
    node->opset = node->opset < node->op->since_opset ? node->op->since_opset : node->opset;
    node->attrs = attrs;
    node->num_attrs = 2;
    node->inputs = inputs;
    node->num_inputs = m->offset != CLV_NO_ID ? 3 : 2;
    return clv_pass_infer_node(graph, last);
}

static clv_status *try_node(joiner *j, clv_node_id id) {
    const clv_node *node = &j->graph->nodes[id];
    match m;
    if (node->removed || node->num_inputs != 2 || !match_quotient(j, node, &m)) {
        return NULL;
    }
    clv_tensor_id result = node->outputs[0];
    const clv_shape *shape = &j->graph->tensors[m.x].shape;
    int64_t columns = shape->dims[shape->rank - 1];
    if (j->graph->tensors[m.x].dtype != CLV_FLOAT32 || !is_closed(j, &m, result) ||
        !clv_shape_equal(&j->graph->tensors[result].shape, shape)) {
        return NULL;
    }
    m.scale = take_vector(j, &result, "Mul", columns, &m);
    if (!m.is_rms) {
        m.offset = take_vector(j, &result, "Add", columns, &m);
    }
    return replace(j, &m);
}

clv_status *clv_pass_join_norm(clv_graph *graph) {
    joiner j = {.graph = graph};
    clv_status *status = NULL;
    CLV_TRY(clv_uses_init(graph, &j.uses));
    /* New constants are not asked about, and what was joined is removed. */
    for (clv_node_id id = 0; status == NULL && id < graph->num_nodes; id++) {
        status = try_node(&j, id);
    }
    clv_uses_deinit(&j.uses);
    return status;
}
