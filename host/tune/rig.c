#include "host/tune/rig.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/tune/variant_cost.h"
#include "host/workload/from_graph.h"
#include <math.h>

/* The end of a first piece, where plans have it; 0: there is none. */
static int64_t first_end(const clv_split *split, double share) {
    const int64_t grain = split->grain > 0 ? split->grain : 1;
    const double grains = (double)((split->extent + grain - 1) / grain);
    const int64_t end = (int64_t)floor((share > 0 ? share : 0.5) * grains + 0.5) * grain;
    return end < split->extent ? end : 0;
}

/* Two pieces of a node; whole where it cannot be cut so. */
static clv_status *place_node(
    const clv_graph *graph, clv_node_id id, clv_tune_cut cut, clv_tune_rig *rig) {
    const clv_node *node = &graph->nodes[id];
    clv_placement *placement = &rig->placements[id];
    *placement = (clv_placement){.num_pieces = 1, .split = -1};
    if (cut.split == 0 || node->op == NULL || (node->op->flags & CLV_OP_VIEW) != 0) {
        return NULL;
    }
    clv_arena arena;
    clv_call call;
    clv_split_list list = {0};
    clv_arena_init(&arena, 0);
    clv_status *status = clv_call_from_node(graph, node, &arena, &call);
    if (status == NULL) { /* as plans do */
        status = clv_call_useful_splits(&call, &arena, &list);
    }
    const clv_split shares = {.extent = CLV_SHARES, .grain = 1};
    const bool has_shares =
        status == NULL && cut.split == CLV_TUNE_SHARES && clv_call_has_shares(&call);
    if (status == NULL && (has_shares || list.num_splits >= cut.split)) {
        const size_t index = has_shares ? list.num_splits : cut.split - 1;
        const clv_split *split = has_shares ? &shares : &list.splits[index];
        const int64_t end = first_end(split, cut.first_share);
        if (end != 0) {
            clv_piece *pieces = &rig->pieces[rig->group.num_pieces];
            pieces[0] = (clv_piece){.end = end};
            pieces[1] =
                (clv_piece){.unit = rig->options.num_units - 1, .begin = end, .end = split->extent};
            *placement = (clv_placement){
                .first_piece = rig->group.num_pieces, .num_pieces = 2, .split = (int32_t)index};
            rig->group.num_pieces += 2;
        }
    }
    clv_arena_deinit(&arena);
    return status;
}

clv_status *clv_tune_rig_init(
    const clv_graph *graph, const clv_exec_unit *unit, const clv_exec_unit *other,
    const clv_cost_db *db, clv_tune_cut cut, clv_tune_rig *out_rig) {
    *out_rig = (clv_tune_rig){
        .placements = clv_alloc_zeroed(graph->num_nodes + 1, sizeof *out_rig->placements),
        .pieces = clv_alloc_zeroed(graph->num_nodes + 1, 2 * sizeof *out_rig->pieces),
        .units = {*unit, other != NULL ? *other : *unit},
        .times = clv_cost_db_known_times(db),
    };
    if (out_rig->placements == NULL || out_rig->pieces == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for measuring steps");
    }
    for (int i = 0; i < 2; i++) {
        out_rig->units[i].name.limits = (clv_unit_limits){
            .speed = 1, .memory_bytes = UINT64_MAX, .link_per_second = (double)INFINITY};
    }
    const size_t num_devices = unit->num_devices + (other != NULL ? other->num_devices : 0);
    out_rig->group = (clv_group){
        .placements = out_rig->placements,
        .pieces = out_rig->pieces,
        .num_pieces = 1, /* the first is for all that is whole */
        .num_stages = 1,
        .share = 1,
        .depth = 1,
    };
    out_rig->options = (clv_replica_options){
        .graph = graph,
        .group = &out_rig->group,
        .units = out_rig->units,
        .num_units = other != NULL ? 2 : 1,
        .depth = 1,
        .times = &out_rig->times,
        .is_crowded = num_devices > (size_t)clv_num_processors(),
    };
    for (size_t i = 0; i < graph->num_nodes; i++) {
        CLV_TRY(place_node(graph, (clv_node_id)i, cut, out_rig));
    }
    return NULL;
}

void clv_tune_rig_deinit(clv_tune_rig *rig) {
    clv_free(rig->placements);
    clv_free(rig->pieces);
}

bool clv_tune_find_span(
    const clv_replica *replica, size_t step, const clv_item_span *spans, uint64_t *out_begin_ns,
    uint64_t *out_end_ns) {
    const clv_step_program *program = &replica->program;
    const uint32_t actor = program->actor_of_step[step];
    *out_begin_ns = UINT64_MAX;
    *out_end_ns = 0;
    for (uint32_t k = 0; k < program->actors[actor].num_lanes; k++) {
        const clv_item_span *span =
            &spans[clv_executor_span(replica->executor, actor, program->item_of_step[step], k)];
        if (span->end_ns != 0) {
            *out_begin_ns = span->begin_ns < *out_begin_ns ? span->begin_ns : *out_begin_ns;
            *out_end_ns = span->end_ns > *out_end_ns ? span->end_ns : *out_end_ns;
        }
    }
    return *out_end_ns != 0;
}

clv_status *clv_tune_check_values(clv_replica *replica, uint64_t number) {
    clv_status *status = clv_replica_check_errors(replica, number);
    if (clv_status_code(status) == CLV_MALFORMED) {
        clv_status_destroy(status);
        status = NULL;
    }
    return status;
}
