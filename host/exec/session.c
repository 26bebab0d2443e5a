#include "host/exec/session.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/exec/engine.h"
#include "host/ir/layout.h"
#include <math.h>
#include <string.h>

struct clv_session {
    const clv_graph *graph;
    clv_session_options options;
    clv_lowered lowered;
    clv_prepared prepared;
    clv_engine *engine;
    pthread_mutex_t lock; /* of everything below and the engine */
    clv_span *spans;      /* [num_steps][num_lanes] with profiling */
    double *node_us;      /* [num_nodes], sums over profiled requests */
    uint64_t requests, profiled;
    double load_us, first_us;
    clv_unit_report unit_report;
    clv_node_report *node_reports;
    clv_session_report report;
};

/* --- making it ------------------------------------------------------------------------------- */

static clv_status *check_unit(const clv_exec_unit *unit) {
    const clv_unit_limits *limits = &unit->name.limits;
    bool lanes = unit->devices[0]->info.kind == CLV_DEVICE_CORE;
    if (!isinf(limits->link_per_second) || limits->latency_us != 0 ||
        (!lanes && limits->speed != 1)) {
        return CLV_ERROR(
            UNSUPPORTED, "%s: %s cannot be limited yet", unit->name.text,
            !lanes && limits->speed != 1 ? "the speed of a device with queues" : "a link");
    }
    return NULL;
}

static clv_status *create_engine(clv_session *session) {
    const clv_prepared *prepared = &session->prepared;
    return prepared->unit.devices[0]->info.kind == CLV_DEVICE_CORE
               ? clv_inline_engine_create(prepared, &session->engine)
               : clv_queued_engine_create(prepared, &session->engine);
}

static clv_status *make(clv_session *session, const clv_exec_unit *unit) {
    const clv_graph *graph = session->graph;
    const clv_device_info *info = &unit->devices[0]->info;
    const clv_lower_options options = {
        .traits = clv_exec_unit_traits(unit),
        .max_block_bytes = info->max_alloc_bytes,
        .max_groups = info->max_groups,
        .keep_all = session->options.keep_all,
    };
    CLV_TRY(check_unit(unit));
    clv_status *status = clv_lower(graph, &options, &session->lowered);
    if (status == NULL) {
        status = clv_prepare(&session->lowered, unit, &session->prepared);
    }
    if (status != NULL) {
        return status;
    }
    CLV_TRY(create_engine(session));
    if (session->options.profile) {
        size_t count = session->lowered.num_steps * session->prepared.num_lanes;
        session->spans = clv_alloc_zeroed(count + 1, sizeof *session->spans);
    }
    session->node_us = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *session->node_us);
    session->node_reports = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *session->node_reports);
    if (session->node_us == NULL || session->node_reports == NULL ||
        (session->options.profile && session->spans == NULL)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    return NULL;
}

