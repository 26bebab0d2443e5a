/* What a session did, in the terms of its plan: where time went, what the run waited for, and how
 * far predictions were off. */
#include "host/api/session.h"
#include "host/api/timeline.h"

#include "host/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_PATH_STEPS = 256, /* of the critical path that are listed */
    MAX_PATH_SHARES = 32, /* operators that it is summed up by */
};

/* --- making it --- */

static clv_status *fill(
    const cleave_plan *plan, const clv_schedule *predicted, const clv_record *record,
    double *alone_us, clv_measured *m) {
    m->num_requests = record->num_requests;
    m->num_units = record->num_units;
    m->num_dropped = record->num_dropped;
    m->num_clamped = record->num_clamped;
    m->clocks = clv_alloc_zeroed((size_t)record->num_units + 1, sizeof *m->clocks);
    if (m->clocks == NULL || alone_us == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a timeline");
    }
    memcpy(m->clocks, record->clocks, record->num_units * sizeof *m->clocks);
    CLV_TRY(clv_accounts_create(record, &m->accounts));
    CLV_TRY(clv_record_errors(record, predicted, &m->errors, &m->num_errors, alone_us));
    CLV_TRY(clv_record_schedule(record, plan->costs, plan->plan, alone_us, &m->schedule));
    CLV_TRY(clv_timeline_create(m->schedule, NULL, &m->timeline));
    return clv_critical_path_create(m->schedule, NULL, &m->path);
}

clv_status *clv_measured_create(
    const cleave_plan *plan, const clv_schedule *predicted, const clv_record *record,
    clv_measured **out_measured) {
    *out_measured = NULL;
    clv_measured *m = clv_alloc_zeroed(1, sizeof *m);
    if (m == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a timeline");
    }
    double *alone_us = clv_alloc_zeroed((size_t)record->num_steps + 1, sizeof *alone_us);
    clv_status *status = fill(plan, predicted, record, alone_us, m);
    clv_free(alone_us);
    if (status != NULL) {
        clv_measured_destroy(m);
        return status;
    }
    *out_measured = m;
    return NULL;
}

void clv_measured_destroy(clv_measured *measured) {
    if (measured != NULL) {
        clv_critical_path_destroy(measured->path);
        clv_timeline_destroy(measured->timeline);
        clv_schedule_destroy(measured->schedule);
        clv_accounts_destroy(measured->accounts);
        clv_free(measured->clocks);
        clv_free(measured->errors);
        clv_free(measured);
    }
}

/* --- reporting --- */

static const char *unit_name(const clv_measured *m, uint32_t unit) {
    return m->schedule->costs->machine->units[unit].name;
}

static const char *step_name(const clv_measured *m, const clv_schedule_step *step) {
    const clv_workload *workload = m->schedule->costs->workload;
    return step->kind == CLV_SCHEDULE_SEND ? workload->tensors[step->tensor].name
                                           : workload->tasks[step->task].name;
}

static void write_unit(clv_json_writer *w, const clv_measured *m, uint32_t unit) {
    const clv_account *a = &m->accounts->units[unit];
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "name", unit_name(m, unit));
    clv_json_add_number(w, "busy_us", a->busy_us);
    clv_json_add_number(w, "transfer_us", a->transfer_us);
    clv_json_add_number(w, "waiting_data_us", a->data_us);
    clv_json_add_number(w, "waiting_buffer_us", a->buffer_us);
    clv_json_add_number(w, "waiting_place_us", a->place_us);
    clv_json_add_number(w, "overhead_us", a->overhead_us);
    clv_json_add_number(w, "idle_us", a->idle_us);
    clv_json_add_number(w, "hidden_transfer_us", a->hidden_us);
    clv_json_open_array(w, "waiting_for");
    for (uint32_t v = 0; v < m->num_units; v++) {
        const size_t pair = (size_t)unit * m->num_units + v;
        if (m->accounts->data_us[pair] + m->accounts->buffer_us[pair] > 0) {
            clv_json_open_object(w, NULL);
            clv_json_add_string(w, "unit", unit_name(m, v));
            clv_json_add_number(w, "data_us", m->accounts->data_us[pair]);
            clv_json_add_number(w, "buffer_us", m->accounts->buffer_us[pair]);
            clv_json_close(w);
        }
    }
    clv_json_close(w);
    if (m->clocks[unit].is_known) {
        clv_json_add_number(w, "clock_uncertainty_us", m->clocks[unit].uncertainty_us);
        clv_json_add_number(w, "clock_drift_us", m->clocks[unit].drift_us);
    }
    clv_json_close(w);
}

