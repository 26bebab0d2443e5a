/* Pointwise operators as programs: an elementwise expression and the tensors that it reads. For
 * passes that put chains of them together. */
#ifndef CLV_PASSES_PROGRAM_H
#define CLV_PASSES_PROGRAM_H

#include "host/ops/pointwise.h"

/* A float expression whose operand i is inputs[i]; no input stands there twice. */
typedef struct clv_pointwise_program {
    clv_ew_expr expr;
    clv_tensor_id inputs[EW_MAX_OPERANDS];
    uint32_t num_inputs;
} clv_pointwise_program;

/* Whether a node is pointwise in floats, and as a program: constants of one element become
 * constants of steps, small whole powers products. False where it is not, or does not fit one
 * launch. */
bool clv_program_of_node(
    const clv_graph *graph, const clv_node *node, clv_pointwise_program *out_program);

/* The program of `outer` where its input `slot` is what `inner` computes; false where that does not
 * fit one launch. */
bool clv_program_inline(
    const clv_pointwise_program *outer, uint32_t slot, const clv_pointwise_program *inner,
    clv_pointwise_program *out_program);

/* Finds functions of one value that have an operation of their own, whatever way they are written:
 * GELU, swish, hard swish, hard sigmoid, mish. Drops steps that nothing reads any more. */
void clv_program_recognise(clv_pointwise_program *program);

/* The node computes the program from now on, whatever it was; it keeps its operator and outputs. */
clv_status *clv_program_put(clv_graph *graph, clv_node_id id, const clv_pointwise_program *program)
    CLV_CHECKED;

/* "ADD, GELU": the steps in order. From the arena; NULL without memory. */
const char *clv_program_text_of(const clv_ew_expr *expr, clv_arena *arena);

#endif
