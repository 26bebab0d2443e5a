#include "host/passes/evaluate.h"

#include "host/base/cancel.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/passes.h"

#include <string.h>

typedef struct evaluation {
    const clv_graph *graph;
    clv_uses uses;
    void **values;       /* [num_tensors]: computed and not yet dropped */
    const void **data;   /* [num_tensors]: whatever is known now */
    uint32_t *num_reads; /* [num_tensors]: still to come */
    clv_evaluate_hook hook;
    void *context;
} evaluation;

static clv_status *show(const evaluation *e, clv_tensor_id id) {
    if (e->hook == NULL) {
        return NULL;
    }
    const clv_tensor *tensor = &e->graph->tensors[id];
    clv_view view = {.dtype = tensor->dtype, .shape = tensor->shape, .data = e->data[id]};
    return e->hook(e->context, id, &view);
}

static clv_status *set_inputs(evaluation *e, const clv_view *inputs) {
    for (size_t i = 0; i < e->graph->num_inputs; i++) {
        clv_tensor_id id = e->graph->inputs[i];
        const clv_tensor *tensor = &e->graph->tensors[id];
        bool fits = inputs[i].dtype == tensor->dtype &&
                    clv_shape_equal(&inputs[i].shape, &tensor->shape) &&
                    (inputs[i].data != NULL || clv_shape_elements(&tensor->shape) == 0);
        if (!fits) {
            return CLV_ERROR(USAGE, "input '%s' is not of the type and shape needed", tensor->name);
        }
        e->data[id] = inputs[i].data;
        CLV_TRY(show(e, id));
    }
    return NULL;
}

static clv_status *allocate_outputs(
    evaluation *e, const clv_node *node, const clv_call *call, clv_mutable_view *outputs) {
    for (size_t i = 0; i < node->num_outputs; i++) {
        const clv_view *view = &call->outputs[i];
        outputs[i] = (clv_mutable_view){.dtype = view->dtype, .shape = view->shape};
        if (view->dtype == CLV_DTYPE_NONE) {
            continue;
        }
        size_t bytes = clv_view_bytes(view->dtype, &view->shape);
        void *data = clv_alloc_aligned(64, bytes > 0 ? bytes : 1);
        if (data == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for %zu bytes", bytes);
        }
        memset(data, 0, bytes);
        e->values[node->outputs[i]] = data;
        e->data[node->outputs[i]] = data;
        outputs[i].data = data;
    }
    return NULL;
}

static clv_status *run_node(evaluation *e, const clv_node *node, clv_arena *scratch) {
    clv_call call;
    if (node->op->reference == NULL) {
        return CLV_ERROR(UNSUPPORTED, "the operator has no reference");
    }
    CLV_TRY(clv_call_from_node(e->graph, node, scratch, &call));
    clv_view *inputs = (clv_view *)call.inputs; /* of our own arena */
    for (size_t i = 0; i < node->num_inputs; i++) {
        inputs[i].data = node->inputs[i] != CLV_NO_ID ? e->data[node->inputs[i]] : NULL;
    }
    clv_mutable_view *outputs = clv_arena_alloc(scratch, node->num_outputs, sizeof *outputs);
    if (outputs == NULL) {
        return CLV_NO_ARENA("the outputs of a node");
    }
    CLV_TRY(allocate_outputs(e, node, &call, outputs));
    CLV_TRY(clv_call_reference(&call, outputs));
    return NULL;
}

static void drop_after(evaluation *e, const clv_node *node) {
    for (size_t i = 0; i < node->num_inputs; i++) {
        clv_tensor_id id = node->inputs[i];
        if (id != CLV_NO_ID && --e->num_reads[id] == 0) {
            clv_free(e->values[id]);
            e->values[id] = NULL;
        }
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        clv_tensor_id id = node->outputs[i];
        if (id != CLV_NO_ID && e->num_reads[id] == 0) { /* the hook has seen it */
            clv_free(e->values[id]);
            e->values[id] = NULL;
        }
    }
}

static clv_status *run_nodes(evaluation *e) {
    const clv_graph *graph = e->graph;
    for (size_t n = 0; n < graph->num_nodes; n++) {
        const clv_node *node = &graph->nodes[n];
        clv_arena scratch;
        CLV_TRY(clv_cancel_check());
        clv_progress("reference", (double)n, (double)graph->num_nodes);
        clv_arena_init(&scratch, 0);
        clv_status *status = run_node(e, node, &scratch);
        clv_arena_deinit(&scratch);
        if (status != NULL) {
            return clv_pass_blame(status, node);
        }
        for (size_t i = 0; i < node->num_outputs; i++) {
            if (node->outputs[i] != CLV_NO_ID) {
                CLV_TRY(show(e, node->outputs[i]));
            }
        }
        drop_after(e, node);
    }
    return NULL;
}

clv_status *clv_evaluate(
    const clv_graph *graph, const clv_view *inputs, clv_evaluate_hook hook, void *context) {
    evaluation e = {.graph = graph, .hook = hook, .context = context};
    clv_status *status = NULL;
    size_t count = graph->num_tensors + 1;
    CLV_TRY(clv_uses_init(graph, &e.uses));
    e.values = clv_alloc_zeroed(count, sizeof *e.values);
    e.data = clv_alloc_zeroed(count, sizeof *e.data);
    e.num_reads = clv_alloc_zeroed(count, sizeof *e.num_reads);
    if (e.values == NULL || e.data == NULL || e.num_reads == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for the reference");
        goto done;
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        e.num_reads[i] = e.uses.offsets[i + 1] - e.uses.offsets[i];
        if (graph->tensors[i].kind == CLV_TENSOR_CONSTANT) {
            e.data[i] = graph->tensors[i].data;
        }
    }
    CLV_TRY_DONE(set_inputs(&e, inputs));
    CLV_TRY_DONE(run_nodes(&e));
done:
    for (size_t i = 0; e.values != NULL && i < graph->num_tensors; i++) {
        clv_free(e.values[i]);
    }
    clv_free(e.values);
    clv_free(e.data);
    clv_free(e.num_reads);
    clv_uses_deinit(&e.uses);
    return status;
}
