#include "host/passes/passes.h"

#include "host/base/cancel.h"
#include "host/ops/op.h"

#define PASS(name, joins, summary) clv_status *clv_pass_##name(clv_graph *graph) CLV_CHECKED;
#include "host/passes/passes.def"
#undef PASS

static const clv_pass passes[] = {
#define PASS(name, joins, summary) {#name, summary, joins, clv_pass_##name},
#include "host/passes/passes.def"
#undef PASS
};

size_t clv_pass_count(void) {
    return sizeof passes / sizeof passes[0];
}

const clv_pass *clv_pass_at(size_t index) {
    return index < clv_pass_count() ? &passes[index] : NULL;
}

#ifdef CLEAVE_VERIFY
/* The graph's own rules, and that what infer() leaves with a node is still there. */
static clv_status *verify(const clv_graph *graph) {
    CLV_TRY(clv_graph_verify(graph, CLV_VERIFY_SHAPES));
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        if (node->params == NULL && node->op->params_bytes != 0) {
            return CLV_ERROR(INTERNAL, "node '%s' has no params", node->name);
        }
    }
    return NULL;
}
#endif

static clv_status *run_pass(const clv_pass *pass, clv_graph *graph) {
    CLV_TRY(clv_cancel_check());
    clv_status *status = pass->run(graph);
    if (clv_status_code(status) == CLV_INTERNAL) {
        return clv_status_prefix(status, "pass '%s'", pass->name);
    }
    CLV_TRY(status);
    CLV_TRY(clv_graph_compact(graph));
#ifdef CLEAVE_VERIFY
    CLV_TRY(clv_status_prefix(verify(graph), "after pass '%s'", pass->name));
#endif
    return NULL;
}

clv_status *clv_passes_run(clv_graph *graph, clv_pass_hook hook, void *context) {
    CLV_TRY(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    for (size_t i = 0; i < clv_pass_count(); i++) {
        CLV_TRY(run_pass(&passes[i], graph));
        if (hook != NULL) {
            CLV_TRY(hook(context, &passes[i], graph));
        }
    }
    return NULL;
}

clv_status *clv_passes_run_apart(clv_graph *graph) {
    CLV_TRY(clv_graph_verify(graph, CLV_VERIFY_STRUCTURE));
    for (size_t i = 0; i < clv_pass_count(); i++) {
        if (!passes[i].joins) {
            CLV_TRY(run_pass(&passes[i], graph));
        }
    }
    return NULL;
}

clv_status *clv_passes_infer(clv_graph *graph) {
    return run_pass(&passes[0], graph);
}

clv_status *clv_pass_blame(clv_status *status, const clv_node *node) {
    const char *word = clv_status_code(status) == CLV_MALFORMED     ? "malformed model: "
                       : clv_status_code(status) == CLV_UNSUPPORTED ? "unsupported: "
                                                                    : "";
    return clv_status_prefix(status, "%s%s '%s'", word, node->op_type, node->name);
}
