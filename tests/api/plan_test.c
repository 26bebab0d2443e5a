/* Plans as a program asks for them, and their explanations; no device. Argument: the folder
 * tests/data. */
#include "cleave/cleave.h"
#include "host/base/memory.h"
#include "tests/support/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *data_folder;
static char folder[] = "/tmp/cleave-plan-XXXXXX";

static const char *const tasks_json =
    "{\"tasks\":[{\"name\":\"a\",\"type\":\"Conv\",\"time_us\":{\"core\":30,\"gpu\":3},\"memory_"
    "bytes\":"
    "100,\"output_bytes\":50},{\"name\":\"b\",\"type\":\"Relu\",\"time_us\":10},{\"name\":\"c\","
    "\"type\":\"Conv\",\"time_us\":20,\"output_dims\":[8],\"splits\":[{\"name\":\"rows\",\"axis\":"
    "0,"
    "\"extent\":8}]}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000},{\"from\":\"b\","
    "\"to\":"
    "\"c\",\"bytes\":500}]}";
static const char *const machine = "core*2; gpu; link gpu host bw=1G latency=1us";

static void assert_ok(cleave_status *status) {
    if (status != NULL) {
        print_error("%s\n%s", cleave_status_message(status), cleave_status_trail(status));
        fail();
    }
}

static void assert_fails(cleave_status *status, cleave_code code, const char *word) {
    assert_non_null(status);
    assert_int_equal(cleave_status_code(status), code);
    if (strstr(cleave_status_message(status), word) == NULL) {
        fail_msg("'%s' is not in '%s'", word, cleave_status_message(status));
    }
    cleave_status_destroy(status);
}

