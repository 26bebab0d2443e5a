/* What a session records, on the null driver: a core and a device with queues, a copy of the graph
 * each; and how clocks are brought together. */
#include "host/base/threads.h"
#include "host/exec/device_clock.h"
#include "host/exec/session.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { NUM_UNITS = 2, MAX_OPERANDS = 8, NUM_RECORDED = 3, NUM_REQUESTS = 12 };

typedef struct fixture {
    clv_device *devices[NUM_UNITS];
    clv_exec_unit units[NUM_UNITS];
    clv_graph *graph;
    clv_view inputs[MAX_OPERANDS];
    clv_mutable_view outputs[MAX_OPERANDS];
    clv_session *session;
} fixture;

static void *bytes_for(const clv_tensor *tensor) {
    void *data = calloc(1, clv_view_bytes(tensor->dtype, &tensor->shape) + 1);
    assert_non_null(data);
    return data;
}

/* What kernels of the second unit took. */
static _Atomic uint64_t inside_ns;

static void run_timed(const clv_null_launch *launch) {
    const uint64_t begin_ns = clv_time_ns();
    clv_hash_find(launch->entry)(launch);
    atomic_fetch_add(&inside_ns, clv_time_ns() - begin_ns);
}

static clv_null_function find_timed(const char *entry) {
    return clv_hash_find(entry) != NULL ? run_timed : NULL;
}

/* A core and a device with queues, of that speed, a copy of the graph each; or one copy on two
 * cores that take what is ready. */
static void make_fixture(fixture *f, uint32_t num_recorded, bool is_dynamic, double speed) {
    memset(f, 0, sizeof *f);
    for (int i = 0; i < NUM_UNITS; i++) {
        const bool is_core = i == 0 || is_dynamic;
        const clv_null_options options = {
            .kind = is_core ? CLV_DEVICE_CORE : CLV_DEVICE_GPU,
            .index = is_core ? i : 0,
            .find = i == 0 ? clv_hash_find : find_timed};
        assert_ok(clv_null_device_create(&options, &f->devices[i]));
        f->units[i] = (clv_exec_unit){.devices = &f->devices[i], .num_devices = 1};
        clv_unit_name_init(
            &f->units[i].name, is_core ? CLV_UNIT_CORE : CLV_UNIT_GPU, 0, is_core ? i : 0);
        f->units[i].name.limits.speed = is_core ? 1 : speed;
    }
    const clv_hash_graph_options graph = {
        .seed = 7, .num_nodes = 12, .max_bytes = 200, .max_items = 4};
    assert_ok(clv_hash_graph_create(&graph, &f->graph));
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        const clv_tensor *t = &f->graph->tensors[f->graph->inputs[i]];
        f->inputs[i] = (clv_view){.dtype = t->dtype, .shape = t->shape, .data = bytes_for(t)};
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        const clv_tensor *t = &f->graph->tensors[f->graph->outputs[i]];
        f->outputs[i] =
            (clv_mutable_view){.dtype = t->dtype, .shape = t->shape, .data = bytes_for(t)};
    }
    clv_placement *placements = calloc(f->graph->num_nodes, sizeof *placements);
    clv_piece pieces[NUM_UNITS] = {{.unit = 0}, {.unit = 1}};
    clv_group groups[NUM_UNITS];
    assert_non_null(placements);
    for (size_t i = 0; i < f->graph->num_nodes; i++) {
        placements[i] = (clv_placement){
            .num_pieces = 1, .first_piece = is_dynamic ? i % NUM_UNITS : 0, .split = -1};
    }
    for (int g = 0; g < NUM_UNITS; g++) {
        groups[g] = (clv_group){
            .placements = placements,
            .pieces = is_dynamic ? pieces : &pieces[g],
            .num_pieces = is_dynamic ? NUM_UNITS : 1,
            .num_stages = 1,
            .share = is_dynamic ? 1 : 0.5,
            .depth = 2};
    }
    const clv_plan plan = {.groups = groups, .num_groups = is_dynamic ? 1 : NUM_UNITS};
    const clv_session_options options = {
        .plan = &plan, .num_recorded = num_recorded, .is_dynamic = is_dynamic};
    assert_ok(clv_session_create(f->graph, f->units, NUM_UNITS, &options, &f->session));
    free(placements);
}

static void free_fixture(fixture *f) {
    clv_session_destroy(f->session);
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        free((void *)f->inputs[i].data);
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        free(f->outputs[i].data);
    }
    clv_graph_destroy(f->graph);
    for (int i = 0; i < NUM_UNITS; i++) {
        assert_int_equal(clv_null_num_objects(f->devices[i]), 0);
        f->devices[i]->vtable->destroy(f->devices[i]);
    }
}

