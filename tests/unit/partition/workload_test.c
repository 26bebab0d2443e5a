/* Task graphs from JSON: what they become, and what is refused; times on the units of a machine. */
#include "host/base/memory.h"
#include "partition/costs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static clv_workload *parse(const char *json) {
    clv_workload *workload = NULL;
    clv_status *status = clv_workload_parse_json("test", json, strlen(json), &workload);
    if (status != NULL) {
        fail_msg("%s", clv_status_message(status));
    }
    return workload;
}

static const char *const diamond =
    "{\"tasks\":[{\"name\":\"d\",\"time_us\":4},"
    "{\"name\":\"b\",\"type\":\"Conv\",\"time_us\":{\"core\":9,\"gpu:1\":1,\"gpu\":2},"
    "\"memory_bytes\":1000,\"output_bytes\":64},"
    "{\"name\":\"a\",\"time_us\":1,\"output_bytes\":7},{\"name\":\"c\",\"time_us\":{\"*\":3}}],"
    "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":100},{\"from\":\"a\",\"to\":\"c\",\"bytes\":"
    "100},{\"from\":\"b\",\"to\":\"d\",\"bytes\":5},{\"from\":\"c\",\"to\":\"d\",\"bytes\":6},"
    "{\"from\":\"a\",\"to\":\"d\",\"bytes\":30}],\"colocate\":[[\"b\",\"d\"]]}";

static void test_order_and_tensors(void **state) {
    (void)state;
    clv_workload *workload = parse(diamond);
    assert_int_equal(workload->num_tasks, 4);
    assert_string_equal(workload->tasks[0].name, "a");
    assert_string_equal(workload->tasks[1].name, "b");
    assert_string_equal(workload->tasks[3].name, "d");
    /* a: one tensor of 100 bytes to b and c, one of 30 to d; d has no edge: an output */
    assert_int_equal(workload->tasks[0].num_outputs, 2);
    const clv_task_tensor *first = &workload->tensors[workload->tasks[0].outputs[0]];
    assert_int_equal(first->bytes, 100);
    assert_int_equal(first->num_consumers, 2);
    assert_int_equal(first->resident, 7);
    assert_int_equal(workload->tasks[3].num_inputs, 3);
    assert_true(workload->tensors[workload->tasks[3].outputs[0]].is_output);
    assert_int_equal(workload->tasks[1].weight_bytes, 1000);
    assert_int_equal(workload->tasks[1].colocation, workload->tasks[3].colocation);
    assert_int_not_equal(workload->tasks[1].colocation, 0);
    assert_int_equal(workload->tasks[0].colocation, 0);
    clv_workload_destroy(workload);
}

/* A unit for each task: times for as many, not for every pair. */
static void test_costs_of_bespoke(void **state) {
    (void)state;
    clv_workload *workload =
        parse("{\"tasks\":[{\"name\":\"a\",\"time_us\":1},{\"name\":\"b\",\"time_us\":2},"
              "{\"name\":\"c\",\"time_us\":3}]}");
    clv_machine *pattern = NULL, *machine = NULL;
    clv_costs *costs = NULL;
    const char *kinds[8];
    assert_null(clv_machine_parse_text("bespoke:node*2", &pattern));
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        kinds[i] = workload->tasks[i].name;
    }
    assert_null(clv_machine_instantiate(pattern, kinds, workload->num_tasks, &machine));
    clv_status *status = clv_costs_create(workload, machine, &costs);
    if (status == NULL) {
        assert_int_equal(costs->num_columns, 1);
        assert_int_equal(costs->num_classes, workload->num_tasks);
        for (uint32_t i = 0; i < workload->num_tasks; i++) {
            for (uint32_t u = 0; u < machine->num_units; u++) {
                bool is_own = strcmp(machine->units[u].kind, workload->tasks[i].name) == 0;
                assert_int_equal(isfinite(clv_costs_time_us(costs, i, u)), is_own);
            }
        }
    } else {
        fail_msg("%s", clv_status_message(status));
    }
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_machine_destroy(pattern);
    clv_workload_destroy(workload);
}

