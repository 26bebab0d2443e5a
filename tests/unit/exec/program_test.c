/* The order of steps over several memories, and the proof of it: programs as they are made pass;
 * one with a wait left out is refused, and both steps are named. No device is used. */
#include "host/base/memory.h"
#include "host/exec/replica.h"
#include "host/exec/step_order.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"
#include "tests/support/random_plan.h"
#include <stdio.h>

enum { MAX_UNITS = 4 };

typedef struct rig {
    clv_device *devices[MAX_UNITS];
    clv_exec_unit units[MAX_UNITS];
    uint32_t num_units;
} rig;

/* A letter for each unit: a core (c), a device with queues (q), a core behind a link (f). */
static void open_rig(rig *r, const char *kinds) {
    memset(r, 0, sizeof *r);
    for (; kinds[r->num_units] != '\0'; r->num_units++) {
        const uint32_t i = r->num_units;
        const bool has_queues = kinds[i] == 'q';
        const clv_null_options options = {
            .kind = has_queues ? CLV_DEVICE_GPU : CLV_DEVICE_CORE,
            .index = (int)i,
            .find = clv_hash_find,
        };
        assert_ok(clv_null_device_create(&options, &r->devices[i]));
        r->units[i] = (clv_exec_unit){.devices = &r->devices[i], .num_devices = 1};
        clv_unit_name_init(&r->units[i].name, has_queues ? CLV_UNIT_GPU : CLV_UNIT_CORE, 0, (int)i);
        r->units[i].name.limits.latency_us = kinds[i] == 'f' ? 1 : 0;
    }
}

static void close_rig(rig *r) {
    for (uint32_t i = 0; i < r->num_units; i++) {
        r->devices[i]->vtable->destroy(r->devices[i]);
    }
}

static void make(
    const clv_graph *graph, const rig *r, const clv_group *group, uint32_t depth,
    clv_replica *out_replica, clv_step_program *out_program) {
    const clv_replica_options options = {
        .graph = graph,
        .group = group,
        .units = r->units,
        .num_units = r->num_units,
        .depth = depth,
    };
    clv_program_unit units[MAX_UNITS];
    for (uint32_t i = 0; i < r->num_units; i++) {
        units[i].num_lanes = 1;
        units[i].has_queues = r->devices[i]->info.kind != CLV_DEVICE_CORE;
    }
    assert_ok(clv_replica_lower(out_replica, &options));
    assert_ok(
        clv_step_program_create(&out_replica->joined.all, units, r->num_units, depth, out_program));
    assert_ok(clv_step_program_verify(out_program));
}

/* The first node on unit 0, all others on unit 1, in two stages. */
static void make_two_stages(
    const clv_graph *graph, clv_placement *placements, clv_piece *pieces, clv_group *group) {
    for (uint32_t i = 0; i < graph->num_nodes; i++) {
        placements[i] = (clv_placement){
            .first_piece = i, .num_pieces = 1, .split = -1, .stage = i == 0 ? 0 : 1};
        pieces[i] = (clv_piece){.unit = i == 0 ? 0 : 1};
    }
    *group = (clv_group){
        .placements = placements,
        .pieces = pieces,
        .num_pieces = (uint32_t)graph->num_nodes,
        .num_stages = 2,
        .share = 1,
        .depth = 3,
    };
}

/* hash0 -> hash1, a byte sum each. */
static clv_graph *make_chain(void) {
    clv_graph *graph = NULL;
    for (uint64_t seed = 1; graph == NULL; seed++) {
        const clv_hash_graph_options options = {
            .seed = seed, .num_nodes = 2, .max_bytes = 60, .max_items = 2};
        assert_ok(clv_hash_graph_create(&options, &graph));
        const clv_node *nodes = graph->nodes;
        const clv_tensor_id made = nodes[0].num_outputs > 0 ? nodes[0].outputs[0] : CLV_NO_ID;
        bool is_chain = made != CLV_NO_ID && graph->tensors[made].data == NULL &&
                        (nodes[0].op->flags & CLV_OP_VIEW) == 0 &&
                        (nodes[1].op->flags & CLV_OP_VIEW) == 0 &&
                        clv_shape_elements(&graph->tensors[made].shape) > 0;
        bool is_read = false;
        for (size_t i = 0; i < nodes[1].num_inputs; i++) {
            is_read = is_read || nodes[1].inputs[i] == made;
        }
        if (!is_chain || !is_read || nodes[0].num_outputs != 1) {
            clv_graph_destroy(graph);
            graph = NULL;
        }
    }
    return graph;
}

/* Takes away wait `which` of an item. */
static void drop(clv_step_program *program, clv_item *item, uint32_t which) {
    clv_item_wait *waits = &program->waits[item->first_wait];
    for (uint32_t i = which; i + 1 < item->num_waits; i++) {
        waits[i] = waits[i + 1];
    }
    item->num_waits--;
}

