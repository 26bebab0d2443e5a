#include "host/exec/session.h"

#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/base/threads.h"
#include "host/exec/record.h"
#include "host/exec/replica.h"
#include <math.h>
#include <string.h>

struct clv_session {
    const clv_graph *graph;
    clv_session_options options;
    clv_exec_unit *units; /* copies; their devices are borrowed */
    uint32_t num_units;
    clv_unit_failure *failures; /* [num_units] */
    clv_constants *constants;   /* of all replicas */
    clv_replica *replicas;
    size_t num_replicas;
    const void **output_data; /* [num_outputs]: known beforehand; else NULL */
    pthread_mutex_t lock;     /* of everything below, and of counts of replicas */
    pthread_cond_t has_room;  /* a replica may have */
    double *node_us;          /* [num_nodes], sums over profiled requests */
    uint64_t requests, profiled;
    double load_us, first_us, first_begin_us; /* NAN: not known yet */
    size_t last_replica;                      /* whose request ended last */
    clv_unit_report *unit_reports;
    clv_node_report *node_reports;
    char **node_units; /* [num_nodes]: names */
    clv_session_report report;
};

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
}

/* --- the end of a request -------------------------------------------------------------------- */

static void copy_known_outputs(const clv_session *session, const clv_mutable_view *outputs) {
    for (size_t i = 0; i < session->graph->num_outputs; i++) {
        const size_t bytes = clv_view_bytes(outputs[i].dtype, &outputs[i].shape);
        if (session->output_data[i] != NULL && bytes != 0) {
            memcpy(outputs[i].data, session->output_data[i], bytes);
        }
    }
}

/* With the lock. */
static clv_status *count_request(
    clv_session *session, clv_replica *replica, uint64_t number, const clv_item_span *spans) {
    session->requests++;
    session->last_replica = (size_t)(replica - session->replicas);
    replica->last_number = number;
    replica->ended++;
    if (isnan(session->first_us)) {
        session->first_us = clv_time_us() - session->first_begin_us;
    }
    if (spans == NULL || !session->options.profile) {
        return NULL;
    }
    session->profiled++;
    return clv_replica_add_times(replica, spans, session->node_us);
}

static clv_status *end_request(
    clv_session *session, clv_replica *replica, uint64_t number, const clv_mutable_view *outputs,
    const clv_item_span *spans, clv_status *status) {
    status = clv_status_join(status, clv_replica_check_errors(replica, number)); /* clears them */
    if (status == NULL) {
        copy_known_outputs(session, outputs);
    }
    pthread_mutex_lock(&session->lock);
    replica->in_flight--;
    if (status == NULL) {
        status = count_request(session, replica, number, spans);
    } else if (isnan(session->first_us)) {
        session->first_begin_us = (double)NAN; /* that one was not it */
    }
    const bool settles = status == NULL && !replica->is_settled;
    replica->is_settled = replica->is_settled || settles;
    pthread_cond_broadcast(&session->has_room);
    pthread_mutex_unlock(&session->lock);
    if (settles) {
        clv_prepared_settle(&replica->prepared);
    }
    return status;
}

static clv_status *finish(
    void *context, uint64_t number, const clv_mutable_view *outputs, const clv_item_span *spans,
    clv_status *status) {
    clv_replica *replica = context;
    return end_request(replica->owner, replica, number, outputs, spans, status);
}

/* --- making it ------------------------------------------------------------------------------- */

/* Threads that compute; those of a driver on this processor count as well. */
static size_t lanes_of(const clv_exec_unit *unit) {
    const clv_device_info *info = &unit->devices[0]->info;
    const bool is_drivers = info->kind != CLV_DEVICE_CORE && info->is_cpu;
    return is_drivers ? info->compute_units : unit->num_devices;
}

/* Lanes of all groups; with more of them than processors, spinning keeps the very lane away that is
 * waited for. */
static bool is_crowded(const clv_session *session, const clv_plan *plan) {
    size_t num_lanes = 0;
    for (uint32_t u = 0; u < session->num_units; u++) {
        bool is_used = false;
        for (uint32_t g = 0; g < plan->num_groups; g++) {
            for (uint32_t i = 0; i < plan->groups[g].num_pieces; i++) {
                is_used = is_used || plan->groups[g].pieces[i].unit == u;
            }
        }
        num_lanes += is_used ? lanes_of(&session->units[u]) : 0;
    }
    return num_lanes > (size_t)clv_num_processors();
}

