/* Requests with random delays injected in whoever runs them, twice and with other delays: the same
 * answers bit by bit, by static and by dynamic schedules, on cores, on devices with queues, and on
 * two platforms; with one driver those of one unit, else nearly.
 *
 *     TEST [NUM_REQUESTS]        of each run: there are two on every set of units by each schedule
 */
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include "tests/support/random_plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_OPERANDS = 8, MAX_UNITS = 3, NUM_INPUT_SETS = 7, DEPTH = 3 };

static clv_rig rig;
static clv_graph *graph;
static clv_view inputs[NUM_INPUT_SETS][MAX_OPERANDS];
static clv_mutable_view wanted[NUM_INPUT_SETS][MAX_OPERANDS];
static clv_mutable_view first[NUM_INPUT_SETS][MAX_OPERANDS];
static clv_mutable_view outputs[NUM_INPUT_SETS][MAX_OPERANDS];
static double worst_difference; /* from one core, where another driver takes part */
static uint32_t num_requests = 2 * NUM_INPUT_SETS;

static const char *const sets[][MAX_UNITS + 1] = {
    {"core:0", "core:1"},
    {"threaded", "threaded#2"},
    {"threaded", "other"},
};
enum { NUM_SETS = sizeof sets / sizeof sets[0] };

/* --- answers --------------------------------------------------------------------------------- */

static size_t bytes_of(const clv_mutable_view *view) {
    return clv_view_bytes(view->dtype, &view->shape);
}

/* Of the largest output. */
static double difference_of(const clv_mutable_view *got, const clv_mutable_view *other) {
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < clv_shape_elements(&other->shape); i++) {
        const double a = clv_load_double(got->dtype, got->data, i);
        const double b = clv_load_double(other->dtype, other->data, i);
        largest = fabs(b) > largest ? fabs(b) : largest;
        worst = !(fabs(a - b) <= worst) ? fabs(a - b) : worst;
    }
    return worst > 0 ? worst / largest : worst;
}

/* What request `index` gave is what the first with its inputs did. */
static void check(uint32_t index, bool is_first, bool is_exact) {
    const uint32_t set = index % NUM_INPUT_SETS;
    for (size_t k = 0; k < graph->num_outputs; k++) {
        clv_mutable_view *got = &outputs[set][k], *same = &first[set][k], *one = &wanted[set][k];
        if (is_first) {
            const double difference = difference_of(got, one);
            memcpy(same->data, got->data, bytes_of(got));
            worst_difference = fmax(worst_difference, difference);
            if (is_exact ? memcmp(got->data, one->data, bytes_of(got)) != 0
                         : !(difference <= 1e-5)) {
                fail_msg(
                    "request %u, output %zu differs by %.2g of the largest", index, k, difference);
            }
        } else if (memcmp(got->data, same->data, bytes_of(got)) != 0) {
            fail_msg("request %u, output %zu is another than before", index, k);
        }
        memset(got->data, 0xee, bytes_of(got));
    }
}

/* --- runs ------------------------------------------------------------------------------------ */

static clv_signal ended; /* of all requests there ever were */
static uint32_t num_submitted;

static void on_done(void *context, clv_status *status) {
    *(clv_status **)context = status;
    clv_signal_add(&ended, 1);
}

/* All of `count` at once, as far as the depth allows. */
static void run_some(clv_session *session, uint32_t count) {
    clv_status *endings[NUM_INPUT_SETS] = {NULL};
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(clv_session_submit(
            session, inputs[i], graph->num_inputs, outputs[i], graph->num_outputs, on_done,
            &endings[i]));
    }
    num_submitted += count;
    clv_signal_wait(&ended, num_submitted, 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(endings[i]);
    }
}

