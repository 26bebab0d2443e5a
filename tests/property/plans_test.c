/* Plans of random workloads on random machines: everything verifies, pipeline and branch against
 * oracles that try every possibility, auto against what it could have chosen, faster machines.
 *
 *     TEST [SEED [NUM_CASES]]      a failure prints the case and its seed; with a number of cases
 *                                  many more have 8 tasks, which take long to try
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
#include "partition/plan.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TASKS = 9, MAX_UNITS = 3 };

/* Units p0, p1, ... with links to one hub. */
typedef struct drawn {
    int num_tasks, num_units;
    double time_us[MAX_TASKS][MAX_UNITS]; /* < 0: cannot */
    int weight[MAX_TASKS];
    int edge_bytes[MAX_TASKS]; /* of a task's output */
    bool edge[MAX_TASKS][MAX_TASKS];
    int bandwidth_mb[MAX_UNITS], latency_us[MAX_UNITS], limit[MAX_UNITS];
    bool overlaps[MAX_UNITS], half_duplex[MAX_UNITS];
} drawn;

static int between(clv_random *random, int low, int high) {
    return low + (int)clv_random_below(random, (uint64_t)(high - low) + 1);
}

static void draw_case(clv_random *random, int max_tasks, drawn *d) {
    memset(d, 0, sizeof *d);
    d->num_tasks = between(random, 1, max_tasks);
    d->num_units = between(random, 1, MAX_UNITS);
    bool is_even = between(random, 0, 3) == 0;
    for (int i = 0; i < d->num_tasks; i++) {
        bool can_run = false;
        for (int u = 0; u < d->num_units; u++) {
            d->time_us[i][u] = is_even && u > 0 ? d->time_us[i][0] : between(random, 0, 50);
            if (!is_even && between(random, 0, 9) == 0) {
                d->time_us[i][u] = -1;
            }
            can_run = can_run || d->time_us[i][u] >= 0;
        }
        if (!can_run) {
            d->time_us[i][0] = 20;
        }
        d->weight[i] = between(random, 0, 20);
        d->edge_bytes[i] = between(random, 0, 3) == 0 ? 0 : between(random, 1, 40);
        for (int k = 0; k < i; k++) {
            d->edge[k][i] = between(random, 0, d->num_tasks) < 3;
        }
    }
    for (int u = 0; u < d->num_units; u++) {
        d->bandwidth_mb[u] = between(random, 1, 8);
        d->latency_us[u] = between(random, 0, 2);
        d->limit[u] = between(random, 0, 3) == 0 ? between(random, 20, 120) : 1000000;
        d->overlaps[u] = between(random, 0, 1) == 1;
        d->half_duplex[u] = between(random, 0, 3) == 0;
    }
}

static char *workload_text(const drawn *d) {
    clv_text text;
    char *out = NULL;
    bool is_first = true;
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    for (int i = 0; i < d->num_tasks; i++) {
        bool is_first_time = true;
        clv_text_add(
            &text, "%s{\"name\":\"t%d\",\"memory_bytes\":%d,\"time_us\":{", i > 0 ? "," : "", i,
            d->weight[i]);
        for (int u = 0; u < d->num_units; u++) {
            if (d->time_us[i][u] >= 0) {
                clv_text_add(&text, "%s\"p%d\":%g", is_first_time ? "" : ",", u, d->time_us[i][u]);
                is_first_time = false;
            }
        }
        clv_text_add(&text, "}}");
    }
    clv_text_add(&text, "],\"edges\":[");
    for (int i = 0; i < d->num_tasks; i++) {
        for (int k = 0; k < d->num_tasks; k++) {
            if (d->edge[i][k]) {
                clv_text_add(
                    &text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":%d}", is_first ? "" : ",",
                    i, k, d->edge_bytes[i]);
                is_first = false;
            }
        }
    }
    clv_text_add(&text, "]}");
    clv_status_destroy(clv_text_take(&text, &out));
    clv_text_deinit(&text);
    return out;
}

static char *machine_text(const drawn *d) {
    clv_text text;
    char *out = NULL;
    clv_text_init(&text);
    for (int u = 0; u < d->num_units; u++) {
        clv_text_add(
            &text, "p%d mem=%d%s; link p%d host bw=%dM latency=%dus%s; ", u, d->limit[u],
            d->overlaps[u] ? "" : " overlap=no", u, d->bandwidth_mb[u], d->latency_us[u],
            d->half_duplex[u] ? " duplex=half" : "");
    }
    text.length -= 2;
    text.data[text.length] = '\0';
    clv_status_destroy(clv_text_take(&text, &out));
    clv_text_deinit(&text);
    return out;
}

