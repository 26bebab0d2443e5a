#include "host/api/recover.h"

#include "host/api/session.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/base/threads.h"
#include "host/ocl/ocl.h"
#include <stdio.h>
#include <string.h>

/* --- the units that are left ----------------------------------------------------------------- */

static bool has_failed_unit(const cleave_session *s) {
    for (size_t i = 0; i < s->units.num_units; i++) {
        if (clv_session_unit_failure(s->session, i) != NULL) {
            return true;
        }
    }
    return false;
}

/* Units that may go on, in order of priority, and what became of the others. */
typedef struct candidates {
    clv_unit_name *names;
    size_t count;
    cJSON *left_out; /* items of the report, the new ones */
} candidates;

/* Why a unit is left out. */
typedef enum leaving { HAS_FAILED, IS_NO_USE } leaving;

/* What no unit is to blame for and no other plan mends: the user's wish, a want of the host's own
 * memory, a fault of cleave. `failures` was clv_memory_failures() before. */
static bool is_nobodys(const clv_status *status, uint64_t failures) {
    const clv_code code = clv_status_code(status);
    return code == CLV_CANCELLED || code == CLV_INTERNAL ||
           (code == CLV_NO_MEMORY && clv_memory_failures() != failures);
}

/* "core:0,core:1{speed=0.5}"; NULL without memory. */
static char *write_list(const clv_unit_name *names, size_t count) {
    clv_text text;
    char *list = NULL;
    clv_text_init(&text);
    for (size_t i = 0; i < count; i++) {
        clv_text_add(&text, "%s", i > 0 ? "," : "");
        clv_unit_name_write(&names[i], &text);
    }
    clv_status_destroy(clv_text_take(&text, &list));
    clv_text_deinit(&text);
    return list;
}

static void leave_out(
    candidates *c, size_t index, leaving how, const char *why, size_t num_requests) {
    cJSON *item = cJSON_CreateObject();
    const char *what = how == HAS_FAILED ? " failed and" : "";
    clv_log(CLV_LOG_WARNING, "%s%s is left out: %s", c->names[index].text, what, why);
    cJSON_AddStringToObject(item, "unit", c->names[index].text);
    cJSON_AddBoolToObject(item, "failed", how == HAS_FAILED);
    cJSON_AddStringToObject(item, "error", why);
    cJSON_AddNumberToObject(item, "requests", (double)num_requests);
    cJSON_AddItemToArray(c->left_out, item);
    c->count--;
    memmove(&c->names[index], &c->names[index + 1], (c->count - index) * sizeof *c->names);
}

/* The one to blame for a failure since `before`; c->count: none of them is. Another session's may
 * be taken for it where both fail at the same time. */
static size_t find_blamed(
    const candidates *c, const clv_status *status, const clv_ocl_failure *before) {
    const clv_ocl_failure last = clv_ocl_last_failure();
    const clv_code code = clv_status_code(status);
    size_t i = c->count;
    if (last.count != before->count && (code == CLV_DEVICE_FAILED || code == CLV_NO_MEMORY)) {
        for (i = 0; i < c->count; i++) {
            const bool is_gang = c->names[i].kind == CLV_UNIT_CPU;
            if (strcmp(c->names[i].text, last.unit) == 0 ||
                (is_gang && strncmp(last.unit, "core:", 5) == 0)) {
                break;
            }
        }
    }
    return i;
}

/* --- making what runs requests anew ---------------------------------------------------------- */

/* Keeps the old plan, which timelines may be of, and what units did, which goes on counting.
 * Nothing has changed after an error. */
