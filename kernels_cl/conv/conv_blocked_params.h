/* What conv_blocked.c passes to conv_blocked.cl. */
#ifndef CLV_KERNELS_CONV_BLOCKED_PARAMS_H
#define CLV_KERNELS_CONV_BLOCKED_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"
#include "kernels_cl/store/store_params.h"

enum { CONV_BLOCKED_RUN = 8 }; /* tiles of an item at most */

typedef struct conv_blocked_params {
    clv_blocked in, out, add; /* `add`: the tensor that is added; as out where there is none */
    clv_u64 weight_group, weight_block; /* elements of one group, of one block of output channels */
    clv_u32 group_in, group_out; /* blocks of channels of a group; CONV_MIXED: group_in is channels
                                    of a row of the table at most */
    clv_u32 groups;
    clv_u32 kernel_y, kernel_x;
    clv_u32 tap_row, tap_x; /* elements from one tap to the next */
    clv_i32 lead_taps;      /* elements from an output position to its first tap, backwards */
    clv_u32 stride_row;     /* elements of input between the rows of the output: row mode */
    clv_u32 line;           /* positions that one line of tiles has: row mode the row, else all */
    clv_u32 lines;          /* row mode: rows of the output; else 1 */
    clv_u32 tiles;          /* of a line */
    clv_u32 run;            /* tiles (over all lines) of an item */
    clv_u32 chunk;          /* of group_in that go through all tiles of a run at once */
    clv_u32 weight_input;   /* elements of weights of one of group_in */
    clv_u32 scale_lead, scale_image, scale_plane; /* CONV_SCALED: where factors are */
    clv_u32 last_in;                              /* channels of a group's last block of inputs */
    clv_u32 band; /* items that go through all output blocks together */
    clv_u32 bands,
        blocks; /* bands of an image; blocks of V vectors of output channels of a group */
    clv_u32 is_linear;
    clv_u32 pitch;            /* linear mode: positions of a row with its gap, of the input */
    clv_u32 rows, columns;    /* positions that are computed; `out` tells of all that there are */
    clv_u32 step_y;           /* rows of the output from one to the next; columns: CONV_OUT */
    clv_u32 first_y, first_x; /* the first of them in the output */
    clv_u32 ends_rows;        /* the last column of the output is among them */
    clv_u32 has_bias, has_add;
    clv_f32 low, high; /* clamp; -inf, inf */
    clv_act act;       /* where there is one, has_add and the clamp are not used */
} conv_blocked_params;

#endif
