/* The units between which serial chooses: one of every sort, and those that pins name; of more than
 * can be tried together those on which most is gained. */
#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

typedef struct chooser {
    const clv_problem *problem;
    clv_unit_choice *choice;
    uint32_t *sorts, num_sorts; /* [num_units of the machine]: one of each */
    bool *is_chosen;            /* [num_units of the machine] */
    double *merit_us;           /* [num_units of the machine] */
} chooser;

static void choose(chooser *c, uint32_t unit) {
    if (!c->is_chosen[unit] && c->choice->count < CLV_MOST_CHOSEN_UNITS) {
        c->is_chosen[unit] = true;
        c->choice->units[c->choice->count++] = unit;
    }
}

static clv_status *list_sorts(chooser *c) {
    const clv_problem *problem = c->problem;
    CLV_TRY(clv_distinct_units(problem, c->sorts, &c->num_sorts));
    bool *is_listed = clv_alloc_zeroed(problem->costs->machine->num_units, sizeof *is_listed);
    if (is_listed == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < c->num_sorts; i++) {
        is_listed[c->sorts[i]] = true;
    }
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        uint32_t pin = problem->pins[i];
        if (pin != CLV_NO_INDEX && !is_listed[pin]) {
            is_listed[pin] = true;
            c->sorts[c->num_sorts++] = pin;
        }
    }
    clv_free(is_listed);
    return NULL;
}

/* The chosen or the listed unit on which a task is fastest; CLV_NO_INDEX: none can run it. */
static uint32_t find_fastest(
    const clv_problem *problem, uint32_t task, const uint32_t *units, uint32_t count,
    double *out_us) {
    uint32_t best = CLV_NO_INDEX;
    *out_us = (double)INFINITY;
    for (uint32_t k = 0; k < count; k++) {
        double us = clv_problem_allows(problem, task, units[k])
                        ? clv_problem_atom_us(problem, task, units[k])
                        : (double)INFINITY;
        if (us < *out_us) {
            *out_us = us;
            best = units[k];
        }
    }
    return best;
}

/* Somewhere for every task to be: its fastest, where none that is chosen can run it. Then each unit
 * has as its merit what tasks that are fastest there gain over those that are chosen. */
static clv_status *find_merits(chooser *c) {
    const clv_problem *problem = c->problem;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
            double us, least_us;
            if (problem->first_of_colocation[i] != i || problem->pins[i] != CLV_NO_INDEX) {
                continue;
            }
            CLV_TRY(clv_cancel_check());
            find_fastest(problem, i, c->choice->units, c->choice->count, &us);
            if (pass == 0 && isfinite(us)) {
                continue;
            }
            uint32_t best = find_fastest(problem, i, c->sorts, c->num_sorts, &least_us);
            if (best != CLV_NO_INDEX && pass == 0) {
                choose(c, best);
            } else if (best != CLV_NO_INDEX && isfinite(us)) {
                c->merit_us[best] += us - least_us;
            }
        }
    }
    return NULL;
}

static void choose_by_merit(chooser *c) {
    while (c->choice->count < CLV_MOST_CHOSEN_UNITS) {
        uint32_t best = CLV_NO_INDEX;
        for (uint32_t k = 0; k < c->num_sorts; k++) {
            bool is_better = !c->is_chosen[c->sorts[k]] &&
                             (best == CLV_NO_INDEX || c->merit_us[c->sorts[k]] > c->merit_us[best]);
            best = is_better ? c->sorts[k] : best;
        }
        choose(c, best);
    }
}

/* The unit that is best for all that no pin names, if there is one. */
static void choose_single(chooser *c) {
    const clv_problem *problem = c->problem;
    const clv_policy_level single = {clv_policy_find("single"), 0};
    clv_draft draft;
    clv_status *refusal =
        clv_policy_run(problem, single, NULL, 0, problem->units, problem->num_units, &draft);
    for (uint32_t i = 0; refusal == NULL && i < problem->costs->workload->num_tasks; i++) {
        if (problem->pins[i] == CLV_NO_INDEX) {
            choose(c, draft.groups[0].pieces[i].unit);
        }
    }
    clv_status_destroy(refusal);
}

