#include "host/tune/calibrate.h"

#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/tune/neighbours.h"
#include "host/tune/rig.h"
#include "host/tune/samples.h"
#include "host/tune/step_key.h"
#include "host/tune/variant_cost.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Runs before those that count: drivers compile in the first. */
enum { WARMUP_RUNS = 2, LEAST_RUNS = 5, MOST_RUNS = 30 };
/* Runs in which somebody else had the processor are kept apart, for the case that there are hardly
 * any others. */
enum { MOST_DISTURBED = 10, ALL_RUNS = MOST_RUNS + MOST_DISTURBED, MOST_TRIES = 300 };
/* Enough of it, once there are LEAST_RUNS; of long runs three will do. */
enum { ENOUGH_US = 500000, LONG_US = 3000000, LEAST_LONG_RUNS = 3 };
/* Beside neighbours more runs are wanted, for means. */
enum { LEAST_RUNS_BESIDE = 13, MOST_WAIT_US = 500000 };
/* A run is disturbed when its lanes had the processor for less than that share of it; of shorter
 * runs that cannot be told. */
static const double undisturbed_share = 0.97, shortest_told_us = 200;

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for measuring steps");
}

/* --- looking up ------------------------------------------------------------------------------ */

/* Whether there are two units with halves. */
static bool is_beside(clv_cost_setting setting) {
    return setting.cut.split != 0 && setting.num_beside != 0;
}

/* The unit's key, of steps in the setting. */
static clv_hash key_in(clv_cost_setting setting, clv_hash unit) {
    if (setting.num_beside == 0) {
        return unit;
    }
    const uint32_t numbers[] = {is_beside(setting), is_beside(setting) ? 1 : setting.num_beside};
    const clv_hash beside = clv_hash_combine(
        clv_hash_combine(
            unit, clv_hash_string(is_beside(setting) ? "others at work" : "others at anything")),
        clv_hash_bytes(numbers, sizeof numbers));
    return setting.exchange > 0 && !isinf(setting.exchange)
               ? clv_hash_combine(
                     beside, clv_hash_bytes(&setting.exchange, sizeof setting.exchange))
               : beside;
}

static int compare_hashes(const void *a, const void *b) {
    const clv_hash *x = a, *y = b;
    return x->high != y->high ? (x->high < y->high ? -1 : 1)
           : x->low != y->low ? (x->low < y->low ? -1 : 1)
                              : 0;
}

/* Of the pieces' node `node` its share `share`: of two at most. */
static size_t share_at(size_t node, size_t share) {
    return 2 * node + share;
}

/* What each piece and share takes; launches and variants of operators. piece_us: by share_at(),
 * zeros. */
static void add_nodes(
    const clv_replica *replica, const clv_cost_db *db, const clv_hash *keys, double *piece_us,
    clv_unit_costs *costs) {
    const clv_lowered *lowered = &replica->parts[0];
    const clv_piece_node *nodes = replica->pieces.memories[0].nodes;
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        clv_measured_cost cost = {.time_us = (double)NAN};
        if (step->kind == CLV_STEP_LAUNCH) {
            clv_cost_db_find(db, keys[i], &cost);
            piece_us[share_at(step->index, step->share)] += cost.time_us;
            costs->node_launches[nodes[step->index].origin] += !nodes[step->index].is_join;
        }
    }
    for (size_t i = 0; i < lowered->graph->num_nodes; i++) {
        const clv_choice *choice = &lowered->choices[i];
        if (!nodes[i].is_join) {
            costs->ways[nodes[i].origin] = (clv_way){choice->variant, choice->setting};
        }
    }
}

/* What each operator takes, and each of its pieces: with what puts its operand together, or half of
 * that where one unit has both. join_us: [2][num_nodes] zeros; num_pieces: [num_nodes] zeros. */
