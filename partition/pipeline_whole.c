/* Small problems whole: every assignment of atoms to units, as long as edges lead from stage to
 * stage. Those with the least loads are scored, with the requests in flight that memory admits, and
 * the best of these run on the clock.
 */
#include "host/base/memory.h"
#include "partition/pipeline.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline")

/* MOST_CLOCKED: of the best by their scores. */
enum { MAX_ASSIGNMENTS = 60000, MOST_CLOCKED = 8 };

typedef struct candidate {
    double us;        /* its load, then its score */
    uint32_t *choice; /* [num_atoms] */
} candidate;

typedef struct enumeration {
    const clv_pipe *pipe;
    clv_draft draft; /* pieces are changed in place */
    uint32_t num_units;
    uint32_t *choice, *rank; /* [num_atoms] index of pipe->units; [num_units] stage */
    candidate best[MOST_CLOCKED + 1];
    uint32_t num_best;
    bool by_load; /* what counts for now */
} enumeration;

static uint32_t count_units(const clv_pipe *pipe) {
    uint32_t num_units = 0;
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        num_units += pipe->sorts[k].count;
    }
    return num_units;
}

bool clv_pipe_is_small(const clv_pipe *pipe) {
    double count = 1;
    uint32_t num_units = count_units(pipe);
    for (uint32_t i = 0; i < pipe->num_atoms && count <= MAX_ASSIGNMENTS; i++) {
        count *= num_units;
    }
    return num_units <= 64 && count <= MAX_ASSIGNMENTS;
}

/* INFINITY and no error where the draft does not fit, or deadlocks. */
static clv_status *forgive(clv_status *status, double *out_us) {
    bool is_known =
        clv_status_code(status) == CLV_NO_MEMORY || clv_status_code(status) == CLV_UNSUPPORTED;
    if (status != NULL && is_known) {
        clv_status_destroy(status);
        status = NULL;
        *out_us = (double)INFINITY;
    }
    return status;
}

clv_status *clv_pipe_promise(const clv_problem *problem, clv_draft *draft, double *out_us) {
    clv_status *status = clv_draft_score(problem, draft);
    if (status == NULL) {
        status = clv_draft_clock(problem, draft);
    }
    *out_us = draft->period_us;
    return forgive(status, out_us);
}

/* Ranks units so that edges never lead back; false where they go in a circle, or there are too
 * many stages. */
static bool rank_units(enumeration *e, uint32_t *out_num_stages) {
    const clv_pipe *pipe = e->pipe;
    memset(e->rank, 0, e->num_units * sizeof *e->rank);
    for (uint32_t round = 0; round <= e->num_units; round++) {
        bool is_changed = false;
        for (uint32_t atom = 0; atom < pipe->num_atoms; atom++) {
            uint32_t from = e->choice[atom];
            for (uint32_t i = pipe->first_next[atom]; i < pipe->first_next[atom + 1]; i++) {
                uint32_t to = e->choice[pipe->next[i]];
                if (from != to && e->rank[to] <= e->rank[from]) {
                    e->rank[to] = e->rank[from] + 1;
                    is_changed = true;
                }
            }
        }
        if (!is_changed) {
            uint64_t used = 0;
            *out_num_stages = 0;
            for (uint32_t atom = 0; atom < pipe->num_atoms; atom++) {
                *out_num_stages += (used >> e->choice[atom] & 1) == 0 ? 1 : 0;
                used |= (uint64_t)1 << e->choice[atom];
            }
            return *out_num_stages <= pipe->max_stages;
        }
    }
    return false;
}

/* Units that are neither linked by stages nor in one keep ranks of their own. */
static void spread_ranks(enumeration *e) {
    uint32_t next = 0, ranks[64];
    bool is_used[64] = {false};
    for (uint32_t atom = 0; atom < e->pipe->num_atoms; atom++) {
        is_used[e->choice[atom]] = true;
    }
    for (uint32_t rank = 0; rank <= e->num_units; rank++) {
        for (uint32_t u = 0; u < e->num_units; u++) {
            if (is_used[u] && e->rank[u] == rank) {
                ranks[u] = next++;
            }
        }
    }
    for (uint32_t u = 0; u < e->num_units; u++) {
        e->rank[u] = is_used[u] ? ranks[u] : 0;
    }
    e->draft.groups->num_stages = next;
}

