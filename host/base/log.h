/* Where the library says something that is no result: a sink that the caller sets. Thread-safe. */
#ifndef CLV_BASE_LOG_H
#define CLV_BASE_LOG_H

#include "status.h"

typedef enum clv_log_level {
    CLV_LOG_ERROR,
    CLV_LOG_WARNING,
    CLV_LOG_INFO,
    CLV_LOG_DEBUG
} clv_log_level;

typedef void (*clv_log_sink)(void *context, clv_log_level level, const char *message);

/* NULL (the default): silence. Messages above `level` are dropped before they are formatted. */
void clv_log_set_sink(clv_log_sink sink, void *context, clv_log_level level);
void clv_log(clv_log_level level, const char *format, ...) CLV_PRINTF(2, 3);

/* Progress of long work: `done` of `total` (total 0: unknown). A NULL sink drops it. */
typedef void (*clv_progress_sink)(void *context, const char *what, double done, double total);
void clv_progress_set_sink(clv_progress_sink sink, void *context);
void clv_progress(const char *what, double done, double total);

#endif
