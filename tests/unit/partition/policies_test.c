/* The policies but pipeline, on problems whose best answers are known. */
#include "host/base/memory.h"
#include "host/base/text.h"
#include "partition/plan.h"
#include "tests/support/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/setting.h"

static clv_plan *plan(const setting *s, const char *policy, clv_objective objective) {
    clv_plan *out = NULL;
    clv_plan_request request = {
        .policy = policy, .objective = objective, .has_objective = true, .allow_idle = true};
    clv_status *status = clv_plan_create(s->costs, &request, &out);
    if (status != NULL) {
        fail_msg("%s: %s", policy, clv_status_message(status));
    }
    return out;
}

/* Topcuoglu, Hariri, Wu (TPDS 2002), figure 2. */
static const char *const heft_example =
    "{\"tasks\":["
    "{\"name\":\"n1\",\"time_us\":{\"p1\":14,\"p2\":16,\"p3\":9}},"
    "{\"name\":\"n2\",\"time_us\":{\"p1\":13,\"p2\":19,\"p3\":18}},"
    "{\"name\":\"n3\",\"time_us\":{\"p1\":11,\"p2\":13,\"p3\":19}},"
    "{\"name\":\"n4\",\"time_us\":{\"p1\":13,\"p2\":8,\"p3\":17}},"
    "{\"name\":\"n5\",\"time_us\":{\"p1\":12,\"p2\":13,\"p3\":10}},"
    "{\"name\":\"n6\",\"time_us\":{\"p1\":13,\"p2\":16,\"p3\":9}},"
    "{\"name\":\"n7\",\"time_us\":{\"p1\":7,\"p2\":15,\"p3\":11}},"
    "{\"name\":\"n8\",\"time_us\":{\"p1\":5,\"p2\":11,\"p3\":14}},"
    "{\"name\":\"n9\",\"time_us\":{\"p1\":18,\"p2\":12,\"p3\":20}},"
    "{\"name\":\"n10\",\"time_us\":{\"p1\":21,\"p2\":7,\"p3\":16}}],\"edges\":["
    "{\"from\":\"n1\",\"to\":\"n2\",\"bytes\":18},{\"from\":\"n1\",\"to\":\"n3\",\"bytes\":12},"
    "{\"from\":\"n1\",\"to\":\"n4\",\"bytes\":9},{\"from\":\"n1\",\"to\":\"n5\",\"bytes\":11},"
    "{\"from\":\"n1\",\"to\":\"n6\",\"bytes\":14},{\"from\":\"n2\",\"to\":\"n8\",\"bytes\":19},"
    "{\"from\":\"n2\",\"to\":\"n9\",\"bytes\":16},{\"from\":\"n3\",\"to\":\"n7\",\"bytes\":23},"
    "{\"from\":\"n4\",\"to\":\"n8\",\"bytes\":27},{\"from\":\"n4\",\"to\":\"n9\",\"bytes\":23},"
    "{\"from\":\"n5\",\"to\":\"n9\",\"bytes\":13},{\"from\":\"n6\",\"to\":\"n8\",\"bytes\":15},"
    "{\"from\":\"n7\",\"to\":\"n10\",\"bytes\":17},{\"from\":\"n8\",\"to\":\"n10\",\"bytes\":11},"
    "{\"from\":\"n9\",\"to\":\"n10\",\"bytes\":13}]}";

static void test_heft(void **state) {
    (void)state;
    setting s;
    set_up(&s, heft_example, "p1; p2; p3; link p* p* bw=1M");
    clv_plan *single = plan(&s, "single", CLV_LATENCY);
    assert_true(fabs(single->latency_us - 127) < 1e-9);
    clv_plan *branch = plan(&s, "branch", CLV_LATENCY);
    assert_true(branch->latency_us <= 80);
    assert_true(fabs(branch->gain * branch->latency_us - 127) < 1e-6);
    clv_plan *best = plan(&s, "auto", CLV_LATENCY);
    assert_true(best->latency_us <= branch->latency_us);
    clv_plan_destroy(single);
    clv_plan_destroy(branch);
    clv_plan_destroy(best);
    tear_down(&s);
}

/* The middle task is faster away, and worth the way there and back; the last is not. */
static void test_serial(void **state) {
    (void)state;
    setting s;
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":5},{\"name\":\"b\",\"time_us\":{\"p\":90,\"q\":"
        "10}},{\"name\":\"c\",\"time_us\":{\"p\":12,\"q\":50}}],\"edges\":[{\"from\":\"a\",\"to\":"
        "\"b\",\"bytes\":7},{\"from\":\"b\",\"to\":\"c\",\"bytes\":4}]}",
        "p; q; link p q bw=1M latency=1us");
    clv_plan *p = plan(&s, "serial", CLV_LATENCY);
    /* a on q: 5, b on q: 10, b to p: 5, c: 12 */
    assert_true(fabs(p->latency_us - 32) < 1e-9);
    assert_non_null(strstr(p->method, "exact"));
    clv_plan_destroy(p);
    tear_down(&s);
}

