/* One flag for the process that long calls look at between their steps: Ctrl-C, or a user who has
 * had enough. */
#ifndef CLV_BASE_CANCEL_H
#define CLV_BASE_CANCEL_H

#include "host/base/status.h"
#include <stdatomic.h>
#include <stdbool.h>

/* May be called from a signal handler. */
void clv_cancel_set(bool cancel);
bool clv_cancel_is_set(void);
/* The flag itself, for those that look at it often. */
const atomic_bool *clv_cancel_flag(void);
/* CANCELLED while the flag is set. */
clv_status *clv_cancel_check(void) CLV_CHECKED;

#endif
