/* Looks for the fastest variants of a graph's operators on a unit.
 *
 * Every round runs the graph with another variant of each operator, in turns with the graph as it
 * has been run so far (host/tune/duel.h): what counts is by how much one is faster than the other,
 * whatever else the machine is at. Rounds tell what may be worth it. What would then be chosen is
 * run against what was, longer, until every choice that differs has been compared so; and where all
 * of them together are no faster, nothing changes. So a graph is never slower afterwards.
 *
 * Until then variants are chosen as before: what rounds tell is kept under keys of its own, also of
 * a search that is interrupted, and the next one goes on from there.
 */
#ifndef CLV_TUNE_SEARCH_H
#define CLV_TUNE_SEARCH_H

#include "host/tune/duel.h"

typedef enum clv_search_level {
    CLV_SEARCH_FAST,       /* one round: the variant next in the table */
    CLV_SEARCH_NORMAL,     /* every variant but row 0, which is seldom the fastest */
    CLV_SEARCH_EXHAUSTIVE, /* that too */
} clv_search_level;

typedef struct clv_search_request {
    clv_calibration_request calibration; /* `wanted` is not looked at */
    clv_search_level level;
    double budget_us; /* no round begins after it; what is chosen then is still compared */
    /* As clv_duel_run. NULL: that, of a duel of its own */
    clv_status *(*compare)(
        void *context, const clv_way *const sides[2], bool is_long, clv_trial trials[2]);
    void *context; /* of compare() */
} clv_search_request;

typedef struct clv_search_result {
    uint32_t rounds;    /* with variants that were not known */
    uint32_t measured;  /* operators with such a variant, counted each time */
    uint32_t repeated;  /* likewise, with one that was known */
    uint32_t left_over; /* operators that the budget did not reach */
    uint32_t not_kept;  /* operators whose variants seemed faster and made the graph no faster */
    bool is_changed;
    clv_trial before, after; /* from the same runs; `after` is only there with is_changed */
} clv_search_result;

/* Errors as clv_calibrate; deinitialise in any case. */
clv_status *clv_search(const clv_search_request *request, clv_search_result *out_result)
    CLV_CHECKED;
void clv_search_result_deinit(clv_search_result *result);

#endif