static void test_data(void **state) {
    (void)state;
    setting s;
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":60},{\"name\":\"b\",\"time_us\":40}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":7}]}",
        "core*1; slow speed=0.25");
    clv_plan *p = plan(&s, "data", CLV_THROUGHPUT);
    assert_string_equal(p->policy, "data:2");
    assert_int_equal(p->num_groups, 2);
    assert_true(fabs(p->groups[0].share - 0.8) < 1e-9);
    assert_true(fabs(p->period_us - 80) < 1e-9);
    assert_int_equal(p->depth, 2);
    clv_plan_destroy(p);
    p = plan(&s, "auto", CLV_THROUGHPUT);
    assert_true(p->period_us <= 80 + 1e-9);
    clv_plan_destroy(p);
    tear_down(&s);
    set_up(
        &s, "{\"tasks\":[{\"name\":\"a\",\"time_us\":3},{\"name\":\"b\",\"time_us\":4}]}",
        "core*4");
    p = plan(&s, "data:2/pipeline:2", CLV_THROUGHPUT);
    assert_int_equal(p->num_groups, 2);
    assert_int_equal(p->groups[1].num_stages, 2);
    assert_true(fabs(p->period_us - 2) < 1e-9);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* All orders of five words, one after another. */
static bool next_order(int order[5]) {
    int i = 3, k = 4;
    while (i >= 0 && order[i] > order[i + 1]) {
        i--;
    }
    if (i < 0) {
        return false;
    }
    while (order[k] < order[i]) {
        k--;
    }
    int kept = order[i];
    order[i] = order[k];
    order[k] = kept;
    for (i++, k = 4; i < k; i++, k--) {
        kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    return true;
}

typedef struct deal_case {
    const char *units[5], *policy;
    double period_us; /* 0: refused */
} deal_case;

/* What copies there are does not depend on the order of units, of which some run nothing ("n", "m")
 * and others a part. */
static void test_orders_of_units(void **state) {
    (void)state;
    static const char *const json =
        "{\"tasks\":["
        "{\"name\":\"one\",\"time_us\":{\"p\":8,\"q\":8,\"r\":16,\"x\":8,\"y\":8}},"
        "{\"name\":\"two\",\"time_us\":{\"p\":8,\"q\":8,\"r\":16,\"z\":8}}],"
        "\"edges\":[{\"from\":\"one\",\"to\":\"two\",\"bytes\":8}]}";
    static const deal_case cases[] = {
        {{"n", "m", "p", "q", "r"}, "data:2", 8},
        {{"n", "m", "p", "q", "r"}, "data:3", 1 / (1. / 16 + 1. / 16 + 1. / 32)},
        {{"n", "m", "p", "q", "r"}, "data:4", 0},
        {{"n", "x", "z", "q", "r"}, "data:2", 1 / (1. / 16 + 1. / 32)},
        {{"n", "x", "y", "z", "p"}, "data:2/serial", 8},
        {{"n", "x", "y", "z", "r"}, "data:2/serial", 1 / (1. / 16 + 1. / 24)},
        {{"n", "x", "y", "z", "r"}, "data:3/serial", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const deal_case *c = &cases[i];
        int order[5] = {0, 1, 2, 3, 4};
        do {
            setting s;
            char machine[32];
            clv_plan *p = NULL;
            clv_plan_request request = {.policy = c->policy, .allow_idle = true};
            snprintf(
                machine, sizeof machine, "%s;%s;%s;%s;%s", c->units[order[0]], c->units[order[1]],
                c->units[order[2]], c->units[order[3]], c->units[order[4]]);
            set_up(&s, json, machine);
            clv_status *status = clv_plan_create(s.costs, &request, &p);
            bool is_right = c->period_us > 0 ? status == NULL && fabs(p->period_us - c->period_us) <
                                                                     1e-9 * c->period_us
                                             : clv_status_code(status) == CLV_UNSUPPORTED;
            if (!is_right) {
                fail_msg(
                    "%s on %s: %g us, %s", c->policy, machine, p != NULL ? p->period_us : 0,
                    clv_status_message(status));
            }
            clv_status_destroy(status);
            clv_plan_destroy(p);
            tear_down(&s);
        } while (next_order(order));
    }
}

/* Two tasks cut along the same axis: shares 3 to 1, and nothing moves between them. */
static void test_tensor(void **state) {
    (void)state;
    static const char *const json =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":400,\"output_dims\":[64,8],\"splits\":[{\"name\":"
        "\"rows\",\"axis\":0,\"extent\":64}]},{\"name\":\"b\",\"time_us\":400,\"output_dims\":[64,"
        "8],\"splits\":[{\"name\":\"rows\",\"axis\":0,\"extent\":64,\"inputs\":{\"a\":{\"need\":"
        "\"slice\",\"axis\":0}}}]}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":100000}]}";
    setting s;
    set_up(&s, json, "x; y speed=0.333333333333333; link x y bw=1M");
    clv_plan *p = plan(&s, "tensor", CLV_LATENCY);
    const clv_group *group = &p->groups[0];
    assert_int_equal(group->placements[0].num_pieces, 2);
    assert_int_equal(group->placements[1].num_pieces, 2);
    const clv_piece *pieces = &group->pieces[group->placements[1].first_piece];
    assert_int_equal(pieces[0].end, 48);
    assert_int_equal(pieces[1].end, 64);
    assert_true(fabs(p->latency_us - 600) < 1e-6);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* Pieces that were measured to take more than their share: the slower unit gets less than in
 * proportion, as much as lets both end together. */
