/* The C API as a program uses it. Argument: the folder tests/data. */
#include "cleave/cleave.h"
#include "host/base/memory.h"
#include "tests/support/sample.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NUM_THREADS = 6, NUM_REQUESTS = 25 };

static const char *data_folder;

static void assert_ok(cleave_status *status) {
    if (status != NULL) {
        print_error("%s\n%s", cleave_status_message(status), cleave_status_trail(status));
        fail();
    }
}

static void assert_fails(cleave_status *status, cleave_code code, const char *word) {
    assert_non_null(status);
    assert_int_equal(cleave_status_code(status), code);
    if (strstr(cleave_status_message(status), word) == NULL) {
        fail_msg("'%s' is not in '%s'", word, cleave_status_message(status));
    }
    cleave_status_destroy(status);
}

static cleave_model *load(const char *name) {
    char path[1024];
    cleave_model *model = NULL;
    snprintf(path, sizeof path, "%s/%s.onnx", data_folder, name);
    assert_ok(cleave_model_load(path, &model));
    return model;
}

static cleave_session *open_session(const char *name, const char *devices) {
    cleave_model *model = load(name);
    cleave_session *session = NULL;
    assert_ok(cleave_session_create(model, &(cleave_options){.devices = devices}, &session));
    cleave_model_destroy(model); /* sessions keep what they need of it */
    return session;
}

/* A 2x3 tensor over the caller's floats. */
static cleave_tensor tensor_of(float *values) {
    return (cleave_tensor){.dtype = CLEAVE_FLOAT32, .rank = 2, .dims = {2, 3}, .data = values};
}

static void test_callers_buffers(void **state) {
    (void)state;
    cleave_session *session = open_session("two", "cpu");
    float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {6, 5, 4, 3, 2, 1}, sum[6], product[6];
    cleave_binding inputs[] = {{"b", tensor_of(b)}, {"a", tensor_of(a)}}; /* in any order */
    cleave_binding outputs[] = {{"product", tensor_of(product)}, {"sum", tensor_of(sum)}};
    assert_ok(cleave_session_run(session, inputs, 2, outputs, 2));
    for (int i = 0; i < 6; i++) {
        assert_true(sum[i] == 7 && product[i] == a[i] * b[i]);
    }
    memset(sum, 0, sizeof sum);
    assert_ok(cleave_session_run(session, inputs, 2, outputs + 1, 1)); /* one is enough */
    assert_true(sum[5] == 7);
    assert_ok(cleave_session_run(session, inputs, 2, NULL, 0));
    cleave_session_destroy(session);
}

/* --- several requests in flight --- */

typedef struct flight {
    float a[6], b[6], sum[6], product[6];
    cleave_binding inputs[2], outputs[2];
    cleave_request *request;
} flight;

static void fill_flight(flight *f, int number) {
    for (int i = 0; i < 6; i++) {
        f->a[i] = (float)(number + i);
        f->b[i] = (float)(number * 2 - i);
        f->sum[i] = f->product[i] = -1;
    }
    f->inputs[0] = (cleave_binding){"a", tensor_of(f->a)};
    f->inputs[1] = (cleave_binding){"b", tensor_of(f->b)};
    f->outputs[0] = (cleave_binding){"sum", tensor_of(f->sum)};
    f->outputs[1] = (cleave_binding){"product", tensor_of(f->product)};
}

static bool is_right(const flight *f) {
    for (int i = 0; i < 6; i++) {
        if (f->sum[i] != f->a[i] + f->b[i] || f->product[i] != f->a[i] * f->b[i]) {
            return false;
        }
    }
    return true;
}

/* What callbacks count; each begins the next request until there were enough. */
typedef struct callbacks {
    cleave_session *session;
    flight flight;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int num_ended, num_right;
} callbacks;

static void on_end(void *context, cleave_status *status) {
    callbacks *c = context;
    bool is_good = status == NULL && is_right(&c->flight);
    cleave_status_destroy(status);
    pthread_mutex_lock(&c->lock);
    c->num_ended++;
    c->num_right += is_good ? 1 : 0;
    bool goes_on = c->num_ended < NUM_REQUESTS;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (goes_on) {
        fill_flight(&c->flight, c->num_ended);
        assert_ok(
            cleave_session_call(c->session, c->flight.inputs, 2, c->flight.outputs, 2, on_end, c));
    }
}

