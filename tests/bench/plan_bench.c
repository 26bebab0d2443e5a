/* How long planning takes, and how that grows.
 *
 *     plan_bench           chains of 100 to 10,000 tasks cut over 16 to 1,024 equal units; networks
 *                          of operators with down-closed sets by the thousand; graphs of many
 *                          shapes, up to 10,000 tasks, under `auto` on 64 unequal units; `auto` on
 *                          machines of up to 65,536 units, equal or one for each operator
 *     plan_bench SHAPE     graphs of that shape alone (chain line near parallel wide dense star
 *                          split) under `auto` on the 64 unequal units
 *     plan_bench FILE.tasks.json MACHINE [POLICY]      that task graph on that machine
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
#include "host/base/threads.h"
#include "partition/plan.h"

#include <stdio.h>
#include <string.h>

typedef enum shape {
    CHAIN,
    LINE,     /* a chain that runs on any unit */
    NEAR,     /* each task reads two of the thirty before it */
    PARALLEL, /* no edges */
    WIDE,     /* layers of a hundred, each task reads three of the layer before */
    DENSE,    /* each task reads all before it */
    STAR,     /* each task reads the first */
    SPLIT,    /* as WIDE, every task can be cut in four ways */
} shape;

static const char *const shape_names[] = {"chain", "line",  "near", "parallel",
                                          "wide",  "dense", "star", "split"};

static clv_text begin_json(void) {
    clv_text text;
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    return text;
}

static void add_edge(clv_text *text, bool *is_any, int from, int to) {
    clv_text_add(
        text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":%d}", *is_any ? "," : "", from, to,
        1000 + from * 37 % 50000);
    *is_any = true;
}

static void add_edges(clv_random *random, clv_text *text, int count, shape which) {
    bool is_any = false;
    for (int i = 1; i < count; i++) {
        int near = i < 30 ? i : 30;
        if (which == CHAIN || which == LINE) {
            add_edge(text, &is_any, i - 1, i);
        } else if (which == NEAR) {
            int a = i - 1 - (int)clv_random_below(random, (uint64_t)near);
            int b = i - 1 - (int)clv_random_below(random, (uint64_t)near);
            add_edge(text, &is_any, a, i);
            if (a != b) {
                add_edge(text, &is_any, b, i);
            }
        } else if ((which == WIDE || which == SPLIT) && i >= 100) {
            int first = i / 100 * 100 - 100, a = (int)clv_random_below(random, 100);
            for (int k = 0; k < 3; k++) {
                add_edge(text, &is_any, first + (a + k * 31) % 100, i);
            }
        } else if (which == STAR) {
            add_edge(text, &is_any, 0, i);
        } else if (which == DENSE) {
            for (int k = 0; k < i; k++) {
                add_edge(text, &is_any, k, i);
            }
        }
    }
}

/* Tasks of 1 to 20 us. */
static char *make_tasks(int count, shape which) {
    static const char *const splits =
        ",\"output_dims\":[64,64,64],\"splits\":[{\"name\":\"a\",\"axis\":0,\"extent\":64},"
        "{\"name\":\"b\",\"axis\":1,\"extent\":64,\"splits_weights\":true},"
        "{\"name\":\"c\",\"axis\":2,\"extent\":64,\"fixed_share\":0.1},"
        "{\"name\":\"d\",\"extent\":64,\"join\":\"sum\"}]";
    clv_random random;
    clv_text text = begin_json();
    char *out = NULL;
    clv_random_init(&random, 1);
    for (int i = 0; i < count; i++) {
        clv_text_add(
            &text, "%s{\"name\":\"t%d\",\"time_us\":{\"%s\":%g},\"memory_bytes\":1000%s}",
            i > 0 ? "," : "", i, which == LINE ? "*" : "gpu", 1 + 19 * clv_random_unit(&random),
            which == SPLIT ? splits : "");
    }
    clv_text_add(&text, "],\"edges\":[");
    add_edges(&random, &text, count, which);
    clv_text_add(&text, "]}");
    clv_status_destroy(clv_text_take(&text, &out));
    clv_text_deinit(&text);
    return out;
}