clv_status *clv_check_depths(const clv_plan *plan) {
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        const uint32_t depth = plan->groups[g].depth;
        if (depth == 0) {
            return CLV_ERROR(MALFORMED, "no request in flight in replica %u of the plan", g);
        }
        if (depth > CLV_MAX_DEPTH) {
            return CLV_ERROR(
                USAGE, "%u requests in flight in replica %u of the plan, at most %d can be", depth,
                g, (int)CLV_MAX_DEPTH);
        }
    }
    return NULL;
}

static clv_status *check_groups(const clv_session *session, const clv_plan *plan) {
    uint32_t *group_of = clv_alloc_zeroed(session->num_units, sizeof *group_of);
    clv_status *status = group_of != NULL ? NULL : no_memory();
    for (uint32_t g = 0; g < plan->num_groups && status == NULL; g++) {
        for (uint32_t i = 0; i < plan->groups[g].num_pieces && status == NULL; i++) {
            const uint32_t unit = plan->groups[g].pieces[i].unit;
            if (unit >= session->num_units) {
                status = CLV_ERROR(
                    MALFORMED, "the plan names unit %u, there are %u", unit, session->num_units);
            } else if (group_of[unit] != 0 && group_of[unit] != g + 1) {
                status = CLV_ERROR(
                    UNSUPPORTED, "%s is in replicas %u and %u of the plan",
                    session->units[unit].name.text, group_of[unit] - 1, g);
            } else {
                group_of[unit] = g + 1;
            }
        }
    }
    clv_free(group_of);
    return status;
}

static clv_status *make_replicas(clv_session *session, const clv_plan *plan) {
    CLV_TRY(clv_check_depths(plan));
    CLV_TRY(check_groups(session, plan));
    session->replicas = clv_alloc_zeroed(plan->num_groups, sizeof *session->replicas);
    if (session->replicas == NULL) {
        return no_memory();
    }
    CLV_TRY(clv_constants_create(&session->constants));
    uint64_t taken_bytes = 0;
    for (uint32_t i = 0; i < plan->num_groups; i++) {
        const clv_replica_options options = {
            .graph = session->graph,
            .group = &plan->groups[i],
            .units = session->units,
            .num_units = session->num_units,
            .depth = plan->groups[i].depth,
            .taken_bytes = taken_bytes,
            .constants = session->constants,
            .keep_all = session->options.keep_all,
            .has_spans = session->options.profile,
            .num_recorded = session->options.num_recorded,
            .is_crowded = is_crowded(session, plan),
            .is_dynamic = session->options.is_dynamic,
            .chunk_us = session->options.chunk_us,
            .debug = session->options.debug,
            .cancel = session->options.cancel,
            .failures = session->failures,
            .watch = session->options.watch,
            .node_us = session->options.node_us,
            .times = session->options.times,
            .finish = finish,
            .owner = session,
        };
        CLV_TRY(clv_replica_init(&session->replicas[i], &options));
        session->num_replicas++;
        taken_bytes += clv_prepared_host_bytes(&session->replicas[i].prepared);
    }
    return NULL;
}

/* Outputs that are known once views are looked through, which lowering does. */
static void find_known_outputs(clv_session *session) {
    const clv_graph *graph = session->graph;
    for (size_t i = 0; i < graph->num_outputs; i++) {
        session->output_data[i] = graph->tensors[graph->outputs[i]].data;
    }
    for (size_t r = 0; r < session->num_replicas; r++) {
        const clv_replica *replica = &session->replicas[r];
        for (uint32_t m = 0; m < replica->pieces.num_memories; m++) {
            const clv_piece_graph *g = &replica->pieces.memories[m];
            for (size_t i = 0; i < g->num_outputs; i++) {
                const void *data = replica->parts[m].output_data[i];
                if (!g->outputs[i].is_move && data != NULL) {
                    session->output_data[g->outputs[i].index] = data;
                }
            }
        }
    }
}

