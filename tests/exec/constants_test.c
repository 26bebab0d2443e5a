/* What replicas share of their constants: the same pieces' all of them, and never anything that
 * would have been filled with other bytes. No device is used. */
#include "host/base/memory.h"
#include "host/device/null.h"
#include "host/exec/replica.h"
#include "tests/exec/net.h"
#include "tests/support/check.h"
#include "tests/support/random_plan.h"
#include <stdlib.h>

enum { NUM_UNITS = 4, NUM_EACH = 2, NUM_SEEDS = 40 };

typedef struct rig {
    clv_device *devices[NUM_UNITS];
    clv_exec_unit units[NUM_UNITS];
} rig;

static void open_rig(rig *r) {
    for (int i = 0; i < NUM_UNITS; i++) {
        const clv_null_options options = {.kind = CLV_DEVICE_CORE, .index = i};
        assert_ok(clv_null_device_create(&options, &r->devices[i]));
        r->units[i] = (clv_exec_unit){.devices = &r->devices[i], .num_devices = 1};
        clv_unit_name_init(&r->units[i].name, CLV_UNIT_CORE, 0, i);
    }
}

static void close_rig(const rig *r) {
    for (int i = 0; i < NUM_UNITS; i++) {
        r->devices[i]->vtable->destroy(r->devices[i]);
    }
}

/* On units of its own, those from first_unit on, which share a memory or not. */
static clv_plan *draw(
    const clv_graph *graph, uint64_t seed, uint32_t first_unit, bool is_one_memory) {
    const clv_random_plan_options options = {
        .seed = seed,
        .num_units = NUM_EACH,
        .depth = 1,
        .num_sharers = is_one_memory ? NUM_EACH : 0,
        .split_share = 0.7,
        .allows_sums = true,
    };
    clv_plan *plan = NULL;
    assert_ok(clv_random_plan(graph, &options, &plan));
    for (uint32_t i = 0; i < plan->groups[0].num_pieces; i++) {
        plan->groups[0].pieces[i].unit += first_unit;
    }
    return plan;
}

static clv_replica lower(
    const clv_graph *graph, const rig *r, const clv_plan *plan, clv_constants *constants) {
    const clv_replica_options options = {
        .graph = graph,
        .group = &plan->groups[0],
        .units = r->units,
        .num_units = NUM_UNITS,
        .depth = 1,
        .constants = constants,
    };
    clv_replica replica;
    assert_ok(clv_replica_lower(&replica, &options));
    return replica;
}

static uint64_t constants_of(const clv_replica *replica) {
    const clv_lowered *all = &replica->joined.all;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < all->num_units; i++) {
        bytes += all->unit_bytes[i].constants;
    }
    return bytes;
}

static bool is_constant(const clv_storage *s) {
    return s->kind == CLV_STORAGE_CONSTANT && s->piece.bytes != 0;
}

/* What a run would fill it with. Free with free(). */
static char *content_of(const clv_storage *s) {
    char *bytes = malloc(s->piece.bytes);
    assert_non_null(bytes);
    if (s->data != NULL) {
        memcpy(bytes, s->data, s->piece.bytes);
    } else {
        clv_packing_fill(&s->packing, s->call, 0, s->packing.num_parts, bytes);
    }
    return bytes;
}

/* Constants of the second that lie where one of the first does. */
static uint32_t check_shared(const clv_lowered *first, const clv_lowered *second) {
    uint32_t num_shared = 0;
    for (size_t i = 0; i < first->num_storages; i++) {
        for (size_t j = 0; j < second->num_storages; j++) {
            const clv_storage *a = &first->storages[i], *b = &second->storages[j];
            if (!is_constant(a) || !is_constant(b) || a->piece.block != b->piece.block ||
                a->piece.offset != b->piece.offset) {
                continue;
            }
            char *bytes = content_of(a), *other = content_of(b);
            assert_int_equal(a->piece.bytes, b->piece.bytes);
            assert_memory_equal(bytes, other, a->piece.bytes);
            free(bytes);
            free(other);
            num_shared++;
        }
    }
    return num_shared;
}

static uint32_t count_constants(const clv_lowered *lowered) {
    uint32_t count = 0;
    for (size_t i = 0; i < lowered->num_storages; i++) {
        count += is_constant(&lowered->storages[i]) ? 1 : 0;
    }
    return count;
}

/* Whatever a plan cuts, on other units it is the same again; of another plan some of it is. */
static void test_same_pieces(void **state) {
    (void)state;
    rig r;
    uint32_t num_shared = 0, num_own = 0;
    open_rig(&r);
    for (uint64_t seed = 1; seed <= NUM_SEEDS; seed++) {
        clv_graph *graph = NULL;
        clv_constants *constants = NULL;
        assert_ok(clv_net_random(seed, &graph));
        assert_ok(clv_constants_create(&constants));
        clv_plan *plan = draw(graph, seed, 0, true);
        clv_plan *alike = draw(graph, seed, NUM_EACH, true);
        clv_plan *unlike = draw(graph, seed + NUM_SEEDS, NUM_EACH, true);
        clv_replica first = lower(graph, &r, plan, constants);
        clv_replica second = lower(graph, &r, alike, constants);
        assert_int_equal(constants_of(&second), 0);
        assert_int_equal(
            check_shared(&first.joined.all, &second.joined.all),
            count_constants(&second.joined.all));
        clv_replica third = lower(graph, &r, unlike, constants);
        const uint32_t shared = check_shared(&first.joined.all, &third.joined.all);
        num_shared += shared;
        num_own += count_constants(&third.joined.all) - shared;
        clv_constants_release(constants);
        clv_replica_deinit(&first); /* in any order */
        clv_replica_deinit(&third);
        clv_replica_deinit(&second);
        clv_plan_destroy(plan);
        clv_plan_destroy(alike);
        clv_plan_destroy(unlike);
        clv_graph_destroy(graph);
    }
    assert_true(num_shared > 0 && num_own > 0);
    close_rig(&r);
}

/* Behind a link that is declared a unit has a memory of its own, and what lies there. */
static void test_other_memories(void **state) {
    (void)state;
    rig r;
    clv_graph *graph = NULL;
    clv_constants *constants = NULL;
    open_rig(&r);
    r.units[2].name.limits.latency_us = r.units[3].name.limits.latency_us = 1;
    assert_ok(clv_net_fire(&graph));
    assert_ok(clv_constants_create(&constants));
    clv_plan *plans[2] = {draw(graph, 1, 0, false), draw(graph, 1, NUM_EACH, false)};
    clv_replica here = lower(graph, &r, plans[0], constants);
    clv_replica there = lower(graph, &r, plans[1], constants);
    assert_true(constants_of(&here) > 0);
    assert_true(constants_of(&there) >= constants_of(&here)); /* some on both of the two */
    assert_int_equal(check_shared(&here.joined.all, &there.joined.all), 0);
    clv_constants_release(constants);
    for (int i = 0; i < 2; i++) {
        clv_replica_deinit(i == 0 ? &here : &there);
        clv_plan_destroy(plans[i]);
    }
    clv_graph_destroy(graph);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_pieces),
        cmocka_unit_test(test_other_memories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
