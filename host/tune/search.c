#include "host/tune/search.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/tune/step_key.h"
#include "host/tune/variant_cost.h"
#include <math.h>
#include <string.h>

/* What is known to take so many times what is chosen is not measured again. */
static const double doubtful = 2;
enum { MOST_REPEATS = 4 };
/* Comparisons of what is chosen with what was; after the first ones nothing is tried that was not
 * compared so: of eight settings that take about the same each may seem the fastest once. */
enum { MOST_FINALS = 8, FIRST_FINALS = 2 };
/* What seemed faster by less in a round is not compared. */
static const double least_promise = 0.05;
/* Both sides are made ready anew so many times before the whole graph decides: where their memory
 * happens to lie is worth some percent. */
enum { NUM_CONFIRMATIONS = 2 };
/* What is not to be chosen counts as slower by that than what was. */
static const double setback = 1.1;

/* How a variant's time came about in this search. */
typedef enum fresh { KNOWN_BEFORE, MEASURED, COMPARED } fresh;

typedef struct candidate {
    clv_way way;
    clv_hash key; /* clv_variant_key() */
    bool is_plainest, is_tried;
} candidate;

typedef struct searcher {
    const clv_search_request *request;
    clv_search_result *result;
    const clv_graph *graph;
    clv_hash unit;
    clv_traits traits;
    candidate *candidates; /* of all nodes, in the order in which they are tried */
    size_t *first;         /* [num_nodes + 1]: candidate */
    clv_cost_db *times;    /* of candidates: what variants will be chosen by */
    clv_cost_db *fresh;    /* by their keys: a `fresh`, as a time */
    clv_way *before, *after, *usual, *wanted; /* [num_nodes]; usual: where nothing is known */
} searcher;

/* --- candidates ------------------------------------------------------------------------------ */

static size_t num_candidates(const clv_kernel_family *family) {
    size_t count = 0;
    for (size_t i = 0; i < family->num_variants; i++) {
        count += clv_variant_num_settings(&family->variants[i]);
    }
    return count;
}

static bool has_kernels(const clv_node *node) {
    return node->op != NULL && node->op->kernels != NULL;
}

/* Of a node, those that fit: last rows first, all of them as they are before other tunables. */
static clv_status *add_candidates(searcher *s, const clv_call *call, size_t *count) {
    const clv_kernel_family *family = call->op->kernels;
    const size_t most = num_candidates(family);
    for (uint32_t setting = 0; setting < most; setting++) {
        for (size_t row = family->num_variants; row-- > 0;) {
            const clv_way way = {.variant = &family->variants[row], .setting = setting};
            if (setting < clv_variant_num_settings(way.variant) &&
                clv_variant_fits(way.variant, call, &s->traits)) {
                candidate *c = &s->candidates[(*count)++];
                *c = (candidate){.way = way, .is_plainest = row == 0 && setting == 0};
                CLV_TRY(clv_variant_key(s->unit, call, &way, &s->traits, &c->key));
            }
        }
    }
    return NULL;
}

static clv_status *list_candidates(searcher *s) {
    size_t count = 0;
    for (size_t i = 0; i < s->graph->num_nodes; i++) {
        const clv_node *node = &s->graph->nodes[i];
        s->first[i] = count;
        if (has_kernels(node)) {
            clv_arena arena;
            clv_call call;
            clv_arena_init(&arena, 0);
            clv_status *status = clv_call_from_node(s->graph, node, &arena, &call);
            if (status == NULL) {
                status = add_candidates(s, &call, &count);
            }
            clv_arena_deinit(&arena);
            CLV_TRY(status);
        }
    }
    s->first[s->graph->num_nodes] = count;
    return NULL;
}

/* NULL: the node has no such one. */
static candidate *find(const searcher *s, size_t node, const clv_way *way) {
    for (size_t i = s->first[node]; i < s->first[node + 1]; i++) {
        const clv_way *other = &s->candidates[i].way;
        if (other->variant == way->variant && other->setting == way->setting) {
            return &s->candidates[i];
        }
    }
    return NULL;
}

