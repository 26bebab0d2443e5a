/* Times of --times: of joined operators the sum of their parts'; many names. */
#include "host/workload/times.h"

#include "host/base/text.h"
#include "partition/costs.h"
#include "tests/support/check.h"
#include <math.h>

static const char *const joined =
    "{\"tasks\":[{\"name\":\"ab\",\"type\":\"Op\",\"time_us\":100,\"aliases\":[\"a\",\"b\"]},"
    "{\"name\":\"c\",\"time_us\":5}]}";

static clv_status *give(
    clv_workload **out_workload, const clv_machine *machine, const char *tasks, const char *times) {
    assert_ok(clv_workload_parse_json("tasks", tasks, strlen(tasks), out_workload));
    return clv_workload_give_times(*out_workload, machine, "t", times, strlen(times));
}

/* core:0, core:1, gpu:0; 0: cannot run there. */
static void parts_add_up_for_each_unit(void **state) {
    (void)state;
    static const struct {
        const char *times;
        double us[3];
    } cases[] = {
        {"{\"c\":1}", {100, 100, 100}},
        {"{\"a\":1,\"b\":2}", {3, 3, 3}},
        {"{\"a\":{\"core\":9},\"b\":{\"core\":3,\"gpu\":2}}", {12, 12, 0}},
        {"{\"a\":{\"*\":50},\"b\":{\"core\":2}}", {52, 52, 0}},
        {"{\"a\":50,\"b\":{\"core\":2,\"*\":7}}", {52, 52, 57}},
        {"{\"a\":{\"core\":9},\"b\":{\"core:0\":3}}", {12, 0, 0}},
        {"{\"a\":{\"core\":9,\"*\":1},\"b\":{\"core:1\":3,\"*\":4}}", {13, 12, 5}},
        {"{\"a\":{\"core:0\":1,\"core\":2},\"b\":{\"core\":10,\"core:1\":20}}", {11, 22, 0}},
        {"{\"ab\":8,\"b\":2}", {8, 8, 8}}, /* its own counts first */
        {"{\"Op\":6}", {6, 6, 6}},
    };
    clv_machine *machine;
    assert_ok(clv_machine_parse_text("core*2; gpu; link core gpu bw=1G", &machine));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_workload *workload;
        clv_costs *costs;
        assert_ok(give(&workload, machine, joined, cases[i].times));
        assert_ok(clv_costs_create(workload, machine, &costs));
        for (uint32_t unit = 0; unit < 3; unit++) {
            double us = clv_costs_time_us(costs, 0, unit);
            if (isinf(us) ? cases[i].us[unit] != 0 : us != cases[i].us[unit]) {
                fail_msg("%s: %g us on unit %u", cases[i].times, us, unit);
            }
        }
        clv_costs_destroy(costs);
        clv_workload_destroy(workload);
    }
    clv_machine_destroy(machine);
}

static void times_that_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *times, *message;
    } cases[] = {
        {"{\"b\":2}", "'b' has a time and 'a' has none: both are part of 'ab'"},
        {"{\"a\":2,\"Op\":3}", "'a' has a time and 'b' has none"},
        {"{\"a\":{\"core\":2},\"b\":{\"gpu\":3}}", "have no unit that each has a time for"},
        {"{\"a\":{\"core\":2,\"gpu\":1,\"core\":3},\"b\":1}", "time of 'a': 'core' is there twice"},
        {"{\"c\":{}}", "time of 'c': no unit is named"},
        {"{\"c\":{\"core\":\"x\"}}", "time of 'c' on core: must be a number"},
        {"{\"c\":-1}", "time of 'c' is -1 us"},
    };
    clv_machine *machine;
    assert_ok(clv_machine_parse_text("core*2; gpu; link core gpu bw=1G", &machine));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_workload *workload;
        clv_status *status = give(&workload, machine, joined, cases[i].times);
        assert_non_null(status);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        if (strstr(clv_status_message(status), cases[i].message) == NULL) {
            fail_msg("%s: %s", cases[i].times, clv_status_message(status));
        }
        clv_status_destroy(status);
        clv_workload_destroy(workload);
    }
    clv_machine_destroy(machine);
}

/* Each unit by its own name, in the times and in the machine: looked up, not compared with all. */
static void every_unit_by_name(void **state) {
    (void)state;
    enum { UNITS = 60000 };
    clv_machine *machine;
    clv_workload *workload;
    clv_costs *costs;
    clv_text times;
    clv_text_init(&times);
    for (int i = 0; i < UNITS; i++) {
        clv_text_add(&times, "%s\"p:%d\":%d", i == 0 ? "{\"ab\":{" : ",", i, i + 1);
    }
    clv_text_add(&times, "}}");
    assert_false(times.failed);
    assert_ok(clv_machine_parse_text("p*60000", &machine));
    assert_ok(give(&workload, machine, joined, times.data));
    assert_ok(clv_costs_create(workload, machine, &costs));
    for (uint32_t unit = 0; unit < UNITS; unit++) {
        assert_true(clv_costs_time_us(costs, 0, unit) == unit + 1);
        assert_true(clv_costs_time_us(costs, 1, unit) == 5);
    }
    clv_costs_destroy(costs);
    clv_workload_destroy(workload);
    clv_machine_destroy(machine);
    clv_text_deinit(&times);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_add_up_for_each_unit),
        cmocka_unit_test(times_that_are_refused),
        cmocka_unit_test(every_unit_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