static void add_pieces(
    const clv_replica *replica, bool is_beside, const double *launches_us, double *join_us,
    uint32_t *num_pieces, clv_unit_costs *costs) {
    const clv_graph *graph = replica->parts[0].graph;
    const clv_piece_node *nodes = replica->pieces.memories[0].nodes;
    const size_t num_nodes = replica->graph->num_nodes;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const size_t unit = is_beside ? nodes[i].unit : 0;
        join_us[unit * num_nodes + nodes[i].origin] += !nodes[i].is_join ? 0
                                                       : is_beside
                                                           ? launches_us[share_at(i, 0)]
                                                           : launches_us[share_at(i, 0)] / 2;
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node_id origin = nodes[i].origin;
        for (size_t k = 0; !nodes[i].is_join && (k == 0 || k < nodes[i].num_shares); k++) {
            const size_t unit = !is_beside                 ? 0
                                : nodes[i].num_shares != 0 ? nodes[i].shares[k].unit
                                                           : nodes[i].unit;
            const double us = launches_us[share_at(i, k)] + join_us[unit * num_nodes + origin];
            if (num_pieces[origin] < 2) { /* the first one's nodes come first */
                costs->piece_us[num_pieces[origin]++ * num_nodes + origin] = us;
            }
            if (isnan(us) || us > costs->node_us[origin]) { /* fmax() forgets NAN */
                costs->node_us[origin] = us;
            }
        }
    }
}

static void add_shares(const clv_group *group, size_t num_nodes, double *shares) {
    for (size_t i = 0; i < num_nodes; i++) {
        const clv_placement *p = &group->placements[i];
        const clv_piece *pieces = &group->pieces[p->first_piece];
        for (size_t k = 0; k < 2 && p->num_pieces == 2; k++) {
            shares[k * num_nodes + i] =
                (double)(pieces[k].end - pieces[k].begin) / (double)pieces[1].end;
        }
    }
}

static void count_steps(
    const clv_lowered *lowered, const clv_cost_db *db, clv_hash *keys, clv_unit_costs *costs) {
    size_t num_launches = 0;
    for (size_t i = 0; i < lowered->num_steps; i++) {
        if (lowered->steps[i].kind == CLV_STEP_LAUNCH) {
            keys[num_launches++] = keys[i];
        }
    }
    qsort(keys, num_launches, sizeof *keys, compare_hashes);
    for (size_t i = 0; i < num_launches; i++) {
        clv_measured_cost cost;
        if (i == 0 || compare_hashes(&keys[i - 1], &keys[i]) != 0) {
            costs->num_steps++;
            costs->num_known += clv_cost_db_find(db, keys[i], &cost) ? 1 : 0;
        }
    }
}

static bool costs_init(size_t num_nodes, clv_unit_costs *costs) {
    costs->node_us = clv_alloc_zeroed(num_nodes + 1, sizeof *costs->node_us);
    costs->piece_us = clv_alloc_zeroed(2 * num_nodes + 1, sizeof *costs->piece_us);
    costs->piece_share = clv_alloc_zeroed(2 * num_nodes + 1, sizeof *costs->piece_share);
    costs->node_launches = clv_alloc_zeroed(num_nodes + 1, sizeof *costs->node_launches);
    costs->ways = clv_alloc_zeroed(num_nodes + 1, sizeof *costs->ways);
    return costs->node_us != NULL && costs->piece_us != NULL && costs->piece_share != NULL &&
           costs->node_launches != NULL && costs->ways != NULL;
}

