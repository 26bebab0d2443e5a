/* Statuses, and what belongs to the whole process. */
#include "cleave/cleave.h"

#include "host/base/cancel.h"
#include "host/base/env.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/text.h"

#include <string.h>

/* The public enum repeats status.def, in its order. */
#define STATUS(name, exit, meaning) \
    _Static_assert((int)CLEAVE_##name == (int)CLV_##name, "cleave_code follows status.def");
#include "host/base/status.def"
#undef STATUS

const char *cleave_version(void) {
    return CLEAVE_VERSION;
}

void cleave_status_destroy(cleave_status *status) {
    clv_status_destroy((clv_status *)status);
}

cleave_code cleave_status_code(const cleave_status *status) {
    return (cleave_code)clv_status_code((const clv_status *)status);
}

const char *cleave_status_message(const cleave_status *status) {
    return clv_status_message((const clv_status *)status);
}

const char *cleave_status_trail(const cleave_status *status) {
    return clv_status_trail((const clv_status *)status);
}

const char *cleave_code_name(cleave_code code) {
    return clv_code_name((clv_code)code);
}

const char *cleave_code_meaning(cleave_code code) {
    return clv_code_meaning((clv_code)code);
}

int cleave_code_exit(cleave_code code) {
    return clv_code_exit((clv_code)code);
}

/* What the log sink of the base module calls: changed only while that is not set, by one thread at
 * a time, as the header says. */
static struct {
    void (*log)(void *context, cleave_log_level level, const char *message);
    void *context;
} log_sink;

static void pass_log(void *context, clv_log_level level, const char *message) {
    (void)context;
    log_sink.log(log_sink.context, (cleave_log_level)level, message);
}

void cleave_set_log(
    void (*sink)(void *context, cleave_log_level level, const char *message), void *context,
    cleave_log_level level) {
    clv_log_set_sink(NULL, NULL, CLV_LOG_ERROR);
    log_sink.log = sink;
    log_sink.context = context;
    if (sink != NULL) {
        clv_log_set_sink(pass_log, NULL, (clv_log_level)level);
    }
}

void cleave_set_progress(
    void (*sink)(void *context, const char *what, double done, double total), void *context) {
    clv_progress_set_sink(sink, context);
}

void cleave_cancel(bool cancel) {
    clv_cancel_set(cancel);
}

void cleave_free(void *memory) {
    clv_free(memory);
}

const char *cleave_env(const char *name) {
    for (int id = 0; id < CLV_NUM_ENVS; id++) {
        const clv_env_info *info = clv_env_find((clv_env_id)id);
        if (strcmp(info->name + strlen("CLEAVE_"), name) == 0) {
            return clv_env_get((clv_env_id)id);
        }
    }
    return NULL;
}

const char *cleave_nearest(const char *word, const char *const *names, size_t num_names) {
    return clv_nearest(word, names, num_names);
}