static void test_requests_in_flight(void **state) {
    (void)state;
    enum { DEPTH = 4 };
    static const char *const policies[] = {"data:2", "pipeline", "branch"};
    for (size_t p = 0; p < sizeof policies / sizeof policies[0]; p++) {
        cleave_model *model = load("two");
        cleave_session *session = NULL;
        const cleave_options options = {
            .devices = "core:0,core:1",
            .policy = policies[p],
            .allow_idle = true,
            .depth = DEPTH,
        };
        assert_ok(cleave_session_create(model, &options, &session));
        cleave_model_destroy(model);
        assert_int_equal(cleave_session_depth(session), DEPTH);
        flight flights[DEPTH];
        memset(flights, 0, sizeof flights);
        for (int i = 0; i < NUM_REQUESTS + DEPTH; i++) {
            flight *f = &flights[i % DEPTH];
            if (f->request != NULL) {
                assert_ok(cleave_request_wait(f->request));
                assert_true(is_right(f));
                f->request = NULL;
            }
            if (i < NUM_REQUESTS) {
                fill_flight(f, i);
                assert_ok(cleave_session_submit(session, f->inputs, 2, f->outputs, 2, &f->request));
            }
        }
        callbacks c = {.session = session};
        pthread_mutex_init(&c.lock, NULL);
        pthread_cond_init(&c.changed, NULL);
        fill_flight(&c.flight, 0);
        assert_ok(
            cleave_session_call(session, c.flight.inputs, 2, c.flight.outputs, 2, on_end, &c));
        pthread_mutex_lock(&c.lock);
        while (c.num_ended < NUM_REQUESTS) {
            pthread_cond_wait(&c.changed, &c.lock);
        }
        pthread_mutex_unlock(&c.lock);
        assert_int_equal(c.num_right, NUM_REQUESTS);
        cleave_session_destroy(session);
        pthread_mutex_destroy(&c.lock);
        pthread_cond_destroy(&c.changed);
    }
}

static void test_infos(void **state) {
    (void)state;
    cleave_model *model = load("free");
    const cleave_tensor_info *input = cleave_model_input(model, 0);
    assert_int_equal(cleave_model_num_inputs(model), 1);
    assert_int_equal(input->dims[0], -1);
    assert_string_equal(input->dim_names[2], "H");
    assert_null(cleave_model_input(model, 1));
    const char *dims[] = {"N=1", "H=2", "W=3"};
    cleave_options options = {.devices = "core:0", .dims = dims, .num_dims = 3};
    cleave_session *session = NULL;
    assert_ok(cleave_session_create(model, &options, &session));
    assert_int_equal(cleave_session_output(session, 0)->dims[3], 3);
    assert_null(cleave_session_output(session, 1));
    cleave_session_destroy(session);
    options.num_dims = 2;
    assert_fails(cleave_session_create(model, &options, &session), CLEAVE_USAGE, "'W'");
    assert_null(session);
    cleave_model_destroy(model);
}

static void test_wrong_operands(void **state) {
    (void)state;
    cleave_session *session = open_session("two", "core:0");
    float a[6] = {0}, b[6] = {0}, c[6];
    cleave_binding inputs[] = {{"a", tensor_of(a)}, {"b", tensor_of(b)}, {"a", tensor_of(a)}};
    cleave_binding output = {"sum", tensor_of(c)};
    assert_fails(cleave_session_run(session, inputs, 1, &output, 1), CLEAVE_USAGE, "'b'");
    assert_fails(cleave_session_run(session, inputs, 3, &output, 1), CLEAVE_USAGE, "twice");
    inputs[1].name = "x";
    assert_fails(cleave_session_run(session, inputs, 2, &output, 1), CLEAVE_USAGE, "'x'");
    inputs[1].name = "b";
    inputs[1].tensor.dims[0] = 3;
    assert_fails(cleave_session_run(session, inputs, 2, &output, 1), CLEAVE_USAGE, "[3,3]");
    inputs[1].tensor = tensor_of(b);
    inputs[1].tensor.dtype = CLEAVE_INT32;
    assert_fails(cleave_session_run(session, inputs, 2, &output, 1), CLEAVE_USAGE, "int32");
    inputs[1].tensor = tensor_of(NULL);
    assert_fails(cleave_session_run(session, inputs, 2, &output, 1), CLEAVE_USAGE, "no data");
    inputs[1].tensor = tensor_of(b);
    inputs[1].tensor.rank = 99;
    assert_fails(cleave_session_run(session, inputs, 2, &output, 1), CLEAVE_USAGE, "rank");
    inputs[1].tensor = tensor_of(b);
    output.name = "difference";
    assert_fails(cleave_session_run(session, inputs, 2, &output, 1), CLEAVE_USAGE, "difference");
    output.name = "sum";
    assert_ok(cleave_session_run(session, inputs, 2, &output, 1)); /* failures leave no trace */
    cleave_session_destroy(session);
}