static clv_status *find(
    const clv_replica *replica, clv_hash unit, const clv_cost_db *db, bool is_beside,
    clv_unit_costs *costs) {
    const size_t num_nodes = replica->graph->num_nodes;
    clv_hash *keys = clv_alloc_zeroed(replica->parts[0].num_steps + 1, sizeof *keys);
    double *launches_us =
        clv_alloc_zeroed(replica->parts[0].graph->num_nodes + 1, 2 * sizeof *launches_us);
    double *join_us = clv_alloc_zeroed(2 * num_nodes + 1, sizeof *join_us);
    uint32_t *num_pieces = clv_alloc_zeroed(num_nodes + 1, sizeof *num_pieces);
    const bool has_memory =
        keys != NULL && launches_us != NULL && join_us != NULL && num_pieces != NULL;
    clv_status *status = has_memory && costs_init(num_nodes, costs)
                             ? clv_step_keys(unit, &replica->parts[0], keys)
                             : no_memory();
    if (status == NULL) {
        add_nodes(replica, db, keys, launches_us, costs);
        add_pieces(replica, is_beside, launches_us, join_us, num_pieces, costs);
        count_steps(&replica->parts[0], db, keys, costs);
    }
    clv_free(num_pieces);
    clv_free(join_us);
    clv_free(launches_us);
    clv_free(keys);
    return status;
}

clv_status *clv_unit_costs_find(
    const clv_graph *graph, const clv_device_info *info, size_t num_devices, const clv_cost_db *db,
    clv_cost_setting setting, clv_unit_costs *out_costs) {
    clv_device described = {.info = *info}; /* lowering asks a device for its info alone */
    clv_device *device = &described;
    const clv_exec_unit unit = {
        .devices = &device, .num_devices = num_devices, .is_exact = setting.is_exact};
    clv_tune_rig rig;
    clv_replica replica = {.graph = NULL};
    *out_costs = (clv_unit_costs){.node_us = NULL};
    const bool has_other = is_beside(setting);
    clv_status *status =
        clv_tune_rig_init(graph, &unit, has_other ? &unit : NULL, db, setting.cut, &rig);
    if (status == NULL) {
        status = clv_replica_lower(&replica, &rig.options);
    }
    if (status == NULL) {
        status = find(
            &replica, key_in(setting, clv_unit_key(info, num_devices)), db, has_other, out_costs);
    }
    if (status == NULL) {
        add_shares(&rig.group, graph->num_nodes, out_costs->piece_share);
    }
    clv_replica_deinit(&replica);
    clv_tune_rig_deinit(&rig);
    if (status != NULL) {
        clv_unit_costs_deinit(out_costs);
    }
    return status;
}

void clv_unit_costs_deinit(clv_unit_costs *costs) {
    clv_free(costs->node_us);
    clv_free(costs->piece_us);
    clv_free(costs->piece_share);
    clv_free(costs->node_launches);
    clv_free(costs->ways);
    *costs = (clv_unit_costs){.node_us = NULL};
}

/* --- measuring ------------------------------------------------------------------------------- */

typedef struct sampler {
    const clv_calibration_request *request;
    clv_replica replica;
    clv_hash *keys;  /* [num_steps] */
    double *samples; /* [num_steps][ALL_RUNS]: undisturbed runs, from MOST_RUNS on disturbed ones */
    double *last;    /* [num_steps]: of the run that was last */
    bool has_last;
    uint32_t num_runs, num_disturbed;
    bool is_warm;       /* runs count */
    double last_run_us; /* what the last of them took */
    uint64_t tick_ns;   /* the device's clock has shown nothing finer; 0: no two times differed */
    uint64_t seen_ns;   /* what it showed last */
    clv_mutable_view *outputs;
} sampler;

static void note_time(sampler *s, uint64_t time_ns) {
    const uint64_t by_ns = time_ns > s->seen_ns ? time_ns - s->seen_ns : s->seen_ns - time_ns;
    if (s->seen_ns != 0 && by_ns != 0 && (s->tick_ns == 0 || by_ns < s->tick_ns)) {
        s->tick_ns = by_ns;
    }
    s->seen_ns = time_ns;
}