static const char *path_of(const char *name) {
    static _Thread_local char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static cleave_plan *plan_tasks(const char *policy) {
    cleave_plan *plan = NULL;
    cleave_options options = {.machine = machine, .policy = policy};
    assert_ok(cleave_plan_create_from_tasks(path_of("a.tasks.json"), &options, &plan));
    return plan;
}

static void assert_contains(const char *text, const char *word) {
    if (strstr(text, word) == NULL) {
        fail_msg("'%s' is not in '%s'", word, text);
    }
}

static void test_reports(void **state) {
    (void)state;
    char *json = NULL;
    cleave_plan *plan = plan_tasks("pipeline");
    assert_ok(cleave_plan_report(plan, &json));
    assert_contains(json, "\"policy\": \"pipeline\"");
    cleave_free(json);
    assert_ok(cleave_plan_explain(plan, "a", &json));
    assert_contains(json, "\"node\": \"a\"");
    cleave_free(json);
    assert_fails(cleave_plan_explain(plan, "d", &json), CLEAVE_USAGE, "'d'");
    assert_null(json);
    cleave_timeline *timeline = NULL;
    cleave_simulate_options options = {.requests = 7};
    assert_ok(cleave_plan_simulate(plan, &options, &timeline));
    assert_ok(cleave_timeline_report(timeline, &json));
    assert_contains(json, "\"requests\": 7");
    cleave_free(json);
    cleave_timeline_destroy(timeline);
    cleave_plan_destroy(plan);
    cleave_plan_destroy(NULL);
    cleave_timeline_destroy(NULL);
}

/* A plan that is saved and read again says the same, and can be had of a model whose handle is
 * gone. */
static void test_files_of_models(void **state) {
    (void)state;
    char path[512], *first = NULL, *second = NULL;
    const char *shapes[] = {"x=1x3x8x8"};
    cleave_options options = {
        .machine = "core*2 peak=1G bw=1G", .policy = "tensor", .shapes = shapes, .num_shapes = 1};
    cleave_model *model = NULL;
    cleave_plan *plan = NULL, *again = NULL;
    snprintf(path, sizeof path, "%s/free.onnx", data_folder);
    assert_ok(cleave_model_load(path, &model));
    assert_ok(cleave_plan_create(model, &options, &plan));
    assert_ok(cleave_plan_save(plan, path_of("plan.json")));
    options.policy = NULL;
    options.plan = path_of("plan.json");
    assert_ok(cleave_plan_create(model, &options, &again));
    shapes[0] = "x=1x3x8x9";
    cleave_plan *other = NULL;
    assert_fails(cleave_plan_create(model, &options, &other), CLEAVE_MALFORMED, "another model");
    assert_null(other);
    cleave_model_destroy(model);
    assert_ok(cleave_plan_save(again, path_of("again.json")));
    assert_ok(cleave_plan_report(plan, &first));
    assert_ok(cleave_plan_report(again, &second));
    assert_contains(second, "\"policy\": \"tensor\"");
    const char *ops = strstr(first, "\"ops\""), *ops_again = strstr(second, "\"ops\"");
    assert_non_null(ops);
    assert_string_equal(ops, ops_again);
    cleave_free(first);
    cleave_free(second);
    cleave_plan_destroy(plan);
    cleave_plan_destroy(again);
}

static void test_bad_options(void **state) {
    (void)state;
    const char *pins[] = {"a=gpu:0", "b"};
    const struct {
        cleave_options options;
        cleave_code code;
        const char *says;
    } cases[] = {
        {{.machine = machine, .policy = "pipelines"}, CLEAVE_USAGE, "pipeline"},
        {{.machine = machine, .pins = pins, .num_pins = 2}, CLEAVE_USAGE, "REGEX=UNIT"},
        {{.machine = machine, .objective = "joy"}, CLEAVE_USAGE, "joy"},
        {{.machine = machine, .tensor_split = "1,2"}, CLEAVE_USAGE, "1,2"},
        {{.machine = machine, .tensor_split = "1,nan,2"}, CLEAVE_USAGE, "nan"},
        {{.machine = machine, .devices = "cpu"}, CLEAVE_USAGE, "--devices"},
        {{.machine = "core*"}, CLEAVE_MALFORMED, "column"},
        {{.machine = "fpga"}, CLEAVE_UNSUPPORTED, "'a'"},
        {{.machine = "p1; p1"}, CLEAVE_MALFORMED, "p1"},
        {{.machine = "core mem=10"}, CLEAVE_NO_MEMORY, "missing"},
        {{.machine = "none.json"}, CLEAVE_IO, "none.json"},
        {{.machine = machine, .times = "none.json"}, CLEAVE_IO, "none.json"},
        {{.machine = machine, .plan = "none.json"}, CLEAVE_IO, "none.json"},
        {{.machine = machine, .plan = "x", .policy = "auto"}, CLEAVE_USAGE, "--policy"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cleave_plan *plan = NULL;
        assert_fails(
            cleave_plan_create_from_tasks(path_of("a.tasks.json"), &cases[i].options, &plan),
            cases[i].code, cases[i].says);
        assert_null(plan);
    }
}

static void test_cancelled(void **state) {
    (void)state;
    static const char *const policies[] = {"single", "serial", "pipeline",      "tensor",
                                           "branch", "data",   "data/pipeline", "auto"};
    cleave_plan *plan = plan_tasks("pipeline"), *other = NULL;
    cleave_timeline *timeline = NULL;
    cleave_cancel(true);
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        cleave_options options = {.machine = machine, .policy = policies[i]};
        assert_fails(
            cleave_plan_create_from_tasks(path_of("a.tasks.json"), &options, &other),
            CLEAVE_CANCELLED, "interrupted");
        assert_null(other);
    }
    assert_fails(cleave_plan_simulate(plan, NULL, &timeline), CLEAVE_CANCELLED, "interrupted");
    assert_null(timeline);
    cleave_cancel(false);
    assert_ok(cleave_plan_simulate(plan, NULL, &timeline));
    cleave_timeline_destroy(timeline);
    cleave_plan_destroy(plan);
}

/* --- allocations that fail --- */

static cleave_status *explain(const cleave_plan *plan, const char *node) {
    char *json = NULL;
    cleave_status *status = cleave_plan_explain(plan, node, &json);
    cleave_free(json);
    return status;
}

static cleave_status *life_of_tasks(void) {
    cleave_plan *plan = NULL;
    cleave_options options = {.machine = machine, .policy = "data:2/pipeline"};
    cleave_status *status = cleave_plan_create_from_tasks(path_of("a.tasks.json"), &options, &plan);
    if (status == NULL) {
        status = explain(plan, "c");
    }
    cleave_plan_destroy(plan);
    return status;
}

static cleave_status *life_of_model(void) {
    char path[512], *text = NULL;
    const char *shapes[] = {"x=1x3x8x8"}, *pins[] = {".*=core:1"};
    cleave_options options = {
        .machine = "core*2 peak=1G bw=1G",
        .policy = "tensor",
        .shapes = shapes,
        .num_shapes = 1,
        .pins = pins,
        .num_pins = 1,
        .tensor_split = "1,2"};
    cleave_model *model = NULL;
    cleave_plan *plan = NULL;
    snprintf(path, sizeof path, "%s/free.onnx", data_folder);
    cleave_status *status = cleave_model_load(path, &model);
    if (status == NULL) {
        status = cleave_model_stage(model, &options, "schedule", &text);
        cleave_free(text);
    }
    if (status == NULL) {
        status = cleave_plan_create(model, &options, &plan);
    }
    if (status == NULL) {
        status = explain(plan, "relu");
    }
    cleave_plan_destroy(plan);
    cleave_model_destroy(model);
    return status;
}

static void fail_each(cleave_status *(*life)(void)) {
    int64_t before = clv_memory_count();
    assert_ok(life());
    int64_t count = clv_memory_count() - before;
    assert_true(count > 50);
    for (int64_t n = 0; n < count; n++) {
        if (!clv_test_is_tried((uint64_t)n)) {
            continue;
        }
        clv_memory_fail_at(n);
        cleave_status *status = life();
        clv_memory_fail_at(-1);
        if (status != NULL) { /* NULL: a policy among several that were tried */
            if (cleave_status_code(status) != CLEAVE_NO_MEMORY) {
                fail_msg("allocation %lld: %s", (long long)n, cleave_status_message(status));
            }
            cleave_status_destroy(status);
        }
    }
    assert_ok(life());
}

static void test_failing_allocations(void **state) {
    (void)state;
    fail_each(life_of_tasks);
    fail_each(life_of_model);
}

int main(int argc, char **argv) {
    if (argc != 2 || mkdtemp(folder) == NULL) {
        fprintf(stderr, "usage: plan_test FOLDER\n");
        return 2;
    }
    data_folder = argv[1];
    write_file("a.tasks.json", tasks_json);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_files_of_models),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_failing_allocations),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const files[] = {"a.tasks.json", "plan.json", "again.json"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        unlink(path_of(files[i]));
    }
    rmdir(folder);
    return failed;
}
