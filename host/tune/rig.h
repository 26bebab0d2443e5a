/* A graph for one unit, or every operator in two halves, for one unit or two: what is lowered to
 * look costs up, and run to measure them. */
#ifndef CLV_TUNE_RIG_H
#define CLV_TUNE_RIG_H

#include "host/exec/replica.h"
#include "host/tune/cost_db.h"

enum { CLV_TUNE_SHARES = UINT16_MAX };

/* How operators are cut. */
typedef struct clv_tune_cut {
    uint32_t split; /* 0: not at all; or k: in two by their split k - 1, where they have so many; or
                       CLV_TUNE_SHARES: in shares of their work-items */
    double first_share; /* of the first piece, in multiples of the split's grain; 0: half */
} clv_tune_cut;

typedef struct clv_tune_rig {
    clv_placement *placements;
    clv_piece *pieces;
    clv_group group;
    clv_exec_unit units[2]; /* without limits */
    clv_known_times times;
    clv_replica_options options; /* point at all of the above: the rig must not move */
} clv_tune_rig;

/* Borrows everything. Deinitialise in any case.
 *
 * other  a unit like `unit` that has the second pieces; NULL: `unit` has them
 * cut    as clv_cost_setting
 * errors NO_MEMORY */
clv_status *clv_tune_rig_init(
    const clv_graph *graph, const clv_exec_unit *unit, const clv_exec_unit *other,
    const clv_cost_db *db, clv_tune_cut cut, clv_tune_rig *out_rig) CLV_CHECKED;
void clv_tune_rig_deinit(clv_tune_rig *rig);

/* When a step of a request ran, of the first lane to the last. false: nobody knows. */
bool clv_tune_find_span(
    const clv_replica *replica, size_t step, const clv_item_span *spans, uint64_t *out_begin_ns,
    uint64_t *out_end_ns);
/* clv_replica_check_errors(), but that random values may be out of an operator's range: what that
 * takes is what it takes. */
clv_status *clv_tune_check_values(clv_replica *replica, uint64_t number) CLV_CHECKED;

#endif
