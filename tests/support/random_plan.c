#include "tests/support/random_plan.h"

#include "host/base/memory.h"
#include <string.h>

static int64_t grains_of(const clv_split *split) {
    return (split->extent + split->grain - 1) / split->grain;
}

static uint32_t below(clv_random *random, uint64_t bound) {
    return (uint32_t)clv_random_below(random, bound);
}

/* Pieces of one node over different units: some of `num_units` of them, which begin with one of
 * them. */
static uint32_t cut(
    clv_random *random, const clv_split *split, uint32_t num_units, clv_piece *pieces) {
    const int64_t grains = grains_of(split);
    const uint32_t first_unit = below(random, num_units);
    uint32_t count = 2 + below(random, num_units - 1);
    count = (int64_t)count < grains ? count : (uint32_t)grains;
    int64_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t most = grains - at - (int64_t)(count - i - 1);
        const int64_t size = i + 1 == count ? most : 1 + (int64_t)below(random, (uint64_t)most);
        const int64_t end = (at + size) * split->grain;
        pieces[i] = (clv_piece){
            .unit = (first_unit + i) % num_units,
            .begin = at * split->grain,
            .end = end < split->extent ? end : split->extent,
        };
        at += size;
    }
    return count;
}

/* A split of the node to be cut by, or -1; without inputs, it is its shares. */
static clv_status *draw_split(
    const clv_graph *graph, const clv_node *node, const clv_random_plan_options *options,
    clv_random *random, clv_arena *scratch, clv_split *out_split, int32_t *out_index) {
    clv_call call;
    clv_split_list list = {0};
    *out_index = -1;
    if (options->num_units < 2 || (double)below(random, 1000) >= 1000 * options->split_share) {
        return NULL;
    }
    CLV_TRY(clv_call_from_node(graph, node, scratch, &call));
    CLV_TRY(clv_call_splits(&call, scratch, &list));
    if (options->num_sharers > 1 && call.op->kernels != NULL && below(random, 3) == 0) {
        *out_split = (clv_split){.extent = CLV_SHARES, .grain = 1};
        *out_index = (int32_t)list.num_splits;
        return NULL;
    }
    if (list.num_splits == 0) {
        return NULL;
    }
    const uint32_t index = below(random, list.num_splits);
    const bool is_sum = list.splits[index].join == CLV_JOIN_SUM;
    if (grains_of(&list.splits[index]) >= 2 && (!is_sum || options->allows_sums)) {
        *out_split = list.splits[index];
        *out_index = (int32_t)index;
    }
    return NULL;
}

static clv_status *fill(
    const clv_graph *graph, const clv_random_plan_options *options, clv_group *group) {
    clv_random random;
    clv_random_init(&random, options->seed);
    const uint32_t num_stages = options->num_units;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        clv_placement *p = &group->placements[i];
        clv_split split = {.grain = 1};
        clv_arena scratch;
        clv_arena_init(&scratch, 0);
        clv_status *status =
            draw_split(graph, &graph->nodes[i], options, &random, &scratch, &split, &p->split);
        p->stage = (uint32_t)(i * num_stages / graph->num_nodes);
        p->first_piece = group->num_pieces;
        p->num_pieces = 1;
        p->reason = "drawn";
        group->pieces[p->first_piece] = (clv_piece){
            .unit = options->is_pipeline ? p->stage : below(&random, options->num_units)};
        if (status == NULL && p->split >= 0) {
            clv_piece *pieces = &group->pieces[p->first_piece];
            const bool has_shares = split.inputs == NULL;
            const uint32_t count = has_shares ? options->num_sharers : options->num_units;
            p->num_pieces = cut(&random, &split, count, pieces);
            for (uint32_t k = 0; k < p->num_pieces && has_shares; k++) {
                pieces[k].unit += options->first_sharer;
            }
        }
        group->num_pieces += p->num_pieces;
        clv_arena_deinit(&scratch);
        CLV_TRY(status);
    }
    group->num_stages = num_stages;
    return NULL;
}

clv_status *clv_random_plan(
    const clv_graph *graph, const clv_random_plan_options *options, clv_plan **out_plan) {
    *out_plan = NULL;
    clv_plan *plan = clv_alloc_zeroed(1, sizeof *plan);
    if (plan == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory");
    }
    clv_arena_init(&plan->arena, 0);
    const size_t most = graph->num_nodes * options->num_units + 1;
    clv_group *group = clv_arena_alloc(&plan->arena, 1, sizeof *group);
    clv_status *status = NULL;
    if (group == NULL) {
        status = CLV_NO_ARENA("a plan");
        goto done;
    }
    group->placements =
        clv_arena_alloc(&plan->arena, graph->num_nodes + 1, sizeof *group->placements);
    group->pieces = clv_arena_alloc(&plan->arena, most, sizeof *group->pieces);
    if (group->placements == NULL || group->pieces == NULL) {
        status = CLV_NO_ARENA("a plan");
        goto done;
    }
    group->share = 1;
    group->depth = options->depth;
    plan->policy = "drawn";
    plan->groups = group;
    plan->num_groups = 1;
    plan->depth = options->depth;
    CLV_TRY_DONE(fill(graph, options, group));
    *out_plan = plan;
    return NULL;
done:
    clv_plan_destroy(plan);
    return status;
}
