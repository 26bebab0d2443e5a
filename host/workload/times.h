/* Times that a person gives for the operators of a model: FILE.json of --times (docs/tasks.md).
 *
 *     {"conv1": 40, "Relu": {"core": 9, "gpu": 2, "*": 5}}
 *
 * A member is the name of a node, or of one that was fused into it, or a type; its value
 * microseconds on every unit, or on kinds and names of units. A node's own name counts before those
 * fused into it, whose times are added up for each unit, and these before its type. What no member
 * names keeps its estimate.
 */
#ifndef CLV_WORKLOAD_TIMES_H
#define CLV_WORKLOAD_TIMES_H

#include "host/machine/machine.h"
#include "partition/workload.h"

/* `machine` says which unit is of which kind: of a part with a time for the unit and one with one
 * for its kind both count. `what` names the text in messages. MALFORMED: not as above, a name
 * twice, a name that is neither in the workload nor an operator of ONNX, a time that is negative or
 * not finite, times for some of what was fused into a node but not for all, or for no unit in
 * common. The workload's times are replaced in place. */
clv_status *clv_workload_give_times(
    clv_workload *workload, const clv_machine *machine, const char *what, const char *json,
    size_t length) CLV_CHECKED;

#endif
