#include "partition/deal.h"

#include "host/base/hash.h"
#include "host/base/memory.h"
#include "host/base/name_map.h"

#include <stdlib.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan")

/* --- sorts of tasks --- */

typedef struct row {
    uint32_t kind, task;
    clv_hash
        hash; /* of which classes can run it; two that are alike by chance deal badly, no more */
} row;

static int compare_rows(const void *left, const void *right) {
    const row *a = left, *b = right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    int order = memcmp(&a->hash, &b->hash, sizeof a->hash);
    return order != 0 ? order : (a->task > b->task) - (a->task < b->task);
}

/* Tasks that no pin places, by sort. */
static uint32_t list_rows(const clv_problem *problem, uint8_t *can_run, row *rows) {
    const clv_costs *costs = problem->costs;
    uint32_t count = 0;
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        uint32_t num_classes;
        const uint32_t *classes = clv_costs_classes(costs, i, &num_classes);
        if (problem->pins[i] != CLV_NO_INDEX) {
            continue;
        }
        for (uint32_t k = 0; k < num_classes; k++) {
            can_run[k] = !isinf(clv_problem_atom_us(problem, i, costs->unit_of_class[classes[k]]));
        }
        rows[count++] = (row){costs->kind_of_task[i], i, clv_hash_bytes(can_run, num_classes)};
    }
    qsort(rows, count, sizeof *rows, compare_rows);
    return count;
}

static clv_status *add_sort(clv_dealer *dealer, uint32_t task) {
    const clv_costs *costs = dealer->problem->costs;
    clv_task_sort *sort = &dealer->sorts[dealer->num_sorts++];
    *sort = (clv_task_sort){.task = task, .kind = costs->kind_of_task[task]};
    sort->us = clv_arena_alloc(&dealer->arena, costs->num_columns, sizeof *sort->us);
    if (sort->us == NULL) {
        return NO_MEMORY_HERE();
    }
    memset(sort->us, 0, costs->num_columns * sizeof *sort->us);
    return NULL;
}

static void add_task(clv_dealer *dealer, uint32_t task) {
    const clv_problem *problem = dealer->problem;
    const clv_costs *costs = problem->costs;
    clv_task_sort *sort = &dealer->sorts[dealer->num_sorts - 1];
    uint32_t num_classes;
    const uint32_t *classes = clv_costs_classes(costs, task, &num_classes);
    sort->least_us = (double)INFINITY;
    for (uint32_t k = 0; k < num_classes; k++) {
        uint32_t class = classes[k];
        double us = clv_problem_atom_us(problem, task, costs->unit_of_class[class]);
        double *sum_us = &sort->us[costs->column_of_class[class]];
        /* of those that share a unit the first has the time of all */
        *sum_us += problem->first_of_colocation[task] == task || isinf(us) ? us : 0;
        sort->least_us = fmin(sort->least_us, *sum_us);
    }
}

static clv_status *find_sorts(clv_dealer *dealer) {
    const clv_costs *costs = dealer->problem->costs;
    uint32_t count = costs->workload->num_tasks;
    row *rows = clv_arena_alloc(&dealer->arena, count, sizeof *rows);
    uint8_t *can_run = clv_arena_alloc(&dealer->arena, (size_t)costs->num_columns + 1, 1);
    dealer->sorts = clv_arena_alloc(&dealer->arena, count, sizeof *dealer->sorts);
    dealer->first_of_kind =
        clv_arena_alloc(&dealer->arena, (size_t)costs->num_kinds + 2, sizeof(uint32_t));
    if (rows == NULL || can_run == NULL || dealer->sorts == NULL || dealer->first_of_kind == NULL) {
        return NO_MEMORY_HERE();
    }
    count = list_rows(dealer->problem, can_run, rows);
    for (uint32_t i = 0; i < count; i++) {
        bool is_new = i == 0 || rows[i].kind != rows[i - 1].kind ||
                      memcmp(&rows[i].hash, &rows[i - 1].hash, sizeof rows[i].hash) != 0;
        if (is_new) {
            CLV_TRY(add_sort(dealer, rows[i].task));
        }
        add_task(dealer, rows[i].task);
    }
    for (uint32_t k = 0, s = 0; k <= costs->num_kinds + 1; k++) {
        for (; s < dealer->num_sorts && dealer->sorts[s].kind < k; s++) {
        }
        dealer->first_of_kind[k] = s;
    }
    return NULL;
}

