/* How long planning takes, and how that grows.
 *
 *     plan_bench        chains of 100 to 10,000 tasks cut over 16 to 1,024 equal units, and
 *                       graphs of as many tasks under `auto` on 64 unequal units
 *     plan_bench FILE.tasks.json MACHINE [POLICY]      that task graph on that machine
 */
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/text.h"
#include "host/base/threads.h"
#include "partition/plan.h"

#include <stdio.h>
#include <string.h>

/* Tasks of 1 to 20 us; each reads the one before it, or two of the thirty before it. */
static char *make_tasks(int count, bool is_chain) {
    clv_random random;
    clv_text text;
    char *out = NULL;
    clv_random_init(&random, 1);
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    for (int i = 0; i < count; i++) {
        clv_text_add(
            &text, "%s{\"name\":\"t%d\",\"time_us\":{\"gpu\":%g},\"memory_bytes\":1000}",
            i > 0 ? "," : "", i, 1 + 19 * clv_random_unit(&random));
    }
    clv_text_add(&text, "],\"edges\":[");
    for (int i = 1; i < count; i++) {
        int near = i < 30 ? i : 30;
        int a = is_chain ? i - 1 : i - 1 - (int)clv_random_below(&random, (uint64_t)near);
        int b = is_chain ? a : i - 1 - (int)clv_random_below(&random, (uint64_t)near);
        clv_text_add(
            &text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":%d}", i > 1 ? "," : "", a, i,
            1000 + a * 37 % 50000);
        if (b != a) {
            clv_text_add(
                &text, ",{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":%d}", b, i,
                1000 + b * 37 % 50000);
        }
    }
    clv_text_add(&text, "]}");
    clv_status_destroy(clv_text_take(&text, &out));
    clv_text_deinit(&text);
    return out;
}

/* Takes the workload. */
static void measure_workload(
    clv_status *status, clv_workload *workload, const char *machine_text, const char *policy) {
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
        printf("%s\n", clv_status_message(status));
    } else {
        printf(
            "%-9s %6d tasks %5u units %9.3f s, %8.1f us a task; period %10.3f us, %s\n", policy,
            (int)workload->num_tasks, machine->num_units, time_us * 1e-6,
            time_us / workload->num_tasks, plan->period_us, plan->method);
    }
    clv_status_destroy(status);
    clv_plan_destroy(plan);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
}

static void measure(int count, bool is_chain, const char *machine, const char *policy) {
    clv_workload *workload = NULL;
    char *json = make_tasks(count, is_chain);
    clv_status *status = clv_workload_parse_json("bench", json, strlen(json), &workload);
    clv_free(json);
    measure_workload(status, workload, machine, policy);
}

int main(int argc, char **argv) {
    clv_text unequal;
    if (argc > 2) {
        clv_workload *workload = NULL;
        clv_status *status = clv_workload_load(argv[1], &workload);
        measure_workload(status, workload, argv[2], argc > 3 ? argv[3] : "pipeline");
        return 0;
    }
    char machine[128];
    clv_text_init(&unequal);
    clv_text_add(&unequal, "core peak=1G; ");
    for (int i = 0; i < 64; i++) {
        clv_text_add(&unequal, "gpu speed=%g; ", 0.5 + 1.5 * (i * 29 % 64) / 63.0);
    }
    clv_text_add(&unequal, "link gpu* host bw=10G");
    for (int count = 100; count <= 10000; count *= 10) {
        for (int units = 16; units <= 1024; units *= 8) {
            snprintf(
                machine, sizeof machine,
                "core peak=1G; gpu*%d mem=80G; link gpu* host bw=25G latency=1us", units);
            measure(count, true, machine, "pipeline");
        }
    }
    for (int count = 100; count <= 10000; count *= 10) {
        measure(count, false, unequal.data, "auto");
    }
    printf("peak memory %.0f MiB\n", (double)clv_peak_resident_bytes() / (1 << 20));
    clv_text_deinit(&unequal);
    return 0;
}
