/* OpenCL calls that fail in the middle of a pipeline over several units, with requests in flight:
 * the n-th call of every function that runs use, a user event that fails what waits for it, a
 * device that refuses to build, memory that runs out; by static and by dynamic schedules. Every
 * request ends; one at least with an error that names unit, step and OpenCL error, and none that
 * says it went well has wrong outputs. The session then runs as ever, and everything is released at
 * its end. And what is called when all goes well: who enqueues never waits for a device, and queues
 * wait for each other by events. */
#include "host/base/random.h"
#include "host/base/threads.h"
#include "tests/exec/net.h"
#include "tests/exec/rig.h"
#include "tests/support/check.h"
#include "tests/support/cl_shim.h"
#include "tests/support/random_plan.h"
#include "tests/support/sample.h"
#include <stdio.h>
#include <stdlib.h>

enum { NUM_REQUESTS = 4, MAX_UNITS = 3, NUM_OUTPUTS = 8 };

static clv_rig rig;
static clv_graph *graph;
static clv_view inputs[NUM_OUTPUTS];
static clv_mutable_view wanted[NUM_OUTPUTS], outputs[NUM_REQUESTS][NUM_OUTPUTS];

static const char *const sets[][MAX_UNITS + 1] = {
    {"core:0", "core:1", "core:2"},
    {"core:0", "threaded", "core:1"},
    {"threaded", "threaded#2"},
    {"threaded", "core:0{link=4G}"},
    {"core:0", "threaded{speed=0.5,link=2G,latency=5us}"},
    {"core:0", "other", "threaded"},
};

typedef struct unit_set {
    clv_exec_unit units[MAX_UNITS];
    uint32_t num_units;
    bool is_one_driver;
} unit_set;

static bool open_set(const char *const *names, unit_set *set) {
    memset(set, 0, sizeof *set);
    set->is_one_driver = true;
    for (uint32_t i = 0; names[i] != NULL; i++) {
        char text[96];
        if (!clv_rig_resolve(&rig, names[i], text, sizeof text)) {
            print_message("no unit '%s' is here: skipped\n", names[i]);
            return false;
        }
        set->is_one_driver = set->is_one_driver && strcmp(names[i], "other") != 0;
        assert_ok(clv_rig_open(&rig, text, true, &set->units[set->num_units++]));
    }
    return true;
}

static void close_set(unit_set *set) {
    for (uint32_t i = 0; i < set->num_units; i++) {
        clv_rig_close(&set->units[i]);
    }
}

/* --- several requests at once ---------------------------------------------------------------- */

/* Of all requests there ever were: it outlives those who still wake others by it. */
static clv_signal ended;
static uint32_t num_submitted;

enum { SOMETHING_ELSE = 0x5a };

typedef struct ending {
    clv_status *status;
    int request;
} ending;

static bool has_failed[NUM_REQUESTS];

static size_t bytes_of(const clv_mutable_view *view) {
    return clv_view_bytes(view->dtype, &view->shape);
}

/* The memory of a request that failed is used for something else at once. */
static void on_done(void *context, clv_status *status) {
    ending *e = context;
    has_failed[e->request] = status != NULL;
    for (size_t k = 0; status != NULL && k < graph->num_outputs; k++) {
        const clv_mutable_view *o = &outputs[e->request][k];
        memset(o->data, SOMETHING_ELSE, bytes_of(o));
    }
    e->status = status;
    clv_signal_add(&ended, 1);
}

/* Nothing that failed earlier has written to it since. */
static void check_failed_outputs(void) {
    for (int i = 0; i < NUM_REQUESTS; i++) {
        for (size_t k = 0; has_failed[i] && k < graph->num_outputs; k++) {
            const clv_mutable_view *o = &outputs[i][k];
            for (size_t j = 0; j < bytes_of(o); j++) {
                if (((const unsigned char *)o->data)[j] != SOMETHING_ELSE) {
                    fail_msg("output %zu of request %d was written after its end", k, i);
                }
            }
        }
        has_failed[i] = false;
    }
}