/* --- units --- */

/* Sorts that a unit may have a time for: from *out_first on. */
static uint32_t sorts_of_unit(const clv_dealer *dealer, uint32_t unit, uint32_t *out_first) {
    const clv_costs *costs = dealer->problem->costs;
    const uint32_t *first =
        &dealer->first_of_kind[costs->kind_of_class[costs->class_of_unit[unit]]];
    *out_first = first[0];
    return first[1] - first[0];
}

/* How fast a unit is for a sort, where the fastest is 1; 0: cannot. */
static double speed_of_unit(const clv_dealer *dealer, uint32_t unit, uint32_t sort) {
    const clv_costs *costs = dealer->problem->costs;
    const clv_task_sort *s = &dealer->sorts[sort];
    double us = s->us[costs->column_of_class[costs->class_of_unit[unit]]];
    const double tiny_us = 1e-12;
    return isinf(us) ? 0 : (s->least_us + tiny_us) / (us + tiny_us);
}

static uint32_t count_runnable(const clv_dealer *dealer, uint32_t unit) {
    uint32_t first, num = 0, count = sorts_of_unit(dealer, unit, &first);
    for (uint32_t s = first; s < first + count; s++) {
        num += speed_of_unit(dealer, unit, s) > 0 ? 1 : 0;
    }
    return num;
}

static bool is_pinned(const clv_problem *problem, uint32_t unit) {
    uint32_t i = 0, count = problem->costs->workload->num_tasks;
    while (i < count && problem->pins[i] != unit) {
        i++;
    }
    return i < count;
}

static void choose_units(clv_dealer *dealer, bool must_run_all) {
    const clv_problem *problem = dealer->problem;
    uint32_t least = must_run_all ? dealer->num_sorts : 1;
    for (uint32_t i = 0; i < problem->num_units && dealer->num_sorts > 0; i++) {
        uint32_t unit = problem->units[i];
        if (count_runnable(dealer, unit) >= least || (!must_run_all && is_pinned(problem, unit))) {
            dealer->units[dealer->num_units++] = unit;
        }
    }
    if (dealer->num_units == 0) {
        memcpy(dealer->units, problem->units, problem->num_units * sizeof *dealer->units);
        dealer->num_units = problem->num_units;
    }
}

clv_status *clv_dealer_init(const clv_problem *problem, bool must_run_all, clv_dealer *out_dealer) {
    *out_dealer = (clv_dealer){.problem = problem};
    clv_arena_init(&out_dealer->arena, 0);
    out_dealer->units =
        clv_arena_alloc(&out_dealer->arena, problem->num_units, sizeof *out_dealer->units);
    if (out_dealer->units == NULL) {
        return NO_MEMORY_HERE();
    }
    CLV_TRY(find_sorts(out_dealer));
    choose_units(out_dealer, must_run_all);
    return NULL;
}

void clv_dealer_deinit(clv_dealer *dealer) {
    clv_arena_deinit(&dealer->arena);
}

/* --- dealing --- */

static clv_status *deal_kinds(const clv_dealer *dealer, uint32_t num_groups, uint32_t *out_groups) {
    const clv_machine *machine = dealer->problem->costs->machine;
    clv_name_map counts; /* units of a kind so far */
    clv_status *status = NULL;
    clv_name_map_init(&counts);
    for (uint32_t i = 0; i < dealer->num_units; i++) {
        const char *kind = machine->units[dealer->units[i]].kind;
        const uint32_t *known = clv_name_map_find(&counts, kind);
        uint32_t before = known != NULL ? *known : 0;
        out_groups[i] = before % num_groups;
        if (!clv_name_map_set(&counts, kind, before + 1)) {
            status = NO_MEMORY_HERE();
            break;
        }
    }
    clv_name_map_deinit(&counts);
    return status;
}

