/* What the plan says, what the clock says of a period, and what a long run on the clock delivers:
 * random chains and graphs on random machines, with transfers beside launches or not, full and half
 * duplex, unequal units, units that share a memory, forward and backward tasks in one place.
 *
 *     TEST [SEED [NUM_CASES]]      a failure prints the case and its seed
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
#include "scheduler/clock.h"
#include "scheduler/steady.h"
#include "scheduler/timeline.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TASKS = 10, MAX_UNITS = 4, LONG = 384 };
/* How far the period may be from what a long run delivers, the plan's from the clock's, and a run
 * with more in flight behind one with fewer. Every other case is planned by sums alone, as plans
 * that are too large for the clock are: where a transfer occupies two units neither of them
 * overlaps, one has to wait for what the other is at, which no load counts. So do the parts of a
 * folded pipeline on one unit; on one memory it is not told either which of them meet. Where units
 * share a memory, stages that run ahead draw bandwidth that the slowest one could do with. */
static const double delivered = 0.025, near = 0.05, near_with_two = 0.4, near_folded = 0.25,
                    behind = 0.002, behind_with_these = 0.15;

typedef struct scene {
    uint64_t seed;
    clv_text tasks, machine;
    int num_p, num_units; /* p:0, p:1, ..., then q:0, ... */
    bool shares_memory, occupies_two;
    clv_workload *workload;
    clv_machine *hardware;
    clv_costs *costs;
} scene;

static int between(clv_random *random, int low, int high) {
    return low + (int)clv_random_below(random, (uint64_t)(high - low) + 1);
}

static void fail(const scene *s, const char *policy, const char *what, double a, double b) {
    printf("seed %llu, %s: %s: %.12g, %.12g\n", (unsigned long long)s->seed, policy, what, a, b);
    printf("%s\n%s\n", s->tasks.data, s->machine.data);
    exit(1);
}

/* --- drawing --- */

static void draw_times(clv_random *random, scene *s, bool is_even) {
    int time = between(random, 1, 50);
    for (int u = 0; u < s->num_units; u++) {
        clv_text_add(
            &s->tasks, "%s\"%c:%d\":%d", u > 0 ? "," : "", u < s->num_p ? 'p' : 'q',
            u < s->num_p ? u : u - s->num_p, is_even ? time : between(random, 1, 50));
    }
}

/* Chains, and graphs in which a task reads some of those before it; with `is_training` the second
 * half mirrors the first, and each task is where its mirror image is. */
static void draw_tasks(clv_random *random, scene *s) {
    bool is_training = between(random, 0, 3) == 0, is_chain = between(random, 0, 1) == 0;
    bool is_even = between(random, 0, 2) == 0, is_first = true;
    int half = between(random, 1, MAX_TASKS / 2), count = is_training ? 2 * half : 2 * half - 1;
    clv_text_add(&s->tasks, "{\"tasks\":[");
    for (int i = 0; i < count; i++) {
        clv_text_add(
            &s->tasks, "%s{\"name\":\"t%d\",\"traffic_bytes\":%d,\"time_us\":{", i > 0 ? "," : "",
            i, s->shares_memory ? between(random, 0, 40) * between(random, 0, 1000) : 0);
        draw_times(random, s, is_even);
        clv_text_add(&s->tasks, "}}");
    }
    clv_text_add(&s->tasks, "],\"edges\":[");
    for (int i = 1; i < count; i++) {
        int bytes = between(random, 0, 3) == 0 ? 0 : between(random, 1, 40);
        for (int k = 0; k < i; k++) {
            if (k == i - 1 || (!is_chain && between(random, 0, count) < 2)) {
                clv_text_add(
                    &s->tasks, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":%d}",
                    is_first ? "" : ",", k, i, bytes);
                is_first = false;
            }
        }
    }
    clv_text_add(&s->tasks, "]");
    for (int i = 0; is_training && i < half; i++) {
        clv_text_add(
            &s->tasks, "%s[\"t%d\",\"t%d\"]", i > 0 ? "," : ",\"colocate\":[", i, count - 1 - i);
    }
    clv_text_add(&s->tasks, is_training ? "]}" : "}");
}

static void draw_machine(clv_random *random, scene *s) {
    static const char *const beside[] = {"", " overlap=no"};
    int num_q = s->num_units - s->num_p;
    bool overlaps = between(random, 0, 1) == 0;
    clv_text_add(&s->machine, "p*%d%s", s->num_p, beside[overlaps ? 0 : 1]);
    if (num_q > 0) {
        clv_text_add(&s->machine, "; q*%d%s", num_q, beside[between(random, 0, 1)]);
    }
    if (s->shares_memory) {
        clv_text_add(&s->machine, "; numa*1 bw=%dM", between(random, 100, 1000));
        return;
    }
    for (int i = 0; i < (num_q > 0 ? 2 : 1); i++) {
        clv_text_add(
            &s->machine, "; link %c* host bw=%dM latency=%dus%s", "pq"[i], between(random, 1, 8),
            between(random, 0, 2), between(random, 0, 2) == 0 ? " duplex=half" : "");
    }
    if (s->num_p > 1 && between(random, 0, 2) == 0) {
        clv_text_add(&s->machine, "; link p:0 p:1 bw=%dM", between(random, 1, 8));
        s->occupies_two = !overlaps;
    }
}

static void check(const scene *s, clv_status *status) {
    if (status != NULL) {
        printf("%s\n", clv_status_message(status));
        fail(s, "", "cannot be made", 0, 0);
    }
}