static clv_item *find_item(const clv_step_program *p, clv_step_kind kind, clv_actor_role role) {
    for (uint32_t a = 0; a < p->num_actors; a++) {
        for (uint32_t i = 0; i < p->actors[a].num_items && p->actors[a].role == role; i++) {
            clv_item *item = &p->actors[a].items[i];
            if (p->lowered->steps[item->step].kind == kind) {
                return item;
            }
        }
    }
    fail_msg("no such step");
    return NULL;
}

static uint32_t find_wait(
    const clv_step_program *p, const clv_item *item, uint32_t unit, uint32_t lag) {
    for (uint32_t i = 0; i < item->num_waits; i++) {
        const clv_item_wait *wait = &p->waits[item->first_wait + i];
        if (p->actors[wait->actor].unit == unit && wait->lag == lag) {
            return i;
        }
    }
    fail_msg("it does not wait for unit %u", unit);
    return 0;
}

/* A core's tensor, uploaded by the device that reads it: the upload waits for the core. */
static void test_straight(void **state) {
    (void)state;
    rig r;
    clv_placement placements[2];
    clv_piece pieces[2];
    clv_group group;
    clv_replica replica;
    clv_step_program program;
    clv_graph *graph = make_chain();
    char both[128];
    open_rig(&r, "cq");
    make_two_stages(graph, placements, pieces, &group);
    make(graph, &r, &group, 3, &replica, &program);
    assert_int_equal(replica.pieces.num_moves, 1);
    clv_item *upload = find_item(&program, CLV_STEP_MOVE, CLV_ACTOR_UPLOAD);
    assert_true(upload->is_gated);
    drop(&program, upload, find_wait(&program, upload, 0, 0));
    snprintf(
        both, sizeof both, "'%s' and '%s' of the same request", graph->nodes[0].name,
        program.lowered->steps[upload->step].name);
    assert_failed(INTERNAL, both, clv_step_program_verify(&program));
    clv_step_program_deinit(&program);
    clv_replica_deinit(&replica);

    /* and the core, whose memory has a slot for each stage, waits for the upload before it writes
     * there again */
    make(graph, &r, &group, 3, &replica, &program);
    upload = find_item(&program, CLV_STEP_MOVE, CLV_ACTOR_UPLOAD);
    clv_item *kernel = find_item(&program, CLV_STEP_LAUNCH, CLV_ACTOR_ALL);
    drop(&program, kernel, find_wait(&program, kernel, 1, 2));
    snprintf(
        both, sizeof both, "'%s' and '%s' of a later request",
        program.lowered->steps[upload->step].name, graph->nodes[0].name);
    assert_failed(INTERNAL, both, clv_step_program_verify(&program));
    clv_step_program_deinit(&program);
    clv_replica_deinit(&replica);
    close_rig(&r);
    clv_graph_destroy(graph);
}

/* Between two devices: out, then in. */
static void test_staged(void **state) {
    (void)state;
    rig r;
    clv_placement placements[2];
    clv_piece pieces[2];
    clv_group group;
    clv_replica replica;
    clv_step_program program;
    clv_graph *graph = make_chain();
    char both[128];
    open_rig(&r, "qq");
    make_two_stages(graph, placements, pieces, &group);
    make(graph, &r, &group, 3, &replica, &program);
    clv_item *out = find_item(&program, CLV_STEP_MOVE, CLV_ACTOR_DOWNLOAD);
    clv_item *in = find_item(&program, CLV_STEP_MOVE, CLV_ACTOR_UPLOAD);
    const char *name = program.lowered->steps[out->step].name;
    assert_true(out->position < in->position);
    assert_true(out->is_published && in->is_gated && in->is_published && out->is_gated);
    drop(&program, in, find_wait(&program, in, 0, 0));
    snprintf(both, sizeof both, "'%s' and '%s' of the same request", name, name);
    assert_failed(INTERNAL, both, clv_step_program_verify(&program));
    clv_step_program_deinit(&program);
    clv_replica_deinit(&replica);
    close_rig(&r);
    clv_graph_destroy(graph);
}

/* Random plans: of every program, each wait in turn. Most are needed, the others follow from what
 * is waited for already in ways that the making of waits does not see. */
