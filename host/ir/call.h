/* One operator applied to operands of known shape: what references, costs, splits and kernels are
 * given.
 *
 * It knows nothing of the graph around it, so a piece of an operator (a slice of its output) is a
 * call like any other: the same params (edited by the op's cut()) with sliced shapes.
 */
#ifndef CLV_IR_CALL_H
#define CLV_IR_CALL_H

#include "host/ir/graph.h"

typedef struct clv_call {
    const clv_op_def *op;
    const char *name;             /* of the node, for messages */
    const void *params;           /* the op's own struct */
    const clv_epilogue *epilogue; /* NULL: none; its operands are the last inputs */
    const clv_view *inputs; /* dtype NONE: left out. `data` only where the value is a constant (or
                               in references) */
    size_t num_inputs;
    const clv_view *outputs; /* `data` is NULL; dtype NONE: not wanted, the shape is there */
    size_t num_outputs;
} clv_call;

/* Fills `out_call` from a node whose shapes are known; arrays come from `arena`. */
clv_status *clv_call_from_node(
    const clv_graph *graph, const clv_node *node, clv_arena *arena, clv_call *out_call) CLV_CHECKED;

/* The call without its epilogue: what the operator itself does. Borrows from `call`. */
static inline clv_call clv_call_bare(const clv_call *call) {
    clv_call bare = *call;
    if (call->epilogue != NULL) {
        bare.num_inputs = call->epilogue->first_input;
        bare.epilogue = NULL;
    }
    return bare;
}

static inline bool clv_call_has_input(const clv_call *call, size_t index) {
    return index < call->num_inputs && call->inputs[index].dtype != CLV_DTYPE_NONE;
}

#endif