/* --- the pipeline's oracle --- */

static bool is_contiguous(const drawn *d, const int *unit) {
    bool leads[MAX_UNITS][MAX_UNITS] = {{false}};
    for (int i = 0; i < d->num_tasks; i++) {
        for (int k = 0; k < d->num_tasks; k++) {
            if (d->edge[i][k] && unit[i] != unit[k]) {
                leads[unit[i]][unit[k]] = true;
            }
        }
    }
    for (int m = 0; m < MAX_UNITS; m++) {
        for (int a = 0; a < MAX_UNITS; a++) {
            for (int b = 0; b < MAX_UNITS; b++) {
                leads[a][b] = leads[a][b] || (leads[a][m] && leads[m][b]);
            }
        }
    }
    return !leads[0][0] && !leads[1][1] && !leads[2][2];
}

/* Of the most loaded unit or link; INFINITY where a task cannot run or memory does not suffice. */
static double oracle_load(const drawn *d, const int *unit) {
    double worst = 0;
    for (int u = 0; u < d->num_units; u++) {
        double compute = 0, in = 0, out = 0;
        int weights = 0;
        for (int i = 0; i < d->num_tasks; i++) {
            bool leaves = false, comes = false;
            double way = d->edge_bytes[i] == 0
                             ? 0
                             : d->latency_us[u] + (double)d->edge_bytes[i] / d->bandwidth_mb[u];
            for (int k = 0; k < d->num_tasks; k++) {
                leaves = leaves || (d->edge[i][k] && unit[k] != unit[i]);
                comes = comes || (d->edge[i][k] && unit[k] == u && unit[i] != u);
            }
            if (unit[i] == u) {
                if (d->time_us[i][u] < 0) {
                    return (double)INFINITY;
                }
                compute += d->time_us[i][u];
                weights += d->weight[i];
                out += leaves ? way : 0;
            }
            in += comes ? way : 0;
        }
        double links = d->half_duplex[u] ? in + out : fmax(in, out);
        double load = fmax(links, d->overlaps[u] ? compute : compute + in + out);
        if (weights > d->limit[u]) {
            return (double)INFINITY;
        }
        worst = fmax(worst, load);
    }
    return worst;
}

static double oracle_pipeline(const drawn *d) {
    int unit[MAX_TASKS] = {0};
    double best = (double)INFINITY;
    for (;;) {
        if (is_contiguous(d, unit)) {
            best = fmin(best, oracle_load(d, unit));
        }
        int at = 0;
        while (at < d->num_tasks && ++unit[at] == d->num_units) {
            unit[at++] = 0;
        }
        if (at == d->num_tasks) {
            return best;
        }
    }
}

/* --- latency's oracle: every placement and every order, links one thing at a time --- */

typedef struct tree {
    const drawn *d;
    double free_us[MAX_UNITS], link_us[MAX_UNITS][2]; /* to the hub, from it */
    double arrival_us[MAX_TASKS][MAX_UNITS], best_us;
    int unit[MAX_TASKS];
    bool done[MAX_TASKS];
    double after_us[MAX_TASKS], left_us[MAX_UNITS];
} tree;

/* When what is ready is through a unit's link, one way (0) or the other. */
static double pass_link(tree *t, int unit, int way, int bytes, double ready_us) {
    const drawn *d = t->d;
    double *free_us = &t->link_us[unit][d->half_duplex[unit] ? 0 : way];
    *free_us =
        fmax(*free_us, ready_us) + d->latency_us[unit] + (double)bytes / d->bandwidth_mb[unit];
    return *free_us;
}

/* To each unit that reads it once, in the order of the readers; to the hub once. */
static void send_output(tree *t, int task, double end_us) {
    const drawn *d = t->d;
    int from = t->unit[task], bytes = d->edge_bytes[task];
    bool has[MAX_UNITS] = {false};
    double hub_us = -1;
    for (int u = 0; u < d->num_units; u++) {
        t->arrival_us[task][u] = end_us;
    }
    for (int k = task + 1; k < d->num_tasks; k++) {
        int to = t->unit[k];
        if (d->edge[task][k] && to != from && !has[to] && bytes > 0) {
            has[to] = true;
            hub_us = hub_us < 0 ? pass_link(t, from, 0, bytes, end_us) : hub_us;
            t->arrival_us[task][to] = pass_link(t, to, 1, bytes, hub_us);
        }
    }
}

