/* Devices that fail under requests in flight, as programs that use the library see it: several
 * threads that submit, call back and wait on a pipeline over several units, also of devices with
 * queues. Without on_failure the requests at fault end with DEVICE_FAILED and no other does; with
 * "replan" none does, as long as a unit is left. Argument: the folder tests/data. */
#include "cleave/cleave.h"
#include "host/base/memory.h"
#include "tests/support/cl_shim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    NUM_THREADS = 3,
    NUM_REQUESTS = 6,
    SIDE = 8,
    NUM_IN = 3 * SIDE * SIDE,
    NUM_OUT = 9 * NUM_IN
};

static const char *data_folder;
static char threaded[2][32]; /* names of PoCL's devices with queues */
static float input[NUM_IN], wanted[NUM_OUT];

static void assert_ok(cleave_status *status) {
    if (status != NULL) {
        print_error("%s\n%s", cleave_status_message(status), cleave_status_trail(status));
        fail();
    }
}

/* With the first and the last operator on the first and the last of several devices, whatever that
 * costs. */
static cleave_session *open_session(
    const char *devices, const char *schedule, const char *on_failure) {
    static const char *const dims[] = {"H=8", "W=8"};
    char path[1024], first[64], last[64];
    const char *comma = strrchr(devices, ',');
    const char *const pins[] = {first, last};
    snprintf(first, sizeof first, "to_ycbcr=%.*s", (int)strcspn(devices, ","), devices);
    snprintf(last, sizeof last, "to_rgb=%s", comma != NULL ? comma + 1 : devices);
    cleave_model *model = NULL;
    cleave_session *session = NULL;
    snprintf(path, sizeof path, "%s/../../models/espcn_x3.onnx", data_folder);
    assert_ok(cleave_model_load(path, &model));
    const cleave_options options = {
        .devices = devices,
        .policy = comma != NULL ? "pipeline" : "single",
        .pins = pins,
        .num_pins = comma != NULL ? 2 : 0,
        .schedule = schedule,
        .on_failure = on_failure,
        .dims = dims,
        .num_dims = 2,
        .no_calibrate = true,
    };
    assert_ok(cleave_session_create(model, &options, &session));
    cleave_model_destroy(model);
    return session;
}

/* --- many requests --------------------------------------------------------------------------- */

typedef struct request {
    float output[NUM_OUT];
    cleave_status *status;
    atomic_bool is_called;
} request;

typedef struct caller {
    cleave_session *session;
    pthread_t thread;
    int index;
    request requests[NUM_REQUESTS];
} caller;

static cleave_binding binding_of(const char *name, int64_t side, float *data) {
    return (cleave_binding){
        name, {.dtype = CLEAVE_FLOAT32, .rank = 4, .dims = {1, 3, side, side}, .data = data}};
}

static void on_done(void *context, cleave_status *status) {
    request *r = context;
    r->status = status;
    atomic_store(&r->is_called, true);
}

/* Each thread in its own way: waits for every request, has several in flight, is called. */
static void *make_requests(void *argument) {
    caller *c = argument;
    cleave_request *in_flight[NUM_REQUESTS] = {NULL};
    const cleave_binding in = binding_of("input", SIDE, input);
    for (int i = 0; i < NUM_REQUESTS; i++) {
        request *r = &c->requests[i];
        const cleave_binding out = binding_of("output", 3 * SIDE, r->output);
        if (c->index == 0) {
            r->status = cleave_session_run(c->session, &in, 1, &out, 1);
        } else if (c->index == 1) {
            r->status = cleave_session_submit(c->session, &in, 1, &out, 1, &in_flight[i]);
        } else {
            cleave_status *status = cleave_session_call(c->session, &in, 1, &out, 1, on_done, r);
            if (status != NULL) {
                on_done(r, status);
            }
        }
    }
    for (int i = 0; i < NUM_REQUESTS; i++) {
        if (in_flight[i] != NULL) {
            c->requests[i].status = cleave_request_wait(in_flight[i]);
        }
    }
    return NULL;
}