/* NAN: nobody knows; 0: less than a tick of the clock. */
static double span_us(sampler *s, size_t step, const clv_item_span *spans) {
    uint64_t begin_ns, end_ns;
    if (!clv_tune_find_span(&s->replica, step, spans, &begin_ns, &end_ns)) {
        return (double)NAN;
    }
    note_time(s, begin_ns);
    note_time(s, end_ns);
    return end_ns > begin_ns ? (double)(end_ns - begin_ns) * 1e-3 : 0;
}

static clv_status *finish(
    void *context, uint64_t number, const clv_mutable_view *outputs, const clv_item_span *spans,
    clv_status *status) {
    clv_replica *replica = context;
    sampler *s = replica->owner;
    (void)outputs;
    status = clv_status_join(status, clv_tune_check_values(replica, number));
    if (status != NULL || !s->is_warm || spans == NULL) {
        return status;
    }
    for (size_t i = 0; i < replica->parts[0].num_steps; i++) {
        s->last[i] = span_us(s, i, spans);
    }
    s->has_last = true;
    return NULL;
}

static clv_status *sampler_init(sampler *s, clv_tune_rig *rig) {
    const clv_exec_unit *unit = s->request->unit;
    rig->options.has_spans = true;
    rig->options.wanted = s->request->wanted;
    rig->options.cancel = s->request->cancel;
    rig->options.finish = finish;
    rig->options.owner = s;
    CLV_TRY(clv_replica_init(&s->replica, &rig->options));
    const size_t num_steps = s->replica.parts[0].num_steps;
    s->keys = clv_alloc_zeroed(num_steps + 1, sizeof *s->keys);
    s->samples = clv_alloc_zeroed(num_steps + 1, ALL_RUNS * sizeof *s->samples);
    s->last = clv_alloc_zeroed(num_steps + 1, sizeof *s->last);
    if (s->keys == NULL || s->samples == NULL || s->last == NULL) {
        return no_memory();
    }
    CLV_TRY(clv_tune_outputs_init(s->request->graph, &s->outputs));
    return clv_step_keys(
        key_in(s->request->setting, clv_unit_key(&unit->devices[0]->info, unit->num_devices)),
        &s->replica.parts[0], s->keys);
}

static void sampler_deinit(sampler *s) {
    clv_replica_deinit(&s->replica);
    clv_tune_outputs_deinit(s->request->graph, s->outputs);
    clv_free(s->keys);
    clv_free(s->samples);
    clv_free(s->last);
}

static double process_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

/* Files the run that was last. */
static void file_run(sampler *s, bool is_disturbed) {
    if (!s->has_last || (is_disturbed && s->num_disturbed == MOST_DISTURBED)) {
        return;
    }
    const uint32_t at = is_disturbed ? MOST_RUNS + s->num_disturbed++ : s->num_runs++;
    for (size_t i = 0; i < s->replica.parts[0].num_steps; i++) {
        s->samples[i * ALL_RUNS + at] = s->last[i];
    }
    s->has_last = false;
}

typedef struct ending {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool has_ended;
    clv_status *status;
} ending;

static void end(void *context, clv_status *status) {
    ending *e = context;
    pthread_mutex_lock(&e->lock);
    e->status = status;
    e->has_ended = true;
    pthread_cond_signal(&e->ended);
    pthread_mutex_unlock(&e->lock);
}

/* By the unit's own thread, which is bound to its processor: this one would run it anywhere, also
 * where a neighbour then has to wait. */
static clv_status *run_bound(sampler *s) {
    ending e = {.has_ended = false};
    pthread_mutex_init(&e.lock, NULL);
    pthread_cond_init(&e.ended, NULL);
    clv_executor_submit(s->replica.executor, s->request->inputs, s->outputs, end, &e);
    pthread_mutex_lock(&e.lock);
    while (!e.has_ended) {
        pthread_cond_wait(&e.ended, &e.lock);
    }
    pthread_mutex_unlock(&e.lock);
    pthread_cond_destroy(&e.ended);
    pthread_mutex_destroy(&e.lock);
    return e.status;
}

