/* Small problems whole: every assignment of atoms to units, as long as edges lead from stage to
 * stage. Those with the least loads are scored, with the requests in flight that memory admits, and
 * the best of these run on the clock: as they are, then, while none does there what others promise,
 * with their tasks in several orders, since transfers may hold one another up in one of them alone.
 */
#include "host/base/memory.h"
#include "partition/pipeline.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline")

/* MOST_CLOCKED: of the best by their scores. */
enum { MAX_ASSIGNMENTS = 60000, MOST_CLOCKED = 8 };
static const double same = 1e-3; /* of periods, as parts of them */

/* Of tasks: none (units do what is ready); by stages; also, in each stage, first what others wait
 * for; first what waits for no others; by index. */
typedef enum task_order {
    READY,
    BY_STAGE,
    FEEDING_FIRST,
    FED_LAST,
    BY_INDEX,
    NUM_TASK_ORDERS
} task_order;

typedef struct candidate {
    double us;        /* its load, then its score */
    task_order order; /* that does best on the clock, so far */
    uint32_t *choice; /* [num_atoms] */
} candidate;

typedef struct enumeration {
    const clv_pipe *pipe;
    clv_draft draft; /* pieces are changed in place */
    uint32_t num_units;
    uint32_t *choice, *rank; /* [num_atoms] index of pipe->units; [num_units] stage */
    uint32_t *order;         /* [num_tasks], in the problem's arena */
    bool *is_late;           /* [num_tasks] */
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
    e->best[at] = (candidate){us, READY, last.choice};
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

/* In e->is_late those of a stage that come behind others of it. */
static void mark_late(enumeration *e, task_order order) {
    const clv_workload *workload = e->pipe->problem->costs->workload;
    const clv_placement *placements = e->draft.groups->placements;
    uint32_t count = workload->num_tasks;
    for (uint32_t i = 0; i < count; i++) {
        e->is_late[i] = order == FEEDING_FIRST;
    }
    for (uint32_t n = 0; n < count && (order == FEEDING_FIRST || order == FED_LAST); n++) {
        uint32_t i = order == FED_LAST ? n : count - 1 - n;
        const clv_task *task = &workload->tasks[i];
        for (uint32_t k = 0; k < task->num_inputs; k++) {
            uint32_t from = workload->tensors[task->inputs[k]].producer;
            bool is_known = from != CLV_NO_TASK;
            bool is_other = is_known && placements[from].stage != placements[i].stage;
            if (is_known && order == FED_LAST) {
                e->is_late[i] = e->is_late[i] || is_other || e->is_late[from];
            } else if (is_known) {
                e->is_late[from] = e->is_late[from] && !is_other && e->is_late[i];
            }
        }
    }
}

/* Of the tasks of the draft at hand, whose edges lead to no earlier stage. */
static void set_order(enumeration *e, task_order order) {
    clv_group *group = e->draft.groups;
    uint32_t count = e->pipe->problem->costs->workload->num_tasks, n = 0;
    uint32_t num_stages = order == BY_INDEX ? 1 : group->num_stages;
    group->order = order == READY ? NULL : e->order;
    mark_late(e, order);
    for (uint32_t k = 0; order != READY && k < 2 * num_stages; k++) {
        for (uint32_t i = 0; i < count; i++) {
            bool is_it = order == BY_INDEX || group->placements[i].stage == k / 2;
            if (is_it && e->is_late[i] == (k % 2 == 1)) {
                e->order[n++] = i;
            }
        }
    }
}

static void take_candidate(enumeration *e, uint32_t index, task_order order) {
    memcpy(e->choice, e->best[index].choice, e->pipe->num_atoms * sizeof *e->choice);
    place_choice(e); /* it was one before */
    set_order(e, order);
}

static clv_status *clock_candidate(
    enumeration *e, uint32_t index, task_order order, double *out_us) {
    take_candidate(e, index, order);
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
        take_candidate(e, i, READY);
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

/* The best on the clock of the best by their scores; CLV_NO_INDEX: none fits. Orders are tried
 * where they may gain something; folded, tasks keep to none. */
static clv_status *find_best(enumeration *e, double *out_us, uint32_t *out_index) {
    const double least_gain = 1e-3;
    clv_draft as_scored = {.groups = e->draft.groups, .num_groups = 1};
    double best_us = (double)INFINITY;
    uint32_t num_orders = e->pipe->is_back != NULL ? 1 : NUM_TASK_ORDERS;
    *out_index = CLV_NO_INDEX;
    for (uint32_t order = READY; order < num_orders; order++) {
        double gain = order == READY ? 1e-9 : least_gain;
        for (uint32_t i = 0; i < e->num_best && e->best[i].us < best_us * (1 - gain); i++) {
            double us;
            CLV_TRY(clock_candidate(e, i, (task_order)order, &us));
            if (us < best_us * (1 - gain)) {
                best_us = us;
                e->best[i].order = (task_order)order;
                *out_index = i;
            }
        }
        if (!clv_draft_is_clocked(e->pipe->problem, &as_scored)) {
            break;
        }
    }
    *out_us = best_us;
    return NULL;
}

static clv_status *search_whole(
    enumeration *e, double least_us, clv_draft *draft, clv_pipe_whole *out_result) {
    uint32_t best = CLV_NO_INDEX;
    double us, next_us;
    e->by_load = true;
    if (draft->groups != NULL) {
        read_choice(e, draft);
        CLV_TRY(try_choice(e));
    }
    if (e->num_best > 0) {
        CLV_TRY(clock_candidate(e, 0, READY, &us));
        if (us <= least_us * (1 + same)) {
            return NULL;
        }
    }
    CLV_TRY(try_all(e));
    CLV_TRY(score_best(e, &next_us));
    CLV_TRY(find_best(e, &us, &best));
    if (us > next_us * (1 + same)) { /* others may do better, with less in flight or waiting */
        CLV_TRY(try_all(e));
        CLV_TRY(find_best(e, &us, &best));
        next_us = e->best[0].us;
    }
    /* None is faster than its sums say. */
    bool is_exact = best == CLV_NO_INDEX || us <= fmin(e->best[0].us, next_us) * (1 + same);
    *out_result = is_exact ? CLV_PIPE_WHOLE_EXACT : CLV_PIPE_WHOLE_BEST;
    if (best != CLV_NO_INDEX) {
        take_candidate(e, best, e->best[best].order);
        e->draft.groups->depth = 1;
        *draft = e->draft;
    }
    return NULL;
}

clv_status *clv_pipe_search_whole(
    const clv_pipe *pipe, double least_us, clv_draft *draft, clv_pipe_whole *out_result) {
    size_t atoms = pipe->num_atoms, count = pipe->problem->costs->workload->num_tasks;
    enumeration e = {.pipe = pipe, .num_units = count_units(pipe)};
    uint32_t *block =
        clv_alloc_zeroed(count + atoms * (MOST_CLOCKED + 2) + e.num_units + 1, sizeof *block);
    clv_status *status = NULL;
    *out_result = CLV_PIPE_WHOLE_NO;
    e.order = clv_arena_alloc(pipe->problem->arena, count, sizeof *e.order);
    e.is_late = clv_arena_alloc(pipe->problem->arena, count, sizeof *e.is_late);
    if (block == NULL || e.order == NULL || e.is_late == NULL) {
        clv_free(block);
        return NO_MEMORY_HERE();
    }
    e.choice = block + count;
    for (int i = 0; i <= MOST_CLOCKED; i++) {
        e.best[i].choice = e.choice + (size_t)(i + 1) * atoms;
    }
    e.rank = e.best[MOST_CLOCKED].choice + atoms;
    CLV_TRY_DONE(clv_draft_from_units(
        pipe->problem, block, NULL, "keeps the most loaded stage small", &e.draft));
    CLV_TRY_DONE(search_whole(&e, least_us, draft, out_result));
done:
    clv_free(block);
    return status;
}