/* Requests that failed, of all threads; outputs of the others are right. The session is gone. */
static int run_all(cleave_session *session) {
    caller *callers = calloc(NUM_THREADS, sizeof *callers);
    int num_failed = 0;
    assert_non_null(callers);
    for (int i = 0; i < NUM_THREADS; i++) {
        callers[i].session = session;
        callers[i].index = i;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, make_requests, &callers[i]), 0);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
    }
    cleave_session_destroy(session); /* with calls still to come */
    for (int i = 0; i < NUM_THREADS; i++) {
        for (int k = 0; k < NUM_REQUESTS; k++) {
            request *r = &callers[i].requests[k];
            assert_true(i != 2 || atomic_load(&r->is_called));
            if (r->status == NULL) {
                assert_memory_equal(r->output, wanted, sizeof wanted);
            } else {
                assert_int_equal(cleave_status_code(r->status), CLEAVE_DEVICE_FAILED);
                assert_non_null(strstr(cleave_status_message(r->status), "CL_OUT_OF_RESOURCES"));
                num_failed++;
            }
            cleave_status_destroy(r->status);
        }
    }
    free(callers);
    return num_failed;
}

/* --- faults ---------------------------------------------------------------------------------- */

static const char *const schedules[] = {"static", "dynamic"};

static void make_list(char *list, size_t capacity, int kind) {
    if (kind == 0) {
        snprintf(list, capacity, "core:0,core:1,core:2");
    } else if (kind == 1) {
        snprintf(list, capacity, "%s,core:0", threaded[0]);
    } else {
        snprintf(list, capacity, "%s,%s", threaded[0], threaded[1]);
    }
}

static const clv_ocl_call calls[] = {
    CLV_OCL_clEnqueueNDRangeKernel, CLV_OCL_clEnqueueReadBuffer, CLV_OCL_clWaitForEvents};
enum { NUM_CALLS = sizeof calls / sizeof calls[0] };

/* Cores have no queues to read from, nor events to wait for. */
static bool is_made(int kind, clv_ocl_call call) {
    return kind != 0 || call == CLV_OCL_clEnqueueNDRangeKernel;
}

/* A fault in a session of each kind; how many requests ended with it. It happens where the call is
 * made at all. */
static int fail_call(int kind, int schedule, const char *on_failure, clv_shim_fault fault) {
    char list[128];
    make_list(list, sizeof list, kind);
    cleave_session *session = open_session(list, schedules[schedule], on_failure);
    clv_shim_set_fault(&fault);
    const int num_failed = run_all(session);
    const bool has_happened = clv_shim_has_failed();
    clv_shim_set_fault(NULL);
    assert_true(has_happened == is_made(kind, fault.call));
    return num_failed;
}

static void test_neighbours(void **state) {
    (void)state;
    const int64_t before = clv_shim_num_objects();
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < NUM_CALLS; i++) {
            const clv_shim_fault fault = {.call = calls[i], .at = 9, .error = -5};
            const int num_failed = fail_call(kind, (kind + i) % 2, NULL, fault);
            if (kind == 0) { /* no queue, so nobody is behind a failed command */
                assert_int_equal(num_failed, is_made(kind, calls[i]) ? 1 : 0);
            } else { /* a launch fails its request, what waits may do without a call */
                assert_true(num_failed >= (calls[i] == CLV_OCL_clEnqueueNDRangeKernel ? 1 : 0));
                assert_true(num_failed < NUM_THREADS * NUM_REQUESTS);
            }
            assert_int_equal(clv_shim_num_objects(), before);
        }
    }
}

static void test_replan(void **state) {
    (void)state;
    const int64_t before = clv_shim_num_objects();
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < 2 * NUM_CALLS; i++) {
            const clv_shim_fault fault = {.call = calls[i / 2], .at = i % 2 * 11, .error = -5};
            assert_int_equal(fail_call(kind, (kind + i) % 2, "replan", fault), 0);
            assert_int_equal(clv_shim_num_objects(), before);
        }
    }
}

