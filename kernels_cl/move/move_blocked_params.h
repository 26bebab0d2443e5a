/* What move_blocked.c passes to move_blocked.cl. */
#ifndef CLV_KERNELS_MOVE_BLOCKED_PARAMS_H
#define CLV_KERNELS_MOVE_BLOCKED_PARAMS_H

#include "kernels_cl/blocked/blocked_params.h"

enum { MOVE_BLOCKED_PARTS = 4 }; /* of a launch at most */

/* Channels begin .. end of `to` are those from begin + shift on of a tensor. */
typedef struct move_blocked_part {
    clv_blocked from;
    clv_u32 begin, end;
    clv_i32 shift;
    clv_u32 from_row; /* row first_row + y of `to` is row from_row + y */
} move_blocked_part;

typedef struct move_blocked_params {
    move_blocked_part parts[MOVE_BLOCKED_PARTS]; /* each begins where the one before it ends */
    clv_blocked to;
    clv_row_deal deal; /* of the blocks of `to` that the channels lie in, from `first_plane` on */
    clv_u32 num_parts;
    clv_u32 first_plane, first_row;
    clv_u32 keeps_blocks; /* all channels stay where they are: blocks are moved as they lie */
    clv_u32 unused;       /* params have no padding: their bytes are a key */
} move_blocked_params;

#endif