/* Everything whole on the first unit, one request at a time. */
static clv_status *make_single(clv_session *session) {
    const clv_graph *graph = session->graph;
    clv_placement *placements = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *placements);
    clv_piece piece = {.unit = 0};
    clv_group group = {
        .placements = placements,
        .pieces = &piece,
        .num_pieces = 1,
        .num_stages = 1,
        .share = 1,
        .depth = 1,
    };
    const clv_plan plan = {.groups = &group, .num_groups = 1};
    if (placements == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        placements[i] = (clv_placement){.num_pieces = 1, .split = -1};
    }
    clv_status *status = make_replicas(session, &plan);
    clv_free(placements);
    return status;
}

/* Names of the units that run each node. */
static clv_status *name_units(clv_session *session) {
    const size_t num_nodes = session->graph->num_nodes;
    session->node_units = clv_alloc_zeroed(num_nodes + 1, sizeof *session->node_units);
    bool *is_on = clv_alloc_zeroed(num_nodes * session->num_units + 1, sizeof *is_on);
    clv_status *status = session->node_units != NULL && is_on != NULL ? NULL : no_memory();
    for (size_t r = 0; r < session->num_replicas && status == NULL; r++) {
        const clv_pieces *pieces = &session->replicas[r].pieces;
        for (uint32_t m = 0; m < pieces->num_memories; m++) {
            const clv_piece_graph *g = &pieces->memories[m];
            for (size_t i = 0; i < g->graph->num_nodes; i++) {
                const clv_piece_node *node = &g->nodes[i];
                bool *here = &is_on[node->origin * session->num_units];
                here[node->unit] = here[node->unit] || !node->is_join;
                for (uint32_t k = 0; k < node->num_shares; k++) {
                    here[node->shares[k].unit] = true;
                }
            }
        }
    }
    for (size_t i = 0; i < num_nodes && status == NULL; i++) {
        clv_text text;
        clv_text_init(&text);
        for (uint32_t u = 0; u < session->num_units; u++) {
            if (is_on[i * session->num_units + u]) {
                clv_text_add(
                    &text, "%s%s", text.length != 0 ? "," : "", session->units[u].name.text);
            }
        }
        clv_text_add(&text, "%s", text.length != 0 ? "" : session->units[0].name.text);
        status = clv_text_take(&text, &session->node_units[i]);
        clv_text_deinit(&text);
    }
    clv_free(is_on);
    return status;
}

static clv_status *make(clv_session *session, const clv_exec_unit *units) {
    const clv_graph *graph = session->graph;
    session->units = clv_alloc_zeroed(session->num_units, sizeof *session->units);
    session->output_data = clv_alloc_zeroed(graph->num_outputs + 1, sizeof *session->output_data);
    session->node_us = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *session->node_us);
    session->node_reports = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *session->node_reports);
    session->unit_reports = clv_alloc_zeroed(session->num_units, sizeof *session->unit_reports);
    session->failures = clv_alloc_zeroed((size_t)session->num_units + 1, sizeof *session->failures);
    if (session->units == NULL || session->failures == NULL || session->output_data == NULL ||
        session->node_us == NULL || session->node_reports == NULL ||
        session->unit_reports == NULL) {
        return no_memory();
    }
    memcpy(session->units, units, session->num_units * sizeof *units);
    CLV_TRY(
        session->options.plan != NULL ? make_replicas(session, session->options.plan)
                                      : make_single(session));
    find_known_outputs(session);
    CLV_TRY(clv_session_begin_record(session));
    return name_units(session);
}

