/* What a call takes by one variant or another, in the database of costs: what variants are chosen
 * by. */
#ifndef CLV_TUNE_VARIANT_COST_H
#define CLV_TUNE_VARIANT_COST_H

#include "host/exec/choose.h"
#include "host/tune/cost_db.h"

/* Stands for the unit, the variant, and all that it launches, its tunables being so, for a call
 * whose views are plain: operands in the layouts that it wants at least. NO_MEMORY, and whatever
 * the variant's emit() says. */
clv_status *clv_variant_key(
    clv_hash unit, const clv_call *call, const clv_way *way, const clv_traits *traits,
    clv_hash *out_key) CLV_CHECKED;

/* What `db` (NULL: nothing) and the shipped table (host/tune/shipped.h) have, for
 * clv_replica_options.times and clv_session_options.times; borrows it. Many
 * threads may look things up while nothing is put in. */
clv_known_times clv_cost_db_known_times(const clv_cost_db *db);

#endif