static bool is_same_key(clv_hash a, clv_hash b) {
    return a.low == b.low && a.high == b.high;
}

/* Whether two ways launch the same. */
static bool is_same(const searcher *s, size_t node, const clv_way *one, const clv_way *other) {
    const candidate *a = find(s, node, one), *b = find(s, node, other);
    return a == b || (a != NULL && b != NULL && is_same_key(a->key, b->key));
}

static uint32_t count_different(const searcher *s, const clv_way *one, const clv_way *other) {
    uint32_t count = 0;
    for (size_t i = 0; i < s->graph->num_nodes; i++) {
        count += is_same(s, i, &one[i], &other[i]) ? 0 : 1;
    }
    return count;
}

/* --- what is known of them ------------------------------------------------------------------- */

static double time_of(const searcher *s, clv_hash key) {
    clv_measured_cost cost;
    return clv_cost_db_find(s->times, key, &cost) ? cost.time_us : (double)NAN;
}

static fresh freshness(const searcher *s, clv_hash key) {
    clv_measured_cost cost;
    return clv_cost_db_find(s->fresh, key, &cost) ? (fresh)cost.time_us : KNOWN_BEFORE;
}

static clv_status *set_freshness(searcher *s, clv_hash key, fresh value) {
    return clv_cost_db_put(s->fresh, key, &(clv_measured_cost){.time_us = value, .count = 1});
}

/* Where rounds keep what they tell: nothing is chosen by that. */
static clv_hash key_of_trials(clv_hash key) {
    return clv_hash_combine(key, clv_hash_string("tried"));
}

static clv_status *set_time(searcher *s, clv_hash key, double us, uint32_t num_runs) {
    const clv_measured_cost cost = {.time_us = us, .count = num_runs};
    CLV_TRY(clv_cost_db_put(s->times, key, &cost));
    return clv_cost_db_put(s->request->calibration.db, key_of_trials(key), &cost);
}

static clv_status *load_times(searcher *s) {
    const clv_cost_db *db = s->request->calibration.db;
    for (size_t i = 0; i < s->first[s->graph->num_nodes]; i++) {
        const clv_hash key = s->candidates[i].key;
        clv_measured_cost cost;
        if (clv_cost_db_find(db, key_of_trials(key), &cost) || clv_cost_db_find(db, key, &cost)) {
            CLV_TRY(clv_cost_db_put(s->times, key, &cost));
        }
    }
    return NULL;
}

/* From now on variants are chosen by these. */
static clv_status *save_times(const searcher *s) {
    clv_cost_db *db = s->request->calibration.db;
    for (size_t i = 0; i < s->first[s->graph->num_nodes]; i++) {
        const clv_hash key = s->candidates[i].key;
        clv_measured_cost cost, old = {.count = 0};
        if (clv_cost_db_find(s->times, key, &cost)) {
            clv_cost_db_find(db, key, &old);
            if (old.count == 0 || old.time_us != cost.time_us) {
                CLV_TRY(clv_cost_db_put(db, key, &cost));
            }
        }
    }
    return NULL;
}

static clv_status *choose(const searcher *s, const clv_cost_db *db, clv_way *out_ways) {
    const clv_exec_unit *unit = s->request->calibration.unit;
    clv_unit_costs costs;
    CLV_TRY(clv_unit_costs_find(
        s->graph, &unit->devices[0]->info, unit->num_devices, db,
        (clv_cost_setting){.is_exact = unit->is_exact}, &costs));
    memcpy(out_ways, costs.ways, s->graph->num_nodes * sizeof *out_ways);
    clv_unit_costs_deinit(&costs);
    return NULL;
}

/* --- comparing ------------------------------------------------------------------------------- */

