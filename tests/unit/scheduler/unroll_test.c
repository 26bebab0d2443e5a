/* What is sent of a tensor that many read, by hand. */
#include "scheduler/unroll.h"

#include "host/base/memory.h"
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_BYTES = 16 };

typedef struct rig {
    clv_workload *workload;
    clv_machine *machine;
    clv_costs *costs;
    clv_group group;
} rig;

/* `num_readers` of the rows of x, an input; with halos reader i needs i % 13 rows before its own
 * and half as many behind them. */
static void set_up(rig *r, uint32_t num_readers, uint32_t num_rows, bool has_halos) {
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    fprintf(file, "{\"tasks\":[");
    for (uint32_t i = 0; i < num_readers; i++) {
        const uint32_t halo = has_halos ? i % 13 : 0;
        fprintf(
            file,
            "%s{\"name\":\"r%u\",\"time_us\":5,\"splits\":[{\"name\":\"rows\",\"extent\":%u,"
            "\"inputs\":{\"x\":{\"need\":\"slice\",\"axis\":0,\"before\":%u,\"after\":%u}}}]}",
            i > 0 ? "," : "", i, num_rows, halo, halo / 2);
    }
    fprintf(
        file, "],\"edges\":[{\"tensor\":\"x\",\"bytes\":%u,\"dims\":[%u,4],\"to\":[",
        num_rows * ROW_BYTES, num_rows);
    for (uint32_t i = 0; i < num_readers; i++) {
        fprintf(file, "%s\"r%u\"", i > 0 ? "," : "", i);
    }
    fprintf(file, "]}]}");
    fclose(file);
    *r = (rig){.group = {.num_stages = 1, .share = 1, .depth = 1}};
    assert_ok(clv_workload_parse_json("test", text, size, &r->workload));
    free(text);
    assert_ok(clv_machine_parse_text("core; gpu*2; link gpu* host bw=1G", &r->machine));
    assert_ok(clv_costs_create(r->workload, r->machine, &r->costs));
    r->group.placements = clv_alloc_zeroed(num_readers, sizeof *r->group.placements);
    r->group.pieces = clv_alloc_zeroed(2 * (size_t)num_readers, sizeof *r->group.pieces);
}

/* Rows up to `end` on a unit (1 or 2), the rest on the other. */
static void place(rig *r, uint32_t task, uint32_t unit, int64_t end) {
    const int64_t extent = r->workload->tasks[task].splits[0].extent;
    r->group.placements[task] =
        (clv_placement){.first_piece = r->group.num_pieces, .num_pieces = 2, .reason = "by hand"};
    r->group.pieces[r->group.num_pieces++] = (clv_piece){unit, 0, end};
    r->group.pieces[r->group.num_pieces++] = (clv_piece){3 - unit, end, extent};
}

/* Rows of each transfer to a unit, in the order of the transfers; returns how many there are. */
static uint32_t list_sends(const rig *r, uint32_t unit, uint32_t most, uint64_t *out_rows) {
    uint32_t scratch[3] = {CLV_NO_INDEX, CLV_NO_INDEX, CLV_NO_INDEX}, count = 0;
    clv_unrolled unrolled;
    assert_ok(clv_unroll_group(r->costs, &r->group, 1, scratch, &unrolled));
    for (size_t i = 0; i < unrolled.num_steps; i++) {
        const clv_schedule_step *step = &unrolled.steps[i];
        if (step->kind == CLV_SCHEDULE_SEND && step->piece == unit) {
            assert_true(count < most);
            out_rows[count++] = step->bytes / ROW_BYTES;
        }
    }
    clv_unrolled_deinit(&unrolled);
    return count;
}

static void tear_down(rig *r) {
    clv_free(r->group.placements);
    clv_free(r->group.pieces);
    clv_costs_destroy(r->costs);
    clv_machine_destroy(r->machine);
    clv_workload_destroy(r->workload);
}

/* Each unit gets what all its readers need at once. Looking at all of them for each is 10^9 looks
 * here. */
static void many_readers_share_a_transfer(void **state) {
    (void)state;
    enum { READERS = 20000, ROWS = 4096 };
    uint64_t rows[1];
    rig r;
    set_up(&r, READERS, ROWS, true);
    for (uint32_t i = 0; i < READERS; i++) {
        place(&r, i, 1, ROWS / 2);
    }
    assert_int_equal(list_sends(&r, 1, 1, rows), 1);
    assert_int_equal(rows[0], ROWS / 2 + 6);
    assert_int_equal(list_sends(&r, 2, 1, rows), 1);
    assert_int_equal(rows[0], ROWS / 2 + 12);
    tear_down(&r);
}

/* Rows 0 to 12 and 50 to 64 hang together; what lies between goes to the other unit alone, which
 * needs them all. */
static void what_lies_apart_goes_apart(void **state) {
    (void)state;
    uint64_t rows[2];
    rig r;
    set_up(&r, 4, 64, false);
    place(&r, 0, 1, 8);
    place(&r, 1, 2, 50);
    place(&r, 2, 1, 12);
    place(&r, 3, 2, 60);
    assert_int_equal(list_sends(&r, 1, 2, rows), 2);
    assert_int_equal(rows[0], 12);
    assert_int_equal(rows[1], 14);
    assert_int_equal(list_sends(&r, 2, 2, rows), 1);
    assert_int_equal(rows[0], 64);
    tear_down(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_readers_share_a_transfer),
        cmocka_unit_test(what_lies_apart_goes_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
