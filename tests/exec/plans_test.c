/* Random plans on several units: operators whole and cut in every way they know, stages, one to
 * four requests in flight, each with its own inputs. On cores, on cores and devices with queues, on
 * devices alone, behind links that are declared, and, where a second platform is there, on two
 * platforms at once. Bit by bit what one core computes, unless something is summed across units or
 * another driver's compiler made the kernels; then nearly.
 *
 *     TEST [NUM_PLANS [SEED [SET]]]      a failure prints its seed and set
 *
 * NUM_PLANS plans, each of a graph of its own, on the sets of units in turn (on SET alone); and,
 * for NUM_PLANS 16 and more, 52 plans of each of four other graphs. Some run by dynamic schedules
 * too. At the end: how many, and the largest difference where some is allowed. */
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include "tests/support/random_plan.h"
#include "tests/support/sample.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_OPERANDS = 8, NUM_CORES = 3, MAX_UNITS = 4, NUM_INPUT_SETS = 5 };

static clv_rig rig;
static uint64_t first_seed = 1, num_plans = 16;
static int64_t only_set = -1;

static struct {
    int plans, of_random_graphs, dynamic, exact, failed;
    double worst_of_driver, worst_of_two; /* differences: one driver's devices alone, and two's */
} figures;

/* Units that plans are drawn for. */
typedef struct unit_set {
    clv_exec_unit units[MAX_UNITS];
    uint32_t num_units;
    bool is_one_driver;
    bool is_exact;    /* bit by bit, where nothing is summed across units */
    bool is_one_sort; /* cores alone, or devices with queues of one driver alone */
    char first[96];   /* a unit of it, without limits */
} unit_set;

/* Names as clv_rig_resolve takes them. False where one is not there. */
static bool open_set(const char *const *names, unit_set *set) {
    memset(set, 0, sizeof *set);
    set->is_one_driver = set->is_one_sort = set->is_exact = true;
    for (; names[set->num_units] != NULL; set->num_units++) {
        const char *name = names[set->num_units];
        char text[96];
        if (!clv_rig_resolve(&rig, name, text, sizeof text)) {
            print_message("no unit '%s' is here: skipped\n", name);
            return false;
        }
        set->is_one_driver = set->is_one_driver && strncmp(name, "other", 5) != 0;
        set->is_exact = set->is_one_driver;
        set->is_one_sort = set->is_one_sort && strncmp(name, names[0], 4) == 0;
        if (set->num_units == 0) {
            snprintf(set->first, sizeof set->first, "%.*s", (int)strcspn(text, "{"), text);
        }
        assert_ok(clv_rig_open(&rig, text, true, &set->units[set->num_units]));
    }
    return true;
}

static void close_set(unit_set *set) {
    for (uint32_t i = 0; i < set->num_units; i++) {
        clv_rig_close(&set->units[i]);
    }
}

/* A graph with several requests and what one unit makes of them. */
typedef struct fixture {
    clv_graph *graph;
    clv_view inputs[NUM_INPUT_SETS][MAX_OPERANDS];
    clv_mutable_view wanted[NUM_INPUT_SETS][MAX_OPERANDS], outputs[NUM_INPUT_SETS][MAX_OPERANDS];
} fixture;

static void make_fixture(fixture *f, clv_graph *graph, const char *unit) {
    clv_session *session = NULL;
    memset(f, 0, sizeof *f);
    f->graph = graph;
    clv_exec_unit one;
    assert_ok(clv_rig_open(&rig, unit, false, &one));
    assert_ok(clv_session_create(graph, &one, 1, NULL, &session));
    for (int i = 0; i < NUM_INPUT_SETS; i++) {
        assert_ok(clv_net_inputs(graph, (uint64_t)i + 1, f->inputs[i]));
        assert_ok(clv_net_outputs(graph, f->wanted[i]));
        assert_ok(clv_net_outputs(graph, f->outputs[i]));
        assert_ok(clv_session_run(
            session, f->inputs[i], graph->num_inputs, f->wanted[i], graph->num_outputs));
    }
    clv_session_destroy(session);
    clv_rig_close(&one);
}

static void free_fixture(fixture *f) {
    for (int i = 0; i < NUM_INPUT_SETS; i++) {
        clv_net_free_inputs(f->graph, f->inputs[i]);
        clv_net_free_outputs(f->graph, f->wanted[i]);
        clv_net_free_outputs(f->graph, f->outputs[i]);
    }
    clv_graph_destroy(f->graph);
}

/* Of the largest output. */
static double difference_of(const clv_mutable_view *got, const clv_mutable_view *wanted) {
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < clv_shape_elements(&wanted->shape); i++) {
        const double a = clv_load_double(got->dtype, got->data, i);
        const double b = clv_load_double(wanted->dtype, wanted->data, i);
        largest = fabs(b) > largest ? fabs(b) : largest;
        worst = !(fabs(a - b) <= worst) ? fabs(a - b) : worst;
    }
    return worst > 0 ? worst / largest : worst;
}