static clv_status *keep_past(cleave_session *s) {
    clv_recovery *r = &s->recovery;
    const clv_session_report *exec = clv_session_report_get(s->session);
    cleave_plan **plans = clv_realloc(r->old_plans, (r->num_old_plans + 1) * sizeof(cleave_plan *));
    r->old_plans = plans != NULL ? plans : r->old_plans;
    clv_past_unit *past = clv_realloc(r->past, (r->num_past + exec->num_units) * sizeof *r->past);
    r->past = past != NULL ? past : r->past;
    if (plans == NULL || past == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a report");
    }
    if (s->plan != NULL) {
        plans[r->num_old_plans++] = s->plan;
        s->plan = NULL;
    }
    r->past_load_us += exec->load_us;
    for (size_t i = 0; i < exec->num_units; i++) {
        const clv_unit_report *unit = &exec->units[i], *base = &s->base[i];
        size_t at = 0;
        while (at < r->num_past && strcmp(past[at].name, unit->name) != 0) {
            at++;
        }
        if (at == r->num_past) {
            past[r->num_past++] = (clv_past_unit){.ops = 0};
            snprintf(past[at].name, sizeof past[at].name, "%s", unit->name);
        }
        past[at].ops += unit->ops - base->ops;
        past[at].bytes_in += unit->bytes_in - base->bytes_in;
        past[at].bytes_out += unit->bytes_out - base->bytes_out;
        past[at].busy_us += unit->busy_us - base->busy_us;
        past[at].transfer_us += unit->transfer_us - base->transfer_us;
    }
    return NULL;
}

/* By the policy that was asked for, where these units allow that and none of them fails; else by
 * whichever is good. Torn down after a failure. */
static clv_status *set_up(cleave_session *s, const candidates *c) {
    const clv_ocl_failure before = clv_ocl_last_failure();
    const uint64_t failures = clv_memory_failures();
    cleave_options options = s->recovery.options;
    char *devices = write_list(c->names, c->count);
    clv_status *status = NULL;
    if (devices == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
    }
    options.devices = devices;
    if (c->count > 1) {
        status = clv_session_set_up(&options, s);
        if (status != NULL) {
            clv_session_tear_down(s);
        }
        if (status == NULL || is_nobodys(status, failures) ||
            find_blamed(c, status, &before) != c->count) {
            goto done;
        }
        clv_log(
            CLV_LOG_INFO, "no plan as it was asked for is possible on %s (%s)", devices,
            clv_status_message(status));
        clv_status_destroy(status);
    }
    options.policy = NULL;
    options.pins = NULL;
    options.num_pins = 0;
    status = clv_session_set_up(&options, s);
    if (status != NULL) {
        clv_session_tear_down(s);
    }
done:
    clv_free(devices);
    return status;
}

/* On all of them but those that fail at that. An error where it is possible on none, or where none
 * is to blame that it is not; *c is those. */
static clv_status *set_up_healthy(cleave_session *s, candidates *c) {
    clv_status *status = NULL;
    for (;;) {
        const clv_ocl_failure before = clv_ocl_last_failure();
        clv_status_destroy(status);
        status = c->count != 0 ? set_up(s, c) : CLV_ERROR(DEVICE_FAILED, "no unit is left");
        const size_t blamed = status != NULL ? find_blamed(c, status, &before) : c->count;
        if (blamed == c->count) {
            return status;
        }
        leave_out(c, blamed, HAS_FAILED, clv_status_message(status), 0);
    }
}

/* On as many of them as go; else on the first that can do it alone. The others are left out, but
 * for those that are there after an error that is nobody's. */
static clv_status *set_up_some(cleave_session *s, candidates *c) {
    const uint64_t failures = clv_memory_failures();
    clv_status *status = set_up_healthy(s, c);
    const bool is_one = c->count == 1; /* then that was it alone */
    while (status != NULL && !is_nobodys(status, failures) && c->count > 0) {
        clv_unit_name first = c->names[0];
        candidates alone = {.names = &first, .count = 1, .left_out = c->left_out};
        clv_status *why = is_one ? clv_status_copy(status) : set_up_healthy(s, &alone);
        if (why == NULL) {
            while (c->count > 1) {
                leave_out(c, 1, IS_NO_USE, clv_status_message(status), 0);
            }
        } else if (alone.count == 0) { /* that is told of */
            c->count--;
            memmove(c->names, c->names + 1, c->count * sizeof *c->names);
        } else if (!is_nobodys(why, failures)) {
            leave_out(c, 0, IS_NO_USE, clv_status_message(why), 0);
        }
        clv_status_destroy(status);
        status = why;
    }
    return status;
}

