/* Requests of a session: one that is waited for, and several in flight. */
#include "host/api/session.h"

#include "host/base/memory.h"
#include "host/base/threads.h"

#include <stddef.h>
#include <string.h>

/* --- operands --- */

/* The binding of this name; USAGE where there are two. */
static clv_status *find_binding(
    const cleave_binding *bindings, size_t count, const char *name, const char *what,
    const cleave_binding **out_binding) {
    *out_binding = NULL;
    for (size_t i = 0; i < count; i++) {
        if (bindings[i].name == NULL || strcmp(bindings[i].name, name) != 0) {
            continue;
        }
        if (*out_binding != NULL) {
            return CLV_ERROR(USAGE, "%s '%s' is given twice", what, name);
        }
        *out_binding = &bindings[i];
    }
    return NULL;
}

static clv_status *check_names(
    const cleave_binding *bindings, size_t count, const cleave_tensor_info *infos, size_t num_infos,
    const char *what) {
    for (size_t i = 0; i < count; i++) {
        const char *name = bindings[i].name != NULL ? bindings[i].name : "";
        bool is_known = false;
        for (size_t k = 0; k < num_infos; k++) {
            is_known = is_known || strcmp(infos[k].name, name) == 0;
        }
        if (!is_known) {
            return CLV_ERROR(USAGE, "the model has no %s '%s'", what, name);
        }
    }
    return NULL;
}

static clv_status *check_fit(
    const clv_view *view, const cleave_tensor_info *info, const char *what) {
    clv_wanted wanted = clv_wanted_of_info(info);
    if (view->dtype == wanted.dtype && clv_shape_equal(&view->shape, &wanted.shape)) {
        return NULL;
    }
    char got[CLV_SHAPE_TEXT], want[CLV_SHAPE_TEXT];
    return CLV_ERROR(
        USAGE, "%s '%s' is %s %s, the session has %s %s", what, info->name,
        clv_dtype_name(view->dtype), clv_shape_format(&view->shape, got),
        clv_dtype_name(wanted.dtype), clv_shape_format(&wanted.shape, want));
}

clv_status *clv_session_order_inputs(
    const cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    clv_view **out_views) {
    size_t count = session->graph->num_inputs;
    clv_status *status = NULL;
    *out_views = NULL;
    clv_view *views = clv_alloc_zeroed(count + 1, sizeof *views);
    if (views == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for inputs");
    }
    CLV_TRY_DONE(check_names(inputs, num_inputs, session->inputs, count, "input"));
    for (size_t i = 0; i < count; i++) {
        const cleave_tensor_info *info = &session->inputs[i];
        const cleave_binding *binding;
        CLV_TRY_DONE(find_binding(inputs, num_inputs, info->name, "input", &binding));
        if (binding == NULL) {
            status = CLV_ERROR(USAGE, "input '%s' is not given", info->name);
            goto done;
        }
        CLV_TRY_DONE(clv_tensor_check(&binding->tensor, info->name));
        views[i] = clv_view_of_tensor(&binding->tensor);
        CLV_TRY_DONE(check_fit(&views[i], info, "input"));
    }
    *out_views = views;
    return NULL;
done:
    clv_free(views);
    return status;
}

/* Outputs in the graph's order; those that are not wanted get memory of their own, listed in
 * `spare`. */
static clv_status *order_outputs(
    const cleave_session *session, const cleave_binding *outputs, size_t num_outputs,
    clv_mutable_view *views, void **spare) {
    size_t count = session->graph->num_outputs;
    CLV_TRY(check_names(outputs, num_outputs, session->outputs, count, "output"));
    for (size_t i = 0; i < count; i++) {
        const cleave_tensor_info *info = &session->outputs[i];
        const cleave_binding *binding;
        CLV_TRY(find_binding(outputs, num_outputs, info->name, "output", &binding));
        clv_wanted wanted = clv_wanted_of_info(info);
        views[i] = (clv_mutable_view){.dtype = wanted.dtype, .shape = wanted.shape};
        if (binding != NULL) {
            CLV_TRY(clv_tensor_check(&binding->tensor, info->name));
            clv_view view = clv_view_of_tensor(&binding->tensor);
            CLV_TRY(check_fit(&view, info, "output"));
            views[i].data = binding->tensor.data;
            continue;
        }
        spare[i] = clv_alloc(clv_view_bytes(wanted.dtype, &wanted.shape) + 1);
        views[i].data = spare[i];
        if (spare[i] == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for output '%s'", info->name);
        }
    }
    return NULL;
}

