/* The search for the fastest variants on a machine that is told, not measured: others may be at
 * work there while a round runs, kernels may be slower in the whole graph than by themselves, and
 * somebody may interrupt. A graph is never slower afterwards. */
#include "host/tune/search.h"

#include "host/base/memory.h"
#include "host/passes/passes.h"
#include "host/tune/step_key.h"
#include "host/tune/variant_cost.h"
#include "tests/support/check.h"
#include "tests/support/graph_text.h"
#include <math.h>

static const char text[] = "input x f32[1,32,28,28]\n"
                           "constant w f32[32,32,3,3]\n"
                           "y = Conv(x, w) pads=[1,1,1,1]\n"
                           "output y\n";
enum { CONV = 0, SLOW_US = 300, USUAL_US = 100, FAST_US = 60 };

typedef struct rig {
    clv_graph *graph;
    clv_cost_db *db;
    clv_device device;
    clv_device *devices;
    clv_exec_unit unit;
    clv_way usual;      /* what is chosen while nothing is known */
    const char *fast;   /* the variant that is; NULL: none is */
    double reorders_us; /* of anything but the usual one */
    int disturbed_call; /* in which another program slows the second side's rival down; -1 */
    int cancelled_call; /* -1: none */
    int num_calls;
    int num_others; /* calls with another side than the usual one */
} rig;

static double true_us(const rig *r, const clv_way *way) {
    const bool is_usual = way->variant == r->usual.variant && way->setting == r->usual.setting;
    return is_usual                                                      ? USUAL_US
           : r->fast != NULL && strcmp(way->variant->name, r->fast) == 0 ? FAST_US
                                                                         : SLOW_US;
}

static bool is_usual(const rig *r, const clv_way *way) {
    return true_us(r, way) == USUAL_US;
}

/* The machine. */
static clv_status *compare(
    void *context, const clv_way *const sides[2], bool is_long, clv_trial trials[2]) {
    rig *r = context;
    const int call = r->num_calls++;
    (void)is_long;
    trials[0].num_runs = trials[1].num_runs = 0;
    if (call == r->cancelled_call) {
        return CLV_ERROR(CANCELLED, "interrupted");
    }
    for (size_t i = 0; i < 2 && sides[i] != NULL; i++) {
        const clv_way *way = &sides[i][CONV];
        const double slowed = call == r->disturbed_call && is_usual(r, way) ? 10 : 1;
        trials[i].num_runs = 5;
        trials[i].ways[CONV] = *way;
        trials[i].own_us[CONV] = true_us(r, way) * slowed;
        trials[i].node_us[CONV] = trials[i].own_us[CONV] + (is_usual(r, way) ? 0 : r->reorders_us);
        trials[i].total_us = trials[i].node_us[CONV];
        r->num_others += is_usual(r, way) ? 0 : 1;
    }
    return NULL;
}

static void choose(const rig *r, clv_way *out_way) {
    clv_unit_costs costs;
    assert_ok(
        clv_unit_costs_find(r->graph, &r->device.info, 1, r->db, (clv_cost_setting){0}, &costs));
    *out_way = costs.ways[CONV];
    clv_unit_costs_deinit(&costs);
}

static void open_rig(rig *r) {
    *r = (rig){.disturbed_call = -1, .cancelled_call = -1};
    r->device.info = (clv_device_info){
        .kind = CLV_DEVICE_CORE,
        .name = "a core",
        .usable = true,
        .compute_units = 1,
        .is_cpu = true,
        .has_fp64 = true,
        .simd_bytes = 64,
        .max_local_size = 1024,
        .base_align_bytes = 64,
        .max_alloc_bytes = UINT64_MAX / 4,
        .memory_bytes = UINT64_MAX / 4,
        .max_params_bytes = 1024,
    };
    r->devices = &r->device;
    r->unit = (clv_exec_unit){.devices = &r->devices, .num_devices = 1};
    clv_unit_name_init(&r->unit.name, CLV_UNIT_CORE, 0, 0);
    assert_ok(clv_test_graph_make(text, 1, &r->graph));
    assert_ok(clv_passes_run(r->graph, NULL, NULL));
    assert_int_equal(r->graph->num_nodes, 1);
    assert_ok(clv_cost_db_open(NULL, &r->db));
    choose(r, &r->usual);
    assert_string_equal(r->usual.variant->name, "winograd");
}

static void close_rig(rig *r) {
    clv_graph_destroy(r->graph);
    clv_cost_db_close(r->db);
}

static clv_status *search(rig *r, double budget_us, clv_search_result *out_result) {
    const clv_search_request request = {
        .calibration = {.graph = r->graph, .unit = &r->unit, .db = r->db},
        .level = CLV_SEARCH_NORMAL,
        .budget_us = budget_us,
        .compare = compare,
        .context = r,
    };
    return clv_search(&request, out_result);
}

