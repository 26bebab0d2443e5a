/* Calls users' functions at the ends of requests, from a thread of its own: threads that run
 * requests must never wait for one, which a user's function may do. Calls are made one at a time,
 * in the order in which requests ended. */
#ifndef CLV_API_COMPLETION_H
#define CLV_API_COMPLETION_H

#include "host/base/threads.h"

/* Part of the object that it is about, which lives until run() is called. */
typedef struct clv_completion {
    struct clv_completion *next;
    void (*run)(struct clv_completion *completion);
} clv_completion;

typedef struct clv_completions {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    clv_completion *first, **end; /* queue: ended, and not called yet */
    uint32_t num_queued, most;
    uint64_t num_begun; /* whose call has not returned */
    bool has_thread, quits;
    pthread_t thread;
} clv_completions;

/* most: see begin(). There is no thread until it is needed. */
void clv_completions_init(clv_completions *completions, uint32_t most);
/* Waits until every call that was begun has returned. Not from such a call. */
void clv_completions_deinit(clv_completions *completions);

/* Before a request: there will be a call. Waits while `most` are queued, so that they do not grow
 * in number without end; but not within a call, which could wait for itself. Errors: NO_MEMORY,
 * INTERNAL where there can be no thread. */
clv_status *clv_completions_begin(clv_completions *completions) CLV_CHECKED;
/* The request has ended: run() is called soon. Or it was none, and there will be no call. */
void clv_completions_add(clv_completions *completions, clv_completion *completion);
void clv_completions_abandon(clv_completions *completions);

#endif
