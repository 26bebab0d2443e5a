/* The virtual clock: runs the steps of a schedule on the machine that it was made for.
 *
 * Units and directions of links do one step at a time. What is ready goes in the order of its
 * numbers, transfers that occupy a unit among its launches. Launches on one memory share its
 * bandwidth: each draws what it would alone, until the sum is more than there is; then it is shared
 * out evenly (max-min fair), and those that get less than they would draw slow down in proportion.
 * Launches of more threads than their processors are slow down by as much.
 * A step that writes an output buffer starts when its unit has a free one. Same input, same run, to
 * the bit.
 */
#ifndef CLV_SCHEDULER_CLOCK_H
#define CLV_SCHEDULER_CLOCK_H

#include "scheduler/schedule.h"

typedef enum clv_clock_mode {
    CLV_CLOCK_LIST,   /* the first of what is ready, oldest request first */
    CLV_CLOCK_STATIC, /* in the order of schedule->order */
    /* A ready queue for each crew: whichever of its units is free takes the first of what is ready,
     * the planned one where it is free too. Each launch costs a dispatch; transfers that are ready
     * go at once and share their link, its latency as well as its bandwidth. */
    CLV_CLOCK_DYNAMIC,
} clv_clock_mode;

typedef struct clv_clock_request {
    clv_clock_mode mode;
    double dispatch_us; /* DYNAMIC */
} clv_clock_request;

/* UNSUPPORTED: a deadlock, with its cycle. NO_MEMORY. */
clv_status *clv_clock_run(
    const clv_schedule *schedule, const clv_clock_request *request, clv_run **out_run) CLV_CHECKED;

#endif
