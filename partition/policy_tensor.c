/* Operators cut over units in proportion to their speed. Each task is whole, or cut one of its
 * ways; which is chosen by dynamic programming over the forest of each task's largest input, moves
 * between the pieces of neighbours counted: where axes agree nothing moves. Tried with several
 * numbers of units; the best is measured on the whole.
 */
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

enum { MAX_OPTIONS = 8 };

typedef struct option {
    clv_placement placement; /* first_piece counts from `pieces` */
    const clv_piece *pieces;
    double own_us;     /* slowest piece, and what a sum costs */
    double best_us;    /* with all that hangs below */
    double best_bytes; /* that then go from unit to unit, also where that takes no time */
} option;

typedef struct tensor_search {
    const clv_problem *problem;
    const clv_workload *workload;
    clv_arena *arena; /* of options */
    uint32_t *units;  /* those that can run most first, then the fastest; as given with shares */
    uint32_t num_units;
    bool must_split; /* wherever there is a way to */
    bool keeps_axes; /* where it takes as long */
    option *options; /* [num_tasks][MAX_OPTIONS] */
    uint32_t *num_options;
    uint32_t *parent, *parent_tensor, *chosen; /* [num_tasks] */
} tensor_search;

/* --- options --- */

static double share_of(const tensor_search *s, uint32_t task, uint32_t k) {
    const clv_plan_request *request = s->problem->request;
    uint32_t unit = s->units[k];
    if (!clv_problem_allows(s->problem, task, unit)) {
        return 0;
    }
    if (request->tensor_shares != NULL) {
        return unit < request->num_tensor_shares ? request->tensor_shares[unit] : 0;
    }
    double time_us = clv_costs_time_us(s->problem->costs, task, unit);
    return time_us > 0 ? 1 / time_us : 1;
}

/* Grains of each unit, nearest to the shares. */
static void deal_grains(
    const tensor_search *s, uint32_t task, const clv_task_split *split, int64_t *out_grains) {
    double total = 0, sum = 0;
    int64_t at = 0;
    const int64_t grains = (split->extent + split->grain - 1) / split->grain;
    for (uint32_t k = 0; k < s->num_units; k++) {
        total += share_of(s, task, k);
    }
    for (uint32_t k = 0; k < s->num_units; k++) {
        const double share = share_of(s, task, k);
        sum += share;
        int64_t end = total > 0 ? (int64_t)floor(sum / total * (double)grains + 0.5) : 0;
        end = end >= grains || (total > 0 && sum >= total * (1 - 1e-12)) ? grains : end;
        out_grains[k] = share > 0 && end > at ? end - at : 0;
        at += out_grains[k];
    }
}

static double grains_us(
    const tensor_search *s, uint32_t task, int32_t split, uint32_t k, int64_t grains) {
    const clv_task_split *sp = &s->workload->tasks[task].splits[split];
    const clv_placement placement = {.split = split};
    const int64_t end = grains * sp->grain;
    const clv_piece piece = {s->units[k], 0, end < sp->extent ? end : sp->extent};
    return clv_piece_time_us(s->problem->costs, task, &placement, &piece);
}

/* Who takes longest; *out_us is how long. */
static uint32_t find_longest(
    const tensor_search *s, uint32_t task, int32_t split, const int64_t *grains, double *out_us) {
    uint32_t longest = 0;
    *out_us = -1;
    for (uint32_t k = 0; k < s->num_units; k++) {
        const double us = grains[k] > 0 ? grains_us(s, task, split, k, grains[k]) : 0;
        longest = us > *out_us ? k : longest;
        *out_us = fmax(us, *out_us);
    }
    return longest;
}

/* Moves grains from who takes longest to who is through first with so many more; false: that does
 * not help. */
static bool move_grains(
    const tensor_search *s, uint32_t task, int32_t split, int64_t step, int64_t *grains) {
    double longest_us, least_us = (double)INFINITY;
    const uint32_t giver = find_longest(s, task, split, grains, &longest_us);
    uint32_t taker = CLV_NO_INDEX;
    for (uint32_t k = 0; k < s->num_units; k++) {
        if (k != giver && grains[k] > 0) {
            const double us = grains_us(s, task, split, k, grains[k] + step);
            taker = us < least_us ? k : taker;
            least_us = fmin(us, least_us);
        }
    }
    if (grains[giver] <= step || taker == CLV_NO_INDEX || !(least_us < longest_us)) {
        return false;
    }
    grains[giver] -= step;
    grains[taker] += step;
    return true;
}