/* The draft of the choice at hand; false: it is none. */
static bool place_choice(enumeration *e) {
    const clv_pipe *pipe = e->pipe;
    clv_group *group = e->draft.groups;
    uint32_t num_stages;
    for (uint32_t atom = 0; atom < pipe->num_atoms; atom++) {
        uint32_t sort = 0;
        while (e->choice[atom] >= pipe->sorts[sort].first + pipe->sorts[sort].count) {
            sort++;
        }
        if (isinf(pipe->time_us[(size_t)atom * pipe->num_sorts + sort])) {
            return false;
        }
    }
    if (!rank_units(e, &num_stages)) {
        return false;
    }
    spread_ranks(e);
    group->is_folded = false;
    for (uint32_t i = 0; i < pipe->problem->costs->workload->num_tasks; i++) {
        uint32_t choice = e->choice[pipe->atom_of_task[i]];
        group->pieces[i].unit = pipe->units[choice];
        group->placements[i].stage = e->rank[choice];
    }
    return true;
}

/* The load, or the period by sums at a depth that memory admits; INFINITY where the load is
 * `worst_us` or more. */
static clv_status *score_choice(enumeration *e, double worst_us, double *out_us) {
    const clv_problem *problem = e->pipe->problem;
    uint32_t depth = problem->request->depth > 0 ? problem->request->depth : 1;
    *out_us = (double)INFINITY;
    clv_evaluate_begin(problem->ev);
    CLV_TRY(clv_evaluate_loads(problem->ev, e->draft.groups, 1));
    double load_us = clv_evaluate_bound(problem->ev, NULL);
    if (load_us >= worst_us) {
        return NULL;
    }
    CLV_TRY(clv_evaluate_memory(problem->ev, e->draft.groups, depth));
    if (!clv_evaluate_fits(problem->ev)) {
        return NULL;
    }
    *out_us = load_us;
    if (e->by_load || clv_group_blocks(problem->costs, e->draft.groups)) {
        return NULL; /* of full buffers only the clock can tell */
    }
    if (e->pipe->is_back != NULL) {
        clv_pipe_number_back(e->pipe, e->draft.groups);
    }
    clv_status *status = clv_draft_score(problem, &e->draft);
    *out_us = e->draft.period_us;
    return forgive(status, out_us);
}

/* Keeps the choice at hand if it is one of the best: before none that is as good. */
static clv_status *try_choice(enumeration *e) {
    double us, worst_us = e->num_best == MOST_CLOCKED ? e->best[e->num_best - 1].us : INFINITY;
    if (!place_choice(e)) {
        return NULL;
    }
    CLV_TRY(score_choice(e, worst_us, &us));
    size_t bytes = e->pipe->num_atoms * sizeof *e->choice;
    bool is_known = us >= worst_us;
    for (uint32_t i = 0; i < e->num_best && !is_known; i++) {
        is_known = memcmp(e->best[i].choice, e->choice, bytes) == 0;
    }
    if (is_known) {
        return NULL;
    }
    candidate last = e->best[e->num_best];
    uint32_t at = e->num_best;
    for (; at > 0 && e->best[at - 1].us > us; at--) {
        e->best[at] = e->best[at - 1];
    }
    e->best[at] = (candidate){us, last.choice};
    memcpy(last.choice, e->choice, bytes);
    e->num_best += e->num_best < MOST_CLOCKED ? 1 : 0;
    return NULL;
}

static clv_status *try_all(enumeration *e) {
    const clv_pipe *pipe = e->pipe;
    memset(e->choice, 0, pipe->num_atoms * sizeof *e->choice);
    for (;;) {
        uint32_t at = 0;
        CLV_TRY(try_choice(e));
        while (at < pipe->num_atoms && ++e->choice[at] == e->num_units) {
            e->choice[at++] = 0;
        }
        if (at == pipe->num_atoms) {
            return NULL;
        }
    }
}

static void take_candidate(enumeration *e, uint32_t index) {
    memcpy(e->choice, e->best[index].choice, e->pipe->num_atoms * sizeof *e->choice);
    place_choice(e); /* it was one before */
}

