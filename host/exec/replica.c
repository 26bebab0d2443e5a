#include "host/exec/replica.h"

#include "host/base/memory.h"
#include "host/exec/fills.h"
#include "host/ir/layout.h"
#include <math.h>
#include <string.h>

/* --- making it ------------------------------------------------------------------------------- */

static bool has_queues(const clv_exec_unit *unit) {
    return unit->devices[0]->info.kind != CLV_DEVICE_CORE;
}

static bool has_link(const clv_exec_unit *unit) {
    return !isinf(unit->name.limits.link_per_second) || unit->name.limits.latency_us != 0;
}

/* Which memory each unit is on, and how that is reached. */
typedef struct places {
    clv_join_unit *units; /* [num_units] */
    uint32_t *memory_of_unit;
    uint32_t *first_unit; /* [num_memories] */
    uint32_t num_memories;
} places;

static clv_status *check_unit(const clv_replica_options *options, uint32_t unit) {
    if (unit >= options->num_units) {
        return CLV_ERROR(
            MALFORMED, "the plan names unit %u, there are %u", unit, options->num_units);
    }
    return NULL;
}

static bool is_apart(const clv_exec_unit *unit) {
    return has_queues(unit) || has_link(unit);
}

static void add_place(places *p, const clv_replica_options *options, uint32_t unit) {
    const clv_exec_unit *u = &options->units[unit];
    clv_join_unit *place = &p->units[unit];
    place->has_queues = has_queues(u);
    place->has_link = has_link(u);
    for (uint32_t m = 0; m < p->num_memories && !is_apart(u); m++) {
        if (!is_apart(&options->units[p->first_unit[m]])) {
            place->memory = m;
        }
    }
    if (place->memory == CLV_NO_INDEX) {
        place->memory = p->num_memories;
        p->first_unit[p->num_memories++] = unit;
    }
    p->memory_of_unit[unit] = place->memory;
}

/* The memory that is the host's, where somebody works on it; else one more than there are. */
static uint32_t host_memory(const places *p, const clv_replica_options *options) {
    uint32_t m = 0;
    while (m < p->num_memories && is_apart(&options->units[p->first_unit[m]])) {
        m++;
    }
    return m;
}

