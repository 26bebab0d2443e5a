/* A faster unit or link never makes an exact policy's plan slower: random workloads on machines
 * whose memories are joined by random links, so that data goes several ways over several hops,
 * some with little memory. One link gets more bandwidth or less latency, or one unit more speed.
 * And where memory is little, all policies that place tasks freely find room where a pipeline does.
 *
 *     TEST [SEED [NUM_CASES]]      a failure prints the case and its seed
 */
#include "host/base/random.h"
#include "host/base/text.h"
#include "scheduler/steady.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TASKS = 7, MAX_UNITS = 3, MAX_HUBS = 2, MAX_LINKS = 10 };

/* A pipeline where there are several ways, branches or limits: a link that becomes faster draws
 * tensors onto its neighbours, which others need too, or changes whose turn is first (Braess,
 * Graham), and requests run further ahead, which takes memory. */
static const double near_with_ways = 0.25;

typedef struct drawn_link {
    char ends[24];
    double bandwidth_mb, latency_us;
    bool half_duplex;
} drawn_link;

typedef struct drawn {
    uint64_t seed;
    clv_text tasks;
    int num_units, num_hubs, num_links, limit[MAX_UNITS]; /* bytes; 0: none */
    bool overlaps[MAX_UNITS], is_chain, has_ways, has_limits;
    double speed[MAX_UNITS];
    drawn_link links[MAX_LINKS];
} drawn;

static int between(clv_random *random, int low, int high) {
    return low + (int)clv_random_below(random, (uint64_t)(high - low) + 1);
}

/* --- drawing --- */

static void draw_tasks(clv_random *random, drawn *d) {
    int count = between(random, 1, MAX_TASKS), scale = between(random, 0, 3) == 0 ? 1000 : 1;
    bool is_first = true;
    clv_text_add(&d->tasks, "{\"tasks\":[");
    for (int i = 0; i < count; i++) {
        clv_text_add(
            &d->tasks, "%s{\"name\":\"t%d\",\"memory_bytes\":%d,\"output_bytes\":%d,\"time_us\":{",
            i > 0 ? "," : "", i, between(random, 0, 20), between(random, 0, 20));
        for (int u = 0; u < d->num_units; u++) {
            if (u == 0 || between(random, 0, 9) > 0) {
                clv_text_add(
                    &d->tasks, "%s\"p%d\":%d", u > 0 ? "," : "", u, between(random, 1, 50));
            }
        }
        clv_text_add(&d->tasks, "}}");
    }
    clv_text_add(&d->tasks, "],\"edges\":[");
    for (int i = 1; i < count; i++) {
        int bytes = between(random, 0, 4) == 0 ? 0 : between(random, 1, 40) * scale;
        for (int k = 0; k < i; k++) {
            if (d->is_chain ? k + 1 == i : between(random, 0, count) < 3) {
                clv_text_add(
                    &d->tasks, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":%d}",
                    is_first ? "" : ",", k, i, bytes);
                is_first = false;
            }
        }
    }
    clv_text_add(&d->tasks, "]}");
}

static void node_name(const drawn *d, int node, char out[8]) {
    snprintf(
        out, 8, node < d->num_units ? "p%d" : "h%d",
        node < d->num_units ? node : node - d->num_units);
}

static void draw_link(clv_random *random, drawn *d, int a, int b) {
    drawn_link *link = &d->links[d->num_links++];
    char from[8], to[8];
    node_name(d, a, from);
    node_name(d, b, to);
    snprintf(link->ends, sizeof link->ends, "%s %s", from, to);
    link->bandwidth_mb = between(random, 1, 8) * (between(random, 0, 3) == 0 ? 100 : 1);
    link->latency_us = between(random, 0, 3) == 0 ? between(random, 0, 60) : between(random, 0, 3);
    link->half_duplex = between(random, 0, 3) == 0;
}

/* A tree, and some links more. */
static void draw_case(uint64_t seed, drawn *d) {
    clv_random random;
    clv_random_init(&random, seed);
    *d = (drawn){.seed = seed};
    clv_text_init(&d->tasks);
    d->num_units = between(&random, 2, MAX_UNITS);
    d->num_hubs = between(&random, 0, MAX_HUBS);
    d->is_chain = between(&random, 0, 1) == 0;
    d->has_limits = between(&random, 0, 2) == 0;
    for (int u = 0; u < d->num_units; u++) {
        d->overlaps[u] = between(&random, 0, 3) > 0;
        d->speed[u] = 1;
        d->limit[u] = d->has_limits && between(&random, 0, 1) == 0 ? between(&random, 20, 250) : 0;
    }
    int num_nodes = d->num_units + d->num_hubs;
    for (int i = 1; i < num_nodes; i++) {
        draw_link(&random, d, i, between(&random, 0, i - 1));
    }
    for (int i = 1; i < num_nodes; i++) {
        for (int k = 0; k < i && d->num_links < MAX_LINKS; k++) {
            char from[8], to[8], ends[24];
            bool is_known = false;
            node_name(d, i, from);
            node_name(d, k, to);
            snprintf(ends, sizeof ends, "%s %s", from, to);
            for (int l = 0; l < d->num_links; l++) {
                is_known = is_known || strcmp(d->links[l].ends, ends) == 0;
            }
            if (!is_known && between(&random, 0, 1) == 0) {
                draw_link(&random, d, i, k);
                d->has_ways = true;
            }
        }
    }
    draw_tasks(&random, d);
}