static void test_tensor_ends_together(void **state) {
    (void)state;
    static const char *const json =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":400,\"output_dims\":[64,8],\"splits\":[{\"name\":"
        "\"rows\",\"axis\":0,\"extent\":64,\"measured\":[{\"share\":0.25,\"part\":0.5},"
        "{\"share\":0.5,\"part\":0.7}]}]}],\"edges\":[]}";
    setting s;
    set_up(&s, json, "core; cpu speed=0.5");
    clv_plan *p = plan(&s, "tensor", CLV_LATENCY);
    assert_int_equal(p->groups[0].num_pieces, 2);
    assert_int_equal(p->groups[0].pieces[0].end, 53); /* in proportion: 43, which takes 449.5 us */
    assert_true(fabs(p->latency_us - 400 * (0.4 + 0.6 * 53 / 64)) < 1e-6);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* Where moving takes no time, what is cut along the neighbour's axis still moves nothing. */
static void test_tensor_ties(void **state) {
    (void)state;
    static const char *const json =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":400,\"output_dims\":[64,8],\"splits\":[{\"name\":"
        "\"rows\",\"axis\":0,\"extent\":64}]},{\"name\":\"b\",\"time_us\":400,\"output_dims\":[64,"
        "8],\"splits\":[{\"name\":\"columns\",\"axis\":1,\"extent\":8,\"inputs\":{\"a\":{\"need\":"
        "\"slice\",\"axis\":1}}},{\"name\":\"rows\",\"axis\":0,\"extent\":64,\"inputs\":{\"a\":{"
        "\"need\":\"slice\",\"axis\":0}}}]}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":"
        "4096}]}";
    setting s;
    set_up(&s, json, "core*2");
    clv_plan *p = plan(&s, "tensor", CLV_LATENCY);
    assert_int_equal(p->groups[0].placements[0].split, 0);
    assert_int_equal(p->groups[0].placements[1].split, 1);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* One functional unit for each type: the pipeline's period is the most loaded type's. */
static void test_bespoke(void **state) {
    (void)state;
    setting s;
    clv_machine *pattern;
    static const char *const kinds[] = {"Conv", "Relu"};
    static const char *const json =
        "{\"tasks\":[{\"name\":\"a\",\"type\":\"Conv\",\"time_us\":40},{\"name\":\"b\",\"type\":"
        "\"Relu\",\"time_us\":5},{\"name\":\"c\",\"type\":\"Conv\",\"time_us\":30}],\"edges\":[{"
        "\"from\":\"a\",\"to\":\"b\",\"bytes\":1},{\"from\":\"b\",\"to\":\"c\",\"bytes\":1}]}";
    assert_null(clv_workload_parse_json("test", json, strlen(json), &s.workload));
    assert_null(clv_machine_parse_text("bespoke:type*2", &pattern));
    assert_null(clv_machine_instantiate(pattern, kinds, 2, &s.machine));
    assert_null(clv_costs_create(s.workload, s.machine, &s.costs));
    clv_plan *p = plan(&s, "pipeline", CLV_THROUGHPUT);
    assert_true(fabs(p->period_us - 40) < 1e-9);
    clv_plan_destroy(p);
    p = plan(&s, "pipeline:2", CLV_THROUGHPUT); /* one of each: both convolutions on one */
    assert_true(fabs(p->period_us - 70) < 1e-9);
    clv_plan_destroy(p);
    p = plan(&s, "pipeline:3", CLV_THROUGHPUT);
    assert_true(fabs(p->period_us - 40) < 1e-9);
    clv_plan_destroy(p);
    clv_plan_request one = {.policy = "pipeline:1", .allow_idle = true};
    clv_status *status = clv_plan_create(s.costs, &one, &p);
    assert_int_equal(clv_status_code(status), CLV_UNSUPPORTED);
    assert_non_null(
        strstr(clv_status_message(status), "none of its units can run task 'b' (Relu)"));
    clv_status_destroy(status);
    p = plan(&s, "serial", CLV_LATENCY);
    assert_true(fabs(p->latency_us - 75) < 1e-9);
    clv_plan_destroy(p);
    p = plan(&s, "data:2", CLV_THROUGHPUT);
    assert_true(fabs(p->period_us - 37.5) < 1e-9);
    clv_plan_destroy(p);
    clv_machine_destroy(pattern);
    tear_down(&s);
}

/* --- files --- */

static void check_file(const char *json, const char *machine, const char *policy) {
    setting s;
    char *first, *second;
    clv_plan *read;
    set_up(&s, json, machine);
    clv_plan *p = plan(&s, policy, CLV_THROUGHPUT);
    assert_null(clv_plan_format_json(s.costs, p, &first));
    clv_status *status = clv_plan_parse_json(s.costs, "test", first, strlen(first), 0, &read);
    if (status != NULL) {
        fail_msg("%s: %s", policy, clv_status_message(status));
    }
    assert_true(fabs(read->period_us - p->period_us) < 1e-9 * p->period_us);
    assert_true(fabs(read->latency_us - p->latency_us) < 1e-9 * p->latency_us);
    read->method = p->method;
    assert_null(clv_plan_format_json(s.costs, read, &second));
    assert_string_equal(first, second);
    /* Cut short anywhere it is refused, and nothing else happens. */
    for (size_t i = 0; i + 2 < strlen(first); i += 7) {
        clv_plan *none;
        status = clv_plan_parse_json(s.costs, "test", first, i, 0, &none);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        clv_status_destroy(status);
    }
    clv_free(first);
    clv_free(second);
    clv_plan_destroy(read);
    clv_plan_destroy(p);
    tear_down(&s);
}

static void test_files(void **state) {
    (void)state;
    check_file(heft_example, "p1; p2; p3; link p* p* bw=1M", "branch");
    check_file(heft_example, "p1; p2; p3; link p* p* bw=1M", "pipeline");
    check_file(heft_example, "p1; p2; p3; link p* p* bw=1M", "data");
    check_file(heft_example, "p1; p2; p3; link p* p* bw=1M", "serial");
}

static void expect_refusal(const setting *s, const char *text, const char *old, const char *new) {
    char buffer[8192];
    const char *at = strstr(text, old);
    clv_plan *none;
    assert_non_null(at);
    snprintf(buffer, sizeof buffer, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    clv_status *status = clv_plan_parse_json(s->costs, "test", buffer, strlen(buffer), 0, &none);
    assert_null(none);
    if (clv_status_code(status) != CLV_MALFORMED) {
        fail_msg("%s -> %s: %s", old, new, clv_status_message(status));
    }
    clv_status_destroy(status);
}

static void test_bad_files(void **state) {
    (void)state;
    setting s;
    char *text;
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":3},{\"name\":\"b\",\"time_us\":4}],\"edges\":"
        "[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1}]}",
        "core*2");
    clv_plan *p = plan(&s, "pipeline", CLV_THROUGHPUT);
    assert_null(clv_plan_format_json(s.costs, p, &text));
    expect_refusal(&s, text, "cleave-plan-1", "cleave-plan-2");
    expect_refusal(&s, text, "\"workload_hash\": \"", "\"workload_hash\": \"0");
    expect_refusal(&s, text, "\"kind\": \"core\"", "\"kind\": \"gpu\"");
    expect_refusal(&s, text, "\"unit\": \"core:1\"", "\"unit\": \"core:7\"");
    expect_refusal(&s, text, "\"node\": \"b\"", "\"node\": \"a\"");
    expect_refusal(&s, text, "\"node\": \"b\"", "\"node\": \"z\"");
    expect_refusal(&s, text, "\"share\": 1", "\"share\": 0.5");
    expect_refusal(&s, text, "\"replica\": 0", "\"replica\": 3");
    expect_refusal(&s, text, "\"stages\": 2", "\"stages\": 1");
    expect_refusal(&s, text, "\"limit\"", "\"limits\"");
    expect_refusal(
        &s, text, "\"node\": \"a\", \"replica\": 0, \"stage\": 0",
        "\"node\": \"a\", \"replica\": 0, \"stage\": 2");
    clv_free(text);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* Replicas that are alike are written once where there are many, and read as they were. */
static void test_many_replicas(void **state) {
    (void)state;
    setting s;
    char *first, *second;
    clv_plan *read, *none;
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":3},{\"name\":\"b\",\"time_us\":4}],\"edges\":"
        "[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1}]}",
        "core*2100; y*2100 speed=0.5");
    clv_plan *p = plan(&s, "data:2100/pipeline", CLV_THROUGHPUT);
    assert_null(clv_plan_format_json(s.costs, p, &first));
    int num_ops = 0;
    for (const char *op = strstr(first, "\"node\""); op != NULL; op = strstr(op + 1, "\"node\"")) {
        num_ops++;
    }
    assert_in_range(num_ops, 2, 8);
    assert_null(clv_plan_parse_json(s.costs, "test", first, strlen(first), 0, &read));
    assert_int_equal(read->num_groups, 2100);
    assert_true(fabs(read->period_us - p->period_us) < 1e-9 * p->period_us);
    for (uint32_t g = 0; g < 2100; g++) {
        for (uint32_t i = 0; i < 2; i++) {
            const clv_placement *a = &p->groups[g].placements[i];
            const clv_placement *b = &read->groups[g].placements[i];
            assert_int_equal(a->stage, b->stage);
            assert_int_equal(
                p->groups[g].pieces[a->first_piece].unit,
                read->groups[g].pieces[b->first_piece].unit);
        }
    }
    read->method = p->method;
    assert_null(clv_plan_format_json(s.costs, read, &second));
    assert_string_equal(first, second);
    static const char *const bad[] = {
        "\"like\": 1, \"units\": [", "\"like\": 0, \"units\": [\"none\", ",
        "\"like\": 0, \"units\": [7, ", "\"like\": 0, \"units\": [\"core:0\", "};
    char *at = strstr(first, "\"like\": 0, \"units\": [");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clv_text text;
        clv_text_init(&text);
        clv_text_add_bytes(&text, first, (size_t)(at - first));
        clv_text_add(&text, "%s%s", bad[i], at + strlen("\"like\": 0, \"units\": ["));
        clv_status *status = clv_plan_parse_json(s.costs, "test", text.data, text.length, 0, &none);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        clv_status_destroy(status);
        clv_text_deinit(&text);
    }
    clv_free(first);
    clv_free(second);
    clv_plan_destroy(read);
    clv_plan_destroy(p);
    tear_down(&s);
}

/* Work is by what a group touches, not by all there is: many equal units took minutes. */
static void test_many_equal_units(void **state) {
    (void)state;
    static const char *const json =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":10},{\"name\":\"b\",\"time_us\":30}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1000}]}";
    static const char *const machines[] = {
        "gpu*500; link gpu* gpu* bw=10G", "core*32768", "gpu*16384; link gpu* host bw=10G"};
    static const uint32_t counts[] = {500, 32768, 16384};
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        if (!clv_test_is_tried(i)) {
            continue;
        }
        setting s;
        set_up(&s, json, machines[i]);
        clv_plan *p = plan(&s, "auto", CLV_THROUGHPUT);
        assert_int_equal(p->num_groups, counts[i]);
        assert_float_equal(p->period_us * counts[i], 40, 1e-6);
        clv_plan_destroy(p);
        tear_down(&s);
    }
}