static void run(fixture *f, int count) {
    for (int i = 0; i < count; i++) {
        assert_ok(clv_session_run(
            f->session, f->inputs, f->graph->num_inputs, f->outputs, f->graph->num_outputs));
    }
}

static void check_record(const clv_record *record) {
    clv_accounts *accounts;
    double busy_us = 0;
    assert_true(record->wall_us > 0);
    for (uint32_t r = 0; r < record->num_requests; r++) {
        const clv_record_request *request = &record->requests[r];
        const clv_record_group *group = &record->groups[request->group];
        for (uint32_t i = group->first_step; i < group->first_step + group->num_steps; i++) {
            const clv_record_step *step = &record->steps[i];
            const clv_record_time *times = &record->times[request->first_time + step->first_time];
            uint32_t num_at_it = 0;
            for (uint32_t k = 0; k < step->num_lanes; k++) {
                if (isnan(times[k].end_us)) {
                    continue;
                }
                num_at_it++;
                assert_true(clv_record_lane_of(record, step, k).unit < NUM_UNITS);
                assert_true(times[k].start_us >= request->submitted_us);
                assert_true(times[k].end_us >= times[k].start_us);
                assert_true(times[k].end_us <= request->ended_us);
            }
            assert_true(num_at_it >= 1);
        }
    }
    assert_ok(clv_accounts_create(record, &accounts));
    for (uint32_t u = 0; u < NUM_UNITS; u++) {
        const clv_account *a = &accounts->units[u];
        assert_true(record->is_dynamic || (a->busy_us > 0 && a->transfer_us > 0));
        busy_us += a->busy_us;
        const double sum_us = a->busy_us + a->transfer_us + a->data_us + a->buffer_us +
                              a->place_us + a->overhead_us + a->idle_us;
        assert_true(fabs(sum_us - record->wall_us) < 1e-6 * record->wall_us);
    }
    assert_true(busy_us > 0);
    clv_accounts_destroy(accounts);
}

/* Whoever was at a step is known, and all that it waited for. */
static void lanes_that_take_what_is_ready(void **state) {
    (void)state;
    fixture f;
    clv_record *record;
    make_fixture(&f, NUM_RECORDED, true, 1);
    run(&f, 2);
    assert_ok(clv_session_record(f.session, &record));
    assert_true(record->is_dynamic && record->num_requests == 2 && record->num_waits > 0);
    for (uint32_t i = 0; i < record->num_steps; i++) {
        const clv_record_step *step = &record->steps[i];
        assert_int_equal(step->num_lanes, NUM_UNITS);
        for (uint32_t k = 0; k < step->num_waits; k++) {
            const uint32_t before = record->waits[step->first_wait + k].step;
            assert_true(before < i); /* and so it ended before it: */
            for (uint32_t r = 0; r < record->num_requests; r++) {
                const clv_record_time *times = &record->times[record->requests[r].first_time];
                double end_us = 0, start_us = record->wall_us;
                for (uint32_t lane = 0; lane < NUM_UNITS; lane++) {
                    end_us = fmax(end_us, times[record->steps[before].first_time + lane].end_us);
                    start_us = fmin(start_us, times[step->first_time + lane].start_us);
                }
                assert_true(end_us <= start_us);
            }
        }
    }
    check_record(record);
    clv_record_destroy(record);
    free_fixture(&f);
}

static void what_is_kept(void **state) {
    (void)state;
    fixture f;
    clv_record *record;
    make_fixture(&f, NUM_RECORDED, false, 1);
    assert_failed(USAGE, "no request was recorded", clv_session_record(f.session, &record));
    run(&f, 4);
    assert_ok(clv_session_record(f.session, &record));
    assert_int_equal(record->num_requests, 4);
    assert_int_equal(record->num_dropped, 0);
    assert_false(record->clocks[0].is_known);
    assert_true(record->clocks[1].is_known);
    assert_true(record->clocks[1].uncertainty_us >= 0);
    check_record(record);
    clv_record_destroy(record);
    run(&f, NUM_REQUESTS);
    assert_ok(clv_session_record(f.session, &record));
    /* three of each are kept; those that ended before the later of their first ones are not looked
     * at */
    assert_true(record->num_requests <= 2 * NUM_RECORDED - 1 && record->num_requests > 0);
    assert_int_equal(record->num_dropped + record->num_requests, NUM_REQUESTS + 4);
    check_record(record);
    clv_record_destroy(record);
    assert_ok(clv_session_begin_record(f.session));
    assert_failed(USAGE, "no request was recorded", clv_session_record(f.session, &record));
    run(&f, 2);
    assert_ok(clv_session_record(f.session, &record));
    assert_int_equal(record->num_requests, 2);
    clv_record_destroy(record);
    free_fixture(&f);
}

