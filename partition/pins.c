/* Pins and colocations: which tasks have no choice. */
#include "host/base/memory.h"
#include "partition/policy.h"

#include <math.h>
#include <regex.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for pins")

typedef struct pin_match {
    uint32_t unit; /* CLV_NO_INDEX: none */
    size_t length; /* of the text that matched */
    size_t pin;
} pin_match;

/* The longest text that the pattern matches in the task's names; false: none. POSIX finds the
 * longest of the leftmost matches, so later ones are looked for too. */
static bool longest_match(const regex_t *regex, const char *name, size_t *out_length) {
    bool is_found = false;
    regmatch_t match;
    *out_length = 0;
    for (const char *at = name; regexec(regex, at, 1, &match, at == name ? 0 : REG_NOTBOL) == 0;) {
        size_t length = (size_t)(match.rm_eo - match.rm_so);
        is_found = true;
        *out_length = length > *out_length ? length : *out_length;
        if (at[match.rm_so] == '\0') {
            break;
        }
        at += match.rm_so + 1;
    }
    return is_found;
}

static bool match_task(const regex_t *regex, const clv_task *task, size_t *out_length) {
    bool is_found = longest_match(regex, task->name, out_length);
    for (uint32_t i = 0; i < task->num_aliases; i++) {
        size_t length;
        if (longest_match(regex, task->aliases[i], &length)) {
            is_found = true;
            *out_length = length > *out_length ? length : *out_length;
        }
    }
    return is_found;
}

static clv_status *apply_pin(const clv_problem *problem, size_t index, pin_match *matches) {
    const clv_costs *costs = problem->costs;
    const clv_pin *pin = &problem->request->pins[index];
    uint32_t unit = clv_machine_find_unit(costs->machine, pin->unit);
    regex_t regex;
    if (unit == CLV_NO_INDEX) {
        return CLV_ERROR(
            USAGE, "pin '%s=%s': the machine has no unit '%s'", pin->pattern, pin->unit, pin->unit);
    }
    int error = regcomp(&regex, pin->pattern, REG_EXTENDED);
    if (error != 0) {
        char why[128];
        regerror(error, &regex, why, sizeof why);
        return CLV_ERROR(USAGE, "pin '%s=%s': %s", pin->pattern, pin->unit, why);
    }
    bool is_used = false;
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        size_t length;
        if (match_task(&regex, &costs->workload->tasks[i], &length)) {
            is_used = true;
            if (matches[i].unit == CLV_NO_INDEX || length >= matches[i].length) {
                matches[i] = (pin_match){unit, length, index};
            }
        }
    }
    regfree(&regex);
    return is_used ? NULL
                   : CLV_ERROR(
                         USAGE, "pin '%s=%s' matches no task of '%s'", pin->pattern, pin->unit,
                         costs->workload->name);
}

/* first_of_colocation, by the first task that has each number. */
static clv_status *read_colocations(const clv_problem *problem, uint32_t *first) {
    const clv_workload *workload = problem->costs->workload;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        uint32_t group = workload->tasks[i].colocation;
        largest = group > largest ? group : largest;
    }
    uint32_t *seen = clv_alloc_zeroed((size_t)largest + 1, sizeof *seen);
    if (seen == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        uint32_t group = workload->tasks[i].colocation;
        first[i] = i;
        if (group > 0 && seen[group] > 0) {
            first[i] = seen[group] - 1;
        } else if (group > 0) {
            seen[group] = i + 1;
        }
    }
    clv_free(seen);
    return NULL;
}

/* A pin of one task of a colocation is one of all; two different ones cannot be kept. */
static clv_status *spread_pins(const clv_problem *problem, pin_match *matches) {
    const clv_workload *workload = problem->costs->workload;
    const clv_pin *pins = problem->request->pins;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        pin_match *first = &matches[problem->first_of_colocation[i]];
        if (matches[i].unit == CLV_NO_INDEX || first == &matches[i]) {
            continue;
        }
        if (first->unit != CLV_NO_INDEX && first->unit != matches[i].unit) {
            return CLV_ERROR(
                USAGE, "task '%s' is pinned to '%s' and shares a unit with '%s', pinned to '%s'",
                workload->tasks[i].name, pins[matches[i].pin].unit,
                workload->tasks[problem->first_of_colocation[i]].name, pins[first->pin].unit);
        }
        *first = matches[i];
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        matches[i] = matches[problem->first_of_colocation[i]];
    }
    return NULL;
}