/* Where no two of 4,096 units are alike, one way to deal them is 20,480 looks at tasks on units,
 * and a budget of 200,000 is for a few: allocations count the copies that were tried. */
static void test_unlike_units(void **state) {
    (void)state;
    setting s;
    clv_text machine;
    clv_text_init(&machine);
    for (int i = 0; i < 4096; i++) {
        clv_text_add(&machine, "%su*1 speed=%.9g", i > 0 ? "; " : "", 1 + i / 4096.0);
    }
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":1},{\"name\":\"b\",\"time_us\":2},{\"name\":"
        "\"c\",\"time_us\":3},{\"name\":\"d\",\"time_us\":4},{\"name\":\"e\",\"time_us\":5}]}",
        machine.data);
    clv_plan_request request = {.policy = "data/branch", .allow_idle = true, .budget = 200000};
    clv_plan *p;
    int64_t before = clv_memory_count();
    assert_null(clv_plan_create(s.costs, &request, &p));
    assert_true(clv_memory_count() - before < 70000);
    clv_plan_destroy(p);
    request.policy = "single"; /* looks at those that may be the best by their times */
    before = clv_memory_count();
    assert_null(clv_plan_create(s.costs, &request, &p));
    assert_true(clv_memory_count() - before < 1000);
    assert_int_equal(p->groups[0].pieces[0].unit, 4095);
    clv_plan_destroy(p);
    tear_down(&s);
    clv_text_deinit(&machine);
}

