/* A launch as steps: one, several where it is long, or one for each of a node's shares. */
#include "host/base/memory.h"
#include "host/exec/lower_internal.h"

/* Items [first, end): one step, or several where one launch may not have that many work-items; of
 * whole groups. */
static clv_status *add_steps(lowering *l, const clv_step *step, uint64_t first, uint64_t end) {
    const uint64_t groups = l->options->max_items / step->local_size;
    const uint64_t most = groups != 0 ? groups * step->local_size : end;
    for (; first < end; first += most) {
        if (!clv_array_reserve(
                (void **)&l->steps, &l->capacity_steps, l->num_steps + 1, sizeof *l->steps)) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for the list of steps");
        }
        clv_step *added = &l->steps[l->num_steps++];
        *added = *step;
        added->first_item = first;
        added->num_items = end - first < most ? end - first : most;
        l->out->choices[l->node].num_launches += l->is_input ? 0 : 1;
    }
    return NULL;
}

/* Where the order is not fixed lanes share what is ready as they come. */
static const clv_piece_node *shares_of(const lowering *l, clv_node_id node) {
    const clv_piece_node *place = l->options->places != NULL ? &l->options->places[node] : NULL;
    return place != NULL && place->shares != NULL && !l->options->any_order ? place : NULL;
}

/* The first of the items of a launch that come at `at` of its CLV_SHARES or later. */
static uint64_t item_at(int64_t at, uint64_t num_items) {
    return ((uint64_t)at * num_items + CLV_SHARES - 1) / CLV_SHARES;
}

clv_status *clv_lower_add_launch(lowering *l, clv_step *step, uint64_t num_items) {
    const clv_piece_node *place = shares_of(l, l->node);
    if (place == NULL) {
        return add_steps(l, step, 0, num_items);
    }
    step->launch = ++l->num_launches;
    for (uint32_t k = 0; k < place->num_shares; k++) {
        const clv_node_share *share = &place->shares[k];
        step->unit = share->unit;
        step->share = k;
        CLV_TRY(
            add_steps(l, step, item_at(share->begin, num_items), item_at(share->end, num_items)));
    }
    return NULL;
}

clv_traits clv_lower_traits(const lowering *l, clv_node_id node) {
    enum { MOST_LANES = 64 };
    clv_traits traits = l->options->traits;
    const clv_piece_node *place = shares_of(l, node);
    int64_t least = CLV_SHARES;
    for (uint32_t k = 0; place != NULL && k < place->num_shares; k++) {
        const int64_t size = place->shares[k].end - place->shares[k].begin;
        least = size < least ? size : least;
    }
    if (place != NULL) {
        const uint32_t lanes = (uint32_t)((CLV_SHARES + least / 2) / least);
        traits.num_lanes *= lanes < MOST_LANES ? lanes : MOST_LANES;
    }
    return traits;
}
