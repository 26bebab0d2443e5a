/* Plans and timelines through the public header: what fails is handed up and cleaned up, and
 * threads may share a plan. */
#include "cleave/cleave.h"
#include "host/base/memory.h"
#include "tests/support/check.h"
#include "tests/support/sample.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *data_folder;

static const char *const machine =
    "core*2 peak=10G bw=10G mem=1G; gpu peak=1T bw=1T; link gpu host bw=10G latency=1us";

typedef struct scratch {
    char folder[64], tasks[128], times[128], plan[128], picture[128], trace[128];
} scratch;

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void scratch_open(scratch *s) {
    snprintf(s->folder, sizeof s->folder, "/tmp/cleave-planning-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->tasks, sizeof s->tasks, "%s/chain.tasks.json", s->folder);
    snprintf(s->times, sizeof s->times, "%s/times.json", s->folder);
    snprintf(s->plan, sizeof s->plan, "%s/plan.json", s->folder);
    snprintf(s->picture, sizeof s->picture, "%s/timeline.svg", s->folder);
    snprintf(s->trace, sizeof s->trace, "%s/trace.json", s->folder);
    write_file(
        s->tasks,
        "{\"tasks\":[{\"name\":\"a\",\"type\":\"Conv\",\"time_us\":40,\"output_bytes\":8},"
        "{\"name\":\"b\",\"type\":\"Relu\",\"time_us\":10,\"memory_bytes\":9}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":8}]}");
    write_file(s->times, "{\"a\": {\"core\": 30, \"gpu\": 12, \"*\": 40}, \"Relu\": 8}");
}

static void scratch_close(const scratch *s) {
    remove(s->tasks);
    remove(s->times);
    remove(s->plan);
    remove(s->picture);
    remove(s->trace);
    assert_int_equal(rmdir(s->folder), 0);
}

static cleave_status *ask_timeline(const cleave_plan *plan, const scratch *s) {
    cleave_simulate_options options = {.requests = 5, .dispatch_us = -1};
    cleave_timeline *timeline = NULL;
    char *json = NULL, *steps = NULL;
    cleave_status *status = cleave_plan_simulate(plan, &options, &timeline);
    if (status == NULL) {
        status = cleave_timeline_report(timeline, &json);
    }
    if (status == NULL) {
        status = cleave_timeline_steps(timeline, &steps);
    }
    if (status == NULL) {
        status = cleave_timeline_save_picture(timeline, s->picture);
    }
    if (status == NULL) {
        status = cleave_timeline_save_trace(timeline, s->trace);
    }
    cleave_free(json);
    cleave_free(steps);
    cleave_timeline_destroy(timeline);
    return status;
}

static cleave_status *ask_plan(const cleave_plan *plan, const scratch *s) {
    char *json = NULL;
    cleave_status *status = cleave_plan_report(plan, &json);
    cleave_free(json);
    json = NULL;
    if (status == NULL) {
        status = cleave_plan_summary(plan, &json);
    }
    cleave_free(json);
    if (status == NULL) {
        status = cleave_plan_save(plan, s->plan);
    }
    return status == NULL ? ask_timeline(plan, s) : status;
}

/* A task graph with given times on `where`, by a policy, then by the plan that was written. */
static cleave_status *life_of_tasks(const scratch *s, const char *where, const char *policy) {
    cleave_options options = {.machine = where, .policy = policy, .times = s->times};
    cleave_plan *plan = NULL, *again = NULL;
    cleave_status *status = cleave_plan_create_from_tasks(s->tasks, &options, &plan);
    if (status == NULL) {
        status = ask_plan(plan, s);
    }
    options.policy = NULL;
    options.plan = s->plan;
    if (status == NULL) {
        status = cleave_plan_create_from_tasks(s->tasks, &options, &again);
    }
    cleave_plan_destroy(plan);
    cleave_plan_destroy(again);
    return status;
}