/* What comes after each task and what is left for each unit, moves not counted; false: it takes
 * longer than the best. */
static bool bound_assignment(tree *t) {
    const drawn *d = t->d;
    bool is_open = true;
    memset(t->left_us, 0, sizeof t->left_us);
    for (int i = d->num_tasks - 1; i >= 0; i--) {
        t->after_us[i] = 0;
        for (int k = i + 1; k < d->num_tasks; k++) {
            if (d->edge[i][k]) {
                t->after_us[i] = fmax(t->after_us[i], d->time_us[k][t->unit[k]] + t->after_us[k]);
            }
        }
        t->left_us[t->unit[i]] += d->time_us[i][t->unit[i]];
        is_open = is_open && d->time_us[i][t->unit[i]] + t->after_us[i] < t->best_us &&
                  t->left_us[t->unit[i]] < t->best_us;
    }
    return is_open;
}

static void grow(tree *t, int num_done, double end_us) {
    const drawn *d = t->d;
    bool is_open = end_us < t->best_us;
    for (int u = 0; u < d->num_units; u++) {
        is_open = is_open && t->free_us[u] + t->left_us[u] < t->best_us;
    }
    if (!is_open) {
        return;
    }
    if (num_done == d->num_tasks) {
        t->best_us = end_us;
        return;
    }
    for (int i = 0; i < d->num_tasks; i++) {
        bool is_ready = !t->done[i];
        int u = t->unit[i];
        double start_us = t->free_us[u];
        for (int k = 0; k < i; k++) {
            is_ready = is_ready && (!d->edge[k][i] || t->done[k]);
            start_us = d->edge[k][i] ? fmax(start_us, t->arrival_us[k][u]) : start_us;
        }
        double task_end_us = start_us + d->time_us[i][u];
        if (is_ready && task_end_us + t->after_us[i] < t->best_us) {
            tree next = *t;
            next.free_us[u] = task_end_us;
            next.left_us[u] -= d->time_us[i][u];
            next.done[i] = true;
            send_output(&next, i, next.free_us[u]);
            grow(&next, num_done + 1, fmax(end_us, next.free_us[u]));
            t->best_us = next.best_us;
        }
    }
}

/* The least latency of all assignments and orders, looked for below `limit_us`: INFINITY where
 * there is none. */
static double oracle_latency(const drawn *d, double limit_us) {
    tree t = {.d = d, .best_us = limit_us};
    for (;;) {
        bool is_possible = true;
        for (int i = 0; i < d->num_tasks; i++) {
            is_possible = is_possible && d->time_us[i][t.unit[i]] >= 0;
        }
        if (is_possible && bound_assignment(&t)) {
            grow(&t, 0, 0);
        }
        int at = 0;
        while (at < d->num_tasks && ++t.unit[at] == d->num_units) {
            t.unit[at++] = 0;
        }
        if (at == d->num_tasks) {
            return t.best_us < limit_us ? t.best_us : (double)INFINITY;
        }
    }
}

/* --- checks --- */

static const drawn *current;
static uint64_t current_seed;

static void fail(const char *format, double a, double b) {
    char *workload = workload_text(current), *machine = machine_text(current);
    printf("seed %llu: ", (unsigned long long)current_seed);
    printf("%s: %.12g, %.12g\n%s\n%s\n", format, a, b, workload, machine);
    exit(1);
}

/* The plan's number for the objective; INFINITY where it does not fit or cannot run. */
static double planned(const drawn *d, const char *policy, clv_objective objective) {
    char *workload_json = workload_text(d), *machine_line = machine_text(d);
    clv_workload *workload = NULL;
    clv_machine *machine = NULL;
    clv_costs *costs = NULL;
    clv_plan *plan = NULL;
    double result = (double)INFINITY;
    clv_plan_request request = {
        .policy = policy,
        .objective = objective,
        .has_objective = true,
        .depth = 0,
        .allow_idle = true,
        .budget = 20000};
    clv_status *status =
        clv_workload_parse_json("drawn", workload_json, strlen(workload_json), &workload);
    if (status == NULL) {
        status = clv_machine_parse_text(machine_line, &machine);
    }
    if (status == NULL) {
        status = clv_costs_create(workload, machine, &costs);
    }
    if (status != NULL) {
        printf("%s\n", clv_status_message(status));
        fail("the case cannot be read", 0, 0);
    }
    status = clv_plan_create(costs, &request, &plan);
    if (status == NULL) {
        clv_status *bad = clv_plan_verify(costs, plan);
        if (bad != NULL) {
            printf("%s\n", clv_status_message(bad));
            fail(policy, plan->period_us, plan->latency_us);
        }
        result = objective == CLV_LATENCY ? plan->latency_us : plan->period_us;
        if (strcmp(policy, "pipeline") == 0) {
            result = plan->groups[0].bound_us;
        }
    } else if (
        clv_status_code(status) != CLV_NO_MEMORY && clv_status_code(status) != CLV_UNSUPPORTED) {
        printf("%s: %s\n", policy, clv_status_message(status));
        fail("unexpected failure", 0, 0);
    }
    clv_status_destroy(status);
    clv_plan_destroy(plan);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
    clv_free(workload_json);
    clv_free(machine_line);
    return result;
}