/* Whatever a policy tries beside other things: that memory ran out is not taken for a draft that
 * does not work. */
static void test_no_memory(void **state) {
    (void)state;
    static const char *const policies[] = {"single", "serial", "pipeline",        "tensor",
                                           "data",   "branch", "data:2/pipeline", "auto"};
    setting s;
    set_up(
        &s,
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":30},{\"name\":\"b\",\"time_us\":40},"
        "{\"name\":\"c\",\"time_us\":20}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1},"
        "{\"from\":\"a\",\"to\":\"c\",\"bytes\":1}]}",
        "p*2 mem=100; link p* host bw=1M");
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        for (int round = 0; round < 2; round++) {
            clv_objective objective = round == 0 ? CLV_THROUGHPUT : CLV_LATENCY;
            clv_plan_request request = {
                .policy = policies[i],
                .objective = objective,
                .has_objective = true,
                .allow_idle = true,
                .budget = 500};
            clv_plan *out;
            assert_null(clv_plan_create(s.costs, &request, &out)); /* routes are kept then */
            clv_plan_destroy(out);
            int64_t count = clv_memory_count();
            assert_null(clv_plan_create(s.costs, &request, &out));
            clv_plan_destroy(out);
            count = clv_memory_count() - count;
            for (int64_t n = 0; n < count; n += 1 + n / 50) {
                if (!clv_test_is_tried((uint64_t)n)) {
                    continue;
                }
                clv_memory_fail_at(n);
                clv_status *status = clv_plan_create(s.costs, &request, &out);
                clv_memory_fail_at(-1);
                if (clv_status_code(status) != CLV_NO_MEMORY ||
                    strstr(clv_status_message(status), "out of host memory") == NULL) {
                    fail_msg(
                        "%s, allocation %lld of %lld: '%s'", policies[i], (long long)n,
                        (long long)count, clv_status_message(status));
                }
                clv_status_destroy(status);
            }
        }
    }
    tear_down(&s);
}

