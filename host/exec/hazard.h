/* Which steps must run one after another: those of which one writes what the other touches. Works
 * on places in memory, so steps that share a place at different times are ordered as well.
 */
#ifndef CLV_EXEC_HAZARD_H
#define CLV_EXEC_HAZARD_H

#include "host/exec/lower.h"

/* Whether they are shares of one launch, which need no order within a request. */
bool clv_steps_are_shares(const clv_step *a, const clv_step *b);
/* Of the same request. */
bool clv_steps_conflict(const clv_lowered *lowered, const clv_step *earlier, const clv_step *later);
/* Whether `later` reads what `earlier` writes. */
bool clv_steps_feed(const clv_lowered *lowered, const clv_step *earlier, const clv_step *later);
/* How many requests after `earlier`'s the first one comes whose `later` touches the same slot of
 * what they conflict about; UINT32_MAX where they never do. At least 1. */
uint32_t clv_steps_lag(const clv_lowered *lowered, const clv_step *earlier, const clv_step *later);

#endif
