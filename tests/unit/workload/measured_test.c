/* Measured times beside given ones and estimates. */
#include "host/workload/measured.h"

#include "partition/evaluate.h"
#include "tests/support/check.h"
#include <math.h>

static const char *const tasks = "{\"tasks\":["
                                 "{\"name\":\"a\",\"type\":\"Conv\",\"flops\":1000000},"
                                 "{\"name\":\"b\",\"type\":\"Relu\",\"time_us\":9},"
                                 "{\"name\":\"c\",\"type\":\"Conv\",\"flops\":2000000}]}";

static clv_workload *parse(void) {
    clv_workload *workload;
    assert_ok(clv_workload_parse_json("tasks", tasks, strlen(tasks), &workload));
    return workload;
}

static void check(const clv_costs *costs, uint32_t task, uint32_t unit, double us, clv_origin o) {
    assert_true(fabs(clv_costs_time_us(costs, task, unit) - us) <= 1e-9 * us);
    assert_int_equal(clv_costs_origin(costs, task, unit), o);
}

/* core:0 at half speed, core:1, gpu:0: cores were measured, but not task c. */
static void units_that_were_not_measured_keep_estimates(void **state) {
    (void)state;
    static const double core_us[] = {40, 50, (double)NAN};
    clv_workload *workload = parse();
    clv_machine *machine;
    clv_costs *costs;
    assert_ok(clv_machine_parse_text(
        "core peak=1G speed=0.5; core peak=1G; gpu peak=10G; link gpu host bw=1G", &machine));
    assert_ok(clv_workload_add_measured(workload, "core", core_us, NULL));
    assert_ok(clv_workload_verify(workload));
    assert_ok(clv_costs_create(workload, machine, &costs));
    check(costs, 0, 0, 80, CLV_ORIGIN_MEASURED);
    check(costs, 0, 1, 40, CLV_ORIGIN_MEASURED);
    check(costs, 0, 2, 100, CLV_ORIGIN_ESTIMATED);
    for (uint32_t unit = 1; unit < 3; unit++) {
        check(costs, 1, unit, 9, CLV_ORIGIN_GIVEN);
    }
    check(costs, 2, 1, 2000, CLV_ORIGIN_ESTIMATED);
    check(costs, 2, 2, 200, CLV_ORIGIN_ESTIMATED);
    clv_costs_destroy(costs);

    static const double gpu_us[] = {4, 5, 6};
    assert_ok(clv_workload_add_measured(workload, "gpu:0", gpu_us, NULL));
    assert_ok(clv_workload_verify(workload));
    assert_ok(clv_costs_create(workload, machine, &costs));
    check(costs, 0, 1, 40, CLV_ORIGIN_MEASURED);
    check(costs, 0, 2, 4, CLV_ORIGIN_MEASURED);
    check(costs, 1, 2, 9, CLV_ORIGIN_GIVEN);
    check(costs, 2, 1, 2000, CLV_ORIGIN_ESTIMATED);
    check(costs, 2, 2, 6, CLV_ORIGIN_MEASURED);
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
}

static void check_part(const clv_task_split *split, double share, double part) {
    assert_true(fabs(clv_task_split_part(split, share) - part) < 1e-12);
}

/* Between pieces that were measured lies what lies between them; of the same one the longest
 * counts, and a larger one never takes less. Of the rest it is as fixed shares say. */
static void pieces_take_what_they_were_measured_to(void **state) {
    (void)state;
    static const char *const text =
        "{\"tasks\":["
        "{\"name\":\"a\",\"type\":\"Conv\",\"time_us\":80,\"output_dims\":[8],\"splits\":["
        "{\"name\":\"rows\",\"axis\":0,\"extent\":8},"
        "{\"name\":\"more\",\"axis\":0,\"extent\":8,\"fixed_share\":0.5}]},"
        "{\"name\":\"b\",\"type\":\"Relu\",\"time_us\":9}]}";
    static const clv_task_piece half[] = {{0.5, 0.6}, {0, 0}}, again[] = {{0.5, 0.55}, {0, 0}},
                                quarter[] = {{0.25, 0.4}, {0, 0}}, most[] = {{0.75, 0.5}, {0, 0}},
                                unknown[] = {{0.5, (double)NAN}, {0.5, 1}};
    clv_workload *workload;
    assert_ok(clv_workload_parse_json("tasks", text, strlen(text), &workload));
    assert_ok(clv_workload_add_pieces(workload, 0, half));
    check_part(&workload->tasks[0].splits[0], 0.5, 0.6);
    check_part(&workload->tasks[0].splits[0], 0.75, 0.8);
    check_part(&workload->tasks[0].splits[0], 0.25, 0.4);
    check_part(&workload->tasks[0].splits[0], 1, 1);
    assert_ok(clv_workload_add_pieces(workload, 0, again));
    assert_ok(clv_workload_add_pieces(workload, 0, most));
    assert_ok(clv_workload_add_pieces(workload, 0, quarter));
    assert_ok(clv_workload_add_pieces(workload, 1, unknown));
    assert_ok(clv_workload_add_pieces(workload, 2, half)); /* nobody has it */
    assert_ok(clv_workload_verify(workload));
    const clv_task_split *split = &workload->tasks[0].splits[0];
    assert_int_equal(split->num_measured, 3);
    check_part(split, 0.25, 0.4);
    check_part(split, 0.375, 0.5);
    check_part(split, 0.5, 0.6);
    check_part(split, 0.625, 0.6);
    check_part(split, 0.75, 0.6);
    check_part(split, 0.875, 0.8);
    check_part(split, 0.125, 0.3);
    check_part(&workload->tasks[0].splits[1], 0.25, 0.625);
    clv_workload_destroy(workload);
}

