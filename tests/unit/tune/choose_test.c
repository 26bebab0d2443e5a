/* Variants are chosen by what was measured, where it can be compared, and else as without. */
#include "host/base/memory.h"
#include "host/exec/lower.h"
#include "host/passes/passes.h"
#include "host/tune/shipped.h"
#include "host/tune/step_key.h"
#include "host/tune/variant_cost.h"
#include "tests/support/check.h"
#include "tests/support/graph_text.h"
#include <math.h>
#include <stdlib.h>

static const char text[] = "input x f32[1,32,28,28]\n"
                           "constant w f32[32,32,3,3]\n"
                           "y = Conv(x, w) pads=[1,1,1,1]\n"
                           "output y\n";

static const clv_traits traits = {
    .is_cpu = true,
    .has_fp64 = true,
    .simd_bytes = 64,
    .num_lanes = 1,
    .cache_bytes = 1 << 20,
    .max_local_size = 1024,
};
static const clv_device_info info = {.name = "a core", .driver = "1"};

typedef struct rig {
    clv_graph *graph;
    clv_cost_db *db;
    clv_known_times times;
} rig;

static void open_rig_of(rig *r, const char *graph) {
    assert_ok(clv_test_graph_make(graph, 1, &r->graph));
    assert_ok(clv_passes_run(r->graph, NULL, NULL));
    assert_int_equal(r->graph->num_nodes, 1);
    assert_ok(clv_cost_db_open(NULL, &r->db));
    r->times = clv_cost_db_known_times(r->db);
    r->times.info = &info;
    r->times.num_devices = 1;
}

static void open_rig(rig *r) {
    open_rig_of(r, text);
}

static void close_rig(rig *r) {
    clv_graph_destroy(r->graph);
    clv_cost_db_close(r->db);
}

static const clv_variant *variant_named(const char *name) {
    for (size_t i = 0; i < clv_kernels_conv.num_variants; i++) {
        if (strcmp(clv_kernels_conv.variants[i].name, name) == 0) {
            return &clv_kernels_conv.variants[i];
        }
    }
    fail_msg("no variant '%s'", name);
    return NULL;
}

static clv_hash key_of_way(
    const rig *r, const char *name, uint32_t setting, const clv_device_info *device) {
    clv_arena arena;
    clv_call call;
    clv_hash key;
    clv_arena_init(&arena, 0);
    assert_ok(clv_call_from_node(r->graph, &r->graph->nodes[0], &arena, &call));
    const clv_way way = {.variant = variant_named(name), .setting = setting};
    assert_ok(clv_variant_key(clv_unit_key(device, 1), &call, &way, &traits, &key));
    clv_arena_deinit(&arena);
    return key;
}

static clv_hash key_of(const rig *r, const char *name, const clv_device_info *device) {
    return key_of_way(r, name, 0, device);
}

static void put(rig *r, const char *name, double us) {
    const clv_measured_cost cost = {.time_us = us, .count = 5};
    assert_ok(clv_cost_db_put(r->db, key_of(r, name, &info), &cost));
}

static void check_choice(const rig *r, const char *variant, const char *origin) {
    const clv_lower_options options = {
        .traits = traits, .max_block_bytes = UINT64_MAX / 4, .times = &r->times};
    clv_lowered lowered;
    assert_ok(clv_lower(r->graph, &options, &lowered));
    assert_string_equal(lowered.choices[0].variant->name, variant);
    assert_string_equal(lowered.choices[0].origin, origin);
    clv_lowered_deinit(&lowered);
    clv_way *ways;
    assert_ok(clv_lower_choose(r->graph, &traits, &r->times, &ways));
    assert_string_equal(ways[0].variant->name, variant);
    clv_free(ways);
}

static void the_fastest_that_was_measured(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    check_choice(&r, "winograd", "estimated");
    put(&r, "winograd", 100);
    check_choice(&r, "winograd", "estimated"); /* there is nothing to compare it with */
    put(&r, "blocked", 99);
    check_choice(&r, "winograd", "estimated"); /* not enough to tell; the plain one is not known */
    put(&r, "ref", 500);
    check_choice(&r, "winograd", "measured");
    put(&r, "blocked", 60);
    check_choice(&r, "blocked", "measured");
    put(&r, "ref", 10);
    check_choice(&r, "ref", "measured");
    close_rig(&r);
}

/* What was measured of some that are not the table's choice says nothing of that. */
static void the_tables_choice_must_be_known(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    put(&r, "blocked", 1);
    put(&r, "ref", 1);
    check_choice(&r, "winograd", "estimated");
    close_rig(&r);
}

static void times_of_another_device_do_not_count(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    put(&r, "winograd", 100);
    put(&r, "blocked", 10);
    put(&r, "ref", 500);
    check_choice(&r, "blocked", "measured");
    const clv_device_info other = {.name = "a core", .driver = "2"};
    r.times.info = &other;
    check_choice(&r, "winograd", "estimated");
    r.times.info = &info;
    r.times.num_devices = 2;
    check_choice(&r, "winograd", "estimated");
    close_rig(&r);
}

/* Whatever was measured: variants with an error of their own are not taken. */
static void exact_units_run_exact_variants(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    put(&r, "winograd", 1);
    put(&r, "blocked", 500);
    put(&r, "ref", 900);
    check_choice(&r, "winograd", "measured");
    assert_true(variant_named("winograd")->error > 0);
    clv_traits exact = traits;
    exact.is_exact = true;
    for (int is_measured = 0; is_measured < 2; is_measured++) {
        clv_way *ways;
        assert_ok(clv_lower_choose(r.graph, &exact, is_measured ? &r.times : NULL, &ways));
        assert_string_equal(ways[0].variant->name, "blocked");
        clv_free(ways);
    }
    close_rig(&r);
}