/* What pieces were measured to take is not in proportion to their sizes, and slower units lose more
 * by what each piece does anew. Many grains are moved at once first, then single ones; where that
 * gains less than predictions are good for, shares stay in proportion: false. */
static bool balance_grains(
    const tensor_search *s, uint32_t task, int32_t split, int64_t *moved, int64_t *grains) {
    enum { MOST_MOVES = 16 };
    const double worth = 0.97;
    double before_us, after_us;
    int64_t all = 0;
    for (uint32_t k = 0; k < s->num_units; k++) {
        moved[k] = grains[k];
        all += grains[k];
    }
    find_longest(s, task, split, grains, &before_us);
    for (int64_t step = all / 8 > 0 ? all / 8 : 1; step > 0; step /= 2) {
        for (int i = 0; i < MOST_MOVES && move_grains(s, task, split, step, moved); i++) {
        }
    }
    find_longest(s, task, split, moved, &after_us);
    if (!(after_us < worth * before_us)) {
        return false;
    }
    memcpy(grains, moved, s->num_units * sizeof *grains);
    return true;
}

static bool is_one_memory(const tensor_search *s) {
    const clv_unit *units = s->problem->costs->machine->units;
    for (uint32_t k = 1; k < s->num_units; k++) {
        if (units[s->units[k]].memory != units[s->units[0]].memory) {
            return false;
        }
    }
    return true;
}

/* Whether pieces lie side by side in one memory, or anywhere in one output, so that neighbours read
 * them without a copy wherever they are cut. Others go in proportion, at the same places in one
 * operator after another: what lies otherwise than it is needed is moved or put together first. */
static bool lies_in_runs(const tensor_search *s, uint32_t task, const clv_task_split *split) {
    const clv_task *t = &s->workload->tasks[task];
    return is_one_memory(s) && t->num_outputs > 0 &&
           (split->join == CLV_TASK_SHARE ||
            (split->axis >= 0 &&
             clv_axis_is_run(&s->workload->tensors[t->outputs[0]], split->axis)));
}

/* Cuts in multiples of the grain, so that pieces end together, or nearest to shares that are given;
 * empty pieces are left out. */
static clv_status *cut_pieces(
    const tensor_search *s, uint32_t task, int32_t index, option *out_option) {
    enum { MOST_BALANCED = 64 }; /* of more units proportion is enough */
    const clv_task_split *split = &s->workload->tasks[task].splits[index];
    const bool is_given = s->problem->request->tensor_shares != NULL;
    int64_t at = 0;
    clv_piece *pieces = clv_arena_alloc(s->arena, s->num_units, sizeof *pieces);
    int64_t *grains = clv_arena_alloc(s->arena, 2 * (size_t)s->num_units, sizeof *grains);
    if (pieces == NULL || grains == NULL) {
        return NO_MEMORY_HERE();
    }
    *out_option = (option){.placement = {.split = index}, .pieces = pieces};
    deal_grains(s, task, split, grains);
    const bool is_balanced = !is_given && s->num_units <= MOST_BALANCED &&
                             lies_in_runs(s, task, split) &&
                             balance_grains(s, task, index, grains + s->num_units, grains);
    out_option->placement.reason = is_given      ? "cut by the shares that were given"
                                   : is_balanced ? "cut so that the units end together"
                                                 : "cut in proportion to the units' speed";
    for (uint32_t k = 0; k < s->num_units; k++) {
        const int64_t end = at + grains[k] * split->grain;
        if (grains[k] > 0) {
            pieces[out_option->placement.num_pieces++] =
                (clv_piece){s->units[k], at, end < split->extent ? end : split->extent};
            at = end;
        }
    }
    return NULL;
}

/* What a SUM costs: partial results to the first piece's unit, and adding them. */
static clv_status *join_us(const tensor_search *s, uint32_t task, const option *o, double *out_us) {
    const clv_task *t = &s->workload->tasks[task];
    *out_us = 0;
    for (uint32_t y = 0; y < t->num_outputs; y++) {
        double bytes = (double)s->workload->tensors[t->outputs[y]].bytes;
        for (uint32_t k = 1; k < o->placement.num_pieces && bytes > 0; k++) {
            double way_us;
            CLV_TRY(clv_costs_transfer_us(
                s->problem->costs, o->pieces[k].unit, o->pieces[0].unit, bytes, &way_us));
            *out_us += way_us + clv_add_us(s->problem->costs, o->pieces[0].unit, bytes);
        }
    }
    return NULL;
}