/* --- a request --- */

/* Held by its caller, where that wants to wait, and by the session until it is done. */
struct cleave_request {
    cleave_session *session;
    clv_view *inputs;
    clv_mutable_view *outputs;
    void **spare;     /* [num_outputs]: memory of outputs that are not wanted */
    cleave_done done; /* NULL: nobody is called */
    void *context;
    clv_completion completion; /* of the call */
    clv_failed failed;         /* while it waits to be run again */
    pthread_mutex_t lock;      /* guards what follows */
    pthread_cond_t ended;
    bool has_ended;
    int num_holders;
    clv_status *status;
};

static void free_request(cleave_request *request) {
    const size_t count = request->session->graph->num_outputs;
    for (size_t i = 0; request->spare != NULL && i < count; i++) {
        clv_free(request->spare[i]);
    }
    pthread_mutex_destroy(&request->lock);
    pthread_cond_destroy(&request->ended);
    clv_status_destroy(request->status);
    clv_free(request->spare);
    clv_free(request->outputs);
    clv_free(request->inputs);
    clv_free(request);
}

/* Frees it with its last holder. */
static void let_go(cleave_request *request) {
    pthread_mutex_lock(&request->lock);
    const bool is_last = --request->num_holders == 0;
    pthread_mutex_unlock(&request->lock);
    if (is_last) {
        free_request(request);
    }
}

static clv_status *fill_request(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs, cleave_request *request) {
    const size_t count = session->graph->num_outputs;
    request->outputs = clv_alloc_zeroed(count + 1, sizeof *request->outputs);
    request->spare = clv_alloc_zeroed(count + 1, sizeof *request->spare);
    if (request->outputs == NULL || request->spare == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for outputs");
    }
    CLV_TRY(clv_session_order_inputs(session, inputs, num_inputs, &request->inputs));
    return order_outputs(session, outputs, num_outputs, request->outputs, request->spare);
}

static void begin_again(clv_failed *failed, clv_status *lost);

static clv_status *make_request(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs, cleave_request **out_request) {
    *out_request = NULL;
    cleave_request *request = clv_alloc_zeroed(1, sizeof *request);
    if (request == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a request");
    }
    request->session = session;
    request->num_holders = 1;
    request->failed.again = begin_again;
    pthread_mutex_init(&request->lock, NULL);
    pthread_cond_init(&request->ended, NULL);
    clv_status *status = fill_request(session, inputs, num_inputs, outputs, num_outputs, request);
    if (status != NULL) {
        free_request(request);
        return status;
    }
    *out_request = request;
    return NULL;
}

static void count_begin(cleave_session *session) {
    pthread_mutex_lock(&session->lock);
    if (session->num_in_flight++ == 0) {
        session->busy_since_us = clv_time_us();
    }
    pthread_mutex_unlock(&session->lock);
}

static void count_end(cleave_session *session, const clv_status *status) {
    pthread_mutex_lock(&session->lock);
    session->num_requests += status == NULL ? 1 : 0;
    if (--session->num_in_flight == 0) {
        session->wall_us += clv_time_us() - session->busy_since_us;
    }
    pthread_mutex_unlock(&session->lock);
}

/* --- the end of one --- */

static void call_user(clv_completion *completion) {
    cleave_request *request =
        (cleave_request *)((char *)completion - offsetof(cleave_request, completion));
    const cleave_done done = request->done;
    void *context = request->context;
    clv_status *status = request->status;
    request->status = NULL;
    free_request(request);
    done(context, public_status(status));
}

static void finish(cleave_request *request, clv_status *status) {
    count_end(request->session, status);
    if (request->done != NULL) {
        request->status = status;
        request->completion.run = call_user;
        clv_completions_add(&request->session->completions, &request->completion);
        return;
    }
    pthread_mutex_lock(&request->lock);
    request->status = status;
    request->has_ended = true;
    pthread_cond_broadcast(&request->ended);
    pthread_mutex_unlock(&request->lock);
    let_go(request);
}