/* --- what cannot be --- */

typedef struct impossible {
    const char *policy;
    int pin, pair, kind, memory; /* how each of the cases below ends; CLV_OK: it is possible */
} impossible;

static void expect(
    const setting *s, const clv_plan_request *request, clv_code code, const char *const *words) {
    clv_plan *none;
    clv_status *status = clv_plan_create(s->costs, request, &none);
    if (clv_status_code(status) != code) {
        fail_msg("%s: %s", request->policy, clv_status_message(status));
    }
    for (; code != CLV_OK && *words != NULL; words++) {
        if (strstr(clv_status_message(status), *words) == NULL) {
            fail_msg("%s: no '%s' in '%s'", request->policy, *words, clv_status_message(status));
        }
    }
    clv_plan_destroy(none);
    clv_status_destroy(status);
}

/* Every policy names the task or the pin, the unit, and the bytes that are missing. */
static void test_impossible(void **state) {
    (void)state;
    enum { OK = CLV_OK, PIN = CLV_USAGE, KIND = CLV_UNSUPPORTED, ROOM = CLV_NO_MEMORY };
    static const impossible rows[] = {
        {"single", PIN, OK, KIND, ROOM},           {"serial", PIN, OK, OK, ROOM},
        {"pipeline", PIN, PIN, OK, ROOM},          {"pipeline:1", PIN, PIN, KIND, ROOM},
        {"pipeline:2", PIN, PIN, OK, ROOM},        {"tensor", PIN, OK, OK, ROOM},
        {"tensor:1", PIN, PIN, KIND, ROOM},        {"data", PIN, OK, KIND, ROOM},
        {"data:2", PIN, PIN, KIND, ROOM},          {"branch", PIN, OK, OK, ROOM},
        {"branch:1", PIN, PIN, KIND, ROOM},        {"auto", PIN, OK, OK, ROOM},
        {"data:2/pipeline", PIN, PIN, KIND, ROOM}, {"data:1/pipeline:1", PIN, PIN, KIND, ROOM},
        {"data:2/tensor", PIN, PIN, KIND, ROOM},   {"data:2/branch", PIN, PIN, KIND, ROOM},
        {"data/tensor", PIN, OK, OK, ROOM},        {"data:1/branch", PIN, OK, OK, ROOM},
    };
    static const char *const json =
        "{\"tasks\":[{\"name\":\"one\",\"time_us\":{\"p\":30},\"memory_bytes\":100},"
        "{\"name\":\"two\",\"time_us\":{\"p\":30,\"q\":3},\"memory_bytes\":100},"
        "{\"name\":\"three\",\"time_us\":{\"q\":20},\"memory_bytes\":100}],\"edges\":["
        "{\"from\":\"one\",\"to\":\"two\",\"bytes\":8},{\"from\":\"two\",\"to\":\"three\","
        "\"bytes\":8}]}";
    static const char *const chain =
        "{\"tasks\":[{\"name\":\"one\",\"time_us\":30,\"memory_bytes\":100},{\"name\":\"two\","
        "\"time_us\":30,\"memory_bytes\":100},{\"name\":\"three\",\"time_us\":30,\"memory_bytes\":"
        "100}"
        "],\"edges\":[{\"from\":\"one\",\"to\":\"two\",\"bytes\":8},{\"from\":\"two\",\"to\":"
        "\"three\",\"bytes\":8}]}";
    static const clv_pin pin = {"three", "p"};
    static const clv_pin around[] = {{"one|three", "p"}, {"two", "q"}};
    setting kinds, all, small;
    set_up(&kinds, json, "p; q; link p q bw=1M");
    set_up(&all, chain, "p; q; link p q bw=1M");
    set_up(&small, chain, "p mem=140; q mem=140; link p q bw=1M");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const impossible *row = &rows[i];
        clv_plan_request request = {.policy = row->policy, .allow_idle = true};
        expect(&kinds, &request, (clv_code)row->kind, (const char *const[]){"task '", NULL});
        expect(
            &small, &request, (clv_code)row->memory,
            (const char *const[]){"p", "bytes", "may hold", "are missing", NULL});
        request.pins = &pin;
        request.num_pins = 1;
        expect(
            &kinds, &request, (clv_code)row->pin,
            (const char *const[]){"three=p", "task 'three' cannot run on 'p'", NULL});
        request.pins = around;
        request.num_pins = 2;
        expect(
            &all, &request, (clv_code)row->pair,
            (const char *const[]){"pinned by '", "task '", "=", NULL});
    }
    tear_down(&kinds);
    tear_down(&all);
    tear_down(&small);
}