static void check(rig *r, bool is_changed, const char *variant) {
    clv_search_result result;
    clv_way way;
    assert_ok(search(r, 1e9, &result));
    assert_int_equal(result.is_changed, is_changed);
    assert_true(!is_changed || result.after.total_us < result.before.total_us);
    assert_int_equal(result.left_over, 0);
    clv_search_result_deinit(&result);
    choose(r, &way);
    assert_string_equal(way.variant->name, variant);
}

static void the_fastest_is_found(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    r.fast = "blocked";
    check(&r, true, "blocked");
    close_rig(&r);
}

/* Another program had the processor while what was chosen ran in a round, whichever that is: all
 * that ran beside it seemed faster. */
static void a_disturbed_round_decides_nothing(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    check(&r, false, "winograd");
    const int num_calls = r.num_calls;
    close_rig(&r);
    assert_true(num_calls > 3);
    for (int call = 0; call < num_calls; call++) {
        open_rig(&r);
        r.disturbed_call = call;
        check(&r, false, "winograd");
        check(&r, false, "winograd");
        close_rig(&r);
    }
}

static void put(rig *r, const char *variant, double us) {
    const clv_traits traits = clv_exec_unit_traits(&r->unit);
    const clv_kernel_family *family = r->graph->nodes[CONV].op->kernels;
    clv_arena arena;
    clv_call call;
    clv_arena_init(&arena, 0);
    assert_ok(clv_call_from_node(r->graph, &r->graph->nodes[CONV], &arena, &call));
    for (size_t i = 0; i < family->num_variants; i++) {
        if (strcmp(family->variants[i].name, variant) == 0) {
            const clv_way way = {.variant = &family->variants[i]};
            const clv_measured_cost cost = {.time_us = us, .count = 5};
            clv_hash key;
            assert_ok(
                clv_variant_key(clv_unit_key(&r->device.info, 1), &call, &way, &traits, &key));
            assert_ok(clv_cost_db_put(r->db, key, &cost));
        }
    }
    clv_arena_deinit(&arena);
}

/* What an earlier one got wrong. */
static void tuning_again_mends(void **state) {
    (void)state;
    rig r;
    clv_way way;
    open_rig(&r);
    put(&r, "winograd", 400);
    put(&r, "blocked", 50);
    put(&r, "ref", 900);
    choose(&r, &way);
    assert_string_equal(way.variant->name, "blocked");
    check(&r, true, "winograd");
    check(&r, false, "winograd");
    close_rig(&r);
}

/* A kernel that is faster by itself, and not with what it asks of its neighbours. */
static void the_whole_graph_decides(void **state) {
    (void)state;
    rig r;
    clv_search_result result;
    clv_way way;
    open_rig(&r);
    r.fast = "blocked";
    r.reorders_us = 2 * (USUAL_US - FAST_US);
    assert_ok(search(&r, 1e9, &result));
    assert_false(result.is_changed);
    assert_true(result.not_kept > 0);
    clv_search_result_deinit(&result);
    choose(&r, &way);
    assert_string_equal(way.variant->name, "winograd");
    close_rig(&r);
}

/* Wherever that is: what is chosen stays, and nothing is tried twice. */
static void an_interrupt_loses_nothing(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    r.fast = "blocked";
    check(&r, true, "blocked");
    const int num_calls = r.num_calls;
    close_rig(&r);
    for (int call = 0; call < num_calls; call++) {
        clv_search_result result;
        clv_way way;
        uint32_t rounds;
        open_rig(&r);
        r.fast = "blocked";
        r.cancelled_call = call;
        assert_failed(CANCELLED, "interrupted", search(&r, 1e9, &result));
        rounds = result.rounds;
        clv_search_result_deinit(&result);
        choose(&r, &way);
        assert_string_equal(way.variant->name, "winograd");
        assert_ok(search(&r, 1e9, &result));
        assert_true(result.is_changed);
        assert_true(rounds == 0 || result.rounds < (uint32_t)num_calls - rounds);
        clv_search_result_deinit(&result);
        close_rig(&r);
    }
}

static void without_a_budget_nothing_is_tried(void **state) {
    (void)state;
    rig r;
    clv_search_result result;
    open_rig(&r);
    r.fast = "blocked";
    assert_ok(search(&r, 0, &result));
    assert_int_equal(result.rounds, 0);
    assert_true(result.left_over > 0);
    assert_int_equal(r.num_others, 0);
    clv_search_result_deinit(&result);
    close_rig(&r);
}

static void failures_leave_nothing_behind(void **state) {
    (void)state;
    for (int64_t n = 0; n < 4000; n += 61) {
        rig r;
        clv_search_result result;
        open_rig(&r);
        clv_memory_fail_at(n);
        clv_status *status = search(&r, 1e9, &result);
        clv_memory_fail_at(-1);
        assert_true(status == NULL || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
        clv_search_result_deinit(&result);
        close_rig(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_is_found),
        cmocka_unit_test(a_disturbed_round_decides_nothing),
        cmocka_unit_test(tuning_again_mends),
        cmocka_unit_test(the_whole_graph_decides),
        cmocka_unit_test(an_interrupt_loses_nothing),
        cmocka_unit_test(without_a_budget_nothing_is_tried),
        cmocka_unit_test(failures_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