static clv_status *store_pins(clv_problem *problem, const pin_match *matches) {
    const clv_costs *costs = problem->costs;
    uint32_t count = costs->workload->num_tasks;
    uint32_t *pins = clv_arena_alloc(problem->arena, count, sizeof *pins);
    const char **reasons = clv_arena_alloc(problem->arena, count, sizeof *reasons);
    const char **texts =
        clv_arena_alloc(problem->arena, problem->request->num_pins + 1, sizeof *texts);
    if (pins == NULL || reasons == NULL || texts == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < count; i++) {
        pins[i] = matches[i].unit;
        if (matches[i].unit == CLV_NO_INDEX) {
            continue;
        }
        const clv_pin *pin = &problem->request->pins[matches[i].pin];
        if (isinf(clv_costs_time_us(costs, i, matches[i].unit))) {
            return CLV_ERROR(
                USAGE, "pin '%s=%s': task '%s' cannot run on '%s'", pin->pattern, pin->unit,
                costs->workload->tasks[i].name, pin->unit);
        }
        const char **text = &texts[matches[i].pin];
        if (*text == NULL) {
            *text = clv_arena_printf(
                problem->arena, CLV_PINNED_REASON "'%s=%s'", pin->pattern, pin->unit);
        }
        reasons[i] = *text;
        if (*text == NULL) {
            return NO_MEMORY_HERE();
        }
    }
    problem->pins = pins;
    problem->pin_reasons = reasons;
    return NULL;
}

static clv_status *sum_atoms(clv_problem *problem) {
    const clv_costs *costs = problem->costs;
    size_t cells = costs->num_cells, num_tasks = costs->workload->num_tasks;
    double *sums = clv_arena_alloc(problem->arena, num_tasks * cells, sizeof *sums);
    if (sums == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < num_tasks; i++) {
        uint32_t first = problem->first_of_colocation[i];
        bool is_same_kind = costs->kind_of_task[i] == costs->kind_of_task[first];
        for (size_t k = 0; k < cells; k++) {
            sums[first * cells + k] +=
                is_same_kind ? costs->time_us[i * cells + k] : (double)INFINITY;
        }
    }
    problem->atom_us = sums;
    return NULL;
}

double clv_problem_atom_us(const clv_problem *problem, uint32_t task, uint32_t unit) {
    const clv_costs *costs = problem->costs;
    uint32_t atom = problem->first_of_colocation[task], class = costs->class_of_unit[unit];
    return clv_costs_has(costs, atom, class)
               ? problem->atom_us[clv_costs_at(costs, atom, class)] / costs->speed_of_class[class]
               : (double)INFINITY;
}

bool clv_problem_allows(const clv_problem *problem, uint32_t task, uint32_t unit) {
    return (problem->pins[task] == CLV_NO_INDEX || problem->pins[task] == unit) &&
           !isinf(clv_problem_atom_us(problem, task, unit));
}

uint32_t clv_problem_find_pinned(const clv_problem *problem) {
    for (uint32_t i = 0; i < problem->costs->workload->num_tasks; i++) {
        if (problem->pins[i] != CLV_NO_INDEX) {
            return i;
        }
    }
    return CLV_NO_TASK;
}

/* Every colocation has a unit that can run all of it, its pinned one where it is pinned. */
static clv_status *check_atoms(const clv_problem *problem) {
    const clv_costs *costs = problem->costs;
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        bool can_run = false;
        uint32_t count;
        const uint32_t *classes = clv_costs_classes(costs, i, &count);
        for (uint32_t k = 0; k < count && !can_run; k++) {
            uint32_t unit = problem->pins[i] != CLV_NO_INDEX ? problem->pins[i]
                                                             : costs->unit_of_class[classes[k]];
            can_run = clv_problem_allows(problem, i, unit);
        }
        const char *name = costs->workload->tasks[i].name;
        if (!can_run && problem->pins[i] != CLV_NO_INDEX) {
            return CLV_ERROR(
                USAGE, "task '%s', %s, shares its unit with tasks that cannot run there", name,
                problem->pin_reasons[i]);
        }
        if (!can_run) {
            return CLV_ERROR(
                UNSUPPORTED, "no unit can run both task '%s' and those that share its unit", name);
        }
    }
    return NULL;
}

clv_status *clv_problem_read_pins(clv_problem *problem) {
    uint32_t count = problem->costs->workload->num_tasks;
    clv_status *status = NULL;
    uint32_t *first = clv_arena_alloc(problem->arena, count, sizeof *first);
    pin_match *matches = clv_alloc_zeroed(count, sizeof *matches);
    if (first == NULL || matches == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    for (uint32_t i = 0; i < count; i++) {
        matches[i].unit = CLV_NO_INDEX;
    }
    CLV_TRY_DONE(read_colocations(problem, first));
    problem->first_of_colocation = first;
    for (size_t i = 0; i < problem->request->num_pins; i++) {
        CLV_TRY_DONE(apply_pin(problem, i, matches));
    }
    CLV_TRY_DONE(spread_pins(problem, matches));
    CLV_TRY_DONE(store_pins(problem, matches));
    CLV_TRY_DONE(sum_atoms(problem));
    status = check_atoms(problem);
done:
    clv_free(matches);
    return status;
}