/* Of too many sorts: what pins name, the best single unit, the first, and by merit. */
static clv_status *choose_some(chooser *c) {
    const clv_problem *problem = c->problem;
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        if (problem->pins[i] != CLV_NO_INDEX) {
            choose(c, problem->pins[i]);
        }
    }
    if (c->choice->count == CLV_MOST_CHOSEN_UNITS) {
        c->choice->count = 0; /* and nothing to choose from for others */
        return NULL;
    }
    choose_single(c);
    choose(c, problem->units[0]);
    CLV_TRY(find_merits(c));
    choose_by_merit(c);
    return NULL;
}

/* --- whether the others could be left out --- */

/* Whether all ways of `unit` from and to inputs, outputs and the chosen ones take at least as long
 * as those of `other`. */
static clv_status *is_no_nearer(
    const clv_problem *problem, const clv_unit_choice *choice, uint32_t unit, uint32_t other,
    uint64_t *looks, bool *out_is_no_nearer) {
    const clv_costs *costs = problem->costs;
    *out_is_no_nearer = true;
    for (uint32_t i = 0; i < 4 * (choice->count + 1) && *out_is_no_nearer; i++) {
        uint32_t end = i / 4 < choice->count ? choice->units[i / 4] : CLV_NO_INDEX;
        double ours_us, theirs_us, bytes = i % 2 == 0 ? 1 : 1 << 20;
        bool is_back = i % 4 < 2;
        (*looks)++;
        if (end == other || end == unit) {
            continue;
        }
        CLV_TRY(clv_costs_transfer_us(
            costs, is_back ? unit : end, is_back ? end : unit, bytes, &ours_us));
        CLV_TRY(clv_costs_transfer_us(
            costs, is_back ? other : end, is_back ? end : other, bytes, &theirs_us));
        *out_is_no_nearer = ours_us >= theirs_us;
    }
    return NULL;
}

/* Whether a chosen unit does all that `unit` does, and no slower. */
static clv_status *is_needless(
    const clv_problem *problem, const clv_unit_choice *choice, uint32_t unit, uint64_t *looks,
    bool *out_is) {
    const clv_costs *costs = problem->costs;
    const clv_unit *units = costs->machine->units;
    *out_is = false;
    for (uint32_t k = 0; k < choice->count && !*out_is; k++) {
        uint32_t other = choice->units[k];
        *out_is = other == unit;
        (*looks)++;
        if (costs->class_of_unit[unit] == costs->class_of_unit[other] &&
            units[unit].launch_us >= units[other].launch_us && !*out_is) {
            CLV_TRY(is_no_nearer(problem, choice, unit, other, looks, out_is));
        }
    }
    return NULL;
}

/* Alone, with room for everything; looked at while there are not too many units and ways between
 * them. */
static clv_status *check_others(const clv_problem *problem, clv_unit_choice *choice) {
    enum { MOST_LOOKS = 4000000 };
    uint64_t looks = 0;
    choice->is_complete = true;
    for (uint32_t i = 0; i < problem->num_units && choice->is_complete; i++) {
        CLV_TRY(clv_cancel_check());
        CLV_TRY(is_needless(problem, choice, problem->units[i], &looks, &choice->is_complete));
        choice->is_complete = choice->is_complete && looks <= MOST_LOOKS;
    }
    return NULL;
}

static clv_status *fill_choice(chooser *c) {
    CLV_TRY(list_sorts(c));
    c->choice->num_sorts = c->num_sorts;
    if (c->num_sorts > CLV_MOST_CHOSEN_UNITS) {
        return choose_some(c);
    }
    for (uint32_t i = 0; i < c->num_sorts; i++) {
        choose(c, c->sorts[i]);
    }
    return check_others(c->problem, c->choice);
}

clv_status *clv_choose_units(const clv_problem *problem, clv_unit_choice *choice) {
    uint32_t num_units = problem->costs->machine->num_units;
    chooser c = {
        .problem = problem,
        .choice = choice,
        .sorts = clv_alloc_zeroed(num_units, sizeof *c.sorts),
        .is_chosen = clv_alloc_zeroed(num_units, sizeof *c.is_chosen),
        .merit_us = clv_alloc_zeroed(num_units, sizeof *c.merit_us)};
    choice->count = choice->num_sorts = 0;
    choice->is_complete = false;
    clv_status *status = c.sorts != NULL && c.is_chosen != NULL && c.merit_us != NULL
                             ? fill_choice(&c)
                             : NO_MEMORY_HERE();
    clv_free(c.sorts);
    clv_free(c.is_chosen);
    clv_free(c.merit_us);
    return status;
}
