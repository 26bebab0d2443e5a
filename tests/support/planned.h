/* A model or task graph planned and scheduled on a machine, from a few lines of text:
 *
 *     machine bespoke:type*2{buffers=2}     as docs/machines.md says, or FILE.json from the root
 *     policy pipeline                       default: auto
 *     objective latency                     default: the policy's own
 *     requests 4                            default: 1
 *     depth 2                               default: the plan's; or: all
 *     mode dynamic                          default: static
 *     dispatch 0.5                          microseconds, of dynamic
 *     chunks 4                              of dynamic
 *     model models/espcn_x3.onnx N=1 H=96   from the root, with sizes of free dimensions
 *     tasks docs/textbook.tasks.json        from the root
 *     {"tasks": ...                         or the rest: a task graph
 */
#ifndef CLV_TESTS_SUPPORT_PLANNED_H
#define CLV_TESTS_SUPPORT_PLANNED_H

#include "scheduler/clock.h"
#include "scheduler/timeline.h"

typedef struct planned {
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
    clv_plan *plan;
    clv_schedule *schedule;
    clv_run *run; /* of the mode asked for */
    clv_timeline *timeline;
    bool is_dynamic;
} planned;

/* `root`: the folder that paths start from. The schedule and the run are verified. On failure
 * nothing is kept. */
clv_status *planned_make(const char *root, const char *source, planned *out_planned) CLV_CHECKED;
void planned_drop(planned *p);

#endif