static cleave_status *life_of_model(const scratch *s) {
    static const char *const pins[] = {".*=core:1"};
    cleave_options options = {
        .machine = machine, .policy = "serial", .pins = pins, .num_pins = 1, .tensor_split = NULL};
    char path[1024];
    cleave_model *model = NULL;
    cleave_plan *plan = NULL;
    snprintf(path, sizeof path, "%s/two.onnx", data_folder);
    cleave_status *status = cleave_model_load(path, &model);
    if (status == NULL) {
        status = cleave_plan_create(model, &options, &plan);
    }
    cleave_model_destroy(model); /* the plan lives on without it */
    if (status == NULL) {
        status = ask_plan(plan, s);
    }
    cleave_plan_destroy(plan);
    return status;
}

static cleave_status *life(const scratch *s, int which) {
    switch (which) {
    case 0:
        return life_of_tasks(s, machine, "pipeline");
    case 1:
        return life_of_tasks(s, "bespoke:type{buffers=2}", "pipeline");
    default:
        return life_of_model(s);
    }
}

static void assert_good(cleave_status *status) {
    if (status != NULL) {
        fail_msg("%s\n%s", cleave_status_message(status), cleave_status_trail(status));
    }
}

static void failing_allocations(void **state) {
    (void)state;
    scratch s;
    scratch_open(&s);
    for (int which = 0; which < 3; which++) {
        assert_good(life(&s, which));
        int64_t before = clv_memory_count();
        assert_good(life(&s, which));
        int64_t count = clv_memory_count() - before;
        assert_true(count > 50);
        for (int64_t n = 0; n < count; n++) {
            if (!clv_test_is_tried((uint64_t)n)) {
                continue;
            }
            clv_memory_fail_at(n);
            cleave_status *status = life(&s, which);
            clv_memory_fail_at(-1);
            if (status != NULL) { /* NULL: something that was tried beside others failed */
                if (cleave_status_code(status) != CLEAVE_NO_MEMORY) {
                    fail_msg(
                        "life %d, allocation %lld: %s\n%s", which, (long long)n,
                        cleave_status_message(status), cleave_status_trail(status));
                }
                cleave_status_destroy(status);
            }
        }
        assert_good(life(&s, which));
    }
    scratch_close(&s);
}

typedef struct sharer {
    const cleave_plan *plan;
    char *report, *steps;
} sharer;

static void *ask_much(void *context) {
    sharer *self = context;
    for (int i = 0; i < 20; i++) {
        cleave_timeline *timeline = NULL;
        cleave_free(self->report);
        cleave_free(self->steps);
        self->report = self->steps = NULL;
        cleave_status *status = cleave_plan_report(self->plan, &self->report);
        if (status == NULL) {
            status = cleave_plan_simulate(self->plan, NULL, &timeline);
        }
        if (status == NULL) {
            status = cleave_timeline_steps(timeline, &self->steps);
        }
        cleave_timeline_destroy(timeline);
        if (status != NULL) {
            cleave_status_destroy(status);
            return NULL;
        }
    }
    return self;
}

static void threads_share_a_plan(void **state) {
    (void)state;
    enum { NUM_THREADS = 4 };
    scratch s;
    sharer sharers[NUM_THREADS];
    pthread_t threads[NUM_THREADS];
    cleave_plan *plan = NULL;
    scratch_open(&s);
    cleave_options options = {.machine = machine, .policy = "pipeline"};
    assert_good(cleave_plan_create_from_tasks(s.tasks, &options, &plan));
    for (int i = 0; i < NUM_THREADS; i++) {
        sharers[i] = (sharer){.plan = plan};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_much, &sharers[i]), 0);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &sharers[i]);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        assert_string_equal(sharers[i].report, sharers[0].report);
        assert_string_equal(sharers[i].steps, sharers[0].steps);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        cleave_free(sharers[i].report);
        cleave_free(sharers[i].steps);
    }
    cleave_plan_destroy(plan);
    scratch_close(&s);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: planning_test FOLDER\n");
        return 2;
    }
    data_folder = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(threads_share_a_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