/* Copies have units of their own: with a pin there is one, whatever it is made of, and more that
 * are asked for are refused; also in a file. */
static void test_pins_of_copies(void **state) {
    (void)state;
    static const char *const one[] = {"data",        "data/pipeline", "data/tensor",
                                      "data/branch", "data:1/serial", "auto"};
    static const char *const more[] = {
        "data:2", "data:3", "data:2/pipeline", "data:2/tensor", "data:2/branch:2"};
    static const char *const json =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":30},{\"name\":\"b\",\"time_us\":40}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":8}]}";
    static const clv_pin pin = {"^b$", "p:1"};
    setting s;
    clv_plan *p;
    char *text;
    set_up(&s, json, "p*4");
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        clv_plan_request request = {
            .policy = one[i], .pins = &pin, .num_pins = 1, .allow_idle = true};
        clv_status *status = clv_plan_create(s.costs, &request, &p);
        if (status != NULL) {
            fail_msg("%s: %s", one[i], clv_status_message(status));
        }
        assert_int_equal(p->num_groups, 1);
        assert_int_equal(p->groups[0].pieces[p->groups[0].placements[1].first_piece].unit, 1);
        clv_plan_destroy(p);
    }
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        clv_plan_request request = {
            .policy = more[i], .pins = &pin, .num_pins = 1, .allow_idle = true};
        expect(
            &s, &request, CLV_USAGE,
            (const char *const[]){
                "'b', pinned by '^b$=p:1'", "'p:1'",
                "policy 'data:", "copies of the whole have units of their own", NULL});
        request.depth = 1; /* one request in flight: one copy */
        expect(&s, &request, CLV_OK, NULL);
    }
    clv_plan_request idle = {.policy = "data", .pins = &pin, .num_pins = 1};
    expect(&s, &idle, CLV_USAGE, (const char *const[]){"'p:2'", "pins leave one copy", NULL});
    p = plan(&s, "data:2/pipeline:2", CLV_THROUGHPUT);
    assert_null(clv_plan_format_json(s.costs, p, &text));
    uint32_t unit = p->groups[0].pieces[0].unit;
    char *at = strstr(text, "\"replica\": 1");
    assert_non_null(at);
    at = strstr(at, "\"unit\": \"p:");
    assert_non_null(at);
    at[strlen("\"unit\": \"p:")] = (char)('0' + unit);
    clv_plan_destroy(p);
    clv_status *status = clv_plan_parse_json(s.costs, "test", text, strlen(text), 0, &p);
    assert_int_equal(clv_status_code(status), CLV_MALFORMED);
    assert_non_null(strstr(clv_status_message(status), "is in replicas 0 and 1"));
    clv_status_destroy(status);
    clv_free(text);
    tear_down(&s);
}

/* What does not fit is told with what does, and that can be asked for as it stands. */
static void test_what_fits_is_named(void **state) {
    (void)state;
    static const char *const json =
        "{\"tasks\":[{\"name\":\"one\",\"time_us\":30,\"memory_bytes\":100},"
        "{\"name\":\"two\",\"time_us\":30,\"memory_bytes\":100}],"
        "\"edges\":[{\"from\":\"one\",\"to\":\"two\",\"bytes\":8}]}";
    static const char *const key = "what fits: --policy ";
    setting s;
    set_up(&s, json, "p mem=140; q mem=140; r mem=1; link p q bw=1M; link q r bw=1M");
    clv_plan_request request = {.policy = "single"};
    clv_plan *plan;
    clv_status *status = clv_plan_create(s.costs, &request, &plan);
    assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
    const char *advice = strstr(clv_status_message(status), key);
    assert_non_null(advice);
    char policy[32], rest[32];
    unsigned depth;
    assert_int_equal(sscanf(advice + strlen(key), "%31s --depth %u %31s", policy, &depth, rest), 3);
    assert_string_equal(rest, "--allow-idle"); /* r holds nothing */
    clv_status_destroy(status);
    request = (clv_plan_request){.policy = policy, .depth = depth, .allow_idle = true};
    expect(&s, &request, CLV_OK, NULL);
    request.policy = "data:2";
    expect(&s, &request, CLV_NO_MEMORY, (const char *const[]){"; what fits: --policy ", NULL});
    tear_down(&s);
    set_up(&s, json, "p mem=90; q mem=140; link p q bw=1M");
    expect(
        &s, &request, CLV_NO_MEMORY,
        (const char *const[]){"; no other plan was found that fits", NULL});
    tear_down(&s);
}

