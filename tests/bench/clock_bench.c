/* Time of making a schedule, replaying it on the virtual clock, and making its timeline, from
 * 10^3 to 10^6 steps: a chain of 100 tasks pipelined over 16 units with eight buffers each, then
 * copies of it on 10 to 10,000 unequal units that want twice as much bandwidth as their memory has.
 * Called without arguments. */
#include "scheduler/clock.h"
#include "scheduler/timeline.h"

#include "host/base/text.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

enum { NUM_TASKS = 100, TRAFFIC = 1000 };

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static clv_status *make_chain(clv_workload **out_workload) {
    clv_text text;
    clv_text_init(&text);
    clv_text_add(&text, "{\"tasks\":[");
    for (int i = 0; i < NUM_TASKS; i++) {
        clv_text_add(
            &text, "%s{\"name\":\"t%d\",\"time_us\":%d,\"traffic_bytes\":%d}", i > 0 ? "," : "", i,
            5 + i * 7 % 11, TRAFFIC);
    }
    clv_text_add(&text, "],\"edges\":[");
    for (int i = 1; i < NUM_TASKS; i++) {
        clv_text_add(
            &text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":64}", i > 1 ? "," : "", i - 1, i);
    }
    clv_text_add(&text, "]}");
    clv_status *status = clv_workload_parse_json("chain", text.data, text.length, out_workload);
    clv_text_deinit(&text);
    return status;
}

static clv_status *measure(const clv_costs *costs, const clv_plan *plan, uint32_t requests) {
    clv_schedule_request request = {.num_requests = requests, .depth = CLV_DEPTH_UNLIMITED};
    clv_schedule *schedule;
    clv_timeline *timeline = NULL;
    clv_run *run = NULL;
    double begin = now_ms();
    CLV_TRY(clv_schedule_create(costs, plan, &request, &schedule));
    double made = now_ms();
    clv_status *status =
        clv_clock_run(schedule, &(clv_clock_request){.mode = CLV_CLOCK_STATIC}, &run);
    double replayed = now_ms();
    status = status != NULL ? status : clv_timeline_create(schedule, run, &timeline);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf(
        "%9llu steps: schedule %8.2f ms, replay %8.2f ms, timeline %8.2f ms, peak %ld MiB\n",
        (unsigned long long)schedule->num_steps, made - begin, replayed - made, now_ms() - replayed,
        usage.ru_maxrss / 1024);
    clv_timeline_destroy(timeline);
    clv_run_destroy(run);
    clv_schedule_destroy(schedule);
    return status;
}

static clv_status *measure_all(const clv_costs *costs) {
    clv_plan_request request = {.policy = "pipeline", .allow_idle = true};
    clv_plan *plan;
    CLV_TRY(clv_plan_create(costs, &request, &plan));
    clv_status *status = NULL;
    for (uint32_t requests = 10; status == NULL && requests <= 10000; requests *= 10) {
        status = measure(costs, plan, requests);
    }
    clv_plan_destroy(plan);
    return status;
}

/* Units alone draw 100 bytes a microsecond on average, of 50 for each. */
static clv_status *measure_shared(const clv_workload *workload, uint32_t num_units) {
    clv_text text;
    clv_machine *machine = NULL;
    clv_costs *costs = NULL;
    clv_plan *plan = NULL;
    clv_text_init(&text);
    for (uint32_t i = 0; i < num_units; i++) {
        double speed = 0.5 + (double)(i * 29 % num_units) / num_units;
        clv_text_add(&text, "x%u speed=%g; ", i, speed);
    }
    clv_text_add(&text, "host bw=%uM", 50 * num_units);
    clv_plan_request request = {.policy = "data", .allow_idle = true};
    clv_status *status = clv_machine_parse_text(text.data, &machine);
    status = status != NULL ? status : clv_costs_create(workload, machine, &costs);
    status = status != NULL ? status : clv_plan_create(costs, &request, &plan);
    status = status != NULL ? status : measure(costs, plan, num_units);
    clv_plan_destroy(plan);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_text_deinit(&text);
    return status;
}

int main(void) {
    clv_workload *workload = NULL;
    clv_machine *machine = NULL;
    clv_costs *costs = NULL;
    clv_status *status = make_chain(&workload);
    status = status != NULL ? status : clv_machine_parse_text("p*16 buffers=8", &machine);
    status = status != NULL ? status : clv_costs_create(workload, machine, &costs);
    status = status != NULL ? status : measure_all(costs);
    for (uint32_t units = 10; status == NULL && units <= 10000; units *= 10) {
        status = measure_shared(workload, units);
    }
    if (status != NULL) {
        printf("%s\n", clv_status_message(status));
    }
    int code = clv_code_exit(clv_status_code(status));
    clv_status_destroy(status);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
    return code;
}
