/* Times that a person gives for the operators of a model: FILE.json of --times (docs/tasks.md).
 *
 *     {"conv1": 40, "Relu": {"core": 9, "gpu": 2, "*": 5}}
 *
 * A member is the name of a node, or of one that was fused into it, or a type; its value
 * microseconds on every unit, or on kinds and names of units. A node's own name counts before those
 * fused into it, whose times are added up, and these before its type. What no member names keeps
 * its estimate.
 */
#ifndef CLV_WORKLOAD_TIMES_H
#define CLV_WORKLOAD_TIMES_H

#include "partition/workload.h"

/* `what` names the text in messages. MALFORMED: not as above, a name twice, a name that is neither
 * in the workload nor an operator of ONNX, a time that is negative or not finite. The workload's
 * times are replaced in place. */
clv_status *clv_workload_give_times(
    clv_workload *workload, const char *what, const char *json, size_t length) CLV_CHECKED;

#endif