/* What ran on a node's two sides; false: the same, or nobody knows how long. */
static bool is_told(const searcher *s, size_t node, candidate **out_one, candidate **out_other) {
    const clv_trial *before = &s->result->before, *after = &s->result->after;
    *out_one = find(s, node, &before->ways[node]);
    *out_other = find(s, node, &after->ways[node]);
    return *out_one != NULL && *out_other != NULL &&
           !is_same_key((*out_one)->key, (*out_other)->key) && before->own_us[node] > 0 &&
           after->own_us[node] > 0;
}

/* What one takes follows from the other's time and the ratio of both, over all nodes that are the
 * same. Of the first that is not known yet, its time here. */
static clv_status *learn_node(searcher *s, size_t node, fresh how) {
    const clv_trial *before = &s->result->before, *after = &s->result->after;
    double before_us = 0, after_us = 0, count = 0;
    candidate *one, *other, *a, *b;
    if (!is_told(s, node, &one, &other)) {
        return NULL;
    }
    for (size_t i = 0; i < s->graph->num_nodes; i++) {
        if (is_told(s, i, &a, &b) && is_same_key(a->key, one->key) &&
            is_same_key(b->key, other->key)) {
            if (i < node) {
                return NULL; /* was told of that one */
            }
            before_us += before->own_us[i];
            after_us += after->own_us[i];
            count++;
        }
    }
    double known_us = time_of(s, one->key);
    if (isnan(known_us)) {
        known_us = before_us / count;
        CLV_TRY(set_time(s, one->key, known_us, before->num_runs));
    }
    CLV_TRY(set_freshness(s, other->key, how));
    return set_time(s, other->key, known_us * after_us / before_us, after->num_runs);
}

/* Runs what was chosen against something else. */
static clv_status *compare(searcher *s, const clv_way *other, fresh how) {
    clv_search_result *r = s->result;
    const clv_way *const sides[] = {s->before, other};
    clv_trial trials[2] = {r->before, r->after};
    clv_status *status = s->request->compare(s->request->context, sides, how == COMPARED, trials);
    r->before = trials[0];
    r->after = trials[1];
    const bool has_both = r->before.num_runs != 0 && r->after.num_runs != 0;
    for (size_t i = 0; i < s->graph->num_nodes && has_both; i++) {
        status = clv_status_join(status, learn_node(s, i, how));
    }
    return status;
}

/* --- rounds ---------------------------------------------------------------------------------- */

/* The next that is not known and was not tried. */
static candidate *next_unknown(const searcher *s, size_t node) {
    const bool has_all = s->request->level == CLV_SEARCH_EXHAUSTIVE;
    for (size_t i = s->first[node]; i < s->first[node + 1]; i++) {
        candidate *c = &s->candidates[i];
        if (!c->is_tried && (has_all || !c->is_plainest) && isnan(time_of(s, c->key))) {
            return c;
        }
    }
    return NULL;
}

static bool is_doubtful(const searcher *s, size_t node, const candidate *c) {
    return c != NULL && freshness(s, c->key) == KNOWN_BEFORE && !isnan(time_of(s, c->key)) &&
           !is_same(s, node, &c->way, &s->before[node]);
}

/* What was measured in another search, once, when others may have been at work: what would be
 * chosen if nothing were known, else the fastest, unless it is far from the one that is chosen. */
static candidate *next_doubtful(const searcher *s, size_t node) {
    const candidate *chosen = find(s, node, &s->before[node]);
    candidate *best = find(s, node, &s->usual[node]);
    if (is_doubtful(s, node, best)) {
        return best;
    }
    double best_us = chosen != NULL ? doubtful * time_of(s, chosen->key) : (double)NAN;
    best = NULL;
    for (size_t i = s->first[node]; i < s->first[node + 1]; i++) {
        candidate *c = &s->candidates[i];
        if (is_doubtful(s, node, c) && time_of(s, c->key) < best_us) {
            best = c;
            best_us = time_of(s, c->key);
        }
    }
    return best;
}