/* --- threads --- */

typedef struct worker {
    cleave_session *session;
    int number;
    bool is_good;
} worker;

static void *run_worker(void *argument) {
    worker *w = argument;
    w->is_good = true;
    for (int i = 0; i < NUM_REQUESTS; i++) {
        float a[6], b[6], sum[6], product[6];
        for (int k = 0; k < 6; k++) {
            a[k] = (float)(w->number * 100 + i + k);
            b[k] = (float)(i - k);
        }
        cleave_binding inputs[] = {{"a", tensor_of(a)}, {"b", tensor_of(b)}};
        cleave_binding outputs[] = {{"sum", tensor_of(sum)}, {"product", tensor_of(product)}};
        cleave_status *status = cleave_session_run(w->session, inputs, 2, outputs, 2);
        w->is_good = w->is_good && status == NULL;
        cleave_status_destroy(status);
        for (int k = 0; k < 6; k++) {
            w->is_good = w->is_good && sum[k] == a[k] + b[k] && product[k] == a[k] * b[k];
        }
    }
    return NULL;
}

static void run_workers(cleave_session *const *sessions, int num_sessions) {
    pthread_t threads[NUM_THREADS];
    worker workers[NUM_THREADS];
    for (int i = 0; i < NUM_THREADS; i++) {
        workers[i] = (worker){.session = sessions[i % num_sessions], .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
    }
    for (int i = 0; i < NUM_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(workers[i].is_good);
    }
}

static void test_many_threads_one_session(void **state) {
    (void)state;
    cleave_session *session = open_session("two", "cpu");
    run_workers(&session, 1);
    char *json = NULL, wanted[64];
    assert_ok(cleave_session_report(session, &json));
    snprintf(wanted, sizeof wanted, "\"requests\":\t%d,", NUM_THREADS * NUM_REQUESTS);
    assert_non_null(strstr(json, wanted));
    cleave_free(json);
    cleave_session_destroy(session);
}

static void test_many_sessions(void **state) {
    (void)state;
    cleave_session *sessions[3] = {
        open_session("two", "cpu"), open_session("two", "core:0"), open_session("two", "cpu")};
    run_workers(sessions, 3);
    for (int i = 0; i < 3; i++) {
        cleave_session_destroy(sessions[i]);
    }
}

/* --- failures --- */

static void test_cancel(void **state) {
    (void)state;
    cleave_session *session = open_session("two", "cpu");
    float a[6] = {0}, b[6] = {0};
    cleave_binding inputs[] = {{"a", tensor_of(a)}, {"b", tensor_of(b)}};
    cleave_cancel(true);
    assert_fails(cleave_session_run(session, inputs, 2, NULL, 0), CLEAVE_CANCELLED, "interrupted");
    char path[1024];
    cleave_model *model = NULL;
    snprintf(path, sizeof path, "%s/two.onnx", data_folder);
    assert_fails(cleave_model_load(path, &model), CLEAVE_CANCELLED, "interrupted");
    assert_null(model);
    cleave_cancel(false);
    assert_ok(cleave_session_run(session, inputs, 2, NULL, 0));
    cleave_session_destroy(session);
}

static void test_bad_options(void **state) {
    (void)state;
    cleave_model *model = load("two");
    cleave_session *session = NULL;
    cleave_options options = {.devices = "gpu:99"};
    assert_fails(cleave_session_create(model, &options, &session), CLEAVE_NO_DEVICE, "gpu:99");
    options = (cleave_options){.devices = "core:0{mem=8}"};
    assert_fails(cleave_session_create(model, &options, &session), CLEAVE_NO_MEMORY, "core:0");
    options = (cleave_options){.devices = "core:0", .policy = "nonsense"};
    assert_fails(cleave_session_create(model, &options, &session), CLEAVE_USAGE, "nonsense");
    static const double wrong_seconds[] = {-1, NAN};
    for (size_t i = 0; i < 2; i++) {
        options = (cleave_options){.devices = "core:0", .step_timeout_s = wrong_seconds[i]};
        assert_fails(
            cleave_session_create(model, &options, &session), CLEAVE_USAGE, "step_timeout_s");
    }
    cleave_model_destroy(model);
    model = NULL;
    assert_fails(cleave_model_load("/nonexistent.onnx", &model), CLEAVE_IO, "/nonexistent.onnx");
    assert_null(model);
    model = load("unknown");
    assert_fails(cleave_session_create(model, NULL, &session), CLEAVE_UNSUPPORTED, "nms");
    cleave_model_destroy(model);
    cleave_model_destroy(NULL);
    cleave_session_destroy(NULL);
    cleave_status_destroy(NULL);
    cleave_tensor_destroy(NULL);
    assert_int_equal(cleave_status_code(NULL), CLEAVE_OK);
}

/* NULL is the same as options that are all zero, wherever they are taken. */
static void test_no_options(void **state) {
    (void)state;
    cleave_model *model = load("two");
    cleave_tensor_info info;
    char *text = NULL;
    assert_ok(cleave_model_bind_input(model, NULL, 0, &info));
    assert_int_equal(info.rank, 2);
    assert_ok(cleave_model_report(model, NULL, &text));
    assert_non_null(strstr(text, "\"inputs\""));
    cleave_free(text);
    static const char *const stages[] = {"onnx", "graph", "passes", "plan", "schedule"};
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        assert_ok(cleave_model_stage(model, NULL, stages[i], &text));
        cleave_free(text);
    }
    cleave_model_destroy(model);
}

