#include "host/api/recover.h"

#include "host/api/session.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/base/threads.h"
#include <string.h>

/* --- the units that are left ----------------------------------------------------------------- */

static bool has_failed_unit(const cleave_session *s) {
    for (size_t i = 0; i < s->units.num_units; i++) {
        if (clv_session_unit_failed(s->session, i)) {
            return true;
        }
    }
    return false;
}

/* Names of the units that failed, or of those that did not, with their limits; NULL without
 * memory. */
static char *list_units(const cleave_session *s, bool has_failed, size_t *out_count) {
    clv_text text;
    char *list = NULL;
    *out_count = 0;
    clv_text_init(&text);
    for (size_t i = 0; i < s->units.num_units; i++) {
        if (clv_session_unit_failed(s->session, i) == has_failed) {
            clv_text_add(&text, "%s", (*out_count)++ > 0 ? "," : "");
            if (has_failed) {
                clv_text_add(&text, "%s", s->units.names[i].text);
            } else {
                clv_unit_name_write(&s->units.names[i], &text);
            }
        }
    }
    clv_status_destroy(clv_text_take(&text, &list));
    clv_text_deinit(&text);
    return list;
}

/* --- making what runs requests anew ---------------------------------------------------------- */

/* Timelines may be of the old plan. */
static clv_status *keep_old_plan(cleave_session *s) {
    clv_recovery *r = &s->recovery;
    if (s->plan == NULL) {
        return NULL;
    }
    cleave_plan **grown = clv_realloc(r->old_plans, (r->num_old_plans + 1) * sizeof(cleave_plan *));
    if (grown == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
    }
    r->old_plans = grown;
    r->old_plans[r->num_old_plans++] = s->plan;
    s->plan = NULL;
    return NULL;
}

/* By the policy that was asked for, where the units that are left allow that; else by whichever is
 * good. */
static clv_status *set_up(cleave_session *s, const char *devices, size_t num_units) {
    cleave_options options = s->recovery.options;
    options.devices = devices;
    if (num_units > 1) {
        clv_status *status = clv_session_set_up(&options, s);
        if (status == NULL || clv_status_code(status) == CLV_CANCELLED) {
            return status;
        }
        clv_log(
            CLV_LOG_INFO, "no plan as it was asked for is possible on %s (%s)", devices,
            clv_status_message(status));
        clv_status_destroy(status);
        clv_session_tear_down(s);
    }
    options.policy = NULL;
    options.pins = NULL;
    options.num_pins = 0;
    return clv_session_set_up(&options, s);
}

/* What reports say of a failure. */
static void note(cleave_session *s, const char *units, const clv_status *why, size_t num_requests) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "unit", units);
    cJSON_AddStringToObject(item, "error", clv_status_message(why));
    cJSON_AddNumberToObject(item, "requests", (double)num_requests);
    if (s->session != NULL) {
        cJSON *plan = cJSON_AddObjectToObject(item, "plan");
        cJSON_AddStringToObject(plan, "devices", s->devices);
        cJSON_AddStringToObject(plan, "policy", s->policy);
        cJSON_AddNumberToObject(plan, "depth", clv_session_depth(s->session));
        if (s->predicted.period_us > 0) {
            cJSON_AddNumberToObject(
                plan, "predicted_throughput_per_s", 1e6 / s->predicted.period_us);
            cJSON_AddNumberToObject(plan, "predicted_latency_ms", s->predicted.latency_us * 1e-3);
        }
    }
    cJSON_AddItemToArray(s->recovery.failures, item);
}

/* While no request is at work. What failed is told of with `why`. */
static clv_status *make_anew(cleave_session *s, const clv_status *why, size_t num_requests) {
    size_t num_failed, num_left;
    char *failed = list_units(s, true, &num_failed), *left = list_units(s, false, &num_left);
    clv_status *status = failed != NULL && left != NULL
                             ? keep_old_plan(s)
                             : CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
    clv_session_tear_down(s);
    if (status == NULL && num_left == 0) {
        status =
            CLV_ERROR(DEVICE_FAILED, "%s; no unit is left to go on with", clv_status_message(why));
    } else if (status == NULL) {
        status = set_up(s, left, num_left);
        if (status != NULL) {
            clv_session_tear_down(s);
            status = clv_status_prefix(
                status, "%s; going on with %s is not possible", clv_status_message(why), left);
        }
    }
    if (status == NULL) {
        clv_log(
            CLV_LOG_WARNING,
            "%s failed and is left out (%s): going on with %s, policy %s; %zu "
            "request%s run again",
            failed, clv_status_message(why), s->devices, s->policy, num_requests,
            num_requests == 1 ? " is" : "s are");
    }
    note(s, failed != NULL ? failed : "", why, num_requests);
    clv_free(failed);
    clv_free(left);
    return status;
}

/* --- the thread ------------------------------------------------------------------------------ */

static size_t count_failed(const clv_failed *first) {
    size_t count = 0;
    for (; first != NULL; first = first->next) {
        count++;
    }
    return count;
}

static clv_status *copy_of(const clv_status *status) {
    return status == NULL
               ? NULL
               : clv_status_create(
                     clv_status_code(status), __FILE__, __LINE__, "%s", clv_status_message(status));
}

static void run_again(clv_failed *failed, const clv_status *lost) {
    while (failed != NULL) {
        clv_failed *next = failed->next;
        clv_status_destroy(failed->status);
        failed->status = NULL;
        failed->again(failed, copy_of(lost)); /* it may be gone then */
        failed = next;
    }
}