static clv_status *add_option(tensor_search *s, uint32_t task, const option *added) {
    const clv_placement *p = &added->placement;
    if (s->num_options[task] == MAX_OPTIONS) {
        return NULL;
    }
    option *o = &s->options[(size_t)task * MAX_OPTIONS + s->num_options[task]++];
    double sum_us = 0;
    *o = *added;
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        o->own_us = fmax(o->own_us, clv_piece_time_us(s->problem->costs, task, p, &o->pieces[k]));
    }
    if (p->split >= 0 && s->workload->tasks[task].splits[p->split].join == CLV_TASK_SUM) {
        CLV_TRY(join_us(s, task, o, &sum_us));
    }
    o->own_us += sum_us;
    return NULL;
}

/* Whole on one unit. */
static clv_status *add_whole_on(
    tensor_search *s, uint32_t task, uint32_t unit, const char *reason) {
    clv_piece *piece = clv_arena_alloc(s->arena, 1, sizeof *piece);
    if (piece == NULL) {
        return NO_MEMORY_HERE();
    }
    piece->unit = unit;
    const option whole = {
        .placement = {.num_pieces = 1, .split = -1, .reason = reason}, .pieces = piece};
    return add_option(s, task, &whole);
}

/* The unit that is fastest for its colocation, among those whose share is 0 only where no other can
 * run it. */
static uint32_t find_fastest(const tensor_search *s, uint32_t task) {
    uint32_t best = CLV_NO_INDEX;
    for (int pass = 0; pass < 2 && best == CLV_NO_INDEX; pass++) {
        double best_us = (double)INFINITY;
        for (uint32_t k = 0; k < s->num_units; k++) {
            const double us = clv_problem_atom_us(s->problem, task, s->units[k]);
            if (us < best_us && (pass > 0 || share_of(s, task, k) > 0)) {
                best_us = us;
                best = s->units[k];
            }
        }
    }
    return best;
}

/* Whole on the unit that is fastest, and on the first one. */
static clv_status *add_whole(tensor_search *s, uint32_t task) {
    static const char *const reason = "whole: cutting it gains less than moving data costs";
    const clv_problem *problem = s->problem;
    const bool is_pinned = problem->pins[task] != CLV_NO_INDEX;
    const uint32_t best = is_pinned ? problem->pins[task] : find_fastest(s, task);
    if (best == CLV_NO_INDEX) { /* with so many units */
        clv_problem part = *problem;
        part.units = s->units;
        part.num_units = s->num_units;
        return clv_problem_no_unit(&part);
    }
    const bool is_free = !is_pinned && s->workload->tasks[task].colocation == 0;
    if (clv_problem_allows(problem, task, best)) {
        CLV_TRY(add_whole_on(s, task, best, reason));
    }
    return is_free && best != s->units[0] && share_of(s, task, 0) > 0
               ? add_whole_on(s, task, s->units[0], reason)
               : NULL;
}

static clv_status *list_options(tensor_search *s, uint32_t task) {
    const clv_task *t = &s->workload->tasks[task];
    bool is_free = s->problem->pins[task] == CLV_NO_INDEX && t->colocation == 0;
    uint32_t only = CLV_NO_INDEX; /* whom given shares leave all pieces to */
    s->num_options[task] = 0;
    for (uint32_t i = 0; i < t->num_splits && is_free; i++) {
        option cut;
        if (t->splits[i].join == CLV_TASK_SHARE && !is_one_memory(s)) {
            continue;
        }
        CLV_TRY(cut_pieces(s, task, (int32_t)i, &cut));
        if (cut.placement.num_pieces > 1 && s->num_options[task] + 2 < MAX_OPTIONS) {
            CLV_TRY(add_option(s, task, &cut));
        }
        only = cut.placement.num_pieces == 1 && t->splits[i].extent > t->splits[i].grain
                   ? cut.pieces[0].unit
                   : only;
    }
    if (s->num_options[task] == 0 && s->problem->request->tensor_shares != NULL &&
        only != CLV_NO_INDEX) {
        return add_whole_on(s, task, only, "whole: by the shares that were given no other has any");
    }
    return s->num_options[task] == 0 || !s->must_split ? add_whole(s, task) : NULL;
}

