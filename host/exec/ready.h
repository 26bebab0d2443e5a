/* The ready queue of an executor whose steps have no fixed order: tasks whose predecessors are done
 * wait in pools, by request and then by priority; lanes take them from there. One lock guards it:
 * taking and ending a task is some hundred nanoseconds. A lane that finds nothing says so and waits
 * on a signal of its own; whoever makes more ready than he takes himself wakes so many.
 * A task is dealt out in its parts while there are lanes that have nothing else to do; else it is
 * taken as a whole, which costs less and keeps its operands in one core's caches. What the
 * faster lanes of the crew are through with sooner is left to them.
 */
#ifndef CLV_EXEC_READY_H
#define CLV_EXEC_READY_H

#include "host/base/threads.h"
#include "host/exec/tasks.h"

enum { CLV_NO_SLOT = UINT32_MAX };

/* Parts chunk to end_chunk - 1 of a task of a request. */
typedef struct clv_work {
    uint64_t request;
    uint32_t slot, step, chunk, end_chunk;
} clv_work;

typedef struct clv_ready clv_ready;

/* tasks  borrowed. NO_MEMORY. */
clv_status *clv_ready_create(const clv_step_tasks *tasks, clv_ready **out_ready) CLV_CHECKED;
void clv_ready_destroy(clv_ready *ready);

/* A request more, in a slot (number modulo depth) where none is. True where it has no tasks at
 * all, so that it is at its end. */
bool clv_ready_begin(clv_ready *ready, uint64_t request, uint32_t slot);

/* What a lane (as crews number them) does next, after `done` (NULL: it comes new). False where
 * nothing is ready for it: *out_ticket is then for clv_ready_wait. *out_ended: the slot whose
 * request `done` was the last task of, or CLV_NO_SLOT. */
bool clv_ready_next(
    clv_ready *ready, uint32_t lane, const clv_work *done, clv_work *out_work, uint32_t *out_ended,
    uint32_t *out_ticket);
/* Until there may be something for the lane's thread, or for who sits in its place; spins for so
 * long first. */
void clv_ready_wait(clv_ready *ready, uint32_t lane, bool sits, uint32_t ticket, uint64_t spin_ns);
/* Has a lane look again. */
void clv_ready_wake(clv_ready *ready, uint32_t lane);
/* Somebody else takes the place of a lane's thread, which is not told of anything until he has left
 * it; he is given nothing more once `request`, which has not begun yet, is through. One for all
 * lanes. */
void clv_ready_sit(clv_ready *ready, uint32_t lane, uint64_t request);
bool clv_ready_is_through(clv_ready *ready, uint32_t lane);
void clv_ready_rise(clv_ready *ready, uint32_t lane);
/* Whether a request is at work: then waiting is for other lanes. */
bool clv_ready_is_busy(clv_ready *ready);

#endif
