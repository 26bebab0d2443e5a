/* Steps that fill what is dead: for debugging, see debug.h.
 *
 * Behind the last step of a request that touches a tensor's memory comes one that writes all of it.
 * It is a step like any other, so it is ordered, and proved to be, by what it touches: a step that
 * reads what was not written for it, or that comes too late, then computes with what is no number.
 */
#ifndef CLV_EXEC_FILLS_H
#define CLV_EXEC_FILLS_H

#include "host/exec/join.h"

/* units: [num_units], as of joining. With keep_all nothing dies. NO_MEMORY. */
clv_status *clv_joined_add_fills(clv_joined *joined, const clv_join_unit *units, bool keep_all)
    CLV_CHECKED;

#endif