static void test_costs(void **state) {
    (void)state;
    clv_workload *workload = parse(diamond);
    clv_machine *machine = NULL;
    clv_costs *costs = NULL;
    double us;
    assert_null(clv_machine_parse_text(
        "core*2; core speed=0.5; gpu*3; link gpu* host bw=1M latency=1us", &machine));
    assert_null(clv_costs_create(workload, machine, &costs));
    assert_int_equal(costs->num_classes, 4); /* core, slow core, gpu, gpu:1 by name */
    assert_int_equal(costs->num_cells, 3);   /* a core that is slow is a core */
    assert_true(clv_costs_time_us(costs, 1, 0) == 9);
    assert_true(clv_costs_time_us(costs, 1, 2) == 18);
    assert_true(clv_costs_time_us(costs, 1, 3) == 2);
    assert_true(clv_costs_time_us(costs, 1, 4) == 1);
    assert_true(clv_costs_time_us(costs, 2, 5) == 3);
    assert_null(clv_costs_transfer_us(costs, 3, 4, 10, &us));
    assert_true(fabs(us - 2 * (1 + 10)) < 1e-9);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    assert_null(clv_machine_parse_text("npu", &machine));
    clv_workload *other = parse("{\"tasks\":[{\"name\":\"x\",\"time_us\":{\"core\":1}}]}");
    clv_status *status = clv_costs_create(other, machine, &costs);
    assert_int_equal(clv_status_code(status), CLV_UNSUPPORTED);
    assert_non_null(strstr(clv_status_message(status), "'x'"));
    clv_status_destroy(status);
    clv_workload_destroy(other);
    clv_workload_destroy(workload);
    clv_machine_destroy(machine);
}

static void test_splits(void **state) {
    (void)state;
    clv_workload *workload = parse(
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"output_dims\":[1,64,32,32]},{\"name\":\"b\","
        "\"flops\":100,\"traffic_bytes\":10,\"splits\":[{\"name\":\"rows\",\"axis\":2,\"extent\":"
        "32,"
        "\"grain\":2,\"fixed_share\":0.1,\"inputs\":{\"a\":{\"need\":\"slice\",\"axis\":2,"
        "\"before\":"
        "1,\"after\":1}}},{\"name\":\"sum\",\"join\":\"sum\",\"extent\":64,\"splits_weights\":true}"
        "]}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":4}]}");
    const clv_task *task = &workload->tasks[1];
    assert_int_equal(task->num_splits, 2);
    assert_int_equal(task->splits[0].inputs[0].before, 1);
    assert_int_equal(task->splits[0].inputs[0].need, CLV_TASK_SLICE);
    assert_int_equal(task->splits[1].axis, -1);
    assert_true(task->splits[1].splits_weights);
    clv_workload_destroy(workload);
}

/* Members of a split's inputs come in any order; one may name two tensors of its producer. */
static void test_split_inputs(void **state) {
    (void)state;
    clv_workload *workload = parse(
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":1},{\"name\":\"b\",\"time_us\":1},{\"name\":\"c\","
        "\"time_us\":1,\"splits\":[{\"name\":\"s\",\"extent\":4,\"inputs\":{\"x\":{\"need\":"
        "\"slice\","
        "\"axis\":3},\"b\":{\"need\":\"slice\",\"axis\":2},\"a\":{\"need\":\"slice\",\"axis\":1}}}]"
        "}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"c\",\"bytes\":9},{\"from\":\"a\",\"to\":\"c\","
        "\"bytes\":8},"
        "{\"from\":\"b\",\"to\":\"c\"},{\"tensor\":\"x\",\"to\":\"c\"},{\"tensor\":\"y\",\"to\":"
        "\"c\"}]}");
    const clv_task *task = &workload->tasks[2];
    static const int32_t axes[] = {3, -1, 1, 1, 2}; /* x, y, both of a, b */
    assert_int_equal(task->num_inputs, 5);
    for (int i = 0; i < 5; i++) {
        const clv_task_split_input *input = &task->splits[0].inputs[i];
        assert_int_equal(input->need, axes[i] < 0 ? CLV_TASK_WHOLE : CLV_TASK_SLICE);
        assert_true(axes[i] < 0 || input->axis == axes[i]);
    }
    clv_workload_destroy(workload);
}

/* A task that reads very many, each of which its split names, and as many that read one tensor: in
 * the square of their number that took seconds. */
