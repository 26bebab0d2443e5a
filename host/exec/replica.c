#include "host/exec/replica.h"

#include "host/base/memory.h"
#include "host/ir/layout.h"
#include <math.h>
#include <string.h>

/* --- making it ------------------------------------------------------------------------------- */

static bool has_queues(const clv_exec_unit *unit) {
    return unit->devices[0]->info.kind != CLV_DEVICE_CORE;
}

static clv_status *check_unit(const clv_exec_unit *unit) {
    const clv_unit_limits *limits = &unit->name.limits;
    if (!isinf(limits->link_per_second) || limits->latency_us != 0 ||
        (has_queues(unit) && limits->speed != 1)) {
        return CLV_ERROR(
            UNSUPPORTED, "%s: %s cannot be limited yet", unit->name.text,
            has_queues(unit) && limits->speed != 1 ? "the speed of a device with queues"
                                                   : "a link");
    }
    return NULL;
}

/* Cores share the host's memory; a device with queues has its own. */
static clv_status *check_units(const clv_replica_options *options, uint32_t *out_home) {
    const clv_group *group = options->group;
    *out_home = group->num_pieces > 0 ? group->pieces[0].unit : 0;
    for (uint32_t i = 0; i < group->num_pieces; i++) {
        const uint32_t unit = group->pieces[i].unit;
        if (unit >= options->num_units) {
            return CLV_ERROR(
                MALFORMED, "the plan names unit %u, there are %u", unit, options->num_units);
        }
        CLV_TRY(check_unit(&options->units[unit]));
        if (unit != *out_home &&
            (has_queues(&options->units[unit]) || has_queues(&options->units[*out_home]))) {
            return CLV_ERROR(
                UNSUPPORTED, "%s and %s cannot work on one request yet: they share no memory",
                options->units[*out_home].name.text, options->units[unit].name.text);
        }
    }
    return NULL;
}

static clv_status *make_pieces(clv_replica *r, const clv_replica_options *options) {
    uint32_t *memory_of_unit = clv_alloc_zeroed(options->num_units, sizeof *memory_of_unit);
    if (memory_of_unit == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    const clv_pieces_request request = {
        .graph = options->graph,
        .group = options->group,
        .memory_of_unit = memory_of_unit,
        .num_memories = 1,
    };
    clv_status *status = clv_pieces_create(&request, &r->pieces);
    clv_free(memory_of_unit);
    return status;
}

static bool has_splits(const clv_replica_options *options) {
    for (size_t i = 0; i < options->graph->num_nodes; i++) {
        if (options->group->placements[i].num_pieces > 1) {
            return true;
        }
    }
    return false;
}

static clv_status *lower(clv_replica *r, const clv_replica_options *options, uint32_t home) {
    const clv_exec_unit *unit = &options->units[home];
    const clv_device_info *info = &unit->devices[0]->info;
    const clv_variant **whole_variants = NULL;
    clv_known_times times = {.find = NULL};
    if (options->times != NULL) {
        times = *options->times;
        times.info = info;
        times.num_devices = unit->num_devices;
    }
    clv_lower_options lower_options = {
        .traits = clv_exec_unit_traits(unit),
        .max_block_bytes = info->max_alloc_bytes,
        .max_items = info->max_items,
        .keep_all = options->keep_all,
        .places = r->pieces.memories[0].nodes,
        .default_unit = home,
        .depth = options->depth,
        .whole_variants = options->wanted,
        .times = options->times != NULL ? &times : NULL,
    };
    if (options->wanted == NULL && has_splits(options)) {
        /* so that pieces compute what the whole would */
        CLV_TRY(clv_lower_choose(
            options->graph, &lower_options.traits, lower_options.times, &whole_variants));
        lower_options.whole_variants = whole_variants;
    }
    clv_status *status = clv_lower(r->pieces.memories[0].graph, &lower_options, &r->lowered);
    clv_free(whole_variants);
    return status;
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
        &r->lowered, units, options->num_units, options->depth, &r->program);
    clv_free(units);
    if (status == NULL) {
        status = clv_step_program_verify(&r->program);
    }
    return status;
}

static clv_status *lower_pieces(clv_replica *r, const clv_replica_options *options) {
    uint32_t home;
    CLV_TRY(check_units(options, &home));
    CLV_TRY(make_pieces(r, options));
    return lower(r, options, home);
}

static clv_status *make(clv_replica *r, const clv_replica_options *options) {
    CLV_TRY(lower_pieces(r, options));
    CLV_TRY(clv_prepare(&r->lowered, options->units, options->num_units, &r->prepared));
    CLV_TRY(make_program(r, options));
    const clv_executor_options executor_options = {
        .prepared = &r->prepared,
        .program = &r->program,
        .inputs = r->pieces.memories[0].inputs,
        .outputs = r->pieces.memories[0].outputs,
        .num_inputs = options->graph->num_inputs,
        .num_outputs = options->graph->num_outputs,
        .cancel = options->cancel,
        .has_spans = options->has_spans,
        .is_crowded = options->is_crowded,
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
        .owner = options->owner,
    };
}