typedef struct hand {
    uint32_t at, num_sorts; /* of the dealer's units; that it can run */
    double speed;           /* over all of them */
} hand;

/* Those that can run most first, as what the others add to them is known then; the fastest first
 * among these. */
static int compare_hands(const void *left, const void *right) {
    const hand *a = left, *b = right;
    if (a->num_sorts != b->num_sorts) {
        return a->num_sorts > b->num_sorts ? -1 : 1;
    }
    if (a->speed != b->speed) {
        return a->speed > b->speed ? -1 : 1;
    }
    return a->at < b->at ? -1 : 1;
}

/* What groups have got so far. */
typedef struct table {
    uint32_t num_groups, num_sorts;
    double *speed;     /* [num_groups][num_sorts] */
    uint32_t *runners; /* [num_groups][num_sorts]: units that can run it */
    uint32_t *lacking; /* [num_groups]: sorts that nothing in it can run */
} table;

/* Sorts that a unit can run and `others` units of the group as well. */
static uint32_t count_with(
    const clv_dealer *dealer, const table *t, uint32_t unit, uint32_t group, uint32_t others) {
    const uint32_t *runners = &t->runners[(size_t)group * t->num_sorts];
    uint32_t first, num = 0, count = sorts_of_unit(dealer, unit, &first);
    for (uint32_t s = first; s < first + count; s++) {
        num += runners[s] == others && speed_of_unit(dealer, unit, s) > 0 ? 1 : 0;
    }
    return num;
}

/* The group to which a unit gives most that it lacks; of several the one that then lacks least, and
 * of those the one that is slowest at what the unit can run. */
static uint32_t find_group(const clv_dealer *dealer, const table *t, uint32_t unit) {
    uint32_t first, best = 0, best_gain = 0, best_lacking = 0;
    uint32_t count = sorts_of_unit(dealer, unit, &first);
    double best_speed = 0;
    for (uint32_t g = 0; g < t->num_groups; g++) {
        uint32_t gain = count_with(dealer, t, unit, g, 0);
        double speed = 0;
        for (uint32_t s = first; s < first + count; s++) {
            speed +=
                speed_of_unit(dealer, unit, s) > 0 ? t->speed[(size_t)g * t->num_sorts + s] : 0;
        }
        uint32_t lacking = t->lacking[g] - gain;
        bool is_better = gain != best_gain         ? gain > best_gain
                         : lacking != best_lacking ? lacking < best_lacking
                                                   : speed < best_speed;
        if (g == 0 || is_better) {
            best = g;
            best_gain = gain;
            best_lacking = lacking;
            best_speed = speed;
        }
    }
    return best;
}

/* Gives a unit to a group, or takes it away (by: -1). */
static void give(const clv_dealer *dealer, table *t, uint32_t unit, uint32_t group, int by) {
    uint32_t first, count = sorts_of_unit(dealer, unit, &first);
    double *has = &t->speed[(size_t)group * t->num_sorts];
    uint32_t *runners = &t->runners[(size_t)group * t->num_sorts];
    for (uint32_t s = first; s < first + count; s++) {
        double speed = speed_of_unit(dealer, unit, s);
        if (speed > 0) {
            has[s] += by * speed;
            t->lacking[group] -= by > 0 && runners[s] == 0 ? 1 : 0;
            runners[s] += (uint32_t)by;
            t->lacking[group] += by < 0 && runners[s] == 0 ? 1 : 0;
        }
    }
}

/* Of one way to deal: units by groups by the sorts that a unit may have a time for. */
enum { MOST_STEPS = 20000000 };