/* Load, create, run, report; whatever fails is handed up and cleaned up. */
static cleave_status *whole_life(const char *path) {
    cleave_model *model = NULL;
    cleave_session *session = NULL;
    char *json = NULL;
    float a[6] = {1}, b[6] = {2}, sum[6];
    cleave_binding inputs[] = {{"a", tensor_of(a)}, {"b", tensor_of(b)}};
    cleave_binding output = {"sum", tensor_of(sum)};
    cleave_status *status = cleave_model_load(path, &model);
    if (status == NULL) {
        status = cleave_session_create(model, &(cleave_options){.devices = "core:0"}, &session);
    }
    if (status == NULL) {
        status = cleave_session_run(session, inputs, 2, &output, 1);
    }
    if (status == NULL) {
        status = cleave_session_report(session, &json);
    }
    cleave_free(json);
    cleave_session_destroy(session);
    cleave_model_destroy(model);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/two.onnx", data_folder);
    assert_ok(whole_life(path)); /* finds the devices, which are kept */
    int64_t before = clv_memory_count();
    assert_ok(whole_life(path));
    int64_t count = clv_memory_count() - before;
    assert_true(count > 50);
    for (int64_t n = 0; n < count; n++) {
        if (!clv_test_is_tried((uint64_t)n)) {
            continue;
        }
        clv_memory_fail_at(n);
        cleave_status *status = whole_life(path);
        clv_memory_fail_at(-1);
        if (status != NULL) { /* NULL: what failed only served the kernel cache */
            assert_int_equal(cleave_status_code(status), CLEAVE_NO_MEMORY);
            cleave_status_destroy(status);
        }
    }
    assert_ok(whole_life(path));
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: api_test FOLDER\n");
        return 2;
    }
    data_folder = argv[1];
    setenv("CLEAVE_CORES", "2", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_in_flight),
        cmocka_unit_test(test_callers_buffers),
        cmocka_unit_test(test_infos),
        cmocka_unit_test(test_wrong_operands),
        cmocka_unit_test(test_many_threads_one_session),
        cmocka_unit_test(test_many_sessions),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_no_options),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
