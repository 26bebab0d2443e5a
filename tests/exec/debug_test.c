/* Filling what is dead shows orders of steps that are wrong, which otherwise go unnoticed: with the
 * same input in every request, what an earlier one left behind is just what is wanted. Orders are
 * made wrong here behind the back of those who prove them. */
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/exec/hazard.h"
#include "host/exec/replica.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include "tests/support/random_plan.h"
#include <math.h>

enum { MAX_OPERANDS = 8, NUM_UNITS = 2, DEPTH = 2, FEW = 20, MANY = 4000 };

static clv_rig rig;

typedef struct fixture {
    clv_graph *graph;
    clv_exec_unit units[NUM_UNITS];
    clv_plan *plan;
    clv_replica replica;
    clv_view inputs[MAX_OPERANDS];
    clv_mutable_view wanted[MAX_OPERANDS], outputs[DEPTH][MAX_OPERANDS];
} fixture;

static void create_replica(fixture *f, uint32_t num_units, const clv_debug *debug) {
    const clv_random_plan_options drawn = {
        .seed = 1, .num_units = num_units, .depth = num_units, .is_pipeline = true};
    assert_ok(clv_random_plan(f->graph, &drawn, &f->plan));
    const clv_replica_options options = {
        .graph = f->graph,
        .group = &f->plan->groups[0],
        .units = f->units,
        .num_units = num_units,
        .depth = num_units,
        .debug = *debug,
    };
    assert_ok(clv_replica_init(&f->replica, &options));
}

static void destroy_replica(fixture *f) {
    clv_replica_deinit(&f->replica);
    clv_plan_destroy(f->plan);
}

static bool is_right(const fixture *f, const clv_mutable_view *outputs) {
    bool is_same = true;
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        const size_t bytes = clv_view_bytes(outputs[i].dtype, &outputs[i].shape);
        const bool is_known = f->graph->tensors[f->graph->outputs[i]].data != NULL;
        is_same = is_same && (is_known || memcmp(outputs[i].data, f->wanted[i].data, bytes) == 0);
    }
    return is_same;
}

static bool run_is_right(fixture *f, clv_mutable_view *outputs) {
    assert_ok(clv_executor_run(f->replica.executor, f->inputs, outputs));
    return is_right(f, outputs);
}

static void on_done(void *context, clv_status *status) {
    assert_null(status);
    clv_signal_add(context, 1);
}

/* As many at once as may be in flight. */
static bool all_are_right(fixture *f, clv_signal *ended) {
    const uint32_t before = atomic_load(&ended->value);
    bool are_right = true;
    for (int i = 0; i < DEPTH; i++) {
        clv_executor_submit(f->replica.executor, f->inputs, f->outputs[i], on_done, ended);
    }
    clv_signal_wait(ended, before + DEPTH, 0);
    for (int i = 0; i < DEPTH; i++) {
        are_right = is_right(f, f->outputs[i]) && are_right;
    }
    return are_right;
}

/* --- two steps change places ----------------------------------------------------------------- */

static const clv_step *step_of(const fixture *f, uint32_t item) {
    return &f->replica.joined.all.steps[f->replica.program.actors[0].items[item].step];
}

/* The nth kernel and a later one that needs what it makes. */
static bool find_pair(const fixture *f, uint32_t nth, uint32_t out_items[2]) {
    const clv_actor *actor = &f->replica.program.actors[0];
    for (uint32_t i = 0; i < actor->num_items; i++) {
        if (step_of(f, i)->kind != CLV_STEP_LAUNCH || nth-- != 0) {
            continue;
        }
        for (uint32_t j = i + 1; j < actor->num_items; j++) {
            if (step_of(f, j)->kind == CLV_STEP_LAUNCH &&
                clv_steps_feed(&f->replica.joined.all, step_of(f, i), step_of(f, j))) {
                out_items[0] = i;
                out_items[1] = j;
                return true;
            }
        }
    }
    return false;
}

static void change_places(fixture *f, const uint32_t items[2]) {
    clv_actor *actor = &f->replica.program.actors[0];
    const clv_item item = actor->items[items[0]];
    actor->items[items[0]] = actor->items[items[1]];
    actor->items[items[1]] = item;
}

static bool has_nan(const fixture *f, const clv_mutable_view *outputs) {
    bool has = false;
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        for (int64_t k = 0; k < clv_shape_elements(&outputs[i].shape); k++) {
            has = has || isnan(clv_load_double(outputs[i].dtype, outputs[i].data, k));
        }
    }
    return has;
}

/* How many changes are seen by what is no number. Where nothing is filled, what an earlier request
 * left behind may be just what is wanted. */
static uint32_t count_nans(fixture *f, bool fills) {
    const clv_debug debug = {.fills_dead = fills};
    uint32_t count = 0, items[2];
    create_replica(f, 1, &debug);
    for (uint32_t nth = 0; find_pair(f, nth, items); nth++) {
        assert_true(run_is_right(f, f->outputs[0]));
        change_places(f, items);
        const bool is_right_anyway = run_is_right(f, f->outputs[0]);
        assert_true(!fills || !is_right_anyway);
        count += has_nan(f, f->outputs[0]) ? 1 : 0;
        change_places(f, items);
        run_is_right(f, f->outputs[0]); /* what the wrong order left behind may be used once */
    }
    destroy_replica(f);
    return count;
}

static void test_steps_change_places(void **state) {
    fixture *f = *state;
    assert_int_equal(count_nans(f, false), 0);
    assert_int_not_equal(count_nans(f, true), 0);
}