/* Every launch fails: unit after unit is left out, then all requests end. */
static void test_nothing_left(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        const clv_shim_fault fault = {
            .call = CLV_OCL_clEnqueueNDRangeKernel, .at = 5, .error = -5, .stays = true};
        const int num_failed = fail_call(kind, kind % 2, "replan", fault);
        assert_true(num_failed > 0);
    }
}

/* One unit is left out, and later the others: the error names all. */
static void test_nothing_left_at_last(void **state) {
    (void)state;
    const cleave_binding in = binding_of("input", SIDE, input);
    cleave_session *session = open_session("core:0,core:1,core:2", "static", "replan");
    clv_shim_fault fault = {.call = CLV_OCL_clEnqueueNDRangeKernel, .at = 2, .error = -5};
    clv_shim_set_fault(&fault);
    assert_ok(cleave_session_run(session, &in, 1, NULL, 0));
    fault.stays = true;
    clv_shim_set_fault(&fault);
    cleave_status *status = cleave_session_run(session, &in, 1, NULL, 0);
    clv_shim_set_fault(NULL);
    assert_int_equal(cleave_status_code(status), CLEAVE_DEVICE_FAILED);
    for (int core = 0; core < 3; core++) {
        char name[32];
        snprintf(name, sizeof name, "core:%d: ", core);
        assert_non_null(strstr(cleave_status_message(status), name));
    }
    cleave_status_destroy(status);
    cleave_session_destroy(session);
}

/* After it, a report says what is left, and the session goes on. */
static void test_report(void **state) {
    (void)state;
    cleave_session *session = open_session("core:0,core:1", "static", "replan");
    const cleave_binding in = binding_of("input", SIDE, input);
    char *report = NULL;
    const clv_shim_fault fault = {.call = CLV_OCL_clEnqueueNDRangeKernel, .at = 2, .error = -5};
    clv_shim_set_fault(&fault);
    assert_ok(cleave_session_run(session, &in, 1, NULL, 0));
    assert_true(clv_shim_has_failed());
    clv_shim_set_fault(NULL);
    assert_ok(cleave_session_report(session, &report));
    assert_non_null(strstr(report, "\"failures\""));
    cleave_free(report);
    assert_int_equal(cleave_session_depth(session), 1);
    cleave_session_reset(session);
    assert_ok(cleave_session_run(session, &in, 1, NULL, 0));
    cleave_session_destroy(session);
}

/* How often a word is in the report of a session. */
static int count_in_report(cleave_session *session, const char *word) {
    char *report = NULL;
    int count = 0;
    assert_ok(cleave_session_report(session, &report));
    for (const char *at = report; (at = strstr(at, word)) != NULL; at++) {
        count++;
    }
    cleave_free(report);
    return count;
}

/* While a plan for those that are left is made, one of them fails as well, or each does. */
static void test_another(void **state) {
    (void)state;
    const clv_ocl_call making[] = {
        CLV_OCL_clCreateCommandQueue, CLV_OCL_clCreateBuffer, CLV_OCL_clCreateKernel};
    const int64_t before = clv_shim_num_objects();
    for (size_t i = 0; i < 2 * sizeof making / sizeof making[0]; i++) {
        const clv_shim_fault second = {.call = making[i / 2], .error = -4, .stays = i % 2 != 0};
        const clv_shim_fault first = {
            .call = CLV_OCL_clEnqueueNDRangeKernel, .at = 2, .error = -5, .then = &second};
        const cleave_binding in = binding_of("input", SIDE, input);
        cleave_session *session = open_session("core:0,core:1,core:2", "static", "replan");
        clv_shim_set_fault(&first);
        cleave_status *status = cleave_session_run(session, &in, 1, NULL, 0);
        assert_true(clv_shim_has_failed());
        clv_shim_set_fault(NULL);
        if (second.stays) {
            assert_int_equal(cleave_status_code(status), CLEAVE_DEVICE_FAILED);
            for (int core = 0; core < 3; core++) {
                char name[16];
                snprintf(name, sizeof name, "core:%d: ", core);
                assert_non_null(strstr(cleave_status_message(status), name));
            }
            assert_non_null(strstr(cleave_status_message(status), "CL_OUT_OF_RESOURCES (-5)"));
            assert_non_null(strstr(cleave_status_message(status), "no unit is left"));
        } else {
            assert_ok(status);
            assert_int_equal(count_in_report(session, "\"error\""), 2);
            assert_int_equal(count_in_report(session, "\"plan\""), 2);
            assert_ok(cleave_session_run(session, &in, 1, NULL, 0));
        }
        cleave_status_destroy(status);
        cleave_session_destroy(session);
        assert_int_equal(clv_shim_num_objects(), before);
    }
}

