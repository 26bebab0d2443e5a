/* What a launch of the elementwise interpreter carries: a program of a few steps over registers,
 * and where its operands lie. Registers hold one block of elements each; operand i is loaded into
 * register i before the first step. */
#ifndef CLV_KERNELS_ELEMENTWISE_PARAMS_H
#define CLV_KERNELS_ELEMENTWISE_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/clv.h"

enum {
    EW_MAX_OPERANDS = 5,
    EW_MAX_DIMS = 8,
    EW_NUM_REGISTERS = 8,
    EW_MAX_STEPS = 16,
};

/* How an operand lies under the output. */
enum {
    EW_DENSE,    /* element i of the output needs element i */
    EW_SPLAT,    /* every element needs element 0 */
    EW_STRIDED,  /* by the strides */
    EW_CHANNELS, /* blocked only: an element for each channel, plain */
};

/* Element types beyond clv_dtype that an operand or the output of a launch may have, for casts. */
enum {
    EW_FLOAT64_TO_ODD = 32, /* a double on its way to float16 or bfloat16, rounded once */
    EW_FLOAT64_UNSIGNED,    /* integers only: a double on its way to uint64, or back */
};

/* code: operation | result register << 8 | operand registers << 12, 16 and 20. Constants: two
 * floats, or the low and high half of one 64-bit integer. */
typedef struct ew_step {
    clv_u32 code;
    clv_u32 constants[2];
} ew_step;

typedef struct elementwise_params {
    clv_u64 num_elements; /* of the output */
    clv_u32 chunk;        /* elements an item */
    clv_u32 num_operands, num_steps, num_dims;
    clv_u32 out_register, out_dtype;
    clv_u32 dtypes[EW_MAX_OPERANDS];
    clv_u32 modes[EW_MAX_OPERANDS];
    clv_u32 dims[EW_MAX_DIMS]; /* of the output, innermost first; only for STRIDED operands */
    clv_u32 strides[EW_MAX_OPERANDS][EW_MAX_DIMS]; /* elements; 0 along a broadcast dimension */
    ew_step steps[EW_MAX_STEPS];
} elementwise_params;

/* elementwise_blocked: the output and dense operands are maps with channels in blocks. */
typedef struct ew_blocked_operand {
    clv_u64 image; /* CHANNELS: elements from one image to the next, or 0 */
    clv_u32 plane, row, lead, unused;
} ew_blocked_operand;

typedef struct ew_blocked_params {
    clv_blocked out;
    ew_blocked_operand operands[EW_MAX_OPERANDS];
    clv_row_deal deal;
    clv_u32 columns;   /* of rows that an item does: those of low, wide maps are parted */
    clv_u32 row_items; /* items of the same columns */
    clv_u32 num_operands, num_steps, out_register, channels;
    clv_u32 modes[EW_MAX_OPERANDS];
    ew_step steps[EW_MAX_STEPS];
} ew_blocked_params;

enum {
#define EW_FLOAT(name, operands, flops, kernel, reference) EW_FLOAT_##name,
#include "kernels_cl/elementwise/elementwise_ops.def"
#undef EW_FLOAT
    EW_NUM_FLOAT_OPS
};

enum {
#define EW_INT(name, operands, flops, expression) EW_INT_##name,
#include "kernels_cl/elementwise/elementwise_ops.def"
#undef EW_INT
    EW_NUM_INT_OPS
};

#endif
