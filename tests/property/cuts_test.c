/* The pipeline policy on graphs too large for trying every assignment: graphs of layers with
 * branches, colocations, tasks that some units cannot run, pins, memory limits and unequal units,
 * against a plain dynamic programme over all pairs of down-closed sets that counts every load
 * afresh.
 *
 *     TEST [SEED [NUM_CASES]]      a failure prints the case and its seed
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
#include "partition/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TASKS = 40, MAX_UNITS = 5, MAX_KINDS = 2, MAX_SETS = 400, MAX_MASKS = 1 << MAX_UNITS };

typedef struct drawn {
    int num_tasks, num_units, pinned_task, pinned_unit; /* -1: no pin */
    double time_us[MAX_TASKS][MAX_KINDS];               /* < 0: cannot */
    int weight[MAX_TASKS], bytes[MAX_TASKS], colocation[MAX_TASKS];
    uint64_t before[MAX_TASKS]; /* masks of tasks */
    int kind[MAX_UNITS];
    int bandwidth_mb[MAX_KINDS], latency_us[MAX_KINDS], limit[MAX_KINDS];
    bool overlaps[MAX_KINDS];
} drawn;

static int between(clv_random *random, int low, int high) {
    return low + (int)clv_random_below(random, (uint64_t)(high - low) + 1);
}

/* Layers of one task, or of two or three branches of a few tasks that meet again. */
static void draw_graph(clv_random *random, int num_tasks, drawn *d) {
    uint64_t ends = 0;
    int at = 0;
    while (at < num_tasks) {
        int branches = between(random, 0, 2) == 0 ? between(random, 2, 3) : 1;
        uint64_t next = 0;
        for (int b = 0; b < branches && at < num_tasks; b++) {
            uint64_t before = ends;
            for (int length = between(random, 1, 3); length > 0 && at < num_tasks; length--) {
                d->before[at] = before;
                if (at > 4 && between(random, 0, 9) == 0) { /* a connection past some layers */
                    d->before[at] |= (uint64_t)1 << between(random, 0, at - 1);
                }
                before = (uint64_t)1 << at++;
            }
            next |= before;
        }
        ends = next;
    }
    d->num_tasks = num_tasks;
}

static void draw_tasks(clv_random *random, drawn *d) {
    for (int i = 0; i < d->num_tasks; i++) {
        d->time_us[i][0] = between(random, 0, 60);
        d->time_us[i][1] =
            between(random, 0, 3) == 0 ? between(random, 0, 90) : (int)d->time_us[i][0] / 3;
        int cannot = between(random, 0, 19);
        if (cannot < MAX_KINDS && (cannot == 0 || d->kind[0] == 0)) {
            d->time_us[i][cannot] = -1;
        }
        d->weight[i] = between(random, 0, 20);
        d->bytes[i] = between(random, 0, 5) == 0 ? 0 : between(random, 1, 60);
        if (i > 0 && between(random, 0, 6) == 0) { /* with one of the four before it */
            int other = i - between(random, 1, i < 4 ? i : 4);
            if (d->colocation[other] == 0) {
                d->colocation[other] = other + 1;
            }
            d->colocation[i] = d->colocation[other];
        }
    }
}

static void draw_case(clv_random *random, drawn *d) {
    memset(d, 0, sizeof *d);
    d->num_units = between(random, 2, MAX_UNITS);
    for (int u = 0; u < d->num_units; u++) {
        d->kind[u] = u == 0 ? between(random, 0, 1) : between(random, 0, 3) > 0;
    }
    for (int k = 0; k < MAX_KINDS; k++) {
        d->bandwidth_mb[k] = between(random, 1, 8);
        d->latency_us[k] = between(random, 0, 2);
        d->limit[k] = between(random, 0, 2) == 0 ? between(random, 60, 300) : 1000000;
        d->overlaps[k] = between(random, 0, 1) == 1;
    }
    draw_graph(random, between(random, 8, MAX_TASKS), d);
    draw_tasks(random, d);
    d->pinned_task = between(random, 0, 3) == 0 ? between(random, 0, d->num_tasks - 1) : -1;
    d->pinned_unit = between(random, 0, d->num_units - 1);
}