/* What a step on the path waited for before it began. */
static void write_cause(clv_json_writer *w, const clv_measured *m, uint32_t step) {
    const clv_cause *cause = &m->path->causes[step];
    const clv_run *run = m->schedule->predicted;
    clv_json_add_string(w, "cause", clv_cause_name((clv_cause_kind)cause->kind));
    if (cause->before != CLV_NO_INDEX) {
        const clv_schedule_step *before = &m->schedule->steps[cause->before];
        clv_json_add_string(w, "after", step_name(m, before));
        clv_json_add_string(w, "after_unit", unit_name(m, run->unit[cause->before]));
        clv_json_add_number(w, "after_request", before->request);
        clv_json_add_number(
            w, "late_us", fmax(0, run->start_us[step] - run->end_us[cause->before]));
    }
}

/* Time on the critical path of an operator, or a tensor's transfers, on a unit. */
typedef struct path_share {
    uint32_t what, unit, count; /* what: a step of its sort */
    double us;
} path_share;

static int compare_shares(const void *left, const void *right) {
    const path_share *a = left, *b = right;
    if (a->us != b->us) {
        return a->us < b->us ? 1 : -1;
    }
    return (a->what > b->what) - (a->what < b->what);
}

static bool is_same_sort(const clv_schedule_step *a, const clv_schedule_step *b) {
    return a->kind == b->kind &&
           (a->kind == CLV_SCHEDULE_SEND ? a->tensor == b->tensor : a->task == b->task);
}

/* Operators are few beside steps. */
static size_t sum_path(const clv_measured *m, path_share *shares) {
    const clv_run *run = m->schedule->predicted;
    size_t count = 0;
    for (uint64_t i = 0; i < m->path->num_steps; i++) {
        const uint32_t step = m->path->steps[i];
        size_t k = 0;
        while (k < count &&
               (shares[k].unit != run->unit[step] ||
                !is_same_sort(&m->schedule->steps[shares[k].what], &m->schedule->steps[step]))) {
            k++;
        }
        if (k == count) {
            shares[count++] = (path_share){step, run->unit[step], 0, 0};
        }
        shares[k].count++;
        shares[k].us += m->path->step_us[i];
    }
    qsort(shares, count, sizeof *shares, compare_shares);
    return count;
}

static void write_shares(clv_json_writer *w, const clv_measured *m) {
    path_share *shares = clv_alloc_zeroed((size_t)m->path->num_steps + 1, sizeof *shares);
    if (shares == NULL) {
        w->text.failed = true;
        return;
    }
    const size_t count = sum_path(m, shares);
    clv_json_open_array(w, "operators");
    for (size_t i = 0; i < count && i < MAX_PATH_SHARES; i++) {
        const clv_schedule_step *step = &m->schedule->steps[shares[i].what];
        clv_json_open_object(w, NULL);
        clv_json_add_string(
            w, step->kind == CLV_SCHEDULE_SEND ? "tensor" : "node", step_name(m, step));
        if (step->kind == CLV_SCHEDULE_JOIN) {
            clv_json_add_bool(w, "join", true);
        }
        clv_json_add_string(w, "unit", unit_name(m, shares[i].unit));
        clv_json_add_number(w, "steps", shares[i].count);
        clv_json_add_number(w, "us", shares[i].us);
        clv_json_close(w);
    }
    clv_json_close(w);
    clv_free(shares);
}

