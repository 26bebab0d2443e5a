/* Policy tensor: shares that are given, and what pieces that are added cost. */
#include "partition/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/setting.h"

#define ROWS(name, extent)                                                                         \
    "{\"name\":\"" name "\",\"time_us\":40,\"splits\":[{\"name\":\"rows\",\"extent\":" extent "}]" \
    "}"

typedef struct share_case {
    const char *tasks, *machine;
    double shares[2];
    uint32_t unit;    /* of the only piece */
    const char *says; /* of the other unit, where it must have work */
} share_case;

static const share_case share_cases[] = {
    /* all of a task and of one that cannot be cut, be the other unit the faster one */
    {"{\"tasks\":[" ROWS("a", "8") ",{\"name\":\"b\",\"time_us\":9}]}",
     "p; q",
     {0, 1},
     1,
     "'p' would get no work under policy 'tensor': its share is 0"},
    {"{\"tasks\":[" ROWS("a", "8") ",{\"name\":\"b\",\"time_us\":9}]}",
     "p speed=3; q",
     {0, 1},
     1,
     "'p' would get no work under policy 'tensor': its share is 0"},
    {"{\"tasks\":[" ROWS("a", "8") ",{\"name\":\"b\",\"time_us\":9}]}",
     "p; q speed=3",
     {1, 0},
     0,
     "'q' would get no work under policy 'tensor': its share is 0"},
    /* less than half a row of 8: the rest has them all */
    {"{\"tasks\":[" ROWS("a", "8") "]}",
     "p; q",
     {1, 99},
     1,
     "'p' would get no work under policy 'tensor': its share is too small"},
    {"{\"tasks\":[" ROWS("a", "8") "]}",
     "p; q",
     {99, 1},
     0,
     "'q' would get no work under policy 'tensor': its share is too small"},
};

static void given_shares_are_kept(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof share_cases / sizeof share_cases[0]; i++) {
        const share_case *c = &share_cases[i];
        clv_plan_request request = {
            .policy = "tensor",
            .tensor_shares = c->shares,
            .num_tensor_shares = 2,
            .allow_idle = true};
        clv_plan *plan;
        setting s;
        set_up(&s, c->tasks, c->machine);
        assert_null(clv_plan_create(s.costs, &request, &plan));
        for (uint32_t k = 0; k < plan->groups[0].num_pieces; k++) {
            assert_int_equal(plan->groups[0].pieces[k].unit, c->unit);
        }
        clv_plan_destroy(plan);
        request.allow_idle = false;
        clv_status *status = clv_plan_create(s.costs, &request, &plan);
        assert_int_equal(clv_status_code(status), CLV_USAGE);
        if (strstr(clv_status_message(status), c->says) == NULL) {
            fail_msg("%zu: %s", i, clv_status_message(status));
        }
        clv_status_destroy(status);
        tear_down(&s);
    }
}

/* What only a unit without a share can run is there all the same. */
static void somebody_runs_everything(void **state) {
    (void)state;
    const double shares[] = {0, 1};
    const clv_plan_request request = {
        .policy = "tensor", .tensor_shares = shares, .num_tensor_shares = 2, .allow_idle = true};
    clv_plan *plan;
    setting s;
    set_up(&s, "{\"tasks\":[" ROWS("a", "8") ",{\"name\":\"b\",\"time_us\":{\"p\":9}}]}", "p; q");
    assert_null(clv_plan_create(s.costs, &request, &plan));
    assert_int_equal(plan->groups[0].num_pieces, 2);
    assert_int_equal(plan->groups[0].pieces[0].unit, 1);
    assert_int_equal(plan->groups[0].pieces[1].unit, 0);
    clv_plan_destroy(plan);
    tear_down(&s);
}

/* Of two ways whose pieces take as long, the one whose pieces need not be added: that takes as long
 * as the memory does for three times the output. It was forgotten, and the first way was taken. */
static void sums_are_not_free(void **state) {
    (void)state;
    static const char *const json =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":400,\"output_dims\":[64],"
        "\"splits\":[{\"name\":\"sums\",\"join\":\"sum\",\"extent\":64},{\"name\":\"rows\","
        "\"axis\":0,\"extent\":64}]},{\"name\":\"b\",\"time_us\":1}],\"edges\":[{\"from\":\"a\","
        "\"to\":\"b\",\"bytes\":1000000}]}";
    const clv_plan_request request = {.policy = "tensor"};
    clv_plan *plan;
    setting s;
    set_up(&s, json, "core*2 bw=40G");
    assert_null(clv_plan_create(s.costs, &request, &plan));
    assert_int_equal(plan->groups[0].placements[0].num_pieces, 2);
    assert_int_equal(plan->groups[0].placements[0].split, 1);
    clv_plan_destroy(plan);
    tear_down(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_shares_are_kept),
        cmocka_unit_test(somebody_runs_everything),
        cmocka_unit_test(sums_are_not_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
