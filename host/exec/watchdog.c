#include "host/exec/watchdog.h"

#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/exec/executor_internal.h"
#include <errno.h>
#include <time.h>

/* What is known of a runner. */
typedef struct watched {
    uint64_t at;                  /* when it was looked at last */
    double age_us;                /* it has been there for so long */
    uint64_t reported, timed_out; /* where it was when it was late the last time */
} watched;

struct clv_watchdog {
    clv_executor *executor;
    clv_watch_options options;
    watched *watched; /* [num_runners] */
    double period_us;
    pthread_t thread;
    pthread_cond_t changed; /* with the executor's lock, as what follows */
    bool has_thread, is_asleep, quits;
};

/* --- what runners are at --------------------------------------------------------------------- */

static const char *unit_name(const clv_executor *executor, uint32_t unit) {
    return executor->prepared->units[unit].name.text;
}

static const clv_step *step_of(const clv_executor *executor, uint64_t at) {
    return &executor->prepared->lowered->steps[clv_at_step(at)];
}

/* Whether a counter of an actor, of its runners but for `but`, has not reached a value. */
static bool is_behind(
    clv_executor *executor, uint32_t actor, uint32_t value, const clv_runner *but) {
    if (executor->program->actors[actor].role != CLV_ACTOR_ALL) {
        const uint32_t now = atomic_load(&executor->published[actor].progress.value);
        return (int32_t)(now - value) < 0;
    }
    for (uint32_t i = executor->first_runner[actor]; i < executor->first_runner[actor + 1]; i++) {
        const uint32_t now = atomic_load(&executor->runners[i].progress.value);
        if (&executor->runners[i] != but && (int32_t)(now - value) < 0) {
            return true;
        }
    }
    return false;
}

/* The first thing that a runner waits for. */
static void add_wait(
    clv_executor *executor, const clv_runner *runner, uint64_t at, clv_text *text) {
    const clv_step_program *program = executor->program;
    const uint32_t step = clv_at_step(at);
    const clv_item *item =
        &program->actors[program->actor_of_step[step]].items[program->item_of_step[step]];
    const uint64_t number = at >> 32;
    for (uint32_t i = 0; i < item->num_waits; i++) {
        const clv_item_wait *wait = &program->waits[item->first_wait + i];
        const clv_actor *actor = &program->actors[wait->actor];
        const uint32_t value = clv_actor_count(actor, number - wait->lag, wait->item + 1);
        if (wait->lag <= number && is_behind(executor, wait->actor, value, runner)) {
            const clv_step *other = &program->lowered->steps[actor->items[wait->item].step];
            clv_text_add(
                text, ", waits for '%s' of request %llu on %s", other->name,
                (unsigned long long)(number - wait->lag), unit_name(executor, actor->unit));
            return;
        }
    }
    clv_text_add(text, ", waits");
}

static void describe(clv_executor *executor, const clv_runner *runner, clv_text *text) {
    const uint64_t at = atomic_load(&runner->at);
    const bool has_lanes = runner->index_of_unit != 0 || runner->has_siblings;
    clv_text_add(text, "; %s", unit_name(executor, runner->unit));
    if (has_lanes) {
        clv_text_add(text, " (%u)", runner->index_of_unit);
    }
    if (clv_at_state(at) == CLV_AT_NOTHING) {
        clv_text_add(text, ": nothing to do");
        return;
    }
    clv_text_add(
        text, ": at '%s' of request %llu", step_of(executor, at)->name,
        (unsigned long long)(at >> 32));
    if (clv_at_state(at) == CLV_AT_WAITS && executor->ready == NULL) {
        add_wait(executor, runner, at, text);
    }
}

static void add_lanes(clv_executor *executor, clv_text *text) {
    for (uint32_t i = 0; i < executor->num_runners; i++) {
        if (!executor->runners[i].is_idle) {
            describe(executor, &executor->runners[i], text);
        }
    }
}

void clv_executor_tell_stuck(clv_executor *executor, const char *message) {
    const clv_watch_options *watch = &executor->options.watch;
    if (atomic_exchange(&executor->has_told_stuck, true)) {
        return;
    }
    if (watch->on_stuck != NULL) {
        watch->on_stuck(watch->context, message);
    } else {
        clv_log(CLV_LOG_ERROR, "%s", message);
    }
}

/* --- looking --------------------------------------------------------------------------------- */

/* What is waited for on a device's queue, at `at`, is all that it was given, unless that waits for
 * another unit, which is to blame then: a gate holds up itself and what comes after it. */
static bool is_held_up(clv_executor *executor, const clv_runner *runner, uint64_t at) {
    if (executor->ready != NULL || runner->carrier == NULL) {
        return false;
    }
    const uint64_t gate = atomic_load(&runner->carrier->at);
    const int32_t requests = (int32_t)((uint32_t)(gate >> 32) - (uint32_t)(at >> 32));
    const bool is_before = requests < 0 || (requests == 0 && clv_at_step(gate) <= clv_at_step(at));
    return clv_at_state(gate) == CLV_AT_WAITS && is_before;
}

static double expected_us(const clv_executor *executor, const clv_runner *runner, uint64_t at) {
    const double *step_us = executor->options.step_us;
    if (runner->carrier != NULL) {
        return runner->expected_us;
    }
    return step_us != NULL ? step_us[clv_at_step(at)] : 0;
}

