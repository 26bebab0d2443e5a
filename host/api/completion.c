#include "host/api/completion.h"

void clv_completions_init(clv_completions *completions, uint32_t most) {
    *completions = (clv_completions){.end = &completions->first, .most = most};
    pthread_mutex_init(&completions->lock, NULL);
    pthread_cond_init(&completions->changed, NULL);
}

void clv_completions_deinit(clv_completions *completions) {
    pthread_mutex_lock(&completions->lock);
    while (completions->num_begun != 0) { /* a call may begin another request */
        pthread_cond_wait(&completions->changed, &completions->lock);
    }
    completions->quits = true;
    pthread_cond_broadcast(&completions->changed);
    pthread_mutex_unlock(&completions->lock);
    if (completions->has_thread) {
        pthread_join(completions->thread, NULL);
    }
    pthread_cond_destroy(&completions->changed);
    pthread_mutex_destroy(&completions->lock);
}

static void *make_calls(void *argument) {
    clv_completions *completions = argument;
    pthread_mutex_lock(&completions->lock);
    for (;;) {
        clv_completion *completion = completions->first;
        if (completion != NULL) {
            completions->first = completion->next;
            if (completions->first == NULL) {
                completions->end = &completions->first;
            }
            completions->num_queued--;
            pthread_cond_broadcast(&completions->changed);
            pthread_mutex_unlock(&completions->lock);
            completion->run(completion);
            pthread_mutex_lock(&completions->lock);
            completions->num_begun--;
            pthread_cond_broadcast(&completions->changed);
        } else if (completions->quits) {
            break;
        } else {
            pthread_cond_wait(&completions->changed, &completions->lock);
        }
    }
    pthread_mutex_unlock(&completions->lock);
    return NULL;
}

clv_status *clv_completions_begin(clv_completions *completions) {
    clv_status *status = NULL;
    pthread_mutex_lock(&completions->lock);
    if (!completions->has_thread) {
        status = clv_thread_create(&completions->thread, make_calls, completions, -1, "clv-calls");
        completions->has_thread = status == NULL;
    }
    while (status == NULL && completions->num_queued >= completions->most &&
           !pthread_equal(pthread_self(), completions->thread)) {
        pthread_cond_wait(&completions->changed, &completions->lock);
    }
    completions->num_begun += status == NULL ? 1 : 0;
    pthread_mutex_unlock(&completions->lock);
    return status;
}

void clv_completions_add(clv_completions *completions, clv_completion *completion) {
    completion->next = NULL;
    pthread_mutex_lock(&completions->lock);
    *completions->end = completion;
    completions->end = &completion->next;
    completions->num_queued++;
    pthread_cond_broadcast(&completions->changed);
    pthread_mutex_unlock(&completions->lock);
}

void clv_completions_abandon(clv_completions *completions) {
    pthread_mutex_lock(&completions->lock);
    completions->num_begun--;
    pthread_cond_broadcast(&completions->changed);
    pthread_mutex_unlock(&completions->lock);
}