/* Moves units to where they are lacking more than where they are, until nothing is lacking, no move
 * helps or MOST_STEPS are done. */
static void move_units(const clv_dealer *dealer, table *t, uint32_t *groups) {
    uint32_t num_lacking = 0, since = 0; /* units looked at since the last move */
    uint64_t steps = 0;
    for (uint32_t g = 0; g < t->num_groups; g++) {
        num_lacking += t->lacking[g];
    }
    for (uint32_t i = 0; since < dealer->num_units && num_lacking > 0 && steps < MOST_STEPS;
         i = (i + 1) % dealer->num_units) {
        uint32_t unit = dealer->units[i], loss = count_with(dealer, t, unit, groups[i], 1), first;
        const uint64_t steps_of_group = 1 + sorts_of_unit(dealer, unit, &first);
        since++;
        for (uint32_t g = 0; g < t->num_groups; g++) {
            uint32_t gain = g == groups[i] ? 0 : count_with(dealer, t, unit, g, 0);
            steps += steps_of_group;
            if (gain > loss) {
                give(dealer, t, unit, groups[i], -1);
                give(dealer, t, unit, g, 1);
                groups[i] = g;
                num_lacking -= gain - loss;
                since = 0;
                break;
            }
        }
    }
}

static clv_status *deal_speed(const clv_dealer *dealer, uint32_t num_groups, uint32_t *out_groups) {
    clv_status *status = NULL;
    table t = {.num_groups = num_groups, .num_sorts = dealer->num_sorts};
    hand *hands = clv_alloc_zeroed(dealer->num_units, sizeof *hands);
    t.speed = clv_alloc_zeroed((size_t)num_groups * dealer->num_sorts + 1, sizeof *t.speed);
    t.runners = clv_alloc_zeroed((size_t)num_groups * dealer->num_sorts + 1, sizeof *t.runners);
    t.lacking = clv_alloc_zeroed(num_groups, sizeof *t.lacking);
    if (hands == NULL || t.speed == NULL || t.runners == NULL || t.lacking == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    for (uint32_t g = 0; g < num_groups; g++) {
        t.lacking[g] = dealer->num_sorts;
    }
    for (uint32_t i = 0; i < dealer->num_units; i++) {
        uint32_t first, count = sorts_of_unit(dealer, dealer->units[i], &first);
        hands[i] = (hand){.at = i, .num_sorts = count_runnable(dealer, dealer->units[i])};
        for (uint32_t s = first; s < first + count; s++) {
            hands[i].speed += speed_of_unit(dealer, dealer->units[i], s);
        }
    }
    qsort(hands, dealer->num_units, sizeof *hands, compare_hands);
    for (uint32_t i = 0; i < dealer->num_units; i++) {
        uint32_t unit = dealer->units[hands[i].at];
        out_groups[hands[i].at] = find_group(dealer, &t, unit);
        give(dealer, &t, unit, out_groups[hands[i].at], 1);
    }
    move_units(dealer, &t, out_groups);
done:
    clv_free(hands);
    clv_free(t.speed);
    clv_free(t.runners);
    clv_free(t.lacking);
    return status;
}

clv_status *clv_deal_units(
    const clv_dealer *dealer, clv_deal deal, uint32_t num_groups, uint32_t *out_groups) {
    double steps = (double)dealer->num_units * num_groups *
                   (1 + dealer->num_sorts / (double)dealer->problem->costs->num_kinds);
    if (deal == CLV_DEAL_SPEED && steps <= MOST_STEPS) {
        return deal_speed(dealer, num_groups, out_groups);
    }
    if (deal != CLV_DEAL_NEIGHBOURS) {
        return deal_kinds(dealer, num_groups, out_groups);
    }
    for (uint32_t i = 0; i < dealer->num_units; i++) {
        out_groups[i] = (uint32_t)((uint64_t)i * num_groups / dealer->num_units);
    }
    return NULL;
}
