/* Waiting for what a device was given, so that nothing of it is at host memory any more, whatever
 * the driver says. */
#ifndef CLV_EXEC_EVENTS_H
#define CLV_EXEC_EVENTS_H

#include "host/device/device.h"

/* A command has ended in any case, also where asking failed: nothing may touch the caller's memory
 * once the request has ended. */
clv_status *clv_event_wait_for_end(clv_event *event) CLV_CHECKED;
/* An error where a command failed, or where asking fails: then *has_failed stays as it is. NULL,
 * and done, for NULL. */
clv_status *clv_event_ask(clv_event *event, bool *out_done, bool *has_failed) CLV_CHECKED;
/* NULL: at once. */
void clv_event_wait_and_ignore(clv_event *event);
/* It is NULL then; NULL: nothing to do. */
void clv_event_release(clv_event **event);
/* All that a queue was given has ended, unless the driver refuses twice to wait for it: then that
 * has to be waited for otherwise. */
clv_status *clv_queue_finish(clv_queue *queue) CLV_CHECKED;

#endif