static clv_status *find_places(places *p, const clv_replica_options *options) {
    const clv_group *group = options->group;
    const size_t count = (size_t)options->num_units + 1;
    p->units = clv_alloc_zeroed(count, sizeof *p->units);
    p->memory_of_unit = clv_alloc_zeroed(count, sizeof *p->memory_of_unit);
    p->first_unit = clv_alloc_zeroed(count, sizeof *p->first_unit);
    if (p->units == NULL || p->memory_of_unit == NULL || p->first_unit == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    for (uint32_t i = 0; i < options->num_units; i++) {
        p->units[i].memory = CLV_NO_INDEX;
    }
    for (uint32_t i = 0; i < group->num_pieces; i++) {
        CLV_TRY(check_unit(options, group->pieces[i].unit));
        if (p->units[group->pieces[i].unit].memory == CLV_NO_INDEX) {
            add_place(p, options, group->pieces[i].unit);
        }
    }
    if (p->num_memories == 0) {
        add_place(p, options, 0);
    }
    return NULL;
}

static void drop_places(places *p) {
    clv_free(p->units);
    clv_free(p->memory_of_unit);
    clv_free(p->first_unit);
}

static bool has_splits(const clv_replica_options *options) {
    for (size_t i = 0; i < options->graph->num_nodes; i++) {
        if (options->group->placements[i].num_pieces > 1) {
            return true;
        }
    }
    return false;
}

/* How each move is made. */
static clv_channel *make_channels(const clv_replica *r, const places *p) {
    clv_channel *channels = clv_alloc_zeroed(r->pieces.num_moves + 1, sizeof *channels);
    for (size_t i = 0; i < r->pieces.num_moves && channels != NULL; i++) {
        channels[i] = clv_channel_of(&r->pieces.moves[i], p->units);
    }
    return channels;
}

/* What lowering has to know of the ports of a memory's graph. */
static clv_lower_port *make_ports(
    const clv_replica *r, const clv_channel *channels, const clv_port *ports, size_t count,
    bool are_inputs) {
    clv_lower_port *out = clv_alloc_zeroed(count + 1, sizeof *out);
    for (size_t i = 0; i < count && out != NULL; i++) {
        const clv_piece_move *move = ports[i].is_move ? &r->pieces.moves[ports[i].index] : NULL;
        if (move != NULL) {
            out[i] = (clv_lower_port){
                .is_move = true,
                .is_early = !are_inputs && channels[ports[i].index].is_staged,
                .sequence = move->sequence,
                .unit = are_inputs ? move->to_unit : move->from_unit,
                .stage = are_inputs ? move->from_stage : move->to_stage,
            };
        }
    }
    return out;
}

static clv_status *lower_memory(
    clv_replica *r, const clv_replica_options *options, const places *p,
    const clv_channel *channels, uint32_t memory) {
    const clv_exec_unit *unit = &options->units[p->first_unit[memory]];
    const clv_device_info *info = &unit->devices[0]->info;
    const clv_piece_graph *g = &r->pieces.memories[memory];
    clv_way *whole_ways = NULL;
    clv_known_times times = {.find = NULL};
    if (options->times != NULL) {
        times = *options->times;
        times.info = info;
        times.num_devices = unit->num_devices;
    }
    clv_lower_port *inputs = make_ports(r, channels, g->inputs, g->num_inputs, true);
    clv_lower_port *outputs = make_ports(r, channels, g->outputs, g->num_outputs, false);
    clv_lower_options lower_options = {
        .traits = clv_exec_unit_traits(unit),
        .max_block_bytes = info->max_alloc_bytes,
        .max_items = info->max_items,
        .keep_all = options->keep_all,
        .places = g->nodes,
        .inputs = inputs,
        .outputs = outputs,
        .default_unit = p->first_unit[memory],
        .depth = options->depth,
        .any_order = options->is_dynamic,
        .is_serial = options->group->is_serial,
        .callers_overlap = has_queues(unit),
        .whole_ways = options->wanted,
        .times = options->times != NULL ? &times : NULL,
    };
    clv_status *status = inputs != NULL && outputs != NULL
                             ? NULL
                             : CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    if (status == NULL && options->wanted == NULL && (p->num_memories > 1 || has_splits(options))) {
        /* so that pieces of operators and of the graph compute what the whole would */
        status = clv_lower_choose(
            options->graph, &lower_options.traits, lower_options.times, &whole_ways);
        lower_options.whole_ways = whole_ways;
    }
    if (status == NULL) {
        status = clv_lower(g->graph, &lower_options, &r->parts[memory]);
    }
    clv_free(whole_ways);
    clv_free(inputs);
    clv_free(outputs);
    return status;
}

static clv_status *place_constants(
    clv_replica *r, const clv_replica_options *options, const places *p) {
    uint64_t *max_block_bytes = clv_alloc_zeroed(p->num_memories, sizeof *max_block_bytes);
    if (max_block_bytes == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    for (uint32_t m = 0; m < p->num_memories; m++) {
        max_block_bytes[m] = options->units[p->first_unit[m]].devices[0]->info.max_alloc_bytes;
    }
    const clv_constants_request request = {
        .joined = &r->joined,
        .pieces = &r->pieces,
        .max_block_bytes = max_block_bytes,
        .host_memory = host_memory(p, options),
    };
    clv_status *status = clv_constants_place(r->constants, &request);
    clv_free(max_block_bytes);
    return status;
}

static clv_status *lower(clv_replica *r, const clv_replica_options *options, const places *p) {
    clv_channel *channels = make_channels(r, p);
    r->parts = clv_alloc_zeroed(p->num_memories, sizeof *r->parts);
    clv_status *status = channels != NULL && r->parts != NULL
                             ? NULL
                             : CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    for (uint32_t m = 0; m < p->num_memories && status == NULL; m++) {
        status = lower_memory(r, options, p, channels, m);
    }
    if (status == NULL) {
        const clv_join_request request = {
            .pieces = &r->pieces,
            .parts = r->parts,
            .channels = channels,
            .units = p->units,
            .num_units = options->num_units,
            .depth = options->depth,
            .any_order = options->is_dynamic,
        };
        status = clv_lower_join(&request, &r->joined);
    }
    if (status == NULL && options->debug.fills_dead) {
        status = clv_joined_add_fills(&r->joined, p->units, options->keep_all);
    }
    clv_free(channels);
    return status == NULL ? place_constants(r, options, p) : status;
}

static clv_status *make_program(clv_replica *r, const clv_replica_options *options) {
    clv_program_unit *units = clv_alloc_zeroed(options->num_units, sizeof *units);
    if (units == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    for (uint32_t i = 0; i < options->num_units; i++) {
        const uint32_t *first = r->prepared.first_device;
        units[i].num_lanes = first[i + 1] - first[i];
        units[i].has_queues = units[i].num_lanes != 0 && has_queues(&options->units[i]);
    }
    clv_status *status = clv_step_program_create(
        &r->joined.all, units, options->num_units, options->depth, &r->program);
    clv_free(units);
    if (status == NULL) {
        status = clv_step_program_verify(&r->program);
    }
    return status;
}

/* --- in no fixed order ------------------------------------------------------------------------ */

static bool is_pinned(const clv_group *group, clv_node_id node) {
    const char *reason = group->placements[node].reason;
    return reason != NULL && strncmp(reason, CLV_PINNED_REASON, strlen(CLV_PINNED_REASON)) == 0;
}

/* About what a launch takes, from what its operator computes and moves: 16 Gflop/s and 8 GB/s, as a
 * core has them. It decides what comes first and what is cut, and nothing else. */
static clv_status *guess_node_us(const clv_lowered *part, clv_node_id node, double *out_us) {
    const uint32_t num_launches = part->choices[node].num_launches;
    clv_cost cost;
    *out_us = 0;
    CLV_TRY(clv_node_cost(part->graph, &part->graph->nodes[node], &cost));
    *out_us = (cost.flops / 16e3 + (cost.read_bytes + cost.write_bytes) / 8e3) /
              (num_launches != 0 ? num_launches : 1);
    return NULL;
}

typedef struct guesses {
    double *step_us;
    bool *is_bound, *is_op;
} guesses;

static clv_status *guess(
    const clv_replica *r, const clv_replica_options *options, const guesses *g) {
    const clv_lowered *all = &r->joined.all;
    uint32_t last_node = CLV_NO_INDEX, last_memory = CLV_NO_INDEX;
    for (size_t i = 0; i < all->num_steps; i++) {
        const clv_step *step = &all->steps[i];
        g->step_us[i] = (double)step->bytes / 8e3;
        if (step->kind != CLV_STEP_LAUNCH) {
            continue;
        }
        const clv_lowered *part = &r->parts[step->memory];
        const clv_piece_node *node = &r->pieces.memories[step->memory].nodes[step->index];
        CLV_TRY(guess_node_us(part, step->index, &g->step_us[i]));
        g->is_bound[i] = is_pinned(options->group, node->origin);
        g->is_op[i] = !node->is_join && (step->index != last_node || step->memory != last_memory);
        last_node = step->index;
        last_memory = step->memory;
    }
    return NULL;
}

static clv_status *make_tasks(clv_replica *r, const clv_replica_options *options) {
    const size_t count = r->joined.all.num_steps + 1;
    const guesses g = {
        .step_us = clv_alloc_zeroed(count, sizeof *g.step_us),
        .is_bound = clv_alloc_zeroed(count, sizeof *g.is_bound),
        .is_op = clv_alloc_zeroed(count, sizeof *g.is_op),
    };
    clv_status *status = g.step_us != NULL && g.is_bound != NULL && g.is_op != NULL
                             ? guess(r, options, &g)
                             : CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    if (status == NULL) {
        const clv_step_tasks_request request = {
            .lowered = &r->joined.all,
            .crews = &r->crews,
            .step_us = g.step_us,
            .is_bound = g.is_bound,
            .is_op = g.is_op,
            .chunk_us = options->chunk_us,
            .depth = options->depth,
            .is_serial = options->group->is_serial,
        };
        status = clv_step_tasks_create(&request, &r->tasks);
    }
    clv_free(g.step_us);
    clv_free(g.is_bound);
    clv_free(g.is_op);
    r->program = (clv_step_program){.lowered = &r->joined.all, .depth = options->depth};
    return status != NULL ? status : clv_step_tasks_verify(&r->tasks);
}

static clv_status *lower_pieces(clv_replica *r, const clv_replica_options *options) {
    places p = {.num_memories = 0};
    if (options->constants == NULL) {
        CLV_TRY(clv_constants_create(&r->constants));
    } else {
        r->constants = options->constants;
        clv_constants_retain(r->constants);
    }
    clv_status *status = find_places(&p, options);
    if (status == NULL) {
        const clv_pieces_request request = {
            .graph = options->graph,
            .group = options->group,
            .memory_of_unit = p.memory_of_unit,
            .num_memories = p.num_memories,
            .home = host_memory(&p, options),
        };
        status = clv_pieces_create(&request, &r->pieces);
    }
    if (status == NULL) {
        status = lower(r, options, &p);
    }
    drop_places(&p);
    return status;
}

/* As many as are asked for, or fit in some memory. */
static uint32_t num_recorded_of(const clv_replica *r, const clv_replica_options *options) {
    const uint64_t most_bytes = 64 << 20;
    uint64_t bytes = sizeof(clv_item_span);
    for (uint32_t a = 0; a < r->program.num_actors; a++) {
        const clv_actor *actor = &r->program.actors[a];
        bytes += sizeof(clv_item_span) * (uint64_t)actor->num_items * actor->num_lanes;
    }
    for (size_t i = 0; options->is_dynamic && i < r->joined.all.num_steps; i++) {
        const uint32_t crew = r->crews.crew_of_unit[r->joined.all.steps[i].unit];
        bytes += sizeof(clv_item_span) * (uint64_t)clv_crew_size(&r->crews, crew);
    }
    const uint64_t most = most_bytes / bytes + 1;
    return options->num_recorded < most ? options->num_recorded : (uint32_t)most;
}

/* What the watchdog expects of steps: all of its operator for each launch, and what a declared link
 * takes. */
static clv_status *expect_times(clv_replica *r, const clv_replica_options *options) {
    const clv_lowered *all = &r->joined.all;
    r->step_us = clv_alloc_zeroed(all->num_steps + 1, sizeof *r->step_us);
    if (r->step_us == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    for (size_t i = 0; i < all->num_steps; i++) {
        const clv_step *step = &all->steps[i];
        if (step->has_link) {
            const clv_unit_limits *limits = &options->units[step->link_unit].name.limits;
            r->step_us[i] =
                limits->latency_us + (double)step->bytes / limits->link_per_second * 1e6;
        } else if (step->kind == CLV_STEP_LAUNCH && options->node_us != NULL) {
            const clv_piece_node *node = &r->pieces.memories[step->memory].nodes[step->index];
            r->step_us[i] = options->node_us[node->origin];
        }
    }
    return NULL;
}

static clv_status *make(clv_replica *r, const clv_replica_options *options) {
    CLV_TRY(lower_pieces(r, options));
    r->words_queues = clv_alloc_zeroed(r->pieces.num_memories + 1, sizeof *r->words_queues);
    if (r->words_queues == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    if (options->is_dynamic) {
        CLV_TRY(clv_crews_create(&r->joined, options->units, options->num_units, &r->crews));
        CLV_TRY(make_tasks(r, options));
    }
    const clv_prepare_request prepare_request = {
        .joined = &r->joined,
        .constants = r->constants,
        .units = options->units,
        .num_units = options->num_units,
        .crews = options->is_dynamic ? &r->crews : NULL,
        .taken_bytes = options->taken_bytes,
    };
    CLV_TRY(clv_prepare(&prepare_request, &r->prepared));
    if (!options->is_dynamic) {
        CLV_TRY(make_program(r, options));
    }
    CLV_TRY(expect_times(r, options));
    const clv_executor_options executor_options = {
        .prepared = &r->prepared,
        .program = &r->program,
        .tasks = options->is_dynamic ? &r->tasks : NULL,
        .num_inputs = options->graph->num_inputs,
        .num_outputs = options->graph->num_outputs,
        .cancel = options->cancel,
        .failures = options->failures,
        .watch = options->watch,
        .step_us = r->step_us,
        .has_spans = options->has_spans,
        .num_recorded = num_recorded_of(r, options),
        .is_crowded = options->is_crowded,
        .debug = options->debug,
        .finish = options->finish,
        .context = r,
    };
    return clv_executor_create(&executor_options, &r->executor);
}

static void begin(clv_replica *replica, const clv_replica_options *options) {
    *replica = (clv_replica){
        .graph = options->graph,
        .depth = options->depth,
        .share = options->group->share,
        .period_us = options->group->period_us,
        .latency_us = options->group->latency_us,
        .owner = options->owner,
        .failures = options->failures,
    };
    pthread_mutex_init(&replica->words_lock, NULL);
}

clv_status *clv_replica_lower(clv_replica *replica, const clv_replica_options *options) {
    begin(replica, options);
    clv_status *status = lower_pieces(replica, options);
    if (status != NULL) {
        clv_replica_deinit(replica);
    }
    return status;
}

clv_status *clv_replicas_needs(
    const clv_replica_options *options, const clv_group *groups, uint32_t num_groups,
    uint64_t *out_bytes) {
    clv_replica *replicas = clv_alloc_zeroed(num_groups, sizeof *replicas);
    clv_replica_options own = *options;
    clv_status *status = replicas != NULL ? clv_constants_create(&own.constants)
                                          : CLV_ERROR(NO_MEMORY, "out of host memory for replicas");
    uint32_t count = 0;
    memset(out_bytes, 0, options->num_units * sizeof *out_bytes);
    CLV_TRY_DONE(status);
    while (count < num_groups) {
        const clv_lowered *all = &replicas[count].joined.all;
        own.group = &groups[count];
        own.depth = groups[count].depth;
        CLV_TRY_DONE(clv_replica_lower(&replicas[count], &own));
        count++;
        for (uint32_t i = 0; i < all->num_units; i++) {
            out_bytes[i] += clv_unit_bytes_sum(&all->unit_bytes[i]);
        }
    }
done:
    while (count > 0) {
        clv_replica_deinit(&replicas[--count]);
    }
    clv_constants_release(own.constants);
    clv_free(replicas);
    return status;
}

clv_status *clv_replica_init(clv_replica *replica, const clv_replica_options *options) {
    begin(replica, options);
    clv_status *status = make(replica, options);
    if (status != NULL) {
        clv_replica_deinit(replica);
    }
    return status;
}

void clv_replica_deinit(clv_replica *replica) {
    clv_executor_destroy(replica->executor);
    for (uint32_t m = 0; replica->words_queues != NULL && m < replica->pieces.num_memories; m++) {
        clv_queue *queue = replica->words_queues[m];
        if (queue != NULL) {
            queue->device->vtable->queue_destroy(queue);
        }
    }
    clv_free(replica->words_queues);
    pthread_mutex_destroy(&replica->words_lock);
    clv_step_program_deinit(&replica->program);
    clv_step_tasks_deinit(&replica->tasks);
    clv_prepared_deinit(&replica->prepared);
    clv_constants_release(replica->constants);
    clv_crews_deinit(&replica->crews);
    clv_joined_deinit(&replica->joined);
    for (uint32_t m = 0; replica->parts != NULL && m < replica->pieces.num_memories; m++) {
        clv_lowered_deinit(&replica->parts[m]);
    }
    clv_free(replica->parts);
    clv_free(replica->step_us);
    clv_pieces_deinit(&replica->pieces);
    *replica = (clv_replica){.graph = NULL};
}

/* --- after a request ------------------------------------------------------------------------- */

static clv_status *check_memory_errors(clv_replica *replica, uint32_t memory, uint64_t request) {
    const clv_lowered *lowered = &replica->parts[memory];
    const clv_graph *graph = lowered->graph;
    const size_t bytes = lowered->num_error_words * sizeof(uint32_t);
    if (bytes == 0) {
        return NULL;
    }
    uint64_t offset;
    clv_buffer *buffer = clv_prepared_place(
        &replica->prepared, replica->joined.first_storage[memory], request, &offset);
    uint32_t *words = clv_alloc_zeroed(1, bytes);
    if (words == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the error words");
    }
    pthread_mutex_lock(&replica->words_lock);
    clv_status *status =
        clv_buffer_read_by(buffer, offset, bytes, words, &replica->words_queues[memory]);
    pthread_mutex_unlock(&replica->words_lock);
    for (size_t i = 0; i < graph->num_nodes && status == NULL; i++) {
        const uint32_t word = lowered->choices[i].error_word;
        const clv_node_id origin = replica->pieces.memories[memory].nodes[i].origin;
        const clv_node *node = &replica->graph->nodes[origin];
        if (word != UINT32_MAX && words[word] != 0) {
            status = CLV_ERROR(
                MALFORMED, "%s '%s': %s", node->op_type, node->name,
                clv_kernel_error_meaning(words[word]));
        }
    }
    if (status != NULL) {
        memset(words, 0, bytes);
        status = clv_status_join(status, clv_buffer_move(buffer, offset, bytes, words, true));
    }
    clv_free(words);
    return status;
}

/* Memory that takes calls of a driver is a device's own. */
static void blame_unit(const clv_replica *replica, uint32_t memory, const clv_status *status) {
    for (uint32_t u = 0; replica->failures != NULL && u < replica->prepared.num_units; u++) {
        if (replica->joined.memory_of_unit[u] == memory) {
            clv_unit_blame(&replica->failures[u], status);
            return;
        }
    }
}

clv_status *clv_replica_check_errors(clv_replica *replica, uint64_t request) {
    clv_status *status = NULL;
    for (uint32_t m = 0; m < replica->pieces.num_memories; m++) {
        clv_status *failure = check_memory_errors(replica, m, request);
        if (clv_status_code(failure) == CLV_DEVICE_FAILED) {
            blame_unit(replica, m, failure);
        }
        status = clv_status_join(status, failure);
    }
    return status;
}

/* Adds the time of every step to its node's, of one memory. */
static void add_piece_times(
    const clv_replica *replica, const clv_item_span *spans, uint32_t memory, double *piece_us) {
    const clv_step_program *program = &replica->program;
    for (size_t i = 0; i < program->lowered->num_steps; i++) {
        const clv_step *step = &program->lowered->steps[i];
        uint64_t begin = UINT64_MAX, end = 0;
        uint32_t count;
        const size_t first = clv_executor_step_spans(replica->executor, (uint32_t)i, &count);
        for (uint32_t k = 0; k < count; k++) {
            const clv_item_span *span = &spans[first + k];
            const bool is_slowed = span->through_ns != 0;
            const uint64_t from_ns = is_slowed ? span->link_ns : span->begin_ns;
            const uint64_t to_ns = is_slowed ? span->through_ns : span->end_ns;
            if (span->end_ns != 0) {
                begin = from_ns < begin ? from_ns : begin;
                end = to_ns > end ? to_ns : end;
            }
        }
        if (step->kind == CLV_STEP_LAUNCH && step->memory == memory && end > begin) {
            piece_us[step->index] += (double)(end - begin) * 1e-3;
        }
    }
}

clv_status *clv_replica_add_times(
    const clv_replica *replica, const clv_item_span *spans, double *node_us) {
    double *slowest_us = clv_alloc_zeroed(replica->graph->num_nodes + 1, sizeof *slowest_us);
    clv_status *status = slowest_us != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory");
    for (uint32_t m = 0; m < replica->pieces.num_memories && status == NULL; m++) {
        const clv_piece_graph *pieces = &replica->pieces.memories[m];
        double *piece_us = clv_alloc_zeroed(pieces->graph->num_nodes + 1, sizeof *piece_us);
        if (piece_us == NULL) {
            status = CLV_ERROR(NO_MEMORY, "out of host memory for times");
            break;
        }
        add_piece_times(replica, spans, m, piece_us);
        for (size_t i = 0; i < pieces->graph->num_nodes; i++) {
            double *us = &slowest_us[pieces->nodes[i].origin];
            *us = piece_us[i] > *us && !pieces->nodes[i].is_join ? piece_us[i] : *us;
        }
        clv_free(piece_us);
    }
    for (size_t i = 0; i < replica->graph->num_nodes && status == NULL; i++) {
        node_us[i] += slowest_us[i];
    }
    clv_free(slowest_us);
    return status;
}

/* --- reading a tensor ------------------------------------------------------------------------ */

bool clv_replica_has_tensor(const clv_replica *replica, clv_tensor_id tensor) {
    const clv_made *made = &replica->pieces.made[tensor];
    for (uint32_t i = 0; i < made->count; i++) {
        const clv_source *source = &replica->pieces.sources[made->first + i];
        if (replica->parts[source->memory].tensor_storage[source->id] == CLV_NO_STORAGE) {
            return false;
        }
    }
    return made->count != 0;
}

/* A tensor of the lowered graph, plain, however it lies in memory. */
static clv_status *read_lowered(const clv_replica *r, const clv_source *source, void *out_plain) {
    const clv_lowered *lowered = &r->parts[source->memory];
    const clv_tensor_id tensor = source->id;
    const uint32_t storage =
        r->joined.first_storage[source->memory] + lowered->tensor_storage[tensor];
    const clv_tensor *t = &lowered->graph->tensors[tensor];
    const clv_tensor *root = &lowered->graph->tensors[lowered->tensor_root[tensor]];
    const clv_layout *layout = &lowered->tensor_layout[tensor];
    const size_t bytes = clv_view_bytes(t->dtype, &t->shape);
    const size_t skip = (size_t)lowered->tensor_first[tensor] * clv_dtype_bytes(t->dtype);
    uint64_t offset;
    clv_buffer *buffer = clv_prepared_place(&r->prepared, storage, r->last_number, &offset);
    if (!clv_layout_is_blocked(layout)) {
        return clv_buffer_move(buffer, offset + skip, bytes, out_plain, false);
    }
    const size_t blocked_bytes = clv_layout_bytes(root->dtype, &root->shape, layout);
    void *blocked = clv_alloc(blocked_bytes);
    char *plain = clv_alloc(clv_view_bytes(root->dtype, &root->shape) + 1);
    clv_status *status = blocked != NULL && plain != NULL
                             ? clv_buffer_move(buffer, offset, blocked_bytes, blocked, false)
                             : CLV_ERROR(NO_MEMORY, "out of host memory for '%s'", root->name);
    if (status == NULL) {
        clv_layout_unpack(&root->shape, layout, blocked, plain);
        memcpy(out_plain, plain + skip, bytes);
    }
    clv_free(plain);
    clv_free(blocked);
    return status;
}

clv_status *clv_replica_read_tensor(
    const clv_replica *replica, clv_tensor_id tensor, void *out_plain) {
    const clv_tensor *t = &replica->graph->tensors[tensor];
    const clv_made *made = &replica->pieces.made[tensor];
    const clv_source *sources = &replica->pieces.sources[made->first];
    if (made->count == 1) {
        return read_lowered(replica, &sources[0], out_plain);
    }
    const size_t inner = (size_t)clv_shape_product(&t->shape, made->axis + 1, t->shape.rank) *
                         clv_dtype_bytes(t->dtype);
    const size_t row = (size_t)t->shape.dims[made->axis] * inner;
    const size_t outer = (size_t)clv_shape_product(&t->shape, 0, made->axis);
    for (uint32_t i = 0; i < made->count; i++) {
        const size_t run = (size_t)(sources[i].end - sources[i].begin) * inner;
        char *piece = clv_alloc(outer * run + 1);
        clv_status *status = piece != NULL
                                 ? read_lowered(replica, &sources[i], piece)
                                 : CLV_ERROR(NO_MEMORY, "out of host memory for '%s'", t->name);
        for (size_t k = 0; k < outer && status == NULL; k++) {
            char *to = (char *)out_plain + k * row + (size_t)sources[i].begin * inner;
            memcpy(to, piece + k * run, run);
        }
        clv_free(piece);
        CLV_TRY(status);
    }
    return NULL;
}
