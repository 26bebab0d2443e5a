/* What move_blocked.c passes to move_blocked.cl. */
#ifndef CLV_KERNELS_MOVE_BLOCKED_PARAMS_H
#define CLV_KERNELS_MOVE_BLOCKED_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"

/* Channels begin .. end of `to` are those from begin + shift on of `from`; row first_row + y, of as
 * many as are dealt, is row from_row + y. */
typedef struct move_blocked_params {
    clv_blocked from, to;
    clv_row_deal deal; /* of the blocks of `to` that the channels lie in, from `first_plane` on */
    clv_u32 first_plane;
    clv_u32 begin, end;
    clv_i32 shift;
    clv_u32 first_row, from_row;
    clv_u32 keeps_blocks; /* all channels stay where they are: blocks are moved as they lie */
} move_blocked_params;

#endif