/* How many outputs differ more than they may. */
static int check(const fixture *f, const unit_set *set, uint64_t seed, bool exactly) {
    int num_differ = 0;
    for (int i = 0; i < NUM_INPUT_SETS; i++) {
        for (size_t k = 0; k < f->graph->num_outputs; k++) {
            const clv_mutable_view *got = &f->outputs[i][k], *wanted = &f->wanted[i][k];
            const size_t bytes = clv_view_bytes(got->dtype, &got->shape);
            const double difference = difference_of(got, wanted);
            if (exactly ? memcmp(got->data, wanted->data, bytes) != 0 : !(difference <= 1e-5)) {
                if (num_differ++ == 0) {
                    print_error(
                        "seed %d, from %s: request %d, output %zu differs by %.2g of the largest\n",
                        (int)seed, set->units[0].name.text, i, k, difference);
                }
            }
            double *worst = set->is_one_driver ? &figures.worst_of_driver : &figures.worst_of_two;
            *worst = fmax(*worst, difference);
            memset(got->data, 0xee, bytes);
        }
    }
    return num_differ;
}

/* Counts what ended. */
typedef struct counter {
    clv_signal ended;
    _Atomic int num_failed;
} counter;

static void on_done(void *context, clv_status *status) {
    counter *c = context;
    if (status != NULL) {
        atomic_fetch_add(&c->num_failed, 1);
        print_error("%s\n", clv_status_message(status));
        clv_status_destroy(status);
    }
    clv_signal_add(&c->ended, 1);
}

/* All requests one after another, then all at once, as far as the depth allows; in the plan's order
 * or as steps become ready. */
static void run_plan(
    fixture *f, const unit_set *set, uint64_t seed, const clv_random_plan_options *drawn,
    bool is_dynamic) {
    const clv_graph *graph = f->graph;
    clv_plan *plan = NULL;
    clv_session *session = NULL;
    counter c = {0};
    const bool is_exact = !drawn->allows_sums && set->is_exact;
    assert_ok(clv_random_plan(graph, drawn, &plan));
    const clv_session_options options = {
        .plan = plan,
        .profile = seed % 3 == 0,
        .is_dynamic = is_dynamic,
        .chunk_us = seed % 2 == 0 ? 0.01 : 0, /* small operators are cut as well */
        .debug = {.fills_dead = seed / 2 % 2 == 1, .delays = seed % 8 == 5, .delay_seed = seed},
    };
    clv_status *status = clv_session_create(graph, set->units, set->num_units, &options, &session);
    if (status != NULL) {
        fail_msg("seed %d: %s", (int)seed, clv_status_message(status));
    }
    clv_plan_destroy(plan);
    for (int i = 0; i < NUM_INPUT_SETS; i++) {
        assert_ok(clv_session_run(
            session, f->inputs[i], graph->num_inputs, f->outputs[i], graph->num_outputs));
    }
    int num_differ = check(f, set, seed, is_exact);
    for (int i = 0; i < NUM_INPUT_SETS; i++) {
        assert_ok(clv_session_submit(
            session, f->inputs[i], graph->num_inputs, f->outputs[i], graph->num_outputs, on_done,
            &c));
    }
    clv_signal_wait(&c.ended, NUM_INPUT_SETS, 0);
    assert_int_equal(c.num_failed, 0);
    num_differ += check(f, set, seed, is_exact);
    clv_session_destroy(session);
    figures.failed += num_differ != 0 ? 1 : 0;
    figures.dynamic += is_dynamic ? 1 : 0;
    figures.plans += is_dynamic ? 0 : 1;
    figures.exact += is_exact && !is_dynamic ? 1 : 0;
}

static const char *const sets[][MAX_UNITS + 1] = {
    {"core:0", "core:1", "core:2"},
    {"core:0", "threaded"},
    {"threaded", "threaded#2"},
    {"threaded", "core:1", "core:0"},
    {"core:0", "core:1{link=2G,latency=20us}"},
    {"core:2{link=4G}", "core:0{link=2G,latency=5us}", "threaded"},
    {"core:0", "threaded{link=1G,latency=30us}", "threaded#2"},
    {"core:0", "threaded{speed=0.5}", "threaded#2{speed=0.8,link=4G}"},
    {"core:0", "other"},
    {"threaded", "other", "core:1"},
};

/* Cores side by side in the list whose memory is the host's. */
static void find_sharers(const unit_set *set, clv_random_plan_options *drawn) {
    for (uint32_t i = 0; i < set->num_units; i++) {
        const clv_unit_name *name = &set->units[i].name;
        if (name->kind == CLV_UNIT_CORE && isinf(name->limits.link_per_second)) {
            drawn->first_sharer = drawn->num_sharers == 0 ? i : drawn->first_sharer;
            drawn->num_sharers++;
        }
    }
}