/* --- networks of operators, as published placement problems are --- */

typedef struct network {
    clv_text tasks, edges, colocations;
    clv_random random;
} network;

static void add_input(network *n, const char *from, const char *to, int bytes) {
    if (from[0] != '\0') {
        clv_text_add(
            &n->edges, "%s{\"from\":\"%s\",\"to\":\"%s\",\"bytes\":%d}",
            n->edges.length > 0 ? "," : "", from, to, bytes);
    }
}

/* An operator of `low` to `high` us (ten times that on a core) that reads two others ("": none),
 * and its weights, a task of no time that shares its unit. The first runs on cores alone. */
static void add_operator(
    network *n, char *name, const char *first, const char *second, int low, int high) {
    double time_us = low + (high - low) * clv_random_unit(&n->random);
    bool is_core_alone = first[0] == '\0';
    char both[64];
    snprintf(both, sizeof both, ",\"gpu\":%.3f", time_us);
    clv_text_add(
        &n->tasks, "%s{\"name\":\"%s\",\"time_us\":{\"core\":%.3f%s}}",
        n->tasks.length > 0 ? "," : "", name, 10 * time_us, is_core_alone ? "" : both);
    add_input(n, first, name, 1500000);
    add_input(n, second, name, 1500000);
    if (high > 500) {
        clv_text_add(
            &n->tasks, ",{\"name\":\"%s_w\",\"time_us\":0,\"memory_bytes\":2359296}", name);
        clv_text_add(&n->edges, ",{\"from\":\"%s_w\",\"to\":\"%s\",\"bytes\":2359296}", name, name);
        clv_text_add(
            &n->colocations, "%s[\"%s_w\",\"%s\"]", n->colocations.length > 0 ? "," : "", name,
            name);
    }
}

/* Layers of attention (three branches of `length` operators) and of two large products. */
static char *make_network(int num_layers, int length) {
    network n = {.tasks = {0}};
    clv_text text;
    char *out = NULL, input[32] = "in", name[32], ends[3][32];
    clv_text_init(&n.tasks);
    clv_text_init(&n.edges);
    clv_text_init(&n.colocations);
    clv_text_init(&text);
    clv_random_init(&n.random, 1);
    add_operator(&n, input, "", "", 300, 400);
    for (int l = 0; l < num_layers; l++) {
        for (int b = 0; b < 3; b++) {
            snprintf(ends[b], sizeof ends[b], "%s", input);
            for (int i = 0; i < length; i++) {
                snprintf(name, sizeof name, "l%d_%c%d", l, "qkv"[b], i);
                add_operator(&n, name, ends[b], "", 20, i == 0 ? 900 : 120);
                snprintf(ends[b], sizeof ends[b], "%s", name);
            }
        }
        static const char *const parts[] = {"scores", "context", "product", "large", "small"};
        for (int i = 0; i < 5; i++) {
            const char *second = i == 0 ? ends[1] : i == 1 ? ends[2] : i == 4 ? input : "";
            snprintf(name, sizeof name, "l%d_%s", l, parts[i]);
            add_operator(&n, name, ends[0], second, 300, i < 2 ? 500 : 2500);
            snprintf(ends[0], sizeof ends[0], "%s", name);
        }
        snprintf(input, sizeof input, "%s", name);
    }
    clv_text_add(
        &text, "{\"tasks\":[%s],\"edges\":[%s],\"colocate\":[%s]}", n.tasks.data, n.edges.data,
        n.colocations.data);
    clv_status_destroy(clv_text_take(&text, &out));
    clv_text_deinit(&text);
    clv_text_deinit(&n.tasks);
    clv_text_deinit(&n.edges);
    clv_text_deinit(&n.colocations);
    return out;
}

/* --- measuring --- */