static clv_status *clock_candidate(enumeration *e, uint32_t index, double *out_us) {
    take_candidate(e, index);
    if (e->pipe->is_back != NULL) {
        clv_pipe_number_back(e->pipe, e->draft.groups);
    }
    return clv_pipe_promise(e->pipe->problem, &e->draft, out_us);
}

/* Scores the choices of the least loads; *out_next_us is a load that all others reach. */
static clv_status *score_best(enumeration *e, double *out_next_us) {
    *out_next_us = e->num_best < MOST_CLOCKED ? (double)INFINITY : e->best[e->num_best - 1].us;
    e->by_load = false;
    for (uint32_t i = 0; i < e->num_best; i++) {
        take_candidate(e, i);
        CLV_TRY(score_choice(e, (double)INFINITY, &e->best[i].us));
        for (uint32_t k = i; k > 0 && e->best[k - 1].us > e->best[k].us; k--) {
            candidate other = e->best[k - 1];
            e->best[k - 1] = e->best[k];
            e->best[k] = other;
        }
    }
    return NULL;
}

/* The choice that a draft was made of. */
static void read_choice(enumeration *e, const clv_draft *draft) {
    const clv_pipe *pipe = e->pipe;
    for (uint32_t i = 0; i < pipe->problem->costs->workload->num_tasks; i++) {
        uint32_t *choice = &e->choice[pipe->atom_of_task[i]];
        for (*choice = 0; pipe->units[*choice] != draft->groups[0].pieces[i].unit;) {
            (*choice)++;
        }
    }
}

/* The best on the clock of the best by their scores; CLV_NO_INDEX: none fits. */
static clv_status *find_best(enumeration *e, double *out_us, uint32_t *out_index) {
    double best_us = (double)INFINITY;
    *out_index = CLV_NO_INDEX;
    for (uint32_t i = 0; i < e->num_best && e->best[i].us < best_us * (1 - 1e-9); i++) {
        double us;
        CLV_TRY(clock_candidate(e, i, &us));
        if (us < best_us * (1 - 1e-9)) {
            best_us = us;
            *out_index = i;
        }
    }
    *out_us = best_us;
    return NULL;
}

static clv_status *search_whole(
    enumeration *e, double least_us, clv_draft *draft, bool *out_is_tried) {
    uint32_t best = CLV_NO_INDEX;
    double us, next_us;
    e->by_load = true;
    if (draft->groups != NULL) {
        read_choice(e, draft);
        CLV_TRY(try_choice(e));
    }
    if (e->num_best > 0) {
        CLV_TRY(clock_candidate(e, 0, &us));
        if (us <= least_us * (1 + 1e-3)) {
            return NULL;
        }
    }
    *out_is_tried = true;
    CLV_TRY(try_all(e));
    CLV_TRY(score_best(e, &next_us));
    CLV_TRY(find_best(e, &us, &best));
    if (us > next_us * (1 + 1e-3)) { /* others may do better, with less in flight or waiting */
        CLV_TRY(try_all(e));
        CLV_TRY(find_best(e, &us, &best));
    }
    if (best != CLV_NO_INDEX) {
        take_candidate(e, best);
        e->draft.groups->depth = 1;
        *draft = e->draft;
    }
    return NULL;
}

clv_status *clv_pipe_search_whole(
    const clv_pipe *pipe, double least_us, clv_draft *draft, bool *out_is_tried) {
    size_t atoms = pipe->num_atoms, count = pipe->problem->costs->workload->num_tasks;
    enumeration e = {.pipe = pipe, .num_units = count_units(pipe)};
    uint32_t *block =
        clv_alloc_zeroed(count + atoms * (MOST_CLOCKED + 2) + e.num_units + 1, sizeof *block);
    clv_status *status = NULL;
    *out_is_tried = false;
    if (block == NULL) {
        return NO_MEMORY_HERE();
    }
    e.choice = block + count;
    for (int i = 0; i <= MOST_CLOCKED; i++) {
        e.best[i].choice = e.choice + (size_t)(i + 1) * atoms;
    }
    e.rank = e.best[MOST_CLOCKED].choice + atoms;
    CLV_TRY_DONE(clv_draft_from_units(
        pipe->problem, block, NULL, "keeps the most loaded stage small", &e.draft));
    CLV_TRY_DONE(search_whole(&e, least_us, draft, out_is_tried));
done:
    clv_free(block);
    return status;
}