/* Says of those that were left out how it went on, and puts them into the report. */
static void note(cleave_session *s, cJSON *left_out) {
    for (cJSON *item; (item = cJSON_DetachItemFromArray(left_out, 0)) != NULL;) {
        if (s->session != NULL) {
            cJSON *plan = cJSON_AddObjectToObject(item, "plan");
            cJSON_AddStringToObject(plan, "devices", s->devices);
            cJSON_AddStringToObject(plan, "policy", s->policy);
            cJSON_AddNumberToObject(plan, "depth", clv_session_depth(s->session));
            if (s->predicted.period_us > 0) {
                cJSON_AddNumberToObject(
                    plan, "predicted_throughput_per_s", 1e6 / s->predicted.period_us);
                cJSON_AddNumberToObject(
                    plan, "predicted_latency_ms", s->predicted.latency_us * 1e-3);
            }
        }
        cJSON_AddItemToArray(s->recovery.failures, item);
    }
}

static void add_reasons(const cJSON *items, clv_text *text) {
    const cJSON *item;
    cJSON_ArrayForEach(item, items) {
        const char *unit = cJSON_GetStringValue(cJSON_GetObjectItem(item, "unit"));
        const char *error = cJSON_GetStringValue(cJSON_GetObjectItem(item, "error"));
        if (unit != NULL && error != NULL) {
            clv_text_add(text, "%s%s: %s", text->length != 0 ? "; " : "", unit, error);
        }
    }
}

/* What there is to say where no unit is left: all of them, and why, also earlier ones. */
static clv_status *nothing_left(const cleave_session *s, clv_code code, const cJSON *left_out) {
    clv_text text;
    char *list = NULL;
    clv_text_init(&text);
    add_reasons(s->recovery.failures, &text);
    add_reasons(left_out, &text);
    clv_status *status = clv_text_take(&text, &list);
    if (status == NULL) {
        status =
            clv_status_create(code, __FILE__, __LINE__, "no unit is left to go on with: %s", list);
    }
    clv_free(list);
    clv_text_deinit(&text);
    return status;
}

/* Goes on with `c` after what was left out of it. Units are left there after an error that is
 * nobody's. */
static clv_status *go_on(cleave_session *s, candidates *c, clv_code code, size_t num_requests) {
    clv_status *status = set_up_some(s, c);
    if (status == NULL && num_requests > 0) {
        clv_log(
            CLV_LOG_WARNING, "going on with %s, policy %s; %zu request%s run again", s->devices,
            s->policy, num_requests, num_requests == 1 ? " is" : "s are");
    } else if (status == NULL) {
        clv_log(CLV_LOG_WARNING, "going on with %s, policy %s", s->devices, s->policy);
    } else if (c->count == 0) {
        clv_status_destroy(status);
        status = nothing_left(s, code, c->left_out);
    }
    note(s, c->left_out);
    return status;
}

/* While no request is at work. An error: there is nothing to run requests, or all is as it was. */
static clv_status *make_anew(cleave_session *s, size_t num_requests) {
    clv_recovery *r = &s->recovery;
    candidates c = {.left_out = cJSON_CreateArray(), .count = s->units.num_units};
    clv_status *status = NULL;
    c.names = clv_alloc_zeroed(c.count + 1, sizeof *c.names);
    if (c.names == NULL || c.left_out == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
        goto done;
    }
    CLV_TRY_DONE(keep_past(s));
    memcpy(c.names, s->units.names, c.count * sizeof *c.names);
    for (size_t i = c.count; i-- > 0;) {
        const clv_status *why = clv_session_unit_failure(s->session, i);
        if (why != NULL) {
            leave_out(&c, i, HAS_FAILED, clv_status_message(why), num_requests);
        }
    }
    clv_session_tear_down(s);
    status = go_on(s, &c, CLV_DEVICE_FAILED, num_requests);
    if (status != NULL) { /* these may do another time */
        r->left = c.names;
        r->num_left = c.count;
        c.names = NULL;
    }
done:
    cJSON_Delete(c.left_out);
    clv_free(c.names);
    return status;
}