/* A unit that fails while the session is made. */
static void test_making(void **state) {
    (void)state;
    const clv_ocl_call making[] = {
        CLV_OCL_clCreateCommandQueue, CLV_OCL_clCreateBuffer, CLV_OCL_clCreateKernel};
    for (size_t i = 0; i < sizeof making / sizeof making[0]; i++) {
        const clv_shim_fault fault = {.call = making[i], .at = 1, .error = -4};
        const cleave_binding in = binding_of("input", SIDE, input);
        clv_shim_set_fault(&fault);
        cleave_session *session = open_session("core:0,core:1,core:2", "static", "replan");
        assert_true(clv_shim_has_failed());
        clv_shim_set_fault(NULL);
        assert_int_equal(count_in_report(session, "\"error\""), 1);
        assert_int_equal(count_in_report(session, "MEM_OBJECT_ALLOCATION_FAILURE"), 1);
        assert_ok(cleave_session_run(session, &in, 1, NULL, 0));
        cleave_session_destroy(session);
    }
}

/* --- a plan for those that are left that cannot be made, though none of them fails ------------ */

/* The user has had enough in the middle of that, or the host's memory is used up. */
static int stop_making(void *context, clv_ocl_call call) {
    const cleave_code *why = context;
    if (call == CLV_OCL_clCreateKernel && *why == CLEAVE_CANCELLED) {
        cleave_cancel(true);
    } else if (call == CLV_OCL_clCreateKernel) {
        clv_memory_fail_at(1);
    }
    return 0;
}

typedef struct other_caller {
    cleave_session *session;
    cleave_code code;
} other_caller;

static void *submit_and_wait(void *argument) {
    other_caller *other = argument;
    const cleave_binding in = binding_of("input", SIDE, input);
    cleave_request *one = NULL;
    cleave_status *status = cleave_session_submit(other->session, &in, 1, NULL, 0, &one);
    if (status == NULL) {
        status = cleave_request_wait(one);
    }
    other->code = cleave_status_code(status);
    cleave_status_destroy(status);
    return NULL;
}

static cleave_code run_once(cleave_session *session, float *output) {
    const cleave_binding in = binding_of("input", SIDE, input);
    const cleave_binding out = binding_of("output", 3 * SIDE, output);
    cleave_status *status = cleave_session_run(session, &in, 1, &out, output != NULL ? 1 : 0);
    const cleave_code code = cleave_status_code(status);
    if (code != CLEAVE_OK) {
        assert_null(strstr(cleave_status_message(status), "left"));
    }
    cleave_status_destroy(status);
    return code;
}

static void test_stopped(void **state) {
    (void)state;
    const int64_t before = clv_shim_num_objects();
    for (int i = 0; i < 4; i++) {
        const bool goes_on = i % 2 != 0;
        cleave_code why = i / 2 != 0 ? CLEAVE_NO_MEMORY : CLEAVE_CANCELLED;
        const clv_shim_fault fault = {.call = CLV_OCL_clEnqueueNDRangeKernel, .at = 2, .error = -5};
        other_caller other = {
            .session = open_session("core:0,core:1,core:2", schedules[i % 2], "replan")};
        pthread_t thread;
        char *report = NULL;
        clv_shim_set_fault(&fault);
        clv_ocl_set_hook(stop_making, &why);
        assert_int_equal(pthread_create(&thread, NULL, submit_and_wait, &other), 0);
        const cleave_code code = run_once(other.session, NULL);
        pthread_join(thread, NULL);
        assert_true(code == why || other.code == why);
        assert_true(clv_shim_has_failed());
        assert_int_equal(run_once(other.session, NULL), why);
        cleave_status *status = cleave_session_report(other.session, &report);
        assert_int_equal(cleave_status_code(status), why);
        cleave_status_destroy(status);
        clv_ocl_set_hook(NULL, NULL);
        clv_shim_set_fault(NULL);
        cleave_cancel(false);
        clv_memory_fail_at(-1);
        if (goes_on) { /* with those that are left */
            float output[NUM_OUT];
            assert_int_equal(run_once(other.session, output), CLEAVE_OK);
            assert_memory_equal(output, wanted, sizeof wanted);
            assert_int_equal(count_in_report(other.session, "\"error\""), 1);
        }
        cleave_session_destroy(other.session);
        assert_int_equal(clv_shim_num_objects(), before);
    }
}