/* --- moves between neighbours --- */

/* Whether its producer takes no time where it is, whole: others wrote it, who knows which. */
static bool is_free_of_time(
    const tensor_search *s, const clv_task_tensor *tensor, const option *from) {
    return from->placement.split < 0 &&
           clv_costs_time_us(s->problem->costs, tensor->producer, from->pieces[0].unit) == 0;
}

/* Time to bring a tensor from a producer's pieces to a consumer's: the busiest receiver. And the
 * bytes of it that go from one unit to another. */
static clv_status *move_us(
    const tensor_search *s, uint32_t tensor_index, const option *from, uint32_t task,
    const option *to, double *out_us, double *out_bytes) {
    const clv_costs *costs = s->problem->costs;
    const clv_task_tensor *tensor = &s->workload->tensors[tensor_index];
    const clv_task_split *split =
        from->placement.split >= 0
            ? &s->workload->tasks[tensor->producer].splits[from->placement.split]
            : NULL;
    uint32_t holders =
        split != NULL && split->join == CLV_TASK_SUM ? 1 : from->placement.num_pieces;
    uint32_t input = 0;
    while (s->workload->tasks[task].inputs[input] != tensor_index) {
        input++;
    }
    *out_us = *out_bytes = 0;
    for (uint32_t k = 0; k < to->placement.num_pieces; k++) {
        double sum_us =
            clv_gather_us(costs, task, input, &to->placement, &to->pieces[k], &from->placement) +
            (is_free_of_time(s, tensor, from)
                 ? 0
                 : clv_exchange_us(
                       costs, task, input, &to->placement, &to->pieces[k], &from->placement,
                       from->pieces));
        for (uint32_t h = 0; h < holders; h++) {
            double way_us = 0;
            double bytes = clv_piece_bytes(
                costs, task, input, &to->placement, &to->pieces[k], &from->placement,
                &from->pieces[h]);
            if (bytes > 0 && from->pieces[h].unit != to->pieces[k].unit) {
                CLV_TRY(clv_costs_transfer_us(
                    costs, from->pieces[h].unit, to->pieces[k].unit, bytes, &way_us));
                *out_bytes += bytes;
            }
            sum_us += way_us;
        }
        *out_us = fmax(*out_us, sum_us);
    }
    return NULL;
}

static void find_parents(tensor_search *s) {
    for (uint32_t i = 0; i < s->workload->num_tasks; i++) {
        const clv_task *task = &s->workload->tasks[i];
        uint64_t most = 0;
        s->parent[i] = CLV_NO_TASK;
        for (uint32_t k = 0; k < task->num_inputs; k++) {
            const clv_task_tensor *tensor = &s->workload->tensors[task->inputs[k]];
            if (tensor->producer != CLV_NO_TASK &&
                (s->parent[i] == CLV_NO_TASK || tensor->bytes > most)) {
                s->parent[i] = tensor->producer;
                s->parent_tensor[i] = task->inputs[k];
                most = tensor->bytes;
            }
        }
    }
}

/* What takes as long may still be gathered less: neighbours keep their axis. */
static bool is_less(
    const tensor_search *s, double us, double bytes, double than_us, double than_bytes) {
    if (!s->keeps_axes || isinf(than_us) || fabs(us - than_us) > 1e-12 * fmax(us, than_us)) {
        return us < than_us;
    }
    return bytes < than_bytes;
}

/* The option of `task` that is best below the parent's option; its cost with the move. */
static clv_status *best_below(
    const tensor_search *s, uint32_t task, const option *above, uint32_t *out_best, double *out_us,
    double *out_bytes) {
    *out_us = *out_bytes = (double)INFINITY;
    *out_best = 0;
    for (uint32_t k = 0; k < s->num_options[task]; k++) {
        const option *o = &s->options[(size_t)task * MAX_OPTIONS + k];
        double us, bytes;
        CLV_TRY(move_us(s, s->parent_tensor[task], above, task, o, &us, &bytes));
        us += o->best_us;
        bytes += o->best_bytes;
        if (is_less(s, us, bytes, *out_us, *out_bytes)) {
            *out_us = us;
            *out_bytes = bytes;
            *out_best = k;
        }
    }
    return NULL;
}