static void draw_scene(uint64_t seed, scene *s) {
    clv_random random;
    *s = (scene){.seed = seed};
    clv_random_init(&random, seed);
    clv_text_init(&s->tasks);
    clv_text_init(&s->machine);
    s->num_units = between(&random, 2, MAX_UNITS);
    s->num_p = between(&random, 1, s->num_units);
    s->shares_memory = between(&random, 0, 2) == 0;
    draw_machine(&random, s);
    draw_tasks(&random, s);
    check(s, clv_workload_parse_json("drawn", s->tasks.data, s->tasks.length, &s->workload));
    check(s, clv_machine_parse_text(s->machine.data, &s->hardware));
    check(s, clv_costs_create(s->workload, s->hardware, &s->costs));
}

static void drop_scene(scene *s) {
    clv_costs_destroy(s->costs);
    clv_machine_destroy(s->hardware);
    clv_workload_destroy(s->workload);
    clv_text_deinit(&s->tasks);
    clv_text_deinit(&s->machine);
}

/* --- runs --- */

typedef struct result {
    double makespan_us, period_us;
} result;

static result run(
    const scene *s, const clv_plan *plan, uint32_t num_requests, uint32_t depth,
    bool wants_period) {
    clv_schedule_request request = {.num_requests = num_requests, .depth = depth};
    clv_schedule *schedule;
    clv_timeline *timeline = NULL;
    check(s, clv_schedule_create(s->costs, plan, &request, &schedule));
    check(s, clv_schedule_verify(schedule, NULL, false));
    result out = {.makespan_us = schedule->predicted->makespan_us};
    if (wants_period) {
        check(s, clv_timeline_create(schedule, NULL, &timeline));
        out.period_us = timeline->period_us;
    }
    clv_timeline_destroy(timeline);
    clv_schedule_destroy(schedule);
    return out;
}
/* How many requests more a long run does in how much more time. */
static double long_run_us(const scene *s, const clv_plan *plan, uint32_t depth) {
    double once_us = run(s, plan, LONG, depth, false).makespan_us;
    double twice_us = run(s, plan, 2 * LONG, depth, false).makespan_us;
    return (twice_us - once_us) / LONG;
}

static bool is_folded(const clv_plan *plan) {
    bool is = false;
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        is = is || plan->groups[g].is_folded;
    }
    return is;
}

/* The plan's period is its slowest group's, or by sums what they share, if that is slower. */
static void check_groups(const scene *s, const clv_plan *plan) {
    double slowest_us = 0;
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        slowest_us = fmax(slowest_us, plan->groups[g].share * plan->groups[g].period_us);
    }
    double less_us = plan->period_us - slowest_us;
    double most = plan->num_groups == 1 ? 1e-9 : s->costs->ask_clock != NULL ? 2e-3 : 1;
    if (less_us < -1e-9 * slowest_us || less_us > most * slowest_us) {
        fail(s, plan->policy, "periods of groups and plan", slowest_us, plan->period_us);
    }
}

static void check_period(const scene *s, const clv_plan *plan, uint32_t depth) {
    double one_us = run(s, plan, 1, depth, true).period_us;
    double some_us = run(s, plan, 7, depth, true).period_us;
    double delivered_us = long_run_us(s, plan, depth);
    if (fabs(one_us - some_us) > 1e-9 * one_us) {
        fail(s, plan->policy, "periods of 1 and 7 requests", one_us, some_us);
    }
    if (fabs(one_us - delivered_us) > delivered * delivered_us) {
        fail(s, plan->policy, "period, and what a long run delivers", one_us, delivered_us);
    }
    double most = s->costs->ask_clock != NULL ? near
                  : s->occupies_two           ? near_with_two
                  : is_folded(plan)           ? near_folded
                                              : near;
    if (depth == CLV_DEPTH_OF_PLAN && fabs(plan->period_us - one_us) > most * one_us) {
        fail(s, plan->policy, "periods of plan and clock", plan->period_us, one_us);
    }
}

/* Requests that run ahead take nothing from older ones but bandwidth of their memory. Fewer than
 * there are copies leave copies out: that is another plan. */
static void check_depths(const scene *s, const clv_plan *plan) {
    static const uint32_t depths[] = {1, 2, 3, 4, 6, 8, 12, CLV_DEPTH_UNLIMITED};
    bool has_these = s->shares_memory || s->occupies_two || is_folded(plan);
    double best_us = (double)INFINITY, most = has_these ? behind_with_these : behind;
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        if (depths[i] < plan->num_groups) {
            continue;
        }
        double now_us = run(s, plan, LONG, depths[i], false).makespan_us;
        if (now_us > best_us * (1 + most)) {
            fail(s, plan->policy, "makespans with fewer and more in flight", best_us, now_us);
        }
        best_us = fmin(best_us, now_us);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 60;
    static const char *const policies[] = {"single", "serial", "pipeline",
                                           "data",   "data:2", "data:2/pipeline"};
    for (uint64_t i = 0; i < count; i++) {
        scene s;
        if (!clv_test_is_tried(i)) {
            continue;
        }
        draw_scene(seed + i, &s);
        s.costs->ask_clock = s.seed % 2 == 0 ? clv_steady_state : NULL;
        for (size_t k = 0; k < sizeof policies / sizeof policies[0]; k++) {
            clv_plan_request request = {
                .policy = policies[k],
                .allow_idle = true,
                .budget = 200000,
                .objective = CLV_THROUGHPUT,
                .has_objective = true};
            clv_plan *plan = NULL;
            check(&s, clv_plan_create(s.costs, &request, &plan));
            check_groups(&s, plan);
            check_period(&s, plan, CLV_DEPTH_OF_PLAN);
            check_period(&s, plan, CLV_DEPTH_UNLIMITED);
            check_depths(&s, plan);
            clv_plan_destroy(plan);
        }
        drop_scene(&s);
    }
    return 0;
}
