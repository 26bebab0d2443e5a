/* The geometry of a blocked convolution, for conv_blocked.c. A transposed one is as many
 * convolutions at stride 1 as its stride has phases: phase f of an axis makes outputs f, f +
 * stride, f + 2 * stride ... from the taps that reach them. */
#ifndef CLV_KERNELS_CONV_BLOCKED_PLAN_H
#define CLV_KERNELS_CONV_BLOCKED_PLAN_H

#include "kernels_cl/conv/conv_blocked.h"

enum { CONV_Y = 1, CONV_X = 2, CONV_AXES = 3 }; /* axes of a window */

typedef struct clv_conv_blocked_plan {
    clv_layout_extents in, out;
    int64_t block, groups, group_in, group_out; /* channels of a block; blocks of a group */
    /* Of the phase; [CONV_Y] and [CONV_X]. Padding may be negative in a phase. */
    int64_t kernel[CONV_AXES], dilation[CONV_AXES], stride[CONV_AXES], pad[CONV_AXES];
    int64_t first[CONV_AXES], step[CONV_AXES]; /* its outputs: every step-th from the first */
    int64_t rows, columns;                     /* of its outputs */
    int64_t pitch, line, lines;
    bool is_mixed;           /* groups begin within blocks: see clv_conv_mixed_inputs() */
    bool is_linear, is_flat; /* flat: rows of both follow one another, one long row */
} clv_conv_blocked_plan;

/* Groups narrower than a block, as many of them in one as fit: a block of outputs then reads one
 * block of inputs, through weights that are zero between groups. */
bool clv_conv_groups_share_blocks(const clv_call *call, int64_t block);

/* Groups of any other width than whole blocks: a block of outputs may have some of several groups,
 * whose inputs begin anywhere; and input channels in the order of a shuffle. Such a convolution is
 * planned as one group. */
bool clv_conv_groups_are_mixed(const clv_call *call, int64_t block);

/* Of a mixed one: the input channels of all groups that outputs [begin, end) belong to. */
void clv_conv_mixed_inputs(
    const clv_call *call, int64_t begin, int64_t end, int64_t *out_begin, int64_t *out_end);

/* Convolutions that the call is: 1, or the phases of a transposed one. */
int64_t clv_conv_num_phases(const clv_call *call);

void clv_conv_blocked_plan_of(const clv_call *call, int64_t phase, clv_conv_blocked_plan *out_plan);

/* Which tap of the window tap `k` of a phase is, along an axis. */
int64_t clv_conv_phase_tap(
    const clv_call *call, const clv_conv_blocked_plan *plan, int axis, int64_t k);

/* Zeros that the input needs around it along an axis, in front and behind. */
void clv_conv_blocked_pads(const clv_call *call, int axis, int64_t *out_begin, int64_t *out_end);

#endif