/* --- the case as text --- */

static char *take_text(clv_text *text) {
    char *out = NULL;
    clv_status_destroy(clv_text_take(text, &out));
    clv_text_deinit(text);
    return out;
}

static void add_colocations(const drawn *d, clv_text *text) {
    const char *outer = "";
    for (int c = 1; c <= d->num_tasks; c++) {
        const char *inner = "";
        for (int i = 0; i < d->num_tasks; i++) {
            if (d->colocation[i] == c) {
                clv_text_add(text, "%s\"t%d\"", *inner != '\0' ? "," : outer, i);
                inner = ",";
                outer = ",[";
            }
        }
        clv_text_add(text, "%s", *inner != '\0' ? "]" : "");
    }
}

static char *workload_text(const drawn *d) {
    clv_text text;
    const char *comma = "";
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    for (int i = 0; i < d->num_tasks; i++) {
        clv_text_add(
            &text, "%s{\"name\":\"t%d\",\"memory_bytes\":%d,\"time_us\":{", i > 0 ? "," : "", i,
            d->weight[i]);
        for (int k = 0; k < MAX_KINDS; k++) {
            if (d->time_us[i][k] >= 0) {
                bool is_second = k == 1 && d->time_us[i][0] >= 0;
                clv_text_add(&text, "%s\"k%d\":%g", is_second ? "," : "", k, d->time_us[i][k]);
            }
        }
        clv_text_add(&text, "}}");
    }
    clv_text_add(&text, "],\"edges\":[");
    for (int i = 0; i < d->num_tasks; i++) {
        for (int k = 0; k < d->num_tasks; k++) {
            if (d->before[i] >> k & 1) {
                clv_text_add(
                    &text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":%d}", comma, k, i,
                    d->bytes[k]);
                comma = ",";
            }
        }
    }
    clv_text_add(&text, "],\"colocate\":[");
    size_t length = text.length;
    clv_text_add(&text, "[");
    add_colocations(d, &text);
    if (text.length == length + 1) { /* none */
        text.length = length;
    }
    clv_text_add(&text, "]}");
    return take_text(&text);
}

/* Units u0, u1, ... of kinds k0 and k1, around a hub. */
static char *machine_text(const drawn *d) {
    clv_text text;
    clv_text_init(&text);
    clv_text_add(
        &text, "{\"format\":\"cleave-machine-1\",\"name\":\"m\",\"memories\":[{\"name\":"
               "\"hub\"}");
    for (int u = 0; u < d->num_units; u++) {
        clv_text_add(&text, ",{\"name\":\"u%d\",\"capacity_bytes\":%d}", u, d->limit[d->kind[u]]);
    }
    for (int u = 0; u < d->num_units; u++) {
        clv_text_add(
            &text, "%s{\"name\":\"u%d\",\"kind\":\"k%d\",\"memory\":\"u%d\",\"overlaps\":%s}",
            u > 0 ? "," : "],\"units\":[", u, d->kind[u], u,
            d->overlaps[d->kind[u]] ? "true" : "false");
    }
    for (int u = 0; u < d->num_units; u++) {
        clv_text_add(
            &text,
            "%s{\"name\":\"l%d\",\"from\":\"u%d\",\"to\":\"hub\",\"bandwidth\":%de6,"
            "\"latency_us\":%d}",
            u > 0 ? "," : "],\"links\":[", u, u, d->bandwidth_mb[d->kind[u]],
            d->latency_us[d->kind[u]]);
    }
    clv_text_add(&text, "]}");
    return take_text(&text);
}

/* --- the oracle --- */

