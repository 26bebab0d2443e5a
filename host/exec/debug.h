/* What makes mistakes in the order of steps show, at the price of speed: docs/execution.md. Off
 * unless asked for.
 */
#ifndef CLV_EXEC_DEBUG_H
#define CLV_EXEC_DEBUG_H

#include "host/base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* Not numbers as float, half, bfloat16 and double, and as integers far out of any range. */
#define CLV_DEAD_PATTERN 0x7fff

typedef struct clv_debug {
    bool fills_dead;     /* what nobody reads any more is filled with CLV_DEAD_PATTERN */
    bool delays;         /* steps begin later, each by a random time */
    uint64_t delay_seed; /* which they are */
} clv_debug;

/* "fill", "delays", "delays=SEED", or several with commas; NULL or "": nothing. USAGE. */
clv_status *clv_debug_parse(const char *text, clv_debug *out_debug) CLV_CHECKED;

/* The time that somebody (a thread of `lane`, say) comes later to a step of a request: 0 for most,
 * up to a fraction of a millisecond for others. The same whenever it is asked. */
uint64_t clv_debug_delay_ns(const clv_debug *debug, uint64_t request, uint32_t step, uint32_t who);

#endif
