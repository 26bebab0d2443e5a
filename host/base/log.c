#include "host/base/log.h"

#include "host/base/memory.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* Guards the sinks, and serialises calls to them: once set_sink returns, the old sink is not in
 * use. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static clv_log_sink log_sink;
static void *log_context;
static clv_progress_sink progress_sink;
static void *progress_context;

/* Messages up to this level are wanted, -1: none. Read without the lock, so that a message that
 * nobody wants costs one load. */
static _Atomic int log_level = -1;
static _Atomic int has_progress;

void clv_log_set_sink(clv_log_sink sink, void *context, clv_log_level level) {
    pthread_mutex_lock(&lock);
    log_sink = sink;
    log_context = context;
    atomic_store(&log_level, sink != NULL ? (int)level : -1);
    pthread_mutex_unlock(&lock);
}

static void deliver(clv_log_level level, const char *message) {
    pthread_mutex_lock(&lock);
    if (log_sink != NULL && (int)level <= atomic_load(&log_level)) {
        log_sink(log_context, level, message);
    }
    pthread_mutex_unlock(&lock);
}

void clv_log(clv_log_level level, const char *format, ...) {
    if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed)) {
        return;
    }
    char buffer[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    char *longer = NULL;
    if (length >= (int)sizeof buffer && (longer = clv_alloc((size_t)length + 1)) != NULL) {
        va_start(args, format);
        vsnprintf(longer, (size_t)length + 1, format, args);
        va_end(args);
    }
    if (length >= 0) {
        deliver(level, longer != NULL ? longer : buffer); /* without memory: cut short */
    }
    clv_free(longer);
}

void clv_progress_set_sink(clv_progress_sink sink, void *context) {
    pthread_mutex_lock(&lock);
    progress_sink = sink;
    progress_context = context;
    atomic_store(&has_progress, sink != NULL);
    pthread_mutex_unlock(&lock);
}

void clv_progress(const char *what, double done, double total) {
    if (!atomic_load_explicit(&has_progress, memory_order_relaxed)) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (progress_sink != NULL) {
        progress_sink(progress_context, what, done, total);
    }
    pthread_mutex_unlock(&lock);
}
