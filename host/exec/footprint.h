/* What tasks and tensors of a workload take in memory, by the kernels that would run them. */
#ifndef CLV_EXEC_FOOTPRINT_H
#define CLV_EXEC_FOOTPRINT_H

#include "host/exec/choose.h"
#include "partition/workload.h"

/* What variants may know of a plain core, which stands for whatever a machine's file has: a CPU's,
 * with vectors of 32 bytes. */
clv_traits clv_plain_core_traits(void);

/* Replaces the workload's weights (packed, as kernels want them), scratch memory, and what tensors
 * hold (in blocks and with gaps, and twice where some readers want another layout) by what the
 * graph takes on one unit; of all in multiples of CLV_MEMORY_ALIGN. Where an operator has no kernel
 * for such a unit, nothing changes.
 *
 * graph   that the workload was made of
 * times   that variants are chosen by; NULL: none
 * errors  NO_MEMORY, CANCELLED */
clv_status *clv_workload_set_footprint(
    const clv_graph *graph, const clv_traits *traits, const clv_known_times *times,
    clv_workload *workload) CLV_CHECKED;

#endif