static clv_status *choose_options(tensor_search *s) {
    uint32_t count = s->workload->num_tasks;
    double us, bytes;
    for (uint32_t i = 0; i < count * (uint32_t)MAX_OPTIONS; i++) {
        s->options[i].best_us = s->options[i].own_us;
        s->options[i].best_bytes = 0;
    }
    for (uint32_t i = count; i-- > 0;) {
        uint32_t parent = s->parent[i], best;
        for (uint32_t k = 0; parent != CLV_NO_TASK && k < s->num_options[parent]; k++) {
            option *above = &s->options[(size_t)parent * MAX_OPTIONS + k];
            CLV_TRY(best_below(s, i, above, &best, &us, &bytes));
            above->best_us += us;
            above->best_bytes += bytes;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const option *mine = &s->options[(size_t)i * MAX_OPTIONS];
        uint32_t parent = s->parent[i];
        s->chosen[i] = 0;
        if (parent != CLV_NO_TASK) {
            const option *above = &s->options[(size_t)parent * MAX_OPTIONS + s->chosen[parent]];
            CLV_TRY(best_below(s, i, above, &s->chosen[i], &us, &bytes));
            continue;
        }
        for (uint32_t k = 1; k < s->num_options[i]; k++) {
            const option *best = &mine[s->chosen[i]];
            bool is_better =
                is_less(s, mine[k].best_us, mine[k].best_bytes, best->best_us, best->best_bytes);
            s->chosen[i] = is_better ? k : s->chosen[i];
        }
    }
    return NULL;
}

/* --- drafts --- */

static clv_status *draft_chosen(const tensor_search *s, clv_draft *out_draft) {
    uint32_t count = s->workload->num_tasks, num_pieces = 0;
    clv_arena *arena = s->problem->arena;
    for (uint32_t i = 0; i < count; i++) {
        num_pieces += s->options[(size_t)i * MAX_OPTIONS + s->chosen[i]].placement.num_pieces;
    }
    *out_draft = (clv_draft){.num_groups = 1};
    clv_group *group = clv_arena_alloc(arena, 1, sizeof *group);
    if (group == NULL) {
        return NO_MEMORY_HERE();
    }
    *group = (clv_group){.num_stages = 1, .share = 1, .depth = 1};
    group->placements = clv_arena_alloc(arena, count, sizeof *group->placements);
    group->pieces = clv_arena_alloc(arena, num_pieces, sizeof *group->pieces);
    if (group->placements == NULL || group->pieces == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < count; i++) {
        const option *o = &s->options[(size_t)i * MAX_OPTIONS + s->chosen[i]];
        group->placements[i] = o->placement;
        group->placements[i].first_piece = group->num_pieces;
        if (s->problem->pins[i] != CLV_NO_INDEX) {
            group->placements[i].reason = s->problem->pin_reasons[i];
        }
        memcpy(
            &group->pieces[group->num_pieces], o->pieces,
            o->placement.num_pieces * sizeof *o->pieces);
        group->num_pieces += o->placement.num_pieces;
    }
    out_draft->groups = group;
    out_draft->method = "forest of the largest inputs, moves between pieces counted";
    return NULL;
}

static clv_status *try_options(tensor_search *s, clv_draft *best, clv_status **refusal) {
    clv_draft draft;
    CLV_TRY(choose_options(s));
    CLV_TRY(draft_chosen(s, &draft));
    clv_status *failure = clv_draft_score(s->problem, &draft);
    if (failure == NULL &&
        (best->groups == NULL || clv_draft_is_better(s->problem, &draft, best))) {
        *best = draft;
    }
    *refusal = clv_refusal_join(*refusal, failure);
    return NULL;
}

/* With the first `num_units` units; what is gathered least among what is as fast comes first, and
 * where that is cheap, not minding it, as moves of smaller inputs are not in the sums. */
static clv_status *try_units(
    tensor_search *s, uint32_t num_units, bool must_split, clv_draft *best, clv_status **refusal) {
    double cost = (double)s->problem->ev->size * num_units * num_units;
    clv_status *status = NULL;
    clv_arena arena;
    clv_arena_init(&arena, 0);
    s->arena = &arena;
    s->num_units = num_units;
    s->must_split = must_split;
    for (uint32_t i = 0; i < s->workload->num_tasks; i++) {
        clv_status *failure = list_options(s, i);
        if (clv_status_code(failure) == CLV_UNSUPPORTED) { /* other units may do */
            *refusal = clv_refusal_join(*refusal, failure);
            goto done;
        }
        CLV_TRY_DONE(failure);
    }
    s->keeps_axes = true;
    CLV_TRY_DONE(try_options(s, best, refusal));
    if (cost <= (double)s->problem->budget / 8) {
        s->keeps_axes = false;
        CLV_TRY_DONE(try_options(s, best, refusal));
    }
done:
    clv_arena_deinit(&arena);
    return status;
}

typedef struct unit_rank {
    double total_us;
    uint32_t unit, index; /* where it was */
} unit_rank;

static int compare_ranks(const void *left, const void *right) {
    const unit_rank *a = left, *b = right;
    if (a->total_us != b->total_us) {
        return a->total_us < b->total_us ? -1 : 1;
    }
    return (a->index > b->index) - (a->index < b->index);
}

/* `ranks` [num_units] is scratch. */
static void sort_units(tensor_search *s, unit_rank *ranks) {
    const clv_problem *problem = s->problem;
    const double cannot_us = 1e15; /* far above any sum of times that can be compared */
    const bool is_given = problem->request->tensor_shares != NULL;
    for (uint32_t k = 0; k < problem->num_units; k++) {
        ranks[k] = (unit_rank){.unit = problem->units[k], .index = k};
        for (uint32_t i = 0; i < s->workload->num_tasks && !is_given; i++) {
            double us = clv_costs_time_us(problem->costs, i, ranks[k].unit);
            ranks[k].total_us += isinf(us) ? cannot_us : us;
        }
    }
    qsort(ranks, problem->num_units, sizeof *ranks, compare_ranks);
    for (uint32_t k = 0; k < problem->num_units; k++) {
        s->units[k] = ranks[k].unit;
    }
}

/* With fewer units than there are, those that pins name are among them. */
static clv_status *move_pinned_first(tensor_search *s, uint32_t count) {
    clv_problem part = *s->problem;
    uint32_t *units = clv_alloc_zeroed(s->problem->costs->machine->num_units, sizeof *units);
    if (units == NULL) {
        return NO_MEMORY_HERE();
    }
    part.units = s->units;
    clv_status *status = clv_problem_first_units(&part, count, units);
    if (status == NULL) {
        memcpy(s->units, units, count * sizeof *units);
    }
    clv_free(units);
    return status;
}

static clv_status *search(tensor_search *s, clv_draft *out_draft) {
    const clv_problem *problem = s->problem;
    uint32_t most = problem->num_units;
    clv_status *status = NULL, *refusal = NULL;
    if (problem->level.count > 0 && problem->level.count < most) {
        most = problem->level.count;
        CLV_TRY(move_pinned_first(s, most));
    }
    find_parents(s);
    for (uint32_t n = most; n >= 1; n = n > 2 ? (n + 1) / 2 : 1) {
        double cost = (double)problem->ev->size / 3 * n * n;
        bool is_given = problem->request->tensor_shares != NULL;
        if (cost <= (double)problem->budget || n <= 2) {
            CLV_TRY_DONE(try_units(s, n, is_given, out_draft, &refusal));
            CLV_TRY_DONE(try_units(s, n, true, out_draft, &refusal));
        }
        if (n == 1 || is_given) {
            break;
        }
    }
    if (out_draft->groups == NULL) {
        status = refusal;
        refusal = NULL;
    }
done:
    clv_status_destroy(refusal);
    return status;
}

clv_status *clv_policy_make_tensor(const clv_problem *problem, clv_draft *out_draft) {
    tensor_search s = {.problem = problem, .workload = problem->costs->workload};
    size_t count = s.workload->num_tasks;
    clv_status *status = NULL;
    unit_rank *ranks = clv_alloc_zeroed((size_t)problem->num_units + 1, sizeof *ranks);
    s.units = clv_alloc_zeroed(problem->num_units, sizeof *s.units);
    s.options = clv_alloc_zeroed(count * MAX_OPTIONS, sizeof *s.options);
    s.num_options = clv_alloc_zeroed(count * 4, sizeof *s.num_options);
    if (ranks == NULL || s.units == NULL || s.options == NULL || s.num_options == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    s.parent = s.num_options + count;
    s.parent_tensor = s.parent + count;
    s.chosen = s.parent_tensor + count;
    sort_units(&s, ranks);
    CLV_TRY_DONE(search(&s, out_draft));
done:
    clv_free(ranks);
    clv_free(s.units);
    clv_free(s.options);
    clv_free(s.num_options);
    return status;
}