/* All requests; the first failure. Those that went well have what is wanted. */
static clv_status *run_all(clv_session *session, const unit_set *set) {
    ending endings[NUM_REQUESTS];
    clv_status *first = NULL;
    check_failed_outputs();
    for (int i = 0; i < NUM_REQUESTS; i++) {
        endings[i] = (ending){.request = i};
        for (size_t k = 0; k < graph->num_outputs; k++) {
            const clv_mutable_view *o = &outputs[i][k];
            memset(o->data, 0xee, clv_view_bytes(o->dtype, &o->shape));
        }
    }
    for (int i = 0; i < NUM_REQUESTS; i++) {
        assert_ok(clv_session_submit(
            session, inputs, graph->num_inputs, outputs[i], graph->num_outputs, on_done,
            &endings[i]));
    }
    num_submitted += NUM_REQUESTS;
    clv_signal_wait(&ended, num_submitted, 0);
    for (int i = 0; i < NUM_REQUESTS; i++) {
        for (size_t k = 0; endings[i].status == NULL && k < graph->num_outputs; k++) {
            const clv_mutable_view *o = &outputs[i][k], *w = &wanted[k];
            if (set->is_one_driver &&
                memcmp(o->data, w->data, clv_view_bytes(o->dtype, &o->shape)) != 0) {
                fail_msg("request %d went well and its output %zu is wrong", i, k);
            }
        }
        if (first == NULL) {
            first = endings[i].status;
        } else {
            clv_status_destroy(endings[i].status);
        }
    }
    return first;
}

static bool names_unit(const char *text, const unit_set *set) {
    for (uint32_t i = 0; i < set->num_units; i++) {
        char name[32];
        clv_device_unit_name(&set->units[i].devices[0]->info, name);
        if (strstr(text, name) != NULL) {
            return true;
        }
    }
    return false;
}

/* A node, or a piece of one, or a graph's input or output, in quotes. */
static bool names_step(const char *text) {
    for (size_t i = 0; i < graph->num_tensors + graph->num_nodes; i++) {
        char quoted[160];
        const char *name = i < graph->num_tensors ? graph->tensors[i].name
                                                  : graph->nodes[i - graph->num_tensors].name;
        const int length = snprintf(quoted, sizeof quoted, "'%s", name);
        const char *at = strstr(text, quoted);
        if (at != NULL && strchr("'#[", at[length]) != NULL && at[length] != 0) {
            return true;
        }
    }
    return false;
}

/* How requests are run. */
typedef struct manner {
    uint64_t seed; /* of the plan */
    uint32_t depth;
    bool is_pipeline, is_dynamic;
} manner;

static clv_status *make_session_as(
    const unit_set *set, const manner *how, clv_session **out_session) {
    const clv_random_plan_options drawn = {
        .seed = how->seed,
        .num_units = set->num_units,
        .depth = how->depth,
        .split_share = 0.5,
        .is_pipeline = how->is_pipeline,
    };
    clv_plan *plan = NULL;
    CLV_TRY(clv_random_plan(graph, &drawn, &plan));
    const clv_session_options options = {
        .plan = plan, .profile = true, .is_dynamic = how->is_dynamic};
    clv_status *status =
        clv_session_create(graph, set->units, set->num_units, &options, out_session);
    clv_plan_destroy(plan);
    return status;
}

static clv_status *make_session(const unit_set *set, bool is_dynamic, clv_session **out_session) {
    const manner how = {.seed = 7, .depth = 3, .is_pipeline = true, .is_dynamic = is_dynamic};
    return make_session_as(set, &how, out_session);
}

/* --- faults while requests run --------------------------------------------------------------- */

/* Which calls of a session's runs fail. */
typedef struct faults {
    const unit_set *set;
    bool is_dynamic;
    bool passes; /* a user event gets a status that fails what waits for it */
} faults;

/* As many calls as runs make, more or less. */
static int64_t count_calls(clv_session *session, const unit_set *set, clv_ocl_call call) {
    const clv_shim_fault none = {.call = call, .at = -1};
    clv_shim_set_fault(&none);
    assert_ok(run_all(session, set));
    const int64_t count = clv_shim_num_calls();
    clv_shim_set_fault(NULL);
    return count;
}

/* Whether the n-th call is tried: of a dynamic schedule some. */
static bool is_tried(const faults *f, int64_t n) {
    return clv_test_is_tried((uint64_t)n) && (!f->is_dynamic || n % 5 == 0);
}

/* The n-th call for every n does nothing but fail, also for want of memory: with everything
 * allocated that is a failure of the device. How many ended in errors. */
