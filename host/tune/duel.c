#include "host/tune/duel.h"

#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/tune/neighbours.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WARMUP_RUNS = 2 };
/* A lane that waits for its next request looks for it so long before it sleeps: the other side's
 * would have to share the processor with it. */
enum { IDLE_NS = 100000 };

/* Turns: each side runs once in each. */
typedef struct extent {
    uint32_t least, most, least_long;
    double enough_us, long_us; /* of runs that long a few are enough */
} extent;
static const extent usual = {.least = 5, .most = 30, .least_long = 3, 400e3, 3e6};
static const extent thorough = {.least = 15, .most = 100, .least_long = 5, 1e6, 6e6};

typedef struct side {
    const clv_graph *graph;
    clv_way *ways; /* [num_nodes]: that were asked for */
    clv_tune_rig rig;
    clv_replica replica;
    double *step_us; /* [steps]: the least; NAN: not known */
    uint32_t num_runs;
    bool counts; /* runs do */
} side;

struct clv_duel {
    clv_calibration_request request;
    clv_mutable_view *outputs;
    side *first; /* NULL: none yet */
};

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for timing a graph");
}

clv_status *clv_trial_init(size_t num_nodes, clv_trial *out_trial) {
    *out_trial = (clv_trial){
        .ways = clv_alloc_zeroed(num_nodes + 1, sizeof *out_trial->ways),
        .own_us = clv_alloc_zeroed(num_nodes + 1, sizeof *out_trial->own_us),
        .node_us = clv_alloc_zeroed(num_nodes + 1, sizeof *out_trial->node_us),
    };
    return out_trial->ways != NULL && out_trial->own_us != NULL && out_trial->node_us != NULL
               ? NULL
               : no_memory();
}

void clv_trial_deinit(clv_trial *trial) {
    clv_free(trial->ways);
    clv_free(trial->own_us);
    clv_free(trial->node_us);
}

/* --- a side ---------------------------------------------------------------------------------- */

static clv_status *finish(
    void *context, uint64_t number, const clv_mutable_view *outputs, const clv_item_span *spans,
    clv_status *status) {
    clv_replica *replica = context;
    side *s = replica->owner;
    (void)outputs;
    status = clv_status_join(status, clv_tune_check_values(replica, number));
    if (status != NULL || !s->counts || spans == NULL) {
        return status;
    }
    for (size_t i = 0; i < replica->parts[0].num_steps; i++) {
        uint64_t begin_ns, end_ns;
        if (clv_tune_find_span(replica, i, spans, &begin_ns, &end_ns)) {
            const double us = end_ns > begin_ns ? (double)(end_ns - begin_ns) * 1e-3 : 0;
            s->step_us[i] = fmin(s->step_us[i], us); /* which forgets NAN */
        }
    }
    s->num_runs++;
    return NULL;
}

static void side_destroy(side *s) {
    if (s != NULL) {
        clv_replica_deinit(&s->replica);
        clv_tune_rig_deinit(&s->rig);
        clv_free(s->ways);
        clv_free(s->step_us);
        clv_free(s);
    }
}

static clv_status *run_side(clv_duel *duel, side *s, bool counts) {
    const struct timespec idle = {.tv_nsec = IDLE_NS};
    s->counts = counts;
    nanosleep(&idle, NULL);
    return clv_executor_run(s->replica.executor, duel->request.inputs, duel->outputs);
}

static clv_status *set_up(clv_duel *duel, const clv_way *ways, side *s) {
    const clv_calibration_request *request = &duel->request;
    const size_t num_nodes = request->graph->num_nodes;
    s->graph = request->graph;
    CLV_TRY(clv_tune_rig_init(
        request->graph, request->unit, NULL, request->db, (clv_tune_cut){0}, &s->rig));
    s->ways = clv_alloc_zeroed(num_nodes + 1, sizeof *s->ways);
    if (s->ways == NULL) {
        return no_memory();
    }
    memcpy(s->ways, ways, num_nodes * sizeof *ways);
    s->rig.options.has_spans = true;
    s->rig.options.wanted = s->ways;
    s->rig.options.cancel = request->cancel;
    s->rig.options.finish = finish;
    s->rig.options.owner = s;
    CLV_TRY(clv_replica_init(&s->replica, &s->rig.options));
    s->step_us = clv_alloc_zeroed(s->replica.parts[0].num_steps + 1, sizeof *s->step_us);
    if (s->step_us == NULL) {
        return no_memory();
    }
    for (int i = 0; i < WARMUP_RUNS; i++) { /* drivers compile in the first */
        CLV_TRY(run_side(duel, s, false));
    }
    clv_prepared_settle(&s->replica.prepared);
    return NULL;
}

