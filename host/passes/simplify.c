/* Leaves out nodes whose output is their input: Identity, Dropout, casts to the same type,
 * reshapes and transposes that change nothing. What changes nothing is the operator's to say
 * (is_identity). A view of a view becomes a view of what lies below, so that a Reshape and its
 * inverse are seen to be nothing as well.
 *
 * One walk in topological order: `alias` says which tensor stands for one that was left out. */
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"
#include "host/passes/rewrite.h"

clv_status *clv_pass_simplify(clv_graph *graph) CLV_CHECKED;

typedef struct simplifier {
    clv_graph *graph;
    size_t num_tensors;   /* at the start: tensors added later have no alias */
    clv_tensor_id *alias; /* [num_tensors]: CLV_NO_ID, or the tensor to read instead */
    bool *is_output;      /* [num_tensors]: of the graph */
    size_t *slots;        /* [num_tensors]: which output of its producer it is */
} simplifier;

static clv_tensor_id resolve(const simplifier *s, clv_tensor_id id) {
    while (id < s->num_tensors && s->alias[id] != CLV_NO_ID) {
        id = s->alias[id];
    }
    return id;
}

static void resolve_inputs(const simplifier *s, clv_node *node) {
    for (size_t i = 0; i < node->num_inputs; i++) {
        node->inputs[i] = resolve(s, node->inputs[i]);
    }
}

static bool has_one_output(const clv_node *node) {
    for (size_t i = 1; i < node->num_outputs; i++) {
        if (node->outputs[i] != CLV_NO_ID) {
            return false;
        }
    }
    return node->num_outputs > 0 && node->outputs[0] != CLV_NO_ID;
}

/* --- views of views --- */

static bool is_view(const clv_node *node) {
    return !node->removed && (node->op->flags & CLV_OP_VIEW) != 0 && has_one_output(node);
}

/* What the view that `node` reads is a view of, or NO_ID. */
static clv_tensor_id find_below(const simplifier *s, const clv_node *node) {
    clv_node_id producer = s->graph->tensors[node->inputs[0]].producer;
    if (producer == CLV_NO_ID || !is_view(&s->graph->nodes[producer])) {
        return CLV_NO_ID;
    }
    /* the producer was visited, but what it reads may have been renamed since */
    return resolve(s, s->graph->nodes[producer].inputs[0]);
}

static clv_status *merge_views(simplifier *s, clv_node_id id) {
    if (!is_view(&s->graph->nodes[id])) {
        return NULL;
    }
    /* a Reshape, whatever it was: a Flatten at axis 1, say, was one of the input that it had */
    clv_tensor_id below = find_below(s, &s->graph->nodes[id]);
    return below != CLV_NO_ID ? clv_pass_make_view(s->graph, id, below) : NULL;
}

/* --- identities --- */

static clv_status *is_identity(const simplifier *s, clv_node_id id, bool *out_result) {
    const clv_node *node = &s->graph->nodes[id];
    *out_result = false;
    if (node->removed || node->op->is_identity == NULL || !has_one_output(node)) {
        return NULL;
    }
    clv_arena scratch;
    clv_call call;
    clv_arena_init(&scratch, 0);
    clv_status *status = clv_call_from_node(s->graph, node, &scratch, &call);
    if (status == NULL) {
        *out_result = node->op->is_identity(&call);
    }
    clv_arena_deinit(&scratch);
    return status;
}

/* Leaves the node out. A graph output keeps its name: whoever makes the input writes the output
 * instead; where that cannot be (an input of the graph, a constant, an output itself), the node
 * stays. */
static void leave_out(simplifier *s, clv_node_id id) {
    clv_graph *graph = s->graph;
    clv_tensor_id input = graph->nodes[id].inputs[0], output = graph->nodes[id].outputs[0];
    if (!s->is_output[output]) {
        clv_graph_remove_node(graph, id);
        s->alias[output] = input;
        return;
    }
    clv_tensor *from = &graph->tensors[input];
    if (from->kind != CLV_TENSOR_VALUE || s->is_output[input]) {
        return;
    }
    clv_graph_remove_node(graph, id);
    graph->nodes[from->producer].outputs[s->slots[input]] = output;
    s->slots[output] = s->slots[input];
    graph->tensors[output].producer = from->producer;
    from->producer = CLV_NO_ID;
    s->alias[input] = output;
}

static clv_status *simplify_nodes(simplifier *s) {
    for (clv_node_id id = 0; id < s->graph->num_nodes; id++) {
        bool result;
        resolve_inputs(s, &s->graph->nodes[id]);
        CLV_TRY(merge_views(s, id));
        CLV_TRY(is_identity(s, id, &result));
        if (result) {
            leave_out(s, id);
        }
    }
    for (clv_node_id id = 0; id < s->graph->num_nodes; id++) {
        resolve_inputs(s, &s->graph->nodes[id]); /* those before a producer that was renamed */
    }
    return NULL;
}

clv_status *clv_pass_simplify(clv_graph *graph) {
    clv_status *status = NULL;
    simplifier s = {
        .graph = graph,
        .num_tensors = graph->num_tensors,
        .alias = clv_alloc(graph->num_tensors * sizeof *s.alias),
        .is_output = clv_alloc_zeroed(graph->num_tensors, sizeof *s.is_output),
        .slots = clv_alloc_zeroed(graph->num_tensors, sizeof *s.slots),
    };
    if (s.alias == NULL || s.is_output == NULL || s.slots == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for simplifying");
        goto done;
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        s.alias[i] = CLV_NO_ID;
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        s.is_output[graph->outputs[i]] = true;
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->num_outputs; k++) {
            if (node->outputs[k] != CLV_NO_ID) {
                s.slots[node->outputs[k]] = k;
            }
        }
    }
    CLV_TRY_DONE(simplify_nodes(&s));
done:
    clv_free(s.slots);
    clv_free(s.alias);
    clv_free(s.is_output);
    return status;
}
