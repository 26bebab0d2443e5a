/* Tasks in no fixed order, and the proof of them: as they are made they pass; with a dependence
 * left out, or memory for fewer requests than are in flight, they are refused and both steps named.
 * Memory is shared all the same where dependences allow it. No device is used. */
#include "host/base/memory.h"
#include "host/exec/replica.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"
#include "tests/support/random_plan.h"

enum { MAX_UNITS = 4 };

typedef struct rig {
    clv_device *devices[MAX_UNITS];
    clv_exec_unit units[MAX_UNITS];
    uint32_t num_units;
} rig;

/* A letter for each unit: a core (c), a core behind a link (f). */
static void open_rig(rig *r, const char *kinds) {
    memset(r, 0, sizeof *r);
    for (; kinds[r->num_units] != '\0'; r->num_units++) {
        const uint32_t i = r->num_units;
        const clv_null_options options = {
            .kind = CLV_DEVICE_CORE, .index = (int)i, .find = clv_hash_find};
        assert_ok(clv_null_device_create(&options, &r->devices[i]));
        r->units[i] = (clv_exec_unit){.devices = &r->devices[i], .num_devices = 1};
        clv_unit_name_init(&r->units[i].name, CLV_UNIT_CORE, 0, (int)i);
        r->units[i].name.limits.latency_us = kinds[i] == 'f' ? 1 : 0;
    }
}

static void close_rig(rig *r) {
    for (uint32_t i = 0; i < r->num_units; i++) {
        r->devices[i]->vtable->destroy(r->devices[i]);
    }
}

static clv_graph *make_graph(uint64_t seed) {
    clv_graph *graph = NULL;
    const clv_hash_graph_options options = {
        .seed = seed, .num_nodes = 14, .max_bytes = 100, .max_items = 4};
    assert_ok(clv_hash_graph_create(&options, &graph));
    return graph;
}

static void make(
    const clv_graph *graph, const rig *r, const clv_group *group, uint32_t depth,
    clv_replica *out_replica) {
    const clv_replica_options options = {
        .graph = graph,
        .group = group,
        .units = r->units,
        .num_units = r->num_units,
        .depth = depth,
        .is_dynamic = true,
    };
    assert_ok(clv_replica_init(out_replica, &options));
}

/* Takes `next` away from a task. */
static void drop(clv_step_tasks *t, clv_step_task *task, uint32_t which) {
    uint32_t *list = &t->next[task->first_next], next = list[which];
    list[which] = list[task->num_next - 1];
    list[task->num_next - 1] = next;
    task->num_next--;
    t->tasks[next].num_waits--;
}

/* Undoes that. */
static void put_back(clv_step_tasks *t, clv_step_task *task) {
    t->tasks[t->next[task->first_next + task->num_next++]].num_waits++;
}

static const char *const all_kinds[] = {"c", "cc", "ccc", "cf", "ccf", "ff"};

/* Every dependence in turn. */
static void test_every_dependence(void **state) {
    (void)state;
    uint32_t num_all = 0, num_refused = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        rig r;
        clv_plan *plan = NULL;
        clv_replica replica;
        clv_graph *graph = make_graph(seed);
        open_rig(&r, all_kinds[seed % 6]);
        const clv_random_plan_options drawn = {
            .seed = seed, .num_units = r.num_units, .depth = 1 + (uint32_t)(seed % 4)};
        assert_ok(clv_random_plan(graph, &drawn, &plan));
        make(graph, &r, &plan->groups[0], drawn.depth, &replica);
        clv_step_tasks *t = &replica.tasks;
        for (size_t s = 0; s < t->lowered->num_steps; s++) {
            clv_step_task *task = &t->tasks[s];
            for (uint32_t k = 0; k < task->num_next; k++) {
                drop(t, task, k);
                clv_status *status = clv_step_tasks_verify(t);
                num_all++;
                num_refused += status != NULL ? 1 : 0;
                if (status != NULL) {
                    assert_failed(INTERNAL, "nothing orders", status);
                }
                put_back(t, task);
            }
        }
        assert_ok(clv_step_tasks_verify(t));
        clv_replica_deinit(&replica);
        clv_plan_destroy(plan);
        close_rig(&r);
        clv_graph_destroy(graph);
    }
    print_message("%u of %u dependences are needed\n", num_refused, num_all);
    assert_true(num_refused > num_all / 2);
}

/* Whole operators, in pieces[num_pieces]: all of them in the first. */
static clv_group place_all(
    const clv_graph *graph, clv_placement *placements, clv_piece *pieces, uint32_t num_pieces,
    uint32_t depth) {
    for (size_t i = 0; i < graph->num_nodes; i++) {
        placements[i] = (clv_placement){.num_pieces = 1, .split = -1};
    }
    return (clv_group){
        .placements = placements,
        .pieces = pieces,
        .num_pieces = num_pieces,
        .num_stages = 1,
        .share = 1,
        .depth = depth,
    };
}