static void tell(
    clv_watchdog *w, const clv_runner *runner, const watched *seen, double expected, bool is_end) {
    clv_executor *executor = w->executor;
    clv_text text;
    clv_text_init(&text);
    clv_text_add(
        &text, "%s: '%s' of request %llu has not ended after %.3g s",
        unit_name(executor, runner->unit), step_of(executor, seen->at)->name,
        (unsigned long long)(seen->at >> 32), seen->age_us * 1e-6);
    if (expected > 0) {
        clv_text_add(&text, " (expected: %.3g ms)", expected * 1e-3);
    }
    add_lanes(executor, &text);
    const char *message = text.data != NULL ? text.data : "a step has not ended in time";
    if (is_end) {
        clv_executor_tell_stuck(executor, message);
    } else {
        clv_log(CLV_LOG_WARNING, "%s", message);
    }
    clv_text_deinit(&text);
}

/* Several runners of a unit may be at one step. */
static bool is_reported(const clv_watchdog *w, const clv_runner *runner, uint64_t at) {
    for (uint32_t i = 0; i < w->executor->num_runners; i++) {
        if (w->executor->runners[i].unit == runner->unit && w->watched[i].reported == at) {
            return true;
        }
    }
    return false;
}

static void look_at(clv_watchdog *w, uint32_t index, double passed_us) {
    clv_executor *executor = w->executor;
    clv_runner *runner = &executor->runners[index];
    watched *seen = &w->watched[index];
    const uint64_t at = atomic_load_explicit(&runner->at, memory_order_relaxed);
    if (at != seen->at || clv_at_state(at) != CLV_AT_RUNS || is_held_up(executor, runner, at)) {
        seen->at = at;
        seen->age_us = 0;
        return;
    }
    seen->age_us += passed_us;
    const double expected = expected_us(executor, runner, at);
    const double least_us = w->options.least_us > 0 ? w->options.least_us : CLV_WATCH_LEAST_US;
    const double late_us = expected * w->options.factor;
    if (w->options.timeout_us > 0 && seen->age_us > w->options.timeout_us &&
        seen->timed_out != at) {
        seen->timed_out = seen->reported = at;
        atomic_store(&runner->late, at); /* should it end at last */
        tell(w, runner, seen, expected, true);
    } else if (
        w->options.factor > 0 && seen->age_us > late_us && seen->age_us > least_us &&
        !is_reported(w, runner, at)) {
        seen->reported = at;
        tell(w, runner, seen, expected, false);
    }
}

static bool has_request(const clv_executor *executor) {
    for (uint32_t i = 0; i < executor->depth; i++) {
        if (executor->slots[i].is_busy) {
            return true;
        }
    }
    return false;
}

/* With the lock. */
static void pause_for(clv_watchdog *w) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const uint64_t ns = (uint64_t)until.tv_nsec + (uint64_t)(w->period_us * 1e3);
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    while (!w->quits &&
           pthread_cond_timedwait(&w->changed, &w->executor->lock, &until) != ETIMEDOUT) {
    }
}

static void *watch(void *argument) {
    clv_watchdog *w = argument;
    clv_executor *executor = w->executor;
    pthread_mutex_lock(&executor->lock);
    double before_us = clv_time_us();
    while (!w->quits) {
        if (!has_request(executor)) {
            w->is_asleep = true;
            pthread_cond_wait(&w->changed, &executor->lock);
            w->is_asleep = false;
            before_us = clv_time_us();
            continue;
        }
        pause_for(w);
        pthread_mutex_unlock(&executor->lock);
        const double now_us = clv_time_us(), passed_us = now_us - before_us;
        before_us = now_us;
        for (uint32_t i = 0; i < executor->num_runners; i++) {
            look_at(w, i, passed_us < 2 * w->period_us ? passed_us : 2 * w->period_us);
        }
        pthread_mutex_lock(&executor->lock);
    }
    pthread_mutex_unlock(&executor->lock);
    return NULL;
}

/* --- making and ending it -------------------------------------------------------------------- */

clv_status *clv_watchdog_create(
    clv_executor *executor, const clv_watch_options *options, clv_watchdog **out_watchdog) {
    const double most_us = 250e3, least_us = 2e3;
    *out_watchdog = NULL;
    clv_watchdog *w = clv_alloc_zeroed(1, sizeof *w);
    if (w == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the executor");
    }
    w->executor = executor;
    w->options = *options;
    w->period_us = options->least_us > 0 ? options->least_us / 4 : most_us;
    if (options->timeout_us > 0 && options->timeout_us / 4 < w->period_us) {
        w->period_us = options->timeout_us / 4;
    }
    w->period_us = w->period_us > most_us    ? most_us
                   : w->period_us < least_us ? least_us
                                             : w->period_us;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    w->watched = clv_alloc_zeroed((size_t)executor->num_runners + 1, sizeof *w->watched);
    clv_status *status = w->watched != NULL
                             ? clv_thread_create(&w->thread, watch, w, -1, "clv-watchdog")
                             : CLV_ERROR(NO_MEMORY, "out of host memory for the executor");
    w->has_thread = status == NULL;
    if (status != NULL) {
        clv_watchdog_destroy(w);
        return status;
    }
    *out_watchdog = w;
    return NULL;
}

void clv_watchdog_destroy(clv_watchdog *watchdog) {
    if (watchdog == NULL) {
        return;
    }
    pthread_mutex_lock(&watchdog->executor->lock);
    watchdog->quits = true;
    pthread_cond_broadcast(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->executor->lock);
    if (watchdog->has_thread) {
        pthread_join(watchdog->thread, NULL);
    }
    pthread_cond_destroy(&watchdog->changed);
    clv_free(watchdog->watched);
    clv_free(watchdog);
}

void clv_watchdog_begin(clv_watchdog *watchdog) {
    if (watchdog != NULL && watchdog->is_asleep) {
        pthread_cond_signal(&watchdog->changed);
    }
}
