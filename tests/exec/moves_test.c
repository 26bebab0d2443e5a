/* What crosses from one memory to another: as many bytes in the plan's transfers as in those of the
 * executor, and of a tensor that is cut by rows only the rows that are needed, halos among them.
 * Pure: nothing runs here. */
#include "host/exec/pieces.h"
#include "host/workload/from_graph.h"
#include "scheduler/unroll.h"
#include "tests/exec/net.h"
#include "tests/support/check.h"
#include "tests/support/random_plan.h"
#include "tests/support/sample.h"
#include <stdio.h>
#include <string.h>

enum { UNITS = 3, MEMORIES = 4 };

typedef struct traffic {
    uint64_t bytes[MEMORIES][MEMORIES];
} traffic;

static uint64_t tensor_bytes(const clv_graph *graph, clv_tensor_id id) {
    return clv_view_bytes(graph->tensors[id].dtype, &graph->tensors[id].shape);
}

/* An output that is an input crosses no link in plans; where the first unit is idle somebody else
 * gives it back. */
static bool gives_back(const clv_graph *graph, const clv_port *port) {
    return graph->tensors[graph->outputs[port->index]].kind == CLV_TENSOR_INPUT;
}

/* By the executor. What the caller gives and takes is in the first unit's memory here. */
static void count_moves(
    const clv_graph *graph, const clv_group *group, const clv_machine *machine, traffic *out) {
    uint32_t memory_of_unit[UNITS];
    clv_pieces pieces;
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < UNITS; i++) {
        memory_of_unit[i] = machine->units[i].memory;
    }
    const clv_pieces_request request = {
        .graph = graph,
        .group = group,
        .memory_of_unit = memory_of_unit,
        .num_memories = machine->num_memories,
        .home = memory_of_unit[0],
    };
    assert_ok(clv_pieces_create(&request, &pieces));
    const uint32_t home = memory_of_unit[0];
    for (uint32_t m = 0; m < pieces.num_memories; m++) {
        const clv_piece_graph *g = &pieces.memories[m];
        for (size_t i = 0; i < g->num_inputs && m != home; i++) {
            out->bytes[home][m] +=
                g->inputs[i].is_move ? 0 : tensor_bytes(g->graph, g->graph->inputs[i]);
        }
        for (size_t i = 0; i < g->num_outputs && m != home; i++) {
            const bool is_callers = g->outputs[i].is_move || gives_back(graph, &g->outputs[i]);
            out->bytes[m][home] += is_callers ? 0 : tensor_bytes(g->graph, g->graph->outputs[i]);
        }
    }
    for (size_t i = 0; i < pieces.num_moves; i++) {
        const clv_piece_move *move = &pieces.moves[i];
        out->bytes[move->from_memory][move->to_memory] += move->bytes;
    }
    clv_pieces_deinit(&pieces);
}

/* By the virtual clock. */
static void count_sends(const clv_costs *costs, const clv_group *group, traffic *out) {
    const clv_machine *machine = costs->machine;
    uint32_t scratch[UNITS] = {CLV_NO_INDEX, CLV_NO_INDEX, CLV_NO_INDEX};
    clv_unrolled unrolled;
    memset(out, 0, sizeof *out);
    assert_ok(clv_unroll_group(costs, group, 1, scratch, &unrolled));
    for (size_t i = 0; i < unrolled.num_steps; i++) {
        const clv_schedule_step *step = &unrolled.steps[i];
        if (step->kind == CLV_SCHEDULE_SEND) {
            const uint32_t hop = step->resources[0] - machine->num_units;
            const clv_link *link = &machine->links[hop / 2];
            const bool is_back = hop % 2 == 1;
            out->bytes[link->ends[is_back ? 1 : 0]][link->ends[is_back ? 0 : 1]] += step->bytes;
        }
    }
    clv_unrolled_deinit(&unrolled);
}

static void check(clv_graph *graph, const clv_group *group, uint64_t seed, traffic *out_moved) {
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
    traffic sent;
    assert_ok(clv_workload_from_graph(graph, &workload));
    assert_ok(clv_machine_parse_text(
        "a peak=1G; b peak=1G; c peak=1G; link a b bw=1G; link b c bw=1G; link a c bw=1G",
        &machine));
    assert_true(machine->num_memories <= MEMORIES);
    assert_ok(clv_costs_create(workload, machine, &costs));
    count_moves(graph, group, machine, out_moved);
    count_sends(costs, group, &sent);
    for (uint32_t from = 0; from < machine->num_memories; from++) {
        for (uint32_t to = 0; to < machine->num_memories; to++) {
            if (out_moved->bytes[from][to] != sent.bytes[from][to]) {
                fail_msg(
                    "seed %llu: from '%s' to '%s' go %llu bytes, the plan has %llu",
                    (unsigned long long)seed, machine->memories[from].name,
                    machine->memories[to].name, (unsigned long long)out_moved->bytes[from][to],
                    (unsigned long long)sent.bytes[from][to]);
            }
        }
    }
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
}

