/* Whether the splits of a case are exact: it is cut into uneven pieces on the host, each piece goes
 * through the reference with the params that cut() gives, and the joined result is compared with
 * the whole: bit for bit where pieces are placed, within 1e-5 where they are added.
 */
#ifndef CLV_TESTS_CONFORMANCE_SPLIT_CHECK_H
#define CLV_TESTS_CONFORMANCE_SPLIT_CHECK_H

#include "host/base/random.h"
#include "tests/conformance/case.h"

/* What computes a piece, all inputs with data. */
typedef struct clv_piece_runner {
    clv_status *(*run)(void *context, const clv_call *piece, const clv_mutable_view *outputs);
    void *context;
} clv_piece_runner;

/* Every split of an inferred case, three times cut at random. `whole`: what the reference gives.
 * num_splits grows by how many there are. */
clv_status *clv_case_check_splits(
    clv_case_data *data, const clv_mutable_view *whole, clv_random *random,
    size_t *num_splits) CLV_CHECKED;

/* One split, cut once at random, its pieces by `runner`. `whole`: what that gives for the whole. */
clv_status *clv_case_check_split(
    clv_case_data *data, const clv_split *split, const clv_piece_runner *runner, clv_random *random,
    const clv_mutable_view *whole) CLV_CHECKED;

#endif