static clv_status *run_request(sampler *s) {
    return s->request->setting.num_beside != 0
               ? run_bound(s)
               : clv_executor_run(s->replica.executor, s->request->inputs, s->outputs);
}

/* Whether neighbours are at the same graph, each at a request of its own. */
static bool has_neighbours(const sampler *s) {
    return s->request->setting.num_beside != 0 && !is_beside(s->request->setting);
}

/* All take as long for a request: who begins with them stays beside the same operators of theirs,
 * run after run. So runs begin at other parts of their requests, spread evenly however many there
 * will be: multiples of the golden ratio. */
static void wait_for_phase(const sampler *s) {
    const double golden = 0.6180339887498949;
    const double turns = golden * (s->num_runs + s->num_disturbed);
    const double wait_us = fmin(s->last_run_us, MOST_WAIT_US) * (turns - floor(turns));
    const struct timespec wait = {(time_t)(wait_us / 1e6), (long)fmod(wait_us, 1e6) * 1000};
    nanosleep(&wait, NULL);
}

/* Lanes of cores are at it all the time, unless somebody else is. */
static clv_status *run_once(sampler *s) {
    const clv_exec_unit *unit = s->request->unit;
    if (has_neighbours(s)) {
        wait_for_phase(s);
    }
    const double begin_us = clv_time_us(), used_us = process_us();
    CLV_TRY(run_request(s));
    const double passed_us = clv_time_us() - begin_us;
    s->last_run_us = passed_us;
    const size_t num_units = 1 + (size_t)s->request->setting.num_beside;
    const double share =
        (process_us() - used_us) / (passed_us * (double)(unit->num_devices * num_units));
    file_run(
        s, unit->devices[0]->info.kind == CLV_DEVICE_CORE && passed_us >= shortest_told_us &&
               share < undisturbed_share);
    return NULL;
}

static bool is_enough(const sampler *s, double passed_us, uint32_t num_tries) {
    const uint32_t least = has_neighbours(s) ? LEAST_RUNS_BESIDE : LEAST_RUNS;
    return s->num_runs >= MOST_RUNS || num_tries >= MOST_TRIES ||
           (s->num_runs >= least && passed_us >= ENOUGH_US) ||
           (s->num_runs + s->num_disturbed >= LEAST_LONG_RUNS && passed_us >= LONG_US);
}

static clv_status *run(sampler *s) {
    char what[64];
    snprintf(what, sizeof what, "measuring %s", s->request->unit->name.text);
    clv_progress(what, 0, WARMUP_RUNS + LEAST_RUNS);
    for (uint32_t i = 0; i < WARMUP_RUNS; i++) {
        CLV_TRY(run_request(s));
        clv_progress(what, i + 1, WARMUP_RUNS + LEAST_RUNS);
    }
    clv_prepared_settle(&s->replica.prepared);
    s->is_warm = true;
    const double begin_us = clv_time_us();
    for (uint32_t i = 0; !is_enough(s, clv_time_us() - begin_us, i); i++) {
        CLV_TRY(run_once(s));
        const uint32_t done = s->num_runs < LEAST_RUNS ? s->num_runs : LEAST_RUNS;
        clv_progress(what, WARMUP_RUNS + done, WARMUP_RUNS + LEAST_RUNS);
    }
    return NULL;
}

/* Whether there is something to go by: too few undisturbed runs take the others to them. */
static bool gather_runs(sampler *s) {
    if (s->num_runs < LEAST_LONG_RUNS && s->num_disturbed != 0) {
        for (size_t i = 0; i < s->replica.parts[0].num_steps; i++) {
            double *row = s->samples + i * ALL_RUNS;
            memmove(row + s->num_runs, row + MOST_RUNS, s->num_disturbed * sizeof *row);
        }
        s->num_runs += s->num_disturbed;
        clv_log(
            CLV_LOG_INFO, "%s was measured while others were at work: its costs may be too high",
            s->request->unit->name.text);
    }
    return s->num_runs >= LEAST_LONG_RUNS;
}