/* a = 3x3(x); y = 3x3(a) + 5x5(a), of 8 channels of 30 rows of 16 pixels. */
static clv_graph *make_halos(void) {
    clv_net net;
    clv_graph *graph;
    clv_net_init(&net, 1);
    const clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(1, 8, 30, 16));
    const clv_tensor_id w3 = clv_net_weight(&net, "w3", DIMS(8, 8, 3, 3));
    const clv_tensor_id w5 = clv_net_weight(&net, "w5", DIMS(8, 8, 5, 5));
    const clv_tensor_id a = clv_net_node(&net, "Conv", "a", IDS(x, w3), "pads=1,1,1,1");
    const clv_tensor_id b = clv_net_node(&net, "Conv", "b", IDS(a, w3), "pads=1,1,1,1");
    const clv_tensor_id c = clv_net_node(&net, "Conv", "c", IDS(a, w5), "pads=2,2,2,2");
    clv_net_output(&net, clv_net_node(&net, "Add", "y", IDS(b, c), ""));
    assert_ok(clv_net_finish(&net, &graph));
    return graph;
}

/* Every operator by rows, ten on each unit: a unit's neighbours need two of a (one and two for the
 * two who read it, once), those inside of three units one and the other end of it. */
static void test_rows(void **state) {
    (void)state;
    clv_graph *graph = make_halos();
    clv_placement placements[8];
    clv_piece pieces[8 * UNITS];
    clv_group group = {
        .placements = placements, .pieces = pieces, .num_stages = 1, .share = 1, .depth = 1};
    for (size_t i = 0; i < graph->num_nodes; i++) {
        clv_arena arena;
        clv_call call;
        clv_split_list list = {0};
        clv_arena_init(&arena, 0);
        assert_ok(clv_call_from_node(graph, &graph->nodes[i], &arena, &call));
        assert_ok(clv_call_splits(&call, &arena, &list));
        placements[i] = (clv_placement){
            .first_piece = group.num_pieces, .num_pieces = UNITS, .split = -1, .reason = "drawn"};
        for (size_t k = 0; k < list.num_splits; k++) {
            placements[i].split = list.splits[k].axis == 2 ? (int32_t)k : placements[i].split;
        }
        assert_true(placements[i].split >= 0);
        for (uint32_t k = 0; k < UNITS; k++) {
            pieces[group.num_pieces++] = (clv_piece){k, 10 * k, 10 * k + 10};
        }
        clv_arena_deinit(&arena);
    }
    traffic moved;
    const uint64_t row = 8 * 16 * sizeof(float);
    check(graph, &group, 0, &moved);
    /* the host's memory is the first */
    assert_int_equal(moved.bytes[1][2], (12 + 2) * row); /* of x, of a */
    assert_int_equal(moved.bytes[1][3], 11 * row);
    assert_int_equal(moved.bytes[2][1], (2 + 10) * row); /* of a, of y */
    assert_int_equal(moved.bytes[2][3], 2 * row);
    assert_int_equal(moved.bytes[3][2], 2 * row);
    assert_int_equal(moved.bytes[3][1], 10 * row);
    clv_graph_destroy(graph);
}

static void check_plans(clv_graph *graph, uint64_t num_plans) {
    for (uint64_t seed = 1; seed <= num_plans; seed++) {
        const clv_random_plan_options options = {
            .seed = seed, .num_units = UNITS, .depth = 1, .split_share = 0.8};
        clv_plan *plan;
        traffic moved;
        assert_ok(clv_random_plan(graph, &options, &plan));
        check(graph, &plan->groups[0], seed, &moved);
        clv_plan_destroy(plan);
    }
    clv_graph_destroy(graph);
}

static void test_random(void **state) {
    (void)state;
    clv_graph *graph;
    check_plans(make_halos(), 100);
    assert_ok(clv_net_small(&graph));
    check_plans(graph, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
