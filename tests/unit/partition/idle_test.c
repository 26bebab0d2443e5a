/* What is said of a unit that a plan gives no work. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/setting.h"

#define WEIGHTY \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":10,\"memory_bytes\":500,\"output_bytes\":100},{"
#define B "\"name\":\"b\",\"time_us\":10"
#define EDGE "}],\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":100000}]}"
#define ROWS                                                                                   \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":100,\"memory_bytes\":1600,\"output_bytes\":6400," \
    "\"output_dims\":[64],\"splits\":[{\"name\":\"rows\",\"extent\":64,\"grain\":4,"           \
    "\"splits_weights\":true}]}]}"

typedef struct idle_case {
    const char *tasks, *machine, *policy;
    uint32_t depth;
    const char *says;
} idle_case;

static const idle_case cases[] = {
    /* a is too large, b holds nothing: it is not the memory */
    {WEIGHTY B EDGE, "p; q mem=64; link p q bw=1M", "pipeline", 0,
     "it makes nothing faster there; leave it out"},
    {WEIGHTY B ",\"memory_bytes\":70" EDGE, "p; q mem=64; link p q bw=1M", "pipeline", 0,
     "the smallest whole operator would hold at least 70 bytes there, and it may hold 64"},
    /* 4 of 64 rows: a sixteenth of 8,000 bytes */
    {ROWS, "p; q mem=500 speed=0.001; link p q bw=1M", "tensor", 0,
     "it makes nothing faster there"},
    {ROWS, "p; q mem=499 speed=0.001; link p q bw=1M", "tensor", 0,
     "the smallest piece of an operator would hold at least 500 bytes there, and it may hold 499"},
    {ROWS, "p; q mem=499 speed=0.001; link p q bw=1M", "data:1/tensor", 0,
     "the smallest piece of an operator would hold at least 500"},
    {ROWS, "p; q mem=500 speed=0.001; link p q bw=1M", "pipeline", 0,
     "the smallest whole operator would hold at least 8000"},
    /* one request in each copy, two */
    {ROWS, "p; q mem=500; link p q bw=1M", "data", 0,
     "a copy of the model would hold at least 8000 bytes there"},
    {ROWS, "p; q mem=500; link p q bw=1M", "data", 2,
     "a copy of the model would hold at least 8000 bytes there"},
    {ROWS, "p; q mem=500; link p q bw=1M", "data", 4,
     "a copy of the model would hold at least 14400 bytes there"},
    {WEIGHTY "\"name\":\"b\",\"time_us\":{\"p\":10}" EDGE, "p; q mem=64; link p q bw=1M", "data", 0,
     "it cannot run all operators"},
    {"{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"p\":10},\"memory_bytes\":99}]}",
     "p; q mem=64; link p q bw=1M", "pipeline", 0, "it can run no operator"},
};

static void expect(const setting *s, const idle_case *c) {
    const clv_plan_request request = {.policy = c->policy, .depth = c->depth};
    clv_plan *plan;
    clv_status *status = clv_plan_create(s->costs, &request, &plan);
    const char *message = clv_status_message(status);
    if (clv_status_code(status) != CLV_USAGE || strstr(message, "unit 'q' would get no") == NULL ||
        strstr(message, c->says) == NULL) {
        fail_msg("%s on %s: %s, not '%s'", c->policy, c->machine, message, c->says);
    }
    assert_null(plan);
    clv_status_destroy(status);
}

static void reasons_are_right(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setting s;
        set_up(&s, cases[i].tasks, cases[i].machine);
        expect(&s, &cases[i]);
        tear_down(&s);
    }
}

/* Copies on q do not get on. */
static clv_status *block_on_q(
    const clv_costs *costs, const clv_group *groups, uint32_t num_groups, clv_clock_load load,
    clv_steady *out_steady) {
    (void)costs;
    (void)load;
    for (uint32_t g = 0; g < num_groups; g++) {
        if (groups[g].pieces[0].unit == 1) {
            return CLV_ERROR(UNSUPPORTED, "all buffers are full");
        }
        out_steady->period_us = fmax(groups[g].bound_us, 1);
        out_steady->latency_us = groups[g].latency_us;
        out_steady->in_flight = groups[g].depth;
    }
    return NULL;
}

static void what_the_clock_says_is_a_reason(void **state) {
    (void)state;
    const idle_case blocked = {
        ROWS, "p; q buffers=1; link p q bw=1M", "data", 4, "all buffers are full"};
    setting s;
    set_up(&s, blocked.tasks, blocked.machine);
    s.costs->ask_clock = block_on_q;
    expect(&s, &blocked);
    tear_down(&s);
}

/* What would be faster in the unit's memory need not be in what of it the unit may use. */
static void a_limit_may_be_why(void **state) {
    (void)state;
    const idle_case limited = {
        WEIGHTY B EDGE, "p; q mem=1M; link p q bw=1M", "pipeline", 0,
        "it makes nothing faster there with the memory that it may use; leave it out"};
    setting s;
    set_up(&s, limited.tasks, limited.machine);
    s.machine->units[1].limit_bytes = 64;
    expect(&s, &limited);
    tear_down(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_are_right),
        cmocka_unit_test(what_the_clock_says_is_a_reason),
        cmocka_unit_test(a_limit_may_be_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