clv_status *clv_session_create(
    const clv_graph *graph, const clv_exec_unit *units, size_t num_units,
    const clv_session_options *options, clv_session **out_session) {
    *out_session = NULL;
    if (num_units == 0 || (num_units != 1 && (options == NULL || options->plan == NULL))) {
        return CLV_ERROR(
            USAGE, "%zu units are given and no plan that says what runs where", num_units);
    }
    double begin_us = clv_time_us();
    clv_session *session = clv_alloc_zeroed(1, sizeof *session);
    if (session == NULL) {
        return no_memory();
    }
    session->graph = graph;
    session->num_units = (uint32_t)num_units;
    session->options = options != NULL ? *options : (clv_session_options){.profile = false};
    session->first_us = session->first_begin_us = (double)NAN;
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->has_room, NULL);
    clv_status *status = make(session, units);
    session->options.plan = NULL; /* are not needed any more */
    session->options.times = NULL;
    session->options.node_us = NULL;
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
    for (size_t i = 0; i < session->num_replicas; i++) {
        clv_replica_deinit(&session->replicas[i]);
    }
    clv_constants_release(session->constants);
    for (size_t i = 0; session->node_units != NULL && i < session->graph->num_nodes; i++) {
        clv_free(session->node_units[i]);
    }
    pthread_mutex_destroy(&session->lock);
    pthread_cond_destroy(&session->has_room);
    clv_free(session->replicas);
    clv_free(session->units);
    for (uint32_t i = 0; session->failures != NULL && i < session->num_units; i++) {
        clv_status_destroy(atomic_load(&session->failures[i]));
    }
    clv_free(session->failures);
    clv_free(session->output_data);
    clv_free(session->node_us);
    clv_free(session->node_reports);
    clv_free(session->unit_reports);
    clv_free(session->node_units);
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

/* Of the replicas, or of those with room, the one that would be done with a request more first,
 * were all shares kept; with `first` none that takes longer than waiting for that one. With the
 * lock. */
static clv_replica *find_first(
    const clv_session *session, bool needs_room, const clv_replica *first) {
    const double most_us = first != NULL ? first->period_us + first->latency_us : (double)INFINITY;
    clv_replica *best = NULL;
    double least = (double)INFINITY;
    for (size_t i = 0; i < session->num_replicas; i++) {
        clv_replica *replica = &session->replicas[i];
        const double when =
            replica->share > 0 ? ((double)replica->dealt + 1) / replica->share : (double)INFINITY;
        const bool may_be =
            !needs_room || (replica->in_flight < replica->depth && replica->latency_us <= most_us);
        if (may_be && (best == NULL || when < least * (1 - 1e-9))) {
            least = when;
            best = replica;
        }
    }
    return best;
}

/* Whose turn it is, as on the virtual clock; while that one is full another with room, if it ends a
 * request no later than the one whose turn it is, which takes it when it has ended one. NULL: there
 * is none. With the lock. */
static clv_replica *find_replica(const clv_session *session) {
    clv_replica *first = find_first(session, false, NULL);
    return first->in_flight < first->depth ? first : find_first(session, true, first);
}

/* Waits while there is none. */
static clv_replica *deal(clv_session *session) {
    pthread_mutex_lock(&session->lock);
    clv_replica *replica = find_replica(session);
    while (replica == NULL) {
        pthread_cond_wait(&session->has_room, &session->lock);
        replica = find_replica(session);
    }
    replica->dealt++;
    replica->in_flight++;
    if (isnan(session->first_begin_us)) {
        session->first_begin_us = clv_time_us();
    }
    pthread_mutex_unlock(&session->lock);
    return replica;
}

clv_status *clv_session_run(
    clv_session *session, const clv_view *inputs, size_t num_inputs,
    const clv_mutable_view *outputs, size_t num_outputs) {
    CLV_TRY(check_operands(session->graph, inputs, num_inputs, outputs, num_outputs));
    return clv_executor_run(deal(session)->executor, inputs, outputs);
}

clv_status *clv_session_submit(
    clv_session *session, const clv_view *inputs, size_t num_inputs,
    const clv_mutable_view *outputs, size_t num_outputs, clv_done_function done, void *context) {
    CLV_TRY(check_operands(session->graph, inputs, num_inputs, outputs, num_outputs));
    clv_executor_submit(deal(session)->executor, inputs, outputs, done, context);
    return NULL;
}

const clv_status *clv_session_unit_failure(const clv_session *session, size_t unit) {
    return unit < session->num_units ? atomic_load(&session->failures[unit]) : NULL;
}

uint32_t clv_session_depth(const clv_session *session) {
    uint32_t depth = 0;
    for (size_t i = 0; i < session->num_replicas; i++) {
        depth += session->replicas[i].depth;
    }
    return depth;
}

/* --- looking at it --------------------------------------------------------------------------- */

