/* Whether the splits of a case are exact: it is cut into uneven pieces on the host, each piece goes
 * through the reference with the params that cut() gives, and the joined result is compared with
 * the whole: bit for bit where pieces are placed, within 1e-5 where they are added.
 */
#ifndef CLV_TESTS_CONFORMANCE_SPLIT_CHECK_H
#define CLV_TESTS_CONFORMANCE_SPLIT_CHECK_H

#include "host/base/random.h"
#include "tests/conformance/case.h"

/* Every split of an inferred case, three times cut at random. `whole`: what the reference gives.
 * num_splits grows by how many there are. */
clv_status *clv_case_check_splits(
    clv_case_data *data, const clv_mutable_view *whole, clv_random *random,
    size_t *num_splits) CLV_CHECKED;

#endif