typedef struct keyed_step {
    clv_hash key;
    size_t step;
} keyed_step;

static int compare_keyed(const void *a, const void *b) {
    return compare_hashes(&((const keyed_step *)a)->key, &((const keyed_step *)b)->key);
}

/* The steps from `first` on that have its key: their samples, together. What took less than a tick
 * of the clock took a tick; of what nobody knows when it was, nothing is kept. */
static clv_status *put_group(
    sampler *s, const keyed_step *steps, size_t count, double *scratch, uint32_t *num_measured) {
    clv_measured_cost cost;
    if (clv_cost_db_find(s->request->db, steps[0].key, &cost)) {
        return NULL;
    }
    size_t num_samples = 0;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < s->num_runs; k++) {
            const double us = s->samples[steps[i].step * ALL_RUNS + k];
            const double least_us = (s->tick_ns != 0 ? (double)s->tick_ns : 1) * 1e-3;
            scratch[num_samples] = us > 0 ? us : least_us;
            num_samples += isnan(us) ? 0 : 1;
        }
    }
    if (num_samples == 0) {
        return NULL;
    }
    cost = has_neighbours(s) ? clv_mean_cost_of_samples(
                                   scratch, num_samples, 1 + (double)s->request->setting.num_beside)
                             : clv_cost_of_samples(scratch, num_samples);
    CLV_TRY(clv_cost_db_put(s->request->db, steps[0].key, &cost));
    ++*num_measured;
    return NULL;
}

static clv_status *put_all(sampler *s, uint32_t *num_measured) {
    const clv_lowered *lowered = &s->replica.parts[0];
    keyed_step *steps = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *steps);
    double *scratch = clv_alloc_zeroed(lowered->num_steps + 1, ALL_RUNS * sizeof *scratch);
    clv_status *status = steps != NULL && scratch != NULL ? NULL : no_memory();
    size_t count = 0;
    for (size_t i = 0; status == NULL && i < lowered->num_steps; i++) {
        if (lowered->steps[i].kind == CLV_STEP_LAUNCH) {
            steps[count++] = (keyed_step){.key = s->keys[i], .step = i};
        }
    }
    if (status == NULL) {
        qsort(steps, count, sizeof *steps, compare_keyed);
    }
    for (size_t i = 0, end; status == NULL && i < count; i = end) {
        for (end = i + 1; end < count && compare_keyed(&steps[i], &steps[end]) == 0; end++) {
        }
        status = put_group(s, &steps[i], end - i, scratch, num_measured);
    }
    clv_free(scratch);
    clv_free(steps);
    return status;
}

/* What a node's own launches take together; count 0: it has none, or one is not known. They stand
 * together. */
static clv_measured_cost own_cost(const sampler *s, size_t first_step) {
    const clv_lowered *lowered = &s->replica.parts[0];
    const clv_node_id node = lowered->steps[first_step].index;
    clv_measured_cost sum = {.count = 0};
    for (size_t i = first_step; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        clv_measured_cost cost;
        if (step->kind != CLV_STEP_LAUNCH || step->index != node) {
            break;
        }
        if (!step->is_reorder) {
            if (!clv_cost_db_find(s->request->db, s->keys[i], &cost)) {
                return (clv_measured_cost){.count = 0};
            }
            sum.time_us += cost.time_us;
            sum.spread_us += cost.spread_us;
            sum.count = sum.count == 0 || cost.count < sum.count ? cost.count : sum.count;
        }
    }
    return sum;
}