/* The host's own memory runs out while it is made: no unit has failed at that. */
static void test_host_memory(void **state) {
    (void)state;
    const int64_t before = clv_shim_num_objects();
    int num_failed = 0;
    bool is_through = false;
    for (int64_t n = 0; !is_through; n += 1 + n) {
        const clv_shim_fault fault = {.call = CLV_OCL_clEnqueueNDRangeKernel, .at = 2, .error = -5};
        cleave_session *session = open_session("core:0,core:1,core:2", "static", "replan");
        const int64_t start = clv_memory_count();
        clv_shim_set_fault(&fault);
        clv_memory_fail_at(n);
        const cleave_code code = run_once(session, NULL);
        is_through = clv_memory_count() - start <= n;
        clv_memory_fail_at(-1);
        assert_true(code == CLEAVE_OK || code == CLEAVE_NO_MEMORY || code == CLEAVE_DEVICE_FAILED);
        float output[NUM_OUT];
        assert_int_equal(run_once(session, output), CLEAVE_OK);
        assert_true(clv_shim_has_failed());
        clv_shim_set_fault(NULL);
        assert_memory_equal(output, wanted, sizeof wanted);
        /* Of the one that failed; nothing is left out where there was no memory to begin with. */
        const int num_left_out = count_in_report(session, "\"error\"");
        assert_true(num_left_out == 1 || (num_left_out == 0 && code != CLEAVE_OK));
        num_failed += code == CLEAVE_NO_MEMORY && num_left_out == 1;
        cleave_session_destroy(session);
        assert_int_equal(clv_shim_num_objects(), before);
    }
    assert_true(num_failed > 3);
}

/* --------------------------------------------------------------------------------------------- */

/* PoCL's threaded devices, as the report names them. */
static void find_threaded(void) {
    char *report = NULL;
    assert_ok(cleave_devices_report(&report));
    int count = 0;
    for (const char *at = report; (at = strstr(at, "\"cl:")) != NULL && count < 2; at++) {
        const char *end = strchr(at + 1, '"'), *rest = end != NULL ? strstr(end, "pthread") : NULL;
        const char *next = end != NULL ? strstr(end, "\"name\"") : NULL;
        if (rest != NULL && (next == NULL || rest < next)) {
            snprintf(threaded[count++], sizeof threaded[0], "%.*s", (int)(end - at - 1), at + 1);
        }
    }
    cleave_free(report);
    assert_int_equal(count, 2);
}

static int create(void **state) {
    (void)state;
    setenv("CLEAVE_CORES", "3", 1);
    setenv("CLEAVE_POCL_THREADED", "2", 1);
    find_threaded();
    for (int i = 0; i < NUM_IN; i++) {
        input[i] = (float)(i % 7) / 7;
    }
    cleave_session *session = open_session("core:0", "static", NULL);
    const cleave_binding in = binding_of("input", SIDE, input);
    const cleave_binding out = binding_of("output", 3 * SIDE, wanted);
    assert_ok(cleave_session_run(session, &in, 1, &out, 1));
    cleave_session_destroy(session);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_replan),
        cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_another),
        cmocka_unit_test(test_making),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_host_memory),
        cmocka_unit_test(test_nothing_left_at_last),
    };
    if (argc != 2) {
        return 2;
    }
    data_folder = argv[1];
    return cmocka_run_group_tests(tests, create, NULL);
}
