/* Constant folding: whatever depends on constants alone is computed once, here. */
#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/compute.h"
#include "host/passes/passes.h"

clv_status *clv_pass_fold(clv_graph *graph) CLV_CHECKED;

/* A result over this size, and over four times its inputs', is not kept: it costs less to compute
 * than to hold. */
static const double max_grown_bytes = 0x1p26, max_growth = 4;
/* All results together, beside four times the constants that the graph has: 256 MiB. */
static const double max_bytes = 0x1p28;

/* Results lie on the heap, so that those which only lead to others can go as soon as these are
 * there. The graph takes over what is left. */
typedef struct folder {
    clv_graph *graph;
    clv_compute_budget budget;
    void **results;      /* [num_tensors]: owned */
    uint32_t *num_reads; /* [num_tensors]: by nodes that are not folded yet, and by the graph's
                            outputs */
} folder;

static void *allocate_result(void *context, clv_tensor_id id, size_t bytes) {
    folder *f = context;
    f->results[id] = clv_alloc_aligned(64, bytes);
    return f->results[id];
}

static bool grows_too_much(const clv_call *call) {
    double in_bytes = 0, out_bytes = 0;
    for (size_t i = 0; i < call->num_inputs; i++) {
        if (clv_call_has_input(call, i)) {
            in_bytes += (double)clv_view_bytes(call->inputs[i].dtype, &call->inputs[i].shape);
        }
    }
    for (size_t i = 0; i < call->num_outputs; i++) {
        if (call->outputs[i].dtype != CLV_DTYPE_NONE) {
            out_bytes += (double)clv_view_bytes(call->outputs[i].dtype, &call->outputs[i].shape);
        }
    }
    return out_bytes > max_grown_bytes && out_bytes > max_growth * in_bytes;
}

static void drop_inputs(folder *f, const clv_node *node) {
    for (size_t i = 0; i < node->num_inputs; i++) {
        clv_tensor_id id = node->inputs[i];
        if (id != CLV_NO_ID && --f->num_reads[id] == 0 && f->results[id] != NULL) {
            double bytes =
                (double)clv_view_bytes(f->graph->tensors[id].dtype, &f->graph->tensors[id].shape);
            f->budget.bytes += bytes;
            clv_free(f->results[id]);
            f->results[id] = NULL;
        }
    }
}

static clv_status *fold_node(folder *f, clv_node_id id, clv_arena *scratch) {
    const clv_node *node = &f->graph->nodes[id];
    clv_call call;
    CLV_TRY(clv_compute_call(f->graph, node, scratch, &call));
    if (grows_too_much(&call) || !clv_compute_charge(&f->budget, &call, f->budget.work)) {
        return NULL;
    }
    CLV_TRY(clv_cancel_check());
    CLV_TRY(clv_compute_outputs(f->graph, node, &call, UINT32_MAX, true, allocate_result, f));
    clv_graph_remove_node(f->graph, id);
    drop_inputs(f, node);
    return NULL;
}

static clv_status *fold_nodes(folder *f) {
    for (clv_node_id id = 0; id < f->graph->num_nodes; id++) {
        const clv_node *node = &f->graph->nodes[id];
        if (node->removed || !clv_compute_is_constant(f->graph, node)) {
            continue;
        }
        clv_arena scratch;
        clv_arena_init(&scratch, 0);
        clv_status *status = fold_node(f, id, &scratch);
        clv_arena_deinit(&scratch);
        if (status != NULL) {
            return clv_pass_blame(status, node);
        }
    }
    return NULL;
}

static clv_status *hand_over(folder *f) {
    for (size_t i = 0; i < f->graph->num_tensors; i++) {
        void *result = f->results[i];
        f->results[i] = NULL;
        if (result != NULL && f->num_reads[i] != 0) {
            clv_resource resource = {.object = result, .destroy = clv_free};
            CLV_TRY(clv_graph_take_resource(f->graph, resource));
        } else {
            clv_free(result); /* an output that nobody reads */
        }
    }
    return NULL;
}

static clv_status *count_reads(folder *f) {
    clv_uses uses;
    CLV_TRY(clv_uses_init(f->graph, &uses));
    for (size_t i = 0; i < f->graph->num_tensors; i++) {
        f->num_reads[i] = uses.offsets[i + 1] - uses.offsets[i] + uses.outputs[i];
    }
    clv_uses_deinit(&uses);
    return NULL;
}

clv_status *clv_pass_fold(clv_graph *graph) {
    clv_status *status = NULL;
    folder f = {
        .graph = graph,
        .results = clv_alloc_zeroed(graph->num_tensors, sizeof *f.results),
        .num_reads = clv_alloc_zeroed(graph->num_tensors, sizeof *f.num_reads),
    };
    if (f.results == NULL || f.num_reads == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for constant folding");
        goto done;
    }
    clv_compute_budget_init(graph, max_bytes, max_growth, &f.budget);
    CLV_TRY_DONE(count_reads(&f));
    CLV_TRY_DONE(fold_nodes(&f));
    CLV_TRY_DONE(hand_over(&f));
done:
    for (size_t i = 0; f.results != NULL && i < graph->num_tensors; i++) {
        clv_free(f.results[i]);
    }
    clv_free(f.results);
    clv_free(f.num_reads);
    return status;
}
