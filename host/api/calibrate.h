/* Measured costs for a plan: from the user's database, or measured now. */
#ifndef CLV_API_CALIBRATE_H
#define CLV_API_CALIBRATE_H

#include "host/api/internal.h"
#include "host/api/units.h"
#include "host/base/json_writer.h"
#include "host/machine/machine.h"
#include "host/tune/variant_cost.h"
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
 * options   that the machine was made of: its devices, and whether kernels are to be exact
 * machine   of clv_machine_of_units
 * pieces    operators may be cut: halves of them are measured too
 * errors    CANCELLED, with what was measured kept; NO_MEMORY */
clv_status *clv_calibrate_workload(
    const cleave_options *options, bool pieces, const clv_graph *graph, const clv_machine *machine,
    clv_workload *workload, clv_calibration *out_calibration) CLV_CHECKED;

/* "tunables": {NAME: VALUE, ...} of a way to run an operator, where it has any. */
void clv_write_tunables(clv_json_writer *writer, const clv_way *way);

/* Values for every input of a graph: those that are bound, else random ones. */
typedef struct clv_graph_inputs {
    clv_value **values; /* [num_inputs]; NULL: bound */
    clv_view *views;    /* [num_inputs] */
    size_t count;
} clv_graph_inputs;
clv_status *clv_graph_inputs_init(const clv_graph *graph, clv_graph_inputs *out_inputs) CLV_CHECKED;
void clv_graph_inputs_deinit(clv_graph_inputs *inputs);

/* The user's database, in memory alone where there is none. */
clv_status *clv_user_costs_open(clv_cost_db **out_db) CLV_CHECKED;
/* What is known of one unit of this machine. */
typedef struct clv_unit_times {
    clv_unit_table table;
    clv_cost_db *db;
    clv_known_times times;
} clv_unit_times;
clv_status *clv_unit_times_init(const char *unit, clv_unit_times *out_times) CLV_CHECKED;
void clv_unit_times_deinit(clv_unit_times *times);

/* Whether plans and choices go by measurements. */
bool clv_is_calibrating(const cleave_options *options);

#endif