static void write_path(clv_json_writer *w, const clv_measured *m) {
    const clv_critical_path *path = m->path;
    const clv_run *run = m->schedule->predicted;
    clv_json_open_object(w, "critical_path");
    clv_json_add_number(w, "steps", (double)path->num_steps);
    clv_json_add_number(w, "busy_us", path->busy_us);
    clv_json_add_number(w, "idle_us", path->idle_us);
    clv_json_open_object(w, "causes");
    for (int i = 0; i < CLV_NUM_CAUSES; i++) {
        if (path->num_causes[i] > 0) {
            clv_json_add_number(w, clv_cause_name((clv_cause_kind)i), (double)path->num_causes[i]);
        }
    }
    clv_json_close(w);
    write_shares(w, m);
    clv_json_open_array(w, "path");
    for (uint64_t i = 0; i < path->num_steps && i < MAX_PATH_STEPS; i++) {
        const uint32_t step = path->steps[i];
        clv_json_open_object(w, NULL);
        clv_json_add_string(w, "step", step_name(m, &m->schedule->steps[step]));
        if (m->schedule->steps[step].kind == CLV_SCHEDULE_JOIN) {
            clv_json_add_bool(w, "join", true);
        }
        clv_json_add_string(w, "unit", unit_name(m, run->unit[step]));
        clv_json_add_number(w, "request", m->schedule->steps[step].request);
        clv_json_add_number(w, "start_us", run->start_us[step]);
        clv_json_add_number(w, "us", run->end_us[step] - run->start_us[step]);
        write_cause(w, m, step);
        clv_json_close(w);
    }
    clv_json_close(w);
    clv_json_close(w);
}

static void write_errors(clv_json_writer *w, const clv_measured *m) {
    clv_json_open_array(w, "ops");
    for (size_t i = 0; i < m->num_errors; i++) {
        const clv_step_error *e = &m->errors[i];
        clv_json_open_object(w, NULL);
        clv_json_add_string(w, "node", m->schedule->costs->workload->tasks[e->task].name);
        clv_json_add_string(w, "unit", unit_name(m, e->unit));
        clv_json_add_number(w, "predicted_us", e->predicted_us);
        clv_json_add_number(w, "measured_us", e->measured_us);
        if (e->join_us > 0) {
            clv_json_add_number(w, "join_us", e->join_us);
        }
        if (e->measured_us > 0) {
            clv_json_add_number(w, "error", e->predicted_us / e->measured_us - 1);
        }
        clv_json_close(w);
    }
    clv_json_close(w);
}

void clv_write_measured(clv_json_writer *w, const clv_measured *m) {
    clv_json_open_object(w, "measured");
    clv_json_add_number(w, "requests", m->num_requests);
    clv_json_add_number(w, "requests_left_out", (double)m->num_dropped);
    clv_json_add_number(w, "times_clamped", (double)m->num_clamped);
    clv_json_add_number(w, "wall_us", m->accounts->wall_us);
    clv_json_add_number(w, "period_us", m->timeline->period_us);
    clv_json_add_number(w, "latency_us", m->timeline->latency_us);
    clv_json_add_number(w, "mean_latency_us", m->timeline->mean_latency_us);
    clv_json_open_array(w, "units");
    for (uint32_t u = 0; u < m->num_units; u++) {
        write_unit(w, m, u);
    }
    clv_json_close(w);
    write_path(w, m);
    write_errors(w, m);
    clv_json_close(w);
}

/* --- of a session --- */

static clv_status *measure(cleave_session *session, cleave_timeline **out_timeline) {
    clv_record *record;
    if (session->num_in_flight != 0) {
        return CLV_ERROR(
            USAGE, "%llu requests are in flight: a timeline is of a session at rest",
            (unsigned long long)session->num_in_flight);
    }
    CLV_TRY(clv_session_record(session->session, &record));
    const cleave_simulate_options options = {
        .requests = record->num_requests,
        .depth = clv_session_depth(session->session),
        .schedule = session->schedule,
        .dispatch_us = -1,
    };
    clv_status *status = (clv_status *)cleave_plan_simulate(session->plan, &options, out_timeline);
    if (status == NULL) {
        status = clv_measured_create(
            session->plan, (*out_timeline)->schedule, record, &(*out_timeline)->measured);
    }
    if (status != NULL) {
        cleave_timeline_destroy(*out_timeline);
        *out_timeline = NULL;
    }
    clv_record_destroy(record);
    return status;
}

cleave_status *cleave_session_timeline(cleave_session *session, cleave_timeline **out_timeline) {
    *out_timeline = NULL;
    pthread_mutex_lock(&session->lock);
    clv_status *status = clv_recovery_settle(session);
    if (status == NULL) {
        status = measure(session, out_timeline);
    }
    pthread_mutex_unlock(&session->lock);
    return public_status(status);
}