typedef struct oracle {
    const drawn *d;
    uint64_t sets[MAX_SETS]; /* down-closed, smaller ones first */
    int num_sets;
    double best_us[MAX_SETS][MAX_MASKS]; /* by the units that are used */
} oracle;

/* All down-closed sets; false: more than MAX_SETS. */
static bool list_sets(oracle *o) {
    o->num_sets = 1;
    o->sets[0] = 0;
    for (int s = 0; s < o->num_sets; s++) {
        for (int i = 0; i < o->d->num_tasks; i++) {
            uint64_t set = o->sets[s], more = set | (uint64_t)1 << i;
            bool is_known = more == set || (o->d->before[i] & ~set) != 0;
            for (int k = s + 1; k < o->num_sets && !is_known; k++) {
                is_known = o->sets[k] == more;
            }
            if (!is_known) {
                if (o->num_sets == MAX_SETS) {
                    return false;
                }
                o->sets[o->num_sets++] = more;
            }
        }
    }
    return true;
}

static bool keeps_together(const drawn *d, uint64_t stage) {
    for (int i = 0; i < d->num_tasks; i++) {
        for (int k = 0; k < i; k++) {
            bool is_pair = d->colocation[i] > 0 && d->colocation[i] == d->colocation[k];
            if (is_pair && (stage >> i & 1) != (stage >> k & 1)) {
                return false;
            }
        }
    }
    return true;
}

static double stage_us(const drawn *d, uint64_t stage, int unit) {
    int kind = d->kind[unit];
    double compute = 0, in = 0, out = 0;
    int weights = 0;
    for (int i = 0; i < d->num_tasks; i++) {
        bool is_mine = (stage >> i & 1) != 0, mine_reads = false, others_read = false;
        double way = d->bytes[i] == 0
                         ? 0
                         : d->latency_us[kind] + (double)d->bytes[i] / d->bandwidth_mb[kind];
        for (int k = 0; k < d->num_tasks; k++) {
            if (d->before[k] >> i & 1) {
                mine_reads = mine_reads || (stage >> k & 1) != 0;
                others_read = others_read || (stage >> k & 1) == 0;
            }
        }
        in += !is_mine && mine_reads ? way : 0;
        out += is_mine && others_read ? way : 0;
        if (is_mine) {
            bool is_elsewhere = d->pinned_task == i && d->pinned_unit != unit;
            if (d->time_us[i][kind] < 0 || is_elsewhere) {
                return (double)INFINITY;
            }
            compute += d->time_us[i][kind];
            weights += d->weight[i];
        }
    }
    if (weights > d->limit[kind]) {
        return (double)INFINITY;
    }
    return d->overlaps[kind] ? fmax(compute, fmax(in, out)) : compute + in + out;
}

static double oracle_best(oracle *o) {
    int masks = 1 << o->d->num_units;
    for (int s = 0; s < o->num_sets; s++) {
        for (int m = 0; m < masks; m++) {
            o->best_us[s][m] = s == 0 && m == 0 ? 0 : (double)INFINITY;
        }
    }
    for (int s = 0; s < o->num_sets; s++) {
        for (int t = s + 1; t < o->num_sets; t++) {
            uint64_t stage = o->sets[t] & ~o->sets[s];
            if ((o->sets[s] & ~o->sets[t]) != 0 || !keeps_together(o->d, stage)) {
                continue;
            }
            for (int u = 0; u < o->d->num_units; u++) {
                double load = stage_us(o->d, stage, u);
                for (int m = 0; m < masks && isfinite(load); m++) {
                    double *to = &o->best_us[t][m | 1 << u];
                    if ((m >> u & 1) == 0) {
                        *to = fmin(*to, fmax(load, o->best_us[s][m]));
                    }
                }
            }
        }
    }
    double best = (double)INFINITY;
    for (int m = 0; m < masks; m++) {
        best = fmin(best, o->best_us[o->num_sets - 1][m]);
    }
    return best;
}

