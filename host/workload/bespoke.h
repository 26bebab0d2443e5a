/* Accelerators made for one network: as many functional units of each kind as a policy needs. */
#ifndef CLV_WORKLOAD_BESPOKE_H
#define CLV_WORKLOAD_BESPOKE_H

#include "host/machine/machine.h"
#include "partition/workload.h"

/* The machine itself (a copy of it) where it is no pattern; else its functional units, one for each
 * type or node of the workload, times the copies that `policy` makes ("data:2/pipeline": two).
 * USAGE: an unknown policy. */
clv_status *clv_machine_for_workload(
    const clv_machine *machine, const clv_workload *workload, const char *policy,
    clv_machine **out_machine) CLV_CHECKED;

#endif