/* --- two lanes ------------------------------------------------------------------------------- */

/* Which complains of them, and rightly so. */
#ifdef __SANITIZE_THREAD__
static const bool has_races = false;
#else
static const bool has_races = true;
#endif

static uint32_t drop_waits(fixture *f) {
    uint32_t count = 0;
    clv_step_program *program = &f->replica.program;
    for (uint32_t a = 0; a < program->num_actors; a++) {
        for (uint32_t i = 0; i < program->actors[a].num_items; i++) {
            clv_item *item = &program->actors[a].items[i];
            const bool is_launch = f->replica.joined.all.steps[item->step].kind == CLV_STEP_LAUNCH;
            count += is_launch ? item->num_waits : 0;
            item->num_waits = is_launch ? 0 : item->num_waits;
        }
    }
    return count;
}

static uint32_t drop_slots(fixture *f) {
    uint32_t count = 0;
    clv_lowered *all = &f->replica.joined.all;
    for (size_t i = 0; i < all->num_storages; i++) {
        clv_storage *s = &all->storages[i];
        count += s->kind == CLV_STORAGE_VALUE && s->slots > 1 ? 1 : 0;
        s->slots = s->kind == CLV_STORAGE_VALUE ? 1 : s->slots;
    }
    return count;
}

/* Whether it is noticed that something is broken, by `most` pairs of requests. */
static bool is_noticed(fixture *f, bool fills, uint32_t (*spoil)(fixture *), uint32_t most) {
    const clv_debug debug = {.fills_dead = fills, .delays = true, .delay_seed = 7};
    clv_signal ended = {0};
    bool is_right = true;
    create_replica(f, NUM_UNITS, &debug);
    assert_true(all_are_right(f, &ended));
    assert_int_not_equal(spoil(f), 0);
    for (uint32_t i = 0; i < most && is_right; i++) {
        is_right = all_are_right(f, &ended);
    }
    destroy_replica(f);
    return !is_right;
}

static void test_wait_taken_away(void **state) {
    if (!has_races) {
        skip();
    }
    assert_false(is_noticed(*state, false, drop_waits, FEW));
    assert_true(is_noticed(*state, true, drop_waits, MANY));
}

static void test_too_few_slots(void **state) {
    if (!has_races) {
        skip();
    }
    assert_false(is_noticed(*state, false, drop_slots, FEW));
    assert_true(is_noticed(*state, true, drop_slots, MANY));
}

/* --- what is asked for ----------------------------------------------------------------------- */

static void test_parse(void **state) {
    (void)state;
    clv_debug debug;
    assert_ok(clv_debug_parse(NULL, &debug));
    assert_ok(clv_debug_parse("", &debug));
    assert_false(debug.fills_dead || debug.delays);
    assert_ok(clv_debug_parse("delays=18446744073709551615,fill", &debug));
    assert_true(debug.fills_dead && debug.delays && debug.delay_seed == UINT64_MAX);
    assert_ok(clv_debug_parse("delays", &debug));
    assert_true(!debug.fills_dead && debug.delays && debug.delay_seed == 0);
    static const char *const bad[] = {",",         "fill,",       "fil",
                                      "fills",     "delays=",     "delays=-1",
                                      "delays=1x", "fill delays", "delays=99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_failed(USAGE, "needed is fill", clv_debug_parse(bad[i], &debug));
    }
}

static void test_delays(void **state) {
    (void)state;
    const clv_debug both = {.fills_dead = true, .delays = true, .delay_seed = 7};
    uint32_t count = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        const uint64_t ns = clv_debug_delay_ns(&both, i / 10, i % 10, 0);
        assert_true(ns < 1000000 && ns == clv_debug_delay_ns(&both, i / 10, i % 10, 0));
        count += ns != 0 ? 1 : 0;
    }
    assert_in_range(count, 150, 350);
    const clv_debug none = {.fills_dead = true};
    assert_int_equal(clv_debug_delay_ns(&none, 1, 2, 3), 0);
}

/* --- all of it ------------------------------------------------------------------------------- */

static int create(void **state) {
    static fixture f;
    const clv_debug none = {.fills_dead = false};
    assert_ok(clv_rig_init(&rig, NUM_UNITS, 1));
    assert_ok(clv_net_small(&f.graph));
    assert_ok(clv_rig_open(&rig, "core:0", false, &f.units[0]));
    assert_ok(clv_rig_open(&rig, "core:1", false, &f.units[1]));
    assert_ok(clv_net_inputs(f.graph, 3, f.inputs));
    assert_ok(clv_net_outputs(f.graph, f.wanted));
    for (int i = 0; i < DEPTH; i++) {
        assert_ok(clv_net_outputs(f.graph, f.outputs[i]));
    }
    create_replica(&f, 1, &none);
    assert_ok(clv_executor_run(f.replica.executor, f.inputs, f.wanted));
    destroy_replica(&f);
    *state = &f;
    return 0;
}

static int destroy(void **state) {
    fixture *f = *state;
    clv_net_free_inputs(f->graph, f->inputs);
    clv_net_free_outputs(f->graph, f->wanted);
    for (int i = 0; i < DEPTH; i++) {
        clv_net_free_outputs(f->graph, f->outputs[i]);
    }
    clv_rig_close(&f->units[0]);
    clv_rig_close(&f->units[1]);
    clv_graph_destroy(f->graph);
    clv_rig_deinit(&rig);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_steps_change_places),
        cmocka_unit_test(test_wait_taken_away),
        cmocka_unit_test(test_too_few_slots),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