typedef candidate *(*next_candidate)(const searcher *s, size_t node);

/* For each node one more, where there is one, beside what was chosen. */
static uint32_t want(searcher *s, next_candidate next, bool is_looked_at_only) {
    uint32_t count = 0;
    for (size_t i = 0; i < s->graph->num_nodes; i++) {
        candidate *c = s->before[i].variant != NULL ? next(s, i) : NULL;
        s->wanted[i] = c != NULL ? c->way : s->before[i];
        if (c != NULL && !is_looked_at_only) {
            c->is_tried = true; /* it may turn out that the node's neighbours forbid it */
        }
        count += c != NULL ? 1 : 0;
    }
    return count;
}

static clv_status *try_unknown(searcher *s, double end_us) {
    const uint32_t most = s->request->level == CLV_SEARCH_FAST ? 1 : UINT32_MAX;
    clv_search_result *r = s->result;
    while (r->rounds < most && clv_time_us() < end_us) {
        const uint32_t count = want(s, next_unknown, false);
        if (count == 0) {
            break;
        }
        CLV_TRY(compare(s, s->wanted, MEASURED));
        r->rounds++;
        r->measured += count;
    }
    r->left_over = want(s, next_unknown, true);
    return NULL;
}

static clv_status *try_again(searcher *s, double end_us, uint32_t most) {
    for (uint32_t i = 0; i < most && clv_time_us() < end_us; i++) {
        const uint32_t count = want(s, next_doubtful, true);
        if (count == 0) {
            break;
        }
        for (size_t n = 0; n < s->graph->num_nodes; n++) { /* also where neighbours forbid it */
            const candidate *c = find(s, n, &s->wanted[n]);
            if (c != NULL && freshness(s, c->key) == KNOWN_BEFORE) {
                CLV_TRY(set_freshness(s, c->key, MEASURED));
            }
        }
        CLV_TRY(compare(s, s->wanted, MEASURED));
        s->result->repeated += count;
    }
    return NULL;
}

/* --- the choice ------------------------------------------------------------------------------ */

static clv_status *set_back(searcher *s, size_t node, const candidate *c) {
    const candidate *chosen = find(s, node, &s->before[node]);
    const double us = chosen != NULL ? setback * time_of(s, chosen->key) : (double)NAN;
    return time_of(s, c->key) < us ? set_time(s, c->key, us, 1) : NULL;
}

/* Leaves what was chosen, what was compared with it, what takes less than that share of it, and
 * what would be chosen if nothing were known, which may save reorders. */
static clv_status *set_back_uncompared(searcher *s, double share) {
    for (size_t n = 0; n < s->graph->num_nodes; n++) {
        const candidate *chosen = find(s, n, &s->before[n]);
        const double most_us = chosen != NULL ? share * time_of(s, chosen->key) : (double)NAN;
        for (size_t i = s->first[n]; i < s->first[n + 1]; i++) {
            const candidate *c = &s->candidates[i];
            if (freshness(s, c->key) != COMPARED && !is_same(s, n, &c->way, &s->before[n]) &&
                !is_same(s, n, &c->way, &s->usual[n]) && !(time_of(s, c->key) < most_us)) {
                CLV_TRY(set_back(s, n, c));
            }
        }
    }
    return NULL;
}

/* Of what was chosen and made the graph no faster: what takes longer with its reorders, of which no
 * kernel's time tells; if nothing does, everything. */
static clv_status *set_back_chosen(searcher *s) {
    const clv_trial *before = &s->result->before, *after = &s->result->after;
    bool is_found = false;
    for (int pass = 0; pass < 2 && !is_found; pass++) {
        for (size_t n = 0; n < s->graph->num_nodes; n++) {
            const candidate *one = find(s, n, &s->before[n]), *other = find(s, n, &s->after[n]);
            if (one != NULL && other != NULL && !is_same_key(one->key, other->key) &&
                (pass == 1 || !(after->node_us[n] < before->node_us[n]))) {
                is_found = true;
                CLV_TRY(set_back(s, n, other));
            }
        }
    }
    return NULL;
}