/* What reads operands that are cut another way than it was measured with copies them: 64 KB at 10
 * GB/s, read and written, are 12.8 us. */
static void operands_that_are_cut_otherwise_are_put_together(void **state) {
    (void)state;
    static const char *const text =
        "{\"tasks\":["
        "{\"name\":\"a\",\"time_us\":80,\"flops\":1,\"output_dims\":[1,4,8],\"splits\":["
        "{\"name\":\"channels\",\"axis\":1,\"extent\":4},{\"name\":\"rows\",\"axis\":2,\"extent\":"
        "8}]},"
        "{\"name\":\"b\",\"flops\":1,\"output_dims\":[1,4,8],\"splits\":["
        "{\"name\":\"channels\",\"axis\":1,\"extent\":4,\"fixed_share\":3},"
        "{\"name\":\"rows\",\"axis\":2,\"extent\":8,\"inputs\":{\"a\":{\"need\":\"slice\",\"axis\":"
        "2}}}]}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":64000}]}";
    static const double us[] = {(double)NAN, 40};
    enum { WHOLE = -1, CHANNELS, ROWS };
    static const struct {
        int from, to;
        double gather_us;
    } cases[] = {
        {CHANNELS, CHANNELS, 0}, {ROWS, ROWS, 0},     {WHOLE, WHOLE, 0},
        {CHANNELS, WHOLE, 0},    {ROWS, WHOLE, 12.8}, {ROWS, CHANNELS, 12.8},
        {CHANNELS, ROWS, 19.2},  {WHOLE, ROWS, 6.4},  {WHOLE, CHANNELS, 0},
    };
    clv_machine *machine;
    assert_ok(clv_machine_parse_text("host bw=10G; core peak=1G; core peak=1G", &machine));
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        const bool is_measured = i % 2 == 0;
        const int from = cases[i / 2].from, to = cases[i / 2].to;
        clv_workload *workload;
        clv_costs *costs;
        assert_ok(clv_workload_parse_json("tasks", text, strlen(text), &workload));
        if (is_measured) {
            assert_ok(clv_workload_add_measured(workload, "core", us, NULL));
        }
        assert_ok(clv_workload_verify(workload));
        assert_ok(clv_costs_create(workload, machine, &costs));
        clv_piece pieces[4] = {{0, 0, from == ROWS ? 4 : 2}, {1, 2, 4}, {0, 0, to == ROWS ? 4 : 2}};
        clv_placement placements[2] = {
            {.num_pieces = from == WHOLE ? 1 : 2, .split = from},
            {.first_piece = 2, .num_pieces = to == WHOLE ? 1 : 2, .split = to}};
        const clv_group group = {.placements = placements, .pieces = pieces, .num_pieces = 4};
        const double gather_us = is_measured ? cases[i / 2].gather_us : 0;
        const double piece_us = clv_piece_time_us(costs, 1, &placements[1], &pieces[2]);
        const double group_us = clv_group_piece_us(costs, &group, 1, &pieces[2]);
        assert_true(fabs(group_us - piece_us - gather_us) < 1e-9);
        /* halves by channels take twice as long as the whole */
        assert_true(
            !is_measured || fabs(
                                piece_us - (to == CHANNELS ? 80
                                            : to == ROWS   ? 20
                                                           : 40)) < 1e-9);
        clv_costs_destroy(costs);
        clv_workload_destroy(workload);
    }
    clv_machine_destroy(machine);
}

static clv_group group_on(uint32_t unit, const clv_placement *placements, clv_piece *piece) {
    *piece = (clv_piece){.unit = unit};
    return (clv_group){
        .placements = (clv_placement *)placements,
        .pieces = piece,
        .num_pieces = 1,
        .num_stages = 1,
        .share = 0.5,
        .depth = 1,
        .latency_us = 90,
    };
}

/* Two cores, of which each takes 1.2 times as long while the other is at work, at the same task or
 * at one that is slowed down less. Neither is slowed down alone, whatever its speed. */