static clv_status *side_create(clv_duel *duel, const clv_way *ways, side **out_side) {
    *out_side = clv_alloc_zeroed(1, sizeof **out_side);
    if (*out_side == NULL) {
        return no_memory();
    }
    clv_status *status = set_up(duel, ways, *out_side);
    if (status != NULL) {
        side_destroy(*out_side);
        *out_side = NULL;
    }
    return status;
}

/* Whether it has what is asked for. */
static bool is_side(const side *s, const clv_way *ways) {
    bool is_same = s != NULL;
    for (size_t i = 0; is_same && i < s->graph->num_nodes; i++) {
        is_same = s->ways[i].variant == ways[i].variant && s->ways[i].setting == ways[i].setting;
    }
    return is_same;
}

static void forget_runs(side *s) {
    s->num_runs = 0;
    for (size_t i = 0; i < s->replica.parts[0].num_steps; i++) {
        s->step_us[i] = (double)NAN;
    }
}

static void tell(const side *s, clv_trial *trial) {
    const clv_lowered *lowered = &s->replica.parts[0];
    const clv_piece_node *nodes = s->replica.pieces.memories[0].nodes;
    memset(trial->own_us, 0, s->graph->num_nodes * sizeof *trial->own_us);
    memset(trial->node_us, 0, s->graph->num_nodes * sizeof *trial->node_us);
    trial->total_us = 0;
    trial->num_runs = s->num_runs;
    for (size_t i = 0; i < lowered->graph->num_nodes; i++) {
        const clv_choice *choice = &lowered->choices[i];
        trial->ways[nodes[i].origin] = (clv_way){choice->variant, choice->setting};
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        if (step->kind == CLV_STEP_LAUNCH) {
            const clv_node_id node = nodes[step->index].origin;
            trial->own_us[node] += step->is_reorder ? 0 : s->step_us[i];
            trial->node_us[node] += s->step_us[i];
            trial->total_us += isnan(s->step_us[i]) ? 0 : s->step_us[i];
        }
    }
}

/* --- both ------------------------------------------------------------------------------------ */

static bool is_enough(const extent *e, uint32_t turns, double passed_us) {
    return turns >= e->most || (turns >= e->least && passed_us >= e->enough_us) ||
           (turns >= e->least_long && passed_us >= e->long_us);
}

static clv_status *take_turns(clv_duel *duel, side *const sides[2], const extent *e) {
    const size_t count = sides[1] != NULL ? 2 : 1;
    char what[64];
    snprintf(what, sizeof what, "measuring %s", duel->request.unit->name.text);
    const double begin_us = clv_time_us();
    for (uint32_t turn = 0; !is_enough(e, turn, clv_time_us() - begin_us); turn++) {
        for (size_t i = 0; i < count; i++) { /* nobody is always the first */
            CLV_TRY(run_side(duel, sides[(i + turn) % count], true));
        }
        clv_progress(what, turn + 1 < e->least ? turn + 1 : e->least, e->least);
    }
    return NULL;
}

clv_status *clv_duel_run(
    void *context, const clv_way *const ways[2], bool is_long, clv_trial trials[2]) {
    clv_duel *duel = context;
    side *sides[2] = {NULL};
    clv_status *status = NULL;
    trials[0].num_runs = trials[1].num_runs = 0;
    if (!is_side(duel->first, ways[0])) {
        side_destroy(duel->first);
        duel->first = NULL;
        status = side_create(duel, ways[0], &duel->first);
    }
    sides[0] = duel->first;
    if (status == NULL && ways[1] != NULL) {
        status = side_create(duel, ways[1], &sides[1]);
    }
    for (size_t i = 0; status == NULL && i < 2 && sides[i] != NULL; i++) {
        forget_runs(sides[i]);
        status = run_side(duel, sides[i], false); /* the other one was at work */
    }
    if (status == NULL) {
        status = take_turns(duel, sides, is_long ? &thorough : &usual);
        for (size_t i = 0; i < 2 && sides[i] != NULL; i++) {
            tell(sides[i], &trials[i]);
        }
    }
    side_destroy(sides[1]);
    return status;
}

clv_status *clv_duel_create(const clv_calibration_request *request, clv_duel **out_duel) {
    clv_duel *duel = clv_alloc_zeroed(1, sizeof *duel);
    *out_duel = NULL;
    if (duel == NULL) {
        return no_memory();
    }
    duel->request = *request;
    clv_status *status = clv_tune_outputs_init(request->graph, &duel->outputs);
    if (status != NULL) {
        clv_duel_destroy(duel);
        return status;
    }
    *out_duel = duel;
    return NULL;
}

void clv_duel_destroy(clv_duel *duel) {
    if (duel != NULL) {
        side_destroy(duel->first);
        clv_tune_outputs_deinit(duel->request.graph, duel->outputs);
        clv_free(duel);
    }
}
