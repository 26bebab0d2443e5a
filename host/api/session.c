/* Sessions: a model on units, ready to run. */
#include "host/api/session.h"
#include "host/api/plan.h"

#include "host/base/cancel.h"
#include "host/base/env.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/base/threads.h"
#include "host/passes/passes.h"
#include "host/tune/variant_cost.h"

#include <math.h>
#include <string.h>

/* --- making one --- */

static bool wants_plan(const cleave_options *options, size_t num_units) {
    bool is_single = options->policy == NULL || strcmp(options->policy, "single") == 0;
    return num_units > 1 || !is_single || options->plan != NULL || options->num_pins > 0 ||
           options->objective != NULL || options->tensor_split != NULL || options->depth > 0 ||
           options->record > 0;
}

/* Makes the plan that the options ask for, where it is not plain what it is: everything on the one
 * unit. */
static clv_status *make_plan(
    const cleave_options *options, cleave_session *s, cleave_plan **out_plan) {
    cleave_plan *plan = NULL;
    *out_plan = NULL;
    if (options->machine != NULL || options->times != NULL) {
        return CLV_ERROR(
            USAGE, "a session runs on devices: --machine and --times are for plan and simulate");
    }
    if (wants_plan(options, s->units.num_units)) {
        CLV_TRY(clv_plan_create_for_graph(s->graph, options, &plan));
        if (plan->workload->num_tasks != s->graph->num_nodes ||
            plan->machine->num_units != s->units.num_units) {
            clv_status *status = CLV_ERROR(
                INTERNAL, "the plan is of %u operators on %u units, the session of %zu on %zu",
                plan->workload->num_tasks, plan->machine->num_units, s->graph->num_nodes,
                s->units.num_units);
            cleave_plan_destroy(plan);
            return status;
        }
    }
    s->policy = clv_strdup(plan != NULL ? plan->plan->policy : "single");
    if (s->policy == NULL) {
        cleave_plan_destroy(plan);
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    *out_plan = plan;
    return NULL;
}

/* Keeps what the plan predicts, beside which the report puts what happened. */
static clv_status *keep_prediction(const cleave_plan *plan, clv_prediction *out) {
    const clv_costs *costs = plan->costs;
    const clv_group *group = &plan->plan->groups[0];
    const uint32_t num_tasks = plan->workload->num_tasks;
    out->node_us = clv_alloc_zeroed((size_t)num_tasks + 1, sizeof *out->node_us);
    out->origins = clv_alloc_zeroed((size_t)num_tasks + 1, sizeof *out->origins);
    if (out->node_us == NULL || out->origins == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    out->period_us = plan->plan->period_us;
    out->latency_us = plan->plan->latency_us;
    for (uint32_t i = 0; i < num_tasks; i++) {
        const uint32_t unit = group->pieces[group->placements[i].first_piece].unit;
        out->node_us[i] = clv_placement_time_us(costs, group, i);
        out->origins[i] = clv_origin_name(clv_costs_origin(costs, i, unit));
    }
    return NULL;
}

static clv_status *check_running(const cleave_options *options) {
    const char *schedule = options->schedule;
    if (schedule != NULL && strcmp(schedule, "static") != 0 && strcmp(schedule, "dynamic") != 0) {
        return CLV_ERROR(USAGE, "--schedule '%s': must be static or dynamic", schedule);
    }
    if (isnan(options->step_factor)) {
        return CLV_ERROR(USAGE, "step_factor is no number");
    }
    if (!(options->step_timeout_s >= 0)) {
        return CLV_ERROR(
            USAGE, "step_timeout_s %g: must be seconds, or 0 for ever", options->step_timeout_s);
    }
    return NULL;
}

static clv_status *make_infos(
    const clv_graph *graph, const clv_tensor_id *ids, size_t count,
    cleave_tensor_info **out_infos) {
    *out_infos = clv_alloc_zeroed(count + 1, sizeof **out_infos);
    if (*out_infos == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    for (size_t i = 0; i < count; i++) {
        clv_tensor_info_fill(&graph->tensors[ids[i]], &(*out_infos)[i]);
    }
    return NULL;
}

static clv_status *keep_words(cleave_session *s) {
    clv_text names;
    clv_text_init(&names);
    for (size_t i = 0; i < s->units.num_units; i++) {
        clv_text_add(&names, "%s%s", i > 0 ? "," : "", s->units.names[i].text);
    }
    clv_status *status = clv_text_take(&names, &s->devices);
    clv_text_deinit(&names);
    CLV_TRY(status);
    s->base = clv_alloc_zeroed(s->units.num_units + 1, sizeof *s->base);
    if (s->base == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    return NULL;
}

/* Variants are chosen as they were when the plan's costs were measured. */
static clv_status *make_exec_session(
    const cleave_options *options, const cleave_plan *plan, cleave_session *s) {
    clv_cost_db *db = NULL;
    clv_debug debug;
    CLV_TRY(clv_debug_parse(
        options->debug != NULL ? options->debug : clv_env_get(CLV_ENV_DEBUG), &debug));
    if (clv_is_calibrating(options)) {
        CLV_TRY(clv_user_costs_open(&db));
    }
    const clv_known_times times = clv_cost_db_known_times(db);
    const clv_session_options exec_options = {
        .profile = options->profile,
        .keep_all = options->keep_tensors,
        .cancel = clv_cancel_flag(),
        .plan = plan != NULL ? plan->plan : NULL,
        .times = &times,
        .num_recorded = options->record,
        .node_us = s->predicted.node_us,
        .watch =
            {
                .factor = options->step_factor < 0    ? 0
                          : options->step_factor == 0 ? CLV_WATCH_FACTOR
                                                      : options->step_factor,
                .timeout_us = options->step_timeout_s > 0 ? options->step_timeout_s * 1e6 : 0,
                .on_stuck = options->on_stuck,
                .context = options->stuck_context,
            },
        .is_dynamic = options->schedule != NULL && strcmp(options->schedule, "dynamic") == 0,
        .debug = debug,
    };
    clv_status *status = clv_session_create(
        s->graph, s->units.units, s->units.num_units, &exec_options, &s->session);
    clv_cost_db_close(db);
    return status;
}

static clv_status *make_session(
    cleave_model *model, const cleave_options *options, cleave_session *s) {
    double start_us = clv_time_us();
    CLV_TRY(check_running(options));
    s->keep_tensors = options->keep_tensors;
    s->profile = options->profile;
    s->schedule = clv_strdup(options->schedule != NULL ? options->schedule : "static");
    if (s->schedule == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    CLV_TRY(clv_model_bind(model, options, CLV_BIND_VALUES, &s->graph));
    CLV_TRY(clv_graph_copy(s->graph, &s->loaded));
    CLV_TRY(clv_passes_run(s->graph, NULL, NULL));
    s->plan_us = clv_time_us() - start_us;
    CLV_TRY(clv_recovery_init(s, options));
    CLV_TRY(clv_recovery_set_up(s, options));
    const clv_graph *graph = s->graph;
    CLV_TRY(make_infos(graph, graph->inputs, graph->num_inputs, &s->inputs));
    return make_infos(graph, graph->outputs, graph->num_outputs, &s->outputs);
}

clv_status *clv_session_set_up(const cleave_options *options, cleave_session *s) {
    CLV_TRY(
        clv_open_units_init(options->devices, options->profile || options->record > 0, &s->units));
    clv_open_units_set_exact(&s->units, options->exact);
    CLV_TRY(keep_words(s));
    cleave_plan *plan;
    CLV_TRY(make_plan(options, s, &plan));
    clv_status *status = plan != NULL ? keep_prediction(plan, &s->predicted) : NULL;
    if (status == NULL) {
        status = make_exec_session(options, plan, s);
        const bool is_limited = s->units.names[0].limits.memory_bytes != CLV_UNLIMITED;
        if (clv_status_code(status) == CLV_NO_MEMORY && plan == NULL && is_limited) {
            /* one request on the one unit: nothing else that a plan could say holds less */
            status = clv_status_suffix(status, "; no other plan was found that fits");
        }
    }
    if (options->record > 0) {
        s->plan = plan;
    } else {
        cleave_plan_destroy(plan);
    }
    return status;
}

void clv_session_tear_down(cleave_session *s) {
    clv_session_destroy(s->session);
    cleave_plan_destroy(s->plan);
    clv_open_units_deinit(&s->units);
    clv_free(s->devices);
    clv_free(s->policy);
    clv_free(s->base);
    clv_free(s->predicted.node_us);
    clv_free(s->predicted.origins);
    s->session = NULL;
    s->plan = NULL;
    s->devices = s->policy = NULL;
    s->base = NULL;
    s->predicted = (clv_prediction){.period_us = 0};
}

cleave_status *cleave_session_create(
    cleave_model *model, const cleave_options *options, cleave_session **out_session) {
    static const cleave_options defaults;
    *out_session = NULL;
    cleave_session *s = clv_alloc_zeroed(1, sizeof *s);
    if (s == NULL) {
        return public_status(CLV_ERROR(NO_MEMORY, "out of host memory for a session"));
    }
    pthread_mutex_init(&s->lock, NULL);
    clv_status *status = make_session(model, options != NULL ? options : &defaults, s);
    clv_completions_init(&s->completions, status == NULL ? clv_session_depth(s->session) : 1);
    if (status != NULL) {
        cleave_session_destroy(s);
        return public_status(status);
    }
    *out_session = s;
    return NULL;
}

void cleave_session_destroy(cleave_session *session) {
    if (session == NULL) {
        return;
    }
    clv_completions_deinit(&session->completions); /* the last calls may begin requests */
    clv_recovery_deinit(session);
    clv_session_tear_down(session);
    clv_graph_destroy(session->loaded); /* borrows from */
    clv_graph_destroy(session->graph);
    clv_free(session->inputs);
    clv_free(session->outputs);
    clv_free(session->schedule);
    pthread_mutex_destroy(&session->lock);
    clv_free(session);
}

size_t cleave_session_num_inputs(const cleave_session *session) {
    return session->graph->num_inputs;
}

size_t cleave_session_num_outputs(const cleave_session *session) {
    return session->graph->num_outputs;
}

const cleave_tensor_info *cleave_session_input(const cleave_session *session, size_t index) {
    return index < session->graph->num_inputs ? &session->inputs[index] : NULL;
}

const cleave_tensor_info *cleave_session_output(const cleave_session *session, size_t index) {
    return index < session->graph->num_outputs ? &session->outputs[index] : NULL;
}

/* --- reporting --- */

/* What a unit did before all was made anew; zeros where it was not. */
static clv_past_unit past_of(const cleave_session *s, const char *name) {
    const clv_recovery *r = &s->recovery;
    for (size_t i = 0; i < r->num_past; i++) {
        if (strcmp(r->past[i].name, name) == 0) {
            return r->past[i];
        }
    }
    return (clv_past_unit){.ops = 0};
}

/* Returns the unit's item, for more. */
static cJSON *add_unit(cJSON *units, const char *name, const clv_past_unit *did) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "name", name);
    cJSON_AddNumberToObject(item, "ops", (double)did->ops);
    cJSON_AddNumberToObject(item, "busy_ms", did->busy_us * 1e-3);
    cJSON_AddNumberToObject(item, "transfer_ms", did->transfer_us * 1e-3);
    cJSON_AddNumberToObject(item, "bytes_in", (double)did->bytes_in);
    cJSON_AddNumberToObject(item, "bytes_out", (double)did->bytes_out);
    cJSON_AddItemToArray(units, item);
    return item;
}

/* Those that run requests, then those that were left out. */
static void add_units(cJSON *report, const cleave_session *s, const clv_session_report *exec) {
    cJSON *units = cJSON_AddArrayToObject(report, "units");
    cJSON *memory = cJSON_AddObjectToObject(report, "memory_bytes");
    for (size_t i = 0; i < exec->num_units; i++) {
        const clv_unit_report *unit = &exec->units[i], *base = &s->base[i];
        clv_past_unit did = past_of(s, unit->name);
        did.ops += unit->ops - base->ops;
        did.busy_us += unit->busy_us - base->busy_us;
        did.transfer_us += unit->transfer_us - base->transfer_us;
        did.bytes_in += unit->bytes_in - base->bytes_in;
        did.bytes_out += unit->bytes_out - base->bytes_out;
        cJSON *item = add_unit(units, unit->name, &did);
        cJSON_AddNumberToObject(item, "weight_bytes", (double)unit->weight_bytes);
        cJSON_AddNumberToObject(item, "arena_bytes", (double)unit->arena_bytes);
        cJSON_AddNumberToObject(item, "live_bytes", (double)unit->arena_lower_bound_bytes);
        cJSON_AddNumberToObject(memory, unit->name, (double)unit->memory_bytes);
    }
    for (size_t i = 0; i < s->recovery.num_past; i++) {
        const clv_past_unit *past = &s->recovery.past[i];
        bool is_there = false;
        for (size_t k = 0; k < exec->num_units; k++) {
            is_there = is_there || strcmp(exec->units[k].name, past->name) == 0;
        }
        if (!is_there) {
            cJSON_AddBoolToObject(add_unit(units, past->name, past), "left_out", true);
        }
    }
}

static void add_op_prediction(
    cJSON *item, const cleave_session *s, const clv_node_report *node_report) {
    if (s->predicted.node_us == NULL) {
        return;
    }
    const double us = s->predicted.node_us[node_report->node];
    cJSON_AddNumberToObject(item, "predicted_us", us);
    cJSON_AddStringToObject(item, "origin", s->predicted.origins[node_report->node]);
    if (node_report->time_us > 0) { /* not of what runs nothing, nor NAN */
        cJSON_AddNumberToObject(item, "error", us / node_report->time_us - 1);
    }
}

static clv_status *add_op(cJSON *ops, const cleave_session *s, const clv_node_report *node_report) {
    const clv_graph *graph = s->graph;
    const clv_node *node = &graph->nodes[node_report->node];
    clv_cost cost;
    CLV_TRY(clv_node_cost(graph, node, &cost));
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "node", node->name);
    cJSON_AddStringToObject(item, "op", node->op_type);
    cJSON_AddStringToObject(item, "unit", node_report->unit);
    if (node_report->variant != NULL) {
        cJSON_AddStringToObject(item, "variant", node_report->variant);
    }
    cJSON_AddStringToObject(item, "reason", node_report->reason);
    cJSON_AddNumberToObject(item, "launches", node_report->launches);
    if (!isnan(node_report->time_us)) {
        cJSON_AddNumberToObject(item, "time_us", node_report->time_us);
    }
    add_op_prediction(item, s, node_report);
    cJSON_AddNumberToObject(item, "flops", cost.flops);
    cJSON_AddNumberToObject(item, "bytes", cost.read_bytes + cost.write_bytes);
    clv_report_add_shape(item, "shape", &graph->tensors[node->outputs[0]].shape, NULL);
    cJSON_AddItemToArray(ops, item);
    return NULL;
}

static clv_status *fill_report(cleave_session *s, cJSON *report) {
    const clv_session_report *exec = clv_session_report_get(s->session);
    cJSON *devices = cJSON_AddArrayToObject(report, "devices");
    for (size_t i = 0; i < s->units.num_units; i++) {
        cJSON_AddItemToArray(devices, cJSON_CreateString(s->units.names[i].text));
    }
    cJSON_AddStringToObject(report, "policy", s->policy);
    cJSON_AddStringToObject(report, "schedule", s->schedule);
    cJSON_AddNumberToObject(report, "depth", exec->depth);
    cJSON_AddNumberToObject(report, "requests", (double)s->num_requests);
    cJSON_AddNumberToObject(report, "wall_ms", s->wall_us * 1e-3);
    cJSON_AddNumberToObject(report, "plan_ms", s->plan_us * 1e-3);
    cJSON_AddNumberToObject(
        report, "session_ms", (s->recovery.past_load_us + exec->load_us) * 1e-3);
    if (!isnan(exec->first_us)) {
        cJSON_AddNumberToObject(report, "first_ms", exec->first_us * 1e-3);
    }
    if (s->predicted.period_us > 0) {
        cJSON_AddNumberToObject(report, "predicted_throughput_per_s", 1e6 / s->predicted.period_us);
        cJSON_AddNumberToObject(report, "predicted_latency_ms", s->predicted.latency_us * 1e-3);
    }
    cJSON_AddNumberToObject(report, "steps", (double)exec->steps);
    cJSON_AddNumberToObject(report, "kernels", (double)exec->kernels);
    cJSON_AddNumberToObject(report, "process_peak_bytes", (double)clv_peak_resident_bytes());
    add_units(report, s, exec);
    if (cJSON_GetArraySize(s->recovery.failures) > 0) {
        cJSON_AddItemToObject(report, "failures", cJSON_Duplicate(s->recovery.failures, true));
    }
    if (s->profile) {
        cJSON *ops = cJSON_AddArrayToObject(report, "ops");
        for (size_t i = 0; i < exec->num_nodes; i++) {
            CLV_TRY(add_op(ops, s, &exec->nodes[i]));
        }
    }
    return NULL;
}

cleave_status *cleave_session_report(cleave_session *session, char **out_json) {
    *out_json = NULL;
    cJSON *report = cJSON_CreateObject();
    pthread_mutex_lock(&session->lock);
    clv_status *status = clv_recovery_settle(session);
    if (status == NULL) {
        status = fill_report(session, report);
    }
    pthread_mutex_unlock(&session->lock);
    if (status != NULL) {
        cJSON_Delete(report);
        return public_status(status);
    }
    return public_status(clv_report_take(report, out_json));
}

void cleave_session_reset(cleave_session *session) {
    pthread_mutex_lock(&session->lock);
    clv_status *lost = clv_recovery_settle(session);
    if (lost == NULL) {
        const clv_session_report *exec = clv_session_report_get(session->session);
        memcpy(session->base, exec->units, exec->num_units * sizeof *session->base);
        session->recovery.num_past = 0;
        clv_session_reset_times(session->session);
        if (session->num_in_flight == 0) { /* a clock that cannot be read fails the timeline */
            clv_status_destroy(clv_session_begin_record(session->session));
        }
    }
    clv_status_destroy(lost);
    session->num_requests = 0;
    session->wall_us = 0;
    session->busy_since_us = clv_time_us();
    pthread_mutex_unlock(&session->lock);
}