/* Tunables count as variants do; where they launch the same they have one key. */
static void the_fastest_tunables(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    put(&r, "winograd", 100);
    put(&r, "blocked", 99);
    put(&r, "ref", 500);
    const clv_hash usual = key_of(&r, "blocked", &info);
    uint32_t other = 0;
    for (uint32_t i = 1; i < clv_variant_num_settings(variant_named("blocked")); i++) {
        other = key_of_way(&r, "blocked", i, &info).low != usual.low ? i : other;
    }
    assert_true(other > 0);
    const clv_measured_cost cost = {.time_us = 50, .count = 5};
    assert_ok(clv_cost_db_put(r.db, key_of_way(&r, "blocked", other, &info), &cost));
    check_choice(&r, "blocked", "measured");
    clv_way *ways;
    assert_ok(clv_lower_choose(r.graph, &traits, &r.times, &ways));
    assert_true(
        key_of_way(&r, "blocked", ways[0].setting, &info).low ==
        key_of_way(&r, "blocked", other, &info).low);
    clv_free(ways);
    close_rig(&r);
}

/* A graph's input is plain: a variant that takes it so is spared a reorder that others are not. */
static void reorders_of_inputs_count(void **state) {
    (void)state;
    rig r;
    open_rig_of(
        &r, "input x f32[1,3,224,224]\n"
            "constant w f32[32,3,3,3]\n"
            "y = Conv(x, w) pads=[1,1,1,1] strides=[2,2]\n"
            "output y\n");
    put(&r, "planar", 100);
    put(&r, "blocked", 90);
    put(&r, "ref", 900);
    check_choice(&r, "planar", "measured");
    put(&r, "blocked", 1);
    put(&r, "planar", 800);
    check_choice(&r, "blocked", "measured");
    close_rig(&r);
}

/* --- what the library comes with --- */

static int by_keys(const void *a, const void *b) {
    const uint64_t x = ((const clv_shipped_cost *)a)->key, y = ((const clv_shipped_cost *)b)->key;
    return x < y ? -1 : x > y;
}

static void ship(rig *r, clv_shipped_cost costs[3], clv_shipped_table *table) {
    static const char *const names[] = {"winograd", "blocked", "ref"};
    static const float times_us[] = {100, 60, 500};
    clv_arena arena;
    clv_call call;
    clv_arena_init(&arena, 0);
    assert_ok(clv_call_from_node(r->graph, &r->graph->nodes[0], &arena, &call));
    for (int i = 0; i < 3; i++) {
        const clv_way way = {.variant = variant_named(names[i])};
        costs[i].time_us = times_us[i];
        assert_ok(clv_shipped_key(&call, &way, &traits, &costs[i].key));
    }
    clv_arena_deinit(&arena);
    qsort(costs, 3, sizeof costs[0], by_keys);
    *table = (clv_shipped_table){costs, 3};
    r->times.shipped = table;
}

static void the_shipped_table_decides_where_nothing_was_measured(void **state) {
    (void)state;
    rig r;
    clv_shipped_cost costs[3];
    clv_shipped_table table;
    open_rig(&r);
    ship(&r, costs, &table);
    check_choice(&r, "blocked", "shipped");
    put(&r, "winograd", 10);
    check_choice(&r, "blocked", "shipped"); /* there is nothing to compare it with */
    put(&r, "blocked", 20);
    check_choice(&r, "winograd", "estimated"); /* the faster of those; the plain one is not known */
    put(&r, "ref", 500);
    check_choice(&r, "winograd", "measured");
    close_rig(&r);
}

static void check_choice_of_unit(rig *r, const clv_traits *unit, const char *variant) {
    clv_way *ways;
    assert_ok(clv_lower_choose(r->graph, unit, &r->times, &ways));
    assert_string_equal(ways[0].variant->name, variant);
    clv_free(ways);
}

/* Units of one class choose alike, however many cores they have. */
static void the_shipped_table_is_for_classes_of_units(void **state) {
    (void)state;
    rig r;
    clv_shipped_cost costs[3];
    clv_shipped_table table;
    open_rig(&r);
    ship(&r, costs, &table);
    clv_traits many = traits, large = traits, narrow = traits, gpu = traits;
    many.num_lanes = 16;
    many.cache_bytes = 2 << 20;
    check_choice_of_unit(&r, &many, "blocked");
    large.cache_bytes = 8 << 20;
    check_choice_of_unit(&r, &large, "winograd");
    narrow.simd_bytes = 32;
    check_choice_of_unit(&r, &narrow, "winograd");
    gpu.is_cpu = false;
    assert_null(clv_shipped_class(&gpu));
    close_rig(&r);
}

static void keys_tell_variants_and_devices_apart(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    const clv_device_info other = {.name = "a core", .driver = "2"};
    const clv_hash one = key_of(&r, "blocked", &info), again = key_of(&r, "blocked", &info);
    assert_true(one.low == again.low && one.high == again.high);
    assert_true(one.low != key_of(&r, "winograd", &info).low);
    assert_true(one.low != key_of(&r, "blocked", &other).low);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_that_was_measured),
        cmocka_unit_test(the_tables_choice_must_be_known),
        cmocka_unit_test(times_of_another_device_do_not_count),
        cmocka_unit_test(exact_units_run_exact_variants),
        cmocka_unit_test(the_fastest_tunables),
        cmocka_unit_test(reorders_of_inputs_count),
        cmocka_unit_test(the_shipped_table_decides_where_nothing_was_measured),
        cmocka_unit_test(the_shipped_table_is_for_classes_of_units),
        cmocka_unit_test(keys_tell_variants_and_devices_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
