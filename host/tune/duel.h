/* Two ways to run the whole of a graph, timed against each other: both are there at once and run in
 * turns, so that whatever else is at work on the machine, or how fast that is just then, is the
 * same for both. Of every launch its fastest run counts: others make it slower now and then, and
 * nothing makes it faster.
 */
#ifndef CLV_TUNE_DUEL_H
#define CLV_TUNE_DUEL_H

#include "host/tune/calibrate.h"

/* What one of them took. */
typedef struct clv_trial {
    clv_way *ways;     /* [num_nodes]: that ran; others than wanted where those do not fit */
    double *own_us;    /* [num_nodes]: of the launches of these; NAN: nobody knows */
    double *node_us;   /* [num_nodes]: with reorders for them */
    double total_us;   /* of all that is known */
    uint32_t num_runs; /* that counted; 0: there is nothing to go by */
} clv_trial;

clv_status *clv_trial_init(size_t num_nodes, clv_trial *out_trial) CLV_CHECKED;
void clv_trial_deinit(clv_trial *trial);

typedef struct clv_duel clv_duel;

/* request  borrowed; `wanted` and `setting` are not looked at; `db`: for nodes that nothing is
 *          wanted of */
clv_status *clv_duel_create(const clv_calibration_request *request, clv_duel **out_duel)
    CLV_CHECKED;
void clv_duel_destroy(clv_duel *duel);

/* The first stays ready for the next time.
 *
 * duel    a clv_duel
 * sides   [2][num_nodes]; the second may be NULL: the first is alone
 * trials  [2], initialised; of as many runs as there were, also after a failure
 * errors  as clv_calibrate */
clv_status *clv_duel_run(
    void *duel, const clv_way *const sides[2], bool is_long, clv_trial trials[2]) CLV_CHECKED;

#endif
