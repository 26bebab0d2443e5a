/* What may run when, where steps have no fixed order: every step is a task that is ready once those
 * before it are done, and is then run by whichever lane of its crew is free. Pure, and proved
 * before anything runs: over the order that dependences make, not over one order of steps.
 */
#ifndef CLV_EXEC_TASKS_H
#define CLV_EXEC_TASKS_H

#include "host/exec/crews.h"

/* How long a piece of a step should take at least that another lane may do: handing it over costs
 * about half a microsecond. */
#define CLV_CHUNK_US 15.0
enum { CLV_CHUNKS_OF_LANE = 2 }; /* pieces of a step for each lane of the crew, at most */

typedef struct clv_step_task {
    uint32_t first_next, num_next; /* of tasks->next: those that wait for it */
    uint32_t num_waits;            /* tasks of the same request that it waits for */
    uint32_t pool;
    uint32_t num_chunks; /* at least 1: parts of its items, for any lanes */
    uint32_t priority;   /* smaller: first. By the longest way from it to the end of a request */
    bool is_op;          /* the first launch of (a piece of) an operator */
} clv_step_task;

/* Pools: what any lane of crew c may do is in pool c; what only unit u may do in num_crews + u. */
typedef struct clv_step_tasks {
    const clv_lowered *lowered; /* borrowed, as are the crews */
    const clv_crews *crews;
    clv_step_task *tasks; /* [num_steps] */
    uint32_t *next;
    uint32_t num_pools, depth;
    uint32_t *pool_size; /* [num_pools]: tasks */
} clv_step_tasks;

typedef struct clv_step_tasks_request {
    const clv_lowered *lowered;
    const clv_crews *crews;
    const double *step_us; /* [num_steps]: about what each takes */
    const bool *is_bound;  /* [num_steps]: only its own unit may do it; NULL: none is */
    const bool *is_op;     /* [num_steps]; NULL: all are */
    double chunk_us;       /* pieces of steps take so long at least; 0: CLV_CHUNK_US */
    uint32_t depth;        /* requests in flight */
    bool is_serial;        /* one step after another, in the order of the list */
} clv_step_tasks_request;

clv_status *clv_step_tasks_create(const clv_step_tasks_request *request, clv_step_tasks *out_tasks)
    CLV_CHECKED;
void clv_step_tasks_deinit(clv_step_tasks *tasks);

/* Chunks chunks[0] to chunks[1] - 1 of a step: items [out_items[0], out_items[1]), or bytes of a
 * transfer. */
void clv_step_task_items(
    const clv_step_tasks *tasks, uint32_t step, const uint32_t chunks[2], uint64_t out_items[2]);

/* Proves that every two steps of a request that touch the same bytes, one of them writing, are in
 * the order that the list of steps has, by dependences alone; and that no two requests in flight
 * have bytes in common that are written. INTERNAL names the two steps that are not. */
clv_status *clv_step_tasks_verify(const clv_step_tasks *tasks) CLV_CHECKED;

#endif