static void neighbours_slow_down_as_they_were_measured_to(void **state) {
    (void)state;
    static const double core_us[] = {40, 10, 50}, draws[] = {0.6, 0.5, 0.6};
    static const char *const machines[] = {
        "host bw=10G; core peak=1G bw=7G; core peak=1G bw=7G",
        "host bw=10G; core peak=1G bw=7G; core peak=1G bw=7G speed=0.5"};
    static const clv_placement placements[] = {
        {.num_pieces = 1, .split = -1},
        {.num_pieces = 1, .split = -1},
        {.num_pieces = 1, .split = -1}};
    for (size_t i = 0; i < 2; i++) {
        clv_workload *workload = parse();
        clv_machine *machine;
        clv_costs *costs;
        clv_evaluator *ev;
        double us[2];
        clv_piece pieces[2];
        workload->tasks[1].num_times = 0;
        assert_ok(clv_machine_parse_text(machines[i], &machine));
        assert_ok(clv_workload_add_measured(workload, "core", core_us, draws));
        assert_ok(clv_workload_verify(workload));
        assert_ok(clv_costs_create(workload, machine, &costs));
        assert_ok(clv_evaluator_create(costs, &ev));
        clv_group groups[2] = {
            group_on(0, placements, &pieces[0]), group_on(1, placements, &pieces[1])};
        assert_ok(clv_evaluate_sharing(ev, groups, 2, us));
        const double want_us = 90 * 1.2 + 10, speed = machine->units[1].speed;
        assert_true(fabs(us[0] - want_us) < 1e-6 * want_us);
        assert_true(fabs(us[1] - want_us / speed) < 1e-6 * want_us / speed);
        assert_ok(clv_evaluate_sharing(ev, groups, 1, us));
        assert_true(us[0] == 0 || fabs(us[0] - 100) < 1e-6); /* 0: nothing is slowed down */
        clv_evaluator_destroy(ev);
        clv_costs_destroy(costs);
        clv_machine_destroy(machine);
        clv_workload_destroy(workload);
    }
}

/* Half of what b reads was written by the other unit: 32 kB at 1 GB/s. A view between them wrote
 * nothing. Halves by rows were measured so. */
static void what_others_wrote_takes_longer_to_read(void **state) {
    (void)state;
    static const char *const text =
        "{\"tasks\":["
        "{\"name\":\"a\",\"flops\":1,\"output_dims\":[8],\"splits\":["
        "{\"name\":\"rows\",\"axis\":0,\"extent\":8}]},"
        "{\"name\":\"view\",\"time_us\":0,\"output_dims\":[8]},"
        "{\"name\":\"b\",\"flops\":1,\"output_dims\":[8],\"splits\":["
        "{\"name\":\"rows\",\"axis\":0,\"extent\":8,\"inputs\":{\"a\":{\"need\":\"slice\","
        "\"axis\":0}}}]}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":64000},"
        "{\"from\":\"a\",\"to\":\"view\",\"bytes\":64000},"
        "{\"from\":\"view\",\"to\":\"b\",\"bytes\":64000}]}";
    static const double us[] = {10, (double)NAN, 40};
    clv_machine *machine;
    clv_workload *workload;
    clv_costs *costs;
    assert_ok(clv_machine_parse_text("core peak=1G; core peak=1G", &machine));
    machine->memories[0].exchange = 1e9;
    assert_ok(clv_workload_parse_json("tasks", text, strlen(text), &workload));
    assert_ok(clv_workload_add_measured(workload, "core", us, NULL));
    assert_ok(clv_costs_create(workload, machine, &costs));
    clv_piece pieces[] = {{0, 0, 4}, {1, 4, 8}, {0, 0, 8}, {1, 0, 4}, {0, 4, 8}};
    clv_placement placements[3] = {
        {.num_pieces = 2, .split = 0},
        {.first_piece = 2, .num_pieces = 1, .split = -1},
        {.first_piece = 2, .num_pieces = 1, .split = -1}};
    const clv_group group = {.placements = placements, .pieces = pieces, .num_pieces = 5};
    const double whole_us = clv_piece_time_us(costs, 2, &placements[2], &pieces[2]);
    assert_true(fabs(clv_group_piece_us(costs, &group, 2, &pieces[2]) - whole_us - 64) < 1e-9);
    assert_true(clv_group_piece_us(costs, &group, 1, &pieces[2]) < 1); /* the view reads nothing */
    placements[2] = (clv_placement){.num_pieces = 2, .split = 0};
    const double piece_us = clv_piece_time_us(costs, 2, &placements[2], &pieces[0]);
    const double group_us = clv_group_piece_us(costs, &group, 2, &pieces[0]);
    assert_true(group_us - piece_us < 32.5); /* at most what comes through the view */
    clv_costs_destroy(costs);
    clv_machine_destroy(machine);
    clv_workload_destroy(workload);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_that_were_not_measured_keep_estimates),
        cmocka_unit_test(pieces_take_what_they_were_measured_to),
        cmocka_unit_test(what_others_wrote_takes_longer_to_read),
        cmocka_unit_test(operands_that_are_cut_otherwise_are_put_together),
        cmocka_unit_test(neighbours_slow_down_as_they_were_measured_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