bool clv_session_has_tensor(const clv_session *session, clv_tensor_id tensor) {
    return session->graph->tensors[tensor].data != NULL ||
           clv_replica_has_tensor(&session->replicas[session->last_replica], tensor);
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
    if (!clv_session_has_tensor(session, tensor)) {
        return CLV_ERROR(UNSUPPORTED, "tensor '%s' has no memory: nobody needs it", t->name);
    }
    pthread_mutex_lock(&session->lock);
    clv_status *status =
        clv_replica_read_tensor(&session->replicas[session->last_replica], tensor, output->data);
    pthread_mutex_unlock(&session->lock);
    return status;
}

void clv_session_reset_times(clv_session *session) {
    pthread_mutex_lock(&session->lock);
    memset(session->node_us, 0, session->graph->num_nodes * sizeof *session->node_us);
    session->profiled = 0;
    pthread_mutex_unlock(&session->lock);
}

clv_status *clv_session_begin_record(clv_session *session) {
    for (size_t i = 0; i < session->num_replicas; i++) {
        CLV_TRY(clv_executor_begin_record(session->replicas[i].executor));
    }
    return NULL;
}

clv_status *clv_session_record(clv_session *session, clv_record **out_record) {
    *out_record = NULL;
    if (session->options.num_recorded == 0) {
        return CLV_ERROR(USAGE, "the session was made to record nothing");
    }
    clv_record *record;
    CLV_TRY(
        clv_record_create(session->replicas, session->num_replicas, session->num_units, &record));
    if (record->num_requests == 0) {
        clv_record_destroy(record);
        return CLV_ERROR(USAGE, "no request was recorded that went well");
    }
    *out_record = record;
    return NULL;
}

/* How a node runs: what its pieces have in common, launches of all. */
static void add_pieces_of(clv_session *session, const clv_replica *replica, uint32_t memory) {
    const clv_piece_graph *g = &replica->pieces.memories[memory];
    for (size_t i = 0; i < g->graph->num_nodes; i++) {
        const clv_choice *choice = &replica->parts[memory].choices[i];
        clv_node_report *report = &session->node_reports[g->nodes[i].origin];
        if (!g->nodes[i].is_join) {
            report->variant = choice->variant != NULL ? choice->variant->name : NULL;
            report->reason = choice->reason;
            report->launches += choice->num_launches;
        }
    }
    const clv_lowered *part = &replica->parts[memory];
    for (size_t s = 0; s < part->num_steps; s++) {
        const clv_step *step = &part->steps[s];
        if (step->kind == CLV_STEP_LAUNCH && !step->is_reorder) {
            clv_node_report *report = &session->node_reports[g->nodes[step->index].origin];
            report->num_sums =
                step->num_sums > report->num_sums ? step->num_sums : report->num_sums;
        }
    }
}

static void report_nodes(clv_session *session) {
    const size_t num_nodes = session->graph->num_nodes;
    for (size_t i = 0; i < num_nodes; i++) {
        session->node_reports[i] = (clv_node_report){
            .node = (clv_node_id)i,
            .unit = session->node_units[i],
            .reason = "the result is known before any request",
            .time_us = session->profiled != 0 ? session->node_us[i] / (double)session->profiled
                                              : (double)NAN,
        };
    }
    for (size_t r = 0; r < session->num_replicas; r++) {
        for (uint32_t m = 0; m < session->replicas[r].pieces.num_memories; m++) {
            add_pieces_of(session, &session->replicas[r], m);
        }
    }
}

static bool is_of_unit(const clv_piece_node *node, uint32_t unit) {
    bool is_of = node->unit == unit;
    for (uint32_t k = 0; k < node->num_shares; k++) {
        is_of = is_of || node->shares[k].unit == unit;
    }
    return is_of;
}

/* Operators of a request that launch something on a unit. */
static uint64_t count_ops(const clv_replica *replica, uint32_t unit) {
    uint64_t ops = 0;
    for (uint32_t m = 0; m < replica->pieces.num_memories; m++) {
        const clv_piece_graph *g = &replica->pieces.memories[m];
        for (size_t i = 0; i < g->graph->num_nodes; i++) {
            ops += is_of_unit(&g->nodes[i], unit) && !g->nodes[i].is_join &&
                           replica->parts[m].choices[i].num_launches != 0
                       ? 1
                       : 0;
        }
    }
    return ops;
}