/* --- checks --- */

/* The most loaded unit or link of the plan; INFINITY where there is none. *out_is_exact,
 * *out_is_folded: whether the plan says so. */
static clv_status *planned(
    const char *workload_json, const char *machine_json, const drawn *d, double *out_us,
    bool *out_is_exact, bool *out_is_folded) {
    clv_workload *workload = NULL;
    clv_machine *machine = NULL;
    clv_costs *costs = NULL;
    clv_plan *plan = NULL;
    char task[16], unit[16];
    clv_pin pin = {task, unit};
    clv_plan_request request = {
        .policy = "pipeline",
        .pins = &pin,
        .num_pins = d->pinned_task >= 0 ? 1 : 0,
        .allow_idle = true};
    snprintf(task, sizeof task, "^t%d$", d->pinned_task);
    snprintf(unit, sizeof unit, "u%d", d->pinned_unit);
    *out_us = (double)INFINITY;
    *out_is_exact = *out_is_folded = false;
    clv_status *status =
        clv_workload_parse_json("drawn", workload_json, strlen(workload_json), &workload);
    status = status != NULL
                 ? status
                 : clv_machine_parse_json("drawn", machine_json, strlen(machine_json), &machine);
    status = status != NULL ? status : clv_costs_create(workload, machine, &costs);
    if (status == NULL) {
        status = clv_plan_create(costs, &request, &plan);
        if (clv_status_code(status) == CLV_NO_MEMORY || clv_status_code(status) == CLV_USAGE ||
            clv_status_code(status) == CLV_UNSUPPORTED) {
            clv_status_destroy(status);
            status = NULL;
        } else if (status == NULL) {
            *out_us = plan->groups[0].bound_us;
            *out_is_exact = strstr(plan->method, "exact") != NULL;
            *out_is_folded = strstr(plan->method, "way back") != NULL;
            status = clv_plan_verify(costs, plan);
        }
    } else if (clv_status_code(status) == CLV_UNSUPPORTED) {
        clv_status_destroy(status);
        status = NULL;
    }
    clv_plan_destroy(plan);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
    return status;
}

/* 1: as the oracle, or better where folded; 0: passed over, too many sets; -1: not. */
static int check_case(uint64_t seed, oracle *o, int *num_exact) {
    clv_random random;
    drawn d;
    clv_random_init(&random, seed);
    draw_case(&random, &d);
    o->d = &d;
    if (!list_sets(o)) {
        return 0;
    }
    char *workload = workload_text(&d), *machine = machine_text(&d);
    double ours, theirs = oracle_best(o);
    bool is_exact, is_folded;
    clv_status *status = planned(workload, machine, &d, &ours, &is_exact, &is_folded);
    *num_exact += is_exact;
    bool is_good = status == NULL && (ours == theirs || fabs(ours - theirs) <= 1e-9 * theirs);
    is_good = is_good || (status == NULL && is_folded && ours < theirs); /* not contiguous */
    if (!is_good) {
        printf(
            "seed %llu: plan %.12g, best %.12g, pin t%d=u%d: %s\n%s\n%s\n",
            (unsigned long long)seed, ours, theirs, d.pinned_task, d.pinned_unit,
            status != NULL ? clv_status_message(status) : "", workload, machine);
    }
    clv_status_destroy(status);
    clv_free(workload);
    clv_free(machine);
    return is_good ? 1 : -1;
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 300;
    oracle *o = clv_alloc_zeroed(1, sizeof *o);
    int num_checked = 0, num_exact = 0, result = o == NULL;
    for (uint64_t i = 0; i < count && o != NULL && result == 0; i++) {
        int verdict = check_case(seed + i, o, &num_exact);
        num_checked += verdict != 0;
        result = verdict < 0;
    }
    printf(
        "%d cases checked, %d of them with a plan that says it is exact\n", num_checked, num_exact);
    clv_free(o);
    return result;
}