/* Of two trials of the same ways, what was faster. */
static void take_faster(size_t num_nodes, const clv_trial *again, clv_trial *trial) {
    trial->total_us = 0;
    for (size_t i = 0; i < num_nodes; i++) {
        trial->own_us[i] = fmin(trial->own_us[i], again->own_us[i]);
        trial->node_us[i] = fmin(trial->node_us[i], again->node_us[i]);
        trial->total_us += isnan(trial->node_us[i]) ? 0 : trial->node_us[i];
    }
}

static clv_status *confirm(searcher *s, clv_trial again[2]) {
    clv_search_result *r = s->result;
    for (int i = 0; i < NUM_CONFIRMATIONS; i++) {
        const bool is_swapped = i % 2 == 0; /* which makes both of them ready anew */
        const clv_way *const sides[] = {
            is_swapped ? s->after : s->before, is_swapped ? s->before : s->after};
        CLV_TRY(s->request->compare(s->request->context, sides, true, again));
        take_faster(s->graph->num_nodes, &again[is_swapped], &r->before);
        take_faster(s->graph->num_nodes, &again[!is_swapped], &r->after);
    }
    return NULL;
}

/* Of what differs, and reorders wherever they are. */
static double different_us(const searcher *s, const clv_trial *trial) {
    double sum = 0;
    for (size_t i = 0; i < s->graph->num_nodes; i++) {
        const bool differs = !is_same(s, i, &s->before[i], &s->after[i]);
        const double us = trial->node_us[i] - (differs ? 0 : trial->own_us[i]);
        sum += isnan(us) ? 0 : us;
    }
    return sum;
}

static bool seems_faster(const searcher *s) {
    return different_us(s, &s->result->after) < different_us(s, &s->result->before);
}

/* Whether the graph is faster, and by what was changed. */
static clv_status *is_faster(searcher *s, bool *out_is_faster) {
    const clv_search_result *r = s->result;
    clv_trial again[2] = {{.num_runs = 0}};
    *out_is_faster = false;
    if (!seems_faster(s)) {
        return NULL;
    }
    clv_status *status = clv_trial_init(s->graph->num_nodes, &again[0]);
    if (status == NULL) {
        status = clv_trial_init(s->graph->num_nodes, &again[1]);
    }
    if (status == NULL) {
        status = confirm(s, again);
    }
    *out_is_faster = status == NULL && seems_faster(s) && r->after.total_us < r->before.total_us;
    clv_trial_deinit(&again[0]);
    clv_trial_deinit(&again[1]);
    return status;
}

/* Compares what would be chosen with what was, until what is told of that would choose it again.
 * Then the whole graph decides. */
static clv_status *decide(searcher *s) {
    clv_search_result *r = s->result;
    for (int i = 0; i < MOST_FINALS; i++) {
        CLV_TRY(set_back_uncompared(s, i < FIRST_FINALS ? 1 - least_promise : 0));
        CLV_TRY(choose(s, s->times, s->after));
        if (count_different(s, s->before, s->after) == 0) {
            return NULL;
        }
        CLV_TRY(compare(s, s->after, COMPARED));
        CLV_TRY(choose(s, s->times, s->wanted));
        const bool is_settled = count_different(s, s->wanted, s->after) == 0;
        if (is_settled) {
            CLV_TRY(is_faster(s, &r->is_changed));
            if (r->is_changed) {
                return NULL;
            }
            r->not_kept += count_different(s, s->before, s->after);
            CLV_TRY(set_back_chosen(s));
        }
    }
    return NULL;
}