/* The plan of a seed, the number-th of the set: static and for some dynamic. */
static void run_seed(fixture *f, const unit_set *set, uint64_t seed, uint64_t number) {
    clv_random_plan_options drawn = {
        .seed = seed,
        .num_units = set->num_units,
        .depth = 1 + (uint32_t)(number % 4),
        .split_share = (double)(number % 5) * 0.25,
        .allows_sums = number % 2 == 0,
        .is_pipeline = number % 7 == 0,
    };
    find_sharers(set, &drawn);
    if (clv_test_is_tried(seed)) {
        run_plan(f, set, seed, &drawn, false);
    }
    if (clv_test_is_tried(seed) && number / 4 % 2 == 0) {
        run_plan(f, set, seed, &drawn, true);
    }
}

enum { NUM_SETS = sizeof sets / sizeof sets[0] };

static void run_plans(clv_graph *graph) {
    fixture f;
    const int num_failed = figures.failed;
    make_fixture(&f, graph, "core:0");
    for (size_t s = 0; s < NUM_SETS; s++) {
        unit_set set;
        const uint64_t count = num_plans < 16 ? 0 : s == 0 || only_set >= 0 ? 16 : 4;
        if (only_set >= 0 && (size_t)only_set != s) {
            continue;
        }
        if (open_set(sets[s], &set)) {
            for (uint64_t seed = first_seed; seed < first_seed + count; seed++) {
                run_seed(&f, &set, seed, seed);
            }
        }
        close_set(&set);
    }
    free_fixture(&f);
    assert_int_equal(figures.failed, num_failed);
}

/* A graph of its own for every plan; sets take turns. Units of different sorts may run an operator
 * by different kernels: then nearly what one of them computes. */
static void test_random(void **state) {
    (void)state;
    for (size_t s = 0; s < NUM_SETS; s++) {
        unit_set set = {.num_units = 0};
        const bool is_here = (only_set < 0 || (size_t)only_set == s) && open_set(sets[s], &set);
        set.is_exact = set.is_exact && set.is_one_sort;
        for (uint64_t seed = first_seed; seed < first_seed + num_plans && is_here; seed++) {
            fixture f;
            clv_graph *graph = NULL;
            if ((only_set >= 0 || seed % NUM_SETS == s) && clv_test_is_tried(seed)) {
                assert_ok(clv_net_random(seed, &graph));
                make_fixture(&f, graph, set.first);
                run_seed(&f, &set, seed, seed / NUM_SETS);
                free_fixture(&f);
            }
        }
        close_set(&set);
    }
    figures.of_random_graphs = figures.plans;
    assert_int_equal(figures.failed, 0);
}

/* Convolutions of four rows, which Winograd's tiles may have in two rows of tiles: pieces of other
 * rows would not share them with the whole. A piece of one channel of a depthwise convolution. */
static void test_found(void **state) {
    (void)state;
    static const uint64_t seeds[] = {830, 810};
    unit_set set;
    const int num_failed = figures.failed;
    assert_true(open_set(sets[0], &set));
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        fixture f;
        clv_graph *graph = NULL;
        assert_ok(clv_net_random(seeds[i], &graph));
        make_fixture(&f, graph, set.first);
        run_seed(&f, &set, seeds[i], seeds[i] / NUM_SETS);
        free_fixture(&f);
    }
    close_set(&set);
    assert_int_equal(figures.failed, num_failed);
}

static void test_small(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_ok(clv_net_small(&graph));
    run_plans(graph);
}

/* Its convolutions are run by other variants where their neighbours are. */
static void test_fire(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_ok(clv_net_fire(&graph));
    run_plans(graph);
}

/* Where a plan parts two views, a piece has one where the whole has none. */
static void test_lines(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_ok(clv_net_lines(&graph));
    run_plans(graph);
}

static void test_half_weights(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_ok(clv_net_step(5, 3, false, &graph));
    run_plans(graph);
}

static void test_chain(void **state) {
    (void)state;
    clv_graph *graph = NULL;
    assert_ok(clv_net_chain(12, 3000, &graph));
    run_plans(graph);
}

static int create(void **state) {
    (void)state;
    clv_status *status = clv_rig_init(&rig, NUM_CORES, 2);
    if (status != NULL) {
        print_error("%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return -1;
    }
    return 0;
}

static int destroy(void **state) {
    (void)state;
    clv_rig_deinit(&rig);
    print_message(
        "%d plans, %d of them of random graphs, %d run by dynamic schedules too; %d bit by bit, "
        "the "
        "others with differences of %.2g of the largest output at most, with two drivers %.2g\n",
        figures.plans, figures.of_random_graphs, figures.dynamic, figures.exact,
        figures.worst_of_driver, figures.worst_of_two);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random), cmocka_unit_test(test_found),
        cmocka_unit_test(test_small),  cmocka_unit_test(test_fire),
        cmocka_unit_test(test_lines),  cmocka_unit_test(test_half_weights),
        cmocka_unit_test(test_chain),
    };
    num_plans = argc > 1 ? strtoull(argv[1], NULL, 10) : num_plans;
    first_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : first_seed;
    only_set = argc > 3 ? strtoll(argv[3], NULL, 10) : only_set;
    return cmocka_run_group_tests(tests, create, destroy);
}