clv_status *clv_session_create(
    const clv_graph *graph, const clv_exec_unit *units, size_t num_units,
    const clv_session_options *options, clv_session **out_session) {
    *out_session = NULL;
    if (num_units != 1) {
        return CLV_ERROR(UNSUPPORTED, "a session runs on one unit yet, %zu were given", num_units);
    }
    double begin_us = clv_time_us();
    clv_session *session = clv_alloc_zeroed(1, sizeof *session);
    if (session == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    session->graph = graph;
    session->options = options != NULL ? *options : (clv_session_options){.profile = false};
    session->first_us = NAN;
    pthread_mutex_init(&session->lock, NULL);
    clv_status *status = make(session, &units[0]);
    if (status != NULL) {
        clv_session_destroy(session);
        return status;
    }
    session->load_us = clv_time_us() - begin_us;
    *out_session = session;
    return NULL;
}

void clv_session_destroy(clv_session *session) {
    if (session == NULL) {
        return;
    }
    if (session->engine != NULL) {
        session->engine->destroy(session->engine);
    }
    clv_prepared_deinit(&session->prepared);
    clv_lowered_deinit(&session->lowered);
    pthread_mutex_destroy(&session->lock);
    clv_free(session->spans);
    clv_free(session->node_us);
    clv_free(session->node_reports);
    clv_free(session);
}

/* --- running it ------------------------------------------------------------------------------ */

static clv_status *check_operand(
    const clv_graph *graph, const char *what, clv_tensor_id id, clv_dtype dtype,
    const clv_shape *shape, const void *data) {
    const clv_tensor *tensor = &graph->tensors[id];
    char got[CLV_SHAPE_TEXT], needed[CLV_SHAPE_TEXT];
    if (dtype != tensor->dtype || !clv_shape_equal(shape, &tensor->shape)) {
        return CLV_ERROR(
            USAGE, "%s '%s' is %s%s, needed is %s%s", what, tensor->name, clv_dtype_name(dtype),
            clv_shape_format(shape, got), clv_dtype_name(tensor->dtype),
            clv_shape_format(&tensor->shape, needed));
    }
    if (data == NULL && clv_view_bytes(dtype, shape) != 0 && tensor->data == NULL) {
        return CLV_ERROR(USAGE, "%s '%s' has no data", what, tensor->name);
    }
    return NULL;
}

static clv_status *check_operands(
    const clv_graph *graph, const clv_view *inputs, size_t num_inputs,
    const clv_mutable_view *outputs, size_t num_outputs) {
    if (num_inputs != graph->num_inputs || num_outputs != graph->num_outputs) {
        return CLV_ERROR(
            USAGE, "%zu inputs and %zu outputs given, needed are %zu and %zu", num_inputs,
            num_outputs, graph->num_inputs, graph->num_outputs);
    }
    for (size_t i = 0; i < num_inputs; i++) {
        const clv_view *view = &inputs[i];
        clv_tensor_id id = graph->inputs[i];
        const void *bound = graph->tensors[id].data;
        CLV_TRY(check_operand(graph, "input", id, view->dtype, &view->shape, view->data));
        if (bound != NULL && view->data != NULL &&
            memcmp(bound, view->data, clv_view_bytes(view->dtype, &view->shape)) != 0) {
            return CLV_ERROR(
                USAGE, "input '%s' was bound to another value when the session was made",
                graph->tensors[id].name);
        }
    }
    for (size_t i = 0; i < num_outputs; i++) {
        const clv_mutable_view *view = &outputs[i];
        CLV_TRY(check_operand(
            graph, "output", graph->outputs[i], view->dtype, &view->shape, view->data));
        if (view->data == NULL && clv_view_bytes(view->dtype, &view->shape) != 0) {
            return CLV_ERROR(
                USAGE, "output '%s' has no memory", graph->tensors[graph->outputs[i]].name);
        }
    }
    return NULL;
}

/* What kernels say of forbidden input values; words are 0 again afterwards. */
static clv_status *check_errors(clv_session *session) {
    const clv_lowered *lowered = &session->lowered;
    size_t bytes = lowered->num_error_words * sizeof(uint32_t);
    if (bytes == 0) {
        return NULL;
    }
    clv_buffer *buffer = clv_prepared_errors(&session->prepared);
    uint32_t *words = clv_alloc_zeroed(1, bytes);
    if (words == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the error words");
    }
    clv_status *status = clv_buffer_move(buffer, 0, bytes, words, false);
    for (size_t i = 0; i < session->graph->num_nodes && status == NULL; i++) {
        uint32_t word = lowered->choices[i].error_word;
        const clv_node *node = &session->graph->nodes[i];
        if (word != UINT32_MAX && words[word] != 0) {
            status = CLV_ERROR(
                MALFORMED, "%s '%s': %s", node->op_type, node->name,
                clv_kernel_error_meaning(words[word]));
        }
    }
    if (status != NULL) {
        memset(words, 0, bytes);
        status = clv_status_join(status, clv_buffer_move(buffer, 0, bytes, words, true));
    }
    clv_free(words);
    return status;
}

static void add_times(clv_session *session) {
    size_t lanes = session->prepared.num_lanes;
    for (size_t i = 0; i < session->lowered.num_steps; i++) {
        const clv_step *step = &session->lowered.steps[i];
        uint64_t begin = UINT64_MAX, end = 0;
        for (size_t j = 0; j < lanes; j++) {
            const clv_span *span = &session->spans[i * lanes + j];
            if (span->end_ns != 0) {
                begin = span->begin_ns < begin ? span->begin_ns : begin;
                end = span->end_ns > end ? span->end_ns : end;
            }
        }
        if (step->kind == CLV_STEP_LAUNCH && end > begin) {
            session->node_us[step->index] += (double)(end - begin) * 1e-3;
        }
    }
    session->profiled++;
}

static clv_status *run_locked(clv_session *session, const clv_request *request) {
    double begin_us = clv_time_us();
    clv_status *status = session->engine->run(session->engine, request);
    if (status != NULL) {
        return clv_status_join(status, check_errors(session)); /* clears them */
    }
    CLV_TRY(check_errors(session));
    const clv_graph *graph = session->graph;
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_mutable_view *view = &request->outputs[i];
        size_t bytes = clv_view_bytes(view->dtype, &view->shape);
        if (session->lowered.output_data[i] != NULL && bytes != 0) {
            memcpy(view->data, session->lowered.output_data[i], bytes);
        }
    }
    if (session->requests++ == 0) {
        session->first_us = clv_time_us() - begin_us;
        clv_prepared_settle(&session->prepared);
    }
    if (request->spans != NULL) {
        add_times(session);
    }
    return NULL;
}

clv_status *clv_session_run(
    clv_session *session, const clv_view *inputs, size_t num_inputs,
    const clv_mutable_view *outputs, size_t num_outputs) {
    CLV_TRY(check_operands(session->graph, inputs, num_inputs, outputs, num_outputs));
    pthread_mutex_lock(&session->lock);
    const clv_request request = {
        .inputs = inputs,
        .outputs = outputs,
        .cancel = session->options.cancel,
        .spans = session->spans,
    };
    clv_status *status = run_locked(session, &request);
    pthread_mutex_unlock(&session->lock);
    return status;
}

