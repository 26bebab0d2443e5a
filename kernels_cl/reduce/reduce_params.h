/* Launches of the reduce family. The input is dense; its dimensions are merged where neighbours are
 * both kept or both reduced, so at most four of each are left. */
#ifndef CLV_KERNELS_REDUCE_PARAMS_H
#define CLV_KERNELS_REDUCE_PARAMS_H

#include "kernels_cl/clv.h"

enum { REDUCE_MAX_DIMS = 4 };

/* What is done to each element and how results are put together. */
enum {
    REDUCE_SUM,
    REDUCE_SUM_ABS,
    REDUCE_SUM_SQUARE,
    REDUCE_SUM_EXP, /* of x - m, m the operand `shift` of the output (0 where that is infinite) */
    REDUCE_PROD,
    REDUCE_MAX,
    REDUCE_MIN,
    REDUCE_UMAX, /* integers: by their bits as uint64 */
    REDUCE_UMIN,
};

/* What is done to the result. */
enum {
    REDUCE_PLAIN,
    REDUCE_MEAN,  /* by `divisor`; integers: cut towards 0, and 0 where that is 0 */
    REDUCE_UMEAN, /* integers: as uint64 */
    REDUCE_SQRT,
    REDUCE_LOG,
    REDUCE_LOG_SHIFT, /* log, and m added */
};

typedef struct reduce_params {
    clv_u64 num_outputs;
    clv_u64 num_reduced; /* elements of the input for each output */
    clv_u64 divisor;     /* for a mean */
    clv_i64 identity;    /* integers: what the result starts as */
    clv_u32 op, finish;
    clv_u32 in_dtype, out_dtype; /* integers */
    clv_u32 is_inner_reduced;
    clv_u32 chunk;      /* outputs an item */
    clv_u32 num_blocks; /* items that cover all outputs */
    clv_u32 segment;    /* reduced elements an item; item / num_blocks is its segment */
    clv_u32 num_kept_dims, num_reduced_dims;
    clv_u32 kept_dims[REDUCE_MAX_DIMS], kept_strides[REDUCE_MAX_DIMS]; /* innermost first */
    clv_u32 reduced_dims[REDUCE_MAX_DIMS], reduced_strides[REDUCE_MAX_DIMS];
} reduce_params;

#endif