/* Bytes of a request that a unit sends to others, and is sent. */
static void add_moved(const clv_replica *replica, uint32_t unit, clv_unit_report *report) {
    const clv_lowered *all = &replica->joined.all;
    const uint32_t memory = replica->joined.memory_of_unit[unit];
    for (size_t i = 0; i < all->num_steps; i++) {
        const clv_step *step = &all->steps[i];
        if (step->kind != CLV_STEP_MOVE) {
            continue;
        }
        const clv_piece_move *move = &replica->pieces.moves[step->index];
        const uint32_t to = all->storages[step->operands[0].storage].memory;
        const uint32_t from = all->storages[step->operands[1].storage].memory;
        report->bytes_in +=
            unit == move->to_unit && to == memory ? step->bytes * replica->ended : 0;
        report->bytes_out +=
            unit == move->from_unit && from == memory ? step->bytes * replica->ended : 0;
    }
}

static void report_unit(const clv_session *session, uint32_t unit, clv_unit_report *report) {
    *report = (clv_unit_report){.name = session->units[unit].name.text};
    for (size_t r = 0; r < session->num_replicas; r++) {
        const clv_replica *replica = &session->replicas[r];
        const clv_lowered *lowered = &replica->joined.all;
        clv_unit_stats stats = {0};
        clv_executor_stats(replica->executor, unit, &stats);
        report->ops +=
            session->options.is_dynamic ? stats.ops : count_ops(replica, unit) * replica->ended;
        report->busy_us += stats.busy_us;
        report->transfer_us += stats.transfer_us;
        report->waited_us += stats.waited_us;
        report->bytes_in += stats.bytes_in;
        report->bytes_out += stats.bytes_out;
        add_moved(replica, unit, report);
        if (unit < lowered->num_units) {
            const clv_unit_bytes *bytes = &lowered->unit_bytes[unit];
            report->memory_bytes += clv_unit_bytes_sum(bytes);
            report->arena_bytes += bytes->values;
            report->arena_lower_bound_bytes += bytes->values_bound;
            report->weight_bytes += bytes->constants;
        }
    }
}

static bool is_same_kernel(
    const clv_lowered *a, const clv_step *step_a, const clv_lowered *b, const clv_step *step_b) {
    const clv_lowered_program *x = &a->programs[step_a->program];
    const clv_lowered_program *y = &b->programs[step_b->program];
    return step_a->local_size == step_b->local_size && x->source == y->source &&
           strcmp(step_a->entry, step_b->entry) == 0 && strcmp(x->options, y->options) == 0;
}

/* Drivers compile each of them, and some keep few (PoCL 128). */
static size_t count_kernels(const clv_session *session) {
    enum { MOST = 1024 };
    const clv_lowered *seen_in[MOST];
    const clv_step *seen[MOST];
    size_t count = 0;
    for (size_t r = 0; r < session->num_replicas; r++) {
        const clv_lowered *lowered = &session->replicas[r].joined.all;
        for (size_t i = 0; i < lowered->num_steps; i++) {
            const clv_step *step = &lowered->steps[i];
            bool is_new = step->kind == CLV_STEP_LAUNCH;
            for (size_t k = 0; k < count && is_new; k++) {
                is_new = !is_same_kernel(lowered, step, seen_in[k], seen[k]);
            }
            if (is_new && count < MOST) {
                seen_in[count] = lowered;
                seen[count++] = step;
            }
        }
    }
    return count;
}

const clv_session_report *clv_session_report_get(clv_session *session) {
    pthread_mutex_lock(&session->lock);
    report_nodes(session);
    for (uint32_t i = 0; i < session->num_units; i++) {
        report_unit(session, i, &session->unit_reports[i]);
    }
    session->report = (clv_session_report){
        .units = session->unit_reports,
        .num_units = session->num_units,
        .nodes = session->node_reports,
        .num_nodes = session->graph->num_nodes,
        .requests = session->requests,
        .steps = session->replicas[0].joined.all.num_steps,
        .kernels = count_kernels(session),
        .depth = clv_session_depth(session),
        .load_us = session->load_us,
        .first_us = session->first_us,
    };
    pthread_mutex_unlock(&session->lock);
    return &session->report;
}