/* --- looking at it --------------------------------------------------------------------------- */

bool clv_session_has_tensor(const clv_session *session, clv_tensor_id tensor) {
    return session->graph->tensors[tensor].data != NULL ||
           session->lowered.tensor_storage[tensor] != CLV_NO_STORAGE;
}

/* The bytes of a tensor, plain, however it lies in memory. */
static clv_status *read_storage(
    const clv_session *session, clv_tensor_id tensor, size_t bytes, void *out_plain) {
    const clv_lowered *lowered = &session->lowered;
    const clv_tensor *root = &session->graph->tensors[lowered->tensor_root[tensor]];
    const clv_layout *layout = &lowered->tensor_layout[tensor];
    uint64_t offset;
    clv_buffer *buffer =
        clv_prepared_place(&session->prepared, lowered->tensor_storage[tensor], &offset);
    if (!clv_layout_is_blocked(layout)) {
        return clv_buffer_move(buffer, offset, bytes, out_plain, false);
    }
    size_t blocked_bytes = clv_layout_bytes(root->dtype, &root->shape, layout);
    void *blocked = clv_alloc(blocked_bytes);
    if (blocked == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for tensor '%s'", root->name);
    }
    clv_status *status = clv_buffer_move(buffer, offset, blocked_bytes, blocked, false);
    if (status == NULL) {
        clv_layout_unpack(&root->shape, layout, blocked, out_plain);
    }
    clv_free(blocked);
    return status;
}

clv_status *clv_session_read_tensor(
    clv_session *session, clv_tensor_id tensor, const clv_mutable_view *output) {
    const clv_tensor *t = &session->graph->tensors[tensor];
    CLV_TRY(check_operand(
        session->graph, "tensor", tensor, output->dtype, &output->shape, output->data));
    size_t bytes = clv_view_bytes(t->dtype, &t->shape);
    if (bytes == 0) {
        return NULL; /* drivers refuse to read nothing */
    }
    if (output->data == NULL) {
        return CLV_ERROR(USAGE, "tensor '%s' has no memory to be read to", t->name);
    }
    if (t->data != NULL) {
        memcpy(output->data, t->data, bytes);
        return NULL;
    }
    uint32_t storage = session->lowered.tensor_storage[tensor];
    if (storage == CLV_NO_STORAGE) {
        return CLV_ERROR(UNSUPPORTED, "tensor '%s' has no memory: nobody needs it", t->name);
    }
    pthread_mutex_lock(&session->lock);
    clv_status *status = read_storage(session, tensor, bytes, output->data);
    pthread_mutex_unlock(&session->lock);
    return status;
}

void clv_session_reset_times(clv_session *session) {
    pthread_mutex_lock(&session->lock);
    memset(session->node_us, 0, session->graph->num_nodes * sizeof *session->node_us);
    session->profiled = 0;
    pthread_mutex_unlock(&session->lock);
}

const clv_session_report *clv_session_report_get(clv_session *session) {
    const clv_lowered *lowered = &session->lowered;
    const clv_engine_stats *stats = &session->engine->stats;
    pthread_mutex_lock(&session->lock);
    uint64_t ops = 0;
    for (size_t i = 0; i < session->graph->num_nodes; i++) {
        const clv_choice *choice = &lowered->choices[i];
        ops += choice->num_launches != 0 ? 1 : 0;
        session->node_reports[i] = (clv_node_report){
            .node = (clv_node_id)i,
            .unit = session->prepared.unit.name.text,
            .variant = choice->variant != NULL ? choice->variant->name : NULL,
            .reason = choice->reason,
            .launches = choice->num_launches,
            .time_us = session->profiled != 0 ? session->node_us[i] / (double)session->profiled
                                              : (double)NAN,
        };
    }
    session->unit_report = (clv_unit_report){
        .name = session->prepared.unit.name.text,
        .ops = ops * session->requests,
        .busy_us = stats->busy_us,
        .transfer_us = stats->transfer_us,
        .bytes_in = stats->bytes_in,
        .bytes_out = stats->bytes_out,
        .memory_bytes = clv_lowered_bytes(lowered),
        .arena_bytes = lowered->values.total_bytes,
        .arena_lower_bound_bytes = lowered->values.lower_bound,
        .weight_bytes = lowered->constants.total_bytes,
    };
    session->report = (clv_session_report){
        .units = &session->unit_report,
        .num_units = 1,
        .nodes = session->node_reports,
        .num_nodes = session->graph->num_nodes,
        .requests = session->requests,
        .steps = lowered->num_steps,
        .load_us = session->load_us,
        .first_us = session->first_us,
    };
    pthread_mutex_unlock(&session->lock);
    return &session->report;
}