static void quicken(drawn *d) {
    clv_random random;
    clv_random_init(&random, d->seed ^ 0x5eed);
    drawn_link *link = &d->links[between(&random, 0, d->num_links - 1)];
    switch (between(&random, 0, 3)) {
    case 0:
        d->speed[between(&random, 0, d->num_units - 1)] = between(&random, 0, 1) ? 2 : 1.1;
        break;
    case 1:
        link->latency_us /= between(&random, 0, 1) ? 8 : 1.2;
        break;
    case 2:
        link->bandwidth_mb *= between(&random, 0, 1) ? 8 : 1.2;
        break;
    default:
        link->bandwidth_mb *= 4;
        link->latency_us = 0;
        break;
    }
}

static void machine_text(const drawn *d, clv_text *text) {
    clv_text_init(text);
    for (int u = 0; u < d->num_units; u++) {
        clv_text_add(
            text, "%sp%d speed=%.17g%s", u > 0 ? "; " : "", u, d->speed[u],
            d->overlaps[u] ? "" : " overlap=no");
        if (d->limit[u] > 0) {
            clv_text_add(text, " mem=%d", d->limit[u]);
        }
    }
    for (int h = 0; h < d->num_hubs; h++) {
        clv_text_add(text, "; hub h%d", h);
    }
    for (int l = 0; l < d->num_links; l++) {
        const drawn_link *link = &d->links[l];
        clv_text_add(
            text, "; link %s bw=%.17gM latency=%.17gus%s", link->ends, link->bandwidth_mb,
            link->latency_us, link->half_duplex ? " duplex=half" : "");
    }
}

/* --- plans --- */

static void check(const drawn *d, const char *what, clv_status *status) {
    if (status != NULL) {
        printf(
            "seed %llu: %s: %s\n", (unsigned long long)d->seed, what, clv_status_message(status));
        exit(1);
    }
}

typedef struct scene {
    clv_text text;
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
} scene;

static void open_scene(const drawn *d, scene *s) {
    *s = (scene){0};
    machine_text(d, &s->text);
    check(
        d, "tasks", clv_workload_parse_json("drawn", d->tasks.data, d->tasks.length, &s->workload));
    check(d, s->text.data, clv_machine_parse_text(s->text.data, &s->machine));
    check(d, "costs", clv_costs_create(s->workload, s->machine, &s->costs));
    s->costs->ask_clock = clv_steady_state;
}

static void close_scene(scene *s) {
    clv_costs_destroy(s->costs);
    clv_machine_destroy(s->machine);
    clv_workload_destroy(s->workload);
    clv_text_deinit(&s->text);
}

/* INFINITY: there is no plan. */
static double plan_us(const drawn *d, const scene *s, const char *policy, clv_objective objective) {
    clv_plan *plan = NULL;
    clv_plan_request request = {
        .policy = policy,
        .objective = objective,
        .has_objective = true,
        .allow_idle = true,
        .budget = 200000};
    clv_status *status = clv_plan_create(s->costs, &request, &plan);
    if (status != NULL) {
        clv_code code = clv_status_code(status);
        bool is_known = code == CLV_UNSUPPORTED || code == CLV_NO_MEMORY;
        check(d, policy, is_known ? NULL : status);
        clv_status_destroy(status);
        return (double)INFINITY;
    }
    double us = objective == CLV_LATENCY ? plan->latency_us : plan->period_us;
    clv_plan_destroy(plan);
    return us;
}

static void compare(const drawn *d, const scene *before, const scene *after, const char *policy) {
    bool is_pipeline = strcmp(policy, "pipeline") == 0;
    double near = !is_pipeline                                    ? 1e-9
                  : d->is_chain && !d->has_ways && !d->has_limits ? 2e-3
                                                                  : near_with_ways;
    for (int o = is_pipeline ? 1 : 0; o < 2; o++) {
        clv_objective objective = o == 0 ? CLV_LATENCY : CLV_THROUGHPUT;
        double slow_us = plan_us(d, before, policy, objective);
        double fast_us = plan_us(d, after, policy, objective);
        if (fast_us > slow_us * (1 + near)) {
            printf(
                "seed %llu, %s: %.12g us, and with faster parts %.12g us\n%s\n%s\n%s\n",
                (unsigned long long)d->seed, policy, slow_us, fast_us, d->tasks.data,
                before->text.data, after->text.data);
            exit(1);
        }
    }
}

/* What a pipeline's cut can hold, others that place tasks freely can. */
static void check_room(const drawn *d, const scene *s) {
    static const char *const policies[] = {"serial", "tensor", "branch"};
    bool has_cut = isfinite(plan_us(d, s, "pipeline", CLV_THROUGHPUT));
    for (int k = 0; has_cut && k < 3; k++) {
        if (isinf(plan_us(d, s, policies[k], CLV_LATENCY))) {
            printf(
                "seed %llu, %s: a pipeline fits, but nothing else\n%s\n%s\n",
                (unsigned long long)d->seed, policies[k], d->tasks.data, s->text.data);
            exit(1);
        }
    }
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 250, tried = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!clv_test_is_tried(seed + i)) {
            continue;
        }
        tried++;
        drawn d;
        scene before, after;
        draw_case(seed + i, &d);
        open_scene(&d, &before);
        if (d.has_limits) {
            check_room(&d, &before);
        }
        quicken(&d);
        open_scene(&d, &after);
        compare(&d, &before, &after, "single");
        compare(&d, &before, &after, "serial");
        compare(&d, &before, &after, "pipeline");
        close_scene(&before);
        close_scene(&after);
        clv_text_deinit(&d.tasks);
    }
    printf("%llu cases\n", (unsigned long long)tried);
    return 0;
}
