/* Which of several units policies take. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/setting.h"

static clv_plan *plan(const setting *s, const clv_plan_request *request) {
    clv_plan *out;
    clv_status *status = clv_plan_create(s->costs, request, &out);
    if (status != NULL) {
        fail_msg("%s: %s", request->policy, clv_status_message(status));
    }
    return out;
}

static const char *const pair =
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":10},{\"name\":\"b\",\"time_us\":30}],"
    "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":100000}]}";

/* Of equal ones the first. */
static void copies_are_on_the_first_units(void **state) {
    (void)state;
    static const char *const policies[] = {"data:2", "data:3", "data:4", "data:5"};
    setting s;
    set_up(&s, pair, "core*8");
    for (uint32_t i = 0; i < 4; i++) {
        const clv_plan_request request = {.policy = policies[i], .allow_idle = true};
        clv_plan *p = plan(&s, &request);
        bool has_work[8] = {false};
        assert_int_equal(p->num_groups, i + 2);
        for (uint32_t g = 0; g < p->num_groups; g++) {
            has_work[p->groups[g].pieces[0].unit] = true;
        }
        for (uint32_t k = 0; k < 8; k++) {
            assert_int_equal(has_work[k], k < i + 2);
        }
        clv_plan_destroy(p);
    }
    tear_down(&s);
}

/* Units that are alike but for their way to where a pin puts b: a is there, not on the first. */
static void pins_tell_units_apart(void **state) {
    (void)state;
    static const clv_pin pin = {"^b$", "gpu:3"};
    const clv_plan_request request = {
        .policy = "single", .pins = &pin, .num_pins = 1, .allow_idle = true};
    setting s;
    set_up(&s, pair, "core launch=1s; gpu*4; link gpu* host bw=1G latency=5us");
    clv_plan *p = plan(&s, &request);
    assert_int_equal(p->groups[0].pieces[p->groups[0].placements[0].first_piece].unit, 4);
    assert_true(fabs(p->latency_us - 40) < 1e-9);
    clv_plan_destroy(p);
    tear_down(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_on_the_first_units),
        cmocka_unit_test(pins_tell_units_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