static bool is_equal(double a, double b) {
    return a == b || fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static void check_pipeline(const drawn *d) {
    double ours = planned(d, "pipeline", CLV_THROUGHPUT), theirs = oracle_pipeline(d);
    if (!is_equal(ours, theirs)) {
        fail("pipeline, every assignment", ours, theirs);
    }
}

static void check_faster(clv_random *random, const drawn *d) {
    drawn faster = *d;
    int u = between(random, 0, d->num_units - 1);
    if (between(random, 0, 1) == 0) {
        faster.bandwidth_mb[u] *= 2;
        faster.latency_us[u] = 0;
    } else {
        for (int i = 0; i < d->num_tasks; i++) {
            faster.time_us[i][u] = d->time_us[i][u] < 0 ? -1 : d->time_us[i][u] / 2;
        }
    }
    static const char *const policies[] = {"single", "serial", "pipeline"};
    for (int i = 0; i < 3; i++) {
        clv_objective objective = i == 2 ? CLV_THROUGHPUT : CLV_LATENCY;
        double before = planned(d, policies[i], objective);
        double after = planned(&faster, policies[i], objective);
        if (after > before * (1 + 1e-9)) {
            fail("a faster machine has a slower plan", before, after);
        }
    }
}

static void check_auto(const drawn *d) {
    static const char *const policies[] = {"single",   "serial", "tensor",         "branch",
                                           "pipeline", "data",   "data:2/pipeline"};
    for (int objective = 0; objective < 2; objective++) {
        double best = planned(d, "auto", (clv_objective)objective);
        for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
            if (i == 6 && (d->num_units < 2 || objective == CLV_LATENCY)) {
                continue;
            }
            if (i == 4) {
                continue; /* planned() gives its bound, at any depth */
            }
            double other = planned(d, policies[i], (clv_objective)objective);
            if (best > other * (1 + 1e-9)) {
                fail(policies[i], best, other);
            }
        }
    }
}

/* Ratio to the optimum. */
static double check_branch(drawn *d) {
    for (int u = 0; u < d->num_units; u++) {
        d->overlaps[u] = true;
        d->limit[u] = 1000000;
    }
    double ours = planned(d, "branch", CLV_LATENCY), theirs;
    theirs = oracle_latency(d, ours * (1 + 1e-9) + 1e-9);
    if (isinf(ours) != isinf(theirs) || ours < theirs * (1 - 1e-9) || ours > theirs * 1.2 + 1e-9) {
        fail("branch, every order", ours, theirs);
    }
    return theirs > 0 ? ours / theirs : 1;
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1500;
    double ratios = 0;
    uint64_t num_ratios = 0, tried = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!clv_test_is_tried(seed + i)) {
            continue;
        }
        tried++;
        clv_random random;
        drawn d;
        current = &d;
        current_seed = seed + i;
        clv_random_init(&random, current_seed);
        draw_case(&random, i % 50 == 0 ? MAX_TASKS : 7, &d);
        check_pipeline(&d);
        check_faster(&random, &d);
        if (i % 4 == 0) {
            check_auto(&d);
        }
        if (i % 8 == 0 && d.num_tasks <= 7) {
            ratios += check_branch(&d);
            num_ratios++;
        }
        if (i % (argc > 2 ? 4 : 30) == 0) {
            do {
                draw_case(&random, 8, &d);
            } while (d.num_tasks < 8);
            ratios += check_branch(&d);
            num_ratios++;
        }
    }
    printf(
        "%llu cases; branch is at %.4f of the optimum in the mean over %llu\n",
        (unsigned long long)tried, num_ratios > 0 ? ratios / (double)num_ratios : 1,
        (unsigned long long)num_ratios);
    return num_ratios > 0 && ratios > 1.03 * (double)num_ratios ? 1 : 0;
}