/* Only where that leaves the choice as it was decided. */
static clv_status *keep(searcher *s) {
    CLV_TRY(choose(s, s->times, s->wanted));
    const clv_way *decided = s->result->is_changed ? s->after : s->before;
    return count_different(s, s->wanted, decided) == 0 ? save_times(s) : NULL;
}

/* --- all of it ------------------------------------------------------------------------------- */

static clv_status *searcher_init(searcher *s) {
    size_t most = 0;
    const size_t num_nodes = s->graph->num_nodes;
    for (size_t i = 0; i < num_nodes; i++) {
        const clv_node *node = &s->graph->nodes[i];
        most += has_kernels(node) ? num_candidates(node->op->kernels) : 0;
    }
    s->candidates = clv_alloc_zeroed(most + 1, sizeof *s->candidates);
    s->first = clv_alloc_zeroed(num_nodes + 1, sizeof *s->first);
    s->before = clv_alloc_zeroed(num_nodes + 1, sizeof *s->before);
    s->after = clv_alloc_zeroed(num_nodes + 1, sizeof *s->after);
    s->usual = clv_alloc_zeroed(num_nodes + 1, sizeof *s->usual);
    s->wanted = clv_alloc_zeroed(num_nodes + 1, sizeof *s->wanted);
    if (s->candidates == NULL || s->first == NULL || s->before == NULL || s->after == NULL ||
        s->usual == NULL || s->wanted == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a search");
    }
    CLV_TRY(clv_trial_init(num_nodes, &s->result->before));
    CLV_TRY(clv_trial_init(num_nodes, &s->result->after));
    CLV_TRY(clv_cost_db_open(NULL, &s->times));
    CLV_TRY(clv_cost_db_open(NULL, &s->fresh));
    return list_candidates(s);
}

static void searcher_deinit(searcher *s) {
    clv_cost_db_close(s->times);
    clv_cost_db_close(s->fresh);
    clv_free(s->candidates);
    clv_free(s->first);
    clv_free(s->before);
    clv_free(s->after);
    clv_free(s->usual);
    clv_free(s->wanted);
}

static clv_status *search(searcher *s) {
    const double end_us = clv_time_us() + s->request->budget_us;
    const uint32_t repeats = s->request->level == CLV_SEARCH_FAST ? 1 : MOST_REPEATS;
    CLV_TRY(choose(s, s->request->calibration.db, s->before));
    CLV_TRY(choose(s, s->times, s->usual)); /* nothing is in there yet */
    CLV_TRY(load_times(s));
    CLV_TRY(compare(s, NULL, MEASURED));
    CLV_TRY(try_again(s, end_us, 1)); /* what it may have got wrong before what it may find */
    CLV_TRY(try_unknown(s, end_us));
    CLV_TRY(try_again(s, end_us, repeats));
    CLV_TRY(decide(s));
    return keep(s);
}

clv_status *clv_search(const clv_search_request *request, clv_search_result *out_result) {
    const clv_exec_unit *unit = request->calibration.unit;
    clv_search_request whole = *request;
    searcher s = {
        .request = &whole,
        .result = out_result,
        .graph = request->calibration.graph,
        .unit = clv_unit_key(&unit->devices[0]->info, unit->num_devices),
        .traits = clv_exec_unit_traits(unit),
    };
    clv_duel *duel = NULL;
    *out_result = (clv_search_result){0};
    clv_status *status = NULL;
    if (request->compare == NULL) {
        status = clv_duel_create(&request->calibration, &duel);
        whole.compare = clv_duel_run;
        whole.context = duel;
    }
    if (status == NULL) {
        status = searcher_init(&s);
    }
    if (status == NULL) {
        status = search(&s);
    }
    clv_duel_destroy(duel);
    searcher_deinit(&s);
    return status;
}

void clv_search_result_deinit(clv_search_result *result) {
    clv_trial_deinit(&result->before);
    clv_trial_deinit(&result->after);
}
