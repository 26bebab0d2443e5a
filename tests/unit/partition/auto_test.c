/* What auto takes of plans that promise nearly the same: promises of measured times are known to
 * some 2 %, times that are given are what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/setting.h"

/* Cut in two a request takes `part` % of the whole's 100 us: `tensor`. */
#define SPLIT                                                                              \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"core\":{\"us\":100,\"origin\":\"%s\"}},"   \
    "\"memory_bytes\":100,\"output_bytes\":64,\"output_dims\":[64],\"splits\":[{\"name\":" \
    "\"rows\",\"extent\":64,\"measured\":[{\"share\":0.5,\"part\":0.%d}]}]}]}"
/* Stages of 100 and `part` us: `pipeline`, which holds the weights once. */
#define CHAIN                                                                                 \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"core\":{\"us\":100,\"origin\":\"%s\"}},"      \
    "\"memory_bytes\":100},{\"name\":\"b\",\"time_us\":{\"core\":%d},\"memory_bytes\":100}]," \
    "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":1}]}"

/* A second unit that takes `part` us where the first takes 100. */
#define FAR                                                                             \
    "{\"tasks\":[{\"name\":\"a\",\"time_us\":{\"core\":{\"us\":100,\"origin\":\"%s\"}," \
    "\"far\":%d}}]}"

typedef struct auto_case {
    const char *tasks, *origin;
    int part;
    clv_objective objective;
    const char *policy, *machine; /* NULL: two cores */
} auto_case;

static const auto_case cases[] = {
    {SPLIT, "given", 51, CLV_THROUGHPUT, "data:2"},
    {SPLIT, "measured", 51, CLV_THROUGHPUT, "data:2"}, /* nothing is cut for the same */
    {SPLIT, "measured", 49, CLV_THROUGHPUT, "tensor"}, /* half the latency, and 2 % more */
    {SPLIT, "measured", 52, CLV_LATENCY, "tensor"},
    {SPLIT, "given", 95, CLV_LATENCY, "tensor"},
    {CHAIN, "given", 98, CLV_THROUGHPUT, "data:2"},
    {CHAIN, "estimated", 98, CLV_THROUGHPUT, "data:2"},
    /* nothing goes from unit to unit for the same, nor at once for a little more */
    {CHAIN, "measured", 98, CLV_THROUGHPUT, "data:2"},
    {CHAIN, "measured", 100, CLV_THROUGHPUT, "data:2"},
    /* a copy that gains 2 % and one that gains a fiftieth of a %: its requests take 0.5 s */
    {FAR, "given", 5000, CLV_THROUGHPUT, "data:2", "core; far"},
    {FAR, "given", 500000, CLV_THROUGHPUT, "single", "core; far"},
};

static void check(const auto_case *c) {
    char text[1024];
    setting s;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, c->tasks, c->origin, c->part);
#pragma GCC diagnostic pop
    set_up(&s, text, c->machine != NULL ? c->machine : "core*2");
    const clv_plan_request request = {
        .policy = "auto", .objective = c->objective, .has_objective = true, .allow_idle = true};
    clv_plan *p;
    assert_null(clv_plan_create(s.costs, &request, &p));
    if (strcmp(p->policy, c->policy) != 0) {
        fail_msg("%s %d: %s, not %s", c->origin, c->part, p->policy, c->policy);
    }
    clv_plan_destroy(p);
    tear_down(&s);
}

static void test_measured(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(&cases[i]);
    }
}

/* What kernels hold in fact: half of what sums say. */
static clv_status *ask_half(
    const clv_costs *costs, const clv_group *groups, uint32_t num_groups, uint64_t *out_bytes) {
    memset(out_bytes, 0, costs->machine->num_units * sizeof *out_bytes);
    for (uint32_t g = 0; g < num_groups; g++) {
        for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
            const uint32_t piece = groups[g].placements[i].first_piece;
            out_bytes[groups[g].pieces[piece].unit] += costs->workload->tasks[i].weight_bytes / 2;
        }
    }
    return NULL;
}

/* Limits of just what is held, of which sums say more than twice: cuts were dropped for their sums
 * before anybody was asked. */
static void test_asked(void **state) {
    (void)state;
    static const char tasks[] =
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":100,\"memory_bytes\":1000},{\"name\":\"b\","
        "\"time_us\":100,\"memory_bytes\":1000}],\"edges\":[{\"from\":\"a\",\"to\":\"b\","
        "\"bytes\":1}]}";
    static const char *const policies[] = {"pipeline", "branch", "auto"};
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        setting s;
        clv_plan *p;
        set_up(&s, tasks, "p1 mem=500; p2 mem=500; link p* p* bw=1G");
        s.costs->ask_memory = ask_half;
        const clv_plan_request request = {.policy = policies[i], .allow_idle = true};
        assert_null(clv_plan_create(s.costs, &request, &p));
        if (p->memory_bytes[0] > 500 || p->memory_bytes[1] > 500) {
            fail_msg(
                "%s: %d and %d bytes", p->policy, (int)p->memory_bytes[0], (int)p->memory_bytes[1]);
        }
        clv_plan_destroy(p);
        tear_down(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measured),
        cmocka_unit_test(test_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