static void test_many_inputs(void **state) {
    (void)state;
    enum { MANY = 20000, EACH = 160 };
    char *text = clv_alloc((size_t)MANY * EACH + 1000), *at = text;
    assert_non_null(text);
    at += sprintf(
        at, "{\"tasks\":[{\"name\":\"a\",\"time_us\":1},{\"name\":\"z\",\"time_us\":1,"
            "\"splits\":[{\"name\":\"s\",\"extent\":4,\"inputs\":{\"a\":{\"need\":\"whole\"}");
    for (int i = 0; i < MANY; i++) {
        at += sprintf(at, ",\"%d\":{\"need\":\"slice\",\"axis\":%d}", i, i);
    }
    at += sprintf(at, "}}]}");
    for (int i = 0; i < MANY; i++) {
        at += sprintf(at, ",{\"name\":\"%d\",\"time_us\":1}", i);
    }
    at += sprintf(at, "],\"edges\":[{\"from\":\"a\",\"to\":\"z\"}");
    for (int i = 0; i < MANY; i++) {
        at += sprintf(at, ",{\"from\":\"a\",\"to\":\"%d\"},{\"from\":\"%d\",\"to\":\"z\"}", i, i);
    }
    sprintf(at, "]}");
    clv_workload *workload = parse(text);
    clv_free(text);
    const clv_task *task = &workload->tasks[workload->num_tasks - 1];
    assert_string_equal(task->name, "z");
    assert_int_equal(task->num_inputs, MANY + 1);
    assert_int_equal(task->splits[0].inputs[0].need, CLV_TASK_WHOLE);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(task->splits[0].inputs[i + 1].axis, i);
    }
    assert_int_equal(workload->tensors[0].num_consumers, MANY + 1);
    clv_workload_destroy(workload);
}

/* What nobody reads is an output, however an edge says that nobody does. */
static void test_outputs(void **state) {
    (void)state;
    clv_workload *workload = parse(
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":1},{\"name\":\"b\",\"time_us\":1}],\"edges\":["
        "{\"from\":\"a\",\"tensor\":\"none\"},{\"from\":\"a\",\"tensor\":\"empty\",\"to\":[]},"
        "{\"from\":\"a\",\"tensor\":\"read\",\"to\":[\"b\"]},"
        "{\"from\":\"a\",\"tensor\":\"dropped\",\"to\":[],\"output\":false},"
        "{\"from\":\"a\",\"tensor\":\"both\",\"to\":\"b\",\"output\":true}]}");
    static const bool is_output[] = {true, true, false, false, true};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(workload->tensors[i].is_output, is_output[i]);
    }
    clv_workload_destroy(workload);
}

/* What is known of times beyond a number, and pieces that were measured. */
static void test_measured(void **state) {
    (void)state;
    clv_workload *workload = parse(
        "{\"tasks\":[{\"name\":\"a\",\"aliases\":[\"b\",\"c\"],\"time_us\":{\"p\":{\"us\":8,"
        "\"draws\":0.25,\"origin\":\"measured\"},\"q\":{\"us\":16},\"*\":3},\"splits\":[{\"name\":"
        "\"rows\",\"extent\":8,\"fixed_share\":0.5,\"measured\":[{\"share\":0.25,\"part\":0.4},"
        "{\"share\":0.5,\"part\":0.6}]}]}]}");
    const clv_task *task = &workload->tasks[0];
    assert_int_equal(task->num_aliases, 2);
    assert_string_equal(task->aliases[1], "c");
    assert_int_equal(task->num_times, 3);
    assert_true(task->times[0].time_us == 8 && task->times[0].draws == 0.25);
    assert_int_equal(task->times[0].origin, CLV_ORIGIN_MEASURED);
    assert_true(task->times[1].time_us == 16 && task->times[1].draws == 0);
    assert_int_equal(task->times[1].origin, CLV_ORIGIN_GIVEN);
    const clv_task_split *split = &task->splits[0];
    assert_int_equal(split->num_measured, 2);
    assert_true(fabs(clv_task_split_part(split, 0.5) - 0.6) < 1e-12);
    assert_true(fabs(clv_task_split_part(split, 0.375) - 0.5) < 1e-12);
    assert_true(fabs(clv_task_split_part(split, 0.75) - 0.8) < 1e-12);
    assert_true(fabs(clv_task_split_part(split, 0.125) - 0.3) < 1e-12);
    clv_workload_destroy(workload);
}

/* What a file cannot hold is told, with whose it is. */
static void test_not_written(void **state) {
    (void)state;
    clv_workload *workload = parse("{\"tasks\":[{\"name\":\"a\",\"time_us\":1}]}");
    char *text = NULL;
    workload->tasks[0].weight_bytes = (UINT64_C(1) << 53) + 1;
    clv_status *status = clv_workload_format_json(workload, &text);
    assert_int_equal(clv_status_code(status), CLV_UNSUPPORTED);
    assert_non_null(strstr(clv_status_message(status), "memory_bytes of 'a' is 9007199254740993"));
    assert_null(text);
    clv_status_destroy(status);
    workload->tasks[0].weight_bytes = 0;
    workload->tasks[0].type = "\xff";
    status = clv_workload_format_json(workload, &text);
    assert_int_equal(clv_status_code(status), CLV_UNSUPPORTED);
    assert_non_null(strstr(clv_status_message(status), "no UTF-8"));
    clv_status_destroy(status);
    clv_workload_destroy(workload);
}

