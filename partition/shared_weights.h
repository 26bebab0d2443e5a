/* Weights that copies of the graph share: what a group holds of a task in a memory, whole or a
 * piece of it, groups after it that have a unit there read too. Functional units of a bespoke
 * machine hold what they need themselves.
 */
#ifndef CLV_PARTITION_SHARED_WEIGHTS_H
#define CLV_PARTITION_SHARED_WEIGHTS_H

#include "partition/plan.h"

typedef struct clv_weights_entry clv_weights_entry;

/* Zeroed: of nothing. A group is listed when another one comes, not before: most plans have one. */
typedef struct clv_shared_weights {
    const clv_group **groups; /* borrowed */
    uint32_t num_groups, num_kept, num_listed;
    size_t capacity_groups;
    uint32_t *num_units;        /* [num_memories] on each: of one alone nothing is listed */
    clv_weights_entry *entries; /* open addressing */
    size_t capacity, count;
    bool ignores_kept; /* as if these were not there */
} clv_shared_weights;

void clv_shared_weights_deinit(clv_shared_weights *weights);
/* As of those that are kept. */
void clv_shared_weights_begin(clv_shared_weights *weights);
/* Groups that are kept from now on, until there are fewer: those that are already, and more behind
 * them. All stay as they are as long. NO_MEMORY. */
clv_status *clv_shared_weights_keep(
    clv_shared_weights *weights, const clv_costs *costs, const clv_group *groups,
    uint32_t num_groups) CLV_CHECKED;
/* The next group, which stays as it is until clv_shared_weights_begin. NO_MEMORY. */
clv_status *clv_shared_weights_add(
    clv_shared_weights *weights, const clv_costs *costs, const clv_group *group) CLV_CHECKED;
/* Whether a group before the last one holds the weights of this piece of the last one. */
bool clv_shared_weights_has(
    const clv_shared_weights *weights, const clv_costs *costs, uint32_t task,
    const clv_placement *placement, const clv_piece *piece);

#endif
