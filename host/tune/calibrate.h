/* What the operators of a graph take on a unit: looked up, or measured there.
 *
 * The graph is lowered for the one unit, as a session would, and run as it stands several times
 * over: each step is timed by itself, in the state that its neighbours leave the caches in. Nothing
 * else is at work, or others are (clv_cost_setting). Steps that are the same
 * (host/tune/step_key.h) share their samples; the median of these goes into the database, and an
 * operator takes what its steps do.
 * What an operator's variant takes by itself goes there too, for the next choice among variants
 * (host/tune/variant_cost.h). Declared limits of the unit play no part.
 */
#ifndef CLV_TUNE_CALIBRATE_H
#define CLV_TUNE_CALIBRATE_H

#include "host/exec/unit.h"
#include "host/ir/graph.h"
#include "host/tune/cost_db.h"
#include "host/tune/rig.h"
#include <stdatomic.h>

typedef struct clv_unit_costs {
    /* [num_nodes]: sum of its launches; of one in two pieces the slower one. NAN: not all of them
     * are known */
    double *node_us;
    /* [2][num_nodes]: of the first and the second piece, with what puts its operand together (half
     * of that for both on one unit), and its share of the positions; 0: it is whole */
    double *piece_us, *piece_share;
    uint32_t *node_launches; /* [num_nodes]; 0: it runs nothing */
    clv_way *ways;           /* [num_nodes]: that it is run by; no variant: it runs nothing */
    uint32_t num_steps;      /* distinct launches */
    uint32_t num_known;      /* of them, in the database */
} clv_unit_costs;

/* What is measured. A cost in one setting is none in another. */
typedef struct clv_cost_setting {
    clv_tune_cut cut; /* in two pieces */
    /* Units like the one that is measured, on its memory, that are at work beside it: at the same
     * graph, over and over; with a cut at most one, which has the second pieces (0: the unit has
     * both, one after the other). */
    uint32_t num_beside;
    /* With others: as clv_memory has it. Pieces read what the other one wrote, and cores that are
     * near each other share more than ones that are far apart, so steps take another time where
     * that is another; 0 or INFINITY: not known. */
    double exchange;
    bool is_exact; /* with clv_exec_unit.is_exact */
} clv_cost_setting;

/* Needs no device but what is said of it.
 *
 * graph  satisfies clv_graph_verify at level SHAPES
 * info   of the unit's devices, which are alike
 * errors UNSUPPORTED naming a node that has no kernel for the unit; NO_MEMORY */
clv_status *clv_unit_costs_find(
    const clv_graph *graph, const clv_device_info *info, size_t num_devices, const clv_cost_db *db,
    clv_cost_setting setting, clv_unit_costs *out_costs) CLV_CHECKED;
void clv_unit_costs_deinit(clv_unit_costs *costs);

typedef struct clv_calibration_request {
    const clv_graph *graph;
    const clv_exec_unit *unit; /* open; one of queues with profiling */
    const clv_view *inputs;    /* [graph->num_inputs]; values that operators forbid do no harm */
    clv_cost_db *db;           /* gets what it has not yet */
    /* [graph->num_nodes]: variants to be measured where they fit; NULL: those that would be
     * chosen */
    const clv_way *wanted;
    clv_cost_setting setting;
    const clv_exec_unit *const *beside; /* [setting.num_beside], open; NULL: none */
    const atomic_bool *cancel;          /* NULL: cannot be interrupted */
} clv_calibration_request;

/* Tells clv_progress how far it is.
 *
 * out_num_measured  distinct steps that went into the database, also where it fails
 * errors            as clv_session_create and clv_session_run; CANCELLED, with what was measured
 *                   by then in the database */
clv_status *clv_calibrate(const clv_calibration_request *request, uint32_t *out_num_measured)
    CLV_CHECKED;

#endif