static void test_refused(void **state) {
    (void)state;
#define TIME(time) "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":" time "}}]}"
#define ALIASES(a, b)                                          \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"aliases\":" a \
    "},{\"name\":\"b\",\"time_us\":1,\"aliases\":" b "}]}"
#define EDGE(members)                                                 \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"output_bytes\":1}]," \
    "\"edges\":[{" members "}]}"
#define PIECES(pieces)                                                                    \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"splits\":[{\"name\":\"s\",\"extent\":4," \
    "\"measured\":" pieces "}]}]}"
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"[]", "must be a JSON object"},
        {"{}", "tasks"},
        {"{\"tasks\":[]}", "no tasks"},
        {"{\"tasks\":[{}]}", "name"},
        {"{\"tasks\":[{\"name\":\"a\",\"tme_us\":1}]}", "time_us"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":-1}]}", "at least 0"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1e999}]}", "time"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":\"x\"}]}", "must be a number"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1},{\"name\":\"a\",\"time_us\":1}]}",
         "second task named 'a'"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1}],\"edges\":[{\"from\":\"a\",\"to\":\"b\"}]}",
         "no task 'b'"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1}],\"edges\":[{\"from\":\"a\",\"to\":\"a\"}]}",
         "depends on itself"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1},{\"name\":\"b\",\"time_us\":1}],\"edges\":[{"
         "\"from\":\"a\",\"to\":\"b\"},{\"from\":\"b\",\"to\":\"a\"}]}",
         "cycle"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"memory_bytes\":-5}]}", "memory_bytes"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1}],\"colocate\":[[\"a\",\"z\"]]}",
         "no task 'z'"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"splits\":[{\"name\":\"s\",\"extent\":4,"
         "\"grain\":5}]}]}",
         "grain 5"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"splits\":[{\"name\":\"s\",\"extent\":4,"
         "\"inputs\":{\"q\":{\"need\":\"whole\"}}}]}]}",
         "no edge leads from 'q'"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"output_dims\":[4,8],\"splits\":[{\"name\":"
         "\"s\",\"axis\":1,\"extent\":4}]}]}",
         "tasks[0].splits[0].extent is 4, output_dims[1] of task 'a' is 8"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"output_dims\":[4],\"splits\":[{\"name\":"
         "\"s\",\"axis\":1,\"extent\":4}]}]}",
         "tasks[0].splits[0].axis is 1, the output_dims of task 'a' have 1"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"splits\":[{\"name\":\"s\",\"extent\":4,"
         "\"splits_weights\":1}]}]}",
         "splits_weights: must be true or false"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"splits\":[{\"name\":\"s\",\"extent\":4,"
         "\"inputs\":[]}]}]}",
         "inputs: must be an object"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1,\"splits\":[{\"name\":\"s\",\"extent\":4,"
         "\"inputs\":{\"q\":{\"need\":\"whole\"},\"q\":{\"need\":\"whole\"}}}]}]}",
         "inputs: 'q' stands there twice"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"x\":1,\"y\":1,\"x\":2}}]}",
         "task 'a' has two times on 'x'"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":{}}]}", "tasks[0].time_us names no unit"},
        {"{\"tasks\":[{\"name\":\"a\\u0000b\",\"time_us\":1}]}",
         "not valid JSON, \\u0000 in a string, at line 1, column 21"},
        {TIME("{\"us\":-1}"), "time_us: a time must be a number of at least 0"},
        {TIME("{\"draws\":1}"), "time_us: a time must be a number"},
        {TIME("{\"us\":1,\"draws\":1.5}"), "draws 1.5 of the memory's bandwidth"},
        {TIME("{\"us\":1,\"origin\":\"none\"}"), "origin: 'none' is not estimated"},
        {TIME("{\"us\":1,\"drws\":1}"), "draws"},
        {"{\"tasks\":[{\"name\":\"a\",\"aliases\":[1],\"time_us\":1}]}", "aliases: must be names"},
        {ALIASES("[\"b\"]", "[]"), "task 'a': its alias 'b' is the name of task 'b' too"},
        {ALIASES("[\"a\"]", "[]"), "task 'a': its alias 'a' is the name of task 'a' too"},
        {ALIASES("[]", "[\"a\"]"), "task 'b': its alias 'a' is the name of task 'a' too"},
        {ALIASES("[\"x\"]", "[\"x\"]"), "task 'b': its alias 'x' is an alias of task 'a' too"},
        {ALIASES("[\"x\",\"x\"]", "[]"), "task 'a': its alias 'x' is an alias of task 'a' too"},
        {ALIASES("[\"\"]", "[]"), "task 'a' has an alias without a name"},
        {EDGE("\"tensor\":\"\""), "tensor '': a name is needed"},
        {EDGE("\"tensor\":\"x\"},{\"tensor\":\"x\""), "tensor 'x': is there twice"},
        {EDGE("\"tensor\":\"x\",\"to\":[\"a\",\"q\"]"), "edges[0].to: there is no task 'q'"},
        {EDGE("\"tensor\":\"x\",\"to\":[1]"), "edges[0].to: there is no task"},
        {EDGE("\"tensor\":\"x\",\"to\":1"), "edges[0]: 'to' is a number"},
        {EDGE("\"tensor\":\"x\",\"from\":\"a\",\"to\":[\"a\"]"), "'a' depends on itself"},
        {EDGE("\"tensor\":\"x\",\"from\":\"q\""), "edges[0].from: there is no task 'q'"},
        {EDGE("\"tensor\":\"x\",\"output\":1"), "tensor 'x'.output: must be true or false"},
        {EDGE("\"tensor\":\"x\",\"dims\":[-1]"), "tensor 'x'.dims: must be whole"},
        {EDGE("\"to\":\"a\""), "edges[0]: 'from' is missing"},
        {EDGE("\"from\":\"a\",\"dims\":[1]"), "unknown member 'dims'"},
        {EDGE("\"tensor\":\"x\",\"from\":\"a\""),
         "tasks[0].output_bytes: edges name all tensors of task 'a'"},
        {"{\"hash\":\"12\",\"tasks\":[{\"name\":\"a\",\"time_us\":1}]}", "32 hexadecimal digits"},
        {PIECES("1"), "'measured'"},
        {PIECES("[1]"), "measured[0]"},
        {PIECES("[{\"share\":0.5}]"), "measured[0]: 'part' is missing"},
        {PIECES("[{\"share\":0.5,\"part\":1e999}]"), "part"},
        {PIECES("[{\"share\":0,\"part\":0.5}]"), "a share of 0 takes 0.5"},
        {PIECES("[{\"share\":1,\"part\":1}]"), "a share of 1 takes 1"},
        {PIECES("[{\"share\":0.5,\"part\":0}]"), "a share of 0.5 takes 0"},
        {PIECES("[{\"share\":0.5,\"part\":1},{\"share\":0.5,\"part\":2}]"), "shares must ascend"},
        {PIECES("[{\"share\":0.5,\"part\":1},{\"share\":0.6,\"part\":0.9}]"), "parts not fall"},
        {"{\"tasks\":[{\"name\":\"a\",\"time_us\":1}],\"colocate\":[\"a\"]}",
         "colocate[0]: must be an array"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_workload *workload = NULL;
        clv_status *status =
            clv_workload_parse_json("t", cases[i].json, strlen(cases[i].json), &workload);
        assert_non_null(status);
        assert_null(workload);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        if (strstr(clv_status_message(status), cases[i].message) == NULL) {
            fail_msg("'%s' gives '%s'", cases[i].json, clv_status_message(status));
        }
        clv_status_destroy(status);
    }
}

