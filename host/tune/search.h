/* Measures the variants of a graph's operators that were not measured on a unit yet, so that the
 * fastest can be chosen: every round runs the graph with another one of each operator. */
#ifndef CLV_TUNE_SEARCH_H
#define CLV_TUNE_SEARCH_H

#include "host/tune/calibrate.h"

typedef enum clv_search_level {
    CLV_SEARCH_FAST,       /* one round: the variant next in the table */
    CLV_SEARCH_NORMAL,     /* every variant but row 0, which is seldom the fastest */
    CLV_SEARCH_EXHAUSTIVE, /* that too */
} clv_search_level;

typedef struct clv_search_request {
    clv_calibration_request calibration; /* `wanted` is not looked at */
    clv_search_level level;
    double budget_us; /* no round begins after it */
} clv_search_request;

typedef struct clv_search_result {
    uint32_t rounds;
    uint32_t measured;  /* operators with a variant that was measured now, counted each time */
    uint32_t left_over; /* that the budget did not reach */
} clv_search_result;

/* At the end, whatever is then chosen is measured as clv_calibrate would. Errors as there; what was
 * measured before is in the database in any case. */
clv_status *clv_search(const clv_search_request *request, clv_search_result *out_result)
    CLV_CHECKED;

#endif
