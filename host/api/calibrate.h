/* Measured costs for a plan: from the user's database, or measured now. */
#ifndef CLV_API_CALIBRATE_H
#define CLV_API_CALIBRATE_H

#include "host/api/internal.h"
#include "host/machine/machine.h"
#include "partition/workload.h"

/* Where the costs of a plan come from. */
typedef struct clv_calibration {
    bool is_on;
    uint32_t steps;    /* distinct launches, over kinds of units */
    uint32_t known;    /* of them, in the database beforehand */
    uint32_t measured; /* now */
    double time_us;    /* that it took */
} clv_calibration;

/* Gives the workload of a graph the measured times of its tasks on the units of this machine, and
 * measures those that are not known yet on one unit of each sort. Where that cannot be done
 * estimates stay, and a warning says so.
 *
 * devices   as of the options that the machine was made of
 * machine   of clv_machine_of_units
 * errors    CANCELLED, with what was measured kept; NO_MEMORY */
clv_status *clv_calibrate_workload(
    const char *devices, const clv_graph *graph, const clv_machine *machine, clv_workload *workload,
    clv_calibration *out_calibration) CLV_CHECKED;

#endif
