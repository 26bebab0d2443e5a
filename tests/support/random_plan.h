/* Random plans of a graph, as far as they make sense: every operator on some unit, or cut by one of
 * its splits over several, in stages that never go back. */
#ifndef CLV_TESTS_SUPPORT_RANDOM_PLAN_H
#define CLV_TESTS_SUPPORT_RANDOM_PLAN_H

#include "host/base/random.h"
#include "host/ops/op.h"
#include "partition/plan.h"

typedef struct clv_random_plan_options {
    uint64_t seed;
    uint32_t num_units, depth;
    uint32_t first_sharer, num_sharers; /* units of one memory: some operators are in shares of them
                                         */
    double split_share;                 /* of the operators that can be cut: how many are */
    bool allows_sums; /* pieces that are added: the result is another in the last bits */
    bool is_pipeline; /* every operator on the unit of its stage */
} clv_random_plan_options;

/* One group. Free with clv_plan_destroy. */
clv_status *clv_random_plan(
    const clv_graph *graph, const clv_random_plan_options *options,
    clv_plan **out_plan) CLV_CHECKED;

#endif