/* By whichever thread was last at it: one that runs requests, or a caller that does such a one's
 * work. It must not wait. */
static void end_request(void *context, clv_status *status) {
    cleave_request *request = context;
    if (!clv_recovery_leave(request->session, &status, &request->failed)) {
        finish(request, status);
    }
}

static clv_status *begin(cleave_session *session, cleave_request *request) {
    CLV_TRY(clv_recovery_enter(session));
    clv_status *status = clv_session_submit(
        session->session, request->inputs, session->graph->num_inputs, request->outputs,
        session->graph->num_outputs, end_request, request);
    if (status != NULL && clv_recovery_leave(session, &status, &request->failed)) {
        return NULL;
    }
    return status;
}

static void begin_again(clv_failed *failed, clv_status *lost) {
    cleave_request *request = (cleave_request *)((char *)failed - offsetof(cleave_request, failed));
    clv_status *status = lost != NULL ? lost : begin(request->session, request);
    if (status != NULL) {
        finish(request, status);
    }
}

/* --- one that is waited for --- */

static clv_status *wait_for_end(cleave_request *request) {
    pthread_mutex_lock(&request->lock);
    while (!request->has_ended) {
        pthread_cond_wait(&request->ended, &request->lock);
    }
    clv_status *status = request->status;
    request->status = NULL;
    pthread_mutex_unlock(&request->lock);
    let_go(request);
    return status;
}

static clv_status *run_request(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs) {
    cleave_request *request;
    CLV_TRY(make_request(session, inputs, num_inputs, outputs, num_outputs, &request));
    count_begin(session);
    clv_status *status = clv_recovery_enter(session);
    if (status == NULL) {
        request->num_holders = 2;
        status = clv_session_run(
            session->session, request->inputs, session->graph->num_inputs, request->outputs,
            session->graph->num_outputs);
        if (clv_recovery_leave(session, &status, &request->failed)) {
            return wait_for_end(request);
        }
    }
    count_end(session, status);
    free_request(request);
    return status;
}

cleave_status *cleave_session_run(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs) {
    return public_status(run_request(session, inputs, num_inputs, outputs, num_outputs));
}

/* --- several in flight --- */

uint32_t cleave_session_depth(const cleave_session *session) {
    cleave_session *s = (cleave_session *)session; /* its lock is no part of what it says */
    pthread_mutex_lock(&s->lock);
    clv_status *lost = clv_recovery_settle(s);
    const uint32_t depth = lost == NULL ? clv_session_depth(s->session) : 1;
    pthread_mutex_unlock(&s->lock);
    clv_status_destroy(lost);
    return depth;
}

static clv_status *submit(cleave_session *session, cleave_request *request) {
    count_begin(session);
    clv_status *status = begin(session, request);
    if (status != NULL) {
        count_end(session, status);
    }
    return status;
}

cleave_status *cleave_session_submit(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs, cleave_request **out_request) {
    cleave_request *request;
    *out_request = NULL;
    clv_status *status = make_request(session, inputs, num_inputs, outputs, num_outputs, &request);
    if (status == NULL) {
        request->num_holders = 2;
        status = submit(session, request);
        if (status != NULL) {
            free_request(request);
        } else {
            *out_request = request;
        }
    }
    return public_status(status);
}

cleave_status *cleave_session_call(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_binding *outputs, size_t num_outputs, cleave_done done, void *context) {
    cleave_request *request;
    clv_status *status = make_request(session, inputs, num_inputs, outputs, num_outputs, &request);
    if (status != NULL) {
        return public_status(status);
    }
    request->done = done;
    request->context = context;
    status = done != NULL ? clv_completions_begin(&session->completions) : NULL;
    if (status == NULL) {
        status = submit(session, request);
        if (status != NULL && done != NULL) {
            clv_completions_abandon(&session->completions);
        }
    }
    if (status != NULL) {
        free_request(request);
    }
    return public_status(status);
}

bool cleave_request_is_done(cleave_request *request) {
    pthread_mutex_lock(&request->lock);
    const bool has_ended = request->has_ended;
    pthread_mutex_unlock(&request->lock);
    return has_ended;
}

cleave_status *cleave_request_wait(cleave_request *request) {
    return public_status(wait_for_end(request));
}
