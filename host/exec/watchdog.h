/* Looks after the steps of an executor: one that does not end in time is reported once, with what
 * every lane is at and waits for; and where a limit is set, its request fails and somebody is told,
 * as nothing else can be done about a kernel that never ends.
 *
 * Runners say what they are at by one relaxed store; a thread of its own looks now and then, while
 * requests are in flight. Time is counted in its looks: on a machine that is so busy that this
 * thread does not get to run, steps are not late either.
 */
#ifndef CLV_EXEC_WATCHDOG_H
#define CLV_EXEC_WATCHDOG_H

#include "host/base/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct clv_watch_options {
    double factor;     /* times what is expected of a step, that it is late after; 0: never */
    double least_us;   /* but not before; 0: CLV_WATCH_LEAST_US */
    double timeout_us; /* 0: steps may take for ever */
    /* Called once, by a thread of the executor, where a step took longer than the timeout, or
     * commands cannot be ended. NULL: it is logged. */
    void (*on_stuck)(void *context, const char *message);
    void *context;
} clv_watch_options;

/* Whatever else a machine does, a step that should take a millisecond is not kept for so long. */
#define CLV_WATCH_LEAST_US 30e6
#define CLV_WATCH_FACTOR 1000.0

/* What a runner is at: low bits of a request's number, a step, and: */
enum { CLV_AT_NOTHING, CLV_AT_WAITS, CLV_AT_RUNS };
static inline uint64_t clv_at(uint64_t number, uint32_t step, unsigned state) {
    return number << 32 | (uint64_t)(step & 0x3fffffff) << 2 | state;
}
static inline unsigned clv_at_state(uint64_t at) {
    return (unsigned)(at & 3);
}
static inline uint32_t clv_at_step(uint64_t at) {
    return (uint32_t)(at >> 2) & 0x3fffffff;
}

struct clv_executor;
typedef struct clv_watchdog clv_watchdog;

/* With the executor's runners, whose threads have not begun. */
clv_status *clv_watchdog_create(
    struct clv_executor *executor, const clv_watch_options *options,
    clv_watchdog **out_watchdog) CLV_CHECKED;
/* NULL: nothing to do. */
void clv_watchdog_destroy(clv_watchdog *watchdog);
/* A request begins; with the executor's lock. */
void clv_watchdog_begin(clv_watchdog *watchdog);

#endif