/* A storage with one copy for two requests; and two whose copies are not as far apart. */
static void test_requests(void **state) {
    (void)state;
    rig r;
    clv_placement placements[16];
    clv_piece piece = {.unit = 0};
    clv_replica replica;
    clv_graph *graph = make_graph(2);
    const clv_group group = place_all(graph, placements, &piece, 1, 2);
    open_rig(&r, "c");
    make(graph, &r, &group, 2, &replica);
    clv_storage *written = NULL;
    for (size_t i = 0; i < replica.joined.all.num_steps && written == NULL; i++) {
        const clv_operand *o = &replica.joined.all.steps[i].operands[0];
        if (o->access == CLV_WRITES && o->bytes != 0) {
            written = &replica.joined.all.storages[o->storage];
        }
    }
    assert_non_null(written);
    assert_int_equal(written->slots, 2);
    written->slots = 1;
    assert_failed(INTERNAL, "2 may be in flight", clv_step_tasks_verify(&replica.tasks));
    written->slots = 2;
    written->stride = 0;
    assert_failed(INTERNAL, "share memory", clv_step_tasks_verify(&replica.tasks));
    clv_replica_deinit(&replica);
    close_rig(&r);
    clv_graph_destroy(graph);
}

/* Two storages in one place whose steps nothing keeps apart. */
static void test_places(void **state) {
    (void)state;
    uint32_t num_shared = 0, num_refused = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        rig r;
        clv_placement placements[16];
        clv_piece piece = {.unit = 0};
        clv_replica replica;
        clv_graph *graph = make_graph(seed);
        const clv_group group = place_all(graph, placements, &piece, 1, 1);
        uint64_t sum = 0;
        open_rig(&r, "c");
        make(graph, &r, &group, 1, &replica);
        clv_lowered *all = &replica.joined.all;
        for (size_t i = 0; i < all->num_storages; i++) {
            clv_storage *s = &all->storages[i];
            sum += s->kind == CLV_STORAGE_VALUE ? clv_memory_align(s->piece.bytes) : 0;
        }
        num_shared += all->values.total_bytes < sum ? 1 : 0;
        for (size_t i = 0; i < all->num_storages; i++) { /* everything at the beginning */
            if (all->storages[i].kind == CLV_STORAGE_VALUE) {
                all->storages[i].piece.offset = 0;
            }
        }
        clv_status *status = clv_step_tasks_verify(&replica.tasks);
        num_refused += status != NULL ? 1 : 0;
        clv_status_destroy(status);
        clv_replica_deinit(&replica);
        close_rig(&r);
        clv_graph_destroy(graph);
    }
    print_message("%u of 20 share memory, %u are refused\n", num_shared, num_refused);
    assert_true(num_shared >= 10 && num_refused >= 15);
}

/* A gang and cores of one memory are a crew; what a pin asked for is for its unit alone. */
static void test_pools(void **state) {
    (void)state;
    rig r;
    clv_placement placements[16];
    clv_piece pieces[3] = {{.unit = 0}, {.unit = 1}, {.unit = 2}};
    clv_replica replica;
    clv_graph *graph = make_graph(7);
    const clv_group group = place_all(graph, placements, pieces, 3, 1);
    for (uint32_t i = 0; i < graph->num_nodes; i++) {
        placements[i].first_piece = i % 3;
        placements[i].reason = i % 2 == 0 ? CLV_PINNED_REASON "'a=b'" : "fastest here";
    }
    open_rig(&r, "ccf");
    make(graph, &r, &group, 1, &replica);
    assert_int_equal(replica.crews.num_crews, 2);
    assert_int_equal(clv_crew_size(&replica.crews, 0), 2);
    uint32_t num_pinned = 0;
    for (size_t s = 0; s < replica.joined.all.num_steps; s++) {
        const clv_step *step = &replica.joined.all.steps[s];
        const clv_step_task *task = &replica.tasks.tasks[s];
        bool is_pinned = false;
        if (step->kind == CLV_STEP_LAUNCH) {
            const clv_piece_graph *part = &replica.pieces.memories[step->memory];
            is_pinned = part->nodes[step->index].origin % 2 == 0;
        }
        num_pinned += is_pinned ? 1 : 0;
        assert_int_equal(task->pool, is_pinned ? 2 + step->unit : step->unit == 2 ? 1u : 0u);
    }
    assert_true(num_pinned > 0);
    clv_replica_deinit(&replica);
    close_rig(&r);
    clv_graph_destroy(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_dependence),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