static void run_set(const clv_exec_unit *units, uint32_t num_units, bool is_exact) {
    for (int run = 0; run < 4; run++) { /* static twice, dynamic twice */
        const clv_random_plan_options drawn = {
            .seed = 3,
            .num_units = num_units,
            .depth = DEPTH,
            .split_share = 0.5,
            .num_sharers = units[1].name.kind == CLV_UNIT_CORE ? 2 : 0,
        };
        clv_plan *plan = NULL;
        clv_session *session = NULL;
        assert_ok(clv_random_plan(graph, &drawn, &plan));
        const clv_session_options options = {
            .plan = plan,
            .is_dynamic = run >= 2,
            .debug = {.fills_dead = true, .delays = true, .delay_seed = (uint64_t)run % 2 + 1},
        };
        assert_ok(clv_session_create(graph, units, num_units, &options, &session));
        clv_plan_destroy(plan);
        for (uint32_t done = 0; done < num_requests; done += NUM_INPUT_SETS) {
            const uint32_t left = num_requests - done;
            const uint32_t count = left < NUM_INPUT_SETS ? left : NUM_INPUT_SETS;
            run_some(session, count);
            for (uint32_t i = 0; i < count; i++) {
                check(done + i, run == 0 && done == 0, is_exact);
            }
        }
        clv_session_destroy(session);
    }
}

static void test_same_answers(void **state) {
    (void)state;
    for (size_t s = 0; s < NUM_SETS; s++) {
        clv_exec_unit units[MAX_UNITS];
        uint32_t num_units = 0;
        bool is_exact = true, is_there = true;
        for (; sets[s][num_units] != NULL && is_there; num_units += is_there ? 1 : 0) {
            char text[96];
            is_exact = is_exact && strcmp(sets[s][num_units], "other") != 0;
            is_there = clv_rig_resolve(&rig, sets[s][num_units], text, sizeof text);
            if (is_there) {
                assert_ok(clv_rig_open(&rig, text, true, &units[num_units]));
            } else {
                print_message("no unit '%s' is here: skipped\n", sets[s][num_units]);
            }
        }
        if (is_there) {
            run_set(units, num_units, is_exact);
            print_message(
                "%s,%s: %u requests twice, static and dynamic: the same answers, within %.2g of "
                "those of one core\n",
                units[0].name.text, units[1].name.text, num_requests, worst_difference);
        }
        for (uint32_t i = 0; i < num_units; i++) {
            clv_rig_close(&units[i]);
        }
    }
}

static int create(void **state) {
    (void)state;
    clv_exec_unit core;
    clv_session *session = NULL;
    assert_ok(clv_rig_init(&rig, 2, 2));
    assert_ok(clv_net_small(&graph));
    assert_ok(clv_rig_open(&rig, "core:0", false, &core));
    assert_ok(clv_session_create(graph, &core, 1, NULL, &session));
    for (int i = 0; i < NUM_INPUT_SETS; i++) {
        assert_ok(clv_net_inputs(graph, (uint64_t)i + 1, inputs[i]));
        assert_ok(clv_net_outputs(graph, wanted[i]));
        assert_ok(clv_net_outputs(graph, first[i]));
        assert_ok(clv_net_outputs(graph, outputs[i]));
        assert_ok(
            clv_session_run(session, inputs[i], graph->num_inputs, wanted[i], graph->num_outputs));
    }
    clv_session_destroy(session);
    clv_rig_close(&core);
    return 0;
}

static int destroy(void **state) {
    (void)state;
    for (int i = 0; i < NUM_INPUT_SETS; i++) {
        clv_net_free_inputs(graph, inputs[i]);
        clv_net_free_outputs(graph, wanted[i]);
        clv_net_free_outputs(graph, first[i]);
        clv_net_free_outputs(graph, outputs[i]);
    }
    clv_graph_destroy(graph);
    clv_rig_deinit(&rig);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_answers)};
    const long count = argc > 1 ? strtol(argv[1], NULL, 10) : (long)num_requests;
    if (count < NUM_INPUT_SETS) {
        fprintf(stderr, "NUM_REQUESTS must be %d at least\n", (int)NUM_INPUT_SETS);
        return 2;
    }
    num_requests = (uint32_t)count;
    return cmocka_run_group_tests(tests, create, destroy);
}
