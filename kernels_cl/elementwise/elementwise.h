/* Expressions of elementwise operations, and the kernel family that runs them.
 *
 * An operator of this family has a clv_ew_expr as the first member of its params. An expression is
 * a list of steps, each one operation of elementwise_ops.def over inputs of the call and results of
 * earlier steps; the last step's result is output 0. A whole chain of pointwise operators can be
 * one expression, so one launch: each step is a name in the list, and operands are loaded once.
 */
#ifndef CLV_KERNELS_ELEMENTWISE_H
#define CLV_KERNELS_ELEMENTWISE_H

#include "kernels_cl/elementwise/elementwise_params.h"
#include "kernels_cl/kernel.h"

typedef enum clv_ew_domain {
    CLV_EW_FLOAT, /* in float32 (the reference: double); operations EW_FLOAT_x */
    CLV_EW_INT,   /* in 64-bit integers; operations EW_INT_x */
} clv_ew_domain;

/* Operands below this are inputs of the call, from here on results of steps. */
enum { CLV_EW_RESULT = 64 };

typedef struct clv_ew_expr_step {
    clv_u32 op;
    clv_u32 operands[3];
    clv_f32 a, b; /* constants of a float operation */
    clv_i64 k;    /* constant of an integer operation */
} clv_ew_expr_step;

struct clv_ew_expr {
    clv_ew_domain domain;
    /* Integer domain: floating types are moved by their bits, not converted. */
    bool moves_bits;
    /* For any number of inputs: step 0, of two operands, is folded over all inputs; the other steps
     * follow once. */
    bool folds;
    uint32_t num_steps;
    clv_ew_expr_step steps[EW_MAX_STEPS];
};

/* What there is to know of an operation. */
typedef struct clv_ew_op {
    const char *name;
    uint32_t num_operands;
    double flops;
    bool is_rare;
} clv_ew_op;

const clv_ew_op *clv_ew_op_find(clv_ew_domain domain, uint32_t op);

/* Adds a step to an expression that starts zeroed; returns its result as an operand. The caller
 * sees to it that there are at most EW_MAX_STEPS; constants are set in the step. */
uint32_t clv_ew_add(clv_ew_expr *expr, uint32_t op, uint32_t x, uint32_t y, uint32_t z);

/* Launches the epilogue of a call on its output as it stands. */
clv_status *clv_epilogue_emit(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) CLV_CHECKED;

/* Whether the expression can be one launch: at most EW_MAX_OPERANDS inputs, and registers for what
 * lives at once. Always so for one step; a fold takes as many launches as it needs. */
bool clv_ew_expr_fits(const clv_ew_expr *expr);

#endif