clv_status *clv_replica_lower(clv_replica *replica, const clv_replica_options *options) {
    begin(replica, options);
    clv_status *status = lower_pieces(replica, options);
    if (status != NULL) {
        clv_replica_deinit(replica);
    }
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
    clv_step_program_deinit(&replica->program);
    clv_prepared_deinit(&replica->prepared);
    clv_lowered_deinit(&replica->lowered);
    clv_pieces_deinit(&replica->pieces);
    *replica = (clv_replica){.graph = NULL};
}

/* --- after a request ------------------------------------------------------------------------- */

clv_status *clv_replica_check_errors(const clv_replica *replica, uint64_t request) {
    const clv_lowered *lowered = &replica->lowered;
    const clv_graph *graph = lowered->graph;
    const size_t bytes = lowered->num_error_words * sizeof(uint32_t);
    if (bytes == 0) {
        return NULL;
    }
    uint64_t offset;
    clv_buffer *buffer = clv_prepared_place(&replica->prepared, 0, request, &offset);
    uint32_t *words = clv_alloc_zeroed(1, bytes);
    if (words == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the error words");
    }
    clv_status *status = clv_buffer_move(buffer, offset, bytes, words, false);
    for (size_t i = 0; i < graph->num_nodes && status == NULL; i++) {
        const uint32_t word = lowered->choices[i].error_word;
        const clv_node *node = &replica->graph->nodes[replica->pieces.memories[0].nodes[i].origin];
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

clv_status *clv_replica_add_times(
    const clv_replica *replica, const clv_item_span *spans, double *node_us) {
    const clv_step_program *program = &replica->program;
    const clv_piece_graph *pieces = &replica->pieces.memories[0];
    double *piece_us = clv_alloc_zeroed(pieces->graph->num_nodes + 1, sizeof *piece_us);
    double *slowest_us = clv_alloc_zeroed(replica->graph->num_nodes + 1, sizeof *slowest_us);
    clv_status *status = NULL;
    if (piece_us == NULL || slowest_us == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for times");
        goto done;
    }
    for (size_t i = 0; i < program->lowered->num_steps; i++) {
        const clv_step *step = &program->lowered->steps[i];
        const uint32_t actor = program->actor_of_step[i];
        uint64_t begin = UINT64_MAX, end = 0;
        for (uint32_t k = 0; k < program->actors[actor].num_lanes; k++) {
            const clv_item_span *span =
                &spans[clv_executor_span(replica->executor, actor, program->item_of_step[i], k)];
            if (span->end_ns != 0) {
                begin = span->begin_ns < begin ? span->begin_ns : begin;
                end = span->end_ns > end ? span->end_ns : end;
            }
        }
        if (step->kind == CLV_STEP_LAUNCH && end > begin) {
            piece_us[step->index] += (double)(end - begin) * 1e-3;
        }
    }
    for (size_t i = 0; i < pieces->graph->num_nodes; i++) {
        double *us = &slowest_us[pieces->nodes[i].origin];
        *us = piece_us[i] > *us && !pieces->nodes[i].is_join ? piece_us[i] : *us;
    }
    for (size_t i = 0; i < replica->graph->num_nodes; i++) {
        node_us[i] += slowest_us[i];
    }
done:
    clv_free(piece_us);
    clv_free(slowest_us);
    return status;
}

/* --- reading a tensor ------------------------------------------------------------------------ */

bool clv_replica_has_tensor(const clv_replica *replica, clv_tensor_id tensor) {
    const clv_made *made = &replica->pieces.made[tensor];
    for (uint32_t i = 0; i < made->count; i++) {
        const clv_tensor_id id = replica->pieces.sources[made->first + i].id;
        if (replica->lowered.tensor_storage[id] == CLV_NO_STORAGE) {
            return false;
        }
    }
    return made->count != 0;
}

/* A tensor of the lowered graph, plain, however it lies in memory. */
static clv_status *read_lowered(const clv_replica *r, clv_tensor_id tensor, void *out_plain) {
    const clv_lowered *lowered = &r->lowered;
    const clv_tensor *t = &lowered->graph->tensors[tensor];
    const clv_tensor *root = &lowered->graph->tensors[lowered->tensor_root[tensor]];
    const clv_layout *layout = &lowered->tensor_layout[tensor];
    const size_t bytes = clv_view_bytes(t->dtype, &t->shape);
    const size_t skip = (size_t)lowered->tensor_first[tensor] * clv_dtype_bytes(t->dtype);
    uint64_t offset;
    clv_buffer *buffer =
        clv_prepared_place(&r->prepared, lowered->tensor_storage[tensor], r->last_number, &offset);
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
        return read_lowered(replica, sources[0].id, out_plain);
    }
    const size_t inner = (size_t)clv_shape_product(&t->shape, made->axis + 1, t->shape.rank) *
                         clv_dtype_bytes(t->dtype);
    const size_t row = (size_t)t->shape.dims[made->axis] * inner;
    const size_t outer = (size_t)clv_shape_product(&t->shape, 0, made->axis);
    for (uint32_t i = 0; i < made->count; i++) {
        const size_t run = (size_t)(sources[i].end - sources[i].begin) * inner;
        char *piece = clv_alloc(outer * run + 1);
        clv_status *status = piece != NULL
                                 ? read_lowered(replica, sources[i].id, piece)
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