/* Takes the workload. */
static void measure_workload(
    clv_status *status, clv_workload *workload, const char *what, const char *machine_text,
    const char *policy) {
    clv_machine *machine = NULL;
    clv_costs *costs = NULL;
    clv_plan *plan = NULL;
    clv_plan_request request = {.policy = policy, .allow_idle = true};
    status = status != NULL ? status : clv_machine_load(machine_text, &machine);
    status = status != NULL ? status : clv_costs_create(workload, machine, &costs);
    double start_us = clv_time_us();
    status = status != NULL ? status : clv_plan_create(costs, &request, &plan);
    double time_us = clv_time_us() - start_us;
    if (status != NULL) {
        printf("%-8s %-8s %s\n", policy, what, clv_status_message(status));
    } else {
        printf(
            "%-8s %-8s %6u tasks %5u units %7.3f s, %8.1f us a task; period %10.3f us, %s: %s\n",
            policy, what, workload->num_tasks, machine->num_units, time_us * 1e-6,
            time_us / workload->num_tasks, plan->period_us, plan->policy, plan->method);
    }
    clv_status_destroy(status);
    clv_plan_destroy(plan);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
}

/* Takes the text. */
static void measure(char *json, const char *what, const char *machine, const char *policy) {
    clv_workload *workload = NULL;
    clv_status *status = clv_workload_parse_json("bench", json, strlen(json), &workload);
    clv_free(json);
    measure_workload(status, workload, what, machine, policy);
}

/* Graphs of one shape, or of every one (no name), under `auto` on 64 unequal units. */
static void measure_shapes(const char *only) {
    clv_text machine;
    clv_text_init(&machine);
    clv_text_add(&machine, "core peak=1G; ");
    for (int i = 0; i < 64; i++) {
        clv_text_add(&machine, "gpu speed=%g; ", 0.5 + 1.5 * (i * 29 % 64) / 63.0);
    }
    clv_text_add(&machine, "link gpu* host bw=10G");
    for (int count = 100; count <= 10000; count *= 10) {
        for (shape which = only == NULL ? NEAR : CHAIN; which <= SPLIT; which++) {
            int size = which == DENSE && count > 1000 ? 1500 : count;
            if (only == NULL || strcmp(only, shape_names[which]) == 0) {
                measure(make_tasks(size, which), shape_names[which], machine.data, "auto");
            }
        }
    }
    clv_text_deinit(&machine);
}

static void measure_machines(void) {
    static const char *const machines[] = {
        "core*65536", "gpu*65535; link gpu* host bw=10G", "gpu*1000; link gpu* gpu* bw=100G"};
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        measure(make_tasks(50, LINE), "line", machines[i], "auto");
    }
}

int main(int argc, char **argv) {
    if (argc > 2) {
        clv_workload *workload = NULL;
        clv_status *status = clv_workload_load(argv[1], &workload);
        measure_workload(status, workload, "file", argv[2], argc > 3 ? argv[3] : "pipeline");
        return 0;
    }
    if (argc == 2) {
        measure_shapes(argv[1]);
        return 0;
    }
    char machine[128];
    for (int count = 100; count <= 10000; count *= 10) {
        for (int units = 16; units <= 1024; units *= 8) {
            snprintf(
                machine, sizeof machine,
                "core peak=1G; gpu*%d mem=80G; link gpu* host bw=25G latency=1us", units);
            measure(make_tasks(count, CHAIN), "chain", machine, "pipeline");
        }
    }
    static const int sizes[][2] = {{3, 4}, {6, 8}, {12, 8}, {12, 13}};
    for (int i = 0; i < 4; i++) {
        measure(
            make_network(sizes[i][0], sizes[i][1]), "network",
            "core; gpu*6 mem=16G overlap=no; link gpu* host bw=1G", "pipeline");
    }
    measure_shapes(NULL);
    measure_machines();
    printf("peak memory %.0f MiB\n", (double)clv_peak_resident_bytes() / (1 << 20));
    return 0;
}