static void *recover(void *argument) {
    cleave_session *s = argument;
    clv_recovery *r = &s->recovery;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (r->first == NULL && !(r->quits && r->num_running == 0)) {
            pthread_cond_wait(&r->changed, &s->lock);
        }
        if (r->first == NULL) {
            break;
        }
        r->is_replanning = true;
        while (r->num_running != 0) {
            pthread_cond_wait(&r->changed, &s->lock);
        }
        clv_failed *failed = r->first;
        r->first = NULL;
        r->end = &r->first;
        pthread_mutex_unlock(&s->lock); /* nobody looks at what runs requests meanwhile */
        clv_status *lost = make_anew(s, failed->status, count_failed(failed));
        pthread_mutex_lock(&s->lock);
        r->lost = lost;
        r->is_replanning = false;
        pthread_cond_broadcast(&r->changed);
        pthread_mutex_unlock(&s->lock);
        run_again(failed, lost);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- for requests ---------------------------------------------------------------------------- */

clv_status *clv_recovery_settle(cleave_session *session) {
    clv_recovery *r = &session->recovery;
    while (r->is_replanning) {
        pthread_cond_wait(&r->changed, &session->lock);
    }
    return copy_of(r->lost);
}

clv_status *clv_recovery_enter(cleave_session *session) {
    clv_recovery *r = &session->recovery;
    if (!r->is_wanted) {
        return NULL;
    }
    pthread_mutex_lock(&session->lock);
    clv_status *status = clv_recovery_settle(session);
    r->num_running += status == NULL ? 1 : 0;
    pthread_mutex_unlock(&session->lock);
    return status;
}

bool clv_recovery_leave(cleave_session *session, clv_status **status, clv_failed *failed) {
    clv_recovery *r = &session->recovery;
    if (!r->is_wanted) {
        return false;
    }
    pthread_mutex_lock(&session->lock);
    const bool is_taken = clv_status_code(*status) == CLV_DEVICE_FAILED && has_failed_unit(session);
    if (is_taken) {
        failed->next = NULL;
        failed->status = *status;
        *status = NULL;
        *r->end = failed;
        r->end = &failed->next;
    }
    r->num_running--;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&session->lock);
    return is_taken;
}

/* --- making and ending it -------------------------------------------------------------------- */

static const char *keep_word(clv_recovery *r, const char *word, bool *has_memory) {
    const char *copy = word != NULL ? clv_arena_strdup(&r->arena, word) : NULL;
    *has_memory = *has_memory && (word == NULL || copy != NULL);
    return copy;
}

/* What a plan file and shares say is of units that there were. */
static bool keep_options(clv_recovery *r, const cleave_options *options) {
    bool has_memory = true;
    r->options = *options;
    r->options.dims = r->options.shapes = r->options.pins = NULL;
    r->options.num_dims = r->options.num_shapes = r->options.num_inputs = 0;
    r->options.inputs = NULL;
    r->options.plan = r->options.tensor_split = r->options.devices = NULL;
    r->options.allow_idle = true;
    r->options.policy = keep_word(r, options->policy, &has_memory);
    r->options.schedule = keep_word(r, options->schedule, &has_memory);
    r->options.objective = keep_word(r, options->objective, &has_memory);
    r->options.on_failure = keep_word(r, options->on_failure, &has_memory);
    r->options.debug = keep_word(r, options->debug, &has_memory);
    r->options.weights = keep_word(r, options->weights, &has_memory);
    const char **pins = clv_arena_alloc(&r->arena, options->num_pins + 1, sizeof *pins);
    for (size_t i = 0; pins != NULL && i < options->num_pins; i++) {
        pins[i] = keep_word(r, options->pins[i], &has_memory);
    }
    r->options.pins = pins;
    return has_memory && pins != NULL;
}

clv_status *clv_recovery_init(cleave_session *session, const cleave_options *options) {
    clv_recovery *r = &session->recovery;
    const char *word = options->on_failure;
    if (word == NULL || strcmp(word, "stop") == 0) {
        return NULL;
    }
    if (strcmp(word, "replan") != 0) {
        return CLV_ERROR(USAGE, "--on-failure '%s': must be stop or replan", word);
    }
    clv_arena_init(&r->arena, 0);
    pthread_cond_init(&r->changed, NULL);
    r->is_wanted = true;
    r->end = &r->first;
    r->failures = cJSON_CreateArray();
    if (r->failures == NULL || !keep_options(r, options)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    CLV_TRY(clv_thread_create(&r->thread, recover, session, -1, "clv-recovery"));
    r->has_thread = true;
    return NULL;
}

void clv_recovery_deinit(cleave_session *session) {
    clv_recovery *r = &session->recovery;
    if (!r->is_wanted) {
        return;
    }
    pthread_mutex_lock(&session->lock);
    r->quits = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&session->lock);
    if (r->has_thread) {
        pthread_join(r->thread, NULL);
    }
    for (size_t i = 0; i < r->num_old_plans; i++) {
        cleave_plan_destroy(r->old_plans[i]);
    }
    clv_free(r->old_plans);
    cJSON_Delete(r->failures);
    clv_status_destroy(r->lost);
    pthread_cond_destroy(&r->changed);
    clv_arena_deinit(&r->arena);
}