/* Reads, writes, and reads what it wrote. */
static clv_status *read_and_write(void) {
    clv_workload *workload = NULL, *back = NULL;
    char *text = NULL;
    clv_status *status = clv_workload_parse_json("t", diamond, strlen(diamond), &workload);
    if (status == NULL) {
        status = clv_workload_format_json(workload, &text);
    }
    if (status == NULL) {
        status = clv_workload_parse_json("t", text, strlen(text), &back);
    }
    clv_free(text);
    clv_workload_destroy(workload);
    clv_workload_destroy(back);
    return status;
}

static void test_no_memory(void **state) {
    (void)state;
    for (int64_t n = 0;; n++) {
        clv_memory_fail_at(n);
        clv_status *status = read_and_write();
        clv_memory_fail_at(-1);
        if (status == NULL) {
            assert_true(n > 15);
            return;
        }
        assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
        clv_status_destroy(status);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_tensors), cmocka_unit_test(test_costs),
        cmocka_unit_test(test_costs_of_bespoke),  cmocka_unit_test(test_splits),
        cmocka_unit_test(test_measured),          cmocka_unit_test(test_refused),
        cmocka_unit_test(test_split_inputs),      cmocka_unit_test(test_many_inputs),
        cmocka_unit_test(test_outputs),           cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