static void test_every_wait(void **state) {
    (void)state;
    static const char *const kinds[] = {"cq", "qq", "cf", "fq", "ccq", "qcf", "ffq", "qqc"};
    uint32_t num_waits = 0, num_refused = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        rig r;
        clv_graph *graph = NULL;
        clv_plan *plan = NULL;
        clv_replica replica;
        clv_step_program program;
        const clv_hash_graph_options graph_options = {
            .seed = seed, .num_nodes = 12, .max_bytes = 100, .max_items = 4};
        assert_ok(clv_hash_graph_create(&graph_options, &graph));
        open_rig(&r, kinds[seed % 8]);
        const clv_random_plan_options drawn = {
            .seed = seed,
            .num_units = r.num_units,
            .depth = 1 + (uint32_t)(seed % 4),
            .is_pipeline = seed % 3 == 0,
        };
        assert_ok(clv_random_plan(graph, &drawn, &plan));
        make(graph, &r, &plan->groups[0], drawn.depth, &replica, &program);
        for (uint32_t a = 0; a < program.num_actors; a++) {
            for (uint32_t i = 0; i < program.actors[a].num_items; i++) {
                clv_item *item = &program.actors[a].items[i];
                for (uint32_t k = 0; k < item->num_waits; k++) {
                    clv_item_wait *wait = &program.waits[item->first_wait + k];
                    const clv_item_wait before = *wait;
                    wait->lag = UINT32_MAX; /* of no request that there is */
                    clv_status *status = clv_step_program_verify(&program);
                    *wait = before;
                    num_waits++;
                    num_refused += status != NULL ? 1 : 0;
                    if (status != NULL) {
                        assert_failed(INTERNAL, "nothing orders", status);
                    }
                }
            }
        }
        assert_ok(clv_step_program_verify(&program));
        clv_step_program_deinit(&program);
        clv_replica_deinit(&replica);
        clv_plan_destroy(plan);
        close_rig(&r);
        clv_graph_destroy(graph);
    }
    print_message("%u of %u waits are needed\n", num_refused, num_waits);
    assert_true(num_refused > num_waits / 2);
}

/* reach[later * num_steps + earlier]: whether one comes after the other by what they read and
 * write, and by the order that each unit has anyway. */
static bool *make_reach(const clv_lowered *lowered) {
    const size_t n = lowered->num_steps;
    bool *reach = clv_alloc_zeroed(n * n + 1, sizeof *reach);
    clv_step_order order;
    assert_non_null(reach);
    assert_ok(clv_step_order_create(lowered, CLV_TURNS_UNITS, &order));
    for (size_t s = 0; s < n; s++) {
        for (uint32_t i = order.first[s]; i < order.first[s + 1]; i++) {
            for (size_t k = 0; k < n; k++) {
                reach[s * n + k] |= reach[order.before[i] * n + k];
            }
            reach[s * n + order.before[i]] = true;
        }
    }
    clv_step_order_deinit(&order);
    return reach;
}

static void count_waits(
    const clv_step_program *p, const bool *reach, uint32_t *num_waits, uint32_t *num_others) {
    const size_t n = p->lowered->num_steps;
    for (uint32_t a = 0; a < p->num_actors; a++) {
        for (uint32_t i = 0; i < p->actors[a].num_items; i++) {
            const clv_item *item = &p->actors[a].items[i];
            for (uint32_t k = 0; k < item->num_waits; k++) {
                const clv_item_wait *wait = &p->waits[item->first_wait + k];
                const uint32_t other = p->actors[wait->actor].items[wait->item].step;
                *num_waits += wait->lag == 0 ? 1 : 0;
                *num_others += wait->lag == 0 && !reach[item->step * n + other] ? 1 : 0;
            }
        }
    }
}

/* Storages that lie in one place used to be told apart by the list of steps alone: a piece on one
 * core then waited for one on another, which it had nothing to do with, to get its memory. */
static void test_waits_for_memory(void **state) {
    static const char *const kinds[] = {"cc", "ccc"};
    uint32_t num_waits = 0, num_others = 0, num_shared = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        rig r;
        clv_graph *graph = NULL;
        clv_plan *plan = NULL;
        clv_replica replica;
        clv_step_program program;
        const clv_hash_graph_options options = {
            .seed = seed, .num_nodes = 14, .max_bytes = 100, .max_items = 4};
        assert_ok(clv_hash_graph_create(&options, &graph));
        open_rig(&r, kinds[seed % 2]);
        const clv_random_plan_options drawn = {
            .seed = seed, .num_units = r.num_units, .depth = 1, .split_share = 0.6};
        assert_ok(clv_random_plan(graph, &drawn, &plan));
        make(graph, &r, &plan->groups[0], 1, &replica, &program);
        const clv_lowered *all = &replica.joined.all;
        bool *reach = make_reach(all);
        count_waits(&program, reach, &num_waits, &num_others);
        uint64_t sum = 0;
        for (size_t i = 0; i < all->num_storages; i++) {
            const clv_storage *s = &all->storages[i];
            sum += s->kind == CLV_STORAGE_VALUE ? clv_memory_align(s->piece.bytes) : 0;
        }
        num_shared += all->values.total_bytes < sum ? 1 : 0;
        clv_free(reach);
        clv_step_program_deinit(&program);
        clv_replica_deinit(&replica);
        clv_plan_destroy(plan);
        close_rig(&r);
        clv_graph_destroy(graph);
    }
    print_message(
        "%u waits, %u for memory alone; %u of 40 share memory\n", num_waits, num_others,
        num_shared);
    assert_true(num_waits > 100 && num_shared >= 20);
    assert_int_equal(num_others, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_straight),
        cmocka_unit_test(test_staged),
        cmocka_unit_test(test_every_wait),
        cmocka_unit_test(test_waits_for_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