static int fail_each(clv_session *session, const faults *f, clv_ocl_call call) {
    static const cl_int errors[] = {
        CL_OUT_OF_RESOURCES, CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_HOST_MEMORY};
    const int64_t count = count_calls(session, f->set, call);
    int num_failed = 0;
    for (int64_t n = 0; n < count; n++) {
        const clv_shim_fault fault = {
            .call = call,
            .at = n,
            .error = errors[n % 3],
            .passes = f->passes,
        };
        if (!is_tried(f, n)) {
            continue;
        }
        clv_shim_set_fault(&fault);
        clv_status *status = run_all(session, f->set);
        clv_shim_set_fault(NULL);
        const char *text = clv_status_message(status);
        if (status != NULL &&
            (clv_status_code(status) != CLV_DEVICE_FAILED || !names_unit(text, f->set) ||
             !names_step(text) || strstr(text, "CL_") == NULL)) {
            fail_msg("%s %d: '%s'", clv_ocl_call_name(call), (int)n, text);
        }
        num_failed += status != NULL;
        clv_status_destroy(status);
        assert_ok(run_all(session, f->set));
    }
    return num_failed;
}

static void fail_runs(const unit_set *set, bool is_dynamic, bool has_queues) {
    clv_session *session = NULL;
    faults f = {.set = set, .is_dynamic = is_dynamic};
    int num_launches = 0;
    assert_ok(make_session(set, is_dynamic, &session));
    assert_ok(run_all(session, set));
    for (int call = 0; call < CLV_OCL_NUM_CALLS; call++) {
        const int num_failed = fail_each(session, &f, (clv_ocl_call)call);
        num_launches += call == CLV_OCL_clEnqueueNDRangeKernel ? num_failed : 0;
    }
    const bool tries_all = !is_dynamic && clv_test_number("CLEAVE_TEST_FEWER", 1) < 2;
    assert_true(num_launches > (tries_all ? NUM_REQUESTS : 0));
    f.passes = true;
    const int num_gates = fail_each(session, &f, CLV_OCL_clSetUserEventStatus);
    assert_true((num_gates > 0) == (has_queues && !is_dynamic));
    clv_session_destroy(session);
}

static void test_running(void **state) {
    (void)state;
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        unit_set set;
        const int64_t before = clv_shim_num_objects();
        if (open_set(sets[s], &set)) {
            fail_runs(&set, false, s != 0);
            fail_runs(&set, true, s != 0);
        }
        close_set(&set);
        assert_int_equal(clv_shim_num_objects(), before);
    }
}

/* --- which calls a run makes ----------------------------------------------------------------- */

static bool is_enqueue(const clv_shim_record *record) {
    return strncmp(clv_ocl_call_name(record->call), "clEnqueue", 9) == 0;
}

/* Who made an event: the record's index; `count` where nobody has. */
static size_t maker_of(const clv_shim_record *records, size_t count, cl_event event) {
    size_t at = count;
    for (size_t i = 0; i < count; i++) { /* the last one before: drivers use handles again */
        const bool is_gate = records[i].call == CLV_OCL_clCreateUserEvent;
        if (event == records[i].event || (is_gate && event == records[i].object)) {
            at = i;
        }
    }
    return at;
}

/* Waits of commands for commands of other queues, and for gates. */
typedef struct wait_counts {
    int others, gates;
} wait_counts;

static wait_counts check_calls(const clv_shim_record *records, size_t count) {
    wait_counts counts = {0};
    for (size_t i = 0; i < count; i++) {
        if (!is_enqueue(&records[i])) {
            continue;
        }
        assert_false(records[i].is_blocking);
        for (size_t k = 0; k < count; k++) {
            if (records[k].thread == records[i].thread && records[k].is_blocking) {
                fail_msg("%s by a thread that enqueues", clv_ocl_call_name(records[k].call));
            }
        }
        for (uint32_t w = 0; w < records[i].num_waits && w < CLV_SHIM_MAX_WAITS; w++) {
            const size_t at = maker_of(records, i, records[i].waits[w]);
            const bool is_known = at != i;
            counts.gates += is_known && !is_enqueue(&records[at]);
            counts.others +=
                is_known && is_enqueue(&records[at]) && records[at].object != records[i].object;
        }
    }
    return counts;
}

