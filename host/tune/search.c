#include "host/tune/search.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/tune/step_key.h"
#include "host/tune/variant_cost.h"
#include <string.h>

typedef struct searcher {
    const clv_search_request *request;
    const clv_graph *graph;
    clv_hash unit;
    clv_traits traits;
    size_t max_rows, max_settings;
    bool *is_tried;  /* [num_nodes][max_rows][max_settings] */
    clv_way *wanted; /* [num_nodes] */
} searcher;

static void make_room(searcher *s, const clv_kernel_family *family) {
    s->max_rows = family->num_variants > s->max_rows ? family->num_variants : s->max_rows;
    for (size_t i = 0; i < family->num_variants; i++) {
        const size_t num_settings = clv_variant_num_settings(&family->variants[i]);
        s->max_settings = num_settings > s->max_settings ? num_settings : s->max_settings;
    }
}

static clv_status *searcher_init(searcher *s) {
    for (size_t i = 0; i < clv_kernel_family_count(); i++) {
        make_room(s, clv_kernel_family_at(i));
    }
    for (size_t i = 0; i < s->graph->num_nodes; i++) { /* operators of tests have their own */
        const clv_op_def *op = s->graph->nodes[i].op;
        if (op != NULL && op->kernels != NULL) {
            make_room(s, op->kernels);
        }
    }
    s->is_tried = clv_alloc_zeroed(s->graph->num_nodes + 1, s->max_rows * s->max_settings + 1);
    s->wanted = clv_alloc_zeroed(s->graph->num_nodes + 1, sizeof *s->wanted);
    return s->is_tried != NULL && s->wanted != NULL
               ? NULL
               : CLV_ERROR(NO_MEMORY, "out of host memory for a search");
}

static bool fits(const searcher *s, const clv_call *call, const clv_variant *variant) {
    return clv_variant_fits(variant, call, &s->traits);
}

static clv_status *is_known(
    const searcher *s, const clv_call *call, const clv_way *way, bool *out_is_known) {
    clv_measured_cost cost;
    clv_hash key;
    CLV_TRY(clv_variant_key(s->unit, call, way, &s->traits, &key));
    *out_is_known = clv_cost_db_find(s->request->calibration.db, key, &cost);
    return NULL;
}

/* Wants a way that fits, unless it is known or was tried. Two that launch the same are known
 * together. */
static clv_status *want_way(
    searcher *s, clv_node_id id, const clv_call *call, const clv_way *way, bool *is_tried) {
    bool known = *is_tried;
    if (!known) {
        CLV_TRY(is_known(s, call, way, &known));
    }
    if (!known) {
        *is_tried = true; /* it may turn out that the node's neighbours forbid it */
        s->wanted[id] = *way;
    }
    return NULL;
}

/* The last row that fits and is not known yet, from the row that the level begins with on; once all
 * of them are known, their other tunables. */
static clv_status *want_next(searcher *s, clv_node_id id, const clv_call *call) {
    const clv_kernel_family *family = call->op->kernels;
    const size_t first = s->request->level == CLV_SEARCH_EXHAUSTIVE ? 0 : 1;
    bool *is_tried = s->is_tried + id * s->max_rows * s->max_settings;
    for (uint32_t setting = 0; setting < s->max_settings; setting++) {
        for (size_t row = family->num_variants; row-- > 0;) {
            const clv_way way = {.variant = &family->variants[row], .setting = setting};
            const bool is_wanted = row >= first || setting > 0;
            if (is_wanted && setting < clv_variant_num_settings(way.variant) &&
                fits(s, call, way.variant)) {
                CLV_TRY(want_way(s, id, call, &way, &is_tried[row * s->max_settings + setting]));
            }
            if (s->wanted[id].variant != NULL) {
                return NULL;
            }
        }
    }
    return NULL;
}

static clv_status *want(searcher *s, uint32_t *out_num_wanted) {
    *out_num_wanted = 0;
    memset(s->wanted, 0, s->graph->num_nodes * sizeof *s->wanted);
    for (size_t i = 0; i < s->graph->num_nodes; i++) {
        const clv_node *node = &s->graph->nodes[i];
        if (node->op == NULL || node->op->kernels == NULL) {
            continue;
        }
        clv_arena arena;
        clv_call call;
        clv_arena_init(&arena, 0);
        clv_status *status = clv_call_from_node(s->graph, node, &arena, &call);
        if (status == NULL) {
            status = want_next(s, (clv_node_id)i, &call);
        }
        clv_arena_deinit(&arena);
        CLV_TRY(status);
        *out_num_wanted += s->wanted[i].variant != NULL ? 1 : 0;
    }
    return NULL;
}

static clv_status *search(searcher *s, clv_search_result *result) {
    clv_calibration_request request = s->request->calibration;
    const double end_us = clv_time_us() + s->request->budget_us;
    const uint32_t most = s->request->level == CLV_SEARCH_FAST ? 1 : UINT32_MAX;
    uint32_t num_wanted, num_steps;
    request.wanted = NULL;
    CLV_TRY(clv_calibrate(&request, &num_steps));
    request.wanted = s->wanted;
    CLV_TRY(want(s, &num_wanted));
    while (num_wanted != 0 && result->rounds < most && clv_time_us() < end_us) {
        CLV_TRY(clv_calibrate(&request, &num_steps));
        result->rounds++;
        result->measured += num_wanted;
        CLV_TRY(want(s, &num_wanted));
    }
    result->left_over = num_wanted;
    request.wanted = NULL;
    return result->rounds != 0 ? clv_calibrate(&request, &num_steps) : NULL;
}

clv_status *clv_search(const clv_search_request *request, clv_search_result *out_result) {
    const clv_exec_unit *unit = request->calibration.unit;
    searcher s = {
        .request = request,
        .graph = request->calibration.graph,
        .unit = clv_unit_key(&unit->devices[0]->info, unit->num_devices),
        .traits = clv_exec_unit_traits(unit),
    };
    *out_result = (clv_search_result){0};
    clv_status *status = searcher_init(&s);
    if (status == NULL) {
        status = search(&s, out_result);
    }
    clv_free(s.is_tried);
    clv_free(s.wanted);
    return status;
}
