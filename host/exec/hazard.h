/* Which steps must run one after another: those of which one writes what the other touches. Works
 * on places in memory, so steps that share a place at different times are ordered as well.
 */
#ifndef CLV_EXEC_HAZARD_H
#define CLV_EXEC_HAZARD_H

#include "host/exec/lower.h"

bool clv_steps_conflict(const clv_lowered *lowered, const clv_step *earlier, const clv_step *later);

#endif