/* The same with the units that are left after an error that was nobody's. */
static clv_status *try_again(cleave_session *s) {
    clv_recovery *r = &s->recovery;
    candidates c = {.names = r->left, .count = r->num_left, .left_out = cJSON_CreateArray()};
    if (c.left_out == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a plan");
    }
    clv_status *status = go_on(s, &c, CLV_DEVICE_FAILED, 0);
    r->num_left = c.count;
    if (status == NULL) {
        clv_free(r->left);
        r->left = NULL;
        r->num_left = 0;
    }
    cJSON_Delete(c.left_out);
    return status;
}

clv_status *clv_recovery_set_up(cleave_session *session, const cleave_options *options) {
    const clv_ocl_failure before = clv_ocl_last_failure();
    candidates c = {.left_out = NULL};
    clv_status *status = clv_session_set_up(options, session), *other;
    if (status == NULL || !session->recovery.is_wanted) {
        return status;
    }
    clv_session_tear_down(session);
    other = clv_unit_names(options->devices, &c.names, &c.count);
    const size_t blamed = other == NULL ? find_blamed(&c, status, &before) : 0;
    if (other == NULL && c.count > 1 && blamed != c.count &&
        (c.left_out = cJSON_CreateArray()) != NULL) {
        const clv_code code = clv_status_code(status);
        leave_out(&c, blamed, HAS_FAILED, clv_status_message(status), 0);
        clv_status_destroy(status);
        status = go_on(session, &c, code, 0);
    }
    clv_status_destroy(other);
    cJSON_Delete(c.left_out);
    clv_free(c.names);
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

/* Begins them, or ends them with an error: with what they failed with where all is as it was. */
static void run_again(clv_failed *failed, const clv_status *error, bool is_lost) {
    while (failed != NULL) {
        clv_failed *next = failed->next;
        clv_status *status = failed->status;
        failed->status = NULL;
        if (error == NULL || is_lost) {
            clv_status_destroy(status);
            status = clv_status_copy(error);
        }
        failed->again(failed, status); /* it may be gone then */
        failed = next;
    }
}

static void *recover(void *argument) {
    cleave_session *s = argument;
    clv_recovery *r = &s->recovery;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (r->first == NULL && !r->tries_again && !(r->quits && r->num_running == 0)) {
            pthread_cond_wait(&r->changed, &s->lock);
        }
        if (r->first == NULL && !r->tries_again) {
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
        clv_status *error = failed != NULL ? make_anew(s, count_failed(failed)) : try_again(s);
        pthread_mutex_lock(&s->lock);
        clv_status_destroy(r->lost);
        const bool is_lost = s->session == NULL;
        r->lost = is_lost ? clv_status_copy(error) : NULL;
        r->is_replanning = r->tries_again = false;
        pthread_cond_broadcast(&r->changed);
        pthread_mutex_unlock(&s->lock);
        run_again(failed, error, is_lost);
        clv_status_destroy(error);
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
    return clv_status_copy(r->lost);
}

clv_status *clv_recovery_enter(cleave_session *session) {
    clv_recovery *r = &session->recovery;
    if (!r->is_wanted) {
        return NULL;
    }
    pthread_mutex_lock(&session->lock);
    clv_status *status = clv_recovery_settle(session);
    if (status != NULL && r->num_left != 0) {
        clv_status_destroy(status);
        r->tries_again = true;
        pthread_cond_broadcast(&r->changed);
        while (r->tries_again) {
            pthread_cond_wait(&r->changed, &session->lock);
        }
        status = clv_recovery_settle(session);
    }
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
    clv_free(r->past);
    clv_free(r->left);
    cJSON_Delete(r->failures);
    clv_status_destroy(r->lost);
    pthread_cond_destroy(&r->changed);
    clv_arena_deinit(&r->arena);
}