/* Where memory makes a policy move tasks one by one, moves ended at the first place that no single
 * one improved, slower than the one unit that holds all; and where they began went by whether the
 * depth was asked for. */
static void test_what_fits_is_fast(void **state) {
    (void)state;
    static const int time_us[8][3] = {{79, 41, 68}, {74, 4, 3},   {10, 85, 84}, {46, 67, 64},
                                      {19, 18, 77}, {88, 91, 87}, {95, 76, 76}, {50, 17, 78}};
    static const int weights[8] = {732, 391, 586, 218, 593, 730, 42, 188};
    static const int outputs[8] = {22, 284, 33, 83, 233, 216, 208, 44};
    setting s;
    char json[2048];
    int length = snprintf(json, sizeof json, "{\"tasks\":[");
    for (int i = 0; i < 8; i++) {
        length += snprintf(
            json + length, sizeof json - (size_t)length,
            "%s{\"name\":\"t%d\",\"time_us\":{\"p0\":%d,\"p1\":%d,\"p2\":%d},"
            "\"memory_bytes\":%d,\"output_bytes\":%d}",
            i > 0 ? "," : "", i, time_us[i][0], time_us[i][1], time_us[i][2], weights[i],
            outputs[i]);
    }
    snprintf(
        json + length, sizeof json - (size_t)length,
        "],\"edges\":[{\"from\":\"t0\",\"to\":\"t1\",\"bytes\":31000},"
        "{\"from\":\"t0\",\"to\":\"t2\",\"bytes\":31000},"
        "{\"from\":\"t0\",\"to\":\"t3\",\"bytes\":31000},"
        "{\"from\":\"t0\",\"to\":\"t4\",\"bytes\":31000},"
        "{\"from\":\"t1\",\"to\":\"t6\",\"bytes\":37000},"
        "{\"from\":\"t6\",\"to\":\"t7\",\"bytes\":40000}]}");
    set_up(
        &s, json,
        "p0 launch=3us mem=3102; p1 speed=0.5 mem=1338; p2 launch=3us; "
        "link p* host bw=100000000 latency=10us");
    for (uint32_t depth = 0; depth < 2; depth++) {
        clv_plan *plan = NULL;
        clv_plan_request request = {
            .policy = "tensor",
            .objective = CLV_THROUGHPUT,
            .has_objective = true,
            .depth = depth,
            .allow_idle = true};
        assert_null(clv_plan_create(s.costs, &request, &plan));
        assert_int_equal(plan->depth, 1);
        assert_true(plan->period_us == 471); /* of all 6561 placements the best that fits */
        clv_plan_destroy(plan);
    }
    tear_down(&s);
}

static void test_shares_are_for_tensor(void **state) {
    (void)state;
    const double shares[] = {3, 1, 1, 1};
    const char *const says[] = {"--tensor-split", NULL};
    static const char *const json = "{\"tasks\":[{\"name\":\"a\",\"time_us\":40,\"splits\":[{"
                                    "\"name\":\"rows\",\"extent\":8}]}]}";
    setting s;
    set_up(&s, json, "core*4");
    clv_plan_request request = {
        .tensor_shares = shares, .num_tensor_shares = 4, .allow_idle = true};
    const char *const others[] = {"single", "serial", "pipeline", "branch", "data:2", "auto"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        request.policy = others[i];
        expect(&s, &request, CLV_USAGE, says);
    }
    request.policy = "data:2/tensor"; /* 3 to 1 in one copy, halves in the other */
    clv_plan *p;
    assert_null(clv_plan_create(s.costs, &request, &p));
    assert_int_equal(p->num_groups, 2);
    assert_int_equal(p->groups[0].num_pieces, 2);
    assert_int_equal(p->groups[0].pieces[0].end, 6);
    assert_int_equal(p->groups[1].num_pieces, 2);
    assert_int_equal(p->groups[1].pieces[0].end, 4);
    clv_plan_destroy(p);
    tear_down(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_equal_units),
        cmocka_unit_test(test_heft),
        cmocka_unit_test(test_what_fits_is_fast),
        cmocka_unit_test(test_serial),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_orders_of_units),
        cmocka_unit_test(test_tensor),
        cmocka_unit_test(test_tensor_ends_together),
        cmocka_unit_test(test_tensor_ties),
        cmocka_unit_test(test_bespoke),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_unlike_units),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_pins_of_copies),
        cmocka_unit_test(test_what_fits_is_named),
        cmocka_unit_test(test_many_replicas),
        cmocka_unit_test(test_shares_are_for_tensor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