/* While a device is at one request, the next one's inputs come, and the outputs of the one before
 * leave: they have places of their own. */
static void transfers_beside_kernels(void **state) {
    (void)state;
    fixture f;
    clv_record *record;
    int num_inputs = 0;
    make_fixture(&f, NUM_RECORDED, false, 1);
    run(&f, 2);
    assert_ok(clv_session_record(f.session, &record));
    for (uint32_t i = 0; i < record->num_steps; i++) {
        const clv_record_step *step = &record->steps[i];
        const bool comes = step->kind == CLV_SCHEDULE_SEND && step->to_unit == 1;
        for (uint32_t k = 0; k < step->num_waits; k++) {
            const clv_record_wait *wait = &record->waits[step->first_wait + k];
            const clv_record_step *before = &record->steps[wait->step];
            const bool leaves = before->kind == CLV_SCHEDULE_SEND && before->from_unit == 1;
            if (comes || leaves) {
                assert_true(wait->lag != 1);
            }
        }
        num_inputs += comes ? 1 : 0;
    }
    assert_true(num_inputs > 0);
    clv_record_destroy(record);
    free_fixture(&f);
}

/* A device that is declared slow takes as much longer than its kernels do, one after another. */
static void slow_device(void **state) {
    (void)state;
    const double speed = 0.25;
    fixture f;
    clv_record *record;
    make_fixture(&f, NUM_REQUESTS, false, speed);
    atomic_store(&inside_ns, 0);
    run(&f, 4);
    assert_ok(clv_session_record(f.session, &record));
    check_record(record);
    const clv_record_clock *clock = &record->clocks[1];
    const double slack_us = clock->uncertainty_us + fabs(clock->drift_us) + 1e-6;
    double slow_us = 0;
    for (uint32_t r = 0; r < record->num_requests; r++) {
        const clv_record_request *request = &record->requests[r];
        const clv_record_group *group = &record->groups[request->group];
        double free_us = 0;
        for (uint32_t i = group->first_step; i < group->first_step + group->num_steps; i++) {
            const clv_record_step *step = &record->steps[i];
            const clv_record_time *time = &record->times[request->first_time + step->first_time];
            if (step->unit == 1 && step->kind == CLV_SCHEDULE_LAUNCH) {
                assert_true(time->start_us >= free_us - slack_us);
                free_us = time->end_us;
                slow_us += time->end_us - time->start_us;
            }
        }
    }
    assert_true(atomic_load(&inside_ns) > 0);
    assert_true(slow_us >= (double)atomic_load(&inside_ns) * 1e-3 / speed * (1 - 1e-9));
    clv_record_destroy(record);
    free_fixture(&f);
}

static void nothing_is_asked_for(void **state) {
    (void)state;
    fixture f;
    clv_record *record;
    make_fixture(&f, 0, false, 1);
    run(&f, 2);
    assert_failed(USAGE, "record nothing", clv_session_record(f.session, &record));
    free_fixture(&f);
}

/* The device's clock begins at 100 when the host's is at 1000, and is 10 late 2000 later. */
static void clocks(void **state) {
    (void)state;
    const clv_device_clock none = {.first = {.device_ns = 0}};
    const clv_device_clock one = {.first = {.host_ns = 1000, .device_ns = 100}};
    const clv_device_clock both = {
        .first = {.host_ns = 1000, .device_ns = 100}, .last = {.host_ns = 3010, .device_ns = 2100}};
    const clv_device_clock ahead = {.first = {.host_ns = 1000, .device_ns = 5000}};
    assert_int_equal(clv_clock_to_host(&none, 5), 5);
    assert_int_equal(clv_clock_to_host(&one, 600), 1500);
    assert_int_equal(clv_clock_to_host(&ahead, 5007), 1007);
    assert_int_equal(clv_clock_to_host(&both, 100), 1000);
    assert_int_equal(clv_clock_to_host(&both, 1100), 2005);
    assert_int_equal(clv_clock_to_host(&both, 2100), 3010);
    assert_int_equal(clv_clock_to_host(&both, 50), 950);
    assert_int_equal(clv_clock_drift_ns(&both), -10);
    assert_int_equal(clv_clock_drift_ns(&one), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_that_take_what_is_ready), cmocka_unit_test(what_is_kept),
        cmocka_unit_test(nothing_is_asked_for),          cmocka_unit_test(slow_device),
        cmocka_unit_test(transfers_beside_kernels),      cmocka_unit_test(clocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