static void test_calls(void **state) {
    (void)state;
    for (size_t s = 1; s < 3; s++) {
        unit_set set;
        clv_session *session = NULL;
        size_t count = 0;
        const int64_t before = clv_shim_num_objects();
        if (open_set(sets[s], &set)) {
            assert_ok(make_session(&set, false, &session));
            assert_ok(run_all(session, &set)); /* first launches on PoCL wait for the device */
            assert_true(clv_shim_start(10000));
            assert_ok(run_all(session, &set));
            const clv_shim_record *records = clv_shim_stop(&count);
            assert_non_null(records);
            const wait_counts counts = check_calls(records, count);
            assert_true(counts.others >= NUM_REQUESTS);
            assert_true(counts.gates >= NUM_REQUESTS);
            clv_session_destroy(session);
        }
        close_set(&set);
        assert_int_equal(clv_shim_num_objects(), before);
    }
}

/* --- faults while a session is made ---------------------------------------------------------- */

static void fail_making(clv_ocl_call call, cl_int error, clv_code code, const char *name) {
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        unit_set set;
        const int64_t before = clv_shim_num_objects();
        const bool is_there = open_set(sets[s], &set);
        bool has_happened = is_there;
        for (int64_t n = 0; has_happened; n++) {
            clv_session *session = NULL;
            const clv_shim_fault fault = {.call = call, .at = n, .error = error, .stays = true};
            clv_shim_set_fault(&fault);
            clv_status *status = make_session(&set, false, &session);
            has_happened = clv_shim_has_failed();
            clv_shim_set_fault(NULL);
            const char *text = clv_status_message(status);
            if (has_happened != (status != NULL) ||
                (status != NULL && (clv_status_code(status) != code || !names_unit(text, &set) ||
                                    strstr(text, name) == NULL))) {
                fail_msg("%s %d: '%s'", clv_ocl_call_name(call), (int)n, text);
            }
            assert_true(n > 0 || has_happened);
            clv_status_destroy(status);
            clv_session_destroy(session);
        }
        if (is_there) {
            clv_session *session = NULL;
            assert_ok(make_session(&set, false, &session));
            assert_ok(run_all(session, &set));
            clv_session_destroy(session);
        }
        close_set(&set);
        assert_int_equal(clv_shim_num_objects(), before);
    }
}

static void test_no_build(void **state) {
    (void)state;
    fail_making(
        CLV_OCL_clBuildProgram, CL_BUILD_PROGRAM_FAILURE, CLV_DEVICE_FAILED,
        "CL_BUILD_PROGRAM_FAILURE (-11)");
}

static void test_no_memory(void **state) {
    (void)state;
    fail_making(
        CLV_OCL_clCreateBuffer, CL_MEM_OBJECT_ALLOCATION_FAILURE, CLV_NO_MEMORY,
        "CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)");
}

/* --- anything at any time --------------------------------------------------------------------- */

/* What opens gates must work in the end. Intel's runtime may crash where a user event fails. */
static clv_shim_fault draw_fault(clv_random *random, const unit_set *set) {
    static const cl_int errors[] = {
        CL_OUT_OF_RESOURCES, CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_HOST_MEMORY,
        CL_INVALID_COMMAND_QUEUE};
    const clv_ocl_call call = (clv_ocl_call)clv_random_below(random, CLV_OCL_NUM_CALLS);
    const bool opens = call == CLV_OCL_clSetUserEventStatus;
    return (clv_shim_fault){
        .call = call,
        .error = errors[clv_random_below(random, 4)],
        .stays = clv_random_below(random, 4) == 0 && !opens,
        .passes = clv_random_below(random, 2) == 0 && opens && set->is_one_driver,
    };
}

static void check_error(clv_status *status, const unit_set *set, bool runs, const char *what) {
    const char *text = clv_status_message(status);
    const clv_code code = clv_status_code(status);
    const bool is_right = code == CLV_DEVICE_FAILED || (!runs && code == CLV_NO_MEMORY);
    if (status != NULL && (!is_right || !names_unit(text, set) || (runs && !names_step(text)) ||
                           strstr(text, "CL_") == NULL)) {
        fail_msg("%s: %s: '%s'", what, clv_code_name(code), text);
    }
    clv_status_destroy(status);
}