/* What the variant of a node took, for other nodes that do the same. */
static clv_status *put_variant(
    sampler *s, clv_hash unit, clv_node_id node, const clv_measured_cost *cost) {
    const clv_graph *graph = s->replica.parts[0].graph;
    const clv_traits traits = clv_exec_unit_traits(s->request->unit);
    clv_measured_cost known;
    clv_arena arena;
    clv_call call;
    clv_hash key;
    clv_arena_init(&arena, 0);
    clv_status *status = clv_call_from_node(graph, &graph->nodes[node], &arena, &call);
    if (status == NULL) {
        const clv_choice *choice = &s->replica.parts[0].choices[node];
        const clv_way way = {choice->variant, choice->setting};
        status = clv_variant_key(unit, &call, &way, &traits, &key);
    }
    if (status == NULL && !clv_cost_db_find(s->request->db, key, &known)) {
        status = clv_cost_db_put(s->request->db, key, cost);
    }
    clv_arena_deinit(&arena);
    return status;
}

static clv_status *put_variants(sampler *s) {
    const clv_lowered *lowered = &s->replica.parts[0];
    const clv_exec_unit *unit = s->request->unit;
    const clv_hash key = clv_unit_key(&unit->devices[0]->info, unit->num_devices);
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        const bool is_first = i == 0 || lowered->steps[i - 1].kind != CLV_STEP_LAUNCH ||
                              lowered->steps[i - 1].index != step->index;
        if (step->kind == CLV_STEP_LAUNCH && is_first &&
            lowered->choices[step->index].variant != NULL) {
            const clv_measured_cost cost = own_cost(s, i);
            if (cost.count != 0) {
                CLV_TRY(put_variant(s, key, step->index, &cost));
            }
        }
    }
    return NULL;
}

/* Whether all that would be chosen is known. */
static clv_status *is_all_known(const clv_calibration_request *request, bool *out_is_known) {
    const clv_exec_unit *unit = request->unit;
    clv_unit_costs costs;
    *out_is_known = false;
    if (request->wanted != NULL) {
        return NULL;
    }
    CLV_TRY(clv_unit_costs_find(
        request->graph, &unit->devices[0]->info, unit->num_devices, request->db, request->setting,
        &costs));
    *out_is_known = costs.num_known == costs.num_steps;
    clv_unit_costs_deinit(&costs);
    return NULL;
}

/* With the neighbours at work that the setting asks for. */
static clv_status *run_beside(sampler *s) {
    const clv_calibration_request *request = s->request;
    if (request->setting.num_beside == 0 || is_beside(request->setting)) {
        return run(s);
    }
    const clv_neighbours_request neighbours_request = {
        .graph = request->graph,
        .units = request->beside,
        .count = request->setting.num_beside,
        .inputs = request->inputs,
        .db = request->db,
        .cancel = request->cancel,
    };
    clv_neighbours *neighbours;
    CLV_TRY(clv_neighbours_start(&neighbours_request, &neighbours));
    clv_status *status = run(s);
    return clv_status_join(status, clv_neighbours_stop(neighbours));
}

clv_status *clv_calibrate(const clv_calibration_request *request, uint32_t *out_num_measured) {
    const clv_cost_setting setting = request->setting;
    sampler s = {.request = request};
    bool is_known;
    clv_tune_rig rig;
    *out_num_measured = 0;
    CLV_TRY(is_all_known(request, &is_known));
    if (is_known) {
        return NULL;
    }
    clv_status *status = clv_tune_rig_init(
        request->graph, request->unit, is_beside(setting) ? request->beside[0] : NULL, request->db,
        setting.cut, &rig);
    if (status == NULL) {
        status = sampler_init(&s, &rig);
    }
    if (status == NULL) {
        status = run_beside(&s);
    }
    if (gather_runs(&s)) {
        status = clv_status_join(status, put_all(&s, out_num_measured));
        /* a piece is no call that variants are chosen for, and they are compared alone */
        if (setting.cut.split == 0 && setting.num_beside == 0) {
            status = clv_status_join(status, put_variants(&s));
        }
    }
    sampler_deinit(&s);
    clv_tune_rig_deinit(&rig);
    return status;
}