/* A call fails while a session is made or runs, however that is; then all goes as ever. */
static void fail_somewhere(clv_random *random, const unit_set *set, const char *what) {
    clv_session *session = NULL;
    const manner how = {
        .seed = clv_random_below(random, 1000),
        .depth = 1 + (uint32_t)clv_random_below(random, 4),
        .is_pipeline = clv_random_below(random, 2) == 0,
        .is_dynamic = clv_random_below(random, 3) == 0,
    };
    clv_shim_fault fault = draw_fault(random, set);
    fault.at = (int64_t)clv_random_below(random, 60);
    if (clv_random_below(random, 4) == 0) {
        clv_shim_set_fault(&fault);
        clv_status *status = make_session_as(set, &how, &session);
        clv_shim_set_fault(NULL);
        check_error(status, set, false, what);
        clv_session_destroy(session);
        session = NULL;
    }
    assert_ok(make_session_as(set, &how, &session));
    for (int i = 0; i < 3; i++) {
        const int64_t count = count_calls(session, set, fault.call);
        fault.at = (int64_t)clv_random_below(random, (uint64_t)count + 1);
        clv_shim_set_fault(&fault);
        clv_status *status = run_all(session, set);
        clv_shim_set_fault(NULL);
        check_error(status, set, true, what);
    }
    assert_ok(run_all(session, set));
    clv_session_destroy(session);
}

static void test_anything(void **state) {
    (void)state;
    const uint64_t first = clv_test_number("CLEAVE_TEST_SEED", 0) * 1000;
    const uint64_t count = clv_test_number("CLEAVE_TEST_CASES", 12);
    for (uint64_t seed = first; seed < first + count; seed++) {
        unit_set set;
        clv_random random;
        char what[64];
        const int64_t before = clv_shim_num_objects();
        clv_random_init(&random, seed);
        snprintf(what, sizeof what, "seed %llu", (unsigned long long)seed);
        const size_t s = clv_random_below(&random, sizeof sets / sizeof sets[0]);
        if (!clv_test_is_tried(seed - first)) {
            continue;
        }
        if (open_set(sets[s], &set)) {
            fail_somewhere(&random, &set, what);
        }
        close_set(&set);
        if (clv_shim_num_objects() != before) {
            fail_msg("%s: objects are left", what);
        }
    }
}

/* --------------------------------------------------------------------------------------------- */

/* Operators that do not become one. */
static clv_status *make_graph(void) {
    clv_net net;
    clv_net_init(&net, 4);
    clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(6, 8));
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%d", i);
        const clv_tensor_id w = clv_net_weight(&net, name, DIMS(8, 8));
        snprintf(name, sizeof name, "matmul%d", i);
        x = clv_net_node(&net, "MatMul", name, IDS(x, w), "");
        snprintf(name, sizeof name, "softmax%d", i);
        x = clv_net_node(&net, "Softmax", name, IDS(x), "axis=1");
    }
    clv_net_output(&net, x);
    return clv_net_finish(&net, &graph);
}

static int create(void **state) {
    (void)state;
    clv_exec_unit core;
    clv_session *session = NULL;
    assert_ok(clv_rig_init(&rig, 3, 2));
    assert_ok(make_graph());
    assert_ok(clv_net_inputs(graph, 3, inputs));
    assert_ok(clv_net_outputs(graph, wanted));
    for (int i = 0; i < NUM_REQUESTS; i++) {
        assert_ok(clv_net_outputs(graph, outputs[i]));
    }
    assert_ok(clv_rig_open(&rig, "core:0", false, &core));
    assert_ok(clv_session_create(graph, &core, 1, NULL, &session));
    assert_ok(clv_session_run(session, inputs, graph->num_inputs, wanted, graph->num_outputs));
    clv_session_destroy(session);
    clv_rig_close(&core);
    return 0;
}

static int destroy(void **state) {
    (void)state;
    clv_net_free_inputs(graph, inputs);
    clv_net_free_outputs(graph, wanted);
    for (int i = 0; i < NUM_REQUESTS; i++) {
        clv_net_free_outputs(graph, outputs[i]);
    }
    clv_graph_destroy(graph);
    clv_rig_deinit(&rig);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),    cmocka_unit_test(test_running),
        cmocka_unit_test(test_no_build), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
